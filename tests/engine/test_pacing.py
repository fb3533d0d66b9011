"""The pace of a destination, by a clock that only moves when it is told to."""

from __future__ import annotations

import threading

import pytest

from revetl_dbt.destinations.base import Budget, QuotaExhaustedError
from revetl_dbt.engine.pacing import Pacer, StoppedError


class Timed(Pacer):
    """Waiting moves its clock."""

    def __init__(self, per_second: float | None = None, daily: int | None = None) -> None:
        self.now = 100.0
        super().__init__(per_second, daily, clock=lambda: self.now)

    def wait(self, seconds: float) -> None:
        self.now += max(0.0, seconds)

    def times(self, number: int) -> list[float]:
        """When each of so many requests leaves, from the start."""
        found = []
        for _ in range(number):
            self.acquire()
            found.append(round(self.now - 100.0, 6))
        return found


def test_without_a_rate_nothing_waits() -> None:
    assert Timed().times(3) == [0, 0, 0]


def test_a_rate_spaces_requests() -> None:
    assert Timed(4).times(5) == [0, 0.25, 0.5, 0.75, 1.0]


def test_time_that_nobody_used_is_not_saved_up() -> None:
    pacer = Timed(2)
    pacer.times(2)
    pacer.now += 60
    assert pacer.times(3) == [60.5, 61.0, 61.5]


def test_a_pause_holds_everybody() -> None:
    pacer = Timed(10)
    pacer.pause(5)
    pacer.pause(2)
    assert pacer.times(2) == [5, 5.1]


def test_the_vendors_window_is_followed() -> None:
    pacer = Timed()
    pacer.observe(Budget(remaining=3, resets_after=9))
    assert pacer.times(1) == [0]
    pacer.observe(Budget(remaining=0, resets_after=9))
    assert pacer.times(2) == [9, 9]


def test_a_days_budget_ends() -> None:
    pacer = Timed(daily=2)
    pacer.times(2)
    with pytest.raises(QuotaExhaustedError, match="daily_requests"):
        pacer.acquire()
    assert pacer.requests == 2


def test_threads_share_one_pace() -> None:
    slots: list[float] = []

    class Noted(Pacer):
        def wait(self, seconds: float) -> None:
            slots.append(round(seconds, 6))

    pacer = Noted(10, clock=lambda: 0.0)
    threads = [threading.Thread(target=pacer.acquire) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(slots) == [n / 10 for n in range(20)]
    assert pacer.requests == 20


def test_a_stop_ends_a_wait() -> None:
    stop = threading.Event()
    stop.set()
    pacer = Pacer(stop=stop)
    pacer.acquire()
    pacer.pause(60)
    with pytest.raises(StoppedError):
        pacer.acquire()
