"""The pages: they show what arrived, in the tool's terms, and never let a value become markup."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any, cast

import pytest
import requests

from revetl_dbt.sandbox import Sandbox
from revetl_dbt.sandbox.hubspot import HubSpot
from revetl_dbt.sandbox.markup import Markup, element
from revetl_dbt.sandbox.page import avatar, heading

from .conftest import Clock, Hub, upsert_input

EVIL = """<script>alert('x')</script>"&amp;"""


class _Reader(HTMLParser):
    """The visible text and the elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, Mapping[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(address: str, **query: str) -> _Reader:
    response = requests.get(address, params=query, timeout=5)
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    reader = _Reader()
    reader.feed(response.text)
    reader.status = response.status_code  # type: ignore[attr-defined]  # only for the tests below
    return reader


def text(reader: _Reader) -> str:
    return re.sub(r"\s+", " ", " ".join(reader.words))


def test_the_start_page_of_an_empty_sandbox(sandbox: Sandbox) -> None:
    page = text(read(sandbox.base_url))
    assert "No request yet" in page
    assert "0 Contacts" in page
    assert f"account {sandbox.account('hubspot')}" in page
    assert str(sandbox.token("hubspot")) not in page


def test_the_start_page_counts_and_tells_the_latest_requests_and_faults(hub: Hub) -> None:
    hub.batch("upsert", [upsert_input(f"u{n}@example.com", str(n)) for n in range(3)] + [upsert_input("broken", "x")])
    requests.post(hub.sandbox.url("http") + "/orders", json=[{"id": 1}, {"id": 2}], timeout=5)
    hub.sandbox.set_faults([{"kind": "reset", "path": "*companies*"}])
    with pytest.raises(requests.ConnectionError):
        hub.get("/crm/v3/objects/companies")
    page = text(read(hub.sandbox.base_url))
    assert "3 Contacts" in page
    assert "2 orders" in page
    assert "POST /hubspot/crm/v3/objects/contacts/batch/upsert 207 4" in page
    assert "GET /hubspot/crm/v3/objects/companies dropped" in page
    assert "Faults in force reset path *companies* · hit 1 of 1" in page


def test_looking_at_pages_is_not_logged(sandbox: Sandbox) -> None:
    read(sandbox.base_url)
    read(sandbox.base_url + "/pages/hubspot/contacts")
    assert sandbox.requests() == []


def test_what_belongs_to_a_contact(hub: Hub) -> None:
    stand_in = cast("HubSpot", hub.sandbox.vendor("hubspot"))
    ada, acme = hub.create(email="ada@example.com", firstname="Ada"), hub.create("companies", name=EVIL)
    spec = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}
    pair = {"from": {"id": ada}, "to": {"id": acme}, "types": [spec]}
    hub.post("/crm/v4/associations/contacts/companies/batch/create", {"inputs": [pair]})
    trials = stand_in.lists.define({"name": "Trial accounts", "objectTypeId": "0-1", "processingType": "MANUAL"})
    stand_in.lists.change(trials["listId"], [ada], [])
    event = stand_in.events.define({"name": "login", "label": "Login"})["fullyQualifiedName"]
    occurred = {"eventName": event, "objectId": ada, "occurredAt": "2026-01-02T03:04:05Z"}
    hub.post("/events/v3/send", {**occurred, "properties": {"hs_city": "London"}})
    reader = read(f"{hub.sandbox.base_url}/pages/hubspot/contacts/{ada}")
    page = text(reader)
    assert "Companies Company" in page
    assert f"{EVIL} Primary" in page
    assert f"Lists List {trials['listId']} Trial accounts" in page
    assert "Events 2 Jan 2026, 03:04:05 UTC Login hs_city London" in page
    assert f"/pages/hubspot/companies/{acme}" in [attributes.get("href") for _, attributes in reader.tags]
    company = text(read(f"{hub.sandbox.base_url}/pages/hubspot/companies/{acme}"))
    assert "Contacts Contact A Ada Contact with Primary Company" in company


@pytest.mark.parametrize(
    ("name", "markup"),
    [
        ("Ada <Lovelace>", "<h1>Ada &lt;Lovelace&gt;</h1>"),
        ("a.b-c@x.test", "<h1>a<wbr>.b<wbr>-c<wbr>@x<wbr>.test</h1>"),
        ("<b>@x", "<h1>&lt;b&gt;<wbr>@x</h1>"),
    ],
)
def test_a_long_address_breaks_at_its_signs(name: str, markup: str) -> None:
    assert heading(name) == markup


def test_a_contact_card(hub: Hub, clock: Clock) -> None:
    hub.post("/crm/v3/properties/contacts/groups", {"name": "usage", "label": "Product usage"})
    hub.define(name="events_30d", label="Events (30 days)", type="number", fieldType="number", groupName="usage")
    hub.define(name="trial_ends", label="Trial ends", type="date", fieldType="date", groupName="usage")
    values = {
        "firstname": "Ada",
        "lastname": "Lovelace",
        "jobtitle": "Analyst",
        "company": "Engines",
        "events_30d": "12873",
        "trial_ends": "2026-12-01",
    }
    hub.batch("upsert", [upsert_input("ada@example.com", **values)])
    clock.now += 3600
    (row,) = hub.batch(
        "upsert", [upsert_input("ada@example.com", events_30d="12900", lifecyclestage="customer", trial_ends="")]
    ).json()["results"]
    reader = read(row["url"])
    page = text(reader)
    assert "AL Ada Lovelace Analyst at Engines ada@example.com Customer" in page
    assert "About this contact filled by the sync Email ada@example.com" in page
    assert "Product usage Events (30 days) 12,900 Trial ends –" in page
    assert "sync Events (30 days) 12,873 12,900" in page
    assert "Lifecycle Stage Lead Customer" in page
    assert "Trial ends 1 Dec 2026 cleared" in page
    assert "HubSpot Lifecycle Stage Lead" in page
    synced = sum(attributes.get("class") == "synced" for tag, attributes in reader.tags if tag == "div")
    assert synced == 6  # email, company, job title and stage in the profile, two usage fields in their group


def test_lists_search_and_page(hub: Hub) -> None:
    for start in (0, 100):
        hub.batch(
            "upsert",
            [upsert_input(f"u{n}@example.com", firstname=f"Name{n}", city="100%_\\") for n in range(start, start + 60)],
        )
    address = hub.sandbox.base_url + "/pages/hubspot/contacts"
    assert text(read(address)).count("@example.com") == 50
    assert "Next" in text(read(address))
    assert "Previous" in text(read(address, page="3"))
    assert text(read(address, page="3")).count("@example.com") == 20
    assert text(read(address, q="name159")).count("@example.com") == 1
    assert text(read(address, q="100%_\\\\")).count("@example.com") == 50
    assert "No contacts match" in text(read(address, q="nobody"))
    assert "No deals yet" in text(read(hub.sandbox.base_url + "/pages/hubspot/deals"))


def test_an_archived_record_says_so(hub: Hub) -> None:
    record_id = hub.create(email="ada@example.com")
    url = hub.get(f"/crm/v3/objects/contacts/{record_id}").json()["url"]
    hub.call("DELETE", f"/crm/v3/objects/contacts/{record_id}")
    assert "archived" in text(read(url))
    assert "1 archived" in text(read(hub.sandbox.base_url))


def test_values_never_become_markup(hub: Hub) -> None:
    hub.define(name="evil", label=EVIL)
    record_id = hub.create(email="ada@example.com", firstname=EVIL, evil=EVIL, company=EVIL)
    requests.post(hub.sandbox.url("http") + "/%3Cb%3E", json={"id": EVIL, EVIL: EVIL, "n": [EVIL]}, timeout=5)
    hub.get("/" + EVIL.replace("/", ""))
    hub.sandbox.set_faults([{"kind": "delay", "path": EVIL}])
    base = hub.sandbox.base_url
    (collection,) = hub.sandbox.store.counts("http")
    for path in (
        "",
        "/pages/hubspot/contacts",
        f"/pages/hubspot/contacts/{record_id}",
        f"/pages/http/{collection}",
        "/pages/hubspot/<b>",
        "/pages/http/x/<b>",
    ):
        reader = read(base + path, q=EVIL)
        assert not [tag for tag, _ in reader.tags if tag in ("script", "b") and path != ""], path
        assert not [tag for tag, _ in reader.tags if tag == "script"], path
        assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on")], path
    assert EVIL in text(read(f"{base}/pages/hubspot/contacts/{record_id}"))


@pytest.mark.parametrize("path", ["/pages/hubspot/contacts/404", "/pages/hubspot/butterflies", "/pages/http/nothing/1"])
def test_pages_of_what_there_is_not(sandbox: Sandbox, path: str) -> None:
    assert read(sandbox.base_url + path).status == 404  # type: ignore[attr-defined]  # set by read


def test_the_json_api_has_pages_too(sandbox: Sandbox, clock: Clock) -> None:
    url = sandbox.url("http") + "/orders"
    requests.post(url, json={"id": "a/b", "total": 1.5, "lines": [1, 2]}, timeout=5)
    clock.now += 1
    requests.patch(url, json={"id": "a/b", "total": 2}, timeout=5)
    assert "a/b 2 [1, 2]" in text(read(sandbox.base_url + "/pages/http/orders"))
    page = text(read(sandbox.base_url + "/pages/http/orders/a%2Fb"))
    assert "PATCH total 1.5 2" in page


@pytest.mark.parametrize(
    ("name", "initials"),
    [("Ada Lovelace", "AL"), ("ada@example.com", "AE"), ("", "?"), ("  ", "?"), ("田中 美咲", "田美"), ("((x", "?")],
)
def test_avatars_have_initials(name: str, initials: str) -> None:
    assert f">{initials}</span>" in avatar(name)


def test_markup_escapes_all_but_markup() -> None:
    inner: Any = element("b", "<&>")
    made = element("a", "x<", inner, [None, 3, ["y>"]], href='"<', class_="c", hidden=True, title=None, aria_label="l")
    assert made == '<a href="&quot;&lt;" class="c" hidden aria-label="l">x&lt;<b>&lt;&amp;&gt;</b>3y&gt;</a>'
    assert isinstance(made, Markup)
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'
