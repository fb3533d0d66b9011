"""People, companies, memberships, tags and events in Intercom, from tables through the engine; and whatever breaks,
every row is one user in the end.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from engine.harness import EAGER, Listener, Warehouse, accounted

from revetl_dbt.destinations.intercom import Intercom, IntercomConfig
from revetl_dbt.engine.link import open_links
from revetl_dbt.engine.result import RunOptions, SyncResult
from revetl_dbt.engine.run import Run
from revetl_dbt.sandbox import Sandbox
from revetl_dbt.spec.destinations import Output
from revetl_dbt.spec.models import Sync

PEOPLE = {"id": "varchar", "name": "varchar", "company": "varchar", "vip": "boolean", "seats": "integer"}


class Desk:
    """A table of people, the syncs that take it to Intercom, and runs of them."""

    def __init__(self, warehouse: Warehouse, folder: Path, **settings: Any) -> None:
        self.warehouse, self.folder, self.settings = warehouse, folder, settings
        self.companies = self.sync(
            "companies", {"company_id": "company"}, {"name": "company"}, key=("company",), model="companies"
        )
        fields = {"name": "name", "seats": "seats"}
        self.users = self.sync("users", {"external_id": "id"}, fields, on_removed="archive", create_fields=True)
        self.belongs = self.sync("contact_companies", {"external_id": "id", "company_id": "company"}, {})
        self.vips = self.sync("tags/VIP", {"external_id": "id"}, {}, where="vip")
        event = {"event_name": {"value": "met-us"}, "created_at": {"sql": "timestamp '2024-01-01'"}, "name": "name"}
        self.met = self.sync("events", {"external_id": "id"}, event, mode="append", on_removed="keep")

    def sync(
        self, kind: str, match: Mapping[str, str], fields: Mapping[str, Any], *, model: str = "people", **spec: Any
    ) -> Sync:
        declared = {name: {"column": item} if isinstance(item, str) else item for name, item in fields.items()}
        return self.warehouse.sync(
            kind.replace("/", "_").lower(),
            model,
            **{
                "destination": "intercom",
                "object": kind,
                "match": match,
                "key": ("id",),
                "on_removed": "delete",
                **spec,
            },
            fields=declared,
        )

    def people(self, **people: tuple[str, str, bool]) -> None:
        """The people there are now: by id their name, company, and whether they are very important."""
        rows = [
            {"id": f"'{key}'", "name": f"'{name}'", "company": f"'{company}'", "vip": str(vip), "seats": str(len(name))}
            for key, (name, company, vip) in people.items()
        ]
        self.warehouse.table("people", PEOPLE, rows)
        companies = sorted({company for _, company, _ in people.values()})
        self.warehouse.table("companies", {"company": "varchar"}, [{"company": f"'{name}'"} for name in companies])

    def run(self, *syncs: Sync) -> dict[str, SyncResult]:
        config = IntercomConfig(type="intercom", sandbox=True, **self.settings)
        output = Output("intercom", "dev", Intercom, config, Path("destinations.yml"), 1)
        options = RunOptions(retry=EAGER, journal_dir=self.folder / "journal")
        stop, found = threading.Event(), {}
        with open_links({"intercom": output}, self.warehouse.store, self.folder / "sandbox", stop) as links:
            for sync in syncs:  # one after the other: nothing but a lookup tells the engine who goes first
                (result,) = Run(self.warehouse.store, links, options, Listener(), stop).execute([sync], {})
                accounted(result)
                found[sync.spec.object] = result
        return found


@pytest.fixture
def warehouse() -> Iterator[Warehouse]:
    with Warehouse() as fresh:
        yield fresh


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "sandbox", ["intercom"]) as running:
        running.configure("intercom", job_polls=0)
        yield running


def counts(results: Mapping[str, SyncResult]) -> dict[str, tuple[str, int, int, int, int]]:
    """Of each object: what came of the sync, and how many were created, updated, deleted and rejected."""
    totals = {kind: (result.status, result.totals) for kind, result in results.items()}
    return {kind: (status, t.created, t.updated, t.deleted, t.rejected) for kind, (status, t) in totals.items()}


def held(sandbox: Sandbox) -> dict[str, tuple[str, list[str], list[str]]]:
    """The users that are not archived: external id -> name, companies, tags."""
    store = sandbox.store
    companies = {record.id: record.properties["company_id"] for record in store.scan("intercom", "companies")}
    tags = {record.id: record.properties["name"] for record in store.scan("intercom", "tags")}
    return {
        contact.properties["external_id"]: (
            contact.properties["name"],
            [companies[known] for known in contact.properties["$companies"]],
            [tags[known] for known in contact.properties["$tags"]],
        )
        for contact in store.scan("intercom", "contacts")
    }


def test_people_come_move_and_go(warehouse: Warehouse, sandbox: Sandbox, tmp_path: Path) -> None:
    desk = Desk(warehouse, tmp_path)
    everything = (desk.companies, desk.users, desk.belongs, desk.vips, desk.met)
    desk.people(a=("Ada", "Acme", True), b=("Bob", "Acme", False), c=("Cyd", "Beta", True))
    assert counts(desk.run(*everything)) == {
        "companies": ("success", 2, 0, 0, 0),
        "users": ("success", 3, 0, 0, 0),
        "contact_companies": ("success", 3, 0, 0, 0),
        "tags/VIP": ("success", 2, 0, 0, 0),
        "events": ("success", 3, 0, 0, 0),
    }
    assert held(sandbox) == {
        "a": ("Ada", ["Acme"], ["VIP"]),
        "b": ("Bob", ["Acme"], []),
        "c": ("Cyd", ["Beta"], ["VIP"]),
    }
    seats = {r.properties["external_id"]: r.properties["seats"] for r in sandbox.store.scan("intercom", "contacts")}
    assert seats == {"a": 3, "b": 3, "c": 3}
    assert {result.status for result in desk.run(*everything).values()} == {"noop"}

    desk.people(a=("Ada L", "Beta", False), c=("Cyd", "Beta", True), d=("Dan", "Gamma", True))
    second = counts(desk.run(*everything))
    assert second["companies"] == ("success", 1, 0, 1, 0)  # Acme went, and took its people along
    assert second["users"] == ("success", 1, 1, 1, 0)
    assert second["events"] == ("success", 1, 0, 0, 0)
    assert held(sandbox) == {
        "a": ("Ada L", ["Beta"], []),
        "c": ("Cyd", ["Beta"], ["VIP"]),
        "d": ("Dan", ["Gamma"], ["VIP"]),
    }
    assert {result.status for result in desk.run(*everything).values()} == {"noop"}


def test_who_comes_back_is_the_same_person(warehouse: Warehouse, sandbox: Sandbox, tmp_path: Path) -> None:
    desk = Desk(warehouse, tmp_path)
    desk.people(a=("Ada", "Acme", True), b=("Bob", "Acme", False))
    desk.run(desk.users)
    (before,) = (r.id for r in sandbox.store.scan("intercom", "contacts") if r.properties["name"] == "Bob")
    desk.people(a=("Ada", "Acme", True))
    assert counts(desk.run(desk.users))["users"] == ("success", 0, 0, 1, 0)
    assert set(held(sandbox)) == {"a"}
    desk.people(a=("Ada", "Acme", True), b=("Bobby", "Acme", False))
    assert desk.run(desk.users)["users"].status == "success"
    assert held(sandbox)["b"][0] == "Bobby"
    assert sandbox.store.read("intercom", "contacts", [before])[before].archived is None


def test_members_that_are_not_there_yet_go_with_the_next_run(
    warehouse: Warehouse, sandbox: Sandbox, tmp_path: Path
) -> None:
    desk = Desk(warehouse, tmp_path)
    desk.people(a=("Ada", "Acme", True))
    first = desk.run(desk.belongs, desk.met)
    assert [result.totals.rejected for result in first.values()] == [1, 1]
    assert "Intercom has no contact with this row's value" in str(first["contact_companies"].totals.examples)
    assert "User Not Found" in str(first["events"].totals.examples)
    second = counts(desk.run(desk.companies, desk.users, desk.belongs, desk.met))
    assert [second[kind][1:] for kind in ("contact_companies", "events")] == [(1, 0, 0, 0)] * 2


@pytest.mark.parametrize(("bulk_from", "seed"), [(None, 0), (1, 1)])
def test_trouble_ends_in_the_same_people(
    warehouse: Warehouse, sandbox: Sandbox, tmp_path: Path, bulk_from: int | None, seed: int
) -> None:
    desk = Desk(warehouse, tmp_path, bulk_from=bulk_from)
    sandbox.configure("intercom", search_lag=3600.0)
    kinds: list[dict[str, Any]] = [
        {"kind": "reset"},
        {"kind": "reset", "accepted": True},
        {"kind": "truncated"},
        {"kind": "garbage"},
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 503},
    ]
    for generation in ("One", "Two", "Three"):
        people = {
            f"u{n}": (f"{generation} {n}", f"c{n % 3}", n % 2 == 0) for n in range(12) if n % 5 or generation != "Two"
        }
        desk.people(**people)
        often = {"vendor": "intercom", "probability": 0.1}
        sandbox.set_faults([{**often, **kind, "seed": 10 * seed + n} for n, kind in enumerate(kinds)])
        for _ in range(2):
            desk.run(desk.users)
        sandbox.set_faults([])
        assert desk.run(desk.users)["users"].status in ("success", "noop")
        assert {key: name for key, (name, _, _) in held(sandbox).items()} == {k: v[0] for k, v in people.items()}
    assert desk.run(desk.users)["users"].status == "noop"
