"""`revetl state` on a project that dbt built: what it shows, asks, writes and says; tests/engine has what it does."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import duckdb
import pytest

from .test_run import wait_until
from .tiny import Tiny

pytestmark = pytest.mark.usefixtures("booted_once")

SYNC = "people_to_api"
RUN = ("run", "--sync", SYNC, "--quiet")


def shown(tiny: Tiny) -> dict[str, dict[str, Any]]:
    result = tiny.revetl("state", "show", "--output", "json")
    return {item["sync"]: item for item in json.loads(result.stdout)}


def test_a_ledger_is_shown_moved_forgotten_and_taken_for_accepted(tiny: Tiny) -> None:
    with tiny.sandbox() as sandbox:
        sandbox.set_faults([{"vendor": "http", "kind": "poison", "field": "name", "equals": "Name 3"}])
        tiny.revetl(*RUN)
        # Somebody on another machine holds it.
        tiny.sql(
            "insert into main_revetl.revetl_leases select sync, account, 'r1', 'elsewhere pid 7', now(), now() +"
            " interval 1 hour from main_revetl.revetl_syncs"
        )
        lines = tiny.revetl("state", "show", "--no-use-colors").stdout.splitlines()
        assert lines[0].startswith("people_to_api: api.people, account sandbox")
        assert lines[1] == "  rows      19 sent, 1 rejected, and sent again"
        assert lines[3].endswith(": run, partial")
        assert lines[4].startswith("  lease     elsewhere pid 7, since ")
        assert lines[5].startswith('  tables    "tiny"."main_revetl"."ledger__people_to_api__')

        held = tiny.revetl("state", "reset", SYNC, "--yes")
        assert held.exit_code == 1
        assert "Sync `people_to_api` is being sent by another run (elsewhere pid 7, since " in held.stderr
        asked = tiny.revetl("state", "unlock", SYNC)
        assert asked.exit_code == 1
        assert "End the lease of `people_to_api` at account " in asked.stderr
        assert tiny.revetl("state", "unlock", SYNC, "--yes").exit_code == 0

        done = tiny.revetl("state", "export", SYNC, "--file", "ledger.jsonl")
        assert (done.exit_code, done.stdout) == (0, "")
        assert stat.S_IMODE(Path("ledger.jsonl").stat().st_mode) == 0o600
        assert tiny.revetl("state", "export", SYNC).stdout == Path("ledger.jsonl").read_text()

        assert tiny.revetl("state", "reset", SYNC, "--yes").exit_code == 0
        assert shown(tiny) == {}
        sandbox.set_faults([])
        assert tiny.revetl("state", "baseline", SYNC, "--yes").exit_code == 0
        tiny.revetl(*RUN)
        assert tiny.results()[SYNC]["status"] == "no-op"

        assert tiny.revetl("state", "import", "ledger.jsonl", "--yes").exit_code == 0
        item = shown(tiny)[SYNC]
        assert (item["rows"]["sent"], item["rows"]["waiting_rejected"], item["lease"]) == (19, 1, None)
        tiny.revetl(*RUN)
        assert tiny.results()[SYNC]["counts"]["created"] == 1
    commands = tiny.sql("select command from main_revetl.revetl_runs order by finished_at")
    done_to_it = ["run", "state unlock", "state reset", "state baseline", "run", "state import", "run"]
    assert [command for (command,) in commands] == done_to_it


def test_a_file_that_may_only_be_read_is_synced_with_state_beside_the_project(tiny: Tiny) -> None:
    usual = (tiny.folder / "profiles.yml").read_text()
    read_only = usual.replace("threads: 2", "threads: 2, config_options: {access_mode: read_only}")
    with tiny.sandbox():
        tiny.write("profiles.yml", read_only)
        tiny.revetl(*RUN, "--vars", "{revetl_state: local}")
        assert tiny.results()[SYNC]["counts"]["created"] == 20
        assert (tiny.folder / ".revetl" / "dev.duckdb").exists()

        tiny.write("profiles.yml", usual)
        overlooked = tiny.revetl(*RUN)
        assert (overlooked.exit_code, "state-elsewhere" in overlooked.stderr) == (2, True)
        assert tiny.revetl("state", "move", "--to", "warehouse").exit_code == 1  # asks
        moved = tiny.revetl("state", "move", "--to", "warehouse", "--yes")
        assert (moved.exit_code, "`revetl_state: warehouse`" in moved.stderr) == (0, True)
        tiny.revetl(*RUN)
        assert tiny.results()[SYNC]["status"] == "no-op"

        assert tiny.revetl("state", "move", "--to", "local", "--yes").exit_code == 0
        tiny.write("profiles.yml", read_only)
        tiny.revetl(*RUN, "--vars", "{revetl_state: local, once: more}")
        assert tiny.results()[SYNC]["status"] == "no-op"
    assert tiny.sql("select count(*) from main_revetl.revetl_syncs") == [(0,)]


LOCAL = ("--vars", "{revetl_state: local}")


def test_nothing_is_moved_before_what_was_interrupted_is_recovered(tiny: Tiny) -> None:
    with tiny.sandbox() as sandbox:
        tiny.revetl("run", "--sync", "people_to_crm")
        sandbox.set_faults([{"vendor": "http", "path": "*", "kind": "delay", "seconds": 120}])
        run = tiny.start(*RUN)
        wait_until(lambda: sandbox.fault_state()[0]["hits"] > 0, run)
        run.kill()
        run.communicate(timeout=60)
        sandbox.set_faults([])
        early = tiny.revetl("state", "move", "--to", "local", "--yes")
        assert (early.exit_code, "run-interrupted" in early.stderr, "Moved" in early.stderr) == (2, True, False)
        assert tiny.revetl(*RUN).exit_code == 0  # as the hint says
        assert tiny.revetl("state", "move", "--to", "local", "--yes").exit_code == 0
        tiny.revetl(*RUN, *LOCAL)
        assert tiny.results()[SYNC]["status"] == "no-op"


@pytest.mark.parametrize(("way", "end"), [("local", "local"), ("local", "warehouse"), ("warehouse", "warehouse")])
def test_a_move_that_stopped_in_between_is_finished_before_anything_is_sent(tiny: Tiny, way: str, end: str) -> None:
    run = ("run", "--sync", SYNC, "people_to_crm")
    begun = LOCAL if way == "warehouse" else ()
    source = tiny.folder / (".revetl/dev.duckdb" if begun else "tiny.duckdb")
    held = (
        "insert into main_revetl.revetl_leases select sync, account, 'r', 'elsewhere', now(), now() + interval 1 day"
        f" from main_revetl.revetl_syncs where sync = '{SYNC}'"
    )
    with tiny.sandbox():
        tiny.revetl(*run, *begun)
        with duckdb.connect(str(source)) as connection:
            connection.execute(held)
        half = tiny.revetl("state", "move", "--to", way, "--yes")
        assert (half.exit_code, "Moved `people_to_crm`" in half.stderr) == (1, True)
        for where in ((), LOCAL):
            stopped = tiny.revetl(*run, *where)
            assert (stopped.exit_code, "error[state-elsewhere]" in stopped.stderr) == (2, True)
        with duckdb.connect(str(source)) as connection:
            connection.execute("delete from main_revetl.revetl_leases")
        assert tiny.revetl("state", "move", "--to", end, "--yes").exit_code == 0
        tiny.revetl(*run, "--vars", f"{{revetl_state: {end}, once: more}}")
        assert {item["status"] for item in tiny.results().values()} == {"no-op"}


@pytest.mark.usefixtures("booted_once")
def test_a_dry_run_changes_nothing(tiny: Tiny) -> None:
    tiny.revetl("run", "--sync", "people_to_api")
    rows = tiny.sql("select count(*) from main_revetl.revetl_runs")
    moves = [("move", "--to", place) for place in ("local", "warehouse")]
    for words in (("reset", "people_to_api"), ("baseline", "people_to_crm"), *moves):
        told = tiny.revetl("state", *words, "--dry-run", "--yes")
        assert told.exit_code == 0, told.stderr
        assert "Nothing is changed: this was a dry run" in told.stderr
    assert tiny.sql("select count(*) from main_revetl.revetl_runs") == rows
    assert "1 of 1 NO-OP" in tiny.revetl("run", "--sync", "people_to_api").stderr


def test_what_is_not_known_is_named(tiny: Tiny) -> None:
    nothing = tiny.revetl("state", "show")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "No run has sent anything yet" in nothing.stderr
    insert = "insert into main_revetl.revetl_syncs (sync, account, layout) values"
    tiny.sql(
        *(f"{insert} ('{name}', '{account}', '[')" for name, account in (("former", "1"), (SYNC, "1"), (SYNC, "2")))
    )
    damaged = tiny.revetl("state", "show", "--no-use-colors")
    assert damaged.exit_code == 1
    assert "(not declared any more)" in damaged.stdout
    assert "  damaged   its row in `revetl_syncs` has a layout that cannot be read" in damaged.stdout.splitlines()
    wrong = tiny.revetl("state", "reset", "people_to_apo", "--yes")
    assert wrong.exit_code == 2
    assert "error[unknown-state]: Nothing is known of a sync `people_to_apo`\n" in wrong.stderr
    assert "Did you mean `people_to_api`?" in wrong.stderr
    assert "Say which with --account" in tiny.revetl("state", "reset", SYNC, "--yes").stderr
    account = tiny.revetl("state", "export", SYNC, "--account", "9")
    assert "error[unknown-account]: Sync `people_to_api` has not written to account `9`" in account.stderr
