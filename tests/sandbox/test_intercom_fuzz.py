"""Whatever is sent, the stand-in answers as Intercom: never with a bug of ours."""

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
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
CUSTOM = {"seats": 1, "note": "x"}
CONTACT = {
    "external_id": "u1",
    "email": "a@example.com",
    "role": "user",
    "email_verified": True,
    "name": "A",
    "signed_up_at": 1,
    "custom_attributes": CUSTOM,
}
COMPANY = {
    "company_id": "c1",
    "name": "A",
    "monthly_spend": 1,
    "size": 1,
    "plan": "p",
    "custom_attributes": {"seats": 1},
}
FILTER = {"field": "name", "operator": "=", "value": "A"}
GROUP = {"operator": "AND", "value": [FILTER, {"field": "custom_attributes.seats", "operator": "IN", "value": [1]}]}
OPTIONS = [{"value": "a"}, {"value": "b"}]
REQUESTS: list[tuple[str, str, Any]] = [
    ("POST", "/contacts", CONTACT),
    ("PUT", "/contacts/{contact}", CONTACT),
    ("POST", "/contacts/search", {"query": GROUP, "pagination": {"per_page": 2, "starting_after": "MQ=="}}),
    ("POST", "/contacts/search", {"query": FILTER}),
    ("POST", "/contacts/{contact}/companies", {"id": "5f"}),
    ("POST", "/contacts/{contact}/tags", {"id": "5f"}),
    ("POST", "/companies", COMPANY),
    ("PUT", "/companies/{company}", {"name": "A", "monthly_spend": 1, "custom_attributes": {"seats": 1}}),
    ("POST", "/tags", {"name": "t", "users": [{"id": "5f"}]}),
    (
        "POST",
        "/events",
        {"event_name": "e", "created_at": 1, "user_id": "u1", "metadata": {"a": {"url": "u", "value": "v"}}},
    ),
    ("POST", "/data_attributes", {"name": "x", "model": "contact", "data_type": "options", "options": OPTIONS}),
    ("PUT", "/data_attributes/{attribute}", {"archived": False, "options": OPTIONS}),
    (
        "POST",
        "/custom_object_instances/Order",
        {"external_id": "o", "external_created_at": 1, "custom_attributes": CUSTOM},
    ),
    ("POST", "/contacts/bulk", {"contacts": [CONTACT], "job": {"id": "job_v2_1"}}),
    ("PUT", "/contacts/bulk", {"contacts": [{"id": "5f", **CONTACT}]}),
    ("POST", "/contacts/bulk/delete", {"contacts": [{"id": "5f"}]}),
    ("POST", "/companies/bulk", {"companies": [COMPANY]}),
    ("PUT", "/companies/bulk", {"companies": [{"id": "5f", "name": "A"}]}),
]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder: Path = tmp_path_factory.mktemp("fuzz")
    attributes = [{"name": "seats", "data_type": "integer"}, {"name": "note", "data_type": "string"}]
    setup = folder / "intercom.yml"
    models = {"contact": attributes, "company": attributes}
    setup.write_text(json.dumps({"attributes": models, "custom_objects": {"Order": attributes}}))
    with Sandbox(folder / "state", ("intercom",), setup={"intercom": setup}) as running:
        yield running


def answer(sandbox: Sandbox, method: str, path: str, body: bytes, query: dict[str, list[str]] | None = None) -> int:
    headers = {
        "authorization": f"Bearer {sandbox.token('intercom')}",
        "accept": "application/json",
        "intercom-version": "Preview",
    }
    return sandbox.vendor("intercom").handle(Request(method, path, query or {}, headers, body)).status


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside a value, itself included."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    made = copy.deepcopy(value)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return made


@settings(
    max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_bodies_that_are_not_as_expected(sandbox: Sandbox, data: st.DataObject) -> None:
    contact, company = answered(sandbox, "/contacts", CONTACT), answered(sandbox, "/companies", COMPANY)
    method, path, body = data.draw(st.sampled_from(REQUESTS))
    where = data.draw(st.sampled_from(list(places(body))))
    changed = replaced(body, where, data.draw(JSON))
    path = path.format(contact=contact, company=company, attribute="12001")
    assert answer(sandbox, method, path, json.dumps(changed).encode()) < 500


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(["/contacts", "/companies", "/data_attributes", "/events", "/custom_object_instances/Order"]),
    name=st.sampled_from(["per_page", "page", "starting_after", "model", "company_id", "name", "external_id", "email"]),
    value=st.text(max_size=5) | st.sampled_from(["0", "-1", "9" * 30, "MQ=="]),
)
def test_queries_that_are_not_as_expected(sandbox: Sandbox, path: str, name: str, value: str) -> None:
    assert answer(sandbox, "GET", path, b"", {name: [value]}) < 500


def answered(sandbox: Sandbox, path: str, body: dict[str, Any]) -> str:
    """The id of a record that there is."""
    kind = path.strip("/")
    found = sandbox.store.scan("intercom", kind, limit=1)
    if not found:
        assert answer(sandbox, "POST", path, json.dumps(body).encode()) == 200
        found = sandbox.store.scan("intercom", kind, limit=1)
    return found[0].id
