"""Counts, reasons and results in words: one vocabulary for lines, footers, plans and artifacts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from revetl_dbt.engine.result import SyncResult

REASONS = {
    "null_key": "null key",
    "duplicate_key": "duplicate key",
    "null_match": "null match value",
    "duplicate_match": "duplicate match value",
}


class Verdict(NamedTuple):
    """How a result is shown: dbt's word, its colour, the artifact's status, and where the last line counts it."""

    word: str
    color: str
    status: str
    tally: str


_VERDICTS = {
    "success": Verdict("OK", "green", "success", "PASS"),
    # As in dbt, a partial success is an error in the last line's counts and in the exit code.
    "partial": Verdict("PARTIAL SUCCESS", "yellow", "partial success", "ERROR"),
    "error": Verdict("ERROR", "red", "error", "ERROR"),
    "skipped": Verdict("SKIP", "yellow", "skipped", "SKIP"),
    "noop": Verdict("NO-OP", "yellow", "no-op", "NO-OP"),
}
_WARN = Verdict("WARN", "yellow", "warn", "WARN")


def verdict(result: SyncResult) -> Verdict:
    """What became of a sync; a success that left rows out because of their data is a warning."""
    if result.status == "success" and (result.invalid or result.held):
        return _WARN
    return _VERDICTS[result.status]


def summary(result: SyncResult) -> str:
    """What became of the rows: "12 created, 3 updated, 988 unchanged"."""
    totals = result.totals
    return counted(
        (totals.created, "created"),
        (totals.updated, "updated"),
        (totals.deleted, "deleted"),
        (totals.unchanged + result.unchanged, "unchanged"),
        (totals.rejected, "rejected"),
        (totals.unknown, "unknown"),
        (sum(result.invalid.values()), "invalid"),
        (result.held, "held"),
        (result.guarded, "kept back by a guard"),
        (result.not_attempted, "not attempted"),
    )


def counted(*parts: tuple[int, str]) -> str:
    """The parts that are not zero, with thousands separated; "nothing" when all are."""
    return ", ".join(f"{count:,} {word}" for count, word in parts if count) or "nothing"


def plural(count: int, word: str) -> str:
    """`1 row`, `1,000 rows`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def size(count: int) -> str:
    """`3.1 MiB`, as dbt writes it."""
    number, units = float(count), iter(("Bytes", "KiB", "MiB", "GiB", "TiB"))
    unit = next(units)
    while number >= 1024 and unit != "TiB":
        number, unit = number / 1024, next(units)
    return f"{number:.1f} {unit}"


def reasons(invalid: dict[str, int]) -> str:
    """Invalid rows by reason: "2 null key, 1 duplicate match value"."""
    return counted(*((rows, REASONS.get(reason, reason)) for reason, rows in invalid.items()))


def joined(items: Iterable[str]) -> str:
    """`a, b, and c`, as dbt writes lists in its summary."""
    parts = list(items)
    return " and ".join(parts) if len(parts) < 3 else f"{', '.join(parts[:-1])}, and {parts[-1]}"
