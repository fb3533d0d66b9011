"""Intercom's REST API as its OpenAPI description and reference have it (2.16, and the jobs of the Preview version):
contacts, companies, tags, events, data attributes, instances of custom objects.
"""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from revetl_dbt.sandbox.intercom import errors, pages
from revetl_dbt.sandbox.intercom.attributes import VENDOR
from revetl_dbt.sandbox.intercom.bulk import Jobs
from revetl_dbt.sandbox.intercom.companies import Companies
from revetl_dbt.sandbox.intercom.contacts import Contacts
from revetl_dbt.sandbox.intercom.custom_objects import CustomObjects
from revetl_dbt.sandbox.intercom.errors import ApiError
from revetl_dbt.sandbox.intercom.events import Events
from revetl_dbt.sandbox.intercom.limits import RateLimiter
from revetl_dbt.sandbox.intercom.tags import Tags
from revetl_dbt.sandbox.intercom.workspace import Workspace
from revetl_dbt.sandbox.messages import BadRequest, Request, Response, Router
from revetl_dbt.sandbox.store import Store
from revetl_dbt.sandbox.vendor import Failure, ObjectCount, Vendor

VERSIONS = frozenset({*(f"1.{n}" for n in range(5)), *(f"2.{n}" for n in range(18)), "preview", "unstable"})
_REGIONS = {"us": "US", "eu": "EU", "au": "AU"}


@dataclass(frozen=True)
class IntercomOptions:
    """What can be set. The rate limit is that of a private app and enforced only when asked for."""

    ten_seconds: int = 1667
    enforce_limits: bool = False
    search_lag: float = 0.0  # seconds until a search finds a new contact
    job_polls: int = 1  # how often a job is still running when it is asked for
    region: str = "us"


class Intercom(Vendor):
    """The stand-in for Intercom."""

    name: ClassVar[str] = VENDOR
    title: ClassVar[str] = "Intercom"
    Options: ClassVar[type[Any]] = IntercomOptions
    options: IntercomOptions

    def __init__(self, store: Store, base_url: str) -> None:
        super().__init__(store, base_url)
        self.workspace = Workspace(store)
        self._contacts = Contacts(self.workspace)
        companies = Companies(self.workspace, self._contacts)
        self._jobs = Jobs(store, base_url, self._contacts, companies)
        self._limiter = RateLimiter(lambda: store.now() / 1000)
        self._token = str(store.setting(f"{VENDOR}:token", lambda: f"dG9rO{secrets.token_urlsafe(36)}"))
        self._router = Router()
        self._router.add("GET", "/me", self._me)
        self._jobs.add_routes(self._router)
        for part in (
            self._contacts,
            companies,
            Tags(self.workspace, self._contacts, companies),
            Events(self.workspace),
        ):
            part.add_routes(self._router)
        self.workspace.attributes.add_routes(self._router)
        CustomObjects(self.workspace).add_routes(self._router)
        self._apply()

    def configure(self, changes: dict[str, Any]) -> None:
        """Change options; see IntercomOptions."""
        super().configure(changes)
        self._apply()

    def _apply(self) -> None:
        self._contacts.lag = self.options.search_lag
        self._jobs.polls = self.options.job_polls

    def load_setup(self, path: Path) -> None:
        """Define what a YAML file lists under `attributes` and `custom_objects`."""
        self.workspace.attributes.load(path)

    def token(self) -> str:
        """A token that may do everything."""
        return self._token

    def account(self) -> str:
        """The workspace's id."""
        return self.workspace.id

    # -- requests --------------------------------------------------------------------------------

    def handle(self, request: Request) -> Response:
        """Answer a request as Intercom does."""
        headers: dict[str, str] = {}
        try:
            if request.bearer() != self._token:
                raise errors.unauthorized()
            within = self._limiter.take(self.options.ten_seconds)
            headers = self._limiter.headers(self.options.ten_seconds)
            if not within and self.options.enforce_limits:
                raise errors.rate_limited(self.options.ten_seconds)
            response = self._answered(request)
        except ApiError as error:
            response = error.response(str(uuid.uuid4()))
        except BadRequest as error:
            response = ApiError(400, "parameter_invalid", f"invalid JSON: {error.detail}").response(str(uuid.uuid4()))
        response.headers |= headers
        return response

    def _answered(self, request: Request) -> Response:
        accepted = request.headers.get("accept", "")
        if not any(kind in accepted for kind in ("application/json", "application/*", "*/*")):
            raise ApiError(
                406, "media_type_not_acceptable", "The Accept header should send a media type of application/json"
            )
        version = request.headers.get("intercom-version")
        if version is not None and version.lower() not in VERSIONS:
            raise ApiError(400, "intercom_version_invalid", "The requested version could not be found")
        handler = self._router.find(request)
        if not callable(handler):
            raise errors.no_resource()
        return handler(request)

    def failure(self, failure: Failure) -> Response:
        """Intercom's own error for a status that a fault rule asks for."""
        headers: dict[str, str] = {}
        if failure.expired:
            error = errors.expired_token()
        elif failure.status == 429:
            error = errors.rate_limited(self.options.ten_seconds)
            headers = self._limiter.headers(self.options.ten_seconds, remaining=0)
        elif failure.status == 401:
            error = errors.unauthorized()
        else:
            error = errors.of_status(failure.status)
        response = error.response(str(uuid.uuid4()))
        response.headers |= headers
        return response

    def _me(self, _request: Request) -> Response:
        app = {
            "type": "app",
            "id_code": self.workspace.id,
            "name": "Sandbox",
            "created_at": 1_700_000_000,
            "secure": False,
            "identity_verification": False,
            "timezone": "UTC",
            "region": _REGIONS.get(self.options.region, "US"),
        }
        admin = {"type": "admin", "id": "1295", "email": "admin@example.com", "name": "Sandbox", "email_verified": True}
        return Response(data={**admin, "app": app, "has_inbox_seat": True})

    # -- pages -----------------------------------------------------------------------------------

    def objects(self) -> list[ObjectCount]:
        """All objects with their number of records."""
        counts = self.store.counts(VENDOR)
        return [ObjectCount(name, title, *counts.get(name, (0, 0))) for name, title in pages.kinds(self.workspace)]

    def page(self, request: Request) -> Response:
        """A list of records or one record."""
        return pages.page(self.workspace, request)

    def reset(self) -> None:
        """Start the rate limit window anew."""
        self._limiter.reset()
