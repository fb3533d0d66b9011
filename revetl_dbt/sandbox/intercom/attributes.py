"""Data attributes: what Intercom ships for contacts and companies, and what a workspace adds; their values.

The standard attributes are those of the request schemas and of the list example in Intercom's OpenAPI description.
Custom ones take texts of at most 255 characters, numbers, booleans and moments as Unix seconds; there may be 250 of a
model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from revetl_dbt.errors import SandboxError
from revetl_dbt.sandbox.intercom.errors import ApiError, invalid, mismatch
from revetl_dbt.sandbox.intercom.shapes import body_of, mapping, mappings
from revetl_dbt.sandbox.messages import Request, Response, Router
from revetl_dbt.sandbox.store import Store

VENDOR = "intercom"
MODELS = ("contact", "company")
TYPES = ("string", "integer", "float", "boolean", "date", "datetime")
_LONGEST = 255
_MOST = 250
_NAME = re.compile(r"[\w\- $€£¥]+")


@dataclass(frozen=True)
class Attribute:
    """A data attribute. `relationship` ones name instances of a custom object; the others are of one of TYPES."""

    name: str
    data_type: str
    label: str
    writable: bool = True
    custom: bool = False
    options: tuple[str, ...] = ()


def _standard(*entries: tuple[str, str, str, bool]) -> dict[str, Attribute]:
    return {name: Attribute(name, kind, label, writable) for name, kind, label, writable in entries}


STANDARD: Mapping[str, Mapping[str, Attribute]] = {
    "contact": _standard(
        ("id", "string", "ID", False),
        ("external_id", "string", "User ID", True),
        ("role", "string", "Type", True),
        ("name", "string", "Name", True),
        ("email", "string", "Email", True),
        ("email_verified", "boolean", "Email verified", True),
        ("phone", "string", "Phone", True),
        ("avatar", "string", "Avatar", True),
        ("owner_id", "string", "Owner", True),
        ("signed_up_at", "date", "Signed up", True),
        ("last_seen_at", "date", "Last seen", True),
        ("unsubscribed_from_emails", "boolean", "Unsubscribed from emails", True),
        ("created_at", "date", "First seen", False),
        ("updated_at", "date", "Last updated", False),
        ("has_hard_bounced", "boolean", "Has hard bounced", False),
        ("marked_email_as_spam", "boolean", "Marked email as spam", False),
    ),
    "company": _standard(
        ("id", "string", "ID", False),
        ("company_id", "string", "Company ID", False),
        ("name", "string", "Company name", True),
        ("plan", "string", "Plan", True),
        ("size", "integer", "Company size", True),
        ("website", "string", "Company website", True),
        ("industry", "string", "Company industry", True),
        ("monthly_spend", "integer", "Monthly Spend", True),
        ("remote_created_at", "date", "Company created at", True),
        ("user_count", "integer", "People", False),
        ("created_at", "date", "Created at", False),
        ("updated_at", "date", "Updated at", False),
    ),
}


class Attributes:
    """The attributes of a workspace by model: `contact`, `company`, or the type of a custom object."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def custom(self, model: str) -> dict[str, dict[str, Any]]:
        """The custom attributes of a model as the API shows them, archived ones included."""
        return self._store.definitions(VENDOR, "attribute", model)

    def known(self, model: str) -> dict[str, Attribute]:
        """All attributes by name, archived ones left out; standard ones first."""
        added = {
            name: Attribute(name, body["data_type"], body["label"], True, True, tuple(body.get("options") or ()))
            for name, body in self.custom(model).items()
            if not body["archived"]
        }
        return {**STANDARD.get(model, {}), **added}

    def types(self) -> list[str]:
        """The types of custom objects."""
        return list(self._store.definitions(VENDOR, "object"))

    def load(self, path: Path) -> None:
        """Define what a YAML file lists under `attributes` (by model) and `custom_objects` (types, with attributes)."""
        try:
            given = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise SandboxError(f"The setup file `{path}` cannot be read: {error}") from None
        objects = given.get("custom_objects") or {}
        for name in objects:
            self._store.define(VENDOR, "object", name, {})
        for model, entries in [*(given.get("attributes") or {}).items(), *objects.items()]:
            for entry in entries or ():
                try:
                    self.define(model, entry)
                except ApiError as error:
                    raise SandboxError(f"The setup file `{path}`: {error.message}") from None

    def define(self, model: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Add a custom attribute; replaces one of the same name. ApiError 400 for what Intercom does not take."""
        name, kind = str(given.get("name") or ""), given.get("data_type")
        options = _options(given.get("options"))
        if not _NAME.fullmatch(name):
            raise invalid(
                "Your name for this attribute must only contain alphanumeric characters, currency symbols, and hyphens"
            )
        if kind not in (*TYPES, "options", "relationship"):
            raise invalid("Data Type isn't an option")
        if kind == "options" and len(options) < 2:
            raise invalid("You must have at least two options on a list type data attribute")
        now = self._store.now() // 1000
        body = {
            "id": self._store.next_number("intercom:attribute", 1, 12_001),
            "type": "data_attribute",
            "name": name,
            "full_name": f"custom_attributes.{name}",
            "label": str(given.get("label") or name),
            "description": given.get("description"),
            "data_type": "string" if kind == "options" else kind,
            **({"options": options} if options else {}),
            "api_writable": given.get("api_writable") is not False,
            "ui_writable": False,
            "messenger_writable": bool(given.get("messenger_writable")),
            "custom": True,
            "archived": False,
            "admin_id": "1295",
            "created_at": now,
            "updated_at": now,
            "model": model,
        }
        self._store.define(VENDOR, "attribute", name, body, model)
        return body

    # -- endpoints -------------------------------------------------------------------------------

    def add_routes(self, router: Router) -> None:
        """`/data_attributes`."""
        router.add("GET", "/data_attributes", self._list)
        router.add("POST", "/data_attributes", self._create)
        router.add("PUT", "/data_attributes/{id}", self._update)

    def _list(self, request: Request) -> Response:
        model = request.first("model")
        if model == "conversation":
            text = "model=conversation is no longer supported. Use GET /conversations/attributes instead"
            raise ApiError(422, "parameter_invalid", text)
        shown = [body for name in MODELS if model in (None, name) for body in self._shown(name)]
        kept = [body for body in shown if request.flag("include_archived") or not body["archived"]]
        return Response(data={"type": "list", "data": kept})

    def _shown(self, model: str) -> list[dict[str, Any]]:
        own = [
            {
                "type": "data_attribute",
                "name": item.name,
                "full_name": "plan.name" if item.name == "plan" else item.name,
                "label": item.label,
                "data_type": item.data_type,
                "api_writable": item.writable,
                "ui_writable": False,
                "messenger_writable": True,
                "custom": False,
                "archived": False,
                "model": model,
            }
            for item in STANDARD[model].values()
        ]
        return own + list(self.custom(model).values())

    def _create(self, request: Request) -> Response:
        body = body_of(request)
        model, name = body.get("model"), str(body.get("name") or "")
        if model not in MODELS:
            raise invalid("The Data Attribute model field must be either contact or company")
        noun = {"contact": "people", "company": "company"}
        for other in MODELS:
            if name in self.custom(other):
                text = f"You already have '{name}' in your {noun[other]} data. To save this as new {noun[model]} data"
                raise invalid(f"{text}, use a different name.")
        if name.lower() in STANDARD[model]:
            text = f"'{name}' is one of our standard attributes for your {noun[model]} data. To save this as new"
            raise invalid(f"{text} {noun[model]} data, use a different name.")
        if body.get("data_type") == "relationship":
            raise invalid("Data Type isn't an option")
        if len(self.custom(model)) >= _MOST:
            raise invalid(f"You have reached the limit of {_MOST} custom attributes")
        return Response(data=self.define(model, body))

    def _update(self, request: Request) -> Response:
        number, body = request.params["id"], body_of(request)
        for model in MODELS:
            for name, held in self.custom(model).items():
                if str(held["id"]) == number:
                    changed = {
                        key: body[key] for key in ("archived", "description", "messenger_writable") if key in body
                    }
                    if "options" in body:
                        changed["options"] = _options(body["options"])
                    held = {**held, **changed, "updated_at": self._store.now() // 1000}
                    self._store.define(VENDOR, "attribute", name, held, model)
                    return Response(data=held)
        raise ApiError(404, "field_not_found", "We couldn't find that data attribute to update")


# -- values ------------------------------------------------------------------------------------------

_EXPECTED = {
    "string": "a string",
    "integer": "an integer",
    "float": "a number",
    "boolean": "a boolean",
    "date": "a Unix timestamp in seconds",
    "datetime": "a Unix timestamp in seconds",
    "relationship": "a list of ids",
}


def kept(attribute: Attribute, value: Any) -> Any:
    """The value as Intercom keeps it. ApiError 400 for one that the attribute does not take."""
    if value is None:
        return None
    if isinstance(value, (dict, list)) and attribute.data_type != "relationship":
        raise invalid("Value:  not of type Numeric, String or Boolean", attribute.name)
    if not _is(attribute.data_type, value):
        raise mismatch(attribute.name, _EXPECTED[attribute.data_type])
    if attribute.options and value not in attribute.options:
        raise invalid(f"{attribute.name} must be one of {', '.join(attribute.options)}", attribute.name)
    if attribute.custom and isinstance(value, str) and len(value) > _LONGEST:
        raise invalid(f"{attribute.name} is longer than {_LONGEST} characters", attribute.name)
    return value


def _is(kind: str, value: Any) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if kind in ("integer", "date", "datetime"):
        return isinstance(value, int)
    if kind == "float":
        return isinstance(value, int | float)
    if kind == "relationship":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, str)


def _options(given: Any) -> list[str]:
    return [str(item.get("value")) for item in mappings(given, "options")]


def custom_values(known: Mapping[str, Attribute], given: Any) -> dict[str, Any]:
    """The values of `custom_attributes`. ApiError 400 for attributes that the workspace does not have."""
    values = mapping(given, "custom_attributes")
    for name in values:
        if name not in known or not known[name].custom:
            raise invalid(f"Custom attribute '{name}' does not exist", name)
    return {name: kept(known[name], value) for name, value in values.items()}
