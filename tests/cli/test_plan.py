"""`revetl plan` on a project that dbt built: the text, the artifact, the exit codes, and what it leaves behind."""

from __future__ import annotations

import json
import re

import pytest

from .tiny import FILES, Tiny

CRM = ("--sync", "people_to_crm")
TEXT = """\
people_to_crm: people -> crm.contacts (upsert)

  + id 21
    fields: email, firstname, tiny_id, seats

  ~ id 1
      seats  (hidden) -> (hidden)
  ~ id 2
      seats  null -> (hidden)

  - id 3  (archive)

  ! id null  (null key)

  Changed fields: seats (2)

  Plan: 1 to create, 2 to update, 1 to archive, 17 unchanged, 1 invalid
  About 3 requests, 1 second

Values are hidden; --show-values shows them.
"""
SHOWN = """\
  + id 21
      email      "a@b.io"
      firstname  "Ann \\u202e"
      tiny_id    "21"
      seats      4

  ~ id 1
      seats  1 -> 90
  ~ id 2
      seats  null -> 91
"""


@pytest.fixture
def changed(tiny: Tiny) -> Tiny:
    """A project of which the CRM has an older state than the warehouse."""
    tiny.sql("update people set seats = null where id = 2")
    assert tiny.revetl("run", *CRM).exit_code == 0
    tiny.sql(
        "update people set seats = 89 + id where id in (1, 2)",
        "delete from people where id = 3",
        "insert into people values (21, 'a@b.io', 'Ann \u202e', 4), (null, 'c@d.io', 'Cy', 5)",
    )
    return tiny


class TestText:
    def test_what_a_run_would_do(self, changed: Tiny) -> None:
        result = changed.revetl("plan", *CRM)
        assert result.exit_code == 0
        assert result.stdout == TEXT
        assert "Running with revetl=" in result.stderr

    def test_values_on_request(self, changed: Tiny) -> None:
        result = changed.revetl("plan", *CRM, "--show-values")
        assert SHOWN in result.stdout
        assert "Values are hidden" not in result.stdout

    def test_a_limit_of_examples(self, changed: Tiny) -> None:
        one = changed.revetl("plan", *CRM, "--limit", "1").stdout
        assert "  ~ 1 more to update\n" in one
        none = changed.revetl("plan", *CRM, "--limit", "0").stdout
        assert (
            "  + 1 row to create\n\n  ~ 2 rows to update\n\n  - 1 row to archive\n\n  ! 1 row cannot be sent\n" in none
        )

    def test_a_plan_is_what_the_run_does_and_leaves_nothing_behind(self, changed: Tiny) -> None:
        tables = "select table_name from information_schema.tables where table_name like 'preview%'"
        changed.revetl("plan", *CRM)
        assert changed.sql(tables) == []
        planned = changed.plan()["people_to_crm"]["operations"]
        changed.revetl("run", *CRM)
        counts = changed.results()["people_to_crm"]["counts"]
        assert (counts["created"], counts["updated"], counts["deleted"]) == (1, 2, 1)
        assert planned == {"create": 1, "update": 2, "delete": 1, "clear": 0, "invalid": 1, "held": 0}
        after = changed.revetl("plan", *CRM)
        assert "have 20 rows as they are, apart from 1 row that cannot be sent." in after.stdout

    def test_nothing_to_do(self, tiny: Tiny) -> None:
        tiny.revetl("run", *CRM)
        result = tiny.revetl("plan", *CRM, "--detailed-exitcode")
        assert result.exit_code == 0
        assert result.stdout == "No changes. The destinations of target `dev` have 20 rows as they are.\n"

    def test_skipped_syncs_are_not_called_unchanged(self, tiny: Tiny) -> None:
        result = tiny.revetl("plan", "--sync", "repeated_to_api", "paused_to_api")
        assert result.stdout.endswith("\nNothing was planned: 2 syncs skipped.\n")
        comment = tiny.revetl("plan", "--sync", "repeated_to_api", "--format", "markdown").stdout
        reason = "test `unique_repeated_id` failed in `dbt build` (--no-gate sends it nevertheless)"
        assert comment.endswith(f"Nothing to send.\n\n- Skipped `repeated_to_api`: {reason}\n")

    @pytest.mark.parametrize("odd", ["cast('[1e400]' as json)", "cast(repeat('[', 3000) || repeat(']', 3000) as json)"])
    def test_a_value_that_cannot_be_sent_can_be_looked_at(self, tiny: Tiny, odd: str) -> None:
        tiny.sql(f"create or replace table people as select 1 as id, 'a@b.io' as email, {odd} as full_name, 1 as seats")
        planned = tiny.revetl("plan", "--sync", "people_to_api", "--show-values")
        assert "Plan: 1 to create" in planned.stdout, planned.stderr
        sent = tiny.revetl("run", "--sync", "people_to_api")
        assert "1 x value: field `name`: " in sent.stderr

    def test_full_refresh_plans_every_row(self, tiny: Tiny) -> None:
        tiny.revetl("run", *CRM)
        result = tiny.revetl("plan", *CRM, "--full-refresh")
        assert "Plan: 20 to update" in result.stdout

    def test_broken_guards_and_skipped_syncs_are_told(self, tiny: Tiny) -> None:
        tiny.revetl("run")
        tiny.sql("delete from people where id > 2")
        result = tiny.revetl("plan", "--no-use-colors")
        broken = "Guard `max_deletes` is broken: 18 rows of 20, more than 50%; the removals are held"
        assert f"{broken} (--release people_to_crm)" in result.stdout
        assert "skipped: paused (`enabled: false`)" in result.stdout
        assert "skipped: test `unique_repeated_id` failed in `dbt build`" in result.stdout
        assert "\nTotal: 36 to delete, 4 unchanged\n" in result.stdout
        assert tiny.plan()["people_to_crm"]["guards"][0]["guard"] == "max_deletes"


