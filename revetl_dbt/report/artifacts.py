"""The artifacts of a command, below `target/revetl/`, shaped like dbt's own run_results.json.

`metadata`, `results`, `elapsed_time` and `args` are where dbt has them
(https://docs.getdbt.com/reference/artifacts/run-results-json); report/schemas/ documents what is ours alone.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from revetl_dbt import __version__
from revetl_dbt.engine.guards import Violation
from revetl_dbt.engine.result import SyncResult
from revetl_dbt.errors import InputError
from revetl_dbt.project.options import Options
from revetl_dbt.project.yamlfile import shown
from revetl_dbt.report.log import timestamp
from revetl_dbt.report.words import verdict
from revetl_dbt.spec.models import Sync

RUN_RESULTS = "urn:revetl:run-results:v1"
PLAN = "urn:revetl:plan:v1"
_CUSTOM = "DBT_ENV_CUSTOM_ENV_"

Redact = Callable[[Sync, str], str]
Timing = Mapping[str, tuple[dt.datetime, dt.datetime]]


def metadata(schema: str, invocation_id: str, target: str, dbt_invocation_id: str | None) -> dict[str, Any]:
    """What every artifact says of itself; `schema` is the `$id` of a file in report/schemas."""
    return {
        "schema_version": schema,
        "revetl_version": __version__,
        "generated_at": timestamp(dt.datetime.now(dt.timezone.utc)),
        "invocation_id": invocation_id,
        "dbt_invocation_id": dbt_invocation_id,
        "target": target,
        "env": {name.removeprefix(_CUSTOM): value for name, value in os.environ.items() if name.startswith(_CUSTOM)},
    }


def run_results(
    about: Mapping[str, Any],
    results: Sequence[SyncResult],
    timing: Timing,
    seconds: float,
    args: Mapping[str, Any],
    redact: Redact,
) -> dict[str, Any]:
    """run_results.json; `about` is its metadata."""
    return {
        "metadata": dict(about),
        "results": [_result(result, timing, redact) for result in results],
        "elapsed_time": round(seconds, 6),
        "args": dict(args),
    }


def arguments(command: str, options: Options, redact: Callable[[str], str], **own: Any) -> dict[str, Any]:
    """The options in force, as JSON without secrets; of variables only the names, as they may hold anything."""
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    values["vars"] = sorted(options.vars)
    return {"which": command, **{name: _plain(value, redact) for name, value in (values | own).items()}}


def prepare_folder(path: Path) -> None:
    """Make the folder of artifacts and journals. Raises InputError `target-unwritable` where that is impossible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".{os.getpid()}.probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError.single(
            "target-unwritable",
            f"Cannot write to the folder: {error.strerror}",
            path=shown(path),
            hint="Make it writable, or choose another with --target-path",
        ) from error


def write(path: Path, artifact: Mapping[str, Any]) -> None:
    """Write an artifact; a reader sees the former or the new one, whole. Raises InputError `target-unwritable`."""
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        draft.write_text(json.dumps(artifact, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise InputError.single(
            "target-unwritable", f"Cannot write the artifact: {error.strerror}", path=shown(path)
        ) from error


def _result(result: SyncResult, timing: Timing, redact: Redact) -> dict[str, Any]:
    sync, totals = result.sync, result.totals
    started, completed = timing.get(sync.name, (None, None))
    return {
        "unique_id": f"revetl.{sync.source.unique_id.split('.')[1]}.{sync.name}",
        "status": verdict(result).status,
        "timing": [
            {"name": "execute", "started_at": timestamp(started), "completed_at": timestamp(completed)}
            for started, completed in ([(started, completed)] if started and completed else [])
        ],
        "execution_time": round(result.seconds, 6),
        "message": redact(sync, result.message) if result.message else None,
        "failures": totals.rejected + totals.unknown,
        "relation_name": sync.source.relation_name,
        "sync": sync.name,
        "model": sync.source.unique_id,
        "destination": sync.spec.destination,
        "object": sync.spec.object,
        "mode": sync.spec.mode.value,
        "account": None
        if result.account is None
        else {"id": result.account.id, "name": result.account.name, "url": result.account.url},
        "counts": _counts(result),
        "invalid": dict(result.invalid),
        "reasons": [
            {"code": redact(sync, reason), "rows": rows, "example": redact(sync, totals.hidden[reason])}
            for reason, rows in totals.reasons.most_common()
        ],
        "guards": _guards(result.violations),
        "released": _guards(result.released),
        "requests": result.requests,
        "bytes_processed": result.bytes_processed,
        "unseen": result.unseen,
    }


def _guards(violations: Sequence[Violation]) -> list[dict[str, str]]:
    return [
        {"guard": item.guard, "reason": item.reason, "holds": "removals" if item.removals_only else "sync"}
        for item in violations
    ]


def _counts(result: SyncResult) -> dict[str, int]:
    """planned = accepted + rejected + held + skipped + not_attempted, always."""
    totals = result.totals
    return {
        "model_rows": result.model_rows,
        "unchanged": result.unchanged,
        "invalid": sum(result.invalid.values()),
        "planned": result.planned,
        "accepted": totals.accepted,
        "created": totals.created,
        "updated": totals.updated,
        "deleted": totals.deleted,
        "accepted_unchanged": totals.unchanged,
        "rejected": totals.rejected + totals.unknown,
        "unknown": totals.unknown,
        "held": result.held,
        "skipped": result.guarded,
        "not_attempted": result.not_attempted,
    }


def _plain(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, redact) for item in value]
    if isinstance(value, (str, Path)):
        return redact(str(value))
    return value
