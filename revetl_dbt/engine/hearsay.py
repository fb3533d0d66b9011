"""What a destination says of rows, made fit to be passed on.

Secrets go at once, whoever is to read it. Values of the very row that a message is about are hidden where the message
is for a log or an artifact: a vendor that refuses a row likes to quote it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from revetl_dbt.destinations.base import DestinationError

HIDDEN = "(hidden)"
LONGEST_MESSAGE = 2_000
_SHORTEST_TEXT, _SHORTEST_OTHER = 2, 4  # characters of a value that are looked for: the 1 and 422 of others say nothing
_PLAIN = 4  # shorter values are looked for as they are written: `IN` is not "in"
_LONGEST = 200  # characters of a value that are looked for
_WORD = re.compile(r"\w")


class Hearsay:
    """Used by several threads at once."""

    def __init__(self, mask: Callable[[str], str] = str, names: Sequence[str] = ()) -> None:
        """`mask` takes secrets out of a text; `names` are words that are no values, such as those of fields."""
        self.mask = mask
        self._names = {name.casefold() for name in names}

    def hide(self, text: str, row: Sequence[Any]) -> str:
        """The text without the values of a plan row, whose first two cells are its number and the destination's id."""
        folded = text.casefold()
        values = {value for value in _values(row[2:]) if value.casefold() in folded}
        for value in sorted(values, key=len, reverse=True):
            if value.casefold() not in self._names:
                flags = re.IGNORECASE if len(value) >= _PLAIN else 0
                text = re.sub(_whole(value), HIDDEN, text, flags=flags)
        return text

    def hide_values(self, text: str, values: Sequence[Any]) -> str:
        """The text without these values of a row."""
        return self.hide(text, (None, None, *values))

    def hide_all(self, error: DestinationError, rows: Sequence[Sequence[Any]]) -> None:
        """Take secrets, and the values of a batch's rows, out of the message of an error."""
        text = self.mask(str(error))
        for row in rows:
            text = self.hide(text, row)
        error.args = (short(text), *error.args[1:])


def short(text: str) -> str:
    """A text, without secrets and values by then, as long as a person reads: it may be kept once for each row."""
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}…"


def _values(cells: Sequence[Any]) -> Iterator[str]:
    """What a message could quote: texts, numbers and dates of some length; those inside JSON too."""
    for cell in cells:
        if isinstance(cell, str) and cell[:1] in ("{", "["):
            try:
                yield from _values(_leaves(msgspec.json.decode(cell)))
            except (msgspec.DecodeError, RecursionError):
                yield cell[:_LONGEST]
        elif cell is not None and not isinstance(cell, bool):
            text = str(cell).strip()[:_LONGEST]
            if len(text) >= (_SHORTEST_TEXT if isinstance(cell, str) else _SHORTEST_OTHER):
                yield text


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


def _whole(value: str) -> str:
    """A pattern that finds the value where it is not a part of a longer word."""
    start = r"(?<!\w)" if _WORD.match(value[0]) else ""
    end = r"(?!\w)" if _WORD.match(value[-1]) and len(value) < _LONGEST else ""
    return start + re.escape(value) + end
