"""`revetl retry`: send again what did not come through the last time, as `dbt retry` does for models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import click

from revetl_dbt.cli.build import run_results_path, what_was_built
from revetl_dbt.cli.dbt import Ended, run_dbt
from revetl_dbt.cli.options import (
    Command,
    dbt_executable_option,
    log_options,
    pass_options,
    project_options,
    run_options,
    selection_options,
)
from revetl_dbt.cli.run import Sending, send, sending_options
from revetl_dbt.project.options import Options

if TYPE_CHECKING:
    from revetl_dbt.cli.work import Work
    from revetl_dbt.engine.retry import Due
    from revetl_dbt.report.last import LastCommand
    from revetl_dbt.spec.models import Sync
    from revetl_dbt.warehouse.store import Store


@click.command(cls=Command)
@click.option(
    "--unknown", is_flag=True, help="Also rows that may have arrived; sent again, some may then be there twice"
)
@sending_options
@dbt_executable_option
@selection_options
@run_options
@project_options
@log_options
@pass_options
def command(
    options: Options,
    unknown: bool,
    release: tuple[str, ...],
    retry_attempts: int,
    dry_run: bool,
    show_values: bool,
    dbt_executable: str | None,
) -> int:
    """Send again what did not come through the last time.

    Of the syncs of the last run, build or retry, those go that failed, were partial, left out or cut short, or have
    rejected rows; rows that are held after too many rejections go too, and start to count anew. The options of that
    command hold again; after a build in which models failed, `dbt retry` comes first. With a selection, or where
    target/revetl knows of no run, what failed is what the warehouse's history says. Exit codes are those of
    `revetl run`.
    """
    from revetl_dbt.cli.work import Work
    from revetl_dbt.report.last import last_command

    last = None if options.selects else last_command(options)
    code, built = 0, frozenset[str]()
    if last is not None:
        options = last.again(options)
        if last.failed_in_dbt and not dry_run:
            ended = _dbt_retry(options, dbt_executable)
            known = what_was_built(ended, "dbt retry", options)
            if known is None:
                return ended.exit_code
            code, built = ended.exit_code, known
    work = Work.begin(options)

    def choose(store: Store) -> list[Sync]:
        return _chosen(work, store, last, built, unknown=unknown)

    if dry_run:
        return _shown(work, choose, show_values=show_values)
    held: Literal["rejected", "unknown too"] = "unknown too" if unknown else "rejected"
    with_dbt = last is not None and last.with_dbt
    how = Sending("retry", release, retry_attempts, show_values, held, with_dbt)
    return max(code, send(work, how, choose))


def _dbt_retry(options: Options, executable: str | None) -> Ended:
    from revetl_dbt.project.paths import find_profiles_dir, find_project_dir

    places = [("--project-dir", find_project_dir(options)), ("--profiles-dir", find_profiles_dir(options))]
    words = ["retry", *(str(word) for place in places for word in place)]
    words += ["--target-path", str(options.target_path)] if options.target_path else []
    return run_dbt(words, executable, run_results_path(options))


def _chosen(work: Work, store: Store, last: LastCommand | None, built: frozenset[str], *, unknown: bool) -> list[Sync]:
    """The syncs that have something to make up for; says what, and what is left alone."""
    from revetl_dbt.engine.retry import due

    of_last = [
        sync for sync in work.loaded.syncs if last is None or sync.name in last.syncs or sync.source.unique_id in built
    ]
    found = due(store, of_last)
    left_out = {sync.name for sync in of_last if sync.spec.enabled and last and last.syncs.get(sync.name) == "skipped"}
    left_out |= {sync.name for sync in of_last if sync.source.unique_id in built}
    chosen = [
        sync for sync in of_last if found[sync.name] or (unknown and found[sync.name].unknown) or sync.name in left_out
    ]
    for sync in of_last:
        item = found[sync.name]
        if sync in chosen:
            work.log.notice(f"Retry {sync.name}: {_why(item, unknown=unknown)}")
        if item.unknown and not unknown:
            rows = f"{item.unknown:,} row{'' if item.unknown == 1 else 's'} of {sync.name}"
            work.log.notice(f"{rows} may have arrived and stay held; look at them, or send them again with --unknown")
    if not chosen:
        work.log.notice(f"Nothing to retry{last.told if last else ''}")
    return chosen


def _why(item: Due, *, unknown: bool) -> str:
    from revetl_dbt.engine.retry import LEFT_OUT
    from revetl_dbt.report.words import counted

    rows = counted(
        (item.waiting, "rejected"),
        (item.held, "rejected and held"),
        (item.unknown if unknown else 0, "of unknown outcome"),
    )
    reasons = [part for part in (item.ended, None if rows == "nothing" else rows) if part]
    return "; ".join(reasons) or LEFT_OUT


def _shown(work: Work, choose: Callable[[Store], list[Sync]], *, show_values: bool) -> int:
    """A plan of the syncs that would be retried; held rows are in it as held."""
    from revetl_dbt.cli.plan import execute

    with work.store() as store:
        store.prepare()
        names = tuple(sync.name for sync in choose(store))
    return execute(replace(work.options, syncs=names), show_values=show_values) if names else 0
