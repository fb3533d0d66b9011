"""The last command that sent, as its artifact tells: which syncs it was about, and its options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from revetl_dbt.errors import InputError
from revetl_dbt.nearest import listed
from revetl_dbt.project.gate import FAILED_STATUSES
from revetl_dbt.project.options import Options
from revetl_dbt.project.paths import ProjectFile, find_project_dir, own_folder
from revetl_dbt.project.project import find_target_path
from revetl_dbt.project.run_results import RunResults


@dataclass(frozen=True, slots=True)
class LastCommand:
    """What target/revetl/run_results.json says; `syncs` are statuses by name.

    `failed_in_dbt` is true of a build when not all of its models and tests came through.
    """

    name: str
    target: str | None
    syncs: Mapping[str, str]
    options: Mapping[str, Any]
    with_dbt: bool
    failed_in_dbt: bool

    @property
    def told(self) -> str:
        """Which command it was, for a message."""
        target = f" --target {self.target}" if self.target else ""
        return f" of the last command, `revetl {self.name}{target}`; --sync looks at others"

    def again(self, options: Options) -> Options:
        """The options of that command, but for those that are given now.

        Raises InputError `vars-missing`: values of variables are not kept, as they may be anything.
        """
        names = [str(name) for name in self.options.get("vars") or ()]
        if names and not options.vars:
            raise InputError.single(
                "vars-missing",
                f"The last command was given --vars, whose values are not kept: {listed(names)}",
                field="--vars",
                expected=f"the same, as in --vars '{{{names[0]}: ...}}'",
                hint="Or select what to retry: --sync NAME",
            )
        return replace(
            options,
            target=options.target or self.target,
            profile=options.profile or self.options.get("profile"),
            threads=options.threads or self.options.get("threads"),
            full_refresh=options.full_refresh or self.options.get("full_refresh") is True,
            fail_fast=options.fail_fast or self.options.get("fail_fast") is True,
            gate=options.gate and self.options.get("gate") is not False,
            parse=options.parse or self.options.get("parse") is True,
        )


def last_command(options: Options) -> LastCommand | None:
    """The last run, build or retry; None where no artifact of one is there, or it was for another target than this.

    Raises InputError.
    """
    file = ProjectFile.read(find_project_dir(options))
    target_path = find_target_path(options, file)
    try:
        raw = json.loads((own_folder(target_path) / "run_results.json").read_bytes())
        target, options_then, results = raw["metadata"]["target"], raw["args"], raw["results"]
        syncs = {str(result["sync"]): str(result["status"]) for result in results}
    except (OSError, ValueError, KeyError, TypeError):  # then the warehouse's history tells
        return None
    if options.target is not None and options.target != target:
        return None
    with_dbt = options_then.get("with_dbt") is True
    failed = with_dbt and _failed(target_path, raw["metadata"].get("dbt_invocation_id"))
    return LastCommand(str(options_then.get("which")), target, syncs, options_then, with_dbt, failed)


def _failed(target_path: Path, invocation_id: str | None) -> bool:
    """True when dbt's results are still those of that build, and not all came through."""
    results = RunResults.read(target_path / "run_results.json")
    if results is None or results.invocation_id != invocation_id:
        return False
    return any(result.status in FAILED_STATUSES | {"skipped"} for result in results.results.values())
