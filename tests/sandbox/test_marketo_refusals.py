"""What the stand-in for Marketo refuses as a whole, its limits, and the faults in its words."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from revetl_dbt.sandbox import Sandbox

from .conftest import Clock
from .marketo import Client, codes, setup

pytestmark = pytest.mark.off_spec("Marketo refuses with HTTP 200, and most of these requests are refused")

LEADS = "/rest/v1/leads.json"
ROW = {"email": "ada@x.test"}


@pytest.fixture
def sandbox(tmp_path: Path, clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "state", ["marketo"], now=clock) as sandbox:
        setup(sandbox, tmp_path)
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    client = Client(sandbox)
    yield client
    client.session.close()


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", LEADS, {}, "1002"),
        ("POST", LEADS, {"input": "x"}, "1001"),
        ("POST", LEADS, {"input": []}, "1003"),
        ("POST", LEADS, {"input": [ROW] * 301}, "1003"),
        ("POST", LEADS, {"input": [ROW], "action": "merge"}, "1003"),
        ("POST", LEADS, {"input": [ROW], "lookupField": "nonsense"}, "1006"),
        ("POST", LEADS, {"input": [ROW], "lookupField": "firstName"}, "1011"),
        ("GET", LEADS, None, "1002"),
        ("GET", LEADS + "?filterType=email", None, "1002"),
        ("GET", LEADS + "?filterType=nonsense&filterValues=1", None, "1006"),
        ("GET", LEADS + "?filterType=firstName&filterValues=1", None, "1011"),
        ("GET", LEADS + "?filterType=email&filterValues=1&fields=nonsense", None, "1006"),
        ("GET", LEADS + "?filterType=email&filterValues=1&nextPageToken=x", None, "1003"),
        ("DELETE", "/rest/v1/companies.json", None, "605"),
        ("GET", "/rest/v1/nonsense.json", None, "610"),
        ("GET", "/rest/v1//leads.json", None, "610"),
        ("GET", "/rest/v1/customobjects/none_c/describe.json", None, "1013"),
        ("GET", "/rest/v1/lists/9.json", None, "1013"),
        ("POST", "/rest/v1/lists/1001/leads.json", None, "1002"),
        ("POST", "/rest/v1/lists/1001/leads.json?id=x", None, "1001"),
        (
            "POST",
            "/rest/v1/programs/9/members/status.json",
            {"statusName": "Invited", "input": [{"leadId": 1}]},
            "1013",
        ),
        ("POST", "/rest/v1/programs/1001/members/status.json", {"statusName": "No", "input": [{"leadId": 1}]}, "1025"),
        ("POST", "/rest/v1/programs/1001/members/status.json", {"input": [{"leadId": 1}]}, "1002"),
        ("POST", "/rest/v1/companies.json", {"dedupeBy": "idField", "input": [{"id": 1}]}, "1003"),
        ("POST", "/rest/v1/leads/schema/fields.json", {"input": [{"name": "x"}]}, "1002"),
        (
            "POST",
            "/rest/v1/leads/schema/fields.json",
            {"input": [{"name": "1", "displayName": "x", "dataType": "x"}]},
            "1003",
        ),
        ("POST", "/bulk/v1/leads.json", {"format": "csv"}, "612"),
        ("GET", "/bulk/v1/leads/batch/9.json", None, "1013"),
    ],
)
def test_refusals(client: Client, method: str, path: str, body: Any, code: str) -> None:
    assert client.refusal(method, path, body)[0] == code


def test_bodies_that_are_none(client: Client) -> None:
    json_type = {"Content-Type": "application/json"}
    assert client.refusal("POST", LEADS, data=b"{", headers=json_type)[0] == "609"
    assert client.refusal("POST", LEADS, data=b"[]", headers=json_type)[0] == "609"
    assert client.refusal("POST", LEADS, data=b"{}", headers={"Content-Type": "text/plain"})[0] == "612"
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    assert client.refusal("POST", "/bulk/v1/leads.json", data=b"", headers=form)[0] in ("613", "1002")


def test_sizes(client: Client) -> None:
    large = {"input": [{"email": "ada@x.test", "notes": "x" * 1_000_000}]}
    assert client.call("POST", LEADS, large).status_code == 413
    long = {"filterType": "email", "filterValues": "x" * 8200}
    assert client.call("GET", LEADS, params=long).status_code == 414
    form = {"data": long, "params": {"_method": "GET"}}
    assert client.result(client.call("POST", LEADS, **form)) == []


def test_the_rate_limit(client: Client, clock: Clock) -> None:
    client.sandbox.configure("marketo", enforce_limits=True, rate=3)
    for _ in range(3):
        client.get("/rest/v1/leads/partitions.json")
    code, message = client.refusal("GET", "/rest/v1/leads/partitions.json")
    assert (code, message) == ("606", "Max rate limit '3' exceeded with in '20' secs")
    clock.now += 20
    assert client.get("/rest/v1/stats/usage.json")[0]["total"] == 4


def test_the_daily_quota_ends_at_midnight_in_central_standard_time(client: Client, clock: Clock) -> None:
    client.sandbox.configure("marketo", enforce_limits=True, daily=1, token_seconds=10**6)
    client.get("/rest/v1/leads/partitions.json")
    assert client.refusal("GET", "/rest/v1/leads/partitions.json")[0] == "607"
    midnight = (int(clock.now - 6 * 3600) // 86_400 + 1) * 86_400 + 6 * 3600
    clock.now = midnight - 1
    client = Client(client.sandbox)
    assert client.refusal("GET", "/rest/v1/leads/partitions.json")[0] == "607"
    clock.now = midnight
    assert client.get("/rest/v1/leads/partitions.json")
    client.session.close()


def test_calls_at_once(client: Client) -> None:
    client.sandbox.configure("marketo", enforce_limits=True, at_once=1, rate=1000)
    seen: list[str] = []

    def ask() -> None:
        with requests.Session() as session:
            session.headers.update(client.session.headers)
            for _ in range(40):
                url = client.sandbox.url("marketo") + "/rest/v1/leads/describe2.json"
                body = session.get(url, timeout=10).json()
                seen.append("ok" if body["success"] else body["errors"][0]["code"])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) <= {"ok", "615"}
    assert "ok" in seen
    client.sandbox.configure("marketo", at_once=0)
    assert client.refusal("GET", "/rest/v1/leads/partitions.json")[0] == "615"


@pytest.mark.parametrize(
    ("rule", "status", "code"),
    [
        ({"kind": "status", "status": 429}, 200, "606"),
        ({"kind": "status", "status": 429, "policy": "DAILY"}, 200, "607"),
        ({"kind": "status", "status": 429, "policy": "CONCURRENT"}, 200, "615"),
        ({"kind": "status", "status": 401}, 200, "601"),
        ({"kind": "expired"}, 200, "602"),
        ({"kind": "status", "status": 403}, 200, "603"),
        ({"kind": "status", "status": 503}, 200, "608"),
        ({"kind": "status", "status": 500}, 200, "502"),
        ({"kind": "status", "status": 504}, 504, None),
    ],
)
def test_faults_in_its_own_words(client: Client, rule: dict[str, Any], status: int, code: str | None) -> None:
    client.sandbox.set_faults([{**rule, "times": 1}])
    response = client.call("GET", "/rest/v1/leads/partitions.json")
    assert response.status_code == status
    if code is None:
        assert response.headers["Content-Type"].startswith("text/html")
    else:
        assert [error["code"] for error in response.json()["errors"]] == [code]
    assert client.get("/rest/v1/leads/partitions.json")


def test_poison(client: Client) -> None:
    client.sandbox.set_faults([{"kind": "poison", "field": "firstName", "equals": "x"}])
    rows = [{**ROW, "firstName": "x"}, {"email": "bob@x.test"}]
    assert codes(client.leads(*rows)) == ["1003", "created"]
    (job,) = client.imports("email,firstName\nada@x.test,x\neve@x.test,y\n")
    assert client.get(f"/bulk/v1/leads/batch/{job['batchId']}.json")[0]["numOfRowsFailed"] == 1
    client.sandbox.set_faults([{"kind": "poison", "field": "firstName", "equals": "x", "whole_batch": True}])
    assert client.refusal("POST", LEADS, {"input": rows})[0] == "1003"


def test_a_refused_request_leaves_nothing_behind(client: Client) -> None:
    client.sandbox.set_faults([{"kind": "empty", "path": "*leads.json", "method": "POST", "times": 1}])
    assert client.leads(ROW) == []
    assert client.get(LEADS, filterType="email", filterValues="ada@x.test") == []
    assert codes(client.leads(ROW)) == ["created"]
