"""Limits on a plan, checked before the first request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from revetl_dbt.destinations.base import Guards
from revetl_dbt.warehouse.ledger import REMOVALS, PlanSummary


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken guard: which, why in words, and whether it holds only the deletes and clears or the whole sync."""

    guard: str
    reason: str
    removals_only: bool


def effective(own: Guards, defaults: Guards) -> Guards:
    """A sync's guards over those of its destination."""
    return defaults.model_copy(update={name: value for name, value in own if value is not None})


def in_words(violations: Iterable[Violation]) -> str:
    """The broken guards and why, on one line."""
    return "; ".join(f"guard `{violation.guard}`: {violation.reason}" for violation in violations)


def check(
    guards: Guards, plan: PlanSummary, *, deletes_declared: bool, first: bool = False, whole: bool = True
) -> Iterator[Violation]:
    """The guards that a plan breaks.

    `deletes_declared`: the sync's mode is delete, so that its rows are deletes on purpose. `first`: no run of the sync
    has come through yet, so that the ledger is no measure of what is usual; a share bounds only removals then.
    `whole`: the plan has looked at every row of the model.
    """
    removals = plan.count(*REMOVALS)
    emptied = _emptied(guards, plan)
    if emptied is not None and removals and not deletes_declared:
        yield Violation("empty_model", f"{emptied}, and {_records(removals)} would be removed", removals_only=True)
    if whole and guards.min_rows is not None and plan.model_rows < guards.min_rows:
        yield Violation("min_rows", f"the model has {_rows(plan.model_rows)}, fewer than {guards.min_rows}", False)
    changes = plan.count("create", "update", *REMOVALS)
    measure = 0 if first else plan.ledger_rows
    # What may be removed is in the ledger, whatever its standing there.
    removable = 0 if deletes_declared else max(plan.ledger_rows, removals)
    limits = (
        ("max_deletes", guards.max_deletes, removals, removable, True),
        ("max_creates", guards.max_creates, plan.count("create"), measure, False),
        ("max_updates", guards.max_updates, plan.count("update"), measure, False),
        ("max_changes", guards.max_changes, changes, measure, False),
    )
    for name, limit, rows, all_of_them, removals_only in limits:
        if limit is not None and _exceeds(limit, rows, all_of_them):
            of = f" of {all_of_them}" if isinstance(limit, str) else ""
            yield Violation(name, f"{_rows(rows)}{of}, more than {limit}", removals_only)


def _emptied(guards: Guards, plan: PlanSummary) -> str | None:
    """Why the model says nothing of what it held before; None when it does."""
    if plan.model_rows == 0:
        # `min_rows` says how empty it may be.
        return "the model is empty" if guards.min_rows is None else None
    invalid = plan.count("invalid")
    return f"none of the model's {_rows(invalid)} can be sent" if invalid == plan.model_rows else None


def _exceeds(limit: int | str, rows: int, whole: int) -> bool:
    if isinstance(limit, int):
        return rows > limit
    # A share of nothing says nothing: counts alone bound it.
    return whole > 0 and rows * 100 > float(limit.rstrip("% ")) * whole


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def _records(count: int) -> str:
    return f"{count} record{'' if count == 1 else 's'}"
