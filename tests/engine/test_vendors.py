"""Connectors behind the engine, against their stand-ins: what becomes of a batch whose session ends, whose rows lock
each other, or of which a job says nothing."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.destinations import registry
from revetl_dbt.destinations.base import Change, Operation, Outcome, Status
from revetl_dbt.engine.delivery import Delivery
from revetl_dbt.engine.link import Link
from revetl_dbt.engine.pacing import Pacer
from revetl_dbt.engine.patience import RetryPolicy
from revetl_dbt.engine.read_back import ReadBack
from revetl_dbt.sandbox import Sandbox
from revetl_dbt.spec.destinations import Output
from revetl_dbt.spec.models import SyncSpec

EAGER = RetryPolicy(attempts=3, first=0.0, longest=0.0)
CUSTOM = {"name": "Ref__c", "type": "string", "externalId": True, "unique": True}
SETUP: Mapping[str, Any] = {"salesforce": {"fields": {"Contact": [CUSTOM]}}}


@dataclass(frozen=True)
class There:
    """A vendor's stand-in, and a link to it."""

    vendor: str
    sandbox: Sandbox
    link: Link

    def asked(self, part: str) -> int:
        """How many requests had this in their path."""
        return sum(part in entry.path for entry in self.sandbox.requests())

    def deliver(self, spec: SyncSpec, operation: Operation, changes: list[Change]) -> dict[int, Outcome]:
        """The outcomes of changes, sent as the engine does: through jobs where the connector has them for so many."""
        kind = self.link.destination.object_type(spec.object)
        assert kind is not None
        read_back = ReadBack(self.link, kind, spec)
        delivery = Delivery(self.link.destination, kind, self.link.pacer, uuid.UUID(int=7), EAGER, read_back=read_back)
        bulk = kind.bulk.get(operation)
        jobs = bulk is not None and len(changes) >= bulk.threshold
        size = len(changes) if jobs else kind.operations[operation].records
        outcomes = [
            outcome
            for start in range(0, len(changes), size)
            for outcome in delivery.deliver(operation, changes[start : start + size], _unnoted if jobs else None)
        ]
        assert [outcome.seq for outcome in outcomes] == sorted(change.seq for change in changes)
        return {outcome.seq: outcome for outcome in outcomes}


def _unnoted(changes: object, job: str) -> None:
    """A job that no journal needs to know of."""


Connect = Callable[..., There]


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    """Makes a link to a vendor's stand-in."""
    with ExitStack() as stack:

        def made(vendor: str, **settings: Any) -> There:
            setup = tmp_path / f"{vendor}.json"
            setup.write_text(json.dumps(SETUP.get(vendor, {})))
            sandbox = stack.enter_context(Sandbox(tmp_path / "vendors", [vendor], setup={vendor: setup}))
            connector, pacer = registry.connector(vendor), Pacer(stop=threading.Event())
            config = connector.Config(type=vendor, sandbox=True, **settings)
            destination = connector(config.in_sandbox(sandbox.url(vendor), sandbox.token(vendor)), pacer)
            stack.callback(destination.close)
            output = Output("crm", "dev", connector, config, Path("destinations.yml"), 1)
            return There(vendor, sandbox, Link(output, destination, pacer))

        yield made


def declared(name: str, match: str, fields: Mapping[str, Any], **more: Any) -> SyncSpec:
    given = {"destination": "crm", "object": name, "key": ("id",), "match": {match: "id"}, "fields": fields, **more}
    return SyncSpec.model_validate(given)


@dataclass(frozen=True)
class Session:
    """How people are sent to a vendor, the request at which the session is over, and where there is a new one."""

    object: str
    match: str
    name: str
    ends_at: Mapping[str, Any]
    begins_at: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def people(self, count: int) -> list[Change]:
        values = [f"p{n}@x.test" if self.match == "email" else str(n) for n in range(count)]
        return [Change(n, (n,), {self.match: value}, {self.name: f"Name {n}"}) for n, value in enumerate(values)]


