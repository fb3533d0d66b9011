"""dbt's own commands, run in this process for their result: nothing is printed, nobody is told that they ran."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from revetl_dbt.errors import InputError
from revetl_dbt.project.options import Options

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Told:
    """What a command of dbt came to: its result, why it failed, and its events as (name, data)."""

    result: Any
    failed: str | None
    events: tuple[tuple[str, Any], ...]


def invoke(arguments: Sequence[str], *, why: str, manifest: Manifest | None = None) -> Told:
    """Run a command of dbt, on a manifest that is there instead of a parse where one is given.

    Raises InputError `dbt-missing`; `why` says what needed dbt.
    """
    try:
        from dbt.cli.main import dbtRunner
    except ImportError as error:
        raise _missing(why, error) from error
    events: list[tuple[str, Any]] = []
    printed = io.StringIO()
    with tempfile.TemporaryDirectory() as logs, contextlib.redirect_stdout(printed), _staying():
        runner = dbtRunner(manifest=manifest, callbacks=[lambda event: events.append((event.info.name, event.data))])
        done = runner.invoke(["--log-path", logs, "--no-send-anonymous-usage-stats", "--quiet", *arguments])
    reason = None if done.success else _one_line(str(done.exception or printed.getvalue()))
    return Told(done.result, reason, tuple(events))


def load_manifest(path: Path, *, why: str) -> Manifest:
    """The manifest of a file as dbt's own object. Raises InputError `dbt-missing` or `manifest-unreadable`."""
    try:
        from dbt.artifacts.schemas.manifest import WritableManifest
        from dbt.contracts.graph.manifest import Manifest
    except ImportError as error:
        raise _missing(why, error) from error
    from importlib.metadata import version

    try:
        return Manifest.from_writable_manifest(WritableManifest.read_and_check_versions(str(path)))
    except Exception as error:  # dbt's own for another schema, else whatever its loading of JSON raises
        raise InputError.single(
            "manifest-unreadable",
            f"dbt {version('dbt-core')}, which is installed here, cannot read the manifest: {_one_line(str(error))}",
            path=path,
            hint="Run `dbt parse` with the dbt of this environment, or choose with --sync and --destination",
        ) from error


def project_arguments(options: Options, folder: Path) -> list[str]:
    """dbt's options for project, profile, target and variables."""
    named: list[tuple[str, Any]] = [
        ("--project-dir", folder),
        ("--profiles-dir", options.profiles_dir),
        ("--profile", options.profile),
        ("--target", options.target),
        ("--vars", json.dumps(dict(options.vars)) if options.vars else None),
    ]
    return [word for name, value in named if value is not None for word in (name, str(value))]


@contextlib.contextmanager
def _staying() -> Iterator[None]:
    """dbt moves to the project's folder."""
    here = Path.cwd()
    try:
        yield
    finally:
        os.chdir(here)


def _missing(why: str, error: ImportError) -> InputError:
    return InputError.single(
        "dbt-missing",
        f"{why} needs dbt in the same Python environment: {error}",
        hint="Install dbt-core, or choose with --sync and --destination",
    )


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "dbt gave no reason"
