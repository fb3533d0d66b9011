"""`revetl run` on a project that dbt built: what is sent, said, written down, and the exit code."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from revetl_dbt.sandbox import Sandbox
from revetl_dbt.warehouse import store

from .tiny import FILES, Tiny

CLOCK = re.compile(r"^\d\d:\d\d:\d\d  ?", re.MULTILINE)
CRM, API = ("run", "--sync", "people_to_crm"), ("run", "--sync", "people_to_api")
ONE_TRY = ("--retry-attempts", "1")
FAULT = {"vendor": "hubspot", "path": "*/batch/*"}


def said(stderr: str) -> list[str]:
    """The lines of the log without times, dots and durations."""
    lines = CLOCK.sub("", stderr).splitlines()
    return [re.sub(r" \.*\.? *\[([A-Z -]+)( in [\d.]+s)?\]$", r" [\1]", line) for line in lines]


def where_cut(lines: list[str]) -> list[str]:
    """The lines without the place of a declaration."""
    return [re.sub(r" \(models/models\.yml:\d+\)$", "", line) for line in lines]


def writes(sandbox: Sandbox) -> list[tuple[str, int]]:
    """Operation and number of records of each request that wrote to HubSpot, from the sandbox's file."""
    with sqlite3.connect(sandbox.state_dir / "sandbox.sqlite") as connection:
        query = "select path, records from requests where path like '%/batch/%' order by n"
        rows = connection.execute(query).fetchall()
    return [(path.rsplit("/", 1)[-1], records) for path, records in rows]


def balanced(counts: dict[str, int]) -> bool:
    parts = ("accepted", "rejected", "held", "skipped", "not_attempted")
    return counts["planned"] == sum(counts[part] for part in parts)


