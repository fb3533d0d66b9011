"""Rows of a plan, page by page: no long-lived result, flat memory, the same on every adapter."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from revetl_dbt.destinations.base import ColumnType

PAGE_ROWS = 5_000
RESULT_ROWS = 1_000_000
"""Rows asked for by one query where its result is read page by page at no cost, and every query has a price."""

_MICROSECONDS = frozenset({"duckdb", "spark", "databricks"})  # how `revetl_read_column` has an instant read
INFINITE = 2**63 - 1
"""Microseconds of an instant at the end of time; as many before 1970 are its beginning (`revetl_read_column`)."""
_400_YEARS = dt.timedelta(days=146_097)
"""After so long the calendar begins anew."""
_DATES_AS_TEXT = frozenset({"spark", "databricks"})  # and dates, and moments without a zone

Decoder = Callable[[Any], Any]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)


def decoder(kind: ColumnType, adapter_type: str) -> Decoder | None:
    """Turns what a driver delivers for a column (as `revetl_read_column` selects it) into the value that ColumnType
    promises; None: it is that. A date or moment that Python has no value for stays the engine's text."""
    duckdb = adapter_type == "duckdb"
    if kind is ColumnType.DECIMAL:
        return _decimal_from_text if duckdb else _decimal
    if kind is ColumnType.TIMESTAMPTZ:
        return _instant_from_microseconds if adapter_type in _MICROSECONDS else _instant
    if kind is ColumnType.NESTED:
        return _nested
    if adapter_type in _DATES_AS_TEXT:
        return {ColumnType.DATE: _date_from_text, ColumnType.TIMESTAMP: _moment_from_text}.get(kind)
    return None


def _decimal_from_text(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _decimal(value: Any) -> Decimal | None:
    return value if value is None or isinstance(value, Decimal) else Decimal(str(value))


def _instant_from_microseconds(value: int | None) -> dt.datetime | str | None:
    if value is None:
        return None
    try:
        return _EPOCH + dt.timedelta(microseconds=value)
    except OverflowError:
        return _distant(value)


def _distant(microseconds: int) -> str:
    """An instant before the year 1 or after 9999, as DuckDB writes it."""
    if abs(microseconds) == INFINITE:
        return "infinity" if microseconds > 0 else "-infinity"
    cycles, rest = divmod(dt.timedelta(microseconds=microseconds), _400_YEARS)
    moment = _EPOCH + rest
    year = moment.year + 400 * cycles
    day = f"{year:04}-{moment:%m-%d}" if year > 0 else f"{1 - year:04}-{moment:%m-%d} (BC)"
    return f"{day} {moment:%H:%M:%S.%f}+00"


def _instant(value: dt.datetime | str | None) -> dt.datetime | str | None:
    return value.astimezone(dt.timezone.utc) if isinstance(value, dt.datetime) else value


def _date_from_text(value: str | None) -> dt.date | str | None:
    try:
        return None if value is None else dt.date.fromisoformat(value)
    except ValueError:
        return value


def _moment_from_text(value: str | None) -> dt.datetime | str | None:
    if value is None:
        return None
    seconds, _, fraction = value.partition(".")
    try:
        return dt.datetime.fromisoformat(f"{seconds}.{fraction:0<6}")
    except ValueError:
        return value


def _nested(value: str | None) -> Any:
    return None if value is None else msgspec.json.decode(value)
