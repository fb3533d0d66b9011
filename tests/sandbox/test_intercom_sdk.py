"""Intercom's own client for Python drives the sandbox: a client that we did not write must be content with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.sandbox import Sandbox

sdk = pytest.importorskip("intercom", reason="python-intercom is not installed")
from intercom import errors  # noqa: E402
from intercom.core.api_error import ApiError  # noqa: E402

ONCE = {"max_retries": 0}  # the client would wait and try again


@pytest.fixture
def intercom_sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    setup = tmp_path / "intercom.yml"
    setup.write_text("custom_objects: {Order: [{name: number, data_type: string}]}")
    with Sandbox(tmp_path / "state", ("intercom",), setup={"intercom": setup}) as running:
        yield running


@pytest.fixture
def client(intercom_sandbox: Sandbox) -> Any:
    return sdk.Intercom(token=intercom_sandbox.token("intercom"), base_url=intercom_sandbox.url("intercom"))


def email(address: str, **values: Any) -> Any:
    return sdk.CreateContactRequestWithEmail(email=address, **values)


def test_who_am_i(client: Any, intercom_sandbox: Sandbox) -> None:
    assert client.admins.identify().app.id_code == intercom_sandbox.account("intercom")


def test_a_contact_from_the_first_to_the_last_day(client: Any) -> None:
    made = client.contacts.create(request=email("ada@example.com", name="Ada"))
    assert (made.role, made.email, made.name) == ("user", "ada@example.com", "Ada")
    changed = client.contacts.update(made.id, name="Ada L", external_id="u1", signed_up_at=1_700_000_000)
    assert (changed.name, changed.signed_up_at) == ("Ada L", 1_700_000_000)
    assert client.contacts.find(made.id).external_id == "u1"
    assert client.contacts.show_contact_by_external_id("u1").id == made.id
    assert client.contacts.archive(made.id).archived is True
    with pytest.raises(errors.NotFoundError):
        client.companies.attach_contact(made.id, company_id="5f")
    assert client.contacts.unarchive(made.id).archived is False
    assert client.contacts.delete(made.id).deleted is True


def test_search_and_pages(client: Any) -> None:
    for n in range(5):
        client.contacts.create(request=email(f"u{n}@example.com"))
    query = sdk.MultipleFilterSearchRequest(
        operator="AND",
        value=[
            sdk.SingleFilterSearchRequest(field="role", operator="=", value="user"),
            sdk.SingleFilterSearchRequest(field="email", operator="~", value="@example.com"),
        ],
    )
    found: list[str] = []
    after = None
    while True:  # the client's own pager asks for the same page again and again
        page = client.contacts.search(query=query, pagination={"per_page": 2, "starting_after": after})
        found += [item.email for item in page.items]
        if page.response.pages.next is None:
            break
        after = page.response.pages.next.starting_after
    assert found == [f"u{n}@example.com" for n in range(5)]
    assert [item.email for item in client.contacts.list(per_page=2)] == found


def test_a_contact_that_exists(client: Any) -> None:
    made = client.contacts.create(request=email("ada@example.com"))
    with pytest.raises(ApiError) as caught:
        client.contacts.create(request=email("ADA@example.com"))
    assert caught.value.status_code == 409
    (error,) = caught.value.body["errors"]
    assert error == {
        "code": "conflict",
        "message": f"A contact matching those details already exists with id={made.id}",
    }


def test_companies_and_who_belongs_to_them(client: Any) -> None:
    wanted = sdk.CreateOrUpdateCompanyRequest(company_id="c1", name="Acme", plan="Pro", monthly_spend=90)
    made = client.companies.create_or_update(request=wanted)
    again = client.companies.create_or_update(request=sdk.CreateOrUpdateCompanyRequest(company_id="c1", name="Acme 2"))
    assert (again.id, again.name, again.plan.name, again.monthly_spend) == (made.id, "Acme 2", "Pro", 90)
    ada = client.contacts.create(request=email("ada@example.com"))
    assert client.companies.attach_contact(ada.id, company_id=made.id).user_count == 1
    assert [item.id for item in client.contacts.find(ada.id).companies.data] == [made.id]
    assert client.companies.detach_contact(ada.id, made.id).user_count == 0
    updated = client.companies.update(made.id, request=sdk.UpdateCompanyRequestBody(website="https://acme.example"))
    assert updated.website == "https://acme.example"
    assert client.companies.find(made.id).company_id == "c1"
    assert client.companies.delete(made.id).deleted is True
    with pytest.raises(errors.NotFoundError):
        client.companies.find(made.id)


def test_attributes(client: Any) -> None:
    wanted = sdk.CreateDataAttributeRequestOne(name="seats", model="contact", data_type="integer")
    made = client.data_attributes.create(request=wanted)
    assert (made.name, made.data_type, made.custom) == ("seats", "integer", True)
    with pytest.raises(errors.BadRequestError):
        client.data_attributes.create(request=wanted)
    assert "seats" in {item.name for item in client.data_attributes.list(model="contact").data}
    ada = client.contacts.create(request=email("ada@example.com", custom_attributes={"seats": 3}))
    assert client.contacts.find(ada.id).custom_attributes == {"seats": 3}
    client.data_attributes.update(str(made.id), request={"archived": True})
    assert "seats" not in {item.name for item in client.data_attributes.list(model="contact").data}


def test_tags(client: Any) -> None:
    tag = client.tags.create(request=sdk.CreateOrUpdateTagRequest(name="VIP"))
    ada = client.contacts.create(request=email("ada@example.com"))
    assert client.tags.tag_contact(ada.id, tag_id=tag.id).name == "VIP"
    assert [item.name for item in client.contacts.list_attached_tags(ada.id).data] == ["VIP"]
    assert client.tags.untag_contact(ada.id, tag.id).id == tag.id
    assert [item.name for item in client.tags.list().data] == ["VIP"]


def test_events(client: Any) -> None:
    client.contacts.create(request=email("ada@example.com"))
    event = sdk.CreateDataEventRequestWithEmail(
        event_name="upgraded", created_at=1_700_000_000, email="ada@example.com", metadata={"plan": "Pro"}
    )
    for _ in range(2):
        client.events.create(request=event)
    (listed,) = client.events.list(type="user", email="ada@example.com").events
    assert (listed.event_name, listed.metadata) == ("upgraded", {"plan": "Pro"})


def test_custom_objects(client: Any) -> None:
    api = client.custom_object_instances
    made = api.create_custom_object_instances("Order", external_id="o1", custom_attributes={"number": "N-1"})
    again = api.create_custom_object_instances("Order", external_id="o1", custom_attributes={"number": "N-2"})
    assert (again.id, again.custom_attributes) == (made.id, {"number": "N-2"})
    assert api.get_custom_object_instances_by_external_id("Order", external_id="o1").id == made.id
    assert api.delete_custom_object_instances_by_id("Order", external_id="o1").deleted is True
    with pytest.raises(errors.NotFoundError):
        api.get_custom_object_instances_by_external_id("Order", external_id="o1")


def test_a_wrong_token(intercom_sandbox: Sandbox) -> None:
    stranger = sdk.Intercom(token="wrong", base_url=intercom_sandbox.url("intercom"))
    with pytest.raises(errors.UnauthorizedError) as caught:
        stranger.contacts.find("5f")
    assert caught.value.body.errors[0].message == "Access Token Invalid"


@pytest.mark.parametrize(("status", "code"), [(429, "rate_limit_exceeded"), (503, "service_unavailable")])
def test_it_meets_faults_as_it_would_at_intercom(
    client: Any, intercom_sandbox: Sandbox, status: int, code: str
) -> None:
    intercom_sandbox.set_faults([{"kind": "status", "status": status, "times": 1}])
    with pytest.raises(ApiError) as caught:
        client.tags.list(request_options=ONCE)
    assert caught.value.status_code == status
    assert caught.value.body["errors"][0]["code"] == code
    assert client.tags.list().data == []
