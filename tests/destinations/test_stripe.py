"""The Stripe connector: against the sandbox over HTTP, and against single answers where the sandbox is too kind."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import ValidationError

from revetl_dbt.destinations.base import (
    Account,
    Batch,
    BatchRejectedError,
    Change,
    ColumnType,
    DestinationError,
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
from revetl_dbt.destinations.stripe import Stripe, StripeConfig
from revetl_dbt.sandbox import Sandbox
from revetl_dbt.spec.destinations import load_outputs

from .stub import Answer, Asked, OpenGate, Stub

NAMESPACE = uuid.UUID(int=7)
KEY = "rk_test_secret"
ADA = Change(1, (1,), {"email": "ada@x.test"}, {"name": "Ada", "metadata.plan": "pro"})
PRO = Change(2, (2,), {"id": "pro"}, {"name": "Pro", "active": True})
MONTHLY = Change(
    3, (3,), {"lookup_key": "m"}, {"product": "pro", "currency": "eur", "unit_amount": 4900, "nickname": "Monthly"}
)


class Clock:
    now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(tmp_path: Path, clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "state", ["stripe"], now=clock, keep_bodies=True) as running:
        yield running


@pytest.fixture
def live(sandbox: Sandbox) -> Iterator[Stripe]:
    """The connector in the sandbox."""
    config = StripeConfig(type="stripe", sandbox=True).in_sandbox(sandbox.url("stripe"), sandbox.token("stripe"))
    made = Stripe(config, OpenGate())
    yield made
    made.close()


@pytest.fixture
def stripe(stub: Stub) -> Iterator[Stripe]:
    """The connector before a stub that answers what it is told."""
    made = Stripe(StripeConfig(type="stripe", base_url=stub.url, api_key=KEY), OpenGate())
    yield made
    made.close()


def write(stripe: Stripe, operation: str, change: Change, kind: str = "customers") -> Outcome:
    (outcome,) = stripe.write(Batch(kind, Operation(operation), [change], NAMESPACE))
    assert outcome.seq == change.seq
    return outcome


def read(stripe: Stripe, kind: str, match: str, *values: Any, fields: tuple[str, ...] = ()) -> list[Found]:
    return list(stripe.read(kind, match, values, fields))


def steps(sandbox: Sandbox) -> list[str]:
    """The requests since the last look, as `METHOD path status`."""
    found = [f"{r.method} {r.path.removeprefix('/stripe/v1/')} {r.status}" for r in sandbox.requests()]
    sandbox.reset(requests_only=True)
    return found


def form(asked: Asked) -> dict[str, str]:
    return dict(parse_qsl(asked.body.decode(), keep_blank_values=True))


def listed(*items: dict[str, Any]) -> Answer:
    return Answer(200, {"object": "list", "data": list(items), "has_more": False})


def problem(status: int, message: str = "no", **more: Any) -> Answer:
    return Answer(
        status, {"error": {"type": "invalid_request_error", "message": message, **more}}, {"Request-Id": "req_1"}
    )


class TestUpsert:
    def test_the_requests(self, stub: Stub, stripe: Stripe) -> None:
        stub.answer(listed(), Answer(200, {"id": "cus_1"}))
        change = ADA._replace(fields={**ADA.fields, "address.city": "Köln", "metadata.a.b": "1", "phone": ""})
        assert write(stripe, "upsert", change) == Outcome(1, Status.CREATED, "cus_1")
        looked, made = stub.asked
        assert (looked.method, looked.path) == ("GET", "/v1/customers?email=ada%40x.test&limit=100")
        assert (made.method, made.path) == ("POST", "/v1/customers")
        assert made.headers["Authorization"] == f"Bearer {KEY}"
        assert made.headers["Stripe-Version"] == "2026-10-28.endive"
        assert made.headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert uuid.UUID(made.headers["Idempotency-Key"])
        assert form(made) == {
            "email": "ada@x.test",
            "name": "Ada",
            "metadata[plan]": "pro",
            "metadata[a.b]": "1",
            "address[city]": "Köln",
        }, "nothing is cleared in a new record"

    @pytest.mark.parametrize("match", ["email", "metadata.user_id", 'metadata.o\'n "x" \\'])
    def test_a_customer_that_is_there_is_updated(self, live: Stripe, sandbox: Sandbox, match: str) -> None:
        change = Change(1, (1,), {match: 'a"b\\@x.test'}, {"name": "Ada"})
        first = write(live, "upsert", change)
        assert first.status is Status.CREATED
        again = write(live, "upsert", change._replace(fields={"name": ""}))
        assert again == Outcome(1, Status.UPDATED, first.id)
        assert read(live, "customers", match, 'a"b\\@x.test', fields=("name",))[0].fields == {"name": None}

    def test_the_ledger_s_id_spares_the_search(self, live: Stripe, sandbox: Sandbox) -> None:
        known = write(live, "upsert", ADA).id
        steps(sandbox)
        moved = ADA._replace(id=known, match={"email": "ada@new.test"})
        assert write(live, "upsert", moved) == Outcome(1, Status.UPDATED, known)
        assert steps(sandbox) == [f"POST customers/{known} 200"]
        assert [found.id for found in read(live, "customers", "email", "ada@new.test")] == [known]

    def test_a_record_of_the_ledger_that_is_gone_is_created_again(self, live: Stripe, sandbox: Sandbox) -> None:
        gone = ADA._replace(id=write(live, "upsert", ADA).id)
        write(live, "delete", gone)
        again = write(live, "upsert", gone)
        assert again.status is Status.CREATED
        assert again.id != gone.id

    def test_two_records_with_one_address_are_nobody_s(self, live: Stripe) -> None:
        for n in (1, 2):
            write(live, "create", ADA._replace(key=(n,)))
        outcome = write(live, "upsert", ADA)
        assert (outcome.status, outcome.code) == (Status.REJECTED, "ambiguous")
        assert "2 records have this `email` (cus_" in str(outcome.message)

    def test_without_a_value_to_match_by(self, live: Stripe, sandbox: Sandbox) -> None:
        assert write(live, "upsert", ADA._replace(match={"email": ""})).code == "match_value"
        assert steps(sandbox) == []

    def test_products_by_their_own_id(self, live: Stripe, sandbox: Sandbox) -> None:
        assert write(live, "upsert", PRO, "products") == Outcome(2, Status.CREATED, "pro")
        assert write(live, "upsert", PRO, "products") == Outcome(2, Status.UPDATED, "pro")
        assert steps(sandbox) == ["GET products 200", "POST products 200", "GET products 200", "POST products/pro 200"]

    def test_a_product_that_somebody_else_created_meanwhile(self, stub: Stub, stripe: Stripe) -> None:
        stub.answer(listed(), problem(400, "Product already exists.", code="resource_already_exists", param="id"))
        assert write(stripe, "upsert", PRO, "products").status is Status.RETRY

    def test_what_is_archived_comes_back(self, live: Stripe) -> None:
        write(live, "upsert", PRO, "products")
        archived = write(live, "archive", PRO._replace(fields={}), "products")
        assert archived == Outcome(2, Status.DELETED, "pro")
        assert read(live, "products", "id", "pro") == []
        assert write(live, "upsert", PRO._replace(fields={"name": "Pro"}), "products").status is Status.UPDATED
        assert [found.id for found in read(live, "products", "id", "pro")] == ["pro"]

    @pytest.mark.parametrize("kind", ["customers", "prices"])
    def test_stripe_s_own_ids_cannot_be_chosen(self, live: Stripe, kind: str) -> None:
        with pytest.raises(FatalError, match=f"Stripe assigns the `id` of {kind} itself"):
            write(live, "upsert", Change(1, (1,), {"id": "mine"}, {"metadata.a": "1"}), kind)

    def test_a_field_that_finds_nothing(self, live: Stripe) -> None:
        with pytest.raises(
            FatalError, match=r"customers cannot be found by `name`: match on one of `email`, `metadata.<key>`"
        ):
            write(live, "upsert", Change(1, (1,), {"name": "Ada"}, {}))

    def test_search_finds_too_much_and_too_late(self, stub: Stub, stripe: Stripe) -> None:
        change = ADA._replace(match={"metadata.id": "a b"})
        other, gone = {"id": "cus_1", "metadata": {"id": "A B"}}, {"id": "cus_2", "metadata": {"id": "a b"}}
        stub.answer(
            listed(other, gone), problem(404, code="resource_missing", param="id"), Answer(200, {"id": "cus_3"})
        )
        assert write(stripe, "upsert", change) == Outcome(1, Status.CREATED, "cus_3")
        assert dict(parse_qsl(urlsplit(stub.asked[0].path).query)) == {"query": 'metadata["id"]:"a b"', "limit": "100"}
        assert [asked.path for asked in stub.asked[1:]] == ["/v1/customers/cus_2", "/v1/customers"]


class TestPrices:
    @pytest.fixture(autouse=True)
    def product(self, live: Stripe) -> None:
        write(live, "upsert", PRO, "products")

    def test_what_stays_the_same_is_not_sent_again(self, live: Stripe, sandbox: Sandbox) -> None:
        price = write(live, "upsert", MONTHLY, "prices").id
        steps(sandbox)
        sent = MONTHLY._replace(id=price, fields={**MONTHLY.fields, "unit_amount_decimal": "4900.00", "nickname": "x"})
        assert write(live, "upsert", sent, "prices") == Outcome(3, Status.UPDATED, price)
        assert steps(sandbox) == [f"GET prices/{price} 200", f"POST prices/{price} 200"]

    def test_what_never_changes_is_refused_in_words(self, live: Stripe) -> None:
        price = write(live, "upsert", MONTHLY, "prices").id
        dearer = MONTHLY._replace(fields={**MONTHLY.fields, "unit_amount": 5900, "currency": "usd"})
        for change in (dearer, dearer._replace(id=price)):
            outcome = write(live, "upsert", change, "prices")
            assert (outcome.status, outcome.id, outcome.code) == (Status.REJECTED, price, "fixed")
            assert "never changes `currency`, `unit_amount`" in str(outcome.message)
        assert read(live, "prices", "lookup_key", "m", fields=("unit_amount",))[0].fields == {"unit_amount": 4900}

    def test_tiers_and_intervals(self, live: Stripe) -> None:
        tiers = [{"up_to": 10, "unit_amount": 500}, {"up_to": "inf", "unit_amount_decimal": "99.5"}]
        fields = {
            "product": "pro",
            "currency": "eur",
            "billing_scheme": "tiered",
            "tiers_mode": "volume",
            "tiers": tiers,
            "recurring": {"interval": "month", "usage_type": "licensed"},
            "metadata": {"a": "1", "b": ""},
        }
        made = write(live, "create", MONTHLY._replace(fields=fields), "prices")
        assert made.status is Status.CREATED
        again = write(live, "update", MONTHLY._replace(id=made.id, fields=fields), "prices")
        assert again.status is Status.UPDATED
        other = {**fields, "tiers": tiers[:1]}
        assert write(live, "update", MONTHLY._replace(id=made.id, fields=other), "prices").code == "fixed"

    def test_empty_and_boolean_values_are_compared(self, live: Stripe) -> None:
        custom = {"enabled": True, "minimum": 5}
        fields = {"product": "pro", "currency": "eur", "custom_unit_amount": custom, "recurring.meter": ""}
        known = write(live, "create", MONTHLY._replace(fields={**fields, "unit_amount": 1}), "prices").id
        assert write(live, "update", MONTHLY._replace(id=known, fields=fields), "prices").status is Status.UPDATED
        other = {**fields, "custom_unit_amount": {"enabled": False}, "recurring.meter": "m"}
        outcome = write(live, "update", MONTHLY._replace(id=known, fields=other), "prices")
        assert "never changes `custom_unit_amount`, `recurring.meter`" in str(outcome.message)

    def test_gone_or_never_there(self, live: Stripe) -> None:
        assert write(live, "update", MONTHLY._replace(id="price_none"), "prices").status is Status.MISSING
        assert write(live, "update", MONTHLY, "prices").status is Status.MISSING
        assert read(live, "prices", "id", "price_none") == []

    def test_a_missing_product(self, live: Stripe) -> None:
        outcome = write(live, "upsert", MONTHLY._replace(fields={**MONTHLY.fields, "product": "none"}), "prices")
        assert (outcome.status, outcome.code) == (Status.REJECTED, "resource_missing")
        assert "`product`" in str(outcome.message) or "product" in str(outcome.message)

    def test_a_lookup_key_moves_to_a_new_price(self, live: Stripe) -> None:
        old = write(live, "upsert", MONTHLY, "prices").id
        taken = write(live, "create", MONTHLY._replace(key=(4,)), "prices")
        assert "already uses that lookup key" in str(taken.message)
        new = {**MONTHLY.fields, "unit_amount": 5900, "transfer_lookup_key": True}
        made = write(live, "create", MONTHLY._replace(fields=new), "prices")
        assert made.status is Status.CREATED
        assert [found.id for found in read(live, "prices", "lookup_key", "m")] == [made.id]
        assert old != made.id


class TestRemoving:
    def test_a_customer(self, live: Stripe) -> None:
        known = write(live, "upsert", ADA).id
        assert write(live, "delete", ADA._replace(fields={})) == Outcome(1, Status.DELETED, known)
        assert write(live, "delete", ADA._replace(id=known)).status is Status.MISSING
        assert read(live, "customers", "id", known) == [], "Stripe still shows it as deleted"

    def test_a_product_with_prices(self, live: Stripe) -> None:
        write(live, "upsert", PRO, "products")
        write(live, "upsert", MONTHLY, "prices")
        outcome = write(live, "delete", PRO, "products")
        assert outcome.status is Status.REJECTED
        assert "user-created prices" in str(outcome.message)

    def test_a_price_is_archived(self, live: Stripe) -> None:
        write(live, "upsert", PRO, "products")
        price = write(live, "upsert", MONTHLY, "prices").id
        assert write(live, "archive", MONTHLY._replace(fields={}), "prices") == Outcome(3, Status.DELETED, price)
        assert read(live, "prices", "lookup_key", "m") == []


class TestKeys:
    """What an idempotency key does for a create, and what it must not do."""

    def test_a_create_without_an_answer_happens_once(self, live: Stripe, sandbox: Sandbox) -> None:
        sandbox.configure("stripe", search_lag=60.0)
        change = ADA._replace(match={"metadata.id": "1"})
        sandbox.set_faults([{"kind": "reset", "accepted": True, "method": "POST", "times": 1}])
        with pytest.raises(UnknownOutcomeError):
            write(live, "upsert", change)
        steps(sandbox)
        outcome = write(live, "upsert", change)
        assert outcome.status is Status.CREATED
        found = [record.id for record in sandbox.store.scan("stripe", "customers")]
        assert found == [outcome.id]
        assert steps(sandbox) == [
            "GET customers/search 200",
            "POST customers 200",
            f"POST customers/{outcome.id} 200",
        ], "what an earlier request created may have changed since"

    def test_there_and_back_again_is_two_changes(self, live: Stripe, sandbox: Sandbox) -> None:
        known = write(live, "upsert", ADA).id
        for plan in ("team", "pro", "team"):
            change = Change(1, (1,), {"email": "ada@x.test"}, {"metadata.plan": plan}, known)
            assert write(live, "update", change).status is Status.UPDATED
            assert read(live, "customers", "id", known, fields=("metadata.plan",))[0].fields == {"metadata.plan": plan}

    def test_what_was_deleted_can_be_created_again_the_same_day(self, live: Stripe, sandbox: Sandbox) -> None:
        ids = []
        for _ in range(3):
            outcome = write(live, "upsert", ADA)
            assert outcome.status is Status.CREATED
            ids.append(outcome.id)
            assert write(live, "delete", ADA).status is Status.DELETED
        assert len(set(ids)) == 3

    def test_a_refusal_is_not_repeated_once_its_cause_is_gone(self, live: Stripe, sandbox: Sandbox) -> None:
        for _ in range(2):
            assert write(live, "upsert", MONTHLY, "prices").code == "resource_missing"
        write(live, "upsert", PRO, "products")
        steps(sandbox)
        assert write(live, "upsert", MONTHLY, "prices").status is Status.CREATED
        assert [step for step in steps(sandbox) if step.startswith("POST")] == [
            "POST prices 400",
            "POST prices 400",
            "POST prices 200",
        ]

    def test_rows_and_contents_have_keys_of_their_own(self, stub: Stub, stripe: Stripe) -> None:
        keys = set()
        for change in (ADA, ADA._replace(key=(2,)), ADA._replace(fields={"name": "Eve"}), ADA):
            stub.answer(Answer(200, {"id": "cus_1"}))
            write(stripe, "create", change)
            keys.add(stub.last.headers["Idempotency-Key"])
        assert len(keys) == 3

    def test_every_write_has_a_key_but_a_deletion_which_takes_none(self, stub: Stub, stripe: Stripe) -> None:
        stub.answer(Answer(200, {"id": "pro"}))
        for operation in ("create", "update", "archive", "delete"):
            write(stripe, operation, PRO._replace(id=None if operation == "create" else "pro"), "products")
        keys = [(asked.method, asked.headers.get("Idempotency-Key")) for asked in stub.asked if asked.method != "GET"]
        assert [method for method, _ in keys] == ["POST", "POST", "POST", "DELETE"]
        assert keys[-1][1] is None
        assert len({uuid.UUID(key) for _, key in keys[:-1]}) == 3

    def test_a_repeated_500(self, stub: Stub, stripe: Stripe) -> None:
        again = Answer(
            500, {"error": {"type": "api_error"}}, {"Idempotent-Replayed": "true", "Original-Request": "req_0"}
        )
        stub.answer(listed(), again, Answer(200, {"id": "cus_1"}))
        assert write(stripe, "upsert", ADA) == Outcome(1, Status.CREATED, "cus_1"), "the list shows that there is none"
        first, second = (asked.headers["Idempotency-Key"] for asked in stub.asked[1:])
        assert first != second
        stub.answer(listed(), again)
        with pytest.raises(UnknownOutcomeError):
            write(stripe, "upsert", ADA._replace(match={"metadata.id": "1"}))
        assert len(stub.asked) == 2, "search may not show yet what the 500 created"

    def test_a_server_that_only_repeats_itself(self, stub: Stub, stripe: Stripe) -> None:
        stub.answer(Answer(400, {"error": {"message": "no"}}, {"Idempotent-Replayed": "true"}))
        with pytest.raises(UnknownOutcomeError, match="only repeats"):
            write(stripe, "create", ADA)
        assert len({asked.headers["Idempotency-Key"] for asked in stub.asked}) == len(stub.asked) == 10


class TestErrors:
    @pytest.mark.parametrize(
        ("answer", "kind", "code"),
        [
            (problem(400, code="parameter_unknown", param="nam"), FatalError, "parameter_unknown"),
            (problem(400, code="testmode_charges_only"), FatalError, "testmode_charges_only"),
            (problem(401), UnauthorizedError, "invalid_request_error"),
            (problem(403), FatalError, "invalid_request_error"),
            (problem(404), FatalError, "invalid_request_error"),
            (problem(409, code="idempotency_key_in_use"), RetryableError, "idempotency_key_in_use"),
            (problem(424), RetryableError, "invalid_request_error"),
            (problem(429, code="rate_limit"), RateLimitedError, "rate_limit"),
            (problem(429, code="lock_timeout"), RetryableError, "lock_timeout"),
            (problem(500), UnknownOutcomeError, "invalid_request_error"),
            (problem(503), RetryableError, "invalid_request_error"),
            (Answer(400, b"<html>"), BatchRejectedError, "400"),
            (Answer(413, b""), BatchRejectedError, "413"),
            (Answer(404, b"<html>"), FatalError, "404"),
            (Answer(502, b"<html>"), UnknownOutcomeError, "502"),
            (Answer(200, b""), UnknownOutcomeError, None),
            (Answer(200, b"<html>"), UnknownOutcomeError, None),
            (Answer(200, {"object": "customer"}), UnknownOutcomeError, "empty"),
            (Answer(200, ["x"]), UnknownOutcomeError, "empty"),
            (Answer(302, b"", {"Location": "https://elsewhere.test"}), FatalError, "302"),
        ],
    )
    @pytest.mark.parametrize("operation", ["create", "update", "delete"])
    def test_of_a_request(
        self, stub: Stub, stripe: Stripe, answer: Answer, kind: type[DestinationError], code: str | None, operation: str
    ) -> None:
        stub.answer(answer)
        with pytest.raises(DestinationError) as caught:
            write(stripe, operation, ADA._replace(id="cus_1"))
        assert type(caught.value) is kind
        assert caught.value.code == code
        if isinstance(answer.body, dict) and "error" in answer.body:
            assert caught.value.request_id == "req_1"

    def test_a_lock_does_not_slow_the_destination_down(self, stub: Stub, stripe: Stripe) -> None:
        stub.answer(problem(429, code="lock_timeout"))
        with pytest.raises(RetryableError) as caught:
            write(stripe, "create", ADA)
        assert not isinstance(caught.value, RateLimitedError)

    @pytest.mark.parametrize("body", [{}, {"data": None}, {"data": [{"object": "customer"}]}, [], {"data": [1]}])
    def test_a_list_that_is_none(self, stub: Stub, stripe: Stripe, body: Any) -> None:
        stub.answer(Answer(200, body))
        with pytest.raises(UnknownOutcomeError, match="no list of records"):
            write(stripe, "upsert", ADA)
        assert len(stub.asked) == 1

    def test_a_look_that_is_refused_is_about_the_record(self, stub: Stub, stripe: Stripe) -> None:
        for status in (400, 402):
            stub.answer(problem(status))
            with pytest.raises(BatchRejectedError):
                write(stripe, "upsert", ADA)

    def test_an_empty_success_may_have_created_it(self, live: Stripe, sandbox: Sandbox) -> None:
        sandbox.set_faults([{"kind": "garbage", "body": "blank", "method": "POST"}])
        with pytest.raises(UnknownOutcomeError):
            write(live, "upsert", ADA)

    def test_of_a_record_in_stripe_s_words(self, live: Stripe) -> None:
        outcome = write(live, "upsert", ADA._replace(fields={"tax_exempt": "maybe"}))
        assert (outcome.status, outcome.code) == (Status.REJECTED, "invalid_request_error")
        assert outcome.message == "Invalid tax_exempt: must be one of none, exempt, reverse"
        outcome = write(live, "update", PRO._replace(fields={"name": ""}), "products")
        assert outcome.status is Status.MISSING
        write(live, "upsert", PRO, "products")
        outcome = write(live, "update", PRO._replace(fields={"name": ""}), "products")
        assert (outcome.status, outcome.code) == (Status.REJECTED, "parameter_invalid_empty")

    def test_values_stand_in_quotes_and_fields_have_our_names(self, stub: Stub, stripe: Stripe) -> None:
        stub.answer(problem(400, "Invalid email address: ada at x", code="email_invalid", param="email"))
        outcome = write(stripe, "create", ADA._replace(match={"email": "ada at x"}))
        assert outcome.message == "Invalid email address: 'ada at x'"
        stub.answer(problem(400, "Too long: pro", param="metadata[plan]"))
        assert write(stripe, "create", ADA).message == "`metadata.plan`: Too long: 'pro'"
        stub.answer(problem(402, "The request failed"))
        assert write(stripe, "create", ADA).message == "The request failed"

    def test_a_reference_that_is_missing_is_no_missing_record(self, stub: Stub, stripe: Stripe) -> None:
        sent = ADA._replace(id="cus_1", fields={"invoice_settings.default_payment_method": "pm_1"})
        parameter = "invoice_settings[default_payment_method]"
        stub.answer(problem(404, "No such PaymentMethod: 'pm_1'", code="resource_missing", param=parameter))
        assert write(stripe, "update", sent).status is Status.REJECTED
        stub.answer(problem(404, "No such product: 'x'", code="resource_missing", param="product"))
        assert write(stripe, "create", sent).status is Status.REJECTED

    def test_a_batch_is_one_record(self, stripe: Stripe) -> None:
        with pytest.raises(ValueError, match="exceeds the limit of 1"):
            list(stripe.write(Batch("customers", Operation.CREATE, [ADA, PRO], NAMESPACE)))


class TestRead:
    def test_lists_take_as_many_values_as_stripe_allows(self, live: Stripe, sandbox: Sandbox) -> None:
        for n in range(12):
            write(live, "upsert", PRO._replace(match={"id": f"p{n}"}), "products")
            fields = {"product": f"p{n}", "currency": "eur", "unit_amount": n}
            write(live, "upsert", Change(1, (n,), {"lookup_key": f"k{n}"}, fields), "prices")
        steps(sandbox)
        wanted = [f"p{n}" for n in range(12)]
        assert sorted(found.match for found in read(live, "products", "id", *wanted, "none")) == sorted(wanted)
        assert steps(sandbox) == ["GET products 200"]
        keys = [f"k{n}" for n in range(12)]
        found = read(live, "prices", "lookup_key", *keys, fields=("product", "metadata.none", "recurring.interval"))
        assert {item.match: item.fields["product"] for item in found} == dict(zip(keys, wanted, strict=True))
        assert found[0].fields["metadata.none"] is found[0].fields["recurring.interval"] is None
        assert steps(sandbox) == ["GET prices 200"] * 2

    def test_values_come_back_as_they_were_asked_for(self, live: Stripe) -> None:
        known = write(live, "upsert", Change(1, (1,), {"metadata.id": "7"}, {"name": "x"})).id
        assert read(live, "customers", "metadata.id", 7) == [Found(str(known), 7, {})]
        assert read(live, "customers", "email", None, "") == []


class TestWhatThereIs:
    def test_fields(self, live: Stripe, sandbox: Sandbox) -> None:
        for kind in live.objects():
            fields = live.describe(kind.name)
            assert len({info.name for info in fields}) == len(fields)
            assert {"id", "metadata"} <= {info.name for info in fields}
        with pytest.raises(FatalError):
            live.describe("coupons")
        assert steps(sandbox) == []

    def test_every_parameter_is_one_of_stripe_s(self, live: Stripe) -> None:
        """Names and options as in the description that Stripe's own client is generated from."""
        stripe_params = pytest.importorskip("stripe.params", reason="stripe is not installed")
        for kind, word in (("customers", "Customer"), ("products", "Product"), ("prices", "Price")):
            create, update = (getattr(stripe_params, f"{word}{what}Params") for what in ("Create", "Update"))
            known = {*create.__annotations__, *update.__annotations__}
            for info in live.describe(kind):
                if info.writable:
                    assert info.name.partition(".")[0] in known, info.name

    @pytest.mark.parametrize(
        ("name", "known"),
        [
            ("metadata.plan", True),
            ("metadata.a.b", True),
            ("metadata." + "k" * 40, True),
            ("metadata." + "k" * 41, False),
            ("metadata.a[b]", False),
            ("metadata.", False),
            ("plan", False),
        ],
    )
    def test_metadata_names_are_open(self, live: Stripe, name: str, known: bool) -> None:
        assert (live.describe_field("customers", name) is not None) is known
        assert live.describe_field("coupons", name) is None

    def test_urls(self, stripe: Stripe, live: Stripe) -> None:
        assert stripe.record_url("customers", "cus_1") == "https://dashboard.stripe.com/test/customers/cus_1"
        assert live.record_url("customers", "cus_1") is None
        connected = StripeConfig(type="stripe", api_key="sk_live_x", connected_account="acct_2")
        url = Stripe(connected, OpenGate()).record_url("prices", "a/b")
        assert url == "https://dashboard.stripe.com/acct_2/prices/a%2Fb"


