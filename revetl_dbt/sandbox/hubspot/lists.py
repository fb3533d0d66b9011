"""Lists of records: https://developers.hubspot.com/docs/api-reference/latest/crm/lists/guide.

Records join and leave static lists (MANUAL, SNAPSHOT) by id; ids that there are not are named in the answer, those that
are on the list already (or not on it) are passed over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from revetl_dbt.sandbox.hubspot.account import VENDOR, Account
from revetl_dbt.sandbox.hubspot.errors import NOT_FOUND, ApiError
from revetl_dbt.sandbox.hubspot.objects import ObjectType
from revetl_dbt.sandbox.hubspot.shapes import mapping, mappings, require, text, texts
from revetl_dbt.sandbox.hubspot.values import moment_text
from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.store import Record

_STATIC = ("MANUAL", "SNAPSHOT")


class Lists:
    """The lists of an account and who is on them."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.store = account.store

    def all(self) -> dict[str, dict[str, Any]]:
        """The lists by id."""
        return self.store.definitions(VENDOR, "list")

    def get(self, list_id: str) -> dict[str, Any]:
        """One list; ApiError 404 if there is none."""
        found = self.all().get(list_id)
        if found is None:
            raise ApiError(404, f"List does not exist with ID {list_id}.", NOT_FOUND, {"listId": [list_id]})
        return found

    def define(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make a list; a setup file may say its `listId`. ApiError 400 for a bad body."""
        require(body, ("name", "objectTypeId", "processingType"))
        processing = text(body["processingType"], "processingType")
        if processing not in (*_STATIC, "DYNAMIC"):
            raise ApiError(400, f"Invalid processingType `{processing}`. Valid are: MANUAL, SNAPSHOT, DYNAMIC")
        kind = self.account.kind(text(body["objectTypeId"], "objectTypeId"))
        now = moment_text(self.store.now())
        list_id = text(body.get("listId") or str(self.store.next_number("hubspot:list", 1, 101)), "listId")
        made = {
            "listId": list_id,
            "listVersion": 1,
            "name": text(body["name"], "name"),
            "objectTypeId": kind.type_id,
            "processingType": processing,
            "processingStatus": "COMPLETE",
            "createdAt": now,
            "updatedAt": now,
        }
        self.store.define(VENDOR, "list", list_id, made)
        return made

    def members(self, list_id: str) -> list[Record]:
        """The places on a list, in order of arrival, by the id of the record."""
        return self.store.scan(VENDOR, _shelf(list_id))

    def of(self, kind: ObjectType, record_id: str) -> list[tuple[dict[str, Any], Record]]:
        """The lists that a record is on, and its place on each."""
        mine = [found for found in self.all().values() if found["objectTypeId"] == kind.type_id]
        return [(found, place) for found in mine for place in self._on(found["listId"], [record_id]).values()]

    def change(self, list_id: str, joining: Collection[str], leaving: Collection[str]) -> dict[str, list[str]]:
        """Put records on a list and take others off it; ApiError 400 for a list whose filters decide."""
        found = self.get(list_id)
        if found["processingType"] not in _STATIC:
            raise ApiError(400, f"Memberships of the list {list_id} cannot be changed: its processingType is DYNAMIC")
        kind = self.account.kind(found["objectTypeId"])
        with self.store.transaction():
            records = self.store.read(VENDOR, kind.key, {*joining, *leaving})
            there = {known for known, record in records.items() if record.archived is None}
            before = self._on(list_id, {*joining, *leaving})
            added = [known for known in dict.fromkeys(joining) if known in there and known not in before]
            removed = [known for known in dict.fromkeys(leaving) if known in before]
            now = self.store.now()
            self.store.write(VENDOR, _shelf(list_id), [Record(known, {}, now, now) for known in added], [])
            self.store.write(VENDOR, _shelf(list_id), [Record(known, {}, now, now, now) for known in removed], [])
        missing = [known for known in dict.fromkeys([*joining, *leaving]) if known not in there]
        return {"recordsIdsAdded": added, "recordIdsRemoved": removed, "recordIdsMissing": missing}

    def _on(self, list_id: str, ids: Iterable[str]) -> dict[str, Record]:
        found = self.store.read(VENDOR, _shelf(list_id), ids)
        return {known: record for known, record in found.items() if record.archived is None}


def _shelf(list_id: str) -> str:
    """Where the store keeps who is on a list."""
    return f"list:{list_id}"


class ListEndpoints:
    """Handlers for `/crm/v3/lists` and the date-versioned paths."""

    def __init__(self, lists: Lists) -> None:
        self._lists = lists

    def create(self, request: Request) -> Response:
        """POST a list."""
        return Response(data={"list": self._lists.define({**mapping(request.json()), "listId": None})})

    def get(self, request: Request) -> Response:
        """GET a list."""
        return Response(data={"list": self._lists.get(request.params["list"])})

    def add(self, request: Request) -> Response:
        """PUT memberships/add."""
        return self._change(request, self._poisoned(request, texts(request.json(), "body")), [])

    def remove(self, request: Request) -> Response:
        """PUT memberships/remove."""
        return self._change(request, [], texts(request.json(), "body"))

    def add_and_remove(self, request: Request) -> Response:
        """PUT memberships/add-and-remove."""
        body = mapping(request.json())
        joining = self._poisoned(request, texts(body.get("recordIdsToAdd"), "recordIdsToAdd"))
        return self._change(request, joining, texts(body.get("recordIdsToRemove"), "recordIdsToRemove"))

    def _poisoned(self, request: Request, ids: list[str]) -> list[str]:
        for known in ids:
            poison = request.poisoned({"hs_object_id": known})
            if poison:
                raise ApiError(400, poison.message)
        return ids

    def _change(self, request: Request, joining: list[str], leaving: list[str]) -> Response:
        request.records = len(joining) + len(leaving)
        return Response(data=self._lists.change(request.params["list"], joining, leaving))

    def members(self, request: Request) -> Response:
        """GET memberships."""
        found = self._lists.get(request.params["list"])
        results = [
            {"recordId": place.id, "membershipTimestamp": moment_text(place.updated)}
            for place in self._lists.members(found["listId"])
        ]
        return Response(data={"results": results, "total": len(results)})

    def of_record(self, request: Request) -> Response:
        """GET the lists of a record."""
        results = self._places(request.params["type"], request.params["id"])
        return Response(data={"results": results, "total": len(results)})

    def of_records(self, request: Request) -> Response:
        """POST the records whose lists are asked for."""
        started = self._lists.store.now()
        body = mapping(request.json())
        require(body, ["inputs"])
        results = []
        for given in mappings(body["inputs"], "inputs"):
            require(given, ("objectTypeId", "recordId"))
            kind, known = text(given["objectTypeId"], "objectTypeId"), text(given["recordId"], "recordId")
            results.append(
                {"objectTypeId": kind, "recordId": known, "recordListMemberships": self._places(kind, known)}
            )
        moments = {"startedAt": moment_text(started), "completedAt": moment_text(self._lists.store.now())}
        return Response(data={"status": "COMPLETE", "results": results, **moments})

    def _places(self, object_type: str, record_id: str) -> list[dict[str, Any]]:
        return [
            {
                "listId": found["listId"],
                "listVersion": found["listVersion"],
                "firstAddedTimestamp": moment_text(place.created),
                "lastAddedTimestamp": moment_text(place.updated),
            }
            for found, place in self._lists.of(self._lists.account.kind(object_type), record_id)
        ]
