"""A dbt project and a sandbox that can be put back to where they were, and runs that can be killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
from shop import Shop

from revetl_dbt.sandbox import Sandbox
from revetl_dbt.sandbox.messages import Abort, Reply, Request

BATCH = 5
WORKERS = 2
TESTS = Path(__file__).parents[1]

_RESULTS = {"results": "results", "join": "index", "error": "error"}
_EVENTS = {"body": "array", "batch_size": BATCH}
DESTINATIONS = {
    "api": {
        "type": "http",
        "sandbox": True,
        "concurrency": WORKERS,
        "timeout": 30,
        "objects": {
            "people": {
                "operations": {
                    "upsert": {"path": "/people", "method": "PUT", **_EVENTS, "response": _RESULTS},
                    "delete": {"path": "/people", "method": "DELETE", **_EVENTS, "response": _RESULTS},
                }
            },
            "events": {"operations": {"append": {"path": "/events", **_EVENTS}}},
            "orders": {"operations": {"create": {"path": "/orders", **_EVENTS}}},
            "keyed": {"operations": {"append": {"path": "/keyed", "idempotency_key": "Idempotency-Key"}}},
        },
    },
    "crm": {"type": "hubspot", "sandbox": True, "concurrency": WORKERS},
    "jobs": {"type": "marketo", "sandbox": True, "concurrency": WORKERS, "bulk_threshold": 0},
}
NAME, NUMBER = {"column": "name"}, {"column": "id"}
SYNCS: dict[str, dict[str, Any]] = {
    "people": {"destination": "api", "match": {"id": "id"}, "fields": {"name": NAME}, "on_removed": "delete"},
    "contacts": {
        "destination": "crm",
        "match": {"email": "email"},
        "fields": {"firstname": NAME},
        "on_removed": "archive",
    },
    "leads": {"destination": "jobs", "match": {"email": "email"}, "fields": {"firstName": NAME}},
    "events": {"destination": "api", "mode": "append", "fields": {"number": NUMBER, "name": NAME}},
    "orders": {"destination": "api", "mode": "create", "match": {"number": "id"}, "fields": {"name": NAME}},
    "keyed": {"destination": "api", "mode": "append", "fields": {"number": NUMBER, "name": NAME}},
}
"""One of them is declared at a time; its name is its object's. Leads go through asynchronous jobs."""


class Deadly(Sandbox):
    """A sandbox that kills the process that calls it: `kill` is the number of the request, from 1, and whether it
    dies `before` or `after` the request is carried out."""

    kill: tuple[int, str] | None = None
    caller: int | None = None
    received = 0

    def _answer(self, request: Request) -> Reply:
        if request.full_path.startswith("/__sandbox__") or request.method in ("GET", "HEAD"):
            return super()._answer(request)
        with self.counting:
            self.received += 1
            due = self.kill if self.kill is not None and self.kill[0] == self.received else None
        if due is None:
            return super()._answer(request)
        if due[1] == "after":
            super()._answer(request)
        assert self.caller is not None
        os.kill(self.caller, signal.SIGKILL)
        raise Abort

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.counting = threading.Lock()


