"""Records that the warehouse writes as JSON are those that Python would write, value by value."""

from __future__ import annotations

import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revetl_dbt.destinations.http import Http, HttpConfig
from revetl_dbt.destinations.transport import to_json
from revetl_dbt.engine.mapping import Mapper
from revetl_dbt.engine.pacing import Pacer

from .bounds import examples
from .fake import Fake, people
from .harness import Flow, Warehouse
from .kinds import KINDS

RENDERED = {name: kind for name, kind in KINDS.items() if name != "time"}
_rows = st.fixed_dictionaries({name: st.none() | kind.values for name, kind in RENDERED.items()})


def _http() -> Http:
    operations = {"upsert": {"path": "/people", "body": "array"}}
    config = {"type": "http", "base_url": "http://127.0.0.1:9", "objects": {"people": {"operations": operations}}}
    return Http(HttpConfig.model_validate(config), Pacer())


def _flow(warehouse: Warehouse, journal: str, rows: list[dict[str, Any]], kinds: Any = RENDERED) -> Flow:
    columns = {"id": "BIGINT"} | {name: kind.type for name, kind in kinds.items()}
    lines = [
        {"id": str(number)} | {name: kinds[name].expression(value) for name, value in row.items()}
        for number, row in enumerate(rows)
    ]
    warehouse.store.prepare()
    warehouse.table("people", columns, lines)
    fields = {f'Fïeld "{name}"': {"column": name} for name in kinds}
    return Flow(
        warehouse, Fake(people()), warehouse.sync("people", "people", match={"id": "id"}, fields=fields), Path(journal)
    )


def _parsed(text: str | bytes) -> Any:
    return json.loads(text, parse_float=Decimal)


@examples(20)
@given(st.lists(_rows, min_size=1, max_size=8))
def test_the_warehouse_writes_what_python_writes(rows: list[dict[str, Any]]) -> None:
    with Warehouse() as warehouse, tempfile.TemporaryDirectory() as journal:
        if not warehouse.is_duckdb:
            pytest.skip("only DuckDB writes records as JSON")
        ledger = _flow(warehouse, journal, rows).ledger()
        (group,) = ledger.write_plan().groups
        mapper = Mapper(ledger.layout, _http(), {}, "duckdb")
        plain = [row for page in ledger.pages(group) for row in page]
        changes, refused = mapper.changes(plain, creating=True, partial=False)
        assert ledger.writes_json
        assert not refused
        written = [row for page in ledger.json_pages(group) for row in page]
        assert [row[0] for row in written] == [change.seq for change in changes]
        for (_, _, text), change in zip(written, changes, strict=True):
            assert text is not None
            assert _parsed(text) == _parsed(to_json({**change.match, **change.fields}))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("float", "'nan'::double"),
        ("float", "'infinity'::double"),
        ("float", "'-infinity'::double"),
        ("date", "date '12000-01-01'"),
        ("timestamp", "timestamp '0044-03-15 (BC) 00:00:00'"),
        ("timestamptz", "timestamptz '10000-01-01 00:00:00+00'"),
        ("timestamptz", "timestamptz '-infinity'"),
    ],
)
def test_a_value_without_representation_is_told(kind: str, value: str) -> None:
    with Warehouse() as warehouse, tempfile.TemporaryDirectory() as journal:
        if not warehouse.is_duckdb:
            pytest.skip("only DuckDB writes records as JSON")
        flow = _flow(warehouse, journal, [{kind: None}, {kind: None}], {kind: KINDS[kind]})
        warehouse.run(f"update {warehouse.relation('people')} set {kind} = {value} where id = 1")
        ledger = flow.ledger()
        (group,) = ledger.write_plan().groups
        texts = [text for page in ledger.json_pages(group) for _, _, text in page]
        assert [text is None for text in texts] == [False, True]
        mapper = Mapper(ledger.layout, _http(), {}, "duckdb")
        plain = [row for page in ledger.pages(group) for row in page]
        _, refused = mapper.changes(plain, creating=True, partial=False)
        assert [outcome.seq for outcome in refused] == [plain[1][0]]
