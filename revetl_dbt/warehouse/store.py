"""The tables that all syncs share, in the schema `<target schema>_revetl`: who syncs where, runs, leases, known
accounts."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from revetl_dbt.destinations.base import Account
from revetl_dbt.errors import LeaseHeldError, WarehouseError
from revetl_dbt.warehouse.dbt_api import DbtSession
from revetl_dbt.warehouse.migrate import FORMAT, bring_up

T = TypeVar("T")

LEASE_SECONDS = 120
LEASE_PAUSES = (0.05, 0.1, 0.2)
QUEUE = "revetl_queue"
SHARED_TABLES = (
    "revetl_syncs",
    "revetl_accounts",
    "revetl_runs",
    "revetl_outcomes",
    "revetl_changes",
    "revetl_leases",
    "revetl_format",
    QUEUE,
)
MEMORY_MB = 48  # what DuckDB is given to begin with; more where a statement does not get by with it
LOCK_WAIT_SECONDS = 30.0
REOPENED_AFTER = 2_000_000
"""Rows, some of which were replaced, after which DuckDB's file is opened anew as soon as nobody uses it: it keeps 8
bytes for each in memory for as long as it is open."""


@dataclass(frozen=True, slots=True)
class SyncState:
    """What an earlier run wrote down about a sync and account.

    `settled`: a run has come through, so that the ledger is a measure of what is usual. `object`: what it is of.
    `claimed`: which rows of the plan may have left, in the words of engine/claims.py. `mark`: how far it has looked, in
    those of warehouse/since.py. `built`: the build of the model that was sent as a whole.
    """

    plan_id: str | None
    checksum: str
    layout: str
    settled: bool = False
    object: str | None = None
    claimed: str | None = None
    mark: str | None = None
    built: str | None = None


class Store:
    """The state of a project's syncs in the warehouse.

    One per process; every method opens the calling thread's connection itself.
    """

    def __init__(self, session: DbtSession, *, notice: Callable[[str], None], source: Store | None = None) -> None:
        """`notice` is told of waits that a person should know of. `source` is where the models are, when that is not
        where the state is."""
        self.session = session
        self.source = source or self
        self.schema: str = str(session.variable("revetl_schema", None) or f"{session.schema}_revetl")
        self.tables = {name: session.relation(self.schema, name) for name in SHARED_TABLES}
        self._notice = notice
        self._prepared = False
        self._turn = threading.Lock()  # to change tables that all syncs share
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)  # users, or whether the database is being closed
        self._users = 0
        self._closing = False
        self._used: float | None = None  # when, as long as the database may be open
        self._memory_mb = MEMORY_MB
        self._opening = 0  # how often the database was opened
        self._among = 0  # how many rows some were replaced since then

    @property
    def is_local(self) -> bool:
        """True when the state is not in the warehouse: then rows have to be copied to it to be compared."""
        return self.source is not self

    def notice(self, text: str) -> None:
        """Tell a person something that they should know."""
        self._notice(text)

    def relation(self, identifier: str) -> str:
        """A table of ours, rendered."""
        return self.session.relation(self.schema, identifier)

    @contextmanager
    def connection(self) -> Iterator[None]:
        """A connection of the calling thread.

        Waits for a DuckDB file that another process holds. Raises WarehouseError after 30 s.
        """
        deadline = time.monotonic() + LOCK_WAIT_SECONDS
        told = False
        while True:
            opened = False
            try:
                with self._counted(), self.session.connection():
                    with self._lock:
                        self._open_session()
                    opened = True
                    yield
                    return
            except WarehouseError as error:
                if opened or "Conflicting lock" not in str(error):
                    raise
                if time.monotonic() > deadline:
                    raise WarehouseError(_lock_message(str(error), waited=True)) from error
                if not told:
                    self._notice(_lock_message(str(error), waited=False))
                    told = True
            time.sleep(0.25)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._closing)
            self._users += 1
        try:
            yield
        finally:
            with self._changed:
                self._users -= 1
                self._used = time.monotonic()
                self._changed.notify_all()

    def _open_session(self) -> None:
        if not self.session.opened:
            self._set_up_session()
            self._opening += 1
            self._among = 0

    def _set_up_session(self) -> None:
        self.session.open(self.session.macro("revetl_session_settings", memory_limit=self._memory_limit()))

    def _memory_limit(self) -> str:
        return self._memory_declared() or f"{self._memory_mb}MB"

    def _memory_declared(self) -> str | None:
        declared = self.session.variable("revetl_duckdb_memory_limit", None) or self.session.setting("memory_limit")
        return str(declared) if declared else None

    def _with_room(self, work: Callable[[], T]) -> T:
        """What `work` gives; where DuckDB's memory does not do, its file is opened anew, as often as it takes.

        That alone frees what it remembers of rows that were replaced; without such, its limit is doubled, where none is
        declared.
        """
        while True:
            opening, replaced, limit = self._opening, 0, self._memory_mb
            try:
                with self.connection():
                    opening, replaced, limit = self._opening, self._among, self._memory_mb
                    return work()
            except WarehouseError as error:
                if not _out_of_memory(error) or not (replaced or self._may_double(limit)):
                    raise
            self._reopen(opening, limit if replaced else 2 * limit)

    def _may_double(self, memory_mb: int) -> bool:
        return not self._memory_declared() and 2 * memory_mb <= _memory_of_machine() * 0.8

    def _reopen(self, opening: int, memory_mb: int) -> None:
        """Close DuckDB's file once no thread uses it, so that it is opened anew, unless another thread has done so
        since that `opening`.

        A delete that ran out of memory leaves rows marked that no rollback frees: the next one meets a conflict.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._closing)
            if self._opening != opening:
                return
            self._closing = True
            try:
                self._changed.wait_for(lambda: self._users == 0)
                self._memory_mb = memory_mb
                self.session.release()
            finally:
                self._closing = False
                self._changed.notify_all()

    def prepare(self) -> None:
        """Create our schema and shared tables where they are missing, and bring them forward where they are of an
        earlier format.

        Raises WarehouseError when the role may not, or when a later version of revetl wrote them.
        """
        if self._prepared:
            return
        with self.connection():
            bring_up(self)
        self._prepared = True

    def sync_states(self) -> dict[tuple[str, str], SyncState]:
        """What is written down, by (sync, account)."""
        columns = "sync, account, plan_id, checksum, layout, settled_at, object, claimed, mark, built"
        rows = self.query(f"select {columns} from {self.tables['revetl_syncs']}")
        return {
            (sync, account): SyncState(plan_id, checksum, layout, settled is not None, *rest)
            for sync, account, plan_id, checksum, layout, settled, *rest in rows
        }

    def save_sync(self, sync: str, account: str, values: Mapping[str, Any], *, known: bool) -> None:
        """Write down a sync's state; where it is `known`, what `values` do not say stays."""
        row = {**values, "state_format": FORMAT}
        if not known:
            self.execute(self.insert("revetl_syncs", {"sync": sync, "account": account, **row}, "updated_at"))
            return
        settings = {name: self.literal(value) for name, value in row.items()}
        self.execute(self._update_sync(settings | {"updated_at": self.now()}, self._of(sync, account)))

    def settle(self, sync: str, account: str) -> None:
        """Write down that a run has come through, the first time."""
        where = f"{self._of(sync, account)} and settled_at is null"
        self.execute(self._update_sync({"settled_at": self.now()}, where))

    def came_through(self, sync: str, account: str, **noted: str | None) -> None:
        """Write down what the next run need not look at, now that everything is sent."""
        settings = {name: self.literal(value) for name, value in noted.items()}
        self.execute(self._update_sync(settings, self._of(sync, account)))

    def forget_sync(self, sync: str, account: str) -> list[str]:
        """The statements that remove a sync's state; its ledger stays."""
        return self._shared("revetl_delete_shared", "revetl_syncs", condition=self._of(sync, account))

    def rename_sync(self, former: str, sync: str, account: str) -> list[str]:
        """The statements that give a sync's state another name."""
        return self._update_sync({"sync": self.literal(sync)}, self._of(former, account))

    def set_plan(self, sync: str, account: str, plan_id: str) -> None:
        """Write down which plan is materialised for a sync; none of its rows has left, and nothing has come through."""
        settings = {"plan_id": self.literal(plan_id), "claimed": "null", "built": "null"}
        self.execute(self._update_sync(settings, self._of(sync, account)))

    def claim(self, sync: str, account: str, plan_id: str, text: str | None) -> list[str]:
        """The statements that write down which rows of a plan may have left; they do nothing once there is another
        plan."""
        where = f"{self._of(sync, account)} and plan_id = {self.literal(plan_id)}"
        return self._update_sync({"claimed": self.literal(text)}, where)

    def _update_sync(self, settings: Mapping[str, str], where: str) -> list[str]:
        return self._shared("revetl_update_shared", "revetl_syncs", settings=dict(settings), condition=where)

    def _shared(self, macro: str, table: str, **arguments: Any) -> list[str]:
        """The statements of a macro that changes rows of a shared table."""
        return list(self.session.macro(macro, tables=self.tables, name=table, **arguments))

    def drop(self, identifier: str) -> list[str]:
        """The statements that drop a table whose rows are changed (macros/kept.sql)."""
        return list(self.session.macro("revetl_drop_kept", relation=self.relation(identifier)))

    def rename(self, former: str, identifier: str) -> list[str]:
        """The statements that give a ledger, or a table of refused rows, another name; none when a run that was killed
        has given it that."""
        with self.connection():
            present = self.session.tables(self.schema)
        if former not in present and identifier in present:
            return []
        columns = self.columns(self.session.database, self.schema, former)
        key = [name.lower() for name, _ in columns if name.lower().startswith("k_")]
        names = {"relation": self.relation(former), "renamed": self.relation(identifier), "identifier": identifier}
        return list(self.session.macro("revetl_rename_kept", key=key, **names))

    def columns(self, database: str | None, schema: str, identifier: str) -> list[tuple[str, str]]:
        """Name and type of each column of a relation; empty when there is none."""
        with self.connection():
            return self.session.columns(database, schema, identifier)

    def release(self, *, idle: float = 0.0) -> None:
        """Let other processes have the DuckDB file while nothing is read or written; does nothing while another thread
        does, or did less than `idle` seconds ago."""
        with self._lock:
            if self._users or (idle and (self._used is None or time.monotonic() - self._used < idle)):
                return
            self.session.release()
            self._used = None

    def known_account(self, fingerprint: str) -> Account | None:
        """The account that these credentials opened before."""
        accounts = self.tables["revetl_accounts"]
        rows = self.query(
            f"select account, account_name, url from {accounts} where fingerprint = {self.literal(fingerprint)}"
        )
        return Account(*rows[0]) if rows else None

    def save_account(self, fingerprint: str, account: Account) -> None:
        """Remember whose account these credentials open."""
        row = {"fingerprint": fingerprint, "account": account.id, "account_name": account.name, "url": account.url}
        self.execute(self.insert("revetl_accounts", row, "seen_at"))

    def requests_today(self, destination: str) -> int:
        """Requests that finished runs of today (UTC) have sent to a destination."""
        today, time_type = time.strftime("%Y-%m-%d 00:00:00", time.gmtime()), self.session.macro("revetl_time_type")
        rows = self.query(
            f"select coalesce(sum(requests), 0) from {self.tables['revetl_runs']}"
            f" where destination = {self.literal(destination)} and finished_at >= cast('{today}' as {time_type})"
        )
        return int(rows[0][0])

    def take_lease(self, sync: str, account: str, run_id: str) -> None:
        """Hold the sync for this run. Raises LeaseHeldError when another run holds it."""
        for pause in (*LEASE_PAUSES, None):
            with self.connection():
                rows = self._ask_for_lease(sync, account, run_id)
            others = [row for row in rows if row[0] != run_id]
            if rows and not others:
                return
            mine = len(others) < len(rows)
            if mine:
                # Two asked at once, and the engine let both in: neither knows whether the other has seen it.
                self.release_lease(sync, account, run_id)
            if pause is None or (others and not mine):
                break
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - so that they do not meet again
        _, holder, since, until = others[0] if others else (None, "another run", "just now", "soon")
        raise LeaseHeldError(
            f"Sync `{sync}` is being sent by another run ({holder}, since {since} UTC);"
            f" its lease ends at {until} UTC unless it is renewed"
        )

    def _ask_for_lease(self, sync: str, account: str, run_id: str) -> list[tuple[Any, ...]]:
        """Insert a lease where there seems to be none; (run, holder, since, until) of each that there is now."""
        where, table = self._of(sync, account), self.tables["revetl_leases"]
        for held, held_by in self.session.fetch(f"select run_id, holder from {table} where {where}"):
            if is_dead(str(held_by)):
                self._run(self._lease("revetl_drop_lease", sync, account, held))
        found = f"select run_id, holder, acquired_at, expires_at from {table} where {where} order by acquired_at"
        try:
            self._run(self._lease("revetl_take_lease", sync, account, run_id, holder=holder(), seconds=LEASE_SECONDS))
        except WarehouseError:
            # Two runs inserted at once and the engine let one through: who it was stands in the table.
            rows = self.session.fetch(found)
            if not rows:
                raise
            return rows
        return self.session.fetch(found)

    def renew_lease(self, sync: str, account: str, run_id: str) -> None:
        """Keep holding the sync. Raises LeaseHeldError when the lease was lost."""
        table = self.tables["revetl_leases"]
        with self.connection():
            self._run(self._lease("revetl_renew_lease", sync, account, run_id, seconds=LEASE_SECONDS))
            mine = self.session.fetch(
                f"select 1 from {table} where {self._of(sync, account)} and run_id = {self.literal(run_id)}"
            )
        if not mine:
            raise LeaseHeldError(f"The lease of sync `{sync}` was lost to another run; nothing more is sent")

    def release_lease(self, sync: str, account: str, run_id: str) -> None:
        """Let others send the sync."""
        with self.connection():
            self._run(self._lease("revetl_drop_lease", sync, account, run_id))

    def _lease(self, macro: str, sync: str, account: str, run_id: str, **arguments: Any) -> list[str]:
        which = {"sync": sync, "account": account, "run_id": run_id}
        return list(self.session.macro(macro, tables=self.tables, **which, **arguments))

    def record_run(self, row: Mapping[str, Any]) -> None:
        """Add a finished run of a sync to the history; `started_at` is UTC without zone."""
        self.execute(self.insert("revetl_runs", row, "finished_at"))

    def _of(self, sync: str, account: str) -> str:
        """The condition that picks a sync's rows."""
        return f"sync = {self.literal(sync)} and account = {self.literal(account)}"

    def insert(self, table: str, row: Mapping[str, Any], now: str) -> list[str]:
        """The statements that insert one row; column `now` gets the warehouse's clock."""
        literals = self.session.macro("revetl_literals", values=list(row.values()))
        values = dict(zip(row, literals, strict=True)) | {now: self.now()}
        return self._shared("revetl_insert_shared", table, values=values)

    def now(self) -> str:
        """The warehouse's clock, as SQL."""
        return str(self.session.macro("revetl_now"))

    def literal(self, value: Any) -> str:
        """`value` as SQL."""
        return str(self.session.macro("revetl_literal", value=value))

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a small result."""
        return self._with_room(lambda: self.session.fetch(sql))

    def pages(self, sql: str, rows: int) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a result of any size, `rows` at a time; the connection is free between them."""
        pages = self.session.fetch_pages(sql, rows)
        while True:
            with self.connection():
                page = next(pages, None)
            if page is None:
                return
            yield page

    def execute(self, statements: list[str], *, among: int = 0) -> None:
        """Statements in one transaction where there are transactions; `among` how many rows of a table they put others
        in the place of some."""
        self._with_room(lambda: self._run(statements))
        with self._lock:
            self._among += among
            due = self._among >= REOPENED_AFTER
        if due:
            self.release()

    def execute_apart(self, statements: list[str]) -> None:
        """Statements in a transaction each, none of which replaces rows of a table that is kept.

        One for which DuckDB's memory does not do is run again with twice as much; its temporary tables stay.
        """
        with self.connection():
            for statement in statements:
                self._run_with_room(statement)

    def _run_with_room(self, statement: str) -> None:
        while True:
            limit = self._memory_mb
            try:
                self._run([statement])
                return
            except WarehouseError as error:
                if not _out_of_memory(error) or not self._may_double(limit):
                    raise
            with self._lock:
                self._memory_mb = max(self._memory_mb, 2 * limit)
                self._set_up_session()

    def _run(self, statements: list[str]) -> None:
        """Statements through the thread's connection. Where there are no transactions, engines refuse, or undo, one of
        two changes of a table at once, whatever their rows: syncs side by side take turns with the tables they share.
        """
        if self.session.has_transactions:
            self.session.run(statements)
            return
        for statement in statements:
            shared = any(relation in statement for relation in self.tables.values())
            with self._turn if shared else nullcontext():
                self.session.run([statement])


