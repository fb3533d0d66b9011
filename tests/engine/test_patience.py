"""Requests that change nothing are asked again: one bad answer at the start of a run does not end it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from revetl_dbt.destinations.base import (
    DestinationError,
    FatalError,
    FieldInfo,
    QuotaExhaustedError,
    RateLimitedError,
    RetryableError,
    UnauthorizedError,
    UnknownOutcomeError,
)

from .fake import Fake, people
from .harness import EAGER, Flow, Warehouse

Make = Callable[..., Flow]
SPEC = {"match": {"Id": "id"}, "fields": {"Name": {"column": "name"}}}


class Moody(Fake):
    """Answers with errors first."""

    def __init__(self, errors: Sequence[DestinationError]) -> None:
        super().__init__(people(described=True))
        self.errors = list(errors)
        self.renewed = 0

    def describe(self, object: str) -> Sequence[FieldInfo]:  # noqa: A002 - the contract's name
        if self.errors:
            raise self.errors.pop(0)
        return [FieldInfo("Id", "number"), FieldInfo("Name", "text")]

    def renew(self) -> bool:
        self.renewed += 1
        return True


def sent(flow: Make, warehouse: Warehouse, errors: Sequence[DestinationError]) -> tuple[Any, Moody]:
    warehouse.table("people", {"id": "integer", "name": "varchar"}, [{"id": "1", "name": "'Ann'"}])
    moody = Moody(errors)
    return flow(moody, **SPEC).run(), moody


@pytest.mark.parametrize("kind", [RateLimitedError, RetryableError, UnknownOutcomeError, UnauthorizedError])
def test_it_is_asked_again(flow: Make, warehouse: Warehouse, kind: type[DestinationError]) -> None:
    result, moody = sent(flow, warehouse, [kind("not now", retry_after=0.0)])
    assert (result.status, moody.errors) == ("success", [])
    assert moody.renewed == (kind is UnauthorizedError)


@pytest.mark.parametrize(
    ("errors", "left"),
    [
        ([RetryableError("down")] * 9, 9 - EAGER.attempts),
        ([UnauthorizedError("who?")] * 9, 7),
        ([FatalError("no such object")] * 9, 8),
        ([QuotaExhaustedError("tomorrow")] * 9, 8),
        ([RateLimitedError("later", retry_after=3600.0)] * 9, 8),
    ],
    ids=["attempts", "credentials", "fatal", "quota", "patience"],
)
def test_it_is_not_asked_for_ever(
    flow: Make, warehouse: Warehouse, errors: Sequence[DestinationError], left: int
) -> None:
    result, moody = sent(flow, warehouse, errors)
    assert result.status == "error"
    assert str(errors[0]) in (result.message or "")
    assert len(moody.errors) == left
    assert moody.requests == 0
