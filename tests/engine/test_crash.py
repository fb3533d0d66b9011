"""kill -9 at chosen points of a run over real HTTP, then a second run: nothing is missing, nothing is there twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from .api import Api, serving
from .bounds import MORE
from .crash_runner import BATCH, WORKERS

ROWS = 23
UPSERT = {"match": {"Id": "id"}, "fields": {"Name": {"column": "name"}}, "on_removed": "delete"}
APPEND = {"mode": "append", "match": {}, "fields": {"Id": {"column": "id"}, "Name": {"column": "name"}}}
JOURNAL = "revetl_dbt.engine.journal:Journal"
LEDGER = "revetl_dbt.warehouse.ledger:Ledger"
STORE = "revetl_dbt.warehouse.store:Store"
POINTS = [
    (STORE, "take_lease", 1, "after"),
    (LEDGER, "write_plan", 1, "before"),
    (LEDGER, "write_plan", 1, "after"),
    (STORE, "set_plan", 1, "after"),
    (JOURNAL, "start", 1, "after"),
    (JOURNAL, "sent", 1, "before"),
    (JOURNAL, "sent", 3, "after"),
    (JOURNAL, "done", 1, "before"),
    (JOURNAL, "done", 2, "after"),
    (LEDGER, "fold", 1, "before"),
    (LEDGER, "fold", 1, "after"),
    (LEDGER, "fold", 2, "after"),
    (JOURNAL, "forget", 1, "after"),
    (JOURNAL, "forget", 2, "before"),
    (JOURNAL, "finish", 1, "before"),
    (JOURNAL, "finish", 1, "after"),
    (LEDGER, "drop_plan", 1, "after"),
    (STORE, "release_lease", 1, "before"),
    (STORE, "record_run", 1, "before"),
]
REQUESTS = [(nth, when) for nth in (1, 3, 5) for when in ("before", "after")]


def every_second(points: list[Any], start: int) -> list[Any]:
    """Half of the points; all of them where more is tried."""
    return points if MORE > 1 else points[start::2]


class Process:
    """The runner, seen from here."""

    def __init__(self, folder: Path, api: Api) -> None:
        tests = Path(__file__).parent.parent
        self.api = api
        self.folder = folder
        command = [sys.executable, "-m", "engine.crash_runner", str(folder), api.url]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)])},
        )

        assert self._answer() == {"ready": True}

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def do(self, **command: Any) -> dict[str, Any]:
        """A run in a process of its own."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        with self.api.lock:  # a request may arrive before its sender is known here
            self.api.caller = self._answer()["pid"]
        return self._answer()

    def begin(self) -> None:
        """A model with rows, and neither a ledger nor anything at the destination."""
        for journal in self.folder.glob("journal/*"):
            journal.unlink()
        api = self.api
        api.people, api.created, api.events, api.received = {}, [], [], 0
        self.edit(
            "drop schema if exists main_revetl cascade",
            "drop table if exists people",
            f"create table people as select n::integer as id, 'Ann ' || n as name from range({ROWS}) as r(n)",
        )

    def edit(self, *sql: str) -> None:
        with duckdb.connect(self.folder / "warehouse.duckdb") as warehouse:
            for statement in sql:
                warehouse.execute(statement)

    def run(self, sync: dict[str, Any]) -> dict[str, Any]:
        told = self.do(sync=sync)
        assert told["exit"] == 0
        return told["result"]

    def killed(self, sync: dict[str, Any], *, at: tuple[str, str, int, str] | None = None) -> None:
        """A run that dies at a point, or by the hand of the API."""
        kill = None if at is None else [f"{at[0]}.{at[1]}", at[2], at[3]]
        self.api.requests = 0
        told = self.do(sync=sync, kill=kill)
        self.api.kill = None
        assert told["exit"] == -signal.SIGKILL

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(self.folder / "warehouse.duckdb") as warehouse:
            return warehouse.execute(sql).fetchall()


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with serving() as api:
        running = Process(tmp_path_factory.mktemp("crash"), api)
        yield running
        running.close()


def _name(point: tuple[Any, ...]) -> str:
    return "-".join(str(part).rpartition(":")[2] for part in point)


def _whole(process: Process) -> None:
    """The destination holds the model, the ledger knows it, and nothing is left to do."""
    rows = dict(process.query("select id, name from people"))
    assert process.api.people == {number: {"Id": number, "Name": name} for number, name in rows.items()}
    last = process.run(UPSERT)
    assert (last["status"], last["requests"]) == ("noop", 0)
    assert not list(process.folder.glob("journal/*"))


