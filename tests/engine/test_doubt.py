"""What was sent and not answered, and records that change hands: nothing stays wrong, nothing of others is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.destinations.base import Batch, FatalError, Operation, Outcome, Status, UnknownOutcomeError
from revetl_dbt.spec.models import Write

from .fake import Fake, Faults, people
from .harness import Flow, Warehouse

Make = Callable[..., Flow]
COLUMNS = {"id": "integer", "email": "varchar", "name": "varchar"}
SPEC = {"key": ("id",), "match": {"Email": "email"}, "fields": {"Name": {"column": "name"}}}


def write(warehouse: Warehouse, *rows: tuple[int, str, str]) -> None:
    lines = [{"id": str(number), "email": f"'{email}'", "name": f"'{name}'"} for number, email, name in rows]
    warehouse.table("people", COLUMNS, lines)


class Deaf(Faults):
    """Accepts everything and never answers."""

    def after(self, batch: Batch, outcomes: list[Outcome], nth: int) -> list[Outcome]:
        raise UnknownOutcomeError("no answer", code="timeout")


class Closed(Faults):
    """Takes nothing."""

    def before(self, batch: Batch, nth: int) -> None:
        raise FatalError("closed")


class Refusing(Faults):
    """Rejects one operation."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation

    def before(self, batch: Batch, nth: int) -> None:
        self.now = batch.operation

    def verdict(self, change: object, nth: int) -> Outcome | None:
        return Outcome(change.seq, Status.REJECTED, None, "told", "told to") if self.now is self.operation else None


def test_an_update_that_may_have_arrived_is_not_forgotten(flow: Make, warehouse: Warehouse) -> None:
    f = flow(**SPEC)
    write(warehouse, (1, "a@x", "Ann"))
    f.run()
    f.destination.faults = Deaf()
    write(warehouse, (1, "a@x", "Bea"))
    assert f.run().status == "error"
    f.destination.faults = Faults()
    write(warehouse, (1, "a@x", "Ann"))
    f.run()
    assert f.destination.contents() == {("a@x",): {"Name": "Ann"}}
    assert f.run().status == "noop"


def test_a_delete_that_may_have_arrived_is_not_forgotten(flow: Make, warehouse: Warehouse) -> None:
    f = flow(**SPEC, on_removed="delete", guards={"min_rows": 0})
    write(warehouse, (1, "a@x", "Ann"))
    f.run()
    f.destination.faults = Deaf()
    write(warehouse)
    assert f.run().status == "error"
    assert f.destination.contents() == {}
    f.destination.faults = Faults()
    write(warehouse, (1, "a@x", "Ann"))
    f.run()
    assert f.destination.contents() == {("a@x",): {"Name": "Ann"}}
    assert f.run().status == "noop"


@pytest.mark.parametrize("on_removed", ["delete", "clear"])
def test_a_record_that_another_row_took_over_is_not_removed(flow: Make, warehouse: Warehouse, on_removed: str) -> None:
    f = flow(**SPEC, on_removed=on_removed)
    write(warehouse, (1, "a@x", "Ann"), (3, "c@x", "Cid"))
    f.run()
    write(warehouse, (2, "a@x", "Bea"), (3, "c@x", "Cid"))
    f.run()
    assert f.run().requests == 0
    assert f.destination.contents() == {("a@x",): {"Name": "Bea"}, ("c@x",): {"Name": "Cid"}}
    write(warehouse, (3, "c@x", "Cid"))
    f.run()
    assert f.run().status == "noop"
    assert f.destination.contents() == {("c@x",): {"Name": "Cid"}} | ({("a@x",): {}} if on_removed == "clear" else {})


@pytest.mark.parametrize("on_removed", ["delete", "clear"])
def test_a_removal_that_was_refused_does_not_hit_who_came_after(
    flow: Make, warehouse: Warehouse, on_removed: str
) -> None:
    f = flow(**SPEC, on_removed=on_removed)
    write(warehouse, (1, "a@x", "Ann"), (3, "c@x", "Cid"))
    f.run()
    f.destination.faults = Refusing(Operation.DELETE if on_removed == "delete" else Operation.UPDATE)
    write(warehouse, (3, "c@x", "Cid"))
    assert f.run().totals.rejected == 1
    f.destination.faults = Faults()
    write(warehouse, (2, "a@x", "Bea"), (3, "c@x", "Cid"))
    f.run()
    assert f.destination.contents() == {("a@x",): {"Name": "Bea"}, ("c@x",): {"Name": "Cid"}}
    assert f.run().requests == 0


def test_addresses_that_differ_only_by_case_are_one(flow: Make, warehouse: Warehouse) -> None:
    f = flow(Fake(people(match_ignores_case=True)), match={"Email": "email"}, fields={"Name": {"column": "name"}})
    write(warehouse, (1, "A@x", "Ann"), (2, "a@X ", "Bea"), (3, "c@x", "Cid"))
    assert f.run().invalid == {"duplicate_match": 2}
    assert f.destination.contents() == {("c@x",): {"Name": "Cid"}}


