"""Stripe's error bodies.

Shapes, types and codes: https://docs.stripe.com/api/errors and https://docs.stripe.com/error-codes. A refusal that
`executed` is remembered with its idempotency key, one of the parameters alone is not
(https://docs.stripe.com/api/idempotent_requests).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from revetl_dbt.sandbox.messages import HTML_TYPE, Response

INVALID = "invalid_request_error"
DOCS = "https://docs.stripe.com/error-codes/"


@dataclass
class ApiError(Exception):
    """A refusal in Stripe's words."""

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    type: str = INVALID
    executed: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    def response(self, log_url: str) -> Response:
        """As an answer; `log_url` is where the Dashboard would show the request."""
        error: dict[str, Any] = {"message": self.message, "type": self.type, "request_log_url": log_url}
        if self.code:
            error |= {"code": self.code, "doc_url": DOCS + self.code.replace("_", "-")}
        if self.param:
            error["param"] = self.param
        return Response(self.status, {"error": error}, headers=dict(self.headers))


def no_key() -> ApiError:
    """A request without a key."""
    return ApiError(
        401,
        "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer "
        "auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
    )


def bad_key(key: str, expired: bool = False) -> ApiError:
    """A key that is unknown, or no longer good."""
    shown = key[:8] + "*" * 8 + key[-4:]
    if expired:
        return ApiError(401, f"Expired API Key provided: {shown}", "api_key_expired")
    return ApiError(401, f"Invalid API Key provided: {shown}")


def forbidden(key: str, account: str) -> ApiError:
    """A restricted key without the permission."""
    return ApiError(
        403,
        f"The provided key '{key[:8]}********' does not have the required permissions for this endpoint on account "
        f"'{account}'.",
    )


def rate_limited(reason: str) -> ApiError:
    """Too many requests: `global-rate` or `endpoint-rate`; `lock_timeout` when the record itself is busy."""
    if reason == "lock_timeout":
        return ApiError(
            429,
            "This object cannot be accessed right now because another API request or Stripe process is currently "
            "accessing it. If you see this error intermittently, retry the request.",
            "lock_timeout",
            headers={"Stripe-Should-Retry": "true"},
        )
    return ApiError(
        429,
        "Request rate limit exceeded. You can learn more about rate limits here https://docs.stripe.com/rate-limits.",
        "rate_limit",
        headers={"Stripe-Rate-Limited-Reason": reason},
    )


def server_side(status: int) -> ApiError:
    """A failure that is not the caller's fault."""
    return ApiError(status, "An unknown error occurred", type="api_error" if status >= 500 else INVALID)


def unknown_url(method: str, path: str) -> ApiError:
    """A path that there is not."""
    return ApiError(
        404,
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at "
        "https://support.stripe.com/.",
    )


def missing(what: str, value: str, param: str, status: int = 404) -> ApiError:
    """A record that is not there: 404 for the one of the path, 400 for one that a parameter names."""
    return ApiError(status, f"No such {what}: '{value}'", "resource_missing", param, executed=True)


def unknown_parameters(names: Sequence[str]) -> ApiError:
    """Parameters that the method does not have."""
    plural = "s" if len(names) > 1 else ""
    return ApiError(400, f"Received unknown parameter{plural}: {', '.join(names)}", "parameter_unknown", names[0])


def missing_parameter(name: str) -> ApiError:
    """A required parameter that is not there."""
    return ApiError(400, f"Missing required param: {name}.", "parameter_missing", name)


def empty(name: str) -> ApiError:
    """An empty text for a parameter that cannot be unset."""
    return ApiError(
        400,
        f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter; however "
        f"'{name}' cannot be unset. You should remove '{name}' from your request or supply a non-empty value.",
        "parameter_invalid_empty",
        name,
    )


def invalid(what: str, name: str, value: str, code: str | None = None) -> ApiError:
    """A value of the wrong form: `Invalid integer: abc`."""
    return ApiError(400, f"Invalid {what}: {value}", code, name)


def same_key_other_request(key: str) -> ApiError:
    """An idempotency key that was used for something else."""
    return ApiError(
        400,
        "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a "
        f"key other than '{key}' if you meant to execute a different request.",
        type="idempotency_error",
    )


def key_in_use(key: str) -> ApiError:
    """An idempotency key of a request that is at work."""
    return ApiError(
        409,
        "There is currently another in-progress request using this Idempotent Key (that probably means you submitted "
        f"twice, and the other request is still going through): {key}. Please try again later.",
        "idempotency_key_in_use",
    )


def front_door() -> Response:
    """The page of what stands before Stripe's servers, for a request that does not get through to them."""
    text = "<html><head><title>400 Bad Request</title></head><body><h1>400 Bad Request</h1></body></html>"
    return Response(400, body=text.encode(), content_type=HTML_TYPE)
