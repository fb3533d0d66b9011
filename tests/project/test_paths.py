"""Where things are and which target is meant: dbt's rules."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from shop import DESTINATIONS, PROFILES, PROJECT, Shop

from revetl_dbt.errors import InputError
from revetl_dbt.project.options import Options
from revetl_dbt.project.paths import ProjectFile, find_profiles_dir, find_project_dir
from revetl_dbt.project.profile import find_profile
from revetl_dbt.project.project import Project, find_target_path


def code_of(function, *arguments) -> str:
    with pytest.raises(InputError) as error:
        function(*arguments)
    return error.value.diagnostics[0].code


def test_the_project_is_here_or_above_or_where_it_is_said_to_be(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_project_dir(Options()) == tmp_path
    monkeypatch.chdir(tmp_path / "models")
    assert find_project_dir(Options()) == tmp_path
    elsewhere = tmp_path / "empty"
    elsewhere.mkdir()
    assert code_of(find_project_dir, Options(project_dir=elsewhere)) == "project-missing"
    assert find_project_dir(Options(project_dir=tmp_path)) == tmp_path


def test_a_project_has_a_name(shop: Shop) -> None:
    shop.write("dbt_project.yml", "version: 1")
    assert code_of(ProjectFile.read, shop.folder) == "project-invalid"
    shop.write("dbt_project.yml", "name: [")
    assert code_of(ProjectFile.read, shop.folder) == "yaml-syntax"


def test_profiles_are_here_or_at_home_or_where_they_are_said_to_be(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_profiles_dir(Options()) == tmp_path
    monkeypatch.chdir(tmp_path / "models")
    assert find_profiles_dir(Options()) == tmp_path / "home" / ".dbt"
    assert find_profiles_dir(Options(profiles_dir=Path("x"))) == Path("x")


@pytest.mark.parametrize(
    ("options", "project", "target"),
    [
        ({}, "", "target"),
        ({}, "target-path: out\n", "out"),
        ({}, "target-path: \"{{ env_var('OUT', 'fallback') }}\"\n", "fallback"),
        ({}, 'target-path: "target/{{ target.name }}"\n', "target/dev"),
        ({"target": "prod"}, 'target-path: "target/{{ target.name }}"\n', "target/prod"),
        ({"vars": {"out": "v"}}, "target-path: \"{{ var('out') }}\"\n", "v"),
        ({"target_path": Path("given")}, "target-path: out\n", "given"),
        ({"target_path": Path("/abs")}, "", "/abs"),
    ],
)
def test_the_target_path(shop: Shop, options: dict, project: str, target: str) -> None:
    shop.write("dbt_project.yml", PROJECT + project)
    found = find_target_path(Options(**options), ProjectFile.read(shop.folder))
    assert found == shop.folder / target


def test_a_target_path_that_needs_a_missing_variable_says_where(shop: Shop) -> None:
    shop.write("dbt_project.yml", PROJECT + "target-path: \"{{ env_var('OUT') }}\"\n")
    with pytest.raises(InputError) as error:
        Project.open(Options())
    problem = error.value.diagnostics[0]
    assert (problem.code, str(problem.path), problem.line) == ("env-var-missing", "dbt_project.yml", 4)
    shop.write("dbt_project.yml", PROJECT + "target-path: \"{{ env_var('OUT', '1') | as_number }}\"\n")
    assert code_of(Project.open, Options()) == "project-invalid"


@pytest.mark.parametrize(
    ("options", "project", "profiles", "expected"),
    [
        ({}, PROJECT, PROFILES, ("shop", "dev")),
        ({"target": "prod"}, PROJECT, PROFILES, ("shop", "prod")),
        ({}, PROJECT, "shop: {outputs: {default: {type: duckdb}}}", ("shop", "default")),
        ({}, PROJECT, "shop: {target: \"{{ env_var('T', 'x') }}\", outputs: {x: {}}}", ("shop", "x")),
        ({"profile": "other"}, PROJECT, "other: {target: o, outputs: {o: {}}}", ("other", "o")),
        ({}, "name: shop\nprofile: \"{{ env_var('P', 'q') }}\"", "q: {target: o, outputs: {o: {}}}", ("q", "o")),
    ],
)
def test_profile_and_target(shop: Shop, options: dict, project: str, profiles: str, expected: tuple[str, str]) -> None:
    shop.write("dbt_project.yml", project)
    shop.write("profiles.yml", profiles)
    profile = find_profile(Options(**options), ProjectFile.read(shop.folder))
    assert (profile.name, profile.target) == expected


@pytest.mark.parametrize(
    ("options", "project", "profiles", "code", "hint"),
    [
        ({"target": "prd"}, PROJECT, PROFILES, "target-unknown", "`prod`"),
        ({}, PROJECT, "shop: {}", "target-unknown", None),
        ({"profile": "shops"}, PROJECT, PROFILES, "profile-unknown", "`shop`"),
        ({}, "name: shop", PROFILES, "profile-missing", "--profile"),
        ({}, PROJECT, None, "profile-missing", "--profiles-dir"),
        ({}, PROJECT, "shop: {target: \"{{ env_var('NOPE') }}\"}", "env-var-missing", "NOPE"),
    ],
)
def test_a_profile_that_is_not_there(
    shop: Shop, options: dict, project: str, profiles: str | None, code: str, hint: str | None
) -> None:
    shop.write("dbt_project.yml", project)
    if profiles is None:
        (shop.folder / "profiles.yml").unlink()
    else:
        shop.write("profiles.yml", profiles)
    with pytest.raises(InputError) as error:
        find_profile(Options(**options), ProjectFile.read(shop.folder))
    problem = error.value.diagnostics[0]
    assert problem.code == code
    if hint:
        assert hint in (problem.hint or "")


def test_a_file_that_cannot_be_read(shop: Shop) -> None:
    (shop.folder / "dbt_project.yml").write_bytes(b"name: \xff\xfe")
    assert code_of(ProjectFile.read, shop.folder) == "file-unreadable"
    (shop.folder / "dbt_project.yml").write_bytes(b"name: \x00")
    assert code_of(ProjectFile.read, shop.folder) == "yaml-syntax"


class TestDoubts:
    def test_nothing_is_newer(self, shop: Shop) -> None:
        assert list(Project.open(Options()).doubts()) == []

    @pytest.mark.parametrize(
        "changed", ["models/schema.yml", "models/deep/users.sql", "dbt_project.yml", "macros/m.sql", "seeds/s.yml"]
    )
    def test_a_file_that_is_newer(self, shop: Shop, changed: str) -> None:
        later = shop.target.joinpath("manifest.json").stat().st_mtime + 10
        path = shop.folder / changed
        shop.write(changed, path.read_text() if path.exists() else "")
        os.utime(path, (later, later))
        (warning,) = Project.open(Options()).doubts()
        assert (warning.code, warning.warning) == ("manifest-stale", True)
        assert f"`{changed}` changed" in warning.summary
        assert "dbt parse" in (warning.hint or "")
        assert "manifest-stale" in [item.code for item in shop.load().warnings]

    def test_files_that_do_not_matter(self, shop: Shop) -> None:
        later = shop.target.joinpath("manifest.json").stat().st_mtime + 10
        for name in ("seeds/data.csv", "models/notes.md", "elsewhere/x.sql", "destinations.yml"):
            os.utime(shop.write(name, DESTINATIONS), (later, later))
        assert list(Project.open(Options()).doubts()) == []

    def test_folders_of_another_name(self, shop: Shop) -> None:
        shop.write("dbt_project.yml", PROJECT + "model-paths: [marts]\n")
        later = shop.target.joinpath("manifest.json").stat().st_mtime + 10
        os.utime(shop.write("marts/new.sql", ""), (later, later))
        os.utime(shop.write("models/old.sql", ""), (later, later))
        (warning,) = Project.open(Options()).doubts()
        assert "`marts/new.sql` changed" in warning.summary

    @pytest.mark.parametrize(
        ("written", "given", "told"),
        [
            ({"day": 1}, {"day": 2}, True),
            ({}, {"day": 2}, True),
            ({"day": 1}, {"day": 1}, False),
            ({"day": 1}, {}, False),
        ],
    )
    def test_other_variables(self, shop: Shop, written: dict, given: dict, told: bool) -> None:
        shop.write_run_results({}, vars=written)
        found = [item.summary for item in Project.open(Options(vars=given)).doubts()]
        assert found == (
            ["dbt wrote the manifest with other --vars; relations and syncs are those of then"] if told else []
        )

    @pytest.mark.parametrize(("schema", "dbt"), [("v13", "1.14.0"), ("v12", "3.0.0")])
    def test_a_dbt_that_is_not_known(self, shop: Shop, schema: str, dbt: str) -> None:
        place = f"https://schemas.getdbt.com/dbt/manifest/{schema}.json"
        about = shop.manifest["metadata"] | {"dbt_schema_version": place, "dbt_version": dbt}
        shop.write_manifest(shop.manifest | {"metadata": about})
        (warning,) = Project.open(Options()).doubts()
        assert warning.code == "manifest-unknown-version"
        assert (f"schema {schema}, written by dbt {dbt}" in warning.summary, shop.problems()) == (True, [])
