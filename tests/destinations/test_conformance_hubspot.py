"""The conformance kit on HubSpot's custom events and static lists, against the sandbox; its records are in
`test_conformance`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.destinations.base import Batch, Change, Operation
from revetl_dbt.destinations.conformance import Conformance, OpenGate, Subject, Trouble
from revetl_dbt.destinations.hubspot import HubSpot, HubSpotConfig
from revetl_dbt.sandbox import Sandbox

from .stand import VALUES, Stand


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    properties = [{"name": name, "label": name, "type": "string"} for name in VALUES]
    event = {
        "name": "login",
        "label": "Login",
        "fullyQualifiedName": "pe1_login",
        "propertyDefinitions": properties,
    }
    setup = tmp_path / "hubspot.yml"
    trials = {"listId": 12, "name": "Trials", "objectTypeId": "0-1", "processingType": "MANUAL"}
    setup.write_text(json.dumps({"events": [event], "lists": [trials]}))
    with Sandbox(tmp_path / "state", ["hubspot"], setup={"hubspot": setup}) as running:
        yield running


class TestEvents(Conformance):
    """An answer to events says nothing of one of them: `reports=False`."""

    @pytest.fixture
    def subject(self, sandbox: Sandbox) -> Subject:
        stand = Stand(sandbox, "hubspot", "event:pe1_login", "email", "name")
        config = stand.settings(HubSpotConfig(type="hubspot", sandbox=True))
        return Subject(
            connect=lambda gate: HubSpot(config, gate),
            server=stand,
            object="events/pe1_login",
            match="email",
            values=VALUES,
            text="name",
            secret=sandbox.token("hubspot"),
            reports=False,
        )


class Places(Stand):
    """Who is on a list. A question for contacts that is answered with nothing says that there are none."""

    FAULTS: Mapping[Trouble, Mapping[str, Any]] = {
        **Stand.FAULTS,
        Trouble.EMPTY: {**Stand.FAULTS[Trouble.EMPTY], "path": "*/memberships/*"},
    }

    def held(self, match: Any) -> Mapping[str, Any] | None:
        places = {place.id for place in self._sandbox.store.scan("hubspot", "list:12")}
        contacts = self._sandbox.store.scan("hubspot", "contacts")
        found = (one.properties for one in contacts if one.id in places and one.properties["email"] == match)
        return next(found, None)


class TestLists(Conformance):
    """Places on a list: they have no fields."""

    @pytest.fixture
    def subject(self, sandbox: Sandbox) -> Subject:
        stand = Places(sandbox, "hubspot", "list:12", "email", "email")
        config = stand.settings(HubSpotConfig(type="hubspot", sandbox=True))
        hubspot = HubSpot(config, OpenGate())
        people = [Change(n, (n,), {"email": f"person{n}@example.com"}, {}) for n in range(100)]
        list(hubspot.write(Batch("contacts", Operation.UPSERT, people, uuid.UUID(int=0))))
        hubspot.close()
        return Subject(
            connect=lambda gate: HubSpot(config, gate),
            server=stand,
            object="lists/12",
            match="email",
            values={},
            text="email",
            secret=sandbox.token("hubspot"),
        )
