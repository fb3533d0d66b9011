"""The dbt plugin, in real parses by dbt: silent unless asked for, then a warning or an error."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("plugin")

CHECK = """
import os, sys
from dbt.cli.main import dbtRunner
done = dbtRunner().invoke(["--no-use-colors", "parse"])
raise SystemExit(0 if done.success else 2)
"""


@pytest.fixture(scope="module")
def wrong(parsed_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with a mistake in a declaration."""
    folder = tmp_path_factory.mktemp("wrong") / "shop"
    shutil.copytree(parsed_shop, folder)
    schema = folder / "models" / "schema.yml"
    schema.write_text(schema.read_text().replace("object: users", "objct: users"))
    return folder


def parse(folder: Path, mode: str | None) -> tuple[int, str]:
    environ = {name: value for name, value in os.environ.items() if name != "REVETL_DBT_PLUGIN"}
    environ |= {} if mode is None else {"REVETL_DBT_PLUGIN": mode}
    command = [sys.executable, "-c", CHECK]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("mode", "code", "told"),
    [(None, 0, False), ("warn", 0, True), ("error", 2, True), ("loud", 2, False)],
)
def test_a_mistake_is_told_as_asked_for(wrong: Path, mode: str | None, code: int, told: bool) -> None:
    ended, said = parse(wrong, mode)
    assert ended == code, said
    assert ("error[unknown-key]" in said) is told
    if told:
        assert "models/schema.yml:" in said
        assert "Did you mean `object`?" in said
    if mode == "loud":
        assert "REVETL_DBT_PLUGIN is `loud`; expected: `warn` or `error`" in said


def test_what_is_right_is_no_error(parsed_shop: Path, tmp_path: Path) -> None:
    shutil.copytree(parsed_shop, tmp_path / "shop")
    ended, said = parse(tmp_path / "shop", "error")
    assert (ended, "error[" in said) == (0, False), said


def test_nothing_is_imported_when_nobody_asked() -> None:
    program = "import sys; import dbt_revetl; print([name for name in sys.modules if 'dbt' in name])"
    environ = {name: value for name, value in os.environ.items() if name != "REVETL_DBT_PLUGIN"}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "['dbt_revetl']\n"
