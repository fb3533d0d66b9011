"""The records of an account: finding them, checking what is written to them, and writing it."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from revetl_dbt.sandbox.store import Change, Record
from revetl_dbt.sandbox.zendesk.account import VENDOR, Account
from revetl_dbt.sandbox.zendesk.errors import Refused
from revetl_dbt.sandbox.zendesk.fields import BLANK, CHOICES, DUPLICATE, INVALID, Kind, check_email, kept
from revetl_dbt.sandbox.zendesk.memberships import Memberships

_UNIQUE = {"users": ("external_id",), "organizations": ("external_id", "name"), "tickets": ()}
_SCRUBBED = {"users": {"name": "Permanently Deleted User"}, "tickets": {"subject": "SCRUBBED"}}
_TAKEN = {
    "email": "Email: {value} is already being used by another user",
    "external_id": "External: {value} has already been taken",
    "name": "Name: {value} has already been taken",
}


class Records:
    """Users, organizations, tickets and custom object records."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.store = account.store
        self.memberships = Memberships(account.store)

    # -- finding ---------------------------------------------------------------------------------

    def live(self, kind: Kind, ids: Iterable[str]) -> dict[str, Record]:
        """Records by id, without those that were deleted."""
        found = self.store.read(VENDOR, kind.name, ids)
        return {name: record for name, record in found.items() if record.archived is None}

    def find(self, kind: Kind, field: str, values: Iterable[Any]) -> list[Record]:
        """Records by `external_id`, `email` or `name`, in the order asked for; tickets in their own order."""
        if kind.name == "tickets":
            wanted = {str(value) for value in values}
            return [r for r in self.store.scan(VENDOR, kind.name) if str(r.properties.get(field)) in wanted]
        folded = [_fold(kind, value) for value in values]
        owners = self.store.owners(VENDOR, kind.name, field, folded)
        found = self.live(kind, owners.values())
        return [found[owners[value]] for value in dict.fromkeys(folded) if owners.get(value) in found]

    def matching(self, kind: Kind, given: Mapping[str, Any]) -> Record | None:
        """The record that an upsert means: by `id`, then `external_id`, then a user's `email`."""
        if given.get("id"):
            return self.live(kind, [str(given["id"])]).get(str(given["id"]))
        for field in ("external_id", "email") if kind.name == "users" else ("external_id",):
            found = self.find(kind, field, [given[field]]) if given.get(field) else []
            if found:
                return found[0]
        return None

    # -- writing ---------------------------------------------------------------------------------

    def upsert(self, kind: Kind, given: Mapping[str, Any]) -> tuple[Record, bool]:
        """Create a record, or update the one that is meant; whether it is new. Refused when it is not taken."""
        record = self.matching(kind, given)
        return (self.create(kind, given), True) if record is None else (self.update(kind, record, given), False)

    def create(self, kind: Kind, given: Mapping[str, Any]) -> Record:
        """A new record. Refused when it is not taken."""
        now = self.store.now()
        return self._write(kind, Record("", _defaults(kind), now, now), given)

    def update(self, kind: Kind, record: Record, given: Mapping[str, Any]) -> Record:
        """Change what is given and leave the rest. Refused when it is not taken."""
        if kind.name == "tickets" and record.properties.get("status") == "closed":
            raise Refused(status=[("Status: closed prevents ticket update", INVALID)])
        return self._write(kind, record, given)

    def delete(self, kind: Kind, record: Record) -> None:
        """Delete a record; it gives up its unique values. Users and tickets are kept for a while."""
        with self.store.transaction():
            record.archived = record.updated = self.store.now()
            self.store.claim(VENDOR, kind.name, [], _unique(kind, record.properties))
            self.store.write(VENDOR, kind.name, [record], [Change(record.id, record.updated, "sync", {})])
            if kind.name in ("users", "organizations"):
                self.memberships.forget(kind.one, record.id)

    def erase(self, name: str, record_id: str) -> bool:
        """Permanently delete a deleted user or ticket; False when there is none."""
        record = self.store.read(VENDOR, name, [record_id]).get(record_id)
        if record is None or record.archived is None or record.properties.get("erased"):
            return False
        record.properties = {**_SCRUBBED[name], "erased": True}
        self.store.write(VENDOR, name, [record], [])
        return True

    def set_tags(self, kind: Kind, record: Record, tags: list[str]) -> list[str]:
        """Replace the tags of a record; the tags that it has then."""
        self._write(kind, record, {"tags": tags})
        return list(record.properties.get("tags") or [])

    def _write(self, kind: Kind, record: Record, given: Mapping[str, Any]) -> Record:
        before = copy.deepcopy(record.properties) if record.id else {}
        self._merge(kind, record, given)
        self._check_required(kind, record, given)
        old, new = _unique(kind, before), _unique(kind, record.properties)
        self._check_free(kind, record, new - old)
        with self.store.transaction():
            record.id = record.id or self.account.next_id(kind)
            record.updated = self.store.now()
            changed = {name: pair for name, pair in _differences(before, record.properties).items() if name != "emails"}
            self.store.claim(VENDOR, kind.name, [(*value, record.id) for value in sorted(new - old)], sorted(old - new))
            self.store.write(
                VENDOR, kind.name, [record], [Change(record.id, record.updated, "sync", changed)] if changed else []
            )
            if kind.name == "users" and "organization_id" in given:
                wanted = given["organization_id"]
                self.memberships.replace(record.id, None if wanted in (None, "") else str(wanted))
                record = self.store.read(VENDOR, kind.name, [record.id])[record.id]
        return record

    def _merge(self, kind: Kind, record: Record, given: Mapping[str, Any]) -> None:
        """Apply what is given in place; what Zendesk does not know or does not let be written is ignored."""
        for name, type_ in kind.standard.items():
            if name not in given or (kind.name == "users" and name in ("email", "organization_id")):
                continue
            value = kept(name, {"type": type_}, given[name])
            choices = CHOICES.get((kind.name, name))
            if value is not None and choices and value not in choices:
                raise Refused(**{name: [(f"{name.capitalize()}: {value} is not included in the list", INVALID)]})
            _set(record.properties, name, value)
        if kind.name == "users":
            self._merge_user(record, given)
        if kind.name == "tickets" and isinstance(given.get("comment"), Mapping):
            record.properties.setdefault("comments", []).append(dict(given["comment"]))
        self._merge_custom(kind, record, given.get(kind.custom))

    def _merge_user(self, record: Record, given: Mapping[str, Any]) -> None:
        if given.get("email"):
            emails = record.properties.setdefault("emails", [])
            email = check_email(given["email"])
            if email not in emails:
                emails.append(email)  # one that comes later is a second identity
            record.properties.setdefault("email", email)
        if given.get("organization_id") not in (None, ""):
            wanted = str(given["organization_id"])
            if not self.store.read(VENDOR, "organizations", [wanted]):
                raise Refused(organization=[(f"Organization: {wanted} is invalid", INVALID)])

    def _merge_custom(self, kind: Kind, record: Record, given: Any) -> None:
        if isinstance(given, list):
            given = by_id(given)
        if not isinstance(given, Mapping):
            return
        known, held = self.account.fields(kind), record.properties.setdefault(kind.custom, {})
        for key, value in given.items():
            field = known.get(str(key))
            if field is not None:
                old = held.get(key)
                _set(held, str(key), kept(str(key), field, value))
                _retag(record.properties, field, old, held.get(key))

    def _check_required(self, kind: Kind, record: Record, given: Mapping[str, Any]) -> None:
        name = str(record.properties.get("name") or "").strip()
        if kind.name == "users" and not name:
            raise Refused(name=[("Name: is too short (minimum is one character)", "ValueTooShort")])
        if (kind.name == "organizations" or kind.own) and not name:
            raise Refused(name=[("Name: cannot be blank", BLANK)])
        if kind.name == "tickets" and not record.id and not _body(given):
            raise Refused(description=[("Description: cannot be blank", BLANK)])

    def _check_free(self, kind: Kind, record: Record, values: Iterable[tuple[str, str]]) -> None:
        for field, value in values:
            holder = self.store.owners(VENDOR, kind.name, field, [value]).get(value)
            if holder is not None and holder != record.id:
                raise Refused(**{field: [(_TAKEN[field].format(value=value), DUPLICATE)]})


