"""The local crash net: what was sent and what became of it, until the warehouse knows.

One file a sync and account, one JSON array a line:

    ["plan", plan_id, run_id]                                            first
    ["sent", op, from, to]                                               before a batch leaves
    ["job", op, from, to, operation, [seq, ...], job]                    a vendor's job works on these rows of a batch
    ["done", op, from, to, [[seq, status, id, code, message], ...]]      after its outcomes are known

Rows of a done batch that are not listed were accepted. A torn last line is what a crash leaves, and is passed over.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from revetl_dbt.destinations.base import Operation
from revetl_dbt.errors import RevetlError
from revetl_dbt.warehouse.ledger import Range, Result


@dataclass(frozen=True, slots=True)
class Entry:
    """A batch whose outcomes are known."""

    range: Range
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """A vendor's job that held rows of a batch that is still open."""

    range: Range
    operation: Operation
    seqs: tuple[int, ...]
    job: str


@dataclass(slots=True)
class Left:
    """What a journal tells of a run that did not finish."""

    plan_id: str
    run_id: str
    done: list[Entry] = field(default_factory=list)
    open: list[Range] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)


class Journal:
    """An append-only file; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._written = self._synced = 0
        self._header = b""
        self._kept: dict[Range, list[bytes]] = {}
        self._file: Any = None
        self._problem: str | None = None

    def start(self, plan_id: str, run_id: str) -> None:
        """Begin anew for a plan; what the file held before is gone. Raises RevetlError."""
        self._header = _line(["plan", plan_id, run_id])
        self._kept = {}
        self._rewrite()

    def sent(self, batch: Range, *, durable: bool) -> None:
        """A batch is about to leave. See `done` for `durable`."""
        self._append(batch, ["sent", *batch], durable)

    def job(self, batch: Range, operation: Operation, seqs: Sequence[int], job: str) -> None:
        """A vendor's job has begun, or is about to begin, with these rows of a batch. On disk when this returns."""
        self._append(batch, ["job", *batch, operation.value, list(seqs), job], durable=True)

    def done(self, batch: Range, results: Sequence[Result], *, durable: bool) -> None:
        """A batch's outcomes.

        The line is in the operating system's hands when this returns, so that the death of this process cannot lose
        it. `durable`, for batches that would do harm when sent twice: it is on disk, so that a power cut cannot either.
        """
        self._append(batch, ["done", *batch, [list(result) for result in results]], durable)

    def forget(self, batches: Iterable[Range]) -> None:
        """The warehouse has the outcomes of these batches: the file shrinks to the others."""
        with self._sync_lock, self._lock:
            for batch in batches:
                self._kept.pop(batch, None)
            self._rewrite()
            self._synced = self._written

    def finish(self) -> None:
        """The warehouse knows everything: the file goes. Raises RevetlError."""
        if self._file is not None:
            self._file.close()
            self._file = None
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from error

    def read(self) -> Left | None:
        """What an earlier process left behind; None when there is nothing. Raises RevetlError when it cannot be
        read."""
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RevetlError(
                f"The journal `{self._path}` of an earlier run cannot be read: {error.strerror or error}; nothing"
                " is sent without it, as it may say what was sent"
            ) from error
        recovered: Left | None = None
        for line in lines:
            try:
                entry = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                break
            if entry[0] == "plan":
                recovered = Left(entry[1], entry[2])
            elif recovered is not None:
                _collect(recovered, entry)
        return recovered

    def _append(self, batch: Range, entry: list[Any], durable: bool) -> None:
        line = _line(entry)
        with self._lock:
            self._write(line)
            self._kept.setdefault(batch, []).append(line)
            self._written += 1
            mine = self._written
        if durable:
            self._sync(mine)

    def _write(self, line: bytes) -> None:
        """Raises RevetlError when the disk is full, and from then on: what came after half a line could not be read."""
        problem = self._problem
        try:
            if not problem and self._file.write(line) != len(line):
                problem = "there is no room for it"
        except OSError as error:
            problem = error.strerror or str(error)
        if problem:
            self._problem = problem
            raise self._unwritable(problem)

    def _sync(self, mine: int) -> None:
        """Wait until line `mine` is on disk; lines that came meanwhile go with it."""
        with self._sync_lock:
            if self._synced < mine:
                reached = self._written
                os.fsync(self._file.fileno())
                self._synced = reached

    def _rewrite(self) -> None:
        """Replace the file at once by one that holds the header and what is kept. Raises RevetlError."""
        try:
            self._replace()
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from error

    def _unwritable(self, problem: str) -> RevetlError:
        return RevetlError(f"The journal `{self._path}` cannot be written: {problem}; nothing more is sent")

    def _replace(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        with draft.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(self._header)
            file.writelines(line for lines in self._kept.values() for line in lines)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        if self._file is not None:
            self._file.close()
        self._file = self._path.open("ab", buffering=0)


def _line(entry: list[Any]) -> bytes:
    return msgspec.json.encode(entry) + b"\n"


def _collect(recovered: Left, entry: list[Any]) -> None:
    batch = Range(entry[1], entry[2], entry[3])
    if entry[0] == "sent":
        recovered.open.append(batch)
        return
    if entry[0] == "job":
        recovered.jobs.append(Job(batch, Operation(entry[4]), tuple(entry[5]), entry[6]))
        return
    recovered.done.append(Entry(batch, tuple(Result(*result) for result in entry[4])))
    if batch in recovered.open:
        recovered.open.remove(batch)
        recovered.jobs = [job for job in recovered.jobs if job.range != batch]
