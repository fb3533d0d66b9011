"""One sync of a run: recover, probe, plan, guard, send, record."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace

from revetl_dbt.destinations.base import Account, Guards, ObjectType
from revetl_dbt.engine import guards
from revetl_dbt.engine.fields import checked_fields, create_fields, fields_to_create
from revetl_dbt.engine.journal import Journal
from revetl_dbt.engine.lease import Lease
from revetl_dbt.engine.link import Link
from revetl_dbt.engine.mapping import Mapper
from revetl_dbt.engine.pacing import StoppedError
from revetl_dbt.engine.prepare import Preparation
from revetl_dbt.engine.recovery import Recovery, delivery_for
from revetl_dbt.engine.result import Reporter, RunOptions, SyncResult
from revetl_dbt.engine.sending import Sender
from revetl_dbt.errors import InputError
from revetl_dbt.nearest import listed
from revetl_dbt.spec.models import Sync
from revetl_dbt.spec.parse import check_columns
from revetl_dbt.warehouse.layout import table_suffix
from revetl_dbt.warehouse.ledger import REMOVALS, Ledger, PlanSummary, Range, open_ledger
from revetl_dbt.warehouse.since import digest
from revetl_dbt.warehouse.store import Store


class SyncRun:
    """One sync of a run, from the probe to the last outcome. Fills in `result`."""

    def __init__(
        self,
        store: Store,
        link: Link,
        options: RunOptions,
        reporter: Reporter,
        stop: threading.Event,
        run_id: str,
        result: SyncResult,
    ) -> None:
        self._store = store
        self._link = link
        self._options = options
        self._reporter = reporter
        self._stop = stop
        self._run_id = run_id
        self._result = result
        self._sync = result.sync
        self._spec = result.sync.spec
        self._in_doubt = 0
        self._held: list[str] = []  # leases, by the names of syncs

    def execute(self) -> None:
        """Raises RevetlError when the sync cannot go on."""
        kind = self._link.destination.object_type(self._spec.object)
        assert kind is not None  # checked when the project was loaded
        account = self._result.account = self._link.account(self._store)
        with self._holding(self._sync.name, account):
            self._locked(kind, account)
        self._report_doubt()

    @contextmanager
    def _holding(self, name: str, account: Account) -> Iterator[None]:
        """The lease of a sync's name."""
        self._store.take_lease(name, account.id, self._run_id)
        self._held.append(name)
        try:
            yield
        finally:
            self._held.remove(name)
            self._store.release_lease(name, account.id, self._run_id)

    def _locked(self, kind: ObjectType, account: Account) -> None:
        former = self._former(account)
        with self._holding(former, account) if former else nullcontext():
            # A run that died left what it knew under the name that the sync had then.
            self._recover(replace(self._sync, name=former or self._sync.name), account, kind)
            if self._not_rebuilt(account):
                return
            refresh = self._options.full_refresh
            ledger = open_sync(self._store, self._sync, kind, account, full_refresh=refresh, whole=self._whole)
        journal = self._journal(self._sync, account)
        if self._options.release_held is not None:
            ledger.release_held(unknown=self._options.release_held == "unknown too")
        self._sent(ledger, kind, account, journal)
        if not ledger.settled and self._result.status != "error" and self._result.not_attempted == 0:
            self._store.settle(self._sync.name, account.id)
        self._remember(ledger)
        # At the end: it holds up no row, and only a run that has written needs it.
        if self._result.status != "error":
            ledger.compact(lambda: self._renew_lease(account))

    def _former(self, account: Account) -> str | None:
        """The sync's former name, where its ledger still has that."""
        former, states = self._spec.renamed_from, self._store.sync_states()
        known = (self._sync.name, account.id) in states
        return former if former is not None and not known and (former, account.id) in states else None

    def _journal(self, sync: Sync, account: Account) -> Journal:
        return Journal(self._options.journal_dir / f"{table_suffix(sync.name, account.id)}.jsonl")

    @property
    def _whole(self) -> bool:
        """True when the run is to look at every row, whatever the sync would spare."""
        options = self._options
        return options.all_rows or options.full_refresh or options.release_held is not None

    @property
    def _limits(self) -> Guards:
        return guards.effective(self._spec.guards, self._link.output.config.guards)

    @property
    def _build(self) -> str | None:
        """What stands for the rows of the model and what is done with them, where dbt tells when they were made."""
        command = self._options.builds.get(self._sync.source.unique_id) if self._spec.skip_unchanged else None
        return None if command is None else f"{command} {digest(self._spec)}"

    def _not_rebuilt(self, account: Account) -> bool:
        """True when the model is what it was when everything of it had been sent: nothing of it is read."""
        if self._build is None or self._whole or self._in_doubt:
            return False
        state = self._store.sync_states().get((self._sync.name, account.id))
        if state is None or state.built != self._build:
            return False
        self._result.status = "noop"
        self._result.unseen = f"`{self._sync.source.name}` was not rebuilt since all of it was sent"
        return True

    def _remember(self, ledger: Ledger) -> None:
        """What the next run need not look at, when nothing of this one is left over."""
        result = self._result
        if result.status not in ("success", "noop") or result.invalid or self._in_doubt:
            return
        noted: dict[str, str | None] = {}
        if self._spec.changed_since is not None:
            noted["mark"] = ledger.mark and ledger.mark.as_text()
            if not ledger.layout.limited and not result.held:
                ledger.forget_rejected()  # of rows that are gone: they would make every plan look at all rows
        if self._build is not None and not result.held:
            noted["built"] = self._build
        if noted:
            self._store.came_through(self._sync.name, ledger.account, **noted)

    def _sent(self, ledger: Ledger, kind: ObjectType, account: Account, journal: Journal) -> None:
        """Plan and send; how it went is in the result."""
        if self._spec.backfill == "skip" and not ledger.begun:
            self._start_from_now(ledger)
            return
        if self._spec.mode.removes:
            ledger.forget_absent()
        if self._nothing_to_do(ledger):
            return
        plan_id = str(uuid.uuid4())
        # First, so that nobody takes the plan that goes now for one by which a journal can be recovered.
        self._store.set_plan(self._sync.name, account.id, plan_id)
        plan = ledger.write_plan()
        self._describe_plan(plan)
        held = self._guarded(plan, first=not ledger.settled, whole=not ledger.layout.limited)
        self._reporter.planned(self._sync, self._result.planned - self._result.held - self._result.guarded)
        if held is None:
            return
        if any(group.op in ("create", "update", "delete", "clear") and group.op not in held for group in plan.groups):
            self._send(ledger, plan, held, kind, account, journal, plan_id)
        self._conclude()
        if self._result.not_attempted == 0:
            ledger.drop_plan()

    def _recover(self, sync: Sync, account: Account, kind: ObjectType) -> None:
        def meanwhile() -> None:
            self._renew_lease(account)
            self._store.release()

        recovery = Recovery(
            self._store, self._link, sync, kind, account, self._options.retry, meanwhile, self._options.mask
        )
        recovered = recovery.run(self._journal(sync, account))
        if recovered.batches:
            self._reporter.notice(f"Recovered {recovered.batches} batches of `{sync.name}` from an interrupted run")
        self._in_doubt = recovered.unknown

    def _report_doubt(self) -> None:
        """Rows that a run that died may have written, once for all, are a failure of the run that finds them."""
        if not self._in_doubt:
            return
        result = self._result
        told = (
            f"{self._in_doubt:,} rows were on their way when an earlier run was interrupted. Whether they arrived is"
            " unknown: they are not sent again, and are held until they change"
        )
        result.message = "\n".join(text for text in (told, result.message) if text)
        if result.status in ("success", "noop"):
            result.status = "partial"

    def _renew_lease(self, account: Account) -> None:
        for name in self._held:
            self._store.renew_lease(name, account.id, self._run_id)

    def _start_from_now(self, ledger: Ledger) -> None:
        """Take the rows that there are for sent: only what comes later is."""
        plan = ledger.write_plan()
        ranges = [Range(group.op, group.seq_from, group.seq_to) for group in plan.groups if group.op == "create"]
        ledger.fold(ranges, [], self._run_id, replay=True, sent=False)
        self._store.set_plan(self._sync.name, ledger.account, str(uuid.uuid4()))
        ledger.drop_plan()
        plan = replace(plan, groups=tuple(group for group in plan.groups if group.op != "create"))
        self._describe_plan(plan)
        self._result.status = "noop"
        rows = self._result.unchanged
        self._reporter.notice(f"`{self._sync.name}` starts from now: {rows:,} rows are not sent (`backfill: skip`)")

    def _nothing_to_do(self, ledger: Ledger) -> bool:
        """One query tells that every row of the model is what the destination accepted."""
        if self._options.full_refresh or not ledger.begun or ledger.layout.limited:
            return False
        released = self._sync.name in self._options.release
        settled = ledger.settled_rows(at_least=0 if released else self._limits.min_rows or 0)
        if settled is None:
            return False
        self._result.model_rows = self._result.unchanged = settled
        self._result.status = "noop"
        return True

    def _describe_plan(self, plan: PlanSummary) -> None:
        result = self._result
        result.model_rows = plan.model_rows
        result.invalid = {group.reason or "": group.rows for group in plan.groups if group.op == "invalid"}
        result.held = plan.count("held")
        result.planned = plan.count("create", "update", "delete", "clear", "held")
        result.unchanged = plan.unchanged(deletes_are_rows=self._spec.mode.removes)

    def _guarded(self, plan: PlanSummary, *, first: bool, whole: bool) -> tuple[str, ...] | None:
        """The operations that a guard holds; None when it holds the whole sync."""
        result, name = self._result, self._sync.name
        about = {"deletes_declared": self._spec.mode.removes, "first": first, "whole": whole}
        broken = list(guards.check(self._limits, plan, **about))
        if not broken:
            return ()
        if name in self._options.release:
            result.released = broken
            self._reporter.notice(f"`{name}` is sent although guards hold it (`--release`): {guards.in_words(broken)}")
            return ()
        result.violations = broken
        result.message = f"{guards.in_words(broken)} (`--release {name}` sends them once)"
        if all(violation.removals_only for violation in result.violations):
            result.guarded = plan.count(*REMOVALS)
            return REMOVALS
        result.guarded = result.planned - result.held
        result.status = "error"
        return None

    def _send(
        self,
        ledger: Ledger,
        plan: PlanSummary,
        held: Sequence[str],
        kind: ObjectType,
        account: Account,
        journal: Journal,
        plan_id: str,
    ) -> None:
        fields = checked_fields(self._sync, kind, self._link)
        missing = fields_to_create(self._sync, fields, ledger.layout)
        if missing:
            fields |= create_fields(kind, self._link, missing)
            self._reporter.notice(f"Created {listed(missing)} in `{self._spec.destination}.{kind.name}`")
        lease = Lease(lambda: self._renew_lease(account))
        sender = Sender(
            ledger,
            kind,
            Mapper(ledger.layout, self._link.destination, fields, self._store.session.adapter_type),
            Preparation(self._sync, kind, self._link),
            delivery_for(self._sync, self._link, kind, account, self._options.retry, lease.check),
            journal,
            plan_id=plan_id,
            run_id=self._run_id,
            concurrency=self._link.output.config.concurrency,
            slots=self._link.slots,
            stop=self._stop,
            lease=lease,
            release=self._store.release,
            progress=lambda done: self._reporter.progress(self._sync, done),
            mask=self._options.mask,
        )
        self._result.totals = sender.totals
        sender.send(plan, skip=held)
        if sender.stopped is not None:
            self._link.note(sender.stopped)
            detail = "" if isinstance(sender.stopped, StoppedError) else f"{self._spec.destination}: "
            self._fail(f"{detail}{sender.stopped}")
        elif self._stop.is_set():
            self._fail("the run was stopped")

    def _fail(self, why: str) -> None:
        result = self._result
        result.status, result.message = "error", "\n".join(text for text in (result.message, why) if text)

    def _conclude(self) -> None:
        result = self._result
        if result.status != "success":
            return
        if not result.planned and not result.invalid and not result.violations:
            result.status = "noop"
        elif result.totals.rejected or result.totals.unknown or result.violations:
            result.status = "partial"


