"""A plan as a person reads it (in Terraform's manner) and as JSON.

Values of rows are hidden unless they are asked for, so that a plan can go into a pull request: the names of changed
fields show, and whether a value is null. A key shows where it is a number or an id that says nothing of a person.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import click

from revetl_dbt.engine.preview import Example, FieldChange, Preview
from revetl_dbt.engine.sending import ORDER
from revetl_dbt.report.redact import HIDDEN, Redactor, printable
from revetl_dbt.report.words import REASONS, counted, plural, size
from revetl_dbt.spec.models import Mode, Sync

_SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red"), "clear": ("-", "red")}
_NOT_SENT = ("!", "magenta")
_SHOWN = ("create", "update", "delete", "clear", "invalid", "held")
_LONGEST = 80
WIDTH = 100
_ID = re.compile(
    r"\d+|[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}|[A-Za-z]{1,12}[_-][0-9A-Za-z]*\d[0-9A-Za-z]*", re.IGNORECASE
)


class PlanText:
    """Renders previews as text."""

    def __init__(self, *, show_values: bool, limit: int) -> None:
        """`limit` is the number of examples that each operation has at most."""
        self._show_values = show_values
        self._limit = limit

    def render(self, previews: Sequence[Preview], target: str) -> str:
        """All plans, and what they come to; ends with a new line."""
        lines: list[str] = []
        for item in previews:
            if item.groups or item.failed or item.skipped or item.violations:
                lines += [*self._sync(item), ""]
        return "\n".join([*lines, *self._end(previews, target)]) + "\n"

    def _sync(self, item: Preview) -> Iterator[str]:
        yield click.style(_title(item.sync), bold=True)
        if item.skipped:
            yield f"  skipped: {item.skipped}"
            return
        if item.failed:
            yield from (click.style(f"  {line}", fg="red") for line in item.failed.splitlines())
            return
        yield from _new_fields(item)
        for op in _SHOWN:
            if item.count(op):
                yield ""
                yield from self._operation(item, op)
        if item.changed_fields:
            yield from (
                "",
                *_wrapped("  Changed fields: ", [f"{name} ({n:,})" for name, n in _by_count(item.changed_fields)]),
            )
        yield from _notes(item)

    def _operation(self, item: Preview, op: str) -> Iterator[str]:
        examples = [example for example in item.examples if example.op == op]
        shown = examples[: self._limit]
        for example in shown:
            yield from self._example(example, item)
        more = item.count(op) - len(shown)
        if more:
            sign, color = _SIGNS.get(op, _NOT_SENT)
            rest = f"{more:,} more" if shown else plural(more, "row")
            yield f"  {click.style(sign, fg=color)} {rest} {_verb(op, item)}"
        if op == "create" and shown and not self._show_values:
            yield from _wrapped("    fields: ", [change.name for change in shown[0].fields])

    def _example(self, example: Example, item: Preview) -> Iterator[str]:
        sign, color = _SIGNS.get(example.op, _NOT_SENT)
        key = ", ".join(f"{name} {self._key(value)}" for name, value in example.key.items())
        yield f"  {click.style(sign, fg=color)} {key}{_note(example, item)}"
        if example.op not in ("create", "update") or (example.op == "create" and not self._show_values):
            return
        width = max((len(change.name) for change in example.fields), default=0)
        for change in example.fields:
            yield f"      {change.name.ljust(width)}  {self._change(change, example.op)}"

    def _change(self, change: FieldChange, op: str) -> str:
        new = self._value(change.new)
        return new if op == "create" else f"{self._value(change.old)} -> {new}"

    def _value(self, value: Any) -> str:
        return literal(value) if self._show_values or value is None else HIDDEN

    def _key(self, value: Any) -> str:
        return literal(value) if self._show_values or harmless(value) else HIDDEN

    def _end(self, previews: Sequence[Preview], target: str) -> Iterator[str]:
        failed = sum(1 for item in previews if item.failed)
        unsent = sum(item.count("invalid", "held") for item in previews)
        if failed:
            yield click.style(f"{plural(failed, 'plan')} failed.", fg="red")
        elif not any(item.changes for item in previews):
            yield self._no_changes(previews, target, unsent)
        elif sum(1 for item in previews if item.groups) > 1:
            parts = [(sum(item.count(op) for item in previews), f"to {op}") for op in ORDER]
            unchanged = sum(item.unchanged for item in previews)
            yield f"Total: {counted(*_ordered(parts), (unchanged, 'unchanged'), (unsent, 'that cannot be sent'))}"
        if any(item.examples for item in previews) and not self._show_values:
            yield "Values are hidden; --show-values shows them."

    def _no_changes(self, previews: Sequence[Preview], target: str, unsent: int) -> str:
        skipped = sum(1 for item in previews if item.skipped)
        if skipped and skipped == len(previews):
            return f"Nothing was planned: {plural(skipped, 'sync')} skipped."
        rows = sum(item.unchanged for item in previews)
        still = f", apart from {plural(unsent, 'row')} that cannot be sent" if unsent else ""
        others = f" {plural(skipped, 'sync')} skipped." if skipped else ""
        return (
            f"No changes. The destinations of target `{target}` have {plural(rows, 'row')} as they are{still}.{others}"
        )


def totals(item: Preview) -> str:
    """ "3 to create, 2 to update, 1 to delete, 988 unchanged, 1 invalid"."""
    return counted(
        (item.count("create"), "to append" if item.sync.spec.mode is Mode.APPEND else "to create"),
        (item.count("update"), "to update"),
        (item.count("delete"), f"to {item.removal}"),
        (item.count("clear"), "to clear"),
        (item.unchanged, "unchanged"),
        (item.count("invalid"), "invalid"),
        (item.count("held"), "held"),
    )


def as_json(item: Preview, redact: Redactor, *, show_values: bool) -> dict[str, Any]:
    """One sync of plan.json."""
    spec, account = item.sync.spec, item.account
    return {
        "unique_id": f"revetl.{item.sync.source.unique_id.split('.')[1]}.{item.sync.name}",
        "sync": item.sync.name,
        "status": "error" if item.failed else "skipped" if item.skipped else "planned",
        "message": redact(item.failed) if item.failed else item.skipped,
        "model": item.sync.source.unique_id,
        "relation_name": item.sync.source.relation_name,
        "destination": spec.destination,
        "object": spec.object,
        "mode": spec.mode.value,
        "account": None if account is None else {"id": account.id, "name": account.name, "url": account.url},
        "model_rows": item.model_rows,
        "ledger_rows": item.ledger_rows,
        "unchanged": item.unchanged,
        "operations": {op: item.count(op) for op in _SHOWN},
        "reasons": [{"operation": g.op, "reason": g.reason, "rows": g.rows} for g in item.groups if g.reason],
        "changed_fields": item.changed_fields,
        "new_fields": item.new_fields,
        "guards": [
            {"guard": v.guard, "reason": v.reason, "holds": "removals" if v.removals_only else "sync"}
            for v in item.violations
        ],
        "requests": item.requests,
        "seconds": round(item.seconds, 3),
        "bytes_processed": item.bytes_processed,
        "limited": item.limited,
        "digest": item.digest,
        "examples": [_example_json(example, show_values) for example in item.examples],
    }


def literal(value: Any) -> str:
    """A value on one line, cut where it is long."""
    if isinstance(value, (dt.datetime, dt.date, dt.time, Decimal)):
        return str(value)
    text = printable(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def harmless(value: Any) -> bool:
    """True for a key that may be shown: null, a number, a UUID or a prefixed id, and nothing like a phone number."""
    if value is None or isinstance(value, bool):
        return True
    text = str(value)
    return bool(_ID.fullmatch(text)) and (not text.isdigit() or Redactor()(text) == text)


def _example_json(example: Example, show_values: bool) -> dict[str, Any]:
    def value(given: Any) -> Any:
        plain = given is None or isinstance(given, (bool, int, float, list, dict))
        return given if plain else str(given)

    fields: list[Any] = [change.name for change in example.fields]
    if show_values:
        fields = [{"name": c.name, "old": value(c.old), "new": value(c.new)} for c in example.fields]
    return {
        "operation": example.op,
        "reason": example.reason,
        "key": {name: value(part) if show_values or harmless(part) else HIDDEN for name, part in example.key.items()},
        "fields": fields,
    }


def _title(sync: Sync) -> str:
    spec = sync.spec
    return f"{sync.name}: {sync.source.name} -> {spec.destination}.{spec.object} ({spec.mode.value})"


def _new_fields(item: Preview) -> Iterator[str]:
    if item.new_fields:
        yield ""
    for name, kind in item.new_fields.items():
        yield f"  {click.style('+', fg='green')} field {name} ({kind}) is created first"


def _notes(item: Preview) -> Iterator[str]:
    """What the plan comes to."""
    yield from ("", f"  Plan: {totals(item)}")
    if item.limited:
        yield "  Only new rows were looked at (`changed_since`); --all-rows looks at all of them"
    if item.requests:
        yield f"  About {plural(item.requests, 'request')}, {_duration(item.seconds)}"
    if item.bytes_processed is not None:
        yield f"  The plan's queries processed {size(item.bytes_processed)}"
    for violation in item.violations:
        held = "the removals are held" if violation.removals_only else "the sync is held"
        text = f"  Guard `{violation.guard}` is broken: {violation.reason}; {held} (--release {item.sync.name})"
        yield click.style(text, fg="red")
    if item.interrupted:
        yield "  An interrupted run has outcomes that the next run records first; those rows are not sent again"


def _note(example: Example, item: Preview) -> str:
    if example.op == "invalid":
        return f"  ({REASONS.get(example.reason or '', example.reason)})"
    if example.op == "held":
        return f"  (held: its {example.reason} was rejected too often or may have arrived; `revetl retry` releases it)"
    if example.op in ("delete", "clear"):
        return f"  ({item.removal if example.op == 'delete' else 'clear its fields'})"
    return ""


def _verb(op: str, item: Preview) -> str:
    return {"invalid": "cannot be sent", "held": "held", "delete": f"to {item.removal}"}.get(op, f"to {op}")


def _wrapped(head: str, names: Sequence[str]) -> list[str]:
    text = head + ", ".join(name.replace(" ", "\xa0") for name in names)
    lines = textwrap.wrap(
        text, WIDTH, subsequent_indent=" " * len(head), break_long_words=False, break_on_hyphens=False
    )
    return [line.replace("\xa0", " ") for line in lines]


def _by_count(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _ordered(parts: list[tuple[int, str]]) -> list[tuple[int, str]]:
    return sorted(parts, key=lambda part: _SHOWN.index(part[1].removeprefix("to ")))


def _duration(seconds: float) -> str:
    if seconds < 60:
        return plural(max(1, round(seconds)), "second")
    minutes = round(seconds / 60)
    return plural(minutes, "minute") if minutes < 120 else f"{seconds / 3600:.1f} hours"
