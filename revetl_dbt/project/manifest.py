"""target/manifest.json as plain JSON: the nodes, their meta, their tests.

Written by dbt Core 1.8 to 1.12 (schema v12) and by dbt v2 alike; unknown keys are ignored, missing ones have defaults.
The schema: https://schemas.getdbt.com/dbt/manifest/v12.json
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from revetl_dbt.errors import Diagnostic, InputError
from revetl_dbt.project.yamlfile import shown

OLDEST_SCHEMA, NEWEST_SCHEMA = 12, 12  # dbt 1.6 wrote v10, 1.7 v11, and 1.8 to 2.x write v12
NEWEST_DBT = 2  # the major version
BLOCK = "revetl"  # the key under config.meta
RELATIONS = ("model", "snapshot", "seed")
_PARSE = (
    "Run `dbt parse` (or `dbt build`) in the project first, with the same --target and --target-path, or use --parse"
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column that the YAML declares."""

    name: str
    meta: Mapping[str, Any]
    tags: tuple[str, ...]
    constraints: tuple[str, ...]  # their types: not_null, unique, primary_key, ...


@dataclass(frozen=True, slots=True)
class DataTest:
    """A data test or unit test: what it checks and how much its failure matters."""

    unique_id: str
    name: str
    kind: str | None  # unique, not_null, ...; None for a singular test
    columns: tuple[str, ...]
    severity: str  # error or warn
    sync: str | None = None  # of our own tests: the sync that they are about


@dataclass(frozen=True, slots=True)
class Node:
    """A resource of the project, read from its JSON object in the manifest."""

    unique_id: str
    raw: Mapping[str, Any]
    columns: Mapping[str, Column] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.raw.get("name") or self.unique_id.rsplit(".", 1)[-1])

    @property
    def resource_type(self) -> str:
        return str(self.raw.get("resource_type") or self.unique_id.split(".", 1)[0])

    @property
    def package(self) -> str:
        return str(self.raw.get("package_name") or "")

    @property
    def version(self) -> str | None:
        version = self.raw.get("version")
        return None if version is None else str(version)

    @property
    def config(self) -> Mapping[str, Any]:
        return _mapping(self.raw.get("config"))

    @property
    def meta(self) -> Mapping[str, Any]:
        return _mapping(self.config.get("meta")) or _mapping(self.raw.get("meta"))

    @property
    def relation_name(self) -> str | None:
        return self.raw.get("relation_name") or None

    @property
    def identifier(self) -> str:
        """The relation's name within its schema."""
        return str(self.raw.get("alias") or self.raw.get("identifier") or self.name)

    @property
    def materialized(self) -> str | None:
        return self.config.get("materialized")

    @property
    def contract_enforced(self) -> bool:
        contract = _mapping(self.config.get("contract")) or _mapping(self.raw.get("contract"))
        return contract.get("enforced") is True

    @property
    def original_file_path(self) -> str:
        return str(self.raw.get("original_file_path") or "")

    @property
    def patch_path(self) -> str | None:
        """The YAML file that describes the node, relative to the root of its package."""
        path = self.raw.get("patch_path")
        return path.split("://", 1)[-1] if isinstance(path, str) and path else None

    @property
    def group(self) -> str | None:
        return self.config.get("group") or self.raw.get("group") or None

    def declares(self) -> bool:
        """True when the node, or a column of it, has a `revetl` block."""
        return BLOCK in self.meta or any(BLOCK in column.meta for column in self.columns.values())


