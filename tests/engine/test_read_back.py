"""Creates and events whose answer was lost: the destination is asked, and nothing is sent twice or dropped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from revetl_dbt.destinations.base import (
    Batch,
    Change,
    DestinationError,
    FatalError,
    Operation,
    Outcome,
    RetryableError,
    UnknownOutcomeError,
)

from .fake import Fake, Faults, people
from .harness import Flow, Warehouse, accounted

Make = Callable[..., Flow]
FIELDS = {"Name": {"column": "name"}, "N": {"column": "id"}}
CREATE = {"key": ("id",), "mode": "create", "match": {"Email": "email"}, "fields": FIELDS}
APPEND = {"key": ("id",), "mode": "append", "match": {}, "fields": FIELDS}


def write(warehouse: Warehouse, *names: str) -> None:
    rows = [{"id": str(n), "email": f"'{n}@x'", "name": f"'{name}'"} for n, name in enumerate(names)]
    warehouse.table("people", {"id": "integer", "email": "varchar", "name": "varchar"}, rows)


def fake(faults: Faults, *conclusive: str, **more: Any) -> Fake:
    return Fake(people(described=True, **more), conclusive=conclusive, faults=faults)


class Lossy(Faults):
    """The first answer is lost, of what was accepted or of what was not; the vendor may not be readable then."""

    def __init__(self, *, accepted: bool, unreadable: DestinationError | None = None) -> None:
        self.accepted = accepted
        self.unreadable = unreadable
        self.lost = False

    def before(self, batch: Batch, nth: int) -> None:
        if not self.accepted and not self.lost:
            self.lost = True
            raise UnknownOutcomeError("no answer", code="timeout")

    def after(self, batch: Batch, outcomes: list[Outcome], nth: int) -> list[Outcome]:
        if nth == 1 and self.accepted:
            raise UnknownOutcomeError("no answer", code="timeout")
        return outcomes

    def reading(self) -> None:
        if self.unreadable is not None:
            raise self.unreadable


@pytest.mark.parametrize(("spec", "unique"), [(CREATE, "Email"), (APPEND, "N")], ids=["create", "append"])
@pytest.mark.parametrize("accepted", [True, False])
def test_what_is_there_is_accepted_and_what_is_not_is_sent_again(
    flow: Make, warehouse: Warehouse, spec: dict[str, Any], unique: str, accepted: bool
) -> None:
    f = flow(fake(Lossy(accepted=accepted), unique), **spec)
    write(warehouse, "Ann", "Bea", "Cid", "Dan", "Eve", "Flo")
    result = f.run()
    assert (result.status, result.totals.created) == ("success", 6)
    assert len(f.destination.records) + len(f.destination.events) == 6
    assert len(f.destination.changes()) == 6
    ledger = f.ledger().layout.tables.ledger
    assert warehouse.query(f"select count(*) from {ledger} where _destination_id is null") == [(0,)]
    assert f.run().status == "noop"


def test_what_a_lagging_search_does_not_find_is_held(flow: Make, warehouse: Warehouse) -> None:
    """Without a conclusive field, what is found was accepted, and nobody can tell of the rest."""
    f = flow(fake(Lossy(accepted=True)), **CREATE)
    write(warehouse, "Ann")
    assert f.run().totals.created == 1
    f.destination.faults = Lossy(accepted=False)
    write(warehouse, "Ann", "Bea")
    result = f.run()
    assert (result.status, result.totals.unknown, result.totals.created) == ("partial", 1, 0)
    assert f.run().held == 1
    assert f.destination.contents() == {("0@x",): {"Name": "Ann", "N": 0}}


def test_an_event_is_not_found_by_whom_it_is_about(flow: Make, warehouse: Warehouse) -> None:
    destination = fake(Lossy(accepted=False))
    destination.add("0@x", Name="Ann", N=0)
    f = flow(destination, **{**APPEND, "match": {"Email": "email"}})
    write(warehouse, "Ann")
    assert (f.run().totals.unknown, f.destination.reads) == (1, 0)


def test_a_record_that_holds_something_else_is_not_taken_for_ours(flow: Make, warehouse: Warehouse) -> None:
    destination = fake(Lossy(accepted=False), "Email")
    destination.add("0@x", Name="theirs", N=0)
    f = flow(destination, **CREATE)
    write(warehouse, "Ann", "Bea")
    result = f.run()
    assert (result.totals.unknown, result.totals.created) == (1, 1)
    assert result.totals.reasons == {"differs": 1}
    assert f.destination.contents()["0@x",] == {"Name": "theirs", "N": 0}
    assert "Ann" not in f.outcomes()[0][4]


class Late(Faults):
    """A request arrives after its sender was told that nothing is there, and its rows are sent again."""

    def __init__(self) -> None:
        self.late: list[Change] = []

    def before(self, batch: Batch, nth: int) -> None:
        if not self.late:
            self.late = list(batch.changes)
            raise UnknownOutcomeError("no answer", code="timeout")

    def verdict(self, change: Change, nth: int) -> Outcome | None:
        if change in self.late:
            self.late.remove(change)
            self.fake._apply(self.operation, change)
        return None

    fake: Fake
    operation: Any


@pytest.mark.parametrize(("spec", "unique"), [(CREATE, "Email"), (APPEND, "N")], ids=["create", "append"])
def test_a_request_that_arrives_late_does_no_harm(
    flow: Make, warehouse: Warehouse, spec: dict[str, Any], unique: str
) -> None:
    faults = Late()
    f = flow(fake(faults, unique), **spec)
    faults.fake, faults.operation = f.destination, next(o for o in f.destination.kind.operations if o == spec["mode"])
    write(warehouse, "Ann", "Bea")
    result = f.run()
    assert (result.status, result.totals.created, result.totals.rejected) == ("success", 2, 0)
    assert len(f.destination.records) + len(f.destination.events) == 2


def test_a_vendor_that_cannot_be_read_now_is_asked_by_the_next_run(flow: Make, warehouse: Warehouse) -> None:
    """An outage does not make rows unknown that the vendor can tell of later."""
    f = flow(fake(Lossy(accepted=True, unreadable=RetryableError("busy")), "Email"), **CREATE)
    f.concurrency = 1
    write(warehouse, "Ann", "Bea", "Cid", "Dan", "Eve", "Flo")
    result = f.run()
    accounted(result)
    assert (result.status, result.not_attempted, result.totals.unknown) == ("error", 6, 0)
    f.destination.faults = Faults()
    result = f.run()
    # Whether the second batch had left as well, before the first one's trouble stopped the sync, is a matter of time.
    assert (result.status, result.totals.created) in {("noop", 0), ("success", 1)}
    assert result.unchanged + result.totals.created == 6
    assert len(f.destination.changes()) == 6


def test_a_vendor_that_does_not_tell_leaves_rows_unknown(flow: Make, warehouse: Warehouse) -> None:
    f = flow(fake(Lossy(accepted=True, unreadable=FatalError("no scope")), "Email"), **CREATE)
    write(warehouse, "Ann")
    assert (f.run().totals.unknown, f.run().held) == (1, 1)


class Dies(BaseException):
    """The end of a process."""


class Dying(Faults):
    """The process dies with the second batch in flight, before or after the destination has accepted it."""

    def __init__(self, *, accepted: bool) -> None:
        self.accepted = accepted
        self.batches = 0

    def before(self, batch: Batch, nth: int) -> None:
        self.batches += 1
        if self.batches == 2 and not self.accepted:
            raise Dies

    def after(self, batch: Batch, outcomes: list[Outcome], nth: int) -> list[Outcome]:
        if self.batches == 2 and self.accepted:
            raise Dies
        return outcomes


def die(f: Flow, journal: str) -> None:
    """A run that dies, after which nothing goes wrong; its journal is `here`, or `lost`."""
    f.concurrency = 1
    with pytest.raises(Dies):
        f.run()
    f.destination.faults = Faults()
    if journal == "lost":
        for file in f.journal_dir.iterdir():
            file.unlink()


def rename(f: Flow) -> None:
    """Give the sync another name."""
    spec = f.sync.spec.model_copy(update={"renamed_from": f.sync.name})
    f.sync = replace(f.sync, name="announcements", spec=spec)


@pytest.mark.parametrize("accepted", [True, False])
@pytest.mark.parametrize("journal", ["here", "lost"])
@pytest.mark.parametrize(("spec", "unique"), [(CREATE, "Email"), (APPEND, "N")], ids=["create", "append"])
def test_a_run_that_died_is_read_back_by_the_next(
    flow: Make, warehouse: Warehouse, spec: dict[str, Any], unique: str, journal: str, accepted: bool
) -> None:
    f = flow(fake(Dying(accepted=accepted), unique), **spec)
    write(warehouse, "Ann", "Bea", "Cid", "Dan", "Eve", "Flo", "Gus")
    die(f, journal)
    result = f.run()
    assert (result.status, result.totals.created) == ("noop" if accepted else "success", 0 if accepted else 2)
    assert len(f.destination.records) + len(f.destination.events) == 7
    assert f.run().status == "noop"


@pytest.mark.parametrize("mode", ["create", "append"])
def test_without_journal_and_without_reading_what_may_have_left_is_held(
    flow: Make, warehouse: Warehouse, mode: str
) -> None:
    """Another machine goes on: nothing is there twice, and it says of each row that it may be."""
    f = flow(fake(Dying(accepted=True), reads=False), **(CREATE if mode == "create" else APPEND))
    write(warehouse, *["Ann"] * 23)
    die(f, "lost")
    result = f.run()
    assert (result.status, result.unchanged, result.held, result.totals.created) == ("partial", 5, 5, 13)
    assert "5 rows were on their way" in (result.message or "")
    assert [row[3] for row in f.outcomes() if row[2] == "unknown"] == ["interrupted"] * 5
    assert len(f.destination.changes()) == 23
    assert f.run().status == "success"


@pytest.mark.parametrize("journal", ["here", "lost"])
def test_a_sync_that_gets_another_name_then_sends_nothing_twice(flow: Make, warehouse: Warehouse, journal: str) -> None:
    f = flow(fake(Dying(accepted=True), reads=False), **APPEND)
    write(warehouse, *["Ann"] * 23)
    die(f, journal)
    rename(f)
    result = f.run()
    assert (result.status, result.unchanged, result.held, result.totals.created) == ("partial", 5, 5, 13)
    assert len(f.destination.events) == 23
    assert not list(f.journal_dir.iterdir())
    assert f.run().status == "success"


class Keyed(Faults):
    """Remembers the idempotency key that each row was sent with; the process dies with the first batch."""

    def __init__(self) -> None:
        self.keys: dict[Any, set[str]] = defaultdict(set)
        self.died = False

    def before(self, batch: Batch, nth: int) -> None:
        for change in batch.changes:
            self.keys[change.key].add(batch.idempotency_key(change))
        if not self.died:
            self.died = True
            raise Dies


def test_what_is_sent_again_under_another_name_has_the_same_idempotency_key(flow: Make, warehouse: Warehouse) -> None:
    keyed = Keyed()
    f = flow(Fake(people(idempotent=Operation), faults=keyed), **APPEND)
    write(warehouse, "Ann", "Bea")
    with pytest.raises(Dies):
        f.run()
    rename(f)
    assert f.run().totals.created == 2
    assert [len(keys) for keys in keyed.keys.values()] == [1, 1]
