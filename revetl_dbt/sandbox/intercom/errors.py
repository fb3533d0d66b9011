"""Intercom's error bodies: a list of errors, each with a code and words, and the id of the request.

Codes: https://developers.intercom.com/docs/references/2.17/rest-api/errors/error-codes; texts: the examples of the
OpenAPI description at github.com/intercom/Intercom-OpenAPI (2.16 and Preview).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from revetl_dbt.sandbox.messages import Response


@dataclass
class ApiError(Exception):
    """A refusal in Intercom's words; `about` names the field that it is about."""

    status: int
    code: str
    message: str
    about: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def response(self, request_id: str) -> Response:
        """As an answer."""
        error = {"code": self.code, "message": self.message}
        if self.about is not None:
            error["field"] = self.about
        body = {"type": "error.list", "request_id": request_id, "errors": [error]}
        return Response(self.status, body, headers=dict(self.headers))


def invalid(message: str, about: str | None = None) -> ApiError:
    """A value that is refused."""
    return ApiError(400, "parameter_invalid", message, about)


def mismatch(name: str, expected: str) -> ApiError:
    """A JSON value of another type than the field has."""
    return ApiError(400, "type_mismatch", f"{name} must be {expected}", name)


def no_contact() -> ApiError:
    """No such contact, or one that is archived."""
    return ApiError(404, "not_found", "User Not Found")


def no_company() -> ApiError:
    """No such company, or one that was deleted."""
    return ApiError(404, "company_not_found", "Company Not Found")


def no_resource() -> ApiError:
    """No such path, or no such thing at it."""
    return ApiError(404, "not_found", "Resource Not Found")


def unauthorized() -> ApiError:
    """No token, or one that is unknown."""
    return ApiError(401, "unauthorized", "Access Token Invalid")


def expired_token() -> ApiError:
    """A token past its time."""
    return ApiError(401, "token_expired", "The token is expired")


def rate_limited(limit: int) -> ApiError:
    """The window's requests are used up."""
    return ApiError(429, "rate_limit_exceeded", f"Exceeded rate limit of {limit} in 10_seconds")


def of_status(status: int) -> ApiError:
    """What Intercom says with a status, when nothing more is known."""
    codes = {
        403: ("api_plan_restricted", "Active subscription needed."),
        408: ("request_timeout", "The server timed out while processing the request"),
        503: ("service_unavailable", "Sorry, the API service is temporarily unavailable"),
    }
    default = ("server_error", "Server Error") if status >= 500 else ("client_error", "Client Error")
    code, message = codes.get(status, default)
    return ApiError(status, code, message)
