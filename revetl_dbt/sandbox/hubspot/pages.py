"""Pages for people (first version)."""

from __future__ import annotations

from revetl_dbt.sandbox.hubspot.account import Account
from revetl_dbt.sandbox.server import Request, Response, html_response


def page(account: Account, request: Request) -> Response:
    """A page."""
    return html_response(f"<!doctype html><title>HubSpot</title><p>{account.portal} {len(request.path)}")
