"""HubSpot's lists and record cards as pages: what a person in sales or marketing would see of the synced data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from revetl_dbt.sandbox import page as parts
from revetl_dbt.sandbox.hubspot.account import VENDOR, Account
from revetl_dbt.sandbox.hubspot.associations import Associations
from revetl_dbt.sandbox.hubspot.errors import ApiError
from revetl_dbt.sandbox.hubspot.events import Events
from revetl_dbt.sandbox.hubspot.lists import Lists
from revetl_dbt.sandbox.hubspot.objects import ObjectType
from revetl_dbt.sandbox.hubspot.properties import Property
from revetl_dbt.sandbox.hubspot.records import AUTOMATIC
from revetl_dbt.sandbox.hubspot.render import all_values
from revetl_dbt.sandbox.hubspot.values import millis
from revetl_dbt.sandbox.markup import Child, Markup, element
from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.store import Change, Record

_ABOUT: Mapping[str, Sequence[str]] = {
    "contacts": ("email", "phone", "company", "jobtitle", "lifecyclestage", "hs_lead_status", "city", "country"),
    "companies": (
        "domain",
        "industry",
        "phone",
        "city",
        "country",
        "numberofemployees",
        "annualrevenue",
        "lifecyclestage",
    ),
    "deals": ("amount", "dealstage", "pipeline", "closedate", "dealtype"),
    "tickets": ("hs_pipeline_stage", "hs_ticket_priority", "hs_ticket_category", "content"),
}
_COLUMNS = 5
_LINKS_SHOWN = 20
_SYSTEM = ("createdate", "hs_object_id")
_SOURCES = {"INTEGRATION": "sync", AUTOMATIC: "HubSpot"}


@dataclass(frozen=True)
class Around:
    """What belongs to a record and is not in it."""

    associations: Associations
    lists: Lists
    events: Events


def page(account: Account, around: Around, request: Request) -> Response:
    """`/pages/hubspot/{object}` or `/pages/hubspot/{object}/{id}`; 404 for what there is not."""
    segment, _, record_id = (unquote(part) for part in request.path.strip("/").partition("/"))
    try:
        kind = account.kind(segment or "contacts")
    except ApiError as error:
        return _missing(error.message)
    if not record_id:
        return _list(account, kind, request.first("q") or "", parts.page_number(request.first("page")))
    record = account.store.read(VENDOR, kind.key, [record_id]).get(record_id)
    return (
        _missing(f"There is no {kind.singular} {record_id}") if record is None else _card(account, around, kind, record)
    )


def _missing(text: str) -> Response:
    response = parts.frame("Not found", [("HubSpot", _address())], element("div", element("h1", text), class_="card"))
    response.status = 404
    return response


def _address(kind: ObjectType | None = None, record: Record | None = None) -> str:
    return "/".join([f"/pages/{VENDOR}", *([quote(kind.key)] if kind else []), *([quote(record.id)] if record else [])])


def title(kind: ObjectType, record: Record) -> str:
    """What a person knows a record by."""
    words = [str(record.properties[name]) for name in kind.display if record.properties.get(name)]
    return " ".join(words) or str(
        record.properties.get("email") or record.properties.get("domain") or f"{kind.singular} {record.id}"
    )


# -- lists -------------------------------------------------------------------------------------------


def _list(account: Account, kind: ObjectType, query: str, number: int) -> Response:
    found = account.store.find(VENDOR, kind.key, query, parts.PAGE_SIZE + 1, (number - 1) * parts.PAGE_SIZE)
    shown = found[: parts.PAGE_SIZE]
    tabs = [
        element("a", other.plural, href=_address(other), aria_current="page" if other is kind else None)
        for other in account.kinds()
    ]
    columns = _columns(account.active(kind), kind, shown)
    rows = [
        [
            _who(kind, record),
            *[display(prop, record.properties.get(prop.name)) for prop in columns],
            parts.moment(record.updated),
        ]
        for record in shown
    ]
    heads = [kind.singular.capitalize(), *[prop.label for prop in columns], "Last change"]
    nothing = element("p", f"No {kind.plural.lower()} {'match' if query else 'yet'}.", class_="empty")
    card = element(
        "section",
        parts.search_form(query, kind.plural.lower()),
        parts.table(heads, rows) if rows else nothing,
        parts.pager(query, number, len(found) > len(shown)),
        class_="card",
    )
    crumbs = [("HubSpot", None), (kind.plural, None)]
    return parts.frame(kind.plural, crumbs, element("div", tabs, class_="tabs"), card)


def _columns(known: Mapping[str, Property], kind: ObjectType, records: Sequence[Record]) -> list[Property]:
    """The properties that say most about these records: the object's own first, then what a user added."""
    filled = {name for record in records for name in record.properties}
    own = [name for name in _ABOUT.get(kind.name, ()) if name in filled]
    added = [name for name, prop in known.items() if not prop.own and name in filled]
    names = [name for name in [*own[:3], *added, *own[3:]] if name not in kind.display]
    return [known[name] for name in names[:_COLUMNS] if name in known]


def _who(kind: ObjectType, record: Record) -> Markup:
    name = title(kind, record)
    return element("a", parts.avatar(name), name, href=_address(kind, record), class_="who")


# -- one record --------------------------------------------------------------------------------------


