"""One HubSpot account: its id, its objects and their properties, as HubSpot ships them and as a user extends them."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from revetl_dbt.errors import SandboxError
from revetl_dbt.sandbox.hubspot.errors import ApiError
from revetl_dbt.sandbox.hubspot.objects import ALIASES, STANDARD, ObjectType, default_properties, group_of
from revetl_dbt.sandbox.hubspot.properties import Property, check_unique_limit, from_json, patched
from revetl_dbt.sandbox.hubspot.shapes import mapping, mappings, number, require, text, texts
from revetl_dbt.sandbox.hubspot.values import moment_text
from revetl_dbt.sandbox.store import Store

VENDOR = "hubspot"


class Account:
    """The definitions of an account, kept in the store. The portal id is drawn once for a state directory."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.id = int(store.setting("hubspot:portal", lambda: random.SystemRandom().randrange(20_000_000, 60_000_000)))
        self._lock = threading.RLock()
        self._properties: dict[str, dict[str, Property]] = {}
        self._kinds: dict[str, ObjectType] = {}
        self.sections: dict[str, Callable[[Mapping[str, Any]], None]] = {}  # what else a setup file may list
        self.reload()

    # -- objects ---------------------------------------------------------------------------------

    def kinds(self) -> list[ObjectType]:
        """All objects, HubSpot's own first."""
        with self._lock:
            return list(self._kinds.values())

    def kind(self, segment: str) -> ObjectType:
        """The object of a path part: a name, a type id such as `0-1` or `2-123`, or `p{portal}_name`.
        ApiError 400 if there is none."""
        with self._lock:
            found = self._kinds.get(ALIASES.get(segment.lower(), segment))
            if found is None:
                named = (
                    kind
                    for kind in self._kinds.values()
                    if kind.custom and segment.lower() in (kind.name, kind.qualified)
                )
                found = next(named, None)
        if found is None:
            raise ApiError(400, f"Unable to infer object type from: {segment}", None)
        return found

    def schemas(self) -> dict[str, dict[str, Any]]:
        """The schemas of custom objects by type id."""
        return self.store.definitions(VENDOR, "schema")

    def create_schema(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Define a custom object with its properties. ApiError 400 for a bad body, 409 for a name in use."""
        require(body, ("name", "labels", "requiredProperties", "properties"))
        name = text(body["name"], "name").lower()
        labels = mapping(body["labels"], "labels")
        required = texts(body["requiredProperties"], "requiredProperties")
        given = mappings(body["properties"], "properties")
        now = moment_text(self.store.now())
        with self._lock, self.store.transaction():
            if name in ALIASES or any(kind.name == name for kind in self._kinds.values()):
                raise ApiError(409, f"An object named `{name}` already exists", "OBJECT_ALREADY_EXISTS")
            properties = [from_json({"groupName": f"{name}_information", **prop}, now) for prop in given]
            check_unique_limit(properties)
            unknown = set(required) - {prop.name for prop in properties}
            if unknown:
                raise ApiError(
                    400, f"The required properties {', '.join(sorted(unknown))} are not among the properties"
                )
            serial = self.store.next_number("hubspot:schema", 1, 40_000_001)
            schema = {
                "id": str(serial),
                "name": name,
                "labels": {key: text(label, key) for key, label in labels.items()},
                "objectTypeId": f"2-{serial}",
                "fullyQualifiedName": f"p{self.id}_{name}",
                "requiredProperties": required,
                "searchableProperties": texts(body.get("searchableProperties"), "searchableProperties"),
                "secondaryDisplayProperties": texts(
                    body.get("secondaryDisplayProperties"), "secondaryDisplayProperties"
                ),
                "primaryDisplayProperty": body.get("primaryDisplayProperty"),
                "description": body.get("description"),
                "createdAt": now,
                "updatedAt": now,
                "archived": False,
            }
            self.store.define(VENDOR, "schema", str(schema["objectTypeId"]), schema)
            kind = self._add_kind(schema)
            self._define(kind, properties)
        return schema

    def schema_json(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """A schema as the API shows it."""
        kind = self.kind(str(schema["objectTypeId"]))
        return {**schema, "properties": [prop.as_json() for prop in self.properties(kind).values()], "associations": []}

    def _add_kind(self, schema: Mapping[str, Any]) -> ObjectType:
        display = str(schema.get("primaryDisplayProperty") or "hs_object_id")
        kind = ObjectType(
            name=str(schema["name"]),
            type_id=str(schema["objectTypeId"]),
            singular=str(schema["labels"].get("singular", schema["name"])),
            plural=str(schema["labels"].get("plural", schema["name"])),
            shown=("hs_createdate", "hs_lastmodifieddate", "hs_object_id"),
            required=tuple(schema["requiredProperties"]),
            display=(display,),
            qualified=str(schema["fullyQualifiedName"]),
        )
        self._kinds[kind.type_id] = kind
        return kind

    # -- properties ------------------------------------------------------------------------------

    def properties(self, kind: ObjectType, archived: bool = False) -> dict[str, Property]:
        """The properties of an object by name, without the archived ones or only those."""
        return {name: prop for name, prop in self._all(kind).items() if prop.archived == archived}

    def active(self, kind: ObjectType) -> dict[str, Property]:
        """All properties of an object that are not archived; a dict that must not be changed, for the fast path."""
        found = self._properties.get(kind.key)
        if found is None or any(prop.archived for prop in found.values()):
            return self.properties(kind)
        return found

    def property(self, kind: ObjectType, name: str) -> Property:
        """One property; ApiError 404 if there is none."""
        prop = self.active(kind).get(name)
        if prop is None:
            raise ApiError(404, f"Property `{name}` does not exist for the object {kind.code}", "OBJECT_NOT_FOUND")
        return prop

    def create_property(self, kind: ObjectType, body: Mapping[str, Any]) -> Property:
        """Define a property; ApiError 400 for a bad definition, 409 for a name in use."""
        with self._lock:
            prop = from_json(body, moment_text(self.store.now()))
            if prop.name in self.active(kind):
                raise ApiError(409, f"A property named '{prop.name}' already exists.", "OBJECT_ALREADY_EXISTS")
            if prop.group not in self.groups(kind):
                raise ApiError(400, f"The property group `{prop.group}` does not exist for the object {kind.code}")
            check_unique_limit([*self.active(kind).values(), prop])
            self._define(kind, [prop])
        return prop

    def patch_property(self, kind: ObjectType, name: str, body: Mapping[str, Any]) -> Property:
        """Change a user's property."""
        with self._lock:
            prop = patched(self.property(kind, name), body, moment_text(self.store.now()))
            self._define(kind, [prop])
        return prop

    def archive_property(self, kind: ObjectType, name: str) -> None:
        """Archive a user's property; one that there is not is no error."""
        with self._lock:
            prop = self.active(kind).get(name)
            if prop is not None and prop.own:
                raise ApiError(400, f"The property `{name}` is defined by HubSpot and cannot be archived")
            if prop is not None:
                self._define(kind, [replace(prop, archived=True)])

    def groups(self, kind: ObjectType) -> dict[str, dict[str, Any]]:
        """The property groups of an object by name."""
        own = group_of(kind)
        own_group = {
            "name": own,
            "label": f"{kind.singular.capitalize()} information",
            "displayOrder": 0,
            "archived": False,
        }
        return {own: own_group, **self.store.definitions(VENDOR, "group", kind.key)}

    def create_group(self, kind: ObjectType, body: Mapping[str, Any]) -> dict[str, Any]:
        """Define a property group; ApiError 400 for a bad body, 409 for a name in use."""
        require(body, ("label", "name"))
        name = text(body["name"], "name")
        with self._lock:
            if name in self.groups(kind):
                raise ApiError(409, f"A property group named '{name}' already exists.", "OBJECT_ALREADY_EXISTS")
            group = {
                "name": name,
                "label": text(body["label"], "label"),
                "displayOrder": number(body.get("displayOrder"), "displayOrder", -1),
                "archived": False,
            }
            self.store.define(VENDOR, "group", name, group, kind.key)
        return group

    def _all(self, kind: ObjectType) -> dict[str, Property]:
        with self._lock:
            if kind.key not in self._properties:
                mine = self.store.definitions(VENDOR, "property", kind.key)
                self._properties[kind.key] = default_properties(kind) | {
                    name: from_json(body, "") for name, body in mine.items()
                }
            return self._properties[kind.key]

    def _define(self, kind: ObjectType, properties: Sequence[Property]) -> None:
        known = self._all(kind)
        for prop in properties:
            self.store.define(VENDOR, "property", prop.name, prop.as_json(), kind.key)
        self._properties[kind.key] = known | {prop.name: prop for prop in properties}

    def reload(self) -> None:
        """Read the definitions from the store again, after a transaction that defined some was taken back."""
        with self._lock:
            self._properties.clear()
            self._kinds = {kind.name: kind for kind in STANDARD}
            for schema in self.store.definitions(VENDOR, "schema").values():
                self._add_kind(schema)

    # -- setup file ------------------------------------------------------------------------------

    def load_setup(self, path: Path) -> None:
        """Define what a YAML file lists and what is not there yet.

        `objects:` is a list of custom object schemas, `properties:` maps an object to a list of property definitions
        as the API takes them; `groupName` defaults to the object's own group. Each of `sections` is a list of entries.
        SandboxError names the file and the entry that is wrong.
        """
        import yaml  # costs more than the rest of this package, and only some accounts have a setup

        try:
            setup = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise SandboxError(f"The sandbox cannot read its setup file {path}: {error}") from None
        known = ("objects", "properties", *self.sections)
        unknown = set(setup) - set(known) if isinstance(setup, dict) else {"(not a mapping)"}
        if unknown:
            names = ", ".join(f"`{name}`" for name in known)
            raise SandboxError(f"The setup file {path} may have {names}, not {', '.join(sorted(map(str, unknown)))}")
        for schema in setup.get("objects") or ():
            self._load(path, "objects", schema.get("name"), partial(self._load_schema, schema))
        for segment, definitions in (setup.get("properties") or {}).items():
            for body in definitions:
                self._load(path, f"properties.{segment}", body.get("name"), partial(self._load_property, segment, body))
        for section, load in self.sections.items():
            for body in setup.get(section) or ():
                self._load(path, section, body.get("name") or body.get("label"), partial(load, body))

    def _load(self, path: Path, section: str, name: Any, act: Callable[[], None]) -> None:
        try:
            act()
        except ApiError as error:
            raise SandboxError(
                f"The setup file {path} has a mistake in `{section}`, entry `{name}`: {error.message}"
            ) from None

    def _load_schema(self, body: Mapping[str, Any]) -> None:
        if str(body.get("name")).lower() not in {kind.name for kind in self.kinds()}:
            self.create_schema(body)

    def _load_property(self, segment: str, body: Mapping[str, Any]) -> None:
        kind = self.kind(segment)
        if body.get("name") in self.active(kind):
            return
        group = str(body.get("groupName") or group_of(kind))
        if group not in self.groups(kind):
            self.create_group(kind, {"name": group, "label": group.replace("_", " ").capitalize()})
        self.create_property(kind, {**body, "groupName": group})
