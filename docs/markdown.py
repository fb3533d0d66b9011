"""Markdown: tables, and JSON Schemas in words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; ends without a new line."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("\n", " ") for cell in line) + " |" for line in lines)


def code(text: object) -> str:
    """`text` as code inside a table, where a bar would end the cell."""
    return "`" + str(text).replace("|", "\\|") + "`"


def properties(schema: Json) -> str:
    """The keys of an object's JSON Schema as a table: key, what it takes, default, meaning."""
    required = set(schema.get("required", ()))
    rows = [
        (
            f"{code(name)}{' (required)' if name in required else ''}",
            takes(item),
            code(yaml_like(item["default"])) if item.get("default") not in (None, {}, []) else "",
            item.get("description", ""),
        )
        for name, item in schema["properties"].items()
    ]
    return table(("key", "takes", "default", "meaning"), rows)


def takes(schema: Json) -> str:
    """What values a schema lets through, in a few words."""
    if "$ref" in schema:
        return _reference(schema["$ref"])
    if "const" in schema:
        return code(schema["const"])
    if "enum" in schema:
        return ", ".join(code(value) for value in schema["enum"])
    for name in ("anyOf", "oneOf"):
        if name in schema:
            choices = [takes(choice) for choice in schema[name] if choice.get("type") != "null"]
            return " or ".join(dict.fromkeys(choices))
    if "allOf" in schema:
        return takes(schema["allOf"][0])
    return _plain(schema)


def _plain(schema: Json) -> str:
    kind = schema.get("type")
    if kind == "array":
        inner = takes(schema.get("items", {}))
        return "a list of mappings" if inner == "a mapping" else f"a list of {inner}"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"a mapping to {takes(values)}" if isinstance(values, Mapping) else "a mapping"
    if kind == "string" and schema.get("format") == "password":
        return "secret text"
    if kind == "string" and "pattern" in schema and "%" in schema["pattern"]:
        return "a share such as `5%`"
    if isinstance(kind, list):
        return " or ".join(_WORDS.get(str(item), str(item)) for item in kind)
    return _WORDS.get(str(kind), "anything") + _range(schema)


_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "`true` or `false`",
    "null": "null",
    "object": "a mapping",
    "array": "a list",
}


def _range(schema: Json) -> str:
    parts = [
        f"{words} {schema[key]:,}"
        for key, words in (("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "to"))
        if schema.get(key)
    ]
    return f" ({' '.join(parts)})" if parts else ""


def _reference(reference: str) -> str:
    name = reference.rsplit("/", 1)[-1].rsplit(".", 1)[-1]
    return f"[{name}](#{name.lower()})"


def yaml_like(value: Any) -> str:
    """A default as one would write it in YAML."""
    return value if isinstance(value, str) else json.dumps(value)


def leaves(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every key of a nested schema by its dotted path, `[]` for the items of a list; objects before what they hold."""
    for name, item in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here, item
        yield from _below(item, here)


def _below(item: Json, path: str) -> Iterator[tuple[str, Json]]:
    if item.get("type") == "array":
        yield from _below(item["items"], f"{path}[]")
    for choice in (item, *item.get("anyOf", ())):
        if "properties" in choice:
            yield from leaves(choice, path)
