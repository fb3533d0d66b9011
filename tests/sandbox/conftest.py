"""A sandbox for each test, and a client that speaks plain HTTP to its HubSpot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from revetl_dbt.sandbox import Sandbox


class Clock:
    """A clock that stands still until it is moved; seconds since 1970."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Hub:
    """Requests to the stand-in for HubSpot with a token that may do everything, over one connection."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {sandbox.token('hubspot')}"

    def call(self, method: str, path: str, body: Any = None, **kwargs: Any) -> requests.Response:
        return self.session.request(method, self.sandbox.url("hubspot") + path, json=body, timeout=10, **kwargs)

    def post(self, path: str, body: Any = None, **kwargs: Any) -> requests.Response:
        return self.call("POST", path, body, **kwargs)

    def get(self, path: str, **kwargs: Any) -> requests.Response:
        return self.call("GET", path, **kwargs)

    def batch(
        self, action: str, inputs: Sequence[Mapping[str, Any]], kind: str = "contacts", **body: Any
    ) -> requests.Response:
        return self.post(f"/crm/v3/objects/{kind}/batch/{action}", {"inputs": list(inputs), **body})

    def create(self, kind: str = "contacts", **properties: Any) -> str:
        """Create one record; its id."""
        response = self.post(f"/crm/v3/objects/{kind}", {"properties": properties})
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    def values(self, record_id: str, *names: str, kind: str = "contacts") -> dict[str, Any]:
        """Values of a record, those that are asked for."""
        response = self.get(f"/crm/v3/objects/{kind}/{record_id}", params={"properties": ",".join(names)})
        assert response.status_code == 200, response.text
        return {name: response.json()["properties"].get(name) for name in names}

    def define(self, kind: str = "contacts", **definition: Any) -> None:
        """Define a property; its group is the object's own."""
        group = {"contacts": "contactinformation", "companies": "companyinformation", "deals": "dealinformation"}[kind]
        body = {"label": definition["name"], "groupName": group, "type": "string", "fieldType": "text", **definition}
        response = self.post(f"/crm/v3/properties/{kind}", body)
        assert response.status_code == 201, response.text


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(tmp_path: Path, clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "state", now=clock) as sandbox:
        yield sandbox


@pytest.fixture
def hub(sandbox: Sandbox) -> Iterator[Hub]:
    hub = Hub(sandbox)
    yield hub
    hub.session.close()


def upsert_input(address: str, trace: str | None = None, **properties: Any) -> dict[str, Any]:
    """An input of batch/upsert by e-mail."""
    traced = {} if trace is None else {"objectWriteTraceId": trace}
    return {"id": address, "idProperty": "email", "properties": properties, **traced}


def codes(response: requests.Response) -> list[str]:
    """The codes in an error's `errors`."""
    return [error["code"] for error in response.json()["errors"]]
