"""The SQL of adapters whose warehouse cannot be run here: rendered by the adapter, parsed in its dialect, and kept in
golden/, so that a person can read what would run. `make golden` writes these files anew."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .engines import ROOT, TESTS, adapters_python

pytestmark = pytest.mark.xdist_group("rendered")

GOLDEN = TESTS / "adapters" / "golden"
ADAPTERS = ("snowflake", "redshift", "databricks", "trino")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like golden/, of the macros as they are; every statement was parsed."""
    python = adapters_python()
    folder = tmp_path_factory.mktemp("rendered")
    command = [str(python), str(TESTS / "adapters" / "render.py"), str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return folder


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_statements_are_as_they_were_read(rendered: Path, adapter: str) -> None:
    made = {path.name: path.read_text(encoding="utf-8") for path in (rendered / adapter).glob("*.sql")}
    kept = {path.name: path.read_text(encoding="utf-8") for path in (GOLDEN / adapter).glob("*.sql")}
    assert made
    assert made == kept, "after a change of the macros: `make golden`, and read what it changed"
