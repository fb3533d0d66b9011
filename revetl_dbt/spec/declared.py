"""The syncs that a manifest declares, as they were written: names and raw blocks, not yet checked. Quick to import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from revetl_dbt.project.manifest import BLOCK, Manifest, Node


@dataclass(frozen=True, slots=True)
class Declaration:
    """One sync as it was written: the raw block of its node, and the short forms at the node's columns."""

    name: str
    node: Node
    block: Any
    columns: Mapping[str, Any] = field(default_factory=dict)

    def get(self, key: str) -> Any:
        """A raw value of the block, None where there is none."""
        return self.block.get(key) if isinstance(self.block, Mapping) else None

    def text(self, key: str, default: str = "?") -> str:
        """A raw value as text; the default where it is missing or not text."""
        value = self.get(key)
        return value if isinstance(value, str) else default

    def summary(self) -> dict[str, Any]:
        """What `revetl ls` shows, as JSON data."""
        return {
            "name": self.name,
            "unique_id": self.node.unique_id,
            "model": self.node.name,
            "relation": self.node.relation_name,
            "destination": self.text("destination"),
            "object": self.text("object"),
            "mode": self.text("mode", "upsert"),
            "on_removed": self.text("on_removed", "keep"),
            "enabled": self.get("enabled") is not False,
        }


@dataclass(frozen=True, slots=True)
class Orphan:
    """The short form of a mapping at a column, for a sync that the node does not declare."""

    sync: str
    node: Node
    column: str
    known: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Declared:
    """Everything that a manifest declares; `malformed` are blocks that are no mapping, with their column if at one."""

    syncs: tuple[Declaration, ...]
    malformed: tuple[tuple[Node, str | None], ...]
    orphans: tuple[Orphan, ...]


def declared(manifest: Manifest) -> Declared:
    """The declarations of all nodes, in the order of the manifest."""
    syncs: list[Declaration] = []
    malformed: list[tuple[Node, str | None]] = []
    orphans: list[Orphan] = []
    for node in manifest.declaring():
        block = node.meta.get(BLOCK, {})
        if not isinstance(block, Mapping):
            malformed.append((node, None))
            continue
        at_columns, wrong = _at_columns(node)
        malformed += [(node, column) for column in wrong]
        syncs += [Declaration(str(name), node, value, at_columns.pop(str(name), {})) for name, value in block.items()]
        orphans += [
            Orphan(name, node, column, tuple(map(str, block))) for name, found in at_columns.items() for column in found
        ]
    return Declared(tuple(syncs), tuple(malformed), tuple(orphans))


def _at_columns(node: Node) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Sync name: column: its short form; and the columns whose block is no mapping."""
    found: dict[str, dict[str, Any]] = {}
    wrong: list[str] = []
    for column in node.columns.values():
        block = column.meta.get(BLOCK, {})
        if isinstance(block, Mapping):
            for name, value in block.items():
                found.setdefault(str(name), {})[column.name] = value
        else:
            wrong.append(column.name)
    return found, wrong
