"""manifest.json and run_results.json of every dbt version, whole and broken."""

from __future__ import annotations

import json

import pytest
from shop import USERS, Shop

from revetl_dbt.errors import InputError
from revetl_dbt.project.gate import Gate
from revetl_dbt.project.manifest import Manifest
from revetl_dbt.project.options import Options
from revetl_dbt.project.project import Project
from revetl_dbt.project.run_results import RunResults
from revetl_dbt.project.target import check_connection, check_known_target

NODE = "model.shop.users"


def read(shop: Shop) -> Manifest:
    return Manifest.read(shop.target / "manifest.json", "shop")


def refused(shop: Shop) -> tuple[str, str]:
    with pytest.raises(InputError) as error:
        read(shop)
    problem = error.value.diagnostics[0]
    return problem.code, problem.hint or ""


class TestReading:
    def test_a_missing_manifest_says_what_to_run(self, shop: Shop) -> None:
        (shop.target / "manifest.json").unlink()
        code, hint = refused(shop)
        assert code == "manifest-missing"
        assert "dbt parse" in hint

    @pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"nodes": []}', "\xff"])
    def test_what_is_no_manifest(self, shop: Shop, text: str) -> None:
        shop.write("target/manifest.json", text)
        assert refused(shop)[0] == "manifest-unreadable"

    def test_a_manifest_that_is_a_folder(self, shop: Shop) -> None:
        (shop.target / "manifest.json").unlink()
        (shop.target / "manifest.json").mkdir()
        assert refused(shop)[0] == "manifest-unreadable"

    def test_another_project(self, shop: Shop) -> None:
        shop.manifest["metadata"]["project_name"] = "other"
        shop.write_manifest(shop.manifest)
        assert refused(shop)[0] == "manifest-of-another-project"

    @pytest.mark.parametrize(
        ("version", "fine"), [("v9", False), ("v11", False), ("v12", True), ("v13", True), ("", True)]
    )
    def test_schema_versions(self, shop: Shop, version: str, fine: bool) -> None:
        shop.manifest["metadata"]["dbt_schema_version"] = f"https://schemas.getdbt.com/dbt/manifest/{version}.json"
        shop.write_manifest(shop.manifest)
        if fine:
            assert len(list(read(shop).declaring())) == 1
        else:
            assert refused(shop)[0] == "manifest-too-old"

    def test_unknown_and_missing_keys(self, shop: Shop) -> None:
        shop.manifest = {
            "nodes": {NODE: {"name": "users", "config": {"meta": {"revetl": {}}}, "new": [1]}, "model.x": None}
        }
        shop.write_manifest(shop.manifest)
        node = next(iter(read(shop).declaring()))
        assert (node.name, node.resource_type, node.relation_name, node.patch_path) == ("users", "model", None, None)


class TestColumnMeta:
    """dbt v2 puts the model's meta into columns that have none; dbt before 1.10 knows `meta:` beside the name only."""

    def columns(self, shop: Shop, version: str, column: dict) -> list[str]:
        node = shop.manifest["nodes"][NODE]
        node["columns"] = {"email": {"name": "email", **column}}
        node["config"]["meta"] = {}
        shop.manifest["metadata"]["dbt_version"] = version
        shop.write_manifest(shop.manifest)
        return [node.name for node in read(shop).declaring()]

    def test_inherited_meta_is_ignored(self, shop: Shop) -> None:
        assert self.columns(shop, "2.0.0-preview.196", {"meta": {"revetl": {"s": "x"}}, "config": {}}) == []

    def test_meta_beside_the_name_counts_before_1_10(self, shop: Shop) -> None:
        assert self.columns(shop, "1.8.10", {"meta": {"revetl": {"s": "x"}}}) == ["users"]

    def test_meta_in_config_counts_always(self, shop: Shop) -> None:
        for version in ("1.8.10", "1.11.16", "2.0.9"):
            assert self.columns(shop, version, {"config": {"meta": {"revetl": {"s": "x"}}}}) == ["users"]


def test_owners(shop: Shop) -> None:
    groups = {
        "group.shop.sales": {"name": "sales", "owner": {"name": "Sales", "email": "sales@example.com"}},
        "group.shop.ops": {"name": "ops", "owner": {"name": "Ops"}},
    }
    for group, owner in (("sales", "sales@example.com"), ("ops", "Ops"), ("none", None), (None, None)):
        shop.write_models(USERS)
        shop.manifest["groups"] = groups
        shop.manifest["nodes"][NODE]["config"]["group"] = group
        shop.write_manifest(shop.manifest)
        assert shop.load().syncs[0].source.owner == owner


def reason_of(shop: Shop) -> str | None:
    return Project.open(Options()).gate().reason(NODE)


