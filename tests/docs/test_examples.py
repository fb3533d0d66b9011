"""Examples for schedulers, the GitHub action and the pre-commit hook: they parse, and every command in them exists."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest
import yaml

from docs.sources import DOCS, ROOT
from revetl_dbt.cli.main import COMMANDS, cli

EXAMPLES = sorted((DOCS / "examples").iterdir())


def accepted(words: list[str]) -> None:
    """The command exists and takes these options."""
    assert words[0] in COMMANDS
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None
    command.make_context(words[0], list(words[1:]), resilient_parsing=True)
    known = {flag for item in command.params for flag in (*item.opts, *item.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


def commands(text: str) -> list[list[str]]:
    listed = [ast.literal_eval(found) for found in re.findall(r'\["revetl".*?\]', text)]
    written = re.findall(r"""revetl ((?:run|watch|plan|validate)[^"'\n]*)""", text)
    return [*(words[1:] for words in listed), *(shlex.split(line) for line in written)]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_call_what_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        compile(text, path.name, "exec")
    if path.suffix == ".yml":
        assert "jobs" in yaml.safe_load(text)
    found = commands(text)
    assert found
    for words in found:
        accepted(words)


def ran(line: str, shell: list[str], folder: Path, *, fails: str = "") -> list[str]:
    """The commands that a shell's line calls; stand-ins note them, and what begins with `fails` fails."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    noted = folder / "noted"
    noted.write_text("")
    for name in ("dbt", "revetl", "pip", "flock"):
        text = f'echo "${{0##*/}} $*" >> {noted}\n'
        text += f'case "${{0##*/}} $*" in "{fails or "-"}"*) exit 1;; esac\n'
        text += 'shift 2; exec "$@"\n' if name == "flock" else ""
        (programs / name).write_text(f"#!/bin/sh\n{text}")
        (programs / name).chmod(0o755)
    environ = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([*shell, "-c", line], env=environ, cwd=folder, check=False, timeout=60)
    assert (done.returncode != 0) is bool(fails)
    return noted.read_text().splitlines()


def test_the_line_of_cron_is_one_for_sh(tmp_path: Path) -> None:
    text = (DOCS / "examples" / "crontab").read_text(encoding="utf-8").replace("/srv/analytics", str(tmp_path))
    [line] = [line.split(maxsplit=5)[5] for line in text.splitlines() if not line.startswith("#")]
    _, build, send = ran(line, ["sh"], tmp_path)
    assert (build, send) == ("dbt build --target prod", "revetl run --target prod")
    assert ran(line, ["sh"], tmp_path, fails="dbt build")[1:] == [build]


def test_the_steps_of_github_actions_are_lines_for_bash(tmp_path: Path) -> None:
    job = yaml.safe_load((DOCS / "examples" / "github_actions.yml").read_text(encoding="utf-8"))["jobs"]["sync"]
    steps = [step["run"] for step in job["steps"] if "run" in step]
    noted = [line for step in steps for line in ran(step, ["bash", "-eo", "pipefail"], tmp_path)]
    assert noted == [
        "pip install -r requirements.txt", "dbt deps", "dbt build --target prod", "revetl run --target prod"
    ]  # fmt: skip


def test_the_action_calls_revetl_with_its_inputs(tmp_path: Path) -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    step = action["runs"]["steps"][-1]
    used = {name: re.fullmatch(r"\$\{\{ inputs\.([a-z-]+) \}\}", value) for name, value in step["env"].items()}
    assert {found[1] for found in used.values() if found} | {"version"} == set(action["inputs"])
    (tmp_path / "revetl").write_text('#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done\n')
    (tmp_path / "revetl").chmod(0o755)
    given = {"COMMAND": "run", "TARGET": "prod", "PROJECT_DIR": "a b", "SELECT": "tag:x", "ARGUMENTS": "--fail-fast -q"}
    assert given.keys() == used.keys()
    environ = {**os.environ, **given, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-eo", "pipefail", "-c", step["run"]], env=environ, capture_output=True, text=True)
    words = done.stdout.splitlines()
    assert words == ["run", "--project-dir", "a b", "--target", "prod", "--select", "tag:x", "--fail-fast", "-q"]
    accepted(words[:1] + words[3:])
    only = {**environ, "TARGET": "", "SELECT": "", "ARGUMENTS": ""}
    done = subprocess.run(["bash", "-eo", "pipefail", "-c", step["run"]], env=only, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["run", "--project-dir", "a b"]


def test_the_pre_commit_hook_validates() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert (hook["id"], hook["pass_filenames"]) == ("revetl-validate", False)
    accepted(shlex.split(hook["entry"])[1:])
    assert re.search(hook["files"], "models/marts/sales.yml")


def test_package_and_command_have_one_version() -> None:
    from revetl_dbt import __version__

    assert yaml.safe_load((ROOT / "dbt_project.yml").read_text(encoding="utf-8"))["version"] == __version__
    assert f"'{__version__}'" in (ROOT / "macros" / "package.sql").read_text(encoding="utf-8")


def test_a_project_on_any_adapter_can_parse_the_package() -> None:
    """dbt refuses to parse a dispatch that finds no macro, even where it is never called."""
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "macros").rglob("*.sql"))
    dispatched = set(re.findall(r"adapter\.dispatch\('(\w+)'", text))
    assert len(dispatched) > 20
    assert sorted(name for name in dispatched if f"macro default__{name}(" not in text) == []
