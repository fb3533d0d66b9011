"""The example project on real dbt and DuckDB: it builds, the data is as dirty as promised, a day changes little."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

pytestmark = pytest.mark.xdist_group("example")

PROJECT = Path(__file__).resolve().parent.parent / "example_dbt_project"
GENERATED = shutil.ignore_patterns("target", "logs", "*.duckdb*", "__pycache__", ".user.yml")
MARTS = {
    "sales_contacts": "user_id",
    "sales_accounts": "account_id",
    "marketing_contacts": "email",
    "support_contacts": "user_id",
    "billing_customers": "account_id",
    "billing_events": "event_id",
}
PROD = {  # what destinations.yml takes from the environment
    "DBT_ENV_SECRET_HUBSPOT_TOKEN": "x",
    "SALESFORCE_URL": "https://pinecairn.my.salesforce.com",
    "SALESFORCE_CLIENT_ID": "x",
    "DBT_ENV_SECRET_SALESFORCE": "x",
    "MARKETO_MUNCHKIN_ID": "123-ABC-456",
    "MARKETO_CLIENT_ID": "x",
    "DBT_ENV_SECRET_MARKETO": "x",
    "DBT_ENV_SECRET_INTERCOM_TOKEN": "x",
    "DBT_ENV_SECRET_ZENDESK": "x",
    "DBT_ENV_SECRET_STRIPE_KEY": "rk_live_x",
    "STRIPE_ACCOUNT": "acct_1234567890abcdef",
    "BILLING_API_URL": "https://billing.example.com",
    "DBT_ENV_SECRET_BILLING_API_KEY": "x",
}
OWN_PROPERTIES = {  # HubSpot's own, which no setup file has to define
    "contacts": {"email", "firstname", "lastname", "phone", "jobtitle", "company", "country", "lifecyclestage"},
    "companies": {"name", "domain", "country", "numberofemployees"},
}


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DBT_", "PINECAIRN_"))}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**env, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, built as of day 2; what day 1 left is in `day1.duckdb` and `day1.json`."""
    folder = tmp_path_factory.mktemp("example") / "project"
    shutil.copytree(PROJECT, folder, ignore=GENERATED)
    for day in (1, 2):
        built = run(folder, "-m", "dbt.cli.main", "--no-use-colors", "build", "--vars", f"{{day: {day}}}")
        assert built.returncode == 0, built.stdout[-4000:] + built.stderr[-2000:]
        shutil.copy(folder / "warehouse.duckdb", folder / f"day{day}.duckdb")
        shutil.copy(folder / "target" / "run_results.json", folder / f"day{day}.json")
    return folder


