"""The example project, the dbt package and the exposures under dbt's strict checks, which only some adapters have."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from .engines import ROOT, TESTS, adapters_python

GENERATED = shutil.ignore_patterns("target", "logs", "*.duckdb*", "__pycache__", ".user.yml")


def test_dbt_on_snowflake_has_no_warning(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(ROOT / "example_dbt_project", project, ignore=GENERATED)
    command = [str(adapters_python()), str(TESTS / "adapters" / "strict.py"), str(project)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "CustomKeyInConfigDeprecation" in done.stdout
