"""Run pytest on BigQuery's emulator: `python tests/adapters/on_bigquery.py FOLDER PYTEST_ARGUMENTS...`.

Runs in the environment `.venv-bigquery` (`make .venv-bigquery/.ready`). The emulator is a process of its own; FOLDER is
its home, so that it finds DuckDB's extensions, which come as packages, and downloads none. The tests find it through
REVETL_TEST_PROFILE (see engine/harness.py).
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WAIT_SECONDS = 60.0


def at(port: int) -> dict[str, Any]:
    """The dbt output for an emulator at this port."""
    place = {"project": "revetl-tests", "schema": "dbt", "api_endpoint": f"http://127.0.0.1:{port}"}
    return {"type": "bigquery", "method": "oauth-secrets", "token": "none", "threads": 2, **place}


def place_extensions(home: Path) -> None:
    """Put DuckDB's extensions where it looks for those that were installed."""
    duckdb = importlib.metadata.version("duckdb")
    folder = home / ".duckdb" / "extensions" / f"v{duckdb}" / "linux_amd64"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("avro", "icu", "spatial"):
        files = importlib.metadata.files(f"duckdb-extension-{name}") or []
        (found,) = [file for file in files if file.name.endswith(".duckdb_extension")]
        shutil.copy(str(found.locate()), folder)


def free_port() -> int:
    """A port of the loopback interface that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Return once somebody listens."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"The emulator does not listen (exit code {server.poll()})")


@contextmanager
def running(folder: Path) -> Iterator[dict[str, Any]]:
    """The dbt output for an emulator that runs meanwhile."""
    place_extensions(folder)
    port = free_port()
    log = folder / "emulator.log"
    command = [Path(sys.executable).parent / "bqemulator", "start", "--ephemeral", "--rest-port", str(port)]
    with log.open("wb") as sink:
        server = subprocess.Popen(
            [*command, "--grpc-port", "0", "--log-level", "warning"],
            env=os.environ | {"HOME": str(folder)},
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(port, server)
        yield at(port)
    finally:
        server.terminate()
        server.wait(10)


def main(folder: Path, arguments: list[str]) -> int:
    with running(folder) as output:
        environment = os.environ | {"REVETL_TEST_PROFILE": json.dumps(output)}
        return subprocess.call([sys.executable, "-m", "pytest", "-p", "no:bqemulator", *arguments], env=environment)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
