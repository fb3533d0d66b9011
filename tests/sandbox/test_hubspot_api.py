"""The rest of HubSpot's API: single records, lists, search, definitions, tokens, limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

from revetl_dbt.errors import SandboxError
from revetl_dbt.sandbox import Sandbox

from .conftest import Clock, Hub, codes, upsert_input

ONE = "/crm/v3/objects/contacts"


# -- one record --------------------------------------------------------------------------------------


def test_one_record_by_id_and_by_email(hub: Hub) -> None:
    record_id = hub.create(email="ada@example.com", firstname="Ada")
    by_id = hub.get(f"{ONE}/{record_id}").json()
    by_email = hub.get(f"{ONE}/ADA%40example.com", params={"idProperty": "email"}).json()
    assert by_id == by_email
    assert set(by_id["properties"]) == {
        "createdate",
        "email",
        "firstname",
        "hs_object_id",
        "lastmodifieddate",
        "lastname",
    }
    assert (by_id["properties"]["lastname"], by_id["archived"]) == (None, False)
    changed = hub.call(
        "PATCH", f"{ONE}/ada@example.com", {"properties": {"lastname": "L"}}, params={"idProperty": "email"}
    )
    assert (changed.status_code, changed.json()["id"]) == (200, record_id)
    assert hub.call("DELETE", f"{ONE}/{record_id}").status_code == 204
    assert hub.call("DELETE", f"{ONE}/{record_id}").status_code == 204


def test_an_unknown_record_is_a_page_for_get_and_json_for_patch(hub: Hub) -> None:
    got = hub.get(f"{ONE}/12345")
    assert (got.status_code, got.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    patched = hub.call("PATCH", f"{ONE}/12345", {"properties": {"firstname": "A"}})
    assert (patched.status_code, patched.json()["category"], patched.json()["message"]) == (
        404,
        "OBJECT_NOT_FOUND",
        "resource not found",
    )


def test_properties_asked_for(hub: Hub) -> None:
    record_id = hub.create(email="ada@example.com", city="London")
    query = [("properties", "city,nonsense"), ("properties", "phone"), ("propertiesWithHistory", "city")]
    body = hub.get(f"{ONE}/{record_id}", params=query).json()
    assert body["properties"].items() >= {"city": "London", "phone": None}.items()
    assert "nonsense" not in body["properties"]
    assert "email" not in body["properties"]
    assert [entry["value"] for entry in body["propertiesWithHistory"]["city"]] == ["London"]


def test_the_record_links_to_its_page(hub: Hub) -> None:
    hub.create(email="ada@example.com", firstname="Ada")
    url = hub.get(f"{ONE}/ada@example.com", params={"idProperty": "email"}).json()["url"]
    assert "Ada" in requests.get(url, timeout=5).text


def test_the_list_pages_through_all_records(hub: Hub) -> None:
    hub.sandbox.configure("hubspot", shuffle=False)
    made = hub.batch("create", [{"properties": {"email": f"u{n}@example.com"}} for n in range(25)]).json()["results"]
    hub.call("DELETE", f"{ONE}/{made[3]['id']}")
    found, query = [], {"limit": "10"}
    for _ in range(3):
        body = hub.get(ONE, params=query).json()
        found += [row["id"] for row in body["results"]]
        query["after"] = body.get("paging", {}).get("next", {}).get("after", "")
    assert found == [row["id"] for row in made if row is not made[3]]
    assert query["after"] == ""
    assert [row["id"] for row in hub.get(ONE, params={"archived": "true"}).json()["results"]] == [made[3]["id"]]
    assert hub.get(ONE, params={"after": "nowhere"}).status_code == 400


# -- search ------------------------------------------------------------------------------------------


@pytest.fixture
def people(hub: Hub) -> Hub:
    hub.define(name="score", type="number", fieldType="number")
    hub.define(name="since", type="date", fieldType="date")
    for n, (name, score, since) in enumerate(
        [("Ada", "10", "2024-01-01"), ("Alan", "9", "2024-06-01"), ("Grace", "", "2025-01-01"), ("ada", "100", "")]
    ):
        hub.create(
            email=f"{name.lower()}{n}@example.com",
            firstname=name,
            score=score,
            since=since,
            company=f"The {name} Company",
        )
    return hub


def search(hub: Hub, *filters: dict[str, Any], **body: Any) -> requests.Response:
    groups = [{"filters": list(filters)}] if filters else []
    return hub.post(f"{ONE}/search", {"filterGroups": groups, "properties": ["firstname"], **body})


def names(response: requests.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [row["properties"]["firstname"] for row in response.json()["results"]]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"propertyName": "firstname", "operator": "EQ", "value": "ADA"}, ["Ada", "ada"]),
        ({"propertyName": "firstname", "operator": "NEQ", "value": "ada"}, ["Alan", "Grace"]),
        ({"propertyName": "score", "operator": "GT", "value": "9"}, ["Ada", "ada"]),
        ({"propertyName": "score", "operator": "GTE", "value": 9}, ["Ada", "Alan", "ada"]),
        ({"propertyName": "score", "operator": "LT", "value": "10"}, ["Alan"]),
        ({"propertyName": "score", "operator": "LTE", "value": "10"}, ["Ada", "Alan"]),
        ({"propertyName": "score", "operator": "BETWEEN", "value": "9", "highValue": "10"}, ["Ada", "Alan"]),
        ({"propertyName": "since", "operator": "GT", "value": "2024-01-01"}, ["Alan", "Grace"]),
        ({"propertyName": "since", "operator": "LT", "value": "1717200000000"}, ["Ada"]),
        ({"propertyName": "firstname", "operator": "IN", "values": ["alan", "grace"]}, ["Alan", "Grace"]),
        ({"propertyName": "firstname", "operator": "NOT_IN", "values": ["alan", "grace"]}, ["Ada", "ada"]),
        ({"propertyName": "score", "operator": "HAS_PROPERTY"}, ["Ada", "Alan", "ada"]),
        ({"propertyName": "score", "operator": "NOT_HAS_PROPERTY"}, ["Grace"]),
        ({"propertyName": "company", "operator": "CONTAINS_TOKEN", "value": "gra*"}, ["Grace"]),
        ({"propertyName": "company", "operator": "NOT_CONTAINS_TOKEN", "value": "ada"}, ["Alan", "Grace"]),
    ],
)
def test_search_operators(people: Hub, condition: dict[str, Any], expected: list[str]) -> None:
    assert names(search(people, condition)) == expected


def test_search_groups_are_or_and_filters_are_and(people: Hub) -> None:
    score, ada, grace = (
        {"propertyName": "score", "operator": "GT", "value": "50"},
        {"propertyName": "firstname", "operator": "EQ", "value": "ada"},
        {"propertyName": "firstname", "operator": "EQ", "value": "grace"},
    )
    assert names(search(people, score, ada)) == ["ada"]
    assert names(search(people, filterGroups=[{"filters": [score, ada]}, {"filters": [grace]}])) == ["Grace", "ada"]


def test_search_sorts_pages_and_free_text(people: Hub) -> None:
    down = [{"propertyName": "score", "direction": "DESCENDING"}]
    assert names(search(people, sorts=down)) == ["ada", "Ada", "Alan", "Grace"]
    assert names(search(people, sorts=["score"])) == ["Alan", "Ada", "ada", "Grace"]
    first = search(people, limit=3)
    assert (first.json()["total"], first.json()["paging"]) == (4, {"next": {"after": "3"}})
    assert names(search(people, limit=3, after="3")) == ["ada"]
    assert names(search(people, query="grace company")) == ["Grace"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"filterGroups": [{"filters": []}] * 6}, "at most 5 groups"),
        (
            {"filterGroups": [{"filters": [{"propertyName": "x", "operator": "EQ", "value": "1"}]}]},
            "Property `x` does not exist",
        ),
        (
            {"filterGroups": [{"filters": [{"propertyName": "email", "operator": "IS", "value": "1"}]}]},
            "Invalid operator `IS`",
        ),
        ({"filterGroups": [{"filters": [{"propertyName": "email", "operator": "EQ"}]}]}, "needs `value`"),
        (
            {"filterGroups": [{"filters": [{"propertyName": "hs_object_id", "operator": "EQ", "value": "a"}]}]},
            "not a number",
        ),
        ({"limit": 201}, "at most 200 results a page and 10000 in all"),
        ({"limit": 100, "after": "9901"}, "10000 in all"),
        ({"sorts": ["email", "createdate"]}, "at most one sort"),
        ({"sorts": ["x"]}, "Property `x` does not exist"),
        ([], "`body` must be an object"),
    ],
)
def test_searches_that_are_refused(hub: Hub, body: Any, message: str) -> None:
    response = hub.post(f"{ONE}/search", body)
    assert response.status_code == 400
    assert message in response.json()["message"]


def test_the_search_index_lags(hub: Hub, clock: Clock) -> None:
    hub.sandbox.configure("hubspot", search_lag=10.0)
    record_id = hub.create(email="a@example.com", firstname="Old")
    assert names(search(hub)) == []
    clock.now += 11
    assert names(search(hub)) == ["Old"]
    hub.call("PATCH", f"{ONE}/{record_id}", {"properties": {"firstname": "New", "city": "Berlin"}})
    assert names(search(hub)) == ["Old"]
    assert names(search(hub, {"propertyName": "city", "operator": "HAS_PROPERTY"})) == []
    clock.now += 11
    assert names(search(hub)) == ["New"]


# -- definitions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["/crm/v3/properties", "/crm/properties/2026-03"])
def test_default_properties(hub: Hub, base: str) -> None:
    found = {prop["name"]: prop for prop in hub.get(f"{base}/contacts").json()["results"]}
    assert (
        found["email"].items()
        >= {"type": "string", "fieldType": "text", "hasUniqueValue": True, "hubspotDefined": True}.items()
    )
    assert found["createdate"]["modificationMetadata"]["readOnlyValue"] is True
    assert found["firstname"]["modificationMetadata"]["readOnlyValue"] is False
    assert {option["value"] for option in found["lifecyclestage"]["options"]} >= {"subscriber", "lead", "customer"}
    domain = hub.get(f"{base}/0-2/domain").json()
    assert domain["hasUniqueValue"] is False
    assert hub.get(f"{base}/contacts/nonsense").status_code == 404


def test_a_property_from_definition_to_archive(hub: Hub) -> None:
    body = {
        "name": "plan",
        "label": "Plan",
        "type": "enumeration",
        "fieldType": "select",
        "groupName": "contactinformation",
        "options": [{"label": "Free", "value": "free"}],
    }
    made = hub.post("/crm/v3/properties/contacts", body)
    assert made.status_code == 201
    assert made.json().items() >= {"name": "plan", "hasUniqueValue": False, "archived": False}.items()
    again = hub.post("/crm/v3/properties/contacts", body)
    assert (again.status_code, again.json()["message"]) == (409, "A property named 'plan' already exists.")
    more = {"options": [{"label": "Free", "value": "free"}, {"label": "Team", "value": "team"}]}
    assert len(hub.call("PATCH", "/crm/v3/properties/contacts/plan", more).json()["options"]) == 2
    hub.create(email="a@example.com", plan="team")
    assert hub.call("DELETE", "/crm/v3/properties/contacts/plan").status_code == 204
    assert codes(hub.post(ONE, {"properties": {"plan": "free"}})) == ["PROPERTY_DOESNT_EXIST"]
    archived = hub.get("/crm/v3/properties/contacts", params={"archived": "true"}).json()["results"]
    assert [prop["name"] for prop in archived] == ["plan"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": ""}, "Some required fields were not set: [label]"),
        ({"name": "Upper"}, "lower-case letters"),
        ({"type": "text"}, "Invalid type `text`"),
        ({"fieldType": "date"}, "Invalid fieldType `date` for the type `string`"),
        ({"groupName": "nowhere"}, "group `nowhere` does not exist"),
        (
            {
                "type": "enumeration",
                "fieldType": "select",
                "options": [{"label": label, "value": "a"} for label in "xy"],
            },
            "different values",
        ),
    ],
)
def test_definitions_that_are_refused(hub: Hub, change: dict[str, Any], message: str) -> None:
    body = {
        "name": "plan",
        "label": "Plan",
        "type": "string",
        "fieldType": "text",
        "groupName": "contactinformation",
        **change,
    }
    response = hub.post("/crm/v3/properties/contacts", body)
    assert response.status_code == 400
    assert message in response.json()["message"]


def test_what_cannot_be_changed_later(hub: Hub) -> None:
    hub.define(name="plan")
    changed = hub.call("PATCH", "/crm/v3/properties/contacts/plan", {"hasUniqueValue": True})
    assert (changed.status_code, "hasUniqueValue" in changed.json()["message"]) == (400, True)
    assert hub.call("PATCH", "/crm/v3/properties/contacts/email", {"label": "x"}).status_code == 400
    assert hub.call("DELETE", "/crm/v3/properties/contacts/email").status_code == 400


def test_at_most_ten_unique_properties(hub: Hub) -> None:
    for number in range(10):
        hub.define(name=f"key_{number}", hasUniqueValue=True)
    body = {
        "name": "key_x",
        "label": "x",
        "type": "string",
        "fieldType": "text",
        "groupName": "contactinformation",
        "hasUniqueValue": True,
    }
    assert hub.post("/crm/v3/properties/contacts", body).status_code == 400


def test_groups_and_batches_of_definitions(hub: Hub) -> None:
    assert hub.post("/crm/v3/properties/contacts/groups", {"name": "usage", "label": "Usage"}).status_code == 201
    assert hub.post("/crm/v3/properties/contacts/groups", {"name": "usage", "label": "Usage"}).status_code == 409
    assert hub.get("/crm/v3/properties/contacts/groups/usage").json()["label"] == "Usage"
    assert [group["name"] for group in hub.get("/crm/v3/properties/contacts/groups").json()["results"]] == [
        "contactinformation",
        "usage",
    ]
    inputs = [
        {"name": name, "label": name, "type": "string", "fieldType": "text", "groupName": "usage"}
        for name in ("a", "b", "a")
    ]
    response = hub.post("/crm/v3/properties/contacts/batch/create", {"inputs": inputs})
    assert response.status_code == 207
    assert [prop["name"] for prop in response.json()["results"]] == ["a", "b"]
    assert response.json()["errors"][0]["context"] == {"name": ["a"]}
    read = hub.post("/crm/v3/properties/contacts/batch/read", {"inputs": [{"name": "a"}, {"name": "b"}]})
    assert (read.status_code, len(read.json()["results"])) == (200, 2)
    assert hub.post("/crm/v3/properties/contacts/batch/archive", {"inputs": [{"name": "a"}]}).status_code == 204


SCHEMA = {
    "name": "workspaces",
    "labels": {"singular": "Workspace", "plural": "Workspaces"},
    "primaryDisplayProperty": "title",
    "requiredProperties": ["title"],
    "properties": [
        {"name": "title", "label": "Title", "type": "string", "fieldType": "text"},
        {"name": "workspace_id", "label": "ID", "type": "string", "fieldType": "text", "hasUniqueValue": True},
    ],
}


@pytest.mark.parametrize(
    "base", ["/crm/v3/schemas", "/crm-object-schemas/v3/schemas", "/crm-object-schemas/2026-09/schemas"]
)
def test_custom_objects_by_all_their_names(hub: Hub, base: str) -> None:
    made = hub.post(base, SCHEMA)
    assert made.status_code == 201
    type_id, qualified = made.json()["objectTypeId"], made.json()["fullyQualifiedName"]
    assert type_id.startswith("2-")
    assert qualified == f"p{hub.sandbox.account('hubspot')}_workspaces"
    assert hub.post(base, SCHEMA).status_code == 409
    row = {"id": "w1", "idProperty": "workspace_id", "properties": {"title": "Main"}}
    for number, segment in enumerate((type_id, qualified, "workspaces")):
        (result,) = hub.batch("upsert", [row], kind=segment).json()["results"]
        assert result["new"] == (number == 0)
        assert hub.get(f"{base}/{segment}").json()["objectTypeId"] == type_id
    lacking = hub.batch("upsert", [{**row, "id": "w2", "properties": {}}], kind=type_id)
    assert lacking.json()["context"] == {"properties": ["title"]}
    assert [schema["name"] for schema in hub.get(base).json()["results"]] == ["workspaces"]
    assert hub.get(f"{base}/contacts").status_code == 404


def test_custom_objects_outlive_a_restart(tmp_path: Path) -> None:
    with Sandbox(tmp_path) as sandbox:
        type_id = Hub(sandbox).post("/crm/v3/schemas", SCHEMA).json()["objectTypeId"]
    with Sandbox(tmp_path) as sandbox:
        assert Hub(sandbox).post(f"/crm/v3/objects/{type_id}", {"properties": {"title": "x"}}).status_code == 201


@pytest.mark.parametrize("path", ["/account-info/v3/details", "/account-info/2026-03/details"])
def test_account_details(hub: Hub, path: str) -> None:
    hub.sandbox.configure("hubspot", time_zone="US/Eastern")
    body = hub.get(path).json()
    assert body["portalId"] == int(hub.sandbox.account("hubspot") or 0)
    assert (body["timeZone"], body["utcOffset"], body["utcOffsetMilliseconds"]) == ("US/Eastern", "-04:00", -14_400_000)
    assert (body["accountType"], body["uiDomain"]) == ("STANDARD", "app.hubspot.com")


# -- setup file --------------------------------------------------------------------------------------

SETUP = """
objects:
  - name: workspaces
    labels: {singular: Workspace, plural: Workspaces}
    requiredProperties: [title]
    properties: [{name: title, label: Title, type: string, fieldType: text}]
