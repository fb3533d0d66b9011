"""Macros that were parsed once are not parsed again, and a file that has changed is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from engine.harness import write_project

from revetl_dbt.warehouse.dbt_api import DbtSession
from revetl_dbt.warehouse.macro_cache import MacroCache

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


def test_each_content_of_a_file_is_parsed_once(answer: Callable[[], int], parsed: Parsed, tmp_path: Path) -> None:
    assert answer() == 1
    assert parsed["harness"] == 1
    assert parsed["dbt"] > 50
    parsed.clear()
    assert answer() == 1
    assert not parsed
    write(tmp_path, 2)
    assert answer() == 2
    assert parsed == {"harness": 1}


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"version": "1.0", "files": 3}', '{"version": "2.0", "files": {"a": []}}']
)
def test_what_is_of_no_use_is_written_anew(tmp_path: Path, content: str) -> None:
    file = tmp_path / "macros.json"
    file.write_text(content)
    cache = MacroCache(file, "1.0")
    assert cache.get("a") is None
    cache.put("a", [{"name": "one"}])
    cache.save()
    assert MacroCache(file, "1.0").get("a") == [{"name": "one"}]


def test_only_what_was_asked_for_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "macros.json"
    cache = MacroCache(file, "1.0")
    cache.put("a", [])
    cache.put("b", [])
    cache.save()
    cache = MacroCache(file, "1.0")
    assert cache.get("b") == []
    cache.put("c", [])
    cache.save()
    cache = MacroCache(file, "1.0")
    assert [cache.get(key) for key in "abc"] == [None, [], []]


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "scratch").write_text("no folder")
    cache = MacroCache(tmp_path / "scratch" / "macros.json", "1.0")
    cache.put("a", [])
    cache.save()
    assert MacroCache(tmp_path / "scratch" / "macros.json", "1.0").get("a") is None
