"""dbt v2, a program of its own: its manifest and run results are read like those of dbt Core; `make test-dbt-2`.

What else is to be tested on dbt v2 finds a built project in the fixture `built`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from cli.tiny import FILES, Tiny
from click.testing import CliRunner

from revetl_dbt.cli.main import cli
from revetl_dbt.project.options import Options
from revetl_dbt.project.project import Project
from revetl_dbt.spec.load import load

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".venv-dbt-2"
DBT = HOME / "bin" / "dbt"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny project, built by dbt v2; a test of `repeated` fails in it."""
    folder = tmp_path_factory.mktemp("tiny")
    write(folder)
    done = dbt(folder, "build")
    assert done.returncode == 1, done.stdout + done.stderr
    return folder


def write(folder: Path) -> None:
    """The tiny project's files."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def dbt(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run dbt v2 in a folder; it takes DuckDB's library from its environment."""
    environ = {**os.environ, "LD_LIBRARY_PATH": str(HOME), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    return subprocess.run(
        [str(DBT), *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture(autouse=True)
def here(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(built)


def test_its_manifest_declares_the_same_syncs(built: Path) -> None:
    loaded = load(Options())
    names = {"people_to_crm", "people_to_api", "paused_to_api", "repeated_to_api"}
    assert {sync.name for sync in loaded.syncs} == names
    assert {str(sync.path) for sync in loaded.syncs} == {"models/models.yml"}
    assert str(loaded.project.manifest.dbt_version).startswith("2.")
    assert [item.code for item in loaded.warnings] == []


def test_its_run_results_hold_back_what_failed(built: Path) -> None:
    gate = Project.open(Options()).gate()
    assert gate.reason("model.tiny.people") is None
    assert "failed in `dbt build`" in (gate.reason("model.tiny.repeated") or "")


def test_selection_by_dbt_core_on_its_manifest(built: Path) -> None:
    chosen = load(Options(select=("config.meta.revetl.people_to_api.destination:api",)))
    assert {sync.name for sync in chosen.syncs} == {"people_to_crm", "people_to_api", "paused_to_api"}


def test_the_hook_of_the_package_writes_what_was_built(built: Path, tmp_path: Path) -> None:
    write(tmp_path)
    hook = 'on-run-end: "{{ revetl_dbt.enqueue(results) }}"\n'
    (tmp_path / "dbt_project.yml").write_text(FILES["dbt_project.yml"] + hook, encoding="utf-8")
    (tmp_path / "packages.yml").write_text(f"packages: [{{local: {ROOT}}}]\n", encoding="utf-8")
    assert dbt(tmp_path, "deps").returncode == 0
    done = dbt(tmp_path, "build", "--show-all-deprecations")
    assert done.returncode == 1, done.stdout + done.stderr  # a test of `repeated` fails
    assert "arning" not in done.stdout + done.stderr
    query = "select unique_id, status, state from main_revetl.revetl_queue where unique_id like 'model.%' order by 1"
    shown = dbt(tmp_path, "show", "--inline", query, "--output", "json", "--quiet")
    rows = json.loads(shown.stdout[shown.stdout.index("[") : shown.stdout.rindex("]") + 1])
    assert [tuple(row.values()) for row in rows] == [
        ("model.tiny.people", "success", "waiting"),
        ("model.tiny.repeated", "success", "waiting"),
    ]


def test_build_with_dbt_v2(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what dbt is given and leaves: its DuckDB's file is of another version than the one that revetl opens."""
    monkeypatch.chdir(tmp_path)
    tiny = Tiny(built, tmp_path)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(HOME))
    words = ["build", "--select", "people", "--dbt-executable", str(DBT)]
    with tiny.sandbox():
        result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.stderr
    results = json.loads((tmp_path / "target" / "revetl" / "run_results.json").read_text())["results"]
    assert {item["sync"]: item["status"] for item in results} == {
        "people_to_crm": "success",
        "people_to_api": "success",
        "paused_to_api": "skipped",
    }