properties:
  contacts:
    - {name: user_id, label: User ID, type: string, fieldType: text, hasUniqueValue: true}
    - {name: plan, label: Plan, type: enumeration, fieldType: select, groupName: product_usage, options: [{label:
    Free, value: free}]}
  workspaces:
    - {name: seats, label: Seats, type: number, fieldType: number}
"""


def test_a_setup_file_defines_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "hubspot.yml"
    path.write_text(SETUP)
    for _ in range(2):  # loading it again changes nothing
        with Sandbox(tmp_path / "state", setup={"hubspot": path}) as sandbox:
            hub = Hub(sandbox)
            assert hub.get("/crm/v3/properties/contacts/user_id").json()["hasUniqueValue"] is True
            assert hub.get("/crm/v3/properties/contacts/plan").json()["groupName"] == "product_usage"
            assert hub.get("/crm/v3/properties/contacts/groups/product_usage").json()["label"] == "Product usage"
            hub.create("workspaces", title="Main", seats="3")
            assert len(hub.get("/crm/v3/schemas").json()["results"]) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "properties: {contacts: [{name: x, label: X, type: nonsense, fieldType: text}]}",
            "`properties.contacts`, entry `x`: Invalid type",
        ),
        ("properties: {butterflies: [{name: x}]}", "`properties.butterflies`, entry `x`: Unable to infer"),
        ("objects: [{name: x}]", "`objects`, entry `x`: .*labels"),
        ("props: {}", "may have `objects`, `properties`, .*, not props"),
        ("- a", "may have `objects`, `properties`"),
        ("a: [", "cannot read its setup file"),
    ],
)
def test_mistakes_in_a_setup_file_are_named(sandbox: Sandbox, tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "hubspot.yml"
    path.write_text(text)
    with pytest.raises(SandboxError, match=reason):
        sandbox.load_setup("hubspot", path)


# -- tokens and limits -------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", "Basic abc", "hapikey x"])
def test_without_the_right_token(sandbox: Sandbox, header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    for path in ("/account-info/v3/details", ONE, "/nowhere"):
        response = requests.get(sandbox.url("hubspot") + path, headers=headers, timeout=5)
        assert (response.status_code, response.json()["category"]) == (401, "INVALID_AUTHENTICATION")


def test_a_token_may_lack_scopes(hub: Hub) -> None:
    token = hub.sandbox.vendors["hubspot"].add_token(["crm.objects.contacts.read"])  # type: ignore[attr-defined]  # HubSpot's own
    hub.create(email="a@example.com")
    hub.session.headers["Authorization"] = f"Bearer {token}"
    assert hub.get(ONE).status_code == 200
    assert hub.get("/account-info/v3/details").status_code == 200
    for method, path, scope in (
        ("POST", ONE, "crm.objects.contacts.write"),
        ("GET", "/crm/v3/objects/companies", "crm.objects.companies.read"),
        ("GET", "/crm/v3/objects/tickets", "tickets"),
        ("GET", "/crm/v3/properties/contacts", "crm.schemas.contacts.read"),
        ("POST", "/crm/v3/schemas", "crm.schemas.custom.write"),
    ):
        response = hub.call(method, path, {"properties": {}})
        assert (response.status_code, response.json()["category"]) == (403, "MISSING_SCOPES")
        assert response.json()["errors"][0]["context"]["requiredGranularScopes"] == [scope]


def test_headers_tell_what_is_left(hub: Hub, clock: Clock) -> None:
    first = hub.get("/account-info/v3/details").headers
    assert first["X-HubSpot-RateLimit-Max"] == "190"
    assert first["X-HubSpot-RateLimit-Interval-Milliseconds"] == "10000"
    assert (first["X-HubSpot-RateLimit-Remaining"], first["X-HubSpot-RateLimit-Daily-Remaining"]) == ("189", "649999")
    second = hub.get("/account-info/v3/details").headers
    assert (second["X-HubSpot-RateLimit-Remaining"], second["X-HubSpot-RateLimit-Secondly-Remaining"]) == ("188", "17")
    clock.now += 10
    third = hub.get("/account-info/v3/details").headers
    assert (third["X-HubSpot-RateLimit-Remaining"], third["X-HubSpot-RateLimit-Daily-Remaining"]) == ("189", "649997")
    assert not [name for name in search(hub).headers if name.lower().startswith("x-hubspot-ratelimit")]
    assert first["X-HubSpot-Correlation-Id"] != second["X-HubSpot-Correlation-Id"]


def test_the_window_of_ten_seconds_is_enforced(hub: Hub, clock: Clock) -> None:
    hub.sandbox.configure("hubspot", ten_seconds=3, enforce_limits=True)
    answers = [hub.batch("upsert", [upsert_input("a@example.com")]) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].json()["policyName"] == "TEN_SECONDLY_ROLLING"
    assert answers[-1].headers["X-HubSpot-RateLimit-Remaining"] == "0"
    clock.now += 10
    assert hub.batch("upsert", [upsert_input("a@example.com")]).status_code == 200


def test_the_daily_quota_ends_at_midnight_of_the_account(hub: Hub, clock: Clock) -> None:
    clock.now = 1_790_000_000 - 1_790_000_000 % 86_400 + 3 * 3600  # 03:00 UTC is 23:00 in New York
    hub.sandbox.configure("hubspot", daily=1, enforce_limits=True, time_zone="US/Eastern")
    assert hub.get("/account-info/v3/details").status_code == 200
    refused = hub.get("/account-info/v3/details")
    assert (refused.status_code, refused.json()["policyName"]) == (429, "DAILY")
    clock.now += 3599
    assert hub.get("/account-info/v3/details").status_code == 429
    clock.now += 1
    assert hub.get("/account-info/v3/details").status_code == 200


def test_searches_have_a_limit_of_their_own(hub: Hub, clock: Clock) -> None:
    hub.sandbox.configure("hubspot", enforce_limits=True)
    assert [search(hub).status_code for _ in range(6)] == [200] * 5 + [429]
    assert hub.get("/account-info/v3/details").status_code == 200
    clock.now += 1
    assert search(hub).status_code == 200


def test_limits_are_only_shown_unless_enforced(hub: Hub) -> None:
    hub.sandbox.configure("hubspot", ten_seconds=1, daily=1)
    assert [hub.get("/account-info/v3/details").status_code for _ in range(3)] == [200] * 3


def test_a_method_that_a_path_does_not_have(hub: Hub) -> None:
    assert hub.call("PUT", f"{ONE}/1", {}).status_code == 405