class TestFine:
    def test_everything_is_sent_once(self, tiny: Tiny) -> None:
        first = tiny.revetl("run", "--no-use-colors")
        assert first.exit_code == 0, first.stderr
        assert first.stdout == ""
        lines = said(first.stderr)
        assert "Found 4 syncs of 2 models to 2 destinations (target='dev')" in lines
        assert "1 of 4 START sync people_to_crm -> crm.contacts [RUN]" in lines
        assert any(re.fullmatch(r"\d of 4 OK sync people_to_crm: 20 created \[OK\]", line) for line in lines)
        reason = "test `unique_repeated_id` failed in `dbt build` (--no-gate sends it nevertheless)"
        assert any(line.endswith(f"of 4 SKIP sync repeated_to_api: {reason} [SKIP]") for line in lines)
        assert any(line.endswith("of 4 SKIP sync paused_to_api: paused (`enabled: false`) [SKIP]") for line in lines)
        assert lines[-1] == "Done. PASS=2 WARN=0 ERROR=0 SKIP=2 NO-OP=0 TOTAL=4"
        results = tiny.results()
        assert results["people_to_crm"]["counts"]["created"] == 20
        assert all(balanced(result["counts"]) for result in results.values())
        assert results["repeated_to_api"]["status"] == "skipped"
        assert results["people_to_api"]["timing"][0]["name"] == "execute"

        second = tiny.revetl(*CRM)
        assert second.exit_code == 0
        assert "1 of 1 NO-OP sync people_to_crm: 20 unchanged [NO-OP]" in said(second.stderr)
        assert said(second.stderr)[-1] == "Done. PASS=0 WARN=0 ERROR=0 SKIP=0 NO-OP=1 TOTAL=1"
        assert tiny.results()["people_to_crm"]["status"] == "no-op"

    def test_only_changes_are_sent(self, tiny: Tiny) -> None:
        with tiny.sandbox() as sandbox:
            tiny.revetl(*CRM)
            tiny.sql("update people set seats = 99 where id = 3", "delete from people where id = 4")
            sandbox.reset(requests_only=True)
            result = tiny.revetl(*CRM)
            assert sorted(writes(sandbox)) == [("archive", 1), ("update", 1)]
        assert "1 of 1 OK sync people_to_crm: 1 updated, 1 deleted, 18 unchanged [OK]" in said(result.stderr)

    def test_the_gate_can_be_set_aside(self, tiny: Tiny) -> None:
        result = tiny.revetl("run", "--sync", "repeated_to_api", "--no-gate")
        assert result.exit_code == 0
        lines = said(result.stderr)
        assert "1 of 1 WARN sync repeated_to_api: 2 invalid [WARN]" in lines
        assert "Warning in sync repeated_to_api" in where_cut(lines)
        assert "  2 rows cannot be sent: 2 duplicate key" in lines
        assert tiny.results()["repeated_to_api"]["status"] == "warn"
        assert tiny.results()["repeated_to_api"]["invalid"] == {"duplicate_key": 2}

    def test_a_destination_of_which_every_sync_is_skipped(self, tiny: Tiny) -> None:
        result = tiny.revetl("run", "--sync", "paused_to_api")
        assert result.exit_code == 0
        assert said(result.stderr)[-1] == "Done. PASS=0 WARN=0 ERROR=0 SKIP=1 NO-OP=0 TOTAL=1"

    def test_an_empty_selection_is_no_error(self, tiny: Tiny) -> None:
        result = tiny.revetl("run", "--select", "repeated", "--destination", "crm")
        assert result.exit_code == 0
        assert "No sync is selected" in result.stderr
        assert tiny.results() == {}

    def test_quiet_says_nothing(self, tiny: Tiny) -> None:
        result = tiny.revetl(*API, "--quiet", "--no-write-json")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
        assert not (tiny.state / "run_results.json").exists()

    def test_json_lines_have_the_shape_of_those_of_dbt(self, tiny: Tiny) -> None:
        result = tiny.revetl(*API, "--log-format", "json")
        lines = [json.loads(line) for line in result.stderr.splitlines()]
        assert all(set(line) == {"data", "info"} for line in lines)
        info = {"code", "level", "msg", "name", "invocation_id", "thread", "ts"}
        assert all(info <= set(line["info"]) for line in lines)
        names = [line["info"]["name"] for line in lines]
        assert names[:3] == ["RunStarted", "SyncsFound", "SyncStarted"], names
        assert lines[-1]["data"]["stats"] == {"PASS": 1, "WARN": 0, "ERROR": 0, "SKIP": 0, "NO-OP": 0, "TOTAL": 1}
        assert "\x1b" not in result.stderr

    def test_full_refresh_sends_everything_again(self, tiny: Tiny) -> None:
        tiny.revetl(*API)
        result = tiny.revetl(*API, "--full-refresh")
        assert "1 of 1 OK sync people_to_api: 20 updated [OK]" in said(result.stderr)

    def test_a_model_that_dbt_has_not_rebuilt_is_not_looked_at(self, tiny: Tiny) -> None:
        manifest = tiny.folder / "target" / "manifest.json"
        content = json.loads(manifest.read_text())
        syncs = content["nodes"]["model.tiny.people"]["config"]["meta"]["revetl"]
        syncs["people_to_api"]["skip_unchanged"] = True
        manifest.write_text(json.dumps(content))
        assert tiny.revetl(*API).exit_code == 0
        tiny.sql("update people set full_name = 'somebody else' where id = 3")
        result = tiny.revetl(*API)
        reason = "`people` was not rebuilt since all of it was sent"
        assert f"1 of 1 NO-OP sync people_to_api: {reason} [NO-OP]" in said(result.stderr)
        assert tiny.results()["people_to_api"]["unseen"] == reason
        assert "1 of 1 OK sync people_to_api: 1 updated, 19 unchanged [OK]" in said(
            tiny.revetl(*API, "--all-rows").stderr
        )
        content["metadata"]["invocation_id"] = "one that has begun since"
        manifest.write_text(json.dumps(content))
        assert "1 of 1 NO-OP sync people_to_api: 20 unchanged [NO-OP]" in said(tiny.revetl(*API).stderr)

    def test_dry_run_is_a_plan(self, tiny: Tiny) -> None:
        with tiny.sandbox() as sandbox:
            result = tiny.revetl(*CRM, "--dry-run")
            assert writes(sandbox) == []
        assert result.exit_code == 0
        assert "Plan: 20 to create" in result.stdout
        assert not (tiny.state / "run_results.json").exists()


