"""The JSON Schemas accept what the parser accepts, short forms included, and refuse what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator, ValidationError
from shop import DESTINATIONS, USERS, Shop

from revetl_dbt.cli.main import cli
from revetl_dbt.spec.schema import schema

EVERYTHING = """
s:
  destination: salesforce
  object: Contact
  mode: upsert
  key: user_id
  match: {External_User_Id__c: user_id}
  fields:
    Email: email
    LastName: {column: last_name, if_null: "Unknown"}
    LeadSource: {value: Product}
    Plan__c: {sql: "upper(plan)"}
    AccountId: {lookup: {object: Account, match: {Domain__c: company_domain}}}
    Title: {column: title, write: if_empty}
    Hash: {column: email, hash: sha256}
  where: "is_active"
  on_removed: keep
  guards: {max_deletes: 5%, max_changes: 50%, min_rows: 1, max_creates: 10}
  rejected: {max_attempts: 10}
  renamed_from: t
  enabled: false
  allow_pii: [email]
  ledger: values
t: {destination: a, object: b, mode: append, key: [a, b], fields: {x: y}, backfill: skip, allow_pii: email}
"""


def validator(name: str) -> Draft202012Validator:
    content = schema(name)
    Draft202012Validator.check_schema(content)
    return Draft202012Validator(content)


@pytest.mark.parametrize("name", ["meta", "models", "destinations"])
def test_schemas_are_schemas_without_loose_ends(name: str) -> None:
    text = json.dumps(schema(name))
    validator(name)
    names = set(schema(name)["$defs"])
    used = {part.split('"')[0] for part in text.split('"#/$defs/')[1:]}
    assert used <= names


def test_meta_accepts_every_form() -> None:
    validator("meta").validate(yaml.safe_load(EVERYTHING))


@pytest.mark.parametrize(
    "wrong",
    [
        "{s: {destination: a}}",
        "{s: {destination: a, object: b, mood: upsert}}",
        "{s: {destination: a, object: b, mode: mirror}}",
        "{s: {destination: a, object: b, fields: {n: 5}}}",
        "{s: {destination: a, object: b, fields: {n: {column: a, sql: b}}}}",
        "{s: {destination: a, object: b, fields: {n: {if_null: skip}}}}",
        "{s: {destination: a, object: b, guards: {max_deletes: five}}}",
        "{s: {destination: a, object: b, guards: {max_deletes: -1}}}",
        "{'my sync': {destination: a, object: b}}",
        "[s]",
    ],
)
def test_meta_refuses(wrong: str) -> None:
    with pytest.raises(ValidationError):
        validator("meta").validate(yaml.safe_load(wrong))


def test_a_properties_file_is_checked_where_syncs_stand_and_nowhere_else() -> None:
    models = validator("models")
    models.validate(yaml.safe_load(USERS))
    models.validate(
        yaml.safe_load("{version: 2, sources: [{name: x}], models: [{name: a, config: {meta: {owner: me}, x: 1}}]}")
    )
    at_column = "models: [{name: a, columns: [{name: c, config: {meta: {revetl: %s}}}]}]"
    for fine in ("{s: Email}", "{s: {field: Email, if_null: skip}}"):
        models.validate(yaml.safe_load(at_column % fine))
    for wrong in (at_column % "{s: {column: x}}", "seeds: [{name: a, config: {meta: {revetl: {s: {}}}}}]"):
        with pytest.raises(ValidationError):
            models.validate(yaml.safe_load(wrong))


def test_destinations_of_every_installed_type() -> None:
    destinations = validator("destinations")
    destinations.validate(yaml.safe_load(DESTINATIONS))
    jinja = "crm: {outputs: {dev: {type: hubspot, concurrency: \"{{ env_var('N') }}\"}}}"
    destinations.validate(yaml.safe_load(jinja))
    for wrong in (
        "crm: {outputs: {dev: {type: hubspt}}}",
        "crm: {outputs: {dev: {type: hubspot, acces_token: x}}}",
        "crm: {outputs: {dev: {type: hubspot, concurrency: many}}}",
        "crm: {outputs: {dev: {sandbox: true}}}",
        "crm: {output: {}}",
    ):
        with pytest.raises(ValidationError):
            destinations.validate(yaml.safe_load(wrong))


def test_what_the_schema_accepts_the_parser_accepts(shop: Shop) -> None:
    """The full form of the first sync of the design, with an account that can do all of it."""
    sync = yaml.safe_load(EVERYTHING)["s"]
    sync.update(
        destination="crm", object="contacts", renamed_from="old", fields={"firstname": "a", "city": {"value": "x"}}
    )
    sync["match"] = {"email": "email"}
    shop.write_models(yaml.safe_dump({"models": [{"name": "users", "config": {"meta": {"revetl": {"s": sync}}}}]}))
    assert shop.problems() == []


def test_the_command_prints_or_writes(tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert json.loads(run(cli, ["schema", "meta"]).stdout) == schema("meta")
    result = run(cli, ["schema", "--output-dir", str(tmp_path / "new")])
    assert result.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "destinations.json",
        "meta.json",
        "models.json",
    ]
    assert run(cli, ["schema"]).exit_code == 2
