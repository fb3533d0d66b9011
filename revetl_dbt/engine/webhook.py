"""What hears dbt's webhook (https://docs.getdbt.com/docs/deploy/webhooks): a job has ended, so look into the queue.

dbt signs the body with HMAC-SHA256 and puts the digest, in hexadecimal, into the header `Authorization`. It gives up on
an answer after 10 seconds and tries again five times: answers leave at once, the work happens elsewhere. A call says
that there may be something to take and nothing else, so that not even a stolen secret decides what is sent.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from revetl_dbt import __version__
from revetl_dbt.errors import InputError

MAX_BODY = 64 * 1024  # dbt's are below 1 KB
MAX_AGE = dt.timedelta(hours=1)
PATIENCE = 5.0  # seconds that a caller may take for its request
_COMPLETED = "job.run.completed"
_REMEMBERED = 10_000

Answer = tuple[HTTPStatus, str]


class Receiver:
    """Judges calls, and wakes whoever does the work."""

    def __init__(
        self,
        secret: str,
        wake: Callable[[], None],
        tell: Callable[[str], None],
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.timezone.utc),
    ) -> None:
        """`wake` is called for each job that ended, `tell` gets lines for the log."""
        self._secret = secret.encode()
        self._wake = wake
        self._tell = tell
        self._now = now
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, signature: str | None, body: bytes) -> Answer:
        """What a call with this `Authorization` header and body is told."""
        expected = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), (signature or "").strip().encode()):
            return HTTPStatus.UNAUTHORIZED, "the signature is not that of the body"
        try:
            event = json.loads(body)
            identity, kind, moment = event["eventId"], event["eventType"], _moment(event["timestamp"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return HTTPStatus.BAD_REQUEST, "not an event of dbt's webhooks"
        if abs(self._now() - moment) > MAX_AGE:
            return HTTPStatus.BAD_REQUEST, "the event is too old, or a clock is wrong"
        if kind != _COMPLETED:
            return HTTPStatus.ACCEPTED, f"ignored: only {_COMPLETED} matters"
        if not self._is_new(str(identity)):
            return HTTPStatus.CONFLICT, "this event was here before"
        self._wake()
        return HTTPStatus.ACCEPTED, "the queue will be looked at"

    @contextmanager
    def listening(self, host: str, port: int) -> Iterator[str]:
        """Hear calls at an address while the block lasts; gives the URL. Raises InputError `address-unusable`."""
        try:
            server = _server(self, host, port)
        except OSError as error:
            raise InputError.single(
                "address-unusable",
                f"Cannot listen at `{host}` port {port}: {error.strerror or error}",
                field="--host",
                hint="Name an address of this machine and a free port with --host and --port",
            ) from error
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="revetl-webhook", daemon=True)
        thread.start()
        try:
            shown = f"[{host}]" if ":" in host else host
            yield f"http://{shown}:{server.server_address[1]}/"
        finally:
            server.shutdown()
            server.server_close()

    def heard(self, answer: Answer) -> None:
        """Tell the log; never what came in."""
        self._tell(f"Webhook: {answer[0].value}, {answer[1]}")

    def _is_new(self, identity: str) -> bool:
        with self._lock:
            if identity in self._seen:
                return False
            self._seen[identity] = None
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
            return True


def _moment(text: str) -> dt.datetime:
    """dbt writes nanoseconds: 2023-01-31T19:29:35.789265936Z."""
    return dt.datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=dt.timezone.utc)


def _server(receiver: Receiver, host: str, port: int) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE
        server_version = f"revetl/{__version__}"
        sys_version = ""

        def do_POST(self) -> None:
            answer = self._judged()
            receiver.heard(answer)
            text = f"{answer[1]}\n".encode()
            self.send_response(answer[0])
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(text)

        def _judged(self) -> Answer:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal():
                return HTTPStatus.LENGTH_REQUIRED, "the request does not say how long it is"
            if int(length) > MAX_BODY:
                return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too big"
            return receiver.answer(self.headers.get("Authorization"), self.rfile.read(int(length)))

        def log_message(self, *_: Any) -> None:
            """Nothing: `heard` tells what matters."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True

    return Server((host, port), Handler)
