"""The real HTTP connector against a real server: from a table to requests, and back into the ledger."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.destinations.http import Http
from revetl_dbt.engine.link import open_links
from revetl_dbt.engine.result import RunOptions, SyncResult
from revetl_dbt.engine.run import Run
from revetl_dbt.spec.destinations import Output

from .api import REFUSED, Api, config, serving
from .harness import EAGER, Listener, Warehouse, accounted

Go = Callable[[], SyncResult]
COLUMNS = {
    "id": "integer",
    "name": "varchar",
    "balance": "decimal(20,2)",
    "seen": "timestamp with time zone",
    "born": "date",
    "active": "boolean",
    "tags": "varchar",
}
FIELDS: dict[str, Any] = {column.title(): {"column": column} for column in COLUMNS if column != "id"}
FIELDS["Source"] = {"value": "Prodüct"}


def person(number: int, name: str = "Ånn", **more: str) -> dict[str, str]:
    row = {"id": str(number), "name": f"'{name}'", "balance": "12345678901234567.89", "active": "true"}
    seen = "cast('2024-03-31 02:30:00+02:00' as timestamp with time zone)"
    return row | {"seen": seen, "born": "cast('1815-12-10' as date)"} | more


def arrived(number: int, name: str = "Ånn") -> dict[str, Any]:
    return {
        "Id": number,
        "Name": name,
        "Balance": 12345678901234567.89,
        "Seen": "2024-03-31T00:30:00Z",
        "Born": "1815-12-10",
        "Active": True,
        "Tags": None,
        "Source": "Prodüct",
    }


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as running:
        yield running


@pytest.fixture
def go(warehouse: Warehouse, api: Api, tmp_path: Path) -> Go:
    """Runs the sync of `people` once."""
    spec = {"match": {"Id": "id"}, "fields": FIELDS, "on_removed": "delete"}
    sync = warehouse.sync("people", "people", destination="api", **spec)
    output = Output("api", "dev", Http, config(api.url), Path("destinations.yml"), 1)

    def run() -> SyncResult:
        options, stop = RunOptions(retry=EAGER, journal_dir=tmp_path / "journal"), threading.Event()
        with open_links({"api": output}, warehouse.store, tmp_path / "sandbox", stop) as links:
            (result,) = Run(warehouse.store, links, options, Listener(), stop).execute([sync], {})
        accounted(result)
        return result

    return run


def counts(result: SyncResult) -> tuple[str, int, int, int, int]:
    totals = result.totals
    return result.status, totals.created, totals.updated, totals.deleted, totals.rejected


def test_rows_arrive_change_and_go(go: Go, api: Api, warehouse: Warehouse) -> None:
    warehouse.table("people", COLUMNS, [person(n) for n in range(12)])
    assert go().totals.accepted == 12
    assert api.people == {n: arrived(n) for n in range(12)}
    assert go().status == "noop"
    warehouse.table("people", COLUMNS, [person(n, "Bea" if n == 3 else "Ånn") for n in range(10)])
    received = api.received
    changed = go()
    assert (changed.totals.accepted, changed.totals.deleted, api.received - received) == (3, 2, 3)
    assert api.people == {n: arrived(n, "Bea" if n == 3 else "Ånn") for n in range(10)}
    assert (go().status, api.received - received) == ("noop", 3)


def test_the_servers_words_are_kept(go: Go, api: Api, warehouse: Warehouse) -> None:
    warehouse.table("people", COLUMNS, [person(n, REFUSED if n == 3 else "Ånn") for n in range(12)])
    result = go()
    assert (result.status, result.totals.accepted, result.totals.rejected) == ("partial", 11, 1)
    assert list(result.totals.examples.values()) == [f"{REFUSED} is no name"]
    assert set(api.people) == set(range(12)) - {3}
    warehouse.table("people", COLUMNS, [person(n) for n in range(12)])
    assert go().totals.accepted == 1


@pytest.mark.parametrize("status", [429, 503, 500, 502])
def test_passing_refusals_are_sat_out(go: Go, api: Api, warehouse: Warehouse, status: int) -> None:
    warehouse.table("people", COLUMNS, [person(n) for n in range(12)])
    assert go().status == "success"
    api.refusals = [status]
    warehouse.table("people", COLUMNS, [person(n, "Bea") for n in range(12)])
    assert go().totals.accepted == 12
    assert api.people == {n: arrived(n, "Bea") for n in range(12)}


@pytest.mark.parametrize(("status", "said"), [(401, "401"), (403, "403"), (404, "404")])
def test_refusals_for_good_stop_the_destination(go: Go, api: Api, warehouse: Warehouse, status: int, said: str) -> None:
    warehouse.table("people", COLUMNS, [person(n) for n in range(3)])
    go()
    api.refusals = [status] * 9
    warehouse.table("people", COLUMNS, [person(n, "Bea") for n in range(12)])
    result = go()
    assert (result.status, result.totals.accepted, result.not_attempted) == ("error", 0, 12)
    assert (result.message or "").startswith(f"api: {said} ")
    assert "told to" in (result.message or "")
    api.refusals = []
    assert go().totals.accepted == 12


def test_a_server_that_is_not_there(go: Go, api: Api, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse.table("people", COLUMNS, [person(1)])
    go()
    warehouse.table("people", COLUMNS, [person(1, "Bea")])
    monkeypatch.setattr(Http, "base_url", lambda self: "http://127.0.0.1:1")
    result = go()
    assert (result.status, result.not_attempted) == ("error", 1)
    assert "no connection to http://127.0.0.1:1" in (result.message or "")
