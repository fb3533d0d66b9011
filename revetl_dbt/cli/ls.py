"""`revetl ls`: the syncs that the manifest declares, as they are written; nothing is validated, so that it is quick."""

from __future__ import annotations

import json
from typing import Any

import click

from revetl_dbt.cli.messages import show_diagnostics
from revetl_dbt.cli.options import Command, log_options, pass_options, project_options, selection_options
from revetl_dbt.errors import Diagnostic
from revetl_dbt.project.options import Options


@click.command(cls=Command)
@click.option(
    "--output",
    type=click.Choice(["text", "name", "json"]),
    default="text",
    show_default=True,
    help="A table, names, or JSON lines",
)
@selection_options
@project_options
@log_options
@pass_options
def command(options: Options, output: str) -> None:
    """List the syncs of the project."""
    from revetl_dbt.project.project import Project
    from revetl_dbt.spec.declared import declared
    from revetl_dbt.spec.locate import Locator
    from revetl_dbt.spec.select import Candidate, select

    project = Project.open(options)
    found = declared(project.manifest).syncs
    names, warnings = select(
        project, [Candidate(item.name, item.text("destination"), item.node.unique_id) for item in found]
    )
    chosen = [item for item in found if item.name in names]
    if not found:
        warnings.append(Diagnostic("nothing-declared", "The project declares no sync", warning=True))
    show_diagnostics(warnings, options)
    if not chosen:
        return
    if output == "json":
        locator = Locator(project.file)
        for item in chosen:
            place = locator.sync(item.node, item.name).root
            click.echo(json.dumps({**item.summary(), "path": str(place.path), "line": place.line}))
    elif output == "name":
        click.echo("\n".join(item.name for item in chosen))
    else:
        click.echo("\n".join(_table([item.summary() for item in chosen])))


def _table(rows: list[dict[str, Any]]) -> list[str]:
    cells = [
        (
            row["name"],
            row["model"],
            f"-> {row['destination']}.{row['object']}",
            row["mode"] + ("" if row["enabled"] else ", paused"),
        )
        for row in rows
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, [*widths, 0], strict=True)) for row in cells]
