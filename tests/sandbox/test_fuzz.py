"""No request makes a stand-in fail: whatever the body, the answer is the vendor's, never a bug of ours."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from revetl_dbt.sandbox import Sandbox
from revetl_dbt.sandbox.messages import Request

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.sampled_from(["email", "id", "2-1", "-1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
CONDITION = {"propertyName": "email", "operator": "EQ", "value": "a", "values": ["a"], "highValue": "b"}
DEFINITION = {
    "name": "p",
    "label": "P",
    "type": "enumeration",
    "fieldType": "select",
    "groupName": "contactinformation",
    "displayOrder": 1,
    "options": [{"label": "A", "value": "a", "displayOrder": 1}],
}
SCHEMA = {
    "name": "w",
    "labels": {"singular": "W", "plural": "Ws"},
    "requiredProperties": ["t"],
    "primaryDisplayProperty": "t",
    "properties": [{"name": "t", "label": "T", "type": "string", "fieldType": "text"}],
}
INPUT = {
    "id": "a@example.com",
    "idProperty": "email",
    "objectWriteTraceId": "1",
    "properties": {"firstname": "A", "closedate": "2024-01-01T00:00:00Z", "hs_buying_role": "OTHER"},
}
SPEC = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}
PAIR = {"from": {"id": "1"}, "to": {"id": "1"}, "types": [SPEC]}
EVENT = {
    "name": "login",
    "label": "Login",
    "primaryObject": "contact",
    "propertyDefinitions": [
        {"name": "plan", "label": "Plan", "type": "enumeration", "options": [{"value": "a", "label": "A"}]}
    ],
}
OCCURRENCE = {
    "eventName": "pe1_login",
    "email": "a@example.com",
    "objectId": "1",
    "occurredAt": "2024-01-01T00:00:00Z",
    "uuid": "u",
    "properties": {"plan": "a"},
}
REQUESTS: list[tuple[str, str, Any]] = [
    *[
        (
            "POST",
            f"/crm/v3/objects/contacts/batch/{action}",
            {"inputs": [INPUT], "idProperty": "email", "properties": ["email"]},
        )
        for action in ("create", "update", "upsert", "read", "archive")
    ],
    ("POST", "/crm/v3/objects/contacts", {"properties": INPUT["properties"]}),
    ("PATCH", "/crm/v3/objects/contacts/1", {"properties": INPUT["properties"]}),
    (
        "POST",
        "/crm/v3/objects/contacts/search",
        {
            "filterGroups": [{"filters": [CONDITION]}],
            "sorts": [{"propertyName": "email", "direction": "ASCENDING"}],
            "properties": ["email"],
            "limit": 3,
            "after": "0",
            "query": "a",
        },
    ),
    ("POST", "/crm/v3/properties/contacts", DEFINITION),
    ("PATCH", "/crm/v3/properties/contacts/known", {"label": "x", "options": DEFINITION["options"]}),
    ("POST", "/crm/v3/properties/contacts/groups", {"name": "g", "label": "G", "displayOrder": 1}),
    ("POST", "/crm/v3/properties/contacts/batch/create", {"inputs": [DEFINITION]}),
    ("POST", "/crm/v3/properties/contacts/batch/read", {"inputs": [{"name": "email"}]}),
    ("POST", "/crm/v3/schemas", SCHEMA),
    (
        "POST",
        "/crm/v3/objects/contacts/batch/create",
        {"inputs": [{**INPUT, "associations": [{"to": {"id": "1"}, "types": [SPEC]}]}]},
    ),
    *[
        ("POST", f"/crm/v4/associations/contacts/companies/batch/{action}", {"inputs": [{**PAIR, "id": "1"}]})
        for action in ("create", "associate/default", "labels/archive", "read")
    ],
    ("POST", "/crm/v4/associations/contacts/companies/batch/archive", {"inputs": [{**PAIR, "to": [{"id": "1"}]}]}),
    ("POST", "/crm/v4/associations/contacts/companies/labels", {"name": "b", "label": "B", "inverseLabel": "C"}),
    ("PUT", "/crm/v4/objects/contacts/1/associations/companies/1", [SPEC]),
    ("POST", "/crm/v3/lists", {"name": "L", "objectTypeId": "0-1", "processingType": "MANUAL"}),
    *[("PUT", f"/crm/v3/lists/101/memberships/{action}", ["1"]) for action in ("add", "remove")],
    (
        "PUT",
        "/crm/v3/lists/101/memberships/add-and-remove",
        {"recordIdsToAdd": ["1"], "recordIdsToRemove": ["1"]},
    ),
    ("POST", "/events/v3/send", OCCURRENCE),
    ("POST", "/events/v3/send/batch", {"inputs": [OCCURRENCE]}),
    ("POST", "/events/v3/event-definitions", EVENT),
    ("POST", "/crm/v3/objects/contacts/gdpr-delete", {"objectId": "a@example.com", "idProperty": "email"}),
    ("POST", "/oauth/v3/token", {"grant_type": "refresh_token"}),
]


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every node of a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, (*path, key))


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """A valid request with one to three nodes replaced by any JSON."""
    method, path, body = draw(st.sampled_from(REQUESTS))
    body = copy.deepcopy(body)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(list(_places(body))))
        new = draw(JSON)
        if not place:
            return method, path, json.dumps(new).encode()
        node = body
        for key in place[:-1]:
            node = node[key]
        node[place[-1]] = new
    return method, path, json.dumps(body).encode()


@pytest.fixture(scope="module")
def hubspot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    path: Path = tmp_path_factory.mktemp("fuzz")
    with Sandbox(path, vendors=("hubspot",)) as sandbox:
        vendor = sandbox.vendors["hubspot"]
        ask(vendor, "POST", "/crm/v3/properties/contacts", json.dumps({**DEFINITION, "name": "known"}).encode())
        vendor.lists.define({"name": "L", "listId": "101", "objectTypeId": "0-1", "processingType": "MANUAL"})
        vendor.events.define({**EVENT, "fullyQualifiedName": "pe1_login"})
        yield vendor


def ask(vendor: Any, method: str, path: str, body: bytes) -> Any:
    return vendor.handle(Request(method, path, {}, {"authorization": f"Bearer {vendor.token()}"}, body))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request_=damaged())
def test_any_body_gets_an_answer_of_the_vendor(hubspot: Any, request_: tuple[str, str, bytes]) -> None:
    method, path, body = request_
    response = ask(hubspot, method, path, body)
    assert 200 <= response.status < 500
    response.encoded()
