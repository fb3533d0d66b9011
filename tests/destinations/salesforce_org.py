"""A sandbox org for the tests of Salesforce, and connectors to it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from revetl_dbt.destinations.base import Batch, Change, Operation, Outcome, Pending
from revetl_dbt.destinations.salesforce import Salesforce, SalesforceConfig
from revetl_dbt.sandbox import Sandbox

from .stub import OpenGate

REF = {"name": "Ref__c", "type": "string", "externalId": True, "unique": True}
FIELDS: dict[str, list[dict[str, Any]]] = {
    "Account": [REF, {"name": "Segment__c", "type": "string", "externalId": True}],
    "Contact": [
        REF,
        {"name": "Number__c", "type": "double", "externalId": True, "unique": True},
        {"name": "Plan__c", "type": "picklist", "options": ["free", "pro"]},
        {"name": "Interests__c", "type": "multipicklist", "options": ["a", "b", "c"]},
        {"name": "Score__c", "type": "double"},
        {"name": "Vip__c", "type": "boolean"},
        {"name": "Seen__c", "type": "datetime"},
        {"name": "Short__c", "type": "string", "length": 5},
    ],
    "Task": [REF],
    "Lead": [REF],
}


class Clock:
    """A clock that stands still until it is moved; seconds since 1970."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


class Org:
    """A running sandbox with Salesforce in it."""

    def __init__(self, sandbox: Sandbox, clock: Clock) -> None:
        self.sandbox, self.clock, self.gate = sandbox, clock, OpenGate()
        self._open: list[Salesforce] = []

    def connect(self, **settings: Any) -> Salesforce:
        """A connector as a target in the sandbox gets it."""
        config = SalesforceConfig(type="salesforce", sandbox=True, **settings)
        config = config.in_sandbox(self.sandbox.url("salesforce"), self.sandbox.token("salesforce"))
        return self.keep(Salesforce(config, self.gate))

    def keep(self, connector: Salesforce) -> Salesforce:
        """Close a connector at the end."""
        self._open.append(connector)
        return connector

    def close(self) -> None:
        for connector in self._open:
            connector.close()

    def records(self, kind: str, deleted: bool = False) -> list[dict[str, Any]]:
        """What the org holds, in order of arrival."""
        found = self.sandbox.store.scan("salesforce", kind, archived=None if deleted else False)
        return [{"Id": record.id, **record.properties} for record in found]

    def one(self, kind: str, ref: str) -> dict[str, Any]:
        (found,) = [record for record in self.records(kind) if record.get("Ref__c") == ref]
        return found

    def asked(self) -> list[str]:
        """Method and path of all requests but logins, without the version."""
        entries = [entry for entry in self.sandbox.requests() if "oauth2" not in entry.path]
        return [f"{entry.method} {entry.path.partition('/v67.0')[2]}" for entry in entries]


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[Org]:
    """An org with the fields above."""
    path = folder / "setup.yml"
    path.write_text(json.dumps({"fields": FIELDS}))
    clock = Clock()
    with Sandbox(
        folder / "state", ["salesforce"], now=clock, setup={"salesforce": path}, options={"salesforce": options}
    ) as sandbox:
        org = Org(sandbox, clock)
        yield org
        org.close()


def batch(operation: str, changes: Sequence[Change], kind: str = "Contact") -> Batch:
    return Batch(kind, Operation(operation), changes, uuid.UUID(int=7))


def write(salesforce: Salesforce, operation: str, *changes: Change, kind: str = "Contact") -> dict[int, Outcome]:
    outcomes = list(salesforce.write(batch(operation, changes, kind)))
    assert sorted(outcome.seq for outcome in outcomes) == sorted(change.seq for change in changes)
    return {outcome.seq: outcome for outcome in outcomes}


def submit(salesforce: Salesforce, sent: Batch) -> str:
    jobs: list[str] = []
    salesforce.submit(sent, jobs.append)
    (job,) = jobs
    return job


def poll(salesforce: Salesforce, sent: Batch, job: str) -> dict[int, Outcome]:
    answer = salesforce.poll(sent, job)
    assert not isinstance(answer, Pending)
    outcomes = list(answer)
    assert sorted(outcome.seq for outcome in outcomes) == sorted(change.seq for change in sent.changes)
    return {outcome.seq: outcome for outcome in outcomes}


def through_job(salesforce: Salesforce, operation: str, *changes: Change, kind: str = "Contact") -> dict[int, Outcome]:
    sent = batch(operation, changes, kind)
    return poll(salesforce, sent, submit(salesforce, sent))


def person(seq: int, ref: str | None = None, **fields: Any) -> Change:
    """A contact with what a contact must have."""
    return Change(seq, (seq,), {"Ref__c": ref or f"c{seq}"}, {"LastName": "Lovelace", **fields})
