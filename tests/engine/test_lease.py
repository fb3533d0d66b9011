"""One sync is sent by one run at a time; a DuckDB file that somebody else has is waited for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from revetl_dbt.destinations.base import Batch
from revetl_dbt.engine import sync_run
from revetl_dbt.engine.lease import Lease
from revetl_dbt.engine.pacing import StoppedError
from revetl_dbt.engine.result import SyncResult
from revetl_dbt.errors import LeaseHeldError, WarehouseError
from revetl_dbt.warehouse import store as store_module
from revetl_dbt.warehouse.store import holder

from .harness import Flow, Warehouse

Make = Callable[..., Flow]
HERE = holder().rpartition(" pid ")[0]
NOBODY = 2**22 + 1  # beyond the largest pid that Linux gives


@pytest.fixture
def people(flow: Make, warehouse: Warehouse) -> Flow:
    rows = [{"id": str(n), "name": "'Ann'"} for n in range(8)]
    warehouse.table("people", {"id": "integer", "name": "varchar"}, rows)
    return flow(match={"Id": "id"}, fields={"Name": {"column": "name"}})


def hold(warehouse: Warehouse, holder: str, seconds: int = 60) -> None:
    """A lease of another run."""
    store = warehouse.store
    store.prepare()
    who = {"sync": "'people'", "account": "'acme'", "run_id": "'other-run'", "holder": f"'{holder}'"}
    until = str(store.session.macro("revetl_seconds_from_now", seconds=seconds))
    warehouse.insert("revetl_leases", **who, acquired_at=store.now(), expires_at=until)


@pytest.mark.usefixtures("two_machines")
def test_a_second_run_is_refused_while_the_first_sends(people: Flow, warehouse: Warehouse, tmp_path: Path) -> None:
    second = replace(people, journal_dir=tmp_path / "second", results=[])
    refused: list[SyncResult] = []

    def meanwhile(batch: Batch) -> None:
        people.destination.hold = lambda batch: None
        refused.append(second.run(store=warehouse.new_store()))

    people.concurrency = 1
    people.destination.hold = meanwhile
    assert people.run().status == "success"
    (result,) = refused
    assert result.status == "error"
    pattern = (
        rf"Sync `people` is being sent by another run \({re.escape(HERE)} pid {os.getpid()}, since [-\d :.]+ UTC\)"
    )
    assert re.match(pattern, result.message or "")
    assert len(people.destination.changes()) == 8
    assert second.run().status == "noop"


@pytest.mark.parametrize(
    ("holder", "seconds", "status"),
    [
        (f"{HERE} pid {NOBODY}", 60, "success"),  # the process is gone
        (f"elsewhere pid {NOBODY}", 60, "error"),  # who knows
        (f"{HERE} pid {os.getppid()}", 60, "error"),  # it is there
        (f"{HERE.partition('/')[0]}/another pid {NOBODY}", 60, "error"),  # a machine or container of the same name
        ("elsewhere pid 1", -1, "success"),  # its time is over
        ("an unreadable holder", 60, "error"),
    ],
)
def test_who_holds_and_how_long(people: Flow, warehouse: Warehouse, holder: str, seconds: int, status: str) -> None:
    hold(warehouse, holder, seconds)
    result = people.run()
    assert result.status == status
    if status == "error":
        assert holder in (result.message or "")
        assert people.destination.requests == 0


def test_of_runs_at_the_same_moment_one_gets_it(warehouse: Warehouse) -> None:
    warehouse.store.prepare()
    barrier, won, lost = threading.Barrier(6), list[str](), list[str]()

    def take(run_id: str) -> None:
        store = warehouse.new_store()
        barrier.wait()
        try:
            store.take_lease("people", "acme", run_id)
            won.append(run_id)
        except LeaseHeldError:
            lost.append(run_id)

    threads = [threading.Thread(target=take, args=(f"run-{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 5)
    warehouse.store.renew_lease("people", "acme", won[0])
    warehouse.store.release_lease("people", "acme", won[0])
    warehouse.store.take_lease("people", "acme", "the-next")


def test_a_lease_that_was_lost_cannot_be_renewed(warehouse: Warehouse) -> None:
    store = warehouse.store
    store.prepare()
    store.take_lease("people", "acme", "mine")
    store.renew_lease("people", "acme", "mine")
    with pytest.raises(LeaseHeldError, match="`people` was lost"):
        store.renew_lease("people", "acme", "yours")
    store.release_lease("people", "acme", "yours")
    store.renew_lease("people", "acme", "mine")
    store.take_lease("people", "globex", "yours")
    store.take_lease("others", "acme", "yours")


def test_a_lease_is_given_back_whatever_happens(people: Flow, warehouse: Warehouse) -> None:
    people.remap(where="no_such_column = 1")
    assert people.run().status == "error"
    assert warehouse.query(f"select * from {warehouse.store.tables['revetl_leases']}") == []


HOLDER = """
import sys, duckdb
held = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "r")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["r", "w"])
def other_process(warehouse: Warehouse, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """Another process has the warehouse's file open; it ends when its stdin is closed."""
    if not warehouse.is_duckdb:
        pytest.skip("only DuckDB's file is locked")
    ((file,),) = warehouse.query("select path from duckdb_databases() where not internal")
    warehouse.store.release()
    command = [sys.executable, "-c", HOLDER, file, request.param]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def test_a_file_that_stays_locked(
    people: Flow, warehouse: Warehouse, other_process: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "LOCK_WAIT_SECONDS", 0.0)
    with pytest.raises(WarehouseError) as caught:
        people.run()
    assert str(caught.value).startswith("The DuckDB file is still held by another process after 0 s: ")
    assert f"PID {other_process.pid}" in str(caught.value)
    assert people.destination.requests == 0


def test_a_file_that_comes_free(people: Flow, warehouse: Warehouse, other_process: subprocess.Popen[str]) -> None:
    told: list[str] = []

    def notice(text: str) -> None:
        told.append(text)
        assert other_process.stdin is not None
        other_process.stdin.close()
        other_process.wait()

    store = warehouse.new_store()
    store._notice = notice
    assert people.run(store=store).status == "success"
    assert len(told) == 1
    assert told[0].startswith("Waiting for the DuckDB file: ")
    assert f"PID {other_process.pid}" in told[0]


WRITER = """
import sys, time, duckdb
until = time.monotonic() + 3
while True:
    try:
        with duckdb.connect(sys.argv[1]) as own:
            own.execute("create or replace table of_another_tool as select 1 as n")
        break
    except duckdb.IOException:
        if time.monotonic() > until:
            raise
        time.sleep(0.02)
"""


def test_the_file_is_free_while_batches_are_in_flight(flow: Make, warehouse: Warehouse) -> None:
    """Another tool writes to it while one batch takes its time, and others come back all the while."""
    if not warehouse.is_duckdb:
        pytest.skip("only DuckDB's file is locked")
    ((file,),) = warehouse.query("select path from duckdb_databases() where not internal")
    rows = [{"id": str(n), "name": "'Ann'"} for n in range(400)]
    warehouse.table("people", {"id": "integer", "name": "varchar"}, rows)
    people = flow(match={"Id": "id"}, fields={"Name": {"column": "name"}})
    slow, written = threading.Lock(), threading.Event()

    def hold(batch: Batch) -> None:
        if slow.acquire(blocking=False):
            subprocess.run([sys.executable, "-c", WRITER, file], check=True, timeout=60)
            written.set()
        written.wait(0.05)

    people.destination.hold = hold
    assert people.run().totals.created == 400
    assert written.is_set()
    warehouse.run("drop table main.of_another_tool")


def test_two_that_were_let_in_at_once_give_way(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine without constraints lets two insert a lease, neither of whom sees the other in time."""
    monkeypatch.setattr(store_module, "LEASE_PAUSES", (0.0,))
    store = warehouse.store
    store.prepare()
    ask = store._ask_for_lease

    def both(sync: str, account: str, run_id: str) -> list[tuple[object, ...]]:
        return [*ask(sync, account, run_id), ("other-run", "elsewhere pid 7", "noon", "one")]

    monkeypatch.setattr(store, "_ask_for_lease", both)
    with pytest.raises(LeaseHeldError, match=r"elsewhere pid 7, since noon UTC"):
        store.take_lease("people", "acme", "mine")
    assert warehouse.query(f"select * from {store.tables['revetl_leases']}") == []


def test_a_process_that_slept_asks_before_it_sends() -> None:
    moments, renewals = [0.0], list[float]()

    def renew() -> None:
        if moments[0] > 1000:
            raise LeaseHeldError("lost")
        renewals.append(moments[0])

    lease = Lease(renew, clock=lambda: 0.0, wall=lambda: moments[0])
    lease.check()
    assert renewals == []
    moments[0] = 61.0
    lease.check()
    lease.check()
    assert renewals == [61.0]
    moments[0] = 2000.0
    with pytest.raises(StoppedError, match="lost"):
        lease.check()
    moments[0] = 62.0
    with pytest.raises(StoppedError, match="ended"):
        lease.check()


@pytest.mark.parametrize("mode", ["upsert", "append"])
def test_nothing_leaves_after_the_lease_was_lost(
    flow: Make, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """A laptop sleeps with a batch in flight; its lease ends; it wakes up, and sends nothing more."""
    rows = [{"id": str(n), "name": "'Ann'"} for n in range(30)]
    warehouse.table("people", {"id": "integer", "name": "varchar"}, rows)
    match = {"match": {"Id": "id"}} if mode == "upsert" else {"key": ("id",), "match": {}}
    people = flow(mode=mode, fields={"Name": {"column": "name"}}, **match)
    people.concurrency = 1
    sleeps = [0.0]
    monkeypatch.setattr(sync_run, "Lease", partial(Lease, wall=lambda: sleeps[0]))

    def sleep(batch: Batch) -> None:
        sleeps[0] = 500.0
        warehouse.delete("revetl_leases")

    people.destination.hold = sleep
    result = people.run()
    assert result.status == "error"
    assert "lease" in (result.message or "")
    assert people.destination.requests == 1
