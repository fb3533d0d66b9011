"""What `revetl history` and `revetl show` print. Values of rows are hidden unless they are asked for."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click

from revetl_dbt.engine.look import Look
from revetl_dbt.engine.preview import Example
from revetl_dbt.report.log import timestamp
from revetl_dbt.report.redact import HIDDEN
from revetl_dbt.report.words import REASONS, counted, size
from revetl_dbt.warehouse.history import Event, PastRun

_COLORS = {"success": "green", "noop": None, "partial": "yellow", "error": "red"}
_COUNTS = {
    "created": "created",
    "updated": "updated",
    "deleted": "deleted",
    "unchanged": "unchanged",
    "rejected": "rejected",
    "invalid": "invalid",
    "held": "held",
    "skipped": "kept back by a guard",
    "not_attempted": "not attempted",
}
Mask = Callable[[str, str], str]
"""What masks a text (the second argument) that others wrote about the sync of that name."""


def runs_as_text(found: Sequence[PastRun]) -> str:
    """A line a run and sync, and under it why it did not go through."""
    return "".join(f"{line}\n" for run in found for line in _run(run))


def runs_as_json(found: Sequence[PastRun]) -> str:
    """A JSON array."""
    return _json([_plain(run._asdict()) for run in found])


def events_as_text(found: Sequence[Event], mask: Mask, *, show_values: bool) -> str:
    """A paragraph for each thing that happened to a row."""
    lines: list[str] = []
    former: tuple[Any, ...] | None = None
    for event in found:
        group = (event.at, event.run_id, event.sync, event.action, event.status)
        if group != former:
            lines += [*([""] if lines else []), *_event(event, mask, show_values)]
            former = group
        if event.field is not None:
            old, new = (_value(value, show_values) for value in (event.old, event.new))
            lines.append(f"    {event.field}  {new}" if event.old is None else f"    {event.field}  {old} -> {new}")
    return "\n".join(lines) + ("\n" if lines else "")


def events_as_json(found: Sequence[Event], mask: Mask, *, show_values: bool) -> str:
    """A JSON array."""
    return _json([_event_data(event, mask, show_values) for event in found])


def looks_as_text(found: Sequence[Look], mask: Mask, *, show_values: bool) -> str:
    """A paragraph a sync."""
    return "\n".join("\n".join(_look(item, mask, show_values)) + "\n" for item in found)


def looks_as_json(found: Sequence[Look], mask: Mask, *, show_values: bool) -> str:
    """A JSON array."""
    return _json([_look_data(item, mask, show_values) for item in found])


def _run(run: PastRun) -> Iterator[str]:
    rows = counted(*((int(getattr(run, name) or 0), word) for name, word in _COUNTS.items()))
    status = click.style(run.status.ljust(7), fg=_COLORS.get(run.status))
    if run.command.startswith("state "):
        rows = run.command
    seconds = f"{(run.finished_at - run.started_at).total_seconds():.1f}s" if run.started_at else ""
    processed = "" if run.bytes_processed is None else f", {size(int(run.bytes_processed))} processed"
    cost = f"{seconds}, {run.requests or 0:,} requests{processed}, run {run.run_id}"
    yield f"{_time(run.finished_at)}  {status}  {run.sync}: {rows}  [{cost}]"
    for text in (run.message, run.released and f"released: {run.released}"):
        if text:
            yield from (f"    {line}" for line in text.splitlines())


def _event(event: Event, mask: Mask, show_values: bool) -> Iterator[str]:
    attempt = f", attempt {event.attempt}" if event.attempt else ""
    record = f", record {event.destination_id}" if event.destination_id else ""
    yield f"{_time(event.at)}  {event.sync}: {event.action} {event.status}{attempt}{record}  [run {event.run_id}]"
    # What it quotes of the row as it was then cannot be told from its own words any more.
    message = event.message if show_values or not event.message else f"{HIDDEN}, unless --show-values asks for it"
    told = ": ".join(mask(event.sync, text) for text in (event.code, message) if text)
    if told:
        yield f"    {told}"


def _event_data(event: Event, mask: Mask, show_values: bool) -> dict[str, Any]:
    data = _plain(event._asdict())
    data["message"] = _masked(event.sync, event.message, mask)
    if not show_values:
        data |= {name: None if data[name] is None else HIDDEN for name in ("old", "new", "message")}
    return data


def _look(item: Look, mask: Mask, show_values: bool) -> Iterator[str]:
    spec = item.sync.spec
    account = "" if item.account is None else f", account {item.account.name or item.account.id}"
    paused = "" if spec.enabled else " (paused)"
    title = f"{item.sync.name}: {item.sync.source.name} -> {spec.destination}.{spec.object}{account}{paused}"
    yield click.style(title, bold=True)
    if item.failed:
        yield from (click.style(f"  {line}", fg="red") for line in item.failed.splitlines())
        return
    yield from _accepted(item, show_values)
    if item.refused is not None:
        refused = item.refused
        message = refused.message if show_values else refused.safe
        told = ": ".join(mask(item.sync.name, text) for text in (refused.code, message) if text)
        times = "once" if refused.attempts == 1 else f"{refused.attempts} times"
        yield f"  refused    {refused.op} {refused.status} {times}, the last {_time(refused.at)} [run {refused.run_id}]"
        yield from (f"             {line}" for line in told.splitlines())
    yield from _planned(item, show_values)


def _accepted(item: Look, show_values: bool) -> Iterator[str]:
    accepted = item.accepted
    if accepted is None:
        yield "  accepted   never"
        return
    yield f"  accepted   {accepted.standing}, {_time(accepted.at)} [run {accepted.run_id}]"
    if accepted.id:
        yield f"  record     {accepted.id}" + (f"  {accepted.url}" if accepted.url else "")
    width = max((len(name) for name in accepted.values), default=0)
    for name, value in accepted.values.items():
        yield f"    {name.ljust(width)}  {_value(value, show_values)}"


def _planned(item: Look, show_values: bool) -> Iterator[str]:
    if not item.planned:
        yield "  next run   nothing to do"
        return
    for example in item.planned:
        yield f"  next run   {_what(example)}"
        if example.op not in ("create", "update"):
            continue
        for change in example.fields:
            new = _value(change.new, show_values)
            yield f"    {change.name}  " + (
                new if example.op == "create" else f"{_value(change.old, show_values)} -> {new}"
            )


def _what(example: Example) -> str:
    if example.op == "invalid":
        return f"cannot be sent: {REASONS.get(example.reason or '', example.reason)}"
    if example.op == "held":
        return f"held: its {example.reason} was rejected too often or may have arrived; `revetl retry` releases it"
    return example.op


def _look_data(item: Look, mask: Mask, show_values: bool) -> dict[str, Any]:
    accepted, refused, spec = item.accepted, item.refused, item.sync.spec

    def shown(value: Any) -> Any:
        return value if show_values or value is None else HIDDEN

    return {
        "sync": item.sync.name,
        "model": item.sync.source.unique_id,
        "destination": spec.destination,
        "object": spec.object,
        "account": item.account and item.account.id,
        "failed": item.failed,
        "paused": not spec.enabled,
        "accepted": None
        if accepted is None
        else {
            "standing": accepted.standing,
            "id": accepted.id,
            "url": accepted.url,
            "run_id": accepted.run_id,
            "at": _stamp(accepted.at),
            "values": {name: shown(value) for name, value in accepted.values.items()},
        },
        "refused": None
        if refused is None
        else {
            "operation": refused.op,
            "attempts": refused.attempts,
            "status": refused.status,
            "code": refused.code,
            "message": _masked(item.sync.name, refused.message if show_values else refused.safe, mask),
            "run_id": refused.run_id,
            "at": _stamp(refused.at),
        },
        "planned": [
            {
                "operation": example.op,
                "reason": example.reason,
                "fields": [
                    {"name": c.name, "old": shown(_text(c.old)), "new": shown(_text(c.new))} for c in example.fields
                ],
            }
            for example in item.planned
        ],
    }


def _masked(sync: str, text: str | None, mask: Mask) -> str | None:
    return None if text is None else mask(sync, text)


def _value(value: Any, show_values: bool) -> str:
    if value is None:
        return "null"
    return json.dumps(str(value), ensure_ascii=False) if show_values else HIDDEN


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _stamp(value) if isinstance(value, dt.datetime) else value for name, value in data.items()}


def _json(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False)


def _time(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _stamp(moment: dt.datetime) -> str:
    return timestamp(moment.replace(tzinfo=dt.timezone.utc))
