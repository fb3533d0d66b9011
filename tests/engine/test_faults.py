"""Whatever fails: rows are accounted for, the ledger is true, and when the faults stop one run converges."""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import given, note
from hypothesis import strategies as st

from revetl_dbt.destinations.base import (
    Batch,
    BatchRejectedError,
    Change,
    FatalError,
    Limits,
    Operation,
    Outcome,
    QuotaExhaustedError,
    RateLimitedError,
    RetryableError,
    Status,
    UnauthorizedError,
    UnknownOutcomeError,
)
from revetl_dbt.engine.result import SyncResult
from revetl_dbt.spec.models import OnRemoved

from .bounds import examples
from .fake import Fake, Faults, people
from .harness import Flow, Warehouse, accounted

COLUMNS = {"id": "integer", "name": "varchar", "n": "integer"}
POISON = "poison"
LONG = "long" * 15  # no two of them fit into a request
HUGE = "huge" * 50  # fits into none
REFUSED = (POISON, HUGE)
LIMIT_BYTES = 150
MAX_ATTEMPTS = 3
People = dict[int, tuple[str, int]]


class Chaos(Faults):
    """Faults drawn from a seed: the same for the same run, key and try, however the threads go."""

    def __init__(self, seed: int, rate: float) -> None:
        self.seed = seed
        self.rate = rate
        self.run = 0

    def before(self, batch: Batch, nth: int) -> None:
        if any(change.fields.get("Name") == POISON for change in batch.changes):
            raise BatchRejectedError("something in here is wrong", code="poison")
        error = self._drawn("before", batch.changes[0], nth, _BEFORE)
        if error is not None:
            raise error("told to", code="told")

    def verdict(self, change: Change, nth: int) -> Outcome | None:
        status = self._drawn("verdict", change, nth, [Status.REJECTED, Status.RETRY, Status.UNKNOWN])
        return None if status is None else Outcome(change.seq, status, None, "told", "told to")

    def after(self, batch: Batch, outcomes: list[Outcome], nth: int) -> list[Outcome]:
        deaf = self._drawn("deaf", batch.changes[0], 0, [True])  # as long as the run lasts
        if deaf or self._drawn("after", batch.changes[0], nth, [True]):
            raise UnknownOutcomeError("told to", code="told")
        by_seq = {change.seq: change for change in batch.changes}
        told = [o for o in outcomes if not self._drawn("lost", by_seq[o.seq], nth, [True])]
        told += [o for o in told if self._drawn("double", by_seq[o.seq], nth, [True])]
        told += [Outcome(o.seq, Status.REJECTED) for o in told if self._drawn("against", by_seq[o.seq], nth, [True])]
        return [*told, Outcome(-1, Status.REJECTED)] if self._drawn("stray", batch.changes[0], nth, [True]) else told

    def _drawn(self, what: str, change: Change, nth: int, choices: list[Any]) -> Any:
        dice = random.Random(f"{self.seed}:{self.run}:{what}:{change.key}:{nth}")
        return dice.choice(choices) if dice.random() < self.rate else None


_BEFORE = [
    *[RetryableError, RateLimitedError, UnauthorizedError, UnknownOutcomeError] * 3,
    QuotaExhaustedError,
    FatalError,
]


@dataclass(frozen=True)
class Case:
    mode: str
    on_removed: str
    ids: bool
    records: int
    concurrency: int
    rate: float
    seed: int


@st.composite
def _case(draw: st.DrawFn) -> Case:
    mode = draw(st.sampled_from(["upsert", "upsert", "upsert", "create", "append"]))
    return Case(
        mode,
        draw(st.sampled_from(["keep", "delete", "clear"])) if mode == "upsert" else "keep",
        draw(st.booleans()),
        draw(st.sampled_from([1, 3, 8])),
        draw(st.sampled_from([1, 3])),
        draw(st.sampled_from([0.05, 0.15, 0.3])),
        draw(st.integers(0, 10**6)),
    )


_values = st.tuples(st.sampled_from(["Ann", "Ann", "Bea", "Åsa", LONG, *REFUSED]), st.integers(0, 1))


