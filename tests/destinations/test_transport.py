from __future__ import annotations

import gzip
import time
import traceback
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import requests

from revetl_dbt.destinations import transport
from revetl_dbt.destinations.base import (
    DestinationError,
    FatalError,
    RetryableError,
    UnauthorizedError,
    UnknownOutcomeError,
)
from revetl_dbt.destinations.http import Http, HttpConfig
from revetl_dbt.destinations.transport import decode_json, error_json, origin, retry_after, to_json, to_json_lines

from .stub import Answer, OpenGate, Stub

SECRET_PATH = "/hooks/T0/s3cret"


def made(url: str, **more: Any) -> Http:
    settings = {"type": "http", "base_url": url, "objects": {"x": {"operations": {"append": {"path": "/x"}}}}, **more}
    return Http(HttpConfig.model_validate(settings), OpenGate())


def failure(destination: Http) -> DestinationError:
    with pytest.raises(DestinationError) as caught:
        destination.request("POST", "/x", json={})
    return caught.value


def test_errors_name_the_host_only(stub: Stub) -> None:
    stub.answer(Answer(drop=True))
    for url in (stub.url, "http://127.0.0.1:1", stub.url.replace("http:", "https:"), "http://no-such-host.invalid"):
        error = failure(made(url + SECRET_PATH))
        text = str(error) + "".join(traceback.format_exception(error, chain=False)) + repr(error.__cause__)
        assert origin(url) in str(error)
        assert "s3cret" not in text


def test_no_https_is_fatal(stub: Stub) -> None:
    error = failure(made(stub.url.replace("http:", "https:")))
    assert (type(error), error.code) == (FatalError, "tls")
    assert stub.asked == []


def test_no_connection_is_worth_another_try() -> None:
    assert [type(failure(made(f"http://{host}"))) for host in ("127.0.0.1:1", "no-such-host.invalid")] == [
        RetryableError,
        RetryableError,
    ]


def test_redirects_are_not_followed(stub: Stub) -> None:
    stub.answer(Answer(307, headers={"Location": stub.url + "/elsewhere"}))
    assert type(failure(made(stub.url))) is FatalError
    assert len(stub.asked) == 1


@pytest.mark.parametrize(
    ("auth", "credentials"),
    [
        ({"type": "basic", "username": "eve?", "password": "~~>s3cret"}, "ZXZlPzp+fj5zM2NyZXQ="),
        ({"type": "bearer", "token": "issued/by-the-vendor"}, "issued/by-the-vendor"),
    ],
)
def test_credentials_that_are_quoted_are_masked(stub: Stub, auth: dict[str, str], credentials: str) -> None:
    escaped = credentials.replace("/", "\\/")
    stub.answer(Answer(401, b'{"detail": "%b and %b are wrong"}' % (credentials.encode(), escaped.encode())))
    assert str(failure(made(stub.url, auth=auth))).endswith("***** and ***** are wrong")
    assert stub.last.headers["Authorization"].endswith(f" {credentials}")
    stub.answer(Answer(body=credentials.encode()))
    assert made(stub.url, auth=auth).request("GET", "/x").content == credentials.encode()


def test_a_netrc_does_not_replace_credentials(stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login eve password pw\n")
    monkeypatch.setenv("NETRC", str(netrc))
    made(stub.url).request("POST", "/x", json={})
    assert "Authorization" not in stub.last.headers
    made(stub.url, auth={"type": "bearer", "token": "t"}).request("POST", "/x", json={})
    assert stub.last.headers["Authorization"] == "Bearer t"


def test_the_sandbox_is_reached_without_the_proxy(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert made(stub.url, sandbox=True).request("GET", "/x").status_code == 200
    assert type(failure(made(stub.url))) is RetryableError


def test_connections_are_kept_and_closed(stub: Stub) -> None:
    destination = made(stub.url)
    for _ in range(3):
        destination.request("GET", "/x")
    session = destination._session()
    assert destination._session() is session
    destination.close()
    assert destination._session() is not session


def test_an_answer_that_does_not_end_is_unknown(stub: Stub) -> None:
    stub.answer(Answer(parts=repeat(b" ")))
    began = time.monotonic()
    error = failure(made(stub.url, timeout=0.1))
    assert (type(error), error.code) == (UnknownOutcomeError, "endless")
    assert time.monotonic() - began < 10


def test_an_answer_fills_no_memory(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "LARGEST_ANSWER", 1_000_000)
    bomb = gzip.compress(b" " * 50_000_000)
    stub.answer(Answer(body=bomb, headers={"Content-Encoding": "gzip"}))
    assert failure(made(stub.url)).code == "endless"
    stub.answer(Answer(body=b" " * 1_000_000))
    assert made(stub.url).request("GET", "/x").content == b" " * 1_000_000


@pytest.mark.parametrize("secret", ["with-its-line-break\n", "copied-with-a-quote\u201d", "no-text-\udcff"])
def test_a_secret_that_fits_no_header_is_told_and_not_shown(stub: Stub, secret: str) -> None:
    for auth in ({"type": "bearer", "token": secret}, {"type": "headers", "headers": {"X-Key": secret}}):
        error = failure(made(stub.url, auth=auth))
        assert (type(error), error.code) == (FatalError, "header")
        assert secret.strip() not in str(error)
    assert type(failure(made(stub.url, headers={"X-Client": "two\nlines"}))) is FatalError
    assert stub.asked == []


def test_an_address_that_is_none_is_fatal() -> None:
    assert failure(made("http://a..b")).code == "url"


@pytest.fixture
def response() -> requests.Response:
    answer = requests.Response()
    answer.status_code = 429
    return answer


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "30"}, 30.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "yesterday"}, None),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"Retry-After": "Wed, 21 Oct 99999999999999999999 07:28:00 GMT"}, None),
    ],
)
def test_retry_after(response: requests.Response, headers: dict[str, str], seconds: float | None) -> None:
    response.headers.update(headers)
    assert retry_after(response) == seconds


def test_a_success_without_json_is_unknown(response: requests.Response) -> None:
    response.status_code, response._content = 200, b"<html>person@example.com"
    with pytest.raises(UnknownOutcomeError) as caught:
        decode_json(response)
    assert "person@example.com" not in str(caught.value)


@pytest.mark.parametrize("body", [b'{"a": "\xff"}', b"[" * 100_000])
def test_json_that_cannot_be_read_is_no_bug(response: requests.Response, body: bytes) -> None:
    response._content = body
    with pytest.raises(UnknownOutcomeError):
        decode_json(response)
    assert error_json(response) in (None, {"a": "\ufffd"})


def test_a_refusal_is_an_error_and_any_answer_can_be_had(stub: Stub) -> None:
    stub.answer(Answer(401))
    destination = made(stub.url)
    assert type(failure(destination)) is UnauthorizedError
    assert destination.send("GET", "/x").status_code == 401


def test_json() -> None:
    assert to_json({"a": [1, None]}) == b'{"a":[1,null]}'
    assert to_json_lines([{"a": 1}, {"b": "\n"}]) == b'{"a":1}\n{"b":"\\n"}\n'
