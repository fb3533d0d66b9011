"""Throughput, latency, memory and start-up of revetl, beside what plain Python can do at most: prints a Markdown table.

python -m benchmarks [throughput|latency|stages|noop|memory|jobs|startup|selection ...]
python -m benchmarks scale|rejected --rows 1000000 10000000
python -m benchmarks reads --rows 1000000
python -m benchmarks plans --adapter duckdb|postgres --rows 1000000 10000000
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import sink
from benchmarks.plans import plans
from benchmarks.project import COLUMNS, Project, measure
from benchmarks.reads import reads
from benchmarks.scale import rejected, scale
from benchmarks.selection import selection
from benchmarks.stages import STAGES
from benchmarks.table import Line

ROWS = 1_000_000
BATCH = 1_000


def throughput(folder: Path) -> Iterator[Line]:
    """First sync of a million rows to a sink that answers at once."""
    with sink.running() as url:
        project = Project(folder / "throughput", url, workers=2, batch=BATCH)
        project.build(ROWS)
        fast, plain = (_ceiling(project, url, 2, encoder) for encoder in ("msgspec", "json"))
        run = project.run()
        seconds = _sync_seconds(project, run.exit_code)
    rate = ROWS / seconds
    yield Line(
        "First sync, 1,000,000 rows x 12 columns, batches of 1,000, 2 workers",
        f"{rate:,.0f} rows/s",
        "150,000",
        rate >= 150_000,
    )
    yield Line(
        "- of the ceiling with the same JSON encoder (msgspec)",
        f"{fast / seconds:.2f} of {ROWS / fast:,.0f}",
        "0.50",
        fast / seconds >= 0.5,
    )
    yield Line("- of the ceiling with the standard library's JSON", f"{plain / seconds:.2f} of {ROWS / plain:,.0f}")
    yield Line("- whole process, dbt's start included", f"{run.wall:.1f} s, {run.cpu:.1f} CPU s, {run.peak_mb:.0f} MB")


def latency(folder: Path) -> Iterator[Line]:
    """The same against a server that takes 50 ms to answer, 8 workers."""
    with sink.running(0.05) as url:
        project = Project(folder / "latency", url, workers=8, batch=BATCH)
        project.build(ROWS)
        best = _ceiling(project, url, 8, "msgspec")
        run = project.run()
        seconds = _sync_seconds(project, run.exit_code)
    yield Line("First sync with 50 ms server latency, 8 workers", f"{ROWS / seconds:,.0f} rows/s")
    yield Line("- of the ceiling", f"{best / seconds:.2f} of {ROWS / best:,.0f}", "0.85", best / seconds >= 0.85)


def stages(folder: Path) -> Iterator[Line]:
    """What each stage of a first sync costs: the records' JSON written by DuckDB, and every value mapped by Python."""
    for mapping, words in (("engine", "DuckDB writes the records"), ("python", "Python maps and encodes each value")):
        with sink.running() as url:
            project = Project(folder / mapping, url, workers=2, batch=BATCH)
            project.build(ROWS)
            seconds = project.stages(mapping)
            rate = ROWS / float(project.result()["execution_time"])
        yield Line(f"Stages of a first sync, 1,000,000 rows: {words}", f"{rate:,.0f} rows/s")
        for stage in STAGES:
            wall, cpu = (1e6 * seconds[clock].get(stage, 0) / ROWS for clock in ("wall", "cpu"))
            yield Line(f"- {stage}", f"{wall:.2f} us a row, {cpu:.2f} us of Python's CPU")


def noop(folder: Path) -> Iterator[Line]:
    """Re-planning a million rows x 10 mapped columns of which none changed."""
    with sink.running() as url:
        project = Project(folder / "noop", url, workers=2, batch=BATCH, columns=10)
        project.build(ROWS)
        assert project.run().exit_code == 0
        seconds, whole = [], []
        for _ in range(3):
            run = project.run()
            assert run.exit_code == 0
            result = project.result()
            assert result["status"] == "no-op", result
            seconds.append(float(result["execution_time"]))
            whole.append(run.wall)
        digest = _md5_seconds(project)
    yield Line(
        "No change, 1,000,000 rows x 10 columns: the sync",
        f"{median(seconds):.2f} s",
        f"{digest:.2f} s (md5)",
        median(seconds) <= digest,
    )
    yield Line("- whole process, dbt's start included", f"{median(whole):.1f} s")


