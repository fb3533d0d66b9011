"""A run's lease on its sync, as those who send see it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from revetl_dbt.engine.pacing import StoppedError
from revetl_dbt.errors import LeaseHeldError
from revetl_dbt.warehouse.store import LEASE_SECONDS

FRESH_SECONDS = LEASE_SECONDS / 2


class Lease:
    """Held while a sync is sent; used by several threads at once."""

    def __init__(
        self,
        renew: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`renew` keeps the lease in the warehouse, and raises LeaseHeldError when it was lost."""
        self.ended = False
        self._renew = renew
        self._lock = threading.Lock()  # an engine refuses two changes of one row at once
        self._clock = clock
        self._wall = wall
        self._renewed = self._now()

    def renew(self) -> None:
        """Keep the lease. Raises LeaseHeldError when it was lost."""
        with self._lock:
            now = self._now()
            self._renew()
            self._renewed = now

    def check(self) -> None:
        """Raise StoppedError when nothing more may leave: the sending has ended, or the lease was lost.

        Asks the warehouse only when the lease was not renewed for long: this process or its machine has slept.
        """
        if self.ended:
            raise StoppedError("the sync ended")
        if not self._fresh():
            try:
                self.renew()
            except LeaseHeldError as lost:
                self.end()
                raise StoppedError(str(lost)) from lost

    def end(self) -> None:
        """Let nothing more leave."""
        self.ended = True

    def _fresh(self) -> bool:
        # One clock may stand still while the machine sleeps, the other may be set back.
        return all(now - then < FRESH_SECONDS for now, then in zip(self._now(), self._renewed, strict=True))

    def _now(self) -> tuple[float, float]:
        return self._clock(), self._wall()
