"""Marketo's refusals.

"Error Codes" of https://experienceleague.adobe.com/en/docs/marketo-developer: nearly all of them are HTTP 200; a
request that fails says `success: false` and lists errors, a record that fails is `skipped` for reasons.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from revetl_dbt.sandbox.messages import HTML_TYPE, Response

_serial = itertools.count(0x14272D07D78)


class ApiError(Exception):
    """A whole request is refused. `status` is that of HTTP."""

    def __init__(self, code: str, message: str, status: int = 200) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class RowError(Exception):
    """One record is skipped."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message

    def reasons(self) -> list[dict[str, str]]:
        """As in a result."""
        return [{"code": self.code, "message": self.message}]


def request_id() -> str:
    """An id as Marketo's: `e42b#14272d07d78`."""
    return f"{secrets.randbelow(0xFFFFF):x}#{next(_serial):x}"


def success(result: Sequence[Mapping[str, Any]], **more: Any) -> Response:
    """An answer of Marketo's."""
    return Response(200, {"requestId": request_id(), "result": list(result), "success": True, **more})


def refused(code: str, message: str) -> Response:
    """A refusal of a whole request."""
    errors = [{"code": code, "message": message}]
    return Response(200, {"requestId": request_id(), "success": False, "errors": errors})


def answer(error: ApiError) -> Response:
    """The answer to a request that is refused; what the gateway refuses is a page."""
    if error.status == 200:
        return refused(error.code, error.message)
    return page(error.status, error.message)


def page(status: int, title: str) -> Response:
    """What stands in front of Marketo answers with pages."""
    text = f"<html><head><title>{status} {title}</title></head><body><h1>{title}</h1></body></html>"
    return Response(status, body=text.encode(), content_type=HTML_TYPE)
