"""Stripe's rules, over plain HTTP: forms, parameters, keys, errors in Stripe's words, limits, pages."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from revetl_dbt.sandbox import Sandbox
from revetl_dbt.sandbox.messages import BadRequest, Request
from revetl_dbt.sandbox.stripe.form import nested, parsed_form
from revetl_dbt.sandbox.stripe.query import parsed_query


class Api:
    """Requests to the stand-in with its secret key, over one connection."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {sandbox.token('stripe')}"

    def call(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        return self.session.request(method, f"{self.sandbox.url('stripe')}/v1/{path}", timeout=10, **kwargs)

    def post(self, path: str, form: dict[str, Any] | str, **headers: str) -> requests.Response:
        return self.call("POST", path, data=form, headers=headers)

    def get(self, path: str, **params: Any) -> requests.Response:
        return self.call("GET", path, params=params)

    def made(self, path: str, **form: Any) -> dict[str, Any]:
        response = self.post(path, form)
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        return body


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[Api]:
    api = Api(sandbox)
    yield api
    api.session.close()


def error(response: requests.Response, status: int = 400) -> dict[str, Any]:
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()["error"]
    assert body["type"] in ("invalid_request_error", "idempotency_error", "api_error")
    assert response.headers["Request-Id"].startswith("req_")
    return body


# -- parameters --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "form", "code", "param", "words"),
    [
        ("customers", {"nam": "x"}, "parameter_unknown", "nam", "Received unknown parameter: nam"),
        ("customers", {"a": "1", "b": "2"}, "parameter_unknown", "a", "Received unknown parameters: a, b"),
        ("customers", {"id": "cus_mine"}, "parameter_unknown", "id", "unknown parameter"),
        ("customers", {"address[town]": "x"}, "parameter_unknown", "address[town]", "unknown"),
        ("customers", {"email": "nobody"}, "email_invalid", "email", "Invalid email address: nobody"),
        ("customers", {"name": ""}, "parameter_invalid_empty", "name", "cannot be unset"),
        ("customers", {"name": "x" * 257}, None, "name", "at most 256"),
        ("customers", {"balance": "1.5"}, "parameter_invalid_integer", "balance", "Invalid integer: 1.5"),
        ("customers", {"tax_exempt": "maybe"}, None, "tax_exempt", "must be one of none, exempt, reverse"),
        ("customers", {"metadata[k]": "x" * 501}, None, "metadata[k]", "up to 500 characters"),
        ("customers", {f"metadata[{'k' * 41}]": "x"}, None, "metadata", "up to 40 characters"),
        ("customers", {f"metadata[{n}]": "x" for n in range(1, 52)}, None, "metadata", "up to 50 keys"),
        ("customers", {"address": "Berlin"}, None, "address", "Invalid object"),
        ("customers", {"shipping[name]": "x"}, "parameter_missing", "shipping[address]", "Missing required param"),
        ("products", {}, "parameter_missing", "name", "Missing required param: name."),
        ("products", {"name": "x", "default_price": "price_1"}, "parameter_unknown", "default_price", "unknown"),
        ("products", {"name": "x", "active": "yes"}, None, "active", "Invalid boolean: yes"),
        ("products", {"name": "x", "url": "example.com"}, "url_invalid", "url", "Not a valid URL"),
        ("products", {"name": "x", "images": "y"}, None, "images", "Invalid array"),
        ("products", {"name": "x", "statement_descriptor": "x" * 23}, None, "statement_descriptor", "at most 22"),
        ("customers", {"metadata": "x"}, None, "metadata", "Invalid object: x"),
        ("customers", {"metadata[a][b]": "x"}, None, "metadata[a]", "Invalid string"),
        ("customers", {"name[a]": "x"}, None, "name", "Invalid string"),
        ("customers", {"preferred_locales[0][a]": "x"}, None, "preferred_locales[0]", "Invalid string"),
        ("products", {"name": "x", "marketing_features[0]": "y"}, None, "marketing_features[0]", "Invalid object: y"),
        ("products", {"name": "x", "url": "http://["}, "url_invalid", "url", "Not a valid URL"),
        ("prices", {"currency": "eur", "currency_options[usd]": "1"}, None, "currency_options[usd]", "Invalid object"),
        (
            "prices",
            {"currency": "eur", "product": "pro", "unit_amount": "-1"},
            "parameter_invalid_integer",
            "unit_amount",
            "non-negative",
        ),
        (
            "prices",
            {"currency": "eur", "product": "pro", "unit_amount_decimal": "one"},
            None,
            "unit_amount_decimal",
            "Invalid decimal: one",
        ),
        ("prices", {"unit_amount": "1"}, "parameter_missing", "currency", "Missing required param"),
        ("prices", {"currency": "eur", "unit_amount": "1"}, None, None, "either `product` or `product_data`"),
        ("prices", {"currency": "euro", "product": "pro"}, None, "currency", "Invalid currency: euro"),
        ("prices", {"currency": "eur", "product": "pro"}, "parameter_missing", "unit_amount", "Missing"),
        ("prices", {"currency": "eur", "product": "x", "unit_amount": "1"}, "resource_missing", "product", "'x'"),
        (
            "prices",
            {"currency": "eur", "product": "pro", "unit_amount": "1", "recurring[interval]": "decade"},
            None,
            "recurring[interval]",
            "must be one of day, week, month, year",
        ),
        (
            "prices",
            {"currency": "eur", "product": "pro", "unit_amount": "1", "unit_amount_decimal": "1"},
            None,
            "unit_amount",
            "only specify one",
        ),
        (
            "prices",
            {"currency": "eur", "product": "pro", "unit_amount_decimal": "0." + "1" * 13},
            None,
            "unit_amount_decimal",
            "Invalid decimal",
        ),
    ],
)
def test_a_create_is_refused_in_words(
    api: Api, path: str, form: dict[str, str], code: str | None, param: str | None, words: str
) -> None:
    api.made("products", id="pro", name="Pro")
    problem = error(api.post(path, form))
    assert (problem.get("code"), problem.get("param")) == (code, param)
    assert words in problem["message"]
    assert not api.get(path).json()["data"] or path == "products"


