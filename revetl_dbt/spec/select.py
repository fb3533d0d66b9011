"""Which syncs a command is about: `--sync`, `--destination`, and dbt's own selection of their models."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from revetl_dbt.errors import Diagnostic, InputError
from revetl_dbt.nearest import did_you_mean, listed
from revetl_dbt.project.manifest import BLOCK
from revetl_dbt.project.project import Project


class Candidate(NamedTuple):
    """What selection needs to know of a sync: its name, its destination's, and the unique id of its model."""

    name: str
    destination: str
    node: str


def select(
    project: Project, candidates: Collection[Candidate], nodes: Collection[str] | None = None
) -> tuple[set[str], list[Diagnostic]]:
    """The names of the syncs that all given options select (all of them without options), and warnings.

    `nodes` are the models whose syncs may be selected at all; None for all.
    dbt is imported only for options of its grammar, and where selectors.yml has a default. Raises InputError for names
    that do not exist.
    """
    options = project.options
    problems = [*_unknown_syncs(project, candidates), *_unknown_destinations(project, candidates)]
    if problems:
        raise InputError(problems)
    chosen = list(candidates)
    if options.syncs:
        chosen = [item for item in chosen if item.name in options.syncs]
    if options.destinations:
        chosen = [item for item in chosen if item.destination in options.destinations]
    warnings: list[Diagnostic] = []
    if nodes is not None:
        chosen = [item for item in chosen if item.node in nodes]
    elif chosen and (options.selects_nodes or (not options.selects and _by_default(project))):
        from revetl_dbt.project.selection import select_nodes

        selected, said = select_nodes(project)
        chosen = [item for item in chosen if item.node in selected]
        warnings = [Diagnostic("selection-empty", text, field="--select", warning=True) for text in said]
    if candidates and not chosen:
        warnings.append(Diagnostic("nothing-selected", "No sync is selected", warning=True))
    return {item.name for item in chosen}, warnings


def _by_default(project: Project) -> bool:
    from revetl_dbt.project.selection import has_default_selector

    return has_default_selector(project.folder)


def _unknown_syncs(project: Project, candidates: Collection[Candidate]) -> Iterator[Diagnostic]:
    known = [item.name for item in candidates]
    for name in project.options.syncs:
        if name not in known:
            paused = [node.name for node in project.manifest.disabled() if name in node.meta.get(BLOCK, ())]
            hint = f"It stands on `{paused[0]}`, which is disabled in dbt" if paused else did_you_mean(name, known)
            yield Diagnostic(
                "unknown-sync", f"There is no sync `{name}`", field="--sync", expected=listed(known), hint=hint
            )


def _unknown_destinations(project: Project, candidates: Collection[Candidate]) -> Iterator[Diagnostic]:
    known = sorted({item.destination for item in candidates})
    for name in project.options.destinations:
        if name not in known:
            yield Diagnostic(
                "unknown-destination",
                f"No sync goes to a destination `{name}`",
                field="--destination",
                expected=listed(known),
                hint=did_you_mean(name, known),
            )
