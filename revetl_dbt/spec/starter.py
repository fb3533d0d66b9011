"""A first sync for `revetl init`: which model it reads, what it says, and where it is written down."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import yaml

from revetl_dbt.errors import InputError
from revetl_dbt.nearest import did_you_mean, listed
from revetl_dbt.project.files import writing
from revetl_dbt.project.manifest import BLOCK, Column, Manifest, Node
from revetl_dbt.project.yamlfile import YamlFile, child, entries, shown

_PEOPLE = re.compile(r"customer|contact|user|people|person|lead|member|subscriber|account", re.IGNORECASE)
_EMAIL = re.compile(r"(^|_)e_?mail(_?address)?$", re.IGNORECASE)
_MATERIALIZED = ("table", "view", "incremental", "materialized_view")

# Column names that usually hold what HubSpot's default contact properties are for
# (https://developers.hubspot.com/docs/guides/api/crm/objects/contacts).
_PROPERTIES = {
    "first_name": "firstname",
    "firstname": "firstname",
    "last_name": "lastname",
    "lastname": "lastname",
    "phone": "phone",
    "phone_number": "phone",
    "company": "company",
    "company_name": "company",
    "job_title": "jobtitle",
    "city": "city",
    "country": "country",
    "website": "website",
}


def candidates(manifest: Manifest, package: str, name: str | None) -> list[Node]:
    """The models that a first sync could read, the likeliest first; the named one alone, where there is a name.

    Likely is a model whose YAML has an e-mail column, then one named after people, then one that no other model reads.
    Raises InputError `unknown-model` or `no-model`.
    """
    models = [node for node in manifest.models(package) if node.materialized in _MATERIALIZED]
    if not models:
        raise InputError.single("no-model", "The project has no model with a relation", hint="Write a model first")
    if name is None:
        return sorted(models, key=lambda node: _likeliness(node, manifest), reverse=True)
    found = [node for node in models if node.name == name]
    if not found:
        known = [node.name for node in models]
        raise InputError.single(
            "unknown-model",
            f"The project has no model `{name}` with a relation",
            field="--model",
            expected=listed(known),
            hint=did_you_mean(name, known),
        )
    return found


def with_columns(node: Node, names: Iterable[str]) -> Node:
    """A node with the columns of its relation beside those that its YAML describes."""
    described = {column.lower() for column in node.columns}
    plain = (name.lower() if name.isupper() else name for name in names if name.lower() not in described)
    return replace(node, columns={**node.columns, **{name: Column(name, {}, (), ()) for name in plain}})


def has_email(node: Node) -> bool:
    """True when a column is named like an e-mail address."""
    return _email(node) is not None


def _likeliness(node: Node, manifest: Manifest) -> tuple[bool, bool, bool, int]:
    named = _PEOPLE.search(node.name) is not None
    return has_email(node), not manifest.children(node.unique_id), named, len(node.columns)


def example(node: Node, manifest: Manifest) -> dict[str, object]:
    """The block of a sync that brings the rows of a model to contacts in HubSpot."""
    email = _email(node) or "email"
    fields = {}
    for column in node.columns:
        field = _PROPERTIES.get(column.lower())
        if field and field not in fields:
            fields[field] = column
    return {
        f"{node.name}_to_hubspot": {
            "destination": "hubspot",
            "object": "contacts",
            "key": _key(node, manifest) or email,
            "match": {"email": email},
            "fields": fields or {"lifecyclestage": {"value": "lead"}},
        }
    }


def declare(folder: Path, node: Node, block: dict[str, object]) -> Iterator[str]:
    """Write the block of a model down, and say where.

    A model without YAML gets a file of its own beside it; else the block is inserted after the model's name, `config`
    or `meta`. Where that would not give exactly the old content and the block, it is handed back to be pasted.
    """
    name = next(iter(block))
    if node.patch_path is None:
        path = (folder / node.original_file_path).with_suffix(".yml")
        if not path.exists():
            entry = _dump({"name": node.name, "config": {"meta": {BLOCK: block}}})
            with writing(path):
                path.write_text("models:\n" + _item(entry), encoding="utf-8")
            yield f"Wrote {shown(path)}: sync `{name}`"
            return
    else:
        path = folder / node.patch_path
        if path.is_file():
            text = _inserted(YamlFile.read(path), node, block)
            if text is not None:
                with writing(path), path.open("w", encoding="utf-8", newline="") as file:
                    file.write(text)
                yield f"Added sync `{name}` to {shown(path)}"
                return
    yield f"Paste this under `name: {node.name}` in {shown(path)}:"
    yield ""
    yield from _dump({"config": {"meta": {BLOCK: block}}}).rstrip().splitlines()


def _inserted(file: YamlFile, node: Node, block: dict[str, object]) -> str | None:
    """The text of a file with the block in it, or None when it cannot be put there by adding lines."""
    item = next((entry.node for entry in entries(child(file.root, "models")) if _name(entry.node) == node.name), None)
    parent, missing = _deepest(item)
    if not isinstance(parent, yaml.MappingNode) or parent.flow_style or not parent.value:
        return None
    first = next((key for key, _ in parent.value if parent is item and key.value == "name"), parent.value[0][0])
    # After `name:`, which is one line; before the first key of `config` or `meta`.
    position = first.start_mark.line + (1 if parent is item else 0)
    addition: object = {BLOCK: block}
    for key in reversed(missing):
        addition = {key: addition}
    with file.path.open(encoding="utf-8", newline="") as opened:
        lines = opened.read().splitlines(keepends=True)
    end = "\r\n" if lines[0].endswith("\r\n") else "\n"
    if position == len(lines) and not lines[-1].endswith("\n"):
        lines[-1] += end
    indent = " " * first.start_mark.column
    lines[position:position] = [f"{indent}{line}{end}" for line in _dump(addition).splitlines()]
    text = "".join(lines)
    return text if _holds(text, file, node, block) else None


def _deepest(item: yaml.Node | None) -> tuple[yaml.Node | None, tuple[str, ...]]:
    """The deepest that is there of a model's entry, its `config` and its `meta`, and the keys missing below it."""
    config = child(item, "config")
    meta = child(config, "meta")
    if meta is not None:
        return meta, ()
    return (item, ("config", "meta")) if config is None else (config, ("meta",))


