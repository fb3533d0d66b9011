"""Selection is dbt's: on a project with a bit of everything, each selection chooses what `dbt ls` chooses."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from revetl_dbt.cli.options import Command, pass_options, project_options, selection_options
from revetl_dbt.errors import InputError
from revetl_dbt.project.options import Options
from revetl_dbt.project.project import Project
from revetl_dbt.project.selection import select_nodes

pytestmark = pytest.mark.xdist_group("selection")

SYNC = "{destination: api, object: users, key: id, match: {id: id}, fields: {name: name}}"


def model(name: str, config: str = "", tests: str = "", more: str = "") -> str:
    meta = f"meta: {{revetl: {{{name}_to_api: {SYNC}}}}}"
    text = f"  - name: {name}\n    config: {{{meta}{', ' + config if config else ''}}}\n{more}"
    return text + f"    columns: [{{name: id, data_tests: [{tests}]}}]\n"


FILES = {
    "dbt_project.yml": """\
name: shop
version: "1.0"
profile: shop
models: {shop: {marts: {+tags: [mart], +materialized: table}}}
""",
    "profiles.yml": "shop: {target: dev, outputs: {dev: {type: duckdb, path: shop.duckdb}}}\n",
    "destinations.yml": """\
api:
  outputs:
    dev: {type: http, base_url: "https://api.example.com", objects: {users: {operations: {upsert: {path: /users}}}}}
""",
    "selectors.yml": """\
selectors:
  - name: nightly
    definition:
      union:
        - {method: tag, value: nightly, children: true}
        - {method: path, value: seeds}
        - exclude: [{method: fqn, value: orders_v2}]
  - name: plus_nightly
    definition:
      intersection:
        - {method: selector, value: nightly}
        - {method: config.materialized, value: table}
""",
    "seeds/countries.csv": "id,name\n1,de\n",
    "seeds/seeds.yml": "seeds:\n" + model("countries"),
    "snapshots/history.yml": "snapshots:\n" + model("history"),
    "snapshots/history.sql": """\
{% snapshot history %}{{ config(unique_key="id", strategy="check", check_cols="all", target_schema="snapshots") }}
select * from {{ ref("stg_users") }}{% endsnapshot %}
""",
    "models/sources.yml": """\
sources:
  - name: raw
    tables: [{name: users, config: {tags: [loaded]}}, {name: orders}]
exposures:
  - {name: board, type: dashboard, owner: {name: x}, depends_on: [ref('people')]}
groups:
  - {name: finance, owner: {name: x}}
