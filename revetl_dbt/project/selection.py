"""dbt's node selection, done by dbt itself on the manifest that there is: no parse, manifest.json stays as it is."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from revetl_dbt.errors import InputError
from revetl_dbt.project.manifest import RELATIONS

if TYPE_CHECKING:
    from revetl_dbt.project.project import Project


def select_nodes(project: Project) -> tuple[set[str], list[str]]:
    """The nodes (unique ids) that `--select`, `--exclude` and `--selector` choose, and what selected none.

    Raises InputError `selection-invalid` with dbt's own words, or `dbt-missing`.
    """
    try:
        from dbt.artifacts.schemas.manifest import WritableManifest
        from dbt.cli.main import dbtRunner
        from dbt.contracts.graph.manifest import Manifest
    except ImportError as error:
        raise InputError.single(
            "dbt-missing",
            f"`--select` needs dbt in the same Python environment: {error}",
            hint="Install dbt-core, or choose with --sync and --destination",
        ) from error
    manifest = Manifest.from_writable_manifest(WritableManifest.read_and_check_versions(str(project.manifest.path)))
    printed, warnings = io.StringIO(), list[str]()

    def listen(event: Any) -> None:
        if event.info.name == "NoNodesForSelectionCriteria":
            warnings.append(f"`{event.data.spec_raw}` selects no enabled node")

    with tempfile.TemporaryDirectory() as logs, contextlib.redirect_stdout(printed):
        result = dbtRunner(manifest=manifest, callbacks=[listen]).invoke(_arguments(project, Path(logs)))
    if not result.success:
        raise InputError.single(
            "selection-invalid",
            f"dbt cannot select the nodes: {_reason(result.exception, printed.getvalue())}",
            field="--select",
        )
    return {str(json.loads(line)["unique_id"]) for line in result.result or []}, warnings


def _arguments(project: Project, logs: Path) -> list[str]:
    options = project.options
    arguments = ["--log-path", str(logs), "--quiet", "ls", "--output", "json", "--output-keys", "unique_id"]
    for kind in RELATIONS:
        arguments += ["--resource-type", kind]
    named: list[tuple[str, Any]] = [
        ("--project-dir", project.folder),
        ("--profiles-dir", options.profiles_dir),
        ("--target-path", options.target_path),
        ("--profile", options.profile),
        ("--target", options.target),
        ("--selector", options.selector),
        ("--state", options.state),
        ("--vars", json.dumps(dict(options.vars)) if options.vars else None),
    ]
    for name, value in named:
        arguments += [] if value is None else [name, str(value)]
    for name, values in (("--select", options.select), ("--exclude", options.exclude)):
        arguments += [name, *values] if values else []
    return arguments


def _reason(exception: BaseException | None, printed: str) -> str:
    text = str(exception) if exception is not None else printed
    return " ".join(text.split()) or "dbt gave no reason"
