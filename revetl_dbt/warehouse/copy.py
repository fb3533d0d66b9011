"""A model's mapped rows, copied to where the state is when that is not the warehouse, so that the same plan works on
them."""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec

from revetl_dbt.destinations.base import ColumnType
from revetl_dbt.warehouse.layout import Column, Layout
from revetl_dbt.warehouse.reader import PAGE_ROWS, decoder
from revetl_dbt.warehouse.store import Store

_TYPES = {
    ColumnType.TEXT: "VARCHAR",
    ColumnType.NESTED: "VARCHAR",
    ColumnType.DECIMAL: "VARCHAR",
    ColumnType.INTEGER: "HUGEINT",
    ColumnType.FLOAT: "DOUBLE",
    ColumnType.BOOLEAN: "BOOLEAN",
    ColumnType.DATE: "DATE",
    ColumnType.TIME: "TIME",
    ColumnType.TIMESTAMP: "TIMESTAMP",
    ColumnType.TIMESTAMPTZ: "TIMESTAMP WITH TIME ZONE",
}
_DIGITS = re.compile(r"\(\s*(\d+)\s*,\s*(\d+)\s*\)")


def local_layout(layout: Layout, relation: str) -> Layout:
    """The layout of a sync over a copy of its mapped rows: the expressions and `where` are the warehouse's to
    evaluate, here they are columns."""

    def here(column: Column) -> Column:
        return replace(column, expression=column.name, engine_type=_local_type(column))

    sync = replace(layout.sync, spec=layout.sync.spec.model_copy(update={"where": None}))
    keys, fields = tuple(map(here, layout.keys)), tuple(map(here, layout.fields))
    tables = replace(layout.tables, model=relation)
    return replace(layout, sync=sync, tables=tables, keys=keys, fields=fields, since=None)


def copy_model(store: Store, layout: Layout, local: Layout) -> None:
    """Write the rows that the warehouse gives for `layout` into the table of `local`, page by page.

    Raises WarehouseError when one of the two does not work.
    """
    session = store.source.session
    columns = (*layout.keys, *layout.fields)
    read = [str(session.macro("revetl_read_column", name=c.name, type=c.type.value)) for c in columns]
    sql = f"select {', '.join(read)} from ({session.macro('revetl_source', s=layout.as_argument())}) as model_rows"
    steps = [_step(column, session.adapter_type) for column in columns]
    target = [{"name": c.name, "engine_type": c.engine_type} for c in (*local.keys, *local.fields)]
    relation = local.tables.model
    definitions = ", ".join(f"{column['name']} {column['engine_type']}" for column in target)
    store.execute([f"drop table if exists {relation}", f"create table {relation} ({definitions})"])
    with store.source.connection():
        for page in session.stream(sql, PAGE_ROWS):
            store.execute([load_rows(store, relation, target, _as_text(page, steps))])
    store.source.release()


def load_rows(
    store: Store, relation: str, columns: Sequence[dict[str, str]], rows: Sequence[Sequence[str | None]]
) -> str:
    """The statement that puts rows of text into a table of ours."""
    packed = base64.b64encode(msgspec.json.encode(rows)).decode()
    return str(store.session.macro("revetl_load_rows", relation=relation, columns=columns, rows=rows, base64=packed))


def canonical(number: Decimal | str) -> str:
    """The one text of a decimal number, however many zeros it was written with."""
    value = Decimal(number)
    if not value.is_finite():
        return str(value)
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def is_number_as_text(column: Column) -> bool:
    """True for a column of a local table that holds `canonical` texts."""
    return column.type is ColumnType.DECIMAL and column.engine_type == "VARCHAR"


def _local_type(column: Column) -> str:
    """Decimals keep their precision where it is known and DuckDB has it; else they are text in one form."""
    digits = _DIGITS.search(column.engine_type)
    if column.type is ColumnType.DECIMAL and digits and int(digits[1]) <= 38:
        return f"DECIMAL({digits[1]},{digits[2]})"
    return _TYPES[column.type]


def _as_text(page: Iterable[Sequence[Any]], steps: Sequence[Callable[[Any], str]]) -> list[list[str | None]]:
    return [[None if v is None else step(v) for step, v in zip(steps, row, strict=True)] for row in page]


def _step(column: Column, adapter_type: str) -> Callable[[Any], str]:
    """What makes a text that DuckDB reads of a driver's value."""
    if column.type is ColumnType.NESTED:
        return str  # the warehouse's canonical text
    decode = decoder(column.type, adapter_type)
    write = canonical if _local_type(column) == "VARCHAR" and column.type is ColumnType.DECIMAL else _text
    return write if decode is None else lambda value: write(decode(value))


def _text(value: Any) -> str:
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
