"""What `revetl state` does to a ledger: forget it, take the model for accepted, move it to a file and back."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.destinations.base import Batch, Change, Outcome, Status, UnknownOutcomeError
from revetl_dbt.engine import state
from revetl_dbt.errors import InputError, LeaseHeldError
from revetl_dbt.spec.models import Mode
from revetl_dbt.warehouse.entries import Entry, damage, entries, held, last_run, standings
from revetl_dbt.warehouse.layout import table_suffix
from revetl_dbt.warehouse.migrate import FORMAT
from revetl_dbt.warehouse.transfer import Imported, export_lines

from .fake import Fake, Faults, people
from .harness import Flow, Warehouse

Make = Callable[..., Flow]
SPEC: dict[str, Any] = {"match": {"Id": "id"}, "fields": {"Name": {"column": "name"}}, "on_removed": "delete"}


def write(warehouse: Warehouse, names: dict[int, str]) -> None:
    rows = [{"id": str(n), "name": f"'{name}'"} for n, name in names.items()]
    warehouse.table("people", {"id": "integer", "name": "varchar"}, rows)


class Faulty(Faults):
    """Refuses `bad`, and says nothing of `deaf`."""

    def verdict(self, change: Change, nth: int) -> Outcome | None:
        if change.fields.get("Name") == "bad":
            return Outcome(change.seq, Status.REJECTED, None, "BAD", "no")
        return None

    def after(self, batch: Batch, outcomes: list[Outcome], nth: int) -> list[Outcome]:
        if any(change.fields.get("Name") == "deaf" for change in batch.changes):
            raise UnknownOutcomeError("the connection broke", code="connection")
        return outcomes


def entry(f: Flow) -> Entry:
    (found,) = entries(f.warehouse.store)
    return found


def tables(warehouse: Warehouse) -> set[str]:
    with warehouse.store.connection():
        return warehouse.session.tables(warehouse.store.schema)


def baseline(f: Flow) -> state.Baseline:
    f.warehouse.store.prepare()
    return state.baseline(f.warehouse.store, f.link(threading.Event()), f.sync)


def commands(f: Flow) -> list[tuple[Any, ...]]:
    table = f.warehouse.store.tables["revetl_runs"]
    return f.warehouse.query(f"select command, status, message from {table} order by finished_at")


@pytest.fixture
def sent(flow: Make, warehouse: Warehouse) -> Flow:
    f = flow(Fake(people(records=1), faults=Faulty()), **SPEC, rejected={"max_attempts": 2})
    write(warehouse, {1: "Ann", 2: "Bea", 3: "bad"})
    f.run()
    return f


def test_standings_name_every_row(flow: Make, warehouse: Warehouse) -> None:
    kind = people(records=1, reads=False)
    f = flow(Fake(kind, faults=Faulty()), **SPEC | {"on_removed": "keep"}, mode="create", rejected={"max_attempts": 2})
    write(warehouse, {1: "Ann", 2: "bad", 3: "deaf"})
    f.run()
    own = entry(f)
    assert damage(warehouse.store, own) == []
    assert standings(warehouse.store, own, 2) == {"sent": 1, "waiting_rejected": 1, "held_unknown": 1}
    f.run()
    assert standings(warehouse.store, own, 2) == {"sent": 1, "held_rejected": 1, "held_unknown": 1}
    assert standings(warehouse.store, own, 3) == {"sent": 1, "waiting_rejected": 1, "held_unknown": 1}
    newest = last_run(warehouse.store, "people", "acme")
    assert newest is not None
    assert (newest.command, newest.status) == ("run", "partial")


def test_a_lease_that_has_expired_is_nobodys(sent: Flow, warehouse: Warehouse) -> None:
    store = warehouse.store
    store.take_lease("people", "acme", "r1")
    lease = held(store, "people", "acme")
    assert lease is not None
    assert lease.run_id == "r1"
    warehouse.update("revetl_leases", expires_at="acquired_at - interval '1' second")
    assert held(store, "people", "acme") is None


def test_after_a_reset_nothing_is_known(sent: Flow, warehouse: Warehouse) -> None:
    state.reset(warehouse.store, entry(sent))
    assert entries(warehouse.store) == []
    assert {name.removesuffix("__log") for name in tables(warehouse)} == set(warehouse.store.tables)
    sent.destination.faults = Faults()
    result = sent.run()
    assert (result.totals.accepted, result.unchanged) == (3, 0)
    assert commands(sent)[1] == ("state reset", "success", "everything that was known of it is forgotten")


def test_a_baseline_sends_nothing_and_leaves_nothing_to_send(sent: Flow, warehouse: Warehouse) -> None:
    write(warehouse, {1: "Ann", 3: "bad", 4: "New", 5: "Newer"})
    tried = len(sent.destination.written)
    assert baseline(sent) == state.Baseline(taken=3, rows=4, invalid=0)
    assert sent.run().status == "noop"
    assert len(sent.destination.written) == tried
    assert standings(warehouse.store, entry(sent), 2) == {"sent": 4}
    assert (2,) in sent.destination.contents()  # its row had gone; the record is nobody's now
    assert commands(sent)[1] == ("state baseline", "success", "the rows of the model were taken for accepted")
    sent.destination.faults = Faults()
    write(warehouse, {1: "Ann", 3: "Bea", 4: "New"})
    result = sent.run()
    assert (result.totals.accepted, result.totals.deleted) == (2, 1)


@pytest.mark.parametrize("mode", [Mode.UPSERT, Mode.UPDATE, Mode.CREATE, Mode.APPEND, Mode.DELETE])
def test_a_baseline_may_come_before_the_first_run(flow: Make, warehouse: Warehouse, mode: Mode) -> None:
    spec: dict[str, Any] = {"match": {"Id": "id"}, "mode": mode.value, "key": ("id",)}
    if mode is Mode.APPEND:
        spec |= {"match": {}, "backfill": "skip"}
    if mode is not Mode.DELETE:
        spec["fields"] = {"Name": {"column": "name"}}
    f = flow(**spec)
    write(warehouse, {1: "Ann", 2: "Bea"})
    assert baseline(f).rows == 2
    assert f.run().status == "noop"
    write(warehouse, {1: "Ann", 2: "Bea", 3: "Cid"})
    f.destination.add(3)
    f.run()
    assert [change.key for change in f.destination.changes()] == [(3,)]


def test_a_baseline_repairs_what_was_damaged(sent: Flow, warehouse: Warehouse) -> None:
    ledger = warehouse.store.relation(entry(sent).identifier("ledger"))
    warehouse.run(f"insert into {ledger} select * from {ledger}")
    write(warehouse, {1: "Zoe", 2: "Bea"})
    assert sent.run().status == "error"
    baseline(sent)
    assert sent.run().status == "noop"
    warehouse.run(f"drop table {ledger}")
    assert sent.run().status == "error"
    baseline(sent)
    assert sent.run().status == "noop"


def test_nothing_is_changed_while_somebody_sends_it(sent: Flow, warehouse: Warehouse, tmp_path: Path) -> None:
    store = warehouse.store
    own = entry(sent)
    lines = list(export_lines(store, own))
    store.take_lease("people", "acme", "r1")
    file = Imported.read(lines[0], "file", warehouse.session.adapter_type)
    for act in (lambda: state.reset(store, own), lambda: baseline(sent), lambda: state.put(store, file, lines[1:])):
        with pytest.raises(LeaseHeldError, match="is being sent by another run"):
            act()
    assert standings(store, own, 2) == {"sent": 2, "waiting_rejected": 1}
    state.unlock(store, own, "r1")
    state.reset(store, own)
    assert [row[0] for row in commands(sent)] == ["run", "state unlock", "state reset"]


# -- files -----------------------------------------------------------------------------------------


TRICKY = {
    "varchar": (r"""'ünï "quoted" \n {json} [x], 20 %'""", "''"),
    "bigint": ("9223372036854775807", "-9223372036854775808"),
    "numeric(38, 10)": ("1234567890123456789012345678.0000000001", "-0.1"),
    "double precision": ("0.1", "5e-300"),
    "real": ("0.1", "16777217"),
    "boolean": ("true", "false"),
    "date": ("'0001-01-01'", "'9999-12-31'"),
    "timestamp": ("'2024-02-29 23:59:59.999999'", "'1969-12-31 00:00:00.000001'"),
    "timestamp with time zone": ("'2024-02-29 23:59:59.999999+05:30'", "'1900-01-01 00:00:00+00'"),
    "time": ("'23:59:59.999999'", "'00:00:00'"),
    "json": ("""'{"a": [1, null, "ü"]}'""", "'[]'"),
}
"""SQL types and values of them that are easily lost; the third row has nulls."""


def test_every_type_comes_back_as_it_was(flow: Make, warehouse: Warehouse) -> None:
    columns = {f"c{n}": kind for n, kind in enumerate(TRICKY)}
    rows: list[dict[str, str]] = [{"id": "1"}, {"id": "2"}, {"id": "3"}]
    for n, (kind, values) in enumerate(TRICKY.items()):
        for row, value in zip(rows, values, strict=False):
            row[f"c{n}"] = f"cast({value} as {warehouse.type(kind)})"
    warehouse.table("people", {"id": "integer", **columns}, rows)
    fields = {f"F{n}": {"column": f"c{n}"} for n in range(len(TRICKY))}
    f = flow(match={"Id": "id"}, fields=fields, rejected={"max_attempts": 2})
    f.run()
    own = entry(f)
    ledger = warehouse.store.relation(own.identifier("ledger"))
    before = warehouse.query(f"select * from {ledger} order by k_id")
    shape = warehouse.store.columns(warehouse.session.database, warehouse.store.schema, own.identifier("ledger"))
    assert len(before) == 3
    lines = list(export_lines(warehouse.store, own))
    state.reset(warehouse.store, own)
    file = Imported.read(lines[0], "file", warehouse.session.adapter_type)
    state.put(warehouse.store, file, lines[1:])
    assert warehouse.query(f"select * from {ledger} order by k_id") == before
    now = warehouse.store.columns(warehouse.session.database, warehouse.store.schema, own.identifier("ledger"))
    assert now == shape
    assert f.run().status == "noop"
    assert lines == list(export_lines(warehouse.store, entry(f)))


def test_a_large_ledger_goes_page_by_page(flow: Make, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("revetl_dbt.warehouse.transfer.PAGE_ROWS", 7)
    f = flow(Fake(people(records=100)), **SPEC)
    write(warehouse, {n: f"Ann {n}" for n in range(50)})
    f.run()
    lines = list(export_lines(warehouse.store, entry(f)))
    assert len(lines) == 51
    write(warehouse, {n: f"Bea {n}" for n in range(20)})
    f.run()
    file = Imported.read(lines[0], "file", warehouse.session.adapter_type)
    state.put(warehouse.store, file, lines[1:])
    assert list(export_lines(warehouse.store, entry(f))) == lines
    result = f.run()
    assert (result.totals.updated, result.totals.deleted) == (20, 30)


def test_refused_rows_move_too(sent: Flow, warehouse: Warehouse) -> None:
    lines = list(export_lines(warehouse.store, entry(sent)))
    state.reset(warehouse.store, entry(sent))
    state.put(warehouse.store, Imported.read(lines[0], "file", warehouse.session.adapter_type), lines[1:])
    assert standings(warehouse.store, entry(sent), 2) == {"sent": 2, "waiting_rejected": 1}
    sent.run()
    assert sent.run().held == 1
    message = "2 rows of the ledger and 1 refused rows were imported"
    assert commands(sent)[2] == ("state import", "success", message)


def test_a_file_that_is_not_whole_changes_nothing(sent: Flow, warehouse: Warehouse) -> None:
    store, kind = warehouse.store, warehouse.session.adapter_type
    lines = list(export_lines(store, entry(sent)))
    head, *rows = lines
    now, former, later = (f'"state_format":{n}'.encode() for n in (FORMAT, FORMAT - 1, FORMAT + 1))
    broken: list[tuple[list[bytes], str, int | None]] = [
        ([b""], "does not begin as `revetl state export` begins a file", 1),
        ([b"{}", *rows], "does not begin as", 1),
        ([head.replace(now, later), *rows], f"is of format {FORMAT + 1}", 1),
        ([head.replace(now, former), *rows[:-1]], "holds 0 rows of table `rejected`", None),
        ([head.replace(f'"{kind}"'.encode(), b'"oracle"'), *rows], "holds the types of oracle", 1),
        ([head.replace(b'"sync":"people"', b'"sync":7'), *rows], "does not begin as", 1),
        ([head.replace(b'"columns":[[', b'"columns":[[["'), *rows], "does not begin as", 1),
        (
            [re.sub(rb'(?i)\["k_id","', b'["k_id","int); drop table x; --', head), *rows],
            "a column that no ledger has",
            1,
        ),
        ([head, rows[0], rows[0], *rows[2:]], "more than once|does not fit its type", None),
        (lines[:-1], "holds 0 rows of table `rejected`", None),
        ([*lines[:-1], lines[-1][:-5]], "is not a row", 4),
        ([*lines[:-1], b'["ledger","1"]'], "is not a row of this ledger", 4),
        ([*lines, lines[1]], "holds 3 rows of table `ledger`", None),
    ]
    for content, problem, line in broken:
        with pytest.raises(InputError, match=problem) as caught:
            state.put(store, Imported.read(content[0], "file.jsonl", kind), content[1:])
        (diagnostic,) = caught.value.diagnostics
        assert (diagnostic.code, diagnostic.path, diagnostic.line) == ("not-a-ledger", "file.jsonl", line)
    assert standings(store, entry(sent), 2) == {"sent": 2, "waiting_rejected": 1}
    assert not any(name.startswith("draft") for name in tables(warehouse))
    assert table_suffix("people", "acme") in entry(sent).identifier("ledger")
