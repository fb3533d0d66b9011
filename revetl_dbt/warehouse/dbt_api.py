"""Every import of dbt, in one place: opens a project's adapter and renders our macros through it.

The names used here exist from dbt-core 1.8 to 1.12. Importing this module is cheap; opening a session costs about two
seconds, most of it dbt's own imports.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from revetl_dbt import tally
from revetl_dbt.errors import InputError, WarehouseError
from revetl_dbt.warehouse.macro_cache import MacroCache

PACKAGE = "revetl_dbt"
LOG_COLUMNS = frozenset({"_version", "_gone", "_nth"})
"""What the views of macros/kept.sql show beside the columns of their table."""


@dataclass(frozen=True, slots=True)
class DbtOptions:
    """What picks project, profile and target, as on dbt's own command line; None means dbt's default."""

    project_dir: Path
    profiles_dir: Path | None = None
    profile: str | None = None
    target: str | None = None
    vars: dict[str, Any] | None = None
    threads: int | None = None
    scratch: Path | None = None  # a folder where parsed macros may be kept for the next session


class Booted(NamedTuple):
    """dbt's adapter and configuration, the errors that it raises, and the version of our dbt package where the project
    has installed it."""

    adapter: Any
    config: Any
    errors: tuple[type[Exception], ...]
    package_version: str | None = None
    scratch: Path | None = None


def _data_type(column: Any) -> str:
    """The type of a dbt column; dbt makes up a length of 256 for text of which it knows none."""
    unlimited = column.is_string() and column.char_size is None
    return str(column.dtype if unlimited else column.data_type)


class DbtSession:
    """An open adapter with our macros loaded beside the user's own. Connections belong to the calling thread."""

    def __init__(self, options: DbtOptions | Booted) -> None:
        """Raises InputError when dbt cannot read the project or profile, WarehouseError when the adapter is not
        usable."""
        booted = _boot(options) if isinstance(options, DbtOptions) else options
        self._adapter, self._config, self._error, self.package_version, self._scratch = booted
        self.opened = False

    def for_duckdb(self) -> Booted:
        """What renders our macros for DuckDB beside this session. Raises InputError when dbt-duckdb is missing."""
        if self.adapter_type == "duckdb":
            return Booted(self._adapter, self._config, self._error, self.package_version, self._scratch)
        return _boot_beside(self._config, self._scratch)

    @property
    def adapter_type(self) -> str:
        """dbt's name of the adapter, such as `duckdb`."""
        return str(self._adapter.type())

    @property
    def database(self) -> str:
        """The target's database."""
        return str(self._config.credentials.database)

    @property
    def schema(self) -> str:
        """The target's schema."""
        return str(self._config.credentials.schema)

    @property
    def target(self) -> str:
        """The name of the target."""
        return str(self._config.target_name)

    @property
    def threads(self) -> int:
        """dbt's number of threads for this target."""
        return int(self._config.threads)

    @property
    def namespace(self) -> str:
        """What tells this warehouse from others, for lineage: `postgres://host:port`, `snowflake://account`, ...

        https://openlineage.io/docs/spec/naming
        """
        if self.adapter_type == "bigquery":
            return "bigquery"
        credentials = self._config.credentials
        place = getattr(credentials, "path", None) if self.adapter_type == "duckdb" else credentials.unique_field
        port = getattr(credentials, "port", None)
        return f"{self.adapter_type}://{place}" + (f":{port}" if port else "")

    def variable(self, name: str, default: Any) -> Any:
        """A dbt variable as `var(name, default)` would give it to the root project."""
        given = self._config.vars.vars_for(_RootNode(self._config.project_name), self.adapter_type)
        return {**given, **self._config.cli_vars}.get(name, default)

    def relation(self, schema: str, identifier: str) -> str:
        """A table in the target's database, rendered and quoted as the adapter wants it."""
        return str(self._relation(self.database, schema, identifier))

    def relation_schema(self, schema: str) -> str:
        """A schema in the target's database, rendered."""
        relation = self._relation(self.database, schema)
        # PostgreSQL names a schema without its database where one is created.
        one_database = self.adapter_type in {"postgres", "redshift", "spark"}
        return str(relation.include(database=not one_database, identifier=False))

    def quote(self, name: str) -> str:
        """A column name, quoted."""
        return str(self._adapter.quote(name))

    def setting(self, name: str) -> Any:
        """A value of `settings:` in the profile's output (dbt-duckdb), or None."""
        return (getattr(self._config.credentials, "settings", None) or {}).get(name)

    def open(self, statements: Sequence[str]) -> None:
        """Run what a freshly opened database needs to be told; `opened` is false before, and after each `release`."""
        for statement in statements:
            self._adapter.connections.add_query(statement, auto_begin=False)
        self.opened = True

    def columns(self, database: str | None, schema: str, identifier: str) -> list[tuple[str, str]]:
        """Name and type of each column of a relation, in order; empty when there is no such relation."""
        relation = self._relation(database, schema, identifier)
        with self._failures():
            columns = self._adapter.get_columns_in_relation(relation)
            self._end_transaction()
        return [(str(column.name), _data_type(column)) for column in columns if column.name not in LOG_COLUMNS]

    def tables(self, schema: str) -> set[str]:
        """The names of the tables in a schema of the target's database, in lower case; none where it is not there."""
        relation = self._relation(self.database, schema)
        with self._failures():
            found = self._adapter.list_relations_without_caching(relation)
            self._end_transaction()
        return {str(item.identifier).lower() for item in found}

    def _relation(self, database: str | None, schema: str, identifier: str | None = None) -> Any:
        # Spark has no databases beside its schemas, and says so.
        database = None if self.adapter_type == "spark" else database
        return self._adapter.Relation.create(database=database, schema=schema, identifier=identifier)

    def macro(self, name: str, /, **arguments: Any) -> Any:
        """What a macro of ours (or the user's override of it) returns."""
        with self._failures():
            return self._adapter.execute_macro(name, project=PACKAGE, kwargs=arguments)

    @contextmanager
    def connection(self, name: str = "revetl") -> Iterator[None]:
        """A connection of the calling thread for the statements inside.

        Raises WarehouseError when it cannot be opened.
        """
        with self._failures(), self._adapter.connection_named(name):
            self._connect()
            yield

    def _connect(self) -> None:
        """Open the thread's connection, which dbt leaves to the first statement: drivers raise errors of their own."""
        try:
            self._adapter.connections.get_thread_connection().handle  # noqa: B018 - reading it opens it
        except self._error:
            raise
        except Exception as error:
            raise WarehouseError(str(error).strip()) from error

    def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a small result or of one page, as the driver's own Python values."""
        with self._failures():
            if self.adapter_type == "postgres":
                try:
                    return self._rows(sql)
                except ValueError:  # a date of a year that Python does not have
                    self._read_any_date()
            if self.adapter_type in {"duckdb", "postgres", "redshift", "snowflake", "databricks", "spark"}:
                return self._rows(sql)
            if self.adapter_type == "bigquery":
                return [row for page in self._job_pages(sql, None) for row in page]
            _, table = self._adapter.execute(sql, fetch=True)
            return [tuple(row) for row in table.rows]

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        _, cursor = self._adapter.connections.add_query(sql, auto_begin=False)
        return [tuple(row) for row in cursor.fetchall()] if self.adapter_type == "spark" else cursor.fetchall()

    def _read_any_date(self) -> None:
        """Let the thread's connection give dates that Python has no value for as text; others take twice as long."""
        from psycopg2 import extensions

        handle = self._adapter.connections.get_thread_connection().handle
        for kind in (extensions.PYDATE, extensions.PYDATETIME, extensions.PYDATETIMETZ):
            extensions.register_type(extensions.new_type(kind.values, kind.name, _or_text(kind)), handle)

    @property
    def has_transactions(self) -> bool:
        """True where several statements are one change, and two changes of a table at once are two."""
        return self.adapter_type in {"duckdb", "postgres", "redshift"}

    @property
    def tells_bytes(self) -> bool:
        """True where the engine tells how many bytes a query has processed: there they are what it is paid for."""
        return self.adapter_type == "bigquery"

    @property
    def pages_results(self) -> bool:
        """True where a result stays with the engine after its query and is read from there page by page, at no cost."""
        return self.adapter_type == "bigquery"

    def fetch_pages(self, sql: str, rows: int) -> Iterator[list[tuple[Any, ...]]]:
        """A result of any size, `rows` at a time, where the engine `pages_results`."""
        with self._failures():
            yield from self._job_pages(sql, rows)

    def _job_pages(self, sql: str, rows: int | None) -> Iterator[list[tuple[Any, ...]]]:
        """dbt-bigquery has no cursor: a job, and an iterator that asks for the next page when it is wanted."""
        job, result = self._adapter.connections.raw_execute(sql)
        tally.count(processed=job.total_bytes_processed or 0)
        result.page_size = rows
        yield from ([row.values() for row in page] for page in result.pages)

    def described(self, sql: str) -> list[tuple[str, str]]:
        """Name and type of each column of a query, without making a table; decimals with their precision where the
        driver tells it."""
        with self._failures():
            if self.adapter_type in {"duckdb", "bigquery"}:
                columns = self._adapter.get_column_schema_from_query(sql)
                return [(str(column.name), str(column.dtype)) for column in columns]
            _, cursor = self._adapter.connections.add_select_query(f"select * from ({sql}) as shape where 1 = 0")
            found = [(str(name), code, *rest[3:5]) for name, code, *rest in cursor.description]
            if self.adapter_type in {"postgres", "redshift"}:
                # The driver's names for types leave out what it does not know; the engine knows them all.
                asked = ", ".join(f"pg_catalog.format_type({int(code)}, null)" for _, code, *_ in found)
                kinds = self.fetch(f"select {asked}")[0]
            else:
                kinds = tuple(self._adapter.connections.data_type_code_to_name(code) for _, code, *_ in found)
            self._end_transaction()
        return [
            (name, f"{kind}({digits[0]},{digits[1]})" if all(isinstance(n, int) for n in digits) else str(kind))
            for (name, _, *digits), kind in zip(found, kinds, strict=True)
        ]

    def stream(self, sql: str, page_rows: int) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a large result page by page, in flat memory on the adapters that are named here; no other
        statement may go through the thread's connection meanwhile."""
        manager = self._adapter.connections
        with self._failures():
            if self.adapter_type in {"postgres", "redshift"}:
                manager.begin()
                if self.adapter_type == "postgres":
                    self._read_any_date()  # what was fetched forward cannot be fetched again
                try:
                    manager.add_query(f"declare revetl_rows cursor for {sql}", auto_begin=False)
                    while rows := self.fetch(f"fetch forward {page_rows} from revetl_rows"):
                        yield rows
                finally:
                    manager.rollback_if_open()
            elif self.adapter_type in {"duckdb", "snowflake", "databricks"}:
                _, cursor = manager.add_query(sql, auto_begin=False)
                while rows := [tuple(row) for row in cursor.fetchmany(page_rows)]:
                    yield rows
            elif self.pages_results:
                yield from self._job_pages(sql, page_rows)
            else:
                rows = self.fetch(sql)
                yield from (rows[start : start + page_rows] for start in range(0, len(rows), page_rows))

    def run(self, statements: Sequence[str]) -> None:
        """Execute statements in one transaction where the adapter has them; nothing is kept of a failed one."""
        manager = self._adapter.connections
        with self._failures():
            if not self.has_transactions:
                for statement in statements:
                    response, _ = self._adapter.execute(statement)
                    tally.count(processed=getattr(response, "bytes_processed", None) or 0)
                return
            manager.begin()
            try:
                for statement in statements:
                    manager.add_query(statement, auto_begin=False, abridge_sql_log=True)
            except BaseException:
                manager.rollback_if_open()
                raise
            manager.commit()

    def release(self) -> None:
        """Give back what an idle process should not hold: DuckDB's lock on its file."""
        if self.adapter_type == "duckdb":
            manager = self._adapter.connections
            manager.cleanup_all()
            manager.close_all_connections()
            gc.collect()
            self.opened = False

    def close(self) -> None:
        """Close every connection."""
        self._adapter.connections.cleanup_all()
        self.release()

    def _end_transaction(self) -> None:
        """dbt's own queries begin one, even to read."""
        manager = self._adapter.connections
        if manager.get_thread_connection().transaction_open:
            manager.commit()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            raise WarehouseError(str(error).strip()) from error


