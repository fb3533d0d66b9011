"""HubSpot's own client for Python drives the sandbox: a client that we did not write must be content with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from revetl_dbt.sandbox import Sandbox

hubspot = pytest.importorskip("hubspot", reason="hubspot-api-client is not installed")
from hubspot.crm import companies, contacts, objects, properties, schemas  # noqa: E402
from hubspot.crm.contacts.exceptions import ApiException, UnauthorizedException  # noqa: E402


@pytest.fixture
def client(sandbox: Sandbox) -> Any:
    return hubspot.HubSpot(access_token=sandbox.token("hubspot"), host=sandbox.url("hubspot"))


def upserts(package: Any, rows: dict[str, dict[str, str]], id_property: str = "email", traced: bool = True) -> Any:
    return package.BatchInputSimplePublicObjectBatchInputUpsert(
        inputs=[
            package.SimplePublicObjectBatchInputUpsert(
                id=key, id_property=id_property, properties=values, object_write_trace_id=key if traced else None
            )
            for key, values in rows.items()
        ]
    )


def ids(package: Any, *keys: str) -> list[Any]:
    return [package.SimplePublicObjectId(id=key) for key in keys]


def test_upsert_read_search_archive(client: Any) -> None:
    api = client.crm.contacts
    made = api.batch_api.upsert(
        upserts(contacts, {"ada@example.com": {"firstname": "Ada"}, "alan@example.com": {"firstname": "Alan"}})
    )
    by_trace = {row.object_write_trace_id: row for row in made.results}
    assert made.status == "COMPLETE"
    assert all(row.new for row in made.results)
    ada = by_trace["ada@example.com"].id
    again = api.batch_api.upsert(upserts(contacts, {"ADA@example.com": {"lastname": "Lovelace"}}))
    assert [(row.id, row.new) for row in again.results] == [(ada, False)]
    wanted = contacts.BatchReadInputSimplePublicObjectId(
        id_property="email",
        inputs=ids(contacts, "ada@example.com"),
        properties=["firstname", "lastname"],
        properties_with_history=["lastname"],
    )
    (read,) = api.batch_api.read(wanted).results
    assert (read.properties["firstname"], read.properties["lastname"]) == ("Ada", "Lovelace")
    assert read.properties_with_history["lastname"][0].value == "Lovelace"
    query = contacts.PublicObjectSearchRequest(
        filter_groups=[{"filters": [{"propertyName": "email", "operator": "EQ", "value": "alan@example.com"}]}],
        properties=["email"],
        limit=5,
    )
    found = api.search_api.do_search(query)
    assert (found.total, found.results[0].id) == (1, by_trace["alan@example.com"].id)
    api.batch_api.archive(contacts.BatchInputSimplePublicObjectId(inputs=ids(contacts, ada)))
    assert [row.id for row in api.get_all()] == [by_trace["alan@example.com"].id]
    assert [row.archived for row in api.get_all(archived=True)] == [True]


def test_one_record_at_a_time(client: Any) -> None:
    api = client.crm.companies.basic_api
    made = api.create(
        companies.SimplePublicObjectInputForCreate(
            properties={"name": "Acme", "domain": "acme.example"}, associations=[]
        )
    )
    assert api.get_by_id(made.id, properties=["name", "city"]).properties["city"] is None
    changed = api.update(made.id, companies.SimplePublicObjectInput(properties={"city": "Berlin"}))
    assert changed.properties["city"] == "Berlin"
    api.archive(made.id)
    with pytest.raises(companies.exceptions.NotFoundException):
        api.get_by_id(made.id)


def test_partial_failure(client: Any) -> None:
    answer = client.crm.contacts.batch_api.upsert(upserts(contacts, {"ada@example.com": {}, "broken": {}}))
    assert (answer.num_errors, [row.object_write_trace_id for row in answer.results]) == (1, ["ada@example.com"])
    (error,) = answer.errors
    assert (error.category, error.context) == ("VALIDATION_ERROR", {"objectWriteTraceId": ["broken"]})


@pytest.mark.parametrize(
    ("rows", "status", "reason"),
    [
        ({"ada@example.com": {}, "broken": {}}, 400, "INVALID_EMAIL"),
        ({"ada@example.com": {"nonsense": "1"}}, 400, "PROPERTY_DOESNT_EXIST"),
        ({f"u{n}@example.com": {} for n in range(101)}, 400, "1 to 100 inputs"),
    ],
)
def test_whole_batches_that_fail(client: Any, rows: dict[str, dict[str, str]], status: int, reason: str) -> None:
    with pytest.raises(ApiException) as caught:
        client.crm.contacts.batch_api.upsert(upserts(contacts, rows, traced=False))
    assert caught.value.status == status
    assert reason in caught.value.body


def test_a_wrong_token(sandbox: Sandbox) -> None:
    stranger = hubspot.HubSpot(access_token="wrong", host=sandbox.url("hubspot"))
    with pytest.raises(UnauthorizedException):
        stranger.crm.contacts.basic_api.get_page()


def test_properties(client: Any) -> None:
    api = client.crm.properties
    group = properties.PropertyGroupCreate(name="usage", label="Usage")
    assert api.groups_api.create("contacts", group).name == "usage"
    egg = properties.PropertyCreate(
        name="plan_name", label="Plan", type="string", field_type="text", group_name="usage", has_unique_value=True
    )
    assert api.core_api.create("contacts", egg).has_unique_value is True
    assert api.core_api.get_by_name("contacts", "plan_name").group_name == "usage"
    assert api.core_api.update("contacts", "plan_name", properties.PropertyUpdate(label="The plan")).label == "The plan"
    names = {prop.name for prop in api.core_api.get_all("contacts").results}
    assert {"plan_name", "email", "lifecyclestage"} <= names
    api.core_api.archive("contacts", "plan_name")
    assert "plan_name" not in {prop.name for prop in api.core_api.get_all("contacts").results}


def test_custom_objects(client: Any) -> None:
    field = schemas.ObjectTypePropertyCreate(
        name="title", label="Title", type="string", field_type="text", has_unique_value=True
    )
    egg = schemas.ObjectSchemaEgg(
        name="workspaces",
        labels=schemas.ObjectTypeDefinitionLabels(singular="Workspace", plural="Workspaces"),
        required_properties=["title"],
        properties=[field],
        associated_objects=["CONTACT"],
        primary_display_property="title",
    )
    made = client.crm.schemas.core_api.create(egg)
    assert [schema.object_type_id for schema in client.crm.schemas.core_api.get_all().results] == [made.object_type_id]
    answer = client.crm.objects.batch_api.upsert(made.object_type_id, upserts(objects, {"Main": {}}, "title"))
    assert (answer.results[0].new, answer.results[0].properties["title"]) == (True, "Main")


def test_it_meets_faults_as_it_would_at_hubspot(client: Any, sandbox: Sandbox) -> None:
    sandbox.set_faults(
        [
            {"kind": "status", "status": 429, "policy": "DAILY", "times": 1},
            {"kind": "status", "status": 503, "times": 1, "nth": 2},
        ]
    )
    statuses = []
    call: Callable[[], Any] = client.crm.contacts.basic_api.get_page
    for _ in range(2):
        with pytest.raises(ApiException) as caught:
            call()
        statuses.append(caught.value.status)
    assert statuses == [429, 503]
    assert call().results == []
