"""Retries, re-authentication, bisecting and interruptions of one batch, without a warehouse."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revetl_dbt.destinations.base import (
    Batch,
    BatchRejectedError,
    Change,
    DestinationError,
    FatalError,
    Operation,
    Outcome,
    QuotaExhaustedError,
    RateLimitedError,
    RetryableError,
    Status,
    UnauthorizedError,
    UnknownOutcomeError,
)
from revetl_dbt.engine.delivery import Delivery, InterruptedDeliveryError
from revetl_dbt.engine.pacing import Pacer, StoppedError
from revetl_dbt.engine.patience import RetryPolicy

from .bounds import examples
from .fake import Fake, people

Answer = Callable[[Batch], Sequence[Outcome]]
U, A = Operation.UPSERT, Operation.APPEND


class Scripted(Fake):
    """Answers with a script: an error to raise, or a function of the batch; the last entry is repeated."""

    def __init__(self, *script: DestinationError | Answer, renews: bool = True) -> None:
        super().__init__(people(records=1000))
        self.script = list(script)
        self.batches: list[list[int]] = []
        self.renewed = 0
        self.renews = renews

    def write(self, batch: Batch) -> Sequence[Outcome]:
        self.batches.append([change.seq for change in batch.changes])
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, DestinationError):
            raise answer
        return answer(batch)

    def renew(self) -> bool:
        self.renewed += 1
        return self.renews


class Waits(Pacer):
    """Remembers how long it was told to wait, and does not."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []
        self.paused: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)

    def pause(self, seconds: float) -> None:
        self.paused.append(seconds)


def accept(batch: Batch) -> list[Outcome]:
    return [Outcome(change.seq, Status.UPDATED) for change in batch.changes]


def answer(*statuses: Status) -> Answer:
    return lambda batch: [Outcome(change.seq, status) for change, status in zip(batch.changes, statuses, strict=True)]


def changes(number: int) -> list[Change]:
    return [Change(n, (n,), {"Id": n}, {"Name": str(n)}) for n in range(number)]


def deliver(
    destination: Scripted, number: int = 4, operation: Operation = U, pacer: Pacer | None = None, **policy: Any
) -> list[Outcome]:
    rules = RetryPolicy(**{"attempts": 4, "first": 0.0, "longest": 0.0, **policy})
    delivery = Delivery(destination, destination.kind, pacer or Waits(), uuid.UUID(int=0), rules)
    return list(delivery.deliver(operation, changes(number)))


def statuses(outcomes: Sequence[Outcome]) -> dict[int, Status]:
    assert len({outcome.seq for outcome in outcomes}) == len(outcomes)
    return {outcome.seq: outcome.status for outcome in outcomes}


def interrupted(destination: Scripted, number: int = 4, operation: Operation = U, **policy: Any) -> Any:
    with pytest.raises(InterruptedDeliveryError) as caught:
        deliver(destination, number, operation, **policy)
    return caught.value


def poisoned(poison: set[int]) -> Answer:
    def write(batch: Batch) -> list[Outcome]:
        if any(change.seq in poison for change in batch.changes):
            raise BatchRejectedError("bad", code="poison")
        return accept(batch)

    return write


@examples(100)
@given(st.integers(1, 64).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))))
def test_bisecting_isolates_exactly_the_poison(case: tuple[int, set[int]]) -> None:
    number, poison = case
    destination = Scripted(poisoned(poison))
    found = statuses(deliver(destination, number))
    assert {seq for seq, status in found.items() if status is Status.REJECTED} == poison
    assert all(status is Status.UPDATED for seq, status in found.items() if seq not in poison)
    assert len(found) == number
    assert len(destination.batches) <= 1 + 2 * len(poison) * number.bit_length()


def test_a_rejection_carries_the_vendors_words() -> None:
    (outcome,) = deliver(Scripted(poisoned({0})), 1)
    assert outcome == Outcome(0, Status.REJECTED, None, "poison", "bad")


@pytest.mark.parametrize("error", [RetryableError("x"), RateLimitedError("x"), UnknownOutcomeError("x")])
def test_passing_failures_are_tried_again(error: DestinationError) -> None:
    destination = Scripted(error, error, accept)
    assert set(statuses(deliver(destination)).values()) == {Status.UPDATED}
    assert destination.batches == [[0, 1, 2, 3]] * 3


def test_patience_ends() -> None:
    stop = interrupted(Scripted(RetryableError("busy", code="503", request_id="r1")), attempts=3)
    assert isinstance(stop.cause, FatalError)
    assert (str(stop.cause), stop.cause.code, stop.cause.request_id) == ("busy, 3 times", "503", "r1")
    assert stop.outcomes == []


def test_what_may_have_arrived_is_unknown_when_the_destination_stops() -> None:
    for last in (RetryableError("busy"), FatalError("gone"), UnauthorizedError("expired")):
        stop = interrupted(Scripted(UnknownOutcomeError("reset", code="connection"), last), attempts=3)
        assert set(statuses(stop.outcomes).values()) == {Status.UNKNOWN}
        assert len(stop.outcomes) == 4


def test_what_is_not_idempotent_is_never_repeated_in_doubt() -> None:
    destination = Scripted(UnknownOutcomeError("reset", code="connection"), accept)
    found = deliver(destination, operation=A)
    assert {(o.status, o.code, o.message) for o in found} == {(Status.UNKNOWN, "connection", "reset")}
    assert len(destination.batches) == 1


def test_what_is_not_idempotent_is_repeated_when_it_was_refused() -> None:
    destination = Scripted(RetryableError("busy"), RateLimitedError("slow"), accept)
    assert set(statuses(deliver(destination, operation=A)).values()) == {Status.UPDATED}


