"""A run: every selected sync planned, guarded, sent and recorded; as many side by side as dbt has threads, each after
those that it builds on."""

from __future__ import annotations

import gc
import threading
import time
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from revetl_dbt import __version__, tally
from revetl_dbt.destinations.base import DestinationError
from revetl_dbt.engine import guards
from revetl_dbt.engine.link import Link
from revetl_dbt.engine.result import Reporter, RunOptions, SyncResult
from revetl_dbt.engine.sync_run import SyncRun
from revetl_dbt.errors import LeaseHeldError, RevetlError, WarehouseError
from revetl_dbt.spec.models import Sync
from revetl_dbt.warehouse.store import Store


class Run:
    """One invocation over several syncs."""

    def __init__(
        self, store: Store, links: Mapping[str, Link], options: RunOptions, reporter: Reporter, stop: threading.Event
    ) -> None:
        """`links` maps destination names to open destinations."""
        self.run_id = str(uuid.uuid4())
        self._store = store
        self._links = links
        for link in links.values():
            link.retry = options.retry
        self._options = options
        self._reporter = reporter
        self._stop = stop
        self._failed = threading.Event()

    def execute(self, syncs: Sequence[Sync], skip: Mapping[str, str]) -> list[SyncResult]:
        """Run the syncs; `skip` maps names of syncs that do not run to the reason.

        Results come in the order of `syncs`.
        """
        self._store.prepare()
        # What dbt loaded lives as long as the process: the collector need not go through it again and again.
        gc.freeze()
        try:
            results = self._side_by_side(in_order(syncs, self._links), skip)
        finally:
            gc.unfreeze()
        return [results[sync.name] for sync in syncs]

    def _side_by_side(self, syncs: Sequence[Sync], skip: Mapping[str, str]) -> dict[str, SyncResult]:
        """Results by sync name: as many syncs at once as dbt has threads, each once those that go before it are
        through."""
        results: dict[str, SyncResult] = {}
        before = _before(syncs, self._links)
        waiting, running = list(syncs), set[Future[SyncResult]]()
        at_once = max(1, min(self._store.session.threads, len(syncs)))
        with ThreadPoolExecutor(at_once, thread_name_prefix="revetl-sync") as pool:
            while waiting or running:
                ready = [sync for sync in waiting if before[sync.name] <= results.keys()][: at_once - len(running)]
                waiting = [sync for sync in waiting if sync not in ready]
                running |= {pool.submit(self._one, sync, skip.get(sync.name)) for sync in ready}
                done, running = wait(running, return_when=FIRST_COMPLETED)
                results |= {result.sync.name: result for result in (future.result() for future in done)}
        return results

    def _one(self, sync: Sync, skip: str | None) -> SyncResult:
        result = SyncResult(sync)
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        cut_short = None if skip else self._why_not(sync)
        if skip or cut_short:
            result.status, result.message = "skipped", skip or cut_short
            if cut_short:
                self._record(result, began)  # what this run has left out, `revetl retry` makes up for
            self._reporter.finished(result)
            return result
        self._reporter.started(sync)
        started = time.monotonic()
        link = self._links[sync.spec.destination]
        used = tally.begin()
        try:
            SyncRun(self._store, link, self._options, self._reporter, self._stop, self.run_id, result).execute()
        except DestinationError as error:
            link.note(error)
            result.status, result.message = "error", f"{sync.spec.destination}: {error}"
        except RevetlError as error:
            result.status, result.message = "error", str(error)
            result.elsewhere = isinstance(error, LeaseHeldError)
        result.seconds = time.monotonic() - started
        result.requests = used.requests
        result.bytes_processed = used.bytes if self._store.source.session.tells_bytes else None
        self._record(result, began)
        if result.status in ("error", "partial"):
            self._failed.set()
        self._reporter.finished(result)
        return result

    def _why_not(self, sync: Sync) -> str | None:
        if self._stop.is_set():
            return "the run was stopped"
        if self._options.fail_fast and self._failed.is_set():
            return "an earlier sync failed (--fail-fast)"
        stopped = self._links[sync.spec.destination].stopped
        return f"`{sync.spec.destination}` takes nothing more in this run: {stopped}" if stopped else None

    def _record(self, result: SyncResult, began: str) -> None:
        """Add the result to the history; a warehouse that does not take it makes the sync an error, not less."""
        try:
            self._store.record_run(self._history(result, began))
        except WarehouseError as error:
            known = f"{result.message}\n" if result.message else ""
            result.status, result.message = "error", f"{known}The run could not be added to the history: {error}"

    def _history(self, result: SyncResult, began: str) -> dict[str, object]:
        sync, totals = result.sync, result.totals
        return {
            "run_id": self.run_id,
            "sync": sync.name,
            "account": result.account.id if result.account else None,
            "model": sync.source.unique_id,
            "destination": sync.spec.destination,
            "object": sync.spec.object,
            "mode": sync.spec.mode.value,
            "target": self._store.session.target,
            "status": result.status,
            "model_rows": result.model_rows,
            "planned": result.planned,
            "created": totals.created,
            "updated": totals.updated,
            "deleted": totals.deleted,
            "unchanged": result.unchanged,
            "invalid": sum(result.invalid.values()),
            "rejected": totals.rejected + totals.unknown,
            "held": result.held,
            "skipped": result.guarded,
            "not_attempted": result.not_attempted,
            "requests": result.requests,
            "bytes_processed": result.bytes_processed,
            "started_at": began,
            "message": self._options.redact(sync, result.message) if result.message else None,
            "dbt_invocation_id": self._options.dbt_invocation_id,
            "revetl_version": __version__,
            "command": self._options.command,
            "released": guards.in_words(result.released) or None,
        }


def in_order(syncs: Iterable[Sync], links: Mapping[str, Link]) -> list[Sync]:
    """Syncs so that what others look up or refer to comes first; otherwise as declared.

    Cycles were refused when the project was loaded.
    """
    pending = list(syncs)
    referring = {sync.name for sync in pending if _refers(sync, links)}
    ordered: list[Sync] = []
    while pending:
        ready = [sync for sync in pending if not _parents(sync, pending, referring)] or pending[:1]
        ordered += ready
        pending = [sync for sync in pending if sync not in ready]
    return ordered


def _before(ordered: Sequence[Sync], links: Mapping[str, Link]) -> dict[str, set[str]]:
    """The syncs that each has to wait for, of those before it in the order: what it looks up or refers to, and what
    writes to the same object, of which two writers at once could meet in one record."""
    referring = {sync.name for sync in ordered if _refers(sync, links)}
    names: dict[str, set[str]] = {}
    for place, sync in enumerate(ordered):
        earlier = ordered[:place]
        same = [s for s in earlier if (s.spec.destination, s.spec.object) == (sync.spec.destination, sync.spec.object)]
        names[sync.name] = {other.name for other in (*same, *_parents(sync, earlier, referring))}
    return names


def _refers(sync: Sync, links: Mapping[str, Link]) -> bool:
    link = links.get(sync.spec.destination)  # a destination of which every sync is skipped is not opened
    kind = None if link is None else link.destination.object_type(sync.spec.object)
    return kind is not None and kind.refers


def _parents(sync: Sync, others: Iterable[Sync], referring: Collection[str]) -> list[Sync]:
    objects = {m.lookup.object for m in sync.spec.fields.values() if m.lookup is not None}
    own = [other for other in others if other is not sync and other.spec.destination == sync.spec.destination]
    if sync.name in referring:
        return [other for other in own if other.spec.object in objects or other.name not in referring]
    return [other for other in own if other.spec.object in objects]
