"""Salesforce: any standard or custom object, through sObject Collections and, for many records, Bulk API 2.0.

Facts are from https://developer.salesforce.com/docs (REST API guide: "sObject Collections", "Headers", "Status Codes
and Error Responses"; "Bulk API 2.0 and Bulk API Developer Guide": "Prepare CSV Files", "Create a Job", "Get Job ...
Record Results"; Tooling API: CustomField) and https://help.salesforce.com (OAuth flows, article 000386264):

- A collection holds at most 200 records; results come in the order of the records, and failed rows carry no id.
- An upsert finds records by an external id (or another field with "ID Lookup"), never by record id, so records whose id
  is known are updated by it.
- null clears, except in a checkbox, which is false.
- A job's results come as a whole (only those of query jobs have pages), in any order, and repeat what was uploaded:
  they are joined by the key. In its CSV an empty cell leaves a field alone and `#N/A` clears.
- Rows of batches beyond the daily allocation are in no result at all.
- Too many requests are a 403.
- A URL and its headers may hold 16,384 bytes together.
- Text matches whatever its letter case, unless the field says otherwise.
"""

from __future__ import annotations

import csv
import io
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from datetime import time as clock_time
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar
from urllib.parse import quote

import jwt
import requests
from pydantic import Field, SecretStr, model_validator
from requests.auth import AuthBase
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
    QuotaExhaustedError,
    RateLimitedError,
    Reference,
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

COLLECTION = 200
JOB_BYTES = 100_000_000  # Salesforce takes 150 MB after base64 encoding
POLL_SECONDS = 5.0
RECORD_ID = "Id"
_QUERY_BYTES = 8_000  # of a query, percent-encoded
_DAY = 86_400.0
_NULL = "#N/A"
_ID = re.compile(r"[a-zA-Z0-9]{15}(?:[a-zA-Z0-9]{3})?")
_NAME = re.compile(r"[A-Za-z]\w*")


class SalesforceConfig(DestinationConfig):
    """An output of `type: salesforce` in destinations.yml."""

    instance_url: str | None = Field(None, description="My Domain: `https://acme.my.salesforce.com`")
    client_id: str | None = Field(None, description="Consumer key of the external client app or connected app")
    client_secret: SecretStr | None = Field(None, description="Consumer secret: the client credentials flow")
    username: str | None = Field(None, description="User to act as: the JWT bearer flow, with `private_key`")
    private_key: SecretStr | None = Field(None, description="PEM of the RSA key whose certificate the app has")
    audience: str | None = Field(
        None,
        description="`aud` of the JWT; by default test.salesforce.com for a sandbox org, else login.salesforce.com",
    )
    api_version: str = Field("67.0", pattern=r"^\d{2,3}\.0$", description="Version in the paths")
    organization_id: str | None = Field(None, description="Refuse to run when the credentials open another org")
    bulk_above: int = Field(2000, ge=0, description="Use Bulk API 2.0 for plans with more changes than this")
    bulk_records: int = Field(10_000, ge=1, le=1_000_000, description="Records in one bulk job, at most")
    leave_requests: int | None = Field(
        None, ge=0, description="Stop when the org has no more API requests left in its 24 hours than this"
    )
    assignment_rule: bool | str | None = Field(
        None, description="Assignment rules of leads, cases and accounts: `false`, or the id of one (default: active)"
    )
    allow_duplicates: bool = Field(False, description="Save in spite of a duplicate rule that only alerts")
    case_sensitive: bool = Field(False, description="Match fields tell letter case apart, as their definitions say")
    permission_set: str | None = Field(
        None, description="API name of the permission set that gets access to the fields which `create_fields` makes"
    )

    @model_validator(mode="after")
    def _credentials(self) -> SalesforceConfig:
        if self.sandbox:
            return self
        if self.instance_url is None:
            raise ValueError("`instance_url` is missing: `https://<my domain>.my.salesforce.com`")
        if self.client_id is None:
            raise ValueError("`client_id` is missing: the consumer key of an external client app")
        if self.client_secret is None and (self.username is None or self.private_key is None):
            raise ValueError("credentials are missing: `client_secret`, or `username` and `private_key`")
        if self.client_secret is not None and self.private_key is not None:
            raise ValueError("`client_secret` and `private_key` are two ways to log in: keep one of them")
        return self

    def in_sandbox(self, url: str, token: str | None) -> Self:
        changed = {"base_url": url, "client_id": "revetl", "client_secret": SecretStr(token or "sandbox")}
        unset = dict.fromkeys(("username", "private_key", "organization_id"))
        return self.model_copy(update={**unset, **changed, "permission_set": self.permission_set or "revetl"})


_STANDARD = ("Account", "Contact", "Lead", "Opportunity", "Case", "Campaign", "CampaignMember", "Task")
_UNSUPPORTED: Mapping[Operation, str] = {
    Operation.ARCHIVE: (
        "Salesforce has no archive: `delete` moves a record to the Recycle Bin, where a person can restore it for "
        "15 days, and `erase` removes it for good"
    ),
}
_ACTIONS: Mapping[Operation, str] = {
    Operation.UPSERT: "upsert",
    Operation.UPDATE: "update",
    Operation.CREATE: "insert",
    Operation.APPEND: "insert",
    Operation.DELETE: "delete",
    Operation.ERASE: "hardDelete",
}


