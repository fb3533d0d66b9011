"""Every error that revetl raises on purpose.

    RevetlError                      what went wrong, in one sentence for a person
    ├── InputError                   something the user wrote or left out; carries diagnostics; exit code 2
    ├── WarehouseError               the warehouse refused or could not be reached
    │   └── LeaseHeldError           another run is sending this sync
    ├── SandboxError                 the local sandbox could not start or refused a request
    └── DestinationError             one request to a destination failed as a whole (destinations/base.py)

Bugs are not among them: they end as a traceback and exit code 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem in the user's input.

    `code` is the stable name of the kind of problem (see docs/reference/errors.md), `summary` says what is wrong,
    `path` and
    `line` (from 1) where, `field` the dotted path inside the file, `expected` what would be right, `hint` how to get
    there.
    """

    code: str
    summary: str
    path: Path | str | None = None
    line: int | None = None
    field: str | None = None
    expected: str | None = None
    hint: str | None = None
    warning: bool = False

    def location(self) -> str | None:
        """`file:line  dotted.field`, as far as known."""
        place = "" if self.path is None else str(self.path)
        if place and self.line is not None:
            place += f":{self.line}"
        parts = [part for part in (place, self.field) if part]
        return "  ".join(parts) or None

    def render(self) -> str:
        """The message as it is printed, without colour: several lines, no trailing newline."""
        lines = [f"{'warning' if self.warning else 'error'}[{self.code}]: {self.summary}"]
        location = self.location()
        if location:
            lines.append(f"  {location}")
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class RevetlError(Exception):
    """Base of every deliberate error; its text is for the user."""


class InputError(RevetlError):
    """The user's input has problems; nothing was sent. Carries all of them."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n\n".join(diagnostic.render() for diagnostic in self.diagnostics))

    @classmethod
    def single(
        cls,
        code: str,
        summary: str,
        *,
        path: Path | str | None = None,
        line: int | None = None,
        field: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> InputError:
        """An error with one diagnostic."""
        return cls([Diagnostic(code, summary, path, line, field, expected, hint)])


class WarehouseError(RevetlError):
    """The warehouse refused a statement or could not be reached."""


class LeaseHeldError(WarehouseError):
    """Another run holds the lease of a sync."""


class SandboxError(RevetlError):
    """The local sandbox could not start, or was asked for something it refuses."""
