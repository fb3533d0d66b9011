"""Finding records by values: several records may hold the same value of a field that need not be unique."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from revetl_dbt.sandbox.salesforce.fields import Field
from revetl_dbt.sandbox.salesforce.objects import ObjectType
from revetl_dbt.sandbox.salesforce.org import VENDOR
from revetl_dbt.sandbox.store import Store


class Index:
    """Ids by value of one object's indexed fields, read ahead for what a batch asks and written back at its end."""

    def __init__(self, store: Store, kind: ObjectType) -> None:
        self._store = store
        self._kind = kind
        self._known: dict[tuple[str, str], list[str]] = {}
        self._stored: set[tuple[str, str]] = set()
        self._touched: set[tuple[str, str]] = set()

    def prefetch(self, field: Field, values: Iterable[Any]) -> None:
        """Read who holds these values."""
        keys = {field.comparable(value) for value in values if value is not None}
        keys = {key for key in keys if (field.name, key) not in self._known}
        held = self._store.owners(VENDOR, self._kind.name, field.name, keys) if keys else {}
        for key in keys:
            self._known[field.name, key] = held[key].split(",") if key in held else []
            if key in held:
                self._stored.add((field.name, key))

    def holders(self, field: Field, value: Any) -> list[str]:
        """The records that hold a value, the first one first."""
        key = (field.name, field.comparable(value))
        if key not in self._known:
            self.prefetch(field, [value])
        return self._known[key]

    def move(self, field: Field, record: str, before: Any, after: Any) -> None:
        """Note that a record's value changed."""
        for value in (before, after):
            if value is not None:
                self.holders(field, value)
        if before is not None:
            key = (field.name, field.comparable(before))
            self._known[key] = [holder for holder in self._known[key] if holder != record]
            self._touched.add(key)
        if after is not None:
            key = (field.name, field.comparable(after))
            self._known[key] = [*self._known[key], record]
            self._touched.add(key)

    def save(self) -> None:
        """Write what changed."""
        claims = [
            (name, key, ",".join(self._known[name, key])) for name, key in self._touched if self._known[name, key]
        ]
        self._store.claim(VENDOR, self._kind.name, claims, self._touched & self._stored)

    def forget(self, fields: Mapping[str, Field], record: str, properties: Mapping[str, Any]) -> None:
        """Note that a record was deleted."""
        for field in fields.values():
            if field.indexed and field.name != "Id" and properties.get(field.name) is not None:
                self.move(field, record, properties[field.name], None)
