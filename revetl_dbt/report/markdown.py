"""A plan as Markdown, for a comment on a pull request: counts and names of fields, never a value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from revetl_dbt.engine.preview import Preview
from revetl_dbt.report.plan import totals
from revetl_dbt.report.words import plural

MARK = "<!-- revetl plan -->"
"""Finds the comment again, so that the next plan takes its place."""
_OPS = {"to create": "create", "to update": "update", "to remove": "delete", "cannot go": "invalid", "held": "held"}


def as_markdown(previews: Sequence[Preview], target: str) -> str:
    """The body of a comment; ends with a new line."""
    lines = [MARK, f"### revetl plan for target `{target}`", ""]
    changing = [item for item in previews if item.groups or item.failed or item.violations]
    lines += list(_table(changing)) if changing else ["Nothing to send."]
    skipped = [item for item in previews if item.skipped]
    quiet = len(previews) - len(changing) - len(skipped)
    if quiet and changing:
        lines += ["", f"{plural(quiet, 'more sync')} without changes."]
    if skipped:
        lines += ["", *(f"- Skipped `{item.sync.name}`: {item.skipped}" for item in skipped)]
    for item in changing:
        lines += ["", *_details(item)]
    return "\n".join(lines) + "\n"


def _table(previews: Sequence[Preview]) -> Iterator[str]:
    yield "| sync | to | " + " | ".join(_OPS) + " | unchanged |"
    yield "| --- | --- |" + " ---: |" * (len(_OPS) + 1)
    for item in previews:
        spec = item.sync.spec
        counts = [item.count(op, *(("clear",) if op == "delete" else ())) for op in _OPS.values()]
        numbers = [f"{count:,}" if count else "" for count in counts]
        mark = "❌ " if item.failed else "✋ " if item.violations else ""
        cells = [f"{mark}`{item.sync.name}`", f"{spec.destination}.{spec.object}", *numbers, f"{item.unchanged:,}"]
        yield "| " + " | ".join(cells) + " |"


def _details(item: Preview) -> Iterator[str]:
    said = list(_said(item))
    if not said:
        return
    yield f"<details><summary>{item.sync.name}: {'failed' if item.failed else totals(item)}</summary>"
    yield ""
    yield from said
    yield ""
    yield "</details>"


def _said(item: Preview) -> Iterator[str]:
    if item.failed:
        yield from ("```", item.failed.replace("```", "'''"), "```")
    for violation in item.violations:
        held = "the removals are held" if violation.removals_only else "the sync is held"
        yield f"- Guard `{violation.guard}` is broken: {violation.reason}; {held}"
    for name, kind in item.new_fields.items():
        yield f"- Field `{name}` ({kind}) is created first"
    if item.changed_fields:
        fields = sorted(item.changed_fields.items(), key=lambda pair: (-pair[1], pair[0]))
        yield "- Changed fields: " + ", ".join(f"`{name}` ({rows:,})" for name, rows in fields)
    if item.requests:
        yield f"- About {plural(item.requests, 'request')}"
