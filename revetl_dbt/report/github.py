"""What GitHub Actions shows of a run: annotations at the declarations, and a summary of the step.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from revetl_dbt.engine.result import SyncResult
from revetl_dbt.report.console import Redact
from revetl_dbt.report.words import reasons, summary, verdict

_SHOWN = {"error": "error", "partial success": "error", "warn": "warning"}
_ICONS = {"PASS": "✅", "WARN": "⚠️", "ERROR": "❌", "SKIP": "⏭️", "NO-OP": "➖"}


def in_actions() -> bool:
    """True inside a step of GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def workflow_commands(results: Sequence[SyncResult], redact: Redact) -> Iterator[str]:
    """A workflow command for each sync that did not go through as a whole, at the line of its declaration."""
    for result in results:
        kind = _SHOWN.get(verdict(result).status)
        if kind is None:
            continue
        places = {"title": f"{verdict(result).word} sync {result.sync.name}"}
        if result.sync.path is not None:
            places["file"] = _from_the_root(Path(result.sync.path))
            places["line"] = str(result.sync.line or 1)
        properties = ",".join(f"{name}={_escaped(text, ':,')}" for name, text in places.items())
        yield f"::{kind} {properties}::{_escaped(_what(result, redact))}"


def step_summary(results: Sequence[SyncResult], seconds: float, target: str, redact: Redact) -> str:
    """A table of the syncs, as Markdown."""
    lines = [
        f"### revetl: {len(results)} syncs, target `{target}`, {seconds:.1f} s",
        "",
        "| | sync | to | rows | |",
        "| --- | --- | --- | --- | --- |",
    ]
    for result in results:
        spec = result.sync.spec
        said = redact(result.sync, result.message) if result.message else ""
        cells = [
            _ICONS[verdict(result).tally],
            f"`{result.sync.name}`",
            f"{spec.destination}.{spec.object}",
            "" if result.status == "skipped" else summary(result),
            said,
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", "<br>") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def append_summary(text: str) -> None:
    """Add Markdown to the step's summary, where there is one."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


def _what(result: SyncResult, redact: Redact) -> str:
    parts = [summary(result)]
    if result.message:
        parts.append(redact(result.sync, result.message))
    if result.invalid:
        parts.append(f"cannot be sent: {reasons(result.invalid)}")
    return "\n".join(parts)


def _from_the_root(path: Path) -> str:
    root = os.environ.get("GITHUB_WORKSPACE")
    whole = path.absolute()
    return str(whole.relative_to(root)) if root and whole.is_relative_to(root) else str(path)


def _escaped(text: str, also: str = "") -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    for char in also:
        text = text.replace(char, f"%{ord(char):02X}")
    return text
