"""A ledger in a file: JSON lines that hold every value as the warehouse writes it as text, so that nothing is lost.

{"kind": "revetl-ledger", "state_format": 3, "sync": .., "account": .., "layout": {..}, "tables": {..}, ..}
["ledger", <value or null>, ..]            one line a row, in the order of `tables.ledger.columns`
["rejected", <value or null>, ..]
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
from typing_extensions import TypedDict

from revetl_dbt import __version__
from revetl_dbt.errors import InputError, WarehouseError
from revetl_dbt.warehouse.copy import canonical, is_number_as_text
from revetl_dbt.warehouse.entries import Entry, forget
from revetl_dbt.warehouse.integrity import recorded_columns
from revetl_dbt.warehouse.ledger import Ledger
from revetl_dbt.warehouse.migrate import FORMAT
from revetl_dbt.warehouse.reader import PAGE_ROWS
from revetl_dbt.warehouse.store import Store

KIND = "revetl-ledger"
_SINCE = 2  # the format from which on files are the same
_PARTS = ("ledger", "rejected")
_DRAFTS = {"ledger": "draft", "rejected": "drafted"}  # tables that are there for as long as a transfer takes


def export_lines(store: Store, entry: Entry) -> Iterator[bytes]:
    """The lines of an entry's file, read page by page from a copy that is of one moment."""
    session = store.session
    columns = {part: store.columns(session.database, store.schema, entry.identifier(part)) for part in _PARTS}
    names = {part: [name for name, _ in found] for part, found in columns.items()}
    keys = [column.name for column in recorded_columns(entry.layout) if column.name.startswith("k_")]
    drafts = {part: store.relation(entry.identifier(_DRAFTS[part])) for part in _PARTS}
    drops = [f"drop table if exists {draft}" for draft in drafts.values()]
    with store.connection():
        copies = [
            str(
                session.macro(
                    "revetl_snapshot",
                    relation=drafts[part],
                    source=store.relation(entry.identifier(part)),
                    keys=keys,
                    columns=names[part],
                )
            )
            for part in _PARTS
        ]
        session.run([*drops, *copies])
    try:
        rows = {part: int(store.query(f"select count(*) from {drafts[part]}")[0][0]) for part in _PARTS}
        yield _line(_header(store, entry, columns, rows))
        for part in _PARTS:
            for start in range(0, rows[part], PAGE_ROWS):
                page = {"relation": drafts[part], "columns": names[part], "seq_from": start}
                sql = session.macro("revetl_snapshot_page", seq_to=start + PAGE_ROWS, **page)
                yield from (_line([part, *row]) for row in store.query(str(sql)))
    finally:
        store.execute(drops)


def _header(
    store: Store, entry: Entry, columns: dict[str, list[tuple[str, str]]], rows: dict[str, int]
) -> dict[str, Any]:
    return {
        "kind": KIND,
        "state_format": FORMAT,
        "revetl_version": __version__,
        "adapter": store.session.adapter_type,
        "sync": entry.sync,
        "account": entry.account,
        "account_name": entry.account_name,
        "destination": entry.destination,
        "object": entry.object,
        "model": entry.model,
        "settled": entry.settled_at is not None,
        "layout": json.loads(entry.layout),
        "tables": {part: {"columns": columns[part], "rows": rows[part]} for part in _PARTS},
    }


class _Table(TypedDict):
    columns: list[tuple[str, str]]
    rows: int


class _Tables(TypedDict):
    ledger: _Table
    rejected: _Table


class _Layout(TypedDict):
    columns: list[list[str]]
    carried: list[str]


class _Header(TypedDict):
    """The first line, as far as an import counts on it."""

    adapter: str
    sync: str
    account: str
    account_name: str | None
    destination: str
    object: str
    model: str
    settled: bool
    layout: _Layout
    tables: _Tables


