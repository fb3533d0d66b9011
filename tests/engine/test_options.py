"""Options of a sync that change where it starts from: `backfill`, a key that changed, mode delete."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.errors import InputError

from .fake import Fake, people
from .harness import Flow, Warehouse

COLUMNS = {"id": "bigint", "email": "varchar", "name": "varchar"}


@pytest.fixture
def warehouse() -> Iterator[Warehouse]:
    with Warehouse() as opened:
        yield opened


def write(warehouse: Warehouse, *names: str) -> None:
    rows = [{"id": str(n), "email": f"'p{n}@x'", "name": f"'{name}'"} for n, name in enumerate(names)]
    warehouse.table("people", COLUMNS, rows)


def flow(warehouse: Warehouse, folder: Path, name: str = "people", **spec: Any) -> Flow:
    full = {"key": ("id",), "match": {"email": "email"}, "fields": {"Name": {"column": "name"}}} | spec
    return Flow(warehouse, Fake(people()), warehouse.sync(name, "people", **full), folder)


def test_backfill_skip_starts_from_now(warehouse: Warehouse, tmp_path: Path) -> None:
    f = flow(warehouse, tmp_path, mode="append", backfill="skip")
    write(warehouse, "Ann", "Bea")
    first = f.run()
    assert (first.status, first.unchanged, first.planned) == ("noop", 2, 0)
    assert not f.destination.changes()
    write(warehouse, "Ann", "Bea", "Cid")
    second = f.run()
    assert (second.totals.created, second.unchanged) == (1, 2)
    assert [change.fields["Name"] for change in f.destination.changes()] == ["Cid"]


def test_an_append_sync_on_an_empty_model_starts_from_now_too(warehouse: Warehouse, tmp_path: Path) -> None:
    f = flow(warehouse, tmp_path, mode="append", backfill="skip")
    write(warehouse)
    f.run()
    write(warehouse, "Ann")
    assert f.run().totals.created == 1


def test_another_key_is_refused_before_anything_is_sent(warehouse: Warehouse, tmp_path: Path) -> None:
    f = flow(warehouse, tmp_path)
    write(warehouse, "Ann")
    f.run()
    sent = len(f.destination.changes())
    f.remap(key=("email",))
    result = f.run()
    assert result.status == "error"
    assert "has no key `email`" in str(result.message)
    with pytest.raises(InputError, match="key-changed"):
        f.ledger()
    assert len(f.destination.changes()) == sent


def test_a_part_of_the_key_is_another_key_too(warehouse: Warehouse, tmp_path: Path) -> None:
    f = flow(warehouse, tmp_path, key=("id", "email"))
    write(warehouse, "Ann")
    f.run()
    f.remap(key=("id",))
    assert "has a key `email`: its key was another when it began" in str(f.run().message)
    assert len(f.destination.changes()) == 1


def test_a_row_to_delete_that_comes_back_is_deleted_again(warehouse: Warehouse, tmp_path: Path) -> None:
    f = flow(warehouse, tmp_path, mode="delete", fields={})
    write(warehouse, "Ann")
    assert f.run().totals.deleted == 1
    assert f.run().status == "noop"
    write(warehouse)
    f.run()
    write(warehouse, "Ann")
    assert f.run().totals.deleted == 1
