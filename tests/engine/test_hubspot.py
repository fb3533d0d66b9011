"""The HubSpot connector behind the engine: associations by lookup, lists, events, erasing, created properties, tokens
that end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from revetl_dbt.destinations.hubspot import HubSpotConfig
from revetl_dbt.sandbox import Sandbox
from revetl_dbt.sandbox.hubspot import HubSpot as StandIn

from .connected import Connected
from .harness import Warehouse

SETUP = """
lists: [{listId: 12, name: Trials, objectTypeId: 0-1, processingType: MANUAL}]
events:
- {name: login, label: In, fullyQualifiedName: pe1_login, propertyDefinitions: [{name: plan, label: P, type: string}]}
properties: {companies: [{name: ref, label: Ref, type: string, fieldType: text, hasUniqueValue: true}]}
"""


class Crm(Connected):
    """Runs syncs of a warehouse against a HubSpot of one's own."""

    def __init__(self, sandbox: Sandbox, warehouse: Warehouse, folder: Path) -> None:
        self.hub = cast("StandIn", sandbox.vendor("hubspot"))
        # An installed app, whose tokens end.
        config = HubSpotConfig(type="hubspot", base_url=sandbox.url("hubspot"), **vars(self.hub.oauth_client()))
        super().__init__(sandbox, warehouse, folder, config)

    def people(self, *rows: dict[str, str]) -> None:
        columns = {"email": "varchar", "company": "varchar", "seats": "integer"}
        self.warehouse.table("people", columns, [{key: f"'{value}'" for key, value in row.items()} for row in rows])

    def companies_of(self, address: str, *, labelled: bool = False) -> list[str]:
        contacts, companies = self.hub.hub.kind("contacts"), self.hub.hub.kind("companies")
        (known,) = self.hub.store.owners("hubspot", "contacts", "email", [address]).values()
        links = self.hub.associations.held(contacts, companies, [known])[known]
        held = [other for other, types in links.items() if not labelled or len(types) > 1]
        return sorted(record.properties["ref"] for record in self.hub.store.read("hubspot", "companies", held).values())


@pytest.fixture
def crm(warehouse: Warehouse, tmp_path: Path) -> Iterator[Crm]:
    setup = tmp_path / "hubspot.yml"
    setup.write_text(SETUP)
    with Sandbox(tmp_path / "vendors", ["hubspot"], setup={"hubspot": setup}) as running:
        yield Crm(running, warehouse, tmp_path)


LOGIN = {"id": "1", "email": "'ada@x.test'", "seats": "3"}
FIRMS = "firms", {"object": "companies", "match": {"ref": "ref"}, "fields": {"name": {"column": "name"}}}
PEOPLE = {"model": "people", "object": "contacts", "match": {"email": "email"}}


def test_a_contact_goes_with_the_company_that_is_looked_up(crm: Crm, warehouse: Warehouse) -> None:
    lookup = {"lookup": {"object": "companies", "match": {"ref": "company"}}}
    people = "people", {**PEOPLE, "fields": {"associations.companies": lookup}}
    warehouse.table("firms", {"ref": "varchar", "name": "varchar"}, [{"ref": f"'{n}'", "name": f"'{n}'"} for n in "ab"])
    crm.people(
        {"email": "ada@x.test", "company": "a"}, {"email": "bob@x.test", "company": "z"}, {"email": "eve@x.test"}
    )
    firms, contacts = sorted(crm.run(people, FIRMS), key=lambda result: result.sync.name)
    assert (firms.status, contacts.status, contacts.totals.accepted) == ("success", "partial", 2)
    assert dict(contacts.totals.reasons) == {"lookup_missing": 1}
    assert crm.companies_of("ada@x.test") == ["a"]
    crm.people(
        {"email": "ada@x.test", "company": "b"}, {"email": "bob@x.test", "company": "b"}, {"email": "eve@x.test"}
    )
    assert crm.run(people)[0].totals.accepted == 2
    assert (crm.companies_of("ada@x.test"), crm.companies_of("bob@x.test")) == (["b"], ["b"])
    crm.people({"email": "ada@x.test"}, {"email": "bob@x.test", "company": "b"}, {"email": "eve@x.test"})
    assert crm.run(people)[0].totals.updated == 1
    assert crm.companies_of("ada@x.test") == []


def test_a_label_goes_with_the_company_that_is_looked_up(crm: Crm, warehouse: Warehouse) -> None:
    field = "associations.companies.Sold by"
    people = (
        "people",
        {
            **PEOPLE,
            "create_fields": True,
            "fields": {field: {"lookup": {"object": "companies", "match": {"ref": "company"}}}},
        },
    )
    warehouse.table("firms", {"ref": "varchar", "name": "varchar"}, [{"ref": f"'{n}'", "name": f"'{n}'"} for n in "ab"])
    crm.people({"email": "ada@x.test", "company": "a"})
    assert [result.status for result in crm.run(people, FIRMS)] == ["success"] * 2
    crm.people({"email": "ada@x.test", "company": "b"})
    assert crm.run(people)[0].totals.updated == 1
    assert crm.companies_of("ada@x.test") == ["a", "b"], "a label that goes leaves the association"
    assert crm.companies_of("ada@x.test", labelled=True) == ["b"]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 429, "policy": "SECONDLY", "retry_after": 0},
        {"kind": "status", "status": 500},
        {"kind": "reset", "accepted": True},
        {"kind": "results", "how": "missing"},
    ],
)
def test_trouble_with_associations_is_sat_out(crm: Crm, warehouse: Warehouse, fault: dict[str, Any]) -> None:
    warehouse.table("firms", {"ref": "varchar", "name": "varchar"}, [{"ref": "'a'", "name": "'a'"}])
    crm.run(FIRMS)
    crm.people(*({"email": f"p{n}@x.test", "company": "a"} for n in range(5)))
    crm.sandbox.set_faults([{**fault, "times": 1, "path": "*/batch/associate/default"}])
    lookup = {"lookup": {"object": "companies", "match": {"ref": "company"}}}
    (result,) = crm.run(("people", {**PEOPLE, "fields": {"associations.companies": lookup}}))
    assert (result.status, result.totals.accepted) == ("success", 5)
    assert {tuple(crm.companies_of(f"p{n}@x.test")) for n in range(5)} == {("a",)}
    assert crm.hub.store.counts("hubspot")["contacts"] == (5, 0)


