"""Whatever stands in a block: reading it ends, with syncs or with problems, and never shows a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from revetl_dbt.project.manifest import Manifest
from revetl_dbt.project.paths import ProjectFile
from revetl_dbt.project.yamlfile import YamlFile
from revetl_dbt.spec.locate import Locator
from revetl_dbt.spec.models import FieldMapping, Lookup, SyncSpec
from revetl_dbt.spec.parse import parse

SECRET = "sk_live_0123456789abcdef"
KEYS = [
    *SyncSpec.model_fields,
    *FieldMapping.model_fields,
    *Lookup.model_fields,
    "max_deletes",
    "min_rows",
    "max_attempts",
]
WORDS = [
    "upsert",
    "append",
    "delete",
    "update",
    "keep",
    "clear",
    "email",
    "Email",
    "users",
    "5%",
    "{{ x }}",
    "",
    "skip",
    SECRET,
]

scalars = st.one_of(st.none(), st.booleans(), st.integers(-1, 3), st.floats(allow_nan=False), st.sampled_from(WORDS))
keys = st.one_of(st.sampled_from(KEYS), st.sampled_from(["email", "Email", "token", "bogus", "0", SECRET]))
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)
mappings = st.fixed_dictionaries(
    {},
    optional={"column": scalars, "value": values, "sql": scalars, "lookup": values, "hash": scalars, "write": scalars},
)
blocks = st.one_of(
    values,
    st.fixed_dictionaries(
        {"destination": st.sampled_from(["api", "crm", SECRET]), "object": st.sampled_from(["users", SECRET])},
        optional={
            "mode": st.sampled_from(["upsert", "update", "create", "append", "delete"]) | scalars,
            "key": st.sampled_from(["email", ["email", "day"]]) | values,
            "match": st.dictionaries(keys, st.just("email"), max_size=2) | values,
            "fields": st.dictionaries(keys, mappings | scalars, max_size=3) | values,
            "guards": values,
            "rejected": values,
            "on_removed": scalars,
            "allow_pii": values,
            "where": scalars,
            "renamed_from": scalars,
        },
    ),
)


def manifest(block: Any, column: Any) -> Manifest:
    node = {
        "name": "users",
        "resource_type": "model",
        "package_name": "shop",
        "relation_name": '"a"."b"."users"',
        "original_file_path": "models/users.sql",
        "patch_path": "shop://models/schema.yml",
        "config": {"materialized": "table", "meta": {"revetl": block}, "contract": {"enforced": True}},
        "columns": {"email": {"name": "email", "config": {"meta": {"revetl": column, "pii": True}}}},
    }
    return Manifest({"metadata": {}, "nodes": {"model.shop.users": node}}, Path("manifest.json"))


@settings(max_examples=400, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["s", "t", "S", "bad name", SECRET]), blocks, max_size=2) | values,
    st.just({}) | values,
)
def test_reading_a_block_ends_with_syncs_or_problems(block: Any, column: Any) -> None:
    folder = Path("/nowhere")
    project = ProjectFile(folder, YamlFile(folder / "dbt_project.yml", {}, None), "shop")
    parsed = parse(manifest(block, column), Locator(project))
    text = "\n".join(item.render() for item in parsed.diagnostics)
    assert SECRET not in text
    declared = block if isinstance(block, dict) else {}
    assert parsed.errors or {sync.name for sync in parsed.syncs} == set(declared)
    for sync in parsed.syncs:
        assert sync.spec.key
        assert SyncSpec.model_validate(sync.spec.model_dump(exclude_unset=True)) == sync.spec
