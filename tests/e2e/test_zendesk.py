"""Users, organizations, memberships, tags, tickets and custom objects in Zendesk, from tables through the engine: by
background jobs, one by one where bulk imports are off, and by a job that an earlier run left behind.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from engine.harness import EAGER, Listener, Warehouse, accounted

from revetl_dbt.destinations.zendesk import Zendesk, ZendeskConfig
from revetl_dbt.engine.link import open_links
from revetl_dbt.engine.result import RunOptions, SyncResult
from revetl_dbt.engine.run import Run
from revetl_dbt.sandbox import Sandbox
from revetl_dbt.sandbox.zendesk import Zendesk as StandIn
from revetl_dbt.sandbox.zendesk.fields import USERS
from revetl_dbt.spec.destinations import Output
from revetl_dbt.spec.models import Sync

PEOPLE = {"id": "varchar", "name": "varchar", "company": "varchar", "tag": "varchar"}
SETUP = '{"custom_objects": [{"key": "plan", "title": "Plan", "fields": []}]}'
PLANS = "custom_objects/plan"


class Desk:
    """A table of people, the syncs that take it to Zendesk, and runs of them."""

    def __init__(self, warehouse: Warehouse, folder: Path) -> None:
        self.warehouse, self.folder = warehouse, folder
        by_company: dict[str, Any] = {"model": "companies", "key": ("company",), "match": {"external_id": "company"}}
        by_id: dict[str, Any] = {"key": ("id",), "match": {"external_id": "id"}}
        name, size = {"column": "name"}, {"sql": "length(name)"}
        pair = {"user_external_id": "id", "organization_external_id": "company"}
        tag = {"external_id": "id", "tag": "tag"}
        ticket = {"subject": name, "comment": {"value": "Welcome", "write": "on_create"}, "status": {"value": "open"}}
        self.organizations = self.sync("organizations", **by_company, fields={"name": {"column": "company"}})
        self.users = self.sync("users", **by_id, create_fields=True, fields={"name": name, "user_fields.size": size})
        self.belongs = self.sync("organization_memberships", key=("id", "company"), match=pair, fields={})
        self.tags = self.sync("user_tags", key=("id", "tag"), match=tag, fields={}, where="tag <> ''")
        self.tickets = self.sync("tickets", **by_id, fields=ticket)
        self.plans = self.sync(PLANS, **by_company, fields={"name": {"column": "company"}})
        self.everything = (self.organizations, self.users, self.belongs, self.tags, self.tickets, self.plans)

    def sync(self, kind: str, *, model: str = "people", **spec: Any) -> Sync:
        name = kind.replace("/", "_")
        return self.warehouse.sync(name, model, destination="zendesk", object=kind, on_removed="delete", **spec)

    def people(self, **people: tuple[str, str, str]) -> None:
        """The people there are now: by id their name, company and tag."""
        rows = [
            {"id": f"'{key}'", "name": f"'{name}'", "company": f"'{company}'", "tag": f"'{tag}'"}
            for key, (name, company, tag) in people.items()
        ]
        self.warehouse.table("people", PEOPLE, rows)
        companies = sorted({company for _, company, _ in people.values()})
        self.warehouse.table("companies", {"company": "varchar"}, [{"company": f"'{name}'"} for name in companies])

    def run(self, *syncs: Sync) -> dict[str, SyncResult]:
        config = ZendeskConfig(type="zendesk", sandbox=True, bulk_from=2, job_seconds=0.01)
        output = Output("zendesk", "dev", Zendesk, config, Path("destinations.yml"), 1)
        options = RunOptions(retry=EAGER, journal_dir=self.folder / "journal")
        stop, found = threading.Event(), {}
        with open_links({"zendesk": output}, self.warehouse.store, self.folder / "sandbox", stop) as links:
            for sync in syncs:
                (result,) = Run(self.warehouse.store, links, options, Listener(), stop).execute([sync], {})
                accounted(result)
                found[sync.spec.object] = result
        return found


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    setup = tmp_path / "setup.json"
    setup.write_text(SETUP)
    with Sandbox(tmp_path / "sandbox", ["zendesk"], setup={"zendesk": setup}) as running:
        running.configure("zendesk", job_polls=0)
        yield running


@pytest.fixture
def desk(tmp_path: Path, sandbox: Sandbox) -> Iterator[Desk]:
    with Warehouse() as warehouse:
        yield Desk(warehouse, tmp_path)


def counts(results: Mapping[str, SyncResult]) -> dict[str, tuple[str, int, int, int]]:
    """Of each object: what came of the sync, and how many were created, updated and deleted."""
    totals = {kind: (result.status, result.totals) for kind, result in results.items()}
    assert not [kind for kind, (_, t) in totals.items() if t.rejected or t.unknown]
    return {kind: (status, t.created, t.updated, t.deleted) for kind, (status, t) in totals.items()}


def users(sandbox: Sandbox) -> dict[str, tuple[str, int, list[str], list[str]]]:
    """The users there are: external id -> name, size of the name, companies, tags."""
    store = sandbox.store
    companies = {record.id: record.properties["external_id"] for record in store.scan("zendesk", "organizations")}
    return {
        held["external_id"]: (
            held["name"],
            held["user_fields"]["size"],
            [companies[known] for known in held.get("organizations", ())],
            held.get("tags", []),
        )
        for record in store.scan("zendesk", "users")
        if record.archived is None
        for held in [record.properties]
    }


def tickets(sandbox: Sandbox) -> dict[str, tuple[str, int]]:
    """The tickets there are: external id -> subject, and how many comments."""
    live = [r.properties for r in sandbox.store.scan("zendesk", "tickets") if r.archived is None]
    return {held["external_id"]: (held["subject"], len(held["comments"])) for held in live}


def asked(sandbox: Sandbox) -> Counter[str]:
    """How often each address was asked, ids left out."""
    lines = [f"{line.method} {line.path.removeprefix('/zendesk/api/v2/')}" for line in sandbox.requests()]
    return Counter(lines)


def test_people_come_change_and_go(desk: Desk, sandbox: Sandbox) -> None:
    desk.people(a=("Ada", "acme", "vip"), b=("Bob", "acme", ""), c=("Cyd", "beta", "vip"))
    assert counts(desk.run(*desk.everything)) == {
        "organizations": ("success", 2, 0, 0),
        "users": ("success", 3, 0, 0),
        "organization_memberships": ("success", 3, 0, 0),
        "user_tags": ("success", 2, 0, 0),
        "tickets": ("success", 3, 0, 0),
        PLANS: ("success", 2, 0, 0),
    }
    assert users(sandbox) == {
        "a": ("Ada", 3, ["acme"], ["vip"]),
        "b": ("Bob", 3, ["acme"], []),
        "c": ("Cyd", 3, ["beta"], ["vip"]),
    }
    requests = asked(sandbox)
    jobs = ("users/create_or_update_many", "organizations/create_many", "organization_memberships/create_many")
    assert [requests[f"POST {name}"] for name in (*jobs, f"{PLANS}/jobs", "tickets")] == [1, 1, 1, 1, 3]

    records = sandbox.vendor("zendesk")
    assert isinstance(records, StandIn)
    (ada,) = records.records.find(USERS, "external_id", ["a"])
    records.records.set_tags(USERS, ada, ["vip", "agent"])
    desk.people(a=("Ada L", "beta", ""), c=("Cyd", "beta", "vip"), d=("Dan", "gamma", "vip"))
    second = counts(desk.run(*desk.everything))
    assert second["users"] == ("success", 1, 1, 1)
    assert second["tickets"] == ("success", 1, 1, 1)
    assert second["organizations"] == second[PLANS] == ("success", 1, 0, 1)
    assert users(sandbox) == {
        "a": ("Ada L", 5, ["beta"], ["agent"]),
        "c": ("Cyd", 3, ["beta"], ["vip"]),
        "d": ("Dan", 3, ["gamma"], ["vip"]),
    }
    assert tickets(sandbox) == {"a": ("Ada L", 1), "c": ("Cyd", 1), "d": ("Dan", 1)}
    assert {result.status for result in desk.run(*desk.everything).values()} == {"noop"}


def test_where_bulk_imports_are_off_users_go_one_by_one(desk: Desk, sandbox: Sandbox) -> None:
    sandbox.configure("zendesk", bulk_imports=False)
    people = {f"u{n}": (f"Name {n}", "acme", "") for n in range(5)}
    desk.people(**people)
    assert counts(desk.run(desk.users)) == {"users": ("success", 5, 0, 0)}
    requests = asked(sandbox)
    assert (requests["POST users/create_or_update_many"], requests["POST users/create_or_update"]) == (1, 5)
    assert {key: held[0] for key, held in users(sandbox).items()} == {key: name for key, (name, _, _) in people.items()}


def test_a_job_that_a_run_left_behind_is_taken_up_by_the_next(desk: Desk, sandbox: Sandbox) -> None:
    desk.people(**{f"u{n}": (f"Name {n}", "acme", "") for n in range(5)})
    sandbox.set_faults([{"kind": "status", "status": 500, "path": "*/job_statuses/*"}])
    assert desk.run(desk.users)["users"].status == "error"
    sandbox.set_faults([])
    assert desk.run(desk.users)["users"].status == "noop", "nothing was left but to hear of the job"
    assert asked(sandbox)["POST users/create_or_update_many"] == 1
    assert len(users(sandbox)) == 5


def test_a_limit_that_is_told_in_plain_text_is_waited_for(desk: Desk, sandbox: Sandbox) -> None:
    desk.people(a=("Ada", "acme", ""))
    told = {"kind": "status", "status": 429, "policy": "user", "retry_after": 0, "times": 1, "method": "POST"}
    sandbox.set_faults([{**told, "path": "*/users/create_or_update"}])
    assert counts(desk.run(desk.users)) == {"users": ("success", 1, 0, 0)}
    (refused,) = (line for line in sandbox.requests() if line.status == 429)
    assert refused.path.endswith("/users/create_or_update")
