"""The pace of one destination account: a token bucket, the vendor's own limits, the day's budget.

Shared by all workers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from revetl_dbt import tally
from revetl_dbt.destinations.base import Budget, DestinationError, QuotaExhaustedError


class StoppedError(DestinationError):
    """The run was asked to stop while it waited."""


class Pacer:
    """Implements `destinations.base.Gate`.

    `per_second` bounds the rate (None: only the vendor's headers and refusals do), `daily` the requests that may still
    be sent today.
    `stop` ends every wait.
    """

    def __init__(
        self,
        per_second: float | None = None,
        daily: int | None = None,
        *,
        stop: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.requests = 0
        self._interval = 1 / per_second if per_second else 0.0
        self._daily = daily
        self._stop = stop or threading.Event()
        self._clock = clock
        self._lock = threading.Lock()
        self._next = 0.0
        self._paused_until = 0.0

    def acquire(self) -> None:
        """Wait for a slot.

        Raises QuotaExhaustedError when the day's budget is used up, StoppedError when the run stops.
        """
        with self._lock:
            if self._daily is not None and self.requests >= self._daily:
                raise QuotaExhaustedError("the destination's `daily_requests` are used up", code="daily_requests")
            self.requests += 1
            tally.count(requests=1)
            now = self._clock()
            slot = max(now, self._next, self._paused_until)
            self._next = slot + self._interval
        self.wait(slot - now)

    def observe(self, budget: Budget) -> None:
        """Pause until the vendor's window starts anew when nothing is left of it."""
        if budget.remaining <= 0:
            self.pause(budget.resets_after)

    def pause(self, seconds: float) -> None:
        """Let no request leave for so long."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    def wait(self, seconds: float) -> None:
        """Wait, unless the run stops: then raise StoppedError."""
        if seconds > 0 and self._stop.wait(seconds):
            raise StoppedError("the run was stopped")