SALESFORCE, MARKETO = ("Contact", "Ref__c", "LastName"), ("leads", "email", "lastName")
SESSIONS: Mapping[str, Session] = {
    "salesforce": Session(*SALESFORCE, {"path": "*/composite/*", "nth": 2}, "/services/oauth2/token"),
    "salesforce jobs": Session(
        *SALESFORCE, {"path": "*/jobs/ingest/*", "method": "GET", "nth": 2}, "/services/oauth2/token", {"bulk_above": 0}
    ),
    "marketo": Session(*MARKETO, {"path": "*/rest/v1/leads.json", "nth": 2}, "/identity/oauth/token"),
    "marketo imports": Session(*MARKETO, {"path": "*/batch/*"}, "/identity/oauth/token", {"bulk_threshold": 1}),
}


@pytest.mark.parametrize("case", SESSIONS)
def test_a_session_that_ends_in_the_middle_is_renewed(connect: Connect, case: str) -> None:
    session = SESSIONS[case]
    there = connect(case.partition(" ")[0], **session.settings)
    there.sandbox.set_faults([{"kind": "expired", "times": 1, **session.ends_at}])
    spec = declared(session.object, session.match, {session.name: {"column": "name"}})
    outcomes = there.deliver(spec, Operation.UPSERT, session.people(450))
    assert all(outcome.status.accepted for outcome in outcomes.values())
    assert len(there.sandbox.store.scan(there.vendor, session.object)) == 450
    assert there.asked(session.begins_at) == 2


PEOPLE = declared("Contact", "Ref__c", {"LastName": {"column": "name"}})
LOCK = {
    "kind": "poison",
    "field": "LastName",
    "contains": "Name",
    "message": "UNABLE_TO_LOCK_ROW: unable to obtain exclusive access to this record",
    "times": 1,
}


@pytest.mark.parametrize(
    ("bulk_above", "where", "path"),
    [
        (2000, {"path": "*/composite/*"}, "/composite/sobjects/"),
        (0, {"path": "*/jobs/ingest/*", "method": "PATCH"}, "/batches"),
    ],
)
def test_rows_that_lock_each_other_are_sent_in_smaller_company(
    connect: Connect, bulk_above: int, where: dict[str, Any], path: str
) -> None:
    there = connect("salesforce", bulk_above=bulk_above)
    there.sandbox.set_faults([{**LOCK, **where}])
    outcomes = there.deliver(PEOPLE, Operation.UPSERT, SESSIONS["salesforce"].people(8))
    assert {outcome.status for outcome in outcomes.values()} == {Status.CREATED}
    assert there.asked(path) == 3, "eight together, then twice four"


@pytest.mark.parametrize(("operation", "jobs"), [(Operation.UPSERT, 2), (Operation.CREATE, 1)])
def test_rows_that_a_job_does_not_mention(connect: Connect, operation: Operation, jobs: int) -> None:
    """An upsert does no harm when it is sent again; a create is looked for first."""
    there = connect("salesforce", bulk_above=0)
    there.sandbox.set_faults([{"kind": "results", "how": "missing", "path": "*/successfulResults", "times": 1}])
    outcomes = there.deliver(PEOPLE, operation, SESSIONS["salesforce"].people(20))
    assert all(outcome.status.accepted and outcome.id for outcome in outcomes.values())
    assert len(there.sandbox.store.scan("salesforce", "Contact")) == 20
    assert there.asked("/batches") == jobs


@pytest.mark.parametrize("operation", [Operation.UPSERT, Operation.CREATE])
def test_rows_beyond_the_daily_allocation_are_never_taken_for_sent(connect: Connect, operation: Operation) -> None:
    there = connect("salesforce", bulk_above=0)
    there.sandbox.configure("salesforce", daily_batches=0)
    outcomes = there.deliver(PEOPLE, operation, SESSIONS["salesforce"].people(3))
    assert not [outcome for outcome in outcomes.values() if outcome.status.accepted]
    assert there.sandbox.store.scan("salesforce", "Contact") == []
