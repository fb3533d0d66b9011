"""Plan rows as changes: which fields, which values, and rows that have no representation."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from revetl_dbt.destinations.base import ColumnType, Encoder, FieldInfo, Outcome, Status
from revetl_dbt.engine.mapping import Mapper
from revetl_dbt.spec.models import Source, Sync, SyncSpec, Write
from revetl_dbt.warehouse.layout import BITS, Column, Layout, Tables

from .fake import Fake

SPEC = SyncSpec(destination="d", object="o", key=("id",))
SOURCE = Source("m", "m", "m", None, "s", "m", (), "m.sql")
TABLES = Tables("m", "l", "r", "p", "o")
KEY = Column("k_id", "id", "id", type=ColumnType.INTEGER)
UTC = dt.timezone.utc


def column(label: str, kind: ColumnType = ColumnType.TEXT, **more: Any) -> Column:
    return Column(f"f_{label.lower()}", label, label, type=kind, **more)


def mapper(*fields: Column, destination: Fake | None = None, described: dict[str, FieldInfo] | None = None) -> Mapper:
    numbered = tuple(replace(field, word=n // BITS, bit=1 << n % BITS) for n, field in enumerate(fields))
    layout = Layout(Sync("s", SPEC, SOURCE, None, None), TABLES, (KEY,), numbered)
    return Mapper(layout, destination or Fake(), described or {}, "duckdb")


def row(
    *values: Any, flags: int | tuple[int, ...] | None = None, seq: int = 1, known: str | None = None
) -> tuple[Any, ...]:
    words = flags if isinstance(flags, tuple) else (flags,)
    return (seq, known, *words, 7, *values)


MATCH = column("Email", match=True)
NAME = column("Name")
SKIP = column("Nick", skip_null=True)
ONCE = column("Source", write=Write.ON_CREATE, compare=False)
EMPTY = column("Owner", write=Write.IF_EMPTY)
ALL = (MATCH, NAME, SKIP, ONCE, EMPTY)


def fields(rows: list[tuple[Any, ...]], *columns: Column, creating: bool = False, partial: bool = False) -> list[Any]:
    found, rejected = mapper(*columns).changes(rows, creating=creating, partial=partial)
    assert rejected == []
    return [dict(change.fields) for change in found]


def test_a_created_record_has_every_field() -> None:
    (change,), _ = mapper(*ALL).changes([row("a@x", "Ann", "A", "web", "me", known="9")], creating=True, partial=False)
    assert change == (
        1,
        (7,),
        {"Email": "a@x"},
        {"Name": "Ann", "Nick": "A", "Source": "web", "Owner": "me"},
        "9",
    )


def test_what_is_written_on_create_is_written_then_only() -> None:
    assert fields([row("a@x", "Ann", "A", "web", "me")], *ALL) == [{"Name": "Ann", "Nick": "A", "Owner": "me"}]


def test_null_clears_or_is_left_out() -> None:
    assert fields([row("a@x", None, None, None, None)], *ALL, creating=True) == [
        {"Name": None, "Source": None, "Owner": None}
    ]


def test_only_what_changed_is_sent_of_a_partial_update() -> None:
    rows = [
        row("a@x", "Ann", "A", "web", "me", flags=0b00010, seq=1),
        row("b@x", "Bea", "B", "web", "me", flags=0b10100, seq=2),
        row("c@x", "Cid", "C", "web", "me", flags=0b01000, seq=3),  # on create only
        row("d@x", "Dan", "D", "web", "me", flags=None, seq=4),  # everything, because what is there is not known
        row("e@x", "Eva", None, "web", "me", flags=0b00110, seq=5),
        row("f@x", "Fay", "F", "web", "me", flags=0b00001, seq=6),
    ]
    found, _ = mapper(*ALL).changes(rows, creating=False, partial=True)
    assert {change.seq: dict(change.fields) for change in found} == {
        1: {"Name": "Ann"},
        2: {"Nick": "B", "Owner": "me"},
        3: {},
        4: {"Name": "Dan", "Nick": "D", "Owner": "me"},
        5: {"Name": "Eva"},
        6: {"Email": "f@x"},
    }


def test_many_fields_have_flags_in_several_words() -> None:
    many = [column(f"F{n}") for n in range(130)]
    values = [str(n) for n in range(130)]
    flags = (1 << 59, 1, 1 << 9)
    assert fields([row(*values, flags=flags)], *many, partial=True) == [{"F59": "59", "F60": "60", "F129": "129"}]


def test_what_is_emptied_is_ours_alone() -> None:
    found, _ = mapper(*ALL).cleared([row("a@x", None, None, None, None)])
    assert [dict(change.fields) for change in found] == [{"Name": None, "Nick": None}]


def test_values_have_the_types_that_are_promised() -> None:
    kinds = [ColumnType.DECIMAL, ColumnType.TIMESTAMPTZ, ColumnType.NESTED, ColumnType.FLOAT]
    columns = [column(kind.value, kind) for kind in kinds]
    values = ("12.50", 1_700_000_000_000_001, '{"a":[1,null]}', 0.1)
    (found,) = fields([row(*values)], *columns, creating=True)
    assert found == {
        "decimal": Decimal("12.50"),
        "timestamptz": dt.datetime(2023, 11, 14, 22, 13, 20, 1, tzinfo=UTC),
        "nested": {"a": [1, None]},
        "float": 0.1,
    }
    assert fields([row(None, None, None, None)], *columns, creating=True) == [dict.fromkeys(found)]


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (ColumnType.FLOAT, float("nan")),
        (ColumnType.FLOAT, float("-inf")),
        (ColumnType.TIMESTAMPTZ, 9223372036854775807),  # infinity
        (ColumnType.TIMESTAMPTZ, -63517788000000000),  # 44 BC
        (ColumnType.TIMESTAMP, "12000-01-01 00:00:00"),
        (ColumnType.DATE, "0044-03-15 (BC)"),
        (ColumnType.NESTED, "[" * 5_000 + "]" * 5_000),
    ],
)
def test_a_value_without_representation_rejects_its_row_alone(kind: ColumnType, bad: Any) -> None:
    rows = [row("a@x", None, seq=1), row("b@x", bad, seq=2, known="9"), row("c@x", None, seq=3)]
    found, rejected = mapper(MATCH, column("Value", kind)).changes(rows, creating=True, partial=False)
    assert [change.seq for change in found] == [1, 3]
    (outcome,) = rejected
    assert outcome[:4] == (2, Status.REJECTED, "9", "value")
    assert "`Value`" in (outcome.message or "")
    assert "9223372036854775807" not in (outcome.message or "")


class Shouting(Fake):
    """Encodes text in capitals, and refuses some."""

    def encoder(self, kind: ColumnType, info: FieldInfo | None) -> Encoder | None:
        return self.shout if info is not None else None

    @staticmethod
    def shout(value: Any) -> Any:
        if value == "unspeakable":
            raise ValueError("cannot be said")
        return None if value is None else value.upper()


def test_the_destination_encodes() -> None:
    described = {name: FieldInfo(name, "text") for name in ("Email", "Name")}
    m = mapper(MATCH, NAME, column("Plain"), destination=Shouting(), described=described)
    rows = [row("a@x", "Ann", "Ann", seq=1), row("b@x", "unspeakable", "x", seq=2), row("unspeakable", "x", "x", seq=3)]
    found, rejected = m.changes(rows, creating=True, partial=False)
    assert [(change.match, change.fields) for change in found] == [({"Email": "A@X"}, {"Name": "ANN", "Plain": "Ann"})]
    assert rejected == [
        Outcome(2, Status.REJECTED, None, "value", "field `Name`: cannot be said"),
        Outcome(3, Status.REJECTED, None, "value", "field `Email`: cannot be said"),
    ]


def test_names_are_only_names() -> None:
    odd = ['"', "'", "\\", "{x}", "}} + r", "ünï", "r[0]", "\n", "a'] = 1; x['"]
    columns = [column(name) for name in odd]
    assert fields([row(*odd)], *columns, creating=True) == [{name: name for name in odd}]


def test_no_rows_no_changes() -> None:
    for partial in (True, False):
        assert mapper(*ALL).changes([], creating=False, partial=partial) == ([], [])


def test_clearing_leaves_what_a_record_must_have() -> None:
    described = {"Name": FieldInfo("Name", "string", required=True)}
    (change,), _ = mapper(MATCH, NAME, column("Plan"), described=described).cleared([row("a@x", None, None)])
    assert change.fields == {"Plan": None}
