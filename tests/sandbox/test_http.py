"""The JSON API without a vendor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import requests

from revetl_dbt.sandbox import Sandbox


def send(sandbox: Sandbox, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.request(method, sandbox.url("http") + path, json=body, headers=names, timeout=5)


def held(sandbox: Sandbox, collection: str = "orders") -> list[Mapping[str, Any]]:
    records: list[Mapping[str, Any]] = send(sandbox, "GET", f"/{collection}").json()
    return records


def test_one_object(sandbox: Sandbox) -> None:
    assert send(sandbox, "POST", "/orders", {"id": 7, "total": 1.5}).json() == {"id": "7"}
    assert send(sandbox, "PATCH", "/orders/7", {"paid": True}).status_code == 200
    assert send(sandbox, "GET", "/orders/7").json() == {"id": "7", "total": 1.5, "paid": True}
    assert send(sandbox, "PUT", "/orders/7", {"total": 2}).status_code == 200
    assert held(sandbox) == [{"total": 2, "id": "7"}]
    assert send(sandbox, "DELETE", "/orders/7").status_code == 200
    assert held(sandbox) == []
    assert send(sandbox, "GET", "/orders/7").status_code == 404


def test_an_object_without_a_key_gets_one(sandbox: Sandbox) -> None:
    ids = {send(sandbox, "POST", "/events", {"name": "login"}).json()["id"] for _ in range(3)}
    assert len(ids) == 3
    assert held(sandbox, "events") == [{"name": "login"}] * 3


def test_an_array_and_lines(sandbox: Sandbox) -> None:
    response = send(sandbox, "POST", "/orders", [{"id": n} for n in range(3)])
    assert (response.status_code, response.json()) == (201, {"accepted": 3})
    lines = "\n".join(json.dumps({"id": n, "new": True}) for n in range(2, 5)) + "\n"
    sent = requests.post(
        sandbox.url("http") + "/orders", data=lines, headers={"Content-Type": "application/x-ndjson"}, timeout=5
    )
    assert sent.json() == {"accepted": 3}
    assert [record["id"] for record in held(sandbox)] == [0, 1, 2, 3, 4]
    assert send(sandbox, "DELETE", "/orders", [{"id": 0}, {"id": 4}]).json() == {"accepted": 2}
    assert [record["id"] for record in held(sandbox)] == [1, 2, 3]
    assert [entry.records for entry in sandbox.requests() if entry.method != "GET"] == [3, 3, 2]


def test_the_key_can_be_another_field(sandbox: Sandbox) -> None:
    sandbox.configure("http", key="sku")
    send(sandbox, "PUT", "/items", [{"sku": "a", "n": 1}, {"sku": "a", "n": 2}, {"sku": "b", "n": 3}])
    assert held(sandbox, "items") == [{"sku": "a", "n": 2}, {"sku": "b", "n": 3}]


def test_a_key_that_needs_escaping(sandbox: Sandbox) -> None:
    send(sandbox, "PUT", "/items/a%2Fb%20c%3F", {"n": 1})
    assert send(sandbox, "GET", "/items/a%2Fb%20c%3F").json() == {"n": 1, "id": "a/b c?"}


def test_idempotency_key(sandbox: Sandbox) -> None:
    first = send(sandbox, "POST", "/events", [{"name": "a"}, {"name": "b"}], Idempotency_Key="k1")
    again = send(sandbox, "POST", "/events", [{"name": "a"}, {"name": "b"}], Idempotency_Key="k1")
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(held(sandbox, "events")) == 2
    other = send(sandbox, "POST", "/events", [{"name": "c"}], Idempotency_Key="k1")
    assert other.status_code == 422
    assert send(sandbox, "POST", "/events", [{"name": "c"}], Idempotency_Key="k2").status_code == 201
    assert len(held(sandbox, "events")) == 3


def test_a_refusal_is_not_kept_under_the_idempotency_key(sandbox: Sandbox) -> None:
    sandbox.set_faults([{"kind": "poison", "field": "name", "equals": "a"}])
    assert send(sandbox, "POST", "/events", {"name": "a"}, Idempotency_Key="k1").status_code == 400
    sandbox.set_faults([])
    assert send(sandbox, "POST", "/events", {"name": "a"}, Idempotency_Key="k1").status_code == 201


@pytest.mark.parametrize(
    ("results", "names"), [("index", [{"index": n} for n in range(3)]), ("id", [{"id": i} for i in ("a", "b", "c")])]
)
def test_results_for_each_record(sandbox: Sandbox, results: str, names: list[dict[str, Any]]) -> None:
    sandbox.configure("http", results=results)
    sandbox.set_faults([{"kind": "poison", "field": "id", "equals": "b", "message": "no b"}])
    response = send(sandbox, "POST", "/orders", [{"id": "a"}, {"id": "b"}, {"id": "c"}])
    outcomes: list[dict[str, Any]] = [{"status": "ok"}, {"status": "error", "error": "no b"}, {"status": "ok"}]
    assert response.status_code == 207
    assert response.json() == {"results": [name | outcome for name, outcome in zip(names, outcomes, strict=True)]}
    assert [record["id"] for record in held(sandbox)] == ["a", "c"]


def test_without_results_one_refused_record_refuses_them_all(sandbox: Sandbox) -> None:
    sandbox.set_faults([{"kind": "poison", "field": "id", "equals": "b", "message": "no b"}])
    response = send(sandbox, "POST", "/orders", [{"id": "a"}, {"id": "b"}])
    assert (response.status_code, response.json()) == (400, {"error": "no b"})
    assert held(sandbox) == []


def test_limits_of_one_request(sandbox: Sandbox) -> None:
    sandbox.configure("http", max_records=2, max_bytes=100)
    assert send(sandbox, "POST", "/orders", [{"id": n} for n in range(3)]).status_code == 400
    assert send(sandbox, "POST", "/orders", {"id": "x" * 100}).status_code == 413
    assert send(sandbox, "POST", "/orders", [{"id": n} for n in range(2)]).status_code == 201


def test_a_secret_header(sandbox: Sandbox) -> None:
    assert sandbox.token("http") is None
    sandbox.configure("http", header="X-Api-Key", secret="s3cret")
    assert sandbox.token("http") == "s3cret"
    assert send(sandbox, "POST", "/orders", {"id": 1}).status_code == 401
    assert send(sandbox, "POST", "/orders", {"id": 1}, X_Api_Key="wrong").status_code == 401
    assert send(sandbox, "POST", "/orders", {"id": 1}, X_Api_Key="s3cret").status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "reason"),
    [
        ("POST", "/orders", "{", 400, "not JSON"),
        ("POST", "/orders", "[1]", 400, "records must be objects"),
        ("POST", "/", "{}", 404, "Name a collection"),
        ("OPTIONS", "/orders", None, 405, "OPTIONS is not supported"),
    ],
)
def test_what_it_does_not_understand(
    sandbox: Sandbox, method: str, path: str, data: str | None, status: int, reason: str
) -> None:
    response = requests.request(method, sandbox.url("http") + path, data=data, timeout=5)
    assert response.status_code == status
    assert reason in response.json()["error"]


def test_a_broken_line_is_named(sandbox: Sandbox) -> None:
    headers = {"Content-Type": "application/x-ndjson"}
    response = requests.post(sandbox.url("http") + "/orders", data='{"id": 1}\n{"id"\n', headers=headers, timeout=5)
    assert response.status_code == 400
    assert "line 2" in response.json()["error"]
    assert held(sandbox) == []
