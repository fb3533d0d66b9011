"""What plain Python can do at most: DuckDB rows, JSON, keep-alive POSTs; no mapping, no retries, no ledger.

    python -m benchmarks.ceiling DATABASE URL WORKERS BATCH ENCODER

prints the seconds from the first row read to the last answer. ENCODER is `msgspec` (what revetl uses) or `json` (the
standard library's).
"""

from __future__ import annotations

import http.client
import json
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import duckdb
import msgspec

Rows = list[tuple[Any, ...]]


def encoders() -> dict[str, Callable[[Any], bytes]]:
    """JSON encoders by name."""
    fast = msgspec.json.Encoder(decimal_format="number")
    return {"msgspec": fast.encode, "json": lambda value: json.dumps(value, default=str).encode()}


def work(url: str, names: list[str], encode: Callable[[Any], bytes], batches: queue.Queue[Rows | None]) -> None:
    """Send batches until there are none."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    headers = {"Content-Type": "application/json"}
    while (rows := batches.get()) is not None:
        connection.request("POST", "/users", encode([dict(zip(names, row, strict=True)) for row in rows]), headers)
        connection.getresponse().read()


def main() -> None:
    """Run once."""
    database, url, workers, batch, encoder = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
    connection = duckdb.connect(database, read_only=True)
    started = time.perf_counter()
    cursor = connection.execute("select * from main.users")
    names = [column[0] for column in cursor.description or []]
    batches: queue.Queue[Rows | None] = queue.Queue(2 * workers)
    threads = [threading.Thread(target=work, args=(url, names, encoders()[encoder], batches)) for _ in range(workers)]
    for thread in threads:
        thread.start()
    while rows := cursor.fetchmany(batch):
        batches.put(rows)
    for _ in threads:
        batches.put(None)
    for thread in threads:
        thread.join()
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main()
