"""Everything that a command needs to know before it does something: the project, its syncs, and where they go."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from revetl_dbt.errors import Diagnostic, InputError
from revetl_dbt.project.options import Options
from revetl_dbt.project.profile import Profile
from revetl_dbt.project.project import Project
from revetl_dbt.project.target import check_known_target
from revetl_dbt.spec.capabilities import check_capabilities, offline
from revetl_dbt.spec.declared import declared
from revetl_dbt.spec.destinations import Output, check_names, find_destinations_file, load_outputs
from revetl_dbt.spec.locate import Locator
from revetl_dbt.spec.models import Sync
from revetl_dbt.spec.notifications import Channel, load_channels
from revetl_dbt.spec.parse import Parsed, parse
from revetl_dbt.spec.select import Candidate, select


@dataclass(frozen=True, slots=True)
class Loaded:
    """A project whose input is right.

    `syncs` are those selected, paused ones (`enabled: false`) included, `outputs` their destinations by name;
    `declared` are all syncs of the project, `channels` are told of changes. `warnings` are to be shown.
    """

    project: Project
    profile: Profile
    declared: tuple[Sync, ...]
    syncs: tuple[Sync, ...]
    outputs: Mapping[str, Output]
    channels: tuple[Channel, ...]
    warnings: tuple[Diagnostic, ...]

    @property
    def options(self) -> Options:
        """What the user asked for."""
        return self.project.options

    def output(self, sync: Sync) -> Output:
        """Where a selected sync goes."""
        return self.outputs[sync.spec.destination]


def load(options: Options, nodes: Collection[str] | None = None) -> Loaded:
    """Read and check the whole project, select syncs, and read the outputs that they use.

    `nodes` are the models whose syncs may be selected at all; None for all.
    Raises InputError with everything that is wrong, at once.
    """
    project = Project.open(options)
    locator = Locator(project.file)
    parsed = parse(project.manifest, locator, project.pii_tags())
    profile = project.profile()
    chosen: tuple[Sync, ...] = ()
    selection: list[Diagnostic] = []
    outputs: dict[str, Output] = {}
    problems = [*parsed.errors, *_target(project, profile)]
    try:
        chosen, selection = _select(project, parsed, nodes)
        outputs, found = _outputs(project, profile, locator, chosen)
        problems += [item for item in found if not item.warning]
        selection += [item for item in found if item.warning]
    except InputError as error:
        problems += error.diagnostics
    problems += _capabilities(chosen, outputs)
    channels, found = load_channels(options, project.folder, profile.target)
    problems += found
    doubts = list(project.doubts())
    if problems:
        raise InputError([*doubts, *problems])
    warnings = (*doubts, *parsed.warnings, *selection, *_nothing_declared(parsed))
    return Loaded(project, profile, parsed.syncs, chosen, outputs, tuple(channels), warnings)


def check_manifest(project_dir: str, target_path: str | None, variables: Mapping[str, Any]) -> list[Diagnostic]:
    """What is wrong with the declarations of a manifest that dbt has just written, or doubtful in them."""
    folder = None if target_path is None else Path(target_path)
    project = Project.open(Options(project_dir=Path(project_dir), target_path=folder, vars=variables))
    return list(parse(project.manifest, Locator(project.file), project.pii_tags()).diagnostics)


def _select(
    project: Project, parsed: Parsed, nodes: Collection[str] | None
) -> tuple[tuple[Sync, ...], list[Diagnostic]]:
    if parsed.errors and not project.options.selects_nodes:
        # Names that exist but have errors must not be reported as unknown too.
        return parsed.syncs, []
    candidates = [Candidate(sync.name, sync.spec.destination, sync.source.unique_id) for sync in parsed.syncs]
    names, warnings = select(project, candidates, nodes)
    return tuple(sync for sync in parsed.syncs if sync.name in names), warnings


def _outputs(
    project: Project, profile: Profile, locator: Locator, chosen: tuple[Sync, ...]
) -> tuple[dict[str, Output], list[Diagnostic]]:
    declarations = declared(project.manifest).syncs
    if not declarations:
        return {}, []
    path = find_destinations_file(project.options, project.folder)
    names = dict.fromkeys(sync.spec.destination for sync in chosen)
    outputs, problems = load_outputs(path, profile.target, list(names), project.options.vars)
    return outputs, [*check_names(declarations, locator, path), *problems]


def _target(project: Project, profile: Profile) -> Iterator[Diagnostic]:
    try:
        problem = check_known_target(project.manifest, project.run_results(), profile.target)
    except InputError as error:
        if project.options.gate:
            yield from error.diagnostics
        return
    if problem is not None:
        yield problem


def _capabilities(syncs: tuple[Sync, ...], outputs: Mapping[str, Output]) -> Iterator[Diagnostic]:
    connectors = {name: offline(output) for name, output in outputs.items()}
    try:
        for sync in syncs:
            if sync.spec.destination in connectors:
                problems = check_capabilities(sync, connectors[sync.spec.destination])
                yield from (sync.diagnostic(problem) for problem in problems)
    finally:
        for connector in connectors.values():
            connector.close()


def _nothing_declared(parsed: Parsed) -> Iterator[Diagnostic]:
    if not parsed.syncs:
        hint = "`revetl init` shows how to declare one; then run `dbt parse`"
        yield Diagnostic("nothing-declared", "The project declares no sync", hint=hint, warning=True)
