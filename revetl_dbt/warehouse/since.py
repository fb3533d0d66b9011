"""A plan that looks only at rows of the model that are new since the last run that came through (`changed_since`)."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec

from revetl_dbt.destinations.base import ColumnType
from revetl_dbt.errors import InputError
from revetl_dbt.spec.models import Sync, SyncSpec
from revetl_dbt.warehouse.layout import Layout
from revetl_dbt.warehouse.reader import decoder
from revetl_dbt.warehouse.store import Store, SyncState
from revetl_dbt.warehouse.types import logical_type

_ORDERED = (ColumnType.INTEGER, ColumnType.DECIMAL, ColumnType.DATE, ColumnType.TIMESTAMP, ColumnType.TIMESTAMPTZ)


class Mark(NamedTuple):
    """How far a run has looked: the newest value of the column, as text, and which declaration that was for.

    `runs` have been limited by it since one looked at every row.
    """

    value: str
    declaration: str
    runs: int

    def as_text(self) -> str:
        """For the table of syncs."""
        return msgspec.json.encode(self).decode()


class View(NamedTuple):
    """What of the model a plan looks at: every row where `since`, an SQL condition, is None. `mark` is what is to be
    written down when everything that was planned has come through."""

    since: str | None = None
    mark: Mark | None = None


def view(
    store: Store,
    layout: Layout,
    state: SyncState | None,
    columns: Sequence[tuple[str, str]],
    checksum: str,
    *,
    whole: bool,
) -> View:
    """What a plan of this draft has to look at; `columns` are those of the model, `whole` asks for every row.

    Raises InputError for a column whose values say nothing about what is newer.
    """
    declared = layout.sync.spec.changed_since
    if declared is None:
        return View()
    name, engine_type = next(column for column in columns if column[0].lower() == declared.column.lower())
    column = _Column(store.source, layout, name, engine_type)
    former = None if state is None or state.mark is None else msgspec.json.decode(state.mark, type=Mark)
    declaration = digest(layout.sync.spec, checksum)
    if former is not None and former.declaration != declaration:
        former = None
    newest, fell_back = column.newest(former)
    if newest is None:
        return View()
    if former is None or whole or fell_back or former.runs + 1 >= declared.all_every or _waiting(store, layout):
        return View(None, Mark(newest, declaration, 0))
    return View(column.reaches(former), Mark(newest, declaration, former.runs + 1))


def digest(spec: SyncSpec, *more: str) -> str:
    """A fingerprint of a declaration: what was found out for one is nothing that another can count on."""
    return hashlib.sha256("\n".join([spec.model_dump_json(), *more]).encode()).hexdigest()[:16]


class _Column:
    """The column of the model that tells which rows are new."""

    def __init__(self, source: Store, layout: Layout, name: str, engine_type: str) -> None:
        self._source = source
        self._layout = layout
        self._name = source.session.quote(name)
        self._engine_type = engine_type
        self._type = logical_type(engine_type, source.session.adapter_type)
        if self._type not in _ORDERED:
            raise _no_order(layout.sync, name, engine_type)

    def newest(self, former: Mark | None) -> tuple[str | None, bool]:
        """The newest value as text, None where there is none; and whether it is older than the former one, which tells
        that the model was made anew from older data."""
        session = self._source.session
        newest = f"max({self._name})"
        read = session.macro("revetl_read_column", name=newest, type=self._type.value)
        older = "0" if former is None else f"case when {newest} < {self._typed(former.value)} then 1 else 0 end"
        ((value, fell_back),) = self._source.query(f"select {read}, {older} from {self._layout.tables.model}")
        decode = decoder(self._type, session.adapter_type)
        return (None if value is None else _text(decode(value) if decode else value)), bool(fell_back)

    def reaches(self, former: Mark) -> str:
        """The condition of a row that may be new: one that is as new as the mark may have come after it was taken."""
        return f"({self._name} >= {self._typed(former.value)} or {self._name} is null)"

    def _typed(self, value: str) -> str:
        return f"cast({self._source.literal(value)} as {self._engine_type})"


def _waiting(store: Store, layout: Layout) -> bool:
    """True when rows that are not new have to be looked at: they were refused, or may not have arrived."""
    sql = str(store.session.macro("revetl_waiting", s=layout.as_argument()))
    return bool(store.query(sql)[0][0])


def _text(value: Any) -> str:
    return value.isoformat(sep=" ") if isinstance(value, dt.datetime) else str(value)


def _no_order(sync: Sync, name: str, engine_type: str) -> InputError:
    place = sync.place("changed_since", "column")
    return InputError.single(
        "changed-since-type",
        f"Column `{name}`, by which sync `{sync.name}` finds new rows, is {engine_type}",
        path=place.path,
        line=place.line,
        expected="a date, a timestamp or a number that only grows",
    )


def limited(layout: Layout, found: View) -> Layout:
    """The layout of a plan that looks at what was found: rows that are gone are not seen by one that is limited."""
    return layout if found.since is None else replace(layout, since=found.since, limited=True, removal=None)
