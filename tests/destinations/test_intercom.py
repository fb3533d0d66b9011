"""The Intercom connector against the sandbox, over HTTP."""

from __future__ import annotations

import contextlib
import json
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import ValidationError

from revetl_dbt.destinations.base import (
    Batch,
    Change,
    ColumnType,
    DestinationError,
    FatalError,
    FieldInfo,
    Operation,
    Outcome,
    Pending,
    RateLimitedError,
    RetryableError,
    Status,
    UnauthorizedError,
    UnknownOutcomeError,
)
from revetl_dbt.destinations.conformance import OpenGate
from revetl_dbt.destinations.intercom import Intercom, IntercomConfig
from revetl_dbt.sandbox import Sandbox

from .stub import Answer, Stub

NOW = 1_790_000_000.0
ATTRIBUTES = [
    {"name": "seats", "data_type": "integer"},
    {"name": "tier", "data_type": "options", "options": [{"value": "free"}, {"value": "paid"}]},
    {"name": "note", "data_type": "string"},
    {"name": "orders", "data_type": "relationship"},
]
SETUP = {
    "attributes": {"contact": ATTRIBUTES, "company": ATTRIBUTES[:1]},
    "custom_objects": {"Order": [{"name": "total", "data_type": "float"}, {"name": "number", "data_type": "string"}]},
}
ADA = Change(1, (1,), {"external_id": "u1"}, {"email": "Ada@x.example", "name": "Ada", "seats": 3})
ACME = Change(1, (1,), {"company_id": "c1"}, {"name": "Acme", "plan": "Pro", "monthly_spend": 90})


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(tmp_path: Path, clock: Clock) -> Iterator[Sandbox]:
    setup = tmp_path / "intercom.yml"
    setup.write_text(json.dumps(SETUP))
    with Sandbox(tmp_path / "state", ("intercom",), setup={"intercom": setup}, now=clock) as running:
        yield running


@pytest.fixture
def gate() -> OpenGate:
    return OpenGate()


@pytest.fixture
def intercom(sandbox: Sandbox, gate: OpenGate) -> Iterator[Intercom]:
    made = connected(sandbox, gate)
    yield made
    made.close()


def connected(sandbox: Sandbox, gate: OpenGate, **settings: Any) -> Intercom:
    config = IntercomConfig(type="intercom", sandbox=True, **settings)
    return Intercom(config.in_sandbox(sandbox.url("intercom"), sandbox.token("intercom")), gate)


def batch(kind: str, operation: str, *changes: Change) -> Batch:
    return Batch(kind, Operation(operation), changes, uuid.UUID(int=7))


def write(intercom: Intercom, kind: str, operation: str, change: Change) -> Outcome:
    (outcome,) = intercom.write(batch(kind, operation, change))
    assert outcome.seq == change.seq
    return outcome


def asked(sandbox: Sandbox) -> list[str]:
    """What was requested since it was last asked."""
    lines = [f"{line.method} {line.path.removeprefix('/intercom')}" for line in sandbox.requests()]
    sandbox.reset(requests_only=True)
    return lines


def call(sandbox: Sandbox, method: str, path: str, body: Any = None) -> Any:
    """A request to the stand-in that the connector knows nothing of."""
    headers = {"Authorization": f"Bearer {sandbox.token('intercom')}"}
    response = requests.request(method, sandbox.url("intercom") + path, json=body, headers=headers, timeout=5)
    assert response.status_code < 300, response.text
    sandbox.reset(requests_only=True)
    return response.json() if response.content else None


def held(sandbox: Sandbox, kind: str, record_id: str | None) -> dict[str, Any]:
    return sandbox.store.read("intercom", kind, [record_id or ""])[record_id or ""].properties


class TestSettings:
    def test_a_token_is_needed_outside_the_sandbox(self) -> None:
        with pytest.raises(ValidationError, match=r"`access_token` is missing.*Developer Hub"):
            IntercomConfig(type="intercom")

    def test_regions_and_versions(self, gate: OpenGate) -> None:
        config = IntercomConfig(type="intercom", access_token="t0ken", region="eu", api_version="2.15")
        destination = Intercom(config, gate)
        assert destination.base_url() == "https://api.eu.intercom.io"
        assert destination.headers() == {"Intercom-Version": "2.15"}
        with pytest.raises(ValidationError, match="api_version"):
            IntercomConfig(type="intercom", access_token="t", api_version="Preview")

    def test_the_sandbox_gets_no_real_token(self) -> None:
        config = IntercomConfig(type="intercom", access_token="t0ken", sandbox=True).in_sandbox("http://x", "other")
        assert config.secrets() == ["other"]

    def test_another_workspace_is_refused(self, sandbox: Sandbox, gate: OpenGate) -> None:
        account = connected(sandbox, gate, workspace_id=sandbox.account("intercom")).check()
        assert account.id == sandbox.account("intercom")
        with pytest.raises(FatalError, match=r"opens workspace .*, not elsewhere"):
            connected(sandbox, gate, workspace_id="elsewhere").check()

    def test_where_a_person_sees_a_record(self, gate: OpenGate) -> None:
        live = Intercom(IntercomConfig(type="intercom", access_token="t", region="au"), gate)
        assert live.record_url("users", "5f") is None  # nobody has asked whose account it is
        live._workspace = "abc"
        assert live.record_url("users", "5f/?") == "https://app.au.intercom.com/a/apps/abc/users/5f%2F%3F"
        assert live.record_url("companies", "6a") == "https://app.au.intercom.com/a/apps/abc/companies/6a"
        assert live.record_url("events", "6a") is None


