"""Limits on a plan, checked before the first request."""

from __future__ import annotations

from collections.abc import Iterator
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


def check(guards: Guards, plan: PlanSummary, *, deletes_declared: bool) -> Iterator[Violation]:
    """The guards that a plan breaks.

    `deletes_declared`: the sync's mode is delete, so that its rows are deletes on purpose.
    """
    removals = plan.count(*REMOVALS)
    if removals and plan.model_rows == 0 and not deletes_declared and guards.min_rows is None:
        yield Violation(
            "empty_model", f"the model is empty, and {removals} records would be removed", removals_only=True
        )
    if guards.min_rows is not None and plan.model_rows < guards.min_rows:
        yield Violation(
            "min_rows", f"the model has {plan.model_rows} rows, fewer than {guards.min_rows}", removals_only=False
        )
    limits = (
        ("max_deletes", guards.max_deletes, removals, True),
        ("max_creates", guards.max_creates, plan.count("create"), False),
        ("max_updates", guards.max_updates, plan.count("update"), False),
        ("max_changes", guards.max_changes, plan.count("create", "update", *REMOVALS), False),
    )
    for name, limit, rows, removals_only in limits:
        if limit is None or not _exceeds(limit, rows, plan.ledger_rows):
            continue
        whole = f" of {plan.ledger_rows}" if isinstance(limit, str) else ""
        yield Violation(name, f"{rows} rows{whole}, more than {limit}", removals_only)


def _exceeds(limit: int | str, rows: int, ledger_rows: int) -> bool:
    if isinstance(limit, int):
        return rows > limit
    # A share of nothing says nothing: the first run of a sync is bounded by counts only.
    return ledger_rows > 0 and rows * 100 > float(limit.rstrip("% ")) * ledger_rows
