"""What entries of the queue come to: which syncs run, and which are held back by the same gate as everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from revetl_dbt.engine.result import SyncResult
from revetl_dbt.project.gate import FAILED_STATUSES, Gate
from revetl_dbt.project.manifest import RELATIONS, Manifest
from revetl_dbt.project.run_results import Result, RunResults
from revetl_dbt.spec.models import Sync
from revetl_dbt.warehouse.queue import Queue, Queued

_WELL = frozenset({"success", "noop"})
_ENDED = _WELL | {"partial"}


@dataclass(frozen=True, slots=True)
class Due:
    """The syncs of nodes that were built, and why some of them must not run, by name of the sync.

    `invocation_id` is that of the newest dbt command, `orphans` are nodes and tests without a sync here.
    """

    syncs: tuple[Sync, ...] = ()
    held: dict[str, str] = field(default_factory=dict)
    invocation_id: str | None = None
    orphans: frozenset[str] = frozenset()


def due(manifest: Manifest, syncs: Iterable[Sync], entries: Sequence[Queued]) -> Due:
    """What has to be done for `entries`."""
    built = {entry.unique_id for entry in entries if entry.unique_id.split(".", 1)[0] in RELATIONS}
    chosen = tuple(sync for sync in syncs if sync.source.unique_id in built)
    nodes = {sync.source.unique_id for sync in chosen}
    reasons = {node: _reason(manifest, entries, node) for node in nodes}
    held = {sync.name: reason for sync in chosen if (reason := reasons[sync.source.unique_id])}
    newest = max(entries, key=lambda entry: entry.started_at, default=None)
    orphans = frozenset(entry.unique_id for entry in entries) - nodes
    return Due(chosen, held, newest.invocation_id if newest else None, orphans)


def _reason(manifest: Manifest, entries: Sequence[Queued], node: str) -> str | None:
    """Why a node's syncs must not run: by what the command that built it last, and those after it, said of it."""
    built = max((entry for entry in entries if entry.unique_id == node), key=lambda entry: entry.started_at)
    latest = {entry.unique_id: entry for entry in entries if entry.started_at >= built.started_at}
    results = {entry.unique_id: Result(entry.status, None, None) for entry in latest.values()}
    reason = Gate(manifest, RunResults(results, command=built.command)).reason(node)
    return reason or next(_unknown_tests(manifest, latest.values(), node), None)


def _unknown_tests(manifest: Manifest, entries: Iterable[Queued], node: str) -> Iterator[str]:
    known = {test.unique_id for test in manifest.tests(node)}
    for entry in entries:
        if node in entry.tested and entry.unique_id not in known and entry.status in FAILED_STATUSES:
            name = entry.unique_id.split(".")[2]
            yield f"test `{name}`, which the manifest here does not have, failed in `dbt {entry.command}`"


def settle(
    queue: Queue,
    found: Due,
    skipped: Mapping[str, str],
    results: Sequence[SyncResult],
    run_id: str,
    *,
    stopped: bool,
) -> None:
    """Write down how each entry ended. What a stopped run has not come to is left for the next, and so is a node of
    which another run sends a sync: that may have begun before the node was built.

    `skipped`: why syncs did not run, by name.
    """
    by_node: dict[str, list[SyncResult]] = {}
    for result in results:
        by_node.setdefault(result.sync.source.unique_id, []).append(result)
    queue.finish(found.orphans, "done", run_id)
    for node, own in by_node.items():
        ran = [result for result in own if result.sync.name not in skipped]
        if stopped and any(result.status not in _ENDED or result.not_attempted for result in ran):
            continue
        if any(result.elsewhere for result in ran):
            continue
        failed = any(result.status not in _WELL for result in ran)
        reason = None if ran else skipped[own[0].sync.name]
        queue.finish([node], "failed" if failed else "done" if ran else "skipped", run_id, reason)
