"""What Stripe takes for a parameter, and how it keeps it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

from revetl_dbt.sandbox.stripe import errors
from revetl_dbt.sandbox.stripe.form import Params
from revetl_dbt.sandbox.stripe.schema import Param

KEYS, KEY_LENGTH, VALUE_LENGTH = 50, 40, 500
"""Limits of metadata: https://docs.stripe.com/metadata."""

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_INTEGER = re.compile(r"-?[0-9]{1,12}")
_CURRENCY = re.compile("[A-Za-z]{3}")
_LARGEST, _DECIMALS = Decimal(10**12), 12


def checked(params: Mapping[str, Param], given: Params, *, creating: bool, path: str = "") -> dict[str, Any]:
    """The given parameters with typed values; None is what is cleared. Raises ApiError."""
    known = {name for name, param in params.items() if (param.create if creating else param.update)}
    unknown = [_named(path, name) for name in given if name not in known]
    if unknown:
        raise errors.unknown_parameters(unknown)
    for name, param in params.items():
        if param.required and (creating or path) and name not in given:
            raise errors.missing_parameter(_named(path, name))
    return {name: _value(params[name], value, _named(path, name), creating) for name, value in given.items()}


def _named(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name


def _value(param: Param, value: Any, name: str, creating: bool) -> Any:
    if value == "":
        if param.unset_create if creating else param.unset:
            return None
        raise errors.empty(name)
    if param.kind == "map":
        return _map(param, value, name, creating)
    if param.kind == "list":
        return _list(param, value, name, creating)
    if param.kind == "object":
        if not isinstance(value, dict):
            raise errors.invalid("object", name, str(value))
        return checked(param.inner, value, creating=creating, path=name)
    if not isinstance(value, str):
        raise errors.invalid("string", name, str(value))
    return _scalar(param, value, name)


def _map(param: Param, value: Any, name: str, creating: bool) -> dict[str, Any]:
    if isinstance(value, list):  # keys that count from zero look like a list
        value = {str(n): item for n, item in enumerate(value)}
    if not isinstance(value, dict):
        raise errors.invalid("object", name, str(value))
    if not param.inner:
        return {key: _metadata(key, item, name) for key, item in value.items()}
    wrong = next((key for key, item in value.items() if not isinstance(item, dict)), None)
    if wrong is not None:
        raise errors.invalid("object", _named(name, wrong), str(value[wrong]))
    return {key: checked(param.inner, item, creating=creating, path=_named(name, key)) for key, item in value.items()}


def _metadata(key: str, value: Any, name: str) -> str | None:
    if len(key) > KEY_LENGTH:
        raise errors.ApiError(
            400,
            f"Metadata keys can have up to {KEY_LENGTH} characters, but you passed in a key that is {len(key)}",
            None,
            name,
        )
    if not isinstance(value, str):
        raise errors.invalid("string", _named(name, key), str(value))
    if len(value) > VALUE_LENGTH:
        raise errors.ApiError(
            400,
            f"Metadata values can have up to {VALUE_LENGTH} characters, but you passed in a value that is {len(value)} "
            f"characters. Invalid value: {value}",
            None,
            _named(name, key),
        )
    return value or None


def _list(param: Param, value: Any, name: str, creating: bool) -> list[Any]:
    if not isinstance(value, list):
        raise errors.invalid("array", name, str(value))
    if not param.inner:
        return [_scalar(Param(), item, f"{name}[{n}]") for n, item in enumerate(value)]
    items = []
    for n, item in enumerate(value):
        if not isinstance(item, dict):
            raise errors.invalid("object", f"{name}[{n}]", str(item))
        items.append(checked(param.inner, item, creating=creating, path=f"{name}[{n}]"))
    return items


def _scalar(param: Param, value: Any, name: str) -> Any:
    if not isinstance(value, str):
        raise errors.invalid("string", name, str(value))
    if len(value) > param.longest:
        raise errors.invalid("string", name, f"{value[:8]}...{value[-8:]}; must be at most {param.longest} characters")
    if param.kind == "enum" and value not in param.options:
        raise errors.ApiError(400, f"Invalid {name}: must be one of {', '.join(param.options)}", None, name)
    read = _READERS.get(param.kind)
    return value if read is None else read(value, name)


def _integer(value: str, name: str) -> int:
    if not _INTEGER.fullmatch(value):
        raise errors.invalid("integer", name, value, "parameter_invalid_integer")
    return int(value)


def _boolean(value: str, name: str) -> bool:
    if value not in ("true", "false"):
        raise errors.invalid("boolean", name, value)
    return value == "true"


def _email(value: str, name: str) -> str:
    if not _EMAIL.fullmatch(value):
        raise errors.ApiError(400, f"Invalid email address: {value}", "email_invalid", name, executed=True)
    return value


def _url(value: str, name: str) -> str:
    try:
        parts = urlsplit(value)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise errors.ApiError(400, "Not a valid URL", "url_invalid", name)
    return value


def _currency(value: str, name: str) -> str:
    if not _CURRENCY.fullmatch(value):
        raise errors.invalid("currency", name, value)
    return value.lower()


def _exact(value: str, name: str) -> Decimal:
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise errors.invalid("decimal", name, value) from None
    if not number.is_finite() or abs(number) >= _LARGEST or -int(number.as_tuple().exponent) > _DECIMALS:
        raise errors.invalid("decimal", name, value)
    return number


_READERS: Mapping[str, Callable[[str, str], Any]] = {
    "integer": _integer,
    "boolean": _boolean,
    "number": lambda value, name: float(_exact(value, name)),
    "decimal": lambda value, name: _plain(_exact(value, name)),
    "email": _email,
    "url": _url,
    "currency": _currency,
}


def _plain(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def merged(params: Mapping[str, Param], held: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """A record's values after an update: objects and metadata are merged, everything else is replaced. Raises
    ApiError for too many metadata keys."""
    values = dict(held)
    for name, value in new.items():
        param = params[name]
        if value is None:
            values[name] = param.default
        elif param.kind in ("object", "map"):
            blank = dict.fromkeys(param.inner) if param.whole else {}
            before = blank or values.get(name) or {}
            joined = merged(param.inner, before, value) if param.kind == "object" else {**before, **value}
            values[name] = {key: item for key, item in joined.items() if item is not None or param.kind == "object"}
        else:
            values[name] = value
    if len(values.get("metadata") or ()) > KEYS:
        raise errors.ApiError(400, f"Metadata can have up to {KEYS} keys", None, "metadata", executed=True)
    return values


def flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Nested values by dotted names, as people and fault rules name them: `metadata.plan`."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{path}{name}.")
        else:
            found[path + name] = value
    return found
