"""`revetl run`: send what changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from revetl_dbt.cli.interrupt import stopping
from revetl_dbt.cli.messages import FAILED
from revetl_dbt.cli.options import (
    Command,
    log_options,
    pass_options,
    project_options,
    run_options,
    selection_options,
)
from revetl_dbt.project.options import Options

if TYPE_CHECKING:
    from revetl_dbt.cli.work import Work
    from revetl_dbt.engine.result import SyncResult
    from revetl_dbt.report.artifacts import Timing
    from revetl_dbt.report.progress import Bars
    from revetl_dbt.spec.models import Sync
    from revetl_dbt.warehouse.store import Store

F = TypeVar("F", bound=Callable[..., Any])


_SENDING = (
    click.option(
        "--release", multiple=True, metavar="SYNC", help="Send this sync although a guard holds it, this once"
    ),
    click.option(
        "--retry-attempts",
        type=click.IntRange(min=1),
        default=6,
        show_default=True,
        help="Times that a batch is sent when the destination fails, with growing pauses",
    ),
    click.option("--dry-run", is_flag=True, help="Show what would be sent, as `revetl plan` does, and send nothing"),
    click.option("--show-values", is_flag=True, help="Show values of rows in messages; they may be personal data"),
)


def sending_options(function: F) -> F:
    """What the commands that send share, beside `run_options`."""
    for option in reversed(_SENDING):
        function = option(function)
    return function


@dataclass(frozen=True, slots=True)
class Sending:
    """How a command sends: its name, the options of `sending_options`, which held rows go too, and whether dbt ran."""

    command: str
    release: tuple[str, ...]
    retry_attempts: int
    show_values: bool
    release_held: Literal["rejected", "unknown too"] | None = None
    with_dbt: bool = False


@click.command(cls=Command)
@click.option(
    "--queued", is_flag=True, help="Send what dbt's hook has put into the queue, and nothing else: see `revetl watch`"
)
@click.option("--watch", is_flag=True, help="With --queued: go on until it is interrupted, as `revetl watch` does")
@sending_options
@selection_options
@run_options
@project_options
@log_options
@pass_options
def command(
    options: Options,
    queued: bool,
    watch: bool,
    release: tuple[str, ...],
    retry_attempts: int,
    dry_run: bool,
    show_values: bool,
) -> int:
    """Send what changed.

    Compares each model with what its destination last accepted, and sends the difference.
    Exit code 1 when something failed, was refused or is held by a guard; 2 when the input is wrong.
    """
    how = Sending("run", release, retry_attempts, show_values)
    if watch and (dry_run or not queued):
        raise click.UsageError("--watch goes with --queued, and without --dry-run")
    if queued:
        return _queued(options, how, dry_run=dry_run, watch=watch)
    if dry_run:
        from revetl_dbt.cli.plan import execute

        return execute(options, show_values=show_values)
    from revetl_dbt.cli.work import Work

    return send(Work.begin(options), how)


def _queued(options: Options, how: Sending, *, dry_run: bool, watch: bool) -> int:
    from revetl_dbt.cli.worker import Worker

    if options.selects_nodes or options.syncs or options.destinations:
        raise click.UsageError("--queued sends what the queue holds: it goes without --select, --sync and the like")
    if watch:
        from revetl_dbt.cli import watch as watching

        return watching.watch(options, how, watching.INTERVAL, None)
    with Worker.open(options, how) as worker:
        if not worker.waits:
            worker.tell(f"Nothing waits in the queue of target '{worker.target}'")
        if not dry_run:
            return worker.work_off()
        names = worker.upcoming()
    if not names:
        return 0
    from revetl_dbt.cli.plan import execute

    return execute(replace(options, syncs=names, gate=False), show_values=how.show_values)


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of sending."""

    results: list[SyncResult]
    run_id: str
    stopped: bool

    @property
    def exit_code(self) -> int:
        """dbt's: 1 when something failed, was refused, or was left undone."""
        undone = ("error", "partial", "skipped") if self.stopped else ("error", "partial")
        return FAILED if any(result.status in undone for result in self.results) else 0


