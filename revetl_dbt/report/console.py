"""What `revetl run` says while it works and at its end, in dbt's voice."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from revetl_dbt.engine.result import SyncResult
from revetl_dbt.project.yamlfile import shown
from revetl_dbt.report.log import Event, Log
from revetl_dbt.report.progress import Bars
from revetl_dbt.report.words import counted, joined, plural, reasons, size, summary, verdict
from revetl_dbt.spec.models import Sync

WIDTH = 80
PROGRESS_SECONDS = 30.0
TALLY = ("PASS", "WARN", "ERROR", "SKIP", "NO-OP")
REASONS_SHOWN = 10

Redact = Callable[[Sync, str], str]


class ConsoleReporter:
    """Implements `engine.result.Reporter`: a line when a sync starts and one when it ends, progress in between."""

    def __init__(
        self, log: Log, redact: Redact, total: int, bars: Bars | None = None, *, show_values: bool = False
    ) -> None:
        """`redact` masks what others wrote about a sync, `total` is the number of syncs of the run."""
        self._show_values = show_values
        self._log = log
        self._redact = redact
        self._total = total
        self._bars = bars
        self._lock = threading.Lock()
        self._index: dict[str, int] = {}
        self._rows: dict[str, int] = {}
        self._told: dict[str, float] = {}
        self.timing: dict[str, tuple[dt.datetime, dt.datetime]] = {}

    def started(self, sync: Sync) -> None:
        """A sync begins."""
        now = dt.datetime.now(dt.timezone.utc)
        self.timing[sync.name] = (now, now)
        self._told[sync.name] = time.monotonic()
        message = f"START sync {sync.name} -> {sync.spec.destination}.{sync.spec.object}"
        self._log.line(Event.SyncStarted, self._dotted(sync, message, "RUN"), **_facts(sync))

    def planned(self, sync: Sync, changes: int) -> None:
        """A sync's plan is known."""
        self._rows[sync.name] = changes
        if self._bars is not None:
            self._bars.start(sync.name, changes)
        message = f"Plan of {sync.name}: {plural(changes, 'change')}"
        self._log.line(Event.SyncPlanned, message, "debug", **_facts(sync), changes=changes)

    def progress(self, sync: Sync, done: int) -> None:
        """So many changes have an outcome: the bar moves, or, where there is none, a line now and then."""
        if self._bars is not None:
            self._bars.update(sync.name, done)
            return
        now = time.monotonic()
        if now - self._told[sync.name] >= PROGRESS_SECONDS:
            self._told[sync.name] = now
            rows = self._rows[sync.name]
            message = f"{self._number(sync)} SENDING {sync.name}: {done:,} of {rows:,} rows"
            self._log.line(Event.SyncProgress, message, **_facts(sync), done=done, changes=rows)

    def finished(self, result: SyncResult) -> None:
        """A sync has ended."""
        sync = result.sync
        if self._bars is not None:
            self._bars.end(sync.name)
        now = dt.datetime.now(dt.timezone.utc)
        self.timing[sync.name] = (self.timing.get(sync.name, (now, now))[0], now)
        word, color, status, _ = verdict(result)
        rows = summary(result) if result.status != "error" or result.planned else None
        detail = result.message if result.status == "skipped" else result.unseen or rows
        message = f"{word} sync {sync.name}" + (f": {detail}" if detail else "")
        spent = None if result.status == "skipped" else result.seconds
        level = {"red": "error", "yellow": "warn"}.get(color, "info") if status not in ("skipped", "no-op") else "info"
        processed = f" ({size(result.bytes_processed)} processed)" if result.bytes_processed is not None else ""
        line = self._dotted(sync, message, click.style(word, fg=color) + processed, spent)
        self._log.line(Event.SyncFinished, line, level, **_facts(sync), status=status, execution_time=result.seconds)

    def notice(self, text: str) -> None:
        """Something that a person should know."""
        self._log.notice(text)

    def _number(self, sync: Sync) -> str:
        with self._lock:
            index = self._index.setdefault(sync.name, len(self._index) + 1)
        return f"{index} of {self._total}"

    def _dotted(self, sync: Sync, message: str, status: str, seconds: float | None = None) -> str:
        spent = "" if seconds is None else f" in {seconds:.2f}s"
        return f"{self._number(sync)} {message} ".ljust(WIDTH, ".") + f" [{status}{spent}]"

    # -- the end -----------------------------------------------------------------------------------

    def summarise(self, results: Sequence[SyncResult], seconds: float, outcomes: str, run_id: str) -> None:
        """The footer. `outcomes` is the table where each rejected row is written down."""
        log = self._log
        log.gap()
        finished = f"Finished running {plural(len(results), 'sync')} {_clock(seconds)}."
        log.line(Event.RunFinished, finished, seconds=seconds)
        log.gap()
        log.line(Event.RunSummary, _completion(results))
        for result in results:
            lines = self._problems(result)
            if lines:
                log.gap()
                level = "error" if result.status in ("error", "partial") else "warn"
                log.line(Event.SyncProblem, "\n".join(lines), level, **_facts(result.sync))
        if any(result.totals.rejected or result.totals.unknown for result in results):
            log.gap()
            where = f"{outcomes}, where run_id is {run_id}"
            log.line(Event.Notice, f"Each refused row and why: {where}")
        log.gap()
        counts = Counter(verdict(result).tally for result in results)
        stats = {word: counts[word] for word in TALLY} | {"TOTAL": len(results)}
        log.line(Event.RunTotals, "Done. " + " ".join(f"{word}={count}" for word, count in stats.items()), stats=stats)

    def _problems(self, result: SyncResult) -> list[str]:
        """What a person should know of a sync that did not go through as a whole; empty when it did."""
        sync = result.sync
        lines = []
        if result.message and result.status != "skipped":
            lines += [f"  {line}" for line in self._redact(sync, result.message).splitlines()]
        lines += self._refusals(result)
        if result.invalid:
            lines.append(f"  {plural(sum(result.invalid.values()), 'row')} cannot be sent: {reasons(result.invalid)}")
            lines.append(f"    look at them with: revetl plan --sync {sync.name} --show-values")
        if result.held:
            attempts = sync.spec.rejected.max_attempts
            held = plural(result.held, "row")
            lines.append(f"  {held} held after {plural(attempts, 'rejection')}, or because the outcome is unknown:")
            lines.append(f"    until they change, or revetl retry --sync {sync.name} sends them again")
        if result.not_attempted:
            lines.append(f"  {plural(result.not_attempted, 'change')} not attempted; the next run sends them")
        if not lines:
            return []
        title = {"error": "Failure", "partial": "Partial success"}.get(result.status, "Warning")
        return [f"{title} in sync {sync.name}{_place(sync)}", *lines]

    def _refusals(self, result: SyncResult) -> list[str]:
        totals = result.totals
        refused = counted((totals.rejected, "rejected"), (totals.unknown, "with unknown outcome"))
        if refused == "nothing":
            return []
        lines = [f"  {refused}; they are sent again with the next run:"]
        shown_reasons = totals.reasons.most_common(REASONS_SHOWN)
        examples = totals.examples if self._show_values else totals.hidden
        for reason, rows in shown_reasons:
            name, example = (self._redact(result.sync, text) for text in (reason, examples[reason]))
            lines.append(f"    {rows:,} x {name}" + (f": {example}" if example != name else ""))
        more = len(totals.reasons) - len(shown_reasons)
        return lines + ([f"    and {plural(more, 'more reason')}"] if more else [])


