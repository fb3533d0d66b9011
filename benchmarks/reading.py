"""What it takes to read a plan's rows in a warehouse: rows a second, and the memory of the process that reads.

    python -m benchmarks.reading FOLDER ROWS

writes a model of so many rows x 10 columns with the warehouse's own SQL, plans its first run, reads the plan as a run
does, and prints as JSON: the seconds of the reading, and the process's peak memory in MB before and after it. FOLDER
has a dbt project. With REVETL_SPARK it starts Spark, which is in session mode, with its data in FOLDER.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.warehouse import Bench

_TYPES = {
    "bigquery": ("string", "int64", "numeric", "datetime"),
    "spark": ("string", "int", "decimal(18, 2)", "timestamp_ntz"),
    "snowflake": ("varchar", "int", "number(18, 2)", "timestamp_ntz"),
}
_MODEL = """
create table {relation} as
with digits as ({digits}),
numbers as (select {number} as i from {from_digits})
select
  i as user_id,
  concat('user', cast(i as {text}), '@example.com') as email,
  concat('First', cast(mod(i, 1000) as {text})) as first_name,
  concat('Last', cast(mod(i, 5000) as {text})) as last_name,
  cast(mod(i, 100) as {whole}) as seats,
  cast(i * 1.25 as {decimal}) as mrr,
  mod(i, 3) = 0 as active,
  cast(concat('2024-01-', cast(10 + mod(i, 20) as {text}), ' 12:34:', cast(10 + mod(i, 50) as {text})) as {time}) as last_seen,
  cast(concat('2024-02-', cast(10 + mod(i, 20) as {text})) as date) as signed_up,
  case when mod(i, 7) = 0 then null else concat('note', cast(i as {text})) end as note
from numbers
where i < {rows}
"""  # noqa: E501


def model(adapter: str, relation: str, rows: int) -> str:
    """The statement that writes the model, in words that all engines have."""
    postgres = ("varchar", "integer", "decimal(18, 2)", "timestamp")
    text, whole, decimal, time = _TYPES.get(adapter, postgres)
    places = range(len(str(rows - 1)))
    return _MODEL.format(
        relation=relation,
        digits=" union all ".join(f"select {n} as d" for n in range(10)),
        number=" + ".join(f"{10**place} * t{place}.d" for place in places),
        from_digits=" cross join ".join(f"digits as t{place}" for place in places),
        rows=rows,
        text=text,
        whole=whole,
        decimal=decimal,
        time=time,
    )


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(folder: Path, rows: int) -> None:
    """Write, plan, read; what it took goes to stdout."""
    if "REVETL_SPARK" in os.environ:
        import_module("on_spark").start(folder)
    bench = Bench(folder)
    schema = bench.session.relation_schema(bench.session.schema)
    statement = model(bench.session.adapter_type, bench.model, rows)
    bench.store.execute([f"create schema if not exists {schema}", statement])
    ledger = bench.ledger()
    (group,) = ledger.write_plan().groups
    before = _peak_mb()
    with bench.timed("read"):
        read = sum(map(len, ledger.pages(group)))
    assert read == rows
    after = _peak_mb()
    bench.session.close()
    print(json.dumps({"seconds": bench.seconds["read"], "before_mb": before, "peak_mb": after}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
