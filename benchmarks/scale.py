"""How time and memory grow with the number of rows: a first sync, one of which every hundredth row changed, and one of
which every row is refused."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import rmtree

from benchmarks import sink
from benchmarks.project import Measured, Project
from benchmarks.table import Line

Figures = tuple[float, float]
"""Seconds of a sync, and the peak memory of its process in MB."""
GROWTH = 1.1
"""Memory at most, as a share of what ten times fewer rows take."""


def scale(folder: Path, sizes: Sequence[int]) -> Iterator[Line]:
    """A first sync of each size, and another after 1 % of its rows have changed."""
    firsts: list[Figures] = []
    agains: list[Figures] = []
    for rows in sizes:
        with sink.running() as url:
            project = Project(folder / f"scale-{rows}", url, workers=2, batch=1000)
            project.build(rows)
            firsts.append(_sync(project, {"created": rows}, 0))
            yield _line("First sync", rows, firsts[-1])
            project.build(rows, shift=1)
            agains.append(_sync(project, {"updated": rows // 100}, 0))
            yield _line("1 % changed", rows, agains[-1])
        rmtree(project.folder)
    yield from _growth("First sync", sizes, firsts)
    yield from _growth("1 % changed", sizes, agains)


def rejected(folder: Path, sizes: Sequence[int]) -> Iterator[Line]:
    """A first sync of each size of which the destination refuses every row; the local journal is watched."""
    runs: list[Figures] = []
    for rows in sizes:
        with sink.running(refuse=True) as url:
            project = Project(folder / f"rejected-{rows}", url, workers=2, batch=1000, results=True)
            project.build(rows)
            with project.watched_journal() as largest:
                runs.append(_sync(project, {"rejected": rows}, 1))
        yield _line("Every row rejected", rows, runs[-1])
        yield Line("- largest journal", f"{largest() / 2**20:.1f} MB", "8 MB", largest() < 8 * 2**20)
        rmtree(project.folder)
    yield from _growth("Every row rejected", sizes, runs)


def _sync(project: Project, counts: dict[str, int], exit_code: int) -> Figures:
    """Seconds of the sync and peak memory in MB."""
    run: Measured = project.run()
    assert run.exit_code == exit_code, run.output
    result = project.result()
    for name, rows in counts.items():
        assert result["counts"][name] == rows, result
    return float(result["execution_time"]), run.peak_mb


def _line(what: str, rows: int, figures: Figures) -> Line:
    seconds, peak = figures
    return Line(f"{what}, {rows:,} rows", f"{seconds:.1f} s, {peak:.0f} MB")


def _growth(what: str, sizes: Sequence[int], runs: Sequence[Figures]) -> Iterator[Line]:
    """From each size to the next."""
    measured = list(zip(sizes, runs, strict=True))
    for (small, (time, peak)), (large, (longer, higher)) in itertools.pairwise(measured):
        exponent = math.log(longer / time) / math.log(large / small)
        step = f"- {what}, {small:,} -> {large:,} rows"
        yield Line(f"{step}: exponent of time", f"{exponent:.2f}", "1.1", exponent <= 1.1)
        yield Line(f"{step}: memory", f"{higher / peak:.2f}", f"{GROWTH}", higher <= GROWTH * peak)
