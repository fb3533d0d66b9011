"""The Zendesk connector against the sandbox, over HTTP; answers that the sandbox does not give come from a stub."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from revetl_dbt.destinations import zendesk as module
from revetl_dbt.destinations.base import (
    Batch,
    BatchRejectedError,
    Budget,
    Change,
    ColumnType,
    DestinationError,
    FatalError,
    FieldInfo,
    Found,
    Operation,
    Outcome,
    Pending,
    RateLimitedError,
    RetryableError,
    Status,
    UnauthorizedError,
    UnknownOutcomeError,
)
from revetl_dbt.destinations.zendesk import Zendesk, ZendeskConfig
from revetl_dbt.sandbox import Sandbox
from revetl_dbt.sandbox.store import Record

from .stub import Answer, Asked, OpenGate, Stub

time_of_day = module.time.monotonic
NAMESPACE = uuid.UUID(int=7)
SETUP = {
    "user_fields": [
        {
            "key": "plan",
            "title": "Plan",
            "type": "dropdown",
            "custom_field_options": [{"value": "pro"}, {"value": "free"}],
        },
        {"key": "spend", "title": "Spend", "type": "decimal"},
        {"key": "renews", "title": "Renews on", "type": "date"},
    ],
    "organization_fields": [{"key": "tier", "title": "Tier", "type": "text"}],
    "ticket_fields": [
        {"id": 360, "title": "Reason", "type": "text"},
        {
            "id": 361,
            "title": "Areas",
            "type": "multiselect",
            "custom_field_options": [{"value": "api"}, {"value": "billing"}],
        },
    ],
    "custom_objects": [
        {"key": "plan", "title": "Plan", "fields": [{"key": "seats", "title": "Seats", "type": "integer"}]}
    ],
}
NEW = {"name": "Ada"}


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """A sandbox and connectors to it."""

    def __init__(self, sandbox: Sandbox, clock: Clock) -> None:
        self.sandbox, self.clock = sandbox, clock
        self.gate = OpenGate()
        self.made: list[Zendesk] = []
        self.zendesk = self.connect()

    def connect(self, **settings: Any) -> Zendesk:
        config = ZendeskConfig(type="zendesk", sandbox=True)
        config = config.in_sandbox(self.sandbox.url("zendesk"), self.sandbox.token("zendesk"))
        self.made.append(Zendesk(config.model_copy(update=settings), self.gate))
        return self.made[-1]

    def write(self, kind: str, operation: str, *changes: Change) -> dict[int, Outcome]:
        return by_seq(self.zendesk.write(batch(kind, operation, *changes)), changes)

    def job(self, kind: str, operation: str, *changes: Change) -> dict[int, Outcome]:
        return finished(self.zendesk, batch(kind, operation, *changes))

    def user(self, key: str, **fields: Any) -> str:
        """Create a user; its id."""
        outcome = self.write("users", "upsert", Change(1, (key,), {"external_id": key}, {"name": key, **fields}))[1]
        assert outcome.id is not None
        return outcome.id

    def organization(self, key: str) -> str:
        change = Change(1, (key,), {"external_id": key}, {"name": f"Company {key}"})
        return str(self.write("organizations", "upsert", change)[1].id)

    def held(self, kind: str, record_id: str | None) -> dict[str, Any]:
        return self.record(kind, record_id).properties

    def record(self, kind: str, record_id: str | None) -> Record:
        return self.sandbox.store.read("zendesk", kind, [str(record_id)])[str(record_id)]

    def sent(self) -> list[tuple[str, str]]:
        """Method and path of what was asked since the last time, without tokens and questions for jobs."""
        asked = [(r.method, r.path.removeprefix("/zendesk/api/v2")) for r in self.sandbox.requests()]
        self.sandbox.reset(requests_only=True)
        return [item for item in asked if "oauth" not in item[1] and "job_statuses" not in item[1]]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    setup, clock = tmp_path / "setup.yml", Clock()
    setup.write_text(json.dumps(SETUP))
    with Sandbox(tmp_path / "state", ("zendesk",), setup={"zendesk": setup}, now=clock) as sandbox:
        desk = Desk(sandbox, clock)
        yield desk
        for made in desk.made:
            made.close()


@pytest.fixture
def stubbed(stub: Stub) -> Iterator[Zendesk]:
    config = ZendeskConfig(
        type="zendesk", subdomain="acme", base_url=stub.url, access_token="t0ken", job_seconds=3, user_seconds=0
    )
    made = Zendesk(config, OpenGate())
    yield made
    made.close()


def batch(kind: str, operation: str, *changes: Change) -> Batch:
    return Batch(kind, Operation(operation), changes, NAMESPACE)


def by_seq(outcomes: Any, changes: Any) -> dict[int, Outcome]:
    listed = list(outcomes)
    assert sorted(outcome.seq for outcome in listed) == sorted(change.seq for change in changes)
    return {outcome.seq: outcome for outcome in listed}


def begun(zendesk: Zendesk, given: Batch) -> str:
    jobs: list[str] = []
    zendesk.submit(given, jobs.append)
    (job,) = jobs
    return job


def ended(zendesk: Zendesk, given: Batch, job: str) -> dict[int, Outcome]:
    for _ in range(50):
        answer = zendesk.poll(given, job)
        if not isinstance(answer, Pending):
            return by_seq(answer, given.changes)
    raise AssertionError("the job does not end")


def finished(zendesk: Zendesk, given: Batch) -> dict[int, Outcome]:
    return ended(zendesk, given, begun(zendesk, given))


def users(*keys: str, **fields: Any) -> list[Change]:
    return [Change(n, (key,), {"external_id": key}, {"name": key, **fields}) for n, key in enumerate(keys)]


class TestSigningIn:
    def test_a_token_is_fetched_once_and_renewed_after_it_was_refused(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.user("a")
        desk.user("b")
        assert [r.path for r in desk.sandbox.requests()].count("/zendesk/oauth/tokens") == 1
        desk.clock.now += 3600
        monkeypatch.setattr(module.time, "monotonic", lambda: time_of_day() + 10)
        with pytest.raises(UnauthorizedError, match="expired"):
            desk.user("c")
        assert desk.zendesk.renew()
        desk.user("c")

    def test_a_token_is_renewed_before_it_ends(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 1000.0
        monkeypatch.setattr(module.time, "monotonic", lambda: now)
        desk.user("a")
        now += 1800 - 50
        desk.user("b")
        assert [r.path for r in desk.sandbox.requests()].count("/zendesk/oauth/tokens") == 2

    def test_threads_that_are_refused_together_renew_once(self) -> None:
        fetched = []
        login = module._Login(lambda: (fetched.append(1), ("t", 1800.0))[1])
        login.renew()
        login.renew()
        assert len(fetched) == 1

    def test_a_client_that_is_not_known(self, desk: Desk) -> None:
        wrong = desk.connect(client_secret=module.SecretStr("wr0ng"))
        with pytest.raises(UnauthorizedError, match="refuses the OAuth client: Client authentication failed") as caught:
            wrong.check()
        assert "wr0ng" not in str(caught.value)

    @pytest.mark.parametrize(
        "answer", [Answer(500), Answer(200, b"<html>"), Answer(200, {}), Answer(503), Answer(200, b"")]
    )
    def test_without_a_token_nothing_was_written(self, stub: Stub, answer: Answer) -> None:
        stub.answer(answer)
        config = ZendeskConfig(type="zendesk", base_url=stub.url, client_id="c", client_secret="s3cret")
        with pytest.raises(RetryableError) as caught:
            list(Zendesk(config, OpenGate()).write(batch("users", "upsert", *users("a"))))
        assert [asked.path for asked in stub.asked] == ["/oauth/tokens"]
        assert "s3cret" not in str(caught.value)

    def test_an_api_token_still_works_and_says_until_when(self, desk: Desk) -> None:
        secret = module.SecretStr(str(desk.sandbox.token("zendesk")))
        legacy = desk.connect(client_secret=None, api_token=secret, email="admin@x.test")
        assert legacy.check().id == desk.sandbox.account("zendesk")
        desk.sandbox.set_faults([{"kind": "status", "status": 401}])
        with pytest.raises(UnauthorizedError, match="end on 2027-04-30"):
            legacy.check()
        assert not legacy.renew()

    def test_the_request_for_a_token(self, stub: Stub) -> None:
        stub.answer(Answer(200, {"access_token": "t1", "expires_in": 1800}), Answer(200, {"user": {"id": 1}}))
        config = ZendeskConfig(type="zendesk", base_url=stub.url, client_id="c", client_secret="s", scope="users:write")
        Zendesk(config, OpenGate()).check()
        assert stub.asked[0].json == {
            "grant_type": "client_credentials",
            "client_id": "c",
            "client_secret": "s",
            "scope": "users:write",
        }
        assert stub.asked[1].headers["Authorization"] == "Bearer t1"

    def test_a_token_without_the_scope_to_write(self, desk: Desk) -> None:
        with pytest.raises(FatalError, match="does not have the scope `write`"):
            list(desk.connect(scope="read").write(batch("users", "upsert", *users("a"))))


class TestConfig:
    CLIENT: ClassVar = {"client_id": "c", "client_secret": "s"}

    @pytest.mark.parametrize(
        ("given", "problem"),
        [
            ({"subdomain": "acme"}, "one way to sign in"),
            ({"subdomain": "acme", "client_id": "c"}, "one way to sign in"),
            ({"subdomain": "acme", "client_id": "c", "access_token": "t"}, "one way to sign in"),
            ({"subdomain": "acme", "email": "a@x.test"}, "one way to sign in"),
            ({"subdomain": "acme", "access_token": "t", "email": "a@x.test", "api_token": "k"}, "one way to sign in"),
            (CLIENT, "`subdomain` is missing"),
            ({"subdomain": "https://acme.zendesk.com", **CLIENT}, "subdomain"),
            ({"subdomain": "acme", **CLIENT, "passwort": "x"}, "passwort"),
        ],
    )
    def test_mistakes(self, given: dict[str, Any], problem: str) -> None:
        with pytest.raises(ValidationError, match=problem):
            ZendeskConfig(type="zendesk", **given)

    def test_secrets_do_not_show(self) -> None:
        config = ZendeskConfig(type="zendesk", subdomain="acme", email="a@x.test", api_token="k3y")
        assert config.secrets() == ["k3y"]
        assert "k3y" not in repr(config) + repr(Zendesk(config, OpenGate()))

    def test_api_tokens_come_with_a_warning_and_then_with_a_refusal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        legacy = ZendeskConfig(type="zendesk", subdomain="acme", email="a@x.test", api_token="k3y")
        modern = ZendeskConfig(type="zendesk", subdomain="acme", **self.CLIENT)
        assert ["2027-04-30" in text for text in legacy.warnings()] == [True]
        assert not [*modern.warnings(), *legacy.problems("prod"), *modern.problems("prod")]
        monkeypatch.setattr(module, "API_TOKENS_END", date(2020, 1, 1))
        assert [text.startswith("Zendesk turned API tokens off") for text in legacy.problems("prod")] == [True]

    def test_the_vendors_own_host(self) -> None:
        config = ZendeskConfig(type="zendesk", subdomain="acme", **self.CLIENT)
        assert Zendesk(config, OpenGate()).base_url() == "https://acme.zendesk.com"
        with pytest.raises(FatalError, match="no sandbox is running"):
            Zendesk(ZendeskConfig(type="zendesk", sandbox=True), OpenGate())

    def test_objects(self, desk: Desk) -> None:
        names = [kind.name for kind in desk.zendesk.objects()]
        assert names == [
            "users",
            "organizations",
            "organization_memberships",
            "tickets",
            "user_tags",
            "organization_tags",
            "ticket_tags",
        ]
        assert desk.zendesk.object_type("custom_objects/plan") is not None
        for name in ("custom_objects/", "custom_objects/a/b", "plan", "macros"):
            assert desk.zendesk.object_type(name) is None

    def test_the_account_and_its_pages(self, stub: Stub, stubbed: Zendesk) -> None:
        stub.answer(Answer(200, {"user": {"id": 5, "url": "https://acme2.zendesk.com/api/v2/users/5.json"}}))
        assert stubbed.check().id == "acme2"
        assert stubbed.record_url("users", "5") == "https://acme.zendesk.com/agent/users/5"
        assert stubbed.record_url("ticket_tags", "5") == "https://acme.zendesk.com/agent/tickets/5"
        url = stubbed.record_url("custom_objects/plan", "01J")
        assert url == "https://acme.zendesk.com/agent/custom-objects/plan/records/01J"
        assert stubbed.record_url("users", "../5") is None
        assert stubbed.record_url("organization_memberships", "5") is None

    @pytest.mark.parametrize(
        ("body", "error"), [({"user": {"id": None}}, UnauthorizedError), ({}, UnknownOutcomeError)]
    )
    def test_nobody_is_signed_in(self, stub: Stub, stubbed: Zendesk, body: Any, error: type[Exception]) -> None:
        stub.answer(Answer(200, body))
        with pytest.raises(error):
            stubbed.check()


class TestUsers:
    def test_upsert_creates_and_updates(self, desk: Desk) -> None:
        organization = desk.organization("acme")
        fields = {
            "name": "Ada",
            "email": "Ada@x.test",
            "organization_id": organization,  # as a lookup gives it: text
            "user_fields.plan": "pro",
            "user_fields.spend": Decimal("1.50"),
            "user_fields.renews": "2026-12-01",
        }
        ada = Change(1, ("a",), {"external_id": "A-1"}, fields)
        created = desk.write("users", "upsert", ada)[1]
        assert created.status is Status.CREATED
        held = desk.held("users", created.id)
        assert (held["email"], held["organizations"], held["tags"]) == ("ada@x.test", [organization], ["pro"])
        assert held["user_fields"] == {"plan": "pro", "spend": 1.5, "renews": "2026-12-01"}
        again = desk.write("users", "upsert", ada._replace(match={"external_id": "a-1"}))[1]
        assert again == Outcome(1, Status.UPDATED, created.id)
        assert desk.held("users", created.id)["external_id"] == "a-1"  # the case of the last one is kept

    def test_new_users_are_not_asked_to_verify_their_address(self, stub: Stub, stubbed: Zendesk) -> None:
        stub.answer(Answer(201, {"user": {"id": 7}}))
        list(stubbed.write(batch("users", "upsert", *users("a"))))
        assert stub.last.path == "/api/v2/users/create_or_update"
        assert stub.last.json == {"user": {"external_id": "a", "name": "a", "skip_verify_email": True}}

    def test_zendesk_may_be_let_ask(self, stub: Stub) -> None:
        stub.answer(Answer(201, {"user": {"id": 7}}))
        config = ZendeskConfig(type="zendesk", base_url=stub.url, access_token="t", verify_emails=True)
        list(Zendesk(config, OpenGate()).write(batch("users", "create", *users("a"))))
        assert stub.last.json == {"user": {"external_id": "a", "name": "a"}}

    def test_refused_in_words(self, desk: Desk) -> None:
        bad = Change(1, (1,), {"external_id": "a"}, {"name": "Ada", "email": "badmail"})
        outcome = desk.write("users", "upsert", bad)[1]
        assert outcome == Outcome(1, Status.REJECTED, None, "RecordInvalid", "Email: badmail is not properly formatted")
        wrong = Change(1, (1,), {"external_id": "a"}, {"name": "Ada", "user_fields.plan": "gold"})
        assert desk.write("users", "upsert", wrong)[1].message == "Plan: gold is invalid"

    def test_the_organization_of_a_user_is_the_only_one_and_null_ends_it(self, desk: Desk) -> None:
        acme, beta = desk.organization("acme"), desk.organization("beta")
        known = desk.user("a", organization_id=acme)
        pair = {"user_external_id": "a", "organization_external_id": "beta"}
        joined = Change(1, ("a", "beta"), pair, {})
        for send in (desk.write, desk.job):
            assert desk.write("organization_memberships", "upsert", joined)[1].status is Status.CREATED
            send("users", "update", users("a")[0]._replace(fields={"notes": "VIP"}))
            assert desk.held("users", known)["organizations"] == [acme, beta]
            send("users", "update", users("a")[0]._replace(fields={"organization_id": beta}))
            assert desk.held("users", known)["organizations"] == [beta]
            send("users", "upsert", users("a", organization_id=None)[0])
            assert desk.held("users", known)["organizations"] == []
            (found,) = desk.zendesk.read("users", "external_id", ["a"], ["organization_id"])
            assert found.fields == {"organization_id": None}
            desk.write("users", "upsert", users("a", organization_id=acme)[0])

    @pytest.mark.parametrize("match", [{"external_id": "a"}, {"email": "a@x.test"}])
    def test_update_finds_the_record(self, desk: Desk, match: dict[str, Any]) -> None:
        known = desk.user("a", email="a@x.test")
        desk.sent()
        change = Change(1, (1,), match, {"notes": "VIP"})
        assert desk.write("users", "update", change)[1] == Outcome(1, Status.UPDATED, known)
        assert desk.sent()[-1] == ("PUT", f"/users/{known}")
        desk.write("users", "update", change._replace(id=known, fields={"notes": None}))
        assert desk.sent() == [("PUT", f"/users/{known}")]
        assert "notes" not in desk.held("users", known)

    def test_what_is_not_there_is_missing(self, desk: Desk) -> None:
        for operation in ("update", "delete", "erase"):
            for change in (*users("gone"), *(users("gone")[0]._replace(id=known) for known in ("99", "../9", "x9"))):
                assert desk.write("users", operation, change)[0].status is Status.MISSING
        assert not [path for _, path in desk.sent() if ".." in path]

    def test_delete_and_erase(self, desk: Desk) -> None:
        first, second = desk.user("a", email="a@x.test"), desk.user("b", email="b@x.test")
        assert desk.write("users", "delete", users("a")[0])[0].status is Status.DELETED
        assert desk.held("users", first)["email"] == "a@x.test"  # agents can still see it
        for known in (first, second):
            assert desk.write("users", "erase", users("x")[0]._replace(id=known))[0].status is Status.DELETED
            assert desk.held("users", known) == {"name": "Permanently Deleted User", "erased": True}

    def test_an_upsert_needs_something_to_tell_by(self, desk: Desk) -> None:
        for match in ({}, {"id": 7}, {"external_id": ""}):
            for send in (desk.write, desk.job):
                with pytest.raises(FatalError, match="match on `external_id`"):
                    send("users", "upsert", Change(1, (1,), match, NEW))

    def test_one_at_a_time(self, desk: Desk) -> None:
        with pytest.raises(ValueError, match="exceeds the limit"):
            desk.zendesk.write(batch("users", "upsert", *users("a", "b")))


class TestOrganizations:
    def test_upsert_update_delete(self, desk: Desk) -> None:
        known = desk.organization("acme")
        assert desk.organization("ACME") == known
        change = Change(1, (1,), {"external_id": "acme"}, {"organization_fields.tier": "gold"})
        assert desk.write("organizations", "update", change)[1] == Outcome(1, Status.UPDATED, known)
        assert desk.held("organizations", known)["organization_fields"] == {"tier": "gold"}
        assert desk.write("organizations", "delete", change)[1].status is Status.DELETED
        assert not list(desk.zendesk.read("organizations", "external_id", ["acme"], []))

    def test_a_name_that_another_has(self, desk: Desk) -> None:
        desk.organization("acme")
        taken = Change(1, (1,), {"external_id": "other"}, {"name": "company ACME"})
        outcome = desk.write("organizations", "upsert", taken)[1]
        assert (outcome.status, outcome.message) == (Status.REJECTED, "Name: company acme has already been taken")

    def test_by_name(self, desk: Desk) -> None:
        known = desk.organization("acme")
        change = Change(1, (1,), {"name": "company ACME"}, {"notes": "VIP"})
        desk.sent()
        assert desk.write("organizations", "upsert", change)[1] == Outcome(1, Status.UPDATED, known)
        assert desk.sent() == [("GET", "/organizations/search"), ("PUT", f"/organizations/{known}")]
        assert desk.held("organizations", known)["notes"] == "VIP"
        made = desk.write("organizations", "upsert", change._replace(match={"name": "Beta"}))[1]
        assert (made.status, desk.held("organizations", made.id)["name"]) == (Status.CREATED, "Beta")
        many = [
            Change(n, (n,), {"name": name}, {"notes": "new"}) for n, name in enumerate(("beta", "Company Acme", "C"))
        ]
        outcomes = desk.job("organizations", "upsert", *many)
        assert [outcome.id for outcome in outcomes.values()][:2] == [made.id, known]
        assert [outcome.status for outcome in outcomes.values()] == [Status.UPDATED, Status.UPDATED, Status.CREATED]

    def test_a_name_that_was_given_in_the_meantime_is_found_next_time(self, stub: Stub, stubbed: Zendesk) -> None:
        taken = {"name": [{"description": "Name: Beta has already been taken"}]}
        stub.answer(Answer(200, {"organizations": []}), Answer(422, {"error": "RecordInvalid", "details": taken}))
        change = Change(1, (1,), {"name": "Beta"}, {})
        (outcome,) = stubbed.write(batch("organizations", "upsert", change))
        assert outcome.status is Status.RETRY

    def test_there_is_no_bulk_upsert(self, desk: Desk) -> None:
        desk.organization("a")
        desk.sent()
        changes = [Change(n, (n,), {"external_id": key}, {"name": f"New {key}"}) for n, key in enumerate("bac")]
        outcomes = desk.job("organizations", "upsert", *changes)
        assert [outcome.status for outcome in outcomes.values()] == [Status.CREATED, Status.UPDATED, Status.CREATED]
        assert desk.sent() == [
            ("GET", "/organizations/show_many"),
            ("POST", "/organizations/create_many"),
            ("PUT", "/organizations/update_many"),
        ]
        assert desk.held("organizations", outcomes[2].id)["external_id"] == "c"

    def test_a_second_job_that_does_not_begin_leaves_its_rows_for_later(self, desk: Desk) -> None:
        known = desk.organization("a")
        desk.sandbox.set_faults([{"kind": "status", "status": 429, "path": "*update_many"}])
        changes = [Change(n, (n,), {"external_id": key}, {"name": f"New {key}"}) for n, key in enumerate("ab")]
        outcomes = desk.job("organizations", "upsert", *changes)
        assert [outcome.status for outcome in outcomes.values()] == [Status.RETRY, Status.CREATED]
        assert desk.held("organizations", known)["name"] == "Company a"


class TestMemberships:
    def test_by_external_ids(self, desk: Desk) -> None:
        user, organization = desk.user("a"), desk.organization("acme")
        pair = {"user_external_id": "a", "organization_external_id": "acme"}
        change = Change(1, ("a", "acme"), pair, {})
        created = desk.write("organization_memberships", "upsert", change)[1]
        assert created.status is Status.CREATED
        assert desk.held("users", user)["organizations"] == [organization]
        again = desk.write("organization_memberships", "upsert", change)[1]
        assert again == Outcome(1, Status.UNCHANGED, created.id)
        assert desk.write("organization_memberships", "delete", change)[1].status is Status.DELETED
        assert desk.held("users", user)["organizations"] == []
        assert desk.write("organization_memberships", "delete", change)[1].status is Status.MISSING

    def test_by_ids_and_by_the_memberships_own(self, desk: Desk) -> None:
        user, organization = desk.user("a"), desk.organization("acme")
        change = Change(1, (1,), {"user_id": int(user), "organization_id": organization}, {})
        known = desk.write("organization_memberships", "upsert", change)[1].id
        desk.sent()
        gone = desk.write("organization_memberships", "delete", change._replace(id=known))[1]
        assert gone == Outcome(1, Status.DELETED, known)
        assert desk.sent() == [("DELETE", f"/organization_memberships/{known}")]

    def test_who_moves_leaves_the_old_organization(self, desk: Desk) -> None:
        user = desk.user("a")
        acme, beta, other = (desk.organization(key) for key in ("acme", "beta", "other"))
        joined = Change(1, (1,), {"user_id": user, "organization_id": other}, {})
        desk.write("organization_memberships", "upsert", joined)
        first = desk.write(
            "organization_memberships", "upsert", joined._replace(match={**joined.match, "organization_id": acme})
        )
        for send, target in ((desk.write, beta), (desk.job, acme), (desk.job, beta)):
            moved = joined._replace(match={**joined.match, "organization_id": target}, id=first[1].id)
            for _ in range(2):  # what is left is over then
                outcome = send("organization_memberships", "upsert", moved)
                assert outcome[1].status.accepted
                assert desk.held("users", user)["organizations"] == [other, target]
                first = outcome if outcome[1].id else first

    def test_nobody_can_join_what_is_not_there(self, desk: Desk) -> None:
        desk.user("a")
        change = Change(1, (1,), {"user_external_id": "a", "organization_external_id": "gone"}, {})
        nobody = desk.write("organization_memberships", "upsert", change)[1]
        assert (nobody.status, nobody.code) == (Status.REJECTED, "RecordNotFound")
        assert "Zendesk has no such user, or no such organization" in str(nobody.message)
        bad = change._replace(match={"user_external_id": "a", "organization_id": 99})
        refused = desk.write("organization_memberships", "upsert", bad)[1]
        assert (refused.status, refused.message) == (Status.REJECTED, "Organization: is invalid")

    def test_many(self, desk: Desk) -> None:
        for key in "abc":
            desk.user(key)
        desk.organization("acme")
        changes = [
            Change(n, (n,), {"user_external_id": key, "organization_external_id": "acme"}, {})
            for n, key in enumerate("axbc")
        ]
        desk.write("organization_memberships", "upsert", changes[2])
        outcomes = desk.job("organization_memberships", "upsert", *changes)
        assert [outcome.status for outcome in outcomes.values()] == [
            Status.CREATED,
            Status.REJECTED,
            Status.UNCHANGED,
            Status.CREATED,
        ]
        nobody = desk.job("organization_memberships", "upsert", changes[1])
        assert nobody[1].status is Status.REJECTED

    def test_a_removal_that_is_not_answered_as_one(self, stub: Stub, stubbed: Zendesk) -> None:
        stub.answer(Answer(200, {}))
        with pytest.raises(UnknownOutcomeError):
            list(stubbed.write(batch("organization_memberships", "delete", Change(1, (1,), {}, {}, "5"))))


class TestTags:
    def tag(self, seq: int, key: str, tag: str) -> Change:
        return Change(seq, (key, tag), {"external_id": key, "tag": tag}, {})

    def test_other_tags_stay(self, desk: Desk) -> None:
        known = desk.user("a", tags=["vip", "old"])
        assert desk.write("user_tags", "upsert", self.tag(1, "a", "new"))[1] == Outcome(1, Status.ACCEPTED, known)
        assert desk.held("users", known)["tags"] == ["vip", "old", "new"]
        gone = self.tag(1, "a", "old")._replace(id=known)
        assert desk.write("user_tags", "delete", gone)[1] == Outcome(1, Status.DELETED, known)
        assert desk.held("users", known)["tags"] == ["vip", "new"]

    def test_one_request_a_user(self, desk: Desk) -> None:
        a, b = desk.user("a"), desk.user("b")
        desk.sent()
        changes = [
            self.tag(n, key, tag) for n, (key, tag) in enumerate([("a", "x"), ("b", "y"), ("a", "z"), ("c", "x")])
        ]
        outcomes = desk.write("user_tags", "upsert", *changes)
        assert [outcomes[n].status for n in range(4)] == [Status.ACCEPTED] * 3 + [Status.REJECTED]
        assert desk.sent() == [("GET", "/users/show_many"), ("PUT", f"/users/{a}/tags"), ("PUT", f"/users/{b}/tags")]
        assert desk.held("users", a)["tags"] == ["x", "z"]

    @pytest.mark.parametrize(
        "fault", [{"kind": "status", "status": 429}, {"kind": "reset"}, {"kind": "status", "status": 500}]
    )
    def test_what_follows_a_failure_is_sent_again(self, desk: Desk, fault: dict[str, Any]) -> None:
        known = [desk.user(key) for key in "abc"]
        changes = [self.tag(n, key, "x") for n, key in enumerate("abc")]
        desk.sandbox.set_faults([{**fault, "path": "*/tags", "nth": 2}])
        outcomes = desk.write("user_tags", "upsert", *changes)
        assert [outcomes[n].status for n in range(3)] == [Status.ACCEPTED, Status.RETRY, Status.RETRY]
        assert "tags" not in desk.held("users", known[2])
        desk.sandbox.set_faults([{**fault, "path": "*/tags"}])
        with pytest.raises(DestinationError):
            desk.write("user_tags", "upsert", *changes)

    def test_of_organizations_and_tickets(self, desk: Desk) -> None:
        organization = desk.organization("a")
        opened = Change(1, (1,), {"external_id": "a"}, {"comment": {"body": "Hi"}})
        ticket = desk.write("tickets", "create", opened)[1].id
        for kind, owner, known in (
            ("organization_tags", "organizations", organization),
            ("ticket_tags", "tickets", ticket),
        ):
            desk.write(kind, "upsert", self.tag(1, "a", "x"))
            assert desk.held(owner, known)["tags"] == ["x"]

    def test_a_tag_must_be_named(self, desk: Desk) -> None:
        nameless = Change(1, (1,), {"external_id": "a"}, {})
        with pytest.raises(FatalError, match="needs `tag` in `match`"):
            desk.write("user_tags", "upsert", nameless)

    def test_nothing_else_is_kept_there(self, desk: Desk) -> None:
        with pytest.raises(FatalError, match="no fields of its own"):
            desk.write("user_tags", "upsert", self.tag(1, "a", "x")._replace(fields={"color": "red"}))
        with pytest.raises(FatalError, match="no fields of its own"):
            desk.job("organization_memberships", "upsert", Change(1, (1,), {"user_id": 1}, {"role": "boss"}))

    def test_an_answer_that_says_nothing(self, stub: Stub, stubbed: Zendesk) -> None:
        stub.answer(Answer(200, {}))
        with pytest.raises(UnknownOutcomeError):
            list(stubbed.write(batch("user_tags", "upsert", self.tag(1, "a", "x")._replace(id="5"))))


class TestTickets:
    FIELDS: ClassVar = {
        "subject": "Renewal",
        "comment": {"body": "Hi"},
        "priority": "high",
        "custom_fields.360": "renewal",
    }

    def test_a_ticket_is_opened_once(self, desk: Desk) -> None:
        change = Change(1, (1,), {"external_id": "t1"}, self.FIELDS)
        for operation in ("create", "append"):
            first = desk.write("tickets", operation, change)[1]
            assert first.status is Status.CREATED
            assert desk.write("tickets", operation, change)[1].id == first.id  # its idempotency key is known
        assert desk.held("tickets", first.id)["custom_fields"] == {"360": "renewal"}
        assert desk.held("tickets", first.id)["comments"] == [{"body": "Hi"}]

    def test_the_key_is_of_the_content(self, stub: Stub, stubbed: Zendesk) -> None:
        stub.answer(Answer(201, {"ticket": {"id": 7}}))
        change = Change(1, (1,), {}, self.FIELDS)
        list(stubbed.write(batch("tickets", "append", change)))
        assert stub.last.headers["Idempotency-Key"] == batch("tickets", "append", change).idempotency_key(change)
        assert stub.last.json["ticket"]["custom_fields"] == [{"id": 360, "value": "renewal"}]

    def test_upsert_by_external_id(self, desk: Desk) -> None:
        change = Change(1, (1,), {"external_id": "t1"}, self.FIELDS)
        created = desk.write("tickets", "upsert", change)[1]
        assert created.status is Status.CREATED
        again = desk.write("tickets", "upsert", change._replace(fields={**self.FIELDS, "status": "open"}))[1]
        assert again == Outcome(1, Status.UPDATED, created.id)
        held = desk.held("tickets", created.id)
        assert (held["status"], len(held["comments"])) == ("open", 1)  # nothing is said twice

    def test_external_ids_of_tickets_need_not_be_unique(self, desk: Desk) -> None:
        for n in range(2):
            desk.write("tickets", "create", Change(1, (n,), {"external_id": "t1"}, self.FIELDS))
        outcome = desk.write("tickets", "upsert", Change(1, (1,), {"external_id": "t1"}, self.FIELDS))[1]
        assert (outcome.status, outcome.code) == (Status.REJECTED, "ambiguous")
        several = Change(1, (1,), {"external_id": "t1"}, {"priority": "low"})
        for send in (desk.write, desk.job):
            for operation in ("update", "delete"):
                assert send("tickets", operation, several)[1].status is Status.MISSING
        assert {record.properties["priority"] for record in desk.sandbox.store.scan("zendesk", "tickets")} == {"high"}

    def test_an_external_id_is_asked_for_as_it_is(self, desk: Desk) -> None:
        known = desk.write("tickets", "create", Change(1, (1,), {"external_id": "T-1"}, self.FIELDS))[1].id
        change = Change(1, (1,), {"external_id": "T-1"}, {"priority": "low", "custom_fields.361": ["api", "billing"]})
        assert desk.write("tickets", "update", change)[1] == Outcome(1, Status.UPDATED, known)
        assert desk.held("tickets", known)["custom_fields"]["361"] == ["api", "billing"]

    def test_a_comment_cannot_be_changed(self, desk: Desk) -> None:
        change = Change(1, (1,), {"external_id": "t1"}, self.FIELDS)
        known = desk.write("tickets", "create", change)[1].id
        for send in (desk.write, desk.job):
            with pytest.raises(BatchRejectedError, match="write: on_create"):
                send("tickets", "update", change._replace(id=known))

    def test_jobs(self, desk: Desk) -> None:
        opened = [Change(n, (n,), {"external_id": f"t{n}"}, self.FIELDS) for n in range(3)]
        created = desk.job("tickets", "create", *opened)
        changed = [change._replace(fields={"priority": "low"}, id=created[change.seq].id) for change in opened]
        updated = desk.job("tickets", "update", *changed)
        assert {o.status for o in updated.values()} == {Status.UPDATED}
        assert desk.held("tickets", created[2].id)["priority"] == "low"
        assert {o.status for o in desk.job("tickets", "delete", *changed).values()} == {Status.DELETED}
        assert desk.write("tickets", "delete", changed[0])[0].status is Status.MISSING

    def test_erased_for_good(self, desk: Desk) -> None:
        opened = [Change(n, (n,), {"external_id": f"t{n}"}, self.FIELDS) for n in range(3)]
        created = desk.job("tickets", "create", *opened)
        known = [change._replace(id=created[change.seq].id) for change in opened]
        desk.write("tickets", "delete", known[0])  # which agents could still restore
        nobody = Change(9, (9,), {"external_id": "t9"}, {})
        desk.sent()
        outcomes = desk.job("tickets", "erase", *known, nobody, known[1]._replace(seq=10, id="99"))
        assert [outcomes[n].status for n in (0, 1, 2)] == [Status.MISSING, Status.DELETED, Status.DELETED]
        assert [outcomes[n].status for n in (9, 10)] == [Status.MISSING] * 2
        assert desk.sent()[-2:] == [("DELETE", "/deleted_tickets/destroy_many")] * 2
        for change in known:
            assert desk.held("tickets", change.id) == {"subject": "SCRUBBED", "erased": True}
        assert desk.job("tickets", "erase", *known)[1].status is Status.MISSING
        with pytest.raises(FatalError, match="in background jobs only"):
            desk.write("tickets", "erase", known[0])

    def test_a_page_of_a_proxy_deletes_no_ticket(self, stub: Stub, stubbed: Zendesk) -> None:
        stub.answer(Answer(200, b"<html>"))
        with pytest.raises(UnknownOutcomeError):
            begun(stubbed, batch("tickets", "erase", Change(1, (1,), {"id": 7}, {}, "7")))
        assert len(stub.asked) == 1

    def test_tickets_that_were_not_erased_are_tried_again(self, stub: Stub, stubbed: Zendesk) -> None:
        given = batch("tickets", "erase", Change(1, (1,), {"id": 7}, {}, "7"))
        stub.answer(Answer(204), Answer(200, {"job_status": {"id": "V3-1", "status": "queued"}}))
        job = begun(stubbed, given)
        stub.answer(Answer(200, {"job_status": {"id": "V3-1", "status": "completed", "results": {"success": False}}}))
        (outcome,) = stubbed.poll(given, job)  # type: ignore[misc]
        assert (outcome.status, outcome.code) == (Status.RETRY, "not_erased")

    def test_nothing_is_known_of_a_creation_that_was_not_answered(self, desk: Desk) -> None:
        kind = desk.zendesk.object_type("tickets")
        assert kind is not None
        assert not {Operation.CREATE, Operation.APPEND} & kind.idempotent


class TestCustomObjects:
    KIND = "custom_objects/plan"

    def test_one_and_many(self, desk: Desk) -> None:
        change = Change(1, (1,), {"external_id": "p1"}, {"name": "Pro", "custom_object_fields.seats": 5})
        first = desk.write(self.KIND, "upsert", change)[1]
        assert first.status is Status.ACCEPTED  # whether it is new is not told
        others = [change._replace(seq=n, match={"external_id": f"p{n}"}) for n in range(1, 4)]
        outcomes = desk.job(self.KIND, "upsert", *others)
        assert [o.status for o in outcomes.values()] == [Status.UPDATED, Status.CREATED, Status.CREATED]
        assert outcomes[1].id == first.id
        fields = {"custom_object_fields.seats": None}
        known = [other._replace(fields=fields, id=outcomes[other.seq].id) for other in others]
        assert desk.write(self.KIND, "update", known[0])[1].status is Status.UPDATED
        assert {o.status for o in desk.job(self.KIND, "update", *known[1:]).values()} == {Status.UPDATED}
        assert [desk.held(self.KIND, o.id)["custom_object_fields"] for o in outcomes.values()] == [{}, {}, {}]
        assert desk.write(self.KIND, "delete", known[0])[1].status is Status.DELETED
        assert {o.status for o in desk.job(self.KIND, "delete", *known[1:]).values()} == {Status.DELETED}

    def test_an_object_that_there_is_not(self, desk: Desk) -> None:
        for operation in ("upsert", "create"):
            with pytest.raises(FatalError, match="Not found"):
                desk.write("custom_objects/none", operation, users("a")[0])
        with pytest.raises(FatalError, match="Not found"):
            desk.job("custom_objects/none", "upsert", *users("a"))

    def test_case_matters(self, desk: Desk) -> None:
        change = Change(1, (1,), {"external_id": "p1"}, {"name": "Pro"})
        known = desk.write(self.KIND, "create", change)[1].id
        found = list(desk.zendesk.read(self.KIND, "external_id", ["p1", "P1"], ["name"]))
        assert found == [Found(str(known), "p1", {"name": "Pro"})]
        assert desk.write(self.KIND, "update", change._replace(match={"external_id": "P1"}))[1].status is Status.MISSING


class TestJobs:
    def test_rows_by_position(self, desk: Desk) -> None:
        changes = users("a", "b", "c")
        changes[1] = changes[1]._replace(fields={"name": "B", "email": "badmail"})
        outcomes = desk.job("users", "upsert", *changes)
        assert [outcome.status for outcome in outcomes.values()] == [Status.CREATED, Status.REJECTED, Status.CREATED]
        assert outcomes[1].message == "Email: badmail is not properly formatted"
        assert desk.held("users", outcomes[2].id)["external_id"] == "c"
        assert {o.status for o in desk.job("users", "upsert", *users("a", "b", "c")).values()} == {
            Status.UPDATED,
            Status.CREATED,
        }

    def test_updates_and_deletes_of_what_is_not_there(self, desk: Desk) -> None:
        known = desk.user("a")
        changes = [users("a")[0], *users("gone", "stale")]
        changes = [change._replace(seq=n) for n, change in enumerate(changes)]
        changes[2] = changes[2]._replace(id="99")
        for operation, done in (("update", Status.UPDATED), ("delete", Status.DELETED)):
            outcomes = desk.job("users", operation, *changes)
            assert [o.status for o in outcomes.values()] == [done, Status.MISSING, Status.MISSING]
            assert outcomes[0].id == known
        assert {o.status for o in desk.job("users", "delete", *changes[1:2]).values()} == {Status.MISSING}

    def test_a_record_that_comes_twice_is_sent_again(self, desk: Desk) -> None:
        known = desk.user("a")
        changes = [change._replace(id=known) for change in users("a", "b")]
        outcomes = desk.job("users", "update", *changes)
        assert [o.status for o in outcomes.values()] == [Status.UPDATED, Status.RETRY]

    def test_a_job_that_is_not_done_says_how_long_to_wait(self, desk: Desk) -> None:
        desk.sandbox.configure("zendesk", job_polls=2)
        given = batch("users", "upsert", *users("a"))
        job = begun(desk.zendesk, given)
        assert [desk.zendesk.poll(given, job) for _ in range(2)] == [Pending(0.05)] * 2
        assert ended(desk.zendesk, given, job)[0].status is Status.CREATED
        assert "a" not in json.loads(job)["begun"][0]

    def test_jobs_are_forgotten_after_a_day(self, desk: Desk) -> None:
        given = batch("users", "upsert", *users("a"))
        job = begun(desk.zendesk, given)
        desk.clock.now += 86_401
        desk.zendesk.renew()
        desk.zendesk._login._get()
        outcome = ended(desk.zendesk, given, job)[0]
        assert (outcome.status, outcome.code) == (Status.UNKNOWN, "job")

    def test_too_many_jobs(self, desk: Desk) -> None:
        desk.sandbox.configure("zendesk", job_polls=9)
        for n in range(30):
            begun(desk.zendesk, batch("users", "upsert", *users(f"u{n}")))
        with pytest.raises(RateLimitedError) as caught:
            begun(desk.zendesk, batch("users", "upsert", *users("more")))
        assert (caught.value.code, caught.value.retry_after) == ("TooManyJobs", 15.0)

    def test_without_bulk_imports_users_are_written_one_by_one(self, desk: Desk) -> None:
        desk.sandbox.configure("zendesk", bulk_imports=False)
        given = batch("users", "upsert", *users(*(f"u{n}" for n in range(25))))
        job = begun(desk.zendesk, given)
        assert desk.zendesk.poll(given, job) == Pending(0.0)
        outcomes = ended(desk.zendesk, given, job)
        assert {outcome.status for outcome in outcomes.values()} == {Status.CREATED}
        asked = desk.sent()
        assert asked.count(("POST", "/users/create_or_update")) == 25
        assert asked.count(("POST", "/users/create_or_update_many")) == 1
        finished(desk.zendesk, batch("users", "create", *users("x", "y")))
        assert desk.sent() == [("POST", "/users")] * 2  # it does not ask again
        assert {o.status for o in desk.job("users", "update", *given.changes[:2]).values()} == {Status.UPDATED}

    def test_who_may_not_write_users_at_all_is_told_so(self, desk: Desk) -> None:
        desk.sandbox.set_faults([{"kind": "status", "status": 403, "path": "*/users/*"}])
        with pytest.raises(FatalError, match="do not have access"):
            begun(desk.zendesk, batch("users", "upsert", *users("a", "b")))
        desk.sandbox.set_faults([])
        assert desk.job("users", "upsert", *users("a", "b"))[1].status is Status.CREATED
        assert ("POST", "/users/create_or_update_many") in desk.sent()

    def test_one_by_one_a_failure_is_that_of_its_row(self, desk: Desk) -> None:
        desk.sandbox.configure("zendesk", bulk_imports=False)
        path = "*/users/create_or_update"
        desk.sandbox.set_faults(
            [
                {"kind": "reset", "path": path, "nth": 2},
                {"kind": "status", "status": 400, "path": path, "nth": 3},
                {"kind": "status", "status": 503, "path": path, "nth": 4},
            ]
        )
        given = batch("users", "upsert", *users("a", "b", "c", "d", "e"))
        job = begun(desk.zendesk, given)
        with pytest.raises(RetryableError):
            desk.zendesk.poll(given, job)
        outcomes = ended(desk.zendesk, given, job)  # goes on where it was
        assert [outcome.status for outcome in outcomes.values()] == [
            Status.CREATED,
            Status.UNKNOWN,
            Status.REJECTED,
            Status.CREATED,
            Status.CREATED,
        ]
        assert desk.sent().count(("POST", "/users/create_or_update")) == 6

    def test_one_by_one_in_another_process(self, desk: Desk) -> None:
        desk.sandbox.configure("zendesk", bulk_imports=False)
        for operation, status in (("upsert", Status.CREATED), ("create", Status.UNKNOWN)):
            given = batch("users", operation, *users(f"{operation}1", f"{operation}2"))
            job = begun(desk.zendesk, given)
            assert ended(desk.connect(), given, job)[1].status is status


STATUS = {"job_status": {"id": "V3-1", "status": "queued"}}


def completed(*rows: Any, **more: Any) -> Answer:
    return Answer(200, {"job_status": {"id": "V3-1", "status": "completed", "results": list(rows), **more}})


class TestResults:
    """Rows of jobs that the sandbox does not give."""

    def outcomes(self, stub: Stub, zendesk: Zendesk, answer: Answer, operation: str = "upsert") -> dict[int, Outcome]:
        stub.answer(Answer(200, STATUS), answer)
        changes = [change._replace(id=str(n + 7)) for n, change in enumerate(users("a", "b"))]
        return finished(zendesk, batch("users", operation, *changes))

    def test_an_index_counts_more_than_the_position(self, stub: Stub, stubbed: Zendesk) -> None:
        found = self.outcomes(stub, stubbed, completed({"index": 1, "id": 8}, {"index": 0, "id": 7}))
        assert found == {0: Outcome(0, Status.ACCEPTED, "7"), 1: Outcome(1, Status.ACCEPTED, "8")}

    @pytest.mark.parametrize(
        "rows",
        [[{"id": 7}], [{"id": 7}, "?"], [{"index": 0, "id": 7}, {"index": 0, "id": 9}], [{"id": 7}, {"index": 5}]],
    )
    def test_what_is_not_mentioned_is_unknown(self, stub: Stub, stubbed: Zendesk, rows: list[Any]) -> None:
        found = self.outcomes(stub, stubbed, completed(*rows))
        assert (found[0].status, found[1].status) == (Status.ACCEPTED, Status.UNKNOWN)

    @pytest.mark.parametrize(
        ("operation", "row", "status"),
        [
            ("upsert", {"status": "Failed", "errors": "Name is too short"}, Status.REJECTED),
            ("upsert", {"success": False}, Status.REJECTED),
            ("upsert", {"error": "UserUpdateFailed", "details": "Lock wait timeout exceeded"}, Status.RETRY),
            ("upsert", {"error": "Conflict", "details": "x"}, Status.RETRY),
            ("upsert", {"error": "X", "details": "You have exceeded the rate limit for updating"}, Status.RETRY),
            ("upsert", {"error": "X", "details": "Name: Locktimeout has already been taken"}, Status.REJECTED),
            ("update", {"error": "UserNotFound", "details": "gone"}, Status.MISSING),
            ("upsert", {"error": {"title": "Nope", "message": "No such"}}, Status.REJECTED),
        ],
    )
    def test_refused_rows(
        self, stub: Stub, stubbed: Zendesk, operation: str, row: dict[str, Any], status: Status
    ) -> None:
        found = self.outcomes(stub, stubbed, completed({"id": 7}, row), operation)[1]
        assert found.status is status
        assert found.message

    @pytest.mark.parametrize(
        "answer",
        [
            Answer(404),
            completed(),
            Answer(200, {"job_status": {"status": "failed", "message": "gave up", "results": None}}),
            Answer(200, {"job_status": {"status": "completed", "results": {"success": True}}}),
        ],
    )
    def test_a_job_without_results(self, stub: Stub, stubbed: Zendesk, answer: Answer) -> None:
        found = self.outcomes(stub, stubbed, answer)
        assert {outcome.status for outcome in found.values()} == {Status.UNKNOWN}
        assert all(outcome.message for outcome in found.values())

    def test_a_job_that_cannot_be_asked(self, stub: Stub, stubbed: Zendesk) -> None:
        for answer, error in ((Answer(200, b"?"), UnknownOutcomeError), (Answer(503), RetryableError)):
            with pytest.raises(error):
                self.outcomes(stub, stubbed, answer)
        with pytest.raises(UnknownOutcomeError):
            self.outcomes(stub, stubbed, Answer(200, {"jobs": []}))

    def test_a_submission_that_is_not_answered(self, stub: Stub, stubbed: Zendesk) -> None:
        for answer in (Answer(200, {}), Answer(200, b""), Answer(500)):
            stub.answer(answer)
            with pytest.raises(UnknownOutcomeError):
                begun(stubbed, batch("users", "upsert", *users("a")))

    def test_working(self, stub: Stub, stubbed: Zendesk) -> None:
        stub.answer(Answer(200, STATUS))
        given = batch("users", "upsert", *users("a"))
        assert stubbed.poll(given, begun(stubbed, given)) == Pending(3)


class TestOneUserAMinute:
    def test_a_user_is_not_written_to_twice(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 1000.0
        monkeypatch.setattr(module.time, "monotonic", lambda: now)
        careful = desk.connect(user_seconds=60.0)
        known = desk.user("a")
        list(careful.write(batch("users", "upsert", *users("a"))))
        now += 20
        tag = Change(1, (1,), {"external_id": "A", "tag": "x"}, {})
        for again in (batch("users", "update", users("a")[0]), batch("user_tags", "upsert", tag)):
            with pytest.raises(RateLimitedError) as caught:
                careful.write(again)
            assert caught.value.retry_after == 40.0
        with pytest.raises(RateLimitedError):
            begun(careful, batch("users", "upsert", *users("z", "a")))
        list(careful.write(batch("users", "upsert", *users("z"))))  # what was held back was not written to
        now += 40.1
        assert by_seq(careful.write(batch("user_tags", "upsert", tag)), [tag])[1].id == known

    def test_what_was_refused_counts_for_nothing(self, desk: Desk) -> None:
        careful = desk.connect(user_seconds=60.0)
        desk.sandbox.set_faults([{"kind": "status", "status": 429, "policy": "user", "retry_after": 27, "times": 1}])
        with pytest.raises(RateLimitedError) as caught:
            list(careful.write(batch("users", "upsert", *users("a"))))
        desk.sandbox.set_faults([{"kind": "status", "status": 429, "policy": "user", "path": "*/api/*", "times": 1}])
        with pytest.raises(RateLimitedError, match="updating a single unique user") as caught:
            list(careful.write(batch("users", "upsert", *users("a"))))
        assert caught.value.retry_after == 27.0
        list(careful.write(batch("users", "upsert", *users("a"))))

    def test_nor_does_a_user_that_was_not_written(self, desk: Desk) -> None:
        careful = desk.connect(user_seconds=60.0)
        stale = users("a")[0]._replace(id="99")
        bad = Change(1, (1,), {"external_id": "b"}, {"name": "", "email": "b@x.test"})
        assert by_seq(careful.write(batch("users", "update", stale)), [stale])[0].status is Status.MISSING
        assert finished(careful, batch("users", "upsert", stale, bad))[1].status is Status.REJECTED
        list(careful.write(batch("users", "upsert", bad._replace(fields=NEW))))
        with pytest.raises(RateLimitedError):
            list(careful.write(batch("users", "upsert", stale)))

    def test_the_vendor_refuses_a_sixth_update(self, desk: Desk) -> None:
        desk.sandbox.configure("zendesk", enforce_limits=True)
        known = desk.user("a")
        change = users("a")[0]._replace(id=known)
        for _ in range(5):
            desk.write("users", "update", change)
        with pytest.raises(RateLimitedError, match="exceeded the rate limit") as caught:
            desk.write("users", "update", change)
        assert caught.value.retry_after == 60.0


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "body", "error", "text", "code"),
        [
            (
                400,
                {"error": "TooManyValues", "description": "too many"},
                BatchRejectedError,
                "too many",
                "TooManyValues",
            ),
            (
                400,
                {"errors": [{"code": "Bad", "title": "No", "detail": "bad field"}]},
                BatchRejectedError,
                "bad field",
                "Bad",
            ),
            (
                401,
                {"error": "Couldn't authenticate you"},
                UnauthorizedError,
                "authenticate",
                "Couldn't authenticate you",
            ),
            (403, {"error": {"title": "Forbidden", "message": "no access"}}, FatalError, "no access", "403"),
            (409, {"error": "Conflict", "description": "updated"}, RetryableError, "updated", "Conflict"),
            (413, b"", BatchRejectedError, "413", "413"),
            (429, b"Number of allowed requests exceeded", RateLimitedError, "allowed requests", "429"),
            (500, b"<html>", UnknownOutcomeError, "500", "500"),
            (503, b"Service Unavailable", RetryableError, "Service Unavailable", "503"),
            (302, b"", FatalError, "302", "302"),
            (400, [1], BatchRejectedError, "400", "400"),
        ],
    )
    def test_classes(
        self, stub: Stub, stubbed: Zendesk, status: int, body: Any, error: type[DestinationError], text: str, code: str
    ) -> None:
        kind = {"Content-Type": "text/plain" if isinstance(body, bytes) and b"<" not in body else "text/html"}
        stub.answer(Answer(status, body, {**kind, "Retry-After": "93", "X-Request-Id": "r1"}))
        with pytest.raises(error, match=text) as caught:
            list(stubbed.write(batch("users", "upsert", *users("a"))))
        assert type(caught.value) is error
        assert (caught.value.code, caught.value.retry_after, caught.value.request_id) == (code, 93.0, "r1")

    @pytest.mark.parametrize("body", [b"", b"<html>", {}, {"user": None}, {"user": {}}, []])
    @pytest.mark.parametrize("status", [200, 201])
    def test_a_success_that_says_nothing(self, stub: Stub, stubbed: Zendesk, status: int, body: Any) -> None:
        stub.answer(Answer(status, body))
        for operation in ("upsert", "create"):
            with pytest.raises(UnknownOutcomeError):
                list(stubbed.write(batch("users", operation, *users("a"))))

    def test_the_budget_of_a_minute(self, desk: Desk) -> None:
        desk.zendesk.check()
        assert desk.gate.budgets[-1] == Budget(399, 40.0)


class TestFields:
    def test_describe(self, desk: Desk) -> None:
        fields = {info.name: info for info in desk.zendesk.describe("users")}
        assert fields["user_fields.plan"] == FieldInfo("user_fields.plan", "dropdown", "Plan", options=("pro", "free"))
        assert fields["external_id"].unique
        assert not fields["id"].writable
        assert fields["role"].options == ("end-user", "agent", "admin")
        assert [f for f in desk.zendesk.describe("tickets") if "." in f.name] == [
            FieldInfo("custom_fields.360", "text", "Reason"),
            FieldInfo("custom_fields.361", "multiselect", "Areas", options=("api", "billing")),
        ]
        names = [info.name for info in desk.zendesk.describe("custom_objects/plan")]
        assert names == ["id", "external_id", "name", "created_at", "updated_at", "custom_object_fields.seats"]

    @pytest.mark.parametrize("name", ["custom_objects/none", "macros"])
    def test_no_such_object(self, desk: Desk, name: str) -> None:
        with pytest.raises(FatalError, match=f"no object `{name}`"):
            desk.zendesk.describe(name)

    @pytest.mark.parametrize("name", ["organization_memberships", "user_tags"])
    def test_objects_without_fields(self, desk: Desk, name: str) -> None:
        with pytest.raises(NotImplementedError, match=f"does not describe the fields of `{name}`"):
            desk.zendesk.describe(name)

    def test_all_pages(self, desk: Desk) -> None:
        for n in range(120):
            desk.sandbox.vendor("zendesk").desk.define_field(  # type: ignore[attr-defined]  # of this vendor
                module_kind("users"), {"key": f"f{n}", "title": f"F{n}"}
            )
        assert len([f for f in desk.zendesk.describe("users") if "." in f.name]) == 123

    @pytest.mark.parametrize(
        ("kind", "name", "column", "expected"),
        [
            ("users", "user_fields.seats", ColumnType.INTEGER, "integer"),
            ("users", "user_fields.active", ColumnType.BOOLEAN, "checkbox"),
            ("organizations", "organization_fields.mrr", ColumnType.DECIMAL, "decimal"),
            ("custom_objects/plan", "custom_object_fields.ends", ColumnType.DATE, "date"),
            ("users", "user_fields.seen_at", ColumnType.TIMESTAMP, "text"),
        ],
    )
    def test_a_field_is_created(self, desk: Desk, kind: str, name: str, column: ColumnType, expected: str) -> None:
        made = desk.zendesk.create_field(kind, name, column)
        title = name.partition(".")[2].replace("_", " ").capitalize()
        assert made == FieldInfo(name, expected, title)
        assert made in desk.zendesk.describe(kind)

    @pytest.mark.parametrize(
        ("kind", "name"),
        [("users", "plan2"), ("users", "user_fields.1"), ("users", "user_fields.a-b"), ("tickets", "custom_fields.x")],
    )
    def test_what_cannot_be_created(self, desk: Desk, kind: str, name: str) -> None:
        with pytest.raises(FatalError, match="cannot create the field"):
            desk.zendesk.create_field(kind, name, ColumnType.TEXT)

    def test_a_key_that_is_taken(self, desk: Desk) -> None:
        with pytest.raises(FatalError, match="Key: plan has already been taken"):
            desk.zendesk.create_field("users", "user_fields.plan", ColumnType.TEXT)

    def test_an_answer_without_the_field(self, stub: Stub, stubbed: Zendesk) -> None:
        stub.answer(Answer(201, {}))
        with pytest.raises(UnknownOutcomeError):
            stubbed.create_field("users", "user_fields.x", ColumnType.TEXT)


def module_kind(name: str) -> Any:
    from revetl_dbt.sandbox.zendesk.fields import STANDARD

    return STANDARD[name]


class TestRead:
    def test_days_are_days(self, desk: Desk) -> None:
        known = desk.user("a", **{"user_fields.renews": "2026-12-01", "user_fields.spend": 1.5})
        asked = ["name", "user_fields.renews", "user_fields.spend", "user_fields.none"]
        (found,) = desk.zendesk.read("users", "external_id", ["A"], asked)
        assert found == Found(
            known,
            "A",
            {"name": "a", "user_fields.renews": "2026-12-01", "user_fields.spend": 1.5, "user_fields.none": None},
        )

    def test_ways_to_find(self, desk: Desk) -> None:
        user, organization = desk.user("a,b", email="a@x.test"), desk.organization("o,1")
        ticket = desk.write("tickets", "create", Change(1, (1,), {"external_id": "t"}, TestTickets.FIELDS))[1].id
        for kind, match, value, known in (
            ("users", "external_id", "a,b", user),
            ("users", "email", "A@x.test", user),
            ("users", "id", int(user), user),
            ("organizations", "external_id", "o,1", organization),
            ("organizations", "name", "company O,1", organization),
            ("tickets", "external_id", "t", ticket),
            ("tickets", "id", ticket, ticket),
        ):
            assert [(f.id, f.match) for f in desk.zendesk.read(kind, match, [value], [])] == [(known, value)], kind
        (found,) = desk.zendesk.read("tickets", "external_id", ["t"], ["custom_fields.360", "priority"])
        assert found.fields == {"custom_fields.360": "renewal", "priority": "high"}

    def test_long_values_are_asked_for_in_parts(self, desk: Desk) -> None:
        keys = [f"{n}-{'x' * 200}" for n in range(30)]
        finished(desk.zendesk, batch("users", "upsert", *users(*keys)))
        desk.sent()
        assert len(list(desk.zendesk.read("users", "external_id", keys, []))) == 30
        assert desk.sent() == [("GET", "/users/show_many")] * 2

    def test_values_that_differ_in_case_are_one(self, desk: Desk) -> None:
        known = desk.user("a")
        changes = [Change(n, (n,), {"external_id": key, "tag": "x"}, {}) for n, key in enumerate("aA")]
        assert {o.id for o in desk.write("user_tags", "upsert", *changes).values()} == {known}

    def test_what_was_deleted_is_not_found(self, desk: Desk) -> None:
        desk.user("a")
        desk.write("users", "delete", users("a")[0])
        assert not list(desk.zendesk.read("users", "external_id", ["a"], []))

    def test_nothing_asked(self, desk: Desk) -> None:
        desk.sent()
        assert not list(desk.zendesk.read("users", "external_id", [], ["name"]))
        assert not list(desk.zendesk.read("users", "id", ["../1"], []))
        assert desk.sent() == []
        with pytest.raises(NotImplementedError):
            desk.zendesk.read("user_tags", "external_id", ["a"], [])


UTC_PLUS_9 = timezone(timedelta(hours=9))


class TestEncoder:
    @pytest.mark.parametrize(
        ("column", "kind", "value", "expected"),
        [
            (ColumnType.TEXT, "text", " naïve 漢字 ", " naïve 漢字 "),
            (ColumnType.INTEGER, "integer", 2**53 + 1, 2**53 + 1),
            (ColumnType.INTEGER, "text", 7, "7"),
            (ColumnType.DECIMAL, "decimal", Decimal("1.50"), Decimal("1.50")),
            (ColumnType.DECIMAL, "text", Decimal("1E+3"), "1000"),
            (ColumnType.FLOAT, "textarea", 0.1, "0.1"),
            (ColumnType.FLOAT, None, 0.1, 0.1),
            (ColumnType.BOOLEAN, "checkbox", True, True),
            (ColumnType.BOOLEAN, "text", False, "false"),
            (ColumnType.DATE, "date", date(2024, 2, 29), "2024-02-29"),
            (ColumnType.TIMESTAMP, "date", datetime(2024, 2, 29, 23, 59), "2024-02-29"),
            (ColumnType.TIMESTAMPTZ, "date", datetime(2024, 3, 1, 1, tzinfo=UTC_PLUS_9), "2024-02-29"),
            (ColumnType.TIMESTAMPTZ, "text", datetime(2024, 3, 1, 1, tzinfo=UTC_PLUS_9), "2024-02-29T16:00:00Z"),
            (ColumnType.TIMESTAMP, "datetime", datetime(2024, 2, 29, 1, 2, 3, 456789), "2024-02-29T01:02:03.456Z"),
            (ColumnType.TIME, "text", time(1, 2, 3), "01:02:03"),
            (ColumnType.NESTED, "array", ["a", "b", None], ["a", "b"]),
            (ColumnType.TEXT, "array", "vip", ["vip"]),
            (ColumnType.NESTED, "multiselect", ["x", 3], ["x", 3]),
            (ColumnType.NESTED, "textarea", {"ä": [1, None]}, '{"ä":[1,null]}'),
            (ColumnType.NESTED, None, {"a": 1}, {"a": 1}),
            (ColumnType.TEXT, "comment", "Hello", {"body": "Hello"}),
            (ColumnType.NESTED, "comment", {"html_body": "<p>"}, {"html_body": "<p>"}),
        ],
    )
    def test_values(self, stubbed: Zendesk, column: ColumnType, kind: str | None, value: Any, expected: Any) -> None:
        encode = stubbed.encoder(column, None if kind is None else FieldInfo("f", kind))
        assert encode is not None
        assert encode(value) == expected
        assert encode(None) is None

    @pytest.mark.parametrize(
        ("column", "kind", "value"),
        [
            (ColumnType.FLOAT, "decimal", float("inf")),
            (ColumnType.DECIMAL, "text", Decimal("NaN")),
            (ColumnType.NESTED, "array", ["two words"]),
        ],
    )
    def test_what_has_no_representation(self, stubbed: Zendesk, column: ColumnType, kind: str, value: Any) -> None:
        encode = stubbed.encoder(column, FieldInfo("f", kind))
        assert encode is not None
        with pytest.raises(ValueError, match=r"number|spaces"):
            encode(value)


def test_a_search_that_finds_others(stub: Stub, stubbed: Zendesk) -> None:
    """Zendesk's search is not exact."""

    def answer(asked: Asked) -> Answer:
        assert asked.path.startswith("/api/v2/users/search?query=email%3A%22a%40x.test%22")
        return Answer(200, {"users": [{"id": 7, "email": "aa@x.test"}, {"id": 8, "email": "A@X.test", "active": True}]})

    stub.answer(answer)
    assert [found.id for found in stubbed.read("users", "email", ["a@x.test"], [])] == ["8"]
