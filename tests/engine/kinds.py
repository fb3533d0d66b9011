"""Column types to test with: SQL types, values that are easily got wrong, their SQL, what a destination gets."""

from __future__ import annotations

import datetime as dt
import json
import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from .harness import TYPES, profile

UTC = dt.timezone.utc
ADAPTER = profile(Path())["type"]
ARRAYS_AND_NULLS = ADAPTER != "bigquery"
"""Whether tables hold arrays that are null or have nulls in them: BigQuery empties the former, refuses the latter."""

LONG_YEARS = ADAPTER != "bigquery"
"""Whether tables hold years beyond 9999."""


@dataclass(frozen=True)
class Kind:
    """A type of column: `values` never draws null, `sql` renders a value, `sent` is what the destination gets."""

    duckdb: str
    postgres: str
    values: st.SearchStrategy[Any]
    sql: Callable[[Any, str], str]  # value, SQL type
    sent: Callable[[Any], Any] = lambda value: value
    nulls: bool = True

    @property
    def type(self) -> str:
        """Its name, as `Warehouse.table` takes it."""
        return self.duckdb if ADAPTER == "duckdb" else self.postgres

    @property
    def stored(self) -> st.SearchStrategy[Any]:
        """What a column of it can hold: values, and null where there is one."""
        return st.none() | self.values if self.nulls else self.values

    def expression(self, value: Any) -> str:
        return "null" if value is None else self.sql(value, TYPES.get(ADAPTER, {}).get(self.type, self.type))


_ESCAPES = {
    "snowflake": {"\\": r"\\", "'": "''"},
    "spark": {"\\": r"\\", "'": r"\'"},
    "bigquery": {"\\": r"\\", "'": r"\'", "\n": r"\n", "\r": r"\r"},
}.get(ADAPTER, {"'": "''"})


def quoted(text: str) -> str:
    return f"'{text.translate(str.maketrans(_ESCAPES))}'"


def _cast(value: Any, kind: str) -> str:
    return f"cast({quoted(str(value))} as {kind})"


def _isoformat(value: Any, kind: str) -> str:
    return _cast(value.isoformat(), kind)


_EMPTY_ARRAY = {"postgres": "'{}'", "spark": "array()"}.get(ADAPTER, "[]")


def _array(value: list[str | None], kind: str) -> str:
    items = ", ".join("null" if item is None else quoted(item) for item in value)
    some = f"array({items})" if ADAPTER == "spark" else f"array[{items}]"
    return f"cast({some if value else _EMPTY_ARRAY} as {kind})"


def _json(value: Any, kind: str) -> str:
    text = quoted(json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")))
    if kind.startswith("STRUCT"):
        return f"""from_json({text}, '{{"a": "BIGINT", "b": ["VARCHAR"], "c": {{"d": "BOOLEAN"}}}}')"""
    return f"parse_json({text})" if ADAPTER in ("bigquery", "spark") else f"cast({text} as {kind})"


_TRICKY = [
    "", " ", "a", "A", "a ", "O'Brien", "back\\slash", 'double "quote"', "line\nfeed\r\ttab", "a|b", ";--", "$$",
    "null", "NULL", "true", "0", "1e3", "{{ x }}", "{% y %}", "%s %(a)s", "é", "e\u0301", "Straße", "İı",
    "日本語", "שלום", "🇩🇪👩‍👩‍👧", "\u200b", "\ufeff",
]  # fmt: skip
text = st.sampled_from(_TRICKY) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
_json_leaf = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text
_json_value = st.recursive(
    _json_leaf,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
_moments = [dt.datetime(1970, 1, 1), dt.datetime(1969, 12, 31, 23, 59, 59, 999999), dt.datetime(2024, 3, 31, 2, 30)]
_zones = st.sampled_from([UTC, dt.timezone(dt.timedelta(hours=14)), dt.timezone(-dt.timedelta(hours=9, minutes=30))])
_timestamps = st.sampled_from(_moments) | st.datetimes(dt.datetime(1800, 1, 1), dt.datetime(9000, 1, 1))

# A NUMERIC of BigQuery's emulator is one of 18 digits, three of them decimals, wherever nothing else is said.
_PLACES, _LARGEST = (3, Decimal("1e14")) if ADAPTER == "bigquery" else (6, Decimal("1e23"))

KINDS: dict[str, Kind] = {
    "text": Kind("VARCHAR", "text", text, lambda value, _: quoted(value)),
    "integer": Kind("BIGINT", "bigint", st.sampled_from([0, 1, -1, 2**63 - 1, 1 - 2**63]) | st.integers(-9, 9), _cast),
    "decimal": Kind(
        "DECIMAL(30,6)",
        "numeric(30,6)",
        st.decimals(-_LARGEST, _LARGEST, places=_PLACES) | st.sampled_from([Decimal(0), Decimal(1).scaleb(-_PLACES)]),
        _cast,
    ),
    "float": Kind(
        "DOUBLE",
        "double precision",
        st.sampled_from([0.0, 0.1, 1e300, 5e-324, math.pi]) | st.floats(allow_nan=False, allow_infinity=False),
        lambda value, kind: _cast(repr(value), kind),
    ),
    "boolean": Kind("BOOLEAN", "boolean", st.booleans(), _cast),
    "date": Kind("DATE", "date", st.dates(), _isoformat),
    "timestamp": Kind("TIMESTAMP", "timestamp", _timestamps, _isoformat),
    "timestamptz": Kind(
        "TIMESTAMP WITH TIME ZONE",
        "timestamp with time zone",
        st.builds(lambda moment, zone: moment.replace(tzinfo=zone), _timestamps, _zones),
        _isoformat,
        lambda value: value.astimezone(UTC),
    ),
    "time": Kind("TIME", "time", st.times(), _isoformat),
    "uuid": Kind("UUID", "uuid", st.uuids(), _cast, str),
    "array": Kind(
        "VARCHAR[]",
        "text[]",
        st.lists(st.none() | text if ARRAYS_AND_NULLS else text, max_size=3),
        _array,
        nulls=ARRAYS_AND_NULLS,
    ),
    "struct": Kind(
        "STRUCT(a BIGINT, b VARCHAR[], c STRUCT(d BOOLEAN))",
        "jsonb",
        st.fixed_dictionaries(
            {
                "a": st.integers(-9, 9),
                "b": st.lists(text, max_size=2),
                "c": st.fixed_dictionaries({"d": st.booleans()}),
            }
        ),
        _json,
    ),
    "json": Kind("JSON", "jsonb", _json_value.filter(lambda value: value is not None), _json),
}

if ADAPTER == "spark":
    del KINDS["time"]  # a time of day is text there


def same(a: Any, b: Any) -> bool:
    """Equality as a warehouse sees it: true is not 1."""
    return json.dumps(a, sort_keys=True, default=_plain) == json.dumps(b, sort_keys=True, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat()
    if isinstance(value, (dt.date, dt.datetime, dt.time)):
        return value.isoformat()
    return ["decimal", str(value.normalize())] if isinstance(value, Decimal) else ["uuid", str(uuid.UUID(str(value)))]
