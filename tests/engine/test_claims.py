"""What the warehouse knows of rows that must not be sent twice before they leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.destinations.base import Batch
from revetl_dbt.engine.claims import left_by

from .fake import Fake, Faults, people
from .harness import Flow, Warehouse

Make = Callable[..., Flow]
FIELDS = {"Name": {"column": "name"}}
ONCE = {"key": ("id",), "mode": "append", "match": {}, "fields": FIELDS}
UPSERT = {"key": ("id",), "match": {"Id": "id"}, "fields": FIELDS}


def write(warehouse: Warehouse, rows: int) -> None:
    lines = [{"id": str(n), "name": "'Ann'"} for n in range(rows)]
    warehouse.table("people", {"id": "integer", "name": "varchar"}, lines)


def claimed(warehouse: Warehouse) -> set[int]:
    """The numbers of claimed plan rows, as another process sees them."""
    (state,) = warehouse.new_store().sync_states().values()
    left = left_by("plan", state.claimed) if state.claimed else None
    return {n for part in left.open for n in range(part.seq_from, part.seq_to + 1)} if left else set()


@pytest.fixture
def statements(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that changed what is claimed."""
    run, seen = warehouse.session.run, list[str]()

    def noted(sql: Any) -> None:
        seen.extend(statement for statement in sql if "set claimed" in statement)
        run(sql)

    monkeypatch.setattr(warehouse.session, "run", noted)
    return seen


def test_no_row_leaves_unclaimed(flow: Make, warehouse: Warehouse, statements: list[str]) -> None:
    f = flow(Fake(people(reads=False)), **ONCE)
    write(warehouse, 203)
    seqs: dict[Any, set[int]] = {}

    def look(batch: Batch) -> None:
        seqs[batch.changes[0].seq] = {change.seq for change in batch.changes} - claimed(warehouse)

    f.destination.hold = look
    assert f.run().totals.created == 203
    assert len(seqs) == 41
    assert set().union(*seqs.values()) == set()
    assert claimed(warehouse) == set()
    # Stretches grow to what leaves in two seconds: no statement for each batch.
    assert len(statements) < 41 / 2


def test_what_can_be_repeated_is_not_claimed(flow: Make, warehouse: Warehouse, statements: list[str]) -> None:
    f = flow(**UPSERT)
    write(warehouse, 23)
    assert f.run().totals.created == 23
    assert statements == []


@pytest.mark.usefixtures("two_machines")
def test_another_machine_takes_over(flow: Make, warehouse: Warehouse, tmp_path: Path) -> None:
    """A laptop sleeps with a batch in flight; its lease ends; a server goes on; the laptop wakes up and goes on too."""
    f = flow(Fake(people(reads=False)), **ONCE)
    f.concurrency = 1
    write(warehouse, 43)
    server = replace(f, journal_dir=tmp_path / "server", results=[])

    def take_over(batch: Batch) -> None:
        f.destination.hold = lambda batch: None
        warehouse.delete("revetl_leases")
        f.destination._in_flight.clear()  # the two are not one run
        result = server.run(store=warehouse.new_store())
        # Of what was claimed nobody knows; what was not goes.
        assert result.status == "partial"
        assert result.totals.created + result.held == 43
        assert result.held >= len(batch.changes)
        assert result.totals.created > 0

    f.destination.hold = take_over
    result = f.run()
    assert result.status == "error"
    assert "lease" in (result.message or "")
    f.destination.faults = Faults()
    last = f.run()
    keys = [change.key for change in f.destination.events]
    assert len(set(keys)) == len(keys), "a row was appended twice"
    assert len(keys) + last.held >= 43
    assert claimed(warehouse) == set()
