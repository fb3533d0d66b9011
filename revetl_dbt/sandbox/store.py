"""Everything a sandbox remembers, in one SQLite file.

The file survives a killed process: WAL with synchronous=NORMAL loses nothing when a process dies (only when the
machine does).
One connection serves all threads under one lock, since SQLite has one writer anyway.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

from revetl_dbt.errors import SandboxError

_SCHEMA = """
create table if not exists settings (name text primary key, value text not null) without rowid;
create table if not exists definitions (
    vendor text, object text, kind text, name text, body text not null, unique (vendor, object, kind, name)
);
create table if not exists records (
    seq integer primary key, vendor text not null, object text not null, id text not null,
    properties text not null, created integer not null, updated integer not null, archived integer,
    unique (vendor, object, id)
);
create index if not exists records_by_object on records (vendor, object, seq);
create table if not exists uniques (
    vendor text, object text, field text, value text, id text not null, primary key (vendor, object, field, value)
) without rowid;
create table if not exists changes (
    n integer primary key, vendor text not null, object text not null, id text not null, at integer not null,
    source text not null, fields text not null
);
create index if not exists changes_by_record on changes (vendor, object, id);
create table if not exists requests (
    n integer primary key, at integer not null, vendor text, method text not null, path text not null, status integer,
    ms real not null, records integer not null, fault text, sent blob, answered blob
);
create table if not exists answers (
    vendor text, key text, fingerprint text not null, status integer not null, body blob not null, primary key
    (vendor, key)
) without rowid;
"""
_RECORDS = "select id, properties, created, updated, archived, seq from records where "


@dataclass
class Record:
    """A record of a vendor's object. `seq` is the order of arrival; times are milliseconds since 1970."""

    id: str
    properties: dict[str, Any]
    created: int
    updated: int
    archived: int | None = None
    seq: int = 0


@dataclass(frozen=True)
class Change:
    """One accepted write to a record: the fields it changed, each as (value before, value after)."""

    id: str
    at: int
    source: str
    fields: dict[str, tuple[Any, Any]]


@dataclass(frozen=True)
class LoggedRequest:
    """One line of the request log. `status` is None where the connection was dropped without an answer; `ms` is
    its duration."""

    n: int
    at: int
    vendor: str | None
    method: str
    path: str
    status: int | None
    ms: float
    records: int
    fault: str | None
    sent: bytes | None = field(default=None, repr=False)
    answered: bytes | None = field(default=None, repr=False)


