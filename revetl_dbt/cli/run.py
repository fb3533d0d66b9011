"""`revetl run`: send what changed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING

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

STOPPING = "Stopping as soon as the batches in flight are recorded; a second signal stops at once"


@click.command(cls=Command)
@click.option("--release", multiple=True, metavar="SYNC", help="Send this sync although a guard holds it, this once")
@click.option(
    "--retry-attempts",
    type=click.IntRange(min=1),
    default=6,
    show_default=True,
    help="Times that a batch is sent when the destination fails, with growing pauses",
)
@click.option("--dry-run", is_flag=True, help="Show what would be sent, as `revetl plan` does, and send nothing")
@click.option("--show-values", is_flag=True, help="Show values of rows in messages; they may be personal data")
@selection_options
@run_options
@project_options
@log_options
@pass_options
def command(options: Options, release: tuple[str, ...], retry_attempts: int, dry_run: bool, show_values: bool) -> int:
    """Send what changed.

    Compares each model with what its destination last accepted, and sends the difference.
    Exit code 1 when something failed, was refused or is held by a guard; 2 when the input is wrong.
    """
    if dry_run:
        from revetl_dbt.cli.plan import execute

        return execute(options, show_values=show_values)
    from revetl_dbt.cli.work import Work

    work = Work.begin(options)
    return _run(work, work.named(release, "--release"), retry_attempts, show_values=show_values)


def _run(work: Work, release: frozenset[str], retry_attempts: int, *, show_values: bool) -> int:
    from revetl_dbt.engine.delivery import RetryPolicy
    from revetl_dbt.engine.result import RunOptions
    from revetl_dbt.engine.run import Run
    from revetl_dbt.report import artifacts
    from revetl_dbt.report.console import ConsoleReporter

    if not work.loaded.syncs:
        _write(work, [], {}, 0.0, work.log.invocation_id, release)
        return 0
    artifacts.prepare_folder(work.folder)  # the journal needs it before the first request leaves
    started = time.monotonic()
    settings = RunOptions(
        full_refresh=work.options.full_refresh,
        fail_fast=work.options.fail_fast,
        release=release,
        retry=RetryPolicy(attempts=retry_attempts),
        journal_dir=work.folder / "journal",
        dbt_invocation_id=work.dbt_invocation_id,
    )
    with ExitStack() as stack:
        stop = stack.enter_context(stopping(lambda: work.log.notice(STOPPING)))
        store = stack.enter_context(work.store())
        links = stack.enter_context(work.links(store, stop))
        bars = stack.enter_context(_bars(work))
        reporter = ConsoleReporter(work.log, work.redact(show_values=show_values), len(work.loaded.syncs), bars)
        run = Run(store, links, settings, reporter, stop)
        results = run.execute(work.loaded.syncs, work.skip)
    seconds = time.monotonic() - started
    reporter.summarise(results, seconds, store.tables["revetl_outcomes"], run.run_id)
    _write(work, results, reporter.timing, seconds, run.run_id, release)
    failed = any(result.status in ("error", "partial") for result in results)
    return FAILED if failed or stop.is_set() else 0


def _bars(work: Work) -> AbstractContextManager[Bars | None]:
    if not work.log.on_terminal:
        return nullcontext()
    from revetl_dbt.report.progress import Bars

    return Bars(work.log)


def _write(
    work: Work, results: Sequence[SyncResult], timing: Timing, seconds: float, run_id: str, release: frozenset[str]
) -> None:
    from revetl_dbt.report import artifacts

    if not work.options.write_json:
        return
    artifacts.prepare_folder(work.folder)
    about = artifacts.metadata(artifacts.RUN_RESULTS, run_id, work.loaded.profile.target, work.dbt_invocation_id)
    args = artifacts.arguments("run", work.options, work.secrets(), release=sorted(release))
    content = artifacts.run_results(about, results, timing, seconds, args, work.redact())
    artifacts.write(work.folder / "run_results.json", content)
