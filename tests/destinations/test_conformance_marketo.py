"""The conformance kit on Marketo, against the sandbox."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.destinations.base import Batch, Change, ColumnType, Gate, Operation, Pending, Status
from revetl_dbt.destinations.conformance import Conformance, OpenGate, Subject, Trouble
from revetl_dbt.destinations.marketo import Marketo, MarketoConfig
from revetl_dbt.sandbox import Sandbox

from .stand import VALUES, Stand

TYPES: Mapping[ColumnType, str] = {
    ColumnType.INTEGER: "integer",
    ColumnType.DECIMAL: "currency",
    ColumnType.FLOAT: "float",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.DATE: "date",
    ColumnType.TIMESTAMP: "datetime",
    ColumnType.TIMESTAMPTZ: "datetime",
}
MATCH = {"leads": "email", "companies": "externalCompanyId", "namedAccounts": "name", "customObjects/plan_c": "ref"}
IMPORTED = ("leads", "customObjects/plan_c")


class LeadStand(Stand):
    """Marketo promises the order of the results of leads, which name no record that is refused."""

    FAULTS: Mapping[Trouble, Mapping[str, Any]] = {
        **Stand.FAULTS,
        Trouble.SHUFFLED: {"kind": "results", "how": "shuffle", "path": "*/customobjects/*"},
    }


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "state", ["marketo"]) as running:
        yield running


class TestMarketo(Conformance):
    @pytest.fixture(params=MATCH)
    def subject(self, sandbox: Sandbox, tmp_path: Path, request: pytest.FixtureRequest) -> Subject:
        return marketo_subject(sandbox, tmp_path, request.param, 5000)


class TestMarketoImports(TestMarketo):
    """Everything through imports."""

    @pytest.fixture(params=IMPORTED)
    def subject(self, sandbox: Sandbox, tmp_path: Path, request: pytest.FixtureRequest) -> Subject:
        return marketo_subject(sandbox, tmp_path, request.param, 0)

    def test_results_belong_to_their_change_whatever_their_order(self, subject: Subject) -> None:
        """An import tells no ids; whose a failure is shows in the row that it repeats."""
        destination = subject.connect(OpenGate())
        fields = [{"x_seats": "many"} if n % 3 == 1 else {"x_seats": n} for n in range(12)]
        changes = [Change(n, (n,), {subject.match: subject.new_match(n)}, given) for n, given in enumerate(fields)]
        batch = Batch(subject.object, Operation.UPSERT, changes[::-1], uuid.UUID(int=0))
        jobs: list[str] = []
        destination.submit(batch, jobs.append)
        outcomes = destination.poll(batch, jobs[0])
        assert not isinstance(outcomes, Pending)
        refused = {outcome.seq for outcome in outcomes if outcome.status is Status.REJECTED}
        assert refused == {n for n in range(12) if n % 3 == 1}
        destination.close()


class OfLeads(LeadStand):
    """What belongs to leads: the lead's address finds it. A question for leads may be answered with nothing."""

    def __init__(self, sandbox: Sandbox, name: str, text: str) -> None:
        super().__init__(sandbox, "marketo", name, "email", text)
        empty = {**LeadStand.FAULTS[Trouble.EMPTY], "path": f"*/{name.partition('/')[0]}/*"}
        self.FAULTS = {**LeadStand.FAULTS, Trouble.EMPTY: empty}

    def held(self, match: Any) -> Mapping[str, Any] | None:
        ids = {one.id for one in self._sandbox.store.scan("marketo", "leads") if one.properties["email"] == match}
        found = self._sandbox.store.scan("marketo", self._collection)
        return next((one.properties for one in found if {one.id, str(one.properties.get("leadId"))} & ids), None)


def of_leads(sandbox: Sandbox, tmp_path: Path, name: str, **more: Any) -> Subject:
    """A subject that belongs to leads, of which there are as many as the kit asks for."""
    subject = marketo_subject(sandbox, tmp_path, "leads", 5000)
    people = [Change(n, (n,), {"email": subject.new_match(n)}, {}) for n in range(300)]
    marketo = subject.connect(OpenGate())
    list(marketo.write(Batch("leads", Operation.UPSERT, people, uuid.UUID(int=0))))
    marketo.close()
    return replace(subject, object=name, **more)


class TestLists(Conformance):
    """Places on a list: they have no fields."""

    @pytest.fixture
    def subject(self, sandbox: Sandbox, tmp_path: Path) -> Subject:
        stand = OfLeads(sandbox, "lists/1001", "email")
        return of_leads(sandbox, tmp_path, "lists/1001", server=stand, values={}, text="email")

    def test_sending_twice_does_no_harm_where_the_connector_says_so(self, subject: Subject) -> None:
        """Marketo calls a lead that is on the list already `added`."""
        super().test_sending_twice_does_no_harm_where_the_connector_says_so(replace(subject, reports=False))


class TestActivities(Conformance):
    @pytest.fixture
    def subject(self, sandbox: Sandbox, tmp_path: Path) -> Subject:
        stand = OfLeads(sandbox, "activities/seen_c", "x_name")
        own = {"activityDate": VALUES["seen"], "event": (ColumnType.TEXT, "Summit")}
        values = {**own, **{f"x_{name}": value for name, value in VALUES.items()}}
        return of_leads(sandbox, tmp_path, "activities/seen_c", server=stand, values=values)


def marketo_subject(sandbox: Sandbox, tmp_path: Path, kind: str, threshold: int) -> Subject:
    sandbox.load_setup("marketo", setup(tmp_path))
    stand = (LeadStand if kind == "leads" else Stand)(sandbox, "marketo", kind, MATCH[kind], "x_name")
    config = stand.settings(MarketoConfig(type="marketo", sandbox=True, bulk_threshold=threshold))

    def connect(gate: Gate) -> Marketo:
        made = Marketo(config, OpenGate())
        made.check()  # the kit counts the requests of a write: the token is there before
        made.gate = gate
        return made

    return Subject(
        connect=connect,
        server=stand,
        object=kind,
        match=MATCH[kind],
        values={f"x_{name}": value for name, value in VALUES.items()},
        text="x_name",
        secret=sandbox.token("marketo"),
    )


def setup(tmp_path: Path) -> Path:
    fields = [{"name": f"x_{n}", "dataType": TYPES.get(column, "string")} for n, (column, _) in VALUES.items()]
    plan = {"apiName": "plan_c", "dedupeFields": ["ref"], "fields": [{"name": "ref", "dataType": "string"}, *fields]}
    attributes = [{"apiName": item["name"], "name": item["name"], "dataType": item["dataType"]} for item in fields]
    event = {"apiName": "event", "name": "Event", "dataType": "string"}
    seen = {"apiName": "seen_c", "name": "Seen", "primaryAttribute": event, "attributes": attributes}
    lists = {"lists": [{"name": "Trials"}]}
    path = tmp_path / "marketo.yml"
    standard = dict.fromkeys(("leads", "companies", "namedAccounts"), fields)
    path.write_text(json.dumps({"fields": standard, "customObjects": [plan], **lists, "activityTypes": [seen]}))
    return path
