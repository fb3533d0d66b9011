"""Encoders that several connectors share, and what values look like in a URL."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from revetl_dbt.destinations.transport import to_json


def finite(value: float | Decimal | None) -> float | Decimal | None:
    """The number itself. Raises ValueError for NaN and infinity, which neither JSON nor any vendor knows."""
    if value is None or (value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)):
        return value
    raise ValueError(f"{value} is not a number that can be sent")


def in_calendar(value: date | str | None) -> date | None:
    """The date or moment itself. Raises ValueError for one before the year 1 or after 9999, which a warehouse can only
    give as text, and most vendors do not know."""
    if isinstance(value, str):
        raise ValueError("a date before the year 1 or after 9999 cannot be sent")
    return value


def utc(value: datetime | None) -> datetime | None:
    """The moment in UTC; one without a zone is UTC already."""
    if value is None:
        return None
    return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)


def utc_text(value: datetime, timespec: str = "milliseconds") -> str:
    """The moment in UTC as ISO 8601 has it, without the zone; `timespec` as in `datetime.isoformat`."""
    moment = utc(value)
    assert moment is not None
    return moment.replace(tzinfo=None).isoformat(timespec=timespec)


def utc_day(value: datetime) -> str:
    """The day of the moment in UTC."""
    return utc_text(value)[:10]


def number_text(value: float | Decimal) -> str:
    """A number as text, never with an exponent. Raises ValueError for NaN and infinity."""
    finite(value)
    return format(value if isinstance(value, Decimal) else Decimal(repr(value)), "f")


def json_text(value: Any) -> str:
    """A nested value as JSON text; text, which holds JSON already, as it is."""
    return value if isinstance(value, str) else to_json(value).decode()


def fitting(texts: Sequence[str], limit: int) -> Iterator[Sequence[str]]:
    """The texts in parts that take at most `limit` bytes of a URL, percent-encoded and with commas between them."""
    start = 0
    while start < len(texts):
        end, size = start, 0
        while end < len(texts):
            size += len(quote(texts[end], safe="")) + 3
            if end > start and size > limit:
                break
            end += 1
        yield texts[start:end]
        start = end
