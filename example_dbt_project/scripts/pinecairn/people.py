"""Accounts and users, and what becomes of them overnight."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from pinecairn.base import DAYS, OPENED, Row, at_work, decomposed, messy, pick_day, rng_for, stamp, utc_date
from pinecairn.vocabulary import (
    COMPANY_FIRST,
    COMPANY_ODD,
    COMPANY_SECOND,
    JOB_TITLES,
    LOCALES,
    SEGMENTS,
    Locale,
    split_handle,
)

ACCOUNTS, MEMBERS, LONERS, DUPLICATES = 344, 13, 70, 70
SIZES = (4, 9, 15, 28, 60, 140, 400, 1200)  # employees
INTERNAL = ("Pinecairn (internal)", "TEST account, do not bill", "qa-load-test")
PLAN_CHANGES = (
    ("free", "starter"),
    ("free", "team"),
    ("starter", "team"),
    ("team", "business"),
    ("team", "starter"),
    ("starter", None),
    ("team", None),
)


@dataclass
class Account:
    """A customer; `plan` is what it has on the first day, `next_plan` on the second (None: no subscription)."""

    id: str
    name: str
    domain: str
    locale: Locale
    segment: str | None
    employees: int | None
    created: date
    plan: str
    next_plan: str | None = None
    closed_on: date | None = None
    members: list[User] = field(default_factory=list)

    def state(self, day: date) -> Row | None:
        if self.created > day:
            return None
        number, country = int(self.id[4:]), self.locale.country
        typed = {"GB": "UK"}.get(country, country) if number % 3 == 0 else country.lower()
        return {
            "account_id": self.id,
            "account_name": self.name,
            "domain": self.domain,
            "segment": self.segment,
            "employees": self.employees,
            "country": typed if number % 11 else None,
            "created_at": stamp(datetime.combine(self.created, time(9, 30)), self.locale.offset),
            "closed_at": self.closed_on if self.closed_on and self.closed_on <= day else None,
        }


@dataclass
class User:
    """A registration; `email` is the address behind what was typed."""

    account: Account | None
    locale: Locale
    email: str | None
    joined: datetime
    activity: float
    columns: Row
    id: str = ""
    left_on: date | None = None
    erased_on: date | None = None

    def state(self, day: date) -> Row | None:
        if utc_date(self.joined, self.locale.offset) > day:
            return None
        left_at = datetime.combine(self.left_on, time(6)) if self.left_on and self.left_on <= day else None
        row = {
            "user_id": self.id,
            "account_id": self.account.id if self.account else None,
            **self.columns,
            "created_at": stamp(self.joined, self.locale.offset),
            "deactivated_at": stamp(left_at, self.locale.offset) if left_at else None,
            "erased": "true" if self.erased_on and self.erased_on <= day else "false",
        }
        return {**row, **dict.fromkeys(self.columns)} if row["erased"] == "true" else row


def make_accounts() -> list[Account]:
    rng, weights = rng_for("accounts"), [locale.weight for locale in LOCALES]
    names = [f"{first} {second}" for first in COMPANY_FIRST for second in COMPANY_SECOND]
    names = sorted(names, key=lambda _: rng.random())[: ACCOUNTS - len(COMPANY_ODD)] + list(COMPANY_ODD)
    accounts = []
    for number, text in enumerate(names, 1):
        name, handle = split_handle(text) if "|" in text else (text, text.lower().replace(" ", "-"))
        accounts.append(
            Account(
                id=f"acc_{number:03}",
                name=name,
                domain=messy(rng, f"{handle}.example.com"),
                locale=rng.choices(LOCALES, weights)[0],
                segment=rng.choice(SEGMENTS) if rng.random() < 0.93 else None,
                employees=rng.choice(SIZES) + rng.randrange(8) if rng.random() < 0.88 else None,
                created=pick_day(rng, OPENED, DAYS[0] - timedelta(days=3)),
                plan=rng.choices(("free", "starter", "team", "business"), (40, 28, 22, 10))[0],
            )
        )
    home, germany, domain = LOCALES[0], LOCALES[2], "pinecairn.example.com"
    for number, name in enumerate(INTERNAL, ACCOUNTS + 1):
        accounts.append(Account(f"acc_{number}", name, domain, home, "software", 30, OPENED, "business"))
    new_id = f"acc_{ACCOUNTS + len(INTERNAL) + 1}"
    new = Account(new_id, "Fernweh Reisen 🧳", "fernweh.example.com", germany, "ecommerce", 12, DAYS[1], "free")
    return [*accounts, new]


def make_user(rng: random.Random, account: Account | None, taken: set[str], joined: date) -> User:
    local = account is not None and rng.random() >= 0.15
    locale = account.locale if account and local else rng.choices(LOCALES, [item.weight for item in LOCALES])[0]
    first, first_handle = split_handle(rng.choice(locale.first_names))
    last, last_handle = split_handle(rng.choice(locale.last_names))
    domain = account.domain.strip().lower() if account else rng.choice(("mail.example.org", "post.example.net"))
    handle = f"{first_handle}.{last_handle}"
    candidates = (f"{handle}{number or ''}@{domain}" for number in range(999))
    email: str | None = next(candidate for candidate in candidates if candidate not in taken)
    taken.add(email or "")
    typed = messy(rng, email or "")
    if rng.random() < 0.015:
        email, typed = None, rng.choice(("n/a", "-", f"{handle}@", domain, ""))
    odd = rng.random()
    columns = {
        "email": typed,
        "first_name": f"{first} 🌻" if odd < 0.01 else decomposed(first) if odd < 0.04 else messy(rng, first, 0.04),
        "last_name": rng.choice(("n/a", "-", None)) if odd > 0.97 else messy(rng, last, 0.04),
        "phone": phone(rng) if rng.random() < 0.45 else None,
        "job_title": rng.choice(JOB_TITLES) if rng.random() < 0.7 else None,
        "role": "admin" if account and not account.members else "member",
        "time_zone": locale.time_zone if rng.random() < 0.97 else None,
        "marketing_opt_in": rng.choice(("true", "true", "TRUE", "1", "false", "no", "")),
    }
    return User(account, locale, email, at_work(rng, joined), 0.42 * rng.random() ** 2.4, columns)


def phone(rng: random.Random) -> str:
    return f"+{rng.randrange(1, 99)} {rng.randrange(100, 999)} {rng.randrange(10**5, 10**7)}"


def duplicate_of(rng: random.Random, user: User) -> User:
    """The same person, registered a second time with the address typed another way."""
    assert user.email
    typed = rng.choice((user.email.upper(), f" {user.email}", f"{user.email}  ", user.email.title()))
    joined = at_work(rng, pick_day(rng, user.joined.date(), DAYS[0] - timedelta(days=1)))
    columns = {**user.columns, "email": typed, "role": "member", "phone": None, "job_title": None}
    return User(user.account, user.locale, user.email, max(joined, user.joined), user.activity / 3, columns)


def make_users(accounts: list[Account]) -> list[User]:
    rng, taken, users = rng_for("users"), set[str](), list[User]()
    yesterday = DAYS[0] - timedelta(days=1)
    homes = [(account, account.created) for account in accounts[:-1] for _ in range(1 + rng.randrange(MEMBERS))]
    for account, opened in [*homes, *[(None, OPENED)] * LONERS]:
        user = make_user(rng, account, taken, pick_day(rng, opened, yesterday))
        if rng.random() < 0.07:
            user.left_on = pick_day(rng, user.joined.date(), yesterday)
        if account:
            account.members.append(user)
        users.append(user)
    twins = [duplicate_of(rng, user) for user in users[:: len(users) // DUPLICATES] if user.email and not user.left_on]
    users = sorted([*users, *twins], key=lambda user: user.joined)
    newcomers = []
    for account in [accounts[-1]] * 3 + accounts[40:44]:
        newcomers.append(make_user(rng, account, taken, DAYS[1]))
        account.members.append(newcomers[-1])
    users += sorted(newcomers, key=lambda user: user.joined)
    for number, user in enumerate(users, 1):
        user.id = f"u_{number:04}"
    return users


def plan_second_day(accounts: list[Account], users: list[User]) -> None:
    """Decide what happens overnight: plans change, an account closes, people leave or ask to be erased."""
    small = [account for account in accounts[:ACCOUNTS] if 3 <= len(account.members) <= 6]
    for account in accounts:
        account.next_plan = account.plan if account.plan != "free" else None
    for before, after in PLAN_CHANGES:
        account = next(account for account in small if account.plan == before)
        account.next_plan = after
        small.remove(account)
    closing = next(account for account in small if account.plan == "free")
    closing.closed_on = DAYS[1]
    for user in closing.members:
        user.left_on = user.left_on or DAYS[1]
    for user in [user for user in users if user.activity > 0.1 and not user.left_on and user.email][100:700:100]:
        user.left_on = DAYS[1]
    for user in [user for user in users if user.left_on and user.left_on < DAYS[0] and user.email][10:50:10]:
        user.erased_on = DAYS[1]
