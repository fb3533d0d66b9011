"""Problems between syncs: names taken twice, renames, lookups in a circle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from revetl_dbt.errors import Diagnostic
from revetl_dbt.project.manifest import BLOCK
from revetl_dbt.project.yamlfile import Key
from revetl_dbt.spec.declared import Declaration, Declared
from revetl_dbt.spec.locate import Locator
from revetl_dbt.spec.models import Sync
from revetl_dbt.spec.problem import Problem

PREFIX = ("config", "meta", BLOCK)


def across(found: Declared, syncs: Sequence[Sync], locator: Locator) -> Iterator[Diagnostic]:
    """What the syncs of a project do to each other; `found` holds all declarations, `syncs` those that are valid."""
    first: dict[str, Declaration] = {}
    for declaration in found.syncs:
        other = first.setdefault(declaration.name.casefold(), declaration)
        if other is not declaration:
            place = locator.sync(other.node, other.name).root
            where = "" if place.path is None else f" ({place.path}{'' if place.line is None else f':{place.line}'})"
            problem = Problem(
                "sync-twice",
                f"Sync `{declaration.name}` of `{declaration.node.name}` is named as one of `{other.node.name}`{where}",
                hint="Names of syncs are unique in the project, letter case aside: they name their ledger",
            )
            yield problem.diagnostic(locator.sync(declaration.node, declaration.name).root, *PREFIX, declaration.name)
    for sync in syncs:
        renamed = sync.spec.renamed_from
        if renamed is not None and renamed.casefold() in first:
            summary = f"`renamed_from` of sync `{sync.name}` names `{renamed}`, which is still declared"
            yield sync.diagnostic(
                Problem("rename-conflict", summary, ("renamed_from",), hint="Remove the old sync, or `renamed_from`")
            )
    yield from _cycles(syncs)


def _cycles(syncs: Sequence[Sync]) -> Iterator[Diagnostic]:
    """Objects of a destination that look each other up in a circle: none of them could go first."""
    graph: dict[tuple[str, str], dict[tuple[str, str], tuple[Sync, tuple[Key, ...]]]] = {}
    for sync in syncs:
        node = (sync.spec.destination, sync.spec.object)
        for field, mapping in sync.spec.fields.items():
            if mapping.lookup is not None:
                target = (sync.spec.destination, mapping.lookup.object)
                graph.setdefault(node, {}).setdefault(target, (sync, ("fields", field, "lookup")))
    for cycle in find_cycles({node: list(edges) for node, edges in graph.items()}):
        sync, keys = graph[cycle[0]][cycle[1 % len(cycle)]]
        path = " -> ".join(f"`{object_}`" for _, object_ in (*cycle, cycle[0]))
        hint = "Take one of the lookups into a sync of its own with `mode: update`" if len(cycle) > 1 else None
        yield sync.diagnostic(
            Problem("lookup-cycle", f"Lookups of `{sync.spec.destination}` go in a circle: {path}", keys, hint=hint)
        )


def find_cycles(graph: Mapping[Any, list[Any]]) -> list[list[Any]]:
    """The cycles that a depth-first walk of a graph meets, each once, as its nodes in order."""
    found: list[list[Any]] = []
    done: set[Any] = set()

    def visit(node: Any, path: list[Any]) -> None:
        if node in path:
            found.append(path[path.index(node) :])
        elif node not in done:
            for target in graph.get(node, ()):
                visit(target, [*path, node])
            done.add(node)

    for node in graph:
        visit(node, [])
    return found
