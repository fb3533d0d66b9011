"""A tiny HTTP server that answers what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from typing import Any

from revetl_dbt.destinations.base import Budget


@dataclass
class Asked:
    """A request as it arrived; `path` is raw, percent-encoding included."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False  # close the connection instead
    parts: Iterable[bytes] | None = None  # the body in chunks, until it ends or the client leaves

    def encoded(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()

    def framing(self) -> tuple[str, str]:
        if self.parts is not None:
            return "Transfer-Encoding", "chunked"
        return "Content-Length", str(len(self.encoded()))

    def written(self) -> Iterator[bytes]:
        if self.parts is None:
            yield self.encoded()
        else:
            yield from (b"%x\r\n%b\r\n" % (len(part), part) for part in chain(self.parts, [b""]))


Reply = Answer | Callable[[Asked], Answer]


class Stub:
    """Answers requests in turn from `answers`; the last one is repeated."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[Asked] = []
        self.answers: list[Reply] = [Answer()]

    def answer(self, *answers: Reply) -> None:
        self.answers = list(answers)
        self.asked.clear()

    def next(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        reply = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return reply(asked) if callable(reply) else reply

    @property
    def last(self) -> Asked:
        return self.asked[-1]


@contextmanager
def serving() -> Iterator[Stub]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a body waits for the acknowledgement of its headers

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except ConnectionError:
                self.close_connection = True

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = stub.next(Asked(self.command, self.path, dict(self.headers), body))
            if answer.drop:
                self.close_connection = True
                return
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.status != 204:
                self.send_header(*answer.framing())
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.writelines(answer.written())

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - http.server's names

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stub = Stub(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class OpenGate:
    """Pacing that never waits, and counts."""

    def __init__(self) -> None:
        self.acquired = 0
        self.budgets: list[Budget] = []

    def acquire(self) -> None:
        self.acquired += 1

    def observe(self, budget: Budget) -> None:
        self.budgets.append(budget)
