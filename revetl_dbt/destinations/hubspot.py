"""HubSpot: contacts, companies, deals, tickets and custom objects, through the batch endpoints of the CRM API.

Facts are from https://developers.hubspot.com/docs (guides and references of the CRM objects, properties and account
information APIs, "Error handling", "Usage guidelines") and from the OpenAPI description in
github.com/HubSpot/HubSpot-public-api-spec-collection:

- a batch holds at most 100 records; with an `objectWriteTraceId` on each, one bad record does not fail the others
(207); - results come in any order; - property values are text, and the empty text clears; dates are days in UTC,
moments ISO 8601 in UTC with milliseconds; - an upsert by `email` must not leave out properties, so records whose id is
known are updated by id; - the API cannot tell a record that is gone from one that never was; archived records can be
restored for 90 days.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec
import requests
from pydantic import Field, SecretStr, model_validator
from requests.auth import AuthBase
from typing_extensions import Self

from revetl_dbt.destinations.base import (
    Account,
    Batch,
    Budget,
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
    QuotaExhaustedError,
    RetryableError,
    Status,
    UnknownOutcomeError,
)
from revetl_dbt.destinations.encoding import finite, utc
from revetl_dbt.destinations.transport import (
    BearerAuth,
    HttpDestination,
    decode_json,
    retry_after,
    status_error,
    to_json,
)

API = "https://api.hubapi.com"
BATCH = 100
RECORD_ID = "hs_object_id"
_LONG_WAIT = 300.0  # seconds; a data-center migration asks for up to a day
_LOCK_WAIT = 2.0  # "locks will last for 2 seconds"


class HubSpotConfig(DestinationConfig):
    """An output of `type: hubspot` in destinations.yml."""

    access_token: SecretStr | None = Field(None, description="Service key, or access token of a private app")
    api_version: str = Field(
        "2026-09",
        pattern=r"^(v3|\d{4}-\d{2}(-beta)?)$",
        description="Version in the paths: a date such as `2026-03`, or `v3` (supported until September 2027)",
    )
    portal_id: int | None = Field(None, description="Refuse to run when the token opens another account than this")

    @model_validator(mode="after")
    def _token(self) -> HubSpotConfig:
        if self.access_token is None and not self.sandbox:
            raise ValueError("`access_token` is missing: a service key, or the token of a private app")
        return self

    def in_sandbox(self, url: str, token: str | None) -> Self:
        return self.model_copy(update={"base_url": url, "access_token": SecretStr(token or "sandbox")})


_STANDARD: Mapping[str, str] = {"contacts": "0-1", "companies": "0-2", "deals": "0-3", "tickets": "0-5"}
_TYPE_ID = re.compile(r"\d+-\d+")
_CUSTOM = re.compile(r"p\d*_\w+")

_LIMITS = Limits(BATCH)
_UNSUPPORTED: Mapping[Operation, str] = {
    Operation.DELETE: (
        "HubSpot's API moves records to the recycling bin, where a person can restore them for 90 days: use `archive`. "
        "Its permanent (GDPR) delete takes one contact at a time and can bar the address for ever"
    ),
    Operation.APPEND: "HubSpot objects hold records, not events: use `create` or `upsert`",
}


def _object_type(name: str) -> ObjectType:
    return ObjectType(
        name=name,
        operations={
            Operation.UPSERT: _LIMITS,
            Operation.UPDATE: _LIMITS,
            Operation.CREATE: _LIMITS,
            Operation.ARCHIVE: _LIMITS,
        },
        idempotent=frozenset({Operation.UPSERT, Operation.UPDATE, Operation.ARCHIVE}),
        match_ignores_case=True,  # e-mail addresses are kept in lower case
        reads=True,
        described=True,
        unsupported=_UNSUPPORTED,
    )


class HubSpot(HttpDestination):
    """Records of a HubSpot account."""

    type: ClassVar[str] = "hubspot"
    Config = HubSpotConfig

    def __init__(self, config: HubSpotConfig, gate: Any) -> None:
        super().__init__(config, gate)
        self._auth = BearerAuth(lambda: config.access_token.get_secret_value() if config.access_token else "sandbox")
        self._place: tuple[str, str] | None = None  # UI domain and portal id, once the account has been asked

    def base_url(self) -> str:
        return self.config.base_url or API

    def auth(self) -> AuthBase:
        return self._auth

    def objects(self) -> Sequence[ObjectType]:
        return [_object_type(name) for name in _STANDARD]

    def object_type(self, name: str) -> ObjectType | None:
        """Standard objects by name, any object by type id (`2-123`) or, for a custom one, fully qualified name
        (`p123_car`).
        """
        known = name in _STANDARD or _TYPE_ID.fullmatch(name) or _CUSTOM.fullmatch(name)
        return _object_type(name) if known else None

    def check(self) -> Account:
        body = decode_json(self.request("GET", f"/account-info/{self.config.api_version}/details"))
        portal = body.get("portalId") if isinstance(body, Mapping) else None
        if portal is None:
            raise UnknownOutcomeError("HubSpot's account details name no account")
        if self.config.portal_id not in (None, portal):
            raise FatalError(f"the access token opens account {portal}, not {self.config.portal_id}", code="portal_id")
        self._place = (str(body.get("uiDomain") or "app.hubspot.com"), str(portal))
        return Account(str(portal), body.get("portalName"), f"https://{self._place[0]}/contacts/{portal}")

    def describe(self, object: str) -> Sequence[FieldInfo]:  # noqa: A002 - the contract's word
        response = self.send("GET", self._versioned("properties", object))
        if response.status_code in (400, 404):
            raise FatalError(
                f"HubSpot has no object `{object}`", code="object", request_id=_correlation(_json(response))
            )
        if response.status_code != 200:
            raise self.error(response)
        return [_field(object, item) for item in _results(decode_json(response), "name")]

    def encoder(self, column: ColumnType, info: FieldInfo | None) -> Encoder:
        return _encoder(column, info.type if info is not None else None)

    def record_url(self, object: str, id: str) -> str | None:  # noqa: A002 - the contract's words
        type_id = _STANDARD.get(object, object)
        if self.config.sandbox or self._place is None or not _TYPE_ID.fullmatch(type_id):
            return None
        domain, portal = self._place
        return f"https://{domain}/contacts/{portal}/record/{type_id}/{quote(id, safe='')}"

    def write(self, batch: Batch) -> Iterable[Outcome]:
        changes = batch.changes
        if not changes:
            return []
        if len(changes) > BATCH:
            raise ValueError(f"a batch of {len(changes)} exceeds the limit of {BATCH}")
        if batch.operation is Operation.UPSERT:
            return self._upsert(batch.object, changes)
        if batch.operation is Operation.CREATE:
            return self._send(_Request("create", changes, {}), batch.object)
        ids = _known_ids(changes)
        ids.update(self._ids(batch.object, [change for change in changes if change.seq not in ids]))
        outcomes = [_missing(change) for change in changes if change.seq not in ids]
        there = [change for change in changes if change.seq in ids]
        if there and batch.operation is Operation.ARCHIVE:
            outcomes += self._archive(batch.object, ids)
        elif there:
            outcomes += self._send(_Request("update", there, ids), batch.object)
        return outcomes

    def read(
        self,
        object: str,  # noqa: A002 - the contract's word
        match: str,
        values: Sequence[Any],
        fields: Sequence[str],
    ) -> Iterable[Found]:
        if not values:
            return []
        wanted = {_key(value): value for value in values}
        body = self._ask(object, match, list(wanted.values()), fields)
        return [
            Found(str(item["id"]), wanted[key], {name: properties.get(name) for name in fields})
            for item in _results(body)
            for properties in [item.get("properties") or {}]
            for key in _keys(item, properties, match)
            if key in wanted
        ]

    def _ask(self, object_name: str, match: str, values: Sequence[Any], fields: Sequence[str]) -> Any:
        """The answer of batch/read: results, and in `errors` what was not found."""
        # A contact is found by its other addresses too, and then says another `email` than it was asked for.
        others = ["hs_additional_emails"] if match == "email" else []
        query: dict[str, Any] = {
            "inputs": [{"id": str(value)} for value in values],
            "properties": [*dict.fromkeys([*fields, match, *others])],
            "propertiesWithHistory": [],
        }
        if match != RECORD_ID:
            query["idProperty"] = match
        return decode_json(self.request("POST", self._batch(object_name, "read"), json=query))

    def error(self, response: requests.Response) -> DestinationError:
        body = _json(response)
        status, wait = response.status_code, retry_after(response)
        message, code = _reason(body)
        kind: type[DestinationError] = status_error(status)
        if status == 429:
            message = message or "too many requests"
            if _policy(body) == "DAILY":
                kind = QuotaExhaustedError
            elif wait is None:
                wait = 1.0 if _policy(body) == "SECONDLY" else 10.0
        elif status == 477:
            kind = QuotaExhaustedError if wait is None or wait > _LONG_WAIT else RetryableError
            message = message or "the account is being moved to another data center"
        elif status == 423:
            wait = max(wait or 0.0, _LOCK_WAIT)
        elif status in (521, 523):
            kind = RetryableError  # HubSpot's front door did not reach its servers
        elif status == 400 and code in _SETUP_CODES:
            kind = FatalError
        return kind(
            message or f"{status} {response.reason}",
            code=code or str(status),
            request_id=_correlation(body),
            retry_after=wait,
        )

    def budget(self, response: requests.Response) -> Budget | None:
        remaining = response.headers.get("X-HubSpot-RateLimit-Remaining", "")
        interval = response.headers.get("X-HubSpot-RateLimit-Interval-Milliseconds", "")
        if not (remaining.isdecimal() and interval.isdecimal()):
            return None
        return Budget(int(remaining), int(interval) / 1000)

    def _versioned(self, api: str, object_name: str) -> str:
        version, name = self.config.api_version, quote(object_name, safe="")
        return f"/crm/v3/{api}/{name}" if version == "v3" else f"/crm/{api}/{version}/{name}"

    def _batch(self, object_name: str, action: str) -> str:
        return f"{self._versioned('objects', object_name)}/batch/{action}"

    def _upsert(self, object_name: str, changes: Sequence[Change]) -> list[Outcome]:
        # A failure of the second request raises for both: repeating the first does no harm.
        ids = _known_ids(changes)
        known = [change for change in changes if change.seq in ids]
        others = [change for change in changes if change.seq not in ids]
        outcomes = self._send(_Request("update", known, ids), object_name) if known else []
        return outcomes + (self._send(_Request("upsert", others, {}), object_name) if others else [])

    def _send(self, request: _Request, object_name: str) -> list[Outcome]:
        response = self.request("POST", self._batch(object_name, request.action), json={"inputs": request.inputs()})
        body = decode_json(response)
        outcomes = request.outcomes(_results(body), body.get("errors") or [])
        unlisted = [change for change in request.changes if change.seq not in outcomes]
        if unlisted and request.action == "update":
            gone = self._gone(object_name, {request.ids[change.seq] for change in unlisted})
            outcomes.update({change.seq: _missing(change) for change in unlisted if request.ids[change.seq] in gone})
        if not outcomes:
            raise UnknownOutcomeError(
                f"{response.status_code} without results: HubSpot does not say what it did", code="empty"
            )
        unknown = "HubSpot's answer does not mention this record"
        return [
            outcomes.get(change.seq) or Outcome(change.seq, Status.UNKNOWN, change.id, "unlisted", unknown)
            for change in request.changes
        ]

    def _gone(self, object_name: str, ids: Collection[str]) -> set[str]:
        """Which of the ids that an update did not mention have no record: HubSpot may leave those out of its answer."""
        try:
            body = self._ask(object_name, RECORD_ID, list(ids), ())
            found = {str(item["id"]) for item in _results(body)}
        except DestinationError:
            return set()  # asked after the write, and only to know more: these stay unknown
        return set(ids) - found if body.get("errors") else set()

    def _archive(self, object_name: str, ids: Mapping[int, str]) -> list[Outcome]:
        inputs = [{"id": known} for known in dict.fromkeys(ids.values())]
        response = self.request("POST", self._batch(object_name, "archive"), json={"inputs": inputs})
        refused = _refused(response)
        return [
            Outcome(seq, Status.REJECTED, known, *refused[known])
            if known in refused
            else Outcome(seq, Status.DELETED, known)
            for seq, known in ids.items()
        ]

    def _ids(self, object_name: str, changes: Sequence[Change]) -> dict[int, str]:
        """The ids of those records that exist, by `seq`."""
        by_field: dict[str, dict[str, list[Change]]] = {}
        for change in changes:
            for field, value in list(change.match.items())[:1]:
                by_field.setdefault(field, {}).setdefault(_key(value), []).append(change)
        return {
            change.seq: found.id
            for field, asked in by_field.items()
            for found in self.read(object_name, field, [group[0].match[field] for group in asked.values()], ())
            for change in asked[_key(found.match)]
        }


@dataclass(frozen=True, slots=True)
class _Request:
    """Changes for one batch endpoint."""

    action: str  # create, update or upsert
    changes: Sequence[Change]
    ids: Mapping[int, str]  # of an update: the record of each `seq`

    def inputs(self) -> list[dict[str, Any]]:
        return [self.input(change) for change in self.changes]

    def input(self, change: Change) -> dict[str, Any]:
        given = {"properties": _properties(change), "objectWriteTraceId": str(change.seq)}
        if self.action == "create":
            return {**given, "associations": []}
        if self.action == "update":
            return {**given, "id": self.ids[change.seq]}
        if not change.match or RECORD_ID in change.match:
            raise FatalError(
                f"an upsert needs a property that tells records apart, and HubSpot assigns `{RECORD_ID}` itself: "
                "match on another property, or use `mode: update`",
                code="match",
            )
        field, value = next(iter(change.match.items()))
        return {**given, "id": str(value), "idProperty": field}

    def outcomes(self, results: Sequence[Mapping[str, Any]], errors: Sequence[Mapping[str, Any]]) -> dict[int, Outcome]:
        """What the answer says, by `seq`; a record that it does not mention is left out."""
        owners = _Owners(self.changes, self.ids)
        failed = {change.seq: self.failed(change, item) for item in errors for change in owners.of_error(item)}
        outcomes: dict[int, Outcome] = {}
        for seq, item in owners.of_results(results, failed).items():
            outcomes[seq] = Outcome(seq, self.status(item), None if item is None else str(item["id"]))
        return {**failed, **outcomes}

    def status(self, item: Mapping[str, Any] | None) -> Status:
        if self.action != "upsert":
            return Status.CREATED if self.action == "create" else Status.UPDATED
        if item is None or "new" not in item:
            return Status.ACCEPTED
        return Status.CREATED if item["new"] else Status.UPDATED

    def failed(self, change: Change, item: Mapping[str, Any]) -> Outcome:
        message, code = _reason(item)
        category = item.get("category")
        if category == "OBJECT_NOT_FOUND" and self.action == "update":
            status = Status.MISSING
        else:
            status = Status.RETRY if category == "RATE_LIMITS" else Status.REJECTED
        return Outcome(change.seq, status, change.id, code, message or "refused without a reason")


class _Owners:
    """Whose a result or an error is; never by order.

    An upsert repeats the trace id of each record. The answers to create and update do not (see the example in "Error
    handling"), but hold the record's id and its properties.
    """

    def __init__(self, changes: Sequence[Change], ids: Mapping[int, str]) -> None:
        self._changes = changes
        self._by_trace = {str(change.seq): change for change in changes}
        self._by_id = {ids[change.seq]: change for change in changes if change.seq in ids}
        self._by_value = {
            (field, _key(value)): change for change in changes for field, value in change.match.items() if value
        }

    def of_error(self, item: Mapping[str, Any]) -> list[Change]:
        context = item.get("context") or {}
        traced = [found for trace in _texts(context.get("objectWriteTraceId")) if (found := self._by_trace.get(trace))]
        if traced:
            return traced
        names = {_key(name) for key in ("ids", "id") for name in _texts(context.get(key))} | {_key(item.get("id"))}
        named = [found for known, found in self._by_id.items() if known in names]
        named += [found for (_, value), found in self._by_value.items() if value in names]
        return named or (list(self._changes) if len(self._changes) == 1 else [])

    def of_results(
        self, results: Sequence[Mapping[str, Any]], failed: Collection[int]
    ) -> dict[int, Mapping[str, Any] | None]:
        """The result of each record by `seq`; None where it has one, but which cannot be told."""
        owned: dict[int, Mapping[str, Any] | None] = {}
        loose: dict[str, Mapping[str, Any]] = {}
        for item in results:
            change = self._owner(item)
            if change is not None:
                owned[change.seq] = item
            else:
                loose[str(item["id"])] = item
        rest = [change for change in self._changes if change.seq not in owned and change.seq not in failed]
        rest.sort(key=lambda change: -len(change.fields))  # a record with more properties fits fewer results
        if len(rest) == len(loose):
            for name, item in list(loose.items()):
                fitting = rest[:1] if len(rest) == 1 else [change for change in rest if _fits(change, item)]
                if fitting:
                    owned[fitting[0].seq] = loose.pop(name)
                    rest.remove(fitting[0])
            owned.update(dict.fromkeys((change.seq for change in rest), None))
        return owned

    def _owner(self, item: Mapping[str, Any]) -> Change | None:
        properties = item.get("properties") or {}
        found = self._by_trace.get(str(item.get("objectWriteTraceId"))) or self._by_id.get(str(item["id"]))
        values = ((field, _key(properties.get(field))) for field in self._changes[0].match)
        return found or next((self._by_value[value] for value in values if value in self._by_value), None)


def _fits(change: Change, item: Mapping[str, Any]) -> bool:
    held = item.get("properties") or {}
    return all(_key(held.get(name)) == _key(value) for name, value in _properties(change).items() if value != "")


def _properties(change: Change) -> dict[str, Any]:
    """What is written: HubSpot takes the match property too, and a record found by its id gets a new match value."""
    return {name: value for name, value in {**change.match, **change.fields}.items() if name != RECORD_ID}


def _known_ids(changes: Sequence[Change]) -> dict[int, str]:
    """Record ids by `seq`, from the ledger or from the match value."""
    ids = {change.seq: change.match.get(RECORD_ID) if change.id is None else change.id for change in changes}
    return {seq: str(known) for seq, known in ids.items() if known}


def _missing(change: Change) -> Outcome:
    return Outcome(change.seq, Status.MISSING, None, "OBJECT_NOT_FOUND", "HubSpot has no such record")


def _key(value: Any) -> str:
    """Match values as HubSpot tells them apart: it keeps addresses in lower case."""
    return "" if value is None else str(value).casefold()


def _keys(item: Mapping[str, Any], properties: Mapping[str, Any], match: str) -> list[str]:
    if match == RECORD_ID:
        return [_key(item["id"])]
    others = _texts((properties.get("hs_additional_emails") or "").split(";")) if match == "email" else []
    return [*dict.fromkeys(_key(value) for value in (properties.get(match), *others))]


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _json(response: requests.Response) -> Mapping[str, Any]:
    """The body of an answer that may have none: errors can be HTML pages or plain text."""
    try:
        body = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        return {}
    return body if isinstance(body, Mapping) else {}


def _results(body: Any, key: str = "id") -> list[Mapping[str, Any]]:
    """Raises UnknownOutcomeError when a 2xx answer has no list of results with `key` in each."""
    results = body.get("results") if isinstance(body, Mapping) else None
    if not isinstance(results, list) or not all(isinstance(item, Mapping) and key in item for item in results):
        raise UnknownOutcomeError("HubSpot's answer has no list of results", code="results")
    return results


def _refused(response: requests.Response) -> dict[str, tuple[str | None, str]]:
    """Code and message of the records that an archive refused, by id.

    204 refuses none. Raises UnknownOutcomeError for another success that does not say what it refuses.
    """
    body = {"errors": []} if response.status_code == 204 else decode_json(response)
    errors = body.get("errors") if isinstance(body, Mapping) else None
    if not isinstance(errors, list):
        raise UnknownOutcomeError(
            f"{response.status_code} for an archive, which HubSpot answers with 204", code="empty"
        )
    refused = {}
    for item in errors:
        message, code = _reason(item)
        for name in _texts((item.get("context") or {}).get("ids")):
            refused[name] = (code, message or "refused without a reason")
    return refused


def _correlation(body: Mapping[str, Any]) -> str | None:
    value = body.get("correlationId")
    return None if value is None else str(value)


_SETUP_CODES = frozenset({"PROPERTY_DOESNT_EXIST", "READ_ONLY_VALUE"})
"""Every record of a sync would be refused for these."""


def _reason(body: Mapping[str, Any]) -> tuple[str, str | None]:
    """What is wrong in words, and HubSpot's code for it.

    A message may end in a JSON list with one entry a property; `errors` then says the same, and the scopes that a call
    lacks.
    """
    text = str(body.get("message") or "")
    details = [item for item in body.get("errors") or [] if isinstance(item, Mapping)]
    head, bracket, tail = text.partition(": [{")
    if bracket:
        try:
            details = [
                {
                    "message": item.get("message"),
                    "code": item.get("error"),
                    "context": {"propertyName": [item.get("name")]},
                }
                for item in msgspec.json.decode("[{" + tail)
            ]
            text = head
        except (msgspec.DecodeError, AttributeError):
            pass  # only part of it is JSON: the text stays as it is
    words = [_detail(item) for item in details]
    codes = [str(item["code"]) for item in details if item.get("code")]
    return ": ".join(part for part in (text, "; ".join(filter(None, words))) if part), next(
        iter(codes), body.get("category")
    )


def _detail(item: Mapping[str, Any]) -> str:
    context = item.get("context") or {}
    names = [
        name
        for key in ("propertyName", "requiredGranularScopes", "requiredScopes")
        for name in _texts(context.get(key))
    ]
    named = ", ".join(f"`{name}`" for name in names)
    return ": ".join(part for part in (named, str(item.get("message") or "")) if part)


def _policy(body: Mapping[str, Any]) -> str:
    """Which limit a 429 is about: DAILY, SECONDLY or TEN_SECONDLY_ROLLING; only some answers name it."""
    named = body.get("policyName")
    if named:
        return str(named).upper()
    words = str(body.get("message") or "").lower().split()
    return next((word.upper() for word in ("daily", "secondly") if word in words), "TEN_SECONDLY_ROLLING")


_UNIQUE: Mapping[str, tuple[str, ...]] = {"contacts": (RECORD_ID, "email"), "0-1": (RECORD_ID, "email")}
"""Properties that find a record although the properties API may not call them unique."""


def _field(object_name: str, item: Mapping[str, Any]) -> FieldInfo:
    name, kind = str(item["name"]), str(item.get("type"))
    readable = item.get("modificationMetadata") or {}
    options = tuple(str(option["value"]) for option in item.get("options") or [])
    closed = kind == "enumeration" and options and not item.get("externalOptions")
    return FieldInfo(
        name=name,
        type=kind,
        label=item.get("label"),
        writable=not (readable.get("readOnlyValue") or item.get("calculated")),
        unique=bool(item.get("hasUniqueValue")) or name in _UNIQUE.get(object_name, (RECORD_ID,)),
        options=options if closed else None,
    )


def _encoder(column: ColumnType, kind: str | None) -> Encoder:
    if column is ColumnType.NESTED:
        write: Callable[[Any], str] = _choices if kind == "enumeration" else _json_text
    elif column in (ColumnType.TIMESTAMP, ColumnType.TIMESTAMPTZ):
        write = _utc_day if kind == "date" else _moment
    elif column is ColumnType.DATE:
        write = _midnight if kind == "datetime" else date.isoformat
    else:
        write = _PLAIN[column]
    return lambda value: "" if value is None else write(value)


def _decimal(value: Decimal) -> str:
    return format(finite(value), "f")


def _float(value: float) -> str:
    finite(value)
    return str(int(value)) if value.is_integer() else format(Decimal(repr(value)), "f")


def _moment(value: datetime) -> str:
    moment = utc(value)
    assert moment is not None
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _utc_day(value: datetime) -> str:
    return _moment(value)[:10]


def _midnight(value: date) -> str:
    return f"{value.isoformat()}T00:00:00.000Z"


def _json_text(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value).decode()


def _choices(value: Any) -> str:
    """The values of a checkbox property, which HubSpot separates by semicolons; a leading one would add instead of
    replace.
    """
    if not isinstance(value, list):
        return _json_text(value)
    parts = [_choice(item) for item in value if item is not None]
    if any(not part or ";" in part for part in parts):
        raise ValueError("a value of a HubSpot checkbox property can be neither empty nor hold a semicolon")
    return ";".join(parts)


def _choice(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value).decode()


_PLAIN: Mapping[ColumnType, Callable[[Any], str]] = {
    ColumnType.TEXT: str,
    ColumnType.INTEGER: str,
    ColumnType.DECIMAL: _decimal,
    ColumnType.FLOAT: _float,
    ColumnType.BOOLEAN: lambda value: "true" if value else "false",
    ColumnType.TIME: lambda value: str(value.isoformat()),
}
