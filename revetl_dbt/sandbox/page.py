"""Pages for people (first version)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from revetl_dbt.sandbox.server import Response, html_response

if TYPE_CHECKING:
    from revetl_dbt.sandbox.host import Sandbox


def overview(sandbox: Sandbox) -> Response:
    """The start page."""
    return html_response(f"<!doctype html><title>Sandbox</title><p>{', '.join(sandbox.vendors)}")
