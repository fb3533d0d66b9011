"""Getting one batch to an outcome for every change: retries, re-authentication, bisecting, reading back."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from revetl_dbt.destinations.base import (
    AllAlike,
    Batch,
    BatchRejectedError,
    Change,
    Destination,
    DestinationError,
    ObjectType,
    Operation,
    Outcome,
    Pending,
    Rendered,
    RetryableError,
    Sendable,
    Status,
    UnauthorizedError,
    UnknownOutcomeError,
)
from revetl_dbt.engine.mapping import seq_of
from revetl_dbt.engine.pacing import Pacer
from revetl_dbt.engine.patience import RetryPolicy, back_off
from revetl_dbt.engine.read_back import ReadBack


class InterruptedDeliveryError(Exception):
    """The destination stopped in the middle of a batch: `outcomes` are known, the rest was not attempted.

    `left_open`: the vendor still works on a job of the batch, or has records of it that it was not asked about yet:
    the next run takes it up.
    """

    def __init__(self, cause: DestinationError, outcomes: Sequence[Outcome], *, left_open: bool = False) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.outcomes = list(outcomes)
        self.left_open = left_open

    def after(self, known: Iterable[Outcome]) -> InterruptedDeliveryError:
        """The same with the outcomes of what was settled before."""
        return InterruptedDeliveryError(self.cause, [*known, *self.outcomes], left_open=self.left_open)


Fence = Callable[[], None]
Note = Callable[[Sequence[Sendable], str], None]
"""Hears which changes a vendor's job holds, and what finds the job again."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How a batch is sent, and whether that may be done twice."""

    operation: Operation
    send: Callable[[Sequence[Sendable]], Iterable[Outcome]]
    repeatable: bool


