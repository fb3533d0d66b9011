"""The endpoints for records, in batches and one at a time.

Answers and limits: https://developers.hubspot.com/docs/api-reference/latest/crm/using-object-apis. Two facts that the
guide does not have:
results come in another order than the inputs (HubSpot/hubspot-api-nodejs issue 190), and upsert and update report row
by row just as create
does when every input carries a different `objectWriteTraceId`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from revetl_dbt.sandbox.hubspot.account import VENDOR, Account
from revetl_dbt.sandbox.hubspot.associations import Associations, Link
from revetl_dbt.sandbox.hubspot.errors import NOT_FOUND, ApiError, html_not_found
from revetl_dbt.sandbox.hubspot.objects import ObjectType
from revetl_dbt.sandbox.hubspot.records import Mode, Records, Row, comparable
from revetl_dbt.sandbox.hubspot.render import Renderer
from revetl_dbt.sandbox.hubspot.shapes import as_text, mapping, mappings, number, require, text, texts
from revetl_dbt.sandbox.hubspot.values import moment_text
from revetl_dbt.sandbox.messages import Request, Response

MAX_INPUTS = 100
MAX_PAGE = 100


class Endpoints:
    """Handlers for `/crm/v3/objects/{type}/...` and the date-versioned paths."""

    def __init__(self, account: Account, records: Records, associations: Associations, base_url: str) -> None:
        self._account = account
        self._records = records
        self._associations = associations
        self._base_url = base_url
        self._order = random.Random(account.id)  # noqa: S311 - only to shuffle answers
        self.shuffle = True

    # -- batches ---------------------------------------------------------------------------------

    def create(self, kind: ObjectType, request: Request) -> Response:
        """POST batch/create."""
        return self._write(kind, request, "create")

    def update(self, kind: ObjectType, request: Request) -> Response:
        """POST batch/update."""
        return self._write(kind, request, "update")

    def upsert(self, kind: ObjectType, request: Request) -> Response:
        """POST batch/upsert."""
        return self._write(kind, request, "upsert")

    def _write(self, kind: ObjectType, request: Request, mode: Mode) -> Response:
        started = self._account.store.now()
        inputs = _inputs(request)
        rows = [_row(given, mode) for given in inputs]
        self._check_identifiers(kind, rows, mode)
        traces = [row.trace for row in rows]
        partial = all(traces) and len(set(traces)) == len(traces)
        links = [self._links(kind, given, row, mode) for given, row in zip(inputs, rows, strict=True)]
        self._records.write(kind, rows, mode, partial, request.poisoned)
        self._link(kind, rows, links)
        renderer = Renderer(self._account, self._base_url, kind, written=True)
        results = []
        for row in rows:
            if row.record is not None and row.writable:
                traced = {"objectWriteTraceId": row.trace} if mode == "upsert" and row.trace else {}
                results.append(
                    {**renderer.record(row.record), **({"new": row.new} if mode == "upsert" else {}), **traced}
                )
        return self._answer(201 if mode == "create" else 200, started, results, _row_errors(kind, rows))

    def _links(self, kind: ObjectType, given: Mapping[str, Any], row: Row, mode: Mode) -> list[tuple[ObjectType, Link]]:
        """The associations of an input, which only a create may have; the row fails with one that is not valid."""
        asked = mappings(given.get("associations"), "associations")
        if asked and mode != "create":
            raise ApiError(400, f"`associations` are for a create, not for an {mode}: use the associations API")
        links = []
        for item in asked:
            require(item, ("to", "types"))
            to = _key(mapping(item["to"], "to"))
            for spec in mappings(item["types"], "types"):
                other = self._other(kind, spec)
                links.append((other, Link("", to, [self._associations.spec(kind, other, spec)])))
        for other, link in links:
            if row.error is None and not self._records.find(other, [link.second], None):
                reason = f"{other.code}={link.second} is not valid"
                row.error = ApiError(
                    400, "One or more associations are invalid", context={"INVALID_OBJECT_IDS": [reason]}
                )
        return links

    def _other(self, kind: ObjectType, spec: Mapping[str, Any]) -> ObjectType:
        """The object that a type of association leads to."""
        wanted = str(spec.get("associationTypeId"))
        for other in self._account.kinds():
            if wanted in {str(found.number) for found in self._associations.types(kind, other)}:
                return other
        raise ApiError(400, f"The association type {wanted} does not exist from {kind.code}")

    def _link(self, kind: ObjectType, rows: Sequence[Row], links: Sequence[list[tuple[ObjectType, Link]]]) -> None:
        for row, asked in zip(rows, links, strict=True):
            if row.record is not None and row.writable:
                for other, link in asked:
                    link.first = row.record.id
                    self._associations.add(kind, other, [link])

    def _check_identifiers(self, kind: ObjectType, rows: Sequence[Row], mode: Mode) -> None:
        if mode == "create":
            return
        for name in {row.id_property for row in rows}:
            if name is None and mode == "upsert":
                raise ApiError(400, "An upsert needs an `idProperty` with unique values for every input")
            if name is not None:
                prop = self._records.unique_property(kind, name)
                # HubSpot/hubspot-api-nodejs issue 548, and the contacts guide: "you must use the contacts' Record ID"
                if mode == "update" and prop.own:
                    raise self._records.not_unique(kind, name)
        known = self._account.active(kind)
        _check_distinct(
            [
                (row.id_property, comparable(known[row.id_property], row.key) if row.id_property else row.key)
                for row in rows
            ]
        )

    def read(self, kind: ObjectType, request: Request) -> Response:
        """POST batch/read."""
        started = self._account.store.now()
        keys = [_key(given) for given in _inputs(request)]
        body = mapping(request.json())
        found = self._records.find(kind, keys, as_text(body.get("idProperty")), request.flag("archived"))
        renderer = Renderer(self._account, self._base_url, kind, texts(body.get("properties"), "properties"))
        records = {record.id: record for record in found.values()}
        results = renderer.with_history(
            list(records.values()), texts(body.get("propertiesWithHistory"), "propertiesWithHistory")
        )
        missing = [key for key in keys if key not in found]
        errors = [_not_found(kind, {"ids": missing})] if missing else []
        return self._answer(200, started, results, errors)

    def archive(self, kind: ObjectType, request: Request) -> Response:
        """POST batch/archive."""
        self._records.archive(kind, [_key(given) for given in _inputs(request)])
        return Response(204)

    def _answer(
        self, status: int, started: int, results: list[dict[str, Any]], errors: list[dict[str, Any]]
    ) -> Response:
        if self.shuffle:
            self._order.shuffle(results)
        body: dict[str, Any] = {"status": "COMPLETE", "results": results}
        if errors:
            body |= {"numErrors": len(errors), "errors": errors}
        body |= {"startedAt": moment_text(started), "completedAt": moment_text(self._account.store.now())}
        return Response(207 if errors else status, body)

    # -- one record ------------------------------------------------------------------------------

    def create_one(self, kind: ObjectType, request: Request) -> Response:
        """POST /{type}."""
        given = mapping(request.json())
        row = Row(_properties(given))
        links = self._links(kind, given, row, "create")
        response = self._one(kind, request, row, "create", 201)
        self._link(kind, [row], [links])
        return response

    def update_one(self, kind: ObjectType, request: Request) -> Response:
        """PATCH /{type}/{id}, by a unique property with `?idProperty=`."""
        row = Row(_properties(mapping(request.json())), request.params["id"], request.first("idProperty"))
        if row.id_property == "hs_object_id":
            row.id_property = None
        return self._one(kind, request, row, "update", 200)

    def _one(self, kind: ObjectType, request: Request, row: Row, mode: Mode, status: int) -> Response:
        request.records = 1
        self._records.write(kind, [row], mode, False, request.poisoned)
        if row.missing or row.record is None:
            raise ApiError(404, "resource not found", NOT_FOUND)
        return Response(status, Renderer(self._account, self._base_url, kind, written=True).record(row.record))

    def get_one(self, kind: ObjectType, request: Request) -> Response:
        """GET /{type}/{id}: an unknown record is answered with a page, not with JSON."""
        key = request.params["id"]
        record = self._records.find(kind, [key], request.first("idProperty"), request.flag("archived")).get(key)
        if record is None:
            return html_not_found()
        renderer = Renderer(self._account, self._base_url, kind, request.listed("properties"))
        return Response(data=renderer.with_history([record], request.listed("propertiesWithHistory"))[0])

    def delete_one(self, kind: ObjectType, request: Request) -> Response:
        """DELETE /{type}/{id}: no error for one that is gone."""
        request.records = 1
        self._records.archive(kind, [request.params["id"]])
        return Response(204)

    def erase(self, kind: ObjectType, request: Request) -> Response:
        """POST gdpr-delete: a contact is gone for good; an address that nobody has is barred from then on."""
        if kind.name != "contacts":
            raise ApiError(400, f"A GDPR delete is not supported for the object {kind.code}")
        body = mapping(request.json())
        require(body, ["objectId"])
        request.records = 1
        key, id_property = text(body["objectId"], "objectId"), as_text(body.get("idProperty"))
        store = self._account.store
        found = self._records.find(kind, [key], id_property) or self._records.find(kind, [key], id_property, True)
        if not found:
            if id_property == "email":
                store.define(VENDOR, "barred", key.strip().lower(), True)
                return Response(204)
            raise ApiError(404, "resource not found", NOT_FOUND)
        for record in found.values():
            with store.transaction():
                self._associations.forget(kind, record.id)
                store.purge(VENDOR, kind.key, [record.id])
        return Response(204)

    def page(self, kind: ObjectType, request: Request) -> Response:
        """GET /{type}: pages by id; `after` is the id where the next page starts."""
        limit = min(max(number(request.first("limit"), "limit", 10), 1), MAX_PAGE)
        start = request.first("after")
        first = self._account.store.read("hubspot", kind.key, [start]).get(start) if start else None
        if start and first is None:
            raise ApiError(400, f"`after` must be what an earlier page returned, not `{start}`")
        after = first.seq - 1 if first else 0
        rest = self._account.store.scan("hubspot", kind.key, after, limit + 1, request.flag("archived"))
        renderer = Renderer(self._account, self._base_url, kind, request.listed("properties"))
        body: dict[str, Any] = {"results": renderer.with_history(rest[:limit], request.listed("propertiesWithHistory"))}
        if len(rest) > limit:
            body["paging"] = {
                "next": {
                    "after": rest[limit].id,
                    "link": f"{self._base_url}{request.full_path}?after={rest[limit].id}&limit={limit}",
                }
            }
        return Response(data=body)


def _inputs(request: Request) -> list[Mapping[str, Any]]:
    """The `inputs` of a batch, 1 to 100 objects."""
    body = mapping(request.json())
    require(body, ["inputs"])
    inputs = mappings(body["inputs"], "inputs")
    request.records = len(inputs)
    if not 1 <= len(inputs) <= MAX_INPUTS:
        raise ApiError(400, f"A batch must have 1 to {MAX_INPUTS} inputs, this one has {len(inputs)}")
    return inputs


def _row(given: Mapping[str, Any], mode: Mode) -> Row:
    row = Row(_properties(given), trace=as_text(given.get("objectWriteTraceId")))
    if mode != "create":
        row.key = _key(given)
        row.id_property = as_text(given.get("idProperty"))
    return row


def _key(given: Mapping[str, Any]) -> str:
    require(given, ["id"])
    return text(given["id"], "id")


def _properties(given: Mapping[str, Any]) -> dict[str, str]:
    """The `properties` of an input as texts.

    Null is refused: the API description has texts only, and what clears is the empty text.
    """
    require(given, ["properties"])
    properties = mapping(given["properties"], "properties")
    return {name: text(value, name) for name, value in properties.items()}


def _check_distinct(keys: Sequence[tuple[str | None, str]]) -> None:
    seen: set[tuple[str | None, str]] = set()
    twice = list(dict.fromkeys(key[1] for key in keys if key in seen or seen.add(key)))  # type: ignore[func-returns-value]  # set.add returns None, which is the point
    if twice:
        raise ApiError(
            400, f"Duplicate IDs found in batch input: [{', '.join(twice)}]. IDs must be unique", context={"ids": twice}
        )


def _not_found(kind: ObjectType, context: dict[str, list[str]]) -> dict[str, Any]:
    text = f"Could not get some {kind.code} objects, they may be deleted or not exist. Check that ids are valid."
    return ApiError(404, text, NOT_FOUND).standard_error(context)


def _row_errors(kind: ObjectType, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The `errors` of a 207 answer: one entry a bad row, and one for all missing records together."""
    errors = [
        row.error.standard_error({"objectWriteTraceId": [str(row.trace)]} if row.trace else {})
        for row in rows
        if row.error
    ]
    missing = [row for row in rows if row.missing and not row.error]
    if missing:
        traces = (
            {"objectWriteTraceId": [row.trace for row in missing if row.trace]}
            if all(row.trace for row in missing)
            else {}
        )
        errors.append(_not_found(kind, {"ids": [row.key for row in missing], **traces}))
    return errors
