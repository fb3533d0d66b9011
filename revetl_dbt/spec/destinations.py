"""destinations.yml: the configured accounts, shaped and rendered like profiles.yml; the dbt target picks the output."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from revetl_dbt.destinations import registry
from revetl_dbt.destinations.base import Destination, DestinationConfig
from revetl_dbt.errors import Diagnostic, InputError
from revetl_dbt.nearest import did_you_mean, listed
from revetl_dbt.project.manifest import BLOCK
from revetl_dbt.project.options import Options
from revetl_dbt.project.render import Renderer, RenderError
from revetl_dbt.project.yamlfile import Key, YamlFile, shown
from revetl_dbt.spec.declared import Declaration
from revetl_dbt.spec.locate import Locator
from revetl_dbt.spec.problem import Place, Problem
from revetl_dbt.spec.reword import reword

DESTINATIONS_FILE = "destinations.yml"


@dataclass(frozen=True, slots=True)
class Output:
    """One configured account: the output of a destination for a target, validated."""

    name: str
    target: str
    connector: type[Destination]
    config: DestinationConfig
    path: Path
    line: int | None

    @property
    def type(self) -> str:
        """The destination type, such as `hubspot`."""
        return self.config.type


def search_folders(options: Options, project_dir: Path) -> list[Path]:
    """Where files with connections are looked for: `--profiles-dir`, else here, in the project, and in ~/.dbt."""
    return [options.profiles_dir] if options.profiles_dir else [Path.cwd(), project_dir, Path.home() / ".dbt"]


def find_destinations_file(options: Options, project_dir: Path) -> Path:
    """destinations.yml: in `--profiles-dir` when given, else in the current folder, the project's, or ~/.dbt.

    Raises InputError `destinations-missing`, naming the places looked in.
    """
    folders = search_folders(options, project_dir)
    for folder in folders:
        if (folder / DESTINATIONS_FILE).is_file():
            return folder / DESTINATIONS_FILE
    places = listed(dict.fromkeys(str(shown(folder)) for folder in folders))
    raise InputError.single(
        "destinations-missing",
        f"No {DESTINATIONS_FILE} found",
        expected=f"in {places}",
        hint="`revetl init` writes one; --profiles-dir names its folder",
    )


def load_outputs(
    path: Path, target: str, names: Collection[str], variables: Mapping[str, Any]
) -> tuple[dict[str, Output], list[Diagnostic]]:
    """The outputs of the named destinations for a target, and everything that is wrong with them.

    A name that the file does not hold is left to the caller, who knows who uses it (see `known_destinations`). Raises
    InputError when the file cannot be read.
    """
    file = YamlFile.read(path)
    outputs: dict[str, Output] = {}
    diagnostics: list[Diagnostic] = []
    if not isinstance(file.data, Mapping):
        raise InputError.single("wrong-type", f"{DESTINATIONS_FILE} is not a mapping of destinations", path=shown(path))
    for name in names:
        if name in file.data:
            output, found = _Reader(file, name, target, variables).read()
            diagnostics += found
            if output is not None:
                outputs[name] = output
    return outputs, diagnostics


def known_destinations(path: Path) -> list[str]:
    """The names in destinations.yml."""
    data = YamlFile.read(path).data
    return [str(name) for name in data] if isinstance(data, Mapping) else []


def check_names(declarations: Collection[Declaration], locator: Locator, path: Path) -> Iterator[Diagnostic]:
    """The destinations that syncs name, valid otherwise or not, and the file does not hold."""
    known = known_destinations(path)
    for sync in declarations:
        name = sync.get("destination")
        if isinstance(name, str) and name not in known:
            problem = Problem(
                "unknown-destination",
                f"Unknown destination `{name}` in sync `{sync.name}`",
                ("destination",),
                f"{listed(known) or 'none there is'} (from {shown(path)})",
                did_you_mean(name, known),
            )
            place = locator.sync(sync.node, sync.name).at(*problem.keys)
            yield problem.diagnostic(place, "config", "meta", BLOCK, sync.name)


def is_loopback(host: str) -> bool:
    """True for a name or address of this machine's own."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Reader:
    """Reads the output of one destination for one target."""

    def __init__(self, file: YamlFile, name: str, target: str, variables: Mapping[str, Any]) -> None:
        self._file = file
        self._keys = (name, "outputs", target)
        self._name = name
        self._target = target
        self._renderer = Renderer(variables)
        self._diagnostics: list[Diagnostic] = []

    def read(self) -> tuple[Output | None, list[Diagnostic]]:
        raw = self._raw()
        if raw is None:
            return None, self._diagnostics
        rendered = self._renderer.render_tree(raw, self._render_error)
        connector = self._connector(rendered)
        if connector is None:
            return None, self._diagnostics
        try:
            config = connector.Config.model_validate(rendered)
        except ValidationError as error:
            unrendered = {diagnostic.field for diagnostic in self._diagnostics}
            for problem in reword(error, connector.Config, rendered, f"destination `{self._name}`"):
                diagnostic = self._locate(problem)
                if diagnostic.field not in unrendered:
                    self._diagnostics.append(diagnostic)
            return None, self._diagnostics
        for sentence in config.problems(self._target):
            self._report("not-for-target", f"{sentence} (destination `{self._name}`)", self._keys, None)
        if self._diagnostics:
            return None, self._diagnostics
        line = self._file.line(*self._keys)
        output = Output(self._name, self._target, connector, config, self._file.path, line)
        return output, [*self._readable(config.base_url or ""), *self._warned(config)]

    def _warned(self, config: DestinationConfig) -> Iterator[Diagnostic]:
        for sentence in config.warnings():
            yield self._locate(Problem("vendor-warning", f"{sentence} (destination `{self._name}`)", (), warning=True))

    def _readable(self, url: str) -> Iterator[Diagnostic]:
        """A warning of a URL on whose way anybody can read along."""
        parts = urlsplit(url)
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            problem = Problem(
                "insecure-url",
                f"Destination `{self._name}` is reached without TLS: credentials and rows can be read on the way",
                ("base_url",),
                "https://",
                "`ca_bundle` names the certificates to trust where the vendor's are not",
                warning=True,
            )
            yield self._locate(problem)

    def _raw(self) -> Mapping[str, Any] | None:
        entry = self._file.data[self._name]
        outputs = entry.get("outputs") if isinstance(entry, Mapping) else None
        if not isinstance(outputs, Mapping):
            self._report(
                "wrong-type",
                f"Destination `{self._name}` has no `outputs`",
                (self._name,),
                "outputs: {dev: {type: ..}}",
            )
            return None
        if self._target not in outputs:
            known = [str(target) for target in outputs]
            self._report(
                "output-missing",
                f"Destination `{self._name}` has no output for target `{self._target}`",
                (self._name, "outputs"),
                listed(known),
                did_you_mean(self._target, known) or f"Add `{self._target}:` under `outputs`, or use another --target",
            )
            return None
        raw = outputs[self._target]
        if not isinstance(raw, Mapping):
            self._report(
                "wrong-type",
                f"Output `{self._target}` of `{self._name}` is not a mapping",
                self._keys,
                "{type: .., ..}",
            )
            return None
        return raw

    def _connector(self, rendered: Mapping[str, Any]) -> type[Destination] | None:
        kind = rendered.get("type")
        if not isinstance(kind, str):
            self._report(
                "missing-key", f"`type` is missing in destination `{self._name}`", self._keys, listed(registry.names())
            )
            return None
        try:
            return registry.connector(kind)
        except InputError as error:
            place = self._place("type")
            field = ".".join((*self._keys, "type"))
            self._diagnostics += [
                replace(item, path=place.path, line=place.line, field=field) for item in error.diagnostics
            ]
            return None

    def _render_error(self, at: tuple[Key, ...], error: RenderError) -> None:
        self._diagnostics.append(
            self._locate(Problem(error.code, f"{error} (destination `{self._name}`)", at, hint=error.hint))
        )

    def _locate(self, problem: Problem) -> Diagnostic:
        return problem.diagnostic(self._place(*problem.keys), *self._keys)

    def _place(self, *keys: Key) -> Place:
        return Place(shown(self._file.path), self._file.line(*self._keys, *keys))

    def _report(
        self, code: str, summary: str, keys: tuple[str, ...], expected: str | None, hint: str | None = None
    ) -> None:
        place = Place(shown(self._file.path), self._file.line(*keys))
        self._diagnostics.append(Problem(code, summary, keys, expected, hint).diagnostic(place))
