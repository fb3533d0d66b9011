"""Intercom: users, leads, companies, who belongs to which, tags, events and custom objects.

Facts are from Intercom's OpenAPI description (github.com/intercom/Intercom-OpenAPI, 2.16 and Preview) and its reference
(https://developers.intercom.com/docs/references, "Error codes", "Rate limiting", "Pagination"):

- outside the Preview version a request writes one record; - there is no upsert of contacts: creating one that exists is
a 409 that names its id, also of an archived one; - users are unique by `external_id`, and by address where they have
none; leads are not unique; - a search finds new contacts after minutes, a fetch by id or external id at once; -
companies are matched by `company_id`, which never changes; - moments are Unix seconds; - custom attributes must exist,
and their texts have at most 255 characters; - an event with the same contact, name and second is taken once; - the jobs
of the Preview version say whether all went well, but not which record failed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any, ClassVar, Literal, NamedTuple
from urllib.parse import quote

import requests
from pydantic import Field, SecretStr, model_validator
from requests.auth import AuthBase
from typing_extensions import Self

from revetl_dbt.destinations.base import (
    Account,
    Batch,
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
    Status,
    UnknownOutcomeError,
)
from revetl_dbt.destinations.encoding import finite, json_text, number_text, utc, utc_text
from revetl_dbt.destinations.transport import (
    BearerAuth,
    HttpDestination,
    decode_json,
    error_json,
    retry_after,
    status_error,
)

_HOSTS = {
    "us": "https://api.intercom.io",
    "eu": "https://api.eu.intercom.io",
    "au": "https://api.au.intercom.io",
}
_APPS = {"us": "app.intercom.com", "eu": "app.eu.intercom.com", "au": "app.au.intercom.com"}
PREVIEW = "Preview"
JOB = 100  # items of a Preview job
_PAGE = 150  # contacts of a page of results
_TEXT = 255  # characters of a custom attribute
_METADATA = 10  # keys of an event
_SPEND = 2**31 - 1
_JOB_SECONDS = 1.0
_CACHED_IDS = 100_000


class IntercomConfig(DestinationConfig):
    """An output of `type: intercom` in destinations.yml."""

    access_token: SecretStr | None = Field(None, description="Access token of a private app, from the Developer Hub")
    region: Literal["us", "eu", "au"] = Field("us", description="Where the workspace is hosted")
    api_version: str = Field(
        "2.16",
        pattern=r"^2\.\d+$",
        description="Version of the API (`Intercom-Version`); Preview only serves `bulk_from`",
    )
    workspace_id: str | None = Field(None, description="Refuse to run when the token opens another workspace than this")
    bulk_from: int | None = Field(
        None,
        ge=1,
        description="Send users and companies through the jobs of Intercom's Preview API when a plan has at least so "
        "many changes; without it those jobs are never used",
    )

    @model_validator(mode="after")
    def _token(self) -> IntercomConfig:
        if self.access_token is None and not self.sandbox:
            raise ValueError("`access_token` is missing: the token of a private app, from Intercom's Developer Hub")
        return self

    def in_sandbox(self, url: str, token: str | None) -> Self:
        return self.model_copy(update={"base_url": url, "access_token": SecretStr(token or "sandbox")})


# -- what there is -----------------------------------------------------------------------------------

_TAG, _COMPANY_TAG, _CUSTOM = "tags/", "company_tags/", "custom_objects/"
_ROLES = {"users": "user", "leads": "lead"}
_MODELS = {"users": "contact", "leads": "contact", "companies": "company"}
_ONE = Limits(1)

_CONTACT_FIELDS: Mapping[str, str] = {
    "external_id": "string",
    "email": "string",
    "email_verified": "boolean",
    "phone": "string",
    "name": "string",
    "avatar": "string",
    "owner_id": "string",
    "signed_up_at": "date",
    "last_seen_at": "date",
    "unsubscribed_from_emails": "boolean",
}
_COMPANY_FIELDS: Mapping[str, str] = {
    "company_id": "string",
    "name": "string",
    "plan": "string",
    "size": "integer",
    "website": "string",
    "industry": "string",
    "monthly_spend": "integer",
    "remote_created_at": "date",
}
_FIELDS = {
    "users": _CONTACT_FIELDS,
    "leads": {name: kind for name, kind in _CONTACT_FIELDS.items() if name != "external_id"},
    "companies": _COMPANY_FIELDS,
}
"""Standard attributes that can be written, by the request schemas; all others are custom."""

_ONLY_ON_CREATE = frozenset({"company_id", "remote_created_at"})
_CONTACT_UPDATES = {"external_id", "email", "name", "phone", "avatar", "owner_id", "unsubscribed_from_emails"}
_IN_JOBS: Mapping[tuple[str, str], set[str]] = {
    ("users", "create"): {*_CONTACT_UPDATES, "signed_up_at", "last_seen_at"},
    ("users", "update"): _CONTACT_UPDATES,
    ("companies", "create"): {*_COMPANY_FIELDS},
    ("companies", "update"): {*_COMPANY_FIELDS} - _ONLY_ON_CREATE,
}
"""Standard attributes that the jobs of the Preview version take."""

_NO_EVENTS = "Intercom keeps events in the object `events`"
_REMOVE_CONTACT = (
    "Intercom puts contacts away (`archive`, which can be taken back) or removes them for good (`erase`): say which"
)


def _contacts(name: str, bulk: int | None) -> ObjectType:
    one_by_one = (Operation.UPSERT, Operation.UPDATE, Operation.CREATE, Operation.ARCHIVE, Operation.ERASE)
    repeatable = {Operation.UPDATE, Operation.ARCHIVE, Operation.ERASE}
    if name == "users":
        repeatable.add(Operation.UPSERT)  # leads are not unique: two requests at once would make two
    return ObjectType(
        name=name,
        operations=dict.fromkeys(one_by_one, _ONE),
        idempotent=frozenset(repeatable),
        match_fields=("external_id", "email", "id") if name == "users" else ("email", "id"),
        reads=True,
        described=True,
        creates_fields=True,
        bulk=_bulk(bulk) if name == "users" else {},
        unsupported={Operation.DELETE: _REMOVE_CONTACT, Operation.APPEND: _NO_EVENTS},
    )


def _companies(bulk: int | None) -> ObjectType:
    no_create = "Intercom's only way to create a company updates the one with the same `company_id`: use `upsert`"
    no_archive = "Intercom puts a company away when it is deleted, and its API cannot bring it back: use `delete`"
    no_erase = "Intercom's API does not remove companies for good: `delete` puts them away and detaches their contacts"
    return ObjectType(
        name="companies",
        operations=dict.fromkeys((Operation.UPSERT, Operation.UPDATE, Operation.DELETE), _ONE),
        idempotent=frozenset({Operation.UPSERT, Operation.UPDATE, Operation.DELETE}),
        match_fields=("company_id", "id"),
        reads=True,
        described=True,
        creates_fields=True,
        bulk=_bulk(bulk),
        unsupported={
            Operation.CREATE: no_create,
            Operation.APPEND: _NO_EVENTS,
            Operation.ARCHIVE: no_archive,
            Operation.ERASE: no_erase,
        },
    )


def _bulk(threshold: int | None) -> Mapping[Operation, Bulk]:
    if threshold is None:
        return {}
    return dict.fromkeys((Operation.UPSERT, Operation.UPDATE), Bulk(Limits(JOB), threshold))


def _events() -> ObjectType:
    never = "Intercom's events are added and never touched again: use `append`"
    others = [operation for operation in Operation if operation is not Operation.APPEND]
    return ObjectType(
        name="events",
        operations={Operation.APPEND: _ONE},
        idempotent=frozenset({Operation.APPEND}),
        match_fields=("external_id", "email", "id"),
        refers=True,
        unsupported=dict.fromkeys(others, never),
    )


def _membership(name: str, match_fields: tuple[str, ...], composite: bool = False) -> ObjectType:
    no_fields = "a membership has no fields: use `upsert`, and `on_removed: delete` to end it"
    kind = _there_or_not(name, match_fields, no_fields, "a membership ends and can begin again: use `delete`")
    return replace(kind, composite_match=composite, refers=True)


def _custom_object(name: str) -> ObjectType:
    only_upsert = "Intercom matches custom objects by `external_id` and creates what is not there: use `upsert`"
    only_delete = "Intercom removes instances of custom objects at once: use `delete`"
    return replace(_there_or_not(name, ("external_id",), only_upsert, only_delete), reads=True)


def _there_or_not(name: str, match_fields: tuple[str, ...], only_upsert: str, only_delete: str) -> ObjectType:
    return ObjectType(
        name=name,
        operations={Operation.UPSERT: _ONE, Operation.DELETE: _ONE},
        idempotent=frozenset({Operation.UPSERT, Operation.DELETE}),
        match_fields=match_fields,
        unsupported={
            Operation.UPDATE: only_upsert,
            Operation.CREATE: only_upsert,
            Operation.APPEND: _NO_EVENTS,
            Operation.ARCHIVE: only_delete,
            Operation.ERASE: only_delete,
        },
    )


@dataclass(eq=False)
class _Refused(Exception):  # noqa: N818 - a control flow of this module
    """A record that is refused: the vendor's words, and the status of its answer (0: it was not asked)."""

    http: int
    code: str | None
    message: str
    status: Status = Status.REJECTED