class Salesforce(HttpDestination):
    """Records of a Salesforce org."""

    type: ClassVar[str] = "salesforce"
    Config = SalesforceConfig

    def __init__(self, config: SalesforceConfig, gate: Any) -> None:
        super().__init__(config, gate)
        self._login = threading.Lock()
        self._token: str | None = None
        self._left: int | None = None  # requests, as the last answer said
        self._fields: dict[str, Mapping[str, Mapping[str, Any]]] = {}  # of described objects, by name
        self._found: dict[str, _Ids] = {}  # ids that were looked up for a job
        self._data = f"/services/data/v{config.api_version}"

    def base_url(self) -> str:
        return str(self.config.base_url or self.config.instance_url)

    def headers(self) -> Mapping[str, str]:
        rule, found = self.config.assignment_rule, {}
        if rule is not None:
            found["Sforce-Auto-Assign"] = str(rule).upper() if isinstance(rule, bool) else rule
        if self.config.allow_duplicates:
            found["Sforce-Duplicate-Rule-Header"] = "allowSave=true"
        return found

    def objects(self) -> Sequence[ObjectType]:
        return [self._object_type(name) for name in _STANDARD]

    def object_type(self, name: str) -> ObjectType | None:
        """Any API name: the org alone knows which of them it has."""
        return self._object_type(name) if _NAME.fullmatch(name) else None

    def _object_type(self, name: str) -> ObjectType:
        job, above = Limits(self.config.bulk_records, JOB_BYTES), self.config.bulk_above
        small = (Operation.UPSERT, Operation.UPDATE, Operation.CREATE, Operation.APPEND, Operation.DELETE)
        return ObjectType(
            name=name,
            operations=dict.fromkeys((*small, Operation.ERASE), Limits(COLLECTION)),
            idempotent=frozenset({Operation.UPSERT, Operation.UPDATE, Operation.DELETE, Operation.ERASE}),
            match_ignores_case=not self.config.case_sensitive,
            reads=True,
            described=True,
            bulk={**dict.fromkeys(small, Bulk(job, above + 1 if above else 0)), Operation.ERASE: Bulk(job)},
            creates_fields=self.config.sandbox or self.config.permission_set is not None,
            references=True,
            unsupported=_UNSUPPORTED,
        )

    # -- credentials -------------------------------------------------------------------------------------------------

    def auth(self) -> AuthBase:
        with self._login:
            token = self._token = self._token or self._new_token()
        return BearerAuth(lambda: token)

    def renew(self) -> bool:
        """Neither flow has a refresh token: the next request logs in anew."""
        with self._login:
            self._token = None
        return True

    def _new_token(self) -> str:
        """Raises UnauthorizedError when the credentials are refused; any other failure is worth another try."""
        with before_writing("no token"):
            response = self.send("POST", "/services/oauth2/token", data=self._grant(), auth=NoAuth())
            if response.status_code in (400, 401):
                code, words = _reason(error_json(response))
                text = f"Salesforce refuses the credentials: {words or code or response.status_code}"
                raise UnauthorizedError(text, code=code)
            if response.status_code != 200:
                raise self.error(response)
            body = decode_json(response)
        token = body.get("access_token") if isinstance(body, Mapping) else None
        if not isinstance(token, str):
            raise RetryableError("no token: the answer holds none", code="results")
        return token

    def _grant(self) -> dict[str, str]:
        config: SalesforceConfig = self.config
        if config.private_key is None:
            secret = config.client_secret.get_secret_value() if config.client_secret else ""
            return {
                "grant_type": "client_credentials",
                "client_id": str(config.client_id),
                "client_secret": secret,
            }
        claims = {
            "iss": config.client_id,
            "sub": config.username,
            "aud": config.audience or _audience(config.instance_url or ""),
            "exp": int(time.time()) + 180,
        }
        key = config.private_key.get_secret_value().replace("\\n", "\n")
        try:
            assertion = jwt.encode(claims, key, algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError):
            # Without the cause: its text may quote the key.
            raise FatalError("`private_key` is no RSA key in PEM form", code="private_key") from None
        return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}

    # -- what there is -----------------------------------------------------------------------------------------------

    def check(self) -> Account:
        org = next(iter(self._query("SELECT Id, Name FROM Organization")), {})
        found, expected = org.get("Id"), self.config.organization_id
        if not isinstance(found, str):
            raise UnknownOutcomeError("Salesforce's answer names no organization", code="results")
        if expected is not None and expected[:15] != found[:15]:
            raise FatalError(f"the credentials open org {found}, not {expected}", code="account")
        return Account(found, org.get("Name"), self._base_url)

    def describe(self, object: str) -> Sequence[FieldInfo]:  # noqa: A002 - the contract's word
        return [_field(item) for item in self._described(object).values()]

    def _described(self, object_name: str) -> Mapping[str, Mapping[str, Any]]:
        known = self._fields.get(object_name)
        if known is None:
            response = self.send("GET", f"{self._data}/sobjects/{quote(object_name, safe='')}/describe")
            if response.status_code in (400, 404):
                raise FatalError(
                    f"Salesforce has no object `{object_name}`, or none that this user may see", code="object"
                )
            if response.status_code != 200:
                raise self.error(response)
            body = decode_json(response)
            known = {str(item["name"]): item for item in _listed(body, "fields", "name")}
            self._fields[object_name] = known
        return known

    def encoder(self, column: ColumnType, info: FieldInfo | None) -> Encoder:
        return _encoder(column, info.type if info is not None else None)

    def create_field(self, object: str, name: str, column: ColumnType) -> FieldInfo:  # noqa: A002 - the contract's word
        """Through the Tooling API; then the permission set is given access, without which nobody would see it."""
        if not re.fullmatch(r"[A-Za-z]\w*__c", name):
            raise FatalError(f"`{name}` cannot be created: the API names of custom fields end in `__c`")
        full = f"{object}.{name}"
        label = name.removesuffix("__c").replace("_", " ")
        body: dict[str, Any] = {"FullName": full, "Metadata": {"label": label[:40], **_NEW_FIELDS[column]}}
        response = self.send("POST", f"{self._data}/tooling/sobjects/CustomField", json=body)
        # A run that died in between has made the field already, and nobody sees it yet.
        if response.status_code != 201 and _reason(error_json(response))[0] != "DUPLICATE_DEVELOPER_NAME":
            raise _fatal(self.error(response))
        access = {"SobjectType": object, "Field": full, "PermissionsRead": True, "PermissionsEdit": True}
        body = {**access, "ParentId": self._permission_set()}
        response = self.send("POST", f"{self._data}/sobjects/FieldPermissions", json=body)
        if response.status_code != 201 and _reason(error_json(response))[0] != "DUPLICATE_VALUE":
            raise _fatal(self.error(response))
        self._fields.pop(object, None)
        made = self._described(object).get(name)
        if made is None:
            raise FatalError(
                f"`{full}` was created, but is not visible: assign the permission set "
                f"`{self.config.permission_set}` to the user that the app runs as",
                code="permission_set",
            )
        return _field(made)

    def _permission_set(self) -> str:
        name = str(self.config.permission_set)
        found = self._query(f"SELECT Id FROM PermissionSet WHERE Name = {_literal(name)}")  # noqa: S608 - escaped
        if not found:
            raise FatalError(f"Salesforce has no permission set `{name}` (its API name)", code="permission_set")
        return str(found[0][RECORD_ID])

    def app_url(self) -> str | None:
        url: str | None = self.config.instance_url
        return url

    def record_url(self, object: str, id: str) -> str | None:  # noqa: A002 - the contract's words
        if self.config.sandbox:
            return None
        return f"{self._base_url}/lightning/r/{quote(object, safe='')}/{quote(id, safe='')}/view"

    # -- reading -----------------------------------------------------------------------------------------------------

    def read(
        self,
        object: str,  # noqa: A002 - the contract's word
        match: str,
        values: Sequence[Any],
        fields: Sequence[str],
    ) -> Iterable[Found]:
        """One `Found` for each record, so that a value which several records hold comes several times."""
        wanted = {_key(value, match): value for value in values if value is not None}
        names = list(dict.fromkeys([RECORD_ID, match, *fields]))
        unfit = [name for name in (object, *names) if not _NAME.fullmatch(name)]
        if unfit:
            raise FatalError(f"`{unfit[0]}` is no API name")
        head = f"SELECT {', '.join(names)} FROM {object} WHERE {match} IN "  # noqa: S608 - names, checked above
        return [
            Found(str(row[RECORD_ID]), wanted[key], {name: row.get(name) for name in fields})
            for literals in fitting([_literal(value) for value in wanted.values()], _QUERY_BYTES)
            for row in self._query(f"{head}({','.join(literals)})")
            if (key := _key(row.get(match), match)) in wanted
        ]

    def _query(self, soql: str) -> list[Mapping[str, Any]]:
        """All rows; Salesforce sends them in pages of at most 2,000."""
        rows: list[Mapping[str, Any]] = []
        path = f"{self._data}/query?q={quote(soql, safe='')}"
        while path.startswith("/services/"):  # never to another host
            body = decode_json(self.request("GET", path))
            rows += _listed(body, "records", RECORD_ID)
            path = _word(body.get("nextRecordsUrl")) or ""
        return rows

    # -- collections -------------------------------------------------------------------------------------------------

    def write(self, batch: Batch) -> Iterable[Outcome]:
        if not batch.changes:
            return []
        if batch.operation is Operation.ERASE:
            raise FatalError("Salesforce erases records through Bulk API 2.0 only")
        if len(batch.changes) > COLLECTION:
            raise ValueError(f"a batch of {len(batch.changes)} exceeds the limit of {COLLECTION}")
        settled, parts = self._parts(batch, self._ids(batch))
        # A failure of the second request raises for both: whatever makes two requests may be repeated.
        return settled + [outcome for part in parts for outcome in self._collection(part)]

    def _parts(self, batch: Batch, ids: _Ids) -> tuple[list[Outcome], list[_Part]]:
        """What needs no request, and what needs one each. The same for the same batch and ids."""
        settled: list[Outcome] = []
        by_action: dict[str, list[Change]] = {}
        for change in batch.changes:
            known = ids.known.get(change.seq)
            if batch.operation is Operation.UPSERT:
                by_action.setdefault("upsert" if known is None else "update", []).append(change)
            elif batch.operation in (Operation.CREATE, Operation.APPEND) or known is not None:
                by_action.setdefault(_ACTIONS[batch.operation], []).append(change)
            elif change.seq in ids.ambiguous:
                settled.append(_ambiguous(change))
            else:
                settled.append(Outcome(change.seq, Status.MISSING, None, "NOT_FOUND", "Salesforce has no such record"))
        fields = self._fields.get(batch.object, {})
        fixed = frozenset(name for name, item in fields.items() if item.get("updateable") is False)
        if any(isinstance(value, Reference) for change in batch.changes for value in change.fields.values()):
            fields = self._described(batch.object)
        return settled, [
            _Part(batch.object, action, changes, ids.known, fixed, fields) for action, changes in by_action.items()
        ]

    def _ids(self, batch: Batch) -> _Ids:
        """The ids of records, where an operation needs them: from the ledger, the match value, or a query."""
        if batch.operation in (Operation.CREATE, Operation.APPEND):
            return _Ids({})
        known = _known_ids(batch.changes)
        if batch.operation is Operation.UPSERT:
            return _Ids(known)
        unknown = [change for change in batch.changes if change.seq not in known and change.match]
        field = next(iter(unknown[0].match)) if unknown else RECORD_ID
        if field == RECORD_ID:
            return _Ids(known)
        holders: dict[str, set[str]] = {}
        for found in self.read(batch.object, field, [change.match[field] for change in unknown], ()):
            holders.setdefault(_key(found.match, field), set()).add(found.id)
        owners = {change.seq: holders.get(_key(change.match[field], field), set()) for change in unknown}
        known.update({seq: next(iter(ids)) for seq, ids in owners.items() if len(ids) == 1})
        return _Ids(known, {seq for seq, ids in owners.items() if len(ids) > 1}, asked=True)

    def _collection(self, part: _Part) -> list[Outcome]:
        path = f"{self._data}/composite/sobjects"
        if part.action == "delete":
            ids = ",".join(part.ids[change.seq] for change in part.changes)
            response = self.request("DELETE", path, params={"ids": ids, "allOrNone": "false"})
        else:
            if part.action == "upsert":
                path += f"/{quote(part.object, safe='')}/{quote(part.match_field(), safe='')}"
            body = {"allOrNone": False, "records": [part.record(change) for change in part.changes]}
            response = self.request("POST" if part.action == "insert" else "PATCH", path, json=body)
        results = decode_json(response)
        # Which result is whose is told by the order alone ("returned in the same order").
        if not isinstance(results, list) or len(results) != len(part.changes):
            raise UnknownOutcomeError("Salesforce does not say what became of each record", code="results")
        return [part.outcome(change, result) for change, result in zip(part.changes, results, strict=True)]

    # -- jobs --------------------------------------------------------------------------------------------------------

    def submit(self, batch: Batch, started: Callable[[str], None]) -> None:
        ids = self._ids(batch)
        _, parts = self._parts(batch, ids)
        files = {part.action: part.file() for part in parts}
        if any(len(file) > JOB_BYTES for file in files.values()):
            raise BatchRejectedError(f"the job would exceed {JOB_BYTES:,} bytes", code="record_too_large")
        try:
            jobs = {part.action: self._open(part) for part in parts if files[part.action]}
            token = ";".join(f"{action} {job}" for action, job in jobs.items()) or "none"
            if ids.asked:
                self._found[token] = ids
            started(token)
            for action, job in jobs.items():
                path = f"{self._data}/jobs/ingest/{quote(job, safe='')}/batches"
                self.request("PUT", path, data=files.pop(action), headers={"Content-Type": "text/csv; charset=UTF-8"})
        except UnknownOutcomeError as error:
            if batch.operation in self._object_type(batch.object).idempotent:
                raise
            # Salesforce does not work on a job that was not closed: nothing was created yet.
            raise RetryableError(str(error), code=error.code, retry_after=error.retry_after) from error
        except BatchRejectedError as error:
            raise _fatal(error) from error
        for job in jobs.values():
            self._set_state(job, "UploadComplete")

    def _open(self, part: _Part) -> str:
        body: dict[str, Any] = {"object": part.object, "operation": part.action, "contentType": "CSV"}
        body |= {"lineEnding": "LF", "columnDelimiter": "COMMA"}
        if part.action == "upsert":
            body["externalIdFieldName"] = part.match_field()
        if isinstance(self.config.assignment_rule, str):
            body["assignmentRuleId"] = self.config.assignment_rule
        made = decode_json(self.request("POST", f"{self._data}/jobs/ingest", json=body))
        job = made.get("id") if isinstance(made, Mapping) else None
        if not isinstance(job, str) or not _ID.fullmatch(job):
            raise UnknownOutcomeError("Salesforce's answer names no job", code="results")
        return job

    def _set_state(self, job: str, state: str) -> None:
        self.request("PATCH", f"{self._data}/jobs/ingest/{quote(job, safe='')}", json={"state": state})

    def poll(self, batch: Batch, job: str) -> Iterable[Outcome] | Pending:
        jobs = dict(item.split(" ", 1) for item in job.split(";") if " " in item)
        infos = {action: self._job(name) for action, name in jobs.items()}
        if any(info.get("state") in ("UploadComplete", "InProgress") for info in infos.values()):
            return Pending(POLL_SECONDS)
        outcomes, parts = self._parts(batch, self._found.get(job) or self._ids(batch))
        for part in parts:
            outcomes += part.unsayable()
            if part.action in infos:
                outcomes += self._results(part, jobs[part.action], infos[part.action])
        self._found.pop(job, None)
        return outcomes

    def _job(self, job: str) -> Mapping[str, Any]:
        response = self.send("GET", f"{self._data}/jobs/ingest/{quote(job, safe='')}")
        if response.status_code == 404:
            return {"state": "Gone"}
        if response.status_code != 200:
            raise self.error(response)
        body = decode_json(response)
        if not isinstance(body, Mapping) or "state" not in body:
            raise UnknownOutcomeError("Salesforce's answer does not say how the job stands", code="results")
        return body

    def _results(self, part: _Part, job: str, info: Mapping[str, Any]) -> list[Outcome]:
        state = info["state"]
        if state == "Open":
            self._set_state(job, "Aborted")  # so that it cannot begin any more
            return part.all(Status.RETRY, "unprocessed", "the job was never begun")
        if state == "Gone":
            return part.all(Status.UNKNOWN, "unlisted", "Salesforce has deleted the job")
        results = _Results(part, str(info.get("errorMessage") or f"the job ended as `{state}`"))
        for kind, add in (
            ("successfulResults", results.succeeded),
            ("failedResults", results.failed),
            ("unprocessedrecords", results.unprocessed),
        ):
            path = f"{self._data}/jobs/ingest/{quote(job, safe='')}/{kind}"
            for row in _rows(self.request("GET", path, headers={"Accept": "text/csv"})):
                add(row)
        return results.outcomes()

    # -- errors and limits -------------------------------------------------------------------------------------------

    def send(self, method: str, path: str, **options: Any) -> requests.Response:
        least = self.config.leave_requests
        if least is not None and self._left is not None and self._left <= least:
            text = f"{self._left} API requests are left of the org's 24 hours, and `leave_requests` keeps {least}"
            raise QuotaExhaustedError(text, code="leave_requests")
        return super().send(method, path, **options)

    def error(self, response: requests.Response) -> DestinationError:
        code, message = _reason(error_json(response))
        status = response.status_code
        kind: type[DestinationError] = status_error(status)
        if status == 300:
            kind, message = BatchRejectedError, message or "several records match"
        elif (code or "").endswith("LIMIT_EXCEEDED"):
            passing = "concurrent" in (message or "").lower()
            kind = RateLimitedError if passing else QuotaExhaustedError
        elif code in ("INVALID_SESSION_ID", "INVALID_AUTH_HEADER"):
            kind = UnauthorizedError
        elif code in _PASSING:
            kind = RetryableError
        elif status == 400 and code in _SETUP:
            kind = FatalError
        text = message or f"{status} {response.reason}"
        return kind(text, code=code or str(status), retry_after=retry_after(response))

    def budget(self, response: requests.Response) -> Budget | None:
        """Requests left of the org's rolling 24 hours, as `Sforce-Limit-Info` says; nothing when they are used up.

        Salesforce lets many orgs exceed them for a while: whether it refuses is for it to say.
        """
        used = re.search(r"api-usage=(\d+)/(\d+)", response.headers.get("Sforce-Limit-Info", ""))
        if used is None:
            return None
        self._left = int(used[2]) - int(used[1])
        return Budget(self._left, _DAY) if self._left > 0 else None


