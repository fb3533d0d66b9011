"""A ledger that gets another name, or keys of another type: short, for engines that are slow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from revetl_dbt.warehouse.layout import table_suffix

from .harness import Flow, Warehouse


def test_a_renamed_sync_keeps_its_ledger_though_its_key_has_another_type(
    flow: Callable[..., Flow], warehouse: Warehouse
) -> None:
    f = flow(name="old_name", match={"Id": "size"}, key=("id",), fields={"Name": {"column": "name"}})
    columns = {"id": "integer", "size": "integer", "name": "varchar"}
    rows = [{"id": str(n), "size": str(n), "name": f"'n{n}'"} for n in range(3)]
    warehouse.table("people", columns, rows)
    f.run()
    f.sync = replace(f.sync, name="new_name", spec=f.sync.spec.model_copy(update={"renamed_from": "old_name"}))
    old, new = (f"ledger__{table_suffix(name, f.destination.account)}" for name in ("old_name", "new_name"))
    warehouse.run(*warehouse.store.rename(old, new))  # a run that was killed came as far as this
    rows[0]["name"] = "'m0'"
    warehouse.table("people", columns | {"id": "varchar"}, [row | {"id": f"'{row['id']}'"} for row in rows])
    result = f.run()
    assert (result.totals.created, result.totals.updated, result.unchanged) == (0, 1, 2), result.message
    assert f.run().status == "noop"
