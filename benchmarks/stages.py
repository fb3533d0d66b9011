"""What each stage of a run costs: `revetl` in this process, with a clock around each stage.

    python -m benchmarks.stages OUTPUT MAPPING REVETL_ARGUMENTS...

writes seconds by stage to OUTPUT, as JSON: wall seconds, added up over all threads, and CPU seconds of Python's threads
(DuckDB's own not among them). MAPPING is `engine` where DuckDB may write the records' JSON, `python` where Python has
to map and encode each value, as for connectors with a form of their own.
"""

from __future__ import annotations

import functools
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from revetl_dbt.cli.main import main as revetl
from revetl_dbt.destinations.http import Http
from revetl_dbt.destinations.transport import HttpDestination
from revetl_dbt.engine.journal import Journal
from revetl_dbt.engine.mapping import Mapper
from revetl_dbt.engine.sync_run import SyncRun
from revetl_dbt.warehouse.ledger import Ledger

STAGES = ("plan", "read", "map", "encode", "send", "journal", "ledger")


class Clock:
    """Adds up seconds by stage; what a stage does inside another is not the other's."""

    def __init__(self) -> None:
        self.wall: Counter[str] = Counter()
        self.cpu: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._inner = threading.local()

    def call(self, stage: str, work: Callable[[], Any]) -> Any:
        """What `work` gives."""
        outer = getattr(self._inner, "spent", (0.0, 0.0))
        self._inner.spent = (0.0, 0.0)
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            return work()
        finally:
            wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
            inner_wall, inner_cpu = self._inner.spent
            self._inner.spent = (outer[0] + wall, outer[1] + cpu)
            with self._lock:
                self.wall[stage] += wall - inner_wall
                self.cpu[stage] += cpu - inner_cpu

    def around(self, owner: type, name: str, stage: str) -> None:
        """Time a method."""
        method = getattr(owner, name)

        @functools.wraps(method)
        def timed(*args: Any, **kwargs: Any) -> Any:
            return self.call(stage, lambda: method(*args, **kwargs))

        setattr(owner, name, timed)

    def around_pages(self, owner: type, name: str, stage: str) -> None:
        """Time what a generator does between its items."""
        method = getattr(owner, name)

        @functools.wraps(method)
        def timed(*args: Any, **kwargs: Any) -> Iterator[Any]:
            pages = method(*args, **kwargs)
            while (page := self.call(stage, lambda: next(pages, None))) is not None:
                yield page

        setattr(owner, name, timed)


def main() -> None:
    """Run once."""
    output, mapping, *arguments = sys.argv[1:]
    clock = Clock()
    if mapping == "python":
        Ledger.writes_json = property(lambda _: False)  # type: ignore[method-assign, assignment]
    clock.around(Ledger, "write_plan", "plan")
    clock.around_pages(Ledger, "_paged", "read")
    clock.around(Mapper, "changes", "map")
    for name in ("write", "write_json"):
        clock.around(Http, name, "encode")
    clock.around(HttpDestination, "send", "send")
    for name in ("start", "sent", "done", "forget", "finish"):
        clock.around(Journal, name, "journal")
    clock.around(Ledger, "fold", "ledger")
    clock.around(SyncRun, "execute", "the rest")
    try:
        revetl(arguments)
    finally:
        Path(output).write_text(json.dumps({"wall": clock.wall, "cpu": clock.cpu}))


if __name__ == "__main__":
    main()