class TestRefusals:
    def test_refused_rows_are_grouped_by_reason_and_come_back(self, tiny: Tiny) -> None:
        poison = {**FAULT, "kind": "poison", "field": "seats", "equals": "3", "message": "the value '3' of x@y.io"}
        with tiny.sandbox() as sandbox:
            sandbox.set_faults([poison])
            refused = tiny.revetl(*CRM)
            results = tiny.results()["people_to_crm"]
            sandbox.set_faults([])
            again = tiny.revetl(*CRM)
        assert refused.exit_code == 1
        lines = said(refused.stderr)
        assert "1 of 1 PARTIAL SUCCESS sync people_to_crm: 16 created, 4 rejected [PARTIAL SUCCESS]" in lines
        assert "Completed with 0 errors, 1 partial success, and 0 warnings:" in lines
        assert "Partial success in sync people_to_crm" in where_cut(lines)
        assert "  4 rejected; they are sent again with the next run:" in lines
        assert any(line.startswith("    4 x ") for line in lines)
        assert "x@y.io" not in refused.stderr
        assert lines[-1] == "Done. PASS=0 WARN=0 ERROR=1 SKIP=0 NO-OP=0 TOTAL=1"
        assert results["status"] == "partial success"
        assert (results["failures"], results["counts"]["rejected"]) == (4, 4)
        assert balanced(results["counts"])
        assert sum(reason["rows"] for reason in results["reasons"]) == 4
        assert "x@y.io" not in json.dumps(results)
        assert again.exit_code == 0
        assert "1 of 1 OK sync people_to_crm: 4 created, 16 unchanged [OK]" in said(again.stderr)

    def test_values_show_when_they_are_asked_for(self, tiny: Tiny) -> None:
        poison = {**FAULT, "kind": "poison", "field": "seats", "equals": "3", "message": "refused: x@y.io"}
        with tiny.sandbox() as sandbox:
            sandbox.set_faults([poison])
            refused = tiny.revetl(*CRM, "--show-values")
        assert "x@y.io" in refused.stderr
        assert "x@y.io" not in json.dumps(tiny.results())

    def test_rows_are_held_after_too_many_rejections(self, tiny: Tiny) -> None:
        with tiny.sandbox() as sandbox:
            sandbox.set_faults([{**FAULT, "kind": "poison", "field": "seats", "equals": "3"}])
            for _ in range(2):
                assert tiny.revetl(*CRM).exit_code == 1
            held = tiny.revetl(*CRM)
        assert held.exit_code == 0
        assert "1 of 1 WARN sync people_to_crm: 16 unchanged, 4 held [WARN]" in said(held.stderr)
        assert "  4 rows held after 2 rejections, or because the outcome is unknown:" in said(held.stderr)
        assert "    until they change, or revetl retry --sync people_to_crm sends them again" in said(held.stderr)
        assert tiny.results()["people_to_crm"]["counts"]["held"] == 4


