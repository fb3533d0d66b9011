"""Reads of a plan on each warehouse that runs on this machine: servers, emulators and stand-ins, in the environments in
which the tests have them.

    <environment>/bin/python -m benchmarks.reads ADAPTER ROWS FOLDER

starts one of them, has another process read (benchmarks/reading.py), and passes on what that prints.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.project import Project, measure
from benchmarks.table import Line

ROOT = Path(__file__).parent.parent
RUNNERS = ROOT / "tests" / "adapters"
ENVIRONMENTS = {
    "duckdb": ".venv",
    "postgres": ".venv-postgres",
    "spark": ".venv-spark",
    "snowflake": ".venv-adapters",
    "bigquery": ".venv-bigquery",
}


def reads(folder: Path, sizes: Sequence[int]) -> Iterator[Line]:
    """The reading at each size, on one warehouse after the other; one that has no environment is named."""
    for adapter, environment in ENVIRONMENTS.items():
        python = ROOT / environment / "bin" / "python"
        if not python.exists():
            yield Line(f"Reads, {adapter}", f"not measured: `make {environment}/.ready`")
            continue
        for rows in sizes:
            place = folder / f"{adapter}-{rows}"
            place.mkdir()
            command = [str(python), "-m", "benchmarks.reads", adapter, str(rows), str(place)]
            path = os.pathsep.join(map(str, (ROOT, RUNNERS)))
            done = measure(command, ROOT, {"PYTHONPATH": path})
            assert done.exit_code == 0, (adapter, done.output)
            found: dict[str, float] = json.loads(done.output.splitlines()[-1])
            rate, before = rows / found["seconds"], found["before_mb"]
            yield Line(
                f"Reads, {adapter}, {rows:,} rows x 10 columns",
                f"{rate:,.0f} rows/s, {found['peak_mb']:.0f} MB, of which {before:.0f} MB before the first row",
            )


def _running(adapter: str, folder: Path) -> AbstractContextManager[dict[str, Any] | None]:
    """The dbt output for a warehouse that runs meanwhile; None for the project's DuckDB file."""
    if adapter == "duckdb":
        return nullcontext()
    runner: Any = import_module("on_snowflake_server" if adapter == "snowflake" else f"on_{adapter}")
    # Spark runs in the process that reads.
    running: AbstractContextManager[dict[str, Any]]
    running = nullcontext(runner.OUTPUT) if adapter == "spark" else runner.running(folder)
    return running


def main(adapter: str, rows: str, folder: Path) -> int:
    """The exit code of the process that reads."""
    place = folder / "warehouse"
    place.mkdir()
    with _running(adapter, place) as output:
        project = Project(folder / "project", "http://127.0.0.1:9", output=output, columns=10)
        own = {"REVETL_SPARK": "1"} if adapter == "spark" else {}
        command = [sys.executable, "-m", "benchmarks.reading", str(project.folder), rows]
        return subprocess.call(command, env=os.environ | own)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
