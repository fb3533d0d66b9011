"""The journal: what was sent and what became of it, whatever was cut off."""

from __future__ import annotations

import errno
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from revetl_dbt.engine.journal import Entry, Journal, Left
from revetl_dbt.errors import RevetlError
from revetl_dbt.warehouse.ledger import Range, Result

A, B, C = Range("create", 0, 4), Range("create", 5, 9), Range("update", 3, 9)
REJECTED = Result(6, "rejected", None, "E1", "wrong — ünïcode\nand a second line")
ACCEPTED = Result(7, "accepted", "id-7", None, None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "people.jsonl"


def begun(path: Path) -> Journal:
    journal = Journal(path)
    journal.start("plan-1", "run-1")
    return journal


def test_there_is_nothing_at_first(path: Path) -> None:
    assert Journal(path).read() is None


def test_what_is_written_is_read(path: Path) -> None:
    journal = begun(path)
    for batch in (A, B, C):
        journal.sent(batch, durable=True)
    journal.done(B, [REJECTED, ACCEPTED], durable=True)
    journal.done(A, [], durable=False)
    expected = Left("plan-1", "run-1", [Entry(B, (REJECTED, ACCEPTED)), Entry(A, ())], [C])
    assert Journal(path).read() == expected
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_journal_that_cannot_be_read_is_told(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(RevetlError, match=r"people\.jsonl` of an earlier run cannot be read: "):
        Journal(path).read()
    with pytest.raises(RevetlError, match=r"people\.jsonl` cannot be written: "):
        begun(path)


def test_every_tear_of_the_last_line_leaves_the_rest(path: Path) -> None:
    journal = begun(path)
    journal.sent(A, durable=True)
    journal.sent(B, durable=True)
    journal.done(A, [], durable=True)
    whole = path.read_bytes()
    journal.done(B, [REJECTED], durable=True)
    line = path.read_bytes()[len(whole) :]
    for cut in range(len(line) - 1):
        path.write_bytes(whole + line[:cut])
        assert Journal(path).read() == Left("plan-1", "run-1", [Entry(A, ())], [B])
    path.write_bytes(whole + line[:-1])  # all but the end of the line: it is whole
    assert Journal(path).read() == Left("plan-1", "run-1", [Entry(A, ()), Entry(B, (REJECTED,))], [])


def test_a_torn_header_is_nothing(path: Path) -> None:
    begun(path)
    path.write_bytes(path.read_bytes()[:-5])
    assert Journal(path).read() is None


def test_what_the_warehouse_knows_is_forgotten(path: Path) -> None:
    """A batch that ended while the warehouse was told of others is still there."""
    journal = begun(path)
    for batch in (A, B, C):
        journal.sent(batch, durable=False)
    journal.done(A, [], durable=True)
    journal.done(B, [REJECTED], durable=True)
    journal.forget([A])
    assert Journal(path).read() == Left("plan-1", "run-1", [Entry(B, (REJECTED,))], [C])
    journal.done(C, [], durable=True)
    journal.forget([B])
    assert Journal(path).read() == Left("plan-1", "run-1", [Entry(C, ())], [])
    journal.forget([C])
    assert Journal(path).read() == Left("plan-1", "run-1")
    assert path.read_bytes().count(b"\n") == 1


def test_a_new_plan_begins_anew(path: Path) -> None:
    journal = begun(path)
    journal.done(A, [], durable=True)
    journal.start("plan-2", "run-2")
    journal.sent(B, durable=True)
    assert Journal(path).read() == Left("plan-2", "run-2", [], [B])


def test_at_the_end_the_file_goes(path: Path) -> None:
    journal = begun(path)
    journal.done(A, [], durable=True)
    journal.finish()
    assert not path.exists()
    journal.finish()
    assert Journal(path).read() is None


def test_threads_write_whole_lines(path: Path) -> None:
    journal = begun(path)
    batches = [Range("create", n * 10, n * 10 + 9) for n in range(200)]

    def work(own: list[Range]) -> None:
        for batch in own:
            journal.sent(batch, durable=False)
            journal.done(batch, [Result(batch.seq_from, "rejected", None, "x", "y" * 200)], durable=False)
            if batch.seq_from % 100 == 0:
                journal.forget([batch])

    threads = [threading.Thread(target=work, args=(batches[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = Journal(path).read()
    assert left is not None
    assert {entry.range for entry in left.done} == {batch for batch in batches if batch.seq_from % 100 != 0}
    assert left.open == []


class Full:
    """A file on a disk that is full: half a line still fits, or nothing does."""

    def __init__(self, file: Any, half: bool) -> None:
        self.file = file
        self.half = half

    def write(self, line: bytes) -> int:
        if not self.half:
            raise OSError(errno.ENOSPC, "No space left on device")
        return int(self.file.write(line[: len(line) // 2]))


@pytest.mark.parametrize("half", [True, False])
def test_a_full_disk_stops_the_sending(path: Path, half: bool) -> None:
    journal = begun(path)
    journal.sent(A, durable=False)
    file = journal._file
    journal._file = Full(file, half)
    with pytest.raises(RevetlError, match=r"people\.jsonl` cannot be written: "):
        journal.sent(B, durable=False)
    journal._file = file
    with pytest.raises(RevetlError, match="nothing more is sent"):
        journal.sent(C, durable=False)
    assert Journal(path).read() == Left("plan-1", "run-1", [], [A])


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "people.jsonl")
    (tmp_path / "people.new").mkdir()
    with pytest.raises(RevetlError, match="cannot be written"):
        journal.start("plan-1", "run-1")
