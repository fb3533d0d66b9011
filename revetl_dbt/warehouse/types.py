"""The engines' type names as logical types."""

from __future__ import annotations

import re

from revetl_dbt.destinations.base import ColumnType

# First match wins; names are compared in lower case, without their arguments.
_RULES: tuple[tuple[str, ColumnType], ...] = (
    (
        r".*(\[\d*\])+$|^(array|struct|row|map|object|json|jsonb|variant|super|record|list|union|tuple|nested)\b.*",
        ColumnType.NESTED,
    ),
    (r"^(bool|boolean|logical)$", ColumnType.BOOLEAN),
    (
        r"^(timestamp with( local)? time zone|timestamptz|timestamp_tz|timestamp_ltz|timestampltz)$",
        ColumnType.TIMESTAMPTZ,
    ),
    (
        r"^(timestamp( without time zone)?|timestamp_.*|timestampntz|datetime|datetime2|datetime64|smalldatetime)$",
        ColumnType.TIMESTAMP,
    ),
    (r"^date(32)?$", ColumnType.DATE),
    (r"^time( without time zone)?$", ColumnType.TIME),
    (
        r"^(u?(tiny|small|medium|big|huge)?int(eger)?|u?int\d+|byteint|short|long|byte|serial|bigserial|bignum)$",
        ColumnType.INTEGER,
    ),
    (r"^(decimal|numeric|bignumeric|bigdecimal|number|fixed|decfloat|money|smallmoney)$", ColumnType.DECIMAL),
    (r"^(float|float\d+|double|double precision|real)$", ColumnType.FLOAT),
)
_WHOLE_NUMBER = re.compile(r"^(number|decimal|numeric|fixed)\s*\(\s*\d+\s*,\s*0\s*\)$")
_BINARY = re.compile(r"^(blob|bytea|binary|varbinary|varbyte|bytes|image)\b", re.IGNORECASE)
_TEXT = re.compile(r"^(varchar|text|string|char|character|character varying|nvarchar|nchar|bpchar|fixedstring|clob)$")


def is_binary(engine_type: str) -> bool:
    """True for types that hold bytes, which no destination takes."""
    return bool(_BINARY.match(engine_type.strip()))


def logical_type(engine_type: str, adapter_type: str) -> ColumnType:
    """The logical type of an engine's type name, such as `DECIMAL(18,3)`.

    What has none of its own (uuid, enum, interval) is text.
    """
    name = engine_type.strip().lower()
    if name.endswith("]"):
        return ColumnType.NESTED
    bare = re.sub(r"\s*[(<].*?[)>]", "", name, flags=re.DOTALL).strip()
    # BigQuery's TIMESTAMP is an instant, its DATETIME is not; Spark and Databricks likewise call the instant TIMESTAMP.
    if bare == "timestamp" and adapter_type in {"bigquery", "spark", "databricks"}:
        return ColumnType.TIMESTAMPTZ
    # Snowflake has one type for integers and decimals; a scale of 0 is all that tells them apart.
    if adapter_type == "snowflake" and _WHOLE_NUMBER.match(name):
        return ColumnType.INTEGER
    for pattern, kind in _RULES:
        if re.match(pattern, name if kind is ColumnType.NESTED else bare):
            return kind
    return ColumnType.TEXT


def is_text(engine_type: str) -> bool:
    """True when values of the type are text already, and need no cast to be compared and read as text."""
    return bool(_TEXT.match(re.sub(r"\s*\(.*?\)", "", engine_type.strip().lower())))
