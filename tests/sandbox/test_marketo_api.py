"""The stand-in for Marketo by what Adobe's pages say; requests as the vendor describes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from revetl_dbt.errors import SandboxError
from revetl_dbt.sandbox import Sandbox

from .conftest import Clock
from .marketo import Client, codes, setup


@pytest.fixture
def sandbox(tmp_path: Path, clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "state", ["marketo"], now=clock) as sandbox:
        setup(sandbox, tmp_path)
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    client = Client(sandbox)
    yield client
    client.session.close()


class TestIdentity:
    def test_the_same_token_until_it_ends(self, client: Client, clock: Clock) -> None:
        first = client.identity().json()
        assert (first["token_type"], first["expires_in"]) == ("bearer", 3600)
        clock.now += 600
        again = client.identity().json()
        assert (again["access_token"], again["expires_in"]) == (first["access_token"], 3000)
        clock.now += 3000
        renewed = client.identity().json()
        assert renewed["access_token"] != first["access_token"]
        assert client.refusal("GET", "/rest/v1/leads/partitions.json")[0] == "601"

    def test_an_expired_token(self, client: Client, clock: Clock) -> None:
        clock.now += 3600
        assert client.refusal("GET", "/rest/v1/leads/partitions.json") == ("602", "Access token expired")

    @pytest.mark.parametrize("changes", [{"client_secret": "wrong"}, {"client_id": ""}])
    def test_wrong_credentials(self, client: Client, changes: dict[str, str]) -> None:
        response = client.identity(**changes)
        assert (response.status_code, response.json()["error"]) == (401, "invalid_client")

    @pytest.mark.off_spec("shows that the older way is over")
    def test_the_header_is_the_only_place_for_a_token(self, client: Client) -> None:
        token = client.session.headers.pop("Authorization")
        query = {"access_token": str(token).removeprefix("Bearer ")}
        url = client.sandbox.url("marketo") + "/rest/v1/leads/partitions.json"
        assert requests.get(url, params=query, timeout=10).json()["errors"][0]["code"] == "600"

    def test_an_instance_has_one_id_for_ever(self, sandbox: Sandbox) -> None:
        number, letters, other = str(sandbox.account("marketo")).split("-")
        assert (len(number), letters.isalpha(), other.isdigit()) == (3, True, True)
        sandbox.reset()
        assert sandbox.account("marketo") == f"{number}-{letters}-{other}"


class TestLeads:
    def test_upsert_by_address_without_regard_to_case(self, client: Client) -> None:
        first, second = client.leads(
            {"email": "ada@x.test", "firstName": "Ada"}, {"email": "ADA@x.test", "lastName": "L."}
        )
        assert (first["status"], second["status"], first["id"]) == ("created", "updated", second["id"])
        assert client.values(first["id"], "firstName", "lastName", "email") == ["Ada", "L.", "ADA@x.test"]

    def test_actions(self, client: Client) -> None:
        lead = client.lead(email="ada@x.test")
        assert codes(client.leads({"email": "ada@x.test"}, action="createOnly")) == ["1005"]
        assert codes(client.leads({"email": "bob@x.test"}, action="updateOnly")) == ["1004"]
        assert codes(client.leads({"id": lead, "email": "eve@x.test"}, action="updateOnly", lookupField="id")) == [
            "updated"
        ]
        assert codes(client.leads({"id": 404}, action="updateOnly", lookupField="id")) == ["1004"]
        assert codes(client.leads({"email": "eve@x.test"}, action="createDuplicate")) == ["created"]
        assert codes(client.leads({"email": "eve@x.test"})) == ["1007"]

    def test_lookup_by_a_custom_field(self, client: Client) -> None:
        rows = [{"userId": 7, "email": "ada@x.test"}, {"userId": 7, "email": "new@x.test"}]
        made, changed = client.leads(*rows, lookupField="userId")
        assert made["id"] == changed["id"]
        assert client.values(made["id"], "email", "userId") == ["new@x.test", 7]

    @pytest.mark.parametrize(
        ("row", "code"),
        [
            ({"email": "bad"}, "1003"),
            ({"email": "ü@x.test"}, "1003"),
            ({"email": "a@x.test", "nonsense": 1}, "1006"),
            ({"email": "a@x.test", "createdAt": "2020-01-01"}, "1003"),
            ({"email": "a@x.test", "leadScore": "many"}, "1001"),
            ({"email": "a@x.test", "share": 1.5}, "1001"),
            ({"email": "a@x.test", "unsubscribed": "perhaps"}, "1001"),
            ({"email": "a@x.test", "dateOfBirth": "2024-02-30"}, "1001"),
            ({"email": "a@x.test", "firstName": "x" * 256}, "1003"),
            ({"email": "a@x.test", "notes": "ä" * 15_001}, "1003"),
            ({"email": "a@x.test", "firstName": ["x"]}, "1001"),
            ({"email": "a@x.test", "id": 7}, "1003"),
            ({"firstName": "x"}, "1003"),
            ({"email": None}, "1003"),
        ],
    )
    def test_a_refused_row_leaves_the_others(self, client: Client, row: dict[str, Any], code: str) -> None:
        assert codes(client.leads({"email": "first@x.test"}, row, {"email": "last@x.test"})) == [
            "created",
            code,
            "created",
        ]

    def test_values_as_they_are_kept(self, client: Client) -> None:
        given = {"leadScore": "12", "unsubscribed": "true", "dateOfBirth": "1815-12-10", "share": 30, "notes": "long"}
        lead = client.lead(email="ada@x.test", annualRevenue="10.40", **given)
        names = ("leadScore", "unsubscribed", "dateOfBirth", "share", "notes", "annualRevenue", "phone")
        assert client.values(lead, *names) == [12, True, "1815-12-10", 30, "long", 10.4, None]

    @pytest.mark.parametrize("nothing", [None, ""])
    def test_null_and_the_empty_text_clear(self, client: Client, nothing: str | None) -> None:
        lead = client.lead(email="ada@x.test", firstName="Ada", leadScore=3)
        client.lead(email="ada@x.test", firstName=nothing, leadScore=nothing)
        assert client.values(lead, "firstName", "leadScore") == [None, None]

    def test_fields_of_a_company_are_not_changed_through_a_lead(self, client: Client) -> None:
        client.lead(email="ada@x.test", company="Acme")
        assert codes(client.leads({"email": "ada@x.test", "company": "Other"})) == ["1021"]
        assert codes(client.leads({"email": "ada@x.test", "company": "Acme"})) == ["updated"]

    def test_partitions(self, client: Client) -> None:
        assert [row["name"] for row in client.get("/rest/v1/leads/partitions.json")] == ["Default", "Europe"]
        assert codes(client.leads({"email": "ada@x.test"}, partitionName="Europe")) == ["created"]
        body = {"input": [{"email": "bob@x.test"}], "partitionName": "Mars"}
        assert client.refusal("POST", "/rest/v1/leads.json", body)[0] == "1003"

    def test_delete(self, client: Client) -> None:
        lead = client.lead(email="ada@x.test")
        rows = client.post("/rest/v1/leads/delete.json", {"input": [{"id": lead}, {"id": 404}]})
        assert codes(rows) == ["deleted", "1004"]
        assert client.get("/rest/v1/leads.json", filterType="email", filterValues="ada@x.test") == []
        assert client.lead(email="ada@x.test") != lead

    def test_query(self, client: Client) -> None:
        ids = [client.lead(email=f"u{n}@x.test", plan="paid") for n in range(3)]
        by_id = client.get("/rest/v1/leads.json", filterType="id", filterValues=f"{ids[0]},{ids[2]},404")
        assert [row["id"] for row in by_id] == [ids[0], ids[2]]
        assert set(by_id[0]) == {"id", "email", "updatedAt", "createdAt", "firstName", "lastName"}
        found = client.get("/rest/v1/leads.json", filterType="plan", filterValues="PAID", fields="plan,phone")
        assert found == [{"id": lead, "plan": "paid", "phone": None} for lead in ids]

    def test_pages(self, client: Client) -> None:
        for n in range(5):
            client.lead(email=f"u{n}@x.test", plan="paid")
        query = {"filterType": "plan", "filterValues": "paid", "batchSize": 2}
        sizes, token = [], {}
        while True:
            body = client.call("GET", "/rest/v1/leads.json", params={**query, **token}).json()
            sizes.append(len(body["result"]))
            if not body.get("moreResult"):
                break
            token = {"nextPageToken": body["nextPageToken"]}
        assert sizes == [2, 2, 1]

    def test_too_many_results(self, client: Client) -> None:
        for start in range(0, 1200, 300):
            client.leads(*[{"email": f"u{n}@x.test", "plan": "paid"} for n in range(start, start + 300)])
        query = {"filterType": "plan", "filterValues": "paid"}
        assert client.refusal("GET", "/rest/v1/leads.json", params=query)[1] == "Too many results match the filter"

    def test_describe(self, client: Client) -> None:
        (described,) = client.get("/rest/v1/leads/describe2.json")
        fields = {field["name"]: field for field in described["fields"]}
        assert ["email"] in described["searchableFields"]
        assert ["userId"] in described["searchableFields"]
        assert ["plan"] in described["searchableFields"]
        assert ["notes"] not in described["searchableFields"]
        assert (fields["email"]["dataType"], fields["email"]["length"]) == ("email", 255)
        assert not fields["createdAt"]["updateable"]
        older = {row["rest"]["name"] for row in client.get("/rest/v1/leads/describe.json")}
        assert older == set(fields)

    def test_fields_are_created_once(self, client: Client) -> None:
        field = {"name": "acmeCode", "displayName": "Acme Code", "dataType": "string"}
        other = {"name": "acmeOther", "displayName": "Acme Code", "dataType": "string"}
        rows = client.post("/rest/v1/leads/schema/fields.json", {"input": [field, field, other]})
        assert codes(rows) == ["created", "1017", "1017"]
        assert client.lead(email="ada@x.test", acmeCode="7") > 0
        schema = {row["name"]: row for row in client.get("/rest/v1/leads/schema/fields.json")}
        assert (schema["acmeCode"]["isCustom"], schema["email"]["isCustom"]) == (True, False)


class TestObjects:
    def test_companies(self, client: Client) -> None:
        rows = client.post(
            "/rest/v1/companies.json",
            {"input": [{"externalCompanyId": "c1", "company": "Acme"}, {"externalCompanyId": "C1"}, {"company": "x"}]},
        )
        assert [row["seq"] for row in rows] == [0, 1, 2]
        assert codes(rows) == ["created", "1036", "1002"]
        (found,) = client.get("/rest/v1/companies.json", filterType="externalCompanyId", filterValues="c1")
        assert (found["seq"], found["id"], found["externalCompanyId"]) == (0, rows[0]["id"], "c1")

    def test_what_is_in_use_stays(self, client: Client) -> None:
        client.post("/rest/v1/companies.json", {"input": [{"externalCompanyId": "c1"}]})
        lead = client.lead(email="ada@x.test", externalCompanyId="c1")
        gone = {"deleteBy": "dedupeFields", "input": [{"externalCompanyId": "c1"}, {"externalCompanyId": "c2"}]}
        assert codes(client.post("/rest/v1/companies/delete.json", gone)) == ["1022", "1013"]
        client.post("/rest/v1/leads/delete.json", {"input": [{"id": lead}]})
        assert codes(client.post("/rest/v1/companies/delete.json", gone)) == ["deleted", "1013"]

    def test_opportunities_and_roles(self, client: Client) -> None:
        lead = client.lead(email="ada@x.test")
        given = [
            {"externalOpportunityId": "o1", "name": "Chairs", "amount": "1604.47"},
            {"externalOpportunityId": "o2"},
        ]
        made, unnamed = client.post("/rest/v1/opportunities.json", {"input": given})
        assert (made["status"], len(made["marketoGUID"]), codes([unnamed])) == ("created", 36, ["1002"])
        role = {"externalOpportunityId": "o1", "leadId": lead, "role": "Captain", "isPrimary": True}
        rows = client.post(
            "/rest/v1/opportunities/roles.json",
            {"input": [role, {**role, "leadId": 404}, {**role, "externalOpportunityId": "o9"}]},
        )
        assert codes(rows) == ["created", "1004", "1013"]
        found = client.post(
            "/rest/v1/opportunities/roles.json",
            {"filterType": "dedupeFields", "fields": ["marketoGuid", "isPrimary"], "input": [role]},
            params={"_method": "GET"},
        )
        assert found == [{"seq": 0, "marketoGUID": rows[0]["marketoGUID"], "isPrimary": True}]

    def test_custom_objects(self, client: Client) -> None:
        path = "/rest/v1/customobjects/car_c"
        rows = client.post(f"{path}.json", {"input": [{"vin": "v1", "year": 2003}, {"vin": "v2", "year": "old"}]})
        assert codes(rows) == ["created", "1001"]
        guid = rows[0]["marketoGUID"]
        changed = {"action": "updateOnly", "dedupeBy": "idField", "input": [{"marketoGUID": guid, "make": "BMW"}]}
        assert codes(client.post(f"{path}.json", changed)) == ["updated"]
        assert codes(client.post(f"{path}.json", {"action": "updateOnly", "input": [{"vin": "v9"}]})) == ["1013"]
        assert codes(client.post(f"{path}.json", {"action": "createOnly", "input": [{"vin": "v1"}]})) == ["1017"]
        query = {"filterType": "idField", "filterValues": guid, "fields": "vin,make,year"}
        assert client.get(f"{path}.json", **query) == [
            {"seq": 0, "marketoGUID": guid, "vin": "v1", "make": "BMW", "year": 2003}
        ]
        assert codes(client.post(f"{path}/delete.json", {"input": [{"vin": "v1"}, {"vin": "v1"}]})) == [
            "deleted",
            "1013",
        ]

    def test_compound_keys(self, client: Client) -> None:
        path = "/rest/v1/customobjects/purchase_c.json"
        rows = [{"leadId": 1, "product": "pro", "amount": 1.5}, {"leadId": 1, "product": "free", "amount": 0}]
        assert codes(client.post(path, {"input": rows})) == ["created", "created"]
        body = {"fields": ["amount"], "input": [{"leadId": 1, "product": "PRO"}]}
        (found,) = client.post(path, body, params={"_method": "GET"})
        assert found["amount"] == 1.5

    def test_describe(self, client: Client) -> None:
        (car,) = client.get("/rest/v1/customobjects/car_c/describe.json")
        assert (car["idField"], car["dedupeFields"]) == ("marketoGUID", ["vin"])
        assert {field["name"] for field in car["fields"]} == {
            "marketoGUID",
            "createdAt",
            "updatedAt",
            "vin",
            "make",
            "year",
        }
        (role,) = client.get("/rest/v1/opportunities/roles/describe.json")
        assert role["searchableFields"][0] == ["externalOpportunityId", "leadId", "role"]
        assert [row["name"] for row in client.get("/rest/v1/customobjects.json")] == ["car_c", "purchase_c"]

    def test_a_native_crm_sync_owns_the_standard_objects(self, client: Client) -> None:
        client.sandbox.configure("marketo", crm=True)
        assert client.refusal("GET", "/rest/v1/companies/describe.json")[0] == "1018"
        assert client.get("/rest/v1/customobjects/car_c/describe.json")


class TestMembers:
    LEADS = "/rest/v1/lists/1001/leads.json"
    MEMBERS = "/rest/v1/programs/1001/members"

    def test_static_lists(self, client: Client) -> None:
        ada, bob = client.lead(email="ada@x.test"), client.lead(email="bob@x.test")
        assert codes(client.post(self.LEADS, params={"id": [ada, 404]})) == ["added", "1004"]
        body = {"input": [{"id": ada}, {"id": bob}]}
        assert codes(client.post(self.LEADS, body)) == ["added", "added"]
        asked = client.get("/rest/v1/lists/1001/leads/ismember.json", id=[ada, 404])
        assert codes(asked) == ["memberof", "1004"]
        assert [row["email"] for row in client.get(self.LEADS)] == ["ada@x.test", "bob@x.test"]
        for expected in (["removed"], ["1015"]):
            assert codes(client.result(client.call("DELETE", self.LEADS, params={"id": ada}))) == expected
        assert [row["name"] for row in client.get("/rest/v1/lists.json")] == ["Customers"]

    def test_program_members_move_forward_only(self, client: Client) -> None:
        ada = client.lead(email="ada@x.test")

        def move(status: str, lead: int = ada) -> list[str]:
            return codes(
                client.post(f"{self.MEMBERS}/status.json", {"statusName": status, "input": [{"leadId": lead}]})
            )

        assert [move("Invited"), move("Attended"), move("Attended"), move("Invited"), move("Invited", 404)] == [
            ["created"],
            ["updated"],
            ["1037"],
            ["1037"],
            ["1004"],
        ]
        found = client.get(f"{self.MEMBERS}.json", filterType="leadId", filterValues=ada, fields="statusName,seat")
        assert found == [{"seq": 0, "leadId": ada, "statusName": "Attended"}]
        (shown,) = client.get(f"{self.MEMBERS}.json", filterType="statusName", filterValues="Attended")
        assert (shown["leadId"], shown["programId"], shown["reachedSuccess"]) == (ada, 1001, True)

    def test_fields_of_members(self, client: Client) -> None:
        ada, bob = client.lead(email="ada@x.test"), client.lead(email="bob@x.test")
        client.post(f"{self.MEMBERS}/status.json", {"statusName": "Invited", "input": [{"leadId": ada}]})
        rows = [{"leadId": ada, "seat": "A1"}, {"leadId": bob, "seat": "A2"}, {"leadId": ada, "statusName": "x"}]
        assert codes(client.post(f"{self.MEMBERS}.json", {"input": rows})) == ["updated", "1013", "1003"]
        gone = {"input": [{"leadId": ada}, {"leadId": bob}]}
        assert codes(client.post(f"{self.MEMBERS}/delete.json", gone)) == ["deleted", "1037"]
        (described,) = client.get("/rest/v1/programs/members/describe.json")
        assert {"seat", "registrationCode", "statusName"} <= {field["name"] for field in described["fields"]}

    def test_custom_activities(self, client: Client) -> None:
        (kind,) = client.get("/rest/v1/activities/external/type/attendConference/describe.json")
        assert client.get("/rest/v1/activities/external/types.json")[0]["id"] == kind["id"]
        good = {
            "leadId": client.lead(email="ada@x.test"),
            "activityDate": "2026-09-26T06:56:35+07:00",
            "activityTypeId": kind["id"],
            "primaryAttributeValue": "Summit",
            "attributes": [{"apiName": "numberOfAttendees", "value": 7}],
        }
        bad = [
            {**good, "leadId": 404},
            {**good, "activityTypeId": 1},
            {**good, "primaryAttributeValue": ""},
            {**good, "attributes": [{"apiName": "nonsense", "value": 1}]},
            {**good, "attributes": [{"apiName": "numberOfAttendees", "value": "many"}]},
        ]
        rows = client.post("/rest/v1/activities/external.json", {"input": [good, good, *bad]})
        assert [row["status"] for row in rows] == ["added"] * 2 + ["skipped"] * 5
        assert rows[0]["marketoGUID"] != rows[1]["marketoGUID"]
        assert [row["errors"][0]["code"] for row in rows[2:]] == ["1004", "1013", "1002", "1006", "1001"]


class TestImports:
    def status(self, client: Client, batch: int) -> dict[str, Any]:
        return client.get(f"/bulk/v1/leads/batch/{batch}.json")[0]

    def test_an_import_of_leads(self, client: Client) -> None:
        text = "email,firstName,leadScore\nada@x.test,Ada,3\nbad address,Bob,4\neve@x.test,Eve,many\n,Nobody,1\n"
        (job,) = client.imports(text, listId=1001)
        assert (job["status"], job["importId"]) == ("Queued", str(job["batchId"]))
        state = self.status(client, job["batchId"])
        assert (state["status"], state["numOfLeadsProcessed"]) == ("Complete", 2)
        assert (state["numOfRowsFailed"], state["numOfRowsWithWarning"]) == (2, 1)
        path = f"/bulk/v1/leads/batch/{job['batchId']}"
        assert client.call("GET", f"{path}/failures.json").text.splitlines() == [
            "email,firstName,leadScore,Import Failure Reason",
            "eve@x.test,Eve,many,Invalid data type in field Lead Score",
            ",Nobody,1,Value for lookup field 'email' not found",
        ]
        assert client.call("GET", f"{path}/warnings.json").text.splitlines()[1:] == [
            "bad address,Bob,4,Invalid email address"
        ]
        assert len(client.get("/rest/v1/lists/1001/leads.json")) == 2

    def test_a_perfect_import_has_no_files(self, client: Client) -> None:
        (job,) = client.imports("email;firstName\nada@x.test;Ada\n", format="ssv")
        assert self.status(client, job["batchId"])["message"] == "Import succeeded, 1 records imported (1 members)"
        assert client.call("GET", f"/bulk/v1/leads/batch/{job['batchId']}/failures.json").status_code == 404

    def test_by_id_an_import_only_updates(self, client: Client) -> None:
        lead = client.lead(email="ada@x.test")
        (job,) = client.imports(f"id,firstName\n{lead},Ada\n404,Bob\n", lookupField="id")
        assert self.status(client, job["batchId"])["numOfRowsFailed"] == 1
        assert client.values(lead, "firstName") == ["Ada"]

    def test_custom_objects(self, client: Client) -> None:
        base = "/bulk/v1/customobjects/car_c/import"
        (job,) = client.imports("vin,make\nv1,BMW\n,Audi\n", f"{base}.json")
        (state,) = client.get(f"{base}/{job['batchId']}/status.json")
        assert (state["numOfObjectsProcessed"], state["numOfRowsFailed"], state["objectApiName"]) == (1, 1, "car_c")
        failures = client.call("GET", f"{base}/{job['batchId']}/failures.json").text
        assert failures.splitlines()[1] == ",Audi,missing.dedupe.fields"

    def test_the_queue(self, client: Client, clock: Clock) -> None:
        client.sandbox.configure("marketo", import_seconds=10.0)
        jobs = [client.imports(f"email\nu{n}@x.test\n")[0]["batchId"] for n in range(10)]
        text = {"file": ("rows.csv", b"email\nx@x.test\n", "text/csv")}
        url = client.sandbox.url("marketo") + "/bulk/v1/leads.json?format=csv"
        refused = client.session.post(url, files=text, timeout=10).json()
        assert refused["errors"][0]["code"] == "1016"
        assert [self.status(client, job)["status"] for job in jobs[:3]] == ["Importing", "Importing", "Queued"]
        clock.now += 10
        assert [self.status(client, job)["status"] for job in jobs[:3]] == ["Complete", "Complete", "Importing"]

    def test_an_import_is_remembered_for_a_week(self, client: Client, clock: Clock) -> None:
        (job,) = client.imports("email\nada@x.test\n")
        clock.now += 7 * 86_400 + 1
        client = Client(client.sandbox)
        assert client.refusal("GET", f"/bulk/v1/leads/batch/{job['batchId']}.json")[0] == "1013"
        client.session.close()

    def test_a_file_can_be_too_large(self, client: Client) -> None:
        url = client.sandbox.url("marketo") + "/bulk/v1/leads.json?format=csv"
        files = {"file": ("rows.csv", b"x" * 10_000_001, "text/csv")}
        assert client.session.post(url, files=files, timeout=30).status_code == 413


class TestSetup:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("fields: {people: [{name: a, dataType: string}]}", "`people`|'people'"),
            ("field: {}", "`field`. Did you mean `fields`"),
            ("fields: {leads: [{name: a b, dataType: string}]}", "a b"),
            ("fields: {leads: [{name: ab, dataType: strange}]}", "strange"),
            ("customObjects: [{apiName: x, dedupeFields: [], fields: []}]", "dedupe"),
            ("fields: [", "cannot be read"),
        ],
    )
    def test_mistakes_are_named(self, sandbox: Sandbox, tmp_path: Path, text: str, reason: str) -> None:
        path = tmp_path / "wrong.yml"
        path.write_text(text)
        with pytest.raises(SandboxError) as caught:
            sandbox.load_setup("marketo", path)
        assert any(part in str(caught.value) for part in reason.split("|"))
