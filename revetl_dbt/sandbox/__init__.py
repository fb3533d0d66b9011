"""Local stand-ins of the vendors' APIs, on the loopback interface only.

    with Sandbox(state_dir) as sandbox:
        sandbox.url("hubspot"), sandbox.token("hubspot")

Names load on first use, because the standard library's HTTP server costs more to import than the rest of the command
line.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from revetl_dbt.errors import SandboxError
    from revetl_dbt.sandbox.client import SandboxClient
    from revetl_dbt.sandbox.faults import Fault
    from revetl_dbt.sandbox.host import Sandbox, attach

__all__ = ["Fault", "Sandbox", "SandboxClient", "SandboxError", "attach"]

_HOME = {
    "Fault": "revetl_dbt.sandbox.faults",
    "Sandbox": "revetl_dbt.sandbox.host",
    "SandboxClient": "revetl_dbt.sandbox.client",
    "SandboxError": "revetl_dbt.errors",
    "attach": "revetl_dbt.sandbox.host",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
