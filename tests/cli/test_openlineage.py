"""OpenLineage events of a run, as OpenLineage's own client writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.report import openlineage

from .tiny import Tiny

pytestmark = pytest.mark.usefixtures("booted_once")


def events(tmp_path: Path) -> list[dict[str, Any]]:
    files = sorted(tmp_path.glob("events*"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture
def to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    config = tmp_path / "openlineage.yml"
    config.write_text(f"transport: {{type: file, log_file_path: {tmp_path / 'events.jsonl'}, append: true}}\n")
    monkeypatch.setenv("OPENLINEAGE_CONFIG", str(config))
    monkeypatch.setenv(openlineage.VARIABLE, "1")
    return tmp_path


def test_column_to_field_and_rows(tiny: Tiny, to_a_file: Path) -> None:
    tiny.revetl("run", "--sync", "people_to_crm", "paused_to_api")
    start, end = events(to_a_file)
    assert [start["eventType"], end["eventType"]] == ["START", "COMPLETE"]
    assert start["run"]["runId"] == end["run"]["runId"]
    assert (end["job"]["namespace"], end["job"]["name"]) == ("tiny", "people_to_crm")
    assert end["inputs"][0]["namespace"].startswith("duckdb://")
    assert end["inputs"][0]["name"] == "tiny.main.people"
    (output,) = end["outputs"]
    assert output["name"] == "contacts"
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 20
    fields = output["facets"]["columnLineage"]["fields"]
    froms = {name: [item["field"] for item in field["inputFields"]] for name, field in fields.items()}
    assert froms == {"email": ["email"], "firstname": ["full_name"], "tiny_id": ["id"], "seats": ["seats"]}
    assert output["facets"]["columnLineage"]["_schemaURL"].startswith("https://openlineage.io/spec/facets/")


def test_a_failure_is_an_event(tiny: Tiny, to_a_file: Path) -> None:
    tiny.sql("drop table people")
    assert tiny.revetl("run", "--sync", "people_to_api").exit_code == 1
    (_, end) = events(to_a_file)
    assert end["eventType"] == "FAIL"
    assert "is not in the warehouse" in end["run"]["facets"]["errorMessage"]["message"]


def test_events_that_do_not_arrive_fail_nothing(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "openlineage.yml"
    config.write_text("transport: {type: http, url: 'http://127.0.0.1:9', retry: {total: 0}}\n")
    monkeypatch.setenv("OPENLINEAGE_CONFIG", str(config))
    monkeypatch.setenv(openlineage.VARIABLE, "yes")
    done = tiny.revetl("run", "--sync", "people_to_api")
    assert done.exit_code == 0
    assert "OpenLineage events could not be delivered" in done.stderr


def test_the_client_must_be_there(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(openlineage.VARIABLE, "1")
    monkeypatch.setattr(openlineage, "find_spec", lambda name: None)
    refused = tiny.revetl("run", "--sync", "people_to_api")
    assert refused.exit_code == 2
    assert "extra-missing" in refused.stderr
