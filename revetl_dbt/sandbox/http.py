"""A JSON API without a vendor: any path is a collection, which keeps what it is sent.

    POST   /orders          one object, an array, or lines of JSON (NDJSON): adds
    PUT    /orders/7        one object: replaces or adds     PUT   /orders   several, by the option `key`
    PATCH  /orders/7        one object: merges or adds       PATCH /orders   several, by the option `key`
    DELETE /orders/7        one                              DELETE /orders  several, by the option `key`
    GET    /orders[/7]      reads back

An `Idempotency-Key` is honoured: the same key with the same request gets the same answer and stores nothing again;
with another request it is
refused with 422 (as https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header says).
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from revetl_dbt.sandbox.server import BadRequest, Request, Response
from revetl_dbt.sandbox.store import Change, Record, Store
from revetl_dbt.sandbox.vendor import Failure, ObjectCount, Vendor

_STATUS = {"POST": 201}


@dataclass(frozen=True)
class HttpOptions:
    """What can be set.

    `results` is what an answer to several records has: `none`, or one entry a record with its `index` or its `id`:
    `{"results": [{"index": 0, "status": "ok"}, {"index": 1, "status": "error", "error": "..."}]}`. `key` is the field
    that identifies a record. `header` and `secret` ask for a header with this value: `Authorization`, `Bearer abc`.
    """

    results: str = "none"
    key: str = "id"
    header: str = "Authorization"
    secret: str | None = None


class Http(Vendor):
    """The stand-in for an API of one's own."""

    name: ClassVar[str] = "http"
    title: ClassVar[str] = "HTTP"
    Options: ClassVar[type[Any]] = HttpOptions
    options: HttpOptions

    def __init__(self, store: Store, base_url: str) -> None:
        super().__init__(store, base_url)

    def token(self) -> str | None:
        """The value that the secret header must have; None when the option `secret` is not set."""
        return self.options.secret

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
            return Response(
                400, {"error": f"The body is not JSON: {error.detail} (line {error.line}, column {error.column})"}
            )

    def _once(self, key: str, request: Request) -> Response:
        fingerprint = hashlib.sha256(
            b"\0".join([request.method.encode(), request.path.encode(), request.body])
        ).hexdigest()
        known = self.store.answer(self.name, key)
        if known is None:
            response = self._act(request)
            self.store.keep_answer(self.name, key, fingerprint, response.status, response.encoded())
            return response
        if known[0] != fingerprint:
            return Response(422, {"error": "This Idempotency-Key was used for another request"})
        return Response(known[1], body=known[2], headers={"Idempotent-Replayed": "true"})

    # -- collections -----------------------------------------------------------------------------

    def _act(self, request: Request) -> Response:
        collection, _, record_id = request.path.strip("/").partition("/")
        if not collection:
            return Response(404, {"error": "Name a collection: /http/{collection}"})
        if request.method == "GET":
            return self._read(collection, record_id)
        if request.method not in ("POST", "PUT", "PATCH", "DELETE"):
            return Response(405, {"error": f"{request.method} is not supported"})
        given = _records(request) if request.body else []
        several = given if isinstance(given, list) else [given]
        if record_id:
            several = [{**(several[0] if several else {}), self.options.key: record_id}]
        if not all(isinstance(record, dict) for record in several):
            return Response(400, {"error": "Records must be objects"})
        request.records = len(several)
        outcomes = [self._refused(request, record) for record in several]
        whole = next((reason for reason, all_of_them in filter(None, outcomes) if all_of_them), None)
        if whole or (len(several) == 1 and outcomes[0] and self.options.results == "none"):
            return Response(400, {"error": whole or (outcomes[0] or ("",))[0]})
        ids = [
            self._keep(request.method, collection, record) if outcome is None else None
            for record, outcome in zip(several, outcomes, strict=True)
        ]
        return self._answer(request.method, several, ids, [outcome[0] if outcome else None for outcome in outcomes])

    def _refused(self, request: Request, record: Mapping[str, Any]) -> tuple[str, bool] | None:
        poison = request.poisoned(record)
        return (poison.message, poison.whole_batch) if poison else None

    def _answer(
        self, method: str, records: list[dict[str, Any]], ids: list[str | None], errors: list[str | None]
    ) -> Response:
        status = _STATUS.get(method, 200)
        if self.options.results == "none":
            body: dict[str, Any] = (
                {"id": ids[0]} if len(ids) == 1 else {"accepted": sum(error is None for error in errors)}
            )
            return Response(status, body)
        results = []
        for index, (record, record_id, error) in enumerate(zip(records, ids, errors, strict=True)):
            name = (
                {"id": record_id or record.get(self.options.key)} if self.options.results == "id" else {"index": index}
            )
            results.append({**name, "status": "error", "error": error} if error else {**name, "status": "ok"})
        return Response(207 if any(errors) else status, {"results": results})

    def _keep(self, method: str, collection: str, record: Mapping[str, Any]) -> str:
        """Store, merge or delete one record; its id."""
        key = record.get(self.options.key)
        record_id = str(key) if key is not None else uuid.uuid4().hex
        now = self.store.now()
        old = self.store.read(self.name, collection, [record_id]).get(record_id)
        if method == "DELETE":
            if old is not None and old.archived is None:
                old.archived = now
                self.store.write(self.name, collection, [old], [Change(record_id, now, method, {})])
            return record_id
        before = {} if old is None or old.archived is not None else old.properties
        after = {**before, **record} if method == "PATCH" else dict(record)
        fields = {
            name: (before.get(name), after.get(name))
            for name in before.keys() | after.keys()
            if before.get(name) != after.get(name)
        }
        kept = Record(record_id, after, old.created if old else now, now)
        self.store.write(self.name, collection, [kept], [Change(record_id, now, method, fields)])
        return record_id

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
        return [
            ObjectCount(name, name, total, archived) for name, (total, archived) in self.store.counts(self.name).items()
        ]

    def page(self, request: Request) -> Response:
        """A page."""
        return Response(404, {"message": request.path})


def _records(request: Request) -> Any:
    """The records of a body: JSON, or one JSON value a line."""
    if "ndjson" in request.headers.get("content-type", "") or "jsonl" in request.headers.get("content-type", ""):
        return [json.loads(line) for line in request.body.splitlines() if line.strip()]
    return request.json()