""",
    "models/staging/models.yml": "models:\n" + model("stg_users", "tags: [nightly]", "unique") + model("stg_orders"),
    "models/staging/stg_users.sql": "select id, name from {{ source('raw', 'users') }}",
    "models/staging/stg_orders.sql": "select {{ twice(1) }} as id, 'a' as name from {{ source('raw', 'orders') }}",
    "models/marts/models.yml": "models:\n"
    + model("people", "group: finance", "unique, not_null")
    + model("orders", more="    versions: [{v: 1}, {v: 2}]\n    latest_version: 2\n")
    + model("lonely", "access: private, group: finance"),
    "models/marts/people.sql": "select u.* from {{ ref('stg_users') }} u join {{ ref('countries') }} c on u.id = c.id",
    "models/marts/orders_v1.sql": "select id, name from {{ ref('stg_orders') }}",
    "models/marts/orders_v2.sql": "select id, name, 2 as v from {{ ref('stg_orders') }}",
    "models/marts/lonely.sql": "select 1 as id, 'x' as name, 2 as two",
    "macros/twice.sql": "{% macro twice(x) %}{{ x }} * 2{% endmacro %}",
}
MODIFIED = {"model.shop.lonely", "model.shop.stg_users", "model.shop.stg_orders"}
SELECTIONS = [
    "--select people",
    "--select people orders",
    "--select people,tag:mart --exclude lonely",
    "--select +people",
    "--select stg_users+1",
    "--select 1+people",
    "--select @stg_orders",
    "--select source:raw.users+",
    "--select +exposure:board",
    "--select tag:nightly",
    "--select tag:nightly+ --exclude people",
    "--select path:models/marts",
    "--select models/staging/*.sql",
    "--select marts",
    "--select shop.marts.orders",
    "--select orders.v2",
    "--select version:latest",
    "--select package:shop --exclude resource_type:model",
    "--select file:people.sql",
    "--select config.materialized:table",
    "--select config.meta.revetl.people_to_api.destination:api",
    "--select config.tags:mart",
    "--select group:finance",
    "--select access:private",
    "--select test_type:generic",
    "--select 'st*' 'orders'",
    "--select 'stg_?sers'",
    "--exclude tag:mart",
    "--selector nightly",
    "--selector plus_nightly",
    "--resource-type seed snapshot",
    "--exclude-resource-type seed",
    "--select people+ --resource-type model test",
    "--select people --indirect-selection cautious",
    "--select state:modified --state former",
    "--select state:modified+ --state former",
    "--select state:modified.body --state former",
    "--select state:modified.macros --state former",
    "--select state:new state:modified.configs --state former",
    "--exclude state:unmodified --state former",
    "--select result:error+ --state former",
    "--select result:success --exclude result:error+ --state former",
    "--select source_status:fresher+ --state former",
    "--select nothing",
]
CHANGED = {
    "models/marts/lonely.sql": "select 1 as id, 'y' as name, 3 as two",
    "macros/twice.sql": "{% macro twice(x) %}{{ x }} + {{ x }}{% endmacro %}",
    "models/staging/models.yml": FILES["models/staging/models.yml"].replace(
        "nightly]", "nightly], materialized: table"
    ),
}
# One process for all of dbt. A selection is made on what a parse came to, as `dbt ls` does; some parse for themselves.
DBT = """
import json, sys
from pathlib import Path
from dbt.cli.main import dbtRunner
changed, selections = json.load(sys.stdin)
assert dbtRunner().invoke(["--quiet", "parse", "--target-path", "former"]).success
for name, text in changed.items():
    Path(name).write_text(text)
parsed = dbtRunner().invoke(["--quiet", "parse"]).result
found = []
for words in selections:
    runner = dbtRunner() if "state:modified" in words else dbtRunner(manifest=parsed)
    done = runner.invoke(["--quiet", "ls", "--output", "json", "--output-keys", "unique_id", *words])
    found.append([json.loads(line)["unique_id"] for line in done.result] if done.success else repr(done.exception))
