"""Which values a field takes, and how Marketo keeps them ("Field Types"; "Lead Database": null and the empty text are
kept as null)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Any

from revetl_dbt.sandbox.marketo.errors import RowError
from revetl_dbt.sandbox.marketo.schema import Field

MAX_TEXT = 30_000  # bytes of a text area
_EMAIL = re.compile(r"[^\s@,;<>()\[\]\\\"]+@[^\s@,;<>()\[\]\\\"]+")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?")


def kept(field: Field, value: Any) -> Any:
    """The value as Marketo keeps it; None for null and the empty text. Raises RowError."""
    if value is None or value == "":
        return None
    if isinstance(value, (list, dict)):
        raise _mismatch(field, value)
    keep: Callable[[Field, Any], Any] = _BY_TYPE.get(field.type, _text)
    return keep(field, value)


def _mismatch(field: Field, value: Any) -> RowError:
    return RowError("1001", f"Invalid value '{value}'. Required of type '{field.type}'")


def _text(field: Field, value: Any) -> str:
    text = value if isinstance(value, str) else "true" if value is True else "false" if value is False else str(value)
    if field.length is not None and len(text) > field.length:
        raise RowError("1003", f"Value for field '{field.name}' is longer than {field.length}")
    if field.type == "text" and len(text.encode()) > MAX_TEXT:
        raise RowError("1003", f"Value for field '{field.name}' is longer than {MAX_TEXT} bytes")
    return text


def _email(field: Field, value: Any) -> str:
    text = _text(field, value)
    if not text.isascii() or not _EMAIL.fullmatch(text):
        raise RowError("1003", f"Invalid value for field '{field.name}' and value '{text}'")
    return text


def _integer(field: Field, value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"[+-]?\d+", str(value).strip()):
        raise _mismatch(field, value)
    return int(value)


def _float(field: Field, value: Any) -> float | int:
    if isinstance(value, bool) or not _NUMBER.fullmatch(str(value).strip()):
        raise _mismatch(field, value)
    return value if isinstance(value, (int, float)) else float(value)


def _flag(field: Field, value: Any) -> bool:
    known = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
    found = known.get(str(value).strip().lower())
    if found is None:
        raise _mismatch(field, value)
    return found


def _day(field: Field, value: Any) -> str:
    text = str(value)
    try:
        return dt.date.fromisoformat(text[:10] if _MOMENT.fullmatch(text) else text).isoformat()
    except ValueError:
        raise _mismatch(field, value) from None


def _moment(field: Field, value: Any) -> str:
    text = str(value)
    try:
        if not _MOMENT.fullmatch(text):
            return f"{dt.date.fromisoformat(text).isoformat()}T00:00:00Z"
        moment = dt.datetime.fromisoformat(re.sub(r"([+-]\d{2})(\d{2})$", r"\1:\2", text.replace("Z", "+00:00")))
    except ValueError:
        raise _mismatch(field, value) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.timezone.utc)
    return moment.astimezone(dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


_BY_TYPE: Mapping[str, Callable[[Field, Any], Any]] = {
    "email": _email,
    "integer": _integer,
    "percent": _integer,
    "score": _integer,
    "float": _float,
    "currency": _float,
    "boolean": _flag,
    "date": _day,
    "datetime": _moment,
}


def moment_text(millis: int) -> str:
    """Milliseconds since 1970 as `2016-05-17T22:11:45Z`."""
    return (dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=millis)).strftime("%Y-%m-%dT%H:%M:%SZ")


def millis(text: str) -> int:
    """The reverse of `moment_text`."""
    return int(dt.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)
