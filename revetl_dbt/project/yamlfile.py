"""A YAML file with the line of each of its keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from revetl_dbt.errors import InputError

Key: TypeAlias = "str | int"

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML without libyaml: the same results, slower
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]


def shown(path: Path) -> Path:
    """The path as messages show it: relative to the current folder where it lies below it."""
    try:
        return path.resolve().relative_to(Path.cwd().resolve())
    except ValueError:
        return path


@dataclass(frozen=True, slots=True)
class Entry:
    """A value in a YAML file: where its key (or list item) stands, its own node, and its key."""

    key: Key
    line: int
    node: yaml.Node


@dataclass(frozen=True, slots=True)
class YamlFile:
    """A parsed YAML file: its data, and its nodes for finding lines."""

    path: Path
    data: Any = field(repr=False)
    root: yaml.Node | None = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> YamlFile:
        """Parse a file. Raises InputError `file-unreadable` or `yaml-syntax`, the latter with the line."""
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise InputError.single("file-unreadable", f"Cannot read the file: {reason}", path=shown(path)) from error
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            data = None if root is None else loader.construct_document(root)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise InputError.single(
                "yaml-syntax",
                f"Not valid YAML: {error.problem or error.context}",
                path=shown(path),
                line=None if mark is None else mark.line + 1,
                hint=_syntax_hint(error.problem),
            ) from None
        except yaml.YAMLError:
            raise InputError.single(
                "yaml-syntax", "Not valid YAML: it holds a control character", path=shown(path)
            ) from None
        finally:
            loader.dispose()
        return cls(path, data, root)

    def line(self, *keys: Key) -> int | None:
        """The line, from 1, of the deepest of these nested keys that the file holds."""
        node, line = self.root, None
        for key in keys:
            entry = next((item for item in entries(node) if item.key == key), None)
            if entry is None:
                break
            node, line = entry.node, entry.line
        return line


def entries(node: yaml.Node | None) -> Iterator[Entry]:
    """The entries of a mapping or sequence node; none of another."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield Entry(_plain(key), key.start_mark.line + 1, value)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield Entry(index, value.start_mark.line + 1, value)


def child(node: yaml.Node | None, key: Key) -> yaml.Node | None:
    """The node under a key, or None."""
    return next((entry.node for entry in entries(node) if entry.key == key), None)


def _plain(key: yaml.Node) -> str:
    return key.value if isinstance(key, yaml.ScalarNode) else ""


def _syntax_hint(problem: str | None) -> str | None:
    if problem and ("unhashable" in problem or "expected" in problem):
        return "Put quotes around a value that starts with `{{`"
    return None
