"""Every kind of fault, as a client meets it, and which requests a rule hits."""

from __future__ import annotations

import email.utils
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from revetl_dbt.errors import SandboxError
from revetl_dbt.sandbox import Fault, Sandbox

from .conftest import Clock, Hub, upsert_input

UPSERT = "*/contacts/batch/upsert"
ROWS = [upsert_input(f"u{n}@example.com", str(n), firstname=f"N{n}") for n in range(4)]


def stored(hub: Hub) -> int:
    return hub.sandbox.store.counts("hubspot").get("contacts", (0, 0))[0]


def hit(hub: Hub, **rule: Any) -> requests.Response:
    hub.sandbox.set_faults([{"path": UPSERT, **rule}])
    return hub.batch("upsert", ROWS)


@pytest.mark.parametrize(
    ("status", "policy", "category", "extra"),
    [
        (429, "TEN_SECONDLY_ROLLING", "RATE_LIMITS", {"policyName": "TEN_SECONDLY_ROLLING", "errorType": "RATE_LIMIT"}),
        (429, "DAILY", "RATE_LIMITS", {"policyName": "DAILY", "message": "You have reached your daily limit."}),
        (429, "SECONDLY", "RATE_LIMITS", {"message": "You have reached your secondly limit."}),
        (401, None, "INVALID_AUTHENTICATION", {}),
        (403, None, "MISSING_SCOPES", {}),
        (423, None, "LOCKED", {}),
        (477, None, "MIGRATION_IN_PROGRESS", {}),
        (500, None, "INTERNAL_ERROR", {}),
        (503, None, "INTERNAL_ERROR", {}),
    ],
)
def test_status_in_the_vendors_words(
    hub: Hub, status: int, policy: str | None, category: str, extra: dict[str, str]
) -> None:
    response = hit(hub, kind="status", status=status, policy=policy)
    body = response.json()
    assert (response.status_code, body["status"], body["category"]) == (status, "error", category)
    assert body.items() >= extra.items()
    assert "Retry-After" not in response.headers
    assert ("policyName" in body) == ("policyName" in extra)
    assert stored(hub) == 0


def test_retry_after_in_seconds_and_as_a_date(hub: Hub, clock: Clock) -> None:
    assert hit(hub, kind="status", status=477, retry_after=90).headers["Retry-After"] == "90"
    header = hit(hub, kind="status", status=429, retry_after=90, retry_after_date=True).headers["Retry-After"]
    assert header.endswith(" GMT")
    assert email.utils.parsedate_to_datetime(header).timestamp() == clock.now + 90


def test_expired_token(hub: Hub) -> None:
    response = hit(hub, kind="expired")
    assert (response.status_code, response.json()["category"]) == (401, "EXPIRED_AUTHENTICATION")


def test_delay_answers_later(hub: Hub) -> None:
    start = time.perf_counter()
    assert hit(hub, kind="delay", seconds=0.15).status_code == 200
    assert time.perf_counter() - start >= 0.15


def test_a_request_that_is_held_goes_on_when_the_rules_are_replaced(hub: Hub) -> None:
    hub.sandbox.set_faults([{"kind": "delay", "seconds": 120, "path": UPSERT}])
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(hub.batch, "upsert", ROWS)
        while not hub.sandbox.fault_state()[0]["hits"]:
            assert not held.done()
        hub.sandbox.set_faults([])
        assert held.result(timeout=30).status_code == 200
    assert stored(hub) == 4


@pytest.mark.parametrize("accepted", [True, False])
def test_timeout_holds_the_answer_back(hub: Hub, accepted: bool) -> None:
    hub.sandbox.set_faults([{"kind": "timeout", "seconds": 30, "accepted": accepted, "path": UPSERT}])
    url = hub.sandbox.url("hubspot") + "/crm/v3/objects/contacts/batch/upsert"
    with pytest.raises(requests.ReadTimeout):
        hub.session.post(url, json={"inputs": ROWS}, timeout=0.2)
    assert stored(hub) == (4 if accepted else 0)
    (entry,) = hub.sandbox.requests()
    assert (entry.status, entry.fault) == (None, "timeout")


@pytest.mark.parametrize("accepted", [True, False])
def test_reset_drops_the_connection(hub: Hub, accepted: bool) -> None:
    with pytest.raises(requests.ConnectionError, match="reset"):
        hit(hub, kind="reset", accepted=accepted)
    assert stored(hub) == (4 if accepted else 0)