class TestObjects:
    @pytest.mark.parametrize(
        ("kind", "operation", "reason"),
        [
            ("users", Operation.DELETE, "`archive`, which can be taken back.*`erase`"),
            ("users", Operation.APPEND, "object `events`"),
            ("companies", Operation.ARCHIVE, "cannot bring it back: use `delete`"),
            ("companies", Operation.CREATE, "updates the one with the same `company_id`: use `upsert`"),
            ("companies", Operation.ERASE, "`delete` puts them away"),
            ("events", Operation.UPSERT, "use `append`"),
            ("contact_companies", Operation.UPDATE, "`on_removed: delete`"),
            ("tags/VIP", Operation.ARCHIVE, "use `delete`"),
            ("company_tags/VIP", Operation.ERASE, "use `delete`"),
            ("custom_objects/Order", Operation.CREATE, "use `upsert`"),
        ],
    )
    def test_what_cannot_be_done_is_explained(
        self, intercom: Intercom, kind: str, operation: Operation, reason: str
    ) -> None:
        item = intercom.object_type(kind)
        assert item is not None
        assert operation not in item.operations
        assert re.search(reason, item.unsupported[operation])

    def test_every_operation_is_either_supported_or_explained(self, intercom: Intercom, gate: OpenGate) -> None:
        names = [*(item.name for item in intercom.objects()), "tags/VIP", "company_tags/VIP", "custom_objects/Order"]
        for item in map(intercom.object_type, names):
            assert item is not None
            assert {*item.operations} | {*item.unsupported} == {*Operation}
            assert not {*item.operations} & {*item.unsupported}
        assert gate.requests == 0

    def test_names_that_there_are_not(self, intercom: Intercom) -> None:
        assert [intercom.object_type(name) for name in ("contacts", "tags/", "company_tags/", "custom_objects/")] == [
            None
        ] * 4

    def test_leads_may_be_made_twice(self, intercom: Intercom) -> None:
        users, leads = intercom.object_type("users"), intercom.object_type("leads")
        assert users is not None
        assert leads is not None
        assert users.idempotent - leads.idempotent == {Operation.UPSERT}

    def test_jobs_are_used_only_on_request(self, sandbox: Sandbox, gate: OpenGate) -> None:
        plain, jobs = connected(sandbox, gate), connected(sandbox, gate, bulk_from=500)
        assert not any(item.bulk for item in plain.objects())
        with_jobs = {item.name: item.bulk for item in jobs.objects() if item.bulk}
        assert set(with_jobs) == {"users", "companies"}
        assert {bulk.threshold for by_operation in with_jobs.values() for bulk in by_operation.values()} == {500}


class TestUsers:
    def test_create_and_update_by_id(self, sandbox: Sandbox, intercom: Intercom) -> None:
        made = write(intercom, "users", "upsert", ADA)
        assert made.status is Status.CREATED
        assert asked(sandbox) == ["POST /contacts"]
        assert held(sandbox, "contacts", made.id)["role"] == "user"
        again = write(intercom, "users", "update", ADA._replace(fields={"name": None, "seats": 4}, id=made.id))
        assert again == Outcome(1, Status.UPDATED, made.id)
        assert asked(sandbox) == [f"PUT /contacts/{made.id}"]
        values = held(sandbox, "contacts", made.id)
        assert (values.get("name"), values["seats"], values["email"]) == (None, 4, "Ada@x.example")

    def test_one_that_exists_is_updated_by_the_id_in_the_conflict(self, sandbox: Sandbox, intercom: Intercom) -> None:
        there = call(sandbox, "POST", "/contacts", {"external_id": "u1", "name": "Old"})["id"]
        outcome = write(intercom, "users", "upsert", ADA)
        assert outcome == Outcome(1, Status.UPDATED, there)
        assert asked(sandbox) == ["POST /contacts", f"PUT /contacts/{there}"]
        assert held(sandbox, "contacts", there)["name"] == "Ada"

    def test_an_address_finds_a_user_whatever_its_case(self, sandbox: Sandbox, intercom: Intercom) -> None:
        there = call(sandbox, "POST", "/contacts", {"email": "ADA@x.example"})["id"]
        outcome = write(intercom, "users", "upsert", Change(1, (1,), {"email": "ada@X.example"}, {"name": "Ada"}))
        assert (outcome.status, outcome.id) == (Status.UPDATED, there)

    def test_an_archived_one_is_brought_back(self, sandbox: Sandbox, intercom: Intercom) -> None:
        made = write(intercom, "users", "upsert", ADA)
        assert write(intercom, "users", "archive", ADA).status is Status.DELETED
        asked(sandbox)
        back = write(intercom, "users", "upsert", ADA._replace(fields={"name": "Again"}))
        assert back == Outcome(1, Status.UPDATED, made.id)
        assert asked(sandbox) == ["POST /contacts", f"POST /contacts/{made.id}/unarchive", f"PUT /contacts/{made.id}"]
        assert held(sandbox, "contacts", made.id)["name"] == "Again"

    def test_several_with_one_address_are_not_guessed_at(self, sandbox: Sandbox, intercom: Intercom) -> None:
        for key in ("a", "b"):
            call(sandbox, "POST", "/contacts", {"external_id": key, "email": "team@x.example"})
        by_email = Change(1, (1,), {"email": "team@x.example"}, {"name": "Team"})
        for operation in ("upsert", "update"):
            refused = write(intercom, "users", operation, by_email)
            assert (refused.status, refused.code) == (Status.REJECTED, "ambiguous")
            assert refused.message == "2 contacts have this `email`: match on another field"

    @pytest.mark.parametrize(
        ("match", "found", "asked"),
        [
            ({"external_id": "u1"}, {"id": "5f"}, "/contacts/find_by_external_id/u1"),
            ({"email": "a@x.example"}, {"data": [{"id": "5f"}]}, "/contacts/search"),
        ],
    )
    def test_a_conflict_that_names_nobody_is_looked_for(
        self, stub: Stub, match: dict[str, str], found: Any, asked: str
    ) -> None:
        intercom = Intercom(IntercomConfig(type="intercom", access_token="t", base_url=stub.url), OpenGate())
        conflict = Answer(409, {"errors": [{"code": "conflict", "message": "A contact like this exists"}]})
        stub.answer(conflict, Answer(200, found), Answer(200, {"id": "5f"}))
        change = Change(1, (1,), match, {"name": "Ada"})
        assert write(intercom, "users", "upsert", change) == Outcome(1, Status.UPDATED, "5f")
        assert [line.path for line in stub.asked] == ["/contacts", asked, "/contacts/5f"]
        stub.answer(conflict, Answer(200, {"data": []}) if "email" in match else Answer(404, {}))
        refused = write(intercom, "users", "upsert", change)
        assert (refused.status, refused.code, refused.message) == (
            Status.REJECTED,
            "conflict",
            "A contact like this exists",
        )
        intercom.close()

    def test_create_refuses_one_that_is_there(self, sandbox: Sandbox, intercom: Intercom) -> None:
        made = write(intercom, "users", "create", ADA)
        again = write(intercom, "users", "create", ADA)
        assert (made.status, again.status, again.code) == (Status.CREATED, Status.REJECTED, "conflict")
        assert again.message == f"A contact matching those details already exists with id={made.id}"

    @pytest.mark.parametrize("operation", ["update", "archive", "erase"])
    @pytest.mark.parametrize("match", [{"external_id": "nobody"}, {"email": "no@x.example"}, {"id": "5f00"}])
    def test_what_is_not_there_is_missing(self, intercom: Intercom, operation: str, match: dict[str, str]) -> None:
        outcome = write(intercom, "users", operation, Change(1, (1,), match, {"name": "x"}))
        assert (outcome.status, outcome.id) == (Status.MISSING, None)

    def test_one_that_went_away_is_missing(self, intercom: Intercom) -> None:
        made = write(intercom, "users", "upsert", ADA)
        assert write(intercom, "users", "erase", ADA._replace(id=made.id)).status is Status.DELETED
        gone = write(intercom, "users", "update", ADA._replace(id=made.id))
        assert (gone.status, gone.code, gone.message) == (Status.MISSING, "not_found", "User Not Found")

    def test_erased_for_good(self, sandbox: Sandbox, intercom: Intercom) -> None:
        made = write(intercom, "users", "upsert", ADA)
        assert write(intercom, "users", "archive", ADA._replace(id=made.id)).status is Status.DELETED
        assert write(intercom, "users", "erase", ADA._replace(id=made.id)).status is Status.DELETED
        fresh = write(intercom, "users", "upsert", ADA)
        assert fresh.status is Status.CREATED
        assert fresh.id != made.id

    def test_the_id_cannot_be_upserted(self, intercom: Intercom, gate: OpenGate) -> None:
        with pytest.raises(FatalError, match="assigns `id` itself"):
            write(intercom, "users", "upsert", Change(1, (1,), {"id": "5f"}, {"name": "x"}))
        assert gate.requests == 0

    def test_a_new_match_value_goes_to_the_record_that_is_known(self, sandbox: Sandbox, intercom: Intercom) -> None:
        made = write(intercom, "users", "upsert", ADA)
        write(intercom, "users", "update", ADA._replace(match={"external_id": "u9"}, fields={}, id=made.id))
        assert held(sandbox, "contacts", made.id)["external_id"] == "u9"

    @pytest.mark.parametrize(
        ("fields", "code", "message"),
        [
            ({"email": "nonsense"}, "parameter_invalid", "email is not a valid email address"),
            ({"no_such": 1}, "parameter_invalid", "Custom attribute 'no_such' does not exist"),
            ({"seats": "three"}, "type_mismatch", "seats must be an integer"),
            ({"tier": "gold"}, "parameter_invalid", "tier must be one of free, paid"),
        ],
    )
    def test_the_reason_is_intercoms(self, intercom: Intercom, fields: dict[str, Any], code: str, message: str) -> None:
        outcome = write(intercom, "users", "upsert", ADA._replace(fields=fields))
        assert (outcome.status, outcome.code, outcome.message) == (Status.REJECTED, code, message)

    def test_batches_hold_one_record(self, intercom: Intercom) -> None:
        with pytest.raises(ValueError, match="a batch of 2 exceeds the limit of 1"):
            intercom.write(batch("users", "upsert", ADA, ADA))

    @pytest.mark.parametrize("operation", ["archive", "erase"])
    def test_a_removal_that_names_no_record_is_not_believed(
        self, sandbox: Sandbox, intercom: Intercom, operation: str
    ) -> None:
        made = write(intercom, "users", "upsert", ADA)
        sandbox.set_faults([{"kind": "empty"}])
        with pytest.raises(UnknownOutcomeError, match="names no record"):
            write(intercom, "users", operation, ADA._replace(fields={}, id=made.id))
        sandbox.set_faults([])
        assert sandbox.store.read("intercom", "contacts", [made.id or ""])[made.id or ""].archived is None

    @pytest.mark.parametrize("dots", [".", "..", ""])
    def test_dots_are_no_id(self, sandbox: Sandbox, intercom: Intercom, dots: str) -> None:
        outcome = write(intercom, "users", "erase", Change(1, (1,), {"id": dots}, {}))
        assert outcome.status in (Status.REJECTED, Status.MISSING)
        assert asked(sandbox) == []


