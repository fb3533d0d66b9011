"""The stand-in for Zendesk: records one at a time, who may ask, what is refused, limits."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from revetl_dbt.errors import SandboxError
from revetl_dbt.sandbox import Sandbox

from .conftest import Clock

SETUP: Mapping[str, Any] = {
    "user_fields": [
        {
            "key": "plan",
            "title": "Plan",
            "type": "dropdown",
            "custom_field_options": [{"value": "pro"}, {"value": "free"}],
        },
        {"key": "vip", "title": "VIP", "type": "checkbox", "tag": "vip_user"},
        {"key": "since", "title": "Since", "type": "date"},
        {"key": "seats", "title": "Seats", "type": "integer"},
        {"key": "spend", "title": "Spend", "type": "decimal"},
        {"key": "code", "title": "Code", "type": "regexp", "regexp_for_validation": "^[A-Z]+$"},
    ],
    "ticket_fields": [
        {"id": 360, "title": "Why", "type": "multiselect", "custom_field_options": [{"value": "a"}, {"value": "b"}]}
    ],
    "custom_objects": [
        {"key": "plan", "title": "Plan", "fields": [{"key": "seats", "title": "Seats", "type": "integer"}]}
    ],
}


class Desk:
    """Requests to the stand-in with an access token, over one connection."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.sign_in()

    def sign_in(self, **more: Any) -> None:
        response = self.token(**more)
        assert response.status_code == 200, response.text
        self.session.headers["Authorization"] = f"Bearer {response.json()['access_token']}"

    def token(self, **more: Any) -> requests.Response:
        secret = self.sandbox.token("zendesk")
        asked = {
            "grant_type": "client_credentials",
            "client_id": "sandbox",
            "client_secret": secret,
            "scope": "read write",
        }
        return self.session.post(self.sandbox.url("zendesk") + "/oauth/tokens", json={**asked, **more}, timeout=10)

    def call(self, method: str, path: str, body: Any = None, **kwargs: Any) -> requests.Response:
        url = f"{self.sandbox.url('zendesk')}/api/v2{path}"
        return self.session.request(method, url, json=body, timeout=10, **kwargs)

    def get(self, path: str, **params: str) -> Any:
        response = self.call("GET", path, params=params)
        assert response.status_code == 200, response.text
        return response.json()

    def user(self, **fields: Any) -> int:
        response = self.call("POST", "/users", {"user": {"name": "Ada", **fields}})
        assert response.status_code == 201, response.text
        return int(response.json()["user"]["id"])

    def organization(self, name: str, **fields: Any) -> int:
        response = self.call("POST", "/organizations", {"organization": {"name": name, **fields}})
        assert response.status_code == 201, response.text
        return int(response.json()["organization"]["id"])

    def results(self, response: requests.Response) -> list[dict[str, Any]]:
        """What became of a job."""
        assert response.status_code in (200, 201), response.text
        status = response.json()["job_status"]
        assert (status["status"], status["results"]) == ("queued", None)
        for _ in range(3):
            status = self.get(f"/job_statuses/{status['id']}")["job_status"]
            if status["status"] == "completed":
                return list(status["results"])
        raise AssertionError("the job does not end")


@pytest.fixture
def desk(tmp_path: Path, clock: Clock) -> Iterator[Desk]:
    path = tmp_path / "zendesk.yml"
    path.write_text(json.dumps(SETUP))
    with Sandbox(tmp_path / "state", ("zendesk",), setup={"zendesk": path}, now=clock) as sandbox:
        desk = Desk(sandbox)
        yield desk
        desk.session.close()


def refused(response: requests.Response) -> dict[str, list[str]]:
    """The reasons of a 422 by field."""
    assert response.status_code == 422, response.text
    body = response.json()
    assert (body["error"], body["description"]) == ("RecordInvalid", "Record validation errors")
    return {name: [item["description"] for item in items] for name, items in body["details"].items()}


