"""The search API: https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm.

Eventually consistent: with a lag, a record appears as it was that long ago. At most 200 results a page and 10,000 in
all; 5 groups of
at most 10 filters, 25 in total.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from revetl_dbt.sandbox.hubspot.account import VENDOR, Account
from revetl_dbt.sandbox.hubspot.errors import ApiError
from revetl_dbt.sandbox.hubspot.objects import ObjectType
from revetl_dbt.sandbox.hubspot.properties import Property
from revetl_dbt.sandbox.hubspot.render import Renderer, all_values
from revetl_dbt.sandbox.hubspot.shapes import mapping, mappings, number, text, texts
from revetl_dbt.sandbox.hubspot.values import Refused, kept
from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.store import Record

MAX_PAGE, MAX_RESULTS, MAX_CHARACTERS = 200, 10_000, 3_000
_MAX_GROUPS, _MAX_FILTERS, _MAX_TOTAL = 5, 10, 25
Values = Mapping[str, str]


def search(account: Account, base_url: str, kind: ObjectType, request: Request, lag: float) -> Response:
    """Answer a search; ApiError 400 for a query that HubSpot does not take. `lag` is how far the index is behind,
    in seconds."""
    if len(request.body.decode("utf-8", "replace")) > MAX_CHARACTERS:
        raise ApiError(400, f"A search takes at most {MAX_CHARACTERS} characters")
    body = mapping(request.json())
    matches = _filter(
        account.active(kind), mappings(body.get("filterGroups"), "filterGroups"), text(body.get("query") or "", "query")
    )
    limit, start = number(body.get("limit"), "limit", 10), number(body.get("after"), "after", 0)
    if min(limit, start) < 0 or limit > MAX_PAGE or start + limit > MAX_RESULTS:
        raise ApiError(400, f"A search returns at most {MAX_PAGE} results a page and {MAX_RESULTS} in all")
    found = [record for record in _indexed(account, kind, lag) if matches(all_values(kind, record))]
    found = _sorted(account.active(kind), kind, found, body.get("sorts"))
    renderer = Renderer(account, base_url, kind, texts(body.get("properties"), "properties"))
    answer: dict[str, Any] = {
        "total": len(found),
        "results": [renderer.record(record) for record in found[start : start + limit]],
    }
    if start + limit < len(found):
        answer["paging"] = {"next": {"after": str(start + limit)}}
    return Response(data=answer)


def _indexed(account: Account, kind: ObjectType, lag: float) -> Iterable[Record]:
    """The records as the index has them: as they were `lag` seconds ago."""
    records = account.store.scan(VENDOR, kind.key)
    cut = account.store.now() - int(lag * 1000)
    fresh = [record.id for record in records if lag and record.updated > cut]
    history = account.store.changes(VENDOR, kind.key, fresh)
    for record in records:
        if lag and record.created > cut:
            continue
        for change in reversed(history.get(record.id, [])):
            if change.at > cut:
                record.properties |= {name: old for name, (old, _) in change.fields.items()}
        record.properties = {name: value for name, value in record.properties.items() if value is not None}
        yield record


def _filter(known: Mapping[str, Property], groups: Sequence[Mapping[str, Any]], query: str) -> Callable[[Values], bool]:
    """A test for `filterGroups` (any group, all of its filters) and the free text of `query`."""
    lists = [mappings(group.get("filters"), "filters") for group in groups]
    if len(lists) > _MAX_GROUPS or any(len(part) > _MAX_FILTERS for part in lists) or sum(map(len, lists)) > _MAX_TOTAL:
        raise ApiError(
            400, f"A search takes at most {_MAX_GROUPS} groups of {_MAX_FILTERS} filters, {_MAX_TOTAL} in all"
        )
    tests = [[_test(known, condition) for condition in part] for part in lists]
    words = query.lower().split()

    def matches(values: Values) -> bool:
        whole = " ".join(map(str, values.values())).lower() if words else ""
        return all(word in whole for word in words) and (
            not tests or any(all(test(values) for test in part) for part in tests)
        )

    return matches


def _test(known: Mapping[str, Property], condition: Mapping[str, Any]) -> Callable[[Values], bool]:
    name, operator = str(condition.get("propertyName")), str(condition.get("operator"))
    prop = known.get(name)
    if prop is None:
        raise ApiError(400, f"There was a problem with the request. Property `{name}` does not exist")
    build = _OPERATORS.get(operator)
    if build is None:
        raise ApiError(400, f"Invalid operator `{operator}`. Valid operators are: {', '.join(_OPERATORS)}")
    compare = build(prop, condition)
    return lambda values: compare(values.get(name))


Compare = Callable[[str | None], bool]


def _ordinal(prop: Property, value: Any) -> float | str:
    """A value in a form that compares: numbers and dates by size, texts without regard to case."""
    given = text(value, "value")
    if prop.type == "number":
        try:
            return float(given)
        except ValueError:
            raise ApiError(400, f"`{given}` is not a number, as `{prop.name}` needs it") from None
    if prop.type in ("date", "datetime"):
        return _moment(prop, given)
    return given.lower()


def _moment(prop: Property, given: str) -> str:
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", given):
        given += "T00:00:00Z"
    try:
        return kept(Property(prop.name, prop.label, "datetime", "date"), given)
    except Refused as refused:
        raise ApiError(400, str(refused)) from None


def _value(condition: Mapping[str, Any], key: str = "value") -> Any:
    if condition.get(key) in (None, [], ""):
        raise ApiError(400, f"A filter with the operator {condition.get('operator')} needs `{key}`")
    return condition[key]


def _is(prop: Property, condition: Mapping[str, Any], test: Callable[[Any, Any], bool]) -> Compare:
    wanted = _ordinal(prop, _value(condition))
    return lambda value: value is not None and test(_ordinal(prop, value), wanted)


def _between(prop: Property, condition: Mapping[str, Any]) -> Compare:
    low, high = _ordinal(prop, _value(condition)), _ordinal(prop, _value(condition, "highValue"))
    return lambda value: value is not None and low <= _ordinal(prop, value) <= high  # type: ignore[operator]  # both of one property


def _among(prop: Property, condition: Mapping[str, Any]) -> Compare:
    # Values are compared as they stand, and texts are kept in lower case: one with a capital finds nothing.
    plain = prop.type in ("number", "date", "datetime")
    wanted = {_ordinal(prop, value) if plain else value for value in texts(_value(condition, "values"), "values")}
    return lambda value: value is not None and _ordinal(prop, value) in wanted


def _token(_: Property, condition: Mapping[str, Any]) -> Compare:
    pattern = re.compile(".*".join(map(re.escape, text(_value(condition), "value").lower().split("*"))))
    return lambda value: (
        value is not None
        and any(
            pattern.fullmatch(word) for word in [str(value).lower(), *re.split(r"[\s@.,;:/-]+", str(value).lower())]
        )
    )


def _not(build: Callable[[Property, Mapping[str, Any]], Compare]) -> Callable[[Property, Mapping[str, Any]], Compare]:
    def negated(prop: Property, condition: Mapping[str, Any]) -> Compare:
        compare = build(prop, condition)
        return lambda value: not compare(value)

    return negated


_OPERATORS: Mapping[str, Callable[[Property, Mapping[str, Any]], Compare]] = {
    "EQ": lambda p, c: _is(p, c, lambda a, b: bool(a == b)),
    "NEQ": _not(lambda p, c: _is(p, c, lambda a, b: bool(a == b))),
    "LT": lambda p, c: _is(p, c, lambda a, b: bool(a < b)),
    "LTE": lambda p, c: _is(p, c, lambda a, b: bool(a <= b)),
    "GT": lambda p, c: _is(p, c, lambda a, b: bool(a > b)),
    "GTE": lambda p, c: _is(p, c, lambda a, b: bool(a >= b)),
    "BETWEEN": _between,
    "IN": _among,
    "NOT_IN": _not(_among),
    "HAS_PROPERTY": lambda *_: lambda value: value is not None,
    "NOT_HAS_PROPERTY": lambda *_: lambda value: value is None,
    "CONTAINS_TOKEN": _token,
    "NOT_CONTAINS_TOKEN": _not(_token),
}


def _sorted(known: Mapping[str, Property], kind: ObjectType, records: list[Record], sorts: Any) -> list[Record]:
    """At most one sort, as an object or as a property name with a leading minus; otherwise in order of creation."""
    if not sorts:
        return records
    if not isinstance(sorts, list) or len(sorts) > 1:
        raise ApiError(400, "A search takes at most one sort")
    sort = sorts[0] if isinstance(sorts[0], dict) else None
    given = text(sort.get("propertyName") if sort else sorts[0], "sorts")
    name = given if sort else given.removeprefix("-")
    if name not in known:
        raise ApiError(400, f"There was a problem with the request. Property `{name}` does not exist")
    filled = [(all_values(kind, record).get(name), record) for record in records]
    ranked = [(_ordinal(known[name], value), record) for value, record in filled if value is not None]
    ranked.sort(key=itemgetter(0), reverse=sort.get("direction") == "DESCENDING" if sort else given.startswith("-"))
    return [record for _, record in ranked] + [record for value, record in filled if value is None]
