from __future__ import annotations

import json
import threading
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
    Change,
    ColumnType,
    FatalError,
    Operation,
    Outcome,
    RateLimitedError,
    RetryableError,
    Status,
    UnauthorizedError,
    UnknownOutcomeError,
)
from revetl_dbt.destinations.http import Http, HttpConfig

from .stub import Answer, Asked, OpenGate, Stub

NAMESPACE = uuid.UUID(int=7)
ADA = Change(1, (1,), {"user_id": 1}, {"name": "Ada"})
BOB = Change(2, (2,), {"user_id": 2}, {"name": None})


def config(operations: dict[str, Any], url: str | None = "http://127.0.0.1:9", **more: Any) -> HttpConfig:
    return HttpConfig.model_validate(
        {"type": "http", "base_url": url, "objects": {"users": {"operations": operations}}, **more}
    )


def problems(operations: dict[str, Any], **more: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        config(operations, **more)
    return str(caught.value)


@pytest.fixture
def send(stub: Stub) -> Iterator[Any]:
    """Send changes with one operation, described by its settings; the outcomes come back as a list."""
    made: list[Http] = []

    def send(operation: str, settings: dict[str, Any], *changes: Change, **more: Any) -> list[Outcome]:
        made.append(Http(config({operation: settings}, stub.url, **more), OpenGate()))
        return list(made[-1].write(Batch("users", Operation(operation), changes, NAMESPACE)))

    yield send
    for destination in made:
        destination.close()


class TestBody:
    def test_a_record_holds_match_and_fields_typed(self, stub: Stub, send: Any) -> None:
        assert send("upsert", {"path": "/users"}, ADA) == [Outcome(1, Status.ACCEPTED)]
        assert (stub.last.method, stub.last.path) == ("POST", "/users")
        assert stub.last.json == {"user_id": 1, "name": "Ada"}
        assert stub.last.headers["Content-Type"] == "application/json"

    def test_an_array(self, stub: Stub, send: Any) -> None:
        send("upsert", {"path": "/users", "body": "array"}, ADA, BOB)
        assert stub.last.json == [{"user_id": 1, "name": "Ada"}, {"user_id": 2, "name": None}]

    def test_an_envelope_with_constants(self, stub: Stub, send: Any) -> None:
        settings = {
            "path": "/u",
            "body": "array",
            "envelope": "input",
            "constants": {"action": "createOrUpdate", "n": 1},
        }
        send("upsert", settings, ADA)
        assert stub.last.json == {"action": "createOrUpdate", "n": 1, "input": [{"user_id": 1, "name": "Ada"}]}

    def test_ndjson(self, stub: Stub, send: Any) -> None:
        send("upsert", {"path": "/u", "body": "ndjson"}, ADA, BOB)
        assert stub.last.body == b'{"user_id":1,"name":"Ada"}\n{"user_id":2,"name":null}\n'
        assert stub.last.headers["Content-Type"] == "application/x-ndjson"

    def test_fields_nest_and_the_known_id_is_a_field(self, stub: Stub, send: Any) -> None:
        send("update", {"path": "/u", "nest": "traits", "id_field": "id"}, ADA._replace(id="r7"))
        assert stub.last.json == {"user_id": 1, "traits": {"name": "Ada"}, "id": "r7"}

    def test_values_are_exact(self, stub: Stub, send: Any) -> None:
        fields = {
            "price": Decimal("12345678901234567890.10"),
            "small": Decimal("1E-7"),
            "day": date(2024, 2, 29),
            "at": datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=timezone.utc),
            "clock": time(1, 2, 3),
            "big": 2**80,
            "flag": True,
            "tags": ["a", 1, None],
            "nested": {"ключ": [Decimal("0.1")]},
            "text": 'naïve 漢字 \u2028 🦆 " \\',
        }
        send("upsert", {"path": "/u"}, Change(1, (1,), {}, fields))
        sent = json.loads(stub.last.body, parse_float=Decimal)
        assert sent == {**fields, "day": "2024-02-29", "at": "2024-02-29T01:02:03.000004Z", "clock": "01:02:03"}
        assert b"12345678901234567890.10" in stub.last.body

    def test_a_delete_has_no_body(self, stub: Stub, send: Any) -> None:
        stub.answer(Answer(204))
        assert send("delete", {"path": "/users/{user_id}", "method": "DELETE"}, ADA) == [Outcome(1, Status.DELETED)]
        assert (stub.last.path, stub.last.body) == ("/users/1", b"")
        assert "Content-Type" not in stub.last.headers