class TestLeads:
    LEAD = Change(1, (1,), {"email": "lee@x.example"}, {"name": "Lee"})

    def test_they_are_looked_for_first(self, sandbox: Sandbox, intercom: Intercom) -> None:
        made = write(intercom, "leads", "upsert", self.LEAD)
        assert asked(sandbox) == ["POST /contacts/search", "POST /contacts"]
        again = write(intercom, "leads", "upsert", self.LEAD._replace(fields={"name": "Leo"}))
        assert again == Outcome(1, Status.UPDATED, made.id)
        assert asked(sandbox) == ["POST /contacts/search", f"PUT /contacts/{made.id}"]
        assert held(sandbox, "contacts", made.id)["role"] == "lead"

    def test_users_are_none_of_them(self, sandbox: Sandbox, intercom: Intercom) -> None:
        call(sandbox, "POST", "/contacts", {"email": "lee@x.example", "role": "user"})
        assert write(intercom, "leads", "update", self.LEAD).status is Status.MISSING
        assert write(intercom, "leads", "upsert", self.LEAD).status is Status.CREATED

    def test_several_alike_are_not_guessed_at(self, sandbox: Sandbox, intercom: Intercom) -> None:
        for _ in range(2):
            call(sandbox, "POST", "/contacts", {"email": "lee@x.example", "role": "lead"})
        outcome = write(intercom, "leads", "upsert", self.LEAD)
        assert (outcome.status, outcome.code) == (Status.REJECTED, "ambiguous")

    def test_one_that_is_gone_is_made_anew(self, intercom: Intercom) -> None:
        made = write(intercom, "leads", "upsert", self.LEAD)
        write(intercom, "leads", "erase", self.LEAD._replace(id=made.id))
        assert write(intercom, "leads", "upsert", self.LEAD._replace(id=made.id)).status is Status.CREATED


