"""Background jobs: https://developer.zendesk.com/api-reference/ticketing/ticket-management/job_statuses/.

A job's records are written when it is queued; that it is done shows when it was asked `polls` times, or after some
seconds. A row that was written has an id and a status, one that was refused its index, an error and details (as
recorded).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from revetl_dbt.sandbox.store import Store
from revetl_dbt.sandbox.zendesk.errors import Refused, not_found, too_many_jobs, too_many_values
from revetl_dbt.sandbox.zendesk.fields import Kind

_JOB, _RUNNING = "zendesk:job:", "zendesk:jobs running"
MOST = 100
MOST_JOBS = 30
_SECONDS = 5.0
_DAY = 86_400.0

Act = Callable[[Any], tuple[str, str]]
"""Writes one item: (id, what was done: Created, Updated or Deleted). Refused when it is not taken."""


class Jobs:
    """The jobs of an account, kept in the store."""

    def __init__(self, store: Store, url: Callable[[str], str]) -> None:
        self._store = store
        self._url = url
        self.polls = 1

    def reset(self) -> None:
        """Forget which jobs are running."""
        self._store.set_setting(_RUNNING, [])

    def start(self, kind: Kind, items: Sequence[Any], verb: str, act: Act) -> dict[str, Any]:
        """Begin a job that does `act` to each item; its status as the API shows it. ApiError when it cannot begin."""
        self._check(items)
        results = [self._row(kind, n, item, verb, act) for n, item in enumerate(items)]
        return self._queued(results, len(items))

    def start_for_all(self, items: Sequence[str], act: Callable[[str], bool]) -> dict[str, Any]:
        """Begin a job whose result says only whether `act` went well for all items, as permanent deletion does."""
        self._check(items)
        done = [act(item) for item in items]  # each, whatever becomes of the others
        return self._queued({"success": all(done)}, None)

    def _check(self, items: Sequence[Any]) -> None:
        if len(items) > MOST:
            raise too_many_values()
        if len(self._running()) >= MOST_JOBS:
            raise too_many_jobs()

    def _running(self) -> list[str]:
        return [known for known in self._store.setting(_RUNNING) or [] if not self._is_done(known)]

    def _queued(self, results: Any, total: int | None) -> dict[str, Any]:
        name, running = f"V3-{uuid.uuid4().hex}", self._running()
        job = {"at": self._now(), "asked": 0, "total": total, "results": results}
        self._store.set_setting(_JOB + name, job)
        self._store.set_setting(_RUNNING, [*running, name])
        return {"job_status": self._status(name, job, "queued")}

    def _row(self, kind: Kind, n: int, item: Any, verb: str, act: Act) -> dict[str, Any]:
        try:
            record_id, status = act(item)
        except Refused as refused:
            row: dict[str, Any] = {"index": n, "error": f"{kind.of_class}{verb}Failed", "details": refused.text}
            if refused.details.keys() == {"missing"}:
                row["error"] = f"{kind.of_class}NotFound"
            known = item.get("id") if isinstance(item, Mapping) else None
            return {**row, **({"id": known} if known else {}), **({"status": "Failed"} if kind.name == "users" else {})}
        shown: int | str = record_id if kind.own else int(record_id)
        if status == "Created":
            return {"id": shown, "status": status}
        return {"id": shown, "action": status.lower().removesuffix("d"), "status": status, "success": True}

    def show(self, name: str) -> dict[str, Any]:
        """A job's status. ApiError 404 for one that never was, or that is older than a day."""
        job = self._store.setting(_JOB + name)
        if job is None or self._now() - job["at"] > _DAY:
            raise not_found()
        done = self._done(job)
        job["asked"] += 1
        self._store.set_setting(_JOB + name, job)
        return self._status(name, job, "completed" if done else "working")

    def _is_done(self, name: str) -> bool:
        job = self._store.setting(_JOB + name)
        return job is None or self._done(job)

    def _done(self, job: Mapping[str, Any]) -> bool:
        return bool(job["asked"] >= self.polls or self._now() - job["at"] >= _SECONDS)

    def _status(self, name: str, job: Mapping[str, Any], status: str) -> dict[str, Any]:
        total, done = job["total"], status == "completed"
        return {
            "id": name,
            "url": self._url(f"job_statuses/{name}"),
            "total": total,
            "progress": total if done else None if status == "queued" or total is None else total // 2,
            "status": status,
            "message": "Completed" if done else None,
            "results": job["results"] if done else None,
        }

    def _now(self) -> float:
        return self._store.now() / 1000
