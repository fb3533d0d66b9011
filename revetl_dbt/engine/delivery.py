"""Getting one batch to an outcome for every change: retries, re-authentication, bisecting, missing records."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from revetl_dbt.destinations.base import (
    AllAlike,
    Batch,
    BatchRejectedError,
    Change,
    Destination,
    DestinationError,
    FatalError,
    ObjectType,
    Operation,
    Outcome,
    QuotaExhaustedError,
    RateLimitedError,
    Rendered,
    RetryableError,
    Sendable,
    Status,
    UnauthorizedError,
    UnknownOutcomeError,
)
from revetl_dbt.engine.mapping import seq_of
from revetl_dbt.engine.pacing import Pacer


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a refused batch is tried.

    `attempts` in all, waiting `first` seconds, then twice that, at most `longest`. A vendor that asks for more patience
    than `patience` seconds has no capacity for this run: the destination stops.
    """

    attempts: int = 6
    first: float = 1.0
    longest: float = 60.0
    patience: float = 900.0

    def delay(self, failures: int) -> float:
        """Seconds before the next try, with jitter so that workers do not come back together."""
        return min(self.longest, self.first * 2.0 ** (failures - 1)) * random.uniform(0.5, 1.0)  # noqa: S311


class InterruptedDeliveryError(Exception):
    """The destination stopped in the middle of a batch: `outcomes` are known, the rest was not attempted."""

    def __init__(self, cause: DestinationError, outcomes: Sequence[Outcome]) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.outcomes = list(outcomes)


