"""HTTP on the loopback interface: a listener and what it reads from and writes to a connection."""

from __future__ import annotations

import gzip
import ipaddress
import re
import socket
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from revetl_dbt.errors import SandboxError
from revetl_dbt.sandbox.messages import Abort, BadRequest, Reply, Request, Response

MAX_BODY = 64 * 1024 * 1024
_PATIENCE = 5.0  # seconds that stopping waits for requests at work


def check_loopback(host: str) -> str:
    """`host` if it is a loopback address (`localhost` becomes 127.0.0.1); otherwise SandboxError."""
    name = "127.0.0.1" if host == "localhost" else host
    try:
        loopback = ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise SandboxError(
            f"The sandbox binds only to loopback addresses, not to `{host}`: it has no TLS and holds copies of "
            "personal data. Use `127.0.0.1`, `localhost` or `::1`"
        )
    return name.strip("[]")


class Listener(ThreadingHTTPServer):
    """A threading HTTP/1.1 server with keep-alive on a loopback address.

    `answer` gets every request and returns a Reply, or raises Abort; `now` is the clock of the `Date` header. Raises
    SandboxError when the address cannot be bound.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(
        self, host: str, port: int, answer: Callable[[Request], Reply], now: Callable[[], float] = time.time
    ) -> None:
        host = check_loopback(host)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.answer = answer
        self.now = now
        self.stopping = threading.Event()
        self.resets: set[socket.socket] = set()
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        self._idle = threading.Condition()
        self._handled = 0
        try:
            super().__init__((host, port), _Connection)
        except OSError as error:
            raise SandboxError(
                f"The sandbox cannot listen on {host}:{port}: {error.strerror or error}. "
                "Choose another port, or 0 for any free one"
            ) from None

    def url(self) -> str:
        """`http://host:port`, no trailing slash."""
        host, port = self.server_address[0], self.server_address[1]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    def server_bind(self) -> None:
        """Bind without the reverse DNS lookup that the standard library does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection and remember it, so that stopping can close it."""
        connection, address = super().get_request()
        with self._open_lock:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """Close a connection: with a reset if it was asked for, with FIN otherwise."""
        with self._open_lock:
            self._open.discard(request)
        if request in self.resets:
            self.resets.discard(request)
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.close()
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what went wrong, unless it is only a client that went away in the middle."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def serve(self) -> None:
        """Accept connections until `stop`; each is served by a thread of its own."""
        while True:
            try:
                connection, address = self.get_request()
            except OSError:
                if self.stopping.is_set():
                    return
                raise
            if self.stopping.is_set():
                connection.close()
                return
            self.process_request(connection, address)

    @contextmanager
    def handling(self) -> Iterator[None]:
        """Around the handling of a request, so that `stop` can wait for it."""
        with self._idle:
            self._handled += 1
        try:
            yield
        finally:
            with self._idle:
                self._handled -= 1
                self._idle.notify_all()

    def stop(self) -> None:
        """Stop accepting, wake sleeping handlers, wait for those at work and close what is open."""
        self.stopping.set()
        with suppress(OSError):  # wakes the thread that accepts
            socket.create_connection((self.server_name, self.server_port), timeout=1).close()
        self.server_close()
        with self._idle:
            self._idle.wait_for(lambda: not self._handled, _PATIENCE)
        with self._open_lock:
            connections = list(self._open)
        for connection in connections:
            with suppress(OSError):  # already closed by the client
                connection.shutdown(socket.SHUT_RDWR)


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: Listener
    server_version = "revetl-sandbox"
    sys_version = ""

    def _serve(self) -> None:
        try:
            request = self._request()
        except BadRequest as error:
            self._write(Reply(Response(400, {"status": "error", "message": error.detail}), close=True))
            return
        if request is None:
            self._write(
                Reply(
                    Response(403, {"status": "error", "message": "Only requests to a loopback host are answered"}),
                    close=True,
                )
            )
            return
        with self.server.handling():
            try:
                self._write(self.server.answer(request))
            except Abort:
                self.server.resets.add(self.connection)
                self.close_connection = True

    def __getattr__(self, name: str) -> Any:
        """Every method is served alike: the standard library asks for do_GET, do_POST and so on."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _request(self) -> Request | None:
        if not self._local_host():
            return None
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(
            method=self.command,
            path=parts.path,
            full_path=parts.path,
            query=parse_qs(parts.query, keep_blank_values=True),
            headers=headers,
            body=_decoded(self._body(headers), headers.get("content-encoding", "")),
        )

    def _local_host(self) -> bool:
        """Whether the Host header names this machine: a web page must not reach us through a name of its own."""
        host = urlsplit("//" + self.headers.get("host", "localhost")).hostname or ""
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._chunks()
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY:
            raise BadRequest(f"Content-Length {length} is not a number of at most {MAX_BODY} bytes")
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            raise BadRequest("The body ended before its Content-Length")
        return body

    def _chunks(self) -> bytes:
        parts, total = [], 0
        while True:
            line = self.rfile.readline(64).split(b";")[0].strip()
            if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", line):
                raise BadRequest("The body's chunks are malformed")
            size = int(line, 16)
            total += size
            if total > MAX_BODY:
                raise BadRequest(f"The body is larger than {MAX_BODY} bytes")
            parts.append(self.rfile.read(size))
            self.rfile.readline(8)
            if size == 0:
                return b"".join(parts)

    def _write(self, reply: Reply) -> None:
        response = reply.response
        body = b"" if response.status in (204, 304) or self.command == "HEAD" else response.encoded()
        self.send_response_only(response.status, responses.get(response.status) or _phrase(response.status))
        self.send_header("Date", self.date_time_string(int(self.server.now())))
        if body:
            self.send_header("Content-Type", response.content_type)
        if response.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body) if reply.content_length is None else reply.content_length))
        for name, value in response.headers.items():
            self.send_header(name, value)
        if reply.close:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if reply.pause:
            half = len(body) // 2
            self.wfile.write(body[:half])
            self.wfile.flush()
            self.server.stopping.wait(reply.pause)
            body = body[half:]
        self.wfile.write(body)
        self.wfile.flush()
        if reply.content_length is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Nothing goes to stderr: the request log is in the store."""


def _phrase(status: int) -> str:
    """The reason of a status that the standard library does not know."""
    return {477: "Migration in Progress", 521: "Web Server Is Down", 524: "A Timeout Occurred"}.get(status, "Unknown")


def _decoded(body: bytes, encoding: str) -> bytes:
    """The body without its content encoding."""
    if encoding.lower() not in ("gzip", "deflate"):
        return body
    try:
        return gzip.decompress(body) if encoding.lower() == "gzip" else zlib.decompress(body)
    except (OSError, EOFError, zlib.error):
        raise BadRequest(f"The body is not {encoding}") from None
