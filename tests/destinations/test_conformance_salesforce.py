"""The conformance kit on Salesforce, against the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.destinations.base import (
    Batch,
    Change,
    ColumnType,
    Destination,
    Outcome,
    Pending,
    RetryableError,
    Status,
    UnknownOutcomeError,
)
from revetl_dbt.destinations.conformance import POISON, Conformance, OpenGate, Subject, Trouble
from revetl_dbt.destinations.salesforce import Salesforce, SalesforceConfig
from revetl_dbt.sandbox import Sandbox

from .salesforce_org import batch
from .stand import VALUES, Stand

TYPES = {
    ColumnType.TEXT: "string",
    ColumnType.DATE: "date",
    ColumnType.TIMESTAMP: "datetime",
    ColumnType.TIMESTAMPTZ: "datetime",
    ColumnType.NESTED: "multipicklist",
}
NUMBERS = {"seats": (ColumnType.INTEGER, 123_456_789)}  # 18 digits are all there are in a number


class SalesforceStand(Stand):
    """Salesforce promises the order of a collection's results, and of no job's."""

    FAULTS: Mapping[Trouble, Mapping[str, Any]] = {
        **Stand.FAULTS,
        Trouble.SHUFFLED: {"kind": "results", "how": "shuffle", "path": "*/jobs/ingest/*"},
    }


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "state", ["salesforce"]) as running:
        yield running


class TestSalesforce(Conformance):
    @pytest.fixture(params=["Case", "Subscription__c"])
    def subject(self, sandbox: Sandbox, tmp_path: Path, request: pytest.FixtureRequest) -> Subject:
        return salesforce_subject(sandbox, tmp_path, request.param, bulk_above=2000)


class TestSalesforceJobs(TestSalesforce):
    """Everything through Bulk API 2.0."""

    # Salesforce does not work on a job before it is closed: what goes wrong earlier may be sent again, a create too.

    def test_broken_connections_are_unknown(self, subject: Subject) -> None:
        for trouble in (Trouble.RESET_BEFORE, Trouble.RESET_AFTER):
            self._fails(subject, trouble, UnknownOutcomeError, RetryableError)

    def test_a_success_that_says_nothing_is_none(self, subject: Subject) -> None:
        for trouble in (Trouble.EMPTY, Trouble.NOT_JSON):
            self._fails(subject, trouble, UnknownOutcomeError, RetryableError)

    def test_a_poisoned_batch_is_to_be_bisected(self, subject: Subject) -> None:
        """The job fails, and the engine sends its records again in smaller jobs."""
        destination = subject.connect(OpenGate())
        fields = {"name__c": POISON}
        sent = batch(
            "upsert", [Change(n, (n,), {"Ref__c": f"c{n}"}, fields if n == 0 else {}) for n in range(3)], "Case"
        )
        subject.server.provoke(Trouble.POISON_BATCH)
        outcomes = poll_salesforce(destination, sent)
        destination.close()
        assert {outcome.status for outcome in outcomes} == {Status.RETRY}
        assert all(outcome.message for outcome in outcomes)

    @pytest.fixture
    def subject(self, sandbox: Sandbox, tmp_path: Path) -> Subject:
        return salesforce_subject(sandbox, tmp_path, "Case", bulk_above=0)


def poll_salesforce(destination: Destination, sent: Batch) -> list[Outcome]:
    """The outcomes of a batch that goes through a job."""
    jobs: list[str] = []
    destination.submit(sent, jobs.append)
    answer = destination.poll(sent, jobs[0])
    assert not isinstance(answer, Pending)
    return list(answer)


def salesforce_subject(sandbox: Sandbox, tmp_path: Path, kind: str, bulk_above: int) -> Subject:
    # A checkbox is never empty: what null does there is tested with the connector.
    values = {f"{name}__c": value for name, value in {**VALUES, **NUMBERS}.items() if name != "vip"}
    sandbox.load_setup("salesforce", setup(tmp_path, kind))
    stand = SalesforceStand(sandbox, "salesforce", kind, "Ref__c", "name__c")
    config = stand.settings(SalesforceConfig(type="salesforce", sandbox=True, bulk_above=bulk_above))
    return Subject(
        connect=lambda gate: Salesforce(config, gate),
        server=stand,
        object=kind,
        match="Ref__c",
        values=values,
        text="name__c",
        secret=sandbox.token("salesforce"),
    )


def setup(tmp_path: Path, kind: str) -> Path:
    fields: list[dict[str, Any]] = [{"name": "Ref__c", "type": "string", "externalId": True, "unique": True}]
    for name, (column, _) in VALUES.items():
        field: dict[str, Any] = {"name": f"{name}__c", "type": TYPES.get(column, "double"), "label": name}
        if column is ColumnType.NESTED:
            field["options"] = list("abc")
        fields.append(field)
    objects = [{"name": kind, "label": "Subscription", "autoNumber": True}] if kind.endswith("__c") else []
    path = tmp_path / "salesforce.yml"
    path.write_text(json.dumps({"objects": objects, "fields": {kind: fields}}))
    return path
