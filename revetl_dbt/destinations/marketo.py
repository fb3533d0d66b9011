"""Marketo Engage: leads, companies, opportunities, sales persons, named accounts, custom objects, static lists, program
members and custom activities.

Facts are from https://experienceleague.adobe.com/en/docs/marketo-developer (its source: github.com/AdobeDocs/
marketo-developer.en, help/rest-api: "Authentication", "Error Codes", "Leads", "Lead Database", "Named Accounts",
"Custom Objects", "List Membership", "Program Members", "Activities", "Bulk Import", "Field Types", "Marketo Integration
Best Practices"):

- Refusals come as HTTP 200 with `success: false` and a code; 6xx means that nothing was executed.
- A call takes at most 300 records and 1 MB, an import file less than 10 MB.
- Results of leads come in the order of the request, those of other objects name their position in `seq`.
- Two upserts of one lead at once can make two leads.
- `null` clears; what an empty cell of an import file does is not documented, so that no file ever has one.
"""

from __future__ import annotations

import csv
import io
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

import requests
from pydantic import Field, SecretStr, model_validator
from requests.auth import AuthBase
from typing_extensions import Self

from revetl_dbt.destinations.base import (
    Account,
    Batch,
    BatchRejectedError,
    Bulk,
    Change,
    ColumnType,
    DestinationConfig,
    DestinationError,
    Encoder,
    FatalError,
    FieldInfo,
    Found,
    Limits,
    ObjectType,
    Operation,
    Outcome,
    Pending,
    QuotaExhaustedError,
    RateLimitedError,
    RetryableError,
    Status,
    UnauthorizedError,
    UnknownOutcomeError,
)
from revetl_dbt.destinations.encoding import finite, json_text, utc_day, utc_text
from revetl_dbt.destinations.transport import (
    BearerAuth,
    HttpDestination,
    NoAuth,
    before_writing,
    decode_json,
    json_or_empty,
    retry_after,
    status_error,
)

BATCH = 300
_BYTES = 900_000  # less than 1 MB with what stands around the records
_FILE_BYTES = 10_000_000 - 65_536  # less than 10 MB with the multipart frame
_FILE = Limits(100_000, 9_000_000)
_VALUES = 300  # of one query
_QUEUE_WAIT = 60.0  # seconds, when there are ten imports already
_NO_FILE = "none"  # the job of a batch of which nothing can stand in a file

MUNCHKIN_ID = r"^\d{3}-[A-Z]{3}-\d{3}$"


class MarketoConfig(DestinationConfig):
    """An output of `type: marketo` in destinations.yml."""

    munchkin_id: str | None = Field(
        None, pattern=MUNCHKIN_ID, description="Id of the instance, such as `123-ABC-456`; part of its REST endpoint"
    )
    client_id: str | None = Field(None, description="Client ID of the custom service (Admin > LaunchPoint)")
    client_secret: SecretStr | None = Field(None, description="Client Secret of the custom service")
    partition: str | None = Field(None, description="Lead partition that leads are created in and imported to")
    bulk_threshold: int = Field(
        5000, ge=0, description="From so many new records on, leads and custom objects are imported as files; 0: always"
    )
    import_poll_seconds: float = Field(10.0, ge=5.0, le=60.0, description="Seconds between two looks at an import")
    concurrency: int = Field(
        4, ge=1, le=10, description="Requests in flight at once; Marketo takes 10 of all integrations together"
    )
    requests_per_second: float | None = Field(
        2.5, gt=0, description="Upper bound of requests a second; Adobe asks integrations to keep to 50 in 20 seconds"
    )
    timeout: float = Field(
        120.0, gt=0, description="Seconds to wait for an answer; Marketo itself gives up a write after 90"
    )

    @model_validator(mode="after")
    def _complete(self) -> MarketoConfig:
        names = ("munchkin_id",) if self.base_url is None else ()
        missing = [f"`{name}`" for name in (*names, "client_id", "client_secret") if getattr(self, name) is None]
        if missing and not self.sandbox:
            raise ValueError(f"missing: {', '.join(missing)} (Marketo: Admin > Web Services, and Admin > LaunchPoint)")
        return self

    def in_sandbox(self, url: str, token: str | None) -> Self:
        ours = {"client_id": "sandbox", "client_secret": SecretStr(token or "sandbox")}
        return self.model_copy(
            update={**ours, "base_url": url, "requests_per_second": None, "import_poll_seconds": 0.05}
        )


@dataclass(frozen=True, slots=True)
class _Table:
    """An object of the lead database other than leads; they all have the same endpoints."""

    path: str
    id_field: str
    dedupe: tuple[str, ...] | None = None  # None: the description tells


_TABLES: Mapping[str, _Table] = {
    "companies": _Table("companies", "id", ("externalCompanyId",)),
    "opportunities": _Table("opportunities", "marketoGUID", ("externalOpportunityId",)),
    "opportunityRoles": _Table("opportunities/roles", "marketoGUID", ("externalOpportunityId", "leadId", "role")),
    "salesPersons": _Table("salespersons", "id", ("externalSalesPersonId",)),
    "namedAccounts": _Table("namedaccounts", "marketoGUID", ("name",)),
}
_LEADS = "leads"
_OPEN = re.compile(r"(customObjects|activities)/([A-Za-z][A-Za-z0-9_]*)|(lists|programs)/([1-9][0-9]{0,8})")
_LEAD_IDS = ("id", "leadId")  # the one on leads, the other on what belongs to a lead

_LIMITS = Limits(BATCH, _BYTES)
_NO_ARCHIVE = "Marketo has no archive that its API can reach: use `delete`, or clear the mapped fields"
_NO_ERASE = "`delete` removes a record for good already"
_MEMBERSHIP = "a membership is there or not: use `upsert`, and `on_removed: delete` to take members out"
_EVENTS_ONLY = "activities are written once and never changed or removed: use `append`"


