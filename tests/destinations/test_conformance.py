"""The conformance kit on the connectors that come with revetl_dbt, against the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.destinations.base import ColumnType, DestinationConfig
from revetl_dbt.destinations.conformance import POISON, RETRY_AFTER, Conformance, Subject, Trouble
from revetl_dbt.destinations.http import Http, HttpConfig
from revetl_dbt.destinations.hubspot import HubSpot, HubSpotConfig
from revetl_dbt.sandbox import Sandbox

TEXT = ColumnType.TEXT, "Ada"
VALUES: Mapping[str, tuple[ColumnType, Any]] = {
    "name": TEXT,
    "seats": (ColumnType.INTEGER, 2**53 + 1),
    "revenue": (ColumnType.DECIMAL, Decimal("1234567.89")),
    "score": (ColumnType.FLOAT, 0.1),
    "vip": (ColumnType.BOOLEAN, True),
    "born": (ColumnType.DATE, date(1815, 12, 10)),
    "seen": (ColumnType.TIMESTAMPTZ, datetime(2024, 2, 29, 23, 59, 59, 123000, tzinfo=timezone.utc)),
    "signed": (ColumnType.TIMESTAMP, datetime(2024, 2, 29, 23, 59, 59)),
    "tags": (ColumnType.NESTED, ["a", "b"]),
}


class Stand:
    """One vendor's stand-in in a sandbox, as the kit wants it."""

    FAULTS: Mapping[Trouble, Mapping[str, Any]] = {
        Trouble.RATE_LIMITED: {
            "kind": "status",
            "status": 429,
            "policy": "TEN_SECONDLY_ROLLING",
            "retry_after": RETRY_AFTER,
        },
        Trouble.SERVER_ERROR: {"kind": "status", "status": 500},
        Trouble.UNAVAILABLE: {"kind": "status", "status": 503},
        Trouble.UNAUTHORIZED: {"kind": "expired"},
        Trouble.NOT_JSON: {"kind": "garbage"},
        Trouble.EMPTY: {"kind": "empty"},
        Trouble.RESET_BEFORE: {"kind": "reset"},
        Trouble.RESET_AFTER: {"kind": "reset", "accepted": True},
        Trouble.SHUFFLED: {"kind": "results", "how": "shuffle"},
        Trouble.POISON_ROW: {"kind": "poison", "equals": POISON},
        Trouble.POISON_BATCH: {"kind": "poison", "equals": POISON, "whole_batch": True},
    }

    def __init__(self, sandbox: Sandbox, vendor: str, collection: str, match: str, text: str) -> None:
        self._sandbox, self._vendor, self._collection, self._match, self._text = (
            sandbox,
            vendor,
            collection,
            match,
            text,
        )

    def provoke(self, trouble: Trouble | None) -> None:
        rule = {} if trouble is None else dict(self.FAULTS[trouble])
        if rule.get("kind") == "poison":
            rule["field"] = self._text
        self._sandbox.set_faults([rule] if rule else [])

    def paths(self) -> Sequence[str]:
        return [request.path for request in self._sandbox.requests()]

    def held(self, match: Any) -> Mapping[str, Any] | None:
        for record in self._sandbox.store.scan(self._vendor, self._collection):
            if record.archived is None and str(record.properties.get(self._match)).casefold() == str(match).casefold():
                return record.properties
        return None

    def settings(self, config: DestinationConfig) -> Any:
        return config.in_sandbox(self._sandbox.url(self._vendor), self._sandbox.token(self._vendor))


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
