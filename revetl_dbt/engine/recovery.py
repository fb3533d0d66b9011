"""What a run that died had learned, given to the ledger before anything is planned or laid out anew."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from revetl_dbt.destinations.base import Account, Change, ObjectType, Operation, Outcome, Status
from revetl_dbt.engine.claims import left_by
from revetl_dbt.engine.delivery import Delivery, Fence, InterruptedDeliveryError
from revetl_dbt.engine.hearsay import Hearsay
from revetl_dbt.engine.journal import Job, Journal, Left
from revetl_dbt.engine.link import Link
from revetl_dbt.engine.mapping import Mapper, Row
from revetl_dbt.engine.patience import RetryPolicy
from revetl_dbt.engine.read_back import ReadBack
from revetl_dbt.engine.sending import changes_of, finished_batch, operation_for
from revetl_dbt.spec.models import Sync
from revetl_dbt.warehouse.ledger import Group, Ledger, Range, Result, former_ledger
from revetl_dbt.warehouse.store import Store, SyncState

_INTERRUPTED = "the run was interrupted while this row was on its way"
_UNSETTLED = (Status.RETRY, Status.MISSING)


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was recovered: batches, and rows that may have arrived and must not be sent again."""

    batches: int
    unknown: int


NOTHING = Recovered(0, 0)


def delivery_for(
    sync: Sync, link: Link, kind: ObjectType, account: Account, policy: RetryPolicy, fence: Fence = lambda: None
) -> Delivery:
    """The delivery of a sync's batches; its idempotency keys are the same in every run, and under its next name."""
    namespace = uuid.uuid5(uuid.NAMESPACE_URL, f"revetl:{sync.spec.renamed_from or sync.name}:{account.id}")
    read_back = ReadBack(link, kind, sync.spec)
    return Delivery(link.destination, kind, link.pacer, namespace, policy, fence, read_back)


class Recovery:
    """Folds what the journal of an earlier run holds, or, where that is lost, what it had claimed in the warehouse.

    Jobs that the vendor still works on are waited for, and rows that must not be sent twice are read back.
    """

    def __init__(
        self,
        store: Store,
        link: Link,
        sync: Sync,
        kind: ObjectType,
        account: Account,
        policy: RetryPolicy,
        meanwhile: Callable[[], None],
        mask: Callable[[str], str] = str,
    ) -> None:
        """`meanwhile` is called each time before a vendor's job is waited for; `mask` takes secrets out of what it
        says."""
        self._hearsay = Hearsay(mask)
        self._store = store
        self._link = link
        self._sync = sync
        self._kind = kind
        self._account = account
        self._policy = policy
        self._meanwhile = meanwhile

    def run(self, journal: Journal) -> Recovered:
        """What was recovered; the journal is finished afterwards, and nothing is claimed.

        Raises a DestinationError, with the journal left as it is, when the vendor cannot say what became of a job, or
        cannot be read now.
        """
        state = self._store.sync_states().get((self._sync.name, self._account.id))
        left = journal.read()
        told = NOTHING
        if state is not None and state.plan_id is not None:
            if left is None or left.plan_id != state.plan_id:
                # Another machine sent, or the journal is lost.
                left = left_by(state.plan_id, state.claimed) if state.claimed else None
            if left is not None:
                told = self._recovered(state, left)
            if state.claimed:
                self._store.execute(self._store.claim(self._sync.name, self._account.id, state.plan_id, None))
        journal.finish()
        return told

    def _recovered(self, state: SyncState, left: Left) -> Recovered:
        ledger = former_ledger(self._store, self._sync, self._account.id, state)
        ranges = [entry.range for entry in left.done] + left.open
        results = [result for entry in left.done for result in entry.results]
        results += [result for batch in left.open for result in self._results(ledger, left, batch)]
        ledger.fold(ranges, results, left.run_id, replay=True)
        return Recovered(len(ranges), sum(result.status == "unknown" for result in results))

    def _results(self, ledger: Ledger, left: Left, batch: Range) -> list[Result]:
        """What became of an open batch: rows that may have arrived, unless the vendor tells more."""
        operation = operation_for(self._sync.spec, self._kind, batch.op)
        doubt = "unsure" if operation in self._kind.idempotent else "unknown"
        jobs = [job for job in left.jobs if job.range == batch]
        read_back = ReadBack(self._link, self._kind, self._sync.spec)
        if not jobs and not read_back.can(operation):
            return [Result(seq, doubt, None, "interrupted", _INTERRUPTED) for seq in ledger.numbers(batch)]
        group = Group(batch.op, None, 0, batch.seq_from, batch.seq_to)
        rows = [row for page in ledger.pages(group) for row in page]
        outcomes: dict[int, Outcome] = {}
        for job in jobs:
            outcomes.update({outcome.seq: outcome for outcome in self._outcomes(ledger, job, rows)})
        for row in rows:
            outcomes.setdefault(row[0], Outcome(row[0], Status.UNKNOWN, None, "interrupted", _INTERRUPTED))
        if read_back.can(operation):
            lost = [row for row in rows if outcomes[row[0]].status is Status.UNKNOWN]
            outcomes |= read_back.outcomes(operation, self._changes(ledger, batch.op, operation, lost))
        final = [outcome for outcome in outcomes.values() if outcome.status not in _UNSETTLED]
        # What the job did not settle is planned again.
        again = [seq for seq, outcome in outcomes.items() if outcome.status in _UNSETTLED]
        return [
            *finished_batch(batch, rows, final, None, doubt=doubt, hearsay=self._hearsay).results,
            *(Result(seq, "not_attempted", None, None, None) for seq in again),
        ]

    def _outcomes(self, ledger: Ledger, job: Job, rows: Sequence[Row]) -> Sequence[Outcome]:
        order = {seq: position for position, seq in enumerate(job.seqs)}
        own = [row for row in rows if row[0] in order]
        changes = self._changes(ledger, job.range.op, job.operation, own)
        if len(changes) != len(order):
            # The declaration has changed so much that the job's records cannot be told apart any more.
            return [Outcome(row[0], Status.UNKNOWN, None, "interrupted", _INTERRUPTED) for row in own]
        changes.sort(key=lambda change: order[change.seq])
        delivery = delivery_for(self._sync, self._link, self._kind, self._account, self._policy)
        try:
            return delivery.follow(job.operation, changes, job.job, self._meanwhile)
        except InterruptedDeliveryError as stop:
            raise stop.cause from stop

    def _changes(self, ledger: Ledger, op: str, operation: Operation, rows: Sequence[Row]) -> list[Change]:
        """The rows as they were sent, without what had to be asked of the destination first."""
        described = self._link.described(self._kind)
        mapper = Mapper(ledger.layout, self._link.destination, described, self._store.session.adapter_type)
        return changes_of(mapper, self._kind, op, operation, rows)[0]
