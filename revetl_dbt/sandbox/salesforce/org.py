"""One Salesforce org: its id, its objects and their fields, as Salesforce ships them and as a user extends them."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from revetl_dbt.errors import SandboxError
from revetl_dbt.sandbox.salesforce.errors import ApiError
from revetl_dbt.sandbox.salesforce.fields import Field, defined, field, from_metadata
from revetl_dbt.sandbox.salesforce.ids import record_id
from revetl_dbt.sandbox.salesforce.objects import FIELDS, OWNER, STANDARD, SYSTEM, ObjectType
from revetl_dbt.sandbox.store import Store

VENDOR = "salesforce"


class Org:
    """The definitions of an org, kept in the store. Its id is drawn once for a state directory."""

    def __init__(self, store: Store) -> None:
        self.store = store
        number = store.setting("salesforce:org", lambda: random.SystemRandom().randrange(62**5))
        self.id = record_id("00D", number)
        self.user = record_id("005", number)
        self.queue = record_id("00G", number)  # where assignment rules put leads and cases
        self._lock = threading.RLock()
        self.reload()

    def reload(self) -> None:
        """Read the definitions from the store."""
        with self._lock:
            self._kinds = {kind.name.lower(): kind for kind in STANDARD}
            for number, (name, body) in enumerate(self.store.definitions(VENDOR, "object").items()):
                self._kinds[name.lower()] = ObjectType(
                    name, body["label"], body["plural"], f"a{number:02d}", auto_number=body["auto_number"]
                )
            self._fields = {kind.name: self._load(kind) for kind in self._kinds.values()}

    def _load(self, kind: ObjectType) -> dict[str, Field]:
        label, written = f"{kind.label} Name", not kind.auto_number
        name = field("Name", "string", 80, label=label, required=written, createable=written, updateable=written)
        own = FIELDS.get(kind.name) or (name, OWNER)
        added = [_thawed(body) for body in self.store.definitions(VENDOR, "field", kind.name).values()]
        return {item.name.lower(): item for item in (*SYSTEM, *own, *added)}

    def kinds(self) -> list[ObjectType]:
        """All objects, Salesforce's own first."""
        with self._lock:
            return list(self._kinds.values())

    def kind(self, name: str) -> ObjectType | None:
        """The object with an API name, whatever its letter case."""
        with self._lock:
            return self._kinds.get(name.lower())

    def of_prefix(self, record: str) -> ObjectType | None:
        """The object that a record id belongs to."""
        return next((kind for kind in self.kinds() if record.startswith(kind.prefix)), None)

    def fields(self, kind: ObjectType) -> dict[str, Field]:
        """The fields of an object that the user may see, by lower-case name."""
        with self._lock:
            return {name: item for name, item in self._fields[kind.name].items() if not item.hidden}

    def load_setup(self, path: Path) -> None:
        """Define what a YAML file lists under `objects` (name, label, plural, autoNumber) and `fields` (by object).

        A field has a `name` and a `type` as the describe call has them, and may have `label`, `length`, `required`,
        `externalId`, `unique`, `caseSensitive`, `options`, `restricted` and `referenceTo`.
        """
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise SandboxError(f"The Salesforce setup file {path} cannot be read: {error}") from None
        if not isinstance(content, dict) or set(content) - {"objects", "fields"}:
            raise SandboxError(f"The Salesforce setup file {path} must have `objects` and `fields` only")
        with self.store.transaction():
            for item in content.get("objects") or []:
                name = str(item.get("name", ""))
                if not name.endswith("__c"):
                    raise SandboxError(f"The custom object `{name}` in {path} must have a name that ends in `__c`")
                label = str(item.get("label") or name.removesuffix("__c").replace("_", " "))
                numbered = bool(item.get("autoNumber"))
                body = {"label": label, "plural": str(item.get("plural") or f"{label}s"), "auto_number": numbered}
                self.store.define(VENDOR, "object", name, body)
            self.reload()
            for name, given in (content.get("fields") or {}).items():
                kind = self.kind(str(name))
                if kind is None:
                    raise SandboxError(f"The Salesforce setup file {path} has fields of an unknown object `{name}`")
                for each in given:
                    self._define(kind, defined(each))
        self.reload()

    def create_field(self, full_name: str, metadata: Mapping[str, Any]) -> str:
        """A field through the Tooling API, which nobody may see yet; its id. ApiError for what is wrong."""
        object_name, _, name = full_name.partition(".")
        kind = self.kind(object_name)
        if kind is None:
            raise ApiError(400, "INVALID_CROSS_REFERENCE_KEY", f"Entity {object_name} was not found")
        if not name.endswith("__c"):
            raise ApiError(
                400, "FIELD_INTEGRITY_EXCEPTION", f"The name of the custom field is wrong: {name}", ["FullName"]
            )
        with self._lock:
            if name.lower() in self._fields[kind.name]:
                text = f"There is already a field named {name.removesuffix('__c')} on {kind.label}."
                raise ApiError(400, "DUPLICATE_DEVELOPER_NAME", text, ["DeveloperName"])
        made = from_metadata(name, metadata)
        if isinstance(made, str):
            raise ApiError(400, "JSON_PARSER_ERROR", made)
        self._define(kind, made)
        self.reload()
        return record_id("00N", self.store.next_number("salesforce:00N", 1, 1))

    def give_access(self, full_name: str) -> None:
        """What FieldPermissions do. ApiError for a field that there is not."""
        object_name, _, name = full_name.partition(".")
        kind = self.kind(object_name)
        known = self._fields[kind.name].get(name.lower()) if kind is not None else None
        if kind is None or known is None:
            text = f"Field Name: bad value for restricted picklist field: {full_name}"
            raise ApiError(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", text, ["Field"])
        if not known.hidden:
            raise ApiError(400, "DUPLICATE_VALUE", "duplicate value found: <unknown> duplicates value on record", [])
        self._define(kind, replace(known, hidden=False))
        self.reload()

    def _define(self, kind: ObjectType, item: Field) -> None:
        self.store.define(VENDOR, "field", item.name, asdict(item), kind.name)


def _thawed(body: Mapping[str, Any]) -> Field:
    """A field from the store, where tuples have become lists."""
    values: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in body.items()}
    return Field(**values)
