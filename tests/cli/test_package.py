"""The dbt package in a project, installed by `dbt deps`: the hook, the tests, the map of ids, and the warning."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from revetl_dbt.cli.main import cli

from .tiny import dbt

ROOT = Path(__file__).parents[2]
FILES = {
    "dbt_project.yml": 'name: shop\nprofile: shop\non-run-end: "{{ revetl_dbt.enqueue(results) }}"\n',
    "packages.yml": f"packages: [{{local: '{ROOT}'}}]\n",
    "profiles.yml": "shop: {target: dev, outputs: {dev: {type: duckdb, path: shop.duckdb}}}\n",
    "destinations.yml": "crm: {outputs: {dev: {type: hubspot, sandbox: true}}}\n",
    "models/people.sql": "select i as id, 'p' || i || '@example.com' as email from range(3) as t(i)\n",
    "models/firms.sql": "select 1 as id, 'a@example.com' as email\n",
    "models/plain.sql": "select 1 as id\n",
    "models/ids.sql": "select * from {{ revetl_dbt.id_map('people_to_crm') }} as ids\n",
    "models/models.yml": """\
models:
  - name: people
    config:
      materialized: table
      meta:
        revetl:
          people_to_crm: {destination: crm, object: contacts, key: id, match: {email: email}, fields: {firstname: id}}
    data_tests:
      - revetl_dbt.revetl_key: <<sync: people_to_crm>>
      - revetl_dbt.revetl_healthy: <<sync: people_to_crm, max_age_hours: 24>>
  - name: firms
    config:
      materialized: table
      meta:
        revetl:
          firms_to_crm: {destination: crm, object: contacts, match: {email: email}, fields: {firstname: email}}
    columns:
      - name: id
        data_tests: [{accepted_values: <<values: [2]>>}]
  - name: plain
    columns: [{name: id, data_tests: [unique]}]
""",
}


def with_arguments(text: str) -> str:
    """The text with what stands in `<<>>` as a test's arguments, for which dbt has a key of their own since 1.10."""
    old = tuple(int(part) for part in version("dbt-core").split(".")[:2]) < (1, 10)
    begin, end = ("{", "}") if old else ("{arguments: {", "}}")
    return text.replace("<<", begin).replace(">>", end)


def test_a_project_with_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(with_arguments(text))
    dbt(tmp_path, "deps")
    dbt(tmp_path, "build", expected=1)  # the test of `firms` fails

    def ask(sql: str) -> list[tuple[object, ...]]:
        with duckdb.connect("shop.duckdb") as connection:
            return connection.execute(sql).fetchall()

    queued = dict(ask("select split_part(unique_id, '.', 3), status from main_revetl.revetl_queue"))  # type: ignore[arg-type]
    assert queued == {
        "people": "success",
        "firms": "success",
        "accepted_values_firms_id__2": "fail",
        "revetl_dbt_revetl_key_people_people_to_crm": "pass",
        "revetl_dbt_revetl_healthy_people_24__people_to_crm": "warn",
    }
    assert ask("select count(*) from ids") == [(0,)]
    manifest = json.loads((tmp_path / "target/manifest.json").read_text())
    assert [node for node in manifest["nodes"] if ".revetl_dbt." in node] == []
    assert len(manifest["sources"]) == 8

    result = CliRunner().invoke(cli, ["run", "--queued"])
    assert result.exit_code == 0, result.stderr
    assert "key-untested]: Key `id`" not in result.stderr
    assert "SKIP sync firms_to_crm: test `accepted_values_firms_id__2` failed in `dbt build`" in result.stderr
    states = "select split_part(unique_id, '.', 3), state from main_revetl.revetl_queue where relation is not null"
    assert dict(ask(states)) == {"people": "done", "firms": "skipped"}  # type: ignore[arg-type]

    # The package's file says another version than the command: both are told apart, and the command's macros are used.
    installed = tmp_path / "dbt_packages" / "revetl_dbt"
    installed.unlink()
    for name in ("macros", "models"):
        (installed / name).parent.mkdir(exist_ok=True)
        (installed / name).symlink_to(ROOT / name)
    text = (ROOT / "dbt_project.yml").read_text()
    (installed / "dbt_project.yml").write_text(text.replace("version: 0.1.0", "version: 0.0.9"))
    again = CliRunner().invoke(cli, ["run", "--queued"])
    assert again.exit_code == 0, again.stderr
    assert "warning[package-version]: The dbt package revetl_dbt of the project is version 0.0.9" in again.stderr

    selected = ("--select", "people", "ids", "--vars", "{revetl_tests: true}")
    dbt(tmp_path, "build", *selected)
    assert ask("select count(*) from ids where destination_id is not null and id is not null") == [(3,)]
    results = json.loads((tmp_path / "target/run_results.json").read_text())["results"]
    assert {row["unique_id"].split(".")[2]: row["status"] for row in results if "test." in row["unique_id"]} == {
        "revetl_dbt_revetl_key_people_people_to_crm": "pass",
        "revetl_dbt_revetl_healthy_people_24__people_to_crm": "pass",
    }
