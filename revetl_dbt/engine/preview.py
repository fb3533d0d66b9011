"""What a run would do to one sync, worked out in the warehouse and left undone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from revetl_dbt import tally
from revetl_dbt.destinations.base import Account, ObjectType
from revetl_dbt.engine import guards
from revetl_dbt.engine.fields import checked_fields, fields_to_create
from revetl_dbt.engine.journal import Journal
from revetl_dbt.engine.link import Link
from revetl_dbt.engine.mapping import BAD_VALUE
from revetl_dbt.engine.sending import ORDER, Course, course_for, operation_for
from revetl_dbt.engine.sync_run import open_sync
from revetl_dbt.spec.models import Mode, Sync, Write
from revetl_dbt.warehouse.layout import Column, table_suffix
from revetl_dbt.warehouse.ledger import Group, Ledger, PlanSummary
from revetl_dbt.warehouse.reader import decoder
from revetl_dbt.warehouse.store import Store

SECONDS_PER_REQUEST = 0.5
REQUESTS_PER_JOB = 4  # begin, upload, ask, fetch
"""What a batch takes at a vendor where nothing better is known, for the estimate of the time."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of an example: the value last accepted and the one that would be sent."""

    name: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Example:
    """One row of the plan: its operation and reason, its key by column, the fields that it is about."""

    op: str
    reason: str | None
    key: Mapping[str, Any]
    fields: tuple[FieldChange, ...]


@dataclass(slots=True)
class Preview:
    """The plan of one sync; `failed` or `skipped` say why there is none.

    `requests` and `seconds` are estimates: batches alone, without lookups, at the destination's pace. `bytes_processed`
    by the queries of the plan, None where the engine does not tell. `removal` is what a removed row's record would
    suffer. `digest` is the same for the same plan and None where the engine has none. `interrupted`: outcomes of a run
    that died are not in the ledger yet.
    """

    sync: Sync
    account: Account | None = None
    failed: str | None = None
    skipped: str | None = None
    groups: tuple[Group, ...] = ()
    model_rows: int = 0
    ledger_rows: int = 0
    unchanged: int = 0
    changed_fields: dict[str, int] = field(default_factory=dict)
    new_fields: dict[str, str] = field(default_factory=dict)  # custom fields that a run creates first: name, type
    examples: list[Example] = field(default_factory=list)
    violations: list[guards.Violation] = field(default_factory=list)
    removal: str = "delete"
    requests: int = 0
    seconds: float = 0.0
    bytes_processed: int | None = None
    limited: bool = False  # only new rows were looked at
    digest: str | None = None
    interrupted: bool = False

    def count(self, *ops: str) -> int:
        """Rows with one of the operations."""
        return sum(group.rows for group in self.groups if group.op in ops)

    @property
    def changes(self) -> int:
        """Rows that a run would send, were it not for guards."""
        return self.count(*ORDER)


def planned_for(ledger: Ledger, key: str) -> list[Example]:
    """What a run would do to the row with this key (as text); none where there is nothing to do. Raises RevetlError."""
    ledger.write_plan()
    try:
        return list(_examples(ledger, 1, key))
    finally:
        ledger.drop_plan()


def preview(
    store: Store, link: Link, sync: Sync, journal_dir: Path, *, limit: int, full_refresh: bool, all_rows: bool
) -> Preview:
    """The plan of a sync, with up to `limit` examples of each operation and reason. Raises RevetlError."""
    kind = link.destination.object_type(sync.spec.object)
    assert kind is not None  # checked when the project was loaded
    account = link.account(store)
    used = tally.begin()
    ledger = open_sync(store, sync, kind, account, full_refresh=full_refresh, whole=all_rows, preview=True)
    plan = ledger.write_plan()
    if sync.spec.backfill == "skip" and not ledger.begun:
        plan = replace(plan, groups=tuple(group for group in plan.groups if group.op != "create"))
    try:
        result = _described(ledger, plan, kind, link, Preview(sync, account), limit)
    finally:
        ledger.drop_plan()
    if result.changes:
        missing = fields_to_create(sync, checked_fields(sync, kind, link), ledger.layout)
        result.new_fields = {name: column.value for name, column in missing.items()}
    journal = Journal(journal_dir / f"{table_suffix(sync.name, account.id)}.jsonl")
    result.interrupted = journal.read() is not None
    result.bytes_processed = used.bytes if store.source.session.tells_bytes else None
    return result


