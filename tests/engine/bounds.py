"""How much the property tests try: the same every time, or REVETL_CHAOS times as much, other examples each time."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

MORE = int(os.environ.get("REVETL_CHAOS", "1"))


def examples(number: int) -> settings:
    """Settings of a property test; a failure prints the example and how to reproduce it."""
    return settings(
        max_examples=number * MORE,
        deadline=None,
        database=None,
        derandomize=MORE == 1,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
