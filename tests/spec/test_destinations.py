"""destinations.yml: where it is found, how it is rendered, and everything that can be wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from shop import DESTINATIONS, USERS, Shop

from revetl_dbt.errors import InputError
from revetl_dbt.project.options import Options
from revetl_dbt.spec.destinations import find_destinations_file, load_outputs

HUBSPOT = """
crm:
  outputs:
    dev:
      type: hubspot
      access_token: "{{ env_var('DBT_ENV_SECRET_HUBSPOT') }}"
      concurrency: "{{ env_var('WORKERS', '2') | as_number }}"
    prod: {type: hubspot, access_token: "{{ env_var('DBT_ENV_SECRET_PROD') }}"}
"""


def to_crm(shop: Shop) -> None:
    shop.write_models(
        USERS.replace("destination: api", "destination: crm").replace("object: users", "object: contacts")
    )


def test_an_output_is_picked_by_the_target_and_rendered(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    to_crm(shop)
    shop.write("destinations.yml", HUBSPOT)
    monkeypatch.setenv("DBT_ENV_SECRET_HUBSPOT", "pat-eu1-secret")
    loaded = shop.load()
    output = loaded.output(loaded.syncs[0])
    assert (output.name, output.target, output.type, output.line) == ("crm", "dev", "hubspot", 4)
    assert output.config.concurrency == 2
    assert output.config.secrets() == ["pat-eu1-secret"]
    assert "pat-eu1-secret" not in repr(loaded)


def test_a_missing_variable_is_named_with_its_line(shop: Shop) -> None:
    to_crm(shop)
    shop.write("destinations.yml", HUBSPOT)
    problem = shop.problem()
    assert (problem.code, problem.line, problem.field) == ("env-var-missing", 6, "crm.outputs.dev.access_token")
    assert "`DBT_ENV_SECRET_HUBSPOT`" in problem.summary


def test_all_problems_of_an_output_at_once_without_values(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    to_crm(shop)
    shop.write(
        "destinations.yml",
        """
crm:
  outputs:
    dev:
      type: hubspot
      acces_token: hunter2
      concurrency: hunter2
      requests_per_second: -1
      base_url: "{{ env_var('NOT_THERE') }}"
      sandbox: hunter2