class TestCompanies:
    def test_upsert_update_delete(self, sandbox: Sandbox, intercom: Intercom) -> None:
        made = write(intercom, "companies", "upsert", ACME)
        assert made.status is Status.ACCEPTED  # Intercom does not say whether it was there
        again = write(intercom, "companies", "upsert", ACME._replace(id=made.id))
        assert again == Outcome(1, Status.UPDATED, made.id)
        assert asked(sandbox) == ["POST /companies"] * 2
        change = ACME._replace(fields={"plan": "Team", "seats": 5}, id=made.id)
        assert write(intercom, "companies", "update", change) == Outcome(1, Status.UPDATED, made.id)
        assert asked(sandbox) == [f"PUT /companies/{made.id}"]
        values = held(sandbox, "companies", made.id)
        assert (values["name"], values["plan"], values["seats"]) == ("Acme", "Team", 5)
        assert write(intercom, "companies", "delete", ACME).status is Status.DELETED
        assert asked(sandbox) == ["GET /companies", f"DELETE /companies/{made.id}"]
        assert write(intercom, "companies", "delete", ACME).status is Status.MISSING
        assert write(intercom, "companies", "update", change).status is Status.MISSING

    def test_a_company_id_never_changes(self, sandbox: Sandbox, intercom: Intercom) -> None:
        made = write(intercom, "companies", "upsert", ACME)
        moved = write(intercom, "companies", "update", ACME._replace(match={"company_id": "c2"}, id=made.id))
        assert (moved.status, moved.message) == (Status.MISSING, "Intercom cannot change a `company_id`")

    def test_the_date_that_only_an_upsert_takes(self, sandbox: Sandbox, intercom: Intercom) -> None:
        dated = ACME._replace(fields={"remote_created_at": 1_600_000_000})
        assert write(intercom, "companies", "update", dated).status is Status.MISSING
        made = write(intercom, "companies", "upsert", ACME)
        assert write(intercom, "companies", "update", dated._replace(id=made.id)).status is Status.UPDATED
        assert held(sandbox, "companies", made.id)["remote_created_at"] == 1_600_000_000
        with pytest.raises(FatalError, match="needs `company_id` in `match`"):
            write(intercom, "companies", "update", dated._replace(match={"id": made.id}))

    def test_by_intercoms_id(self, sandbox: Sandbox, intercom: Intercom) -> None:
        made = write(intercom, "companies", "upsert", ACME)
        by_id = Change(1, (1,), {"id": made.id}, {"plan": "Team"})
        assert write(intercom, "companies", "update", by_id).status is Status.UPDATED
        with pytest.raises(FatalError, match="needs `company_id` in `match`"):
            write(intercom, "companies", "upsert", by_id)


class TestMemberships:
    BELONGS = Change(1, (1,), {"external_id": "u1", "company_id": "c1"}, {})

    def test_attach_and_detach(self, sandbox: Sandbox, intercom: Intercom) -> None:
        ada, acme = write(intercom, "users", "upsert", ADA), write(intercom, "companies", "upsert", ACME)
        asked(sandbox)
        outcome = write(intercom, "contact_companies", "upsert", self.BELONGS)
        assert outcome == Outcome(1, Status.ACCEPTED, f"{ada.id}:companies:{acme.id}")
        assert asked(sandbox) == [
            "GET /contacts/find_by_external_id/u1",
            "GET /companies",
            f"POST /contacts/{ada.id}/companies",
        ]
        assert held(sandbox, "contacts", ada.id)["$companies"] == [acme.id]
        assert write(intercom, "contact_companies", "upsert", self.BELONGS).status is Status.ACCEPTED
        assert asked(sandbox) == [f"POST /contacts/{ada.id}/companies"]  # both ids are known by now
        ended = write(intercom, "contact_companies", "delete", self.BELONGS._replace(id=outcome.id))
        assert ended.status is Status.DELETED
        assert asked(sandbox) == [f"DELETE /contacts/{ada.id}/companies/{acme.id}"]
        assert held(sandbox, "contacts", ada.id)["$companies"] == []
        assert write(intercom, "contact_companies", "delete", self.BELONGS).status is Status.MISSING

    @pytest.mark.parametrize("match", [{"email": "ada@x.example"}, {"contact_id": None}])
    def test_other_ways_to_name_the_contact(
        self, sandbox: Sandbox, intercom: Intercom, match: dict[str, str | None]
    ) -> None:
        ada, acme = write(intercom, "users", "upsert", ADA), write(intercom, "companies", "upsert", ACME)
        named = {name: value or ada.id for name, value in match.items()}
        change = Change(1, (1,), {**named, "company_id": "c1"}, {})
        assert write(intercom, "contact_companies", "upsert", change).id == f"{ada.id}:companies:{acme.id}"

    def test_a_contact_that_moves_leaves_its_old_company(self, sandbox: Sandbox, intercom: Intercom) -> None:
        ada = write(intercom, "users", "upsert", ADA)
        for key in ("c1", "c2"):
            write(intercom, "companies", "upsert", ACME._replace(match={"company_id": key}))
        first = write(intercom, "contact_companies", "upsert", self.BELONGS)
        moved = self.BELONGS._replace(match={"external_id": "u1", "company_id": "c2"}, id=first.id)
        second = write(intercom, "contact_companies", "upsert", moved)
        assert held(sandbox, "contacts", ada.id)["$companies"] == [str(second.id).rpartition(":")[2]]
        again = write(intercom, "contact_companies", "upsert", moved)  # what it left is over already
        assert again.status is Status.ACCEPTED

    def test_what_is_missing_is_said(self, intercom: Intercom) -> None:
        lacking = write(intercom, "contact_companies", "upsert", self.BELONGS)
        assert (lacking.status, lacking.code) == (Status.REJECTED, "lookup_missing")
        assert lacking.message == "Intercom has no contact with this row's value: sync those first"
        write(intercom, "users", "upsert", ADA)
        lacking = write(intercom, "contact_companies", "upsert", self.BELONGS)
        assert lacking.message == "Intercom has no company with this row's value: sync those first"

    def test_two_members_are_needed_and_no_fields(self, intercom: Intercom, gate: OpenGate) -> None:
        for match in ({"company_id": "c1"}, {"external_id": "u", "email": "e", "company_id": "c1"}):
            with pytest.raises(FatalError, match="match one field of the contact, and `company_id`"):
                write(intercom, "contact_companies", "upsert", Change(1, (1,), match, {}))
        with pytest.raises(FatalError, match="`contact_companies` has no fields"):
            write(intercom, "contact_companies", "upsert", self.BELONGS._replace(fields={"role": "boss"}))
        assert gate.requests == 0

    def test_tags_come_and_go(self, sandbox: Sandbox, intercom: Intercom) -> None:
        ada = write(intercom, "users", "upsert", ADA)
        asked(sandbox)
        tagged = Change(1, (1,), {"external_id": "u1"}, {})
        outcome = write(intercom, "tags/Big Fish", "upsert", tagged)
        contact, kind, tag = str(outcome.id).split(":")
        assert (outcome.status, contact, kind) == (Status.ACCEPTED, ada.id, "tags")
        assert asked(sandbox) == ["GET /contacts/find_by_external_id/u1", "POST /tags", f"POST /contacts/{ada.id}/tags"]
        assert held(sandbox, "contacts", ada.id)["$tags"] == [tag]
        assert held(sandbox, "tags", tag) == {"name": "Big Fish"}
        assert write(intercom, "tags/big fish", "delete", tagged).status is Status.DELETED
        assert held(sandbox, "contacts", ada.id)["$tags"] == []
        assert write(intercom, "tags/Big Fish", "delete", tagged._replace(id=outcome.id)).status is Status.MISSING

    def test_tags_of_companies_come_and_go(self, sandbox: Sandbox, intercom: Intercom) -> None:
        acme = write(intercom, "companies", "upsert", ACME)
        beta = write(intercom, "companies", "upsert", ACME._replace(match={"company_id": "c2"}))
        tagged = Change(1, (1,), {"company_id": "c1"}, {})
        asked(sandbox)
        outcome = write(intercom, "company_tags/Big Fish", "upsert", tagged)
        assert outcome == Outcome(1, Status.ACCEPTED, acme.id)
        assert asked(sandbox) == ["GET /companies", "POST /tags"]
        (tag,) = held(sandbox, "companies", acme.id)["$tags"]
        assert held(sandbox, "tags", tag) == {"name": "Big Fish"}
        moved = tagged._replace(match={"company_id": "c2"}, id=acme.id)
        assert write(intercom, "company_tags/big fish", "upsert", moved).id == beta.id
        assert [held(sandbox, "companies", known)["$tags"] for known in (acme.id, beta.id)] == [[], [tag]]
        assert write(intercom, "company_tags/Big Fish", "delete", moved._replace(id=beta.id)).status is Status.DELETED
        assert held(sandbox, "companies", beta.id)["$tags"] == []

    def test_a_company_that_is_not_there_carries_no_tag(self, intercom: Intercom) -> None:
        nobody = Change(1, (1,), {"company_id": "c9"}, {})
        refused = write(intercom, "company_tags/VIP", "upsert", nobody)
        assert (refused.status, refused.code) == (Status.REJECTED, "lookup_missing")
        for known in (None, "5f"):
            gone = write(intercom, "company_tags/VIP", "delete", nobody._replace(id=known))
            assert gone.status is Status.MISSING
        with pytest.raises(FatalError, match="`company_tags/VIP` has no fields"):
            write(intercom, "company_tags/VIP", "upsert", nobody._replace(fields={"name": "x"}))

    def test_an_id_of_something_else_is_no_membership(self, sandbox: Sandbox, intercom: Intercom) -> None:
        for identity in ("..:companies:..", "5f"):
            outcome = write(intercom, "contact_companies", "delete", self.BELONGS._replace(id=identity))
            assert outcome.status in (Status.MISSING, Status.REJECTED)
        assert asked(sandbox) == []


