"""Lists, which are up to date at once, and search, which lags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.store import Record
from revetl_dbt.sandbox.stripe import errors
from revetl_dbt.sandbox.stripe.errors import ApiError
from revetl_dbt.sandbox.stripe.form import Params, nested
from revetl_dbt.sandbox.stripe.query import parsed_query
from revetl_dbt.sandbox.stripe.records import Records
from revetl_dbt.sandbox.stripe.schema import KINDS, Kind

_PAGE, _LONGEST_PAGE = 10, 100
_KEYS_AT_ONCE = 10
_END_OF_TIME = 2**40  # seconds
_CURSORS = ("limit", "starting_after", "expand")
_FILTERS: Mapping[str, tuple[str, ...]] = {
    "customers": ("created", "email"),
    "products": ("active", "created", "ids", "shippable", "url"),
    "prices": ("active", "created", "currency", "lookup_keys", "product", "type"),
}
_PLAIN = ("active", "shippable", "type", "url", "currency", "product")


def listed(records: Records, request: Request) -> Response:
    """`GET /v1/{kind}`: the newest first, by page, filtered. Raises ApiError."""
    kind, given = KINDS[request.params["kind"]], asked(request)
    _check_names(given, (*_CURSORS, *_FILTERS[kind.name]))
    period, limit, after = _period(given.get("created")), _limit(given), given.get("starting_after")
    found = [record for record in _candidates(records, kind, given) if _passes(record, given, period)]
    if after:
        ids = [record.id for record in found]
        if after not in ids:
            raise errors.missing(kind.word, str(after), "starting_after", 400)
        found = found[ids.index(str(after)) + 1 :]
    expand = [name.removeprefix("data.") for name in texts(given.get("expand", []))]
    shown = [records.shown(kind, record, expand) for record in found[:limit]]
    return Response(data={"object": "list", "url": f"/v1/{kind.name}", "has_more": len(found) > limit, "data": shown})


def search(records: Records, request: Request, until: int) -> Response:
    """`GET /v1/{kind}/search` among what has not changed since `until` (milliseconds). Raises ApiError."""
    kind, given = KINDS[request.params["kind"]], asked(request)
    _check_names(given, ("query", "limit", "page", "expand"))
    if not given.get("query"):
        raise errors.missing_parameter("query")
    limit, page = _limit(given), int(given["page"]) if str(given.get("page", "")).isdigit() else 0
    found = records.search(kind, parsed_query(str(given["query"]), kind.searched), until)
    more = len(found) > (page + 1) * limit
    body = {
        "object": "search_result",
        "url": f"/v1/{kind.name}/search",
        "has_more": more,
        "next_page": str(page + 1) if more else None,
        "data": [records.shown(kind, record) for record in found[page * limit : (page + 1) * limit]],
    }
    return Response(data=body)


def asked(request: Request) -> Params:
    """The query of a request, nested."""
    return nested([(name, value) for name, values in request.query.items() for value in values])


def texts(value: Any) -> list[str]:
    """A parameter that may be repeated."""
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _check_names(given: Params, known: tuple[str, ...]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise errors.unknown_parameters(unknown)


def _candidates(records: Records, kind: Kind, given: Params) -> list[Record]:
    if "email" in given:
        return records.having(kind, "email", [str(given["email"])])
    if "ids" in given:
        return records.having(kind, "id", texts(given["ids"]))
    if "lookup_keys" in given:
        keys = texts(given["lookup_keys"])
        if len(keys) > _KEYS_AT_ONCE:
            raise ApiError(400, f"You may only specify up to {_KEYS_AT_ONCE} lookup_keys.", None, "lookup_keys")
        return records.having(kind, "lookup_key", keys)
    return records.all(kind)


def _limit(given: Params) -> int:
    text = str(given.get("limit", _PAGE))
    if not text.isdecimal() or not 1 <= int(text) <= _LONGEST_PAGE:
        raise errors.invalid("integer", "limit", text, "parameter_invalid_integer")
    return int(text)


def _passes(record: Record, given: Params, period: range) -> bool:
    held = record.properties
    same = (str(held.get(name)).lower() == str(given[name]).lower() for name in _PLAIN if name in given)
    return all(same) and record.created // 1000 in period


def _period(wanted: Any) -> range:
    """The seconds that `created` asks for: one, or bounds such as `created[gte]`."""
    if wanted is None:
        return range(_END_OF_TIME)
    bounds = wanted if isinstance(wanted, dict) else {"gte": wanted, "lte": wanted}
    if not set(bounds) <= {"gt", "gte", "lt", "lte"} or not all(str(value).isdecimal() for value in bounds.values()):
        raise errors.invalid("integer", "created", str(wanted), "parameter_invalid_integer")
    first = max(int(bounds.get("gte", 0)), int(bounds.get("gt", -1)) + 1)
    last = min(int(bounds.get("lte", _END_OF_TIME)), int(bounds.get("lt", _END_OF_TIME)) - 1)
    return range(first, last + 1)
