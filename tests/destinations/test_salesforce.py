"""The Salesforce connector against the sandbox: credentials, fields, collections, reading, errors and limits."""

from __future__ import annotations

import contextlib
import time as real_time
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timezone
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr, ValidationError

from revetl_dbt.destinations.base import (
    BatchRejectedError,
    Change,
    ColumnType,
    DestinationError,
    FatalError,
    FieldInfo,
    Operation,
    Pending,
    QuotaExhaustedError,
    RateLimitedError,
    Reference,
    RetryableError,
    Status,
    UnauthorizedError,
    UnknownOutcomeError,
)
from revetl_dbt.destinations.salesforce import Salesforce, SalesforceConfig

from .salesforce_org import Org, batch, person, running, write
from .stub import Answer, OpenGate, Stub

REAL = {"type": "salesforce", "instance_url": "https://acme.my.salesforce.com", "client_id": "app"}


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Org]:
    with running(tmp_path) as org:
        yield org


@pytest.fixture
def salesforce(org: Org) -> Salesforce:
    return org.connect()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class TestCredentials:
    def pem(self, key: rsa.RSAPrivateKey) -> str:
        encoding, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return key.private_bytes(encoding, kind, serialization.NoEncryption()).decode()

    def jwt_connector(self, org: Org, key: rsa.RSAPrivateKey, **more: Any) -> Salesforce:
        org.clock.now = real_time.time()  # a JWT is good for some minutes from now
        kind = serialization.PublicFormat.SubjectPublicKeyInfo
        public = key.public_key().public_bytes(serialization.Encoding.PEM, kind).decode()
        org.sandbox.configure("salesforce", public_key=public)
        given = {"client_id": "revetl", "username": "integration@revetl.example", "private_key": self.pem(key), **more}
        url = org.sandbox.url("salesforce")
        config = SalesforceConfig(type="salesforce", instance_url=url, **given)
        return org.keep(Salesforce(config, org.gate))

    def test_one_login_serves_many_requests(self, org: Org, salesforce: Salesforce) -> None:
        for _ in range(3):
            salesforce.check()
        logins = [entry for entry in org.sandbox.requests() if entry.path.endswith("/services/oauth2/token")]
        assert len(logins) == 1

    def test_a_session_that_ended_is_renewed(self, org: Org, salesforce: Salesforce) -> None:
        account = salesforce.check()
        org.clock.now += 7300
        with pytest.raises(UnauthorizedError, match="Session expired"):
            salesforce.check()
        assert salesforce.renew()
        assert salesforce.check() == account

    def test_a_wrong_secret(self, org: Org, salesforce: Salesforce) -> None:
        salesforce.config.client_secret = SecretStr("wrong")
        with pytest.raises(UnauthorizedError, match="invalid client credentials") as caught:
            salesforce.check()
        assert caught.value.code == "invalid_client"
        assert "wrong" not in str(caught.value)

    def test_a_jwt(self, org: Org, key: rsa.RSAPrivateKey) -> None:
        assert self.jwt_connector(org, key).check().id == org.sandbox.account("salesforce")

    def test_a_jwt_of_somebody_else(self, org: Org, key: rsa.RSAPrivateKey) -> None:
        salesforce = self.jwt_connector(org, key, username="someone@else.example")
        with pytest.raises(UnauthorizedError, match="hasn't approved"):
            salesforce.check()

    def test_a_key_that_is_none_is_not_quoted(self, org: Org, key: rsa.RSAPrivateKey) -> None:
        config = SalesforceConfig(**REAL, username="me@acme.example", private_key="-----BEGIN s3cr3t")
        salesforce = org.keep(Salesforce(config, org.gate))
        with pytest.raises(FatalError, match="no RSA key") as caught:
            salesforce.check()
        assert "s3cr3t" not in repr(caught.value)

    @pytest.mark.parametrize(
        ("url", "audience"),
        [
            ("https://acme.my.salesforce.com", "https://login.salesforce.com"),
            ("https://acme--uat.sandbox.my.salesforce.com", "https://test.salesforce.com"),
        ],
    )
    def test_whom_a_jwt_is_for(self, stub: Stub, key: rsa.RSAPrivateKey, url: str, audience: str) -> None:
        # Line breaks may be written as `\\n` where an environment variable holds one line.
        one_line = self.pem(key).replace("\n", "\\n")
        config = SalesforceConfig(
            **{**REAL, "instance_url": url}, username="me@acme.example", private_key=one_line, base_url=stub.url
        )
        stub.answer(Answer(400, {"error": "invalid_grant", "error_description": "no"}))
        salesforce = Salesforce(config, OpenGate())
        with pytest.raises(UnauthorizedError):
            salesforce.check()
        salesforce.close()
        assertion = stub.last.body.decode().rpartition("assertion=")[2]
        claims = jwt.decode(assertion, options={"verify_signature": False})
        assert (claims["iss"], claims["sub"], claims["aud"]) == ("app", "me@acme.example", audience)
        assert 0 < claims["exp"] - real_time.time() < 300

    @pytest.mark.parametrize(
        "answer",
        [Answer(500), Answer(503), Answer(200, b"<html>"), Answer(200, {"token_type": "Bearer"}), Answer(drop=True)],
    )
    def test_no_token_means_that_nothing_was_sent(self, stub: Stub, answer: Answer) -> None:
        stub.answer(answer)
        salesforce = Salesforce(SalesforceConfig(**REAL, client_secret="x", base_url=stub.url), OpenGate())
        with pytest.raises(RetryableError):
            write(salesforce, "create", person(1))
        salesforce.close()

    @pytest.mark.parametrize(
        ("given", "problem"),
        [
            ({}, "instance_url"),
            ({"instance_url": "https://x.example"}, "client_id"),
            ({**REAL, "type": "salesforce"}, "client_secret"),
            ({**REAL, "username": "me"}, "private_key"),
            ({**REAL, "client_secret": "s", "username": "me", "private_key": "k"}, "two ways"),
        ],
    )
    def test_what_is_missing_is_said(self, given: dict[str, Any], problem: str) -> None:
        with pytest.raises(ValidationError, match=problem):
            SalesforceConfig(**{"type": "salesforce", **given})

    def test_another_org_is_refused(self, org: Org) -> None:
        account = org.connect().check()
        salesforce = org.connect()
        salesforce.config.organization_id = account.id[:15]
        assert salesforce.check() == account
        salesforce.config.organization_id = "00D000000000001"
        with pytest.raises(FatalError, match="not 00D000000000001"):
            salesforce.check()


