"""What has to be asked of the destination before a batch can be sent: lookups, and fields that are only written
under a condition."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from revetl_dbt.destinations.base import Change, Found, ObjectType, Operation, Outcome, Reference, Status
from revetl_dbt.engine.link import Link
from revetl_dbt.spec.models import FieldMapping, Sync, Write

READ_AT_ONCE = 100
_CACHED_REFERENCES = 100_000


class Preparation:
    """Settles the changes of one sync just before they are sent; used by several workers at once."""

    def __init__(self, sync: Sync, kind: ObjectType, link: Link) -> None:
        spec = sync.spec
        self._object = spec.object
        self._link = link
        self._vendor_resolves = kind.references
        self._match = next(iter(spec.match), None)
        self._on_create = _fields_with(spec.fields, Write.ON_CREATE)
        self._if_empty = _fields_with(spec.fields, Write.IF_EMPTY)
        self._lookups = {name: mapping.lookup for name, mapping in spec.fields.items() if mapping.lookup is not None}
        self._references: dict[tuple[str, str, str], str] = {}
        self._lock = threading.Lock()

    @property
    def needed(self) -> bool:
        """False when changes can be sent as they are."""
        return bool(self._on_create or self._if_empty or self._lookups)

    def settle(self, operation: Operation, changes: Sequence[Change]) -> tuple[list[Change], list[Outcome]]:
        """The changes as they are to be sent, and outcomes of those that are settled without sending.

        Raises a DestinationError when the destination cannot be read.
        """
        ready, outcomes = list(changes), list[Outcome]()
        if self._lookups:
            ready, outcomes = self._resolve(ready)
        conditional = self._if_empty or (self._on_create if operation is Operation.UPSERT else ())
        if conditional and self._match is not None and operation in {Operation.UPSERT, Operation.UPDATE}:
            ready, unchanged = self._drop_unwanted(operation, ready)
            outcomes += unchanged
        return ready, outcomes

    def _drop_unwanted(self, operation: Operation, changes: Sequence[Change]) -> tuple[list[Change], list[Outcome]]:
        match = self._match or ""
        names = [*self._if_empty]
        found = {
            _folded(record.match): record
            for record in self._read(self._object, match, [c.match[match] for c in changes], names)
        }
        ready: list[Change] = []
        unchanged: list[Outcome] = []
        for change in changes:
            record = found.get(_folded(change.match[match]))
            if record is None:
                # An update may have a new match value: then its record is there, and what it holds is not known.
                blind = operation is Operation.UPDATE and self._if_empty
                ready.append(_without(change, self._if_empty) if blind else change)
                continue
            fields = {name: value for name, value in change.fields.items() if self._wanted(name, record)}
            if fields or operation is Operation.UPSERT:
                ready.append(change._replace(fields=fields, id=change.id or record.id))
            else:
                unchanged.append(Outcome(change.seq, Status.UNCHANGED, record.id))
        return ready, unchanged

    def _wanted(self, name: str, record: Found) -> bool:
        if name in self._on_create:
            return False
        return name not in self._if_empty or record.fields.get(name) in (None, "", [])

    def _resolve(self, changes: Sequence[Change]) -> tuple[list[Change], list[Outcome]]:
        ready = list(changes)
        rejected: list[Outcome] = []
        for name, lookup in self._lookups.items():
            field = next(iter(lookup.match))
            if self._vendor_resolves and lookup.if_missing == "reject":
                ready = [_referring(change, name, lookup.object, field) for change in ready]
                continue
            asked = [c.fields[name] for c in ready if c.fields.get(name) is not None]
            ids = self._ids(lookup.object, field, asked)
            kept: list[Change] = []
            for change in ready:
                value = change.fields.get(name)
                identity = ids.get(_folded(value))
                if value is None or identity is not None:
                    kept.append(_with_field(change, name, identity))
                elif lookup.if_missing == "clear":
                    kept.append(_with_field(change, name, None))
                elif lookup.if_missing == "skip":
                    kept.append(_without(change, {name}))
                else:
                    message = f"field `{name}`: no `{lookup.object}` has this row's value in `{field}`"
                    rejected.append(Outcome(change.seq, Status.REJECTED, change.id, "lookup_missing", message))
            ready = kept
        return ready, rejected

    def _ids(self, object_name: str, field: str, values: Iterable[Any]) -> dict[str, str]:
        wanted = {_folded(value): value for value in values}
        with self._lock:
            known = {
                k: self._references[object_name, field, k]
                for k in wanted
                if (object_name, field, k) in self._references
            }
        missing = [value for folded, value in wanted.items() if folded not in known]
        found = {_folded(record.match): record.id for record in self._read(object_name, field, missing, [])}
        with self._lock:
            if len(self._references) > _CACHED_REFERENCES:
                self._references.clear()
            self._references.update({(object_name, field, folded): identity for folded, identity in found.items()})
        return known | found

    def _read(self, object_name: str, match: str, values: Sequence[Any], fields: Sequence[str]) -> Iterable[Found]:
        for start in range(0, len(values), READ_AT_ONCE):
            part = values[start : start + READ_AT_ONCE]
            yield from self._link.ask(partial(self._found, object_name, match, part, fields))

    def _found(self, object_name: str, match: str, values: Sequence[Any], fields: Sequence[str]) -> list[Found]:
        return list(self._link.destination.read(object_name, match, values, fields))


def _fields_with(fields: Mapping[str, FieldMapping], write: Write) -> frozenset[str]:
    return frozenset(name for name, mapping in fields.items() if mapping.write is write)


def _without(change: Change, names: Collection[str]) -> Change:
    return change._replace(fields={name: value for name, value in change.fields.items() if name not in names})


def _with_field(change: Change, name: str, value: Any) -> Change:
    if name not in change.fields:
        return change
    return change._replace(fields={**change.fields, name: value})


def _referring(change: Change, name: str, object_name: str, field: str) -> Change:
    value = change.fields.get(name)
    return change if value is None else _with_field(change, name, Reference(object_name, field, value))


def _folded(value: Any) -> str:
    return str(value).strip().casefold()
