"""HubSpot's own client for Python drives the sandbox: a client that we did not write must be content with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from revetl_dbt.sandbox import Sandbox
from revetl_dbt.sandbox.hubspot import HubSpot as StandIn

hubspot = pytest.importorskip("hubspot", reason="hubspot-api-client is not installed")
from hubspot import events, oauth  # noqa: E402
from hubspot.crm import companies, contacts, lists, objects, properties, schemas  # noqa: E402
from hubspot.crm.associations import v4 as associations  # noqa: E402
from hubspot.crm.associations.v4 import schema as labels  # noqa: E402
from hubspot.crm.contacts.exceptions import ApiException, NotFoundException, UnauthorizedException  # noqa: E402
from hubspot.events import send  # noqa: E402


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


@pytest.fixture
def ada(client: Any) -> str:
    made = contacts.SimplePublicObjectInputForCreate(properties={"email": "ada@example.com"}, associations=[])
    return str(client.crm.contacts.basic_api.create(made).id)


@pytest.fixture
def acme(client: Any) -> str:
    made = companies.SimplePublicObjectInputForCreate(properties={"name": "Acme"}, associations=[])
    return str(client.crm.companies.basic_api.create(made).id)


def pair(first: str, second: str, *types: tuple[str, int]) -> Any:
    specs = [associations.AssociationSpec(association_category=kind, association_type_id=n) for kind, n in types]
    ends = {"_from": associations.PublicObjectId(id=first), "to": associations.PublicObjectId(id=second)}
    if not types:
        return associations.PublicDefaultAssociationMultiPost(**ends)
    return associations.PublicAssociationMultiPost(types=specs, **ends)


def test_associations(client: Any, ada: str, acme: str) -> None:
    api, ends = client.crm.associations.v4.batch_api, ("contacts", "companies")
    posted = associations.BatchInputPublicDefaultAssociationMultiPost(inputs=[pair(ada, acme), pair(ada, "9")])
    made = api.create_default(*ends, posted)
    assert {(row._from.id, row.to.id, row.association_spec.association_type_id) for row in made.results} == {
        (ada, acme, 279),
        (acme, ada, 280),
    }
    assert made.errors[0].context["INVALID_OBJECT_IDS"] == ["COMPANY=9 is not valid"]
    wanted = associations.BatchInputPublicFetchAssociationsBatchRequest(
        inputs=[associations.PublicFetchAssociationsBatchRequest(id=ada)]
    )
    (read,) = api.get_page(*ends, wanted).results
    assert [(to.to_object_id, [kind.type_id for kind in to.association_types]) for to in read.to] == [(acme, [279])]
    gone = associations.PublicAssociationMultiArchive(
        _from=associations.PublicObjectId(id=ada), to=[associations.PublicObjectId(id=acme)]
    )
    api.archive(*ends, associations.BatchInputPublicAssociationMultiArchive(inputs=[gone]))
    alone = api.get_page(*ends, wanted)
    assert (alone.results, alone.errors[0].context["fromObjectId"]) == ([], [ada])


def test_association_labels(client: Any, ada: str, acme: str) -> None:
    api, ends = client.crm.associations.v4, ("contacts", "companies")
    egg = labels.PublicAssociationDefinitionCreateRequest(
        name="billing", label="Billing contact", inverse_label="Billed by"
    )
    there, back = api.schema.definitions_api.create(*ends, egg).results
    known = {item.label: item.type_id for item in api.schema.definitions_api.get_all(*ends).results}
    assert known == {None: 279, "Primary": 1, "Billing contact": there.type_id}
    labelled = associations.BatchInputPublicAssociationMultiPost(
        inputs=[pair(ada, acme, ("USER_DEFINED", there.type_id))]
    )
    (made,) = api.batch_api.create(*ends, labelled).results
    assert (made.from_object_id, made.to_object_id, made.labels) == (ada, acme, ["Billing contact"])
    (held,) = api.basic_api.get_page("companies", acme, "contacts").results
    assert {kind.label for kind in held.association_types} == {None, back.label}
    api.batch_api.archive_labels(*ends, labelled)
    (held,) = api.basic_api.get_page("contacts", ada, "companies").results
    assert [kind.label for kind in held.association_types] == [None]


def test_one_association_at_a_time(client: Any, ada: str, acme: str) -> None:
    api, ends = client.crm.associations.v4.basic_api, ("contacts", ada, "companies", acme)
    assert {row.to.id for row in api.create_default(*ends).results} == {ada, acme}
    primary = associations.AssociationSpec(association_category="HUBSPOT_DEFINED", association_type_id=1)
    assert api.create(*ends, [primary]).labels == ["Primary"]
    api.archive(*ends)
    assert api.get_page("contacts", ada, "companies").results == []


def test_lists(client: Any, ada: str) -> None:
    egg = lists.ListCreateRequest(name="Trials", object_type_id="0-1", processing_type="MANUAL")
    made = client.crm.lists.lists_api.create(egg).list
    assert client.crm.lists.lists_api.get_by_id(made.list_id).list.name == "Trials"
    api = client.crm.lists.memberships_api
    added = api.add(made.list_id, [ada, "9"])
    assert (added.records_ids_added, added.record_ids_missing) == ([ada], ["9"])
    assert [row.record_id for row in api.get_page(made.list_id).results] == [ada]
    assert [row.list_id for row in api.get_lists("0-1", ada).results] == [made.list_id]
    change = lists.MembershipChangeRequest(record_ids_to_add=[], record_ids_to_remove=[ada])
    assert api.add_and_remove(made.list_id, change).record_ids_removed == [ada]
    api.add(made.list_id, [ada])
    assert api.remove(made.list_id, [ada]).record_ids_removed == [ada]


def test_custom_events(client: Any, ada: str, sandbox: Sandbox) -> None:
    stand_in = cast("StandIn", sandbox.vendor("hubspot"))
    defined = stand_in.events.define({"name": "login", "label": "Login"})["fullyQualifiedName"]

    def login(uuid: str) -> Any:
        values = {"hs_city": "London"}
        return send.BehavioralEventHttpCompletionRequest(
            event_name=defined, object_id=ada, uuid=uuid, properties=values
        )

    client.events.send.basic_api.send(login("a"))
    client.events.send.batch_api.send(send.BatchedBehavioralEventHttpCompletionRequest(inputs=[login("a"), login("b")]))
    found = stand_in.events.of(stand_in.hub.kind("contacts"), ada)
    assert {(record.id, record.properties["hs_city"]) for _, record in found} == {("a", "London"), ("b", "London")}
    with pytest.raises(events.send.exceptions.ApiException):
        client.events.send.basic_api.send(send.BehavioralEventHttpCompletionRequest(event_name="pe1_no", properties={}))


def test_a_contact_is_purged(client: Any, ada: str) -> None:
    client.crm.contacts.basic_api.purge(contacts.PublicGdprDeleteInput(object_id=ada))
    with pytest.raises(NotFoundException):
        client.crm.contacts.basic_api.get_by_id(ada)


def test_an_app_refreshes_its_token(sandbox: Sandbox) -> None:
    app = cast("StandIn", sandbox.vendor("hubspot")).oauth_client()
    api = hubspot.HubSpot(host=sandbox.url("hubspot")).oauth.tokens_api
    answer = api.create(grant_type="refresh_token", **vars(app))
    assert (answer.expires_in, answer.token_type) == (1800, "bearer")
    mine = hubspot.HubSpot(access_token=answer.access_token, host=sandbox.url("hubspot"))
    assert mine.crm.contacts.basic_api.get_page().results == []
    with pytest.raises(oauth.exceptions.ApiException):
        api.create(grant_type="refresh_token", **{**vars(app), "refresh_token": "wrong"})


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
