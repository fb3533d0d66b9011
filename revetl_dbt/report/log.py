"""The log of a command: lines on stderr in dbt's form, `HH:MM:SS  message` (UTC) or one JSON object a line.

The JSON lines have dbt's shape, `{"data": {...}, "info": {"code", "name", "level", "msg", "ts", ...}}`
(https://docs.getdbt.com/reference/events-logging).
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict
from enum import Enum
from typing import Any

import click

from revetl_dbt.errors import Diagnostic
from revetl_dbt.project.options import Options

LEVELS = ("debug", "info", "warn", "error", "none")


class Event(Enum):
    """Every kind of line, by its stable name and code."""

    RunStarted = "R001"
    AdapterFound = "R002"
    SyncsFound = "R003"
    Concurrency = "R004"
    SyncStarted = "R010"
    SyncPlanned = "R011"
    SyncProgress = "R012"
    SyncFinished = "R013"
    Notice = "R020"
    Warning = "R021"
    RunFinished = "R030"
    RunSummary = "R031"
    SyncProblem = "R032"
    RunTotals = "R033"
    Formatting = "R040"


class Log:
    """Where a command's lines go. Used by several threads at once."""

    def __init__(self, options: Options, invocation_id: str) -> None:
        self.is_json = options.log_format == "json"
        self.invocation_id = invocation_id
        self._level = LEVELS.index("error" if options.quiet else options.log_level)
        self.colors = _colors(options)
        self._write: Callable[[str], None] = self._echo
        self._lock = threading.Lock()

    @property
    def on_terminal(self) -> bool:
        """True when lines of level info go to a terminal that can move the cursor."""
        shown = not self.is_json and self._level <= LEVELS.index("info")
        return shown and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def write_through(self, write: Callable[[str], None] | None) -> None:
        """Hand finished lines to `write` (a progress display that owns the terminal), or to stderr again."""
        self._write = write or self._echo

    def line(self, event: Event, message: str, level: str = "info", **data: Any) -> None:
        """One line; `message` may hold click's styles, `data` goes into the JSON form."""
        if LEVELS.index(level) < self._level:
            return
        now = dt.datetime.now(dt.timezone.utc)
        if self.is_json:
            text = self._as_json(event, click.unstyle(message), level, now, data)
        else:
            stamp = now.strftime("%H:%M:%S")
            text = "\n".join(f"{stamp}  {part}".rstrip() for part in message.split("\n"))
        with self._lock:
            self._write(text)

    def warnings(self, diagnostics: Iterable[Diagnostic]) -> None:
        """What is doubtful in the input."""
        for item in diagnostics:
            head, _, rest = item.render().partition("\n")
            message = click.style(head, fg="yellow") + (f"\n{rest}" if rest else "")
            known = {name: value for name, value in asdict(item).items() if value is not None}
            self.line(Event.Warning, message, "warn", **known)

    def notice(self, text: str) -> None:
        """Something that a person should know."""
        self.line(Event.Notice, text, "warn")

    def gap(self) -> None:
        """An empty line, for people only."""
        if not self.is_json:
            self.line(Event.Formatting, "")

    def _as_json(self, event: Event, message: str, level: str, now: dt.datetime, data: dict[str, Any]) -> str:
        info: dict[str, Any] = {
            "category": "",
            "code": event.value,
            "extra": {},
            "invocation_id": self.invocation_id,
            "level": level,
            "msg": message,
            "name": event.name,
            "pid": os.getpid(),
            "thread": threading.current_thread().name,
            "ts": timestamp(now),
        }
        return json.dumps({"data": data, "info": info}, sort_keys=True, default=str)

    def _echo(self, text: str) -> None:
        click.echo(text, err=True, color=self.colors)


def timestamp(moment: dt.datetime) -> str:
    """A UTC time as dbt writes it into artifacts and logs."""
    return moment.astimezone(dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _colors(options: Options) -> bool | None:
    """As the options say, else never where NO_COLOR is set (https://no-color.org), else as the terminal can (None)."""
    if options.use_colors is None and os.environ.get("NO_COLOR"):
        return False
    return options.use_colors