""",
    )
    problems = shop.problems()
    assert {(item.code, item.line) for item in problems} >= {
        ("env-var-missing", 9),
        ("unknown-key", 6),
        ("wrong-type", 7),
        ("invalid-value", 8),
        ("wrong-type", 10),
    }
    text = "\n".join(item.render() for item in problems)
    assert "hunter2" not in text
    assert "Did you mean `access_token`?" in text


def test_rules_of_a_connector_are_told_in_its_words(shop: Shop) -> None:
    shop.write(
        "destinations.yml", "api: {outputs: {dev: {type: http, objects: {users: {operations: {upsert: {path: /u}}}}}}}"
    )
    problem = shop.problem()
    assert problem.code == "invalid-value"
    assert "`base_url` is missing" in problem.summary


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("api: {outputs: {prod: {type: http}}}", "output-missing", None),
        ("api: {outputs: {def: {type: http}}}", "output-missing", "`def`"),
        ("api: {outputs: {dev: {type: htp}}}", "destination-type-unknown", "`http`"),
        ("api: {outputs: {dev: {sandbox: true}}}", "missing-key", None),
        ("api: {outputs: {dev: [1]}}", "wrong-type", None),
        ("api: {output: {dev: {type: http}}}", "wrong-type", None),
        ("- api", "wrong-type", None),
        ("apy: {outputs: {dev: {type: http}}}", "unknown-destination", "`apy`"),
        ("{}", "unknown-destination", None),
        ("api: {outputs: {dev: {type: http, x: {{ env_var('A') }} }}}", "yaml-syntax", "quotes"),
        ("api: [", "yaml-syntax", None),
        ("api: {outputs: {dev: {type: http, base_url: '{{ nope }}'}}}", "jinja-error", None),
        ("api: {outputs: {dev: {type: http, base_url: \"{{ var('host') }}\"}}}", "var-missing", "--vars"),
    ],
)
def test_what_can_be_wrong(shop: Shop, text: str, code: str, hint: str | None) -> None:
    shop.write("destinations.yml", text)
    problem = next(item for item in shop.problems() if item.code == code)
    location = str(problem.path)
    assert location == ("models/schema.yml" if code == "unknown-destination" else "destinations.yml")
    if hint is not None:
        assert hint in (problem.hint or "")


def test_outputs_that_no_selected_sync_uses_are_not_read(shop: Shop) -> None:
    shop.write("destinations.yml", DESTINATIONS + "other: {outputs: {dev: {type: nonsense}}}\n")
    assert shop.problems() == []


def test_the_file_is_looked_for_where_profiles_are(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path
    assert find_destinations_file(Options(), project) == project / "destinations.yml"
    below = project / "models"
    monkeypatch.chdir(below)
    assert find_destinations_file(Options(), project) == project / "destinations.yml"
    (project / "destinations.yml").unlink()
    home = shop.write("home/.dbt/destinations.yml", DESTINATIONS)
    assert find_destinations_file(Options(), project) == home
    with pytest.raises(InputError) as error:
        find_destinations_file(Options(profiles_dir=below), project)
    assert error.value.diagnostics[0].code == "destinations-missing"
    given = shop.write("ci/destinations.yml", DESTINATIONS)
    assert find_destinations_file(Options(profiles_dir=given.parent), project) == given


def test_without_the_file_the_places_are_listed(shop: Shop) -> None:
    (shop.folder / "destinations.yml").unlink()
    problem = shop.problem()
    assert problem.code == "destinations-missing"
    assert ".dbt" in (problem.expected or "")


class TestCapabilities:
    """Against what the connectors say of their objects; no request is made."""

    @pytest.mark.parametrize(
        ("change", "code", "field", "hint"),
        [
            ({"object: users": "object: user"}, "unknown-object", "object", "`users`"),
            ({"object: users": "object: events"}, "not-supported", "mode", None),
            (
                {"object: users": "object: companies\n            on_removed: delete"},
                "not-supported",
                "on_removed",
                None,
            ),
            ({"match: {email: email}": "match: {mail: email}"}, "match-field-unknown", "match.mail", "`email`"),
            (
                {"  name: full_name\n    columns": "  name: {column: full_name, write: if_empty}\n    columns"},
                "not-supported",
                "fields.name.write",
                None,
            ),
            (
                {"  name: full_name\n    columns": "  name: {lookup: {object: companies, match: {d: d}}}\n    columns"},
                "not-supported",
                "fields.name.lookup.object",
                None,
            ),
            (
                {"  name: full_name\n    columns": "  name: {lookup: {object: company, match: {d: d}}}\n    columns"},
                "unknown-object",
                "fields.name.lookup.object",
                None,
            ),
        ],
    )
    def test_a_sync_that_its_object_cannot_do(
        self, shop: Shop, change: dict[str, str], code: str, field: str, hint: str | None
    ) -> None:
        text = USERS
        for old, new in change.items():
            text = text.replace(old, new)
        shop.write_models(text)
        problem = shop.problem()
        assert (problem.code, problem.field) == (code, f"config.meta.revetl.users_to_api.{field}")
        if hint is not None:
            assert hint in (problem.hint or "")

    def test_reading_before_writing_needs_one_match_field(self, shop: Shop) -> None:
        to_crm(shop)
        block = (
            "destination: crm\nobject: contacts\nmatch: {email: e, phone: p}\nfields: {a: {column: a, write: if_empty}}"
        )
        shop.write_sync(block)
        assert {item.field for item in shop.problems()} == {
            f"config.meta.revetl.s.{field}" for field in ("match", "fields.a.write")
        }

    def test_the_sandbox_is_not_needed_to_validate(self, shop: Shop) -> None:
        to_crm(shop)
        assert shop.load().outputs["crm"].config.sandbox is True


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://api.example.com/v2", True),
        ("http://10.0.0.7:8080", True),
        ("https://api.example.com", False),
        ("http://127.0.0.1:8080", False),
        ("http://localhost", False),
        ("http://[::1]:80", False),
    ],
)
def test_a_way_on_which_others_can_read_along_is_told(shop: Shop, url: str, warned: bool) -> None:
    shop.write_models(USERS)
    shop.write("destinations.yml", DESTINATIONS.replace("https://api.example.com", f"'{url}' # <-", 1))
    told = [(item.code, item.line, item.warning) for item in shop.load().warnings if item.code == "insecure-url"]
    assert told == ([("insecure-url", shop.marked_line("destinations.yml"), True)] if warned else [])


def test_what_a_vendor_will_end_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "destinations.yml"
    account = "{type: zendesk, subdomain: acme, email: a@example.com, api_token: t0ken}"
    path.write_text(f"desk:\n  outputs:\n    prod: {account}\n")
    outputs, found = load_outputs(path, "prod", ["desk"], {})
    assert "desk" in outputs
    assert [(item.code, item.warning, item.line) for item in found] == [("vendor-warning", True, 3)]
    assert "2027-04-30" in found[0].summary
    assert "t0ken" not in found[0].render()
