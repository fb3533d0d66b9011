"""How much the property tests try.

The same every time, and without shrinking what fails, so that they take seconds. REVETL_CHAOS=50 tries fifty times as
much, other examples each time, and 0.2 a fifth; REVETL_SHRINK=1 shrinks. Every failure prints its example and how to
reproduce it.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

MORE = float(os.environ.get("REVETL_CHAOS", "1"))


def examples(number: int) -> settings:
    """Settings of a property test that tries `number` examples."""
    return settings(
        max_examples=max(1, round(number * MORE)),
        deadline=None,
        database=None,
        derandomize=MORE <= 1,
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if "REVETL_SHRINK" in os.environ else [])],
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