def _audience(instance_url: str) -> str:
    return f"https://{'test' if '.sandbox.' in instance_url else 'login'}.salesforce.com"


# -- records and their outcomes --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Ids:
    """Record ids by `seq`, and those changes whose match value several records hold."""

    known: Mapping[int, str]
    ambiguous: Collection[int] = frozenset()
    asked: bool = False  # Salesforce was


@dataclass(frozen=True, slots=True)
class _Part:
    """Changes for one request, or one job."""

    object: str
    action: str  # as Bulk API 2.0 calls it: insert, update, upsert, delete or hardDelete
    changes: Sequence[Change]
    ids: Mapping[int, str]
    fixed: Collection[str]  # fields that an update must leave out
    fields: Mapping[str, Mapping[str, Any]]  # as described, where there are references

    def match_field(self) -> str:
        field = next(iter(self.changes[0].match), RECORD_ID)
        if field == RECORD_ID:
            raise FatalError(
                "an upsert needs an external id, and Salesforce assigns `Id` itself: match on a field marked as "
                "External ID, or use `mode: update`",
                code="match",
            )
        return field

    def values(self, change: Change) -> Iterator[tuple[str, Any]]:
        """What is written. A record that is found by its id gets a new match value."""
        for name, value in {**change.match, **change.fields}.items():
            if name != RECORD_ID and not (self.action == "update" and name in self.fixed and name in change.match):
                yield name, value

    def record(self, change: Change) -> dict[str, Any]:
        """As a collection takes it."""
        record: dict[str, Any] = {"attributes": {"type": self.object}}
        if self.action == "update":
            record["id"] = self.ids[change.seq]
        for name, value in self.values(change):
            if isinstance(value, Reference):
                relation, several = self.relation(name)
                kind = {"attributes": {"type": value.object}} if several else {}
                record[relation] = {**kind, value.match: value.value}
            else:
                record[name] = value
        return record

    def relation(self, name: str) -> tuple[str, bool]:
        """The relationship of a reference field, and whether records of several objects can stand there."""
        field = self.fields.get(name, {})
        relation = field.get("relationshipName")
        if not relation:
            raise FatalError(f"`{self.object}.{name}` refers to no other record: a lookup cannot fill it")
        return str(relation), len(field.get("referenceTo") or ()) > 1

    def outcome(self, change: Change, result: Any) -> Outcome:
        """What a collection says of one record."""
        if not isinstance(result, Mapping) or "success" not in result:
            return Outcome(change.seq, Status.UNKNOWN, change.id, "unlisted", "Salesforce does not say what it did")
        record_id = _word(result.get("id")) or self.ids.get(change.seq)
        if result["success"]:
            return Outcome(change.seq, self.done(result.get("created")), record_id)
        errors = _items(result.get("errors"))
        code, words = _reason(errors)
        return self.refused(change, code, words or code or "", any(item.get("fields") for item in errors))

    def done(self, created: Any) -> Status:
        if self.action == "insert":
            return Status.CREATED
        if self.action in ("delete", "hardDelete"):
            return Status.DELETED
        if self.action == "upsert" and not isinstance(created, bool):
            return Status.ACCEPTED
        return Status.CREATED if created and self.action == "upsert" else Status.UPDATED

    def refused(self, change: Change, code: str | None, message: str, about_fields: bool) -> Outcome:
        status, record_id = Status.REJECTED, self.ids.get(change.seq)
        if code in _PASSING or "UNABLE_TO_LOCK_ROW" in message:
            status = Status.RETRY
        elif code in _GONE and not about_fields and record_id is not None:
            status, record_id = Status.MISSING, None
        return Outcome(change.seq, status, record_id, code, message or "refused without a reason")

    # -- as a file -----------------------------------------------------------------------------------

    def cells(self, change: Change) -> Iterator[tuple[str, Any]]:
        """The values of a record by column. A column that is missing leaves its field alone."""
        if self.action not in ("insert", "upsert"):
            yield RECORD_ID, self.ids[change.seq]
        if self.action in ("delete", "hardDelete"):
            return
        for name, value in self.values(change):
            if isinstance(value, Reference):
                relation, several = self.relation(name)
                kind = f"{value.object}:" if several else ""
                yield f"{kind}{relation}.{value.match}", value.value
            else:
                yield name, value

    def file(self) -> bytes:
        """All records as CSV; empty when there is none that can be said in CSV."""
        changes = self.sayable()
        columns = list(dict.fromkeys(name for change in changes for name, _ in self.cells(change)))
        file = io.BytesIO()
        for line in [columns] if changes else []:
            file.write(_line(line))
        for change in changes:
            row = {name: _cell(value) for name, value in self.cells(change)}
            file.write(_line([row.get(name, "") for name in columns]))
        return file.getvalue()

    def sayable(self) -> list[Change]:
        return [change for change in self.changes if _sayable(change)]

    def unsayable(self) -> list[Outcome]:
        text = f"`{_NULL}` cannot be written through Bulk API 2.0, where it stands for no value"
        unfit = [change for change in self.changes if not _sayable(change)]
        return [Outcome(change.seq, Status.REJECTED, change.id, "value", text) for change in unfit]

    def all(self, status: Status, code: str, message: str) -> list[Outcome]:
        return [Outcome(change.seq, status, change.id, code, message) for change in self.sayable()]

    def keys(self) -> dict[tuple[str, ...], list[Change]]:
        """Changes by the values that tell which row of a result is theirs."""
        keys: dict[tuple[str, ...], list[Change]] = {}
        names = self.key_columns()
        for change in self.sayable():
            row = {name: _cell(value) for name, value in self.cells(change) if not names or name in names}
            keys.setdefault(_row_key(row, names or tuple(sorted(row))), []).append(change)
        return keys

    def key_columns(self) -> tuple[str, ...]:
        """None for inserts without a match: there all that was uploaded tells, and equal records are alike."""
        if self.action == "upsert":
            return (self.match_field(),)
        return tuple(self.changes[0].match) if self.action == "insert" else (RECORD_ID,)


