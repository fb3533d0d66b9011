"""Plan rows as the changes that a connector takes.

This is the inner loop of every sync: a sync's mapping is compiled, once for each set of fields that is sent, into one
list comprehension over
the rows, as the standard library does for named tuples. Only a batch that holds a value without representation is gone
through row by row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from revetl_dbt.destinations.base import Change, ColumnType, Destination, FieldInfo, Outcome, Status
from revetl_dbt.destinations.encoding import finite, in_calendar
from revetl_dbt.spec.models import Write
from revetl_dbt.warehouse.layout import Column, Layout
from revetl_dbt.warehouse.reader import decoder

Row = tuple[Any, ...]
Step = Callable[[Any], Any]

seq_of = itemgetter(0)
"""The number of a row, a change or an outcome."""

_MOMENTS = (ColumnType.DATE, ColumnType.TIMESTAMP, ColumnType.TIMESTAMPTZ)
BAD_VALUE = (ValueError, OverflowError, ArithmeticError, TypeError, RecursionError)
"""What decoders and encoders raise for a value that has no representation."""


class Mapper:
    """Turns rows of one sync, as `Ledger.pages` yields them, into changes with encoded values."""

    def __init__(
        self, layout: Layout, destination: Destination, described: Mapping[str, FieldInfo], adapter_type: str
    ) -> None:
        self._words = layout.words
        first_key = 2 + layout.words
        first_field = first_key + len(layout.keys)
        self._keys = [
            _Value(key, first_key + i, _only(decoder(key.type, adapter_type))) for i, key in enumerate(layout.keys)
        ]
        self._fields = [
            _Value(column, first_field + i, _steps(column, destination, described.get(column.label), adapter_type))
            for i, column in enumerate(layout.fields)
        ]
        self._matches = [field for field in self._fields if field.column.match]
        others = [field for field in self._fields if not field.column.match]
        self._creating = self._compile(others)
        required = {info.name for info in described.values() if info.required}
        emptied = [f for f in others if f.column.write is Write.ALWAYS and f.column.label not in required]
        self._cleared = _Loop(self._keys, self._matches, emptied, ())
        self._whole = self._compile([field for field in others if field.written_later])
        self._partial: dict[Row, _Loop] = {}

    def changes(self, rows: Sequence[Row], *, creating: bool, partial: bool) -> tuple[list[Change], list[Outcome]]:
        """The changes of rows, and a rejection for each row that has a value without representation.

        `creating`: fields that are written on create are sent too. `partial`: fields that did not change are left out.
        """
        if not partial:
            return (self._creating if creating else self._whole).run(rows)
        changes: list[Change] = []
        rejected: list[Outcome] = []
        groups: dict[Row, list[Row]] = defaultdict(list)
        for row in rows:
            groups[row[2 : 2 + self._words]].append(row)
        for flags, own in groups.items():
            fine, bad = self._changed(flags).run(own)
            changes += fine
            rejected += bad
        return changes, rejected

    def cleared(self, rows: Sequence[Row]) -> tuple[list[Change], list[Outcome]]:
        """The changes that empty the fields of rows, but for those that are not ours alone to write, or that the
        destination's records must have."""
        return self._cleared.run(rows)

    def _changed(self, flags: Row) -> _Loop:
        """Sends the fields that rows with these flags have changed: a match field among them."""
        if flags[0] is None:
            return self._whole
        if flags not in self._partial:
            changed = [f for f in self._fields if f.written_later and flags[f.column.word] & f.column.bit]
            self._partial[flags] = self._compile(changed)
        return self._partial[flags]

    def _compile(self, fields: Sequence[_Value]) -> _Loop:
        return _Loop(self._keys, self._matches, fields, [field for field in fields if field.column.skip_null])


class _Value:
    """A key or field: where it stands in a row, and what is done to it before it is sent."""

    __slots__ = ("column", "position", "steps")

    def __init__(self, column: Column, position: int, steps: Sequence[Step]) -> None:
        self.column = column
        self.position = position
        self.steps = tuple(steps)

    @property
    def written_later(self) -> bool:
        return self.column.write is not Write.ON_CREATE

    def problem(self, row: Row) -> str | None:
        """Why the row's value cannot be sent: names the field, never the value."""
        value = row[self.position]
        try:
            for step in self.steps:
                value = step(value)
        except BAD_VALUE as error:
            return f"field `{self.column.label}`: {error}"
        return None

    def source(self, names: dict[str, Any]) -> str:
        """Python source of the value of row `r`; the steps go into `names`."""
        text = f"r[{self.position}]"
        for step in self.steps:
            name = f"step{len(names)}"
            names[name] = step
            text = f"{name}({text})"
        return text


class _Loop:
    """The compiled loop for one set of fields, of which `skipped` are left out of a record when they are null."""

    def __init__(
        self, keys: Sequence[_Value], matches: Sequence[_Value], fields: Sequence[_Value], skipped: Sequence[_Value]
    ) -> None:
        self._checked = [*matches, *fields]
        self._skipped = skipped
        names: dict[str, Any] = {"new": tuple.__new__, "Change": Change}
        key = "".join(f"{value.source(names)}, " for value in keys)
        match, record = (
            ", ".join(f"{value.column.label!r}: {value.source(names)}" for value in values)
            for values in (matches, fields)
        )
        source = f"lambda rows: [new(Change, (r[0], ({key}), {{{match}}}, {{{record}}}, r[1])) for r in rows]"
        # Only positions, names of our own and quoted labels are in the source.
        self._loop: Callable[[Sequence[Row]], list[Change]] = eval(source, names)  # noqa: S307

    def run(self, rows: Sequence[Row]) -> tuple[list[Change], list[Outcome]]:
        """The changes of rows, and the rejections."""
        rejected: list[Outcome] = []
        try:
            changes = self._loop(rows)
        except BAD_VALUE:
            rows, rejected = self._sorted_out(rows)
            changes = self._loop(rows)
        for field in self._skipped:
            for row, change in zip(rows, changes, strict=True):
                if row[field.position] is None:
                    del change.fields[field.column.label]  # type: ignore[attr-defined] # a dict until it is handed out
        return changes, rejected

    def _sorted_out(self, rows: Sequence[Row]) -> tuple[list[Row], list[Outcome]]:
        fine: list[Row] = []
        rejected: list[Outcome] = []
        for row in rows:
            problem = next(filter(None, (value.problem(row) for value in self._checked)), None)
            if problem is None:
                fine.append(row)
            else:
                rejected.append(Outcome(row[0], Status.REJECTED, row[1], "value", problem))
        return fine, rejected


def _steps(field: Column, destination: Destination, info: FieldInfo | None, adapter_type: str) -> list[Step]:
    """What is done to each value of a field between the driver and the connector."""
    encode = destination.encoder(field.type, info)
    if encode is None and field.type is ColumnType.FLOAT:
        encode = finite
    calendar = in_calendar if field.type in _MOMENTS else None
    return [*_only(decoder(field.type, adapter_type)), *_only(calendar), *_only(encode)]


def _only(step: Step | None) -> list[Step]:
    return [] if step is None else [step]
