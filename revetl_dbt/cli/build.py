"""`revetl build`: `dbt build`, then the syncs of what it built."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from revetl_dbt.cli.dbt import Ended, run_dbt
from revetl_dbt.cli.messages import FAILED, show_diagnostics
from revetl_dbt.cli.options import (
    Command,
    dbt_executable_option,
    log_options,
    pass_options,
    place_options,
    run_options,
    selection_options,
)
from revetl_dbt.cli.run import Sending, send, sending_options
from revetl_dbt.errors import Diagnostic, InputError
from revetl_dbt.project.options import Options

# Options that dbt does not have, and how many words follow each; None: all words up to the next option.
_OWN: dict[str, int | None] = {
    "--sync": None,
    "--destination": None,
    "--release": 1,
    "--retry-attempts": 1,
    "--dbt-executable": 1,
    "--gate": 0,
    "--no-gate": 0,
    "--dry-run": 0,
    "--show-values": 0,
}


class _Passing(Command):
    """Keeps what was written for dbt, which gets its flags as they are, those too that mean nothing here."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Remember dbt's words before click parses them."""
        ctx.meta[__name__] = [*_before(ctx.find_root()), "build", *_for_dbt(args)]
        return super().parse_args(ctx, args)


@click.command(cls=_Passing, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@sending_options
@dbt_executable_option
@selection_options
@run_options
@place_options
@log_options
@pass_options
def command(
    options: Options,
    release: tuple[str, ...],
    retry_attempts: int,
    dry_run: bool,
    show_values: bool,
    dbt_executable: str | None,
) -> int:
    """Run `dbt build`, then the syncs of what it built.

    Every flag of `dbt build` may be given and goes to dbt as it is, --full-refresh too: it rebuilds models, and does
    not send unchanged rows again. Syncs whose model, or a test of it, failed are skipped. The exit code is the worse of
    both.
    """
    words: list[str] = click.get_current_context().meta[__name__]
    options = replace(options, full_refresh=False)
    if dry_run:
        return _shown(options, words, show_values=show_values)
    ended = run_dbt(words, dbt_executable, run_results_path(options))
    built = what_was_built(ended, "dbt build", options)
    if built is None:
        return ended.exit_code
    from revetl_dbt.cli.work import Work

    work = Work.begin(without_selection(options), nodes=built)
    if options.fail_fast and ended.exit_code:
        reason = "something failed in `dbt build`, and --fail-fast is on"
        work = replace(work, skip={sync.name: reason for sync in work.loaded.syncs} | work.skip)
    how = Sending("build", release, retry_attempts, show_values, with_dbt=True)
    return max(ended.exit_code, send(work, how))


def run_results_path(options: Options) -> Path:
    """Where dbt writes its run_results.json. Raises InputError."""
    from revetl_dbt.project.paths import ProjectFile, find_project_dir
    from revetl_dbt.project.project import find_target_path

    file = ProjectFile.read(find_project_dir(options))
    return find_target_path(options, file) / "run_results.json"


def what_was_built(ended: Ended, command: str, options: Options) -> frozenset[str] | None:
    """The nodes of which dbt has something to say; None, told on stderr, where no sync is to follow.

    Raises InputError `run-results-missing`.
    """
    if ended.stopped:
        reason = "was stopped"
    elif ended.exit_code and (ended.results is None or ended.exit_code > FAILED):
        reason = f"ended with exit code {ended.exit_code} before it built anything"
    elif ended.results is None:
        raise InputError.single(
            "run-results-missing",
            f"`{command}` wrote no run results, so that nobody knows what it built; nothing is sent",
            hint="Leave out --no-write-json, and name its target folder with --target-path",
        )
    else:
        return frozenset(ended.results.results)
    show_diagnostics([Diagnostic("dbt-failed", f"`{command}` {reason}: nothing is sent")], options)
    return None


def without_selection(options: Options) -> Options:
    """The options without what chose nodes for dbt."""
    nothing: dict[str, Any] = {"select": (), "exclude": (), "selector": None, "state": None}
    return replace(options, **nothing, resource_types=(), exclude_resource_types=(), indirect_selection=None)


def _shown(options: Options, words: Sequence[str], *, show_values: bool) -> int:
    from revetl_dbt.cli.plan import execute
    from revetl_dbt.report.log import Log

    notice = f"A dry run: `dbt {shlex.join(words)}` is not run; the plan is made with the models as they are now"
    Log(options, "").notice(notice)
    return execute(options, show_values=show_values)


def _before(root: click.Context) -> Iterator[str]:
    """The options before the name of the command, `revetl --quiet build`, which are dbt's too."""
    for param in root.command.params:
        given = root.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE
        if given and isinstance(param, click.Option):
            value = root.params[param.name or ""]
            if isinstance(value, bool):
                yield param.opts[0] if value else param.secondary_opts[0]
            else:
                yield from (param.opts[0], str(value))


def _for_dbt(args: Sequence[str]) -> Iterator[str]:
    """The words without our own options and their values."""
    left: int | None = 0
    for word in args:
        if word.startswith("-"):
            name, equals, _ = word.partition("=")
            left = _OWN.get(name, 0)
            if equals and name in _OWN:
                left = None if left is None else 0
            elif name not in _OWN:
                yield word
        elif left == 0:
            yield word
        elif left is not None:
            left -= 1
