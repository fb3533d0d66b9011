"""Salesforce's list views and record pages: what a person in sales would see of the synced data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from revetl_dbt.sandbox import page as parts
from revetl_dbt.sandbox.markup import Child, Markup, element
from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.salesforce.fields import NUMBERS, Field
from revetl_dbt.sandbox.salesforce.objects import ObjectType
from revetl_dbt.sandbox.salesforce.org import VENDOR, Org
from revetl_dbt.sandbox.salesforce.records import AUTOMATIC
from revetl_dbt.sandbox.salesforce.render import all_values
from revetl_dbt.sandbox.store import Change, Record

_COLUMNS = 5
_SYSTEM = ("CreatedDate", "LastModifiedDate", "Id")
_HIDDEN = frozenset({"SystemModstamp", "IsDeleted", "Name"})


def page(org: Org, request: Request) -> Response:
    """`/pages/salesforce/{object}` or `/pages/salesforce/{object}/{id}`; 404 for what there is not."""
    segment, _, record_id = (unquote(part) for part in request.path.strip("/").partition("/"))
    kind = org.kind(segment or "Account")
    if kind is None:
        return _missing(f"There is no object {segment}")
    if not record_id:
        return _list(org, kind, request.first("q") or "", parts.page_number(request.first("page")))
    record = org.store.read(VENDOR, kind.name, [record_id]).get(record_id)
    return _missing(f"There is no {kind.label} {record_id}") if record is None else _card(org, kind, record)


def _missing(text: str) -> Response:
    card = element("div", element("h1", text), class_="card")
    response = parts.frame("Not found", [("Salesforce", _address())], card)
    response.status = 404
    return response


def _address(kind: ObjectType | None = None, record_id: str | None = None) -> str:
    path = [f"/pages/{VENDOR}", *([quote(kind.name)] if kind else []), *([quote(record_id)] if record_id else [])]
    return "/".join(path)


def title(kind: ObjectType, record: Record) -> str:
    """What a person knows a record by."""
    words = [str(record.properties[name]) for name in kind.display if record.properties.get(name)]
    return " ".join(words) or f"{kind.label} {record.id}"


# -- list views --------------------------------------------------------------------------------------


def _list(org: Org, kind: ObjectType, query: str, number: int) -> Response:
    found = org.store.find(VENDOR, kind.name, query, parts.PAGE_SIZE + 1, (number - 1) * parts.PAGE_SIZE)
    shown = found[: parts.PAGE_SIZE]
    tabs = [
        element("a", other.plural, href=_address(other), aria_current="page" if other is kind else None)
        for other in org.kinds()
    ]
    columns = _columns(org.fields(kind), kind, shown)
    rows = [
        [
            _who(kind, record),
            *[_display(org, item, record.properties.get(item.name)) for item in columns],
            parts.moment(record.updated),
        ]
        for record in shown
    ]
    heads = ["Name" if kind.display != ("Subject",) else "Subject", *[item.label for item in columns], "Last Modified"]
    nothing = element("p", f"No {kind.plural.lower()} {'match' if query else 'yet'}.", class_="empty")
    card = element(
        "section",
        parts.search_form(query, kind.plural.lower()),
        parts.table(heads, rows) if rows else nothing,
        parts.pager(query, number, len(found) > len(shown)),
        class_="card",
    )
    crumbs = [("Salesforce", None), (kind.plural, None)]
    return parts.frame(kind.plural, crumbs, element("div", tabs, class_="tabs"), card)


def _columns(fields: Mapping[str, Field], kind: ObjectType, records: Sequence[Record]) -> list[Field]:
    """The fields that say most about these records: what a user added first, then the object's own."""
    filled = {name for record in records for name in record.properties}
    added = [item for item in fields.values() if item.custom and item.name in filled]
    own = [fields[name.lower()] for name in kind.about if name in filled]
    return [*own[:3], *added, *own[3:]][:_COLUMNS]


