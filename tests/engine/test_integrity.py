"""A ledger that somebody dropped, cut or changed by hand is found before anything is sent, and explained."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from revetl_dbt.engine.result import SyncResult
from revetl_dbt.warehouse.layout import table_suffix

from .fake import Fake
from .harness import Flow, Warehouse

Make = Callable[..., Flow]
SPEC: dict[str, Any] = {
    "match": {"Id": "id"},
    "fields": {"Name": {"column": "name"}, "Size": {"column": "size"}},
    "on_removed": "delete",
}


def write(warehouse: Warehouse, rows: dict[str, str], *, key: str = "integer", size: str = "integer") -> None:
    columns = {"id": key, "name": "varchar", "size": size}
    warehouse.table("people", columns, [{"id": n, "name": "'Ann'", "size": value} for n, value in rows.items()])


def table(f: Flow, name: str) -> str:
    return f.warehouse.store.relation(f"{name}__{table_suffix(f.sync.name, f.destination.account)}")


def refused(f: Flow) -> str:
    """The message of a run that sent nothing."""
    tried = len(f.destination.written)
    result: SyncResult = f.run()
    assert (result.status, len(f.destination.written)) == ("error", tried)
    assert result.message is not None
    return result.message


@pytest.fixture
def sent(flow: Make, warehouse: Warehouse) -> Flow:
    """A sync that has sent three rows, and has one to send."""
    f = flow(**SPEC)
    write(warehouse, {"1": "10", "2": "20", "3": "30"})
    assert f.run().totals.created == 3
    write(warehouse, {"1": "10", "2": "20", "3": "30", "4": "40"})
    return f


@pytest.mark.parametrize("name", ["ledger", "rejected"])
@pytest.mark.parametrize("declared_anew", [False, True], ids=["as it was", "declared anew"])
def test_a_table_that_was_dropped(sent: Flow, name: str, declared_anew: bool) -> None:
    sent.warehouse.run(f"drop table {table(sent, name)}")
    if declared_anew:
        sent.remap(fields={"Name": sent.sync.spec.fields["Name"]})
    message = refused(sent)
    assert (
        f"error[ledger-damaged]: The ledger of sync `people` is damaged: table {table(sent, name)} is gone" in message
    )
    assert "models/models.yml:7" in message
    for command in ("import FILE", "baseline people", "reset people"):
        assert f"`revetl state {command}`" in message


@pytest.mark.parametrize(
    ("name", "column", "meaning"),
    [
        ("ledger", "f_size", ", which held `Size`"),
        ("ledger", "k_id", ", which held `id`"),
        ("ledger", "_standing", ""),
        ("rejected", "_attempts", ""),
    ],
)
def test_a_column_that_was_dropped(sent: Flow, name: str, column: str, meaning: str) -> None:
    sent.warehouse.run(f"alter table {table(sent, name)} drop column {column}")
    assert f"table {table(sent, name)} has lost its column `{column}`{meaning}\n" in refused(sent)


def test_several_problems_are_told_at_once(sent: Flow) -> None:
    ledger = table(sent, "ledger")
    sent.warehouse.run(f"alter table {ledger} drop column f_size", f"alter table {ledger} drop column _run_id")
    assert refused(sent).count("error[ledger-damaged]") == 2


def test_a_plan_finds_it_too(sent: Flow) -> None:
    sent.warehouse.run(f"drop table {table(sent, 'ledger')}")
    with pytest.raises(Exception, match="is damaged"):
        sent.plan()


def test_a_key_that_stands_twice(sent: Flow, warehouse: Warehouse) -> None:
    ledger = table(sent, "ledger")
    warehouse.run(f"insert into {ledger} select * from {ledger} where k_id = 2")
    assert sent.run().totals.created == 1  # the row it concerns has nothing to send
    write(warehouse, {"1": "10", "2": "21", "3": "30", "4": "40"})
    assert "1 key stands in it more than once" in refused(sent)
    write(warehouse, {"1": "10", "3": "30", "4": "40"})
    assert "1 key stands in it more than once" in refused(sent)
    assert (2,) in sent.destination.contents()


def test_a_type_that_was_changed_is_changed_back(sent: Flow, warehouse: Warehouse) -> None:
    warehouse.run(f"alter table {table(sent, 'ledger')} alter column f_size type varchar")
    result = sent.run()
    # Where the engine cannot say which values a type holds, all of them are sent again.
    again = 0 if warehouse.is_duckdb else 3
    assert (result.status, result.totals.created, result.totals.updated) == ("success", 1, again)
    (notice,) = [text for text in warehouse.notices if "f_size" in text]
    assert notice.lower().startswith(f"column `f_size` of table {table(sent, 'ledger')} is ".lower())
    assert notice.endswith("it is changed back; what no longer fits is sent again")
    assert sent.run().status == "noop"


@pytest.mark.parametrize("name", ["ledger", "rejected"])
def test_a_table_that_another_was_taking_the_place_of(sent: Flow, warehouse: Warehouse, name: str) -> None:
    identifier = f"{name}__{table_suffix(sent.sync.name, sent.destination.account)}"
    old = warehouse.store.relation(str(warehouse.session.macro("revetl_stored_as", identifier=identifier)))
    new = warehouse.store.relation(f"{identifier}__next")
    warehouse.run(f"create table {new} as select * from {old}", f"drop table {old}")
    result = sent.run(store=warehouse.new_store())
    assert (result.status, result.totals.created, result.unchanged) == ("success", 1, 3)


def test_work_tables_that_were_dropped_are_made_again(sent: Flow, warehouse: Warehouse) -> None:
    for name in ("plan", "results", "preview"):
        warehouse.run(f"drop table if exists {table(sent, name)}")
    assert sent.run().totals.created == 1
    assert sent.run().status == "noop"


def test_the_row_of_a_sync_that_was_deleted_is_written_again(sent: Flow, warehouse: Warehouse) -> None:
    warehouse.delete("revetl_syncs")
    result = sent.run()
    assert (result.totals.created, result.unchanged) == (1, 3)


def test_a_layout_that_cannot_be_read(sent: Flow, warehouse: Warehouse) -> None:
    warehouse.update("revetl_syncs", layout="'{'")
    assert "its row in `revetl_syncs` has a layout that cannot be read" in refused(sent)


@pytest.mark.parametrize("lost", ["revetl_runs", "revetl_accounts", "revetl_syncs"])
def test_a_shared_table_that_was_dropped_is_made_again(sent: Flow, warehouse: Warehouse, lost: str) -> None:
    warehouse.run(f"drop table {warehouse.store.tables[lost]}")
    warehouse.notices.clear()
    result = sent.run(store=warehouse.new_store())
    assert (result.status, result.totals.created, result.unchanged) == ("success", 1, 3)
    schema = warehouse.store.schema
    told = f"State tables that were missing in schema `{schema}` have been made anew, empty: `{lost}`"
    assert warehouse.notices == [told]


# -- a model that changes --------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [("integer", "bigint"), ("integer", "varchar"), ("varchar", "integer")])
def test_a_key_whose_type_changed_keeps_its_rows(flow: Make, warehouse: Warehouse, before: str, after: str) -> None:
    f = flow(Fake(tells_ids=True), **SPEC | {"match": {"Id": "size"}, "key": ("id",)})
    rows = {"1": "10", "2": "20"}
    write(warehouse, {f"'{n}'" if before == "varchar" else n: size for n, size in rows.items()}, key=before)
    f.run()
    rows["3"] = "30"
    write(warehouse, {f"'{n}'" if after == "varchar" else n: size for n, size in rows.items()}, key=after)
    result = f.run()
    assert (result.status, result.totals.created, result.unchanged) == ("success", 1, 2)
    assert len(f.destination.contents()) == 3
    assert f.run().status == "noop"


def test_a_key_whose_values_do_not_fit_its_new_type(flow: Make, warehouse: Warehouse) -> None:
    f = flow(**SPEC | {"match": {"Id": "size"}, "key": ("id",)})
    write(warehouse, {"'a'": "10"}, key="varchar")
    f.run()
    write(warehouse, {"1": "10"}, key="integer")
    message = refused(f)
    assert re.search(
        r"error\[key-changed\]: Key `id` of sync `people` is (INTEGER|NUMBER\S*|integer|INT64|int) now and was", message
    )
    write(warehouse, {"'a'": "10", "'b'": "20"}, key="varchar")
    assert f.run().totals.created == 1


def test_columns_that_come_go_and_move_concern_mapped_fields_only(sent: Flow, warehouse: Warehouse) -> None:
    def build(size: str) -> None:
        columns = {size: "integer", "note": "varchar", "id": "integer", "name": "varchar"}
        rows = [{"id": str(n), "name": "'Ann'", "note": "'new'", size: f"{n}0"} for n in range(1, 5)]
        warehouse.table("people", columns, rows)

    sent.run()
    build("size")
    assert sent.run().status == "noop"
    build("sizes")
    assert "has no column `size`" in refused(sent)
    sent.remap(
        fields={**sent.sync.spec.fields, "Size": sent.sync.spec.fields["Size"].model_copy(update={"column": "sizes"})}
    )
    assert sent.run().status == "noop"  # the field holds what it held
    del sent.destination.written[:]
    sent.remap(
        fields={**sent.sync.spec.fields, "Note": sent.sync.spec.fields["Size"].model_copy(update={"column": "note"})}
    )
    assert sent.run().totals.updated == 4
    assert {tuple(change.fields) for change in sent.destination.changes()} == {("Note",)}
    sent.remap(fields={"Name": sent.sync.spec.fields["Name"]})
    assert sent.run().status == "noop"
