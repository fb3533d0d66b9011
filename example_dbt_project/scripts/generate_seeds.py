"""Write the seeds of the example project, the same bytes every time.

    python scripts/generate_seeds.py            writes seeds/
    python scripts/generate_seeds.py --check    says whether the committed files match, exit code 1 if not

Pinecairn is an invented company that sells a planning board to other companies. Each table is what a loader would
have brought in on two days: a row arrives with the day in `loaded_on`, and arrives again when it has changed. Staging
models take the newest row as of `day`. Only the standard library is used, and only those functions of `random` that
give the same numbers on every Python version.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterable
from pathlib import Path

from pinecairn.base import Row, extracts
from pinecairn.billing import Invoice, Subscription, make_currencies, make_invoices, make_payments, make_subscriptions
from pinecairn.marketing import make_campaigns, make_submissions, make_touches
from pinecairn.people import Account, User, make_accounts, make_users, plan_second_day
from pinecairn.usage import make_events

SEEDS = Path(__file__).resolve().parent.parent / "seeds"


def make_tables() -> dict[str, list[Row]]:
    """Every seed by its path below seeds/."""
    accounts = make_accounts()
    users = make_users(accounts)
    plan_second_day(accounts, users)
    submissions = make_submissions(users)
    subscriptions = make_subscriptions(accounts)
    invoices = make_invoices(subscriptions)

    def states(items: Iterable[Account | User | Subscription | Invoice]) -> list[Row]:
        return [row for item in items for row in extracts(item.state)]

    return {
        "app/raw_accounts.csv": states(accounts),
        "app/raw_users.csv": states(users),
        "product/raw_events.csv": make_events(users),
        "marketing/raw_campaigns.csv": make_campaigns(),
        "marketing/raw_form_submissions.csv": submissions,
        "marketing/raw_touches.csv": make_touches(users, submissions),
        "billing/raw_currencies.csv": make_currencies(),
        "billing/raw_subscriptions.csv": states(subscriptions),
        "billing/raw_invoices.csv": states(invoices),
        "billing/raw_payments.csv": make_payments(invoices),
    }


def to_csv(rows: list[Row]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the seeds of the example project")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a committed file differs")
    check = parser.parse_args().check
    differing = []
    for name, rows in make_tables().items():
        path, text = SEEDS / name, to_csv(rows)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            differing.append(name)
        print(f"{name}: {len(rows)} rows{', differs from the committed file' if name in differing else ''}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
