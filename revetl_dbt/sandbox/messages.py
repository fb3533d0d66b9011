"""Requests, answers, and how a path finds its handler."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

JSON_TYPE = "application/json;charset=utf-8"
HTML_TYPE = "text/html; charset=utf-8"


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


class Abort(Exception):  # noqa: N818 - a control flow of this package
    """Drop the connection with a TCP reset instead of answering."""


@dataclass
class Reply:
    """What to write: an answer and how to damage it on the way."""

    response: Response
    content_length: int | None = None  # claim this length, then close: a truncated body
    pause: float = 0.0  # seconds between the two halves of the body
    close: bool = False


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
