"""HubSpot: contacts, companies, deals, tickets and custom objects with their associations, static lists, custom events.

Facts are from https://developers.hubspot.com/docs (guides and references of the CRM objects, properties, associations,
lists, custom events, OAuth and account information APIs, "Error handling", "Usage guidelines") and from the OpenAPI
descriptions in github.com/HubSpot/HubSpot-public-api-spec-collection:

- A batch holds at most 100 records; with an `objectWriteTraceId` on each, one bad record does not fail others (207).
- Results come in any order.
- Property values are text, and the empty text clears; dates are days in UTC, moments ISO 8601 in UTC with milliseconds.
- An upsert by `email` must not leave out properties, so records whose id is known are updated by id.
- The API cannot tell a record that is gone from one that never was; archived records can be restored for 90 days.
- Associations are made by record id. Taking away the unlabelled association of two records takes all labels with it.
- Records join and leave static lists (MANUAL or SNAPSHOT) by id; the answer names those that do not exist.
- A company's domain tells companies apart to people, but is no unique property: only the search finds companies by it.
- A search takes 3,000 characters and lower-case values, five of them a second, and may be some moments behind.
- Of custom events with the same `uuid`, only the first within a year counts.
- The GDPR delete takes one contact a request; given an address that it does not know, it bars that address for ever.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, ClassVar, Literal, NamedTuple
from urllib.parse import quote

import msgspec
import requests
from pydantic import Field, SecretStr, model_validator
from requests.auth import AuthBase
from typing_extensions import Self

from revetl_dbt.destinations.base import (
    Account,
    AllAlike,
    Batch,
    BatchRejectedError,
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
    UnauthorizedError,
    UnknownOutcomeError,
)
from revetl_dbt.destinations.encoding import json_text, number_text, utc_day, utc_text
from revetl_dbt.destinations.transport import (
    BearerAuth,
    HttpDestination,
    NoAuth,
    before_writing,
    decode_json,
    json_or_empty,
    retry_after,
    status_error,
    to_json,
)

API = "https://api.hubapi.com"
BATCH = 100
RECORD_ID = "hs_object_id"
_PAIRS = 1000  # associations a request
_SEARCH_PAGE = 200
_SEARCH_CHARACTERS = 2800  # of 3,000
_EXPIRY_MARGIN = 60.0  # seconds
_LONG_WAIT = 300.0  # seconds; a data-center migration asks for up to a day
_LOCK_WAIT = 2.0  # "locks will last for 2 seconds"


class HubSpotConfig(DestinationConfig):
    """An output of `type: hubspot` in destinations.yml."""

    access_token: SecretStr | None = Field(None, description="Service key, or access token of an app")
    client_id: str | None = Field(None, description="OAuth instead of `access_token`: the app's client id")
    client_secret: SecretStr | None = Field(None, description="OAuth: the app's client secret")
    refresh_token: SecretStr | None = Field(None, description="OAuth: the refresh token of the app's installation")
    api_version: str = Field(
        "2026-09",
        pattern=r"^(v3|\d{4}-\d{2}(-beta)?)$",
        description="Version in the paths: a date such as `2026-03`, or `v3` (supported until September 2027)",
    )
    portal_id: int | None = Field(None, description="Refuse to run when the token opens another account than this")
    leave_requests: int | None = Field(
        None, ge=0, description="Stop when the account has no more API requests left of the day than this"
    )
    property_group: str = Field(
        "revetl", pattern=r"^[a-z][a-z0-9_]*$", description="Group of the properties that `create_fields` creates"
    )
    associations: Literal["replace", "add"] = Field(
        "replace",
        description="An association field holds all associated records (`replace`), or only adds to them (`add`)",
    )

    @model_validator(mode="after")
    def _credentials(self) -> HubSpotConfig:
        oauth = {"client_id": self.client_id, "client_secret": self.client_secret, "refresh_token": self.refresh_token}
        lacking = [name for name, value in oauth.items() if value is None]
        if self.access_token is None and len(lacking) == len(oauth) and not self.sandbox:
            raise ValueError("`access_token` is missing: a service key, or the token of an app")
        if self.access_token is not None and len(lacking) < len(oauth):
            raise ValueError("`access_token` and OAuth (`client_id`, ...) exclude each other: keep one")
        if 0 < len(lacking) < len(oauth):
            raise ValueError(f"OAuth lacks {', '.join(f'`{name}`' for name in lacking)}")
        return self

    def in_sandbox(self, url: str, token: str | None) -> Self:
        mine = {"access_token": SecretStr(token or "sandbox"), "client_secret": None, "refresh_token": None}
        return self.model_copy(update={"base_url": url, **mine})


_STANDARD: Mapping[str, str] = {"contacts": "0-1", "companies": "0-2", "deals": "0-3", "tickets": "0-5"}
_TYPE_ID = re.compile(r"\d+-\d+")
_CUSTOM = re.compile(r"p\d*_\w+")
_PROPERTY = re.compile(r"[a-z][a-z0-9_]*")

_SEARCHED = ("0-2", "domain")
"""The object and property that only the search can find records by."""
_LIST = re.compile(r"lists/\d+")
_EVENT = re.compile(r"events/[\w-]+")

_LIMITS = Limits(BATCH)
_UNSUPPORTED: Mapping[Operation, str] = {
    Operation.DELETE: (
        "HubSpot's API moves records to the recycling bin, where a person can restore them for 90 days: use `archive`, "
        "or `erase` for contacts that must be gone for good"
    ),
    Operation.APPEND: "HubSpot objects hold records, not events: use `create` or `upsert`",
    Operation.ERASE: "HubSpot's permanent (GDPR) delete is for contacts only: use `archive`",
}


def _is_record(name: str) -> bool:
    """Standard objects by name, any object by type id (`2-123`) or, for a custom one, fully qualified name."""
    return bool(name in _STANDARD or _TYPE_ID.fullmatch(name) or _CUSTOM.fullmatch(name))


def _record_type(name: str) -> ObjectType:
    writing = (Operation.UPSERT, Operation.UPDATE, Operation.CREATE, Operation.ARCHIVE)
    erasing = {Operation.ERASE: Limits(1)} if _STANDARD.get(name, name) == _STANDARD["contacts"] else {}
    operations = {**dict.fromkeys(writing, _LIMITS), **erasing}
    return ObjectType(
        name=name,
        operations=operations,
        idempotent=frozenset(operations) - {Operation.CREATE},
        match_ignores_case=True,  # e-mail addresses are kept in lower case
        reads=True,
        described=True,
        creates_fields=True,
        unsupported={operation: why for operation, why in _UNSUPPORTED.items() if operation not in operations},
    )


def _list_type(name: str) -> ObjectType:
    operations = dict.fromkeys((Operation.UPSERT, Operation.CREATE, Operation.DELETE), _LIMITS)
    return ObjectType(
        name=name,
        operations=operations,
        idempotent=frozenset(operations),
        match_ignores_case=True,
        reads=True,
        described=True,
        refers=True,
        unsupported={
            Operation.UPDATE: "A place on a list has no fields: use `upsert`, which puts the record on the list",
            Operation.APPEND: "A record is on a list or not: use `upsert`",
            Operation.ARCHIVE: "Use `delete`: it takes the record off the list, and leaves the record as it is",
            Operation.ERASE: "Use `delete`: it takes the record off the list, and leaves the record as it is",
        },
    )


def _event_type(name: str) -> ObjectType:
    immutable = "A custom event stays as it was sent: use `append`"
    return ObjectType(
        name=name,
        operations={Operation.APPEND: _LIMITS},
        idempotent=frozenset({Operation.APPEND}),  # each has a uuid
        match_fields=_SUBJECTS,
        match_ignores_case=True,
        described=True,
        refers=True,
        creates_fields=True,
        unsupported={operation: immutable for operation in Operation if operation is not Operation.APPEND},
    )


_SUBJECTS = ("email", "objectId", "utk")
"""What says whose event it is."""
_EVENT_FIELDS: Mapping[str, FieldInfo] = {
    info.name: info
    for info in (
        FieldInfo("email", "string", "E-mail address of the contact", unique=True),
        FieldInfo("objectId", "string", "Id of the record", unique=True),
        FieldInfo("utk", "string", "Token of the visitor", unique=True),
        FieldInfo("occurredAt", "datetime", "When it happened"),
        FieldInfo("uuid", "string", "Id of the event"),
    )
}


class _Association(NamedTuple):
    """The field `associations.<object>` or `associations.<object>.<label>`: which records a record goes with."""

    field: str
    other: str
    label: str | None


@cache
def _association(field: str) -> _Association | None:
    first, _, rest = field.partition(".")
    other, _, label = rest.partition(".")
    return _Association(field, other, label or None) if first == "associations" and _is_record(other) else None


class _Label(NamedTuple):
    """A type of association: `text` is its label, None for the plain association."""

    text: str | None
    category: str
    number: int

    def is_called(self, name: str | None) -> bool:
        """Whether a (folded) name means this type; None means the plain association."""
        if name is None:
            return self.text is None
        return str(self.number) == name or (self.text is not None and self.text.casefold() == name)

    def spec(self) -> dict[str, Any]:
        """As the API wants it."""
        return {"associationCategory": self.category, "associationTypeId": self.number}


_Pair = tuple[str, str]
"""The ids of two records, the one that has the field first."""
_Refusal = tuple[Status, str | None, str]
"""Status, code and message of an association that was not made."""


class HubSpot(HttpDestination):
    """Records of a HubSpot account."""

    type: ClassVar[str] = "hubspot"
    Config = HubSpotConfig

    def __init__(self, config: HubSpotConfig, gate: Any) -> None:
        super().__init__(config, gate)
        self._auth = BearerAuth(self._token)
        self._place: tuple[str, str] | None = None  # UI domain and portal id, once the account has been asked
        self._asking = threading.RLock()  # who asks may have to ask for a token first
        self._access: tuple[str, float] | None = None  # an OAuth token, and when it ends by the monotonic clock
        self._labels: dict[tuple[str, str], list[_Label]] = {}
        self._lists: dict[str, str] = {}  # the type of the records on each list
        self._left: int | None = None  # requests of the day, as the last answer said; those to installed apps do not

    def base_url(self) -> str:
        return self.config.base_url or API

    def auth(self) -> AuthBase:
        return self._auth

    def _token(self) -> str:
        if self.config.access_token is not None:
            return str(self.config.access_token.get_secret_value())
        with self._asking:
            if self._access is None or time.monotonic() >= self._access[1]:
                self._access = self._new_token()
            return self._access[0]

    def _new_token(self) -> tuple[str, float]:
        """https://developers.hubspot.com/docs/api-reference/latest/authentication/manage-oauth-tokens."""
        form = {
            "grant_type": "refresh_token",
            "client_id": self.config.client_id,
            "client_secret": self.config.client_secret.get_secret_value(),
            "refresh_token": self.config.refresh_token.get_secret_value(),
        }
        with before_writing("no token"):
            response = self.send("POST", f"/oauth/{self.config.api_version}/token", data=form, auth=NoAuth())
            body = json_or_empty(response)
            if response.status_code in (400, 401, 403):
                reason = _reason(body)[0] or f"{response.status_code} {response.reason}"
                raise UnauthorizedError(f"HubSpot gives no token: {reason}", code=str(body.get("status") or "oauth"))
            if response.status_code != 200:
                raise self.error(response)
        token = body.get("access_token")
        if not isinstance(token, str):
            raise RetryableError("no token: the answer holds none", code="results")
        return token, time.monotonic() + float(body.get("expires_in") or 0) - _EXPIRY_MARGIN

    def renew(self) -> bool:
        with self._asking:
            self._access = None
        return self.config.access_token is None

    def objects(self) -> Sequence[ObjectType]:
        return [_record_type(name) for name in _STANDARD]

    def object_type(self, name: str) -> ObjectType | None:
        """Records by the name of their object (`contacts`, `2-123`, `p123_car`), places on a static list as
        `lists/<list id>`, custom events as `events/<fully qualified name>`.
        """
        if _is_record(name):
            return _record_type(name)
        if _LIST.fullmatch(name):
            return _list_type(name)
        return _event_type(name) if _EVENT.fullmatch(name) else None

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
        if _EVENT.fullmatch(object):
            return self._describe_event(object)
        if _LIST.fullmatch(object):
            # A member is found by what tells records apart; there is nothing else to write.
            return [replace(info, writable=False) for info in self.describe(self._listed(object)) if info.unique]
        body = self._defined("object", object, self._versioned("properties", object))
        return [_field(object, item) for item in _results(body, "name")]

    def _describe_event(self, object_name: str) -> list[FieldInfo]:
        body = self._defined("custom event", object_name.partition("/")[2], self._event_definition(object_name))
        defined = [_event_field(object_name, item) for item in _results({"results": body.get("properties")}, "name")]
        return [*_EVENT_FIELDS.values(), *(info for info in defined if info.name not in _EVENT_FIELDS)]

    def _event_definition(self, object_name: str) -> str:
        return f"/events/{self.config.api_version}/event-definitions/{quote(object_name.partition('/')[2], safe='')}"

    def _defined(self, what: str, name: str, path: str) -> Any:
        """The body of a definition, a mapping. Raises FatalError when there is none."""
        response = self.send("GET", path)
        if response.status_code in (400, 404):
            text = f"HubSpot has no {what} `{name}`"
            raise FatalError(text, code="object", request_id=_correlation(json_or_empty(response)))
        if response.status_code != 200:
            raise self.error(response)
        body = decode_json(response)
        if not isinstance(body, Mapping):
            raise UnknownOutcomeError(f"HubSpot's answer does not define {what} `{name}`", code="results")
        return body

    def describe_field(self, object: str, name: str) -> FieldInfo | None:  # noqa: A002 - the contract's word
        """Associations: `associations.companies`, `associations.companies.<label>`."""
        asked = _association(name)
        if asked is None or not _is_record(object):
            return None
        found = self._label(object, asked)
        if asked.label is not None and found is None:
            return None
        return FieldInfo(name, "association", asked.label)

    def create_field(self, object: str, name: str, column: ColumnType) -> FieldInfo:  # noqa: A002
        """A property of records or of a custom event, or the label of an association."""
        asked = _association(name)
        if asked is not None and _is_record(object):
            return self._create_label(object, asked)
        if not _PROPERTY.fullmatch(name):
            raise FatalError(
                f"HubSpot cannot create a property `{name}`: its names have lower-case letters, digits and underscores",
                code="property",
            )
        kind, field_type = _CREATED.get(column, ("string", "text"))
        definition: dict[str, Any] = {"name": name, "label": _spaced(name), "type": kind}
        if _EVENT.fullmatch(object):
            path = f"{self._event_definition(object)}/property"
        else:
            group = self.config.property_group
            self._ensure_group(object, group)
            definition |= {"fieldType": field_type, "groupName": group}
            path = self._versioned("properties", object)
            if kind == "bool":
                definition["options"] = [
                    {"label": label, "value": value, "displayOrder": order, "hidden": False}
                    for order, (label, value) in enumerate((("Yes", "true"), ("No", "false")))
                ]
        body = decode_json(self.request("POST", path, json=definition))
        if not isinstance(body, Mapping) or body.get("name") != name:
            raise UnknownOutcomeError(f"HubSpot's answer does not say that it created property `{name}`")
        return (_event_field if _EVENT.fullmatch(object) else _field)(object, body)

    def _create_label(self, object_name: str, asked: _Association) -> FieldInfo:
        """A label in both directions. Its number is asked for anew: the answer may be about either direction."""
        label = asked.label or ""
        if not label or label.isdecimal():
            raise FatalError(
                f"HubSpot has no association type `{label}` from `{object_name}` to `{asked.other}`, and gives the "
                "numbers of new ones itself: write a label's name",
                code="label",
            )
        internal = re.sub(r"\W+", "_", label.lower()).strip("_")
        path = self._associations(object_name, asked.other, "labels")
        self.request("POST", path, json={"label": label, "name": f"{self.config.property_group}_{internal}"})
        with self._asking:
            self._labels.pop((object_name, asked.other), None)
        return FieldInfo(asked.field, "association", self._type(object_name, asked).text)

    def _ensure_group(self, object_name: str, group: str) -> None:
        groups = f"{self._versioned('properties', object_name)}/groups"
        response = self.send("GET", f"{groups}/{quote(group, safe='')}")
        if response.status_code == 404:
            response = self.send("POST", groups, json={"name": group, "label": _spaced(group)})
        if response.status_code not in (200, 201, 409):  # 409: somebody else has just made it
            raise self.error(response)

    def encoder(self, column: ColumnType, info: FieldInfo | None) -> Encoder:
        return _encoder(column, info.type if info is not None else None)

    def app_url(self) -> str | None:
        portal = self.config.portal_id
        return "https://app.hubspot.com" if portal is None else f"https://app.hubspot.com/contacts/{portal}"

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
        if _EVENT.fullmatch(batch.object):
            return self._occur(batch)
        if _LIST.fullmatch(batch.object):
            return self._join_or_leave(batch)
        if batch.operation is Operation.UPSERT:
            return self._associated(batch.object, changes, self._upsert(batch.object, changes))
        if batch.operation is Operation.CREATE:
            # In the same request: what is sent again after a refused association would be created twice.
            with before_writing("no definition of the associations"):
                links = {change.seq: self._links(batch.object, change) for change in changes}
            return self._send(_Request("create", changes, {}, links), batch.object)
        if batch.operation is Operation.ERASE:
            return self._erase(batch.object, changes)
        ids = _known_ids(changes)
        ids.update(self._ids(batch.object, [change for change in changes if change.seq not in ids]))
        outcomes = [_missing(change) for change in changes if change.seq not in ids]
        there = [change for change in changes if change.seq in ids]
        if there and batch.operation is Operation.ARCHIVE:
            outcomes += self._archive(batch.object, ids)
        elif there:
            outcomes += self._associated(batch.object, there, self._send(_Request("update", there, ids), batch.object))
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
        if _LIST.fullmatch(object):
            return self._on_list(object, list(self.read(self._listed(object), match, values, ())))
        if not _is_record(object):
            raise NotImplementedError(f"`{object}` cannot be read back")
        wanted = {_key(value): value for value in values}
        links = [asked for asked in map(_association, fields) if asked is not None]
        own = [name for name in fields if _association(name) is None]
        if (_STANDARD.get(object, object), match) == _SEARCHED:
            items = self._search(object, match, list(wanted), own)
        else:
            items = _results(self._ask(object, match, list(wanted.values()), own))
        found = [
            Found(str(item["id"]), wanted[key], {name: properties.get(name) for name in own})
            for item in items
            for properties in [item.get("properties") or {}]
            for key in _keys(item, properties, match)
            if key in wanted
        ]
        return self._with_links(object, found, links) if links and found else found

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

    def _search(
        self, object_name: str, match: str, values: Sequence[str], fields: Sequence[str]
    ) -> list[Mapping[str, Any]]:
        """The records that have one of the (lower-case) values: of several with the same, the oldest."""
        found: dict[str, Mapping[str, Any]] = {}
        query: dict[str, Any] = {
            "properties": [*dict.fromkeys([*fields, match])],
            "sorts": [{"propertyName": "createdate", "direction": "ASCENDING"}],
            "limit": _SEARCH_PAGE,
        }
        for part in _by_length(values, _SEARCH_CHARACTERS - len(to_json(query))):
            condition = {"propertyName": match, "operator": "IN", "values": part}
            after: str | None = "0"
            while after is not None:
                body = {**query, "filterGroups": [{"filters": [condition]}], "after": after}
                path = f"{self._versioned('objects', object_name)}/search"
                answer = decode_json(self.request("POST", path, json=body))
                for item in _results(answer):
                    found.setdefault(_key((item.get("properties") or {}).get(match)), item)
                following = ((answer.get("paging") or {}).get("next") or {}).get("after")
                after = str(following) if following and int(following) > int(after) else None
        return list(found.values())

    def send(self, method: str, path: str, **options: Any) -> requests.Response:
        least = self.config.leave_requests
        if least is not None and self._left is not None and self._left <= least:
            text = f"{self._left} API requests are left of the account's day, and `leave_requests` keeps {least}"
            raise QuotaExhaustedError(text, code="leave_requests")
        return super().send(method, path, **options)

    def error(self, response: requests.Response) -> DestinationError:
        body = json_or_empty(response)
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
        elif status == 400 and (code in _SETUP_CODES or _NOT_UNIQUE in (message or "")):
            kind = FatalError
        return kind(
            message or f"{status} {response.reason}",
            code=code or str(status),
            request_id=_correlation(body),
            retry_after=wait,
        )

    def budget(self, response: requests.Response) -> Budget | None:
        left = response.headers.get("X-HubSpot-RateLimit-Daily-Remaining", "")
        if left.isdecimal():
            self._left = int(left)
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

    # -- associations --------------------------------------------------------------------------------

    def _associations(self, object_name: str, other: str, action: str) -> str:
        version, pair = self.config.api_version, f"{quote(object_name, safe='')}/{quote(other, safe='')}"
        return f"/crm/{'v4/associations' if version == 'v3' else f'associations/{version}'}/{pair}/{action}"

    def _label(self, object_name: str, asked: _Association) -> _Label | None:
        """The type of an association by its label, letter case aside, or by its number; without a label the plain one.

        The labels of two objects are asked for once.
        """
        pair = (object_name, asked.other)
        with self._asking:
            if pair not in self._labels:
                body = self._defined(
                    "association", f"{object_name} to {asked.other}", self._associations(*pair, "labels")
                )
                self._labels[pair] = [
                    _Label(item.get("label") or None, str(item.get("category")), int(item["typeId"]))
                    for item in _results(body, "typeId")
                ]
        wanted = None if asked.label is None else asked.label.casefold()
        return next((label for label in self._labels[pair] if label.is_called(wanted)), None)

    def _type(self, object_name: str, asked: _Association) -> _Label:
        found = self._label(object_name, asked)
        if found is None:
            known = [f"`{label.text}`" for label in self._labels[object_name, asked.other] if label.text]
            text = f"label `{asked.label}`" if asked.label else "association without a label"
            there = ", ".join(known) or "none"
            raise FatalError(
                f"HubSpot has no {text} from `{object_name}` to `{asked.other}`; there are: {there}", code="label"
            )
        return found

    def _links(self, object_name: str, change: Change) -> list[dict[str, Any]]:
        """The associations of a record that is created, as its input has them."""
        return [
            {"to": {"id": other}, "types": [self._type(object_name, asked).spec()]}
            for asked, others in _asked_links(change)
            for other in others
        ]

    def _associated(self, object_name: str, changes: Sequence[Change], outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes once the association fields of the accepted records have been written too."""
        settled = {outcome.seq: outcome for outcome in outcomes}
        fields: dict[_Association, dict[int, list[str]]] = {}
        for change in changes:
            for asked, others in _asked_links(change):
                fields.setdefault(asked, {})[change.seq] = others
        for asked, wanted in fields.items():
            named = {
                seq: (settled[seq].id or "", others) for seq, others in wanted.items() if settled[seq].status.accepted
            }
            refused = self._set_links(object_name, asked, {known: others for known, others in named.values() if known})
            for seq, (known, _) in named.items():
                if not known:
                    why = f"`{asked.field}`: HubSpot does not say which record this is"
                    settled[seq] = settled[seq]._replace(status=Status.UNKNOWN, code="unlisted", message=why)
                elif known in refused:
                    status, code, message = refused[known]
                    settled[seq] = Outcome(seq, status, known, code, f"`{asked.field}`: {message}")
        return [settled[change.seq] for change in changes]

    def _set_links(self, object_name: str, asked: _Association, wanted: Mapping[str, list[str]]) -> dict[str, _Refusal]:
        """Make a field hold the wanted records, given by the id of theirs; the refusals by the same id.

        What is there already is left alone, so that writing twice does no harm.
        """
        if not wanted:
            return {}
        label = None if asked.label is None else self._type(object_name, asked)
        held = self._held(object_name, asked.other, list(wanted), label)
        refused: dict[str, _Refusal] = {}
        if self.config.associations == "replace":
            # First, so that the next one can become the primary one, or fits a limit.
            extra = [(known, other) for known in wanted for other in held[known] if other not in wanted[known]]
            refused = self._unlink(object_name, asked.other, extra, label) if extra else {}
        missing = [(known, other) for known, others in wanted.items() for other in others if other not in held[known]]
        return refused | (self._link(object_name, asked.other, missing, label) if missing else {})

    def _held(self, object_name: str, other: str, ids: Sequence[str], label: _Label | None) -> dict[str, list[str]]:
        """The records of another object that each record is associated with (under a label), page by page."""
        held: dict[str, list[str]] = {known: [] for known in ids}
        asked: list[dict[str, str]] = [{"id": known} for known in held]
        path, seen = self._associations(object_name, other, "batch/read"), set[tuple[str, str]]()
        while asked:
            body = decode_json(self.request("POST", path, json={"inputs": asked}))
            asked = []
            for item in _results(body, "from"):
                known = _pair(item)[0]
                for found in item.get("to") or []:
                    kinds = {kind.get("typeId") for kind in found.get("associationTypes") or []}
                    if known in held and (label is None or label.number in kinds):
                        held[known].append(str(found.get("toObjectId")))
                after = str(((item.get("paging") or {}).get("next") or {}).get("after") or "")
                if after and (known, after) not in seen:
                    seen.add((known, after))
                    asked.append({"id": known, "after": after})
        return held

    def _link(self, object_name: str, other: str, pairs: Sequence[_Pair], label: _Label | None) -> dict[str, _Refusal]:
        """Associate pairs of records; the refusals by the id of the first of the pair."""
        refused: dict[str, _Refusal] = {}
        for part in _parts(pairs):
            inputs: list[dict[str, Any]] = [{"from": {"id": known}, "to": {"id": found}} for known, found in part]
            if label is not None:
                inputs = [{**given, "types": [label.spec()]} for given in inputs]
            path = self._associations(
                object_name, other, "batch/associate/default" if label is None else "batch/create"
            )
            body = decode_json(self.request("POST", path, json={"inputs": inputs}))
            results = _results(body, "toObjectId" if label is not None else "to")
            made = {_pair(item) for item in results}
            undone = [pair for pair in part if pair not in made and pair[::-1] not in made]
            refused |= _refusals(undone, body.get("errors") or [])
            for known, _ in undone:
                lost = (Status.UNKNOWN, "unlisted", "HubSpot's answer does not mention this association")
                refused.setdefault(known, lost)
        return refused

    def _unlink(
        self, object_name: str, other: str, pairs: Sequence[_Pair], label: _Label | None
    ) -> dict[str, _Refusal]:
        """Take associations away, or one label of them; the refusals by the id of the first of the pair."""
        refused: dict[str, _Refusal] = {}
        for part in _parts(pairs):
            if label is None:
                path = self._associations(object_name, other, "batch/archive")
                inputs: list[dict[str, Any]] = [{"from": {"id": known}, "to": [{"id": found}]} for known, found in part]
            else:
                path = self._associations(object_name, other, "batch/labels/archive")
                inputs = [
                    {"from": {"id": known}, "to": {"id": found}, "types": [label.spec()]} for known, found in part
                ]
            response = self.request("POST", path, json={"inputs": inputs})
            body = {} if response.status_code == 204 else decode_json(response)
            if not isinstance(body, Mapping):
                raise UnknownOutcomeError("HubSpot does not say which associations it took away", code="results")
            refused |= _refusals(part, body.get("errors") or [])
        return refused

    def _with_links(self, object_name: str, found: Sequence[Found], links: Sequence[_Association]) -> list[Found]:
        """Records with the ids of those that they are associated with, a list a field; null for none."""
        ids = [item.id for item in found]
        fields: dict[str, dict[str, Any]] = {item.id: dict(item.fields) for item in found}
        for asked in links:
            label = None if asked.label is None else self._type(object_name, asked)
            for known, others in self._held(object_name, asked.other, ids, label).items():
                fields[known][asked.field] = others or None
        return [item._replace(fields=fields[item.id]) for item in found]

    # -- lists and events ----------------------------------------------------------------------------

    def _listed(self, object_name: str) -> str:
        """The object that a list holds, asked once. Raises FatalError when nothing can be put on it."""
        with self._asking:
            if object_name not in self._lists:
                number = object_name.partition("/")[2]
                body = self._defined("list", number, self._versioned("lists", number)).get("list")
                if not isinstance(body, Mapping):
                    raise UnknownOutcomeError(f"HubSpot's answer does not define list {number}", code="results")
                if body.get("processingType") not in ("MANUAL", "SNAPSHOT"):
                    raise FatalError(
                        f"the filters of list {number} decide who is on it: only static lists can be written",
                        code="list",
                    )
                self._lists[object_name] = str(body.get("objectTypeId"))
            return self._lists[object_name]

    def _on_list(self, object_name: str, found: Sequence[Found]) -> list[Found]:
        """Those of the records that are on a list."""
        if not found:
            return []
        number, version = object_name.partition("/")[2], self.config.api_version
        lists = "/crm/v3/lists" if version == "v3" else f"/crm/lists/{version}"
        inputs = [
            {"objectTypeId": self._listed(object_name), "recordId": known} for known in {item.id for item in found}
        ]
        body = decode_json(self.request("POST", f"{lists}/records/memberships/batch/read", json={"inputs": inputs}))
        members = {
            str(item["recordId"])
            for item in _results(body, "recordId")
            for place in item.get("recordListMemberships") or []
            if str(place.get("listId")) == number
        }
        return [item for item in found if item.id in members]

    def _join_or_leave(self, batch: Batch) -> list[Outcome]:
        changes, leaving = batch.changes, batch.operation is Operation.DELETE
        object_name = self._listed(batch.object)
        # Who joins is found anew: the id of an earlier place may be that of a record that is gone.
        ids = _known_ids(changes if leaving else [change._replace(id=None) for change in changes])
        ids.update(self._ids(object_name, [change for change in changes if change.seq not in ids]))
        body: Any = {}
        if ids:
            path = f"{self._versioned('lists', batch.object.partition('/')[2])}/memberships"
            inputs = list(dict.fromkeys(ids.values()))
            response = self.request("PUT", f"{path}/{'remove' if leaving else 'add'}", json=inputs)
            body = decode_json(response)
            if not isinstance(body, Mapping) or "recordIdsMissing" not in body:
                raise UnknownOutcomeError("HubSpot does not say who is on the list", code="results")
        # The reference calls it `recordIdsAdded`, the OpenAPI description `recordsIdsAdded`.
        joined = {*_texts(body.get("recordsIdsAdded")), *_texts(body.get("recordIdsAdded"))}
        left, gone = set(_texts(body.get("recordIdsRemoved"))), set(_texts(body.get("recordIdsMissing")))
        absent = Status.MISSING if leaving else Status.REJECTED
        outcomes = []
        for change in changes:
            known = ids.get(change.seq)
            if known is None or known in gone:
                outcomes.append(_missing(change)._replace(status=absent))
            elif leaving:
                outcomes.append(Outcome(change.seq, Status.DELETED if known in left else Status.MISSING, known))
            else:
                outcomes.append(Outcome(change.seq, Status.CREATED if known in joined else Status.UNCHANGED, known))
        return outcomes

    def _occur(self, batch: Batch) -> Sequence[Outcome]:
        name, path = batch.object.partition("/")[2], f"/events/{self.config.api_version}/send"
        inputs = [_occurrence(name, change, batch.idempotency_key(change)) for change in batch.changes]
        if len(inputs) == 1:
            response = self.request("POST", path, json=inputs[0])
        else:
            response = self.request("POST", f"{path}/batch", json={"inputs": inputs})
        body = {} if response.status_code == 204 else decode_json(response)
        if isinstance(body, Mapping) and body.get("errors"):
            raise BatchRejectedError(_reason(body)[0] or "HubSpot refuses some of these events")
        return AllAlike(batch.changes, Status.ACCEPTED)

    def _erase(self, object_name: str, changes: Sequence[Change]) -> list[Outcome]:
        """Only ever by id: an address that HubSpot does not know would be barred for ever. Whoever has the match value
        now goes too, since the id of the ledger may be that of an earlier record.
        """
        known = _known_ids(changes)
        found = self._ids(object_name, [change for change in changes if RECORD_ID not in change.match])
        outcomes = []
        for change in changes:
            ids = dict.fromkeys(filter(None, (found.get(change.seq), known.get(change.seq))))
            gone = [identity for identity in ids if self._is_erased(object_name, identity)]
            outcomes.append(Outcome(change.seq, Status.DELETED, gone[0]) if gone else _missing(change))
        return outcomes

    def _is_erased(self, object_name: str, identity: str) -> bool:
        """Erase a record; False when there is none, which is made sure of: a 404 may mean something else."""
        path = f"{self._versioned('objects', object_name)}/gdpr-delete"
        response = self.send("POST", path, json={"objectId": identity})
        if response.status_code == 404 and not list(self.read(object_name, RECORD_ID, [identity], ())):
            return False
        if not 200 <= response.status_code < 300:
            raise self.error(response)
        if response.status_code != 204:
            raise UnknownOutcomeError(f"{response.status_code} for a GDPR delete, which HubSpot answers with 204")
        return True

    # -- records -------------------------------------------------------------------------------------

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
    links: Mapping[int, Sequence[Mapping[str, Any]]] | None = None  # of a create: the associations of each `seq`

    def inputs(self) -> list[dict[str, Any]]:
        return [self.input(change) for change in self.changes]

    def input(self, change: Change) -> dict[str, Any]:
        given = {"properties": _properties(change), "objectWriteTraceId": str(change.seq)}
        if self.action == "create":
            return {**given, "associations": (self.links or {}).get(change.seq, [])}
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
    values = {**change.match, **change.fields}
    return {name: value for name, value in values.items() if name != RECORD_ID and _association(name) is None}


def _asked_links(change: Change) -> list[tuple[_Association, list[str]]]:
    """The association fields of a change, each with the ids of the records that it is to hold."""
    asked = ((_association(name), value) for name, value in change.fields.items())
    return [(field, [*dict.fromkeys(filter(None, _texts(value)))]) for field, value in asked if field is not None]


def _pair(item: Mapping[str, Any]) -> _Pair:
    """Which two records an answer says are associated now."""
    if "toObjectId" in item:
        return str(item.get("fromObjectId")), str(item["toObjectId"])
    first, second = (item.get(name) for name in ("from", "to"))
    return _id(first), _id(second)


def _id(item: Any) -> str:
    return str(item.get("id")) if isinstance(item, Mapping) else ""


def _refusals(pairs: Sequence[_Pair], errors: Sequence[Mapping[str, Any]]) -> dict[str, _Refusal]:
    """Why pairs were refused, by the id of the first of each; an error names one or both of a pair, or is of all."""
    refused: dict[str, _Refusal] = {}
    for item in errors:
        message, code = _reason(item)
        context = [text for value in (item.get("context") or {}).values() for text in _texts(value)]
        named = {word for text in (*context, message) for word in re.findall(r"\d+", text)}
        blamed = [pair for pair in pairs if named.issuperset(pair)] or [
            pair for pair in pairs if named.intersection(pair)
        ]
        status = Status.RETRY if item.get("category") == "RATE_LIMITS" else Status.REJECTED
        refused.update((known, (status, code, message or "refused without a reason")) for known, _ in blamed or pairs)
    return refused


def _by_length(values: Sequence[str], most: int) -> Iterable[list[str]]:
    """The values in parts that take at most so many characters as JSON."""
    part: list[str] = []
    room = most
    for value in values:
        size = len(to_json(value)) + 1
        if part and size > room:
            yield part
            part, room = [], most
        part.append(value)
        room -= size
    if part:
        yield part


def _parts(pairs: Sequence[_Pair]) -> Iterable[Sequence[_Pair]]:
    return (pairs[start : start + _PAIRS] for start in range(0, len(pairs), _PAIRS))


def _occurrence(event: str, change: Change, key: str) -> dict[str, Any]:
    """A custom event; what is null is left out, since there is nothing to clear."""
    values = {name: value for name, value in {**change.match, **change.fields}.items() if value not in (None, "")}
    own = {name: values.pop(name) for name in _EVENT_FIELDS if name in values}
    return {"eventName": event, "uuid": key, **own, "properties": values}


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


_NOT_UNIQUE = "by non-unique"
"""Part of what HubSpot says of a match on a property without unique values."""
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
    # HubSpot refuses a second record with the same value of one of these, and batch/read is no search.
    unique = bool(item.get("hasUniqueValue")) or name in _UNIQUE.get(object_name, (RECORD_ID,))
    closed = kind == "enumeration" and options and not item.get("externalOptions")
    return FieldInfo(
        name=name,
        type=kind,
        label=item.get("label"),
        writable=not (readable.get("readOnlyValue") or item.get("calculated")),
        unique=unique,
        conclusive=unique,
        options=options if closed else None,
    )


def _event_field(object_name: str, item: Mapping[str, Any]) -> FieldInfo:
    """Texts of events end: https://developers.hubspot.com/docs/api-reference/latest/events/define-events/guide."""
    made = _field(object_name, item)
    if made.type != "string":
        return made
    return replace(made, max_length=1024 if any(word in made.name for word in ("url", "referrer", "link")) else 256)


def _encoder(column: ColumnType, kind: str | None) -> Encoder:
    if kind == "association":
        return _record_ids
    if column is ColumnType.NESTED:
        write: Callable[[Any], str] = _choices if kind == "enumeration" else json_text
    elif column in (ColumnType.TIMESTAMP, ColumnType.TIMESTAMPTZ):
        write = utc_day if kind == "date" else _moment
    elif column is ColumnType.DATE:
        write = _midnight if kind == "datetime" else date.isoformat
    else:
        write = _PLAIN[column]
    return lambda value: "" if value is None else write(value)


_CREATED: Mapping[ColumnType, tuple[str, str]] = {
    ColumnType.INTEGER: ("number", "number"),
    ColumnType.DECIMAL: ("number", "number"),
    ColumnType.FLOAT: ("number", "number"),
    ColumnType.BOOLEAN: ("bool", "booleancheckbox"),
    ColumnType.DATE: ("date", "date"),
    ColumnType.TIMESTAMP: ("datetime", "date"),
    ColumnType.TIMESTAMPTZ: ("datetime", "date"),
    ColumnType.NESTED: ("string", "textarea"),
}
"""Type and field type of the property that is created for a column; text for any other."""


def _spaced(name: str) -> str:
    """A label for a name."""
    return name.replace("_", " ").capitalize()


def _record_ids(value: Any) -> str | list[str] | None:
    """The id of a record, or those of a list; null and the empty list clear."""
    if value is None:
        return None
    parts = [item for item in value if item is not None] if isinstance(value, list) else [value]
    if not all(isinstance(item, (str, int, float, Decimal)) and not isinstance(item, bool) for item in parts):
        raise ValueError("an association takes the id of a record, or a list of ids")
    texts = [item if isinstance(item, str) else number_text(Decimal(item)) for item in parts]
    return texts if isinstance(value, list) else texts[0]


def _float(value: float) -> str:
    return str(int(value)) if value.is_integer() else number_text(value)


def _moment(value: datetime) -> str:
    return utc_text(value) + "Z"


def _midnight(value: date) -> str:
    return f"{value.isoformat()}T00:00:00.000Z"


def _choices(value: Any) -> str:
    """The values of a checkbox property, which HubSpot separates by semicolons; a leading one would add instead of
    replace.
    """
    if not isinstance(value, list):
        return json_text(value)
    parts = [json_text(item) for item in value if item is not None]
    if any(not part or ";" in part for part in parts):
        raise ValueError("a value of a HubSpot checkbox property can be neither empty nor hold a semicolon")
    return ";".join(parts)


_PLAIN: Mapping[ColumnType, Callable[[Any], str]] = {
    ColumnType.TEXT: str,
    ColumnType.INTEGER: str,
    ColumnType.DECIMAL: number_text,
    ColumnType.FLOAT: _float,
    ColumnType.BOOLEAN: lambda value: "true" if value else "false",
    ColumnType.TIME: lambda value: str(value.isoformat()),
}