class TestExitCodes:
    def test_changes_are_told_by_the_exit_code_on_request(self, tiny: Tiny) -> None:
        assert tiny.revetl("plan", *CRM).exit_code == 0
        assert tiny.revetl("plan", *CRM, "--detailed-exitcode").exit_code == 2

    def test_a_plan_that_fails(self, tiny: Tiny) -> None:
        tiny.write("sandbox/hubspot.yml", "")
        result = tiny.revetl("plan", "--sync", "people_to_crm", "people_to_api", "--detailed-exitcode")
        assert result.exit_code == 1
        assert "error[unknown-field]: `crm.contacts` has no field `tiny_id`" in result.stdout
        assert "people_to_api: people -> api.people (upsert)" in result.stdout
        assert result.stdout.endswith("1 plan failed.\nValues are hidden; --show-values shows them.\n")
        assert tiny.plan()["people_to_crm"]["status"] == "error"

    def test_bad_sql_names_the_declaration(self, tiny: Tiny) -> None:
        text = FILES["models/models.yml"].replace("cast(id as varchar)", "cast(idd as varchar)")
        tiny.write("models/models.yml", text)
        manifest = tiny.folder / "target" / "manifest.json"
        manifest.write_text(manifest.read_text().replace("cast(id as varchar)", "cast(idd as varchar)"))
        result = tiny.revetl("plan", *CRM)
        assert result.exit_code == 1
        assert "error[sql-error]" in result.stdout
        assert re.search(r"models/models\.yml:\d+", result.stdout)
        assert '"idd"' in result.stdout  # quoted by the warehouse, but a word of the declaration


class TestArtifact:
    def test_json_is_the_artifact(self, changed: Tiny) -> None:
        result = changed.revetl("plan", *CRM, "--output", "json")
        assert json.loads(result.stdout) == changed.artifact("plan", "plan-v1")
        item = changed.plan()["people_to_crm"]
        assert (item["model_rows"], item["ledger_rows"], item["unchanged"]) == (21, 20, 17)
        assert item["changed_fields"] == {"seats": 2}
        assert item["reasons"] == [{"operation": "invalid", "reason": "null_key", "rows": 1}]
        assert item["requests"] == 3

    def test_values_are_in_the_artifact_only_on_request(self, changed: Tiny) -> None:
        changed.revetl("plan", *CRM)
        assert "a@b.io" not in (changed.state / "plan.json").read_text()
        changed.revetl("plan", *CRM, "--show-values")
        create = next(e for e in changed.plan()["people_to_crm"]["examples"] if e["operation"] == "create")
        assert {"name": "email", "old": None, "new": "a@b.io"} in create["fields"]

    def test_the_digest_tells_plans_apart(self, changed: Tiny) -> None:
        def digest() -> str:
            changed.revetl("plan", *CRM)
            return str(changed.plan()["people_to_crm"]["digest"])

        first = digest()
        assert digest() == first
        changed.sql("update people set seats = 92 where id = 2")  # as many changes, of the same field
        assert digest() != first
        changed.sql("update people set seats = 91 where id = 2")
        assert digest() == first

    def test_no_artifact_on_request(self, tiny: Tiny) -> None:
        tiny.revetl("plan", *CRM, "--no-write-json")
        assert not (tiny.state / "plan.json").exists()
