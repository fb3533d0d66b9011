"""The file and line of a declaration, wherever dbt lets it stand."""

from __future__ import annotations

from typing import Any

import pytest
from shop import PROJECT, Shop

from revetl_dbt.project.manifest import Node
from revetl_dbt.project.paths import ProjectFile
from revetl_dbt.spec.locate import Locator, Places


def locate(shop: Shop, **raw: Any) -> Places:
    node = {"name": "users", "resource_type": "model", "package_name": "shop", "original_file_path": "models/users.sql"}
    locator = Locator(ProjectFile.read(shop.folder))
    return locator.sync(Node("model.shop.users", {**node, **raw}), "s")


def place(places: Places, *keys: str) -> tuple[str, int | None]:
    found = places.at(*keys)
    return str(found.path), found.line


@pytest.mark.parametrize(
    ("kind", "text", "line"),
    [
        (
            "model",
            "models:\n- name: other\n- name: users\n  config:\n    meta:\n      revetl:\n        s: {object: a}",
            7,
        ),
        ("model", "models:\n- name: users\n  meta:\n    revetl:\n      s: {object: a}", 5),
        ("seed", "seeds:\n- name: users\n  config: {meta: {revetl: {s: 1}}}", 3),
        ("snapshot", "snapshots:\n- config: {meta: {revetl: {s: 1}}}\n  name: users", 2),
        ("model", "models:\n- name: users\n  description: no block", 2),
    ],
)
def test_in_a_properties_file(shop: Shop, kind: str, text: str, line: int) -> None:
    shop.write("models/schema.yml", text)
    assert place(locate(shop, resource_type=kind, patch_path="shop://models/schema.yml")) == ("models/schema.yml", line)


def test_at_a_version_of_a_model(shop: Shop) -> None:
    shop.write(
        "models/schema.yml",
        "models:\n- name: users\n  config: {meta: {revetl: {s: 1}}}\n  versions:\n"
        "  - v: 1\n  - v: 2\n    config: {meta: {revetl: {s: 1}}}\n",
    )
    assert place(locate(shop, version=2, patch_path="shop://models/schema.yml")) == ("models/schema.yml", 7)
    assert place(locate(shop, version=1, patch_path="shop://models/schema.yml")) == ("models/schema.yml", 3)


def test_in_the_config_of_the_model_itself(shop: Shop) -> None:
    shop.write("models/users.sql", "{{ config(\n  meta={'revetl': {\n    's': {'object': 'a'}}}\n) }}\nselect 1")
    assert place(locate(shop)) == ("models/users.sql", 3)
    assert place(locate(shop), "object") == ("models/users.sql", 3)


def test_in_the_project_file(shop: Shop) -> None:
    shop.write("models/users.sql", "select 1")
    shop.write("dbt_project.yml", PROJECT + "models:\n  shop:\n    +meta:\n      revetl:\n        s: {object: a}\n")
    assert place(locate(shop), "object") == ("dbt_project.yml", 8)


def test_in_a_package(shop: Shop) -> None:
    shop.write("dbt_packages/crm/models/schema.yml", "models:\n- name: users\n  config: {meta: {revetl: {s: 1}}}")
    found = locate(shop, package_name="crm", patch_path="crm://models/schema.yml")
    assert place(found) == ("dbt_packages/crm/models/schema.yml", 3)


def test_nested_keys_and_keys_that_are_missing(shop: Shop) -> None:
    shop.write(
        "models/schema.yml",
        "models:\n- name: users\n  config:\n    meta:\n      revetl:\n        s:\n          fields:\n"
        "            a: {sql: x}\n          key:\n          - id\n          - day\n",
    )
    found = locate(shop, patch_path="shop://models/schema.yml")
    assert [
        place(found, *keys)[1] for keys in ((), ("fields",), ("fields", "a", "sql"), ("fields", "b"), ("nope",))
    ] == [
        6,
        7,
        8,
        7,
        6,
    ]
    assert found.at("key", 1).line == 11


@pytest.mark.parametrize("text", ["models: [", "- 1", "", "models: {name: users}", "models:\n- users"])
def test_a_file_that_changed_since_dbt_read_it_costs_only_the_line(shop: Shop, text: str) -> None:
    shop.write("models/schema.yml", text)
    shop.write("models/users.sql", "select 1")
    assert place(locate(shop, patch_path="shop://models/schema.yml")) == ("models/users.sql", None)


def test_files_that_are_gone(shop: Shop) -> None:
    assert place(locate(shop, patch_path="shop://models/gone.yml")) == ("models/users.sql", None)
