"""Every code of a diagnostic is documented, and expected by a test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from docs.sources import DOCS, diagnostic_codes

TESTS = Path(__file__).parents[1]
_BRACKETED = re.compile(r"(?:error|warning)\\?\[([a-z-]+)\\?\]")


@cache
def named_in_tests() -> dict[str, set[str]]:
    """The codes that tests expect, as a word of their own or as `[code]`, and the files that do."""
    codes, found = diagnostic_codes(), dict[str, set[str]]()
    for path in sorted(TESTS.rglob("test_*.py")):
        for text in _texts(path):
            for code in codes & ({text} | set(_BRACKETED.findall(text))):
                found.setdefault(code, set()).add(path.name)
    return found


def _texts(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("code", sorted(diagnostic_codes()))
def test_every_code_is_documented_and_expected_by_a_test(code: str) -> None:
    assert named_in_tests().get(code), f"no test raises {code}"
    page = (DOCS / "reference" / "errors.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| `{code}` \| \S", page, re.MULTILINE)
