"""What dbt made of the files of macros, kept from one command to the next.

dbt parses the macros of dbt-core, of the adapter, of each package and of the project anew for whoever opens an adapter
without a manifest: some hundreds, which takes longer than a small sync.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

Parsed = Sequence[Mapping[str, Any]]
"""The macros of one file, each as dbt's own dictionary of it."""


class MacroCache:
    """Macros by what tells one content of a file from all others.

    A cache that cannot be read or written is done without: all that it holds can be parsed again.
    """

    def __init__(self, file: Path | None, version: str) -> None:
        """`file` is where macros are kept, None for nowhere; what another `version` of dbt parsed is not used."""
        self._file, self._version = file, version
        self._kept = self._read()
        self._used: dict[str, Parsed] = {}

    def get(self, key: str) -> Parsed | None:
        """The macros of a file, where they are known."""
        found = self._kept.get(key)
        if found is not None:
            self._used[key] = found
        return found

    def put(self, key: str, macros: Parsed) -> None:
        """Remember the macros of a file."""
        self._used[key] = macros

    def save(self) -> None:
        """Keep what was asked for or added since the beginning, and nothing else."""
        if self._file is None or self._used.keys() <= self._kept.keys():
            return
        draft = self._file.with_suffix(f".{os.getpid()}.tmp")
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            try:
                draft.write_text(json.dumps({"version": self._version, "files": self._used}), encoding="utf-8")
                draft.replace(self._file)
            finally:
                draft.unlink(missing_ok=True)

    def _read(self) -> dict[str, Parsed]:
        with suppress(OSError, ValueError, KeyError, TypeError):
            content = json.loads(self._file.read_bytes()) if self._file else {}
            if content["version"] == self._version:
                return dict(content["files"])
        return {}
