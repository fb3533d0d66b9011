"""One plan to its end: pages of the plan, batches in flight, outcomes in the journal and in the ledger."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import Protocol, cast

import msgspec

from revetl_dbt.destinations.base import (
    AllAlike,
    Change,
    DestinationError,
    Limits,
    ObjectType,
    Operation,
    Outcome,
    Rendered,
    Sendable,
    Status,
)
from revetl_dbt.engine.claims import Claims
from revetl_dbt.engine.delivery import Delivery, InterruptedDeliveryError, Note
from revetl_dbt.engine.hearsay import Hearsay, short
from revetl_dbt.engine.journal import Journal
from revetl_dbt.engine.lease import Lease
from revetl_dbt.engine.mapping import Mapper, Row
from revetl_dbt.engine.pacing import StoppedError
from revetl_dbt.engine.prepare import Preparation
from revetl_dbt.engine.recorder import Recorder
from revetl_dbt.spec.models import Mode, OnRemoved, SyncSpec
from revetl_dbt.warehouse.ledger import Group, Ledger, PlanSummary, Range, Result

RENEW_SECONDS = 30.0
RELEASE_SECONDS = 0.3
GRACE_SECONDS = 7.0  # for batches in flight when the run is stopped
WORKERS_NAME = "revetl-send"
MOST_REASONS = 1_000
"""Different reasons that one sync remembers, so that memory stays flat however many rows are refused."""

# A record that another row takes over must be let go before it is taken.
ORDER = ("delete", "clear", "update", "create")


# A million rows pass here: `Rendered._make` takes several times as long.
_rendered = cast("Callable[[Row], Rendered]", partial(tuple.__new__, Rendered))
_text = itemgetter(2)
_NOT_JSON = "a value of this row is infinite, not a number, or a date beyond the years 1 to 9999, and cannot be sent"


@dataclass(frozen=True, slots=True)
class Course:
    """How the rows of one group are sent: what the vendor is asked to do, within which limits, and whether through its
    asynchronous jobs."""

    operation: Operation
    limits: Limits
    jobs: bool = False


class Release(Protocol):
    """Lets others have what the warehouse keeps locked, unless it was used less than `idle` seconds ago."""

    def __call__(self, *, idle: float = 0.0) -> None: ...


_Deliver = Callable[[Range, Course, Sequence[Row]], Sequence[Outcome]]


@dataclass(slots=True)
class Totals:
    """Rows by what became of them.

    `reasons` counts why rows were not accepted, by the vendor's code or, where it gives none, its message without
    values; `examples` has a message for each as the vendor said it, `hidden` the same without the values of its row.
    """

    created: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    rejected: int = 0
    unknown: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    hidden: dict[str, str] = field(default_factory=dict)

    def refused(self, code: str | None, message: str | None, safe: str | None) -> None:
        """Count a row that was not accepted; `safe` is its message without values."""
        reason = code or safe or "no reason given"
        if reason not in self.reasons and len(self.reasons) >= MOST_REASONS:
            reason = "other reasons"
        self.reasons[reason] += 1
        self.examples.setdefault(reason, message or reason)
        self.hidden.setdefault(reason, safe or reason)

    @property
    def accepted(self) -> int:
        """Rows that the destination now holds as they are."""
        return self.created + self.updated + self.deleted + self.unchanged

    @property
    def done(self) -> int:
        """Rows with an outcome."""
        return self.accepted + self.rejected + self.unknown


@dataclass(slots=True)
class _Finished:
    """What a worker reports of a batch."""

    range: Range
    counts: Counter[Status]
    results: list[Result]
    stopped: DestinationError | None = None
    safe: dict[int, str] = field(default_factory=dict)  # number: its message without values, where it quotes some
    left_open: bool = False


class Sender:
    """Sends the plan of one sync. Not reusable."""

    def __init__(
        self,
        ledger: Ledger,
        kind: ObjectType,
        mapper: Mapper,
        preparation: Preparation,
        delivery: Delivery,
        journal: Journal,
        *,
        plan_id: str,
        run_id: str,
        concurrency: int,
        slots: AbstractContextManager[object],
        stop: threading.Event,
        lease: Lease,
        release: Release,
        progress: Callable[[int], None],
        mask: Callable[[str], str] = str,
    ) -> None:
        """`concurrency` batches are in flight at most, each in one of the `slots` that all syncs of the destination
        share; `mask` takes secrets out of what the destination says."""
        self._hearsay = Hearsay(mask, [field.label for field in ledger.layout.fields])
        self.totals = Totals()
        self.stopped: DestinationError | None = None
        self._ledger = ledger
        self._spec = ledger.layout.sync.spec
        self._match_bits = sum(field.bit for field in ledger.layout.fields if field.match)
        self._kind = kind
        self._mapper = mapper
        self._preparation = preparation
        self._delivery = delivery
        self._journal = journal
        self._claims = Claims(ledger, plan_id, run_id, lease.renew)
        self._recorder = Recorder(ledger, journal, lease, self._claims, run_id)
        self._plan_id = plan_id
        self._run_id = run_id
        self._workers = 1 if kind.ordered or self._spec.mode is Mode.APPEND else concurrency
        self._slots = slots
        self._stop = stop
        self._lease = lease
        self._release = release
        self._progress = progress
        self._finished: queue.SimpleQueue[_Finished | _Crashed] = queue.SimpleQueue()
        self._open: dict[Range, None] = {}
        self._left: list[Range] = []  # batches that are still open, of which the journal tells the next run
        self._abandoned = False
        self._deadline: float | None = None
        self._renewed = time.monotonic()

    def send(self, plan: PlanSummary, *, skip: Sequence[str] = ()) -> None:
        """Send every group of the plan except the operations in `skip`. What is not attempted stays for the next run.

        Afterwards `totals` counts the outcomes and `stopped` says why it ended early. Raises what a bug raises, after
        everything known was recorded.
        """
        self._journal.start(self._plan_id, self._run_id)
        groups = sorted((g for g in plan.groups if g.op in ORDER and g.op not in skip), key=lambda g: ORDER.index(g.op))
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix=WORKERS_NAME)
        try:
            for group in groups:
                self._send_group(pool, group)
                self._drain()
        finally:
            try:
                self._settle()
            finally:
                pool.shutdown(wait=not self._abandoned, cancel_futures=True)
        if not self._left:
            self._journal.finish()

    # -- the sync's own thread ---------------------------------------------------------------------

    def _send_group(self, pool: ThreadPoolExecutor, group: Group) -> None:
        course = course_for(self._spec, self._kind, group.op, group.rows)
        rendered = self._is_rendered(group, course)
        pages = self._ledger.json_pages(group) if rendered else self._ledger.pages(group)
        deliver = self._json_outcomes if rendered else self._outcomes
        # Jobs are large: what waits for a worker would only fill the memory.
        most = self._workers if course.jobs else 2 * self._workers
        for rows in _batches(pages, course.limits.records):
            while len(self._open) >= most:
                self._take()
            if self.stopped is not None or self._stop.is_set():
                return
            batch = Range(group.op, rows[0][0], rows[-1][0])
            if course.operation not in self._kind.idempotent:
                self._claims.cover(batch, ahead=most * course.limits.records, last=group.seq_to)
            self._open[batch] = None
            pool.submit(copy_context().run, self._work, batch, course, rows, deliver)
            while not self._finished.empty():
                self._take()
            self._keep_up()

    def _is_rendered(self, group: Group, course: Course) -> bool:
        """True when the warehouse can write whole records as the destination takes them, which spares Python each of
        their values."""
        return (
            group.op == "create"
            and not course.jobs
            and self._ledger.writes_json
            and self._delivery.takes_json(course.operation)
            and not self._preparation.needed
            and not any(field.skip_null for field in self._ledger.layout.fields)
        )

    def _drain(self) -> None:
        while self._open:
            self._take()
            self._keep_up()

    def _settle(self) -> None:
        """Wait for what is in flight and record everything, whatever happened."""
        if self._open:
            self._lease.end()
        failure: BaseException | None = None
        while self._open:
            try:
                self._take()
            except Exception as error:  # noqa: BLE001 - recorded first, raised after the flush
                failure = error
        self._recorder.settle()
        self._claims.end(self._left)
        if failure is not None:
            raise failure

    def _take(self) -> None:
        """Account for one finished batch; waits for it."""
        while True:
            try:
                finished = self._finished.get(timeout=RELEASE_SECONDS)
                break
            except queue.Empty:
                self._rest()
                self._keep_up()
                if self._overdue():
                    self._abandon()
                    return
        del self._open[finished.range]
        if isinstance(finished, _Crashed):
            self._left.append(finished.range)
            raise finished.error
        if finished.left_open:
            self._left.append(finished.range)
        else:
            self._count(finished)
            self._recorder.add(finished.range, finished.results)
        if finished.stopped is not None and self.stopped is None:
            self.stopped = finished.stopped
        self._progress(self.totals.done)
        self._rest()

    def _rest(self) -> None:
        """Hold no file that nothing is read from or written to just now, however often a batch comes back."""
        self._release(idle=RELEASE_SECONDS)

    def _overdue(self) -> bool:
        """True when what is in flight has had its time since the run, or this sync of it, was to end."""
        if not (self._stop.is_set() or self._lease.ended):
            return False
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + GRACE_SECONDS
        return now >= self._deadline

    def _abandon(self) -> None:
        """Leave to the next run what nobody answers for: the journal tells it of these batches."""
        self._abandoned = True
        self._lease.end()
        batches = len(self._open)
        self._left += self._open
        self._open.clear()
        if self.stopped is None:
            waited = f"{batches} batches had no answer within {GRACE_SECONDS:.0f} s"
            self.stopped = StoppedError(f"the run was stopped; {waited}: the next run settles them")

    def _count(self, finished: _Finished) -> None:
        totals = self.totals
        for status, rows in finished.counts.items():
            name = _COUNTED.get(status) or _BY_OPERATION[finished.range.op]
            setattr(totals, name, getattr(totals, name) + rows)
        for result in finished.results:
            if result.status in ("rejected", "unsure", "unknown"):
                message = result.message or result.status
                totals.refused(result.code, message, finished.safe.get(result.seq, message))

    def _keep_up(self) -> None:
        self._recorder.keep_up()
        now = time.monotonic()
        if now - self._renewed >= RENEW_SECONDS:
            self._lease.renew()
            self._renewed = now

    # -- workers -------------------------------------------------------------------------------------

    def _work(self, batch: Range, course: Course, rows: Sequence[Row], deliver: _Deliver) -> None:
        try:
            with self._slots:
                finished = self._deliver(batch, course, rows, deliver)
            self._finished.put(finished)
        except BaseException as error:  # noqa: BLE001 - handed to the sync's own thread, which raises it
            self._finished.put(_Crashed(batch, error))

    def _deliver(self, batch: Range, course: Course, rows: Sequence[Row], deliver: _Deliver) -> _Finished:
        harmful = course.operation not in self._kind.idempotent
        self._journal.sent(batch, durable=harmful)
        outcomes: Sequence[Outcome] = []
        stopped: DestinationError | None = None
        try:
            outcomes = deliver(batch, course, rows)
        except InterruptedDeliveryError as stop:
            if stop.left_open:
                # The journal keeps the batch open: the next run asks what became of it.
                self._hearsay.hide_all(stop.cause, rows)
                return _Finished(batch, Counter(), [], stop.cause, left_open=True)
            outcomes, stopped = stop.outcomes, stop.cause
        if stopped is not None:
            self._hearsay.hide_all(stopped, rows)
        doubt = "unknown" if harmful else "unsure"
        finished = finished_batch(batch, rows, outcomes, stopped, doubt=doubt, hearsay=self._hearsay)
        self._journal.done(batch, finished.results, durable=harmful)
        return finished

    def _outcomes(self, batch: Range, course: Course, rows: Sequence[Row]) -> Sequence[Outcome]:
        """Outcomes of rows. Raises InterruptedDeliveryError with those that are known when the destination stops."""
        known: Sequence[Outcome] = []
        for how, part in self._parts(batch.op, course.operation, rows):
            changes, refused = changes_of(self._mapper, self._kind, batch.op, how, part)
            known = _joined(known, refused)
            try:
                known = _joined(known, self._revived(batch, course, how, part, self._sent(batch, course, how, changes)))
            except InterruptedDeliveryError as stop:
                raise stop.after(known) from stop
        return known

    def _json_outcomes(self, batch: Range, course: Course, rows: Sequence[Row]) -> Sequence[Outcome]:
        """The same for rows of `Ledger.json_pages`."""
        records = list(map(_rendered, rows))
        refused: list[Outcome] = []
        if None in map(_text, rows):
            unwritten = [record for record in records if record.record is None]
            refused = [Outcome(record.seq, Status.REJECTED, record.id, "value", _NOT_JSON) for record in unwritten]
            records = [record for record in records if record.record is not None]
        how = course.operation
        sent = _joined(self._sent_within(batch, course, how, records, refused), refused)
        return self._revived(batch, course, how, rows, sent)

    def _parts(self, op: str, operation: Operation, rows: Sequence[Row]) -> Iterator[tuple[Operation, Sequence[Row]]]:
        """Rows by how they are sent: one whose match value changed, and whose id is unknown, can only be written as
        a new record."""
        if op != "update" or self._spec.mode is not Mode.UPSERT or operation is Operation.UPSERT:
            yield operation, rows
            return
        moved = [row for row in rows if row[1] is None and row[2] is not None and row[2] & self._match_bits]
        if moved:
            gone = {row[0] for row in moved}
            yield Operation.UPSERT, moved
            rows = [row for row in rows if row[0] not in gone]
        if rows:
            yield operation, rows

    def _sent(self, batch: Range, course: Course, operation: Operation, changes: Sequence[Change]) -> Sequence[Outcome]:
        settled: list[Outcome] = []
        if self._preparation.needed and operation not in _REMOVING:
            try:
                changes, settled = self._preparation.settle(operation, changes)
            except DestinationError as error:
                raise InterruptedDeliveryError(error, []) from error
        return _joined(self._sent_within(batch, course, operation, changes, settled), settled)

    def _sent_within(
        self,
        batch: Range,
        course: Course,
        operation: Operation,
        changes: Sequence[Sendable],
        settled: list[Outcome],
    ) -> Sequence[Outcome]:
        """Outcomes of what was sent, within the limits; what is too large for any batch is added to `settled`."""
        bulk = self._kind.bulk.get(operation) if course.jobs else None
        limits = self._kind.operations[operation] if bulk is None else bulk.limits
        note = None if bulk is None else self._noted(batch, operation)
        outcomes: Sequence[Outcome] = []
        for part in _within(changes, limits, settled):
            try:
                outcomes = _joined(outcomes, self._delivery.deliver(operation, part, note))
            except InterruptedDeliveryError as stop:
                raise stop.after([*settled, *outcomes]) from stop
        return outcomes

    def _noted(self, batch: Range, operation: Operation) -> Note:
        return lambda changes, job: self._journal.job(batch, operation, [change.seq for change in changes], job)

    def _revived(
        self,
        batch: Range,
        course: Course,
        operation: Operation,
        rows: Sequence[Row],
        outcomes: Sequence[Outcome],
    ) -> Sequence[Outcome]:
        """Records that were updated or removed and are not there: deletes are done, upserts are sent again as a
        whole."""
        if isinstance(outcomes, AllAlike):
            return outcomes
        missing = {outcome.seq for outcome in outcomes if outcome.status is Status.MISSING}
        if not missing:
            return outcomes
        others = [outcome for outcome in outcomes if outcome.seq not in missing]
        if batch.op in ("delete", "clear"):
            status = Status.DELETED if batch.op == "delete" else Status.UNCHANGED
            return others + [Outcome(seq, status) for seq in sorted(missing)]
        if (
            self._spec.mode is Mode.UPSERT
            and operation is not Operation.UPSERT
            and Operation.UPSERT in self._kind.operations
        ):
            gone = [row for row in rows if row[0] in missing]
            whole, refused = self._mapper.changes(gone, creating=True, partial=False)
            try:
                # The id that the ledger knows belongs to the record that is gone.
                renewed = [change._replace(id=None) for change in whole]
                return [*others, *refused, *self._sent(batch, course, Operation.UPSERT, renewed)]
            except InterruptedDeliveryError as stop:
                raise stop.after([*others, *refused]) from stop
        reasons = {outcome.seq: outcome for outcome in outcomes}
        return others + [
            reasons[seq]._replace(status=Status.REJECTED, message=reasons[seq].message or "no record matches")
            for seq in sorted(missing)
        ]


def operation_for(spec: SyncSpec, kind: ObjectType, op: str) -> Operation:
    """What the vendor is asked to do for a plan row with operation `op`."""
    if op == "create":
        return {Mode.UPSERT: Operation.UPSERT, Mode.CREATE: Operation.CREATE, Mode.APPEND: Operation.APPEND}[spec.mode]
    if op in ("update", "clear"):
        return Operation.UPDATE if Operation.UPDATE in kind.operations else Operation.UPSERT
    wanted = _REMOVALS.get(spec.on_removed) or _REMOVALS.get(spec.mode) or Operation.DELETE
    return wanted if wanted in kind.operations else Operation.ARCHIVE


def course_for(spec: SyncSpec, kind: ObjectType, op: str, rows: int) -> Course:
    """How so many plan rows with operation `op` are sent."""
    operation = operation_for(spec, kind, op)
    bulk = kind.bulk.get(operation)
    if bulk is not None and rows >= bulk.threshold:
        return Course(operation, bulk.limits, jobs=True)
    return Course(operation, kind.operations[operation])


def changes_of(
    mapper: Mapper, kind: ObjectType, op: str, operation: Operation, rows: Sequence[Row]
) -> tuple[list[Change], list[Outcome]]:
    """The changes of plan rows with operation `op`, and rejections of those that cannot be sent."""
    if op == "clear":
        return mapper.cleared(rows)
    # An upsert may create: what is only written then is taken out again when the record is there.
    creating = op == "create" or operation is Operation.UPSERT
    partial = op == "update" and operation is Operation.UPDATE and kind.partial_updates
    return mapper.changes(rows, creating=creating, partial=partial)


_REMOVALS: Mapping[OnRemoved | Mode, Operation] = {
    OnRemoved.ARCHIVE: Operation.ARCHIVE,
    OnRemoved.ERASE: Operation.ERASE,
    Mode.ERASE: Operation.ERASE,
}
_REMOVING = (Operation.DELETE, Operation.ARCHIVE, Operation.ERASE)


@dataclass(frozen=True, slots=True)
class _Crashed:
    """What a worker reports when it met a bug."""

    range: Range
    error: BaseException


_COUNTED = {
    Status.CREATED: "created",
    Status.UPDATED: "updated",
    Status.DELETED: "deleted",
    Status.UNCHANGED: "unchanged",
    Status.REJECTED: "rejected",
    Status.UNKNOWN: "unknown",
    Status.MISSING: "rejected",
}
_BY_OPERATION = {"create": "created", "update": "updated", "clear": "updated", "delete": "deleted"}


def finished_batch(
    batch: Range,
    rows: Sequence[Row],
    outcomes: Sequence[Outcome],
    stopped: DestinationError | None,
    *,
    doubt: str,
    hearsay: Hearsay,
) -> _Finished:
    """The counts and results of a batch; `doubt` is what the warehouse is told of rows that may have arrived."""
    finished = _Finished(batch, Counter(), [], stopped)
    if isinstance(outcomes, AllAlike) and stopped is None:
        finished.counts[outcomes.status] = len(outcomes)
        return finished
    finished.counts = Counter(map(itemgetter(1), outcomes))
    if stopped is None and all(status.accepted for status in finished.counts) and not any(map(itemgetter(2), outcomes)):
        return finished
    by_number = {row[0]: row for row in rows}
    results = finished.results
    for seq, status, identity, code, message in outcomes:
        if not status.accepted:
            told = doubt if status is Status.UNKNOWN else "rejected"
            code = code and short(hearsay.mask(code))
            if message:
                message = hearsay.mask(message)
                safe = hearsay.hide(message, by_number[seq])
                if safe != message:
                    finished.safe[seq] = short(safe)
                message = short(message)
            results.append(Result(seq, told, identity, code, message))
        elif identity is not None and identity != by_number[seq][1]:
            results.append(Result(seq, "accepted", identity, None, None))
    if stopped is not None:
        answered = {outcome.seq for outcome in outcomes}
        results += [Result(row[0], "not_attempted", None, None, None) for row in rows if row[0] not in answered]
    return finished


def _joined(first: Sequence[Outcome], second: Sequence[Outcome]) -> Sequence[Outcome]:
    """Both, without going through them where one is empty."""
    if not first or not second:
        return first or second
    return [*first, *second]


def _batches(pages: Iterator[list[Row]], size: int) -> Iterator[list[Row]]:
    rest: list[Row] = []
    for page in pages:
        rows = rest + page if rest else page
        whole = len(rows) - len(rows) % size
        for start in range(0, whole, size):
            yield rows[start : start + size]
        rest = rows[whole:]
    if rest:
        yield rest


def _within(changes: Sequence[Sendable], limits: Limits, outcomes: list[Outcome]) -> Iterator[Sequence[Sendable]]:
    """Parts within the limits; a record that exceeds the bytes by itself gets its rejection in `outcomes`."""
    for start in range(0, len(changes), limits.records):
        part = changes[start : start + limits.records]
        yield from [part] if limits.bytes is None else _within_bytes(part, limits.bytes, outcomes)


def _within_bytes(changes: Sequence[Sendable], limit: int, outcomes: list[Outcome]) -> Iterator[Sequence[Sendable]]:
    part: list[Sendable] = []
    filled = 0
    for change in changes:
        size = _size(change)
        if size > limit:
            message = f"the record takes {size} bytes, and a request may hold {limit}"
            outcomes.append(Outcome(change.seq, Status.REJECTED, change.id, "record_too_large", message))
            continue
        if part and filled + size > limit:
            yield part
            part, filled = [], 0
        part.append(change)
        filled += size + 1
    if part:
        yield part


def _size(change: Sendable) -> int:
    """Bytes of a record, as JSON."""
    if isinstance(change, Rendered):
        return len(change.record.encode())
    return len(msgspec.json.encode([change.match, change.fields], enc_hook=str))
