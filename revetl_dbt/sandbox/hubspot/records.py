"""The records of an account: finding them, checking what is written to them, and writing it.

Everything works on many rows at once, since that is how HubSpot is driven; the single-record endpoints are batches of
one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from revetl_dbt.sandbox.hubspot import values
from revetl_dbt.sandbox.hubspot.account import VENDOR, Account
from revetl_dbt.sandbox.hubspot.errors import CONFLICT, ApiError, InvalidValue, invalid_properties
from revetl_dbt.sandbox.hubspot.objects import ObjectType
from revetl_dbt.sandbox.hubspot.properties import Property
from revetl_dbt.sandbox.messages import Poisoned
from revetl_dbt.sandbox.store import Change, Record

Mode = Literal["create", "update", "upsert"]
AUTOMATIC = "CRM_AUTOMATION"  # the source of what HubSpot fills in by itself
_FIRST_ID = 151_000_000_001


@dataclass
class Row:
    """One input of a write, and what became of it: an error, or a record."""

    given: Mapping[str, Any]  # `properties` as they came
    key: str = ""  # `id` as it came
    id_property: str | None = None
    trace: str | None = None
    texts: dict[str, str] = field(default_factory=dict)  # the values that will be kept
    problems: list[InvalidValue] = field(default_factory=list)
    error: ApiError | None = None
    missing: bool = False  # an update of a record that there is not
    record: Record | None = None
    new: bool = False

    @property
    def writable(self) -> bool:
        """Whether nothing speaks against writing it."""
        return self.error is None and not self.missing


class Records:
    """The records of all objects of an account."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.store = account.store

    # -- finding ---------------------------------------------------------------------------------

    def unique_property(self, kind: ObjectType, name: str) -> Property:
        """A property that identifies records; ApiError 400 if it does not have unique values. The record id is none."""
        prop = self.account.active(kind).get(name)
        if prop is None or not prop.unique:
            raise self.not_unique(kind, name)
        return prop

    def not_unique(self, kind: ObjectType, name: str) -> ApiError:
        """The refusal of a property that does not identify records."""
        text = f"Unable to perform update/upsert by non-unique {kind.type_id} property {name}"
        return ApiError(400, f"{text} in portal ID {self.account.id}")

    def find(
        self, kind: ObjectType, keys: Sequence[str], id_property: str | None, archived: bool = False
    ) -> dict[str, Record]:
        """Records by id or by a unique property: key as given -> record. Keys that are not found are left out."""
        if id_property in (None, "hs_object_id"):
            by_id = self.store.read(VENDOR, kind.key, keys)
            return {key: record for key, record in by_id.items() if (record.archived is not None) == archived}
        prop = self.unique_property(kind, str(id_property))
        compared = {key: comparable(prop, key) for key in keys}
        owners = self.store.owners(VENDOR, kind.key, prop.name, set(compared.values()))
        found = self.store.read(VENDOR, kind.key, owners.values())
        return {
            key: found[owners[value]] for key, value in compared.items() if value in owners and owners[value] in found
        }

    # -- writing ---------------------------------------------------------------------------------

    def write(
        self,
        kind: ObjectType,
        rows: Sequence[Row],
        mode: Mode,
        partial: bool,
        poisoned: Callable[[Mapping[str, Any]], Poisoned | None],
    ) -> None:
        """Write all rows that can be written and mark the others; without `partial`, any bad row is an
        ApiError and nothing is written.

        A missing record of an update never fails the others.
        """
        self._check_values(kind, rows, poisoned)
        with self.store.transaction():
            if mode != "create":
                self._resolve(kind, rows, mode)
            self._check_required(kind, rows)
            self._check_unique(kind, rows, mode)
            for row in rows:
                if row.problems:
                    row.error = invalid_properties(row.problems, self.account.id)
            self._give_up(rows, partial)
            self._keep(kind, [row for row in rows if row.writable])

    def _give_up(self, rows: Sequence[Row], partial: bool) -> None:
        failed = [row for row in rows if row.error]
        if not failed or partial:
            return
        problems = [problem for row in failed for problem in row.problems]
        first = failed[0].error
        assert first is not None
        raise invalid_properties(problems, self.account.id) if problems and failed[0].problems else first

    def _check_values(
        self, kind: ObjectType, rows: Sequence[Row], poisoned: Callable[[Mapping[str, Any]], Poisoned | None]
    ) -> None:
        known = self.account.active(kind)
        barred = self.store.definitions(VENDOR, "barred") if kind.name == "contacts" else {}
        for row in rows:
            named = {row.id_property: row.key, **row.given} if row.id_property else row.given
            poison = poisoned({str(name): value for name, value in named.items()})
            if poison:
                row.error = ApiError(400, poison.message)
                if poison.whole_batch:
                    raise row.error
                continue
            self._check_row(known, row, named)
            if row.texts.get("email") in barred:
                row.error = ApiError(400, "This address was removed by a GDPR delete and cannot be used again")

    def _check_row(self, known: Mapping[str, Property], row: Row, named: Mapping[Any, Any]) -> None:
        for name, value in named.items():
            prop = known.get(name)
            if prop is None:
                row.problems.append(InvalidValue(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist'))
                continue
            try:
                row.texts[name] = values.kept(prop, value)
            except values.Refused as refused:
                row.problems.append(refused.problem)

    def _resolve(self, kind: ObjectType, rows: Sequence[Row], mode: Mode) -> None:
        """Find the records that the rows mean."""
        for id_property in {row.id_property for row in rows}:
            mine = [row for row in rows if row.id_property == id_property]
            found = self.find(kind, [row.key for row in mine], id_property)
            for row in mine:
                row.record = found.get(row.key)
                row.missing = row.record is None and mode == "update"

    def _check_required(self, kind: ObjectType, rows: Iterable[Row]) -> None:
        filled = {name for name, _ in kind.defaults}
        for row in rows:
            if row.record is not None or row.missing or row.error:
                continue
            row.new = True
            lacking = [name for name in kind.required if not row.texts.get(name) and name not in filled]
            if kind.one_of and not any(row.texts.get(name) for name in kind.one_of):
                lacking = list(kind.one_of)
            if lacking and not row.problems:
                row.error = ApiError(
                    400,
                    f"Error creating {kind.code}. Some required properties were not set.",
                    context={"properties": lacking},
                )

    def _check_unique(self, kind: ObjectType, rows: Sequence[Row], mode: Mode) -> None:
        """Refuse values of unique properties that another record holds or another row of the batch takes."""
        for prop in self.account.active(kind).values():
            if not prop.unique:
                continue
            takers = [row for row in rows if row.writable and not row.problems and row.texts.get(prop.name)]
            if not takers:
                continue
            held = self.store.owners(VENDOR, kind.key, prop.name, {row.texts[prop.name] for row in takers})
            first: dict[str, Row] = {}
            for row in takers:
                value = row.texts[prop.name]
                holder = held.get(value)
                if holder is not None and (row.record is None or holder != row.record.id):
                    self._conflict(kind, row, prop, mode, holder)
                elif first.setdefault(value, row) is not row:
                    self._conflict(kind, row, prop, mode, "")

    def _conflict(self, kind: ObjectType, row: Row, prop: Property, mode: Mode, holder: str) -> None:
        value = row.texts[prop.name]
        if mode == "create" and kind.name == "contacts" and prop.name == "email":
            text = "Contact already exists" + (f". Existing ID: {holder}" if holder else "")
            row.error = ApiError(409, text, CONFLICT, {"existingId": [holder]} if holder else {})
        elif row.record is None:
            row.problems.append(
                InvalidValue(
                    prop.name,
                    "CONFLICTING_UNIQUE_VALUE",
                    f"{value} is already the {prop.name} of record {holder or 'in this batch'}",
                )
            )
        else:
            row.error = ApiError(
                400,
                f"Cannot set PropertyValueCoordinates{{portalId={self.account.id}, objectTypeId={kind.type_id}, "
                f"propertyName={prop.name}, value={value}}} on {row.record.id}. {holder} already has that value.",
            )

    def _keep(self, kind: ObjectType, rows: Sequence[Row]) -> None:
        known = self.account.active(kind)
        now = self.store.now()
        fresh = (
            self.store.next_number("hubspot:record", sum(row.new for row in rows), _FIRST_ID)
            if any(row.new for row in rows)
            else 0
        )
        changes, claims, releases = [], [], []
        for row in rows:
            if row.record is None:
                row.record = Record(str(fresh), {}, now, now)
                fresh += 1
                filled = {name: value for name, value in kind.defaults if name not in row.texts}
                if filled:
                    automatic = _merge(known, row.record.properties, filled)
                    changes.append(Change(row.record.id, now, AUTOMATIC, automatic))
            changed = _merge(known, row.record.properties, row.texts)
            if not changed and not row.new:
                continue
            row.record.updated = now
            changes.append(Change(row.record.id, now, "INTEGRATION", changed))
            for name, (old, new) in changed.items():
                if known[name].unique:
                    releases += [(name, old)] if old else []
                    claims += [(name, new, row.record.id)] if new else []
        self.store.claim(VENDOR, kind.key, claims, releases)
        self.store.write(VENDOR, kind.key, [row.record for row in rows if row.record], changes)

    # -- archiving -------------------------------------------------------------------------------

    def archive(self, kind: ObjectType, ids: Sequence[str]) -> None:
        """Move records to the recycling bin; they give up their unique values. Ids that there are not are no error."""
        unique = [prop.name for prop in self.account.properties(kind).values() if prop.unique]
        with self.store.transaction():
            found = [record for record in self.store.read(VENDOR, kind.key, ids).values() if record.archived is None]
            now = self.store.now()
            for record in found:
                record.archived = record.updated = now
            releases = [
                (name, record.properties[name]) for record in found for name in unique if name in record.properties
            ]
            self.store.claim(VENDOR, kind.key, [], releases)
            self.store.write(VENDOR, kind.key, found, [Change(record.id, now, "INTEGRATION", {}) for record in found])


def comparable(prop: Property, value: str) -> str:
    """A value of a unique property as it is compared: e-mail addresses without regard to case."""
    return value.strip().lower() if prop.name == "email" and prop.own else value


def _merge(
    known: Mapping[str, Property], current: dict[str, Any], texts: Mapping[str, str]
) -> dict[str, tuple[Any, Any]]:
    """Apply values to a record in place; the properties that changed, each with its value before and after (None:
    empty)."""
    changed: dict[str, tuple[Any, Any]] = {}
    for name, text in texts.items():
        old = current.get(name)
        new = _combined(known[name], old, text)
        if new == old:
            continue
        changed[name] = (old, new)
        if new is None:
            del current[name]
        else:
            current[name] = new
    return changed


def _combined(prop: Property, old: str | None, text: str) -> str | None:
    """The value after a write. A leading semicolon adds choices; a lifecycle stage moves only forward, anything
    else is ignored silently."""
    if text == "":
        return None
    if prop.multiple and text.startswith(";"):
        return ";".join(dict.fromkeys([*(old or "").split(";"), *text[1:].split(";")])).strip(";")
    if prop.name == "lifecyclestage" and old is not None:
        order = [option.value for option in prop.options]
        return text if text not in order or old not in order or order.index(text) >= order.index(old) else old
    return text
