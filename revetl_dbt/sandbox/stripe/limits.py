"""Stripe's rate limits: so many requests a second to the account, and fewer to each endpoint and to search.

https://docs.stripe.com/rate-limits: 25 requests a second in a sandbox (100 live), 25 to an endpoint, 20 to search. No
answer says how many are left, and a 429 says no time.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable

SEARCHES = 20


class RateLimiter:
    """Counts the requests of each second. Times are seconds since 1970."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._second = 0
            self._counts: dict[str, int] = defaultdict(int)

    def take(self, endpoint: str, whole: int, each: int) -> str | None:
        """Count a request; the limit that it breaks: `global-rate`, `endpoint-rate` or None."""
        with self._lock:
            second = int(self._now())
            if second != self._second:
                self._second, self._counts = second, defaultdict(int)
            for name, limit, reason in (
                ("", whole, "global-rate"),
                (endpoint, min(each, SEARCHES) if endpoint.endswith("search") else each, "endpoint-rate"),
            ):
                if self._counts[name] >= limit:
                    return reason
            self._counts[""] += 1
            self._counts[endpoint] += 1
            return None
