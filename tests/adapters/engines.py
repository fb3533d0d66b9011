"""The warehouses that the engine's tests run on, beside DuckDB: each in an environment of its own, on a server or
emulator that its runner starts (`on_<name>.py`)."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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
    """A warehouse for tests.

    `files` of `SUITE` are always run on it, the others by `make chaos`. What it fails at is said with the reason, which
    docs/reference/warehouses.md gives too: `without` has files (`file`) and tests (`file::test`) that are not run,
    `cannot` tests that must fail, `may_fail` tests that fail at times. `share` is how many examples are drawn (1: as
    many as on DuckDB), `often` how many of those that REVETL_CHAOS asks for.
    """

    name: str
    environment: str
    files: tuple[str, ...] = SUITE
    share: float = 0.1
    often: float = 1.0
    without: Mapping[str, str] = field(default_factory=dict)
    cannot: Mapping[str, str] = field(default_factory=dict)
    may_fail: Mapping[str, str] = field(default_factory=dict)
    needs: str | None = None  # a program that has to be installed
    least_python: tuple[int, int] = (3, 10)
    slow: bool = False  # runs only where its environment was made on purpose

    @property
    def others(self) -> tuple[str, ...]:
        """The files that take long on it."""
        return tuple(name for name in SUITE if name not in self.files and name not in self.without)

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

    def command(self, folder: Path, files: Iterable[str]) -> list[str]:
        """Runs these tests; data go to `folder`."""
        paths = [str(TESTS / "engine" / f"test_{name}.py") for name in files]
        runner = str(TESTS / "adapters" / f"on_{self.name}.py")
        # Not in the folders of which pytest keeps the newest three: a server's data must not go while it runs.
        quiet = ["-q", "-p", "no:cacheprovider", f"--basetemp={folder.parent / 'tests'}"]
        return [str(self.python), runner, str(folder), *quiet, *paths]

    def variables(self) -> dict[str, str]:
        """The environment variables of its tests."""
        asked = os.environ.get("REVETL_CHAOS")
        tried = self.share if asked is None else float(asked) * self.often
        return {**os.environ, "REVETL_CHAOS": str(tried), "REVETL_TEST_ENGINE": self.name}

    def failure(self, test: str) -> pytest.MarkDecorator | None:
        """How a test of a file of `SUITE`, by pytest's name for it, fails here."""
        path, _, name = test.partition("::")
        file = Path(path).stem.removeprefix("test_")
        for one in (f"{file}::{name}", f"{file}::{name.partition('[')[0]}"):
            if one in self.without:
                return pytest.mark.xfail(run=False, reason=self.without[one])
            if one in self.cannot:
                return pytest.mark.xfail(strict=True, reason=self.cannot[one])
            if one in self.may_fail:
                return pytest.mark.xfail(strict=False, reason=self.may_fail[one])
        return None


