"""Short forms of a declaration, written out: what comes back has the shape of SyncSpec, as far as the input allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from revetl_dbt.project.yamlfile import Key
from revetl_dbt.spec.declared import Declaration
from revetl_dbt.spec.problem import Problem
from revetl_dbt.spec.reword import describe

_MAPPING = "a column, or one of {column: ..}, {value: ..}, {sql: ..}, {lookup: ..}"


def normalise(declaration: Declaration) -> tuple[dict[str, Any], list[Problem]]:
    """The block of a sync with its short forms written out, and what could not be understood (and is left out).

    `Email: email` becomes `Email: {column: email}`; a single key or `allow_pii` becomes a list; a name in
    `changed_since` is its column; without a key, the columns in `match` are it; the mappings that stand at columns join
    `fields`.
    """
    problems: list[Problem] = []
    subject = f"sync `{declaration.name}`"
    if not isinstance(declaration.block, Mapping):
        wrong = Problem(
            "wrong-type",
            f"{subject} is {describe(declaration.block)}",
            (),
            "a mapping with `destination`, `object`, `fields`, ..",
        )
        return {}, [wrong]
    block = dict(declaration.block)
    for name in ("key", "allow_pii"):
        if isinstance(block.get(name), str):
            block[name] = [block[name]]
    if isinstance(block.get("changed_since"), str):
        block["changed_since"] = {"column": block["changed_since"]}
    match = block.get("match")
    if "key" not in block and isinstance(match, Mapping):
        block["key"] = [column for column in match.values() if isinstance(column, str)]
    if isinstance(block.get("fields"), Mapping):
        block["fields"] = {
            str(name): _mapping(name, value, subject, problems) for name, value in block["fields"].items()
        }
    if declaration.columns and isinstance(block.get("fields", {}), Mapping):
        _add_columns(declaration, block, subject, problems)
    if isinstance(block.get("fields"), dict):
        block["fields"] = {name: value for name, value in block["fields"].items() if value is not None}
    return block, problems


def column_field(value: Any) -> Any:
    """The destination field of a column's short form: `Email`, or `{field: Email, if_null: skip}`."""
    return value.get("field") if isinstance(value, Mapping) else value


def _mapping(name: Any, value: Any, subject: str, problems: list[Problem]) -> Any:
    keys: tuple[Key, ...] = ("fields", str(name))
    if isinstance(value, str):
        return {"column": value}
    if isinstance(value, Mapping):
        return dict(value)
    hint = f"For a constant, write {{value: {value}}}" if isinstance(value, (bool, int, float)) else None
    problems.append(Problem("wrong-type", f"Field `{name}` is {describe(value)} in {subject}", keys, _MAPPING, hint))
    return None


def _add_columns(declaration: Declaration, block: dict[str, Any], subject: str, problems: list[Problem]) -> None:
    fields = block.setdefault("fields", {})
    for column, value in declaration.columns.items():
        name = column_field(value)
        options = {key: item for key, item in value.items() if key != "field"} if isinstance(value, Mapping) else {}
        if not isinstance(name, str):
            summary = f"Column `{column}` does not name a field in {subject}"
            problems.append(Problem("wrong-type", summary, ("fields",), "the name of a field, or {field: name, ..}"))
        elif "column" in options:
            problems.append(
                Problem("unknown-key", f"`column` is not needed at column `{column}` in {subject}", ("fields", name))
            )
        elif name in fields:
            problems.append(_twice(name, column, subject))
        else:
            fields[name] = {"column": column, **options}


def _twice(name: str, column: str, subject: str) -> Problem:
    return Problem(
        "field-twice",
        f"Field `{name}` is mapped twice in {subject}, the second time at column `{column}`",
        ("fields", name),
        hint="Keep one of the two",
    )
