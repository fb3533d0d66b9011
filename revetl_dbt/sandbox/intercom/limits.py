"""Intercom's rate limit: so many requests in each window of ten seconds, told in the headers of every authenticated
answer (https://developers.intercom.com/docs/references/2.17/rest-api/errors/rate-limiting).
"""

from __future__ import annotations

import threading
from collections.abc import Callable

WINDOW_SECONDS = 10


class RateLimiter:
    """Counts requests in windows that begin at full tens of seconds. Times are seconds since 1970."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._window, self._taken = 0, 0

    def take(self, limit: int) -> bool:
        """Count a request; False when the window had no more."""
        with self._lock:
            self._roll()
            if self._taken >= limit:
                return False
            self._taken += 1
            return True

    def headers(self, limit: int, remaining: int | None = None) -> dict[str, str]:
        """The three headers; `remaining` overrules what was counted."""
        with self._lock:
            self._roll()
            left = max(0, limit - self._taken) if remaining is None else remaining
            return {
                "X-RateLimit-Limit": str(limit),
                "X-RateLimit-Remaining": str(left),
                "X-RateLimit-Reset": str(self._window + WINDOW_SECONDS),
            }

    def _roll(self) -> None:
        window = int(self._now()) // WINDOW_SECONDS * WINDOW_SECONDS
        if window != self._window:
            self._window, self._taken = window, 0
