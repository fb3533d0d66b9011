"""How a sync is laid out in the warehouse: its tables, and one typed column for each key and field."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from revetl_dbt.destinations.base import ColumnType
from revetl_dbt.spec.models import FieldMapping, Mode, OnRemoved, Sync, SyncSpec, Write

BITS = 60  # changed-field flags in one bigint
_NAME_LENGTH = 50  # PostgreSQL cuts names at 63 bytes

Macro = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A key or field in the ledger and plan: column `name`, the SQL `expression` over the model, its types."""

    name: str
    expression: str
    label: str  # the model's column, or the destination's field
    engine_type: str = ""
    type: ColumnType = ColumnType.TEXT
    match: bool = False
    compare: bool = True
    skip_null: bool = False
    constant_json: bool = False
    write: Write = Write.ALWAYS
    word: int = 0
    bit: int = 0


@dataclass(frozen=True, slots=True)
class Tables:
    """Rendered relations of one sync and account."""

    model: str
    ledger: str
    rejected: str
    plan: str
    results: str


@dataclass(frozen=True, slots=True)
class Layout:
    """A sync as the macros see it; `as_argument` is the `s` of macros/plan.sql."""

    sync: Sync
    tables: Tables
    keys: tuple[Column, ...]
    fields: tuple[Column, ...]
    match_ignores_case: bool = False
    removal: str | None = None  # delete or clear: the operation for rows that are gone
    full_refresh: bool = False
    since: str | None = None  # SQL condition of the rows that are looked at, where not all are
    limited: bool = False  # not all rows of the model are looked at
    carried: tuple[str, ...] = ()  # ledger columns of fields that are mapped no more: kept as they are

    @property
    def words(self) -> int:
        """Number of bigint columns that say which fields changed."""
        return max(1, -(-len(self.fields) // BITS))

    @property
    def match_is_key(self) -> bool:
        """True when the match fields are filled by the key columns, so that one check of uniqueness serves both."""
        spec = self.sync.spec
        return not self.match_ignores_case and sorted(spec.match.values()) == sorted(spec.key)

    def as_argument(self) -> dict[str, Any]:
        """Everything that the SQL macros need, as plain values."""
        mode = self.sync.spec.mode
        return {
            **asdict(self.tables),
            "key_columns": [_plain(column) for column in self.keys],
            "fields": [_plain(column) for column in self.fields],
            "carried": list(self.carried),
            "words": self.words,
            "where": self.sync.spec.where,
            "since": self.since,
            "limited": self.limited,
            "mode": Mode.DELETE.value if mode.removes else mode.value,
            "standing": "deleted" if mode.removes else "sent",
            "first_op": _FIRST_OP[mode],
            "later_op": "delete" if mode.removes else "update",
            "removed": self.removal,
            "max_attempts": self.sync.spec.rejected.max_attempts,
            "match_ignores_case": self.match_ignores_case,
            "match_is_key": self.match_is_key,
            "full_refresh": self.full_refresh and mode in {Mode.UPSERT, Mode.UPDATE},
        }

    def columns_json(self) -> str:
        """The columns as text, for the table of syncs: what the next run needs to know without asking the engine for
        types."""
        columns = [
            [c.name, c.label, c.expression, c.engine_type, c.type.value, c.write.value]
            for c in (*self.keys, *self.fields)
        ]
        return json.dumps({"columns": columns, "carried": self.carried})


_FIRST_OP = {
    Mode.UPSERT: "create",
    Mode.CREATE: "create",
    Mode.APPEND: "create",
    Mode.UPDATE: "update",
    Mode.DELETE: "delete",
    Mode.ERASE: "delete",
}


def _plain(column: Column) -> dict[str, Any]:
    return asdict(column) | {"type": column.type.value, "write": column.write.value}


def draft(
    sync: Sync,
    tables: Tables,
    columns: dict[str, str],
    macro: Macro,
    quote: Callable[[str], str],
    *,
    match_ignores_case: bool = False,
    full_refresh: bool = False,
) -> Layout:
    """A layout without types. `columns` maps the lower-case names of the relation's columns to their real names."""
    spec = sync.spec

    def column(name: str) -> str:
        return quote(columns.get(name.lower(), name))

    key_names = _column_names("k_", spec.key)
    keys = tuple(Column(key_names[key], column(key), key) for key in spec.key)
    field_names = _column_names("f_", [*spec.match, *spec.fields])
    fields = [Column(field_names[name], column(source), name, match=True) for name, source in spec.match.items()]
    for name, mapping in spec.fields.items():
        fields.append(
            Column(
                field_names[name],
                _expression(mapping, column, macro),
                name,
                compare=mapping.write is not Write.ON_CREATE,
                skip_null=mapping.if_null == "skip",
                constant_json=isinstance(mapping.value, (list, dict)),
                write=mapping.write,
            )
        )
    return Layout(sync, tables, keys, _numbered(fields), match_ignores_case, _removal(spec), full_refresh)


def _numbered(fields: Iterable[Column]) -> tuple[Column, ...]:
    """Each field with its place among the flags that say which have changed."""
    return tuple(replace(field, word=i // BITS, bit=1 << (i % BITS)) for i, field in enumerate(fields))


def typed(layout: Layout, shape: dict[str, str], adapter_type: str, text_type: str, macro: Macro) -> Layout:
    """The layout with the engine's types. `shape` maps lower-case column names to type names.

    Values that an engine cannot compare become canonical text, and those that no destination knows (uuid, enum,
    interval) plain text.
    """
    from revetl_dbt.warehouse.types import is_text, logical_type

    def settle(column: Column) -> Column:
        engine_type = shape[column.name.lower()]
        kind = logical_type(engine_type, adapter_type)
        if column.constant_json:
            return replace(column, engine_type=engine_type, type=ColumnType.NESTED)
        if kind is ColumnType.NESTED:
            return replace(
                column,
                expression=macro("revetl_nested_text", expression=column.expression),
                engine_type=text_type,
                type=kind,
            )
        if kind is ColumnType.TEXT and not is_text(engine_type):
            return replace(column, expression=f"cast({column.expression} as {text_type})", engine_type=text_type)
        return replace(column, engine_type=engine_type, type=kind)

    return replace(layout, keys=tuple(map(settle, layout.keys)), fields=tuple(map(settle, layout.fields)))


def restored(layout: Layout, columns_json: str) -> Layout:
    """The layout with the types that were written down by `columns_json` for the same declaration and the same model
    columns."""
    stored = json.loads(columns_json)
    known = {name: rest for name, _, *rest in stored["columns"]}

    def settle(column: Column) -> Column:
        expression, engine_type, kind, _ = known[column.name]
        return replace(column, expression=expression, engine_type=engine_type, type=ColumnType(kind))

    keys, fields = tuple(map(settle, layout.keys)), tuple(map(settle, layout.fields))
    return replace(layout, keys=keys, fields=fields, carried=tuple(stored["carried"]))


def recorded(sync: Sync, tables: Tables, columns_json: str) -> Layout:
    """The layout that was in force when `columns_json` was written down: enough of it to send and fold a plan of
    then."""
    stored = json.loads(columns_json)
    matches = sync.spec.match
    skipped = {label for label, mapping in sync.spec.fields.items() if mapping.if_null == "skip"}
    columns = [
        Column(
            name,
            expression,
            label,
            engine_type,
            ColumnType(kind),
            label in matches,
            skip_null=label in skipped,
            write=Write(write),
        )
        for name, label, expression, engine_type, kind, write in stored["columns"]
    ]
    keys = tuple(column for column in columns if column.name.startswith("k_"))
    fields = _numbered(column for column in columns if column.name.startswith("f_"))
    return Layout(sync, tables, keys, fields, carried=tuple(stored["carried"]))


def checksum(layout: Layout, columns: Iterable[tuple[str, str]]) -> str:
    """A fingerprint of the draft's expressions and of the model's columns and types: while it is the same, so are
    the types."""
    parts = [[c.name, c.expression] for c in (*layout.keys, *layout.fields)]
    return hashlib.sha256(json.dumps([parts, sorted(columns)]).encode()).hexdigest()


def table_suffix(sync: str, account: str) -> str:
    """The part of a table name that stands for a sync and the account that it writes to.

    The digest tells names apart that are the same once they are shortened.
    """
    digest = hashlib.sha256(f"{sync}\n{account}".encode()).hexdigest()[:8]
    return f"{_sanitise(sync)[:40]}__{digest}"


def _removal(spec: SyncSpec) -> str | None:
    if spec.mode is Mode.APPEND or spec.mode.removes or spec.on_removed is OnRemoved.KEEP:
        return None
    return "clear" if spec.on_removed is OnRemoved.CLEAR else "delete"


def _expression(mapping: FieldMapping, column: Callable[[str], str], macro: Macro) -> str:
    if mapping.column is not None:
        sql = column(mapping.column)
    elif mapping.lookup is not None:
        sql = column(next(iter(mapping.lookup.match.values())))
    elif mapping.sql is not None:
        sql = f"(\n{mapping.sql}\n)"
    elif isinstance(mapping.value, (list, dict)):
        sql = macro("revetl_literal", value=json.dumps(mapping.value))
    else:
        sql = macro("revetl_literal", value=mapping.value)
    if mapping.hash is not None:
        sql = macro("revetl_hashed", expression=sql, normalise=mapping.normalise or "text")
    if mapping.if_null not in ("clear", "skip"):
        sql = f"coalesce({sql}, {macro('revetl_literal', value=mapping.if_null)})"
    return str(sql).strip()


def _sanitise(name: str) -> str:
    return re.sub(r"[^a-z0-9_]", "_", name.lower())


def _column_names(prefix: str, names: Sequence[str]) -> dict[str, str]:
    """A plain, lower-case, unique column name for each name: what was shortened or would collide carries a digest."""
    plain = {name: prefix + _sanitise(name)[:_NAME_LENGTH] for name in names}
    taken: dict[str, int] = {}
    for column in plain.values():
        taken[column] = taken.get(column, 0) + 1
    return {
        name: column
        if taken[column] == 1 and len(name) <= _NAME_LENGTH
        else f"{column}_{hashlib.sha256(name.encode()).hexdigest()[:6]}"
        for name, column in plain.items()
    }
