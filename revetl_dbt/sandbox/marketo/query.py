"""Queries: records by a filter, in pages ("Lead Database", "Leads", "Program Members"), and the describe calls."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from revetl_dbt.sandbox.marketo.account import Account
from revetl_dbt.sandbox.marketo.errors import ApiError, success
from revetl_dbt.sandbox.marketo.objects import shown_id
from revetl_dbt.sandbox.marketo.reading import MOST, body, first, listed, page_size, query
from revetl_dbt.sandbox.marketo.schema import Field, Kind
from revetl_dbt.sandbox.marketo.values import moment_text
from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.store import Record

_TOO_MANY = 1000  # leads that a filter may match
_LEAD_DEFAULTS = ("id", "email", "updatedAt", "createdAt", "firstName", "lastName")


def by_filter(account: Account, kind: Kind, request: Request, defaults: Sequence[str] = ()) -> Response:
    """GET {object}.json, or POST with `_method=GET` and the query in a form or, for compound keys, in JSON.

    `defaults` are the fields of an answer to a query that names none.
    """
    if request.method == "POST" and "json" in request.headers.get("content-type", ""):
        given = body(request)
        found = _compound(account, kind, given)
        names, size, token = given.get("fields") or [], given.get("batchSize"), given.get("nextPageToken")
        if not isinstance(names, list):
            raise ApiError("1001", "Invalid value for 'fields'. Required of type 'array'")
    else:
        asked = query(request)
        found = _matching(account, kind, asked)
        names, size, token = listed(asked, "fields"), first(asked, "batchSize"), first(asked, "nextPageToken")
    if kind.key == "leads" and len(found) > _TOO_MANY:
        raise ApiError("1003", "Too many results match the filter")
    own = _LEAD_DEFAULTS if kind.key == "leads" else (*kind.dedupe, "updatedAt", "createdAt")
    names = [str(name) for name in names] or list(defaults or own)
    unknown = [name for name in names if name.lower() not in {field.lower() for field in kind.fields}]
    if unknown:
        raise ApiError("1006", f"Field '{unknown[0]}' not found")
    rows = [shown(kind, record, names) for record in found]
    if kind.key != "leads":
        rows = [{"seq": seq, **row} for seq, row in enumerate(rows)]
    return paged(rows, size, token)


def _matching(account: Account, kind: Kind, asked: Mapping[str, Sequence[str]]) -> list[Record]:
    for name in ("filterType", "filterValues"):
        if not asked.get(name):
            raise ApiError("1002", f"Missing value for the required parameter '{name}'")
    name, values = asked["filterType"][0], listed(asked, "filterValues")
    if name == "dedupeFields" and len(kind.dedupe) == 1:
        name = kind.dedupe[0]
    if name == "idField":
        name = kind.id_field
    if name not in kind.fields:
        raise ApiError("1006", f"Field '{name}' not found")
    if name not in kind.searchable:
        raise ApiError("1011", f"Field '{name}' not supported")
    if len(values) > MOST:
        raise ApiError("1003", f"At most {MOST} filter values are allowed")
    if name == kind.id_field:
        return sorted(account.read(kind.key, values).values(), key=lambda record: record.seq)
    return _distinct(record for value in values for record in account.find(kind.key, [name], [value]))


def _compound(account: Account, kind: Kind, given: Mapping[str, Any]) -> list[Record]:
    if given.get("filterType", "dedupeFields") != "dedupeFields":
        raise ApiError("1003", "A compound query needs filterType 'dedupeFields'")
    rows = given.get("input")
    if not isinstance(rows, list) or not rows or len(rows) > MOST:
        raise ApiError("1003", f"The input must hold 1 to {MOST} records")
    if any(not isinstance(row, dict) or any(name not in row for name in kind.dedupe) for row in rows):
        raise ApiError("1002", f"Each record needs {', '.join(kind.dedupe)}")
    return _distinct(
        record for row in rows for record in account.find(kind.key, kind.dedupe, [row[n] for n in kind.dedupe])
    )


def _distinct(records: Iterable[Record]) -> list[Record]:
    return list({record.id: record for record in records}.values())


def shown(kind: Kind, record: Record, names: Iterable[str]) -> dict[str, Any]:
    """A record with the fields that are asked for; what is empty is null for a lead and left out elsewhere."""
    values = {
        **record.properties,
        kind.id_field: shown_id(kind, record),
        "createdAt": moment_text(record.created),
        "updatedAt": moment_text(record.updated),
    }
    own = {name.lower(): name for name in kind.fields}
    asked = dict.fromkeys([kind.id_field, *(own[name.lower()] for name in names)])
    if kind.key == "leads":
        return {name: values.get(name) for name in asked}
    return {name: values[name] for name in asked if name in values}


def paged(rows: Sequence[Mapping[str, Any]], size: Any, token: Any) -> Response:
    """A page of at most 300 rows; where there are more, the token of the next. ApiError 1001 and 1003."""
    try:
        start = int(json.loads(base64.b32decode(token))) if token else 0
    except (TypeError, ValueError):
        raise ApiError("1003", "Invalid nextPageToken") from None
    end = start + page_size(size)
    if end >= len(rows):
        return success(rows[start:end])
    return success(rows[start:end], nextPageToken=base64.b32encode(str(end).encode()).decode(), moreResult=True)


# -- describing --------------------------------------------------------------------------------------


def describe(kind: Kind) -> Response:
    """GET {object}/describe.json."""
    head: dict[str, Any] = {
        "name": kind.path.rpartition("/")[2],
        "displayName": kind.singular,
        "description": kind.singular,
        "createdAt": "2020-01-01T00:00:00Z",
        "updatedAt": "2020-01-01T00:00:00Z",
        "idField": kind.id_field,
        "dedupeFields": list(kind.dedupe),
        "searchableFields": kind.search_keys(),
        "fields": [field.described() for field in kind.fields.values()],
    }
    return success([head])


def describe_leads(kind: Kind) -> Response:
    """GET leads/describe.json, the older form."""
    return success([_attribute(number, field) for number, field in enumerate(kind.fields.values(), 1)])


def _attribute(number: int, field: Field) -> dict[str, Any]:
    length = {} if field.length is None else {"length": field.length}
    return {
        "id": number,
        "displayName": field.label,
        "dataType": field.type,
        **length,
        "rest": {"name": field.name, "readOnly": not field.updateable},
    }


def describe_leads_again(kind: Kind) -> Response:
    """GET leads/describe2.json: fields, and those that can be searched by."""
    fields = [field.described() for field in kind.fields.values()]
    return success([{"name": "API Lead", "searchableFields": kind.search_keys(), "fields": fields}])


def describe_members(kind: Kind) -> Response:
    """GET programs/members/describe.json."""
    head = {
        "name": "API Program Membership",
        "description": "Map for API program membership fields",
        "createdAt": "2020-01-01T00:00:00Z",
        "updatedAt": "2020-01-01T00:00:00Z",
        "dedupeFields": list(kind.dedupe),
        "searchableFields": [[name] for name in kind.searchable],
        "fields": [field.described() for field in kind.fields.values()],
    }
    return success([head])
