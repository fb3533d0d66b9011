"""The commands that need no warehouse: what they print, where, and their exit codes."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import duckdb
import pytest
import yaml
from click.testing import CliRunner, Result
from shop import PROJECT, USERS, Shop

from revetl_dbt.cli import options as cli_options
from revetl_dbt.cli.main import COMMANDS, cli
from revetl_dbt.errors import RevetlError
from revetl_dbt.project.options import Options


def revetl(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(cli, arguments, env=environ)


class TestMain:
    def test_help_names_every_command(self) -> None:
        text = revetl("--help").stdout
        assert all(f"  {name}" in text for name in COMMANDS)

    @pytest.mark.parametrize("name", ["init", "ls", "validate", "schema"])
    def test_a_command_is_named_as_its_own_help_says(self, name: str) -> None:
        command = importlib.import_module(f"revetl_dbt.cli.{name}").command
        assert command.get_short_help_str(200).rstrip(".") == COMMANDS[name]

    def test_version(self) -> None:
        from revetl_dbt import __version__

        assert revetl("--version").stdout == f"revetl_dbt {__version__}\n"

    def test_an_unknown_command_or_option(self) -> None:
        assert revetl("lst").exit_code == 2
        assert revetl("ls", "--slect", "x").exit_code == 2

    @pytest.mark.parametrize(
        ("error", "code", "words"),
        [
            (RevetlError("the warehouse is away"), 1, "the warehouse is away"),
            (ZeroDivisionError("secret value"), 2, "error[internal]: Unexpected ZeroDivisionError"),
        ],
    )
    def test_errors_end_as_messages(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, words: str
    ) -> None:
        def fail(*_: object) -> None:
            raise error

        monkeypatch.setattr("revetl_dbt.spec.load.load", fail)
        result = revetl("validate")
        assert (result.exit_code, result.stdout) == (code, "")
        assert words in result.stderr
        assert "secret value" not in result.stderr
        assert "Traceback" not in result.stderr
        assert "Traceback" in revetl("validate", "--debug").stderr

    def test_diagnostics_as_json_lines(self, shop: Shop) -> None:
        shop.write_models(USERS.replace("object: users", "objct: users"))
        result = revetl("validate", "--log-format", "json")
        lines = [json.loads(line) for line in result.stderr.splitlines()]
        assert [(line["level"], line["code"], line["path"], line["line"]) for line in lines] == [
            ("error", "unknown-key", "models/schema.yml", 8)
        ]
        assert result.exit_code == 2


class TestOptions:
    """Read as dbt reads them."""

    @pytest.fixture
    def read(self, monkeypatch: pytest.MonkeyPatch, shop: Shop):
        seen: list[Options] = []

        @click.command(cls=cli_options.Command)
        @cli_options.selection_options
        @cli_options.run_options
        @cli_options.project_options
        @cli_options.log_options
        @cli_options.pass_options
        def command(options: Options) -> int:
            seen.append(options)
            return 0

        monkeypatch.setattr(importlib.import_module("revetl_dbt.cli.ls"), "command", command)

        def read(*arguments: str, before: tuple[str, ...] = (), **environ: str) -> Options:
            result = revetl(*before, "ls", *arguments, **environ)
            assert result.exit_code == 0, result.output
            return seen[-1]

        return read

    def test_defaults(self, read) -> None:
        assert read() == Options()

    def test_lists_take_several_words(self, read) -> None:
        options = read("--select", "a", "b+", "--exclude", "c d", "-s", "e", "--sync", "x", "y", "--destination", "z")
        assert options.select == ("a", "b+", "e")
        assert options.exclude == ("c", "d")
        assert (options.syncs, options.destinations) == (("x", "y"), ("z",))
        assert read("--select=a", "-m", "b").select == ("a", "b")

    def test_a_list_option_needs_a_value(self, shop: Shop) -> None:
        assert revetl("ls", "--select").exit_code == 2

    def test_environment(self, read) -> None:
        options = read(DBT_TARGET="prod", DBT_FULL_REFRESH="1", DBT_LOG_FORMAT="json", DBT_USE_COLORS="false")
        assert (options.target, options.full_refresh, options.log_format, options.use_colors) == (
            "prod",
            True,
            "json",
            False,
        )
        assert read(DBT_ENGINE_TARGET="new", DBT_TARGET="old").target == "new"
        assert read("--target", "cli", DBT_TARGET="env").target == "cli"

    def test_vars(self, read) -> None:
        assert read("--vars", "{a: 1, b: [x]}").vars == {"a": 1, "b": ["x"]}
        assert revetl("ls", "--vars", "a").exit_code == 2
        assert revetl("ls", "--vars", "{").exit_code == 2

    def test_flags_before_and_after_the_command(self, read) -> None:
        assert read(before=("--debug",)).debug is True
        assert read("--log-level", "warn", before=("--log-level", "error")).log_level == "warn"
        assert read(before=("-q",)).quiet is True

    def test_debug_is_a_log_level(self, read) -> None:
        assert read("-d").log_level == "debug"

    def test_flags_of_the_project(self, read, shop: Shop) -> None:
        shop.write(
            "dbt_project.yml", PROJECT + "flags: {fail_fast: true, use_colors: false, log_format: json, other: 1}\n"
        )
        options = read()
        assert (options.fail_fast, options.use_colors, options.log_format) == (True, False, "json")
        assert read("--no-fail-fast").fail_fast is False
        assert read(DBT_FAIL_FAST="false").fail_fast is False
        assert read(before=("--log-format", "text")).log_format == "text"

    def test_switches(self, read) -> None:
        options = read("-x", "-f", "--no-gate", "--no-write-json", "--threads", "3", "--state", "old")
        assert (options.fail_fast, options.full_refresh, options.gate, options.write_json) == (True, True, False, False)
        assert (options.threads, options.state) == (3, Path("old"))

    @pytest.mark.parametrize(
        "ours",
        [
            option
            for group in (cli_options._LOG, cli_options._PROJECT, cli_options._SELECTION, cli_options._RUN)
            for decorate in group
            for option in decorate(click.Command("x")).params
        ],
        ids=lambda option: option.name,
    )
    def test_names_and_variables_are_dbts(self, ours: click.Option) -> None:
        if ours.name in ("sync", "destination", "all_rows", "gate", "parse"):
            assert ours.envvar is None
            return
        theirs = DBT_OPTIONS[ours.name or ""]
        assert set(theirs["opts"]) >= {name for name in ours.opts if name != "--models"} - {"-m"}
        same = set(ours.envvar or []) == set(theirs["envvar"])
        assert same or (DBT < (1, 11) and set(theirs["envvar"]) < set(ours.envvar or []))


DBT = tuple(map(int, version("dbt-core").split(".")[:2]))  # DBT_ENGINE_* came with 1.11


def _dbt_options() -> dict[str, dict[str, list[str]]]:
    program = (
        "import json\nfrom dbt.cli import params as p\nimport click\nfound = {}\n"
        "for name, decorate in vars(p).items():\n"
        "    if callable(decorate) and getattr(decorate, '__module__', '').startswith('click'):\n"
        "        try:\n            option = decorate(click.Command('x')).params[-1]\n"
        "        except Exception:\n            continue\n"
        "        env = option.envvar if isinstance(option.envvar, list) else [option.envvar] if option.envvar else []\n"
        "        found.setdefault(option.name, {'opts': option.opts, 'envvar': env})\n"
        "print(json.dumps(found))"
    )
    return json.loads(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    )


DBT_OPTIONS = _dbt_options()


class TestLs:
    def test_a_table(self, shop: Shop) -> None:
        shop.write_models(USERS.replace("key: user_id", "enabled: false"))
        result = revetl("ls")
        assert result.stdout == "users_to_api  users  -> api.users  upsert, paused\n"
        assert (result.stderr, result.exit_code) == ("", 0)

    def test_names_and_json(self, shop: Shop) -> None:
        assert revetl("ls", "--output", "name").stdout == "users_to_api\n"
        row = json.loads(revetl("ls", "--output", "json").stdout)
        assert row["unique_id"] == "model.shop.users"
        assert (row["destination"], row["object"], row["path"], row["line"]) == ("api", "users", "models/schema.yml", 6)

    def test_a_broken_declaration_is_listed_too(self, shop: Shop) -> None:
        shop.write_sync("[1]")
        assert revetl("ls").stdout.split() == ["s", "users", "->", "?.?", "upsert"]

    def test_selection_by_name(self, shop: Shop) -> None:
        assert revetl("ls", "--destination", "api", "--output", "name").stdout == "users_to_api\n"
        result = revetl("ls", "--sync", "user_to_api")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "error[unknown-sync]" in result.stderr
        assert "Did you mean `users_to_api`?" in result.stderr
        assert "error[unknown-destination]" in revetl("ls", "--destination", "crm").stderr

    def test_a_sync_of_a_disabled_model(self, shop: Shop) -> None:
        node = shop.manifest["nodes"].pop("model.shop.users")
        shop.manifest["disabled"] = {"model.shop.users": [node]}
        shop.write_manifest(shop.manifest)
        assert "`users`, which is disabled" in revetl("ls", "--sync", "users_to_api").stderr

    def test_nothing_declared(self, shop: Shop) -> None:
        shop.write_models("models: [{name: users}]")
        result = revetl("ls")
        assert (result.exit_code, result.stdout) == (0, "")
        assert "warning[nothing-declared]" in result.stderr

    def test_outside_of_a_project(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        result = revetl("ls")
        assert result.exit_code == 2
        assert "error[project-missing]" in result.stderr


class TestValidate:
    def test_fine(self, shop: Shop) -> None:
        result = revetl("validate")
        assert (result.stdout, result.exit_code) == ("1 sync valid for target `dev`, to `api`\n", 0)
        assert revetl("validate", "-q").output == ""

    def test_wrong(self, shop: Shop) -> None:
        shop.write_models(USERS.replace("object: users", "object: user"))
        result = revetl("validate")
        assert (result.stdout, result.exit_code) == ("", 2)
        assert result.stderr == (
            "error[unknown-object]: `http` has no object `user` (sync `users_to_api`)\n"
            "  models/schema.yml:8  config.meta.revetl.users_to_api.object\n"
            "  expected: `users`, `companies`, `events`\n"
            "  hint: Did you mean `users`?\n"
        )

    def test_warnings_and_json(self, shop: Shop) -> None:
        shop.write_models(USERS.replace("unique, ", ""))
        assert "warning[key-untested]" in revetl("validate").stderr
        assert revetl("validate", "--log-level", "error").stderr == ""
        report = json.loads(revetl("validate", "--output", "json").stdout)
        assert (report["valid"], report["syncs"], report["target"]) == (True, ["users_to_api"], "dev")
        assert [item["code"] for item in report["diagnostics"]] == ["key-untested"]
        shop.write_models(USERS.replace("api", "apy"))
        result = revetl("validate", "--output", "json")
        assert result.exit_code == 2
        assert json.loads(result.stdout)["valid"] is False

    def test_nothing_declared(self, shop: Shop) -> None:
        shop.write_models("models: [{name: users}]")
        (shop.folder / "destinations.yml").unlink()
        result = revetl("validate")
        assert (result.stdout, result.exit_code) == ("", 0)
        assert "warning[nothing-declared]" in result.stderr


class TestInit:
    BARE = """\
