"""From the blocks that users wrote to syncs that can run: all problems of all models at once, each with its file and line."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from revetl_dbt.errors import Diagnostic
from revetl_dbt.nearest import did_you_mean, listed
from revetl_dbt.project.manifest import BLOCK, RELATIONS, Manifest, Node
from revetl_dbt.project.yamlfile import Key
from revetl_dbt.spec import checks
from revetl_dbt.spec.declared import Declaration, Declared, declared
from revetl_dbt.spec.locate import Locator, Places
from revetl_dbt.spec.models import Source, Sync, SyncSpec
from revetl_dbt.spec.normalise import column_field, normalise
from revetl_dbt.spec.problem import Place, Problem
from revetl_dbt.spec.reword import reword, value_at

PREFIX = ("config", "meta", BLOCK)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_UNKNOWN = "?"  # stands for a required name that is missing or wrong, so that the rest can still be checked


@dataclass(frozen=True, slots=True)
class Parsed:
    """The syncs without errors, and everything there is to say: errors and warnings, in the order of the manifest."""

    syncs: tuple[Sync, ...]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def errors(self) -> list[Diagnostic]:
        """What keeps a command from going on."""
        return [item for item in self.diagnostics if not item.warning]

    @property
    def warnings(self) -> list[Diagnostic]:
        """What a person should know all the same."""
        return [item for item in self.diagnostics if item.warning]


def parse(manifest: Manifest, locator: Locator, pii_tags: Collection[str] = ()) -> Parsed:
    """Every sync that the manifest declares. Columns with one of `pii_tags`, or `meta: {pii: true}`, hold personal data."""
    found = declared(manifest)
    diagnostics = list(_misplaced(found, locator))
    syncs: list[Sync] = []
    for declaration in found.syncs:
        sync, problems, places = _sync(declaration, manifest, locator, pii_tags)
        diagnostics += [_diagnostic(declaration, places, problem) for problem in problems]
        if sync is not None:
            syncs.append(sync)
    diagnostics += _across(found, syncs, locator)
    return Parsed(tuple(syncs), tuple(diagnostics))


def check_columns(sync: Sync, relation_columns: Collection[str]) -> list[Diagnostic]:
    """The columns that a sync names and the real relation lacks."""
    problems = checks.unknown_columns(sync.name, sync.spec, sync.source.name, relation_columns)
    return [sync.diagnostic(problem) for problem in problems]


def _sync(
    declaration: Declaration, manifest: Manifest, locator: Locator, pii_tags: Collection[str]
) -> tuple[Sync | None, list[Problem], Places]:
    node, name = declaration.node, declaration.name
    places = _places(declaration, locator)
    problems = [*_check_place(name, node), *_check_name(name), *_twice(name, places)]
    secrets = list(checks.check_secrets(name, declaration.block))
    block, malformed = normalise(declaration)
    spec, structural = _validate(block, f"sync `{name}`")
    covered = [problem.keys for problem in (*secrets, *malformed, *structural)]
    semantic = [
        problem for problem in _check_meaning(name, spec, node, manifest, pii_tags) if not _about(problem, covered)
    ]
    problems += _without_doubles([*secrets, *malformed, *structural, *semantic])
    if any(not problem.warning for problem in problems):
        return None, problems, places
    return Sync(name, spec, _source(node, manifest), *places.root, places.keys), problems, places


def _places(declaration: Declaration, locator: Locator) -> Places:
    places = locator.sync(declaration.node, declaration.name)
    keys = dict(places.keys)
    for column, value in declaration.columns.items():
        place = locator.column(declaration.node, column, declaration.name)
        keys.setdefault(("fields", str(column_field(value))), place)
    return Places(places.root, keys, places.twice)


def _validate(block: dict[str, Any], subject: str) -> tuple[SyncSpec, list[Problem]]:
    """The spec of a block, and what is wrong with its shape; parts that are wrong are left out of the spec."""
    try:
        return SyncSpec.model_validate(block), []
    except ValidationError as error:
        problems = list(reword(error, SyncSpec, block, subject))
    pruned = deepcopy(block)
    for problem in problems:
        _prune(pruned, problem.keys)
    while True:
        try:
            return SyncSpec.model_validate({"destination": _UNKNOWN, "object": _UNKNOWN, "key": (), **pruned}), problems
        except ValidationError as error:
            for problem in reword(error, SyncSpec, pruned, subject):
                _prune(pruned, problem.keys if value_at(pruned, problem.keys) is not None else problem.keys[:-1])


def _prune(data: Any, keys: tuple[Key, ...]) -> None:
    """Remove the value under nested keys, as far as it is there; from a list, the list itself."""
    parent = value_at(data, keys[:-1])
    if isinstance(parent, list):
        _prune(data, keys[:-1])
    elif isinstance(parent, dict) and keys:
        parent.pop(keys[-1], None)


def _check_meaning(
    name: str, spec: SyncSpec, node: Node, manifest: Manifest, pii_tags: Collection[str]
) -> Iterator[Problem]:
    yield from checks.check_spec(name, spec)
    yield from checks.check_pii(name, spec, _pii_columns(node, pii_tags))
    if node.contract_enforced and node.columns:
        yield from checks.unknown_columns(name, spec, node.name, list(node.columns))
    yield from _check_key_tests(name, spec, node, manifest)


def _check_place(name: str, node: Node) -> Iterator[Problem]:
    if node.resource_type not in RELATIONS:
        yield Problem(
            "not-a-model",
            f"Sync `{name}` stands on {node.resource_type} `{node.name}`",
            expected="a model, snapshot or seed",
            hint=f"Declare it on a model that selects from this {node.resource_type}",
        )
    elif node.relation_name is None or node.materialized == "ephemeral":
        yield Problem(
            "not-a-relation",
            f"Sync `{name}` stands on `{node.name}`, which is {node.materialized or 'not materialized'}: it has no relation to read",
            expected="a model that is materialized as a table, view, incremental or materialized view",
        )


def _check_name(name: str) -> Iterator[Problem]:
    if not _NAME.fullmatch(name):
        yield Problem(
            "name-invalid",
            f"`{name}` cannot name a sync",
            expected="letters, digits and underscores, a letter first, at most 64: it names tables in the warehouse",
        )


def _check_key_tests(name: str, spec: SyncSpec, node: Node, manifest: Manifest) -> Iterator[Problem]:
    key = {column.casefold() for column in spec.key}
    tests = manifest.tests(node.unique_id)
    constraints = {column.name.casefold(): set(column.constraints) for column in node.columns.values()}
    primary = any("primary_key" in constraints.get(column, ()) for column in key)
    unique = primary or any(
        test.kind in ("unique", "unique_combination_of_columns") and {item.casefold() for item in test.columns} == key
        for test in tests
    )
    filled = {column for test in tests if test.kind == "not_null" for column in map(str.casefold, test.columns)}
    filled |= {column for column, kinds in constraints.items() if kinds & {"not_null", "primary_key"}}
    missing = [*([] if unique else ["unique"]), *([] if primary or key <= filled else ["not_null"])]
    if key and missing:
        shown = ", ".join(f"`{column}`" for column in spec.key)
        wanted = "`dbt_utils.unique_combination_of_columns`" if missing == ["unique"] and len(key) > 1 else None
        yield Problem(
            "key-untested",
            f"Key {shown} of sync `{name}` has no {' and no '.join(f'`{test}`' for test in missing)} test",
            ("key",),
            wanted,
            "Rows whose key is null or not unique cannot be sent; a test finds them before",
            warning=True,
        )


def _pii_columns(node: Node, pii_tags: Collection[str]) -> list[str]:
    tags = set(pii_tags)
    return [
        column.name for column in node.columns.values() if column.meta.get("pii") is True or tags & set(column.tags)
    ]


def _twice(name: str, places: Places) -> Iterator[Problem]:
    for keys in places.twice:
        yield Problem(
            "key-twice", f"`{keys[-1]}` stands twice in sync `{name}`; YAML would keep the last silently", keys
        )


def _about(problem: Problem, covered: Iterable[tuple[Key, ...]]) -> bool:
    """True when a problem follows from one that is reported already, at the same keys, above or below them."""
    return any(problem.keys[: len(keys)] == keys[: len(problem.keys)] for keys in covered)


def _without_doubles(problems: Iterable[Problem]) -> list[Problem]:
    """One problem of a kind for each place; a secret under an unknown key is a secret."""
    kept: dict[tuple[Key, ...], Problem] = {}
    for problem in problems:
        other = kept.get(problem.keys)
        if other is None or (other.code != problem.code and other.code != "secret-in-meta"):
            kept[(*problem.keys, problem.code) if other else problem.keys] = problem
    return list(kept.values())


def _misplaced(found: Declared, locator: Locator) -> Iterator[Diagnostic]:
    for node in found.malformed:
        problem = Problem(
            "wrong-type",
            f"`{BLOCK}` of `{node.name}` is not a mapping",
            (),
            "sync name: {destination: .., object: .., ..}",
        )
        yield problem.diagnostic(locator.block(node), *PREFIX)
    for orphan in found.orphans:
        problem = Problem(
            "unknown-sync",
            f"Column `{orphan.column}` of `{orphan.node.name}` maps a field of sync `{orphan.sync}`, which the model does not declare",
            (),
            listed(orphan.known),
            did_you_mean(orphan.sync, orphan.known),
        )
        yield problem.diagnostic(
            locator.column(orphan.node, orphan.column, orphan.sync), "columns", orphan.column, *PREFIX, orphan.sync
        )


def _across(found: Declared, syncs: Iterable[Sync], locator: Locator) -> Iterator[Diagnostic]:
    """Problems between syncs: names taken twice, renames, lookups in a circle."""
    first: dict[str, Declaration] = {}
    for declaration in found.syncs:
        other = first.setdefault(declaration.name.casefold(), declaration)
        if other is not declaration:
            place = locator.sync(other.node, other.name).root
            where = "" if place.path is None else f" ({place.path}{'' if place.line is None else f':{place.line}'})"
            problem = Problem(
                "sync-twice",
                f"Sync `{declaration.name}` of `{declaration.node.name}` has the name of a sync of `{other.node.name}`{where}",
                hint="Names of syncs are unique in the project, letter case aside: they name their ledger",
            )
            yield _diagnostic(declaration, locator.sync(declaration.node, declaration.name), problem)
    for sync in syncs:
        renamed = sync.spec.renamed_from
        if renamed is not None and renamed.casefold() in first:
            summary = f"`renamed_from` of sync `{sync.name}` names `{renamed}`, which is still declared"
            yield sync.diagnostic(
                Problem("rename-conflict", summary, ("renamed_from",), hint="Remove the old sync, or `renamed_from`")
            )
    yield from _cycles(list(syncs))


def _cycles(syncs: list[Sync]) -> Iterator[Diagnostic]:
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


def _source(node: Node, manifest: Manifest) -> Source:
    raw = node.raw
    return Source(
        unique_id=node.unique_id,
        name=node.name,
        relation_name=node.relation_name or "",
        database=raw.get("database"),
        schema=str(raw.get("schema") or ""),
        identifier=str(raw.get("alias") or raw.get("identifier") or node.name),
        columns=tuple(column.name for column in node.columns.values()),
        original_file_path=node.original_file_path,
        owner=manifest.owner(node),
    )


def _diagnostic(declaration: Declaration, places: Places, problem: Problem) -> Diagnostic:
    return problem.diagnostic(places.at(*problem.keys), *PREFIX, declaration.name)


__all__ = ["Callable", "Parsed", "Place", "check_columns", "parse"]