class TestPath:
    SETTINGS: ClassVar = {"path": "/users/{user_id}/x?by={user_id}", "method": "PUT"}

    @pytest.mark.parametrize(
        ("value", "path"),
        [
            ("a/b?c#d", "/users/a%2Fb%3Fc%23d/x?by=a%2Fb%3Fc%23d"),
            ("ä b&c", "/users/%C3%A4%20b%26c/x?by=%C3%A4%20b%26c"),
            ("%2e%2e", "/users/%252e%252e/x?by=%252e%252e"),
            ("..%2f..", "/users/..%252f../x?by=..%252f.."),
            (Decimal("1.50"), "/users/1.50/x?by=1.50"),
            (True, "/users/true/x?by=true"),
            (date(2024, 1, 2), "/users/2024-01-02/x?by=2024-01-02"),
        ],
    )
    def test_values_are_percent_encoded(self, stub: Stub, send: Any, value: Any, path: str) -> None:
        send("update", self.SETTINGS, ADA._replace(match={"user_id": value}))
        assert stub.last.path == path

    @pytest.mark.parametrize("value", [None, "", ".", ".."])
    def test_a_value_that_would_name_another_path_is_rejected_unsent(self, stub: Stub, send: Any, value: Any) -> None:
        stub.answer(Answer())
        outcome = send(
            "delete", {"path": "/users/{user_id}", "method": "DELETE"}, ADA._replace(match={"user_id": value})
        )
        assert [(o.seq, o.status, o.code) for o in outcome] == [(1, Status.REJECTED, "path_value")]
        assert stub.asked == []

    def test_the_destinations_id(self, stub: Stub, send: Any) -> None:
        settings = {"path": "/users/{id}", "method": "PATCH"}
        send("update", settings, ADA._replace(id="r/7"))
        assert stub.last.path == "/users/r%2F7"
        assert [o.status for o in send("update", settings, ADA)] == [Status.REJECTED]

    @pytest.mark.parametrize("status", [404, 410])
    def test_a_record_that_is_not_there_is_missing(self, stub: Stub, send: Any, status: int) -> None:
        stub.answer(Answer(status, {"title": "no such user"}))
        outcome = send("update", {"path": "/users/{user_id}", "method": "PUT"}, ADA)
        assert [(o.status, o.code) for o in outcome] == [(Status.MISSING, str(status))]
        with pytest.raises(FatalError):
            send("upsert", {"path": "/users/{user_id}", "method": "PUT"}, ADA)


class TestStatus:
    @pytest.mark.parametrize(
        ("operation", "status"),
        [
            ("upsert", Status.ACCEPTED),
            ("update", Status.UPDATED),
            ("create", Status.CREATED),
            ("append", Status.CREATED),
            ("delete", Status.DELETED),
            ("archive", Status.DELETED),
        ],
    )
    def test_any_2xx_accepts_all(self, stub: Stub, send: Any, operation: str, status: Status) -> None:
        stub.answer(Answer(202, b"not even JSON"))
        settings = {"path": "/u", "body": "array"}
        assert send(operation, settings, ADA, BOB) == [Outcome(1, status), Outcome(2, status)]

    def test_201_for_one_record_is_created(self, stub: Stub, send: Any) -> None:
        stub.answer(Answer(201))
        assert send("upsert", {"path": "/u"}, ADA) == [Outcome(1, Status.CREATED)]

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (400, BatchRejectedError),
            (401, UnauthorizedError),
            (403, FatalError),
            (404, FatalError),
            (409, BatchRejectedError),
            (413, BatchRejectedError),
            (422, BatchRejectedError),
            (423, RetryableError),
            (429, RateLimitedError),
            (500, UnknownOutcomeError),
            (502, UnknownOutcomeError),
            (503, RetryableError),
            (302, FatalError),
        ],
    )
    def test_classes(self, stub: Stub, send: Any, status: int, error: type[Exception]) -> None:
        stub.answer(Answer(status, headers={"Location": "/elsewhere", "X-Request-Id": "q1"}))
        with pytest.raises(error) as caught:
            send("upsert", {"path": "/u"}, ADA)
        assert type(caught.value) is error
        assert len(stub.asked) == 1
        assert caught.value.request_id == "q1"  # type: ignore[attr-defined]

    def test_retry_after(self, stub: Stub, send: Any) -> None:
        stub.answer(
            Answer(429, headers={"Retry-After": "7"}),
            Answer(
                429,
                headers={"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"},
            ),
            Answer(429, headers={"Retry-After": "soon"}),
        )
        waits = []
        for _ in range(3):
            with pytest.raises(RateLimitedError) as caught:
                send("upsert", {"path": "/u"}, ADA)
            waits.append(caught.value.retry_after)
        assert waits == [7.0, 30.0, None]

    def test_the_vendors_words(self, stub: Stub, send: Any) -> None:
        stub.answer(Answer(400, {"error": {"message": "name is too long"}}))
        with pytest.raises(BatchRejectedError, match=r"^400 Bad Request: name is too long$"):
            send("upsert", {"path": "/u"}, ADA, error="error.message")
        stub.answer(Answer(422, {"title": "Invalid", "detail": "age must be positive"}))
        with pytest.raises(BatchRejectedError, match="age must be positive"):
            send("upsert", {"path": "/u"}, ADA)
        stub.answer(Answer(502, b"<html>"))
        with pytest.raises(UnknownOutcomeError, match=r"^502 Bad Gateway$"):
            send("upsert", {"path": "/u"}, ADA)

    def test_a_connection_that_never_was_is_worth_another_try(self) -> None:
        destination = Http(config({"upsert": {"path": "/u"}}, "http://127.0.0.1:1"), OpenGate())
        with pytest.raises(RetryableError) as caught:
            list(destination.write(Batch("users", Operation.UPSERT, [ADA], NAMESPACE)))
        assert caught.value.code == "unreachable"

    def test_a_connection_that_broke_is_unknown(self, stub: Stub, send: Any) -> None:
        stub.answer(Answer(drop=True))
        with pytest.raises(UnknownOutcomeError):
            send("upsert", {"path": "/u"}, ADA)
        assert len(stub.asked) == 1

    def test_an_answer_that_does_not_come_is_unknown(self, stub: Stub, send: Any) -> None:
        end = threading.Event()

        def stall(asked: Asked) -> Answer:
            end.wait(5)
            return Answer()

        stub.answer(stall)
        with pytest.raises(UnknownOutcomeError) as caught:
            send("upsert", {"path": "/u"}, ADA, timeout=0.1)
        end.set()
        assert caught.value.code == "timeout"


