"""A client that speaks plain HTTP to the stand-in for Marketo."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from revetl_dbt.sandbox import Sandbox

SETUP: Mapping[str, Any] = {
    "fields": {
        "leads": [
            {"name": "userId", "displayName": "User Id", "dataType": "integer"},
            {"name": "plan", "displayName": "Plan", "dataType": "string"},
            {"name": "share", "displayName": "Share", "dataType": "percent"},
            {"name": "notes", "displayName": "Notes", "dataType": "text"},
        ],
        "members": [{"name": "seat", "displayName": "Seat", "dataType": "string"}],
    },
    "customObjects": [
        {
            "apiName": "car_c",
            "displayName": "Car",
            "dedupeFields": ["vin"],
            "fields": [
                {"name": "vin", "displayName": "VIN", "dataType": "string"},
                {"name": "make", "displayName": "Make", "dataType": "string"},
                {"name": "year", "displayName": "Year", "dataType": "integer"},
            ],
        },
        {
            "apiName": "purchase_c",
            "dedupeFields": ["leadId", "product"],
            "fields": [
                {"name": "leadId", "dataType": "integer"},
                {"name": "product", "dataType": "string"},
                {"name": "amount", "dataType": "float"},
            ],
        },
    ],
    "lists": [{"name": "Customers"}],
    "programs": [{"name": "Webinar"}],
    "activityTypes": [
        {
            "apiName": "attendConference",
            "name": "Attend Conference",
            "primaryAttribute": {"apiName": "conferenceName", "name": "Conference Name", "dataType": "string"},
            "attributes": [
                {"apiName": "conferenceDate", "name": "Conference Date", "dataType": "datetime"},
                {"apiName": "numberOfAttendees", "name": "Number of Attendees", "dataType": "integer"},
            ],
        }
    ],
    "partitions": ["Europe"],
}


def setup(sandbox: Sandbox, folder: Path) -> None:
    """Define what the tests need: list 1001, program 1001 with its usual statuses, and what SETUP says."""
    path = folder / "marketo-setup.yml"
    path.write_text(json.dumps(SETUP))
    sandbox.load_setup("marketo", path)


class Client:
    """Requests with a token that is asked for once."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {self.identity().json()['access_token']}"

    def identity(self, **changes: str) -> requests.Response:
        secret = str(self.sandbox.token("marketo"))
        query = {"grant_type": "client_credentials", "client_id": "tests", "client_secret": secret, **changes}
        return requests.get(self.sandbox.url("marketo") + "/identity/oauth/token", params=query, timeout=10)

    def call(self, method: str, path: str, body: Any = None, **kwargs: Any) -> requests.Response:
        return self.session.request(method, self.sandbox.url("marketo") + path, json=body, timeout=10, **kwargs)

    def get(self, path: str, **query: Any) -> list[dict[str, Any]]:
        return self.result(self.call("GET", path, params=query))

    def post(self, path: str, body: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        return self.result(self.call("POST", path, body, **kwargs))

    def result(self, response: requests.Response) -> list[dict[str, Any]]:
        body = response.json()
        assert body["success"], body
        rows: list[dict[str, Any]] = body["result"]
        return rows

    def refusal(self, method: str, path: str, body: Any = None, **kwargs: Any) -> tuple[str, str]:
        """Code and message of a request that is refused."""
        response = self.call(method, path, body, **kwargs)
        answer = response.json()
        assert (response.status_code, answer["success"]) == (200, False)
        assert answer["requestId"]
        return answer["errors"][0]["code"], answer["errors"][0]["message"]

    def leads(self, *rows: Mapping[str, Any], **more: Any) -> list[dict[str, Any]]:
        return self.post("/rest/v1/leads.json", {"input": list(rows), **more})

    def lead(self, **values: Any) -> int:
        """Create or update one lead; its id."""
        (row,) = self.leads(values)
        assert row["status"] in ("created", "updated"), row
        return int(row["id"])

    def values(self, lead: int, *names: str) -> list[Any]:
        (row,) = self.get(f"/rest/v1/lead/{lead}.json", fields=",".join(names))
        return [row[name] for name in names]

    def imports(self, text: str, path: str = "/bulk/v1/leads.json", **query: Any) -> list[dict[str, Any]]:
        files = {"file": ("rows.csv", text.encode(), "text/csv")}
        url = self.sandbox.url("marketo") + path
        return self.result(self.session.post(url, params={"format": "csv", **query}, files=files, timeout=10))


def codes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The status of each row, or the code of its first reason."""
    return [row["reasons"][0]["code"] if row["status"] == "skipped" else row["status"] for row in rows]