def _described(ledger: Ledger, plan: PlanSummary, kind: ObjectType, link: Link, result: Preview, limit: int) -> Preview:
    spec, config = result.sync.spec, link.output.config
    result.limited = ledger.layout.limited
    result.groups, result.model_rows, result.ledger_rows = plan.groups, plan.model_rows, plan.ledger_rows
    result.unchanged = plan.unchanged(deletes_are_rows=spec.mode.removes)
    limits, whole = guards.effective(spec.guards, config.guards), not ledger.layout.limited
    result.violations = list(
        guards.check(limits, plan, deletes_declared=spec.mode.removes, first=not ledger.settled, whole=whole)
    )
    if plan.count("delete"):
        result.removal = operation_for(spec, kind, "delete").value
    rows: str | None = ""
    if plan.groups:
        rows, result.changed_fields = _details(ledger)
        result.examples = list(_examples(ledger, limit)) if limit else []
    result.digest = None if rows is None else _digest(ledger, plan, rows)
    result.requests = sum(_requests(group, course_for(spec, kind, group.op, group.rows)) for group in _sendable(plan))
    at_once = 1 if kind.ordered or spec.mode is Mode.APPEND else config.concurrency
    paced = result.requests / config.requests_per_second if config.requests_per_second else 0.0
    result.seconds = max(paced, result.requests * SECONDS_PER_REQUEST / min(at_once, max(1, result.requests)))
    return result


def _sendable(plan: PlanSummary) -> Iterator[Group]:
    return (group for group in plan.groups if group.op in ORDER)


def _requests(group: Group, course: Course) -> int:
    batches = -(-group.rows // course.limits.records)
    return batches * (REQUESTS_PER_JOB if course.jobs else 1)


def _details(ledger: Ledger) -> tuple[str | None, dict[str, int]]:
    """What stands for all rows of the plan, and how many updates change each field."""
    layout = ledger.layout
    sql = str(ledger.store.session.macro("revetl_plan_details", s=layout.as_argument()))
    rows, *counts = ledger.store.query(sql)[0]
    compared = [column.label for column in layout.fields if column.compare]
    changed = {label: int(count) for label, count in zip(compared, counts, strict=True) if count}
    return None if rows is None else str(rows), changed


def _digest(ledger: Ledger, plan: PlanSummary, rows: str) -> str:
    layout = ledger.layout
    groups = sorted((group.op, group.reason or "", group.rows) for group in plan.groups)
    spec = layout.sync.spec.model_dump_json()
    content = json.dumps([layout.sync.name, ledger.account, spec, layout.columns_json(), groups, rows])
    return hashlib.sha256(content.encode()).hexdigest()


def _examples(ledger: Ledger, limit: int, key: str | None = None) -> Iterator[Example]:
    layout, adapter = ledger.layout, ledger.store.session.adapter_type
    first_key = 2 + layout.words
    first_field = first_key + len(layout.keys)
    for row in ledger.sample(limit, key):
        flags = row[2:first_key]
        keys = {
            column.label: _decoded(column, value, adapter)
            for column, value in zip(layout.keys, row[first_key:first_field], strict=True)
        }
        pairs = zip(layout.fields, row[first_field::2], row[first_field + 1 :: 2], strict=True)
        changes = [
            FieldChange(column.label, _decoded(column, old, adapter), _decoded(column, new, adapter))
            for column, new, old in pairs
            if _concerns(row[0], row[1], column, flags)
        ]
        yield Example(row[0], row[1], keys, tuple(changes))


def _concerns(op: str, reason: str | None, column: Column, flags: Sequence[int | None]) -> bool:
    """Whether an example of this operation is about a field."""
    op = (reason or op) if op == "held" else op
    if op == "update":
        flag = flags[column.word]
        return column.write is not Write.ON_CREATE if flag is None else bool(flag & column.bit)
    return column.match if op in ("delete", "clear", "invalid") else True


def _decoded(column: Column, value: Any, adapter_type: str) -> Any:
    """A value as it would be sent; one that cannot be, as the warehouse gives it."""
    decode = decoder(column.type, adapter_type)
    try:
        return value if decode is None else decode(value)
    except BAD_VALUE:
        return value
