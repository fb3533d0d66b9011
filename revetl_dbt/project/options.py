"""What the user asked for on the command line, in environment variables and in `flags:` of dbt_project.yml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Options:
    """The options that commands share. Names and meaning are dbt's, except `syncs`, `destinations`, `all_rows`,
    `parse` and `gate`.

    Paths and names are None where the user did not say; dbt's rules then decide (project/paths.py, project/profile.py).
    """

    project_dir: Path | None = None
    profiles_dir: Path | None = None
    target_path: Path | None = None
    profile: str | None = None
    target: str | None = None
    vars: Mapping[str, Any] = field(default_factory=dict)
    parse: bool = False

    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    selector: str | None = None
    state: Path | None = None
    resource_types: tuple[str, ...] = ()
    exclude_resource_types: tuple[str, ...] = ()
    indirect_selection: str | None = None
    syncs: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()

    threads: int | None = None
    full_refresh: bool = False
    all_rows: bool = False
    fail_fast: bool = False
    gate: bool = True
    write_json: bool = True

    log_format: str = "text"
    log_level: str = "info"
    quiet: bool = False
    debug: bool = False
    use_colors: bool | None = None  # None: as the terminal says

    @property
    def selects_nodes(self) -> bool:
        """True when dbt's selection grammar is needed."""
        return bool(self.select or self.exclude or self.selector or self.resource_types or self.exclude_resource_types)

    @property
    def selects(self) -> bool:
        """True when not simply everything is meant."""
        return self.selects_nodes or bool(self.syncs or self.destinations)
