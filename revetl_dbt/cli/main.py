"""The `revetl` command: its subcommands, imported only when they run, and what becomes of errors."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import click

from revetl_dbt import __version__
from revetl_dbt.cli.interrupt import leave
from revetl_dbt.cli.messages import remember, show_error
from revetl_dbt.cli.options import log_options

COMMANDS = {
    "init": "Set up destinations.yml and a first sync in a dbt project",
    "debug": "Check the connections to the warehouse and the destinations",
    "ls": "List the syncs of the project",
    "validate": "Check every declaration without a network",
    "plan": "Show what a run would send",
    "run": "Send what changed",
    "build": "Run `dbt build`, then the syncs of what it built",
    "watch": "Send what dbt builds elsewhere, as it is built",
    "retry": "Send again what did not come through the last time",
    "history": "Show what runs did, and what happened to a row",
    "show": "Show a row: what was sent, its record in the tool, what a run would do",
    "state": "See and change what the warehouse remembers of each sync",
    "docs": "Show syncs in dbt's lineage, and on a page of their own",
    "sandbox": "Run local stand-ins of the destinations",
    "schema": "Print the JSON Schemas for editors",
}


class LazyGroup(click.Group):
    """A group whose commands are `revetl_dbt.cli.<name>:command`, imported when they are asked for.

    A command may return an exit code. Errors end as messages on stderr and dbt's exit codes: 1 when something failed,
    2 for bad input and for errors that nobody foresaw.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command of this name, imported now."""
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"revetl_dbt.cli.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands in `--help`, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command and turn what comes of it into an exit code."""
        remember(())
        try:
            code = super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001 - the last resort: every error gets a message and an exit code
            code = show_error(error, ctx.obj)
        if isinstance(code, int) and code:
            ctx.exit(code)
        return code


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", "-v", message="revetl_dbt %(version)s")
@log_options
def cli(**_: Any) -> None:
    """Reverse ETL that lives in your dbt project.

    After `dbt build`, send what changed to the tools where teams work.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script; never returns."""
    try:
        cli.main(args=None if arguments is None else list(arguments), prog_name="revetl")
    except SystemExit as end:
        leave(end.code)
        raise
