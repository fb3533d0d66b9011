"""Data events: added to a contact, never changed. The same name at the same second for one contact is one event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from revetl_dbt.sandbox.intercom.errors import ApiError, invalid, mismatch, no_contact
from revetl_dbt.sandbox.intercom.shapes import body_of, mapping
from revetl_dbt.sandbox.intercom.workspace import CONTACTS, EVENTS, Workspace
from revetl_dbt.sandbox.messages import Request, Response, Router
from revetl_dbt.sandbox.store import Record

_KEYS = 10
_RICH = ({"url", "value"}, {"amount", "currency"})


class Events:
    """`/events`."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def add_routes(self, router: Router) -> None:
        """Submitting, and listing those of one contact."""
        router.add("POST", "/events", self._submit)
        router.add("GET", "/events", self._list)

    def _submit(self, request: Request) -> Response:
        request.records = 1
        body = body_of(request)
        metadata = _metadata(mapping(body.get("metadata"), "metadata"))
        poison = request.poisoned({**body, **metadata})
        if poison:
            raise invalid(poison.message)
        name, created = body.get("event_name"), body.get("created_at")
        if not name or created is None:
            raise ApiError(400, "parameter_not_found", "event_name and created_at must be specified")
        if isinstance(created, bool) or not isinstance(created, int):
            raise mismatch("created_at", "a Unix timestamp in seconds")
        contact = self._contact(body.get("id"), body.get("user_id"), body.get("email"))
        with self.workspace.store.transaction():
            key = f"{contact.properties.get('external_id') or contact.id} {created} {name}"
            if not self.workspace.holders(EVENTS, "key", key):
                values = {"event_name": name, "created_at": created, **metadata, "$contact": contact.id}
                self.workspace.create(EVENTS, values, {"key": key, "contact": contact.id})
        return Response(202)

    def _contact(self, record_id: Any, external_id: Any, email: Any) -> Record:
        if record_id:
            found = [record for record in [self.workspace.one(CONTACTS, str(record_id))] if record]
        elif external_id:
            found = self.workspace.holders(CONTACTS, "external_id", str(external_id))
        else:
            found = self.workspace.holders(CONTACTS, "email", str(email or "").lower())
        live = [
            record for record in found if record.archived is None and (record_id or record.properties["role"] == "user")
        ]
        if not live:
            raise no_contact()
        return live[-1]

    def _list(self, request: Request) -> Response:
        contact = self._contact(request.first("intercom_user_id"), request.first("user_id"), request.first("email"))
        events = [
            {
                "type": "event",
                "id": record.id,
                "event_name": record.properties["event_name"],
                "created_at": record.properties["created_at"],
                "intercom_user_id": contact.id,
                "user_id": contact.properties.get("external_id"),
                "email": contact.properties.get("email"),
                "metadata": metadata_of(record),
            }
            for record in self.workspace.holders(EVENTS, "contact", contact.id)
        ]
        return Response(data={"type": "event.list", "events": events, "pages": {}})


def metadata_of(record: Record) -> dict[str, Any]:
    """What an event says beside its name and time."""
    return {
        name: value
        for name, value in record.properties.items()
        if name not in ("event_name", "created_at") and not name.startswith("$")
    }


def _metadata(given: Mapping[str, Any]) -> dict[str, Any]:
    """The first ten keys; further ones are ignored. ApiError 400 for nested values other than links and amounts."""
    for name, value in given.items():
        if isinstance(value, list) or (isinstance(value, dict) and set(value) not in _RICH):
            raise invalid(f"metadata {name} must not be nested", name)
    return dict(list(given.items())[:_KEYS])
