"""What HubSpot's connector writes beside records: static lists, custom events, GDPR deletes, properties; and OAuth."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError

from revetl_dbt.destinations.base import (
    Batch,
    BatchRejectedError,
    Change,
    ColumnType,
    FatalError,
    FieldInfo,
    Found,
    Operation,
    Outcome,
    RateLimitedError,
    RetryableError,
    Status,
    UnauthorizedError,
    UnknownOutcomeError,
)
from revetl_dbt.destinations.hubspot import HubSpot, HubSpotConfig
from revetl_dbt.sandbox import Sandbox
from revetl_dbt.sandbox.hubspot import HubSpot as StandIn

from .stub import Answer, OpenGate, Stub

SETUP = """
lists:
- {listId: 12, name: Trials, objectTypeId: 0-1, processingType: MANUAL}
- {listId: 13, name: Active, objectTypeId: 0-1, processingType: DYNAMIC}
- {listId: 14, name: Firms, objectTypeId: 0-2, processingType: SNAPSHOT}
events:
- name: login
  label: Login
  fullyQualifiedName: pe1_login
  includeDefaultProperties: false
  propertyDefinitions:
  - {name: plan, label: Plan, type: enumeration, options: [{value: pro, label: Pro}]}
  - {name: seats, label: Seats, type: number}
  - {name: email, label: Email, type: string}
