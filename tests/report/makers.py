"""Syncs and results for tests of what is said about them."""

from __future__ import annotations

from typing import Any

from revetl_dbt.destinations.base import Account
from revetl_dbt.engine.preview import Preview
from revetl_dbt.engine.result import SyncResult
from revetl_dbt.engine.sending import Totals
from revetl_dbt.spec.models import Source, Sync, SyncSpec
from revetl_dbt.warehouse.ledger import Group


def sync(name: str = "people_to_crm", **spec: Any) -> Sync:
    source = Source(
        "model.shop.people", "people", '"db"."main"."people"', "db", "main", "people", ("id",), "models/people.sql"
    )
    fields = {"firstname": {"column": "name"}}
    values = {"destination": "crm", "object": "contacts", "key": ("id",), "match": {"email": "email"}, "fields": fields}
    return Sync(name, SyncSpec(**{**values, **spec}), source, "models/people.yml", 7)


def result(name: str = "people_to_crm", *, totals: Totals | None = None, **values: Any) -> SyncResult:
    return SyncResult(sync(name), Account("1"), totals=totals or Totals(), **values)


def preview(*groups: Group, **values: Any) -> Preview:
    return Preview(sync(), Account("1"), groups=groups, **values)
