"""Tells people of changes: a sync failed, is held, sent a part, or works again. One message a change, without values.

Slack: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
Teams: https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from revetl_dbt.engine.result import SyncResult
from revetl_dbt.report.console import Redact
from revetl_dbt.report.log import Log
from revetl_dbt.report.words import summary
from revetl_dbt.spec.models import Sync
from revetl_dbt.spec.notifications import Change, Channel
from revetl_dbt.warehouse.entries import Ending

SECONDS = (3.0, 6.0)
"""For a connection, and for an answer: together less than a run has to end when it is told to."""
HURRIED = (1.0, 1.0)
_TITLES: Mapping[Change, str] = {
    "failure": "failed",
    "partial": "was a partial success",
    "held": "is held by a guard",
    "recovery": "works again",
}
_ICONS: Mapping[Change, str] = {"failure": "🔴", "partial": "🟠", "held": "✋", "recovery": "🟢"}
_REASONS = 5


@dataclass(frozen=True, slots=True)
class Message:
    """What people are told of one sync; every text is without secrets and values of rows."""

    change: Change
    sync: Sync
    target: str
    run_id: str
    rows: str
    details: tuple[str, ...]

    @property
    def title(self) -> str:
        """One line."""
        return f"{self.sync.name} {_TITLES[self.change]} ({self.target})"

    @property
    def way(self) -> str:
        """From where to where."""
        spec = self.sync.spec
        return f"{self.sync.source.name} -> {spec.destination}.{spec.object}"


def messages(
    results: Sequence[SyncResult], before: Mapping[str, Ending], target: str, run_id: str, redact: Redact
) -> Iterator[Message]:
    """One for each sync that is now as it was not at the end of its run before (`before`, by sync)."""
    for result in results:
        if result.status == "skipped":
            continue
        former = before.get(result.sync.name)
        was = "ok" if former is None else _standing(former.status, former.guarded)
        now = _standing(result.status, result.guarded)
        if now != was:
            change: Change = "recovery" if now == "ok" else now  # type: ignore[assignment]
            details = tuple(_details(result, redact)) if now != "ok" else ()
            yield Message(change, result.sync, target, run_id, summary(result), details)


def deliver(found: Sequence[Message], channels: Sequence[Channel], log: Log, stop: threading.Event) -> None:
    """Send each message to the channels that it concerns; what does not arrive is told in the log.

    Once the run is to `stop`, little time is left for each.
    """
    for message in found:
        for channel in channels:
            if channel.concerns(message.sync.source, message.change):
                wrong = _posted(channel, message, HURRIED if stop.is_set() else SECONDS)
                if wrong:
                    log.notice(f"Channel `{channel.name}` could not be told that {message.title}: {wrong}")


def _posted(channel: Channel, message: Message, seconds: tuple[float, float]) -> str | None:
    """What went wrong, if anything did; never in an error's own words: they hold the URL, which is a secret."""
    import requests

    from revetl_dbt.destinations.base import DestinationError
    from revetl_dbt.destinations.transport import new_session

    url = channel.config.url.get_secret_value()
    body = _BODIES[channel.config.type](message)
    try:
        # What it says beside its status nobody reads, however long it is.
        with (
            new_session(url) as session,
            session.post(url, json=body, timeout=seconds, allow_redirects=False, stream=True) as answer,
        ):
            return None if 200 <= answer.status_code < 300 else f"it answered {answer.status_code}"
    except DestinationError as error:
        return str(error)
    except (requests.RequestException, ValueError) as error:
        return type(error).__name__


def _standing(status: str, guarded: int) -> str:
    if guarded:
        return "held"
    return {"error": "failure", "partial": "partial"}.get(status, "ok")


def _details(result: SyncResult, redact: Redact) -> Iterator[str]:
    if result.message:
        yield from redact(result.sync, result.message).splitlines()
    for reason, rows in result.totals.reasons.most_common(_REASONS):
        text = result.totals.hidden.get(reason, reason)
        yield f"{rows:,} x {redact(result.sync, reason if text == reason else f'{reason}: {text}')}"


def _text(message: Message) -> str:
    command = f"revetl history --sync {message.sync.name}"
    return "\n".join([message.way, message.rows, *message.details, f"{command}   (run {message.run_id})"])


def _slack(message: Message) -> dict[str, Any]:
    head = f"{_ICONS[message.change]} *{_escaped(message.title)}*"
    return {"text": f"{head}\n{_escaped(_text(message))}"}


def _escaped(text: str) -> str:
    """As Slack wants control characters: https://docs.slack.dev/messaging/formatting-message-text"""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _teams(message: Message) -> dict[str, Any]:
    title = {
        "type": "TextBlock",
        "size": "Medium",
        "weight": "Bolder",
        "wrap": True,
        "text": f"{_ICONS[message.change]} {message.title}",
    }
    lines = [{"type": "TextBlock", "wrap": True, "text": line} for line in _text(message).splitlines()]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [title, *lines],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _webhook(message: Message) -> dict[str, Any]:
    spec, source = message.sync.spec, message.sync.source
    return {
        "event": message.change,
        "title": message.title,
        "sync": message.sync.name,
        "model": source.unique_id,
        "owner": source.owner,
        "destination": spec.destination,
        "object": spec.object,
        "target": message.target,
        "run_id": message.run_id,
        "rows": message.rows,
        "details": list(message.details),
    }


_BODIES = {"slack": _slack, "teams": _teams, "webhook": _webhook}
