"""`revetl retry`: send again what did not come through the last time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from revetl_dbt.cli.options import (
    Command,
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
    from revetl_dbt.spec.models import Sync
    from revetl_dbt.warehouse.store import Store


@click.command(cls=Command)
@click.option(
    "--unknown", is_flag=True, help="Also rows that may have arrived; sent again, some may then be there twice"
)
@sending_options
@selection_options
@run_options
@project_options
@log_options
@pass_options
def command(
    options: Options, unknown: bool, release: tuple[str, ...], retry_attempts: int, dry_run: bool, show_values: bool
) -> int:
    """Send again what did not come through the last time.

    Runs the syncs whose last run failed, was partial or was cut short, and those that have rejected rows; rows that are
    held after too many rejections go too, and start to count anew. The other rows of these syncs go as in any run. Exit
    codes are those of `revetl run`.
    """
    from revetl_dbt.cli.work import Work

    work = Work.begin(options)

    def choose(store: Store) -> list[Sync]:
        return _chosen(work, store, unknown=unknown)

    if dry_run:
        return _shown(work, choose, show_values=show_values)
    how = Sending("retry", release, retry_attempts, show_values, "unknown too" if unknown else "rejected")
    return send(work, how, choose)


def _chosen(work: Work, store: Store, *, unknown: bool) -> list[Sync]:
    """The syncs that have something to make up for; says what, and what is left alone."""
    from revetl_dbt.engine.retry import due

    found = due(store, work.loaded.syncs)
    chosen = [sync for sync in work.loaded.syncs if found[sync.name] or (unknown and found[sync.name].unknown)]
    for sync in work.loaded.syncs:
        item = found[sync.name]
        if sync in chosen:
            work.log.notice(f"Retry {sync.name}: {_why(item, unknown=unknown)}")
        if item.unknown and not unknown:
            rows = f"{item.unknown:,} row{'' if item.unknown == 1 else 's'} of {sync.name}"
            work.log.notice(f"{rows} may have arrived and stay held; look at them, or send them again with --unknown")
    if not chosen:
        work.log.notice("Nothing to retry")
    return chosen


def _why(item: Due, *, unknown: bool) -> str:
    from revetl_dbt.report.words import counted

    rows = counted(
        (item.waiting, "rejected"),
        (item.held, "rejected and held"),
        (item.unknown if unknown else 0, "of unknown outcome"),
    )
    return "; ".join(part for part in (item.ended, None if rows == "nothing" else rows) if part)


def _shown(work: Work, choose: Callable[[Store], list[Sync]], *, show_values: bool) -> int:
    """A plan of the syncs that would be retried; held rows are in it as held."""
    from revetl_dbt.cli.plan import execute

    with work.store() as store:
        store.prepare()
        names = tuple(sync.name for sync in choose(store))
    return execute(replace(work.options, syncs=names), show_values=show_values) if names else 0
