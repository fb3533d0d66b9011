"""JSON Schemas of what users write, short forms included, for completion and checks in editors.

Made from the same pydantic models that check the declarations. Draft 2020-12.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from revetl_dbt.destinations import registry
from revetl_dbt.errors import RevetlError
from revetl_dbt.project.manifest import BLOCK
from revetl_dbt.spec.models import SyncSpec

Json = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SYNC_NAME = "^[A-Za-z][A-Za-z0-9_]{0,63}$"
_SOURCES = ("column", "value", "sql", "lookup")


def schema(name: str) -> Json:
    """The schema of `meta` (the `revetl` block), `models` (a dbt properties file) or `destinations` (destinations.yml).

    Raises RevetlError when an installed destination type cannot be imported.
    """
    makers: dict[str, Callable[[], Json]] = {"meta": _meta, "models": _models, "destinations": _destinations}
    return {"$schema": _DIALECT, **makers[name]()}


def _meta() -> Json:
    return {"title": "The syncs of a dbt model", **_syncs("#/$defs/"), "$defs": _definitions()}


def _models() -> Json:
    """A properties file: dbt's own keys are left open, only the `revetl` blocks in it are described."""
    block = {"properties": {BLOCK: {"$ref": "#/$defs/Syncs"}}}
    at_column = {"properties": {BLOCK: {"$ref": "#/$defs/AtColumn"}}}
    column = {"properties": {"config": {"properties": {"meta": at_column}}}}
    node = {
        "properties": {
            "config": {"properties": {"meta": block}},
            "columns": {"items": column},
            "versions": {"items": {"properties": {"config": {"properties": {"meta": block}}}}},
        }
    }
    definitions = {"Node": node, "Syncs": _syncs("#/$defs/"), "AtColumn": _at_column(), **_definitions()}
    nodes = {"type": "array", "items": {"$ref": "#/$defs/Node"}}
    return {
        "title": "A dbt properties file with syncs",
        "type": "object",
        "properties": dict.fromkeys(("models", "snapshots", "seeds"), nodes),
        "$defs": definitions,
    }


def _syncs(definitions: str) -> Json:
    return {
        "type": "object",
        "description": "Syncs by name; names are unique in the project",
        "propertyNames": {"pattern": _SYNC_NAME},
        "additionalProperties": {"$ref": f"{definitions}SyncSpec"},
    }


def _at_column() -> Json:
    field = {"type": "string", "description": "The destination field that this column fills"}
    options = {"$ref": "#/$defs/ColumnField"}
    return {
        "type": "object",
        "description": "Sync: destination field",
        "additionalProperties": {"anyOf": [field, options]},
    }


def _definitions() -> Json:
    root = _tidy(SyncSpec.model_json_schema(by_alias=True))
    definitions: Json = root.pop("$defs")
    mapping = definitions["FieldMapping"]
    _one_source(mapping)
    definitions["ColumnField"] = _column_field(mapping)
    _short_forms(root)
    definitions["SyncSpec"] = root
    return definitions


def _short_forms(sync: Json) -> None:
    """What the parser accepts beside the full form: a column for a mapping, one name for a list or for the column
    of `changed_since`, no key."""
    properties = sync["properties"]
    properties["fields"]["additionalProperties"] = {
        "anyOf": [{"type": "string", "description": "A column of the model"}, {"$ref": "#/$defs/FieldMapping"}]
    }
    for name in ("key", "allow_pii", "changed_since"):
        full = properties[name]
        description = full.pop("description")
        properties[name] = {"description": description, "anyOf": [{"type": "string"}, full]}
    sync["required"] = [name for name in sync["required"] if name != "key"]


def _one_source(mapping: Json) -> None:
    mapping["oneOf"] = [{"required": [source]} for source in _SOURCES]
    for source in ("column", "sql"):
        description = mapping["properties"][source]["description"]
        mapping["properties"][source] = {"type": "string", "description": description}


def _column_field(mapping: Json) -> Json:
    own = {name: value for name, value in mapping["properties"].items() if name not in _SOURCES}
    field = {"type": "string", "description": "The destination field that this column fills"}
    return {
        "type": "object",
        "properties": {"field": field, **own},
        "required": ["field"],
        "additionalProperties": False,
    }


def _destinations() -> Json:
    """destinations.yml with every installed type; Jinja is allowed wherever a value is."""
    definitions: Json = {}
    variants: list[Json] = []
    for kind in registry.names():
        root = _config(registry.connector(kind).Config, kind, definitions)
        variants.append(
            {"if": {"properties": {"type": {"const": kind}}, "required": ["type"]}, "then": {"$ref": f"#/$defs/{root}"}}
        )
    output = {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": registry.names(), "description": "The destination type"}},
        "allOf": variants,
    }
    destination = {
        "type": "object",
        "required": ["outputs"],
        "properties": {
            "outputs": {
                "type": "object",
                "description": "Outputs by dbt target",
                "additionalProperties": {"$ref": "#/$defs/Output"},
            }
        },
        "additionalProperties": False,
    }
    return {
        "title": "destinations.yml",
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/Destination"},
        "$defs": {"Destination": destination, "Output": output, **definitions},
    }


def _config(model: type[BaseModel], kind: str, definitions: Json) -> str:
    """Add the schema of a connector's Config to the definitions; its name there."""
    root = _with_jinja(_tidy(model.model_json_schema(ref_template=f"#/$defs/{kind}.{{model}}")))
    for name, definition in root.pop("$defs", {}).items():
        definitions[f"{kind}.{name}"] = definition
    root["properties"]["type"] = {"const": kind}
    name = f"{kind}.{model.__name__}"
    if name in definitions:
        raise RevetlError(f"Destination type `{kind}` names two of its models `{model.__name__}`")
    definitions[name] = root
    return name


_JINJA = {"type": "string", "pattern": r"\{\{.*\}\}"}


def _with_jinja(node: Any) -> Any:
    """Let a text with Jinja stand for a number or boolean, as in `concurrency: "{{ env_var('N') | as_number }}"`."""
    if isinstance(node, list):
        return [_with_jinja(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _with_jinja(value) for key, value in node.items()}
    if node.get("type") in ("integer", "number", "boolean"):
        outer = {key: node.pop(key) for key in ("description", "default") if key in node}
        return {**outer, "anyOf": [node, _JINJA]}
    return node


def _tidy(node: Any) -> Any:
    """pydantic's schema without the titles that it makes up and without `null` where a key is simply left out."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _tidy(value) for key, value in node.items() if key != "title" or not isinstance(value, str)}
    choices = kept.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        left = [choice for choice in choices if choice != {"type": "null"}]
        del kept["anyOf"]
        kept = {**kept, **(left[0] if len(left) == 1 else {"anyOf": left})}
    if kept.get("default", 0) is None:
        del kept["default"]
    return kept
