"""Run pytest on Snowflake's stand-in as a server: `python tests/adapters/on_snowflake_server.py FOLDER ARGUMENTS...`.

Runs in the environment `.venv-adapters` (`make .venv-adapters/.ready`). Here Snowflake's own driver talks HTTP with
this process, in which an embedded DuckDB runs Snowflake's SQL, in memory; several processes can be at it. The tests
find it through REVETL_TEST_PROFILE (see engine/harness.py).
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fakesnow
from on_snowflake import OUTPUT


@contextmanager
def running(_: Path) -> Iterator[dict[str, Any]]:
    """The dbt output for a server that runs meanwhile, in this process and in memory."""
    with fakesnow.server() as server:
        for name in ("uvicorn.access", "uvicorn.error", "fakesnow.server"):
            logging.getLogger(name).setLevel(logging.WARNING)
        yield OUTPUT | {name: server[name] for name in ("host", "port", "protocol")}


def main(folder: Path, arguments: list[str]) -> int:
    with running(folder) as output:
        environment = os.environ | {"REVETL_TEST_PROFILE": json.dumps(output)}
        return subprocess.call([sys.executable, "-m", "pytest", *arguments], env=environment)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
