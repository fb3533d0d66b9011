"""The stand-in for Intercom keeps Intercom's rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from revetl_dbt.sandbox import Sandbox, SandboxError

from .conftest import Clock

SETUP = {
    "attributes": {
        "contact": [
            {"name": "seats", "data_type": "integer"},
            {"name": "score", "data_type": "float"},
            {"name": "vip", "data_type": "boolean"},
            {"name": "renews_at", "data_type": "date"},
            {"name": "note", "data_type": "string"},
            {"name": "order", "data_type": "relationship"},
        ]
    },
    "custom_objects": {"Order": [{"name": "total", "data_type": "float"}]},
}


class Api:
    """Requests to the stand-in with its token, over one connection."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {sandbox.token('intercom')}"

    def __call__(self, request: str, body: Any = None, **kwargs: Any) -> requests.Response:
        method, _, path = request.partition(" ")
        return self.session.request(method, self.sandbox.url("intercom") + path, json=body, timeout=10, **kwargs)

    def made(self, request: str, body: Any = None, **kwargs: Any) -> dict[str, Any]:
        response = self(request, body, **kwargs)
        assert response.status_code in (200, 202), response.text
        return response.json()

    def refused(self, request: str, body: Any = None, **kwargs: Any) -> tuple[int, str, str]:
        response = self(request, body, **kwargs)
        assert response.json()["type"] == "error.list"
        assert response.json()["request_id"]
        (error,) = response.json()["errors"]
        return response.status_code, error["code"], error["message"]


@pytest.fixture
def sandbox(tmp_path: Path, clock: Clock) -> Iterator[Sandbox]:
    setup = tmp_path / "intercom.yml"
    setup.write_text(json.dumps(SETUP))
    with Sandbox(tmp_path / "state", ("intercom",), setup={"intercom": setup}, now=clock) as running:
        yield running


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[Api]:
    made = Api(sandbox)
    yield made
    made.session.close()


NOT_FOUND = (404, "not_found", "User Not Found")


class TestEveryRequest:
    def test_needs_the_token(self, api: Api) -> None:
        api.session.headers["Authorization"] = "Bearer wrong"
        assert api.refused("GET /me") == (401, "unauthorized", "Access Token Invalid")
        assert "X-RateLimit-Limit" not in api("GET /me").headers

    def test_says_what_it_accepts_and_which_version_it_means(self, api: Api) -> None:
        assert api.refused("GET /me", headers={"Accept": "text/html"})[:2] == (406, "media_type_not_acceptable")
        for version in ("2.16", "1.4", "Preview"):
            assert api("GET /me", headers={"Intercom-Version": version}).status_code == 200
        assert api.refused("GET /me", headers={"Intercom-Version": "9.9"})[:2] == (400, "intercom_version_invalid")

    def test_has_a_path_that_there_is(self, api: Api) -> None:
        assert api.refused("GET /contact")[:2] == (404, "not_found")
        assert api.refused("PATCH /contacts/5f")[:2] == (404, "not_found")  # Intercom says so of a method, too

    def test_has_a_body_that_is_json(self, api: Api) -> None:
        for data in (b"{", b"[]"):
            response = api.session.post(api.sandbox.url("intercom") + "/contacts", data=data, timeout=5)
            assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "parameter_invalid")

    def test_counts(self, api: Api, sandbox: Sandbox, clock: Clock) -> None:
        sandbox.configure("intercom", ten_seconds=2, enforce_limits=True)
        clock.now = 1_790_000_007.0
        shown = [api("GET /me").headers for _ in range(2)]
        assert [headers["X-RateLimit-Remaining"] for headers in shown] == ["1", "0"]
        assert {headers["X-RateLimit-Reset"] for headers in shown} == {"1790000010"}
        refused = api("GET /me")
        assert (refused.status_code, refused.headers["X-RateLimit-Remaining"]) == (429, "0")
        assert refused.json()["errors"][0]["message"] == "Exceeded rate limit of 2 in 10_seconds"
        clock.now += 3
        assert api("GET /me").status_code == 200