class _Results:
    """The outcomes of one job, from the rows of its result files."""

    def __init__(self, part: _Part, reason: str) -> None:
        self._part = part
        self._reason = reason
        self._waiting = part.keys()
        self._columns = part.key_columns()
        self._outcomes: list[Outcome] = []

    def succeeded(self, row: Mapping[str, str]) -> None:
        created = {"true": True, "false": False}.get(row.get("sf__Created", "").lower())
        self._settle(row, lambda change: Outcome(change.seq, self._part.done(created), row.get("sf__Id") or change.id))

    def failed(self, row: Mapping[str, str]) -> None:
        error = _ROW_ERROR.fullmatch(row.get("sf__Error", ""))
        code, message, fields = error.groups() if error else (None, row.get("sf__Error", ""), None)
        self._settle(row, lambda change: self._part.refused(change, code, message, bool((fields or "").strip())))

    def unprocessed(self, row: Mapping[str, str]) -> None:
        """These were not tried: the job failed or was aborted. In smaller company most may get through, unless it is
        about a column, which all of them have."""
        status = Status.REJECTED if self._reason.startswith("InvalidBatch : Field name") else Status.RETRY
        self._settle(row, lambda change: Outcome(change.seq, status, change.id, "unprocessed", self._reason))

    def outcomes(self) -> list[Outcome]:
        """Records that no file mentions, as those beyond the daily allocation, may have been accepted."""
        text = "the job's results do not mention this record"
        left = [change for changes in self._waiting.values() for change in changes]
        return self._outcomes + [Outcome(c.seq, Status.UNKNOWN, c.id, "unlisted", text) for c in left]

    def _settle(self, row: Mapping[str, str], outcome: Callable[[Change], Outcome]) -> None:
        names = self._columns or tuple(sorted(name for name, cell in row.items() if cell and name[:4] != "sf__"))
        waiting = self._waiting.get(_row_key(row, names))
        if waiting:
            self._outcomes.append(outcome(waiting.pop(0)))