@pytest.mark.parametrize("point", every_second(POINTS, 0), ids=_name)
def test_upserts_killed_in_the_process(process: Process, point: tuple[str, str, int, str]) -> None:
    process.begin()
    process.killed(UPSERT, at=point)
    assert process.run(UPSERT)["status"] in ("success", "noop")
    assert process.api.received <= ROWS + WORKERS * BATCH
    _whole(process)


@pytest.mark.parametrize("kill", every_second(REQUESTS, 1), ids=_name)
def test_upserts_killed_by_a_request(process: Process, kill: tuple[int, str]) -> None:
    process.begin()
    process.api.kill = kill
    process.killed(UPSERT)
    assert process.run(UPSERT)["status"] == "success"
    assert process.api.received <= ROWS + WORKERS * BATCH
    _whole(process)


@pytest.mark.parametrize("kill", [(2, "after"), (6, "after")], ids=_name)
def test_a_change_killed_and_taken_back(process: Process, kill: tuple[int, str]) -> None:
    """Creates, updates and deletes are on their way when the run dies; then the model is what it was before."""
    process.begin()
    process.run(UPSERT)
    process.edit("create table before as select * from people", "update people set name = 'Bea' where id < 12")
    process.edit("delete from people where id >= 18", "insert into people select n, 'new' from range(40, 50) as r(n)")
    process.api.kill = kill
    process.killed(UPSERT)
    process.edit("drop table people", "alter table before rename to people")
    assert process.run(UPSERT)["status"] in ("success", "noop")
    orphans = {number: person for number, person in process.api.people.items() if number >= 40}
    assert len(orphans) <= WORKERS * BATCH
    for number in orphans:  # created without our being told, and then never wanted: not ours to delete
        del process.api.people[number]
    _whole(process)


def _appended_once(process: Process) -> None:
    """Each event is there once, or is reported as unknown and is there at most once; another run sends nothing."""
    api, last = process.api, process.run(APPEND)
    assert last["requests"] == 0
    there = Counter(event["Id"] for event in api.events)
    unknown = process.query("select row_key from main_revetl.revetl_outcomes where status = 'unknown'")
    reported = {int(key) for (key,) in unknown}
    assert last["held"] == len(reported) <= WORKERS * BATCH
    assert set(there.values()) == {1}
    assert set(there) | reported == set(range(ROWS))


@pytest.mark.parametrize("point", every_second(POINTS, 1), ids=_name)
def test_appends_killed_in_the_process(process: Process, point: tuple[str, str, int, str]) -> None:
    process.begin()
    process.killed(APPEND, at=point)
    process.run(APPEND)
    _appended_once(process)


@pytest.mark.parametrize("kill", every_second(REQUESTS, 0), ids=_name)
def test_appends_killed_by_a_request(process: Process, kill: tuple[int, str]) -> None:
    process.begin()
    process.api.kill = kill
    process.killed(APPEND)
    process.run(APPEND)
    _appended_once(process)


@pytest.mark.parametrize("cut", [1, 20])
def test_a_torn_journal(process: Process, cut: int) -> None:
    """The process dies in the middle of writing a line."""
    process.begin()
    process.killed(APPEND, at=(JOURNAL, "done", 3, "after"))
    (journal,) = process.folder.glob("journal/*.jsonl")
    journal.write_bytes(journal.read_bytes()[:-cut])
    process.run(APPEND)
    _appended_once(process)


_NAME, _LETTER = {"column": "name"}, {"sql": "left(name, 1)"}


@pytest.mark.parametrize(
    "fields",
    [{"Name": _NAME, "Letter": _LETTER}, {"Letter": _LETTER}, {"Name": {"sql": "upper(name)"}}],
    ids=["added", "replaced", "redefined"],
)
def test_the_mapping_changes_while_a_journal_waits(process: Process, fields: dict[str, Any]) -> None:
    process.begin()
    process.killed(UPSERT, at=(JOURNAL, "done", 2, "after"))
    changed = UPSERT | {"fields": fields}
    result = process.run(changed)
    assert result["status"] == "success"
    assert any("Recovered" in notice for notice in result["notices"])
    rows = process.query("select id, name, left(name, 1), upper(name) from people")
    for number, name, letter, upper in rows:
        expected = {"Name": upper if fields.get("Name", _NAME) != _NAME else name, "Letter": letter}
        assert process.api.people[number].items() >= {name: expected[name] for name in fields}.items()
    assert process.run(changed)["requests"] == 0
