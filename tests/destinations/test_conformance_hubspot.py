"""The conformance kit on HubSpot's custom events, against the sandbox; its records are in `test_conformance`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from revetl_dbt.destinations.conformance import Conformance, Subject
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
    setup.write_text(json.dumps({"events": [event]}))
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
