"""Plan rows as the changes that a connector takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from revetl_dbt.destinations.base import Change, ColumnType, Destination, Encoder, FieldInfo, Outcome, Status
from revetl_dbt.spec.models import Write
from revetl_dbt.warehouse.layout import Column, Layout
from revetl_dbt.warehouse.reader import Decoder, decoder

Row = tuple[Any, ...]
Step = tuple[str, Callable[[Any], Any]]


class Mapper:
    """Turns rows of one sync, as `Ledger.pages` yields them, into changes with encoded values."""

    def __init__(
        self, layout: Layout, destination: Destination, described: Mapping[str, FieldInfo], adapter_type: str
    ) -> None:
        self._words = layout.words
        self._first_key = 2 + layout.words
        self._first_field = self._first_key + len(layout.keys)
        self._fields = layout.fields
        self._matches = sum(1 for field in layout.fields if field.match)
        self._match_names = tuple(field.label for field in layout.fields[: self._matches])
        self._steps = [_step(field, destination, described.get(field.label), adapter_type) for field in layout.fields]
        self._key_decoders = [decoder(key.type, adapter_type) for key in layout.keys]
        self._full: dict[bool, _Selection] = {}
        self._partial: dict[tuple[int, ...], _Selection] = {}

    def changes(self, rows: Sequence[Row], *, creating: bool, partial: bool) -> tuple[list[Change], list[Outcome]]:
        """The changes of rows, and a rejection for each row that has a value without representation.

        `creating`: fields that are written on create are sent too. `partial`: fields that did not change are left out.
        """
        changes: list[Change] = []
        rejected: list[Outcome] = []
        whole = self._selection_of_all(creating)
        for row in rows:
            selection = self._selection(row, whole) if partial else whole
            try:
                changes.append(self._change(row, selection))
            except _Unsendable as error:
                rejected.append(Outcome(row[0], Status.REJECTED, row[1], "value", str(error)))
        return changes, rejected

    def _change(self, row: Row, selection: _Selection) -> Change:
        values = row[self._first_field :]
        match = dict(zip(self._match_names, values))
        for name, encode in selection.match_steps:
            match[name] = _encode(name, encode, match[name])
        if selection.indexes is None:
            fields = dict(zip(selection.names, values[self._matches :]))
        else:
            fields = {name: values[index] for name, index in zip(selection.names, selection.indexes)}
        for name, encode in selection.steps:
            fields[name] = _encode(name, encode, fields[name])
        for name in selection.skip_null:
            if values[selection.positions[name]] is None:
                del fields[name]
        key = row[self._first_key : self._first_field]
        if any(self._key_decoders):
            key = tuple(decode(value) if decode else value for decode, value in zip(self._key_decoders, key))
        return Change(row[0], key, match, fields, row[1])

    def _selection_of_all(self, creating: bool) -> _Selection:
        if creating not in self._full:
            chosen = [
                i for i, f in enumerate(self._fields) if not f.match and (creating or f.write is not Write.ON_CREATE)
            ]
            whole = len(chosen) == len(self._fields) - self._matches
            self._full[creating] = self._select(chosen, None if whole else chosen)
        return self._full[creating]

    def _selection(self, row: Row, whole: _Selection) -> _Selection:
        flags = row[2 : 2 + self._words]
        if flags[0] is None:
            return whole
        known = self._partial.get(flags)
        if known is None:
            chosen = [i for i, f in enumerate(self._fields) if flags[f.word] & f.bit and f.write is not Write.ON_CREATE]
            known = self._partial[flags] = self._select(chosen, chosen)
        return known

    def _select(self, chosen: Sequence[int], indexes: Sequence[int] | None) -> _Selection:
        return _Selection(
            names=tuple(self._fields[i].label for i in chosen),
            indexes=None if indexes is None else tuple(indexes),
            steps=[step for i in chosen if (step := self._steps[i]) is not None],
            match_steps=[step for step in self._steps[: self._matches] if step is not None],
            skip_null=tuple(self._fields[i].label for i in chosen if self._fields[i].skip_null),
            positions={self._fields[i].label: i for i in chosen},
        )


class _Selection:
    """Which fields of a row are sent, worked out once for all rows that send the same ones."""

    __slots__ = ("indexes", "match_steps", "names", "positions", "skip_null", "steps")

    def __init__(
        self,
        names: tuple[str, ...],
        indexes: tuple[int, ...] | None,
        steps: list[Step],
        match_steps: list[Step],
        skip_null: tuple[str, ...],
        positions: dict[str, int],
    ) -> None:
        self.names = names
        self.indexes = indexes
        self.steps = steps
        self.match_steps = match_steps
        self.skip_null = skip_null
        self.positions = positions


class _Unsendable(Exception):
    """A value has no representation at the destination; the text names the field, never the value."""


def _encode(name: str, encode: Callable[[Any], Any], value: Any) -> Any:
    try:
        return encode(value)
    except (ValueError, OverflowError, ArithmeticError, TypeError) as error:
        raise _Unsendable(f"field `{name}`: {error}") from error


def _step(field: Column, destination: Destination, info: FieldInfo | None, adapter_type: str) -> Step | None:
    """What is done to each value of a field between the driver and the connector; None when it is sent as it comes."""
    decode = decoder(field.type, adapter_type)
    encode = destination.encoder(field.type, info)
    guard = _finite if field.type is ColumnType.FLOAT else None
    parts = [part for part in (decode, guard, encode) if part is not None]
    return (field.label, _chain(parts)) if parts else None


def _chain(parts: list[Decoder | Encoder]) -> Callable[[Any], Any]:
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        first, second = parts
        return lambda value: second(first(value))

    def run(value: Any) -> Any:
        for part in parts:
            value = part(value)
        return value

    return run


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise ValueError("not a finite number")
    return value