def test_what_a_new_record_has(api: Api) -> None:
    customer = api.made("customers")
    assert customer["id"].startswith("cus_")
    assert {name: customer[name] for name in ("email", "balance", "tax_exempt", "metadata", "preferred_locales")} == {
        "email": None,
        "balance": 0,
        "tax_exempt": "none",
        "metadata": {},
        "preferred_locales": [],
    }
    product = api.made("products", name="Pro")
    assert (product["active"], product["images"], product["default_price"]) == (True, [], None)
    assert product["created"] == product["updated"]
    price = api.made("prices", product=product["id"], currency="usd", unit_amount="0")
    assert (price["type"], price["unit_amount_decimal"], price["tax_behavior"]) == ("one_time", "0", "unspecified")
    assert "tiers" not in price
    shown = api.get(f"prices/{price['id']}", **{"expand[]": ["tiers", "currency_options"]}).json()
    assert shown["tiers"] is None


def test_an_update_leaves_the_rest(api: Api) -> None:
    made = api.made("customers", name="Ada", **{"address[city]": "London", "metadata[a]": "1", "metadata[b]": "2"})
    changed = api.made(f"customers/{made['id']}", **{"phone": "1", "metadata[a]": "", "metadata[c]": "3"})
    assert (changed["name"], changed["metadata"]) == ("Ada", {"b": "2", "c": "3"})
    cleared = api.made(f"customers/{made['id']}", name="", **{"invoice_settings[footer]": "Thanks"})
    assert (cleared["name"], cleared["invoice_settings"]["footer"]) == (None, "Thanks")
    assert api.made(f"customers/{made['id']}", **{"invoice_settings[footer]": ""})["invoice_settings"]["footer"] is None


def test_metadata_keys_may_be_numbers(api: Api) -> None:
    assert api.made("customers", **{"metadata[0]": "a", "metadata[1]": "b"})["metadata"] == {"0": "a", "1": "b"}


def test_other_currencies(api: Api) -> None:
    api.made("products", id="pro", name="Pro")
    options = {"currency_options[usd][unit_amount]": "5", "custom_unit_amount[enabled]": "true"}
    price = api.made("prices", product="pro", currency="jpy", unit_amount="7", **options)
    shown = api.get(f"prices/{price['id']}", **{"expand[]": "currency_options"}).json()
    assert shown["currency_options"]["usd"]["unit_amount"] == 5
    assert "7 JPY" in requests.get(f"{api.sandbox.base_url}/pages/stripe/prices", timeout=10).text


