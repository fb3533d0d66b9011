"""What the warehouse's queries processed, counted for the sync that asked them."""

from __future__ import annotations

from typing import Any

import pytest

from revetl_dbt import tally
from revetl_dbt.destinations.base import Batch
from revetl_dbt.engine import recorder
from revetl_dbt.warehouse.dbt_api import DbtSession

from .harness import Flow, Warehouse


def test_every_query_of_a_sync_counts_and_no_other(
    flow: Any, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an engine that does not tell, made to: as many bytes as there were statements."""
    monkeypatch.setattr(recorder, "FLUSH_SECONDS", 0.0)  # outcomes are recorded by a thread of its own meanwhile
    warehouse.table("people", {"id": "integer", "name": "varchar"}, [{"id": str(n), "name": "'a'"} for n in range(40)])
    people: Flow = flow(match={"Id": "id"}, fields={"Name": {"column": "name"}})
    assert people.run().bytes_processed is None
    asked: list[int] = []
    fetch, run = DbtSession.fetch, DbtSession.run

    def fetched(session: DbtSession, sql: str) -> list[tuple[Any, ...]]:
        asked.append(1)
        tally.count(processed=1)
        return fetch(session, sql)

    def executed(session: DbtSession, statements: list[str]) -> None:
        asked.append(1)
        tally.count(processed=1)
        run(session, statements)

    monkeypatch.setattr(DbtSession, "tells_bytes", True)
    monkeypatch.setattr(DbtSession, "fetch", fetched)
    monkeypatch.setattr(DbtSession, "run", executed)

    def another(_: Batch) -> None:
        tally.begin()  # a sync of its own
        tally.count(processed=1_000_000)

    people.destination.hold = another
    result = people.run(full_refresh=True)
    told = warehouse.store.tables["revetl_runs"]
    ((written,),) = warehouse.query(f"select max(bytes_processed) from {told}")
    # Beside the sync's own: preparing the tables before it, the row of its history and the question after it.
    assert len(asked) - 5 <= result.bytes_processed <= len(asked) - 2  # type: ignore[operator]
    assert written == result.bytes_processed
