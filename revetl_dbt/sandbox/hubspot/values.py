"""Which values a property takes, and how HubSpot keeps them.

https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide (types, dates, checkboxes, clearing) and
the changelog
"enhanced validations for non-string properties" (no white space around values that are not texts).
"""

from __future__ import annotations

import datetime as dt
import re

from revetl_dbt.sandbox.hubspot.errors import InvalidValue
from revetl_dbt.sandbox.hubspot.properties import Property

MAX_TEXT = 65_536
_DAY_MS = 86_400_000
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999  # the years 1 to 9999
_EMAIL = re.compile(
    r"[^\s@,;<>()\[\]\\\"]+@[^\s@,;<>()\[\]\\\".]+(\.[^\s@,;<>()\[\]\\\".]+)*\.[^\W\d_][\w-]+", re.UNICODE
)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MILLIS = re.compile(r"-?\d{1,15}")
_MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?Z")
_BLANKS = "\u00a0\u200b\u200c\u200d\u2060\ufeff"  # invisible characters that str.strip leaves


class Refused(Exception):  # noqa: N818 - carries an InvalidValue
    """A value that the property does not take."""

    def __init__(self, prop: Property, code: str, message: str) -> None:
        self.problem = InvalidValue(prop.name, code, message)
        super().__init__(message)


def kept(prop: Property, value: str) -> str:
    """The value as HubSpot keeps it; the empty text clears. Raises Refused."""
    if prop.read_only:
        raise Refused(prop, "READ_ONLY_VALUE", f'"{prop.name}" is a read only property; its value cannot be set.')
    if value == "":
        return ""
    if prop.type in ("string", "phone_number"):
        return _text(prop, value)
    if value != value.strip().strip(_BLANKS):
        raise Refused(prop, "LEADING_TRAILING_WHITESPACE", f'"{value}" includes leading or trailing whitespace.')
    return _BY_TYPE[prop.type](prop, value)


def _text(prop: Property, value: str) -> str:
    if len(value) > MAX_TEXT:
        raise Refused(prop, "PROPERTY_VALUE_TOO_LONG", f"The value has {len(value)} characters, more than {MAX_TEXT}.")
    if prop.name != "email" or not prop.own:
        return value
    address = value.strip().lower()
    if not _EMAIL.fullmatch(address):
        raise Refused(prop, "INVALID_EMAIL", f"Email address {value} is invalid")
    return address


def _number(prop: Property, value: str) -> str:
    if not _NUMBER.fullmatch(value):
        raise Refused(prop, "INVALID_INTEGER", f"{value} was not a valid number.")
    return value


def _choice(prop: Property, value: str) -> str:
    if prop.external and not prop.options:
        return value
    parts = value.removeprefix(";").split(";") if prop.multiple else [value]
    for part in parts:
        if part not in prop.allowed:
            allowed = ", ".join(option.value for option in prop.options)
            raise Refused(prop, "INVALID_OPTION", f"{part} was not one of the allowed options: [{allowed}]")
    return value


def _flag(prop: Property, value: str) -> str:
    if value not in ("true", "false"):
        raise Refused(prop, "INVALID_OPTION", f"{value} was not one of the allowed options: [true, false]")
    return value


def _day(prop: Property, value: str) -> str:
    if _DATE.fullmatch(value):
        try:
            return dt.date.fromisoformat(value).isoformat()
        except ValueError:
            raise Refused(prop, "INVALID_DATE", f"{value} is not a valid date.") from None
    at = _milliseconds(prop, value)
    if at % _DAY_MS:
        raise Refused(prop, "INVALID_DATE", f"{value} is not a valid date: its time is not midnight UTC.")
    return moment_text(at)[:10]


def _moment(prop: Property, value: str) -> str:
    return moment_text(_milliseconds(prop, value))


def _milliseconds(prop: Property, value: str) -> int:
    """A point in time from milliseconds since 1970 or from ISO 8601 with the designator Z."""
    if _MILLIS.fullmatch(value) and _FIRST_MS <= int(value) <= _LAST_MS:
        return int(value)
    match = _MOMENT.fullmatch(value)
    if match:
        try:
            seconds = dt.datetime.fromisoformat(match[1] + "+00:00").timestamp()
        except ValueError:
            pass  # a month or an hour that there is not: refused below like any other text
        else:
            return int(seconds) * 1000 + int((match[2] or "0").ljust(3, "0")[:3])
    raise Refused(prop, "INVALID_LONG", f"{value} was not a valid long.")


_BY_TYPE = {"number": _number, "enumeration": _choice, "bool": _flag, "date": _day, "datetime": _moment}


def moment_text(at: int) -> str:
    """Milliseconds since 1970 as `2024-02-29T03:30:17.000Z`."""
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=at)
    return moment.isoformat(timespec="milliseconds") + "Z"


def millis(text: str) -> int:
    """The reverse of `moment_text`."""
    return int(dt.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)
