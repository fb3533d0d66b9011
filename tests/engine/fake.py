"""A destination in memory that behaves as vendors do, remembers everything, and can be told to fail."""

from __future__ import annotations

import itertools
import math
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import msgspec

from revetl_dbt.destinations.base import (
    Account,
    Batch,
    Budget,
    Change,
    Destination,
    DestinationConfig,
    FieldInfo,
    Found,
    Limits,
    ObjectType,
    Operation,
    Outcome,
    Pending,
    Status,
)


def _size(batch: Batch) -> int:
    """Bytes of its values as JSON."""
    return sum(len(msgspec.json.encode(change.fields, enc_hook=str)) for change in batch.changes)


WRITES = frozenset(Operation)
IDEMPOTENT = frozenset({Operation.UPSERT, Operation.UPDATE, Operation.DELETE, Operation.ARCHIVE, Operation.ERASE})


class Open:
    """A gate that never waits."""

    def acquire(self) -> None:
        pass

    def observe(self, budget: Budget) -> None:
        pass


@dataclass
class Record:
    """What the destination holds under a match value."""

    id: str
    fields: dict[str, Any] = field(default_factory=dict)


class Faults:
    """What goes wrong. Override what a test needs; `nth` counts from 1 how often the batch's first key was tried."""

    def before(self, batch: Batch, nth: int) -> None:
        """Raise to refuse a batch of which nothing is accepted."""

    def reading(self) -> None:
        """Raise to refuse to be read."""

    def verdict(self, change: Change, nth: int) -> Outcome | None:
        """An outcome to give instead of accepting the change."""
        return None

    def after(self, batch: Batch, outcomes: list[Outcome], nth: int) -> list[Outcome]:
        """What is told of a batch after it was accepted; raise to tell nothing."""
        return outcomes


def people(
    operations: Iterable[Operation] = WRITES,
    *,
    records: int = 5,
    limits: Mapping[Operation, Limits] | None = None,
    idempotent: Iterable[Operation] = IDEMPOTENT,
    reads: bool = True,
    **more: Any,
) -> ObjectType:
    """The fake's only object, `records` to a batch unless `limits` says otherwise."""
    return ObjectType(
        name="people",
        operations={operation: Limits(records) for operation in operations} | dict(limits or {}),
        idempotent=frozenset(idempotent),
        reads=reads,
        composite_match=True,
        **more,
    )


