"""The examples of docs/examples run by their schedulers, on a project of their own: `make test-schedulers`.

Runs in the environment `.venv-schedulers`. Each example is its file with the folder of the project put in; dbt and
revetl are real, the tool is the sandbox, and nothing leaves this machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
FOLDER = "/srv/analytics"
FILES = {
    "dbt_project.yml": 'name: analytics\nprofile: analytics\non-run-end: "{{ revetl_dbt.enqueue(results) }}"\n',
    "packages.yml": f"packages: [{{local: '{ROOT}'}}]\n",
    "profiles.yml": f"analytics: {{target: prod, outputs: {{prod: {{type: duckdb, path: {FOLDER}/prod.duckdb}}}}}}\n",
    "destinations.yml": "crm: {outputs: {prod: {type: hubspot, sandbox: true}}}\n",
    "models/people.sql": "select i as id, 'p' || i || '@example.com' as email from range(3) as t(i)\n",
    "models/models.yml": """\
models:
  - name: people
    config:
      materialized: table
      meta:
        revetl:
          people_to_crm: {destination: crm, object: contacts, key: id, match: {email: email}, fields: {firstname: id}}
""",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project whose packages are there; `dbt` and `revetl` are those of this environment."""
    folder = tmp_path / "analytics"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.replace(FOLDER, str(folder)))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
    run(["dbt", "deps"], folder)
    yield folder
    results = json.loads((folder / "target/revetl/run_results.json").read_text())["results"]
    sent = [(result["status"], result["counts"]["created"]) for result in results]
    assert sent == [("success", 3)]


def run(command: list[str], folder: Path, **environ: str) -> str:
    """What a command says; it has to end well."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environ}, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    return done.stdout


def example(name: str, project: Path) -> str:
    """The text of an example for a project."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    assert FOLDER in text
    return text.replace(FOLDER, str(project))


def module(name: str, project: Path) -> dict[str, Any]:
    """What an example in Python defines."""
    found: dict[str, Any] = {"__name__": "example", "__file__": str(EXAMPLES / name)}
    exec(compile(example(name, project), name, "exec", dont_inherit=True), found)
    return found


def test_cron(project: Path) -> None:
    [line] = [line for line in example("crontab", project).splitlines() if not line.startswith("#")]
    run(["sh", "-c", line.split(maxsplit=5)[5]], project)


def test_github_actions(project: Path) -> None:
    """All steps but the one that installs: this environment has what it would."""
    steps = yaml.safe_load((EXAMPLES / "github_actions.yml").read_text(encoding="utf-8"))["jobs"]["sync"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    for command in commands[1:]:
        run(["bash", "-eo", "pipefail", "-c", command], project)


def test_prefect(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness():
        module("prefect_flow.py", project)["analytics"]()


def test_dagster(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(["dbt", "parse"], project)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    definitions = module("dagster_job.py", project)["defs"]
    assert definitions.resolve_implicit_global_asset_job_def().execute_in_process().success


@pytest.mark.parametrize("name", ["airflow_dag.py", "airflow_cosmos_dag.py"])
def test_airflow(name: str, project: Path, tmp_path: Path) -> None:
    file = tmp_path / "dags" / name
    file.parent.mkdir()
    file.write_text(example(name, project))
    environ = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(file.parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
        "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "false",
    }
    run(["airflow", "db", "migrate"], tmp_path, **environ)
    said = run(["airflow", "dags", "test", "analytics"], tmp_path, **environ)
    assert "deprecated" not in said, said
