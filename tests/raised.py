"""A pytest plugin: which codes of problems are truly raised by some test is noted while they run.

Noted in this process and in the workers of pytest-xdist, not in commands that a test starts. A run of all tests names
at its end the codes that none has raised; tests/docs/test_errors.py fails where no test expects a code.
"""

from __future__ import annotations

from typing import Any

import pytest

from revetl_dbt.errors import Diagnostic

codes: set[str] = set()
_create = Diagnostic.__init__


def _noted(self: Diagnostic, code: str, *arguments: Any, **named: Any) -> None:
    codes.add(code)
    _create(self, code, *arguments, **named)


def pytest_configure() -> None:
    """Note the code of every problem from now on."""
    Diagnostic.__init__ = _noted  # type: ignore[method-assign]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Under pytest-xdist: take what a worker noted."""
    codes.update(getattr(node, "workeroutput", {}).get("codes", ()))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand a worker's codes to the controller."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["codes"] = sorted(codes)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which codes no test has raised, after a run of all tests."""
    if everything(terminalreporter.config) and (missing := never()):
        terminalreporter.write_line(f"no test has raised the error code {', '.join(missing)}", red=True)


def everything(config: pytest.Config) -> bool:
    """True when all tests run: no file, name or marker was asked for."""
    option = config.option
    chosen = option.keyword or option.markexpr or option.collectonly or getattr(option, "lf", False)
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS and not chosen


def never() -> list[str]:
    """The codes that no test has raised so far."""
    from docs.sources import diagnostic_codes

    return sorted(diagnostic_codes() - codes)
