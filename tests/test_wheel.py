"""The wheel works in an empty virtual environment outside of the repository: macros, connectors, sandbox and all."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

MODEL = "select i as user_id, 'user' || i || '@example.com' as email, 'Zoë ' || i as first_name from range(5) as t(i)"
MODELS = """
models:
  - name: users
    config:
      materialized: table
      meta:
        revetl:
          users_to_hubspot:
            destination: hubspot
            object: contacts
            key: user_id
            match: {email: email}
            fields: {firstname: first_name}
"""
PROFILE = "shop: {target: dev, outputs: {dev: {type: duckdb, path: shop.duckdb}}}"
DESTINATIONS = "hubspot: {outputs: {dev: {type: hubspot, sandbox: true}}}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_macros_and_nothing_of_the_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    macros = {f"revetl_dbt/dbt/macros/{path.relative_to(ROOT / 'macros')}" for path in (ROOT / "macros").rglob("*.sql")}
    assert macros <= set(names)
    assert {"revetl_dbt/dbt/dbt_project.yml", "revetl_dbt/py.typed", "revetl_dbt/sandbox/style.css"} <= set(names)
    ours = ("revetl_dbt", "dbt_revetl.py", wheel.name.rsplit("-", 3)[0] + ".dist-info")
    assert not [name for name in names if name.split("/")[0] not in ours]


def test_it_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """Really installed, real dbt, real DuckDB; only the versions are those of the lock file."""
    environment, project = tmp_path / "venv", tmp_path / "shop"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    constraints = tmp_path / "constraints.txt"
    pinned = re.findall(
        r"^([a-z0-9._-]+)(?:\[.*\])?(==[^\\\n]+)", (ROOT / "requirements/dev.txt").read_text(), re.MULTILINE
    )
    constraints.write_text("\n".join(f"{name}{version.strip()}" for name, version in pinned))
    bin_folder = environment / "bin"
    wanted = ["install", "--quiet", "--constraint", str(constraints), f"{wheel}[duckdb]", "pytz"]
    into = ["--python", str(bin_folder / "python")]
    # As in the Makefile: uv is quick, but does not know a package index that only pip's settings name.
    if subprocess.run([Path(sys.executable).with_name("uv"), "pip", *wanted, *into], check=False).returncode:
        subprocess.run([sys.executable, "-m", "pip", *into, *wanted], check=True)

    (project / "models").mkdir(parents=True)
    (project / "models/users.sql").write_text(MODEL)
    (project / "models/users.yml").write_text(MODELS)
    (project / "dbt_project.yml").write_text("{name: shop, version: 1.0.0, profile: shop}")
    (project / "profiles.yml").write_text(PROFILE)
    (project / "destinations.yml").write_text(DESTINATIONS)

    def run(*command: str, **environ: str) -> str:
        words = [str(bin_folder / command[0]), *command[1:]]
        environ = os.environ | environ
        finished = subprocess.run(words, cwd=project, env=environ, capture_output=True, text=True, check=False)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    run("dbt", "build")
    run("revetl", "run")
    (project / "models/users.yml").write_text(MODELS.replace("object:", "objct:"))
    assert "error[unknown-key]" in run("dbt", "parse", REVETL_DBT_PLUGIN="warn")
    (project / "models/users.yml").write_text(MODELS)
    result = json.loads((project / "target/revetl/run_results.json").read_text())["results"][0]
    assert (result["status"], result["counts"]["created"]) == ("success", 5)
