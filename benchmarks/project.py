"""A dbt project with one model of a given size and one sync to a sink."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

MODEL = """\
{{ config(materialized='table') }}
select
  i as user_id,
  'user' || i || '@example.com' as email,
  'First' || (i % 1000) as first_name,
  'Last' || (i % 5000) as last_name,
  cast(i % 100 as integer) as seats,
  cast((i + {{ var('shift', 0) }} * cast(i % 100 = 0 as integer)) * 1.25 as decimal(18, 2)) as mrr,
  i % 3 = 0 as active,
  timestamp '2024-01-01' + interval (i) second as last_seen,
  date '2024-01-01' + cast(i % 500 as integer) as signed_up,
  case when i % 7 = 0 then null else 'note' || i end as note,
  i * 0.5::double as score,
  'plan' || (i % 4) as plan
from range({{ var('rows') }}) as t(i)
"""
COLUMNS = (
    "email",
    "first_name",
    "last_name",
    "seats",
    "mrr",
    "active",
    "last_seen",
    "signed_up",
    "note",
    "score",
    "plan",
)


class Project:
    """A generated project in `folder`."""

    def __init__(
        self, folder: Path, url: str, *, workers: int = 2, batch: int = 1000, columns: int = 12, results: bool = False
    ) -> None:
        self.folder = folder
        self.database = folder / "bench.duckdb"
        (folder / "models").mkdir(parents=True, exist_ok=True)
        (folder / "models" / "users.sql").write_text(MODEL)
        operation: dict[str, Any] = {"path": "/users", "body": "array", "batch_size": batch}
        if results:
            operation["response"] = {"results": "results", "error": "error"}
        sink = {
            "type": "http",
            "base_url": url,
            "concurrency": workers,
            "objects": {"users": {"operations": {"upsert": operation}}},
        }
        sync = {
            "destination": "sink",
            "object": "users",
            "key": "user_id",
            "match": {"user_id": "user_id"},
            "fields": {column: column for column in COLUMNS[: columns - 1]},
        }
        model = {"name": "users", "config": {"meta": {"revetl": {"users_to_sink": sync}}}}
        self._write("models/users.yml", {"models": [model]})
        self._write("dbt_project.yml", {"name": "bench", "version": "1.0.0", "profile": "bench"})
        output = {"type": "duckdb", "path": str(self.database), "threads": 2}
        self._write("profiles.yml", {"bench": {"target": "dev", "outputs": {"dev": output}}})
        self._write("destinations.yml", {"sink": {"outputs": {"dev": sink}}})

    def build(self, rows: int, shift: int = 0) -> None:
        """`dbt build` with so many rows; another `shift` changes one row in a hundred."""
        variables = json.dumps({"rows": rows, "shift": shift})
        self._command("dbt.cli.main", "build", "--quiet", "--vars", variables)

    def run(self, *arguments: str) -> Measured:
        """`revetl run` in a process of its own."""
        return measure([sys.executable, "-m", "revetl_dbt", "run", *arguments], self.folder)

    def result(self) -> dict[str, Any]:
        """The sync's entry in the artifact of the last run."""
        artifact = json.loads((self.folder / "target" / "revetl" / "run_results.json").read_text())
        entry: dict[str, Any] = artifact["results"][0]
        return entry

    def _write(self, name: str, content: Any) -> None:
        (self.folder / name).write_text(yaml.safe_dump(content, sort_keys=False))

    def _command(self, module: str, *arguments: str) -> None:
        subprocess.run([sys.executable, "-m", module, *arguments], cwd=self.folder, check=True)


class Measured:
    """A finished process: wall seconds, CPU seconds, peak resident memory in MB, exit code."""

    def __init__(self, wall: float, usage: Any, status: int, output: str) -> None:
        self.wall = wall
        self.cpu = usage.ru_utime + usage.ru_stime
        self.peak_mb = usage.ru_maxrss / 1024
        self.exit_code = os.waitstatus_to_exitcode(status)
        self.output = output


def measure(command: list[str], folder: Path | None = None) -> Measured:
    """Run a command to its end."""
    import time

    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    return Measured(time.perf_counter() - started, usage, status, output)