class Delivery:
    """Delivers batches of one sync; used by several workers at once."""

    def __init__(
        self, destination: Destination, kind: ObjectType, pacer: Pacer, namespace: uuid.UUID, policy: RetryPolicy
    ) -> None:
        self._destination = destination
        self._kind = kind
        self._pacer = pacer
        self._namespace = namespace
        self._policy = policy

    def takes_json(self, operation: Operation) -> bool:
        """True when records may be `Rendered` for this operation."""
        return self._destination.takes_json(self._kind.name, operation)

    def deliver(self, operation: Operation, changes: Sequence[Sendable]) -> Sequence[Outcome]:
        """Exactly one final outcome a change, no RETRY among them.

        Raises InterruptedDeliveryError when the destination stops.
        """
        outcomes: list[Outcome] = []
        try:
            answered = self._attempt(operation, changes)
            if isinstance(answered, AllAlike):
                return answered
            self._settle(operation, changes, answered, outcomes)
        except InterruptedDeliveryError as stop:
            known = [outcome for outcome in stop.outcomes if outcome.status is not Status.RETRY]
            raise InterruptedDeliveryError(stop.cause, [*outcomes, *known]) from stop
        except DestinationError as error:
            raise InterruptedDeliveryError(error, outcomes) from error
        return outcomes

    def _settle(
        self, operation: Operation, changes: Sequence[Sendable], answered: Sequence[Outcome], outcomes: list[Outcome]
    ) -> None:
        """Add final outcomes to `outcomes`, sending again what is not settled by what was answered."""
        # What may have been accepted is sent again too where that does no harm.
        unsettled = {Status.RETRY, Status.UNKNOWN} if operation in self._kind.idempotent else {Status.RETRY}
        pending, failures = list(changes), 0
        while True:
            again = {outcome.seq: outcome for outcome in answered if outcome.status in unsettled}
            outcomes += [outcome for outcome in answered if outcome.seq not in again]
            pending = [change for change in pending if change.seq in again]
            failures += 1
            if not pending:
                return
            if failures >= self._policy.attempts:
                outcomes += [_given_up(again[change.seq]) for change in pending]
                return
            self._pacer.wait(self._policy.delay(failures))
            answered = self._attempt(operation, pending)

    def _attempt(self, operation: Operation, changes: Sequence[Sendable]) -> Sequence[Outcome]:
        """Outcomes of a batch, RETRY included; a batch that is refused because of some of its records is halved."""
        try:
            return self._accounted(operation, changes, self._written(operation, changes))
        except BatchRejectedError as error:
            if len(changes) == 1:
                return [Outcome(changes[0].seq, Status.REJECTED, changes[0].id, error.code, str(error))]
        except UnknownOutcomeError as error:
            # Not repeated because a repetition could write twice.
            return _unknown(changes, error)
        except DestinationError as error:
            raise InterruptedDeliveryError(error, []) from error
        middle = len(changes) // 2
        first = self._attempt(operation, changes[:middle])
        try:
            return [*first, *self._attempt(operation, changes[middle:])]
        except InterruptedDeliveryError as stop:
            raise InterruptedDeliveryError(stop.cause, [*first, *stop.outcomes]) from stop

    def _written(self, operation: Operation, changes: Sequence[Sendable]) -> Sequence[Outcome]:
        """The connector's answer, after as many tries as the policy allows.

        Raises what cannot be helped by trying again: InterruptedDeliveryError, with unknown outcomes, when one of the
        tries may have arrived.
        """
        repeatable = operation in self._kind.idempotent
        doubt: UnknownOutcomeError | None = None
        renewed = False
        failures = 0
        while True:
            try:
                try:
                    answered = self._write(operation, changes)
                    return answered if isinstance(answered, AllAlike) else list(answered)
                except UnauthorizedError:
                    if renewed or not self._destination.renew():
                        raise
                    renewed = True
                    continue
                except UnknownOutcomeError as error:
                    if not repeatable:
                        raise
                    failure: DestinationError = error
                    doubt = error
                except RetryableError as error:
                    failure = error
                failures += 1
                self._back_off(failure, failures)
            except DestinationError as stop:
                if doubt is None or isinstance(stop, BatchRejectedError):
                    raise
                raise InterruptedDeliveryError(stop, _unknown(changes, doubt)) from stop

    def _write(self, operation: Operation, changes: Sequence[Sendable]) -> Iterable[Outcome]:
        # A batch holds changes of one kind.
        if isinstance(changes[0], Rendered):
            return self._destination.write_json(self._kind.name, operation, cast("Sequence[Rendered]", changes))
        plain = cast("Sequence[Change]", changes)
        return self._destination.write(Batch(self._kind.name, operation, plain, self._namespace))

    def _back_off(self, failure: DestinationError, failures: int) -> None:
        asked = failure.retry_after
        if asked is not None and asked > self._policy.patience:
            raise QuotaExhaustedError(
                f"{failure} (the vendor asks to wait {asked:.0f} s)", code=failure.code
            ) from failure
        if failures >= self._policy.attempts:
            raise FatalError(
                f"{failure}, {failures} times", code=failure.code, request_id=failure.request_id
            ) from failure
        delay = asked if asked is not None else self._policy.delay(failures)
        if isinstance(failure, RateLimitedError):
            self._pacer.pause(delay)
        else:
            self._pacer.wait(delay)

    def _accounted(
        self, operation: Operation, changes: Sequence[Sendable], answered: Sequence[Outcome]
    ) -> Sequence[Outcome]:
        """Exactly one outcome a change: what the vendor did not answer for is unknown, and sent again where that
        does no harm."""
        if isinstance(answered, AllAlike) and answered.changes is changes and answered.status.accepted:
            return answered
        if list(map(seq_of, answered)) == list(map(seq_of, changes)):
            return list(answered)
        by_seq = {outcome.seq: outcome for outcome in answered}
        lost = Status.RETRY if operation in self._kind.idempotent else Status.UNKNOWN
        return [
            by_seq.get(
                change.seq,
                Outcome(change.seq, lost, change.id, "no_result", "the destination gave no result for this record"),
            )
            for change in changes
        ]


def _unknown(changes: Sequence[Sendable], error: UnknownOutcomeError) -> list[Outcome]:
    return [Outcome(change.seq, Status.UNKNOWN, change.id, error.code, str(error)) for change in changes]


def _given_up(outcome: Outcome) -> Outcome:
    """A record that was refused for a passing reason, once too often, is rejected; one in doubt stays in doubt."""
    return outcome._replace(status=Status.REJECTED) if outcome.status is Status.RETRY else outcome
