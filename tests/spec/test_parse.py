"""Declarations: short forms, defaults, and every problem that can be known from the files alone."""

from __future__ import annotations

import json

import pytest
from shop import USERS, Shop

from revetl_dbt.destinations.base import Guards
from revetl_dbt.spec.models import ChangedSince, FieldMapping, Lookup, Mode, OnRemoved, SyncSpec, Write
from revetl_dbt.spec.parse import check_columns

HEAD = "destination: api\nobject: users\nmatch: {email: email}\n"
FIELDS = HEAD + "fields:\n  "
BASE = """
destination: api
object: users
match: {email: email}
fields: {name: full_name}
"""
TESTED = "- {name: email, data_tests: [unique, not_null]}\n- name: full_name"


def test_a_sync_knows_its_model_and_place(shop: Shop) -> None:
    sync = shop.load().syncs[0]
    assert sync.name == "users_to_api"
    assert sync.source.relation_name == '"shop"."main"."users"'
    assert sync.source.columns == ("user_id", "email", "full_name")
    assert (str(sync.path), sync.line) == ("models/schema.yml", 6)
    assert sync.place("fields", "name").line == 12
    assert sync.spec == SyncSpec(
        destination="api",
        object="users",
        key=("user_id",),
        match={"email": "email"},
        fields={"name": FieldMapping(column="full_name")},
    )


def test_short_forms_and_every_option(shop: Shop) -> None:
    shop.write_sync(
        """
destination: api
object: users
mode: upsert
match: {email: email}
fields:
  name: full_name
  plan: {sql: "upper(plan)"}
  source: {value: product}
  title: {column: title, if_null: skip, write: on_create}
  hash: {column: phone, hash: sha256}
where: is_active
on_removed: clear
guards: {max_deletes: 5%, min_rows: 1}
rejected: {max_attempts: 3}
renamed_from: old
enabled: false
allow_pii: full_name
ledger: values
""",
        "- {name: email, data_tests: [unique, not_null]}",
    )
    shop.write(
        "destinations.yml",
        "api: {outputs: {dev: {type: http, sandbox: true, objects: {users: {operations: {upsert: {path: /u}}}}}}}",
    )
    problem = (
        shop.problem()
    )  # the object cannot be read, so it is not known whether a field is written for the first time
    assert problem.code == "not-supported"
    shop.write_sync(
        HEAD + "fields: {a: x, b: {value: 1}}\non_removed: clear\n"
        "guards: {max_deletes: 5%}\nallow_pii: x\nledger: values\nenabled: false"
    )
    loaded = shop.load()
    spec = loaded.syncs[0].spec
    assert spec.key == ("email",)
    assert spec.fields == {"a": FieldMapping(column="x"), "b": FieldMapping(value=1)}
    assert (spec.on_removed, spec.allow_pii, spec.ledger, spec.enabled) == (
        OnRemoved.CLEAR,
        ("x",),
        "values",
        False,
    )
    assert spec.guards == Guards(max_deletes="5%")


def test_composite_key_and_modes(shop: Shop) -> None:
    shop.write_sync(
        "destination: api\nobject: events\nmode: append\nkey: [day, user_id]\nfields: {day: day}\nbackfill: skip"
    )
    spec = shop.load().syncs[0].spec
    assert (spec.key, spec.mode, spec.backfill) == (("day", "user_id"), Mode.APPEND, "skip")


def test_columns_carry_their_own_mapping(shop: Shop) -> None:
    shop.write_sync(
        HEAD,
        """
- {name: email, data_tests: [unique, not_null]}
- {name: full_name, config: {meta: {revetl: {s: name}}}}
- {name: plan, config: {meta: {revetl: {s: {field: Plan, if_null: skip, write: always}}}}}
""",
    )
    sync = shop.load().syncs[0]
    assert sync.spec.fields == {
        "name": FieldMapping(column="full_name"),
        "Plan": FieldMapping(column="plan", if_null="skip", write=Write.ALWAYS),
    }
    assert sync.place("fields", "name").line == 12


