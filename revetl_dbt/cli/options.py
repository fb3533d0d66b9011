"""The options that commands share, each defined once. Names, environment variables and defaults are dbt's.

https://docs.getdbt.com/reference/global-configs/about-global-configs
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from revetl_dbt.project.options import Options

F = TypeVar("F", bound=Callable[..., Any])

_LISTS = (
    *("--select", "-s", "--models", "-m", "--exclude", "--sync", "--destination"),
    *("--resource-type", "--resource-types", "--exclude-resource-type", "--exclude-resource-types"),
)
_PROJECT_FLAGS = ("debug", "fail_fast", "log_format", "log_level", "use_colors", "write_json")


class Command(click.Command):
    """A command whose list options take several words, as dbt's do: `--select a b --exclude c`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give every word its own option before click parses them."""
        return super().parse_args(ctx, list(_spread(args)))


def _spread(args: list[str]) -> Iterator[str]:
    name: str | None = None
    words = iter(args)
    for word in words:
        if word == "--":
            yield from (word, *words)
        elif word.startswith("-"):
            name = word if word in _LISTS else None
            if name is None:
                yield word
        elif name is not None:
            yield from (name, word)
        else:
            yield word
    if args and args[-1] in _LISTS:
        yield args[-1]  # without a value: click says so


class _Vars(click.ParamType):  # type: ignore[type-arg]
    name = "YAML"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Mapping[str, Any]:
        """The mapping that a YAML text holds."""
        if isinstance(value, Mapping):
            return value
        import yaml

        try:
            data = yaml.safe_load(value)
        except yaml.YAMLError:
            data = None
        if not isinstance(data, dict):
            self.fail("expected a YAML mapping, such as '{start_date: 2026-01-01}'", param, ctx)
        return data


def _option(*names: str, env: str | None = None, **attributes: Any) -> Callable[[F], F]:
    # dbt 1.11 and newer read DBT_ENGINE_* before the older DBT_*.
    return click.option(*names, envvar=[f"DBT_ENGINE_{env}", f"DBT_{env}"] if env else None, **attributes)


def _words(*names: str, help: str, metavar: str, env: str | None = None) -> Callable[[F], F]:  # noqa: A002 - click's word
    return _option(*names, env=env, multiple=True, callback=_split, metavar=metavar, help=help)