_ROW_ERROR = re.compile(r"([A-Z_]+):(.*?)(?::([\w ,.]*)\s*--)?\s*", re.DOTALL)
_PASSING = frozenset(
    {
        "UNABLE_TO_LOCK_ROW",
        "SERVER_UNAVAILABLE",
        "QUERY_TIMEOUT",
        "REQUEST_RUNNING_TOO_LONG",
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "REQUEST_LIMIT_EXCEEDED",
    }
)
"""Codes of what may well succeed later."""
_GONE = frozenset({"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "NOT_FOUND"})
_SETUP = frozenset({"INVALID_FIELD", "INVALID_TYPE", "MALFORMED_QUERY"})
"""Every record of a sync would be refused for these."""


def _row_key(row: Mapping[str, str], names: Sequence[str]) -> tuple[str, ...]:
    if names == (RECORD_ID,):
        return (row.get(RECORD_ID, "")[:15],)  # 18 characters are the same 15 and a check
    return tuple(part for name in names for part in (name, row.get(name, "")))


def _rows(response: requests.Response) -> Iterator[Mapping[str, str]]:
    """Raises UnknownOutcomeError when a 2xx answer is no CSV of results; one without rows may be empty."""
    kind = response.headers.get("Content-Type", "")
    if response.content and "csv" not in kind:
        raise UnknownOutcomeError(f"{response.status_code} with a body that is not CSV ({kind})", code="results")
    text = io.TextIOWrapper(io.BytesIO(response.content), "utf-8", "replace", newline="")
    try:
        yield from csv.DictReader(text, restval="")
    except csv.Error as error:
        raise UnknownOutcomeError(f"the job's results cannot be read: {error}", code="results") from error


def _known_ids(changes: Sequence[Change]) -> dict[int, str]:
    """Record ids by `seq`, from the ledger or from the match value; what cannot be an id is none."""
    ids = {change.seq: change.match.get(RECORD_ID) if change.id is None else change.id for change in changes}
    return {seq: str(known) for seq, known in ids.items() if known and _ID.fullmatch(str(known))}


def _ambiguous(change: Change) -> Outcome:
    field = next(iter(change.match))
    text = f"several records have this value in `{field}`: make it unique, or match on another field"
    return Outcome(change.seq, Status.REJECTED, None, "ambiguous", text)


def _key(value: Any, field: str) -> str:
    """Match values as Salesforce tells them apart."""
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return format(Decimal(str(value)).normalize(), "f")
    return str(value)[:15] if field == RECORD_ID else str(value).casefold()


def _literal(value: Any) -> str:
    """A value as SOQL has it."""
    if not isinstance(value, str):
        return to_json(value).decode()
    return "'" + "".join(_ESCAPES.get(character, character) for character in value) + "'"


_ESCAPES = {"\\": "\\\\", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


def _cell(value: Any) -> str:
    if value is None or value == "":
        return _NULL
    if isinstance(value, str):
        return value
    return number_text(value) if isinstance(value, (float, Decimal)) else to_json(value).decode()


def _line(cells: Iterable[str]) -> bytes:
    return (",".join(map(_quoted, cells)) + "\n").encode()


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(character in cell for character in ',"\n\r') else cell


def _sayable(change: Change) -> bool:
    return _NULL not in change.match.values() and _NULL not in change.fields.values()


def _items(value: Any) -> list[Mapping[str, Any]]:
    """The objects in a list; nothing where there is none."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _listed(body: Any, name: str, key: str) -> list[Mapping[str, Any]]:
    """Raises UnknownOutcomeError when a 2xx answer has no list `name` of objects with the text `key` in each."""
    values = body.get(name) if isinstance(body, Mapping) else None
    items = _items(values)
    if not isinstance(values, list) or len(items) != len(values) or not all(_word(item.get(key)) for item in items):
        raise UnknownOutcomeError(f"Salesforce's answer has no list of {name}", code="results")
    return items


def _reason(body: Any) -> tuple[str | None, str | None]:
    """Code and message of a refusal: a list of errors, or the one of the OAuth endpoints."""
    if isinstance(body, Mapping):
        body = [{"errorCode": body.get("error"), "message": body.get("error_description")}]
    errors = _items(body)
    words = [_word(item.get("message")) for item in errors]
    codes = [_word(item.get("errorCode")) or _word(item.get("statusCode")) for item in errors]
    return next(filter(None, codes), None), "; ".join(filter(None, words)) or None


def _fatal(error: DestinationError) -> DestinationError:
    """What is refused whatever records it is about."""
    if not isinstance(error, BatchRejectedError):
        return error
    return FatalError(str(error), code=error.code, retry_after=error.retry_after)


# -- fields and values -----------------------------------------------------------------------------------------------


def _field(item: Mapping[str, Any]) -> FieldInfo:
    name, kind = str(item["name"]), str(item.get("type"))
    writable = bool(item.get("createable") or item.get("updateable"))
    choices = [option for option in _items(item.get("picklistValues")) if option.get("active", True)]
    options = tuple(str(option["value"]) for option in choices if _word(option.get("value")))
    length = item.get("length")
    return FieldInfo(
        name=name,
        type=kind,
        label=item.get("label"),
        required=bool(item.get("createable")) and not item.get("nillable") and not item.get("defaultedOnCreate"),
        writable=writable,
        unique=bool(item.get("externalId") or item.get("idLookup")),
        conclusive=bool(item.get("unique")),  # SOQL reads the records themselves
        options=options if item.get("restrictedPicklist") else None,
        max_length=length if kind in _TEXTS and isinstance(length, int) and length > 0 else None,
    )


_TEXTS = frozenset({"string", "textarea", "phone", "url", "email", "encryptedstring"})
_NUMBERS = frozenset({"int", "long", "double", "currency", "percent"})
_MOMENTS = (ColumnType.TIMESTAMP, ColumnType.TIMESTAMPTZ)


def _encoder(column: ColumnType, kind: str | None) -> Encoder:
    write = _writer(column, kind)
    empty = False if kind == "boolean" else None
    return lambda value: empty if value is None else write(value)


def _writer(column: ColumnType, kind: str | None) -> Callable[[Any], Any]:
    if kind is None:
        return _PLAIN[column]
    if kind in _NUMBERS:
        number = _NUMBER.get(column) or _refusing(column, kind)
        return _whole(number) if kind in ("int", "long") else number
    by_column = _TYPED.get(kind)
    if by_column is not None:
        return by_column.get(column) or _refusing(column, kind)
    if kind == "multipicklist" and column is ColumnType.NESTED:
        return _choices
    return _AS_TEXT[column]


def _refusing(column: ColumnType, kind: str) -> Callable[[Any], Any]:
    def refuse(_: Any) -> Any:
        raise ValueError(f"a column of type {column.value} cannot be written into a Salesforce field of type {kind}")

    return refuse


def _whole(write: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def whole(value: Any) -> int | None:
        number = write(value)
        if number is None:
            return None
        if number != int(number):
            raise ValueError("the Salesforce field takes whole numbers only")
        return int(number)

    return whole


def _number(text: str) -> Decimal | None:
    if not text.strip():
        return None
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        raise ValueError("the text is not a number") from None
    finite(number)
    return number


def _flag(text: str) -> bool:
    known = {"true": True, "false": False, "": False}.get(text.strip().lower())
    if known is None:
        raise ValueError("the text is neither `true` nor `false`")
    return known


def _zero_or_one(value: int) -> bool:
    if value not in (0, 1):
        raise ValueError("a number other than 0 and 1 is neither true nor false")
    return bool(value)


def _moment(value: datetime) -> str:
    """As Salesforce returns it."""
    return utc_text(value) + "+0000"


def _midnight(value: date) -> str:
    return f"{value.isoformat()}T00:00:00.000+0000"


def _clock(value: clock_time) -> str:
    return value.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _choices(value: Any) -> str:
    """The values of a multi-select picklist, which Salesforce separates by semicolons."""
    if not isinstance(value, list):
        return json_text(value)
    parts = [json_text(item) for item in value if item is not None]
    if any(not part or ";" in part for part in parts):
        raise ValueError("a value of a multi-select picklist can be neither empty nor hold a semicolon")
    return ";".join(parts)


_PLAIN: Mapping[ColumnType, Callable[[Any], Any]] = {
    ColumnType.TEXT: str,
    ColumnType.INTEGER: int,
    ColumnType.DECIMAL: finite,
    ColumnType.FLOAT: finite,
    ColumnType.BOOLEAN: bool,
    ColumnType.DATE: date.isoformat,
    ColumnType.TIMESTAMP: _moment,
    ColumnType.TIMESTAMPTZ: _moment,
    ColumnType.TIME: _clock,
    ColumnType.NESTED: json_text,
}
_AS_TEXT: Mapping[ColumnType, Callable[[Any], str]] = {
    **_PLAIN,
    ColumnType.INTEGER: str,
    ColumnType.DECIMAL: number_text,
    ColumnType.FLOAT: number_text,
    ColumnType.BOOLEAN: lambda value: "true" if value else "false",
}
_NUMBER: Mapping[ColumnType, Callable[[Any], Any]] = {
    ColumnType.INTEGER: int,
    ColumnType.DECIMAL: finite,
    ColumnType.FLOAT: finite,
    ColumnType.TEXT: _number,
}
_TYPED: Mapping[str, Mapping[ColumnType, Callable[[Any], Any]]] = {
    "boolean": {ColumnType.BOOLEAN: bool, ColumnType.TEXT: _flag, ColumnType.INTEGER: _zero_or_one},
    "date": {ColumnType.DATE: date.isoformat, ColumnType.TEXT: str, **dict.fromkeys(_MOMENTS, utc_day)},
    "datetime": {ColumnType.DATE: _midnight, ColumnType.TEXT: str, **dict.fromkeys(_MOMENTS, _moment)},
    "time": {ColumnType.TIME: _clock, ColumnType.TEXT: str},
}
_NUMBER_FIELD = {"type": "Number", "precision": 18}
_NEW_FIELDS: Mapping[ColumnType, Mapping[str, Any]] = {
    ColumnType.TEXT: {"type": "Text", "length": 255},
    ColumnType.INTEGER: {**_NUMBER_FIELD, "scale": 0},
    ColumnType.DECIMAL: {**_NUMBER_FIELD, "scale": 4},
    ColumnType.FLOAT: {**_NUMBER_FIELD, "scale": 6},
    ColumnType.BOOLEAN: {"type": "Checkbox", "defaultValue": "false"},
    ColumnType.DATE: {"type": "Date"},
    ColumnType.TIMESTAMP: {"type": "DateTime"},
    ColumnType.TIMESTAMPTZ: {"type": "DateTime"},
    ColumnType.TIME: {"type": "Time"},
    ColumnType.NESTED: {"type": "LongTextArea", "length": 32768, "visibleLines": 3},
}
