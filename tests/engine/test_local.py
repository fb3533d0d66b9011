"""`revetl_state: local`: the state in a file, models read by a role that may do nothing else, and the way there and
back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from dbt_common.exceptions import DbtRuntimeError

from revetl_dbt.engine import state
from revetl_dbt.engine.journal import Journal
from revetl_dbt.errors import InputError
from revetl_dbt.warehouse import dbt_api
from revetl_dbt.warehouse.dbt_api import DbtSession
from revetl_dbt.warehouse.entries import entries
from revetl_dbt.warehouse.local import beside, open_state
from revetl_dbt.warehouse.store import Store

from .fake import Fake
from .harness import Flow, Warehouse, profile, registered, write_project

Make = Callable[..., Flow]
SPEC: dict[str, Any] = {
    "match": {"Id": "id"},
    "fields": {
        "Name": {"column": "name"},
        "Loud": {"sql": "upper(name)"},
        "Amount": {"column": "amount"},
        "Exact": {"column": "exact"},
        "Ratio": {"column": "ratio"},
        "Active": {"column": "active"},
        "Born": {"column": "born"},
        "Seen": {"column": "seen"},
        "At": {"column": "at"},
        "Tags": {"column": "tags"},
        "Kind": {"value": ["a", "b"]},
    },
    "on_removed": "delete",
    "where": "id < 100",
}
COLUMNS = {
    "id": "bigint",
    "name": "varchar",
    "amount": "decimal(18, 2)",
    "exact": "decimal(38, 10)",
    "ratio": "double precision",
    "active": "boolean",
    "born": "date",
    "seen": "timestamp",
    "at": "timestamp with time zone",
    "tags": "json",
}


def write(warehouse: Warehouse, *ids: int, name: str = "it''s \"a\" \\ ü\u2028") -> None:
    rows = [
        {
            "id": str(n),
            "name": f"'{name} {n}'",
            "amount": f"{n}.50",
            "exact": "12345678901234567890.0123456789",
            "ratio": "0.1",
            "active": "true",
            "born": "date '1999-12-31'",
            "seen": "timestamp '2026-01-02 03:04:05.678'",
            "at": "timestamp with time zone '2026-01-02 03:04:05.678+02'",
            "tags": """'{"b": 1, "a": [null, "x"]}'""",
        }
        for n in ids
    ]
    others = {"postgres": {"exact": "numeric", "tags": "jsonb"}, "snowflake": {"tags": "variant"}}
    columns = COLUMNS | others.get(warehouse.session.adapter_type, {})
    warehouse.table("people", columns, [*rows[:-1], {"id": rows[-1]["id"]}])


@pytest.fixture
def source(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The warehouse as a role sees it that may only read; DuckDB has no roles (tests/cli opens its file read-only), nor
    has Snowflake's stand-in."""
    if warehouse.session.adapter_type != "postgres":
        yield warehouse.store
        return
    role, schema = f"{warehouse.schema}_reader", warehouse.session.relation_schema(warehouse.schema)
    warehouse.run(
        f"create role {role} login",
        f"grant usage on schema {schema} to {role}",
        f"alter default privileges in schema {schema} grant select on tables to {role}",
    )
    connection = DbtSession.connection

    def of_its_own(self: DbtSession, name: str = "revetl") -> AbstractContextManager[None]:
        registered(self)  # two sessions of one adapter are a thing of tests
        return connection(self, name)

    monkeypatch.setattr(DbtSession, "connection", of_its_own)
    reader = DbtSession(write_project(tmp_path / "reader", {**profile(tmp_path), "user": role}))
    try:
        yield Store(reader, notice=warehouse.notices.append)
    finally:
        reader.close()
        warehouse.run(f"drop owned by {role}", f"drop role {role}")


@pytest.fixture
def local(source: Store, tmp_path: Path) -> Iterator[Store]:
    with beside(source, tmp_path / ".revetl" / "dev.duckdb") as store:
        yield store


def test_only_new_rows_are_copied_where_the_sync_says_so(flow: Make, warehouse: Warehouse, local: Store) -> None:
    people = flow(**SPEC, changed_since={"column": "id"})
    write(warehouse, 1, 2, 3)
    assert people.run(store=local).totals.created == 3
    write(warehouse, 1, 2, 3, 4, 5)
    result = people.run(store=local)
    assert (result.model_rows, result.totals.created, result.totals.deleted) == (3, 2, 0)
    write(warehouse, 2, 3, 4, 5)
    assert people.run(store=local).totals.deleted == 0
    assert people.run(store=local, all_rows=True).totals.deleted == 1


