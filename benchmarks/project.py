"""A dbt project with one model of a given size and one sync to a sink."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
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
  timestamp '2024-01-01' + i * interval '1 second' as last_seen,
  date '2024-01-01' + cast(i % 500 as integer) as signed_up,
  case when i % 7 = 0 then null else 'note' || i end as note,
  cast(i * 0.5 as float8) as score,
  'plan' || (i % 4) as plan
from {{ 'range(0, ' if target.type == 'duckdb' else 'generate_series(1, ' }}{{ var('rows') }}) as t(i)
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


CONTACT = {
    "email": ("Email", None),
    "first_name": ("FirstName", None),
    "last_name": ("LastName", None),
    "seats": ("Seats__c", {"type": "int"}),
    "mrr": ("Mrr__c", {"type": "currency"}),
    "active": ("Active__c", {"type": "boolean"}),
    "last_seen": ("Last_Seen__c", {"type": "datetime"}),
    "signed_up": ("Signed_Up__c", {"type": "date"}),
    "note": ("Note__c", {"type": "string", "length": 80}),
    "score": ("Score__c", {"type": "double"}),
    "plan": ("Plan__c", {"type": "string", "length": 20}),
}
"""The field of a Salesforce contact for each column, and what it is like where Salesforce does not have it itself."""


class Project:
    """A generated project in `folder`, with a sync to the sink at `url`; without one to the local Salesforce."""

    def __init__(
        self,
        folder: Path,
        url: str | None,
        *,
        workers: int = 2,
        batch: int = 1000,
        columns: int = 12,
        results: bool = False,
        output: dict[str, Any] | None = None,
    ) -> None:
        """`results`: the sink tells what became of each record; `output`: the warehouse, if not a DuckDB file."""
        self.folder = folder
        self.database = folder / "bench.duckdb"
        (folder / "models").mkdir(parents=True, exist_ok=True)
        (folder / "models" / "users.sql").write_text(MODEL)
        sink, sync = self._to_contacts() if url is None else _to_sink(url, workers, batch, columns, results)
        model = {"name": "users", "config": {"meta": {"revetl": {"users_to_sink": sync}}}}
        self._write("models/users.yml", {"models": [model]})
        self._write("dbt_project.yml", {"name": "bench", "version": "1.0.0", "profile": "bench"})
        own = {"type": "duckdb", "path": str(self.database), "threads": 2}
        self._write("profiles.yml", {"bench": {"target": "dev", "outputs": {"dev": output or own}}})
        self._write("destinations.yml", {"sink": {"outputs": {"dev": sink}}})

    def _to_contacts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        own = [{"name": name, **more} for name, more in CONTACT.values() if more is not None]
        key = {"name": "User_Id__c", "type": "string", "length": 20, "externalId": True, "unique": True}
        (self.folder / "sandbox").mkdir(exist_ok=True)
        self._write("sandbox/salesforce.yml", {"fields": {"Contact": [key, *own]}})
        fields = {name: column for column, (name, _) in CONTACT.items()}
        return {"type": "salesforce", "sandbox": True}, {**_sync("Contact", "User_Id__c"), "fields": fields}

    @contextmanager
    def sandbox(self) -> Iterator[None]:
        """The local Salesforce, in a process of its own."""
        command = [sys.executable, "-m", "revetl_dbt", "sandbox"]
        process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            process.terminate()
            process.wait()

    def build(self, rows: int, shift: int = 0) -> None:
        """`dbt build` with so many rows; another `shift` changes one row in a hundred."""
        variables = json.dumps({"rows": rows, "shift": shift})
        self._command("dbt.cli.main", "build", "--quiet", "--vars", variables)

    def run(self, *arguments: str) -> Measured:
        """`revetl run` in a process of its own."""
        return measure([sys.executable, "-m", "revetl_dbt", "run", *arguments], self.folder)

    def stages(self, mapping: str) -> dict[str, dict[str, float]]:
        """The seconds of a run by stage: see benchmarks/stages.py."""
        output = self.folder / "stages.json"
        command = [sys.executable, "-m", "benchmarks.stages", str(output), mapping, "run", "--project-dir", "."]
        run = measure(command, self.folder, {"PYTHONPATH": str(Path(__file__).parent.parent)})
        assert run.exit_code == 0, run.output
        seconds: dict[str, dict[str, float]] = json.loads(output.read_text())
        return seconds

    def result(self) -> dict[str, Any]:
        """The sync's entry in the artifact of the last run."""
        artifact = json.loads((self.folder / "target" / "revetl" / "run_results.json").read_text())
        entry: dict[str, Any] = artifact["results"][0]
        return entry

    @contextmanager
    def watched_journal(self) -> Iterator[Callable[[], int]]:
        """Look at the journal's size again and again; yields what gives the largest size seen, in bytes."""
        over = threading.Event()
        largest = 0

        def watch() -> None:
            nonlocal largest
            while not over.wait(0.05):
                for file in (self.folder / "target" / "revetl" / "journal").glob("*"):
                    with suppress(FileNotFoundError):  # finished meanwhile
                        largest = max(largest, file.stat().st_size)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield lambda: largest
        finally:
            over.set()
            thread.join()

    def _write(self, name: str, content: Any) -> None:
        (self.folder / name).write_text(yaml.safe_dump(content, sort_keys=False))

    def _command(self, module: str, *arguments: str) -> None:
        subprocess.run([sys.executable, "-m", module, *arguments], cwd=self.folder, check=True)


def _to_sink(url: str, workers: int, batch: int, columns: int, results: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    operation: dict[str, Any] = {"path": "/users", "body": "array", "batch_size": batch}
    if results:
        operation["response"] = {"results": "results", "error": "error"}
    sink = {
        "type": "http",
        "base_url": url,
        "concurrency": workers,
        "objects": {"users": {"operations": {"upsert": operation}}},
    }
    return sink, {**_sync("users", "user_id"), "fields": {column: column for column in COLUMNS[: columns - 1]}}


def _sync(object_name: str, match: str) -> dict[str, Any]:
    return {"destination": "sink", "object": object_name, "key": "user_id", "match": {match: "user_id"}}


class Measured:
    """A finished process: wall seconds, CPU seconds, peak resident memory in MB, exit code."""

    def __init__(self, wall: float, usage: Any, status: int, output: str) -> None:
        self.wall = wall
        self.cpu = usage.ru_utime + usage.ru_stime
        self.peak_mb = usage.ru_maxrss / 1024
        self.exit_code = os.waitstatus_to_exitcode(status)
        self.output = output


def measure(command: list[str], folder: Path | None = None, variables: Mapping[str, str] | None = None) -> Measured:
    """Run a command to its end, with `variables` added to the environment."""
    import time

    started = time.perf_counter()
    environment = os.environ | (variables or {})
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    return Measured(time.perf_counter() - started, usage, status, output)
