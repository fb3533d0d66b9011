from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

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
    QuotaExhaustedError,
    RateLimitedError,
    RetryableError,
    Status,
    UnauthorizedError,
    UnknownOutcomeError,
)
from revetl_dbt.destinations.hubspot import HubSpot, HubSpotConfig

from .stub import Answer, Asked, OpenGate, Stub

NAMESPACE = uuid.UUID(int=7)
ADA = Change(1, (1,), {"email": "Ada@x.test"}, {"firstname": "Ada"})
BOB = Change(2, (2,), {"email": "bob@x.test"}, {"firstname": "Bob"})
TOKEN = "pat-na1-secret"


@pytest.fixture
def gate() -> OpenGate:
    return OpenGate()


@pytest.fixture
def hubspot(stub: Stub, gate: OpenGate) -> Iterator[HubSpot]:
    made = HubSpot(HubSpotConfig(type="hubspot", base_url=stub.url, access_token=TOKEN), gate)
    yield made
    made.close()


def write(hubspot: HubSpot, operation: str, *changes: Change, kind: str = "contacts") -> dict[int, Outcome]:
    outcomes = list(hubspot.write(Batch(kind, Operation(operation), changes, NAMESPACE)))
    assert len(outcomes) == len(changes)
    return {outcome.seq: outcome for outcome in outcomes}


def complete(*results: dict[str, Any], **more: Any) -> Answer:
    return Answer(207 if "errors" in more else 200, {"status": "COMPLETE", "results": list(results), **more})


def inputs(asked: Asked) -> list[dict[str, Any]]:
    return asked.json["inputs"]


