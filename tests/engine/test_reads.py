"""A plan is read page by page, and every row of it once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from revetl_dbt.warehouse import ledger as ledger_module

from .fake import Fake, people
from .harness import Flow, Warehouse

Make = Callable[..., Flow]
ROWS, PAGE = 2_345, 1_000


def test_every_row_is_read_once(flow: Make, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "PAGE_ROWS", PAGE)
    monkeypatch.setattr(ledger_module, "RESULT_ROWS", 2 * PAGE)  # where a query's result has pages of its own
    rows = [{"id": str(n), "name": f"'n{n}'"} for n in range(ROWS)]
    warehouse.table("people", {"id": "integer", "name": "varchar"}, rows)
    people_flow = flow(Fake(people(records=500)), match={"Id": "id"}, fields={"Name": {"column": "name"}})

    warehouse.store.prepare()
    ledger = people_flow.ledger()
    (group,) = ledger.write_plan().groups
    pages = list(ledger.pages(group))
    numbers = [row[0] for page in pages for row in page]
    assert numbers == list(range(group.seq_from, group.seq_to + 1))
    assert len(numbers) == group.rows == ROWS
    if not warehouse.session.pages_results:  # else the engine decides how much it gives at once
        assert max(map(len, pages)) <= PAGE
    if ledger.writes_json:
        assert [row[0] for page in ledger.json_pages(group) for row in page] == numbers
    ledger.drop_plan()

    result = people_flow.run()
    assert (result.totals.created, result.not_attempted) == (ROWS, 0)
    assert (result.bytes_processed is None) == (warehouse.session.adapter_type != "bigquery")
    assert sorted(change.match["Id"] for _, change in people_flow.destination.written) == list(range(ROWS))