class TestContacts:
    def test_one_of_three_is_needed(self, api: Api) -> None:
        assert api.refused("POST /contacts", {"name": "Ada"})[:2] == (400, "parameter_not_found")
        assert api.made("POST /contacts", {"role": "lead"})["role"] == "lead"
        assert api.made("POST /contacts", {"external_id": "u1"})["role"] == "user"

    def test_users_are_unique_by_external_id(self, api: Api) -> None:
        made = api.made("POST /contacts", {"external_id": "u1", "email": "a@example.com"})["id"]
        text = f"A contact matching those details already exists with id={made}"
        assert api.refused("POST /contacts", {"external_id": "u1"}) == (409, "conflict", text)
        other = api.made("POST /contacts", {"external_id": "u2", "email": "a@example.com"})["id"]  # another person
        assert api.refused(f"PUT /contacts/{other}", {"external_id": "u1"}) == (409, "conflict", text)

    def test_users_without_one_are_unique_by_address(self, api: Api) -> None:
        made = api.made("POST /contacts", {"email": "a@example.com"})["id"]
        text = f"A contact matching those details already exists with id={made}"
        assert api.refused("POST /contacts", {"email": "A@Example.com"}) == (409, "conflict", text)
        api.made("POST /contacts", {"external_id": "u2", "email": "a@example.com"})
        text = "Multiple existing users match this email address - must be more specific using user_id"
        assert api.refused("POST /contacts", {"email": "a@example.com"}) == (409, "conflict", text)

    def test_leads_are_not_unique(self, api: Api) -> None:
        lead = {"role": "lead", "email": "l@example.com"}
        assert api.made("POST /contacts", lead)["id"] != api.made("POST /contacts", lead)["id"]
        assert api("GET /contacts/find_by_external_id/none").status_code == 404

    def test_a_lead_becomes_a_user_and_never_back(self, api: Api) -> None:
        made = api.made("POST /contacts", {"role": "lead", "email": "l@example.com"})["id"]
        assert api.made(f"PUT /contacts/{made}", {"role": "user"})["role"] == "user"
        assert api.refused(f"PUT /contacts/{made}", {"role": "lead"})[:2] == (400, "client_error")

    def test_archived_ones_hold_their_place(self, api: Api) -> None:
        made = api.made("POST /contacts", {"external_id": "u1"})["id"]
        assert api.made(f"POST /contacts/{made}/archive")["archived"] is True
        assert api.refused(f"GET /contacts/{made}") == NOT_FOUND
        assert api.refused("GET /contacts/find_by_external_id/u1") == NOT_FOUND
        text = f"An archived contact matching those details already exists with id={made}"
        assert api.refused("POST /contacts", {"external_id": "u1"}) == (409, "conflict", text)
        assert api.made(f"POST /contacts/{made}/unarchive")["archived"] is False
        assert api.made(f"GET /contacts/{made}")["external_id"] == "u1"

    def test_deleted_ones_do_not(self, api: Api) -> None:
        made = api.made("POST /contacts", {"external_id": "u1"})["id"]
        api.made(f"POST /contacts/{made}/archive")
        assert api.made(f"DELETE /contacts/{made}")["deleted"] is True
        assert api.refused(f"DELETE /contacts/{made}") == NOT_FOUND
        assert api.refused(f"POST /contacts/{made}/unarchive")[:2] == (400, "not_restorable")
        assert api.made("POST /contacts", {"external_id": "u1"})["id"] != made

    @pytest.mark.parametrize(
        ("values", "code", "about"),
        [
            ({"email": "nonsense"}, "parameter_invalid", "email"),
            ({"name": 7}, "type_mismatch", "name"),
            ({"signed_up_at": "today"}, "type_mismatch", "signed_up_at"),
            ({"role": "boss"}, "parameter_invalid", "role"),
            ({"email_verified": True}, "parameter_invalid", "email_verified"),
            ({"custom_attributes": {"nonsense": 1}}, "parameter_invalid", "nonsense"),
            ({"custom_attributes": {"seats": 1.5}}, "type_mismatch", "seats"),
            ({"custom_attributes": {"seats": True}}, "type_mismatch", "seats"),
            ({"custom_attributes": {"vip": "yes"}}, "type_mismatch", "vip"),
            ({"custom_attributes": {"renews_at": "2024-01-01"}}, "type_mismatch", "renews_at"),
            ({"custom_attributes": {"note": "x" * 256}}, "parameter_invalid", "note"),
            ({"custom_attributes": {"note": ["x"]}}, "parameter_invalid", "note"),
            ({"custom_attributes": {"order": "21"}}, "type_mismatch", "order"),
            ({"custom_attributes": []}, "type_mismatch", "custom_attributes"),
        ],
    )
    def test_values_that_are_refused(self, api: Api, values: dict[str, Any], code: str, about: str) -> None:
        response = api("POST /contacts", {"external_id": "u1", **values})
        assert response.status_code == 400
        assert (response.json()["errors"][0]["code"], response.json()["errors"][0]["field"]) == (code, about)

    def test_values_that_are_kept(self, api: Api) -> None:
        custom = {"seats": 3, "score": 1, "vip": False, "renews_at": 1_700_000_000, "note": "x" * 255, "order": ["21"]}
        made = api.made("POST /contacts", {"external_id": "u1", "name": "Ada", "custom_attributes": custom})
        assert made["custom_attributes"] == custom
        changed = api.made(f"PUT /contacts/{made['id']}", {"name": None, "custom_attributes": {"seats": None}})
        assert (changed["name"], changed["external_id"]) == (None, "u1")
        assert "seats" not in changed["custom_attributes"]

    def test_what_the_sandbox_remembers_outlives_it(self, api: Api, tmp_path: Path, sandbox: Sandbox) -> None:
        made = api.made("POST /contacts", {"external_id": "u1"})
        token, account = sandbox.token("intercom"), sandbox.account("intercom")
        sandbox.close()
        with Sandbox(tmp_path / "state", ("intercom",)) as again:
            assert (again.token("intercom"), again.account("intercom")) == (token, account)
            assert Api(again).made(f"GET /contacts/{made['id']}")["external_id"] == "u1"