class TestUpsert:
    def test_the_request(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(complete({"id": "7", "new": True, "objectWriteTraceId": "1"}))
        write(hubspot, "upsert", ADA)
        assert (stub.last.method, stub.last.path) == ("POST", "/crm/objects/2026-09/contacts/batch/upsert")
        assert stub.last.headers["Authorization"] == f"Bearer {TOKEN}"
        assert inputs(stub.last) == [
            {
                "id": "Ada@x.test",
                "idProperty": "email",
                "objectWriteTraceId": "1",
                "properties": {"email": "Ada@x.test", "firstname": "Ada"},
            }
        ]

    def test_results_find_their_change_in_any_order(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(
            complete(
                {"id": "8", "new": False, "objectWriteTraceId": "2"},
                {"id": "7", "new": True, "objectWriteTraceId": "1"},
            )
        )
        outcomes = write(hubspot, "upsert", ADA, BOB)
        assert outcomes == {1: Outcome(1, Status.CREATED, "7"), 2: Outcome(2, Status.UPDATED, "8")}

    def test_without_trace_ids_the_unique_property_tells(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(
            complete(
                {"id": "8", "new": False, "properties": {"email": "bob@x.test"}},
                {"id": "7", "new": True, "properties": {"email": "ada@x.test"}},
            )
        )
        outcomes = write(hubspot, "upsert", ADA, BOB)
        assert (outcomes[1].id, outcomes[2].id) == ("7", "8")

    def test_a_refused_row_in_words(self, stub: Stub, hubspot: HubSpot) -> None:
        error = {
            "status": "error",
            "category": "VALIDATION_ERROR",
            "message": 'Property values were not valid: [{"isValid":false,"message":"nope was not a valid number.",'
            '"error":"INVALID_INTEGER","name":"score"}]',
            "context": {"objectWriteTraceId": ["2"]},
        }
        stub.answer(complete({"id": "7", "new": True, "objectWriteTraceId": "1"}, numErrors=1, errors=[error]))
        message = "Property values were not valid: `score`: nope was not a valid number."
        assert write(hubspot, "upsert", ADA, BOB)[2] == Outcome(2, Status.REJECTED, None, "INVALID_INTEGER", message)

    def test_a_record_with_a_known_id_is_updated_by_it(self, stub: Stub, hubspot: HubSpot) -> None:
        def answer(asked: Asked) -> Answer:
            (given,) = inputs(asked)
            new = {"new": True} if asked.path.endswith("upsert") else {}
            return complete(
                {
                    "id": "7" if "idProperty" not in given else "8",
                    "objectWriteTraceId": given["objectWriteTraceId"],
                    **new,
                }
            )

        stub.answer(answer)
        outcomes = write(hubspot, "upsert", ADA._replace(id="7"), BOB)
        assert [asked.path.rpartition("/")[2] for asked in stub.asked] == ["update", "upsert"]
        assert inputs(stub.asked[0])[0]["id"] == "7"
        assert inputs(stub.asked[0])[0]["properties"]["email"] == "Ada@x.test"
        assert outcomes == {1: Outcome(1, Status.UPDATED, "7"), 2: Outcome(2, Status.CREATED, "8")}

    def test_one_row_that_the_answer_does_not_mention_is_unknown(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(complete({"id": "7", "new": True, "objectWriteTraceId": "1"}))
        assert write(hubspot, "upsert", ADA, BOB)[2].status is Status.UNKNOWN

    @pytest.mark.parametrize("status", [200, 201, 207])
    @pytest.mark.parametrize("body", [{}, {"results": []}, {"results": None}, [], b"", b"<html>"])
    def test_a_success_that_says_nothing_is_unknown(self, stub: Stub, hubspot: HubSpot, status: int, body: Any) -> None:
        stub.answer(Answer(status, body))
        with pytest.raises(UnknownOutcomeError):
            write(hubspot, "upsert", ADA, BOB)
        assert len(stub.asked) == 1

    def test_record_ids_cannot_be_created(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(complete())
        with pytest.raises(FatalError, match="use `mode: update`"):
            write(hubspot, "upsert", ADA._replace(match={"other": ""}), ADA._replace(seq=3, match={}))


class TestUpdate:
    def test_by_record_id(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(complete({"id": "8", "properties": {}}, {"id": "7", "properties": {}}))
        by_match = BOB._replace(match={"hs_object_id": 8})
        outcomes = write(hubspot, "update", ADA._replace(id="7"), by_match)
        assert stub.last.path == "/crm/objects/2026-09/contacts/batch/update"
        assert [given["id"] for given in inputs(stub.last)] == ["7", "8"]
        assert inputs(stub.last)[1]["properties"] == {"firstname": "Bob"}
        assert outcomes == {1: Outcome(1, Status.UPDATED, "7"), 2: Outcome(2, Status.UPDATED, "8")}

    def test_an_unknown_id_is_looked_up(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(
            complete(
                {"id": "7", "properties": {"email": "new@x.test", "hs_additional_emails": "x@x.test;ada@x.test"}},
                numErrors=1,
                errors=[{"category": "OBJECT_NOT_FOUND", "context": {"ids": ["bob@x.test"]}}],
            ),
            complete({"id": "7", "properties": {"email": "ada@x.test"}}),
        )
        outcomes = write(hubspot, "update", ADA, BOB)
        assert [asked.path.rpartition("/")[2] for asked in stub.asked] == ["read", "update"]
        assert stub.asked[0].json["idProperty"] == "email"
        assert outcomes[1] == Outcome(1, Status.UPDATED, "7")
        assert outcomes[2].status is Status.MISSING

    def test_nothing_is_sent_when_no_record_is_there(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(complete(errors=[{"category": "OBJECT_NOT_FOUND", "context": {"ids": ["bob@x.test"]}}]))
        assert write(hubspot, "update", BOB)[2].status is Status.MISSING
        assert len(stub.asked) == 1

    def test_a_stale_id_that_the_answer_leaves_out_is_missing(self, stub: Stub, hubspot: HubSpot) -> None:
        gone = {"category": "OBJECT_NOT_FOUND", "message": "Could not get some objects", "context": {"ids": [""]}}
        stub.answer(complete({"id": "7"}, errors=[gone]), complete(errors=[gone]))
        outcomes = write(hubspot, "update", ADA._replace(id="7"), BOB._replace(id="8"))
        assert [asked.path.rpartition("/")[2] for asked in stub.asked] == ["update", "read"]
        assert (outcomes[1].status, outcomes[2].status) == (Status.UPDATED, Status.MISSING)

    def test_a_record_that_is_there_but_not_mentioned_is_unknown(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(complete({"id": "7"}), complete({"id": "8"}))
        outcomes = write(hubspot, "update", ADA._replace(id="7"), BOB._replace(id="8"))
        assert outcomes[2].status is Status.UNKNOWN

    def test_a_vendor_that_answers_nothing_at_all_proves_nothing(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(complete())
        with pytest.raises(UnknownOutcomeError):
            write(hubspot, "update", ADA._replace(id="7"), BOB._replace(id="8"))

    def test_a_lookup_after_the_write_cannot_make_it_worse(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(complete({"id": "7"}), Answer(429))
        outcomes = write(hubspot, "update", ADA._replace(id="7"), BOB._replace(id="8"))
        assert (outcomes[1].status, outcomes[2].status) == (Status.UPDATED, Status.UNKNOWN)

    def test_a_merged_record_answers_with_its_new_id(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(complete({"id": "99", "properties": {}}))
        assert write(hubspot, "update", ADA._replace(id="7", match={}))[1] == Outcome(1, Status.UPDATED, "99")


class TestCreate:
    """Answers to a create carry no trace ids (the example in "Error handling")."""

    DEAL = Change(1, (1,), {}, {"dealname": "A", "amount": "5"})
    OTHER = Change(2, (2,), {}, {"dealname": "B", "amount": ""})

    def test_results_are_told_apart_by_their_properties(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(
            complete(
                {"id": "8", "properties": {"dealname": "B", "amount": None}},
                {"id": "7", "properties": {"dealname": "A", "amount": "5"}},
            )
        )
        outcomes = write(hubspot, "create", self.DEAL, self.OTHER, kind="deals")
        assert inputs(stub.last)[0] == {
            "associations": [],
            "objectWriteTraceId": "1",
            "properties": {"dealname": "A", "amount": "5"},
        }
        assert outcomes == {1: Outcome(1, Status.CREATED, "7"), 2: Outcome(2, Status.CREATED, "8")}

    def test_what_cannot_be_told_apart_is_created_all_the_same(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(complete({"id": "8", "properties": {}}, {"id": "7", "properties": {}}))
        outcomes = write(hubspot, "create", self.DEAL, self.OTHER, kind="deals")
        assert outcomes == {1: Outcome(1, Status.CREATED), 2: Outcome(2, Status.CREATED)}

    def test_what_is_not_mentioned_is_unknown(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(complete({"id": "8", "properties": {}}))
        with pytest.raises(UnknownOutcomeError):
            write(hubspot, "create", self.DEAL, self.OTHER, kind="deals")

    def test_a_conflict_is_that_row_s(self, stub: Stub, hubspot: HubSpot) -> None:
        error = {
            "category": "CONFLICT",
            "message": "Contact already exists. Existing ID: 171591000198",
            "context": {"objectWriteTraceId": ["1"], "existingId": ["171591000198"]},
        }
        stub.answer(complete({"id": "8", "properties": {"email": "bob@x.test"}}, errors=[error]))
        outcomes = write(hubspot, "create", ADA, BOB)
        assert outcomes[1] == Outcome(
            1, Status.REJECTED, None, "CONFLICT", "Contact already exists. Existing ID: 171591000198"
        )
        assert outcomes[2] == Outcome(2, Status.CREATED, "8")


class TestArchive:
    def test_by_id_and_by_match(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(complete({"id": "8", "properties": {"email": "BOB@x.test"}}), Answer(204))
        gone = Change(3, (3,), {"email": "eve@x.test"}, {})
        outcomes = write(hubspot, "archive", ADA._replace(id="7"), BOB, gone)
        assert stub.last.path == "/crm/objects/2026-09/contacts/batch/archive"
        assert inputs(stub.last) == [{"id": "7"}, {"id": "8"}]
        assert {seq: (o.status, o.id) for seq, o in outcomes.items()} == {
            1: (Status.DELETED, "7"),
            2: (Status.DELETED, "8"),
            3: (Status.MISSING, None),
        }

    def test_a_record_is_named_once(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(Answer(204))
        outcomes = write(hubspot, "archive", ADA._replace(id="7"), BOB._replace(id="7"))
        assert inputs(stub.last) == [{"id": "7"}]
        assert all(outcome.status is Status.DELETED for outcome in outcomes.values())

    def test_a_refused_record(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(complete(errors=[{"category": "VALIDATION_ERROR", "message": "no", "context": {"ids": ["7"]}}]))
        outcomes = write(hubspot, "archive", ADA._replace(id="7"), BOB._replace(id="8"))
        assert outcomes[1] == Outcome(1, Status.REJECTED, "7", "VALIDATION_ERROR", "no")
        assert outcomes[2].status is Status.DELETED

    @pytest.mark.parametrize(("status", "body"), [(200, b""), (200, b"<html>"), (200, {}), (202, [])])
    def test_only_204_says_that_all_were_archived(self, stub: Stub, hubspot: HubSpot, status: int, body: Any) -> None:
        stub.answer(Answer(status, body))
        with pytest.raises(UnknownOutcomeError):
            write(hubspot, "archive", ADA._replace(id="7"))

    def test_permanent_deletes_are_not_offered(self, hubspot: HubSpot) -> None:
        kind = hubspot.object_type("contacts")
        assert kind is not None
        assert Operation.DELETE not in kind.operations
        assert "use `archive`" in kind.unsupported[Operation.DELETE]


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "body", "error", "wait"),
        [
            (400, {"message": "Duplicate IDs found", "category": "VALIDATION_ERROR"}, BatchRejectedError, None),
            (400, {"message": "x", "errors": [{"message": "y", "code": "PROPERTY_DOESNT_EXIST"}]}, FatalError, None),
            (401, {"message": "expired", "category": "EXPIRED_AUTHENTICATION"}, UnauthorizedError, None),
            (403, {"message": "no", "category": "MISSING_SCOPES"}, FatalError, None),
            (404, b"<html>", FatalError, None),
            (409, {"message": "conflict", "category": "CONFLICT"}, BatchRejectedError, None),
            (423, {"message": "locked"}, RetryableError, 2.0),
            (
                429,
                {"message": "You have reached your secondly limit.", "category": "RATE_LIMITS"},
                RateLimitedError,
                1.0,
            ),
            (429, {"policyName": "TEN_SECONDLY_ROLLING", "errorType": "RATE_LIMIT"}, RateLimitedError, 10.0),
            (429, b"", RateLimitedError, 10.0),
            (429, {"policyName": "DAILY"}, QuotaExhaustedError, None),
            (429, {"message": "You have reached your daily limit."}, QuotaExhaustedError, None),
            (500, {"message": "internal error"}, UnknownOutcomeError, None),
            (502, b"<html>", UnknownOutcomeError, None),
            (503, b"", RetryableError, None),
            (504, b"", UnknownOutcomeError, None),
            (521, b"", RetryableError, None),
            (524, b"", UnknownOutcomeError, None),
        ],
    )
    def test_classes(
        self, stub: Stub, hubspot: HubSpot, status: int, body: Any, error: type[DestinationError], wait: float | None
    ) -> None:
        stub.answer(Answer(status, body))
        with pytest.raises(DestinationError) as caught:
            write(hubspot, "upsert", ADA, BOB)
        assert type(caught.value) is error
        assert caught.value.retry_after == wait
        assert str(caught.value)
        assert len(stub.asked) == 1

    @pytest.mark.parametrize(("seconds", "error"), [("60", RetryableError), ("86400", QuotaExhaustedError)])
    def test_a_migration(self, stub: Stub, hubspot: HubSpot, seconds: str, error: type[DestinationError]) -> None:
        stub.answer(Answer(477, b"", {"Retry-After": seconds}))
        with pytest.raises(DestinationError) as caught:
            write(hubspot, "upsert", ADA)
        assert type(caught.value) is error
        assert caught.value.retry_after == float(seconds)

    def test_retry_after_wins(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(Answer(429, {"message": "secondly limit"}, {"Retry-After": "4"}))
        with pytest.raises(RateLimitedError) as caught:
            write(hubspot, "upsert", ADA)
        assert caught.value.retry_after == 4.0

    def test_the_scopes_that_are_missing_are_named(self, stub: Stub, hubspot: HubSpot) -> None:
        body = {
            "message": "This app hasn't been granted all required scopes to make this call.",
            "correlationId": "c-1",
            "category": "MISSING_SCOPES",
            "errors": [
                {
                    "message": "One or more of the following scopes are required.",
                    "context": {"requiredGranularScopes": ["crm.objects.contacts.write"]},
                }
            ],
        }
        stub.answer(Answer(403, body))
        with pytest.raises(FatalError, match=r"`crm\.objects\.contacts\.write`") as caught:
            write(hubspot, "upsert", ADA)
        assert (caught.value.request_id, caught.value.code) == ("c-1", "MISSING_SCOPES")

    def test_rate_limit_headers_reach_the_gate(self, stub: Stub, hubspot: HubSpot, gate: OpenGate) -> None:
        headers = {"X-HubSpot-RateLimit-Remaining": "87", "X-HubSpot-RateLimit-Interval-Milliseconds": "10000"}
        stub.answer(Answer(429, b"", headers), Answer(429, b"", {"X-HubSpot-RateLimit-Daily-Remaining": "5"}))
        for _ in range(2):
            with pytest.raises(RateLimitedError):
                write(hubspot, "upsert", ADA)
        assert gate.budgets == [Budget(87, 10.0)]

    def test_the_accounts_requests_are_left_to_others(self, stub: Stub, gate: OpenGate) -> None:
        config = HubSpotConfig(type="hubspot", base_url=stub.url, access_token="t", leave_requests=5)
        hubspot = HubSpot(config, gate)
        details = {"portalId": 1}
        daily = "X-HubSpot-RateLimit-Daily-Remaining"
        stub.answer(Answer(200, details), *(Answer(200, details, {daily: str(left)}) for left in (6, 5)))
        for _ in range(3):
            hubspot.check()
        with pytest.raises(QuotaExhaustedError, match="5 API requests are left") as caught:
            hubspot.check()
        assert caught.value.code == "leave_requests"
        assert len(stub.asked) == 3
        hubspot.close()


class TestAccount:
    DETAILS: ClassVar = {"portalId": 62515, "uiDomain": "app-eu1.hubspot.com", "portalName": "Ducks", "timeZone": "UTC"}

    def test_check_names_the_account(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(Answer(200, self.DETAILS))
        account = hubspot.check()
        assert (stub.last.method, stub.last.path) == ("GET", "/account-info/2026-09/details")
        assert (account.id, account.name) == ("62515", "Ducks")

    def test_links_to_records(self, stub: Stub, hubspot: HubSpot) -> None:
        assert hubspot.record_url("contacts", "7") is None
        stub.answer(Answer(200, self.DETAILS))
        hubspot.check()
        assert hubspot.record_url("deals", "7") == "https://app-eu1.hubspot.com/contacts/62515/record/0-3/7"
        assert hubspot.record_url("2-123", "a/b") == "https://app-eu1.hubspot.com/contacts/62515/record/2-123/a%2Fb"
        assert hubspot.record_url("p1_car", "7") is None

    def test_another_account_than_expected(self, stub: Stub) -> None:
        stub.answer(Answer(200, self.DETAILS))
        config = HubSpotConfig(type="hubspot", base_url=stub.url, access_token=TOKEN, portal_id=1)
        with pytest.raises(FatalError, match="opens account 62515, not 1"):
            HubSpot(config, OpenGate()).check()

    def test_v3_paths(self, stub: Stub) -> None:
        config = HubSpotConfig(type="hubspot", base_url=stub.url, access_token=TOKEN, api_version="v3")
        hubspot = HubSpot(config, OpenGate())
        stub.answer(Answer(200, self.DETAILS), complete({"id": "7", "new": True}), Answer(200, {"results": []}))
        hubspot.check()
        write(hubspot, "upsert", ADA)
        hubspot.describe("p1_my car/x")
        assert [asked.path for asked in stub.asked] == [
            "/account-info/v3/details",
            "/crm/v3/objects/contacts/batch/upsert",
            "/crm/v3/properties/p1_my%20car%2Fx",
        ]


class TestConfig:
    def test_the_token_is_required_and_secret(self) -> None:
        with pytest.raises(ValidationError, match="`access_token` is missing"):
            HubSpotConfig(type="hubspot")
        config = HubSpotConfig(type="hubspot", access_token=TOKEN)
        assert config.secrets() == [TOKEN]
        assert TOKEN not in repr(config) + repr(HubSpot(config, OpenGate()))

    def test_the_vendors_own_host_is_the_default(self) -> None:
        assert (
            HubSpot(HubSpotConfig(type="hubspot", access_token=TOKEN), OpenGate()).base_url()
            == "https://api.hubapi.com"
        )

    def test_without_a_sandbox_nothing_goes_to_the_vendor(self) -> None:
        with pytest.raises(FatalError, match="no sandbox is running"):
            HubSpot(HubSpotConfig(type="hubspot", sandbox=True), OpenGate())

    @pytest.mark.parametrize("version", ["v1", "2026", "2026-09/../x", "latest"])
    def test_versions(self, version: str) -> None:
        with pytest.raises(ValidationError):
            HubSpotConfig(type="hubspot", access_token=TOKEN, api_version=version)

    @pytest.mark.parametrize(
        ("name", "known"),
        [
            ("contacts", True),
            ("0-1", True),
            ("2-3456", True),
            ("p12_car", True),
            ("cars", False),
            ("p12_a/b", False),
            ("", False),
        ],
    )
    def test_objects(self, hubspot: HubSpot, name: str, known: bool) -> None:
        assert (hubspot.object_type(name) is not None) is known


class TestDescribe:
    def test_properties(self, stub: Stub, hubspot: HubSpot) -> None:
        properties = [
            {"name": "email", "label": "Email", "type": "string", "hasUniqueValue": False, "options": []},
            {"name": "hs_object_id", "type": "number", "modificationMetadata": {"readOnlyValue": True}},
            {"name": "age", "type": "number", "calculated": True},
            {"name": "ref", "type": "string", "hasUniqueValue": True},
            {"name": "plan", "type": "enumeration", "options": [{"label": "Pro", "value": "pro"}, {"value": "free"}]},
            {"name": "owner", "type": "enumeration", "externalOptions": True, "options": [{"value": "1"}]},
            {"name": "vip", "type": "bool", "options": [{"value": "true"}, {"value": "false"}]},
        ]
        stub.answer(Answer(200, {"results": properties}))
        assert list(hubspot.describe("contacts")) == [
            FieldInfo("email", "string", "Email", unique=True, conclusive=True),
            FieldInfo("hs_object_id", "number", writable=False, unique=True, conclusive=True),
            FieldInfo("age", "number", writable=False),
            FieldInfo("ref", "string", unique=True, conclusive=True),
            FieldInfo("plan", "enumeration", options=("pro", "free")),
            FieldInfo("owner", "enumeration"),
            FieldInfo("vip", "bool"),
        ]
        assert stub.last.path == "/crm/properties/2026-09/contacts"

    @pytest.mark.parametrize("status", [400, 404])
    def test_an_unknown_object(self, stub: Stub, hubspot: HubSpot, status: int) -> None:
        stub.answer(Answer(status, {"message": "Unable to infer object type from: 2-9"}))
        with pytest.raises(FatalError, match="HubSpot has no object `2-9`"):
            hubspot.describe("2-9")


class TestRead:
    def test_by_email(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(complete({"id": "7", "properties": {"email": "ada@x.test", "firstname": "Ada"}}))
        found = list(hubspot.read("contacts", "email", ["Ada@x.test", "gone@x.test"], ["firstname", "phone"]))
        assert found == [Found("7", "Ada@x.test", {"firstname": "Ada", "phone": None})]
        assert stub.last.json == {
            "idProperty": "email",
            "inputs": [{"id": "Ada@x.test"}, {"id": "gone@x.test"}],
            "properties": ["firstname", "phone", "email", "hs_additional_emails"],
            "propertiesWithHistory": [],
        }

    def test_by_record_id(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(complete({"id": "7", "properties": {"firstname": "Ada"}}))
        assert list(hubspot.read("contacts", "hs_object_id", [7], ["firstname"])) == [
            Found("7", 7, {"firstname": "Ada"})
        ]
        assert "idProperty" not in stub.last.json

    def test_of_nothing(self, stub: Stub, hubspot: HubSpot) -> None:
        stub.answer(Answer(500))
        assert list(hubspot.read("contacts", "email", [], ["firstname"])) == []
        assert stub.asked == []


UTC_PLUS_9 = timezone(timedelta(hours=9))


class TestEncoder:
    @pytest.mark.parametrize(
        ("column", "kind", "value", "text"),
        [
            (ColumnType.TEXT, "string", " naïve 漢字 ", " naïve 漢字 "),
            (ColumnType.INTEGER, "number", 10**30, "1" + "0" * 30),
            (ColumnType.DECIMAL, "number", Decimal("1E+3"), "1000"),
            (ColumnType.DECIMAL, "number", Decimal("0.10"), "0.10"),
            (ColumnType.DECIMAL, "number", Decimal("1E-9"), "0.000000001"),
            (ColumnType.FLOAT, "number", 0.1, "0.1"),
            (ColumnType.FLOAT, "number", 1e22, "10000000000000000000000"),
            (ColumnType.FLOAT, "number", 1e-7, "0.0000001"),
            (ColumnType.FLOAT, "number", 3.0, "3"),
            (ColumnType.BOOLEAN, "bool", True, "true"),
            (ColumnType.BOOLEAN, None, False, "false"),
            (ColumnType.DATE, "date", date(2024, 2, 29), "2024-02-29"),
            (ColumnType.DATE, None, date(2024, 2, 29), "2024-02-29"),
            (ColumnType.DATE, "datetime", date(2024, 2, 29), "2024-02-29T00:00:00.000Z"),
            (ColumnType.TIMESTAMP, "datetime", datetime(2024, 2, 29, 1, 2, 3, 456789), "2024-02-29T01:02:03.456Z"),
            (ColumnType.TIMESTAMPTZ, None, datetime(2024, 3, 1, 1, tzinfo=UTC_PLUS_9), "2024-02-29T16:00:00.000Z"),
            (ColumnType.TIMESTAMPTZ, "date", datetime(2024, 3, 1, 1, tzinfo=UTC_PLUS_9), "2024-02-29"),
            (ColumnType.TIME, "string", time(1, 2, 3), "01:02:03"),
            (ColumnType.NESTED, "enumeration", ["a", "b c", None, 3, True], "a;b c;3;true"),
            (ColumnType.NESTED, "enumeration", [], ""),
            (ColumnType.NESTED, "string", ["a", Decimal("0.10")], '["a",0.10]'),
            (ColumnType.NESTED, "string", {"ä": [1, None]}, '{"ä":[1,null]}'),
            (ColumnType.NESTED, "string", '{"a": 1}', '{"a": 1}'),
        ],
    )
    def test_values(self, hubspot: HubSpot, column: ColumnType, kind: str | None, value: Any, text: str) -> None:
        assert hubspot.encoder(column, None if kind is None else FieldInfo("f", kind))(value) == text

    @pytest.mark.parametrize("column", list(ColumnType))
    @pytest.mark.parametrize("kind", [None, "string", "number", "bool", "enumeration", "date", "datetime"])
    def test_null_clears(self, hubspot: HubSpot, column: ColumnType, kind: str | None) -> None:
        assert hubspot.encoder(column, None if kind is None else FieldInfo("f", kind))(None) == ""

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            (ColumnType.FLOAT, float("inf")),
            (ColumnType.DECIMAL, Decimal("NaN")),
            (ColumnType.NESTED, ["a;b"]),
            (ColumnType.NESTED, ["", "a"]),
        ],
    )
    def test_what_has_no_representation(self, hubspot: HubSpot, column: ColumnType, value: Any) -> None:
        with pytest.raises(ValueError, match=r"number|checkbox"):
            hubspot.encoder(column, FieldInfo("f", "enumeration"))(value)