def _card(account: Account, around: Around, kind: ObjectType, record: Record) -> Response:
    known = account.active(kind)
    history = account.store.changes(VENDOR, kind.key, [record.id])[record.id]
    synced = {name for change in history if change.source != AUTOMATIC for name in change.fields}
    values = all_values(kind, record)
    about = [*_ABOUT.get(kind.name, ()), *_SYSTEM, kind.modified]
    profile = element(
        "section",
        _person(kind, record, known),
        element("h2", f"About this {kind.singular.lower()}"),
        parts.legend(),
        parts.facts(
            (known[name].label, display(known[name], values.get(name)), name in synced)
            for name in about
            if name in known
        ),
        class_="card",
    )
    groups = element(
        "div",
        _associated(account, around.associations, kind, record),
        _lists(around.lists, kind, record),
        _groups(account, kind, values, synced, set(about) | set(kind.display)),
        _events(around.events, kind, record),
    )
    past = element(
        "section",
        element("h2", "History"),
        parts.timeline([_step(known, change) for change in reversed(history)]),
        class_="card",
    )
    crumbs = [("HubSpot", None), (kind.plural, _address(kind)), (title(kind, record), None)]
    return parts.frame(title(kind, record), crumbs, element("div", profile, groups, past, class_="record"))


def _person(kind: ObjectType, record: Record, known: Mapping[str, Property]) -> Markup:
    values, name = record.properties, title(kind, record)
    role = " at ".join(str(values[part]) for part in ("jobtitle", "company") if values.get(part))
    stage = values.get("lifecyclestage")
    return element(
        "div",
        parts.avatar(name, "big"),
        parts.heading(name),
        element("p", role) if role else None,
        element("p", values["email"]) if values.get("email") else None,
        element("span", _label(known["lifecyclestage"], stage), class_="chip stage") if stage else None,
        element("span", f"archived {parts.moment(record.archived)}", class_="chip gone") if record.archived else None,
        class_="person",
    )


def _groups(account: Account, kind: ObjectType, values: Mapping[str, str], synced: set[str], told: set[str]) -> Child:
    """A card for each property group: what has a value or had one from the sync, and is not said elsewhere."""
    known = account.active(kind)
    cards = []
    for name, group in account.groups(kind).items():
        rows = [
            (prop.label, display(prop, values.get(prop.name)), prop.name in synced)
            for prop in known.values()
            if prop.group == name
            and prop.name not in told
            and (prop.name in synced or (prop.name in values and not prop.hidden))
        ]
        if rows:
            cards.append((any(prop.group == name and prop.own for prop in known.values()), str(group["label"]), rows))
    cards.sort(key=lambda card: card[0])  # what a user added comes first
    return [element("section", element("h2", label), parts.facts(rows), class_="card grid") for _, label, rows in cards]


def _associated(account: Account, associations: Associations, kind: ObjectType, record: Record) -> Child:
    """A card for each object whose records go with this one, with their labels."""
    cards = []
    for other in account.kinds():
        links = associations.held(kind, other, [record.id])[record.id]
        if not links:
            continue
        types = {found.number: found.label for found in associations.types(kind, other)}
        rows = []
        shown = list(links)[:_LINKS_SHOWN]
        for known, found in account.store.read(VENDOR, other.key, shown).items():
            labels = [types[number] for number in links[known]]
            chips = [element("span", label, class_="chip") for label in labels if label]
            rows.append((other.singular.capitalize(), [_who(other, found), *chips], True))
        title = other.plural if len(links) == len(shown) else f"{other.plural}, {len(shown)} of {len(links):,}"
        cards.append(element("section", element("h2", title), parts.facts(rows), class_="card grid"))
    return cards


def _lists(lists: Lists, kind: ObjectType, record: Record) -> Child:
    rows = [(f"List {found['listId']}", found["name"], True) for found, _ in lists.of(kind, record.id)]
    return element("section", element("h2", "Lists"), parts.facts(rows), class_="card grid") if rows else None


def _events(events: Events, kind: ObjectType, record: Record) -> Child:
    """What happened to a record, as custom events, the latest first."""
    steps = []
    for event, occurred in events.of(kind, record.id):
        labels = {item["name"]: item["label"] for item in event["properties"]}
        shown = [(labels[name], None, str(value)) for name, value in occurred.properties.items() if name in labels]
        steps.append(parts.Step(millis(occurred.properties["occurredAt"]), event["labels"]["singular"], shown))
    return element("section", element("h2", "Events"), parts.timeline(steps), class_="card") if steps else None


def _step(known: Mapping[str, Property], change: Change) -> parts.Step:
    fields: list[tuple[str, Child, Child]] = []
    for name, (before, after) in change.fields.items():
        prop = known.get(name) or Property(name, name)
        fields.append((prop.label, display(prop, before), display(prop, after)))
    return parts.Step(change.at, _SOURCES.get(change.source, change.source) + ("" if fields else ": archived"), fields)


def display(prop: Property, value: str | None) -> Child:
    """A value as HubSpot shows it: labels for choices, Yes and No, grouped digits, dates in words."""
    if value is None:
        return None
    if prop.multiple:
        return [element("span", _label(prop, part), class_="chip") for part in value.split(";")]
    if prop.options:
        return _label(prop, value)
    if prop.type == "number" and prop.name != "hs_object_id":
        return _grouped(value)
    if prop.type == "date":
        return parts.day(value)
    if prop.type == "datetime":
        return parts.moment(millis(value))
    return value


def _label(prop: Property, value: str) -> str:
    return next((option.label for option in prop.options if option.value == value), value)


def _grouped(value: str) -> str:
    whole, dot, rest = value.partition(".")
    return f"{int(whole):,}{dot}{rest}" if whole.lstrip("-").isdigit() and rest.isdigit() | (not dot) else value