@st.composite
def _histories(draw: st.DrawFn, mode: str) -> list[People]:
    """The model before each run. What is created or appended once does not change later."""
    now: People = draw(st.dictionaries(st.integers(1, 12), _values, min_size=3, max_size=12))
    history = [now]
    for _ in range(draw(st.integers(1, 3))):
        added = draw(st.dictionaries(st.integers(1, 12), _values, max_size=5))
        gone = draw(st.sets(st.integers(1, 12), max_size=3)) if mode == "upsert" else set()
        now = {key: row for key, row in (now | added if mode == "upsert" else added | now).items() if key not in gone}
        history.append(now)
    return history


@examples(10)
@given(st.data(), _case())
def test_it_survives(data: st.DataObject, case: Case) -> None:
    history = data.draw(_histories(case.mode))
    with Warehouse() as warehouse, tempfile.TemporaryDirectory() as journal:
        chaos = Chaos(case.seed, case.rate)
        limits = dict.fromkeys(Operation, Limits(case.records, LIMIT_BYTES))
        destination = Fake(people(limits=limits), tells_ids=case.ids, faults=chaos)
        spec = {"mode": case.mode, "on_removed": case.on_removed, "guards": {"min_rows": 0}}
        match = {} if case.mode == "append" else {"Id": "id"}
        fields = {"Name": {"column": "name"}, "N": {"column": "n"}}
        rejected = {"max_attempts": MAX_ATTEMPTS}
        sync = warehouse.sync("people", "people", key=("id",), match=match, fields=fields, rejected=rejected, **spec)
        flow = Flow(warehouse, destination, sync, Path(journal), concurrency=case.concurrency)
        for people_now in history:
            _write(warehouse, people_now)
            chaos.run += 1
            result = flow.run()
            note(f"{people_now} {result.status} {result.message} {result.totals} untold {destination.untold}")
            _account(result, people_now)
            _ledger_is_true(flow)
        chaos.rate = 0.0
        _settles(flow, people_now)


def _write(warehouse: Warehouse, now: People) -> None:
    rows = [{"id": str(key), "name": f"'{name}'", "n": str(n)} for key, (name, n) in now.items()]
    warehouse.table("people", COLUMNS, rows)


def _account(result: SyncResult, now: People) -> None:
    accounted(result)
    assert result.model_rows == len(now)
    if result.totals.rejected or result.totals.unknown:
        assert result.status in ("partial", "error")
    if result.not_attempted:
        assert result.status == "error"
        assert result.message


def _ledger_is_true(flow: Flow) -> None:
    """For every key whose last acceptance we were told of, the ledger holds what the destination holds."""
    held = {change.key: dict(change.fields) for change in flow.destination.events}
    held |= {match: record.fields for match, record in flow.destination.records.items()}
    for key, fields in flow.ledger_rows().items():
        if key not in flow.destination.untold:
            assert {name: fields[name] for name in ("Name", "N")} == held[key]
    appended = [change.key for change in flow.destination.events]
    assert len(set(appended)) == len(appended), "an event was appended twice"


def _settles(flow: Flow, now: People) -> None:
    """One run without faults: all is as it ought to be, but for what is held, which is reported, or refused."""
    result = flow.run()
    accounted(result)
    _ledger_is_true(flow)
    assert result.not_attempted == result.totals.unknown == 0
    plan = flow.plan()
    assert {op for op, *_ in plan} <= {"create", "update", "held"}
    refused = {(key,) for key, (name, _) in now.items() if name in REFUSED}
    held = {key for op, _, key in plan if op == "held"}
    assert {key for op, _, key in plan if op != "held"} <= refused
    contents = flow.destination.contents() | {c.key: dict(c.fields) for c in flow.destination.events}
    expected = {(key,): {"Name": name, "N": n} for key, (name, n) in now.items()}
    assert all(contents[key] == fields for key, fields in expected.items() if key not in refused | held)
    if flow.sync.spec.on_removed is not OnRemoved.KEEP:
        left = {key for key, fields in contents.items() if fields}
        # What may have been created without our being told is not ours to delete once its row is gone.
        assert left <= expected.keys() | held | flow.destination.untold
