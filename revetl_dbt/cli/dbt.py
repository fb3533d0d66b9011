"""dbt as a process of its own: what `revetl build` and `revetl retry` do first.

A process, because dbt keeps state of its own in the one that it runs in, ends as it likes, and may be dbt v2, which is
a program. What it says goes where dbt says it.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from revetl_dbt.cli.messages import FAILED
from revetl_dbt.errors import InputError
from revetl_dbt.project.run_results import RunResults

_BESIDE_US = "from dbt.cli.main import cli; cli(prog_name='dbt')"


@dataclass(frozen=True, slots=True)
class Ended:
    """How dbt ended: its exit code, whether a signal stopped it, and what it wrote to run_results.json, if anything."""

    exit_code: int
    stopped: bool
    results: RunResults | None


def run_dbt(arguments: Sequence[str], executable: str | None, run_results: Path) -> Ended:
    """Run dbt to its end; a signal that comes meanwhile is for dbt.

    `executable` is dbt's program, None for the dbt Core of this environment; `run_results` is where it writes. Raises
    InputError `dbt-missing` or `run-results-unreadable`.
    """
    command = [executable] if executable else [sys.executable, "-c", _BESIDE_US]
    before = _written(run_results)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        code, stopped = _run([*command, *arguments])
    except OSError as error:
        raise InputError.single(
            "dbt-missing",
            f"Cannot start `{executable}`: {error.strerror}",
            field="--dbt-executable",
            expected="dbt's program",
        ) from None
    results = RunResults.read(run_results) if _written(run_results) != before else None
    return Ended(code, stopped, results)


def _run(command: Sequence[str]) -> tuple[int, bool]:
    """The exit code, and whether a signal came; handlers stand before the process does, so that none is missed."""
    got: list[int] = []
    running: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
        got.append(number)
        for process in running:
            process.send_signal(number)

    former = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        # In a session of its own it gets each signal once, from here.
        process = subprocess.Popen(command, start_new_session=True)  # noqa: S603 - no shell
        running.append(process)
        for number in tuple(got):
            process.send_signal(number)
        code = process.wait()
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    return (code if code >= 0 else FAILED), bool(got)


def _written(path: Path) -> int | None:
    return path.stat().st_mtime_ns if path.exists() else None
