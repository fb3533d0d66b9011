"""A tiny dbt project, built by dbt itself once a test session; every test works on a copy of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import jsonschema
from click.testing import CliRunner, Result

from revetl_dbt.cli.main import cli
from revetl_dbt.sandbox import Sandbox
from revetl_dbt.warehouse.dbt_api import DbtOptions, DbtSession

SCHEMAS = Path(__file__).parents[2] / "revetl_dbt" / "report" / "schemas"
FILES = {
    "dbt_project.yml": "name: tiny\nversion: '1.0'\nprofile: tiny\n",
    "profiles.yml": """\
tiny:
  target: dev
  outputs:
    dev: {type: duckdb, path: tiny.duckdb, threads: 2}
    prod: {type: duckdb, path: tiny.duckdb, threads: 2}
""",
    "destinations.yml": """\
crm:
  outputs:
    dev: {type: hubspot, sandbox: true, concurrency: 2, guards: {max_deletes: 50%}}
    prod: {type: hubspot, base_url: "{{ env_var('CRM_URL') }}", access_token: "{{ env_var('DBT_ENV_SECRET_CRM') }}"}
api:
  outputs:
    dev:
      type: http
      sandbox: true
      objects: &objects
        people:
          match: [id]
          operations: {upsert: {path: "/people/{id}", method: PUT}, delete: {path: "/people/{id}", method: DELETE}}
    prod: {type: http, base_url: "{{ env_var('API_URL') }}", objects: *objects}
""",
    "sandbox/hubspot.yml": """\
properties:
  contacts:
    - {name: tiny_id, label: Id, type: string, fieldType: text, groupName: contactinformation, hasUniqueValue: true}
    - {name: seats, label: Seats, type: number, fieldType: number, groupName: contactinformation}
""",
    "models/people.sql": """\
select i as id, 'person' || i || '@example.com' as email, 'Name ' || i as full_name, i % 5 as seats
from range(1, 21) as t(i)
""",
    "models/repeated.sql": "select 1 as id from range(2)\n",
    "models/models.yml": """\
models:
  - name: people
    config:
      materialized: table
      meta:
        revetl:
          people_to_crm:
            destination: crm
            object: contacts
            key: id
            match: {email: email}
            fields:
              firstname: full_name
              tiny_id: {sql: "cast(id as varchar)"}
              seats: seats
            on_removed: archive
            rejected: {max_attempts: 2}
          people_to_api:
            destination: api
            object: people
            match: {id: id}
            fields: {name: full_name}
            on_removed: delete
          paused_to_api:
            destination: api
            object: people
            match: {id: id}
            fields: {name: full_name}
            enabled: false
    columns:
      - name: id
        data_tests: [unique, not_null]
  - name: repeated
    config:
      materialized: table
      meta:
        revetl:
          repeated_to_api: {destination: api, object: people, match: {id: id}, fields: {name: id}}
    columns:
      - name: id
        data_tests: [unique, not_null]
""",
}


def build(folder: Path) -> Path:
    """Write the project and run `dbt build` on it, in which the test of `repeated` fails; parse macros once for all."""
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    dbt(folder, "build", expected=1)
    DbtSession(DbtOptions(folder, folder, scratch=folder / "target" / "revetl")).close()
    return folder


def dbt(folder: Path, *arguments: str, expected: int = 0) -> None:
    """Run dbt in a process of its own."""
    command = [sys.executable, "-c", "import sys; from dbt.cli.main import cli; sys.exit(cli())", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == expected, done.stdout


class Tiny:
    """A copy of the built project, in the current folder."""

    def __init__(self, built: Path, folder: Path) -> None:
        shutil.copytree(built, folder, dirs_exist_ok=True)
        self.folder = folder
        self.state = folder / "target" / "revetl"

    def revetl(self, *arguments: str, **environ: str) -> Result:
        """Run a command in this process. An error that nobody foresaw is raised."""
        result = CliRunner().invoke(cli, arguments, env=environ)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Run a command in a process of its own."""
        command = [sys.executable, "-c", "from revetl_dbt.cli.main import main; main()", *arguments]
        environ = {**os.environ, "COLUMNS": "200"}
        return subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
        )

    def sandbox(self) -> Sandbox:
        """The project's sandbox, to be started by the test, so that it outlives commands."""
        setup = {"hubspot": self.folder / "sandbox" / "hubspot.yml"}
        return Sandbox(self.state / "sandbox", setup=setup)

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements in the warehouse; the rows of the last."""
        with duckdb.connect(str(self.folder / "tiny.duckdb")) as connection:
            for statement in statements[:-1]:
                connection.execute(statement)
            return connection.execute(statements[-1]).fetchall()

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def results(self) -> dict[str, dict[str, Any]]:
        """run_results.json by sync, after it was checked against its schema."""
        return {item["sync"]: item for item in self.artifact("run_results", "run-results-v1")["results"]}

    def plan(self) -> dict[str, dict[str, Any]]:
        """plan.json by sync, after it was checked against its schema."""
        return {item["sync"]: item for item in self.artifact("plan", "plan-v1")["results"]}

    def artifact(self, name: str, schema: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.state / f"{name}.json").read_text(encoding="utf-8"))
        rules = json.loads((SCHEMAS / f"{schema}.json").read_text(encoding="utf-8"))
        jsonschema.validate(content, rules, jsonschema.Draft202012Validator, format_checker=jsonschema.FormatChecker())
        return content
