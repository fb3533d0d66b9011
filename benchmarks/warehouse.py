"""What plans, reads and folds cost in a warehouse: one step of a sync's life, timed in a process of its own.

    python -m benchmarks.warehouse FOLDER STEP

prints the seconds of what the step did, as JSON by name. The steps, in their order: first, read, fold or outcomes,
settled, changed. `settled` and `changed` also time a plain scan and an md5 of the same columns in the same session.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.project import COLUMNS
from revetl_dbt.engine.recorder import FLUSH_RESULTS
from revetl_dbt.spec.models import Source, Sync, SyncSpec
from revetl_dbt.warehouse.dbt_api import DbtOptions, DbtSession
from revetl_dbt.warehouse.ledger import Ledger, PlanSummary, Range, Result, open_ledger
from revetl_dbt.warehouse.store import Store

ACCOUNT = "bench"
MAPPED = ("user_id", *COLUMNS[:9])
FOLDED = 200_000
"""Accepted rows that a run folds at once: about two seconds of sending."""


class Bench:
    """The sync of a project's one model, without a destination."""

    def __init__(self, folder: Path, mapped: Sequence[str] = MAPPED) -> None:
        """`mapped` are the columns, the key first."""
        self.mapped = mapped
        self.session = DbtSession(DbtOptions(folder, folder))
        self.store = Store(self.session, notice=print)
        self.model = self.session.relation(self.session.schema, "users")
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the seconds of what is done inside."""
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0) + time.perf_counter() - started

    def ledger(self) -> Ledger:
        """Opened as a run opens it."""
        spec = {
            "destination": "bench",
            "object": "users",
            "key": ["user_id"],
            "match": {"user_id": "user_id"},
            "fields": {column: {"column": column} for column in self.mapped[1:]},
        }
        database, schema = self.session.database, self.session.schema
        source = Source("model.bench.users", "users", self.model, database, schema, "users", (), "models/users.sql")
        sync = Sync("users", SyncSpec.model_validate(spec), source, "models/users.yml", 1)
        self.store.prepare()
        state = self.store.sync_states().get((sync.name, ACCOUNT))
        columns = self.store.columns(database, schema, "users")
        return open_ledger(self.store, sync, ACCOUNT, state, columns, facts={"object": "users"})

    def floor(self) -> None:
        """A plain scan, and an md5 over the concatenated text, of the mapped columns: the best of three."""
        texts = ", ".join(f"coalesce(cast({column} as {self._text()}), '')" for column in MAPPED)
        counts = ", ".join(f"count({column})" for column in MAPPED)
        for name, what in (("scan", counts), ("md5", f"count(*), max(md5(concat_ws('|', {texts})))")):
            self.seconds[name] = min(self._query_seconds(f"select {what} from {self.model}") for _ in range(3))

    def _query_seconds(self, sql: str) -> float:
        started = time.perf_counter()
        self.store.query(sql)
        return time.perf_counter() - started

    def _text(self) -> str:
        return "varchar" if self.session.adapter_type == "duckdb" else "text"


def first(bench: Bench) -> None:
    """Plan every row, as the first run does."""
    ledger = bench.ledger()
    bench.floor()
    with bench.timed("first plan"):
        ledger.write_plan()
    bench.store.set_plan("users", ACCOUNT, "first")


def read(bench: Bench) -> None:
    """Read the plan's rows as they are sent."""
    ledger = bench.ledger()
    (group,) = ledger.summary().groups
    with bench.timed("read"):
        rows = sum(map(len, ledger.pages(group)))
    assert rows == group.rows


def fold(bench: Bench) -> None:
    """Record that every row was accepted, without more to be said."""
    _fold(bench, FOLDED, lambda _: [])


def outcomes(bench: Bench) -> None:
    """Record that every row was accepted and has an id there."""

    def results(batch: Range) -> list[Result]:
        numbers = range(batch.seq_from, batch.seq_to + 1)
        return [Result(number, "accepted", f"id-{number:012}", None, None) for number in numbers]

    _fold(bench, FLUSH_RESULTS, results)


def settled(bench: Bench) -> None:
    """Find out that nothing has changed."""
    ledger = bench.ledger()
    bench.floor()
    for _ in range(3):
        again = time.perf_counter()
        assert ledger.settled_rows() is not None
        again = time.perf_counter() - again
        bench.seconds["no change"] = min(again, bench.seconds.get("no change", again))


def changed(bench: Bench) -> None:
    """Plan what has changed, as a run does, and record it."""
    ledger = bench.ledger()
    bench.floor()
    with bench.timed("plan of changes"):
        assert ledger.settled_rows() is None
        plan = ledger.write_plan()
    assert plan.count("update") == plan.model_rows // 100
    (batch,) = _ranges(plan, FLUSH_RESULTS)[:1]
    with bench.timed("fold of one flush"):
        ledger.fold([batch], [], "bench")


def _fold(bench: Bench, size: int, results: Callable[[Range], list[Result]]) -> None:
    ledger = bench.ledger()
    for batch in _ranges(ledger.summary(), size):
        known = results(batch)
        with bench.timed("fold"):
            ledger.fold([batch], known, "bench")


def _ranges(plan: PlanSummary, size: int) -> list[Range]:
    return [
        Range(group.op, start, min(start + size - 1, group.seq_to))
        for group in plan.groups
        for start in range(group.seq_from, group.seq_to + 1, size)
    ]


STEPS: dict[str, Callable[[Bench], None]] = {
    step.__name__: step for step in (first, read, fold, outcomes, settled, changed)
}


def main() -> None:
    """Do one step."""
    bench = Bench(Path(sys.argv[1]))
    STEPS[sys.argv[2]](bench)
    bench.session.close()
    print(json.dumps(bench.seconds))


if __name__ == "__main__":
    main()
