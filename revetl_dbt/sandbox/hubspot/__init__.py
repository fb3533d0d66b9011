"""HubSpot's CRM API as HubSpot documents it: objects in batches and one at a time, search, properties, schemas,
account details.

Paths exist as v3 and with a date as the version, as in `/crm/v3/objects/contacts` and `/crm/objects/2026-03/contacts`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import available_timezones

from revetl_dbt.errors import SandboxError
from revetl_dbt.sandbox.hubspot import errors, pages
from revetl_dbt.sandbox.hubspot.account import VENDOR, Account
from revetl_dbt.sandbox.hubspot.batch import Endpoints
from revetl_dbt.sandbox.hubspot.definitions import Definitions, account_details
from revetl_dbt.sandbox.hubspot.errors import ApiError
from revetl_dbt.sandbox.hubspot.limits import RateLimiter
from revetl_dbt.sandbox.hubspot.objects import ObjectType
from revetl_dbt.sandbox.hubspot.records import Records
from revetl_dbt.sandbox.hubspot.search import search
from revetl_dbt.sandbox.hubspot.values import moment_text
from revetl_dbt.sandbox.messages import BadRequest, Request, Response, Router
from revetl_dbt.sandbox.store import Store
from revetl_dbt.sandbox.vendor import Failure, ObjectCount, Vendor

VERSIONS = ("v3", "2025-09", "2026-03", "2026-09")
_ANY = "|".join(VERSIONS)
_OBJECTS = "/{base:crm/v3/objects|crm/objects/(?:" + _ANY + ")}/{type}"
_ONE = _OBJECTS + "/{id}"

Endpoint = Callable[[ObjectType, Request], Response]


@dataclass(frozen=True)
class HubSpotOptions:
    """What can be set. Limits are those of a Professional account and enforced only when asked for."""

    ten_seconds: int = 190
    daily: int = 650_000
    searches_per_second: int = 5
    enforce_limits: bool = False
    search_lag: float = 0.0  # seconds
    shuffle: bool = True  # batch results in another order than the inputs
    time_zone: str = "UTC"


class HubSpot(Vendor):
    """The stand-in for HubSpot."""

    name: ClassVar[str] = VENDOR
    title: ClassVar[str] = "HubSpot"
    Options: ClassVar[type[Any]] = HubSpotOptions
    options: HubSpotOptions

    def __init__(self, store: Store, base_url: str) -> None:
        super().__init__(store, base_url)
        self.hub = Account(store)
        self.records = Records(self.hub)
        self._limiter = RateLimiter(lambda: store.now() / 1000)
        self._endpoints = Endpoints(self.hub, self.records, base_url)
        self._endpoints.shuffle = self.options.shuffle
        self._token = str(store.setting(f"{VENDOR}:token", lambda: f"pat-na1-{uuid.uuid4()}"))
        self._router = Router()
        self._add_routes()

    def configure(self, changes: dict[str, Any]) -> None:
        """Change options; see HubSpotOptions."""
        zone = str(changes.get("time_zone", "UTC"))
        if zone != "UTC" and zone not in available_timezones():
            raise SandboxError(f"There is no time zone `{zone}` on this machine")
        super().configure(changes)
        self._endpoints.shuffle = self.options.shuffle

    def load_setup(self, path: Path) -> None:
        """Define what a YAML file lists under `objects` and `properties`."""
        self.hub.load_setup(path)

    # -- tokens ----------------------------------------------------------------------------------

    def account(self) -> str:
        """The portal id."""
        return str(self.hub.id)

    def token(self) -> str:
        """A token that may do everything."""
        return self._token

    def add_token(self, scopes: Sequence[str]) -> str:
        """A further token that has only some scopes, such as `crm.objects.contacts.read`."""
        token = f"pat-na1-{uuid.uuid4()}"
        self.store.define(VENDOR, "token", token, list(scopes))
        return token

    def _authorize(self, request: Request, needed: Sequence[str]) -> None:
        token = request.bearer()
        if token == self._token:
            return
        granted = self.store.definitions(VENDOR, "token").get(token or "")
        if granted is None:
            raise errors.unauthenticated()
        if needed and not set(needed) & set(granted):
            raise errors.missing_scopes(needed)

    # -- requests --------------------------------------------------------------------------------

    def handle(self, request: Request) -> Response:
        """Answer a request as HubSpot does."""
        correlation = str(uuid.uuid4())
        headers: dict[str, str] = {}
        try:
            self._authorize(request, ())
            policy, headers = self._count(request)
            if policy and self.options.enforce_limits:
                raise errors.rate_limited(policy)
            handler = self._router.find(request)
            if callable(handler):
                response = handler(request)
            elif handler:
                raise ApiError(405, "HTTP 405 Method Not Allowed", None)
            else:
                response = errors.html_not_found()
        except ApiError as error:
            response = error.response(correlation)
        except BadRequest as error:
            text = f"Invalid input JSON on line {error.line}, column {error.column}: {error.detail}"
            response = ApiError(400, text, None).response(correlation)
        response.headers |= {**headers, "X-HubSpot-Correlation-Id": correlation}
        return response

    def _count(self, request: Request) -> tuple[str | None, dict[str, str]]:
        o = self.options
        search_call = request.path.rstrip("/").endswith("/search")
        return self._limiter.take(search_call, o.ten_seconds, o.daily, o.searches_per_second, o.time_zone)

    def failure(self, failure: Failure) -> Response:
        """HubSpot's own error for a status that a fault rule asks for."""
        if failure.expired:
            error = errors.expired_token(moment_text(self.store.now() - 7000))
        elif failure.status == 429:
            error = errors.rate_limited(failure.policy or "TEN_SECONDLY_ROLLING")
        elif failure.status == 401:
            error = errors.unauthenticated()
        elif failure.status == 403:
            error = errors.missing_scopes(["crm.objects.contacts.write"])
        else:
            error = errors.server_side(failure.status)
        return error.response(str(uuid.uuid4()))

    def _add_routes(self) -> None:
        ends, add = self._endpoints, self._object_route
        add("POST", _OBJECTS + "/batch/create", "write", ends.create)
        add("POST", _OBJECTS + "/batch/update", "write", ends.update)
        add("POST", _OBJECTS + "/batch/upsert", "write", ends.upsert)
        add("POST", _OBJECTS + "/batch/archive", "write", ends.archive)
        add("POST", _OBJECTS + "/batch/read", "read", ends.read)
        add(
            "POST",
            _OBJECTS + "/search",
            "read",
            lambda kind, request: search(self.hub, self.base_url, kind, request, self.options.search_lag),
        )
        add("GET", _OBJECTS, "read", ends.page)
        add("POST", _OBJECTS, "write", ends.create_one)
        add("GET", _ONE, "read", ends.get_one)
        add("PATCH", _ONE, "write", ends.update_one)
        add("DELETE", _ONE, "write", ends.delete_one)
        Definitions(self.hub, self._authorize).add_routes(self._router, _ANY)
        self._router.add("GET", "/account-info/{version:" + _ANY + "}/details", self._details)

    def _object_route(self, method: str, pattern: str, access: str, endpoint: Endpoint) -> None:
        def handler(request: Request) -> Response:
            kind = self.hub.kind(request.params["type"])
            self._authorize(request, kind.scopes(access))
            return endpoint(kind, request)

        self._router.add(method, pattern, handler)

    def _details(self, _request: Request) -> Response:
        return Response(data=account_details(self.hub.id, self.options.time_zone, self.store.now()))

    # -- pages -----------------------------------------------------------------------------------

    def objects(self) -> list[ObjectCount]:
        """All objects with their number of records."""
        counts = self.store.counts(VENDOR)
        return [ObjectCount(kind.key, kind.plural, *counts.get(kind.key, (0, 0))) for kind in self.hub.kinds()]

    def page(self, request: Request) -> Response:
        """A list of records or one record's card."""
        return pages.page(self.hub, request)

    def reload(self) -> None:
        """Read the definitions again."""
        self.hub.reload()

    def reset(self) -> None:
        """Start the rate limit windows anew."""
        self._limiter.reset()
