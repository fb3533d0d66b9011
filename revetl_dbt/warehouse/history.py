"""What the shared tables remember of runs, and of single rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

from revetl_dbt.warehouse.entries import Entry
from revetl_dbt.warehouse.store import Store


class PastRun(NamedTuple):
    """A row of revetl_runs; times are UTC, without zone."""

    run_id: str
    sync: str
    account: str | None
    destination: str | None
    object: str | None
    command: str
    target: str | None
    status: str
    model_rows: int | None
    planned: int | None
    created: int | None
    updated: int | None
    deleted: int | None
    unchanged: int | None
    invalid: int | None
    rejected: int | None
    held: int | None
    skipped: int | None
    not_attempted: int | None
    requests: int | None
    bytes_processed: int | None
    started_at: dt.datetime | None
    finished_at: dt.datetime
    message: str | None
    released: str | None


class Event(NamedTuple):
    """What happened to one row: a refusal (`code`, `message`, `attempt`), or a field that was changed (`field`, `old`,
    `new`, as text; a removal has no field)."""

    at: dt.datetime
    run_id: str
    sync: str
    account: str
    action: str
    status: str
    attempt: int | None
    code: str | None
    message: str | None
    field: str | None
    old: str | None
    new: str | None
    destination_id: str | None


class Reason(NamedTuple):
    """Why rows of a sync are refused: how many for this reason, how many of those are held, and the message about one
    of them, whose values are `values` (keys and fields, as text)."""

    status: str
    code: str | None
    rows: int
    held: int
    message: str | None
    values: tuple[str | None, ...]


def past_runs(store: Store, syncs: Sequence[str], limit: int, run_id: str | None = None) -> list[PastRun]:
    """The newest runs of the syncs, the newest first."""
    names = ", ".join(store.literal(name) for name in syncs)
    where = f"sync in ({names})" + (f" and run_id = {store.literal(run_id)}" if run_id else "")
    columns = ", ".join(PastRun._fields)
    runs = f"select {columns} from {store.tables['revetl_runs']} where {where}"
    return [PastRun(*row) for row in store.query(f"{runs} order by finished_at desc, sync limit {limit}")]


def events(store: Store, syncs: Sequence[str], key: str, limit: int) -> list[Event]:
    """What happened to the row with this key (as text), the newest first."""
    names = ", ".join(store.literal(name) for name in syncs)
    where = f"where row_key = {store.literal(key)} and sync in ({names})"
    refused = (
        "select recorded_at, run_id, sync, account, action, status, attempt, code, message, null, null, null,"
        f" destination_id from {store.tables['revetl_outcomes']} {where}"
    )
    changed = (
        "select recorded_at, run_id, sync, account, action, 'accepted', null, null, null, field, old_value, new_value,"
        f" destination_id from {store.tables['revetl_changes']} {where}"
    )
    rows = [*store.query(refused), *store.query(changed)]
    found = [Event(*row) for row in rows]
    return sorted(found, key=lambda event: (event.at, event.run_id, event.field or ""), reverse=True)[:limit]


def reasons(store: Store, entry: Entry, max_attempts: int) -> list[Reason]:
    """Why rows of a sync and account are refused, the most frequent reason first."""
    arguments = {"rejected": store.relation(entry.identifier("rejected")), "columns": entry.columns}
    rows = store.query(str(store.session.macro("revetl_reasons", **arguments, max_attempts=max_attempts)))
    found = [Reason(status, code, int(n), int(held), text, tuple(row)) for status, code, n, held, text, *row in rows]
    return sorted(found, key=lambda reason: -reason.rows)