class World:
    """The project, its sandbox, and the process that forks runs. Nothing of it is shared between tests' processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept = folder.parent / f"{folder.name}-kept"
        self.shop = Shop(folder)
        self.shop.write(
            "profiles.yml", "shop: {target: dev, outputs: {dev: {type: duckdb, threads: 1, path: shop.duckdb}}}\n"
        )
        outputs = {name: {"outputs": {"dev": output}} for name, output in DESTINATIONS.items()}
        self.shop.write("destinations.yml", json.dumps(outputs))
        self.state = folder / "target" / "revetl"
        self.sandbox = self._served()
        self.declare("contacts")
        self.edit("create table people as select 1 as id, 'ann@example.com' as email, 'Ann' as name")
        tests = [str(TESTS), str(TESTS.parent)]
        self._runner = subprocess.Popen(
            [sys.executable, "-m", "chaos.runner", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(tests), "COLUMNS": "200"},
        )
        assert self._heard() == {"ready": True}
        self.clear()

    def close(self) -> None:
        assert self._runner.stdin is not None
        self._runner.stdin.close()
        self._runner.wait(10)
        self.sandbox.close()

    def _served(self) -> Deadly:
        sandbox = Deadly(self.state / "sandbox")
        sandbox.start()
        sandbox.configure("http", results="index")
        return sandbox

    # -- putting it back -----------------------------------------------------------------------------

    def clear(self) -> None:
        """Nothing was ever synced."""
        self.sandbox.close()
        shutil.rmtree(self.state, ignore_errors=True)
        (self.folder / "shop.duckdb").unlink(missing_ok=True)
        self.sandbox = self._served()

    def keep(self, name: str) -> None:
        """Remember everything as it is."""
        self.sandbox.close()
        shutil.copytree(self.folder, self.kept / name)
        self.sandbox = self._served()

    def back(self, name: str) -> None:
        """Put everything back to what was kept."""
        self.sandbox.close()
        shutil.rmtree(self.folder)
        shutil.copytree(self.kept / name, self.folder)
        self.sandbox = self._served()
        self.sandbox.reset(requests_only=True)

    # -- the model -----------------------------------------------------------------------------------

    def declare(self, sync: str, **changes: Any) -> None:
        spec = {"object": sync, "key": "id", "guards": {"min_rows": 0}, **SYNCS[sync], **changes}
        columns = [{"name": name} for name in ("id", "email", "name")]
        model = {"name": "people", "config": {"meta": {"revetl": {sync: spec}}}, "columns": columns}
        self.shop.write_models(json.dumps({"models": [model]}))
        self.sync = sync

    def edit(self, *sql: str) -> None:
        with duckdb.connect(self.folder / "shop.duckdb") as warehouse:
            for statement in sql:
                warehouse.execute(statement)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(self.folder / "shop.duckdb") as warehouse:
            return warehouse.execute(sql).fetchall()

    # -- runs ----------------------------------------------------------------------------------------

    def _heard(self) -> dict[str, Any]:
        assert self._runner.stdout is not None
        return dict(json.loads(self._runner.stdout.readline()))

    def start(self, *arguments: str, **command: Any) -> int:
        """A run in a process of its own; its process id."""
        assert self._runner.stdin is not None
        with self.sandbox.counting:  # a request may arrive before its sender is known here
            told = {"folder": str(self.folder), "arguments": ["run", *arguments], **command}
            self._runner.stdin.write(json.dumps(told) + "\n")
            self._runner.stdin.flush()
            self.sandbox.received = 0
            self.sandbox.caller = self._heard()["pid"]
        return self.sandbox.caller

    def ended(self) -> int:
        """The exit code of the run that was started last; negative for the signal that killed it."""
        return int(self._heard()["exit"])

    def killed(self, death: Mapping[str, Any] | None = None, *, after: float | None = None) -> bool:
        """A run that is to die by its own hand, by that of the sandbox, or `after` so many seconds.

        False when it ended before that.
        """
        pid = self.start(death=death, busy=True)
        if after is not None:
            timer = threading.Timer(after, lambda: os.kill(pid, signal.SIGKILL))
            timer.start()
            code = self.ended()
            timer.cancel()
        else:
            code = self.ended()
        self.sandbox.kill = None
        assert code in (0, -signal.SIGKILL), self.said()
        return code != 0

    def run(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """A run that is left alone: what its artifact says of the sync."""
        self.start(*arguments)
        assert self.ended() == code, self.said()
        (result,) = json.loads((self.state / "run_results.json").read_text())["results"]
        return dict(result)

    def said(self) -> str:
        return (self.folder / "stdout").read_text() + (self.folder / "stderr").read_text()

    # -- what is there -------------------------------------------------------------------------------

    def held(self, collection: str | None = None) -> list[dict[str, Any]]:
        """What the sandbox holds of the sync's object, without what it adds by itself."""
        names = ("id", "name", "number", "email", "firstname", "firstName")
        vendor = {"contacts": "hubspot", "leads": "marketo"}.get(self.sync, "http")
        records = self.sandbox.store.scan(vendor, collection or self.sync)
        kept = [record.properties for record in records if record.archived is None]
        return sorted(({n: r[n] for n in names if n in r} for r in kept), key=json.dumps)

    def records_sent(self) -> int:
        """Records that requests have carried since the state was put back."""
        return sum(row[4] for row in self.sandbox.tally() if row[0] not in ("GET", "HEAD"))

    def journals(self) -> Sequence[Path]:
        return list((self.state / "journal").glob("*.jsonl"))


@contextmanager
def world(folder: Path) -> Iterator[World]:
    made = World(folder)
    try:
        yield made
    finally:
        made.close()
