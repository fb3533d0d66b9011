"""Reading the parts of a request: each function returns its kind of value, or refuses it as Intercom does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from revetl_dbt.sandbox.intercom.errors import ApiError, invalid, mismatch
from revetl_dbt.sandbox.messages import Request


def body_of(request: Request) -> Mapping[str, Any]:
    """The JSON object of a request; none is an empty one."""
    body = request.json() if request.body else {}
    if not isinstance(body, dict):
        raise ApiError(400, "parameter_invalid", "The request body must be a JSON object")
    return body


def mapping(value: Any, name: str) -> Mapping[str, Any]:
    """An object; null is an empty one."""
    if value is not None and not isinstance(value, dict):
        raise mismatch(name, "an object")
    return value or {}


def mappings(value: Any, name: str) -> list[Mapping[str, Any]]:
    """A list of objects; null is an empty one."""
    if value is not None and not (isinstance(value, list) and all(isinstance(item, dict) for item in value)):
        raise mismatch(name, "an array of objects")
    return value or []


def page_number(request: Request, name: str, default: int, most: int = 10_000) -> int:
    """A number of a page, or of a page's results, from the query."""
    text = request.first(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= most):
        raise invalid(f"{name} must be between 1 and {most}", name)
    return int(text)
