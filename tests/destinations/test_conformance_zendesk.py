"""The conformance kit on the Zendesk connector, against the sandbox: by single requests, and by background jobs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from revetl_dbt.destinations.base import Batch, Change, ColumnType, Gate, Operation
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
GROUPS = {
    "users": "user_fields",
    "organizations": "organization_fields",
    "tickets": "custom_fields",
    "custom_objects/plan": "custom_object_fields",
}


class Desk(Stand):
    """Zendesk has one record or one job in an answer: nothing to shuffle, and an empty one is a blank one."""

    FAULTS: ClassVar = {**Stand.FAULTS, Trouble.EMPTY: {"kind": "garbage", "body": "blank"}}

    def held(self, match: Any) -> Mapping[str, Any] | None:
        found = super().held(match)
        return None if found is None else flat(found)


class Named(Zendesk):
    """Every record needs a name, organizations one of their own, and tickets a comment: the kit's records have none."""

    def _body(self, kind: Any, change: Change, *, opened: bool = False) -> dict[str, Any]:
        given = {"comment": {"body": "Hi"}} if kind.name == "tickets" else {"name": f"Name of {change.seq}"}
        return {**given, **super()._body(kind, change, opened=opened)}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("zendesk"), ("zendesk",)) as made:
        yield made


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    """The sandbox of this file, empty."""
    running.reset()
    return running


def subject_of(sandbox: Sandbox, tmp_path: Path, kind: str, match: str, bulk_from: int) -> Subject:
    group, tickets = GROUPS[kind], kind == "tickets"
    names = {name: str(n) if tickets else f"x_{name}" for n, name in enumerate(VALUES, 360)}
    fields = [
        {"id" if tickets else "key": names[name], "title": name, "type": TYPES.get(column, "text")}
        for name, (column, _) in VALUES.items()
    ]
    setup: dict[str, Any] = {"ticket_fields" if tickets else group: fields}
    if kind.startswith("custom_objects/"):
        setup = {"custom_objects": [{"key": "plan", "title": "Plan", "fields": fields}]}
    path = tmp_path / "zendesk.yml"
    path.write_text(json.dumps(setup))
    sandbox.load_setup("zendesk", path)
    stand = Desk(sandbox, "zendesk", kind, match, f"{group}.{names['name']}")
    config = stand.settings(ZendeskConfig(type="zendesk", sandbox=True, bulk_from=bulk_from))
    return Subject(
        connect=connecting(config),
        server=stand,
        object=kind,
        match=match,
        values={f"{group}.{names[key]}": value for key, value in VALUES.items()},
        text=f"{group}.{names['name']}",
        secret=sandbox.token("zendesk"),
        new_match=lambda n: f"person{n}@example.com" if match == "email" else f"Pérson/{n}?a=b#c",
    )


def connecting(config: ZendeskConfig) -> Callable[[Gate], Zendesk]:
    def connect(gate: Gate) -> Zendesk:
        # The kit counts requests: the access token is fetched before it begins.
        made = Named(config, OpenGate())
        made.renew()
        made.gate = gate
        return made

    return connect


USERS = ["users external_id", "users email"]
OBJECTS = [*USERS, "organizations external_id", "organizations name", "custom_objects/plan external_id"]


class TestOneByOne(Conformance):
    @pytest.fixture(params=OBJECTS)
    def subject(self, sandbox: Sandbox, tmp_path: Path, request: pytest.FixtureRequest) -> Subject:
        kind, match = request.param.split(" ")
        return subject_of(sandbox, tmp_path, kind, match, bulk_from=10)


class TestJobs(Conformance):
    """Tickets are found, updated, deleted and erased in jobs; they are opened one by one."""

    @pytest.fixture(params=[*OBJECTS, "tickets external_id"])
    def subject(self, sandbox: Sandbox, tmp_path: Path, request: pytest.FixtureRequest) -> Subject:
        kind, match = request.param.split(" ")
        return subject_of(sandbox, tmp_path, kind, match, bulk_from=0)


class Members(Desk):
    """Who belongs to what: a user is there while it carries the tag or belongs to an organization."""

    def held(self, match: Any) -> Mapping[str, Any] | None:
        found = super().held(match)
        return {} if found is not None and found.get(self._text) else None


class TestMemberships(Conformance):
    """Users that carry a tag, and users that belong to an organization."""

    @pytest.fixture(params=["user_tags", "organization_memberships"])
    def subject(self, sandbox: Sandbox, request: pytest.FixtureRequest) -> Subject:
        tagged = request.param == "user_tags"
        stand = Members(sandbox, "zendesk", "users", "external_id", "tags" if tagged else "organizations")
        config = stand.settings(ZendeskConfig(type="zendesk", sandbox=True, bulk_from=0))
        match = "external_id" if tagged else "user_external_id"
        made = Named(config, OpenGate())
        for kind, count in (("users", 100), ("organizations", 1)):
            there = [Change(n, (), {"external_id": f"Pérson/{n}?a=b#c"}, {}) for n in range(count)]
            made.submit(Batch(kind, Operation.UPSERT, there, uuid.UUID(int=0)), lambda _: None)
        made.close()
        sandbox.reset(requests_only=True)
        return Subject(
            connect=connecting(config),
            server=stand,
            object=request.param,
            match=match,
            values={},
            text=match,
            secret=sandbox.token("zendesk"),
            new_match=lambda n: f"Pérson/{n}?a=b#c",
            also={"tag": "vip"} if tagged else {"organization_external_id": "Pérson/0?a=b#c"},
        )
