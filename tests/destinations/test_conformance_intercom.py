"""The conformance kit on the Intercom connector, against the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from revetl_dbt.destinations.base import ColumnType
from revetl_dbt.destinations.conformance import Conformance, Subject
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


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "state", ("intercom",)) as running:
        yield running


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
