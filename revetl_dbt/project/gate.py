"""Whether the syncs of a node may run, as far as dbt's artifacts tell.

A node is held back for what is known against it, never let through because of what is missing: an artifact says only
what its command did, and a node that it does not mention has neither succeeded nor failed.
"""

from __future__ import annotations

from dataclasses import dataclass

from revetl_dbt.project.freshness import Freshness
from revetl_dbt.project.manifest import DataTest, Manifest
from revetl_dbt.project.run_results import Result, RunResults

FAILED_STATUSES = frozenset({"error", "fail", "runtime error", "partial success"})


@dataclass(frozen=True, slots=True)
class Gate:
    """What dbt's latest command and its latest check of sources came to; None where they left nothing."""

    manifest: Manifest
    results: RunResults | None = None
    freshness: Freshness | None = None

    def reason(self, unique_id: str) -> str | None:
        """Why the syncs of a node must not run, in words, or None when nothing is known against them.

        Held back are a node that failed or was skipped, one with a failed test of severity error, and one that reads,
        directly or not, from a source that is older than its `error_after`.
        """
        return self._own(unique_id) or self._tests(unique_id) or self._sources(unique_id)

    def _own(self, unique_id: str) -> str | None:
        own = self._result(unique_id)
        kind, name = unique_id.split(".", 1)[0], unique_id.split(".", 2)[-1]
        if own is not None and own.status in FAILED_STATUSES:
            return f"{kind} `{name}` ended with status {own.status} in {self._command}"
        if own is not None and own.status == "skipped":
            return f"{kind} `{name}` was skipped in {self._command}"
        return None

    def _tests(self, unique_id: str) -> str | None:
        failed = [test for test in self.manifest.tests(unique_id) if _fails(test, self._result(test.unique_id))]
        if not failed:
            return None
        more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        return f"test `{failed[0].name}`{more} failed in {self._command}"

    def _sources(self, unique_id: str) -> str | None:
        if self.freshness is None or not self.freshness.stale:
            return None
        found = sorted(self.manifest.sources(unique_id) & set(self.freshness.stale))
        if not found:
            return None
        name = ".".join(found[0].split(".")[2:])
        more = f", and {len(found) - 1} more are stale" if len(found) > 1 else ""
        when = f" (`dbt source freshness` of {(self.freshness.checked_at or 'an unknown time')[:16].replace('T', ' ')})"
        return f"source `{name}` {self.freshness.stale[found[0]]}{more}{when}"

    def _result(self, unique_id: str) -> Result | None:
        return None if self.results is None else self.results.results.get(unique_id)

    @property
    def _command(self) -> str:
        command = self.results.command if self.results else None
        return f"`dbt {command}`" if command else "dbt's latest command"


def _fails(test: DataTest, result: Result | None) -> bool:
    if test.kind == "revetl_healthy":
        return False  # it speaks of the sync's own past: holding the sync would keep it from ever being healthy
    # A test of severity warn has status `warn` when its condition fails, but `error` when its SQL does.
    return result is not None and result.status in FAILED_STATUSES and test.severity != "warn"
