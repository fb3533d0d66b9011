"""`revetl state`: what the warehouse holds of each sync, and what can be done to it by hand."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from revetl_dbt.cli.messages import FAILED, show_error
from revetl_dbt.cli.options import Command, log_options, pass_options, project_options, selection_options
from revetl_dbt.errors import InputError, RevetlError, WarehouseError
from revetl_dbt.nearest import did_you_mean, listed
from revetl_dbt.project.options import Options
from revetl_dbt.project.paths import own_folder

if TYPE_CHECKING:
    from revetl_dbt.project.project import Project
    from revetl_dbt.report.log import Log
    from revetl_dbt.spec.models import Sync
    from revetl_dbt.warehouse.entries import Entry
    from revetl_dbt.warehouse.store import Store

F = TypeVar("F", bound=Callable[..., Any])

_name = click.argument("name", metavar="SYNC")
_names = click.argument("names", nargs=-1, required=True, metavar="SYNC...")
_account = click.option("--account", metavar="ID", help="Which account's, where a sync has written to several")
_DRY_RUN = "revetl_dbt.dry_run"


def _yes(function: F) -> F:
    """`--yes`, for the command; `--dry-run`, for `_confirm`, which every change passes."""

    def keep(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        ctx.meta[_DRY_RUN] = value

    told = "Say what would be changed, and change nothing"
    dry_run = click.option("--dry-run", is_flag=True, expose_value=False, callback=keep, help=told)
    return click.option("--yes", "-y", is_flag=True, help="Do not ask")(dry_run(function))


class _InOrder(click.Group):
    """Lists its commands as they are defined."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names."""
        return list(self.commands)


@click.group(cls=_InOrder)
def command() -> None:
    """See and change what the warehouse remembers of each sync.

    A ledger holds what a destination last accepted. What changes one by hand asks first, is refused while a run sends
    the sync, and is recorded in `revetl_runs`.
    """


def _shared(function: F) -> F:
    """The options that all of them take."""
    return project_options(log_options(function))


@command.command(cls=Command, short_help="Rows by standing, last run, lease and tables of each sync")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format")
@selection_options
@_shared
@pass_options
def show(options: Options, output: str) -> int:
    """Show rows by standing, the last run, the lease and the tables of each sync and account.

    Those of syncs that are not declared any more are shown too, unless some are selected. Exit code 1 when a ledger is
    damaged.
    """
    from revetl_dbt.report.state import as_json, as_text, standing_of

    with _open(options) as state:
        chosen = state.selected()
        found = [standing_of(state.store, entry, state.declared) for entry in state.entries if entry.sync in chosen]
    if output == "json":
        click.echo(as_json(found))
    elif found:
        click.echo(as_text(found), nl=False, color=options.use_colors)
    else:
        state.log.notice("No run has sent anything yet")
    return FAILED if any(item.damage for item in found) else 0


@command.command(cls=Command, short_help="Write the ledger of a sync to a file")
@_name
@_account
@click.option("--file", type=click.Path(dir_okay=False, path_type=Path), help="Where to; by default to stdout")
@_shared
@pass_options
def export(options: Options, name: str, account: str | None, file: Path | None) -> None:
    """Write the ledger of a sync to a file, as JSON lines.

    Every value is in it as it is in the warehouse: the file is as worth protecting as the model itself.
    """
    from revetl_dbt.warehouse.transfer import export_lines

    with _open(options) as state:
        entry = state.entry(name, account)
        if file is None:
            for line in export_lines(state.store, entry):
                click.echo(line, nl=False)
            return
        draft = file.with_name(f"{file.name}.{os.getpid()}.tmp")
        with _writing(draft, file) as out:
            for line in export_lines(state.store, entry):
                out.write(line)
        draft.replace(file)


@command.command("import", cls=Command, short_help="Put an exported ledger back")
@click.argument("file", type=click.File("rb"))
@_yes
@_shared
@pass_options
def import_(options: Options, file: Any, yes: bool) -> None:
    """Put an exported ledger in the place of the one that there is.

    The file says of which sync and account it is; `-` reads stdin, with --yes.
    """
    from revetl_dbt.engine.state import put
    from revetl_dbt.warehouse.transfer import Imported

    with _open(options) as state:
        ledger = Imported.read(file.readline(), file.name, state.store.session.adapter_type)
        entry = ledger.entry
        rows = f"{ledger.rows('ledger'):,} rows of the ledger and {ledger.rows('rejected'):,} refused rows"
        _confirm(f"Replace what is known of {_named(entry)} with {rows} of `{file.name}`?", yes)
        put(state.store, ledger, file)
        state.log.notice(f"Imported {rows} for {_named(entry)}")


