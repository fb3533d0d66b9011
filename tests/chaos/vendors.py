"""Every connector with its stand-in, and a sync that goes to it from a warehouse, run after run.

A new connector is one line in VENDORS: a function that makes the conformance kit's Subject in a sandbox.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from destinations.stand import Stand
from destinations.test_conformance import TestHubSpot, http_subject
from destinations.test_conformance_intercom import subject_of as intercom_subject
from destinations.test_conformance_marketo import marketo_subject
from destinations.test_conformance_salesforce import salesforce_subject
from destinations.test_conformance_stripe import stripe_subject
from destinations.test_conformance_zendesk import subject_of as zendesk_subject
from engine.harness import EAGER, Listener, Warehouse, accounted

from revetl_dbt.destinations.base import DestinationConfig, Operation
from revetl_dbt.destinations.conformance import Subject
from revetl_dbt.destinations.hubspot import HubSpot, HubSpotConfig
from revetl_dbt.engine.link import Link
from revetl_dbt.engine.pacing import Pacer
from revetl_dbt.engine.result import RunOptions, SyncResult
from revetl_dbt.engine.run import Run
from revetl_dbt.engine.sync_run import open_sync
from revetl_dbt.sandbox import Sandbox
from revetl_dbt.spec.destinations import Output
from revetl_dbt.spec.models import OnRemoved, Sync
from revetl_dbt.warehouse.ledger import Ledger

Make = Callable[[Sandbox, Path], Subject]
WORKERS = 2


def _http(sandbox: Sandbox, folder: Path) -> Subject:
    sandbox.configure("http", results="id", key="email", secret="Bearer k3y")
    response = {"results": "results", "join": "match", "at": "id", "error": "error"}
    paths = {"path": "/people", "body": "array", "batch_size": 4, "max_bytes": 100_000, "response": response}
    return http_subject(sandbox, {"upsert": paths, "delete": {**paths, "method": "DELETE"}}, reports=True)


def _http_whole(sandbox: Sandbox, folder: Path) -> Subject:
    """Without results: a batch is taken or refused as a whole."""
    sandbox.configure("http", key="email", secret="Bearer k3y")
    return http_subject(sandbox, {"upsert": {"path": "/people", "body": "array", "batch_size": 4}}, reports=False)


def _hubspot(sandbox: Sandbox, folder: Path) -> Subject:
    sandbox.load_setup("hubspot", TestHubSpot().setup(folder, "contacts", "email"))
    stand = Stand(sandbox, "hubspot", "contacts", "email", "x_name")
    config = stand.settings(HubSpotConfig(type="hubspot", sandbox=True))
    return Subject(lambda gate: HubSpot(config, gate), stand, "contacts", "email", {}, "x_name")


VENDORS: Mapping[str, Make] = {
    "http": _http,
    "http-whole": _http_whole,
    "hubspot": _hubspot,
    "salesforce": lambda sandbox, folder: salesforce_subject(sandbox, folder, "Case", bulk_above=2000),
    "salesforce-jobs": lambda sandbox, folder: salesforce_subject(sandbox, folder, "Case", bulk_above=0),
    "marketo": lambda sandbox, folder: marketo_subject(sandbox, folder, "leads", 5000),
    "marketo-jobs": lambda sandbox, folder: marketo_subject(sandbox, folder, "leads", 0),
    "intercom": lambda sandbox, folder: intercom_subject(sandbox, folder, "users", "email"),
    "intercom-jobs": lambda sandbox, folder: intercom_subject(sandbox, folder, "users", "external_id", bulk_from=1),
    "zendesk": lambda sandbox, folder: zendesk_subject(sandbox, folder, "users", "external_id", bulk_from=1000),
    "zendesk-jobs": lambda sandbox, folder: zendesk_subject(sandbox, folder, "users", "external_id", bulk_from=0),
    "stripe": lambda sandbox, folder: stripe_subject(sandbox, "customers", "email"),
}
QUOTA: Mapping[str, Mapping[str, Any]] = {
    "hubspot": {"policy": "DAILY"},
    "salesforce": {"policy": "DAILY"},
    "salesforce-jobs": {"policy": "DAILY"},
    "marketo": {"policy": "DAILY"},
    "marketo-jobs": {"policy": "DAILY"},
}
"""How a vendor says that nothing more is taken today; the others ask to wait for a day."""


REQUIRED: Mapping[str, Any] = {"zendesk": {"name": {"value": "Somebody"}}}
"""What a vendor wants beside the match field."""


class Quick(Pacer):
    """Notes how long it is to wait, and hardly waits."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(stop=stop)
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        super().wait(min(seconds, 0.001))

    def pause(self, seconds: float) -> None:
        self.waits.append(seconds)