def _or_text(cast: Callable[[str | None, Any], Any]) -> Callable[[str | None, Any], Any]:
    """A cast of psycopg2 that gives the text where there is no value for it."""

    def read(text: str | None, cursor: Any) -> Any:
        try:
            return cast(text, cursor)
        except ValueError:
            return text

    return read


@dataclass(frozen=True, slots=True)
class _RootNode:
    """What dbt's variable lookup needs to know of the asking node."""

    package_name: str


def macro_project() -> Path:
    """The dbt project that holds our macros: inside an installed wheel, else the root of the source tree."""
    packaged = Path(str(files(PACKAGE))) / "dbt"
    return packaged if packaged.is_dir() else packaged.parent.parent


def _boot(options: DbtOptions) -> Booted:
    from dbt_common.context import set_invocation_context
    from dbt_common.events.event_manager import EventManager
    from dbt_common.events.event_manager_client import ctx_set_event_manager
    from dbt_common.exceptions import DbtBaseException

    # An event manager without listeners: dbt would otherwise print to stdout, which is for our data.
    ctx_set_event_manager(EventManager())
    set_invocation_context(dict(os.environ))

    from dbt.adapters.factory import reset_adapters
    from dbt.cli.flags import Flags
    from dbt.cli.types import Command
    from dbt.config.runtime import RuntimeConfig, load_profile, load_project
    from dbt.exceptions import UninstalledPackagesFoundError
    from dbt.flags import set_flags

    arguments: dict[str, Any] = {
        "project_dir": str(options.project_dir),
        "vars": options.vars or {},
        "partial_parse": False,
    }
    arguments |= {
        name: value
        for name, value in {
            "profiles_dir": None if options.profiles_dir is None else str(options.profiles_dir),
            "profile": options.profile,
            "target": options.target,
            "threads": options.threads,
        }.items()
        if value is not None
    }
    try:
        flags = Flags.from_dict(Command.PARSE, arguments)
        set_flags(flags)
        profile = load_profile(flags.PROJECT_DIR, flags.VARS, flags.PROFILE, flags.TARGET, flags.THREADS)
        project = load_project(flags.PROJECT_DIR, flags.VERSION_CHECK, profile, flags.VARS)
        config = RuntimeConfig.from_parts(project, profile, flags)
        reset_adapters()
        adapter, installed = _registered(config, options.scratch)
    except UninstalledPackagesFoundError as error:
        raise InputError.single(
            "packages-missing",
            "The project's dbt packages are not installed",
            path=options.project_dir,
            hint="run `dbt deps`",
        ) from error
    except DbtBaseException as error:
        raise InputError.single(
            "dbt-config", f"dbt cannot read the project: {str(error).strip()}", path=options.project_dir
        ) from error
    errors = (DbtBaseException, *_driver_errors(adapter))
    return Booted(adapter, config, errors, installed, options.scratch)


