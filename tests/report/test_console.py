from __future__ import annotations

import io
import json
import re
from collections import Counter

import pytest

from revetl_dbt.engine.guards import Violation
from revetl_dbt.engine.sending import Totals
from revetl_dbt.project.options import Options
from revetl_dbt.report import console, words
from revetl_dbt.report.console import ConsoleReporter
from revetl_dbt.report.log import Event, Log
from revetl_dbt.report.progress import Bars

from .makers import result, sync


class Terminal(io.StringIO):
    """What stderr is on a terminal."""

    def isatty(self) -> bool:
        return True


def log(**options: object) -> Log:
    return Log(Options(**options), "i1")  # type: ignore[arg-type]  # any option


def lines(text: str) -> list[str]:
    return [re.sub(r"^\d\d:\d\d:\d\d  ?", "", line) for line in text.splitlines()]


REFUSED = Totals(
    rejected=3, unknown=1, reasons=Counter({"INVALID": 3, "late": 1}), hidden={"INVALID": "x", "late": "late"}
)


class TestWords:
    @pytest.mark.parametrize(("count", "text"), [(0, "0.0 Bytes"), (3_250_586, "3.1 MiB"), (2**60, "1048576.0 TiB")])
    def test_a_size(self, count: int, text: str) -> None:
        assert words.size(count) == text

    @pytest.mark.parametrize(
        ("given", "word", "tally"),
        [
            (result(), "OK", "PASS"),
            (result(invalid={"null_key": 1}), "WARN", "WARN"),
            (result(held=1), "WARN", "WARN"),
            (result(status="partial"), "PARTIAL SUCCESS", "ERROR"),
            (result(status="error", invalid={"null_key": 1}), "ERROR", "ERROR"),
            (result(status="skipped"), "SKIP", "SKIP"),
            (result(status="noop"), "NO-OP", "NO-OP"),
        ],
    )
    def test_a_verdict(self, given: words.SyncResult, word: str, tally: str) -> None:
        assert (words.verdict(given).word, words.verdict(given).tally) == (word, tally)

    def test_a_summary_of_everything(self) -> None:
        totals = Totals(created=1200, updated=2, deleted=3, unchanged=4, rejected=5, unknown=6)
        given = result(totals=totals, unchanged=10, planned=1237, held=7, guarded=8, invalid={"null_key": 9})
        assert words.summary(given) == (
            "1,200 created, 2 updated, 3 deleted, 14 unchanged, 5 rejected, 6 unknown, 9 invalid, 7 held,"
            " 8 kept back by a guard, 2 not attempted"
        )
        assert words.summary(result()) == "nothing"

    def test_small_words(self) -> None:
        assert words.reasons({"null_key": 2, "odd": 1}) == "2 null key, 1 odd"
        assert [words.plural(count, "row") for count in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]
        assert [words.joined("abc"[:count]) for count in (1, 2, 3)] == ["a", "a and b", "a, b, and c"]


