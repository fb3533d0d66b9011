from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from adapters.engines import ENGINES

from revetl_dbt.warehouse.store import Store

from .fake import Fake
from .harness import Flow, Warehouse


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On another warehouse, tests that its stand-in cannot pass must fail: it may learn to."""
    (here,) = [engine for engine in ENGINES if engine.name == os.environ.get("REVETL_TEST_ENGINE")] or [None]
    for item in items if here else ():
        mark = here.failure(item.nodeid)
        if mark:
            item.add_marker(mark)


@pytest.fixture
def warehouse() -> Iterator[Warehouse]:
    with Warehouse() as fresh:
        yield fresh


@pytest.fixture
def two_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs side by side in this process share its connection: neither lets go of it."""
    monkeypatch.setattr(Store, "release", lambda self, idle=0.0: None)


@pytest.fixture
def flow(warehouse: Warehouse, tmp_path: Path) -> Callable[..., Flow]:
    """Makes a flow of a sync `people` over a table `people`."""

    def make(destination: Fake | None = None, *, name: str = "people", **spec: Any) -> Flow:
        sync = warehouse.sync(name, "people", **spec)
        return Flow(warehouse, destination or Fake(), sync, tmp_path / "journal")

    return make