def test_an_address_is_replaced_as_a_whole(api: Api) -> None:
    made = api.made("customers", name="Ada", **{"address[city]": "London", "address[country]": "GB"})
    changed = api.made(f"customers/{made['id']}", **{"address[line1]": "Main St"})
    assert changed["address"] == dict.fromkeys(made["address"]) | {"line1": "Main St"}
    ship = {"shipping[name]": "Ada", "shipping[phone]": "1", "shipping[address][city]": "London"}
    shipped = api.made(f"customers/{made['id']}", **ship)["shipping"]
    assert (shipped["name"], shipped["phone"], shipped["address"]["city"]) == ("Ada", "1", "London")
    problem = error(api.post(f"customers/{made['id']}", {"shipping[phone]": "2"}))
    assert (problem["code"], problem["param"]) == ("parameter_missing", "shipping[name]")
    del ship["shipping[phone]"]
    assert api.made(f"customers/{made['id']}", **ship)["shipping"]["phone"] is None


@pytest.mark.parametrize("name", ["unit_amount", "currency", "product", "recurring[interval]"])
def test_most_of_a_price_never_changes(api: Api, name: str) -> None:
    api.made("products", id="pro", name="Pro")
    price = api.made("prices", product="pro", currency="eur", unit_amount="1")
    problem = error(api.post(f"prices/{price['id']}", {name: "1"}))
    assert problem["code"] == "parameter_unknown"


def test_what_cannot_be_unset(api: Api) -> None:
    api.made("products", id="pro", name="Pro")
    for name in ("name", "active", "statement_descriptor"):
        assert error(api.post("products/pro", {name: ""}))["code"] == "parameter_invalid_empty"
    assert api.made("products/pro", description="", images="", url="")["images"] == []


# -- records that are there, and that are not --------------------------------------------------------


def test_deleted_customers_stay_visible_and_deleted_products_do_not(api: Api) -> None:
    known = api.made("customers", email="a@x.test")["id"]
    assert api.call("DELETE", f"customers/{known}").json() == {"id": known, "object": "customer", "deleted": True}
    assert api.get(f"customers/{known}").json()["deleted"] is True
    gone = error(api.post(f"customers/{known}", {"name": "x"}))
    assert (gone["code"], gone["param"]) == ("resource_missing", "id")
    assert error(api.call("DELETE", f"customers/{known}"), 404)["message"] == f"No such customer: '{known}'"
    assert api.get("customers", email="a@x.test").json()["data"] == []
    api.made("products", id="pro", name="Pro")
    assert api.call("DELETE", "products/pro").json()["deleted"] is True
    assert error(api.get("products/pro"), 404)["param"] == "id"
    assert api.made("products", id="pro", name="Pro again")["name"] == "Pro again"


def test_a_product_id_is_taken_once(api: Api) -> None:
    api.made("products", id="pro", name="Pro")
    problem = error(api.post("products", {"id": "pro", "name": "Other"}))
    assert (problem["code"], problem["message"]) == ("resource_already_exists", "Product already exists.")


def test_an_address_may_be_shared(api: Api) -> None:
    made = {api.made("customers", email="a@x.test")["id"] for _ in range(3)}
    assert {item["id"] for item in api.get("customers", email="a@x.test").json()["data"]} == made


def test_a_lookup_key_belongs_to_one_price_even_an_archived_one(api: Api) -> None:
    api.made("products", id="pro", name="Pro")
    form = {"product": "pro", "currency": "eur", "unit_amount": "1", "lookup_key": "k"}
    first = api.made("prices", **form)
    api.made(f"prices/{first['id']}", active="false")
    problem = error(api.post("prices", form))
    assert (problem["param"], problem["message"]) == (
        "lookup_key",
        f"A price (`{first['id']}`) already uses that lookup key.",
    )
    second = api.made("prices", **form, transfer_lookup_key="true")
    assert second["lookup_key"] == "k"
    assert [price["id"] for price in api.get("prices", **{"lookup_keys[]": ["k"]}).json()["data"]] == [second["id"]]


def test_prices_cannot_be_deleted(api: Api) -> None:
    assert "Unrecognized request URL (DELETE: /v1/prices/p)" in error(api.call("DELETE", "prices/p"), 404)["message"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"limit": "0"}, "Invalid integer"),
        ({"limit": "101"}, "Invalid integer"),
        ({"name": "Ada"}, "unknown parameter"),
        ({"starting_after": "cus_none"}, "No such customer"),
        ({"created[after]": "1"}, "Invalid integer"),
    ],
)
def test_a_list_is_refused_in_words(api: Api, query: dict[str, str], words: str) -> None:
    assert words in error(api.get("customers", **query))["message"]


