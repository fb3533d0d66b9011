"""What must not grow with the number of rows, and what happens when it does not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.destinations.base import Batch, Change, Outcome, Status
from revetl_dbt.engine import recorder
from revetl_dbt.warehouse import ledger as ledger_module
from revetl_dbt.warehouse import store as store_module
from revetl_dbt.warehouse.ledger import Ledger

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


def test_a_plan_made_in_pieces_is_the_plan(flow: Make, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    if not warehouse.is_duckdb:
        pytest.skip("only DuckDB's memory is so little that a plan is made in pieces")
    fields = {"Note": {"column": "note"}}
    f = flow(Fake(people(records=50)), match={"Name": "name"}, key=("id",), fields=fields, on_removed="delete")
    fill(warehouse, 400, "'a'")
    assert f.run().totals.created == 400
    relation = warehouse.relation("people")
    fill(warehouse, 420, "case when i between 10 and 99 then 'b' else 'a' end")
    warehouse.run(
        f"delete from {relation} where id between 300 and 319",
        f"update {relation} set id = null where id = 1",
        f"update {relation} set id = 2 where id = 3",
        f"update {relation} set name = 'n4' where id = 5",
        f"update {relation} set name = null where id = 6",
    )
    at_once = f.plan()
    assert {(op, reason) for op, reason, _ in at_once} == {
        ("create", None),
        ("update", None),
        ("delete", None),
        *(("invalid", why) for why in ("null_key", "duplicate_key", "duplicate_match", "null_match")),
    }

    macro = Ledger._macro
    pieces: list[int] = []

    def of_millions(self: Ledger, name: str, **arguments: Any) -> Any:
        if name != "revetl_plan":
            return macro(self, name, **arguments)
        statements = macro(self, name, **{**arguments, "rows": 4_000_000})
        pieces.append(sum(self.layout.tables.plan in statement for statement in statements))
        return statements

    monkeypatch.setattr(Ledger, "_macro", of_millions)
    assert sorted(f.plan(), key=str) == sorted(at_once, key=str)
    assert pieces == [8]
    result = f.run()
    accounted(result)
    assert (result.totals.created, result.totals.updated, result.totals.deleted) == tuple(
        sum(op == name for op, _, _ in at_once) for name in ("create", "update", "delete")
    )
    assert {op for op, _, _ in f.plan()} == {"invalid"}


def test_a_plan_in_which_more_than_a_stretch_of_duckdb_changes_is_whole(flow: Make, warehouse: Warehouse) -> None:
    """DuckDB 2.0.0 loses rows that one transaction puts into a table after it has put none into it, from 122,881 on."""
    if not warehouse.is_duckdb:
        pytest.skip("only DuckDB's memory is so little that a plan is made in pieces")
    f = flow(Fake(people(records=10_000)), **SPEC)
    fill(warehouse, 130_000, "'a'")
    assert f.run().totals.created == 130_000
    fill(warehouse, 520_000, "case when i < 125000 then 'b' else 'a' end")
    summary = f.ledger().write_plan()
    assert (summary.count("update"), summary.count("create")) == (125_000, 390_000)
    assert summary.unchanged(deletes_are_rows=False) == 5_000


def test_duckdb_is_opened_anew_before_it_remembers_too_many_replaced_rows(
    flow: Make, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not warehouse.is_duckdb:
        pytest.skip("only DuckDB's memory is ours to give")
    for module in (store_module, ledger_module):
        monkeypatch.setattr(module, "REOPENED_AFTER", 10_000)
    monkeypatch.setattr(recorder, "FLUSH_SECONDS", 0.0)
    f = flow(Fake(people(records=500)), **SPEC)
    fill(warehouse, 40_000, "'a'")
    assert f.run().totals.created == 40_000
    fill(warehouse, 40_000, "case i % 8 when 0 then 'b' else 'a' end")
    store = warehouse.new_store()
    result = f.run(store=store)
    assert (result.status, result.totals.updated) == ("success", 5_000)
    assert store._opening > 2
    assert f.run().status == "noop"
