"""HubSpot's API as HubSpot documents it: objects in batches and one at a time, search, associations, properties,
schemas, static lists, custom events, OAuth tokens, account details.

Paths exist as v3 and with a date as the version, as in `/crm/v3/objects/contacts` and `/crm/objects/2026-03/contacts`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import available_timezones

from revetl_dbt.errors import SandboxError
from revetl_dbt.sandbox.hubspot import errors, pages
from revetl_dbt.sandbox.hubspot.account import VENDOR, Account
from revetl_dbt.sandbox.hubspot.association_api import AssociationEndpoints
from revetl_dbt.sandbox.hubspot.associations import Associations
from revetl_dbt.sandbox.hubspot.batch import Endpoints
from revetl_dbt.sandbox.hubspot.definitions import Definitions, account_details
from revetl_dbt.sandbox.hubspot.errors import ApiError
from revetl_dbt.sandbox.hubspot.events import EventEndpoints, Events
from revetl_dbt.sandbox.hubspot.limits import RateLimiter
from revetl_dbt.sandbox.hubspot.lists import ListEndpoints, Lists
from revetl_dbt.sandbox.hubspot.objects import ObjectType
from revetl_dbt.sandbox.hubspot.records import Records
from revetl_dbt.sandbox.hubspot.search import search
from revetl_dbt.sandbox.hubspot.tokens import OAuthClient, Tokens
from revetl_dbt.sandbox.hubspot.values import moment_text
from revetl_dbt.sandbox.messages import BadRequest, Request, Response, Router
from revetl_dbt.sandbox.store import Store
from revetl_dbt.sandbox.vendor import Failure, ObjectCount, Vendor

VERSIONS = ("v3", "2025-09", "2026-03", "2026-09")
_ANY = "|".join(VERSIONS)
_OBJECTS = "/{base:crm/v3/objects|crm/objects/(?:" + _ANY + ")}/{type}"
_ONE = _OBJECTS + "/{id}"
_PAIR = "/{base:crm/v4/associations|crm/associations/(?:" + _ANY + ")}/{type}/{other_type}"
_LINKS = "/{base:crm/v4/objects|crm/objects/(?:" + _ANY + ")}/{type}/{id}/associations"
_LISTS = "/{base:crm/v3/lists|crm/lists/(?:" + _ANY + ")}"
_EVENTS = "/events/{version:" + _ANY + "}"
_TOKEN = re.compile(f"/oauth/(v1|{_ANY})/token")

Endpoint = Callable[[ObjectType, Request], Response]
PairEndpoint = Callable[[ObjectType, ObjectType, Request], Response]


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
        self.associations = Associations(self.hub)
        self.lists = Lists(self.hub)
        self.events = Events(self.hub, self.records)
        self.hub.sections = {"labels": self._load_label, "lists": self._load_list, "events": self._load_event}
        self._tokens = Tokens(store, self.hub.id)
        self._limiter = RateLimiter(lambda: store.now() / 1000)
        self._endpoints = Endpoints(self.hub, self.records, self.associations, base_url)
        self._endpoints.shuffle = self.options.shuffle
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
        """Define what a YAML file lists under `objects`, `properties`, `labels`, `lists` and `events`."""
        self.hub.load_setup(path)

    def _load_label(self, body: Mapping[str, Any]) -> None:
        kind, other = self.hub.kind(str(body.get("from"))), self.hub.kind(str(body.get("to")))
        if str(body.get("label")) not in {found.label for found in self.associations.types(kind, other)}:
            self.associations.create_label(kind, other, str(body.get("label")), body.get("inverseLabel"))

    def _load_list(self, body: Mapping[str, Any]) -> None:
        if str(body.get("listId")) not in self.lists.all():
            self.lists.define(body)

    def _load_event(self, body: Mapping[str, Any]) -> None:
        if body.get("name") not in {event["name"] for event in self.events.all().values()}:
            self.events.define(body)

    # -- tokens ----------------------------------------------------------------------------------

    def account(self) -> str:
        """The portal id."""
        return str(self.hub.id)

    def token(self) -> str:
        """A token that may do everything."""
        return self._tokens.master

    def add_token(self, scopes: Sequence[str]) -> str:
        """A further token that has only some scopes, such as `crm.objects.contacts.read`."""
        return self._tokens.add(scopes)

    def oauth_client(self) -> OAuthClient:
        """An app with a refresh token that gives tokens for everything."""
        return self._tokens.client()

    # -- requests --------------------------------------------------------------------------------

    def handle(self, request: Request) -> Response:
        """Answer a request as HubSpot does."""
        correlation = str(uuid.uuid4())
        headers: dict[str, str] = {}
        try:
            if _TOKEN.fullmatch(request.path) and request.method == "POST":
                return self._tokens.refresh(request)
            self._tokens.authorize(request, ())
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
        if "/send" in request.path and request.path.startswith("/events/"):
            return None, {}  # `x-hubspot-rate-limit-exemptions` of the OpenAPI description
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
        add("POST", _OBJECTS + "/gdpr-delete", "write", ends.erase)
        self._add_pair_routes()
        self._add_other_routes()
        Definitions(self.hub, self._tokens.authorize).add_routes(self._router, _ANY)
        self._router.add("GET", "/account-info/{version:" + _ANY + "}/details", self._details)

    def _add_pair_routes(self) -> None:
        ends, add = AssociationEndpoints(self.associations), self._pair_route
        add("POST", _PAIR + "/batch/create", ends.create)
        add("POST", _PAIR + "/batch/associate/default", ends.associate)
        add("POST", _PAIR + "/batch/archive", ends.archive)
        add("POST", _PAIR + "/batch/labels/archive", ends.archive_labels)
        add("POST", _PAIR + "/batch/read", ends.read)
        add("GET", _PAIR + "/labels", ends.labels)
        add("POST", _PAIR + "/labels", ends.create_label)
        add("PUT", _LINKS + "/default/{other_type}/{other}", ends.put_default)
        add("PUT", _LINKS + "/{other_type}/{other}", ends.put)
        add("DELETE", _LINKS + "/{other_type}/{other}", ends.delete)
        add("GET", _LINKS + "/{other_type}", ends.page)

    def _pair_route(self, method: str, pattern: str, endpoint: PairEndpoint) -> None:
        def handler(request: Request) -> Response:
            kind, other = self.hub.kind(request.params["type"]), self.hub.kind(request.params["other_type"])
            access = "read" if method == "GET" or pattern.endswith("/batch/read") else "write"
            self._tokens.authorize(request, [*kind.scopes(access), *other.scopes(access)])
            return endpoint(kind, other, request)

        self._router.add(method, pattern, handler)

    def _add_other_routes(self) -> None:
        lists, events, add = ListEndpoints(self.lists), EventEndpoints(self.events), self._scoped_route
        member = _LISTS + "/{list}/memberships"
        add("POST", _LISTS, "crm.lists.write", lists.create)
        add("GET", _LISTS + "/records/{type}/{id}/memberships", "crm.lists.read", lists.of_record)
        add("POST", _LISTS + "/records/memberships/batch/read", "crm.lists.read", lists.of_records)
        add("GET", _LISTS + "/{list}", "crm.lists.read", lists.get)
        add("GET", member, "crm.lists.read", lists.members)
        add("PUT", member + "/add", "crm.lists.write", lists.add)
        add("PUT", member + "/remove", "crm.lists.write", lists.remove)
        add("PUT", member + "/add-and-remove", "crm.lists.write", lists.add_and_remove)
        defining = "behavioral_events.event_definitions.read_write"
        add("POST", _EVENTS + "/send", "analytics.behavioral_events.send", events.send)
        add("POST", _EVENTS + "/send/batch", "analytics.behavioral_events.send", events.send_batch)
        add("POST", _EVENTS + "/event-definitions", defining, events.create)
        add("GET", _EVENTS + "/event-definitions/{name}", defining, events.get)
        add("POST", _EVENTS + "/event-definitions/{name}/property", defining, events.create_property)

    def _scoped_route(self, method: str, pattern: str, scope: str, endpoint: Callable[[Request], Response]) -> None:
        def handler(request: Request) -> Response:
            self._tokens.authorize(request, [scope])
            return endpoint(request)

        self._router.add(method, pattern, handler)

    def _object_route(self, method: str, pattern: str, access: str, endpoint: Endpoint) -> None:
        def handler(request: Request) -> Response:
            kind = self.hub.kind(request.params["type"])
            self._tokens.authorize(request, kind.scopes(access))
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
        return pages.page(self.hub, pages.Around(self.associations, self.lists, self.events), request)

    def reload(self) -> None:
        """Read the definitions again."""
        self.hub.reload()

    def reset(self) -> None:
        """Start the rate limit windows anew."""
        self._limiter.reset()