def header(log: Log, version: str) -> None:
    """The first line."""
    log.line(Event.RunStarted, f"Running with revetl={version}", version=version)


def overview(log: Log, syncs: Sequence[Sync], target: str) -> None:
    """What was found."""
    models = len({sync.source.unique_id for sync in syncs})
    destinations = len({sync.spec.destination for sync in syncs})
    found = f"{plural(len(syncs), 'sync')} of {plural(models, 'model')} to {plural(destinations, 'destination')}"
    log.line(Event.SyncsFound, f"Found {found} (target='{target}')", syncs=len(syncs), models=models, target=target)
    log.gap()


def _facts(sync: Sync) -> dict[str, str]:
    return {
        "sync": sync.name,
        "model": sync.source.unique_id,
        "destination": sync.spec.destination,
        "object": sync.spec.object,
    }


def _place(sync: Sync) -> str:
    if sync.path is None:
        return ""
    return f" ({shown(Path(sync.path))}" + (f":{sync.line})" if sync.line else ")")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"in {hours} hours {minutes} minutes and {rest:.2f} seconds ({seconds:.2f}s)"


def _completion(results: Sequence[SyncResult]) -> str:
    words = Counter(verdict(result).word for result in results)
    errors, partial, warnings = words["ERROR"], words["PARTIAL SUCCESS"], words["WARN"]
    if errors or partial:
        successes = f"{partial:,} partial success{'' if partial == 1 else 'es'}"
        parts = [plural(errors, "error"), successes, plural(warnings, "warning")]
        return click.style(f"Completed with {joined(parts)}:", fg="red")
    if warnings:
        return click.style(f"Completed with {plural(warnings, 'warning')}:", fg="yellow")
    return click.style("Completed successfully", fg="green")
