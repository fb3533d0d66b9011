"""What `revetl state show` says of a sync and account."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import click

from revetl_dbt.report.log import timestamp
from revetl_dbt.report.words import counted
from revetl_dbt.spec.models import Rejected, Sync
from revetl_dbt.warehouse.entries import TABLES, Entry, Held, LastRun, damage, held, last_run, standings
from revetl_dbt.warehouse.store import Store

_WORDS = {
    "sent": "sent",
    "cleared": "cleared",
    "deleted": "deleted",
    "unsure": "in doubt, and sent again",
    "waiting_rejected": "rejected, and sent again",
    "held_rejected": "rejected and held",
    "held_unknown": "of unknown outcome and held",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of one sync and account; `rows` are counted where nothing is damaged."""

    entry: Entry
    declared: bool
    damage: list[str]
    rows: Counter[str]
    last: LastRun | None
    lease: Held | None
    tables: Mapping[str, str]


def standing_of(store: Store, entry: Entry, declared: Mapping[str, Sync]) -> Standing:
    """Look it up. Raises WarehouseError."""
    sync = declared.get(entry.sync)
    attempts = sync.spec.rejected.max_attempts if sync else int(Rejected.model_fields["max_attempts"].default)
    problems = damage(store, entry)
    return Standing(
        entry,
        sync is not None,
        problems,
        Counter() if problems else standings(store, entry, attempts),
        last_run(store, entry.sync, entry.account),
        held(store, entry.sync, entry.account),
        {name: store.relation(entry.identifier(name)) for name in TABLES},
    )


def as_text(found: Sequence[Standing]) -> str:
    """For people."""
    return "\n".join("\n".join(_lines(item)) + "\n" for item in found)


def as_json(found: Sequence[Standing]) -> str:
    """For programs: a JSON array."""
    return json.dumps([_data(item) for item in found], indent=2, ensure_ascii=False)


def _lines(item: Standing) -> Iterator[str]:
    entry = item.entry
    gone = "" if item.declared else " (not declared any more)"
    yield f"{entry.sync}: {entry.destination}.{entry.object}, account {entry.account_name or entry.account}{gone}"
    for text in item.damage:
        yield click.style(f"  damaged   {text}", fg="red")
    if not item.damage:
        yield "  rows      " + counted(*((item.rows[name], word) for name, word in _WORDS.items()))
    yield "  settled   " + (_time(entry.settled_at) if entry.settled_at else "not yet: no run has come through")
    if item.last is not None:
        what = f"{item.last.command}, {item.last.status}"
        yield f"  latest    {_time(item.last.finished_at)}: {what}" + (
            f"; {item.last.message}" if item.last.message else ""
        )
    if item.lease is None:
        yield "  lease     nobody's"
    else:
        yield f"  lease     {item.lease.holder}, since {_time(item.lease.since)} until {_time(item.lease.until)}"
    yield f"  tables    {item.tables['ledger']}"
    yield f"            {item.tables['rejected']}"


def _data(item: Standing) -> dict[str, object]:
    entry = item.entry
    return {
        "sync": entry.sync,
        "declared": item.declared,
        "account": {"id": entry.account, "name": entry.account_name},
        "destination": entry.destination,
        "object": entry.object,
        "model": entry.model,
        "damage": item.damage,
        "rows": None if item.damage else {name: item.rows[name] for name in _WORDS},
        "settled_at": _stamp(entry.settled_at),
        "last_run": None
        if item.last is None
        else {
            "command": item.last.command,
            "status": item.last.status,
            "finished_at": _stamp(item.last.finished_at),
            "message": item.last.message,
        },
        "lease": None
        if item.lease is None
        else {
            "run_id": item.lease.run_id,
            "holder": item.lease.holder,
            "acquired_at": _stamp(item.lease.since),
            "expires_at": _stamp(item.lease.until),
        },
        "tables": dict(item.tables),
    }


def _time(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _stamp(moment: dt.datetime | None) -> str | None:
    return None if moment is None else timestamp(moment.replace(tzinfo=dt.timezone.utc))
