"""Stripe's API as Stripe documents it, for customers, products and prices: forms in, JSON out, lists and search,
idempotency keys, restricted keys, rate limits."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from revetl_dbt.sandbox.messages import BadRequest, Request, Response, Router
from revetl_dbt.sandbox.store import Record, Store
from revetl_dbt.sandbox.stripe import errors, pages
from revetl_dbt.sandbox.stripe.errors import ApiError
from revetl_dbt.sandbox.stripe.form import Params, parsed_form
from revetl_dbt.sandbox.stripe.limits import RateLimiter
from revetl_dbt.sandbox.stripe.lists import asked, listed, search, texts
from revetl_dbt.sandbox.stripe.records import VENDOR, Records
from revetl_dbt.sandbox.stripe.schema import KINDS, Kind
from revetl_dbt.sandbox.stripe.values import flat
from revetl_dbt.sandbox.vendor import Failure, ObjectCount, Vendor

API_VERSION = "2026-10-28.endive"
_DAY = 24 * 60 * 60 * 1000  # milliseconds that an answer is kept for its idempotency key


@dataclass(frozen=True)
class StripeOptions:
    """What can be set. Limits are those of a Stripe sandbox and enforced only when asked for."""

    requests_per_second: int = 25
    enforce_limits: bool = False
    search_lag: float = 0.0  # seconds


class Stripe(Vendor):
    """The stand-in for Stripe."""

    name: ClassVar[str] = VENDOR
    title: ClassVar[str] = "Stripe"
    Options: ClassVar[type[Any]] = StripeOptions
    options: StripeOptions

    def __init__(self, store: Store, base_url: str) -> None:
        super().__init__(store, base_url)
        self.records = Records(store)
        self._limiter = RateLimiter(lambda: store.now() / 1000)
        self._account = str(store.setting(f"{VENDOR}:account", lambda: f"acct_{secrets.token_hex(8)}"))
        self._key = str(store.setting(f"{VENDOR}:key", lambda: f"sk_test_{secrets.token_hex(16)}"))
        self._busy: set[str] = set()
        self._busy_lock = threading.Lock()
        self._router = Router()
        self._add_routes()

    # -- keys ----------------------------------------------------------------------------------------

    def account(self) -> str:
        """The account id."""
        return self._account

    def token(self) -> str:
        """A secret key, which may do everything."""
        return self._key

    def add_key(self, permissions: Sequence[str]) -> str:
        """A restricted key with permissions such as `customers:read` and `customers:write`."""
        key = f"rk_test_{secrets.token_hex(16)}"
        self.store.define(VENDOR, "key", key, list(permissions))
        return key

    def _authorize(self, request: Request, permission: str) -> None:
        key = request.bearer() or _basic(request)
        if key is None:
            raise errors.no_key()
        if key == self._key:
            return
        granted = self.store.definitions(VENDOR, "key").get(key)
        if granted is None:
            raise errors.bad_key(key)
        what, _, access = permission.partition(":")
        if permission not in granted and not (access == "read" and f"{what}:write" in granted):
            raise errors.forbidden(key, self._account)

    # -- requests ------------------------------------------------------------------------------------

    def handle(self, request: Request) -> Response:
        """Answer a request as Stripe does."""
        request_id = f"req_{secrets.token_hex(7)}"
        headers = {"Request-Id": request_id, "Stripe-Version": request.headers.get("stripe-version", API_VERSION)}
        try:
            response = self._answer(request, request_id)
        except ApiError as error:
            response = error.response(self._log_url(request_id))
        except BadRequest as error:
            response = ApiError(400, f"Invalid request: {error.detail}").response(self._log_url(request_id))
        response.headers = {**headers, **response.headers}
        return response

    def _answer(self, request: Request, request_id: str) -> Response:
        handler = self._router.find(request)
        if not callable(handler):
            self._authorize(request, "")
            raise errors.unknown_url(request.method, request.path)
        endpoint = f"{request.method} {request.params.get('kind', 'account')} {'id' in request.params}"
        access = "write" if request.method in ("POST", "DELETE") else "read"
        self._authorize(request, f"{request.params.get('kind', 'account')}:{access}")
        if self.options.enforce_limits:
            search = " search" * request.path.rstrip("/").endswith("/search")
            limit = self.options.requests_per_second
            broken = self._limiter.take(endpoint + search, limit, limit)
            if broken:
                raise errors.rate_limited(broken)
        key = request.headers.get("idempotency-key")
        if request.method != "POST" or not key:
            return handler(request)
        with self._busy_lock:
            if key in self._busy:
                raise errors.key_in_use(key)
            self._busy.add(key)
        try:
            return self._once(key, request, request_id, handler)
        finally:
            with self._busy_lock:
                self._busy.discard(key)

    def _once(self, key: str, request: Request, request_id: str, handler: Callable[[Request], Response]) -> Response:
        """Carry a request out, or repeat the answer that its idempotency key had in the last day."""
        fingerprint = hashlib.sha256(b"\0".join((request.path.encode(), request.body))).hexdigest()
        known = self.store.answer(VENDOR, key)
        if known is not None:
            at, first, original = json.loads(known[0])
            if at > self.store.now() - _DAY:
                if first != fingerprint:
                    raise errors.same_key_other_request(key)
                again = {"Idempotent-Replayed": "true", "Original-Request": original, "Idempotency-Key": key}
                return Response(known[1], body=known[2], headers=again)
        with self.store.transaction():
            try:
                response = handler(request)
            except ApiError as error:
                if not error.executed:
                    raise
                response = error.response(self._log_url(request_id))
            if response.content_type.startswith("application/json"):
                mark = json.dumps([self.store.now(), fingerprint, request_id])
                self.store.keep_answer(VENDOR, key, mark, response.status, response.encoded())
        response.headers |= {"Original-Request": request_id, "Idempotency-Key": key}
        return response

    def failure(self, failure: Failure) -> Response:
        """Stripe's own error for a status that a fault rule asks for."""
        request_id = f"req_{secrets.token_hex(7)}"
        if failure.expired or failure.status == 401:
            error = errors.bad_key(self._key, failure.expired)
        elif failure.status == 403:
            error = errors.forbidden(self._key, self._account)
        elif failure.status == 429:
            error = errors.rate_limited(failure.policy or "global-rate")
        elif failure.status == 409:
            error = errors.key_in_use("key")
        else:
            error = errors.server_side(failure.status)
        response = error.response(self._log_url(request_id))
        response.headers["Request-Id"] = request_id
        return response

    def _log_url(self, request_id: str) -> str:
        return f"https://dashboard.stripe.com/{self._account}/test/workbench/logs?object={request_id}"

    def _add_routes(self) -> None:
        one = "/v1/{kind:customers|products|prices}"
        add = self._router.add
        add("GET", "/v1/account", self._details)
        add("GET", one + "/search", lambda request: search(self.records, request, self._searchable_until()))
        add("GET", one, lambda request: listed(self.records, request))
        add("POST", one, self._create)
        add("GET", one + "/{id}", self._get)
        add("POST", one + "/{id}", self._update)
        add("DELETE", "/v1/{kind:customers|products}/{id}", self._delete)

    def _searchable_until(self) -> int:
        return self.store.now() - int(self.options.search_lag * 1000)

    # -- endpoints -----------------------------------------------------------------------------------

    def _details(self, _request: Request) -> Response:
        return Response(
            data={
                "id": self._account,
                "object": "account",
                "business_profile": {"name": "Sandbox", "url": None},
                "charges_enabled": True,
                "country": "US",
                "default_currency": "usd",
                "settings": {"dashboard": {"display_name": "Sandbox", "timezone": "Etc/UTC"}},
                "type": "standard",
            }
        )

    def _create(self, request: Request) -> Response:
        kind, given, expand = self._posted(request)
        refused = _poison(request, given)
        if refused is not None:
            return refused
        return self._shown(kind, self.records.create(kind, given), expand)

    def _update(self, request: Request) -> Response:
        kind, given, expand = self._posted(request)
        refused = _poison(request, given)
        if refused is not None:
            return refused
        return self._shown(kind, self.records.update(kind, request.params["id"], given), expand)

    def _posted(self, request: Request) -> tuple[Kind, Params, list[str]]:
        request.records = 1
        given = parsed_form(request.body)
        return KINDS[request.params["kind"]], given, texts(given.pop("expand", []))

    def _get(self, request: Request) -> Response:
        kind = KINDS[request.params["kind"]]
        expand = texts(asked(request).get("expand", []))
        return self._shown(kind, self.records.get(kind, request.params["id"]), expand)

    def _delete(self, request: Request) -> Response:
        kind = KINDS[request.params["kind"]]
        request.records = 1
        return self._shown(kind, self.records.delete(kind, request.params["id"]), [])

    def _shown(self, kind: Kind, record: Record, expand: Sequence[str]) -> Response:
        return Response(data=self.records.shown(kind, record, expand))

    # -- pages ---------------------------------------------------------------------------------------

    def objects(self) -> list[ObjectCount]:
        """Customers, products and prices with their number."""
        counts = self.store.counts(VENDOR)
        return [ObjectCount(kind.name, kind.title, *counts.get(kind.name, (0, 0))) for kind in KINDS.values()]

    def page(self, request: Request) -> Response:
        """A list of records, or one of them."""
        return pages.page(self.store, request)

    def reload(self) -> None:
        """Build the index anew."""
        self.records.reload()

    def reset(self) -> None:
        """Forget the index and the requests of this second."""
        self._limiter.reset()
        self.records.reload()


def _poison(request: Request, given: Params) -> Response | None:
    """The refusal that a fault rule asks for."""
    poisoned = request.poisoned(flat(given))
    if poisoned is None:
        return None
    if poisoned.whole_batch:
        return errors.front_door()
    raise ApiError(400, poisoned.message)


def _basic(request: Request) -> str | None:
    """The key as the user name of basic authentication, as Stripe takes it too."""
    scheme, _, coded = request.headers.get("authorization", "").partition(" ")
    try:
        user = base64.b64decode(coded, validate=True).decode().partition(":")[0] if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user or None
