"""Instances of custom objects, matched by `external_id`. The types are defined in the tool, not through the API."""

from __future__ import annotations

from typing import Any

from revetl_dbt.sandbox.intercom.attributes import custom_values
from revetl_dbt.sandbox.intercom.errors import ApiError, invalid, mismatch
from revetl_dbt.sandbox.intercom.shapes import body_of
from revetl_dbt.sandbox.intercom.workspace import Workspace
from revetl_dbt.sandbox.messages import Request, Response, Router
from revetl_dbt.sandbox.store import Record

PREFIX = "custom_objects/"
_PATH = "/custom_object_instances/{type}"
_TIMES = ("external_created_at", "external_updated_at")


class CustomObjects:
    """`/custom_object_instances/{type}`."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def add_routes(self, router: Router) -> None:
        """Upsert, fetch and delete, by external id and by Intercom's."""
        router.add("POST", _PATH, self._upsert)
        router.add("GET", _PATH, self._get)
        router.add("DELETE", _PATH, lambda request: self._deleted(request, self._by_external_id(request)))
        router.add("GET", _PATH + "/{id}", lambda request: Response(data=self._shown(request, self._by_id(request))))
        router.add("DELETE", _PATH + "/{id}", lambda request: self._deleted(request, self._by_id(request)))

    def _kind(self, request: Request) -> str:
        name = request.params["type"]
        if name not in self.workspace.attributes.types():
            raise ApiError(404, "not_found", f"Custom object type `{name}` not found")
        return PREFIX + name

    def _upsert(self, request: Request) -> Response:
        request.records = 1
        kind, body = self._kind(request), body_of(request)
        key, custom = body.get("external_id"), body.get("custom_attributes")
        poison = request.poisoned({**body, **(custom if isinstance(custom, dict) else {})})
        if poison:
            raise invalid(poison.message)
        if not isinstance(key, str) or not key:
            raise ApiError(400, "parameter_not_found", "external_id must be specified", "external_id")
        for name in _TIMES:
            if body.get(name) is not None and (isinstance(body[name], bool) or not isinstance(body[name], int)):
                raise mismatch(name, "a Unix timestamp in seconds")
        known = self.workspace.attributes.known(request.params["type"])
        values = {"external_id": key, **{name: body[name] for name in _TIMES if name in body}}
        values |= custom_values(known, custom)
        with self.workspace.store.transaction():
            held = self.workspace.holders(kind, "external_id", key)
            if held:
                record = self.workspace.update(kind, held[0], values)
            else:
                record = self.workspace.create(kind, values, {"external_id": key})
        return Response(data=self._shown(request, record))

    def _get(self, request: Request) -> Response:
        kind = self._kind(request)
        if request.first("external_id") is not None:
            return Response(data=self._shown(request, self._by_external_id(request)))
        shown = [self._shown(request, record) for record in self.workspace.live(kind)]
        pages = {"type": "pages", "page": 1, "per_page": len(shown), "total_pages": 1}
        return Response(data={"type": "list", "data": shown, "pages": pages, "total_count": len(shown)})

    def _by_external_id(self, request: Request) -> Record:
        held = self.workspace.holders(self._kind(request), "external_id", request.first("external_id") or "")
        if not held:
            raise ApiError(404, "not_found", "Object not found")
        return held[0]

    def _by_id(self, request: Request) -> Record:
        record = self.workspace.one(self._kind(request), request.params["id"])
        if record is None:
            raise ApiError(404, "not_found", "Custom object instance not found")
        return record

    def _deleted(self, request: Request, record: Record) -> Response:
        kind = self._kind(request)
        with self.workspace.store.transaction():
            self.workspace.delete(kind, record, {"external_id": record.properties["external_id"]})
        return Response(data={"id": record.id, "object": request.params["type"], "deleted": True})

    def _shown(self, request: Request, record: Record) -> dict[str, Any]:
        values = record.properties
        custom = self.workspace.attributes.custom(request.params["type"])
        return {
            "id": record.id,
            "type": request.params["type"],
            "external_id": values["external_id"],
            **{name: values.get(name) for name in _TIMES},
            "created_at": record.created // 1000,
            "updated_at": record.updated // 1000,
            "custom_attributes": {name: value for name, value in values.items() if name in custom},
        }
