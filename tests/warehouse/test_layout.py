"""How a sync is laid out: names of tables and columns, words of flags."""

from __future__ import annotations

from typing import Any

import pytest

from revetl_dbt.spec.models import Mode, OnRemoved, Source, Sync, SyncSpec
from revetl_dbt.warehouse.layout import BITS, Layout, Tables, draft, table_suffix

TABLES = Tables("model", "ledger", "rejected", "plan", "results")
SOURCE = Source("model.p.m", "m", "m", None, "s", "m", (), "models/m.sql")
POSTGRES_NAME = 63


def macro(name: str, **arguments: Any) -> str:
    return f"{name}({arguments})"


def lay_out(*fields: str, columns: dict[str, str] | None = None, **spec: Any) -> Layout:
    full = {
        "destination": "d",
        "object": "o",
        "key": ("id",),
        "fields": {name: {"column": "c"} for name in fields},
        **spec,
    }
    sync = Sync("s", SyncSpec.model_validate(full), SOURCE, None, None)
    return draft(sync, TABLES, columns or {}, macro, lambda name: f'"{name}"')


@pytest.mark.parametrize(
    "names",
    [
        ["Email", "email", "EMAIL"],
        ["a b", "a-b", "a_b", "a.b"],
        ["größe", "grö_e", "日本", "語彙", "🇩🇪"],
        ["x" * 80 + "1", "x" * 80 + "2", "x" * 51],
        ["", " ", "_", "1", "select", '"', "'", "f_email", "_op", "_seq", "_standing"],
    ],
)
def test_every_field_has_a_plain_column_of_its_own(names: list[str]) -> None:
    layout = lay_out(*names, match={"Id": "id"})
    columns = [field.name for field in layout.fields]
    assert len(set(columns)) == len(names) + 1
    assert all(name.isascii() and name == name.lower() and name.replace("_", "a").isalnum() for name in columns)
    assert all(len(name) <= POSTGRES_NAME for name in columns)
    assert [field.label for field in layout.fields] == ["Id", *names]
    assert not {"k_id", *columns} & {"_op", "_seq", "_standing"}


@pytest.mark.parametrize(("fields", "words"), [(0, 1), (1, 1), (60, 1), (61, 2), (120, 2), (130, 3)])
def test_many_fields_take_several_words(fields: int, words: int) -> None:
    layout = lay_out(*(f"f{n}" for n in range(fields)))
    assert layout.words == words
    flags = [(field.word, field.bit) for field in layout.fields]
    assert len(set(flags)) == fields
    assert all(word < words and 0 < bit < 2**BITS for word, bit in flags)


def test_columns_are_named_as_the_relation_names_them() -> None:
    layout = lay_out("Email", key=("ID",), match={"Id": "id"}, columns={"id": "Id", "c": "C"})
    assert [column.expression for column in (*layout.keys, *layout.fields)] == ['"Id"', '"Id"', '"C"']


def test_every_sync_and_account_has_tables_of_its_own() -> None:
    long = "contacts_to_hubspot_marketing_emea_weekly_"
    names = ["people", "People", long + "a", long + "b"]
    suffixes = {table_suffix(name, account) for name in names for account in ("acme", "ACME", "acme\n")}
    assert len(suffixes) == len(names) * 3
    assert all(len(f"rejected__{suffix}") <= POSTGRES_NAME for suffix in suffixes)
    assert all(suffix.replace("_", "a").isalnum() and suffix == suffix.lower() for suffix in suffixes)


@pytest.mark.parametrize(
    ("mode", "on_removed", "operation"),
    [
        (Mode.UPSERT, OnRemoved.KEEP, None),
        (Mode.UPSERT, OnRemoved.DELETE, "delete"),
        (Mode.UPSERT, OnRemoved.ARCHIVE, "delete"),
        (Mode.UPDATE, OnRemoved.CLEAR, "clear"),
        (Mode.APPEND, OnRemoved.DELETE, None),
        (Mode.DELETE, OnRemoved.DELETE, None),
    ],
)
def test_what_happens_to_rows_that_go(mode: Mode, on_removed: OnRemoved, operation: str | None) -> None:
    assert lay_out(mode=mode, on_removed=on_removed).removal == operation
