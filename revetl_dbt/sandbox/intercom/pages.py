"""Intercom's people and companies as pages: what somebody in support would see of the synced data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from revetl_dbt.sandbox import page as parts
from revetl_dbt.sandbox.intercom.attributes import VENDOR, Attribute
from revetl_dbt.sandbox.intercom.custom_objects import PREFIX
from revetl_dbt.sandbox.intercom.events import metadata_of
from revetl_dbt.sandbox.intercom.workspace import COMPANIES, CONTACTS, EVENTS, SOURCE, TAGS, Workspace
from revetl_dbt.sandbox.markup import Child, Markup, element
from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.store import Change, Record

_TITLES = {CONTACTS: "People", COMPANIES: "Companies", EVENTS: "Events", TAGS: "Tags"}
_MODELS = {CONTACTS: "contact", COMPANIES: "company"}
_COLUMNS: Mapping[str, Sequence[str]] = {
    CONTACTS: ("role", "email", "external_id"),
    COMPANIES: ("company_id", "plan", "monthly_spend"),
    EVENTS: ("created_at",),
    TAGS: (),
}
_SHOWN_COLUMNS = 6
_LATEST_EVENTS = 10
_DAY = 86_400


def kinds(workspace: Workspace) -> list[tuple[str, str]]:
    """(name, title) of all objects, custom ones last."""
    return [*_TITLES.items(), *((PREFIX + name, name) for name in workspace.attributes.types())]


def page(workspace: Workspace, request: Request) -> Response:
    """`/pages/intercom/{object}` or `/pages/intercom/{object}/{id}`; 404 for what there is not."""
    segments = [unquote(part) for part in request.path.strip("/").split("/") if part]
    named = 2 if segments[:1] == [PREFIX.strip("/")] else 1
    kind, rest = "/".join(segments[:named]) or CONTACTS, segments[named:]
    if kind not in dict(kinds(workspace)):
        return _missing(f"There is nothing called {kind}")
    if not rest:
        return _list(workspace, kind, request.first("q") or "", parts.page_number(request.first("page")))
    record = workspace.store.read(VENDOR, kind, rest[:1]).get(rest[0])
    return _missing(f"There is no record {rest[0]}") if record is None else _card(workspace, kind, record)


def _missing(text: str) -> Response:
    response = parts.frame("Not found", [("Intercom", _address())], element("div", element("h1", text), class_="card"))
    response.status = 404
    return response


def _address(kind: str | None = None, record_id: str | None = None) -> str:
    return "/".join([f"/pages/{VENDOR}", *([quote(kind)] if kind else []), *([quote(record_id)] if record_id else [])])


def title(record: Record) -> str:
    """What a person knows a record by."""
    values = record.properties
    names = ("name", "event_name", "email", "external_id", "company_id")
    return str(next((values[name] for name in names if values.get(name)), record.id))


def _attributes(workspace: Workspace, kind: str) -> dict[str, Attribute]:
    return workspace.attributes.known(_MODELS.get(kind, kind.removeprefix(PREFIX)))


# -- lists -------------------------------------------------------------------------------------------


def _list(workspace: Workspace, kind: str, query: str, number: int) -> Response:
    found = workspace.store.find(VENDOR, kind, query, parts.PAGE_SIZE + 1, (number - 1) * parts.PAGE_SIZE)
    shown = found[: parts.PAGE_SIZE]
    known = _attributes(workspace, kind)
    filled = {name for record in shown for name in record.properties if not name.startswith("$")}
    own = [name for name in _COLUMNS.get(kind, ()) if name in filled]
    names = [*own, *(name for name in known if known[name].custom and name in filled)][:_SHOWN_COLUMNS]
    tabs = [
        element("a", text, href=_address(name), aria_current="page" if name == kind else None)
        for name, text in kinds(workspace)
    ]
    rows = [
        [
            _who(kind, record),
            *[_display(known.get(name), name, record.properties.get(name)) for name in names],
            parts.moment(record.updated),
        ]
        for record in shown
    ]
    heads = ["Name", *[known[name].label if name in known else name for name in names], "Last change"]
    what = dict(kinds(workspace))[kind].lower()
    nothing = element("p", f"No {what} {'match' if query else 'yet'}.", class_="empty")
    card = element(
        "section",
        parts.search_form(query, what),
        parts.table(heads, rows) if rows else nothing,
        parts.pager(query, number, len(found) > len(shown)),
        class_="card",
    )
    crumbs = [("Intercom", None), (dict(kinds(workspace))[kind], None)]
    return parts.frame(dict(kinds(workspace))[kind], crumbs, element("div", tabs, class_="tabs"), card)


def _who(kind: str, record: Record) -> Markup:
    return element("a", parts.avatar(title(record)), title(record), href=_address(kind, record.id), class_="who")


# -- one record --------------------------------------------------------------------------------------


def _card(workspace: Workspace, kind: str, record: Record) -> Response:
    known = _attributes(workspace, kind)
    history = workspace.store.changes(VENDOR, kind, [record.id])[record.id]
    synced = {name for change in history if change.source == SOURCE for name in change.fields}
    values = record.properties
    own = [name for name in values if not name.startswith("$") and not _is_custom(known, name)]
    added = [name for name in known if known[name].custom and (name in values or name in synced)]
    profile = element(
        "section",
        _person(record),
        element("h2", "Details"),
        parts.legend(),
        parts.facts(_fact(known, name, values, synced) for name in own),
        parts.facts([("Intercom ID", record.id, False), ("Created", parts.moment(record.created), False)]),
        class_="card",
    )
    cards: list[Child] = []
    if added:
        cards.append(_section("Data attributes", parts.facts(_fact(known, name, values, synced) for name in added)))
    if kind == CONTACTS:
        cards += [_companies(workspace, record), _tags(workspace, record), _events(workspace, record)]
    if kind == COMPANIES:
        cards += [_people(workspace, record), _tags(workspace, record)]
    past = element(
        "section",
        element("h2", "History"),
        parts.timeline([_step(known, change) for change in reversed(history)]),
        class_="card",
    )
    crumbs = [("Intercom", None), (dict(kinds(workspace))[kind], _address(kind)), (title(record), None)]
    body = element("div", profile, element("div", cards), past, class_="record")
    return parts.frame(title(record), crumbs, body)


def _is_custom(known: Mapping[str, Attribute], name: str) -> bool:
    return name in known and known[name].custom


def _person(record: Record) -> Markup:
    values = record.properties
    gone = "deleted" if values.get("$deleted") else "archived"
    return element(
        "div",
        parts.avatar(title(record), "big"),
        parts.heading(title(record)),
        element("p", values["email"]) if values.get("email") else None,
        element("span", str(values["role"]).capitalize(), class_="chip stage") if values.get("role") else None,
        element("span", str(values["plan"]), class_="chip stage") if values.get("plan") else None,
        element("span", f"{gone} {parts.moment(record.archived)}", class_="chip gone") if record.archived else None,
        class_="person",
    )


def _fact(
    known: Mapping[str, Attribute], name: str, values: Mapping[str, Any], synced: set[str]
) -> tuple[str, Child, bool]:
    attribute = known.get(name)
    label = attribute.label if attribute else name.replace("_", " ").capitalize()
    return label, _display(attribute, name, values.get(name)), name in synced


def _section(heading: str, content: Child) -> Markup:
    return element("section", element("h2", heading), content, class_="card grid")


def _companies(workspace: Workspace, record: Record) -> Markup:
    found = workspace.store.read(VENDOR, COMPANIES, record.properties["$companies"])
    rows = [
        [
            _who(COMPANIES, company),
            company.properties.get("plan"),
            _display(None, "", company.properties["monthly_spend"]),
        ]
        for company in found.values()
    ]
    nothing = element("p", "No company.", class_="empty")
    return _section("Companies", parts.table(["Company", "Plan", "Monthly spend"], rows) if rows else nothing)


def _people(workspace: Workspace, record: Record) -> Markup:
    members = [contact for contact in workspace.live(CONTACTS) if record.id in contact.properties["$companies"]]
    rows = [[_who(CONTACTS, contact), contact.properties.get("email")] for contact in members[: parts.PAGE_SIZE]]
    nothing = element("p", "Nobody yet: Intercom shows a company when somebody belongs to it.", class_="empty")
    return _section(f"People · {len(members)}", parts.table(["Name", "Email"], rows) if rows else nothing)


def _tags(workspace: Workspace, record: Record) -> Markup:
    found = workspace.store.read(VENDOR, TAGS, record.properties.get("$tags", ()))
    chips = [element("span", tag.properties["name"], class_="chip") for tag in found.values()]
    return _section("Tags", chips or element("p", "No tag.", class_="empty"))


def _events(workspace: Workspace, record: Record) -> Markup:
    events = workspace.holders(EVENTS, "contact", record.id)
    latest = sorted(events, key=lambda event: -int(event.properties["created_at"]))[:_LATEST_EVENTS]
    rows = [
        [
            element("a", event.properties["event_name"], href=_address(EVENTS, event.id)),
            parts.moment(int(event.properties["created_at"]) * 1000),
            ", ".join(f"{name}: {value}" for name, value in metadata_of(event).items()),
        ]
        for event in latest
    ]
    nothing = element("p", "No event.", class_="empty")
    return _section(f"Events · {len(events)}", parts.table(["Event", "When", "Metadata"], rows) if rows else nothing)


def _step(known: Mapping[str, Attribute], change: Change) -> parts.Step:
    fields = [
        (
            known[name].label if name in known else name,
            _display(known.get(name), name, before),
            _display(known.get(name), name, after),
        )
        for name, (before, after) in change.fields.items()
    ]
    return parts.Step(change.at, change.source + ("" if fields else ": archived or restored"), fields)


def _date(seconds: int) -> str:
    return (dt.date(1970, 1, 1) + dt.timedelta(seconds=seconds)).isoformat()


def _display(attribute: Attribute | None, name: str, value: Any) -> Child:
    """A value as Intercom shows it: moments in words, grouped digits, Yes and No."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "Yes" if value else "No"
    moment = attribute is not None and attribute.data_type in ("date", "datetime")
    if isinstance(value, int) and (moment or name.endswith("_at")):
        return parts.moment(value * 1000) if value % _DAY else parts.day(_date(value))
    if isinstance(value, int | float):
        return parts.number(value)
    return str(value)
