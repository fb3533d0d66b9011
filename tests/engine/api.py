"""A JSON API with people, who are known by their id, and events, which are not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from revetl_dbt.destinations.http import HttpConfig

Record = dict[str, Any]
REFUSED = "Nemo"
BATCH = 5
WORKERS = 2


@dataclass
class Api:
    """What it holds, and what it has heard."""

    url: str = ""
    people: dict[Any, Record] = field(default_factory=dict)
    created: list[Record] = field(default_factory=list)
    events: list[Record] = field(default_factory=list)
    received: int = 0
    requests: int = 0
    refusals: list[int] = field(default_factory=list)  # statuses to answer with, before anything is accepted
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, path: str, records: list[Record]) -> tuple[int, Any]:
        """Status and body."""
        with self.lock:
            self.requests += 1
            if self.refusals:
                return self.refusals.pop(0), {"detail": "told to"}
            self.received += len(records)
            self._store(method, path, [record for record in records if record.get("Name") != REFUSED])
        errors = [f"{REFUSED} is no name" if record.get("Name") == REFUSED else None for record in records]
        results = [{"Id": record["Id"], "error": error} for record, error in zip(records, errors, strict=True)]
        return 200, {"results": results[::-1]}

    def _store(self, method: str, path: str, records: list[Record]) -> None:
        if path == "/events":
            self.events += records
        elif method == "POST":
            self.created += records
        elif method == "DELETE":
            for record in records:
                self.people.pop(record["Id"], None)
        else:
            self.people.update((record["Id"], record) for record in records)


def config(url: str) -> HttpConfig:
    """People are upserted and deleted by id; events are appended, and nothing tells two of them apart."""
    results = {"results": "results", "join": "match", "at": "Id", "error": "error"}
    operations = {
        "upsert": {"path": "/people", "method": "PUT", "body": "array", "batch_size": BATCH, "response": results},
        "delete": {"path": "/people", "method": "DELETE", "body": "array", "batch_size": BATCH},
        "create": {"path": "/people", "method": "POST", "body": "array", "batch_size": BATCH},
        "append": {"path": "/events", "body": "array", "batch_size": BATCH},
    }
    objects = {"people": {"operations": operations}}
    return HttpConfig.model_validate(
        {"type": "http", "base_url": url, "concurrency": WORKERS, "timeout": 10, "objects": objects}
    )


@contextmanager
def serving() -> Iterator[Api]:
    """A running API."""
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            told = api.answer(self.command, self.path, json.loads(body)) if body else (200, {})
            content = json.dumps(told[1]).encode()
            self.send_response_only(told[0])
            self.send_header("Content-Length", str(len(content)))
            if told[0] == 429:
                self.send_header("Retry-After", "0")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - http.server's names

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except ConnectionError:
                self.close_connection = True

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
