"""Vendors' asynchronous jobs: used from a number of changes on, waited for, taken up again by the next run."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from revetl_dbt.destinations.base import (
    Bulk,
    ColumnType,
    Destination,
    DestinationError,
    FatalError,
    FieldInfo,
    Limits,
    Operation,
    Outcome,
    Pending,
    RateLimitedError,
    Reference,
    Status,
)

from .fake import Fake, Faults, people
from .harness import Flow, Warehouse, accounted

Make = Callable[..., Flow]
SPEC = {"key": ("id",), "match": {"Email": "email"}, "fields": {"Name": {"column": "name"}}}
JOBS = {
    operation: Bulk(Limits(10), threshold=4) for operation in (Operation.UPSERT, Operation.UPDATE, Operation.CREATE)
}


def write(warehouse: Warehouse, names: list[str]) -> None:
    lines = [{"id": str(n), "email": f"'p{n}@x'", "name": f"'{name}'"} for n, name in enumerate(names)]
    warehouse.table("people", {"id": "integer", "email": "varchar", "name": "varchar"}, lines)


def fake(**more: object) -> Fake:
    return Fake(people(bulk=JOBS), **more)  # type: ignore[arg-type] # passed on


def test_jobs_are_used_from_the_threshold_on(flow: Make, warehouse: Warehouse) -> None:
    f = flow(fake(), **SPEC)
    write(warehouse, ["a", "b", "c"])
    assert f.run().totals.created == 3
    assert (f.destination.submitted, f.destination.requests) == (0, 1)
    write(warehouse, ["a", "b", "c", *"x" * 23])
    result = f.run()
    assert result.totals.created == 23
    assert f.destination.submitted == 3
    accounted(result)
    assert f.run().status == "noop"


def test_a_job_is_asked_until_it_ends(flow: Make, warehouse: Warehouse) -> None:
    f = flow(fake(), **SPEC)
    write(warehouse, [*"abcde"])
    answers = [Pending(0.001), RateLimitedError("slowly", retry_after=0.0), Pending(0.0)]

    def progress(job: str) -> Pending | None:
        answer = answers.pop() if answers else None
        if isinstance(answer, DestinationError):
            raise answer
        return answer

    f.destination.progress = progress
    assert f.run().totals.created == 5
    assert f.destination.polls == 4


def test_what_a_job_refuses_for_a_passing_reason_is_sent_in_smaller_company(flow: Make, warehouse: Warehouse) -> None:
    class Locked(Faults):
        def verdict(self, change: object, nth: int) -> Outcome | None:
            return Outcome(change.seq, Status.RETRY, None, "row_lock", "locked") if nth == 1 else None  # type: ignore[attr-defined]

    f = flow(fake(faults=Locked()), **SPEC)
    f.concurrency = 1
    write(warehouse, [*"abcdefgh"])
    assert f.run().totals.created == 8
    assert f.destination.submitted == 3


@pytest.mark.parametrize("mode", ["upsert", "create"])
def test_a_job_that_outlives_its_run_is_taken_up(flow: Make, warehouse: Warehouse, mode: str) -> None:
    f = flow(fake(), **SPEC, mode=mode)
    write(warehouse, [*"abcdefghijklmn"])
    stop = threading.Event()

    def stopped(job: str) -> Pending:
        stop.set()
        return Pending(60.0)

    f.destination.progress = stopped
    first = f.run(stop=stop)
    assert first.status == "error"
    assert first.not_attempted == 14
    submitted = f.destination.submitted
    f.destination.progress = lambda job: None
    f.run()
    assert f.listener.notices == [f"Recovered {submitted} batches of `people` from an interrupted run"]
    written = [change.key for _, change in f.destination.written]
    assert sorted(written) == sorted(set(written)), "sent twice"
    assert len(written) == 14
    assert f.run().status == "noop"


def test_a_job_of_updates_is_taken_up_with_what_it_was_given(flow: Make, warehouse: Warehouse) -> None:
    f = flow(fake(), **SPEC | {"fields": {"Name": {"column": "name"}, "Note": {"column": "note", "if_null": "skip"}}})
    columns = {"id": "integer", "email": "varchar", "name": "varchar", "note": "varchar"}
    rows = [{"id": str(n), "email": f"'p{n}@x'", "name": f"'n{n}'", "note": "null"} for n in range(6)]
    warehouse.table("people", columns, rows)
    assert f.run().totals.created == 6
    warehouse.table("people", columns, [row | {"name": "'other'"} for row in rows])
    stop = threading.Event()

    def stopped(job: str) -> Pending:
        stop.set()
        return Pending(60.0)

    f.destination.progress = stopped
    assert f.run(stop=stop).not_attempted == 6
    f.destination.progress = lambda job: None
    f.run()
    assert f.listener.notices[-1] == "Recovered 1 batches of `people` from an interrupted run"
    assert f.run().status == "noop"


def test_a_job_that_never_began_is_planned_again(flow: Make, warehouse: Warehouse) -> None:
    f = flow(fake(), **SPEC)
    f.concurrency = 1
    write(warehouse, [*"abcdefgh"])
    f.destination.progress = _refuse
    assert f.run().status == "error"
    f.destination.jobs.clear()
    f.destination.progress = lambda job: None
    again = f.run()
    assert again.status == "success"
    assert again.totals.done == 8


def test_a_vendor_that_cannot_say_keeps_the_job_for_the_next_run(flow: Make, warehouse: Warehouse) -> None:
    f = flow(fake(), **SPEC)
    f.concurrency = 1
    write(warehouse, [*"abcdefgh"])
    f.destination.progress = _refuse
    for _ in range(3):
        result = f.run()
        assert result.status == "error"
        assert "not now" in (result.message or "")
    assert f.destination.submitted == 1
    f.destination.progress = lambda job: None
    assert f.run().status == "noop"
    assert len(f.ledger_rows()) == 8


def _refuse(job: str) -> Pending:
    raise FatalError("not now")


def test_a_field_that_is_not_there_is_created_on_request(flow: Make, warehouse: Warehouse) -> None:
    made: list[tuple[str, ColumnType]] = []

    class Describing(Fake):
        def describe(self, object: str) -> list[FieldInfo]:  # noqa: A002
            return [FieldInfo("Email", "email", unique=True)]

        def create_field(self, object: str, name: str, column: ColumnType) -> FieldInfo:  # noqa: A002
            made.append((name, column))
            return FieldInfo(name, "string")

    destination: Destination = Describing(people(described=True, creates_fields=True))
    f = flow(destination, **SPEC)
    write(warehouse, ["a"])
    refused = f.run()
    assert refused.status == "error"
    assert "has no field `Name`" in (refused.message or "")
    assert "create_fields: true" in (refused.message or "")
    f.remap(create_fields=True)
    assert f.run().status == "success"
    assert made == [("Name", ColumnType.TEXT)]
    assert f.listener.notices == ["Created `Name` in `fake.people`"]


def test_a_vendor_that_resolves_references_is_not_asked_for_ids(flow: Make, warehouse: Warehouse) -> None:
    f = flow(
        Fake(people(references=True)),
        key=("id",),
        match={"Email": "email"},
        fields={"Boss": {"lookup": {"object": "people", "match": {"Name": "name"}}}},
    )
    write(warehouse, ["a"])
    f.run()
    assert f.destination.reads == 0
    assert f.destination.contents() == {("p0@x",): {"Boss": Reference("people", "Name", "a")}}


def test_removed_rows_are_erased_on_request(flow: Make, warehouse: Warehouse) -> None:
    f = flow(fake(), **SPEC, on_removed="erase")
    write(warehouse, [*"abc"])
    f.run()
    write(warehouse, [*"ab"])
    assert f.run().totals.deleted == 1
    assert len(f.destination.changes(Operation.ERASE)) == 1


def test_a_mode_erases_the_rows_of_the_model(flow: Make, warehouse: Warehouse) -> None:
    f = flow(fake(), key=("id",), match=SPEC["match"], mode="erase")
    f.destination.add("p0@x")
    write(warehouse, [*"ab"])
    assert f.run().totals.deleted == 2
    assert f.destination.records == {}
    assert f.run().status == "noop"
