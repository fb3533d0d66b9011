"""From a dbt model to each tool and back: dbt builds the table, `revetl run` sends it to the tool's stand-in, and what
the tool then holds is read back through the connector. One story for every connector: a first run, a run with nothing
to do, a row that changes, one that goes, one that the tool refuses, and one that is mended.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli.tiny import Tiny, dbt

from revetl_dbt.destinations import registry
from revetl_dbt.destinations.base import Destination
from revetl_dbt.destinations.conformance import OpenGate
from revetl_dbt.sandbox import Sandbox

pytestmark = pytest.mark.xdist_group("every connector")  # one story for all tests of this file

PEOPLE = 12
CHANGED, REMOVED, ADDED = 1, 2, 99
NO_ADDRESS = "nobody at all"  # which every tool but an API of one's own refuses
PROJECT = {
    "dbt_project.yml": "name: tiny\nversion: '1.0'\nprofile: tiny\n",
    "profiles.yml": "tiny: {target: dev, outputs: {dev: {type: duckdb, path: tiny.duckdb}}}\n",
    "models/people.sql": """\
select
    cast(i as varchar) as person_id,
    'person' || i || '@example.com' as email,
    'Ånn ' || i as name,
    'Ltd "' || i || '"' as company,
    '+1415555' || lpad(cast(i as varchar), 4, '0') as phone
from range(1, """
    + str(PEOPLE + 1)
    + """) as t(i)