_NO_HEADER = "does not begin as `revetl state export` begins a file"
_NAME = re.compile(r"\w+")
_STATEMENT = re.compile(r";|--|/\*")
"""What is in no type, and would make another statement of one: names and types are SQL when tables are made."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The first line of a file: what it holds, and of which sync and account."""

    header: dict[str, Any]
    source: str

    @classmethod
    def read(cls, line: bytes, source: str, adapter_type: str) -> Imported:
        """Raises InputError `not-a-ledger` when the line does not begin a file that can be imported here."""
        try:
            header = msgspec.json.decode(line)
        except msgspec.DecodeError:
            header = None
        if not isinstance(header, dict) or header.get("kind") != KIND:
            raise wrong_file(source, 1, _NO_HEADER)
        if header.get("state_format") not in range(_SINCE, FORMAT + 1):
            expected = f"format {FORMAT}, which revetl {__version__} writes"
            raise wrong_file(source, 1, f"is of format {header.get('state_format')}", expected)
        try:
            msgspec.convert(header, type=_Header)
        except msgspec.ValidationError:
            raise wrong_file(source, 1, _NO_HEADER) from None
        if header["adapter"] != adapter_type:
            expected = f"one that was exported from {adapter_type}"
            raise wrong_file(source, 1, f"holds the types of {header['adapter']}", expected)
        for part, table in header["tables"].items():
            for name, kind in table["columns"]:
                if not _NAME.fullmatch(name) or _STATEMENT.search(kind):
                    raise wrong_file(source, 1, f"gives table `{part}` a column that no ledger has")
        return cls(header, source)

    @property
    def entry(self) -> Entry:
        """The sync and account that it is of."""
        names = ("sync", "account", "account_name", "destination", "object", "model")
        known = {name: self.header[name] for name in names}
        return Entry(**known, layout=json.dumps(self.header["layout"]), updated_at=None, settled_at=None)

    def rows(self, part: str) -> int:
        """How many rows of `ledger` or `rejected` it holds."""
        return int(self.header["tables"][part]["rows"])


def import_lines(store: Store, file: Imported, lines: Iterable[bytes], meanwhile: Callable[[], None]) -> None:
    """Put a file's rows in the place of what is kept of its sync and account; as a whole or not at all.

    `lines` are those after the first; `meanwhile` is called after each page of them. Raises InputError `not-a-ledger`
    when they are not all there, or a key stands twice.
    """
    entry = file.entry
    drafts = {part: store.relation(entry.identifier(_DRAFTS[part])) for part in _PARTS}
    columns = {
        part: [{"name": name, "engine_type": kind} for name, kind in file.header["tables"][part]["columns"]]
        for part in _PARTS
    }
    drops = [statement for part in _PARTS for statement in store.drop(entry.identifier(_DRAFTS[part]))]
    creates = []
    for part in _PARTS:
        definitions = [f"{column['name']} {column['engine_type']}" for column in columns[part]]
        key = [column["name"] for column in columns[part] if column["name"].lower().startswith("k_")]
        creates += store.session.macro("revetl_create_kept", relation=drafts[part], columns=definitions, key=key)
    store.execute([*drops, *creates])
    try:
        for part, rows in _batches(file, lines):
            packed = base64.b64encode(msgspec.json.encode(rows)).decode()
            arguments = {"relation": drafts[part], "columns": columns[part], "rows": rows, "base64": packed}
            try:
                store.execute([str(store.session.macro("revetl_load_rows", **arguments))])
            except WarehouseError:
                # Without the cause: it may quote the value.
                raise wrong_file(file.source, None, f"holds a value of `{part}` that does not fit its type") from None
            meanwhile()
        for part in _PARTS:
            _check_keys(store, file, part, drafts[part], [c["name"] for c in columns[part]])
        store.execute([*forget(store, entry.sync, entry.account), *_renames(store, entry), *_row(store, file)])
    finally:
        store.execute(drops)
    if file.header["settled"]:
        store.settle(entry.sync, entry.account)


def _check_keys(store: Store, file: Imported, part: str, draft: str, columns: Iterable[str]) -> None:
    """Raises InputError when a key stands twice, so that what is of one row would be done to another's record."""
    key = ", ".join(name for name in columns if name.lower().startswith("k_"))
    repeated = f"select {key} from {draft} group by {key} having count(*) > 1"
    ((keys,),) = store.query(f"select count(*) from ({repeated}) as repeated")
    if keys:
        raise wrong_file(file.source, None, f"holds {keys} keys of `{part}` more than once")


