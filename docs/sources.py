"""What the pages take from the source itself, so that they cannot fall behind it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "revetl_dbt"

_DIAGNOSTICS = {"Diagnostic", "Problem", "RenderError", "single", "problem", "_report"}
_OUTCOME_CODE = {"Outcome": 3, "Result": 3, "_Refused": 1}  # the position of the code among the arguments
_CODE = re.compile(r"[a-z]+(-[a-z]+)*")
_COLUMN = re.compile(r"\('(\w+)', (text|big|time)\)")
_TYPES = {"text": "text", "big": "whole number", "time": "timestamp (UTC)"}


def diagnostic_codes() -> set[str]:
    """The code of every diagnostic that the package can raise."""
    return {
        code
        for call, name in _calls()
        if name in _DIAGNOSTICS and call.args and (code := _text(call.args[0])) and _CODE.fullmatch(code)
    }


def row_codes() -> set[str]:
    """The codes of our own that a row or a request can be refused with; all others are the vendor's."""
    found: set[str] = set()
    for call, name in _calls():
        position = _OUTCOME_CODE.get(name)
        if position is not None and len(call.args) > position:
            found.add(_text(call.args[position]))
        if name.endswith("Error") or name == "kind":
            found.update(_text(item.value) for item in call.keywords if item.arg == "code")
    return found - {""}


def tables() -> dict[str, list[tuple[str, str]]]:
    """The shared state tables: name and type of each column, from the macro that creates them."""
    text = (ROOT / "macros" / "record.sql").read_text(encoding="utf-8")
    body = text.split("macro revetl_shared_tables()", 1)[1].split("endmacro", 1)[0]
    parts = re.split(r"'(revetl_\w+)':", body)[1:]
    return {
        name: [(column, _TYPES[kind]) for column, kind in _COLUMN.findall(columns)]
        for name, columns in zip(parts[::2], parts[1::2], strict=True)
    }


def words(name: str) -> dict[str, Any]:
    """The hand-written sentences of docs/reference/<name>.yml."""
    data: dict[str, Any] = yaml.safe_load((DOCS / "reference" / f"{name}.yml").read_text(encoding="utf-8"))
    return data


def _calls() -> Iterator[tuple[ast.Call, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if "sandbox" in path.relative_to(PACKAGE).parts[:1]:
            continue  # speaks as the vendors do
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield node, str(getattr(node.func, "attr", None) or getattr(node.func, "id", ""))


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
