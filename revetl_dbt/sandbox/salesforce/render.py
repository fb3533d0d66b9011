"""How a record looks in an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from revetl_dbt.sandbox.salesforce.fields import Field
from revetl_dbt.sandbox.salesforce.objects import ObjectType
from revetl_dbt.sandbox.salesforce.values import moment_text
from revetl_dbt.sandbox.store import Record


def all_values(fields: Mapping[str, Field], record: Record) -> dict[str, Any]:
    """The values of a record with those that Salesforce maintains itself; every field is there."""
    values = {item.name: record.properties.get(item.name) for item in fields.values()}
    if values.get("Name") is None and "LastName" in values:
        values["Name"] = " ".join(str(values[part]) for part in ("FirstName", "LastName") if values[part]) or None
    if values.get("Name") is None and "Name" in values:
        values["Name"] = f"{record.id[8:15]}"
    return {
        **values,
        "Id": record.id,
        "IsDeleted": record.archived is not None,
        "CreatedDate": moment_text(record.created),
        "LastModifiedDate": moment_text(record.updated),
        "SystemModstamp": moment_text(record.updated),
    }


def attributes(kind: ObjectType, record_id: str, version: str) -> dict[str, Any]:
    """What tells an object's type and its address."""
    return {"type": kind.name, "url": f"/services/data/{version}/sobjects/{kind.name}/{record_id}"}
