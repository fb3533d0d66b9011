"""Which plan rows may have left for good, as the warehouse knows it: for whoever takes over without the journal.

Rows that must not be sent twice are claimed before they leave, a stretch of the plan at a time; what was folded into
the ledger is claimed no more. Who finds a claim and no journal cannot know which of its rows have left.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from revetl_dbt.engine.journal import Left
from revetl_dbt.warehouse.ledger import Ledger, Range

STRETCH_SECONDS = 2.0
_GROWTH = 4


class Claims:
    """The claims of one plan. Used by the sync's own thread and by the one that records; what one of them writes, the
    other never takes back."""

    def __init__(
        self,
        ledger: Ledger,
        plan_id: str,
        run_id: str,
        renew: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`renew` keeps the lease, and raises LeaseHeldError where it was lost: then nothing more is claimed."""
        self._ledger = ledger
        self._plan_id = plan_id
        self._run_id = run_id
        self._renew = renew
        self._clock = clock
        self._lock = threading.Lock()
        self._claimed: list[Range] = []
        self._rows = 0  # of a stretch
        self._since = 0.0

    def cover(self, batch: Range, *, ahead: int, last: int) -> None:
        """Claim a batch before it leaves, unless it is claimed already, and what follows it for about two seconds.

        At least `ahead` rows, and none beyond number `last`. The warehouse knows it when this returns.
        """
        with self._lock:
            if not self._covers(batch):
                self._extend(batch, ahead, last)

    def _covers(self, batch: Range) -> bool:
        return any(
            c.op == batch.op and c.seq_from <= batch.seq_from and batch.seq_to <= c.seq_to for c in self._claimed
        )

    def _extend(self, batch: Range, ahead: int, last: int) -> None:
        now = self._clock()
        if self._rows:
            share = STRETCH_SECONDS / max(now - self._since, STRETCH_SECONDS / _GROWTH)
            self._rows = int(self._rows * share)
        self._rows = max(self._rows, ahead)
        self._since = now
        end = max(batch.seq_to, min(last, batch.seq_from + self._rows - 1))
        self._renew()
        self._claimed.append(Range(batch.op, batch.seq_from, end))
        self._ledger.store.execute(self._statements())

    @contextmanager
    def ending(self, folded: Sequence[Range]) -> Iterator[list[str]]:
        """The statements that end the claims of rows that are folded, for the same transaction, which is over when this
        is left."""
        with self._lock:
            known = self._claimed
            self._claimed = [rest for claim in known for rest in _less(claim, folded)]
            yield self._statements() if known else []

    def end(self, left_open: Sequence[Range]) -> None:
        """Nothing more leaves: only rows of these batches may have, without our knowing."""
        if self._claimed:
            self._claimed = list(left_open)
            self._ledger.store.execute(self._statements())

    def _statements(self) -> list[str]:
        text = msgspec.json.encode([self._run_id, self._claimed]).decode() if self._claimed else None
        return self._ledger.claim(self._plan_id, text)


def left_by(plan_id: str, claimed: str) -> Left:
    """What a run that died without a journal may have sent."""
    run_id, ranges = msgspec.json.decode(claimed, type=tuple[str, list[Range]])
    return Left(plan_id, run_id, open=ranges)


def _less(claim: Range, folded: Iterable[Range]) -> list[Range]:
    """What is left of a claim."""
    rest = [claim]
    for gone in folded:
        rest = [part for whole in rest for part in _apart(whole, gone)]
    return rest


def _apart(whole: Range, gone: Range) -> list[Range]:
    if gone.op != whole.op or gone.seq_to < whole.seq_from or gone.seq_from > whole.seq_to:
        return [whole]
    parts = [Range(whole.op, whole.seq_from, gone.seq_from - 1), Range(whole.op, gone.seq_to + 1, whole.seq_to)]
    return [part for part in parts if part.seq_from <= part.seq_to]
