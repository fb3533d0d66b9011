"""A problem at a place inside a declaration, before its file and line are known; and what looks like a secret."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from revetl_dbt.errors import Diagnostic
from revetl_dbt.project.yamlfile import Key


class Place(NamedTuple):
    """A file, as messages show it, and a line in it (from 1)."""

    path: Path | str | None
    line: int | None


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the value under `keys`; the other fields are those of a Diagnostic."""

    code: str
    summary: str
    keys: tuple[Key, ...] = ()
    expected: str | None = None
    hint: str | None = None
    warning: bool = False

    def diagnostic(self, place: Place, *prefix: Key) -> Diagnostic:
        """The problem as it is shown: at a place, its keys below `prefix`, without what looks like a secret."""
        return Diagnostic(
            self.code,
            _masked(self.summary),
            place.path,
            place.line,
            _masked(dotted((*prefix, *self.keys))) or None,
            self.expected and _masked(self.expected),
            self.hint and _masked(self.hint),
            self.warning,
        )


_SECRET_KEYS = re.compile(
    r"(^|_)(api_?key|apikey|secret|token|password|passwd|credentials?|private_?key|client_secret|access_key|bearer)($|_)",
    re.IGNORECASE,
)
_SECRET_VALUES = re.compile(
    r"""(?x)
    -----BEGIN[ ][^`]*       # a private key
    | \b(sk|rk|pk)_(live|test)_\w{8,}
    | \bpat-(na|eu|ap)\d?-[0-9a-f-]{8,}
    | \bxox[abeoprs]-[\w-]+
    | \b(AKIA|ASIA)[0-9A-Z]{16}\b
    | \b(ghp|gho|ghs|github_pat)_\w{16,}
    | \beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*   # a JSON web token
    | \b(Bearer|Basic)\s+[\w+/=.~-]{20,}
    | \bhooks\.slack\.com/services/[\w/]+
    """
)


def secret_key(key: Key) -> bool:
    """True when a key is named like one that holds a secret."""
    return isinstance(key, str) and _SECRET_KEYS.search(key) is not None


def secret_value(value: Any) -> bool:
    """True when a value has the form of a token or private key."""
    return isinstance(value, str) and _SECRET_VALUES.search(value) is not None


def _masked(text: str) -> str:
    return _SECRET_VALUES.sub("***", text)


def dotted(keys: Sequence[Key]) -> str:
    """Keys as one path: `fields.Email.column`."""
    return ".".join(str(key) for key in keys)
