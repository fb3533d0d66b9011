"""What SIGINT and SIGTERM do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from report.makers import result

from revetl_dbt.cli.interrupt import GIVEN_UP, STOPPING, stopping
from revetl_dbt.cli.run import Sent


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_to_stop_and_handlers_are_put_back(number: signal.Signals) -> None:
    told: list[str] = []
    former = signal.getsignal(number)
    with stopping(told.append) as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.wait(5)
    assert told == [STOPPING]
    assert signal.getsignal(number) is former


def test_the_second_signal_ends_the_process_at_once() -> None:
    code = """
import os, signal
from revetl_dbt.cli.interrupt import GIVEN_UP, STOPPING, stopping
with stopping(lambda text: print("stopping", flush=True)):
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    print("still here")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "stopping\n")


def test_what_does_not_end_by_itself_is_ended() -> None:
    code = """
import os, signal, threading
from revetl_dbt.cli import interrupt
interrupt.SECONDS = 0.2
with interrupt.stopping(lambda text: print(text, flush=True)):
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(60)
    print("still here")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, f"{STOPPING}\n{GIVEN_UP}\n")


@pytest.mark.parametrize(
    ("statuses", "stopped", "code"),
    [
        (("success", "noop"), True, 0),  # the signal came when everything was done
        (("success", "skipped"), True, 1),
        (("success", "skipped"), False, 0),
        (("success", "error"), True, 1),
        (("partial",), False, 1),
    ],
)
def test_the_exit_code_tells_of_what_was_left_undone(statuses: tuple[str, ...], stopped: bool, code: int) -> None:
    assert Sent([result(status=status) for status in statuses], "run", stopped).exit_code == code