@command.command(cls=Command, short_help="Move the state out of the warehouse, or back")
@click.option("--to", type=click.Choice(["warehouse", "local"]), required=True, help="Where it is to be")
@_yes
@_shared
@pass_options
def move(options: Options, to: str, yes: bool) -> int:
    """Move the ledgers of all declared syncs from the warehouse to the local file, or back.

    Set the dbt variable `revetl_state` to the same place then. The history stays where it was written. The role must be
    able to write to the warehouse for as long as this takes.
    """
    from revetl_dbt.cli.work import both_stores
    from revetl_dbt.engine import state as engine
    from revetl_dbt.engine.journal import Journal
    from revetl_dbt.warehouse.entries import entries
    from revetl_dbt.warehouse.local import begin_move, end_move

    project, declared, log = _declared(options)
    with both_stores(project, project.profile(), log) as (warehouse, local, file):
        source, target = (local, warehouse) if to == "warehouse" else (warehouse, local)
        known: list[Entry] = []
        if to == "local" or file.exists():  # to ask an absent file would create it, and runs would stop at it
            source.prepare()
            known = entries(source)
        former = {sync.spec.renamed_from for sync in declared.values()}
        found = [entry for entry in known if entry.sync in declared or entry.sync in former]
        for entry in [entry for entry in known if entry not in found]:
            log.notice(f"{_named(entry)} is not declared any more, and stays")
        place = f"`{file}`" if to == "local" else f"schema `{warehouse.schema}` of the warehouse"
        _confirm(f"Move the ledgers of {listed(map(_named, found)) if found else 'no syncs'} to {place}?", yes)

        def journal(entry: Entry) -> Journal:
            return Journal(own_folder(project.target_path) / "journal" / f"{entry.suffix}.jsonl")

        def check(entry: Entry) -> None:
            if entry.sync not in declared:
                raise RevetlError(f"{_named(entry)} has another name now: a run has to take it over first")
            engine.check_recovered(source, entry, journal(entry))

        def one(entry: Entry) -> None:
            engine.move(source, target, entry, declared[entry.sync], journal(entry))
            log.notice(f"Moved {_named(entry)}")

        # What a run has to do first it can do only as long as everything is in one place.
        code = _each(found, options, check)
        if code:
            return code
        begin_move(file, to)
        target.prepare()
        code = _each(found, options, one)
    if code == 0 and to == "warehouse" and file.exists():
        file.rename(file.with_name(f"{file.name}.moved"))
    if code == 0:
        end_move(file)
        log.notice(f"Set the dbt variable now: `revetl_state: {to}`")
    return code


@command.command(cls=Command, short_help="Forget what was accepted: the next run is a first run")
@_names
@_account
@_yes
@_shared
@pass_options
def reset(options: Options, names: Sequence[str], account: str | None, yes: bool) -> int:
    """Forget what a destination accepted of syncs, so that their next run is a first run.

    The next run sends every row. Records whose rows go before that stay in the tool: nobody knows any more that they
    are ours.
    """
    from revetl_dbt.engine import state as engine

    with _open(options) as state:
        found = [state.entry(name, account) for name in names]
        forgotten = "; ".join(map(_named, found))
        _confirm(f"Forget what was accepted of {forgotten}? The next run sends every row again", yes)

        def one(entry: Entry) -> None:
            engine.reset(state.store, entry)
            state.log.notice(f"What was known of {_named(entry)} is forgotten")

        return _each(found, options, one)


@command.command(cls=Command, short_help="Take the rows as they are for accepted, send nothing")
@_names
@_yes
@_shared
@pass_options
def baseline(options: Options, names: Sequence[str], yes: bool) -> int:
    """Take the rows of syncs as they are now for accepted, without sending anything.

    For a destination that has them already, or for a ledger that was lost. Changes that were not sent yet never will
    be. Works with the account that the credentials open now.
    """
    from dataclasses import replace

    from revetl_dbt.cli.work import Work
    from revetl_dbt.destinations.base import DestinationError
    from revetl_dbt.engine import state as engine

    work = Work.begin(replace(options, syncs=tuple(names), gate=False))
    chosen = ", ".join(f"`{sync.name}`" for sync in work.loaded.syncs)
    _confirm(f"Take the rows of {chosen} as they are now for accepted? What differs is not sent any more", yes)

    redact = work.redact()

    def one(sync: Sync) -> None:
        try:
            done = engine.baseline(store, links[sync.spec.destination], sync)
        except (DestinationError, WarehouseError) as error:
            raise RevetlError(redact(sync, str(error))) from None
        left = f"; {done.invalid:,} cannot be sent" if done.invalid else ""
        work.log.notice(f"`{sync.name}` begins with {done.rows:,} rows, {done.taken:,} of them new or changed{left}")

    with work.store() as store, work.links(store, threading.Event()) as links:
        return _each(work.loaded.syncs, options, one)