@dataclass
class Account:
    """A vendor's stand-in, and a sync that goes there from the table `people`: (id, m, t)."""

    vendor: str
    sandbox: Sandbox
    subject: Subject
    warehouse: Warehouse
    sync: Sync
    folder: Path
    waits: list[float] = field(default_factory=list)
    results: list[SyncResult] = field(default_factory=list)
    stopped: bool = False  # whether the run found that the destination takes nothing more
    _ledger: Ledger | None = None
    _rules: list[Mapping[str, Any]] = field(default_factory=list)

    def write(self, texts: Mapping[int, str]) -> None:
        """The model from now on: each person's text."""
        rows = [
            {"id": str(n), "m": f"'{self.subject.new_match(n)}'", "t": "'" + t.replace("'", "''") + "'"}
            for n, t in texts.items()
        ]
        self.warehouse.table("people", {"id": "integer", "m": "varchar", "t": "varchar"}, rows)

    def fault(self, *rules: Mapping[str, Any]) -> None:
        """What goes wrong in the runs from now on."""
        self._rules = [{"vendor": self.vendor.partition("-")[0], **rule} for rule in rules]

    def _link(self, stop: threading.Event) -> Link:
        pacer = Quick(stop)
        self.waits = pacer.waits
        self.sandbox.set_faults([])
        destination = self.subject.connect(pacer)
        config = DestinationConfig(type=destination.type, concurrency=WORKERS)
        return Link(Output("crm", "dev", type(destination), config, Path("destinations.yml"), 1), destination, pacer)

    def run(self) -> SyncResult:
        stop = threading.Event()
        link = self._link(stop)
        self.sandbox.set_faults(self._rules)
        options = RunOptions(retry=EAGER, journal_dir=self.folder / "journal")
        run = Run(self.warehouse.store, {"crm": link}, options, Listener(), stop)
        try:
            (result,) = run.execute([self.sync], {})
        finally:
            link.destination.close()
        self.stopped = link.stopped is not None
        accounted(result)
        self.results.append(result)
        return result

    @property
    def removes(self) -> bool:
        """Whether a row that goes takes its record with it."""
        return self.sync.spec.on_removed is not OnRemoved.KEEP

    # -- what is there -------------------------------------------------------------------------------

    def text(self, number: int) -> str | None:
        """What the stand-in holds of a person; None when it has no record."""
        held = self.subject.server.held(self.subject.new_match(number))
        return None if held is None else held.get(self.subject.text)

    def records(self) -> int:
        """Records that are not archived."""
        vendor, collection = self.subject.server._vendor, self.subject.server._collection  # type: ignore[attr-defined]
        return sum(record.archived is None for record in self.sandbox.store.scan(vendor, collection))

    def ledger(self) -> dict[int, str]:
        """What stands as sent: the text of each person."""
        if self._ledger is None:
            self._ledger = self._opened()
        ledger = self._ledger
        key = ledger.layout.keys[0].name
        (text,) = (column for column in ledger.layout.fields if column.label == self.subject.text)
        rows = self.warehouse.query(
            f"select {key}, {text.name} from {ledger.layout.tables.ledger} where _standing = 'sent'"
        )
        return dict(rows)

    def _opened(self) -> Ledger:
        link = self._link(threading.Event())
        kind = link.destination.object_type(self.subject.object)
        assert kind is not None
        try:
            account = link.account(self.warehouse.store)
            return open_sync(self.warehouse.store, self.sync, kind, account, preview=True)
        finally:
            link.destination.close()


def removal(subject: Subject) -> str | None:
    """How the sync removes records, where it can."""
    destination = subject.connect(Quick(threading.Event()))
    kind = destination.object_type(subject.object)
    destination.close()
    assert kind is not None
    if Operation.DELETE in kind.operations:
        return "delete"
    return "archive" if Operation.ARCHIVE in kind.operations else None


@contextmanager
def account(vendor: str, folder: Path, now: Callable[[], float] | None = None) -> Iterator[Account]:
    """A vendor's stand-in with an empty account, and a sync to it."""
    name = vendor.partition("-")[0]
    clock = {} if now is None else {"now": now}
    with Sandbox(folder / "state", [name], **clock) as sandbox, Warehouse() as warehouse:
        subject = VENDORS[vendor](sandbox, folder)
        spec: dict[str, Any] = {"on_removed": removal(subject) or "keep", "rejected": {"max_attempts": 100}}
        match, fields = {subject.match: "m"}, {subject.text: {"column": "t"}, **REQUIRED.get(name, {})}
        sync = warehouse.sync(
            "people",
            "people",
            destination="crm",
            object=subject.object,
            key=("id",),
            match=match,
            fields=fields,
            guards={"min_rows": 0},
            **spec,
        )
        yield Account(vendor, sandbox, subject, warehouse, sync, folder)


def outcomes(results: Sequence[SyncResult]) -> str:
    """Runs in few words, for messages."""
    return "; ".join(f"{r.status} {r.message or ''} {dict(r.totals.reasons)}" for r in results)
