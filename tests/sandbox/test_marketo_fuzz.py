"""No request makes the stand-in for Marketo fail: whatever the body, the answer is Marketo's, never a bug of ours."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from revetl_dbt.sandbox import Sandbox
from revetl_dbt.sandbox.messages import Request

from .marketo import setup
from .test_fuzz import JSON, _places

LEAD = {"email": "a@x.test", "firstName": "A", "leadScore": 1, "dateOfBirth": "2024-01-01", "unsubscribed": True}
CAR = {"vin": "v1", "year": 2003}
ACTIVITY = {
    "leadId": 7001,
    "activityDate": "2024-01-01T00:00:00Z",
    "activityTypeId": 100001,
    "primaryAttributeValue": "x",
    "attributes": [{"apiName": "numberOfAttendees", "name": "n", "value": 1}],
}
FIELD = {"name": "x", "displayName": "X", "dataType": "string"}
KEYS = {"filterType": "dedupeFields", "fields": ["make"], "input": [CAR], "batchSize": 2, "nextPageToken": "GA======"}
REQUESTS: list[tuple[str, str, Any]] = [
    ("POST", "/rest/v1/leads.json", {"action": "createOrUpdate", "lookupField": "email", "input": [LEAD]}),
    ("POST", "/rest/v1/leads.json", {"action": "updateOnly", "lookupField": "id", "input": [{"id": 7001}]}),
    ("POST", "/rest/v1/leads/delete.json", {"input": [{"id": 404}]}),
    ("POST", "/rest/v1/leads/schema/fields.json", {"input": [FIELD]}),
    ("POST", "/rest/v1/companies.json", {"dedupeBy": "dedupeFields", "input": [{"externalCompanyId": "c"}]}),
    (
        "POST",
        "/rest/v1/opportunities/roles.json",
        {"input": [{"externalOpportunityId": "o", "leadId": 1, "role": "r"}]},
    ),
    ("POST", "/rest/v1/customobjects/car_c.json", {"action": "createOnly", "input": [CAR]}),
    ("POST", "/rest/v1/customobjects/car_c.json", {"_method": "GET", **KEYS}),
    ("POST", "/rest/v1/customobjects/car_c/delete.json", {"deleteBy": "dedupeFields", "input": [{"vin": "v9"}]}),
    ("POST", "/rest/v1/lists/1001/leads.json", {"input": [{"id": 7001}]}),
    ("DELETE", "/rest/v1/lists/1001/leads.json", {"input": [{"id": 7001}]}),
    ("POST", "/rest/v1/programs/1001/members/status.json", {"statusName": "Invited", "input": [{"leadId": 7001}]}),
    ("POST", "/rest/v1/programs/1001/members.json", {"input": [{"leadId": 7001, "seat": "A"}]}),
    ("POST", "/rest/v1/programs/1001/members/delete.json", {"input": [{"leadId": 7001}]}),
    ("POST", "/rest/v1/activities/external.json", {"input": [ACTIVITY]}),
]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, str, bool, bytes]:
    """A valid request with one to three nodes replaced by any JSON; and whether it is a query."""
    method, path, body = draw(st.sampled_from(REQUESTS))
    body = copy.deepcopy(body)
    query = bool(body.pop("_method", None))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(list(_places(body))))
        new = draw(JSON)
        if not place:
            return method, path, query, json.dumps(new).encode()
        node = body
        for key in place[:-1]:
            node = node[key]
        node[place[-1]] = new
    return method, path, query, json.dumps(body).encode()


@pytest.fixture(scope="module")
def marketo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("fuzz")
    with Sandbox(folder, vendors=("marketo",)) as sandbox:
        setup(sandbox, folder)
        yield sandbox.vendors["marketo"]


def ask(vendor: Any, method: str, path: str, query: bool, body: bytes) -> Any:
    secret = {"grant_type": "client_credentials", "client_id": "x", "client_secret": vendor.token()}
    given = {name: [value] for name, value in secret.items()}
    token = vendor.handle(Request("GET", "/identity/oauth/token", given, {}, b"")).data["access_token"]
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    return vendor.handle(Request(method, path, {"_method": ["GET"]} if query else {}, headers, body))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request_=damaged())
def test_any_body_gets_an_answer_of_the_vendor(marketo: Any, request_: tuple[str, str, bool, bytes]) -> None:
    response = ask(marketo, *request_)
    assert response.status == 200
    assert response.data["success"] in (True, False)
    response.encoded()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=60), name=st.sampled_from(["email", "id", "vin"]))
def test_any_file_gets_an_answer_of_the_vendor(marketo: Any, text: str, name: str) -> None:
    path = "/bulk/v1/customobjects/car_c/import" if name == "vin" else "/bulk/v1/leads"
    body = f'--x\r\nContent-Disposition: form-data; name="file"; filename="f.csv"\r\n\r\n{name}\n{text}\r\n--x--\r\n'
    ask(marketo, "GET", "/rest/v1/leads/partitions.json", False, b"")
    token = next(iter(marketo._tokens.values()))[0]
    headers = {"authorization": f"Bearer {token}", "content-type": "multipart/form-data; boundary=x"}
    query = {"format": ["csv"], "lookupField": [name if name != "vin" else "email"]}
    response = marketo.handle(Request("POST", f"{path}.json", query, headers, body.encode("utf-8", "replace")))
    assert response.data["success"] in (True, False)
    assert marketo.handle(Request("GET", "/rest/v1/leads/partitions.json", {}, headers, b"")).data["success"]
