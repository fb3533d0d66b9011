"""What `revetl run --queued` and `revetl watch` share: a warehouse that stays open, and what is done with its queue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from revetl_dbt.cli.interrupt import stopping
from revetl_dbt.cli.run import Sending, send_syncs
from revetl_dbt.cli.work import Work
from revetl_dbt.engine.queued import Due, due, settle
from revetl_dbt.errors import WarehouseError
from revetl_dbt.project.options import Options
from revetl_dbt.report.log import Event
from revetl_dbt.warehouse.queue import Queue, Queued
from revetl_dbt.warehouse.store import Store


class Worker:
    """Takes from the queue of the project's target and sends what was built."""

    def __init__(self, work: Work, how: Sending, store: Store, stop: threading.Event) -> None:
        self._work = work
        self._how = how
        self._store = store
        self._queue = Queue(store)
        self._others: dict[str, int] = {}
        self.stop = stop

    @classmethod
    @contextmanager
    def open(cls, options: Options, how: Sending, told: Callable[[], None] = lambda: None) -> Iterator[Worker]:
        """A worker on an open warehouse; `told` is called when a signal asks to stop."""
        work = Work.begin(options)

        def stop_soon(text: str) -> None:
            work.log.notice(text)
            told()

        with stopping(stop_soon) as stop, work.store() as store:
            store.prepare()
            yield cls(work, how, store, stop)

    @property
    def target(self) -> str:
        """Whose entries it takes."""
        return self._store.session.target

    @property
    def waits(self) -> bool:
        """True when something is there to take."""
        return bool(self._queue.peek())

    def tell(self, text: str) -> None:
        """A line of the log."""
        self._work.log.line(Event.Notice, text)

    def work_off(self) -> int:
        """Send what waits; returns the exit code, 0 when there was nothing."""
        entries = self._queue.take()
        self._mention_others()
        if not entries:
            return 0
        with self._queue.held():
            return self._send(entries)

    def look(self) -> bool:
        """`work_off`, by somebody who will look again; False when the warehouse cannot be reached, which is no end."""
        reached = False
        try:
            if self.work_off():
                self.tell("Not everything went well; the next build of these models tries again")
            self._queue.clean()
            reached = True
        except WarehouseError as error:
            self._work.log.notice(f"The queue cannot be read now: {error}")
        finally:
            self._store.release()
        self._work.log.line(Event.Notice, "Looked into the queue", "debug")
        return reached

    def upcoming(self) -> tuple[str, ...]:
        """Names of the syncs that `work_off` would run; says which would be held back."""
        work, found = self._due(self._queue.peek())
        for name, reason in work.skip.items():
            if any(sync.name == name for sync in found.syncs):
                self.tell(f"Skip {name}: {reason}")
        return tuple(sync.name for sync in found.syncs if sync.name not in work.skip)

    def _send(self, entries: list[Queued]) -> int:
        work, found = self._due(entries)
        nodes = len({sync.source.unique_id for sync in found.syncs})
        self.tell(f"Took {nodes} model{'' if nodes == 1 else 's'} with {len(found.syncs)} syncs from the queue")
        if not found.syncs:
            self._queue.finish(found.orphans, "done", None)
            return 0
        sent = send_syncs(work, self._how, self._store, found.syncs, self.stop)
        settle(self._queue, found, work.skip, sent.results, sent.run_id, stopped=sent.stopped)
        if elsewhere := {result.sync.source.name for result in sent.results if result.elsewhere}:
            self.tell(f"Left in the queue, as another run sends syncs of them: {', '.join(sorted(elsewhere))}")
        return sent.exit_code

    def _due(self, entries: list[Queued]) -> tuple[Work, Due]:
        """The project as its files are now, cut down to the syncs of what was built."""
        options = replace(self._work.options, gate=False)  # the queue knows better than run_results.json here
        loaded = self._work.fresh(options)
        found = due(loaded.loaded.project.manifest, loaded.loaded.syncs, entries)
        held = {name: f"{reason} (--no-gate sends it nevertheless)" for name, reason in found.held.items()}
        skip = {**(held if self._work.options.gate else {}), **loaded.skip}
        work = replace(
            loaded,
            loaded=replace(loaded.loaded, syncs=found.syncs),
            skip=skip,
            invocation_id=found.invocation_id,
        )
        return work, found

    def _mention_others(self) -> None:
        """Entries of other targets are nobody's, unless another worker runs for those: say so, once a change."""
        others = self._queue.of_other_targets()
        if others != self._others:
            for target, count in others.items():
                self._work.log.notice(
                    f"{count} entries wait for target `{target}`; this worker takes those of `{self.target}` (--target)"
                )
        self._others = others