@command.command(cls=Command, short_help="End the lease of a run that died elsewhere")
@_name
@_account
@_yes
@_shared
@pass_options
def unlock(options: Options, name: str, account: str | None, yes: bool) -> None:
    """End the lease of a run that died on another machine, without waiting for it to expire.

    A run that is alive after all stops sending when it sees that its lease is gone.
    """
    from revetl_dbt.engine import state as engine
    from revetl_dbt.warehouse.entries import held

    with _open(options) as state:
        entry = state.entry(name, account)
        lease = held(state.store, entry.sync, entry.account)
        if lease is None:
            state.log.notice(f"Nobody holds {_named(entry)}")
            return
        who = f"{lease.holder}, since {lease.since:%Y-%m-%d %H:%M:%S} UTC"
        _confirm(f"End the lease of {_named(entry)}, held by {who}?", yes)
        engine.unlock(state.store, entry, lease.run_id)
        state.log.notice(f"The lease of {_named(entry)} is ended")


@dataclass(frozen=True, slots=True)
class _State:
    """A project's state, with what is declared of it; declarations may be wrong."""

    store: Store
    log: Log
    entries: list[Entry]
    declared: dict[str, Sync]
    options: Options

    def selected(self) -> set[str]:
        """The names of the syncs to show."""
        options = self.options
        if not options.selects:
            return {entry.sync for entry in self.entries}
        from revetl_dbt.spec.load import load

        return {sync.name for sync in load(options).syncs}

    def entry(self, name: str, account: str | None) -> Entry:
        """The state of a sync. Raises InputError when there is none, or when it has several accounts."""
        own = [entry for entry in self.entries if entry.sync == name]
        found = [entry for entry in own if account in (None, entry.account)]
        if len(found) == 1:
            return found[0]
        if len(found) > 1:
            raise InputError.single(
                "account-ambiguous",
                f"Sync `{name}` has written to several accounts",
                expected=listed(entry.account for entry in found),
                hint="Say which with --account",
            )
        if own:
            accounts = [entry.account for entry in own]
            raise InputError.single(
                "unknown-account",
                f"Sync `{name}` has not written to account `{account}`",
                expected=listed(accounts),
                hint=did_you_mean(account or "", accounts),
            )
        known = sorted({entry.sync for entry in self.entries})
        raise InputError.single(
            "unknown-state",
            f"Nothing is known of a sync `{name}`" + (": it has not run yet" if name in self.declared else ""),
            expected=listed(known) if known else None,
            hint=did_you_mean(name, known),
        )


@contextmanager
def _open(options: Options) -> Iterator[_State]:
    from revetl_dbt.cli.work import open_store
    from revetl_dbt.warehouse.entries import entries

    project, declared, log = _declared(options)
    with open_store(project, project.profile(), log) as store:
        store.prepare()
        yield _State(store, log, entries(store), declared, options)


def _declared(options: Options) -> tuple[Project, dict[str, Sync], Log]:
    from revetl_dbt.project.project import Project
    from revetl_dbt.report.log import Log
    from revetl_dbt.spec.locate import Locator
    from revetl_dbt.spec.parse import parse

    project = Project.open(options)
    syncs = parse(project.manifest, Locator(project.file)).syncs
    return project, {sync.name: sync for sync in syncs}, Log(options, "")


def _each(items: Sequence[Any], options: Options, act: Callable[[Any], None]) -> int:
    """Do it to all of them; what fails for one is told, and keeps none of the others from being done."""
    code = 0
    for item in items:
        try:
            act(item)
        except RevetlError as error:
            code = max(code, show_error(error, options))
    return code


def _named(entry: Entry) -> str:
    return f"`{entry.sync}` at account {entry.account_name or entry.account}"


def _confirm(question: str, yes: bool) -> None:
    """Ask before a change; ends the command when the answer is no, or when it is a dry run."""
    if click.get_current_context().meta[_DRY_RUN]:
        click.echo(f"{question}\nNothing is changed: this was a dry run", err=True)
        raise click.exceptions.Exit(0)
    if not yes:
        click.confirm(question, abort=True, err=True)


@contextmanager
def _writing(draft: Path, file: Path) -> Iterator[Any]:
    """A file that only its owner can read; gone when it was not written to the end."""
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            yield out
    except OSError as error:
        raise InputError.single("file-unwritable", f"Cannot write the file: {error.strerror}", path=file) from error
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