def _holds(text: str, file: YamlFile, node: Node, block: dict[str, object]) -> bool:
    """True when a text is the file's old content and the block, and nothing else has changed."""
    try:
        data = yaml.safe_load(text)
        model = next(model for model in data["models"] if model.get("name") == node.name)
        old = next(model for model in file.data["models"] if model.get("name") == node.name)
        added = model["config"]["meta"].pop(BLOCK)
        if "meta" not in old.get("config", {}):
            del model["config"]["meta"]
        if "config" not in old:
            del model["config"]
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, StopIteration):
        return False
    return added == block and json.dumps(data, default=str) == json.dumps(file.data, default=str)


def _item(text: str) -> str:
    return "".join(f"  {'  ' if number else '- '}{line}\n" for number, line in enumerate(text.splitlines()))


def _dump(data: object) -> str:
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=False, allow_unicode=True)


def _name(node: yaml.Node) -> str | None:
    name = child(node, "name")
    return name.value if isinstance(name, yaml.ScalarNode) else None


def _email(node: Node) -> str | None:
    return min((column for column in node.columns if _EMAIL.search(column)), key=len, default=None)


def _key(node: Node, manifest: Manifest) -> str | None:
    unique = [test.columns[0] for test in manifest.tests(node.unique_id) if test.kind == "unique" and test.columns]
    ids = [column for column in node.columns if column.lower() == "id" or column.lower().endswith("_id")]
    return next(iter([*unique, *ids]), None)
