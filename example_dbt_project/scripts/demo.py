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
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
DAY_2 = ("--vars", "{day: 2}")


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
    run("revetl", "plan", "--limit", "1", "--select", "sales_contacts")
    say("Send it: sales, marketing and support to a local HubSpot, billing to a JSON API")
    run("revetl", "run")
    yesterday = usage()

    say("Day 2: some people used the product, some changed plan, a few left")
    run("dbt", "build", "--quiet", *DAY_2)
    contact = busiest_riser(yesterday, usage())
    say("Only the differences are planned")
    run("revetl", "plan", "--limit", "3", "--show-values", "--select", "sales_contacts", *DAY_2)
    show("The CRM, before", contact)
    run("revetl", "run", *DAY_2)
    show("The CRM, after", contact)
    say("Nothing has changed since: one query a sync, no record sent")
    run("revetl", "run", *DAY_2)

    say(f"Done in {time.monotonic() - started:.0f} s. Where to look, from {os.path.relpath(PROJECT)}/")
    print(f"  {os.path.relpath(BIN, PROJECT)}/revetl sandbox       the records, as a page in your browser")
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


def usage() -> dict[str, int]:
    """The product score of each sales contact, by e-mail address, as the warehouse has it."""
    import duckdb

    with duckdb.connect(str(PROJECT / "warehouse.duckdb"), read_only=True) as connection:
        rows = connection.execute("select email, pql_score from sales_contacts where is_active and email is not null")
        return dict(rows.fetchall())


def busiest_riser(before: dict[str, int], after: dict[str, int]) -> str:
    """The contact whose score rose most."""
    return max(before.keys() & after.keys(), key=lambda email: (after[email] - before[email], email))


def show(title: str, email: str) -> None:
    """One contact as the sandbox has it."""
    from revetl_dbt.sandbox import Sandbox

    wanted = ["firstname", "lastname", "company", "plan_name", "weekly_active_days", "events_last_4_weeks", "pql_score"]
    with Sandbox(PROJECT / "target" / "revetl" / "sandbox") as sandbox:
        record = read_contact(sandbox.url("hubspot"), sandbox.token("hubspot") or "", email, wanted)
    print(f"\n{title}:")
    print("\n".join(f"  {name:<20} {record.get(name) or ''}" for name in wanted) + "\n", flush=True)


def read_contact(url: str, token: str, email: str, properties: list[str]) -> dict[str, str | None]:
    """A contact's properties, through HubSpot's own API."""
    import requests

    asked = {"idProperty": "email", "inputs": [{"id": email}], "properties": properties, "propertiesWithHistory": []}
    response = requests.post(
        f"{url}/crm/v3/objects/contacts/batch/read",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        data=json.dumps(asked),
        timeout=10,
    )
    response.raise_for_status()
    found: dict[str, str | None] = response.json()["results"][0]["properties"]
    return found


if __name__ == "__main__":
    main()