class TestResults:
    ARRAY: ClassVar = {"path": "/u", "body": "array"}

    def test_by_position(self, stub: Stub, send: Any) -> None:
        response = {
            "results": "data.rows",
            "ok": {"path": "success"},
            "created": {"path": "new"},
            "error": "errors.0.message",
            "code": "errors.0.code",
            "id": "id",
        }
        rows = [
            {"success": True, "new": True, "id": 7},
            {"success": False, "errors": [{"message": "name is missing", "code": "E1"}]},
        ]
        stub.answer(Answer(200, {"data": {"rows": rows}}))
        assert send("upsert", {**self.ARRAY, "response": response}, ADA, BOB) == [
            Outcome(1, Status.CREATED, "7"),
            Outcome(2, Status.REJECTED, None, "E1", "name is missing"),
        ]

    def test_as_many_results_as_records(self, stub: Stub, send: Any) -> None:
        stub.answer(Answer(200, [{}]))
        with pytest.raises(UnknownOutcomeError, match="1 results for 2 records"):
            send("upsert", {**self.ARRAY, "response": {}}, ADA, BOB)

    def test_by_match_value_in_any_order(self, stub: Stub, send: Any) -> None:
        response = {"join": "match", "at": "ref.user", "error": "error"}
        stub.answer(Answer(200, [{"ref": {"user": "2"}, "error": "no"}, {"ref": {"user": 1}}]))
        assert send("upsert", {**self.ARRAY, "response": response}, ADA, BOB) == [
            Outcome(1, Status.ACCEPTED),
            Outcome(2, Status.REJECTED, None, None, "no"),
        ]

    def test_only_errors_by_index(self, stub: Stub, send: Any) -> None:
        response = {
            "results": "errors",
            "join": "index",
            "at": "batch_index",
            "error": "reason",
            "unlisted": "accepted",
        }
        stub.answer(Answer(207, {"errors": [{"batch_index": 1, "reason": "bad"}]}))
        outcomes = send("append", {**self.ARRAY, "response": response}, ADA, BOB)
        assert [o.status for o in outcomes] == [Status.CREATED, Status.REJECTED]

    def test_missing_and_retry(self, stub: Stub, send: Any) -> None:
        response = {
            "ok": {"path": "status", "values": ["ok"]},
            "missing": {"path": "status", "values": [404, "gone"]},
            "retry": {"path": "status", "values": ["locked"]},
        }
        stub.answer(Answer(200, [{"status": "gone"}, {"status": "locked"}]))
        outcomes = send("update", {**self.ARRAY, "response": response}, ADA, BOB)
        assert [o.status for o in outcomes] == [Status.MISSING, Status.RETRY]

    def test_one_record_one_result(self, stub: Stub, send: Any) -> None:
        stub.answer(Answer(200, {"user": {"id": "u1"}}))
        settings = {"path": "/u", "response": {"results": "user", "id": "id"}}
        assert send("create", settings, ADA) == [Outcome(1, Status.CREATED, "u1")]

    @pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"results": {}}', b"null"])
    def test_a_success_without_results_is_unknown(self, stub: Stub, send: Any, body: bytes) -> None:
        stub.answer(Answer(200, body))
        with pytest.raises(UnknownOutcomeError):
            send("upsert", {**self.ARRAY, "response": {"results": "results"}}, ADA, BOB)

    def test_results_of_nobody_are_unknown(self, stub: Stub, send: Any) -> None:
        stub.answer(Answer(200, [{"index": 0}, {"index": 0}]))
        with pytest.raises(UnknownOutcomeError):
            send("upsert", {**self.ARRAY, "response": {"join": "index"}}, ADA, BOB)

    def test_an_unlisted_record_is_unknown(self, stub: Stub, send: Any) -> None:
        stub.answer(Answer(200, [{"index": 1}]))
        outcomes = send("upsert", {**self.ARRAY, "response": {"join": "index"}}, ADA, BOB)
        assert [o.status for o in outcomes] == [Status.UNKNOWN, Status.ACCEPTED]


