"""`revetl debug` and `revetl sandbox` on a project that dbt built."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from revetl_dbt.sandbox import SandboxClient

from .tiny import FILES, Tiny


class TestDebug:
    def test_everything_is_fine(self, tiny: Tiny) -> None:
        result = tiny.revetl("debug", "--no-use-colors")
        assert result.exit_code == 0, result.stdout
        for line in (
            "  dbt_project.yml and manifest.json: [OK found and valid]",
            "    profile `tiny`, target `dev` in",
            "  connection: [OK connection ok]",
            "  state in schema `main_revetl`: [OK writable]",
            "  crm (hubspot, sandbox): [OK connection ok]",
            "  people_to_crm: [OK columns and fields found]",
        ):
            assert line in result.stdout
        assert result.stdout.endswith("\nAll checks passed!\n")

    def test_every_problem_is_shown(self, tiny: Tiny) -> None:
        tiny.write("sandbox/hubspot.yml", "")
        tiny.sql("alter table repeated rename column id to other")
        result = tiny.revetl("debug")
        assert result.exit_code == 1
        assert "  people_to_crm: [ERROR]\n    error[unknown-field]" in result.stdout
        assert "  repeated_to_api: [ERROR]" in result.stdout
        assert "  people_to_api: [OK columns and fields found]" in result.stdout
        assert result.stdout.endswith("\n2 checks failed\n")

    def test_a_destination_that_refuses_the_secret(self, tiny: Tiny) -> None:
        with tiny.sandbox() as sandbox:
            environ = {
                "CRM_URL": sandbox.url("hubspot"),
                "DBT_ENV_SECRET_CRM": "pat-wrong",
                "API_URL": "http://[::1]:9",
            }
            result = tiny.revetl("debug", "--target", "prod", **environ)
        assert result.exit_code == 1
        assert "  crm (hubspot): [ERROR]" in result.stdout
        assert "  people_to_crm: SKIP its destination does not work" in result.stdout
        assert "pat-wrong" not in result.stdout

    def test_the_warehouse_is_checked_though_declarations_are_wrong(self, tiny: Tiny) -> None:
        tiny.write("destinations.yml", FILES["destinations.yml"].replace("sandbox: true", "sandbocks: true"))
        result = tiny.revetl("debug")
        assert result.exit_code == 1
        assert "  destinations.yml and the syncs: [ERROR]" in result.stdout
        assert "  connection: [OK connection ok]" in result.stdout

    def test_no_project(self, tiny: Tiny) -> None:
        (tiny.folder / "target" / "manifest.json").unlink()
        result = tiny.revetl("debug")
        assert result.exit_code == 1
        assert "error[manifest-missing]" in result.stdout


class TestSandbox:
    def test_it_runs_until_interrupted_and_serves_runs(self, tiny: Tiny) -> None:
        process = tiny.start("sandbox")
        assert process.stdout is not None
        head = process.stdout.readline()
        assert head.startswith("Sandbox at http://127.0.0.1:")
        client = SandboxClient.find(tiny.state / "sandbox")
        assert client is not None
        assert tiny.revetl("run", "--sync", "people_to_crm").exit_code == 0
        assert any("/batch/" in row[1] for row in client.tally())

        again = tiny.revetl("sandbox")
        assert (again.exit_code, again.stdout) == (0, f"Sandbox at {client.base_url}, already running\n")
        emptied = tiny.revetl("sandbox", "--reset")
        assert emptied.stdout == f"Sandbox at {client.base_url}, already running, emptied\n"
        assert client.tally() == []

        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(20) == 0
        assert f"  hubspot: {client.base_url}/hubspot" in rest
        assert SandboxClient.find(tiny.state / "sandbox") is None

    def test_a_setup_without_its_vendor(self, tiny: Tiny) -> None:
        result = tiny.revetl("sandbox", "--setup", "hubspot")
        assert result.exit_code == 2
        assert "expected: VENDOR=FILE" in result.stderr

    def test_a_setup_file_for_a_vendor_that_takes_none(self, tiny: Tiny) -> None:
        setup = Path(os.devnull)
        result = tiny.revetl("sandbox", "--setup", f"http={setup}")
        assert result.exit_code == 1
        assert "takes no setup file" in result.stderr