class TestSearch:
    @pytest.fixture
    def people(self, api: Api, clock: Clock) -> Api:
        for n, name in enumerate(("Ada", "Alan", "Grace")):
            custom = {"seats": n, "renews_at": 1_700_000_000 + n * 86_400}
            api.made("POST /contacts", {"email": f"{name}@example.com", "name": name, "custom_attributes": custom})
        return api

    def found(self, api: Api, *filters: Any, operator: str = "AND") -> list[str]:
        value = [dict(zip(("field", "operator", "value"), item, strict=True)) for item in filters]
        body = api.made("POST /contacts/search", {"query": {"operator": operator, "value": value}})
        assert body["total_count"] == len(body["data"])
        return [item["name"] for item in body["data"]]

    @pytest.mark.parametrize(
        ("condition", "names"),
        [
            (("email", "=", "ADA@example.com"), ["Ada"]),
            (("email", "IN", ["ada@example.com", "grace@EXAMPLE.com"]), ["Ada", "Grace"]),
            (("name", "!=", "Ada"), ["Alan", "Grace"]),
            (("name", "NIN", ["Ada", "Alan"]), ["Grace"]),
            (("name", "^", "A"), ["Ada", "Alan"]),
            (("name", "$", "n"), ["Alan"]),
            (("name", "~", "a"), ["Ada", "Alan", "Grace"]),
            (("name", "!~", "l"), ["Ada", "Grace"]),
            (("phone", "~", "1"), []),
            (("custom_attributes.seats", ">", 1), ["Grace"]),
            (("custom_attributes.seats", "<=", 1), ["Ada", "Alan"]),
            (("custom_attributes.renews_at", "=", 1_700_000_000 + 5), ["Ada"]),
            (("custom_attributes.renews_at", ">", 1_700_000_000), ["Alan", "Grace"]),
            (("custom_attributes.renews_at", "<", 1_700_000_000 + 86_400), ["Ada"]),
        ],
    )
    def test_conditions(self, people: Api, condition: Any, names: list[str]) -> None:
        assert self.found(people, condition) == names

    def test_any_and_all(self, people: Api) -> None:
        ada, alan = ("name", "=", "Ada"), ("name", "=", "Alan")
        assert self.found(people, ada, alan) == []
        assert self.found(people, ada, alan, operator="OR") == ["Ada", "Alan"]
        one = {"query": {"field": "name", "operator": "=", "value": "Ada"}}
        assert len(people.made("POST /contacts/search", one)["data"]) == 1

    def test_pages(self, people: Api) -> None:
        query = {"query": {"field": "role", "operator": "=", "value": "user"}, "pagination": {"per_page": 2}}
        first = people.made("POST /contacts/search", query)
        assert first["pages"]["next"]["page"] == 2
        assert (first["total_count"], first["pages"]["total_pages"]) == (3, 2)
        query["pagination"]["starting_after"] = first["pages"]["next"]["starting_after"]
        second = people.made("POST /contacts/search", query)
        assert [item["name"] for item in second["data"]] == ["Grace"]
        assert "next" not in second["pages"]

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"query": {"field": "nonsense", "operator": "=", "value": "x"}},
            {"query": {"field": "name", "operator": ">", "value": "x"}},
            {"query": {"field": "created_at", "operator": "IN", "value": [1]}},
            {"query": {"field": "email", "operator": "IN", "value": "x"}},
            {"query": {"operator": "AND", "value": [{"field": "name", "operator": "=", "value": "x"}] * 16}},
            {"query": {"field": "name", "operator": "=", "value": "x"}, "pagination": {"per_page": 151}},
            {"query": {"field": "name", "operator": "=", "value": "x"}, "pagination": {"starting_after": "?"}},
        ],
    )
    @pytest.mark.off_spec("the request to list everything has no query")
    def test_queries_that_are_refused(self, people: Api, body: dict[str, Any]) -> None:
        if body:
            assert people.refused("POST /contacts/search", body)[0] == 400
        else:
            assert len(people.made("POST /contacts/search", body)["data"]) == 3

    def test_groups_in_groups_in_groups_are_refused(self, people: Api) -> None:
        query: dict[str, Any] = {"field": "name", "operator": "=", "value": "x"}
        for depth, status in ((1, 200), (2, 200), (3, 400)):
            query = {"operator": "AND", "value": [query]}
            assert people("POST /contacts/search", {"query": query}).status_code == status, depth

    def test_new_contacts_are_found_after_a_while(self, people: Api, sandbox: Sandbox, clock: Clock) -> None:
        sandbox.configure("intercom", search_lag=60.0)
        assert self.found(people, ("name", "=", "Ada")) == []
        clock.now += 61
        assert self.found(people, ("name", "=", "Ada")) == ["Ada"]


