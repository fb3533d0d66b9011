"""Rejected rows come back, are held after so many attempts, and are released when they change."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from revetl_dbt.destinations.base import (
    Batch,
    Change,
    DestinationError,
    FatalError,
    Operation,
    Outcome,
    QuotaExhaustedError,
    Status,
    UnknownOutcomeError,
)
from revetl_dbt.engine.result import SyncResult

from .fake import Fake, Faults, people
from .harness import Flow, Warehouse, accounted
from .kinds import LONG_YEARS

Make = Callable[..., Flow]
SPEC = {"match": {"Id": "id"}, "fields": {"Name": {"column": "name"}}, "rejected": {"max_attempts": 2}}


def write(warehouse: Warehouse, names: dict[int, str]) -> None:
    rows = [{"id": str(n), "name": f"'{name}'"} for n, name in names.items()]
    warehouse.table("people", {"id": "integer", "name": "varchar"}, rows)


class Picky(Faults):
    """Refuses a name, in words."""

    def __init__(self, name: str, status: Status = Status.REJECTED) -> None:
        self.name = name
        self.status = status

    def verdict(self, change: Change, nth: int) -> Outcome | None:
        if change.fields.get("Name") != self.name:
            return None
        return Outcome(change.seq, self.status, None, "NAME", f"“{self.name}” is not a name")


def told(result: SyncResult) -> tuple[str, int, int, int]:
    accounted(result)
    return result.status, result.totals.accepted, result.totals.rejected, result.held


def test_a_rejected_row_comes_back_is_held_and_is_released_when_it_changes(flow: Make, warehouse: Warehouse) -> None:
    f = flow(Fake(faults=Picky("bad")), **SPEC)
    write(warehouse, {1: "Ann", 2: "bad", 3: "Cid"})
    assert told(f.run()) == ("partial", 2, 1, 0)
    assert told(f.run()) == ("partial", 0, 1, 0)
    held = f.run()
    assert told(held)[1:] == (0, 0, 1)
    assert held.requests == 0
    assert f.plan() == [("held", "create", (2,))]
    assert [row[:4] for row in f.outcomes()] == [("2", "create", "rejected", "NAME")] * 2
    assert f.outcomes()[0][4] == "“bad” is not a name"
    assert f.run().unchanged == 2
    write(warehouse, {1: "Ann", 2: "Bea", 3: "Cid"})
    assert told(f.run()) == ("success", 1, 0, 0)
    assert f.run().status == "noop"


def test_held_rows_go_again_when_they_are_released_and_block_nobody(flow: Make, warehouse: Warehouse) -> None:
    f = flow(Fake(faults=Picky("bad")), **SPEC)
    write(warehouse, {1: "Ann", 2: "bad", 3: "bad"})
    f.run()
    f.run()
    assert f.run().held == 2
    write(warehouse, {1: "Bea", 2: "bad", 3: "bad", 4: "Cid"})
    released = f.run(release_held="rejected")
    assert told(released) == ("partial", 2, 2, 0)
    assert told(f.run()) == ("partial", 0, 2, 0)  # they count anew
    assert f.run().held == 2
    f.destination.faults = Faults()
    assert told(f.run(release_held="rejected")) == ("success", 2, 0, 0)
    assert f.run().status == "noop"


def test_rows_that_may_have_arrived_are_released_by_name_only(flow: Make, warehouse: Warehouse) -> None:
    class Deaf(Faults):
        def after(self, batch: Batch, outcomes: list[Outcome], nth: int) -> list[Outcome]:
            raise UnknownOutcomeError("the connection broke", code="connection")

    f = flow(
        Fake(people([Operation.APPEND], records=1), faults=Deaf()), **SPEC | {"match": {}}, key=("id",), mode="append"
    )
    write(warehouse, {1: "Ann"})
    assert f.run().totals.unknown == 1
    f.destination.faults = Faults()
    f.remap(rejected=f.sync.spec.rejected.model_copy(update={"max_attempts": 99}))
    assert f.run().held == 1  # more attempts are no leave
    assert f.run(release_held="rejected").held == 1
    assert f.run(release_held="unknown too").totals.created == 1
    assert len(f.destination.events) == 2


def test_different_reasons_are_bounded(flow: Make, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("revetl_dbt.engine.sending.MOST_REASONS", 3)

    class Wordy(Faults):
        def verdict(self, change: Change, nth: int) -> Outcome | None:
            return Outcome(change.seq, Status.REJECTED, None, None, f"refusal {chr(97 + change.key[0])}{'z' * 9}")

    f = flow(Fake(faults=Wordy()), **SPEC)
    write(warehouse, dict.fromkeys(range(9), "Ann"))
    result = f.run()
    accounted(result)
    assert (len(result.totals.reasons), result.totals.reasons["other reasons"]) == (4, 6)


def test_a_changed_row_starts_to_count_anew(flow: Make, warehouse: Warehouse) -> None:
    f = flow(Fake(faults=Picky("bad")), **SPEC)
    write(warehouse, {1: "bad"})
    f.run()
    f.run()
    f.destination.faults = Picky("worse")
    write(warehouse, {1: "worse"})
    assert told(f.run()) == ("partial", 0, 1, 0)
    assert told(f.run()) == ("partial", 0, 1, 0)
    assert told(f.run())[1:] == (0, 0, 1)


def test_a_rejected_change_that_is_taken_back_is_nothing(flow: Make, warehouse: Warehouse) -> None:
    f = flow(**SPEC)
    write(warehouse, {1: "Ann"})
    f.run()
    f.destination.faults = Picky("bad")
    write(warehouse, {1: "bad"})
    assert told(f.run()) == ("partial", 0, 1, 0)
    write(warehouse, {1: "Ann"})
    assert f.run().status == "noop"
    assert f.destination.contents() == {(1,): {"Name": "Ann"}}


def test_rejected_rows_do_not_hold_up_the_others(flow: Make, warehouse: Warehouse) -> None:
    f = flow(Fake(faults=Picky("bad")), **SPEC)
    for round_ in range(4):
        write(warehouse, {n: "bad" if n < 10 else f"Ann {round_}" for n in range(20)})
        assert f.run().totals.accepted == 10
    assert len(f.destination.contents()) == 10


def test_a_rejected_delete_is_held_too(flow: Make, warehouse: Warehouse) -> None:
    class Keeping(Faults):
        def before(self, batch: Batch, nth: int) -> None:
            self.deleting = batch.operation is Operation.DELETE

        def verdict(self, change: Change, nth: int) -> Outcome | None:
            return Outcome(change.seq, Status.REJECTED, None, "KEEP", "cannot go") if self.deleting else None

    f = flow(Fake(faults=Keeping()), **SPEC, on_removed="delete")
    write(warehouse, {1: "Ann", 2: "Bea"})
    f.run()
    write(warehouse, {1: "Ann"})
    assert told(f.run()) == ("partial", 0, 1, 0)
    assert told(f.run()) == ("partial", 0, 1, 0)
    assert told(f.run())[1:] == (0, 0, 1)
    write(warehouse, {1: "Ann", 2: "Bea"})
    assert f.run().status == "noop"


@pytest.mark.parametrize("operation", [Operation.CREATE, Operation.APPEND])
def test_an_unknown_outcome_is_reported_and_not_sent_again(
    flow: Make, warehouse: Warehouse, operation: Operation
) -> None:
    class Deaf(Faults):
        def after(self, batch: Batch, outcomes: list[Outcome], nth: int) -> list[Outcome]:
            raise UnknownOutcomeError("the connection broke", code="connection")

    match = {"Id": "id"} if operation is Operation.CREATE else {}
    f = flow(
        Fake(people(records=2, reads=False), faults=Deaf()),
        **SPEC | {"match": match},
        key=("id",),
        mode=operation.value,
    )
    write(warehouse, {1: "Ann", 2: "Bea", 3: "Cid"})
    result = f.run()
    accounted(result)
    assert (result.status, result.totals.unknown) == ("partial", 3)
    assert {row[2:] for row in f.outcomes()} == {("unknown", "connection", "the connection broke")}
    f.destination.faults = Faults()
    for _ in range(3):
        again = f.run()
        assert (again.held, again.requests) == (3, 0)
    assert len(f.destination.changes()) == 3


@pytest.mark.parametrize("error", [QuotaExhaustedError("no more today"), FatalError("forbidden")])
def test_what_was_not_attempted_waits_for_the_next_run(
    flow: Make, warehouse: Warehouse, error: DestinationError
) -> None:
    class Closing(Faults):
        def before(self, batch: Batch, nth: int) -> None:
            if any(change.key == (7,) for change in batch.changes):
                raise error

    f = flow(Fake(people(records=2), faults=Closing()), **SPEC)
    f.concurrency = 1
    write(warehouse, dict.fromkeys(range(12), "Ann"))
    result = f.run()
    accounted(result)
    assert (result.status, result.message) == ("error", f"fake: {error}")
    assert result.totals.accepted + result.not_attempted == result.planned == 12
    assert 0 < result.not_attempted < 12
    assert f.history()["not_attempted"] == result.not_attempted
    assert set(f.destination.contents()) == set(f.ledger_rows())
    f.destination.faults = Faults()
    assert told(f.run()) == ("success", result.not_attempted, 0, 0)


@pytest.mark.skipif(not LONG_YEARS, reason="BigQuery's last year is 9999")
@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamp with time zone"])
def test_a_year_that_most_tools_do_not_know_is_refused_alone(flow: Make, warehouse: Warehouse, kind: str) -> None:
    seen = {1: "2024-02-29", 2: "20204-02-29", 3: "2024-03-01"}
    rest = "" if kind == "date" else " 00:00:00+00"
    rows = [{"id": str(n), "name": f"cast('{day}{rest}' as {warehouse.type(kind)})"} for n, day in seen.items()]
    warehouse.table("people", {"id": "integer", "name": kind}, rows)
    f = flow(**SPEC)
    result = f.run()
    assert told(result) == ("partial", 2, 1, 0)
    assert result.totals.reasons == {"value": 1}
    assert sorted(change.match["Id"] for _, change in f.destination.written) == [1, 3]
    assert f.plan() == [("create", None, (2,))]


class Verbose(Faults):
    """Refuses every row with a page of megabytes, and a code as long."""

    def verdict(self, change: Change, nth: int) -> Outcome | None:
        return Outcome(change.seq, Status.REJECTED, None, "C" * 1_000_000, "no " * 1_000_000)


def test_a_reason_of_megabytes_is_kept_short(flow: Make, warehouse: Warehouse) -> None:
    f = flow(Fake(faults=Verbose()), **SPEC)
    write(warehouse, {1: "Ann", 2: "Bea"})
    result = f.run()
    assert result.totals.rejected == 2
    assert max(map(len, result.totals.reasons)) < 3_000
    assert [(len(code) < 3_000, len(message) < 3_000) for *_, code, message in f.outcomes()] == [(True, True)] * 2
