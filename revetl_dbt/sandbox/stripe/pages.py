"""Stripe's lists and records as pages: what a person in billing would see of the synced data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from revetl_dbt.sandbox import page as parts
from revetl_dbt.sandbox.markup import Child, Markup, element
from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.store import Record, Store
from revetl_dbt.sandbox.stripe.schema import KINDS, Kind
from revetl_dbt.sandbox.stripe.values import flat

VENDOR = "stripe"
_COLUMNS: Mapping[str, Sequence[str]] = {
    "customers": ("email", "description", "metadata.plan", "balance"),
    "products": ("active", "description", "unit_label"),
    "prices": ("unit_amount", "recurring.interval", "product", "lookup_key", "active"),
}
_DETAILS: Mapping[str, Sequence[str]] = {
    "customers": (
        "name",
        "email",
        "phone",
        "description",
        "balance",
        "tax_exempt",
        "preferred_locales",
        "address.line1",
        "address.line2",
        "address.postal_code",
        "address.city",
        "address.state",
        "address.country",
    ),
    "products": ("name", "active", "description", "unit_label", "statement_descriptor", "tax_code", "url", "images"),
    "prices": (
        "unit_amount",
        "currency",
        "type",
        "recurring.interval",
        "recurring.interval_count",
        "product",
        "nickname",
        "lookup_key",
        "tax_behavior",
        "active",
    ),
}
_LABELS = {
    "url": "URL",
    "unit_amount": "Price",
    "tax_exempt": "Tax status",
    "recurring.interval": "Billed",
    "address.line1": "Address",
    "address.line2": "Address, second line",
}


def page(store: Store, request: Request) -> Response:
    """`/pages/stripe/{object}` or `/pages/stripe/{object}/{id}`; 404 for what there is not."""
    segment, _, record_id = (unquote(part) for part in request.path.strip("/").partition("/"))
    kind = KINDS.get(segment or "customers")
    if kind is None:
        return _missing(f"Stripe has no {segment}")
    if not record_id:
        return _list(store, kind, request.first("q") or "", parts.page_number(request.first("page")))
    record = store.read(VENDOR, kind.name, [record_id]).get(record_id)
    return _missing(f"There is no {kind.word} {record_id}") if record is None else _card(store, kind, record)


def _missing(text: str) -> Response:
    response = parts.frame("Not found", [("Stripe", _address())], element("div", element("h1", text), class_="card"))
    response.status = 404
    return response


def _address(kind: Kind | None = None, record: Record | None = None) -> str:
    return "/".join(
        [f"/pages/{VENDOR}", *([kind.name] if kind else []), *([quote(record.id, safe="")] if record else [])]
    )


def title(kind: Kind, record: Record) -> str:
    """What a person knows a record by."""
    values = record.properties
    if kind.name == "prices":
        return str(values.get("nickname") or values.get("lookup_key") or _money(values))
    return str(values.get("name") or values.get("email") or values.get("description") or record.id)


# -- lists -------------------------------------------------------------------------------------------


def _list(store: Store, kind: Kind, query: str, number: int) -> Response:
    found = store.find(VENDOR, kind.name, query, parts.PAGE_SIZE + 1, (number - 1) * parts.PAGE_SIZE)
    shown = found[: parts.PAGE_SIZE]
    tabs = [
        element("a", other.title, href=_address(other), aria_current="page" if other is kind else None)
        for other in KINDS.values()
    ]
    columns = _COLUMNS[kind.name]
    rows = [
        [
            element(
                "a", parts.avatar(title(kind, record)), title(kind, record), href=_address(kind, record), class_="who"
            ),
            *[display(name, record.properties) for name in columns],
            parts.moment(record.created),
        ]
        for record in shown
    ]
    nothing = element("p", f"No {kind.title.lower()} {'match' if query else 'yet'}.", class_="empty")
    card = element(
        "section",
        parts.search_form(query, kind.title.lower()),
        parts.table([kind.word.capitalize(), *map(label, columns), "Created"], rows) if rows else nothing,
        parts.pager(query, number, len(found) > len(shown)),
        class_="card",
    )
    crumbs = [("Stripe", None), (kind.title, None)]
    return parts.frame(kind.title, crumbs, element("div", tabs, class_="tabs"), card)


# -- one record --------------------------------------------------------------------------------------


def _card(store: Store, kind: Kind, record: Record) -> Response:
    history = store.changes(VENDOR, kind.name, [record.id])[record.id]
    values = record.properties
    synced = {name for change in history for name in change.fields}
    held = flat(values)
    details = [name for name in _DETAILS[kind.name] if name in synced or held.get(name) not in (None, [])]
    profile = element(
        "section",
        _head(kind, record),
        element("h2", "Details"),
        parts.legend(),
        parts.facts(
            [("ID", element("code", record.id), False)]
            + [(label(name), display(name, values), name in synced) for name in details]
            + [("Created", parts.moment(record.created), False)]
        ),
        class_="card",
    )
    metadata = values.get("metadata") or {}
    extra = element(
        "div",
        element(
            "section",
            element("h2", "Metadata"),
            parts.facts((name, str(value), f"metadata.{name}" in synced) for name, value in metadata.items())
            if metadata
            else element("p", "No metadata.", class_="empty"),
            class_="card grid",
        ),
        _prices(store, record) if kind.name == "products" else None,
    )
    steps = [
        parts.Step(
            change.at,
            change.source.replace("API", "sync"),
            [(label(name), _shown(name, old), _shown(name, new)) for name, (old, new) in change.fields.items()],
        )
        for change in reversed(history)
    ]
    past = element("section", element("h2", "History"), parts.timeline(steps), class_="card")
    crumbs = [("Stripe", None), (kind.title, _address(kind)), (title(kind, record), None)]
    return parts.frame(title(kind, record), crumbs, element("div", profile, extra, past, class_="record"))


def _head(kind: Kind, record: Record) -> Markup:
    values, name = record.properties, title(kind, record)
    money = _money(values) if kind.name == "prices" else None
    state = {True: ("Active", "stage"), False: ("Archived", "gone")}[values["active"]] if "active" in values else None
    return element(
        "div",
        parts.avatar(name, "big"),
        parts.heading(name),
        element("p", values["email"]) if values.get("email") else None,
        element("p", money) if money and money != name else None,
        element("span", state[0], class_=f"chip {state[1]}") if state else None,
        element("span", f"deleted {parts.moment(record.archived)}", class_="chip gone") if record.archived else None,
        class_="person",
    )


def _prices(store: Store, product: Record) -> Markup:
    kind = KINDS["prices"]
    found = [price for price in store.scan(VENDOR, kind.name) if price.properties.get("product") == product.id]
    rows = [
        [
            element("a", _money(price.properties), href=_address(kind, price)),
            price.properties.get("lookup_key"),
            display("active", price.properties),
        ]
        for price in found
    ]
    table = parts.table(["Price", "Lookup key", "Active"], rows) if rows else element("p", "No prices.", class_="empty")
    return element("section", element("h2", "Pricing"), table, class_="card")


# -- values ------------------------------------------------------------------------------------------


def label(name: str) -> str:
    """A field's name for people: `Postal code` for `address.postal_code`; metadata keys stay as they are."""
    if name in _LABELS:
        return _LABELS[name]
    head, _, rest = name.partition(".")
    return rest if head == "metadata" else (rest or head).rpartition(".")[2].replace("_", " ").capitalize()


