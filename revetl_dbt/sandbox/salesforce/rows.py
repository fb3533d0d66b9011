"""`/sobjects`: one record at a time, by its id or by an external id, and the describe calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.salesforce import shapes
from revetl_dbt.sandbox.salesforce.collections import external_id, manner
from revetl_dbt.sandbox.salesforce.errors import ApiError, not_found
from revetl_dbt.sandbox.salesforce.fields import Field
from revetl_dbt.sandbox.salesforce.ids import is_id, record_id, whole
from revetl_dbt.sandbox.salesforce.objects import ObjectType
from revetl_dbt.sandbox.salesforce.org import Org
from revetl_dbt.sandbox.salesforce.records import Mode, Records, Row, WholeBatchError
from revetl_dbt.sandbox.salesforce.render import all_values, attributes
from revetl_dbt.sandbox.store import Record


class SingleRows:
    """Handlers for `/sobjects`."""

    def __init__(self, org: Org, records: Records) -> None:
        self._org = org
        self._records = records

    # -- describe --------------------------------------------------------------------------------

    def all(self, request: Request) -> Response:
        """GET /sobjects."""
        shown = [self._about(kind, request) for kind in self._org.kinds()]
        return Response(data={"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": shown})

    def about(self, request: Request) -> Response:
        """GET /sobjects/{object}."""
        kind = self._kind(request)
        return Response(data={"objectDescribe": self._about(kind, request), "recentItems": []})

    def describe(self, request: Request) -> Response:
        """GET /sobjects/{object}/describe."""
        kind = self._kind(request)
        fields = [item.describe() for item in self._org.fields(kind).values()]
        return Response(data={**self._about(kind, request), "fields": fields, "recordTypeInfos": []})

    def _about(self, kind: ObjectType, request: Request) -> dict[str, Any]:
        base = f"/services/data/{request.params['version']}/sobjects/{kind.name}"
        able = dict.fromkeys(("createable", "updateable", "deletable", "queryable", "retrieveable"), True)
        urls = {"sobject": base, "describe": f"{base}/describe", "rowTemplate": base + "/{ID}"}
        named = {"name": kind.name, "label": kind.label, "labelPlural": kind.plural, "keyPrefix": kind.prefix}
        return {**named, "custom": kind.custom, **able, "urls": urls}

    def _kind(self, request: Request) -> ObjectType:
        kind = self._org.kind(request.params["object"])
        if kind is None:
            raise not_found()
        return kind

    # -- writing ---------------------------------------------------------------------------------

    def create(self, request: Request) -> Response:
        """POST /sobjects/{object}."""
        if request.params["object"] == "FieldPermissions":
            return self._give_access(request)
        kind = self._kind(request)
        row = self._write(kind, request, "insert")
        return Response(201, {"id": _record(row).id, "success": True, "errors": []})

    def _give_access(self, request: Request) -> Response:
        given = shapes.body(request)
        lacking = [name for name in ("ParentId", "SobjectType", "Field") if not given.get(name)]
        if lacking:
            text = f"Required fields are missing: [{', '.join(lacking)}]"
            raise ApiError(400, "REQUIRED_FIELD_MISSING", text, lacking)
        self._org.give_access(str(given["Field"]))
        return Response(201, {"id": record_id("01k", 1), "success": True, "errors": []})

    def create_field(self, request: Request) -> Response:
        """POST /tooling/sobjects/CustomField."""
        given = shapes.body(request)
        metadata = given.get("Metadata")
        if not isinstance(metadata, Mapping) or not given.get("FullName"):
            raise ApiError(400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [FullName, Metadata]")
        made = self._org.create_field(str(given["FullName"]), metadata)
        return Response(201, {"id": made, "success": True, "errors": [], "warnings": [], "infos": []})

    def update(self, request: Request) -> Response:
        """PATCH /sobjects/{object}/{id}."""
        kind = self._kind(request)
        self._write(kind, request, "update", whole(request.params["id"]))
        return Response(204)

    def upsert(self, request: Request) -> Response:
        """PATCH /sobjects/{object}/{field}/{value}: 300 with the records where several match."""
        kind, item = external_id(self._org, request.params["object"], request.params["field"])
        if item.name == "Id":
            request.params["id"] = request.params["value"]
            return self.update(request)
        holders = self._records.holders(kind, item, request.params["value"])
        if len(holders) > 1:
            return self._several(kind, holders, request)
        if not holders and request.flag("updateOnly"):
            raise not_found()
        row = self._write(kind, request, "upsert", None, item, request.params["value"])
        answer = {"id": _record(row).id, "success": True, "errors": [], "created": row.created}
        return Response(201 if row.created else 200, answer)

    def _several(self, kind: ObjectType, holders: Any, request: Request) -> Response:
        version = request.params["version"]
        return Response(300, [f"/services/data/{version}/sobjects/{kind.name}/{holder}" for holder in holders])

    def _write(
        self,
        kind: ObjectType,
        request: Request,
        mode: Mode,
        row_id: str | None = None,
        by: Field | None = None,
        value: Any = None,
    ) -> Row:
        request.records = 1
        row = shapes.row(self._org.fields(kind), shapes.body(request))
        if row.id is not None:
            raise ApiError(400, "INVALID_FIELD", "The Id field should not be specified in the sobject data.")
        row.id = row_id
        if by is not None:
            row.given = {**row.given, by.name: value}
        try:
            self._records.write(kind, [row], mode, by, request.poisoned, manner(request))
        except WholeBatchError as error:
            raise ApiError(400, "JSON_PARSER_ERROR", str(error)) from None
        if row.error is not None:
            missing = row.error.code in ("INVALID_CROSS_REFERENCE_KEY", "MALFORMED_ID") and not row.error.fields
            if missing:
                raise not_found()
            raise ApiError(
                404 if row.error.code == "ENTITY_IS_DELETED" else 400,
                row.error.code,
                row.error.message,
                row.error.fields,
            )
        return row

    def delete(self, request: Request) -> Response:
        """DELETE /sobjects/{object}/{id}."""
        request.records = 1
        (error,) = self._records.delete([request.params["id"]], kind=self._kind(request))
        if error is not None:
            raise not_found() if error.code != "ENTITY_IS_DELETED" else ApiError(404, error.code, error.message, [])
        return Response(204)

    # -- reading ---------------------------------------------------------------------------------

    def get(self, request: Request) -> Response:
        """GET /sobjects/{object}/{id}."""
        kind = self._kind(request)
        given = request.params["id"]
        record = self._records.read(kind, [given]).get(whole(given)) if is_id(given) else None
        return self._shown(kind, record, request)

    def get_by(self, request: Request) -> Response:
        """GET /sobjects/{object}/{field}/{value}."""
        kind, item = external_id(self._org, request.params["object"], request.params["field"])
        holders = self._records.holders(kind, item, request.params["value"])
        if len(holders) > 1:
            return self._several(kind, holders, request)
        record = self._records.read(kind, holders).get(holders[0]) if holders else None
        return self._shown(kind, record, request)

    def _shown(self, kind: ObjectType, record: Record | None, request: Request) -> Response:
        if record is None:
            raise not_found()
        fields = self._org.fields(kind)
        values = all_values(fields, record)
        names = request.listed("fields")
        unknown = [name for name in names if name.lower() not in fields]
        if unknown:
            raise ApiError(400, "INVALID_FIELD", f"No such column '{unknown[0]}' on sobject of type {kind.name}")
        chosen = {fields[name.lower()].name: values[fields[name.lower()].name] for name in names} if names else values
        shown = {"attributes": attributes(kind, record.id, request.params["version"]), **chosen, "Id": record.id}
        return Response(data=shown)


def _record(row: Row) -> Record:
    assert row.record is not None, "a row without an error has a record"
    return row.record