class TestCompanies:
    def test_rules_of_their_values(self, api: Api) -> None:
        assert api.refused("POST /companies", {"test": "invalid"}) == (400, "bad_request", "bad 'test' parameter")
        assert api.refused("POST /companies", {"name": "Acme"})[:2] == (400, "parameter_not_found")
        acme = {"company_id": "c1", "name": "Acme"}
        assert api.refused("POST /companies", {**acme, "monthly_spend": 2**31})[:2] == (400, "parameter_invalid")
        assert api.refused("POST /companies", {**acme, "monthly_spend": "x"})[:2] == (400, "type_mismatch")
        assert api.refused("POST /companies", {**acme, "size": "100"})[:2] == (400, "type_mismatch")
        made = api.made("POST /companies", {**acme, "plan": "Pro", "update_last_request_at": True})
        assert (made["plan"]["name"], made["monthly_spend"], made["user_count"]) == ("Pro", 0, 0)
        path = f"PUT /companies/{made['id']}"
        assert api.refused(path, {"company_id": "c2"}) == (400, "bad_request", "bad 'company_id' parameter")
        assert api.refused("PUT /companies/5f", {"name": "x"})[:2] == (404, "company_not_found")

    @pytest.mark.off_spec("the description has whole numbers, and says that fractions are cut off")
    def test_spend_loses_its_fraction(self, api: Api) -> None:
        assert api.made("POST /companies", {"company_id": "c1", "monthly_spend": 155.98})["monthly_spend"] == 155

    def test_only_those_with_people_are_listed(self, api: Api) -> None:
        acme = api.made("POST /companies", {"company_id": "c1", "name": "Acme"})["id"]
        assert api.made("GET /companies")["data"] == []
        assert api.made("GET /companies?company_id=c1")["id"] == api.made("GET /companies?name=Acme")["id"] == acme
        ada = api.made("POST /contacts", {"external_id": "u1"})["id"]
        for _ in range(2):
            assert api.made(f"POST /contacts/{ada}/companies", {"id": acme})["user_count"] == 1
        assert [item["id"] for item in api.made("POST /companies/list")["data"]] == [acme]
        assert [item["id"] for item in api.made(f"GET /contacts/{ada}/companies")["data"]] == [acme]

    def test_attaching_what_there_is_not(self, api: Api) -> None:
        ada = api.made("POST /contacts", {"external_id": "u1"})["id"]
        assert api.refused(f"POST /contacts/{ada}/companies", {"id": "123"})[:2] == (404, "company_not_found")
        assert api.refused(f"POST /contacts/{ada}/companies", {})[:2] == (400, "parameter_not_found")
        assert api.refused("POST /contacts/5f/companies", {"id": "123"}) == NOT_FOUND
        acme = api.made("POST /companies", {"company_id": "c1"})["id"]
        assert api.refused(f"DELETE /contacts/{ada}/companies/{acme}")[:2] == (404, "company_not_found")

    def test_deleting_one_detaches_its_people(self, api: Api) -> None:
        acme = api.made("POST /companies", {"company_id": "c1"})["id"]
        ada = api.made("POST /contacts", {"external_id": "u1"})["id"]
        api.made(f"POST /contacts/{ada}/companies", {"id": acme})
        assert api.made(f"DELETE /companies/{acme}") == {"id": acme, "object": "company", "deleted": True}
        assert api.made(f"GET /contacts/{ada}")["companies"]["total_count"] == 0
        assert api.refused("GET /companies?company_id=c1")[:2] == (404, "company_not_found")
        assert api.made("POST /companies", {"company_id": "c1"})["id"] != acme