def test_filters_of_a_list(api: Api, clock: Any) -> None:
    old = api.made("customers", name="old")["id"]
    clock.now += 100
    new = api.made("customers", name="new")["id"]
    second = str(int(clock.now))
    for query, found in (
        ({"created[gte]": second}, [new]),
        ({"created[lt]": second}, [old]),
        ({"created": second}, [new]),
        ({"created[gt]": second}, []),
    ):
        assert [item["id"] for item in api.get("customers", **query).json()["data"]] == found, query
    api.made("products", id="pro", name="Pro", url="https://x.test", active="false")
    api.made("products", id="free", name="Free")
    assert [item["id"] for item in api.get("products", active="true").json()["data"]] == ["free"]
    found = api.get("products", **{"ids[]": ["pro", "none"]}).json()["data"]
    assert [item["id"] for item in found] == ["pro"], "what is archived is listed too"
    assert len(error(api.get("prices", **{f"lookup_keys[{n}]": "k" for n in range(11)}))["message"]) > 10


# -- keys, limits, faults ----------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "Bearer sk_test_wrong", "Basic %%%", "Basic c2tfdGVzdDo="])
def test_without_the_key(api: Api, header: str | None) -> None:
    api.session.headers["Authorization"] = header or ""
    problem = error(api.get("customers"), 401)
    assert ("Invalid API Key" if header and "%" not in header else "did not provide") in problem["message"]


def test_the_key_may_be_a_user_name(api: Api, sandbox: Sandbox) -> None:
    del api.session.headers["Authorization"]
    api.session.auth = (str(sandbox.token("stripe")), "")
    assert api.get("account").json()["id"] == sandbox.account("stripe")


def test_limits(api: Api, sandbox: Sandbox, clock: Any) -> None:
    sandbox.configure("stripe", enforce_limits=True, requests_per_second=22)
    searches = [api.get("customers/search", query='email:"a"').status_code for _ in range(21)]
    assert searches == [200] * 20 + [429]
    assert [api.get("customers").status_code for _ in range(3)] == [200, 200, 429]
    limited = api.get("customers")
    assert error(limited, 429)["code"] == "rate_limit"
    assert limited.headers["Stripe-Rate-Limited-Reason"] == "global-rate"
    assert "Retry-After" not in limited.headers
    clock.now += 1
    assert api.get("customers").status_code == 200


def test_a_key_in_use(api: Api, sandbox: Sandbox) -> None:
    vendor: Any = sandbox.vendor("stripe")
    vendor._busy.add("k")
    problem = error(api.post("customers", {}, **{"Idempotency-Key": "k"}), 409)
    assert problem["code"] == "idempotency_key_in_use"


def test_many_at_once(api: Api) -> None:
    def work(n: int) -> str:
        one = Api(api.sandbox)
        for _ in range(5):
            keyed = one.post("customers", {"email": f"{n}@x.test"}, **{"Idempotency-Key": str(uuid.uuid4())}).json()
            one.post(f"customers/{keyed['id']}", {"name": "x"})
            one.get("customers", email=f"{n}@x.test")
            one.call("DELETE", f"customers/{keyed['id']}")
        one.session.close()
        return str(one.made("customers", email="kept@x.test")["id"])

    with ThreadPoolExecutor(8) as pool:
        kept = set(pool.map(work, range(8)))
    assert {item["id"] for item in api.get("customers").json()["data"]} == kept


def test_faults_in_stripes_words(api: Api, sandbox: Sandbox) -> None:
    for rule, status, code in (
        ({"kind": "expired"}, 401, "api_key_expired"),
        ({"kind": "status", "status": 429}, 429, "rate_limit"),
        ({"kind": "status", "status": 429, "policy": "lock_timeout"}, 429, "lock_timeout"),
        ({"kind": "status", "status": 409}, 409, "idempotency_key_in_use"),
        ({"kind": "status", "status": 403}, 403, None),
        ({"kind": "status", "status": 500}, 500, None),
    ):
        sandbox.set_faults([rule])
        assert error(api.get("customers"), status).get("code") == code
    sandbox.set_faults([{"kind": "poison", "field": "metadata.plan", "equals": "x", "message": "no"}])
    assert error(api.post("customers", {"metadata[plan]": "x"}))["message"] == "no"
    sandbox.set_faults([{"kind": "poison", "field": "name", "equals": "x", "whole_batch": True}])
    assert "<html>" in api.post("customers", {"name": "x"}).text
    sandbox.set_faults([{"kind": "empty"}])
    api.post("customers", {"email": "a@x.test"})
    sandbox.set_faults([])
    assert api.get("customers", email="a@x.test").json()["data"] == [], "it was taken back, from the index too"


