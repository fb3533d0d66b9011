"""The endpoints for many records at once, which are done in background jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from revetl_dbt.sandbox.messages import Request, Response, Router
from revetl_dbt.sandbox.zendesk.account import Account
from revetl_dbt.sandbox.zendesk.errors import Refused, bad_request, too_many_values
from revetl_dbt.sandbox.zendesk.fields import STANDARD, Kind
from revetl_dbt.sandbox.zendesk.jobs import MOST, Act, Jobs
from revetl_dbt.sandbox.zendesk.records import Records, by_id, flat

_API = "/api/v2"


class Bulk:
    """Handlers that begin jobs; `import_allowed` raises ApiError where bulk imports of users are off."""

    def __init__(self, account: Account, records: Records, jobs: Jobs, import_allowed: Callable[[], None]) -> None:
        self._account, self._records, self._jobs, self._import_allowed = account, records, jobs, import_allowed

    def add_routes(self, router: Router) -> None:
        """Add the routes; they come before those with an id."""
        for kind in STANDARD.values():
            base = f"{_API}/{kind.name}"
            router.add("POST", f"{base}/create_many", partial(self.many, self.creating, "Create", kind))
            router.add("PUT", f"{base}/update_many", partial(self.many, self.updating, "Update", kind))
            router.add("DELETE", f"{base}/destroy_many", partial(self.destroy_many, kind))
        router.add("DELETE", f"{_API}/deleted_tickets/destroy_many", self.erase_many)
        router.add("DELETE", f"{_API}/deleted_tickets/{{id}}", self.erase_one)
        upserting = partial(self.many, self.upserting, "CreateOrUpdate", STANDARD["users"])
        router.add("POST", f"{_API}/users/create_or_update_many", upserting)
        router.add("POST", f"{_API}/custom_objects/{{key}}/jobs", self._account.handler(self.custom_job))
        router.add("GET", f"{_API}/job_statuses/show_many", self.job_statuses)
        router.add("GET", f"{_API}/job_statuses/{{id}}", self.job_status)

    def job_status(self, request: Request) -> Response:
        """GET one job."""
        return Response(data={"job_status": self._jobs.show(request.params["id"])})

    def job_statuses(self, request: Request) -> Response:
        """GET several jobs by `ids`."""
        return Response(data={"job_statuses": [self._jobs.show(name) for name in request.listed("ids")]})

    def many(self, act: Callable[[Kind, Any], tuple[str, str]], verb: str, kind: Kind, request: Request) -> Response:
        """POST or PUT a list: a job."""
        if kind.name == "users" and verb != "Update":
            self._import_allowed()
        return self._job(kind, self._items(kind, request), verb, partial(act, kind), request)

    def creating(self, kind: Kind, item: Any) -> tuple[str, str]:
        """A row of create_many."""
        return self._records.create(kind, item).id, "Created"

    def updating(self, kind: Kind, item: Any) -> tuple[str, str]:
        """A row of update_many, which is told by its id or external id."""
        named = {name: item[name] for name in ("id", "external_id") if item.get(name)}
        record = self._records.matching(kind, dict(list(named.items())[:1]))
        if record is None:
            raise Refused(missing=[(f"{kind.of_class} not found", "RecordNotFound")])
        return self._records.update(kind, record, item).id, "Updated"

    def upserting(self, kind: Kind, item: Any) -> tuple[str, str]:
        """A row of create_or_update_many."""
        record, new = self._records.upsert(kind, item)
        return record.id, "Created" if new else "Updated"

    def deleting(self, field: str, kind: Kind, item: Any) -> tuple[str, str]:
        """A row of a job that deletes, by id or external id."""
        found = list(self._records.live(kind, [str(item)]).values())
        if field == "external_id":
            found = self._records.find(kind, field, [item])
        if not found:
            raise Refused(missing=[(f"{kind.of_class} not found", "RecordNotFound")])
        self._records.delete(kind, found[0])
        return found[0].id, "Deleted"

    def destroy_many(self, kind: Kind, request: Request) -> Response:
        """DELETE by `ids` or `external_ids`: a job."""
        field, values = asked(request)
        return self._job(kind, values, "Delete", partial(self.deleting, field, kind), request)

    def erase_many(self, request: Request) -> Response:
        """DELETE deleted tickets for good, by `ids`: a job."""
        return self._erase(request, request.listed("ids"))

    def erase_one(self, request: Request) -> Response:
        """DELETE one deleted ticket for good: a job too."""
        return self._erase(request, [request.params["id"]])

    def _erase(self, request: Request, ids: Sequence[str]) -> Response:
        request.records = len(ids)
        with self._account.store.transaction():
            return Response(data=self._jobs.start_for_all(ids, partial(self._records.erase, "tickets")))

    def custom_job(self, kind: Kind, request: Request) -> Response:
        """POST a job for a custom object's records."""
        body = request.json()
        job = body.get("job") if isinstance(body, dict) else None
        if not isinstance(job, dict) or not isinstance(job.get("items"), list):
            raise bad_request("Invalid attribute", "job must have an action and items")
        acts: Mapping[str, Callable[[Kind, Any], tuple[str, str]]] = {
            "create": self.creating,
            "update": self.updating,
            "create_or_update_by_external_id": self.upserting,
            "delete": partial(self.deleting, "id"),
            "delete_by_external_id": partial(self.deleting, "external_id"),
        }
        if job.get("action") not in acts:
            raise bad_request("Invalid attribute", f"action must be one of {', '.join(acts)}")
        action = str(job["action"])
        return self._job(kind, job["items"], action.split("_")[0].capitalize(), partial(acts[action], kind), request)

    def _job(self, kind: Kind, items: Sequence[Any], verb: str, act: Act, request: Request) -> Response:
        request.records = len(items)
        poisoned = [poison(kind, request, item) for item in items]

        def acted(item: Any) -> tuple[str, str]:
            refused = poisoned[next(n for n, other in enumerate(items) if other is item)]
            if refused is not None:
                raise refused
            if verb != "Delete" and not isinstance(item, dict):
                raise Refused(base=[("Base: is invalid", "InvalidValue")])
            return act(item)

        with self._account.store.transaction():
            return Response(201 if kind.own else 200, self._jobs.start(kind, items, verb, acted))

    def _items(self, kind: Kind, request: Request) -> list[dict[str, Any]]:
        body = request.json()
        items = body.get(kind.many) if isinstance(body, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise bad_request("Invalid attribute", f"{kind.many} must be an array of objects")
        return items


def asked(request: Request) -> tuple[str, list[str]]:
    """The field, `id` or `external_id`, and the values that a query asks for; 100 at most."""
    for name, field in (("ids", "id"), ("external_ids", "external_id")):
        if name in request.query:
            values = (request.first(name) or "").split(",")
            if len(values) > MOST:
                raise too_many_values()
            return field, values
    raise bad_request("Invalid attribute", "ids or external_ids is required")


def poison(kind: Kind, request: Request, item: Any) -> Refused | None:
    if not isinstance(item, dict):
        return None
    values = flat(item)
    values |= {f"{kind.custom}.{key}": value for key, value in by_id(item.get("custom_fields")).items()}
    found = request.poisoned(values)
    if found is None:
        return None
    if found.whole_batch:
        raise bad_request("Invalid attribute", found.message)
    return Refused(base=[(found.message, "Invalid")])
