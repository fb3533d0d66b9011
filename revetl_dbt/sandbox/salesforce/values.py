"""Which values a field takes, and how Salesforce gives them back.

"Field Data Types" and "Primitive Data Types" of the SOAP API guide, which the REST API shares; "Valid Date Format in
Records" for CSV. A JSON value of the wrong type fails the whole request (JSON_PARSER_ERROR), one in a CSV its row.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from revetl_dbt.sandbox.salesforce.errors import ApiError, RowError
from revetl_dbt.sandbox.salesforce.fields import NUMBERS, TEXTS, Field
from revetl_dbt.sandbox.salesforce.ids import is_id, whole

_EMAIL = re.compile(
    r"[^\s@,;<>()\[\]\\\"]+@[^\s@,;<>()\[\]\\\".]+(\.[^\s@,;<>()\[\]\\\".]+)*\.[^\W\d_][\w-]*", re.UNICODE
)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:?\d{2})")
_CLOCK = re.compile(r"(\d{2}:\d{2}:\d{2})(?:\.(\d{1,3}))?Z?")
_MOST = 10**18


def kept(field: Field, value: Any, from_json: bool) -> Any:
    """The value as Salesforce keeps it; None for nothing. Raises RowError, or ApiError for what JSON cannot be."""
    if value is None or value == "":
        if field.type == "boolean":
            raise RowError(
                "INVALID_TYPE_ON_FIELD_IN_RECORD", f"{field.label}: value not of required type: ", [field.name]
            )
        return None
    if field.type in TEXTS:
        return _text(field, value)
    try:
        return _BY_TYPE[field.type](field, value)
    except (ValueError, OverflowError):
        if from_json:
            text = f"Cannot deserialize instance of {field.type} from {_token(value)} value {value} or request may be "
            raise ApiError(400, "JSON_PARSER_ERROR", f"{text}missing a required field at [line:1, column:1]") from None
        text = f"{field.label}: value not of required type: {value}"
        raise RowError("INVALID_TYPE_ON_FIELD_IN_RECORD", text, [field.name]) from None


def _text(field: Field, value: Any) -> str | None:
    if not isinstance(value, str):
        text = f"Cannot deserialize instance of {field.type} from {_token(value)} value {value} or request may be "
        raise ApiError(400, "JSON_PARSER_ERROR", f"{text}missing a required field at [line:1, column:1]")
    text = value.strip()  # Salesforce keeps no white space around a text
    if not text:
        return None
    if field.type == "reference":
        if not is_id(text):
            raise RowError("MALFORMED_ID", f"{field.label}: id value of incorrect type: {text}", [field.name])
        return whole(text)
    if len(text) > field.length:
        words = f"{field.label}: data value too large: {text[:255]} (max length={field.length})"
        raise RowError("STRING_TOO_LONG", words, [field.name])
    if field.type == "email" and not _EMAIL.fullmatch(text):
        raise RowError("INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {text}", [field.name])
    if field.restricted:
        for part in text.split(";") if field.type == "multipicklist" else [text]:
            if part not in field.options:
                words = f"{field.label}: bad value for restricted picklist field: {part}"
                raise RowError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", words, [field.name])
    return text


def _number(field: Field, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            raise ValueError
        value = float(value) if not value.lstrip("+-").isdigit() else int(value)
    if field.type == "int" and value != int(value):
        raise ValueError
    if abs(value) >= _MOST:
        words = f"{field.label}: value outside of valid range on numeric field: {value}"
        raise RowError("NUMBER_OUTSIDE_VALID_RANGE", words, [field.name])
    return int(value) if value == int(value) else value


def _flag(_: Field, value: Any) -> bool:
    known = {"true": True, "false": False, "1": True, "0": False}.get(str(value).lower())
    if known is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        raise ValueError
    return known


def _day(_: Field, value: Any) -> str:
    text = str(value)
    return dt.date.fromisoformat(text[:10] if _MOMENT.fullmatch(text) else text).isoformat()


def _moment(_: Field, value: Any) -> str:
    text = str(value)
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        text += "T00:00:00Z"
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise ValueError
    zone = "+00:00" if match[3] == "Z" else f"{match[3][:3]}:{match[3][-2:]}"
    at = dt.datetime.fromisoformat(match[1].replace(" ", "T") + zone).astimezone(dt.timezone.utc)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{(match[2] or '').ljust(3, '0')[:3]}+0000"


def _clock(_: Field, value: Any) -> str:
    match = _CLOCK.fullmatch(str(value))
    if match is None:
        raise ValueError
    dt.time.fromisoformat(match[1])
    return f"{match[1]}.{(match[2] or '').ljust(3, '0')}Z"


_BY_TYPE = {
    **dict.fromkeys(NUMBERS, _number),
    "boolean": _flag,
    "date": _day,
    "datetime": _moment,
    "time": _clock,
}


def _token(value: Any) -> str:
    """Which JSON token a value was."""
    if isinstance(value, bool):
        return "VALUE_TRUE" if value else "VALUE_FALSE"
    names = {str: "VALUE_STRING", int: "VALUE_NUMBER_INT", float: "VALUE_NUMBER_FLOAT", list: "START_ARRAY"}
    return names.get(type(value), "START_OBJECT")


def moment_text(at: int) -> str:
    """Milliseconds since 1970 as `2024-02-29T03:30:17.000+0000`."""
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=at)
    return moment.isoformat(timespec="milliseconds") + "+0000"
