"""`revetl show`: one row, from the model to the tool."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import click

from revetl_dbt.cli.messages import FAILED
from revetl_dbt.cli.options import Command, log_options, pass_options, project_options, selection_options
from revetl_dbt.project.options import Options

if TYPE_CHECKING:
    from revetl_dbt.cli.work import Work
    from revetl_dbt.engine.look import Look


@click.command(cls=Command)
@click.argument("key")
@click.option("--show-values", is_flag=True, help="Show values of rows; they may be personal data")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format")
@selection_options
@project_options
@log_options
@pass_options
def command(options: Options, key: str, show_values: bool, output: str) -> int:
    """Show a row: what was sent, its record in the tool, what a run would do.

    KEY is the value of the sync's key; the parts of a composite key with bars between them: `a|b`. Syncs that know
    nothing of it are left out. Exit code 1 when none knows it.
    """
    from revetl_dbt.cli.work import Work
    from revetl_dbt.report import history as report

    work = Work.begin(options, quietly=True)
    found = [item for item in _looks(work, key) if item.known or item.failed] if work.loaded.syncs else []
    write = report.looks_as_json if output == "json" else report.looks_as_text
    click.echo(
        write(found, work.mask(show_values=show_values), show_values=show_values),
        nl=output == "json",
        color=work.log.colors,
    )
    if not any(item.known for item in found):
        work.log.notice(f"No sync knows a row with key `{key}`")
        return FAILED
    return FAILED if any(item.failed for item in found) else 0


def _looks(work: Work, key: str) -> list[Look]:
    from revetl_dbt.engine.look import Look, look
    from revetl_dbt.errors import RevetlError

    found: list[Look] = []
    with work.store() as store, work.links(store, threading.Event(), all_of_them=True) as links:
        for sync in work.loaded.syncs:
            try:
                found.append(look(store, links[sync.spec.destination], sync, key))
            except RevetlError as error:
                found.append(Look(sync, failed=work.redact()(sync, str(error))))
    return found
