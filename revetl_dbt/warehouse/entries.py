"""What the warehouse holds of each sync and account, whether it is still declared or not."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

from revetl_dbt.warehouse.integrity import inspect
from revetl_dbt.warehouse.layout import table_suffix
from revetl_dbt.warehouse.store import Store

TABLES = ("ledger", "rejected", "plan", "results", "preview", "model", "seen")
"""The tables of a sync and account; only the first two hold what cannot be made again."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of revetl_syncs; times are UTC, without zone."""

    sync: str
    account: str
    account_name: str | None
    destination: str | None
    object: str | None
    model: str | None
    layout: str
    updated_at: dt.datetime | None
    settled_at: dt.datetime | None

    @property
    def columns(self) -> list[str]:
        """The ledger's columns of keys and fields."""
        return [str(name) for name, *_ in json.loads(self.layout)["columns"]]

    def identifier(self, table: str) -> str:
        """The name of one of its `TABLES`."""
        return f"{table}__{self.suffix}"

    @property
    def suffix(self) -> str:
        """What the names of its tables, and of its journal, end in."""
        return table_suffix(self.sync, self.account)


class Held(NamedTuple):
    """A lease that has not expired: who has it, since when, until when."""

    run_id: str
    holder: str
    since: dt.datetime
    until: dt.datetime


class LastRun(NamedTuple):
    """The newest row of the history of a sync and account."""

    command: str
    status: str
    finished_at: dt.datetime
    message: str | None


class Ending(NamedTuple):
    """How a run of a sync ended; `guarded` are the rows that a guard kept back."""

    status: str
    guarded: int


_COLUMNS = "sync, account, account_name, destination, object, model, layout, updated_at, settled_at"


def entries(store: Store) -> list[Entry]:
    """Every sync and account, by name."""
    rows = store.query(f"select {_COLUMNS} from {store.tables['revetl_syncs']} order by sync, account")
    return [Entry(*row) for row in rows]


def damage(store: Store, entry: Entry) -> list[str]:
    """What is wrong with the tables of an entry, in words."""
    return inspect(store, entry.sync, entry.account, entry.layout).damage


def standings(store: Store, entry: Entry, max_attempts: int) -> Counter[str]:
    """Rows of the ledger by standing, and refused rows as `held_` or `waiting_` and their status.

    Only where there is no damage.
    """
    names = {name: store.relation(entry.identifier(name)) for name in ("ledger", "rejected")}
    with store.connection():
        rows = store.session.fetch(store.session.macro("revetl_standings", max_attempts=max_attempts, **names))
    return Counter({name: int(count) for name, count in rows})


def held(store: Store, sync: str, account: str) -> Held | None:
    """The lease of a sync and account, when somebody holds it now."""
    now = store.session.macro("revetl_now")
    rows = _newest(
        store, "revetl_leases", "run_id, holder, acquired_at, expires_at", sync, account, f"expires_at > {now}"
    )
    return Held(*rows[0]) if rows else None


def last_run(store: Store, sync: str, account: str) -> LastRun | None:
    """The newest row of the history."""
    rows = _newest(store, "revetl_runs", "command, status, finished_at, message", sync, account, "1 = 1")
    return LastRun(*max(rows, key=lambda row: row[2])) if rows else None


def ended(store: Store) -> dict[str, str]:
    """How the latest run of each sync ended, whatever the account."""
    latest = "row_number() over (partition by sync order by started_at desc, finished_at desc) as nth"
    runs = (
        f"select sync, status, {latest} from {store.tables['revetl_runs']} where command in ('run', 'build', 'retry')"
    )
    return dict(store.query(f"select sync, status from ({runs}) as runs where nth = 1"))


def before(store: Store, run_id: str) -> dict[str, Ending]:
    """How the latest run of each sync ended before this one, whatever the account."""
    latest = "row_number() over (partition by sync order by started_at desc, finished_at desc) as nth"
    runs = (
        f"select sync, status, skipped, {latest} from {store.tables['revetl_runs']}"
        f" where command not like 'state %' and status <> 'skipped' and run_id <> {store.literal(run_id)}"
    )
    rows = store.query(f"select sync, status, skipped from ({runs}) as runs where nth = 1")
    return {str(sync): Ending(str(status), int(guarded or 0)) for sync, status, guarded in rows}


def forget(store: Store, sync: str, account: str) -> list[str]:
    """The statements that drop everything that is kept of a sync and account."""
    entry = Entry(sync, account, None, None, None, None, "", None, None)
    kept = [statement for name in TABLES[:2] for statement in store.drop(entry.identifier(name))]
    passing = [f"drop table if exists {store.relation(entry.identifier(name))}" for name in TABLES[2:]]
    return [*kept, *passing, *store.forget_sync(sync, account)]


def _newest(store: Store, table: str, columns: str, sync: str, account: str, condition: str) -> list[tuple[Any, ...]]:
    where = f"sync = {store.literal(sync)} and account = {store.literal(account)} and {condition}"
    return store.query(f"select {columns} from {store.tables[table]} where {where}")