def _body(given: Mapping[str, Any]) -> Any:
    comment = given.get("comment")
    return comment.get("body") if isinstance(comment, Mapping) else None


def _defaults(kind: Kind) -> dict[str, Any]:
    if kind.name == "users":
        return {"role": "end-user"}
    return {"status": "new"} if kind.name == "tickets" else {}


def _fold(kind: Kind, value: Any) -> str:
    """Unique values as they are compared: only custom objects tell upper from lower case."""
    return str(value) if kind.own else str(value).casefold()


def _unique(kind: Kind, properties: Mapping[str, Any]) -> set[tuple[str, str]]:
    names = ("external_id",) if kind.own else _UNIQUE[kind.name]
    values = {(name, _fold(kind, properties[name])) for name in names if properties.get(name)}
    return values | {("email", email) for email in properties.get("emails") or []}


def _set(held: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        held.pop(name, None)
    else:
        held[name] = value


def _retag(properties: dict[str, Any], field: Mapping[str, Any], old: Any, new: Any) -> None:
    """Checkboxes with a tag and choices add tags to the record, and take them away again (as recorded)."""
    tags = list(properties.get("tags") or [])
    for value, there in ((old, False), (new, True)):
        tag = field.get("tag") if field["type"] == "checkbox" and value is True else None
        tag = value if field["type"] in ("dropdown", "tagger") and value else tag
        if tag and (tag in tags) != there:
            tags = [*tags, tag] if there else [name for name in tags if name != tag]
    if tags or "tags" in properties:
        properties["tags"] = tags


def by_id(given: Any) -> dict[str, Any]:
    """The values of a ticket's custom fields, which come as a list of `id` and `value`."""
    items = given if isinstance(given, list) else []
    return {str(item.get("id")): item.get("value") for item in items if isinstance(item, Mapping)}


def flat(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record by name, custom ones as `user_fields.plan`."""
    found: dict[str, Any] = {}
    for name, value in properties.items():
        if isinstance(value, dict):
            found |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            found[name] = value
    return found


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    old, new = flat(before), flat(after)
    return {name: (old.get(name), new.get(name)) for name in {**old, **new} if old.get(name) != new.get(name)}
