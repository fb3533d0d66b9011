"""The pages of a sandbox: the frame, the start page, and the parts that every vendor's pages are made of."""

from __future__ import annotations

import datetime as dt
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from revetl_dbt.sandbox.markup import Child, Markup, element, joined
from revetl_dbt.sandbox.messages import Response, html_response
from revetl_dbt.sandbox.store import LoggedRequest
from revetl_dbt.sandbox.vendor import ObjectCount, Vendor

if TYPE_CHECKING:
    from revetl_dbt.sandbox.host import Sandbox

PAGE_SIZE = 50
_RECENT = 15
_HUES = (10, 28, 152, 172, 200, 222, 258, 290, 330)


@dataclass(frozen=True)
class Step:
    """An entry of a record's history: when, by what, and (field, value before, value after) for each change."""

    at: int
    source: str
    fields: Sequence[tuple[str, Child, Child]]


def frame(title: str, crumbs: Sequence[tuple[str, str | None]], *content: Child) -> Response:
    """A whole page. `crumbs` are (text, address) from the start page on; the last has no address."""
    trail = [
        element("a", text, href=address) if address else element("span", text, aria_current="page")
        for text, address in [("Sandbox", "/"), *crumbs]
    ]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title} · revetl sandbox"),
        element("style", Markup(_style())),
    )
    brand = element("a", element("span", "r", class_="mark"), "revetl sandbox", href="/", class_="brand")
    note = element("span", "local copy, nothing here is real", class_="note")
    top = element("header", element("div", brand, note, class_="bar"))
    body = element(
        "body", top, element("nav", trail, class_="crumbs", aria_label="Breadcrumb"), element("main", content)
    )
    response = html_response("<!doctype html>" + element("html", head, body, lang="en"))
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"
    return response


@cache
def _style() -> str:
    return Path(__file__).with_name("style.css").read_text(encoding="utf-8")


# -- the start page ----------------------------------------------------------------------------------


def overview(sandbox: Sandbox) -> Response:
    """What there is, what arrived lately and which faults are in force."""
    vendors = [_vendor_card(sandbox, vendor) for vendor in sandbox.vendors.values()]
    recent = sandbox.store.requests(_RECENT, newest=True)
    log = (
        _requests(recent)
        if recent
        else element("p", "No request yet. Point a sync here and look again.", class_="empty")
    )
    parts: list[Child] = [
        element("h1", "What the tools received"),
        element("div", vendors, class_="vendors"),
        element("section", element("h2", "Latest requests"), log, class_="card"),
    ]
    rules = sandbox.fault_state()
    if rules:
        parts.insert(
            2, element("section", element("h2", "Faults in force"), element("ul", map(_fault, rules)), class_="card")
        )
    return frame("Overview", [], parts)


def _vendor_card(sandbox: Sandbox, vendor: Vendor) -> Markup:
    objects = vendor.objects()
    link = f"/pages/{quote(vendor.name)}"
    tiles = [_tile(link, entry) for entry in objects] or element("p", "Nothing has arrived yet.", class_="empty")
    return element(
        "section",
        element("h2", vendor.title),
        element("p", element("code", sandbox.url(vendor.name)), _account(vendor), class_="quiet"),
        element("div", tiles, class_="tiles"),
        class_="card",
    )


def _account(vendor: Vendor) -> str | None:
    account = vendor.account()
    return f" · account {account}" if account else None


def _tile(link: str, entry: ObjectCount) -> Markup:
    live = entry.records - entry.archived
    gone = element("small", f"{entry.archived:,} archived") if entry.archived else None
    return element(
        "a",
        element("b", f"{live:,}"),
        element("span", entry.title),
        gone,
        href=f"{link}/{quote(entry.name)}",
        class_="tile",
    )


def _fault(rule: dict[str, Any]) -> Markup:
    shown = ", ".join(f"{name} {value}" for name, value in rule.items() if name not in ("kind", "seen", "hits"))
    return element("li", element("b", rule["kind"]), f" {shown} · hit {rule['hits']} of {rule['seen']}")


