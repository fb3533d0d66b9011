from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import click
import pytest

from revetl_dbt.engine.preview import Example, FieldChange
from revetl_dbt.report.plan import PlanText, _duration, harmless, literal, totals
from revetl_dbt.warehouse.ledger import Group

from .makers import preview, sync

HELD = Example("held", "update", {"id": 1}, (FieldChange("firstname", "a", "b"),))


def render(*previews: Any, show_values: bool = False) -> str:
    return click.unstyle(PlanText(show_values=show_values, limit=2).render(previews, "dev"))


class TestKeys:
    @pytest.mark.parametrize(
        "key", [1, "17", "u_0003", "cus_9s6XKzkNRiz8i3", "ACC-12", "0b5c4a2e-8f0b-4c5e-9d6f-0a1b2c3d4e5f", None, True]
    )
    def test_ids_may_be_shown(self, key: object) -> None:
        assert harmless(key)

    @pytest.mark.parametrize(
        "key", ["jane@example.com", "jane", "Jane Doe", "4915112345678", 4915112345678, "+49 151 2345", ""]
    )
    def test_what_may_be_personal_is_hidden(self, key: object) -> None:
        assert not harmless(key)


class TestValues:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (None, "null"),
            ("a", '"a"'),
            (True, "true"),
            (Decimal("1.50"), "1.50"),
            (dt.date(2026, 1, 2), "2026-01-02"),
            ({"b": [1, "ä"]}, '{"b": [1, "ä"]}'),
            ("\x1b[1m\n\x9b", '"\\u001b[1m\\n\\u009b"'),
        ],
    )
    def test_a_value_on_one_line(self, value: object, text: str) -> None:
        assert literal(value) == text

    def test_a_long_value_is_cut(self) -> None:
        assert literal("x" * 500) == '"' + "x" * 78 + "…"


class TestText:
    def test_held_rows_say_why(self) -> None:
        text = render(preview(Group("held", "update", 3, 1, 3), examples=[HELD], unchanged=5))
        held = "held: its update was rejected too often or may have arrived; `revetl retry` releases it"
        assert f"  ! id 1  ({held})\n  ! 2 more held\n" in text
        assert text.count("firstname") == 0
        assert text.startswith("people_to_crm: people -> crm.contacts (upsert)\n")
        assert "No changes. The destinations of target `dev` have 5 rows as they are, apart from 3 rows" in text

    def test_removals_say_how(self) -> None:
        example = Example("delete", None, {"id": 1}, ())
        text = render(preview(Group("delete", None, 1, 1, 1), examples=[example], removal="archive"))
        assert "  - id 1  (archive)\n" in text
        assert "Plan: 1 to archive\n" in text

    def test_several_syncs_are_added_up(self) -> None:
        one = preview(Group("create", None, 1000, 1, 1000), unchanged=3)
        two = preview(Group("update", None, 2, 1, 2), Group("invalid", "null_key", 4, 3, 6), unchanged=5)
        assert "Total: 1,000 to create, 2 to update, 8 unchanged, 4 that cannot be sent\n" in render(one, two)

    def test_an_interrupted_run_is_told(self) -> None:
        text = render(preview(Group("create", None, 1, 1, 1), interrupted=True))
        assert "An interrupted run has outcomes" in text

    def test_many_names_are_wrapped(self) -> None:
        names = {f"a field called {number}": 1 for number in range(30)}
        text = render(preview(Group("update", None, 1, 1, 1), changed_fields=names))
        assert max(map(len, text.splitlines())) <= 100
        assert all(f"a field called {number} (1)" in text for number in range(30))

    def test_events_are_appended(self) -> None:
        item = preview(Group("create", None, 2, 1, 2))
        item.sync = sync(mode="append")
        assert totals(item) == "2 to append"

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [(0.2, "1 second"), (59, "59 seconds"), (60, "1 minute"), (600, "10 minutes"), (9000, "2.5 hours")],
    )
    def test_durations(self, seconds: float, text: str) -> None:
        assert _duration(seconds) == text
