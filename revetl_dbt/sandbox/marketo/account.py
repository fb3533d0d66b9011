"""One Marketo instance: its objects and fields, static lists, programs, partitions and types of custom activities, and
an index of its records."""

from __future__ import annotations

import random
import re
import string
import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from revetl_dbt.errors import SandboxError
from revetl_dbt.nearest import did_you_mean, listed
from revetl_dbt.sandbox.marketo.errors import ApiError, RowError
from revetl_dbt.sandbox.marketo.schema import MEMBERS, STANDARD, TYPES, Field, Kind, custom_field, custom_kind
from revetl_dbt.sandbox.store import Change, Record, Store

VENDOR = "marketo"
DEFAULT_PARTITION = "Default"
STATUSES = ("Not in Program", "Invited", "Registered", "Attended")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SETUP = ("fields", "customObjects", "lists", "programs", "activityTypes", "partitions")


class Account:
    """The definitions, kept in the store, and the records by the values of their fields, kept in memory."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.id = str(store.setting("marketo:munchkin", _munchkin))
        self.lock = threading.RLock()
        self.reload()

    def reload(self) -> None:
        """Read the definitions again and forget the index."""
        with self.lock:
            self._index: dict[tuple[str, tuple[str, ...]], dict[tuple[str, ...], set[str]]] = {}
            self._kinds = {key: kind.with_fields(self._custom(key)) for key, kind in STANDARD.items()}
            for given in self.store.definitions(VENDOR, "object").values():
                kind = custom_kind(given)
                self._kinds[kind.key] = kind
            self.members = MEMBERS.with_fields(self._custom("members"))

    def _custom(self, key: str) -> list[Field]:
        return [custom_field(given) for given in self.store.definitions(VENDOR, "field", key).values()]

    # -- definitions -----------------------------------------------------------------------------

    def kinds(self) -> list[Kind]:
        """All objects, Marketo's own first."""
        return list(self._kinds.values())

    def kind(self, key: str) -> Kind | None:
        """The object of a name such as `companies` or `customObjects/car_c`."""
        return self._kinds.get(key)

    def load_setup(self, path: Path) -> None:
        """Define what a YAML file lists. SandboxError names what is wrong in it."""
        try:
            given = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise SandboxError(f"The setup file {path} cannot be read: {error}") from error
        unknown = [key for key in given if key not in _SETUP]
        if unknown:
            hint = did_you_mean(unknown[0], _SETUP) or f"There are {listed(_SETUP)}"
            raise SandboxError(f"The setup file {path} has an unknown key `{unknown[0]}`. {hint}")
        try:
            with self.lock, self.store.transaction():
                self._define(given)
        except (ApiError, KeyError, TypeError) as error:
            raise SandboxError(f"The setup file {path} cannot be used: {error}") from error
        finally:
            self.reload()

    def _define(self, given: Mapping[str, Any]) -> None:
        for key, fields in (given.get("fields") or {}).items():
            if key != "members" and key not in STANDARD:
                raise ApiError("1013", f"`fields` for `{key}`, which is no object")
            self.create_fields(str(key), fields)
        for item in given.get("customObjects") or ():
            self.create_object(item)
        for kind, first, more in (("list", 1001, {}), ("program", 1001, {"statuses": STATUSES})):
            for item in given.get(f"{kind}s") or ():
                number = int(item.get("id") or self.store.next_number(f"marketo:{kind}", 1, first))
                self.store.define(VENDOR, kind, str(number), {**more, **item, "id": number})
        for item in given.get("activityTypes") or ():
            number = int(item.get("id") or self.store.next_number("marketo:activity", 1, 100_001))
            body = {"name": item["apiName"], "attributes": [], **item, "id": number, "status": "approved"}
            self.store.define(VENDOR, "activity", str(item["apiName"]), body)
        for item in given.get("partitions") or ():
            self.store.define(VENDOR, "partition", str(item), {"name": str(item)})

    def create_object(self, given: Mapping[str, Any]) -> None:
        """A custom object, approved at once. ApiError for a bad definition."""
        names = [_checked(field) for field in given["fields"]]
        dedupe = given["dedupeFields"]
        if not _NAME.fullmatch(given["apiName"]) or not 1 <= len(dedupe) <= 3 or not set(dedupe) <= set(names):
            raise ApiError("1003", f"Custom object '{given['apiName']}' needs 1 to 3 dedupe fields among its fields")
        self.store.define(VENDOR, "object", str(given["apiName"]), dict(given))

    def create_fields(self, key: str, fields: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Custom fields of leads or program members; a result each."""
        results = []
        kind = self.members if key == "members" else self._kinds[key]
        taken = {field.label for field in kind.fields.values()}
        for given in fields:
            name = _checked(given)
            label = str(given.get("displayName", name))
            if name in kind.fields or name in self.store.definitions(VENDOR, "field", key) or label in taken:
                reason = {"code": "1017", "message": f"Field '{name}' already exists"}
                results.append({"name": name, "status": "skipped", "reasons": [reason]})
                continue
            self.store.define(VENDOR, "field", name, dict(given), key)
            taken.add(label)
            results.append({"name": name, "status": "created"})
        self.reload()
        return results

    def defined(self, kind: str, name: str) -> dict[str, Any]:
        """A list, program or activity type. ApiError 1013 when there is none."""
        found: dict[str, Any] | None = self.store.definitions(VENDOR, kind).get(name)
        if found is None:
            raise ApiError("1013", f"{kind.capitalize()} {name} not found")
        return found

    def partitions(self) -> list[str]:
        """The lead partitions, the default one first."""
        return [DEFAULT_PARTITION, *self.store.definitions(VENDOR, "partition")]

    # -- records ---------------------------------------------------------------------------------

    def find(self, key: str, names: Sequence[str], values: Sequence[Any]) -> list[Record]:
        """The records whose fields have these values, without regard to case, oldest first."""
        with self.lock:
            if (key, tuple(names)) not in self._index:
                index: dict[tuple[str, ...], set[str]] = {}
                self._index[key, tuple(names)] = index
                for record in self.store.scan(VENDOR, key):
                    index.setdefault(_folded(record.properties, names), set()).add(record.id)
            ids = self._index[key, tuple(names)].get(tuple(_fold(value) for value in values), set())
            found = self.store.read(VENDOR, key, ids)
            return sorted((r for r in found.values() if r.archived is None), key=lambda record: record.seq)

    def read(self, key: str, ids: Iterable[Any]) -> dict[str, Record]:
        """Records by id, without those that are deleted."""
        found = self.store.read(VENDOR, key, [str(record_id) for record_id in ids])
        return {record_id: record for record_id, record in found.items() if record.archived is None}

    def save(self, key: str, record: Record, values: Mapping[str, Any], source: str) -> None:
        """Write values to a record, new or not; null takes a value away."""
        before = record.properties
        after = {name: value for name, value in {**before, **values}.items() if value is not None}
        changed = {name: (before.get(name), after.get(name)) for name in values if before.get(name) != after.get(name)}
        record.updated, record.properties = self.store.now(), after
        self.store.write(VENDOR, key, [record], [Change(record.id, record.updated, source, changed)])
        self._reindex(key, record.id, before, after)

    def delete(self, key: str, record: Record, source: str) -> None:
        """Take a record away; the page still shows it, the API does not."""
        record.archived = record.updated = self.store.now()
        self.store.write(VENDOR, key, [record], [Change(record.id, record.updated, source, {})])
        self._reindex(key, record.id, record.properties, None)

    def new(self, kind: Kind) -> Record:
        """A record without values, with the id that Marketo gives it."""
        now = self.store.now()
        guid = kind.id_field == "marketoGUID"
        number = None if guid else self.store.next_number(f"marketo:{kind.key}", 1, 7_001)
        return Record(str(uuid.uuid4()) if guid else str(number), {}, now, now)

    def _reindex(self, key: str, record_id: str, before: Mapping[str, Any], after: Mapping[str, Any] | None) -> None:
        with self.lock:
            for (owner, names), index in self._index.items():
                if owner != key:
                    continue
                index.get(_folded(before, names), set()).discard(record_id)
                if after is not None:
                    index.setdefault(_folded(after, names), set()).add(record_id)

    def lead(self, lead_id: Any) -> Record:
        """A lead by id. RowError 1004 when there is none."""
        found = self.read("leads", [lead_id]).get(str(lead_id))
        if found is None:
            raise RowError("1004", "Lead not found")
        return found


def _checked(given: Mapping[str, Any]) -> str:
    """The name of a field's definition. ApiError 1003 for what cannot be one."""
    name = str(given["name"])
    if not _NAME.fullmatch(name) or given.get("dataType") not in TYPES:
        raise ApiError("1003", f"Field '{name}' has an invalid name or dataType '{given.get('dataType')}'")
    return name


def _fold(value: Any) -> str:
    return "" if value is None else str(value).casefold()


def _folded(values: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(_fold(values.get(name)) for name in names)


def _munchkin() -> str:
    draw = random.SystemRandom()
    letters = "".join(draw.choice(string.ascii_uppercase) for _ in range(3))
    return f"{draw.randrange(100, 1000)}-{letters}-{draw.randrange(100, 1000)}"
