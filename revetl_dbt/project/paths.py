"""Where a dbt project keeps its files, by dbt's own rules."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from revetl_dbt.errors import InputError
from revetl_dbt.project.options import Options
from revetl_dbt.project.yamlfile import YamlFile, shown

PROJECT_FILE = "dbt_project.yml"
PROFILES_FILE = "profiles.yml"
# https://docs.getdbt.com/reference/dbt_project.yml; the contents of seeds are not part of the manifest, their YAML is.
_FOLDERS = ("model", "snapshot", "seed", "macro", "test")
_SOURCES = (".sql", ".py", ".yml", ".yaml")


def find_project_dir(options: Options) -> Path:
    """The folder of dbt_project.yml: as given, else the current folder or the nearest above it that holds one.

    Raises InputError `project-missing`.
    """
    here = Path.cwd()
    candidates = [options.project_dir] if options.project_dir else [here, *here.parents]
    for folder in candidates:
        if (folder / PROJECT_FILE).is_file():
            return folder.resolve()
    raise InputError.single(
        "project-missing",
        f"No {PROJECT_FILE} in `{shown(candidates[0])}`" + ("" if options.project_dir else " or above it"),
        hint="Run this in a dbt project, or name its folder with --project-dir",
    )


def own_folder(target_path: Path) -> Path:
    """Where our artifacts, journals and whatever else is ours are, in dbt's target folder."""
    return target_path / "revetl"


def find_profiles_dir(options: Options) -> Path:
    """The folder of profiles.yml: as given, else the current folder if it holds one, else ~/.dbt."""
    if options.profiles_dir:
        return options.profiles_dir
    here = Path.cwd()
    return here if (here / PROFILES_FILE).is_file() else Path.home() / ".dbt"


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """dbt_project.yml, as far as it matters here; nothing in it is rendered yet."""

    folder: Path
    yaml: YamlFile
    name: str

    @classmethod
    def read(cls, folder: Path) -> ProjectFile:
        """Read the dbt_project.yml of a folder. Raises InputError."""
        file = YamlFile.read(folder / PROJECT_FILE)
        name = file.data.get("name") if isinstance(file.data, dict) else None
        if not isinstance(name, str) or not name:
            raise InputError.single(
                "project-invalid", f"{PROJECT_FILE} has no `name`", path=shown(file.path), expected="name: my_project"
            )
        return cls(folder, file, name)

    def get(self, key: str) -> Any:
        """A top-level value, unrendered."""
        return self.yaml.data.get(key)

    @property
    def model_path(self) -> Path:
        """The first folder that models are in, relative to the project."""
        paths = self.get("model-paths")
        return Path(paths[0]) if isinstance(paths, list) and paths and isinstance(paths[0], str) else Path("models")

    def variable(self, name: str) -> Any:
        """A variable of `vars:`, the project's own before the global one, unrendered; None when there is none."""
        variables = self.get("vars")
        if not isinstance(variables, dict):
            return None
        own = variables.get(self.name)
        if isinstance(own, dict) and name in own:
            return own[name]
        return variables.get(name)


def source_files(project: ProjectFile) -> Iterator[Path]:
    """The files that dbt reads when it parses a project, without its packages."""
    yield project.yaml.path
    for kind in _FOLDERS:
        named = project.get(f"{kind}-paths")
        for folder in named if isinstance(named, list) else [f"{kind}s"]:
            yield from _below(project.folder / str(folder))


def _below(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder):
        yield from (Path(root, name) for name in names if name.endswith(_SOURCES))
