"""Salesforce's refusals: codes and bodies as "Status Codes and Error Responses" of the REST API guide has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from revetl_dbt.sandbox.messages import Response


class ApiError(Exception):
    """A request that is refused as a whole: a list with one error."""

    def __init__(self, status: int, code: str, message: str, fields: Sequence[str] | None = None) -> None:
        self.status, self.code, self.message, self.fields = status, code, message, fields
        super().__init__(message)

    def response(self) -> Response:
        """The answer."""
        error: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            error["fields"] = list(self.fields)
        return Response(self.status, [error])


class RowError(Exception):
    """A record that is refused: `fields` are those that it is about."""

    def __init__(self, code: str, message: str, fields: Sequence[str] = ()) -> None:
        self.code, self.message, self.fields = code, message, tuple(fields)
        super().__init__(message)

    def as_json(self) -> dict[str, Any]:
        """As results of collections have it."""
        return {"statusCode": self.code, "message": self.message, "fields": list(self.fields)}

    def as_text(self) -> str:
        """As `sf__Error` of a job's results has it."""
        return f"{self.code}:{self.message}:{', '.join(self.fields)} --"


def oauth_error(code: str, description: str, status: int = 400) -> Response:
    """A refusal of the token endpoint (RFC 6749, 5.2)."""
    return Response(status, {"error": code, "error_description": description})


def no_session() -> ApiError:
    """A token that is unknown or past its time."""
    return ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")


def not_found() -> ApiError:
    """A path, an object or a record that there is not."""
    return ApiError(404, "NOT_FOUND", "The requested resource does not exist")


def limit_exceeded(policy: str | None) -> ApiError:
    """Too many requests: in the org's 24 hours (policy DAILY), or at once."""
    if policy == "DAILY":
        return ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    text = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    return ApiError(403, "REQUEST_LIMIT_EXCEEDED", text)


def server_side(status: int) -> ApiError:
    """A failure that is not the caller's fault."""
    if status == 503:
        return ApiError(status, "SERVER_UNAVAILABLE", "The server is unavailable to handle the request")
    return ApiError(status, "UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId: 1-1 (0)")


def unknown_column(name: str, kind: str) -> RowError:
    """A field that the object does not have, or that the user may not see."""
    return RowError("INVALID_FIELD", f"No such column '{name}' on sobject of type {kind}")
