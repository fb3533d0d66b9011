"""Several syncs of one destination: which go at once, and what they share."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.destinations.base import Batch, ObjectType, Outcome
from revetl_dbt.engine.result import RunOptions, SyncResult
from revetl_dbt.engine.run import Run
from revetl_dbt.spec.models import Sync
from revetl_dbt.warehouse.dbt_api import DbtSession

from .fake import Fake, people
from .harness import EAGER, Flow, Listener, Warehouse


class Two(Fake):
    """Objects `people` and `pets`; remembers how many batches were in flight at once, and which went when."""

    def __init__(self) -> None:
        super().__init__()
        self.meeting: threading.Barrier | None = None
        self.most = self.now = 0
        self.order: list[str] = []
        self.counting = threading.Lock()

    def objects(self) -> Sequence[ObjectType]:
        return [self.kind, replace(people(), name="pets")]

    def write(self, batch: Batch) -> Iterable[Outcome]:
        with self.counting:
            self.now += 1
            self.most = max(self.most, self.now)
            self.order.append(batch.object)
        if self.meeting is not None:
            self.meeting.wait()
        written = super().write(replace(batch, object="people"))
        with self.counting:
            self.now -= 1
        return written


def run(warehouse: Warehouse, tmp_path: Path, two: Two, syncs: Sequence[Sync], concurrency: int) -> list[SyncResult]:
    stop = threading.Event()
    link = Flow(warehouse, two, syncs[0], tmp_path, concurrency=concurrency).link(stop)
    options = RunOptions(retry=EAGER, journal_dir=tmp_path / "journal")
    return Run(warehouse.store, {"fake": link}, options, Listener(), stop).execute(syncs, {})


def syncs(warehouse: Warehouse, **objects: str) -> list[Sync]:
    spec: dict[str, Any] = {"match": {"Id": "id"}, "fields": {"Name": {"column": "name"}}}
    for start, name in enumerate(objects):
        rows = [{"id": str(100 * start + n), "name": "'x'"} for n in range(7)]
        warehouse.table(name, {"id": "integer", "name": "varchar"}, rows)
    return [warehouse.sync(name, name, **spec, object=target) for name, target in objects.items()]


def test_syncs_of_different_objects_go_at_once_and_count_their_own_requests(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    two = Two()
    two.meeting = threading.Barrier(4, timeout=20)  # all four batches, two of each sync, in flight at once
    declared = syncs(warehouse, first="people", second="pets")
    results = run(warehouse, tmp_path, two, declared, concurrency=4)
    assert [(r.sync.name, r.status, r.requests) for r in results] == [("first", "success", 2), ("second", "success", 2)]
    assert sorted(two.order) == ["people", "people", "pets", "pets"]


@pytest.mark.parametrize(("second", "concurrency"), [("pets", 1), ("people", 1)])
def test_they_share_the_concurrency_of_the_destination(
    warehouse: Warehouse, tmp_path: Path, second: str, concurrency: int
) -> None:
    two = Two()
    results = run(warehouse, tmp_path, two, syncs(warehouse, first="people", second=second), concurrency)
    assert [r.status for r in results] == ["success", "success"]
    assert two.most == concurrency


def test_syncs_of_one_object_go_one_after_the_other(warehouse: Warehouse, tmp_path: Path) -> None:
    two = Two()
    run(warehouse, tmp_path, two, syncs(warehouse, first="people", second="people"), concurrency=4)
    assert [change.match["Id"] >= 100 for change in two.changes()] == [False] * 7 + [True] * 7


def test_they_take_turns_with_shared_tables_where_there_are_no_transactions(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, once, most = set(warehouse.store.tables.values()), threading.Lock(), [0, 0]
    run_statements = warehouse.store.session.run

    def watched(statements: Sequence[str]) -> None:
        changes = len(statements) == 1 and any(relation in statements[0] for relation in shared)
        if changes:
            assert once.acquire(blocking=False), "two changes at once"
        most[changes] += 1
        try:
            run_statements(statements)
        finally:
            if changes:
                once.release()

    warehouse.store.prepare()
    monkeypatch.setattr(DbtSession, "has_transactions", False)
    monkeypatch.setattr(warehouse.store.session, "run", watched)
    results = run(warehouse, tmp_path, Two(), syncs(warehouse, first="people", second="pets"), concurrency=4)
    assert [r.status for r in results] == ["success", "success"], [r.message for r in results]
    assert min(most) > 0


def test_what_is_looked_up_goes_first(warehouse: Warehouse, tmp_path: Path) -> None:
    two = Two()
    child, parent = syncs(warehouse, child="pets", parent="people")
    lookup = {"Owner": {"lookup": {"object": "people", "match": {"Id": "id"}, "if_missing": "skip"}}}
    fields = warehouse.sync("child", "child", match={"Id": "id"}, fields=lookup, object="pets").spec.fields
    child = replace(child, spec=child.spec.model_copy(update={"fields": fields}))
    results = run(warehouse, tmp_path, two, [child, parent], concurrency=2)
    assert [r.status for r in results] == ["success", "success"]
    assert two.order == ["people", "people", "pets", "pets"]
