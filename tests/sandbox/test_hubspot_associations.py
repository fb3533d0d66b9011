"""Associations: their types and labels, and what reading and writing them answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
import requests

from revetl_dbt.sandbox import Sandbox
from revetl_dbt.sandbox.hubspot import HubSpot

from .conftest import Hub

V4, DATED = "/crm/v4/associations/contacts/companies", "/crm/associations/2026-09/contacts/companies"
PLAIN, PRIMARY = 279, 1


@pytest.fixture
def ada(hub: Hub) -> str:
    return hub.create(email="ada@example.com", firstname="Ada")


@pytest.fixture
def acme(hub: Hub) -> str:
    return hub.create("companies", name="Acme")


def pair(first: str, second: str, *types: int, category: str = "HUBSPOT_DEFINED") -> dict[str, Any]:
    specs = [{"associationCategory": category, "associationTypeId": number} for number in types]
    return {"from": {"id": first}, "to": {"id": second}, **({"types": specs} if types else {})}


def call(hub: Hub, action: str, *inputs: dict[str, Any], path: str = V4) -> requests.Response:
    return hub.post(f"{path}/{action}", {"inputs": list(inputs)})


def held(hub: Hub, first: str, kinds: Sequence[str] = ("contacts", "companies")) -> dict[str, set[int]]:
    response = hub.post(f"/crm/v4/associations/{kinds[0]}/{kinds[1]}/batch/read", {"inputs": [{"id": first}]})
    return {
        to["toObjectId"]: {kind["typeId"] for kind in to["associationTypes"]}
        for item in response.json()["results"]
        for to in item["to"]
    }


@pytest.mark.parametrize("path", [V4, DATED])
def test_a_default_association_goes_both_ways(hub: Hub, ada: str, acme: str, path: str) -> None:
    response = call(hub, "batch/associate/default", pair(ada, acme), path=path)
    assert response.status_code == 200
    assert {
        (r["from"]["id"], r["to"]["id"], r["associationSpec"]["associationTypeId"]) for r in response.json()["results"]
    } == {
        (ada, acme, PLAIN),
        (acme, ada, 280),
    }
    assert held(hub, ada) == {acme: {PLAIN}}
    assert held(hub, acme, ("companies", "contacts")) == {ada: {280}}


def test_a_label_comes_with_the_plain_association(hub: Hub, ada: str, acme: str) -> None:
    response = call(hub, "batch/create", pair(ada, acme, PRIMARY))
    assert response.status_code == 201
    (result,) = response.json()["results"]
    assert (result["fromObjectId"], result["toObjectId"], result["labels"]) == (ada, acme, ["Primary"])
    assert held(hub, ada) == {acme: {PLAIN, PRIMARY}}


def test_one_label_can_be_taken_away_and_the_plain_one_takes_all(hub: Hub, ada: str, acme: str) -> None:
    call(hub, "batch/create", pair(ada, acme, PRIMARY))
    assert call(hub, "batch/labels/archive", pair(ada, acme, PRIMARY)).status_code == 204
    assert held(hub, ada) == {acme: {PLAIN}}
    call(hub, "batch/create", pair(ada, acme, PRIMARY))
    call(hub, "batch/labels/archive", pair(ada, acme, PLAIN))
    assert held(hub, ada) == {}
    call(hub, "batch/create", pair(ada, acme, PRIMARY))
    assert call(hub, "batch/archive", {"from": {"id": ada}, "to": [{"id": acme}]}).status_code == 204
    assert held(hub, ada) == held(hub, acme, ("companies", "contacts")) == {}


def test_ids_that_are_not_valid_are_named_beside_the_others(hub: Hub, ada: str, acme: str) -> None:
    response = call(hub, "batch/associate/default", pair(ada, acme), pair(ada, "9"), pair("8", acme))
    assert response.status_code == 200
    body = response.json()
    assert (len(body["results"]), body["numErrors"]) == (2, 2)
    assert body["errors"][0]["context"]["INVALID_OBJECT_IDS"] == ["COMPANY=9 is not valid"]
    assert body["errors"][1]["context"]["objectId"] == ["8"]


def test_who_is_alone_is_an_error_of_a_read(hub: Hub, ada: str) -> None:
    response = hub.post(f"{V4}/batch/read", {"inputs": [{"id": ada}]})
    assert response.status_code == 207
    (error,) = response.json()["errors"]
    assert error["context"]["fromObjectId"] == [ada]


def test_an_archived_record_goes_with_nobody(hub: Hub, ada: str, acme: str) -> None:
    call(hub, "batch/associate/default", pair(ada, acme))
    hub.batch("archive", [{"id": acme}], "companies")
    assert held(hub, ada) == {}


@pytest.mark.parametrize(
    ("types", "category"), [((4711,), "HUBSPOT_DEFINED"), ((PRIMARY,), "USER_DEFINED"), ((280,), "HUBSPOT_DEFINED")]
)
def test_a_type_must_exist_in_this_direction(
    hub: Hub, ada: str, acme: str, types: tuple[int, ...], category: str
) -> None:
    response = call(hub, "batch/create", pair(ada, acme, *types, category=category))
    assert response.status_code == 400
    assert "does not exist" in response.json()["message"]


def test_labels(hub: Hub, ada: str, acme: str) -> None:
    made = hub.post(f"{V4}/labels", {"name": "billing", "label": "Billing contact", "inverseLabel": "Billed by"})
    there, back = made.json()["results"]
    labels = {item["label"]: item for item in hub.get(f"{V4}/labels").json()["results"]}
    assert labels[None]["typeId"] == PLAIN
    assert labels["Billing contact"] == {**there, "category": "USER_DEFINED"}
    assert hub.post(f"{V4}/labels", {"name": "x", "label": "billing CONTACT"}).status_code == 400
    call(hub, "batch/create", pair(ada, acme, there["typeId"], category="USER_DEFINED"))
    assert held(hub, acme, ("companies", "contacts")) == {ada: {280, back["typeId"]}}


def test_custom_objects_have_a_plain_type_of_their_own(hub: Hub, ada: str) -> None:
    field = {"name": "title", "label": "Title", "type": "string", "fieldType": "text"}
    schema = {
        "name": "desk",
        "labels": {"singular": "Desk", "plural": "Desks"},
        "requiredProperties": ["title"],
        "properties": [field],
    }
    kind = hub.post("/crm/v3/schemas", schema).json()["objectTypeId"]
    desk = hub.create(kind, title="Oak")
    path = f"/crm/v4/associations/contacts/{kind}"
    assert hub.post(f"{path}/batch/associate/default", {"inputs": [pair(ada, desk)]}).status_code == 200
    (label,) = hub.get(f"{path}/labels").json()["results"]
    assert (label["label"], label["category"]) == (None, "USER_DEFINED")
    assert held(hub, ada, ("contacts", kind)) == {desk: {label["typeId"]}}


def test_associations_of_a_create(hub: Hub, acme: str) -> None:
    spec = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": PRIMARY}
    inputs = [
        {
            "objectWriteTraceId": to,
            "properties": {"email": f"{to}@example.com"},
            "associations": [{"to": {"id": to}, "types": [spec]}],
        }
        for to in (acme, "9")
    ]
    response = hub.batch("create", inputs)
    assert response.status_code == 207
    (made,) = response.json()["results"]
    (error,) = response.json()["errors"]
    assert error["context"]["objectWriteTraceId"] == ["9"]
    assert held(hub, made["id"]) == {acme: {PLAIN, PRIMARY}}
    assert hub.batch("read", [{"id": "9@example.com"}], idProperty="email").json()["results"] == []


@pytest.mark.parametrize(("action", "most"), [("batch/read", 1000), ("batch/associate/default", 2000)])
def test_limits(hub: Hub, action: str, most: int) -> None:
    response = hub.post(f"{V4}/{action}", {"inputs": [{"id": "1"}] * (most + 1)})
    assert response.status_code == 400
    assert f"1 to {most}" in response.json()["message"]


def test_a_token_needs_a_scope_of_one_of_the_objects(sandbox: Sandbox, hub: Hub, ada: str, acme: str) -> None:
    token = cast("HubSpot", sandbox.vendor("hubspot")).add_token(["crm.objects.deals.write"])
    hub.session.headers["Authorization"] = f"Bearer {token}"
    assert call(hub, "batch/associate/default", pair(ada, acme)).status_code == 403
