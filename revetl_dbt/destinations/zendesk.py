"""Zendesk Support: users, organizations, memberships, tickets, tags and custom objects.

Facts are from https://developer.zendesk.com/api-reference (users, organizations, organization memberships, tickets,
tags, custom objects, job statuses, OAuth tokens for grant types, rate limits) and from its OpenAPI description:

- one record is written at once, or up to 100 in a background job that answers by position and is known for a day; an
account may have 30 jobs; - bulk imports of users are off until Zendesk's support enables them: 403, and users are
written one by one; - there is no bulk upsert of organizations, and none by name: they are looked up, then created and
updated; - tickets are deleted first, and a job that tells of all together erases them; - one user may be updated five
times a minute, refused with 429 and plain text; - null clears; dates are days, and there are no fields for moments; -
`tags` replaces all tags of a record, a tag can also be added and removed by itself; - an `organization_id` replaces all
memberships of a user, null ends them; - a ticket that is created again with the same `Idempotency-Key` within two hours
is the same ticket; - API tokens stop working on 2027-04-30, in favour of OAuth's client credentials.
"""

from __future__ import annotations

import math
import re
import threading
import time
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timezone
from functools import partial
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec
import requests
from pydantic import Field, SecretStr, model_validator
from requests.auth import AuthBase, HTTPBasicAuth
from typing_extensions import Self

from revetl_dbt.destinations.base import (
    Account,
    Batch,
    BatchRejectedError,
    Budget,
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
    RateLimitedError,
    RetryableError,
    Status,
    UnauthorizedError,
    UnknownOutcomeError,
)
from revetl_dbt.destinations.encoding import finite, fitting, json_text, number_text, utc_day, utc_text
from revetl_dbt.destinations.transport import (
    BearerAuth,
    HttpDestination,
    NoAuth,
    before_writing,
    decode_json,
    error_json,
    retry_after,
    status_error,
    to_json,
)

API_TOKENS_END = date(2027, 4, 30)
BATCH = 100
TICKET_BULK_FROM = 500  # single requests carry an idempotency key, which jobs do not
_JOBS_WAIT = 15.0  # seconds until one of 30 jobs is likely to have ended
_EACH_AT_ONCE = 20  # requests between two answers of poll()
_URL = 4000  # bytes of values in one URL
_LEEWAY = 60.0  # seconds before its end that an access token is renewed


class ZendeskConfig(DestinationConfig):
    """An output of `type: zendesk` in destinations.yml."""

    subdomain: str | None = Field(
        None, pattern=r"^[a-z0-9][a-z0-9-]*$", description="The account: what stands before `.zendesk.com`"
    )
    client_id: str | None = Field(None, description="Identifier of a confidential OAuth client (client credentials)")
    client_secret: SecretStr | None = Field(None, description="Secret of the OAuth client")
    scope: str = Field("read write", description="OAuth scopes to ask for, separated by spaces")
    access_token: SecretStr | None = Field(None, description="OAuth access token in place of a client; never renewed")
    email: str | None = Field(None, description="Address of the user of `api_token`")
    api_token: SecretStr | None = Field(
        None, description="API token of `email`; Zendesk turns API tokens off on 2027-04-30"
    )
    verify_emails: bool = Field(False, description="Let Zendesk ask new users by mail to verify their address")
    bulk_from: int = Field(10, ge=0, description="From how many changes on background jobs are used (0: always)")
    job_seconds: float = Field(2.0, gt=0, description="Seconds between two questions for a background job")
    user_seconds: float = Field(
        60.0, ge=0, description="Seconds between two writes to one user, of which Zendesk refuses a sixth in a minute"
    )

    @model_validator(mode="after")
    def _credentials(self) -> ZendeskConfig:
        if self.sandbox:
            return self
        client, legacy = (self.client_id, self.client_secret), (self.email, self.api_token)
        complete = [all(client), self.access_token is not None, all(legacy)]
        if sum(complete) != 1 or any(client) != all(client) or any(legacy) != all(legacy):
            raise ValueError(
                "one way to sign in is needed: `client_id` and `client_secret` of a confidential OAuth client "
                "(or an `access_token`, or until 2027-04-30 `email` and `api_token`)"
            )
        if self.subdomain is None and self.base_url is None:
            raise ValueError("`subdomain` is missing: what stands before `.zendesk.com`")
        return self

    def problems(self, target: str) -> Iterable[str]:  # noqa: ARG002
        """That API tokens are over, once they are."""
        if self.api_token is not None and datetime.now(timezone.utc).date() >= API_TOKENS_END:
            yield f"Zendesk turned API tokens off on {API_TOKENS_END}: use `client_id` and `client_secret`"

    def warnings(self) -> Iterable[str]:
        """That API tokens will be over, in sentences."""
        if self.api_token is not None:
            yield f"Zendesk turns API tokens off on {API_TOKENS_END}: use `client_id` and `client_secret` before"

    def in_sandbox(self, url: str, token: str | None) -> Self:
        mine: dict[str, Any] = {"base_url": url, "client_id": "sandbox", "client_secret": SecretStr(token or "sandbox")}
        none = dict.fromkeys(("access_token", "email", "api_token"))
        return self.model_copy(update={**mine, **none, "job_seconds": min(self.job_seconds, 0.05), "user_seconds": 0.0})


@dataclass(frozen=True, slots=True)
class _Kind:
    """How an object is called in the API: one record and many, its path, its custom fields, its page."""

    name: str
    one: str
    many: str
    path: str
    custom: str
    page: str
    own: bool = False  # a custom object


def _standard(one: str, custom: str) -> _Kind:
    many = f"{one}s"
    return _Kind(many, one, many, f"/api/v2/{many}", custom, many)


_KINDS: Mapping[str, _Kind] = {
    "users": _standard("user", "user_fields"),
    "organizations": _standard("organization", "organization_fields"),
    "tickets": _standard("ticket", "custom_fields"),
}
_OWN = re.compile(r"custom_objects/([A-Za-z0-9_]+)")
_TAGGED = {"user_tags": "users", "organization_tags": "organizations", "ticket_tags": "tickets"}
_MEMBERSHIPS = "organization_memberships"
_MEMBERSHIP_PATH = "/api/v2/organization_memberships"
_NAMES = ("users", "organizations", _MEMBERSHIPS, "tickets", *_TAGGED)
_ID, _OWN_ID = re.compile(r"[0-9]+"), re.compile(r"[0-9A-Za-z]+")


def _kind(name: str) -> _Kind | None:
    own = _OWN.fullmatch(name)
    if own is None:
        return _KINDS.get(name)
    path = f"/api/v2/custom_objects/{own[1]}/records"
    page = f"custom-objects/{own[1]}/records"
    return _Kind(name, "custom_object_record", "custom_object_records", path, "custom_object_fields", page, own=True)


# -- what can be done --------------------------------------------------------------------------------

_ONE = Limits(1)
_UNSUPPORTED: Mapping[Operation, str] = {
    Operation.UPDATE: "Memberships and tags are there or not: use `upsert`",
    Operation.CREATE: "Memberships and tags are there or not: use `upsert`",
    Operation.APPEND: "Of what Zendesk keeps only tickets are events: use `upsert`, or `append` tickets",
    Operation.ARCHIVE: "Zendesk has no archive: use `delete`, or map a field that says so, such as `suspended`",
    Operation.ERASE: "Zendesk erases users and tickets only: use `delete`",
}
_REPEATABLE = frozenset({Operation.UPSERT, Operation.UPDATE, Operation.DELETE, Operation.ERASE})
_WRITING = (Operation.UPSERT, Operation.UPDATE, Operation.CREATE, Operation.DELETE)
_IN_JOBS: Mapping[str, Sequence[Operation]] = {"tickets": (Operation.UPDATE, Operation.DELETE)}


