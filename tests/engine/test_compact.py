"""Tables that are views on logs (Spark): a log that has grown is written anew, and a run that is killed meanwhile loses
nothing. On other engines there is no log, and the same must come out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from revetl_dbt.destinations.base import Change, Outcome, Status
from revetl_dbt.errors import LeaseHeldError, WarehouseError
from revetl_dbt.warehouse import compact as compacting
from revetl_dbt.warehouse.compact import compact
from revetl_dbt.warehouse.dbt_api import DbtSession
from revetl_dbt.warehouse.layout import table_suffix

from .fake import Fake, Faults, people
from .harness import Flow, Warehouse

Make = Callable[..., Flow]
SPEC = {"match": {"Id": "id"}, "fields": {"Name": {"column": "name"}}, "on_removed": "delete"}


class Killed(BaseException):
    pass


class Refuses(Faults):
    """Takes no row."""

    def verdict(self, change: Change, nth: int) -> Outcome | None:
        return Outcome(change.seq, Status.REJECTED, None, "NAME", "not a name")


def write(warehouse: Warehouse, word: str, numbers: Sequence[int] = range(6)) -> None:
    rows = [{"id": str(n), "name": f"'{word}{n}'"} for n in numbers]
    warehouse.table("people", {"id": "integer", "name": "varchar"}, rows)


def identifier(f: Flow, name: str) -> str:
    return f"{name}__{table_suffix(f.sync.name, f.destination.account)}"


def keeps_logs(f: Flow) -> bool:
    size = f.warehouse.session.macro("revetl_log_size", relation=f.warehouse.store.relation(identifier(f, "ledger")))
    return size is not None


def rows_of(f: Flow, name: str) -> tuple[int, int]:
    """Rows that a table has, and that are stored for it."""
    store, table = f.warehouse.store, identifier(f, name)
    stored = str(store.session.macro("revetl_stored_as", identifier=table))
    counts = [f.warehouse.query(f"select count(*) from {store.relation(of)}")[0][0] for of in (table, stored)]
    return int(counts[0]), int(counts[1])


@contextmanager
def before_each(
    monkeypatch: pytest.MonkeyPatch, session: DbtSession, step: Callable[[int, str], None]
) -> Iterator[None]:
    """Calls `step` with number and text before each statement of which a log is written anew."""
    count, run = itertools.count(1), session.run

    def watched(statements: Sequence[str]) -> None:
        if session.has_transactions:
            run(statements)
            return
        for statement in statements:
            if "__next" in statement or statement.rstrip("`").endswith("__log"):
                step(next(count), statement)
            run([statement])
            if " rename to " in statement:  # the view on it comes next
                step(next(count), statement)

    with monkeypatch.context() as patch:
        patch.setattr(session, "run", watched)
        yield


def test_a_log_is_written_anew_when_it_has_grown(flow: Make, warehouse: Warehouse) -> None:
    f = flow(Fake(people(records=500)), **SPEC)
    sizes = []
    for word in ("a", "b", "c", "d", "e"):
        write(warehouse, word, range(1_500))
        f.run()
        sizes.append(rows_of(f, "ledger"))
    assert [shown for shown, _ in sizes] == [1_500] * 5
    assert [stored for _, stored in sizes] == ([1_500, 3_000, 4_500, 1_500, 3_000] if keeps_logs(f) else [1_500] * 5)
    assert f.destination.contents() == {(n,): {"Name": f"e{n}"} for n in range(1_500)}
    assert not warehouse.notices
    write(warehouse, "e", range(1, 1_501))
    result = f.run()
    assert (result.totals.created, result.totals.updated, result.totals.deleted) == (1, 0, 1)
    assert f.run().status == "noop"


def test_many_small_appends_are_made_one(flow: Make, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compacting, "MOST_APPENDS", 3)
    f = flow(**SPEC, rejected={"max_attempts": 9})
    write(warehouse, "a")
    f.run()
    stored = []
    f.destination.faults = Refuses()
    for word in ("b", "c", "d"):
        write(warehouse, word)
        assert f.run().totals.rejected == 6
        stored.append(rows_of(f, "rejected"))
    assert stored == ([(6, 6), (6, 12), (6, 6)] if keeps_logs(f) else [(6, 6)] * 3)
    f.destination.faults = Faults()
    assert f.run().totals.updated == 6
    assert rows_of(f, "rejected")[0] == 0
    assert f.run().status == "noop"


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every log that is more than its table shows is written anew."""
    monkeypatch.setattr(compacting, "LEAST_ROWS", 1)
    monkeypatch.setattr(compacting, "GROWN", 2)