class TestSigningIn:
    def test_a_token(self, desk: Desk, clock: Clock) -> None:
        body = desk.token().json()
        assert (body["token_type"], body["expires_in"], body["scope"]) == ("bearer", 1800, "read write")
        assert desk.call("GET", "/users/me").json()["user"]["url"].startswith("https://d3v-sandbox")
        clock.now += 1801
        expired = desk.call("GET", "/users/me")
        assert (expired.status_code, expired.json()["error"]) == (401, "invalid_token")
        desk.sign_in(expires_in=172_000)
        clock.now += 100_000
        assert desk.call("GET", "/users/me").status_code == 200

    @pytest.mark.parametrize(
        ("given", "status", "error"),
        [
            ({"client_secret": "x"}, 401, "invalid_client"),
            ({"client_id": "x"}, 401, "invalid_client"),
            ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ],
    )
    def test_no_token(self, desk: Desk, given: dict[str, Any], status: int, error: str) -> None:
        response = desk.token(**given)
        assert (response.status_code, response.json()["error"]) == (status, error)

    @pytest.mark.parametrize("seconds", [300, 172_800, "1800"])
    def test_a_lifetime_has_bounds(self, desk: Desk, seconds: Any) -> None:
        assert desk.token(expires_in=seconds).status_code == 400

    def test_scopes(self, desk: Desk) -> None:
        desk.sign_in(scope="users:read")
        assert desk.call("GET", "/users/me").status_code == 200
        response = desk.call("POST", "/users", {"user": {"name": "Ada"}})
        assert (response.status_code, response.json()["error"]["title"]) == (403, "Forbidden")

    @pytest.mark.parametrize(
        ("user", "password", "status"),
        [("a@x.test/token", None, 200), ("a@x.test", None, 401), ("a@x.test/token", "x", 401)],
    )
    def test_api_tokens(self, desk: Desk, user: str, password: str | None, status: int) -> None:
        value = base64.b64encode(f"{user}:{password or desk.sandbox.token('zendesk')}".encode()).decode()
        desk.session.headers["Authorization"] = f"Basic {value}"
        assert desk.call("GET", "/users/me").status_code == status

    @pytest.mark.parametrize("header", ["", "Basic ?", "Bearer x"])
    def test_nobody(self, desk: Desk, header: str) -> None:
        desk.session.headers["Authorization"] = header
        assert desk.call("GET", "/users/me").status_code == 401


