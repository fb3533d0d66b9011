"""What is wrong with a sync or a warehouse is told clearly, before anything is sent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from revetl_dbt.destinations.base import FieldInfo

from .fake import Fake, people
from .harness import Flow, Warehouse

Make = Callable[..., Flow]
COLUMNS = {"id": "integer", "name": "varchar"}
SPEC: dict[str, Any] = {"match": {"Id": "id"}, "fields": {"Name": {"column": "name"}}}


def refused(flow: Flow) -> str:
    """The message of a run that sends nothing and leaves no lease behind."""
    result = flow.run()
    assert (result.status, result.requests, flow.destination.contents()) == ("error", 0, {})
    assert flow.warehouse.query(f"select * from {flow.warehouse.store.tables['revetl_leases']}") == []
    return result.message or ""


def write(warehouse: Warehouse, columns: dict[str, str] | None = None, **values: str) -> None:
    warehouse.table("people", columns or COLUMNS, [{"id": "1", "name": "'Ann'", **values}])


def test_a_model_that_was_not_built(flow: Make) -> None:
    message = refused(flow(**SPEC))
    assert message.startswith("error[relation-missing]")
    assert "which sync `people` reads, is not in the warehouse" in message
    assert "models/models.yml:7" in message
    assert "dbt build --select people" in message


@pytest.mark.parametrize(
    "wrong",
    [
        {"where": "no_such_column > 1"},
        {"where": "this is not SQL"},
        {"fields": {"Name": {"sql": "no_such_function(name)"}}},
        {"fields": {"Name": {"sql": "name) from people --"}}},
        {"fields": {"Name": {"sql": "sum(1)"}}},
    ],
)
def test_sql_that_the_warehouse_refuses(flow: Make, warehouse: Warehouse, wrong: dict[str, Any]) -> None:
    write(warehouse)
    message = refused(flow(**SPEC | wrong))
    assert message.startswith("error[sql-error]: The warehouse refuses the expressions of sync `people`: ")
    assert "models/models.yml:7" in message
    assert "hint: " in message


def test_columns_that_the_relation_lacks(flow: Make, warehouse: Warehouse) -> None:
    write(warehouse)
    fields = {"Name": {"column": "nmae"}, "City": {"column": "city"}}
    message = refused(flow(key=("idd",), match={"Id": "idd"}, fields=fields))
    assert "`nmae`" in message
    assert "`city`" in message
    assert "`idd`" in message
    assert "`name`" in message  # the nearest


def test_bytes_are_refused(flow: Make, warehouse: Warehouse) -> None:
    binary = "blob" if warehouse.is_duckdb else "bytea"
    write(warehouse, COLUMNS | {"photo": binary, "voice": binary})
    fields = {"Name": {"column": "name"}, "Photo": {"column": "photo"}, "Voice": {"column": "voice"}}
    message = refused(flow(match={"Id": "id"}, fields=fields))
    assert message.count("error[binary-column]") == 2
    assert "`Photo` of sync `people`" in message
    assert "base64" in message


class Described(Fake):
    def __init__(self) -> None:
        super().__init__(people(described=True))

    def describe(self, object: str) -> Sequence[FieldInfo]:  # noqa: A002
        return [FieldInfo("Id", "text"), FieldInfo("Name", "text"), FieldInfo("Created", "text", writable=False)]


def test_fields_that_the_destination_lacks(flow: Make, warehouse: Warehouse) -> None:
    write(warehouse)
    fields = {"Nmae": {"column": "name"}, "Created": {"column": "name"}}
    message = refused(flow(Described(), match={"Id": "id"}, fields=fields))
    assert "error[unknown-field]: `fake.people` has no field `Nmae`" in message
    assert "`Name`" in message
    assert "error[read-only-field]: Field `Created` of `fake.people` cannot be written" in message


class Strict(Fake):
    def __init__(self) -> None:
        super().__init__(people(described=True))

    def describe(self, object: str) -> Sequence[FieldInfo]:  # noqa: A002
        plan = FieldInfo("Plan", "picklist", options=("free", "team"))
        return [
            FieldInfo("Id", "text"),
            plan,
            FieldInfo("Code", "text", max_length=3),
            FieldInfo("Last", "text", required=True),
        ]


def test_constants_that_the_destination_does_not_take(flow: Make, warehouse: Warehouse) -> None:
    write(warehouse)
    message = refused(flow(Strict(), match={"Id": "id"}, fields={"Plan": {"value": "tem"}, "Code": {"value": "abcd"}}))
    assert "error[unknown-option]: Field `Plan` of `fake.people` does not take `tem`" in message
    assert "expected: `free`, `team`" in message
    assert "hint: Did you mean `team`?" in message
    assert "error[value-too-long]: Field `Code` of `fake.people` takes 3 characters, and `value` has 4" in message
    assert "error[required-field]: `fake.people` creates no record without field `Last`" in message


def test_a_key_that_changed(flow: Make, warehouse: Warehouse) -> None:
    f = flow(**SPEC)
    write(warehouse)
    f.run()
    f.remap(key=("name",))
    result = f.run()
    assert result.status == "error"
    assert "error[key-changed]" in (result.message or "")


def test_a_value_that_does_not_fit_the_new_type_is_cleared(flow: Make, warehouse: Warehouse) -> None:
    f = flow(match={"Id": "id"}, fields={"Name": {"column": "name"}, "Value": {"column": "value"}})
    write(warehouse, COLUMNS | {"value": "varchar"}, value="'one'")
    f.run()
    write(warehouse, COLUMNS | {"value": "integer"}, value="null")
    assert f.run().totals.updated == 1
    assert f.destination.contents() == {(1,): {"Name": "Ann"}}
    assert f.run().status == "noop"


@pytest.mark.parametrize(
    ("before", "after", "values"),
    [
        ("integer", "varchar", ("1", "'one'")),
        ("varchar", "integer", ("'1'", "2")),
        ("integer", "numeric(10,2)", ("1", "1.50")),
        ("date", "timestamp", ("date '2024-01-01'", "timestamp '2024-01-01 10:00:00'")),
    ],
)
def test_a_column_whose_type_changed(
    flow: Make, warehouse: Warehouse, before: str, after: str, values: tuple[str, str]
) -> None:
    f = flow(match={"Id": "id"}, fields={"Name": {"column": "name"}, "Value": {"column": "value"}})
    write(warehouse, COLUMNS | {"value": before}, value=values[0])
    f.run()
    write(warehouse, COLUMNS | {"value": after}, value=values[1])
    result = f.run()
    assert (result.status, result.totals.updated) == ("success", 1), result.message
    assert f.run().status == "noop"
    ((_, _, fields),) = f.standings()
    assert fields["Value"] == f.destination.contents()[1,]["Value"]


READ_ONLY = """
import sys
from pathlib import Path
from engine.harness import write_project
from revetl_dbt.errors import WarehouseError
from revetl_dbt.warehouse.dbt_api import DbtSession
from revetl_dbt.warehouse.store import Store
folder = Path(sys.argv[1])
output = {"type": "duckdb", "path": str(folder / "w.duckdb"), "config_options": {"access_mode": "read_only"}}
try:
    Store(DbtSession(write_project(folder, output)), notice=print).prepare()
except WarehouseError as error:
    print(error)
"""


def test_a_state_schema_that_cannot_be_created(tmp_path: Path) -> None:
    duckdb.connect(tmp_path / "w.duckdb").close()
    tests = Path(__file__).parent.parent
    command = [sys.executable, "-c", READ_ONLY, str(tmp_path)]
    path = {"PYTHONPATH": f"{tests}:{tests.parent}"}
    said = subprocess.run(command, env=path, capture_output=True, text=True, check=True).stdout
    assert said.startswith("Cannot create the state tables in schema `main_revetl`: ")
    assert "read-only" in said
    assert "dbt variable `revetl_schema`" in said
