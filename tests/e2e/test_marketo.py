"""Marketo, from tables through the engine: companies before their people, members of lists and programs, activities,
imports that are taken up again, and trouble.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from engine.harness import EAGER, Listener, Warehouse, accounted

from revetl_dbt.destinations.marketo import Marketo, MarketoConfig
from revetl_dbt.engine.link import open_links
from revetl_dbt.engine.result import RunOptions, SyncResult
from revetl_dbt.engine.run import Run
from revetl_dbt.sandbox import Sandbox
from revetl_dbt.spec.destinations import Output
from revetl_dbt.spec.models import Sync

SETUP = {
    "lists": [{"name": "Newsletter"}],
    "programs": [{"name": "Webinar"}],
    "activityTypes": [
        {
            "apiName": "signedIn",
            "name": "Signed In",
            "primaryAttribute": {"apiName": "device", "name": "Device", "dataType": "string"},
            "attributes": [],
        }
    ],
}
PEOPLE = {"email": "varchar", "name": "varchar", "plan": "varchar", "account": "varchar"}


class Office:
    """A warehouse, a sandbox, and runs of syncs to it."""

    def __init__(self, warehouse: Warehouse, sandbox: Sandbox, folder: Path) -> None:
        self.warehouse, self.sandbox, self.folder = warehouse, sandbox, folder
        self.settings: dict[str, Any] = {}

    def sync(self, name: str, model: str, to: str, **spec: Any) -> Sync:
        return self.warehouse.sync(name, model, destination="marketo", object=to, **spec)

    def leads(self, **spec: Any) -> Sync:
        given = {"match": {"email": "email"}, "on_removed": "delete", **spec}
        fields = {"lastName": {"column": "name"}, "leadSource": {"column": "plan"}}
        return self.sync("people", "people", "leads", fields={**fields, **given.pop("fields", {})}, **given)

    def people(self, rows: Sequence[Mapping[str, str | None]]) -> None:
        texts = [{name: f"'{value}'" for name, value in row.items() if value is not None} for row in rows]
        self.warehouse.table("people", PEOPLE, texts)

    def run(self, *syncs: Sync) -> dict[str, SyncResult]:
        config = MarketoConfig(type="marketo", sandbox=True, **self.settings)
        output = Output("marketo", "dev", Marketo, config, Path("destinations.yml"), 1)
        options = RunOptions(retry=EAGER, journal_dir=self.folder / "journal")
        stop = threading.Event()
        with open_links({"marketo": output}, self.warehouse.store, self.folder / "sandbox", stop) as links:
            results = Run(self.warehouse.store, links, options, Listener(), stop).execute(list(syncs), {})
        for result in results:
            accounted(result)
        return {result.sync.name: result for result in results}

    def held(self, to: str, *names: str) -> list[tuple[Any, ...]]:
        records = [record for record in self.sandbox.store.scan("marketo", to) if record.archived is None]
        return sorted(tuple(record.properties.get(name) for name in names) for record in records)

    def paths(self) -> list[str]:
        return [request.path.removeprefix("/marketo") for request in self.sandbox.requests(100_000)]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    path = tmp_path / "marketo.json"
    path.write_text(json.dumps(SETUP))
    with Warehouse() as warehouse, Sandbox(tmp_path / "sandbox", ["marketo"], setup={"marketo": path}) as sandbox:
        yield Office(warehouse, sandbox, tmp_path)


def person(n: int, plan: str | None = "free", account: str | None = None) -> dict[str, str | None]:
    return {"email": f"p{n}@x.test", "name": f"Name {n}", "plan": plan, "account": account}


def counts(result: SyncResult) -> tuple[str, int, int, int, int]:
    totals = result.totals
    return result.status, totals.created, totals.updated, totals.deleted, totals.rejected


def test_companies_and_their_people(office: Office) -> None:
    office.warehouse.table("accounts", {"id": "varchar", "name": "varchar"}, [{"id": "'c1'", "name": "'Acme'"}])
    companies = office.sync(
        "accounts", "accounts", "companies", match={"externalCompanyId": "id"}, fields={"company": {"column": "name"}}
    )
    office.people([person(1, account="c1"), person(2)])
    leads = office.leads(fields={"externalCompanyId": {"column": "account"}})
    results = office.run(leads, companies)
    assert [counts(results[name])[:2] for name in ("accounts", "people")] == [("success", 1), ("success", 2)]
    assert office.held("leads", "email", "externalCompanyId") == [("p1@x.test", "c1"), ("p2@x.test", None)]
    assert {result.status for result in office.run(leads, companies).values()} == {"noop"}


def test_members_come_and_go(office: Office) -> None:
    match = {"match": {"email": "email"}, "on_removed": "delete"}
    readers = office.sync("readers", "people", "lists/1001", where="plan = 'paid'", **match)
    status = {"statusName": {"sql": "case plan when 'paid' then 'Attended' else 'Invited' end"}}
    guests = office.sync("guests", "people", "programs/1001", fields=status, **match)
    office.people([person(1, "paid"), person(2, "paid"), person(3)])
    first = office.run(readers)["readers"]
    assert counts(first) == ("partial", 0, 0, 0, 2)
    assert "no lead has this `email`" in str(first.totals.examples)
    results = office.run(office.leads(), readers, guests)
    assert [counts(results[name])[1] for name in ("people", "readers", "guests")] == [3, 2, 3]
    office.people([person(1, "free"), person(3, "paid")])
    results = office.run(readers, guests)
    assert counts(results["readers"]) == ("success", 1, 0, 2, 0)
    assert counts(results["guests"]) == ("partial", 0, 1, 1, 1)
    assert "already in or past this status" in str(results["guests"].totals.examples)
    assert len(office.held("lists/1001", "leadId")) == 1


def test_activities_are_appended_once(office: Office) -> None:
    columns = {"id": "integer", "email": "varchar", "at": "timestamp"}
    rows = [
        {"id": str(n), "email": f"'p{n % 3}@x.test'", "at": f"timestamp '2026-03-0{n + 1} 10:00:00'"} for n in range(6)
    ]
    office.warehouse.table("logins", columns, rows)
    fields = {
        "leadId": {"lookup": {"object": "leads", "match": {"email": "email"}}},
        "activityDate": {"column": "at"},
        "device": {"value": "phone"},
    }
    logins = office.sync("logins", "logins", "activities/signedIn", mode="append", key=("id",), fields=fields)
    office.people([person(n) for n in range(2)])
    results = office.run(logins, office.leads())
    assert counts(results["logins"]) == ("partial", 4, 0, 0, 2)
    office.people([person(n) for n in range(3)])
    results = office.run(logins, office.leads())
    assert counts(results["logins"]) == ("success", 2, 0, 0, 0)
    assert office.run(logins)["logins"].status == "noop"
    assert len(office.held("activities/signedIn", "device")) == 6


def test_many_are_imported_and_few_are_not(office: Office) -> None:
    office.settings = {"bulk_threshold": 100}
    office.people([person(n, None if n % 10 == 0 else "free") for n in range(400)])
    result = office.run(office.leads())["people"]
    assert (result.status, result.totals.accepted) == ("success", 400)
    paths = office.paths()
    assert paths.count("/bulk/v1/leads.json") == 1
    assert paths.count("/rest/v1/leads.json") == 1  # the forty without a plan
    office.people([person(n, "paid" if n < 5 else None if n % 10 == 0 else "free") for n in range(399)])
    result = office.run(office.leads())["people"]
    assert (result.totals.accepted, result.totals.deleted) == (6, 1)
    assert office.paths().count("/bulk/v1/leads.json") == 1
    assert office.run(office.leads())["people"].status == "noop"


def test_rows_that_an_import_refuses_come_back(office: Office) -> None:
    office.settings = {"bulk_threshold": 1}
    rows = [person(n) for n in range(5)]
    office.people([{**row, "plan": "x" * 300} if n == 3 else row for n, row in enumerate(rows)])
    result = office.run(office.leads())["people"]
    assert counts(result)[4] == 1
    assert "longer than 255" in str(result.totals.examples)
    office.people(rows)
    assert office.run(office.leads())["people"].totals.accepted == 1
    assert len(office.held("leads", "email")) == 5


@pytest.mark.parametrize(("threshold", "seed"), [(5000, 0), (1, 1)])
def test_trouble_ends_in_the_same_records(office: Office, threshold: int, seed: int) -> None:
    """Whatever breaks and however often, every row is one lead in the end, and holds what the row says."""
    office.settings = {"bulk_threshold": threshold}
    often = {"vendor": "marketo", "probability": 0.12}
    kinds: list[dict[str, Any]] = [
        {"kind": "reset"},
        {"kind": "reset", "accepted": True},
        {"kind": "truncated"},
        {"kind": "garbage"},
        {"kind": "expired"},
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 429, "retry_after": 0},
        {"kind": "status", "status": 429, "policy": "CONCURRENT", "retry_after": 0},
    ]
    for generation in ("old", "new", None):
        rows = [person(n, generation) for n in range(12) if n % 5 or generation != "new"]
        office.people(rows)
        office.sandbox.set_faults([{**often, **kind, "seed": 100 * seed + n} for n, kind in enumerate(kinds)])
        for _ in range(2):
            office.run(office.leads())
        office.sandbox.set_faults([])
        assert office.run(office.leads())["people"].status in ("success", "noop")
        expected = sorted((str(row["email"]), generation) for row in rows)
        assert office.held("leads", "email", "leadSource") == expected
    assert office.run(office.leads())["people"].status == "noop"
