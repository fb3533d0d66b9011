"""The Salesforce connector's bulk jobs against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.destinations import salesforce as module
from revetl_dbt.destinations.base import (
    BatchRejectedError,
    Change,
    FatalError,
    Operation,
    Pending,
    Reference,
    RetryableError,
    Status,
    UnauthorizedError,
    UnknownOutcomeError,
)
from revetl_dbt.destinations.salesforce import Salesforce

from .salesforce_org import Org, batch, person, poll, running, submit, through_job, write


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Org]:
    with running(tmp_path) as org:
        yield org


@pytest.fixture
def salesforce(org: Org) -> Salesforce:
    return org.connect()


def uploaded(org: Org, job: str) -> str:
    """The file of a job."""
    kept = org.sandbox.store.answer("salesforce", f"{job.partition(' ')[2]}:data")
    assert kept is not None
    return kept[2].decode()


class TestLife:
    def test_when_jobs_are_used(self, org: Org) -> None:
        kind = org.connect(bulk_above=10, bulk_records=50).object_type("Contact")
        assert kind is not None
        assert {operation: bulk.threshold for operation, bulk in kind.bulk.items()} == {
            Operation.UPSERT: 11,
            Operation.UPDATE: 11,
            Operation.CREATE: 11,
            Operation.APPEND: 11,
            Operation.DELETE: 11,
            Operation.ERASE: 0,
        }
        assert {bulk.limits.records for bulk in kind.bulk.values()} == {50}

    def test_the_requests(self, org: Org, salesforce: Salesforce) -> None:
        sent = batch("upsert", [person(1), person(2)])
        job = submit(salesforce, sent)
        name = job.removeprefix("upsert ")
        poll(salesforce, sent, job)
        assert org.asked() == [
            "POST /jobs/ingest",
            f"PUT /jobs/ingest/{name}/batches",
            f"PATCH /jobs/ingest/{name}",
            f"GET /jobs/ingest/{name}",
            f"GET /jobs/ingest/{name}/successfulResults",
            f"GET /jobs/ingest/{name}/failedResults",
            f"GET /jobs/ingest/{name}/unprocessedrecords",
        ]

    def test_it_takes_its_time(self, org: Org, salesforce: Salesforce) -> None:
        org.sandbox.configure("salesforce", job_seconds=60.0)
        sent = batch("upsert", [person(1)])
        job = submit(salesforce, sent)
        waiting = salesforce.poll(sent, job)
        assert isinstance(waiting, Pending)
        assert waiting.seconds == module.POLL_SECONDS
        org.clock.now += 61
        assert poll(salesforce, sent, job)[1].status is Status.CREATED

    def test_the_job_is_known_before_salesforce_begins(self, org: Org, salesforce: Salesforce) -> None:
        seen: list[list[str]] = []
        salesforce.submit(batch("upsert", [person(1)]), lambda _: seen.append(org.asked()))
        assert seen == [["POST /jobs/ingest"]]

    @pytest.mark.parametrize("rule", [{"kind": "reset"}, {"kind": "status", "status": 500}, {"kind": "garbage"}])
    def test_a_create_that_never_began_may_be_sent_again(self, org: Org, salesforce: Salesforce, rule: Any) -> None:
        salesforce.check()
        org.sandbox.set_faults([{**rule, "path": "*/jobs/ingest"}])
        with pytest.raises(RetryableError):
            submit(salesforce, batch("create", [person(1)]))
        org.sandbox.set_faults([{**rule, "path": "*/jobs/ingest", "nth": 1}, {**rule, "path": "*/batches"}])
        with pytest.raises(UnknownOutcomeError):
            submit(salesforce, batch("upsert", [person(1)]))
        assert org.records("Contact") == []

    def test_a_job_that_was_not_closed_is_ended(self, org: Org, salesforce: Salesforce) -> None:
        salesforce.check()
        org.sandbox.set_faults([{"kind": "reset", "method": "PATCH", "times": 1}])
        sent = batch("create", [person(1)])
        jobs: list[str] = []
        with pytest.raises(UnknownOutcomeError):
            salesforce.submit(sent, jobs.append)
        assert poll(org.connect(), sent, jobs[0])[1].status is Status.RETRY
        name = jobs[0].removeprefix("insert ")
        assert org.sandbox.store.definitions("salesforce", "job")[name]["state"] == "Aborted"
        assert poll(org.connect(), sent, jobs[0])[1].status is Status.RETRY

    def test_a_job_that_salesforce_deleted(self, salesforce: Salesforce) -> None:
        sent = batch("create", [person(1)])
        outcome = poll(salesforce, sent, "insert 750000000000001AAA")[1]
        assert (outcome.status, outcome.code) == (Status.UNKNOWN, "unlisted")

    def test_another_process_takes_it_up(self, org: Org) -> None:
        sent = batch("upsert", [person(1), person(2, FirstName="B")])
        job = submit(org.connect(), sent)
        first, again = poll(org.connect(), sent, job), poll(org.connect(), sent, job)
        assert first == again
        assert {outcome.status for outcome in first.values()} == {Status.CREATED}

    def test_a_session_that_ends_while_it_waits(self, org: Org, salesforce: Salesforce) -> None:
        sent = batch("upsert", [person(1)])
        job = submit(salesforce, sent)
        org.clock.now += 8000
        with pytest.raises(UnauthorizedError):
            salesforce.poll(sent, job)
        salesforce.renew()
        assert poll(salesforce, sent, job)[1].status is Status.CREATED

    def test_results_that_are_none(self, org: Org, salesforce: Salesforce) -> None:
        sent = batch("upsert", [person(1)])
        job = submit(salesforce, sent)
        org.sandbox.set_faults([{"kind": "garbage", "path": "*/failedResults"}])
        with pytest.raises(UnknownOutcomeError, match="not CSV"):
            salesforce.poll(sent, job)
        org.sandbox.set_faults([{"kind": "garbage", "path": "*/ingest/*"}])
        with pytest.raises(UnknownOutcomeError):
            salesforce.poll(sent, job)

    def test_an_unreadable_answer_to_what_needs_no_job(self, org: Org, salesforce: Salesforce) -> None:
        sent = batch("delete", [person(1)])
        job = submit(salesforce, sent)
        assert job == "none"
        assert poll(salesforce, sent, job)[1].status is Status.MISSING
        assert [path for path in org.asked() if "ingest" in path] == []

    def test_more_bytes_than_a_job_takes(self, salesforce: Salesforce, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "JOB_BYTES", 30)
        with pytest.raises(BatchRejectedError, match="30 bytes"):
            submit(salesforce, batch("upsert", [person(1), person(2)]))

    def test_what_cannot_be_a_job_is_fatal(self, org: Org, salesforce: Salesforce) -> None:
        with pytest.raises(FatalError, match="not supported by the Bulk API"):
            submit(salesforce, batch("upsert", [person(1)], "Nothing__c"))
        org.sandbox.configure("salesforce", may_erase=False)
        write(salesforce, "upsert", person(1))
        with pytest.raises(FatalError, match="special user profile permission"):
            submit(salesforce, batch("erase", [person(1)]))


class TestOutcomes:
    def test_results_find_their_record_in_any_order(self, org: Org, salesforce: Salesforce) -> None:
        changes = [person(n, FirstName=f"F{n}", Email="broken" if n % 7 == 0 else f"p{n}@x.test") for n in range(50)]
        outcomes = through_job(salesforce, "upsert", *changes)
        ids = {record["Ref__c"]: record["Id"] for record in org.records("Contact")}
        for n, outcome in outcomes.items():
            if n % 7 == 0:
                assert (outcome.status, outcome.code) == (Status.REJECTED, "INVALID_EMAIL_ADDRESS")
                assert outcome.message == "Email: invalid email address: broken"
            else:
                assert (outcome.status, outcome.id) == (Status.CREATED, ids[f"c{n}"])

    def test_known_records_are_a_job_of_their_own(self, org: Org, salesforce: Salesforce) -> None:
        known = write(salesforce, "upsert", person(1), person(2))
        write(salesforce, "delete", person(2)._replace(id=known[2].id))
        changes = [person(1, ref="renamed")._replace(id=known[1].id), person(2)._replace(id=known[2].id), person(3)]
        sent = batch("upsert", changes)
        job = submit(salesforce, sent)
        assert [part.partition(" ")[0] for part in job.split(";")] == ["update", "upsert"]
        outcomes = poll(org.connect(), sent, job)
        assert (outcomes[1].status, outcomes[1].id) == (Status.UPDATED, known[1].id)
        assert (outcomes[2].status, outcomes[3].status) == (Status.MISSING, Status.CREATED)
        assert {record["Ref__c"] for record in org.records("Contact")} == {"renamed", "c3"}

    def test_locked_rows(self, org: Org, salesforce: Salesforce) -> None:
        text = "UNABLE_TO_LOCK_ROW: unable to obtain exclusive access to this record or 1 records: 001"
        org.sandbox.set_faults([{"kind": "poison", "field": "LastName", "equals": "Locked", "message": text}])
        outcomes = through_job(salesforce, "upsert", person(1, LastName="Locked"), person(2))
        assert (outcomes[1].status, outcomes[2].status) == (Status.RETRY, Status.CREATED)

    def test_rows_beyond_the_daily_allocation_are_in_doubt(self, org: Org, salesforce: Salesforce) -> None:
        org.sandbox.configure("salesforce", daily_batches=0)
        outcomes = through_job(salesforce, "create", person(1), person(2))
        assert {(outcome.status, outcome.code) for outcome in outcomes.values()} == {(Status.UNKNOWN, "unlisted")}

    def test_a_job_that_fails(self, org: Org, salesforce: Salesforce) -> None:
        outcomes = through_job(salesforce, "upsert", person(1, Nothing__c="x"), person(2))
        assert {outcome.status for outcome in outcomes.values()} == {Status.REJECTED}
        assert outcomes[1].message == "InvalidBatch : Field name not found : Nothing__c"
        assert outcomes[1].code == "unprocessed"

    def test_a_failed_job_is_tried_in_smaller_ones(self, org: Org, salesforce: Salesforce) -> None:
        org.sandbox.set_faults([{"kind": "poison", "field": "LastName", "equals": "P", "whole_batch": True}])
        outcomes = through_job(salesforce, "create", person(1, LastName="P"), person(2))
        assert {outcome.status for outcome in outcomes.values()} == {Status.RETRY}
        assert "InvalidBatch" in str(outcomes[2].message)

    def test_a_job_that_somebody_aborted(self, org: Org, salesforce: Salesforce) -> None:
        salesforce.check()
        org.sandbox.set_faults([{"kind": "reset", "method": "PATCH", "times": 1}])
        sent = batch("create", [person(1)])
        jobs: list[str] = []
        with pytest.raises(UnknownOutcomeError):
            salesforce.submit(sent, jobs.append)
        salesforce._set_state(jobs[0].removeprefix("insert "), "Aborted")
        outcome = poll(salesforce, sent, jobs[0])[1]
        assert (outcome.status, outcome.message) == (Status.RETRY, "the job ended as `Aborted`")

    def test_equal_events_are_told_apart_by_nothing_and_need_not_be(self, org: Org, salesforce: Salesforce) -> None:
        tasks = [Change(n, (n,), {}, {"Subject": "Call" if n < 3 else "Mail"}) for n in range(4)]
        outcomes = through_job(salesforce, "append", *tasks, kind="Task")
        assert {outcome.status for outcome in outcomes.values()} == {Status.CREATED}
        assert len({outcome.id for outcome in outcomes.values()}) == 4
        mail = next(record["Id"] for record in org.records("Task") if record["Subject"] == "Mail")
        assert outcomes[3].id == mail


class TestFile:
    def test_what_is_uploaded(self, org: Org, salesforce: Salesforce) -> None:
        changes = [
            person(1, FirstName='A "x", y', Score__c=Decimal("1.50"), Vip__c=True),
            person(2, ref="c,2", FirstName=None, Title="line\nbreak"),
            person(3, Score__c=1e-7, Title=""),
        ]
        sent = batch("upsert", changes)
        job = submit(salesforce, sent)
        assert uploaded(org, job) == (
            "Ref__c,LastName,FirstName,Score__c,Vip__c,Title\n"
            'c1,Lovelace,"A ""x"", y",1.50,true,\n'
            '"c,2",Lovelace,#N/A,,,"line\nbreak"\n'
            "c3,Lovelace,,0.0000001,,#N/A\n"
        )
        assert {outcome.status for outcome in poll(salesforce, sent, job).values()} == {Status.CREATED}
        assert org.one("Contact", "c1")["FirstName"] == 'A "x", y'
        assert org.one("Contact", "c,2")["Title"] == "line\nbreak"

    def test_null_clears_and_what_is_not_given_stays(self, org: Org, salesforce: Salesforce) -> None:
        through_job(salesforce, "upsert", person(1, FirstName="Ada", Title="Countess"), person(2, FirstName="Bob"))
        changes = [person(1, FirstName=None), person(2, Title="Dr.")]
        assert {o.status for o in through_job(salesforce, "upsert", *changes).values()} == {Status.UPDATED}
        ada, bob = org.one("Contact", "c1"), org.one("Contact", "c2")
        assert ("FirstName" in ada, ada["Title"]) == (False, "Countess")
        assert (bob["FirstName"], bob["Title"]) == ("Bob", "Dr.")

    def test_what_cannot_be_said_in_csv(self, org: Org, salesforce: Salesforce) -> None:
        outcomes = through_job(salesforce, "upsert", person(1, FirstName="#N/A"), person(2, ref="#N/A"), person(3))
        assert [outcomes[n].status for n in (1, 2, 3)] == [Status.REJECTED, Status.REJECTED, Status.CREATED]
        assert "`#N/A`" in str(outcomes[1].message)
        assert len(org.records("Contact")) == 1

    def test_parents(self, org: Org, salesforce: Salesforce) -> None:
        accounts = [Change(n, (n,), {"Ref__c": f"a{n}"}, {"Name": f"A{n}"}) for n in (1, 2)]
        through_job(salesforce, "upsert", *accounts, kind="Account")
        reference = Reference("Account", "Ref__c", "a1")
        contacts = [
            person(1, AccountId=reference),
            person(2, AccountId=None),
            person(3, AccountId=reference._replace(value="none")),
        ]
        outcomes = through_job(salesforce, "upsert", *contacts)
        assert [outcomes[n].status for n in (1, 2, 3)] == [Status.CREATED, Status.CREATED, Status.REJECTED]
        assert "Foreign key external ID: none not found" in str(outcomes[3].message)
        assert org.one("Contact", "c1")["AccountId"] == org.one("Account", "a1")["Id"]
        through_job(
            salesforce, "upsert", person(1, AccountId=None), person(2, AccountId=reference._replace(value="a2"))
        )
        assert "AccountId" not in org.one("Contact", "c1")
        assert org.one("Contact", "c2")["AccountId"] == org.one("Account", "a2")["Id"]

    def test_parents_of_several_objects(self, org: Org, salesforce: Salesforce) -> None:
        write(salesforce, "upsert", person(1))
        who = Reference("Contact", "Ref__c", "c1")
        sent = batch("append", [Change(1, (1,), {"Ref__c": "t1"}, {"Subject": "Call", "WhoId": who})], "Task")
        job = submit(salesforce, sent)
        assert uploaded(org, job).splitlines()[0] == "Ref__c,Subject,Contact:Who.Ref__c"
        assert poll(salesforce, sent, job)[1].status is Status.CREATED
        assert org.one("Task", "t1")["WhoId"] == org.one("Contact", "c1")["Id"]

    def test_the_assignment_rule_of_a_job(self, org: Org) -> None:
        salesforce = org.connect(assignment_rule="01Q000000000001AAA")
        lead = Change(1, (1,), {"Ref__c": "l"}, {"LastName": "L", "Company": "Acme"})
        job = submit(salesforce, batch("upsert", [lead], "Lead"))
        kept = org.sandbox.store.definitions("salesforce", "job")[job.removeprefix("upsert ")]
        assert (kept["assignmentRuleId"], kept["externalIdFieldName"]) == ("01Q000000000001AAA", "Ref__c")


class TestUpdateAndRemove:
    def test_records_that_must_be_looked_up(self, org: Org, salesforce: Salesforce) -> None:
        write(salesforce, "upsert", person(1), person(2))
        outcomes = through_job(salesforce, "update", person(1, Title="Dr."), person(2, Email="broken"), person(3))
        assert [outcomes[n].status for n in (1, 2, 3)] == [Status.UPDATED, Status.REJECTED, Status.MISSING]
        assert org.one("Contact", "c1")["Title"] == "Dr."
        assert [path for path in org.asked() if path == "GET /query"] == ["GET /query"]

    def test_several_records_match(self, salesforce: Salesforce) -> None:
        accounts = [Change(n, (n,), {"Ref__c": f"a{n}"}, {"Name": "A", "Segment__c": "smb"}) for n in (1, 2)]
        write(salesforce, "upsert", *accounts, kind="Account")
        change = Change(3, (3,), {"Segment__c": "smb"}, {"Name": "B"})
        for operation in ("upsert", "update"):
            outcome = through_job(salesforce, operation, change, kind="Account")[3]
            assert outcome.status is Status.REJECTED
            assert "record" in str(outcome.message)

    @pytest.mark.parametrize("operation", ["delete", "erase"])
    @pytest.mark.parametrize("another", [False, True])
    def test_removing(self, org: Org, salesforce: Salesforce, operation: str, another: bool) -> None:
        known = write(salesforce, "upsert", person(1), person(2), person(3))
        sent = batch(operation, [person(1)._replace(id=known[1].id), person(2), person(9)])
        job = submit(salesforce, sent)
        outcomes = poll(org.connect() if another else salesforce, sent, job)
        assert outcomes[1].status is Status.DELETED
        # Another process cannot tell whether the job removed it: it is not there, which is what was asked for.
        assert outcomes[2].status is (Status.MISSING if another else Status.DELETED)
        assert outcomes[9].status is Status.MISSING
        assert [record["Ref__c"] for record in org.records("Contact")] == ["c3"]
        kept = [record for record in org.records("Contact", deleted=True) if record.get("Ref__c") in ("c1", "c2")]
        assert len(kept) == (2 if operation == "delete" else 0)

    def test_removing_twice(self, salesforce: Salesforce) -> None:
        known = write(salesforce, "upsert", person(1))[1].id
        gone = person(1)._replace(id=known)
        assert through_job(salesforce, "delete", gone)[1].status is Status.DELETED
        assert through_job(salesforce, "delete", gone)[1].status is Status.MISSING