@pytest.fixture(scope="module")
def db(project: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Day 1, under the name that its views know (`warehouse`), and day 2 beside it as `day2`."""
    with duckdb.connect() as connection:
        connection.execute(f"attach '{project / 'day1.duckdb'}' as warehouse (read_only)")
        connection.execute(f"attach '{project / 'day2.duckdb'}' as day2 (read_only)")
        connection.execute("use warehouse")
        yield connection


def one(db: duckdb.DuckDBPyConnection, query: str) -> Any:
    row = db.execute(query).fetchone()
    assert row is not None
    return row[0]


def manifest(project: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((project / "target" / "manifest.json").read_text(encoding="utf-8"))
    return loaded


def syncs(project: Path) -> dict[str, dict[str, Any]]:
    """The declared syncs by name, each with the `model` that it stands on."""
    nodes = manifest(project)["nodes"].values()
    return {
        name: {**sync, "model": node["name"]}
        for node in nodes
        for name, sync in node["config"].get("meta", {}).get("revetl", {}).items()
    }


@pytest.mark.parametrize("day", ["day1", "day2"])
def test_everything_builds_and_every_test_passes(project: Path, day: str) -> None:
    results = json.loads((project / f"{day}.json").read_text(encoding="utf-8"))["results"]
    statuses = Counter((result["unique_id"].split(".")[0], result["status"]) for result in results)
    built = {name for name in manifest(project)["nodes"] if not name.startswith("analysis.")}
    assert {result["unique_id"] for result in results} == built
    assert set(statuses) == {("seed", "success"), ("model", "success"), ("test", "pass")}
    assert statuses[("test", "pass")] >= 100


DBT = tuple(map(int, version("dbt-core").split(".")[:2]))


@pytest.mark.skipif(DBT < (1, 10), reason="dbt reports deprecated YAML since 1.10")
def test_nothing_is_deprecated(project: Path) -> None:
    # dbt looks for deprecated YAML with a few adapters only, and DuckDB's is none of them; 1.10 only when told to.
    script = """
import os
os.environ["DBT_ENV_PRIVATE_RUN_JSONSCHEMA_VALIDATIONS"] = "true"
from dbt.jsonschemas import jsonschemas
jsonschemas._JSONSCHEMA_SUPPORTED_ADAPTERS = {"duckdb"}
from dbt.cli.main import dbtRunner
result = dbtRunner().invoke(["--warn-error", "parse", "--no-partial-parse", "--target-path", "parsed"])
raise SystemExit(not result.success)
"""
    clean = run(project, "-c", script)
    assert clean.returncode == 0, clean.stdout[-3000:]
    broken = project.parent / "broken"
    shutil.copytree(PROJECT, broken, ignore=shutil.ignore_patterns("target", "*.duckdb*", "logs"))
    (broken / "models" / "broken.sql").write_text("select 1 as id", encoding="utf-8")
    (broken / "models" / "broken.yml").write_text("models: [{name: broken, meta: {x: 1}}]", encoding="utf-8")
    assert "Deprecat" in run(broken, "-c", script).stdout


def test_the_data_is_big_enough(db: duckdb.DuckDBPyConnection) -> None:
    assert one(db, "select count(distinct user_id) from raw_users") >= 2000
    assert one(db, "select count(distinct account_id) from raw_accounts") >= 300
    assert one(db, "select count(distinct event_id) from raw_events") >= 50_000
    assert one(db, "select count(distinct invoice_id) from raw_invoices") >= 1000
    assert one(db, "select count(*) from raw_touches") >= 5000
    assert one(db, "select count(*) from sales_contacts where is_active and email is not null") >= 2000
    assert one(db, "select count(*) from marketing_contacts") >= 2000
    assert sum(path.stat().st_size for path in (PROJECT / "seeds").rglob("*.csv")) < 8_000_000


def test_the_committed_seeds_are_the_generated_ones(tmp_path: Path) -> None:
    same = run(PROJECT, "scripts/generate_seeds.py", "--check")
    assert same.returncode == 0, same.stdout
    shutil.copytree(PROJECT, tmp_path / "edited", ignore=GENERATED)
    with (tmp_path / "edited/seeds/app/raw_users.csv").open("a", encoding="utf-8") as file:
        file.write("u_9999\n")
    differing = run(tmp_path / "edited", "scripts/generate_seeds.py", "--check")
    assert differing.returncode == 1
    assert [line.split(":")[0] for line in differing.stdout.splitlines() if "differs" in line] == ["app/raw_users.csv"]


@pytest.mark.parametrize(
    ("what", "query"),
    [
        ("no address", "select count(*) from raw_users where email is null"),
        ("an unusable address", "select count(*) from raw_users where email not like '%_@_%._%'"),
        ("white space around an address", "select count(*) from raw_users where email <> trim(email, e' \\t')"),
        ("upper case in an address", "select count(*) from raw_users where email <> lower(email)"),
        ("no last name", "select count(*) from raw_users where last_name is null or last_name in ('-', 'n/a')"),
        ("the surname Null", "select count(*) from raw_users where last_name = 'Null'"),
        ("accents", "select count(*) from raw_users where first_name ~ '.*[éèüöñç].*'"),
        ("decomposed accents", "select count(*) from raw_users where nfc_normalize(first_name) <> first_name"),
        ("Han", "select count(*) from raw_users where regexp_matches(last_name, '\\p{Han}')"),
        ("Hangul", "select count(*) from raw_users where regexp_matches(last_name, '\\p{Hangul}')"),
        ("Arabic", "select count(*) from raw_users where regexp_matches(first_name, '\\p{Arabic}')"),
        ("Hebrew", "select count(*) from raw_users where regexp_matches(first_name, '\\p{Hebrew}')"),
        ("emoji", "select count(*) from raw_users where contains(first_name, '🌻')"),
        ("quotes", """select count(*) from raw_accounts where account_name like '%"%'"""),
        ("commas", "select count(*) from raw_accounts where account_name like '%,%'"),
        ("an offset of 45 minutes", "select count(*) from raw_events where occurred_at like '%+05:45'"),
        ("an offset of almost 14 hours", "select count(*) from raw_events where occurred_at like '%+13:45'"),
        ("a negative half-hour offset", "select count(*) from raw_events where occurred_at like '%-03:30'"),
        ("epoch milliseconds", "select count(*) from raw_events where regexp_full_match(occurred_at, '[0-9]{13}')"),
        ("events without a user", "select count(*) from raw_events where user_id is null"),
        ("events that came twice", "select count(*) - count(distinct event_id) from raw_events"),
        ("late events", "select count(*) from raw_events where loaded_on > substr(occurred_at, 1, 10)"),
        ("payments that came twice", "select count(*) - count(distinct payment_id) from raw_payments"),
        ("cancelled invoices", "select count(*) from raw_invoices where status = 'void'"),
        ("refunds", "select count(*) from raw_payments where kind = 'refund'"),
        ("failed payments", "select count(*) from raw_payments where status = 'failed'"),
        ("a currency without cents", "select count(*) from raw_invoices where currency = 'JPY'"),
        ("test accounts", "select count(*) from stg_accounts where is_internal"),
        ("visits without a campaign", "select count(*) from raw_touches where utm_campaign is null"),
        (
            "spellings of a source",
            "select count(distinct utm_source) - count(distinct lower(utm_source)) from raw_touches",
        ),
    ],
)
def test_the_dirt_is_there(db: duckdb.DuckDBPyConnection, what: str, query: str) -> None:
    assert one(db, query) > 0, what


def test_registrations_with_one_address_become_one_person(db: duckdb.DuckDBPyConnection) -> None:
    assert one(db, "select count(*) - count(distinct email) from stg_users where email is not null") >= 50
    assert one(db, "select count(*) - count(distinct email) from int_people where email is not null") == 0


def test_times_are_utc(db: duckdb.DuckDBPyConnection) -> None:
    rows = db.execute(
        "select distinct raw.occurred_at, clean.occurred_at "
        "from raw_events raw join stg_events clean on raw.event_id = clean.event_id::varchar"
    ).fetchall()
    assert len(rows) > 40_000
    for raw, clean in rows:
        if raw.isdecimal():
            moment = dt.datetime.fromtimestamp(int(raw) / 1000, dt.timezone.utc)
        else:
            moment = dt.datetime.fromisoformat(raw).astimezone(dt.timezone.utc)
        assert clean == moment.replace(tzinfo=None)


def test_nothing_looks_at_the_clock() -> None:
    files = [path for folder in ("models", "macros", "tests") for path in (PROJECT / folder).rglob("*.sql")]
    clock = re.compile(r"current_date|current_timestamp|now\(|today\(|run_started_at", re.IGNORECASE)
    assert len(files) > 30
    assert [path.name for path in files if clock.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("mart", "rows", "allowed"),
    [
        ("sales_contacts", "is_active and email is not null", {"changed": (40, 120), "new": (3, 15), "gone": (5, 20)}),
        ("marketing_contacts", "true", {"changed": (30, 120), "new": (5, 25), "gone": (2, 10)}),
        ("support_contacts", "plan <> 'free'", {"changed": (30, 120), "new": (1, 20), "gone": (1, 25)}),
        ("sales_accounts", "true", {"changed": (10, 80), "new": (1, 3), "gone": (1, 3)}),
        ("billing_customers", "true", {"changed": (5, 40), "new": (1, 5), "gone": (1, 5)}),
        ("billing_events", "true", {"changed": (0, 0), "new": (5, 40), "gone": (0, 0)}),
    ],
)
def test_a_day_changes_some_rows(
    db: duckdb.DuckDBPyConnection, mart: str, rows: str, allowed: dict[str, tuple[int, int]]
) -> None:
    key = MARTS[mart]
    before, after = (f"(select * from {day}.main.{mart} where {rows})" for day in ("warehouse", "day2"))
    known = f"{key} in (select {key} from {before})"
    counts = {
        "changed": one(db, f"select count(*) from ({after} except {before}) where {known}"),
        "new": one(db, f"select count(*) from {after} where not {known}"),
        "gone": one(db, f"select count(*) from {before} where {key} not in (select {key} from {after})"),
    }
    assert [name for name, (low, high) in allowed.items() if not low <= counts[name] <= high] == [], counts


@pytest.mark.parametrize("target", ["dev", "prod"])
def test_the_syncs_are_valid_for_every_target(project: Path, target: str) -> None:
    script = f"""
import os, sys
os.environ.update({PROD})
sys.argv = ["revetl", "validate", "--target", "{target}"]
from revetl_dbt.cli.main import main
main()
"""
    checked = run(project, "-c", script)
    assert checked.returncode == 0, checked.stderr
    assert "17 syncs valid" in checked.stdout + checked.stderr
    assert "warning" not in checked.stdout + checked.stderr


def test_syncs_of_one_object_write_different_fields(project: Path) -> None:
    written = Counter(
        (sync["destination"], sync["object"], field)
        for sync in syncs(project).values()
        for field in sync.get("fields", ())
    )
    assert {pair for pair, times in written.items() if times > 1} == set()
    assert {sync["model"] for sync in syncs(project).values()} == set(MARTS)


def test_every_destination_type_is_shown(project: Path) -> None:
    outputs = yaml.safe_load((PROJECT / "destinations.yml").read_text(encoding="utf-8"))
    types = {outputs[sync["destination"]]["outputs"]["dev"]["type"] for sync in syncs(project).values()}
    assert types == {point.name for point in entry_points(group="revetl_dbt.destinations")}


def test_the_tools_of_the_teams_take_every_row_with_parents_first(project: Path) -> None:
    script = """
import sys
from revetl_dbt.cli.main import main
tools = ["salesforce", "marketo", "intercom", "zendesk", "stripe"]
sys.argv = ["revetl", "run", "--vars", "{day: 2}", "--destination", *tools]
main()
"""
    ran = run(project, "-c", script)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    results = json.loads((project / "target/revetl/run_results.json").read_text(encoding="utf-8"))["results"]
    counts = {result["sync"]: result["counts"] for result in results}
    assert len(counts) == 11
    assert {name for name, count in counts.items() if not count["created"] == count["model_rows"] > 0} == set()
    began = {result["sync"]: result["timing"][0]["started_at"] for result in results}
    for parent, child in [
        ("sales_accounts_to_salesforce", "sales_contacts_to_salesforce"),
        ("sales_accounts_to_intercom", "support_contacts_to_intercom_companies"),
        ("support_contacts_to_intercom", "support_contacts_to_intercom_companies"),
        ("support_contacts_to_intercom", "support_contacts_to_intercom_risk"),
        ("billing_customers_to_zendesk", "support_contacts_to_zendesk"),
    ]:
        assert began[parent] < began[child]


def test_the_sandbox_knows_every_property(project: Path, db: duckdb.DuckDBPyConnection) -> None:
    setup = yaml.safe_load((PROJECT / "sandbox" / "hubspot.yml").read_text(encoding="utf-8"))["properties"]
    for name, sync in syncs(project).items():
        if sync["destination"] != "hubspot":
            continue
        defined = {item["name"]: item for item in setup[sync["object"]]}
        fields = {**sync["fields"], **sync["match"]}
        fields = {field: mapping for field, mapping in fields.items() if not field.startswith("associations.")}
        assert set(fields) <= set(defined) | OWN_PROPERTIES[sync["object"]], name
        for field, mapping in fields.items():
            options = {option["value"] for option in defined.get(field, {}).get("options", [])}
            if options:
                assert values(db, sync["model"], mapping) <= options, field


def values(db: duckdb.DuckDBPyConnection, model: str, mapping: str | dict[str, Any]) -> set[str]:
    """The different values of a field, as HubSpot writes options; the items of lists."""
    source = mapping if isinstance(mapping, str) else mapping.get("column") or mapping["sql"]
    found = [value for (value,) in db.execute(f"select distinct {source} from {model}").fetchall() if value is not None]
    items = [item for value in found for item in (value if isinstance(value, list) else [value])]
    assert items
    return {str(item).lower() if isinstance(item, bool) else item for item in items}