class TestTagsEventsAndObjects:
    def test_tags(self, api: Api) -> None:
        tag = api.made("POST /tags", {"name": "VIP"})["id"]
        assert api.made("POST /tags", {"name": "vip"})["id"] == tag
        assert api.refused("POST /tags", {"test": "x"}) == (400, "parameter_invalid", "invalid tag parameters")
        ada = api.made("POST /contacts", {"external_id": "u1"})["id"]
        assert api.refused(f"POST /contacts/{ada}/tags", {"id": "0"}) == (404, "not_found", "Resource Not Found")
        assert api.refused(f"DELETE /contacts/{ada}/tags/{tag}")[:2] == (404, "not_found")
        api.made("POST /tags", {"name": "VIP", "users": [{"id": ada}]})
        assert [item["id"] for item in api.made(f"GET /contacts/{ada}/tags")["data"]] == [tag]

    @pytest.mark.parametrize(
        ("event", "status"),
        [
            ({}, 202),
            ({"metadata": {"price": {"amount": 1, "currency": "eur"}, "page": {"url": "u", "value": "v"}}}, 202),
            ({"user_id": "nobody"}, 404),
            ({"event_name": ""}, 400),
            ({"created_at": "now"}, 400),
            ({"metadata": {"a": {"b": 1}}}, 400),
            ({"metadata": {"a": [1]}}, 400),
            ({"metadata": []}, 400),
        ],
    )
    def test_events(self, api: Api, event: dict[str, Any], status: int) -> None:
        api.made("POST /contacts", {"external_id": "u1"})
        response = api("POST /events", {"event_name": "did", "created_at": 1_700_000_000, "user_id": "u1", **event})
        assert response.status_code == status
        assert bool(response.content) == (status != 202)

    def test_further_keys_of_an_event_are_ignored(self, api: Api) -> None:
        lead = api.made("POST /contacts", {"role": "lead", "email": "l@example.com"})["id"]
        metadata = {f"k{n}": str(n) for n in range(12)}
        body = {"event_name": "did", "created_at": 1_700_000_000, "metadata": metadata}
        assert api("POST /events", {**body, "email": "l@example.com"}).status_code == 404  # leads only by id
        assert api("POST /events", {**body, "id": lead}).status_code == 202
        (event,) = api.made(f"GET /events?type=user&intercom_user_id={lead}")["events"]
        assert list(event["metadata"]) == [f"k{n}" for n in range(10)]

    def test_custom_objects(self, api: Api) -> None:
        path, none = "/custom_object_instances/Order", "Custom object type `Bill` not found"
        assert api.refused("POST /custom_object_instances/Bill", {"external_id": "1"}) == (404, "not_found", none)
        assert api.refused(f"POST {path}", {})[:2] == (400, "parameter_not_found")
        refused = api.refused(f"POST {path}", {"external_id": "1", "custom_attributes": {"x": 1}})
        assert refused == (400, "parameter_invalid", "Custom attribute 'x' does not exist")
        assert api.refused(f"POST {path}", {"external_id": "1", "external_created_at": "x"})[:2] == (
            400,
            "type_mismatch",
        )
        made = api.made(f"POST {path}", {"external_id": "1", "custom_attributes": {"total": 9.5}})
        assert api.made(f"GET {path}")["total_count"] == 1
        assert api.made(f"GET {path}/{made['id']}") == made
        assert api.made(f"DELETE {path}/{made['id']}")["deleted"] is True
        assert api.refused(f"GET {path}?external_id=1") == (404, "not_found", "Object not found")


