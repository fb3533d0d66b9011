"""Marketo's pages show what arrived, in its terms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from revetl_dbt.sandbox import Sandbox

from .conftest import Clock
from .marketo import Client, setup
from .test_pages import EVIL, read, text


@pytest.fixture
def client(tmp_path: Path, clock: Clock) -> Iterator[Client]:
    with Sandbox(tmp_path / "state", ["marketo"], now=clock) as sandbox:
        setup(sandbox, tmp_path)
        client = Client(sandbox)
        yield client
        client.session.close()


def page(client: Client, path: str, **query: str) -> str:
    return text(read(f"{client.sandbox.base_url}/pages/marketo{path}", **query))


def test_the_start_page_counts(client: Client) -> None:
    client.lead(email="ada@x.test")
    shown = text(read(client.sandbox.base_url))
    assert "1 People" in shown
    assert "0 List: Customers" in shown
    assert f"account {client.sandbox.account('marketo')}" in shown


def test_a_list_of_people(client: Client) -> None:
    client.lead(email="ada@x.test", firstName="Ada", lastName=EVIL, plan="paid", leadScore=7)
    client.lead(email="bob@x.test", firstName="Bob")
    shown = page(client, "/leads")
    assert "Ada" in shown
    assert EVIL in shown
    assert "Lead Score" in shown
    assert "Bob" not in page(client, "/leads", q="ada@x.test")
    assert "Nothing has arrived yet." in page(client, "/companies")


def test_a_person(client: Client, clock: Clock) -> None:
    client.post("/rest/v1/companies.json", {"input": [{"externalCompanyId": "c1", "company": "Acme"}]})
    given = {"firstName": "Ada", "title": "Analyst", "dateOfBirth": "1815-12-10", "unsubscribed": False}
    lead = client.lead(email="ada@x.test", externalCompanyId="c1", plan="free", **given)
    clock.now += 60
    client.lead(email="ada@x.test", plan="paid", title=None)
    client.post("/rest/v1/lists/1001/leads.json", {"input": [{"id": lead}]})
    status = {"statusName": "Attended", "input": [{"leadId": lead}]}
    client.post("/rest/v1/programs/1001/members/status.json", status)
    (kind,) = client.get("/rest/v1/activities/external/types.json")
    activity = {
        "leadId": lead,
        "activityDate": "2026-09-26T06:56:35Z",
        "activityTypeId": kind["id"],
        "primaryAttributeValue": "Summit",
        "attributes": [{"apiName": "numberOfAttendees", "value": 7}],
    }
    client.post("/rest/v1/activities/external.json", {"input": [activity]})
    shown = page(client, f"/leads/{lead}")
    for part in ("Ada", "10 Dec 1815", "No", "Acme", "List: Customers", "Attended", "Attend Conference", "Summit"):
        assert part in shown
    assert "Plan free paid" in shown
    assert "Job Title Analyst cleared" in shown
    assert "Ada" in page(client, "/lists/1001")
    assert "Attended" in page(client, "/programs/1001")
    assert "Summit" in page(client, "/activities/attendConference")


def test_other_records(client: Client) -> None:
    client.post("/rest/v1/customobjects/car_c.json", {"input": [{"vin": "v1", "make": "BMW"}]})
    guid = client.get("/rest/v1/customobjects/car_c.json", filterType="vin", filterValues="v1")[0]["marketoGUID"]
    assert "BMW" in page(client, "/customObjects/car_c")
    assert "BMW" in page(client, f"/customObjects/car_c/{guid}")
    assert read(f"{client.sandbox.base_url}/pages/marketo/customObjects/car_c/404").status == 404  # type: ignore[attr-defined]  # set by read()
    assert "There is no such record" in page(client, "/nonsense")


def test_a_deleted_person_is_still_shown(client: Client) -> None:
    lead = client.lead(email="ada@x.test")
    client.post("/rest/v1/leads/delete.json", {"input": [{"id": lead}]})
    assert "deleted" in page(client, f"/leads/{lead}")