@pytest.mark.usefixtures("eager")
def test_a_run_that_is_killed_at_any_statement_loses_nothing(
    flow: Make, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    f = flow(**SPEC)
    write(warehouse, "a")
    f.run()
    kills = 0
    for nth in itertools.count(1):
        write(warehouse, f"b{nth}_")

        def die(number: int, statement: str, last: int = nth) -> None:
            if number == last:
                raise Killed(statement)

        try:
            with before_each(monkeypatch, warehouse.session, die):
                f.run()
        except Killed:
            kills += 1
        else:
            break
        assert f.run(store=warehouse.new_store()).status == "noop"
        assert f.ledger_rows() == {(n,): {"Id": n, "Name": f"b{nth}_{n}"} for n in range(6)}
    assert kills == (5 if keeps_logs(f) else 0)
    assert rows_of(f, "ledger") == (6, 6)
    assert f.run().status == "noop"
    assert len(f.destination.contents()) == 6


@pytest.mark.usefixtures("eager")
def test_a_run_of_another_sync_may_finish_it(flow: Make, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    f = flow(**SPEC)
    write(warehouse, "a")
    f.run()
    others = []

    def begin(number: int, statement: str) -> None:
        if " rename to " in statement and not others:
            others.append(warehouse.new_store())
            others[0].prepare()

    write(warehouse, "b")
    with before_each(monkeypatch, warehouse.session, begin):
        result = f.run()
    assert (result.status, result.totals.updated) == ("success", 6)
    assert len(others) == keeps_logs(f)
    assert rows_of(f, "ledger") == (6, 6)
    assert f.run().status == "noop"


@pytest.mark.usefixtures("eager")
def test_a_run_that_has_lost_its_lease_leaves_the_log_to_the_other(flow: Make, warehouse: Warehouse) -> None:
    f = flow(**SPEC)
    write(warehouse, "a")
    f.run()
    ledger, calls = identifier(f, "ledger"), itertools.count(1)
    relation = warehouse.store.relation(ledger)

    def append() -> None:
        again = f"select k_id, 'b' as f_name from {relation}"
        warehouse.run(
            *warehouse.session.macro("revetl_insert", relation=relation, names=["k_id", "f_name"], query=again)
        )

    def keep() -> None:
        if next(calls) == 2:
            append()  # the run that has it now
            raise LeaseHeldError("it was lost")

    if keeps_logs(f):
        append()
    compact(warehouse.store, ledger, ["k_id"], keep)
    kept = [(6, 18), f"The log of {relation} stays as large as it is: it was lost"]
    assert [rows_of(f, "ledger"), *warehouse.notices] == (kept if keeps_logs(f) else [(6, 6)])


@pytest.mark.usefixtures("eager")
def test_a_new_log_that_cannot_take_its_place_is_an_error(
    flow: Make, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    f = flow(**SPEC)
    write(warehouse, "a")
    f.run()

    def refuse(number: int, statement: str) -> None:
        if statement.startswith("alter table "):
            raise WarehouseError("not now")

    write(warehouse, "b")
    with before_each(monkeypatch, warehouse.session, refuse):
        result = f.run()
    assert result.status == ("error" if keeps_logs(f) else "success"), result.message
    assert f.run(store=warehouse.new_store()).status == "noop"
    assert rows_of(f, "ledger") == (6, 6)


def test_a_shared_log_that_a_person_writes_anew_is_finished_too(flow: Make, warehouse: Warehouse) -> None:
    """Every table of ours that another was taking the place of has its own key (docs/reference/warehouses.md)."""
    write(warehouse, "a")
    flows = [flow(name=name, **SPEC) for name in ("people", "others")]
    for f in flows:
        f.run()
    store = warehouse.store
    table = store.tables["revetl_syncs"]
    new, old = (
        str(warehouse.session.macro("revetl_beside", relation=table, suffix=suffix))
        for suffix in ("__next", "__log" if keeps_logs(flows[0]) else "")
    )
    own = "cast(1 as bigint) as _version, false as _gone, " if keeps_logs(flows[0]) else ""
    columns = ", ".join(name for name, _ in store.columns(warehouse.session.database, store.schema, "revetl_syncs"))
    warehouse.run(f"create table {new} as select {own}{columns} from {table}", f"drop table {old}")
    assert [f.run(store=warehouse.new_store()).status for f in flows] == ["noop", "noop"]
