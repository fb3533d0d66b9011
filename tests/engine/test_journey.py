"""One sync from its first run to its last, with values that engines get wrong: short, for engines that are slow."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from revetl_dbt.destinations.base import Change, Outcome, Status
from revetl_dbt.warehouse import ledger as paging
from revetl_dbt.warehouse.ledger import Range, Result

from .fake import Fake, Faults, people
from .harness import Flow, Warehouse, accounted

Make = Callable[..., Flow]
UTC = dt.timezone.utc
ROWS = 23
TRICKY = ["O'Brien", "back\\slash", "line\nfeed\r\ttab", 'double "quote"', "a|b", "", "日本語 🇩🇪", "{{ x }} %s", "null"]
SPEC = {
    "match": {"Id": "id"},
    "fields": {
        "Name": {"column": "Full Name"},
        "Source": {"value": "back\\slash, 'quoted'"},
        "Amount": {"column": "amount"},
        "Born": {"column": "born"},
        "Seen": {"column": "seen"},
        "At": {"column": "at"},
        "Big": {"column": "big"},
        "Share": {"column": "share"},
        "Yes": {"column": "yes"},
    },
    "where": "yes",
    "on_removed": "delete",
}
COLUMNS = {
    "id": "integer",
    "Full Name": "varchar",
    "amount": "numeric(20, 6)",
    "born": "date",
    "seen": "timestamp with time zone",
    "at": "timestamp",
    "big": "bigint",
    "share": "double precision",
    "yes": "boolean",
}


class Moody(Faults):
    """Refuses one row, and does not say what became of another."""

    def __init__(self, refused: str | None = None) -> None:
        self.refused = refused

    def verdict(self, change: Change, nth: int) -> Outcome | None:
        if change.fields.get("Name") == self.refused is not None:
            return Outcome(change.seq, Status.REJECTED, None, "NAME", "back\\slash is 'not' a\nname")
        return None


def row(warehouse: Warehouse, n: int, name: str | None = None) -> dict[str, str]:
    name = TRICKY[n % len(TRICKY)] if name is None else name
    typed = {
        "amount": f"'{n}.125'",
        "born": "'1969-12-31'",
        "seen": "'2024-03-31 02:30:00.123456+00:00'",
        "at": "'2024-03-31 02:30:00.000001'",
        "big": "'9223372036854775807'",
        "share": "'0.1'",
    }
    cast = {column: f"cast({text} as {warehouse.type(COLUMNS[column])})" for column, text in typed.items()}
    return {"id": str(n), "Full Name": warehouse.store.literal(name), "yes": "true", **cast}


def wanted(n: int, name: str | None = None) -> dict[str, Any]:
    return {
        "Name": TRICKY[n % len(TRICKY)] if name is None else name,
        "Source": "back\\slash, 'quoted'",
        "Amount": Decimal(f"{n}.125"),
        "Born": dt.date(1969, 12, 31),
        "Seen": dt.datetime(2024, 3, 31, 2, 30, 0, 123456, tzinfo=UTC),
        "At": dt.datetime(2024, 3, 31, 2, 30, 0, 1),
        "Big": 2**63 - 1,
        "Share": 0.1,
        "Yes": True,
    }


def test_every_row_arrives_as_it_is_whatever_the_size_of_a_page(
    flow: Make, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "PAGE_ROWS", 4)
    monkeypatch.setattr(paging, "RESULT_ROWS", 10)
    f = flow(Fake(people(records=9)), **SPEC)
    rows = {n: row(warehouse, n) for n in range(ROWS)}
    warehouse.table("people", COLUMNS, list(rows.values()))
    first = f.run()
    accounted(first)
    assert (first.status, first.totals.created) == ("success", ROWS)
    assert f.destination.contents() == {(n,): wanted(n) for n in range(ROWS)}
    assert f.run().status == "noop"

    rows |= {3: row(warehouse, 3, "new"), 4: row(warehouse, 4, "bad"), ROWS: row(warehouse, ROWS)}
    del rows[5], rows[6]
    warehouse.table("people", COLUMNS, list(rows.values()))
    f.destination.faults = Moody("bad")
    second = f.run()
    accounted(second)
    assert (second.totals.created, second.totals.updated, second.totals.deleted) == (1, 1, 2)
    assert (second.totals.rejected, second.unchanged) == (1, ROWS - 4)
    assert f.outcomes() == [("4", "update", "rejected", "NAME", "back\\slash is 'not' a\nname")]
    assert f.plan() == [("update", None, (4,))]

    f.destination.faults = Faults()
    assert f.run().totals.updated == 1
    assert f.destination.contents() == {
        (n,): wanted(n, {3: "new", 4: "bad"}.get(n)) for n in range(ROWS + 1) if n not in (5, 6)
    }
    assert f.run().status == "noop"


def test_a_fold_that_is_repeated_changes_nothing(flow: Make, warehouse: Warehouse) -> None:
    f = flow(match={"Id": "id"}, fields={"Name": {"column": "name"}}, on_removed="delete")
    columns = {"id": "integer", "name": "varchar"}
    warehouse.table("people", columns, [{"id": str(n), "name": f"'n{n}'"} for n in range(6)])
    f.run()
    warehouse.table("people", columns, [{"id": str(n), "name": f"'m{n}'"} for n in range(1, 7)])
    ledger = f.ledger()
    groups = {group.op: group for group in ledger.write_plan().groups}
    ranges = [Range(op, group.seq_from, group.seq_to) for op, group in groups.items()]
    numbers = ledger.numbers(next(r for r in ranges if r.op == "update"))
    results = [
        Result(numbers[0], "rejected", None, "CODE", "no"),
        Result(numbers[1], "unsure", None, "TIMEOUT", "?"),
        Result(numbers[2], "not_attempted", None, None, None),
        *(Result(number, "accepted", f"id{number}", None, None) for number in numbers[3:]),
    ]
    seen = []
    for replay in (False, True, True):
        ledger.fold(ranges, results, "run", replay=replay)
        refused = warehouse.query(f"select k_id, _op, _attempts, _status, _code from {ledger.layout.tables.rejected}")
        seen.append((sorted(f.standings(), key=repr), refused, sorted(f.outcomes())))
    assert seen[0] == seen[1] == seen[2]
    standings, refused, outcomes = seen[0]
    assert sorted(standing for _, standing, _ in standings) == ["sent"] * 5 + ["unsure"]
    assert (len(refused), len(outcomes)) == (1, 3)
    assert refused[0][1:] == ("update", 1, "rejected", "CODE")
    assert Counter(fields["Name"][0] for _, _, fields in standings) == {"m": 3, "n": 3}