class TestEvents:
    EVENT = Change(
        1,
        (1,),
        {"external_id": "u1"},
        {"event_name": "upgraded-plan", "created_at": 1_789_000_000, "plan": "Pro", "seats": 3, "why": None},
    )

    def test_an_event_is_added_once(self, sandbox: Sandbox, intercom: Intercom) -> None:
        ada = write(intercom, "users", "upsert", ADA)
        asked(sandbox)
        for _ in range(2):
            assert write(intercom, "events", "append", self.EVENT) == Outcome(1, Status.ACCEPTED)
        assert asked(sandbox) == ["POST /events"] * 2
        (event,) = sandbox.store.scan("intercom", "events")
        assert event.properties == {
            "event_name": "upgraded-plan",
            "created_at": 1_789_000_000,
            "plan": "Pro",
            "seats": 3,
            "$contact": ada.id,
        }

    @pytest.mark.parametrize("match", [{"email": "ada@x.example"}, {"id": None}])
    def test_other_ways_to_name_the_contact(
        self, sandbox: Sandbox, intercom: Intercom, match: dict[str, str | None]
    ) -> None:
        ada = write(intercom, "users", "upsert", ADA)
        named = {name: value or ada.id for name, value in match.items()}
        assert write(intercom, "events", "append", self.EVENT._replace(match=named)).status is Status.ACCEPTED

    def test_what_is_refused(self, intercom: Intercom, gate: OpenGate) -> None:
        nobody = write(intercom, "events", "append", self.EVENT)
        assert (nobody.status, nobody.message) == (Status.REJECTED, "User Not Found")
        asked_before = gate.requests
        nameless = write(intercom, "events", "append", self.EVENT._replace(fields={"plan": "Pro"}))
        assert nameless.message == "an event needs `event_name` and `created_at`"
        many = {**self.EVENT.fields, **{f"key{n}": n for n in range(9)}}
        crowded = write(intercom, "events", "append", self.EVENT._replace(fields=many))
        assert crowded.message == "Intercom keeps 10 keys of an event, and this one has 11"
        assert gate.requests == asked_before


class TestCustomObjects:
    ORDER = Change(
        1, (1,), {"external_id": "o1"}, {"total": 9.5, "number": "N-1", "external_created_at": 1_780_000_000}
    )

    def test_upsert_read_delete(self, sandbox: Sandbox, intercom: Intercom) -> None:
        kind = "custom_objects/Order"
        made = write(intercom, kind, "upsert", self.ORDER)
        assert made.status is Status.ACCEPTED
        again = write(intercom, kind, "upsert", self.ORDER._replace(fields={"total": None}, id=made.id))
        assert again == Outcome(1, Status.UPDATED, made.id)
        (found,) = intercom.read(kind, "external_id", ["o1", "o2"], ["total", "number", "external_created_at"])
        assert (found.id, found.match) == (made.id, "o1")
        assert found.fields == {"total": None, "number": "N-1", "external_created_at": 1_780_000_000}
        assert write(intercom, kind, "delete", self.ORDER).status is Status.DELETED
        assert write(intercom, kind, "delete", self.ORDER).status is Status.MISSING

    def test_a_type_that_there_is_not(self, intercom: Intercom) -> None:
        outcome = write(intercom, "custom_objects/Invoice", "upsert", self.ORDER)
        assert (outcome.status, outcome.message) == (Status.REJECTED, "Custom object type `Invoice` not found")


