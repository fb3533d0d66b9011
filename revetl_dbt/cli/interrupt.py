"""What SIGINT and SIGTERM do."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from revetl_dbt.cli.messages import FAILED

SECONDS = 9.5
"""From the first signal to the end of the process, whatever is not finished by then."""
STOPPING = "Stopping as soon as the batches in flight are recorded; a second signal stops at once"
GIVEN_UP = "Ended while something still waited, such as the warehouse; the next run settles what is left"


def leave(code: object) -> None:
    """End the process now when threads still wait for answers that nobody needs; Python would wait for them."""
    if any(thread.name.startswith("revetl-send") for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else FAILED)


@contextmanager
def stopping(tell: Callable[[str], None]) -> Iterator[threading.Event]:
    """An event that the first signal sets; the second signal ends the process at once.

    So does the end of the time that is promised, when a warehouse or a lock keeps it waiting: what is killed is picked
    up by the next run. `tell` is told of the first and of this.
    """
    stop = threading.Event()

    # A signal handler may fill it; to start a thread there could wait for a lock that the interrupted code holds.
    stages: queue.SimpleQueue[str] = queue.SimpleQueue()

    def watch_the_time() -> None:
        if stages.get() == "stopping":
            try:
                stages.get(timeout=SECONDS)
            except queue.Empty:
                tell(GIVEN_UP)
                os._exit(FAILED)

    threading.Thread(target=watch_the_time, name="revetl-interrupt", daemon=True).start()

    def on_signal(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
        if stop.is_set():
            os._exit(FAILED)
        stop.set()
        stages.put("stopping")
        tell(STOPPING)

    former = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        stages.put("over")
        for number, handler in former.items():
            signal.signal(number, handler)