class TestUsers:
    def test_one(self, desk: Desk) -> None:
        known = desk.user(email="Ada@x.test", external_id="A-1", user_fields={"since": "2026-12-01T10:00:00Z"})
        shown = desk.get(f"/users/{known}.json")["user"]
        assert (shown["email"], shown["external_id"], shown["role"]) == ("ada@x.test", "A-1", "end-user")
        assert shown["user_fields"]["since"] == "2026-12-01T00:00:00+00:00"
        assert (shown["user_fields"]["plan"], shown["organization_id"], shown["tags"]) == (None, None, [])
        changed = desk.call("PUT", f"/users/{known}", {"user": {"notes": "x", "nonsense": 1, "id": 5}})
        assert (changed.json()["user"]["notes"], changed.json()["user"]["id"]) == ("x", known)
        assert "nonsense" not in changed.json()["user"]
        cleared = desk.call("PUT", f"/users/{known}", {"user": {"notes": None, "user_fields": {"since": None}}}).json()
        assert (cleared["user"]["notes"], cleared["user"]["user_fields"]["since"]) == (None, None)

    def test_another_address_is_a_second_one(self, desk: Desk) -> None:
        known = desk.user(email="a@x.test")
        changed = desk.call("PUT", f"/users/{known}", {"user": {"email": "b@x.test"}})
        assert changed.json()["user"]["email"] == "a@x.test"
        again = desk.call("POST", "/users/create_or_update", {"user": {"name": "Ada", "email": "B@x.test"}})
        assert (again.status_code, again.json()["user"]["id"]) == (200, known)

    @pytest.mark.parametrize(
        ("fields", "field", "text"),
        [
            ({"name": " "}, "name", "Name: is too short (minimum is one character)"),
            ({"email": "badmail"}, "email", "Email: badmail is not properly formatted"),
            ({"email": "TAKEN@x.test"}, "email", "Email: taken@x.test is already being used by another user"),
            ({"external_id": "T"}, "external_id", "External: t has already been taken"),
            ({"role": "boss"}, "role", "Role: boss is not included in the list"),
            ({"organization_id": 9}, "organization", "Organization: 9 is invalid"),
            ({"user_fields": {"plan": "gold"}}, "plan", "Plan: gold is invalid"),
            ({"user_fields": {"since": "soon"}}, "since", "Since: soon is invalid"),
            ({"user_fields": {"since": "2026-12-01x"}}, "since", "Since: 2026-12-01x is invalid"),
            ({"user_fields": {"seats": 1.5}}, "seats", "Seats: 1.5 is invalid"),
            ({"user_fields": {"seats": True}}, "seats", "Seats: True is invalid"),
            ({"user_fields": {"spend": "much"}}, "spend", "Spend: much is invalid"),
            ({"user_fields": {"vip": "yes"}}, "vip", "VIP: yes is invalid"),
            ({"user_fields": {"code": "abc"}}, "code", "Code: abc is invalid"),
            ({"notes": {"a": 1}}, "notes", "Notes: {'a': 1} is invalid"),
        ],
    )
    def test_refused(self, desk: Desk, fields: dict[str, Any], field: str, text: str) -> None:
        desk.user(email="taken@x.test", external_id="t")
        response = desk.call("POST", "/users", {"user": {"name": "Ada", **fields}})
        assert refused(response) == {field: [text]}
        assert desk.get("/users")["count"] == 1

    def test_values_are_taken_as_texts_too(self, desk: Desk) -> None:
        given = {"seats": "3", "spend": "1.5", "vip": "true", "code": "AB"}
        shown = desk.get(f"/users/{desk.user(user_fields=given)}")["user"]["user_fields"]
        assert {name: shown[name] for name in given} == {"seats": 3, "spend": 1.5, "vip": True, "code": "AB"}

    def test_fields_add_their_tags(self, desk: Desk) -> None:
        known = desk.user(tags=["old"], user_fields={"plan": "free", "vip": True})
        assert desk.get(f"/users/{known}")["user"]["tags"] == ["old", "free", "vip_user"]
        desk.call("PUT", f"/users/{known}", {"user": {"user_fields": {"plan": "pro", "vip": False}}})
        assert desk.get(f"/users/{known}")["user"]["tags"] == ["old", "pro"]

    def test_deleted_users_are_still_shown(self, desk: Desk) -> None:
        known = desk.user(email="a@x.test", external_id="a")
        assert desk.call("DELETE", f"/deleted_users/{known}").status_code == 404
        assert desk.call("DELETE", f"/users/{known}").json()["user"]["active"] is False
        assert desk.get(f"/users/{known}")["user"]["active"] is False
        assert desk.call("PUT", f"/users/{known}", {"user": {"notes": "x"}}).status_code == 404
        assert desk.get("/users/show_many", external_ids="a")["users"] == []
        assert desk.call("DELETE", f"/deleted_users/{known}").status_code == 200
        assert desk.call("DELETE", f"/deleted_users/{known}").status_code == 404
        assert desk.user(email="a@x.test", external_id="a") != known

    def test_finding(self, desk: Desk) -> None:
        a, b = desk.user(email="a@x.test", external_id="A"), desk.user(email="b@x.test", external_id="b")
        assert [u["id"] for u in desk.get("/users/show_many", external_ids="B,a,none")["users"]] == [b, a]
        assert [u["id"] for u in desk.get("/users/show_many", ids=f"{a},9")["users"]] == [a]
        assert [u["id"] for u in desk.get("/users/search", external_id="b")["users"]] == [b]
        assert [u["id"] for u in desk.get("/users/search", query='email:"B@x.test"')["users"]] == [b]
        assert desk.get("/users/search", query="anything")["users"] == []
        many = desk.call("GET", "/users/show_many", params={"ids": ",".join(str(n) for n in range(101))})
        assert many.json() == {
            "error": "TooManyValues",
            "description": "Parameter  cannot specify more than 100 values",
            "max_count": 100,
        }
        assert desk.call("GET", "/users/show_many").status_code == 400


