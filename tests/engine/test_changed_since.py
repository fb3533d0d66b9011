"""A plan that looks only at new rows (`changed_since`): what it sees, what not, and when it looks at all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from revetl_dbt.destinations.base import Change, Outcome, Status
from revetl_dbt.errors import InputError
from revetl_dbt.spec.models import ChangedSince

from .fake import Fake, Faults
from .harness import Flow, Warehouse

Make = Callable[..., Flow]
SPEC: dict[str, Any] = {
    "match": {"Id": "id"},
    "fields": {"Name": {"column": "name"}},
    "changed_since": {"column": "at", "all_every": 50},
}
TYPES = ("integer", "date", "timestamp", "timestamp with time zone", "numeric(20, 6)")


def moment(warehouse: Warehouse, kind: str, n: int) -> str:
    """The SQL of the n-th moment, from 1."""
    if kind in ("integer", "numeric(20, 6)"):
        return f"{n}.5" if kind.startswith("n") else str(n)
    clock = {"date": "", "timestamp": " 10:00:00.123456", "timestamp with time zone": " 10:00:00.123456+02:00"}[kind]
    return f"cast('2026-01-{n:02}{clock}' as {warehouse.type(kind)})"


def write(warehouse: Warehouse, rows: dict[int, tuple[str, int | None]], kind: str = "timestamp") -> None:
    """The model: id: (name, when)."""
    lines = [
        {"id": str(key), "name": f"'{name}'", "at": "null" if n is None else moment(warehouse, kind, n)}
        for key, (name, n) in rows.items()
    ]
    warehouse.table("people", {"id": "integer", "name": "varchar", "at": kind}, lines)


def sent(flow: Flow) -> list[int]:
    """The keys that the last run has tried to send."""
    before = sum(result.totals.done for result in flow.results[:-1])
    return sorted({change.match["Id"] for _, change in flow.destination.written[before:]})


@pytest.mark.parametrize("kind", TYPES)
def test_only_new_rows_are_looked_at(flow: Make, warehouse: Warehouse, kind: str) -> None:
    people = flow(**SPEC)
    write(warehouse, {1: ("a", 1), 2: ("b", 2), 3: ("c", None)}, kind)
    assert people.run().totals.created == 3
    # A row that changes without its column is left unseen; one as new as the newest, and one without, are not.
    write(warehouse, {1: ("unseen", 1), 2: ("B", 2), 3: ("C", None), 4: ("d", 3)}, kind)
    result = people.run()
    assert (result.totals.created, result.totals.updated, result.model_rows) == (1, 2, 3)
    again = people.run()
    assert (again.status, again.model_rows) == ("noop", 2)
    assert (people.run(all_rows=True).totals.updated, sent(people)) == (1, [1])


def test_every_so_often_all_rows_are_looked_at(flow: Make, warehouse: Warehouse) -> None:
    people = flow(**{**SPEC, "changed_since": {"column": "at", "all_every": 3}, "on_removed": "delete"})
    write(warehouse, {1: ("a", 1), 2: ("b", 2), 3: ("c", 2)})
    people.run()
    write(warehouse, {1: ("late", 1), 3: ("c", 2)})
    seen = [people.run() for _ in range(3)]
    assert [result.status for result in seen] == ["noop", "noop", "success"]
    assert (seen[2].totals.updated, seen[2].totals.deleted) == (1, 1)
    assert people.run().status == "noop"


class Refusing(Faults):
    refused: frozenset[int] = frozenset()

    def verdict(self, change: Change, nth: int) -> Outcome | None:
        refused = change.match["Id"] in self.refused
        return Outcome(change.seq, Status.REJECTED, None, "no", "no") if refused else None


def test_the_mark_moves_only_when_everything_has_come_through(flow: Make, warehouse: Warehouse) -> None:
    faults = Refusing()
    people = flow(Fake(faults=faults), **SPEC)
    write(warehouse, {1: ("a", 1)})
    people.run()
    faults.refused = frozenset({2})
    write(warehouse, {1: ("a", 1), 2: ("b", 2), 3: ("c", 3)})
    assert people.run().status == "partial"
    write(warehouse, {1: ("a", 1), 2: ("b", 2), 3: ("c", 3), 4: ("d", 4)})
    assert people.run().totals.created == 1  # the fourth; the second is refused again
    faults.refused = frozenset()
    assert (people.run().totals.created, sent(people)) == (1, [2])
    assert people.run().model_rows == 1


def test_a_run_that_dies_leaves_the_mark(flow: Make, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    people = flow(**SPEC)
    write(warehouse, {1: ("a", 1)})
    people.run()
    write(warehouse, {1: ("a", 1), 2: ("b", 2), 3: ("c", 3)})

    class Death(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Death

    with monkeypatch.context() as patched:
        patched.setattr(warehouse.store, "came_through", die)
        with pytest.raises(Death):
            people.run()
    assert people.run().model_rows == 3  # from the former mark on
    assert people.run().model_rows == 1


def test_another_declaration_and_older_data_are_looked_at_as_a_whole(flow: Make, warehouse: Warehouse) -> None:
    people = flow(**SPEC)
    rows = {1: ("a", 1), 2: ("b", 5)}
    write(warehouse, rows)
    people.run()
    assert people.run().model_rows == 1
    people.remap(where="id < 10")
    assert people.run().model_rows == 2
    assert people.run().model_rows == 1
    write(warehouse, {1: ("restored", 1), 2: ("b", 4)})
    result = people.run()
    assert (result.model_rows, result.totals.updated) == (2, 1)
    write(warehouse, {})
    assert people.run().model_rows == 0
    write(warehouse, rows)
    assert people.run().model_rows == 2


def test_a_refused_row_that_is_gone_does_not_make_every_plan_look_at_all(flow: Make, warehouse: Warehouse) -> None:
    faults = Refusing()
    faults.refused = frozenset({1})
    people = flow(Fake(faults=faults), **SPEC)
    write(warehouse, {1: ("a", 1), 2: ("b", 2), 3: ("c", 3)})
    assert people.run().status == "partial"
    write(warehouse, {2: ("b", 2), 3: ("c", 3)})
    assert [people.run().model_rows for _ in range(2)] == [2, 1]


def test_a_plan_that_is_limited_is_not_taken_for_a_small_model(flow: Make, warehouse: Warehouse) -> None:
    people = flow(**SPEC, guards={"min_rows": 3})
    write(warehouse, {n: ("a", n) for n in range(1, 5)})
    assert people.run().status == "success"
    write(warehouse, {**{n: ("a", n) for n in range(1, 5)}, 5: ("e", 5)})
    result = people.run()
    assert (result.status, result.model_rows, result.totals.created) == ("success", 2, 1)
    write(warehouse, {5: ("e", 5)})
    assert people.run(all_rows=True).violations[0].guard == "min_rows"


def test_a_column_that_says_nothing_of_what_is_new(flow: Make, warehouse: Warehouse) -> None:
    people = flow(**{**SPEC, "changed_since": {"column": "name"}})
    write(warehouse, {1: ("a", 1)})
    result = people.run()
    assert result.status == "error"
    assert "error[changed-since-type]: Column `name`" in (result.message or "")
    people.remap(changed_since=ChangedSince(column="gone"))
    with pytest.raises(InputError, match="no column `gone`"):
        people.plan()