def send(work: Work, how: Sending, choose: Callable[[Store], Sequence[Sync]] | None = None) -> int:
    """Run the syncs of `work`, or those of them that `choose` picks, and tell how it went; returns the exit code."""
    work.named(how.release, "--release")
    if not work.loaded.syncs:
        _write(work, how, [], {}, 0.0, work.log.invocation_id)
        return 0
    with stopping(work.log.notice) as stop, work.store() as store:
        store.prepare()
        syncs = work.loaded.syncs if choose is None else choose(store)
        return send_syncs(work, how, store, syncs, stop).exit_code


def send_syncs(work: Work, how: Sending, store: Store, syncs: Sequence[Sync], stop: threading.Event) -> Sent:
    """Run syncs of `work` through an open warehouse, and tell how it went."""
    from revetl_dbt.engine.patience import RetryPolicy
    from revetl_dbt.engine.result import RunOptions
    from revetl_dbt.engine.run import Run
    from revetl_dbt.report import artifacts, openlineage
    from revetl_dbt.report.console import ConsoleReporter
    from revetl_dbt.report.notify import deliver

    lineage = openlineage.wanted()
    artifacts.prepare_folder(work.folder)  # the journal needs it before the first request leaves
    started = time.monotonic()
    settings = RunOptions(
        full_refresh=work.options.full_refresh,
        all_rows=work.options.all_rows,
        builds=work.builds(),
        fail_fast=work.options.fail_fast,
        release=work.named(how.release, "--release"),
        retry=RetryPolicy(attempts=how.retry_attempts),
        journal_dir=work.folder / "journal",
        dbt_invocation_id=work.dbt_invocation_id,
        command=how.command,
        release_held=how.release_held,
        mask=work.secrets(),
        redact=work.redact(),
    )
    with ExitStack() as stack:
        links = stack.enter_context(work.links(store, stop))
        bars = stack.enter_context(_bars(work))
        redact = work.redact(show_values=how.show_values)
        reporter = ConsoleReporter(work.log, redact, len(syncs), bars, show_values=how.show_values)
        run = Run(store, links, settings, reporter, stop)
        results = run.execute(syncs, work.skip)
        tidings = list(work.tidings(store, results, run.run_id))
        namespace = store.session.namespace
    store.release()
    seconds = time.monotonic() - started
    reporter.summarise(results, seconds, store.tables["revetl_outcomes"], run.run_id)
    _write(work, how, results, reporter.timing, seconds, run.run_id)
    deliver(tidings, work.loaded.channels, work.log, stop)
    _show_in_actions(work, results, seconds)
    if lineage:
        project = work.loaded.project.name
        lost = openlineage.emit(results, reporter.timing, project, namespace, run.run_id, work.redact())
        if lost:
            work.log.notice(f"OpenLineage events could not be delivered: {lost}")
    return Sent(results, run.run_id, stop.is_set())


def _bars(work: Work) -> AbstractContextManager[Bars | None]:
    if not work.log.on_terminal:
        return nullcontext()
    from revetl_dbt.report.progress import Bars

    return Bars(work.log)


def _show_in_actions(work: Work, results: Sequence[SyncResult], seconds: float) -> None:
    from revetl_dbt.report import github

    if github.in_actions():
        for line in github.workflow_commands(results, work.redact()):
            click.echo(line)
        github.append_summary(github.step_summary(results, seconds, work.loaded.profile.target, work.redact()))


def _write(
    work: Work, how: Sending, results: Sequence[SyncResult], timing: Timing, seconds: float, run_id: str
) -> None:
    from revetl_dbt.report import artifacts

    if not work.options.write_json:
        return
    artifacts.prepare_folder(work.folder)
    about = artifacts.metadata(artifacts.RUN_RESULTS, run_id, work.loaded.profile.target, work.dbt_invocation_id)
    own = {"release": sorted(how.release), "with_dbt": how.with_dbt}
    args = artifacts.arguments(how.command, work.options, work.secrets(), **own)
    content = artifacts.run_results(about, results, timing, seconds, args, work.redact())
    artifacts.write(work.folder / "run_results.json", content)