def _records(name: str, label: str, table: _Table | None, threshold: int | None) -> ObjectType:
    return ObjectType(
        name=name,
        label=label,
        operations=dict.fromkeys((Operation.UPSERT, Operation.UPDATE, Operation.CREATE, Operation.DELETE), _LIMITS),
        idempotent=frozenset({Operation.UPSERT, Operation.UPDATE, Operation.DELETE}),
        match_fields=None if table is None or table.dedupe is None else (*table.dedupe, table.id_field),
        composite_match=table is not None and (table.dedupe is None or len(table.dedupe) > 1),
        match_ignores_case=table is None,  # addresses
        reads=True,
        described=True,
        refers=name == "opportunityRoles",
        bulk={} if threshold is None else {Operation.UPSERT: Bulk(_FILE, threshold)},
        creates_fields=table is None,
        unsupported={
            Operation.APPEND: "Marketo keeps events as custom activities: use object `activities/<api name>`",
            Operation.ARCHIVE: _NO_ARCHIVE,
            Operation.ERASE: _NO_ERASE,
        },
    )


def _membership(name: str, label: str, creates_fields: bool) -> ObjectType:
    return ObjectType(
        name=name,
        label=label,
        operations={Operation.UPSERT: _LIMITS, Operation.DELETE: _LIMITS},
        idempotent=frozenset({Operation.UPSERT, Operation.DELETE}),
        match_ignores_case=True,
        partial_updates=False,
        reads=True,
        refers=True,
        described=True,
        creates_fields=creates_fields,
        unsupported={
            **dict.fromkeys((Operation.UPDATE, Operation.CREATE, Operation.APPEND), _MEMBERSHIP),
            Operation.ARCHIVE: _MEMBERSHIP,
            Operation.ERASE: _MEMBERSHIP,
        },
    )


def _events(name: str, label: str) -> ObjectType:
    others = [operation for operation in Operation if operation is not Operation.APPEND]
    return ObjectType(
        name=name,
        label=label,
        operations={Operation.APPEND: _LIMITS},
        match_ignores_case=True,
        described=True,
        refers=True,
        unsupported=dict.fromkeys(others, _EVENTS_ONLY),
    )


