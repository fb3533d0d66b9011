"""How a record looks in an answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from revetl_dbt.sandbox.hubspot.account import VENDOR, Account
from revetl_dbt.sandbox.hubspot.objects import ObjectType
from revetl_dbt.sandbox.hubspot.values import moment_text
from revetl_dbt.sandbox.store import Change, Record


def all_values(kind: ObjectType, record: Record) -> dict[str, str]:
    """The values of a record with those that HubSpot maintains itself."""
    return {
        **record.properties,
        "hs_object_id": record.id,
        "createdate": moment_text(record.created),
        kind.modified: moment_text(record.updated),
        "hs_object_source": "INTEGRATION",
        "hs_object_source_label": "INTEGRATION",
    }


class Renderer:
    """Renders records of one object, with the properties that a request asks for.

    Asked for by name, a property without a value is null and one that does not exist is left out; the record id
    and the two dates are
    always there. `written=True` shows what a write answers: all values that the record has.
    """

    def __init__(
        self, account: Account, base_url: str, kind: ObjectType, names: Iterable[str] = (), written: bool = False
    ) -> None:
        self._kind = kind
        self._base_url = base_url
        self._account = account
        self._written = written
        known = account.active(kind)
        asked = list(dict.fromkeys(names)) or list(kind.shown)
        self._names = sorted({name for name in asked if name in known} | {"hs_object_id", "createdate", kind.modified})

    def record(self, record: Record) -> dict[str, Any]:
        """A record as SimplePublicObject."""
        values = all_values(self._kind, record)
        shown: dict[str, Any] = {
            "id": record.id,
            "properties": dict(sorted(values.items()))
            if self._written
            else {name: values.get(name) for name in self._names},
            "createdAt": moment_text(record.created),
            "updatedAt": moment_text(record.updated),
            "archived": record.archived is not None,
            "url": f"{self._base_url}/pages/{VENDOR}/{quote(self._kind.key)}/{quote(record.id)}",
        }
        if record.archived is not None:
            shown["archivedAt"] = moment_text(record.archived)
        return shown

    def with_history(self, records: Sequence[Record], names: Sequence[str]) -> list[dict[str, Any]]:
        """Records with the past values of some properties, the newest first."""
        shown = [self.record(record) for record in records]
        if names:
            history = self._account.store.changes(VENDOR, self._kind.key, [record.id for record in records])
            for entry in shown:
                entry["propertiesWithHistory"] = {name: _history(history[entry["id"]], name) for name in names}
        return shown


def _history(changes: Sequence[Change], name: str) -> list[dict[str, Any]]:
    return [
        {
            "value": change.fields[name][1] or "",
            "timestamp": moment_text(change.at),
            "sourceType": change.source,
            "sourceId": "revetl",
        }
        for change in reversed(changes)
        if name in change.fields
    ]