models:
  - name: users # people
    columns: &c
      - name: user_id
        data_tests: [unique]
      - name: EMAIL
      - name: first_name
"""

    @pytest.fixture
    def bare(self, shop: Shop) -> Shop:
        (shop.folder / "destinations.yml").unlink()
        shop.write_models(self.BARE)
        return shop

    def test_writes_what_a_first_sync_needs(self, bare: Shop) -> None:
        result = revetl("init")
        assert result.exit_code == 0, result.output
        text = (bare.folder / "models/schema.yml").read_text()
        assert text.startswith("models:\n  - name: users # people\n    config:\n      meta:\n        revetl:\n")
        block = yaml.safe_load(text)["models"][0]["config"]["meta"]["revetl"]
        assert block == {
            "users_to_hubspot": {
                "destination": "hubspot",
                "object": "contacts",
                "key": "user_id",
                "match": {"email": "EMAIL"},
                "fields": {"firstname": "first_name"},
            }
        }
        assert (bare.folder / ".gitignore").read_text() == "target/\nlogs/\n"
        bare.write_models(text)
        assert revetl("validate").stdout == "1 sync valid for target `dev`, to `hubspot` (sandbox)\n"

    def test_never_overwrites(self, bare: Shop) -> None:
        bare.write("destinations.yml", "mine: {}")
        bare.write(".gitignore", "/target\nlogs")
        first = revetl("init")
        before = {path: path.read_bytes() for path in bare.folder.rglob("*") if path.is_file()}
        second = revetl("init")
        assert (first.exit_code, second.exit_code) == (0, 0)
        assert {path: path.read_bytes() for path in bare.folder.rglob("*") if path.is_file()} == before
        assert (bare.folder / "destinations.yml").read_text() == "mine: {}"
        assert "Kept destinations.yml" in first.stdout
        assert "Paste this under `name: users`" in second.stdout

    @pytest.mark.parametrize(
        ("config", "pasted"),
        [
            ("    config:\n      tags: [x]\n", False),
            ("    config:\n      meta:\n        owner: me\n", False),
            ("    config: {tags: [x]}\n", True),
            ("    config:\n      meta: {owner: me}\n", True),
        ],
    )
    def test_adds_to_what_is_there(self, bare: Shop, config: str, pasted: bool) -> None:
        text = self.BARE.replace("    columns", config + "    columns")
        bare.write_models(text)
        result = revetl("init")
        assert ("Paste this" in result.stdout) is pasted
        after = yaml.safe_load((bare.folder / "models/schema.yml").read_text())
        old = yaml.safe_load(text)
        if not pasted:
            block = after["models"][0]["config"]["meta"].pop("revetl")
            assert list(block) == ["users_to_hubspot"]
            if not after["models"][0]["config"]["meta"]:
                del after["models"][0]["config"]["meta"]
        assert after == old

    def test_a_model_without_yaml_gets_a_file(self, bare: Shop) -> None:
        node = bare.manifest["nodes"]["model.shop.users"]
        node.update(patch_path=None, columns={})
        bare.write_manifest(bare.manifest)
        result = revetl("init", "--model", "users")
        assert result.exit_code == 0
        assert "No column of `users` is named like an e-mail address: name one under `match`" in result.stdout
        text = (bare.folder / "models/users.yml").read_text()
        assert text.startswith("models:\n  - name: users\n    config:\n      meta:\n        revetl:\n")
        assert list(yaml.safe_load(text)["models"][0]) == ["name", "config"]

    def test_columns_that_the_yaml_does_not_name_are_those_of_the_table(self, bare: Shop) -> None:
        bare.write_models("models: [{name: users}, {name: orders}]")
        missing = revetl("init")
        assert missing.exit_code == 2
        assert "error[no-model]: No model has a column that is named like an e-mail address" in missing.stderr
        assert not (bare.folder / "destinations.yml").exists()
        with duckdb.connect("shop.duckdb") as connection:
            connection.execute("create table users as select 1 as user_id, '' as home_email, '' as FIRST_NAME")
        assert "Paste this under `name: users`" in revetl("init").stdout
        bare.write_models("models:\n  - name: users\n")
        assert revetl("init").exit_code == 0
        [model] = yaml.safe_load((bare.folder / "models/schema.yml").read_text())["models"]
        [block] = model["config"]["meta"]["revetl"].values()
        assert (block["key"], block["match"]) == ("user_id", {"email": "home_email"})
        assert block["fields"] == {"firstname": "first_name"}

    def test_keeps_the_ends_of_lines(self, bare: Shop) -> None:
        path = bare.folder / "models/schema.yml"
        path.write_bytes(b"models:\r\n  - name: users")
        result = revetl("init", "--model", "users")
        assert "Added sync" in result.stdout
        lines = path.read_bytes().split(b"\r\n")
        assert lines[:3] == [b"models:", b"  - name: users", b"    config:"]
        assert not any(b"\n" in line for line in lines)

    def test_a_model_that_is_not_there(self, bare: Shop) -> None:
        result = revetl("init", "--model", "user")
        assert result.exit_code == 2
        assert "error[unknown-model]" in result.stderr
        assert "Did you mean `users`?" in result.stderr
        bare.write_models("models: []")
        assert "error[no-model]" in revetl("init").stderr

    def test_what_cannot_be_written(self, bare: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "write_text", refuse)
        result = revetl("init")
        assert result.exit_code == 2
        assert "error[file-unwritable]: Cannot write the file: Permission denied\n  .gitignore" in result.stderr

    def test_without_a_manifest(self, bare: Shop) -> None:
        (bare.target / "manifest.json").unlink()
        result = revetl("init")
        assert result.exit_code == 2
        assert "dbt parse" in result.stderr
        assert not (bare.folder / "destinations.yml").exists()

    def test_a_model_with_syncs_is_left_alone(self, shop: Shop) -> None:
        before = (shop.folder / "models/schema.yml").read_bytes()
        assert "Kept the syncs of `users`" in revetl("init").stdout
        assert (shop.folder / "models/schema.yml").read_bytes() == before


class TestStart:
    """What must be quick imports neither dbt nor what is slow to import."""

    @pytest.mark.parametrize(
        ("arguments", "absent"),
        [
            (["--help"], ["dbt", "agate", "rich", "requests", "pydantic", "jinja2", "yaml"]),
            (["ls"], ["dbt", "agate", "rich", "requests", "pydantic", "jinja2"]),
            (["ls", "--help"], ["dbt", "agate", "rich", "requests", "pydantic", "jinja2"]),
            (["validate"], ["dbt", "agate", "rich"]),
            (["schema", "destinations"], ["dbt", "agate", "rich"]),
            (["init"], ["dbt", "agate", "rich", "requests"]),
        ],
    )
    def test_modules(self, shop: Shop, arguments: list[str], absent: list[str]) -> None:
        program = (
            "import sys\nfrom revetl_dbt.cli.main import cli\n"
            f"cli.main({arguments!r}, standalone_mode=False)\n"
            f"print([name for name in {absent!r} if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ))
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "[]"
