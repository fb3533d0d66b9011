"""The HTTP framework: what it binds to, what it understands, what it refuses."""

from __future__ import annotations

import email.utils
import gzip
import http.client
import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from revetl_dbt.errors import SandboxError
from revetl_dbt.sandbox import Sandbox
from revetl_dbt.sandbox.messages import Request, Response, Router
from revetl_dbt.sandbox.server import check_loopback

from .conftest import Clock


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "192.168.1.10", "8.8.8.8", "::", "example.com", "", "localhost.example.com"]
)
def test_refuses_what_is_not_loopback(tmp_path: Path, host: str) -> None:
    with pytest.raises(SandboxError, match="only to loopback"):
        Sandbox(tmp_path, host=host).start()
    assert not (tmp_path / "server.json").exists()


@pytest.mark.parametrize(
    ("host", "bound"),
    [("localhost", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("127.0.0.9", "127.0.0.9"), ("[::1]", "::1")],
)
def test_takes_loopback_in_all_forms(host: str, bound: str) -> None:
    assert check_loopback(host) == bound


def test_listens_on_the_address_that_it_names(sandbox: Sandbox) -> None:
    assert urlsplit(sandbox.base_url).hostname == "127.0.0.1"
    assert requests.get(sandbox.base_url + "/__sandbox__/health", timeout=5).json()["url"] == sandbox.base_url


def test_a_port_in_use_is_named(sandbox: Sandbox, tmp_path: Path) -> None:
    port = urlsplit(sandbox.base_url).port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SandboxError, match=f"cannot listen on 127.0.0.1:{taken.getsockname()[1]}"):
            Sandbox(tmp_path / "other", port=taken.getsockname()[1]).start()
    assert port


def test_one_connection_serves_many_requests(sandbox: Sandbox) -> None:
    address = urlsplit(sandbox.base_url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
    connection.connect()
    local = connection.sock.getsockname()
    for number in range(5):
        connection.request("POST", "/http/things", json.dumps({"id": number}), {"Content-Type": "application/json"})
        assert connection.getresponse().read() == json.dumps({"id": str(number)}, separators=(",", ":")).encode()
    assert connection.sock.getsockname() == local
    connection.close()


def test_another_host_name_is_refused(sandbox: Sandbox) -> None:
    response = requests.get(sandbox.base_url + "/", headers={"Host": "evil.example.com"}, timeout=5)
    assert response.status_code == 403


def test_chunked_and_compressed_bodies(sandbox: Sandbox) -> None:
    url = sandbox.url("http") + "/things"
    chunked = requests.post(url, data=iter([b'{"id": ', b'"chunked"}']), timeout=5)
    assert chunked.status_code == 201
    zipped = requests.post(
        url, data=gzip.compress(b'{"id": "zipped"}'), headers={"Content-Encoding": "gzip"}, timeout=5
    )
    assert zipped.status_code == 201
    assert [record["id"] for record in requests.get(url, timeout=5).json()] == ["chunked", "zipped"]


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("Content-Length: abc\r\n\r\n", b"Content-Length abc"),
        (f"Content-Length: {10**10}\r\n\r\n", b"Content-Length 10000000000"),
        ("Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"chunks are malformed"),
        ("Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab", b"not gzip"),
    ],
)
def test_a_malformed_request_is_answered_with_400(sandbox: Sandbox, head: str, reason: bytes) -> None:
    address = urlsplit(sandbox.base_url)
    with socket.create_connection(("127.0.0.1", address.port or 0), timeout=5) as connection:
        connection.sendall(f"POST /http/things HTTP/1.1\r\nHost: localhost\r\n{head}".encode())
        with connection.makefile("rb") as stream:
            answer = stream.read()
    assert answer.startswith(b"HTTP/1.1 400")
    assert reason in answer


def test_a_path_of_no_vendor_names_those_there_are(sandbox: Sandbox) -> None:
    response = requests.get(sandbox.base_url + "/nobody/x", timeout=5)
    assert response.status_code == 404
    assert ", ".join(f"/{name}" for name in sandbox.vendors) in response.json()["message"]


def test_routes_match_by_method_and_parts() -> None:
    router = Router()
    router.add("GET PUT", "/{kind:a|b}/{id}", lambda request: Response(data=request.params))
    router.add("GET", "/{all...}", lambda _: Response(204))

    def found(method: str, path: str) -> object:
        request = Request(method, path, {}, {}, b"")
        handler = router.find(request)
        return handler(request).data if callable(handler) else handler

    assert found("PUT", "/a/x%2Fy%20z") == {"kind": "a", "id": "x/y z"}
    assert found("PUT", "/a/x/") == {"kind": "a", "id": "x"}
    assert found("POST", "/a/x") == ["GET", "PUT", "GET"]
    assert found("PUT", "/c/x") == ["GET"]


def test_the_date_header_is_of_the_sandboxs_clock(sandbox: Sandbox, clock: Clock) -> None:
    date = requests.get(sandbox.url("http") + "/things", timeout=5).headers["Date"]
    assert email.utils.parsedate_to_datetime(date).timestamp() == clock.now


def test_a_bug_in_a_stand_in_reaches_the_client(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox.vendors["http"], "handle", lambda _: 1 // 0)
    response = requests.get(sandbox.url("http") + "/things", timeout=5)
    assert response.status_code == 500
    assert "ZeroDivisionError" in response.json()["traceback"]