def _driver_errors(adapter: Any) -> tuple[type[Exception], ...]:
    """What dbt lets through as the driver raised it: of Spark, in session mode, all that fails while it computes."""
    if adapter.type() != "spark" or getattr(adapter.config.credentials, "method", None) != "session":
        return ()
    protocol, pyspark = import_module("py4j.protocol"), import_module("pyspark.errors")
    return (protocol.Py4JError, pyspark.PySparkException)


def _boot_beside(config: Any, scratch: Path | None) -> Booted:
    """An adapter of DuckDB that is never connected, for the same project."""
    from dbt.config.profile import Profile
    from dbt.config.renderer import ProfileRenderer
    from dbt.config.runtime import RuntimeConfig
    from dbt_common.exceptions import DbtBaseException

    raw = {"target": config.target_name, "outputs": {config.target_name: {"type": "duckdb", "path": ":memory:"}}}
    try:
        profile = Profile.from_raw_profile_info(raw, config.profile_name, ProfileRenderer(config.cli_vars))
        beside = RuntimeConfig.from_parts(config, profile, config.args)
        adapter, installed = _registered(beside, scratch)
        return Booted(adapter, beside, (DbtBaseException,), installed, scratch)
    except DbtBaseException as error:
        raise InputError.single(
            "adapter-missing",
            f"`revetl_state: local` keeps the state in a DuckDB file, and dbt-duckdb cannot be used: {error}",
            hint="install it: `pip install 'revetl_dbt[duckdb]'`",
        ) from error


