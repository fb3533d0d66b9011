"""The generic connector, `type: http`: any JSON API or webhook, described in destinations.yml.

    product_api:
      outputs:
        prod:
          type: http
          base_url: https://api.example.com/v2
          auth: {type: bearer, token: "{{ env_var('DBT_ENV_SECRET_PRODUCT_API') }}"}
          check: /me                                       # a GET that proves the credentials
          objects:
            users:
              operations:
                upsert: {path: /users/batch, body: array, envelope: users, batch_size: 500}
                delete: {path: "/users/{user_id}", method: DELETE}

A record is one JSON object: the match fields and the mapped fields, typed. Text is text, numbers are exact numbers,
dates and timestamps are ISO 8601 (UTC), lists and nested values stay what they are, a missing value is null.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote, urlsplit

import msgspec
import requests
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from requests.auth import AuthBase, HTTPBasicAuth
from typing_extensions import Self

from revetl_dbt.destinations.base import (
    Account,
    AllAlike,
    Batch,
    Change,
    ColumnType,
    DestinationConfig,
    DestinationError,
    Encoder,
    FatalError,
    FieldInfo,
    Limits,
    ObjectType,
    Operation,
    Outcome,
    Rendered,
    Status,
    UnknownOutcomeError,
)
from revetl_dbt.destinations.encoding import finite, utc
from revetl_dbt.destinations.transport import (
    BearerAuth,
    HttpDestination,
    decode_json,
    error_json,
    retry_after,
    status_error,
    to_json,
    to_json_lines,
)

_STRICT = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)
_DEFAULT_BATCH = 100


class Bearer(BaseModel):
    """`Authorization: Bearer <token>`."""

    model_config = _STRICT
    type: Literal["bearer"]
    token: SecretStr = Field(description="The token")


class Basic(BaseModel):
    """`Authorization: Basic ...`."""

    model_config = _STRICT
    type: Literal["basic"]
    username: str = Field(description="The user name, or the key where the API wants it there")
    password: SecretStr = Field(SecretStr(""), description="The password; empty where the API wants none")


class ApiKey(BaseModel):
    """One or more headers that hold keys."""

    model_config = _STRICT
    type: Literal["headers"]
    headers: dict[str, SecretStr] = Field(min_length=1, description="Header name: secret, such as `X-Api-Key`")


Auth = Annotated[Bearer | Basic | ApiKey, Field(discriminator="type")]


class Condition(BaseModel):
    """True of a result whose value at `path` is one of `values`."""

    model_config = _STRICT
    path: str = Field(description="Dotted path inside one result, such as `status` or `error.code`")
    values: tuple[Any, ...] = Field((True,), min_length=1, description="The values that count")


class Results(BaseModel):
    """Where a response says what became of each record. Without it any 2xx means that all were accepted."""

    model_config = _STRICT
    results: str = Field(
        ".", description="Dotted path of the list of results, or of the result of a single record; `.` is the body"
    )
    join: Literal["position", "index", "match"] = Field(
        "position",
        description="How a result finds its record: by the same order, its position (from 0), or its match value",
    )
    at: str | None = Field(
        None,
        description="Dotted path of that index or match value inside a result; default: `index`, or the match field",
    )
    unlisted: Literal["unknown", "accepted"] = Field("unknown", description="What a record without a result counts as")
    ok: Condition | None = Field(
        None, description="A result is a success when this holds; default: when `error` finds nothing in it"
    )
    created: Condition | None = Field(None, description="A success created the record when this holds")
    missing: Condition | None = Field(None, description="A failure means that no record matches when this holds")
    retry: Condition | None = Field(None, description="A failure is worth sending again when this holds")
    error: str | None = Field(None, description="Dotted path of the message inside a failed result")
    code: str | None = Field(None, description="Dotted path of the error code inside a failed result")
    id: str | None = Field(None, description="Dotted path of the record's id inside a result")

    @model_validator(mode="after")
    def _place(self) -> Results:
        if self.at is not None and self.join == "position":
            raise ValueError("`at` says where the index or the match value is: it needs `join: index` or `join: match`")
        return self


class OperationConfig(BaseModel):
    """One request: where it goes, what it holds, how its response is read."""

    model_config = _STRICT
    path: str = Field(
        description="Appended to base_url; `{user_id}` takes a match value, `{id}` the id: one record a request"
    )
    method: Literal["POST", "PUT", "PATCH", "DELETE"] = Field("POST", description="HTTP method")
    body: Literal["record", "array", "ndjson", "none"] | None = Field(
        None,
        description="One record, a JSON array, one record a line, or nothing; default: `record`, and `none` for DELETE",
    )
    envelope: str | None = Field(
        None, description="Put the record or array under this key of an object, such as `records`"
    )
    constants: dict[str, Any] = Field(default_factory=dict, description="Other keys of that object and their values")
    nest: str | None = Field(
        None, description="Put the mapped fields under this key of the record; match fields stay beside it"
    )
    id_field: str | None = Field(
        None, description="Put the destination's id of the record, where it is known, into this field"
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description=f"Records a request; default: {_DEFAULT_BATCH} for `array` and `ndjson`, otherwise 1",
    )
    max_bytes: int | None = Field(None, ge=1, description="Bytes of records a request")
    headers: dict[str, str] = Field(default_factory=dict, description="Further headers")
    idempotency_key: str | None = Field(
        None, description="Header that gets a key of the request, the same when the same records are sent again"
    )
    idempotency_field: str | None = Field(
        None, description="Field that gets a key of the record, the same when it is sent again"
    )
    idempotent: bool | None = Field(
        None,
        description="Sending twice does no harm; default: yes, but for create and append without a key of the record",
    )
    response: Results | None = Field(
        None, description="Where the response says what became of each record; default: any 2xx accepts all"
    )

    @field_validator("headers")
    @classmethod
    def _public(cls, headers: dict[str, str]) -> dict[str, str]:
        return _public_headers(headers)

    @model_validator(mode="after")
    def _consistent(self) -> OperationConfig:
        problems = list(self._problems())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        if self.path and not self.path.startswith("/"):
            yield "`path` is appended to `base_url` and must start with `/`"
        if re.search(r"[{}]", _PLACEHOLDER.sub("", self.path)):
            yield "`path` has a brace without its partner"
        if self.records > 1 and self.kind in ("record", "none"):
            yield f"`batch_size: {self.records}` needs `body: array` or `body: ndjson`"
        if self.records > 1 and self.placeholders:
            yield "a `path` with placeholders names one record: `batch_size` must be 1"
        if self.constants and not self.envelope:
            yield "`constants` stand beside the records: they need an `envelope`"
        if self.envelope and self.kind in ("ndjson", "none"):
            yield f"`body: {self.kind}` has no `envelope`"

    @property
    def kind(self) -> str:
        """The body, default filled in."""
        return self.body or ("none" if self.method == "DELETE" else "record")

    @property
    def records(self) -> int:
        """The batch size, default filled in."""
        several = self.kind in ("array", "ndjson") and not self.placeholders
        return self.batch_size or (_DEFAULT_BATCH if several else 1)

    @property
    def placeholders(self) -> list[str]:
        """The names in the path."""
        return _PLACEHOLDER.findall(self.path)


class ObjectConfig(BaseModel):
    """What can be done with one object."""

    model_config = _STRICT
    operations: dict[Operation, OperationConfig] = Field(min_length=1, description="Operation: its request")
    match: tuple[str, ...] | None = Field(
        None, min_length=1, description="The fields that can find a record; default: any"
    )
    partial_updates: bool = Field(
        False, description="An update may leave out fields; default: records are always sent whole"
    )
    ordered: bool = Field(False, description="Requests must arrive one after the other")
    label: str | None = Field(None, description="A name for people")


class HttpConfig(DestinationConfig):
    """An output of `type: http` in destinations.yml."""

    auth: Auth | None = Field(None, description="Credentials; none by default")
    headers: dict[str, str] = Field(
        default_factory=dict, description="Headers of every request; secrets belong in `auth`"
    )
    check: str | None = Field(
        None, pattern="^/", description="Path of a GET that answers 2xx when the credentials are right"
    )
    error: str | None = Field(None, description="Dotted path of the message in a refused response's JSON body")
    objects: dict[str, ObjectConfig] = Field(min_length=1, description="Object name: what can be done with it")

    @field_validator("headers")
    @classmethod
    def _public(cls, headers: dict[str, str]) -> dict[str, str]:
        return _public_headers(headers)

    @model_validator(mode="after")
    def _address(self) -> HttpConfig:
        if self.base_url is None:
            if not self.sandbox:
                raise ValueError("`base_url` is missing: the URL that paths are appended to")
            return self
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("`base_url` must start with `https://` or `http://` and name a host")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("`base_url` is scheme, host and path only: credentials belong in `auth`")
        return self

    def in_sandbox(self, url: str, token: str | None) -> Self:
        auth = None if token is None else ApiKey(type="headers", headers={"Authorization": SecretStr(token)})
        return self.model_copy(update={"base_url": url, "auth": auth})


_SECRET_HEADER = re.compile(r"authorization|cookie|api-?_?key|token|secret|password", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


def _public_headers(headers: dict[str, str]) -> dict[str, str]:
    secret = [name for name in headers if _SECRET_HEADER.search(name)]
    if secret:
        raise ValueError(
            f"`{secret[0]}` looks like a credential: put it in `auth: {{type: headers, headers: ...}}`, which is secret"
        )
    return headers


class _HeaderAuth(AuthBase):
    def __init__(self, headers: Mapping[str, SecretStr]) -> None:
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update({name: secret.get_secret_value() for name, secret in self._headers.items()})
        return request


def _auth(config: Bearer | Basic | ApiKey | None) -> AuthBase | None:
    if isinstance(config, Bearer):
        return BearerAuth(config.token.get_secret_value)
    if isinstance(config, Basic):
        return HTTPBasicAuth(config.username.encode(), config.password.get_secret_value().encode())
    return _HeaderAuth(config.headers) if config is not None else None


class Http(HttpDestination):
    """Any JSON API or webhook that destinations.yml describes."""

    type: ClassVar[str] = "http"
    Config = HttpConfig

    def __init__(self, config: HttpConfig, gate: Any) -> None:
        super().__init__(config, gate)
        self._auth = _auth(config.auth)
        self._objects = {name: _object_type(name, item) for name, item in config.objects.items()}

    def base_url(self) -> str:
        return str(self.config.base_url)

    def auth(self) -> AuthBase | None:
        return self._auth

    def headers(self) -> Mapping[str, str]:
        headers: dict[str, str] = self.config.headers
        return headers

    def objects(self) -> Sequence[ObjectType]:
        return list(self._objects.values())

    def object_type(self, name: str) -> ObjectType | None:
        return self._objects.get(name)

    def check(self) -> Account:
        """GET the configured `check` path. Without one no URL is known to be harmless: then only the host is asked
        whether it is there.

        The account is the base URL's host and path: another URL is another account. Of the path, which is the secret of
        many a webhook, a digest is kept.
        """
        if self.config.check is not None:
            self.request("GET", self.config.check)
        else:
            # HEAD is a safe method (RFC 9110, 9.2.1) and the root is no webhook; any answer shows that the host is
            # there.
            parts = urlsplit(self._base_url)
            self.send("HEAD", f"{parts.scheme}://{parts.netloc}/")
        if self.config.sandbox:
            return Account("sandbox", "sandbox")
        parts = urlsplit(self._base_url)
        path = f"/{hashlib.sha256(parts.path.encode()).hexdigest()[:12]}" if parts.path else ""
        return Account(parts.netloc.lower() + path, parts.hostname)

    def encoder(self, column: ColumnType, info: FieldInfo | None) -> Encoder | None:  # noqa: ARG002 - nothing is described
        return _ENCODERS.get(column)

    def error(self, response: requests.Response) -> DestinationError:
        return status_error(response.status_code)(
            self._refusal(response),
            code=str(response.status_code),
            request_id=response.headers.get("X-Request-Id"),
            retry_after=retry_after(response),
        )

    def write(self, batch: Batch) -> Iterable[Outcome]:
        changes = batch.changes
        if not changes:
            return []
        operation: OperationConfig = self.config.objects[batch.object].operations[batch.operation]
        if len(changes) > operation.records:
            raise ValueError(f"a batch of {len(changes)} exceeds the limit of {operation.records}")
        path: str | None = operation.path
        if operation.placeholders:
            path = _fill(operation.path, changes[0])
            if path is None:
                return [_unaddressable(changes[0], operation)]
        response = self.send(
            operation.method,
            path or "",
            data=_body(operation, batch),
            headers=_headers(operation, batch),
        )
        status = response.status_code
        if operation.placeholders and status in (404, 410) and batch.operation in _NEEDS_RECORD:
            return [Outcome(changes[0].seq, Status.MISSING, None, str(status), self._refusal(response))]
        if not 200 <= status < 300:
            raise self.error(response)
        return _outcomes(operation.response, batch, response)

    def takes_json(self, object: str, operation: Operation) -> bool:  # noqa: A002 - the field's own word
        item: OperationConfig = self.config.objects[object].operations[operation]
        plain = not (item.placeholders or item.nest or item.id_field or item.idempotency_field or item.idempotency_key)
        return plain and item.response is None and item.kind in ("array", "ndjson")

    def write_json(self, object: str, operation: Operation, records: Sequence[Rendered]) -> Iterable[Outcome]:  # noqa: A002
        item: OperationConfig = self.config.objects[object].operations[operation]
        lines = item.kind == "ndjson"
        text = ("\n" if lines else ",").join([record.record for record in records])
        body = text.encode() if lines else f"[{text}]".encode()
        if item.envelope:
            body = to_json({**item.constants, item.envelope: msgspec.Raw(body)})
        headers = {"Content-Type": "application/x-ndjson" if lines else "application/json", **item.headers}
        self.request(item.method, item.path, data=body, headers=headers)
        return AllAlike(records, _DONE[operation])

    def _refusal(self, response: requests.Response) -> str:
        """The vendor's message: at the configured path, or where RFC 9457 puts it; otherwise the status line."""
        line = f"{response.status_code} {response.reason}"
        body = error_json(response)
        paths = (self.config.error,) if self.config.error else ("detail", "title")
        message = next((text for path in paths if (text := _text(_at(body, path)))), None)
        return f"{line}: {message}" if message else line


