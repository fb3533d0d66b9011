"""Progress bars on a terminal: one a sync, with rows, rows a second and the time that is left."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from revetl_dbt.report.log import Log


class Bars:
    """A bar for every sync that is being sent, below the lines of the log. Used by several threads at once."""

    def __init__(self, log: Log) -> None:
        """`log` writes above the bars from `__enter__` to `__exit__`."""
        self._log = log
        colorless = log.colors is False
        self._console = Console(file=sys.stderr, no_color=colorless, highlight=False, markup=False, emoji=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            _Rows(),
            _Speed(),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
            refresh_per_second=4,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        self._log.write_through(lambda text: self._console.print(Text.from_ansi(text), soft_wrap=True))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._log.write_through(None)
        self._progress.stop()

    def start(self, name: str, rows: int) -> None:
        """Show a bar for a sync that is about to send so many rows."""
        self._tasks[name] = self._progress.add_task(name, total=rows)

    def update(self, name: str, done: int) -> None:
        """So many rows are done."""
        if name in self._tasks:
            self._progress.update(self._tasks[name], completed=done)

    def end(self, name: str) -> None:
        """Take the sync's bar away."""
        if name in self._tasks:
            self._progress.remove_task(self._tasks.pop(name))


class _Rows(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.completed:,.0f} of {task.total or 0:,.0f} rows")


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.speed
        return Text(f"{speed:,.0f} rows/s" if speed else "")
