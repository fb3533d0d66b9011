"""How often and after what pauses a destination is asked again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from revetl_dbt.destinations.base import (
    Destination,
    DestinationError,
    FatalError,
    QuotaExhaustedError,
    RateLimitedError,
    RetryableError,
    UnauthorizedError,
    UnknownOutcomeError,
)
from revetl_dbt.engine.pacing import Pacer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a refused request is tried.

    `attempts` in all, waiting `first` seconds, then twice that, at most `longest`. A vendor that asks for more patience
    than `patience` seconds has no capacity for this run: the destination stops.
    """

    attempts: int = 6
    first: float = 1.0
    longest: float = 60.0
    patience: float = 900.0

    def delay(self, failures: int) -> float:
        """Seconds before the next try, with jitter so that workers do not come back together."""
        return min(self.longest, self.first * 2.0 ** (failures - 1)) * random.uniform(0.5, 1.0)  # noqa: S311


def back_off(failure: DestinationError, failures: int, policy: RetryPolicy, pacer: Pacer) -> None:
    """Wait before the next try, after so many failures, as long as the vendor asks.

    Raises FatalError when it was the last try, QuotaExhaustedError when the vendor asks for too much patience, and
    StoppedError when the run stops.
    """
    asked = failure.retry_after
    if asked is not None and asked > policy.patience:
        raise QuotaExhaustedError(f"{failure} (the vendor asks to wait {asked:.0f} s)", code=failure.code) from failure
    if failures >= policy.attempts:
        raise FatalError(f"{failure}, {failures} times", code=failure.code, request_id=failure.request_id) from failure
    # "At once" and a moment that is over by our clock say nothing of how long: a vendor in trouble needs a pause.
    delay = asked or policy.delay(failures)
    if isinstance(failure, RateLimitedError):
        pacer.pause(delay)
    else:
        pacer.wait(delay)


def ask(request: Callable[[], T], destination: Destination, policy: RetryPolicy, pacer: Pacer) -> T:
    """What a request that changes nothing is answered, sent again as often as the policy allows.

    Raises a DestinationError when there is no answer.
    """
    failures, renewed = 0, False
    while True:
        try:
            return request()
        except UnauthorizedError:
            if renewed or not destination.renew():
                raise
            renewed = True
        except (RetryableError, UnknownOutcomeError) as error:
            failures += 1
            back_off(error, failures, policy, pacer)
