"""Which values HubSpot's properties take, and what becomes of them."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Hub, codes

OPTIONS = [{"label": label, "value": label.lower()} for label in ("Red", "Green", "Blue")]


@pytest.fixture
def typed(hub: Hub) -> Hub:
    """An account with a property `p_{type}` of each type on contacts."""
    for type_, field_type in (
        ("string", "text"),
        ("number", "number"),
        ("bool", "booleancheckbox"),
        ("date", "date"),
        ("datetime", "date"),
        ("phone_number", "phonenumber"),
    ):
        hub.define(name=f"p_{type_}", type=type_, fieldType=field_type)
    hub.define(name="p_select", type="enumeration", fieldType="select", options=OPTIONS)
    hub.define(name="p_checkbox", type="enumeration", fieldType="checkbox", options=OPTIONS)
    hub.define(name="p_yes_no", type="enumeration", fieldType="booleancheckbox")
    return hub


@pytest.mark.parametrize(
    ("name", "sent", "kept"),
    [
        ("p_string", "  spaces  stay ", "  spaces  stay "),
        ("p_string", "日本 🎉 <b>\u0000'\"\\", "日本 🎉 <b>\u0000'\"\\"),
        ("p_string", "x" * 65_536, "x" * 65_536),
        ("p_string", 12, "12"),
        ("p_number", "-12.50", "-12.50"),
        ("p_number", "1.5e3", "1.5e3"),
        ("p_number", 3.25, "3.25"),
        ("p_bool", "true", "true"),
        ("p_bool", False, "false"),
        ("p_yes_no", "false", "false"),
        ("p_date", "2024-02-29", "2024-02-29"),
        ("p_date", "1430438400000", "2015-05-01"),
        ("p_date", "-86400000", "1969-12-31"),
        ("p_date", "2024-02-29T00:00:00Z", "2024-02-29"),
        ("p_datetime", "2020-02-29T03:30:17Z", "2020-02-29T03:30:17.000Z"),
        ("p_datetime", "2020-02-29T03:30:17.123456Z", "2020-02-29T03:30:17.123Z"),
        ("p_datetime", "1427997766000", "2015-04-02T18:02:46.000Z"),
        ("p_select", "green", "green"),
        ("p_checkbox", "red;blue", "red;blue"),
        ("p_phone_number", "+15555550100", "+15555550100"),
        ("email", "Ada.Lovelace+x@Sub.Example.co.uk", "ada.lovelace+x@sub.example.co.uk"),
    ],
)
def test_what_is_taken_and_how_it_is_kept(typed: Hub, name: str, sent: Any, kept: str) -> None:
    record_id = typed.create(**{name: sent})
    assert typed.values(record_id, name) == {name: kept}


@pytest.mark.parametrize(
    ("name", "sent", "code"),
    [
        ("nonsense", "x", "PROPERTY_DOESNT_EXIST"),
        ("p_string", "x" * 65_537, "PROPERTY_VALUE_TOO_LONG"),
        ("p_number", "twelve", "INVALID_INTEGER"),
        ("p_number", "1,000", "INVALID_INTEGER"),
        ("p_number", "1 000", "INVALID_INTEGER"),
        ("p_number", " 12", "LEADING_TRAILING_WHITESPACE"),
        ("p_number", "NaN", "INVALID_INTEGER"),
        ("p_bool", "yes", "INVALID_OPTION"),
        ("p_bool", "True", "INVALID_OPTION"),
        ("p_yes_no", "1", "INVALID_OPTION"),
        ("p_date", "2024-02-30", "INVALID_DATE"),
        ("p_date", "29.02.2024", "INVALID_LONG"),
        ("p_date", "1430438400001", "INVALID_DATE"),
        ("p_date", "2024-02-29T10:00:00Z", "INVALID_DATE"),
        ("p_datetime", "2020-02-29", "INVALID_LONG"),
        ("p_datetime", "2020-02-29T03:30:17", "INVALID_LONG"),
        ("p_datetime", "2020-02-29T03:30:17+01:00", "INVALID_LONG"),
        ("p_datetime", "2020-02-31T03:30:17Z", "INVALID_LONG"),
        ("p_datetime", "99999999999999999", "INVALID_LONG"),
        ("p_select", "Green", "INVALID_OPTION"),
        ("p_select", "red;blue", "INVALID_OPTION"),
        ("p_select", "red\u00a0", "LEADING_TRAILING_WHITESPACE"),
        ("p_checkbox", "red;purple", "INVALID_OPTION"),
        ("p_checkbox", "red; blue", "INVALID_OPTION"),
        ("email", "ada", "INVALID_EMAIL"),
        ("email", "ada@example", "INVALID_EMAIL"),
        ("email", "ada@@example.com", "INVALID_EMAIL"),
        ("email", "ada lovelace@example.com", "INVALID_EMAIL"),
        ("hs_object_id", "1", "READ_ONLY_VALUE"),
        ("createdate", "2020-02-29T03:30:17Z", "READ_ONLY_VALUE"),
        ("lastmodifieddate", "2020-02-29T03:30:17Z", "READ_ONLY_VALUE"),
        ("lifecyclestage", "boss", "INVALID_OPTION"),
    ],
)
def test_what_is_refused(typed: Hub, name: str, sent: str, code: str) -> None:
    response = typed.post("/crm/v3/objects/contacts", {"properties": {"firstname": "A", name: sent}})
    assert response.status_code == 400
    assert codes(response) == [code]
    assert response.json()["errors"][0]["context"] == {"propertyName": [name]}


def test_the_empty_text_clears(typed: Hub) -> None:
    record_id = typed.create(firstname="A", p_number="1", p_select="red", p_date="2024-02-29")
    cleared = {"firstname": "", "p_number": "", "p_select": "", "p_date": ""}
    assert typed.call("PATCH", f"/crm/v3/objects/contacts/{record_id}", {"properties": cleared}).status_code == 200
    assert typed.values(record_id, *cleared) == dict.fromkeys(cleared)


def test_a_leading_semicolon_adds_choices(typed: Hub) -> None:
    record_id = typed.create(p_checkbox="red")
    typed.call("PATCH", f"/crm/v3/objects/contacts/{record_id}", {"properties": {"p_checkbox": ";blue;red"}})
    assert typed.values(record_id, "p_checkbox") == {"p_checkbox": "red;blue"}
    typed.call("PATCH", f"/crm/v3/objects/contacts/{record_id}", {"properties": {"p_checkbox": "green"}})
    assert typed.values(record_id, "p_checkbox") == {"p_checkbox": "green"}


def test_a_lifecycle_stage_moves_only_forward(hub: Hub) -> None:
    record_id = hub.create(email="a@example.com")
    path = f"/crm/v3/objects/contacts/{record_id}"
    seen = []
    for stage in ("opportunity", "lead", "customer", "", "lead"):
        assert hub.call("PATCH", path, {"properties": {"lifecyclestage": stage}}).status_code == 200
        seen.append(hub.values(record_id, "lifecyclestage")["lifecyclestage"])
    assert seen == ["opportunity", "opportunity", "customer", None, "lead"]


def test_a_new_contact_is_a_lead(hub: Hub) -> None:
    assert hub.values(hub.create(email="a@example.com"), "lifecyclestage") == {"lifecyclestage": "lead"}
    assert hub.values(hub.create(email="b@example.com", lifecyclestage="customer"), "lifecyclestage") == {
        "lifecyclestage": "customer"
    }


@pytest.mark.parametrize(
    ("kind", "given", "lacking"),
    [
        ("companies", {"city": "Berlin"}, ["domain", "name"]),
        ("deals", {"amount": "1"}, ["dealname", "dealstage"]),
        ("deals", {"dealname": "D"}, ["dealstage"]),
        ("tickets", {"subject": "S"}, ["hs_pipeline_stage"]),
    ],
)
def test_required_properties(hub: Hub, kind: str, given: dict[str, str], lacking: list[str]) -> None:
    response = hub.post(f"/crm/v3/objects/{kind}", {"properties": given})
    assert response.status_code == 400
    assert response.json()["message"].endswith("Some required properties were not set.")
    assert response.json()["context"] == {"properties": lacking}


def test_pipelines_have_defaults(hub: Hub) -> None:
    deal = hub.create("deals", dealname="D", dealstage="qualifiedtobuy")
    assert hub.values(deal, "pipeline", kind="deals") == {"pipeline": "default"}
    ticket = hub.create("tickets", hs_pipeline_stage="1")
    assert hub.values(ticket, "hs_pipeline", kind="tickets") == {"hs_pipeline": "0"}
    response = hub.post("/crm/v3/objects/deals", {"properties": {"dealname": "D", "dealstage": "won"}})
    assert codes(response) == ["INVALID_OPTION"]


def test_a_write_that_changes_nothing_leaves_the_date(hub: Hub, clock: Any) -> None:
    record_id = hub.create(email="a@example.com", firstname="A")
    before = hub.values(record_id, "lastmodifieddate")
    clock.now += 60
    hub.call("PATCH", f"/crm/v3/objects/contacts/{record_id}", {"properties": {"firstname": "A"}})
    assert hub.values(record_id, "lastmodifieddate") == before
    hub.call("PATCH", f"/crm/v3/objects/contacts/{record_id}", {"properties": {"firstname": "B"}})
    assert hub.values(record_id, "lastmodifieddate") != before