class TestGate:
    TEST = "test.shop.unique_users_user_id.abc"

    @pytest.mark.parametrize(
        ("statuses", "reason"),
        [
            ({}, None),
            ({NODE: "success", TEST: "pass"}, None),
            ({NODE: "no-op"}, None),
            ({"model.shop.other": "error"}, None),
            ({NODE: "success", TEST: "warn"}, None),
            ({NODE: "success", TEST: "skipped"}, None),
            ({NODE: "error"}, "model `users` ended with status error in `dbt build`"),
            ({NODE: "Error"}, "model `users` ended with status error in `dbt build`"),
            ({NODE: "partial success"}, "model `users` ended with status partial success in `dbt build`"),
            ({NODE: "skipped"}, "model `users` was skipped in `dbt build`"),
            ({NODE: "success", TEST: "fail"}, "test `unique_users_user_id` failed in `dbt build`"),
            ({TEST: "error"}, "test `unique_users_user_id` failed in `dbt build`"),
            (
                {TEST: "fail", "test.shop.not_null_users_user_id.abc": "fail"},
                "test `unique_users_user_id` and 1 more failed in `dbt build`",
            ),
        ],
    )
    def test_reasons(self, shop: Shop, statuses: dict[str, str], reason: str | None) -> None:
        shop.write_run_results(statuses)
        assert reason_of(shop) == reason

    def test_without_run_results_nothing_is_known(self, shop: Shop) -> None:
        assert RunResults.read(shop.target / "run_results.json") is None
        assert Gate(read(shop)).reason(NODE) is None

    def test_tests_of_severity_warn_do_not_matter(self, shop: Shop) -> None:
        shop.manifest["nodes"][self.TEST]["config"]["severity"] = "WARN"
        shop.write_manifest(shop.manifest)
        shop.write_run_results({self.TEST: "error"})
        assert reason_of(shop) is None

    def test_singular_and_unit_tests_matter_to_what_they_depend_on(self, shop: Shop) -> None:
        singular = {"name": "no_ghosts", "depends_on": {"nodes": [NODE]}, "config": {"severity": "error"}}
        unit = {"name": "adds_up", "depends_on": {"nodes": [NODE]}}
        shop.manifest["nodes"]["test.shop.no_ghosts"] = singular
        shop.manifest["unit_tests"] = {"unit_test.shop.users.adds_up": unit}
        shop.write_manifest(shop.manifest)
        for test, name in (("test.shop.no_ghosts", "no_ghosts"), ("unit_test.shop.users.adds_up", "adds_up")):
            shop.write_run_results({test: "fail"})
            reason = reason_of(shop)
            assert reason == f"test `{name}` failed in `dbt build`"

    @pytest.mark.parametrize("text", ["{", "[]", '{"results": [{}]}', '{"results": 1}'])
    def test_unreadable_run_results_are_an_error_unless_the_gate_is_off(self, shop: Shop, text: str) -> None:
        shop.write("target/run_results.json", text)
        assert [item.code for item in shop.problems()] == ["run-results-unreadable"]
        assert shop.problems(gate=False) == []

    def test_sources_that_are_not_fresh(self, shop: Shop) -> None:
        for node, above in (
            (NODE, ["model.shop.base"]),
            ("model.shop.base", ["source.shop.raw.a", "source.shop.raw.b"]),
        ):
            shop.manifest["nodes"].setdefault(node, {"resource_type": "model"})["depends_on"] = {"nodes": above}
        shop.write_manifest(shop.manifest)
        fresh = {"unique_id": "source.shop.raw.a", "status": "warn"}
        stale = {
            "unique_id": "source.shop.raw.b",
            "status": "error",
            "max_loaded_at": "2026-01-01T08:30:00.000Z",
            "criteria": {"error_after": {"count": 12, "period": "hour"}},
        }
        elsewhere = stale | {"unique_id": "source.shop.raw.c"}
        broken = {"unique_id": "source.shop.raw.a", "status": "runtime error", "error": "no table"}
        checked = " (`dbt source freshness` of 2026-01-02 00:00)"
        old = "was loaded last at 2026-01-01 08:30 UTC, more than 12 hours before"
        for rows, reason in (
            ([], None),
            ([fresh, elsewhere], None),
            ([fresh, stale], f"source `raw.b` {old}{checked}"),
            ([broken], f"source `raw.a` could not be checked{checked}"),
            ([broken, stale], f"source `raw.a` could not be checked, and 1 more are stale{checked}"),
        ):
            shop.write_sources(rows)
            assert reason_of(shop) == reason
        shop.write_run_results({NODE: "error"})
        assert (reason_of(shop) or "").startswith("model `users` ended")

    @pytest.mark.parametrize("text", ["{", '{"results": [{}]}'])
    def test_an_unreadable_check_of_sources(self, shop: Shop, text: str) -> None:
        shop.write("target/sources.json", text)
        with pytest.raises(InputError) as error:
            Project.open(Options()).gate()
        assert error.value.diagnostics[0].code == "sources-unreadable"


class TestTarget:
    def test_a_manifest_written_for_another_target_is_refused(self, shop: Shop) -> None:
        shop.write_run_results({}, target="prod")
        assert [item.code for item in shop.problems()] == ["manifest-of-another-target"]
        shop.write_run_results({}, target="dev")
        assert shop.problems() == []

    def test_results_of_another_invocation_say_nothing(self, shop: Shop) -> None:
        shop.write_run_results({}, target="prod")
        shop.manifest["metadata"]["invocation_id"] = "i2"
        shop.write_manifest(shop.manifest)
        assert shop.problems() == []
        assert check_known_target(read(shop), None, "dev") is None

    @pytest.mark.parametrize(
        ("adapter", "database", "schema", "outcome"),
        [
            ("duckdb", "shop", "main", None),
            ("duckdb", "SHOP", "MAIN", None),
            ("duckdb", None, "main", None),
            ("duckdb", "prod", "main", "warning"),
            ("duckdb", "shop", "analytics", "warning"),
            ("postgres", "shop", "main", "error"),
        ],
    )
    def test_the_connection_and_the_manifest_fit(
        self, shop: Shop, adapter: str, database: str | None, schema: str, outcome: str | None
    ) -> None:
        problem = check_connection(read(shop), adapter, database, schema)
        assert (None if problem is None else "warning" if problem.warning else "error") == outcome

    def test_custom_schemas_fit(self, shop: Shop) -> None:
        shop.manifest["nodes"][NODE]["schema"] = "main_marts"
        shop.write_manifest(json.loads(json.dumps(shop.manifest)))
        assert check_connection(read(shop), "duckdb", "shop", "main") is None
