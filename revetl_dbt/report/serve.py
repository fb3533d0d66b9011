"""Serves one page on this machine's own address."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from revetl_dbt.errors import InputError

ADDRESS = "127.0.0.1"


def server(path: Path, port: int) -> ThreadingHTTPServer:
    """A server of the page, bound and not yet started; port 0 takes a free one. Raises InputError `port-taken`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.split("?")[0] not in ("/", "/index.html"):
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            body = path.read_bytes()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's word
            pass

    try:
        return ThreadingHTTPServer((ADDRESS, port), Handler)
    except OSError as error:
        raise InputError.single(
            "port-taken", f"Cannot listen on port {port}: {error.strerror}", hint="choose another with --port"
        ) from None


def serve(path: Path, port: int, *, browser: bool, tell: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C. Raises InputError `port-taken`."""
    with server(path, port) as listening:
        url = f"http://{ADDRESS}:{listening.server_port}"
        tell(f"{url}  (Ctrl-C ends it)")
        if browser:
            webbrowser.open(url)
        try:
            listening.serve_forever()
        except KeyboardInterrupt:
            tell("")
