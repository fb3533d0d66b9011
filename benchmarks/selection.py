"""A dbt project with many models, of which every tenth has a sync: what listing and selecting its syncs costs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.project import Measured, measure
from benchmarks.table import Line

SIZES = (10, 500, 3000)
_CHOICE = ("--select", "tag:t2+")

_FILES = {
    "dbt_project.yml": "{name: large, version: '1.0', profile: large}",
    "profiles.yml": "large: {target: dev, outputs: {dev: {type: duckdb, path: large.duckdb}}}",
    "destinations.yml": "api: {outputs: {dev: {type: http, base_url: 'http://127.0.0.1:9', objects: {people: {}}}}}",
}
_SYNC = "{destination: api, object: people, match: {id: id}, fields: {name: name}}"


def selection(folder: Path) -> Iterator[Line]:
    """Listing syncs without and with dbt's selection, beside `dbt ls`; the last two are whole processes of dbt."""
    for models in SIZES:
        place = folder / f"selection-{models}"
        generate(place, models)
        for what, found in (
            ("`revetl ls`", listing(place)),
            ("`revetl ls --select tag:t2+`", listing(place, *_CHOICE)),
            ("- `dbt ls --select tag:t2+`", dbt_listing(place, *_CHOICE)),
        ):
            assert found.exit_code == 0, found.output
            yield Line(f"{models:,} models: {what}", f"{found.wall:.2f} s, {found.cpu:.2f} CPU s")


def generate(folder: Path, models: int) -> None:
    """Write a project of so many models, in chains of ten, one YAML file for each fifty, and let dbt parse it."""
    (folder / "models").mkdir(parents=True)
    for name, text in _FILES.items():
        (folder / name).write_text(text)
    for number in range(models):
        above = f"{{{{ ref('m{number - 1}') }}}}" if number % 10 else "(select 1 as id, 'a' as name)"
        (folder / "models" / f"m{number}.sql").write_text(f"select id, name from {above}")
    for start in range(0, models, 50):
        entries = "".join(map(_entry, range(start, min(start + 50, models))))
        (folder / "models" / f"models{start}.yml").write_text(f"models:\n{entries}")
    subprocess.run([sys.executable, "-m", "dbt.cli.main", "--quiet", "parse"], cwd=folder, check=True)


def listing(folder: Path, *arguments: str) -> Measured:
    """`revetl ls` with arguments, in a process of its own."""
    return measure([sys.executable, "-m", "revetl_dbt", "ls", "--output", "name", *arguments], folder)


def dbt_listing(folder: Path, *arguments: str) -> Measured:
    """`dbt ls` with arguments, on what dbt keeps of its last parse."""
    return measure([sys.executable, "-m", "dbt.cli.main", "--quiet", "ls", *arguments], folder)


def _entry(number: int) -> str:
    meta = f", meta: {{revetl: {{sync{number}: {_SYNC}}}}}" if number % 10 == 9 else ""
    tests = "[{name: id, data_tests: [unique, not_null]}]"
    return f"  - {{name: m{number}, config: {{tags: [t{number % 7}]{meta}}}, columns: {tests}}}\n"
