"""The fields of Zendesk's objects: those that it has itself, and custom ones; and which values they take.

https://developer.zendesk.com/api-reference/ticketing/users/users/#json-format (and its siblings), user_fields,
organization_fields, ticket_fields, custom_object_fields. What is unknown or read-only is ignored, as Zendesk does.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from revetl_dbt.sandbox.zendesk.errors import Refused

INVALID, BLANK, DUPLICATE = "InvalidValue", "BlankValue", "DuplicateValue"
TYPES = ("text", "textarea", "checkbox", "date", "integer", "decimal", "regexp", "dropdown", "lookup")
TICKET_TYPES = (*TYPES[:-2], "lookup", "tagger", "multiselect")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
Check = Callable[[Any, Mapping[str, Any]], Any]
"""Turns a value into the one that a field keeps; ValueError or TypeError when it takes none such."""
_KEY = re.compile(r"(?!\d+$)[A-Za-z0-9_]+")


@dataclass(frozen=True)
class Kind:
    """An object: its name here and in paths, one record and many, the group of its custom fields, for people."""

    name: str
    one: str
    many: str
    custom: str
    title: str
    standard: Mapping[str, str]  # writable field -> type
    own: bool = False  # a custom object

    @property
    def of_class(self) -> str:
        """As job results name it: `OrganizationUpdateFailed`."""
        return "".join(part.capitalize() for part in self.one.split("_"))


def _typed(**names: str) -> dict[str, str]:
    return {name: kind for kind, listed in names.items() for name in listed.split()}


USERS = Kind(
    "users",
    "user",
    "users",
    "user_fields",
    "Users",
    _typed(
        text="external_id email name role phone details notes alias signature locale time_zone ticket_restriction "
        "remote_photo_url",
        integer="organization_id default_group_id custom_role_id locale_id",
        checkbox="suspended verified moderator only_private_comments shared_phone_number restricted_agent",
        array="tags",
    ),
)
ORGANIZATIONS = Kind(
    "organizations",
    "organization",
    "organizations",
    "organization_fields",
    "Organizations",
    _typed(
        text="external_id name details notes",
        integer="group_id",
        checkbox="shared_comments shared_tickets",
        array="tags domain_names",
    ),
)
TICKETS = Kind(
    "tickets",
    "ticket",
    "tickets",
    "custom_fields",
    "Tickets",
    _typed(
        text="external_id status priority type subject assignee_email recipient",
        integer="requester_id submitter_id assignee_id group_id organization_id brand_id problem_id ticket_form_id "
        "custom_status_id",
        array="tags collaborator_ids email_cc_ids follower_ids",
        datetime="due_at",
    ),
)
STANDARD = {kind.name: kind for kind in (USERS, ORGANIZATIONS, TICKETS)}
CHOICES = {
    ("users", "role"): ("end-user", "agent", "admin"),
    ("tickets", "status"): ("new", "open", "pending", "hold", "solved", "closed"),
    ("tickets", "priority"): ("urgent", "high", "normal", "low"),
    ("tickets", "type"): ("problem", "incident", "question", "task"),
}


def custom_object(key: str, title: str) -> Kind:
    """The kind of a custom object."""
    return Kind(
        f"custom_objects/{key}",
        "custom_object_record",
        "custom_object_records",
        "custom_object_fields",
        title,
        _typed(text="external_id name"),
        own=True,
    )


def checked_definition(given: Mapping[str, Any], types: Sequence[str], taken: Mapping[str, Any]) -> dict[str, Any]:
    """A custom field as it will be kept. Refused with what is missing, of a wrong form or taken."""
    key, title, kind = str(given.get("key") or ""), str(given.get("title") or ""), str(given.get("type") or "text")
    if not title:
        raise Refused(title=[("Title: cannot be blank", BLANK)])
    if "tagger" not in types and not _KEY.fullmatch(key):
        raise Refused(key=[("Key: must only have letters, numbers and underscores, not only numbers", INVALID)])
    if key and key in taken:
        raise Refused(key=[(f"Key: {key} has already been taken", DUPLICATE)])
    if kind not in types:
        raise Refused(type=[(f"Type: {kind} is not included in the list", INVALID)])
    options = [
        {"name": str(option.get("name", option.get("value"))), "value": str(option.get("value"))}
        for option in given.get("custom_field_options") or []
    ]
    if kind in ("dropdown", "tagger", "multiselect") and not options:
        raise Refused(custom_field_options=[("Custom field options: cannot be blank", BLANK)])
    return {
        **({"key": key} if key else {}),
        "type": kind,
        "title": title,
        "raw_title": title,
        "description": str(given.get("description") or ""),
        "active": True,
        "system": False,
        **({"custom_field_options": options} if options else {}),
        **({"tag": given["tag"]} if kind == "checkbox" and given.get("tag") else {}),
        "regexp_for_validation": given.get("regexp_for_validation"),
    }


def kept(name: str, field: Mapping[str, Any], value: Any) -> Any:
    """A value as Zendesk keeps it in a field of some `type`; null clears. Refused when the field does not take it."""
    if value is None or (value == "" and field["type"] not in ("text", "textarea")):
        return None
    check: Check = _CHECKS.get(str(field["type"]), _text)
    try:
        return check(value, field)
    except (ValueError, TypeError, OverflowError):
        label = str(field.get("title") or name.replace("_", " ").capitalize())
        raise Refused(**{name: [(f"{label}: {value} is invalid", INVALID)]}) from None


def _text(value: Any, _field: Mapping[str, Any]) -> str:
    if isinstance(value, (dict, list)):
        raise TypeError
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _regexp(value: Any, field: Mapping[str, Any]) -> str:
    text = _text(value, field)
    if not re.search(str(field.get("regexp_for_validation") or ""), text):
        raise ValueError
    return text


def _integer(value: Any, _field: Mapping[str, Any]) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    return int(value)


def _decimal(value: Any, _field: Mapping[str, Any]) -> float | int:
    if isinstance(value, bool):
        raise ValueError
    return value if isinstance(value, (int, float)) else float(value)


def _checkbox(value: Any, _field: Mapping[str, Any]) -> bool:
    if value not in (True, False, "true", "false"):
        raise ValueError
    return value in (True, "true")


def _date(value: Any, _field: Mapping[str, Any]) -> str:
    """The day; a time of day that comes with it is dropped."""
    text = str(value)
    if text[10:11] not in ("", "T", " "):
        raise ValueError
    return dt.date.fromisoformat(text[:10]).isoformat()


def _datetime(value: Any, _field: Mapping[str, Any]) -> str:
    return dt.datetime.fromisoformat(str(value).replace("Z", "+00:00")).isoformat().replace("+00:00", "Z")


def _choice(value: Any, field: Mapping[str, Any]) -> str:
    if value not in {option["value"] for option in field.get("custom_field_options") or []}:
        raise ValueError
    return str(value)


def _choices(value: Any, field: Mapping[str, Any]) -> list[str]:
    return [_choice(item, field) for item in value]


def _array(value: Any, _field: Mapping[str, Any]) -> list[Any]:
    """Tags are words: a text with spaces is several, and each stands once."""
    if isinstance(value, dict):
        raise TypeError
    items = value.split() if isinstance(value, str) else value
    words = [word for item in items for word in (item.lower().split() if isinstance(item, str) else [item])]
    return list(dict.fromkeys(words))


_CHECKS: Mapping[str, Check] = {
    "integer": _integer,
    "decimal": _decimal,
    "checkbox": _checkbox,
    "date": _date,
    "datetime": _datetime,
    "regexp": _regexp,
    "dropdown": _choice,
    "tagger": _choice,
    "multiselect": _choices,
    "array": _array,
}


def check_email(value: Any) -> str:
    """An address. Refused when it is none (as recorded)."""
    if not isinstance(value, str) or not _EMAIL.fullmatch(value):
        raise Refused(email=[(f"Email: {value} is not properly formatted", INVALID)])
    return value.lower()
