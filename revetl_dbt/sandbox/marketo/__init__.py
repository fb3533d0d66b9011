"""Marketo Engage's REST API as Adobe documents it: identity, leads, companies, opportunities and their roles, sales
persons, custom objects, static lists, program members, custom activities, bulk imports.

https://experienceleague.adobe.com/en/docs/marketo-developer/marketo/rest/rest-api
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from revetl_dbt.sandbox.marketo import errors, pages, query
from revetl_dbt.sandbox.marketo.account import VENDOR, Account
from revetl_dbt.sandbox.marketo.errors import ApiError, success
from revetl_dbt.sandbox.marketo.imports import MAX_FILE, Imports
from revetl_dbt.sandbox.marketo.leads import Leads
from revetl_dbt.sandbox.marketo.limits import Limits
from revetl_dbt.sandbox.marketo.members import Members
from revetl_dbt.sandbox.marketo.objects import Objects
from revetl_dbt.sandbox.marketo.reading import MAX_BODY, body, check_size, method, records
from revetl_dbt.sandbox.marketo.values import moment_text
from revetl_dbt.sandbox.messages import Request, Response, Router
from revetl_dbt.sandbox.store import Store
from revetl_dbt.sandbox.vendor import Failure, ObjectCount, Vendor

_OBJECTS = "companies|namedaccounts|opportunities|opportunities/roles|salespersons"


@dataclass(frozen=True)
class MarketoOptions:
    """What can be set. `import_seconds` is how long an import takes; `crm`: a native CRM sync owns companies and
    opportunities; limits are enforced only when asked for."""

    token_seconds: int = 3600
    import_seconds: float = 0.0
    crm: bool = False
    rate: int = 100
    daily: int = 50_000
    at_once: int = 10
    enforce_limits: bool = False


class Marketo(Vendor):
    """The stand-in for Marketo."""

    name: ClassVar[str] = VENDOR
    title: ClassVar[str] = "Marketo"
    Options: ClassVar[type[Any]] = MarketoOptions
    options: MarketoOptions

    def __init__(self, store: Store, base_url: str) -> None:
        super().__init__(store, base_url)
        self.instance = Account(store)
        self._secret = str(store.setting("marketo:secret", lambda: secrets.token_urlsafe(24)))
        self._tokens: dict[str, tuple[str, float]] = {}  # token and end, by client id
        self._limits = Limits(lambda: store.now() / 1000)
        self._leads, self._objects = Leads(self.instance), Objects(self.instance)
        self._members = Members(self.instance)
        self._imports = Imports(self.instance, self._leads, self._objects)
        self._router = Router()
        self._add_routes()
        self._apply()

    def configure(self, changes: dict[str, Any]) -> None:
        """Change options; see MarketoOptions."""
        super().configure(changes)
        self._apply()

    def _apply(self) -> None:
        self._imports.seconds, self._objects.crm = self.options.import_seconds, self.options.crm

    def load_setup(self, path: Path) -> None:
        """Define what a YAML file lists: `fields`, `customObjects`, `lists`, `programs`, `activityTypes`,
        `partitions`."""
        self.instance.load_setup(path)

    def token(self) -> str:
        """The client secret, of whatever client id."""
        return self._secret

    def account(self) -> str:
        """The Munchkin id."""
        return self.instance.id

    # -- requests --------------------------------------------------------------------------------

    def handle(self, request: Request) -> Response:
        """Answer a request as Marketo does."""
        if request.path == "/identity/oauth/token":
            return self._identity(request)
        limits = self.options
        most = (limits.rate, limits.daily, limits.at_once) if limits.enforce_limits else (1 << 30,) * 3
        try:
            check_size(request, MAX_FILE if request.path.startswith("/bulk/") else MAX_BODY)
            self._authorize(request)
            with self._limits.call(*most):
                return self._answer(request)
        except ApiError as error:
            return errors.answer(error)

    def _answer(self, request: Request) -> Response:
        if "//" in request.path:
            raise ApiError("610", "Requested resource not found")
        sent, request.method = request.method, method(request)
        handler = self._router.find(request)
        request.method = sent
        if not callable(handler):
            raise (
                ApiError("605", f"HTTP Method '{sent}' not supported")
                if handler
                else ApiError("610", "Requested resource not found")
            )
        try:
            with self.store.transaction():
                self._imports.advance()
                return handler(request)
        except ApiError:
            self.instance.reload()  # what was written before the refusal is taken back
            raise

    def _identity(self, request: Request) -> Response:
        """GET or POST identity/oauth/token. Before its end, the same token comes again."""
        if request.first("grant_type") != "client_credentials":
            problem = {"error": "unsupported_grant_type", "error_description": "Unsupported grant type"}
            return Response(400, problem)
        client, secret = request.first("client_id") or "", request.first("client_secret") or ""
        if not client or not secrets.compare_digest(secret.encode(), self._secret.encode()):
            return Response(401, {"error": "invalid_client", "error_description": "Client authentication failed"})
        now = self.store.now() / 1000
        token, end = self._tokens.get(client, ("", 0.0))
        if now >= end:
            token, end = f"{uuid.uuid4()}:sj", now + self.options.token_seconds
            self._tokens[client] = token, end
        scope = "revetl@sandbox.example"
        answer = {"access_token": token, "token_type": "bearer", "expires_in": int(end - now), "scope": scope}
        return Response(200, answer)

    def _authorize(self, request: Request) -> None:
        token = request.bearer()
        if token is None:
            raise ApiError("600", "Access token not specified")
        end = next((end for known, end in self._tokens.values() if known == token), None)
        if end is None:
            raise ApiError("601", "Access token invalid")
        if self.store.now() / 1000 >= end:
            raise ApiError("602", "Access token expired")

    def failure(self, failure: Failure) -> Response:
        """Marketo's own error for a status that a fault rule asks for: most of them are HTTP 200."""
        if failure.expired or failure.status == 401:
            return errors.refused("602" if failure.expired else "601", "Access token expired or invalid")
        if failure.status == 429:
            code = {"DAILY": "607", "CONCURRENT": "615"}.get(str(failure.policy).upper(), "606")
            return errors.refused(code, _LIMITS[code])
        if failure.status == 403:
            return errors.refused("603", "Access denied")
        if failure.status == 503:
            return errors.refused("608", "API Temporarily Unavailable")
        if failure.status == 500:
            return errors.refused("502", "Bad Gateway")
        return errors.page(failure.status, "Error")

    # -- routes ----------------------------------------------------------------------------------

    def _add_routes(self) -> None:
        add, members = self._router.add, self._members
        add("GET", "/rest/v1/leads/partitions.json", self._partitions)
        add("GET", "/rest/v1/stats/usage.json", self._usage)
        add("GET", "/rest/v1/leads/describe.json", lambda _: query.describe_leads(self._leads.kind))
        add("GET", "/rest/v1/leads/describe2.json", lambda _: query.describe_leads_again(self._leads.kind))
        for path, key in (("leads", "leads"), ("programs/members", "members")):
            add("GET", f"/rest/v1/{path}/schema/fields.json", self._schema(key))
            add("POST", f"/rest/v1/{path}/schema/fields.json", self._create_fields(key))
        add("POST", "/rest/v1/leads.json", self._leads.sync)
        add("GET", "/rest/v1/leads.json", lambda request: query.by_filter(self.instance, self._leads.kind, request))
        add("GET", r"/rest/v1/lead/{id:\d+}.json", self._lead)
        add("POST DELETE", "/rest/v1/leads/delete.json", self._leads.delete)
        add("DELETE", "/rest/v1/leads.json", self._leads.delete)
        add("GET", "/rest/v1/lists.json", members.lists)
        add("GET", r"/rest/v1/lists/{list:\d+}.json", members.lists)
        add("GET", r"/rest/v1/{prefix:lists?}/{list:\d+}/leads.json", members.on_list)
        add("POST", r"/rest/v1/lists/{list:\d+}/leads.json", members.add)
        add("DELETE", r"/rest/v1/lists/{list:\d+}/leads.json", members.remove)
        add("GET", r"/rest/v1/lists/{list:\d+}/leads/ismember.json", members.is_member)
        add("GET", "/rest/v1/programs/members/describe.json", lambda _: query.describe_members(self.instance.members))
        add("GET", r"/rest/v1/programs/{program:\d+}/members.json", members.program_members)
        add("POST", r"/rest/v1/programs/{program:\d+}/members.json", members.set_fields)
        add("POST", r"/rest/v1/programs/{program:\d+}/members/status.json", members.set_status)
        add("POST", r"/rest/v1/programs/{program:\d+}/members/delete.json", members.leave)
        add("GET", "/rest/v1/activities/external/types.json", members.types)
        add("GET", "/rest/v1/activities/external/type/{type}/describe.json", members.types)
        add("POST", "/rest/v1/activities/external.json", members.act)
        add("GET", "/rest/v1/customobjects.json", self._custom_objects)
        for part in ("customobjects/{custom}", "{object:" + _OBJECTS + "}"):
            add("GET", f"/rest/v1/{part}/describe.json", lambda request: query.describe(self._objects.kind(request)))
            add("POST", f"/rest/v1/{part}/delete.json", self._objects.delete)
            add("POST", f"/rest/v1/{part}.json", self._objects.sync)
            add("GET", f"/rest/v1/{part}.json", self._find)
        for path, status in (
            ("/bulk/v1/leads.json", "/bulk/v1/leads/batch/{id}.json"),
            ("/bulk/v1/customobjects/{custom}/import.json", "/bulk/v1/customobjects/{custom}/import/{id}/status.json"),
        ):
            files = status.removesuffix("/status.json").removesuffix(".json") + "/{which:failures|warnings}.json"
            add("POST", path, self._imports.submit)
            add("GET", files, self._imports.reasons)
            add("GET", status, self._imports.status)

    def _find(self, request: Request) -> Response:
        return query.by_filter(self.instance, self._objects.kind(request), request)

    def _lead(self, request: Request) -> Response:
        found = self.instance.read("leads", [request.params["id"]])
        if not found:
            raise ApiError("1004", f"Lead '{request.params['id']}' not found")
        names = request.listed("fields") or ["email", "updatedAt", "createdAt", "lastName", "firstName"]
        return success([query.shown(self._leads.kind, record, names) for record in found.values()])

    def _partitions(self, _request: Request) -> Response:
        return success([{"id": n, "name": name} for n, name in enumerate(self.instance.partitions(), 1)])

    def _usage(self, _request: Request) -> Response:
        total = self._limits.today
        day = moment_text(self.store.now())[:10]
        return success([{"date": day, "total": total, "users": [{"userId": "revetl@sandbox.example", "count": total}]}])

    def _custom_objects(self, _request: Request) -> Response:
        described = [query.describe(kind).data["result"][0] for kind in self.instance.kinds() if kind.custom]
        return success([{name: value for name, value in item.items() if name != "fields"} for item in described])

    def _schema(self, key: str) -> Callable[[Request], Response]:
        def handler(request: Request) -> Response:
            kind = self.instance.members if key == "members" else self._leads.kind
            rows = [field.schema() for field in kind.fields.values()]
            return query.paged(rows, request.first("batchSize"), request.first("nextPageToken"))

        return handler

    def _create_fields(self, key: str) -> Callable[[Request], Response]:
        def handler(request: Request) -> Response:
            given = records(request, body(request))
            lacking = [n for item in given for n in ("displayName", "name", "dataType") if not item.get(n)]
            if lacking:
                raise ApiError("1002", f"Missing value for the required parameter '{lacking[0]}'")
            return success(self.instance.create_fields(key, given))

        return handler

    # -- pages -----------------------------------------------------------------------------------

    def objects(self) -> list[ObjectCount]:
        """All objects with their number of records."""
        counts = self.store.counts(VENDOR)
        return [ObjectCount(key, title, *counts.get(key, (0, 0))) for key, title in pages.titles(self.instance)]

    def page(self, request: Request) -> Response:
        """A list of records or one record's card."""
        return pages.page(self.instance, request)

    def reload(self) -> None:
        """Read the definitions again, and forget the index."""
        self.instance.reload()

    def reset(self) -> None:
        """Start the limits anew, and forget the index."""
        self._limits.reset()
        self.instance.reload()


_LIMITS = {
    "606": "Max rate limit '100' exceeded with in '20' secs",
    "607": "Daily quota reached",
    "615": "Concurrent access limit reached",
}

__all__: Sequence[str] = ("Marketo", "MarketoOptions")