class TestReporter:
    def test_lines_are_dotted_to_the_width_of_those_of_dbt(self, capsys: pytest.CaptureFixture[str]) -> None:
        reporter = ConsoleReporter(log(), lambda sync, text: text, 2)
        reporter.started(sync())
        reporter.finished(result(totals=Totals(created=3), seconds=1.25))
        reporter.finished(result("other", status="skipped", message="paused"))
        first, second, third = lines(capsys.readouterr().err)
        assert first == "1 of 2 START sync people_to_crm -> crm.contacts ................................ [RUN]"
        assert second == f"{'1 of 2 OK sync people_to_crm: 3 created '.ljust(80, '.')} [OK in 1.25s]"
        assert third == f"{'2 of 2 SKIP sync other: paused '.ljust(80, '.')} [SKIP]"

    def test_without_a_terminal_progress_is_a_line_now_and_then(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 0.0
        monkeypatch.setattr(console.time, "monotonic", lambda: now)
        reporter = ConsoleReporter(log(), lambda sync, text: text, 1)
        reporter.started(sync())
        reporter.planned(sync(), 100_000)
        for now in (1.0, 29.0, 30.0, 31.0, 61.0):
            reporter.progress(sync(), int(now) * 100)
        said = lines(capsys.readouterr().err)[1:]
        assert said == [f"1 of 1 SENDING people_to_crm: {done} of 100,000 rows" for done in ("3,000", "6,100")]

    def test_the_footer_groups_reasons_and_masks_them(self, capsys: pytest.CaptureFixture[str]) -> None:
        reporter = ConsoleReporter(log(), lambda sync, text: text.replace("x", "#"), 3)
        guard = Violation("max_deletes", "too many", removals_only=True)
        results = [
            result(status="partial", totals=REFUSED, planned=6, guarded=2, violations=[guard], message="held for x"),
            result("broken", status="error", message="no\nway", planned=5),
            result("odd", invalid={"null_key": 2}),
        ]
        reporter.summarise(results, 3661.5, "db.outcomes", "r1")
        said = lines(capsys.readouterr().err)
        assert "Finished running 3 syncs in 1 hours 1 minutes and 1.50 seconds (3661.50s)." in said
        assert "Completed with 1 error, 1 partial success, and 1 warning:" in said
        start = said.index("Partial success in sync people_to_crm (models/people.yml:7)")
        assert said[start : start + 5] == [
            "Partial success in sync people_to_crm (models/people.yml:7)",
            "  held for #",
            "  3 rejected, 1 with unknown outcome; they are sent again with the next run:",
            "    3 x INVALID: #",
            "    1 x late",
        ]
        start = said.index("Failure in sync broken (models/people.yml:7)")
        assert said[start + 1 : start + 4] == ["  no", "  way", "  5 changes not attempted; the next run sends them"]
        assert "Warning in sync odd (models/people.yml:7)" in said
        assert "Each refused row and why: db.outcomes, where run_id is r1" in said
        assert said[-1] == "Done. PASS=0 WARN=1 ERROR=2 SKIP=0 NO-OP=0 TOTAL=3"

    def test_many_reasons_are_cut(self, capsys: pytest.CaptureFixture[str]) -> None:
        codes = [f"code{number}" for number in range(12)]
        totals = Totals(rejected=12, reasons=Counter(codes), hidden={code: code for code in codes})
        reporter = ConsoleReporter(log(), lambda sync, text: text, 1)
        reporter.summarise([result(status="partial", totals=totals)], 1.0, "t", "r")
        assert "    and 2 more reasons" in lines(capsys.readouterr().err)


class TestLog:
    def test_levels(self, capsys: pytest.CaptureFixture[str]) -> None:
        for options in ({"log_level": "warn"}, {"quiet": True}, {"log_level": "none"}):
            for level in ("debug", "info", "warn", "error"):
                log(**options).line(Event.Notice, level, level)
        assert lines(capsys.readouterr().err) == ["warn", "error", "error"]

    def test_json_holds_no_colour_and_no_empty_lines(self, capsys: pytest.CaptureFixture[str]) -> None:
        writer = log(log_format="json", use_colors=True)
        writer.gap()
        reporter = ConsoleReporter(writer, lambda sync, text: text, 1)
        reporter.finished(result(status="error", seconds=1.0))
        (line,) = capsys.readouterr().err.splitlines()
        content = json.loads(line)
        assert content["info"]["level"] == "error"
        assert content["info"]["msg"].endswith("[ERROR in 1.00s]")
        assert content["data"]["sync"] == "people_to_crm"

    @pytest.mark.parametrize(
        ("options", "environ", "colored"), [({}, "1", False), ({"use_colors": True}, "1", True), ({}, "", True)]
    )
    def test_colours(
        self, monkeypatch: pytest.MonkeyPatch, options: dict[str, bool], environ: str, colored: bool
    ) -> None:
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        monkeypatch.setenv("NO_COLOR", environ)
        ConsoleReporter(log(**options), lambda sync, text: text, 1).finished(result())
        assert ("\x1b[32mOK" in terminal.getvalue()) is colored


class TestBars:
    def test_a_terminal_gets_bars_below_the_lines(self, monkeypatch: pytest.MonkeyPatch) -> None:
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "120")
        writer = log(use_colors=False)
        assert writer.on_terminal
        with Bars(writer) as bars:
            reporter = ConsoleReporter(writer, lambda sync, text: text, 1, bars)
            reporter.started(sync())
            reporter.planned(sync(), 2000)
            reporter.progress(sync(), 500)
            bars._progress.refresh()  # which it does by itself four times a second
            reporter.finished(result(totals=Totals(created=2000), message="[a] [bold]b[/bold]"))
        shown = terminal.getvalue()
        assert "500 of 2,000 rows" in shown
        assert f"{'1 of 1 OK sync people_to_crm: 2,000 created '.ljust(80, '.')} [OK in 0.00s]" in shown
        writer.line(Event.Notice, "after [it]")
        assert terminal.getvalue().endswith("after [it]\n")

    @pytest.mark.parametrize("options", [{"quiet": True}, {"log_format": "json"}, {"log_level": "error"}])
    def test_no_bars_for_who_wants_no_lines(self, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]) -> None:
        monkeypatch.setattr("sys.stderr", Terminal())
        monkeypatch.setenv("TERM", "xterm")
        assert not log(**options).on_terminal

    def test_no_bars_where_the_cursor_cannot_move(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stderr", Terminal())
        monkeypatch.setenv("TERM", "dumb")
        assert not log().on_terminal
