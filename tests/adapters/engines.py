"""The warehouses that the engine's tests run on, beside DuckDB: each in an environment of its own, on a server or
emulator that its runner starts (`on_<name>.py`)."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
SUITE = (
    "bad_input",
    "changed_since",
    "changes",
    "claims",
    "compact",
    "converge",
    "differences",
    "doubt",
    "faults",
    "format",
    "guards",
    "hash",
    "integrity",
    "journey",
    "lease",
    "lease_processes",
    "local",
    "not_rebuilt",
    "options",
    "read_back",
    "queue",
    "reads",
    "rejected",
    "renamed",
    "state",
    "two_commands",
    "writing",
)
"""The engine's tests that ask the warehouse something: plan, ledger, leases, state. The same on each."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A warehouse for tests. `files` are those of `SUITE` that run on it, `chaos` is how many examples are drawn (1: as
    many as on DuckDB). What a stand-in cannot do is in docs/reference/warehouses.md."""

    name: str
    environment: str
    files: tuple[str, ...] = SUITE
    chaos: str = "0.1"
    needs: str | None = None  # a program that has to be installed
    least_python: tuple[int, int] = (3, 10)
    slow: bool = False  # runs only where its environment was made on purpose

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return ROOT / self.environment / "bin" / "python"

    @property
    def missing(self) -> str | None:
        """Why it cannot run on this machine."""
        if self.needs and shutil.which(self.needs) is None:
            return f"{self.name} needs {self.needs}, which is not installed"
        if sys.version_info < self.least_python:
            return f"{self.name} needs Python {'.'.join(map(str, self.least_python))} or newer"
        if self.slow and not self.python.exists():
            return f"{self.name} takes minutes: `make {self.environment}/.ready` lets it run"
        return None

    def command(self, folder: Path) -> list[str]:
        """Runs its tests; data go to `folder`."""
        files = [str(TESTS / "engine" / f"test_{name}.py") for name in self.files]
        runner = str(TESTS / "adapters" / f"on_{self.name}.py")
        # Not in the folders of which pytest keeps the newest three: a server's data must not go while it runs.
        quiet = ["-q", "-p", "no:cacheprovider", f"--basetemp={folder.parent / 'tests'}"]
        return [str(self.python), runner, str(folder), *quiet, *files]

    def variables(self) -> dict[str, str]:
        """The environment variables of its tests."""
        return {**os.environ, "REVETL_CHAOS": os.environ.get("REVETL_CHAOS", self.chaos)}


ENGINES = (
    Engine("postgres", ".venv-postgres", files=(*SUITE, "scale")),
    Engine("snowflake", ".venv-adapters", ("reads", "differences", "hash", "renamed"), chaos="0.5"),
    Engine("snowflake_server", ".venv-adapters", ("journey", "lease_processes")),
    Engine(
        "bigquery",
        ".venv-bigquery",
        ("journey", "reads", "differences", "hash", "changes"),
        chaos="0.375",
        least_python=(3, 11),
    ),
    Engine("spark", ".venv-spark", ("journey", "reads", "renamed", "compact"), needs="java", slow=True),
)

ADAPTERS = ".venv-adapters"


def adapters_python() -> Path:
    """The interpreter with the adapters whose warehouses cannot be run; skips the test where it is not there."""
    python = ROOT / ADAPTERS / "bin" / "python"
    if not python.exists():
        pytest.skip(f"Snowflake, Redshift, Databricks and Trino are in {ADAPTERS}: `make {ADAPTERS}/.ready`")
    return python
