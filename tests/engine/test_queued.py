"""What entries of the queue come to, by the same gate as run_results.json."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.engine.queued import due
from revetl_dbt.project.manifest import Manifest
from revetl_dbt.spec.models import Source, Sync, SyncSpec
from revetl_dbt.warehouse.queue import Queued

PEOPLE, FIRMS, UNIQUE = "model.shop.people", "model.shop.firms", "test.shop.unique_people_id.f00"
RAW: dict[str, Any] = {
    "nodes": {
        PEOPLE: {"name": "people"},
        FIRMS: {"name": "firms"},
        UNIQUE: {"name": "unique_people_id", "attached_node": PEOPLE, "config": {"severity": "ERROR"}},
        "test.shop.soft.f00": {"name": "soft", "attached_node": PEOPLE, "config": {"severity": "warn"}},
    }
}


def sync(name: str, model: str) -> Sync:
    spec = SyncSpec.model_validate({"destination": "crm", "object": "people", "match": {"Id": "id"}, "key": ["id"]})
    return Sync(name, spec, Source(model, model, model, None, "main", model, (), "models/x.sql"), "models/x.yml", 1)


SYNCS = [sync("people_to_crm", PEOPLE), sync("people_to_api", PEOPLE), sync("firms_to_crm", FIRMS)]


def entry(unique_id: str, status: str, at: int = 1, *, command: str = "build", tested: tuple[str, ...] = ()) -> Queued:
    return Queued(unique_id, status, tested, f"i{at}", command, dt.datetime(2026, 11, 28, at))


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([entry(PEOPLE, "success"), entry(UNIQUE, "pass")], None),
        ([entry(PEOPLE, "error")], "model `people` ended with status error in `dbt build`"),
        ([entry(PEOPLE, "skipped")], "model `people` was skipped in `dbt build`"),
        ([entry(UNIQUE, "fail"), entry(PEOPLE, "success")], "test `unique_people_id` failed in `dbt build`"),
        ([entry("test.shop.soft.f00", "warn"), entry(PEOPLE, "success")], None),
        # a later command has the last word, an earlier one none
        ([entry(PEOPLE, "success"), entry(UNIQUE, "fail", 2, command="test")], "test `unique_people_id` failed"),
        ([entry(UNIQUE, "fail"), entry(PEOPLE, "success"), entry(UNIQUE, "pass", 2)], None),
        ([entry(PEOPLE, "error"), entry(UNIQUE, "fail"), entry(PEOPLE, "success", 2)], None),
        # the manifest here is older than the build
        ([entry("test.shop.new.f00", "fail", tested=(PEOPLE,)), entry(PEOPLE, "success")], "which the manifest here"),
        ([entry("test.shop.new.f00", "fail", tested=(FIRMS,)), entry(PEOPLE, "success")], None),
    ],
)
def test_the_gate(entries: list[Queued], reason: str | None) -> None:
    found = due(Manifest(RAW, Path("manifest.json")), SYNCS, entries)
    assert [item.name for item in found.syncs] == ["people_to_crm", "people_to_api"]
    assert (reason is None) == (found.held == {})
    assert all((reason or "") in text for text in found.held.values())


def test_what_has_no_sync_here_is_an_orphan() -> None:
    entries = [entry("model.shop.gone", "success", 2), entry(UNIQUE, "pass"), entry(FIRMS, "success")]
    found = due(Manifest(RAW, Path("manifest.json")), SYNCS, entries)
    assert [item.name for item in found.syncs] == ["firms_to_crm"]
    assert found.orphans == {"model.shop.gone", UNIQUE}
    assert found.invocation_id == "i2"