def test_who_is_on_a_list_follows_the_rows(crm: Crm) -> None:
    people, trials = ("people", PEOPLE), ("trials", {**PEOPLE, "object": "lists/12", "on_removed": "delete"})
    crm.people({"email": "ada@x.test"}, {"email": "bob@x.test"})
    crm.run(people)
    assert crm.run(trials)[0].totals.created == 2
    crm.people({"email": "bob@x.test"}, {"email": "nobody@x.test"})
    result = crm.run(trials)[0]
    assert (result.totals.deleted, result.totals.rejected, len(crm.hub.lists.members("12"))) == (1, 1, 1)


def test_events_are_sent_once(crm: Crm, warehouse: Warehouse) -> None:
    spec = {"object": "events/pe1_login", "mode": "append", "key": ("id",)}
    fields = {"email": {"column": "email"}, "occurredAt": {"column": "at"}, "plan": {"value": "pro"}}
    columns = {"id": "integer", "email": "varchar", "at": "timestamp"}
    rows = [{"id": str(n), "email": "'ada@x.test'", "at": f"timestamp '2026-01-0{n} 10:00:00'"} for n in range(1, 4)]
    for count, accepted in ((2, 2), (3, 1)):
        warehouse.table("logins", columns, rows[:count])
        assert crm.run(("logins", {**spec, "fields": fields}))[0].totals.accepted == accepted
    occurred = [record.properties["occurredAt"] for record in crm.hub.store.scan("hubspot", "event:pe1_login")]
    assert occurred == [f"2026-01-0{n}T10:00:00.000Z" for n in range(1, 4)]


def test_rows_of_an_erasing_sync_are_erased(crm: Crm) -> None:
    crm.people({"email": "ada@x.test"}, {"email": "bob@x.test"})
    crm.run(("people", PEOPLE))
    crm.people({"email": "ADA@x.test"}, {"email": "nobody@x.test"})
    assert crm.run(("erased", {**PEOPLE, "mode": "erase"}))[0].totals.done == 2
    held = [record.properties["email"] for record in crm.hub.store.scan("hubspot", "contacts", archived=None)]
    assert held == ["bob@x.test"]


def test_a_property_is_created_for_its_column(crm: Crm) -> None:
    crm.people({"email": "ada@x.test", "seats": "3"})
    spec = {**PEOPLE, "create_fields": True, "fields": {"paid_seats": {"column": "seats"}}}
    assert crm.run(("people", spec))[0].totals.accepted == 1
    made = crm.hub.hub.property(crm.hub.hub.kind("contacts"), "paid_seats")
    assert (made.type, made.group) == ("number", "revetl")


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "expired"},
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 429, "policy": "TEN_SECONDLY_ROLLING", "retry_after": 0.1},
        {"kind": "reset", "accepted": True},
        {"kind": "reset"},
    ],
)
def test_one_bad_answer_keeps_no_property_from_being_created(crm: Crm, fault: dict[str, Any]) -> None:
    crm.people({"email": "ada@x.test", "seats": "3"})
    crm.sandbox.set_faults([{**fault, "method": "POST", "path": "*/properties/*/contacts", "times": 1}])
    spec = {**PEOPLE, "create_fields": True, "fields": {"paid_seats": {"column": "seats"}}}
    (result,) = crm.run(("people", spec))
    assert (result.status, result.totals.created) == ("success", 1), result.message
    assert crm.sandbox.fault_state()[0]["hits"] == 1


def test_a_property_of_an_event_is_planned_then_created(crm: Crm, warehouse: Warehouse) -> None:
    warehouse.table("logins", {"id": "integer", "email": "varchar", "seats": "integer"}, [LOGIN])
    fields = {"email": {"column": "email"}, "seats": {"column": "seats"}, "plan": {"value": "pro"}}
    spec = {"object": "events/pe1_login", "mode": "append", "key": ("id",), "fields": fields, "create_fields": True}
    assert crm.plan("logins", spec).new_fields == {"seats": "integer"}
    assert {asked.method for asked in crm.sandbox.requests() if "definitions" in asked.path} == {"GET"}
    assert crm.run(("logins", spec))[0].totals.accepted == 1
    (event,) = crm.hub.store.scan("hubspot", "event:pe1_login")
    assert event.properties["seats"] == "3"
    assert crm.plan("logins", spec).new_fields == {}


def test_a_token_that_ends_in_the_middle_is_renewed(crm: Crm) -> None:
    crm.people(*({"email": f"p{n}@x.test"} for n in range(250)))
    crm.sandbox.set_faults([{"kind": "expired", "path": "*/batch/upsert", "nth": 2}])
    (result,) = crm.run(("people", PEOPLE))
    assert (result.status, result.totals.created) == ("success", 250)
    tokens = [asked for asked in crm.sandbox.requests() if asked.path.endswith("/token")]
    assert len(tokens) == 2
