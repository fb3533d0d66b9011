"""The conformance kit on Stripe, against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from revetl_dbt.destinations.base import ColumnType
from revetl_dbt.destinations.conformance import Conformance, Subject, Trouble
from revetl_dbt.destinations.stripe import Stripe, StripeConfig
from revetl_dbt.sandbox import Sandbox
from revetl_dbt.sandbox.stripe import Stripe as StandIn
from revetl_dbt.sandbox.stripe.schema import KINDS
from revetl_dbt.sandbox.stripe.values import flat

from .stand import TEXT, VALUES, Stand


class StripeStand(Stand):
    """Fields by their dotted names; what is archived is gone."""

    FAULTS: Mapping[Trouble, Mapping[str, Any]] = {
        **Stand.FAULTS,
        Trouble.RATE_LIMITED: {**Stand.FAULTS[Trouble.RATE_LIMITED], "policy": "global-rate"},
        Trouble.EMPTY: {"kind": "garbage", "body": "blank"},
    }

    def held(self, match: Any) -> Mapping[str, Any] | None:
        for record in self._sandbox.store.scan(self._vendor, self._collection):
            values = {"id": record.id, **flat(record.properties)}
            if str(values.get(self._match)) == str(match) and values.get("active") is not False:
                return values
        return None


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("stripe"), ["stripe"]) as made:
        yield made


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    """The sandbox of this file, empty."""
    running.reset()
    return running


def stripe_subject(sandbox: Sandbox, kind: str, match: str, **more: tuple[ColumnType, Any]) -> Subject:
    stand = StripeStand(sandbox, "stripe", kind, match, "metadata.x_name")
    config = stand.settings(StripeConfig(type="stripe", sandbox=True))
    return Subject(
        connect=lambda gate: Stripe(config, gate),
        server=stand,
        object=kind,
        match=match,
        values={**more, **{f"metadata.x_{name}": value for name, value in VALUES.items()}},
        text="metadata.x_name",
        secret=sandbox.token("stripe"),
    )


def create(sandbox: Sandbox, kind: str, **given: Any) -> None:
    vendor = sandbox.vendor("stripe")
    assert isinstance(vendor, StandIn)
    vendor.records.create(KINDS[kind], given)


class TestCustomers(Conformance):
    @pytest.fixture(params=["email", "metadata.user.id"])
    def subject(self, sandbox: Sandbox, request: pytest.FixtureRequest) -> Subject:
        return stripe_subject(sandbox, "customers", request.param, name=TEXT, balance=(ColumnType.INTEGER, 250))

    def test_a_null_clears(self, subject: Subject) -> None:
        values = {
            name: value for name, value in subject.values.items() if name != "balance"
        }  # a number cannot be unset
        super().test_a_null_clears(replace(subject, values=values))


class TestProducts(Conformance):
    @pytest.fixture
    def subject(self, sandbox: Sandbox) -> Subject:
        return stripe_subject(sandbox, "products", "id", name=TEXT, description=TEXT)

    def test_a_null_clears(self, subject: Subject, sandbox: Sandbox) -> None:  # type: ignore[override] # a fixture more
        create(sandbox, "products", id=subject.new_match(1), name="a name that is never cleared")
        values = {name: value for name, value in subject.values.items() if name != "name"}
        super().test_a_null_clears(replace(subject, values=values))


class TestPrices(Conformance):
    FIXED: Mapping[str, tuple[ColumnType, Any]] = {
        "product": (ColumnType.TEXT, "pro"),
        "currency": (ColumnType.TEXT, "eur"),
        "unit_amount": (ColumnType.INTEGER, 4900),
        "recurring.interval": (ColumnType.TEXT, "month"),
    }

    @pytest.fixture
    def subject(self, sandbox: Sandbox) -> Subject:
        create(sandbox, "products", id="pro", name="Pro")
        return stripe_subject(sandbox, "prices", "lookup_key", **self.FIXED)

    def test_a_null_clears(self, subject: Subject, sandbox: Sandbox) -> None:  # type: ignore[override] # a fixture more
        key = subject.new_match(1)
        create(sandbox, "prices", product="pro", currency="eur", unit_amount="1", lookup_key=key)
        values = {name: value for name, value in subject.values.items() if name not in self.FIXED}
        super().test_a_null_clears(replace(subject, values=values))