def test_credentials_are_renewed_once() -> None:
    destination = Scripted(UnauthorizedError("expired"), accept)
    assert set(statuses(deliver(destination)).values()) == {Status.UPDATED}
    assert destination.renewed == 1
    refused = Scripted(UnauthorizedError("expired"))
    assert isinstance(interrupted(refused).cause, UnauthorizedError)
    assert (refused.renewed, len(refused.batches)) == (1, 2)
    fixed = Scripted(UnauthorizedError("wrong"), renews=False)
    assert isinstance(interrupted(fixed).cause, UnauthorizedError)
    assert len(fixed.batches) == 1


@pytest.mark.parametrize("error", [FatalError("x"), QuotaExhaustedError("x")])
def test_hopeless_failures_are_not_tried_again(error: DestinationError) -> None:
    destination = Scripted(error)
    stop = interrupted(destination)
    assert (stop.cause, stop.outcomes, len(destination.batches)) == (error, [], 1)


def test_the_vendors_delay_is_kept() -> None:
    pacer = Waits()
    deliver(
        Scripted(RateLimitedError("slow", retry_after=7.5), RetryableError("busy", retry_after=2.5), accept),
        pacer=pacer,
    )
    assert (pacer.paused, pacer.waited) == ([7.5], [2.5])


def test_own_delays_grow_and_are_bounded() -> None:
    pacer = Waits()
    failures = [RetryableError("busy")] * 7
    deliver(Scripted(*failures, accept), pacer=pacer, attempts=9, first=1.0, longest=20.0)
    assert len(pacer.waited) == 7
    assert all(low <= delay <= low * 2 for low, delay in zip([0.5, 1, 2, 4, 8, 10, 10], pacer.waited, strict=True))


def test_a_vendor_that_says_at_once_is_given_time_all_the_same() -> None:
    pacer = Waits()
    failures = [RateLimitedError("busy", retry_after=0.0), RetryableError("busy", retry_after=0.0)]
    deliver(Scripted(*failures, accept), pacer=pacer, first=8.0, longest=20.0)
    assert pacer.paused[0] >= 4
    assert pacer.waited[0] >= 8


def test_more_patience_than_there_is_counts_as_no_quota() -> None:
    stop = interrupted(Scripted(RateLimitedError("slow", code="429", retry_after=3600)), patience=900)
    assert isinstance(stop.cause, QuotaExhaustedError)
    assert (str(stop.cause), stop.cause.code) == ("slow (the vendor asks to wait 3600 s)", "429")


def test_single_records_are_tried_again_alone() -> None:
    ok, again = Status.UPDATED, Status.RETRY
    destination = Scripted(answer(ok, again, ok, again), answer(again, ok), accept)
    assert set(statuses(deliver(destination)).values()) == {ok}
    assert destination.batches == [[0, 1, 2, 3], [1, 3], [1]]


def test_records_that_are_refused_for_ever_are_rejected() -> None:
    busy = lambda batch: [Outcome(c.seq, Status.RETRY, None, "lock", "row is locked") for c in batch.changes]  # noqa: E731
    found = deliver(Scripted(busy), 2, attempts=3)
    assert found == [Outcome(n, Status.REJECTED, None, "lock", "row is locked") for n in range(2)]


def test_every_change_gets_one_outcome() -> None:
    """Missing, doubled and strange results: what is missing is sent again where that does no harm."""

    def some(batch: Batch) -> list[Outcome]:
        answered = [(2, Status.UPDATED), (0, Status.REJECTED), (2, Status.UPDATED), (9, Status.UPDATED)]
        return [Outcome(seq, status) for seq, status in answered]

    destination = Scripted(some, accept)
    found = statuses(deliver(destination))
    assert found == {0: Status.REJECTED, 1: Status.UPDATED, 2: Status.UPDATED, 3: Status.UPDATED}
    assert destination.batches == [[0, 1, 2, 3], [1, 3]]
    once = Scripted(some, accept)
    found = statuses(deliver(once, operation=A))
    assert found == {0: Status.REJECTED, 1: Status.UNKNOWN, 2: Status.UPDATED, 3: Status.UNKNOWN}
    assert len(once.batches) == 1


def test_results_that_contradict_each_other_are_none() -> None:
    def both(batch: Batch) -> list[Outcome]:
        return [*accept(batch), Outcome(1, Status.REJECTED)]

    destination = Scripted(both, accept)
    assert statuses(deliver(destination, 2)) == {0: Status.UPDATED, 1: Status.UPDATED}
    assert destination.batches == [[0, 1], [1]]
    assert statuses(deliver(Scripted(both), 2, operation=A)) == {0: Status.UPDATED, 1: Status.UNKNOWN}


def test_an_interruption_keeps_what_is_known() -> None:
    """The batch is halved, the first half is taken but for one record, then the destination stops."""
    ok, again = Status.UPDATED, Status.RETRY
    destination = Scripted(BatchRejectedError("bad"), answer(ok, again), FatalError("gone"))
    stop = interrupted(destination)
    assert statuses(stop.outcomes) == {0: ok}
    assert str(stop.cause) == "gone"


def test_an_interruption_between_tries_keeps_what_is_known() -> None:
    ok, again = Status.UPDATED, Status.RETRY
    stop = interrupted(Scripted(answer(ok, again, Status.REJECTED, again), QuotaExhaustedError("enough")))
    assert statuses(stop.outcomes) == {0: ok, 2: Status.REJECTED}


def test_a_stop_ends_every_wait() -> None:
    event = threading.Event()
    event.set()
    stop = interrupted(Scripted(RetryableError("busy")), pacer=Pacer(stop=event), first=60.0, longest=60.0)
    assert isinstance(stop.cause, StoppedError)
