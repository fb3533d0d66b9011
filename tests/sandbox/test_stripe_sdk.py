"""Stripe's own client for Python drives the sandbox: a client that we did not write must be content with it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.sandbox import Sandbox
from revetl_dbt.sandbox.stripe.schema import KINDS, Param

stripe = pytest.importorskip("stripe", reason="stripe is not installed")


@pytest.fixture
def client(sandbox: Sandbox) -> Any:
    return connected(sandbox)


def connected(sandbox: Sandbox, key: str | None = None, retries: int = 0) -> Any:
    return stripe.StripeClient(
        key or sandbox.token("stripe"),
        base_addresses={"api": sandbox.url("stripe")},
        max_network_retries=retries,
    )


def test_customers(client: Any, sandbox: Sandbox) -> None:
    api = client.v1.customers
    ada = api.create(
        {
            "email": "ada@example.com",
            "name": "Ada Lovelace",
            "address": {"city": "London", "country": "GB"},
            "preferred_locales": ["en", "fr"],
            "metadata": {"plan": "pro", "user_id": "7"},
        }
    )
    assert (ada.object, ada.livemode, ada.address.city, ada.balance) == ("customer", False, "London", 0)
    changed = api.update(ada.id, {"metadata": {"plan": "", "seats": "5"}, "address": {"city": "Paris"}, "phone": "1"})
    assert changed.metadata.to_dict() == {"user_id": "7", "seats": "5"}
    assert (changed.address.city, changed.address.country) == ("Paris", None), "an address is replaced as a whole"
    cleared = api.update(ada.id, {"address": "", "metadata": ""})
    assert (cleared.address, cleared.metadata.to_dict()) == (None, {})
    again = api.retrieve(ada.id)
    assert (again.name, again.preferred_locales) == ("Ada Lovelace", ["en", "fr"])
    assert [found.id for found in api.list({"email": "ada@example.com"}).data] == [ada.id]
    assert api.list({"email": "Ada@example.com"}).data == [], "the filter knows upper case from lower case"
    assert api.delete(ada.id).deleted is True
    assert api.retrieve(ada.id).deleted is True, "a deleted customer can still be seen"
    assert client.v1.accounts.retrieve_current().id == sandbox.account("stripe")


def test_products_and_prices(client: Any) -> None:
    pro = client.v1.products.create(
        {"id": "pro", "name": "Pro", "images": ["https://x.test/1.png"], "shippable": False}
    )
    assert (pro.id, pro.active, pro.images, pro.shippable) == ("pro", True, ["https://x.test/1.png"], False)
    assert client.v1.products.update("pro", {"description": "For teams", "images": ""}).description == "For teams"
    assert (client.v1.products.retrieve("pro").name, client.v1.products.retrieve("pro").images) == ("Pro", [])
    assert [found.id for found in client.v1.products.list({"ids": ["pro", "none"]}).data] == ["pro"]
    monthly = client.v1.prices.create(
        {
            "product": "pro",
            "currency": "EUR",
            "unit_amount_decimal": Decimal("4900.5"),
            "recurring": {"interval": "month"},
            "lookup_key": "pro_monthly",
            "metadata": {"plan": "pro"},
        }
    )
    assert (monthly.currency, monthly.unit_amount, monthly.unit_amount_decimal) == ("eur", None, Decimal("4900.5"))
    assert (monthly.type, monthly.recurring.interval_count, monthly.recurring.usage_type) == (
        "recurring",
        1,
        "licensed",
    )
    (found,) = client.v1.prices.list({"lookup_keys": ["pro_monthly", "none"], "expand": ["data.tiers"]}).data
    assert found.id == monthly.id
    raised = client.v1.prices.create(
        {
            "product": "pro",
            "currency": "eur",
            "unit_amount": 5900,
            "lookup_key": "pro_monthly",
            "transfer_lookup_key": True,
        }
    )
    assert client.v1.prices.retrieve(monthly.id).lookup_key is None
    assert client.v1.prices.update(raised.id, {"active": False, "nickname": "old"}).active is False
    assert [price.id for price in client.v1.prices.list({"active": True}).data] == [monthly.id]
    refused(stripe.InvalidRequestError, lambda: client.v1.products.delete("pro"), "user-created prices")
    refused(stripe.InvalidRequestError, lambda: client.v1.prices.update(raised.id, {"unit_amount": 1}), "unit_amount")


def test_pages_of_a_list(client: Any) -> None:
    made = [client.v1.customers.create({"name": f"customer {n}"}).id for n in range(25)]
    listed = [customer.id for customer in client.v1.customers.list({"limit": 10}).auto_paging_iter()]
    assert listed == made[::-1], "the newest first"
    found = client.v1.customers.search({"query": 'name~"customer"', "limit": 10}).auto_paging_iter()
    assert {customer.id for customer in found} == set(made)


def test_search(client: Any) -> None:
    odd = client.v1.customers.create({"email": "o'neil@example.com", "metadata": {'a "b"': "x\\y"}})
    client.v1.customers.create({"email": "bob@example.com", "metadata": {"plan": "Pro"}})
    for query in (
        'metadata["a \\"b\\""]:"x\\\\y"',
        "email:'O\\'NEIL@example.com'",
        '-metadata["plan"]:"pro" AND email~"example"',
        'email:"nobody" OR -metadata[\'a "b"\']:null',
    ):
        assert [found.id for found in client.v1.customers.search({"query": query}).data] == [odd.id], query
    for bad in ("email", 'colour:"red"', 'email:"a" AND name:"b" OR name:"c"'):
        refused(stripe.InvalidRequestError, lambda bad=bad: client.v1.customers.search({"query": bad}))


def test_search_lags(client: Any, sandbox: Sandbox, clock: Any) -> None:
    sandbox.configure("stripe", search_lag=60.0)
    made = client.v1.customers.create({"email": "a@x.test", "metadata": {"id": "1"}})
    query = {"query": 'metadata["id"]:"1"'}
    assert client.v1.customers.search(query).data == []
    assert [found.id for found in client.v1.customers.list({"email": "a@x.test"}).data] == [made.id]
    clock.now += 61
    assert [found.id for found in client.v1.customers.search(query).data] == [made.id]


def test_a_key_makes_a_create_happen_once(client: Any, clock: Any) -> None:
    options = {"idempotency_key": "k1"}
    first = client.v1.customers.create({"name": "Ada"}, options)
    again = client.v1.customers.create({"name": "Ada"}, options)
    assert again.id == first.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert again.last_response.headers["Original-Request"] == first.last_response.request_id
    refused(stripe.IdempotencyError, lambda: client.v1.customers.create({"name": "Bob"}, options), "k1")
    clock.now += 24 * 3600 + 1
    assert client.v1.customers.create({"name": "Ada"}, options).id != first.id


def test_a_refusal_is_remembered_once_the_request_was_begun(client: Any) -> None:
    missing, wrong = {"idempotency_key": "k1"}, {"idempotency_key": "k2"}
    price = {"product": "pro", "currency": "eur", "unit_amount": 1}
    refused(stripe.InvalidRequestError, lambda: client.v1.prices.create(price, missing), "No such product")
    refused(stripe.InvalidRequestError, lambda: client.v1.products.create({"id": "pro", "nam": "Pro"}, wrong), "nam")
    client.v1.products.create({"id": "pro", "name": "Pro"}, wrong)
    refused(stripe.InvalidRequestError, lambda: client.v1.prices.create(price, missing), "No such product")
    assert client.v1.prices.create(price).product == "pro"


def test_errors_by_class(client: Any, sandbox: Sandbox) -> None:
    refused(stripe.AuthenticationError, lambda: connected(sandbox, "sk_test_wrong").v1.customers.list())
    vendor: Any = sandbox.vendor("stripe")
    restricted = connected(sandbox, vendor.add_key(["customers:write", "prices:read"]))
    assert restricted.v1.customers.create({"name": "Ada"}).name == "Ada"
    assert restricted.v1.customers.list().data
    refused(stripe.PermissionError, lambda: restricted.v1.prices.create({"currency": "eur"}), "permissions")
    error = refused(stripe.InvalidRequestError, lambda: client.v1.customers.update("cus_none", {"name": "x"}))
    assert (error.http_status, error.code, error.param) == (404, "resource_missing", "id")
    for status, kind in ((429, stripe.RateLimitError), (500, stripe.APIError), (503, stripe.APIError)):
        sandbox.set_faults([{"kind": "status", "status": status}])
        refused(kind, lambda: client.v1.customers.list())


def test_the_client_retries_with_the_same_key(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    client = connected(sandbox, retries=2)
    sandbox.set_faults([{"kind": "reset", "accepted": True, "nth": 1, "method": "POST"}])
    made = client.v1.customers.create({"name": "Ada"})
    assert [customer.id for customer in client.v1.customers.list().data] == [made.id], "not two of them"


def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    with Sandbox(tmp_path / "state", ["stripe"]) as first:
        made = connected(first).v1.customers.create({"email": "a@x.test"})
        account, key = first.account("stripe"), first.token("stripe")
    with Sandbox(tmp_path / "state", ["stripe"]) as second:
        assert (second.account("stripe"), second.token("stripe")) == (account, key)
        assert [found.id for found in connected(second).v1.customers.list({"email": "a@x.test"}).data] == [made.id]


def refused(kind: type[Exception], call: Any, words: str = "") -> Any:
    with pytest.raises(kind) as caught:
        call()
    assert words in str(caught.value)
    return caught.value


MORE: dict[str, set[str]] = {
    "customers": {
        "cash_balance",
        "payment_method",
        "source",
        "tax_id_data",
        "test_clock",
        "validate",
        "default_source",
    },
    "products": {"default_price_data", "tax_details", "type"},
    "prices": {"product_data"},
}
"""Parameters of Stripe's that the stand-in does not know: what they would do lies outside of these objects."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["Create", "Update"])
def test_parameters_are_stripe_s(kind: str, method: str) -> None:
    """By name, nested ones included, as in the description that Stripe's client is generated from."""
    word = KINDS[kind].word.capitalize()
    params = {
        name: param
        for name, param in KINDS[kind].params.items()
        if (param.create if method == "Create" else param.update)
    }
    compare(f"{word}{method}Params", params, MORE[kind] | {"expand"})


def compare(name: str, params: Mapping[str, Param], more: set[str]) -> None:
    described = set(getattr(stripe.params, name).__annotations__) - set(stripe.RequestOptions.__annotations__)
    assert set(params) <= described, name
    assert described - set(params) <= more, name
    for key, param in params.items():
        inner = name + "".join(part.capitalize() for part in key.split("_"))
        singular = inner.removesuffix("s")
        for candidate in (inner, singular):
            if param.inner and hasattr(stripe.params, candidate):
                compare(candidate, param.inner, {"custom_unit_amount", "tiers"})
                break
        else:
            assert not param.inner, f"{name} has no {key}"
