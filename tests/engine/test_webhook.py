"""The receiver of dbt's webhook: real requests over loopback, signed as dbt signs them."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from revetl_dbt.engine import webhook
from revetl_dbt.engine.webhook import MAX_BODY, Receiver
from revetl_dbt.errors import InputError

SECRET = "a-secret-token"
NOW = dt.datetime(2026, 11, 28, 19, 30, tzinfo=dt.timezone.utc)


def event(
    identity: str = "wev_1", kind: str = "job.run.completed", at: str = "2026-11-28T19:29:35.789265936Z"
) -> bytes:
    """As in dbt's documentation, shortened."""
    data = {"jobId": "123", "runId": "12345", "environmentName": "Production", "runStatus": "Success"}
    return json.dumps({"accountId": 1, "eventId": identity, "timestamp": at, "eventType": kind, "data": data}).encode()


def signed(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@dataclass
class Service:
    url: str = ""
    woken: list[None] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def post(self, body: bytes, signature: str | None, **headers: str) -> int:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=10)
        given = {"Authorization": signature} if signature else {}
        connection.request("POST", "/", body, {**given, **headers})
        status = connection.getresponse().status
        connection.close()
        return status


@pytest.fixture
def service() -> Iterator[Service]:
    found = Service()
    receiver = Receiver(SECRET, lambda: found.woken.append(None), found.told.append, now=lambda: NOW)
    with receiver.listening("127.0.0.1", 0) as found.url:
        yield found


def test_a_job_that_ended_wakes_the_worker(service: Service) -> None:
    assert service.url.startswith("http://127.0.0.1:")
    assert service.post(event(), signed(event())) == 202
    assert len(service.woken) == 1
    assert service.told == ["Webhook: 202, the queue will be looked at"]


@pytest.mark.parametrize(
    ("body", "signature", "status"),
    [
        (event(), None, 401),
        (event(), "", 401),
        (event(), signed(event(), "another secret"), 401),
        (event(), signed(event("wev_2")), 401),
        (event(), "é" * 64, 401),
        (event(kind="job.run.started"), signed(event(kind="job.run.started")), 202),
        (event(at="2026-11-28T18:00:00Z"), signed(event(at="2026-11-28T18:00:00Z")), 400),
        (event(at="yesterday"), signed(event(at="yesterday")), 400),
        (b"[]", signed(b"[]"), 400),
        (b"not JSON", signed(b"not JSON"), 400),
        (b"x" * (MAX_BODY + 1), signed(b"x" * (MAX_BODY + 1)), 413),
    ],
)
def test_what_does_not(service: Service, body: bytes, signature: str | None, status: int) -> None:
    assert service.post(body, signature) == status
    assert service.woken == []
    assert SECRET not in "".join(service.told)


def test_an_event_counts_once(service: Service) -> None:
    assert [service.post(event(), signed(event())) for _ in range(2)] == [202, 409]
    assert service.post(event("wev_2"), signed(event("wev_2"))) == 202
    assert len(service.woken) == 2


def test_other_requests_are_refused(service: Service) -> None:
    connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=10)
    connection.request("GET", "/")
    assert connection.getresponse().status == 501
    chunked = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=10)
    chunked.putrequest("POST", "/")  # refused for its headers: no body is waited for
    chunked.putheader("Transfer-Encoding", "chunked")
    chunked.endheaders()
    assert chunked.getresponse().status == 411
    assert service.woken == []


def test_a_caller_that_is_slow_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "PATIENCE", 0.1)
    slow = Service()
    with Receiver(SECRET, lambda: slow.woken.append(None), slow.told.append, now=lambda: NOW).listening(
        "127.0.0.1", 0
    ) as slow.url:
        host = urlsplit(slow.url)
        with socket.create_connection((str(host.hostname), int(host.port or 0)), timeout=10) as silent:
            silent.sendall(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
            assert slow.post(event(), signed(event())) == 202
            assert silent.recv(100) == b""


def test_an_address_that_is_taken(service: Service) -> None:
    taken = int(urlsplit(service.url).port or 0)
    with (
        pytest.raises(InputError, match="address-unusable"),
        Receiver(SECRET, lambda: None, lambda _: None).listening("192.0.2.1", taken),
    ):
        pass
