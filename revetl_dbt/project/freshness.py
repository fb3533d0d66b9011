"""target/sources.json as plain JSON: what `dbt source freshness` said of each source.

The schema: https://schemas.getdbt.com/dbt/sources/v3.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from revetl_dbt.errors import InputError
from revetl_dbt.project.yamlfile import shown


@dataclass(frozen=True, slots=True)
class Freshness:
    """Why each source that is not fresh enough is not, in words, by unique id; `checked_at` is dbt's own text."""

    stale: Mapping[str, str]
    checked_at: str | None = None

    @classmethod
    def read(cls, path: Path) -> Freshness | None:
        """Read the file; None when there is none. Raises InputError `sources-unreadable`."""
        try:
            raw = json.loads(path.read_bytes())
            reasons = {str(row["unique_id"]): _reason(row) for row in raw["results"]}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise InputError.single(
                "sources-unreadable",
                "Cannot read what dbt found of the freshness of sources",
                path=shown(path),
                hint="Run `dbt source freshness` again, remove the file, or use --no-gate",
            ) from None
        checked = (raw.get("metadata") or {}).get("generated_at")
        return cls({name: reason for name, reason in reasons.items() if reason is not None}, checked)


def _reason(row: Mapping[str, Any]) -> str | None:
    """Statuses are pass, warn and error, and `runtime error` where dbt could not tell."""
    status = str(row["status"]).lower()
    if status == "error":
        limit = (row.get("criteria") or {}).get("error_after") or {}
        count, period = limit.get("count"), limit.get("period")
        allowed = f", more than {count} {period}{'' if count == 1 else 's'} before" if count else ""
        return f"was loaded last at {_minute(row.get('max_loaded_at'))}{allowed}"
    return "could not be checked" if status == "runtime error" else None


def _minute(moment: Any) -> str:
    return f"{str(moment)[:16].replace('T', ' ')} UTC" if moment else "an unknown time"