def test_reset_forgets_records_and_their_index(api: Api, sandbox: Sandbox) -> None:
    api.made("customers", email="a@x.test")
    sandbox.reset()
    assert api.get("customers", email="a@x.test").json()["data"] == []


# -- forms and queries -------------------------------------------------------------------------------


def test_forms() -> None:
    body = b"a[b][c]=1&a[d]=%26&l[]=x&l[]=y&m[0][n]=1&m[1][n]=2&e=&p%5Bq%5D=1+2"
    assert parsed_form(body) == {
        "a": {"b": {"c": "1"}, "d": "&"},
        "l": ["x", "y"],
        "m": [{"n": "1"}, {"n": "2"}],
        "e": "",
        "p": {"q": "1 2"},
    }
    assert parsed_form(b"") == {}
    for bad in (b"a", b"a=1&a[b]=2", b"a[b]=1&a=2", b"a]=1", b"a[=1", b"\xff=1"):
        with pytest.raises(BadRequest):
            parsed_form(bad)
    assert nested([("a[1]", "x")]) == {"a": {"1": "x"}}


def test_a_body_that_is_no_form(api: Api) -> None:
    assert "Invalid request" in error(api.post("customers", '{"name": "Ada"}'))["message"]


def test_queries() -> None:
    query = parsed_query("metadata['a']:'1' email:\"x\"", ["email"])
    assert query.holds({"metadata": {"a": "1"}, "email": "X"})
    assert not query.holds({"metadata": {"a": "1"}, "email": "y"})
    assert not query.any


ANY_FORM = st.lists(
    st.tuples(
        st.sampled_from(
            ["name", "email", "metadata[a]", "metadata", "address[city]", "images[0]", "currency", "product"]
        )
        | st.text(max_size=6),
        st.text(max_size=6) | st.sampled_from(["1", "true", "a@x.test", "eur", "\u0660", "1e400", "http://["]),
    ),
    max_size=5,
)


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with Sandbox(tmp_path_factory.mktemp("fuzz"), vendors=("stripe",)) as sandbox:
        yield sandbox.vendors["stripe"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["customers", "products", "prices"]), form=ANY_FORM, query=st.text(max_size=20))
def test_any_request_gets_an_answer_of_the_vendor(
    vendor: Any, kind: str, form: list[tuple[str, str]], query: str
) -> None:
    body = urlencode(form)
    headers = {"authorization": f"Bearer {vendor.token()}"}
    asked = {name: [value] for name, value in form}
    for request in (
        Request("POST", f"/v1/{kind}", {}, headers, body.encode()),
        Request("GET", f"/v1/{kind}", asked, headers, b""),
        Request("GET", f"/v1/{kind}/search", {"query": [query]}, headers, b""),
    ):
        response = vendor.handle(request)
        assert 200 <= response.status < 500
        response.encoded()


# -- pages -------------------------------------------------------------------------------------------


def test_pages(api: Api, sandbox: Sandbox) -> None:
    ada = api.made("customers", email="ada@x.test", name="<Ada>", balance="-1250", **{"metadata[plan]": "pro"})
    api.made("products", id="pro", name="Pro")
    price = api.made(
        "prices", product="pro", currency="eur", unit_amount="4900", lookup_key="pm", **{"recurring[interval]": "month"}
    )
    api.made(f"prices/{price['id']}", active="false")

    def page(path: str, status: int = 200) -> str:
        response = requests.get(f"{sandbox.base_url}/pages/stripe{path}", timeout=10)
        assert response.status_code == status
        return response.text

    assert "&lt;Ada&gt;" in page("/customers")
    assert "No customers match" in page("/customers?q=nobody")
    card = page(f"/customers/{ada['id']}")
    for shown in ("ada@x.test", "-12.50", "plan", "pro", ada["id"], "filled by the sync"):
        assert shown in card
    assert "49.00 EUR" in page("/products/pro")
    assert "every month" in page("/prices")
    priced = page(f"/prices/{price['id']}")
    assert "Archived" in priced
    assert "49.00 EUR" in priced
    api.call("DELETE", f"customers/{ada['id']}")
    assert "deleted" in page(f"/customers/{ada['id']}")
    assert "Stripe has no coupons" in page("/coupons", 404)
    page("/customers/none", 404)
    assert "Stripe" in requests.get(sandbox.base_url, timeout=10).text
