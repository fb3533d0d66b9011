"""The conformance kit on the Zendesk connector, against the sandbox: by single requests, and by background jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from revetl_dbt.destinations.base import Change, ColumnType, Gate
from revetl_dbt.destinations.conformance import Conformance, OpenGate, Subject, Trouble
from revetl_dbt.destinations.zendesk import Zendesk, ZendeskConfig
from revetl_dbt.sandbox import Sandbox
from revetl_dbt.sandbox.zendesk.records import flat

from .stand import VALUES, Stand

TYPES: Mapping[ColumnType, str] = {
    ColumnType.INTEGER: "integer",
    ColumnType.DECIMAL: "decimal",
    ColumnType.FLOAT: "decimal",
    ColumnType.BOOLEAN: "checkbox",
    ColumnType.DATE: "date",
}
GROUPS = {"users": "user_fields", "organizations": "organization_fields", "custom_objects/plan": "custom_object_fields"}


class Desk(Stand):
    """Zendesk has one record or one job in an answer: nothing to shuffle, and an empty one is a blank one."""

    FAULTS: ClassVar = {**Stand.FAULTS, Trouble.EMPTY: {"kind": "garbage", "body": "blank"}}

    def held(self, match: Any) -> Mapping[str, Any] | None:
        found = super().held(match)
        return None if found is None else flat(found)


class Named(Zendesk):
    """Every record needs a name, organizations one of their own: the kit's records have none."""

    def _body(self, kind: Any, change: Change, *, opened: bool = False) -> dict[str, Any]:
        return {"name": f"Name of {change.seq}", **super()._body(kind, change, opened=opened)}


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "state", ("zendesk",)) as running:
        yield running


def subject_of(sandbox: Sandbox, tmp_path: Path, kind: str, match: str, bulk_from: int) -> Subject:
    fields = [
        {"key": f"x_{name}", "title": name, "type": TYPES.get(column, "text")} for name, (column, _) in VALUES.items()
    ]
    setup: dict[str, Any] = {GROUPS[kind]: fields}
    if kind.startswith("custom_objects/"):
        setup = {"custom_objects": [{"key": "plan", "title": "Plan", "fields": fields}]}
    path = tmp_path / "zendesk.yml"
    path.write_text(json.dumps(setup))
    sandbox.load_setup("zendesk", path)
    group = GROUPS[kind]
    stand = Desk(sandbox, "zendesk", kind, match, f"{group}.x_name")
    config = stand.settings(ZendeskConfig(type="zendesk", sandbox=True, bulk_from=bulk_from))

    def connect(gate: Gate) -> Zendesk:
        # The kit counts requests: the access token is fetched before it begins.
        made = Named(config, OpenGate())
        made.renew()
        made.gate = gate
        return made

    return Subject(
        connect=connect,
        server=stand,
        object=kind,
        match=match,
        values={f"{group}.x_{key}": value for key, value in VALUES.items()},
        text=f"{group}.x_name",
        secret=sandbox.token("zendesk"),
        new_match=lambda n: f"person{n}@example.com" if match == "email" else f"Pérson/{n}?a=b#c",
    )


USERS = ["users external_id", "users email"]
OBJECTS = [*USERS, "organizations external_id", "organizations name", "custom_objects/plan external_id"]


class TestOneByOne(Conformance):
    @pytest.fixture(params=OBJECTS)
    def subject(self, sandbox: Sandbox, tmp_path: Path, request: pytest.FixtureRequest) -> Subject:
        kind, match = request.param.split(" ")
        return subject_of(sandbox, tmp_path, kind, match, bulk_from=10)


class TestJobs(Conformance):
    @pytest.fixture(params=OBJECTS)
    def subject(self, sandbox: Sandbox, tmp_path: Path, request: pytest.FixtureRequest) -> Subject:
        kind, match = request.param.split(" ")
        return subject_of(sandbox, tmp_path, kind, match, bulk_from=0)
