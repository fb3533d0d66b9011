"""A process that boots dbt once, then forks for every run, so that each is a real process that can be killed.

Started by `test_crash.py` as `python -m engine.crash_runner FOLDER URL`. Each line on stdin is a run:

    {"sync": {...}, "kill": [target, nth, when]}     `kill`: SIGKILL before or after the nth call of a target

It is answered with {"pid": ...} when its process starts and {"exit": ..., "result": ...} when that has ended.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from revetl_dbt.destinations.http import Http, HttpConfig
from revetl_dbt.engine import sending
from revetl_dbt.engine.link import open_links
from revetl_dbt.engine.result import RunOptions
from revetl_dbt.engine.run import Run
from revetl_dbt.spec.destinations import Output
from revetl_dbt.spec.models import Source, Sync, SyncSpec
from revetl_dbt.warehouse.dbt_api import DbtSession
from revetl_dbt.warehouse.store import Store

from .harness import EAGER, Listener, profile, write_project

BATCH = 5
WORKERS = 2


def config(url: str) -> HttpConfig:
    """People are upserted and deleted by id; events are appended, and nothing tells two of them apart."""
    results = {"results": "results", "join": "match", "at": "Id", "error": "error"}
    operations = {
        "upsert": {"path": "/people", "method": "PUT", "body": "array", "batch_size": BATCH, "response": results},
        "delete": {"path": "/people", "method": "DELETE", "body": "array", "batch_size": BATCH},
        "create": {"path": "/people", "method": "POST", "body": "array", "batch_size": BATCH},
        "append": {"path": "/events", "body": "array", "batch_size": BATCH},
    }
    objects = {"people": {"operations": operations}}
    return HttpConfig.model_validate(
        {"type": "http", "base_url": url, "concurrency": WORKERS, "timeout": 10, "objects": objects}
    )


def kill_at(target: str, nth: int, when: str) -> None:
    """Die before or after the nth call of `module:Class.method`."""
    module, _, path = target.partition(":")
    owner, name = path.split(".")
    place = getattr(importlib.import_module(module), owner)
    original = getattr(place, name)
    calls = itertools.count(1)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        mine = next(calls) == nth
        if mine and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(place, name, wrapped)


class Runner:
    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.session = DbtSession(write_project(folder, profile(folder)))

    def warm_up(self) -> None:
        """Everything that is slow once is done once, here: every fork inherits it."""
        store = Store(self.session, notice=sys.stderr.write)
        store.execute(["create table people as select 1 as id, 'Ann' as name"])
        self.run({"sync": {"match": {"Id": "id"}, "fields": {"Name": {"column": "name"}}, "on_removed": "delete"}})
        store.execute(["insert into people select null, null union all select 1, 'Bea'"])
        self.run({"sync": {"match": {"Id": "id"}, "fields": {"Name": {"column": "name"}}, "on_removed": "delete"}})
        self.session.close()

    def run(self, command: dict[str, Any]) -> dict[str, Any]:
        if command.get("kill"):
            kill_at(*command["kill"])
        sending.FLUSH_SECONDS = 0.0  # so that folds happen between batches
        schema, database = self.session.schema, self.session.database
        relation = self.session.relation(schema, "people")
        source = Source("model.harness.people", "people", relation, database, schema, "people", (), "models/people.sql")
        spec = SyncSpec.model_validate({"destination": "api", "object": "people", "key": ("id",), **command["sync"]})
        store = Store(self.session, notice=sys.stderr.write)
        output = Output("api", "dev", Http, config(self.url), Path("destinations.yml"), 1)
        listener, stop = Listener(), threading.Event()
        options = RunOptions(retry=EAGER, journal_dir=self.folder / "journal")
        with open_links({"api": output}, store, self.folder / "sandbox", stop) as links:
            sync = Sync("people", spec, source, "models/models.yml", 7)
            (result,) = Run(store, links, options, listener, stop).execute([sync], {})
        totals = {name: count for name, count in asdict(result.totals).items() if isinstance(count, int)}
        told = {"status": result.status, "message": result.message, "held": result.held, "requests": result.requests}
        return told | totals | {"notices": listener.notices}

    def fork(self, command: dict[str, Any]) -> dict[str, Any]:
        """A run in a process of its own; its result comes back through a file."""
        answer = self.folder / "answer.json"
        answer.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            say({"pid": os.getpid()})
            answer.write_text(json.dumps(self.run(command), default=str))
            self.session.close()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        found = json.loads(answer.read_text()) if answer.exists() else None
        return {"exit": os.waitstatus_to_exitcode(status), "result": found}


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    runner = Runner(Path(sys.argv[1]), sys.argv[2])
    runner.warm_up()
    say({"ready": True})
    for line in sys.stdin:
        say(runner.fork(json.loads(line)))
