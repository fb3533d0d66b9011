"""simple-salesforce drives the sandbox: a client that we did not write must be content with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from requests.adapters import HTTPAdapter

from revetl_dbt.sandbox import Sandbox

from .salesforce_client import FIELDS, OBJECTS

simple_salesforce = pytest.importorskip("simple_salesforce", reason="simple-salesforce is not installed")
from simple_salesforce.exceptions import SalesforceOperationError  # noqa: E402


class Loopback(HTTPAdapter):
    """The client speaks HTTPS to Salesforce's hosts only: its requests are led to the sandbox."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        parts = urlsplit(str(request.url))
        path = request.path_url
        if parts.netloc.endswith(".salesforce.com"):
            request.url = self._url + path
        else:
            request.url = f"http://{parts.netloc}{path}"
        return super().send(request, *args, **kwargs)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    path = tmp_path / "salesforce.yml"
    path.write_text(json.dumps({"objects": OBJECTS, "fields": FIELDS}))
    with Sandbox(tmp_path / "state", ["salesforce"], setup={"salesforce": path}) as sandbox:
        yield sandbox


@pytest.fixture
def session(sandbox: Sandbox) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.mount("https://", Loopback(sandbox.url("salesforce")))
        yield session


def login(sandbox: Sandbox, session: requests.Session, **given: Any) -> Any:
    credentials = {
        "consumer_key": "revetl",
        "consumer_secret": sandbox.token("salesforce"),
        "domain": "acme.my",
        **given,
    }
    return simple_salesforce.Salesforce(version="67.0", session=session, **credentials)


@pytest.fixture
def client(sandbox: Sandbox, session: requests.Session) -> Any:
    return login(sandbox, session)


def test_login_with_a_jwt(sandbox: Sandbox, session: requests.Session) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    sandbox.configure("salesforce", public_key=public.decode())
    given = {"username": "integration@revetl.example", "privatekey": private.decode(), "domain": "login"}
    client = login(sandbox, session, consumer_secret=None, **given)
    assert client.query("SELECT Id FROM Organization")["records"][0]["Id"] == sandbox.account("salesforce")


def test_a_wrong_secret(sandbox: Sandbox, session: requests.Session) -> None:
    with pytest.raises(simple_salesforce.SalesforceAuthenticationFailed, match="invalid client credentials"):
        login(sandbox, session, consumer_secret="wrong")


def test_a_session_of_another_client(sandbox: Sandbox, session: requests.Session, client: Any) -> None:
    other = simple_salesforce.Salesforce(
        session_id=client.session_id, instance=client.sf_instance, version="67.0", session=session
    )
    assert other.limits()["DailyApiRequests"]["Max"] == 15_000
    stranger = simple_salesforce.Salesforce(
        session_id="stolen", instance=client.sf_instance, version="67.0", session=session
    )
    with pytest.raises(simple_salesforce.SalesforceExpiredSession):
        stranger.limits()


def test_one_record(client: Any) -> None:
    made = client.Contact.create({"LastName": "Lovelace", "Email": "ada@x.test"})
    assert made["success"] is True
    assert client.Contact.get(made["id"])["Email"] == "ada@x.test"
    assert client.Contact.update(made["id"], {"FirstName": "Ada"}) == 204
    assert client.Contact.delete(made["id"]) == 204
    with pytest.raises(simple_salesforce.SalesforceResourceNotFound):
        client.Contact.get(made["id"])


def test_upsert_by_external_id(client: Any) -> None:
    assert client.Contact.upsert("Ref__c/c1", {"LastName": "L"}) == 201
    assert client.Contact.upsert("Ref__c/c1", {"LastName": "M"}) == 200
    assert client.Contact.get_by_custom_id("Ref__c", "c1")["LastName"] == "M"
    for name in "ab":
        client.Account.create({"Name": name, "Segment__c": "smb"})
    with pytest.raises(simple_salesforce.SalesforceMoreThanOneRecord):
        client.Account.upsert("Segment__c/smb", {"Name": "c"})


def test_refusals(client: Any) -> None:
    with pytest.raises(simple_salesforce.SalesforceMalformedRequest) as caught:
        client.Contact.create({"LastName": "L", "Email": "nobody"})
    assert caught.value.content[0]["errorCode"] == "INVALID_EMAIL_ADDRESS"
    assert caught.value.content[0]["fields"] == ["Email"]


def test_describe(client: Any) -> None:
    fields = {field["name"]: field for field in client.Contact.describe()["fields"]}
    assert fields["AccountId"]["referenceTo"] == ["Account"]
    assert {"Contact", "Visit__c"} <= {item["name"] for item in client.describe()["sobjects"]}
    assert client.Visit__c.metadata()["objectDescribe"]["custom"] is True


def test_collections(client: Any) -> None:
    records = [{"attributes": {"type": "Contact"}, "LastName": "L", "Ref__c": str(n)} for n in range(3)]
    body = {"allOrNone": False, "records": [*records, {"attributes": {"type": "Contact"}, "Ref__c": "9"}]}
    results = client.restful("composite/sobjects/Contact/Ref__c", method="PATCH", data=json.dumps(body))
    assert [result["success"] for result in results] == [True, True, True, False]


def test_queries_of_many_pages(client: Any) -> None:
    rows = [{"LastName": "L", "Ref__c": str(n)} for n in range(2100)]
    (done,) = client.bulk2.Contact.insert(records=rows, wait=0.01)
    assert (done["numberRecordsProcessed"], done["numberRecordsFailed"]) == (2100, 0)
    first = client.query("SELECT Ref__c FROM Contact")
    assert (first["totalSize"], len(first["records"]), first["done"]) == (2100, 2000, False)
    found = client.query_all("SELECT Ref__c FROM Contact")["records"]
    assert {row["Ref__c"] for row in found} == {str(n) for n in range(2100)}


def test_jobs(client: Any) -> None:
    handler = client.bulk2.Contact
    rows = [{"Ref__c": "1", "LastName": 'A, "b"'}, {"Ref__c": "2", "LastName": ""}]
    (done,) = handler.upsert(records=rows, external_id_field="Ref__c", wait=0.01)
    assert (done["numberRecordsProcessed"], done["numberRecordsFailed"]) == (2, 1)
    good, bad = handler.get_successful_records(done["job_id"]), handler.get_failed_records(done["job_id"])
    assert "true" in good
    assert "REQUIRED_FIELD_MISSING" in bad
    assert len(handler.get_unprocessed_records(done["job_id"]).splitlines()) == 1  # the header
    (record,) = client.query("SELECT Id, LastName FROM Contact")["records"]
    assert record["LastName"] == 'A, "b"'
    handler.update(records=[{"Id": record["Id"], "LastName": "Z"}], wait=0.01)
    assert client.Contact.get(record["Id"])["LastName"] == "Z"
    (done,) = handler.delete(records=[{"Id": record["Id"]}], wait=0.01)
    assert (done["numberRecordsProcessed"], done["numberRecordsFailed"]) == (1, 0)
    assert client.query("SELECT COUNT() FROM Contact")["totalSize"] == 0


def test_a_job_that_fails(client: Any) -> None:
    with pytest.raises(SalesforceOperationError, match="Field name not found : Nothing__c"):
        client.bulk2.Contact.insert(records=[{"LastName": "L", "Nothing__c": "x"}], wait=0.01)
