"""Whatever was edited: after a run the destination holds what it ought to, and another run sends nothing."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import given, note
from hypothesis import strategies as st

from revetl_dbt.destinations.base import ObjectType, Operation
from revetl_dbt.spec.models import SyncSpec

from .bounds import examples
from .fake import Fake, people
from .harness import Flow, Warehouse, accounted
from .kinds import KINDS
from .oracle import Expected, Oracle

Row = dict[str, Any]

COLUMNS = {
    "id": "integer",
    "region": "text",
    "email": "text",
    "active": "boolean",
    "t": "text",
    "n": "integer",
    "d": "decimal",
    "z": "timestamptz",
    "j": "json",
}
FIELDS: dict[str, dict[str, Any]] = {
    "Name": {"column": "t"},
    "Nick": {"column": "t", "if_null": "skip"},
    "Title": {"column": "t", "if_null": "nobody's"},
    "Loud": {"sql": "t || '!'"},
    "Product": {"value": "Prodüct's"},
    "Score": {"column": "n", "write": "on_create"},
    "Owner": {"column": "n", "write": "if_empty"},
    "Amount": {"column": "d"},
    "Seen": {"column": "z"},
    "Tags": {"column": "j", "if_null": "skip"},
}
PEOPLE = range(1, 5)


def _sometimes_null(column: str) -> st.SearchStrategy[Any]:
    values = KINDS[COLUMNS[column]].values
    return st.one_of(values, values, values, st.none())


VALUES = {name: _sometimes_null(name) for name in ("t", "n", "d", "z", "j")}


@dataclass(frozen=True)
class Step:
    """What is edited before a run."""

    rows: dict[int, Row | None]  # what becomes of a person; None: the row goes
    twice: set[int] = field(default_factory=set)  # keys that stand twice
    alike: set[int] = field(default_factory=set)  # people whose e-mail address another row has too
    nobody: bool = False  # a row without a key
    fields: set[str] | None = None  # the mapping from now on
    full_refresh: bool = False


@st.composite
def _person(draw: st.DrawFn, number: int) -> Row:
    # Nobody ever takes over another's address; `test_takeover.py` is about that.
    address = st.sampled_from([f"p{number}@x", f"P{number}.2@x", f"p{number}@x", f"P{number}.2@x", None])
    active = st.sampled_from([True, True, True, True, False, None])
    row = {"id": number, "region": "eu", "email": draw(address), "active": draw(active)}
    return row | {name: draw(values) for name, values in VALUES.items()}


@st.composite
def _step(draw: st.DrawFn) -> Step:
    few = st.sampled_from([set(), set(), *({number} for number in PEOPLE)])
    edits = st.sampled_from(["stay", "stay", "edit", "edit", "edit", "go"])
    edited = {number: edit for number in PEOPLE if (edit := draw(edits)) != "stay"}
    return Step(
        {number: None if edit == "go" else draw(_person(number)) for number, edit in edited.items()},
        twice=draw(few),
        alike=draw(few),
        nobody=draw(st.integers(0, 3)) == 3,
        fields=draw(st.none() | st.none() | st.sets(st.sampled_from(sorted(FIELDS)), min_size=1)),
        full_refresh=draw(st.integers(0, 5)) == 5,
    )


@dataclass(frozen=True)
class World:
    """A declaration and a destination."""

    spec: dict[str, Any]
    kind: ObjectType
    ids: bool
    concurrency: int


_REMOVALS = ["keep", "delete", "archive", "clear"]
_ALL = frozenset(Operation)


@st.composite
def _world(draw: st.DrawFn) -> World:
    mode = draw(st.sampled_from(["upsert"] * 4 + ["update", "create", "append", "delete"]))
    operations = _ALL - {Operation.UPDATE} if mode == "upsert" and draw(st.booleans()) else _ALL
    kind = people(
        operations,
        records=draw(st.sampled_from([1, 2, 5])),
        partial_updates=draw(st.booleans()),
        match_ignores_case=draw(st.booleans()),
    )
    spec = {
        "mode": mode,
        "key": draw(st.sampled_from([("id",), ("region", "id")])),
        "match": {} if mode == "append" else {"Email": "email"},
        "on_removed": draw(st.sampled_from(_REMOVALS)) if mode in ("upsert", "update") else "keep",
        "where": draw(st.sampled_from([None, "active"])),
        "guards": {"min_rows": 0},
    }
    return World(spec, kind, draw(st.booleans()), draw(st.sampled_from([1, 3])))


def _rows(people_now: dict[int, Row], step: Step) -> list[Row]:
    rows = list(people_now.values())
    rows += [people_now[number] | {"email": f"twice{number}@x"} for number in step.twice & people_now.keys()]
    for number in step.alike & people_now.keys():
        row = people_now[number]
        if row["email"] is not None and row["active"]:
            rows.append(row | {"id": number + 100})
    if step.nobody:
        rows.append({"id": None, "region": "eu", "email": "nobody@x", "active": True})
    return rows


def _write(warehouse: Warehouse, rows: list[Row]) -> None:
    kinds = {name: KINDS[kind] for name, kind in COLUMNS.items()}
    lines = [{name: kinds[name].expression(value) for name, value in row.items()} for row in rows]
    warehouse.table("people", {name: kind.type for name, kind in kinds.items()}, lines)


def _as_sent(row: Row) -> Row:
    blank: Row = dict.fromkeys(COLUMNS)
    return blank | {n: None if v is None else KINDS[COLUMNS[n]].sent(v) for n, v in row.items()}


@examples(14)
@given(_world(), st.lists(_step(), min_size=2, max_size=4))
def test_it_converges(world: World, steps: list[Step]) -> None:
    with Warehouse() as warehouse, tempfile.TemporaryDirectory() as journal:
        destination = Fake(world.kind, tells_ids=world.ids)
        for number in (1, 2, 99):
            destination.add(f"p{number}@x", Name="theirs", Owner=-1, Extra="stays")
        oracle = Oracle(
            destination.contents(),
            ids=world.ids and Operation.UPDATE in world.kind.operations,
            ignores_case=world.kind.match_ignores_case,
        )
        sync = warehouse.sync("people", "people", **world.spec, fields=FIELDS)
        flow = Flow(warehouse, destination, sync, Path(journal), concurrency=world.concurrency)
        now: dict[int, Row] = {}
        for step in steps:
            now = {n: row for n, row in (now | step.rows).items() if row is not None}
            if step.fields is not None:
                flow.remap(fields={n: m for n, m in flow_fields().items() if n in step.fields})
            rows = _rows(now, step)
            note(f"rows: {rows}")
            _write(warehouse, rows)
            seen = [_as_sent(row) for row in rows if world.spec["where"] is None or row["active"]]
            expected = oracle.run(flow.sync.spec, seen)
            _check(flow, oracle, expected, full_refresh=step.full_refresh)
            _check_again(flow, oracle, expected)


def flow_fields() -> dict[str, Any]:
    return SyncSpec.model_validate({"destination": "d", "object": "o", "key": ("k",), "fields": FIELDS}).fields


def _check(flow: Flow, oracle: Oracle, expected: Expected, *, full_refresh: bool) -> None:
    # A model of which no row can be sent would hold its removals.
    result = flow.run(full_refresh=full_refresh, release=True)
    accounted(result)
    assert result.status == ("partial" if expected.rejected else result.status)
    assert result.status in ("success", "noop", "partial"), result.message
    assert flow.destination.contents() == oracle.records
    assert [(change.key, dict(change.fields)) for change in flow.destination.events] == oracle.events
    assert result.model_rows == expected.model_rows
    assert result.invalid == expected.invalid
    assert result.totals.rejected == len(expected.rejected)


def _check_again(flow: Flow, oracle: Oracle, expected: Expected) -> None:
    """Only what was rejected is sent again."""
    flow.destination.written.clear()
    before = flow.destination.requests + flow.destination.reads
    result = flow.run(release=True)
    assert {change.key for change in flow.destination.changes()} == expected.rejected
    assert expected.rejected or flow.destination.requests + flow.destination.reads == before == before + result.requests
    assert flow.destination.contents() == oracle.records
    assert result.unchanged == expected.model_rows - expected.invalid.total() - len(expected.rejected)
    assert result.planned == len(expected.rejected)