def test_what_was_not_written_is_written_once_it_always_is(flow: Make, warehouse: Warehouse) -> None:
    on_create = {"Name": {"column": "name", "write": "on_create"}, "Email2": {"column": "email"}}
    f = flow(key=("id",), match={"Id": "id"}, fields=on_create)
    write(warehouse, (1, "a@x", "Ann"))
    f.run()
    write(warehouse, (1, "b@x", "Bea"))
    f.run()
    assert f.destination.contents() == {(1,): {"Name": "Ann", "Email2": "b@x"}}
    always = f.sync.spec.fields["Name"].model_copy(update={"write": Write.ALWAYS})
    f.remap(fields=f.sync.spec.fields | {"Name": always})
    f.run()
    assert f.destination.contents() == {(1,): {"Name": "Bea", "Email2": "b@x"}}


def suspend(f: Flow, meanwhile: Callable[[], None]) -> None:
    """Let `meanwhile` happen while the destination has the first batch of the next run and has not answered."""
    once: list[Callable[[], Any]] = [meanwhile]
    f.destination.hold = lambda batch: once.pop()() if once else None


@pytest.mark.usefixtures("two_machines")
def test_a_run_that_lost_its_lease_records_nothing_in_the_plan_of_another(
    flow: Make, warehouse: Warehouse, tmp_path: Path
) -> None:
    """A laptop sleeps with a batch in flight; its lease ends; another machine plans anew; the laptop wakes up."""
    f = flow(**SPEC)
    f.concurrency = 1
    write(warehouse, *((number, f"{number}@x", "Ann") for number in range(12)))
    elsewhere = replace(f, destination=Fake(), journal_dir=tmp_path / "elsewhere", results=[])
    elsewhere.destination.faults = Closed()

    def take_over() -> None:
        warehouse.delete("revetl_leases")
        write(warehouse, *((number, f"{number}@x", "Bea") for number in reversed(range(12))))
        elsewhere.run(store=warehouse.new_store())

    suspend(f, take_over)
    result = f.run()
    assert result.status == "error"
    assert "lease" in (result.message or "")
    assert f.ledger_rows() == {}
    f.run()
    assert f.destination.contents() == {(f"{number}@x",): {"Name": "Bea"} for number in range(12)}
    assert f.run().status == "noop"


class Unheard(Faults):
    """Nothing arrives, and nobody can tell."""

    def before(self, batch: Batch, nth: int) -> None:
        raise UnknownOutcomeError("no answer", code="timeout")


@pytest.mark.parametrize("mode", ["upsert", "update"])
@pytest.mark.parametrize("on_removed", ["delete", "clear"])
def test_what_may_never_have_arrived_is_not_ours_to_remove(
    flow: Make, warehouse: Warehouse, on_removed: str, mode: str
) -> None:
    f = flow(**SPEC, mode=mode, on_removed=on_removed, guards={"min_rows": 0})
    f.destination.add("a@x", Name="theirs")
    f.destination.faults = Unheard()
    write(warehouse, (1, "a@x", "Ann"))
    assert f.run().status == "error"
    f.destination.faults = Faults()
    write(warehouse)
    assert f.run().requests == 0
    assert f.destination.contents() == {("a@x",): {"Name": "theirs"}}


@pytest.mark.parametrize("mode", ["append", "create"])
def test_doubt_does_not_turn_an_event_into_an_update(flow: Make, warehouse: Warehouse, mode: str) -> None:
    operation = Operation(mode)
    destination = Fake(people(idempotent=[operation]), faults=Unheard())
    match = SPEC["match"] if mode == "create" else {}
    f = flow(destination, key=("id",), match=match, fields=SPEC["fields"], mode=mode)
    write(warehouse, (1, "a@x", "Ann"), (2, "b@x", "Bea"))
    assert f.run().status == "error"
    f.destination.faults = Faults()
    assert f.run().totals.created == 2
    assert len(f.destination.changes(operation)) == len(f.destination.changes()) == 2
    assert f.run().status == "noop"


@pytest.mark.parametrize("mode", ["append", "create"])
def test_what_goes_once_and_may_have_arrived_does_not_go_again_because_it_changed(
    flow: Make, warehouse: Warehouse, mode: str
) -> None:
    match = SPEC["match"] if mode == "create" else {}
    f = flow(Fake(people(reads=False), faults=Deaf()), key=("id",), match=match, fields=SPEC["fields"], mode=mode)
    write(warehouse, (1, "a@x", "Ann"))
    f.run()
    sent = len(f.destination.changes())
    f.destination.faults = Faults()
    f.run()
    write(warehouse, (1, "a@x", "Annabel"), (2, "b@x", "Bea"))
    result = f.run()
    assert (result.totals.created, result.held) == (1, 1)
    assert len(f.destination.changes()) == sent + 1
    assert f.run(release_held="unknown too").requests == 1
