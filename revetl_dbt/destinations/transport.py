"""HTTP for connectors: one keep-alive session a thread, and every failure as a classified error."""

from __future__ import annotations

import email.utils
import math
import os
import ssl
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from revetl_dbt import __version__
from revetl_dbt.destinations.base import (
    BatchRejectedError,
    Budget,
    Destination,
    DestinationError,
    FatalError,
    Gate,
    RateLimitedError,
    RetryableError,
    UnauthorizedError,
    UnknownOutcomeError,
)

CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Environment variables that name a CA bundle, as requests reads them."""

STATUS_ERRORS: Mapping[int, type[DestinationError]] = {
    400: BatchRejectedError,
    401: UnauthorizedError,
    403: FatalError,
    404: FatalError,
    405: FatalError,
    408: RetryableError,
    409: BatchRejectedError,
    413: BatchRejectedError,
    422: BatchRejectedError,
    423: RetryableError,
    425: RetryableError,
    429: RateLimitedError,
    503: RetryableError,
}
"""What a status means where the vendor does not say otherwise. Other 5xx may have been accepted; other 3xx and 4xx are
fatal.
"""

LARGEST_ANSWER = 256 * 2**20
"""Bytes of an answer, decompressed, that are taken into memory. Salesforce's results of one bulk job, the largest that
any connector asks for, repeat the 100 MB that the job was given.
"""
PATIENCE = 10
"""An answer must be whole after so many times the `timeout`, however steadily its parts come in."""
_PART = 8 * 2**10

_MASK = "*****"
_SHORTEST = 8
"""Letters of credentials that are looked for in what a vendor says: fewer may be a word of it."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec says of bytes that are no JSON, are not UTF-8, or are nested too deep."""

_encoder = msgspec.json.Encoder(decimal_format="number")


def to_json(value: Any) -> bytes:
    """`value` as compact UTF-8 JSON; decimals are exact numbers, dates and timestamps ISO 8601."""
    return _encoder.encode(value)


def to_json_lines(values: Sequence[Any]) -> bytes:
    """Newline-delimited JSON: each value as `to_json` writes it, and a line feed."""
    return _encoder.encode_lines(values)


class BearerAuth(AuthBase):
    """`Authorization: Bearer <token>`; the token is asked for at each request, so that it can be renewed."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token()}"
        return request


class NoAuth(AuthBase):
    """A request without credentials in its headers, such as one that asks for a token with those in its body."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


@contextmanager
def before_writing(lacking: str) -> Iterator[None]:
    """Around requests that a write needs first, such as one for a token: with their answers nothing is lost that was
    written, so that what is unknown of them is worth another try. `lacking` says what there is not without them.
    """
    try:
        yield
    except UnknownOutcomeError as error:
        raise RetryableError(
            f"{lacking}: {error}", code=error.code, request_id=error.request_id, retry_after=error.retry_after
        ) from error