def test_a_lookup(shop: Shop) -> None:
    shop.write_sync(
        "destination: crm\nobject: contacts\nmatch: {email: email}\n"
        "fields:\n  company: {lookup: {object: companies, match: {domain: domain}, if_missing: clear}}"
    )
    mapping = shop.load().syncs[0].spec.fields["company"]
    assert mapping.lookup == Lookup(object="companies", match={"domain": "domain"}, if_missing="clear")


PROBLEMS = {
    "unknown key": (
        HEAD + "mdoe: upsert # <-",
        "unknown-key",
        "s.mdoe",
        "`mode`",
    ),
    "misspelt required key": (
        "destnation: api # <-\nobject: users\nmatch: {email: email}",
        "unknown-key",
        "s.destnation",
        "`destination`",
    ),
    "unknown key of a mapping": (
        f"{BASE}  \nguards: {{max_delete: 1}} # <-",
        "unknown-key",
        "s.guards.max_delete",
        "`max_deletes`",
    ),
    "missing destination": ("object: users # <-\nmatch: {email: email}", "missing-key", "s.destination", None),
    "missing object": ("destination: api # <-\nmatch: {email: email}", "missing-key", "s.object", None),
    "wrong type": (f"{BASE}where: [1] # <-", "wrong-type", "s.where", None),
    "a list for a mapping": (
        HEAD + "fields: [a] # <-",
        "wrong-type",
        "s.fields",
        None,
    ),
    "a number for a field": (
        FIELDS + "n: 5 # <-",
        "wrong-type",
        "s.fields.n",
        "{value: 5}",
    ),
    "not a mapping at all": ("[1] # <-", "wrong-type", "s", None),
    "wrong mode": (f"{BASE}mode: mirror # <-", "invalid-value", "s.mode", None),
    "misspelt mode": (f"{BASE}mode: upsrt # <-", "invalid-value", "s.mode", "`upsert`"),
    "guard syntax": (f"{BASE}guards: {{max_deletes: five}} # <-", "invalid-value", "s.guards.max_deletes", None),
    "guard above all": (f"{BASE}guards: {{max_deletes: 120%}} # <-", "invalid-value", "s.guards.max_deletes", None),
    "guard below nothing": (f"{BASE}guards: {{min_rows: -1}} # <-", "invalid-value", "s.guards.min_rows", None),
    "no match": (
        "destination: api # <-\nobject: users\nkey: email\nfields: {name: full_name}",
        "match-missing",
        "s.match",
        None,
    ),
    "no key": (
        "destination: api # <-\nobject: events\nmode: append\nfields: {name: full_name}",
        "missing-key",
        "s.key",
        None,
    ),
    "a column twice in the key": (f"{BASE}key: [email, EMAIL] # <-", "key-twice", "s.key", None),
    "a key twice in the YAML": (f"{BASE}where: a\nwhere: b # <-", "key-twice", "s.where", None),
    "removal in a mode that cannot": (
        f"{BASE}mode: create\non_removed: clear # <-",
        "mode-conflict",
        "s.on_removed",
        None,
    ),
    "deletes of updated records": (
        f"{BASE}mode: update\non_removed: delete # <-",
        "mode-conflict",
        "s.on_removed",
        None,
    ),
    "backfill without append": (f"{BASE}backfill: skip # <-", "mode-conflict", "s.backfill", None),
    "unseen rows of a delete": (
        HEAD + "mode: delete\nchanged_since: full_name # <-",
        "mode-conflict",
        "s.changed_since",
        None,
    ),
    "a plan that is not repeated, and the clock": (
        f"{BASE}skip_unchanged: true\nwhere: trial_ends < CURRENT_DATE # <-",
        "not-repeatable",
        "s.where",
        "skip_unchanged",
    ),
    "a plan that is not repeated, and another table": (
        f"{BASE}skip_unchanged: true\nwhere: id in (select id from others) # <-",
        "not-repeatable",
        "s.where",
        None,
    ),
    "all rows never": (
        f"{BASE}changed_since: {{column: full_name, all_every: 0}} # <-",
        "invalid-value",
        "s.changed_since.all_every",
        None,
    ),
    "fields of a delete": (
        "destination: api\nobject: users\nmode: delete\nmatch: {email: email}\nfields: {name: full_name} # <-",
        "mode-conflict",
        "s.fields",
        None,
    ),
    "update of nothing": (
        "destination: api # <-\nobject: users\nmode: update\nmatch: {email: email}",
        "fields-missing",
        "s.fields",
        None,
    ),
    "append of nothing": (
        "destination: api # <-\nobject: events\nmode: append\nkey: email",
        "fields-missing",
        "s.fields",
        None,
    ),
    "column and sql": (
        FIELDS + "n: {column: a, sql: b} # <-",
        "mapping-ambiguous",
        "s.fields.n",
        None,
    ),
    "neither": (
        FIELDS + "n: {if_null: skip} # <-",
        "mapping-ambiguous",
        "s.fields.n",
        None,
    ),
    "an empty constant": (
        FIELDS + "n: {value: null} # <-",
        "wrong-type",
        "s.fields.n.value",
        "{sql: 'null'}",
    ),
    "hash of a constant": (
        FIELDS + "n: {value: 1, hash: sha256} # <-",
        "mapping-conflict",
        "s.fields.n.hash",
        None,
    ),
    "a form to hash and no hash": (
        FIELDS + "n: {column: a, normalise: phone} # <-",
        "mapping-conflict",
        "s.fields.n.normalise",
        None,
    ),
    "a share of nothing": (
        HEAD + "mode: delete\nguards: {max_deletes: 5%} # <-",
        "mode-conflict",
        "s.guards.max_deletes",
        None,
    ),
    "on_create in mode update": (
        "mode: update\n" + FIELDS + "n: {column: a, write: on_create} # <-",
        "mode-conflict",
        "s.fields.n.write",
        None,
    ),
    "match and field": (
        FIELDS + "Email: full_name # <-",
        "field-twice",
        "s.fields.Email",
        None,
    ),
    "letter case": (
        FIELDS + "name: a\n  Name: b # <-",
        "field-twice",
        "s.fields.Name",
        None,
    ),
    "Jinja": (f"{BASE}where: \"{{{{ '{{{{' }}}} x\" # <-", "jinja-in-expression", "s.where", None),
    "statement": (f'{BASE}where: "true; drop table x" # <-', "sql-invalid", "s.where", None),
    "empty expression": (f'{BASE}where: " " # <-', "wrong-type", "s.where", None),
    "a secret's name": (f"{BASE}api_key: hello # <-", "secret-in-meta", "s.api_key", "DBT_ENV_SECRET_"),
    "a secret's form": (
        FIELDS + "n: {value: pat-na1-0123abcd-4567} # <-",
        "secret-in-meta",
        "s.fields.n.value",
        None,
    ),
    "a ledger of fingerprints": (f"{BASE}ledger: fingerprint # <-", "not-available", "s.ledger", None),
    "renamed to an existing sync": (f"{BASE}renamed_from: s # <-", "rename-conflict", "s.renamed_from", None),
    "an object looking itself up": (
        FIELDS + "boss: {lookup: {object: users, match: {id: boss_id}}} # <-",
        "lookup-cycle",
        "s.fields.boss.lookup",
        None,
    ),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_a_problem_has_its_code_line_and_hint(shop: Shop, case: str) -> None:
    block, code, field, hint = PROBLEMS[case]
    shop.write_sync(block, TESTED)
    found = [item for item in shop.problems() if item.code != "not-supported"]
    assert [(item.code, item.field) for item in found] == [(code, f"config.meta.revetl.{field}")]
    assert str(found[0].path) == "models/schema.yml"
    # What is missing has no line of its own: the sync's stands for it.
    assert found[0].line == (6 if "missing" in code or field == "s" else shop.marked_line("models/schema.yml"))
    if hint is not None:
        assert hint in (found[0].hint or "")


def test_all_problems_of_all_models_at_once(shop: Shop) -> None:
    shop.write_models(
        """
models:
  - name: users
    config:
      meta: {revetl: {a: {destination: api, object: users, match: {e: email}, mode: x, guards: {min_rows: y}, b: 1}}}
  - name: orders
    config: {meta: {revetl: {b: {destination: nowhere, object: users}}}}
  - name: items
    config: {meta: {revetl: [c]}}
"""
    )
    codes = sorted(item.code for item in shop.problems())
    assert codes == [
        "invalid-value",
        "match-missing",
        "missing-key",
        "unknown-destination",
        "unknown-key",
        "wrong-type",
        "wrong-type",
    ]


def test_the_values_of_secrets_are_never_shown(shop: Shop) -> None:
    secret = "sk_live_0123456789abcdef"
    shop.write_sync(HEAD + f"mode: {secret}\ntoken: {secret}\nwhere: [{secret}]\nledger: {secret}")
    problems = shop.problems()
    assert {item.code for item in problems} >= {"secret-in-meta"}
    assert secret not in "".join(item.render() for item in problems)


def test_a_secret_in_place_of_a_name_is_never_shown(shop: Shop) -> None:
    secret = "xoxb-1234-abcd"
    for block in (
        f"destination: {secret}\nobject: users",
        f"destination: api\nobject: {secret}",
        f"destination: api\n{secret}: 1",
    ):
        shop.write_sync(f"{block}\nmatch: {{email: email}}")
        text = "".join(item.render() for item in shop.problems())
        assert "error" in text
        assert "1234" not in text


@pytest.mark.parametrize("value", ["Basic Subscription Plan", "sk_test", "token", "pat-a-cake", "eyJ.a.b"])
def test_a_constant_that_is_no_secret(shop: Shop, value: str) -> None:
    shop.write_sync(FIELDS + f"plan: {{value: {value}}}")
    assert shop.problems() == []


def test_names_of_syncs(shop: Shop) -> None:
    shop.write_models(USERS.replace("users_to_api", "users-to api"))
    assert shop.problem().code == "name-invalid"


def test_names_are_unique_in_the_project(shop: Shop) -> None:
    second = (
        USERS.replace("models:\n", "").replace("name: users", "name: people").replace("users_to_api", "Users_to_api")
    )
    shop.write_models(USERS + second)
    problem = shop.problem()
    assert problem.code == "sync-twice"
    assert "(models/schema.yml:6)" in problem.summary
    assert problem.line == 22


@pytest.mark.parametrize(
    ("override", "code"),
    [
        ({"relation_name": None, "config": {"materialized": "ephemeral"}}, "not-a-relation"),
        ({"resource_type": "analysis", "relation_name": None}, "not-a-model"),
    ],
)
def test_only_relations_can_be_read(shop: Shop, override: dict, code: str) -> None:
    config = {"meta": {"revetl": {"s": {"destination": "api", "object": "users", "match": {"email": "email"}}}}}
    shop.write_models(USERS, **{**override, "config": {**override.get("config", {}), **config}})
    assert shop.problem().code == code


def test_a_view_changes_although_it_is_not_rebuilt(shop: Shop) -> None:
    spec = {"destination": "api", "object": "users", "match": {"email": "email"}, "skip_unchanged": True}
    config = {"meta": {"revetl": {"users_to_api": spec}}}
    shop.write_models(USERS, config={"materialized": "view", **config})
    assert shop.problem().code == "not-repeatable"
    shop.write_models(USERS, config={"materialized": "incremental", **config})
    assert shop.problems() == []


def test_a_column_for_a_sync_that_is_not_there(shop: Shop) -> None:
    shop.write_models(USERS + "        config: {meta: {revetl: {user_to_api: x}}} # <-\n")
    problem = shop.problem()
    assert (problem.code, problem.line) == ("unknown-sync", shop.marked_line("models/schema.yml"))
    assert "`users_to_api`" in (problem.hint or "")


def test_a_column_block_that_is_no_mapping(shop: Shop) -> None:
    shop.write_models(USERS + "        config: {meta: {revetl: name}}\n")
    assert shop.problem().code == "wrong-type"


@pytest.mark.parametrize("value", ["name", "{field: name, if_null: skip}"])
def test_a_field_at_a_column_and_in_fields(shop: Shop, value: str) -> None:
    shop.write_models(USERS + f"        config: {{meta: {{revetl: {{users_to_api: {value}}}}}}}\n")
    assert shop.problem().code == "field-twice"


@pytest.mark.parametrize(("value", "code"), [("5", "wrong-type"), ("{field: x, column: y}", "unknown-key")])
def test_a_short_form_that_says_nothing(shop: Shop, value: str, code: str) -> None:
    shop.write_models(USERS + f"        config: {{meta: {{revetl: {{users_to_api: {value}}}}}}}\n")
    assert shop.problem().code == code


class TestPersonalData:
    COLUMNS = """
- {name: email, data_tests: [unique, not_null]}
- {name: phone, config: {meta: {pii: true}}}
- {name: born, config: {tags: [gdpr]}}
"""

    def test_is_refused(self, shop: Shop) -> None:
        shop.write_sync(HEAD + "fields: {phone: phone}", self.COLUMNS)
        problem = shop.problem()
        assert (problem.code, problem.field) == ("pii-not-allowed", "config.meta.revetl.s.fields.phone")

    @pytest.mark.parametrize(("mark", "refused"), [("high", True), ("'yes'", True), ("false", False), ("'no'", False)])
    def test_is_what_somebody_marked_in_whatever_words(self, shop: Shop, mark: str, refused: bool) -> None:
        shop.write_sync(HEAD + "fields: {phone: phone}", self.COLUMNS.replace("pii: true", f"pii: {mark}"))
        assert [item.code for item in shop.problems()] == ["pii-not-allowed"] * refused

    def test_is_refused_in_sql_and_in_match(self, shop: Shop) -> None:
        shop.write_sync(
            'destination: api\nobject: users\nmatch: {id: phone}\nkey: email\nfields: {a: {sql: "trim(PHONE)"}}',
            self.COLUMNS,
        )
        assert [item.code for item in shop.problems()] == ["pii-not-allowed", "pii-not-allowed"]

    @pytest.mark.parametrize(
        ("sql", "refused"),
        [
            ("to_json(users)", True),
            ('row_to_json("USERS")', True),
            ("users::text", True),
            ("object_construct(*)", True),
            ("to_json(struct(users.*))", True),
            ("coalesce(*columns('ph.*'))", True),
            ("to_json(users, true)", True),
            ("upper(users.email)", False),
            ("users_seen * 2", False),
            ("1.*seen", False),
            ("concat('users', email)", False),
        ],
    )
    def test_is_refused_in_the_row_as_a_whole(self, shop: Shop, sql: str, refused: bool) -> None:
        shop.write_sync(HEAD + f"fields: {{a: {{sql: {json.dumps(sql)}}}}}", self.COLUMNS)
        assert [item.code for item in shop.problems()] == ["pii-not-allowed"] * refused

    @pytest.mark.parametrize(
        "fields",
        ["{a: {column: phone, hash: sha256}}", "{a: {sql: \"'phone'\"}}", "{a: {sql: phone_verified}}", "{a: email}"],
    )
    def test_may_go_as_a_hash_or_not_at_all(self, shop: Shop, fields: str) -> None:
        shop.write_sync(HEAD + f"fields: {fields}", self.COLUMNS)
        assert shop.problems() == []

    def test_may_go_where_it_is_allowed(self, shop: Shop) -> None:
        shop.write_sync(
            HEAD + "fields: {a: phone}\nallow_pii: [PHONE]",
            self.COLUMNS,
        )
        assert shop.problems() == []

    @pytest.mark.parametrize("where", ["vars: {revetl_pii_tags: gdpr}", "vars: {shop: {revetl_pii_tags: [x, gdpr]}}"])
    def test_is_known_by_a_tag_of_the_project(self, shop: Shop, where: str) -> None:
        shop.write_sync(HEAD + "fields: {a: born}", self.COLUMNS)
        assert shop.problems() == []
        shop.write("dbt_project.yml", f"name: shop\nprofile: shop\n{where}\n")
        assert shop.problem().code == "pii-not-allowed"
        assert shop.problems(vars={"revetl_pii_tags": []}) == []


class TestColumns:
    def test_one_that_tells_what_is_new_need_not_be_mapped(self, shop: Shop) -> None:
        shop.write_sync(f"{BASE}changed_since: updated_at")
        (sync,) = shop.load().syncs
        assert sync.spec.changed_since == ChangedSince(column="updated_at", all_every=24)
        (problem,) = check_columns(sync, ["email", "full_name", "updated_on"])
        assert (problem.code, problem.hint) == ("unknown-column", "Did you mean `updated_on`?")

    def test_are_checked_where_a_contract_is_enforced(self, shop: Shop) -> None:
        contract = {"config": {"materialized": "table", "contract": {"enforced": True}}}
        text = USERS.replace("name: full_name\n    columns", "name: fullname # <-\n    columns")
        shop.write_models(text)
        assert shop.problems() == []
        block = {
            "users_to_api": {
                "destination": "api",
                "object": "users",
                "match": {"email": "email"},
                "fields": {"name": "fullname"},
            }
        }
        contract["config"]["meta"] = {"revetl": block}
        shop.write_models(text, **contract)
        problem = shop.problem()
        assert (problem.code, problem.line) == ("unknown-column", shop.marked_line("models/schema.yml"))
        assert "`full_name`" in (problem.hint or "")

    def test_are_checked_on_the_relation_without_regard_to_case(self, shop: Shop) -> None:
        sync = shop.load().syncs[0]
        assert check_columns(sync, ["USER_ID", "EMAIL", "FULL_NAME"]) == []
        found = check_columns(sync, ["id", "email", "full_nam"])
        assert [(item.code, item.line) for item in found] == [("unknown-column", 9), ("unknown-column", 12)]
        assert "`full_nam`" in (found[1].hint or "")


class TestKeys:
    @pytest.mark.parametrize(
        ("columns", "missing"),
        [
            ("- {name: email, data_tests: [unique, not_null]}", None),
            ("- {name: email, constraints: [{type: primary_key}]}", None),
            ("- {name: email, data_tests: [unique], constraints: [{type: not_null}]}", None),
            ("- {name: email, data_tests: [unique]}", "no `not_null`"),
            ("- {name: email, data_tests: [not_null]}", "no `unique`"),
            ("- name: email", "no `unique` and no `not_null`"),
        ],
    )
    def test_without_tests_are_warned_of(self, shop: Shop, columns: str, missing: str | None) -> None:
        shop.write_sync(BASE, columns)
        warnings = [item for item in shop.load().warnings if item.code == "key-untested"]
        assert [missing in item.summary for item in warnings] == ([True] if missing else [])

    def test_of_two_columns_want_a_combined_test(self, shop: Shop) -> None:
        columns = "- {name: a, data_tests: [unique, not_null]}\n- {name: b, data_tests: [not_null]}"
        shop.write_sync(f"{BASE}key: [a, b]", columns)
        assert [item.code for item in shop.load().warnings] == ["key-untested"]
        shop.manifest["nodes"]["test.shop.combined"] = {
            "attached_node": "model.shop.users",
            "test_metadata": {
                "name": "unique_combination_of_columns",
                "kwargs": {"combination_of_columns": ["a", "B"]},
            },
        }
        shop.write_manifest(shop.manifest)
        assert shop.load().warnings == ()


def test_lookups_in_a_circle(shop: Shop) -> None:
    shop.write_models(
        """
models:
  - name: users
    config:
      meta:
        revetl:
          a:
            destination: crm
            object: contacts
            match: {email: email}
            fields: {c: {lookup: {object: companies, match: {domain: d}}}}
          b:
            destination: crm
            object: companies
            match: {domain: d}
            fields: {o: {lookup: {object: contacts, match: {email: e}}}}
"""
    )
    problem = shop.problem()
    assert problem.code == "lookup-cycle"
    assert "`contacts` -> `companies` -> `contacts`" in problem.summary
