"""The engine's own tests once more on other warehouses: they must plan and record the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .engines import ENGINES, ROOT, Engine


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_the_engine_does_the_same_on(engine: Engine, tmp_path: Path) -> None:
    if engine.missing:
        pytest.skip(engine.missing)
    assert engine.python.exists(), f"run `make {engine.environment}/.ready` first"
    command = engine.command(tmp_path / "data")
    done = subprocess.run(command, cwd=ROOT, env=engine.variables(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
