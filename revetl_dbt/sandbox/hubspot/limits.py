"""HubSpot's rate limits and the headers that show them.

https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines: a rolling window of ten seconds, a
daily quota until midnight in
the account's time zone, and five searches a second, whose answers carry no such headers.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections import deque
from collections.abc import Callable
from zoneinfo import ZoneInfo

WINDOW_SECONDS = 10.0


class RateLimiter:
    """Counts requests and says which limit one of them breaks. Times are seconds since 1970."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._recent: deque[float] = deque()
            self._searches: deque[float] = deque()
            self._day = ""
            self._today = 0

    def take(
        self, search: bool, ten_seconds: int, daily: int, searches: int, zone: str
    ) -> tuple[str | None, dict[str, str]]:
        """Count a request. Returns the policy that it breaks (TEN_SECONDLY_ROLLING, SECONDLY, DAILY or None)
        and the headers."""
        now = self._now()
        with self._lock:
            self._roll(now, zone)
            policy = None
            if self._today >= daily:
                policy = "DAILY"
            elif search and len(self._searches) >= searches:
                policy = "SECONDLY"
            elif not search and len(self._recent) >= ten_seconds:
                policy = "TEN_SECONDLY_ROLLING"
            if policy is None:
                self._today += 1
                (self._searches if search else self._recent).append(now)
            headers = {
                "X-HubSpot-RateLimit-Daily": str(daily),
                "X-HubSpot-RateLimit-Daily-Remaining": str(max(0, daily - self._today)),
            }
            if not search:
                headers |= {
                    "X-HubSpot-RateLimit-Interval-Milliseconds": str(int(WINDOW_SECONDS * 1000)),
                    "X-HubSpot-RateLimit-Max": str(ten_seconds),
                    "X-HubSpot-RateLimit-Remaining": str(max(0, ten_seconds - len(self._recent))),
                    "X-HubSpot-RateLimit-Secondly": str(ten_seconds // 10),
                    "X-HubSpot-RateLimit-Secondly-Remaining": str(
                        max(0, ten_seconds // 10 - sum(t > now - 1 for t in self._recent))
                    ),
                }
            return policy, headers if not search or policy else {}

    def _roll(self, now: float, zone: str) -> None:
        while self._recent and self._recent[0] <= now - WINDOW_SECONDS:
            self._recent.popleft()
        while self._searches and self._searches[0] <= now - 1:
            self._searches.popleft()
        day = dt.datetime.fromtimestamp(now, ZoneInfo(zone) if zone != "UTC" else dt.timezone.utc).date().isoformat()
        if day != self._day:
            self._day, self._today = day, 0