class _Contexts(threading.local):
    """What the macros of a package see, a thread by itself: those of one thread call each other through one stack."""

    def __init__(self) -> None:
        self.by_package: dict[str | None, dict[str, Any]] = {}


def _once_a_thread(generate: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Make what a macro sees once: it lists every macro of the project, which takes longer than most statements."""
    made = _Contexts()

    def context(macro: Any, config: Any, resolver: Any, package: str | None) -> dict[str, Any]:
        if package not in made.by_package:
            made.by_package[package] = generate(macro, config, resolver, package)
        return dict(made.by_package[package])

    return context


def _registered(config: Any, scratch: Path | None) -> tuple[Any, str | None]:
    """The configuration's adapter, with our macros loaded beside the project's, and the version of our dbt package that
    the project has installed, if any: our own macros are used all the same."""
    from dbt.adapters.factory import get_adapter, register_adapter
    from dbt.context.providers import generate_runtime_macro_context
    from dbt.mp_context import get_mp_context
    from dbt.version import __version__

    register_adapter(config, get_mp_context())
    adapter = get_adapter(config)
    dependencies = dict(config.load_dependencies())
    installed = dependencies.get(PACKAGE)
    config.dependencies = dependencies | {PACKAGE: config.new_project(str(macro_project()))}
    cache = MacroCache(scratch / f"macros-{adapter.type()}.json" if scratch else None, __version__)
    adapter.set_macro_resolver(_macros(config.dependencies, cache))
    cache.save()
    adapter.set_macro_context_generator(_once_a_thread(generate_runtime_macro_context))
    return adapter, None if installed is None else str(installed.version)


def _macros(projects: dict[str, Any], cache: MacroCache) -> Any:
    """The macros of all projects, each file parsed once for each content that it has had."""
    from dbt.contracts.files import ParseFileType
    from dbt.contracts.graph.manifest import MacroManifest, Manifest
    from dbt.contracts.graph.nodes import Macro
    from dbt.parser.macros import MacroParser
    from dbt.parser.read_files import load_source_file
    from dbt.parser.search import FileBlock

    manifest = Manifest()
    for project in projects.values():
        parser = MacroParser(project, manifest)
        for path in parser.get_paths():
            file: Any = load_source_file(path, ParseFileType.Macro, project.project_name, {})
            key = f"{project.project_name}://{path.original_file_path}#{file.checksum.checksum}"
            kept = cache.get(key)
            if kept is None:
                parser.parse_file(FileBlock(file))
                cache.put(key, [manifest.macros[name].to_dict() for name in file.macros])
            for macro in kept or ():
                manifest.add_macro(file, Macro.from_dict(macro))
    return MacroManifest(manifest.macros)