class TestIdempotency:
    def test_keys_repeat_with_the_content_only(self, stub: Stub, send: Any) -> None:
        settings = {"path": "/u", "idempotency_key": "Idempotency-Key", "idempotency_field": "message_id"}
        keys = []
        for change in (ADA, ADA, ADA._replace(fields={"name": "Eve"})):
            send("append", settings, change)
            keys.append((stub.last.headers["Idempotency-Key"], stub.last.json["message_id"]))
        assert keys[0] == keys[1]
        assert not set(keys[0]) & set(keys[2])

    @pytest.mark.parametrize(
        ("settings", "idempotent"),
        [
            ({}, {"upsert", "update", "delete"}),
            ({"idempotency_field": "id"}, {"upsert", "update", "delete", "create", "append"}),
            ({"idempotency_key": "Key"}, {"upsert", "update", "delete", "create", "append"}),
            ({"idempotency_key": "Key", "body": "array"}, {"upsert", "update", "delete"}),
            (
                {"idempotency_key": "Key", "body": "array", "idempotent": True},
                {"upsert", "update", "delete", "create", "append"},
            ),
            ({"idempotent": False}, set()),
        ],
    )
    def test_what_may_be_sent_twice(self, settings: dict[str, Any], idempotent: set[str]) -> None:
        names = ("upsert", "update", "create", "append", "delete")
        kind = Http(config({name: {"path": "/u", **settings} for name in names}), OpenGate()).object_type("users")
        assert kind is not None
        assert {operation.value for operation in kind.idempotent} == idempotent


class TestAuth:
    @pytest.mark.parametrize(
        ("auth", "header", "value"),
        [
            ({"type": "bearer", "token": "s3cret"}, "Authorization", "Bearer s3cret"),
            ({"type": "basic", "username": "ä", "password": "s3cret"}, "Authorization", "Basic w6Q6czNjcmV0"),
            ({"type": "headers", "headers": {"X-Api-Key": "s3cret"}}, "X-Api-Key", "s3cret"),
        ],
    )
    def test_every_request_is_authenticated(self, stub: Stub, send: Any, auth: Any, header: str, value: str) -> None:
        send("upsert", {"path": "/u"}, ADA, auth=auth, headers={"X-Version": "2"})
        assert stub.last.headers[header] == value
        assert stub.last.headers["X-Version"] == "2"

    def test_secrets_do_not_show(self) -> None:
        made = config({"upsert": {"path": "/u"}}, auth={"type": "headers", "headers": {"X-Api-Key": "s3cret"}})
        assert made.secrets() == ["s3cret"]
        assert "s3cret" not in repr(made) + str(made) + made.model_dump_json() + repr(Http(made, OpenGate()))

    def test_a_credential_among_the_headers_is_refused(self) -> None:
        text = problems({"upsert": {"path": "/u"}}, headers={"X-Auth-Token": "s3cret"})
        assert "put it in `auth" in text
        assert "s3cret" not in text


