"""What the commands that touch the warehouse or a destination share: a loaded project, and how to open what it uses."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from revetl_dbt import __version__
from revetl_dbt.cli.messages import remember
from revetl_dbt.engine.link import Link, open_links
from revetl_dbt.engine.result import SyncResult
from revetl_dbt.errors import Diagnostic, InputError
from revetl_dbt.nearest import did_you_mean, listed
from revetl_dbt.project.options import Options
from revetl_dbt.project.paths import own_folder
from revetl_dbt.project.profile import Profile
from revetl_dbt.project.project import Project
from revetl_dbt.project.target import check_connection
from revetl_dbt.report.console import Redact, header, overview
from revetl_dbt.report.log import Log
from revetl_dbt.report.notify import Message, messages
from revetl_dbt.report.redact import Redactor, environment_secrets
from revetl_dbt.spec.load import Loaded, load
from revetl_dbt.spec.models import Sync
from revetl_dbt.warehouse.entries import before
from revetl_dbt.warehouse.local import beside, open_state, state_file
from revetl_dbt.warehouse.store import Store


@dataclass(frozen=True, slots=True)
class Work:
    """A loaded project and the log of the command that works on it."""

    loaded: Loaded
    log: Log
    skip: dict[str, str] = field(default_factory=dict)
    invocation_id: str | None = None

    @classmethod
    def begin(cls, options: Options, nodes: Collection[str] | None = None, *, quietly: bool = False) -> Work:
        """Load and check the project, say what was found, unless `quietly`.

        With `nodes` only their syncs are meant, whatever else the options select. Raises InputError with everything
        that is wrong.
        """
        log = Log(options, str(uuid.uuid4()))
        if not quietly:
            header(log, __version__)
        loaded = load(options, nodes)
        log.warnings(loaded.warnings)
        if not quietly:
            overview(log, loaded.syncs, loaded.profile.target)
        remember(_secrets(loaded))
        return cls(loaded, log, _skipped(loaded))

    def fresh(self, options: Options) -> Work:
        """The same work on the project as its files are now; tells warnings, no header."""
        loaded = load(options)
        self.log.warnings(loaded.warnings)
        remember(_secrets(loaded))
        return Work(loaded, self.log, _skipped(loaded))

    @property
    def options(self) -> Options:
        """What the user asked for."""
        return self.loaded.options

    @property
    def folder(self) -> Path:
        """Where our artifacts and journals are."""
        return own_folder(self.loaded.project.target_path)

    @property
    def dbt_invocation_id(self) -> str | None:
        """The dbt invocation whose results are being sent, as far as it is known."""
        if self.invocation_id is not None:
            return self.invocation_id
        results = self.loaded.project.run_results()
        return results.invocation_id if results else self.loaded.project.manifest.invocation_id

    def builds(self) -> dict[str, str]:
        """Which dbt command built a node, by unique id: the latest, when it has come to its end.

        dbt writes its manifest when a command begins, and its results when it ends.
        """
        results = self.loaded.project.run_results()
        command = None if results is None else results.invocation_id
        if results is None or command is None or command != self.loaded.project.manifest.invocation_id:
            return {}
        return {node: command for node, result in results.results.items() if result.status == "success"}

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The warehouse, open. Raises InputError or WarehouseError."""
        with open_store(self.loaded.project, self.loaded.profile, self.log) as store:
            yield store

    @contextmanager
    def links(self, store: Store, stop: threading.Event, *, all_of_them: bool = False) -> Iterator[dict[str, Link]]:
        """The destinations of the syncs that are not skipped, or of all, open; the sandbox started where it is asked
        for."""
        used = {sync.spec.destination for sync in self.loaded.syncs if all_of_them or sync.name not in self.skip}
        outputs = {name: output for name, output in self.loaded.outputs.items() if name in used}
        store.prepare()
        state, setup = sandbox_dir(self.loaded.project.target_path), sandbox_setup(self.loaded.project.folder)
        with open_links(outputs, store, state, stop, setup=setup) as links:
            yield links

    def named(self, names: Iterable[str], option: str) -> frozenset[str]:
        """Sync names that an option gave. Raises InputError for those that do not exist."""
        known = [sync.name for sync in self.loaded.declared]
        problems = [
            Diagnostic(
                "unknown-sync",
                f"There is no sync `{name}`",
                field=option,
                expected=listed(known),
                hint=did_you_mean(name, known),
            )
            for name in names
            if name not in known
        ]
        if problems:
            raise InputError(problems)
        return frozenset(names)

    def tidings(self, store: Store, results: Sequence[SyncResult], run_id: str) -> Iterator[Message]:
        """What people are to be told of a run that has ended, where somebody wants to be."""
        if self.loaded.channels:
            target = self.loaded.profile.target
            yield from messages(results, before(store, run_id), target, run_id, self.redact())

    def secrets(self) -> Redactor:
        """What masks secrets only."""
        return Redactor(self._secrets(), show_values=True)

    def redact(self, *, show_values: bool = False) -> Redact:
        """What masks a text that others wrote about a sync."""
        secrets = self._secrets()
        redactors = {
            sync.name: Redactor(secrets, _names(sync), show_values=show_values) for sync in self.loaded.declared
        }
        return lambda sync, text: redactors[sync.name](text)

    def mask(self, *, show_values: bool = False) -> Callable[[str, str], str]:
        """The same for a sync of a name."""
        syncs, redact = {sync.name: sync for sync in self.loaded.declared}, self.redact(show_values=show_values)
        return lambda name, text: redact(syncs[name], text)

    def _secrets(self) -> list[str]:
        return [*environment_secrets(), *_secrets(self.loaded)]


