"""One Intercom workspace: its contacts, companies, tags and events, kept in the store.

A record's properties hold its standard and custom attributes under their own names; names that begin with `$` are what
Intercom keeps beside them: `$companies` and `$tags` of a contact, `$deleted` of one that is gone for good.
"""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from revetl_dbt.sandbox.intercom.attributes import VENDOR, Attributes
from revetl_dbt.sandbox.store import Change, Record, Store

CONTACTS, COMPANIES, EVENTS, TAGS = "contacts", "companies", "events", "tags"
SOURCE = "sync"


class Workspace:
    """Records and attributes, with an id that is drawn once for a state directory."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.attributes = Attributes(store)
        self.id = str(store.setting("intercom:workspace", lambda: _drawn("abcdefghijklmnopqrstuvwxyz0123456789", 8)))

    def one(self, kind: str, record_id: str) -> Record | None:
        """A record that is neither archived nor deleted."""
        record = self.any(kind, record_id)
        return record if record is not None and record.archived is None else None

    def any(self, kind: str, record_id: str) -> Record | None:
        """A record, archived or not; None for one that is gone for good."""
        record = self.ever(kind, record_id)
        return record if record is not None and not record.properties.get("$deleted") else None

    def ever(self, kind: str, record_id: str) -> Record | None:
        """A record that there is or has been."""
        return self.store.read(VENDOR, kind, [record_id]).get(record_id)

    def holders(self, kind: str, field: str, value: str) -> list[Record]:
        """The records with a value in one of the indexed fields, archived ones included, the oldest first."""
        ids = json.loads(self.store.owners(VENDOR, kind, field, [value]).get(value, "[]"))
        found = self.store.read(VENDOR, kind, ids)
        return sorted(found.values(), key=lambda record: record.seq)

    def create(
        self, kind: str, values: Mapping[str, Any], index: Mapping[str, str | None], **own: str | bool | int | list[str]
    ) -> Record:
        """A new record; `index` maps fields to the value that finds it, `own` are what Intercom fills in by itself."""
        now = self.store.now()
        given = {name: value for name, value in values.items() if value is not None}
        record = Record(secrets.token_hex(12), {**given, **{k: v for k, v in own.items() if k not in given}}, now, now)
        shown = {name: (None, value) for name, value in given.items() if not name.startswith("$")}
        self.store.write(VENDOR, kind, [record], [Change(record.id, now, SOURCE, shown)])
        self._reindex(kind, record.id, {}, index)
        return record

    def update(
        self,
        kind: str,
        record: Record,
        values: Mapping[str, Any],
        before: Mapping[str, str | None] | None = None,
        after: Mapping[str, str | None] | None = None,
    ) -> Record:
        """Write values to a record (null clears); what it is found by goes from `before` to `after`."""
        now = self.store.now()
        changed = {name: (record.properties.get(name), value) for name, value in values.items()}
        changed = {name: pair for name, pair in changed.items() if pair[0] != pair[1]}
        for name, (_, value) in changed.items():
            if value is None:
                record.properties.pop(name, None)
            else:
                record.properties[name] = value
        record.updated = now
        shown = {name: pair for name, pair in changed.items() if not name.startswith("$")}
        self.store.write(VENDOR, kind, [record], [Change(record.id, now, SOURCE, shown)] if shown else [])
        self._reindex(kind, record.id, before or {}, after or {})
        return record

    def set_archived(self, kind: str, record: Record, archived: bool) -> None:
        """Put a record away, or bring it back."""
        now = self.store.now()
        record.archived = now if archived else None
        record.updated = now
        self.store.write(VENDOR, kind, [record], [Change(record.id, now, SOURCE, {})])

    def delete(self, kind: str, record: Record, index: Mapping[str, str | None]) -> None:
        """Remove a record for good: it gives up the values that find it."""
        record.properties["$deleted"] = True
        self.set_archived(kind, record, True)
        self._reindex(kind, record.id, index, {})

    def live(self, kind: str) -> Iterable[Record]:
        """All records that are not archived, the oldest first."""
        return self.store.scan(VENDOR, kind)

    def _reindex(
        self, kind: str, record_id: str, before: Mapping[str, str | None], after: Mapping[str, str | None]
    ) -> None:
        for field in {*before, *after}:
            old, new = before.get(field), after.get(field)
            if old != new:
                self._hold(kind, field, old, record_id, held=False)
                self._hold(kind, field, new, record_id, held=True)

    def _hold(self, kind: str, field: str, value: str | None, record_id: str, *, held: bool) -> None:
        if value is None:
            return
        owners = self.store.owners(VENDOR, kind, field, [value])
        ids = [known for known in json.loads(owners.get(value, "[]")) if known != record_id]
        ids += [record_id] if held else []
        self.store.claim(VENDOR, kind, [(field, value, json.dumps(ids))] if ids else [], [(field, value)])


def _drawn(alphabet: str, length: int) -> str:
    return "".join(random.SystemRandom().choice(alphabet) for _ in range(length))
