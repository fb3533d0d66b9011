"""The layout of our own tables, by number: made where there is none, completed where something is missing, brought
forward from what earlier versions wrote, and refused where a later version wrote it.

    1   the first
    2   revetl_format; when a sync settled; which command ran and which guards it set aside; a refused row's status
    3   revetl_changes; which rows of a sync's plan may have left
    4   what a run need not look at; how many bytes its queries processed
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from revetl_dbt import __version__
from revetl_dbt.errors import WarehouseError
from revetl_dbt.nearest import listed
from revetl_dbt.warehouse.layout import table_suffix

if TYPE_CHECKING:
    from revetl_dbt.warehouse.store import Store

FORMAT = 4
_OWN = "revetl_format"
_QUEUE = "revetl_queue"


class _LaterFormatError(WarehouseError):
    """The tables are of a format that this version does not know."""


def bring_up(store: Store) -> None:
    """Make the shared tables what this version expects.

    What a migration does, it may do again: a run that is killed in the middle of one begins it anew. Raises
    WarehouseError when the role may not, or when a later version has been at work.
    """
    for pause in (0.1, 0.3, None):
        try:
            _bring_up(store)
            return
        except _LaterFormatError:
            raise
        except WarehouseError:
            # Another run may be at it in the same moment: then it is done soon.
            if pause is None:
                raise
        time.sleep(pause)


def _bring_up(store: Store) -> None:
    tables = store.session.tables(store.schema)
    _finish(store, tables)
    present = tables & store.tables.keys()
    # The queue may be there alone: dbt's hook writes it before `revetl` has ever run.
    present_own = present - {_QUEUE}
    found = _format(store, present_own) if present_own else FORMAT
    if found > FORMAT:
        raise _LaterFormatError(
            f"The state tables in schema `{store.schema}` are of format {found}, which a later version of revetl wrote;"
            f" revetl {__version__} knows formats up to {FORMAT}\n"
            "  hint: install that version, or keep this one's state apart with the dbt variable `revetl_schema`"
        )
    if present != store.tables.keys():
        _create(store)
    lost = {name for name in store.tables if name not in present and name in _TABLES[found]}
    if present_own and lost:
        told = f"State tables that were missing in schema `{store.schema}` have been made anew, empty"
        store.notice(f"{told}: {listed(sorted(lost))}")
    if found < FORMAT:
        _migrate(store, found)
    if present != store.tables.keys() or found < FORMAT:
        _write_down(store)


def _finish(store: Store, tables: Collection[str]) -> None:
    """Where a run was killed while a new table took the place of an old one (macros/kept.sql), the old one is gone and
    the new one complete."""
    session = store.session
    for name in tables:
        kept = name.removesuffix("__next")
        if kept == name or session.macro("revetl_stored_as", identifier=kept) in tables:
            continue
        columns = [column.lower() for column, _ in session.columns(session.database, store.schema, name)]
        own = [column for column in columns if column.startswith("k_")]
        key = session.macro("revetl_shared_keys").get(kept, own)
        arguments = {"relation": store.relation(kept), "identifier": kept, "key": key}
        session.run(session.macro("revetl_finish_next", **arguments))


def _format(store: Store, present: Collection[str]) -> int:
    """The format of the tables that there are; those of format 1 do not say so in a table of their own."""
    told = [name for name in (_OWN, "revetl_syncs") if name in present]
    numbers = [store.session.fetch(f"select max(state_format) from {store.tables[name]}")[0][0] for name in told]
    return max((int(number) for number in numbers if number is not None), default=FORMAT if told[:1] == [_OWN] else 1)


def _create(store: Store) -> None:
    schema = store.session.relation_schema(store.schema)
    try:
        store.session.run(store.session.macro("revetl_create_shared", schema=schema, tables=store.tables))
    except WarehouseError as error:
        raise WarehouseError(
            f"Cannot create the state tables in schema `{store.schema}`: {error}\n"
            "  hint: grant the target's role the right to create it,"
            " or name another schema with the dbt variable `revetl_schema`"
        ) from error


def _migrate(store: Store, found: int) -> None:
    for name, columns in store.session.macro("revetl_shared_tables").items():
        _add_columns(store, name, columns)
    for number in range(found + 1, FORMAT + 1):
        _STEPS[number](store)
    arguments = {"name": "revetl_syncs", "settings": {"state_format": str(FORMAT)}, "condition": "1 = 1"}
    store.session.run(store.session.macro("revetl_update_shared", tables=store.tables, **arguments))
    store.notice(f"Brought the state tables in schema `{store.schema}` from format {found} to {FORMAT}")


def _write_down(store: Store) -> None:
    table = store.tables[_OWN]
    row = {"state_format": FORMAT, "revetl_version": __version__}
    store.session.run([store.session.macro("revetl_empty", relation=table), *store.insert(_OWN, row, "written_at")])


def _add_columns(store: Store, identifier: str, columns: Iterable[tuple[str, str]]) -> None:
    """Give a table those of the columns (name, type) that it lacks."""
    session = store.session
    present = {name.lower() for name, _ in session.columns(session.database, store.schema, identifier)}
    missing = [{"name": name, "engine_type": kind} for name, kind in columns if name not in present]
    relation = store.relation(identifier)
    key = session.macro("revetl_shared_keys").get(identifier, [])
    session.run(session.macro("revetl_add_columns", relation=relation, columns=missing, key=key))


def _to_2(store: Store) -> None:
    session = store.session
    session.run(session.macro("revetl_to_format_2", tables=store.tables))
    text = str(session.macro("revetl_text_type"))
    for sync, account, layout in session.fetch(f"select sync, account, layout from {store.tables['revetl_syncs']}"):
        identifier = f"rejected__{table_suffix(sync, account)}"
        if not session.columns(session.database, store.schema, identifier):
            continue  # dropped by hand: found, and explained, when the sync runs
        _add_columns(store, identifier, [("_status", text)])
        keys = [{"name": name} for name, *_ in json.loads(layout)["columns"] if name.startswith("k_")]
        s = {"rejected": store.relation(identifier), "key_columns": keys}
        outcomes = store.tables["revetl_outcomes"]
        session.run([session.macro("revetl_rejected_to_format_2", s=s, sync=sync, account=account, outcomes=outcomes)])


def _new_columns_alone(store: Store) -> None:
    """They are empty: an earlier version did not know what they tell."""


_STEPS: Mapping[int, Callable[[Store], None]] = {2: _to_2, 3: _new_columns_alone, 4: _new_columns_alone}

_FIRST = frozenset({"revetl_syncs", "revetl_accounts", "revetl_runs", "revetl_outcomes", "revetl_leases"})
_SINCE_3 = _FIRST | {_OWN, "revetl_changes"}
_TABLES: Mapping[int, frozenset[str]] = {1: _FIRST, 2: _FIRST | {_OWN}, 3: _SINCE_3, 4: _SINCE_3}
"""The shared tables of each format."""
