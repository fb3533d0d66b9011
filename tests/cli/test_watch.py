"""`revetl run --queued` and `revetl watch` on a project that dbt built: what is taken, sent and written down."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import os
import signal
import urllib.request

import pytest

from .test_run import heard, said, wait_until
from .tiny import Tiny

QUEUED = ("run", "--queued")
COLUMNS = (
    "invocation_id text, unique_id text, relation text, status text, tested text, command text, target text,"
    " package_version text, started_at timestamp, queued_at timestamp, state text, worker text,"
    " leased_until timestamp, attempts bigint, run_id text, message text, finished_at timestamp"
)


def queue(tiny: Tiny, *rows: tuple[str, str], target: str = "dev") -> None:
    """What dbt's hook would have written; the hook itself is in tests/cli/test_package.py."""
    values = ", ".join(
        f"('i7', '{node}', '{status}', 'build', '{target}', now(), now(), 'waiting', 0)" for node, status in rows
    )
    names = "invocation_id, unique_id, status, command, target, started_at, queued_at, state, attempts"
    tiny.sql(
        "create schema if not exists main_revetl",
        f"create table if not exists main_revetl.revetl_queue ({COLUMNS})",
        f"insert into main_revetl.revetl_queue ({names}) values {values}",
    )


def states(tiny: Tiny) -> dict[str, tuple[str, bool, str | None]]:
    rows = tiny.sql("select unique_id, state, run_id is not null, message from main_revetl.revetl_queue")
    return {row[0].split(".")[2]: row[1:] for row in rows}


@pytest.mark.usefixtures("booted_once")
class TestOnce:
    def test_what_was_built_is_sent_under_the_gate(self, tiny: Tiny) -> None:
        queue(tiny, ("model.tiny.people", "success"), ("model.tiny.repeated", "error"))
        shown = tiny.revetl(*QUEUED, "--dry-run")
        assert shown.exit_code == 0, shown.stderr
        assert "Total: 40 to create" in shown.stdout
        assert {state for state, *_ in states(tiny).values()} == {"waiting"}

        first = tiny.revetl(*QUEUED)
        assert first.exit_code == 0, first.stderr
        lines = said(first.stderr)
        reason = "model `repeated` ended with status error in `dbt build` (--no-gate sends it nevertheless)"
        assert any(line.endswith(f"SKIP sync repeated_to_api: {reason} [SKIP]") for line in lines), lines
        assert tiny.results()["people_to_crm"]["counts"]["created"] == 20
        assert states(tiny) == {"people": ("done", True, None), "repeated": ("skipped", True, reason)}
        assert tiny.sql("select distinct dbt_invocation_id from main_revetl.revetl_runs") == [("i7",)]

        again = tiny.revetl(*QUEUED)
        assert (again.exit_code, "sync people_to_crm" in again.stderr) == (0, False)
        assert "Nothing waits in the queue of target 'dev'" in again.stderr

    def test_what_fails_is_said_and_written_down(self, tiny: Tiny) -> None:
        queue(tiny, ("model.tiny.people", "success"))
        with tiny.sandbox() as sandbox:
            sandbox.set_faults([{"vendor": "http", "path": "*", "kind": "status", "status": 400}])
            assert tiny.revetl(*QUEUED, "--retry-attempts", "1").exit_code == 1
        assert states(tiny) == {"people": ("failed", True, None)}

    def test_what_another_run_sends_stays_in_the_queue(self, tiny: Tiny) -> None:
        """That run may have read the model before it was built anew."""
        queue(tiny, ("model.tiny.people", "success"))
        with tiny.sandbox() as sandbox:
            later = tuple(range(5, 21))
            sandbox.set_faults([{"vendor": "http", "path": "*", "kind": "delay", "seconds": 120, "nth": later}])
            other = tiny.start("run", "--sync", "people_to_api")
            try:
                wait_until(lambda: bool(sandbox.tally()), other)
                held = tiny.revetl(*QUEUED)
                assert held.exit_code == 1
                assert "Left in the queue, as another run sends syncs of them: people" in held.stderr
                sandbox.set_faults([])
                _, told = other.communicate(timeout=60)
            finally:
                other.kill()
            assert other.returncode == 0, told
            assert tiny.revetl(*QUEUED).exit_code == 0
        assert states(tiny) == {"people": ("done", True, None)}

    def test_watching_goes_with_the_queue(self, tiny: Tiny) -> None:
        assert tiny.revetl("run", "--watch").exit_code == 2
        assert tiny.revetl(*QUEUED, "--watch", "--dry-run").exit_code == 2

    def test_entries_of_another_target_are_left_and_named(self, tiny: Tiny) -> None:
        queue(tiny, ("model.tiny.people", "success"), target="default")
        result = tiny.revetl(*QUEUED)
        assert result.exit_code == 0
        assert "1 entries wait for target `default`; this worker takes those of `dev` (--target)" in result.stderr
        assert states(tiny) == {"people": ("waiting", False, None)}

    def test_a_selection_is_refused(self, tiny: Tiny) -> None:
        result = tiny.revetl(*QUEUED, "--sync", "people_to_crm")
        assert result.exit_code == 2
        assert "it goes without --select" in result.stderr

    def test_a_webhook_needs_a_secret(self, tiny: Tiny) -> None:
        result = tiny.revetl("watch", "--webhook", REVETL_WEBHOOK_SECRET="")
        assert result.exit_code == 2
        assert "error[webhook-secret-missing]" in result.stderr


def call(url: str, secret: str) -> int:
    """dbt's webhook, as it calls."""
    now = dt.datetime.now(dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
    body = json.dumps({"eventId": "wev_1", "eventType": "job.run.completed", "timestamp": now, "data": {}}).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    request = urllib.request.Request(url, body, {"Authorization": signature})
    with urllib.request.urlopen(request, timeout=10) as response:
        return int(response.status)


def test_a_worker_takes_what_comes_and_ends_in_order(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVETL_WEBHOOK_SECRET", "s3cret")
    with tiny.sandbox() as sandbox:
        process = tiny.start("watch", "--debug", "--interval", "3600", "--webhook", "--port", "0")
        try:
            url = heard(process, r"dbt's webhook may call (http://127\.0\.0\.1:\d+/)")[1]
            heard(process, "Looked into the queue")
            queue(tiny, ("model.tiny.people", "success"))
            later = tuple(range(5, 21))
            sandbox.set_faults([{"vendor": "http", "path": "*", "kind": "delay", "seconds": 120, "nth": later}])
            assert call(url, "s3cret") == 202
            wait_until(lambda: bool(sandbox.tally()), process)
            os.kill(process.pid, signal.SIGTERM)
            heard(process, "Stopping as soon as the batches in flight are recorded")
            sandbox.set_faults([])  # lets go of the requests that it holds
            _, rest = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 0, rest
        # What it did not come to is nobody's, and the next takes it.
        assert states(tiny) == {"people": ("waiting", False, None)}
        assert tiny.revetl(*QUEUED).exit_code == 0
        assert states(tiny) == {"people": ("done", True, None)}
