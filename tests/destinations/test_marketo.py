"""The connector for Marketo against its stand-in, over HTTP."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from revetl_dbt.destinations.base import (
    Batch,
    BatchRejectedError,
    Change,
    ColumnType,
    DestinationError,
    FatalError,
    FieldInfo,
    Operation,
    Outcome,
    Pending,
    QuotaExhaustedError,
    RateLimitedError,
    RetryableError,
    Status,
    UnauthorizedError,
    UnknownOutcomeError,
)
from revetl_dbt.destinations.marketo import Marketo, MarketoConfig, _InFlight
from revetl_dbt.sandbox import Sandbox

from .stub import Answer, OpenGate, Stub

NAMESPACE = uuid.UUID(int=7)
ADA = Change(1, (1,), {"email": "ada@x.test"}, {"firstName": "Ada"})
BOB = Change(2, (2,), {"email": "bob@x.test"}, {"firstName": "Bob"})
SETUP: dict[str, Any] = {
    "fields": {
        "leads": [
            {"name": "userId", "dataType": "integer"},
            {"name": "plan", "dataType": "string"},
            {"name": "about", "dataType": "text"},
        ],
        "members": [{"name": "seat", "dataType": "string"}],
    },
    "customObjects": [
        {
            "apiName": "purchase_c",
            "dedupeFields": ["leadId", "product"],
            "fields": [
                {"name": "leadId", "dataType": "integer"},
                {"name": "product", "dataType": "string"},
                {"name": "amount", "dataType": "float"},
            ],
        }
    ],
    "lists": [{"name": "Customers"}],
    "programs": [{"name": "Webinar"}],
    "activityTypes": [
        {
            "apiName": "attend",
            "name": "Attend",
            "primaryAttribute": {"apiName": "event", "name": "Event", "dataType": "string"},
            "attributes": [{"apiName": "guests", "name": "Guests", "dataType": "integer"}],
        }
    ],
    "partitions": ["Europe"],
}


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(tmp_path: Path, clock: Clock) -> Iterator[Sandbox]:
    path = tmp_path / "marketo.json"
    path.write_text(json.dumps(SETUP))
    with Sandbox(tmp_path / "state", ["marketo"], setup={"marketo": path}, now=clock) as running:
        yield running


@pytest.fixture
def gate() -> OpenGate:
    return OpenGate()


def connected(sandbox: Sandbox, gate: OpenGate, **settings: Any) -> Marketo:
    config = MarketoConfig(type="marketo", sandbox=True, **settings)
    return Marketo(config.in_sandbox(sandbox.url("marketo"), sandbox.token("marketo")), gate)


@pytest.fixture
def marketo(sandbox: Sandbox, gate: OpenGate) -> Iterator[Marketo]:
    made = connected(sandbox, gate)
    yield made
    made.close()


def write(marketo: Marketo, operation: str, *changes: Change, to: str = "leads") -> dict[int, Outcome]:
    outcomes = list(marketo.write(Batch(to, Operation(operation), changes, NAMESPACE)))
    assert sorted(outcome.seq for outcome in outcomes) == sorted(change.seq for change in changes)
    return {outcome.seq: outcome for outcome in outcomes}


def held(marketo: Marketo, email: str, *names: str) -> list[Any] | None:
    found = list(marketo.read("leads", "email", [email], names))
    return [found[0].fields[name] for name in names] if found else None


def paths(sandbox: Sandbox) -> list[str]:
    return [f"{r.method} {r.path.removeprefix('/marketo')}" for r in sandbox.requests() if "identity" not in r.path]


class TestSettings:
    def test_what_lacks_is_named_at_once(self) -> None:
        with pytest.raises(ValidationError, match="`munchkin_id`, `client_id`, `client_secret`"):
            MarketoConfig(type="marketo")

    @pytest.mark.parametrize("number", ["123-abc-456", "https://123-ABC-456.mktorest.com", "123-ABC-456/../x"])
    def test_a_munchkin_id_has_its_form(self, number: str) -> None:
        with pytest.raises(ValidationError):
            MarketoConfig(type="marketo", munchkin_id=number, client_id="a", client_secret="b")

    def test_the_instance_is_the_host(self, gate: OpenGate) -> None:
        config = MarketoConfig(type="marketo", munchkin_id="123-ABC-456", client_id="a", client_secret="b")
        assert Marketo(config, gate).base_url() == "https://123-abc-456.mktorest.com"
        assert config.secrets() == ["b"]

    def test_credentials_do_not_leave_for_the_sandbox(self, sandbox: Sandbox) -> None:
        config = MarketoConfig(type="marketo", munchkin_id="123-ABC-456", client_id="a", client_secret="b")
        there = config.in_sandbox(sandbox.url("marketo"), "t0ken")
        assert (there.client_id, there.secrets(), there.requests_per_second) == ("sandbox", ["t0ken"], None)

    def test_more_than_ten_at_once_is_refused(self) -> None:
        with pytest.raises(ValidationError):
            MarketoConfig(type="marketo", sandbox=True, concurrency=11)


class TestAccount:
    def test_check(self, marketo: Marketo, stub: Stub, gate: OpenGate) -> None:
        assert marketo.check().id == "sandbox"
        token = {"access_token": "t", "expires_in": 3599}
        stub.answer(Answer(200, token), Answer(200, {"success": True, "result": [{"name": "Default"}]}))
        live = Marketo(MarketoConfig(type="marketo", base_url=stub.url, client_id="a", client_secret="s"), gate)
        assert live.check().id == stub.url.removeprefix("http://")
        live.close()

    def test_the_partition_is_checked(self, sandbox: Sandbox, gate: OpenGate) -> None:
        assert connected(sandbox, gate, partition="Europe").check()
        with pytest.raises(FatalError, match="`Mars`"):
            connected(sandbox, gate, partition="Mars").check()


class TestToken:
    def test_one_token_for_all_requests_and_threads(self, sandbox: Sandbox, marketo: Marketo) -> None:
        threads = [threading.Thread(target=marketo.check) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum("identity" in request.path for request in sandbox.requests()) == 1

    def test_an_expired_token_is_renewed(self, sandbox: Sandbox, marketo: Marketo, clock: Clock) -> None:
        marketo.check()
        clock.now += 3600
        with pytest.raises(UnauthorizedError) as caught:
            marketo.check()
        assert caught.value.code == "602"
        assert marketo.renew()
        assert marketo.check()

    def test_a_token_that_ends_now_is_not_used(self, sandbox: Sandbox, gate: OpenGate) -> None:
        sandbox.configure("marketo", token_seconds=0)
        made = connected(sandbox, gate)
        for _ in range(2):
            with pytest.raises(UnauthorizedError):
                made.check()
        assert sum("identity" in request.path for request in sandbox.requests()) == 2

    def test_a_wrong_secret(self, sandbox: Sandbox, gate: OpenGate) -> None:
        config = MarketoConfig(type="marketo", sandbox=True).in_sandbox(sandbox.url("marketo"), "wr0ng")
        with pytest.raises(UnauthorizedError, match="Client authentication failed") as caught:
            Marketo(config, gate).check()
        assert "wr0ng" not in str(caught.value)

    @pytest.mark.parametrize("rule", [{"kind": "reset"}, {"kind": "garbage"}, {"kind": "status", "status": 504}])
    def test_nothing_is_lost_with_a_token(self, sandbox: Sandbox, marketo: Marketo, rule: dict[str, Any]) -> None:
        sandbox.set_faults([{**rule, "path": "*/identity/*"}])
        with pytest.raises(RetryableError):
            write(marketo, "create", ADA)

    def test_an_answer_without_a_token(self, stub: Stub, gate: OpenGate) -> None:
        stub.answer(Answer(200, {"scope": "x"}))
        live = Marketo(MarketoConfig(type="marketo", base_url=stub.url, client_id="a", client_secret="s"), gate)
        with pytest.raises(RetryableError, match="without a token"):
            live.check()
        live.close()


class TestLeads:
    def test_upsert(self, sandbox: Sandbox, marketo: Marketo) -> None:
        made = write(marketo, "upsert", ADA, BOB)
        assert [made[n].status for n in (1, 2)] == [Status.CREATED] * 2
        again = write(marketo, "upsert", ADA._replace(fields={"lastName": "L."}))
        assert again[1] == Outcome(1, Status.UPDATED, made[1].id)
        assert held(marketo, "ADA@x.test", "firstName", "lastName") == ["Ada", "L."]
        assert paths(sandbox)[:2] == ["POST /rest/v1/leads.json"] * 2

    def test_a_refused_row_in_words(self, marketo: Marketo) -> None:
        refused = write(marketo, "upsert", ADA, BOB._replace(fields={"leadScore": "many"}))[2]
        assert refused == Outcome(2, Status.REJECTED, None, "1001", "Invalid value 'many'. Required of type 'score'")

    def test_a_known_id_changes_the_address(self, sandbox: Sandbox, marketo: Marketo) -> None:
        known = write(marketo, "upsert", ADA)[1].id
        moved = ADA._replace(match={"email": "new@x.test"}, id=known)
        assert write(marketo, "upsert", moved)[1] == Outcome(1, Status.UPDATED, known)
        assert (held(marketo, "ada@x.test"), held(marketo, "new@x.test")) == (None, [])

    def test_an_id_that_is_gone_is_found_again_by_the_address(self, marketo: Marketo) -> None:
        gone = write(marketo, "upsert", ADA._replace(id="404"), BOB)
        assert [gone[n].status for n in (1, 2)] == [Status.CREATED] * 2
        assert write(marketo, "update", ADA._replace(id="405"))[1].status is Status.MISSING
        assert write(marketo, "update", ADA._replace(id="no number"))[1].status is Status.MISSING

    def test_update_never_creates(self, marketo: Marketo) -> None:
        assert write(marketo, "update", ADA)[1] == Outcome(1, Status.MISSING, None, "1004", "Lead not found")
        known = write(marketo, "upsert", ADA)[1].id
        by_id = Change(1, (1,), {"id": int(str(known))}, {"lastName": "L."})
        for change in (by_id, ADA):
            assert write(marketo, "update", change)[1] == Outcome(1, Status.UPDATED, known)

    def test_create_never_updates(self, marketo: Marketo) -> None:
        assert write(marketo, "create", ADA)[1].status is Status.CREATED
        assert write(marketo, "create", ADA)[1] == Outcome(1, Status.REJECTED, None, "1005", "Lead already exists")

    def test_nothing_is_created_by_an_id(self, marketo: Marketo) -> None:
        with pytest.raises(FatalError, match="assigns `id` itself"):
            write(marketo, "upsert", Change(1, (1,), {"id": 7}, {}))

    def test_match_on_a_custom_field(self, marketo: Marketo) -> None:
        user = Change(1, (1,), {"userId": 7}, {"email": "ada@x.test"})
        made = write(marketo, "upsert", user)[1].id
        assert write(marketo, "upsert", user._replace(fields={"plan": "paid"}))[1].id == made
        assert [found.id for found in marketo.read("leads", "userId", [7, 8], ["plan"])] == [made]

    def test_the_partition(self, sandbox: Sandbox, gate: OpenGate) -> None:
        made = connected(sandbox, gate, partition="Europe")
        write(made, "upsert", ADA)
        assert sandbox.store.scan("marketo", "leads")[0].properties["leadPartition"] == "Europe"
        assert write(made, "update", ADA)[1].status is Status.UPDATED

    def test_several_leads_of_one_address(self, sandbox: Sandbox, marketo: Marketo) -> None:
        first, second = write(marketo, "upsert", ADA)[1].id, write(marketo, "upsert", BOB)[2].id
        write(marketo, "update", Change(1, (1,), {"id": second}, {"email": "ada@x.test"}))
        assert write(marketo, "upsert", ADA)[1].code == "1007"
        refused = write(marketo, "delete", ADA)[1]
        assert (refused.status, refused.code, refused.message) == (Status.REJECTED, "1007", "2 leads have this `email`")
        assert write(marketo, "delete", ADA._replace(id=first))[1].status is Status.DELETED

    def test_delete(self, marketo: Marketo) -> None:
        known = write(marketo, "upsert", ADA, BOB)[1].id
        gone = write(
            marketo, "delete", ADA._replace(id=known, fields={}), BOB, BOB._replace(seq=3, match={"email": "?"})
        )
        assert [gone[n].status for n in (1, 2, 3)] == [Status.DELETED, Status.DELETED, Status.MISSING]
        assert write(marketo, "delete", ADA._replace(id=known))[1].status is Status.MISSING

    def test_null_clears(self, marketo: Marketo) -> None:
        write(marketo, "upsert", ADA)
        write(marketo, "upsert", ADA._replace(fields={"firstName": None}))
        assert held(marketo, "ada@x.test", "firstName") == [None]

    def test_reading_goes_in_the_body(self, sandbox: Sandbox, marketo: Marketo) -> None:
        marketo.read("leads", "email", ["ada@x.test"], [])
        assert list(marketo.read("leads", "email", [], [])) == []
        assert paths(sandbox) == ["POST /rest/v1/leads.json"]

    def test_reading_pages(self, sandbox: Sandbox, marketo: Marketo) -> None:
        for start in range(0, 600, 300):
            write(
                marketo,
                "upsert",
                *[Change(n, (n,), {"email": f"u{n}@x.test"}, {"plan": "paid"}) for n in range(start, start + 300)],
            )
        assert len(list(marketo.read("leads", "plan", ["paid"], []))) == 600

    def test_a_comma_cannot_be_looked_up(self, marketo: Marketo) -> None:
        with pytest.raises(FatalError, match="holds a comma"):
            marketo.read("leads", "plan", ["a,b"], [])

    def test_more_than_a_request_takes(self, marketo: Marketo) -> None:
        with pytest.raises(ValueError, match="301"):
            write(marketo, "upsert", *[ADA._replace(seq=n) for n in range(301)])


class TestObjects:
    ACME = Change(1, (1,), {"externalCompanyId": "c1"}, {"company": "Acme"})

    def test_companies(self, marketo: Marketo) -> None:
        made = write(marketo, "upsert", self.ACME, to="companies")[1]
        assert made.status is Status.CREATED
        assert write(marketo, "update", self.ACME, to="companies")[1] == Outcome(1, Status.UPDATED, made.id)
        refused = write(marketo, "create", self.ACME, to="companies")[1]
        assert (refused.status, refused.code) == (Status.REJECTED, "1017")
        by_id = Change(1, (1,), {"id": made.id}, {"company": "New"})
        assert write(marketo, "update", by_id, to="companies")[1].status is Status.UPDATED
        (found,) = marketo.read("companies", "id", [made.id], ["company"])
        assert (found.id, found.fields) == (made.id, {"company": "New"})
        assert write(marketo, "delete", self.ACME, to="companies")[1].status is Status.DELETED
        assert write(marketo, "delete", self.ACME, to="companies")[1].status is Status.MISSING

    def test_named_accounts(self, marketo: Marketo) -> None:
        acme = Change(1, (1,), {"name": "Acme"}, {"domainName": "acme.test", "numberOfEmployees": 7})
        made = write(marketo, "upsert", acme, to="namedAccounts")[1]
        assert made.status is Status.CREATED
        by_id = Change(1, (1,), {"marketoGUID": made.id}, {"domainName": "acme.example"})
        assert write(marketo, "update", by_id, to="namedAccounts")[1] == Outcome(1, Status.UPDATED, made.id)
        (found,) = marketo.read("namedAccounts", "name", ["Acme"], ["domainName", "numberOfEmployees"])
        assert (found.id, found.fields) == (made.id, {"domainName": "acme.example", "numberOfEmployees": 7})
        assert not {info.name: info for info in marketo.describe("namedAccounts")}["membershipCount"].writable
        assert write(marketo, "delete", acme, to="namedAccounts")[1].status is Status.DELETED

    def test_a_company_in_use_stays(self, marketo: Marketo) -> None:
        write(marketo, "upsert", self.ACME, to="companies")
        write(marketo, "upsert", ADA._replace(fields={"externalCompanyId": "c1"}))
        refused = write(marketo, "delete", self.ACME, to="companies")[1]
        assert (refused.status, refused.code) == (Status.REJECTED, "1022")

    def test_a_compound_key(self, marketo: Marketo) -> None:
        bought = Change(1, (1,), {"leadId": 7, "product": "pro"}, {"amount": Decimal("1.50")})
        other = bought._replace(seq=2, match={"leadId": 7, "product": "free"})
        made = write(marketo, "upsert", bought, other, to="customObjects/purchase_c")
        assert len(str(made[1].id)) == 36
        again = write(marketo, "upsert", other, bought, to="customObjects/purchase_c")
        assert [again[n].id for n in (1, 2)] == [made[1].id, made[2].id]
        twice = write(marketo, "upsert", bought, bought._replace(seq=2), to="customObjects/purchase_c")
        assert [twice[n].code for n in (1, 2)] == [None, "1036"]

    def test_opportunities_and_roles(self, marketo: Marketo) -> None:
        lead = write(marketo, "upsert", ADA)[1].id
        deal = Change(1, (1,), {"externalOpportunityId": "o1"}, {"name": "Chairs", "amount": Decimal("10.40")})
        assert write(marketo, "upsert", deal, to="opportunities")[1].status is Status.CREATED
        key = {"externalOpportunityId": "o1", "leadId": lead, "role": "Captain"}
        role = Change(1, (1,), key, {"isPrimary": True})
        orphan = Change(2, (2,), {**key, "leadId": 404}, {})
        outcomes = write(marketo, "upsert", role, orphan, to="opportunityRoles")
        assert outcomes[1].status is Status.CREATED
        assert outcomes[2] == Outcome(2, Status.REJECTED, None, "1004", "Lead not found")

    def test_a_native_crm_sync_owns_them(self, sandbox: Sandbox, marketo: Marketo) -> None:
        sandbox.configure("marketo", crm=True)
        with pytest.raises(FatalError, match="a native CRM sync owns these records"):
            write(marketo, "upsert", self.ACME, to="companies")


class TestLists:
    LIST = "lists/1001"

    def test_members_come_and_go(self, sandbox: Sandbox, marketo: Marketo) -> None:
        lead = write(marketo, "upsert", ADA, BOB)[1].id
        member, other = ADA._replace(fields={}), BOB._replace(fields={}, match={"email": "no@x.test"})
        added = write(marketo, "upsert", member, other, to=self.LIST)
        assert added[1] == Outcome(1, Status.CREATED, lead)
        assert added[2] == Outcome(2, Status.REJECTED, None, "1004", "no lead has this `email`")
        found = list(marketo.read(self.LIST, "email", ["ada@x.test", "bob@x.test"], []))
        assert [(item.id, item.match) for item in found] == [(lead, "ada@x.test")]
        gone = write(marketo, "delete", member._replace(id=lead), BOB, other._replace(seq=3), to=self.LIST)
        assert [gone[n].status for n in (1, 2, 3)] == [Status.DELETED, Status.MISSING, Status.MISSING]
        assert not list(marketo.read(self.LIST, "id", [lead], []))

    def test_by_id_there_is_nothing_to_look_up(self, sandbox: Sandbox, marketo: Marketo) -> None:
        lead = write(marketo, "upsert", ADA)[1].id
        write(marketo, "upsert", Change(1, (1,), {"id": lead}, {}), to=self.LIST)
        assert paths(sandbox)[-1] == "POST /rest/v1/lists/1001/leads.json"
        assert len(paths(sandbox)) == 2

    def test_a_list_has_no_fields(self, marketo: Marketo) -> None:
        with pytest.raises(FatalError, match="map `match` alone"):
            write(marketo, "upsert", ADA, to=self.LIST)

    def test_there_is_no_such_list(self, marketo: Marketo) -> None:
        write(marketo, "upsert", ADA)
        with pytest.raises(FatalError, match="List 9 not found"):
            write(marketo, "upsert", ADA._replace(fields={}), to="lists/9")


class TestPrograms:
    PROGRAM = "programs/1001"

    def member(self, status: str | None, **fields: Any) -> Change:
        return ADA._replace(fields={"statusName": status, **fields})

    def test_members(self, marketo: Marketo) -> None:
        lead = write(marketo, "upsert", ADA)[1].id
        assert write(marketo, "upsert", self.member("Invited", seat="A1"), to=self.PROGRAM)[1] == Outcome(
            1, Status.CREATED, lead
        )
        assert write(marketo, "upsert", self.member("Attended"), to=self.PROGRAM)[1].status is Status.UPDATED
        assert write(marketo, "upsert", self.member("Attended"), to=self.PROGRAM)[1] == Outcome(
            1, Status.UNCHANGED, lead
        )
        changed = write(marketo, "upsert", self.member("Attended", seat="A2"), to=self.PROGRAM)[1]
        assert changed.status is Status.UPDATED
        behind = write(marketo, "upsert", self.member("Invited"), to=self.PROGRAM)[1]
        assert (behind.status, behind.code) == (Status.REJECTED, "1037")
        (found,) = marketo.read(self.PROGRAM, "email", ["ada@x.test"], ["statusName", "seat"])
        assert (found.id, dict(found.fields)) == (lead, {"statusName": "Attended", "seat": "A2"})
        assert write(marketo, "delete", ADA, to=self.PROGRAM)[1].status is Status.DELETED
        assert write(marketo, "delete", ADA, to=self.PROGRAM)[1].status is Status.MISSING

    def test_one_request_a_status(self, sandbox: Sandbox, marketo: Marketo) -> None:
        write(marketo, "upsert", ADA, BOB)
        one, other = self.member("Invited"), BOB._replace(fields={"statusName": "Attended"})
        nobody = Change(3, (3,), {"email": "no@x.test"}, {"statusName": "Invited"})
        none = Change(4, (4,), {"email": "bob@x.test"}, {})
        outcomes = write(marketo, "upsert", one, other, nobody, none, to=self.PROGRAM)
        assert [outcomes[n].status for n in (1, 2)] == [Status.CREATED] * 2
        assert [outcomes[n].code for n in (3, 4)] == ["1004", "1002"]
        assert [path.rpartition("/")[2] for path in paths(sandbox)[-2:]] == ["status.json"] * 2

    def test_a_field_that_is_refused_is_the_outcome(self, marketo: Marketo) -> None:
        write(marketo, "upsert", ADA)
        refused = write(marketo, "upsert", self.member("Invited", reachedSuccess=True), to=self.PROGRAM)[1]
        assert (refused.status, refused.code) == (Status.REJECTED, "1003")

    def test_an_unknown_status_is_to_be_bisected(self, marketo: Marketo) -> None:
        write(marketo, "upsert", ADA)
        with pytest.raises(BatchRejectedError, match="'Gone' not found"):
            write(marketo, "upsert", self.member("Gone"), to=self.PROGRAM)


class TestActivities:
    KIND = "activities/attend"

    def event(self, **fields: Any) -> Change:
        given = {"activityDate": "2026-09-26T06:56:35Z", "event": "Summit", "guests": 3}
        return ADA._replace(fields={**given, **fields})

    def test_append(self, sandbox: Sandbox, marketo: Marketo) -> None:
        lead = write(marketo, "upsert", ADA)[1].id
        by_field = Change(2, (2,), {}, {**self.event().fields, "leadId": lead, "guests": None})
        nobody = self.event()._replace(seq=3, match={"email": "no@x.test"})
        lacking = self.event(event=None)._replace(seq=4)
        strange = self.event(guests="many")._replace(seq=5)
        outcomes = write(marketo, "append", self.event(), by_field, nobody, lacking, strange, to=self.KIND)
        assert [outcomes[n].status for n in (1, 2)] == [Status.CREATED] * 2
        assert outcomes[1].id
        assert outcomes[1].id != outcomes[2].id
        assert [outcomes[n].code for n in (3, 4, 5)] == ["1004", "1002", "1001"]
        stored = sandbox.store.scan("marketo", self.KIND)
        assert [record.properties.get("guests") for record in stored] == [3, None]

    def test_the_type_is_asked_for_once(self, sandbox: Sandbox, marketo: Marketo) -> None:
        write(marketo, "upsert", ADA)
        for _ in range(2):
            write(marketo, "append", self.event(), to=self.KIND)
        assert sum("describe" in path for path in paths(sandbox)) == 1

    def test_nothing_is_in_doubt_before_the_type_is_known(self, marketo: Marketo, sandbox: Sandbox) -> None:
        sandbox.set_faults([{"kind": "garbage", "path": "*/describe.json"}])
        with pytest.raises(RetryableError, match="no definition of the activity"):
            write(marketo, "append", self.event(), to=self.KIND)

    def test_there_is_no_such_type(self, marketo: Marketo) -> None:
        with pytest.raises(FatalError, match="Marketo has no `activities/none`"):
            write(marketo, "append", self.event(), to="activities/none")

    def test_a_lost_answer_stays_unknown(self, sandbox: Sandbox, marketo: Marketo) -> None:
        write(marketo, "upsert", ADA)
        kind = marketo.object_type(self.KIND)
        assert kind is not None
        assert not kind.idempotent
        sandbox.set_faults([{"kind": "reset", "accepted": True, "path": "*external.json"}])
        with pytest.raises(UnknownOutcomeError):
            write(marketo, "append", self.event(), to=self.KIND)


class TestImports:
    def submit(self, marketo: Marketo, changes: Sequence[Change], to: str = "leads") -> tuple[Batch, str]:
        batch = Batch(to, Operation.UPSERT, list(changes), NAMESPACE)
        jobs: list[str] = []
        marketo.submit(batch, jobs.append)
        (job,) = jobs
        return batch, job

    def finish(self, marketo: Marketo, batch: Batch, job: str) -> dict[int, Outcome]:
        for _ in range(50):
            answer = marketo.poll(batch, job)
            if not isinstance(answer, Pending):
                outcomes = list(answer)
                assert sorted(o.seq for o in outcomes) == sorted(c.seq for c in batch.changes)
                return {outcome.seq: outcome for outcome in outcomes}
        raise AssertionError("the import does not end")

    def rows(self, count: int, **fields: Any) -> list[Change]:
        return [Change(n, (n,), {"email": f"u{n}@x.test"}, {"firstName": f"U{n}", **fields}) for n in range(count)]

    def test_where_they_are_used(self, sandbox: Sandbox, gate: OpenGate) -> None:
        made = connected(sandbox, gate, bulk_threshold=7)
        for name in ("leads", "customObjects/purchase_c"):
            kind = made.object_type(name)
            assert kind is not None
            assert kind.bulk[Operation.UPSERT].threshold == 7
        companies = made.object_type("companies")
        assert companies is not None
        assert not companies.bulk

    def test_one_file(self, sandbox: Sandbox, marketo: Marketo) -> None:
        rows = self.rows(1000)
        outcomes = self.finish(marketo, *self.submit(marketo, rows))
        assert {outcome.status for outcome in outcomes.values()} == {Status.ACCEPTED}
        assert paths(sandbox) == ["POST /bulk/v1/leads.json", "GET /bulk/v1/leads/batch/1001.json"]
        assert held(marketo, "u999@x.test", "firstName") == ["U999"]

    def test_values_in_a_file(self, marketo: Marketo) -> None:
        values = {"firstName": 'a,"b";c é', "leadScore": 3, "unsubscribed": True, "annualRevenue": Decimal("1.50")}
        self.finish(marketo, *self.submit(marketo, self.rows(1, **values)))
        assert held(marketo, "u0@x.test", *values) == ['a,"b";c é', 3, True, 1.5]

    def test_rows_that_fail_and_rows_that_are_warned_of(self, marketo: Marketo) -> None:
        rows = self.rows(4, leadScore=1)
        rows[1] = rows[1]._replace(fields={**rows[1].fields, "leadScore": "many"})
        rows[2] = rows[2]._replace(match={"email": "bad address"})
        outcomes = self.finish(marketo, *self.submit(marketo, rows))
        assert outcomes[1] == Outcome(1, Status.REJECTED, None, "import", "Invalid data type in field Lead Score")
        assert outcomes[2] == Outcome(2, Status.ACCEPTED, None, None, "Invalid email address")
        assert [outcomes[n] for n in (0, 3)] == [Outcome(n, Status.ACCEPTED) for n in (0, 3)]

    @pytest.mark.parametrize(
        ("rule", "expected"),
        [
            ({"kind": "expired"}, UnauthorizedError),
            ({"kind": "status", "status": 429}, RateLimitedError),
            ({"kind": "reset"}, UnknownOutcomeError),
        ],
    )
    @pytest.mark.parametrize("path", ["*batch/1001.json", "*failures.json"])
    def test_an_import_that_cannot_be_asked_now(
        self, sandbox: Sandbox, marketo: Marketo, path: str, rule: dict[str, Any], expected: type[DestinationError]
    ) -> None:
        rows = self.rows(3, leadScore=1)
        rows[1] = rows[1]._replace(fields={**rows[1].fields, "leadScore": "many"})
        batch, job = self.submit(marketo, rows)
        sandbox.set_faults([{**rule, "path": path, "times": 1}])
        with pytest.raises(expected):
            marketo.poll(batch, job)
        outcomes = self.finish(marketo, batch, job)
        assert [outcomes[n].status for n in range(3)] == [Status.ACCEPTED, Status.REJECTED, Status.ACCEPTED]

    def test_what_no_file_can_say_goes_record_by_record(self, sandbox: Sandbox, marketo: Marketo) -> None:
        write(marketo, "upsert", Change(0, (0,), {"email": "u0@x.test"}, {"firstName": "Old", "lastName": "Old"}))
        rows = self.rows(700, lastName="L.")
        rows[0] = rows[0]._replace(fields={"firstName": None, "lastName": "L."})
        rows[1] = rows[1]._replace(fields={"firstName": "two\nlines", "lastName": "L."})
        rows[2] = rows[2]._replace(fields={"firstName": "alone"})
        outcomes = self.finish(marketo, *self.submit(marketo, rows))
        assert [outcomes[n].status for n in range(4)] == [
            Status.UPDATED,
            Status.CREATED,
            Status.CREATED,
            Status.ACCEPTED,
        ]
        assert held(marketo, "u0@x.test", "firstName", "lastName") == [None, "L."]
        assert held(marketo, "u1@x.test", "firstName") == ["two\nlines"]
        assert sum(path == "POST /bulk/v1/leads.json" for path in paths(sandbox)) == 1

    @pytest.mark.parametrize("text", ["NULL", " padded", "", "a\rb"])
    def test_texts_that_a_file_might_not_keep(self, sandbox: Sandbox, marketo: Marketo, text: str) -> None:
        rows = self.rows(3)
        rows[1] = rows[1]._replace(fields={"firstName": text})
        self.finish(marketo, *self.submit(marketo, rows))
        assert held(marketo, "u1@x.test", "firstName") == [text or None]
        assert paths(sandbox)[2] == "POST /rest/v1/leads.json"

    def test_no_file_at_all(self, sandbox: Sandbox, marketo: Marketo) -> None:
        rows = [change._replace(fields={"firstName": None}) for change in self.rows(650)]
        batch, job = self.submit(marketo, rows)
        pending = [marketo.poll(batch, job), marketo.poll(batch, job)]
        assert pending == [Pending(0.0)] * 2
        assert len(self.finish(marketo, batch, job)) == 650
        assert paths(sandbox) == ["POST /rest/v1/leads.json"] * 3

    def test_another_process_takes_it_up(self, sandbox: Sandbox, marketo: Marketo, gate: OpenGate) -> None:
        rows = self.rows(400)
        rows[:301] = [change._replace(fields={"firstName": None}) for change in rows[:301]]
        batch, job = self.submit(marketo, rows)
        assert marketo.poll(batch, job) == Pending(0.0)
        other = connected(sandbox, gate)
        outcomes = self.finish(other, batch, job)
        assert all(outcome.status.accepted for outcome in outcomes.values())
        assert len(sandbox.store.scan("marketo", "leads")) == 400

    def test_waiting(self, sandbox: Sandbox, marketo: Marketo, clock: Clock) -> None:
        sandbox.configure("marketo", import_seconds=30.0)
        batch, job = self.submit(marketo, self.rows(2))
        assert isinstance(marketo.poll(batch, job), Pending)
        clock.now += 30
        assert len(self.finish(marketo, batch, job)) == 2

    def test_more_than_a_file_takes(self, sandbox: Sandbox, marketo: Marketo) -> None:
        rows = self.rows(340, notes="x" * 29_900)
        with pytest.raises(BatchRejectedError, match="less than 10 MB"):
            self.submit(marketo, rows)
        assert paths(sandbox) == []
        kind = marketo.object_type("leads")
        assert kind is not None
        assert (kind.bulk[Operation.UPSERT].limits.bytes or 0) < 10_000_000

    def test_too_many_imports(self, sandbox: Sandbox, marketo: Marketo) -> None:
        sandbox.configure("marketo", import_seconds=30.0)
        for n in range(10):
            self.submit(marketo, [Change(n, (n,), {"email": f"u{n}@x.test"}, {})])
        with pytest.raises(RetryableError, match="Too many imports") as caught:
            self.submit(marketo, self.rows(1))
        assert caught.value.retry_after == 60

    def test_a_forgotten_import_is_repeated(self, sandbox: Sandbox, marketo: Marketo, clock: Clock) -> None:
        batch, job = self.submit(marketo, self.rows(3))
        clock.now += 8 * 86_400
        marketo.renew()
        outcomes = self.finish(marketo, batch, job)
        assert {outcome.status for outcome in outcomes.values()} == {Status.UPDATED}

    def test_a_row_that_spoils_a_request_stands_alone(self, sandbox: Sandbox, marketo: Marketo) -> None:
        rows = [
            change._replace(fields={"firstName": None, "lastName": f"L{n}"}) for n, change in enumerate(self.rows(5))
        ]
        batch, job = self.submit(marketo, rows)
        sandbox.set_faults([{"kind": "poison", "field": "lastName", "equals": "L3", "whole_batch": True}])
        outcomes = self.finish(marketo, batch, job)
        assert [outcomes[n].status.accepted for n in range(5)] == [True, True, True, False, True]
        assert outcomes[3].code == "1003"

    def test_custom_objects(self, sandbox: Sandbox, marketo: Marketo) -> None:
        rows = [Change(n, (n,), {"leadId": n, "product": "pro"}, {"amount": 1.5}) for n in range(5)]
        rows[4] = rows[4]._replace(fields={"amount": "much"})
        outcomes = self.finish(marketo, *self.submit(marketo, rows, "customObjects/purchase_c"))
        assert [outcomes[n].status for n in (0, 4)] == [Status.ACCEPTED, Status.REJECTED]
        assert paths(sandbox)[0] == "POST /bulk/v1/customobjects/purchase_c/import.json"

    def test_the_partition(self, sandbox: Sandbox, gate: OpenGate) -> None:
        made = connected(sandbox, gate, partition="Europe")
        self.finish(made, *self.submit(made, self.rows(1)))
        assert sandbox.store.scan("marketo", "leads")[0].properties["leadPartition"] == "Europe"

    @pytest.mark.parametrize(
        ("state", "failures", "expected"),
        [
            ({"numOfLeadsProcessed": 1}, "", "speaks of 1 of 2 rows"),
            (
                {"numOfLeadsProcessed": 1, "numOfRowsFailed": 1},
                "firstName,Import Failure Reason\nx,lost\n",
                "names 0 of 1 failed rows",
            ),
        ],
    )
    def test_counts_that_do_not_add_up(
        self, stub: Stub, gate: OpenGate, state: dict[str, int], failures: str, expected: str
    ) -> None:
        status = {"batchId": 7, "status": "Complete", **state}
        token = Answer(200, {"access_token": "t", "expires_in": 3599})
        stub.answer(
            token,
            Answer(200, {"success": True, "result": [{"batchId": 7}]}),
            Answer(200, {"success": True, "result": [status]}),
            Answer(200, failures.encode()),
        )
        made = Marketo(MarketoConfig(type="marketo", base_url=stub.url, client_id="a", client_secret="s"), gate)
        batch, job = self.submit(made, self.rows(2))
        answer = made.poll(batch, job)
        assert not isinstance(answer, Pending)
        outcomes = list(answer)
        assert {outcome.status for outcome in outcomes} == {Status.UNKNOWN}
        assert expected in str(outcomes[0].message)
        made.close()


class TestRefusals:
    @pytest.mark.parametrize(
        ("rule", "expected", "code"),
        [
            ({"kind": "expired"}, UnauthorizedError, "602"),
            ({"kind": "status", "status": 401}, UnauthorizedError, "601"),
            ({"kind": "status", "status": 403}, FatalError, "603"),
            ({"kind": "status", "status": 429}, RateLimitedError, "606"),
            ({"kind": "status", "status": 429, "policy": "CONCURRENT"}, RateLimitedError, "615"),
            ({"kind": "status", "status": 429, "policy": "DAILY"}, QuotaExhaustedError, "607"),
            ({"kind": "status", "status": 503}, RetryableError, "608"),
            ({"kind": "status", "status": 500}, UnknownOutcomeError, "502"),
            ({"kind": "status", "status": 504}, UnknownOutcomeError, "504"),
            ({"kind": "garbage"}, UnknownOutcomeError, None),
            ({"kind": "empty"}, UnknownOutcomeError, "results"),
            ({"kind": "results", "how": "missing"}, UnknownOutcomeError, "results"),
            ({"kind": "results", "how": "duplicate"}, UnknownOutcomeError, "results"),
        ],
    )
    def test_classes(
        self,
        sandbox: Sandbox,
        marketo: Marketo,
        rule: dict[str, Any],
        expected: type[DestinationError],
        code: str | None,
    ) -> None:
        marketo.check()
        sandbox.set_faults([rule])
        with pytest.raises(expected) as caught:
            write(marketo, "upsert", ADA)
        assert caught.value.code == code
        assert type(caught.value) is expected

    def test_how_long_to_wait(self, sandbox: Sandbox, marketo: Marketo) -> None:
        marketo.check()
        sandbox.set_faults([{"kind": "status", "status": 429}])
        with pytest.raises(RateLimitedError) as caught:
            write(marketo, "upsert", ADA)
        assert caught.value.retry_after == 20
        assert caught.value.request_id

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("604", RetryableError),
            ("611", RetryableError),
            ("614", RetryableError),
            ("713", RetryableError),
            ("1016", RetryableError),
            ("1019", RetryableError),
            ("609", BatchRejectedError),
            ("610", FatalError),
            ("616", FatalError),
            ("699", FatalError),
            ("701", BatchRejectedError),
            ("1003", BatchRejectedError),
            ("1013", FatalError),
            ("9999", BatchRejectedError),
        ],
    )
    def test_codes_of_whole_requests(
        self, stub: Stub, gate: OpenGate, code: str, expected: type[DestinationError]
    ) -> None:
        body = {"requestId": "a#b", "success": False, "errors": [{"code": code, "message": "why"}]}
        with pytest.raises(expected, match="why") as caught:
            self.answered(stub, gate, Answer(200, body), ADA)
        assert type(caught.value) is expected
        assert (caught.value.code, caught.value.request_id) == (code, "a#b")

    @pytest.mark.parametrize(
        ("row", "status"),
        [
            ({"id": 7, "status": "created"}, Status.CREATED),
            ({"status": "skipped", "reasons": [{"code": "1016", "message": "later"}]}, Status.RETRY),
            ({"status": "skipped", "reasons": [{"code": "604", "message": "later"}]}, Status.RETRY),
            ({"status": "skipped", "reasons": [{"code": "1010", "message": "no"}]}, Status.REJECTED),
            ({"status": "skipped"}, Status.REJECTED),
            ({"id": 7, "reasons": [{"code": "501", "message": "no"}]}, Status.REJECTED),
            ({"id": 7, "status": "strange"}, Status.UNKNOWN),
            ({}, Status.UNKNOWN),
        ],
    )
    def test_rows(self, stub: Stub, gate: OpenGate, row: dict[str, Any], status: Status) -> None:
        (outcome,) = self.answered(stub, gate, Answer(200, {"success": True, "result": [row]}), ADA)
        assert outcome.status is status
        assert (outcome.message is None) == status.accepted

    @pytest.mark.parametrize("body", [{}, [], {"success": True, "result": [1]}, {"success": True, "result": {}}])
    def test_answers_that_say_nothing(self, stub: Stub, gate: OpenGate, body: Any) -> None:
        with pytest.raises(UnknownOutcomeError):
            self.answered(stub, gate, Answer(200, body), ADA)

    def test_answers_in_another_order_than_promised(self, stub: Stub, gate: OpenGate) -> None:
        rows = [{"id": 8, "status": "updated"}, {"id": 7, "status": "updated"}]
        changes = ADA._replace(id="7"), BOB._replace(id="8")
        with pytest.raises(UnknownOutcomeError, match="order"):
            self.answered(stub, gate, Answer(200, {"success": True, "result": rows}), *changes)

    def answered(self, stub: Stub, gate: OpenGate, answer: Answer, *changes: Change) -> list[Outcome]:
        stub.answer(Answer(200, {"access_token": "t", "expires_in": 3599}), answer)
        made = Marketo(MarketoConfig(type="marketo", base_url=stub.url, client_id="a", client_secret="s"), gate)
        try:
            return list(made.write(Batch("leads", Operation.UPSERT, changes, NAMESPACE)))
        finally:
            made.close()


class TestDescribing:
    def test_leads(self, marketo: Marketo) -> None:
        fields = {info.name: info for info in marketo.describe("leads")}
        assert (fields["email"].unique, fields["email"].type, fields["email"].max_length) == (True, "email", 255)
        assert (fields["userId"].unique, fields["firstName"].unique) == (True, False)
        assert (fields["createdAt"].writable, fields["plan"].writable) == (False, True)

    def test_objects(self, marketo: Marketo) -> None:
        fields = {info.name: info for info in marketo.describe("companies")}
        assert (fields["externalCompanyId"].writable, fields["externalCompanyId"].unique) == (True, True)
        assert (fields["id"].writable, fields["id"].unique, fields["company"].unique) == (False, True, False)
        assert {"amount", "leadId"} <= {info.name for info in marketo.describe("customObjects/purchase_c")}

    @pytest.mark.parametrize("name", ["customObjects/none_c", "activities/none", "nonsense"])
    def test_what_there_is_not(self, marketo: Marketo, name: str) -> None:
        with pytest.raises(FatalError, match="Marketo has no"):
            marketo.describe(name)

    def test_programs_and_activities(self, marketo: Marketo) -> None:
        members = {info.name: info for info in marketo.describe("programs/1001")}
        assert (members["statusName"].writable, members["statusName"].required) == (True, True)
        assert (members["seat"].writable, members["reachedSuccess"].writable) == (True, False)
        events = {info.name: info for info in marketo.describe("activities/attend")}
        assert {name for name, info in events.items() if info.required} == {"activityDate", "event"}
        assert events["guests"].type == "integer"

    def test_what_finds_a_lead_on_a_list(self, marketo: Marketo) -> None:
        fields = {info.name: info for info in marketo.describe("lists/1001")}
        assert {"email", "id", "userId"} <= set(fields)
        assert "firstName" not in fields
        assert not any(info.writable for info in fields.values())

    def test_members_are_matched_by_fields_of_their_lead(self, marketo: Marketo) -> None:
        found = marketo.describe_field("programs/1001", "userId")
        assert found == FieldInfo("userId", "integer", "userId", writable=False, unique=True)
        assert marketo.describe_field("programs/1001", "firstName") is None
        assert marketo.describe_field("leads", "nonsense") is None

    @pytest.mark.parametrize(
        ("name", "column", "kind"), [("newPlan_c", ColumnType.TEXT, "string"), ("seenAt", ColumnType.DATE, "date")]
    )
    @pytest.mark.parametrize("to", ["leads", "programs/1001"])
    def test_fields_are_created(self, marketo: Marketo, to: str, name: str, column: ColumnType, kind: str) -> None:
        assert marketo.create_field(to, name, column).type == kind
        assert name in {info.name for info in marketo.describe(to)}
        with pytest.raises(FatalError, match=f"`{name}`: Field '{name}' already exists"):
            marketo.create_field(to, name, column)

    def test_names(self, marketo: Marketo) -> None:
        assert [kind.name for kind in marketo.objects()] == [
            "leads",
            "companies",
            "opportunities",
            "opportunityRoles",
            "salesPersons",
            "namedAccounts",
        ]
        for name in (
            "lists/x",
            "lists/0",
            "lists/1/2",
            "customObjects/a-b",
            "customObjects/",
            "activities/../x",
            "lead",
        ):
            assert marketo.object_type(name) is None
        for name in ("lists/1", "programs/7", "customObjects/car_c", "activities/attend"):
            kind = marketo.object_type(name)
            assert kind is not None
            assert set(kind.operations) | set(kind.unsupported) == set(Operation)


NOON = datetime(2024, 2, 29, 13, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=1)))


class TestEncoding:
    @pytest.mark.parametrize(
        ("column", "kind", "value", "encoded"),
        [
            (ColumnType.TEXT, "string", "naïve", "naïve"),
            (ColumnType.INTEGER, "integer", 7, 7),
            (ColumnType.INTEGER, "string", 7, "7"),
            (ColumnType.BOOLEAN, "string", True, "true"),
            (ColumnType.DECIMAL, "string", Decimal("10.40"), "10.40"),
            (ColumnType.DECIMAL, "currency", Decimal("10.40"), Decimal("10.40")),
            (ColumnType.DECIMAL, "percent", Decimal("30.0"), 30),
            (ColumnType.FLOAT, "score", 3.0, 3),
            (ColumnType.FLOAT, "float", 0.1, 0.1),
            (ColumnType.BOOLEAN, "boolean", False, False),
            (ColumnType.DATE, "date", date(2024, 2, 29), "2024-02-29"),
            (ColumnType.DATE, "datetime", date(2024, 2, 29), "2024-02-29T00:00:00Z"),
            (ColumnType.TIMESTAMPTZ, "datetime", NOON, "2024-02-29T12:00:00Z"),
            (ColumnType.TIMESTAMP, "datetime", NOON.replace(tzinfo=None), "2024-02-29T13:00:00Z"),
            (ColumnType.TIMESTAMPTZ, "date", NOON, "2024-02-29"),
            (ColumnType.TIME, "string", time(13, 5), "13:05:00"),
            (ColumnType.NESTED, "string", ["a", {"b": 1}], '["a",{"b":1}]'),
        ],
    )
    def test_values(self, marketo: Marketo, column: ColumnType, kind: str, value: Any, encoded: Any) -> None:
        encode = marketo.encoder(column, FieldInfo("x", kind))
        assert encode is not None
        assert encode(value) == encoded
        assert type(encode(value)) is type(encoded)
        assert encode(None) is None

    @pytest.mark.parametrize(
        ("column", "kind", "value", "words"),
        [
            (ColumnType.DECIMAL, "integer", Decimal("1.5"), "not a whole number"),
            (ColumnType.FLOAT, "float", float("nan"), "not a number"),
            (ColumnType.FLOAT, "percent", float("inf"), "not a number"),
            (ColumnType.TEXT, "email", "ü@x.test", "ASCII"),
            (ColumnType.TEXT, "text", "ä" * 15_001, "30000 bytes"),
        ],
    )
    def test_what_has_no_form(self, marketo: Marketo, column: ColumnType, kind: str, value: Any, words: str) -> None:
        encode = marketo.encoder(column, FieldInfo("x", kind))
        assert encode is not None
        with pytest.raises(ValueError, match=words):
            encode(value)


class TestTwoAtOnce:
    def test_the_second_upsert_of_a_key_waits(self) -> None:
        flight, order = _InFlight(), []
        inside, leave = threading.Event(), threading.Event()

        def first() -> None:
            with flight.hold({("leads", "ada")}):
                inside.set()
                leave.wait(5)
                order.append("first")

        def second() -> None:
            with flight.hold({("leads", "ada"), ("leads", "bob")}):
                order.append("second")

        threads = [threading.Thread(target=first), threading.Thread(target=second)]
        threads[0].start()
        assert inside.wait(5)
        threads[1].start()
        with flight.hold({("leads", "eve")}):
            order.append("other")
        leave.set()
        for thread in threads:
            thread.join(5)
        assert order == ["other", "first", "second"]

    def test_upserts_of_one_address_make_one_lead(self, sandbox: Sandbox, marketo: Marketo) -> None:
        sandbox.set_faults([{"kind": "delay", "seconds": 0.02, "path": "*leads.json"}])
        changes = [ADA._replace(seq=n) for n in range(6)]
        threads = [threading.Thread(target=write, args=(marketo, "upsert", change)) for change in changes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert len(sandbox.store.scan("marketo", "leads")) == 1
        assert len(sandbox.store.changes("marketo", "leads", ["7001"])["7001"]) == 6
