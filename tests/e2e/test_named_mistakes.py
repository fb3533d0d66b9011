"""What is wrong with the fields of a sync is said before the first request that writes, all at once and in the words of
each tool's own description: names that it lacks, with the nearest; what is read-only, no option, or too long.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from engine.harness import EAGER, Listener, Warehouse

from revetl_dbt.destinations import registry
from revetl_dbt.engine.link import open_links
from revetl_dbt.engine.result import RunOptions
from revetl_dbt.engine.run import Run
from revetl_dbt.sandbox import Sandbox
from revetl_dbt.spec.capabilities import check_capabilities, offline
from revetl_dbt.spec.destinations import Output


@dataclass(frozen=True)
class Case:
    """Fields of a sync that are wrong, what is said of them, what the account has, and what else the sync declares."""

    object: str
    match: str
    fields: Mapping[str, Mapping[str, str]]
    said: tuple[str, ...]
    setup: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


_EVENT = {
    "name": "login",
    "label": "In",
    "fullyQualifiedName": "pe1_login",
    "propertyDefinitions": [{"name": "note", "label": "Note", "type": "string"}],
}
_TRIALS = {"listId": 12, "name": "Trials", "objectTypeId": "0-1", "processingType": "MANUAL"}
_CUSTOM = [
    {"name": "Ref__c", "type": "string", "externalId": True, "unique": True},
    {"name": "Plan__c", "type": "picklist", "options": ["free", "pro"]},
    {"name": "Short__c", "type": "string", "length": 5},
    {"name": "Created__c", "type": "datetime"},
]
_OPTIONS = [{"value": "free"}, {"value": "paid"}]
_AREAS = [{"value": "api"}, {"value": "billing"}]
CASES: Mapping[str, Case] = {
    "salesforce": Case(
        "Contact",
        "Ref__c",
        {
            "LastName": {"column": "name"},
            "Departmnt": {"column": "name"},
            "CreatedDate": {"column": "name"},
            "Plan__c": {"value": "por"},
            "Short__c": {"value": "longer"},
        },
        (
            "error[unknown-field]: `tool.Contact` has no field `Departmnt`",
            "Did you mean `Department`?",
            "error[read-only-field]: Field `CreatedDate` of `tool.Contact` cannot be written",
            "Did you mean `Created__c`?",
            "error[unknown-option]: Field `Plan__c` of `tool.Contact` does not take `por`",
            "expected: `free`, `pro`",
            "Did you mean `pro`?",
            "error[value-too-long]: Field `Short__c` of `tool.Contact` takes 5 characters, and `value` has 6",
        ),
        {"fields": {"Contact": _CUSTOM}},
    ),
    "hubspot": Case(
        "contacts",
        "email",
        {"frstname": {"column": "name"}, "createdate": {"column": "name"}, "lifecyclestage": {"value": "custmer"}},
        (
            "error[unknown-field]: `tool.contacts` has no field `frstname`",
            "Did you mean `firstname`?",
            "error[read-only-field]: Field `createdate` of `tool.contacts` cannot be written",
            "error[unknown-option]: Field `lifecyclestage` of `tool.contacts` does not take `custmer`",
            "Did you mean `customer`?",
        ),
    ),
    "hubspot event": Case(
        "events/pe1_login",
        "email",
        {"note": {"value": "x" * 257}, "occuredAt": {"column": "name"}},
        (
            "error[value-too-long]: Field `note` of `tool.events/pe1_login` takes 256 characters, and `value` has 257",
            "error[unknown-field]: `tool.events/pe1_login` has no field `occuredAt`",
            "Did you mean `occurredAt`?",
        ),
        {"events": [_EVENT]},
        {"mode": "append"},
    ),
    "hubspot list": Case(
        "lists/12",
        "emial",
        {},
        ("error[unknown-field]: `tool.lists/12` has no field `emial`", "Did you mean `email`?"),
        {"lists": [_TRIALS]},
    ),
    "marketo": Case(
        "leads",
        "email",
        {"frstName": {"column": "name"}, "createdAt": {"column": "name"}, "city": {"value": "x" * 256}},
        (
            "error[unknown-field]: `tool.leads` has no field `frstName`",
            "Did you mean `firstName`?",
            "error[read-only-field]: Field `createdAt` of `tool.leads` cannot be written",
            "error[value-too-long]: Field `city` of `tool.leads` takes 255 characters, and `value` has 256",
        ),
    ),
    "marketo list": Case(
        "lists/1001",
        "emial",
        {},
        ("error[unknown-field]: `tool.lists/1001` has no field `emial`", "Did you mean `email`?"),
        {"lists": [{"name": "Trials"}]},
    ),
    "intercom": Case(
        "users",
        "external_id",
        {
            "nmae": {"column": "name"},
            "id": {"column": "name"},
            "score": {"column": "name"},
            "tier": {"value": "piad"},
            "note": {"value": "x" * 256},
        },
        (
            "error[unknown-field]: `tool.users` has no field `nmae`",
            "Did you mean `name`?",
            "error[read-only-field]: Field `id` of `tool.users` cannot be written",
            "error[read-only-field]: Field `score` of `tool.users` cannot be written",
            "error[unknown-option]: Field `tier` of `tool.users` does not take `piad`",
            "Did you mean `paid`?",
            "error[value-too-long]: Field `note` of `tool.users` takes 255 characters, and `value` has 256",
        ),
        {
            "attributes": {
                "contact": [
                    {"name": "score", "data_type": "integer", "api_writable": False},
                    {"name": "tier", "data_type": "options", "options": _OPTIONS},
                    {"name": "note", "data_type": "string"},
                ]
            }
        },
    ),
    "zendesk": Case(
        "tickets",
        "external_id",
        {
            "subjct": {"column": "name"},
            "created_at": {"column": "name"},
            "priority": {"value": "hihg"},
            "custom_fields.360": {"value": "api"},
            "custom_fields.361": {"value": "billling"},
        },
        (
            "error[unknown-field]: `tool.tickets` has no field `subjct`",
            "Did you mean `subject`?",
            "error[read-only-field]: Field `created_at` of `tool.tickets` cannot be written",
            "error[unknown-option]: Field `priority` of `tool.tickets` does not take `hihg`",
            "Did you mean `high`?",
            "error[unknown-option]: Field `custom_fields.361` of `tool.tickets` does not take `billling`",
            "Did you mean `billing`?",
            "error[required-field]: `tool.tickets` creates no record without field `comment`",
        ),
        {
            "ticket_fields": [
                {"id": number, "title": "Area", "type": kind, "custom_field_options": _AREAS}
                for number, kind in ((360, "tagger"), (361, "multiselect"))
            ]
        },
    ),
    "stripe": Case(
        "customers",
        "email",
        {
            "nmae": {"column": "name"},
            "created": {"column": "name"},
            "tax_exempt": {"value": "exempted"},
            "phone": {"value": "1" * 21},
            "metadata.plan": {"value": "x" * 501},
            f"metadata.{'k' * 41}": {"column": "name"},
        },
        (
            "error[unknown-field]: `tool.customers` has no field `nmae`",
            "Did you mean `name`?",
            "error[read-only-field]: Field `created` of `tool.customers` cannot be written",
            "error[unknown-option]: Field `tax_exempt` of `tool.customers` does not take `exempted`",
            "Did you mean `exempt`?",
            "error[value-too-long]: Field `phone` of `tool.customers` takes 20 characters, and `value` has 21",
            "error[value-too-long]: Field `metadata.plan` of `tool.customers` takes 500 characters, and `value`",
            f"error[unknown-field]: `tool.customers` has no field `metadata.{'k' * 41}`",
        ),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_all_mistakes_are_named_before_anything_is_written(name: str, tmp_path: Path) -> None:
    kind, case = name.partition(" ")[0], CASES[name]
    setup = {kind: tmp_path / "setup.json"} if case.setup else {}
    for path in setup.values():
        path.write_text(json.dumps(case.setup))
    connector = registry.connector(kind)
    config = connector.Config.model_validate({"type": kind, "sandbox": True})
    output = Output("tool", "dev", connector, config, Path("destinations.yml"), 1)
    options = RunOptions(retry=EAGER, journal_dir=tmp_path / "journal")
    stop = threading.Event()
    with Warehouse() as warehouse, Sandbox(tmp_path / "sandbox", [kind], setup=setup) as sandbox:
        warehouse.table("people", {"id": "varchar", "name": "varchar"}, [{"id": "'a'", "name": "'Ada'"}])
        sync = warehouse.sync(
            "people",
            "people",
            destination="tool",
            object=case.object,
            key=("id",),
            match={case.match: "id"},
            fields=dict(case.fields),
            **case.more,
        )
        with open_links({"tool": output}, warehouse.store, tmp_path / "sandbox", stop) as links:
            (result,) = Run(warehouse.store, links, options, Listener(), stop).execute([sync], {})
        message = result.message or ""
        assert result.status == "error"
        assert [text for text in case.said if text not in message] == [], message
        assert message.count("error[") == sum(text.startswith("error[") for text in case.said), message
        writes = [line for line in sandbox.requests() if line.method != "GET" and "/oauth" not in line.path]
        assert writes == []


@pytest.mark.parametrize(
    ("kind", "object_name", "match", "asked", "hint"),
    [
        ("intercom", "companies", "company_id", {"on_removed": "archive"}, "cannot bring it back: use `delete`"),
        ("intercom", "users", "email", {"on_removed": "delete"}, "`archive`, which can be taken back"),
        ("intercom", "events", "email", {"mode": "upsert"}, "use `append`"),
        ("zendesk", "organizations", "external_id", {"on_removed": "archive"}, "Zendesk has no archive: use `delete`"),
        ("zendesk", "organizations", "external_id", {"mode": "erase"}, "erases users and tickets only: use `delete`"),
        ("zendesk", "tickets", "external_id", {"create_fields": True}, "Create the fields of `tickets` in the tool"),
        ("stripe", "prices", "lookup_key", {"on_removed": "delete"}, "use `archive`, which makes them inactive"),
        ("stripe", "customers", "email", {"on_removed": "archive"}, "use `on_removed: clear`"),
        ("stripe", "customers", "email", {"mode": "append"}, "use `create` or `upsert`"),
    ],
)
def test_what_a_tool_cannot_do_is_refused_with_what_it_can(
    kind: str, object_name: str, match: str, asked: Mapping[str, Any], hint: str
) -> None:
    connector = registry.connector(kind)
    config = connector.Config.model_validate({"type": kind, "sandbox": True})
    destination = offline(Output("tool", "dev", connector, config, Path("destinations.yml"), 1))
    with Warehouse() as warehouse:
        sync = warehouse.sync(
            "people", "people", destination="tool", object=object_name, key=("id",), match={match: "id"}, **asked
        )
    problems = [found for found in check_capabilities(sync, destination) if found.code == "not-supported"]
    destination.close()
    assert [found.keys for found in problems] == [tuple(asked)]
    assert hint in str(problems[0].hint)
