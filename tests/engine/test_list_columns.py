"""Lists and structs are kept as text, and nothing is found wrong with that column later."""

from __future__ import annotations

from collections.abc import Callable

from .fake import Fake, people
from .harness import Flow, Warehouse


def test_a_list_column_stays_as_it_is(flow: Callable[..., Flow], warehouse: Warehouse) -> None:
    fields = {"Tags": {"column": "tags"}}
    f = flow(Fake(people()), key=("id",), match={"Email": "email"}, fields=fields)
    kind, value = ("varchar[]", "['a', 'b']") if warehouse.is_duckdb else ("text[]", "array['a', 'b']")
    warehouse.table("people", {"id": "integer", "email": "varchar", "tags": kind}, [{"id": "1", "email": "'a'"}])
    assert f.run().status == "success"
    assert f.run().status == "noop"
    row = {"id": "1", "email": "'a'", "tags": value}
    warehouse.table("people", {"id": "integer", "email": "varchar", "tags": kind}, [row])
    assert f.run().totals.updated == 1
    assert f.run().status == "noop"
    assert f.destination.contents() == {("a",): {"Tags": ["a", "b"]}}
    assert warehouse.notices == []
