"""dbt, a warehouse and the engine in one process: tables are written with SQL, syncs made by hand, nothing is built.

Opening dbt costs seconds, so that there is one session a process; every test gets schemas of its own. The warehouse is
DuckDB, or what the environment variable REVETL_TEST_PROFILE (a dbt output as JSON) says.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from revetl_dbt.destinations.base import DestinationConfig, Guards
from revetl_dbt.engine.link import Link
from revetl_dbt.engine.pacing import Pacer
from revetl_dbt.engine.patience import RetryPolicy
from revetl_dbt.engine.result import RunOptions, SyncResult
from revetl_dbt.engine.run import Run
from revetl_dbt.engine.sync_run import open_sync
from revetl_dbt.spec.destinations import Output
from revetl_dbt.spec.models import Source, Sync, SyncSpec
from revetl_dbt.warehouse.dbt_api import DbtOptions, DbtSession
from revetl_dbt.warehouse.ledger import Ledger
from revetl_dbt.warehouse.reader import decoder
from revetl_dbt.warehouse.store import SHARED_TABLES, Store

from .fake import Fake

TYPES = {
    "bigquery": {
        "integer": "int64",
        "bigint": "int64",
        "varchar": "string",
        "text": "string",
        "boolean": "bool",
        "double precision": "float64",
        "numeric(20, 6)": "numeric",
        "uuid": "string",
        "text[]": "array<string>",
        "jsonb": "json",
        "timestamp": "datetime",
        "timestamp with time zone": "timestamp",
    },
    "spark": {
        "varchar": "string",
        "text": "string",
        "double precision": "double",
        "uuid": "string",
        "bytea": "binary",
        "text[]": "array<string>",
        "jsonb": "variant",
        "timestamp": "timestamp_ntz",
        "timestamp with time zone": "timestamp",
    },
}
"""What engines call the types that the tests name as DuckDB and PostgreSQL do."""

_numbers = itertools.count(1)
_schema_prefix = f"t{os.getpid()}"


def profile(folder: Path) -> dict[str, Any]:
    """The dbt output that the tests run on."""
    given = os.environ.get("REVETL_TEST_PROFILE")
    return json.loads(given) if given else {"type": "duckdb", "path": str(folder / "warehouse.duckdb"), "threads": 2}


def write_project(folder: Path, output: Mapping[str, Any]) -> DbtOptions:
    """An empty dbt project with a profile of one output."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dbt_project.yml").write_text("name: harness\nversion: 1.0.0\nprofile: harness\n")
    (folder / "profiles.yml").write_text(json.dumps({"harness": {"target": "dev", "outputs": {"dev": dict(output)}}}))
    return DbtOptions(folder, folder)


