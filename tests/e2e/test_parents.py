"""References to other records in every tool that has them, and fields that a run would create: from dbt models to each
tool's stand-in, read back through the connector. What becomes of a row whose parent is missing, the sync says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from cli.tiny import Tiny, dbt

from revetl_dbt.destinations import registry
from revetl_dbt.destinations.base import Destination
from revetl_dbt.destinations.conformance import OpenGate
from revetl_dbt.sandbox import Sandbox

pytestmark = pytest.mark.xdist_group("parents")  # one story for all tests of this file

PERSON = "select '{kind}1' as person_id, '{kind}1@example.com' as email, 'Ann' as name, 'p1' as parent, 3 as seats"
KINDS = ("reject", "skip", "clear")
PROJECT = {
    "dbt_project.yml": "name: tiny\nversion: '1.0'\nprofile: tiny\nmodels: {+materialized: table}\n",
    "profiles.yml": "tiny: {target: dev, outputs: {dev: {type: duckdb, path: tiny.duckdb}}}\n",
    "models/parents.sql": "select 'p1' as id, 'p1@example.com' as email, 'First' as name",
    "models/wishes.sql": PERSON.format(kind="wish"),
    **{f"models/{kind}.sql": PERSON.format(kind=kind) for kind in KINDS},
}


@dataclass(frozen=True)
class Case:
    """How people and their parents are sent to one tool; `wishes` are fields that a run would create."""

    parent: tuple[str, Mapping[str, str], Mapping[str, str]]
    person: tuple[str, Mapping[str, str], Mapping[str, str]]
    reference: str
    wishes: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    setup: Mapping[str, Any] | None = None

    def parents(self, kind: str) -> dict[str, Any]:
        name, match, fields = self.parent
        return {"destination": kind, "object": name, "key": "id", "match": match, "fields": fields}

    def people(self, kind: str, if_missing: str) -> dict[str, Any]:
        name, match, fields = self.person
        (found,) = self.parent[1]
        lookup = {"object": self.parent[0], "match": {found: "parent"}, "if_missing": if_missing}
        spec = {"destination": kind, "object": name, "key": "person_id", "match": match}
        return {**spec, "fields": {**fields, self.reference: {"lookup": lookup}}}

    def wished(self, kind: str) -> dict[str, Any]:
        name, match, fields = self.person
        spec = {"destination": kind, "object": name, "key": "person_id", "match": match, "create_fields": True}
        return {**spec, "fields": {**fields, **self.wishes}}


_REF = {"name": "Ref__c", "type": "string", "label": "Ref", "externalId": True, "unique": True}
_PROPERTY = {"name": "ref", "label": "Ref", "type": "string", "fieldType": "text", "hasUniqueValue": True}
_PROPERTY["groupName"] = "companyinformation"
_NAMED = {"name": "name"}
CASES: Mapping[str, Case] = {
    "hubspot": Case(
        ("companies", {"ref": "id"}, _NAMED),
        ("contacts", {"email": "email"}, {"firstname": "name"}),
        "associations.companies",
        {"paid_seats": "seats", "associations.companies.Sold by": "parent"},
        setup={"properties": {"companies": [_PROPERTY]}},
    ),
    "salesforce": Case(
        ("Account", {"Ref__c": "id"}, {"Name": "name"}),
        ("Contact", {"Ref__c": "person_id"}, {"LastName": "name"}),
        "AccountId",
        {"Paid_Seats__c": "seats"},
        setup={"fields": {"Contact": [_REF], "Account": [_REF]}},
    ),
    "marketo": Case(
        ("companies", {"externalCompanyId": "id"}, {"company": "name"}),
        ("leads", {"email": "email"}, {"lastName": "name"}),
        "sponsor",
        {"paidSeats": "seats"},
        setup={"fields": {"leads": [{"name": "sponsor", "dataType": "integer"}]}},
    ),
    "intercom": Case(
        ("companies", {"company_id": "id"}, _NAMED),
        ("users", {"external_id": "person_id"}, _NAMED),
        "sponsor",
        {"paid_seats": "seats"},
        setup={"attributes": {"contact": [{"name": "sponsor", "data_type": "string"}]}},
    ),
    "zendesk": Case(
        ("organizations", {"external_id": "id"}, _NAMED),
        ("users", {"external_id": "person_id"}, {"name": "name", "email": "email"}),
        "user_fields.sponsor",
        {"user_fields.paid_seats": "seats"},
        {"job_seconds": 0.01},
        {"user_fields": [{"key": "sponsor", "title": "Sponsor", "type": "text"}]},
    ),
    "stripe": Case(
        ("products", {"id": "id"}, _NAMED),
        ("customers", {"metadata.ref": "person_id"}, _NAMED),
        "metadata.sponsor",
    ),
}


@dataclass(frozen=True)
class Story:
    plans: Mapping[str, Any]
    results: Sequence[Mapping[str, Any]]
    held: Sequence[Mapping[tuple[str, str], Any]]  # what the reference holds, by tool and `if_missing`


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    built, folder = tmp_path_factory.mktemp("parents"), tmp_path_factory.mktemp("runs")
    syncs: dict[str, dict[str, Any]] = {
        "parents": {f"parents_to_{kind}": case.parents(kind) for kind, case in CASES.items()},
        "wishes": {f"wishes_to_{kind}": case.wished(kind) for kind, case in CASES.items() if case.wishes},
        **{
            missing: {f"{missing}_to_{kind}": case.people(kind, missing) for kind, case in CASES.items()}
            for missing in KINDS
        },
    }
    outputs = {k: {"outputs": {"dev": {"type": k, "sandbox": True, **c.settings}}} for k, c in CASES.items()}
    models = [{"name": name, "config": {"meta": {"revetl": held}}} for name, held in syncs.items()]
    (built / "models").mkdir()
    files = {
        **PROJECT,
        "destinations.yml": yaml.safe_dump(outputs),
        "models/models.yml": yaml.safe_dump({"models": models}),
    }
    for name, text in files.items():
        (built / name).write_text(text, encoding="utf-8")
    dbt(built, "build")
    setup = {}
    for kind, case in CASES.items():
        if case.setup is not None:
            setup[kind] = built / f"{kind}.json"
            setup[kind].write_text(json.dumps(case.setup), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        tiny = Tiny(built, folder)
        with Sandbox(tiny.state / "sandbox", list(CASES), setup=setup) as sandbox:
            yield told(tiny, sandbox)


def told(tiny: Tiny, sandbox: Sandbox) -> Story:
    """Run all syncs with parents that are there, then with one that is not."""
    tiny.revetl("run", "--exclude", "wishes")
    results, held = [tiny.results()], [references(sandbox)]
    for kind in KINDS:
        tiny.sql(f"update \"{kind}\" set parent = 'gone', name = 'Bea'")
    tiny.revetl("run", "--exclude", "wishes")
    results.append(tiny.results())
    held.append(references(sandbox))
    tiny.revetl("plan", "--select", "wishes")
    return Story(tiny.plan(), results, held)


def references(sandbox: Sandbox) -> dict[tuple[str, str], Any]:
    held: dict[tuple[str, str], Any] = {}
    for kind, case in CASES.items():
        connector = registry.connector(kind)
        config = connector.Config.model_validate({"type": kind, "sandbox": True, **case.settings})
        destination: Destination = connector(config.in_sandbox(sandbox.url(kind), sandbox.token(kind)), OpenGate())
        try:
            name, match, _ = case.person
            (found,) = match
            ending = "@example.com" if found == "email" else ""
            asked = {f"{missing}1{ending}": missing for missing in KINDS}
            for record in destination.read(name, found, list(asked), [case.reference]):
                held[kind, asked[str(record.match)]] = record.fields.get(case.reference)
        finally:
            destination.close()
    return held


@pytest.mark.parametrize("kind", CASES)
def test_parents_go_first_and_are_found(story: Story, kind: str) -> None:
    assert {story.results[0][f"{name}_to_{kind}"]["status"] for name in ("parents", *KINDS)} == {"success"}
    first = [story.held[0][kind, missing] for missing in KINDS]
    assert first[0]
    assert first == [first[0]] * 3


@pytest.mark.parametrize("kind", CASES)
def test_what_becomes_of_a_missing_parent(story: Story, kind: str) -> None:
    before = story.held[0][kind, "skip"]
    assert story.held[1][kind, "skip"] == story.held[1][kind, "reject"] == before
    assert not story.held[1][kind, "clear"]
    for missing in ("skip", "clear"):
        assert story.results[1][f"{missing}_to_{kind}"]["counts"]["updated"] == 1
    refused = story.results[1][f"reject_to_{kind}"]
    assert refused["counts"]["rejected"] == 1
    assert len(refused["reasons"]) == 1


@pytest.mark.parametrize("kind", [kind for kind, case in CASES.items() if case.wishes])
def test_the_plan_shows_the_fields_that_a_run_creates(story: Story, kind: str) -> None:
    assert set(story.plans[f"wishes_to_{kind}"]["new_fields"]) == set(CASES[kind].wishes)
