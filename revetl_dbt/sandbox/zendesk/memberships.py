"""Who belongs to which organization.

https://developer.zendesk.com/api-reference/ticketing/organizations/organization_memberships/: a pair is there once; a
user's first membership, or one that comes with the user, is the default. A user that is written with an
`organization_id` has no other organization afterwards, and none with null (github.com/facetoe/zenpy/issues/183,
github.com/Speedygeek/ZendeskApi_v2/issues/68).
"""

from __future__ import annotations

from typing import Any

from revetl_dbt.sandbox.store import Change, Record, Store
from revetl_dbt.sandbox.zendesk.errors import Refused

VENDOR = "zendesk"
NAME = "organization_memberships"
_FIRST_ID = 11_460_000_000_001


class Memberships:
    """The memberships of an account."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def of_user(self, user_id: str) -> list[Record]:
        """The memberships of a user, the default first."""
        user = self.store.read(VENDOR, "users", [user_id]).get(user_id)
        pairs = [f"{user_id}:{name}" for name in organizations(user)]
        owners = self.store.owners(VENDOR, NAME, "pair", pairs)
        found = self.store.read(VENDOR, NAME, owners.values())
        return [found[owners[pair]] for pair in pairs]

    def create(self, user_id: str, organization_id: str) -> Record:
        """Make a user a member. Refused for one who is, or for what there is not."""
        for side, record_id in (("user", user_id), ("organization", organization_id)):
            found = self.store.read(VENDOR, f"{side}s", [record_id]).get(record_id)
            if found is None or found.archived is not None:
                raise Refused(**{side: [(f"{side.capitalize()}: is invalid", "InvalidValue")]})
        if self.pair(user_id, organization_id) is not None:
            raise Refused(user_id=[("User: has already been taken", "DuplicateValue")])
        return self.join(user_id, organization_id, default=not self.of_user(user_id))

    def join(self, user_id: str, organization_id: str, *, default: bool) -> Record:
        """The membership of a pair, made where there is none."""
        with self.store.transaction():
            record = self.pair(user_id, organization_id)
            now = self.store.now()
            user = self.store.read(VENDOR, "users", [user_id])[user_id]
            others = [name for name in organizations(user) if name != organization_id]
            if record is None or default:
                user.properties["organizations"] = [organization_id, *others] if default else [*others, organization_id]
                self.store.write(VENDOR, "users", [user], [])
            if record is None:
                number = self.store.next_number("zendesk:membership", 1, _FIRST_ID)
                record = Record(str(number), {"user_id": user_id, "organization_id": organization_id}, now, now)
                self.store.claim(VENDOR, NAME, [("pair", f"{user_id}:{organization_id}", record.id)], [])
                changes = [Change(record.id, now, "sync", {"organization_id": (None, organization_id)})]
                self.store.write(VENDOR, NAME, [record], changes)
            return record

    def replace(self, user_id: str, organization_id: str | None) -> None:
        """Leave a user with this membership only, or with none."""
        for record in self.of_user(user_id):
            if str(record.properties["organization_id"]) != organization_id:
                self.remove(record)
        if organization_id is not None:
            self.join(user_id, organization_id, default=True)

    def remove(self, record: Record) -> None:
        """End a membership; another one of the user becomes the default."""
        user_id, organization_id = (str(record.properties[f"{side}_id"]) for side in ("user", "organization"))
        with self.store.transaction():
            record.archived = record.updated = self.store.now()
            self.store.claim(VENDOR, NAME, [], [("pair", f"{user_id}:{organization_id}")])
            user = self.store.read(VENDOR, "users", [user_id])[user_id]
            user.properties["organizations"] = [name for name in organizations(user) if name != organization_id]
            self.store.write(VENDOR, "users", [user], [])
            self.store.write(VENDOR, NAME, [record], [Change(record.id, record.updated, "sync", {})])

    def forget(self, side: str, record_id: str) -> None:
        """End all memberships of a user or an organization that is deleted."""
        listed = self.of_user(record_id) if side == "user" else self.store.scan(VENDOR, NAME)
        for record in listed:
            if record.properties[f"{side}_id"] == record_id:
                self.remove(record)

    def find(self, membership_id: str) -> Record | None:
        """A membership by its id."""
        record = self.store.read(VENDOR, NAME, [membership_id]).get(membership_id)
        return None if record is None or record.archived is not None else record

    def pair(self, user_id: str, organization_id: str) -> Record | None:
        """The membership of a user in an organization."""
        value = f"{user_id}:{organization_id}"
        owner = self.store.owners(VENDOR, NAME, "pair", [value]).get(value)
        return None if owner is None else self.find(owner)

    def render(self, record: Record, moment: str) -> dict[str, Any]:
        """A membership as the API shows it."""
        user_id, organization_id = (str(record.properties[f"{side}_id"]) for side in ("user", "organization"))
        user = self.store.read(VENDOR, "users", [user_id]).get(user_id)
        return {
            "id": int(record.id),
            "user_id": int(user_id),
            "organization_id": int(organization_id),
            "default": True if organizations(user)[:1] == [organization_id] else None,
            "created_at": moment,
            "updated_at": moment,
        }


def organizations(user: Record | None) -> list[str]:
    """The organizations of a user, the default first."""
    return [] if user is None else list(user.properties.get("organizations") or [])
