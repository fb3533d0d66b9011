"""The HTTP framework under every stand-in: requests, responses, routes and a loopback-only listener."""

from __future__ import annotations

import gzip
import ipaddress
import json
import re
import socket
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from revetl_dbt.errors import SandboxError

JSON_TYPE = "application/json;charset=utf-8"
HTML_TYPE = "text/html; charset=utf-8"
MAX_BODY = 64 * 1024 * 1024
_PATIENCE = 5.0  # seconds that stopping waits for requests at work


class BadRequest(Exception):  # noqa: N818 - a control flow of this package, never shown to a user as an exception
    """The request cannot be understood as HTTP or JSON; `detail` says why, for the vendor to put in its own words."""

    def __init__(self, detail: str, line: int = 1, column: int = 1) -> None:
        self.detail, self.line, self.column = detail, line, column
        super().__init__(detail)


def parsed(text: bytes) -> Any:
    """JSON as RFC 8259 has it: no NaN, no Infinity, no half characters. BadRequest for anything else."""
    try:
        value = json.loads(text, parse_constant=_refuse)
        if b"\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise BadRequest(error.msg, error.lineno, error.colno) from None
    except (UnicodeError, RecursionError) as error:
        raise BadRequest(str(error)) from None
    return value


def _refuse(constant: str) -> None:
    raise BadRequest(f"{constant} is not JSON")


@dataclass
class Request:
    """One request. `path` is relative to the vendor's prefix and percent-encoded; `params` are the decoded path
    parts."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    full_path: str = ""
    params: dict[str, str] = field(default_factory=dict)
    poisoned: Callable[[Mapping[str, Any]], Poisoned | None] = field(default=lambda _: None)
    records: int = 0  # how many records it carried, for the request log

    def json(self) -> Any:
        """The body as JSON; raises BadRequest with the position of the mistake."""
        return parsed(self.body)

    def first(self, name: str, default: str | None = None) -> str | None:
        """The first value of a query parameter."""
        return self.query.get(name, [default])[0]

    def listed(self, name: str) -> list[str]:
        """A query parameter that may be repeated, hold commas, or both."""
        return [part.strip() for value in self.query.get(name, []) for part in value.split(",") if part.strip()]

    def flag(self, name: str) -> bool:
        """Whether a query parameter is `true`."""
        return (self.first(name) or "").lower() == "true"

    def bearer(self) -> str | None:
        """The token of an `Authorization: Bearer` header."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() or None if scheme.lower() == "bearer" else None


@dataclass(frozen=True)
class Poisoned:
    """Why a row must be refused: a fault rule matched one of its values."""

    message: str
    whole_batch: bool = False


@dataclass
class Response:
    """An answer. `data` is encoded as JSON unless `body` is given."""

    status: int = 200
    data: Any = None
    body: bytes | None = None
    content_type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The bytes on the wire."""
        if self.body is not None:
            return self.body
        if self.data is None:
            return b""
        return json.dumps(self.data, ensure_ascii=False, separators=(",", ":")).encode()


def html_response(text: str, status: int = 200) -> Response:
    """A page."""
    return Response(status, body=text.encode(), content_type=HTML_TYPE)


Handler = Callable[[Request], Response]


class Router:
    """Finds the handler for a method and a path such as `/crm/v3/objects/{type}/batch/read`.

    A pattern's `{name}` matches one path part, `{name:regex}` one that has this form, `{name...}` the rest.
    """

    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = []

    def add(self, methods: str, pattern: str, handler: Handler) -> None:
        """Register `handler` for space-separated methods; earlier routes win."""
        expression = re.compile(re.sub(r"\{(\w+)(?::([^}]+)|(\.\.\.))?\}", _group, pattern) + r"/?")
        for method in methods.split():
            self._routes.append((method, expression, handler))

    def find(self, request: Request) -> Handler | Sequence[str]:
        """The handler (with `request.params` set), or the methods that this path does have: none means no such path."""
        others = []
        for method, expression, handler in self._routes:
            match = expression.fullmatch(request.path)
            if match is None:
                continue
            if method == request.method:
                request.params = {name: unquote(value) for name, value in match.groupdict().items()}
                return handler
            others.append(method)
        return others


def _group(match: re.Match[str]) -> str:
    name, form, rest = match.groups()
    return f"(?P<{name}>{'.*' if rest else form or '[^/]+'})"


class Abort(Exception):  # noqa: N818 - a control flow of this package
    """Drop the connection with a TCP reset instead of answering."""


@dataclass
class Reply:
    """What to write: an answer and how to damage it on the way."""

    response: Response
    content_length: int | None = None  # claim this length, then close: a truncated body
    pause: float = 0.0  # seconds between the two halves of the body
    close: bool = False


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
