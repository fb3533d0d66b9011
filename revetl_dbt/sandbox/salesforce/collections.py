"""`/composite/sobjects`: up to 200 records in a request, each on its own unless `allOrNone` says otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.salesforce import shapes
from revetl_dbt.sandbox.salesforce.errors import ApiError, RowError, not_found
from revetl_dbt.sandbox.salesforce.fields import Field
from revetl_dbt.sandbox.salesforce.ids import whole
from revetl_dbt.sandbox.salesforce.objects import ObjectType
from revetl_dbt.sandbox.salesforce.org import Org
from revetl_dbt.sandbox.salesforce.records import Manner, Mode, Records, Row, WholeBatchError
from revetl_dbt.sandbox.salesforce.render import all_values, attributes

MAX_RECORDS = 200


class _RolledBack(Exception):  # noqa: N818 - rolls a transaction back
    pass


def manner(request: Request, from_json: bool = True) -> Manner:
    """What the headers ask for."""
    rule = request.headers.get("sforce-duplicate-rule-header", "").replace(" ", "").lower()
    assign = request.headers.get("sforce-auto-assign", "true").lower() != "false"
    return Manner(from_json, "allowsave=true" in rule, assign)


class Collections:
    """Handlers for collections."""

    def __init__(self, org: Org, records: Records) -> None:
        self._org = org
        self._records = records

    def create(self, request: Request) -> Response:
        """POST /composite/sobjects."""
        return self._write(request, "insert", None, None)

    def update(self, request: Request) -> Response:
        """PATCH /composite/sobjects."""
        return self._write(request, "update", None, None)

    def upsert(self, request: Request) -> Response:
        """PATCH /composite/sobjects/{object}/{field}."""
        kind, item = external_id(self._org, request.params["object"], request.params["field"])
        return self._write(request, "upsert", kind, item)

    def _write(self, request: Request, mode: Mode, only: ObjectType | None, by: Field | None) -> Response:
        body = shapes.body(request)
        given = body.get("records")
        if not isinstance(given, list) or not all(isinstance(item, Mapping) for item in given):
            raise ApiError(400, "JSON_PARSER_ERROR", "The list of records is missing")
        request.records = len(given)
        if len(given) > MAX_RECORDS:
            text = f"The maximum number of records in a collection is {MAX_RECORDS}"
            raise ApiError(400, "EXCEEDED_ID_LIMIT", text)
        together = shapes.flag(body, "allOrNone")
        kinds = [self._kind(item, only) for item in given]
        rows = [shapes.row(self._org.fields(kind), item) for kind, item in zip(kinds, given, strict=True)]
        if mode != "update" and any(row.id is not None for row in rows):
            raise ApiError(400, "INVALID_FIELD", f"cannot specify Id in an {mode} call")
        try:
            with self._org.store.transaction():
                for kind in dict.fromkeys(kinds):
                    part = [row for row, own in zip(rows, kinds, strict=True) if own is kind]
                    self._records.write(kind, part, mode, by, request.poisoned, manner(request))
                if together and any(row.error for row in rows):
                    raise _RolledBack
        except WholeBatchError as error:
            raise ApiError(400, "JSON_PARSER_ERROR", str(error)) from None
        except _RolledBack:
            _roll_back(rows)
        return Response(data=[_result(row, mode) for row in rows])

    def _kind(self, given: Mapping[str, Any], only: ObjectType | None) -> ObjectType:
        told = given.get("attributes")
        name = told.get("type") if isinstance(told, Mapping) else None
        kind = self._org.kind(name) if isinstance(name, str) else None
        if kind is None or only not in (None, kind):
            text = f"Bad value for attributes.type: {name}" if name else "The attributes map must have a value for type"
            raise ApiError(400, "INVALID_INPUT", text)
        return kind

    def delete(self, request: Request) -> Response:
        """DELETE /composite/sobjects?ids=."""
        ids = request.listed("ids")
        request.records = len(ids)
        if not 1 <= len(ids) <= MAX_RECORDS:
            raise ApiError(400, "EXCEEDED_ID_LIMIT", f"1 to {MAX_RECORDS} ids can be deleted at once")
        results: list[RowError | None] = []
        try:
            with self._org.store.transaction():
                results = self._records.delete(ids)
                if request.flag("allOrNone") and any(results):
                    raise _RolledBack
        except _RolledBack:
            results = [error or _rolled_back() for error in results]
        return Response(
            data=[
                {"id": whole(given), "success": True, "errors": []} if error is None else _refused(error)
                for given, error in zip(ids, results, strict=True)
            ]
        )

    def read(self, request: Request) -> Response:
        """GET /composite/sobjects/{object}: records by id, null for those that are not found."""
        kind = self._org.kind(request.params["object"])
        if kind is None:
            raise not_found()
        ids, names = request.listed("ids"), request.listed("fields")
        if not names or len(ids) > MAX_RECORDS:
            raise ApiError(400, "INVALID_QUERY_FILTER_OPERATOR", "`fields` must be given, and not too many `ids`")
        fields = self._org.fields(kind)
        unknown = [name for name in names if name.lower() not in fields]
        if unknown:
            raise ApiError(400, "INVALID_FIELD", f"No such column '{unknown[0]}' on entity '{kind.name}'.")
        found = self._records.read(kind, ids)
        shown: list[dict[str, Any] | None] = []
        for given in ids:
            record = found.get(whole(given))
            values = all_values(fields, record) if record is not None else {}
            named = {fields[name.lower()].name: values.get(fields[name.lower()].name) for name in names}
            own = attributes(kind, whole(given), request.params["version"])
            shown.append({"attributes": own, **named, "Id": record.id} if record is not None else None)
        return Response(data=shown)


def external_id(org: Org, object_name: str, field_name: str) -> tuple[ObjectType, Field]:
    """The object and the field of an upsert. ApiError where a record cannot be found by it."""
    kind = org.kind(object_name)
    if kind is None:
        raise not_found()
    item = org.fields(kind).get(field_name.lower())
    if item is None or not (item.external_id or item.id_lookup):
        text = f"Provided external ID field does not exist or is not accessible: {field_name}"
        raise ApiError(404, "NOT_FOUND", text)
    return kind, item


def _result(row: Row, mode: Mode) -> dict[str, Any]:
    if row.error is not None or row.record is None:
        return _refused(row.error or _rolled_back(), **({"created": False} if mode == "upsert" else {}))
    made = {"created": row.created} if mode == "upsert" else {}
    return {"id": row.record.id, "success": True, "errors": [], **made}


def _refused(error: RowError, **more: Any) -> dict[str, Any]:
    return {"success": False, "errors": [error.as_json()], **more}


def _roll_back(rows: Sequence[Row]) -> None:
    for row in rows:
        row.error, row.record = row.error or _rolled_back(), None


def _rolled_back() -> RowError:
    text = "Record rolled back because not all records were valid and the request was using AllOrNone header"
    return RowError("ALL_OR_NONE_OPERATION_ROLLED_BACK", text)
