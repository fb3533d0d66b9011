"""The stand-in for Zendesk: background jobs, pages, and that no request makes it fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from revetl_dbt.sandbox import Sandbox
from revetl_dbt.sandbox.messages import Request

from .conftest import Clock
from .test_pages import EVIL, read, text
from .test_zendesk_api import Desk, desk  # noqa: F401 - a fixture


class TestJobs:
    def test_rows_keep_their_order(self, desk: Desk) -> None:  # noqa: F811
        known = desk.user(external_id="a")
        users = [{"external_id": "A", "name": "Ada"}, {"name": ""}, {"external_id": "b", "name": "Bob"}]
        rows = desk.results(desk.call("POST", "/users/create_or_update_many", {"users": users}))
        assert rows[0] == {"id": known, "action": "update", "status": "Updated", "success": True}
        assert rows[1] == {
            "index": 1,
            "error": "UserCreateOrUpdateFailed",
            "details": "Name: is too short (minimum is one character)",
            "status": "Failed",
        }
        assert (rows[2]["status"], set(rows[2])) == ("Created", {"id", "status"})

    def test_organizations(self, desk: Desk) -> None:  # noqa: F811
        items = [{"name": "Acme"}, {"name": "acme"}]
        rows = desk.results(desk.call("POST", "/organizations/create_many", {"organizations": items}))
        assert rows[1] == {
            "index": 1,
            "error": "OrganizationCreateFailed",
            "details": "Name: acme has already been taken",
        }
        other = desk.organization("Other")
        items = [{"id": other, "name": "Acme"}, {"id": rows[0]["id"], "notes": "x"}, {"external_id": "none"}]
        rows = desk.results(desk.call("PUT", "/organizations/update_many", {"organizations": items}))
        assert (rows[0]["error"], rows[0]["id"]) == ("OrganizationUpdateFailed", other)
        assert (rows[1]["success"], rows[2]["error"]) == (True, "OrganizationNotFound")
        gone = desk.call("DELETE", "/organizations/destroy_many", params={"ids": f"{other},9"})
        assert [row.get("status") for row in desk.results(gone)] == ["Deleted", None]

    def test_users_by_external_id(self, desk: Desk) -> None:  # noqa: F811
        desk.user(external_id="a,b")
        desk.user(external_id="c")
        rows = desk.results(desk.call("DELETE", "/users/destroy_many", params={"external_ids": "c,none"}))
        assert [row.get("success") for row in rows] == [True, None]

    def test_custom_objects(self, desk: Desk) -> None:  # noqa: F811
        def run(action: str, *items: Any) -> list[dict[str, Any]]:
            body = {"job": {"action": action, "items": list(items)}}
            return desk.results(desk.call("POST", "/custom_objects/plan/jobs", body))

        (made,) = run("create", {"name": "A", "external_id": "a"})
        again = run("create_or_update_by_external_id", {"name": "A2", "external_id": "a"}, {"external_id": "b"})
        assert (again[0]["id"], again[1]["details"]) == (made["id"], "Name: cannot be blank")
        assert run("update", {"id": made["id"], "name": "A3"})[0]["success"]
        assert run("delete_by_external_id", "a")[0]["status"] == "Deleted"
        assert run("delete", made["id"])[0]["error"] == "CustomObjectRecordNotFound"
        for body in ({"job": {"action": "shred", "items": []}}, {"job": {"action": "create"}}, {}):
            assert desk.call("POST", "/custom_objects/plan/jobs", body).status_code == 400

    def test_memberships(self, desk: Desk) -> None:  # noqa: F811
        pair = {"user_id": desk.user(), "organization_id": desk.organization("Acme")}
        body = {"organization_memberships": [pair, pair]}
        rows = desk.results(desk.call("POST", "/organization_memberships/create_many", body))
        assert (rows[0]["status"], rows[1]["details"]) == ("Created", "User: has already been taken")
        gone = desk.call("DELETE", "/organization_memberships/destroy_many", params={"ids": f"{rows[0]['id']},9"})
        assert [row.get("status") for row in desk.results(gone)] == ["Deleted", None]

    def test_how_a_job_goes(self, desk: Desk, clock: Clock) -> None:  # noqa: F811
        desk.sandbox.configure("zendesk", job_polls=2)
        job = desk.call("POST", "/users/create_many", {"users": [{"name": "Ada"}, {"name": "Bob"}]}).json()[
            "job_status"
        ]
        seen = [desk.get(f"/job_statuses/{job['id']}")["job_status"] for _ in range(3)]
        assert [(s["status"], s["progress"]) for s in seen] == [("working", 1), ("working", 1), ("completed", 2)]
        assert desk.get("/job_statuses/show_many", ids=job["id"])["job_statuses"][0]["results"] == seen[2]["results"]
        slow = desk.call("POST", "/users/create_many", {"users": [{"name": "Eve"}]}).json()["job_status"]
        clock.now += 6
        assert desk.get(f"/job_statuses/{slow['id']}")["job_status"]["status"] == "completed"
        clock.now += 86_400
        desk.sign_in()
        assert desk.call("GET", f"/job_statuses/{job['id']}").status_code == 404

    def test_limits(self, desk: Desk) -> None:  # noqa: F811
        many = [{"name": "Ada"}] * 101
        assert desk.call("POST", "/users/create_many", {"users": many}).json()["error"] == "TooManyValues"
        for _ in range(30):
            assert desk.call("POST", "/users/create_many", {"users": []}).status_code == 200
        over = desk.call("POST", "/users/create_many", {"users": []})
        assert (over.status_code, over.json()["error"]) == (429, "TooManyJobs")

    def test_imports_that_are_off(self, desk: Desk) -> None:  # noqa: F811
        desk.sandbox.configure("zendesk", bulk_imports=False)
        for path in ("create_many", "create_or_update_many"):
            assert desk.call("POST", f"/users/{path}", {"users": [{"name": "Ada"}]}).status_code == 403
        known = desk.user()
        changed = desk.call("PUT", "/users/update_many", {"users": [{"id": known, "notes": "x"}]})
        assert desk.results(changed)[0]["success"]
        body = {"organizations": [{"name": "Acme"}]}
        assert desk.call("POST", "/organizations/create_many", body).status_code == 200

    def test_poison(self, desk: Desk) -> None:  # noqa: F811
        poison = {"kind": "poison", "field": "user_fields.code", "equals": "X", "message": "no X"}
        users = [{"name": "Ada"}, {"name": "Bob", "user_fields": {"code": "X"}}]
        desk.sandbox.set_faults([poison])
        rows = desk.results(desk.call("POST", "/users/create_many", {"users": users}))
        assert (rows[0]["status"], rows[1]["details"]) == ("Created", "no X")
        desk.sandbox.set_faults([{**poison, "whole_batch": True}])
        assert desk.call("POST", "/users/create_many", {"users": users}).status_code == 400
        assert desk.get("/users")["count"] == 1

    def test_state_survives(self, tmp_path: Path) -> None:
        with Sandbox(tmp_path / "again", ("zendesk",)) as first:
            one = Desk(first)
            known = one.user(external_id="a")
            job = one.call("POST", "/users/create_many", {"users": [{"name": "Bob"}]}).json()["job_status"]["id"]
        with Sandbox(tmp_path / "again", ("zendesk",)) as second:
            two = Desk(second)
            two.session.headers["Authorization"] = one.session.headers["Authorization"]
            assert two.get(f"/users/{known}")["user"]["external_id"] == "a"
            assert two.get(f"/job_statuses/{job}")["job_status"]["status"] == "working"


class TestPages:
    def test_a_user(self, desk: Desk, clock: Clock) -> None:  # noqa: F811
        acme = desk.organization("Acme GmbH")
        fields = {"plan": "pro", "since": "2026-12-01", "spend": 12345.5, "vip": True}
        known = desk.user(email="ada@x.test", organization_id=acme, user_fields=fields)
        clock.now += 60
        desk.call("PUT", f"/users/{known}", {"user": {"notes": "Pays late"}})
        page = text(read(f"{desk.sandbox.base_url}/pages/zendesk/users/{known}"))
        for expected in (
            "Ada Acme GmbH",
            "Email ada@x.test",
            "Plan pro",
            "Since 1 Dec 2026",
            "12,345.5",
            "VIP ✓ Yes",
            "vip_user",
            "Notes Pays late",
            "Events",
        ):
            assert expected in page

    def test_lists(self, desk: Desk) -> None:  # noqa: F811
        for n in range(3):
            desk.user(name=f"User {n}", user_fields={"plan": "pro"})
        base = f"{desk.sandbox.base_url}/pages/zendesk"
        page = text(read(f"{base}/users"))
        assert "User 2" in page
        assert "Plan" in page
        assert "User 1" not in text(read(f"{base}/users", q="User 2"))
        assert "No tickets yet" in text(read(f"{base}/tickets"))
        assert "Users" in text(read(base))
        assert "No plan yet" in text(read(f"{base}/custom_objects/plan"))

    def test_a_ticket_with_its_conversation(self, desk: Desk) -> None:  # noqa: F811
        known = desk.user()
        ticket = {"subject": "Help", "comment": {"body": "It broke"}, "requester_id": known}
        made = desk.call("POST", "/tickets", {"ticket": ticket})
        page = text(read(f"{desk.sandbox.base_url}/pages/zendesk/tickets/{made.json()['ticket']['id']}"))
        assert "#1 Help" in page
        assert "Conversation It broke" in page
        assert f"Requester id {known}" in page
        assert "Tickets · 1 Ticket Status Priority" in text(
            read(f"{desk.sandbox.base_url}/pages/zendesk/users/{known}")
        )

    def test_an_organization_with_its_people(self, desk: Desk) -> None:  # noqa: F811
        acme = desk.organization("Acme GmbH")
        desk.user(email="ada@x.test", organization_id=acme)
        page = text(read(f"{desk.sandbox.base_url}/pages/zendesk/organizations/{acme}"))
        for expected in ("Users · 1", "Ada ada@x.test", "No tickets yet", f"Zendesk ID {acme}"):
            assert expected in page

    def test_values_are_never_markup(self, desk: Desk) -> None:  # noqa: F811
        known = desk.user(name=EVIL, notes=EVIL, tags=["<b>"])
        for path in (f"users/{known}", "users"):
            reader = read(f"{desk.sandbox.base_url}/pages/zendesk/{path}")
            assert not [tag for tag, _ in reader.tags if tag in ("script", "b")]
            assert EVIL in text(reader)

    @pytest.mark.parametrize("path", ["users/9", "nonsense", "custom_objects/none"])
    def test_what_there_is_not(self, desk: Desk, path: str) -> None:  # noqa: F811
        assert requests.get(f"{desk.sandbox.base_url}/pages/zendesk/{path}", timeout=5).status_code == 404

    def test_a_deleted_user(self, desk: Desk) -> None:  # noqa: F811
        known = desk.user()
        desk.call("DELETE", f"/users/{known}")
        assert "deleted" in text(read(f"{desk.sandbox.base_url}/pages/zendesk/users/{known}"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = ("name", "email", "external_id", "id", "tags", "user_fields", "comment", "custom_fields", "organization_id")
RECORD = st.dictionaries(st.sampled_from(KEYS), JSON, max_size=4)
PATHS = [
    ("POST", "/users", "user"),
    ("POST", "/users/create_or_update", "user"),
    ("POST", "/organizations/create_or_update", "organization"),
    ("POST", "/tickets", "ticket"),
    ("POST", "/organization_memberships", "organization_membership"),
    ("POST", "/user_fields", "user_field"),
    ("PATCH", "/custom_objects/plan/records", "custom_object_record"),
    ("POST", "/users/create_or_update_many", "users"),
    ("PUT", "/organizations/update_many", "organizations"),
    ("POST", "/custom_objects/plan/jobs", "job"),
]


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Sandbox(tmp_path_factory.mktemp("fuzz"), ("zendesk",)) as sandbox:
        desk = Desk(sandbox)
        desk.call("POST", "/custom_objects", {"custom_object": {"key": "plan", "title": "Plan"}})
        desk.call("POST", "/user_fields", {"user_field": {"key": "a", "title": "A", "type": "integer"}})
        yield sandbox, str(desk.session.headers["Authorization"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(PATHS), record=RECORD, body=JSON, whole=st.booleans())
def test_no_body_makes_it_fail(
    lasting: tuple[Sandbox, str], place: tuple[str, str, str], record: Any, body: Any, whole: bool
) -> None:
    import json

    sandbox, token = lasting
    method, path, one = place
    content = body if whole else {one: [record] if one.endswith("s") else record}
    if one == "job" and not whole:
        content = {"job": {"action": "create", "items": [record, body]}}
    request = Request(
        method, f"/api/v2{path}", {"external_id": ["x"]}, {"authorization": token}, json.dumps(content).encode()
    )
    response = sandbox.vendor("zendesk").handle(request)
    assert response.status in (200, 201, 400, 404, 422, 429), response.encoded()
    response.encoded()
