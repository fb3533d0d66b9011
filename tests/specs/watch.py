"""Every request that the tests make to a sandbox of their process, checked against the vendor's description.

A test fails when a request of its differs from the description in a way that known.yml does not list. Requests that the
stand-in itself refuses (400 to 499) count as answered: that is what it is for. A test that sends what the vendor does
not describe, and is not refused, says so: `@pytest.mark.off_spec("why")`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from revetl_dbt.sandbox import host
from revetl_dbt.sandbox.messages import Request, Response

from .description import Sent
from .vendors import check, folder, known

Counts = Counter[tuple[str, str]]
"""(vendor, `checked`, `refused` or a known deviation) -> how many."""

counts: Counts = Counter()
problems: list[str] = []


def record(vendor: str, request: Request, response: Response) -> None:
    """Check one request. Only the vendors that have a description are of interest."""
    sent = Sent(request.method, request.path, request.query, request.headers, request.body)
    found = check(vendor, sent)
    if found is None:
        return
    refused = 400 <= response.status < 500
    counts[vendor, "checked"] += 1
    counts[vendor, "refused"] += refused
    if refused:
        return
    for deviation in found:
        if any(entry.covers(deviation) for entry in known().get(vendor, ())):
            counts[vendor, str(deviation)] += 1
        else:
            problems.append(f"{vendor}: {deviation}")


host.watchers.append(record)


@pytest.fixture(autouse=True)
def _described(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test whose requests are not as described."""
    problems.clear()
    yield
    found = [*dict.fromkeys(problems)]
    problems.clear()
    if found and request.node.get_closest_marker("off_spec") is None:
        lines = "\n".join(f"  {line}" for line in found)
        pytest.fail(
            f"these requests are not as the vendor describes them:\n{lines}\n"
            "correct them, or list them with a reason in tests/specs/known.yml",
            pytrace=False,
        )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "off_spec(reason): sends what the vendor's description does not have")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Under pytest-xdist: hand what this worker counted to the controller."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["specs"] = [[*key, number] for key, number in counts.items()]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    for vendor, what, number in getattr(node, "workeroutput", {}).get("specs", ()):
        counts[vendor, what] += number


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many requests were checked, and which of the known deviations they met."""
    if folder() is None:
        return
    for vendor in sorted({vendor for vendor, _ in counts}):
        met = {what: number for (name, what), number in counts.items() if name == vendor}
        checked, refused = met.pop("checked", 0), met.pop("refused", 0)
        terminalreporter.write_line(
            f"{vendor}: {checked} requests checked against its description, {refused} of them refused by the stand-in, "
            f"{len(met)} known deviations"
        )
        if terminalreporter.verbosity > 0:
            for what, number in sorted(met.items()):
                terminalreporter.write_line(f"  {number} x {what}")