def _split(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:  # noqa: ARG001
    return tuple(word for text in value for word in text.split())


_FOLDER = click.Path(file_okay=False, exists=True, path_type=Path)

_LOG = (
    _option(
        "--log-format",
        env="LOG_FORMAT",
        type=click.Choice(["text", "debug", "json", "default"], case_sensitive=False),
        default="default",
        show_default="text",
        metavar="[text|json]",
        help="Format of the log",
    ),
    _option(
        "--log-level",
        env="LOG_LEVEL",
        type=click.Choice(["debug", "info", "warn", "error", "none"], case_sensitive=False),
        default="info",
        show_default=True,
        help="Least severity that is logged",
    ),
    _option("--quiet/--no-quiet", "-q", env="QUIET", default=False, help="Log errors only"),
    _option("--debug/--no-debug", "-d/ ", env="DEBUG", default=False, help="Log details, and tracebacks of errors"),
    _option("--use-colors/--no-use-colors", env="USE_COLORS", default=None, help="Colours; by default on a terminal"),
)
_PROJECT = (
    _option(
        "--project-dir", env="PROJECT_DIR", type=_FOLDER, help="Folder of dbt_project.yml; by default here or above"
    ),
    _option(
        "--profiles-dir",
        env="PROFILES_DIR",
        type=_FOLDER,
        help="Folder of profiles.yml and destinations.yml; by default here, then ~/.dbt",
    ),
    _option("--profile", env="PROFILE", help="Profile to use instead of dbt_project.yml's"),
    _option("--target", "-t", env="TARGET", help="Target of the profile; it picks the output of each destination"),
    _option("--target-path", env="TARGET_PATH", type=click.Path(path_type=Path), help="dbt's target folder"),
    _option("--vars", type=_Vars(), default="{}", help="Variables, as a YAML mapping"),
)
_PARSE = (
    _option("--parse", is_flag=True, default=False, help="Let dbt parse the project first, into target/revetl/parsed"),
)
_SELECTION = (
    _words("--select", "-s", "--models", "-m", metavar="NODES", help="Models whose syncs to include, in dbt's grammar"),
    _words("--exclude", metavar="NODES", help="Models whose syncs to leave out, in dbt's grammar"),
    _option("--selector", help="A selector of selectors.yml"),
    _option(
        "--state",
        env="STATE",
        type=click.Path(path_type=Path),
        help="Folder of the artifacts that `state:`, `result:` and `source_status:` compare with",
    ),
    _words(
        "--resource-types",
        "--resource-type",
        env="RESOURCE_TYPES",
        metavar="TYPES",
        help="Types of resources to include: model, snapshot, seed; by default all three",
    ),
    _words(
        "--exclude-resource-types",
        "--exclude-resource-type",
        env="EXCLUDE_RESOURCE_TYPES",
        metavar="TYPES",
        help="Types of resources to leave out",
    ),
    _option(
        "--indirect-selection",
        env="INDIRECT_SELECTION",
        type=click.Choice(["eager", "cautious", "buildable", "empty"], case_sensitive=False),
        metavar="MODE",
        help="How dbt selects tests beside what they test: eager, cautious, buildable or empty",
    ),
    _words("--sync", metavar="NAMES", help="Syncs to include, by name"),
    _words("--destination", metavar="NAMES", help="Destinations whose syncs to include, by name"),
)
_RUN = (
    _option("--threads", type=click.IntRange(min=1), help="Syncs that run at once; by default the target's threads"),
    _option("--full-refresh", "-f", env="FULL_REFRESH", is_flag=True, default=False, help="Send every row again"),
    _option("--all-rows", is_flag=True, default=False, help="Look at every row, whatever a sync would leave unseen"),
    _option("--fail-fast/--no-fail-fast", "-x/ ", env="FAIL_FAST", default=False, help="Stop at the first failure"),
    _option("--gate/--no-gate", default=True, help="Skip syncs whose model or its tests failed in dbt's latest run"),
    _option(
        "--write-json/--no-write-json",
        env="WRITE_JSON",
        default=True,
        show_default=True,
        help="Write artifacts to target/revetl",
    ),
)


def log_options(function: F) -> F:
    """How to log; before and after the name of the command, as in dbt."""
    return _apply(_LOG, function)


def project_options(function: F) -> F:
    """Which project, profile and target, and which manifest."""
    return _apply((*_PROJECT, *_PARSE), function)


def place_options(function: F) -> F:
    """Which project, profile and target, for commands that let dbt write the manifest anyway."""
    return _apply(_PROJECT, function)


def dbt_executable_option(function: F) -> F:
    """Which dbt to run in a process of its own."""
    option = click.option(
        "--dbt-executable",
        metavar="PATH",
        envvar="REVETL_DBT_EXECUTABLE",
        help="The dbt to run, such as that of dbt v2; by default dbt Core of the environment of revetl",
    )
    return option(function)


def selection_options(function: F) -> F:
    """Which syncs."""
    return _apply(_SELECTION, function)


def run_options(function: F) -> F:
    """How to run."""
    return _apply(_RUN, function)


def pass_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Hand the shared options to a command as one `options: Options`; its own options stay arguments."""
    shared = {field.name for field in fields(Options)} | {"sync", "destination", "models"}

    @functools.wraps(function)
    @click.pass_context
    def command(ctx: click.Context, /, **values: Any) -> Any:
        own = {name: value for name, value in values.items() if name not in shared}
        options = _options(ctx, {name: value for name, value in values.items() if name in shared})
        ctx.find_root().obj = options
        return function(options, **own)

    return command


def _apply(options: tuple[Callable[[Any], Any], ...], function: F) -> F:
    for option in reversed(options):
        function = option(function)
    return function


def _options(ctx: click.Context, values: dict[str, Any]) -> Options:
    """One value an option: the command's, the group's (`revetl --debug run`), dbt_project.yml's, or the default."""
    root = ctx.find_root()
    for name, value in root.params.items():
        if name in values and _given(root, name) and not _given(ctx, name):
            values[name] = value
    values["syncs"] = values.pop("sync", ())
    values["destinations"] = values.pop("destination", ())
    options = Options(**values)
    for name, value in _project_flags(options).items():
        if name in values and not _given(ctx, name) and not _given(root, name):
            options = replace(options, **{name: value})
    log_format = "json" if options.log_format.lower() == "json" else "text"
    return replace(options, log_format=log_format, log_level="debug" if options.debug else options.log_level.lower())


def _given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) not in (None, ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)


def _project_flags(options: Options) -> dict[str, Any]:
    """`flags:` of dbt_project.yml; none where no project can be read (a command that needs one says so)."""
    from revetl_dbt.errors import InputError
    from revetl_dbt.project.paths import ProjectFile, find_project_dir

    try:
        flags = ProjectFile.read(find_project_dir(options)).get("flags")
    except InputError:
        return {}
    return {name: flags[name] for name in _PROJECT_FLAGS if name in flags} if isinstance(flags, dict) else {}
