"""Salesforce's rules for Bulk API 2.0 ingest jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.sandbox import Sandbox

from .conftest import Clock
from .salesforce_client import FIELDS, OBJECTS, Client, error


@pytest.fixture
def sandbox(tmp_path: Path, clock: Clock) -> Iterator[Sandbox]:
    path = tmp_path / "salesforce.yml"
    path.write_text(json.dumps({"objects": OBJECTS, "fields": FIELDS}))
    with Sandbox(tmp_path / "state", ["salesforce"], now=clock, setup={"salesforce": path}) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    client = Client(sandbox)
    yield client
    client.session.close()


def test_the_life_of_a_job(client: Client, sandbox: Sandbox, clock: Clock) -> None:
    sandbox.configure("salesforce", job_seconds=10.0)
    made = client.call("POST", "/jobs/ingest", {"operation": "insert", "object": "Contact"}).json()
    assert (made["state"], made["contentType"], made["lineEnding"], made["columnDelimiter"]) == (
        "Open",
        "CSV",
        "LF",
        "COMMA",
    )
    assert made["contentUrl"] == f"services/data/v67.0/jobs/ingest/{made['id']}/batches"
    path = f"/jobs/ingest/{made['id']}"
    headers = {"Content-Type": "text/csv"}
    assert client.call("PUT", f"{path}/batches", data=b"LastName\nL\n", headers=headers).status_code == 201
    assert error(client.call("PUT", f"{path}/batches", data=b"LastName\nL\n", headers=headers))[1] == "INVALIDJOBSTATE"
    assert client.call("PATCH", path, {"state": "UploadComplete"}).json()["state"] == "InProgress"
    assert error(client.call("GET", f"{path}/successfulResults"))[1] == "INVALIDJOBSTATE"
    assert error(client.call("DELETE", path))[1] == "INVALIDJOBSTATE"
    clock.now += 11
    info = client.call("GET", path).json()
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("JobComplete", 1, 0)
    assert [job["id"] for job in client.call("GET", "/jobs/ingest").json()["records"]] == [made["id"]]
    assert client.call("DELETE", path).status_code == 204
    assert client.call("GET", path).status_code == 404


def test_results(client: Client) -> None:
    job = client.job("insert", "LastName,Email,Ref__c\nA,a@x.test,1\n,b@x.test,2\nC,c,3\nD,d@x.test,1\n")
    good, bad = client.results(job, "successfulResults"), client.results(job, "failedResults")
    assert good[0] == "sf__Id,sf__Created,LastName,Email,Ref__c"
    assert [line.partition(",")[2] for line in good[1:]] == ["true,A,a@x.test,1"]
    assert bad[0] == "sf__Id,sf__Error,LastName,Email,Ref__c"
    assert sorted(line.split(",")[1].partition(":")[0] for line in bad[1:]) == [
        "DUPLICATE_VALUE",
        "INVALID_EMAIL_ADDRESS",
        "REQUIRED_FIELD_MISSING",
    ]
    assert any(
        line.endswith("REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --,,b@x.test,2")
        for line in bad
    )
    assert client.results(job, "unprocessedrecords") == ["LastName,Email,Ref__c"]


def test_results_come_in_another_order(client: Client, sandbox: Sandbox) -> None:
    rows = "".join(f"L,{n}\n" for n in range(50))
    first = client.results(
        client.job("upsert", f"LastName,Ref__c\n{rows}", externalIdFieldName="Ref__c"), "successfulResults"
    )
    assert [line.split(",")[3] for line in first[1:]] != [str(n) for n in range(50)]
    sandbox.configure("salesforce", shuffle=False)
    again = client.results(
        client.job("upsert", f"LastName,Ref__c\n{rows}", externalIdFieldName="Ref__c"), "successfulResults"
    )
    assert [line.split(",")[1:] for line in again[1:]] == [["false", "L", str(n)] for n in range(50)]


def test_an_empty_cell_leaves_alone_and_na_clears(client: Client) -> None:
    made = client.create(LastName="L", Title="Dr.", FirstName="Ada", Score__c=1, DoNotCall=True)
    client.job("update", f"Id,Title,FirstName,Score__c,DoNotCall\n{made},,#N/A,2.5,false\n")
    shown = client.get(made)
    assert (shown["Title"], shown["FirstName"], shown["Score__c"], shown["DoNotCall"]) == ("Dr.", None, 2.5, False)


def test_rows_with_bad_values_fail_alone(client: Client) -> None:
    job = client.job(
        "insert", "LastName,Score__c,Seen__c,DoNotCall\nA,many,,\nB,,today,\nC,,,#N/A\nD,1,2024-02-29T01:02:03Z,true\n"
    )
    assert len(client.results(job, "successfulResults")) == 2
    assert {line.split(",")[1].partition(":")[0] for line in client.results(job, "failedResults")[1:]} == {
        "INVALID_TYPE_ON_FIELD_IN_RECORD"
    }


def test_parents_in_the_header(client: Client) -> None:
    account = client.create("Account", Name="Acme", Ref__c="acme")
    job = client.job(
        "upsert", "Ref__c,LastName,Account.Ref__c\n1,L,acme\n2,L,none\n3,L,\n", externalIdFieldName="Ref__c"
    )
    assert len(client.results(job, "successfulResults")) == 3
    (failed,) = client.results(job, "failedResults")[1:]
    assert "INVALID_FIELD:Foreign key external ID: none not found for field Ref__c in entity Account" in failed
    contact = client.query("SELECT Id, AccountId FROM Contact WHERE Ref__c = '1'")["records"][0]
    assert contact["AccountId"] == account
    job = client.job("insert", "Subject,Contact:Who.Ref__c\nCall,1\n", "Task")
    assert len(client.results(job, "successfulResults")) == 2


@pytest.mark.parametrize(
    ("operation", "data", "reason"),
    [
        ("insert", "LastName,Nothing__c\nL,1\n", "Field name not found : Nothing__c"),
        ("insert", "LastName,Boss.Ref__c\nL,1\n", "Field name not found : Boss.Ref__c"),
        ("insert", "LastName,Account:Account.Ref__c\nL,1\n", "Field name not found : Account:Account.Ref__c"),
        ("insert", "LastName,lastname\nL,1\n", "Field name duplicated"),
        ("update", "LastName\nL\n", "must contain Id"),
        ("delete", "Id,LastName\n1,L\n", "must contain only ids"),
    ],
)
def test_jobs_that_fail(client: Client, operation: str, data: str, reason: str) -> None:
    job = client.job(operation, data)
    info = client.call("GET", f"/jobs/ingest/{job}").json()
    assert (info["state"], info["numberRecordsProcessed"]) == ("Failed", 0)
    assert info["errorMessage"].startswith("InvalidBatch : ")
    assert reason in info["errorMessage"]
    assert client.results(job, "unprocessedrecords") == data.splitlines()
    assert len(client.results(job, "successfulResults")) == 1


def test_polymorphic_parents_must_say_their_object(client: Client) -> None:
    job = client.job("insert", "Subject,Who.Ref__c\nCall,1\n", "Task")
    assert client.call("GET", f"/jobs/ingest/{job}").json()["state"] == "Failed"


@pytest.mark.parametrize("operation", ["delete", "hardDelete"])
def test_removing(client: Client, operation: str) -> None:
    ids = [client.create(LastName=name) for name in "ab"]
    job = client.job(operation, f"Id\n{ids[0]}\n{ids[0]}\n003000000000001\n")
    assert len(client.results(job, "successfulResults")) == 2
    assert sorted(line.split(",")[1].partition(":")[0] for line in client.results(job, "failedResults")[1:]) == [
        "ENTITY_IS_DELETED",
        "INVALID_CROSS_REFERENCE_KEY",
    ]
    kept = client.query("SELECT Id FROM Contact", "/queryAll")["totalSize"]
    assert kept == (2 if operation == "delete" else 1)


def test_batches_beyond_the_daily_allocation_leave_no_trace(client: Client, sandbox: Sandbox, clock: Clock) -> None:
    sandbox.configure("salesforce", daily_batches=1)
    client.job("insert", "LastName\nA\n")
    job = client.job("insert", "LastName\nB\n")
    for kind in ("successfulResults", "failedResults", "unprocessedrecords"):
        assert len(client.results(job, kind)) == 1
    clock.now += 86_400
    client.login()
    assert len(client.results(client.job("insert", "LastName\nC\n"), "successfulResults")) == 2


def test_aborted_jobs(client: Client) -> None:
    job = client.call("POST", "/jobs/ingest", {"operation": "insert", "object": "Contact"}).json()["id"]
    client.call("PUT", f"/jobs/ingest/{job}/batches", data=b"LastName\nL\n", headers={"Content-Type": "text/csv"})
    assert client.call("PATCH", f"/jobs/ingest/{job}", {"state": "Aborted"}).json()["state"] == "Aborted"
    assert client.results(job, "unprocessedrecords") == ["LastName", "L"]
    assert error(client.call("PATCH", f"/jobs/ingest/{job}", {"state": "UploadComplete"}))[1] == "INVALIDJOBSTATE"
    assert error(client.call("PATCH", f"/jobs/ingest/{job}", {"state": "Nonsense"}))[1] == "INVALIDJOBSTATE"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"operation": "merge", "object": "Contact"}, (400, "INVALIDJOB")),
        ({"operation": "insert", "object": "Nothing__c"}, (400, "INVALIDENTITY")),
        ({"operation": "upsert", "object": "Contact"}, (400, "INVALIDJOB")),
        ({"operation": "upsert", "object": "Contact", "externalIdFieldName": "Title"}, (404, "NOT_FOUND")),
        ({"operation": "insert", "object": "Contact", "lineEnding": "CR"}, (400, "INVALIDJOB")),
    ],
)
def test_jobs_that_cannot_be_made(client: Client, body: dict[str, Any], expected: tuple[int, str]) -> None:
    assert error(client.call("POST", "/jobs/ingest", body)) == expected


def test_erasing_takes_a_permission(client: Client, sandbox: Sandbox) -> None:
    sandbox.configure("salesforce", may_erase=False)
    body = {"operation": "hardDelete", "object": "Contact"}
    assert error(client.call("POST", "/jobs/ingest", body)) == (400, "FEATURENOTENABLED")


def test_other_delimiters(client: Client) -> None:
    job = client.job("insert", "LastName|Title\r\nL|a,b\r\n", columnDelimiter="PIPE", lineEnding="CRLF")
    assert client.results(job, "successfulResults")[1].endswith("|true|L|a,b")


def test_only_csv_is_taken(client: Client) -> None:
    job = client.call("POST", "/jobs/ingest", {"operation": "insert", "object": "Contact"}).json()["id"]
    assert client.call("PUT", f"/jobs/ingest/{job}/batches", {"LastName": "L"}).status_code == 415


def test_faults_fail_rows_or_jobs(client: Client, sandbox: Sandbox) -> None:
    rule = {"kind": "poison", "field": "LastName", "equals": "P"}
    sandbox.set_faults([rule])
    job = client.job("insert", "LastName\nP\nL\n")
    assert len(client.results(job, "successfulResults")) == len(client.results(job, "failedResults")) == 2
    sandbox.set_faults([{**rule, "whole_batch": True}])
    job = client.job("insert", "LastName\nP\nM\n")
    assert client.call("GET", f"/jobs/ingest/{job}").json()["state"] == "Failed"
    assert client.query("SELECT COUNT() FROM Contact")["totalSize"] == 1
