"""Signing in: OAuth's client credentials, and API tokens.

https://developer.zendesk.com/api-reference/ticketing/oauth/grant_type_tokens/ (client credentials are for confidential
clients; an access token ends after 30 minutes unless `expires_in` asks for another time within limits) and
/introduction/security-and-auth/ (API tokens: basic authentication with `{address}/token` as the user).
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from typing import Any

from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.store import Store
from revetl_dbt.sandbox.zendesk.errors import (
    ApiError,
    bad_request,
    expired_token,
    forbidden,
    invalid_client,
    unauthenticated,
)

VENDOR = "zendesk"
CLIENT = "sandbox"
_SHORTEST, _LONGEST = 300, 172_800


class Login:
    """The one OAuth client of an account, its access tokens, and an API token that is the client's secret."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.secret = str(store.setting("zendesk:secret", lambda: secrets.token_hex(32)))

    def token(self, request: Request, lifetime: int) -> Response:
        """POST /oauth/tokens."""
        body = request.json()
        if not isinstance(body, Mapping) or body.get("grant_type") != "client_credentials":
            text = "The authorization grant type is not supported by the authorization server."
            raise ApiError(400, {"error": "unsupported_grant_type", "error_description": text})
        if (body.get("client_id"), body.get("client_secret")) != (CLIENT, self.secret):
            raise invalid_client()
        seconds = body.get("expires_in", lifetime)
        if "expires_in" in body and not (isinstance(seconds, int) and _SHORTEST < seconds < _LONGEST):
            raise bad_request("Invalid attribute", "expires_in must be between 300 and 172800")
        scope = str(body.get("scope") or "read")
        token = secrets.token_hex(32)
        grant = {"scope": scope.split(), "ends": self._store.now() + seconds * 1000}
        self._store.define(VENDOR, "token", token, grant)
        return Response(data={"access_token": token, "token_type": "bearer", "scope": scope, "expires_in": seconds})

    def check(self, request: Request) -> None:
        """Raises ApiError unless the request's credentials allow it."""
        grant = self._grant(request)
        if grant["ends"] is not None and grant["ends"] <= self._store.now():
            raise expired_token()
        needed = "read" if request.method == "GET" else "write"
        allowed = {scope.rpartition(":")[2] for scope in grant["scope"]}
        if needed not in allowed:
            raise forbidden(f"The access token does not have the scope `{needed}`")

    def _grant(self, request: Request) -> dict[str, Any]:
        bearer = request.bearer()
        if bearer is not None:
            grant: dict[str, Any] | None = self._store.definitions(VENDOR, "token").get(bearer)
            if grant is None:
                raise expired_token()
            return grant
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise unauthenticated() from None
        if scheme.lower() != "basic" or not user.endswith("/token") or password != self.secret:
            raise unauthenticated()
        return {"scope": ["read", "write"], "ends": None}
