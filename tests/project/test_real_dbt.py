"""A manifest that real dbt wrote, and selection by real dbt."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from revetl_dbt.errors import InputError
from revetl_dbt.project.options import Options
from revetl_dbt.project.project import Project
from revetl_dbt.project.selection import select_nodes
from revetl_dbt.spec.load import load

from .conftest import SQL


@pytest.fixture(autouse=True)
def here(parsed_shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(parsed_shop)


def test_syncs_in_yaml_and_in_sql_are_found_with_their_places() -> None:
    loaded = load(Options())
    found = {sync.name: (str(sync.path), sync.line, sync.source.unique_id) for sync in loaded.syncs}
    assert found == {
        "users_to_api": ("models/schema.yml", 6, "model.shop.users"),
        "orders_to_api": ("models/orders.sql", 2, "model.shop.orders"),
    }
    assert {sync.source.relation_name for sync in loaded.syncs} == {'"shop"."main"."users"', '"shop"."main"."orders"'}
    assert [item.code for item in loaded.warnings] == ["key-untested"]


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ({"select": ("users",)}, {"users"}),
        ({"select": ("users+",)}, {"users", "orders"}),
        ({"select": ("tag:nightly",)}, {"orders"}),
        ({"select": ("config.materialized:table",)}, {"orders"}),
        ({"select": ("+orders",), "exclude": ("orders",)}, {"users"}),
        ({"selector": "nightly"}, {"orders"}),
        ({"select": ("config.meta.revetl.users_to_api.destination:api",)}, {"users"}),
    ],
)
def test_dbt_selects(options: dict, chosen: set[str]) -> None:
    manifest = Path("target/manifest.json")
    before = manifest.read_bytes()
    nodes, warnings = select_nodes(Project.open(Options(**options)))
    assert nodes == {f"model.shop.{name}" for name in chosen}
    assert warnings == []
    assert manifest.read_bytes() == before
    assert not Path("logs/ls").exists()


def test_a_selection_of_nothing_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    nodes, warnings = select_nodes(Project.open(Options(select=("nope",))))
    assert nodes == set()
    assert warnings == ["`nope` selects no enabled node"]
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("options", [{"select": ("state:modified",)}, {"selector": "nope"}, {"select": ("nope:x",)}])
def test_a_selection_that_dbt_refuses(options: dict) -> None:
    with pytest.raises(InputError) as error:
        select_nodes(Project.open(Options(**options)))
    assert error.value.diagnostics[0].code == "selection-invalid"
    assert "nope" in str(error.value) or "state" in str(error.value)


def test_selection_needs_dbt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dbt.cli.main", None)
    with pytest.raises(InputError) as error:
        select_nodes(Project.open(Options(select=("users",))))
    assert error.value.diagnostics[0].code == "dbt-missing"


def test_a_part_of_a_selection_that_chooses_nothing_is_warned_of() -> None:
    loaded = load(Options(select=("users", "nope")))
    assert [sync.name for sync in loaded.syncs] == ["users_to_api"]
    assert "selection-empty" in [item.code for item in loaded.warnings]


def test_selections_meet() -> None:
    assert [sync.name for sync in load(Options(select=("users+",), syncs=("orders_to_api",))).syncs] == [
        "orders_to_api"
    ]
    loaded = load(Options(select=("users",), syncs=("orders_to_api",)))
    assert (loaded.syncs, dict(loaded.outputs)) == ((), {})
    assert "nothing-selected" in [item.code for item in loaded.warnings]


def test_parse_on_request_sees_what_changed_and_leaves_dbts_own_files_alone(
    parsed_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(parsed_shop, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    Path("models/orders.sql").write_text(SQL.replace('"orders_to_api"', 'var("prefix") ~ "_to_api"'))
    kept = [Path("target", name) for name in ("manifest.json", "partial_parse.msgpack")]
    before = [path.read_bytes() for path in kept]
    loaded = load(Options(parse=True, vars={"prefix": "fresh"}, select=("orders",)))
    assert [sync.name for sync in loaded.syncs] == ["fresh_to_api"]
    assert "manifest-stale" not in [item.code for item in loaded.warnings]
    assert [path.read_bytes() for path in kept] == before
    Path("models/orders.sql").write_text("{{ ref('nowhere') }}")
    with pytest.raises(InputError) as error:
        load(Options(parse=True))
    (problem,) = error.value.diagnostics
    assert (problem.code, "nowhere" in problem.summary) == ("parse-failed", True)


def test_a_default_selector_counts_when_nothing_is_selected(
    parsed_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(parsed_shop, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    Path("selectors.yml").write_text("selectors:\n  - {name: nightly, definition: 'tag:nightly', default: true}\n")
    assert [sync.name for sync in load(Options()).syncs] == ["orders_to_api"]
    assert [sync.name for sync in load(Options(select=("users",))).syncs] == ["users_to_api"]
    assert [sync.name for sync in load(Options(syncs=("users_to_api",))).syncs] == ["users_to_api"]


def test_a_manifest_that_the_installed_dbt_cannot_read(
    parsed_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(parsed_shop, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    path = Path("target/manifest.json")
    path.write_text(path.read_text().replace("manifest/v12.json", "manifest/v13.json"))
    assert len(load(Options()).syncs) == 2
    with pytest.raises(InputError) as error:
        load(Options(select=("users",)))
    assert "manifest-unreadable" in [item.code for item in error.value.diagnostics]
