"""`history: all`: every accepted change is written down with the value before and after, once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from revetl_dbt.engine.look import look
from revetl_dbt.warehouse.ledger import Range

from .fake import Fake
from .harness import Flow, Warehouse

Make = Callable[..., Flow]
SPEC = {
    "match": {"Id": "id"},
    "fields": {"Name": {"column": "name"}, "Plan": {"column": "plan"}},
    "history": "all",
    "on_removed": "delete",
}


def write(warehouse: Warehouse, people: dict[int, tuple[str, str | None]]) -> None:
    rows = [
        {"id": str(n), "name": f"'{name}'", **({"plan": f"'{plan}'"} if plan else {})}
        for n, (name, plan) in people.items()
    ]
    warehouse.table("people", {"id": "integer", "name": "varchar(20)", "plan": "varchar(20)"}, rows)


def changes(warehouse: Warehouse) -> set[tuple[Any, ...]]:
    rows = warehouse.query(
        f"select row_key, action, field, old_value, new_value from {warehouse.store.tables['revetl_changes']}"
    )
    assert len(rows) == len(set(rows))
    return set(rows)


def test_each_changed_field_has_a_row(flow: Make, warehouse: Warehouse) -> None:
    f = flow(Fake(), **SPEC)
    write(warehouse, {1: ("Ann", "free"), 2: ("Bob", None), 3: ("Cid", "pro")})
    f.run()
    created = {
        ("1", "create", "Id", None, "1"),
        ("1", "create", "Name", None, "Ann"),
        ("1", "create", "Plan", None, "free"),
        ("2", "create", "Id", None, "2"),
        ("2", "create", "Name", None, "Bob"),
        ("3", "create", "Id", None, "3"),
        ("3", "create", "Name", None, "Cid"),
        ("3", "create", "Plan", None, "pro"),
    }
    assert changes(warehouse) == created
    write(warehouse, {1: ("Ann", "pro"), 2: ("Rob", None)})
    f.run()
    assert changes(warehouse) - created == {
        ("1", "update", "Plan", "free", "pro"),
        ("2", "update", "Name", "Bob", "Rob"),
        ("3", "delete", None, None, None),
    }


def test_recording_again_adds_nothing(flow: Make, warehouse: Warehouse) -> None:
    f = flow(Fake(), **SPEC)
    write(warehouse, {1: ("Ann", None), 2: ("Bob", None)})
    warehouse.store.prepare()
    ledger = f.ledger()
    summary = ledger.write_plan()
    ranges = [Range(group.op, group.seq_from, group.seq_to) for group in summary.groups]
    ledger.fold(ranges, [], "a-run")
    once = changes(warehouse)
    ledger.fold(ranges, [], "a-run", replay=True)
    assert changes(warehouse) == once
    assert len(once) == 4


def test_a_row_is_looked_at_by_its_key(flow: Make, warehouse: Warehouse) -> None:
    f = flow(Fake(), **SPEC)
    write(warehouse, {1: ("Ann", None), 2: ("Bob", None)})
    f.run()
    write(warehouse, {1: ("Ann", "pro"), 3: ("Cid", None)})
    seen = {}
    for key in ("1", "2", "3", "4"):
        found = look(warehouse.store, f.link(threading.Event()), f.sync, key)
        seen[key] = (found.accepted and found.accepted.values["Name"], [example.op for example in found.planned])
    assert seen == {"1": ("Ann", ["update"]), "2": ("Bob", ["delete"]), "3": (None, ["create"]), "4": (None, [])}