class TestOrganizations:
    def test_one(self, desk: Desk) -> None:
        known = desk.organization("Acme", external_id="A", domain_names=["acme.test"])
        assert desk.get(f"/organizations/{known}")["organization"]["domain_names"] == ["acme.test"]
        body = {"organization": {"external_id": "a", "notes": "x"}}
        again = desk.call("POST", "/organizations/create_or_update", body)
        assert (again.status_code, again.json()["organization"]["id"]) == (200, known)
        by_id = desk.call("POST", "/organizations/create_or_update", {"organization": {"id": known, "notes": None}})
        assert by_id.json()["organization"]["notes"] is None
        assert [o["id"] for o in desk.get("/organizations/search", name="ACME")["organizations"]] == [known]
        assert desk.call("DELETE", f"/organizations/{known}").status_code == 204
        assert desk.call("DELETE", f"/organizations/{known}").status_code == 404

    def test_names_are_unique_and_do_not_match(self, desk: Desk) -> None:
        desk.organization("Acme")
        response = desk.call("POST", "/organizations/create_or_update", {"organization": {"name": "ACME"}})
        assert refused(response) == {"name": ["Name: acme has already been taken"]}
        missing = desk.call("POST", "/organizations", {"organization": {"external_id": "b"}})
        assert refused(missing) == {"name": ["Name: cannot be blank"]}


class TestMemberships:
    def test_first_is_the_default(self, desk: Desk) -> None:
        acme, other = desk.organization("Acme"), desk.organization("Other")
        user = desk.user(organization_id=acme)
        body = {"organization_membership": {"user_id": user, "organization_id": other}}
        made = desk.call("POST", "/organization_memberships", body)
        assert (made.status_code, made.json()["organization_membership"]["default"]) == (201, None)
        assert refused(desk.call("POST", "/organization_memberships", body)) == {
            "user_id": ["User: has already been taken"]
        }
        listed = desk.get(f"/users/{user}/organization_memberships")["organization_memberships"]
        assert [(m["organization_id"], m["default"]) for m in listed] == [(acme, True), (other, None)]
        assert desk.call("DELETE", f"/users/{user}/organizations/{acme}").status_code == 204
        assert desk.get(f"/users/{user}")["user"]["organization_id"] == other
        assert desk.call("DELETE", f"/users/{user}/organizations/{acme}").status_code == 404
        known = made.json()["organization_membership"]["id"]
        assert desk.call("DELETE", f"/organization_memberships/{known}").status_code == 204
        assert desk.call("DELETE", f"/organization_memberships/{known}").status_code == 404

    def test_they_end_with_the_user_and_the_organization(self, desk: Desk) -> None:
        acme = desk.organization("Acme")
        first, second = desk.user(organization_id=acme), desk.user(organization_id=acme)
        desk.call("DELETE", f"/users/{first}")
        assert [m["user_id"] for m in desk.get("/organization_memberships")["organization_memberships"]] == [second]
        desk.call("DELETE", f"/organizations/{acme}")
        assert desk.get("/organization_memberships")["organization_memberships"] == []
        assert desk.get(f"/users/{second}")["user"]["organization_id"] is None

    def test_what_is_not_there(self, desk: Desk) -> None:
        for body in ({"user_id": 9, "organization_id": desk.organization("A")}, {"user_id": desk.user()}, None):
            assert desk.call("POST", "/organization_memberships", {"organization_membership": body}).status_code == 422


class TestTickets:
    def test_a_ticket(self, desk: Desk) -> None:
        given = {"comment": {"body": "Hi"}, "external_id": "t", "custom_fields": [{"id": 360, "value": ["a", "b"]}]}
        made = desk.call("POST", "/tickets", {"ticket": {**given, "subject": "Help"}}).json()["ticket"]
        assert (made["description"], made["status"], made["custom_fields"]) == (
            "Hi",
            "new",
            [{"id": 360, "value": ["a", "b"]}],
        )
        assert [t["id"] for t in desk.get("/tickets", external_id="t")["tickets"]] == [made["id"]]
        path = f"/tickets/{made['id']}"
        changed = desk.call("PUT", path, {"ticket": {"status": "closed", "comment": {"body": "Bye"}}})
        assert changed.json()["ticket"]["status"] == "closed"
        assert refused(desk.call("PUT", path, {"ticket": {"priority": "low"}})) == {
            "status": ["Status: closed prevents ticket update"]
        }
        assert desk.call("DELETE", path).status_code == 204
        assert desk.call("GET", path).status_code == 404
        assert desk.call("GET", "/tickets/show_many", params={"external_ids": "t"}).status_code == 400

    @pytest.mark.parametrize(
        ("ticket", "field"),
        [({"subject": "x"}, "description"), ({"comment": {"body": "x"}, "priority": "asap"}, "priority")],
    )
    def test_refused(self, desk: Desk, ticket: dict[str, Any], field: str) -> None:
        assert list(refused(desk.call("POST", "/tickets", {"ticket": ticket}))) == [field]

    @pytest.mark.off_spec("a value that is none of the field's options must be refused")
    def test_an_option_that_there_is_not(self, desk: Desk) -> None:
        ticket = {"comment": {"body": "x"}, "custom_fields": [{"id": 360, "value": ["c"]}]}
        assert refused(desk.call("POST", "/tickets", {"ticket": ticket})) == {"360": ["Why: ['c'] is invalid"]}

    def test_idempotency_keys(self, desk: Desk, clock: Clock) -> None:
        def ask(text: str) -> requests.Response:
            body = {"ticket": {"comment": {"body": text}}}
            return desk.call("POST", "/tickets", body, headers={"Idempotency-Key": "k1"})

        first, again, other = ask("a"), ask("a"), ask("b")
        assert (first.headers["x-idempotency-lookup"], again.headers["x-idempotency-lookup"]) == ("miss", "hit")
        assert first.json() == again.json()
        assert (other.status_code, other.json()["error"]) == (400, "IdempotentRequestError")
        clock.now += 7201
        desk.sign_in()
        assert ask("a").json()["ticket"]["id"] != first.json()["ticket"]["id"]


