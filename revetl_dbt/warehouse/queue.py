"""The queue of what dbt built, in the warehouse: written by dbt's own hook (macros/queue.sql), taken from here."""

from __future__ import annotations

import datetime as dt
import random
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from revetl_dbt.errors import WarehouseError
from revetl_dbt.warehouse.store import LEASE_SECONDS, QUEUE, Store, holder, is_dead

MAX_TAKEN = 5  # an entry whose workers die again and again ends here
KEEP_DAYS = 30
_COLUMNS = "unique_id, status, tested, invocation_id, command, started_at"


class Queued(NamedTuple):
    """What one dbt command made of one node; `tested` are the nodes that a test speaks of, `started_at` is the
    command's start, UTC without zone."""

    unique_id: str
    status: str
    tested: tuple[str, ...]
    invocation_id: str
    command: str
    started_at: dt.datetime


class Queue:
    """The entries of one dbt target, and the lease of one worker on those that it has taken."""

    def __init__(self, store: Store, worker: str | None = None) -> None:
        """`worker` is this process, unless told otherwise."""
        self._store = store
        self._worker = worker or holder()
        self._target = store.session.target
        self._table = store.tables[QUEUE]

    def take(self) -> list[Queued]:
        """Everything that waits, and what dead workers had taken: held until it is finished, or the lease ends."""
        for pause in (0.1, 0.3, None):
            dead = self._dead()
            if not self._count(dead):
                return []
            try:
                self._claim(dead)
                break
            except WarehouseError:
                # Another worker may have asked in the same moment: then there is less to take, or nothing.
                if pause is None:
                    raise
                time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - so that they do not meet again
        return self._entries(f"state = 'taken' and worker = {self._store.literal(self._worker)}")

    def peek(self) -> list[Queued]:
        """What `take` would give now."""
        return self._entries(self._takeable(self._dead()))

    def of_other_targets(self) -> dict[str, int]:
        """How many entries wait for each other target of this schema."""
        where = f"state = 'waiting' and target <> {self._store.literal(self._target)}"
        return dict(self._store.query(f"select target, count(*) from {self._table} where {where} group by target"))

    def finish(self, ids: Iterable[str], state: str, run_id: str | None, message: str | None = None) -> None:
        """End the entries of nodes as `done`, `skipped` or `failed`."""
        if named := sorted(ids):
            self._run("revetl_finish_queued", ids=named, state=state, run_id=run_id, message=message)

    def give_back(self) -> None:
        """Let others take what is taken and not finished."""
        self._run("revetl_give_back_queued")

    def clean(self) -> None:
        """Forget entries that ended long ago."""
        macro = self._store.session.macro("revetl_clean_queue", relation=self._table, days=KEEP_DAYS)
        self._store.execute([str(macro)])

    @contextmanager
    def held(self) -> Iterator[None]:
        """The lease is renewed as long as the block lasts; what is not finished by then is given back."""
        ended = threading.Event()
        thread = threading.Thread(target=self._renew, args=(ended,), name="revetl-queue", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.give_back()

    def _renew(self, ended: threading.Event) -> None:
        while not ended.wait(LEASE_SECONDS / 4):
            with suppress(WarehouseError):  # tried again long before the lease ends; the syncs have leases of their own
                self._run("revetl_renew_queued", seconds=LEASE_SECONDS)

    def _dead(self) -> list[str]:
        """Workers of this machine that run no more, and have entries."""
        rows = self._store.query(f"select distinct worker from {self._table} where state = 'taken'")
        return [worker for (worker,) in rows if is_dead(worker)]

    def _takeable(self, dead: list[str]) -> str:
        condition = self._store.session.macro("revetl_is_queued", worker_is_dead=dead)
        return f"target = {self._store.literal(self._target)} and {condition}"

    def _count(self, dead: list[str]) -> int:
        return int(self._store.query(f"select count(*) from {self._table} where {self._takeable(dead)}")[0][0])

    def _claim(self, dead: list[str]) -> None:
        give_up = {"relation": self._table, "dead": dead, "attempts": MAX_TAKEN}
        take = {"relation": self._table, "target": self._target, "worker": self._worker, "dead": dead}
        macro = self._store.session.macro
        self._store.execute(
            [
                str(macro("revetl_give_up_queued", **give_up)),
                str(macro("revetl_take_queued", **take, seconds=LEASE_SECONDS)),
            ]
        )

    def _entries(self, where: str) -> list[Queued]:
        rows = self._store.query(f"select {_COLUMNS} from {self._table} where {where} order by started_at, unique_id")
        return [Queued(row[0], row[1], tuple((row[2] or "").split()), *row[3:]) for row in rows]

    def _run(self, macro: str, **arguments: object) -> None:
        text = self._store.session.macro(macro, relation=self._table, worker=self._worker, **arguments)
        self._store.execute([str(text)])
