"""What `revetl state` does to a ledger: nobody sends meanwhile, and the history says what was done."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from revetl_dbt import __version__
from revetl_dbt.destinations.base import Account, ObjectType
from revetl_dbt.engine.journal import Journal
from revetl_dbt.engine.link import Link
from revetl_dbt.engine.sending import RENEW_SECONDS
from revetl_dbt.engine.sync_run import check_relation, open_sync
from revetl_dbt.errors import InputError
from revetl_dbt.spec.models import Sync
from revetl_dbt.warehouse.entries import Entry, forget
from revetl_dbt.warehouse.ledger import Ledger, PlanSummary, Range, open_ledger
from revetl_dbt.warehouse.store import Store
from revetl_dbt.warehouse.transfer import Imported, import_lines, take_over

_COUNTS = (
    "model_rows", "planned", "created", "updated", "deleted", "unchanged", "invalid", "rejected", "held", "skipped",
    "not_attempted", "requests",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a baseline took for accepted: rows that the ledger had otherwise or not at all, and rows in all."""

    taken: int
    rows: int
    invalid: int


def reset(store: Store, entry: Entry) -> None:
    """Forget a sync and account: its next run is a first run. Raises LeaseHeldError while somebody sends it."""
    with _changing(store, entry, "state reset", "everything that was known of it is forgotten"):
        store.execute(forget(store, entry.sync, entry.account))


def put(store: Store, file: Imported, lines: Iterable[bytes]) -> None:
    """Import a ledger. Raises LeaseHeldError while somebody sends the sync, InputError for a file that is not whole."""
    message = f"{file.rows('ledger')} rows of the ledger and {file.rows('rejected')} refused rows were imported"
    with _changing(store, file.entry, "state import", message) as lease:
        import_lines(store, file, lines, lease.keep)


def check_recovered(source: Store, entry: Entry, journal: Journal) -> None:
    """Raises InputError while an interrupted run of a sync has to be recovered."""
    if source.sync_states()[entry.sync, entry.account].claimed or journal.read() is not None:
        raise InputError.single(
            "run-interrupted",
            f"The last run of sync `{entry.sync}` was interrupted, and what became of its rows is not recorded yet",
            hint=f"`revetl run --sync {entry.sync}` does that, with `revetl_state` as it was",
        )


def move(source: Store, target: Store, entry: Entry, sync: Sync, journal: Journal) -> None:
    """Move the ledger of a sync from one store to the other; the first has none of it any more when this returns.

    Raises LeaseHeldError while somebody sends it, InputError while an interrupted run has to be recovered.
    """
    check_recovered(source, entry, journal)
    state = source.sync_states()[entry.sync, entry.account]
    with _changing(source, entry, "state move", "the ledger was moved to another place"):
        if state.plan_id is not None:
            with _changing(target, entry, "state move", "the ledger was moved here") as lease:
                target.execute(forget(target, entry.sync, entry.account))
                take_over(source, target, entry, _empty(target, entry, sync), lease.keep)
        source.execute(forget(source, entry.sync, entry.account))


def _empty(store: Store, entry: Entry, sync: Sync) -> Ledger:
    """A new ledger, with the types that the declared fields have there."""
    facts = {
        "account_name": entry.account_name or entry.account,
        "destination": sync.spec.destination,
        "object": sync.spec.object,
        "model": sync.source.unique_id,
    }
    return open_ledger(store, sync, entry.account, None, check_relation(store, sync), facts=facts)


def unlock(store: Store, entry: Entry, run_id: str) -> None:
    """End the lease of a run that will not do so itself."""
    store.release_lease(entry.sync, entry.account, run_id)
    _record(store, entry, str(uuid.uuid4()), "state unlock", f"the lease of run {run_id} was ended")


def baseline(store: Store, link: Link, sync: Sync) -> Baseline:
    """Take the rows of a sync's model as they are now for accepted, and send nothing.

    Raises RevetlError: LeaseHeldError while somebody sends it, InputError when the model cannot be read.
    """
    kind = link.destination.object_type(sync.spec.object)
    assert kind is not None  # checked when the project was loaded
    account = link.account(store)
    entry = Entry(
        sync.name, account.id, account.name, sync.spec.destination, kind.name, sync.source.unique_id, "", None, None
    )
    with _changing(store, entry, "state baseline", "the rows of the model were taken for accepted") as lease:
        ledger, plan = _fresh_plan(store, sync, kind, account)
        lease.keep()
        ops = ("create", "update", *(("delete",) if sync.spec.mode.removes else ()))
        groups = [group for group in plan.groups if group.op in ops]
        ledger.fold(
            [Range(group.op, group.seq_from, group.seq_to) for group in groups],
            [],
            lease.run_id,
            replay=True,
            sent=False,
        )
        store.set_plan(sync.name, account.id, str(uuid.uuid4()))
        ledger.drop_plan()
        store.settle(sync.name, account.id)
    return Baseline(sum(group.rows for group in groups), plan.model_rows, plan.count("invalid"))


def _fresh_plan(store: Store, sync: Sync, kind: ObjectType, account: Account) -> tuple[Ledger, PlanSummary]:
    """A plan without refused and removed rows; where the ledger is damaged, of a new one."""
    try:
        return _plan(open_sync(store, sync, kind, account))
    except InputError as error:
        if any(diagnostic.code != "ledger-damaged" for diagnostic in error.diagnostics):
            raise
        store.execute(forget(store, sync.name, account.id))
        return _plan(open_sync(store, sync, kind, account))


def _plan(ledger: Ledger) -> tuple[Ledger, PlanSummary]:
    ledger.forget_rejected()
    ledger.forget_absent()
    return ledger, ledger.write_plan()


class _Lease:
    """A lease that is held while something is done by hand."""

    def __init__(self, store: Store, entry: Entry) -> None:
        self.run_id = str(uuid.uuid4())
        self._store = store
        self._of = (entry.sync, entry.account, self.run_id)
        store.take_lease(*self._of)
        self._renewed = time.monotonic()

    def keep(self) -> None:
        """Renew it where that is due. Raises LeaseHeldError when it was lost."""
        if time.monotonic() - self._renewed >= RENEW_SECONDS:
            self._store.renew_lease(*self._of)
            self._renewed = time.monotonic()

    def end(self) -> None:
        """Let others send."""
        self._store.release_lease(*self._of)


@contextmanager
def _changing(store: Store, entry: Entry, command: str, message: str) -> Iterator[_Lease]:
    """The lease of a sync and account, and a row in the history when what was done is done."""
    lease = _Lease(store, entry)
    try:
        yield lease
        _record(store, entry, lease.run_id, command, message)
    finally:
        lease.end()


def _record(store: Store, entry: Entry, run_id: str, command: str, message: str) -> None:
    store.record_run(
        {
            "run_id": run_id,
            "sync": entry.sync,
            "account": entry.account,
            "model": entry.model,
            "destination": entry.destination,
            "object": entry.object,
            "target": store.session.target,
            "status": "success",
            **dict.fromkeys(_COUNTS, 0),
            "started_at": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
            "message": message,
            "revetl_version": __version__,
            "command": command,
        }
    )
