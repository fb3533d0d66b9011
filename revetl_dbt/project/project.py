"""A dbt project as its files show it: where things are, its manifest, its run results, the target in force."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from revetl_dbt.errors import Diagnostic, InputError
from revetl_dbt.project.freshness import Freshness
from revetl_dbt.project.gate import Gate
from revetl_dbt.project.manifest import Manifest
from revetl_dbt.project.options import Options
from revetl_dbt.project.paths import ProjectFile, find_project_dir, own_folder, source_files
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
        written = parse(options, folder, target_path) if options.parse else target_path
        return cls(options, file, target_path, Manifest.read(written / "manifest.json", file.name))

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

    def gate(self) -> Gate:
        """What tells whether the syncs of a node may run. Raises InputError when an artifact cannot be read."""
        return Gate(self.manifest, self.run_results(), Freshness.read(self.target_path / "sources.json"))

    def pii_tags(self) -> tuple[str, ...]:
        """Tags that mark a column as personal data: the variable `revetl_pii_tags`, a tag or a list of them."""
        value = self.options.vars.get(PII_TAGS, self.file.variable(PII_TAGS))
        items = value if isinstance(value, list) else [value]
        return tuple(item for item in items if isinstance(item, str))

    def doubts(self) -> Iterator[Diagnostic]:
        """Warnings that the manifest may not be what the project is now."""
        yield from self.manifest.newer()
        yield from self._stale()
        yield from self._other_variables()

    def _stale(self) -> Iterator[Diagnostic]:
        written = self.manifest.path.stat().st_mtime
        newer = [path for path in source_files(self.file) if _changed(path) > written]
        if newer:
            others = len(newer) - 1
            more = f" and {others} more file{'' if others == 1 else 's'}" if others else ""
            yield self._stale_warning(
                f"`{shown(min(newer))}`{more} changed after dbt wrote the manifest; the syncs are those of the manifest"
            )

    def _other_variables(self) -> Iterator[Diagnostic]:
        try:
            results = self.run_results()
        except InputError:  # told by what needs them
            return
        known = results is not None and results.invocation_id == self.manifest.invocation_id
        if results is not None and known and self.options.vars and self.options.vars != results.vars:
            yield self._stale_warning("dbt wrote the manifest with other --vars; relations and syncs are those of then")

    def _stale_warning(self, summary: str) -> Diagnostic:
        hint = "Run `dbt parse` (or `dbt build`), or let --parse do it"
        return Diagnostic("manifest-stale", summary, shown(self.manifest.path), hint=hint, warning=True)


def parse(options: Options, folder: Path, target_path: Path) -> Path:
    """Let dbt parse the project with the options in force; the folder that holds the manifest.

    It is a folder of our own, so that other variables or another target do not spoil what dbt keeps for its next parse.
    Raises InputError `parse-failed` or `dbt-missing`.
    """
    from revetl_dbt.project.runner import invoke, project_arguments

    into = own_folder(target_path) / "parsed"
    arguments = [*project_arguments(options, folder), "--target-path", str(into)]
    told = invoke(["parse", *arguments], why="--parse")
    if told.failed is not None:
        raise InputError.single("parse-failed", f"dbt cannot parse the project: {told.failed}", path=shown(folder))
    return into


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # a broken link, or gone since it was listed
        return 0.0


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