def _who(kind: ObjectType, record: Record) -> Markup:
    name = title(kind, record)
    return element("a", parts.avatar(name), name, href=_address(kind, record.id), class_="who")


# -- one record --------------------------------------------------------------------------------------


def _card(org: Org, kind: ObjectType, record: Record) -> Response:
    fields = org.fields(kind)
    history = org.store.changes(VENDOR, kind.name, [record.id])[record.id]
    synced = {name for change in history if change.source != AUTOMATIC for name in change.fields}
    values = all_values(fields, record)
    about = [*kind.about, *_SYSTEM]
    profile = element(
        "section",
        _highlights(kind, record),
        element("h2", "About"),
        parts.legend(),
        parts.facts(_facts(org, [fields[name.lower()] for name in about if name.lower() in fields], values, synced)),
        class_="card",
    )
    told = {*about, *kind.display, *_HIDDEN}
    added = [item for item in fields.values() if item.custom and (item.name in synced or values[item.name] is not None)]
    rest = [item for item in fields.values() if not item.custom and item.name not in told]
    rest = [item for item in rest if item.name in synced or values[item.name] not in (None, False)]
    details = [
        element("section", element("h2", label), parts.facts(_facts(org, items, values, synced)), class_="card grid")
        for label, items in (("Custom fields", added), ("Details", rest))
        if items
    ]
    past = element(
        "section",
        element("h2", "Field history"),
        parts.timeline([_step(org, fields, change) for change in reversed(history)]),
        class_="card",
    )
    crumbs = [("Salesforce", None), (kind.plural, _address(kind)), (title(kind, record), None)]
    body = element("div", profile, element("div", details), past, class_="record")
    return parts.frame(title(kind, record), crumbs, body)


def _facts(
    org: Org, items: Sequence[Field], values: Mapping[str, Any], synced: set[str]
) -> list[tuple[str, Child, bool]]:
    return [(item.label, _display(org, item, values.get(item.name)), item.name in synced) for item in items]


def _highlights(kind: ObjectType, record: Record) -> Markup:
    values, name = record.properties, title(kind, record)
    role = " at ".join(str(values[part]) for part in ("Title", "Company") if values.get(part))
    return element(
        "div",
        parts.avatar(name, "big"),
        element("p", kind.label, class_="quiet"),
        parts.heading(name),
        element("p", role) if role else None,
        element("p", values["Email"]) if values.get("Email") else None,
        element("span", f"deleted {parts.moment(record.archived)}", class_="chip gone") if record.archived else None,
        class_="person",
    )


def _step(org: Org, fields: Mapping[str, Field], change: Change) -> parts.Step:
    told: list[tuple[str, Child, Child]] = []
    for name, (before, after) in change.fields.items():
        item = fields.get(name.lower()) or Field(name, label=name)
        told.append((item.label, _display(org, item, before), _display(org, item, after)))
    return parts.Step(change.at, change.source + ("" if told else ": deleted or saved without a change"), told)


def _display(org: Org, item: Field, value: Any) -> Child:
    """A value as Salesforce shows it: check marks, grouped digits, dates in words, links to parents."""
    if value is None:
        return None
    if item.type == "reference":
        return _link(org, str(value))
    if item.type == "boolean":
        return "✓" if value else "–"
    if item.type in NUMBERS:
        return f"{value:,}" + ("%" if item.type == "percent" else "")
    if item.type == "multipicklist":
        return [element("span", part, class_="chip") for part in str(value).split(";")]
    if item.type == "date":
        return parts.day(str(value))
    if item.type == "datetime":
        return f"{parts.day(str(value)[:10])}, {str(value)[11:16]} UTC"
    return str(value)


def _link(org: Org, record_id: str) -> Child:
    if record_id in (org.user, org.queue):
        return "Integration User" if record_id == org.user else "Queue"
    kind = org.of_prefix(record_id)
    record = org.store.read(VENDOR, kind.name, [record_id]).get(record_id) if kind is not None else None
    if kind is None or record is None:
        return record_id
    return element("a", title(kind, record), href=_address(kind, record_id))
