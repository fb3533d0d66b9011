"""One sync's statements in the SQL of adapters that the tests cannot run: `python tests/adapters/render.py FOLDER`.

Runs in the environment `.venv-adapters`. Each adapter is registered with credentials that lead nowhere and renders
our macros as in a run; sqlglot parses every statement in the adapter's dialect. FOLDER gets one file a statement kind
and adapter, `<adapter>/<kind>.sql`; called with tests/adapters/golden, it writes the golden files anew. Names of
adapters after FOLDER: those alone.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlglot

from revetl_dbt.spec.models import Sync, SyncSpec
from revetl_dbt.warehouse.dbt_api import DbtOptions, DbtSession
from revetl_dbt.warehouse.layout import Layout, Tables, draft, typed
from revetl_dbt.warehouse.store import SHARED_TABLES

sys.path.insert(0, str(Path(__file__).parents[2]))

_NOWHERE: dict[str, Any] = {"host": "127.0.0.1", "user": "none", "password": "none", "schema": "dbt", "threads": 1}
OUTPUTS: dict[str, dict[str, Any]] = {
    "snowflake": {"account": "none", "database": "analytics", "warehouse": "none", **_NOWHERE},
    "redshift": {"port": 5439, "dbname": "analytics", **_NOWHERE},
    "databricks": {"http_path": "/none", "token": "none", "catalog": "analytics", "host": "127.0.0.1", "schema": "dbt"},
    "trino": {
        "method": "none",
        "port": 8080,
        "database": "analytics",
        "host": "127.0.0.1",
        "user": "none",
        "schema": "dbt",
    },
}
"""The dbt output of each adapter, as far as rendering asks for it."""

# The model's columns: a name with upper case and a space, a reserved word, one beyond ASCII, and a type of each kind.
_TYPES = {
    "snowflake": ["NUMBER(38,0)", "VARCHAR(100)", "TEXT", "NUMBER(38,10)", "TIMESTAMP_NTZ", "TIMESTAMP_TZ", "VARIANT"],
    "redshift": [
        "bigint", "character varying(100)", "character varying(65535)", "numeric(38,10)", "timestamp without time zone",
        "timestamp with time zone", "super",
    ],
    "databricks": ["bigint", "string", "string", "decimal(38,10)", "timestamp_ntz", "timestamp", "array<string>"],
    "trino": [
        "bigint", "varchar(100)", "varchar", "decimal(38,10)", "timestamp(6)", "timestamp(6) with time zone",
        "array(varchar)",
    ],
}  # fmt: skip
_COLUMNS = ["person_id", "E-Mail Address", "order", "größe", "seen_at", "changed_at", "tags"]
_PACKED = base64.b64encode(b'[["1", "rejected", null, "bad", "It\'s wrong"]]').decode()


def session(adapter: str) -> DbtSession:
    """A session that never connects."""
    folder = Path(tempfile.mkdtemp(prefix="revetl-render-"))
    (folder / "dbt_project.yml").write_text("name: rendered\nversion: 1.0.0\nprofile: rendered\n")
    output = {"type": adapter, **OUTPUTS[adapter]}
    profile = {"rendered": {"target": "dev", "outputs": {"dev": output}}}
    (folder / "profiles.yml").write_text(json.dumps(profile))
    return DbtSession(DbtOptions(folder, folder))


def layout(opened: DbtSession, adapter: str) -> Layout:
    """A sync of people, with the types that the adapter names."""
    fields = {"order": "order", "size": "größe", "seen": "seen_at", "changed": "changed_at", "tags": "tags"}
    declared = {
        "destination": "crm", "object": "people", "key": ("person_id",), "match": {"email": "E-Mail Address"},
        "fields": {name: {"column": column} for name, column in fields.items()}, "on_removed": "delete",
    }  # fmt: skip
    sync = Sync("people", SyncSpec.model_validate(declared), None, "models/people.yml", 1)  # type: ignore[arg-type]
    names = {name: opened.relation("revetl", f"{name}__people") for name in ("ledger", "rejected", "plan", "results")}
    tables = Tables(model=opened.relation("marts", "people"), **names)
    drawn = draft(sync, tables, {name.lower(): name for name in _COLUMNS}, opened.macro, opened.quote)
    shape = dict(zip([column.name for column in (*drawn.keys, *drawn.fields)], _TYPES[adapter], strict=True))
    return typed(drawn, shape, adapter, str(opened.macro("revetl_text_type")), opened.macro)


def statements(opened: DbtSession, of: Layout) -> Iterator[tuple[str, list[str]]]:
    """Each kind of statement, and what it is in this adapter's SQL."""
    s, ranges = of.as_argument(), [["create", 1, 500], ["update", 501, 900]]
    shared = {name: opened.relation("revetl", name) for name in SHARED_TABLES}
    about = {"ranges": ranges, "run_id": "run-1"}
    history = {"sync": "people", "account": "1", "relation": shared["revetl_outcomes"]}
    lease = {"tables": shared, "sync": "people", "account": "1", "run_id": "run-1"}
    run = {"run_id": "'run-1'", "planned": "5", "rejected": "null", "started_at": "'2026-11-28 12:00:00'"}
    fold = {"fresh": False, "clean": False, "doubt": True, "replay": True}
    rows = [[1, "rejected", None, "bad", "It's wrong"]]
    key = [column.name for column in of.keys]
    renamed = {"relation": s["ledger"], "renamed": opened.relation("revetl", "ledger__staff")}
    columns = {
        "columns": [column.name for column in (*of.keys, *of.fields)],
        "types": {key[0]: of.fields[0].engine_type},
    }
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "shared_tables": ("revetl_create_shared", {"schema": opened.relation_schema("revetl"), "tables": shared}),
        "ledger_tables": ("revetl_create_ledger", {"s": s}),
        "probe": ("revetl_probe", {"s": s}),
        "plan": ("revetl_plan", {"s": s, "rows": 1000, "begun": True}),
        "summary": ("revetl_plan_summary", {"s": s}),
        "results": ("revetl_load_results", {"relation": s["results"], "rows": rows, "base64": _PACKED}),
        "fold": ("revetl_fold", {"s": s, **about, **fold}),
        "outcomes": ("revetl_outcomes", {"s": s, **about, **history}),
        "changes": ("revetl_record_changes", {"s": s, **about, **history | {"relation": shared["revetl_changes"]}}),
        "forget_absent": ("revetl_forget_absent", {"s": s}),
        "release_held": ("revetl_release_held", {"s": s, "unknown": True}),
        "take_lease": ("revetl_take_lease", {**lease, "holder": "here pid 1", "seconds": 300}),
        "renew_lease": ("revetl_renew_lease", {**lease, "seconds": 300}),
        "rename": ("revetl_rename_kept", {**renamed, "identifier": "ledger__staff", "key": key}),
        "retype": ("revetl_retype", {"relation": s["ledger"], **columns, "identifier": "ledger__people", "key": key}),
        "shared_row": ("revetl_insert_shared", {"tables": shared, "name": "revetl_runs", "values": run}),
    }
    for kind, (macro, arguments) in kinds.items():
        made = opened.macro(macro, **arguments)
        yield kind, [tidy(text) for text in ([made] if isinstance(made, str) else made)]


def tidy(statement: str) -> str:
    """Without what templates leave: space at ends of lines, and empty lines."""
    return re.sub(r"\s*\n(\s*\n)*", "\n", str(statement)).strip()


def main(folder: Path) -> int:
    refused = []
    for adapter in sys.argv[2:] or OUTPUTS:
        opened = session(adapter)
        (folder / adapter).mkdir(parents=True, exist_ok=True)
        for kind, made in statements(opened, layout(opened, adapter)):
            (folder / adapter / f"{kind}.sql").write_text(";\n\n".join(made) + ";\n", encoding="utf-8")
            for statement in made:
                try:
                    (parsed,) = sqlglot.parse(statement, dialect=adapter)
                except sqlglot.errors.SqlglotError as error:
                    refused.append(f"{adapter}/{kind}.sql: {error}")
                else:
                    # What sqlglot does not know becomes a Command, which is text that was not parsed.
                    if parsed is None or isinstance(parsed, sqlglot.exp.Command):
                        refused.append(f"{adapter}/{kind}.sql: not understood: {statement[:80]}")
    print("\n".join(refused))
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