class Intercom(HttpDestination):
    """People, companies and events of an Intercom workspace."""

    type: ClassVar[str] = "intercom"
    Config = IntercomConfig

    def __init__(self, config: IntercomConfig, gate: Any) -> None:
        super().__init__(config, gate)
        self._auth = BearerAuth(lambda: config.access_token.get_secret_value() if config.access_token else "sandbox")
        self._workspace: str | None = None  # once the account has been asked
        self._ids: dict[tuple[str, str, str], str] = {}  # (object, field, value) of contacts, companies and tags

    def base_url(self) -> str:
        return self.config.base_url or _HOSTS[self.config.region]

    def auth(self) -> AuthBase:
        return self._auth

    def headers(self) -> Mapping[str, str]:
        return {"Intercom-Version": self.config.api_version}

    def objects(self) -> Sequence[ObjectType]:
        bulk = self.config.bulk_from
        companies_of = ("external_id", "email", "contact_id", "company_id")
        return [
            _contacts("users", bulk),
            _contacts("leads", bulk),
            _companies(bulk),
            _membership("contact_companies", companies_of, composite=True),
            _events(),
        ]

    def object_type(self, name: str) -> ObjectType | None:
        """Those of `objects`; `tags/<name>` and `company_tags/<name>` are the contacts and the companies that carry a
        tag, `custom_objects/<type>` instances."""
        if name.startswith(_TAG) and name != _TAG:
            return _membership(name, ("external_id", "email", "id"))
        if name.startswith(_COMPANY_TAG) and name != _COMPANY_TAG:
            return _membership(name, ("company_id", "id"))
        if name.startswith(_CUSTOM) and name != _CUSTOM:
            return _custom_object(name)
        return super().object_type(name)

    def check(self) -> Account:
        body = decode_json(self.request("GET", "/me"))
        workspace, name = _inner(body, "app", "id_code"), _inner(body, "app", "name")
        if not workspace:
            raise UnknownOutcomeError("Intercom's answer names no workspace")
        if self.config.workspace_id not in (None, workspace):
            raise FatalError(
                f"the access token opens workspace {workspace}, not {self.config.workspace_id}", code="workspace_id"
            )
        self._workspace = str(workspace)
        return Account(self._workspace, name and str(name), f"https://{_APPS[self.config.region]}/a/apps/{workspace}")

    def app_url(self) -> str | None:
        app, workspace = f"https://{_APPS[self.config.region]}", self.config.workspace_id
        return app if workspace is None else f"{app}/a/apps/{quote(workspace, safe='')}"

    def record_url(self, object: str, id: str) -> str | None:  # noqa: A002 - the contract's words
        kind = {"users": "users", "leads": "users", "companies": "companies"}.get(object)
        if self.config.sandbox or self._workspace is None or kind is None:
            return None
        return f"https://{_APPS[self.config.region]}/a/apps/{self._workspace}/{kind}/{quote(id, safe='')}"

    # -- fields ----------------------------------------------------------------------------------

    def describe(self, object: str) -> Sequence[FieldInfo]:  # noqa: A002 - the contract's word
        model = _MODELS.get(object)
        if model is None and self.object_type(object) is not None:
            raise NotImplementedError(f"Intercom does not describe the fields of `{object}`")
        if model is None:
            raise FatalError(f"Intercom has no object `{object}`", code="object")
        body = decode_json(self.request("GET", "/data_attributes", params={"model": model}))
        standard = [_standard(name, kind) for name, kind in _FIELDS[object].items()]
        custom = [_attribute(item) for item in _data(body, "name") if item.get("custom")]
        return [FieldInfo("id", "string", "ID", writable=False, unique=True), *standard, *custom]

    def create_field(self, object: str, name: str, column: ColumnType) -> FieldInfo:  # noqa: A002 - the contract's word
        model = _MODELS.get(object)
        if model is None:
            raise FatalError(f"Intercom's API cannot create fields of `{object}`", code="object")
        attribute = {"name": name, "model": model, "data_type": _CREATED_AS.get(column, "string")}
        made = decode_json(self.request("POST", "/data_attributes", json=attribute))
        _id(made)
        return _attribute(made)

    def encoder(self, column: ColumnType, info: FieldInfo | None) -> Encoder:
        write = _encoder(column, info)
        return lambda value: None if value is None else write(value)

    # -- writing ---------------------------------------------------------------------------------

    def write(self, batch: Batch) -> Iterable[Outcome]:
        if len(batch.changes) > 1:
            raise ValueError(f"a batch of {len(batch.changes)} exceeds the limit of 1")
        return [self._written(batch.object, batch.operation, change) for change in batch.changes]

    def _written(self, object_name: str, operation: Operation, change: Change) -> Outcome:
        try:
            if object_name in _ROLES:
                return self._write_contact(object_name, operation, change)
            if object_name == "companies":
                return self._write_company(operation, change)
            if object_name == "events":
                return self._submit_event(change)
            if object_name.startswith(_CUSTOM):
                return self._write_instance(object_name.removeprefix(_CUSTOM), operation, change)
            if change.fields:
                raise FatalError(f"`{object_name}` has no fields: map the members in `match` only", code="fields")
            if object_name.startswith(_COMPANY_TAG):
                return self._tag_company(object_name.removeprefix(_COMPANY_TAG), operation, change)
            return self._write_membership(object_name, operation, change)
        except _Refused as refused:
            return Outcome(change.seq, refused.status, change.id, refused.code, refused.message)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        absent: Status = Status.REJECTED,
    ) -> Any:
        """The body of a request that was accepted; None where it has none.

        Raises _Refused where only the record is refused, with the status `absent` when it is not there, and a
        DestinationError otherwise.
        """
        response = self.send(method, path, json=json, params=params)
        status = response.status_code
        if 200 <= status < 300:
            return None if status == 202 and not response.content else decode_json(response)
        code, message, _ = _reason(response)
        if status in _OF_A_RECORD or (status == 401 and code == "parameter_invalid"):
            passing = Status.RETRY if code in _PASSING else Status.REJECTED
            raise _Refused(status, code, message, absent if status == 404 else passing)
        raise self.error(response)

    # contacts

    def _write_contact(self, object_name: str, operation: Operation, change: Change) -> Outcome:
        if operation is Operation.UPSERT:
            return self._upsert_contact(object_name, change)
        if operation is Operation.CREATE:
            return self._create_contact(object_name, change)
        known = change.id or self._contact_of(object_name, change)
        if known is None:
            return _missing(change)
        if operation is Operation.UPDATE:
            return self._update_contact(object_name, change, known)
        if operation is Operation.ARCHIVE:
            return self._removed(change, "POST", f"/contacts/{_segment(known)}/archive")
        return self._removed(change, "DELETE", f"/contacts/{_segment(known)}")

    def _upsert_contact(self, object_name: str, change: Change) -> Outcome:
        if "id" in change.match and change.id is None:
            raise FatalError(
                "Intercom assigns `id` itself: match on another field for an upsert, or use `mode: update`",
                code="match",
            )
        # What is not unique cannot conflict: a lead has to be looked for.
        known = change.id or (self._contact_of(object_name, change) if object_name == "leads" else None)
        if known is not None:
            try:
                return self._update_contact(object_name, change, known)
            except _Refused as refused:
                if refused.http != 404:
                    raise
        try:
            return self._create_contact(object_name, change)
        except _Refused as refused:
            existing = self._conflicting(object_name, change, refused)
            if "archived" in refused.message.lower():
                self._ask("POST", f"/contacts/{_segment(existing)}/unarchive")
        return self._update_contact(object_name, change, existing)

    def _conflicting(self, object_name: str, change: Change, refused: _Refused) -> str:
        """The id of the contact that a new one conflicts with: the refusal names it, or it is looked for. Raises the
        refusal when there is none to update."""
        if refused.http != 409:
            raise refused
        named = _CONFLICTING.search(refused.message)
        found = named[1] if named else self._contact_of(object_name, change)
        if found is None:
            raise refused
        return found

    def _create_contact(self, object_name: str, change: Change) -> Outcome:
        given = _filled(_record(object_name, {**change.match, **change.fields}))
        body = self._ask("POST", "/contacts", json={"role": _ROLES[object_name], **given})
        return Outcome(change.seq, Status.CREATED, _id(body))

    def _update_contact(self, object_name: str, change: Change, known: str) -> Outcome:
        fields = {name: value for name, value in {**change.match, **change.fields}.items() if name != "id"}
        body = self._ask(
            "PUT", f"/contacts/{_segment(known)}", json=_record(object_name, fields), absent=Status.MISSING
        )
        return Outcome(change.seq, Status.UPDATED, _id(body))

    def _contact_of(self, object_name: str | None, change: Change) -> str | None:
        """The id of the contact that a change matches. Raises _Refused when it matches several."""
        field, value = next(item for item in change.match.items() if item[0] != "company_id")
        return self._contact(object_name, "id" if field == "contact_id" else field, str(value))

    def _contact(self, object_name: str | None, field: str, value: str) -> str | None:
        if field == "id":
            return value
        if field == "external_id":
            found = self._fetched(f"/contacts/find_by_external_id/{_segment(value)}")
            return None if found is None else _id(found)
        found_ids = [_id(item) for item in self._searched(object_name, field, [value])]
        if len(found_ids) > 1:
            raise _Refused(0, "ambiguous", f"{len(found_ids)} contacts have this `{field}`: match on another field")
        return found_ids[0] if found_ids else None

    # companies

    def _write_company(self, operation: Operation, change: Change) -> Outcome:
        if operation is Operation.UPSERT:
            return self._upsert_company(change)
        known = change.id or self._company_of(change)
        if known is None:
            return _missing(change)
        if operation is Operation.DELETE:
            return self._removed(change, "DELETE", f"/companies/{_segment(known)}")
        wanted = change.match.get("company_id")
        if "remote_created_at" in change.fields:
            # Only the request that may also create takes this field.
            return _missing(change) if self._company_of(change) is None else self._upsert_company(change)
        record = _record("companies", change.fields)
        body = self._ask("PUT", f"/companies/{_segment(known)}", json=record, absent=Status.MISSING)
        outcome = Outcome(change.seq, Status.UPDATED, _id(body))
        if wanted is not None and body.get("company_id") not in (None, wanted):
            raise _Refused(0, "company_id", "Intercom cannot change a `company_id`", Status.MISSING)
        return outcome

    def _upsert_company(self, change: Change) -> Outcome:
        if "company_id" not in change.match:
            raise FatalError("Intercom needs `company_id` in `match` for this, not its own `id`", code="match")
        record = _record("companies", {**change.match, **change.fields})
        known = _id(self._ask("POST", "/companies", json=record))
        return Outcome(change.seq, Status.UPDATED if known == change.id else Status.ACCEPTED, known)

    def _company_of(self, change: Change) -> str | None:
        if "id" in change.match:
            return str(change.match["id"])
        found = self._fetched("/companies", {"company_id": str(change.match["company_id"])})
        return None if found is None else _id(found)

    # events

    def _submit_event(self, change: Change) -> Outcome:
        field, value = next(iter(change.match.items()))
        who = {"user_id" if field == "external_id" else field: str(value)}
        fields = dict(change.fields)
        named = {name: fields.pop(name, None) for name in ("event_name", "created_at")}
        lacking = [name for name, given in named.items() if given is None]
        if lacking:
            raise _Refused(0, "event", f"an event needs `{'` and `'.join(lacking)}`")
        metadata = _filled(fields)
        if len(metadata) > _METADATA:
            raise _Refused(0, "event", f"Intercom keeps {_METADATA} keys of an event, and this one has {len(metadata)}")
        self._ask("POST", "/events", json={**named, **who, **({"metadata": metadata} if metadata else {})})
        return Outcome(change.seq, Status.ACCEPTED)

    # memberships

    def _write_membership(self, object_name: str, operation: Operation, change: Change) -> Outcome:
        if operation is Operation.DELETE:
            member = _split(change.id) if change.id is not None else self._members(object_name, change, Status.MISSING)
            return self._removed(change, "DELETE", "/contacts/{}/{}/{}".format(*map(_segment, member)))
        contact, kind, other = self._members(object_name, change)
        _id(self._ask("POST", f"/contacts/{_segment(contact)}/{kind}", json={"id": other}))
        identity = f"{contact}:{kind}:{other}"
        if change.id is not None and change.id != identity:
            self._leave(change.id)
        return Outcome(change.seq, Status.ACCEPTED, identity)

    def _leave(self, identity: str) -> None:
        """End the membership that another took the place of; it may be over already."""
        try:
            self._ask("DELETE", "/contacts/{}/{}/{}".format(*map(_segment, _split(identity))), absent=Status.MISSING)
        except _Refused as refused:
            if refused.status is not Status.MISSING:
                raise

    def _members(self, object_name: str, change: Change, otherwise: Status = Status.REJECTED) -> tuple[str, str, str]:
        """Contact, kind and id of what it belongs to. Raises _Refused with `otherwise` when one is not there."""
        contact = self._kept("contact", change, lambda: self._contact_of(None, change))
        if object_name.startswith(_TAG):
            kind, other = "tags", self._tag(object_name.removeprefix(_TAG))
        else:
            kind, other = "companies", self._kept("company", change, lambda: self._company_of(change)) or ""
        if contact is None or not other:
            raise _lacking("contact" if contact is None else "company", otherwise)
        return contact, kind, other

    def _kept(self, kind: str, change: Change, find: Callable[[], str | None]) -> str | None:
        """An id that was found before, or is found now: people belong to the same few companies."""
        names = [name for name in change.match if (name == "company_id") == (kind == "company")]
        if len(names) != 1:
            raise FatalError("match one field of the contact, and `company_id`", code="match")
        key = (kind, names[0], str(change.match[names[0]]))
        known = self._ids.get(key)
        if known is None:
            known = find()
            if known is not None:
                if len(self._ids) >= _CACHED_IDS:
                    self._ids.clear()
                self._ids[key] = known
        return known

    def _tag(self, name: str) -> str:
        """The id of a tag, which is created when there is none of that name."""
        key = ("tag", "name", name.lower())
        if key not in self._ids:
            self._ids[key] = _id(self._ask("POST", "/tags", json={"name": name}))
        return self._ids[key]

    def _tag_company(self, name: str, operation: Operation, change: Change) -> Outcome:
        """Companies get and lose tags by a request about the tag; one that there is not is created."""
        if operation is Operation.DELETE:
            known = change.id or self._company_of(change)
            if known is None:
                raise _lacking("company", Status.MISSING)
            self._give_tag(name, known, untag=True)
            return Outcome(change.seq, Status.DELETED, known)
        known = self._company_of(change)
        if known is None:
            raise _lacking("company")
        self._give_tag(name, known)
        if change.id not in (None, known):
            self._give_tag(name, str(change.id), untag=True)
        return Outcome(change.seq, Status.ACCEPTED, known)

    def _give_tag(self, name: str, company: str, **more: bool) -> None:
        _id(
            self._ask(
                "POST", "/tags", json={"name": name, "companies": [{"id": company, **more}]}, absent=Status.MISSING
            )
        )

    # custom objects

    def _write_instance(self, kind: str, operation: Operation, change: Change) -> Outcome:
        path, key = f"/custom_object_instances/{_segment(kind)}", str(change.match["external_id"])
        if operation is Operation.DELETE:
            return self._removed(change, "DELETE", path, {"external_id": key})
        fields = dict(change.fields)
        times = {name: fields.pop(name) for name in _INSTANCE_TIMES if name in fields}
        body = self._ask("POST", path, json={"external_id": key, **times, "custom_attributes": fields})
        return Outcome(change.seq, Status.UPDATED if _id(body) == change.id else Status.ACCEPTED, _id(body))

    def _removed(self, change: Change, method: str, path: str, params: Mapping[str, str] | None = None) -> Outcome:
        _id(self._ask(method, path, params=params, absent=Status.MISSING))
        return Outcome(change.seq, Status.DELETED, change.id)

    # -- jobs of the Preview version -------------------------------------------------------------

    def submit(self, batch: Batch, started: Callable[[str], None]) -> None:
        tasks: dict[str, list[Mapping[str, Any]]] = {}
        for change in batch.changes:
            task = _task(batch, change)
            if task is not None:
                tasks.setdefault(task.action, []).append(task.item)
        jobs = [f"{action}={self._begun(batch.object, action, items)}" for action, items in tasks.items()]
        started(",".join(jobs))

    def _begun(self, object_name: str, action: str, items: Sequence[Mapping[str, Any]]) -> str:
        plural, method = _plural(object_name), "POST" if action == "create" else "PUT"
        preview = {"Intercom-Version": PREVIEW}
        return _id(decode_json(self.request(method, f"/{plural}/bulk", json={plural: items}, headers=preview)))

    def poll(self, batch: Batch, job: str) -> Iterable[Outcome] | Pending:
        states = {
            action: self._state(batch.object, known)
            for action, _, known in (part.partition("=") for part in job.split(",") if part)
        }
        if any(state in ("pending", "running") for state in states.values()):
            return Pending(_JOB_SECONDS)
        done: list[Change] = []
        outcomes: list[Outcome] = []
        for change in batch.changes:
            task = _task(batch, change)
            if task is not None and states.get(task.action) == "completed":
                done.append(change)
            else:
                # A job does not say which of its records failed: they are sent one by one, which tells why.
                outcomes.append(self._written(batch.object, batch.operation, change))
        return outcomes + self._confirmed(batch, done)

    def _state(self, object_name: str, job: str) -> str:
        path = f"/{_plural(object_name)}/bulk/{_segment(job)}"
        response = self.send("GET", path, headers={"Intercom-Version": PREVIEW})
        if response.status_code == 404:
            return "forgotten"
        if response.status_code != 200:
            raise self.error(response)
        state = _inner(decode_json(response), "state")
        if not isinstance(state, str):
            raise UnknownOutcomeError("Intercom's job has no state", code="job")
        return state

    def _confirmed(self, batch: Batch, changes: Sequence[Change]) -> list[Outcome]:
        """Outcomes of the records of a job that went well; a new contact's id where a search finds it already."""
        if batch.object == "companies":
            return [Outcome(change.seq, Status.ACCEPTED, change.id) for change in changes]
        fresh = [change for change in changes if change.id is None]
        ids: dict[str, str] = {}
        if fresh:
            field = next(iter(fresh[0].match))
            found = self._searched(batch.object, field, [str(change.match[field]) for change in fresh])
            ids = {_folded(field, item.get(field)): _id(item) for item in found}
        return [
            Outcome(change.seq, Status.UPDATED, change.id)
            if change.id is not None
            else Outcome(change.seq, Status.CREATED, ids.get(_folded(field, change.match[field])))
            for change in changes
        ]

    # -- reading ---------------------------------------------------------------------------------

    def read(
        self,
        object: str,  # noqa: A002 - the contract's word
        match: str,
        values: Sequence[Any],
        fields: Sequence[str],
    ) -> Iterable[Found]:
        kind = self.object_type(object)
        if kind is None or not kind.reads:
            raise NotImplementedError(f"`{object}` cannot be read back from Intercom")
        wanted = {_folded(match, value): value for value in values}
        if not wanted:
            return []
        bodies = (
            self._read_contacts(object, match, wanted)
            if object in _ROLES
            else self._read_one_by_one(object, match, wanted)
        )
        return [
            Found(_id(body), wanted[key], {name: _held(body, name) for name in fields})
            for body in bodies
            for key in [_folded(match, _held(body, match))]
            if key in wanted
        ]

    def _read_contacts(self, object_name: str, match: str, wanted: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """By search, and what that does not find yet one by one, where Intercom has such a request."""
        found = self._searched(object_name, match, [str(value) for value in wanted.values()])
        seen = {_folded(match, _held(body, match)) for body in found}
        paths = {"id": "/contacts/{}", "external_id": "/contacts/find_by_external_id/{}"}
        if match in paths:
            for key, value in wanted.items():
                body = None if key in seen else self._fetched(paths[match].format(_segment(str(value))))
                if body is not None and body.get("role") == _ROLES[object_name]:
                    found.append(body)
        return found

    def _read_one_by_one(self, object_name: str, match: str, wanted: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        found = []
        for value in map(str, wanted.values()):
            if object_name == "companies":
                path = f"/companies/{_segment(value)}" if match == "id" else "/companies"
                params = None if match == "id" else {"company_id": value}
            else:
                path = f"/custom_object_instances/{_segment(object_name.removeprefix(_CUSTOM))}"
                params = {"external_id": value}
            body = self._fetched(path, params)
            found += [] if body is None else [body]
        return found

    def _fetched(self, path: str, params: Mapping[str, str] | None = None) -> Mapping[str, Any] | None:
        """One record; None when there is none (404), or it was merged into another (410)."""
        try:
            body = self._ask("GET", path, params=params)
        except _Refused as refused:
            if refused.http in (404, 410):
                return None
            raise FatalError(refused.message, code=refused.code) from None
        _id(body)
        return body if isinstance(body, Mapping) else None

    def _searched(self, object_name: str | None, field: str, values: Sequence[str]) -> list[Mapping[str, Any]]:
        """All contacts with one of these values."""
        filters: list[dict[str, Any]] = [{"field": field, "operator": "IN", "value": list(values)}]
        if object_name is not None:
            filters.append({"field": "role", "operator": "=", "value": _ROLES[object_name]})
        query: dict[str, Any] = {"query": {"operator": "AND", "value": filters}, "pagination": {"per_page": _PAGE}}
        found: list[Mapping[str, Any]] = []
        while True:
            body = decode_json(self.request("POST", "/contacts/search", json=query))
            found += _data(body, "id")
            after = _inner(body, "pages", "next", "starting_after")
            if not after or after == query["pagination"].get("starting_after"):
                return found
            query["pagination"] = {"per_page": _PAGE, "starting_after": after}

    # -- failures --------------------------------------------------------------------------------

    def error(self, response: requests.Response) -> DestinationError:
        code, message, request_id = _reason(response)
        wait = retry_after(response)
        if response.status_code == 429 and wait is None:
            budget = self.budget(response)
            wait = budget.resets_after if budget is not None else None
        return status_error(response.status_code)(message, code=code, request_id=request_id, retry_after=wait)

    def budget(self, response: requests.Response) -> Budget | None:
        remaining = response.headers.get("X-RateLimit-Remaining", "")
        reset = response.headers.get("X-RateLimit-Reset", "")
        if not (remaining.isdecimal() and reset.isdecimal()):
            return None
        return Budget(int(remaining), max(0.0, int(reset) - _now(response)))


# -- records -----------------------------------------------------------------------------------------


def _record(object_name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as a request has them: what is not a standard attribute is a custom one."""
    known = _FIELDS[object_name]
    record = {name: value for name, value in fields.items() if name in known}
    custom = {name: value for name, value in fields.items() if name not in known}
    return {**record, **({"custom_attributes": custom} if custom else {})}


class _Task(NamedTuple):
    """What a job does with a record: `create` (companies: or update), or `update`."""

    action: str
    item: dict[str, Any]


def _task(batch: Batch, change: Change) -> _Task | None:
    """The task of a change; None where only a request of its own can carry it.

    Jobs ignore names that they do not list, without a word, and say nothing of null.
    """
    fields = {**change.match, **change.fields}
    action = "update"
    if batch.operation is Operation.UPSERT and (batch.object == "companies" or change.id is None):
        action = "create"
    elif change.id is None:
        return None
    elif batch.object == "companies":
        fields.pop("company_id", None)
    if action == "update":
        fields.pop("id", None)
    record = _record(batch.object, fields)
    if batch.object in _ROLES and action == "create":
        record = _filled(record)
    custom = {"custom_attributes"}
    if set(record) - _IN_JOBS[batch.object, action] - custom or None in record.values() or "id" in fields:
        return None
    named = {"id": change.id} if action == "update" else {"role": "user"} if batch.object in _ROLES else {}
    return _Task(action, {**named, **record})


def _plural(object_name: str) -> str:
    """An object's name in paths."""
    return "contacts" if object_name in _ROLES else object_name


def _filled(record: Mapping[str, Any]) -> dict[str, Any]:
    """A new record without its nulls: there is nothing to clear."""
    filled = {}
    for name, value in record.items():
        kept = _filled(value) if name == "custom_attributes" else value
        if kept is not None and kept != {}:
            filled[name] = kept
    return filled


def _held(body: Mapping[str, Any], name: str) -> Any:
    """A field of a record as Intercom shows it."""
    value = body.get(name)
    if name in _NESTED and isinstance(value, Mapping):
        return value.get(_NESTED[name])
    return value if name in body else _inner(body, "custom_attributes", name)


_NESTED = {"plan": "name", "avatar": "image_url"}


def _inner(body: Any, *names: str) -> Any:
    """What an answer holds below these names; None where it has no such place."""
    for name in names:
        body = body.get(name) if isinstance(body, Mapping) else None
    return body


def _id(body: Any) -> str:
    """Raises UnknownOutcomeError when a success names no record."""
    known = _inner(body, "id")
    if not known or not isinstance(known, str | int):
        raise UnknownOutcomeError("Intercom's answer names no record: it does not say what it did", code="empty")
    return str(known)


def _data(body: Any, key: str) -> list[Mapping[str, Any]]:
    """Raises UnknownOutcomeError when an answer has no list with `key` in each entry."""
    entries = _inner(body, "data")
    if not isinstance(entries, list) or not all(isinstance(item, Mapping) and key in item for item in entries):
        raise UnknownOutcomeError("Intercom's answer has no list of results", code="results")
    return entries


def _folded(field: str, value: Any) -> str:
    """A match value as Intercom tells it from others: addresses without regard to case."""
    text = "" if value is None else str(value)
    return text.casefold() if field == "email" else text


def _segment(value: str) -> str:
    """A value as one part of a path. Raises _Refused for what would lead elsewhere, however it is written."""
    if value in ("", ".", ".."):
        raise _Refused(0, "path_value", "an id is empty or consists of dots")
    return quote(value, safe="")


def _split(identity: str) -> tuple[str, str, str]:
    """Contact, kind and id of a membership from the id that it was given here."""
    contact, _, rest = identity.partition(":")
    kind, _, other = rest.partition(":")
    if kind not in ("companies", "tags"):
        raise _Refused(404, "not_found", "no membership has this id", Status.MISSING)
    return contact, kind, other


def _lacking(what: str, status: Status = Status.REJECTED) -> _Refused:
    return _Refused(0, "lookup_missing", f"Intercom has no {what} with this row's value: sync those first", status)


def _missing(change: Change) -> Outcome:
    return Outcome(change.seq, Status.MISSING, None, "not_found", "Intercom has no such record")


# -- answers -----------------------------------------------------------------------------------------

_OF_A_RECORD = frozenset({400, 404, 409, 410, 413, 422})
_PASSING = frozenset({"too_many_requests", "retry_after", "request_timeout", "service_unavailable"})
_CONFLICTING = re.compile(r"\bid=(\w+)")
_INSTANCE_TIMES = ("external_created_at", "external_updated_at")


def _reason(response: requests.Response) -> tuple[str, str, str | None]:
    """Code, words and request id of an error, which may be no JSON."""
    body = error_json(response)
    errors = _inner(body, "errors")
    listed = [item for item in errors or () if isinstance(item, Mapping)] if isinstance(errors, list) else []
    words = [str(item.get("message") or item.get("code") or "") for item in listed]
    code = next((str(item["code"]) for item in listed if item.get("code")), str(response.status_code))
    identity = _inner(body, "request_id")
    message = "; ".join(filter(None, words)) or f"{response.status_code} {response.reason}"
    return code, message, None if identity is None else str(identity)


def _now(response: requests.Response) -> float:
    """The time by the vendor's clock, where it tells it."""
    try:
        told = datetime.strptime(response.headers.get("Date", ""), "%a, %d %b %Y %H:%M:%S GMT")
    except ValueError:
        return time.time()
    return told.replace(tzinfo=timezone.utc).timestamp()


# -- fields ------------------------------------------------------------------------------------------

_UNIQUE = frozenset({"external_id", "email", "company_id"})
_CREATED_AS: Mapping[ColumnType, str] = {
    ColumnType.INTEGER: "integer",
    ColumnType.DECIMAL: "float",
    ColumnType.FLOAT: "float",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.DATE: "date",
    ColumnType.TIMESTAMP: "datetime",
    ColumnType.TIMESTAMPTZ: "datetime",
}


def _standard(name: str, kind: str) -> FieldInfo:
    # The others are only found by a search, which finds new contacts after minutes.
    conclusive = name == "external_id"
    return FieldInfo(name, kind, unique=name in _UNIQUE, conclusive=conclusive, writable=name != "company_id")


def _attribute(item: Mapping[str, Any]) -> FieldInfo:
    kind = str(item.get("data_type"))
    listed = item.get("options")
    options = tuple(str(option) for option in listed) if isinstance(listed, list) else ()
    return FieldInfo(
        name=str(item.get("name")),
        type=kind,
        label=item.get("label"),
        writable=bool(item.get("api_writable", True)),
        options=options or None,
        max_length=_TEXT if kind == "string" else None,
    )


# -- values ------------------------------------------------------------------------------------------


def _encoder(column: ColumnType, info: FieldInfo | None) -> Callable[[Any], Any]:
    kind = info.type if info is not None else None
    if kind == "string":
        limit = info.max_length if info is not None else None
        return lambda value: _short(_AS_TEXT[column](value), limit)
    if column is ColumnType.NESTED:
        return _list_of_ids if kind == "relationship" else _nested
    if kind == "integer" and column in (ColumnType.DECIMAL, ColumnType.FLOAT):
        ceiling = _SPEND if info is not None and info.name == "monthly_spend" else None
        return lambda value: _whole(value, ceiling)
    return _AS_IT_IS[column]


def _short(text: str, limit: int | None) -> str:
    if limit is not None and len(text) > limit:
        raise ValueError(f"Intercom keeps {limit} characters of this attribute, and the value has {len(text)}")
    return text


def _whole(value: float | Decimal, ceiling: int | None) -> int:
    finite(value)
    if value != int(value):
        raise ValueError("Intercom keeps whole numbers here and would cut the fraction off: round it in SQL")
    if ceiling is not None and value > ceiling:
        raise ValueError(f"Intercom takes at most {ceiling} here")
    return int(value)


def _seconds(value: datetime) -> int:
    moment = utc(value)
    assert moment is not None
    return int(moment.timestamp() // 1)


def _midnight(value: date) -> int:
    return _seconds(datetime(value.year, value.month, value.day))


def _moment(value: datetime) -> str:
    return utc_text(value) + "Z"


def _nested(value: Any) -> Any:
    """A link or an amount of an event stays an object; Intercom takes no other nested value."""
    if isinstance(value, Mapping) and set(value) in ({"url", "value"}, {"amount", "currency"}):
        return value
    return json_text(value)


def _list_of_ids(value: Any) -> list[str]:
    return [str(item) for item in value if item is not None] if isinstance(value, list) else [str(value)]


_AS_IT_IS: Mapping[ColumnType, Callable[[Any], Any]] = {
    ColumnType.TEXT: str,
    ColumnType.INTEGER: int,
    ColumnType.DECIMAL: finite,
    ColumnType.FLOAT: finite,
    ColumnType.BOOLEAN: bool,
    ColumnType.DATE: _midnight,
    ColumnType.TIMESTAMP: _seconds,
    ColumnType.TIMESTAMPTZ: _seconds,
    ColumnType.TIME: lambda value: str(value.isoformat()),
}
_AS_TEXT: Mapping[ColumnType, Callable[[Any], str]] = {
    ColumnType.TEXT: str,
    ColumnType.INTEGER: str,
    ColumnType.DECIMAL: number_text,
    ColumnType.FLOAT: number_text,
    ColumnType.BOOLEAN: lambda value: "true" if value else "false",
    ColumnType.DATE: date.isoformat,
    ColumnType.TIMESTAMP: _moment,
    ColumnType.TIMESTAMPTZ: _moment,
    ColumnType.TIME: lambda value: str(value.isoformat()),
    ColumnType.NESTED: json_text,
}
