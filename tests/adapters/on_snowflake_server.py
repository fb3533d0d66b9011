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

import fakesnow
from on_snowflake import OUTPUT


def main(arguments: list[str]) -> int:
    with fakesnow.server() as server:
        for name in ("uvicorn.access", "uvicorn.error", "fakesnow.server"):
            logging.getLogger(name).setLevel(logging.WARNING)
        place = {name: server[name] for name in ("host", "port", "protocol")}
        environment = os.environ | {"REVETL_TEST_PROFILE": json.dumps(OUTPUT | place)}
        return subprocess.call([sys.executable, "-m", "pytest", *arguments], env=environment)


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