class TestJobs:
    @pytest.fixture
    def jobs(self, sandbox: Sandbox, gate: OpenGate) -> Iterator[Intercom]:
        made = connected(sandbox, gate, bulk_from=1)
        yield made
        made.close()

    def run(self, intercom: Intercom, *changes: Change, kind: str = "users", operation: str = "upsert") -> Any:
        names: list[str] = []
        sent = batch(kind, operation, *changes)
        intercom.submit(sent, names.append)
        (job,) = names
        while isinstance(result := intercom.poll(sent, job), Pending):
            assert result.seconds > 0
        by_seq = {outcome.seq: outcome for outcome in result}
        assert by_seq.keys() == {change.seq for change in changes}
        return by_seq

    def people(self, count: int) -> list[Change]:
        return [Change(n, (n,), {"external_id": f"u{n}"}, {"name": f"N{n}", "seats": n}) for n in range(count)]

    def test_new_and_known_users_in_two_jobs(self, sandbox: Sandbox, jobs: Intercom) -> None:
        ada = write(jobs, "users", "upsert", ADA)
        asked(sandbox)
        outcomes = self.run(jobs, ADA._replace(fields={"name": "A"}, id=ada.id, seq=9), *self.people(3)[2:])
        assert outcomes[9] == Outcome(9, Status.UPDATED, ada.id)
        assert outcomes[2].status is Status.CREATED
        assert held(sandbox, "contacts", outcomes[2].id)["name"] == "N2"
        assert held(sandbox, "contacts", ada.id)["name"] == "A"
        lines = asked(sandbox)
        assert lines[:2] == ["PUT /contacts/bulk", "POST /contacts/bulk"]
        assert lines[-1] == "POST /contacts/search"  # for the ids of those that are new

    def test_what_a_job_does_not_say_is_found_out_one_by_one(self, sandbox: Sandbox, jobs: Intercom) -> None:
        call(sandbox, "POST", "/contacts", {"external_id": "u0", "name": "Old"})
        people = self.people(3)
        people[1] = people[1]._replace(fields={"seats": "many"})
        outcomes = self.run(jobs, *people)
        assert [outcomes[n].status for n in range(3)] == [Status.UPDATED, Status.REJECTED, Status.UPDATED]
        assert outcomes[1].message == "seats must be an integer"
        assert [line.split(" ")[0] for line in asked(sandbox) if "/bulk" not in line].count("POST") == 3

    def test_what_a_job_would_ignore_is_sent_on_its_own(self, sandbox: Sandbox, jobs: Intercom) -> None:
        ada = write(jobs, "users", "upsert", ADA)
        asked(sandbox)
        dated = ADA._replace(id=ada.id, fields={"signed_up_at": 1_700_000_000})
        cleared = ADA._replace(id=ada.id, fields={"name": None}, seq=2)
        outcomes = self.run(jobs, dated, cleared)
        assert {outcome.status for outcome in outcomes.values()} == {Status.UPDATED}
        assert asked(sandbox) == [f"PUT /contacts/{ada.id}"] * 2
        values = held(sandbox, "contacts", ada.id)
        assert (values["signed_up_at"], values.get("name")) == (1_700_000_000, None)

    def test_updates_without_an_id_are_sent_on_their_own(self, sandbox: Sandbox, jobs: Intercom) -> None:
        outcomes = self.run(jobs, ADA, operation="update")
        assert outcomes[1].status is Status.MISSING

    def test_companies(self, sandbox: Sandbox, jobs: Intercom) -> None:
        many = [ACME._replace(seq=n, match={"company_id": f"c{n}"}) for n in range(100)]
        outcomes = self.run(jobs, *many, kind="companies")
        assert {outcome.status for outcome in outcomes.values()} == {Status.ACCEPTED}
        assert asked(sandbox) == ["POST /companies/bulk", *["GET /companies/bulk/job_v2_1"] * 2]
        (found,) = jobs.read("companies", "company_id", ["c7"], ["plan"])
        updated = self.run(
            jobs, ACME._replace(id=found.id, match={"company_id": "c7"}), kind="companies", operation="update"
        )
        assert updated[1] == Outcome(1, Status.ACCEPTED, found.id)

    def test_a_job_that_is_forgotten_is_carried_out_again(self, jobs: Intercom) -> None:
        sent = batch("users", "upsert", ADA)
        outcomes = list(jobs.poll(sent, "create=job_v2_99"))  # type: ignore[arg-type]  # it does not wait
        assert [outcome.status for outcome in outcomes] == [Status.CREATED]

    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            ({"kind": "status", "status": 429, "retry_after": 3}, RateLimitedError),
            ({"kind": "status", "status": 500}, UnknownOutcomeError),
            ({"kind": "garbage"}, UnknownOutcomeError),
            ({"kind": "empty"}, UnknownOutcomeError),
        ],
    )
    def test_what_goes_wrong(
        self, sandbox: Sandbox, jobs: Intercom, fault: dict[str, Any], expected: type[DestinationError]
    ) -> None:
        names: list[str] = []
        sent = batch("users", "upsert", ADA)
        sandbox.set_faults([fault])
        with pytest.raises(expected):
            jobs.submit(sent, names.append)
        assert names == []
        sandbox.set_faults([])
        jobs.submit(sent, names.append)
        sandbox.set_faults([fault])
        with pytest.raises(expected):
            jobs.poll(sent, names[0])


class TestReading:
    def test_users(self, sandbox: Sandbox, intercom: Intercom) -> None:
        made = write(intercom, "users", "upsert", ADA._replace(fields={**ADA.fields, "avatar": "https://x.example/a"}))
        write(intercom, "leads", "upsert", Change(1, (1,), {"email": "ada@x.example"}, {}))
        (found,) = intercom.read("users", "email", ["ADA@X.EXAMPLE", "no@x.example"], ["name", "seats", "avatar", "no"])
        assert (found.id, found.match) == (made.id, "ADA@X.EXAMPLE")
        assert found.fields == {"name": "Ada", "seats": 3, "avatar": "https://x.example/a", "no": None}
        assert [item.id for item in intercom.read("users", "id", [made.id], [])] == [made.id]

    def test_a_new_user_is_found_before_a_search_finds_it(self, sandbox: Sandbox, intercom: Intercom) -> None:
        sandbox.configure("intercom", search_lag=120.0)
        made = write(intercom, "users", "upsert", ADA)
        lead = write(intercom, "leads", "create", Change(1, (1,), {"email": "l@x.example"}, {}))
        asked(sandbox)
        assert [item.id for item in intercom.read("users", "external_id", ["u1", "u2"], [])] == [made.id]
        assert asked(sandbox) == [
            "POST /contacts/search",
            "GET /contacts/find_by_external_id/u1",
            "GET /contacts/find_by_external_id/u2",
        ]
        assert list(intercom.read("users", "email", ["ada@x.example"], [])) == []  # there is no other way
        assert list(intercom.read("users", "id", [lead.id], [])) == []

    def test_pages(self, sandbox: Sandbox, intercom: Intercom) -> None:
        for n in range(160):
            call(sandbox, "POST", "/contacts", {"email": "one@x.example", "external_id": str(n)})
        assert len(list(intercom.read("users", "email", ["one@x.example"], []))) == 160
        assert asked(sandbox) == ["POST /contacts/search"] * 2

    def test_companies(self, sandbox: Sandbox, intercom: Intercom) -> None:
        made = write(intercom, "companies", "upsert", ACME)
        (found,) = intercom.read("companies", "company_id", ["c1", "c2"], ["plan", "monthly_spend"])
        assert (found.id, found.fields) == (made.id, {"plan": "Pro", "monthly_spend": 90})
        (found,) = intercom.read("companies", "id", [made.id], ["name"])
        assert found.fields == {"name": "Acme"}

    def test_nothing_asked_is_no_request(self, intercom: Intercom, gate: OpenGate) -> None:
        assert list(intercom.read("users", "email", [], [])) == []
        assert gate.requests == 0


