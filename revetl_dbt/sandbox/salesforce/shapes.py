"""What JSON bodies must look like, in Salesforce's words where they do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from revetl_dbt.sandbox.messages import BadRequest, Request
from revetl_dbt.sandbox.salesforce.errors import ApiError
from revetl_dbt.sandbox.salesforce.fields import Field
from revetl_dbt.sandbox.salesforce.records import Row


def body(request: Request) -> Mapping[str, Any]:
    """The body, an object. ApiError where it is none."""
    try:
        value = request.json()
    except BadRequest as error:
        text = f"{error.detail} at [line:{error.line}, column:{error.column}]"
        raise ApiError(400, "JSON_PARSER_ERROR", text) from None
    if not isinstance(value, Mapping):
        raise ApiError(
            400, "JSON_PARSER_ERROR", "The HTTP entity body is required, but this request has no entity body."
        )
    return value


def flag(given: Mapping[str, Any], name: str, default: bool = False) -> bool:
    """A true or false of a body."""
    value = given.get(name, default)
    if not isinstance(value, bool):
        text = f"Cannot deserialize instance of boolean from value {value} or request may be missing a required field"
        raise ApiError(400, "JSON_PARSER_ERROR", text)
    return value


def row(fields: Mapping[str, Field], given: Mapping[str, Any]) -> Row:
    """A record as JSON has it: `attributes`, `id`, values, and parents as nested objects."""
    relations = {item.relationship.lower(): item for item in fields.values() if item.relationship}
    values: dict[str, Any] = {}
    parents: dict[str, tuple[str, str, Any]] = {}
    record_id = None
    for name, value in given.items():
        if name == "attributes":
            continue
        if name.lower() == "id":
            record_id = None if value is None else str(value)
        elif isinstance(value, Mapping) and name.lower() in relations:
            item = relations[name.lower()]
            parents[item.name] = _parent(item, value)
        else:
            values[name] = value
    return Row(values, parents, record_id)


def _parent(item: Field, given: Mapping[str, Any]) -> tuple[str, str, Any]:
    kind = given.get("attributes")
    named = kind.get("type") if isinstance(kind, Mapping) else None
    if named is None and len(item.reference_to) > 1:
        text = f"The relationship {item.relationship} refers to several objects: `attributes` must say which"
        raise ApiError(400, "INVALID_FIELD", text)
    values = {name: value for name, value in given.items() if name != "attributes"}
    if len(values) != 1:
        text = f"Cannot reference a foreign key field {item.name} by other than one external id or indexed field"
        raise ApiError(400, "INVALID_FIELD", text)
    match, value = next(iter(values.items()))
    return str(named or item.reference_to[0]), match, value
