"""How time and memory grow with the number of rows: a first sync, one of which every hundredth row changed, and one of
which every row is refused."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import rmtree

from benchmarks import sink
from benchmarks.project import Measured, Project
from benchmarks.table import Line

GROWTH = 1.1
"""Memory at most, as a share of what ten times fewer rows take."""


def scale(folder: Path, sizes: Sequence[int]) -> Iterator[Line]:
    """A first sync of each size, and another after 1 % of its rows have changed."""
    firsts: list[tuple[float, float]] = []
    agains: list[tuple[float, float]] = []
    for rows in sizes:
        with sink.running() as url:
            project = Project(folder / f"scale-{rows}", url, workers=2, batch=1000)
            project.build(rows)
            firsts.append(_sync(project, {"created": rows}, 0))
            project.build(rows, shift=1)
            agains.append(_sync(project, {"updated": rows // 100}, 0))
        rmtree(project.folder)
    yield from _lines("First sync", sizes, firsts)
    yield from _lines("1 % changed", sizes, agains)


def rejected(folder: Path, sizes: Sequence[int]) -> Iterator[Line]:
    """A first sync of each size of which the destination refuses every row; the local journal is watched."""
    peaks: list[tuple[float, float]] = []
    journals: list[int] = []
    for rows in sizes:
        with sink.running(refuse=True) as url:
            project = Project(folder / f"rejected-{rows}", url, workers=2, batch=1000, results=True)
            project.build(rows)
            with project.watched_journal() as largest:
                peaks.append(_sync(project, {"rejected": rows}, 1))
            journals.append(largest())
        rmtree(project.folder)
    yield from _lines("Every row rejected", sizes, peaks)
    for rows, size in zip(sizes, journals, strict=True):
        yield Line(f"- largest journal, {rows:,} rows", f"{size / 2**20:.1f} MB", "8 MB", size < 8 * 2**20)


def _sync(project: Project, counts: dict[str, int], exit_code: int) -> tuple[float, float]:
    """Seconds of the sync and peak memory in MB."""
    run: Measured = project.run()
    assert run.exit_code == exit_code, run.output
    result = project.result()
    for name, rows in counts.items():
        assert result["counts"][name] == rows, result
    return float(result["execution_time"]), run.peak_mb


def _lines(what: str, sizes: Sequence[int], measured: Sequence[tuple[float, float]]) -> Iterator[Line]:
    for rows, (seconds, peak) in zip(sizes, measured, strict=True):
        yield Line(f"{what}, {rows:,} rows", f"{seconds:.1f} s, {peak:.0f} MB")
    for (small, (time, peak)), (large, (longer, higher)) in zip(
        zip(sizes, measured, strict=True), zip(sizes[1:], measured[1:], strict=True), strict=False
    ):
        exponent = math.log(longer / time) / math.log(large / small)
        step = f"- {small:,} -> {large:,} rows"
        yield Line(f"{step}: exponent of time", f"{exponent:.2f}", "1.1", exponent <= 1.1)
        yield Line(f"{step}: memory", f"{higher / peak:.2f}", f"{GROWTH}", higher <= GROWTH * peak)
