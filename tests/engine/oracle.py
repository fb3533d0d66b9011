"""What a destination ought to hold after a run, worked out from rows and declaration alone: no SQL, no batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from revetl_dbt.spec.models import FieldMapping, Mode, OnRemoved, SyncSpec, Write

Row = Mapping[str, Any]
Key = tuple[Any, ...]


@dataclass
class Known:
    """What we have told the destination about a key."""

    match: Key
    last: dict[str, Any]  # last value that was not null, for `if_null: skip`
    cleared: bool = False


@dataclass
class Expected:
    """What one run ought to count."""

    model_rows: int
    invalid: Counter[str]
    rejected: set[Key] = field(default_factory=set)


class Oracle:
    """The destination's records by match value, without empty fields. `ids`: one whose match value changes moves."""

    def __init__(self, records: Mapping[Key, Mapping[str, Any]], *, ids: bool, ignores_case: bool = False) -> None:
        self.records: dict[Key, dict[str, Any]] = {match: dict(fields) for match, fields in records.items()}
        self.events: list[tuple[Key, dict[str, Any]]] = []
        self.known: dict[Key, Known] = {}
        self._ids = ids
        self._ignores_case = ignores_case

    def run(self, spec: SyncSpec, rows: Sequence[Row]) -> Expected:
        """What a run without faults does with the rows that pass `where`; fields hold values as they are sent."""
        valid, invalid = self._judge(spec, rows)
        expected = Expected(len(rows), invalid)
        if spec.mode in (Mode.UPSERT, Mode.UPDATE):
            present = {_key(spec, row) for row in rows}
            for key in [key for key, known in self.known.items() if key not in present and not known.cleared]:
                self._remove(spec, key)
        if spec.mode is Mode.DELETE:
            self.known = {key: known for key, known in self.known.items() if key in {_key(spec, row) for row in rows}}
        write = {Mode.UPSERT: self._upsert, Mode.UPDATE: self._update, Mode.CREATE: self._create}.get(spec.mode)
        for row in sorted(valid, key=lambda row: _key(spec, row)):
            key, match = _key(spec, row), _match(spec, row)
            if spec.mode is Mode.APPEND:
                if key not in self.known:
                    sent = {
                        name: value for name, value in _values(spec, row).items() if not _skipped(spec, name, value)
                    }
                    self.events.append((key, sent))
                    self.known[key] = Known(match, {})
            elif spec.mode is Mode.DELETE:
                if key not in self.known:
                    self.records.pop(match, None)
                    self.known[key] = Known(match, {})
            elif write is not None and not write(spec, row, key, match):
                expected.rejected.add(key)
        return expected

    def _judge(self, spec: SyncSpec, rows: Sequence[Row]) -> tuple[list[Row], Counter[str]]:
        keys = Counter(_key(spec, row) for row in rows)
        matches = Counter(self._folded(_match(spec, row)) for row in rows)
        valid: list[Row] = []
        invalid: Counter[str] = Counter()
        for row in rows:
            key, match = _key(spec, row), _match(spec, row)
            if None in key:
                invalid["null_key"] += 1
            elif keys[key] > 1:
                invalid["duplicate_key"] += 1
            elif None in match:
                invalid["null_match"] += 1
            elif match and matches[self._folded(match)] > 1:
                invalid["duplicate_match"] += 1
            else:
                valid.append(row)
        return valid, invalid

    def _folded(self, match: Key) -> Key:
        return tuple(m.strip().lower() if self._ignores_case and isinstance(m, str) else m for m in match)

    def _remove(self, spec: SyncSpec, key: Key) -> None:
        if spec.on_removed is OnRemoved.KEEP:
            return
        if spec.on_removed is OnRemoved.CLEAR:
            for name, mapping in spec.fields.items():
                if mapping.write is Write.ALWAYS:
                    self.records[self.known[key].match].pop(name, None)
            self.known[key].cleared = True
            self.known[key].last = {}
            return
        del self.records[self.known.pop(key).match]

    def _upsert(self, spec: SyncSpec, row: Row, key: Key, match: Key) -> bool:
        known = self.known.get(key)
        moved = known is not None and self._ids and match != known.match
        if known is not None and self._ids and not self._move(known, match):
            return False
        self._write(spec, row, known.last if known else {}, match, creating=match not in self.records, moved=moved)
        self._remember(spec, row, key, match)
        return True

    def _update(self, spec: SyncSpec, row: Row, key: Key, match: Key) -> bool:
        known = self.known.get(key)
        if known is not None and self._ids and not self._move(known, match):
            return False
        if match not in self.records:
            return False
        moved = known is not None and self._ids and match != known.match
        self._write(spec, row, known.last if known else {}, match, creating=False, moved=moved)
        self._remember(spec, row, key, match)
        return True

    def _create(self, spec: SyncSpec, row: Row, key: Key, match: Key) -> bool:
        if key in self.known:
            return True
        if match in self.records:
            return False
        self._write(spec, row, {}, match, creating=True)
        self._remember(spec, row, key, match)
        return True

    def _move(self, known: Known, match: Key) -> bool:
        if match != known.match:
            if match in self.records:
                return False
            self.records[match] = self.records.pop(known.match)
        return True

    def _write(
        self, spec: SyncSpec, row: Row, last: Mapping[str, Any], match: Key, *, creating: bool, moved: bool = False
    ) -> None:
        record = self.records.setdefault(match, {})
        for name, mapping in spec.fields.items():
            value = _value(mapping, row)
            if value is None and mapping.if_null == "skip":
                value = last.get(name, record.get(name))
            unwanted = {Write.ON_CREATE: not creating, Write.IF_EMPTY: (name in record or moved) and not creating}
            if not unwanted.get(mapping.write, False):
                record[name] = value
        self.records[match] = {name: value for name, value in record.items() if value is not None}

    def _remember(self, spec: SyncSpec, row: Row, key: Key, match: Key) -> None:
        last = dict(self.known[key].last) if key in self.known else {}
        last |= {name: value for name, value in _values(spec, row).items() if value is not None}
        self.known[key] = Known(match, last)


def _key(spec: SyncSpec, row: Row) -> Key:
    return tuple(row[column] for column in spec.key)


def _match(spec: SyncSpec, row: Row) -> Key:
    return tuple(row[column] for column in spec.match.values())


def _values(spec: SyncSpec, row: Row) -> dict[str, Any]:
    return {name: _value(mapping, row) for name, mapping in spec.fields.items()}


def _skipped(spec: SyncSpec, name: str, value: Any) -> bool:
    return value is None and spec.fields[name].if_null == "skip"


def _value(mapping: FieldMapping, row: Row) -> Any:
    if mapping.value is not None:
        value = mapping.value
    elif mapping.sql is not None:
        value = None if row["t"] is None else row["t"] + "!"
    else:
        value = row[mapping.column or ""]
    return mapping.if_null if value is None and mapping.if_null not in ("clear", "skip") else value