class TestAccount:
    ACCOUNT = Answer(200, {"id": "acct_1", "settings": {"dashboard": {"display_name": "Acme"}}})

    def test_test_mode_is_another_account(self, stub: Stub, stripe: Stripe) -> None:
        stub.answer(self.ACCOUNT)
        assert stripe.check() == Account("acct_1/test", "Acme", "https://dashboard.stripe.com/acct_1/test")
        real = Stripe(StripeConfig(type="stripe", base_url=stub.url, api_key="sk_live_x"), OpenGate())
        assert real.check().id == "acct_1"

    def test_the_name_may_stand_elsewhere(self, stub: Stub, stripe: Stripe) -> None:
        stub.answer(Answer(200, {"id": "acct_1", "settings": None, "business_profile": {"name": "Acme"}}))
        assert stripe.check().name == "Acme"

    def test_another_account_is_refused(self, stub: Stub) -> None:
        stub.answer(self.ACCOUNT)
        config = StripeConfig(type="stripe", base_url=stub.url, api_key=KEY, account="acct_2")
        with pytest.raises(FatalError, match="opens account `acct_1`, not `acct_2`"):
            Stripe(config, OpenGate()).check()

    @pytest.mark.parametrize("body", [{}, [], {"id": None}])
    def test_no_account(self, stub: Stub, stripe: Stripe, body: Any) -> None:
        stub.answer(Answer(200, body))
        with pytest.raises(UnknownOutcomeError):
            stripe.check()

    def test_a_connected_account(self, stub: Stub) -> None:
        config = StripeConfig(type="stripe", base_url=stub.url, api_key=KEY, connected_account="acct_2")
        stub.answer(self.ACCOUNT)
        Stripe(config, OpenGate()).check()
        assert stub.last.headers["Stripe-Account"] == "acct_2"


