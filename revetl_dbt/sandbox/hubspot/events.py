"""Custom events: https://developers.hubspot.com/docs/api-reference/latest/events/send-event-data/guide.

Each has a definition with its properties and belongs to a record. A batch with a bad event is refused as a whole; of
events with one `uuid` the first counts, and later ones are dropped without a word (the guide says "rejected", the
answer to all of them is 204). Limits on values: "New property limits for the Custom Behavioural Events API".
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from revetl_dbt.sandbox.hubspot.account import VENDOR, Account
from revetl_dbt.sandbox.hubspot.batch import MAX_INPUTS
from revetl_dbt.sandbox.hubspot.errors import NOT_FOUND, ApiError
from revetl_dbt.sandbox.hubspot.objects import ObjectType
from revetl_dbt.sandbox.hubspot.properties import Property
from revetl_dbt.sandbox.hubspot.records import Records
from revetl_dbt.sandbox.hubspot.shapes import mapping, mappings, require, text
from revetl_dbt.sandbox.hubspot.values import Refused, kept, moment_text
from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.store import Record

MAX_PROPERTIES = 50
_TYPES = ("bool", "date", "datetime", "enumeration", "number", "string")
_WHEN = Property("occurredAt", "Occurred at", "datetime", "date")
_DEFAULTS = ("hs_city", "hs_country", "hs_page_url", "hs_referrer", "hs_user_agent")
"""Some of the properties that HubSpot gives an event unless `includeDefaultProperties` is false."""


class Events:
    """The custom events of an account: definitions, and what occurred."""

    def __init__(self, account: Account, records: Records) -> None:
        self.account = account
        self.store = account.store
        self._records = records

    def all(self) -> dict[str, dict[str, Any]]:
        """The definitions by fully qualified name."""
        return self.store.definitions(VENDOR, "event")

    def get(self, name: str) -> dict[str, Any]:
        """A definition by its name, fully qualified or not; ApiError 404 if there is none."""
        known = self.all()
        found = known.get(name) or next((event for event in known.values() if event["name"] == name), None)
        if found is None:
            raise ApiError(404, f"No event definition exists with the name {name}", NOT_FOUND)
        return found

    def define(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make a definition; a setup file may say its `fullyQualifiedName`. ApiError 400 for a bad body."""
        require(body, ("label", "name"))
        name = text(body["name"], "name").lower()
        qualified = text(body.get("fullyQualifiedName") or f"pe{self.account.id}_{name}", "fullyQualifiedName")
        if qualified in self.all():
            raise ApiError(409, f"An event definition named {name} already exists", "OBJECT_ALREADY_EXISTS")
        kind = self.account.kind(text(body.get("primaryObject") or "contact", "primaryObject"))
        given = [*mappings(body.get("propertyDefinitions"), "propertyDefinitions")]
        if body.get("includeDefaultProperties", True):
            given += [{"name": default, "label": default, "type": "string"} for default in _DEFAULTS]
        made = {
            "name": name,
            "fullyQualifiedName": qualified,
            "labels": {"singular": text(body["label"], "label"), "plural": None},
            "primaryObjectId": kind.type_id,
            "properties": [_property(item) for item in given],
            "createdAt": moment_text(self.store.now()),
            "archived": False,
        }
        self.store.define(VENDOR, "event", qualified, made)
        return made

    def add_property(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Give a definition one more property; ApiError 400 for a bad body, 409 for one that is there."""
        event, made = self.get(name), _property(body)
        if made["name"] in {known["name"] for known in event["properties"]}:
            raise ApiError(
                409, f"The event {event['name']} has a property {made['name']} already", "OBJECT_ALREADY_EXISTS"
            )
        changed = {**event, "properties": [*event["properties"], made]}
        self.store.define(VENDOR, "event", event["fullyQualifiedName"], changed)
        return made

    def occur(self, inputs: list[Mapping[str, Any]], request: Request) -> None:
        """Take events; ApiError 400 for the first that breaks a rule, and none is kept then."""
        made = [(event, record) for given in inputs for event, record in [self._checked(given, request)]]
        with self.store.transaction():
            for event, record in made:
                shelf = _shelf(event["fullyQualifiedName"])
                if not self.store.read(VENDOR, shelf, [record.id]):
                    self.store.write(VENDOR, shelf, [record], [])

    def _checked(self, given: Mapping[str, Any], request: Request) -> tuple[dict[str, Any], Record]:
        require(given, ("eventName",))
        event = self.all().get(text(given["eventName"], "eventName"))
        if event is None:
            raise ApiError(400, f"No event definition exists with the name {given['eventName']}")
        values = {str(name): value for name, value in mapping(given.get("properties"), "properties").items()}
        poison = request.poisoned({**given, **values})
        if poison:
            raise ApiError(400, poison.message)
        known = {item["name"]: item for item in event["properties"]}
        if len(values) > MAX_PROPERTIES:
            raise ApiError(400, f"An event has at most {MAX_PROPERTIES} properties, this one has {len(values)}")
        for name, value in values.items():
            if name not in known:
                raise ApiError(400, f"The property {name} is not defined for the event {event['name']}")
            if not isinstance(value, str):
                raise ApiError(400, f"Invalid input JSON on line 1, column 2: `{name}` must be a text", None)
        now = self.store.now()
        occurred = text(given.get("occurredAt") or moment_text(now), "occurredAt")
        try:
            occurred = kept(_WHEN, occurred)
        except Refused as refused:
            raise ApiError(400, str(refused)) from None
        kind = self.account.kind(event["primaryObjectId"])
        subject = self._subject(kind, given)
        details = {**{name: given[name] for name in ("email", "utk") if given.get(name)}, **values}
        identity = text(given.get("uuid") or str(uuid.uuid4()), "uuid")
        return event, Record(identity, {**details, "objectId": subject, "occurredAt": occurred}, now, now)

    def _subject(self, kind: ObjectType, given: Mapping[str, Any]) -> str | None:
        """Whose event it is; an address that nobody has is kept without a record."""
        if given.get("objectId"):
            return text(given["objectId"], "objectId")
        if given.get("email") and kind.name == "contacts":
            address = text(given["email"], "email")
            found = self._records.find(kind, [address], "email").get(address)
            return None if found is None else found.id
        if given.get("utk"):
            return None
        raise ApiError(400, "An event needs one of `objectId`, `email` and `utk` to say whose it is")

    def of(self, kind: ObjectType, record_id: str, limit: int = 50) -> list[tuple[dict[str, Any], Record]]:
        """The events of a record with their definitions, the latest first."""
        mine = [event for event in self.all().values() if event["primaryObjectId"] == kind.type_id]
        found = [
            (event, record)
            for event in mine
            for record in self.store.find(VENDOR, _shelf(event["fullyQualifiedName"]), record_id, limit)
            if record.properties["objectId"] == record_id
        ]
        return sorted(found, key=lambda pair: str(pair[1].properties["occurredAt"]), reverse=True)[:limit]


def _property(item: Mapping[str, Any]) -> dict[str, Any]:
    require(item, ("name", "label", "type"))
    if item["type"] not in _TYPES:
        raise ApiError(400, f"Invalid type `{item['type']}` of an event property. Valid are: {', '.join(_TYPES)}")
    if item["type"] == "enumeration":
        require(item, ("options",))
    return {
        "name": text(item["name"], "name").lower(),
        "label": text(item["label"], "label"),
        "type": text(item["type"], "type"),
        "options": mappings(item.get("options"), "options"),
        "archived": False,
    }


def _shelf(qualified: str) -> str:
    """Where the store keeps what occurred."""
    return f"event:{qualified}"


class EventEndpoints:
    """Handlers for `/events/{version}/send` and `/events/{version}/event-definitions`."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def send(self, request: Request) -> Response:
        """POST one."""
        request.records = 1
        self._events.occur([mapping(request.json())], request)
        return Response(204)

    def send_batch(self, request: Request) -> Response:
        """POST several."""
        body = mapping(request.json())
        require(body, ["inputs"])
        inputs = mappings(body["inputs"], "inputs")
        request.records = len(inputs)
        if not 1 <= len(inputs) <= MAX_INPUTS:
            raise ApiError(400, f"A batch must have 1 to {MAX_INPUTS} events, this one has {len(inputs)}")
        self._events.occur(inputs, request)
        return Response(204)

    def create(self, request: Request) -> Response:
        """POST a definition."""
        return Response(201, self._events.define({**mapping(request.json()), "fullyQualifiedName": None}))

    def create_property(self, request: Request) -> Response:
        """POST a property of a definition."""
        return Response(201, self._events.add_property(request.params["name"], mapping(request.json())))

    def get(self, request: Request) -> Response:
        """GET a definition."""
        return Response(data=self._events.get(request.params["name"]))