class TestFailures:
    def test_a_destination_that_fails(self, tiny: Tiny) -> None:
        with tiny.sandbox() as sandbox:
            sandbox.set_faults([{**FAULT, "kind": "status", "status": 503}])
            result = tiny.revetl("run", *ONE_TRY)
        assert result.exit_code == 1
        lines = said(result.stderr)
        assert any("ERROR sync people_to_crm" in line for line in lines)
        assert "Failure in sync people_to_crm" in where_cut(lines)
        assert "  20 changes not attempted; the next run sends them" in lines
        results = tiny.results()
        assert (results["people_to_crm"]["status"], results["people_to_api"]["status"]) == ("error", "success")
        assert results["people_to_crm"]["counts"]["not_attempted"] == 20
        assert balanced(results["people_to_crm"]["counts"])

    def test_fail_fast_skips_the_rest(self, tiny: Tiny) -> None:
        with tiny.sandbox() as sandbox:
            sandbox.set_faults([{"vendor": "http", "path": "*", "kind": "status", "status": 400}])
            names = ("--sync", "people_to_api", "repeated_to_api", "--no-gate")
            result = tiny.revetl("run", *names, "--fail-fast", *ONE_TRY)
        assert result.exit_code == 1
        assert "2 of 2 SKIP sync repeated_to_api: an earlier sync failed (--fail-fast) [SKIP]" in said(result.stderr)

    def test_a_guard_holds_the_removals_until_they_are_released(self, tiny: Tiny) -> None:
        with tiny.sandbox():
            tiny.revetl(*CRM)
            tiny.sql("delete from people where id > 5", "update people set seats = 7 where id = 1")
            held = tiny.revetl(*CRM)
            results = tiny.results()["people_to_crm"]
            released = tiny.revetl(*CRM, "--release", "people_to_crm")
        assert held.exit_code == 1
        lines = said(held.stderr)
        words = "1 updated, 4 unchanged, 15 kept back by a guard"
        assert f"1 of 1 PARTIAL SUCCESS sync people_to_crm: {words} [PARTIAL SUCCESS]" in lines
        assert any("guard `max_deletes`: 15 rows of 20, more than 50%" in line for line in lines)
        assert (results["counts"]["skipped"], results["counts"]["accepted"]) == (15, 1)
        assert results["guards"][0]["holds"] == "removals"
        assert balanced(results["counts"])
        assert released.exit_code == 0
        assert "1 of 1 OK sync people_to_crm: 15 deleted, 5 unchanged [OK]" in said(released.stderr)

    def test_an_unknown_sync_cannot_be_released(self, tiny: Tiny) -> None:
        result = tiny.revetl("run", "--release", "people_to_crn")
        assert result.exit_code == 2
        assert "Did you mean `people_to_crm`?" in result.stderr

    def test_a_run_that_is_interrupted_ends_in_order(self, tiny: Tiny) -> None:
        with tiny.sandbox() as sandbox:
            later = tuple(range(5, 21))
            sandbox.set_faults([{"vendor": "http", "path": "*", "kind": "delay", "seconds": 120, "nth": later}])
            process = tiny.start("run", "--sync", "people_to_api")
            wait_until(lambda: bool(sandbox.tally()), process)
            process.send_signal(signal.SIGINT)
            heard(process, "Stopping as soon as the batches in flight are recorded")
            sandbox.set_faults([])  # lets go of the requests that it holds
            _, rest = process.communicate(timeout=30)
            first = tiny.results()["people_to_api"]["counts"]
            again = tiny.revetl(*API)
        assert process.returncode == 1, rest
        assert "the run was stopped" in rest
        assert 0 < first["accepted"] < 20
        assert first["not_attempted"] == 20 - first["accepted"]
        assert again.exit_code == 0
        sent_later, unchanged = 20 - first["accepted"], first["accepted"]
        assert f"1 of 1 OK sync people_to_api: {sent_later} created, {unchanged} unchanged [OK]" in said(again.stderr)


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something that a process brings about; fails when it ends before that, or takes more than a minute."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "nothing came of it"
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
            pytest.fail(f"the process ended too early: {process.communicate()}")