class TestConfig:
    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({}, "`api_key` is missing"),
            ({"api_key": "pk_live_1"}, "publishable key"),
            ({"api_key": "whsec_1"}, "webhook secret"),
            ({"api_key": "sk_test_1", "account": "me"}, "account"),
            ({"api_key": "sk_test_1", "api_version": "latest"}, "api_version"),
        ],
    )
    def test_what_is_refused(self, settings: dict[str, str], words: str) -> None:
        with pytest.raises(ValidationError, match=words):
            StripeConfig.model_validate({"type": "stripe", **settings})

    @pytest.mark.parametrize("target", ["dev", "DEV", "dev_ada", "development", "ci", "staging", "local-2", "qa"])
    def test_a_live_key_in_development(self, target: str) -> None:
        live = StripeConfig(type="stripe", api_key="rk_live_1")
        (words,) = live.problems(target)
        assert f"target `{target}` is for development" in words
        assert "rk_live_1" not in words
        assert list(StripeConfig(type="stripe", api_key="sk_test_1").problems(target)) == []
        assert list(StripeConfig(type="stripe", sandbox=True).problems(target)) == []
        assert list(StripeConfig(type="stripe", sandbox=True, api_key="rk_live_1").problems(target)) == []

    @pytest.mark.parametrize("target", ["prod", "production", "devices", "citadel", "eu"])
    def test_a_live_key_elsewhere(self, target: str) -> None:
        assert list(StripeConfig(type="stripe", api_key="sk_live_1").problems(target)) == []

    def test_keys_that_do_not_say_what_they_are_count_as_live(self) -> None:
        assert StripeConfig(type="stripe", api_key="something").live

    def test_nothing_of_the_account_goes_to_the_sandbox(self) -> None:
        config = StripeConfig(
            type="stripe", sandbox=True, api_key="sk_live_1", account="acct_1", connected_account="acct_2"
        )
        sandboxed = config.in_sandbox("http://127.0.0.1:1/stripe", "sk_test_2")
        assert sandboxed.secrets() == ["sk_test_2"]
        assert (sandboxed.account, sandboxed.connected_account, sandboxed.requests_per_second) == (None, None, None)


