"""State in a DuckDB file beside the project, for roles that may only read the warehouse (`revetl_state: local`).

The macros are those of DuckDB, rendered by dbt-duckdb; the file is opened with DuckDB itself, because dbt-duckdb has
one database a process, which may be the warehouse.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from revetl_dbt.errors import InputError
from revetl_dbt.warehouse.dbt_api import DbtSession
from revetl_dbt.warehouse.store import Store

FOLDER = ".revetl"
_CATALOG = "revetl_state"


def is_local(session: DbtSession) -> bool:
    """Where the state is to be, by the dbt variable `revetl_state`. Raises InputError when it says something else."""
    declared = session.variable("revetl_state", "warehouse")
    if declared in ("warehouse", "local"):
        return bool(declared == "local")
    raise InputError.single(
        "unknown-state-place",
        f"The dbt variable `revetl_state` is `{declared}`",
        field="revetl_state",
        expected="`warehouse` or `local`",
    )


def state_file(session: DbtSession, project_dir: Path) -> Path:
    """The file of a target's state: the dbt variable `revetl_state_path`, or one in `.revetl` in the project's
    folder, which outlives `target/`."""
    declared = session.variable("revetl_state_path", None)
    return project_dir / (str(declared) if declared else f"{FOLDER}/{session.target}.duckdb")


@contextmanager
def open_state(warehouse: Store, project_dir: Path) -> Iterator[Store]:
    """The store of the state, in the warehouse or beside the project, as the dbt variable `revetl_state` says.

    Raises InputError when the state that there is is in the other place, or some of it in each: nothing is sent twice
    for want of a word.
    """
    session = warehouse.session
    path = state_file(session, project_dir)
    local, hint = is_local(session), "`revetl state move --to {}` moves it; or set the dbt variable `revetl_state: {}`"
    if not local and path.exists():
        raise _elsewhere("in the warehouse", f"in `{path}`", hint.format("warehouse", "local"))
    if not local:
        yield warehouse
        return
    if not path.exists() and _is_in(warehouse):
        where = f"in schema `{warehouse.schema}` of the warehouse"
        raise _elsewhere("local", where, hint.format("local", "warehouse"))
    moving = _moving(path)
    if moving.exists():
        raise _in_two_places(moving.read_text(encoding="utf-8"))
    with beside(warehouse, path) as store:
        yield store


@contextmanager
def beside(warehouse: Store, path: Path) -> Iterator[Store]:
    """The store of the state in a file."""
    session = LocalSession(warehouse.session, path)
    try:
        yield Store(session, notice=warehouse.notice, source=warehouse)
    finally:
        session.close()


def begin_move(path: Path, to: str) -> None:
    """Note that ledgers leave a file for the warehouse, or come from there, so that nobody works with half of them."""
    _folder(path)
    _moving(path).write_text(to, encoding="utf-8")


def end_move(path: Path) -> None:
    """Note that all ledgers have arrived."""
    _moving(path).unlink()


def _moving(path: Path) -> Path:
    return path.with_name(f"{path.name}.moving")


def _in_two_places(to: str) -> InputError:
    back = "warehouse" if to == "local" else "local"
    where = "the local file" if to == "local" else "the warehouse"
    return InputError.single(
        "state-elsewhere",
        f"Some of the state is in the warehouse and some in the local file: its move to {where} did not come to an end",
        field="revetl_state",
        hint=f"`revetl state move --to {to}` goes on with it; `--to {back}` takes it back",
    )


def _is_in(warehouse: Store) -> bool:
    with warehouse.connection():
        there = "revetl_syncs" in warehouse.session.tables(warehouse.schema)
    found = there and bool(warehouse.query(f"select count(*) from {warehouse.tables['revetl_syncs']}")[0][0])
    warehouse.release()
    return found


def _elsewhere(wanted: str, found: str, hint: str) -> InputError:
    summary = f"The state is to be {wanted}, and what earlier runs wrote down is {found}"
    return InputError.single("state-elsewhere", summary, field="revetl_state", hint=hint)


class LocalSession(DbtSession):
    """A DuckDB file that looks like a warehouse to the store; what dbt knows of the target is the warehouse's."""

    def __init__(self, warehouse: DbtSession, path: Path) -> None:
        """Raises InputError when dbt-duckdb is not installed."""
        super().__init__(warehouse.for_duckdb())
        import duckdb

        self._error = (*self._error, duckdb.Error)
        self._connect_to = duckdb.connect
        self._warehouse = warehouse
        self._path = path
        self._root: Any = None
        self._opening = threading.Lock()
        self._own = threading.local()

    @property
    def database(self) -> str:
        """The name of the file's catalog, whatever the file is called."""
        return _CATALOG

    @property
    def namespace(self) -> str:
        """The warehouse's: the models are there."""
        return self._warehouse.namespace

    @property
    def schema(self) -> str:
        """The target's schema."""
        return self._warehouse.schema

    @property
    def target(self) -> str:
        """The name of the target."""
        return self._warehouse.target

    @property
    def threads(self) -> int:
        """dbt's number of threads for this target."""
        return self._warehouse.threads

    def variable(self, name: str, default: Any) -> Any:
        """A dbt variable, as the warehouse's target has it."""
        return self._warehouse.variable(name, default)

    def setting(self, name: str) -> Any:
        """A value of `settings:` in the profile's output (dbt-duckdb), or None."""
        return self._warehouse.setting(name)

    @contextmanager
    def connection(self, name: str = "revetl") -> Iterator[None]:  # noqa: ARG002 - dbt's connections have names
        """A connection of the calling thread for the statements inside; one inside another is the same."""
        with self._failures():
            if getattr(self._own, "cursor", None) is not None:
                yield
                return
            self._own.cursor = self._file().cursor()
            try:
                self._own.cursor.execute(f"use {_CATALOG}")
                yield
            finally:
                self._own.cursor.close()
                self._own.cursor = None

    def _file(self) -> Any:
        with self._opening:
            if self._root is None:
                _folder(self._path)
                root = self._connect_to(":memory:", config={"temp_directory": f"{self._path}.tmp"})
                try:
                    root.execute(f"attach '{str(self._path).replace(chr(39), chr(39) * 2)}' as {_CATALOG}")
                except BaseException:
                    root.close()
                    raise
                self._path.chmod(0o600)
                self._root = root
            return self._root

    def open(self, statements: Sequence[str]) -> None:
        """Run what a freshly opened database needs to be told."""
        for statement in statements:
            self._own.cursor.execute(statement)
        self.opened = True

    def columns(self, database: str | None, schema: str, identifier: str) -> list[tuple[str, str]]:  # noqa: ARG002
        """Name and type of each column of a table of ours, in order; empty when there is no such table."""
        sql = "select column_name, data_type from duckdb_columns() where database_name = ? and schema_name = ?"
        return self._rows(f"{sql} and table_name = ? order by column_index", _CATALOG, schema, identifier)

    def tables(self, schema: str) -> set[str]:
        """The names of the tables in a schema, in lower case."""
        sql = "select table_name from duckdb_tables() where database_name = ? and schema_name = ?"
        return {str(name).lower() for (name,) in self._rows(sql, _CATALOG, schema)}

    def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a small result or of one page."""
        return self._rows(sql)

    def _rows(self, sql: str, *values: str) -> list[tuple[Any, ...]]:
        with self._failures():
            return list(self._own.cursor.execute(sql, list(values)).fetchall())

    def run(self, statements: Sequence[str]) -> None:
        """Execute statements in one transaction; nothing is kept of a failed one."""
        cursor = self._own.cursor
        with self._failures():
            cursor.execute("begin")
            try:
                for statement in statements:
                    cursor.execute(statement)
                cursor.execute("commit")
            except BaseException:
                cursor.execute("rollback")
                raise

    def release(self) -> None:
        """Give back the lock on the file."""
        with self._opening:
            if self._root is not None:
                self._root.close()
                self._root = None
                gc.collect()
            self.opened = False

    def close(self) -> None:
        """Close the file."""
        self.release()


def _folder(path: Path) -> None:
    """Make the file's folder; ours keeps itself out of git, since what it holds are values of rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ignored = path.parent / ".gitignore"
    if path.parent.name == FOLDER and not ignored.exists():
        ignored.write_text("*\n")