Path("chosen.json").write_text(json.dumps(found))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it is now, in `former` the artifacts of what it was before, in chosen.json what `dbt ls` says."""
    folder = tmp_path_factory.mktemp("selection")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    results = {f"model.shop.{name}": status for name, status in (("stg_orders", "error"), ("stg_users", "success"))}
    _write_results(folder / "former" / "run_results.json", results)
    _write_freshness(folder / "former" / "sources.json", "2026-01-01")
    _write_freshness(folder / "target" / "sources.json", "2026-01-02")
    kinds = ["--resource-type", "model", "snapshot", "seed"]
    words = [shlex.split(text) + ([] if " --resource-type" in f" {text}" else kinds) for text in SELECTIONS]
    command = [sys.executable, "-c", DBT]
    given = json.dumps([CHANGED, words])
    done = subprocess.run(command, cwd=folder, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def _write_results(path: Path, statuses: dict[str, str]) -> None:
    row = {"timing": [], "thread_id": "1", "execution_time": 0.1, "adapter_response": {}, "message": None}
    rows = [
        {
            **row,
            "unique_id": key,
            "status": status,
            "failures": None,
            "compiled": True,
            "compiled_code": "",
            "relation_name": None,
        }
        for key, status in statuses.items()
    ]
    metadata = {"dbt_schema_version": "https://schemas.getdbt.com/dbt/run-results/v6.json", "dbt_version": "1.8.0"}
    path.parent.mkdir()
    path.write_text(json.dumps({"metadata": metadata, "results": rows, "elapsed_time": 1.0, "args": {}}))


def _write_freshness(path: Path, day: str) -> None:
    rows = [
        {
            "unique_id": f"source.shop.raw.{table}",
            "max_loaded_at": f"{day if table == 'users' else '2026-01-01'}T00:00:00Z",
            "snapshotted_at": "2026-01-03T00:00:00Z",
            "max_loaded_at_time_ago_in_s": 60.0,
            "status": "pass",
            "criteria": {"warn_after": {"count": 1, "period": "day"}, "error_after": {"count": 2, "period": "day"}},
            "adapter_response": {},
            "timing": [],
            "thread_id": "1",
            "execution_time": 0.1,
        }
        for table in ("users", "orders")
    ]
    metadata = {"dbt_schema_version": "https://schemas.getdbt.com/dbt/sources/v3.json"}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"metadata": metadata, "results": rows, "elapsed_time": 1.0}))


@pytest.fixture(scope="module")
def chosen_by_dbt(project: Path) -> dict[str, set[str]]:
    """What `dbt ls` chooses for each selection."""
    found = json.loads((project / "chosen.json").read_text())
    assert [nodes for nodes in found if isinstance(nodes, str)] == []
    return {text: set(nodes) for text, nodes in zip(SELECTIONS, found, strict=True)}


@pytest.fixture(autouse=True)
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


def parsed(text: str) -> Options:
    """The options of a command line, through our own command line."""

    @click.command(cls=Command)
    @selection_options
    @project_options
    @pass_options
    def read(options: Options) -> Options:
        return options

    options = read.main(shlex.split(text), standalone_mode=False)
    assert isinstance(options, Options)
    return options


@pytest.mark.parametrize("text", [*SELECTIONS, "--models people"])
def test_the_same_as_dbt_ls(text: str, chosen_by_dbt: dict[str, set[str]]) -> None:
    expected = chosen_by_dbt[text.replace("--models", "--select")]  # dbt's older name
    before = Path("target/manifest.json").read_bytes()
    nodes, _ = select_nodes(Project.open(parsed(text)))
    assert nodes == expected
    assert Path("target/manifest.json").read_bytes() == before
    assert not Path("logs/ls").exists()


def test_the_selections_tell_something_apart(chosen_by_dbt: dict[str, set[str]]) -> None:
    everything = {
        f"model.shop.{name}" for name in ("stg_users", "stg_orders", "people", "lonely", "orders.v1", "orders.v2")
    }
    everything |= {"seed.shop.countries", "snapshot.shop.history"}
    empty = {text for text, nodes in chosen_by_dbt.items() if not nodes}
    empty.discard("--select 'stg_?sers'")  # dbt 1.8 knows `*` only
    assert empty == {"--select nothing", "--select test_type:generic"}
    assert not [text for text, nodes in chosen_by_dbt.items() if nodes == everything and "--exclude" not in text]
    assert chosen_by_dbt["--select state:modified --state former"] == MODIFIED
    assert chosen_by_dbt["--select source_status:fresher+ --state former"] == {
        "model.shop.stg_users",
        "model.shop.people",
        "snapshot.shop.history",
    }


def test_from_another_folder(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    where = f"--project-dir {project} --profiles-dir {project}"
    state = os.path.relpath(project / "former", tmp_path)
    nodes, _ = select_nodes(Project.open(parsed(f"--select state:modified --state {state} {where}")))
    assert nodes == MODIFIED
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize(
    ("text", "words", "field"),
    [
        ("--select state:modified", "--state", "--select"),
        ("--select source_status:fresher+", "--state", "--select"),
        ("--select result:error", "--state", "--select"),
        ("--selector nope", "nope", "--selector"),
        ("--select nope:x", "nope", "--select"),
        ("--exclude nope:x", "nope", "--exclude"),
        ("--resource-type nope", "nope", "--resource-type"),
    ],
)
def test_what_dbt_refuses(text: str, words: str, field: str) -> None:
    with pytest.raises(InputError) as error:
        select_nodes(Project.open(parsed(text)))
    (problem,) = error.value.diagnostics
    assert (problem.code, problem.field) == ("selection-invalid", field)
    assert words in problem.render()
