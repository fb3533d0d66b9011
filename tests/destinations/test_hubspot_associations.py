"""HubSpot's association fields: `associations.<object>` and `associations.<object>.<label>`."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.destinations.base import (
    Batch,
    BatchRejectedError,
    Change,
    ColumnType,
    FatalError,
    FieldInfo,
    Operation,
    Outcome,
    RetryableError,
    Status,
    UnknownOutcomeError,
)
from revetl_dbt.destinations.hubspot import HubSpot, HubSpotConfig
from revetl_dbt.sandbox import Sandbox

from .stub import Answer, Asked, OpenGate, Stub

COMPANIES, PRIMARY, BILLING = (
    "associations.companies",
    "associations.companies.Primary",
    "associations.companies.Billing contact",
)


class Crm:
    """A connector and the account that it writes to."""

    def __init__(self, sandbox: Sandbox, **settings: Any) -> None:
        self.sandbox = sandbox
        config = HubSpotConfig(type="hubspot", sandbox=True, **settings)
        self.destination = HubSpot(config.in_sandbox(sandbox.url("hubspot"), sandbox.token("hubspot")), OpenGate())

    def send(self, operation: str, *changes: Change, kind: str = "contacts") -> dict[int, Outcome]:
        batch = Batch(kind, Operation(operation), changes, uuid.UUID(int=7))
        outcomes = list(self.destination.write(batch))
        assert len(outcomes) == len(changes)
        return {outcome.seq: outcome for outcome in outcomes}

    def company(self, name: str) -> str:
        made = self.send("create", Change(0, (0,), {}, {"name": name}), kind="companies")[0].id
        assert made is not None
        return made

    def held(self, address: str, *fields: str) -> dict[str, Any]:
        (found,) = self.destination.read("contacts", "email", [address], fields or [COMPANIES])
        return dict(found.fields)

    def requests(self) -> list[str]:
        found = [f"{line.method} {line.path.removeprefix('/hubspot')}" for line in self.sandbox.requests()]
        self.sandbox.reset(requests_only=True)
        return found


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    setup = tmp_path / "hubspot.yml"
    setup.write_text("labels: [{from: contacts, to: companies, label: Billing contact, inverseLabel: Billed by}]\n")
    with Sandbox(tmp_path / "state", ["hubspot"], setup={"hubspot": setup}) as running:
        yield running


@pytest.fixture
def crm(sandbox: Sandbox) -> Iterator[Crm]:
    made = Crm(sandbox)
    yield made
    made.destination.close()


def contact(seq: int, **fields: Any) -> Change:
    return Change(seq, (seq,), {"email": f"c{seq}@x.test"}, fields)


class TestWriting:
    @pytest.mark.parametrize("operation", ["upsert", "create"])
    def test_a_new_record_with_one_or_several(self, crm: Crm, operation: str) -> None:
        acme, beta = crm.company("Acme"), crm.company("Beta")
        outcomes = crm.send(
            operation, contact(1, **{COMPANIES: acme}), contact(2, **{COMPANIES: [acme, beta]}), contact(3)
        )
        assert {outcome.status for outcome in outcomes.values()} == {Status.CREATED}
        assert crm.held("c1@x.test") == {COMPANIES: [acme]}
        assert set(crm.held("c2@x.test")[COMPANIES]) == {acme, beta}
        assert crm.held("c3@x.test") == {COMPANIES: None}

    def test_a_label_is_of_one_field_and_the_rest_of_another(self, crm: Crm) -> None:
        acme, beta = crm.company("Acme"), crm.company("Beta")
        crm.send("upsert", contact(1, **{COMPANIES: [acme, beta], PRIMARY: beta, BILLING: acme}))
        assert crm.held("c1@x.test", PRIMARY, BILLING) == {PRIMARY: [beta], BILLING: [acme]}
        crm.send("update", contact(1, **{BILLING: None}))
        assert crm.held("c1@x.test", PRIMARY, BILLING) == {PRIMARY: [beta], BILLING: None}
        assert set(crm.held("c1@x.test")[COMPANIES]) == {acme, beta}

    @pytest.mark.parametrize(("value", "left"), [(None, None), ([], None), ("", None), ("beta", ["beta"])])
    def test_the_field_holds_what_is_sent_and_nothing_else(self, crm: Crm, value: Any, left: Any) -> None:
        ids = {"acme": crm.company("Acme"), "beta": crm.company("Beta")}
        made = crm.send("upsert", contact(1, **{COMPANIES: ids["acme"]}))[1]
        sent = ids["beta"] if value == "beta" else value
        update = contact(1, **{COMPANIES: sent})._replace(id=made.id)
        assert crm.send("update", update)[1] == Outcome(1, Status.UPDATED, made.id)
        assert crm.held("c1@x.test")[COMPANIES] == (None if left is None else [ids[name] for name in left])

    def test_others_can_be_left_alone(self, sandbox: Sandbox, crm: Crm) -> None:
        adding = Crm(sandbox, associations="add")
        acme, beta = crm.company("Acme"), crm.company("Beta")
        for value in (acme, beta, None):
            adding.send("upsert", contact(1, **{COMPANIES: value}))
        assert set(crm.held("c1@x.test")[COMPANIES]) == {acme, beta}

    def test_an_unmapped_field_is_left_alone(self, crm: Crm) -> None:
        acme = crm.company("Acme")
        crm.send("upsert", contact(1, **{COMPANIES: acme}))
        crm.requests()
        crm.send("upsert", contact(1, firstname="Ada"))
        assert crm.requests() == ["POST /crm/objects/2026-09/contacts/batch/upsert"]
        assert crm.held("c1@x.test")[COMPANIES] == [acme]

    def test_what_is_there_is_not_written_again(self, crm: Crm) -> None:
        acme = crm.company("Acme")
        change = contact(1, **{COMPANIES: acme, BILLING: acme})
        crm.send("upsert", change)
        crm.requests()
        crm.send("upsert", change)
        base = "/crm/associations/2026-09/contacts/companies/batch"
        assert crm.requests() == ["POST /crm/objects/2026-09/contacts/batch/upsert", *[f"POST {base}/read"] * 2]

    def test_labels_are_asked_for_once(self, crm: Crm) -> None:
        acme = crm.company("Acme")
        for _ in range(2):
            crm.send("upsert", contact(1, **{PRIMARY: acme, BILLING: None}))
        labels = "GET /crm/associations/2026-09/contacts/companies/labels"
        assert crm.requests().count(labels) == 1

    @pytest.mark.parametrize("version", ["2026-09", "v3"])
    def test_a_label_is_created(self, sandbox: Sandbox, version: str) -> None:
        crm, field = Crm(sandbox, api_version=version), "associations.companies.Sold to by us"
        assert crm.destination.describe_field("contacts", field) is None
        made = crm.destination.create_field("contacts", field, ColumnType.TEXT)
        assert made == crm.destination.describe_field("contacts", field)
        assert (made.name, made.type, made.label) == (field, "association", "Sold to by us")
        acme = crm.company("Acme")
        crm.send("upsert", contact(1, **{field: acme}))
        assert crm.held("c1@x.test", field) == {field: [acme]}

    @pytest.mark.parametrize("name", ["77", ""])
    def test_numbers_of_labels_are_not_chosen(self, crm: Crm, name: str) -> None:
        with pytest.raises(FatalError, match="write a label's name"):
            crm.destination.create_field("contacts", f"associations.companies.{name}", ColumnType.TEXT)
        assert crm.requests() == []

    def test_the_numeric_paths(self, sandbox: Sandbox) -> None:
        crm = Crm(sandbox, api_version="v3")
        acme = crm.company("Acme")
        crm.send("upsert", contact(1, **{PRIMARY: acme}))
        assert crm.requests()[2:] == [
            "GET /crm/v4/associations/contacts/companies/labels",
            "POST /crm/v4/associations/contacts/companies/batch/read",
            "POST /crm/v4/associations/contacts/companies/batch/create",
        ]


class TestLookupByDomain:
    def domains(self, crm: Crm, *values: str) -> dict[str, str]:
        changes = [Change(n, (n,), {}, {"name": f"n{n}", "domain": value}) for n, value in enumerate(values)]
        outcomes = crm.send("create", *changes, kind="companies")
        return {value: str(outcomes[n].id) for n, value in reversed([*enumerate(values)])}

    def test_companies_are_searched(self, crm: Crm) -> None:
        ids = self.domains(crm, "acme.test", "beta.test")
        found = list(crm.destination.read("companies", "domain", ["ACME.test", "gone.test"], ["name"]))
        assert [(item.id, item.match, item.fields) for item in found] == [
            (ids["acme.test"], "ACME.test", {"name": "n0"})
        ]
        assert crm.requests()[-1] == "POST /crm/objects/2026-09/companies/search"

    def test_of_several_the_oldest(self, crm: Crm) -> None:
        (first,) = self.domains(crm, "acme.test").values()
        self.domains(crm, "acme.test")
        assert [item.id for item in crm.destination.read("0-2", "domain", ["acme.test"], [])] == [first]

    def test_a_hundred_long_domains(self, crm: Crm) -> None:
        names = [f"{'x' * 60}{n}.test" for n in range(100)]
        ids = self.domains(crm, *names)
        crm.requests()
        found = {item.match: item.id for item in crm.destination.read("companies", "domain", names, ["name"])}
        assert found == ids
        assert len(crm.requests()) == 3

    def test_page_by_page(self, stub: Stub) -> None:
        hubspot = HubSpot(HubSpotConfig(type="hubspot", base_url=stub.url, access_token="t"), OpenGate())

        def answer(asked: Asked) -> Answer:
            after = asked.json["after"]
            item = {"id": after, "properties": {"domain": f"d{after}.test"}}
            more = {"paging": {"next": {"after": "200"}}} if after == "0" else {}
            return Answer(200, {"results": [item], **more})

        stub.answer(answer)
        found = hubspot.read("companies", "domain", ["d0.test", "d200.test"], [])
        assert [(item.id, item.match) for item in found] == [("0", "d0.test"), ("200", "d200.test")]

    def test_rows_cannot_match_on_it(self, crm: Crm) -> None:
        with pytest.raises(FatalError, match="non-unique 0-2 property domain"):
            crm.send("upsert", Change(1, (1,), {"domain": "acme.test"}, {"name": "Acme"}), kind="companies")


class TestRefusals:
    @pytest.mark.parametrize("field", [COMPANIES, BILLING])
    @pytest.mark.parametrize("operation", ["upsert", "create"])
    def test_a_record_with_a_refused_association_is_rejected(self, crm: Crm, operation: str, field: str) -> None:
        acme = crm.company("Acme")
        outcomes = crm.send(operation, contact(1, **{field: acme}), contact(2, **{field: "999"}))
        assert outcomes[1].status is Status.CREATED
        assert outcomes[2].status is Status.REJECTED
        assert "associations are invalid" in str(outcomes[2].message)
        assert crm.held("c1@x.test", field) == {field: [acme]}

    def test_sent_again_it_does_no_harm(self, crm: Crm) -> None:
        refused = crm.send("upsert", contact(1, **{COMPANIES: "999"}))[1]
        assert (refused.status, f"`{COMPANIES}`: " in str(refused.message)) == (Status.REJECTED, True)
        again = crm.send("upsert", contact(1, **{COMPANIES: crm.company("Acme")})._replace(id=refused.id))[1]
        assert (again.status, again.id) == (Status.UPDATED, refused.id)

    def test_a_create_is_not_carried_out_by_half(self, crm: Crm) -> None:
        crm.send("create", contact(1, **{COMPANIES: "999"}), contact(2))
        assert list(crm.destination.read("contacts", "email", ["c1@x.test"], [])) == []

    def test_a_batch_that_is_refused_as_a_whole(self, crm: Crm) -> None:
        acme = crm.company("Acme")
        rule = {"kind": "poison", "field": "to", "equals": acme, "whole_batch": True, "path": "*associate/default"}
        crm.sandbox.set_faults([rule])
        with pytest.raises(BatchRejectedError):
            crm.send("upsert", contact(1, **{COMPANIES: acme}), contact(2))

    def test_a_rejected_record_is_not_associated(self, crm: Crm) -> None:
        acme = crm.company("Acme")
        broken = Change(2, (2,), {"email": "broken"}, {COMPANIES: acme})
        outcomes = crm.send("upsert", contact(1, **{COMPANIES: acme}), broken)
        assert outcomes[2].code == "INVALID_EMAIL"
        assert outcomes[1].status is Status.CREATED

    def test_a_missing_record_is_not_associated(self, crm: Crm) -> None:
        assert crm.send("update", contact(1, **{COMPANIES: crm.company("Acme")}))[1].status is Status.MISSING

    def test_a_label_that_there_is_not(self, crm: Crm) -> None:
        with pytest.raises(FatalError, match=r"no label `Boss`.*there are: `Primary`, `Billing contact`"):
            crm.send("upsert", contact(1, **{"associations.companies.Boss": "1"}))

    @pytest.mark.parametrize("how", ["missing", "shuffle"])
    def test_results_are_counted(self, crm: Crm, how: str) -> None:
        acme = crm.company("Acme")
        crm.sandbox.set_faults([{"kind": "results", "how": how, "path": "*/batch/create", "method": "POST"}])
        made = [contact(n, **{BILLING: acme})._replace(id=None) for n in range(3)]
        statuses = [outcome.status for outcome in crm.send("upsert", *made).values()]
        assert statuses.count(Status.CREATED) == (2 if how == "missing" else 3)
        assert statuses.count(Status.UNKNOWN) == (1 if how == "missing" else 0)

    def test_nothing_is_in_doubt_before_the_labels_are_known(self, crm: Crm) -> None:
        acme = crm.company("Acme")
        crm.sandbox.set_faults([{"kind": "garbage", "path": "*/labels"}])
        with pytest.raises(RetryableError, match="no definition of the associations"):
            crm.send("create", contact(1, **{BILLING: acme}))
        assert not [asked for asked in crm.requests() if asked.endswith("contacts/batch/create")]

    def test_a_success_without_results_is_unknown(self, crm: Crm) -> None:
        acme = crm.company("Acme")
        crm.sandbox.set_faults([{"kind": "garbage", "path": "*associate/default"}])
        with pytest.raises(UnknownOutcomeError):
            crm.send("upsert", contact(1, **{COMPANIES: acme}))


def test_long_lists_come_in_pages(stub: Stub) -> None:
    """A company may have thousands of contacts: all of them are read before one is taken away."""
    hubspot = HubSpot(HubSpotConfig(type="hubspot", base_url=stub.url, access_token="t"), OpenGate())

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("/read"):
            (given,) = asked.json["inputs"]
            to = [{"toObjectId": 12 if "after" in given else 11, "associationTypes": [{"typeId": 280}]}]
            more = {} if "after" in given else {"paging": {"next": {"after": "NTI"}}}
            return Answer(200, {"results": [{"from": {"id": "7"}, "to": to, **more}]})
        if asked.path.endswith("/archive"):
            return Answer(204)
        return Answer(200, {"results": [{"id": "7"}]})

    stub.answer(answer)
    change = Change(1, (1,), {"hs_object_id": "7"}, {"associations.contacts": ["11"]})
    (outcome,) = hubspot.write(Batch("companies", Operation.UPDATE, [change], uuid.UUID(int=7)))
    assert outcome == Outcome(1, Status.UPDATED, "7")
    assert [asked.path.rpartition("/")[2] for asked in stub.asked] == ["update", "read", "read", "archive"]
    assert stub.asked[2].json == {"inputs": [{"id": "7", "after": "NTI"}]}
    assert stub.last.json == {"inputs": [{"from": {"id": "7"}, "to": [{"id": "12"}]}]}


def test_a_page_that_leads_to_itself_ends(stub: Stub) -> None:
    hubspot = HubSpot(HubSpotConfig(type="hubspot", base_url=stub.url, access_token="t"), OpenGate())
    page = {"from": {"id": "7"}, "to": [], "paging": {"next": {"after": "NTI"}}}
    stub.answer(Answer(200, {"results": [{"id": "7"}]}), Answer(200, {"results": [page]}))
    change = Change(1, (1,), {"hs_object_id": "7"}, {COMPANIES: None})
    (outcome,) = hubspot.write(Batch("contacts", Operation.UPDATE, [change], uuid.UUID(int=7)))
    assert (outcome.status, len(stub.asked)) == (Status.UPDATED, 3)


@pytest.mark.parametrize(("status", "body"), [(200, []), (200, b""), (207, b"<html>")])
def test_an_answer_that_does_not_say_what_was_taken_away(stub: Stub, status: int, body: Any) -> None:
    hubspot = HubSpot(HubSpotConfig(type="hubspot", base_url=stub.url, access_token="t"), OpenGate())
    held = {"from": {"id": "7"}, "to": [{"toObjectId": 11, "associationTypes": []}]}
    stub.answer(Answer(200, {"results": [{"id": "7"}]}), Answer(200, {"results": [held]}), Answer(status, body))
    change = Change(1, (1,), {"hs_object_id": "7"}, {COMPANIES: None})
    with pytest.raises(UnknownOutcomeError):
        hubspot.write(Batch("contacts", Operation.UPDATE, [change], uuid.UUID(int=7)))


@pytest.mark.parametrize(
    ("context", "message", "blamed"),
    [
        ({"fromObjectId": ["7"], "toObjectId": ["11"]}, "no", {1}),
        ({"INVALID_OBJECT_IDS": ["COMPANY=12 is not valid"]}, "no", {2}),
        ({}, "CONTACT=8 is at its limit", {2}),
        ({}, "no idea", {1, 2}),
    ],
)
def test_an_error_is_of_the_pairs_that_it_names(
    stub: Stub, context: dict[str, Any], message: str, blamed: set[int]
) -> None:
    hubspot = HubSpot(HubSpotConfig(type="hubspot", base_url=stub.url, access_token="t"), OpenGate())
    error = {"category": "VALIDATION_ERROR", "message": message, "context": context}

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("/default"):
            made = [item for item in asked.json["inputs"] if int(item["from"]["id"]) - 6 not in blamed]
            return Answer(207, {"results": made, "numErrors": 1, "errors": [error]})
        return Answer(200, {"results": [] if "associations" in asked.path else [{"id": "7"}, {"id": "8"}]})

    stub.answer(answer)
    changes = [Change(n, (n,), {"hs_object_id": 6 + n}, {COMPANIES: str(10 + n)}) for n in (1, 2)]
    outcomes = list(hubspot.write(Batch("contacts", Operation.UPDATE, changes, uuid.UUID(int=7))))
    assert {outcome.seq for outcome in outcomes if outcome.status is Status.REJECTED} == blamed
    assert {outcome.message for outcome in outcomes if outcome.seq in blamed} == {f"`{COMPANIES}`: {message}"}


class TestDescription:
    @pytest.mark.parametrize(
        ("name", "label"),
        [
            (COMPANIES, None),
            (BILLING, "Billing contact"),
            ("associations.companies.billing CONTACT", "billing CONTACT"),
        ],
    )
    def test_fields_that_there_are(self, crm: Crm, name: str, label: str | None) -> None:
        assert crm.destination.describe_field("contacts", name) == FieldInfo(name, "association", label)

    @pytest.mark.parametrize("name", ["firstnam", "associations", "associations.firms", f"{COMPANIES}.Boss"])
    def test_fields_that_there_are_not(self, crm: Crm, name: str) -> None:
        assert crm.destination.describe_field("contacts", name) is None

    def test_only_records_have_them(self, crm: Crm) -> None:
        assert crm.destination.describe_field("lists/1", COMPANIES) is None

    def test_objects_that_do_not_go_together(self, crm: Crm) -> None:
        with pytest.raises(FatalError, match="no association `contacts to 2-9`"):
            crm.destination.describe_field("contacts", "associations.2-9")

    @pytest.mark.parametrize(
        ("column", "value", "sent"),
        [
            (ColumnType.TEXT, "12", "12"),
            (ColumnType.TEXT, "acme.test", "acme.test"),
            (ColumnType.INTEGER, 12, "12"),
            (ColumnType.DECIMAL, Decimal("12"), "12"),
            (ColumnType.FLOAT, 12.0, "12"),
            (ColumnType.NESTED, [1, "2", None], ["1", "2"]),
            (ColumnType.NESTED, [], []),
            (ColumnType.NESTED, None, None),
            (ColumnType.TEXT, None, None),
        ],
    )
    def test_values(self, crm: Crm, column: ColumnType, value: Any, sent: Any) -> None:
        assert crm.destination.encoder(column, FieldInfo(COMPANIES, "association"))(value) == sent

    @pytest.mark.parametrize("value", [{"id": 1}, [[1]], True])
    def test_what_is_no_id(self, crm: Crm, value: Any) -> None:
        with pytest.raises(ValueError, match="id of a record"):
            crm.destination.encoder(ColumnType.NESTED, FieldInfo(COMPANIES, "association"))(value)
