"""Zendesk's error bodies.

Shapes and texts: https://developer.zendesk.com/api-reference/introduction/requests/ and /rate-limits/, and recorded
answers of an account. A refused record has `details`, a list of reasons for each of its fields; the limit on updates of
one user answers in plain text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from revetl_dbt.sandbox.messages import Response


class ApiError(Exception):
    """A refusal of a whole request."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(str(body))
        self.status, self.body, self.headers = status, body, dict(headers or {})

    def response(self) -> Response:
        """As an answer; a text stays a text."""
        if isinstance(self.body, str):
            kind = "text/plain; charset=utf-8"
            return Response(self.status, body=self.body.encode(), content_type=kind, headers=self.headers)
        return Response(self.status, self.body, headers=self.headers)


class Refused(Exception):  # noqa: N818 - becomes an answer, or a row of a job
    """A record that Zendesk does not take: reasons by field, each with Zendesk's code for it."""

    def __init__(self, **details: Sequence[tuple[str, str]]) -> None:
        super().__init__(", ".join(details))
        self.details = {
            name: [{"description": text, "error": code} for text, code in reasons] for name, reasons in details.items()
        }

    @property
    def text(self) -> str:
        """All reasons, as a job's row has them."""
        return ", ".join(reason["description"] for reasons in self.details.values() for reason in reasons)

    def error(self) -> ApiError:
        """As the answer to a request about this record alone."""
        return ApiError(
            422, {"error": "RecordInvalid", "description": "Record validation errors", "details": self.details}
        )


def not_found() -> ApiError:
    """No such record."""
    return ApiError(404, {"error": "RecordNotFound", "description": "Not found"})


def no_endpoint() -> ApiError:
    """No such path."""
    return ApiError(404, {"error": "InvalidEndpoint", "description": "Not found"})


def unauthenticated() -> ApiError:
    """No credentials, or wrong ones."""
    return ApiError(401, {"error": "Couldn't authenticate you"})


def expired_token() -> ApiError:
    """An OAuth token past its time."""
    text = "The access token provided is expired, revoked, malformed or invalid for other reasons."
    return ApiError(401, {"error": "invalid_token", "error_description": text})


def invalid_client() -> ApiError:
    """The token endpoint, asked by a client that it does not know."""
    text = (
        "Client authentication failed due to unknown client, no client authentication included, "
        "or unsupported authentication method."
    )
    return ApiError(401, {"error": "invalid_client", "error_description": text})


def forbidden(message: str = "You do not have access to this page.") -> ApiError:
    """Not allowed for this user or token, or not switched on."""
    return ApiError(403, {"error": {"title": "Forbidden", "message": message}})


def bad_request(title: str, message: str) -> ApiError:
    """A body of the wrong form."""
    return ApiError(400, {"error": {"title": title, "message": message}})


def too_many_values() -> ApiError:
    """More records than a bulk request takes (as recorded: with a gap before `cannot`)."""
    text = "Parameter  cannot specify more than 100 values"
    return ApiError(400, {"error": "TooManyValues", "description": text, "max_count": 100})


def rate_limited(wait: int) -> ApiError:
    """The account's limit of a minute."""
    return ApiError(429, {"error": "TooManyRequests", "description": "Too many requests"}, {"Retry-After": str(wait)})


def user_rate_limited(wait: int) -> ApiError:
    """The limit on updates of one user, in plain text."""
    text = "You have exceeded the rate limit for updating a single unique user. Please wait before trying again"
    return ApiError(429, text, {"Retry-After": str(wait)})


def too_many_jobs() -> ApiError:
    """30 jobs are queued or running."""
    text = "Too many jobs are currently queued or running. Try again later."
    return ApiError(429, {"error": "TooManyJobs", "description": text})


def server_side(status: int) -> ApiError:
    """A failure that is not the caller's fault."""
    if status == 409:
        return ApiError(409, {"error": "Conflict", "description": "The record was updated by another request"})
    if status == 503:
        return ApiError(503, "Service Unavailable")
    return ApiError(status, {"error": "InternalError", "description": "Sorry, an unexpected error occurred"})