class TestAttributes:
    def test_what_is_there(self, api: Api) -> None:
        listed = api.made("GET /data_attributes?model=contact")["data"]
        assert {item["name"] for item in listed if item["custom"]} == {
            "seats",
            "score",
            "vip",
            "renews_at",
            "note",
            "order",
        }
        standard = {item["name"]: item for item in listed if not item["custom"]}
        assert standard["email"]["api_writable"]
        assert not standard["created_at"]["api_writable"]
        assert api.refused("GET /data_attributes?model=conversation")[:2] == (422, "parameter_invalid")

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"model": "lead"}, "model field must be either contact or company"),
            ({"name": "!nv@l!d n@me"}, "must only contain alphanumeric characters"),
            ({"name": "seats"}, "You already have 'seats' in your people data"),
            ({"name": "Email"}, "'Email' is one of our standard attributes"),
            ({"data_type": "mithril"}, "Data Type isn't an option"),
            ({"data_type": "options", "options": [{"value": "1"}]}, "at least two options"),
        ],
    )
    def test_what_cannot_be_made(self, api: Api, given: dict[str, Any], message: str) -> None:
        body = {"name": "ring", "model": "contact", "data_type": "string", **given}
        status, code, text = api.refused("POST /data_attributes", body)
        assert (status, code) == (400, "parameter_invalid")
        assert message in text

    def test_archiving_one_takes_it_away(self, api: Api) -> None:
        options = [{"value": "a"}, {"value": "b"}]
        body = {"name": "ring", "model": "company", "data_type": "options", "options": options}
        made = api.made("POST /data_attributes", body)
        assert (made["data_type"], made["options"]) == ("string", ["a", "b"])
        acme = {"company_id": "c1", "custom_attributes": {"ring": "a"}}
        api.made("POST /companies", acme)
        api.made(f"PUT /data_attributes/{made['id']}", {"archived": True})
        assert api.refused("POST /companies", acme)[2] == "Custom attribute 'ring' does not exist"
        assert "ring" not in {item["name"] for item in api.made("GET /data_attributes?model=company")["data"]}
        path = "GET /data_attributes?model=company&include_archived=true"
        assert "ring" in {item["name"] for item in api.made(path)["data"]}
        assert api.refused("PUT /data_attributes/1", {"archived": True})[:2] == (404, "field_not_found")

    def test_setup_files(self, sandbox: Sandbox, tmp_path: Path) -> None:
        bad = tmp_path / "bad.yml"
        bad.write_text("attributes: {contact: [{name: x, data_type: mithril}]}")
        with pytest.raises(SandboxError, match="Data Type isn't an option"):
            sandbox.load_setup("intercom", bad)
        bad.write_text("{")
        with pytest.raises(SandboxError, match="cannot be read"):
            sandbox.load_setup("intercom", bad)


