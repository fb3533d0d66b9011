"""How a process dies by its own hand, with SIGKILL, at a chosen moment; nothing is cleaned up.

{"line": 812, "in": ["engine/"]}    at the 812th line of ours that runs in these files, whatever the thread
{"call": "module:Class.method", "nth": 2, "when": "before"}
{"torn": 3, "share": 0.4}           in the middle of writing the third line of a journal
{"count": "/a/file"}                not at all: how many lines ran in each file of ours is written into a file
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import revetl_dbt
from revetl_dbt.engine import journal

HOME = str(Path(revetl_dbt.__file__).parent) + os.sep


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arrange(death: Mapping[str, Any]) -> Callable[[], None]:
    """Prepare this process to die as told. What is returned is to be called at the end of one that lives."""
    if "line" in death:
        lines = itertools.count(1)
        _trace(tuple(HOME + place for place in death["in"]), lambda frame: next(lines) != death["line"] or die())
    elif "count" in death:
        ran: Counter[str] = Counter()
        _trace((HOME,), lambda frame: ran.update([frame.f_code.co_filename.removeprefix(HOME)]))
        return lambda: Path(death["count"]).write_text(json.dumps(ran)) and None
    elif "torn" in death:
        _tear(int(death["torn"]), float(death["share"]))
    elif "call" in death:
        _at_call(str(death["call"]), int(death["nth"]), str(death["when"]))
    return lambda: None


def _trace(places: tuple[str, ...], met: Callable[[FrameType], object]) -> None:
    """Call `met` before every line that runs in a file whose path begins with one of `places`."""

    def on_line(frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        if event == "line":
            met(frame)
        return on_line

    def on_call(frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        return on_line if frame.f_code.co_filename.startswith(places) else None

    threading.settrace(on_call)
    sys.settrace(on_call)


def _tear(nth: int, share: float) -> None:
    lines = itertools.count(1)
    whole = journal.Journal._append

    def torn(self: journal.Journal, *arguments: Any, **named: Any) -> None:
        if next(lines) == nth:
            file = self._file

            class Half:
                def write(self, line: bytes) -> None:
                    file.write(line[: int(len(line) * share)])
                    die()

            self._file = Half()
        whole(self, *arguments, **named)

    journal.Journal._append = torn  # type: ignore[method-assign]  # this process lives for one run


def _at_call(target: str, nth: int, when: str) -> None:
    module, _, path = target.partition(":")
    owner, name = path.split(".")
    place = getattr(importlib.import_module(module), owner)
    original = getattr(place, name)
    calls = itertools.count(1)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        mine = next(calls) == nth
        if mine and when == "before":
            die()
        result = original(*args, **kwargs)
        if mine:
            die()
        return result

    setattr(place, name, wrapped)