_ALSO_UNIQUE: Mapping[str, Sequence[str]] = {"users": ("email",), "organizations": ("name",)}


def _records(name: str, bulk_from: int) -> ObjectType:
    more = {"users": (Operation.ERASE,), "tickets": (Operation.APPEND, Operation.ERASE)}.get(name, ())
    operations = (*_WRITING, *more)
    jobs = dict.fromkeys(_IN_JOBS.get(name, _WRITING), Bulk(Limits(BATCH), bulk_from))
    if name == "tickets":
        jobs |= {Operation.CREATE: Bulk(Limits(BATCH), TICKET_BULK_FROM), Operation.ERASE: Bulk(Limits(BATCH))}
    return ObjectType(
        name=name,
        operations=dict.fromkeys(operations, _ONE),
        idempotent=_REPEATABLE & set(operations),
        match_fields=("external_id", *_ALSO_UNIQUE.get(name, ()), "id"),
        match_ignores_case=name in _KINDS,
        reads=True,
        described=True,
        bulk=jobs,
        creates_fields=name != "tickets",
        unsupported=_others(operations),
    )


def _pairs(name: str, bulk_from: int) -> ObjectType:
    tags = name in _TAGGED
    operations = (Operation.UPSERT, Operation.DELETE)
    return ObjectType(
        name=name,
        operations=dict.fromkeys(operations, Limits(BATCH) if tags else _ONE),
        idempotent=frozenset(operations),
        match_fields=("external_id", "id", "tag") if tags else _MEMBER_FIELDS,
        composite_match=True,
        match_ignores_case=True,
        refers=True,
        bulk={} if tags else {Operation.UPSERT: Bulk(Limits(BATCH), bulk_from)},
        unsupported=_others(operations),
    )


def _others(operations: Collection[Operation]) -> dict[Operation, str]:
    return {operation: why for operation, why in _UNSUPPORTED.items() if operation not in operations}


_NO_PAIR = "Zendesk has no such user, or no such organization: were they sent before?"
_MEMBER_FIELDS = ("user_id", "organization_id", "user_external_id", "organization_external_id")


