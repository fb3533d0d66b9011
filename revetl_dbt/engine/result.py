"""What a run is told, and what it tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from revetl_dbt.destinations.base import Account
from revetl_dbt.engine import guards
from revetl_dbt.engine.patience import RetryPolicy
from revetl_dbt.engine.sending import Totals
from revetl_dbt.spec.models import Sync


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a run behaves.

    `release` names the syncs whose guards are set aside this once. `release_held`: held rows are sent again, either
    those that were refused, or those whose outcome is unknown too, which may make some of them twice. `command` is what
    the history says of the run. `mask` takes secrets out of what a destination says; `redact` takes values out too, of
    what the history is to keep about a run of a sync. `all_rows`: every row is looked at, whatever a sync
    would spare. `builds` says which dbt command built a model, by unique id, where nothing else may have since.
    """

    mask: Callable[[str], str] = str
    redact: Callable[[Sync, str], str] = lambda _, text: text
    command: str = "run"
    release_held: Literal["rejected", "unknown too"] | None = None
    full_refresh: bool = False
    all_rows: bool = False
    builds: Mapping[str, str] = field(default_factory=dict)
    fail_fast: bool = False
    release: frozenset[str] = frozenset()
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    journal_dir: Path = Path("target/revetl/journal")
    dbt_invocation_id: str | None = None


@dataclass(slots=True)
class SyncResult:
    """What became of one sync.

    `status`: success, partial, error, skipped, noop. `planned` = every row with an outcome, held or not attempted.
    `violations` are the guards that hold something back, `released` those that were set aside. `bytes_processed` by the
    warehouse's queries: None where the engine does not tell.
    `unseen` says why the model was not looked at. `elsewhere`: another run holds the sync, or has taken it over.
    """

    sync: Sync
    account: Account | None = None
    status: str = "success"
    message: str | None = None
    totals: Totals = field(default_factory=Totals)
    model_rows: int = 0
    planned: int = 0
    invalid: dict[str, int] = field(default_factory=dict)
    held: int = 0
    guarded: int = 0
    unchanged: int = 0
    violations: list[guards.Violation] = field(default_factory=list)
    released: list[guards.Violation] = field(default_factory=list)
    requests: int = 0
    bytes_processed: int | None = None
    unseen: str | None = None
    elsewhere: bool = False
    seconds: float = 0.0

    @property
    def not_attempted(self) -> int:
        """Planned changes that are kept for the next run."""
        return max(0, self.planned - self.totals.done - self.held - self.guarded)


class Reporter(Protocol):
    """Who is told of what happens while it happens; called from several threads."""

    def started(self, sync: Sync) -> None:
        """A sync begins."""

    def planned(self, sync: Sync, changes: int) -> None:
        """A sync's plan is known."""

    def progress(self, sync: Sync, done: int) -> None:
        """So many changes have an outcome."""

    def finished(self, result: SyncResult) -> None:
        """A sync has ended."""

    def notice(self, text: str) -> None:
        """Something that a person should know."""
