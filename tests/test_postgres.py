"""The engine on PostgreSQL: its own tests once more, and what needs two processes at one warehouse."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

TESTS = Path(__file__).parent
PYTHON = TESTS.parent / ".venv-postgres" / "bin" / "python"
ENGINE = [
    "changes",
    "converge",
    "differences",
    "doubt",
    "faults",
    "format",
    "guards",
    "hash",
    "integrity",
    "lease",
    "lease_processes",
    "bad_input",
    "options",
    "rejected",
    "state",
    "writing",
]


def test_on_postgres(tmp_path: Path) -> None:
    assert PYTHON.exists(), "run `make .venv-postgres/.ready` first"
    files = [str(TESTS / "engine" / f"test_{name}.py") for name in ENGINE]
    fewer = {"REVETL_CHAOS": os.environ.get("REVETL_CHAOS", "0.1")}
    command = [
        str(PYTHON),
        str(TESTS / "on_postgres.py"),
        str(tmp_path / "data"),
        "-q",
        "-p",
        "no:cacheprovider",
        *files,
    ]
    done = subprocess.run(
        command, cwd=TESTS.parent, env=os.environ | fewer, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
