from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from revetl_dbt.engine.guards import Violation
from revetl_dbt.engine.sending import Totals
from revetl_dbt.errors import InputError
from revetl_dbt.project.options import Options
from revetl_dbt.report import artifacts, plan
from revetl_dbt.report.redact import Redactor
from revetl_dbt.warehouse.ledger import Group

from .makers import preview, result, sync

SCHEMAS = Path(artifacts.__file__).parent / "schemas"
counts = st.integers(0, 10**6)


def schema(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((SCHEMAS / name).read_text(encoding="utf-8"))
    return content


def about(urn: str) -> dict[str, Any]:
    return artifacts.metadata(urn, "r1", "dev", None)


@pytest.mark.parametrize(
    ("name", "urn"), [("run-results-v1.json", artifacts.RUN_RESULTS), ("plan-v1.json", artifacts.PLAN)]
)
def test_the_schemas_are_schemas_and_go_by_their_urn(name: str, urn: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))
    assert schema(name)["$id"] == urn
    assert (
        about(urn)["schema_version"] == schema(name)["properties"]["metadata"]["properties"]["schema_version"]["const"]
    )


@given(counts, counts, counts, counts, counts, counts, counts)
def test_what_was_planned_is_accounted_for(
    created: int, updated: int, rejected: int, unknown: int, held: int, guarded: int, rest: int
) -> None:
    totals = Totals(created=created, updated=updated, rejected=rejected, unknown=unknown)
    planned = totals.done + held + guarded + rest
    given = result(totals=totals, planned=planned, held=held, guarded=guarded)
    content = artifacts.run_results(about(artifacts.RUN_RESULTS), [given], {}, 1.0, {}, lambda sync, text: text)
    said = content["results"][0]["counts"]
    assert planned == sum(said[name] for name in ("accepted", "rejected", "held", "skipped", "not_attempted"))
    assert said["accepted"] == sum(said[name] for name in ("created", "updated", "deleted", "accepted_unchanged"))
    jsonschema.validate(content, schema("run-results-v1.json"))


def test_others_words_are_masked() -> None:
    totals = Totals(rejected=1, reasons=Counter({"bad jane": 1}), hidden={"bad jane": "about jane"})
    guard = Violation("max_deletes", "too many", removals_only=True)
    given = result(totals=totals, status="partial", message="jane", violations=[guard])
    content = artifacts.run_results(
        about(artifacts.RUN_RESULTS), [given], {}, 1.0, {}, lambda sync, text: text.replace("jane", "#")
    )
    assert "jane" not in json.dumps(content)
    assert content["results"][0]["reasons"] == [{"code": "bad #", "rows": 1, "example": "about #"}]
    assert content["results"][0]["guards"] == [{"guard": "max_deletes", "reason": "too many", "holds": "removals"}]


def test_a_plan_that_failed_and_one_that_did_not() -> None:
    items = [
        preview(Group("create", None, 1, 1, 1), Group("invalid", "null_key", 2, 2, 3)),
        preview(failed="the secret hush"),
        preview(skipped="paused"),
    ]
    redactor = Redactor(["hush"], show_values=True)
    results = [plan.as_json(item, redactor, show_values=False) for item in items]
    content = {"metadata": about(artifacts.PLAN), "results": results, "args": {}}
    jsonschema.validate(content, schema("plan-v1.json"))
    assert [item["status"] for item in results] == ["planned", "error", "skipped"]
    assert results[1]["message"] == "the secret *****"
    assert results[0]["unique_id"] == f"revetl.shop.{sync().name}"


def test_arguments_hold_no_values_of_variables_and_no_secrets() -> None:
    options = Options(vars={"token": "hush"}, project_dir=Path("/a/hush"), select=("x", "hush"))
    said = artifacts.arguments("run", options, Redactor(["hush"], show_values=True), release=["y"])
    assert "hush" not in json.dumps(said)
    assert (said["which"], said["vars"], said["release"], said["select"]) == ("run", ["token"], ["y"], ["x", "*****"])


def test_custom_environment_is_kept_as_dbt_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBT_ENV_CUSTOM_ENV_JOB", "nightly")
    assert about(artifacts.PLAN)["env"]["JOB"] == "nightly"


class TestFiles:
    def test_a_file_is_replaced_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "run_results.json"
        artifacts.write(path, {"a": "ä"})
        artifacts.write(path, {"b": 1})
        assert json.loads(path.read_text()) == {"b": 1}
        assert [item.name for item in tmp_path.iterdir()] == ["run_results.json"]

    def test_a_failed_write_keeps_the_former_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "plan.json"
        artifacts.write(path, {"a": 1})
        monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(InputError, match="No space left on device"):
            artifacts.write(path, {"a": 2})
        assert json.loads(path.read_text()) == {"a": 1}

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "target").write_text("")
        with pytest.raises(InputError, match="target-unwritable"):
            artifacts.prepare_folder(tmp_path / "target" / "revetl")
