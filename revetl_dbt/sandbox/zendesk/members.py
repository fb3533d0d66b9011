"""The endpoints for organization memberships."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from revetl_dbt.sandbox.messages import Request, Response, Router
from revetl_dbt.sandbox.store import Record
from revetl_dbt.sandbox.zendesk.errors import Refused, bad_request, not_found
from revetl_dbt.sandbox.zendesk.fields import Kind
from revetl_dbt.sandbox.zendesk.jobs import MOST, Jobs
from revetl_dbt.sandbox.zendesk.memberships import NAME, Memberships
from revetl_dbt.sandbox.zendesk.render import moment

_API = "/api/v2"
KIND = Kind(NAME, "organization_membership", NAME, "", "Memberships", {})


class Members:
    """Handlers for `/api/v2/organization_memberships` and the memberships of a user."""

    def __init__(self, memberships: Memberships, jobs: Jobs) -> None:
        self._memberships, self._jobs = memberships, jobs

    def add_routes(self, router: Router) -> None:
        """Add the routes."""
        base = f"{_API}/{NAME}"
        router.add("POST", f"{base}/create_many", self.create_many)
        router.add("DELETE", f"{base}/destroy_many", self.destroy_many)
        router.add("GET", base, self.listing)
        router.add("POST", base, self.create)
        router.add("DELETE", f"{base}/{{id}}", self.delete)
        router.add("GET", f"{_API}/users/{{user}}/{NAME}", self.of_user)
        router.add("DELETE", f"{_API}/users/{{user}}/organizations/{{organization}}", self.leave)

    def create(self, request: Request) -> Response:
        """POST one: 201, or 422 for a user who is a member."""
        body = request.json()
        given = body.get("organization_membership") if isinstance(body, dict) else None
        request.records = 1
        try:
            record = self._create(given)
        except Refused as refused:
            raise refused.error() from None
        return Response(201, {"organization_membership": self._shown(record)})

    def create_many(self, request: Request) -> Response:
        """POST a list: a job."""
        body = request.json()
        items = body.get(NAME) if isinstance(body, dict) else None
        if not isinstance(items, list):
            raise bad_request("Invalid attribute", f"{NAME} must be an array of objects")
        request.records = len(items)
        return Response(data=self._jobs.start(KIND, items, "Create", lambda item: (self._create(item).id, "Created")))

    def destroy_many(self, request: Request) -> Response:
        """DELETE by `ids`: a job."""
        items = request.listed("ids")
        request.records = len(items)
        return Response(data=self._jobs.start(KIND, items, "Delete", self._delete))

    def _create(self, given: Any) -> Record:
        if not isinstance(given, Mapping) or not all(given.get(f"{side}_id") for side in ("user", "organization")):
            raise Refused(user=[("User: cannot be blank", "BlankValue")])
        return self._memberships.create(str(given["user_id"]), str(given["organization_id"]))

    def _delete(self, item: Any) -> tuple[str, str]:
        record = self._memberships.find(str(item))
        if record is None:
            raise Refused(missing=[("Organization membership not found", "RecordNotFound")])
        self._memberships.remove(record)
        return record.id, "Deleted"

    def delete(self, request: Request) -> Response:
        """DELETE one."""
        request.records = 1
        record = self._memberships.find(request.params["id"])
        if record is None:
            raise not_found()
        self._memberships.remove(record)
        return Response(204)

    def leave(self, request: Request) -> Response:
        """DELETE the membership of a user in an organization."""
        request.records = 1
        record = self._memberships.pair(request.params["user"], request.params["organization"])
        if record is None:
            raise not_found()
        self._memberships.remove(record)
        return Response(204)

    def of_user(self, request: Request) -> Response:
        """GET those of a user, the default first."""
        found = self._memberships.of_user(request.params["user"])
        return Response(data={NAME: [self._shown(record) for record in found]})

    def listing(self, _request: Request) -> Response:
        """GET the first of all."""
        found = self._memberships.store.scan("zendesk", NAME, limit=MOST)
        return Response(data={NAME: [self._shown(record) for record in found]})

    def _shown(self, record: Record) -> dict[str, Any]:
        return self._memberships.render(record, moment(record.created))