_NEEDS_RECORD = frozenset({Operation.UPDATE, Operation.DELETE, Operation.ARCHIVE})
_REPEATABLE = frozenset({Operation.UPSERT, *_NEEDS_RECORD})
_DONE: Mapping[Operation, Status] = {
    Operation.UPSERT: Status.ACCEPTED,
    Operation.UPDATE: Status.UPDATED,
    Operation.CREATE: Status.CREATED,
    Operation.APPEND: Status.CREATED,
    Operation.DELETE: Status.DELETED,
    Operation.ARCHIVE: Status.DELETED,
}
_ENCODERS: Mapping[ColumnType, Encoder] = {
    ColumnType.DECIMAL: finite,
    ColumnType.FLOAT: finite,
    ColumnType.TIMESTAMP: utc,
    ColumnType.TIMESTAMPTZ: utc,
}
"""JSON has no NaN and no infinity; everything else is written as it is."""


def _object_type(name: str, config: ObjectConfig) -> ObjectType:
    operations = config.operations
    return ObjectType(
        name=name,
        label=config.label,
        operations={key: Limits(item.records, item.max_bytes) for key, item in operations.items()},
        idempotent=frozenset(key for key, item in operations.items() if _is_idempotent(key, item)),
        match_fields=config.match,
        composite_match=True,
        partial_updates=config.partial_updates,
        ordered=config.ordered,
        unsupported={
            key: f"destinations.yml has no `operations: {key.value}:` for `{name}`; add its path and method"
            for key in Operation
            if key not in operations
        },
    )


