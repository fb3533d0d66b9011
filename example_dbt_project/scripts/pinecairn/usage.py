"""Product usage: the events of the last twelve weeks."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from pinecairn.base import DAYS, Row, at_work, messy, rng_for, stamp
from pinecairn.people import User
from pinecairn.vocabulary import EVENTS

FIRST_EVENT = DAYS[0] - timedelta(days=82)


def make_events(users: list[User]) -> list[Row]:
    """Some arrive late, some twice, some have no user, and an old client writes epoch milliseconds."""
    rng, rows = rng_for("events"), list[tuple[datetime, Row]]()
    names, weights = list(EVENTS), list(EVENTS.values())
    for user in users:
        day = max(FIRST_EVENT, user.joined.date())
        while day <= min(DAYS[1], user.left_on or DAYS[1]):
            weekend = day.weekday() >= 5
            if rng.random() < user.activity * (0.12 if weekend else 1):
                for name in rng.choices(names, weights, k=1 + rng.randrange(6)):
                    moment = at_work(rng, day)
                    rows.append((moment - timedelta(minutes=user.locale.offset), event_row(rng, user, name, moment)))
            day += timedelta(days=1)
    rows.sort(key=lambda item: (item[0], item[1]["user_id"] or "", item[1]["event"]))
    for number, (_, row) in enumerate(rows, 1):
        row["event_id"] = number
    again = [{**row, "loaded_on": row["loaded_on"] + timedelta(days=1)} for _, row in rows[::400]]
    return [row for row in [*(row for _, row in rows), *again] if row["loaded_on"] <= DAYS[1]]


def event_row(rng: random.Random, user: User, name: str, moment: datetime) -> Row:
    offset, odd = user.locale.offset, rng.random()
    utc = moment - timedelta(minutes=offset)
    milliseconds = int((utc - datetime(1970, 1, 1)).total_seconds() * 1000)
    return {
        "event_id": 0,
        "user_id": None if odd > 0.995 else user.id,
        "event": messy(rng, name, 0.005),
        "occurred_at": milliseconds if odd < 0.01 else stamp(moment, offset),
        "loaded_on": utc.date() + timedelta(days=rng.randrange(1, 3) if rng.random() < 0.003 else 0),
    }
