"""Marketo's database as pages: people with their memberships and activity log, companies, custom objects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from revetl_dbt.sandbox import page as parts
from revetl_dbt.sandbox.marketo.account import VENDOR, Account
from revetl_dbt.sandbox.marketo.schema import Field
from revetl_dbt.sandbox.marketo.values import millis
from revetl_dbt.sandbox.markup import Child, Markup, element
from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.store import Change, Record

_SHOWN: Mapping[str, Sequence[str]] = {
    "leads": ("email", "title", "company", "country", "leadScore", "leadStatus"),
    "companies": ("externalCompanyId", "website", "industry", "numberOfEmployees", "annualRevenue", "billingCountry"),
    "namedAccounts": ("domainName", "industry", "numberOfEmployees", "annualRevenue", "country"),
    "opportunities": ("externalOpportunityId", "stage", "amount", "closeDate", "isWon"),
}
_NAMES: Mapping[str, Sequence[str]] = {
    "leads": ("firstName", "lastName"),
    "companies": ("company",),
    "namedAccounts": ("name",),
    "opportunities": ("name",),
    "salesPersons": ("firstName", "lastName"),
}
_COLUMNS = 6


def titles(account: Account) -> list[tuple[str, str]]:
    """Key and title of all that holds records."""
    store = account.store
    return [
        *((kind.key, kind.title) for kind in account.kinds()),
        *((f"lists/{item['id']}", f"List: {item['name']}") for item in store.definitions(VENDOR, "list").values()),
        *((f"programs/{i['id']}", f"Program: {i['name']}") for i in store.definitions(VENDOR, "program").values()),
        *((f"activities/{i['apiName']}", str(i["name"])) for i in store.definitions(VENDOR, "activity").values()),
    ]


def page(account: Account, request: Request) -> Response:
    """`/pages/marketo/{object}` or `/pages/marketo/{object}/{id}`; 404 for what there is not."""
    segments = [unquote(part) for part in request.path.strip("/").split("/") if part] or ["leads"]
    known = dict(titles(account))
    key = "/".join(segments[:2]) if "/".join(segments[:2]) in known else segments[0]
    rest = segments[key.count("/") + 1 :]
    if key not in known or len(rest) > 1:
        return _missing()
    if not rest:
        number = parts.page_number(request.first("page"))
        return _list(account, key, known, request.first("q") or "", number)
    record = account.store.read(VENDOR, key, rest).get(rest[0])
    return _missing() if record is None else _card(account, key, known[key], record)


def _missing() -> Response:
    card = element("div", element("h1", "There is no such record"), class_="card")
    response = parts.frame("Not found", [("Marketo", _address())], card)
    response.status = 404
    return response


def _address(key: str | None = None, record_id: str | None = None) -> str:
    names = [quote(key)] if key else []
    return "/".join([f"/pages/{VENDOR}", *names, *([quote(record_id, safe="")] if record_id else [])])


def _fields(account: Account, key: str) -> Mapping[str, Field]:
    kind = account.kind(key)
    if kind is not None:
        return kind.fields
    return account.members.fields if key.startswith("programs/") else {}


def name_of(account: Account, key: str, record: Record) -> str:
    """What a person knows a record by; a membership or an activity by its lead."""
    values = record.properties
    if key.split("/")[0] in ("lists", "programs", "activities"):
        lead = account.store.read(VENDOR, "leads", [str(values.get("leadId"))])
        return next((name_of(account, "leads", found) for found in lead.values()), f"Person {values.get('leadId')}")
    words = [str(values[name]) for name in _NAMES.get(key, ()) if values.get(name)]
    kind = account.kind(key)
    first = next((values[name] for name in kind.dedupe if values.get(name)), None) if kind else None
    return " ".join(words) or str(values.get("email") or first or f"No name ({record.id})")


def _list(account: Account, key: str, known: Mapping[str, str], query: str, number: int) -> Response:
    found = account.store.find(VENDOR, key, query, parts.PAGE_SIZE + 1, (number - 1) * parts.PAGE_SIZE)
    shown = found[: parts.PAGE_SIZE]
    fields = _fields(account, key)
    filled = dict.fromkeys(name for record in shown for name in record.properties)
    own = [name for name in _SHOWN.get(key, ()) if name in filled]
    others = [name for name in filled if name not in own and name not in _NAMES.get(key, ()) and name != "leadId"]
    columns = [*own[:4], *others, *own[4:]][:_COLUMNS]
    rows = [
        [
            element("a", parts.avatar(name), name, href=_address(key, record.id), class_="who"),
            *[_value(fields.get(column), record.properties.get(column)) for column in columns],
            parts.moment(record.updated),
        ]
        for record in shown
        for name in [name_of(account, key, record)]
    ]
    tabs = [
        element("a", title, href=_address(other), aria_current="page" if other == key else None)
        for other, title in known.items()
    ]
    heads = ["Name", *[_label(fields, column) for column in columns], "Updated"]
    nothing = element("p", "Nothing matches." if query else "Nothing has arrived yet.", class_="empty")
    card = element(
        "section",
        parts.search_form(query, known[key].lower()),
        parts.table(heads, rows) if rows else nothing,
        parts.pager(query, number, len(found) > len(shown)),
        class_="card",
    )
    crumbs = [("Marketo", None), (known[key], None)]
    return parts.frame(known[key], crumbs, element("div", tabs, class_="tabs"), card)


def _card(account: Account, key: str, title: str, record: Record) -> Response:
    fields, name = _fields(account, key), name_of(account, key, record)
    history = account.store.changes(VENDOR, key, [record.id])[record.id]
    synced = {field for change in history for field in change.fields}
    values = record.properties
    first = [field for field in _SHOWN.get(key, ()) if field in values or field in synced]
    rest = [field for field in dict.fromkeys([*values, *sorted(synced)]) if field not in first]
    pairs = [(_label(fields, field), _value(fields.get(field), values.get(field)), field in synced) for field in first]
    more = [(_label(fields, field), _value(fields.get(field), values.get(field)), field in synced) for field in rest]
    profile = element("section", _head(name, key, record), parts.legend(), parts.facts(pairs), class_="card")
    cards: list[Child] = []
    if more:
        cards.append(element("section", element("h2", "Fields"), parts.facts(more), class_="card grid"))
    if key == "leads":
        cards += _belongings(account, record)
    steps = sorted([*_steps(fields, history), *(_log(account, record) if key == "leads" else ())], key=lambda s: -s.at)
    past = element("section", element("h2", "Activity log"), parts.timeline(steps), class_="card")
    crumbs = [("Marketo", None), (title, _address(key)), (name, None)]
    return parts.frame(name, crumbs, element("div", profile, element("div", cards), past, class_="record"))


def _head(name: str, key: str, record: Record) -> Markup:
    values = record.properties
    role = " at ".join(str(values[part]) for part in ("title", "company") if values.get(part))
    return element(
        "div",
        parts.avatar(name, "big"),
        parts.heading(name),
        element("p", role) if role and key == "leads" else None,
        element("p", f"ID {record.id}"),
        element("span", f"deleted {parts.moment(record.archived)}", class_="chip gone") if record.archived else None,
        class_="person",
    )


def _belongings(account: Account, lead: Record) -> Iterator[Markup]:
    """The company, lists, programs and custom objects of a lead."""
    rows: list[tuple[str, Child, bool]] = []
    company = lead.properties.get("externalCompanyId")
    for found in account.find("companies", ["externalCompanyId"], [company]) if company else ():
        link = element("a", name_of(account, "companies", found), href=_address("companies", found.id))
        rows.append(("Company", link, False))
    for key, title in titles(account):
        member = account.read(key, [lead.id]).get(lead.id) if key.split("/")[0] in ("lists", "programs") else None
        if member is not None:
            status = member.properties.get("statusName")
            rows.append((title, str(status) if status else "member", True))
    if rows:
        yield element("section", element("h2", "Belongs to"), parts.facts(rows), class_="card grid")


def _log(account: Account, lead: Record) -> Iterator[parts.Step]:
    """The custom activities of a lead."""
    for key, title in titles(account):
        if not key.startswith("activities/"):
            continue
        for found in account.store.find(VENDOR, key, f'"leadId": {lead.id}', parts.PAGE_SIZE):
            if str(found.properties.get("leadId")) == lead.id:
                told = {n: v for n, v in found.properties.items() if n not in ("leadId", "activityDate")}
                fields = [(_label({}, name), None, _value(None, value)) for name, value in told.items()]
                yield parts.Step(found.created, title, fields)


def _steps(fields: Mapping[str, Field], history: Sequence[Change]) -> Iterator[parts.Step]:
    for change in history:
        changed: list[tuple[str, Child, Child]] = [
            (_label(fields, name), _value(fields.get(name), old), _value(fields.get(name), new))
            for name, (old, new) in change.fields.items()
        ]
        yield parts.Step(change.at, change.source if changed else f"{change.source}: deleted", changed)


def _label(fields: Mapping[str, Field], name: str) -> str:
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return fields[name].label if name in fields else words[:1].upper() + words[1:]


def _value(field: Field | None, value: Any) -> Child:
    if value is None:
        return None
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if field is not None and field.type == "datetime":
        return parts.moment(millis(str(value)))
    if field is not None and field.type == "date":
        return parts.day(str(value))
    if field is not None and field.type in ("currency", "float") and isinstance(value, (int, float)):
        return f"{value:,.2f}" if field.type == "currency" else f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value)
