"""The engines' type names, as their documentation spells them."""

from __future__ import annotations

import pytest

from revetl_dbt.destinations.base import ColumnType
from revetl_dbt.warehouse.types import is_binary, is_text, logical_type

T = ColumnType
NAMES: dict[str, dict[ColumnType, list[str]]] = {
    "duckdb": {
        T.TEXT: ["VARCHAR", "UUID", "INTERVAL", "ENUM('a', 'b')", "BIT", "TIME WITH TIME ZONE"],
        T.INTEGER: ["TINYINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "UBIGINT", "UHUGEINT"],
        T.DECIMAL: ["DECIMAL(18,3)", "DECIMAL(38,0)"],
        T.FLOAT: ["FLOAT", "DOUBLE"],
        T.BOOLEAN: ["BOOLEAN"],
        T.DATE: ["DATE"],
        T.TIMESTAMP: ["TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"],
        T.TIMESTAMPTZ: ["TIMESTAMP WITH TIME ZONE"],
        T.TIME: ["TIME"],
        T.NESTED: [
            "VARCHAR[]", "INTEGER[3]", "DECIMAL(18,3)[]", "STRUCT(a INTEGER, b VARCHAR[])", "MAP(VARCHAR, INTEGER)",
            "JSON", "UNION(num INTEGER, str VARCHAR)", "TIMESTAMP WITH TIME ZONE[]", "ENUM('a', 'b')[]",
        ],
    },
    "postgres": {
        T.TEXT: ["text", "character varying(255)", "character varying", "character(3)", "uuid", "interval", "inet"],
        T.INTEGER: ["smallint", "integer", "bigint"],
        T.DECIMAL: ["numeric", "numeric(18,3)", "money"],
        T.FLOAT: ["real", "double precision"],
        T.BOOLEAN: ["boolean"],
        T.DATE: ["date"],
        T.TIMESTAMP: ["timestamp without time zone", "timestamp(3) without time zone"],
        T.TIMESTAMPTZ: ["timestamp with time zone", "timestamp(3) with time zone"],
        T.TIME: ["time without time zone", "time(6) without time zone"],
        T.NESTED: ["json", "jsonb", "text[]", "numeric(18,3)[]", "ARRAY"],
    },
    "snowflake": {
        T.TEXT: ["VARCHAR(16777216)", "TEXT", "character varying(16777216)"],
        T.INTEGER: ["NUMBER(38,0)", "NUMBER(5,0)"],
        T.DECIMAL: ["NUMBER(18,2)", "NUMBER(38,37)", "DECFLOAT"],
        T.FLOAT: ["FLOAT", "DOUBLE"],
        T.BOOLEAN: ["BOOLEAN"],
        T.DATE: ["DATE"],
        T.TIMESTAMP: ["TIMESTAMP_NTZ(9)", "TIMESTAMP_NTZ"],
        T.TIMESTAMPTZ: ["TIMESTAMP_TZ(9)", "TIMESTAMP_LTZ(9)"],
        T.TIME: ["TIME(9)"],
        T.NESTED: ["VARIANT", "OBJECT", "ARRAY", "ARRAY(NUMBER)", "MAP(VARCHAR, NUMBER(38,0))", "OBJECT(a NUMBER)"],
    },
    "bigquery": {
        T.TEXT: ["STRING", "STRING(10)"],
        T.INTEGER: ["INT64"],
        T.DECIMAL: ["NUMERIC", "NUMERIC(10,2)", "BIGNUMERIC"],
        T.FLOAT: ["FLOAT64"],
        T.BOOLEAN: ["BOOL"],
        T.DATE: ["DATE"],
        T.TIMESTAMP: ["DATETIME"],
        T.TIMESTAMPTZ: ["TIMESTAMP"],
        T.TIME: ["TIME"],
        T.NESTED: ["ARRAY<STRING>", "STRUCT<a INT64, b ARRAY<STRING>>", "JSON"],
    },
    "redshift": {
        T.TEXT: ["character varying(256)", "character(10)", "interval day to second", "time with time zone"],
        T.INTEGER: ["smallint", "integer", "bigint"],
        T.DECIMAL: ["numeric(18,2)", "numeric(38,37)"],
        T.FLOAT: ["real", "double precision"],
        T.BOOLEAN: ["boolean"],
        T.DATE: ["date"],
        T.TIMESTAMP: ["timestamp without time zone"],
        T.TIMESTAMPTZ: ["timestamp with time zone"],
        T.TIME: ["time without time zone"],
        T.NESTED: ["super"],
    },
    "databricks": {
        T.TEXT: ["string", "varchar(20)", "char(3)", "interval day to second"],
        T.INTEGER: ["tinyint", "smallint", "int", "bigint"],
        T.DECIMAL: ["decimal(10,2)", "decimal(38,18)"],
        T.FLOAT: ["float", "double"],
        T.BOOLEAN: ["boolean"],
        T.DATE: ["date"],
        T.TIMESTAMP: ["timestamp_ntz"],
        T.TIMESTAMPTZ: ["timestamp"],
        T.NESTED: [
            "array<string>", "struct<a:int,b:array<string>>", "map<string,decimal(10,2)>", "variant",
            "struct<at:timestamp>",
        ],
    },
    "trino": {
        T.TEXT: ["varchar", "varchar(20)", "char(3)", "uuid", "time(6) with time zone", "interval day to second"],
        T.INTEGER: ["tinyint", "smallint", "integer", "bigint"],
        T.DECIMAL: ["decimal(18,3)", "decimal(38,0)"],
        T.FLOAT: ["real", "double"],
        T.BOOLEAN: ["boolean"],
        T.DATE: ["date"],
        T.TIMESTAMP: ["timestamp(3)", "timestamp(6)"],
        T.TIMESTAMPTZ: ["timestamp(3) with time zone", "timestamp(6) with time zone"],
        T.TIME: ["time(3)", "time(6)"],
        T.NESTED: ["array(varchar)", "map(varchar, decimal(10,2))", "row(a integer, b array(varchar))", "json"],
    },
}  # fmt: skip
CASES = [(a, name, kind) for a, kinds in NAMES.items() for kind, names in kinds.items() for name in names]


@pytest.mark.parametrize(("adapter", "name", "kind"), CASES, ids=lambda value: str(getattr(value, "value", value)))
def test_type_names(adapter: str, name: str, kind: ColumnType) -> None:
    assert logical_type(name, adapter) is kind
    assert not is_binary(name)


@pytest.mark.parametrize(
    "name", ["BLOB", "bytea", "BYTES", "BYTES(10)", "BINARY(8388608)", "VARBINARY", "varbyte(64000)"]
)
def test_bytes_are_told(name: str) -> None:
    assert is_binary(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("VARCHAR", True), ("character varying(255)", True), ("text", True), ("UUID", False), ("INTEGER", False)],
)
def test_text_needs_no_cast(name: str, expected: bool) -> None:
    assert is_text(name) is expected
