"""Reading the parts of a JSON body: each function returns its kind of value, or refuses it as HubSpot's parser does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from revetl_dbt.sandbox.hubspot.errors import ApiError

_PREFIX = "Invalid input JSON on line 1, column 2"


def _refused(name: str, expected: str) -> ApiError:
    return ApiError(400, f"{_PREFIX}: `{name}` must be {expected}", None)


def require(body: Mapping[str, Any], names: Iterable[str]) -> None:
    """Refuse a body that lacks one of these names, or has it empty."""
    missing = [name for name in names if body.get(name) in (None, "")]
    if missing:
        raise ApiError(400, f"{_PREFIX}. Some required fields were not set: [{', '.join(missing)}]")


def mapping(value: Any, name: str = "body") -> Mapping[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise _refused(name, "an object")
    return value


def mappings(value: Any, name: str) -> list[Mapping[str, Any]]:
    """A list of objects; null is an empty one."""
    if value is not None and not (isinstance(value, list) and all(isinstance(item, dict) for item in value)):
        raise _refused(name, "an array of objects")
    return value or []


def text(value: Any, name: str) -> str:
    """A text; numbers and booleans are taken as their JSON."""
    found = as_text(value)
    if found is None:
        raise _refused(name, "a text")
    return found


def texts(value: Any, name: str) -> list[str]:
    """A list of texts; null is an empty one."""
    if value is not None and not isinstance(value, list):
        raise _refused(name, "an array of texts")
    return [text(item, name) for item in value or ()]


def number(value: Any, name: str, default: int) -> int:
    """A whole number, as a number or a text; null and the empty text are the default."""
    if value is None or value == "":
        return default
    found = as_text(value) or ""
    if not found.removeprefix("-").isdecimal() or len(found) > 15:
        raise _refused(name, "a whole number")
    return int(found)


def as_text(value: Any) -> str | None:
    """A scalar as the text that HubSpot reads; None for null, lists and objects."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return None
