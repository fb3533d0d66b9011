"""Syncs as dbt exposures, so that dbt's own lineage and docs go on to the tools.

https://docs.getdbt.com/reference/exposure-properties
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from revetl_dbt.project.manifest import Manifest, Node
from revetl_dbt.spec.capabilities import offline
from revetl_dbt.spec.load import Loaded
from revetl_dbt.spec.models import FieldMapping, Sync

META = "revetl_sync"  # not `revetl`, which declares syncs
HEADER = "# Written by `revetl docs exposures`: change the syncs in the models' YAML, not this file.\n"


def exposures(loaded: Loaded) -> list[dict[str, Any]]:
    """One exposure a selected sync, as dbt's YAML wants it."""
    urls = {name: _app_url(loaded, name) for name in loaded.outputs}
    return [_exposure(loaded, sync, urls[sync.spec.destination]) for sync in loaded.syncs]


def as_yaml(found: Sequence[Mapping[str, Any]]) -> str:
    """The text of a properties file."""
    document = _unrendered({"version": 2, "exposures": list(found)})
    return HEADER + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def ownerless(loaded: Loaded) -> list[str]:
    """The selected syncs of whose model no owner is known: exposures need one, and get the project's name."""
    return [sync.name for sync in loaded.syncs if _owner(loaded.project.manifest, sync) is None]


def _app_url(loaded: Loaded, destination: str) -> str | None:
    connector = offline(loaded.outputs[destination])
    try:
        return connector.app_url()
    finally:
        connector.close()


def _exposure(loaded: Loaded, sync: Sync, url: str | None) -> dict[str, Any]:
    manifest, spec = loaded.project.manifest, sync.spec
    kind = loaded.output(sync).config.type
    place = f"{spec.destination}.{spec.object}"
    exposure: dict[str, Any] = {
        "name": re.sub(r"\W", "_", sync.name),
        "label": f"{sync.name} -> {place}",
        "type": "application",
        "description": f"Rows of `{sync.source.name}`, sent to `{spec.object}` of `{spec.destination}` ({kind}).",
        "depends_on": [_reference(manifest, sync)],
        "owner": _owner(manifest, sync) or {"name": loaded.project.file.name},
        "config": {"meta": {META: _summary(sync, kind)}},
    }
    if url is not None:
        exposure["url"] = url
    return exposure


def _reference(manifest: Manifest, sync: Sync) -> str:
    node = manifest.node(sync.source.unique_id)
    assert node is not None  # the sync was read from it
    words = [node.name] if node.package == manifest.project_name else [node.package, node.name]
    version = [] if node.version is None else [f"v={node.version}" if node.version.isdigit() else f"v='{node.version}'"]
    return f"ref({', '.join([*(repr(word) for word in words), *version])})"


def _owner(manifest: Manifest, sync: Sync) -> dict[str, str] | None:
    """The owner of the model's group, else what the model's meta calls its owner."""
    node = manifest.node(sync.source.unique_id)
    known = manifest.owner(node) if node is not None else None
    text = known or (_owner_in_meta(node) if node is not None else None)
    if text is None:
        return None
    return {"email": text} if re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", text) else {"name": text}


def _owner_in_meta(node: Node) -> str | None:
    owner = node.meta.get("owner")
    if isinstance(owner, Mapping):
        owner = owner.get("email") or owner.get("name")
    return str(owner) if owner else None


def _summary(sync: Sync, kind: str) -> dict[str, Any]:
    spec = sync.spec
    return {
        "sync": sync.name,
        "destination": spec.destination,
        "type": kind,
        "object": spec.object,
        "mode": spec.mode.value,
        "on_removed": spec.on_removed.value,
        "key": list(spec.key),
        "match": dict(spec.match),
        "fields": {name: _origin(mapping) for name, mapping in spec.fields.items()},
    }


def _origin(mapping: FieldMapping) -> dict[str, Any]:
    """Where the values of a field come from: a column, an expression, another record or a constant."""
    if mapping.lookup is not None:
        (found_by, column), *_ = mapping.lookup.match.items()
        return {"column": column, "lookup": f"{mapping.lookup.object}.{found_by}"}
    origin = {"column": mapping.column, "sql": mapping.sql, "hash": mapping.hash}
    known = {name: value for name, value in origin.items() if value is not None}
    return known or {"value": mapping.value}


def _unrendered(value: Any) -> Any:
    """The same with braces that dbt would take for Jinja written so that it renders them as they are."""
    if isinstance(value, str):
        return re.sub(r"\{[{%#]", lambda found: f"{{{{ '{found[0]}' }}}}", value)
    if isinstance(value, Mapping):
        return {name: _unrendered(item) for name, item in value.items()}
    return [_unrendered(item) for item in value] if isinstance(value, list) else value
