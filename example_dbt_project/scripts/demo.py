"""The main job on the example project, offline: build, plan, sync; then a day passes, and only what changed is sent.

Run it with `make demo` from the root of the repository. It starts from nothing each time: the example's warehouse,
target folder and sandbox are made anew.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from functools import reduce
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
DAY_2 = ("--vars", "{day: 2}")
CRM_FIELDS = "firstname", "lastname", "company", "plan_name", "weekly_active_days", "events_last_4_weeks", "pql_score"
PERSON = {  # where a person is, and what of theirs to show
    ("salesforce", "Contact"): ("Weekly_Active_Days__c", "PQL_Score__c", "PQL_Grade__c"),
    ("hubspot", "contacts"): ("company", "pql_score", "first_touch_source", "account_health"),
    ("marketo", "leads"): ("customerStage", "firstTouchCampaign", "lastTouchChannel"),
    ("intercom", "contacts"): ("mrr_usd", "open_invoices", "account_health"),
    ("zendesk", "users"): ("user_fields.support_tier", "user_fields.mrr_usd", "user_fields.account_health"),
}
COMPANY = {
    ("salesforce", "Account"): ("Plan__c", "MRR__c", "Active_Users__c"),
    ("stripe", "customers"): ("metadata.plan", "metadata.mrr", "metadata.balance_due"),
}


def main() -> None:
    """Run the demo from start to end; ends with the exit code of the first command that fails."""
    started = time.monotonic()
    for leftover in (PROJECT / "target", PROJECT / "logs"):
        shutil.rmtree(leftover, ignore_errors=True)
    for file in PROJECT.glob("*.duckdb*"):
        file.unlink()

    say("Day 1: dbt builds the warehouse of a small software company")
    run("dbt", "build", "--quiet")
    say("What would be sent, and where to")
    run("revetl", "plan", "--limit", "1", "--sync", "sales_contacts_to_salesforce")
    say("Send it to local stand-ins of Salesforce, HubSpot, Marketo, Intercom, Zendesk and Stripe, and to a JSON API")
    run("revetl", "run")
    yesterday = usage()

    say("Day 2: some people used the product, some changed plan, a few left")
    run("dbt", "build", "--quiet", *DAY_2)
    email, account = busiest_riser(yesterday, usage())
    say("Only the differences are planned")
    run("revetl", "plan", "--limit", "2", "--show-values", "--sync", "sales_contacts_to_salesforce", *DAY_2)
    show("HubSpot, before", email)
    run("revetl", "run", *DAY_2)
    show("HubSpot, after", email)
    say("Nothing has changed since: one query a sync, no record sent")
    run("revetl", "run", "--quiet", *DAY_2)
    show_counts()

    say("That person, and their company, in each tool")
    show_everywhere(email, account)

    say(f"Done in {time.monotonic() - started:.0f} s. Where to look, from {os.path.relpath(PROJECT)}/")
    print(f"  {os.path.relpath(BIN, PROJECT)}/revetl sandbox       the records in your browser, under the paths above")
    print("  models/marts/                      where the syncs are declared, beside their models")
    print("  target/revetl/run_results.json     what the last run did")


def say(text: str) -> None:
    """A heading."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def run(*command: str) -> None:
    """Show a command and run it in the example project."""
    print("$ " + " ".join(f'"{part}"' if " " in part else part for part in command), flush=True)
    finished = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=PROJECT, check=False)
    if finished.returncode != 0:
        raise SystemExit(finished.returncode)


def usage() -> dict[tuple[str, str], int]:
    """The product scores of people on the best plan, whom every tool has, by e-mail address and account."""
    import duckdb

    query = "from sales_contacts select email, account_id, pql_score where plan = 'business' and email is not null"
    with duckdb.connect(str(PROJECT / "warehouse.duckdb"), read_only=True) as connection:
        return {(email, account): score for email, account, score in connection.execute(query).fetchall()}


def busiest_riser(before: dict[tuple[str, str], int], after: dict[tuple[str, str], int]) -> tuple[str, str]:
    """The person whose score rose most."""
    return max(before.keys() & after.keys(), key=lambda person: (after[person] - before[person], person))


def show(title: str, email: str) -> None:
    """One contact as the HubSpot of the sandbox has it."""
    from revetl_dbt.sandbox import Sandbox

    with Sandbox(PROJECT / "target" / "revetl" / "sandbox") as sandbox:
        [record] = sandbox.store.find("hubspot", "contacts", email, 1)
    print(f"\n{title}:")
    print("\n".join(f"  {name:<20} {record.properties.get(name) or ''}" for name in CRM_FIELDS) + "\n", flush=True)


def show_everywhere(email: str, account: str) -> None:
    """The path of a person's and a company's page in each tool of the sandbox, and what the syncs filled in."""
    from revetl_dbt.sandbox import Sandbox

    wanted = [(place, email, fields) for place, fields in PERSON.items()]
    wanted += [(place, f'"{account}"', fields) for place, fields in COMPANY.items()]
    with Sandbox(PROJECT / "target" / "revetl" / "sandbox") as sandbox:
        for (vendor, object_name), text, fields in wanted:
            [record] = sandbox.store.find(vendor, object_name, text, 1)
            print(f"  /pages/{vendor}/{object_name}/{record.id}")
            print("      " + ", ".join(f"{name} {value(record.properties, name)}" for name in fields), flush=True)


def show_counts() -> None:
    """How the syncs of the last run ended, and how many requests they made."""
    results = json.loads((PROJECT / "target/revetl/run_results.json").read_text(encoding="utf-8"))["results"]
    statuses = Counter(result["status"] for result in results)
    requests = sum(result["requests"] for result in results)
    print(", ".join(f"{count} x {status}" for status, count in statuses.items()) + f"; {requests} requests")


def value(properties: Any, name: str) -> Any:
    """The value of a field; `a.b` is the field `b` of the group `a`."""
    return reduce(lambda group, part: group.get(part, ""), name.split("."), properties)


if __name__ == "__main__":
    main()
