"""Which description belongs to which vendor, and what is known to differ from it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from .description import Description, Deviation, Sent

FOLDER = "REVETL_VENDOR_SPECS"
"""The environment variable with the folder of the descriptions; without it, `shared/specs` beside any parent folder."""


@dataclass(frozen=True)
class Vendor:
    """The files of a vendor's description by name, and which of them a request is to be checked against."""

    files: Mapping[str, tuple[str, ...]]
    which: Callable[[Sent], str] = lambda _: ""


def _intercom_version(sent: Sent) -> str:
    preview = sent.headers.get("intercom-version", "").lower() in ("preview", "unstable")
    return "preview" if preview else "2.16"


VENDORS: Mapping[str, Vendor] = {
    "intercom": Vendor(
        {
            "2.16": ("intercom/2.16/api.intercom.io.json",),
            "preview": ("intercom/preview/api.intercom.io.json",),
        },
        _intercom_version,
    ),
    "marketo": Vendor({"": ("marketo/swagger-mapi.json", "marketo/swagger-identity.json")}),
    "salesforce": Vendor({"": ("salesforce/platform-apis.postman_collection.json",)}),
    "zendesk": Vendor({"": ("zendesk/zendesk-support-oas.json",)}),
}


@dataclass(frozen=True)
class Known:
    """A deviation that is meant, and why."""

    request: str
    deviation: str
    reason: str

    def covers(self, found: Deviation) -> bool:
        return _like(found.request, self.request) and _like(found.what, self.deviation)


def _like(text: str, pattern: str) -> bool:
    return fnmatchcase(text, pattern.replace("[", "[[]"))  # brackets are meant as they stand


@cache
def folder() -> Path | None:
    """Where the descriptions are; None when they are not here."""
    named = os.environ.get(FOLDER)
    places = [Path(named)] if named else [up / "shared" / "specs" for up in Path(__file__).resolve().parents]
    return next((place for place in places if place.is_dir()), None)


@cache
def description(vendor: str, name: str) -> Description | None:
    """A description; None when the folder is not here. Raises FileNotFoundError for a file that lacks in it."""
    place = folder()
    if place is None:
        return None
    return Description(*(json.loads((place / file).read_bytes()) for file in VENDORS[vendor].files[name]))


@cache
def known() -> Mapping[str, tuple[Known, ...]]:
    """What known.yml lists, by vendor."""
    given: Mapping[str, list[dict[str, Any]]] = yaml.safe_load(
        Path(__file__).with_name("known.yml").read_text(encoding="utf-8")
    )
    return {vendor: tuple(Known(**entry) for entry in entries) for vendor, entries in given.items()}


def check(vendor: str, sent: Sent) -> list[Deviation] | None:
    """How a request differs from its vendor's description; None when there is none to check against."""
    described = description(vendor, VENDORS[vendor].which(sent)) if vendor in VENDORS else None
    return None if described is None else described.check(sent)
