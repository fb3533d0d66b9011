"""The records of an org: checking what is written to them, and writing it, many rows at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from revetl_dbt.sandbox.messages import Poisoned
from revetl_dbt.sandbox.salesforce.errors import RowError, unknown_column
from revetl_dbt.sandbox.salesforce.fields import Field
from revetl_dbt.sandbox.salesforce.ids import is_id, record_id, whole
from revetl_dbt.sandbox.salesforce.index import Index
from revetl_dbt.sandbox.salesforce.objects import ObjectType
from revetl_dbt.sandbox.salesforce.org import VENDOR, Org
from revetl_dbt.sandbox.salesforce.values import kept
from revetl_dbt.sandbox.store import Change, Record

Mode = Literal["insert", "update", "upsert"]
Poison = Callable[[Mapping[str, Any]], Poisoned | None]
AUTOMATIC = "Salesforce"


class WholeBatchError(Exception):
    """A fault rule refuses the request because of one of its rows."""


@dataclass(frozen=True)
class Manner:
    """How a request wants its rows written."""

    from_json: bool = True
    allow_duplicates: bool = False  # in spite of a duplicate rule that alerts
    assign: bool = True  # active assignment rules


@dataclass
class Row:
    """One record to write and what became of it: an error, or a record."""

    given: Mapping[str, Any]  # values by field, as they came
    parents: Mapping[str, tuple[str, str, Any]] = field(default_factory=dict)  # field: (object, its field, value)
    id: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    error: RowError | None = None
    record: Record | None = None
    created: bool = False


class Records:
    """The records of all objects of an org."""

    def __init__(self, org: Org) -> None:
        self.org = org
        self.store = org.store
        self.duplicate_rule = False
        self.assignment_rule = False

    # -- finding ---------------------------------------------------------------------------------

    def read(self, kind: ObjectType, ids: Sequence[str], deleted: bool = False) -> dict[str, Record]:
        """Records by id; deleted ones only when asked for, erased ones never."""
        found = self.store.read(VENDOR, kind.name, [whole(item) for item in ids])
        return {k: r for k, r in found.items() if (deleted or r.archived is None) and not r.properties.get("$erased")}

    def holders(self, kind: ObjectType, item: Field, value: Any) -> list[str]:
        """The ids of the records that hold a value of an indexed field."""
        if item.name == "Id":
            return list(self.read(kind, [str(value)]))
        return Index(self.store, kind).holders(item, value)

    # -- writing ---------------------------------------------------------------------------------

    def write(
        self, kind: ObjectType, rows: Sequence[Row], mode: Mode, by: Field | None, poisoned: Poison, manner: Manner
    ) -> None:
        """Write rows, each on its own; `by` is the field of an upsert. Raises WholeBatchError, ApiError."""
        fields = self.org.fields(kind)
        index = Index(self.store, kind)
        with self.store.transaction():
            for row in rows:
                self._check(kind, fields, row, poisoned, manner)
            self._find_parents(rows)
            if by is not None and by.name != "Id":
                index.prefetch(by, [row.values.get(by.name) for row in rows])
            seen: set[str] = set()
            for row in rows:
                if row.error is None and by is not None:
                    self._match(row, by, index, seen)
            known = self.read(kind, [row.id for row in rows if row.id and row.error is None], deleted=True)
            for item in fields.values():
                if item.indexed and item.name != "Id":
                    index.prefetch(item, [row.values.get(item.name) for row in rows])
            changes: list[Change] = []
            new = sum(row.id is None and row.error is None for row in rows)
            numbers = iter(range(first := self.store.next_number(f"salesforce:{kind.prefix}", new, 1), first + new))
            for row in rows:
                try:
                    self._apply(kind, fields, row, mode, known, index, changes, manner, numbers)
                except RowError as error:
                    row.error = error
            index.save()
            written = {row.record.id: row.record for row in rows if row.record is not None}
            self.store.write(VENDOR, kind.name, written.values(), changes)

    def _check(self, kind: ObjectType, fields: Mapping[str, Field], row: Row, poisoned: Poison, manner: Manner) -> None:
        values: dict[str, Any] = {}
        for name, value in row.given.items():
            item = fields.get(name.lower())
            try:
                if item is None:
                    raise unknown_column(name, kind.name)
                values[item.name] = kept(item, value, manner.from_json)
            except RowError as error:
                row.error = row.error or error
        row.values = values
        poison = poisoned(row.given)
        if poison is not None and poison.whole_batch:
            raise WholeBatchError(poison.message)
        if poison is not None and row.error is None:
            code, colon, text = poison.message.partition(": ")
            known = bool(colon) and code.isupper()
            row.error = RowError(
                code if known else "FIELD_CUSTOM_VALIDATION_EXCEPTION", text if known else poison.message
            )

    def _find_parents(self, rows: Sequence[Row]) -> None:
        """Put ids where a row names its parent by another field."""
        asked: dict[tuple[str, str], list[tuple[Row, str, Any]]] = {}
        for row in rows:
            for name, (object_name, match, value) in row.parents.items():
                asked.setdefault((object_name, match), []).append((row, name, value))
        for (object_name, match), wanted in asked.items():
            kind = self.org.kind(object_name)
            item = self.org.fields(kind).get(match.lower()) if kind is not None else None
            for row, name, value in wanted:
                if kind is None or item is None or not (item.indexed or item.name == "Id"):
                    text = f"{match} is not an external id or indexed field of {object_name}"
                    row.error = row.error or RowError("INVALID_FIELD", text)
                    continue
                holders = self.holders(kind, item, value)
                if len(holders) == 1:
                    row.values[name] = holders[0]
                elif holders:
                    text = f"{item.label}: more than one record found for external id field: [{', '.join(holders)}]"
                    row.error = row.error or RowError("DUPLICATE_EXTERNAL_ID", text, [item.name])
                else:
                    text = f"Foreign key external ID: {value} not found for field {match} in entity {kind.name}"
                    row.error = row.error or RowError("INVALID_FIELD", text)

    def _match(self, row: Row, by: Field, index: Index, seen: set[str]) -> None:
        value = row.values.get(by.name)
        if value is None:
            row.error = RowError("MISSING_ARGUMENT", f"{by.name} not specified")
            return
        if by.comparable(value) in seen:
            row.error = RowError("DUPLICATE_VALUE", f"Duplicate external id specified: {value}", [by.name])
            return
        seen.add(by.comparable(value))
        holders = index.holders(by, value)
        if len(holders) > 1:
            text = f"{by.label}: more than one record found for external id field: [{', '.join(holders)}]"
            row.error = RowError("DUPLICATE_EXTERNAL_ID", text, [by.name])
        row.id = holders[0] if len(holders) == 1 else None

    def _apply(
        self,
        kind: ObjectType,
        fields: Mapping[str, Field],
        row: Row,
        mode: Mode,
        known: Mapping[str, Record],
        index: Index,
        changes: list[Change],
        manner: Manner,
        numbers: Iterator[int],
    ) -> None:
        if row.error is not None:
            return
        record = self._target(row, mode, known)
        new = record is None
        _check_writable(fields, row.values, new)
        values = self._filled(kind, fields, row.values, manner) if record is None else row.values
        _check_required(fields, values, new)
        self._check_unique(fields, values, record, index)
        self._check_duplicates(kind, fields, values, record, index, manner)
        now = self.store.now()
        if record is None:
            record, row.created = Record(record_id(kind.prefix, next(numbers)), {}, now, now), True
            extra = {name: value for name, value in values.items() if name not in row.values and value is not False}
            if extra:
                changes.append(
                    Change(record.id, now, AUTOMATIC, {name: (None, value) for name, value in extra.items()})
                )
        changed = {
            name: (record.properties.get(name), v) for name, v in values.items() if record.properties.get(name) != v
        }
        for name, (before, after) in changed.items():
            item = fields[name.lower()]
            if item.indexed:
                index.move(item, record.id, before, after)
            record.properties[name] = after
        record.properties = {name: value for name, value in record.properties.items() if value is not None}
        told = {name: pair for name, pair in changed.items() if name in row.values}
        if told or row.created:
            record.updated = now
            changes.append(Change(record.id, now, "sync", told))
        row.record = record

    def _target(self, row: Row, mode: Mode, known: Mapping[str, Record]) -> Record | None:
        if row.id is None:
            if mode == "update":
                raise RowError("MISSING_ARGUMENT", "Id not specified in an update call")
            return None
        if not is_id(row.id):
            raise RowError("MALFORMED_ID", f"Record ID: id value of incorrect type: {row.id}", ["Id"])
        record = known.get(whole(row.id))
        if record is None:
            raise RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        if record.archived is not None:
            raise RowError("ENTITY_IS_DELETED", "entity is deleted")
        return record

    def _filled(
        self, kind: ObjectType, fields: Mapping[str, Field], values: Mapping[str, Any], manner: Manner
    ) -> dict[str, Any]:
        """The values of a new record with what Salesforce fills in."""
        filled = dict(values)
        for item in fields.values():
            if item.default is not None and filled.get(item.name) is None:
                filled[item.name] = item.default
            elif item.type == "boolean" and item.createable and filled.get(item.name) is None:
                filled[item.name] = False
        if "OwnerId" not in values and "ownerid" in fields:
            assigned = self.assignment_rule and manner.assign and kind.name in ("Lead", "Case")
            filled["OwnerId"] = self.org.queue if assigned else self.org.user
        return filled

    def _check_unique(
        self, fields: Mapping[str, Field], values: Mapping[str, Any], record: Record | None, index: Index
    ) -> None:
        for name, value in values.items():
            item = fields[name.lower()]
            others = index.holders(item, value) if item.unique and value is not None else []
            others = [holder for holder in others if record is None or holder != record.id]
            if others:
                text = f"duplicate value found: {item.name} duplicates value on record with id: {others[0]}"
                raise RowError("DUPLICATE_VALUE", text, [item.name])

    def _check_duplicates(
        self,
        kind: ObjectType,
        fields: Mapping[str, Field],
        values: Mapping[str, Any],
        record: Record | None,
        index: Index,
        manner: Manner,
    ) -> None:
        """A duplicate rule that alerts when a person with the address is there already."""
        if not self.duplicate_rule or manner.allow_duplicates or record is not None:
            return
        if kind.name in ("Contact", "Lead") and values.get("Email") and index.holders(fields["email"], values["Email"]):
            raise RowError("DUPLICATES_DETECTED", "Use one of these records?")

    # -- deleting --------------------------------------------------------------------------------

    def delete(self, ids: Sequence[str], erase: bool = False, kind: ObjectType | None = None) -> list[RowError | None]:
        """Move records to the Recycle Bin, or erase them; what is wrong with each. All of `kind` where it is given."""
        results: list[RowError | None] = []
        with self.store.transaction():
            for given in ids:
                try:
                    self._delete(given, erase, kind)
                    results.append(None)
                except RowError as error:
                    results.append(error)
        return results

    def _delete(self, given: str, erase: bool, kind: ObjectType | None) -> None:
        owner = self.org.of_prefix(given) if is_id(given) else None
        if owner is None or kind not in (None, owner):
            raise RowError("MALFORMED_ID", f"bad id {given}")
        record = self.store.read(VENDOR, owner.name, [whole(given)]).get(whole(given))
        if record is None:
            raise RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        if record.archived is not None:
            raise RowError("ENTITY_IS_DELETED", "entity is deleted")
        index = Index(self.store, owner)
        index.forget(self.org.fields(owner), record.id, record.properties)
        index.save()
        record.archived = record.updated = self.store.now()
        if erase:
            record.properties = {"$erased": True}
        self.store.write(VENDOR, owner.name, [record], [Change(record.id, record.updated, "sync", {})])


def _check_writable(fields: Mapping[str, Field], values: Mapping[str, Any], new: bool) -> None:
    names = [
        name for name in values if not (fields[name.lower()].createable if new else fields[name.lower()].updateable)
    ]
    if names:
        text = (
            f"Unable to create/update fields: {', '.join(names)}. Please check the security settings of this field and "
            "verify that it is read/write for your profile or permission set."
        )
        raise RowError("INVALID_FIELD_FOR_INSERT_UPDATE", text, names)


def _check_required(fields: Mapping[str, Field], values: Mapping[str, Any], new: bool) -> None:
    required = [item.name for item in fields.values() if item.required]
    missing = [name for name in required if values.get(name) is None and (new or name in values)]
    if missing:
        raise RowError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", missing)
