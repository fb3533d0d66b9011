"""The table that benchmarks print."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table; `goal` is in the same words as `value`."""

    what: str
    value: str
    goal: str = ""
    met: bool | None = None

    def render(self) -> str:
        """As Markdown."""
        mark = {None: "", True: "yes", False: "**no**"}[self.met]
        return f"| {self.what} | {self.value} | {self.goal} | {mark} |"