class Store:
    """The state of a sandbox, for all its vendors. Safe to use from several threads; raises SandboxError if the
    file cannot be used."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._lock = threading.RLock()
        self._now = now
        self._depth = 0
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = normal")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise SandboxError(
                f"The sandbox cannot use its state file {path}: {error}. Check that the folder is writable"
            ) from error

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._db.close()

    def now(self) -> int:
        """Milliseconds since 1970."""
        return int(self._now() * 1000)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and nobody else in between. May be nested."""
        with self._lock:
            outermost = self._depth == 0
            if outermost:
                self._db.execute("begin immediate")
            self._depth += 1
            try:
                yield
            except BaseException:
                if outermost:
                    self._db.execute("rollback")
                raise
            else:
                if outermost:
                    self._db.execute("commit")
            finally:
                self._depth -= 1

    # -- settings and definitions ----------------------------------------------------------------

    def setting(self, name: str, default: Callable[[], Any] | None = None) -> Any:
        """A setting; `default()` is stored when there is none yet."""
        with self.transaction():
            row = self._db.execute("select value from settings where name = ?", (name,)).fetchone()
            if row is not None:
                return json.loads(row[0])
            if default is None:
                return None
            value = default()
            self.set_setting(name, value)
            return value

    def set_setting(self, name: str, value: Any) -> None:
        """Store a setting (any JSON value)."""
        with self._lock:
            self._db.execute("insert or replace into settings values (?, ?)", (name, json.dumps(value)))

    def next_number(self, name: str, count: int, first: int) -> int:
        """Take `count` consecutive numbers and return the first of them."""
        with self.transaction():
            number = int(self.setting(name) or first)
            self.set_setting(name, number + count)
            return number

    def definitions(self, vendor: str, kind: str, object_: str = "") -> dict[str, Any]:
        """Definitions (properties, schemas, tokens) by name, in the order in which they were made."""
        with self._lock:
            rows = self._db.execute(
                "select name, body from definitions where vendor = ? and object = ? and kind = ? order by rowid",
                (vendor, object_, kind),
            ).fetchall()
        return {name: json.loads(body) for name, body in rows}

    def define(self, vendor: str, kind: str, name: str, body: Any, object_: str = "") -> None:
        """Add or replace a definition."""
        with self._lock:
            self._db.execute(
                "insert into definitions values (?, ?, ?, ?, ?) "
                "on conflict (vendor, object, kind, name) do update set body = excluded.body",
                (vendor, object_, kind, name, json.dumps(body)),
            )

    # -- records ---------------------------------------------------------------------------------

    def read(self, vendor: str, object_: str, ids: Iterable[str]) -> dict[str, Record]:
        """Records by id, archived ones included."""
        condition = "vendor = ? and object = ? and id in (select value from json_each(?))"
        return {record.id: record for record in self._select(condition, (vendor, object_, _array(ids)))}

    def owners(self, vendor: str, object_: str, name: str, values: Iterable[str]) -> dict[str, str]:
        """Which record holds each value of a unique field: value -> id, only those that are held."""
        query = (
            "select value, id from uniques where vendor = ? and object = ? and field = ? "
            "and value in (select value from json_each(?))"
        )
        with self._lock:
            return dict(self._db.execute(query, (vendor, object_, name, _array(values))).fetchall())

    def scan(
        self, vendor: str, object_: str, after: int = 0, limit: int = -1, archived: bool | None = False
    ) -> list[Record]:
        """Records in order of arrival with `seq > after`; `archived=None` takes both kinds, a negative limit all."""
        condition = {None: "", True: " and archived is not null", False: " and archived is null"}[archived]
        return self._select(
            f"vendor = ? and object = ? and seq > ?{condition} order by seq limit ?", (vendor, object_, after, limit)
        )

    def find(self, vendor: str, object_: str, text: str, limit: int, offset: int = 0) -> list[Record]:
        """Records that hold `text` anywhere in their values, the latest first, archived ones left out; for a person."""
        pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        return self._select(
            "vendor = ? and object = ? and archived is null and properties like ? escape '\\' "
            "order by updated desc, seq desc limit ? offset ?",
            (vendor, object_, pattern, limit, offset),
        )

    def counts(self, vendor: str) -> dict[str, tuple[int, int]]:
        """For each object of a vendor: (records, of them archived)."""
        with self._lock:
            rows = self._db.execute(
                "select object, count(*), count(archived) from records where vendor = ? group by object", (vendor,)
            ).fetchall()
        return {name: (total, archived) for name, total, archived in rows}

    def write(self, vendor: str, object_: str, records: Iterable[Record], changes: Iterable[Change]) -> None:
        """Insert or replace records and note what changed."""
        with self.transaction():
            self._db.executemany(
                "insert into records (vendor, object, id, properties, created, updated, archived) "
                "values (?, ?, ?, ?, ?, ?, ?) on conflict (vendor, object, id) do update set "
                "properties = excluded.properties, updated = excluded.updated, archived = excluded.archived",
                [(vendor, object_, r.id, _json(r.properties), r.created, r.updated, r.archived) for r in records],
            )
            self._db.executemany(
                "insert into changes (vendor, object, id, at, source, fields) values (?, ?, ?, ?, ?, ?)",
                [(vendor, object_, c.id, c.at, c.source, _json(c.fields)) for c in changes],
            )

    def claim(
        self, vendor: str, object_: str, claims: Iterable[tuple[str, str, str]], releases: Iterable[tuple[str, str]]
    ) -> None:
        """Give unique values to records, as (field, value, id), after taking back others, as (field, value)."""
        with self.transaction():
            self._db.executemany(
                "delete from uniques where vendor = ? and object = ? and field = ? and value = ?",
                [(vendor, object_, name, value) for name, value in releases],
            )
            self._db.executemany(
                "insert into uniques values (?, ?, ?, ?, ?)", [(vendor, object_, *claim) for claim in claims]
            )

    def purge(self, vendor: str, object_: str, ids: Iterable[str]) -> None:
        """Forget records for good, with their history and their unique values."""
        found = _array(ids)
        with self.transaction():
            for table in ("records", "changes", "uniques"):
                self._db.execute(
                    f"delete from {table} where vendor = ? and object = ? "  # noqa: S608 - a fixed list of tables
                    "and id in (select value from json_each(?))",
                    (vendor, object_, found),
                )

    def changes(self, vendor: str, object_: str, ids: Iterable[str]) -> dict[str, list[Change]]:
        """The history of records, oldest first."""
        found: dict[str, list[Change]] = {record_id: [] for record_id in ids}
        query = (
            "select id, at, source, fields from changes where vendor = ? and object = ? "
            "and id in (select value from json_each(?)) order by n"
        )
        with self._lock:
            rows = self._db.execute(query, (vendor, object_, _array(found))).fetchall()
        for record_id, at, source, fields in rows:
            pairs = {name: (old, new) for name, (old, new) in json.loads(fields).items()}
            found[record_id].append(Change(record_id, at, source, pairs))
        return found

    def _select(self, where: str, values: Sequence[Any]) -> list[Record]:
        with self._lock:
            rows = self._db.execute(_RECORDS + where, values).fetchall()
        return [
            Record(i, json.loads(properties), created, updated, archived, seq)
            for i, properties, created, updated, archived, seq in rows
        ]

    # -- answers kept for idempotency keys -----------------------------------------------------------

    def answer(self, vendor: str, key: str) -> tuple[str, int, bytes] | None:
        """(fingerprint of the request, status, body) of the answer once given under an idempotency key."""
        with self._lock:
            row = self._db.execute(
                "select fingerprint, status, body from answers where vendor = ? and key = ?", (vendor, key)
            ).fetchone()
        return None if row is None else (row[0], row[1], row[2])

    def keep_answer(self, vendor: str, key: str, fingerprint: str, status: int, body: bytes) -> None:
        """Remember an answer under its idempotency key."""
        with self._lock:
            self._db.execute(
                "insert or replace into answers values (?, ?, ?, ?, ?)", (vendor, key, fingerprint, status, body)
            )

    # -- request log -----------------------------------------------------------------------------

    def log(self, entry: LoggedRequest) -> None:
        """Append to the request log; `n` is given by the store."""
        with self._lock:
            self._db.execute("insert into requests values (null, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(entry)[1:])

    def requests(self, limit: int = 100, after: int = 0, newest: bool = False) -> list[LoggedRequest]:
        """Logged requests with `n > after`, oldest first, or the newest first."""
        forward = "select * from requests where n > ? order by n limit ?"
        backward = "select * from requests where n > ? order by n desc limit ?"
        with self._lock:
            rows = self._db.execute(backward if newest else forward, (after, limit)).fetchall()
        return [LoggedRequest(*row) for row in rows]

    def tally(self) -> list[tuple[str, str, int | None, int, int]]:
        """(method, path, status, requests, records) for each different combination."""
        with self._lock:
            return self._db.execute(
                "select method, path, status, count(*), sum(records) from requests "
                "group by method, path, status order by path, method, status"
            ).fetchall()

    def reset(self, requests_only: bool = False) -> None:
        """Forget the request log, and unless told otherwise all records too. Definitions, account and tokens stay."""
        with self.transaction():
            for table in ("requests",) if requests_only else ("requests", "records", "uniques", "changes", "answers"):
                self._db.execute(f"delete from {table}")  # noqa: S608 - a fixed list of tables


def _array(values: Iterable[str]) -> str:
    """Texts as a JSON array, for SQLite's json_each."""
    return json.dumps(list(values))


_json = json.JSONEncoder(ensure_ascii=False).encode


def as_json(entry: LoggedRequest) -> Mapping[str, Any]:
    """A log line for the control API; bodies as text."""
    line = {
        name: getattr(entry, name)
        for name in ("n", "at", "vendor", "method", "path", "status", "ms", "records", "fault")
    }
    for name in ("sent", "answered"):
        body: bytes | None = getattr(entry, name)
        if body is not None:
            line[name] = body.decode("utf-8", "replace")
    return line