class TestTags:
    @pytest.mark.parametrize("kind", ["users", "organizations"])
    def test_set_add_and_remove(self, desk: Desk, kind: str) -> None:
        known = desk.user() if kind == "users" else desk.organization("Acme")
        path = f"/{kind}/{known}/tags"
        assert desk.call("POST", path, {"tags": ["One", "two words"]}).json() == {"tags": ["one", "two", "words"]}
        assert desk.call("PUT", path, {"tags": ["one", "x"]}).json() == {"tags": ["one", "two", "words", "x"]}
        assert desk.call("DELETE", path, {"tags": ["ONE", "none"]}).status_code == 204
        assert desk.get(path) == {"tags": ["two", "words", "x"]}
        assert desk.call("PUT", path, {"tags": "x"}).status_code == 400
        assert desk.call("PUT", f"/{kind}/9/tags", {"tags": ["x"]}).status_code == 404


class TestCustomObjects:
    PATH = "/custom_objects/plan/records"

    def test_records(self, desk: Desk) -> None:
        body = {"custom_object_record": {"name": "Pro", "custom_object_fields": {"seats": 5}}}
        made = desk.call("PATCH", self.PATH, body, params={"external_id": "p1"})
        assert made.status_code == 200
        known = made.json()["custom_object_record"]["id"]
        assert isinstance(known, str)
        again = desk.call("PATCH", self.PATH, body, params={"external_id": "p1"})
        assert (again.status_code, again.json()["custom_object_record"]["id"]) == (200, known)
        assert desk.get(self.PATH, **{"filter[external_ids]": "P1"})["custom_object_records"] == []
        found = desk.get(self.PATH, **{"filter[ids]": f"{known},x"})["custom_object_records"]
        assert [r["custom_object_fields"] for r in found] == [{"seats": 5}]
        assert desk.call("DELETE", self.PATH, params={"external_id": "p1"}).status_code == 204
        assert desk.call("DELETE", self.PATH, params={"external_id": "p1"}).status_code == 404
        assert desk.call("POST", "/custom_objects/none/records", body).status_code == 404

    def test_definitions(self, desk: Desk) -> None:
        body = {"custom_object": {"key": "car", "title": "Car"}}
        assert desk.call("POST", "/custom_objects", body).json()["custom_object"]["title_pluralized"] == "Cars"
        assert desk.call("POST", "/custom_objects", body).status_code == 422
        assert desk.call("POST", "/custom_objects", {"custom_object": {"key": "x"}}).status_code == 422
        assert [item["key"] for item in desk.get("/custom_objects")["custom_objects"]] == ["plan", "car"]