""",
}


@dataclass(frozen=True)
class Case:
    """How people are sent to one tool: the sync, the output's settings, what the account has beyond its defaults.

    `match` finds a record, `name` is the field that holds the person's name, and `phone` the one with the number.
    """

    object: str
    match: tuple[str, str]
    fields: Mapping[str, Any]
    name: str
    phone: str
    on_removed: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    setup: Mapping[str, Any] | None = None
    refuses: bool = True

    def sync(self, kind: str) -> dict[str, Any]:
        return {
            "destination": kind,
            "object": self.object,
            "key": "person_id",
            "match": dict([self.match]),
            "fields": {**self.fields, self.phone: "phone"},
            "on_removed": self.on_removed,
        }


_API = {
    "people": {
        "match": ["id"],
        "operations": {
            "upsert": {"path": "/people/{id}", "method": "PUT"},
            "delete": {"path": "/people/{id}", "method": "DELETE"},
        },
    }
}
_REF = {"name": "Ref__c", "type": "string", "label": "Ref", "externalId": True, "unique": True}
CASES: Mapping[str, Case] = {
    "http": Case(
        "people", ("id", "person_id"), {"name": "name"}, "name", "phone", "delete", {"objects": _API}, refuses=False
    ),
    "hubspot": Case("contacts", ("email", "email"), {"firstname": "name"}, "firstname", "phone", "archive"),
    "salesforce": Case(
        "Contact",
        ("Ref__c", "person_id"),
        {"LastName": "name", "Email": "email", "Department": "company"},
        "LastName",
        "Phone",
        "delete",
        setup={"fields": {"Contact": [_REF]}},
    ),
    "marketo": Case(
        "leads", ("email", "email"), {"lastName": "name", "company": "company"}, "lastName", "phone", "delete"
    ),
    "intercom": Case(
        "users", ("external_id", "person_id"), {"name": "name", "email": "email"}, "name", "phone", "archive"
    ),
    "zendesk": Case(
        "users",
        ("external_id", "person_id"),
        {"name": "name", "email": "email"},
        "name",
        "phone",
        "delete",
        {"job_seconds": 0.01},
    ),
    "stripe": Case(
        "customers",
        ("metadata.person_id", "person_id"),
        {"name": "name", "email": "email", "metadata.company": "company"},
        "name",
        "phone",
        "delete",
    ),
}


def test_every_connector_has_a_case() -> None:
    assert set(registry.names()) == set(CASES)


@dataclass(frozen=True)
class Story:
    """What happened to one tool: the result of each run, and what the tool and the warehouse held after it."""

    case: Case
    results: list[Mapping[str, Any]]
    held: list[Mapping[str, Any]]  # match value: name
    phones: list[Mapping[str, Any]]  # match value: telephone number
    rows: list[Mapping[str, str]]
    requests: list[int]

    def counts(self, number: int) -> dict[str, int]:
        """The accepted rows of a run by what became of them, and the rejected ones."""
        counts = self.results[number]["counts"]
        names = ("created", "updated", "deleted", "rejected", "unknown", "held", "not_attempted")
        return {name: counts[name] for name in names if counts.get(name)}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, built by dbt with the syncs to all tools."""
    folder = tmp_path_factory.mktemp("every")
    outputs = {
        kind: {"outputs": {"dev": {"type": kind, "sandbox": True, **case.settings}}} for kind, case in CASES.items()
    }
    model = {
        "name": "people",
        "config": {"materialized": "table", "meta": {"revetl": {f"to_{k}": c.sync(k) for k, c in CASES.items()}}},
        "columns": [{"name": "person_id", "data_tests": ["unique", "not_null"]}],
    }
    files = {
        **PROJECT,
        "destinations.yml": yaml.safe_dump(outputs),
        "models/models.yml": yaml.safe_dump({"models": [model]}),
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    dbt(folder, "build")
    return folder


@pytest.fixture(scope="module")
def stories(built: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Story]:
    """The stories of all tools, which are sent to side by side."""
    folder = tmp_path_factory.mktemp("runs")
    setup = {}
    for kind, case in CASES.items():
        if case.setup is not None:
            setup[kind] = folder / f"{kind}.json"
            setup[kind].write_text(json.dumps(case.setup), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        tiny = Tiny(built, folder)
        with Sandbox(tiny.state / "sandbox", list(CASES), setup=setup) as sandbox:
            return told(tiny, sandbox)


@pytest.fixture(params=CASES)
def story(stories: dict[str, Story], request: pytest.FixtureRequest) -> Story:
    return stories[request.param]


def told(tiny: Tiny, sandbox: Sandbox) -> dict[str, Story]:
    """Run all syncs five times, the model changing in between."""
    stories = {kind: Story(case, [], [], [], [], []) for kind, case in CASES.items()}
    changes = (
        (),
        (),
        (
            f"update people set name = 'Bea \U0001f986' where person_id = '{CHANGED}'",
            f"delete from people where person_id = '{REMOVED}'",
            f"insert into people values ('{ADDED}', '{NO_ADDRESS}', 'Zoë', null, null)",
        ),
        (
            f"update people set email = 'zoe@example.com', name = 'Zoé' where person_id = '{ADDED}'",
            f"update people set phone = null where person_id = '{CHANGED}'",
        ),
        (),
    )
    for statements in changes:
        for statement in statements:
            tiny.sql(statement)
        tiny.revetl("run")
        asked = Counter(request.vendor for request in sandbox.requests())
        for kind, story in stories.items():
            story.results.append(tiny.results()[f"to_{kind}"])
            story.rows.append(dict(tiny.sql(f"select {story.case.match[1]}, name from people")))
            story.requests.append(asked[kind])
            names, phones = held(kind, story.case, sandbox, {*story.rows[0], *story.rows[-1]})
            story.held.append(names)
            story.phones.append(phones)
        sandbox.reset(requests_only=True)
    return stories


def held(kind: str, case: Case, sandbox: Sandbox, asked: set[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The names and the telephone numbers that the tool holds, read back through the connector."""
    if kind == "http":
        found = [(record.id, record.properties) for record in sandbox.store.scan(kind, case.object)]
    else:
        connector = registry.connector(kind)
        config = connector.Config.model_validate({"type": kind, "sandbox": True, **case.settings})
        destination: Destination = connector(config.in_sandbox(sandbox.url(kind), sandbox.token(kind)), OpenGate())
        try:
            records = destination.read(case.object, case.match[0], sorted(asked), [case.name, case.phone])
            found = [(str(record.match), dict(record.fields)) for record in records]
        finally:
            destination.close()
    return {match: fields[case.name] for match, fields in found}, {match: fields[case.phone] for match, fields in found}


def test_a_first_run_creates_every_record(story: Story) -> None:
    assert (story.results[0]["status"], story.counts(0)) == ("success", {"created": PEOPLE})
    assert story.held[0] == story.rows[0]


def test_a_run_with_nothing_to_do_asks_nothing(story: Story) -> None:
    for number in (1, 4):
        assert (story.results[number]["status"], story.counts(number)) == ("no-op", {})
        assert story.requests[number] == 0


def test_what_differs_is_sent_and_what_the_tool_refuses_is_said(story: Story) -> None:
    counts = {"created": 1, "updated": 1, "deleted": 1}
    if not story.case.refuses:
        assert (story.results[2]["status"], story.counts(2)) == ("success", counts)
        assert story.held[2] == story.rows[2]
        return
    assert story.results[2]["status"] == "partial success"
    assert story.counts(2) == {"updated": 1, "deleted": 1, "rejected": 1}
    (reason,) = story.results[2]["reasons"]
    assert reason["rows"] == 1
    refused = {NO_ADDRESS, str(ADDED)}
    assert story.held[2] == {match: name for match, name in story.rows[2].items() if match not in refused}


def test_a_mended_row_arrives_and_a_null_clears(story: Story) -> None:
    assert story.results[3]["status"] == "success"
    assert story.counts(3) == ({"created": 1, "updated": 1} if story.case.refuses else {"updated": 2})
    assert story.held[3] == story.held[4] == story.rows[3]
    row = {"person_id": str(CHANGED), "email": f"person{CHANGED}@example.com"}[story.case.match[1]]
    assert story.phones[2][row] == "+14155550001"
    assert not story.phones[3][row]