def counts(flow: Flow, store: Store) -> tuple[str, int, int, int]:
    result = flow.run(store=store)
    return result.status, result.totals.created, result.totals.updated, result.totals.deleted


def held(flow: Flow) -> dict[Any, dict[str, Any]]:
    return {key: record.fields for key, record in flow.destination.records.items()}


def test_the_file_takes_the_place_of_the_warehouse(
    flow: Make, warehouse: Warehouse, local: Store, tmp_path: Path
) -> None:
    write(warehouse, 1, 2, 3, 100)
    usual, apart = flow(Fake(), **SPEC), flow(Fake(), **SPEC)
    apart.journal_dir = tmp_path / "apart"
    assert counts(usual, warehouse.store) == counts(apart, local) == ("success", 3, 0, 0)
    assert held(usual) == held(apart)
    assert counts(apart, local) == ("noop", 0, 0, 0)
    write(warehouse, 2, 3, name="new")
    assert counts(usual, warehouse.store) == counts(apart, local) == ("success", 0, 2, 1)
    assert held(usual) == held(apart)
    # Nothing but the ledger and the refused rows is left, and the file keeps itself to its owner and out of git.
    with local.connection():
        left = {name.split("__")[0] for name in local.session.tables(local.schema)}
    assert not left & {"model", "plan"}
    assert (tmp_path / ".revetl" / "dev.duckdb").stat().st_mode & 0o077 == 0
    assert (tmp_path / ".revetl" / ".gitignore").read_text() == "*\n"


def test_a_ledger_moves_there_and_back_and_nothing_is_sent_again(
    flow: Make, warehouse: Warehouse, local: Store, tmp_path: Path
) -> None:
    write(warehouse, 1, 2, 3)
    f = flow(Fake(), **SPEC)
    assert counts(f, local) == ("success", 3, 0, 0)
    journal = Journal(tmp_path / "none")
    warehouse.store.prepare()
    for source, target in ((local, warehouse.store), (warehouse.store, local), (local, warehouse.store)):
        (entry,) = entries(source)
        state.move(source, target, entry, f.sync, journal)
        assert entries(source) == []
        assert counts(f, target) == ("noop", 0, 0, 0)
        ledger = entries(target)
        assert [(e.sync, e.settled_at is not None) for e in ledger] == [("people", True)]
    write(warehouse, 1, 3)
    assert counts(f, warehouse.store) == ("success", 0, 0, 1)


def test_an_interrupted_run_is_recorded_before_its_ledger_moves(
    flow: Make, warehouse: Warehouse, local: Store, tmp_path: Path
) -> None:
    write(warehouse, 1, 2)
    f = flow(Fake(), **SPEC)
    f.run()
    (entry,) = entries(warehouse.store)
    journal = tmp_path / "left.jsonl"
    journal.write_text(json.dumps(["plan", "p", "r"]) + "\n" + json.dumps(["sent", "create", 1, 1]) + "\n")
    with pytest.raises(InputError, match=r"error\[run-interrupted\]"):
        state.move(warehouse.store, local, entry, f.sync, Journal(journal))
    assert entries(warehouse.store) == [entry]


def test_state_in_the_other_place_is_never_overlooked(
    flow: Make, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(warehouse, 1)
    flow(Fake(), **SPEC).run()
    declared: dict[str, str] = {}
    monkeypatch.setattr(DbtSession, "variable", lambda self, name, default: declared.get(name, default))

    def opened() -> bool:
        with open_state(warehouse.store, tmp_path) as store:
            return store.is_local

    assert not opened()
    declared["revetl_state"] = "local"
    with pytest.raises(InputError, match=r"(?s)is to be local.*state move --to local"):
        opened()
    declared |= {"revetl_state": "warehouse", "revetl_state_path": "kept.duckdb"}
    (tmp_path / "kept.duckdb").touch()
    with pytest.raises(InputError, match=r"(?s)in the warehouse.*state move --to warehouse"):
        opened()
    declared["revetl_state"] = "elsewhere"
    with pytest.raises(InputError, match=r"(?s)error\[unknown-state-place\].*`warehouse` or `local`"):
        opened()


def test_a_file_needs_an_adapter_for_it(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise DbtRuntimeError("no adapter")

    monkeypatch.setattr(DbtSession, "adapter_type", "snowflake")
    monkeypatch.setattr(
        DbtSession, "variable", lambda self, name, default: {"revetl_state": "local"}.get(name, default)
    )
    monkeypatch.setattr(dbt_api, "_registered", broken)
    with (
        pytest.raises(InputError, match=r"(?s)error\[adapter-missing\].*no adapter"),
        beside(warehouse.store, tmp_path / "s"),
    ):
        pass
