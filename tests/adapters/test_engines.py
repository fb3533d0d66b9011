"""The engine's own tests once more on other warehouses: they must plan and record the same."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from .engines import ENGINES, ROOT, Engine

LIMIT_SECONDS = 900


def ended(command: list[str], environment: dict[str, str], log: Path) -> int | None:
    """Run a command, which writes to `log`: its exit code, None when it did not end. No process of it is left."""
    with (
        log.open("wb") as sink,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
        ) as process,
    ):
        try:
            return process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.timeout(LIMIT_SECONDS + 60)
@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_the_engine_does_the_same_on(engine: Engine, tmp_path: Path) -> None:
    if engine.missing:
        pytest.skip(engine.missing)
    assert engine.python.exists(), f"run `make {engine.environment}/.ready` first"
    log = tmp_path / "output.log"
    code = ended(engine.command(tmp_path / "data"), engine.variables(), log)
    assert code == 0, f"exit code {code}\n{log.read_text()[-8000:]}"
