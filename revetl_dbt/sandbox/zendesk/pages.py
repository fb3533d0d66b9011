"""Zendesk's lists and profiles as pages: what an agent in support would see of the synced data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from revetl_dbt.sandbox import page as parts
from revetl_dbt.sandbox.markup import Child, Markup, element
from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.store import Change, Record
from revetl_dbt.sandbox.zendesk.account import VENDOR, Account
from revetl_dbt.sandbox.zendesk.fields import Kind
from revetl_dbt.sandbox.zendesk.memberships import organizations
from revetl_dbt.sandbox.zendesk.records import Records, flat

_PROFILE: Mapping[str, Sequence[str]] = {
    "users": ("email", "external_id", "phone", "role", "notes", "details"),
    "organizations": ("external_id", "domain_names", "notes", "details"),
    "tickets": ("status", "priority", "type", "external_id"),
}
_TICKET = ("status", "priority")
_COLUMNS = 5
_UNSEEN = frozenset({"emails", "organizations", "comments", "erased"})


def page(account: Account, records: Records, request: Request) -> Response:
    """`/pages/zendesk/{object}` or `/pages/zendesk/{object}/{id}`; 404 for what there is not."""
    rest = unquote(request.path.strip("/")) or "users"
    for kind in account.kinds():
        if rest == kind.name:
            return _list(account, kind, request.first("q") or "", parts.page_number(request.first("page")))
        if rest.startswith(f"{kind.name}/"):
            record_id = rest.removeprefix(f"{kind.name}/")
            record = account.store.read(VENDOR, kind.name, [record_id]).get(record_id)
            return _missing(kind) if record is None else _Profile(account, records, kind, record).page()
    return _missing(None)


def _missing(kind: Kind | None) -> Response:
    text = f"There is no such {kind.one.replace('_', ' ')}" if kind else "There is no such object"
    response = parts.frame("Not found", [("Zendesk", _address())], element("div", element("h1", text), class_="card"))
    response.status = 404
    return response


def _address(kind: Kind | None = None, record: Record | None = None) -> str:
    named = [part for part in (kind and quote(kind.name), record and quote(record.id)) if part]
    return "/".join([f"/pages/{VENDOR}", *named])


def title(kind: Kind, record: Record) -> str:
    """What a person knows a record by."""
    properties = record.properties
    if kind.name == "tickets":
        return f"#{record.id} {properties.get('subject') or 'No subject'}"
    return str(properties.get("name") or properties.get("email") or f"{kind.title} {record.id}")


def _label(account: Account, kind: Kind, name: str) -> str:
    _, dot, key = name.partition(".")
    field = account.fields(kind).get(key) if dot else None
    return str(field["title"]) if field else (key or name).replace("_", " ").capitalize()


def display(name: str, value: Any) -> Child:
    """A value as Zendesk shows it: tags as chips, a check for yes, grouped digits except in ids, days in words."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "✓ Yes" if value else "No"
    if isinstance(value, list):
        return [element("span", str(item), class_="chip") for item in value]
    if isinstance(value, (int, float)):
        return str(value) if name.endswith("_id") else parts.number(value)
    text = str(value)
    return parts.day(text) if len(text) == 10 and text[4] + text[7] == "--" and _is_day(text) else text


def _is_day(text: str) -> bool:
    return text.replace("-", "").isdigit()


# -- lists -------------------------------------------------------------------------------------------


def _list(account: Account, kind: Kind, query: str, number: int) -> Response:
    found = account.store.find(VENDOR, kind.name, query, parts.PAGE_SIZE + 1, (number - 1) * parts.PAGE_SIZE)
    shown = found[: parts.PAGE_SIZE]
    tabs = [
        element("a", other.title, href=_address(other), aria_current="page" if other.name == kind.name else None)
        for other in account.kinds()
    ]
    values = [flat(record.properties) for record in shown]
    filled = {name for item in values for name in item}
    about = [name for name in _PROFILE.get(kind.name, ("external_id",)) if name in filled]
    custom = [f"{kind.custom}.{key}" for key in account.fields(kind) if f"{kind.custom}.{key}" in filled]
    columns = [*about[:2], *custom, *about[2:]][:_COLUMNS]
    rows = [
        [_who(kind, record), *[display(name, item.get(name)) for name in columns], parts.moment(record.updated)]
        for record, item in zip(shown, values, strict=True)
    ]
    heads = [kind.one.replace("_", " ").capitalize(), *[_label(account, kind, name) for name in columns], "Last change"]
    nothing = element("p", f"No {kind.title.lower()} {'match' if query else 'yet'}.", class_="empty")
    card = element(
        "section",
        parts.search_form(query, kind.title.lower()),
        parts.table(heads, rows) if rows else nothing,
        parts.pager(query, number, len(found) > len(shown)),
        class_="card",
    )
    return parts.frame(kind.title, [("Zendesk", None), (kind.title, None)], element("div", tabs, class_="tabs"), card)