class TestFields:
    def test_describe(self, salesforce: Salesforce) -> None:
        fields = {info.name: info for info in salesforce.describe("Contact")}
        assert fields["LastName"] == FieldInfo("LastName", "string", "Last Name", required=True, max_length=80)
        assert fields["Ref__c"].unique
        assert fields["Email"].unique
        assert fields["Plan__c"].options == ("free", "pro")
        assert fields["LeadSource"].options is None  # takes other values too
        assert not fields["CreatedDate"].writable
        assert not fields["Vip__c"].required

    def test_an_object_that_is_not_there(self, salesforce: Salesforce) -> None:
        with pytest.raises(FatalError, match="no object `Nothing__c`"):
            salesforce.describe("Nothing__c")

    @pytest.mark.parametrize(
        ("column", "kind", "value", "written"),
        [
            (ColumnType.TEXT, None, "a", "a"),
            (ColumnType.DECIMAL, None, Decimal("1.50"), Decimal("1.50")),
            (ColumnType.BOOLEAN, None, True, True),
            (ColumnType.INTEGER, "string", 7, "7"),
            (ColumnType.DECIMAL, "string", Decimal("1E+3"), "1000"),
            (ColumnType.FLOAT, "string", 1e-7, "0.0000001"),
            (ColumnType.BOOLEAN, "picklist", False, "false"),
            (ColumnType.DATE, "string", date(2024, 2, 29), "2024-02-29"),
            (ColumnType.NESTED, "textarea", {"a": [1]}, '{"a":[1]}'),
            (ColumnType.TEXT, "double", " 1.5 ", Decimal("1.5")),
            (ColumnType.TEXT, "double", "", None),
            (ColumnType.INTEGER, "currency", 7, 7),
            (ColumnType.DECIMAL, "int", Decimal("7.0"), 7),
            (ColumnType.TEXT, "boolean", "TRUE", True),
            (ColumnType.INTEGER, "boolean", 0, False),
            (ColumnType.TIMESTAMPTZ, "date", datetime(2024, 2, 29, 23, tzinfo=timezone.utc), "2024-02-29"),
            (ColumnType.DATE, "datetime", date(2024, 2, 29), "2024-02-29T00:00:00.000+0000"),
            (ColumnType.TIMESTAMP, "datetime", datetime(2024, 2, 29, 1, 2, 3, 4500), "2024-02-29T01:02:03.004+0000"),
            (ColumnType.TIME, "time", time(1, 2, 3), "01:02:03.000Z"),
            (ColumnType.NESTED, "multipicklist", ["a", "b", None], "a;b"),
            (ColumnType.TEXT, "multipicklist", "a;b", "a;b"),
        ],
    )
    def test_encoding(
        self, salesforce: Salesforce, column: ColumnType, kind: str | None, value: Any, written: Any
    ) -> None:
        encode = salesforce.encoder(column, FieldInfo("F__c", kind) if kind else None)
        assert encode is not None
        assert encode(value) == written
        assert type(encode(value)) is type(written)
        assert encode(None) is (False if kind == "boolean" else None)

    @pytest.mark.parametrize(
        ("column", "kind", "value"),
        [
            (ColumnType.TEXT, "double", "many"),
            (ColumnType.FLOAT, "double", float("nan")),
            (ColumnType.TEXT, "double", "Infinity"),
            (ColumnType.DECIMAL, "int", Decimal("7.5")),
            (ColumnType.TEXT, "boolean", "yes"),
            (ColumnType.INTEGER, "boolean", 2),
            (ColumnType.FLOAT, "boolean", 1.0),
            (ColumnType.BOOLEAN, "currency", True),
            (ColumnType.INTEGER, "date", 20240229),
            (ColumnType.NESTED, "multipicklist", ["a;b"]),
        ],
    )
    def test_values_that_cannot_be_written(
        self, salesforce: Salesforce, column: ColumnType, kind: str, value: Any
    ) -> None:
        encode = salesforce.encoder(column, FieldInfo("F__c", kind))
        assert encode is not None
        with pytest.raises(ValueError, match=r"number|true|column|picklist"):
            encode(value)

    @pytest.mark.parametrize("column", list(ColumnType))
    def test_a_new_field_can_be_written_at_once(self, org: Org, column: ColumnType) -> None:
        salesforce = org.connect()
        made = salesforce.create_field("Contact", "New_one__c", column)
        assert (made.name, made.label, made.writable) == ("New_one__c", "New one", True)
        value = {
            ColumnType.TEXT: "a",
            ColumnType.INTEGER: 1,
            ColumnType.DECIMAL: Decimal("1.5"),
            ColumnType.FLOAT: 1.5,
            ColumnType.BOOLEAN: True,
            ColumnType.DATE: date(2024, 2, 29),
            ColumnType.TIMESTAMP: datetime(2024, 2, 29),
            ColumnType.TIMESTAMPTZ: datetime(2024, 2, 29, tzinfo=timezone.utc),
            ColumnType.TIME: time(1, 2, 3),
            ColumnType.NESTED: {"a": 1},
        }[column]
        encode = salesforce.encoder(column, made)
        assert encode is not None
        assert write(salesforce, "upsert", person(1, New_one__c=encode(value)))[1].status is Status.CREATED
        assert org.one("Contact", "c1")["New_one__c"] is not None

    def test_a_run_that_died_after_making_a_field(self, org: Org) -> None:
        org.sandbox.set_faults([{"kind": "status", "status": 503, "path": "*/FieldPermissions", "times": 1}])
        salesforce = org.connect()
        with pytest.raises(RetryableError):
            salesforce.create_field("Contact", "New__c", ColumnType.TEXT)
        assert salesforce.create_field("Contact", "New__c", ColumnType.TEXT).name == "New__c"
        assert salesforce.create_field("Contact", "New__c", ColumnType.TEXT).name == "New__c"

    def test_fields_that_cannot_be_made(self, org: Org) -> None:
        salesforce = org.connect(permission_set="Nobody")
        with pytest.raises(FatalError, match="end in `__c`"):
            salesforce.create_field("Contact", "Plan", ColumnType.TEXT)
        with pytest.raises(FatalError, match="no permission set `Nobody`"):
            salesforce.create_field("Contact", "New__c", ColumnType.TEXT)
        with pytest.raises(FatalError, match="Entity Nothing__c"):
            salesforce.create_field("Nothing__c", "New__c", ColumnType.TEXT)

    def test_without_a_permission_set_nobody_would_see_a_new_field(self, stub: Stub) -> None:
        plain = Salesforce(SalesforceConfig(**REAL, client_secret="x"), OpenGate())
        kind = plain.object_type("Contact")
        assert kind is not None
        assert not kind.creates_fields


