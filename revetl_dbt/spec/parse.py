"""From the blocks that users wrote to syncs that can run; all problems of all models at once, with file and line."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from revetl_dbt.errors import Diagnostic
from revetl_dbt.nearest import did_you_mean, listed
from revetl_dbt.project.manifest import BLOCK, RELATIONS, Manifest, Node
from revetl_dbt.project.yamlfile import Key
from revetl_dbt.spec import checks
from revetl_dbt.spec.across import across
from revetl_dbt.spec.declared import Declaration, Declared, declared
from revetl_dbt.spec.locate import Locator, Places
from revetl_dbt.spec.models import Source, Sync, SyncSpec
from revetl_dbt.spec.normalise import column_field, normalise
from revetl_dbt.spec.problem import Problem
from revetl_dbt.spec.reword import reword, value_at

PREFIX = ("config", "meta", BLOCK)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_REQUIRED = ("destination", "object", "key")
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
    """Every sync of a manifest. Columns with one of `pii_tags`, or `meta: {pii: true}`, hold personal data."""
    found = declared(manifest)
    diagnostics = list(_misplaced(found, locator))
    syncs: list[Sync] = []
    for declaration in found.syncs:
        places = _places(declaration, locator)
        sync, problems = _sync(declaration, manifest, places, pii_tags)
        diagnostics += [_diagnostic(declaration, places, problem) for problem in problems]
        if sync is not None:
            syncs.append(sync)
    diagnostics += across(found, syncs, locator)
    return Parsed(tuple(syncs), tuple(diagnostics))


def check_columns(sync: Sync, relation_columns: Collection[str]) -> list[Diagnostic]:
    """The columns that a sync names and the real relation lacks."""
    problems = checks.unknown_columns(sync.name, sync.spec, sync.source.name, relation_columns)
    return [sync.diagnostic(problem) for problem in problems]


def _sync(
    declaration: Declaration, manifest: Manifest, places: Places, pii_tags: Collection[str]
) -> tuple[Sync | None, list[Problem]]:
    """The sync of a declaration, None where it has errors, and its problems in the order of their lines."""
    node, name = declaration.node, declaration.name
    problems = list(checks.check_secrets(name, declaration.block))
    block, malformed = normalise(declaration)
    spec, structural = _validate(block, f"sync `{name}`")
    problems += _beside(malformed, problems)
    problems += _beside(structural, problems)
    if spec is not None:
        problems += _beside(list(_check_meaning(name, spec, node, manifest, pii_tags)), problems)
    problems += [*_check_place(name, node), *_check_name(name), *_twice(name, places)]
    problems.sort(key=lambda problem: places.at(*problem.keys).line or 0)
    if spec is None or any(not problem.warning for problem in problems):
        return None, problems
    return Sync(name, spec, _source(node, manifest), *places.root, places.keys), problems


def _places(declaration: Declaration, locator: Locator) -> Places:
    places = locator.sync(declaration.node, declaration.name)
    keys = dict(places.keys)
    for column, value in declaration.columns.items():
        place = locator.column(declaration.node, column, declaration.name)
        keys.setdefault(("fields", str(column_field(value))), place)
    return Places(places.root, keys, places.twice)


def _validate(block: dict[str, Any], subject: str) -> tuple[SyncSpec | None, list[Problem]]:
    """The spec of a block, and what is wrong with its shape.

    Parts that are wrong are left out of the spec, so that the rest can be checked; None when nothing is left.
    """
    spec, problems = _attempt(block, subject)
    if spec is not None:
        return spec, []
    left: dict[str, Any] = {"destination": _UNKNOWN, "object": _UNKNOWN, "key": (), **deepcopy(block)}
    wrong = problems
    while spec is None and _prune_all(left, wrong):
        left = {"destination": _UNKNOWN, "object": _UNKNOWN, "key": (), **left}
        spec, wrong = _attempt(left, subject)
    return spec, problems


def _attempt(block: dict[str, Any], subject: str) -> tuple[SyncSpec | None, list[Problem]]:
    try:
        return SyncSpec.model_validate(block), []
    except ValidationError as error:
        return None, list(reword(error, SyncSpec, block, subject))


def _prune_all(data: dict[str, Any], wrong: list[Problem]) -> bool:
    gone = [_prune(data, problem.keys) for problem in wrong]
    return any(gone)


def _prune(data: dict[str, Any], keys: tuple[Key, ...]) -> bool:
    """Remove the value under nested keys, or what it belongs to where it is missing or in a list. True when it went."""
    while keys:
        parent = value_at(data, keys[:-1])
        if isinstance(parent, dict) and keys[-1] in parent:
            del parent[keys[-1]]
            return True
        if len(keys) == 1 and keys[0] in _REQUIRED:
            return True  # missing at the top: a stand-in takes its place
        keys = keys[:-1]
    return False


def _check_meaning(
    name: str, spec: SyncSpec, node: Node, manifest: Manifest, pii_tags: Collection[str]
) -> Iterator[Problem]:
    yield from checks.check_spec(name, spec)
    is_column = node.identifier.casefold() in {column.casefold() for column in node.columns}
    yield from checks.check_pii(name, spec, _pii_columns(node, pii_tags), None if is_column else node.identifier)
    if node.contract_enforced and node.columns:
        yield from checks.unknown_columns(name, spec, node.name, list(node.columns))
    yield from _check_key_tests(name, spec, node, manifest)
    if spec.skip_unchanged and "view" in (node.materialized or ""):
        yield Problem(
            "not-repeatable",
            f"Sync `{name}` has `skip_unchanged`, and `{node.name}` is a {node.materialized}: its rows change while dbt"
            " does not build it",
            ("skip_unchanged",),
            hint="Leave it out, or materialize the model as a table",
        )


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
            f"Sync `{name}` stands on `{node.name}`, which is {node.materialized or 'not materialized'}: no relation",
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
    key = _folded(spec.key)
    tests = manifest.tests(node.unique_id)
    constraints = {column.name.casefold(): set(column.constraints) for column in node.columns.values()}
    primary = any("primary_key" in constraints.get(column, ()) for column in key)
    if any(test.kind == "revetl_key" and (test.sync == name or _folded(test.columns) == key) for test in tests):
        return  # the dbt package's test is both
    unique = primary or any(
        test.kind in ("unique", "unique_combination_of_columns") and _folded(test.columns) == key for test in tests
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


def _folded(columns: Iterable[str]) -> set[str]:
    return {column.casefold() for column in columns}


def _pii_columns(node: Node, pii_tags: Collection[str]) -> list[str]:
    tags = set(pii_tags)
    return [column.name for column in node.columns.values() if _marked(column.meta) or tags & set(column.tags)]


def _marked(meta: Mapping[str, Any]) -> bool:
    """True of `pii: true`, and of whatever else somebody writes there (`high`, `email`) that does not say no."""
    value = meta.get("pii")
    return value is not None and str(value).strip().casefold() not in ("", "false", "no", "none", "off", "0")


def _twice(name: str, places: Places) -> Iterator[Problem]:
    for keys in places.twice:
        yield Problem(
            "key-twice", f"`{keys[-1]}` stands twice in sync `{name}`; YAML would keep the last silently", keys
        )


def _beside(problems: list[Problem], known: list[Problem]) -> list[Problem]:
    """Those problems that do not merely follow from a known one at the same keys, above or below them."""
    covered = [problem.keys for problem in known]
    return [
        problem
        for problem in problems
        if not any(problem.keys[: len(keys)] == keys[: len(problem.keys)] for keys in covered)
    ]


def _misplaced(found: Declared, locator: Locator) -> Iterator[Diagnostic]:
    for node, column in found.malformed:
        if column is None:
            wanted = "sync name: {destination: .., object: .., ..}"
            problem = Problem("wrong-type", f"`{BLOCK}` of `{node.name}` is not a mapping", (), wanted)
            yield problem.diagnostic(locator.block(node), *PREFIX)
        else:
            summary = f"`{BLOCK}` of column `{column}` of `{node.name}` is not a mapping"
            problem = Problem("wrong-type", summary, (), "sync name: destination field")
            yield problem.diagnostic(locator.column(node, column), "columns", column, *PREFIX)
    for orphan in found.orphans:
        problem = Problem(
            "unknown-sync",
            f"Column `{orphan.column}` maps a field of `{orphan.sync}`, no sync of `{orphan.node.name}`",
            (),
            listed(orphan.known),
            did_you_mean(orphan.sync, orphan.known),
        )
        yield problem.diagnostic(
            locator.column(orphan.node, orphan.column, orphan.sync), "columns", orphan.column, *PREFIX, orphan.sync
        )


def _source(node: Node, manifest: Manifest) -> Source:
    raw = node.raw
    return Source(
        unique_id=node.unique_id,
        name=node.name,
        relation_name=node.relation_name or "",
        database=raw.get("database"),
        schema=str(raw.get("schema") or ""),
        identifier=node.identifier,
        columns=tuple(column.name for column in node.columns.values()),
        original_file_path=node.original_file_path,
        owner=manifest.owner(node),
        group=node.group,
    )


def _diagnostic(declaration: Declaration, places: Places, problem: Problem) -> Diagnostic:
    return problem.diagnostic(places.at(*problem.keys), *PREFIX, declaration.name)