class TestJobs:
    PREVIEW = {"Intercom-Version": "Preview"}  # noqa: RUF012 - never changed

    def job(self, api: Api, request: str, *items: Any, polls: int = 1) -> str:
        plural = request.split("/")[1]
        made = api.made(request, {plural: list(items)}, headers=self.PREVIEW)
        states = [api.made(f"GET /{plural}/bulk/{made['id']}", headers=self.PREVIEW)["state"] for _ in range(polls + 1)]
        assert (made["state"], made["tasks"][0]["item_count"], states[:-1]) == (
            "running",
            len(items),
            ["running"] * polls,
        )
        return str(states[-1])

    def test_they_belong_to_the_preview_version(self, api: Api) -> None:
        assert api.refused("POST /contacts/bulk", {"contacts": []})[0] == 404

    def test_contacts(self, api: Api) -> None:
        people = [{"external_id": f"u{n}", "email": f"u{n}@example.com"} for n in range(3)]
        assert self.job(api, "POST /contacts/bulk", *people[:2]) == "completed"
        assert self.job(api, "POST /contacts/bulk", *people) == "completed_with_errors"  # two are there already
        found = {key: api.made(f"GET /contacts/find_by_external_id/{key}")["id"] for key in ("u0", "u2")}
        items = [{"id": known, "name": "N"} for known in found.values()]
        assert self.job(api, "PUT /contacts/bulk", *items) == "completed"
        assert self.job(api, "POST /contacts/bulk/delete", {"id": found["u0"]}, {"id": "5f"}) == "completed_with_errors"
        assert api.refused("GET /contacts/find_by_external_id/u0") == NOT_FOUND

    def test_an_address_in_use_is_enough_to_be_refused(self, api: Api) -> None:
        api.made("POST /contacts", {"email": "a@example.com"})
        item = {"external_id": "u1", "email": "a@example.com"}
        assert self.job(api, "POST /contacts/bulk", item) == "completed_with_errors"

    def test_companies(self, api: Api, sandbox: Sandbox) -> None:
        sandbox.configure("intercom", job_polls=0)
        assert self.job(api, "POST /companies/bulk", {"company_id": "c1", "name": "Acme"}, polls=0) == "completed"
        acme = api.made("GET /companies?company_id=c1")["id"]
        assert self.job(api, "PUT /companies/bulk", {"id": acme, "plan": "Pro"}, polls=0) == "completed"
        assert api.made(f"GET /companies/{acme}")["plan"]["name"] == "Pro"
        assert self.job(api, "POST /companies/bulk/delete", {"id": acme}, polls=0) == "completed"
        assert self.job(api, "PUT /companies/bulk", {"id": acme, "plan": "x"}, polls=0) == "completed_with_errors"

    @pytest.mark.parametrize(
        ("request_", "body", "code"),
        [
            ("POST /contacts/bulk", {}, "field_not_found"),
            ("POST /contacts/bulk", {"contacts": {}}, "type_mismatch"),
            ("POST /contacts/bulk", {"contacts": ["x"]}, "type_mismatch"),
            ("POST /contacts/bulk", {"contacts": [{}] * 101}, "parameter_invalid"),
            ("PUT /contacts/bulk", {"contacts": [{"name": "x"}]}, "field_not_found"),
        ],
    )
    def test_what_is_no_job(self, api: Api, request_: str, body: Any, code: str) -> None:
        assert api.refused(request_, body, headers=self.PREVIEW)[:2] == (422, code)

    def test_a_job_that_there_is_not(self, api: Api) -> None:
        assert api.refused("GET /contacts/bulk/job_v2_9", headers=self.PREVIEW)[:2] == (404, "job_not_found")
        more = {"contacts": [{"external_id": "u9"}], "job": {"id": "job_v2_9"}}
        assert api.refused("POST /contacts/bulk", more, headers=self.PREVIEW)[:2] == (404, "job_not_found")

    def test_a_job_that_is_done_takes_no_more(self, api: Api) -> None:
        self.job(api, "POST /contacts/bulk", {"external_id": "u1"})
        more = {"contacts": [{"external_id": "u2"}], "job": {"id": "job_v2_1"}}
        text = "job job_v2_1 is closed for new task updates"
        assert api.refused("POST /contacts/bulk", more, headers=self.PREVIEW) == (403, "forbidden", text)