def check_relation(store: Store, sync: Sync) -> list[tuple[str, str]]:
    """Name and type of each column of the sync's model.

    Raises InputError when the relation is not there or lacks a column.
    """
    source = sync.source
    columns = store.source.columns(source.database, source.schema, source.identifier)
    if not columns:
        raise InputError.single(
            "relation-missing",
            f"`{source.relation_name}`, which sync `{sync.name}` reads, is not in the warehouse",
            path=sync.path,
            line=sync.line,
            hint=f"run `dbt build --select {source.name}` with this target",
        )
    problems = check_columns(sync, [name for name, _ in columns])
    if problems:
        raise InputError(problems)
    return columns


def open_sync(
    store: Store,
    sync: Sync,
    kind: ObjectType,
    account: Account,
    *,
    full_refresh: bool = False,
    whole: bool = True,
    preview: bool = False,
) -> Ledger:
    """The ledger of a sync; `preview` gives it a plan table of its own, and not `whole` lets it leave rows unseen that
    have not changed since the last run that came through.

    Raises InputError when the relation is not there or lacks a column.
    """
    columns = check_relation(store, sync)
    facts = {
        "account_name": account.name or account.id,
        "destination": sync.spec.destination,
        "object": sync.spec.object,
        "model": sync.source.unique_id,
    }
    state = store.sync_states().get((sync.name, account.id))
    return open_ledger(
        store,
        sync,
        account.id,
        state,
        columns,
        facts=facts,
        match_ignores_case=kind.match_ignores_case,
        full_refresh=full_refresh,
        whole=whole,
        preview=preview,
    )
