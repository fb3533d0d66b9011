"""target/run_results.json as plain JSON: what dbt's latest command made of each node.

The schema: https://schemas.getdbt.com/dbt/run-results/v6.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from revetl_dbt.errors import InputError
from revetl_dbt.project.yamlfile import shown


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


def _result(row: Mapping[str, Any]) -> Result:
    failures = row.get("failures")
    return Result(str(row["status"]).lower(), row.get("message"), failures if isinstance(failures, int) else None)
