"""What one sync uses up: counted where it is used, whichever of its threads that is."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """Requests to the destination, and bytes that the warehouse's queries processed, where it tells."""

    requests: int = 0
    bytes: int = 0


_CURRENT: ContextVar[Tally | None] = ContextVar("revetl_tally", default=None)
_LOCK = threading.Lock()


def begin() -> Tally:
    """Count for this thread, and for what it starts in a copy of its context, from now on."""
    own = Tally()
    _CURRENT.set(own)
    return own


def count(*, requests: int = 0, processed: int = 0) -> None:
    """Add what was used; nothing where nobody counts."""
    own = _CURRENT.get()
    if own is not None:
        with _LOCK:
            own.requests += requests
            own.bytes += processed