@functools.cache
def session() -> DbtSession:
    """The process's dbt session."""
    folder = Path(tempfile.mkdtemp(prefix="revetl-engine-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    opened = DbtSession(write_project(folder, profile(folder)))
    atexit.register(opened.close)
    return opened


def registered(opened: DbtSession) -> None:
    """Make it the process's session again: dbt's macros ask for the adapter by type, and commands that were tested
    before in this process have registered theirs."""
    from dbt.adapters.factory import FACTORY

    FACTORY.adapters[opened.adapter_type] = opened._adapter


class Warehouse:
    """Two fresh schemas: one for models, one for our own tables. A context manager that drops them."""

    def __init__(self, own: DbtSession | None = None) -> None:
        self.session = own or session()
        registered(self.session)
        self.schema = f"{_schema_prefix}_{next(_numbers)}"
        self.notices: list[str] = []
        self.store = self.new_store()

    def new_store(self) -> Store:
        """Another view on the same tables, as another process would have."""
        store = Store(self.session, notice=self.notices.append)
        store.schema = f"{self.schema}_revetl"
        store.tables = {name: self.session.relation(store.schema, name) for name in SHARED_TABLES}
        return store

    def __enter__(self) -> Warehouse:
        self.run(f"create schema {self.session.relation_schema(self.schema)}")
        return self

    def __exit__(self, *_: object) -> None:
        for schema in (self.schema, self.store.schema):
            self.run(f"drop schema if exists {self.session.relation_schema(schema)} cascade")

    @property
    def is_duckdb(self) -> bool:
        return self.session.adapter_type == "duckdb"

    def run(self, *statements: str) -> None:
        self.store.execute(list(statements))

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self.store.query(sql)

    def delete(self, table: str) -> None:
        """Delete every row of a shared table, as the engine deletes."""
        self._shared("delete", table, condition="1 = 1")

    def update(self, table: str, **settings: str) -> None:
        """Set columns of every row of a shared table to SQL."""
        self._shared("update", table, settings=settings, condition="1 = 1")

    def insert(self, table: str, **values: str) -> None:
        """Insert a row, of SQL, into a shared table."""
        self._shared("insert", table, values=values)

    def _shared(self, what: str, table: str, **arguments: Any) -> None:
        of = {"tables": self.store.tables, "name": table}
        self.run(*self.session.macro(f"revetl_{what}_shared", **of, **arguments))

    def relation(self, name: str) -> str:
        return self.session.relation(self.schema, name)

    def type(self, name: str) -> str:
        """The engine's name of a type."""
        return TYPES.get(self.session.adapter_type, {}).get(name, name)

    def table(self, name: str, columns: Mapping[str, str], rows: Sequence[Mapping[str, str]]) -> None:
        """Write a table anew: column names with their SQL types, rows with their SQL expressions (missing: null)."""
        relation = self.relation(name)
        typed = ", ".join(f"{self.session.quote(column)} {self.type(kind)}" for column, kind in columns.items())
        lines = ["(" + ", ".join(row.get(column, "null") for column in columns) + ")" for row in rows]
        statements = [f"drop table if exists {relation}", f"create table {relation} ({typed})"]
        if lines:
            statements.append(f"insert into {relation} values {', '.join(lines)}")
        self.run(*statements)

    def source(self, name: str) -> Source:
        return Source(
            unique_id=f"model.harness.{name}",
            name=name,
            relation_name=self.relation(name),
            database=self.session.database,
            schema=self.schema,
            identifier=name,
            columns=(),
            original_file_path=f"models/{name}.sql",
        )

    def sync(self, name: str, model: str, **spec: Any) -> Sync:
        """A sync of `model`, to object `people` of destination `fake` unless told otherwise."""
        full = {"destination": "fake", "object": "people", "key": tuple(spec.get("match", {}).values()), **spec}
        return Sync(name, SyncSpec.model_validate(full), self.source(model), "models/models.yml", 7)


@dataclass
class Listener:
    """A reporter that remembers."""

    notices: list[str] = field(default_factory=list)
    announced: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)

    def started(self, sync: Sync) -> None:
        pass

    def planned(self, sync: Sync, changes: int) -> None:
        self.announced.append(changes)

    def progress(self, sync: Sync, done: int) -> None:
        self.done.append(done)

    def finished(self, result: SyncResult) -> None:
        pass

    def notice(self, text: str) -> None:
        self.notices.append(text)


EAGER = RetryPolicy(attempts=3, first=0.0, longest=0.0)


@dataclass
class Flow:
    """A sync on its way from a warehouse to a fake destination, run after run."""

    warehouse: Warehouse
    destination: Fake
    sync: Sync
    journal_dir: Path
    retry: RetryPolicy = EAGER
    concurrency: int = 2
    guards: Guards = field(default_factory=Guards)
    listener: Listener = field(default_factory=Listener)
    results: list[SyncResult] = field(default_factory=list)

    def remap(self, **spec: Any) -> None:
        """Change the declaration."""
        self.sync = replace(self.sync, spec=self.sync.spec.model_copy(update=spec))

    def link(self, stop: threading.Event) -> Link:
        config = DestinationConfig(type="fake", concurrency=self.concurrency, guards=self.guards)
        output = Output("fake", "dev", Fake, config, Path("destinations.yml"), 1)
        pacer = Pacer(stop=stop)
        self.destination.gate = pacer
        return Link(output, self.destination, pacer)

    def run(
        self,
        *,
        full_refresh: bool = False,
        all_rows: bool = False,
        build: str | None = None,
        release: bool = False,
        release_held: Literal["rejected", "unknown too"] | None = None,
        store: Store | None = None,
        stop: threading.Event | None = None,
    ) -> SyncResult:
        """Run the sync once; every error but a deliberate one is raised. `build`: the dbt command of the model."""
        stop = stop or threading.Event()
        options = RunOptions(
            full_refresh=full_refresh,
            all_rows=all_rows,
            builds={} if build is None else {self.sync.source.unique_id: build},
            release=frozenset({self.sync.name} if release else ()),
            release_held=release_held,
            retry=self.retry,
            journal_dir=self.journal_dir,
        )
        store = store or self.warehouse.store
        run = Run(store, {"fake": self.link(stop)}, options, self.listener, stop)
        (result,) = run.execute([self.sync], {})
        self.results.append(result)
        return result

    def ledger(self) -> Ledger:
        account = self.destination.check()
        kind = self.destination.kind
        return open_sync(self.warehouse.store, self.sync, kind, account, preview=True)

    def plan(self) -> list[tuple[str, str | None, tuple[Any, ...]]]:
        """(operation, reason, key) of each row that a run would plan now."""
        ledger = self.ledger()
        ledger.write_plan()
        keys = ", ".join(column.name for column in ledger.layout.keys)
        rows = self.warehouse.query(f"select _op, _reason, {keys} from {ledger.layout.tables.plan}")
        return [(op, reason, tuple(key)) for op, reason, *key in rows]

    def ledger_rows(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        """Key: fields, match fields among them, as the destination gets them; of rows that stand as sent."""
        return {key: fields for key, standing, fields in self.standings() if standing == "sent"}

    def standings(self) -> list[tuple[tuple[Any, ...], str, dict[str, Any]]]:
        ledger, adapter = self.ledger(), self.warehouse.session
        columns = (*ledger.layout.keys, *ledger.layout.fields)
        read = [adapter.macro("revetl_read_column", name=c.name, type=c.type.value) for c in columns]
        rows = self.warehouse.query(f"select {', '.join(read)}, _standing from {ledger.layout.tables.ledger}")
        steps = [decoder(column.type, adapter.adapter_type) for column in columns]
        found = []
        for row in rows:
            values = [step(value) if step else value for step, value in zip(steps, row, strict=False)]
            keys = len(ledger.layout.keys)
            names = [column.label for column in ledger.layout.fields]
            found.append((tuple(values[:keys]), row[-1], dict(zip(names, values[keys:], strict=True))))
        return found

    def history(self) -> dict[str, Any]:
        """The newest row of revetl_runs."""
        names = ["status", "model_rows", "planned", "created", "updated", "deleted", "unchanged", "invalid"]
        names += ["rejected", "held", "skipped", "not_attempted", "requests"]
        table = self.warehouse.store.tables["revetl_runs"]
        (row,) = self.warehouse.query(
            f"select {', '.join(names)} from {table} where sync = '{self.sync.name}' order by finished_at desc limit 1"
        )
        return dict(zip(names, row, strict=True))

    def outcomes(self) -> list[tuple[Any, ...]]:
        """(row key, action, status, code, message) of everything that did not go smoothly."""
        table = self.warehouse.store.tables["revetl_outcomes"]
        columns = "row_key, action, status, code, message"
        return self.warehouse.query(f"select {columns} from {table} order by recorded_at, row_key")


def accounted(result: SyncResult) -> None:
    """Every planned row has exactly one fate, and so has every row of the model."""
    totals = result.totals
    fates = totals.accepted + totals.rejected + totals.unknown + result.held + result.guarded
    assert fates <= result.planned
    assert result.not_attempted == result.planned - fates
    assert sum(totals.reasons.values()) == totals.rejected + totals.unknown
