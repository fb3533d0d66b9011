"""target/run_results.json as plain JSON: what dbt's latest command made of each node, and whether a sync may follow it.

The file says only what that command did. A node that is not in it has neither succeeded nor failed, and an empty file
proves nothing: the gate therefore holds a node back for what is known to have failed, and never lets it through
because of what is missing. The schema: https://schemas.getdbt.com/dbt/run-results/v6.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from revetl_dbt.errors import InputError
from revetl_dbt.project.manifest import DataTest, Manifest
from revetl_dbt.project.yamlfile import shown

_FAILED = frozenset({"error", "fail", "runtime error", "partial success"})


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one node: dbt's status word, its message, and the rows that failed a test."""

    status: str
    message: str | None
    failures: int | None


@dataclass(frozen=True, slots=True)
class RunResults:
    """The latest run_results.json: results by unique id, and the invocation that wrote them.

    `target` is what `--target` or `DBT_TARGET` said; None when the profile decided. `vars` are those of `--vars`.
    """

    results: Mapping[str, Result]
    invocation_id: str | None = None
    command: str | None = None
    target: str | None = None
    generated_at: str | None = None
    vars: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> RunResults | None:
        """Read the file; None when there is none. Raises InputError `run-results-unreadable`."""
        try:
            raw = json.loads(path.read_bytes())
            rows = raw["results"]
            results = {str(row["unique_id"]): _result(row) for row in rows}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise InputError.single(
                "run-results-unreadable",
                "Cannot read dbt's run results, which tell whether a model failed",
                path=shown(path),
                hint="Run `dbt build` again, or use --no-gate",
            ) from None
        metadata, args = raw.get("metadata") or {}, raw.get("args") or {}
        return cls(
            results,
            invocation_id=metadata.get("invocation_id"),
            command=args.get("which"),
            target=args.get("target"),
            generated_at=metadata.get("generated_at"),
            vars=args.get("vars") or {},
        )


def gate(manifest: Manifest, run_results: RunResults | None, unique_id: str) -> str | None:
    """Why the syncs of a node must not run, in words, or None when nothing is known against them.

    Held back: a node that failed or was skipped, and a node with a failed test of severity error. Without run
    results, and for a node that they do not mention, nothing is known.
    """
    if run_results is None:
        return None
    command = f"`dbt {run_results.command}`" if run_results.command else "dbt's latest command"
    own = run_results.results.get(unique_id)
    kind, name = unique_id.split(".", 1)[0], unique_id.split(".", 2)[-1]
    if own is not None and own.status in _FAILED:
        return f"{kind} `{name}` ended with status {own.status} in {command}"
    if own is not None and own.status == "skipped":
        return f"{kind} `{name}` was skipped in {command}"
    failed = [test for test in manifest.tests(unique_id) if _fails(test, run_results.results.get(test.unique_id))]
    if not failed:
        return None
    more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
    return f"test `{failed[0].name}`{more} failed in {command}"


def _fails(test: DataTest, result: Result | None) -> bool:
    # A test of severity warn has status `warn` when its condition fails, but `error` when its SQL does.
    return result is not None and result.status in _FAILED and test.severity != "warn"


def _result(row: Mapping[str, Any]) -> Result:
    failures = row.get("failures")
    return Result(str(row["status"]).lower(), row.get("message"), failures if isinstance(failures, int) else None)