def _is_idempotent(operation: Operation, config: OperationConfig) -> bool:
    if config.idempotent is not None:
        return config.idempotent
    # After a crash a record may come in other company, and the key of a request with several is another one then.
    own_key = bool(config.idempotency_field or (config.idempotency_key and config.records == 1))
    return operation in _REPEATABLE or own_key


def _headers(operation: OperationConfig, batch: Batch) -> dict[str, str]:
    headers = dict(operation.headers)
    if operation.kind != "none":
        headers.setdefault("Content-Type", "application/x-ndjson" if operation.kind == "ndjson" else "application/json")
    if operation.idempotency_key:
        headers[operation.idempotency_key] = batch.batch_key()
    return headers


def _body(operation: OperationConfig, batch: Batch) -> bytes | None:
    if operation.kind == "none":
        return None
    records = _records(operation, batch)
    if operation.kind == "ndjson":
        return to_json_lines(records)
    content: Any = records[0] if operation.kind == "record" else records
    if operation.envelope:
        content = {**operation.constants, operation.envelope: content}
    return to_json(content)


def _records(operation: OperationConfig, batch: Batch) -> list[dict[str, Any]]:
    if operation.nest:
        records: list[dict[str, Any]] = [{**change.match, operation.nest: change.fields} for change in batch.changes]
    else:
        records = [{**match, **fields} for _, _, match, fields, _ in batch.changes]
    if operation.id_field:
        for record, change in zip(records, batch.changes, strict=True):
            if change.id is not None:
                record[operation.id_field] = change.id
    if operation.idempotency_field:
        for record, change in zip(records, batch.changes, strict=True):
            record[operation.idempotency_field] = batch.idempotency_key(change)
    return records