def memory(folder: Path) -> Iterator[Line]:
    """Peak resident memory of the whole process, dbt and DuckDB included."""
    for name, refuse in (("every row accepted", False), ("every row rejected", True)):
        peaks = []
        for rows in (ROWS // 10, ROWS):
            with sink.running(refuse=refuse) as url:
                project = Project(folder / f"memory-{refuse}-{rows}", url, workers=2, batch=BATCH, results=refuse)
                project.build(rows)
                run = project.run()
                assert run.exit_code == int(refuse), run.output
                assert project.result()["counts"]["rejected" if refuse else "accepted"] == rows
            peaks.append(run.peak_mb)
        small, large = peaks
        within = large <= 1.1 * small and large < 350
        yield Line(
            f"Peak memory, {name}, 100,000 -> 1,000,000 rows",
            f"{small:.0f} -> {large:.0f} MB ({large / small:.2f})",
            "1.10, 350 MB",
            within,
        )


def jobs(folder: Path) -> Iterator[Line]:
    """Salesforce's bulk jobs: the local Salesforce is in another process and slower than what is measured."""
    peaks = []
    for rows in (ROWS // 10, ROWS):
        project = Project(folder / f"jobs-{rows}", None)
        project.build(rows)
        with project.sandbox():
            run = project.run()
        assert run.exit_code == 0, run.output
        assert project.result()["counts"]["created"] == rows, project.result()
        peaks.append(run.peak_mb)
    small, large = peaks
    yield Line(
        "Peak memory, Salesforce through Bulk API 2.0, 100,000 -> 1,000,000 rows",
        f"{small:.0f} -> {large:.0f} MB ({large / small:.2f})",
        "1.10, 350 MB",
        large <= 1.1 * small and large < 350,
    )
    yield Line("- whole run of 1,000,000 rows", f"{run.wall:.0f} s, of which {run.cpu:.0f} s of CPU for revetl")


def startup(folder: Path) -> Iterator[Line]:
    """How long a person waits for commands that need no warehouse."""
    project = Project(folder / "startup", "http://127.0.0.1:9")
    project.build(10)
    floor = _best([sys.executable, "-c", "pass"], project.folder)
    for command in (["--help"], ["ls"]):
        seconds = _best([sys.executable, "-m", "revetl_dbt", *command], project.folder) - floor
        yield Line(f"`revetl {command[0]}` over `python -c pass`", f"{seconds:.2f} s", "0.30 s", seconds < 0.3)


def _sync_seconds(project: Project, exit_code: int) -> float:
    assert exit_code == 0
    result = project.result()
    assert result["counts"]["created"] == ROWS, result
    return float(result["execution_time"])


def _ceiling(project: Project, url: str, workers: int, encoder: str) -> float:
    command = [
        sys.executable,
        "-m",
        "benchmarks.ceiling",
        str(project.database),
        url,
        str(workers),
        str(BATCH),
        encoder,
    ]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _md5_seconds(project: Project) -> float:
    """Best of five of an md5 over the concatenated text of the ten columns, in the same engine."""
    import duckdb

    texts = ", ".join(f"coalesce(cast({column} as varchar), '')" for column in ("user_id", *COLUMNS[:9]))
    sql = f"select count(*), max(md5(concat_ws('|', {texts}))) from main.users"
    times = []
    with duckdb.connect(str(project.database), read_only=True, config={"threads": 2}) as connection:
        for _ in range(5):
            started = time.perf_counter()
            connection.execute(sql).fetchall()
            times.append(time.perf_counter() - started)
    return min(times)


def _best(command: list[str], folder: Path) -> float:
    return min(measure(command, folder).wall for _ in range(9))


BENCHMARKS: dict[str, Callable[[Path], Iterator[Line]]] = {
    "throughput": throughput,
    "latency": latency,
    "stages": stages,
    "noop": noop,
    "memory": memory,
    "jobs": jobs,
    "startup": startup,
    "selection": selection,
}


def _scaling(sizes: Sequence[int], adapter: str) -> dict[str, Callable[[Path], Iterator[Line]]]:
    """Those that take long, and are run only when they are named."""
    return {
        "scale": partial(scale, sizes=sizes),
        "rejected": partial(rejected, sizes=sizes),
        "reads": partial(reads, sizes=sizes),
        "plans": partial(plans, sizes=sizes, adapter=adapter),
    }


def main() -> None:
    """Run the benchmarks that are named, or all that take minutes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="all that take minutes, unless named")
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--adapter", choices=("duckdb", "postgres"), default="duckdb", help="of `plans`")
    arguments = parser.parse_args()
    known = BENCHMARKS | _scaling(arguments.rows, arguments.adapter)
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        parser.error(f"{', '.join(unknown)}: not among {', '.join(known)}")
    print("| what | measured | goal | met |\n|---|---|---|---|", flush=True)
    for name in arguments.names or BENCHMARKS:
        with tempfile.TemporaryDirectory(prefix="revetl-bench-") as folder:
            for line in known[name](Path(folder)):
                print(line.render(), flush=True)


if __name__ == "__main__":
    main()
