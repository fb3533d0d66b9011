"""Outcomes on their way into the ledger: folded a flush at a time, beside the sending, so that no worker waits for the
warehouse."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context

from revetl_dbt.engine.claims import Claims
from revetl_dbt.engine.journal import Journal
from revetl_dbt.engine.lease import Lease
from revetl_dbt.warehouse.ledger import Ledger, Range, Result

FLUSH_SECONDS = 2.0
FLUSH_RESULTS = 10_000
FLUSH_SHARE = 0.2
"""Of the time, at most, is spent on recording: engines that take seconds for it, and may have a price for it, are asked
less often."""


class Recorder:
    """Used by the sync's own thread. What was added is in the ledger, and no longer in the journal, after `settle`."""

    def __init__(self, ledger: Ledger, journal: Journal, lease: Lease, claims: Claims, run_id: str) -> None:
        self._ledger = ledger
        self._journal = journal
        self._lease = lease
        self._claims = claims
        self._run_id = run_id
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="revetl-record")
        self._ranges: list[Range] = []
        self._results: list[Result] = []
        self._flush: Future[None] | None = None
        self._flushing: tuple[list[Range], list[Result]] = ([], [])
        self._flushed = time.monotonic()
        self._took = 0.0  # seconds, the last flush

    def add(self, batch: Range, results: Sequence[Result]) -> None:
        """A batch whose outcomes are known."""
        self._ranges.append(batch)
        self._results += results

    def keep_up(self) -> None:
        """Begin a flush when one is due; waits for the one before when so much is known that memory would grow.

        Raises what that one raised.
        """
        if self._flush is not None and (self._flush.done() or len(self._results) >= FLUSH_RESULTS):
            self._wait()
        pause = max(FLUSH_SECONDS, self._took / FLUSH_SHARE)
        due = time.monotonic() - self._flushed >= pause or len(self._results) >= FLUSH_RESULTS
        if self._flush is None and self._ranges and due:
            self._begin()

    def settle(self) -> None:
        """Record everything that is known. Raises what the warehouse raises."""
        try:
            self._wait()
            if self._ranges:
                self._begin()
                self._wait()
        finally:
            self._pool.shutdown()

    def _begin(self) -> None:
        self._flushing = self._ranges, self._results
        self._ranges, self._results = [], []
        self._flushed = time.monotonic()
        ranges, results = self._flushing
        self._flush = self._pool.submit(copy_context().run, lambda: self._fold(ranges, results))

    def _wait(self) -> None:
        """Wait for the flush under way; what a failed one held is still to be recorded."""
        if self._flush is None:
            return
        flush, self._flush = self._flush, None
        try:
            flush.result()
        except BaseException:
            ranges, results = self._flushing
            self._ranges, self._results = ranges + self._ranges, results + self._results
            raise

    def _fold(self, ranges: Sequence[Range], results: Sequence[Result]) -> None:
        begun = time.monotonic()
        # A run that slept through the end of its lease must not touch the plan of the run that followed.
        self._lease.renew()
        for part in _portions(_merged(ranges), self._ledger.portion):
            own = [result for result in results if part.seq_from <= result.seq <= part.seq_to]
            with self._claims.ending([part]) as ends:
                self._ledger.fold([part], own, self._run_id, also=ends)
        self._journal.forget(ranges)
        self._took = time.monotonic() - begun


def _portions(ranges: Sequence[Range], portion: int | None) -> Iterator[Range]:
    """The same rows in ranges of which none has more than a `portion` of rows that replace others."""
    for op, first, last in ranges:
        size = portion if portion and op != "create" else last - first + 1
        for start in range(first, last + 1, size):
            yield Range(op, start, min(start + size - 1, last))


def _merged(ranges: Sequence[Range]) -> list[Range]:
    """The same rows in fewer ranges: neighbours of one operation become one."""
    merged: list[Range] = []
    for current in sorted(ranges):
        last = merged[-1] if merged else None
        if last is not None and last.op == current.op and current.seq_from <= last.seq_to + 1:
            merged[-1] = Range(last.op, last.seq_from, max(last.seq_to, current.seq_to))
        else:
            merged.append(current)
    return merged
