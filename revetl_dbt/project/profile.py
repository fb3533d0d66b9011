"""Which profile and target a command works with, by dbt's own rules; credentials are left to dbt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from revetl_dbt.errors import InputError
from revetl_dbt.nearest import did_you_mean, listed
from revetl_dbt.project.options import Options
from revetl_dbt.project.paths import PROFILES_FILE, PROJECT_FILE, ProjectFile, find_profiles_dir
from revetl_dbt.project.render import Renderer, RenderError
from revetl_dbt.project.yamlfile import Key, YamlFile, shown


@dataclass(frozen=True, slots=True)
class Profile:
    """The profile and target in force, and the profiles.yml that says so."""

    name: str
    target: str
    path: Path


def find_profile(options: Options, project: ProjectFile) -> Profile:
    """The profile and target: `--profile` and `--target`, else dbt_project.yml and profiles.yml.

    Raises InputError: `profile-missing`, `profile-unknown`, `target-unknown`, or what rendering says.
    """
    renderer = Renderer(options.vars)
    name = options.profile or render(renderer, project.yaml, "profile")
    if not isinstance(name, str) or not name:
        raise InputError.single(
            "profile-missing",
            f"{PROJECT_FILE} names no profile",
            path=shown(project.yaml.path),
            expected="profile: my_profile",
            hint="Add it, or use --profile",
        )
    path = find_profiles_dir(options) / PROFILES_FILE
    if not path.is_file():
        raise InputError.single(
            "profile-missing",
            f"No {PROFILES_FILE} in `{shown(path.parent)}`",
            hint="Name its folder with --profiles-dir, or `dbt init` makes one",
        )
    file = YamlFile.read(path)
    profile = _profile(file, name)
    outputs = profile.get("outputs")
    target = options.target or render(renderer, file, name, "target") or "default"
    if not isinstance(outputs, Mapping) or target not in outputs:
        known = [str(output) for output in outputs] if isinstance(outputs, Mapping) else []
        raise InputError.single(
            "target-unknown",
            f"Profile `{name}` has no target `{target}`",
            path=shown(path),
            line=file.line(name, "outputs"),
            field=f"{name}.outputs",
            expected=listed(known),
            hint=did_you_mean(str(target), known),
        )
    return Profile(name, str(target), path)


def render(renderer: Renderer, file: YamlFile, *keys: Key) -> Any:
    """The rendered value under nested keys, None where there is none. Raises InputError with file and line."""
    value = file.data
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    try:
        return renderer.render(value)
    except RenderError as error:
        raise InputError.single(
            error.code,
            str(error),
            path=shown(file.path),
            line=file.line(*keys),
            field=".".join(str(key) for key in keys),
            hint=error.hint,
        ) from None


def _profile(file: YamlFile, name: str) -> Mapping[str, Any]:
    profiles = file.data if isinstance(file.data, Mapping) else {}
    profile = profiles.get(name)
    if not isinstance(profile, Mapping):
        known = [str(key) for key in profiles if key != "config"]
        raise InputError.single(
            "profile-unknown",
            f"{PROFILES_FILE} has no profile `{name}`",
            path=shown(file.path),
            expected=listed(known),
            hint=did_you_mean(name, known),
        )
    return profile