class Fake(Destination):
    """One object, `people`: records by match value, each with an id, unique by match value.

    `tells_ids`: outcomes carry ids, and a change with an id, unless it is an upsert, finds its record by it.
    `conclusive`: fields that are described as such, where the kind is described. Checked at every write: batches are
    within limits, and no key is twice in a batch or in two batches in flight.
    """

    type: ClassVar[str] = "fake"
    Config = DestinationConfig

    def __init__(
        self,
        kind: ObjectType | None = None,
        *,
        tells_ids: bool = True,
        conclusive: Iterable[str] = (),
        faults: Faults | None = None,
        account: str = "acme",
        seed: int = 0,
    ) -> None:
        super().__init__(DestinationConfig(type="fake"), Open())
        self.kind = kind or people()
        self.tells_ids = tells_ids
        self.conclusive = tuple(conclusive)
        self.faults = faults or Faults()
        self.account = account
        self.records: dict[tuple[Any, ...], Record] = {}
        self.events: list[Change] = []
        self.written: list[tuple[Operation, Change]] = []  # every change that was tried, in order
        self.requests = 0
        self.reads = 0
        self.untold: set[tuple[Any, ...]] = set()  # keys with a write that was accepted without our being told
        self.jobs: dict[str, list[Outcome]] = {}
        self._submitted: dict[str, dict[tuple[Any, ...], tuple[Mapping[str, Any], dict[str, Any]]]] = {}
        self.submitted = self.polls = 0
        self.progress: Callable[[str], Pending | None] = lambda job: None  # raise or tell that a job goes on
        self.hold: Callable[[Batch], None] = lambda batch: None  # called while a batch is in flight
        self._ids = itertools.count(1)
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._in_flight: Counter[Any] = Counter()
        self._tries: Counter[Any] = Counter()

    # -- the contract ------------------------------------------------------------------------------

    def objects(self) -> Sequence[ObjectType]:
        return [self.kind]

    def check(self) -> Account:
        return Account(self.account, self.account.title())

    def describe(self, object: str) -> Sequence[FieldInfo]:  # noqa: A002
        names = ("Id", "Email", "Name", "N", *self.conclusive)
        return [FieldInfo(name, "text", conclusive=name in self.conclusive) for name in dict.fromkeys(names)]

    def renew(self) -> bool:
        return True

    def close(self) -> None:
        pass

    def write(self, batch: Batch) -> Iterable[Outcome]:
        self.gate.acquire()
        with self._flight(batch):
            self.hold(batch)
            with self._lock:
                return self._write(batch)

    def read(self, object: str, match: str, values: Sequence[Any], fields: Sequence[str]) -> Iterable[Found]:  # noqa: A002
        self.gate.acquire()
        with self._lock:
            self.reads += 1
            self.faults.reading()
            found = [(value, self.records.get((value,))) for value in values]
            found += [(e.fields[match], Record(f"e{n}", dict(e.fields))) for n, e in self._events(match, values)]
            return [
                Found(record.id, value, {name: record.fields.get(name) for name in fields})
                for value, record in found
                if record is not None
            ]

    def submit(self, batch: Batch, started: Callable[[str], None]) -> None:
        self.gate.acquire()
        job = f"job{next(self._ids)}"
        with self._flight(batch):
            self.submitted += 1
            with self._lock:
                self.jobs[job] = self._write(batch)
                self._submitted[job] = {change.key: (change.match, dict(change.fields)) for change in batch.changes}
        started(job)

    def poll(self, batch: Batch, job: str) -> Iterable[Outcome] | Pending:
        self.gate.acquire()
        with self._lock:
            self.polls += 1
            if job not in self.jobs:
                return [Outcome(change.seq, Status.RETRY, message="there is no such job") for change in batch.changes]
            assert {change.seq for change in batch.changes} == {outcome.seq for outcome in self.jobs[job]}
            asked = {change.key: (change.match, dict(change.fields)) for change in batch.changes}
            assert asked == self._submitted[job], "not the changes that the job was given"
            return self.progress(job) or self.jobs[job]

    def _events(self, field: str, values: Sequence[Any]) -> list[tuple[int, Change]]:
        return [(n, e) for n, e in enumerate(self.events) if field in e.fields and e.fields[field] in values]

    # -- what it does ------------------------------------------------------------------------------

    @contextmanager
    def _flight(self, batch: Batch) -> Any:
        keys = [change.key for change in batch.changes]
        with self._lock:
            self.requests += 1
            assert batch.object == "people"
            assert 0 < len(keys) <= self._most(batch.operation)
            assert _size(batch) <= (self.kind.operations[batch.operation].bytes or math.inf)
            assert len(set(map(repr, keys))) == len(keys), "a key is twice in a batch"
            self._in_flight.update(map(repr, keys))
            assert max(self._in_flight.values()) == 1, "a key is in two batches in flight"
        try:
            yield
        finally:
            with self._lock:
                self._in_flight.subtract(map(repr, keys))

    def _write(self, batch: Batch) -> list[Outcome]:
        first = self._nth(batch.changes[0])
        self.faults.before(batch, first)
        outcomes = []
        for change in batch.changes:
            nth = self._nth(change)
            self._tries[repr(change.key)] += 1
            self.written.append((batch.operation, change))
            outcomes.append(self.faults.verdict(change, nth) or self._apply(batch.operation, change))
        accepted = {outcome.seq for outcome in outcomes if outcome.status.accepted}
        by_seq = {change.seq: change for change in batch.changes}
        self.untold |= {by_seq[seq].key for seq in accepted}
        told = self.faults.after(batch, outcomes, first)
        self.untold -= {by_seq[outcome.seq].key for outcome in told if outcome.status.accepted}
        self._random.shuffle(told)
        return told

    def _most(self, operation: Operation) -> int:
        bulk = self.kind.bulk.get(operation)
        single = self.kind.operations[operation].records
        return single if bulk is None else max(single, bulk.limits.records)

    def _nth(self, change: Change) -> int:
        return self._tries[repr(change.key)] + 1

    def _apply(self, operation: Operation, change: Change) -> Outcome:
        if operation is Operation.APPEND:
            if any(self._events(name, [change.fields.get(name)]) for name in self.conclusive):
                return Outcome(change.seq, Status.REJECTED, None, "conflict", "there is one already")
            self.events.append(change)
            return Outcome(change.seq, Status.CREATED, self._told(f"e{next(self._ids)}"))
        match = tuple(change.match.values())
        at = self._find(operation, change, match)
        if operation in (Operation.DELETE, Operation.ARCHIVE, Operation.ERASE):
            if at is None:
                return Outcome(change.seq, Status.MISSING)
            del self.records[at]
            return Outcome(change.seq, Status.DELETED)
        if operation is Operation.UPDATE and at is None:
            return Outcome(change.seq, Status.MISSING)
        if operation is Operation.CREATE and at is not None:
            return Outcome(change.seq, Status.REJECTED, None, "conflict", "there is one already")
        return self._put(change, match, at)

    def _find(self, operation: Operation, change: Change, match: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self.tells_ids and change.id is not None and operation is not Operation.UPSERT:
            return next((at for at, record in self.records.items() if record.id == change.id), None)
        return match if match in self.records else None

    def _put(self, change: Change, match: tuple[Any, ...], at: tuple[Any, ...] | None) -> Outcome:
        if at != match and match in self.records:
            return Outcome(change.seq, Status.REJECTED, None, "conflict", "another record has this match value")
        record = self.records.pop(at) if at is not None else Record(str(next(self._ids)))
        fields = {name: value for name, value in change.fields.items() if name not in change.match}
        self.records[match] = replace(record, fields=record.fields | fields)
        status = Status.UPDATED if at is not None else Status.CREATED
        return Outcome(change.seq, status, self._told(record.id))

    def _told(self, identity: str) -> str | None:
        return identity if self.tells_ids else None

    # -- what tests look at ------------------------------------------------------------------------

    def add(self, *match: Any, **fields: Any) -> None:
        """A record that was there before us."""
        self.records[match] = Record(str(next(self._ids)), fields)

    def contents(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        """What it holds, without empty fields."""
        return {
            match: {name: value for name, value in record.fields.items() if value is not None}
            for match, record in self.records.items()
        }

    def changes(self, *operations: Operation) -> list[Change]:
        """The changes that were tried with one of the operations (none given: any)."""
        return [change for operation, change in self.written if not operations or operation in operations]
