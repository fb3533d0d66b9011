"""Zendesk's Support API as Zendesk documents it: users, organizations, memberships, tickets, tags, custom objects and
fields, background jobs, OAuth.

Paths may end in `.json`, as in Zendesk's own examples.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, ClassVar

from revetl_dbt.sandbox.messages import BadRequest, Request, Response, Router
from revetl_dbt.sandbox.store import Store
from revetl_dbt.sandbox.vendor import Failure, ObjectCount, Vendor
from revetl_dbt.sandbox.zendesk import errors, pages
from revetl_dbt.sandbox.zendesk.account import VENDOR, Account
from revetl_dbt.sandbox.zendesk.definitions import Definitions
from revetl_dbt.sandbox.zendesk.endpoints import Endpoints
from revetl_dbt.sandbox.zendesk.errors import ApiError
from revetl_dbt.sandbox.zendesk.jobs import Jobs
from revetl_dbt.sandbox.zendesk.limits import RateLimiter
from revetl_dbt.sandbox.zendesk.login import Login
from revetl_dbt.sandbox.zendesk.many import Bulk
from revetl_dbt.sandbox.zendesk.members import Members
from revetl_dbt.sandbox.zendesk.options import ZendeskOptions
from revetl_dbt.sandbox.zendesk.records import Records

_KEPT = 2 * 3600.0  # seconds that an idempotency key is known


class Zendesk(Vendor):
    """The stand-in for Zendesk."""

    name: ClassVar[str] = VENDOR
    title: ClassVar[str] = "Zendesk"
    Options: ClassVar[type[Any]] = ZendeskOptions
    options: ZendeskOptions

    def __init__(self, store: Store, base_url: str) -> None:
        super().__init__(store, base_url)
        self.desk = Account(store)
        self.records = Records(self.desk)
        self.jobs = Jobs(store, self.desk.url)
        self.jobs.polls = self.options.job_polls
        self._login = Login(store)
        self._limiter = RateLimiter(lambda: store.now() / 1000)
        self._router = Router()
        self._router.add("GET", "/api/v2/users/me", self._me)
        for part in (
            Bulk(self.desk, self.records, self.jobs, self._check_imports),
            Members(self.records.memberships, self.jobs),
            Endpoints(self.desk, self.records, self._check_user),
            Definitions(self.desk),
        ):
            part.add_routes(self._router)

    def configure(self, changes: dict[str, Any]) -> None:
        """Change options; see ZendeskOptions."""
        super().configure(changes)
        self.jobs.polls = self.options.job_polls

    def load_setup(self, path: Path) -> None:
        """Define what a YAML file lists: custom fields and custom objects."""
        self.desk.load_setup(path)

    def token(self) -> str:
        """The secret of the OAuth client `sandbox`, and an API token."""
        return self._login.secret

    def account(self) -> str:
        """The subdomain."""
        return self.desk.subdomain

    # -- requests --------------------------------------------------------------------------------

    def handle(self, request: Request) -> Response:
        """Answer a request as Zendesk does."""
        request.path = request.path.removesuffix(".json")
        headers: dict[str, str] = {}
        try:
            if request.path == "/oauth/tokens" and request.method == "POST":
                return self._login.token(request, self.options.token_seconds)
            self._login.check(request)
            wait, headers = self._limiter.take(self.options.per_minute)
            if wait and self.options.enforce_limits:
                raise errors.rate_limited(wait)
            response = self._routed(request)
        except ApiError as error:
            response = error.response()
        except BadRequest:
            text = "Server could not parse JSON"
            response = ApiError(422, {"error": "Unprocessable Entity", "message": text}).response()
        response.headers = {**headers, **response.headers}
        return response

    def _routed(self, request: Request) -> Response:
        handler = self._router.find(request)
        if not callable(handler):
            raise errors.no_endpoint()
        key = request.headers.get("idempotency-key")
        if key and (request.method, request.path) == ("POST", "/api/v2/tickets"):
            return self._once(key, request)
        return handler(request)

    def _once(self, key: str, request: Request) -> Response:
        """A ticket is created once for an idempotency key, which is known for two hours."""
        fingerprint = hashlib.sha256(request.body).hexdigest()
        known = self.store.answer(VENDOR, key)
        at, now = self.store.setting(f"zendesk:key:{key}"), self.store.now() / 1000
        if known is not None and now - float(at or now) < _KEPT:
            if known[0] != fingerprint:
                text = "Request parameters don't match the given idempotency key"
                raise ApiError(400, {"error": "IdempotentRequestError", "description": text})
            return Response(known[1], body=known[2], headers={"x-idempotency-lookup": "hit"})
        handler = self._router.find(request)
        assert callable(handler)
        with self.store.transaction():
            response = handler(request)
            self.store.keep_answer(VENDOR, key, fingerprint, response.status, response.encoded())
            self.store.set_setting(f"zendesk:key:{key}", now)
        response.headers["x-idempotency-lookup"] = "miss"
        return response

    def _me(self, _request: Request) -> Response:
        user = {"id": 1, "name": "Sandbox", "role": "admin", "active": True, "url": self.desk.url("users/1")}
        return Response(data={"user": user})

    def _check_imports(self) -> None:
        if not self.options.bulk_imports:
            raise errors.forbidden("Bulk imports of users are not enabled for this account")

    def _check_user(self, user_id: str) -> None:
        wait = self._limiter.take_user(user_id)
        if wait and self.options.enforce_limits:
            raise errors.user_rate_limited(wait)

    def failure(self, failure: Failure) -> Response:
        """Zendesk's own error for a status that a fault rule asks for."""
        if failure.expired:
            error = errors.expired_token()
        elif failure.status == 429:
            limits = {"user": errors.user_rate_limited(27), "jobs": errors.too_many_jobs()}
            error = limits.get(failure.policy or "", errors.rate_limited(30))
        elif failure.status == 401:
            error = errors.unauthenticated()
        elif failure.status == 403:
            error = errors.forbidden()
        else:
            error = errors.server_side(failure.status)
        return error.response()

    # -- pages -----------------------------------------------------------------------------------

    def objects(self) -> list[ObjectCount]:
        """All objects with their number of records."""
        counts = self.store.counts(VENDOR)
        return [ObjectCount(kind.name, kind.title, *counts.get(kind.name, (0, 0))) for kind in self.desk.kinds()]

    def page(self, request: Request) -> Response:
        """A list of records or one record."""
        return pages.page(self.desk, self.records, request)

    def reload(self) -> None:
        """Read the definitions again."""
        self.desk.reload()

    def reset(self) -> None:
        """Start the rate limit windows anew; no job is running any more."""
        self._limiter.reset()
        self.jobs.reset()
