"""dbt's node selection, done by dbt itself on the manifest that there is: no parse, manifest.json stays as it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from revetl_dbt.errors import InputError
from revetl_dbt.project.manifest import RELATIONS
from revetl_dbt.project.runner import invoke, load_manifest, project_arguments

if TYPE_CHECKING:
    from revetl_dbt.project.project import Project

_WHY = "Selecting models"


def has_default_selector(folder: Path) -> bool:
    """True when a project's selectors.yml may hold a selector that dbt uses when nothing is selected."""
    try:
        text = (folder / "selectors.yml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):  # dbt says what is wrong with it, where it is needed
        return False
    return re.search(r"\bdefault['\"]?\s*:", text) is not None


def select_nodes(project: Project) -> tuple[set[str], list[str]]:
    """The nodes (unique ids) that the options choose as in `dbt ls`, and what selected none.

    Raises InputError `selection-invalid` with dbt's own words, `dbt-missing` or `manifest-unreadable`.
    """
    manifest = load_manifest(project.manifest.path, why=_WHY)
    told = invoke(_arguments(project), why=_WHY, manifest=manifest)
    if told.failed is not None:
        raise InputError.single(
            "selection-invalid",
            f"dbt cannot select the nodes: {told.failed}",
            field=_given(project),
            hint=_hint(told.failed),
        )
    warnings = [
        f"`{data.spec_raw}` selects no enabled node"
        for name, data in told.events
        if name == "NoNodesForSelectionCriteria"
    ]
    return {str(json.loads(line)["unique_id"]) for line in told.result or []}, warnings


def _arguments(project: Project) -> list[str]:
    options = project.options
    named: list[tuple[str, Any]] = [
        ("--target-path", options.target_path),
        ("--selector", options.selector),
        ("--state", options.state),
        ("--indirect-selection", options.indirect_selection),
    ]
    lists: list[tuple[str, tuple[str, ...]]] = [
        ("--select", options.select),
        ("--exclude", options.exclude),
        ("--exclude-resource-type", options.exclude_resource_types),
        ("--resource-type", options.resource_types or RELATIONS),
    ]
    arguments = ["ls", "--output", "json", "--output-keys", "unique_id", *project_arguments(options, project.folder)]
    for name, value in named:
        arguments += [] if value is None else [name, str(value)]
    for name, values in lists:
        arguments += [word for value in values for word in (name, value)]
    return arguments


def _given(project: Project) -> str:
    """The option that a message about the selection speaks of."""
    options = project.options
    named = {"--select": options.select, "--selector": options.selector, "--exclude": options.exclude}
    return next((name for name, value in named.items() if value), "--resource-type")


def _hint(reason: str) -> str | None:
    if "comparison" in reason or "--state" in reason:
        return "Name the folder of the artifacts to compare with: --state FOLDER"
    return None
