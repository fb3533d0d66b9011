"""Whether the tables of a sync are still those that revetl wrote: somebody may have dropped or changed them by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from revetl_dbt.errors import Diagnostic, InputError
from revetl_dbt.spec.models import Mode, Sync
from revetl_dbt.warehouse.layout import table_suffix
from revetl_dbt.warehouse.types import is_text

if TYPE_CHECKING:
    from revetl_dbt.warehouse.store import Store

_LEDGER = ("_standing", "_destination_id", "_run_id", "_accepted_at")
_REJECTED = ("_op", "_attempts", "_status", "_code", "_message", "_run_id", "_rejected_at")


class Recorded(NamedTuple):
    """A column of a ledger as it was written down: its name, what it stands for, its engine type."""

    name: str
    label: str
    engine_type: str


def recorded_columns(layout: str) -> list[Recorded]:
    """The key and field columns of a `revetl_syncs.layout`."""
    return [Recorded(name, label, kind) for name, label, _, kind, *_ in json.loads(layout)["columns"]]


class Health(NamedTuple):
    """What was found of a sync's tables: damage in words, and columns whose type is not the one written down."""

    damage: list[str]
    retyped: list[str]


def inspect(store: Store, sync: str, account: str, layout: str) -> Health:
    """Compare the ledger and the table of refused rows of a sync and account with the layout that was written down."""
    try:
        columns = recorded_columns(layout)
        carried = [Recorded(str(name), "", "") for name in json.loads(layout)["carried"]]
    except (ValueError, KeyError, TypeError):
        return Health(["its row in `revetl_syncs` has a layout that cannot be read"], [])
    expected = {"ledger": ([*columns, *carried], _LEDGER), "rejected": (columns, _REJECTED)}
    health = Health([], [])
    for name, (own, ours) in expected.items():
        identifier = f"{name}__{table_suffix(sync, account)}"
        relation, present = store.relation(identifier), _present(store, identifier)
        health.damage.extend(_missing(relation, present, own, ours))
        health.retyped.extend(_retyped(relation, present, own))
    return health


def check_plan(store: Store, sync: Sync, account: str) -> None:
    """Raises InputError when the plan of an interrupted run, with which its outcomes are recorded, is gone."""
    identifier = f"plan__{table_suffix(sync.name, account)}"
    if not _present(store, identifier):
        gone = f"table {store.relation(identifier)}, by which the outcomes of an interrupted run are recorded, is gone"
        raise damaged(sync, [gone])


def fits(wanted: str, present: str) -> bool:
    """True when a column of type `present` holds values of type `wanted` as they are."""
    if present.lower() == wanted.lower():
        return True
    # Text has several names; with a length it is another type, but for the one that Snowflake gives to text without.
    return is_text(present) and is_text(wanted) and ("(" not in present or present.endswith("(16777216)"))


def damaged(sync: Sync, problems: list[str]) -> InputError:
    """The error that says what is damaged, and what repairs it."""
    name = sync.name
    again = ", also those that the destination has" if sync.spec.mode in (Mode.CREATE, Mode.APPEND) else ""
    hint = (
        f"`revetl state import FILE` brings back a ledger that was exported; `revetl state baseline {name}` takes the"
        f" rows as they are now for accepted; `revetl state reset {name}` begins anew, and the next run sends every"
        f" row{again}"
    )
    head = f"The ledger of sync `{name}` is damaged"
    return InputError(
        [Diagnostic("ledger-damaged", f"{head}: {text}", sync.path, sync.line, hint=hint) for text in problems]
    )


def _present(store: Store, identifier: str) -> dict[str, str]:
    columns = store.columns(store.session.database, store.schema, identifier)
    return {name.lower(): kind for name, kind in columns}


def _missing(relation: str, present: Mapping[str, str], own: list[Recorded], ours: tuple[str, ...]) -> Iterator[str]:
    if not present:
        yield f"table {relation} is gone"
        return
    for column in (*own, *(Recorded(name, "", "") for name in ours)):
        if column.name not in present:
            of = f", which held `{column.label}`" if column.label else ""
            yield f"table {relation} has lost its column `{column.name}`{of}"


def _retyped(relation: str, present: Mapping[str, str], own: list[Recorded]) -> Iterator[str]:
    for column in own:
        kind = present.get(column.name, column.engine_type)
        if column.engine_type and not fits(column.engine_type, kind):
            yield f"Column `{column.name}` of table {relation} is {kind}, and was {column.engine_type}"
