"""Plain HTTP to the stand-in for Salesforce."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests

from revetl_dbt.sandbox import Sandbox

REF = {"name": "Ref__c", "type": "string", "externalId": True, "unique": True}
FIELDS: Mapping[str, list[dict[str, Any]]] = {
    "Account": [REF, {"name": "Segment__c", "type": "string", "externalId": True}],
    "Contact": [
        REF,
        {"name": "Code__c", "type": "string", "externalId": True, "caseSensitive": True},
        {"name": "Plan__c", "type": "picklist", "options": ["free", "pro"]},
        {"name": "Tags__c", "type": "multipicklist", "options": ["a", "b"]},
        {"name": "Score__c", "type": "double"},
        {"name": "Seen__c", "type": "datetime"},
        {"name": "At__c", "type": "time"},
        {"name": "Mentor__c", "type": "reference", "referenceTo": "Contact"},
    ],
    "Task": [REF],
    "Visit__c": [{**REF, "required": True}],
}
OBJECTS = [{"name": "Visit__c", "label": "Visit", "autoNumber": True}]


class Client:
    """Requests with a token that is good."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.login()

    def login(self) -> None:
        self.session.headers["Authorization"] = f"Bearer {self.token().json()['access_token']}"

    def token(self, **given: Any) -> requests.Response:
        form = {
            "grant_type": "client_credentials",
            "client_id": "revetl",
            "client_secret": self.sandbox.token("salesforce"),
        }
        url = self.sandbox.url("salesforce") + "/services/oauth2/token"
        return requests.post(url, data={**form, **given}, timeout=10)

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        url = f"{self.sandbox.url('salesforce')}/services/data/v67.0{path}"
        return self.session.request(method, url, json=body, timeout=10, **more)

    def collect(self, method: str, path: str, *records: Mapping[str, Any], **more: Any) -> list[dict[str, Any]]:
        """Results of a collection."""
        body = {"records": [{"attributes": {"type": "Contact"}, **record} for record in records], **more}
        response = self.call(method, f"/composite/sobjects{path}", body)
        assert response.status_code == 200, response.text
        answer: list[dict[str, Any]] = response.json()
        assert len(answer) == len(records)
        return answer

    def upsert(self, *records: Mapping[str, Any], **more: Any) -> list[dict[str, Any]]:
        return self.collect("PATCH", "/Contact/Ref__c", *[{"LastName": "L", **record} for record in records], **more)

    def create(self, kind: str = "Contact", **values: Any) -> str:
        response = self.call("POST", f"/sobjects/{kind}", values)
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    def get(self, record: str, kind: str = "Contact") -> dict[str, Any]:
        response = self.call("GET", f"/sobjects/{kind}/{record}")
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def query(self, soql: str, path: str = "/query") -> dict[str, Any]:
        response = self.call("GET", path, params={"q": soql})
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def job(self, operation: str, data: str, kind: str = "Contact", **more: Any) -> str:
        """The id of a job that Salesforce was set to work on."""
        made = self.call("POST", "/jobs/ingest", {"operation": operation, "object": kind, "contentType": "CSV", **more})
        assert made.status_code == 200, made.text
        job = str(made.json()["id"])
        headers = {"Content-Type": "text/csv"}
        assert self.call("PUT", f"/jobs/ingest/{job}/batches", data=data.encode(), headers=headers).status_code == 201
        assert self.call("PATCH", f"/jobs/ingest/{job}", {"state": "UploadComplete"}).status_code == 200
        return job

    def results(self, job: str, kind: str) -> list[str]:
        """The lines of a result, quotes left out."""
        return self.call("GET", f"/jobs/ingest/{job}/{kind}").text.replace('"', "").splitlines()


def codes(results: list[dict[str, Any]]) -> list[str | None]:
    """The first code of each result; None for a success."""
    return [None if result["success"] else result["errors"][0]["statusCode"] for result in results]


def error(response: requests.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    return response.status_code, response.json()[0]["errorCode"]
