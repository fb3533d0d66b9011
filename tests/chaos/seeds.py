"""Seeds of what is tried at random: the same every time, others with every `make chaos`, one with REVETL_SEED."""

from __future__ import annotations

import os
import random
import time

from engine.bounds import MORE

_GIVEN = os.environ.get("REVETL_SEED")
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(time.time())  # the same in all of pytest's processes
_FIRST = int(_GIVEN) if _GIVEN else 0 if MORE <= 1 else random.Random(_RUN).randrange(10**8)


def lanes(number: int) -> range:
    """How often something is tried; `seed` turns each into a seed."""
    return range(1 if _GIVEN else max(1, round(number * MORE)))


def seed(lane: int) -> int:
    """The seed of a lane, which is printed, so that a failure shows it."""
    print(f"REVETL_SEED={_FIRST + lane}")
    return _FIRST + lane
