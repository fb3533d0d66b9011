"""The endpoints for definitions: properties, property groups, schemas of custom objects, account details."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from revetl_dbt.sandbox.hubspot.account import Account
from revetl_dbt.sandbox.hubspot.errors import NOT_FOUND, ApiError
from revetl_dbt.sandbox.hubspot.objects import ObjectType
from revetl_dbt.sandbox.hubspot.properties import Property
from revetl_dbt.sandbox.hubspot.shapes import mapping, mappings, require
from revetl_dbt.sandbox.hubspot.values import moment_text
from revetl_dbt.sandbox.messages import Request, Response, Router

Authorize = Callable[[Request, Sequence[str]], None]
"""Raises ApiError unless the request's token has one of the scopes."""


def account_details(portal: int, zone: str, now: int) -> dict[str, Any]:
    """GET /account-info/{version}/details; `now` in milliseconds since 1970."""
    moment = dt.datetime.fromtimestamp(now / 1000, dt.timezone.utc if zone == "UTC" else ZoneInfo(zone))
    offset = moment.utcoffset() or dt.timedelta()
    minutes = int(offset.total_seconds() // 60)
    return {
        "portalId": portal,
        "accountType": "STANDARD",
        "timeZone": zone,
        "companyCurrency": "USD",
        "additionalCurrencies": [],
        "utcOffset": f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}",
        "utcOffsetMilliseconds": minutes * 60_000,
        "uiDomain": "app.hubspot.com",
        "dataHostingLocation": "na1",
    }


class Definitions:
    """Handlers for `/crm/{version}/properties`, `/crm/properties/{version}` and the schema paths."""

    def __init__(self, account: Account, authorize: Authorize) -> None:
        self._account = account
        self._authorize = authorize

    def add_routes(self, router: Router, versions: str) -> None:
        """Add the routes; `versions` is a regular expression of the versions that there are."""
        base = "/{base:crm/v3/properties|crm/properties/(?:" + versions + ")}/{type}"
        for method, path, act in (
            ("POST", "/batch/create", self.create_batch),
            ("POST", "/batch/read", self.read_batch),
            ("POST", "/batch/archive", self.archive_batch),
            ("GET", "/groups", self.groups),
            ("POST", "/groups", self.create_group),
            ("GET", "/groups/{name}", self.group),
            ("GET", "", self.properties),
            ("POST", "", self.create),
            ("GET", "/{name}", self.property),
            ("PATCH", "/{name}", self.patch),
            ("DELETE", "/{name}", self.archive),
        ):
            access = "read" if method == "GET" or path == "/batch/read" else "write"
            router.add(method, base + path, self._of_object(access, act))
        schemas = "/{base:crm/v3/schemas|crm-object-schemas/(?:" + versions + ")/schemas}"
        router.add("GET", schemas, self._of_account("read", self.schemas))
        router.add("POST", schemas, self._of_account("write", self.create_schema))
        router.add("GET", schemas + "/{type}", self._of_account("read", self.schema))

    def _of_object(self, access: str, act: Callable[[ObjectType, Request], Response]) -> Callable[[Request], Response]:
        def handler(request: Request) -> Response:
            kind = self._account.kind(request.params["type"])
            self._authorize(request, kind.scopes(access, schema=True))
            return act(kind, request)

        return handler

    def _of_account(self, access: str, act: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def handler(request: Request) -> Response:
            self._authorize(request, [f"crm.schemas.custom.{access}"])
            return act(request)

        return handler

    # -- properties ------------------------------------------------------------------------------

    def properties(self, kind: ObjectType, request: Request) -> Response:
        """GET all."""
        found = self._account.properties(kind, request.flag("archived"))
        return Response(data={"results": [prop.as_json() for prop in found.values()]})

    def create(self, kind: ObjectType, request: Request) -> Response:
        """POST one."""
        return Response(201, self._account.create_property(kind, mapping(request.json())).as_json())

    def property(self, kind: ObjectType, request: Request) -> Response:
        """GET one."""
        return Response(data=self._account.property(kind, request.params["name"]).as_json())

    def patch(self, kind: ObjectType, request: Request) -> Response:
        """PATCH one."""
        return Response(
            data=self._account.patch_property(kind, request.params["name"], mapping(request.json())).as_json()
        )

    def archive(self, kind: ObjectType, request: Request) -> Response:
        """DELETE one."""
        self._account.archive_property(kind, request.params["name"])
        return Response(204)

    def create_batch(self, kind: ObjectType, request: Request) -> Response:
        """POST batch/create."""
        return self._batch(request, lambda body: self._account.create_property(kind, body), 201)

    def read_batch(self, kind: ObjectType, request: Request) -> Response:
        """POST batch/read."""
        return self._batch(request, lambda body: self._account.property(kind, str(body.get("name"))), 200)

    def archive_batch(self, kind: ObjectType, request: Request) -> Response:
        """POST batch/archive."""
        for body in inputs_of(request):
            self._account.archive_property(kind, str(body.get("name")))
        return Response(204)

    def _batch(self, request: Request, act: Callable[[Mapping[str, Any]], Property], status: int) -> Response:
        """Act on each input; those that fail are listed beside the others with 207."""
        started = self._account.store.now()
        outcomes = [_attempt(act, body) for body in inputs_of(request)]
        failed = [error.standard_error({"name": [name]}) for name, error in outcomes if isinstance(error, ApiError)]
        answer: dict[str, Any] = {
            "status": "COMPLETE",
            "results": [prop.as_json() for _, prop in outcomes if isinstance(prop, Property)],
            "startedAt": moment_text(started),
            "completedAt": moment_text(self._account.store.now()),
        }
        if failed:
            answer |= {"numErrors": len(failed), "errors": failed}
        return Response(207 if failed else status, answer)

    # -- groups ----------------------------------------------------------------------------------

    def groups(self, kind: ObjectType, _request: Request) -> Response:
        """GET all groups."""
        return Response(data={"results": list(self._account.groups(kind).values())})

    def group(self, kind: ObjectType, request: Request) -> Response:
        """GET one group."""
        found = self._account.groups(kind).get(request.params["name"])
        if found is None:
            raise ApiError(404, f"Property group `{request.params['name']}` does not exist", NOT_FOUND)
        return Response(data=found)

    def create_group(self, kind: ObjectType, request: Request) -> Response:
        """POST one group."""
        return Response(201, self._account.create_group(kind, mapping(request.json())))

    # -- schemas ---------------------------------------------------------------------------------

    def schemas(self, _request: Request) -> Response:
        """GET all custom objects."""
        found = self._account.schemas().values()
        return Response(data={"results": [self._account.schema_json(schema) for schema in found]})

    def create_schema(self, request: Request) -> Response:
        """POST one custom object."""
        return Response(201, self._account.schema_json(self._account.create_schema(mapping(request.json()))))

    def schema(self, request: Request) -> Response:
        """GET one custom object."""
        found = self._account.schemas().get(self._account.kind(request.params["type"]).type_id)
        if found is None:
            raise ApiError(404, f"There is no custom object `{request.params['type']}`", NOT_FOUND)
        return Response(data=self._account.schema_json(found))


def inputs_of(request: Request) -> list[Mapping[str, Any]]:
    """The `inputs` of the body."""
    body = mapping(request.json())
    require(body, ["inputs"])
    return mappings(body["inputs"], "inputs")


def _attempt(act: Callable[[Mapping[str, Any]], Property], body: Mapping[str, Any]) -> tuple[str, Property | ApiError]:
    name = str(body.get("name"))
    try:
        return name, act(body)
    except ApiError as error:
        return name, error
