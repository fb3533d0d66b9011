"""The tokens of an account: what each may do, and OAuth's short-lived ones.

https://developers.hubspot.com/docs/api-reference/latest/authentication/manage-oauth-tokens: a refresh token gives
access tokens for 30 minutes; parameters come as a form, in the body.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs

from revetl_dbt.sandbox.hubspot import errors
from revetl_dbt.sandbox.hubspot.account import VENDOR
from revetl_dbt.sandbox.hubspot.values import moment_text
from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.store import Store

LIFETIME = 1800  # seconds


@dataclass(frozen=True)
class OAuthClient:
    """An app that is installed in the account."""

    client_id: str
    client_secret: str
    refresh_token: str


class Tokens:
    """Tokens that were given out, kept in the store."""

    def __init__(self, store: Store, portal: int) -> None:
        self._store = store
        self._portal = portal
        self.master = str(store.setting(f"{VENDOR}:token", lambda: f"pat-na1-{uuid.uuid4()}"))

    def add(self, scopes: Sequence[str]) -> str:
        """A further token that has only some scopes."""
        token = f"pat-na1-{uuid.uuid4()}"
        self._store.define(VENDOR, "token", token, list(scopes))
        return token

    def client(self) -> OAuthClient:
        """The OAuth app of the account, the same for a state directory for ever."""
        kept = self._store.setting(f"{VENDOR}:oauth", lambda: [str(uuid.uuid4()) for _ in range(3)])
        return OAuthClient(*map(str, kept))

    def authorize(self, request: Request, needed: Sequence[str]) -> None:
        """ApiError 401 or 403 unless the request's token has one of the scopes."""
        token = request.bearer()
        if token == self.master:
            return
        ends = self._store.setting(f"{VENDOR}:access:{token}")
        if ends is not None:
            if self._store.now() >= ends:
                raise errors.expired_token(moment_text(ends))
            return
        granted = self._store.definitions(VENDOR, "token").get(token or "")
        if granted is None:
            raise errors.unauthenticated()
        if needed and not set(needed) & set(granted):
            raise errors.missing_scopes(needed)

    def refresh(self, request: Request) -> Response:
        """POST /oauth/{version}/token with `grant_type=refresh_token`."""
        form = {name: values[0] for name, values in parse_qs(request.body.decode("utf-8", "replace")).items()}
        client = self.client()
        if form.get("grant_type") != "refresh_token":
            return _refused("BAD_GRANT_TYPE", "missing or unknown grant type")
        if (form.get("client_id"), form.get("client_secret")) != (client.client_id, client.client_secret):
            return _refused("BAD_CLIENT_ID", "missing or unknown client id or secret")
        if form.get("refresh_token") != client.refresh_token:
            return _refused("BAD_REFRESH_TOKEN", "missing or invalid refresh token")
        token = f"oauth-{uuid.uuid4()}"
        self._store.set_setting(f"{VENDOR}:access:{token}", self._store.now() + LIFETIME * 1000)
        return Response(
            data={
                "token_type": "bearer",
                "access_token": token,
                "refresh_token": client.refresh_token,
                "expires_in": LIFETIME,
                "hub_id": self._portal,
            }
        )


def _refused(status: str, message: str) -> Response:
    return Response(400, {"status": status, "message": message})
