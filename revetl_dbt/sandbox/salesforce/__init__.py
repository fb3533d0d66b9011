"""Salesforce's REST API and Bulk API 2.0 as Salesforce documents them: OAuth, objects, collections, queries, jobs."""

from __future__ import annotations

import re
import secrets
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from revetl_dbt.sandbox.messages import Request, Response, Router
from revetl_dbt.sandbox.salesforce import errors, pages
from revetl_dbt.sandbox.salesforce.bulk import RESULTS, Jobs
from revetl_dbt.sandbox.salesforce.collections import Collections
from revetl_dbt.sandbox.salesforce.errors import ApiError
from revetl_dbt.sandbox.salesforce.oauth import Sessions
from revetl_dbt.sandbox.salesforce.org import VENDOR, Org
from revetl_dbt.sandbox.salesforce.records import Records
from revetl_dbt.sandbox.salesforce.rows import SingleRows
from revetl_dbt.sandbox.salesforce.soql import Query
from revetl_dbt.sandbox.store import Store
from revetl_dbt.sandbox.vendor import Failure, ObjectCount, Vendor

PAGE_ROWS = 2000
_DAY_MS = 86_400_000
_MAX_URL = 16_384
_DATA = "/services/data/{version:v\\d+\\.\\d}"


@dataclass(frozen=True)
class SalesforceOptions:
    """What can be set. Limits are those of a Developer org and enforced only when asked for."""

    daily_requests: int = 15_000
    enforce_limits: bool = False
    token_seconds: float = 7200.0
    job_seconds: float = 0.0  # that a bulk job takes
    daily_batches: int = 15_000
    may_erase: bool = True  # the permission "Bulk API Hard Delete"
    shuffle: bool = True  # results of jobs in another order than the rows
    duplicate_rule: bool = False  # one that alerts when a person's address is known
    assignment_rule: bool = False  # one that gives leads and cases to a queue
    public_key: str = ""  # PEM of who may log in with a JWT


