"""marketorestpython drives the stand-in: a client that we did not write must be content with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.sandbox import Sandbox

from .marketo import setup

marketorestpython = pytest.importorskip("marketorestpython.client", reason="marketorestpython is not installed")
from marketorestpython.helper import http_lib  # noqa: E402
from marketorestpython.helper.exceptions import MarketoException  # noqa: E402

pytestmark = pytest.mark.off_spec("these requests are the client's own")


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "state", ["marketo"]) as sandbox:
        setup(sandbox, tmp_path)
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(http_lib.time, "sleep", lambda seconds: None)  # it allows itself five calls a second
    client = marketorestpython.MarketoClient("123-ABC-456", "sdk", sandbox.token("marketo"), max_retry_time=1)
    client.host = sandbox.url("marketo")
    return client


def test_leads(client: Any) -> None:
    rows = [{"email": "ada@x.test", "firstName": "Ada"}, {"email": "bob@x.test"}, {"email": "bad"}]
    made = client.create_update_leads(rows, action="createOrUpdate", lookupField="email")
    assert [row["status"] for row in made] == ["created", "created", "skipped"]
    ada = made[0]["id"]
    found = client.get_multiple_leads_by_filter_type("email", ["ada@x.test", "bob@x.test"], fields="firstName")
    assert [row["firstName"] for row in found] == ["Ada", None]
    assert client.get_lead_by_id(ada, fields="email")[0]["email"] == "ada@x.test"
    assert client.delete_lead([ada, 404])[1]["reasons"][0]["code"] == "1004"
    assert client.get_multiple_leads_by_filter_type("id", [str(ada)]) == []


def test_describing(client: Any) -> None:
    assert {"email", "userId"} <= {row["rest"]["name"] for row in client.describe()}
    assert client.describe2()[0]["name"] == "API Lead"
    assert [row["name"] for row in client.get_lead_partitions()] == ["Default", "Europe"]
    assert client.get_daily_usage()[0]["total"] > 0
    assert [row["name"] for row in client.get_list_of_custom_objects()] == ["car_c", "purchase_c"]
    assert client.describe_custom_object("car_c")[0]["dedupeFields"] == ["vin"]


def test_lists(client: Any) -> None:
    (ada,) = [row["id"] for row in client.create_update_leads([{"email": "ada@x.test"}])]
    assert client.get_multiple_lists()[0]["name"] == "Customers"
    assert [row["status"] for row in client.add_leads_to_list(1001, [ada, 404])] == ["added", "skipped"]
    assert [row["id"] for row in client.get_multiple_leads_by_list_id(1001, fields="email")] == [ada]
    assert client.member_of_list(1001, [ada])[0]["status"] == "memberof"
    assert client.remove_leads_from_list(1001, [ada])[0]["status"] == "removed"


def test_program_members(client: Any) -> None:
    (ada,) = [row["id"] for row in client.create_update_leads([{"email": "ada@x.test"}])]
    with pytest.raises(MarketoException):
        client.sync_program_member_data(9, [{"leadId": ada, "seat": "A1"}])
    assert client.sync_program_member_data(1001, [{"leadId": ada, "seat": "A1"}])[0]["status"] == "skipped"


def test_companies_and_opportunities(client: Any) -> None:
    (company,) = client.create_update_companies([{"externalCompanyId": "c1", "company": "Acme"}])
    assert company["status"] == "created"
    assert client.get_companies("externalCompanyId", ["c1"], fields="company")[0]["company"] == "Acme"
    assert client.delete_companies([{"externalCompanyId": "c1"}])[0]["status"] == "deleted"
    (opportunity,) = client.create_update_opportunities([{"externalOpportunityId": "o1", "name": "Chairs"}])
    assert len(opportunity["marketoGUID"]) == 36
    (ada,) = [row["id"] for row in client.create_update_leads([{"email": "ada@x.test"}])]
    role = {"externalOpportunityId": "o1", "leadId": ada, "role": "Captain"}
    assert client.create_update_opportunities_roles([role])[0]["status"] == "created"
    assert client.get_opportunity_roles("leadId", [str(ada)])[0]["role"] == "Captain"


def test_custom_objects(client: Any) -> None:
    cars = [{"vin": "v1", "make": "BMW"}, {"vin": "v2"}]
    made = client.create_update_custom_objects("car_c", cars, action="createOrUpdate", dedupeBy="dedupeFields")
    assert [row["seq"] for row in made] == [0, 1]
    found = client.get_custom_objects("car_c", [{"vin": "v1"}], "dedupeFields", fields=["make"])
    assert found[0]["make"] == "BMW"
    assert client.delete_custom_objects("car_c", [{"vin": "v1"}])[0]["status"] == "deleted"


def test_activities(client: Any) -> None:
    (ada,) = [row["id"] for row in client.create_update_leads([{"email": "ada@x.test"}])]
    (kind,) = client.get_custom_activity_types()
    activity = {
        "leadId": ada,
        "activityDate": "2026-09-26T06:56:35Z",
        "activityTypeId": kind["id"],
        "primaryAttributeValue": "Summit",
        "attributes": [],
    }
    assert client.add_custom_activities([activity])[0]["status"] == "added"


def test_imports(client: Any, tmp_path: Path) -> None:
    path = tmp_path / "leads.csv"
    path.write_text("email,leadScore\nada@x.test,3\nbob@x.test,many\n")
    (job,) = client.import_lead("csv", str(path), lookupField="email")
    (state,) = client.get_import_lead_status(job["batchId"])
    assert (state["status"], state["numOfLeadsProcessed"], state["numOfRowsFailed"]) == ("Complete", 1, 1)
    assert "bob@x.test,many,Invalid data type" in client.get_import_failure_file(job["batchId"])


def test_refusals_and_faults(client: Any, sandbox: Sandbox) -> None:
    with pytest.raises(MarketoException) as caught:
        client.create_update_leads([{"email": "ada@x.test"}], lookupField="firstName")
    assert caught.value.code == "1011"
    sandbox.set_faults([{"kind": "status", "status": 429, "policy": "DAILY", "times": 1}])
    with pytest.raises(MarketoException) as caught:
        client.get_lead_partitions()
    assert caught.value.code == "607"
    stranger = marketorestpython.MarketoClient("123-ABC-456", "sdk", "wrong")
    stranger.host = sandbox.url("marketo")
    with pytest.raises(Exception, match="Client authentication failed"):
        stranger.describe2()
