"""`revetl run` on a project that dbt built: what is sent, said, written down, and the exit code."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Callable

import pytest

from revetl_dbt.sandbox import Sandbox

from .tiny import FILES, Tiny

CLOCK = re.compile(r"^\d\d:\d\d:\d\d  ?", re.MULTILINE)


def said(stderr: str) -> list[str]:
    """The lines of the log without times, dots and durations."""
    lines = CLOCK.sub("", stderr).splitlines()
    return [re.sub(r" \.*\.? *\[([A-Z -]+)( in [\d.]+s)?\]$", r" [\1]", line) for line in lines]


def contacts(sandbox: Sandbox) -> int:
    return sum(row[4] for row in sandbox.tally() if "batch/upsert" in row[1] and row[2] and row[2] < 300)


class TestFine:
    def test_everything_is_sent_once(self, tiny: Tiny) -> None:
        first = tiny.revetl("run", "--no-use-colors")
        assert first.exit_code == 0, first.stderr
        assert first.stdout == ""
        lines = said(first.stderr)
        assert "Found 4 syncs of 2 models to 2 destinations (target='dev')" in lines
        assert "1 of 4 START sync people_to_crm -> crm.contacts [RUN]" in lines
        assert any(re.fullmatch(r"\d of 4 OK sync people_to_crm: 20 created \[OK\]", line) for line in lines)
        assert any(re.fullmatch(r"\d of 4 SKIP sync repeated_to_api \[SKIP\]", line) for line in lines)
        assert "  test `unique_repeated_id` failed in `dbt build` (--no-gate sends it nevertheless)" in lines
        assert "  paused (`enabled: false`)" in lines
        assert lines[-1] == "Done. PASS=2 WARN=0 ERROR=0 SKIP=2 NO-OP=0 TOTAL=4"
        results = tiny.results()
        assert results["people_to_crm"]["counts"] | {"accepted": 20, "created": 20} == results["people_to_crm"]["counts"]
        assert results["repeated_to_api"]["status"] == "skipped"
        assert results["people_to_api"]["timing"][0]["name"] == "execute"

        second = tiny.revetl("run", "--sync", "people_to_crm")
        assert second.exit_code == 0
        assert "1 of 1 NO-OP sync people_to_crm: 20 unchanged [NO-OP]" in said(second.stderr)
        assert said(second.stderr)[-1] == "Done. PASS=0 WARN=0 ERROR=0 SKIP=0 NO-OP=1 TOTAL=1"
        assert tiny.results()["people_to_crm"]["status"] == "no-op"

    def test_only_changes_are_sent(self, tiny: Tiny) -> None:
        with tiny.sandbox() as sandbox:
            tiny.revetl("run", "--sync", "people_to_crm")
            tiny.sql("update people set seats = 99 where id = 3", "delete from people where id = 4")
            sandbox.reset(requests_only=True)
            result = tiny.revetl("run", "--sync", "people_to_crm")
        assert "1 of 1 OK sync people_to_crm: 1 updated, 1 deleted, 18 unchanged [OK]" in said(result.stderr)
        written = [row for row in sandbox_rows(sandbox) if row[0] == "POST"]
        assert sorted((path.rsplit("/", 1)[-1], records) for _, path, records in written) == [("archive", 1), ("update", 1)]

    def test_the_gate_can_be_set_aside(self, tiny: Tiny) -> None:
        result = tiny.revetl("run", "--sync", "repeated_to_api", "--no-gate")
        assert result.exit_code == 0
        lines = said(result.stderr)
        assert "1 of 1 WARN sync repeated_to_api: 2 invalid [WARN]" in lines
        assert "Warning in sync repeated_to_api (models/models.yml:36)" in lines
        assert "  2 rows cannot be sent: 2 duplicate key" in lines
        assert tiny.results()["repeated_to_api"]["status"] == "warn"
        assert tiny.results()["repeated_to_api"]["invalid"] == {"duplicate_key": 2}

    def test_an_empty_selection_is_no_error(self, tiny: Tiny) -> None:
        result = tiny.revetl("run", "--select", "repeated", "--destination", "crm")
        assert result.exit_code == 0
        assert "No sync is selected" in result.stderr
        assert tiny.results() == {}

    def test_quiet_says_nothing(self, tiny: Tiny) -> None:
        result = tiny.revetl("run", "--sync", "people_to_api", "--quiet", "--no-write-json")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
        assert not (tiny.state / "run_results.json").exists()

    def test_json_lines_have_the_shape_of_those_of_dbt(self, tiny: Tiny) -> None:
        result = tiny.revetl("run", "--sync", "people_to_api", "--log-format", "json")
        lines = [json.loads(line) for line in result.stderr.splitlines()]
        assert all(set(line) == {"data", "info"} for line in lines)
        assert all({"code", "level", "msg", "name", "invocation_id", "thread", "ts"} <= set(line["info"]) for line in lines)
        names = [line["info"]["name"] for line in lines]
        assert names[:3] == ["RunStarted", "SyncsFound", "SyncStarted"]
        assert lines[-1]["data"]["stats"] == {"PASS": 1, "WARN": 0, "ERROR": 0, "SKIP": 0, "NO-OP": 0, "TOTAL": 1}
        assert "\x1b" not in result.stderr

    def test_full_refresh_sends_everything_again(self, tiny: Tiny) -> None:
        tiny.revetl("run", "--sync", "people_to_api")
        result = tiny.revetl("run", "--sync", "people_to_api", "--full-refresh")
        assert "1 of 1 OK sync people_to_api: 20 updated [OK]" in said(result.stderr)

    def test_dry_run_is_a_plan(self, tiny: Tiny) -> None:
        with tiny.sandbox() as sandbox:
            result = tiny.revetl("run", "--sync", "people_to_crm", "--dry-run")
            assert contacts(sandbox) == 0
        assert result.exit_code == 0
        assert "Plan: 20 to create" in result.stdout
        assert not (tiny.state / "run_results.json").exists()


def sandbox_rows(sandbox: Sandbox) -> list[tuple[str, str, int]]:
    """(method, path, records) of the log, from its file, which outlives the server."""
    import sqlite3

    with sqlite3.connect(sandbox.state_dir / "sandbox.sqlite") as connection:
        return connection.execute("select method, path, records from requests order by n").fetchall()
