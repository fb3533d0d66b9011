"""What a request says: its JSON body or its form, its list of records, its queries."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from revetl_dbt.sandbox.marketo.errors import ApiError
from revetl_dbt.sandbox.messages import BadRequest, Request

MOST = 300
MAX_BODY = 1_000_000
MAX_URI = 8 * 1024


def check_size(request: Request, most: int = MAX_BODY) -> None:
    """Refuse what is too large. ApiError 413 or 414."""
    if len(request.body) > most:
        raise ApiError("413", "Request Entity Too Large", 413)
    size = len(request.full_path) + sum(len(name) + len(v) + 2 for name, vs in request.query.items() for v in vs)
    if size > MAX_URI:
        raise ApiError("414", "Request-URI Too Long", 414)


def body(request: Request) -> Mapping[str, Any]:
    """The JSON object of a body. ApiError 612 for another content type, 609 for what is no JSON."""
    if "json" not in request.headers.get("content-type", ""):
        raise ApiError("612", "Invalid Content Type")
    try:
        found = request.json()
    except BadRequest as error:
        raise ApiError("609", f"Invalid JSON: {error.detail}") from None
    if not isinstance(found, dict):
        raise ApiError("609", "Invalid JSON: the body must be an object")
    return found


def records(request: Request, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The `input` of a body, at most 300 objects; counts them for the request log."""
    found = given.get("input")
    if found is None:
        raise ApiError("1002", "Missing value for the required parameter 'input'")
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ApiError("1001", "Invalid value for 'input'. Required of type 'array'")
    if not found or len(found) > MOST:
        raise ApiError("1003", f"The input must hold 1 to {MOST} records")
    request.records = len(found)
    return found


def choice(given: Mapping[str, Any], name: str, allowed: Sequence[str]) -> str:
    """A parameter with few values, of which the first is the default. ApiError 1003 for another."""
    found = given.get(name, allowed[0])
    if found not in allowed:
        raise ApiError("1003", f"Invalid value for '{name}': {found}")
    return str(found)


def query(request: Request) -> dict[str, list[str]]:
    """The parameters of a query; those of a POST with `_method=GET` stand in its form."""
    if "form-urlencoded" in request.headers.get("content-type", ""):
        form = parse_qs(request.body.decode("utf-8", "replace"), keep_blank_values=True)
        return {**request.query, **form}
    return dict(request.query)


def method(request: Request) -> str:
    """What a request is: a POST may say that it is a GET."""
    asked = query(request).get("_method", [""])[0].upper()
    return "GET" if request.method == "POST" and asked == "GET" else request.method


def listed(parameters: Mapping[str, Sequence[str]], name: str) -> list[str]:
    """A parameter that may be repeated, hold commas, or both."""
    return [part.strip() for value in parameters.get(name, ()) for part in value.split(",") if part.strip()]


def first(parameters: Mapping[str, Sequence[str]], name: str) -> str | None:
    """The first value of a parameter."""
    return next(iter(parameters.get(name, ())), None)


def page_size(value: Any) -> int:
    """How many records a page may hold. ApiError 1001 for what is no number."""
    if value in (None, ""):
        return MOST
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,9}", str(value)):
        raise ApiError("1001", "Invalid value for 'batchSize'. Required of type 'Integer'")
    return max(1, min(int(value), MOST))


def lead_ids(request: Request) -> list[int]:
    """The leads that a request names, in `id` parameters or in its body. ApiError 1001 and 1002."""
    texts: list[Any] = listed(request.query, "id")
    if not texts and request.body:
        texts = [item.get("id") for item in records(request, body(request))]
    if not texts:
        raise ApiError("1002", "Missing value for the required parameter 'id'")
    if len(texts) > MOST:
        raise ApiError("1003", f"At most {MOST} ids are allowed")
    request.records = len(texts)
    try:
        return [int(text) for text in texts]
    except (TypeError, ValueError):
        raise ApiError("1001", "Invalid value for 'id'. Required of type 'Integer'") from None
