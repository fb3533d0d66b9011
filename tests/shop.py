"""A small dbt project for tests: real files, and the manifest that dbt would write for them, made by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import yaml

from revetl_dbt.errors import Diagnostic, InputError
from revetl_dbt.project.options import Options
from revetl_dbt.spec.load import Loaded, load

PROJECT = """\
name: shop
version: "1.0"
profile: shop
"""
PROFILES = """\
shop:
  target: dev
  outputs:
    dev: {type: duckdb, path: shop.duckdb}
    prod: {type: duckdb, path: "{{ env_var('PROD_DB') }}"}
"""
DESTINATIONS = """\
api:
  outputs:
    dev:
      type: http
      base_url: https://api.example.com
      objects:
        users:
          match: [email, id]
          operations:
            upsert: {path: /users}
            update: {path: /users}
            create: {path: /users}
            delete: {path: "/users/{id}", method: DELETE}
        companies: {operations: {upsert: {path: /companies}}}
        events: {operations: {append: {path: /events}}}
crm:
  outputs:
    dev: {type: hubspot, sandbox: true}
"""
USERS = """\
models:
  - name: users
    config:
      meta:
        revetl:
          users_to_api:
            destination: api
            object: users
            key: user_id
            match: {email: email}
            fields:
              name: full_name
    columns:
      - name: user_id
        data_tests: [unique, not_null]
      - name: email
      - name: full_name
"""


class Shop:
    """Files of a dbt project in a folder; the manifest follows `models/schema.yml`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.target = folder / "target"
        self.manifest: dict[str, Any] = {}
        self.write("dbt_project.yml", PROJECT)
        self.write("profiles.yml", PROFILES)
        self.write("destinations.yml", DESTINATIONS)
        self.write_models(USERS)

    def write(self, path: str, text: str) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def write_models(self, text: str, **node: Any) -> None:
        """Write models/schema.yml and a manifest for it; `node` overrides values of every node."""
        self.write("models/schema.yml", text)
        self.write_manifest(_manifest(yaml.safe_load(text), node))

    def write_sync(self, block: str, columns: str = "", **node: Any) -> None:
        """The sync `s` of the model `users`; `columns` are entries of the model's `columns:`."""
        text = "models:\n  - name: users\n    config:\n      meta:\n        revetl:\n          s:\n"
        text += "".join(f"            {line}\n" for line in block.strip("\n").splitlines())
        if columns:
            text += "    columns:\n" + "".join(f"      {line}\n" for line in columns.strip("\n").splitlines())
        self.write_models(text, **node)

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        self.manifest = manifest
        path = self.write("target/manifest.json", json.dumps(manifest))
        later = path.stat().st_mtime + 10
        os.utime(path, (later, later))

    def write_run_results(self, statuses: dict[str, str], **extra: Any) -> None:
        rows = [{"unique_id": key, "status": status, "message": None} for key, status in statuses.items()]
        args = {"which": "build", **extra}
        results = {"metadata": {"invocation_id": "i1"}, "args": args, "results": rows}
        self.write("target/run_results.json", json.dumps(results))

    def write_sources(self, rows: list[dict[str, Any]]) -> None:
        about = {"generated_at": "2026-01-02T00:00:00.000000Z"}
        self.write("target/sources.json", json.dumps({"metadata": about, "results": rows}))

    def load(self, **options: Any) -> Loaded:
        return load(Options(**options))

    def problems(self, **options: Any) -> list[Diagnostic]:
        """The errors of loading; none when it is fine."""
        try:
            self.load(**options)
        except InputError as error:
            return [item for item in error.diagnostics if not item.warning]
        return []

    def problem(self, **options: Any) -> Diagnostic:
        """The one error of loading."""
        problems = self.problems(**options)
        assert len(problems) == 1, "\n\n".join(item.render() for item in problems) or "no problem"
        return problems[0]

    def marked_line(self, path: str, mark: str = "# <-") -> int:
        """The line of a file that holds a mark, from 1."""
        lines = (self.folder / path).read_text(encoding="utf-8").splitlines()
        return next(number for number, line in enumerate(lines, 1) if mark in line)


def _manifest(properties: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    nodes: dict[str, Any] = {}
    for section in ("models", "seeds", "snapshots"):
        for entry in properties.get(section, []):
            node = {**_node(section[:-1], entry), **overrides}
            nodes[node["unique_id"]] = node
            nodes |= _tests(node["unique_id"], entry)
    return {
        "metadata": {
            "dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json",
            "dbt_version": "1.11.16",
            "project_name": "shop",
            "adapter_type": "duckdb",
            "invocation_id": "i1",
        },
        "nodes": nodes,
        "sources": {},
        "exposures": {},
        "groups": {},
        "disabled": {},
        "child_map": {},
    }


def _node(kind: str, entry: dict[str, Any]) -> dict[str, Any]:
    name = entry["name"]
    columns = {
        column["name"]: {
            "name": column["name"],
            "meta": column.get("config", {}).get("meta", {}),
            "config": column.get("config", {}),
            "tags": column.get("config", {}).get("tags", []),
            "constraints": column.get("constraints", []),
        }
        for column in entry.get("columns", [])
    }
    return {
        "unique_id": f"{kind}.shop.{name}",
        "name": name,
        "resource_type": kind,
        "package_name": "shop",
        "database": "shop",
        "schema": "main",
        "alias": name,
        "relation_name": f'"shop"."main"."{name}"',
        "original_file_path": f"models/{name}.sql",
        "patch_path": "shop://models/schema.yml",
        "config": {"materialized": "table", "meta": {}, **entry.get("config", {})},
        "columns": columns,
    }


def _tests(node: str, entry: dict[str, Any]) -> dict[str, Any]:
    tests = {}
    for column in entry.get("columns", []):
        for kind in column.get("data_tests", []):
            name = f"{kind}_{entry['name']}_{column['name']}"
            tests[f"test.shop.{name}.abc"] = {
                "name": name,
                "resource_type": "test",
                "attached_node": node,
                "column_name": column["name"],
                "test_metadata": {"name": kind, "kwargs": {"column_name": column["name"]}},
                "config": {"severity": "ERROR", "meta": {}},
                "depends_on": {"nodes": [node]},
            }
    return tests
