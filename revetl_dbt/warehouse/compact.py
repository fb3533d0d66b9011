"""Logs that have grown far beyond what their tables show are written anew, where tables are views on logs
(macros/kept.sql)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from revetl_dbt.errors import WarehouseError

if TYPE_CHECKING:
    from revetl_dbt.warehouse.store import Store

GROWN = 4
"""How many times the rows of its table a log may have."""
LEAST_ROWS = 5_000
"""A smaller log costs nothing to read."""
MOST_APPENDS = 1_000
"""Each is a file at least, and files cost more than rows."""


def compact(store: Store, identifier: str, key: Sequence[str], keep: Callable[[], None]) -> None:
    """Write the log of a sync's table anew if it has grown; the caller holds the sync's lease, and `keep` keeps it,
    raising LeaseHeldError when it was lost.

    A run that is killed loses nothing: until the old log goes, the new one is nobody's; then it is complete, and the
    next run gives it its name (warehouse/migrate.py). Raises WarehouseError when that cannot be done; a new log that
    cannot be written is told, and the old one stays.
    """
    relation = store.relation(identifier)
    if not _has_grown(store, relation):
        return
    columns = [name for name, _ in store.columns(store.session.database, store.schema, identifier)]
    try:
        keep()
        store.execute(store.session.macro("revetl_write_compact", relation=relation, columns=columns))
        # That may have taken as long as a lease lasts, and what another run has appended since must not be lost.
        keep()
    except WarehouseError as error:
        store.notice(f"The log of {relation} stays as large as it is: {error}")
        return
    _replace(store, identifier, key)


def _has_grown(store: Store, relation: str) -> bool:
    size = store.session.macro("revetl_log_size", relation=relation)
    if size is None:
        return False
    rows, appends = map(int, store.query(size)[0])
    if rows < LEAST_ROWS or appends >= MOST_APPENDS:
        return appends >= MOST_APPENDS
    return rows >= GROWN * int(store.query(f"select count(*) from {relation}")[0][0])


def _replace(store: Store, identifier: str, key: Sequence[str]) -> None:
    """Let the new log take the place of the old one."""
    session = store.session
    try:
        store.execute(session.macro("revetl_replace_log", relation=store.relation(identifier), key=key))
    except WarehouseError:
        # A run of another sync that begins in this moment takes it for a killed one's, and finishes it.
        with store.connection():
            present = session.tables(store.schema)
        if f"{identifier}__next" in present or session.macro("revetl_stored_as", identifier=identifier) not in present:
            raise
