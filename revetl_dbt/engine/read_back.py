"""What became of records whose answer was lost and that must not be sent twice: the destination itself is asked."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from revetl_dbt.destinations.base import (
    Change,
    FatalError,
    Found,
    ObjectType,
    Operation,
    Outcome,
    Reference,
    Status,
)
from revetl_dbt.engine.link import Link
from revetl_dbt.engine.prepare import READ_AT_ONCE
from revetl_dbt.spec.models import SyncSpec

_ABSENT = "no answer came, and the destination does not have it"
_OTHERWISE = "no answer came, and the destination has such a record that holds something else than was sent"


class ReadBack:
    """Reads the records of one sync back; used by several workers at once.

    A record is looked for by a field of which no two records share a value, else by its match field. One that is there
    with what was sent was accepted. One that is not was not, where the field is `conclusive`.
    """

    def __init__(self, link: Link, kind: ObjectType, spec: SyncSpec) -> None:
        self._link = link
        self._kind = kind
        self._match = next(iter(spec.match)) if len(spec.match) == 1 else None
        self._looked_up = {name for name, mapping in spec.fields.items() if mapping.lookup is not None}

    def can(self, operation: Operation) -> bool:
        """True when it is worth asking what became of records that were sent in this way."""
        return self._kind.reads and operation not in self._kind.idempotent

    def outcomes(self, operation: Operation, changes: Sequence[Change]) -> dict[int, Outcome]:
        """By number: CREATED what is there as it was sent, RETRY what certainly is not, UNKNOWN what is there
        otherwise. Nobody can tell of the others.

        Raises a DestinationError when the destination cannot be asked now.
        """
        conclusive = {name for name, info in self._link.described(self._kind).items() if info.conclusive}
        by_field: dict[str, list[Change]] = defaultdict(list)
        for change in changes:
            field = self._field(operation, change, conclusive)
            if field is not None:
                by_field[field].append(change)
        told: dict[int, Outcome] = {}
        for field, some in by_field.items():
            for start in range(0, len(some), READ_AT_ONCE):
                told |= self._told(field, some[start : start + READ_AT_ONCE], conclusive=field in conclusive)
        return told

    def _field(self, operation: Operation, change: Change, conclusive: set[str]) -> str | None:
        """The field that finds the record."""
        for name, value in (*change.match.items(), *change.fields.items()):
            if name in conclusive and value is not None and name not in self._looked_up:
                return name
        # The match of an event names what it is about, not the event.
        return None if operation is Operation.APPEND else self._match

    def _told(self, field: str, changes: Sequence[Change], *, conclusive: bool) -> dict[int, Outcome]:
        values = [_value(change, field) for change in changes]
        names = {name for change in changes for name, value in change.fields.items() if self._compares(name, value)}
        found = self._link.ask(partial(self._found, field, values, sorted(names - {field})))
        if found is None:
            return {}
        by_value: dict[str, list[Found]] = defaultdict(list)
        for record in found:
            by_value[repr(record.match)].append(record)
        shared = Counter(map(repr, values))
        return {
            change.seq: outcome
            for change, value in zip(changes, map(repr, values), strict=True)
            if shared[value] == 1 and (outcome := self._outcome(change, field, by_value[value], conclusive)) is not None
        }

    def _found(self, field: str, values: Sequence[Any], names: Sequence[str]) -> list[Found] | None:
        """None: the destination does not tell."""
        try:
            return list(self._link.destination.read(self._kind.name, field, values, names))
        except FatalError:
            return None

    def _outcome(self, change: Change, field: str, found: Sequence[Found], conclusive: bool) -> Outcome | None:
        if not found:
            return Outcome(change.seq, Status.RETRY, None, "lost", _ABSENT) if conclusive else None
        sent = {name: value for name, value in change.fields.items() if name != field and self._compares(name, value)}
        alike = [record for record in found if _holds(record.fields, sent)]
        if len(alike) == 1:
            return Outcome(change.seq, Status.CREATED, alike[0].id)
        return Outcome(change.seq, Status.UNKNOWN, None, "differs", _OTHERWISE)

    def _compares(self, name: str, value: Any) -> bool:
        """A vendor may fill what was sent empty, and knows a looked-up record by an id of its own."""
        return value not in (None, "") and name not in self._looked_up and not isinstance(value, Reference)


def _value(change: Change, field: str) -> Any:
    return change.match[field] if field in change.match else change.fields[field]


def _holds(held: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
    return all(_alike(held.get(name), value) for name, value in sent.items())


def _alike(held: Any, sent: Any) -> bool:
    """Equal, but for how vendors give values back: numbers as text, addresses in lower case, moments in another
    zone."""
    if held is None:
        return False
    one, other = _plain(held), _plain(sent)
    return one == other or any(read(one) is not None and read(one) == read(other) for read in (_number, _moment))


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str, order="sorted").decode()
    return text.strip().casefold()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _moment(text: str) -> dt.datetime | None:
    zoned = text.removesuffix("z") + "+00:00" if text.endswith("z") else text
    if zoned[-5:-4] in ("+", "-") and zoned[-4:].isdigit():
        zoned = f"{zoned[:-2]}:{zoned[-2:]}"
    try:
        moment = dt.datetime.fromisoformat(zoned)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.timezone.utc)
