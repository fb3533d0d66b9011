"""Syncs of a warehouse to a connector, which talks to its stand-in in a sandbox."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from revetl_dbt.destinations import registry
from revetl_dbt.destinations.base import DestinationConfig
from revetl_dbt.engine.link import Link, open_links
from revetl_dbt.engine.preview import Preview, preview
from revetl_dbt.engine.result import RunOptions, SyncResult
from revetl_dbt.engine.run import Run
from revetl_dbt.sandbox import Sandbox
from revetl_dbt.spec.destinations import Output
from revetl_dbt.spec.models import Sync

from .harness import EAGER, Listener, Warehouse, accounted


class Connected:
    """Runs and previews syncs, which are given as (name, spec); `model` in a spec is the table, else the name."""

    def __init__(self, sandbox: Sandbox, warehouse: Warehouse, folder: Path, config: DestinationConfig) -> None:
        """`config` leads to the sandbox as it stands: with its address and its credentials."""
        self.sandbox = sandbox
        self.warehouse = warehouse
        self._folder = folder
        self._output = Output("crm", "dev", registry.connector(config.type), config, Path("destinations.yml"), 1)

    def run(self, *syncs: tuple[str, dict[str, Any]]) -> list[SyncResult]:
        made = [self._sync(name, **spec) for name, spec in syncs]
        options = RunOptions(retry=EAGER, journal_dir=self._folder / "journal")
        with self._links() as (links, stop):
            results = list(Run(self.warehouse.store, links, options, Listener(), stop).execute(made, {}))
        for result in results:
            accounted(result)
        return results

    def plan(self, name: str, spec: dict[str, Any]) -> Preview:
        """What a run would do. Raises RevetlError where the declaration is wrong."""
        self.warehouse.store.prepare()
        with self._links() as (links, _):
            sync = self._sync(name, **spec)
            return preview(
                self.warehouse.store,
                links["crm"],
                sync,
                self._folder / "journal",
                limit=1,
                full_refresh=False,
                all_rows=False,
            )

    def _sync(self, name: str, model: str | None = None, **spec: Any) -> Sync:
        return self.warehouse.sync(name, model or name, destination="crm", **spec)

    @contextmanager
    def _links(self) -> Iterator[tuple[dict[str, Link], threading.Event]]:
        stop = threading.Event()
        with open_links({"crm": self._output}, self.warehouse.store, self._folder / "sandbox", stop) as links:
            yield links, stop
