"""Diagnostics and errors on stderr, as text or JSON lines."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from revetl_dbt.errors import Diagnostic, InputError, RevetlError
from revetl_dbt.project.options import Options

FAILED = 1
BAD_INPUT = 2


_secrets: list[str] = []


def remember(secrets: Iterable[str]) -> None:
    """What the command that runs now has read of secrets, so that an error that ends it is told without them."""
    _secrets[:] = secrets


def show_diagnostics(diagnostics: Iterable[Diagnostic], options: Options | None) -> None:
    """Print diagnostics; warnings not with `--quiet` or a log level above `warn`."""
    options = options or Options()
    muted = options.quiet or options.log_level in ("error", "none")
    items = [item for item in diagnostics if not (item.warning and muted)]
    for position, item in enumerate(items):
        if options.log_format == "json":
            _echo(json.dumps({"level": "warn" if item.warning else "error", **as_json(item)}), options)
        else:
            _echo(("\n" if position else "") + _styled(item), options)


def show_error(error: Exception, options: Options | None) -> int:
    """Print an error and say which exit code it has: 2 for bad input and for bugs, 1 for what went wrong outside."""
    if isinstance(error, InputError):
        show_diagnostics(error.diagnostics, options)
        return BAD_INPUT
    if isinstance(error, RevetlError):
        show_diagnostics([Diagnostic("failed", _without_secrets(str(error)))], options)
        code = FAILED
    else:
        show_diagnostics([_unforeseen(error, options)], options)
        code = BAD_INPUT
    if options is not None and options.debug:
        _echo("\n".join(_traceback(error)), options)
    return code


def _traceback(error: BaseException) -> Iterator[str]:
    """Where an error comes from. What it says may quote secrets and values, which its place does not."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _traceback(before)
    yield from ("Traceback (most recent call last):", "".join(traceback.format_tb(error.__traceback__)).rstrip())
    yield f"{type(error).__name__}: {_without_secrets(str(error), show_values=False)}"


def _without_secrets(text: str, *, show_values: bool = True) -> str:
    from revetl_dbt.report.redact import Redactor, environment_secrets

    return Redactor([*environment_secrets(), *_secrets], show_values=show_values)(text)


def as_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """A diagnostic as JSON data; what is not known is left out."""
    names = ("code", "summary", "path", "line", "field", "expected", "hint")
    values = {name: getattr(diagnostic, name) for name in names}
    return {
        name: str(value) if isinstance(value, Path) else value for name, value in values.items() if value is not None
    }


def _unforeseen(error: Exception, options: Options | None) -> Diagnostic:
    # The text of an unforeseen error may quote a value; its kind and place never do.
    frame = traceback.extract_tb(error.__traceback__)[-1]
    hint = None if options is not None and options.debug else "--debug shows where it comes from; please report it"
    return Diagnostic("internal", f"Unexpected {type(error).__name__}", frame.filename, frame.lineno, hint=hint)


def _styled(diagnostic: Diagnostic) -> str:
    head, _, rest = diagnostic.render().partition("\n")
    label, colon, summary = head.partition(":")
    colour = "yellow" if diagnostic.warning else "red"
    return click.style(label, fg=colour, bold=True) + colon + summary + (f"\n{rest}" if rest else "")


def _echo(text: str, options: Options) -> None:
    click.echo(text, err=True, color=options.use_colors)
