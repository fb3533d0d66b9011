"""No request makes the stand-in for Salesforce fail: the answer is always Salesforce's, never a bug of ours."""

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

from .salesforce_client import FIELDS, OBJECTS

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.sampled_from(["Contact", "Id", "003Kq0000000001IAA", "#N/A", "a,b", "COMMA"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
RECORD = {
    "attributes": {"type": "Contact"},
    "id": "003Kq0000000001IAA",
    "Ref__c": "1",
    "LastName": "L",
    "Score__c": 1.5,
    "DoNotCall": True,
    "Birthdate": "1815-12-10",
    "Seen__c": "2024-02-29T01:02:03Z",
    "At__c": "01:02:03",
    "Tags__c": "a;b",
    "Account": {"attributes": {"type": "Account"}, "Ref__c": "acme"},
}
FIELD = {"FullName": "Contact.New__c", "Metadata": {"type": "Number", "label": "N", "precision": 18, "scale": 2}}
GRANT = {"ParentId": "0PS", "SobjectType": "Contact", "Field": "Contact.New__c", "PermissionsRead": True}
JOB = {
    "operation": "upsert",
    "object": "Contact",
    "externalIdFieldName": "Ref__c",
    "columnDelimiter": "COMMA",
    "lineEnding": "LF",
}
REQUESTS: list[tuple[str, str, Any]] = [
    ("POST", "/composite/sobjects", {"allOrNone": False, "records": [RECORD]}),
    ("PATCH", "/composite/sobjects", {"allOrNone": True, "records": [RECORD]}),
    ("PATCH", "/composite/sobjects/Contact/Ref__c", {"records": [RECORD]}),
    ("POST", "/sobjects/Contact", RECORD),
    ("PATCH", "/sobjects/Contact/003Kq0000000001IAA", RECORD),
    ("PATCH", "/sobjects/Contact/Ref__c/1", RECORD),
    ("POST", "/tooling/sobjects/CustomField", FIELD),
    ("POST", "/sobjects/FieldPermissions", GRANT),
    ("POST", "/jobs/ingest", JOB),
    ("PATCH", "/jobs/ingest/750Kq0000000001IAA", {"state": "UploadComplete"}),
]
FILE = "Ref__c,LastName,Score__c,Account.Ref__c\n1,L,1.5,acme\n2,#N/A,,\n"
SOQL = (
    "SELECT Id, Account.Name FROM Contact WHERE Ref__c IN ('1', 'a\\'b') AND Score__c > 1 ORDER BY Ref__c DESC LIMIT 5"
)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("fuzz")
    setup: Path = folder / "salesforce.yml"
    setup.write_text(json.dumps({"objects": OBJECTS, "fields": FIELDS}))
    with Sandbox(folder / "state", ["salesforce"], setup={"salesforce": setup}) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def token(sandbox: Sandbox) -> str:
    form = f"grant_type=client_credentials&client_id=revetl&client_secret={sandbox.token('salesforce')}"
    answer = sandbox.vendor("salesforce").handle(request("POST", "/services/oauth2/token", form.encode(), ""))
    return str(answer.data["access_token"])


def request(method: str, path: str, body: bytes, token: str, query: dict[str, list[str]] | None = None) -> Request:
    headers = {"authorization": f"Bearer {token}", "content-type": "text/csv"}
    return Request(method, path, query or {}, headers, body, full_path=f"/salesforce{path}")


def ask(
    sandbox: Sandbox, token: str, method: str, path: str, body: bytes = b"", query: dict[str, list[str]] | None = None
) -> Any:
    """The data of an answer; one of 500 or an exception would be a bug."""
    answer = sandbox.vendor("salesforce").handle(request(method, f"/services/data/v67.0{path}", body, token, query))
    assert answer.status < 500
    answer.encoded()
    return answer.data


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize(
    ("method", "path", "body"), REQUESTS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_bodies(sandbox: Sandbox, token: str, method: str, path: str, body: Any, data: st.DataObject) -> None:
    """A good body with one part replaced by anything."""
    changed = copy.deepcopy(body)
    place, key = changed, data.draw(st.sampled_from(list(changed)))
    while isinstance(place[key], (dict, list)) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else list(range(len(place)))))
    place[key] = data.draw(JSON)
    ask(sandbox, token, method, path, json.dumps(data.draw(st.just(changed) | JSON)).encode())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, len(FILE)), gone=st.integers(0, 3), added=st.text(max_size=3) | st.sampled_from('",\n\r:.'))
def test_files(sandbox: Sandbox, token: str, at: int, gone: int, added: str) -> None:
    """A good file with some of its text replaced by anything."""
    file = FILE[:at] + added + FILE[at + gone :]
    job = ask(sandbox, token, "POST", "/jobs/ingest", json.dumps(JOB).encode())["id"]
    ask(sandbox, token, "PUT", f"/jobs/ingest/{job}/batches", file.encode())
    ask(sandbox, token, "PATCH", f"/jobs/ingest/{job}", b'{"state": "UploadComplete"}')
    info = ask(sandbox, token, "GET", f"/jobs/ingest/{job}")
    assert info["state"] in ("JobComplete", "Failed")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, len(SOQL)), gone=st.integers(0, 6), added=st.text(max_size=3) | st.sampled_from("'()\\,.="))
def test_queries(sandbox: Sandbox, token: str, at: int, gone: int, added: str) -> None:
    """A good query with some of its text replaced by anything."""
    ask(sandbox, token, "GET", "/query", query={"q": [SOQL[:at] + added + SOQL[at + gone :]]})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "DELETE", "PATCH", "POST", "PUT"]),
    parts=st.lists(
        st.sampled_from(["sobjects", "Contact", "composite", "jobs", "ingest", "query", "x", "%2F", ""]), max_size=5
    ),
    query=st.dictionaries(
        st.sampled_from(["ids", "fields", "q", "allOrNone"]), st.lists(st.text(max_size=5), min_size=1, max_size=2)
    ),
)
def test_paths(sandbox: Sandbox, token: str, method: str, parts: list[str], query: dict[str, list[str]]) -> None:
    ask(sandbox, token, method, "".join(f"/{part}" for part in parts), b"{}", query)
