"""Limits on a plan: counts, shares, first runs, empty models; what they hold, and how they are set aside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from revetl_dbt.destinations.base import Guards
from revetl_dbt.engine.guards import check, effective
from revetl_dbt.warehouse.ledger import Group, PlanSummary

from .harness import Flow, Warehouse, accounted

Make = Callable[..., Flow]


def plan(*, model_rows: int = 100, ledger_rows: int = 100, **rows: int) -> PlanSummary:
    groups = tuple(Group(op, None, number, 1, number) for op, number in rows.items())
    return PlanSummary(groups, model_rows, ledger_rows, 0)


def broken(limits: dict[str, Any], summary: PlanSummary, *, deletes_declared: bool = False) -> dict[str, bool]:
    """Guard: whether it holds the removals only."""
    found = check(Guards.model_validate(limits), summary, deletes_declared=deletes_declared)
    return {violation.guard: violation.removals_only for violation in found}


@pytest.mark.parametrize(
    ("limits", "rows", "expected"),
    [
        ({"max_deletes": 5}, {"delete": 5}, {}),
        ({"max_deletes": 5}, {"delete": 6}, {"max_deletes": True}),
        ({"max_deletes": 5}, {"delete": 3, "clear": 3}, {"max_deletes": True}),
        ({"max_deletes": 0}, {"delete": 1}, {"max_deletes": True}),
        ({"max_deletes": "5%"}, {"delete": 5}, {}),
        ({"max_deletes": "5%"}, {"delete": 6}, {"max_deletes": True}),
        ({"max_deletes": "0.5 %"}, {"delete": 1}, {"max_deletes": True}),
        ({"max_deletes": "100%"}, {"delete": 100}, {}),
        ({"max_creates": 5}, {"create": 6}, {"max_creates": False}),
        ({"max_updates": "10%"}, {"update": 11}, {"max_updates": False}),
        ({"max_changes": 10}, {"create": 4, "update": 4, "delete": 3}, {"max_changes": False}),
        ({"max_changes": 10}, {"invalid": 50, "held": 50}, {}),
        ({"max_deletes": 1, "max_updates": 1}, {"delete": 2, "update": 2}, {"max_deletes": True, "max_updates": False}),
        ({}, {"create": 100, "update": 100, "delete": 100}, {}),
    ],
)
def test_limits(limits: dict[str, Any], rows: dict[str, int], expected: dict[str, bool]) -> None:
    assert broken(limits, plan(**rows)) == expected


def test_a_first_run_is_bounded_by_counts_only() -> None:
    first = plan(ledger_rows=0, create=100)
    assert broken({"max_changes": "50%", "max_creates": "1%"}, first) == {}
    assert broken({"max_creates": 99}, first) == {"max_creates": False}


def test_an_empty_model_removes_nothing_by_itself() -> None:
    empty = plan(model_rows=0, delete=100)
    assert broken({}, empty) == {"empty_model": True}
    assert broken({"min_rows": 0}, empty) == {}
    assert broken({"min_rows": 1}, empty) == {"min_rows": False}
    assert broken({}, plan(model_rows=0)) == {}
    assert broken({}, plan(model_rows=1, delete=99)) == {}
    assert broken({}, empty, deletes_declared=True) == {}


def test_own_guards_go_before_those_of_the_destination() -> None:
    own, defaults = Guards(max_deletes=0), Guards(max_deletes="5%", max_creates=7, min_rows=1)
    assert effective(own, defaults) == Guards(max_deletes=0, max_creates=7, min_rows=1)


COLUMNS = {"id": "integer", "name": "varchar"}
SPEC = {"match": {"Id": "id"}, "fields": {"Name": {"column": "name"}}, "on_removed": "delete"}


def write(warehouse: Warehouse, names: dict[int, str]) -> None:
    warehouse.table("people", COLUMNS, [{"id": str(n), "name": f"'{name}'"} for n, name in names.items()])


def test_a_broken_delete_guard_holds_the_deletes_and_only_these(flow: Make, warehouse: Warehouse) -> None:
    f = flow(**SPEC, guards={"max_deletes": 1})
    write(warehouse, dict.fromkeys(range(5), "Ann"))
    f.run()
    write(warehouse, {0: "Bea", 1: "Ann", 9: "New"})
    result = f.run()
    accounted(result)
    assert (result.status, result.totals.created, result.totals.updated, result.guarded) == ("partial", 1, 1, 3)
    assert set(f.destination.contents()) == {(n,) for n in (0, 1, 2, 3, 4, 9)}
    assert "guard `max_deletes`: 3 rows, more than 1" in (result.message or "")
    assert f.history()["skipped"] == 3
    assert f.run().guarded == 3
    released = f.run(release=True)
    assert (released.status, released.totals.deleted, released.guarded) == ("success", 3, 0)
    assert set(f.destination.contents()) == {(0,), (1,), (9,)}


def test_another_broken_guard_holds_the_sync_before_the_first_request(flow: Make, warehouse: Warehouse) -> None:
    f = flow(**SPEC)
    f.guards = Guards(max_creates=3)
    write(warehouse, dict.fromkeys(range(5), "Ann"))
    result = f.run()
    accounted(result)
    assert (result.status, result.guarded, result.planned, result.requests) == ("error", 5, 5, 0)
    assert f.destination.contents() == {}
    assert f.run(release=True).totals.created == 5


def test_an_emptied_model_does_not_empty_the_destination(flow: Make, warehouse: Warehouse) -> None:
    f = flow(**SPEC)
    write(warehouse, dict.fromkeys(range(5), "Ann"))
    f.run()
    write(warehouse, {})
    result = f.run()
    assert (result.status, result.guarded, result.requests) == ("partial", 5, 0)
    assert len(f.destination.contents()) == 5
    assert f.run(release=True).totals.deleted == 5