class TestFields:
    def test_standard_and_custom_ones(self, intercom: Intercom) -> None:
        fields = {info.name: info for info in intercom.describe("users")}
        assert fields["external_id"].unique
        assert fields["email"].unique
        assert not fields["id"].writable
        assert fields["tier"].options == ("free", "paid")
        assert (fields["seats"].type, fields["note"].max_length) == ("integer", 255)
        assert "external_id" not in {info.name for info in intercom.describe("leads")}
        companies = {info.name: info for info in intercom.describe("companies")}
        assert companies["company_id"].unique
        assert "tier" not in companies

    def test_an_object_without_a_description(self, intercom: Intercom) -> None:
        with pytest.raises(FatalError, match="no object `contacts`"):
            intercom.describe("contacts")
        for name in ("events", "contact_companies", "tags/VIP"):
            with pytest.raises(NotImplementedError, match=f"does not describe the fields of `{name}`"):
                intercom.describe(name)
            with pytest.raises(NotImplementedError, match=f"`{name}` cannot be read back"):
                intercom.read(name, "id", ["5f"], [])
        with pytest.raises(FatalError, match="cannot create fields of `events`"):
            intercom.create_field("events", "x", ColumnType.TEXT)

    @pytest.mark.parametrize(
        ("column", "kind"),
        [
            (ColumnType.TEXT, "string"),
            (ColumnType.NESTED, "string"),
            (ColumnType.INTEGER, "integer"),
            (ColumnType.DECIMAL, "float"),
            (ColumnType.BOOLEAN, "boolean"),
            (ColumnType.DATE, "date"),
            (ColumnType.TIMESTAMPTZ, "datetime"),
        ],
    )
    def test_a_field_is_created_for_its_column(self, intercom: Intercom, column: ColumnType, kind: str) -> None:
        made = intercom.create_field("companies", "plan_tier", column)
        assert (made.name, made.type, made.writable) == ("plan_tier", kind, True)
        assert made in intercom.describe("companies")

    def test_a_field_that_cannot_be_created(self, intercom: Intercom) -> None:
        with pytest.raises(DestinationError, match="must only contain alphanumeric characters"):
            intercom.create_field("users", "a.b", ColumnType.TEXT)


STRING, INTEGER = FieldInfo("note", "string", max_length=5), FieldInfo("size", "integer")
SPEND, IDS = FieldInfo("monthly_spend", "integer"), FieldInfo("orders", "relationship")
MOMENT = datetime(2024, 2, 29, 23, 59, 59, 999_000, tzinfo=timezone(timedelta(hours=1)))


class TestEncoding:
    @pytest.mark.parametrize(
        ("column", "info", "value", "expected"),
        [
            (ColumnType.TEXT, None, "a", "a"),
            (ColumnType.INTEGER, None, 7, 7),
            (ColumnType.INTEGER, STRING, 7, "7"),
            (ColumnType.DECIMAL, None, Decimal("1.10"), Decimal("1.10")),
            (ColumnType.DECIMAL, STRING, Decimal("1E+3"), "1000"),
            (ColumnType.DECIMAL, INTEGER, Decimal("12.00"), 12),
            (ColumnType.FLOAT, INTEGER, 12.0, 12),
            (ColumnType.FLOAT, STRING, 0.5, "0.5"),
            (ColumnType.BOOLEAN, None, True, True),
            (ColumnType.BOOLEAN, STRING, False, "false"),
            (ColumnType.DATE, None, date(1970, 1, 2), 86_400),
            (ColumnType.DATE, FieldInfo("d", "string"), date(1970, 1, 2), "1970-01-02"),
            (ColumnType.TIMESTAMP, None, datetime(1970, 1, 1, 0, 0, 7, 900_000), 7),
            (ColumnType.TIMESTAMPTZ, None, MOMENT, 1_709_247_599),
            (ColumnType.TIMESTAMPTZ, None, datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=timezone.utc), -1),
            (ColumnType.TIMESTAMPTZ, FieldInfo("d", "string"), MOMENT, "2024-02-29T22:59:59.999Z"),
            (ColumnType.TIME, None, time(7, 30), "07:30:00"),
            (ColumnType.NESTED, None, {"a": [1]}, '{"a":[1]}'),
            (
                ColumnType.NESTED,
                None,
                {"url": "https://x.example", "value": "x"},
                {"url": "https://x.example", "value": "x"},
            ),
            (ColumnType.NESTED, IDS, [7, None, "8"], ["7", "8"]),
        ],
    )
    def test_values(
        self, intercom: Intercom, column: ColumnType, info: FieldInfo | None, value: Any, expected: Any
    ) -> None:
        encoded = intercom.encoder(column, info)(value)
        assert (encoded, type(encoded)) == (expected, type(expected))

    @pytest.mark.parametrize(
        ("column", "info", "value", "reason"),
        [
            (ColumnType.TEXT, STRING, "abcdef", "keeps 5 characters of this attribute, and the value has 6"),
            (ColumnType.DECIMAL, INTEGER, Decimal("155.98"), "would cut the fraction off: round it in SQL"),
            (ColumnType.FLOAT, SPEND, 2.0**31, "takes at most 2147483647 here"),
            (ColumnType.FLOAT, None, float("nan"), "nan is not a number that can be sent"),
        ],
    )
    def test_what_has_no_representation(
        self, intercom: Intercom, column: ColumnType, info: FieldInfo, value: Any, reason: str
    ) -> None:
        with pytest.raises(ValueError, match=reason):
            intercom.encoder(column, info)(value)

    def test_null_clears(self, sandbox: Sandbox, intercom: Intercom) -> None:
        made = write(intercom, "users", "upsert", ADA._replace(fields={**ADA.fields, "phone": None, "note": None}))
        cleared = dict.fromkeys(("email", "name", "seats"))
        assert write(intercom, "users", "update", ADA._replace(fields=cleared, id=made.id)).status is Status.UPDATED
        values = {name: value for name, value in held(sandbox, "contacts", made.id).items() if not name.startswith("$")}
        assert values == {"role": "user", "external_id": "u1", "unsubscribed_from_emails": False}


