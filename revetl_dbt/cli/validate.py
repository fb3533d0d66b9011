"""`revetl validate`: every declaration and output, checked without a network."""

from __future__ import annotations

import json

import click

from revetl_dbt.cli.messages import BAD_INPUT, as_json, show_diagnostics
from revetl_dbt.cli.options import Command, log_options, pass_options, project_options, selection_options
from revetl_dbt.errors import InputError
from revetl_dbt.project.options import Options


@click.command(cls=Command)
@click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format of the result"
)
@selection_options
@project_options
@log_options
@pass_options
def command(options: Options, output: str) -> int:
    """Check every declaration without a network.

    All syncs of the project are checked, and the outputs that the selected syncs use. Columns are checked where the
    model's contract is enforced; `revetl plan` checks them all. Exit code 2 when something is wrong.
    """
    from revetl_dbt.spec.load import load

    try:
        loaded = load(options)
    except InputError as error:
        if output == "text":
            raise
        click.echo(json.dumps({"valid": False, "diagnostics": [as_json(item) for item in error.diagnostics]}, indent=2))
        return BAD_INPUT
    if output == "json":
        names = [sync.name for sync in loaded.syncs]
        warnings = [as_json(item) for item in loaded.warnings]
        click.echo(
            json.dumps(
                {"valid": True, "target": loaded.profile.target, "syncs": names, "diagnostics": warnings}, indent=2
            )
        )
        return 0
    show_diagnostics(loaded.warnings, options)
    if loaded.syncs and not options.quiet:
        outputs = ", ".join(
            f"`{name}`" + (" (sandbox)" if item.config.sandbox else "") for name, item in loaded.outputs.items()
        )
        count = f"{len(loaded.syncs)} sync{'' if len(loaded.syncs) == 1 else 's'}"
        click.echo(f"{count} valid for target `{loaded.profile.target}`, to {outputs}")
    return 0
