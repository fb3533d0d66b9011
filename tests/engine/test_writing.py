"""Which fields are written when, and how records are found: single cases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from revetl_dbt.destinations.base import Limits, Operation

from .fake import Fake, people
from .harness import Flow, Warehouse

COLUMNS = {"id": "integer", "email": "varchar", "name": "varchar", "score": "integer"}
FIELDS = {
    "Name": {"column": "name"},
    "Nick": {"column": "name", "if_null": "skip"},
    "Score": {"column": "score", "write": "on_create"},
    "Owner": {"column": "score", "write": "if_empty"},
}
Make = Callable[..., Flow]


def write(warehouse: Warehouse, *rows: tuple[int, str | None, str | None, int | None]) -> None:
    lines: list[dict[str, str]] = []
    for row in rows:
        values = ["null" if value is None else repr(value) for value in row]
        lines.append(dict(zip(COLUMNS, values, strict=True)))
    warehouse.table("people", COLUMNS, lines)


def make_flow(flow: Make, destination: Fake | None = None, **spec: Any) -> Flow:
    return flow(destination, **{"key": ("id",), "match": {"Email": "email"}, "fields": FIELDS, **spec})


def test_clear_empties_what_is_ours_alone(flow: Make, warehouse: Warehouse) -> None:
    f = make_flow(flow, on_removed="clear", guards={"min_rows": 0})
    write(warehouse, (1, "a@x", "Ann", 5))
    f.run()
    write(warehouse)
    assert f.run().totals.updated == 1
    assert f.destination.contents() == {("a@x",): {"Score": 5, "Owner": 5}}
    assert f.run().status == "noop"
    write(warehouse, (1, "a@x", "Ann", 6))
    assert f.run().totals.updated == 1
    assert f.destination.contents() == {("a@x",): {"Name": "Ann", "Nick": "Ann", "Score": 5, "Owner": 5}}


def test_a_new_match_value_without_an_id_makes_a_whole_new_record(flow: Make, warehouse: Warehouse) -> None:
    f = make_flow(flow, Fake(tells_ids=False))
    write(warehouse, (1, "a@x", "Ann", 5))
    f.run()
    write(warehouse, (1, "b@x", "Ann", 5))
    assert f.run().totals.created == 1
    whole = {"Name": "Ann", "Nick": "Ann", "Score": 5, "Owner": 5}
    assert f.destination.contents() == {("a@x",): whole, ("b@x",): whole}


def test_a_new_match_value_with_an_id_moves_the_record(flow: Make, warehouse: Warehouse) -> None:
    f = make_flow(flow)
    write(warehouse, (1, "a@x", "Ann", 5))
    f.run()
    f.destination.records["a@x",].fields["Owner"] = 77  # somebody else's, and not to be written over
    write(warehouse, (1, "b@x", "Ann", 6))
    assert f.run().totals.updated == 1
    assert f.destination.contents() == {("b@x",): {"Name": "Ann", "Nick": "Ann", "Score": 5, "Owner": 77}}


def test_a_record_that_is_gone_is_created_again_whole_and_within_the_limits(flow: Make, warehouse: Warehouse) -> None:
    kind = people(limits={Operation.UPDATE: Limits(10), Operation.UPSERT: Limits(2)})
    f = make_flow(flow, Fake(kind))
    write(warehouse, *((n, f"{n}@x", "Ann", 5) for n in range(9)))
    f.run()
    f.destination.records.clear()
    write(warehouse, *((n, f"{n}@x", "Bea", 6) for n in range(9)))
    assert f.run().totals.created == 9
    whole = {"Name": "Bea", "Nick": "Bea", "Score": 6, "Owner": 6}
    assert f.destination.contents() == {(f"{n}@x",): whole for n in range(9)}


def test_a_removed_record_that_is_gone_counts_as_deleted(flow: Make, warehouse: Warehouse) -> None:
    f = make_flow(flow, on_removed="delete", guards={"min_rows": 0})
    write(warehouse, (1, "a@x", "Ann", 5))
    f.run()
    f.destination.records.clear()
    write(warehouse)
    assert f.run().totals.deleted == 1
    assert f.run().status == "noop"


def test_update_never_creates(flow: Make, warehouse: Warehouse) -> None:
    f = make_flow(flow, mode="update")
    f.destination.add("a@x", Name="theirs")
    write(warehouse, (1, "a@x", "Ann", 5), (2, "b@x", "Bea", 6))
    result = f.run()
    assert (result.status, result.totals.updated, result.totals.rejected) == ("partial", 1, 1)
    assert f.destination.contents() == {("a@x",): {"Name": "Ann", "Nick": "Ann", "Owner": 5}}
    assert [row[2:] for row in f.outcomes()] == [("rejected", None, "no record matches")]


def test_a_field_that_comes_back_after_its_value_went_is_cleared(flow: Make, warehouse: Warehouse) -> None:
    f = make_flow(flow, fields={"Name": {"column": "name"}, "Total": {"column": "score"}})
    mapping = f.sync.spec.fields
    write(warehouse, (1, "a@x", "Ann", 5))
    f.run()
    f.remap(fields={"Name": mapping["Name"]})
    write(warehouse, (1, "a@x", "Bea", 5))
    f.run()
    f.remap(fields=mapping)
    write(warehouse, (1, "a@x", "Bea", None))
    f.run()
    assert "Total" not in f.destination.contents()["a@x",]
