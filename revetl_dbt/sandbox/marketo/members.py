"""Static lists, program members and custom activities ("List Membership", "Program Members", "Activities")."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from revetl_dbt.sandbox.marketo.account import VENDOR, Account
from revetl_dbt.sandbox.marketo.errors import ApiError, RowError, success
from revetl_dbt.sandbox.marketo.leads import refuse_whole
from revetl_dbt.sandbox.marketo.query import by_filter, paged, shown
from revetl_dbt.sandbox.marketo.reading import body, first, lead_ids, listed, query, records
from revetl_dbt.sandbox.marketo.schema import Field
from revetl_dbt.sandbox.marketo.values import kept, millis, moment_text
from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.store import Change, Record

_DEFAULT_MEMBER = ("acquiredBy", "leadId", "membershipDate", "programId", "reachedSuccess")
_MAX_ATTRIBUTES = 65_536  # bytes


class Members:
    """The endpoints of what leads are members of, and of what they did."""

    def __init__(self, account: Account) -> None:
        self._account = account

    # -- static lists ----------------------------------------------------------------------------

    def lists(self, request: Request) -> Response:
        """GET lists.json, or lists/{id}.json."""
        if "list" in request.params:
            return success([_shown_list(self._account.defined("list", request.params["list"]))])
        return success([_shown_list(item) for item in self._account.store.definitions(VENDOR, "list").values()])

    def add(self, request: Request) -> Response:
        """POST lists/{id}/leads.json."""
        key = self._list(request)

        def change(lead_id: int) -> str:
            if str(lead_id) not in self._account.read(key, [lead_id]):
                now = self._account.store.now()
                self._account.save(key, Record(str(lead_id), {}, now, now), {"leadId": lead_id}, "Web service API")
            return "added"

        return self._each(request, change)

    def remove(self, request: Request) -> Response:
        """DELETE lists/{id}/leads.json."""
        key = self._list(request)

        def change(lead_id: int) -> str:
            member = self._account.read(key, [lead_id]).get(str(lead_id))
            if member is None:
                raise RowError("1015", "Lead not in list")
            self._account.delete(key, member, "Web service API")
            return "removed"

        return self._each(request, change)

    def is_member(self, request: Request) -> Response:
        """GET lists/{id}/leads/ismember.json."""
        key = self._list(request)
        return self._each(request, lambda lead_id: "memberof" if self._account.read(key, [lead_id]) else "notmemberof")

    def on_list(self, request: Request) -> Response:
        """GET lists/{id}/leads.json: the leads on a list."""
        members = self._account.store.scan(VENDOR, self._list(request))
        leads = self._account.read("leads", [member.id for member in members])
        kind = self._account.kind("leads")
        assert kind is not None
        asked = query(request)
        names = listed(asked, "fields") or ["email", "updatedAt", "createdAt", "lastName", "firstName"]
        rows = [shown(kind, lead, names) for lead in leads.values()]
        return paged(rows, first(asked, "batchSize"), first(asked, "nextPageToken"))

    def _list(self, request: Request) -> str:
        return f"lists/{self._account.defined('list', request.params['list'])['id']}"

    def _each(self, request: Request, change: Callable[[int], str]) -> Response:
        results: list[dict[str, Any]] = []
        for lead_id in lead_ids(request):
            try:
                self._account.lead(lead_id)
                results.append({"id": lead_id, "status": change(lead_id)})
            except RowError as error:
                results.append({"id": lead_id, "status": "skipped", "reasons": error.reasons()})
        return success(results)

    # -- programs --------------------------------------------------------------------------------

    def program_members(self, request: Request) -> Response:
        """GET programs/{id}/members.json."""
        program = self._account.defined("program", request.params["program"])
        kind = replace(self._account.members, key=f"programs/{program['id']}")
        return by_filter(self._account, kind, request, _DEFAULT_MEMBER)

    def set_status(self, request: Request) -> Response:
        """POST programs/{id}/members/status.json."""
        program, given = self._account.defined("program", request.params["program"]), body(request)
        statuses, status = list(program["statuses"]), given.get("statusName")
        if not status:
            raise ApiError("1002", "Missing value for the required parameter 'statusName'")
        if status not in statuses:
            raise ApiError("1025", f"Program status '{status}' not found")

        def change(row: Mapping[str, Any], member: Record | None) -> str:
            if member is not None and statuses.index(member.properties["statusName"]) >= statuses.index(status):
                raise RowError("1037", "Lead skipped because it is already in or past this status")
            now = self._account.store.now()
            values: dict[str, Any] = {"statusName": status, "reachedSuccess": status == statuses[-1]}
            if member is None:
                joined = {"programId": program["id"], "program": program["name"], "membershipDate": moment_text(now)}
                values = {**joined, "acquiredBy": False, "leadId": int(row["leadId"]), **values}
            record = member or Record(str(row["leadId"]), {}, now, now)
            self._account.save(f"programs/{program['id']}", record, values, "Web service API")
            return "updated" if member else "created"

        return self._members(request, given, program, change)

    def set_fields(self, request: Request) -> Response:
        """POST programs/{id}/members.json: fields of leads that are members."""
        program, given = self._account.defined("program", request.params["program"]), body(request)

        def change(row: Mapping[str, Any], member: Record | None) -> str:
            if member is None:
                raise RowError("1013", "Membership not found")
            values = {name: self._kept(name, value) for name, value in row.items() if name != "leadId"}
            self._account.save(f"programs/{program['id']}", member, values, "Web service API")
            return "updated"

        return self._members(request, given, program, change)

    def _kept(self, name: str, value: Any) -> Any:
        field = self._account.members.fields.get(name)
        if field is None:
            raise RowError("1006", f"Field '{name}' not found")
        if not field.updateable:
            raise RowError("1003", f"Field '{name}' is not updateable")
        return kept(field, value)

    def leave(self, request: Request) -> Response:
        """POST programs/{id}/members/delete.json."""
        program, given = self._account.defined("program", request.params["program"]), body(request)

        def change(_row: Mapping[str, Any], member: Record | None) -> str:
            if member is None:
                raise RowError("1037", "Lead not in program")
            self._account.delete(f"programs/{program['id']}", member, "Web service API")
            return "deleted"

        return self._members(request, given, program, change)

    def _members(
        self,
        request: Request,
        given: Mapping[str, Any],
        program: Mapping[str, Any],
        change: Callable[[Mapping[str, Any], Record | None], str],
    ) -> Response:
        rows = records(request, given)
        poisons = refuse_whole([request.poisoned(row) for row in rows])
        results: list[dict[str, Any]] = []
        for seq, (row, poison) in enumerate(zip(rows, poisons, strict=True)):
            try:
                if poison:
                    raise RowError("1003", poison.message)
                lead = self._account.lead(row.get("leadId"))
                member = self._account.read(f"programs/{program['id']}", [lead.id]).get(lead.id)
                results.append({"seq": seq, "status": change(row, member), "leadId": int(lead.id)})
            except RowError as error:
                results.append({"seq": seq, "status": "skipped", "reasons": error.reasons()})
        return success(results)

    # -- custom activities -----------------------------------------------------------------------

    def types(self, request: Request) -> Response:
        """GET activities/external/types.json, or external/type/{name}/describe.json."""
        if "type" in request.params:
            return success([self._account.defined("activity", request.params["type"])])
        hidden = ("primaryAttribute", "attributes")
        found = self._account.store.definitions(VENDOR, "activity").values()
        return success([{name: value for name, value in item.items() if name not in hidden} for item in found])

    def act(self, request: Request) -> Response:
        """POST activities/external.json."""
        rows = records(request, body(request))
        poisons = refuse_whole([request.poisoned(_attributes(row)) for row in rows])
        kinds = {str(item["id"]): item for item in self._account.store.definitions(VENDOR, "activity").values()}
        results: list[dict[str, Any]] = []
        for row, poison in zip(rows, poisons, strict=True):
            try:
                if poison:
                    raise RowError("1003", poison.message)
                number = self._add(row, kinds)
                results.append({"id": number, "marketoGUID": str(number), "status": "added"})
            except RowError as error:
                results.append({"status": "skipped", "errors": error.reasons()})
        return success(results)

    def _add(self, row: Mapping[str, Any], kinds: Mapping[str, Mapping[str, Any]]) -> int:
        for name in ("leadId", "activityDate", "activityTypeId", "primaryAttributeValue", "attributes"):
            if row.get(name) in (None, ""):
                raise RowError("1002", f"Missing value for the required parameter '{name}'")
        kind = kinds.get(str(row["activityTypeId"]))
        if kind is None:
            raise RowError("1013", f"Activity type {row['activityTypeId']} not found")
        self._account.lead(row["leadId"])
        if len(str(row["attributes"]).encode()) > _MAX_ATTRIBUTES:
            raise RowError("1049", "Attributes array too long")
        known = {str(item["apiName"]): item for item in kind["attributes"]}
        values = {
            "leadId": row["leadId"],
            "activityDate": kept(Field("activityDate", "", "datetime"), row["activityDate"]),
        }
        primary = kind["primaryAttribute"]
        values[primary["apiName"]] = _attribute(primary, row["primaryAttributeValue"])
        for name, value in _attributes(row).items():
            if name not in known:
                raise RowError("1006", f"Attribute '{name}' not found")
            values[name] = _attribute(known[name], value)
        number = self._account.store.next_number("marketo:activities", 1, 102_001)
        at = millis(values["activityDate"])
        record = Record(str(number), values, at, at)
        change = Change(record.id, at, "Web service API", {name: (None, value) for name, value in values.items()})
        self._account.store.write(VENDOR, f"activities/{kind['apiName']}", [record], [change])
        return number


def _attribute(definition: Mapping[str, Any], value: Any) -> Any:
    return kept(Field(str(definition["apiName"]), "", str(definition.get("dataType", "string"))), value)


def _attributes(row: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of an activity by API name, or by name where that is given."""
    found = row.get("attributes")
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ApiError("1001", "Invalid value for 'attributes'. Required of type 'array'")
    return {str(item.get("apiName") or item.get("name")): item.get("value") for item in found}


def _shown_list(item: Mapping[str, Any]) -> dict[str, Any]:
    at = "2020-01-01T00:00:00Z"
    return {"id": item["id"], "name": item["name"], "createdAt": at, "updatedAt": at}