def test_truncated_body(hub: Hub) -> None:
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        hit(hub, kind="truncated")
    assert stored(hub) == 4


def test_slow_body_comes_whole(hub: Hub) -> None:
    start = time.perf_counter()
    assert len(hit(hub, kind="slow", seconds=0.15).json()["results"]) == 4
    assert time.perf_counter() - start >= 0.15


@pytest.mark.parametrize("body", ["html", "text", "broken", "blank"])
@pytest.mark.parametrize(("accepted", "count"), [(False, 0), (True, 4)])
def test_garbage_instead_of_json(hub: Hub, body: str, accepted: bool, count: int) -> None:
    response = hit(hub, kind="garbage", body=body, accepted=accepted)
    assert response.status_code == 200
    with pytest.raises(requests.exceptions.JSONDecodeError):
        response.json()
    assert stored(hub) == count


def test_garbage_with_a_status(hub: Hub) -> None:
    response = hit(hub, kind="garbage", status=502)
    assert (response.status_code, response.headers["Content-Type"]) == (502, "text/html; charset=utf-8")


def test_wrong_content_type(hub: Hub) -> None:
    response = hit(hub, kind="content_type")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert len(response.json()["results"]) == 4


@pytest.mark.parametrize(("accepted", "count"), [(False, 0), (True, 4)])
def test_silently_empty_success(hub: Hub, accepted: bool, count: int) -> None:
    response = hit(hub, kind="empty", accepted=accepted)
    assert (response.status_code, response.json()["status"], response.json()["results"]) == (200, "COMPLETE", [])
    assert stored(hub) == count


def test_an_undone_definition_leaves_no_trace(hub: Hub) -> None:
    hub.sandbox.set_faults([{"kind": "empty", "path": "*/properties/contacts"}])
    definition = {
        "name": "plan",
        "label": "Plan",
        "type": "string",
        "fieldType": "text",
        "groupName": "contactinformation",
    }
    assert hub.post("/crm/v3/properties/contacts", definition).status_code == 201
    hub.sandbox.set_faults([])
    assert hub.get("/crm/v3/properties/contacts/plan").status_code == 404


@pytest.mark.parametrize(
    "predicate",
    [{"equals": "u2@example.com"}, {"contains": "u2@"}, {"matches": r"^u2@.*\.com$"}],
    ids=["equals", "contains", "matches"],
)
def test_poison_refuses_one_row(hub: Hub, predicate: dict[str, str]) -> None:
    response = hit(hub, kind="poison", field="email", message="bad luck", **predicate)
    body = response.json()
    assert response.status_code == 207
    assert [(e["message"], e["context"]) for e in body["errors"]] == [("bad luck", {"objectWriteTraceId": ["2"]})]
    assert sorted(row["objectWriteTraceId"] for row in body["results"]) == ["0", "1", "3"]


def test_poison_without_trace_ids_refuses_the_batch(hub: Hub) -> None:
    hub.sandbox.set_faults([{"kind": "poison", "field": "firstname", "equals": "N1"}])
    rows = [{key: value for key, value in row.items() if key != "objectWriteTraceId"} for row in ROWS]
    assert hub.batch("upsert", rows).status_code == 400
    assert stored(hub) == 0


def test_poison_of_the_whole_batch_in_spite_of_trace_ids(hub: Hub) -> None:
    response = hit(hub, kind="poison", field="firstname", equals="N1", whole_batch=True, message="all of it")
    assert (response.status_code, response.json()["message"]) == (400, "all of it")
    assert stored(hub) == 0


def test_poison_of_several_rows_with_several_rules(hub: Hub) -> None:
    rules = [{"kind": "poison", "field": "email", "contains": f"u{n}@"} for n in (0, 3)]
    hub.sandbox.set_faults(rules)
    body = hub.batch("upsert", ROWS).json()
    assert [error["context"]["objectWriteTraceId"] for error in body["errors"]] == [["0"], ["3"]]


def traces(response: requests.Response) -> list[str | None]:
    return [row.get("objectWriteTraceId") for row in response.json()["results"]]


