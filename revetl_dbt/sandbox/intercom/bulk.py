"""The jobs of the Preview version: many contacts or companies at once. A job says how it went, never which item failed.

Contacts are created strictly (`POST`), updated by id (`PUT`) or deleted; companies are matched by `company_id` (`POST`)
or updated by id (`PUT`). At most 100 items; names that are not listed are ignored (the Preview OpenAPI description).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from revetl_dbt.sandbox.intercom.attributes import VENDOR
from revetl_dbt.sandbox.intercom.companies import Companies
from revetl_dbt.sandbox.intercom.contacts import Contacts
from revetl_dbt.sandbox.intercom.errors import ApiError, invalid, no_resource
from revetl_dbt.sandbox.intercom.shapes import body_of, mapping
from revetl_dbt.sandbox.messages import Request, Response, Router
from revetl_dbt.sandbox.store import Store

_ITEMS = 100
_PATH = "/{plural:contacts|companies}/bulk"
_COMPANY = frozenset(
    {"company_id", "name", "plan", "size", "website", "industry", "custom_attributes", "remote_created_at"}
    | {"monthly_spend", "update_last_request_at"}
)

Carry = Callable[[Request, Mapping[str, Any]], object]


class Jobs:
    """Jobs are carried out when they are submitted; `polls` says how often they look unfinished after that."""

    def __init__(self, store: Store, base_url: str, contacts: Contacts, companies: Companies) -> None:
        self.store = store
        self.base_url = base_url
        self.polls = 1
        self._contacts, self._companies = contacts, companies

    def add_routes(self, router: Router) -> None:
        """Submitting jobs and asking for them."""
        router.add("POST", _PATH, self._post)
        router.add("PUT", _PATH, self._put)
        router.add("POST", _PATH + "/delete", self._delete)
        router.add("GET", _PATH + "/{id}", self._get)

    def _post(self, request: Request) -> Response:
        if request.params["plural"] == "contacts":
            return self._submit(request, lambda r, item: self._contacts.create(r, item, strict=True))
        return self._submit(request, lambda r, item: self._companies.upsert(r, _only(item, _COMPANY)))

    def _put(self, request: Request) -> Response:
        if request.params["plural"] == "contacts":
            return self._submit(request, lambda r, item: self._contacts.update(r, item["id"], item), by_id=True)
        names = _COMPANY - {"company_id", "remote_created_at", "update_last_request_at"}
        return self._submit(
            request, lambda r, item: self._companies.update(r, item["id"], _only(item, names)), by_id=True
        )

    def _delete(self, request: Request) -> Response:
        return self._submit(request, self._deleted, by_id=True)

    def _deleted(self, request: Request, item: Mapping[str, Any]) -> None:
        if request.params["plural"] == "contacts":
            self._contacts.delete(self._contacts.found(item["id"]))
        else:
            self._companies.delete(self._companies.found(item["id"]))

    def _submit(self, request: Request, carry: Carry, by_id: bool = False) -> Response:
        _check_version(request)
        plural, body = request.params["plural"], body_of(request)
        if body.get("job"):
            self._append(plural, str(mapping(body["job"], "job").get("id")))
        items = _items(body, plural, by_id)
        request.records = len(items)
        failed = sum(not _carried(carry, request, item) for item in items)
        now = self.store.now() // 1000
        number = self.store.next_number("intercom:job", 1, 1)
        job = {
            "id": f"job_v2_{number}",
            "type": f"{plural}.bulk.job",
            "state": "completed_with_errors" if failed else "completed",
            "created_at": now,
            "updated_at": now,
            "completed_at": now,
            "tasks": [{"id": f"task_v2_{number}", "item_count": len(items), "state": "completed", "created_at": now}],
            "url": f"{self.base_url}/{VENDOR}/{plural}/bulk/job_v2_{number}",
        }
        self.store.define(VENDOR, "job", str(job["id"]), {"job": job, "polls": self.polls}, plural)
        return Response(202, _unfinished(job))

    def _append(self, plural: str, name: str) -> None:
        """Jobs are carried out at once, so that each is closed when another request could add to it."""
        self._kept(plural, name)
        raise ApiError(403, "forbidden", f"job {name} is closed for new task updates")

    def _kept(self, plural: str, name: str) -> dict[str, Any]:
        kept: dict[str, Any] | None = self.store.definitions(VENDOR, "job", plural).get(name)
        if kept is None:
            raise ApiError(404, "job_not_found", f"job {name} not found")
        return kept

    def _get(self, request: Request) -> Response:
        _check_version(request)
        name, plural = request.params["id"], request.params["plural"]
        kept = self._kept(plural, name)
        if kept["polls"] > 0:
            self.store.define(VENDOR, "job", name, {**kept, "polls": kept["polls"] - 1}, plural)
            return Response(data=_unfinished(kept["job"]))
        return Response(data=kept["job"])


def _check_version(request: Request) -> None:
    if request.headers.get("intercom-version", "").lower() not in ("preview", "unstable"):
        raise no_resource()


def _items(body: Mapping[str, Any], plural: str, by_id: bool) -> list[dict[str, Any]]:
    items = body.get(plural)
    one = "contact" if plural == "contacts" else "company"
    if items is None:
        raise ApiError(422, "field_not_found", f"{plural} field must be supplied")
    if not isinstance(items, list):
        raise ApiError(422, "type_mismatch", f"{plural} must be an array")
    if len(items) > _ITEMS:
        raise ApiError(422, "parameter_invalid", f"maximum number of {plural} per request is {_ITEMS}")
    if not all(isinstance(item, dict) for item in items):
        raise ApiError(422, "type_mismatch", f"each {one} must be an object")
    if by_id and not all(isinstance(item.get("id"), str) for item in items):
        raise ApiError(422, "field_not_found", f"{plural} must be identified by id")
    return items


def _carried(carry: Carry, request: Request, item: Mapping[str, Any]) -> bool:
    try:
        poison = request.poisoned(item)
        if poison:
            raise invalid(poison.message)
        carry(request, item)
    except ApiError:
        return False
    return True


def _only(item: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name in names}


def _unfinished(job: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **job,
        "state": "running",
        "completed_at": None,
        "tasks": [{**task, "state": "pending"} for task in job["tasks"]],
    }
