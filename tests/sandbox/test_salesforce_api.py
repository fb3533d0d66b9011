"""Salesforce's rules for single records, collections, queries and logins."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from revetl_dbt.errors import SandboxError
from revetl_dbt.sandbox import Sandbox
from revetl_dbt.sandbox.salesforce.ids import is_id, record_id, whole

from .conftest import Clock
from .salesforce_client import FIELDS, OBJECTS, Client, codes, error


@pytest.fixture
def setup(tmp_path: Path) -> Path:
    path = tmp_path / "salesforce.yml"
    path.write_text(json.dumps({"objects": OBJECTS, "fields": FIELDS}))
    return path


@pytest.fixture
def sandbox(tmp_path: Path, clock: Clock, setup: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "state", ["salesforce"], now=clock, setup={"salesforce": setup}) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    client = Client(sandbox)
    yield client
    client.session.close()


class TestLogin:
    def test_an_answer_to_client_credentials(self, sandbox: Sandbox, client: Client) -> None:
        answer = client.token().json()
        assert answer["token_type"] == "Bearer"
        assert answer["instance_url"] == sandbox.url("salesforce")
        assert sandbox.account("salesforce") in answer["id"]
        assert "refresh_token" not in answer
        assert "expires_in" not in answer

    @pytest.mark.parametrize(
        ("given", "code"),
        [
            ({"client_secret": "wrong"}, "invalid_client"),
            ({"client_id": "wrong"}, "invalid_client_id"),
            ({"grant_type": "password"}, "unsupported_grant_type"),
            ({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "a.b.c"}, "invalid_grant"),
        ],
    )
    def test_refusals(self, client: Client, given: dict[str, str], code: str) -> None:
        response = client.token(**given)
        assert (response.status_code, response.json()["error"]) == (400, code)

    def test_credentials_in_a_header(self, sandbox: Sandbox) -> None:
        url = sandbox.url("salesforce") + "/services/oauth2/token"
        for secret, status in ((sandbox.token("salesforce"), 200), ("wrong", 400)):
            code = base64.b64encode(f"revetl:{secret}".encode()).decode()
            headers = {"Authorization": f"Basic {code}"}
            answer = requests.post(url, data={"grant_type": "client_credentials"}, headers=headers, timeout=10)
            assert answer.status_code == status
        assert requests.post(url, headers={"Authorization": "Basic %%%"}, timeout=10).status_code == 400
        assert requests.get(url, timeout=10).status_code == 400

    def test_sessions_end(self, client: Client, clock: Clock) -> None:
        assert client.call("GET", "/limits").status_code == 200
        clock.now += 7201
        assert error(client.call("GET", "/limits")) == (401, "INVALID_SESSION_ID")
        client.login()
        assert client.call("GET", "/limits").status_code == 200

    def test_every_answer_tells_the_usage(self, client: Client, sandbox: Sandbox, clock: Clock) -> None:
        sandbox.configure("salesforce", daily_requests=2, enforce_limits=True)
        usage = [client.call("GET", "/limits").headers["Sforce-Limit-Info"] for _ in range(2)]
        assert usage == ["api-usage=1/2", "api-usage=2/2"]
        assert error(client.call("GET", "/limits")) == (403, "REQUEST_LIMIT_EXCEEDED")
        clock.now += 86_401
        client.login()
        assert client.call("GET", "/limits").json()["DailyApiRequests"] == {"Max": 2, "Remaining": 1}

    def test_faults_in_its_own_words(self, client: Client, sandbox: Sandbox) -> None:
        expected = {429: 403, 500: 500, 503: 503, 403: 403, 401: 401}
        for status, answered in expected.items():
            sandbox.set_faults([{"kind": "status", "status": status}])
            response = client.call("GET", "/limits")
            assert response.status_code == answered
            assert response.json()[0]["message"]


class TestOneRecord:
    def test_its_life(self, client: Client) -> None:
        made = client.create(LastName="Lovelace", FirstName="Ada", Ref__c="a")
        assert made[:3] == "003"
        assert is_id(made)
        shown = client.get(made)
        assert (shown["Name"], shown["DoNotCall"], shown["Email"]) == ("Ada Lovelace", False, None)
        assert shown["CreatedDate"].endswith(".000+0000")
        assert client.call("PATCH", f"/sobjects/Contact/{made}", {"Title": "Countess"}).status_code == 204
        assert client.get(made[:15])["Title"] == "Countess"
        assert client.call("DELETE", f"/sobjects/Contact/{made}").status_code == 204
        for method in ("GET", "DELETE", "PATCH"):
            assert client.call(method, f"/sobjects/Contact/{made}", {}).status_code == 404

    def test_by_external_id(self, client: Client) -> None:
        path = "/sobjects/Contact/Ref__c/a%2Fb"
        made = client.call("PATCH", path, {"LastName": "L"})
        assert (made.status_code, made.json()["created"]) == (201, True)
        again = client.call("PATCH", path, {"LastName": "M"})
        assert (again.status_code, again.json()["created"], again.json()["id"]) == (200, False, made.json()["id"])
        assert client.call("GET", path, params={"fields": "LastName"}).json()["LastName"] == "M"
        assert client.call("GET", "/sobjects/Contact/Ref__c/none").status_code == 404
        assert error(client.call("PATCH", "/sobjects/Contact/Title/x", {})) == (404, "NOT_FOUND")
        assert (
            client.call("PATCH", "/sobjects/Contact/Ref__c/new?updateOnly=true", {"LastName": "N"}).status_code == 404
        )

    def test_several_records_match(self, client: Client) -> None:
        for name in "ab":
            client.create("Account", Name=name, Segment__c="smb")
        for method in ("GET", "PATCH"):
            response = client.call(
                method, "/sobjects/Account/Segment__c/SMB", {"Name": "c"} if method == "PATCH" else None
            )
            assert response.status_code == 300
            assert len(response.json()) == 2

    @pytest.mark.parametrize(
        ("method", "path", "expected"),
        [
            ("GET", "/sobjects/Nothing__c/describe", (404, "NOT_FOUND")),
            ("POST", "/sobjects/Nothing__c", (404, "NOT_FOUND")),
            ("GET", "/nowhere", (404, "NOT_FOUND")),
            ("PUT", "/sobjects/Contact", (405, "METHOD_NOT_ALLOWED")),
            ("PATCH", "/composite/sobjects/Contact/Title", (404, "NOT_FOUND")),
            ("GET", "/sobjects/Contact/nonsense", (404, "NOT_FOUND")),
        ],
    )
    def test_what_there_is_not(self, client: Client, method: str, path: str, expected: tuple[int, str]) -> None:
        assert error(client.call(method, path)) == expected

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ({}, (400, "REQUIRED_FIELD_MISSING")),
            ({"LastName": "L", "Nothing__c": 1}, (400, "INVALID_FIELD")),
            ({"LastName": "L", "Id": "003000000000001"}, (400, "INVALID_FIELD")),
            ({"LastName": 5}, (400, "JSON_PARSER_ERROR")),
            ({"LastName": "L", "Score__c": "many"}, (400, "JSON_PARSER_ERROR")),
            ({"LastName": "L", "Score__c": True}, (400, "JSON_PARSER_ERROR")),
            ({"LastName": "L", "Score__c": 1e18}, (400, "NUMBER_OUTSIDE_VALID_RANGE")),
            ({"LastName": "L", "Seen__c": "today"}, (400, "JSON_PARSER_ERROR")),
            ({"LastName": "L", "Birthdate": "2024-02-30"}, (400, "JSON_PARSER_ERROR")),
            ({"LastName": "L", "DoNotCall": None}, (400, "INVALID_TYPE_ON_FIELD_IN_RECORD")),
            ({"LastName": "L", "DoNotCall": "maybe"}, (400, "JSON_PARSER_ERROR")),
            ({"LastName": "L", "Tags__c": "a;z"}, (400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST")),
            ({"LastName": "L", "Tags__c": ["a"]}, (400, "JSON_PARSER_ERROR")),
            ({"LastName": "L", "Who": {"Ref__c": "a"}}, (400, "INVALID_FIELD")),
        ],
    )
    def test_refused_values(self, client: Client, values: dict[str, Any], expected: tuple[int, str]) -> None:
        assert error(client.call("POST", "/sobjects/Contact", values)) == expected

    def test_values_as_they_are_kept(self, client: Client) -> None:
        made = client.create(
            LastName="  L  ",
            Score__c="1.50",
            Seen__c="2024-02-29T12:00:00.5+02:00",
            At__c="01:02:03",
            Tags__c="a;b",
            LeadSource="Something else",
            Title="",
        )
        shown = client.get(made)
        assert (shown["LastName"], shown["Score__c"], shown["At__c"]) == ("L", 1.5, "01:02:03.000Z")
        assert shown["Seen__c"] == "2024-02-29T10:00:00.500+0000"
        assert (shown["Tags__c"], shown["LeadSource"], shown["Title"]) == ("a;b", "Something else", None)


class TestCollections:
    def test_results_in_order_and_each_on_its_own(self, client: Client) -> None:
        results = client.upsert({"Ref__c": "1"}, {"Ref__c": "2", "Email": "x"}, {"Ref__c": "3"})
        assert codes(results) == [None, "INVALID_EMAIL_ADDRESS", None]
        assert [result.get("created") for result in results] == [True, False, True]
        assert "id" not in results[1]
        assert results[1]["errors"][0]["fields"] == ["Email"]
        again = client.upsert({"Ref__c": "3"}, {"Ref__c": "1"})
        assert [(r["id"], r["created"]) for r in again] == [(results[2]["id"], False), (results[0]["id"], False)]

    def test_all_or_none(self, client: Client) -> None:
        results = client.upsert({"Ref__c": "1"}, {"Ref__c": "2", "Email": "x"}, allOrNone=True)
        assert codes(results) == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "INVALID_EMAIL_ADDRESS"]
        assert client.query("SELECT COUNT() FROM Contact")["totalSize"] == 0

    def test_a_value_twice(self, client: Client) -> None:
        assert codes(client.upsert({"Ref__c": "1"}, {"Ref__c": "1"}, {})) == [
            None,
            "DUPLICATE_VALUE",
            "MISSING_ARGUMENT",
        ]

    def test_letter_case(self, client: Client) -> None:
        first, second = client.upsert({"Ref__c": "Ab"}, {"Ref__c": "x"})
        assert client.upsert({"Ref__c": "aB"})[0]["id"] == first["id"]
        for code in ("Ab", "aB"):
            made = client.collect("PATCH", "/Contact/Code__c", {"Code__c": code, "LastName": "L"})
            assert made[0]["created"] is True
        assert second["created"]

    def test_update(self, client: Client) -> None:
        made = client.create(LastName="L")
        gone = client.create(LastName="G")
        client.call("DELETE", f"/sobjects/Contact/{gone}")
        records = [
            {"id": made, "Title": "T"},
            {"id": gone},
            {"id": "nonsense"},
            {"Title": "T"},
            {"id": record_id("003", 999)},
        ]
        assert codes(client.collect("PATCH", "", *records)) == [
            None,
            "ENTITY_IS_DELETED",
            "MALFORMED_ID",
            "MISSING_ARGUMENT",
            "INVALID_CROSS_REFERENCE_KEY",
        ]
        assert codes(client.collect("PATCH", "", {"id": made, "LastName": None})) == ["REQUIRED_FIELD_MISSING"]

    def test_parents(self, client: Client) -> None:
        account = client.create("Account", Name="Acme", Ref__c="acme")
        client.create("Account", Name="B", Segment__c="x")
        client.create("Account", Name="C", Segment__c="x")
        results = client.upsert(
            {"Ref__c": "1", "Account": {"Ref__c": "acme"}},
            {"Ref__c": "2", "Account": {"Ref__c": "none"}},
            {"Ref__c": "3", "Account": {"Segment__c": "x"}},
            {"Ref__c": "4", "Account": {"Phone": "1"}},
        )
        assert codes(results) == [None, "INVALID_FIELD", "DUPLICATE_EXTERNAL_ID", "INVALID_FIELD"]
        assert client.get(results[0]["id"])["AccountId"] == account
        own = client.upsert({"Ref__c": "5", "Mentor__r": {"Ref__c": "1"}})
        assert client.get(own[0]["id"])["Mentor__c"] == results[0]["id"]
        body = {"records": [{"attributes": {"type": "Task"}, "Who": {"Ref__c": "1"}}]}
        assert error(client.call("POST", "/composite/sobjects", body)) == (400, "INVALID_FIELD")

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({}, "JSON_PARSER_ERROR"),
            ({"records": [{}]}, "INVALID_INPUT"),
            ({"records": [{"attributes": {"type": "Nothing__c"}}]}, "INVALID_INPUT"),
            ({"records": [], "allOrNone": "no"}, "JSON_PARSER_ERROR"),
            ({"records": [{"attributes": {"type": "Contact"}, "id": "003000000000001"}]}, "INVALID_FIELD"),
            ({"records": [{"attributes": {"type": "Contact"}}] * 201}, "EXCEEDED_ID_LIMIT"),
        ],
    )
    def test_malformed_requests(self, client: Client, body: dict[str, Any], code: str) -> None:
        assert error(client.call("POST", "/composite/sobjects", body)) == (400, code)

    def test_one_type_in_an_upsert(self, client: Client) -> None:
        body = {"records": [{"attributes": {"type": "Account"}, "Ref__c": "a", "Name": "A"}]}
        assert error(client.call("PATCH", "/composite/sobjects/Contact/Ref__c", body)) == (400, "INVALID_INPUT")
        assert error(client.call("POST", "/composite/sobjects", data=b"[1")) == (400, "JSON_PARSER_ERROR")
        assert error(client.call("POST", "/composite/sobjects", [])) == (400, "JSON_PARSER_ERROR")

    def test_delete_and_read(self, client: Client) -> None:
        ids = [result["id"] for result in client.upsert(*[{"Ref__c": str(n)} for n in range(3)])]
        listed = ",".join([ids[0], "nonsense", ids[0]])
        results = client.call("DELETE", "/composite/sobjects", params={"ids": listed}).json()
        assert codes(results) == [None, "MALFORMED_ID", "ENTITY_IS_DELETED"]
        both = client.call("DELETE", "/composite/sobjects", params={"ids": f"{ids[1]},x", "allOrNone": "true"}).json()
        assert codes(both) == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "MALFORMED_ID"]
        params = {"ids": ",".join(ids), "fields": "Ref__c"}
        read = client.call("GET", "/composite/sobjects/Contact", params=params).json()
        assert [row and row["Ref__c"] for row in read] == [None, "1", "2"]
        assert error(client.call("DELETE", "/composite/sobjects")) == (400, "EXCEEDED_ID_LIMIT")
        assert error(client.call("GET", "/composite/sobjects/Contact", params={"ids": ids[0]}))[0] == 400
        again = client.upsert({"Ref__c": "0"})
        assert again[0]["created"] is True  # what is in the Recycle Bin is not found

    def test_records_that_a_fault_refuses(self, client: Client, sandbox: Sandbox) -> None:
        rule = {"kind": "poison", "field": "LastName", "equals": "P"}
        sandbox.set_faults([rule])
        assert codes(client.upsert({"Ref__c": "1", "LastName": "P"}, {"Ref__c": "2"})) == [
            "FIELD_CUSTOM_VALIDATION_EXCEPTION",
            None,
        ]
        sandbox.set_faults([{**rule, "whole_batch": True}])
        body = {"records": [{"attributes": {"type": "Contact"}, "LastName": "P"}]}
        assert error(client.call("POST", "/composite/sobjects", body)) == (400, "JSON_PARSER_ERROR")
        assert error(client.call("POST", "/sobjects/Contact", {"LastName": "P"})) == (400, "JSON_PARSER_ERROR")


class TestQueries:
    @pytest.fixture(autouse=True)
    def people(self, client: Client) -> None:
        client.create("Account", Name="Acme", Ref__c="acme")
        client.upsert(
            {"Ref__c": "1", "FirstName": "Ada", "Score__c": 3, "Account": {"Ref__c": "acme"}},
            {"Ref__c": "2", "FirstName": 'it\'s \\ "b"\nx', "Score__c": 1},
            {"Ref__c": "3", "DoNotCall": True},
        )

    @pytest.mark.parametrize(
        ("where", "refs"),
        [
            ("Ref__c = '2'", ["2"]),
            ("Ref__c IN ('3', '1')", ["3", "1"]),
            ("FirstName = 'it\\'s \\\\ \\\"b\\\"\\nx'", ["2"]),
            ("firstname LIKE 'AD%'", ["1"]),
            ("Score__c > 1", ["1"]),
            ("Score__c IN (1, 3) AND FirstName != null", ["1", "2"]),
            ("DoNotCall = true", ["3"]),
            ("Score__c = null", ["3"]),
            ("CreatedDate > 2020-01-01T00:00:00Z", ["1", "2", "3"]),
            ("Ref__c = 'none'", []),
        ],
    )
    def test_conditions(self, client: Client, where: str, refs: list[str]) -> None:
        found = client.query(f"SELECT Ref__c FROM Contact WHERE {where}")
        assert sorted(row["Ref__c"] for row in found["records"]) == sorted(refs)
        assert (found["totalSize"], found["done"]) == (len(refs), True)

    def test_parents_order_and_limit(self, client: Client) -> None:
        found = client.query("SELECT Ref__c, Account.Name FROM Contact ORDER BY Ref__c DESC LIMIT 3")["records"]
        assert [(row["Ref__c"], row["Account"]) for row in found] == [("3", None), ("2", None), ("1", {"Name": "Acme"})]
        assert found[0]["attributes"]["type"] == "Contact"

    def test_deleted_records_are_found_only_when_asked_for(self, client: Client) -> None:
        (row,) = client.query("SELECT Id FROM Contact WHERE Ref__c = '1'")["records"]
        client.call("DELETE", f"/sobjects/Contact/{row['Id']}")
        assert client.query("SELECT Id FROM Contact WHERE Ref__c = '1'")["totalSize"] == 0
        found = client.query("SELECT Id, IsDeleted FROM Contact WHERE Ref__c = '1'", "/queryAll")["records"]
        assert [record["IsDeleted"] for record in found] == [True]

    def test_the_org_itself(self, client: Client, sandbox: Sandbox) -> None:
        (org,) = client.query("SELECT Id, Name FROM Organization")["records"]
        assert org["Id"] == sandbox.account("salesforce")
        assert client.query("SELECT Id FROM PermissionSet WHERE Name = 'nobody'")["records"] == []

    @pytest.mark.parametrize(
        ("soql", "code"),
        [
            ("SELECT Id FROM Nothing__c", "INVALID_TYPE"),
            ("SELECT Nothing__c FROM Contact", "INVALID_FIELD"),
            ("SELECT Nothing__c FROM Organization", "INVALID_FIELD"),
            ("SELECT Id FROM Contact WHERE Nothing__c = 1", "INVALID_FIELD"),
            ("SELECT Id FROM Contact WHERE Score__c = '1'", "INVALID_FIELD"),
            ("SELECT Id FROM Contact WHERE Ref__c = 1", "INVALID_FIELD"),
            ("SELECT Boss.Name FROM Contact", "INVALID_FIELD"),
            ("SELECT Id FROM Contact WHERE", "MALFORMED_QUERY"),
            ("SELECT Id FROM Contact WHERE Ref__c IN '1'", "MALFORMED_QUERY"),
            ("SELECT Id FROM Contact WHERE Ref__c = '1' OR Id = '2'", "MALFORMED_QUERY"),
            ("SELECT Id FROM Contact WHERE Ref__c ~ '1'", "MALFORMED_QUERY"),
            ("DELETE FROM Contact", "MALFORMED_QUERY"),
            ("", "MALFORMED_QUERY"),
        ],
    )
    def test_refused_queries(self, client: Client, soql: str, code: str) -> None:
        assert error(client.call("GET", "/query", params={"q": soql})) == (400, code)

    def test_a_url_that_is_too_long(self, client: Client) -> None:
        soql = f"SELECT Id FROM Contact WHERE Ref__c = '{'x' * 17_000}'"
        assert client.call("GET", "/query", params={"q": soql}).status_code == 414

    def test_a_locator_that_is_none(self, client: Client) -> None:
        assert error(client.call("GET", "/query/01gnothing-2000")) == (400, "INVALID_QUERY_LOCATOR")


class TestDefinitions:
    def test_describe(self, client: Client) -> None:
        described = client.call("GET", "/sobjects/contact/describe").json()
        fields = {item["name"]: item for item in described["fields"]}
        assert (fields["LastName"]["nillable"], fields["LastName"]["defaultedOnCreate"]) == (False, False)
        assert (fields["DoNotCall"]["nillable"], fields["DoNotCall"]["defaultedOnCreate"]) == (False, True)
        assert (fields["Ref__c"]["externalId"], fields["Ref__c"]["idLookup"]) == (True, True)
        assert (fields["Mentor__c"]["relationshipName"], fields["AccountId"]["relationshipName"]) == (
            "Mentor__r",
            "Account",
        )
        assert [option["value"] for option in fields["Plan__c"]["picklistValues"]] == ["free", "pro"]
        assert client.call("GET", "/sobjects/Visit__c").json()["objectDescribe"]["label"] == "Visit"
        assert "Visit__c" in [item["name"] for item in client.call("GET", "/sobjects").json()["sobjects"]]

    def test_custom_objects(self, client: Client) -> None:
        made = client.create("Visit__c", Ref__c="v1")
        assert made[:3] == "a00"
        assert client.get(made, "Visit__c")["Name"]
        assert (
            error(client.call("POST", "/sobjects/Visit__c", {"Ref__c": "v2", "Name": "n"}))[1]
            == "INVALID_FIELD_FOR_INSERT_UPDATE"
        )

    def test_new_fields_are_seen_with_permission_only(self, client: Client) -> None:
        field = {"FullName": "Contact.New__c", "Metadata": {"type": "Text", "label": "New", "length": 10}}
        assert client.call("POST", "/tooling/sobjects/CustomField", field).status_code == 201
        assert error(client.call("POST", "/sobjects/Contact", {"LastName": "L", "New__c": "x"})) == (
            400,
            "INVALID_FIELD",
        )
        grant = {
            "ParentId": "0PS000000000001",
            "SobjectType": "Contact",
            "Field": "Contact.New__c",
            "PermissionsRead": True,
        }
        assert client.call("POST", "/sobjects/FieldPermissions", grant).status_code == 201
        assert client.get(client.create(LastName="L", New__c="x"))["New__c"] == "x"
        assert error(client.call("POST", "/tooling/sobjects/CustomField", field)) == (400, "DUPLICATE_DEVELOPER_NAME")
        assert error(client.call("POST", "/sobjects/FieldPermissions", grant)) == (400, "DUPLICATE_VALUE")
        grant["Field"] = "Contact.None__c"
        assert client.call("POST", "/sobjects/FieldPermissions", grant).status_code == 400
        assert error(client.call("POST", "/sobjects/FieldPermissions", {})) == (400, "REQUIRED_FIELD_MISSING")

    @pytest.mark.parametrize(
        ("field", "code"),
        [
            ({}, "REQUIRED_FIELD_MISSING"),
            ({"FullName": "Nothing.A__c", "Metadata": {}}, "INVALID_CROSS_REFERENCE_KEY"),
            ({"FullName": "Contact.A", "Metadata": {}}, "FIELD_INTEGRITY_EXCEPTION"),
            ({"FullName": "Contact.A__c", "Metadata": {"type": "Magic"}}, "JSON_PARSER_ERROR"),
            ({"FullName": "Contact.A__c", "Metadata": {"type": "Text", "label": "A"}}, "JSON_PARSER_ERROR"),
        ],
    )
    def test_fields_that_cannot_be_made(self, client: Client, field: dict[str, Any], code: str) -> None:
        assert error(client.call("POST", "/tooling/sobjects/CustomField", field)) == (400, code)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("fields: {Nothing__c: []}", "unknown object"),
            ("fields: {Contact: [{name: Plan}]}", "ends in `__c`"),
            ("fields: {Contact: [{name: Plan__c, type: text}]}", "no type `text`"),
            ("fields: {Contact: [{name: Plan__c, size: 3}]}", "no `size`"),
            ("objects: [{name: Visit}]", "ends in `__c`"),
            ("nonsense: 1", "`objects` and `fields` only"),
            ("[", "cannot be read"),
        ],
    )
    def test_setup_files_that_make_no_sense(self, sandbox: Sandbox, tmp_path: Path, content: str, words: str) -> None:
        path = tmp_path / "bad.yml"
        path.write_text(content)
        with pytest.raises(SandboxError, match=words):
            sandbox.load_setup("salesforce", path)

    def test_ids(self) -> None:
        assert whole("00D000000000062") == "00D000000000062EAA"
        assert whole("short") == "short"
        assert not is_id("00D000000000062AAA")
        assert len({record_id("003", n) for n in range(5000)}) == 5000


def test_it_comes_back_as_it_was(tmp_path: Path, setup: Path) -> None:
    with Sandbox(tmp_path / "again", ["salesforce"], setup={"salesforce": setup}) as first:
        client = Client(first)
        made = client.create(LastName="L", Ref__c="a")
        account = first.account("salesforce")
        client.session.close()
    with Sandbox(tmp_path / "again", ["salesforce"]) as second:
        client = Client(second)
        assert client.upsert({"Ref__c": "A"})[0]["id"] == made
        assert second.account("salesforce") == account
        client.session.close()


class TestPages:
    def get(self, sandbox: Sandbox, path: str) -> str:
        response = requests.get(sandbox.base_url + path, timeout=10)
        assert response.status_code == 200
        return response.text

    def test_a_list_and_a_record(self, sandbox: Sandbox, client: Client) -> None:
        client.create("Account", Name="Acme <b>", Ref__c="acme", AnnualRevenue=1234567)
        result = client.upsert(
            {"Ref__c": "1", "FirstName": "Ada", "Plan__c": "pro", "Tags__c": "a;b", "Account": {"Ref__c": "acme"}}
        )
        record = result[0]["id"]
        client.upsert({"Ref__c": "1", "Plan__c": "free", "Birthdate": "1815-12-10", "Seen__c": "2024-02-29T01:02:03Z"})
        listed = self.get(sandbox, "/pages/salesforce/Contact")
        assert "Ada L" in listed
        assert f"/pages/salesforce/Contact/{record}" in listed
        card = self.get(sandbox, f"/pages/salesforce/Contact/{record}")
        for text in ("Plan", "free", "10 Dec 1815", "29 Feb 2024, 01:02 UTC", "Acme &lt;b&gt;", "filled by the sync"):
            assert text in card
        assert "<b>" not in self.get(sandbox, "/pages/salesforce/Account").split("</style>")[1].replace("<b>1</b>", "")
        assert "1,234,567" in self.get(sandbox, "/pages/salesforce/Account?q=acme")
        assert "No contacts match" in self.get(sandbox, "/pages/salesforce/Contact?q=nobody")

    def test_what_there_is_not(self, sandbox: Sandbox) -> None:
        for path in ("/pages/salesforce/Nothing__c", "/pages/salesforce/Contact/003000000000001"):
            assert requests.get(sandbox.base_url + path, timeout=10).status_code == 404

    def test_a_deleted_record_says_so(self, sandbox: Sandbox, client: Client) -> None:
        made = client.create(LastName="L", Email="l@x.test", Title="Dr.")
        client.call("DELETE", f"/sobjects/Contact/{made}")
        assert "deleted" in self.get(sandbox, f"/pages/salesforce/Contact/{made}")
        assert "Salesforce" in self.get(sandbox, "/")