class TestUpsert:
    def test_created_then_updated(self, org: Org, salesforce: Salesforce) -> None:
        first = write(salesforce, "upsert", person(1, FirstName="Ada"), person(2))
        assert [outcome.status for outcome in first.values()] == [Status.CREATED] * 2
        again = write(salesforce, "upsert", person(1, FirstName="A."), person(3))
        assert (again[1].status, again[3].status) == (Status.UPDATED, Status.CREATED)
        assert again[1].id == first[1].id == org.one("Contact", "c1")["Id"]
        assert org.one("Contact", "c1")["FirstName"] == "A."
        assert org.asked()[-1] == "PATCH /composite/sobjects/Contact/Ref__c"

    def test_a_known_record_is_found_by_its_id(self, org: Org, salesforce: Salesforce) -> None:
        known = write(salesforce, "upsert", person(1))[1].id
        outcomes = write(salesforce, "upsert", person(1, ref="renamed")._replace(id=known), person(2))
        assert (outcomes[1].status, outcomes[1].id, outcomes[2].status) == (Status.UPDATED, known, Status.CREATED)
        assert [record["Ref__c"] for record in org.records("Contact")] == ["renamed", "c2"]

    def test_a_record_that_somebody_deleted_is_missing(self, org: Org, salesforce: Salesforce) -> None:
        known = write(salesforce, "upsert", person(1))[1].id
        write(salesforce, "delete", person(1)._replace(id=known))
        outcomes = write(salesforce, "upsert", person(1)._replace(id=known))
        assert (outcomes[1].status, outcomes[1].code, outcomes[1].id) == (Status.MISSING, "ENTITY_IS_DELETED", None)
        assert write(salesforce, "upsert", person(1))[1].status is Status.CREATED

    def test_by_a_number(self, org: Org, salesforce: Salesforce) -> None:
        change = Change(1, (1,), {"Number__c": 42}, {"LastName": "L"})
        assert write(salesforce, "upsert", change)[1].status is Status.CREATED
        assert write(salesforce, "upsert", change)[1].status is Status.UPDATED
        assert [
            (found.match, found.fields) for found in salesforce.read("Contact", "Number__c", [42], ["LastName"])
        ] == [(42, {"LastName": "L"})]

    def test_null_clears_and_a_checkbox_becomes_false(self, org: Org, salesforce: Salesforce) -> None:
        write(salesforce, "upsert", person(1, FirstName="Ada", Vip__c=True, Score__c=1.5))
        encode = salesforce.encoder(ColumnType.BOOLEAN, FieldInfo("Vip__c", "boolean"))
        assert encode is not None
        write(salesforce, "upsert", person(1, FirstName=None, Vip__c=encode(None), Score__c=None))
        held = org.one("Contact", "c1")
        assert "FirstName" not in held
        assert "Score__c" not in held
        assert held["Vip__c"] is False

    @pytest.mark.parametrize(
        ("fields", "code", "words"),
        [
            ({"LastName": None}, "REQUIRED_FIELD_MISSING", "LastName"),
            ({"Email": "nobody"}, "INVALID_EMAIL_ADDRESS", "invalid email address: nobody"),
            ({"Short__c": "toolong"}, "STRING_TOO_LONG", "max length=5"),
            ({"Plan__c": "gold"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "gold"),
            ({"Nothing__c": 1}, "INVALID_FIELD", "Nothing__c"),
            ({"CreatedDate": None}, "INVALID_FIELD_FOR_INSERT_UPDATE", "CreatedDate"),
            ({"AccountId": "nobody"}, "MALFORMED_ID", "incorrect type"),
        ],
    )
    def test_a_refused_row_in_words(
        self, org: Org, salesforce: Salesforce, fields: dict[str, Any], code: str, words: str
    ) -> None:
        outcomes = write(salesforce, "upsert", person(1, **fields), person(2))
        assert (outcomes[1].status, outcomes[1].code, outcomes[1].id) == (Status.REJECTED, code, None)
        assert words in str(outcomes[1].message)
        assert outcomes[2].status is Status.CREATED

    def test_a_unique_value_that_another_record_holds(self, salesforce: Salesforce) -> None:
        write(salesforce, "upsert", person(1, Number__c=1))
        outcome = write(salesforce, "upsert", person(2, Number__c=1))[2]
        assert (outcome.status, outcome.code) == (Status.REJECTED, "DUPLICATE_VALUE")

    def test_several_records_match(self, salesforce: Salesforce) -> None:
        accounts = [Change(n, (n,), {"Ref__c": f"a{n}"}, {"Name": "A", "Segment__c": "smb"}) for n in (1, 2)]
        write(salesforce, "upsert", *accounts, kind="Account")
        change = Change(3, (3,), {"Segment__c": "SMB"}, {"Name": "B"})
        outcome = write(salesforce, "upsert", change, kind="Account")[3]
        assert (outcome.status, outcome.code) == (Status.REJECTED, "DUPLICATE_EXTERNAL_ID")
        outcome = write(salesforce, "update", change, kind="Account")[3]
        assert (outcome.status, outcome.code) == (Status.REJECTED, "ambiguous")
        assert "`Segment__c`" in str(outcome.message)

    def test_a_locked_row_is_sent_again(self, org: Org, salesforce: Salesforce) -> None:
        text = "UNABLE_TO_LOCK_ROW: unable to obtain exclusive access to this record"
        org.sandbox.set_faults([{"kind": "poison", "field": "LastName", "equals": "Locked", "message": text}])
        outcomes = write(salesforce, "upsert", person(1, LastName="Locked"), person(2))
        assert (outcomes[1].status, outcomes[1].code) == (Status.RETRY, "UNABLE_TO_LOCK_ROW")
        assert outcomes[2].status is Status.CREATED

    def test_a_lock_in_somebodys_trigger(self, stub: Stub, offline: Salesforce) -> None:
        text = (
            "UpdateAccount: execution of AfterUpdate caused by: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access"
        )
        error = {"statusCode": "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "message": text, "fields": []}
        stub.answer(Answer(200, [{"success": False, "errors": [error]}]))
        assert write(offline, "upsert", person(1))[1].status is Status.RETRY

    def test_a_value_of_the_wrong_type_fails_all(self, salesforce: Salesforce) -> None:
        with pytest.raises(BatchRejectedError, match="Cannot deserialize") as caught:
            write(salesforce, "upsert", person(1, Seen__c="yesterday"), person(2))
        assert caught.value.code == "JSON_PARSER_ERROR"

    @pytest.mark.parametrize("match", [{}, {"Id": "003000000000001AAA"}])
    def test_record_ids_cannot_be_made_up(self, salesforce: Salesforce, match: dict[str, Any]) -> None:
        with pytest.raises(FatalError, match="use `mode: update`"):
            write(salesforce, "upsert", Change(1, (1,), match, {"LastName": "L"})._replace(id="no id"))

    def test_a_field_that_finds_no_records_is_fatal(self, salesforce: Salesforce) -> None:
        with pytest.raises(FatalError, match="external ID field does not exist"):
            write(salesforce, "upsert", Change(1, (1,), {"Short__c": "a"}, {"LastName": "L"}))

    def test_more_than_a_collection_holds(self, salesforce: Salesforce) -> None:
        with pytest.raises(ValueError, match="201"):
            write(salesforce, "upsert", *[person(n) for n in range(201)])


class TestParents:
    @pytest.fixture(autouse=True)
    def parents(self, salesforce: Salesforce) -> None:
        write(salesforce, "upsert", Change(1, (1,), {"Ref__c": "acme"}, {"Name": "Acme"}), kind="Account")
        write(salesforce, "upsert", person(1, ref="ada"))

    def test_by_their_external_id(self, org: Org, salesforce: Salesforce) -> None:
        outcome = write(salesforce, "upsert", person(2, AccountId=Reference("Account", "Ref__c", "acme")))[2]
        assert outcome.status is Status.CREATED
        assert org.one("Contact", "c2")["AccountId"] == org.one("Account", "acme")["Id"]
        assert write(salesforce, "upsert", person(2, AccountId=None))[2].status is Status.UPDATED
        assert "AccountId" not in org.one("Contact", "c2")

    def test_of_several_objects(self, org: Org, salesforce: Salesforce) -> None:
        fields = {
            "Subject": "Call",
            "WhoId": Reference("Contact", "Ref__c", "ada"),
            "WhatId": Reference("Account", "Ref__c", "acme"),
        }
        outcome = write(salesforce, "append", Change(1, (1,), {}, fields), kind="Task")[1]
        assert outcome.status is Status.CREATED
        (task,) = org.records("Task")
        assert (task["WhoId"], task["WhatId"]) == (org.one("Contact", "ada")["Id"], org.one("Account", "acme")["Id"])

    def test_one_that_is_not_there(self, salesforce: Salesforce) -> None:
        outcome = write(salesforce, "upsert", person(2, AccountId=Reference("Account", "Ref__c", "none")))[2]
        assert outcome.status is Status.REJECTED
        assert "Foreign key external ID: none not found for field Ref__c in entity Account" in str(outcome.message)

    def test_a_field_that_refers_to_nothing(self, salesforce: Salesforce) -> None:
        with pytest.raises(FatalError, match=r"`Contact\.Email` refers to no other record"):
            write(salesforce, "upsert", person(2, Email=Reference("Account", "Ref__c", "acme")))


class TestUpdateAndRemove:
    def test_by_a_match_that_is_looked_up(self, org: Org, salesforce: Salesforce) -> None:
        write(salesforce, "upsert", person(1), person(2))
        outcomes = write(salesforce, "update", person(1, ref="C1", FirstName="Ada"), person(3))
        assert (outcomes[1].status, outcomes[3].status) == (Status.UPDATED, Status.MISSING)
        assert org.asked()[-2:] == ["GET /query", "PATCH /composite/sobjects"]

    def test_by_record_id(self, org: Org, salesforce: Salesforce) -> None:
        known = str(write(salesforce, "upsert", person(1))[1].id)
        by_id = Change(5, (5,), {"Id": known[:15]}, {"FirstName": "Ada"})
        assert write(salesforce, "update", by_id)[5].status is Status.UPDATED
        assert org.one("Contact", "c1")["FirstName"] == "Ada"
        no_id = by_id._replace(match={"Id": "../x"})
        unknown = by_id._replace(match={"Id": known[:8] + "0" * 10})
        assert write(salesforce, "update", no_id)[5].status is Status.MISSING
        assert write(salesforce, "update", unknown)[5].status in (Status.MISSING, Status.REJECTED)

    def test_a_match_field_that_nobody_writes_is_left_out(self, org: Org, salesforce: Salesforce) -> None:
        salesforce.describe("Contact")
        write(salesforce, "upsert", person(1, FirstName="Ada"))
        change = Change(1, (1,), {"Name": "Ada Lovelace"}, {"FirstName": "A."})
        assert write(salesforce, "update", change)[1].status is Status.UPDATED

    def test_delete(self, org: Org, salesforce: Salesforce) -> None:
        known = write(salesforce, "upsert", person(1), person(2))
        outcomes = write(salesforce, "delete", person(1)._replace(id=known[1].id), person(2), person(3))
        assert {seq: outcome.status for seq, outcome in outcomes.items()} == {
            1: Status.DELETED,
            2: Status.DELETED,
            3: Status.MISSING,
        }
        assert (outcomes[2].id, len(org.records("Contact")), len(org.records("Contact", deleted=True))) == (
            known[2].id,
            0,
            2,
        )
        again = write(salesforce, "delete", person(1)._replace(id=known[1].id))[1]
        assert (again.status, again.code) == (Status.MISSING, "ENTITY_IS_DELETED")

    def test_erasing_takes_a_job(self, salesforce: Salesforce) -> None:
        kind = salesforce.object_type("Contact")
        assert kind is not None
        assert kind.bulk[Operation.ERASE].threshold == 0
        with pytest.raises(FatalError, match=r"Bulk API 2\.0 only"):
            write(salesforce, "erase", person(1))

    def test_create_is_not_to_be_repeated(self, org: Org, salesforce: Salesforce) -> None:
        outcomes = write(salesforce, "create", person(1), person(2))
        assert [outcome.status for outcome in outcomes.values()] == [Status.CREATED] * 2
        assert write(salesforce, "create", person(1))[1].code == "DUPLICATE_VALUE"
        kind = salesforce.object_type("Contact")
        assert kind is not None
        assert not {Operation.CREATE, Operation.APPEND} & kind.idempotent


class TestRead:
    def test_values_that_would_end_a_text(self, salesforce: Salesforce) -> None:
        refs = ["it's", 'a "b"', "back\\slash", "') OR (Name != '", "tab\tand\nline", "naïve 漢字"]
        write(salesforce, "upsert", *[person(n, ref=ref) for n, ref in enumerate(refs)])
        found = list(salesforce.read("Contact", "Ref__c", refs, ["LastName", "Ref__c"]))
        assert sorted(item.match for item in found) == sorted(refs)
        assert all(item.fields == {"LastName": "Lovelace", "Ref__c": item.match} for item in found)

    def test_long_lists_take_several_queries(self, org: Org, salesforce: Salesforce) -> None:
        refs = [f"{n}-{'漢' * 100}" for n in range(30)]
        write(salesforce, "upsert", *[person(n, ref=ref) for n, ref in enumerate(refs)])
        before = len(org.asked())
        assert len(list(salesforce.read("Contact", "Ref__c", refs, []))) == 30
        assert org.asked()[before:] == ["GET /query"] * 4

    def test_pages(self, stub: Stub, offline: Salesforce) -> None:
        pages = [
            {
                "records": [{"Id": "1", "Ref__c": "a"}],
                "done": False,
                "nextRecordsUrl": "/services/data/v67.0/query/01g-1",
            },
            {"records": [{"Id": "2", "Ref__c": "A"}], "done": True},
        ]
        stub.answer(*[Answer(200, page) for page in pages])
        assert [item.id for item in offline.read("Contact", "Ref__c", ["a"], [])] == ["1", "2"]
        assert stub.last.path == "/services/data/v67.0/query/01g-1"

    def test_nothing_is_asked_for_nothing(self, org: Org, salesforce: Salesforce) -> None:
        assert list(salesforce.read("Contact", "Ref__c", [], ["LastName"])) == []
        assert org.asked() == []

    def test_names_are_no_soql(self, salesforce: Salesforce) -> None:
        with pytest.raises(FatalError, match="no API name"):
            salesforce.read("Contact", "Ref__c", ["a"], ["Id FROM Account"])

    def test_where_a_person_sees_it(self, org: Org, salesforce: Salesforce) -> None:
        assert salesforce.record_url("Contact", "003") is None
        real = org.keep(Salesforce(SalesforceConfig(**REAL, client_secret="x"), OpenGate()))
        assert real.record_url("Contact", "003") == "https://acme.my.salesforce.com/lightning/r/Contact/003/view"


@pytest.fixture
def offline(stub: Stub) -> Iterator[Salesforce]:
    """A connector to the stub, logged in."""
    stub.answer(Answer(200, {"access_token": "t"}))
    made = Salesforce(SalesforceConfig(**REAL, client_secret="x", base_url=stub.url), OpenGate())
    made.auth()
    yield made
    made.close()


def refusal(code: str, message: str = "words") -> list[dict[str, str]]:
    return [{"errorCode": code, "message": message}]


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "body", "kind", "code"),
        [
            (300, ["/services/data/v67.0/sobjects/Contact/003"], BatchRejectedError, "300"),
            (400, refusal("JSON_PARSER_ERROR"), BatchRejectedError, "JSON_PARSER_ERROR"),
            (400, refusal("INVALID_FIELD"), FatalError, "INVALID_FIELD"),
            (400, refusal("INVALID_TYPE"), FatalError, "INVALID_TYPE"),
            (401, refusal("INVALID_SESSION_ID"), UnauthorizedError, "INVALID_SESSION_ID"),
            (403, refusal("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), QuotaExhaustedError, None),
            (403, refusal("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests Limit exceeded."), RateLimitedError, None),
            (403, refusal("STORAGE_LIMIT_EXCEEDED"), QuotaExhaustedError, None),
            (403, refusal("API_DISABLED_FOR_ORG"), FatalError, "API_DISABLED_FOR_ORG"),
            (404, refusal("NOT_FOUND"), FatalError, "NOT_FOUND"),
            (500, refusal("UNABLE_TO_LOCK_ROW"), RetryableError, "UNABLE_TO_LOCK_ROW"),
            (500, refusal("UNKNOWN_EXCEPTION"), UnknownOutcomeError, "UNKNOWN_EXCEPTION"),
            (502, b"<html>", UnknownOutcomeError, "502"),
            (503, refusal("SERVER_UNAVAILABLE"), RetryableError, "SERVER_UNAVAILABLE"),
            (200, b"", UnknownOutcomeError, None),
            (200, {}, UnknownOutcomeError, "results"),
            (200, [], UnknownOutcomeError, "results"),
        ],
    )
    def test_of_a_request(
        self, stub: Stub, offline: Salesforce, status: int, body: Any, kind: type[DestinationError], code: str | None
    ) -> None:
        stub.answer(Answer(status, body, {"Retry-After": "3"}))
        with pytest.raises(DestinationError) as caught:
            write(offline, "upsert", person(1))
        assert type(caught.value) is kind
        assert code in (None, caught.value.code)
        if status != 200:
            assert caught.value.retry_after == 3

    def test_of_a_row_that_says_nothing(self, stub: Stub, offline: Salesforce) -> None:
        stub.answer(Answer(200, [None]))
        assert write(offline, "upsert", person(1))[1].status is Status.UNKNOWN
        stub.answer(Answer(200, [{"success": False}]))
        assert write(offline, "upsert", person(1))[1].message == "refused without a reason"
        stub.answer(Answer(200, [{"success": True, "id": "003"}]))
        assert write(offline, "upsert", person(1))[1].status is Status.ACCEPTED

    def test_answers_without_what_was_asked_for(self, stub: Stub, offline: Salesforce) -> None:
        for call in (offline.check, lambda: offline.describe("Contact")):
            stub.answer(Answer(200, {"totalSize": 0}))
            with pytest.raises(UnknownOutcomeError):
                call()
        stub.answer(Answer(200, {"records": []}))
        with pytest.raises(UnknownOutcomeError, match="no organization"):
            offline.check()


class TestManners:
    def test_the_orgs_requests_are_left_to_others(self, org: Org) -> None:
        org.sandbox.configure("salesforce", daily_requests=10)
        salesforce = org.connect(leave_requests=7)
        for _ in range(3):
            salesforce.check()
        with pytest.raises(QuotaExhaustedError, match="7 API requests are left"):
            salesforce.check()
        assert len(org.asked()) == 3
        assert [budget.remaining for budget in org.gate.budgets] == [9, 8, 7]

    def test_used_up_requests(self, org: Org) -> None:
        org.sandbox.configure("salesforce", daily_requests=1, enforce_limits=True)
        salesforce = org.connect()
        salesforce.check()
        with pytest.raises(QuotaExhaustedError, match="TotalRequests"):
            salesforce.check()

    def test_more_than_allowed_is_for_salesforce_to_refuse(self, stub: Stub, offline: Salesforce) -> None:
        response = Answer(200, {"records": [{"Id": "00D"}]}, {"Sforce-Limit-Info": "api-usage=101/100"})
        stub.answer(response)
        offline.check()
        gate = offline.gate
        assert isinstance(gate, OpenGate)
        assert gate.budgets == []

    def test_assignment_rules(self, org: Org) -> None:
        org.sandbox.configure("salesforce", assignment_rule=True)
        lead = Change(1, (1,), {"Ref__c": "l1"}, {"LastName": "L", "Company": "Acme"})
        write(org.connect(), "upsert", lead, kind="Lead")
        write(org.connect(assignment_rule=False), "upsert", lead._replace(match={"Ref__c": "l2"}), kind="Lead")
        assert [record["OwnerId"][:3] for record in org.records("Lead")] == ["00G", "005"]

    def test_duplicate_rules(self, org: Org) -> None:
        org.sandbox.configure("salesforce", duplicate_rule=True)
        write(org.connect(), "upsert", person(1, Email="ada@x.test"))
        twin = person(2, Email="ADA@x.test")
        refused = write(org.connect(), "upsert", twin)[2]
        assert (refused.status, refused.code) == (Status.REJECTED, "DUPLICATES_DETECTED")
        assert write(org.connect(allow_duplicates=True), "upsert", twin)[2].status is Status.CREATED

    def test_the_rule_as_an_id(self, stub: Stub) -> None:
        config = SalesforceConfig(**REAL, client_secret="x", base_url=stub.url, assignment_rule="01Q000000000001")
        stub.answer(Answer(200, {"access_token": "t"}), Answer(200, [{"success": True, "created": True, "id": "003"}]))
        salesforce = Salesforce(config, OpenGate())
        write(salesforce, "upsert", person(1))
        salesforce.close()
        assert stub.last.headers["Sforce-Auto-Assign"] == "01Q000000000001"

    def test_letter_case_is_a_setting(self, org: Org) -> None:
        kinds = [org.connect(case_sensitive=value).object_type("Contact") for value in (False, True)]
        assert [kind is not None and kind.match_ignores_case for kind in kinds] == [True, False]

    def test_the_vendors_credentials_stay_out_of_the_sandbox(self) -> None:
        given = SalesforceConfig(
            type="salesforce", sandbox=True, client_id="real", client_secret="s3cr3t", private_key=None, username="me"
        )
        sandboxed = given.in_sandbox("http://127.0.0.1:1", "token")
        assert sandboxed.secrets() == ["token"]
        assert (sandboxed.client_id, sandboxed.username) == ("revetl", None)


ODD = [
    *(b"null", b"[]", b"7", b'"x"', b"{}", b"[null]", b"[7]", b"[[]]", b"[{}]", b"<html>", b"\xff\xfe"),
    *(b'[{"success":true}]', b'[{"success":true,"id":7,"created":"x"}]', b'[{"success":false,"errors":7}]'),
    *(
        b'[{"success":false,"errors":[{"statusCode":"NOT_FOUND","message":[],"fields":7}]}]',
        b'[{"success":[],"errors":["x"]}]',
    ),
    *(b'[{"errorCode":{},"message":7}]', b'{"error":[],"error_description":{}}', b'[{"errorCode":["x"]}]'),
    *(b'{"records":7}', b'{"records":[7]}', b'{"records":[{}]}', b'{"records":[{"Id":{},"Ref__c":{}}]}'),
    *(
        b'{"records":[],"nextRecordsUrl":7}',
        b'{"records":[{"Id":"0","Ref__c":"c1"}],"nextRecordsUrl":"https://x.test/"}',
    ),
    *(b'{"fields":7}', b'{"fields":[7]}', b'{"fields":[{}]}', b'{"fields":[{"name":"Ref__c","picklistValues":[7]}]}'),
    b'{"fields":[{"name":{},"type":[],"length":"x","picklistValues":7,"restrictedPicklist":1}]}',
    *(b'{"id":7}', b'{"id":"../x"}', b'{"id":"750000000000001AAA"}', b'{"state":7}', b'{"state":"JobComplete"}'),
    *(b'{"state":["JobComplete"]}', b'{"state":"Failed","errorMessage":7}', b'{"access_token":7}'),
]


@pytest.mark.parametrize("body", ODD)
@pytest.mark.parametrize("status", [200, 201, 400])
def test_answers_that_nobody_expects(stub: Stub, offline: Salesforce, status: int, body: bytes) -> None:
    """However strange, they are no more than an error or an outcome."""
    stub.answer(Answer(status, body))
    parent = person(1, AccountId=Reference("Account", "Ref__c", "acme"))
    calls: list[Callable[[], object]] = [
        offline.check,
        lambda: offline.describe("Contact"),
        lambda: offline.create_field("Contact", "New__c", ColumnType.TEXT),
        lambda: list(offline.read("Contact", "Ref__c", ["c1"], ["LastName"])),
        *(partial(write, offline, name, person(1)) for name in ("upsert", "update", "create", "append", "delete")),
        *(partial(write, offline, name, person(1)._replace(id="003000000000001AAA")) for name in ("upsert", "delete")),
        partial(write, offline, "upsert", parent),
        *(partial(offline.submit, batch(name, [person(1)]), lambda _: None) for name in ("upsert", "update", "erase")),
        *(partial(offline.poll, batch(name, [person(1)]), "upsert 750") for name in ("upsert", "update", "create")),
        partial(offline.poll, batch("upsert", [person(1)]), "nonsense"),
    ]
    for call in calls:
        with contextlib.suppress(DestinationError):
            call()
    offline.renew()
    with contextlib.suppress(DestinationError):
        offline.check()


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"\n",
        b"x",
        b'"',
        b"sf__Id\n1,2,3\n",
        b'sf__Id,sf__Created,Ref__c\n003,"true\n',
        b"sf__Id,sf__Error,Ref__c\n,,c1\n",
        b"Ref__c\nc1\nc1\n",
        b"Ref__c\n\x00\n",
        b"Ref__c\n" + b"x" * 140_000 + b"\n",
        b"\xff\xfe",
    ],
)
def test_results_that_nobody_expects(stub: Stub, offline: Salesforce, file: bytes) -> None:
    sent = batch("upsert", [person(1), person(2)])
    results = Answer(200, file, {"Content-Type": "text/csv"})
    stub.answer(Answer(200, {"state": "JobComplete"}), results)
    try:
        answer = offline.poll(sent, "upsert 750")
    except UnknownOutcomeError:
        return
    assert not isinstance(answer, Pending)
    assert sorted(outcome.seq for outcome in answer) == [1, 2]
