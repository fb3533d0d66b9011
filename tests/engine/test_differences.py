"""A difference of any field of any type, and only a difference, makes a change, with exactly that field in it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from revetl_dbt.destinations.base import Operation

from .bounds import examples
from .fake import Fake, people
from .harness import Flow, Warehouse, accounted
from .kinds import KINDS, same

Row = dict[str, Any]

_rows = st.fixed_dictionaries({name: kind.stored for name, kind in KINDS.items()})


@st.composite
def _edited(draw: st.DrawFn) -> tuple[Row, Row]:
    """A row before and after: some of its fields drawn anew, so that some differ."""
    before = draw(_rows)
    touched = draw(st.sets(st.sampled_from(sorted(KINDS)), max_size=4))
    return before, before | {name: draw(KINDS[name].stored) for name in touched}


def _write(warehouse: Warehouse, rows: list[Row]) -> None:
    columns = {"id": KINDS["integer"].type} | {name: kind.type for name, kind in KINDS.items()}
    lines = [
        {"id": str(number)} | {name: KINDS[name].expression(value) for name, value in row.items()}
        for number, row in enumerate(rows)
    ]
    warehouse.table("people", columns, lines)


def _sent(row: Row) -> Row:
    return {name: None if value is None else KINDS[name].sent(value) for name, value in row.items()}


@examples(8)
@given(st.lists(_edited(), min_size=1, max_size=12))
def test_only_differences_are_sent(edits: list[tuple[Row, Row]]) -> None:
    with Warehouse() as warehouse, tempfile.TemporaryDirectory() as journal:
        fields = {f"F {name}": {"column": name} for name in KINDS}
        sync = warehouse.sync("people", "people", match={"id": "id"}, fields=fields)
        flow = Flow(warehouse, Fake(people(records=3)), sync, Path(journal))
        _write(warehouse, [before for before, _ in edits])
        created = flow.run()
        assert (created.status, created.totals.created) == ("success", len(edits))
        for change in flow.destination.changes():
            expected = _sent(edits[change.key[0]][0])
            assert {name: change.fields[f"F {name}"] for name in KINDS} == expected
            assert all(same(change.fields[f"F {name}"], value) for name, value in expected.items())

        flow.destination.written.clear()
        _write(warehouse, [after for _, after in edits])
        accounted(flow.run())
        differing = {
            number: {f"F {name}" for name in KINDS if not same(before[name], after[name])}
            for number, (before, after) in enumerate(edits)
        }
        updates = flow.destination.changes(Operation.UPDATE)
        assert {change.key[0]: set(change.fields) for change in updates} == {n: s for n, s in differing.items() if s}
        assert updates == flow.destination.changes()
        for change in updates:
            after = _sent(edits[change.key[0]][1])
            assert all(same(value, after[name.removeprefix("F ")]) for name, value in change.fields.items())