_IN_ONE_PROCESS = "another process finds none of it"
_GONE = "what it says of a table that is gone is not what dbt-snowflake looks for"
_YEARS = "its driver has no value for a year that Python does not have"
_ALTERED = "a table that is altered keeps, in what the emulator tells of it, the columns that it had"
_RENAMED = "a table that gets another name keeps its old one in the list of tables"
_PATIENCE = "BigQuery's client tries for minutes what the emulator fails at with an error of its own"
_VIEWS = "tables of ours are views, to which nobody can do by hand what is done to a table"
_NO_TYPES = "it has no type for JSON and none for a time of day"
_QUEUE = "the queue is a table whose rows are changed, and nobody can change them there"
_SLOWER = "it is the same program as in process, and slower"
_UNTRIED = "it has not been tried"
_UNKNOWN = "it fails for a reason that is not known yet"
_APPENDS = "two appends to one parquet table at once can undo each other"
_ALONE = dict.fromkeys(("lease_processes", "two_commands"), _IN_ONE_PROCESS)
_SNOWFLAKE = {
    "bad_input::test_a_model_that_was_not_built": _GONE,
    "integrity::test_a_table_that_was_dropped": _GONE,
    "integrity::test_a_plan_finds_it_too": _GONE,
    "state::test_a_baseline_repairs_what_was_damaged": _GONE,
    "rejected::test_a_year_that_most_tools_do_not_know_is_refused_alone": _YEARS,
}
_BIGQUERY = {
    "integrity::test_a_column_that_was_dropped": _ALTERED,
    "integrity::test_several_problems_are_told_at_once": _ALTERED,
    "integrity::test_a_type_that_was_changed_is_changed_back": _ALTERED,
    "integrity::test_columns_that_come_go_and_move_concern_mapped_fields_only": _ALTERED,
    "integrity::test_a_key_whose_values_do_not_fit_its_new_type": _RENAMED,
    "integrity::test_a_table_that_another_was_taking_the_place_of": _RENAMED,
    "integrity::test_a_key_whose_type_changed_keeps_its_rows[integer-varchar]": _RENAMED,
    "integrity::test_a_key_whose_type_changed_keeps_its_rows[varchar-integer]": _RENAMED,
    "state::test_a_large_ledger_goes_page_by_page": _RENAMED,
    "renamed::test_a_renamed_sync_keeps_its_ledger_though_its_key_has_another_type": _RENAMED,
    "format::test_format_1_is_brought_forward": _ALTERED,
    "format::test_format_2_is_brought_forward": _ALTERED,
    "format::test_a_migration_that_was_killed_begins_anew": _ALTERED,
    "format::test_two_runs_may_begin_at_once[format 1]": _ALTERED,
    "state::test_refused_rows_move_too": _RENAMED,
}
_BIGQUERY_LOCAL = (
    "local::test_the_file_takes_the_place_of_the_warehouse",
    "local::test_a_ledger_moves_there_and_back_and_nothing_is_sent_again",
)
_SPARK = {
    "integrity::test_a_column_that_was_dropped": _VIEWS,
    "integrity::test_several_problems_are_told_at_once": _VIEWS,
    "integrity::test_a_key_that_stands_twice": _VIEWS,
    "integrity::test_a_type_that_was_changed_is_changed_back": _VIEWS,
    "state::test_a_baseline_repairs_what_was_damaged": _VIEWS,
    "state::test_a_file_that_is_not_whole_changes_nothing": _VIEWS,
    "state::test_every_type_comes_back_as_it_was": _NO_TYPES,
    "format::test_format_1_is_brought_forward": _VIEWS,
    "format::test_format_2_is_brought_forward": _VIEWS,
    "format::test_a_migration_that_was_killed_begins_anew": _VIEWS,
    "format::test_tables_of_format_1_without_a_sync": _VIEWS,
    "format::test_two_runs_may_begin_at_once": _VIEWS,
}

ENGINES = (
    Engine("postgres", ".venv-postgres", files=(*SUITE, "scale")),
    Engine(
        "snowflake",
        ".venv-adapters",
        ("reads", "differences", "hash", "renamed"),
        share=0.5,
        often=0.25,
        without=_ALONE,
        cannot=_SNOWFLAKE,
    ),
    Engine(
        "snowflake_server",
        ".venv-adapters",
        ("journey", "lease_processes"),
        without={name: _SLOWER for name in SUITE if name not in ("journey", "lease_processes", "two_commands")}
        | {"two_commands": _UNTRIED},
    ),
    Engine(
        "bigquery",
        ".venv-bigquery",
        ("journey", "reads", "differences", "hash", "changes"),
        share=0.375,
        often=0.25,
        without={"state::test_every_type_comes_back_as_it_was": _PATIENCE}
        | dict.fromkeys(("lease_processes", "two_commands"), _UNTRIED),
        cannot=_BIGQUERY,
        may_fail=dict.fromkeys(_BIGQUERY_LOCAL, _UNKNOWN),
        least_python=(3, 11),
    ),
    Engine(
        "spark",
        ".venv-spark",
        ("journey", "reads", "renamed", "compact"),
        often=0.05,
        without={**_ALONE, "local": _UNTRIED, "queue": _QUEUE},
        cannot=_SPARK,
        may_fail={"lease::test_of_runs_at_the_same_moment_one_gets_it": _APPENDS},
        needs="java",
        slow=True,
    ),
)

ADAPTERS = ".venv-adapters"


def adapters_python() -> Path:
    """The interpreter with the adapters whose warehouses cannot be run; skips the test where it is not there."""
    python = ROOT / ADAPTERS / "bin" / "python"
    if not python.exists():
        pytest.skip(f"Snowflake, Redshift, Databricks and Trino are in {ADAPTERS}: `make {ADAPTERS}/.ready`")
    return python
