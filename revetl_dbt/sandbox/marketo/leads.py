"""Leads: sync, delete ("Leads")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from revetl_dbt.sandbox.marketo.account import Account
from revetl_dbt.sandbox.marketo.errors import ApiError, RowError, success
from revetl_dbt.sandbox.marketo.reading import body, choice, lead_ids, records
from revetl_dbt.sandbox.marketo.schema import Kind
from revetl_dbt.sandbox.marketo.values import kept
from revetl_dbt.sandbox.messages import Poisoned, Request, Response
from revetl_dbt.sandbox.store import Record

ACTIONS = ("createOrUpdate", "createOnly", "updateOnly", "createDuplicate")


@dataclass(frozen=True)
class Course:
    """How leads are written: by which field they are found, and what may be done then."""

    action: str
    lookup: str
    partition: str | None = None
    lenient: bool = False  # an import takes what a sync refuses: bad addresses, fields of companies


class Leads:
    """The endpoints of leads."""

    def __init__(self, account: Account) -> None:
        self._account = account

    @property
    def kind(self) -> Kind:
        found = self._account.kind("leads")
        assert found is not None
        return found

    def sync(self, request: Request) -> Response:
        """POST leads.json."""
        given = body(request)
        course = self.course(given)
        rows = records(request, given)
        poisons = refuse_whole([request.poisoned(row) for row in rows])
        return success([self._result(row, course, poison) for row, poison in zip(rows, poisons, strict=True)])

    def course(self, given: Mapping[str, Any], lenient: bool = False) -> Course:
        """How a request wants leads to be written. ApiError for what cannot be."""
        action = choice(given, "action", ACTIONS)
        lookup = str(given.get("lookupField") or "email")
        if lookup not in self.kind.fields:
            raise ApiError("1006", f"Field '{lookup}' not found")
        if lookup not in self.kind.searchable:
            raise ApiError("1011", f"Field '{lookup}' not supported")
        partition = given.get("partitionName")
        if partition is not None and partition not in self._account.partitions():
            raise ApiError("1003", f"Partition '{partition}' not found")
        return Course(action, lookup, partition, lenient)

    def _result(self, row: Mapping[str, Any], course: Course, poison: Poisoned | None) -> dict[str, Any]:
        try:
            if poison:
                raise RowError("1003", poison.message)
            record, status = self.write(row, course)
        except RowError as error:
            return {"status": "skipped", "reasons": error.reasons()}
        return {"id": int(record.id), "status": status}

    def write(self, row: Mapping[str, Any], course: Course) -> tuple[Record, str]:
        """Create or update a lead; `created` or `updated`. RowError for what is skipped."""
        value = row.get(course.lookup)
        if "id" in row and course.action != "updateOnly":
            raise RowError("1003", "Field 'id' is only allowed when action is 'updateOnly'")
        if value in (None, "") and course.action != "createDuplicate":
            raise RowError("1003", f"Value for lookup field '{course.lookup}' not found")
        values = self._values(row, course)
        found = self._found(course, value)
        if len(found) > 1:
            raise RowError("1007", "Multiple leads match lookup criteria")
        if found and course.action == "createOnly":
            raise RowError("1005", "Lead already exists")
        if not found and course.action == "updateOnly":
            raise RowError("1004", "Lead not found")
        lead = found[0] if found else self._account.new(self.kind)
        if found and not course.lenient and self._about_company(values, lead):
            raise RowError("1021", "Company update not allowed")
        if not found:
            lead.properties["leadPartition"] = course.partition or self._account.partitions()[0]
        self._account.save("leads", lead, values, "Web service API" if not course.lenient else "List import")
        return lead, "updated" if found else "created"

    def _found(self, course: Course, value: Any) -> list[Record]:
        if course.action == "createDuplicate":
            return []
        if course.lookup == "id":
            return list(self._account.read("leads", [value]).values())
        return self._account.find("leads", [course.lookup], [value])

    def _values(self, row: Mapping[str, Any], course: Course) -> dict[str, Any]:
        values = {}
        for name, value in row.items():
            field = self.kind.fields.get(name)
            if field is None:
                raise RowError("1006", f"Field '{name}' not found")
            if name == "id":
                continue
            if not field.updateable:
                raise RowError("1003", f"Field '{name}' is read-only")
            values[name] = value if course.lenient and field.type == "email" else kept(field, value)
        return values

    def _about_company(self, values: Mapping[str, Any], lead: Record) -> bool:
        fields = self.kind.fields
        return any(fields[name].company and lead.properties.get(name) != value for name, value in values.items())

    def delete(self, request: Request) -> Response:
        """POST leads/delete.json."""
        results: list[dict[str, Any]] = []
        for lead_id in lead_ids(request):
            try:
                self._account.delete("leads", self._account.lead(lead_id), "Web service API")
                results.append({"id": lead_id, "status": "deleted"})
            except RowError as error:
                results.append({"id": lead_id, "status": "skipped", "reasons": error.reasons()})
        return success(results)


def refuse_whole(poisons: Sequence[Poisoned | None]) -> Sequence[Poisoned | None]:
    """The poisons of the rows; ApiError 1003 when one of them spoils the request."""
    whole = next((poison for poison in poisons if poison and poison.whole_batch), None)
    if whole:
        raise ApiError("1003", whole.message)
    return poisons