class TestFailures:
    @pytest.mark.parametrize(
        ("fault", "expected", "code"),
        [
            ({"kind": "status", "status": 401}, UnauthorizedError, "unauthorized"),
            ({"kind": "expired"}, UnauthorizedError, "token_expired"),
            ({"kind": "status", "status": 403}, FatalError, "api_plan_restricted"),
            ({"kind": "status", "status": 406}, FatalError, "client_error"),
            ({"kind": "status", "status": 408}, RetryableError, "request_timeout"),
            ({"kind": "status", "status": 500}, UnknownOutcomeError, "server_error"),
            ({"kind": "status", "status": 503}, RetryableError, "service_unavailable"),
            ({"kind": "garbage", "status": 502}, UnknownOutcomeError, "502"),
            ({"kind": "garbage", "body": "broken"}, UnknownOutcomeError, None),
        ],
    )
    def test_of_a_request(
        self,
        sandbox: Sandbox,
        intercom: Intercom,
        fault: dict[str, Any],
        expected: type[DestinationError],
        code: str | None,
    ) -> None:
        sandbox.set_faults([fault])
        with pytest.raises(expected) as caught:
            write(intercom, "users", "upsert", ADA)
        assert type(caught.value) is expected
        assert caught.value.code == code
        assert (caught.value.request_id is None) == (fault["kind"] == "garbage")

    def test_a_rate_limit_says_when_to_go_on(self, sandbox: Sandbox, intercom: Intercom, clock: Clock) -> None:
        clock.now = NOW + 4
        sandbox.set_faults([{"kind": "status", "status": 429, "times": 1}])
        with pytest.raises(RateLimitedError, match="Exceeded rate limit of 1667 in 10_seconds") as caught:
            write(intercom, "users", "upsert", ADA)
        assert caught.value.retry_after == 6.0

    def test_the_limits_are_followed(self, sandbox: Sandbox, intercom: Intercom, gate: OpenGate, clock: Clock) -> None:
        sandbox.configure("intercom", ten_seconds=2, enforce_limits=True)
        clock.now = NOW + 3
        intercom.check()
        intercom.check()
        assert [(budget.remaining, budget.resets_after) for budget in gate.budgets] == [(1, 7.0), (0, 7.0)]
        with pytest.raises(RateLimitedError):
            intercom.check()
        clock.now = NOW + 10
        assert intercom.check().id

    def test_a_token_is_not_renewed(self, intercom: Intercom) -> None:
        assert intercom.renew() is False  # Intercom's access tokens do not expire

    @pytest.mark.parametrize(
        "body",
        [
            *(b"null", b"[]", b"7", b'"x"', b"{}", b'{"id":null}', b'{"id":{"a":1}}', b'{"id":""}', b'{"id":"5f"}'),
            *(b'{"data":7}', b'{"data":[7]}', b'{"data":[{}]}', b'{"data":[{"id":{}}]}', b'{"data":[],"pages":"x"}'),
            *(
                b'{"data":[{"name":"x","custom":1,"options":7}]}',
                b'{"state":7}',
                b'{"app":"x"}',
                b'{"app":{"id_code":7}}',
            ),
            b'{"data":[{"id":"5f","email":7}],"pages":{"next":{"starting_after":"x"}}}',
        ],
    )
    @pytest.mark.parametrize("status", [200, 202, 400, 409, 500])
    def test_answers_that_nobody_expects(self, stub: Stub, status: int, body: bytes) -> None:
        config = IntercomConfig(type="intercom", access_token="t", base_url=stub.url, bulk_from=1)
        intercom = Intercom(config, OpenGate())
        stub.answer(Answer(status, body))
        member = Change(1, (1,), {"email": "a@x.example", "company_id": "c"}, {})
        event = Change(1, (1,), {"id": "5f"}, {"event_name": "e", "created_at": 1})
        sent = batch("users", "upsert", ADA)
        calls: list[Callable[[], object]] = [
            intercom.check,
            lambda: intercom.describe("users"),
            lambda: intercom.create_field("users", "x", ColumnType.TEXT),
            lambda: list(intercom.read("users", "email", ["a@x.example"], ["name", "x"])),
            lambda: list(intercom.read("companies", "company_id", ["c"], ["plan"])),
            *(partial(write, intercom, "users", name, ADA) for name in ("upsert", "update", "create", "archive")),
            partial(write, intercom, "leads", "upsert", Change(1, (1,), {"email": "a@x.example"}, {})),
            *(partial(write, intercom, "companies", name, ACME) for name in ("upsert", "update", "delete")),
            *(partial(write, intercom, "contact_companies", name, member) for name in ("upsert", "delete")),
            partial(write, intercom, "tags/VIP", "upsert", Change(1, (1,), {"id": "5f"}, {})),
            partial(write, intercom, "events", "append", event),
            partial(write, intercom, "custom_objects/Order", "upsert", TestCustomObjects.ORDER),
            lambda: intercom.submit(sent, lambda _: None),
            lambda: intercom.poll(sent, "create=job_v2_1"),
        ]
        for call in calls:
            with contextlib.suppress(DestinationError):
                call()
        intercom.close()

    @pytest.mark.parametrize("code", ["too_many_requests", "retry_after", "request_timeout", "service_unavailable"])
    def test_a_record_that_is_refused_for_a_passing_reason_is_sent_again(self, stub: Stub, code: str) -> None:
        intercom = Intercom(IntercomConfig(type="intercom", access_token="t", base_url=stub.url), OpenGate())
        stub.answer(Answer(422, {"errors": [{"code": code, "message": "not now"}]}))
        outcome = write(intercom, "users", "create", ADA)
        assert (outcome.status, outcome.code, outcome.message) == (Status.RETRY, code, "not now")
        assert stub.last.headers["Intercom-Version"] == "2.16"
        intercom.close()

    def test_an_update_that_conflicts_is_refused(self, intercom: Intercom) -> None:
        write(intercom, "users", "upsert", ADA)
        other = write(intercom, "users", "upsert", ADA._replace(match={"external_id": "u2"}))
        outcome = write(intercom, "users", "update", ADA._replace(id=other.id))
        assert (outcome.status, outcome.code) == (Status.REJECTED, "conflict")