class HttpDestination(Destination):
    """A destination behind HTTP: subclasses say where, with what credentials, and what the vendor's errors mean."""

    def __init__(self, config: Any, gate: Gate) -> None:
        super().__init__(config, gate)
        if config.sandbox and not config.base_url:
            raise FatalError("`sandbox: true`, but no sandbox is running: nothing is sent to the vendor instead")
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._lock = threading.Lock()
        self._base_url = self.base_url().rstrip("/")

    @abstractmethod
    def base_url(self) -> str:
        """Scheme and host (and path prefix) that request paths are appended to."""

    def auth(self) -> AuthBase | None:
        """Credentials of every request."""
        return None

    def headers(self) -> Mapping[str, str]:
        """Headers of every request."""
        return {}

    def error(self, response: requests.Response) -> DestinationError:
        """A refused response as an error in the vendor's words; `status_error` gives the class for the status."""
        return status_error(response.status_code)(
            f"{response.status_code} {response.reason}", retry_after=retry_after(response)
        )

    def budget(self, response: requests.Response) -> Budget | None:  # noqa: ARG002
        """What the response says of the vendor's rate limit."""
        return None

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: bytes | str | Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: AuthBase | None = None,
    ) -> requests.Response:
        """Send one request through the gate and return its 2xx response; the arguments are those of `send`.

        Raises what `send` raises, and the DestinationError that `error()` makes of any other status.
        """
        response = self.send(method, path, json=json, data=data, params=params, headers=headers, auth=auth)
        if not 200 <= response.status_code < 300:
            raise self.error(response)
        return response

    def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: bytes | str | Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: AuthBase | None = None,
    ) -> requests.Response:
        """Send one request through the gate and return its response, whatever its status.

        `path` is appended to the base URL, or is a whole URL. `json` is encoded with `to_json`. Raises RetryableError
        when no connection came about, FatalError when none can or the request cannot be written, UnknownOutcomeError
        when no whole answer came.
        """
        content = {"Content-Type": "application/json"} if json is not None else {}
        body = to_json(json) if json is not None else data
        host = origin(self._base_url)
        self.gate.acquire()
        try:
            response = self._session().request(
                method,
                path if path.startswith(("http://", "https://")) else self._base_url + path,
                data=body,
                params=params,
                headers={**content, **(headers or {})},
                auth=auth or self.auth(),
                timeout=self.config.timeout,
                allow_redirects=False,
                stream=True,
            )
            _read_whole(response, self.config.timeout * PATIENCE, host)
            if not 200 <= response.status_code < 300:
                _mask_credentials(response)
        except (requests.RequestException, ValueError) as error:
            # Without the cause: its text holds the whole URL or header, and with it what may be a secret or a personal
            # value.
            raise _transport_error(error, host) from None
        budget = self.budget(response)
        if budget is not None:
            self.gate.observe(budget)
        return response

    def close(self) -> None:
        with self._lock:
            for session in self._sessions:
                session.close()
            self._sessions.clear()
            self._local = threading.local()

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = self._new_session()
            with self._lock:
                self._sessions.append(session)
        return session

    def _new_session(self) -> requests.Session:
        session = new_session(self._base_url, self.config.ca_bundle, direct=self.config.sandbox)
        session.headers.update({"Accept": "application/json", **self.headers()})
        return session


def new_session(url: str, ca_bundle: str | None = None, *, direct: bool = False) -> requests.Session:
    """A session for requests to a URL: certificates are checked, always, and a proxy is asked unless it is `direct`.

    `ca_bundle` comes before the environment's, and that before certifi's. Raises FatalError where it is not there.
    """
    session = requests.Session()
    session.mount("https://", HTTPAdapter(pool_connections=2, pool_maxsize=2))
    session.mount("http://", HTTPAdapter(pool_connections=2, pool_maxsize=2))
    session.headers["User-Agent"] = f"revetl_dbt/{__version__}"
    # Looked up once: requests would look for proxies and a netrc at every call, and a netrc must not replace our
    # credentials.
    session.trust_env = False
    if not direct:
        session.proxies.update(requests.utils.get_environ_proxies(url))
    bundle = ca_bundle or next((os.environ[name] for name in CA_VARIABLES if os.environ.get(name)), None)
    if bundle is not None and not Path(bundle).exists():
        raise FatalError(f"there is no CA bundle `{bundle}` to check certificates with", code="tls")
    session.verify = bundle or True
    return session


def decode_json(response: requests.Response) -> Any:
    """The JSON body of a successful response. Raises UnknownOutcomeError when there is none: the request was accepted,
    its result is lost.
    """
    try:
        return msgspec.json.decode(response.content)
    except UNREADABLE as error:
        kind = response.headers.get("Content-Type", "no content type")
        raise UnknownOutcomeError(f"{response.status_code} with a body that is not JSON ({kind})") from error


def error_json(response: requests.Response) -> Any:
    """The JSON body of a refusal; None where there is none: errors can be HTML pages or plain text.

    It is for people, so that bytes which are not UTF-8 do not make its other words unreadable.
    """
    try:
        return msgspec.json.decode(response.content.decode("utf-8", "replace"))
    except UNREADABLE:
        return None


def json_or_empty(response: requests.Response) -> Mapping[str, Any]:
    """The object in the body of a refusal; empty where there is none."""
    body = error_json(response)
    return body if isinstance(body, Mapping) else {}