"""
TRIALS, LOGIN = "lists/12", "events/pe1_login"


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    path = tmp_path / "hubspot.yml"
    path.write_text(SETUP)
    with Sandbox(tmp_path / "state", ["hubspot"], setup={"hubspot": path}, keep_bodies=True) as running:
        yield running


@pytest.fixture
def hubspot(sandbox: Sandbox) -> Iterator[HubSpot]:
    config = HubSpotConfig(type="hubspot", sandbox=True)
    made = HubSpot(config.in_sandbox(sandbox.url("hubspot"), sandbox.token("hubspot")), OpenGate())
    yield made
    made.close()


def send(hubspot: HubSpot, object_name: str, operation: str, *changes: Change) -> dict[int, Outcome]:
    outcomes = list(hubspot.write(Batch(object_name, Operation(operation), changes, uuid.UUID(int=7))))
    assert len(outcomes) == len(changes)
    return {outcome.seq: outcome for outcome in outcomes}


def person(seq: int, id: str | None = None, **fields: Any) -> Change:  # noqa: A002 - the contract's word
    return Change(seq, (seq,), {"email": f"P{seq}@x.test"}, fields, id)


def make(hubspot: HubSpot, *seqs: int) -> list[str]:
    return [str(outcome.id) for outcome in send(hubspot, "contacts", "upsert", *map(person, seqs)).values()]


def members(sandbox: Sandbox) -> set[str]:
    return {place.id for place in cast("StandIn", sandbox.vendor("hubspot")).lists.members("12")}


class TestLists:
    @pytest.mark.parametrize("operation", ["upsert", "create"])
    def test_records_join_by_address_and_by_id(self, sandbox: Sandbox, hubspot: HubSpot, operation: str) -> None:
        ada, bob, eve = make(hubspot, 1, 2, 3)
        send(hubspot, TRIALS, operation, person(3))
        outcomes = send(
            hubspot,
            TRIALS,
            operation,
            person(1, "999"),  # the id of a record that is gone: the address counts
            Change(2, (2,), {"hs_object_id": int(bob)}, {}),
            person(3),
            person(4),
            Change(5, (5,), {"hs_object_id": "998"}, {}),
        )
        assert {seq: (outcome.status, outcome.id) for seq, outcome in outcomes.items()} == {
            1: (Status.CREATED, ada),
            2: (Status.CREATED, bob),
            3: (Status.UNCHANGED, eve),
            4: (Status.REJECTED, None),
            5: (Status.REJECTED, None),
        }
        assert outcomes[4].message == outcomes[5].message == "HubSpot has no such record"
        assert members(sandbox) == {ada, bob, eve}

    def test_records_leave(self, sandbox: Sandbox, hubspot: HubSpot) -> None:
        ada, _, eve = make(hubspot, 1, 2, 3)
        send(hubspot, TRIALS, "upsert", *map(person, (1, 2, 3)))
        outcomes = send(hubspot, TRIALS, "delete", person(1, ada), person(2), person(4), person(5, "999"))
        assert [outcome.status for outcome in outcomes.values()] == [
            Status.DELETED,
            Status.DELETED,
            Status.MISSING,
            Status.MISSING,
        ]
        assert members(sandbox) == {eve}
        assert send(hubspot, TRIALS, "delete", person(1, ada))[1].status is Status.MISSING

    def test_nothing_is_sent_when_no_record_is_there(self, sandbox: Sandbox, hubspot: HubSpot) -> None:
        assert send(hubspot, TRIALS, "upsert", person(1))[1].status is Status.REJECTED
        assert not [line for line in sandbox.requests() if line.method == "PUT"]

    def test_a_list_of_other_records(self, hubspot: HubSpot) -> None:
        acme = send(hubspot, "companies", "create", Change(1, (1,), {}, {"name": "Acme"}))[1].id
        outcome = send(hubspot, "lists/14", "upsert", Change(1, (1,), {"hs_object_id": acme}, {}))[1]
        assert outcome == Outcome(1, Status.CREATED, acme)

    def test_what_finds_a_member(self, hubspot: HubSpot) -> None:
        found = {info.name: info for info in hubspot.describe(TRIALS)}
        assert set(found) == {"email", "hs_object_id"}
        assert not any(info.writable for info in found.values())

    @pytest.mark.parametrize("version", ["2026-09", "v3"])
    def test_members_are_read_back(self, sandbox: Sandbox, hubspot: HubSpot, version: str) -> None:
        hubspot.config = hubspot.config.model_copy(update={"api_version": version})
        ada, bob = make(hubspot, 1, 2)
        send(hubspot, TRIALS, "upsert", person(1))
        assert list(hubspot.read(TRIALS, "email", ["p1@x.test", "p2@x.test", "p3@x.test"], [])) == [
            Found(ada, "p1@x.test", {})
        ]
        assert [found.id for found in hubspot.read(TRIALS, "hs_object_id", [bob, ada], [])] == [ada]
        sandbox.reset(requests_only=True)
        assert list(hubspot.read(TRIALS, "email", ["p3@x.test"], [])) == []
        assert len(sandbox.requests()) == 1

    def test_filters_decide_on_a_dynamic_list(self, hubspot: HubSpot) -> None:
        with pytest.raises(FatalError, match="filters of list 13"):
            send(hubspot, "lists/13", "upsert", person(1))

    def test_an_answer_that_defines_no_list(self, stub: Stub) -> None:
        made = HubSpot(HubSpotConfig(type="hubspot", base_url=stub.url, access_token="t"), OpenGate())
        stub.answer(Answer(200, {}))
        with pytest.raises(UnknownOutcomeError, match="does not define list 12"):
            send(made, TRIALS, "upsert", person(1))
        made.close()

    def test_a_list_that_there_is_not(self, hubspot: HubSpot) -> None:
        with pytest.raises(FatalError, match="no list `99`"):
            hubspot.describe("lists/99")

    @pytest.mark.parametrize("body", [{}, [], {"recordsIdsAdded": ["7"]}])
    def test_a_success_that_says_nothing_is_unknown(self, stub: Stub, body: Any) -> None:
        made = HubSpot(HubSpotConfig(type="hubspot", base_url=stub.url, access_token="t"), OpenGate())
        definition = {"list": {"processingType": "MANUAL", "objectTypeId": "0-1"}}
        stub.answer(Answer(200, definition), Answer(200, body))
        with pytest.raises(UnknownOutcomeError):
            send(made, TRIALS, "upsert", Change(1, (1,), {"hs_object_id": "7"}, {}))

    def test_the_reference_has_another_name_for_who_joined(self, stub: Stub) -> None:
        made = HubSpot(HubSpotConfig(type="hubspot", base_url=stub.url, access_token="t", api_version="v3"), OpenGate())
        definition = {"list": {"processingType": "SNAPSHOT", "objectTypeId": "0-1"}}
        answer = {"recordIdsAdded": ["7"], "recordIdsRemoved": [], "recordIdsMissing": []}
        stub.answer(Answer(200, definition), Answer(200, answer))
        assert send(made, TRIALS, "upsert", Change(1, (1,), {"hs_object_id": "7"}, {}))[1].status is Status.CREATED
        assert [asked.path for asked in stub.asked] == ["/crm/v3/lists/12", "/crm/v3/lists/12/memberships/add"]
        assert stub.last.json == ["7"]


class TestEvents:
    def occurred(self, sandbox: Sandbox) -> list[dict[str, Any]]:
        return [record.properties for record in sandbox.store.scan("hubspot", "event:pe1_login")]

    def login(self, seq: int, **fields: Any) -> Change:
        return Change(seq, (seq,), {"email": "P1@x.test"}, {"plan": "pro", **fields})

    @pytest.mark.parametrize("version", ["2026-09", "v3"])
    def test_one_and_several(self, sandbox: Sandbox, hubspot: HubSpot, version: str) -> None:
        hubspot.config = hubspot.config.model_copy(update={"api_version": version})
        (ada,) = make(hubspot, 1)
        sandbox.reset(requests_only=True)
        when = "2026-01-02T03:04:05.000Z"
        assert send(hubspot, LOGIN, "append", self.login(1, occurredAt=when))[1] == Outcome(1, Status.ACCEPTED)
        send(hubspot, LOGIN, "append", self.login(2, seats="3"), self.login(3, plan=None, seats=""))
        assert [line.path for line in sandbox.requests()] == [
            f"/hubspot/events/{version}/send",
            f"/hubspot/events/{version}/send/batch",
        ]
        first, second, third = self.occurred(sandbox)
        assert (first["objectId"], first["occurredAt"], first["plan"]) == (ada, when, "pro")
        assert second["seats"] == "3"
        assert not {"plan", "seats"} & set(third)

    def test_an_event_that_is_sent_again_counts_once(self, sandbox: Sandbox, hubspot: HubSpot) -> None:
        make(hubspot, 1)
        for changes in ([self.login(1)], [self.login(1), self.login(2)]):
            send(hubspot, LOGIN, "append", *changes)
        assert len(self.occurred(sandbox)) == 2

    def test_a_uuid_of_one_s_own(self, sandbox: Sandbox, hubspot: HubSpot) -> None:
        send(hubspot, LOGIN, "append", self.login(1, uuid="order-7"))
        assert [record.id for record in sandbox.store.scan("hubspot", "event:pe1_login")] == ["order-7"]

    def test_a_refused_event_is_found_by_halving(self, hubspot: HubSpot) -> None:
        with pytest.raises(BatchRejectedError, match="nonsense is not defined"):
            send(hubspot, LOGIN, "append", self.login(1), self.login(2, nonsense="1"))

    @pytest.mark.parametrize("body", [b"<html>", b""])
    def test_only_204_or_json_is_an_answer(self, stub: Stub, body: bytes) -> None:
        made = HubSpot(HubSpotConfig(type="hubspot", base_url=stub.url, access_token="t"), OpenGate())
        stub.answer(Answer(200, body))
        with pytest.raises(UnknownOutcomeError):
            send(made, LOGIN, "append", self.login(1))

    def test_a_success_with_errors_is_none(self, stub: Stub) -> None:
        made = HubSpot(HubSpotConfig(type="hubspot", base_url=stub.url, access_token="t"), OpenGate())
        stub.answer(Answer(207, {"errors": [{"message": "too old"}]}))
        with pytest.raises(BatchRejectedError, match="too old"):
            send(made, LOGIN, "append", self.login(1), self.login(2))

    def test_its_fields(self, hubspot: HubSpot) -> None:
        fields = {info.name: info for info in hubspot.describe(LOGIN)}
        assert list(fields) == ["email", "objectId", "utk", "occurredAt", "uuid", "plan", "seats"]
        assert fields["plan"] == FieldInfo("plan", "enumeration", "Plan", options=("pro",))
        day = hubspot.encoder(ColumnType.DATE, fields["occurredAt"])(date(2026, 1, 2))
        assert day == "2026-01-02T00:00:00.000Z"

    @pytest.mark.parametrize(
        ("column", "kind"),
        [
            (ColumnType.TEXT, "string"),
            (ColumnType.BOOLEAN, "bool"),
            (ColumnType.DATE, "date"),
            (ColumnType.FLOAT, "number"),
        ],
    )
    def test_a_property_is_created(self, hubspot: HubSpot, column: ColumnType, kind: str) -> None:
        made = hubspot.create_field(LOGIN, "seat_kind", column)
        assert (made.name, made.type, made.label, made.writable) == ("seat_kind", kind, "Seat kind", True)
        assert made in hubspot.describe(LOGIN)
        send(hubspot, LOGIN, "append", person(1, seat_kind="1"))
        with pytest.raises(BatchRejectedError, match="has a property seat_kind already"):
            hubspot.create_field(LOGIN, "seat_kind", column)

    def test_texts_of_its_properties_end(self, hubspot: HubSpot) -> None:
        for name in ("note", "landing_url"):
            hubspot.create_field(LOGIN, name, ColumnType.TEXT)
        longest = {info.name: info.max_length for info in hubspot.describe(LOGIN)}
        assert (longest["note"], longest["landing_url"], longest["seats"], longest["email"]) == (256, 1024, None, None)

    def test_an_event_that_there_is_not(self, hubspot: HubSpot) -> None:
        with pytest.raises(FatalError, match="no custom event `pe1_logout`"):
            hubspot.describe("events/pe1_logout")


class TestErase:
    def test_a_contact_is_gone_for_good(self, sandbox: Sandbox, hubspot: HubSpot) -> None:
        (ada,) = make(hubspot, 1)
        assert send(hubspot, "contacts", "erase", person(1, ada))[1] == Outcome(1, Status.DELETED, ada)
        assert sandbox.store.read("hubspot", "contacts", [ada]) == {}
        assert send(hubspot, "contacts", "erase", person(1, ada))[1].status is Status.MISSING

    def test_who_has_the_address_now_goes_too(self, sandbox: Sandbox, hubspot: HubSpot) -> None:
        (former,) = make(hubspot, 1)
        send(hubspot, "contacts", "archive", person(1, former))
        (present,) = make(hubspot, 1)
        assert former != present
        assert send(hubspot, "contacts", "erase", person(1, former))[1].status is Status.DELETED
        assert sandbox.store.read("hubspot", "contacts", [former, present]) == {}

    def test_an_unknown_address_is_not_barred(self, sandbox: Sandbox, hubspot: HubSpot) -> None:
        assert send(hubspot, "contacts", "erase", person(1))[1].status is Status.MISSING
        assert not [line for line in sandbox.requests() if "gdpr" in line.path]
        assert len(make(hubspot, 1)) == 1

    def test_by_record_id(self, hubspot: HubSpot) -> None:
        (ada,) = make(hubspot, 1)
        change = Change(1, (1,), {"hs_object_id": int(ada)}, {})
        assert send(hubspot, "contacts", "erase", change)[1] == Outcome(1, Status.DELETED, ada)

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (Answer(200, {"status": "error"}), UnknownOutcomeError),
            (Answer(429, b""), RateLimitedError),
        ],
    )
    def test_what_is_no_answer(self, stub: Stub, answer: Answer, error: type[Exception]) -> None:
        made = HubSpot(HubSpotConfig(type="hubspot", base_url=stub.url, access_token="t"), OpenGate())
        stub.answer(answer)
        with pytest.raises(error):
            send(made, "contacts", "erase", Change(1, (1,), {"hs_object_id": "7"}, {}))

    def test_a_404_is_made_sure_of(self, stub: Stub) -> None:
        made = HubSpot(HubSpotConfig(type="hubspot", base_url=stub.url, access_token="t"), OpenGate())
        change = Change(1, (1,), {"hs_object_id": "7"}, {})
        stub.answer(Answer(404, b"<html>"), Answer(207, {"results": [], "errors": [{}]}))
        assert send(made, "contacts", "erase", change)[1].status is Status.MISSING
        stub.answer(Answer(404, b"<html>"), Answer(200, {"results": [{"id": "7", "properties": {}}]}))
        with pytest.raises(FatalError, match="404"):
            send(made, "contacts", "erase", change)

    @pytest.mark.parametrize(("name", "can"), [("contacts", True), ("0-1", True), ("companies", False), ("2-1", False)])
    def test_only_contacts(self, hubspot: HubSpot, name: str, can: bool) -> None:
        kind = hubspot.object_type(name)
        assert kind is not None
        assert (Operation.ERASE in kind.operations) is can
        assert can or "contacts only" in kind.unsupported[Operation.ERASE]


class TestCreateField:
    VALUES = (
        (ColumnType.TEXT, "string", "a b", "a b"),
        (ColumnType.INTEGER, "number", 7, "7"),
        (ColumnType.DECIMAL, "number", Decimal("1.50"), "1.50"),
        (ColumnType.FLOAT, "number", 0.5, "0.5"),
        (ColumnType.BOOLEAN, "bool", True, "true"),
        (ColumnType.DATE, "date", date(2024, 2, 29), "2024-02-29"),
        (ColumnType.TIMESTAMP, "datetime", datetime(2024, 2, 29, 1), "2024-02-29T01:00:00.000Z"),
        (ColumnType.TIME, "string", datetime(2024, 2, 29, 1).time(), "01:00:00"),
        (ColumnType.NESTED, "string", ["a", 1], '["a",1]'),
    )

    @pytest.mark.parametrize(("column", "kind", "value", "held"), VALUES)
    def test_it_takes_the_values_of_its_column(
        self, hubspot: HubSpot, column: ColumnType, kind: str, value: Any, held: str
    ) -> None:
        info = hubspot.create_field("contacts", "plan_seats", column)
        assert (info.name, info.type, info.label, info.writable) == ("plan_seats", kind, "Plan seats", True)
        assert info in hubspot.describe("contacts")
        send(hubspot, "contacts", "upsert", person(1, plan_seats=hubspot.encoder(column, info)(value)))
        (found,) = hubspot.read("contacts", "email", ["p1@x.test"], ["plan_seats"])
        assert found.fields == {"plan_seats": held}

    def test_its_group_is_made_once(self, sandbox: Sandbox, hubspot: HubSpot) -> None:
        hubspot.config = hubspot.config.model_copy(update={"property_group": "product_usage"})
        for name in ("a", "b"):
            hubspot.create_field("companies", name, ColumnType.TEXT)
        hub = cast("StandIn", sandbox.vendor("hubspot")).hub
        kind = hub.kind("companies")
        assert hub.groups(kind)["product_usage"]["label"] == "Product usage"
        assert {hub.property(kind, name).group for name in ("a", "b")} == {"product_usage"}

    @pytest.mark.parametrize("name", ["Plan", "1st", "a-b", "associations.nothing.Boss"])
    def test_names(self, sandbox: Sandbox, hubspot: HubSpot, name: str) -> None:
        with pytest.raises(FatalError, match="lower-case letters"):
            hubspot.create_field("contacts", name, ColumnType.TEXT)
        assert sandbox.requests() == []

    def test_one_that_is_there(self, hubspot: HubSpot) -> None:
        with pytest.raises(BatchRejectedError, match="already exists"):
            hubspot.create_field("contacts", "email", ColumnType.TEXT)

    def test_an_answer_that_says_nothing(self, stub: Stub) -> None:
        made = HubSpot(HubSpotConfig(type="hubspot", base_url=stub.url, access_token="t"), OpenGate())
        stub.answer(Answer(200, {}))
        with pytest.raises(UnknownOutcomeError):
            made.create_field("contacts", "plan", ColumnType.TEXT)

    def test_lists_have_none(self, hubspot: HubSpot) -> None:
        assert [hubspot.object_type(name).creates_fields for name in ("contacts", TRIALS, LOGIN)] == [
            True,
            False,
            True,
        ]  # type: ignore[union-attr] # all are known


class TestOAuth:
    @pytest.fixture
    def settings(self, sandbox: Sandbox) -> dict[str, Any]:
        client = cast("StandIn", sandbox.vendor("hubspot")).oauth_client()
        return {"type": "hubspot", "base_url": sandbox.url("hubspot"), **vars(client)}

    def test_a_token_is_fetched_once_and_again_when_it_was_refused(
        self, sandbox: Sandbox, settings: dict[str, Any]
    ) -> None:
        hubspot = HubSpot(HubSpotConfig(**settings), OpenGate())
        make(hubspot, 1)
        hubspot.check()
        assert hubspot.renew()
        hubspot.check()
        paths = [line.path for line in sandbox.requests()]
        # A request is written down once it is answered, and the token is fetched in the middle of another.
        assert paths.count("/hubspot/oauth/2026-09/token") == 2
        assert len(paths) == 5

    def test_before_it_ends(self, stub: Stub, settings: dict[str, Any]) -> None:
        hubspot = HubSpot(HubSpotConfig(**{**settings, "base_url": stub.url}), OpenGate())
        short = Answer(200, {"access_token": "short", "expires_in": 30})
        details = Answer(200, {"portalId": 1})
        stub.answer(short, details, short, details)
        hubspot.check()
        hubspot.check()
        assert [asked.path.rpartition("/")[2] for asked in stub.asked] == ["token", "details"] * 2
        assert "Authorization" not in stub.asked[0].headers
        assert stub.last.headers["Authorization"] == "Bearer short"

    @pytest.mark.parametrize("name", ["client_secret", "refresh_token"])
    def test_wrong_credentials(self, settings: dict[str, Any], name: str) -> None:
        hubspot = HubSpot(HubSpotConfig(**{**settings, name: "wr0ng"}), OpenGate())
        with pytest.raises(UnauthorizedError, match="HubSpot gives no token: missing or") as caught:
            hubspot.check()
        assert "wr0ng" not in str(caught.value) + repr(hubspot.config)

    def test_trouble_at_the_token(self, stub: Stub, settings: dict[str, Any]) -> None:
        hubspot = HubSpot(HubSpotConfig(**{**settings, "base_url": stub.url}), OpenGate())
        stub.answer(Answer(429, b""))
        with pytest.raises(RateLimitedError):
            hubspot.check()

    @pytest.mark.parametrize(
        "answer", [Answer(500), Answer(502, b"<html>"), Answer(200, b"<html>"), Answer(200, {}), Answer(200, b"")]
    )
    def test_without_a_token_nothing_was_written(self, stub: Stub, settings: dict[str, Any], answer: Answer) -> None:
        hubspot = HubSpot(HubSpotConfig(**{**settings, "base_url": stub.url}), OpenGate())
        stub.answer(answer)
        change = Change(1, (1,), {"email": "a@x.test"}, {"plan": "pro"})
        with pytest.raises(RetryableError, match="no token"):
            hubspot.write(Batch(LOGIN, Operation.APPEND, [change], uuid.UUID(int=7)))
        assert [asked.path.rpartition("/")[2] for asked in stub.asked] == ["token"]

    def test_a_key_is_not_renewed(self, hubspot: HubSpot) -> None:
        assert not hubspot.renew()

    @pytest.mark.parametrize(
        ("given", "problem"),
        [
            ({"client_id": "a"}, "OAuth lacks `client_secret`, `refresh_token`"),
            ({"access_token": "t", "client_id": "a"}, "exclude each other"),
            ({}, "`access_token` is missing"),
        ],
    )
    def test_settings(self, given: dict[str, str], problem: str) -> None:
        with pytest.raises(ValidationError, match=problem):
            HubSpotConfig(type="hubspot", **given)

    def test_secrets_do_not_leave_for_the_sandbox(self, settings: dict[str, Any]) -> None:
        mine = HubSpotConfig(**settings).in_sandbox("http://127.0.0.1:1", "key")
        assert mine.secrets() == ["key"]


@pytest.mark.parametrize("name", ["contacts", "companies", "2-1", TRIALS, LOGIN])
def test_what_an_object_cannot_do_is_said(hubspot: HubSpot, name: str) -> None:
    kind = hubspot.object_type(name)
    assert kind is not None
    assert kind.name == name
    assert set(kind.operations).isdisjoint(kind.unsupported)
    assert {*kind.operations, *kind.unsupported} == set(Operation)
    assert kind.idempotent <= set(kind.operations)


@pytest.mark.parametrize(
    "name", ["lists/", "lists/a", "lists/1/2", "lists", "events/", "events/a b", "events/a/b", "event/a"]
)
def test_names_that_are_no_object(hubspot: HubSpot, name: str) -> None:
    assert hubspot.object_type(name) is None