class Salesforce(Vendor):
    """The stand-in for Salesforce."""

    name: ClassVar[str] = VENDOR
    title: ClassVar[str] = "Salesforce"
    Options: ClassVar[type[Any]] = SalesforceOptions
    options: SalesforceOptions

    def __init__(self, store: Store, base_url: str) -> None:
        super().__init__(store, base_url)
        self.org = Org(store)
        self.records = Records(self.org)
        self.sessions = Sessions(self.org, f"{base_url}/{VENDOR}")
        self.jobs = Jobs(self.org, self.records)
        self._lock = threading.Lock()
        self._recent: deque[int] = deque()
        self._router = Router()
        self._add_routes()
        self._set_options()

    def configure(self, changes: dict[str, Any]) -> None:
        """Change options; see SalesforceOptions."""
        super().configure(changes)
        self._set_options()

    def _set_options(self) -> None:
        o = self.options
        self.sessions.seconds, self.sessions.public_key = o.token_seconds, o.public_key
        self.records.duplicate_rule, self.records.assignment_rule = o.duplicate_rule, o.assignment_rule
        self.jobs.seconds, self.jobs.daily_batches = o.job_seconds, o.daily_batches
        self.jobs.may_erase, self.jobs.shuffle = o.may_erase, o.shuffle

    def load_setup(self, path: Path) -> None:
        """Define what a YAML file lists under `objects` and `fields`."""
        self.org.load_setup(path)

    def account(self) -> str:
        """The id of the org."""
        return self.org.id

    def token(self) -> str:
        """The consumer secret of the app `revetl`."""
        return self.sessions.secret

    # -- requests --------------------------------------------------------------------------------

    def handle(self, request: Request) -> Response:
        """Answer a request as Salesforce does."""
        headers: dict[str, str] = {}
        try:
            if request.path.startswith("/services/oauth2/"):
                return self._open(request)
            self.sessions.authorize(request)
            headers = self._count()
            if len(request.full_path) + sum(len(v) for values in request.query.values() for v in values) > _MAX_URL:
                raise ApiError(414, "URI_TOO_LONG", "URI Too Long")
            response = self._routed(request)
        except ApiError as error:
            response = error.response()
        response.headers |= headers
        return response

    def _open(self, request: Request) -> Response:
        if request.path.rstrip("/") != "/services/oauth2/token":
            return errors.not_found().response()
        if request.method != "POST":
            return errors.oauth_error("invalid_request", "must use HTTP POST")
        return self.sessions.grant(request)

    def _routed(self, request: Request) -> Response:
        handler = self._router.find(request)
        if callable(handler):
            return handler(request)
        if handler:
            text = f"HTTP Method '{request.method}' not allowed. Allowed are {','.join(dict.fromkeys(handler))}"
            raise ApiError(405, "METHOD_NOT_ALLOWED", text)
        raise errors.not_found()

    def _count(self) -> dict[str, str]:
        """Count a request in the rolling 24 hours. Raises ApiError when they are used up and that matters."""
        now, limit = self.store.now(), self.options.daily_requests
        with self._lock:
            while self._recent and self._recent[0] <= now - _DAY_MS:
                self._recent.popleft()
            if self.options.enforce_limits and len(self._recent) >= limit:
                raise errors.limit_exceeded("DAILY")
            self._recent.append(now)
            return {"Sforce-Limit-Info": f"api-usage={len(self._recent)}/{limit}"}

    def failure(self, failure: Failure) -> Response:
        """Salesforce's own error for a status that a fault rule asks for; it has no 429."""
        if failure.expired or failure.status == 401:
            return errors.no_session().response()
        if failure.status == 429:
            return errors.limit_exceeded(failure.policy).response()
        if failure.status == 403:
            text = "insufficient access rights on cross-reference id"
            return ApiError(403, "INSUFFICIENT_ACCESS", text).response()
        return errors.server_side(failure.status).response()

    def _add_routes(self) -> None:
        several, one, jobs = Collections(self.org, self.records), SingleRows(self.org, self.records), self.jobs
        self._add("POST", "/composite/sobjects", several.create)
        self._add("PATCH", "/composite/sobjects", several.update)
        self._add("DELETE", "/composite/sobjects", several.delete)
        self._add("GET", "/composite/sobjects/{object}", several.read)
        self._add("PATCH", "/composite/sobjects/{object}/{field}", several.upsert)
        self._add("GET", "/sobjects", one.all)
        self._add("GET", "/sobjects/{object}", one.about)
        self._add("POST", "/sobjects/{object}", one.create)
        self._add("GET", "/sobjects/{object}/describe", one.describe)
        self._add("GET", "/sobjects/{object}/{id}", one.get)
        self._add("PATCH", "/sobjects/{object}/{id}", one.update)
        self._add("DELETE", "/sobjects/{object}/{id}", one.delete)
        self._add("GET", "/sobjects/{object}/{field}/{value}", one.get_by)
        self._add("PATCH", "/sobjects/{object}/{field}/{value}", one.upsert)
        self._add("POST", "/tooling/sobjects/CustomField", one.create_field)
        self._add("POST", "/jobs/ingest", jobs.create)
        self._add("GET", "/jobs/ingest", jobs.all)
        self._add("GET", "/jobs/ingest/{job}", jobs.info)
        self._add("PATCH", "/jobs/ingest/{job}", jobs.change)
        self._add("DELETE", "/jobs/ingest/{job}", jobs.delete)
        self._add("PUT", "/jobs/ingest/{job}/batches", jobs.upload)
        self._add("GET", "/jobs/ingest/{job}/{results:(?i:" + "|".join(RESULTS) + ")}", jobs.results)
        self._add("GET", "/query", lambda request: self._query(request, deleted=False))
        self._add("GET", "/queryAll", lambda request: self._query(request, deleted=True))
        self._add("GET", "/query/{locator}", self._more)
        self._add("GET", "/limits", self._limits)

    def _add(self, methods: str, pattern: str, handler: Callable[[Request], Response]) -> None:
        self._router.add(methods, _DATA + pattern, handler)

    # -- queries and limits ----------------------------------------------------------------------

    def _query(self, request: Request, deleted: bool) -> Response:
        text = request.first("q") or ""
        if not text:
            raise ApiError(400, "MALFORMED_QUERY", "A query string has to be specified")
        return self._page(text, deleted, 0, request.params["version"])

    def _more(self, request: Request) -> Response:
        locator, _, start = request.params["locator"].rpartition("-")
        body = self.store.definitions(VENDOR, "locator").get(locator)
        if body is None or not start.isdigit():
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(body["text"], body["deleted"], int(start), request.params["version"], locator)

    def _page(self, text: str, deleted: bool, start: int, version: str, locator: str | None = None) -> Response:
        query = Query(self.records, text, deleted, version)
        rows = query.rows()
        if query.counts:
            return Response(data={"totalSize": len(rows), "done": True, "records": []})
        end = start + PAGE_ROWS
        answer: dict[str, Any] = {"totalSize": len(rows), "done": end >= len(rows), "records": rows[start:end]}
        if end < len(rows):
            if locator is None:
                locator = re.sub(r"\W", "", f"01g{secrets.token_urlsafe(16)}")
                self.store.define(VENDOR, "locator", locator, {"text": text, "deleted": deleted})
            answer["nextRecordsUrl"] = f"/services/data/{version}/query/{locator}-{end}"
        return Response(data=answer)

    def _limits(self, _: Request) -> Response:
        limit, used = self.options.daily_requests, len(self._recent)
        batches = self.options.daily_batches
        return Response(
            data={
                "DailyApiRequests": {"Max": limit, "Remaining": max(0, limit - used)},
                "DailyBulkApiBatches": {"Max": batches, "Remaining": batches},
            }
        )

    # -- pages -----------------------------------------------------------------------------------

    def objects(self) -> list[ObjectCount]:
        """All objects with their number of records."""
        counts = self.store.counts(VENDOR)
        return [ObjectCount(kind.name, kind.plural, *counts.get(kind.name, (0, 0))) for kind in self.org.kinds()]

    def page(self, request: Request) -> Response:
        """A list of records or one record."""
        return pages.page(self.org, request)

    def reload(self) -> None:
        """Read the definitions again."""
        self.org.reload()

    def reset(self) -> None:
        """Start the 24 hours anew."""
        with self._lock:
            self._recent.clear()