def _who(kind: Kind, record: Record) -> Markup:
    name = title(kind, record)
    return element("a", parts.avatar(name), name, href=_address(kind, record), class_="who")


# -- one record --------------------------------------------------------------------------------------


class _Profile:
    """One record: who it is with its tags and organizations, its fields, its conversation, what changed."""

    def __init__(self, account: Account, records: Records, kind: Kind, record: Record) -> None:
        self._account, self._records, self._kind, self._record = account, records, kind, record
        self._history = account.store.changes(VENDOR, kind.name, [record.id])[record.id]
        self._synced = {name for change in self._history for name in change.fields}
        self._values = flat(record.properties)

    def page(self) -> Response:
        kind, name = self._kind, title(self._kind, self._record)
        head = element(
            "section",
            self._person(name),
            parts.legend(),
            parts.facts(self._fact(field) for field in self._about()),
            parts.facts(
                [("Zendesk ID", self._record.id, False), ("Created", parts.moment(self._record.created), False)]
            ),
            class_="card",
        )
        past = element(
            "section",
            element("h2", "Events"),
            parts.timeline([self._step(change) for change in reversed(self._history)]),
            class_="card",
        )
        crumbs = [("Zendesk", None), (kind.title, _address(kind)), (name, None)]
        middle = element("div", self._custom(), *self._related(), self._conversation())
        return parts.frame(name, crumbs, element("div", head, middle, past, class_="record"))

    def _about(self) -> list[str]:
        first = list(_PROFILE.get(self._kind.name, ("external_id",)))
        own = [name for name in self._values if "." not in name and name not in (*first, *_UNSEEN, "name", "tags")]
        return [*first, *own]

    def _person(self, name: str) -> Markup:
        record = self._record
        joined = self._account.store.read(VENDOR, "organizations", organizations(record))
        at = ", ".join(str(item.properties.get("name")) for item in joined.values())
        return element(
            "div",
            parts.avatar(name, "big"),
            parts.heading(name),
            element("p", at) if at else None,
            element("p", display("tags", record.properties["tags"])) if record.properties.get("tags") else None,
            element("span", f"deleted {parts.moment(record.archived)}", class_="chip gone")
            if record.archived
            else None,
            class_="person",
        )

    def _fact(self, name: str) -> tuple[str, Child, bool]:
        return _label(self._account, self._kind, name), display(name, self._values.get(name)), name in self._synced

    def _custom(self) -> Child:
        names = [f"{self._kind.custom}.{key}" for key in self._account.fields(self._kind)]
        if not names:
            return None
        rows = [self._fact(name) for name in names]
        return element("section", element("h2", "Fields"), parts.facts(rows), class_="card grid")

    def _related(self) -> list[Child]:
        """The users of an organization, and the tickets of either."""
        own = self._record.id
        if self._kind.name == "organizations":
            users = [user for user in self._naming("users") if own in organizations(user)]
            tickets = [item for item in self._naming("tickets") if str(item.properties.get("organization_id")) == own]
            return [self._listed("users", users, ("email",)), self._listed("tickets", tickets, _TICKET)]
        if self._kind.name == "users":
            tickets = [item for item in self._naming("tickets") if str(item.properties.get("requester_id")) == own]
            return [self._listed("tickets", tickets, _TICKET)]
        return []

    def _naming(self, name: str) -> list[Record]:
        """Records of an object, the latest, that may refer to this one."""
        return self._account.store.find(VENDOR, name, self._record.id, parts.PAGE_SIZE)

    def _listed(self, name: str, records: Sequence[Record], columns: Sequence[str]) -> Child:
        kind = next(kind for kind in self._account.kinds() if kind.name == name)
        rows = [[_who(kind, item), *[display(key, item.properties.get(key)) for key in columns]] for item in records]
        heads = [kind.one.capitalize(), *[_label(self._account, kind, key) for key in columns]]
        content = parts.table(heads, rows) if rows else element("p", f"No {name} yet.", class_="empty")
        return element("section", element("h2", f"{kind.title} · {len(rows)}"), content, class_="card grid")

    def _conversation(self) -> Child:
        comments = self._record.properties.get("comments") or []
        texts = [element("p", str(comment.get("body") or "")) for comment in comments]
        return element("section", element("h2", "Conversation"), texts, class_="card") if texts else None

    def _step(self, change: Change) -> parts.Step:
        fields: list[tuple[str, Child, Child]] = [
            (_label(self._account, self._kind, name), display(name, before), display(name, after))
            for name, (before, after) in change.fields.items()
            if name not in _UNSEEN
        ]
        return parts.Step(change.at, change.source + ("" if change.fields else ": deleted"), fields)
