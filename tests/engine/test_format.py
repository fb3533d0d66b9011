"""The tables of an earlier version are brought forward, and those of a later one left alone."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from revetl_dbt import __version__
from revetl_dbt.destinations.base import Batch, Change, Outcome, Status, UnknownOutcomeError
from revetl_dbt.errors import WarehouseError
from revetl_dbt.warehouse.layout import table_suffix
from revetl_dbt.warehouse.migrate import FORMAT

from .fake import Fake, Faults, people
from .harness import Flow, Warehouse

Make = Callable[..., Flow]
SPEC = {"match": {"Id": "id"}, "fields": {"Name": {"column": "name"}}, "mode": "create"}


class Faulty(Faults):
    """Refuses `bad`, and says nothing of `deaf`."""

    def before(self, batch: Batch, nth: int) -> None:
        self.deaf = any(change.fields.get("Name") == "deaf" for change in batch.changes)

    def verdict(self, change: Change, nth: int) -> Outcome | None:
        return Outcome(change.seq, Status.REJECTED, None, "BAD", "no") if change.fields.get("Name") == "bad" else None

    def after(self, batch: Batch, outcomes: list[Outcome], nth: int) -> list[Outcome]:
        if self.deaf:
            raise UnknownOutcomeError("the connection broke", code="connection")
        return outcomes


def write(warehouse: Warehouse, *names: str) -> None:
    rows = [{"id": str(n), "name": f"'{name}'"} for n, name in enumerate(names)]
    warehouse.table("people", {"id": "integer", "name": "varchar"}, rows)


def back_to_format_1(warehouse: Warehouse, f: Flow) -> None:
    tables = warehouse.store.tables
    rejected = warehouse.store.relation(f"rejected__{table_suffix(f.sync.name, f.destination.account)}")
    warehouse.run(
        f"alter table {tables['revetl_runs']} drop column command",
        f"alter table {tables['revetl_runs']} drop column released",
        f"alter table {tables['revetl_syncs']} drop column settled_at",
        f"alter table {tables['revetl_syncs']} drop column claimed",
        f"alter table {rejected} drop column _status",
        f"update {tables['revetl_syncs']} set state_format = 1",
        f"drop table {tables['revetl_format']}",
    )


@pytest.fixture
def old(flow: Make, warehouse: Warehouse) -> Flow:
    """A sync with the tables of format 1: one row accepted, one refused, one of unknown outcome."""
    f = flow(Fake(people(records=1, reads=False), faults=Faulty()), **SPEC)
    write(warehouse, "Ann", "bad", "deaf")
    result = f.run()
    assert (result.totals.accepted, result.totals.rejected, result.totals.unknown) == (1, 1, 1)
    back_to_format_1(warehouse, f)
    warehouse.notices.clear()
    return f


def test_format_1_is_brought_forward(old: Flow, warehouse: Warehouse) -> None:
    store = warehouse.new_store()
    old.destination.faults = Faults()
    result = old.run(store=store)
    assert warehouse.notices == [f"Brought the state tables in schema `{store.schema}` from format 1 to {FORMAT}"]
    # The refused row goes again; the one that may have arrived stays held.
    assert (result.totals.created, result.held, result.unchanged) == (1, 1, 1)
    tables = store.tables
    assert warehouse.query(f"select state_format, revetl_version from {tables['revetl_format']}") == [
        (FORMAT, __version__)
    ]
    assert warehouse.query(f"select state_format, settled_at is not null from {tables['revetl_syncs']}") == [
        (FORMAT, True)
    ]
    assert warehouse.query(f"select command, released from {tables['revetl_runs']}") == [("run", None)] * 2


def test_format_2_is_brought_forward(flow: Make, warehouse: Warehouse) -> None:
    f = flow(**SPEC)
    write(warehouse, "Ann")
    f.run()
    syncs, own = (warehouse.store.tables[name] for name in ("revetl_syncs", "revetl_format"))
    warehouse.run(
        f"alter table {syncs} drop column claimed",
        f"update {syncs} set state_format = 2",
        f"update {own} set state_format = 2",
    )
    store = warehouse.new_store()
    write(warehouse, "Ann", "Bea")
    assert f.run(store=store).totals.created == 1
    assert warehouse.notices == [f"Brought the state tables in schema `{store.schema}` from format 2 to {FORMAT}"]
    assert warehouse.query(f"select state_format, claimed from {syncs}") == [(FORMAT, None)]


def test_a_migration_that_was_killed_begins_anew(old: Flow, warehouse: Warehouse) -> None:
    runs = warehouse.store.tables["revetl_runs"]
    warehouse.run(f"alter table {runs} add column released varchar")
    assert old.run(store=warehouse.new_store()).status in ("partial", "success")
    assert len(warehouse.notices) == 1


def test_tables_of_format_1_without_a_sync(warehouse: Warehouse, old: Flow) -> None:
    warehouse.delete("revetl_syncs")
    warehouse.new_store().prepare()
    assert warehouse.query(f"select state_format from {warehouse.store.tables['revetl_format']}") == [(FORMAT,)]
    assert len(warehouse.notices) == 1


def test_tables_that_are_current_are_left_alone(flow: Make, warehouse: Warehouse) -> None:
    f = flow(**SPEC)
    write(warehouse, "Ann")
    f.run()
    written = warehouse.query(f"select written_at from {warehouse.store.tables['revetl_format']}")
    f.run(store=warehouse.new_store())
    assert warehouse.query(f"select written_at from {warehouse.store.tables['revetl_format']}") == written
    assert warehouse.notices == []


@pytest.mark.parametrize("there", [False, True], ids=["nothing there", "format 1"])
def test_two_runs_may_begin_at_once(old: Flow, warehouse: Warehouse, there: bool) -> None:
    if not there:
        warehouse.run(f"drop schema {warehouse.session.relation_schema(warehouse.store.schema)} cascade")
    barrier, failed = threading.Barrier(2), list[Exception]()

    def prepare() -> None:
        barrier.wait()
        try:
            warehouse.new_store().prepare()
        except WarehouseError as error:
            failed.append(error)

    threads = [threading.Thread(target=prepare) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert warehouse.query(f"select max(state_format) from {warehouse.store.tables['revetl_format']}") == [(FORMAT,)]


@pytest.mark.parametrize("table", ["revetl_format", "revetl_syncs"])
def test_a_later_format_is_refused(flow: Make, warehouse: Warehouse, table: str) -> None:
    f = flow(**SPEC)
    write(warehouse, "Ann")
    f.run()
    warehouse.update(table, state_format=str(FORMAT + 1))
    with pytest.raises(WarehouseError, match=f"are of format {FORMAT + 1}, which a later version of revetl wrote"):
        warehouse.new_store().prepare()
