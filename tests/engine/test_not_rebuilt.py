"""A model that dbt has not rebuilt since all of it was sent is not looked at, where `skip_unchanged` says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from revetl_dbt.destinations.base import Change, Outcome, Status

from .fake import Fake, Faults
from .harness import Flow, Warehouse

Make = Callable[..., Flow]
SPEC: dict[str, Any] = {"match": {"Id": "id"}, "fields": {"Name": {"column": "name"}}, "skip_unchanged": True}


class Refusing(Faults):
    refuses = False

    def verdict(self, change: Change, nth: int) -> Outcome | None:
        return Outcome(change.seq, Status.REJECTED, None, "no", "no") if self.refuses else None


@pytest.fixture
def faults() -> Refusing:
    return Refusing()


@pytest.fixture
def people(flow: Make, warehouse: Warehouse, faults: Refusing) -> Flow:
    rows = [{"id": str(n), "name": "'a'"} for n in range(3)]
    warehouse.table("people", {"id": "integer", "name": "varchar"}, rows)
    return flow(Fake(faults=faults), **SPEC)


def test_nothing_is_asked_of_a_model_that_is_as_it_was(people: Flow, warehouse: Warehouse) -> None:
    assert people.run(build="one").totals.created == 3
    warehouse.run(f"drop table {warehouse.relation('people')}")  # who looked would not find it
    result = people.run(build="one")
    assert (result.status, result.requests) == ("noop", 0)
    assert result.unseen == "`people` was not rebuilt since all of it was sent"
    assert people.run(build="two").status == "error"
    assert people.run(build="one").status == "noop"  # nothing was planned meanwhile


def test_it_is_looked_at_when_it_may_be_another(people: Flow) -> None:
    people.run(build="one")
    assert people.run(build="one").unseen
    assert not people.run(build=None).unseen  # dbt does not tell
    assert people.run(build="one").unseen
    assert not people.run(build="one", all_rows=True).unseen
    assert not people.run(build="one", full_refresh=True).unseen
    assert not people.run(build="one", release_held="rejected").unseen
    people.remap(where="id < 2")
    assert not people.run(build="one").unseen
    assert people.run(build="one").unseen
    people.remap(skip_unchanged=False)
    assert not people.run(build="one").unseen


def test_what_is_left_over_is_looked_at(people: Flow, faults: Refusing, warehouse: Warehouse) -> None:
    faults.refuses = True
    assert people.run(build="one").status == "partial"
    faults.refuses = False
    assert people.run(build="one").totals.created == 3
    assert people.run(build="one").unseen
    # Sent again as a whole, and refused: what the run before had seen is worth nothing any more.
    faults.refuses = True
    assert people.run(build="one", full_refresh=True).status == "partial"
    assert not people.run(build="one").unseen


def test_rows_that_cannot_be_sent_are_told_again(people: Flow, warehouse: Warehouse) -> None:
    rows = [{"id": "1", "name": "'a'"}, {"id": "1", "name": "'b'"}, {"id": "2", "name": "'c'"}]
    warehouse.table("people", {"id": "integer", "name": "varchar"}, rows)
    for _ in range(2):
        result = people.run(build="one")
        assert (result.unseen, sum(result.invalid.values())) == (None, 2)
