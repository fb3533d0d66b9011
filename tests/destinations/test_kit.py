"""The conformance kit finds what it is there to find: each connector here is wrong in one way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.destinations.base import Batch, ColumnType, DestinationError, Found, Outcome, Status
from revetl_dbt.destinations.conformance import Conformance, Subject
from revetl_dbt.destinations.hubspot import HubSpot, HubSpotConfig
from revetl_dbt.sandbox import Sandbox

from .test_conformance import Stand


class ByOrder(HubSpot):
    def write(self, batch: Batch) -> Iterable[Outcome]:
        outcomes = list(super().write(batch))
        shifted = [outcome.id for outcome in outcomes[1:] + outcomes[:1]]
        return [outcome._replace(id=other) for outcome, other in zip(outcomes, shifted, strict=True)]


class Forgetful(HubSpot):
    def write(self, batch: Batch) -> Iterable[Outcome]:
        return list(super().write(batch))[:-1]


class Optimist(HubSpot):
    def write(self, batch: Batch) -> Iterable[Outcome]:
        try:
            return super().write(batch)
        except DestinationError:
            return [Outcome(change.seq, Status.ACCEPTED) for change in batch.changes]


class Retrier(HubSpot):
    def write(self, batch: Batch) -> Iterable[Outcome]:
        try:
            return super().write(batch)
        except DestinationError:
            return super().write(batch)


class Sleeper(HubSpot):
    def write(self, batch: Batch) -> Iterable[Outcome]:
        time.sleep(0)
        return super().write(batch)


class Talker(HubSpot):
    def write(self, batch: Batch) -> Iterable[Outcome]:
        print("sending")
        return super().write(batch)


class Leak(HubSpot):
    def __repr__(self) -> str:
        return f"HubSpot({self.config.access_token.get_secret_value()})"


class Paster(HubSpot):
    def record_url(self, object: str, id: str) -> str | None:  # noqa: A002
        return f"https://app.hubspot.com/contacts/{object}/{id}"


class Boaster(HubSpot):
    def object_type(self, name: str) -> Any:
        kind = super().object_type(name)
        return None if kind is None else replace(kind, unsupported={})


class Rounder(HubSpot):
    def encoder(self, column: ColumnType, info: Any) -> Any:
        return (
            (lambda value: "" if value is None else str(value).lower())
            if column is ColumnType.TEXT
            else super().encoder(column, info)
        )


class Lagging(HubSpot):
    """Finds a record a moment after it is there."""

    asked = 0

    def read(self, object: str, match: str, values: Sequence[Any], fields: Sequence[str]) -> Iterable[Found]:  # noqa: A002
        self.asked += 1
        return super().read(object, match, values, fields) if self.asked > 2 else []


@pytest.fixture
def subject(tmp_path: Path) -> Iterator[Callable[[type[HubSpot]], Subject]]:
    with Sandbox(tmp_path / "state") as sandbox:
        stand = Stand(sandbox, "hubspot", "contacts", "email", "firstname")
        config = stand.settings(HubSpotConfig(type="hubspot", sandbox=True))
        yield lambda wrong: Subject(
            connect=lambda gate: wrong(config, gate),
            server=stand,
            object="contacts",
            match="email",
            values={"firstname": (ColumnType.TEXT, "Ada")},
            text="firstname",
            secret=sandbox.token("hubspot"),
        )


KIT = Conformance()


@pytest.mark.parametrize(
    ("wrong", "test"),
    [
        (ByOrder, KIT.test_results_belong_to_their_change_whatever_their_order),
        (Forgetful, KIT.test_a_poisoned_row_does_not_take_others_with_it),
        (Optimist, KIT.test_broken_connections_are_unknown),
        (Optimist, KIT.test_a_success_that_says_nothing_is_none),
        (Retrier, KIT.test_a_rate_limit_says_how_long),
        (Sleeper, KIT.test_refused_credentials),
        (Talker, KIT.test_refused_credentials),
        (Leak, KIT.test_secrets_do_not_show),
        (Paster, KIT.test_ids_stay_out_of_the_url),
        (Boaster, KIT.test_capabilities_are_consistent),
        (Rounder, KIT.test_text_is_exact),
        (Lagging, KIT.test_a_conclusive_field_tells_what_became_of_a_record),
    ],
)
def test_a_wrong_connector_is_found_out(
    subject: Callable[[type[HubSpot]], Subject], wrong: type[HubSpot], test: Callable[[Subject], None]
) -> None:
    test(subject(HubSpot))
    with pytest.raises(AssertionError):
        test(subject(wrong))
