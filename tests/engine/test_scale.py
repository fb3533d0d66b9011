"""What must not grow with the number of rows, and what happens when it does not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from revetl_dbt.destinations.base import Batch, Change, Outcome, Status
from revetl_dbt.engine import recorder

from .fake import Fake, Faults, people
from .harness import Flow, Warehouse, accounted

Make = Callable[..., Flow]
SPEC = {"match": {"Id": "id"}, "fields": {"Name": {"column": "name"}, "Note": {"column": "note"}}}


def fill(warehouse: Warehouse, rows: int, note: str) -> None:
    numbers = f"range({rows}) as n(i)" if warehouse.is_duckdb else f"generate_series(0, {rows - 1}) as n(i)"
    relation = warehouse.relation("people")
    select = f"select i as id, 'n' || i as name, {note} as note from {numbers}"
    warehouse.run(f"drop table if exists {relation}", f"create table {relation} as {select}")


class Watching(Faults):
    """Refuses every record with a long reason, and looks at the journal's size each time."""

    def __init__(self, journal: Path) -> None:
        self.journal = journal
        self.sizes: list[int] = []

    def before(self, batch: Batch, nth: int) -> None:
        self.sizes += [file.stat().st_size for file in self.journal.glob("*.jsonl")]

    def verdict(self, change: Change, nth: int) -> Outcome:
        return Outcome(change.seq, Status.REJECTED, None, "NO", "not wanted " * 9)


def test_the_journal_keeps_no_more_than_the_ledger_lacks(
    flow: Make, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "FLUSH_RESULTS", 500)
    watching = Watching(tmp_path / "journal")
    f = flow(Fake(people(records=50), faults=watching), **SPEC)
    fill(warehouse, 4_000, "'a'")
    result = f.run()
    accounted(result)
    assert result.totals.rejected == len(f.outcomes()) == 4_000
    line = 50 * len('[3999,"rejected",null,"NO",""],' + "not wanted " * 9)
    # Two flushes, one of them under way, and what the workers hold: not the 80 batches that there were.
    assert max(watching.sizes) < line * (2 * 500 / 50 + 2 * 2 * f.concurrency + 2)
    assert not list((tmp_path / "journal").glob("*.jsonl"))


def test_values_that_change_places_are_changes(flow: Make, warehouse: Warehouse) -> None:
    f = flow(**SPEC)
    fill(warehouse, 6, "'a' || i")
    assert f.run().totals.created == 6
    assert f.run().status == "noop"
    fill(warehouse, 6, "'a' || (case i when 1 then 4 when 4 then 1 else i end)")
    result = f.run()
    assert (result.totals.updated, result.unchanged) == (2, 4)
    sent = {change.key: dict(change.fields) for change in f.destination.changes()[-2:]}
    assert sent == {(1,): {"Note": "a4"}, (4,): {"Note": "a1"}}
    assert f.run().status == "noop"


def test_a_statement_that_runs_out_of_memory_is_done_again_with_more(flow: Make, warehouse: Warehouse) -> None:
    if not warehouse.is_duckdb:
        pytest.skip("only DuckDB's memory is ours to give")
    f = flow(Fake(people(records=5_000)), **SPEC)
    fill(warehouse, 60_000, "repeat('x', 200) || i")
    assert f.run().totals.created == 60_000
    fill(warehouse, 60_000, "repeat('y', 200) || i")
    warehouse.store.release()
    store = warehouse.new_store()
    store._memory_mb = 2
    result = f.run(store=store)
    assert (result.status, result.totals.updated) == ("success", 60_000)
    assert store._memory_mb > 2
    table = f.ledger().layout.tables.ledger
    assert warehouse.query(f"select count(*), count(distinct k_id) from {table}") == [(60_000, 60_000)]
