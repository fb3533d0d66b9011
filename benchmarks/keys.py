"""Many keys in one DuckDB file: `python -m benchmarks.keys FOLDER ROWS`.

The plan of a first run, its outcomes in the ledger, a run with no change, and the plan of a run in which a row in a
hundred has changed, over a key and two fields. Prints what each took, and the largest resident size of the process up
to then. The folder, which is to be empty, needs about 200 bytes a row.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.warehouse import ACCOUNT, Bench
from revetl_dbt.warehouse.ledger import Range

FOLDED = 5_000_000
MODEL = "select i as user_id, 'user' || i || '@example.com' as email, {seats} as seats from range(0, {rows}) as t(i)"


def opened(folder: Path) -> Bench:
    """A sync from a DuckDB file in a folder, behind an empty dbt project."""
    output = {"type": "duckdb", "path": str(folder / "keys.duckdb"), "threads": 2}
    (folder / "dbt_project.yml").write_text("name: keys\nversion: 1.0.0\nprofile: keys\n")
    (folder / "profiles.yml").write_text(json.dumps({"keys": {"target": "dev", "outputs": {"dev": output}}}))
    return Bench(folder, ("user_id", "email", "seats"))


def build(bench: Bench, rows: int, seats: str) -> None:
    """The model, made by the engine."""
    query = MODEL.format(rows=rows, seats=seats)
    bench.store.execute([f"drop table if exists {bench.model}", f"create table {bench.model} as {query}"])


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say how long it took."""
    started = time.perf_counter()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what}: {time.perf_counter() - started:.1f} s, {peak:.0f} MB", flush=True)


def main() -> None:
    """The life of the sync."""
    folder, rows = Path(sys.argv[1]), int(sys.argv[2])
    bench = opened(folder)
    with timed("model"):
        build(bench, rows, "i % 100")
    with timed("first plan"):
        (group,) = bench.ledger().write_plan().groups
    assert group.rows == rows
    with timed("its outcomes recorded"):
        for start in range(group.seq_from, group.seq_to + 1, FOLDED):
            end = min(start + FOLDED - 1, group.seq_to)
            bench.ledger().fold([Range("create", start, end)], [], "bench")
    bench.store.set_plan("users", ACCOUNT, "first")
    bench.ledger().drop_plan()
    with timed("no change"):
        assert bench.ledger().settled_rows() == rows
    with timed("model with 1 % changed"):
        build(bench, rows, "case when i % 100 = 0 then 100 else i % 100 end")
    with timed("plan of 1 %"):
        plan = bench.ledger().write_plan()
    assert (plan.count("update"), plan.model_rows) == (rows // 100, rows)
    print(f"file: {(folder / 'keys.duckdb').stat().st_size / 2**30:.1f} GiB")
    bench.session.close()


if __name__ == "__main__":
    main()
