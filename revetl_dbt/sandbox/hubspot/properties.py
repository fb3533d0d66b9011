"""Property definitions: what a HubSpot object has by default, and the rules for defining more.

Types, field types and required fields: https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from revetl_dbt.sandbox.hubspot.errors import ApiError
from revetl_dbt.sandbox.hubspot.shapes import mappings, number, require, text

FIELD_TYPES: Mapping[str, frozenset[str]] = {
    "bool": frozenset({"booleancheckbox", "calculation_equation"}),
    "enumeration": frozenset({"booleancheckbox", "checkbox", "radio", "select", "calculation_equation"}),
    "date": frozenset({"date"}),
    "datetime": frozenset({"date"}),
    "string": frozenset({"file", "text", "textarea", "calculation_equation", "html", "phonenumber"}),
    "number": frozenset({"number", "calculation_equation"}),
    "phone_number": frozenset({"phonenumber"}),
}
"""The field types that each type may have."""

REQUIRED = ("fieldType", "groupName", "label", "name", "type")
_CHANGEABLE = frozenset(
    {
        "label",
        "type",
        "fieldType",
        "groupName",
        "description",
        "options",
        "displayOrder",
        "formField",
        "hidden",
        "calculationFormula",
    }
)
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_MAX_UNIQUE = 10


@dataclass(frozen=True)
class Option:
    """One choice of an enumeration."""

    value: str
    label: str
    hidden: bool = False
    order: int = 0
    description: str = ""


@dataclass(frozen=True)
class Property:
    """The definition of a property. Times are ISO 8601 texts, empty for HubSpot's own."""

    name: str
    label: str
    type: str = "string"
    field_type: str = "text"
    group: str = ""
    description: str = ""
    options: tuple[Option, ...] = ()
    unique: bool = False
    read_only: bool = False
    external: bool = False  # the choices come from elsewhere (owners, pipelines)
    own: bool = True  # HubSpot's own, not defined by a user
    hidden: bool = False
    order: int = -1
    created: str = "2019-08-06T02:41:08.204Z"
    updated: str = "2019-08-06T02:41:08.204Z"
    archived: bool = False
    allowed: frozenset[str] = field(default=frozenset(), compare=False)  # the values of `options`

    def __post_init__(self) -> None:
        object.__setattr__(self, "allowed", frozenset(option.value for option in self.options))

    @property
    def multiple(self) -> bool:
        """Whether it holds several choices, separated by semicolons."""
        return self.type == "enumeration" and self.field_type == "checkbox"

    def as_json(self) -> dict[str, Any]:
        """As the properties API shows it."""
        shown: dict[str, Any] = {
            "updatedAt": self.updated,
            "createdAt": self.created,
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": self.field_type,
            "description": self.description,
            "groupName": self.group,
            "options": [
                {
                    "label": o.label,
                    "value": o.value,
                    "description": o.description,
                    "displayOrder": o.order,
                    "hidden": o.hidden,
                }
                for o in self.options
            ],
            "displayOrder": self.order,
            "calculated": False,
            "externalOptions": self.external,
            "archived": self.archived,
            "hasUniqueValue": self.unique,
            "hidden": self.hidden,
            "modificationMetadata": {
                "archivable": not self.own,
                "readOnlyDefinition": self.own,
                "readOnlyValue": self.read_only,
            },
            "formField": not self.read_only,
            "dataSensitivity": "non_sensitive",
        }
        if self.own:
            shown["hubspotDefined"] = True
        return shown


def from_json(body: Mapping[str, Any], now: str) -> Property:
    """A user's property from a create body or a stored definition; ApiError 400 where it breaks a rule."""
    require(body, REQUIRED)
    name, label, type_, field_type, group = (
        text(body[key], key) for key in ("name", "label", "type", "fieldType", "groupName")
    )
    if not _NAME.fullmatch(name):
        raise ApiError(
            400,
            f"The property name `{name}` may only have lower-case letters, digits and underscores",
        )
    if type_ not in FIELD_TYPES:
        raise ApiError(400, f"Invalid type `{type_}`. Valid types are: {', '.join(FIELD_TYPES)}")
    if field_type not in FIELD_TYPES[type_]:
        valid = ", ".join(sorted(FIELD_TYPES[type_]))
        raise ApiError(400, f"Invalid fieldType `{field_type}` for the type `{type_}`. Valid are: {valid}")
    return Property(
        name=name,
        label=label,
        type=type_,
        field_type=field_type,
        group=group,
        description=text(body.get("description") or "", "description"),
        options=_options(mappings(body.get("options"), "options"), type_, field_type),
        unique=bool(body.get("hasUniqueValue")),
        read_only=field_type == "calculation_equation",
        own=False,
        hidden=bool(body.get("hidden")),
        order=number(body.get("displayOrder"), "displayOrder", -1),
        created=str(body.get("createdAt") or now),
        updated=str(body.get("updatedAt") or now),
        archived=bool(body.get("archived")),
    )


def patched(known: Property, body: Mapping[str, Any], now: str) -> Property:
    """A property after a PATCH; ApiError 400 for what cannot be changed, as `hasUniqueValue` cannot."""
    if known.own:
        raise ApiError(400, f"The property `{known.name}` is defined by HubSpot, its definition is read-only")
    fixed = [name for name in body if name not in _CHANGEABLE]
    if fixed:
        raise ApiError(400, f"These fields of the property `{known.name}` cannot be changed: {', '.join(fixed)}")
    return replace(from_json({**known.as_json(), **body}, now), updated=now)


def check_unique_limit(properties: Sequence[Property]) -> None:
    """An object has at most ten unique properties of a user's own."""
    if sum(p.unique and not p.own for p in properties) > _MAX_UNIQUE:
        raise ApiError(400, f"An object can have at most {_MAX_UNIQUE} properties with unique values")


def _options(given: Sequence[Mapping[str, Any]], type_: str, field_type: str) -> tuple[Option, ...]:
    if type_ == "bool" or field_type == "booleancheckbox":
        return YES_NO
    if type_ != "enumeration":
        return ()
    for option in given:
        require(option, ("label", "value"))
    options = tuple(
        Option(
            text(option["value"], "value"),
            text(option["label"], "label"),
            bool(option.get("hidden")),
            number(option.get("displayOrder"), "displayOrder", order),
            text(option.get("description") or "", "description"),
        )
        for order, option in enumerate(given)
    )
    if len({option.value for option in options}) != len(options):
        raise ApiError(400, "The options of a property must have different values")
    return options


YES_NO = (Option("true", "Yes", order=0), Option("false", "No", order=1))
