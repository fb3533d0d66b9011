"""The endpoints for records: one at a time, and the lists that find them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from revetl_dbt.sandbox.messages import Request, Response, Router
from revetl_dbt.sandbox.store import Record
from revetl_dbt.sandbox.zendesk.account import VENDOR, Account
from revetl_dbt.sandbox.zendesk.errors import Refused, bad_request, not_found
from revetl_dbt.sandbox.zendesk.fields import STANDARD, Kind
from revetl_dbt.sandbox.zendesk.jobs import MOST
from revetl_dbt.sandbox.zendesk.many import asked, poison
from revetl_dbt.sandbox.zendesk.records import Records
from revetl_dbt.sandbox.zendesk.render import rendered

_API = "/api/v2"
_DELETED = (
    *("id", "url", "name", "email", "created_at", "updated_at", "time_zone", "phone", "organization_id", "role"),
    *("active", "locale", "locale_id", "photo", "shared_phone_number"),
)
_NAMES = "{kind:users|organizations|tickets}"


class Endpoints:
    """Handlers for users, organizations, tickets and custom object records; `update_allowed` raises ApiError where a
    user is updated too often."""

    def __init__(self, account: Account, records: Records, update_allowed: Callable[[str], None]) -> None:
        self._account, self._records, self._update_allowed = account, records, update_allowed

    def add_routes(self, router: Router) -> None:
        """Add the routes; those with a word of their own come before those with an id."""
        for kind in STANDARD.values():
            base = f"{_API}/{kind.name}"
            for method, path, act in (
                ("GET", "/show_many", self.show_many),
                ("POST", "", self.create),
                ("GET", "", self.listing),
            ):
                router.add(method, base + path, partial(act, kind))
            if kind.name != "tickets":
                router.add("POST", base + "/create_or_update", partial(self.create_or_update, kind))
                router.add("GET", base + "/search", partial(self.search, kind))
        router.add("DELETE", f"{_API}/deleted_users/{{id}}", self.erase)
        one = f"{_API}/{_NAMES}/{{id}}"
        own = f"{_API}/custom_objects/{{key}}/records"
        for pattern, method in ((one, "PUT"), (f"{own}/{{id}}", "PATCH")):
            router.add(method, pattern, self._account.handler(self.update))
            router.add("GET", pattern, self._account.handler(self.show))
            router.add("DELETE", pattern, self._account.handler(self.delete))
        router.add("POST", own, self._account.handler(self.create))
        router.add("GET", own, self._account.handler(self.listing))
        router.add("PATCH", own, self._account.handler(self.set_by_external_id))
        router.add("DELETE", own, self._account.handler(self.delete_by_external_id))
        changes = {"GET": _kept, "POST": _replaced, "PUT": _added, "DELETE": _removed}
        for method, change in changes.items():
            router.add(method, f"{one}/tags", self._account.handler(partial(self.tags, change)))

    # -- one record ------------------------------------------------------------------------------

    def create(self, kind: Kind, request: Request) -> Response:
        """POST one. A ticket's `Idempotency-Key` makes it the same ticket when it comes again."""
        given = self._one(kind, request)
        return self._answer(kind, self._refusable(lambda: self._records.create(kind, given)), 201)

    def create_or_update(self, kind: Kind, request: Request) -> Response:
        """POST one: 201 for a new record, 200 for one that was there."""
        given = self._one(kind, request)
        known = self._records.matching(kind, given)
        if known is not None and kind.name == "users":
            self._update_allowed(known.id)
        record, new = self._refusable(lambda: self._records.upsert(kind, given))
        return self._answer(kind, record, 201 if new else 200)

    def update(self, kind: Kind, request: Request) -> Response:
        """PUT one, or PATCH one of a custom object."""
        record = self._found(kind, request)
        if kind.name == "users":
            self._update_allowed(record.id)
        given = self._one(kind, request)
        return self._answer(kind, self._refusable(lambda: self._records.update(kind, record, given)))

    def show(self, kind: Kind, request: Request) -> Response:
        """GET one; a deleted user is still shown."""
        if kind.name == "users":
            found = self._account.store.read(VENDOR, kind.name, [request.params["id"]]).get(request.params["id"])
            return self._answer(kind, found) if found else self._answer(kind, self._found(kind, request))
        return self._answer(kind, self._found(kind, request))

    def delete(self, kind: Kind, request: Request) -> Response:
        """DELETE one: 204, or 200 with the user."""
        request.records = 1
        record = self._found(kind, request)
        self._records.delete(kind, record)
        return self._answer(kind, record) if kind.name == "users" else Response(204)

    def erase(self, request: Request) -> Response:
        """DELETE a deleted user for good."""
        request.records = 1
        if not self._records.erase("users", request.params["id"]):
            raise not_found()
        record = self._account.store.read(VENDOR, "users", [request.params["id"]])[request.params["id"]]
        shown = rendered(self._account, STANDARD["users"], record)
        return Response(data={"deleted_user": {name: shown.get(name) for name in _DELETED}})

    def set_by_external_id(self, kind: Kind, request: Request) -> Response:
        """PATCH a custom object record by its external id; it is created where there is none, which is not told."""
        given = {**self._one(kind, request), "external_id": request.first("external_id")}
        record, _ = self._refusable(lambda: self._records.upsert(kind, given))
        return self._answer(kind, record)

    def delete_by_external_id(self, kind: Kind, request: Request) -> Response:
        """DELETE a custom object record by its external id."""
        found = self._records.find(kind, "external_id", [request.first("external_id")])
        if not found:
            raise not_found()
        self._records.delete(kind, found[0])
        return Response(204)

    def tags(self, change: Callable[[list[str], list[str]], list[str]], kind: Kind, request: Request) -> Response:
        """The tags of a record: shown, replaced, added or removed."""
        record = self._found(kind, request)
        old = list(record.properties.get("tags") or [])
        if request.method == "GET":
            return Response(data={"tags": old})
        request.records = 1
        body = request.json()
        given = body.get("tags") if isinstance(body, dict) else None
        if not isinstance(given, list):
            raise bad_request("Invalid attribute", "tags must be an array")
        if kind.name == "users":
            self._update_allowed(record.id)
        tags = self._refusable(lambda: self._records.set_tags(kind, record, change(old, given)))
        if request.method == "DELETE":
            return Response(204)
        return Response(201 if request.method == "POST" else 200, {"tags": tags})

    # -- lists -----------------------------------------------------------------------------------

    def show_many(self, kind: Kind, request: Request) -> Response:
        """GET by `ids` or `external_ids`."""
        field, values = asked(request)
        if kind.name == "tickets" and field != "id":
            raise bad_request("Invalid attribute", "ids is required")
        return self._listed(kind, self._by(kind, field, values))

    def listing(self, kind: Kind, request: Request) -> Response:
        """GET all, or those that a filter names; 100 at most."""
        for name, field in (
            ("filter[ids]", "id"),
            ("filter[external_ids]", "external_id"),
            ("external_id", "external_id"),
        ):
            if name in request.query:
                text = request.first(name) or ""
                return self._listed(kind, self._by(kind, field, [text] if name == "external_id" else text.split(",")))
        return self._listed(kind, self._account.store.scan(VENDOR, kind.name, limit=MOST))

    def search(self, kind: Kind, request: Request) -> Response:
        """GET by `external_id`, an organization's `name`, or a user's address as `query=email:"a@b.c"`."""
        for field in ("external_id", "name"):
            if field in request.query:
                return self._listed(kind, self._records.find(kind, field, [request.first(field)]))
        found = re.fullmatch(r'email:"?([^"]+)"?', request.first("query") or "")
        return self._listed(kind, self._records.find(kind, "email", [found[1]]) if found else [])

    def _by(self, kind: Kind, field: str, values: Sequence[str]) -> Sequence[Record]:
        if field == "id":
            return list(self._records.live(kind, values).values())
        return self._records.find(kind, field, values)

    def _listed(self, kind: Kind, records: Sequence[Record]) -> Response:
        shown = [rendered(self._account, kind, record) for record in records]
        if kind.own:
            return Response(
                data={kind.many: shown, "meta": {"has_more": False, "after_cursor": None, "before_cursor": None}}
            )
        return Response(data={kind.many: shown, "count": len(shown), "next_page": None, "previous_page": None})

    # -- parts -----------------------------------------------------------------------------------

    def _found(self, kind: Kind, request: Request) -> Record:
        found = self._records.live(kind, [request.params["id"]])
        if not found:
            raise not_found()
        return found[request.params["id"]]

    def _one(self, kind: Kind, request: Request) -> dict[str, Any]:
        body = request.json()
        given = body.get(kind.one) if isinstance(body, dict) else None
        if not isinstance(given, dict):
            raise bad_request("Invalid attribute", f"{kind.one} is required")
        request.records = 1
        refused = poison(kind, request, given)
        if refused is not None:
            raise refused.error()
        return given

    def _refusable(self, act: Callable[[], Any]) -> Any:
        try:
            with self._account.store.transaction():
                return act()
        except Refused as refused:
            raise refused.error() from None

    def _answer(self, kind: Kind, record: Record, status: int = 200) -> Response:
        return Response(status, {kind.one: rendered(self._account, kind, record)})


def _kept(old: list[str], _given: list[str]) -> list[str]:
    return old


def _replaced(_old: list[str], given: list[str]) -> list[str]:
    return given


def _added(old: list[str], given: list[str]) -> list[str]:
    return [*old, *given]


def _removed(old: list[str], given: list[str]) -> list[str]:
    return [tag for tag in old if tag not in {name.lower() for name in given}]