def _requests(entries: Iterable[LoggedRequest]) -> Markup:
    rows = [
        element(
            "tr",
            element("td", clock(entry.at), class_="time"),
            element("td", element("code", f"{entry.method} {entry.path}")),
            element("td", element("span", entry.status or "dropped", class_=f"status {_mood(entry.status)}")),
            element("td", f"{entry.records:,}" if entry.records else "", class_="number"),
            element("td", f"{entry.ms:.0f} ms", class_="number"),
            element("td", element("span", entry.fault, class_="chip warn") if entry.fault else None),
        )
        for entry in entries
    ]
    titles = (("Time (UTC)", 0), ("Request", 0), ("Answer", 0), ("Records", 1), ("Took", 1), ("Fault", 0))
    heads = element("tr", [element("th", text, class_="number" if number else None) for text, number in titles])
    return element("div", element("table", element("thead", heads), element("tbody", rows)), class_="scroll")


def _mood(status: int | None) -> str:
    if status is None or status >= 500:
        return "bad"
    return "good" if status < 300 and status != 207 else "warn"


# -- parts -------------------------------------------------------------------------------------------


def number(value: float) -> str:
    """A number for people: `12,450.5`, and whole ones without a fraction."""
    return f"{value:,}".removesuffix(".0")


def moment(millis: int) -> str:
    """A point in time for people: `22 Nov 2026, 18:47:11 UTC`."""
    return _utc(millis).strftime("%d %b %Y, %H:%M:%S UTC").lstrip("0")


def day(text: str) -> str:
    """A date as `2026-12-01` for people: `1 Dec 2026`."""
    return dt.date.fromisoformat(text).strftime("%d %b %Y").lstrip("0")


def clock(millis: int) -> str:
    """The time of day, to the second."""
    return _utc(millis).strftime("%H:%M:%S")


def _utc(millis: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=millis)


def avatar(name: str, size: str = "") -> Markup:
    """Initials on a colour that is always the same for a name."""
    words = [word for word in name.replace("@", " ").split() if word[0].isalnum()] or ["?"]
    initials = (words[0][0] + (words[-1][0] if len(words) > 1 else "")).upper()
    hue = _HUES[zlib.crc32(name.encode()) % len(_HUES)]
    return element("span", initials, class_=f"avatar {size}".strip(), style=f"--hue:{hue}", aria_hidden="true")


def heading(name: str) -> Markup:
    """Whom or what a page is about. An e-mail address that is too long for its line breaks before its signs."""
    if "@" not in name or " " in name:
        return element("h1", name)
    first, *others = re.split(r"(?=[@._+-])", name)
    return element("h1", first, [(element("wbr"), part) for part in others])


def search_form(query: str, what: str) -> Markup:
    """The search field above a list."""
    field = element(
        "input", type="search", name="q", value=query, placeholder=f"Search {what}", aria_label=f"Search {what}"
    )
    return element("form", field, element("button", "Search"), class_="search", method="get")


def pager(query: str, page: int, more: bool) -> Markup | None:
    """Links to the previous and the next page; None when there is only one."""
    links = [("Previous", page - 1)] * (page > 1) + [("Next", page + 1)] * more
    if not links:
        return None
    return element(
        "p", [element("a", text, href="?" + urlencode({"q": query, "page": n})) for text, n in links], class_="pager"
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[Child]]) -> Markup:
    """A table that scrolls sideways where it does not fit."""
    head = element("thead", element("tr", [element("th", text) for text in heads]))
    body = element("tbody", [element("tr", [element("td", cell) for cell in row]) for row in rows])
    return element("div", element("table", head, body), class_="scroll")


def facts(pairs: Iterable[tuple[str, Child, bool]]) -> Markup:
    """A list of (label, value, whether the sync filled it)."""
    return element(
        "dl",
        [
            element(
                "div",
                element("dt", label),
                element("dd", value if joined(value) else "–"),
                class_="synced" if synced else None,
            )
            for label, value, synced in pairs
        ],
        class_="facts",
    )


def legend() -> Markup:
    """What the mark on a field means."""
    return element("p", element("span", class_="dot"), "filled by the sync", class_="legend")


def timeline(steps: Sequence[Step]) -> Markup:
    """The history of a record, the latest first."""
    return element("ol", [_step(step) for step in steps], class_="timeline")


def _step(step: Step) -> Markup:
    lines = [
        element(
            "li",
            element("span", label, class_="label"),
            element("del", before) if joined(before) else None,
            element("ins", after) if joined(after) else element("em", "cleared"),
        )
        for label, before, after in step.fields
    ]
    head = element("p", element("time", moment(step.at)), element("span", step.source, class_="chip"))
    return element("li", head, element("ul", lines))


def page_number(text: str | None) -> int:
    """The page that an address asks for, from 1."""
    return max(1, int(text)) if text and text.isdigit() and len(text) < 7 else 1
