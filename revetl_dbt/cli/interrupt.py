"""What SIGINT and SIGTERM do."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from revetl_dbt.cli.messages import FAILED


def leave(code: object) -> None:
    """End the process now when threads still wait for answers that nobody needs; Python would wait for them."""
    if any(thread.name.startswith("revetl-send") for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else FAILED)


@contextmanager
def stopping(told: Callable[[], None]) -> Iterator[threading.Event]:
    """An event that the first signal sets, after which `told` is called; the second signal ends the process at once."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
        if stop.is_set():
            os._exit(FAILED)
        stop.set()
        told()

    former = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
