"""One row of a sync: what the destination last accepted of it, why it was refused, and what a run would do now."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from revetl_dbt.destinations.base import Account
from revetl_dbt.engine.hearsay import Hearsay
from revetl_dbt.engine.link import Link
from revetl_dbt.engine.preview import Example, planned_for
from revetl_dbt.engine.sync_run import open_sync
from revetl_dbt.spec.models import Sync
from revetl_dbt.warehouse.store import Store


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the ledger holds: field: its value as text; `standing` as in the ledger; `at` is UTC, without zone."""

    values: Mapping[str, str | None]
    standing: str
    id: str | None
    run_id: str
    at: dt.datetime
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the row was refused the last time; `status` is rejected or unknown, `at` UTC, without zone, `safe` the
    message without the row's values."""

    op: str
    attempts: int
    status: str
    code: str | None
    message: str | None
    run_id: str
    at: dt.datetime
    safe: str | None


@dataclass(slots=True)
class Look:
    """A row of one sync and account; `failed` says why it cannot be looked at."""

    sync: Sync
    account: Account | None = None
    accepted: Accepted | None = None
    refused: Refused | None = None
    planned: list[Example] = field(default_factory=list)
    failed: str | None = None

    @property
    def known(self) -> bool:
        """True when the sync has, or would have, anything to do with the row."""
        return bool(self.accepted or self.refused or self.planned)


def look(store: Store, link: Link, sync: Sync, key: str) -> Look:
    """The row of a sync whose key is this text (a composite key: its parts with bars between). Raises RevetlError."""
    kind = link.destination.object_type(sync.spec.object)
    assert kind is not None  # checked when the project was loaded
    account = link.account(store)
    ledger = open_sync(store, sync, kind, account, preview=True)
    result = Look(sync, account)
    labels = [column.label for column in ledger.layout.fields]
    entry = ledger.entry(key)
    if entry is not None:
        standing, found, run_id, at = entry[len(labels) :]
        url = link.destination.record_url(sync.spec.object, found) if found else None
        fields = dict(zip(labels, entry, strict=False))
        result.accepted = Accepted(fields, standing, found, run_id, at, url)
    refusal = ledger.refusal(key)
    if refusal is not None:
        op, attempts, status, code, message, run_id, at = refusal[len(labels) :]
        values = [key, *key.split("|"), *refusal[: len(labels)]]
        safe = message and Hearsay(names=labels).hide_values(message, values)
        result.refused = Refused(op, int(attempts), status, code, message, run_id, at, safe)
    result.planned = planned_for(ledger, key)
    return result