def test_damaged_results(hub: Hub) -> None:
    hub.sandbox.configure("hubspot", shuffle=False)
    assert traces(hit(hub, kind="results", how="missing")) == ["0", "1", "2"]
    assert traces(hit(hub, kind="results", how="duplicate")) == ["0", "1", "2", "3", "0"]
    assert traces(hit(hub, kind="results", how="untraced")) == [None] * 4
    shuffled = traces(hit(hub, kind="results", how="shuffle", seed=1))
    assert sorted(shuffled, key=str) == ["0", "1", "2", "3"] != shuffled


def test_several_faults_in_one_request(hub: Hub) -> None:
    rules = [{"kind": "results", "how": "missing"}, {"kind": "content_type"}, {"kind": "results", "how": "untraced"}]
    hub.sandbox.set_faults(rules)
    response = hub.batch("upsert", ROWS)
    assert response.headers["Content-Type"].startswith("text/html")
    assert traces(response) == [None] * 3
    assert hub.sandbox.requests()[0].fault == "results, content_type, results"


# -- which requests ----------------------------------------------------------------------------------


def statuses(hub: Hub, count: int) -> list[int]:
    return [hub.get("/account-info/v3/details").status_code for _ in range(count)]


def test_nth_times_and_all(hub: Hub) -> None:
    hub.sandbox.set_faults([Fault("status", status=500, nth=(2, 4))])
    assert statuses(hub, 5) == [200, 500, 200, 500, 200]
    hub.sandbox.set_faults([Fault("status", status=500, times=2)])
    assert statuses(hub, 4) == [500, 500, 200, 200]
    hub.sandbox.set_faults([])
    assert statuses(hub, 2) == [200, 200]


def test_probability_is_reproducible(hub: Hub) -> None:
    runs = []
    for _ in range(2):
        hub.sandbox.set_faults([Fault("status", status=500, probability=0.5, seed=7)])
        runs.append(statuses(hub, 20))
    assert runs[0] == runs[1]
    assert 3 < runs[0].count(500) < 17


def test_vendor_method_and_path_select(hub: Hub, sandbox: Sandbox) -> None:
    sandbox.set_faults([{"kind": "status", "status": 500, "vendor": "http", "method": "PUT", "path": "/http/orders*"}])
    url = sandbox.url("http")
    assert statuses(hub, 1) == [200]
    assert requests.post(url + "/orders", json={"id": 1}, timeout=5).status_code == 201
    assert requests.put(url + "/users/1", json={}, timeout=5).status_code == 200
    assert requests.put(url + "/orders/1", json={}, timeout=5).status_code == 500
    assert sandbox.fault_state()[0].items() >= {"seen": 1, "hits": 1}.items()


def test_the_state_tells_what_was_seen_and_hit(hub: Hub) -> None:
    hub.sandbox.set_faults([{"kind": "delay", "nth": 3, "method": "GET"}])
    statuses(hub, 4)
    assert hub.sandbox.fault_state() == [{"kind": "delay", "nth": [3], "method": "GET", "seen": 4, "hits": 1}]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({}, "needs a `kind`"),
        ({"kind": "restet"}, "no known `kind`. Did you mean `reset`"),
        ({"kind": "status"}, "needs a `status`"),
        ({"kind": "status", "staus": 500}, "unknown key `staus`. Did you mean `status`"),
        ({"kind": "garbage", "body": "htm"}, "no known `body`. Did you mean `html`"),
        ({"kind": "results", "how": "shufle"}, "no known `how`. Did you mean `shuffle`"),
        ({"kind": "poison", "equals": "x"}, "needs a `field`"),
        ({"kind": "poison", "field": "x"}, "needs exactly one of"),
        ({"kind": "poison", "field": "x", "equals": "a", "contains": "b"}, "needs exactly one of"),
        ({"kind": "poison", "field": "x", "matches": "("}, "not a regular expression"),
        ({"kind": "delay", "probability": 2}, "`probability` from 0 to 1"),
        ("delay", "must be an object"),
    ],
)
def test_senseless_rules_are_refused(rule: Any, reason: str) -> None:
    with pytest.raises(SandboxError, match=reason):
        Fault.from_dict(rule)


def test_rules_survive_the_way_through_json() -> None:
    rule = Fault("poison", field="email", contains="@", nth=(1, 2), path="*x")
    assert Fault.from_dict(rule.as_dict()) == rule
