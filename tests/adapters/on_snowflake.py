"""Run pytest on a stand-in for Snowflake: `python tests/adapters/on_snowflake.py FOLDER PYTEST_ARGUMENTS...`.

Runs in the environment `.venv-adapters` (`make .venv-adapters/.ready`). Snowflake's driver is replaced in this process
by one that has an embedded DuckDB run Snowflake's SQL, in memory. The tests find it through REVETL_TEST_PROFILE (see
engine/harness.py).
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import fakesnow
import pytest

OUTPUT: dict[str, Any] = {
    "type": "snowflake",
    "account": "none",
    "user": "none",
    "password": "none",
    "warehouse": "none",
    "database": "REVETL_TESTS",
    "schema": "DBT",
    "threads": 2,
}


def main(arguments: list[str]) -> int:
    with fakesnow.patch():
        os.environ["REVETL_TEST_PROFILE"] = json.dumps(OUTPUT)
        return int(pytest.main(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
