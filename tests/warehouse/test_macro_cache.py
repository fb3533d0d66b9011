"""Macros that were parsed once are not parsed again, and a file that has changed is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from engine.harness import write_project

from revetl_dbt.warehouse.dbt_api import DbtSession

OVERRIDE = "{%% macro duckdb__revetl_any_order() %%}{{ return(%d) }}{%% endmacro %%}"
Parsed = Counter[str]


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Parsed:
    """How often dbt parsed a file of macros, by the name of its project."""
    from dbt.parser.macros import MacroParser

    count, parse = Counter[str](), MacroParser.parse_file

    def counted(parser: MacroParser, block: object) -> None:
        count[parser.project.project_name] += 1
        parse(parser, block)

    monkeypatch.setattr(MacroParser, "parse_file", counted)
    return count


@pytest.fixture
def answer(tmp_path: Path) -> Callable[[], int]:
    """What the project's override of one of our macros says, in a session of its own."""
    options = write_project(tmp_path, {"type": "duckdb", "path": ":memory:"})
    (tmp_path / "macros").mkdir()
    write(tmp_path, 1)

    def ask() -> int:
        session = DbtSession(replace(options, scratch=tmp_path / "scratch"))
        try:
            return int(session.macro("revetl_any_order"))
        finally:
            session.close()

    return ask


def write(folder: Path, number: int) -> None:
    (folder / "macros" / "ours.sql").write_text(OVERRIDE % number)


def cache(folder: Path) -> Path:
    return folder / "scratch" / "macros-duckdb.json"


def test_each_file_is_parsed_once(answer: Callable[[], int], parsed: Parsed) -> None:
    assert answer() == 1
    assert parsed["harness"] == 1
    assert parsed["dbt"] > 50
    parsed.clear()
    assert answer() == 1
    assert not parsed


def test_a_file_that_has_changed_is_parsed(answer: Callable[[], int], parsed: Parsed, tmp_path: Path) -> None:
    assert answer() == 1
    parsed.clear()
    write(tmp_path, 2)
    assert answer() == 2
    assert parsed == {"harness": 1}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": "1.0.0", "files": {}}'])
def test_what_is_of_no_use_is_made_anew(
    answer: Callable[[], int], parsed: Parsed, tmp_path: Path, content: str
) -> None:
    assert answer() == 1
    cache(tmp_path).write_text(content)
    parsed.clear()
    assert answer() == 1
    assert parsed["dbt"] > 50
    parsed.clear()
    assert answer() == 1
    assert not parsed


def test_a_folder_that_cannot_be_written_is_done_without(answer: Callable[[], int], tmp_path: Path) -> None:
    (tmp_path / "scratch").write_text("no folder")
    assert answer() == 1
    assert answer() == 1
