"""A counting HTTP sink in a process of its own: takes any body, counts requests and bytes, answers `{}` after a
delay."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
_REFUSAL = b"HTTP/1.1 422 Unprocessable\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


class Sink:
    """Counts what it is sent. `delay` in seconds before each answer; `refuse` makes every record a rejected one."""

    def __init__(self, delay: float, refuse: bool) -> None:
        self.delay = delay
        self.refuse = refuse
        self.requests = 0
        self.records = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]

    def serve(self) -> None:
        """Serve until the process ends."""
        while True:
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb", buffering=1 << 20)
        while line := stream.readline():
            head = [line]
            while (more := stream.readline()) not in (b"\r\n", b""):
                head.append(more)
            length = _LENGTH.search(b"".join(head))
            body = stream.read(int(length[1])) if length else b""
            if line.startswith(b"HEAD"):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            elif line.startswith(b"GET"):
                counted = f"{self.requests} {self.records}".encode()
                connection.sendall(_ANSWER % (len(counted), counted))
            else:
                self._take(connection, body)

    def _take(self, connection: socket.socket, body: bytes) -> None:
        records = body.count(b'"email":')
        self.requests += 1
        self.records += records
        if self.delay:
            time.sleep(self.delay)
        if self.refuse:
            answer = b'{"results":[%s]}' % b",".join([b'{"error":"not wanted"}'] * records)
            connection.sendall(_ANSWER % (len(answer), answer))
        else:
            connection.sendall(_ANSWER % (2, b"{}"))


@contextmanager
def running(delay: float = 0.0, *, refuse: bool = False) -> Iterator[str]:
    """A sink in another process; yields its base URL."""
    command = [sys.executable, "-m", "benchmarks.sink", str(delay), str(int(refuse))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Serve, and print the port first."""
    sink = Sink(float(sys.argv[1]), sys.argv[2] == "1")
    print(sink.port, flush=True)
    sink.serve()


if __name__ == "__main__":
    main()
