"""`revetl plan`: what a run would send."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

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
    from revetl_dbt.engine.preview import Preview

CHANGES = 2
EXAMPLES = 5


@click.command(cls=Command)
@click.option("--limit", type=click.IntRange(min=0), default=EXAMPLES, show_default=True, help="Examples an operation")
@click.option("--show-values", is_flag=True, help="Show values of rows; they may be personal data")
@click.option(
    "--output",
    "--format",
    "output",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="Format; `markdown` is the body of a comment on a pull request",
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 0 for no changes, 1 for errors, 2 for changes")
@selection_options
@run_options
@project_options
@log_options
@pass_options
def command(options: Options, limit: int, show_values: bool, output: str, detailed_exitcode: bool) -> int:
    """Show what a run would send.

    Nothing is sent. The plan is also written to target/revetl/plan.json.
    """
    return execute(options, limit=limit, show_values=show_values, output=output, detailed_exitcode=detailed_exitcode)


def execute(
    options: Options,
    *,
    limit: int = EXAMPLES,
    show_values: bool = False,
    output: str = "text",
    detailed_exitcode: bool = False,
) -> int:
    """Plan, print, write the artifact; returns the exit code."""
    from revetl_dbt.cli.work import Work
    from revetl_dbt.report import artifacts
    from revetl_dbt.report.markdown import as_markdown
    from revetl_dbt.report.plan import PlanText

    work = Work.begin(options)
    previews = _previews(work, limit, show_values) if work.loaded.syncs else []
    artifact = _artifact(work, previews, show_values)
    if options.write_json:
        artifacts.prepare_folder(work.folder)
        artifacts.write(work.folder / "plan.json", artifact)
    if output == "json":
        click.echo(json.dumps(artifact, indent=2, ensure_ascii=False))
    elif output == "markdown":
        click.echo(as_markdown(previews, work.loaded.profile.target), nl=False)
    elif previews:
        text = PlanText(show_values=show_values, limit=limit).render(previews, work.loaded.profile.target)
        click.echo(text, nl=False, color=work.log.colors)
    if any(preview.failed for preview in previews):
        return FAILED
    return CHANGES if detailed_exitcode and any(preview.changes for preview in previews) else 0


def _previews(work: Work, limit: int, show_values: bool) -> list[Preview]:
    from revetl_dbt.engine.preview import Preview, preview
    from revetl_dbt.engine.run import in_order
    from revetl_dbt.errors import RevetlError

    redact = work.redact(show_values=show_values)
    previews: list[Preview] = []
    with work.store() as store, work.links(store, threading.Event()) as links:
        for sync in in_order(work.loaded.syncs, links):
            if sync.name in work.skip:
                previews.append(Preview(sync, skipped=work.skip[sync.name]))
                continue
            try:
                link = links[sync.spec.destination]
                how = {"full_refresh": work.options.full_refresh, "all_rows": work.options.all_rows}
                previews.append(preview(store, link, sync, work.folder / "journal", limit=limit, **how))
            except RevetlError as error:
                previews.append(Preview(sync, failed=redact(sync, str(error))))
    return previews


def _artifact(work: Work, previews: Sequence[Preview], show_values: bool) -> dict[str, Any]:
    from revetl_dbt.report import artifacts, plan

    about = artifacts.metadata(
        artifacts.PLAN, work.log.invocation_id, work.loaded.profile.target, work.dbt_invocation_id
    )
    secrets = work.secrets()
    return {
        "metadata": about,
        "results": [plan.as_json(item, secrets, show_values=show_values) for item in previews],
        "args": artifacts.arguments("plan", work.options, secrets, show_values=show_values),
    }
