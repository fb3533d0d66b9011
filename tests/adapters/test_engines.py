"""The engine's own tests once more on other warehouses: they must plan and record the same."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest

from .engines import ENGINES, ROOT, Engine

LIMIT_SECONDS = 900
LONG_SECONDS = 3600  # for a file that takes long on an engine
WAREHOUSES = ROOT / "docs" / "reference" / "warehouses.md"


def ended(command: list[str], environment: dict[str, str], log: Path, limit: int) -> int | None:
    """Run a command, which writes to `log`: its exit code, None when it did not end. No process of it is left."""
    with (
        log.open("wb") as sink,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
        ) as process,
    ):
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def check(engine: Engine, files: Iterable[str], folder: Path, limit: int) -> None:
    """Every test of these files does on the engine what is declared of it."""
    if engine.missing:
        pytest.skip(engine.missing)
    assert engine.python.exists(), f"run `make {engine.environment}/.ready` first"
    log = folder / "output.log"
    code = ended(engine.command(folder / "data", files), engine.variables(), log, limit)
    assert code == 0, f"exit code {code}\n{log.read_text()[-8000:]}"


@pytest.mark.timeout(LIMIT_SECONDS + 60)
@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_the_engine_does_the_same_on(engine: Engine, tmp_path: Path) -> None:
    check(engine, engine.files, tmp_path, LIMIT_SECONDS)


if "REVETL_CHAOS" in os.environ:

    @pytest.mark.timeout(LONG_SECONDS + 60)
    @pytest.mark.parametrize(
        ("engine", "file"),
        [pytest.param(engine, file, id=f"{engine.name}-{file}") for engine in ENGINES for file in engine.others],
    )
    def test_what_takes_long_is_the_same_on(engine: Engine, file: str, tmp_path: Path) -> None:
        check(engine, [file], tmp_path, LONG_SECONDS)


def test_what_stand_ins_cannot_do_is_documented() -> None:
    text = " ".join(WAREHOUSES.read_text(encoding="utf-8").split())
    reasons = {
        reason for engine in ENGINES for reason in {**engine.without, **engine.cannot, **engine.may_fail}.values()
    }
    assert {reason for reason in reasons if reason not in text} == set()
