"""How records look in an answer."""

from __future__ import annotations

import datetime as dt
from typing import Any

from revetl_dbt.sandbox.store import Record
from revetl_dbt.sandbox.zendesk.account import Account
from revetl_dbt.sandbox.zendesk.fields import Kind
from revetl_dbt.sandbox.zendesk.memberships import organizations

HIDDEN = frozenset({"emails", "organizations", "comments", "erased"})


def moment(millis: int) -> str:
    """A moment as Zendesk writes it: `2026-11-22T18:47:11Z`."""
    whole = dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=millis)
    return whole.isoformat(timespec="seconds") + "Z"


def rendered(account: Account, kind: Kind, record: Record) -> dict[str, Any]:
    """A record with all its fields; those without a value are null."""
    own = {name: value for name, value in record.properties.items() if name not in HIDDEN}
    shown: dict[str, Any] = {**dict.fromkeys(kind.standard), **own}
    shown |= {
        "id": record.id if kind.own else int(record.id),
        "url": account.url(f"{kind.name}/{record.id}"),
        "created_at": moment(record.created),
        "updated_at": moment(record.updated),
        kind.custom: _custom(account, kind, record.properties.get(kind.custom) or {}),
    }
    if not kind.own:
        shown["tags"] = shown["tags"] or []
    if kind.name == "users":
        joined = organizations(record)
        shown |= {
            "active": record.archived is None,
            "organization_id": int(joined[0]) if joined else None,
        }
    if kind.name == "tickets":
        comments = record.properties.get("comments") or [{}]
        shown |= {"description": comments[0].get("body"), "fields": shown[kind.custom]}
        shown["status"] = "deleted" if record.archived is not None else shown["status"]
    return shown


def _custom(account: Account, kind: Kind, held: dict[str, Any]) -> Any:
    fields = account.fields(kind)
    if kind.name == "tickets":
        return [{"id": field["id"], "value": held.get(key)} for key, field in fields.items()]
    # The day of a date field comes back as its midnight (as recorded).
    return {
        key: f"{held[key]}T00:00:00+00:00" if field["type"] == "date" and held.get(key) else held.get(key)
        for key, field in fields.items()
    }