@contextmanager
def open_store(project: Project, profile: Profile, log: Log) -> Iterator[Store]:
    """The state and the warehouse, opened through dbt and closed at the end. Raises InputError or WarehouseError."""
    with _warehouse(project, profile, log) as warehouse, open_state(warehouse, project.folder) as store:
        yield store


@contextmanager
def both_stores(project: Project, profile: Profile, log: Log) -> Iterator[tuple[Store, Store, Path]]:
    """The store in the warehouse, the one in the local file, and that file, wherever the state is to be."""
    with _warehouse(project, profile, log) as warehouse:
        file = state_file(warehouse.session, project.folder)
        with beside(warehouse, file) as local:
            yield warehouse, local, file


@contextmanager
def _warehouse(project: Project, profile: Profile, log: Log) -> Iterator[Store]:
    from revetl_dbt.warehouse.dbt_api import DbtOptions, DbtSession

    options = project.options
    folder, profiles, variables = project.folder, profile.path.parent, dict(options.vars)
    scratch = own_folder(project.target_path)
    session = DbtSession(
        DbtOptions(folder, profiles, profile.name, profile.target, variables, options.threads, scratch)
    )
    try:
        log.warnings(_other_version(session.package_version))
        problem = check_connection(project.manifest, session.adapter_type, session.database, session.schema)
        if problem is not None and not problem.warning:
            raise InputError([problem])
        log.warnings([problem] if problem else [])
        yield Store(session, notice=log.notice)
    finally:
        session.close()


def _other_version(package: str | None) -> Iterator[Diagnostic]:
    """A warning when the dbt package in the project is of another version than we are."""
    if package not in (None, __version__):
        yield Diagnostic(
            "package-version",
            f"The dbt package revetl_dbt of the project is version {package}, `revetl` is {__version__}",
            expected="one version: the package writes the queue that `revetl` reads",
            hint="Change the version in packages.yml and run `dbt deps`, or upgrade `revetl`",
            warning=True,
        )


def _secrets(loaded: Loaded) -> list[str]:
    urls = [channel.config.url.get_secret_value() for channel in loaded.channels]
    return [*(secret for output in loaded.outputs.values() for secret in output.config.secrets()), *urls]


def sandbox_dir(target_path: Path) -> Path:
    """Where a project's sandbox keeps its state."""
    return own_folder(target_path) / "sandbox"


def sandbox_setup(folder: Path) -> dict[str, Path]:
    """The files that a sandbox loads when it starts: `sandbox/<vendor>.yml` in the project's folder."""
    return {path.stem: path for path in sorted((folder / "sandbox").glob("*.yml"))}


def _skipped(loaded: Loaded) -> dict[str, str]:
    """Why syncs do not run: paused, or something is known against their model (project/gate.py)."""
    skip = {sync.name: "paused (`enabled: false`)" for sync in loaded.syncs if not sync.spec.enabled}
    if loaded.options.gate and loaded.syncs:
        gate = loaded.project.gate()
        for sync in loaded.syncs:
            reason = gate.reason(sync.source.unique_id)
            if reason is not None and sync.name not in skip:
                skip[sync.name] = f"{reason} (--no-gate sends it nevertheless)"
    return skip


def _names(sync: Sync) -> list[str]:
    """Every word of the declaration, and the names of the relation and its columns."""
    return [sync.name, sync.spec.model_dump_json(), sync.source.relation_name, sync.source.name, *sync.source.columns]
