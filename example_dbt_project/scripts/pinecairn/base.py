"""What all tables share: the two days, random numbers, times, and how people type."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

DAYS = (date(2026, 3, 14), date(2026, 3, 15))  # a Saturday and the Sunday after it: few people are at work
OPENED = date(2024, 6, 3)  # the company's first day
Row = dict[str, Any]


def rng_for(table: str) -> random.Random:
    """One stream of numbers a table, so that a change in one leaves the others as they are."""
    return random.Random(f"pinecairn/{table}")


def extracts(state: Callable[[date], Row | None]) -> Iterator[Row]:
    """The rows that a loader brings in for one record: its state on day 1, and again when day 2 differs."""
    previous = None
    for day in DAYS:
        row = state(day)
        if row is not None and row != previous:
            yield {**row, "loaded_on": day}
        previous = row


def pick_day(rng: random.Random, first: date, last: date) -> date:
    return first + timedelta(days=rng.randrange((last - first).days + 1))


def add_months(day: date, months: int) -> date:
    index = day.year * 12 + day.month - 1 + months
    return day.replace(year=index // 12, month=index % 12 + 1)


def at_work(rng: random.Random, day: date) -> datetime:
    """A moment of the working day, local time."""
    return datetime.combine(day, time(7 + rng.randrange(12), rng.randrange(60), rng.randrange(60)))


def stamp(moment: datetime, offset: int) -> str:
    """ISO 8601 with the offset that the client's clock had."""
    sign, minutes = "+-"[offset < 0], abs(offset)
    return f"{moment.isoformat()}{sign}{minutes // 60:02}:{minutes % 60:02}"


def utc_date(moment: datetime, offset: int) -> date:
    return (moment - timedelta(minutes=offset)).date()


def messy(rng: random.Random, text: str, share: float = 0.07) -> str:
    """The text as people type it: now and then in another case, or with spaces around it."""
    if rng.random() >= share:
        return text
    return rng.choice((text.upper(), text.title(), f" {text}", f"{text} ", f"\t{text.capitalize()}"))


def decomposed(text: str) -> str:
    """The text with its accents as characters of their own: it looks the same and compares as different."""
    return unicodedata.normalize("NFD", text)
