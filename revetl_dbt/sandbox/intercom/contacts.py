"""Contacts: users and leads.

Users are told apart by their `external_id`, and by their address where they have none; leads are not told apart at all.
An archived contact still holds what it is found by.

Rules: Intercom's OpenAPI description (contacts), and https://www.intercom.com/help/en/articles/5053685 for addresses
that several users share.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from revetl_dbt.sandbox.intercom.attributes import STANDARD, Attribute, custom_values, kept
from revetl_dbt.sandbox.intercom.errors import ApiError, invalid, mismatch, no_contact
from revetl_dbt.sandbox.intercom.search import search
from revetl_dbt.sandbox.intercom.shapes import body_of, page_number
from revetl_dbt.sandbox.intercom.workspace import CONTACTS, Workspace
from revetl_dbt.sandbox.messages import Request, Response, Router
from revetl_dbt.sandbox.store import Record

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_READ_ONLY = frozenset(name for name, item in STANDARD["contact"].items() if not item.writable)


class Contacts:
    """The contact endpoints; `lag` says for how many seconds a search does not find a new contact."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.lag = 0.0

    def add_routes(self, router: Router) -> None:
        """`/contacts` and what lies below it, memberships and jobs left out."""
        router.add("POST", "/contacts", self._create)
        router.add("GET", "/contacts", self._list)
        router.add("POST", "/contacts/search", self._search)
        router.add("GET", "/contacts/find_by_external_id/{external_id}", self._by_external_id)
        router.add("GET", "/contacts/{id}", lambda request: Response(data=self.shown(self.found(request.params["id"]))))
        router.add("PUT", "/contacts/{id}", self._update)
        router.add("DELETE", "/contacts/{id}", self._delete)
        router.add("POST", "/contacts/{id}/archive", self._archive)
        router.add("POST", "/contacts/{id}/unarchive", self._unarchive)

    # -- endpoints -------------------------------------------------------------------------------

    def _create(self, request: Request) -> Response:
        request.records = 1
        return Response(data=self.shown(self.create(request, body_of(request))))

    def create(self, request: Request, body: Mapping[str, Any], strict: bool = False) -> Record:
        """Create a contact. ApiError 409 when it exists; `strict` (of jobs) also refuses an address in use."""
        if not any(body.get(name) for name in ("email", "external_id", "role")):
            raise ApiError(400, "parameter_not_found", "email, external_id or role must be specified")
        values = self._values(request, body)
        role = values.pop("role", None) or "user"
        own: dict[str, Any] = {"role": role, "unsubscribed_from_emails": False, "$companies": [], "$tags": []}
        with self.workspace.store.transaction():
            self._check_conflict({**values, "role": role}, None, strict)
            return self.workspace.create(CONTACTS, values, index_of(values), **own)

    def _update(self, request: Request) -> Response:
        request.records = 1
        return Response(data=self.shown(self.update(request, request.params["id"], body_of(request))))

    def update(self, request: Request, record_id: str, body: Mapping[str, Any]) -> Record:
        """Update a contact by its id. ApiError 404 when there is none, 409 when another holds what finds it."""
        values = self._values(request, body)
        with self.workspace.store.transaction():
            record = self.found(record_id)
            if values.get("role") == "lead" and record.properties["role"] == "user":
                raise ApiError(400, "client_error", "A user cannot be changed to a lead")
            before = dict(record.properties)
            merged = {**before, **values}
            if (merged.get("external_id"), merged.get("email")) != (before.get("external_id"), before.get("email")):
                self._check_conflict(merged, record.id, strict=False)
            return self.workspace.update(CONTACTS, record, values, index_of(before), index_of(merged))

    def _delete(self, request: Request) -> Response:
        record = self.workspace.any(CONTACTS, request.params["id"])
        if record is None:
            raise no_contact()
        self.delete(record)
        return Response(data={**_reference(record), "deleted": True})

    def delete(self, record: Record) -> None:
        """Remove a contact for good, archived or not."""
        with self.workspace.store.transaction():
            self.workspace.delete(CONTACTS, record, index_of(record.properties))

    def _archive(self, request: Request) -> Response:
        record = self.found(request.params["id"])
        self.workspace.set_archived(CONTACTS, record, True)
        return Response(data={**_reference(record), "archived": True})

    def _unarchive(self, request: Request) -> Response:
        record = self.workspace.ever(CONTACTS, request.params["id"])
        if record is None:
            raise no_contact()
        if record.properties.get("$deleted"):
            raise ApiError(400, "not_restorable", "This contact is marked for permanent deletion and is not restorable")
        self.workspace.set_archived(CONTACTS, record, False)
        return Response(data={**_reference(record), "archived": False})

    def _by_external_id(self, request: Request) -> Response:
        holders = self.workspace.holders(CONTACTS, "external_id", request.params["external_id"])
        users = [record for record in holders if record.properties["role"] == "user" and record.archived is None]
        if not users:
            raise no_contact()
        return Response(data=self.shown(users[0]))

    def _list(self, request: Request) -> Response:
        size, after = page_number(request, "per_page", 10, 150), request.first("starting_after")
        query = {"query": None, "pagination": {"per_page": size, "starting_after": after}}
        return Response(data=search(self.workspace, query, 0.0, self.shown))

    def _search(self, request: Request) -> Response:
        return Response(data=search(self.workspace, body_of(request), self.lag, self.shown))

    def found(self, record_id: str) -> Record:
        """A contact that is not archived; ApiError 404 when there is none."""
        record = self.workspace.one(CONTACTS, record_id)
        if record is None:
            raise no_contact()
        return record

    # -- rules -----------------------------------------------------------------------------------

    def _values(self, request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
        """What a body writes. Names that Intercom does not know are ignored, as it does."""
        known = self.workspace.attributes.known("contact")
        custom = body.get("custom_attributes")
        poison = request.poisoned({**body, **(custom if isinstance(custom, dict) else {})})
        if poison:
            raise invalid(poison.message)
        values = {
            name: _standard(known[name], value)
            for name, value in body.items()
            if name in STANDARD["contact"] and name not in _READ_ONLY
        }
        if "email_verified" in values and not values.get("email"):
            raise invalid("email_verified must be supplied together with an email", "email_verified")
        return {**values, **custom_values(known, custom)}

    def _check_conflict(self, values: Mapping[str, Any], own: str | None, strict: bool) -> None:
        if values["role"] != "user":
            return
        found = self._others("external_id", values, own)
        if not found and (strict or not values.get("external_id")):
            found = self._others("email", values, own)
        live = [record for record in found if record.archived is None]
        if len(live) > 1:
            text = "Multiple existing users match this email address - must be more specific using user_id"
            raise ApiError(409, "conflict", text)
        if live:
            raise ApiError(409, "conflict", f"A contact matching those details already exists with id={live[0].id}")
        if found:
            text = f"An archived contact matching those details already exists with id={found[-1].id}"
            raise ApiError(409, "conflict", text)

    def _others(self, field: str, values: Mapping[str, Any], own: str | None) -> list[Record]:
        wanted = index_of(values)[field]
        if wanted is None:
            return []
        holders = self.workspace.holders(CONTACTS, field, wanted)
        return [record for record in holders if record.id != own and record.properties["role"] == "user"]

    # -- answers ---------------------------------------------------------------------------------

    def shown(self, record: Record) -> dict[str, Any]:
        """A contact as the API shows it."""
        values, path = record.properties, f"/contacts/{record.id}"
        custom = self.workspace.attributes.custom("contact")
        avatar = values.get("avatar")
        standard = {name: values.get(name) for name in STANDARD["contact"] if name != "email_verified"}
        return {
            "type": "contact",
            **standard,
            "id": record.id,
            "workspace_id": self.workspace.id,
            "avatar": {"type": "avatar", "image_url": avatar} if avatar else None,
            "created_at": record.created // 1000,
            "updated_at": record.updated // 1000,
            "has_hard_bounced": False,
            "marked_email_as_spam": False,
            "custom_attributes": {name: value for name, value in values.items() if name in custom},
            "tags": _listed("tag", values["$tags"], f"{path}/tags"),
            "companies": _listed("company", values["$companies"], f"{path}/companies"),
        }


def index_of(values: Mapping[str, Any]) -> dict[str, str | None]:
    """What finds a contact: its external id as it is, its address without regard to case."""
    email = values.get("email")
    return {"external_id": values.get("external_id") or None, "email": email.lower() if email else None}


def _standard(attribute: Attribute, value: Any) -> Any:
    if attribute.name == "role" and value not in ("user", "lead"):
        raise invalid("role must be either user or lead", "role")
    if attribute.name == "email" and value and (not isinstance(value, str) or not _EMAIL.fullmatch(value)):
        raise invalid("email is not a valid email address", "email")
    if isinstance(value, (dict, list)):
        raise mismatch(attribute.name, "a string")
    return kept(attribute, value)


def _reference(record: Record) -> dict[str, Any]:
    return {"type": "contact", "id": record.id, "external_id": record.properties.get("external_id")}


def _listed(kind: str, ids: list[str], url: str) -> dict[str, Any]:
    shown = [
        {"id": known, "type": kind, "url": f"/{'tags' if kind == 'tag' else 'companies'}/{known}"} for known in ids
    ]
    return {"type": "list", "data": shown[:10], "url": url, "total_count": len(ids), "has_more": len(ids) > 10}
