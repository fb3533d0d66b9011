"""The queue in the warehouse: what waits is taken once, held, and taken again when its worker dies."""

from __future__ import annotations

import threading

import pytest

from revetl_dbt.warehouse.queue import MAX_TAKEN, Queue
from revetl_dbt.warehouse.store import holder

from .harness import Warehouse

MODEL, TEST = "model.harness.people", "test.harness.unique_people"
NOBODY = f"{holder().rpartition(' pid ')[0]} pid {2**22 + 1}"  # beyond the largest pid that Linux gives


@pytest.fixture
def table(warehouse: Warehouse) -> str:
    warehouse.store.prepare()
    return warehouse.store.tables["revetl_queue"]


def put(warehouse: Warehouse, *ids: str, target: str = "dev", invocation: str = "i1") -> None:
    for unique_id in ids:
        row = {"unique_id": unique_id, "status": "success", "tested": MODEL if unique_id == TEST else None}
        row |= {"invocation_id": invocation, "command": "build", "target": target, "state": "waiting", "attempts": 0}
        row |= {"started_at": "2026-11-28 10:00:00"}
        warehouse.run(*warehouse.store.insert("revetl_queue", row, "queued_at"))


def states(warehouse: Warehouse, table: str) -> set[tuple[str, str | None, int, str | None]]:
    return set(warehouse.query(f"select state, worker, attempts, run_id from {table}"))


def test_what_one_worker_has_taken_no_other_takes(warehouse: Warehouse, table: str) -> None:
    put(warehouse, MODEL, TEST)
    one, two = Queue(warehouse.store, "one"), Queue(warehouse.store, "two")
    taken = one.take()
    assert [(entry.unique_id, entry.tested, entry.command) for entry in taken] == [
        (MODEL, (), "build"),
        (TEST, (MODEL,), "build"),
    ]
    assert two.take() == []
    one.finish([MODEL], "done", "r1")
    assert states(warehouse, table) == {("done", "one", 1, "r1"), ("taken", "one", 1, None)}
    one.give_back()
    assert [entry.unique_id for entry in two.take()] == [TEST]
    one.finish([TEST], "done", "r1")  # it is not one's any more
    assert states(warehouse, table) == {("done", "one", 1, "r1"), ("taken", "two", 1, None)}


def test_of_many_that_ask_at_once_one_gets_it(warehouse: Warehouse, table: str) -> None:
    for round_ in range(3):
        put(warehouse, MODEL, invocation=f"i{round_}")
        together, got = threading.Barrier(4), list[int]()

        def ask(name: str, together: threading.Barrier = together, got: list[int] = got) -> None:
            queue = Queue(warehouse.store, name)
            together.wait()
            got.append(len(queue.take()))
            queue.finish([MODEL], "done", "r1")

        threads = [threading.Thread(target=ask, args=(f"worker {round_} {n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(got) == [0, 0, 0, 1]


def test_entries_of_a_dead_worker_are_taken_again(warehouse: Warehouse, table: str) -> None:
    put(warehouse, MODEL)
    assert len(Queue(warehouse.store, NOBODY).take()) == 1
    assert len(Queue(warehouse.store, "two").take()) == 1  # at once: that process of this machine is no more
    assert Queue(warehouse.store, "three").take() == []
    warehouse.run(f"update {table} set leased_until = timestamp '2020-01-01 00:00:00'")
    assert len(Queue(warehouse.store, "three").take()) == 1
    assert states(warehouse, table) == {("taken", "three", 3, None)}


def test_an_entry_that_ends_worker_after_worker_is_given_up(warehouse: Warehouse, table: str) -> None:
    put(warehouse, MODEL)
    for _ in range(MAX_TAKEN):
        assert len(Queue(warehouse.store, NOBODY).take()) == 1
    put(warehouse, TEST)
    assert [entry.unique_id for entry in Queue(warehouse.store, "two").take()] == [TEST]
    rows = warehouse.query(f"select state, message from {table} where unique_id = '{MODEL}'")
    assert rows == [("failed", f"taken {MAX_TAKEN} times, and no worker came to its end")]


def test_a_lease_is_renewed_while_the_work_lasts(
    warehouse: Warehouse, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(warehouse, MODEL)
    queue = Queue(warehouse.store, "one")
    queue.take()
    warehouse.run(f"update {table} set leased_until = timestamp '2020-01-01 00:00:00'")
    monkeypatch.setattr("revetl_dbt.warehouse.queue.LEASE_SECONDS", 0.04)
    renewed, renew = threading.Event(), queue._run

    def watched(macro: str, **arguments: object) -> None:
        renew(macro, **{**arguments, "seconds": 120} if "seconds" in arguments else arguments)
        if macro == "revetl_renew_queued":
            renewed.set()

    monkeypatch.setattr(queue, "_run", watched)
    with queue.held():
        assert renewed.wait(20)
        assert Queue(warehouse.store, "two").take() == []
    assert states(warehouse, table) == {("waiting", None, 0, None)}


def test_a_target_has_entries_of_its_own(warehouse: Warehouse, table: str) -> None:
    put(warehouse, MODEL, target="prod")
    queue = Queue(warehouse.store, "one")
    assert (queue.take(), queue.peek()) == ([], [])
    assert queue.of_other_targets() == {"prod": 1}


def test_old_entries_are_forgotten_when_they_have_ended(warehouse: Warehouse, table: str) -> None:
    put(warehouse, MODEL, TEST)
    queue = Queue(warehouse.store, "one")
    queue.take()
    queue.finish([MODEL], "done", "r1")
    queue.clean()
    assert len(states(warehouse, table)) == 2
    warehouse.run(f"update {table} set finished_at = timestamp '2020-01-01 00:00:00'")
    queue.clean()
    assert states(warehouse, table) == {("taken", "one", 1, None)}


def test_the_queue_may_be_there_before_all_other_tables(warehouse: Warehouse) -> None:
    session, store = warehouse.session, warehouse.store
    columns = session.macro("revetl_shared_tables")["revetl_queue"]
    create = session.macro("revetl_create_table", relation=store.tables["revetl_queue"], columns=columns)
    warehouse.run(f"create schema {session.relation_schema(store.schema)}", create)
    put(warehouse, MODEL)
    fresh = warehouse.new_store()
    fresh.prepare()
    assert warehouse.notices == []
    assert len(Queue(fresh, "one").take()) == 1