CET = timezone(timedelta(hours=1))


class TestValues:
    @pytest.mark.parametrize(
        ("column", "kind", "value", "written"),
        [
            (ColumnType.TEXT, None, "x", "x"),
            (ColumnType.TEXT, None, None, ""),
            (ColumnType.INTEGER, None, 2**60, str(2**60)),
            (ColumnType.DECIMAL, None, Decimal("1E+3"), "1000"),
            (ColumnType.DECIMAL, None, Decimal("10.50"), "10.50"),
            (ColumnType.FLOAT, None, 5.0, "5"),
            (ColumnType.FLOAT, None, 1e-7, "0.0000001"),
            (ColumnType.BOOLEAN, None, False, "false"),
            (ColumnType.DATE, None, date(2026, 1, 2), "2026-01-02"),
            (ColumnType.TIME, None, time(1, 2), "01:02:00"),
            (ColumnType.TIMESTAMP, None, datetime(2026, 1, 2, 3), "2026-01-02T03:00:00Z"),
            (ColumnType.TIMESTAMPTZ, None, datetime(2026, 1, 2, 3, 0, 0, 5, tzinfo=CET), "2026-01-02T02:00:00.000005Z"),
            (ColumnType.NESTED, None, {"a": [1, None]}, '{"a":[1,null]}'),
            (ColumnType.NESTED, None, [], ""),
            (ColumnType.INTEGER, "integer", 5, 5),
            (ColumnType.DECIMAL, "integer", Decimal("5.00"), 5),
            (ColumnType.FLOAT, "integer", 5.0, 5),
            (ColumnType.TEXT, "integer", "5", "5"),
            (ColumnType.DECIMAL, "decimal", Decimal("0.5"), "0.5"),
            (ColumnType.INTEGER, "decimal", 5, "5"),
            (ColumnType.FLOAT, "number", 2.5, "2.5"),
            (ColumnType.BOOLEAN, "boolean", True, True),
            (ColumnType.TEXT, "boolean", "false", "false"),
            (ColumnType.NESTED, "array", ["en", "fr"], ["en", "fr"]),
            (ColumnType.TEXT, "array", "en", ["en"]),
            (ColumnType.NESTED, "object", {"city": "x"}, {"city": "x"}),
            (ColumnType.NESTED, "metadata", {"a": 1, "b": None, "c": [1]}, {"a": "1", "b": "", "c": "[1]"}),
        ],
    )
    def test_are_written(self, stripe: Stripe, column: ColumnType, kind: str | None, value: Any, written: Any) -> None:
        encode = stripe.encoder(column, None if kind is None else FieldInfo("f", kind))
        assert encode(value) == written
        assert type(encode(value)) is type(written)
        assert encode(None) == ""

    @pytest.mark.parametrize(
        ("column", "kind", "value"),
        [
            (ColumnType.FLOAT, None, float("nan")),
            (ColumnType.DECIMAL, None, Decimal("Infinity")),
            (ColumnType.FLOAT, "integer", 5.5),
            (ColumnType.BOOLEAN, "integer", True),
            (ColumnType.DATE, "integer", date(2026, 1, 2)),
            (ColumnType.BOOLEAN, "decimal", True),
            (ColumnType.FLOAT, "decimal", float("inf")),
            (ColumnType.INTEGER, "boolean", 1),
            (ColumnType.TEXT, "boolean", "yes"),
            (ColumnType.NESTED, "array", {"a": 1}),
            (ColumnType.TEXT, "object", "x"),
            (ColumnType.NESTED, "object", ["x"]),
            (ColumnType.TEXT, None, "x" * 501),
            (ColumnType.NESTED, "metadata", {"a": "x" * 501}),
        ],
    )
    def test_without_representation(self, stripe: Stripe, column: ColumnType, kind: str | None, value: Any) -> None:
        encode = stripe.encoder(column, None if kind is None else FieldInfo("f", kind))
        with pytest.raises((ValueError, OverflowError)) as caught:
            encode(value)
        assert "xxx" not in str(caught.value)

    def test_what_is_too_long_is_known_before_it_is_sent(self, stripe: Stripe) -> None:
        phone = next(info for info in stripe.describe("customers") if info.name == "phone")
        with pytest.raises(ValueError, match="takes 20 characters here, and this value has 21"):
            stripe.encoder(ColumnType.TEXT, phone)("1" * 21)

    def test_forms(self, stub: Stub, stripe: Stripe) -> None:
        stub.answer(Answer(200, {"id": "cus_1"}))
        fields = {
            "balance": -5,
            "preferred_locales": ["en", "fr"],
            "address": {"city": "Köln", "line2": None},
            "invoice_settings.custom_fields": [{"name": "VAT", "value": "1"}],
            "shipping": "",
            "metadata.plan": "",
            "metadata.x.y": "&=[]",
        }
        write(stripe, "update", Change(1, (1,), {"email": "a@x.test"}, fields, "cus_1"))
        assert form(stub.last) == {
            "email": "a@x.test",
            "balance": "-5",
            "preferred_locales[0]": "en",
            "preferred_locales[1]": "fr",
            "address[city]": "Köln",
            "address[line2]": "",
            "invoice_settings[custom_fields][0][name]": "VAT",
            "invoice_settings[custom_fields][0][value]": "1",
            "shipping": "",
            "metadata[plan]": "",
            "metadata[x.y]": "&=[]",
        }

    def test_a_part_of_an_address_keeps_the_rest(self, live: Stripe, sandbox: Sandbox) -> None:
        fields = {
            "address.city": "Köln",
            "address.country": "DE",
            "shipping.name": "Ada",
            "shipping.address.city": "Bonn",
        }
        known = write(live, "upsert", ADA._replace(fields=fields)).id
        steps(sandbox)
        moved = ADA._replace(id=known, fields={"address.city": "Berlin", "address.country": "", "shipping.phone": "1"})
        for change in (moved, moved._replace(id=None)):
            assert write(live, "upsert", change).status is Status.UPDATED
            names = ("address.city", "address.country", "shipping.name", "shipping.phone", "shipping.address.city")
            (found,) = read(live, "customers", "id", known, fields=names)
            assert tuple(found.fields.values()) == ("Berlin", None, "Ada", "1", "Bonn")
        assert [step for step in steps(sandbox) if step.startswith("POST")] == [f"POST customers/{known} 200"] * 2
        whole = ADA._replace(id=known, fields={"address": {"line1": "Main St"}})
        write(live, "update", whole)
        assert steps(sandbox) == [f"POST customers/{known} 200"], "a whole address is no part of one"
        assert read(live, "customers", "id", known, fields=("address.city",))[0].fields == {"address.city": None}
        gone = moved._replace(id="cus_none")
        assert write(live, "update", gone).status is Status.MISSING

    def test_what_search_shows_of_an_address_may_be_old(self, live: Stripe, sandbox: Sandbox) -> None:
        change = Change(1, (1,), {"metadata.id": "1"}, {"address.city": "Köln"})
        known = write(live, "upsert", change).id
        steps(sandbox)
        assert write(live, "upsert", change).status is Status.UPDATED
        assert steps(sandbox) == [
            "GET customers/search 200",
            f"GET customers/{known} 200",
            f"POST customers/{known} 200",
        ]

    def test_package_sizes(self, live: Stripe) -> None:
        sizes = {f"package_dimensions.{part}": "1" for part in ("height", "length", "weight", "width")}
        write(live, "upsert", PRO._replace(fields={"name": "Pro", **sizes}), "products")
        outcome = write(live, "update", PRO._replace(fields={"package_dimensions.width": "2.5"}), "products")
        assert outcome.status is Status.UPDATED
        (found,) = read(live, "products", "id", "pro", fields=tuple(sizes))
        assert list(found.fields.values()) == [1.0, 1.0, 1.0, 2.5]

    def test_nothing_to_write(self, stub: Stub, stripe: Stripe) -> None:
        assert write(stripe, "update", PRO._replace(fields={}), "products") == Outcome(2, Status.UNCHANGED, "pro")
        assert stub.asked == []


def test_a_live_key_in_development_stops_everything(tmp_path: Path) -> None:
    path = tmp_path / "destinations.yml"
    path.write_text(
        "billing: {outputs: {dev: {type: stripe, api_key: rk_live_1}, prod: {type: stripe, api_key: rk_live_1}}}"
    )
    outputs, problems = load_outputs(path, "dev", ["billing"], {})
    assert not outputs
    (found,) = problems
    assert not found.warning
    assert "live key" in found.render()
    assert "rk_live_1" not in found.render()
    outputs, problems = load_outputs(path, "prod", ["billing"], {})
    assert (list(outputs), problems) == (["billing"], [])
