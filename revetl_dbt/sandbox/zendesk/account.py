"""One Zendesk account: its custom objects and fields, kept in the store, and the ids that it gives."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from revetl_dbt.errors import SandboxError
from revetl_dbt.nearest import did_you_mean
from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.store import Store
from revetl_dbt.sandbox.zendesk.errors import Refused, not_found
from revetl_dbt.sandbox.zendesk.fields import STANDARD, TICKET_TYPES, TYPES, Kind, checked_definition, custom_object

VENDOR = "zendesk"
_FIRST = {"users": 11_480_000_000_001, "organizations": 11_470_000_000_001, "tickets": 1}
_SETUP = ("user_fields", "organization_fields", "ticket_fields", "custom_objects")


class Account:
    """The definitions of an account. The subdomain is drawn once for a state directory."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.subdomain = str(
            store.setting("zendesk:subdomain", lambda: f"d3v-sandbox{random.SystemRandom().randrange(10**6):06d}")
        )
        self._fields: dict[str, dict[str, dict[str, Any]]] = {}

    def url(self, path: str) -> str:
        """The address that a record's `url` gives."""
        return f"https://{self.subdomain}.zendesk.com/api/v2/{path}.json"

    def next_id(self, kind: Kind) -> str:
        """The id of a new record."""
        number = self.store.next_number(f"zendesk:{kind.name}", 1, _FIRST.get(kind.name, 1))
        return f"01J{number:023X}" if kind.own else str(number)

    # -- objects ---------------------------------------------------------------------------------

    def kinds(self) -> list[Kind]:
        """All objects, Zendesk's own first."""
        return [*STANDARD.values(), *(custom_object(key, item["title"]) for key, item in self.custom_objects().items())]

    def kind(self, name: str) -> Kind:
        """An object by name. ApiError 404 if there is none."""
        found = STANDARD.get(name) or next((kind for kind in self.kinds() if kind.name == name), None)
        if found is None:
            raise not_found()
        return found

    def handler(self, act: Callable[[Kind, Request], Response]) -> Callable[[Request], Response]:
        """A handler that finds the object which a path names, as `kind` or as the `key` of a custom object."""

        def found(request: Request) -> Response:
            name = request.params.get("kind") or f"custom_objects/{request.params['key']}"
            return act(self.kind(name), request)

        return found

    def custom_objects(self) -> dict[str, dict[str, Any]]:
        """The definitions of custom objects by key."""
        return self.store.definitions(VENDOR, "custom_object")

    def define_object(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Define a custom object. Refused when its key is missing or taken."""
        key, title = str(given.get("key") or ""), str(given.get("title") or "")
        if not key or not title:
            raise Refused(key=[("Key: cannot be blank", "BlankValue")])
        if key in self.custom_objects():
            raise Refused(key=[(f"Key: {key} has already been taken", "DuplicateValue")])
        made = {"key": key, "title": title, "title_pluralized": str(given.get("title_pluralized") or f"{title}s")}
        self.store.define(VENDOR, "custom_object", key, made)
        return made

    # -- fields ----------------------------------------------------------------------------------

    def fields(self, kind: Kind) -> dict[str, dict[str, Any]]:
        """The custom fields of an object by key; those of tickets by id."""
        if kind.name not in self._fields:
            self._fields[kind.name] = self.store.definitions(VENDOR, "field", kind.name)
        return self._fields[kind.name]

    def define_field(self, kind: Kind, given: Mapping[str, Any]) -> dict[str, Any]:
        """Define a custom field. Refused with what is wrong with it."""
        tickets = kind.name == "tickets"
        known = self.fields(kind)
        made = checked_definition(given, TICKET_TYPES if tickets else TYPES, known)
        number = int(given["id"]) if given.get("id") else self.store.next_number("zendesk:field", 1, 360_000_001)
        field = {"id": number, **made, "url": self.url(f"fields/{number}")}
        name = str(number) if tickets else str(made["key"])
        self.store.define(VENDOR, "field", name, field, kind.name)
        known[name] = field
        return field

    def load_setup(self, path: Path) -> None:
        """Define what a YAML file lists: `user_fields`, `organization_fields`, `ticket_fields`, and `custom_objects`
        with their `fields`. What is there already stays as it is."""
        import yaml  # costs more than the rest of this package, and only some accounts have a setup

        try:
            setup = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise SandboxError(f"The sandbox cannot read its setup file {path}: {error}") from None
        if not isinstance(setup, dict):
            raise SandboxError(
                f"The setup file {path} must be a mapping with {', '.join(f'`{key}`' for key in _SETUP)}"
            )
        for key in setup:
            if key not in _SETUP:
                raise SandboxError(
                    f"The setup file {path} has an unknown key `{key}`. {did_you_mean(key, _SETUP) or ''}"
                )
        try:
            for part, name in zip(_SETUP, STANDARD, strict=False):
                self._define_missing(STANDARD[name], setup.get(part) or [])
            for item in setup.get("custom_objects") or []:
                if item.get("key") not in self.custom_objects():
                    self.define_object(item)
                self._define_missing(self.kind(f"custom_objects/{item['key']}"), item.get("fields") or [])
        except Refused as refused:
            raise SandboxError(f"The setup file {path} is not right: {refused.text}") from None

    def _define_missing(self, kind: Kind, given: list[dict[str, Any]]) -> None:
        for item in given:
            if str(item.get("id" if kind.name == "tickets" else "key")) not in self.fields(kind):
                self.define_field(kind, item)

    def reload(self) -> None:
        """Forget what is kept in memory."""
        self._fields = {}
