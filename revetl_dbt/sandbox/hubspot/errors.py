"""HubSpot's error bodies.

Shapes and texts: https://developers.hubspot.com/docs/api-reference/error-handling and the error section of the object
APIs guide.
Every field of an error is optional to a reader; the multi-status form follows the OpenAPI description's StandardError.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from revetl_dbt.sandbox.messages import HTML_TYPE, Response

VALIDATION = "VALIDATION_ERROR"
NOT_FOUND = "OBJECT_NOT_FOUND"
CONFLICT = "CONFLICT"


@dataclass
class ApiError(Exception):
    """A refusal in HubSpot's words: of a whole request, or of one row of a batch."""

    status: int
    message: str
    category: str | None = VALIDATION
    context: dict[str, list[str]] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    def response(self, correlation: str) -> Response:
        """As the answer to a whole request."""
        body: dict[str, Any] = {"status": "error", "message": self.message, "correlationId": correlation, **self.extra}
        if self.context:
            body["context"] = self.context
        if self.errors:
            body["errors"] = self.errors
        if self.category:
            body["category"] = self.category
        return Response(self.status, body)

    def standard_error(self, context: dict[str, list[str]]) -> dict[str, Any]:
        """As an entry of `errors` in a 207 answer; `context` names the inputs it is about."""
        return {
            "status": "error",
            "category": self.category or VALIDATION,
            "message": self.message,
            "context": {**self.context, **context},
            "errors": self.errors,
            "links": {},
        }


@dataclass(frozen=True)
class InvalidValue:
    """Why one property value is refused."""

    name: str
    code: str
    message: str


def invalid_properties(problems: Sequence[InvalidValue], portal: int) -> ApiError:
    """The refusal of property values: all of them in the message as JSON, and again in `errors`."""
    details = [
        {
            "isValid": False,
            "message": problem.message,
            "error": problem.code,
            "name": problem.name,
            "localizedErrorMessage": problem.message,
            "portalId": portal,
        }
        for problem in problems
    ]
    return ApiError(
        400,
        f"Property values were not valid: {json.dumps(details, separators=(',', ':'), ensure_ascii=False)}",
        errors=[{"message": p.message, "code": p.code, "context": {"propertyName": [p.name]}} for p in problems],
    )


def unauthenticated() -> ApiError:
    """No token, or one that is unknown."""
    return ApiError(
        401,
        "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more "
        "details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
        "INVALID_AUTHENTICATION",
    )


def expired_token(expired_at: str) -> ApiError:
    """An OAuth token past its time."""
    return ApiError(
        401,
        "The OAuth token used to make this call expired 7 second(s) ago.",
        "EXPIRED_AUTHENTICATION",
        {"expire time": [expired_at]},
    )


def missing_scopes(scopes: Sequence[str]) -> ApiError:
    """A token without any of the scopes that the call needs."""
    return ApiError(
        403,
        "This app hasn't been granted all required scopes to make this call. Read more about required scopes here: "
        "https://developers.hubspot.com/scopes.",
        "MISSING_SCOPES",
        errors=[
            {
                "message": "One or more of the following scopes are required.",
                "context": {"requiredGranularScopes": list(scopes)},
            }
        ],
        extra={"links": {"scopes": "https://developers.hubspot.com/scopes"}},
    )


def rate_limited(policy: str) -> ApiError:
    """A limit that is used up. The limit per second of the search API comes without a policy name."""
    if policy == "SECONDLY":
        return ApiError(429, "You have reached your secondly limit.", "RATE_LIMITS")
    return ApiError(
        429,
        f"You have reached your {policy.lower()} limit.",
        "RATE_LIMITS",
        extra={"errorType": "RATE_LIMIT", "policyName": policy},
    )


def server_side(status: int) -> ApiError:
    """A failure that is not the caller's fault."""
    texts = {
        423: ("This record is locked by another write. Wait at least 2 seconds", "LOCKED"),
        477: ("This account is being moved between data centers", "MIGRATION_IN_PROGRESS"),
    }
    message, category = texts.get(status, ("internal error", "INTERNAL_ERROR" if status >= 500 else VALIDATION))
    return ApiError(status, message, category)


def html_not_found() -> Response:
    """The page that a GET of an unknown record or path is answered with (seen in recorded traffic)."""
    title = "Error 404 Not Found"
    text = f"<html><head><title>{title}</title></head><body><h2>{title}</h2></body></html>"
    return Response(404, body=text.encode(), content_type=HTML_TYPE)
