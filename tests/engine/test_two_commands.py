"""Two `revetl run` processes at one sync: one of them sends, the other says who that is and since when."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from shop import Shop

from revetl_dbt.sandbox import Sandbox

from .harness import Warehouse, profile

TESTS = Path(__file__).parents[1]
CODE = "from revetl_dbt.cli.main import main; main()"
ROWS = 20
API = {
    "type": "http",
    "sandbox": True,
    "objects": {"events": {"operations": {"append": {"path": "/events", "body": "array", "batch_size": 5}}}},
}
SYNC = {"destination": "api", "object": "events", "mode": "append", "key": "id", "fields": {"name": "name"}}


def started(shop: Shop, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CODE, "run", *arguments],
        cwd=shop.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(TESTS.parent), "COLUMNS": "200"},
    )


def declared(folder: Path, warehouse: Warehouse) -> Shop:
    """A project whose model is a table of the warehouse."""
    output = profile(folder) | {"schema": warehouse.schema}
    if warehouse.is_duckdb:
        output["path"] = warehouse.query("select path from duckdb_databases() where not internal")[0][0]
    shop = Shop(folder)
    shop.write("profiles.yml", json.dumps({"shop": {"target": "dev", "outputs": {"dev": output}}}))
    shop.write("destinations.yml", json.dumps({"api": {"outputs": {"dev": API}}}))
    model = {"name": "people", "config": {"meta": {"revetl": {"events": SYNC}}}, "columns": [{"name": "id"}]}
    relation = warehouse.relation("people")
    place = {"database": relation.split(".")[0].strip('"'), "schema": warehouse.schema, "relation_name": relation}
    shop.write_models(json.dumps({"models": [model]}), **place)
    shop.manifest["metadata"]["adapter_type"] = warehouse.session.adapter_type
    shop.write_manifest(shop.manifest)
    return shop


def test_one_sends_and_the_other_says_who(warehouse: Warehouse, tmp_path: Path) -> None:
    rows = [{"id": str(n), "name": f"'Ann {n}'"} for n in range(ROWS)]
    warehouse.table("people", {"id": "integer", "name": "varchar"}, rows)
    shop = declared(tmp_path / "shop", warehouse)
    warehouse.store.release()
    with Sandbox(shop.target / "revetl" / "sandbox") as sandbox:
        sandbox.set_faults([{"vendor": "http", "method": "POST", "kind": "delay", "seconds": 120, "times": 1}])
        first = started(shop)
        deadline = time.monotonic() + 120
        while not sandbox.fault_state()[0]["hits"]:
            assert time.monotonic() < deadline, "nothing was sent"
            assert first.poll() is None, first.communicate()[0]
            time.sleep(0.01)
        second = started(shop, "--no-write-json")
        said, _ = second.communicate(timeout=120)
        assert second.returncode == 1, said
        holder = rf"pid {first.pid}, since [-\d]+ [\d:.]+ UTC"
        assert re.search(rf"`events` is being sent by another run \(.* {holder}\)", said), said
        sandbox.set_faults([])  # lets go of the request that it holds
        said, _ = first.communicate(timeout=120)
        assert first.returncode == 0, said
        assert sum(row[4] for row in sandbox.tally() if row[0] == "POST") == ROWS
    assert warehouse.query(f"select * from {warehouse.store.tables['revetl_leases']}") == []