def status_error(status: int) -> type[DestinationError]:
    """The class of error that an HTTP status stands for."""
    known = STATUS_ERRORS.get(status)
    if known is not None:
        return known
    return UnknownOutcomeError if status >= 500 else FatalError


def retry_after(response: requests.Response) -> float | None:
    """Seconds of a Retry-After header, given as seconds or as an HTTP date (RFC 9110, 10.2.3); None without a readable
    one.
    """
    value = response.headers.get("Retry-After")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value, response.headers.get("Date"))
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_until(date: str, now: str | None) -> float:
    """Seconds until an HTTP date, by the vendor's clock where it says so; NaN when it cannot be read."""
    try:
        start = email.utils.parsedate_to_datetime(now).timestamp() if now else time.time()
        return email.utils.parsedate_to_datetime(date).timestamp() - start
    except (ValueError, OverflowError):
        return math.nan


def origin(url: str) -> str:
    """Scheme, host and port of a URL: the part that is safe to show."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _read_whole(response: requests.Response, seconds: float, host: str) -> None:
    """Take the body into the response. Raises what requests raises, and UnknownOutcomeError for a body without end."""
    end = time.monotonic() + seconds
    parts: list[bytes] = []
    size = 0
    for part in response.iter_content(_PART):
        parts.append(part)
        size += len(part)
        if size > LARGEST_ANSWER or time.monotonic() > end:
            response.close()
            told = "is too large" if size > LARGEST_ANSWER else "does not come to an end"
            raise UnknownOutcomeError(f"the answer of {host} {told}", code="endless")
    response._content = b"".join(parts)


def _mask_credentials(response: requests.Response) -> None:
    """Take out of a refusal what it quotes of the credentials that the request was made with: they may have been made
    of secrets, as those of Basic are, or given by the vendor, so that nobody else knows them as such."""
    credentials = str(response.request.headers.get("Authorization", "")).rpartition(" ")[2]
    if len(credentials) < _SHORTEST:
        return
    for quoted in {credentials, credentials.replace("/", "\\/")}:
        response._content = response.content.replace(quoted.encode("latin-1"), _MASK.encode())
        response.reason = response.reason.replace(quoted, _MASK)


def _transport_error(error: Exception, host: str) -> DestinationError:
    if isinstance(error, _BAD_URL):
        return FatalError(f"`{host}` is not a URL that can be requested", code="url")
    if not isinstance(error, requests.RequestException) or (
        isinstance(error, requests.exceptions.InvalidHeader) and error.request is None
    ):  # http.client refuses to write a header, or requests does; one that a vendor sent comes with the request
        return FatalError(
            f"a header for {host} holds a line break, or a character that HTTP does not know: often one that was"
            " copied along with a secret",
            code="header",
        )
    if isinstance(error, requests.exceptions.ConnectTimeout) or type(_reason(error)).__name__ in _NEVER_CONNECTED:
        return RetryableError(f"no connection to {host}", code="unreachable")
    if isinstance(error, requests.exceptions.SSLError) and not _closed(error):
        return FatalError(
            f"no secure connection to {host}: the certificate is not trusted, or it is no HTTPS", code="tls"
        )
    if isinstance(error, requests.exceptions.Timeout):
        return UnknownOutcomeError(f"no answer from {host} in time", code="timeout")
    return UnknownOutcomeError(f"the connection to {host} broke before the answer was complete", code="connection")


_BAD_URL = (
    urllib3.exceptions.LocationParseError,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
)
_NEVER_CONNECTED = frozenset({"NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "ProxyError"})
"""What urllib3 gives as the reason when no connection was made, so that nothing can have been accepted."""


def _reason(error: requests.RequestException) -> object:
    return getattr(error.args[0], "reason", None) if error.args else None


def _closed(error: requests.RequestException) -> bool:
    """True when the other side hung up in the middle of TLS: the request may have arrived."""
    reason = _reason(error)
    inner = reason.args[0] if isinstance(reason, Exception) and reason.args else reason
    return isinstance(inner, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