class TestFields:
    @pytest.mark.parametrize(
        ("given", "field"),
        [
            ({"key": "a"}, "title"),
            ({"key": "1", "title": "A"}, "key"),
            ({"key": "a-b", "title": "A"}, "key"),
            ({"key": "plan", "title": "A"}, "key"),
            ({"key": "a", "title": "A", "type": "datetime"}, "type"),
            ({"key": "a", "title": "A", "type": "dropdown"}, "custom_field_options"),
        ],
    )
    def test_refused(self, desk: Desk, given: dict[str, Any], field: str) -> None:
        assert list(refused(desk.call("POST", "/user_fields", {"user_field": given}))) == [field]

    def test_pages(self, desk: Desk) -> None:
        first = desk.get("/user_fields", **{"page[size]": "4"})
        assert (len(first["user_fields"]), first["meta"]["has_more"]) == (4, True)
        rest = desk.get("/user_fields", **{"page[size]": "4", "page[after]": first["meta"]["after_cursor"]})
        assert ([f["key"] for f in rest["user_fields"]], rest["meta"]["has_more"]) == (["spend", "code"], False)
        assert len(desk.get("/user_fields")["user_fields"]) == 6
        system = [f for f in desk.get("/ticket_fields")["ticket_fields"] if f.get("removable") is False]
        assert "subject" in {f["type"] for f in system}

    def test_setup_files(self, desk: Desk, tmp_path: Path) -> None:
        again = tmp_path / "again.yml"
        again.write_text(json.dumps(SETUP))
        desk.sandbox.load_setup("zendesk", again)  # what is there stays
        for text, problem in (
            ("user_field: []", "unknown key `user_field`. Did you mean `user_fields`"),
            ("user_fields: [{key: a}]", "Title: cannot be blank"),
            ("[1]", "must be a mapping"),
            ("a: [", "cannot read"),
        ):
            again.write_text(text)
            with pytest.raises(SandboxError, match=problem):
                desk.sandbox.load_setup("zendesk", again)


class TestLimits:
    def test_a_minute(self, desk: Desk, clock: Clock) -> None:
        desk.sandbox.configure("zendesk", per_minute=3, enforce_limits=True)
        answers = [desk.call("GET", "/users/me") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
        assert answers[-1].headers["Retry-After"] == answers[-1].headers["ratelimit-reset"]
        clock.now += 60
        assert desk.call("GET", "/users/me").status_code == 200

    def test_updates_of_one_user(self, desk: Desk, clock: Clock) -> None:
        desk.sandbox.configure("zendesk", enforce_limits=True)
        known, other = desk.user(), desk.user()
        path, body = f"/users/{known}", {"user": {"notes": "x"}}
        answers = [desk.call("PUT", path, body) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert answers[-1].headers["Content-Type"].startswith("text/plain")
        assert "updating a single unique user" in answers[-1].text
        assert desk.call("PUT", f"/users/{other}", body).status_code == 200
        clock.now += 61
        assert desk.call("PUT", path, body).status_code == 200


def test_other_mistakes(desk: Desk) -> None:
    for method, path, status in (
        ("GET", "/nonsense", 404),
        ("PATCH", "/users", 404),
        ("PUT", "/users/9", 404),
        ("GET", "/tickets/9", 404),
    ):
        assert desk.call(method, path).status_code == status
    for path, body in (("/users", []), ("/users", {"user": 1}), ("/user_fields", {}), ("/custom_objects", {})):
        assert desk.call("POST", path, body).status_code == 400
    broken = desk.session.post(desk.sandbox.url("zendesk") + "/api/v2/users", data="{", timeout=10)
    assert broken.json() == {"error": "Unprocessable Entity", "message": "Server could not parse JSON"}


@pytest.mark.parametrize(
    ("rule", "status", "text"),
    [
        ({"kind": "expired"}, 401, "invalid_token"),
        ({"kind": "status", "status": 401}, 401, "authenticate"),
        ({"kind": "status", "status": 403}, 403, "Forbidden"),
        ({"kind": "status", "status": 409}, 409, "Conflict"),
        ({"kind": "status", "status": 429}, 429, "TooManyRequests"),
        ({"kind": "status", "status": 429, "policy": "user"}, 429, "single unique user"),
        ({"kind": "status", "status": 429, "policy": "jobs"}, 429, "TooManyJobs"),
        ({"kind": "status", "status": 500}, 500, "InternalError"),
        ({"kind": "status", "status": 503}, 503, "Service Unavailable"),
    ],
)
def test_failures_on_request(desk: Desk, rule: dict[str, Any], status: int, text: str) -> None:
    desk.sandbox.set_faults([rule])
    response = desk.call("GET", "/users/me")
    assert response.status_code == status
    assert text in response.text
