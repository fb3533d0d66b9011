"""What a vendor cannot do is refused before any request, with the reason and what can be done instead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.destinations import registry
from revetl_dbt.destinations.base import Destination, Operation
from revetl_dbt.spec.capabilities import check_capabilities, offline
from revetl_dbt.spec.destinations import Output
from revetl_dbt.spec.models import Source, Sync, SyncSpec
from revetl_dbt.spec.problem import Problem

OPEN = {
    "hubspot": ("lists/12", "events/pe1_login", "2-123"),
    "salesforce": ("Subscription__c",),
    "marketo": ("customObjects/car_c", "lists/1001", "programs/1001", "activities/attend"),
}
"""Objects whose names are not known beforehand."""
MODES: dict[Operation, dict[str, Any]] = {
    Operation.UPSERT: {"mode": "upsert"},
    Operation.UPDATE: {"mode": "update"},
    Operation.CREATE: {"mode": "create"},
    Operation.APPEND: {"mode": "append"},
    Operation.ERASE: {"mode": "erase"},
}


@pytest.fixture
def connectors() -> Iterator[dict[str, Destination]]:
    made = {}
    for name in set(registry.names()) - {"http"}:  # which can do what its settings say
        connector = registry.connector(name)
        config = connector.Config.model_validate({"type": name, "sandbox": True})
        made[name] = offline(Output(name, "dev", connector, config, Path("destinations.yml"), 1))
    yield made
    for destination in made.values():
        destination.close()


def problems(destination: Destination, name: str, **spec: Any) -> list[Problem]:
    source = Source("model.shop.users", "users", "users", None, "s", "users", (), "models/users.sql")
    full = {"destination": "crm", "object": name, "key": ("id",), "match": {}, **spec}
    sync = Sync("s", SyncSpec.model_validate(full), source, "models/users.yml", 1)
    return [problem for problem in check_capabilities(sync, destination) if problem.code == "not-supported"]


def test_every_mode_that_an_object_cannot_do_says_why(connectors: dict[str, Destination]) -> None:
    asked = 0
    for vendor, destination in connectors.items():
        for name in (*(kind.name for kind in destination.objects()), *OPEN.get(vendor, ())):
            kind = destination.object_type(name)
            assert kind is not None
            for operation, reason in kind.unsupported.items():
                declared = [MODES[operation]] if operation in MODES else []
                if operation in (Operation.DELETE, Operation.ARCHIVE, Operation.ERASE):
                    declared.append({"on_removed": operation.value})
                for spec in declared:
                    (found,) = (item for item in problems(destination, name, **spec) if item.keys == (*spec,))
                    assert found.hint == reason, (vendor, name, spec)
                    assert found.expected, "what can be done instead"
                    asked += 1
    assert asked > 100


@pytest.mark.parametrize(
    ("vendor", "name", "spec", "words"),
    [
        ("salesforce", "Contact", {"on_removed": "archive"}, "`delete` moves a record to the Recycle Bin"),
        ("hubspot", "contacts", {"on_removed": "delete"}, "use `archive`"),
        ("hubspot", "companies", {"mode": "erase"}, "is for contacts only: use `archive`"),
        ("hubspot", "events/pe1_login", {"mode": "upsert"}, "use `append`"),
        ("hubspot", "lists/12", {"on_removed": "archive"}, "it takes the record off the list"),
        ("marketo", "leads", {"mode": "append"}, "use object `activities/<api name>`"),
        ("marketo", "leads", {"on_removed": "archive"}, "use `delete`, or clear the mapped fields"),
        ("marketo", "activities/attend", {"on_removed": "delete"}, "use `append`"),
    ],
)
def test_in_words(connectors: dict[str, Destination], vendor: str, name: str, spec: dict[str, Any], words: str) -> None:
    assert any(words in (problem.hint or "") for problem in problems(connectors[vendor], name, **spec))
