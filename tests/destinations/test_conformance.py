"""The conformance kit on the connectors that come with revetl_dbt, against the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.destinations.base import ColumnType
from revetl_dbt.destinations.conformance import Conformance, Subject
from revetl_dbt.destinations.http import Http, HttpConfig
from revetl_dbt.destinations.hubspot import HubSpot, HubSpotConfig
from revetl_dbt.sandbox import Sandbox

from .stand import TEXT, VALUES, Stand


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "state") as running:
        yield running


class TestHubSpot(Conformance):
    TYPES: Mapping[ColumnType, tuple[str, str]] = {
        ColumnType.TEXT: ("string", "text"),
        ColumnType.BOOLEAN: ("bool", "booleancheckbox"),
        ColumnType.DATE: ("date", "date"),
        ColumnType.TIMESTAMP: ("datetime", "date"),
        ColumnType.TIMESTAMPTZ: ("datetime", "date"),
        ColumnType.NESTED: ("enumeration", "checkbox"),
    }

    @pytest.fixture(params=["contacts", "companies"])
    def subject(self, sandbox: Sandbox, tmp_path: Path, request: pytest.FixtureRequest) -> Subject:
        kind, match = request.param, "email" if request.param == "contacts" else "ref"
        sandbox.load_setup("hubspot", self.setup(tmp_path, kind, match))
        values = {f"x_{name}": value for name, value in VALUES.items()}
        if kind == "companies":
            values["name"] = TEXT
        stand = Stand(sandbox, "hubspot", kind, match, "x_name")
        config = stand.settings(HubSpotConfig(type="hubspot", sandbox=True))
        return Subject(
            connect=lambda gate: HubSpot(config, gate),
            server=stand,
            object=kind,
            match=match,
            values=values,
            text="x_name",
            secret=sandbox.token("hubspot"),
        )

    def setup(self, tmp_path: Path, kind: str, match: str) -> Path:
        properties: list[dict[str, Any]] = []
        for name, (column, _) in VALUES.items():
            type_, field_type = self.TYPES.get(column, ("number", "number"))
            options = [{"label": value, "value": value} for value in "abc"] if type_ == "enumeration" else []
            properties.append(
                {"name": f"x_{name}", "label": name, "type": type_, "fieldType": field_type, "options": options}
            )
        if match != "email":
            properties.append(
                {"name": match, "label": match, "type": "string", "fieldType": "text", "hasUniqueValue": True}
            )
        path = tmp_path / "hubspot.yml"
        path.write_text(json.dumps({"properties": {kind: properties}}))
        return path


class TestHttpWithResults(Conformance):
    @pytest.fixture(params=["index", "id"])
    def subject(self, sandbox: Sandbox, request: pytest.FixtureRequest) -> Subject:
        sandbox.configure("http", results=request.param, key="email", secret="Bearer k3y")
        response = {"results": "results", "ok": {"path": "status", "values": ["ok"]}, "error": "error"}
        join = {"join": "index"} if request.param == "index" else {"join": "match", "at": "id"}
        operations = {
            "upsert": {"path": "/people", "body": "array", "batch_size": 1000, "response": {**response, **join}},
            "delete": {"path": "/people", "method": "DELETE", "body": "array", "response": {**response, **join}},
        }
        return http_subject(sandbox, operations, reports=True)


class TestHttpAllOrNothing(Conformance):
    @pytest.fixture(params=["array", "ndjson", "record"])
    def subject(self, sandbox: Sandbox, request: pytest.FixtureRequest) -> Subject:
        sandbox.configure("http", key="email", secret="Bearer k3y")
        operations = {
            "upsert": {"path": "/people", "body": request.param},
            "update": {"path": "/people/{email}", "method": "PATCH"},
            "archive": {"path": "/people/{email}", "method": "DELETE"},
        }
        return http_subject(sandbox, operations, reports=False)


def http_subject(sandbox: Sandbox, operations: Mapping[str, Any], reports: bool) -> Subject:
    stand = Stand(sandbox, "http", "people", "email", "name")
    people = {"operations": operations, "partial_updates": True}
    config = HttpConfig.model_validate(
        {"type": "http", "sandbox": True, "check": "/people", "objects": {"people": people}}
    )
    return Subject(
        connect=lambda gate: Http(stand.settings(config), gate),
        server=stand,
        object="people",
        match="email",
        values=VALUES,
        text="name",
        secret=sandbox.token("http"),
        reports=reports,
        new_match=lambda n: f"pérson/{n}@example.com?a=b#c",
    )
