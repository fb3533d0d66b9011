"""A dbt project as its files show it: where things are, its manifest, its run results, the target in force."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from revetl_dbt.errors import Diagnostic, InputError
from revetl_dbt.project.manifest import Manifest
from revetl_dbt.project.options import Options
from revetl_dbt.project.paths import ProjectFile, find_project_dir
from revetl_dbt.project.profile import Profile, find_profile, render
from revetl_dbt.project.render import Renderer
from revetl_dbt.project.run_results import RunResults
from revetl_dbt.project.yamlfile import shown

PII_TAGS = "revetl_pii_tags"


@dataclass(frozen=True, slots=True)
class Project:
    """An opened project; `options` hold its folder, `target_path` is absolute."""

    options: Options
    file: ProjectFile
    target_path: Path
    manifest: Manifest

    @classmethod
    def open(cls, options: Options) -> Project:
        """Find the project and read its manifest. Raises InputError."""
        folder = find_project_dir(options)
        file = ProjectFile.read(folder)
        options = replace(options, project_dir=folder)
        target_path = find_target_path(options, file)
        manifest = Manifest.read(target_path / "manifest.json", file.name)
        return cls(options, file, target_path, manifest)

    @property
    def folder(self) -> Path:
        """The folder of dbt_project.yml."""
        return self.file.folder

    @property
    def name(self) -> str:
        """The project's name."""
        return self.file.name

    def profile(self) -> Profile:
        """The profile and target in force. Raises InputError."""
        return find_profile(self.options, self.file)

    def run_results(self) -> RunResults | None:
        """dbt's latest results; None when there are none. Raises InputError when they cannot be read."""
        return RunResults.read(self.target_path / "run_results.json")

    def pii_tags(self) -> tuple[str, ...]:
        """Tags that mark a column as personal data: the variable `revetl_pii_tags`, a tag or a list of them."""
        value = self.options.vars.get(PII_TAGS, self.file.variable(PII_TAGS))
        items = value if isinstance(value, list) else [value]
        return tuple(item for item in items if isinstance(item, str))

    def stale(self) -> Iterator[Diagnostic]:
        """A warning when a YAML file that describes models is newer than the manifest."""
        written = self.manifest.path.stat().st_mtime
        newer = [path for path in self._property_files() if path.is_file() and path.stat().st_mtime > written]
        if newer:
            more = f" and {len(newer) - 1} more files" if len(newer) > 1 else ""
            yield Diagnostic(
                "manifest-stale",
                f"`{shown(newer[0])}`{more} changed after dbt wrote the manifest; the syncs are those of the manifest",
                shown(self.manifest.path),
                hint="Run `dbt parse` (or `dbt build`)",
                warning=True,
            )

    def _property_files(self) -> Iterator[Path]:
        yield self.file.yaml.path
        for relative in sorted(self.manifest.patch_files(self.name)):
            yield self.folder / relative


def find_target_path(options: Options, file: ProjectFile) -> Path:
    """dbt's target folder: `--target-path`, else dbt_project.yml's, else `target`; relative to the project."""
    if options.target_path is not None:
        return file.folder / options.target_path
    raw = file.get("target-path")
    if not isinstance(raw, str) or not raw:
        return file.folder / "target"
    names = {}
    if "target" in raw and "{{" in raw:
        profile = find_profile(options, file)
        names["target"] = {"name": profile.target, "target_name": profile.target, "profile_name": profile.name}
    rendered = render(Renderer(options.vars, **names), file.yaml, "target-path")
    if not isinstance(rendered, str) or not rendered:
        raise InputError.single(
            "project-invalid",
            "`target-path` is not text",
            path=shown(file.yaml.path),
            line=file.yaml.line("target-path"),
        )
    return file.folder / rendered
