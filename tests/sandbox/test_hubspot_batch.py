"""HubSpot's rules for batches: order, partial success, duplicates, limits, identifiers, uniqueness."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from .conftest import Hub, codes, upsert_input


@pytest.mark.parametrize(
    "base",
    ["/crm/v3/objects", "/crm/objects/v3", "/crm/objects/2025-09", "/crm/objects/2026-03", "/crm/objects/2026-09"],
)
def test_all_versions_of_the_paths_lead_to_the_same_records(hub: Hub, base: str) -> None:
    created = hub.post(f"{base}/contacts/batch/upsert", {"inputs": [upsert_input("ada@example.com")]}).json()[
        "results"
    ][0]
    for segment in ("contacts", "contact", "0-1"):
        assert hub.get(f"/crm/v3/objects/{segment}/{created['id']}").status_code == 200


@pytest.mark.parametrize("base", ["/crm/v4/objects", "/crm/objects/2024-01", "/crm/v3/object"])
def test_unknown_versions_are_not_found(hub: Hub, base: str) -> None:
    response = hub.post(f"{base}/contacts/batch/upsert", {"inputs": [upsert_input("ada@example.com")]})
    assert (response.status_code, response.headers["Content-Type"]) == (404, "text/html; charset=utf-8")


def test_upsert_creates_then_updates(hub: Hub) -> None:
    first = hub.batch("upsert", [upsert_input("Ada@Example.com", "t1", firstname="Ada", lastname="L")])
    assert first.status_code == 200
    (made,) = first.json()["results"]
    assert (made["new"], made["objectWriteTraceId"], made["archived"]) == (True, "t1", False)
    assert (
        made["properties"].items()
        >= {"email": "ada@example.com", "firstname": "Ada", "hs_object_id": made["id"]}.items()
    )
    second = hub.batch("upsert", [upsert_input("ADA@example.com", "t2", firstname="Augusta")])
    (changed,) = second.json()["results"]
    assert (changed["new"], changed["id"]) == (False, made["id"])
    assert hub.values(made["id"], "firstname", "lastname") == {"firstname": "Augusta", "lastname": "L"}


def test_results_come_in_another_order(hub: Hub) -> None:
    addresses = [f"u{n}@example.com" for n in range(30)]
    results = hub.batch("upsert", [upsert_input(address) for address in addresses]).json()["results"]
    answered = [row["properties"]["email"] for row in results]
    assert sorted(answered) == sorted(addresses)
    assert answered != addresses


def test_only_upsert_echoes_the_trace_id_and_says_new(hub: Hub) -> None:
    made = hub.batch("create", [{"properties": {"email": "a@example.com"}, "objectWriteTraceId": "1"}])
    assert made.status_code == 201
    (row,) = made.json()["results"]
    assert {"objectWriteTraceId", "new"}.isdisjoint(row)
    changed = hub.batch("update", [{"id": row["id"], "properties": {"firstname": "A"}, "objectWriteTraceId": "1"}])
    assert changed.status_code == 200
    assert {"objectWriteTraceId", "new"}.isdisjoint(changed.json()["results"][0])


# -- partial success ---------------------------------------------------------------------------------


def test_with_trace_ids_the_good_rows_are_written(hub: Hub) -> None:
    rows = [
        upsert_input("a@example.com", "1"),
        upsert_input("broken", "2"),
        upsert_input("c@example.com", "3", nonsense="x"),
    ]
    response = hub.batch("upsert", rows)
    body = response.json()
    assert response.status_code == 207
    assert (body["status"], body["numErrors"]) == ("COMPLETE", 2)
    assert [row["objectWriteTraceId"] for row in body["results"]] == ["1"]
    by_trace = {error["context"]["objectWriteTraceId"][0]: error for error in body["errors"]}
    assert {trace: error["category"] for trace, error in by_trace.items()} == {
        "2": "VALIDATION_ERROR",
        "3": "VALIDATION_ERROR",
    }
    assert '"error":"INVALID_EMAIL"' in by_trace["2"]["message"]
    assert '"error":"PROPERTY_DOESNT_EXIST"' in by_trace["3"]["message"]
    assert all(
        {"category", "context", "errors", "links", "message", "status"} <= error.keys() for error in body["errors"]
    )


def test_all_rows_may_fail_in_a_207(hub: Hub) -> None:
    response = hub.batch("upsert", [upsert_input("broken", "1"), upsert_input("bad", "2")])
    assert (response.status_code, response.json()["results"], response.json()["numErrors"]) == (207, [], 2)


@pytest.mark.parametrize(
    "traces", [(None, None), ("1", None), ("1", "1")], ids=["none", "one without", "twice the same"]
)
def test_without_a_trace_id_of_its_own_for_every_row_one_bad_row_fails_all(
    hub: Hub, traces: tuple[str | None, str | None]
) -> None:
    response = hub.batch("upsert", [upsert_input("a@example.com", traces[0]), upsert_input("broken", traces[1])])
    assert response.status_code == 400
    assert response.json()["category"] == "VALIDATION_ERROR"
    assert codes(response) == ["INVALID_EMAIL"]
    assert "correlationId" in response.json()
    assert hub.sandbox.store.counts("hubspot") == {}


def test_the_refusal_of_a_batch_lists_the_problems_of_all_rows(hub: Hub) -> None:
    response = hub.batch("create", [{"properties": {"x1": "a", "x2": "b"}}, {"properties": {"email": "broken"}}])
    assert response.status_code == 400
    assert response.json()["message"].startswith('Property values were not valid: [{"isValid":false,')
    assert codes(response) == ["PROPERTY_DOESNT_EXIST", "PROPERTY_DOESNT_EXIST", "INVALID_EMAIL"]


def test_missing_records_of_an_update_never_fail_the_others(hub: Hub) -> None:
    known = hub.create(email="a@example.com")
    for trace in ({}, {"objectWriteTraceId": "%s"}):
        inputs = [
            {"id": record_id, "properties": {"firstname": "A"}, **{key: value % n for key, value in trace.items()}}
            for n, record_id in enumerate((known, "1", "2"))
        ]
        response = hub.batch("update", inputs)
        (error,) = response.json()["errors"]
        assert response.status_code == 207
        assert [row["id"] for row in response.json()["results"]] == [known]
        assert (error["category"], error["context"]["ids"]) == ("OBJECT_NOT_FOUND", ["1", "2"])
        assert error["context"].get("objectWriteTraceId") == (["1", "2"] if trace else None)


# -- the request as a whole ----------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["update", "upsert"])
def test_duplicate_ids_fail_the_batch_even_with_trace_ids(hub: Hub, action: str) -> None:
    extra = {"idProperty": "email"} if action == "upsert" else {}
    rows = [
        {"id": key, "properties": {}, "objectWriteTraceId": str(n), **extra}
        for n, key in enumerate(("a@example.com", "b@example.com", "a@example.com"))
    ]
    response = hub.batch(action, rows)
    assert response.status_code == 400
    assert response.json()["message"] == "Duplicate IDs found in batch input: [a@example.com]. IDs must be unique"
    assert response.json()["context"] == {"ids": ["a@example.com"]}


def test_addresses_that_differ_in_case_only_are_duplicates(hub: Hub) -> None:
    assert (
        hub.batch("upsert", [upsert_input("A@example.com", "1"), upsert_input("a@EXAMPLE.com", "2")]).status_code == 400
    )


@pytest.mark.parametrize("action", ["create", "update", "upsert", "read", "archive"])
def test_one_to_a_hundred_inputs(hub: Hub, action: str) -> None:
    inputs = [{"id": str(n), "idProperty": "email", "properties": {}} for n in range(101)]
    for given in ([], inputs):
        response = hub.batch(action, given)
        assert response.status_code == 400
        assert "1 to 100 inputs" in response.json()["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "Invalid input JSON on line 1, column 2: "),
        ("[]", "`body` must be an object"),
        ('{"inputs": NaN}', "NaN is not JSON"),
        ('{"inputs": [{"properties": {"phone": "\\ud800"}}]}', "surrogates not allowed"),
        ("[" * 100_000, "recursion"),
        ("{}", "Some required fields were not set: [inputs]"),
        ('{"inputs": {}}', "must be an array of objects"),
        ('{"inputs": [3]}', "must be an array of objects"),
        ('{"inputs": [{"id": "x", "idProperty": "email"}]}', "Some required fields were not set: [properties]"),
        ('{"inputs": [{"idProperty": "email", "properties": {}}]}', "Some required fields were not set: [id]"),
        ('{"inputs": [{"id": "x", "properties": {}}]}', "needs an `idProperty`"),
        (
            '{"inputs": [{"id": "a@b.co", "idProperty": "email", "properties": {"phone": null}}]}',
            "`phone` must be a text",
        ),
        (
            '{"inputs": [{"id": "a@b.co", "idProperty": "email", "properties": {"phone": ["1"]}}]}',
            "`phone` must be a text",
        ),
        (
            '{"inputs": [{"id": "a@b.co", "idProperty": "email", "properties": {"phone": {"a": 1}}}]}',
            "`phone` must be a text",
        ),
    ],
)
def test_malformed_bodies(hub: Hub, body: str, message: str) -> None:
    url = hub.sandbox.url("hubspot") + "/crm/v3/objects/contacts/batch/upsert"
    response = hub.session.post(url, data=body, timeout=5)
    assert response.status_code == 400
    assert message in response.json()["message"]


def test_only_a_create_takes_associations(hub: Hub) -> None:
    ada = hub.create(email="ada@example.com")
    given = {"id": ada, "properties": {}, "associations": [{"to": {"id": "1"}, "types": []}]}
    assert hub.batch("update", [given]).status_code == 400


def test_numbers_and_booleans_are_read_as_texts(hub: Hub) -> None:
    record_id = hub.create("companies", name="Acme", numberofemployees=12, is_public=True)
    assert hub.values(record_id, "numberofemployees", "is_public", kind="companies") == {
        "numberofemployees": "12",
        "is_public": "true",
    }


def test_an_unknown_object_cannot_be_inferred(hub: Hub) -> None:
    response = hub.batch("upsert", [upsert_input("a@example.com")], kind="butterflies")
    assert (response.status_code, response.json()["message"]) == (400, "Unable to infer object type from: butterflies")


# -- identifiers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "type_id", "name"),
    [("companies", "0-2", "domain"), ("contacts", "0-1", "hs_object_id"), ("deals", "0-3", "dealname")],
)
def test_only_unique_properties_identify(hub: Hub, kind: str, type_id: str, name: str) -> None:
    response = hub.batch("upsert", [{"id": "x", "idProperty": name, "properties": {}}], kind=kind)
    assert response.status_code == 400
    refusal = f"Unable to perform update/upsert by non-unique {type_id} property {name}"
    assert response.json()["message"] == f"{refusal} in portal ID {hub.sandbox.account('hubspot')}"


def test_a_property_of_ones_own_identifies_in_upsert_update_and_read(hub: Hub) -> None:
    hub.define("companies", name="account_id", hasUniqueValue=True)
    row = {"id": "A-1", "idProperty": "account_id", "properties": {"name": "Acme"}}
    (made,) = hub.batch("upsert", [row], kind="companies").json()["results"]
    assert made["properties"]["account_id"] == "A-1"
    changed = hub.batch("update", [{**row, "properties": {"city": "Berlin"}}], kind="companies")
    assert changed.status_code == 200
    body = hub.batch(
        "read", [{"id": "A-1"}], kind="companies", idProperty="account_id", properties=["name", "city"]
    ).json()
    assert [(found["id"], found["properties"]["city"]) for found in body["results"]] == [(made["id"], "Berlin")]
    assert hub.get("/crm/v3/objects/companies/A-1", params={"idProperty": "account_id"}).json()["id"] == made["id"]


def test_email_does_not_identify_in_a_batch_update(hub: Hub) -> None:
    hub.create(email="a@example.com")
    response = hub.batch("update", [upsert_input("a@example.com", firstname="A")])
    assert response.status_code == 400
    assert "non-unique 0-1 property email" in response.json()["message"]


def test_an_upsert_may_change_the_property_that_identifies(hub: Hub) -> None:
    record_id = hub.create(email="old@example.com")
    (row,) = hub.batch("upsert", [upsert_input("old@example.com", email="new@example.com")]).json()["results"]
    assert (row["id"], row["properties"]["email"]) == (record_id, "new@example.com")
    assert hub.batch("upsert", [upsert_input("old@example.com")]).json()["results"][0]["new"] is True


# -- uniqueness --------------------------------------------------------------------------------------


def test_an_existing_address_is_a_conflict_for_create(hub: Hub) -> None:
    record_id = hub.create(email="a@example.com")
    one = hub.post("/crm/v3/objects/contacts", {"properties": {"email": "A@example.com"}})
    assert (one.status_code, one.json()["category"]) == (409, "CONFLICT")
    assert one.json()["message"] == f"Contact already exists. Existing ID: {record_id}"
    inputs = [{"properties": {"email": address}} for address in ("b@example.com", "a@example.com")]
    assert hub.batch("create", inputs).status_code == 409
    traced = [{**given, "objectWriteTraceId": str(n)} for n, given in enumerate(inputs)]
    (error,) = hub.batch("create", traced).json()["errors"]
    assert error["context"] == {"objectWriteTraceId": ["1"], "existingId": [record_id]}


def test_one_address_twice_in_a_create(hub: Hub) -> None:
    inputs = [{"properties": {"email": "a@example.com"}, "objectWriteTraceId": str(n)} for n in range(2)]
    body = hub.batch("create", inputs).json()
    assert len(body["results"]) == 1
    assert [(error["message"], error["category"]) for error in body["errors"]] == [
        ("Contact already exists", "CONFLICT")
    ]


def test_a_unique_value_of_another_record(hub: Hub) -> None:
    hub.define(name="user_id", hasUniqueValue=True)
    first, second = hub.create(email="a@example.com", user_id="u1"), hub.create(email="b@example.com", user_id="u2")
    made = hub.post("/crm/v3/objects/contacts", {"properties": {"user_id": "u1"}})
    assert (made.status_code, codes(made)) == (400, ["CONFLICTING_UNIQUE_VALUE"])
    changed = hub.call("PATCH", f"/crm/v3/objects/contacts/{second}", {"properties": {"user_id": "u1"}})
    assert changed.status_code == 400
    assert changed.json()["message"].endswith(
        f"propertyName=user_id, value=u1}} on {second}. {first} already has that value."
    )
    rows = [upsert_input("b@example.com", "1", user_id="u1"), upsert_input("c@example.com", "2", user_id="u3")]
    body = hub.batch("upsert", rows).json()
    assert [error["context"]["objectWriteTraceId"] for error in body["errors"]] == [["1"]]


def test_a_unique_value_taken_twice_in_one_batch(hub: Hub) -> None:
    hub.define(name="user_id", hasUniqueValue=True)
    hub.create(email="b@example.com")
    rows = [upsert_input(f"{name}@example.com", name, user_id="u1") for name in "abc"]
    body = hub.batch("upsert", rows).json()
    assert [row["objectWriteTraceId"] for row in body["results"]] == ["a"]
    assert sorted(error["context"]["objectWriteTraceId"][0] for error in body["errors"]) == ["b", "c"]


def test_a_cleared_or_changed_value_is_free_again(hub: Hub) -> None:
    hub.define(name="user_id", hasUniqueValue=True)
    for value in ("", "u2"):
        hub.batch("upsert", [upsert_input("a@example.com", user_id="u1")])
        hub.batch("upsert", [upsert_input("a@example.com", user_id=value)])
        (row,) = hub.batch("upsert", [upsert_input("b@example.com", user_id="u1")]).json()["results"]
        assert row["properties"]["user_id"] == "u1"
        hub.batch("upsert", [upsert_input("b@example.com", user_id="")])


def test_concurrent_upserts_of_the_same_addresses_make_each_record_once(hub: Hub) -> None:
    token = hub.session.headers["Authorization"]
    url = hub.sandbox.url("hubspot") + "/crm/v3/objects/contacts/batch/upsert"

    def send(worker: int) -> list[dict[str, Any]]:
        with requests.Session() as session:
            session.headers["Authorization"] = token
            inputs = [upsert_input(f"u{n}@example.com", firstname=str(worker)) for n in range(50)]
            answers = [session.post(url, json={"inputs": inputs}, timeout=20) for _ in range(3)]
            return [row for answer in answers for row in answer.json()["results"]]

    with ThreadPoolExecutor(8) as pool:
        rows = [row for found in pool.map(send, range(8)) for row in found]
    assert len(rows) == 8 * 3 * 50
    assert sum(row["new"] for row in rows) == 50
    assert len({row["id"] for row in rows}) == 50
    assert hub.sandbox.store.counts("hubspot") == {"contacts": (50, 0)}


# -- read and archive --------------------------------------------------------------------------------


def test_batch_read_names_what_is_missing_in_one_error(hub: Hub) -> None:
    hub.create(email="a@example.com", firstname="A")
    keys = ("A@example.com", "x@example.com", "y@example.com")
    response = hub.batch(
        "read", [{"id": key} for key in keys], idProperty="email", properties=["firstname", "phone", "nonsense"]
    )
    body = response.json()
    assert response.status_code == 207
    assert body["numErrors"] == 1
    assert body["errors"][0]["context"] == {"ids": ["x@example.com", "y@example.com"]}
    assert body["errors"][0]["message"].startswith("Could not get some CONTACT objects")
    (row,) = body["results"]
    assert row["properties"].items() >= {"firstname": "A", "phone": None}.items()
    assert set(row["properties"]) == {"firstname", "phone", "createdate", "lastmodifieddate", "hs_object_id"}


def test_batch_read_with_history(hub: Hub) -> None:
    hub.batch("upsert", [upsert_input("a@example.com", firstname="A")])
    hub.batch("upsert", [upsert_input("a@example.com", firstname="B")])
    body = hub.batch("read", [{"id": "a@example.com"}], idProperty="email", propertiesWithHistory=["firstname"]).json()
    assert [entry["value"] for entry in body["results"][0]["propertiesWithHistory"]["firstname"]] == ["B", "A"]


def test_archive_hides_and_frees(hub: Hub) -> None:
    record_id = hub.create(email="a@example.com")
    assert hub.batch("archive", [{"id": record_id}, {"id": "404"}]).status_code == 204
    assert hub.batch("archive", [{"id": int(record_id)}]).status_code == 204
    assert hub.get(f"/crm/v3/objects/contacts/{record_id}").status_code == 404
    gone = hub.get(f"/crm/v3/objects/contacts/{record_id}", params={"archived": "true"}).json()
    assert gone["archived"] is True
    assert "archivedAt" in gone
    assert hub.batch("update", [{"id": record_id, "properties": {"firstname": "A"}}]).status_code == 207
    (row,) = hub.batch("upsert", [upsert_input("a@example.com")]).json()["results"]
    assert row["new"] is True
    assert row["id"] != record_id
    assert hub.sandbox.store.counts("hubspot") == {"contacts": (2, 1)}
