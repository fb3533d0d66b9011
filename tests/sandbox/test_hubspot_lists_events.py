"""Static lists, custom events, the GDPR delete and OAuth tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import requests

from revetl_dbt.sandbox import Sandbox
from revetl_dbt.sandbox.hubspot import HubSpot

from .conftest import Clock, Hub, upsert_input

LOGIN = "pe1_login"


def make_list(hub: Hub, processing: str = "MANUAL", kind: str = "0-1") -> str:
    body = {"name": "Trials", "objectTypeId": kind, "processingType": processing}
    return str(hub.post("/crm/v3/lists", body).json()["list"]["listId"])


class TestLists:
    @pytest.mark.parametrize("base", ["/crm/v3/lists", "/crm/lists/2026-09"])
    def test_records_join_and_leave(self, hub: Hub, base: str) -> None:
        path = f"{base}/{make_list(hub)}"
        ada, bob = hub.create(email="ada@example.com"), hub.create(email="bob@example.com")
        assert hub.get(path).json()["list"]["processingType"] == "MANUAL"
        added = hub.call("PUT", f"{path}/memberships/add", [ada, bob, "9"]).json()
        assert added == {"recordsIdsAdded": [ada, bob], "recordIdsRemoved": [], "recordIdsMissing": ["9"]}
        assert hub.call("PUT", f"{path}/memberships/add", [ada]).json()["recordsIdsAdded"] == []
        removed = hub.call("PUT", f"{path}/memberships/remove", [bob, "9"]).json()
        assert removed == {"recordsIdsAdded": [], "recordIdsRemoved": [bob], "recordIdsMissing": ["9"]}
        assert [item["recordId"] for item in hub.get(f"{path}/memberships").json()["results"]] == [ada]
        assert hub.get(f"{base}/records/0-1/{bob}/memberships").json()["total"] == 0
        assert hub.call("PUT", f"{path}/memberships/add", [bob]).json()["recordsIdsAdded"] == [bob]

    def test_filters_decide_on_a_dynamic_list(self, hub: Hub) -> None:
        answer = hub.call("PUT", f"/crm/v3/lists/{make_list(hub, 'DYNAMIC')}/memberships/add", ["1"])
        assert (answer.status_code, "DYNAMIC" in answer.json()["message"]) == (400, True)

    def test_a_list_that_there_is_not(self, hub: Hub) -> None:
        assert hub.get("/crm/v3/lists/7").status_code == 404
        assert hub.call("PUT", "/crm/v3/lists/7/memberships/add", []).status_code == 404


@pytest.fixture
def login(hub: Hub, tmp_path: Path) -> Hub:
    """An account with the event `pe1_login` of contacts, from a setup file."""
    path = tmp_path / "hubspot.yml"
    path.write_text(
        "events:\n- name: login\n  label: Login\n  fullyQualifiedName: pe1_login\n"
        "  propertyDefinitions: [{name: plan, label: Plan, type: string}]\n"
        "lists:\n- {name: Trials, listId: 12, objectTypeId: 0-1, processingType: MANUAL}\n"
        "labels:\n- {from: contacts, to: companies, label: Billing contact, inverseLabel: Billed by}\n"
    )
    for _ in range(2):  # again is no mistake
        hub.sandbox.load_setup("hubspot", path)
    return hub


def occurrence(**values: Any) -> dict[str, Any]:
    return {"eventName": LOGIN, "email": "ada@example.com", "properties": {"plan": "pro"}, **values}


def occurred(hub: Hub) -> list[dict[str, Any]]:
    return [record.properties for record in hub.sandbox.store.scan("hubspot", f"event:{LOGIN}")]


class TestEvents:
    def test_a_setup_file_defines(self, login: Hub) -> None:
        assert login.get("/crm/lists/2026-09/12").json()["list"]["name"] == "Trials"
        labels = login.get("/crm/v4/associations/companies/contacts/labels").json()["results"]
        assert "Billed by" in {item["label"] for item in labels}
        definition = login.get(f"/events/v3/event-definitions/{LOGIN}").json()
        assert definition["properties"][0]["name"] == "plan"
        assert login.get("/events/2026-09/event-definitions/logout").status_code == 404

    @pytest.mark.parametrize("base", ["/events/v3/send", "/events/2026-09/send"])
    def test_events_belong_to_a_record(self, login: Hub, base: str) -> None:
        ada = login.create(email="ada@example.com")
        assert login.post(base, occurrence(uuid="a", occurredAt="2026-01-02T03:04:05Z")).status_code == 204
        batch = [occurrence(uuid="b", email="nobody@example.com"), occurrence(uuid="c", email=None, objectId=ada)]
        assert login.post(f"{base}/batch", {"inputs": batch}).status_code == 204
        assert [event["objectId"] for event in occurred(login)] == [ada, None, ada]
        assert occurred(login)[0]["occurredAt"] == "2026-01-02T03:04:05.000Z"

    def test_of_one_uuid_the_first_counts(self, login: Hub) -> None:
        for plan in ("free", "pro"):
            assert login.post("/events/v3/send", occurrence(uuid="a", properties={"plan": plan})).status_code == 204
        assert [event["plan"] for event in occurred(login)] == ["free"]

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"eventName": "pe1_logout"}, "No event definition"),
            ({"properties": {"size": "1"}}, "size is not defined"),
            ({"properties": {"plan": 1}}, "must be a text"),
            ({"properties": {f"p{n}": "" for n in range(51)}}, "at most 50"),
            ({"email": None}, "needs one of"),
            ({"occurredAt": "yesterday"}, "not a valid"),
        ],
    )
    def test_a_bad_event_fails_its_batch(self, login: Hub, change: dict[str, Any], reason: str) -> None:
        answer = login.post("/events/v3/send/batch", {"inputs": [occurrence(), occurrence(**change)]})
        assert answer.status_code == 400
        assert reason in answer.json()["message"]
        assert occurred(login) == []

    def test_events_do_not_count_for_the_limits(self, login: Hub) -> None:
        login.sandbox.configure("hubspot", enforce_limits=True, ten_seconds=1)
        statuses = [login.post("/events/v3/send", occurrence(uuid=str(n))).status_code for n in range(3)]
        assert statuses == [204, 204, 204]
        assert [login.get("/crm/v3/objects/contacts").status_code for _ in range(2)] == [200, 429]

    def test_a_batch_has_a_limit(self, login: Hub) -> None:
        inputs = [occurrence(uuid=str(n)) for n in range(101)]
        assert login.post("/events/v3/send/batch", {"inputs": inputs}).status_code == 400


class TestErase:
    def test_nothing_is_left_of_a_contact(self, hub: Hub) -> None:
        ada, acme = hub.create(email="ada@example.com", firstname="Ada"), hub.create("companies", name="Acme")
        pair = {"from": {"id": ada}, "to": {"id": acme}}
        hub.post("/crm/v4/associations/contacts/companies/batch/associate/default", {"inputs": [pair]})
        assert hub.post("/crm/objects/2026-09/contacts/gdpr-delete", {"objectId": ada}).status_code == 204
        assert hub.batch("read", [{"id": ada}], properties=["email"]).json()["results"] == []
        assert hub.sandbox.store.changes("hubspot", "contacts", [ada]) == {ada: []}
        back = hub.post("/crm/v4/associations/companies/contacts/batch/read", {"inputs": [{"id": acme}]})
        assert back.json()["results"] == []
        assert hub.create(email="ada@example.com") != ada
        assert hub.post("/crm/v3/objects/contacts/gdpr-delete", {"objectId": ada}).status_code == 404

    def test_an_address_that_nobody_has_is_barred(self, hub: Hub) -> None:
        body = {"objectId": "Eve@example.com", "idProperty": "email"}
        assert hub.post("/crm/v3/objects/contacts/gdpr-delete", body).status_code == 204
        (error,) = hub.batch("upsert", [upsert_input("eve@example.com", "1")]).json()["errors"]
        assert "GDPR" in error["message"]

    def test_only_contacts(self, hub: Hub) -> None:
        acme = hub.create("companies", name="Acme")
        assert hub.post("/crm/v3/objects/companies/gdpr-delete", {"objectId": acme}).status_code == 400


class TestTokens:
    def token(self, sandbox: Sandbox, **changes: str) -> requests.Response:
        client = cast("HubSpot", sandbox.vendor("hubspot")).oauth_client()
        form = {"grant_type": "refresh_token", **vars(client), **changes}
        return requests.post(f"{sandbox.url('hubspot')}/oauth/2026-09/token", data=form, timeout=10)

    def test_a_token_lasts_half_an_hour(self, sandbox: Sandbox, hub: Hub, clock: Clock) -> None:
        answer = self.token(sandbox).json()
        assert (answer["expires_in"], answer["hub_id"]) == (1800, int(str(sandbox.account("hubspot"))))
        hub.session.headers["Authorization"] = f"Bearer {answer['access_token']}"
        assert hub.get("/crm/v3/objects/contacts").status_code == 200
        clock.now += 1800
        assert hub.get("/crm/v3/objects/contacts").json()["category"] == "EXPIRED_AUTHENTICATION"

    @pytest.mark.parametrize(
        ("name", "status"),
        [
            ("grant_type", "BAD_GRANT_TYPE"),
            ("client_secret", "BAD_CLIENT_ID"),
            ("refresh_token", "BAD_REFRESH_TOKEN"),
        ],
    )
    def test_what_is_wrong_is_named(self, sandbox: Sandbox, name: str, status: str) -> None:
        answer = self.token(sandbox, **{name: "wrong"})
        assert (answer.status_code, answer.json()["status"]) == (400, status)
