"""`revetl build` and `revetl retry` after it: dbt builds, and what it built is sent."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from revetl_dbt.cli.build import _for_dbt

from .tiny import Tiny

pytestmark = pytest.mark.usefixtures("booted_once")
GOOD = "select 1 as id, 'a@example.com' as email, 'A' as full_name, 1 as seats\n"


@pytest.fixture
def alone(tiny: Tiny) -> Tiny:
    """Only the model `people`, with its three syncs, and one more that cannot be built."""
    tiny.write("models/repeated.sql", "select 1 as id, nonsense( as x from {{ ref('people') }}\n")
    tiny.write("models/people.sql", GOOD)
    return tiny


def fake_dbt(folder: Path, body: str) -> str:
    """A program that stands for dbt, to see what it is given."""
    path = folder / "fake_dbt"
    path.write_text(
        f"#!{sys.executable}\nimport json, sys, time\njson.dump(sys.argv[1:], open('given.json', 'w'))\n{body}"
    )
    path.chmod(0o755)
    return str(path)


def test_what_was_built_is_sent_and_the_exit_code_is_the_worse(alone: Tiny, capfd: pytest.CaptureFixture[str]) -> None:
    with alone.sandbox():
        built = alone.revetl("build", "--no-use-colors")
        assert built.exit_code == 1
        assert "Completed with 1 error" in capfd.readouterr().out  # dbt's own words, where dbt says them
        results = {name: result["status"] for name, result in alone.results().items()}
        assert results == {
            "people_to_crm": "success",
            "people_to_api": "success",
            "paused_to_api": "skipped",
            "repeated_to_api": "skipped",
        }
        assert (
            "model `repeated` ended with status error in `dbt build`" in alone.results()["repeated_to_api"]["message"]
        )

        # Nothing has changed but the model that failed: dbt's retry builds it, its sync is the only one that runs.
        alone.write("models/repeated.sql", "select 1 as id\n")
        shown = alone.revetl("retry", "--dry-run")
        assert shown.stderr.count("Retry ") == 1
        assert "Retry repeated_to_api: the last run left it out" in shown.stderr, shown.stderr
        retried = alone.revetl("retry", "--no-use-colors")
        assert retried.exit_code == 0, retried.stderr
        assert "1 of 3 OK created sql table model main.repeated" in capfd.readouterr().out
        assert {name: result["status"] for name, result in alone.results().items()} == {"repeated_to_api": "success"}
        again = alone.revetl("retry")
        assert again.exit_code == 0
        assert "Nothing to retry of the last command, `revetl retry --target dev`" in again.stderr


def test_only_what_was_selected_is_built_and_sent(alone: Tiny) -> None:
    with alone.sandbox():
        built = alone.revetl("--quiet", "build", "--select", "people", "--full-refresh", "--sync", "people_to_api")
    assert built.exit_code == 0, built.stderr
    assert list(alone.results()) == ["people_to_api"]
    assert alone.artifact("run_results", "run-results-v1")["args"]["full_refresh"] is False
    assert built.stderr == ""


def test_every_flag_goes_to_dbt_but_our_own(tiny: Tiny) -> None:
    program = fake_dbt(tiny.folder, "sys.exit(2)\n")
    ours = [
        "--sync",
        "people_to_api",
        "x",
        "--no-gate",
        "--retry-attempts",
        "3",
        "--release=a",
        "--dbt-executable",
        program,
    ]
    flags = [
        "--select",
        "a",
        "b+",
        "-x",
        "--vars",
        "{a: 1}",
        "--resource-type",
        "model",
        "test",
        "--empty",
        "--log-path",
        "l",
    ]
    result = tiny.revetl(
        "--no-quiet", "--log-level", "warn", "build", *flags, *ours, "--indirect-selection", "cautious"
    )
    given = json.loads((tiny.folder / "given.json").read_text())
    assert given == ["--log-level", "warn", "--no-quiet", "build", *flags, "--indirect-selection", "cautious"]
    assert result.exit_code == 2
    assert (
        "error[dbt-failed]: `dbt build` ended with exit code 2 before it built anything: nothing is sent"
        in result.stderr
    )


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("--destination a b --select c", "--select c"),
        ("--release a --select c", "--select c"),
        ("--release=a --sync=b c --select c", "--select c"),
        ("--dry-run --gate --show-values -s a", "-s a"),
        ("--retry-attempts 3 --threads 2", "--threads 2"),
    ],
)
def test_our_own_words_are_left_out(words: str, left: str) -> None:
    assert " ".join(_for_dbt(words.split())) == left


def test_a_dry_run_builds_nothing(tiny: Tiny) -> None:
    (tiny.folder / "target" / "run_results.json").unlink()
    with tiny.sandbox():
        result = tiny.revetl("build", "--dry-run", "--select", "people", "--dbt-executable", fake_dbt(tiny.folder, ""))
    assert result.exit_code == 0, result.stderr
    assert "`dbt build --select people` is not run" in result.stderr
    assert "people_to_api" in result.stdout
    assert not (tiny.folder / "given.json").exists()
    assert not (tiny.state / "run_results.json").exists()


def test_fail_fast_sends_nothing_after_a_failure(alone: Tiny) -> None:
    with alone.sandbox():
        result = alone.revetl("build", "--fail-fast")
    assert result.exit_code == 1
    assert {item["status"] for item in alone.results().values()} == {"skipped"}
    assert "--fail-fast is on" in result.stderr


def test_without_run_results_nothing_is_sent(tiny: Tiny) -> None:
    result = tiny.revetl("build", "--dbt-executable", fake_dbt(tiny.folder, ""))
    assert (result.exit_code, "error[run-results-missing]" in result.stderr) == (2, True)
    missing = tiny.revetl("build", "--dbt-executable", "/nowhere/dbt")
    assert (missing.exit_code, "error[dbt-missing]: Cannot start `/nowhere/dbt`" in missing.stderr) == (2, True)


def test_a_signal_is_for_dbt_and_nothing_is_sent(tiny: Tiny) -> None:
    body = "try:\n    open('ready', 'w').close(); time.sleep(60)\nexcept KeyboardInterrupt:\n    sys.exit(1)\n"
    process = tiny.start("build", "--dbt-executable", fake_dbt(tiny.folder, body))
    deadline = time.monotonic() + 60
    while not (tiny.folder / "ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "`dbt build` was stopped: nothing is sent" in said


class TestOptionsOfTheLastCommand:
    def test_they_hold_again(self, tiny: Tiny) -> None:
        broken = [{"vendor": "http", "kind": "status", "status": 403}]
        with tiny.sandbox() as sandbox:
            sandbox.set_faults(broken)
            tiny.revetl("run", "--sync", "people_to_api", "--full-refresh", "--no-gate", "--quiet")
            sandbox.set_faults([])
            tiny.revetl("retry", "--quiet")
            args = tiny.artifact("run_results", "run-results-v1")["args"]
        assert (args["which"], args["full_refresh"], args["gate"], args["target"]) == ("retry", True, False, "dev")
        assert tiny.results()["people_to_api"]["counts"]["created"] == 20

    def test_what_failed_before_that_is_left_to_a_selection(self, tiny: Tiny) -> None:
        with tiny.sandbox() as sandbox:
            sandbox.set_faults([{"vendor": "http", "kind": "status", "status": 403}])
            tiny.revetl("run", "--sync", "people_to_api", "--quiet")
            sandbox.set_faults([])
            tiny.revetl("run", "--sync", "people_to_crm", "--quiet")
            nothing = tiny.revetl("retry")
            assert (
                "Nothing to retry of the last command, `revetl run --target dev`; --sync looks at others"
                in nothing.stderr
            )
            assert "Retry people_to_api: its last run failed" in tiny.revetl("retry", "--sync", "people_to_api").stderr

    def test_values_of_variables_are_not_kept_and_asked_for(self, tiny: Tiny) -> None:
        with tiny.sandbox():
            tiny.revetl("run", "--sync", "people_to_api", "--vars", "{day: 2}", "--quiet")
            refused = tiny.revetl("retry")
            assert (refused.exit_code, "error[vars-missing]" in refused.stderr) == (2, True)
            assert tiny.revetl("retry", "--vars", "{day: 2}", "--quiet").exit_code == 0
