"""Contact search: filters, groups of filters and pages.

https://developers.intercom.com/docs/references/2.16/rest-api/api.intercom.io/contacts/searchcontacts: at most 15
filters in a group, groups within one group, 50 results a page and at most 150, dates by the day, new contacts only
after a while.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from revetl_dbt.sandbox.intercom.attributes import VENDOR, Attribute
from revetl_dbt.sandbox.intercom.errors import ApiError, invalid
from revetl_dbt.sandbox.intercom.shapes import mapping
from revetl_dbt.sandbox.intercom.workspace import CONTACTS, Workspace
from revetl_dbt.sandbox.store import Record

_FILTERS, _LEVELS = 15, 2
_PAGE, _LARGEST_PAGE = 50, 150
_DAY = 86_400
_INDEXED = ("id", "external_id", "email")

Test = Callable[[Any, Any], bool]
_TEXT: Mapping[str, Test] = {
    "~": lambda held, value: value in held,
    "!~": lambda held, value: value not in held,
    "^": lambda held, value: held.startswith(value),
    "$": lambda held, value: held.endswith(value),
}
_ORDER: Mapping[str, Test] = {
    "<": lambda held, value: held < value,
    ">": lambda held, value: held > value,
    "<=": lambda held, value: held <= value,
    ">=": lambda held, value: held >= value,
}
_EQUAL: Mapping[str, Test] = {
    "=": lambda held, value: held == value,
    "!=": lambda held, value: held != value,
    "IN": lambda held, value: held in value,
    "NIN": lambda held, value: held not in value,
}


def search(
    workspace: Workspace, body: Mapping[str, Any], lag: float, shown: Callable[[Record], dict[str, Any]]
) -> dict[str, Any]:
    """One page of the contacts that a query finds; ApiError 400 for a query that Intercom refuses."""
    query, pages = body.get("query"), mapping(body.get("pagination"), "pagination")
    size = pages.get("per_page", _PAGE)
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= _LARGEST_PAGE:
        raise invalid(f"per_page must be between 1 and {_LARGEST_PAGE}", "per_page")
    known = workspace.attributes.known("contact")
    if query is not None:
        _check(query, known, 1)
    newest = workspace.store.now() - lag * 1000
    found = [
        record
        for record in _candidates(workspace, query)
        if record.created <= newest and (query is None or _matches(query, record, known))
    ]
    start = _cursor(pages.get("starting_after"))
    after = [record for record in found if record.seq > start]
    page, more = after[:size], len(after) > size
    before = len(found) - len(after)
    described: dict[str, Any] = {
        "type": "pages",
        "page": before // size + 1,
        "per_page": size,
        "total_pages": -(-len(found) // size),
    }
    if more:
        cursor = base64.b64encode(str(page[-1].seq).encode()).decode()
        described["next"] = {"page": described["page"] + 1, "starting_after": cursor}
    return {"type": "list", "data": [shown(record) for record in page], "total_count": len(found), "pages": described}


def _cursor(text: Any) -> int:
    if text is None:
        return 0
    try:
        return int(base64.b64decode(str(text), validate=True))
    except ValueError:
        raise invalid("starting_after is not a cursor", "starting_after") from None


def _check(query: Any, known: Mapping[str, Attribute], level: int) -> None:
    if not isinstance(query, dict) or "operator" not in query or "value" not in query:
        raise ApiError(400, "parameter_not_found", "query must have an operator and a value")
    if query["operator"] in ("AND", "OR"):
        filters = query["value"]
        if level > _LEVELS:
            raise invalid(f"There is a limit of {_LEVELS} nested filters")
        if not isinstance(filters, list) or not 1 <= len(filters) <= _FILTERS:
            raise invalid(f"There is a limit of {_FILTERS} filters for each AND or OR group")
        for inner in filters:
            _check(inner, known, level + 1)
        return
    attribute = known.get(str(query.get("field")).removeprefix("custom_attributes."))
    if attribute is None:
        raise invalid(f"{query.get('field')} is not a searchable field", "field")
    if query["operator"] not in _operators(attribute):
        raise invalid(f"{query['operator']} is not a valid operator for {attribute.name}", "operator")
    several = query["operator"] in ("IN", "NIN")
    if several != isinstance(query["value"], list):
        raise invalid("The value of IN and NIN must be an array, and that of other operators must not", "value")
    for value in query["value"] if several else [query["value"]]:
        _check_value(attribute, query["operator"], value)


def _check_value(attribute: Attribute, operator: str, value: Any) -> None:
    numeric = attribute.data_type in ("integer", "float", "date", "datetime")
    if value is None and operator in _EQUAL and not _is_date(attribute):
        return
    if _is_date(attribute) and isinstance(value, str) and value.isascii() and value.isdigit():
        return
    expected: tuple[type, ...] = (int, float) if numeric else (bool,) if attribute.data_type == "boolean" else (str,)
    if not isinstance(value, expected) or (numeric and isinstance(value, bool)):
        raise invalid(f"The value does not match the type of {attribute.name}", "value")


def _is_date(attribute: Attribute) -> bool:
    return attribute.data_type in ("date", "datetime")


def _operators(attribute: Attribute) -> Sequence[str]:
    if _is_date(attribute):
        return ("=", "<", ">")
    if attribute.data_type == "boolean":
        return tuple(_EQUAL)
    return (*_EQUAL, *(_TEXT if attribute.data_type == "string" else _ORDER))


def _candidates(workspace: Workspace, query: Mapping[str, Any] | None) -> list[Record]:
    """The contacts that an indexed filter leaves, or all."""
    filters = query["value"] if query and query["operator"] == "AND" else [query] if query else []
    for item in filters:
        if item.get("field") in _INDEXED and item["operator"] in ("=", "IN"):
            values = item["value"] if item["operator"] == "IN" else [item["value"]]
            return _indexed(workspace, item["field"], [str(value) for value in values])
    return list(workspace.live(CONTACTS))


def _indexed(workspace: Workspace, field: str, values: Sequence[str]) -> list[Record]:
    if field == "id":
        found = workspace.store.read(VENDOR, CONTACTS, values)
    else:
        keys = {value.lower() if field == "email" else value for value in values}
        found = {record.id: record for key in keys for record in workspace.holders(CONTACTS, field, key)}
    return sorted((record for record in found.values() if record.archived is None), key=lambda record: record.seq)


def _matches(query: Mapping[str, Any], record: Record, known: Mapping[str, Attribute]) -> bool:
    operator, value = query["operator"], query["value"]
    if operator in ("AND", "OR"):
        results = (_matches(inner, record, known) for inner in value)
        return all(results) if operator == "AND" else any(results)
    attribute = known[str(query["field"]).removeprefix("custom_attributes.")]
    held = _held(attribute, record)
    if _is_date(attribute):
        return held is not None and _of_day(operator, int(held), int(value))
    if attribute.name == "email":
        held, value = _folded(held), [_folded(item) for item in value] if isinstance(value, list) else _folded(value)
    if held is None and operator not in _EQUAL:
        return False
    return {**_TEXT, **_ORDER, **_EQUAL}[operator](held, value)


def _held(attribute: Attribute, record: Record) -> Any:
    own = {"id": record.id, "created_at": record.created // 1000, "updated_at": record.updated // 1000}
    return own.get(attribute.name, record.properties.get(attribute.name))


def _folded(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _of_day(operator: str, held: int, value: int) -> bool:
    start = value - value % _DAY
    if operator == "=":
        return start <= held < start + _DAY
    return held < start if operator == "<" else held >= start + _DAY
