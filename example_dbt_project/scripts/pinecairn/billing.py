"""Billing: subscriptions, their invoices, and what was paid or given back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from pinecairn.base import DAYS, Row, add_months, pick_day, rng_for, stamp
from pinecairn.people import ACCOUNTS, Account

PRICES = {"starter": 9, "team": 19, "business": 39}  # a seat and month, in US dollars
CURRENCIES = {"US": "USD", "GB": "GBP", "DE": "EUR", "FR": "EUR", "GR": "EUR", "JP": "JPY"}
PER_USD = {"USD": "1.00", "EUR": "0.92", "GBP": "0.78", "JPY": "150.00"}
DECIMALS = {"USD": 2, "EUR": 2, "GBP": 2, "JPY": 0}


@dataclass
class Invoice:
    """What is owed for one period; `paid_on` or `void_on` is when that ends, if it does."""

    id: str
    subscription: Subscription
    issued_on: date
    amount: int
    paid_on: date | None = None
    void_on: date | None = None

    @property
    def due_on(self) -> date:
        return self.issued_on + timedelta(days=14)

    def status(self, day: date) -> str:
        if self.void_on and self.void_on <= day:
            return "void"
        if self.paid_on and self.paid_on <= day:
            return "paid"
        return "uncollectible" if (day - self.issued_on).days > 120 else "open"

    def state(self, day: date) -> Row | None:
        if self.issued_on > day:
            return None
        return {
            "invoice_id": self.id,
            "subscription_id": self.subscription.id,
            "account_id": self.subscription.account.id,
            "status": self.status(day),
            "amount_minor": self.amount,
            "currency": self.subscription.currency,
            "issued_on": self.issued_on,
            "due_on": self.due_on,
            "voided_on": self.void_on if self.status(day) == "void" else None,
        }


@dataclass
class Subscription:
    """A plan that an account pays for, from `started` until the day it is cancelled."""

    id: str
    account: Account
    plan: str
    seats: int
    months: int
    started: date
    cancelled_on: date | None = None
    invoices: list[Invoice] = field(default_factory=list)

    @property
    def currency(self) -> str:
        return CURRENCIES.get(self.account.locale.country, "USD")

    @property
    def unit_amount(self) -> int:
        """The price of a seat and period in minor units; a year costs ten months."""
        dollars = PRICES[self.plan] * (10 if self.months == 12 else 1)
        return round(dollars * float(PER_USD[self.currency]) * (100 if DECIMALS[self.currency] == 2 else 1))

    def periods(self, last: date) -> Iterator[date]:
        start, number = self.started, 0
        while start <= last and not (self.cancelled_on and start >= self.cancelled_on):
            yield start
            number += 1
            start = add_months(self.started, number * self.months)

    def state(self, day: date) -> Row | None:
        if self.started > day:
            return None
        overdue = any(invoice.due_on < day and invoice.status(day) == "open" for invoice in self.invoices)
        cancelled = self.cancelled_on is not None and self.cancelled_on <= day
        return {
            "subscription_id": self.id,
            "account_id": self.account.id,
            "plan": self.plan.upper() if int(self.id[4:]) % 17 == 0 else self.plan,
            "status": "canceled" if cancelled else "past_due" if overdue else "active",
            "seats": self.seats,
            "unit_amount_minor": self.unit_amount,
            "currency": self.currency,
            "billing_interval": "year" if self.months == 12 else "month",
            "started_on": self.started,
            "canceled_on": self.cancelled_on if cancelled else None,
            "current_period_end": add_months(list(self.periods(day))[-1], self.months),
        }


def make_currencies() -> list[Row]:
    return [{"currency": name, "decimals": DECIMALS[name], "per_usd": rate} for name, rate in PER_USD.items()]


def make_subscriptions(accounts: list[Account]) -> list[Subscription]:
    rng, subscriptions = rng_for("subscriptions"), list[Subscription]()

    def subscribe(account: Account, plan: str, started: date, cancelled_on: date | None = None) -> None:
        number, seats = len(subscriptions) + 1, max(1, len(account.members)) + rng.randrange(3)
        months = 12 if rng.random() < 0.25 else 1
        subscriptions.append(Subscription(f"sub_{number:04}", account, plan, seats, months, started, cancelled_on))

    for account in accounts[:ACCOUNTS]:
        started = pick_day(rng, account.created, DAYS[0] - timedelta(days=1))
        started = started.replace(day=min(started.day, 28))
        ended = pick_day(rng, started, DAYS[0] - timedelta(days=1)).replace(day=1)
        if account.plan != "free":
            subscribe(account, account.plan, started, DAYS[1] if account.next_plan != account.plan else None)
        elif rng.random() < 0.15 and ended > started:
            subscribe(account, rng.choice(("starter", "team")), started, ended)
        if account.next_plan not in (None, account.plan):
            subscribe(account, str(account.next_plan), DAYS[1])
    return subscriptions


def make_invoices(subscriptions: list[Subscription]) -> list[Invoice]:
    rng, invoices = rng_for("invoices"), list[Invoice]()
    periods = [(start, item) for item in subscriptions for start in item.periods(DAYS[1])]
    for issued_on, subscription in sorted(periods, key=lambda period: (period[0], period[1].id)):
        amount = subscription.seats * subscription.unit_amount
        invoice = Invoice(f"inv_{len(invoices) + 1:05}", subscription, issued_on, amount)
        fate, late = rng.random(), rng.random()
        if fate < 0.025:
            invoice.void_on = issued_on + timedelta(days=rng.randrange(1, 9))
        elif fate < 0.985:
            delay = rng.randrange(4) if late < 0.8 else rng.randrange(4, 14) if late < 0.92 else rng.randrange(14, 45)
            invoice.paid_on = issued_on + timedelta(days=delay)
        subscription.invoices.append(invoice)
        invoices.append(invoice)
    return invoices


def make_payments(invoices: list[Invoice]) -> list[Row]:
    """Attempts to pay, and refunds; a webhook that was delivered twice leaves the same payment twice."""
    rng, rows = rng_for("payments"), list[Row]()

    def pay(invoice: Invoice, day: date, kind: str, status: str, amount: int) -> None:
        offset = invoice.subscription.account.locale.offset
        moment = datetime.combine(day, time(12, rng.randrange(60))) + timedelta(minutes=offset)
        failure = rng.choice(("card_declined", "insufficient_funds", "expired_card")) if status == "failed" else None
        rows.append(
            {
                "invoice_id": invoice.id,
                "kind": kind,
                "status": status,
                "amount_minor": amount,
                "failure_code": failure,
                "paid_at": stamp(moment, offset),
                "loaded_on": day,
            }
        )

    for invoice in invoices:
        if invoice.void_on is None and rng.random() < 0.07:
            pay(invoice, invoice.issued_on, "payment", "failed", invoice.amount)
        if invoice.paid_on:
            pay(invoice, invoice.paid_on, "payment", "succeeded", invoice.amount)
            if rng.random() < 0.02:
                part = invoice.amount if rng.random() < 0.5 else invoice.amount // 3
                pay(invoice, invoice.paid_on + timedelta(days=rng.randrange(2, 20)), "refund", "succeeded", part)
    rows.sort(key=lambda row: (row["loaded_on"], row["invoice_id"], row["kind"]))
    rows = [{"payment_id": f"pay_{number:05}", **row} for number, row in enumerate(rows, 1)]
    again = [{**row, "loaded_on": row["loaded_on"] + timedelta(days=1)} for row in rows[::90]]
    return [row for row in [*rows, *again] if row["loaded_on"] <= DAYS[1]]
