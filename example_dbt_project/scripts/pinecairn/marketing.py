"""Marketing: campaigns, the visits that they brought, the forms that visitors sent."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta

from pinecairn.base import DAYS, OPENED, Row, at_work, messy, pick_day, rng_for, stamp, utc_date
from pinecairn.people import User, make_user
from pinecairn.vocabulary import CAMPAIGNS, FORMS

SUBMISSIONS = 680
SPELLINGS = {"facebook": ("facebook", "fb", "Facebook.com"), "google": ("google", "google", "Google")}
PAGES = ("/", "/pricing", "/templates", "/blog/planning-without-meetings", "/de/preise", "/signup?ref=café")


def make_campaigns() -> list[Row]:
    rng = rng_for("campaigns")
    return [
        {
            "campaign_id": slug,
            "campaign_name": name,
            "channel": channel,
            "utm_source": source,
            "utm_medium": medium,
            "started_on": pick_day(rng, OPENED, date(2025, 12, 31)),
            "budget_usd": rng.randrange(5, 120) * 100 if channel.startswith("paid") else None,
        }
        for slug, name, channel, source, medium in CAMPAIGNS
    ]


def make_submissions(users: list[User]) -> list[Row]:
    """Forms that were sent on the web site, by people who have registered since and by people who have not."""
    rng, taken, rows = rng_for("submissions"), {user.email or "" for user in users}, list[Row]()
    known = [user for user in users if user.email and user.joined.date() < DAYS[0] and not user.erased_on]
    days = sorted(pick_day(rng, OPENED, DAYS[0] - timedelta(days=1)) for _ in range(SUBMISSIONS)) + [DAYS[1]] * 5
    for number, day in enumerate(days, 1):
        person = rng.choice(known) if day < DAYS[0] and rng.random() < 0.2 else make_user(rng, None, taken, day)
        first, last = (person.columns[name] or "" for name in ("first_name", "last_name"))
        name = f"{last}{first}" if person.locale.country in ("JP", "CN", "KR") else f"{first} {last}"
        rows.append(
            {
                "submission_id": number,
                "email": messy(rng, person.email or "", 0.2),
                "full_name": name if rng.random() < 0.9 else None,
                "form": rng.choices(FORMS, (45, 25, 20, 10))[0],
                "consent": rng.choice(("yes", "Yes", "true", "1", "no", "")),
                "submitted_at": stamp(at_work(rng, day), person.locale.offset),
                "loaded_on": day,
            }
        )
    return rows


def make_touches(users: list[User], submissions: list[Row]) -> list[Row]:
    """Visits that came through a campaign, or through none."""
    rng, rows = rng_for("touches"), list[Row]()
    visits = [(user.email, user.joined.date(), user.locale.offset) for user in users if user.email]
    visits += [(row["email"], row["loaded_on"], 0) for row in submissions if row["email"]]
    for email, day, offset in visits:
        for _ in range(rng.choice((0, 1, 1, 2, 3, 4, 6))):
            seen = pick_day(rng, day - timedelta(days=45), day + timedelta(days=5))
            rows.append(touch_row(rng, email, at_work(rng, seen), offset))
    regulars = [user for user in users if user.email and not user.left_on][: 40 * 14 : 40]
    rows += [touch_row(rng, user.email or "", at_work(rng, DAYS[1]), user.locale.offset) for user in regulars]
    rows = [row for row in rows if row["loaded_on"] <= DAYS[1]]
    rows.sort(key=lambda row: (row["loaded_on"], row["email"]))
    return [{"touch_id": number, **row} for number, row in enumerate(rows, 1)]


def touch_row(rng: random.Random, email: str, moment: datetime, offset: int) -> Row:
    slug, _, _, source, medium = rng.choice(CAMPAIGNS)
    direct = rng.random() < 0.18
    source = rng.choice(SPELLINGS.get(source, (source,)))
    return {
        "email": messy(rng, email),
        "occurred_at": stamp(moment, offset),
        "utm_source": None if direct else messy(rng, source),
        "utm_medium": None if direct else medium,
        "utm_campaign": None if direct else messy(rng, slug, 0.03),
        "landing_page": rng.choice(PAGES),
        "loaded_on": utc_date(moment, offset),
    }
