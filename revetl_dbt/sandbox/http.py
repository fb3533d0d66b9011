"""A JSON API without a vendor: any path is a collection, which keeps what it is sent.

    POST   /orders      one object, an array, or one object a line (NDJSON): adds, or replaces what has the same id
    PUT    /orders/7    one object: replaces or adds      PUT    /orders    several, by the option `key`
    PATCH  /orders/7    one object: merges or adds        PATCH  /orders    several, by the option `key`
    DELETE /orders/7    one                               DELETE /orders    several, by the option `key`
    GET    /orders[/7]  reads back

An `Idempotency-Key` is honoured: the same key with the same request gets the same answer and stores nothing again, with
another request it is refused with 422 (https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import unquote

from revetl_dbt.sandbox import http_pages
from revetl_dbt.sandbox.messages import BadRequest, Request, Response, parsed
from revetl_dbt.sandbox.store import Change, Record
from revetl_dbt.sandbox.vendor import Failure, ObjectCount, Vendor

_METHODS = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class HttpOptions:
    """What can be set.

    `results` is what an answer to several records has: `none`, or one entry a record with its `index` or its `id`:
    `{"results": [{"index": 0, "status": "ok"}, {"index": 1, "status": "error", "error": "..."}]}`. With `none`, one
    refused record refuses them all. `key` is the field that identifies a record. `header` and `secret` ask for a header
    with this value, such as `Authorization` and `Bearer abc`. `max_records` and `max_bytes` are limits of one request,
    0 for none.
    """

    results: str = "none"
    key: str = "id"
    header: str = "Authorization"
    secret: str | None = None
    max_records: int = 0
    max_bytes: int = 0


class Http(Vendor):
    """The stand-in for an API of one's own."""

    name: ClassVar[str] = "http"
    title: ClassVar[str] = "HTTP"
    Options: ClassVar[type[Any]] = HttpOptions
    options: HttpOptions

    def token(self) -> str | None:
        """The value that the secret header must have; None when the option `secret` is not set."""
        return self.options.secret

    def account(self) -> str:
        """An id drawn once for a state directory: who keeps a ledger can tell when it was begun anew."""
        return str(self.store.setting("http:account", lambda: uuid.uuid4().hex))

    def failure(self, failure: Failure) -> Response:
        """An error in plain JSON."""
        text = (
            f"limit {failure.policy} used up"
            if failure.policy
            else "expired"
            if failure.expired
            else "failed on request"
        )
        return Response(failure.status, {"error": text})

    def handle(self, request: Request) -> Response:
        """Answer a request."""
        if self.options.secret is not None and request.headers.get(self.options.header.lower()) != self.options.secret:
            return Response(401, {"error": f"The header {self.options.header} is missing or wrong"})
        key = request.headers.get("idempotency-key")
        try:
            with self.store.transaction():
                return self._once(key, request) if key and request.method != "GET" else self._act(request)
        except BadRequest as error:
            where = f"line {error.line}, column {error.column}"
            return Response(400, {"error": f"The body is not JSON: {error.detail} ({where})"})

    def _once(self, key: str, request: Request) -> Response:
        """Act once for an idempotency key; a refusal is not remembered, so that it can be sent again."""
        parts = (request.method.encode(), request.path.encode(), request.body)
        fingerprint = hashlib.sha256(b"\0".join(parts)).hexdigest()
        known = self.store.answer(self.name, key)
        if known is None:
            response = self._act(request)
            if response.status < 400:
                self.store.keep_answer(self.name, key, fingerprint, response.status, response.encoded())
            return response
        if known[0] != fingerprint:
            return Response(422, {"error": "This Idempotency-Key was used for another request"})
        return Response(known[1], body=known[2], headers={"Idempotent-Replayed": "true"})

    # -- collections -----------------------------------------------------------------------------

    def _act(self, request: Request) -> Response:
        collection, _, record_id = (unquote(part) for part in request.path.strip("/").partition("/"))
        if not collection:
            return Response(404, {"error": "Name a collection: /http/{collection}"})
        if request.method == "GET":
            return self._read(collection, record_id)
        if request.method not in _METHODS:
            return Response(405, {"error": f"{request.method} is not supported"})
        if 0 < self.options.max_bytes < len(request.body):
            return Response(413, {"error": f"A request may have at most {self.options.max_bytes} bytes"})
        given = _records(request)
        if 0 < self.options.max_records < len(given):
            return Response(400, {"error": f"A request may have at most {self.options.max_records} records"})
        if record_id:
            given = [{**(given[0] if given else {}), self.options.key: record_id}]
        request.records = len(given)
        return self._write(request, collection, given)

    def _write(self, request: Request, collection: str, records: Sequence[Mapping[str, Any]]) -> Response:
        poisons = [request.poisoned(record) for record in records]
        refusals = [poison.message if poison else None for poison in poisons]
        all_or_none = self.options.results == "none" or any(poison and poison.whole_batch for poison in poisons)
        if all_or_none and any(refusals):
            return Response(400, {"error": next(filter(None, refusals))})
        good = [record for record, refusal in zip(records, refusals, strict=True) if refusal is None]
        ids = iter(self._keep(request.method, collection, good))
        status = 201 if request.method == "POST" else 200
        if self.options.results == "none":
            return Response(status, {"id": next(ids)} if len(records) == 1 else {"accepted": len(good)})
        results = []
        for index, (record, refusal) in enumerate(zip(records, refusals, strict=True)):
            record_id = next(ids) if refusal is None else record.get(self.options.key)
            name = {"id": record_id} if self.options.results == "id" else {"index": index}
            results.append({**name, **({"status": "error", "error": refusal} if refusal else {"status": "ok"})})
        return Response(207 if any(refusals) else status, {"results": results})

    def _keep(self, method: str, collection: str, records: Sequence[Mapping[str, Any]]) -> list[str]:
        """Store, merge or delete records; their ids."""
        now = self.store.now()
        ids = [str(record[self.options.key]) if self.options.key in record else uuid.uuid4().hex for record in records]
        known = self.store.read(self.name, collection, ids)
        changes = []
        for record_id, given in zip(ids, records, strict=True):
            record = known.setdefault(record_id, Record(record_id, {}, now, now))
            before = {} if record.archived is not None else record.properties
            record.archived = now if method == "DELETE" else None
            if method != "DELETE":
                record.properties = {**before, **given} if method == "PATCH" else dict(given)
            record.updated = now
            after = record.properties
            names = sorted(before.keys() | after.keys())
            fields = {
                name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)
            }
            changes.append(Change(record_id, now, method, fields))
        self.store.write(self.name, collection, [known[record_id] for record_id in dict.fromkeys(ids)], changes)
        return ids

    def _read(self, collection: str, record_id: str) -> Response:
        if not record_id:
            return Response(data=[record.properties for record in self.store.scan(self.name, collection)])
        record = self.store.read(self.name, collection, [record_id]).get(record_id)
        if record is None or record.archived is not None:
            return Response(404, {"error": f"There is no `{record_id}` in {collection}"})
        return Response(data=record.properties)

    # -- pages -----------------------------------------------------------------------------------

    def objects(self) -> list[ObjectCount]:
        """The collections."""
        return [ObjectCount(name, name, *counts) for name, counts in self.store.counts(self.name).items()]

    def page(self, request: Request) -> Response:
        """A collection or a record."""
        return http_pages.page(self.store, request)


def _records(request: Request) -> list[dict[str, Any]]:
    """The records of a body: one object, an array, or one object a line. BadRequest for anything else."""
    content_type = request.headers.get("content-type", "")
    if not request.body:
        return []
    if "ndjson" in content_type or "jsonl" in content_type:
        body = [_line(number, line) for number, line in enumerate(request.body.splitlines(), 1) if line.strip()]
    else:
        body = request.json()
    records = body if isinstance(body, list) else [body]
    if not all(isinstance(record, dict) for record in records):
        raise BadRequest("records must be objects")
    return records


def _line(number: int, line: bytes) -> Any:
    try:
        return parsed(line)
    except BadRequest as error:
        raise BadRequest(error.detail, number, error.column) from None