class TestPages:
    def page(self, api: Api, path: str) -> str:
        response = requests.get(api.sandbox.base_url + path, timeout=5)
        assert response.status_code == 200, path
        return response.text

    def test_people_and_companies(self, api: Api) -> None:
        custom = {"seats": 1234, "vip": True, "renews_at": 1_700_000_000}
        ada = api.made("POST /contacts", {"external_id": "u1", "name": "<Ada>", "custom_attributes": custom})["id"]
        acme = api.made("POST /companies", {"company_id": "c1", "name": "Acme", "plan": "Pro"})["id"]
        api.made(f"POST /contacts/{ada}/companies", {"id": acme})
        api.made("POST /tags", {"name": "Big Fish", "users": [{"id": ada}]})
        api("POST /events", {"event_name": "did-it", "created_at": 1_700_000_000, "user_id": "u1"})
        api.made("POST /custom_object_instances/Order", {"external_id": "o1", "custom_attributes": {"total": 9.5}})
        card = self.page(api, f"/pages/intercom/contacts/{ada}")
        for text in ("&lt;Ada&gt;", "1,234", "Yes", "14 Nov 2023", "Acme", "Big Fish", "did-it", "filled by the sync"):
            assert text in card
        assert "<Ada>" not in card
        company = self.page(api, f"/pages/intercom/companies/{acme}")
        assert "People · 1" in company
        assert "Pro" in company
        assert "&lt;Ada&gt;" in self.page(api, "/pages/intercom/contacts?q=Ada")
        assert "No people match" in self.page(api, "/pages/intercom/contacts?q=nobody")
        for kind in ("companies", "events", "tags", "custom_objects/Order"):
            assert "No " not in self.page(api, f"/pages/intercom/{kind}"), kind
        assert "People" in self.page(api, "/")

    def test_what_is_gone_says_so(self, api: Api) -> None:
        ada = api.made("POST /contacts", {"external_id": "u1"})["id"]
        api.made(f"POST /contacts/{ada}/archive")
        assert "archived " in self.page(api, f"/pages/intercom/contacts/{ada}")
        api.made(f"DELETE /contacts/{ada}")
        assert "deleted " in self.page(api, f"/pages/intercom/contacts/{ada}")

    def test_nothing_there(self, api: Api) -> None:
        for path in ("contacts/5f", "nonsense"):
            assert requests.get(f"{api.sandbox.base_url}/pages/intercom/{path}", timeout=5).status_code == 404
        assert "No companies yet" in self.page(api, "/pages/intercom/companies")