def heard(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """The next line of a process's log that matches; fails when it ends without one, as it must within a minute."""
    assert process.stderr is not None
    limit = threading.Timer(60, process.kill)
    limit.start()
    try:
        for line in process.stderr:
            if found := re.search(pattern, line):
                return found
    finally:
        limit.cancel()
    pytest.fail(f"the process ended without a line that matches {pattern}")


class TestBadInput:
    def test_a_missing_manifest(self, tiny: Tiny) -> None:
        (tiny.folder / "target" / "manifest.json").unlink()
        for command in ("run", "plan"):
            result = tiny.revetl(command)
            assert result.exit_code == 2
            assert "error[manifest-missing]" in result.stderr
            assert "dbt parse" in result.stderr

    def test_the_manifest_of_another_project(self, tiny: Tiny) -> None:
        tiny.write("dbt_project.yml", FILES["dbt_project.yml"].replace("name: tiny", "name: other"))
        result = tiny.revetl("run")
        assert result.exit_code == 2
        assert "error[manifest-of-another-project]" in result.stderr

    def test_a_model_that_is_not_in_the_warehouse(self, tiny: Tiny) -> None:
        tiny.sql("drop table people")
        result = tiny.revetl(*CRM)
        assert result.exit_code == 1
        assert "error[relation-missing]" in result.stderr
        assert "dbt build --select people" in result.stderr

    def test_a_column_that_the_model_lost(self, tiny: Tiny) -> None:
        tiny.sql("alter table people drop column full_name")
        with tiny.sandbox() as sandbox:
            result = tiny.revetl(*CRM)
            assert writes(sandbox) == []
        assert result.exit_code == 1
        assert "full_name" in result.stderr

    def test_a_field_that_the_destination_does_not_have(self, tiny: Tiny) -> None:
        (tiny.folder / "sandbox" / "hubspot.yml").unlink()
        result = tiny.revetl(*CRM)
        assert result.exit_code == 1
        assert "error[unknown-field]: `crm.contacts` has no field `tiny_id`" in result.stderr

    def test_a_wrong_secret_is_refused_and_never_shown(self, tiny: Tiny) -> None:
        with tiny.sandbox() as sandbox:
            environ = {"CRM_URL": sandbox.url("hubspot"), "DBT_ENV_SECRET_CRM": "pat-na1-wrong"}
            result = tiny.revetl(*CRM, "--target", "prod", "--log-format", "json", "--debug", **environ)
        assert result.exit_code == 1
        assert "pat-na1-wrong" not in result.stderr
        assert "authentication" in str(tiny.results()["people_to_crm"]["message"]).lower()
        assert "pat-na1-wrong" not in (tiny.state / "run_results.json").read_text()

    def test_an_unreachable_host(self, tiny: Tiny) -> None:
        result = tiny.revetl(*API, "--target", "prod", *ONE_TRY, API_URL="http://127.0.0.1:9")
        assert result.exit_code == 1
        assert "1 of 1 ERROR sync people_to_api [ERROR]" in said(result.stderr)
        assert "127.0.0.1" in str(tiny.results()["people_to_api"]["message"])

    def test_a_state_schema_that_cannot_be_written(self, tiny: Tiny) -> None:
        read_only = "threads: 2, config_options: {access_mode: READ_ONLY}"
        tiny.write("profiles.yml", FILES["profiles.yml"].replace("threads: 2", read_only))
        result = tiny.revetl("run")
        assert result.exit_code == 1
        assert "Cannot create the state tables in schema `main_revetl`" in result.stderr
        assert "revetl_schema" in result.stderr

    def test_a_target_folder_that_cannot_be_written(self, tiny: Tiny) -> None:
        shutil.rmtree(tiny.state)
        tiny.write("target/revetl", "a file where the folder belongs")
        result = tiny.revetl("run")
        assert result.exit_code == 2
        assert "error[target-unwritable]" in result.stderr

    def test_a_duckdb_file_that_another_process_holds(self, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store, "LOCK_WAIT_SECONDS", 0.3)
        with holding(tiny):
            result = tiny.revetl(*CRM)
        assert result.exit_code == 1
        assert "Waiting for the DuckDB file" in result.stderr
        assert "held by another process" in result.stderr

    def test_a_sync_that_another_run_is_sending(self, tiny: Tiny) -> None:
        tiny.revetl(*API)
        clock = "cast(now() at time zone 'utc' as timestamp)"
        lease = f"'people_to_api', account, 'r0', 'elsewhere pid 1', {clock}, {clock} + interval 1 minute"
        known = "from main_revetl.revetl_syncs where sync = 'people_to_api'"
        tiny.sql("update people set full_name = 'x'", f"insert into main_revetl.revetl_leases select {lease} {known}")
        result = tiny.revetl(*API)
        assert result.exit_code == 1
        assert "is being sent by another run (elsewhere pid 1" in result.stderr
        assert tiny.results()["people_to_api"]["status"] == "error"


@contextmanager
def holding(tiny: Tiny) -> Iterator[None]:
    """Another process has the DuckDB file open."""
    code = "import duckdb, sys; c = duckdb.connect('tiny.duckdb'); print('open', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], cwd=tiny.folder, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield
        process.communicate()
