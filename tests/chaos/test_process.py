"""Real processes, started from nothing: killed, and asked to stop."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from .seeds import lanes, seed
from .world import BATCH, TESTS, WORKERS, World, world

pytestmark = pytest.mark.xdist_group("process")

ROWS = 60
CODE = "from revetl_dbt.cli.main import main; main()"
SLOW = {"vendor": "http", "method": "PUT", "kind": "delay"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("process") / "shop") as made:
        yield made


@pytest.fixture
def fresh(shop: World) -> World:
    """Sixty people who were never sent."""
    shop.clear()
    shop.declare("people")
    shop.edit(
        f"create table people as select n::integer as id, null as email, 'Ann ' || n as name from range({ROWS}) r(n)"
    )
    return shop


def started(shop: World, *arguments: str) -> subprocess.Popen[str]:
    """`revetl run` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", CODE, "run", *arguments],
        cwd=shop.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(TESTS.parent), "COLUMNS": "200"},
    )


def until(happens: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def stopped(
    process: subprocess.Popen[str], number: signal.Signals, meanwhile: Callable[[], None] = lambda: None
) -> tuple[str, float]:
    """What it said after a signal, and the seconds that it took to end; `meanwhile` is done once it has heard."""
    began = time.monotonic()
    process.send_signal(number)
    assert process.stdout is not None
    assert any("Stopping" in line for line in process.stdout)
    meanwhile()
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 1, said
    return said, time.monotonic() - began


def rest(shop: World) -> None:
    """The next run sends what is left, and nothing else is left behind."""
    shop.sandbox.set_faults([])
    process = started(shop)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert shop.held() == sorted(({"id": n, "name": f"Ann {n}"} for n in range(ROWS)), key=json.dumps)
    assert not shop.journals()
    assert shop.query("select * from main_revetl.revetl_leases") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_in_order(fresh: World, number: signal.Signals) -> None:
    """Batches in flight are finished and recorded; nothing is sent again."""
    fresh.sandbox.set_faults([{**SLOW, "seconds": 120, "nth": tuple(range(4, ROWS))}])
    process = started(fresh)
    until(lambda: fresh.sandbox.received >= 3)
    _, seconds = stopped(process, number, meanwhile=lambda: fresh.sandbox.set_faults([]))
    assert seconds < 10
    (result,) = json.loads((fresh.state / "run_results.json").read_text())["results"]
    held = fresh.held()
    assert 0 < len(held) < ROWS
    assert result["counts"]["accepted"] == len(held)
    assert result["counts"]["not_attempted"] == ROWS - len(held)
    ((table,),) = fresh.query("select ledger from main_revetl.revetl_syncs")
    assert fresh.query(f"select count(*) from {table}") == [(len(held),)]
    assert not fresh.journals()
    assert fresh.query("select * from main_revetl.revetl_leases") == []
    rest(fresh)
    assert fresh.records_sent() == ROWS


def test_a_vendor_that_does_not_answer_holds_no_process(fresh: World) -> None:
    """After a signal, what is in flight has seven seconds; then the next run settles it."""
    fresh.sandbox.set_faults([{**SLOW, "seconds": 60, "nth": 3}, {**SLOW, "seconds": 0.05}])
    process = started(fresh)
    until(lambda: fresh.sandbox.received >= 4)
    said, seconds = stopped(process, signal.SIGTERM)
    assert seconds < 10
    assert "1 batches had no answer within 7 s" in said
    assert fresh.query("select * from main_revetl.revetl_leases") == []
    assert len(fresh.journals()) == 1
    rest(fresh)
    assert fresh.records_sent() <= ROWS + WORKERS * BATCH


@pytest.mark.parametrize("lane", lanes(2))
def test_kill(fresh: World, lane: int) -> None:
    """At any time from the first request on."""
    dice = random.Random(seed(lane))
    fresh.sandbox.set_faults([{**SLOW, "seconds": 0.02}])
    process = started(fresh)
    until(lambda: fresh.sandbox.received >= 1)
    time.sleep(dice.uniform(0, 0.25))
    process.kill()
    process.communicate()
    rest(fresh)
    assert fresh.records_sent() <= ROWS + WORKERS * BATCH
