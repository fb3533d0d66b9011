"""`revetl debug`: whether everything that a run needs is there, in the manner of `dbt debug`."""

from __future__ import annotations

import platform
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, TypeVar

import click

from revetl_dbt import __version__
from revetl_dbt.cli.messages import FAILED
from revetl_dbt.cli.options import Command, log_options, pass_options, project_options, selection_options
from revetl_dbt.errors import InputError, RevetlError
from revetl_dbt.project.options import Options

if TYPE_CHECKING:
    from revetl_dbt.engine.link import Link
    from revetl_dbt.project.profile import Profile
    from revetl_dbt.project.project import Project
    from revetl_dbt.spec.load import Loaded
    from revetl_dbt.spec.models import Sync
    from revetl_dbt.warehouse.store import Store

T = TypeVar("T")


@click.command(cls=Command)
@selection_options
@project_options
@log_options
@pass_options
def command(options: Options) -> int:
    """Check the connections to the warehouse and the destinations.

    So are the project, its declarations, and the columns and fields of every sync. Nothing is sent. Exit code 1 when a
    check failed.
    """
    debug = Debug(options)
    with ExitStack() as stack:
        debug.run(stack)
    return debug.conclude()


class Debug:
    """Runs the checks, shows each with its result, and counts those that failed."""

    def __init__(self, options: Options) -> None:
        from revetl_dbt.report.log import Log
        from revetl_dbt.report.redact import Redactor, environment_secrets

        self._options = options
        self._log = Log(options, "")
        self._redact: Callable[[str], str] = Redactor(environment_secrets(), show_values=True)
        self._failed = 0

    def run(self, stack: ExitStack) -> None:
        """All checks, as far as they are possible; what they open is closed with `stack`."""
        self._say(f"revetl version: {__version__}")
        self._say(f"dbt-core version: {_version('dbt-core')}")
        self._say(f"python version: {platform.python_version()} ({sys.executable})")
        self._say(f"os: {platform.platform()}")
        self._say("\nConfiguration:")
        project = self._project()
        profile = self._profile(project) if project else None
        if project is None or profile is None:
            return
        loaded = self._declarations()
        self._say("\nWarehouse:")
        store = self._warehouse(stack, project, profile)
        if store is not None and loaded is not None and loaded.syncs:
            self._destinations(stack, loaded, store)

    def conclude(self) -> int:
        """The last line, and the exit code."""
        if self._failed:
            self._say(click.style(f"\n{self._failed} check{'' if self._failed == 1 else 's'} failed", fg="red"))
            return FAILED
        self._say(click.style("\nAll checks passed!", fg="green"))
        return 0

    def _project(self) -> Project | None:
        from revetl_dbt.project.project import Project

        project = self._check("dbt_project.yml and manifest.json", lambda: Project.open(self._options))
        if project is not None:
            self._say(f"    project `{project.name}` in {project.folder}")
            self._say(f"    {project.manifest.path}, written by dbt {project.manifest.dbt_version}")
        return project

    def _profile(self, project: Project) -> Profile | None:
        profile = self._check("profiles.yml", project.profile)
        if profile is not None:
            self._say(f"    profile `{profile.name}`, target `{profile.target}` in {profile.path}")
        return profile

    def _declarations(self) -> Loaded | None:
        from revetl_dbt.spec.load import load

        loaded = self._check("destinations.yml and the syncs", lambda: load(self._options))
        if loaded is not None:
            for path in dict.fromkeys(output.path for output in loaded.outputs.values()):
                self._say(f"    {path}")
            for warning in loaded.warnings:
                self._say(click.style(_indented(warning.render()), fg="yellow"))
        return loaded

    def _warehouse(self, stack: ExitStack, project: Project, profile: Profile) -> Store | None:
        from revetl_dbt.cli.work import open_store

        def connect() -> Store:
            store = stack.enter_context(open_store(project, profile, self._log))
            store.query("select 1")
            return store

        store = self._check("connection", connect, "OK connection ok")
        if store is None:
            return None
        session = store.session
        adapter = f"{session.adapter_type}={_version(f'dbt-{session.adapter_type}')}"
        self._say(f"    adapter {adapter}, database `{session.database}`, schema `{session.schema}`")
        writable = self._check(f"state in schema `{store.schema}`", partial(_write_and_drop, store), "OK writable")
        return store if writable else None

    def _destinations(self, stack: ExitStack, loaded: Loaded, store: Store) -> None:
        from revetl_dbt.cli.work import Work

        work = Work(loaded, self._log)
        self._say("\nDestinations:")
        opened = self._check(
            "connectors", lambda: stack.enter_context(work.links(store, threading.Event())), "OK ready"
        )
        if opened is None:
            return
        self._redact = work.secrets()
        working = {name: link for name, link in opened.items() if self._account(name, link)}
        self._say("\nSyncs:")
        redact = work.redact()
        for sync in loaded.syncs:
            link = working.get(sync.spec.destination)
            self._redact = partial(redact, sync)
            if link is None:
                self._say(f"  {sync.name}: {click.style('SKIP', fg='yellow')} its destination does not work")
            else:
                self._check(sync.name, partial(_check_sync, store, link, sync), "OK columns and fields found")

    def _account(self, name: str, link: Link) -> bool:
        kind = link.output.type + (", sandbox" if link.output.config.sandbox else "")
        account = self._check(f"{name} ({kind})", link.destination.check, "OK connection ok")
        if account is not None:
            self._say(f"    account {account.name or account.id}" + (f", {account.url}" if account.url else ""))
        return account is not None

    def _check(self, label: str, work: Callable[[], T], fine: str = "OK found and valid") -> T | None:
        """What `work` returns, or None when it failed; says which."""
        try:
            result = work()
        except RevetlError as error:
            self._failed += 1
            self._say(f"  {label}: [{click.style('ERROR', fg='red')}]")
            text = str(error) if isinstance(error, InputError) else self._redact(str(error))
            self._say(_indented(text))
            return None
        word, _, rest = fine.partition(" ")
        self._say(f"  {label}: [{click.style(word, fg='green')} {rest}]")
        return result

    def _say(self, text: str) -> None:
        click.echo(text, color=self._log.colors)


def _write_and_drop(store: Store) -> bool:
    store.prepare()
    relation = store.relation("revetl_debug")
    store.execute([f"drop table if exists {relation}", f"create table {relation} (checked integer)"])
    store.execute([f"drop table {relation}"])
    return True


def _check_sync(store: Store, link: Link, sync: Sync) -> bool:
    """The relation, its columns, the SQL of the declaration and the destination's fields. Makes the sync's ledger."""
    from revetl_dbt.engine.fields import checked_fields
    from revetl_dbt.engine.sync_run import open_sync

    kind = link.destination.object_type(sync.spec.object)
    assert kind is not None  # checked when the project was loaded
    open_sync(store, sync, kind, link.account(store), preview=True)
    checked_fields(sync, kind, link)
    return True


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
