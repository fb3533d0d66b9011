"""Zendesk's rate limits and the headers that show them.

https://developer.zendesk.com/api-reference/introduction/rate-limits/: requests a minute of the account, by plan, and
five updates a minute of one user.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

MINUTE = 60.0
USER_UPDATES = 5


class RateLimiter:
    """Counts requests, and updates of each user. Times are seconds since 1970."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._minute, self._used = -1, 0
            self._users: dict[str, deque[float]] = {}

    def take(self, limit: int) -> tuple[int, dict[str, str]]:
        """Count a request. Seconds to wait (0: it is allowed), and the headers of the answer."""
        now = self._now()
        minute, left = int(now // MINUTE), max(1, int(MINUTE - now % MINUTE))
        with self._lock:
            if minute != self._minute:
                self._minute, self._used = minute, 0
            wait = left if self._used >= limit else 0
            self._used += not wait
            rest = str(limit - self._used)
        headers = {
            "x-rate-limit": str(limit),
            "x-rate-limit-remaining": rest,
            "ratelimit-limit": str(limit),
            "ratelimit-remaining": rest,
            "ratelimit-reset": str(left),
        }
        return wait, headers

    def take_user(self, user_id: str) -> int:
        """Count an update of one user; seconds to wait (0: it is allowed)."""
        now = self._now()
        with self._lock:
            recent = self._users.setdefault(user_id, deque())
            while recent and recent[0] <= now - MINUTE:
                recent.popleft()
            if len(recent) >= USER_UPDATES:
                return max(1, int(recent[0] + MINUTE - now))
            recent.append(now)
            return 0
