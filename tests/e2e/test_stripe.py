"""Products and prices in Stripe, from tables through the engine: parents first, what never changes, what comes back,
and creates of which nobody knows whether they arrived.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine.harness import EAGER, Listener, Warehouse, accounted

from revetl_dbt.destinations.stripe import Stripe, StripeConfig
from revetl_dbt.engine.link import open_links
from revetl_dbt.engine.result import RunOptions, SyncResult
from revetl_dbt.engine.run import Run
from revetl_dbt.sandbox import Sandbox
from revetl_dbt.sandbox.stripe.values import flat
from revetl_dbt.spec.destinations import Output
from revetl_dbt.spec.models import Sync

PRODUCTS = {"sku": "varchar", "name": "varchar"}
PRICES = {"key": "varchar", "sku": "varchar", "amount": "integer", "nickname": "varchar"}


class Shop:
    """Two tables, their syncs, and a run of both."""

    def __init__(self, warehouse: Warehouse, folder: Path) -> None:
        self.warehouse, self.folder = warehouse, folder
        on_create = {"write": "on_create"}
        self.syncs = [
            warehouse.sync(
                "prices",
                "prices",
                destination="stripe",
                object="prices",
                match={"lookup_key": "key"},
                on_removed="archive",
                fields={
                    "product": {"lookup": {"object": "products", "match": {"metadata.sku": "sku"}}, **on_create},
                    "currency": {"value": "eur", **on_create},
                    "unit_amount": {"column": "amount"},
                    "nickname": {"column": "nickname"},
                },
            ),
            warehouse.sync(
                "products",
                "products",
                destination="stripe",
                object="products",
                match={"metadata.sku": "sku"},
                on_removed="archive",
                fields={"name": {"column": "name"}},
            ),
        ]

    def tables(self, products: dict[str, str], prices: dict[str, tuple[str, int, str]]) -> None:
        self.warehouse.table(
            "products", PRODUCTS, [{"sku": f"'{sku}'", "name": f"'{name}'"} for sku, name in products.items()]
        )
        rows = [
            {"key": f"'{key}'", "sku": f"'{sku}'", "amount": str(amount), "nickname": f"'{nickname}'"}
            for key, (sku, amount, nickname) in prices.items()
        ]
        self.warehouse.table("prices", PRICES, rows)

    def run(self, *syncs: Sync, full_refresh: bool = False) -> dict[str, SyncResult]:
        config = StripeConfig(type="stripe", sandbox=True)
        output = Output("stripe", "dev", Stripe, config, Path("destinations.yml"), 1)
        options = RunOptions(retry=EAGER, journal_dir=self.folder / "journal", full_refresh=full_refresh)
        stop = threading.Event()
        with open_links({"stripe": output}, self.warehouse.store, self.folder / "sandbox", stop) as links:
            run = Run(self.warehouse.store, links, options, Listener(), stop)
            results = run.execute(list(syncs or self.syncs), {})
        for result in results:
            accounted(result)
        return {result.sync.name: result for result in results}


@pytest.fixture
def warehouse() -> Iterator[Warehouse]:
    with Warehouse() as fresh:
        yield fresh


@pytest.fixture
def shop(warehouse: Warehouse, tmp_path: Path) -> Shop:
    return Shop(warehouse, tmp_path)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "sandbox", ["stripe"]) as running:
        yield running


def held(sandbox: Sandbox, kind: str, *names: str) -> list[tuple[Any, ...]]:
    """Values of all records in order."""
    records = sandbox.store.scan("stripe", kind)
    return sorted(tuple(flat(record.properties).get(name) for name in names) for record in records)


def counts(result: SyncResult) -> tuple[str, int, int, int, int]:
    totals = result.totals
    return result.status, totals.created, totals.updated, totals.deleted, totals.rejected


def test_products_go_before_their_prices(shop: Shop, sandbox: Sandbox) -> None:
    shop.tables({"a": "Alpha", "b": "Beta"}, {"a_m": ("a", 100, "A"), "b_m": ("b", 200, "B"), "c_m": ("c", 300, "C")})
    results = shop.run()
    assert counts(results["products"]) == ("success", 2, 0, 0, 0)
    assert counts(results["prices"]) == ("partial", 2, 0, 0, 1)
    assert "no `products` has this row's value in `metadata.sku`" in str(results["prices"].totals.examples)
    assert held(sandbox, "prices", "lookup_key", "unit_amount", "currency") == [
        ("a_m", 100, "eur"),
        ("b_m", 200, "eur"),
    ]
    shop.tables(
        {"a": "Alpha", "b": "Beta", "c": "Gamma"},
        {"a_m": ("a", 100, "A"), "b_m": ("b", 200, "B"), "c_m": ("c", 300, "C")},
    )
    results = shop.run()
    assert counts(results["products"]) == ("success", 1, 0, 0, 0)
    assert counts(results["prices"]) == ("success", 1, 0, 0, 0)
    assert [result.status for result in shop.run().values()] == ["noop", "noop"]


def test_what_stripe_never_changes_is_said_and_the_rest_is_changed(shop: Shop, sandbox: Sandbox) -> None:
    shop.tables({"a": "Alpha"}, {"a_m": ("a", 100, "A"), "a_y": ("a", 1000, "A")})
    shop.run()
    shop.tables({"a": "Aleph"}, {"a_m": ("a", 100, "Monthly"), "a_y": ("a", 900, "A")})
    results = shop.run()
    assert counts(results["products"]) == ("success", 0, 1, 0, 0)
    assert counts(results["prices"]) == ("partial", 0, 1, 0, 1)
    assert "never changes `unit_amount` of a price" in str(results["prices"].totals.examples)
    assert held(sandbox, "prices", "lookup_key", "unit_amount", "nickname") == [
        ("a_m", 100, "Monthly"),
        ("a_y", 1000, "A"),
    ]
    shop.tables({"a": "Aleph"}, {"a_m": ("a", 100, "Monthly"), "a_y": ("a", 1000, "A")})
    assert shop.run()["prices"].totals.rejected == 0


def test_what_goes_is_archived_and_what_comes_back_is_the_same_record(shop: Shop, sandbox: Sandbox) -> None:
    prices = {"a_m": ("a", 100, "A"), "b_m": ("b", 200, "B")}
    shop.tables({"a": "Alpha", "b": "Beta"}, prices)
    shop.run()
    shop.tables({"a": "Alpha"}, {"a_m": ("a", 100, "A")})
    results = shop.run()
    assert [counts(result)[3] for result in results.values()] == [1, 1]
    assert held(sandbox, "prices", "lookup_key", "active") == [("a_m", True), ("b_m", False)]
    assert held(sandbox, "products", "metadata.sku", "active") == [("a", True), ("b", False)]
    shop.tables({"a": "Alpha", "b": "Beta"}, prices)
    shop.run()
    assert held(sandbox, "products", "metadata.sku", "active") == [("a", True), ("b", True)]
    assert held(sandbox, "prices", "lookup_key", "active") == [("a_m", True), ("b_m", True)]


def test_a_full_refresh_repeats_without_harm(shop: Shop, sandbox: Sandbox) -> None:
    shop.tables({"a": "Alpha"}, {"a_m": ("a", 100, "A")})
    shop.run()
    results = shop.run(full_refresh=True)
    assert [counts(result)[:3] for result in results.values()] == [("success", 0, 1), ("success", 0, 1)]
    assert held(sandbox, "prices", "lookup_key", "unit_amount") == [("a_m", 100)]


@pytest.mark.parametrize("fault", [{"kind": "reset", "accepted": True}, {"kind": "truncated"}, {"kind": "reset"}])
def test_answers_that_get_lost_make_no_second_record(shop: Shop, sandbox: Sandbox, fault: dict[str, Any]) -> None:
    sandbox.configure("stripe", search_lag=3600.0)
    sandbox.set_faults([{**fault, "method": "POST", "nth": [1, 3, 5]}])
    shop.tables({str(n): f"Product {n}" for n in range(6)}, {})
    result = shop.run(shop.syncs[1])["products"]
    assert result.status == "success"
    assert held(sandbox, "products", "name") == [(f"Product {n}",) for n in range(6)]
    assert shop.run(shop.syncs[1])["products"].status == "noop"


@pytest.mark.parametrize(("match", "seed"), [("email", 0), ("metadata.id", 1)])
def test_trouble_ends_in_the_same_records(
    shop: Shop, sandbox: Sandbox, warehouse: Warehouse, seed: int, match: str
) -> None:
    """Whatever breaks and however often, every row is one customer in the end, and holds what the row says."""
    column = match.rpartition(".")[2]
    fields = {"name": {"column": "name"}, "address.city": {"column": "city"}, "address.country": {"value": "DE"}}
    sync = warehouse.sync(
        "people",
        "people",
        destination="stripe",
        object="customers",
        match={match: column},
        fields=fields,
        on_removed="delete",
    )
    sandbox.configure("stripe", search_lag=3600.0)
    often = {"vendor": "stripe", "seed": seed, "probability": 0.15}
    kinds: list[dict[str, Any]] = [
        {"kind": "reset"},
        {"kind": "reset", "accepted": True},
        {"kind": "truncated"},
        {"kind": "garbage"},
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 429, "policy": "lock_timeout"},
    ]
    for generation in ("Köln", "Bonn", "Köln"):
        rows = [
            {"email": f"'p{n}@x.test'", "id": f"'{n}'", "name": f"'Name {n}'", "city": f"'{generation}'"}
            for n in range(12)
            if n % 5 or generation != "Bonn"
        ]
        warehouse.table("people", dict.fromkeys(("email", "id", "name", "city"), "varchar"), rows)
        sandbox.set_faults([{**often, **kind, "seed": seed + n} for n, kind in enumerate(kinds)])
        for _ in range(2):
            shop.run(sync)
        sandbox.set_faults([])
        assert shop.run(sync)["people"].status in ("success", "noop")
        living = [record for record in sandbox.store.scan("stripe", "customers") if record.archived is None]
        found = sorted(
            (flat(r.properties)[match], r.properties["name"], r.properties["address"]["city"]) for r in living
        )
        assert found == sorted((row[column].strip("'"), row["name"].strip("'"), generation) for row in rows)
        assert {record.properties["address"]["country"] for record in living} == {"DE"}
    assert shop.run(sync)["people"].status == "noop"
