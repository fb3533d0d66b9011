"""Plan rows as the changes that a connector takes.

Values are worked on a column at a time, which costs Python a fraction of what a row at a time does; only a batch that holds a value without
representation is gone through row by row.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import itemgetter
from typing import Any

from revetl_dbt.destinations.base import Change, ColumnType, Destination, FieldInfo, Outcome, Status
from revetl_dbt.spec.models import Write
from revetl_dbt.warehouse.layout import Column, Layout
from revetl_dbt.warehouse.reader import decoder

Row = tuple[Any, ...]
Step = Callable[[Any], Any]

_BAD_VALUE = (ValueError, OverflowError, ArithmeticError, TypeError)


class Mapper:
    """Turns rows of one sync, as `Ledger.pages` yields them, into changes with encoded values."""

    def __init__(
        self, layout: Layout, destination: Destination, described: Mapping[str, FieldInfo], adapter_type: str
    ) -> None:
        self._words = layout.words
        first_key = 2 + layout.words
        first_field = first_key + len(layout.keys)
        self._keys = slice(first_key, first_field)
        self._fields = [
            _Field(column, first_field + i, _step(column, destination, described.get(column.label), adapter_type))
            for i, column in enumerate(layout.fields)
        ]
        self._key_steps = [(first_key + i, decoder(key.type, adapter_type)) for i, key in enumerate(layout.keys)]
        self._matches = [field for field in self._fields if field.column.match]
        self._whole = {
            creating: [f for f in self._fields if not f.column.match and (creating or f.written_later)]
            for creating in (True, False)
        }
        self._partial: dict[Row, list[_Field]] = {}

    def changes(self, rows: Sequence[Row], *, creating: bool, partial: bool) -> tuple[list[Change], list[Outcome]]:
        """The changes of rows, and a rejection for each row that has a value without representation.

        `creating`: fields that are written on create are sent too. `partial`: fields that did not change are left out.
        """
        if not rows:
            return [], []
        if not partial:
            return self._group(rows, self._whole[creating])
        changes: list[Change] = []
        rejected: list[Outcome] = []
        groups: dict[Row, list[Row]] = defaultdict(list)
        for row in rows:
            groups[row[2 : 2 + self._words]].append(row)
        for flags, own in groups.items():
            fine, bad = self._group(own, self._changed(flags))
            changes += fine
            rejected += bad
        return changes, rejected

    def _changed(self, flags: Row) -> list[_Field]:
        """The fields that rows with these flags send: a match field among them when it changed."""
        if flags[0] is None:
            return self._whole[False]
        if flags not in self._partial:
            self._partial[flags] = [f for f in self._fields if f.written_later and flags[f.column.word] & f.column.bit]
        return self._partial[flags]

    def _group(self, rows: Sequence[Row], fields: Sequence[_Field]) -> tuple[list[Change], list[Outcome]]:
        try:
            return self._columns(rows, fields), []
        except _BAD_VALUE:
            return self._one_by_one(rows, fields)

    def _columns(self, rows: Sequence[Row], fields: Sequence[_Field]) -> list[Change]:
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
        records = _records(columns, fields, len(rows))
        for field in fields:
            if field.column.skip_null:
                _drop_nulls(records, field.column.label, columns[field.position])
        keys = zip(*(_applied(step, columns[position]) for position, step in self._key_steps), strict=True)
        matches = _records(columns, self._matches, len(rows))
        return list(map(Change, columns[0], keys, matches, records, columns[1]))

    def _one_by_one(self, rows: Sequence[Row], fields: Sequence[_Field]) -> tuple[list[Change], list[Outcome]]:
        changes: list[Change] = []
        rejected: list[Outcome] = []
        for row in rows:
            problem = next(filter(None, (field.problem(row) for field in (*self._matches, *fields))), None)
            if problem is None:
                changes += self._columns([row], fields)
            else:
                rejected.append(Outcome(row[0], Status.REJECTED, row[1], "value", problem))
        return changes, rejected


@dataclass(frozen=True, slots=True)
class _Field:
    """A destination field: where its value stands in a row, and what is done to it (None: nothing)."""

    column: Column
    position: int
    step: Step | None

    @property
    def written_later(self) -> bool:
        return self.column.write is not Write.ON_CREATE

    def problem(self, row: Row) -> str | None:
        """Why the row's value cannot be sent: names the field, never the value."""
        try:
            if self.step is not None:
                self.step(row[self.position])
        except _BAD_VALUE as error:
            return f"field `{self.column.label}`: {error}"
        return None


def _records(columns: Sequence[Sequence[Any]], fields: Sequence[_Field], rows: int) -> list[dict[str, Any]]:
    if not fields:
        return [{} for _ in range(rows)]
    names = [field.column.label for field in fields]
    values = zip(*(_applied(field.step, columns[field.position]) for field in fields), strict=True)
    return list(map(dict, map(zip, repeat(names), values)))


def _applied(step: Step | None, column: Sequence[Any]) -> Iterable[Any]:
    return column if step is None else list(map(step, column))


def _drop_nulls(records: Sequence[dict[str, Any]], name: str, column: Sequence[Any]) -> None:
    for record, value in zip(records, column, strict=True):
        if value is None:
            del record[name]


def _step(field: Column, destination: Destination, info: FieldInfo | None, adapter_type: str) -> Step | None:
    """What is done to each value of a field between the driver and the connector; None when it is sent as it comes."""
    decode = decoder(field.type, adapter_type)
    guard = _finite if field.type is ColumnType.FLOAT else None
    parts = [part for part in (decode, guard, destination.encoder(field.type, info)) if part is not None]
    if len(parts) < 2:
        return parts[0] if parts else None
    first, *rest = parts

    def run(value: Any) -> Any:
        value = first(value)
        for part in rest:
            value = part(value)
        return value

    return run


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


seq_of = itemgetter(0)
"""The number of a row, a change or an outcome."""