class Zendesk(HttpDestination):
    """Users, organizations, tickets and custom objects of a Zendesk account."""

    type: ClassVar[str] = "zendesk"
    Config = ZendeskConfig

    def __init__(self, config: ZendeskConfig, gate: Any) -> None:
        super().__init__(config, gate)
        self._login = _Login(self._sign_in)
        self._recent = _Recent(config.user_seconds)
        self._imports = True  # until Zendesk says that bulk imports of users are off
        self._each: dict[str, dict[int, Outcome]] = {}
        self._dates: dict[str, frozenset[str]] = {}

    def base_url(self) -> str:
        return self.config.base_url or f"https://{self.config.subdomain}.zendesk.com"

    def auth(self) -> AuthBase:
        config, token = self.config, self.config.api_token
        if config.access_token is not None:
            return BearerAuth(config.access_token.get_secret_value)
        if token is not None:
            return HTTPBasicAuth(f"{config.email}/token".encode(), token.get_secret_value().encode())
        return BearerAuth(self._login.token)

    def renew(self) -> bool:
        """Get another access token, where an OAuth client is configured."""
        if self.config.client_secret is None:
            return False
        self._login.renew()
        return True

    def objects(self) -> Sequence[ObjectType]:
        return [item for name in _NAMES if (item := self.object_type(name)) is not None]

    def object_type(self, name: str) -> ObjectType | None:
        """The objects that every account has, and custom objects as `custom_objects/<key>`."""
        if name == _MEMBERSHIPS or name in _TAGGED:
            return _pairs(name, self.config.bulk_from)
        return _records(name, self.config.bulk_from) if _kind(name) is not None else None

    def check(self) -> Account:
        body = decode_json(self.request("GET", "/api/v2/users/me"))
        user = body.get("user") if isinstance(body, Mapping) else None
        if not isinstance(user, Mapping):
            raise UnknownOutcomeError("Zendesk's answer names no user")
        if user.get("id") is None:
            raise UnauthorizedError("Zendesk takes the credentials for those of an anonymous visitor", code="anonymous")
        # A user's URL names the account also where a proxy stands before it.
        found = re.match(r"https://([a-z0-9-]+)\.zendesk\.com/", str(user.get("url")))
        name = found[1] if found else self.config.subdomain or self._base_url
        return Account(name, name, f"https://{name}.zendesk.com/agent" if found else None)

    def app_url(self) -> str | None:
        return None if self.config.subdomain is None else f"https://{self.config.subdomain}.zendesk.com/agent"

    def record_url(self, object: str, id: str) -> str | None:  # noqa: A002 - the contract's words
        kind = _kind(_TAGGED.get(object, object))
        if self.config.sandbox or self.config.subdomain is None or kind is None or not _OWN_ID.fullmatch(id):
            return None
        return f"https://{self.config.subdomain}.zendesk.com/agent/{kind.page}/{quote(id, safe='')}"

    # -- fields --------------------------------------------------------------------------------------

    def describe(self, object: str) -> Sequence[FieldInfo]:  # noqa: A002 - the contract's word
        kind = _kind(object)
        if kind is None and self.object_type(object) is not None:
            raise NotImplementedError(f"Zendesk does not describe the fields of `{object}`")
        if kind is None:
            raise FatalError(f"Zendesk has no object `{object}` whose fields are described", code="object")
        path, key = _definitions(kind)
        fields = [info for item in self._pages(path, key, object) if (info := _custom_field(kind, item)) is not None]
        self._dates[object] = frozenset(info.name for info in fields if info.type == "date")
        return [*_STANDARD["custom" if kind.own else object], *fields]

    def create_field(self, object: str, name: str, column: ColumnType) -> FieldInfo:  # noqa: A002 - the contract's word
        kind = _kind(object)
        group, _, key = name.partition(".")
        if kind is None or kind.custom not in _OBJECT_FIELDS or group != kind.custom or not _FIELD_KEY.fullmatch(key):
            form = (
                f"expected `{kind.custom}.` and letters, digits and underscores" if kind else "it has no custom fields"
            )
            raise FatalError(f"Zendesk cannot create the field `{name}` of `{object}`: {form}", code="field")
        path, _ = _definitions(kind)
        one = _OBJECT_FIELDS[kind.custom]
        title = key.replace("_", " ").capitalize()
        response = self.send("POST", path, json={one: {"key": key, "title": title, "type": _CREATED[column]}})
        if response.status_code in (404, 422):
            raise FatalError(f"field `{name}`: {_reason(response)[0]}", code="field")
        if not _accepted(response):
            raise self.error(response)
        body = decode_json(response)
        info = _custom_field(kind, body.get(one) or {}) if isinstance(body, Mapping) else None
        if info is None:
            raise UnknownOutcomeError(f"{response.status_code} without the field `{name}` that was to be created")
        return info

    def encoder(self, column: ColumnType, info: FieldInfo | None) -> Encoder | None:
        return _encoder(column, info.type if info is not None else None)

    def _pages(self, path: str, key: str, object_name: str) -> Iterator[Mapping[str, Any]]:
        params: dict[str, Any] = {"page[size]": BATCH}
        while True:
            response = self.send("GET", path, params=params)
            if response.status_code == 404:
                raise FatalError(f"Zendesk has no object `{object_name}`", code="object")
            if not _accepted(response):
                raise self.error(response)
            body = decode_json(response)
            yield from _listed(body, key)
            meta = body.get("meta") or {}
            if not meta.get("has_more"):
                return
            params = {"page[size]": BATCH, "page[after]": meta["after_cursor"]}

    # -- reading -------------------------------------------------------------------------------------

    def read(
        self,
        object: str,  # noqa: A002 - the contract's word
        match: str,
        values: Sequence[Any],
        fields: Sequence[str],
    ) -> Iterable[Found]:
        kind = _kind(object)
        if kind is None:
            raise NotImplementedError(f"`{object}` cannot be read back from Zendesk")
        fold = str if kind.own else _folded  # only custom objects tell upper from lower case
        wanted = {fold(value): value for value in values}
        dates = self._date_fields(object) if any("." in name for name in fields) else frozenset[str]()
        return [
            Found(str(item["id"]), wanted[key], _values(kind, item, fields, dates))
            for item in self._asked(kind, match, list(wanted.values()))
            for key in [fold(item.get(match))]
            if key in wanted and item.get("active") is not False and item.get("status") != "deleted"
        ]

    def _asked(self, kind: _Kind, match: str, values: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
        many = {"id": "ids", "external_id": "external_ids"}.get(match)
        if kind.name == "tickets" and match != "id":
            many = None  # external ids of tickets need not be unique, and are asked for one by one
        texts = [str(value) for value in values if match != "id" or _OWN_ID.fullmatch(str(value))]
        # Values are told apart by commas there.
        together = [text for text in texts if many and "," not in text]
        path = kind.path if kind.own else f"{kind.path}/show_many"
        name = f"filter[{many}]" if kind.own else str(many)
        more = {"page[size]": BATCH} if kind.own else {}
        for some in fitting(together, _URL):
            yield from self._list(path, {name: ",".join(some), **more}, kind.many)
        for text in texts:
            if text not in together and not kind.own:
                path = kind.path if kind.name == "tickets" else f"{kind.path}/search"
                asked = {"query": 'email:"{}"'.format(text.replace('"', ""))} if match == "email" else {match: text}
                yield from self._list(path, asked, kind.many)

    def _list(self, path: str, params: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
        return _listed(decode_json(self.request("GET", path, params=params)), key)

    def _date_fields(self, object_name: str) -> frozenset[str]:
        if object_name not in self._dates:
            self.describe(object_name)
        return self._dates[object_name]

    def _ids(self, object_name: str, changes: Sequence[Change]) -> dict[int, str]:
        """Record ids by `seq`, of those that exist as far as is known: from the ledger, the match value or Zendesk."""
        known = {change.seq: change.id or change.match.get("id") for change in changes}
        own = _OWN.fullmatch(object_name) is not None
        form, fold = (_OWN_ID, str) if own else (_ID, _folded)
        ids = {seq: str(found) for seq, found in known.items() if found and form.fullmatch(str(found))}
        for name in ("external_id", *_ALSO_UNIQUE.get(object_name, ())):
            asked: dict[str, list[Change]] = {}
            for change in changes:
                if change.match.get(name) and not known[change.seq]:
                    asked.setdefault(fold(change.match[name]), []).append(change)
            values = [same[0].match[name] for same in asked.values()]
            found = [(fold(item.match), item.id) for item in self.read(object_name, name, values, ())]
            times = Counter(key for key, _ in found)
            for key, record in found:
                if times[key] == 1:  # several tickets may share one: which is meant cannot be told
                    ids.update({change.seq: record for change in asked[key]})
        return ids

    # -- one at a time -------------------------------------------------------------------------------

    def write(self, batch: Batch) -> Iterable[Outcome]:
        if not batch.changes:
            return []
        item = self.object_type(batch.object)
        if item is None or len(batch.changes) > item.operations[batch.operation].records:
            raise ValueError(f"a batch of {len(batch.changes)} exceeds the limit for `{batch.object}`")
        _check_pairs(batch)
        with self._claimed(batch):
            outcomes = self._tag(batch) if batch.object in _TAGGED else [self._one(batch, batch.changes[0])]
        return self._released(batch, outcomes)

    def _one(self, batch: Batch, change: Change) -> Outcome:
        kind = _kind(batch.object)
        if kind is None:
            return self._member(batch.operation, change)
        if batch.operation is Operation.UPSERT:
            return self._upsert(batch, kind, change)
        if batch.operation in (Operation.CREATE, Operation.APPEND):
            return self._create(batch, kind, change)
        if batch.operation is Operation.ERASE and kind.name == "tickets":
            raise FatalError("Zendesk erases tickets in background jobs only")
        record = self._ids(kind.name, [change]).get(change.seq)
        if record is None:
            return _missing(change)
        if batch.operation is Operation.UPDATE:
            return self._update(kind, record, change)
        outcome = self._removed(change, self.send("DELETE", f"{kind.path}/{record}"), kind.one, record)
        if batch.operation is Operation.DELETE or outcome.status is Status.REJECTED:
            return outcome
        # A user that was deleted before can still be erased.
        return self._removed(change, self.send("DELETE", f"/api/v2/deleted_users/{record}"), "deleted_user", record)

    def _create(self, batch: Batch, kind: _Kind, change: Change) -> Outcome:
        headers = {"Idempotency-Key": batch.idempotency_key(change)} if kind.name == "tickets" else {}
        response = self.send("POST", kind.path, json={kind.one: self._body(kind, change)}, headers=headers)
        return self._changed(change, response, kind.one, Status.CREATED)

    def _update(self, kind: _Kind, record: str, change: Change) -> Outcome:
        body = {kind.one: self._body(kind, change, opened=True)}
        response = self.send("PATCH" if kind.own else "PUT", f"{kind.path}/{record}", json=body)
        return self._changed(change, response, kind.one)

    def _upsert(self, batch: Batch, kind: _Kind, change: Change) -> Outcome:
        name, value = _matched(change)
        if kind.name == "tickets":
            return self._upsert_ticket(batch, kind, change)
        if name == "name":
            return self._upsert_by_name(batch, kind, change)
        body = {kind.one: self._body(kind, change)}
        if kind.own:
            response = self.send("PATCH", kind.path, json=body, params={name: value})
        else:
            response = self.send("POST", f"{kind.path}/create_or_update", json=body)
        # Of users and organizations it says whether they are new; here 404 means that there is no such object.
        outcome = self._changed(change, response, kind.one, Status.ACCEPTED)
        return outcome._replace(status=Status.UPDATED) if response.status_code == 200 and not kind.own else outcome

    def _upsert_by_name(self, batch: Batch, kind: _Kind, change: Change) -> Outcome:
        """An organization, whose name no request that may also create takes as a match."""
        record = self._ids(kind.name, [change]).get(change.seq)
        outcome = self._update(kind, record, change) if record else self._create(batch, kind, change)
        # Created by another request after this one had looked: it is found next time.
        taken = record is None and outcome.status is Status.REJECTED and _is_taken("name", outcome.message or "")
        return outcome._replace(status=Status.RETRY) if taken else outcome

    def _upsert_ticket(self, batch: Batch, kind: _Kind, change: Change) -> Outcome:
        name, value = _matched(change)
        found = list(self.read(kind.name, name, [value], ()))
        if not found:
            return self._create(batch, kind, change)
        if len(found) > 1:
            text = f"{len(found)} tickets have this `{name}`, and which is meant cannot be told"
            return Outcome(change.seq, Status.REJECTED, None, "ambiguous", text)
        fields = {key: value for key, value in change.fields.items() if key != "comment"}
        return self._update(kind, found[0].id, change._replace(fields=fields))

    def _changed(self, change: Change, response: requests.Response, one: str, done: Status = Status.UPDATED) -> Outcome:
        refused = self._refused(change, response, known=done is Status.UPDATED)
        if refused is not None:
            return refused
        body = decode_json(response)
        record = body.get(one) if isinstance(body, Mapping) else None
        if not isinstance(record, Mapping) or record.get("id") is None:
            raise UnknownOutcomeError(f"{response.status_code} without the record that was written", code="empty")
        return Outcome(change.seq, Status.CREATED if response.status_code == 201 else done, str(record["id"]))

    def _removed(self, change: Change, response: requests.Response, one: str, record: str | None) -> Outcome:
        """What a removal came to, which Zendesk answers with 204, or with the record as `one`."""
        refused = self._refused(change, response)
        if refused is not None:
            return refused
        body = {one: True} if response.status_code == 204 else decode_json(response)
        if not isinstance(body, Mapping) or one not in body:
            raise UnknownOutcomeError(f"{response.status_code} without the record that was removed", code="empty")
        return Outcome(change.seq, Status.DELETED, record)

    def _refused(self, change: Change, response: requests.Response, *, known: bool = True) -> Outcome | None:
        """What a refusal means for the record, `known`: which there was; None for a success. Raises what is not about
        the record."""
        if _accepted(response):
            return None
        if response.status_code == 404 and known:
            return _missing(change)
        if response.status_code == 422:
            message, code = _reason(response)
            return Outcome(change.seq, Status.REJECTED, change.id, code, message or "refused without a reason")
        raise self.error(response)

    def _body(self, kind: _Kind, change: Change, *, opened: bool = False) -> dict[str, Any]:
        """A record as Zendesk takes it; `opened`: it is there already. Raises BatchRejectedError for a comment then."""
        if opened and kind.name == "tickets" and change.fields.get("comment") is not None:
            raise BatchRejectedError(
                "`comment` opens a ticket and cannot be changed afterwards: map it with `write: on_create`",
                code="comment",
            )
        body: dict[str, Any] = {}
        for name, value in {**change.match, **change.fields}.items():
            group, dot, key = name.partition(".")
            if dot and kind.name == "tickets":
                body.setdefault(group, []).append({"id": int(key), "value": value})
            elif dot:
                body.setdefault(group, {})[key] = value
            elif name != "id" and (name != "comment" or value is not None):
                body[name] = _number(name, value)
        if kind.name == "users" and not self.config.verify_emails:
            body["skip_verify_email"] = True
        return body

    # -- memberships and tags ------------------------------------------------------------------------

    def _member(self, operation: Operation, change: Change) -> Outcome:
        if operation is Operation.DELETE and change.id is not None and _ID.fullmatch(change.id):
            return self._removed(change, self.send("DELETE", f"{_MEMBERSHIP_PATH}/{change.id}"), "", change.id)
        pair = self._members([change]).get(change.seq)
        if pair is None:
            return _nobody(operation, change, _NO_PAIR)
        if operation is Operation.DELETE:
            response = self.send("DELETE", "/api/v2/users/{}/organizations/{}".format(*pair))
            return self._removed(change, response, "", None)
        return self._left(change, self._joined(change, pair))

    def _joined(self, change: Change, pair: tuple[str, str]) -> Outcome:
        user, organization = pair
        body = {"organization_membership": _membership(pair)}
        response = self.send("POST", _MEMBERSHIP_PATH, json=body)
        if response.status_code == 422:  # also for a user who is a member
            listed = self._list(f"/api/v2/users/{user}/organization_memberships", {}, _MEMBERSHIPS)
            there = [item for item in listed if str(item.get("organization_id")) == organization]
            if there:
                return Outcome(change.seq, Status.UNCHANGED, str(there[0]["id"]))
        return self._changed(change, response, "organization_membership", Status.CREATED)

    def _settled(self, change: Change, outcome: Outcome) -> Outcome:
        """What became of a membership by a job, which does not name the one that was there already."""
        if outcome.status is Status.UNCHANGED and change.id is not None:
            return self._member(Operation.UPSERT, change)
        return self._left(change, outcome)

    def _left(self, change: Change, outcome: Outcome) -> Outcome:
        """The outcome, once the membership has ended that another took the place of; it may be over already."""
        old = change.id
        if not outcome.status.accepted or outcome.id in (None, old) or old is None or not _ID.fullmatch(old):
            return outcome
        refused = self._refused(change, self.send("DELETE", f"{_MEMBERSHIP_PATH}/{old}"))
        return outcome if refused is None or refused.status is Status.MISSING else refused

    def _members(self, changes: Sequence[Change]) -> dict[int, tuple[str, str]]:
        """The ids of user and organization by `seq`, where both are known or found."""
        sides = []
        for one, many in (("user", "users"), ("organization", "organizations")):
            alone = [
                Change(
                    change.seq, (), {"id": match.get(f"{one}_id"), "external_id": match.get(f"{one}_external_id")}, {}
                )
                for change in changes
                for match in [change.match]
            ]
            sides.append(self._ids(many, alone))
        users, organizations = sides
        return {seq: (user, organizations[seq]) for seq, user in users.items() if seq in organizations}

    def _tag(self, batch: Batch) -> list[Outcome]:
        """Add or remove tags, one request a record. What follows a failure in the middle is to be sent again."""
        kind = _KINDS[_TAGGED[batch.object]]
        ids = self._ids(kind.name, batch.changes)
        nobody = f"Zendesk has no `{kind.one}` with this `external_id` or `id`: was it sent before?"
        outcomes = [_nobody(batch.operation, change, nobody) for change in batch.changes if change.seq not in ids]
        owners: dict[str, list[Change]] = {}
        for change in batch.changes:
            if change.seq in ids:
                owners.setdefault(ids[change.seq], []).append(change)
        stopped: DestinationError | None = None
        for n, (record, group) in enumerate(owners.items()):
            if stopped is None:
                try:
                    outcomes += self._tag_one(batch.operation, f"{kind.path}/{record}/tags", record, group)
                    continue
                except (RetryableError, UnknownOutcomeError) as error:
                    if n == 0:
                        raise
                    stopped = error
            outcomes += [Outcome(c.seq, Status.RETRY, record, stopped.code, str(stopped)) for c in group]
        return outcomes

    def _tag_one(self, operation: Operation, path: str, record: str, group: Sequence[Change]) -> list[Outcome]:
        removing = operation is Operation.DELETE
        tags = [str(change.match["tag"]) for change in group]
        response = self.send("DELETE" if removing else "PUT", path, json={"tags": tags})
        if _accepted(response) and response.status_code != 204:
            body = decode_json(response)
            if not isinstance(body, Mapping) or not isinstance(body.get("tags"), list):
                raise UnknownOutcomeError(f"{response.status_code} without the tags of the record", code="empty")
        done = Status.DELETED if removing else Status.ACCEPTED
        return [self._refused(change, response) or Outcome(change.seq, done, record) for change in group]

    # -- jobs ----------------------------------------------------------------------------------------

    def submit(self, batch: Batch, started: Callable[[str], None]) -> None:
        _check_pairs(batch)
        with self._claimed(batch):
            job = self._begun(batch)
        started(job.text())

    def _begun(self, batch: Batch) -> _Job:
        importing = batch.object == "users" and batch.operation in (Operation.UPSERT, Operation.CREATE)
        if importing and not self._imports:
            return self._one_by_one()
        calls, missing = self._calls(batch)
        begun: list[tuple[str, list[int]]] = []
        for call in calls:
            try:
                response = self.send(call.method, call.path, json=call.body, params=call.params)
                if importing and response.status_code == 403:
                    # The same is said to those who may not write users at all: the first user shows which it is.
                    first = self._one(batch, batch.changes[0])
                    self._imports = False
                    return self._one_by_one(first)
                if not _accepted(response):
                    raise self.error(response)
                begun.append((_job_id(response), call.positions))
            except DestinationError:
                if not begun:
                    raise
                break  # the rest is not begun, and will be sent again
        return _Job(begun, missing)

    def _calls(self, batch: Batch) -> tuple[list[_Call], list[int]]:
        """The jobs that a batch needs, and the positions of what there is no record for."""
        operation, changes = batch.operation, batch.changes
        kind = _kind(batch.object)
        if kind is None:
            pairs = self._members(changes)
            there = [n for n, change in enumerate(changes) if change.seq in pairs]
            items = [_membership(pairs[changes[n].seq]) for n in there]
            call = _Call("POST", f"{_MEMBERSHIP_PATH}/create_many", there, {_MEMBERSHIPS: items})
            return [call] if there else [], [n for n in range(len(changes)) if n not in set(there)]
        everything = list(range(len(changes)))
        if operation is Operation.CREATE or (operation is Operation.UPSERT and kind.name != "organizations"):
            return [self._creating(kind, operation, changes, everything)], []
        if operation is Operation.ERASE:
            return self._erasing(kind, changes)
        ids = self._ids(kind.name, [c._replace(id=None) for c in changes] if operation is Operation.UPSERT else changes)
        first: dict[str, int] = {}
        for n in everything:
            if changes[n].seq in ids:
                first.setdefault(ids[changes[n].seq], n)  # a record once a job: what comes twice is sent again
        others = [n for n in everything if changes[n].seq not in ids]
        calls = [self._changing(kind, operation, changes, first)] if first else []
        if operation is Operation.UPSERT and others:
            return [self._creating(kind, Operation.CREATE, changes, others), *calls], []
        return calls, others

    def _erasing(self, kind: _Kind, changes: Sequence[Change]) -> tuple[list[_Call], list[int]]:
        """Tickets are deleted one by one, which tells those that were there; jobs then erase them, and those that were
        deleted before."""
        ids = self._ids(kind.name, changes)
        deleted: dict[str, int] = {}
        gone: dict[str, int] = {}
        for n, change in enumerate(changes):
            record = ids.get(change.seq)
            if record is None or record in deleted:
                continue
            response = self.send("DELETE", f"{kind.path}/{record}")
            if not _accepted(response) and response.status_code != 404:
                raise self.error(response)
            there = self._removed(change, response, kind.one, record).status is Status.DELETED
            (deleted if there else gone)[record] = n
        path = f"/api/v2/deleted_{kind.many}/destroy_many"
        calls = [
            _Call("DELETE", path, list(some.values()), params={"ids": ",".join(some)})
            for some in (deleted, gone)
            if some
        ]
        return calls, [n for n in range(len(changes)) if n not in set(deleted.values())]

    def _creating(self, kind: _Kind, operation: Operation, changes: Sequence[Change], positions: list[int]) -> _Call:
        upsert = operation is Operation.UPSERT
        for n in positions if upsert else ():
            _matched(changes[n])
        items = [self._body(kind, changes[n]) for n in positions]
        if kind.own:
            action = "create_or_update_by_external_id" if upsert else "create"
            return _Call("POST", _jobs(kind), positions, {"job": {"action": action, "items": items}})
        path = f"{kind.path}/{'create_or_update_many' if upsert else 'create_many'}"
        return _Call("POST", path, positions, {kind.many: items})

    def _changing(self, kind: _Kind, operation: Operation, changes: Sequence[Change], ids: Mapping[str, int]) -> _Call:
        positions = list(ids.values())
        if operation is Operation.DELETE:
            if kind.own:
                return _Call("POST", _jobs(kind), positions, {"job": {"action": "delete", "items": list(ids)}})
            return _Call("DELETE", f"{kind.path}/destroy_many", positions, params={"ids": ",".join(ids)})
        opened = operation is Operation.UPDATE
        items = [
            {"id": record if kind.own else int(record), **self._body(kind, changes[n], opened=opened)}
            for record, n in ids.items()
        ]
        if kind.own:
            return _Call("POST", _jobs(kind), positions, {"job": {"action": "update", "items": items}})
        return _Call("PUT", f"{kind.path}/update_many", positions, {kind.many: items})

    def poll(self, batch: Batch, job: str) -> Iterable[Outcome] | Pending:
        told = _Job.parse(job)
        if told.each is not None:
            return self._poll_each(batch, told.each)
        outcomes: dict[int, Outcome] = {}
        for name, positions in told.begun:
            rows = self._job_rows(name)
            if isinstance(rows, Pending):
                return rows
            outcomes.update(_Results(batch).outcomes(rows, positions))
        for n in told.missing:
            if n not in outcomes or outcomes[n].status is not Status.DELETED:  # a deleted ticket may still be erased
                change = batch.changes[n]
                pairs = batch.object == _MEMBERSHIPS
                outcomes[n] = _nobody(batch.operation, change, _NO_PAIR) if pairs else _missing(change)
        listed = [
            outcomes.get(n)
            or Outcome(change.seq, Status.RETRY, change.id, "not_begun", "Zendesk began no job for this")
            for n, change in enumerate(batch.changes)
        ]
        if batch.object == _MEMBERSHIPS:
            return [self._settled(change, outcome) for change, outcome in zip(batch.changes, listed, strict=True)]
        return self._released(batch, listed)

    def _job_rows(self, name: str) -> _Rows | Pending:
        """The results of a job, in words why there are none, or how long to wait for them."""
        response = self.send("GET", f"/api/v2/job_statuses/{quote(name, safe='')}")
        if response.status_code == 404:
            return "Zendesk does not know this job any more: it forgets jobs after a day"
        if not _accepted(response):
            raise self.error(response)
        body = decode_json(response)
        status = body.get("job_status") if isinstance(body, Mapping) else None
        if not isinstance(status, Mapping) or "status" not in status:
            raise UnknownOutcomeError("Zendesk's answer names no job", code="job")
        if status["status"] in ("queued", "working"):
            return Pending(self.config.job_seconds)
        rows = status.get("results")
        return (
            rows
            if isinstance(rows, (list, dict)) and rows
            else str(status.get("message") or f"the job {status['status']}")
        )

    def _one_by_one(self, first: Outcome | None = None) -> _Job:
        name = str(uuid.uuid4())
        self._each[name] = {} if first is None else {first.seq: first}
        return _Job([], [], name)

    def _poll_each(self, batch: Batch, name: str) -> Iterable[Outcome] | Pending:
        """Write some of the users that cannot be imported in bulk; the answer comes when all are written."""
        if name not in self._each and batch.operation is Operation.CREATE:
            text = "the run ended while users were created one by one"
            return [Outcome(change.seq, Status.UNKNOWN, None, "interrupted", text) for change in batch.changes]
        done = self._each.setdefault(name, {})
        for change in [change for change in batch.changes if change.seq not in done][:_EACH_AT_ONCE]:
            done[change.seq] = self._attempted(batch, change)
        if len(done) < len(batch.changes):
            return Pending(0.0)
        del self._each[name]
        return self._released(batch, [done[change.seq] for change in batch.changes])

    def _attempted(self, batch: Batch, change: Change) -> Outcome:
        try:
            return self._one(batch, change)
        except BatchRejectedError as error:
            return Outcome(change.seq, Status.REJECTED, change.id, error.code, str(error))
        except UnknownOutcomeError as error:
            return Outcome(change.seq, Status.UNKNOWN, change.id, error.code, str(error))

    # -- limits, errors, signing in ------------------------------------------------------------------

    @contextmanager
    def _claimed(self, batch: Batch) -> Iterator[None]:
        """Note that the users of a batch are written to. Raises RateLimitedError when one of them was, a moment ago."""
        names = {name for change in batch.changes for name in self._users(batch, change)}
        wait = self._recent.claim(names)
        if wait > 0:
            text = "a user of this batch was written to less than a minute ago, and Zendesk limits updates of one user"
            raise RateLimitedError(text, code="user_interval", retry_after=wait)
        try:
            yield
        except (RetryableError, UnauthorizedError, BatchRejectedError):
            self._recent.release(names)  # nothing was written
            raise

    def _released(self, batch: Batch, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """The outcomes; the users that nothing was written to may be written to at once."""
        unwritten = {outcome.seq for outcome in outcomes if outcome.status in _UNWRITTEN}
        for change in batch.changes if unwritten else ():
            if change.seq in unwritten:
                self._recent.release(self._users(batch, change))
        return outcomes

    def _users(self, batch: Batch, change: Change) -> list[tuple[str, str]]:
        """By what a change names its user."""
        if batch.object not in ("users", "user_tags") or batch.operation is Operation.CREATE:
            return []
        known = [] if change.id is None else [("id", change.id)]
        return known + [(name, _folded(value)) for name, value in change.match.items() if name != "tag"]

    def error(self, response: requests.Response) -> DestinationError:
        message, code = _reason(response)
        status, wait = response.status_code, retry_after(response)
        kind: type[DestinationError] = RetryableError if status == 409 else status_error(status)
        if code == "TooManyJobs" and wait is None:
            wait = _JOBS_WAIT
        if status == 401 and self.config.api_token is not None:
            message = (
                f"{message or 'the API token was refused'} (API tokens end on {API_TOKENS_END}: use an OAuth client)"
            )
        return kind(
            message or f"{status} {response.reason}",
            code=code or str(status),
            request_id=response.headers.get("X-Request-Id") or response.headers.get("X-Zendesk-Request-Id"),
            retry_after=wait,
        )

    def budget(self, response: requests.Response) -> Budget | None:
        remaining = response.headers.get("ratelimit-remaining", "")
        reset = response.headers.get("ratelimit-reset", "")
        return Budget(int(remaining), float(reset)) if remaining.isdecimal() and reset.isdecimal() else None

    def _sign_in(self) -> tuple[str, float]:
        """A new access token and the seconds that it is good for."""
        config = self.config
        asked = {
            "grant_type": "client_credentials",
            "client_id": config.client_id,
            "client_secret": config.client_secret.get_secret_value() if config.client_secret else "",
            "scope": config.scope,
        }
        with before_writing("no access token"):
            response = self.send("POST", "/oauth/tokens", json=asked, auth=NoAuth())
            if response.status_code in (400, 401):
                message, code = _reason(response)
                raise UnauthorizedError(f"Zendesk refuses the OAuth client: {message or response.reason}", code=code)
            if not _accepted(response):
                raise self.error(response)
            body = decode_json(response)
        token = body.get("access_token") if isinstance(body, Mapping) else None
        if not token:
            raise RetryableError("Zendesk's answer holds no access token", code="token")
        return str(token), float(body.get("expires_in") or math.inf)


class _Login:
    """An access token that is fetched when it is needed, and renewed before it ends; shared by threads."""

    def __init__(self, fetch: Callable[[], tuple[str, float]]) -> None:
        self._fetch = fetch
        self._lock = threading.RLock()
        self._token: str | None = None
        self._fetched = self._ends = -math.inf

    def token(self) -> str:
        with self._lock:
            if self._token is None or time.monotonic() > self._ends:
                self._get()
            assert self._token is not None
            return self._token

    def renew(self) -> None:
        """Fetch another token, unless one of the threads that were refused together has just done so."""
        with self._lock:
            if time.monotonic() - self._fetched > 1.0:
                self._get()

    def _get(self) -> None:
        self._token, seconds = self._fetch()
        self._fetched = time.monotonic()
        self._ends = self._fetched + seconds - min(_LEEWAY, seconds / 2)


class _Recent:
    """Which users were written to in the last `seconds`; shared by threads."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._at: OrderedDict[tuple[str, str], float] = OrderedDict()

    def claim(self, names: Collection[tuple[str, str]]) -> float:
        """Note the users; or when one of them is noted already, how many seconds that will last."""
        if not self._seconds:
            return 0.0
        now = time.monotonic()
        with self._lock:
            while self._at and next(iter(self._at.values())) <= now - self._seconds:
                self._at.popitem(last=False)
            wait = max((self._at[name] + self._seconds - now for name in names if name in self._at), default=0.0)
            if wait <= 0:
                self._at.update(dict.fromkeys(names, now))
            return wait

    def release(self, names: Collection[tuple[str, str]]) -> None:
        with self._lock:
            for name in names:
                self._at.pop(name, None)


@dataclass(frozen=True, slots=True)
class _Call:
    """A request that begins a job for the changes at some positions of a batch."""

    method: str
    path: str
    positions: list[int]
    body: Mapping[str, Any] | None = None
    params: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Job:
    """What finds the jobs of a batch again: their ids and positions, the positions without a record, or the name under
    which this process writes users one by one."""

    begun: list[tuple[str, list[int]]]
    missing: list[int] = field(default_factory=list)
    each: str | None = None

    def text(self) -> str:
        return to_json(self).decode()

    @classmethod
    def parse(cls, text: str) -> _Job:
        return msgspec.json.decode(text, type=cls)


@dataclass(frozen=True, slots=True)
class _Results:
    """Outcomes of a batch from the rows of a job."""

    batch: Batch

    def outcomes(self, rows: _Rows, positions: Sequence[int]) -> dict[int, Outcome]:
        if isinstance(rows, str):
            return {n: self._lost(self.batch.changes[n], rows) for n in positions}
        if isinstance(rows, Mapping):
            return {n: self._together(self.batch.changes[n], rows) for n in positions}
        owned: dict[int, Mapping[str, Any]] = {}
        for n, row in enumerate(rows):
            index = row.get("index", n) if isinstance(row, Mapping) else None
            if isinstance(index, int) and 0 <= index < len(positions) and positions[index] not in owned:
                owned[positions[index]] = row
        lost = "Zendesk's job does not mention this record"
        return {
            n: self._outcome(self.batch.changes[n], owned[n]) if n in owned else self._lost(self.batch.changes[n], lost)
            for n in positions
        }

    def _together(self, change: Change, result: Mapping[str, Any]) -> Outcome:
        """Erasing tickets: "the result is an object that will only specify whether all" went well."""
        if self.batch.operation is not Operation.ERASE:
            return self._lost(change, "Zendesk's job does not tell its records apart")
        if result.get("success") is True:
            return Outcome(change.seq, Status.DELETED, change.id)
        text = _words(result.get("errors")) or "Zendesk did not erase all tickets of the job"
        return Outcome(change.seq, Status.RETRY, change.id, "not_erased", text)

    def _lost(self, change: Change, text: str) -> Outcome:
        return Outcome(change.seq, Status.UNKNOWN, change.id, "job", text)

    def _outcome(self, change: Change, row: Mapping[str, Any]) -> Outcome:
        record = None if row.get("id") is None else str(row["id"])
        status = str(row.get("status") or "").lower()
        error = row.get("error") or row.get("errors")
        if not error and row.get("success") is not False and status != "failed":
            return Outcome(change.seq, _DONE.get(status) or _EXPECTED[self.batch.operation], record)
        message = _words(row.get("details")) or _words(row.get("errors")) or _words(row.get("description"))
        code = error if isinstance(error, str) else None
        status_ = self._refusal(change, code or "", message or _words(error) or "")
        return Outcome(
            change.seq, status_, record or change.id, code, message or _words(error) or "refused without a reason"
        )

    def _refusal(self, change: Change, code: str, message: str) -> Status:
        operation = self.batch.operation
        if operation in (Operation.UPDATE, Operation.DELETE) and "NotFound" in code:
            return Status.MISSING
        if _PASSING.search(message) or code in _PASSING_CODES:
            return Status.RETRY
        if operation is not Operation.UPSERT:
            return Status.REJECTED
        if self.batch.object == _MEMBERSHIPS and _TAKEN.search(message):
            return Status.UNCHANGED
        # Created by another batch after this one had looked: it is found next time.
        if self.batch.object == "organizations" and _is_taken(next(iter(change.match), ""), message):
            return Status.RETRY
        return Status.REJECTED


_Rows = Sequence[Any] | Mapping[str, Any] | str
"""What a job came to: its rows, one result for all of them, or in words why there is none."""
_UNWRITTEN = (Status.MISSING, Status.REJECTED, Status.RETRY)
_DONE = {"created": Status.CREATED, "updated": Status.UPDATED, "deleted": Status.DELETED}
_EXPECTED = {
    Operation.UPSERT: Status.ACCEPTED,
    Operation.CREATE: Status.CREATED,
    Operation.UPDATE: Status.UPDATED,
    Operation.DELETE: Status.DELETED,
}
_TAKEN = re.compile(r"\b(taken|already)\b")
_PASSING_CODES = frozenset({"Conflict", "DatabaseConflict", "TooManyRequests", "InternalServerError", "Timeout"})
_PASSING = re.compile(r"\b(timed? ?out|deadlock|lock wait|exceeded the rate limit|try again later)\b", re.IGNORECASE)


def _is_taken(field: str, message: str) -> bool:
    """Whether a record is refused because another one has its value of `field`, `external_id` or `name`."""
    return message.lower().startswith(field.removesuffix("_id")) and _TAKEN.search(message) is not None


def _accepted(response: requests.Response) -> bool:
    return 200 <= response.status_code < 300


def _job_id(response: requests.Response) -> str:
    body = decode_json(response)
    status = body.get("job_status") if isinstance(body, Mapping) else None
    if not isinstance(status, Mapping) or not status.get("id"):
        raise UnknownOutcomeError(f"{response.status_code} without a job", code="job")
    return str(status["id"])


def _check_pairs(batch: Batch) -> None:
    """Raises FatalError for a membership or tag that is declared like a record."""
    if _kind(batch.object) is None and any(change.fields for change in batch.changes):
        raise FatalError(f"`{batch.object}` has no fields of its own: leave out `fields`", code="fields")
    if batch.object in _TAGGED and not all(change.match.get("tag") for change in batch.changes):
        raise FatalError(f"`{batch.object}` needs `tag` in `match`, beside `external_id` or `id`", code="match")


def _jobs(kind: _Kind) -> str:
    return f"{kind.path.removesuffix('/records')}/jobs"


def _missing(change: Change, text: str = "Zendesk has no such record") -> Outcome:
    return Outcome(change.seq, Status.MISSING, None, "RecordNotFound", text)


def _nobody(operation: Operation, change: Change, text: str) -> Outcome:
    """There is no owner of a membership or tag: nothing to add it to, and nothing to take it from."""
    lacking = _missing(change, text)
    return lacking._replace(status=Status.REJECTED) if operation is Operation.UPSERT else lacking


def _membership(pair: tuple[str, str]) -> dict[str, int]:
    return {"user_id": int(pair[0]), "organization_id": int(pair[1])}


def _matched(change: Change) -> tuple[str, Any]:
    """What an upsert is told by. Raises FatalError for Zendesk's own id, which no record can be created with."""
    name, value = next(iter(change.match.items()), ("id", None))
    if name == "id" or value in (None, ""):
        raise FatalError(
            "an upsert needs a field that tells records apart, and Zendesk assigns `id` itself: "
            "match on `external_id`, or use `mode: update`",
            code="match",
        )
    return name, value


def _folded(value: Any) -> str:
    return "" if value is None else str(value).casefold()


def _listed(body: Any, key: str) -> list[Mapping[str, Any]]:
    """Raises UnknownOutcomeError when a 2xx answer has no list under `key`."""
    found = body.get(key) if isinstance(body, Mapping) else None
    if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
        raise UnknownOutcomeError(f"Zendesk's answer has no list of `{key}`", code="empty")
    return found


def _values(kind: _Kind, item: Mapping[str, Any], fields: Sequence[str], dates: Collection[str]) -> dict[str, Any]:
    held = item.get(kind.custom) or {}
    if isinstance(held, list):
        held = {str(entry.get("id")): entry.get("value") for entry in held}
    values = {}
    for name in fields:
        _, dot, key = name.partition(".")
        value = held.get(key) if dot else item.get(name)
        values[name] = value[:10] if name in dates and isinstance(value, str) else value
    return values


def _reason(response: requests.Response) -> tuple[str | None, str | None]:
    """What is wrong in words, and Zendesk's code for it: an answer may be plain text, or JSON of several forms."""
    body = error_json(response)
    if body is None:
        plain = response.headers.get("Content-Type", "").startswith("text/plain")
        return (response.text.strip()[:300] or None if plain else None), None
    if not isinstance(body, Mapping):
        return None, None
    error = body.get("error")
    code = error if isinstance(error, str) else None
    if code is None and isinstance(body.get("errors"), list) and body["errors"]:
        first = body["errors"][0]
        code = str(first["code"]) if isinstance(first, Mapping) and first.get("code") else None
    words = [_words(body.get(key)) for key in ("details", "errors", "description", "error_description", "message")]
    return next((text for text in words if text), _words(error)), code


def _words(value: Any) -> str | None:
    """The text in a part of an error, whatever its form."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, Mapping):
        own = [value[key] for key in ("description", "message", "detail", "title") if isinstance(value.get(key), str)]
        return own[0] if own else _words([item for item in value.values() if not isinstance(item, str)])
    if isinstance(value, list):
        return "; ".join(text for item in value if (text := _words(item))) or None
    return None


# -- fields ------------------------------------------------------------------------------------------


def _named(type_: str, *names: str, **more: Any) -> list[FieldInfo]:
    return [FieldInfo(name, type_, **more) for name in names]


_ROLES = ("end-user", "agent", "admin")
_STATUSES = ("new", "open", "pending", "hold", "solved", "closed")
_ID_FIELD = FieldInfo("id", "integer", writable=False, unique=True)
_EXTERNAL_ID = FieldInfo("external_id", "text", unique=True, conclusive=True)  # read without the search
_TIMES = _named("datetime", "created_at", "updated_at", writable=False)
_STANDARD: Mapping[str, Sequence[FieldInfo]] = {
    "users": [
        _ID_FIELD,
        _EXTERNAL_ID,
        FieldInfo("email", "text", unique=True),
        FieldInfo("name", "text", required=True),
        FieldInfo("role", "text", options=_ROLES),
        *_named("text", "phone", "details", "notes", "alias", "signature", "locale", "time_zone", "ticket_restriction"),
        *_named("text", "remote_photo_url"),
        *_named("integer", "organization_id", "default_group_id", "custom_role_id", "locale_id"),
        *_named("checkbox", "suspended", "verified", "moderator", "only_private_comments", "shared_phone_number"),
        *_named("checkbox", "restricted_agent", "skip_verify_email"),
        *_named("array", "tags"),
        *_named("checkbox", "active", writable=False),
        *_named("datetime", "last_login_at", writable=False),
        *_TIMES,
    ],
    "organizations": [
        _ID_FIELD,
        _EXTERNAL_ID,
        FieldInfo("name", "text", required=True, unique=True),
        *_named("text", "details", "notes"),
        *_named("integer", "group_id"),
        *_named("checkbox", "shared_comments", "shared_tickets"),
        *_named("array", "tags", "domain_names"),
        *_TIMES,
    ],
    "tickets": [
        _ID_FIELD,
        replace(_EXTERNAL_ID, conclusive=False),  # several tickets may share one
        FieldInfo("comment", "comment", required=True),
        FieldInfo("status", "text", options=_STATUSES),
        FieldInfo("priority", "text", options=("urgent", "high", "normal", "low")),
        FieldInfo("type", "text", options=("problem", "incident", "question", "task")),
        *_named("text", "subject", "assignee_email", "recipient"),
        *_named("integer", "requester_id", "submitter_id", "assignee_id", "group_id", "organization_id", "brand_id"),
        *_named("integer", "problem_id", "ticket_form_id", "custom_status_id"),
        *_named("object", "requester"),
        *_named("array", "tags", "collaborator_ids", "email_cc_ids", "follower_ids"),
        *_named("datetime", "due_at"),
        *_named("text", "description", writable=False),
        *_TIMES,
    ],
    "custom": [
        replace(_ID_FIELD, type="text"),
        _EXTERNAL_ID,
        FieldInfo("name", "text", required=True),
        *_TIMES,
    ],
}
_NUMBERS = frozenset(info.name for fields in _STANDARD.values() for info in fields if info.type == "integer")
_TEXTUAL = frozenset({"text", "textarea", "regexp", "dropdown", "tagger"})
_CUSTOM_TYPES = _TEXTUAL | {"checkbox", "date", "integer", "decimal", "lookup", "multiselect"}
_OBJECT_FIELDS = {
    "user_fields": "user_field",
    "organization_fields": "organization_field",
    "custom_object_fields": "custom_object_field",
}
_FIELD_KEY = re.compile(r"(?!\d+$)\w+", re.ASCII)
_CREATED: Mapping[ColumnType, str] = {
    **dict.fromkeys(ColumnType, "text"),
    ColumnType.INTEGER: "integer",
    ColumnType.DECIMAL: "decimal",
    ColumnType.FLOAT: "decimal",
    ColumnType.BOOLEAN: "checkbox",
    ColumnType.DATE: "date",
    ColumnType.NESTED: "textarea",
}


def _definitions(kind: _Kind) -> tuple[str, str]:
    """Where an object's custom fields are, and how their list is called."""
    if kind.own:
        return f"{kind.path.removesuffix('/records')}/fields", "custom_object_fields"
    name = "ticket_fields" if kind.name == "tickets" else kind.custom
    return f"/api/v2/{name}", name


def _custom_field(kind: _Kind, item: Mapping[str, Any]) -> FieldInfo | None:
    """A custom field as described; None for one that Zendesk has itself."""
    type_ = str(item.get("type"))
    key = item.get("id") if kind.name == "tickets" else item.get("key")
    if key is None or type_ not in _CUSTOM_TYPES:
        return None
    options = tuple(str(option["value"]) for option in item.get("custom_field_options") or [])
    return FieldInfo(
        name=f"{kind.custom}.{key}",
        type=type_,
        label=item.get("title"),
        writable=item.get("active") is not False,
        options=options or None if type_ in ("dropdown", "tagger", "multiselect") else None,
    )


def _number(name: str, value: Any) -> Any:
    """Ids that came as text, from a lookup, as the numbers that they are."""
    return int(value) if name in _NUMBERS and isinstance(value, str) and value.isdecimal() else value


def _encoder(column: ColumnType, kind: str | None) -> Encoder:
    write = _NATURAL[column]
    if kind in _TEXTUAL:
        write = _TEXT[column]
    elif kind == "date" and column in (ColumnType.TIMESTAMP, ColumnType.TIMESTAMPTZ):
        write = utc_day
    elif kind in ("array", "multiselect"):
        write = _list
    elif kind == "comment" and column is ColumnType.TEXT:
        write = partial(_wrapped, "body")
    return lambda value: None if value is None else write(value)


def _moment(value: datetime) -> str:
    return utc_text(value, "milliseconds" if value.microsecond else "seconds") + "Z"


def _wrapped(key: str, value: Any) -> dict[str, Any]:
    return {key: value}


def _list(value: Any) -> list[Any]:
    items = value if isinstance(value, list) else [value]
    texts = [item if isinstance(item, (str, int)) else to_json(item).decode() for item in items if item is not None]
    if any(isinstance(text, str) and re.search(r"\s", text.strip()) for text in texts):
        raise ValueError("Zendesk separates tags by spaces: a value in a list can hold none")
    return texts


def _same(value: Any) -> Any:
    return value


_NATURAL: Mapping[ColumnType, Callable[[Any], Any]] = {
    **dict.fromkeys(ColumnType, _same),
    ColumnType.DECIMAL: finite,
    ColumnType.FLOAT: finite,
    ColumnType.DATE: date.isoformat,
    ColumnType.TIMESTAMP: _moment,
    ColumnType.TIMESTAMPTZ: _moment,
    ColumnType.TIME: lambda value: str(value.isoformat()),
}
_TEXT: Mapping[ColumnType, Callable[[Any], Any]] = {
    **_NATURAL,
    ColumnType.INTEGER: str,
    ColumnType.DECIMAL: number_text,
    ColumnType.FLOAT: number_text,
    ColumnType.BOOLEAN: lambda value: "true" if value else "false",
    ColumnType.NESTED: json_text,
}