def _out_of_memory(error: WarehouseError) -> bool:
    return "Out of Memory Error" in str(error)


def _memory_of_machine() -> float:
    """Megabytes of physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20


def holder() -> str:
    """This process, as leases name it."""
    return f"{_host()} pid {os.getpid()}"


@cache
def _host() -> str:
    """This machine since it was started, or this container: others may have its name, and their processes are not
    seen from here."""
    boot, processes = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    try:
        own = boot.read_text(encoding="ascii") + str(processes.readlink())
    except OSError:  # not Linux
        own = str(uuid.getnode())
    return f"{socket.gethostname()}/{hashlib.sha256(own.encode()).hexdigest()[:8]}"


def is_dead(holder: str) -> bool:
    """True when the holder was a process of this machine that runs no more."""
    host, _, pid = holder.rpartition(" pid ")
    if host != _host() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _lock_message(error: str, *, waited: bool) -> str:
    detail = next(
        (line.strip() for line in error.splitlines() if "Conflicting lock" in line), "another process holds it"
    )
    if waited:
        waited_for = f"The DuckDB file is still held by another process after {LOCK_WAIT_SECONDS:.0f} s"
        return f"{waited_for}: {detail}\n  hint: close that process and run again"
    return f"Waiting for the DuckDB file: {detail}"
