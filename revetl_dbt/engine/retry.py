"""Which syncs did not come through the last time, and why: what `revetl retry` runs again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from revetl_dbt.spec.models import Sync
from revetl_dbt.warehouse.entries import damage, ended, entries, standings
from revetl_dbt.warehouse.store import Store

LEFT_OUT = "the last run left it out"
_ENDED = {"error": "its last run failed", "skipped": LEFT_OUT, "partial": "its last run was partial"}


@dataclass(frozen=True, slots=True)
class Due:
    """Why a sync is to run again. `unknown` rows are held although they may have arrived: none goes without leave."""

    ended: str | None
    waiting: int = 0
    held: int = 0
    unknown: int = 0

    def __bool__(self) -> bool:
        return bool(self.ended or self.waiting or self.held)


def due(store: Store, syncs: Sequence[Sync]) -> dict[str, Due]:
    """What each sync has left undone, by name, as the history and the tables of refused rows tell."""
    statuses = ended(store)
    rows: dict[str, dict[str, int]] = {}
    attempts = {sync.name: sync.spec.rejected.max_attempts for sync in syncs}
    for entry in entries(store):
        if entry.sync in attempts and not damage(store, entry):  # a damaged one failed, which the history tells
            found = standings(store, entry, attempts[entry.sync])
            known = rows.setdefault(entry.sync, {})
            for name in ("waiting_rejected", "held_rejected", "held_unknown"):
                known[name] = known.get(name, 0) + found[name]
    return {sync.name: _due(statuses.get(sync.name), rows.get(sync.name, {})) for sync in syncs}


def _due(status: str | None, rows: Mapping[str, int]) -> Due:
    return Due(
        _ENDED.get(status or ""),
        rows.get("waiting_rejected", 0),
        rows.get("held_rejected", 0),
        rows.get("held_unknown", 0),
    )
