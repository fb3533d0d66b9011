"""Where a sync is declared: the file and line of each of its keys.

dbt's manifest does not say, so the declaration is looked up where dbt found it: in the node's YAML (`patch_path`), in
the `config()` of its file, or in dbt_project.yml.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from revetl_dbt.errors import InputError
from revetl_dbt.project.manifest import BLOCK, Node
from revetl_dbt.project.paths import ProjectFile
from revetl_dbt.project.yamlfile import Entry, Key, YamlFile, child, entries, shown
from revetl_dbt.spec.problem import Place

_SECTIONS = {"model": "models", "snapshot": "snapshots", "seed": "seeds", "source": "sources", "exposure": "exposures"}


@dataclass(frozen=True, slots=True)
class Places:
    """The place of a declaration, and of those of its keys that are known."""

    root: Place
    keys: Mapping[tuple[Key, ...], Place] = field(default_factory=dict)
    twice: tuple[tuple[Key, ...], ...] = ()  # keys that the file holds more than once: YAML keeps the last

    def at(self, *keys: Key) -> Place:
        """The place of the deepest known of these nested keys."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.keys:
                return self.keys[keys[:length]]
        return self.root


class Locator:
    """Finds declarations in the files of a project; reads each file once."""

    def __init__(self, project: ProjectFile) -> None:
        """`project` is the root project; packages are looked up where dbt installs them."""
        self._project = project
        self._files: dict[Path, YamlFile | None] = {}

    def sync(self, node: Node, name: str) -> Places:
        """The places of the sync `name` of a node."""
        for path, block in self._blocks(node):
            found = next((entry for entry in entries(block) if entry.key == name), None)
            if found is not None:
                return _places(path, found)
        own = self._root(node) / node.original_file_path
        line = self._mention(own, name)
        return Places(self.node(node) if line is None else Place(shown(own), line))

    def block(self, node: Node) -> Place:
        """The place of the whole `revetl` block of a node."""
        for path, block in self._blocks(node):
            return Place(shown(path), block.start_mark.line + 1)
        return self.node(node)

    def node(self, node: Node) -> Place:
        """The place of a node: its entry in the YAML, else its own file."""
        path, item = self._item(node)
        if path is not None and item is not None:
            return Place(shown(path), item.start_mark.line + 1)
        own = self._root(node) / node.original_file_path
        return Place(shown(own), self._mention(own, BLOCK))

    def column(self, node: Node, column: str, sync: str | None = None) -> Place:
        """The place of the short form of a mapping at a column."""
        path, item = self._item(node)
        for entry in entries(child(item, "columns")):
            if path is not None and _text(child(entry.node, "name")) == column:
                line = entry.line
                for block in _meta_blocks(entry.node):
                    line = next((inner.line for inner in entries(block) if inner.key == sync), line)
                return Place(shown(path), line)
        return self.node(node)

    def _blocks(self, node: Node) -> Iterator[tuple[Path, yaml.Node]]:
        own = self._root(node) / node.original_file_path
        path, item = self._item(node)
        if path is not None:
            for entry in entries(child(item, "versions")):
                if _text(child(entry.node, "v")) == node.version:
                    yield from ((path, block) for block in _meta_blocks(entry.node))
            yield from ((path, block) for block in _meta_blocks(item))
        if own.suffix not in (".yml", ".yaml") and self._mention(own, BLOCK) is None:
            project = self._project.yaml
            yield from (
                (project.path, block)
                for block in _nested(child(project.root, _SECTIONS.get(node.resource_type, "")), BLOCK)
            )

    def _item(self, node: Node) -> tuple[Path | None, yaml.Node | None]:
        """The YAML file that describes a node, and its entry there."""
        for relative in (node.patch_path, node.original_file_path):
            path = self._root(node) / relative if relative else None
            file = self._read(path) if path and path.suffix in (".yml", ".yaml") else None
            if path is None or file is None:
                continue
            for entry in entries(child(file.root, _SECTIONS.get(node.resource_type, ""))):
                if _text(child(entry.node, "name")) == node.name:
                    return path, entry.node
        return None, None

    def _root(self, node: Node) -> Path:
        if not node.package or node.package == self._project.name:
            return self._project.folder
        return self._project.folder / str(self._project.get("packages-install-path") or "dbt_packages") / node.package

    def _read(self, path: Path) -> YamlFile | None:
        if path not in self._files:
            try:
                self._files[path] = YamlFile.read(path)
            except InputError:  # dbt could read it: it has changed since, and only the line numbers are lost
                self._files[path] = None
        return self._files[path]

    def _mention(self, path: Path, word: str) -> int | None:
        if not path.is_file():
            return None
        pattern = re.compile(rf"\b{re.escape(word)}\b")
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        return next((number for number, line in enumerate(lines, 1) if pattern.search(line)), None)


def _places(path: Path, entry: Entry) -> Places:
    keys: dict[tuple[Key, ...], Place] = {}
    twice: list[tuple[Key, ...]] = []
    file = shown(path)

    def walk(node: yaml.Node, prefix: tuple[Key, ...]) -> None:
        items = list(entries(node))
        twice.extend((*prefix, key) for key, count in Counter(item.key for item in items).items() if count > 1)
        for item in items:
            keys[(*prefix, item.key)] = Place(file, item.line)
            walk(item.node, (*prefix, item.key))

    walk(entry.node, ())
    return Places(Place(file, entry.line), keys, tuple(twice))


def _meta_blocks(item: yaml.Node | None) -> Iterator[yaml.Node]:
    for meta in (child(child(item, "config"), "meta"), child(item, "meta")):
        block = child(meta, BLOCK)
        if block is not None:
            yield block


def _nested(node: yaml.Node | None, key: str) -> Iterator[yaml.Node]:
    for entry in entries(node):
        if entry.key == key:
            yield entry.node
        else:
            yield from _nested(entry.node, key)


def _text(node: yaml.Node | None) -> str | None:
    return node.value if isinstance(node, yaml.ScalarNode) else None
