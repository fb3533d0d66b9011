"""The token endpoint: client credentials and JWT bearer ("OAuth Authorization Flows" in Salesforce Help)."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import jwt

from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.salesforce.errors import no_session, oauth_error
from revetl_dbt.sandbox.salesforce.org import VENDOR, Org

CLIENT_ID = "revetl"
USERNAME = "integration@revetl.example"
_JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")


class Sessions:
    """Access tokens of an org: who gets one, and for how long it is good."""

    def __init__(self, org: Org, base_url: str) -> None:
        self._org = org
        self._base_url = base_url
        self.secret = str(org.store.setting(f"{VENDOR}:secret", lambda: secrets.token_hex(32).upper()))
        self.seconds = 7200.0  # the session timeout
        self.public_key = ""  # PEM of who may sign a JWT
        self.audiences = _AUDIENCES

    def grant(self, request: Request) -> Response:
        """POST /services/oauth2/token."""
        given = {name: values[0] for name, values in parse_qs(request.body.decode("utf-8", "replace")).items()}
        kind = given.get("grant_type")
        if kind == "client_credentials":
            refusal = self._check_client(request, given)
        elif kind == _JWT:
            refusal = self._check_assertion(given.get("assertion", ""))
        else:
            refusal = oauth_error("unsupported_grant_type", "grant type not supported")
        return refusal or self._token()

    def _check_client(self, request: Request, given: Mapping[str, str]) -> Response | None:
        named = (given.get("client_id", ""), given.get("client_secret", ""))
        scheme, _, code = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(code, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return oauth_error("invalid_client", "invalid client credentials")
            named = (user, password)
        if named[0] != CLIENT_ID:
            return oauth_error("invalid_client_id", "client identifier invalid")
        if named[1] != self.secret:
            return oauth_error("invalid_client", "invalid client credentials")
        return None

    def _check_assertion(self, assertion: str) -> Response | None:
        options: Any = {"require": ["iss", "sub", "aud", "exp"]}
        try:
            claims = jwt.decode(
                assertion, self.public_key, algorithms=["RS256"], audience=list(self.audiences), options=options
            )
        except (jwt.PyJWTError, ValueError):
            return oauth_error("invalid_grant", "invalid assertion")
        if claims["iss"] != CLIENT_ID:
            return oauth_error("invalid_client_id", "client identifier invalid")
        if claims["sub"] != USERNAME:
            return oauth_error("invalid_grant", "user hasn't approved this consumer")
        return None

    def _token(self) -> Response:
        token = f"{self._org.id[:15]}!{secrets.token_urlsafe(64)}"
        now = self._org.store.now()
        self._org.store.define(VENDOR, "token", token, now + int(self.seconds * 1000))
        answer = {
            "access_token": token,
            "signature": secrets.token_urlsafe(24),
            "scope": "api",
            "instance_url": self._base_url,
            "id": f"https://login.salesforce.com/id/{self._org.id}/{self._org.user}",
            "token_type": "Bearer",
            "issued_at": str(now),
        }
        return Response(data=answer)

    def authorize(self, request: Request) -> None:
        """Raises ApiError 401 for a request without a token that is good now."""
        until = self._org.store.definitions(VENDOR, "token").get(request.bearer() or "")
        if until is None or until <= self._org.store.now():
            raise no_session()