class Manifest:
    """A parsed manifest.json."""

    def __init__(self, raw: Mapping[str, Any], path: Path) -> None:
        """`raw` is the JSON object, `path` where it was read."""
        self.raw = raw
        self.path = path
        self.metadata = _mapping(raw.get("metadata"))

    @classmethod
    def read(cls, path: Path, project: str | None = None) -> Manifest:
        """Read a manifest and check that it is one, of this project (by name) and not too old.

        Raises InputError: `manifest-missing`, `manifest-unreadable`, `manifest-too-old`, `manifest-of-another-project`.
        """
        try:
            raw = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise InputError.single(
                "manifest-missing", f"No {path.name} in `{shown(path.parent)}`", hint=_PARSE
            ) from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
            raise InputError.single(
                "manifest-unreadable", f"Cannot read the manifest: {reason}", path=shown(path), hint=_PARSE
            ) from None
        if not isinstance(raw, dict) or not isinstance(raw.get("nodes"), dict):
            raise InputError.single(
                "manifest-unreadable",
                "The file is not a dbt manifest: it has no `nodes`",
                path=shown(path),
                hint=_PARSE,
            )
        manifest = cls(raw, path)
        manifest._check_schema()
        if project is not None:
            manifest._check_project(project)
        return manifest

    @property
    def project_name(self) -> str | None:
        return self.metadata.get("project_name")

    @property
    def dbt_version(self) -> str | None:
        return self.metadata.get("dbt_version")

    @property
    def adapter_type(self) -> str | None:
        return self.metadata.get("adapter_type")

    @property
    def invocation_id(self) -> str | None:
        return self.metadata.get("invocation_id")

    @property
    def generated_at(self) -> str | None:
        return self.metadata.get("generated_at")

    def node(self, unique_id: str) -> Node | None:
        """The node with this id (`model.shop.orders`), or None; sources and exposures are nodes too."""
        for section in ("nodes", "sources", "exposures"):
            raw = _mapping(self.raw.get(section)).get(unique_id)
            if isinstance(raw, Mapping):
                return self._node(unique_id, raw)
        return None

    def declaring(self) -> Iterator[Node]:
        """Every enabled node with a `revetl` block of its own or on a column, in the order of the manifest."""
        for section in ("nodes", "sources", "exposures"):
            for unique_id, raw in _mapping(self.raw.get(section)).items():
                # Cheap enough for thousands of nodes: columns are looked at only where some `revetl` can be.
                if isinstance(raw, Mapping) and (raw.get("columns") or raw.get("config") or raw.get("meta")):
                    node = self._node(unique_id, raw)
                    if node.declares():
                        yield node

    def models(self, package: str) -> Iterator[Node]:
        """The enabled models of a package."""
        for unique_id, raw in self.raw["nodes"].items():
            if unique_id.startswith("model.") and _mapping(raw).get("package_name") == package:
                yield self._node(unique_id, raw)

    def children(self, unique_id: str) -> list[str]:
        """The models, snapshots and seeds that read a node."""
        children = _strings(_mapping(self.raw.get("child_map")).get(unique_id))
        return [child for child in children if child.split(".", 1)[0] in RELATIONS]

    def sources(self, unique_id: str) -> set[str]:
        """The sources that a node reads from, directly or through other nodes."""
        seen: set[str] = set()
        pending = [unique_id]
        while pending:
            raw = _mapping(self.raw["nodes"].get(pending.pop()))
            above = set(_strings(_mapping(raw.get("depends_on")).get("nodes"))) - seen
            seen |= above
            pending += above
        return {found for found in seen if found.startswith("source.")}

    def disabled(self) -> Iterator[Node]:
        """Every disabled node with a `revetl` block."""
        for unique_id, versions in _mapping(self.raw.get("disabled")).items():
            for raw in versions if isinstance(versions, list) else [versions]:
                node = self._node(unique_id, _mapping(raw))
                if node.declares():
                    yield node

    def tests(self, unique_id: str) -> tuple[DataTest, ...]:
        """The tests that speak of a node: attached to it, or, for singular and unit tests, depending on it."""
        return self._tests.get(unique_id, ())

    def owner(self, node: Node) -> str | None:
        """The e-mail address, else the name, of the owner of the node's group."""
        for raw in _mapping(self.raw.get("groups")).values():
            group = _mapping(raw)
            if node.group and group.get("name") == node.group:
                owner = _mapping(group.get("owner"))
                email = owner.get("email")
                return (email[0] if isinstance(email, list) and email else email) or owner.get("name") or None
        return None

    def newer(self) -> Iterator[Diagnostic]:
        """A warning when the manifest is of a dbt that this version does not know."""
        major = re.match(r"\d+", self.dbt_version or "")
        if (self._schema or 0) > NEWEST_SCHEMA or (major is not None and int(major[0]) > NEWEST_DBT):
            yield Diagnostic(
                "manifest-unknown-version",
                f"The manifest has schema v{self._schema}, written by dbt {self.dbt_version or 'of unknown version'}",
                shown(self.path),
                expected=f"schema v{NEWEST_SCHEMA} or older (dbt 1.8 to {NEWEST_DBT}.x); newer ones are not tested",
                hint="Look for a newer revetl_dbt; `revetl plan` shows whether all is understood",
                warning=True,
            )

    @cached_property
    def _schema(self) -> int | None:
        match = re.search(r"/manifest/v(\d+)", str(self.metadata.get("dbt_schema_version") or ""))
        return int(match[1]) if match else None

    @cached_property
    def _tests(self) -> dict[str, tuple[DataTest, ...]]:
        found: dict[str, list[DataTest]] = {}
        for section in ("nodes", "unit_tests"):
            for unique_id, raw in _mapping(self.raw.get(section)).items():
                if unique_id.startswith(("test.", "unit_test.")) and isinstance(raw, Mapping):
                    for node_id in _tested(raw):
                        found.setdefault(node_id, []).append(_test(unique_id, raw))
        return {node_id: tuple(tests) for node_id, tests in found.items()}

    @cached_property
    def _mirrors_column_meta(self) -> bool:
        # dbt v2 fills `columns[].meta` of a column without its own with the model's; before dbt 1.10 it is the only
        # place of `meta:` written beside the column's name.
        match = re.match(r"(\d+)\.(\d+)", self.dbt_version or "")
        return match is not None and (int(match[1]), int(match[2])) < (1, 10)

    def _node(self, unique_id: str, raw: Mapping[str, Any]) -> Node:
        columns = {
            str(name): self._column(str(name), _mapping(column))
            for name, column in _mapping(raw.get("columns")).items()
        }
        return Node(unique_id, raw, columns)

    def _column(self, key: str, raw: Mapping[str, Any]) -> Column:
        config = _mapping(raw.get("config"))
        meta = _mapping(config.get("meta"))
        if not meta and self._mirrors_column_meta:
            meta = _mapping(raw.get("meta"))
        tags = [*_strings(config.get("tags")), *_strings(raw.get("tags"))]
        constraints = raw.get("constraints")
        types = [str(_mapping(item).get("type")) for item in constraints] if isinstance(constraints, list) else []
        return Column(str(raw.get("name") or key), meta, tuple(dict.fromkeys(tags)), tuple(types))

    def _check_schema(self) -> None:
        if self._schema is not None and self._schema < OLDEST_SCHEMA:
            raise InputError.single(
                "manifest-too-old",
                f"The manifest has schema v{self._schema}, written by dbt {self.dbt_version or 'of unknown version'}",
                path=shown(self.path),
                expected=f"schema v{OLDEST_SCHEMA} or newer (dbt 1.8 and newer)",
                hint="Upgrade dbt, then run `dbt parse`",
            )

    def _check_project(self, project: str) -> None:
        if self.project_name is not None and self.project_name != project:
            raise InputError.single(
                "manifest-of-another-project",
                f"The manifest is of project `{self.project_name}`, not of `{project}`",
                path=shown(self.path),
                hint=f"{_PARSE}; or point --project-dir or --target-path elsewhere",
            )


def _tested(raw: Mapping[str, Any]) -> list[str]:
    attached = raw.get("attached_node")
    if isinstance(attached, str):
        return [attached]
    return _strings(_mapping(raw.get("depends_on")).get("nodes"))


def _test(unique_id: str, raw: Mapping[str, Any]) -> DataTest:
    metadata = _mapping(raw.get("test_metadata"))
    kwargs = _mapping(metadata.get("kwargs"))
    arguments = {**_mapping(kwargs.get("arguments")), **kwargs}
    columns = _strings(arguments.get("combination_of_columns") or arguments.get("columns")) or _strings(
        raw.get("column_name") or arguments.get("column_name")
    )
    severity = str(_mapping(raw.get("config")).get("severity") or "error").lower()
    name, kind = str(raw.get("name") or unique_id), metadata.get("name")
    return DataTest(unique_id, name, kind, tuple(columns), severity, arguments.get("sync"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _strings(value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)]