def _fill(template: str, change: Change) -> str | None:
    """The path with its values percent-encoded; None when a value is missing or would turn it into another path."""
    values = {name: _segment(change, name) for name in _PLACEHOLDER.findall(template)}
    if any(value is None for value in values.values()):
        return None
    return _PLACEHOLDER.sub(lambda found: quote(str(values[found[1]]), safe=""), template)


def _segment(change: Change, name: str) -> str | None:
    value = change.match.get(name, change.id if name == "id" else None)
    text = _text(value)
    # HTTP clients resolve `.` and `..` even when they are percent-encoded, and an empty segment names the collection.
    return None if text in (None, "", ".", "..") else text


def _unaddressable(change: Change, operation: OperationConfig) -> Outcome:
    names = [name for name in operation.placeholders if _segment(change, name) is None]
    message = f"`{names[0]}` has no value that can stand in the path `{operation.path}`"
    return Outcome(change.seq, Status.REJECTED, None, "path_value", message)


def _outcomes(config: Results | None, batch: Batch, response: requests.Response) -> Iterable[Outcome]:
    done = _DONE[batch.operation]
    if config is None:
        if response.status_code == 201 and len(batch.changes) == 1:
            done = Status.CREATED
        return AllAlike(batch.changes, done)
    return _Reader(config, done).read(batch.changes, decode_json(response))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Turns the results in a response into outcomes."""

    config: Results
    done: Status

    def read(self, changes: Sequence[Change], body: Any) -> list[Outcome]:
        results = _at(body, self.config.results)
        if len(changes) == 1 and isinstance(results, Mapping):
            return [self.outcome(changes[0], results)]
        if not isinstance(results, list):
            raise UnknownOutcomeError(f"the response has no list of results at `{self.config.results}`", code="results")
        found = self.joined(changes, results)
        if not found and self.config.unlisted == "unknown":
            raise UnknownOutcomeError("the response says nothing of any record", code="results")
        return [
            self.outcome(change, found[n]) if n in found else self.unlisted(change) for n, change in enumerate(changes)
        ]

    def joined(self, changes: Sequence[Change], results: Sequence[Any]) -> dict[int, Any]:
        """The result of each position. Raises UnknownOutcomeError when a result belongs to no record, or two to one."""
        if self.config.join == "position":
            if len(results) != len(changes):
                text = f"{len(results)} results for {len(changes)} records: which is whose cannot be told"
                raise UnknownOutcomeError(text, code="results")
            return dict(enumerate(results))
        place = self.place(changes)
        found: dict[int, Any] = {}
        for result in results:
            position = place(result)
            if position is None or position in found:
                raise UnknownOutcomeError(
                    "a result in the response belongs to no record, or to one that has one", code="results"
                )
            found[position] = result
        return found

    def place(self, changes: Sequence[Change]) -> Callable[[Any], int | None]:
        if self.config.join == "index":
            at = self.config.at or "index"
            known: dict[Any, int] = {str(n): n for n in range(len(changes))}
        else:
            names = tuple(changes[0].match)
            if len(names) != 1:
                raise FatalError("`join: match` needs exactly one match field", code="results")
            at = self.config.at or names[0]
            known = {_text(change.match[names[0]]): n for n, change in enumerate(changes)}
        return lambda result: known.get(_text(_at(result, at)))

    def unlisted(self, change: Change) -> Outcome:
        if self.config.unlisted == "accepted":
            return Outcome(change.seq, self.done)
        return Outcome(change.seq, Status.UNKNOWN, None, "unlisted", "the response has no result for this record")

    def outcome(self, change: Change, result: Any) -> Outcome:
        config = self.config
        record_id = _text(_at(result, config.id)) if config.id else None
        error = _at(result, config.error) if config.error else None
        if _holds(config.ok, result) if config.ok else error in (None, "", [], {}):
            return Outcome(change.seq, Status.CREATED if _holds(config.created, result) else self.done, record_id)
        status = Status.REJECTED
        if _holds(config.missing, result):
            status = Status.MISSING
        elif _holds(config.retry, result):
            status = Status.RETRY
        code = _text(_at(result, config.code)) if config.code else None
        return Outcome(change.seq, status, record_id, code, _text(error) or "refused without a reason")


def _holds(condition: Condition | None, result: Any) -> bool:
    return condition is not None and _at(result, condition.path) in condition.values


def _at(value: Any, path: str) -> Any:
    """What a dotted path leads to, list positions included; None where it leads nowhere."""
    for part in path.split(".") if path != "." else ():
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _text(value: Any) -> str | None:
    """A value as it stands in a URL or a message: text as it is, anything else as JSON writes it."""
    if value is None or isinstance(value, str):
        return value
    return to_json(value).decode().strip('"')
