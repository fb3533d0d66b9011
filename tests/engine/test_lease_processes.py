"""Two processes at one warehouse: one of them holds the sync, the other says who, and a dead one holds nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from revetl_dbt.warehouse import store

from .harness import profile

HERE = store.holder().rpartition(" pid ")[0]

TESTS = Path(__file__).parents[1]


class Holder:
    """A process that takes leases; see lease_process.py."""

    def __init__(self, folder: Path, output: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engine.lease_process", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ
            | {"REVETL_TEST_PROFILE": output, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])},
        )

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, order: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{order}\n")
        self.process.stdin.flush()

    def ask(self, order: str) -> str:
        self.tell(order)
        return self.hear()


@pytest.fixture
def holders(tmp_path: Path) -> Iterator[list[Holder]]:
    output = profile(tmp_path)
    if output["type"] != "duckdb":
        output["schema"] = f"leases_{os.getpid()}"
    made = [Holder(tmp_path / name, json.dumps(output)) for name in ("one", "two")]
    for holder in made:
        assert holder.hear() == "ready"
    yield made
    for holder in made:
        holder.process.kill()
        holder.process.communicate()


def test_one_of_two_has_it(holders: list[Holder]) -> None:
    one, two = holders
    for number in range(5):
        for holder, name in ((one, "one"), (two, "two")):
            holder.tell(f"take {name}-{number}")
        answers = {"one": one.hear(), "two": two.hear()}
        (winner,) = (name for name, answer in answers.items() if answer == "done")
        (loser,) = answers.keys() - {winner}
        first, second = (one, two) if winner == "one" else (two, one)
        holder = rf"{re.escape(HERE)} pid {first.process.pid}, since [-\d]+ [\d:.]+ UTC"
        assert re.match(rf"Sync `people` is being sent by another run \({holder}\)", answers[loser]), answers
        assert second.ask(f"renew {loser}-{number}").startswith("The lease of sync `people` was lost")
        assert first.ask(f"renew {winner}-{number}") == "done"
        assert first.ask(f"release {winner}-{number}") == "done"


def test_a_dead_process_holds_nothing(holders: list[Holder]) -> None:
    one, two = holders
    assert one.ask("take one") == "done"
    assert "another run" in two.ask("take two")
    one.process.kill()
    one.process.wait()
    assert two.ask("take two") == "done"
