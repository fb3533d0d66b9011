"""What holds for all tests: requests to a sandbox are as the vendor describes them; raised error codes are noted."""

from __future__ import annotations

from specs.watch import (  # noqa: F401 - fixtures and hooks are found by their names
    _described,
    pytest_configure,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
)

pytest_plugins = ["raised"]
