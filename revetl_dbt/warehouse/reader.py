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

Decoder = Callable[[Any], Any]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)


def decoder(kind: ColumnType, adapter_type: str) -> Decoder | None:
    """Turns what a driver delivers for a column (as `revetl_read_column` selects it) into the value that ColumnType
    promises; None: it is that."""
    duckdb = adapter_type == "duckdb"
    if kind is ColumnType.DECIMAL:
        return _decimal_from_text if duckdb else _decimal
    if kind is ColumnType.TIMESTAMPTZ:
        return _instant_from_microseconds if adapter_type in _MICROSECONDS else _instant
    if kind is ColumnType.NESTED:
        return _nested
    return None


def _decimal_from_text(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _decimal(value: Any) -> Decimal | None:
    return value if value is None or isinstance(value, Decimal) else Decimal(str(value))


def _instant_from_microseconds(value: int | None) -> dt.datetime | None:
    return None if value is None else _EPOCH + dt.timedelta(microseconds=value)


def _instant(value: dt.datetime | None) -> dt.datetime | None:
    return None if value is None else value.astimezone(dt.timezone.utc)


def _nested(value: str | None) -> Any:
    return None if value is None else msgspec.json.decode(value)