def take_over(source: Store, target: Store, entry: Entry, ledger: Ledger, meanwhile: Callable[[], None]) -> None:
    """Put an entry's rows, from another store, in the place of an empty ledger, with the types of that one."""
    lines = export_lines(source, entry)
    header = msgspec.json.decode(next(lines))
    text = str(target.session.macro("revetl_text_type"))
    for part, table in header["tables"].items():
        here = target.columns(target.session.database, target.schema, entry.identifier(part))
        types = {name.lower(): kind for name, kind in here}
        # what is mapped no more is carried as text
        table["columns"] = [(name.lower(), types.get(name.lower(), text)) for name, _ in table["columns"]]
    header |= {"adapter": target.session.adapter_type, "layout": json.loads(ledger.layout.columns_json())}
    texts = {c.name for c in (*ledger.layout.keys, *ledger.layout.fields) if is_number_as_text(c)}
    import_lines(target, Imported(header, entry.sync), _in_one_form(lines, header["tables"], texts), meanwhile)


def _in_one_form(lines: Iterable[bytes], tables: dict[str, Any], texts: set[str]) -> Iterator[bytes]:
    """The lines, numbers in columns that hold them as text written as a copy of the model writes them."""
    places = {
        part: [i for i, (name, _) in enumerate(table["columns"], 1) if name in texts] for part, table in tables.items()
    }
    for line in lines:
        if not texts:
            yield line
            continue
        row = msgspec.json.decode(line)
        for i in places[row[0]]:
            row[i] = None if row[i] is None else canonical(row[i])
        yield _line(row)


def _batches(file: Imported, lines: Iterable[bytes]) -> Iterator[tuple[str, list[list[str | None]]]]:
    """The rows by the table that they belong to, at most a page at once."""
    widths = {part: len(file.header["tables"][part]["columns"]) for part in _PARTS}
    seen = dict.fromkeys(_PARTS, 0)
    numbered = enumerate(lines, 2)
    while page := list(islice(numbered, PAGE_ROWS)):
        parts: dict[str, list[list[str | None]]] = {part: [] for part in _PARTS}
        for number, line in page:
            try:
                part, *row = msgspec.json.decode(line, type=list[str | None])
            except (msgspec.DecodeError, ValueError) as error:
                raise wrong_file(file.source, number, "is not a row") from error
            if part not in widths or len(row) != widths[part]:
                raise wrong_file(file.source, number, "is not a row of this ledger")
            parts[part].append(row)
        for part, rows in parts.items():
            seen[part] += len(rows)
            if rows:
                yield part, rows
    for part in _PARTS:
        if seen[part] != file.rows(part):
            held = f"holds {seen[part]} rows of table `{part}`"
            raise wrong_file(file.source, None, held, f"{file.rows(part)}, as its first line says")


def _renames(store: Store, entry: Entry) -> Iterator[str]:
    for part in _PARTS:
        yield from store.rename(entry.identifier(_DRAFTS[part]), entry.identifier(part))


def _row(store: Store, file: Imported) -> list[str]:
    entry = file.entry
    row = {
        "sync": entry.sync,
        "account": entry.account,
        "account_name": entry.account_name,
        "destination": entry.destination,
        "object": entry.object,
        "model": entry.model,
        "ledger": store.relation(entry.identifier("ledger")),
        "plan_id": str(uuid.uuid4()),
        "checksum": "imported",  # the next run compares it with what is declared now
        "layout": entry.layout,
        "state_format": FORMAT,
    }
    return store.insert("revetl_syncs", row, "updated_at")


def wrong_file(source: str, line: int | None, summary: str, expected: str | None = None) -> InputError:
    """The error of a file that cannot be imported."""
    hint = "`revetl state export` writes such files; one that was cut off cannot be used"
    return InputError.single(
        "not-a-ledger", f"The file {summary}", path=source, line=line, expected=expected, hint=hint
    )


def _line(value: Any) -> bytes:
    return msgspec.json.encode(value) + b"\n"
