"""`revetl retry` on a project that dbt built: it runs what did not come through, and says why."""

from __future__ import annotations

import sqlite3

import pytest

from revetl_dbt.sandbox import Sandbox

from .tiny import Tiny

pytestmark = pytest.mark.usefixtures("booted_once")

POISON = {"vendor": "http", "kind": "poison", "field": "name", "equals": "Name 3", "message": "not that one"}


def requests(sandbox: Sandbox) -> int:
    with sqlite3.connect(sandbox.state_dir / "sandbox.sqlite") as connection:
        return int(connection.execute("select count(*) from requests where path like '%/people/%'").fetchone()[0])


def test_only_what_did_not_come_through_is_run_again(tiny: Tiny) -> None:
    assert "Nothing to retry" in tiny.revetl("retry").stderr
    tiny.sql("create table was as select * from people")
    with tiny.sandbox() as sandbox:
        sandbox.set_faults([POISON])
        tiny.revetl("run", "--quiet", "--no-gate")
        tiny.sql("update people set full_name = 'New' where id = 5")
        looked = tiny.revetl("retry", "--dry-run")
        assert "Retry people_to_api: its last run was partial; 1 rejected" in looked.stderr
        assert "people_to_crm" not in looked.stderr + looked.stdout

        sandbox.set_faults([POISON])
        once_more = tiny.revetl("retry", "--quiet")
        assert once_more.exit_code == 1
        assert list(tiny.results()) == ["people_to_api"]
        counts = tiny.results()["people_to_api"]["counts"]
        assert (counts["updated"], counts["rejected"]) == (1, 1)  # the good rows go

        # After too many attempts it is held; `retry` releases it.
        tiny.sql("update main_revetl.revetl_runs set status = 'success'")
        ((table,),) = tiny.sql(
            "select table_name from information_schema.tables where table_name like 'rejected__people_to_api%'"
        )
        tiny.sql(f"update main_revetl.{table} set _attempts = 10")
        before = requests(sandbox)
        held = tiny.revetl("run", "--sync", "people_to_api")
        assert (held.exit_code, requests(sandbox)) == (0, before)
        assert "until they change, or revetl retry --sync people_to_api sends them again" in held.stderr
        sandbox.set_faults([])
        done = tiny.revetl("retry")
        assert "Retry people_to_api: 1 rejected and held" in done.stderr
        assert done.exit_code == 0
        assert tiny.results()["people_to_api"]["counts"]["created"] == 1
    commands = [
        command for (command,) in tiny.sql("select command from main_revetl.revetl_runs where sync = 'people_to_api'")
    ]
    assert sorted(commands) == ["retry", "retry", "run", "run"]


def test_syncs_that_were_left_out_or_failed_before_an_account_was_known(tiny: Tiny) -> None:
    with tiny.sandbox() as sandbox:
        sandbox.set_faults([{"vendor": "http", "kind": "status", "status": 403}])
        tiny.revetl("run", "--sync", "people_to_api", "repeated_to_api", "--quiet", "--no-gate", "--fail-fast")
        ended = dict(tiny.sql("select sync, status from main_revetl.revetl_runs"))
        assert sorted(ended.values()) == ["error", "skipped"]
        sandbox.set_faults([])
        retried = tiny.revetl("retry", "--no-gate")
    words = {"error": "its last run failed", "skipped": "the last run left it out"}
    for sync, status in ended.items():
        assert f"Retry {sync}: {words[status]}" in retried.stderr
    assert sorted(tiny.results()) == ["people_to_api", "repeated_to_api"]
