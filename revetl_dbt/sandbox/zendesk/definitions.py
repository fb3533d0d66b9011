"""The endpoints for custom fields and custom objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from revetl_dbt.sandbox.messages import Request, Response, Router
from revetl_dbt.sandbox.zendesk.account import Account
from revetl_dbt.sandbox.zendesk.errors import Refused, bad_request
from revetl_dbt.sandbox.zendesk.fields import STANDARD, Kind

_API = "/api/v2"
_SYSTEM = ("subject", "description", "status", "tickettype", "priority", "group", "assignee")
_PAGE = 100


class Definitions:
    """Handlers for user_fields, organization_fields, ticket_fields, custom_objects and their fields."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def add_routes(self, router: Router) -> None:
        """Add the routes."""
        for name, kind in zip(("user_fields", "organization_fields", "ticket_fields"), STANDARD.values(), strict=True):
            router.add("GET", f"{_API}/{name}", partial(self.fields, name, kind))
            router.add("POST", f"{_API}/{name}", partial(self.create_field, name, kind))
        own, name = f"{_API}/custom_objects/{{key}}/fields", "custom_object_fields"
        router.add("GET", own, self._account.handler(partial(self.fields, name)))
        router.add("POST", own, self._account.handler(partial(self.create_field, name)))
        router.add("GET", f"{_API}/custom_objects", self.objects)
        router.add("POST", f"{_API}/custom_objects", self.create_object)

    def fields(self, name: str, kind: Kind, request: Request) -> Response:
        """GET all, in pages when `page[size]` is given."""
        found = list(self._account.fields(kind).values())
        if kind.name == "tickets":
            found = [*self._system_fields(), *found]
        return Response(data=_paged(name, found, request))

    def _system_fields(self) -> list[dict[str, Any]]:
        return [
            {"id": n, "type": name, "title": name.capitalize(), "removable": False, "active": True}
            for n, name in enumerate(_SYSTEM, 1)
        ]

    def create_field(self, name: str, kind: Kind, request: Request) -> Response:
        """POST one."""
        one = name.removesuffix("s")
        try:
            return Response(201, {one: self._account.define_field(kind, _given(request, one))})
        except Refused as refused:
            raise refused.error() from None

    def objects(self, _request: Request) -> Response:
        """GET all custom objects."""
        return Response(data={"custom_objects": list(self._account.custom_objects().values())})

    def create_object(self, request: Request) -> Response:
        """POST one custom object."""
        try:
            return Response(201, {"custom_object": self._account.define_object(_given(request, "custom_object"))})
        except Refused as refused:
            raise refused.error() from None


def _given(request: Request, one: str) -> Mapping[str, Any]:
    body = request.json()
    given = body.get(one) if isinstance(body, dict) else None
    if not isinstance(given, dict):
        raise bad_request("Invalid attribute", f"{one} is required")
    return given


def _paged(name: str, found: Sequence[Any], request: Request) -> dict[str, Any]:
    """Cursor pagination: the cursor is the position of the last entry."""
    if "page[size]" not in request.query:
        return {name: list(found), "count": len(found), "next_page": None, "previous_page": None}
    size = min(int(request.first("page[size]") or _PAGE), _PAGE)
    start = int(request.first("page[after]") or 0)
    end = start + size
    meta = {"has_more": end < len(found), "after_cursor": str(end), "before_cursor": str(start)}
    return {name: list(found[start:end]), "meta": meta, "links": {"next": None, "prev": None}}
