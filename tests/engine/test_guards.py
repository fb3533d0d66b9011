"""Limits on a plan: counts, shares, first runs, empty models; what they hold, and how they are set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import pytest

from revetl_dbt.destinations.base import Batch, FatalError, Guards
from revetl_dbt.engine.guards import check, effective
from revetl_dbt.warehouse.ledger import Group, PlanSummary

from .fake import Fake, Faults, people
from .harness import Flow, Warehouse, accounted

Make = Callable[..., Flow]


def plan(*, model_rows: int = 100, ledger_rows: int = 100, **rows: int) -> PlanSummary:
    groups = tuple(Group(op, None, number, 1, number) for op, number in rows.items())
    return PlanSummary(groups, model_rows, ledger_rows, 0)


def broken(
    limits: dict[str, Any], summary: PlanSummary, *, deletes_declared: bool = False, first: bool = False
) -> dict[str, bool]:
    """Guard: whether it holds the removals only."""
    found = check(Guards.model_validate(limits), summary, deletes_declared=deletes_declared, first=first)
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
    start = plan(ledger_rows=0, create=100)
    assert broken({"max_changes": "50%", "max_creates": "1%"}, start) == {}
    assert broken({"max_creates": 99}, start) == {"max_creates": False}


def test_a_first_sync_that_was_interrupted_may_go_on() -> None:
    rest = plan(ledger_rows=10, create=90, delete=2)
    limits = {"max_changes": "50%", "max_creates": "1%", "max_deletes": "5%"}
    assert broken(limits, rest, first=True) == {"max_deletes": True}
    assert broken(limits, rest) == {"max_deletes": True, "max_changes": False, "max_creates": False}


def test_a_share_of_records_in_doubt_holds_them() -> None:
    assert broken({"max_deletes": "5%"}, plan(ledger_rows=0, delete=3)) == {"max_deletes": True}


def test_declared_deletes_are_bounded_by_counts_only() -> None:
    rows = plan(ledger_rows=0, delete=9)
    assert broken({"max_deletes": "5%", "max_changes": "5%"}, rows, deletes_declared=True) == {}
    assert broken({"max_deletes": 8}, rows, deletes_declared=True) == {"max_deletes": True}


LIMITS: dict[str, tuple[dict[str, Any], bool]] = {
    "max_creates": ({"create": 6}, False),
    "max_updates": ({"update": 6}, False),
    "max_deletes": ({"delete": 3, "clear": 3}, True),
    "max_changes": ({"create": 2, "update": 2, "delete": 1, "clear": 1}, False),
    "min_rows": ({"update": 1}, False),
}


@pytest.mark.parametrize("share", [False, True], ids=["count", "share"])
@pytest.mark.parametrize("names", [names for n in range(6) for names in combinations(LIMITS, n)], ids="+".join)
def test_every_combination_breaks_each_of_its_own(names: tuple[str, ...], share: bool) -> None:
    """Each guard alone decides about its own rows, whichever others are set."""
    rows: Counter[str] = Counter()
    for name in names:
        rows.update(LIMITS[name][0])
    limits: dict[str, Any] = {name: "5%" if share else 5 for name in names if name != "min_rows"}
    limits |= {"min_rows": 101} if "min_rows" in names else {}
    assert broken(limits, plan(**rows)) == {name: LIMITS[name][1] for name in names}
    generous: dict[str, Any] = {name: "100%" if share else 100 for name in names if name != "min_rows"}
    generous |= {"min_rows": 100} if "min_rows" in names else {}
    assert broken(generous, plan(**rows)) == {}


def test_an_empty_model_removes_nothing_by_itself() -> None:
    empty = plan(model_rows=0, delete=100)
    assert broken({}, empty) == {"empty_model": True}
    assert broken({"min_rows": 0}, empty) == {}
    assert broken({"min_rows": 1}, empty) == {"min_rows": False}
    assert broken({}, plan(model_rows=0)) == {}
    assert broken({}, plan(model_rows=1, delete=99)) == {}
    assert broken({}, empty, deletes_declared=True) == {}


@pytest.mark.parametrize("limits", [{}, {"min_rows": 0}, {"min_rows": 1}])
def test_a_model_of_which_no_row_can_be_sent_is_empty_too(limits: dict[str, Any]) -> None:
    assert broken(limits, plan(invalid=100, delete=100)) == {"empty_model": True}
    assert broken(limits, plan(invalid=99, delete=99)) == {}


def test_own_guards_go_before_those_of_the_destination() -> None:
    own, defaults = Guards(max_deletes=0), Guards(max_deletes="5%", max_creates=7, min_rows=1)
    assert effective(own, defaults) == Guards(max_deletes=0, max_creates=7, min_rows=1)


COLUMNS = {"id": "integer", "name": "varchar"}
SPEC = {"match": {"Id": "id"}, "fields": {"Name": {"column": "name"}}, "on_removed": "delete"}


def write(warehouse: Warehouse, names: Mapping[int | None, str] | dict[int, str]) -> None:
    rows = [{"id": "null" if n is None else str(n), "name": f"'{name}'"} for n, name in names.items()]
    warehouse.table("people", COLUMNS, rows)


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


@pytest.mark.parametrize("on_removed", ["delete", "archive", "clear"])
@pytest.mark.parametrize("rows", [{}, {None: "Ann"}], ids=["empty", "without keys"])
def test_an_emptied_model_does_not_empty_the_destination(
    flow: Make, warehouse: Warehouse, on_removed: str, rows: dict[int | None, str]
) -> None:
    f = flow(**SPEC | {"on_removed": on_removed})
    write(warehouse, dict.fromkeys(range(5), "Ann"))
    f.run()
    write(warehouse, rows)
    result = f.run()
    assert (result.status, result.guarded, result.requests) == ("partial", 5, 0)
    assert "and 5 records would be removed (`--release people` sends them once)" in (result.message or "")
    assert f.destination.contents() == {(n,): {"Name": "Ann"} for n in range(5)}
    totals = f.run(release=True).totals
    assert (totals.deleted, totals.updated) == ((0, 5) if on_removed == "clear" else (5, 0))


def test_what_was_released_is_in_the_history(flow: Make, warehouse: Warehouse) -> None:
    f = flow(**SPEC, guards={"max_creates": 3, "min_rows": 9})
    write(warehouse, dict.fromkeys(range(5), "Ann"))
    reasons = "guard `min_rows`: the model has 5 rows, fewer than 9; guard `max_creates`: 5 rows, more than 3"
    assert f.run().message == f"{reasons} (`--release people` sends them once)"
    released = f.run(release=True)
    assert (released.status, released.violations, len(released.released)) == ("success", [], 2)
    assert f.run(release=True).released == []
    runs = warehouse.store.tables["revetl_runs"]
    rows = warehouse.query(f"select status, released from {runs} order by finished_at")
    assert rows == [("error", None), ("success", reasons), ("noop", None)]
    assert any(reasons in notice for notice in f.listener.notices)


def test_a_first_sync_that_died_goes_on_under_a_share(flow: Make, warehouse: Warehouse) -> None:
    class Closing(Faults):
        def before(self, batch: Batch, nth: int) -> None:
            if any(change.key == (7,) for change in batch.changes):
                raise FatalError("closed")

    f = flow(Fake(people(records=2), faults=Closing()), **SPEC, guards={"max_changes": "50%", "max_deletes": "5%"})
    f.concurrency = 1
    write(warehouse, dict.fromkeys(range(20), "Ann"))
    first = f.run()
    assert (first.status, 0 < first.totals.created < 12) == ("error", True)
    f.destination.faults = Faults()
    assert f.run().totals.created == 20 - first.totals.created
    write(warehouse, dict.fromkeys(range(40), "Bea"))
    assert f.run().status == "error"  # the ledger is a measure now


def test_a_model_that_is_too_small_is_told_though_nothing_of_it_has_changed(flow: Make, warehouse: Warehouse) -> None:
    f = flow(**SPEC)
    write(warehouse, dict.fromkeys(range(5), "Ann"))
    assert f.run().totals.created == 5
    f.remap(guards=Guards(min_rows=9))
    result = f.run()
    assert (result.status, result.planned) == ("error", 0)
    assert "guard `min_rows`: the model has 5 rows, fewer than 9" in (result.message or "")
    f.remap(guards=Guards(min_rows=5))
    assert f.run().status == "noop"
