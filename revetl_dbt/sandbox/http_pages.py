"""The collections of the JSON API as pages."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, unquote

from revetl_dbt.sandbox import page as parts
from revetl_dbt.sandbox.markup import Child, element
from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.store import Change, Record, Store

VENDOR = "http"
_COLUMNS = 7


def page(store: Store, request: Request) -> Response:
    """`/pages/http/{collection}` or `/pages/http/{collection}/{id}`; 404 for what there is not."""
    collection, _, record_id = (unquote(part) for part in request.path.strip("/").partition("/"))
    if not record_id:
        return _collection(store, collection, request.first("q") or "", parts.page_number(request.first("page")))
    record = store.read(VENDOR, collection, [record_id]).get(record_id)
    if record is not None:
        return _record(collection, record, store.changes(VENDOR, collection, [record_id])[record_id])
    response = parts.frame("Not found", [], element("div", element("h1", "There is no such record"), class_="card"))
    response.status = 404
    return response


def _address(collection: str, record: Record | None = None) -> str:
    return f"/pages/{VENDOR}/{quote(collection, safe='')}" + (f"/{quote(record.id, safe='')}" if record else "")


def _collection(store: Store, collection: str, query: str, number: int) -> Response:
    found = store.find(VENDOR, collection, query, parts.PAGE_SIZE + 1, (number - 1) * parts.PAGE_SIZE)
    shown = found[: parts.PAGE_SIZE]
    names = list(dict.fromkeys(name for record in shown for name in record.properties))[:_COLUMNS]
    rows = [
        [
            element("a", record.id, href=_address(collection, record)),
            *[display(record.properties.get(name)) for name in names],
            parts.moment(record.updated),
        ]
        for record in shown
    ]
    card = element(
        "section",
        parts.search_form(query, collection),
        parts.table(["Record", *names, "Last change"], rows) if rows else element("p", "Nothing here.", class_="empty"),
        parts.pager(query, number, len(found) > len(shown)),
        class_="card",
    )
    return parts.frame(collection, [("HTTP", None), (collection, None)], element("h1", collection), card)


def _record(collection: str, record: Record, changes: list[Change]) -> Response:
    written = {name for change in changes for name in change.fields}
    profile = element(
        "section",
        element("div", element("h1", record.id), element("p", collection), class_="person"),
        parts.legend(),
        parts.facts((name, display(value), name in written) for name, value in record.properties.items()),
        class_="card",
    )
    steps = [
        parts.Step(
            change.at, change.source, [(name, display(old), display(new)) for name, (old, new) in change.fields.items()]
        )
        for change in reversed(changes)
    ]
    past = element("section", element("h2", "History"), parts.timeline(steps), class_="card")
    crumbs = [("HTTP", None), (collection, _address(collection)), (record.id, None)]
    return parts.frame(record.id, crumbs, element("div", profile, past, class_="record two"))


def display(value: Any) -> Child:
    """A JSON value for people: texts as they are, anything else as JSON."""
    return value if isinstance(value, str) or value is None else element("code", json.dumps(value, ensure_ascii=False))