class TestCheck:
    def test_the_configured_path(self, stub: Stub) -> None:
        gate = OpenGate()
        destination = Http(config({"upsert": {"path": "/u"}}, stub.url + "/v2/", check="/me"), gate)
        account = destination.check()
        assert (stub.last.method, stub.last.path) == ("GET", "/v2/me")
        assert account.id.startswith(stub.url.removeprefix("http://") + "/")
        assert "v2" not in account.id  # the path of a webhook is its secret
        other = Http(config({"upsert": {"path": "/u"}}, stub.url + "/v3", check="/me"), OpenGate())
        assert other.check().id != account.id
        assert gate.acquired == 1
        stub.answer(Answer(401))
        with pytest.raises(UnauthorizedError):
            destination.check()

    def test_without_a_path_only_the_host_is_asked(self, stub: Stub) -> None:
        stub.answer(Answer(404))
        Http(config({"upsert": {"path": "/u"}}, stub.url + "/hooks/T1"), OpenGate()).check()
        assert [(asked.method, asked.path) for asked in stub.asked] == [("HEAD", "/")]

    def test_an_unreachable_host(self) -> None:
        with pytest.raises(RetryableError) as caught:
            Http(config({"upsert": {"path": "/u"}}, "http://127.0.0.1:1/hooks/T1"), OpenGate()).check()
        assert str(caught.value) == "no connection to http://127.0.0.1:1"

    def test_the_sandbox_is_an_account_of_its_own(self, stub: Stub) -> None:
        made = Http(config({"upsert": {"path": "/u"}}, stub.url, sandbox=True), OpenGate())
        assert made.check().id == "sandbox"
        with pytest.raises(FatalError, match="no sandbox is running"):
            Http(config({"upsert": {"path": "/u"}}, None, sandbox=True), OpenGate())


class TestConfig:
    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({"path": "users"}, "must start with `/`"),
            ({"path": "/u/{id"}, "brace without its partner"),
            ({"path": "/u", "batch_size": 5}, "needs `body: array`"),
            ({"path": "/u/{id}", "body": "array", "batch_size": 5}, "`batch_size` must be 1"),
            ({"path": "/u", "constants": {"a": 1}}, "they need an `envelope`"),
            ({"path": "/u", "body": "ndjson", "envelope": "x"}, "has no `envelope`"),
            ({"path": "/u", "method": "GET"}, "POST"),
            ({"path": "/u", "response": {"at": "x"}}, "needs `join: index`"),
            ({"path": "/u", "unknown": 1}, "unknown"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, settings: dict[str, Any], expected: str) -> None:
        assert expected in problems({"upsert": settings})

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            (None, "`base_url` is missing"),
            ("ftp://x", "must start with"),
            ("https://", "name a host"),
            ("https://u:p@x.test", "credentials belong in `auth`"),
            ("https://x.test?key=1", "credentials belong in `auth`"),
        ],
    )
    def test_the_base_url(self, url: str | None, expected: str) -> None:
        assert expected in problems({"upsert": {"path": "/u"}}, url=url)

    def test_what_an_object_can_do(self) -> None:
        made = config({"upsert": {"path": "/u", "body": "array"}, "delete": {"path": "/u/{id}", "method": "DELETE"}})
        kind = Http(made, OpenGate()).object_type("users")
        assert kind is not None
        assert {operation.value: limits.records for operation, limits in kind.operations.items()} == {
            "upsert": 100,
            "delete": 1,
        }
        assert not kind.partial_updates
        assert "operations: create:" in kind.unsupported[Operation.CREATE]
        assert Http(made, OpenGate()).object_type("nobody") is None

    def test_too_large_a_batch_is_a_bug(self, send: Any) -> None:
        with pytest.raises(ValueError, match="exceeds the limit of 1"):
            send("upsert", {"path": "/u"}, ADA, BOB)


class TestEncoder:
    @staticmethod
    def encode(column: ColumnType, value: Any) -> Any:
        encoder = Http(config({"upsert": {"path": "/u"}}), OpenGate()).encoder(column, None)
        return value if encoder is None else encoder(value)

    def test_moments_are_utc(self) -> None:
        noon = datetime(2024, 1, 1, 12)
        assert self.encode(ColumnType.TIMESTAMP, noon) == noon.replace(tzinfo=timezone.utc)
        tokyo = noon.replace(tzinfo=timezone(timedelta(hours=9)))
        assert self.encode(ColumnType.TIMESTAMPTZ, tokyo).isoformat() == "2024-01-01T03:00:00+00:00"

    @pytest.mark.parametrize("value", [float("nan"), float("-inf"), Decimal("NaN")])
    def test_no_number_is_refused(self, value: Any) -> None:
        column = ColumnType.FLOAT if isinstance(value, float) else ColumnType.DECIMAL
        with pytest.raises(ValueError, match="not a number"):
            self.encode(column, value)

    @pytest.mark.parametrize("column", list(ColumnType))
    def test_null_stays_null(self, column: ColumnType) -> None:
        assert self.encode(column, None) is None
