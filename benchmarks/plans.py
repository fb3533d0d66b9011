"""Plans, reads and folds on a warehouse, beside what the same engine needs to look at the same columns."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any

from benchmarks.project import Project, measure
from benchmarks.table import Line

GOALS = {"duckdb": 1.0, "postgres": 2.5}
"""How many times an md5 the plan of no change may take."""
OUTCOMES = 1_000_000
"""Up to so many rows, each has an id at the destination to be recorded."""


def plans(folder: Path, sizes: Sequence[int], adapter: str) -> Iterator[Line]:
    """The life of a sync at each size."""
    for rows in sizes:
        place = folder / f"{adapter}-{rows}"
        place.mkdir()
        with _output(adapter, place) as output:
            yield from _life(Project(place / "project", "http://127.0.0.1:9", output=output, columns=10), adapter, rows)
        rmtree(place)


def _life(project: Project, adapter: str, rows: int) -> Iterator[Line]:
    named = f"{adapter}, {rows:,} rows x 10 columns"
    project.build(rows)
    seconds, _ = _step(project, "first")
    yield Line(f"First plan, {named}", f"{seconds['first plan']:.2f} s ({_floor(seconds)})")
    seconds, peak = _step(project, "read")
    yield Line("- its rows read page by page", f"{rows / seconds['read']:,.0f} rows/s, {peak:.0f} MB")
    kept = "outcomes" if rows <= OUTCOMES else "fold"
    seconds, peak = _step(project, kept)
    with_ids = "with an id each" if kept == "outcomes" else "without ids"
    yield Line(f"- its outcomes recorded, {with_ids}", f"{rows / seconds['fold']:,.0f} rows/s, {peak:.0f} MB")
    seconds, peak = _step(project, "settled")
    share, goal = seconds["no change"] / seconds["md5"], GOALS[adapter]
    yield Line(
        f"No change, {named}",
        f"{seconds['no change']:.2f} s, {share:.2f} of the md5 ({_floor(seconds)}), {peak:.0f} MB",
        f"{goal}",
        share <= goal,
    )
    project.build(rows, shift=1)
    seconds, peak = _step(project, "changed")
    yield Line(f"1 % changed, {named}", f"{seconds['plan of changes']:.2f} s ({_floor(seconds)}), {peak:.0f} MB")
    yield Line("- the first 10,000 of them recorded", f"{seconds['fold of one flush']:.2f} s")


def _floor(seconds: Mapping[str, float]) -> str:
    return f"scan {seconds['scan']:.2f} s, md5 {seconds['md5']:.2f} s"


def _step(project: Project, name: str) -> tuple[dict[str, float], float]:
    """What a step took, in seconds by name, and its process's peak memory in MB."""
    done = measure([sys.executable, "-m", "benchmarks.warehouse", str(project.folder), name])
    assert done.exit_code == 0, (name, done.output)
    seconds: dict[str, float] = json.loads(done.output.splitlines()[-1])
    return seconds, done.peak_mb


@contextmanager
def _output(adapter: str, folder: Path) -> Iterator[dict[str, Any] | None]:
    """The dbt output to a warehouse of its own; None for the project's DuckDB file."""
    if adapter == "duckdb":
        yield None
        return
    from tests.adapters.on_postgres import running  # in an environment of its own

    with running(folder / "server") as output:
        yield output
