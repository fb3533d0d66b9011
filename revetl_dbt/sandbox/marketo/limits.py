"""Marketo's limits: calls in 20 seconds, calls a day (until midnight, Central Standard Time), calls at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from revetl_dbt.sandbox.marketo.errors import ApiError

WINDOW = 20.0
_DAY = 86_400
_CST = 6 * 3600  # seconds behind UTC


class Limits:
    """Counts calls; `now` is in seconds since 1970."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Start anew."""
        self._recent: deque[float] = deque()
        self._day, self.today, self._busy = 0, 0, 0

    @contextmanager
    def call(self, rate: int, daily: int, at_once: int) -> Iterator[None]:
        """Around a call. ApiError 606, 607 or 615 when one limit is used up; such a call does not count."""
        with self._lock:
            now = self._now()
            day = int(now - _CST) // _DAY
            if day != self._day:
                self._day, self.today = day, 0
            while self._recent and self._recent[0] <= now - WINDOW:
                self._recent.popleft()
            if self.today >= daily:
                raise ApiError("607", f"Daily quota '{daily}' reached")
            if len(self._recent) >= rate:
                raise ApiError("606", f"Max rate limit '{rate}' exceeded with in '{WINDOW:.0f}' secs")
            if self._busy >= at_once:
                raise ApiError("615", f"Concurrent access limit '{at_once}' reached")
            self._recent.append(now)
            self.today += 1
            self._busy += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy = max(0, self._busy - 1)