class Delivery:
    """Delivers batches of one sync; used by several workers at once."""

    def __init__(
        self,
        destination: Destination,
        kind: ObjectType,
        pacer: Pacer,
        namespace: uuid.UUID,
        policy: RetryPolicy,
        fence: Fence = lambda: None,
        read_back: ReadBack | None = None,
    ) -> None:
        """`fence` is asked before every write: it raises StoppedError when nothing more may leave. `read_back` asks
        what became of records whose answer was lost."""
        self._destination = destination
        self._kind = kind
        self._pacer = pacer
        self._namespace = namespace
        self._policy = policy
        self._fence = fence
        self._read_back = read_back

    def takes_json(self, operation: Operation) -> bool:
        """True when records may be `Rendered` for this operation."""
        return self._destination.takes_json(self._kind.name, operation)

    def deliver(self, operation: Operation, changes: Sequence[Sendable], note: Note | None = None) -> Sequence[Outcome]:
        """Exactly one final outcome a change, no RETRY among them.

        With `note`, through the vendor's asynchronous jobs. Raises InterruptedDeliveryError when the destination stops.
        """
        send = partial(self._write, operation) if note is None else partial(self._through_job, operation, note)
        way = _Way(operation, send, operation in self._kind.idempotent)
        outcomes: list[Outcome] = []
        try:
            answered = self._attempt(way, changes)
            if isinstance(answered, AllAlike):
                return answered
            self._settle(way, changes, answered, outcomes)
        except InterruptedDeliveryError as stop:
            stop.outcomes = [outcome for outcome in stop.outcomes if outcome.status is not Status.RETRY]
            whole = stop.after(outcomes)
            in_doubt = any(outcome.status is Status.UNKNOWN for outcome in whole.outcomes)
            whole.left_open |= in_doubt and self._can_read_back(way, changes)
            raise whole from stop
        except DestinationError as error:
            raise InterruptedDeliveryError(error, outcomes) from error
        return outcomes

    def follow(
        self,
        operation: Operation,
        changes: Sequence[Change],
        job: str,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Sequence[Outcome]:
        """One outcome a change, RETRY included, of a job that was begun; calls `meanwhile` each time before it waits.

        Raises InterruptedDeliveryError when the destination cannot be asked to the end.
        """
        batch = Batch(self._kind.name, operation, changes, self._namespace)
        failures, renewed = 0, False
        while True:
            try:
                answer = self._destination.poll(batch, job)
                if not isinstance(answer, Pending):
                    return list(answer)
                failures, renewed = 0, False
                meanwhile()
                self._pacer.wait(answer.seconds)
            except UnauthorizedError as error:
                if renewed or not self._destination.renew():
                    raise InterruptedDeliveryError(error, [], left_open=True) from error
                renewed = True
            except (RetryableError, UnknownOutcomeError) as error:
                failures += 1
                try:
                    back_off(error, failures, self._policy, self._pacer)
                except DestinationError as stop:
                    raise InterruptedDeliveryError(stop, [], left_open=True) from stop
            except DestinationError as error:
                raise InterruptedDeliveryError(error, [], left_open=True) from error

    def _settle(
        self, way: _Way, changes: Sequence[Sendable], answered: Sequence[Outcome], outcomes: list[Outcome]
    ) -> None:
        """Add final outcomes to `outcomes`, sending again what is not settled by what was answered."""
        # What may have been accepted is sent again too where that does no harm.
        unsettled = {Status.RETRY, Status.UNKNOWN} if way.repeatable else {Status.RETRY}
        pending, failures = list(changes), 0
        doubted: set[int] = set()
        while True:
            answered = self._asked_back(way, pending, answered, doubted)
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
            # Records that block each other (row locks) get through in smaller company.
            answered = self._attempt_parts(way, pending, max(1, len(changes) >> failures))

    def _asked_back(
        self, way: _Way, changes: Sequence[Sendable], answered: Sequence[Outcome], doubted: set[int]
    ) -> Sequence[Outcome]:
        """What was answered, with what the destination says of records whose answer was lost; `doubted` remembers them.

        One that is refused when it is sent again may be there by the first time: a request can be late.
        """
        lost = {outcome.seq for outcome in answered if outcome.status is Status.UNKNOWN}
        refused = {outcome.seq for outcome in answered if outcome.status is Status.REJECTED} & doubted
        if self._read_back is None or not (lost or refused) or not self._can_read_back(way, changes):
            return answered
        doubted |= lost
        asked = [change for change in cast("Sequence[Change]", changes) if change.seq in lost | refused]
        try:
            told = self._read_back.outcomes(way.operation, asked)
        except DestinationError as error:
            raise InterruptedDeliveryError(error, answered, left_open=True) from error
        told = {seq: outcome for seq, outcome in told.items() if seq in lost or outcome.status.accepted}
        return [told.get(outcome.seq, outcome) for outcome in answered]

    def _can_read_back(self, way: _Way, changes: Sequence[Sendable]) -> bool:
        can = self._read_back is not None and self._read_back.can(way.operation)
        return can and not isinstance(changes[0], Rendered)

    def _attempt_parts(self, way: _Way, changes: Sequence[Sendable], size: int) -> Sequence[Outcome]:
        answered: list[Outcome] = []
        for start in range(0, len(changes), size):
            try:
                answered += self._attempt(way, changes[start : start + size])
            except InterruptedDeliveryError as stop:
                raise stop.after(answered) from stop
        return answered

    def _attempt(self, way: _Way, changes: Sequence[Sendable]) -> Sequence[Outcome]:
        """Outcomes of a batch, RETRY included; a batch that is refused because of some of its records is halved."""
        try:
            return self._accounted(changes, self._written(way, changes), repeatable=way.repeatable)
        except BatchRejectedError as error:
            if len(changes) == 1:
                return [Outcome(changes[0].seq, Status.REJECTED, changes[0].id, error.code, str(error))]
        except UnknownOutcomeError as error:
            # Not repeated because a repetition could write twice.
            return _unknown(changes, error)
        except DestinationError as error:
            raise InterruptedDeliveryError(error, []) from error
        return self._attempt_parts(way, changes, -(-len(changes) // 2))

    def _written(self, way: _Way, changes: Sequence[Sendable]) -> Sequence[Outcome]:
        """The connector's answer, after as many tries as the policy allows.

        Raises what cannot be helped by trying again: InterruptedDeliveryError, with unknown outcomes, when one of the
        tries may have arrived.
        """
        doubt: UnknownOutcomeError | None = None
        renewed = False
        failures = 0
        while True:
            try:
                try:
                    self._fence()
                    answered = way.send(changes)
                    return answered if isinstance(answered, AllAlike) else list(answered)
                except UnauthorizedError:
                    if renewed or not self._destination.renew():
                        raise
                    renewed = True
                    continue
                except UnknownOutcomeError as error:
                    if not way.repeatable:
                        raise
                    failure: DestinationError = error
                    doubt = error
                except RetryableError as error:
                    failure = error
                failures += 1
                back_off(failure, failures, self._policy, self._pacer)
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

    def _through_job(self, operation: Operation, note: Note, changes: Sequence[Sendable]) -> Iterable[Outcome]:
        plain = cast("Sequence[Change]", changes)  # only `write` takes rendered records
        begun: list[str] = []

        def started(job: str) -> None:
            begun.append(job)
            note(changes, job)

        try:
            self._destination.submit(Batch(self._kind.name, operation, plain, self._namespace), started)
        except UnknownOutcomeError:
            if not begun:
                raise
            # The vendor can be asked what became of a job that is known.
        return self.follow(operation, plain, begun[0])

    def _accounted(
        self, changes: Sequence[Sendable], answered: Sequence[Outcome], *, repeatable: bool
    ) -> Sequence[Outcome]:
        """Exactly one outcome a change: what the vendor did not answer for, or answered in two ways, is unknown, and
        sent again where that does no harm."""
        if isinstance(answered, AllAlike) and answered.changes is changes and answered.status.accepted:
            return answered
        if list(map(seq_of, answered)) == list(map(seq_of, changes)):
            return list(answered)
        by_seq = _unanimous(answered)
        lost = Status.RETRY if repeatable else Status.UNKNOWN
        return [
            by_seq.get(
                change.seq,
                Outcome(change.seq, lost, change.id, "no_result", "the destination gave no clear result for it"),
            )
            for change in changes
        ]


def _unanimous(answered: Sequence[Outcome]) -> dict[int, Outcome]:
    """The outcome of each record that got one, or the same one several times."""
    by_seq = {outcome.seq: outcome for outcome in answered}
    if len(by_seq) != len(answered):
        disputed = {o.seq for o in answered if o.status is not by_seq[o.seq].status}
        return {seq: outcome for seq, outcome in by_seq.items() if seq not in disputed}
    return by_seq


def _unknown(changes: Sequence[Sendable], error: UnknownOutcomeError) -> list[Outcome]:
    return [Outcome(change.seq, Status.UNKNOWN, change.id, error.code, str(error)) for change in changes]


def _given_up(outcome: Outcome) -> Outcome:
    """A record that was refused for a passing reason, once too often, is rejected; one in doubt stays in doubt."""
    return outcome._replace(status=Status.REJECTED) if outcome.status is Status.RETRY else outcome