def display(name: str, values: Mapping[str, Any]) -> Child:
    """A value as the Dashboard shows it: money with its currency, yes and no, intervals in words."""
    value = flat(values).get(name)
    if name == "unit_amount":
        return _money(values)
    if name == "recurring.interval" and value:
        count = flat(values).get("recurring.interval_count") or 1
        return f"every {value}" if count == 1 else f"every {count} {value}s"
    return _shown(name, value)


def _shown(name: str, value: Any) -> Child:
    if value is None or value == []:
        return None
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if name == "balance" and isinstance(value, int):
        return f"{value / 100:,.2f}"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [element("span", item, class_="chip") for item in value]
    return value if isinstance(value, str) else element("code", json.dumps(value, ensure_ascii=False))


_WITHOUT_CENTS = re.compile("bif|clp|djf|gnf|jpy|kmf|krw|mga|pyg|rwf|ugx|vnd|vuv|xaf|xof|xpf")


def _money(values: Mapping[str, Any]) -> str:
    """An amount with its currency: Stripe counts in the smallest unit, which for some currencies is the whole one."""
    amount, currency = values.get("unit_amount_decimal"), str(values.get("currency") or "")
    if amount is None:
        return "varies"
    if _WITHOUT_CENTS.fullmatch(currency):
        return f"{float(amount):,.0f} {currency.upper()}"
    return f"{float(amount) / 100:,.2f} {currency.upper()}"
