"""`revetl history`: what runs did, and what happened to a row."""

from __future__ import annotations

import click

from revetl_dbt.cli.options import Command, log_options, pass_options, project_options, selection_options
from revetl_dbt.project.options import Options


@click.command(cls=Command)
@click.option("--key", metavar="KEY", help="What happened to the row with this key; a composite key as `a|b`")
@click.option("--run", "run_id", metavar="ID", help="One run only")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The newest so many")
@click.option("--show-values", is_flag=True, help="Show values of rows; they may be personal data")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format")
@selection_options
@project_options
@log_options
@pass_options
def command(options: Options, key: str | None, run_id: str | None, limit: int, show_values: bool, output: str) -> None:
    """Show what runs did, and what happened to a row.

    With --key, every refusal of the row, and, of syncs with `history: all`, every change of its fields.
    """
    from revetl_dbt.cli.work import Work
    from revetl_dbt.report import history as report
    from revetl_dbt.warehouse.history import events, past_runs

    work = Work.begin(options, quietly=True)
    names = [sync.name for sync in work.loaded.syncs]
    if not names:
        return
    with work.store() as store:
        store.prepare()
        if key is None:
            runs = past_runs(store, names, limit, run_id)
        else:
            found = events(store, names, key, limit)
    if key is None:
        click.echo(report.runs_as_json(runs) if output == "json" else report.runs_as_text(runs), nl=output == "json")
        nothing = not runs
    else:
        write = report.events_as_json if output == "json" else report.events_as_text
        click.echo(write(found, work.mask(show_values=show_values), show_values=show_values), nl=output == "json")
        nothing = not found
    if nothing and key is None:
        work.log.notice("Nothing is written down yet")
    elif nothing:
        kept = "refusals are kept, and accepted changes where a sync says `history: all`"
        work.log.notice(f"Nothing is written down of key `{key}`: {kept}; `revetl show {key}` says where it stands")
