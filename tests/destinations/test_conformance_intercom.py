"""The conformance kit on the Intercom connector, against the sandbox."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.destinations.base import Batch, Change, ColumnType, Operation
from revetl_dbt.destinations.conformance import Conformance, OpenGate, Subject
from revetl_dbt.destinations.intercom import Intercom, IntercomConfig
from revetl_dbt.sandbox import Sandbox

from .stand import VALUES, Stand

TYPES: Mapping[ColumnType, str] = {
    ColumnType.TEXT: "string",
    ColumnType.NESTED: "string",
    ColumnType.INTEGER: "integer",
    ColumnType.DECIMAL: "float",
    ColumnType.FLOAT: "float",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.DATE: "date",
    ColumnType.TIMESTAMP: "datetime",
    ColumnType.TIMESTAMPTZ: "datetime",
}
MODELS = {"users": "contact", "leads": "contact", "companies": "company"}
COLLECTIONS = {"users": "contacts", "leads": "contacts", "companies": "companies"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("intercom"), ("intercom",)) as made:
        yield made


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    """The sandbox of this file, empty."""
    running.reset()
    return running


def subject_of(sandbox: Sandbox, tmp_path: Path, kind: str, match: str, **settings: int) -> Subject:
    attributes = [{"name": f"x_{name}", "data_type": TYPES[column]} for name, (column, _) in VALUES.items()]
    setup = tmp_path / "intercom.yml"
    setup.write_text(json.dumps({"attributes": {MODELS[kind]: attributes}}))
    sandbox.load_setup("intercom", setup)
    stand = Stand(sandbox, "intercom", COLLECTIONS[kind], match, "x_name")
    config = stand.settings(IntercomConfig(type="intercom", sandbox=True, **settings))  # type: ignore[arg-type]  # ints
    return Subject(
        connect=lambda gate: Intercom(config, gate),
        server=stand,
        object=kind,
        match=match,
        values={**{f"x_{name}": value for name, value in VALUES.items()}, "name": (ColumnType.TEXT, "Ada")},
        text="x_name",
        secret=sandbox.token("intercom"),
        new_match=lambda n: f"person{n}@example.com" if match == "email" else f"pérson/{n}?a=b#c",
    )


class TestContacts(Conformance):
    @pytest.fixture(params=["users by external_id", "users by email", "leads by email"])
    def subject(self, sandbox: Sandbox, tmp_path: Path, request: pytest.FixtureRequest) -> Subject:
        kind, _, match = request.param.split(" ")
        return subject_of(sandbox, tmp_path, kind, match)


class TestCompanies(Conformance):
    @pytest.fixture
    def subject(self, sandbox: Sandbox, tmp_path: Path) -> Subject:
        return subject_of(sandbox, tmp_path, "companies", "company_id")


class TestJobs(Conformance):
    @pytest.fixture(params=["users external_id", "companies company_id"])
    def subject(self, sandbox: Sandbox, tmp_path: Path, request: pytest.FixtureRequest) -> Subject:
        kind, match = request.param.split(" ")
        return subject_of(sandbox, tmp_path, kind, match, bulk_from=1)


class Members(Stand):
    """Who belongs to what: a record is there while it carries a tag or belongs to a company."""

    def held(self, match: Any) -> Mapping[str, Any] | None:
        found = super().held(match)
        return {} if found is not None and found.get(self._text) else None


class TestMemberships(Conformance):
    """Companies that carry a tag, and contacts that belong to a company."""

    @pytest.fixture(params=["company_tags/VIP", "contact_companies"])
    def subject(self, sandbox: Sandbox, request: pytest.FixtureRequest) -> Subject:
        tagged = request.param != "contact_companies"
        owners, match = ("companies", "company_id") if tagged else ("users", "external_id")
        stand = Members(sandbox, "intercom", COLLECTIONS[owners], match, "$tags" if tagged else "$companies")
        config = stand.settings(IntercomConfig(type="intercom", sandbox=True))
        made = Intercom(config, OpenGate())
        there = [(owners, {match: f"pérson/{n}?a=b#c"}) for n in range(12)]
        for kind, values in [*there, ("companies", {"company_id": "acme"})]:
            made.write(Batch(kind, Operation.UPSERT, [Change(1, (), values, {"name": "x"})], uuid.UUID(int=0)))
        made.close()
        sandbox.reset(requests_only=True)
        return Subject(
            connect=lambda gate: Intercom(config, gate),
            server=stand,
            object=request.param,
            match=match,
            values={},
            text=match,
            secret=sandbox.token("intercom"),
            new_match=lambda n: f"pérson/{n}?a=b#c",
            also={} if tagged else {"company_id": "acme"},
        )