class Marketo(HttpDestination):
    """Records of a Marketo Engage instance."""

    type: ClassVar[str] = "marketo"
    Config = MarketoConfig

    def __init__(self, config: MarketoConfig, gate: Any) -> None:
        super().__init__(config, gate)
        self._token = _Token(self._identify)
        self._auth = BearerAuth(self._token.known)
        self._in_flight = _InFlight()
        self._activities: dict[str, Mapping[str, Any]] = {}
        self._polled: dict[tuple[uuid.UUID, int, str], dict[int, Outcome]] = {}  # what poll() knows of jobs

    # -- the instance --------------------------------------------------------------------------------

    def base_url(self) -> str:
        return self.config.base_url or f"https://{str(self.config.munchkin_id).lower()}.mktorest.com"

    def auth(self) -> AuthBase:
        return self._auth

    def renew(self) -> bool:
        self._token.forget()
        return True

    def check(self) -> Account:
        """List the lead partitions; the account is the instance's host, which has its Munchkin id in it."""
        partitions = [row.get("name") for row in self._call("GET", "/rest/v1/leads/partitions.json")["result"]]
        if self.config.partition not in (None, *partitions):
            raise FatalError(f"Marketo has no lead partition `{self.config.partition}`", code="partition")
        if self.config.sandbox:
            return Account("sandbox", "sandbox")
        host = urlsplit(self._base_url).netloc.lower()
        return Account(host, self.config.munchkin_id or host)

    def objects(self) -> Sequence[ObjectType]:
        return [kind for name in (_LEADS, *_TABLES) if (kind := self.object_type(name)) is not None]

    def object_type(self, name: str) -> ObjectType | None:
        """Leads and standard objects by name; `customObjects/<api name>`, `lists/<id>`, `programs/<id>` and
        `activities/<api name>`.
        """
        threshold = self.config.bulk_threshold
        if name == _LEADS:
            return _records(name, "Leads", None, threshold)
        if name in _TABLES:
            return _records(name, re.sub(r"([A-Z])", r" \1", name).capitalize(), _TABLES[name], None)
        kind, part = _opened(name)
        if kind == "customObjects":
            return _records(name, f"Custom object {part}", _table(name), threshold)
        if kind == "lists":
            return _membership(name, f"Static list {part}", creates_fields=False)
        if kind == "programs":
            return _membership(name, f"Members of program {part}", creates_fields=True)
        return _events(name, f"Custom activity {part}") if kind == "activities" else None

    def encoder(self, column: ColumnType, info: FieldInfo | None) -> Encoder:
        return _encoder(column, info)

    # -- requests ------------------------------------------------------------------------------------

    def send(self, method: str, path: str, **options: Any) -> requests.Response:
        if options.get("auth") is None:
            self._token.value()  # asked for before the gate lets the request itself through
        return super().send(method, path, **options)

    def error(self, response: requests.Response) -> DestinationError:
        body = json_or_empty(response)
        if body.get("errors"):
            return _refusal(body, response)
        message = body.get("error_description") or f"{response.status_code} {response.reason}"
        return status_error(response.status_code)(
            str(message), code=str(body.get("error") or response.status_code), retry_after=retry_after(response)
        )

    def _identify(self) -> tuple[str, float]:
        """An access token and the seconds that it has left. Raises UnauthorizedError when the service is refused."""
        secret = self.config.client_secret.get_secret_value() if self.config.client_secret else ""
        query = {
            "grant_type": "client_credentials",
            "client_id": self.config.client_id or "",
            "client_secret": secret,
        }
        with before_writing("no token"):
            response = self.request("POST", "/identity/oauth/token", params=query, auth=NoAuth())
            body = decode_json(response)
        if not isinstance(body, Mapping):
            body = {}
        if body.get("errors"):
            raise _refusal(body, response)
        token, seconds = body.get("access_token"), body.get("expires_in")
        if not isinstance(token, str) or not isinstance(seconds, (int, float)):
            raise RetryableError("Marketo's identity service answered without a token")
        return token, float(seconds)

    def _call(self, method: str, path: str, **options: Any) -> Mapping[str, Any]:
        """The body of an answer that says `success`, with a list as its `result`."""
        response = self.request(method, path, **options)
        body = decode_json(response)
        if not isinstance(body, Mapping) or "success" not in body:
            raise UnknownOutcomeError("Marketo's answer does not say whether it succeeded", code="results")
        if body["success"] is not True:
            raise _refusal(body, response)
        result = body.get("result", [])
        if not isinstance(result, list) or not all(isinstance(row, Mapping) for row in result):
            raise UnknownOutcomeError("Marketo's answer has no list of results", code="results")
        return {**body, "result": result}

    def _results(self, method: str, path: str, count: int, **options: Any) -> list[Mapping[str, Any]]:
        """One result for each of `count` records, in their order. Raises UnknownOutcomeError when there are others."""
        rows: list[Mapping[str, Any]] = self._call(method, path, **options)["result"]
        if len(rows) != count:
            text = f"{len(rows)} results for {count} records: Marketo does not say what it did"
            raise UnknownOutcomeError(text, code="results")
        if any("seq" in row for row in rows):
            rows = sorted(rows, key=lambda row: int(row.get("seq", -1)))
            if [row.get("seq") for row in rows] != list(range(count)):
                raise UnknownOutcomeError("Marketo's results do not name each record once", code="results")
        return rows

    def _pages(self, path: str, query: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The records that a query finds. It goes in the body: values do not belong in URLs, which may be logged."""
        token: dict[str, str] = {}
        while True:
            body = self._call("POST", path, params={"_method": "GET"}, data={**query, **token})
            yield from body["result"]
            if not (body.get("moreResult") and body.get("nextPageToken")):
                return
            token = {"nextPageToken": body["nextPageToken"]}

    # -- describing ----------------------------------------------------------------------------------

    def describe(self, object: str) -> Sequence[FieldInfo]:  # noqa: A002 - the contract's word
        kind, name = _opened(object)
        if kind == "activities":
            return _activity_fields(self._activity(name))
        if object == _LEADS:
            return self._lead_fields()
        if kind == "lists":
            # A member is found by what finds a lead; there is nothing to write.
            return [replace(info, writable=False) for info in self._lead_fields() if info.unique]
        table = _table(object)
        if kind != "programs" and table is None:
            raise FatalError(f"Marketo has no object `{object}` that it describes", code="object")
        path = "programs/members" if table is None else table.path
        described = self._describe(f"/rest/v1/{path}/describe.json", object)
        fields = [_field(item, described, table) for item in described.get("fields") or []]
        if kind == "programs":
            return [replace(i, writable=True, required=True) if i.name == "statusName" else i for i in fields]
        return fields

    def _lead_fields(self) -> list[FieldInfo]:
        """All fields of leads; only the newer describe call says which of them leads can be found by."""
        searchable = self._describe("/rest/v1/leads/describe2.json", _LEADS)
        items: list[Mapping[str, Any]] = self._call("GET", "/rest/v1/leads/describe.json")["result"]
        return [
            _field({**item, "name": rest["name"], "updateable": not rest.get("readOnly")}, searchable, None)
            for item in items
            if (rest := item.get("rest"))  # without one, a field is not for this API
        ]

    def describe_field(self, object: str, name: str) -> FieldInfo | None:  # noqa: A002 - the contract's word
        """Memberships and activities find their lead by any field that leads can be searched by."""
        if _opened(object)[0] not in ("programs", "activities"):
            return None
        found = next((info for info in self.describe(_LEADS) if info.name == name and info.unique), None)
        return None if found is None else replace(found, writable=False)

    def create_field(self, object: str, name: str, column: ColumnType) -> FieldInfo:  # noqa: A002
        path = "leads" if object == _LEADS else "programs/members"
        label = re.sub(r"[^A-Za-z0-9]+", " ", re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)).strip()
        field = {"name": name, "displayName": label[:1].upper() + label[1:], "dataType": _CREATED[column]}
        (row,) = self._results("POST", f"/rest/v1/{path}/schema/fields.json", 1, json={"input": [field]})
        if row.get("status") != "created":
            code, message = _reason(row)
            raise FatalError(f"Marketo does not create field `{name}`: {message}", code=code)
        return FieldInfo(name, field["dataType"], field["displayName"], max_length=_LENGTHS.get(field["dataType"]))

    def _describe(self, path: str, name: str) -> Mapping[str, Any]:
        try:
            found: list[Mapping[str, Any]] = self._call("GET", path)["result"]
        except (BatchRejectedError, FatalError) as error:
            if error.code in _NO_SUCH_OBJECT:
                raise FatalError(f"Marketo has no `{name}`: {error}", code=error.code) from error
            raise
        if not found:
            raise FatalError(f"Marketo has no `{name}`", code="object")
        return found[0]

    def _activity(self, name: str) -> Mapping[str, Any]:
        if name not in self._activities:
            path = f"/rest/v1/activities/external/type/{quote(name, safe='')}/describe.json"
            with before_writing("no definition of the activity"):
                self._activities[name] = self._describe(path, f"activities/{name}")
        return self._activities[name]

    # -- reading -------------------------------------------------------------------------------------

    def read(
        self,
        object: str,  # noqa: A002 - the contract's word
        match: str,
        values: Sequence[Any],
        fields: Sequence[str],
    ) -> Iterable[Found]:
        if not values:
            return []
        kind, part = _opened(object)
        if kind in ("lists", "programs"):
            return self._read_members(kind, part, match, values, fields)
        if kind == "activities":
            raise NotImplementedError(f"`{object}` cannot be read back")
        table = _table(object)
        path, id_field = (f"/rest/v1/{table.path}.json", table.id_field) if table else ("/rest/v1/leads.json", "id")
        wanted = {_key(value): value for value in values}
        query = _filter(match, list(wanted.values()), [*fields, match, id_field])
        return [
            Found(str(row[id_field]), wanted[_key(row.get(match))], {name: row.get(name) for name in fields})
            for row in self._pages(path, query)
            if _key(row.get(match)) in wanted
        ]

    def _read_members(
        self, kind: str, part: str, match: str, values: Sequence[Any], fields: Sequence[str]
    ) -> Iterator[Found]:
        """Who of the leads with these match values is a member; the record's id is that of the lead."""
        changes = [Change(n, (), {match: value}, {}) for n, value in enumerate(values)]
        ids, _ = self._lead_ids(changes, Status.MISSING)
        if not ids:
            return
        held: dict[str, Mapping[str, Any]] = {}
        if kind == "lists":
            path = f"/rest/v1/lists/{part}/leads/ismember.json"
            rows = self._call("GET", path, params={"id": sorted(set(ids.values()))})["result"]
            held = {str(row["id"]): {} for row in rows if row.get("status") == "memberof"}
        else:
            query = _filter("leadId", sorted(set(ids.values())), [*fields, "leadId"])
            held = {str(row["leadId"]): row for row in self._pages(f"/rest/v1/programs/{part}/members.json", query)}
        for change in changes:
            row = held.get(str(ids.get(change.seq)))
            if row is not None:
                yield Found(str(ids[change.seq]), change.match[match], {name: row.get(name) for name in fields})

    def _lead_ids(self, changes: Sequence[Change], missing: Status) -> tuple[dict[int, int], list[Outcome]]:
        """The lead of each change by `seq`, and outcomes of those that have none or several."""
        ids: dict[int, int] = {}
        asked: dict[str, dict[str, list[Change]]] = {}
        outcomes = []
        for change in changes:
            known, named = _known_id(change)
            if known is not None:
                ids[change.seq] = known
            elif not named and change.match:
                field, value = next(iter(change.match.items()))
                asked.setdefault(field, {}).setdefault(_key(value), []).append(change)
            else:
                outcomes.append(Outcome(change.seq, missing, None, _NO_LEAD, "no lead has this id"))
        for field, groups in asked.items():
            found = self._leads_by(field, [group[0].match[field] for group in groups.values()])
            for key, change in ((key, change) for key, group in groups.items() for change in group):
                leads = found.get(key, set())
                if len(leads) == 1:
                    ids[change.seq] = next(iter(leads))
                elif leads:
                    text = f"{len(leads)} leads have this `{field}`"
                    outcomes.append(Outcome(change.seq, Status.REJECTED, None, _SEVERAL, text))
                else:
                    outcomes.append(Outcome(change.seq, missing, None, _NO_LEAD, f"no lead has this `{field}`"))
        return ids, outcomes

    def _leads_by(self, field: str, values: Sequence[Any]) -> dict[str, set[int]]:
        """The ids of leads by the value of a field."""
        leads: dict[str, set[int]] = {}
        for start in range(0, len(values), _VALUES):
            for found in self.read(_LEADS, field, values[start : start + _VALUES], ()):
                leads.setdefault(_key(found.match), set()).add(int(found.id))
        return leads

    # -- writing -------------------------------------------------------------------------------------

    def write(self, batch: Batch) -> Iterable[Outcome]:
        if not batch.changes:
            return []
        if len(batch.changes) > BATCH:
            raise ValueError(f"a batch of {len(batch.changes)} exceeds the limit of {BATCH}")
        kind, part = _opened(batch.object)
        if kind == "lists":
            return self._write_list(part, batch)
        if kind == "programs":
            return self._write_program(part, batch)
        if kind == "activities":
            return self._append(self._activity(part), batch.changes)
        table = _table(batch.object)
        if table is not None:
            return self._write_table(table, batch)
        return self._delete_leads(batch.changes) if batch.operation is Operation.DELETE else self._write_leads(batch)

    def _write_leads(self, batch: Batch) -> list[Outcome]:
        """Update by id what has one; find the others by the match field."""
        operation = batch.operation
        field = next(iter(batch.changes[0].match), "email")
        _check_match(field in _LEAD_IDS, operation, "id")
        known: list[tuple[Change, dict[str, Any]]] = []
        others: list[Change] = []
        outcomes: list[Outcome] = []
        for change in batch.changes:
            lead, named = _known_id(change) if operation is not Operation.CREATE else (None, False)
            if lead is not None:
                known.append((change, {**_without_ids(change.match), **change.fields, "id": lead}))
            elif named:
                outcomes.append(Outcome(change.seq, Status.MISSING, None, _NO_LEAD, "no lead has this id"))
            else:
                others.append(change)
        if known:
            outcomes += self._sync_leads("updateOnly", "id", known, Operation.UPDATE)
        if operation is Operation.UPSERT:
            gone = {outcome.seq for outcome in outcomes if outcome.status is Status.MISSING}
            others += [change for change, _ in known if change.seq in gone]
            outcomes = [outcome for outcome in outcomes if outcome.seq not in gone]
        if others:
            records = [(change, {**change.match, **change.fields}) for change in others]
            outcomes += self._sync_leads(_ACTIONS[operation], field, records, operation)
        return outcomes

    def _sync_leads(
        self, action: str, lookup: str, records: Sequence[tuple[Change, Mapping[str, Any]]], operation: Operation
    ) -> list[Outcome]:
        body: dict[str, Any] = {"action": action, "lookupField": lookup, "input": [record for _, record in records]}
        if self.config.partition is not None and action != "updateOnly":
            body["partitionName"] = self.config.partition
        with self._in_flight.hold({(_LEADS, _key(record.get(lookup))) for _, record in records}):
            rows = self._results("POST", "/rest/v1/leads.json", len(records), json=body)
        if lookup == "id" and any(
            "id" in row and str(row["id"]) != str(r["id"]) for row, (_, r) in zip(rows, records, strict=True)
        ):
            raise UnknownOutcomeError("Marketo's results do not come in the order of the request", code="results")
        return [_outcome(change, row, operation) for row, (change, _) in zip(rows, records, strict=True)]

    def _delete_leads(self, changes: Sequence[Change]) -> list[Outcome]:
        ids, outcomes = self._lead_ids(changes, Status.MISSING)
        if not ids:
            return outcomes
        unique = list(dict.fromkeys(ids.values()))
        body = {"input": [{"id": lead} for lead in unique]}
        rows = self._call("POST", "/rest/v1/leads/delete.json", json=body)["result"]
        return outcomes + _by_lead(changes, ids, rows, Operation.DELETE)

    def _write_table(self, table: _Table, batch: Batch) -> list[Outcome]:
        changes, operation = batch.changes, batch.operation
        by_id = table.id_field in changes[0].match
        _check_match(by_id, operation, table.id_field)
        key = "idField" if by_id else "dedupeFields"
        if operation is Operation.DELETE:
            path = f"/rest/v1/{table.path}/delete.json"
            body = {"deleteBy": key, "input": [_numbered(change.match) for change in changes]}
        else:
            path = f"/rest/v1/{table.path}.json"
            records = [_numbered({**change.match, **change.fields}) for change in changes]
            # Named accounts take `dedupeBy` with `updateOnly` alone; it is `dedupeFields` where it is left out.
            chosen = {"dedupeBy": key} if operation is Operation.UPDATE else {}
            body = {"action": _ACTIONS[operation], **chosen, "input": records}
        with self._in_flight.hold({(batch.object, _key(sorted(change.match.items()))) for change in changes}):
            rows = self._results("POST", path, len(changes), json=body)
        return [_outcome(change, row, operation) for change, row in zip(changes, rows, strict=True)]

    def _write_list(self, part: str, batch: Batch) -> list[Outcome]:
        removing = batch.operation is Operation.DELETE
        if not removing and any(change.fields for change in batch.changes):
            raise FatalError("a static list holds leads, not fields: map `match` alone", code="fields")
        ids, outcomes = self._lead_ids(batch.changes, Status.MISSING if removing else Status.REJECTED)
        if not ids:
            return outcomes
        unique = list(dict.fromkeys(ids.values()))
        path = f"/rest/v1/lists/{part}/leads.json"
        rows = self._call("DELETE" if removing else "POST", path, params={"id": unique})["result"]
        return outcomes + _by_lead(batch.changes, ids, rows, batch.operation)

    def _write_program(self, part: str, batch: Batch) -> list[Outcome]:
        path = f"/rest/v1/programs/{part}/members"
        if batch.operation is Operation.DELETE:
            ids, outcomes = self._lead_ids(batch.changes, Status.MISSING)
            changes = [change for change in batch.changes if change.seq in ids]
            return outcomes + self._members(f"{path}/delete.json", changes, ids, {}, batch.operation)
        ids, outcomes = self._lead_ids(batch.changes, Status.REJECTED)
        groups: dict[str | None, list[Change]] = {}
        for change in batch.changes:
            if change.seq in ids:
                groups.setdefault(change.fields.get("statusName"), []).append(change)
        for change in groups.pop(None, []):
            message = "field `statusName` has no value, and a member must have one"
            outcomes.append(Outcome(change.seq, Status.REJECTED, change.id, _LACKING, message))
        for status, group in groups.items():
            given = self._members(f"{path}/status.json", group, ids, {"statusName": status}, batch.operation)
            outcomes += self._past(path, given, ids, str(status))
        return self._member_fields(path, batch, ids, outcomes)

    def _members(
        self,
        path: str,
        changes: Sequence[Change],
        ids: Mapping[int, int],
        more: Mapping[str, Any],
        operation: Operation,
    ) -> list[Outcome]:
        if not changes:
            return []
        body = {**more, "input": [{"leadId": ids[change.seq]} for change in changes]}
        rows = self._results("POST", path, len(changes), json=body)
        return [
            _outcome(change, row, operation)._replace(id=str(ids[change.seq]))
            for change, row in zip(changes, rows, strict=True)
        ]

    def _past(self, path: str, outcomes: Sequence[Outcome], ids: Mapping[int, int], wanted: str) -> list[Outcome]:
        """Members that are "already in or past" a status are unchanged in the first case, and refused in the second."""
        skipped = [ids[outcome.seq] for outcome in outcomes if outcome.code == _PAST]
        if not skipped:
            return list(outcomes)
        query = _filter("leadId", skipped, ["leadId", "statusName"])
        held = {str(row.get("leadId")): row.get("statusName") for row in self._pages(f"{path}.json", query)}
        return [
            Outcome(outcome.seq, Status.UNCHANGED, outcome.id)
            if outcome.code == _PAST and held.get(str(ids[outcome.seq])) == wanted
            else outcome
            for outcome in outcomes
        ]

    def _member_fields(
        self, path: str, batch: Batch, ids: Mapping[int, int], outcomes: Sequence[Outcome]
    ) -> list[Outcome]:
        """Write the other fields of those that are members now; a refusal of them replaces the outcome."""
        settled = {outcome.seq: outcome for outcome in outcomes}
        records = [
            (change, {**fields, "leadId": ids[change.seq]})
            for change in batch.changes
            if settled[change.seq].status.accepted
            and (fields := {name: value for name, value in change.fields.items() if name != "statusName"})
        ]
        if records:
            body = {"input": [record for _, record in records]}
            rows = self._results("POST", f"{path}.json", len(records), json=body)
            for (change, _), row in zip(records, rows, strict=True):
                outcome = _outcome(change, row, batch.operation)
                if not outcome.status.accepted:
                    settled[change.seq] = outcome
                elif settled[change.seq].status is Status.UNCHANGED:
                    settled[change.seq] = settled[change.seq]._replace(status=Status.UPDATED)
        return list(settled.values())

    def _append(self, kind: Mapping[str, Any], changes: Sequence[Change]) -> list[Outcome]:
        given = [
            change._replace(match={"leadId": change.fields["leadId"]}) if "leadId" in change.fields else change
            for change in changes
        ]
        ids, outcomes = self._lead_ids(given, Status.REJECTED)
        primary = str((kind.get("primaryAttribute") or {}).get("apiName"))
        records = []
        for change in changes:
            lacking = [name for name in ("activityDate", primary) if change.fields.get(name) in (None, "")]
            if change.seq in ids and lacking:
                message = f"an activity needs a value for `{'` and `'.join(map(str, lacking))}`"
                outcomes.append(Outcome(change.seq, Status.REJECTED, None, _LACKING, message))
            elif change.seq in ids:
                records.append((change, _activity_record(kind, change.fields, ids[change.seq])))
        if not records:
            return outcomes
        body = {"input": [record for _, record in records]}
        rows = self._results("POST", "/rest/v1/activities/external.json", len(records), json=body)
        pairs = zip(records, rows, strict=True)
        return outcomes + [_outcome(change, row, Operation.APPEND) for (change, _), row in pairs]

    # -- imports -------------------------------------------------------------------------------------

    def submit(self, batch: Batch, started: Callable[[str], None]) -> None:
        """Import what can stand in a file; poll() writes the rest record by record."""
        rows, _ = _in_file(batch.changes)
        if not rows:
            started(_NO_FILE)
            return
        field = next(iter(rows[0].match))
        _check_match(field in ("id", "marketoGUID"), batch.operation, field)
        content = _csv(rows)
        if len(content) > _FILE_BYTES:
            raise BatchRejectedError(
                f"a file of {len(content)} bytes, where Marketo takes less than 10 MB", code=_TOO_LARGE
            )
        form = requests.Request("POST", self._base_url, files={"file": ("records.csv", content, "text/csv")}).prepare()
        query = {"format": "csv"}
        if batch.object == _LEADS:
            query["lookupField"] = field
            if self.config.partition is not None:
                query["partitionName"] = self.config.partition
        path = f"{_import_path(batch.object)[0]}.json"
        body = self._call(
            "POST", path, params=query, data=form.body, headers={"Content-Type": form.headers["Content-Type"]}
        )
        job = next((row.get("batchId") for row in body["result"]), None)
        if job is None:
            raise UnknownOutcomeError("Marketo's answer does not name the import", code="results")
        started(str(job))

    def poll(self, batch: Batch, job: str) -> Iterable[Outcome] | Pending:
        """The outcomes of the file, and those of the rest, of which each call writes one request's worth."""
        known = batch.namespace, batch.changes[0].seq, job
        done = self._polled.setdefault(known, {})
        if job != _NO_FILE and not done:
            state = self._import(batch.object, job)
            status = state.get("status")
            if status in ("Queued", "Importing"):
                return Pending(self.config.import_poll_seconds)
            if status == "Complete":
                rows, _ = _in_file(batch.changes)
                done.update({outcome.seq: outcome for outcome in self._imported(batch.object, job, state, rows)})
            # What an import that failed, or is forgotten, has not done is written now: an upsert can be repeated.
        left = [change for change in batch.changes if change.seq not in done]
        if left:
            done.update({outcome.seq: outcome for outcome in self._write_or_halve(batch, left[:BATCH])})
        if len(left) > BATCH:
            return Pending(0.0)
        return list(self._polled.pop(known).values())

    def _import(self, object_name: str, job: str) -> Mapping[str, Any]:
        """What Marketo says of an import; nothing when it does not know it (any more)."""
        try:
            found = self._call("GET", _import_path(object_name)[1].format(quote(job, safe="")))["result"]
        except (BatchRejectedError, FatalError) as error:
            if error.code in _NO_SUCH_OBJECT:
                return {}
            raise
        return found[0] if found else {}

    def _imported(self, object_name: str, job: str, state: Mapping[str, Any], rows: Sequence[Change]) -> list[Outcome]:
        """The outcomes of a file, from the counts and from the files of rows that failed or were warned of."""
        failed, warned = int(state.get("numOfRowsFailed") or 0), int(state.get("numOfRowsWithWarning") or 0)
        done = int(state.get("numOfLeadsProcessed") or state.get("numOfObjectsProcessed") or 0)
        failures = self._reasons(object_name, job, "failures", rows) if failed else {}
        warnings = self._reasons(object_name, job, "warnings", rows) if warned else {}
        doubt = None
        if len(failures) != failed:
            doubt = f"the import names {len(failures)} of {failed} failed rows"
        elif done + failed != len(rows):
            doubt = f"the import speaks of {done + failed} of {len(rows)} rows"
        return [_imported_outcome(change, failures, warnings, doubt) for change in rows]

    def _reasons(self, object_name: str, job: str, which: str, rows: Sequence[Change]) -> dict[int, str]:
        """Marketo's words for rows of the file, by `seq`: the rows come back with the reason as their last column."""
        path = _import_path(object_name)[2].format(quote(job, safe=""), which)
        response = self.request("GET", path)
        if json_or_empty(response).get("errors"):
            raise _refusal(json_or_empty(response), response)
        text = response.content.decode("utf-8-sig", "replace")
        by_match = {tuple(_key(json_text(value)) for value in change.match.values()): change.seq for change in rows}
        names = list(rows[0].match)
        reasons = {}
        for item in csv.DictReader(io.StringIO(text, newline="")):
            seq = by_match.get(tuple(_key(item.get(name)) for name in names))
            reason = next((value for name, value in reversed(item.items()) if isinstance(value, str)), "")
            if seq is not None:
                reasons[seq] = reason or "Marketo gives no reason"
        return reasons

    def _write_or_halve(self, batch: Batch, changes: Sequence[Change]) -> list[Outcome]:
        """The outcomes of a write, or of its halves where it is refused because of some of its records."""
        try:
            return list(self.write(replace(batch, changes=changes)))
        except BatchRejectedError as error:
            if len(changes) == 1:
                return [Outcome(changes[0].seq, Status.REJECTED, changes[0].id, error.code, str(error))]
        half = len(changes) // 2
        return self._write_or_halve(batch, changes[:half]) + self._write_or_halve(batch, changes[half:])


class _Token:
    """The access token, asked for when there is none or when its time is over; one request however many threads."""

    def __init__(self, identify: Callable[[], tuple[str, float]]) -> None:
        self._identify = identify
        self._lock = threading.Lock()
        self._known: tuple[str, float] | None = None

    def value(self) -> str:
        with self._lock:
            if self._known is None or time.monotonic() >= self._known[1]:
                token, seconds = self._identify()
                self._known = token, time.monotonic() + seconds
            return self._known[0]

    def known(self) -> str:
        """The token that was asked for last, for a request that is on its way."""
        known = self._known
        return self.value() if known is None else known[0]

    def forget(self) -> None:
        with self._lock:
            self._known = None


class _InFlight:
    """Keys that are being written. Marketo may make two leads of two upserts of one key that meet: the second waits."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._keys: set[tuple[str, str]] = set()

    @contextmanager
    def hold(self, keys: set[tuple[str, str]]) -> Iterator[None]:
        with self._condition:
            self._condition.wait_for(lambda: self._keys.isdisjoint(keys))
            self._keys |= keys
        try:
            yield
        finally:
            with self._condition:
                self._keys -= keys
                self._condition.notify_all()


# -- names -------------------------------------------------------------------------------------------


def _opened(name: str) -> tuple[str, str]:
    """The two parts of an open name such as `lists/1021`; empty texts for another name."""
    found = _OPEN.fullmatch(name)
    return ("", "") if found is None else (found[1] or found[3], found[2] or found[4])


def _table(name: str) -> _Table | None:
    kind, part = _opened(name)
    if kind == "customObjects":
        return _Table(f"customobjects/{quote(part, safe='')}", "marketoGUID")
    return _TABLES.get(name)


def _import_path(name: str) -> tuple[str, str, str]:
    """Where an import is handed in, asked after (`{}` is its id), and explained (`{}`: failures or warnings)."""
    if name == _LEADS:
        return "/bulk/v1/leads", "/bulk/v1/leads/batch/{}.json", "/bulk/v1/leads/batch/{}/{}.json"
    path = f"/bulk/v1/customobjects/{quote(_opened(name)[1], safe='')}/import"
    return path, path + "/{}/status.json", path + "/{}/{}.json"


def _check_match(by_id: bool, operation: Operation, field: str) -> None:
    if by_id and operation in (Operation.UPSERT, Operation.CREATE):
        raise FatalError(
            f"Marketo assigns `{field}` itself, so that nothing can be created by it: match on another field, or use "
            "`mode: update`",
            code="match",
        )


def _known_id(change: Change) -> tuple[int | None, bool]:
    """The lead's id where it is known, and whether one is given at all: what is no number names no lead."""
    given = (
        change.id if change.id is not None else next((change.match[n] for n in _LEAD_IDS if n in change.match), None)
    )
    if given is None:
        return None, any(name in change.match for name in _LEAD_IDS)
    text = str(given)
    return (int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None), True


def _numbered(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record whose ids of leads, companies and sales persons are numbers, as lookups do not give them."""
    return {
        name: int(value) if name in _LEAD_IDS and re.fullmatch(r"[0-9]{1,18}", str(value)) else value
        for name, value in record.items()
    }


def _without_ids(match: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in match.items() if name not in _LEAD_IDS}


def _key(value: Any) -> str:
    """Match values as Marketo tells them apart: without regard to case."""
    return "" if value is None else str(value).casefold()


def _filter(match: str, values: Sequence[Any], fields: Sequence[str]) -> dict[str, Any]:
    texts = [json_text(value) for value in values]
    if any("," in text for text in texts):
        raise FatalError(
            f"a value of `{match}` holds a comma, and Marketo's queries separate values by commas: match on a field "
            "without commas",
            code="match",
        )
    return {
        "filterType": match,
        "filterValues": ",".join(texts),
        "fields": ",".join(dict.fromkeys(fields)),
        "batchSize": BATCH,
    }


# -- outcomes ----------------------------------------------------------------------------------------

_ACTIONS: Mapping[Operation, str] = {
    Operation.UPSERT: "createOrUpdate",
    Operation.UPDATE: "updateOnly",
    Operation.CREATE: "createOnly",
}
_DONE: Mapping[str, Status] = {
    "created": Status.CREATED,
    "updated": Status.UPDATED,
    "added": Status.CREATED,
    "deleted": Status.DELETED,
    "removed": Status.DELETED,
}
_LACKING, _NO_LEAD, _SEVERAL, _TOO_LARGE = "1002", "1004", "1007", "413"  # where we say what Marketo would
_PAST = "1037"  # of a program member: already in or past this status
_GONE = frozenset({"1004", "1013", "1015", _PAST})  # of an update or a removal: no such record, or no member
_PASSING = frozenset({"502", "604", "606", "608", "611", "614", "615", "713", "719", "1016", "1019", "1029"})
_NO_SUCH_OBJECT = frozenset({"610", "702", "1003", "1013"})
_ERRORS: Mapping[str, type[DestinationError]] = {
    **dict.fromkeys(("601", "602"), UnauthorizedError),
    **dict.fromkeys(("606", "615"), RateLimitedError),
    **dict.fromkeys(("500", "502"), UnknownOutcomeError),
    **dict.fromkeys(("604", "608", "611", "614", "713", "719", "1016", "1019", "1029"), RetryableError),
    **dict.fromkeys(("703", "1006", "1011", "1013", "1018", "1026"), FatalError),
    "607": QuotaExhaustedError,
    "609": BatchRejectedError,
}
"""Codes of refusals; other 6xx are fatal, and anything else is taken for a record's fault."""
_HINTS: Mapping[str, str] = {
    "603": "the API user's role lacks a permission, or the address is not on the allowlist",
    "1018": "a native CRM sync owns these records: write them to the CRM",
}


def _refusal(body: Mapping[str, Any], response: requests.Response) -> DestinationError:
    """A refusal as an error: the first one that Marketo lists decides."""
    errors = [item for item in body.get("errors") or [] if isinstance(item, Mapping)]
    code = str(errors[0].get("code")) if errors else "unknown"
    words = "; ".join(str(item.get("message")) for item in errors) or "refused without a reason"
    message = f"{words} ({hint})" if (hint := _HINTS.get(code)) else words
    kind = _ERRORS.get(code, FatalError if re.fullmatch(r"6\d\d", code) else BatchRejectedError)
    wait = retry_after(response)
    if wait is None and code == "606":
        seconds = re.search(r"in '?(\d+)'? secs", words)  # the window of the limit
        wait = float(seconds[1]) if seconds else None
    elif wait is None and code == "1016":
        wait = _QUEUE_WAIT
    request_id = body.get("requestId")
    return kind(message, code=code, request_id=None if request_id is None else str(request_id), retry_after=wait)


def _reason(row: Mapping[str, Any]) -> tuple[str | None, str]:
    reasons = [item for item in row.get("reasons") or row.get("errors") or [] if isinstance(item, Mapping)]
    code = str(reasons[0]["code"]) if reasons and "code" in reasons[0] else None
    return code, "; ".join(str(item.get("message")) for item in reasons) or "skipped without a reason"


def _outcome(change: Change, row: Mapping[str, Any], operation: Operation) -> Outcome:
    given = next((row[name] for name in ("id", "marketoGUID", "leadId") if row.get(name) is not None), None)
    known = change.id if given is None else str(given)
    status = _DONE.get(str(row.get("status")))
    if status is not None:
        return Outcome(change.seq, status, known)
    code, message = _reason(row)
    if row.get("status") != "skipped" and code is None:
        return Outcome(change.seq, Status.UNKNOWN, known, "unlisted", "Marketo does not say what it did")
    if code in _PASSING:
        return Outcome(change.seq, Status.RETRY, known, code, message)
    missing = code in _GONE and operation in (Operation.UPDATE, Operation.DELETE)
    return Outcome(change.seq, Status.MISSING if missing else Status.REJECTED, known, code, message)


def _by_lead(
    changes: Sequence[Change], ids: Mapping[int, int], rows: Sequence[Mapping[str, Any]], operation: Operation
) -> list[Outcome]:
    """The outcomes of changes whose results name the lead."""
    by_id = {str(row.get("id")): row for row in rows}
    if not by_id:
        raise UnknownOutcomeError("Marketo's answer has no results", code="results")
    unlisted: Mapping[str, Any] = {}
    found = [change for change in changes if change.seq in ids]
    return [_outcome(c._replace(id=str(ids[c.seq])), by_id.get(str(ids[c.seq]), unlisted), operation) for c in found]


def _imported_outcome(
    change: Change, failures: Mapping[int, str], warnings: Mapping[int, str], doubt: str | None
) -> Outcome:
    if change.seq in failures:
        return Outcome(change.seq, Status.REJECTED, change.id, "import", failures[change.seq])
    if doubt is not None:
        return Outcome(change.seq, Status.UNKNOWN, change.id, "unlisted", doubt)
    if change.seq in warnings:
        return Outcome(change.seq, Status.ACCEPTED, change.id, None, warnings[change.seq])
    return Outcome(change.seq, Status.ACCEPTED, change.id)


# -- import files ------------------------------------------------------------------------------------


def _in_file(changes: Sequence[Change]) -> tuple[list[Change], list[Change]]:
    """Changes that can stand in one file, and the others.

    A file has the same columns for all its rows: most changes that fill the same fields make it. What cells that are
    empty, say "null", have blanks around them or break the line come to is not documented: such changes are others. The
    same changes are always parted in the same way.
    """
    groups: dict[tuple[str, ...], list[Change]] = {}
    rest: list[Change] = []
    for change in changes:
        record = {**change.match, **change.fields}
        if change.match and all(value is not None and _is_plain(json_text(value)) for value in record.values()):
            groups.setdefault(tuple(sorted(record)), []).append(change)
        else:
            rest.append(change)
    if not groups:
        return [], rest
    columns = max(groups, key=lambda names: (len(groups[names]), names))
    rest += [change for names, group in groups.items() if names != columns for change in group]
    return groups[columns], rest


def _is_plain(text: str) -> bool:
    return text != "" and text == text.strip() and "\n" not in text and "\r" not in text and text.lower() != "null"


def _csv(changes: Sequence[Change]) -> bytes:
    """A file with the match fields first."""
    first = changes[0]
    names = [*first.match, *sorted(name for name in first.fields if name not in first.match)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for change in changes:
        record = {**change.match, **change.fields}
        writer.writerow([json_text(record[name]) for name in names])
    return text.getvalue().encode()


# -- fields and values -------------------------------------------------------------------------------


def _field(item: Mapping[str, Any], described: Mapping[str, Any], table: _Table | None) -> FieldInfo:
    name, kind = str(item["name"]), str(item.get("dataType"))
    searchable = {names[0] for names in described.get("searchableFields") or [] if len(names) == 1}
    dedupe = described.get("dedupeFields") or []
    length = item.get("length")
    return FieldInfo(
        name=name,
        type=kind,
        label=item.get("displayName"),
        # What tells records apart cannot be changed, but has to be given.
        writable=bool(item.get("updateable")) or name in dedupe,
        unique=name in searchable if table is None else name in (*dedupe, table.id_field),
        max_length=int(length) if isinstance(length, int) else None,
    )


def _activity_fields(kind: Mapping[str, Any]) -> list[FieldInfo]:
    primary = kind.get("primaryAttribute") or {}
    attributes = [item for item in kind.get("attributes") or [] if item.get("apiName") != primary.get("apiName")]
    own = [
        FieldInfo(str(item["apiName"]), str(item.get("dataType")), item.get("name"), required=item is primary)
        for item in [primary, *attributes]
        if "apiName" in item
    ]
    fixed = [
        FieldInfo("leadId", "integer", "Lead Id", unique=True),
        FieldInfo("activityDate", "datetime", "Activity Date", required=True),
    ]
    return fixed + own


def _activity_record(kind: Mapping[str, Any], fields: Mapping[str, Any], lead: int) -> dict[str, Any]:
    primary = kind["primaryAttribute"]["apiName"]
    fixed = ("leadId", "activityDate", primary)
    return {
        "leadId": lead,
        "activityDate": fields["activityDate"],
        "activityTypeId": kind["id"],
        "primaryAttributeValue": json_text(fields[primary]),
        "attributes": [
            {"apiName": name, "value": value}
            for name, value in fields.items()
            if name not in fixed and value not in (None, "")
        ],
    }


_CREATED: Mapping[ColumnType, str] = {
    ColumnType.TEXT: "string",
    ColumnType.INTEGER: "integer",
    ColumnType.DECIMAL: "float",
    ColumnType.FLOAT: "float",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.DATE: "date",
    ColumnType.TIMESTAMP: "datetime",
    ColumnType.TIMESTAMPTZ: "datetime",
    ColumnType.TIME: "string",
    ColumnType.NESTED: "string",
}
_LENGTHS: Mapping[str, int] = {"string": 255}
_WHOLE = frozenset({"integer", "percent", "score"})
_TEXTS = frozenset({"string", "text", "email", "phone", "url"})
_TEXT_BYTES = 30_000


def _encoder(column: ColumnType, info: FieldInfo | None) -> Encoder:
    kind = None if info is None else info.type.lower()
    if column in (ColumnType.TIMESTAMP, ColumnType.TIMESTAMPTZ):
        write: Callable[[Any], Any] = utc_day if kind == "date" else _moment
    elif column is ColumnType.DATE:
        write = _midnight if kind == "datetime" else date.isoformat
    elif column in (ColumnType.DECIMAL, ColumnType.FLOAT):
        write = _whole if kind in _WHOLE else finite
    elif column is ColumnType.TEXT:
        write = _ascii if kind == "email" else _short if kind == "text" else str
    else:
        write = _PLAIN[column]
    if kind in _TEXTS:
        return lambda value: None if value is None else json_text(write(value))
    return lambda value: None if value is None else write(value)


def _moment(value: datetime) -> str:
    return utc_text(value, "seconds") + "Z"


def _midnight(value: date) -> str:
    return f"{value.isoformat()}T00:00:00Z"


def _whole(value: Decimal | float) -> int:
    finite(value)
    if value != int(value):
        raise ValueError(f"{value} is not a whole number, which is all that this Marketo field takes")
    return int(value)


def _ascii(value: str) -> str:
    if not value.isascii():
        raise ValueError("Marketo takes only ASCII characters in e-mail addresses")
    return value


def _short(value: str) -> str:
    if len(value.encode()) > _TEXT_BYTES:
        raise ValueError(f"Marketo takes {_TEXT_BYTES} bytes in a text area")
    return value


_PLAIN: Mapping[ColumnType, Callable[[Any], Any]] = {
    ColumnType.INTEGER: int,
    ColumnType.BOOLEAN: bool,
    ColumnType.TIME: lambda value: str(value.isoformat()),
    ColumnType.NESTED: json_text,
}
