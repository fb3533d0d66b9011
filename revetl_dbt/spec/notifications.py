"""notifications.yml: who is told when a sync fails, is held, or works again; shaped and found like destinations.yml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator

from revetl_dbt.errors import Diagnostic, InputError
from revetl_dbt.project.options import Options
from revetl_dbt.project.render import Renderer, RenderError
from revetl_dbt.project.yamlfile import Key, YamlFile, shown
from revetl_dbt.spec.destinations import is_loopback, search_folders
from revetl_dbt.spec.models import STRICT, Source
from revetl_dbt.spec.problem import Place, Problem
from revetl_dbt.spec.reword import reword

NOTIFICATIONS_FILE = "notifications.yml"
Change = Literal["failure", "partial", "held", "recovery"]


class ChannelConfig(BaseModel):
    """One output of a channel: where messages go, about whose models, and about what."""

    model_config = STRICT

    type: Literal["slack", "teams", "webhook"] = Field(description="How the message is written")
    url: SecretStr = Field(description="The webhook's URL; whoever has it can post, so that it is a secret")
    owners: tuple[str, ...] = Field(
        (), description="Owners (name or e-mail address) or groups whose models it is about; default: all"
    )
    events: tuple[Change, ...] = Field(
        ("failure", "partial", "held", "recovery"), description="Which changes it is about; default: all"
    )

    @field_validator("url")
    @classmethod
    def _private(cls, url: SecretStr) -> SecretStr:
        parts = urlsplit(url.get_secret_value())
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise ValueError("expected an https:// URL")
        return url


@dataclass(frozen=True, slots=True)
class Channel:
    """A configured channel, for the target in force."""

    name: str
    config: ChannelConfig

    def concerns(self, source: Source, change: Change) -> bool:
        """True when it is told of this change of a sync of that model."""
        mine = {name.casefold() for name in (source.owner, source.group) if name}
        wanted = {name.casefold() for name in self.config.owners}
        return change in self.config.events and (not wanted or bool(wanted & mine))


def load_channels(options: Options, project_dir: Path, target: str) -> tuple[list[Channel], list[Diagnostic]]:
    """The channels that have an output for the target, and everything that is wrong with them; none without a file.

    Raises InputError when the file cannot be read.
    """
    path = next(
        (folder / NOTIFICATIONS_FILE for folder in search_folders(options, project_dir) if _is_there(folder)), None
    )
    if path is None:
        return [], []
    file = YamlFile.read(path)
    if not isinstance(file.data, Mapping):
        raise InputError.single("wrong-type", f"{NOTIFICATIONS_FILE} is not a mapping of channels", path=shown(path))
    channels: list[Channel] = []
    problems: list[Diagnostic] = []
    for name, entry in file.data.items():
        outputs = entry.get("outputs") if isinstance(entry, Mapping) else None
        if not isinstance(outputs, Mapping):
            problem = Problem("wrong-type", f"Channel `{name}` has no `outputs`", (), "outputs: {prod: {type: ..}}")
            problems.append(problem.diagnostic(Place(shown(path), file.line(str(name)))))
        elif target in outputs:
            found = list(_read(file, str(name), target, outputs[target], options.vars))
            channels += [item for item in found if isinstance(item, Channel)]
            problems += [item for item in found if isinstance(item, Diagnostic)]
    return channels, problems


def _is_there(folder: Path) -> bool:
    return (folder / NOTIFICATIONS_FILE).is_file()


def _read(
    file: YamlFile, name: str, target: str, raw: Any, variables: Mapping[str, Any]
) -> Iterator[Channel | Diagnostic]:
    keys = (name, "outputs", target)

    def located(problem: Problem) -> Diagnostic:
        return problem.diagnostic(Place(shown(file.path), file.line(*keys, *problem.keys)), *keys)

    if not isinstance(raw, Mapping):
        wrong = f"Output `{target}` of `{name}` is not a mapping"
        yield located(Problem("wrong-type", wrong, (), "{type: .., url: ..}"))
        return
    unrendered: list[Diagnostic] = []

    def report(at: tuple[Key, ...], error: RenderError) -> None:
        unrendered.append(located(Problem(error.code, f"{error} (channel `{name}`)", at, hint=error.hint)))

    rendered = Renderer(variables).render_tree(raw, report)
    if unrendered:
        yield from unrendered
        return
    try:
        yield Channel(name, ChannelConfig.model_validate(rendered))
    except ValidationError as error:
        yield from (located(problem) for problem in reword(error, ChannelConfig, rendered, f"channel `{name}`"))
