"""Jinja in profiles.yml, dbt_project.yml and destinations.yml, with dbt's meaning.

The context is the one that dbt gives to profiles.yml: `env_var()`, where `DBT_ENV_SECRET_*` is allowed, and `var()`
for what `--vars` holds; the filters `as_number`, `as_bool`, `as_native` and `as_text` turn text into typed values
(https://docs.getdbt.com/reference/dbt-jinja-functions/profiles-yml-context).
"""

from __future__ import annotations

import os
import re
from ast import literal_eval
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

from revetl_dbt.project.yamlfile import Key

SECRET_PREFIX = "DBT_ENV_SECRET_"  # noqa: S105 - dbt's prefix of the names of secret variables
_MARKUP = re.compile(r"\{[{%#]")
_SECRET = re.compile(r"\x00secret:(\w+)\x00")
_MISSING = object()

Report = Callable[[tuple[Key, ...], "RenderError"], None]


class RenderError(Exception):
    """An expression cannot be rendered: `code` and the text say why, `hint` what to do; no value is in either."""

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


class Renderer:
    """Renders values as dbt renders profiles.yml."""

    def __init__(
        self,
        variables: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        **context: Any,
    ) -> None:
        """`variables` are those of `--vars`; `context` holds further names, such as `target`."""
        self._vars = variables or {}
        self._environ = os.environ if environ is None else environ
        self._context = {"env_var": self._env_var, "var": self._var, **context}

    def render(self, value: Any) -> Any:
        """Render one value; anything but text with Jinja in it comes back as it is. Raises RenderError."""
        if not isinstance(value, str) or not _MARKUP.search(value):
            return value
        from jinja2 import TemplateError

        try:
            rendered = _environment().from_string(value).render(self._context)
        except RenderError:
            raise
        except TemplateError as error:
            raise RenderError("jinja-error", f"Cannot render the Jinja expression: {error.message}") from None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # The text of these errors may quote a value.
            raise RenderError("jinja-error", f"Cannot render the Jinja expression: {type(error).__name__}") from None
        return _SECRET.sub(self._reveal, rendered) if isinstance(rendered, str) else rendered

    def render_tree(self, value: Any, report: Report, at: tuple[Key, ...] = ()) -> Any:
        """Render every text in nested data; problems go to `report` with their path, and the text stays."""
        if isinstance(value, Mapping):
            return {key: self.render_tree(item, report, (*at, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.render_tree(item, report, (*at, index)) for index, item in enumerate(value)]
        try:
            return self.render(value)
        except RenderError as error:
            report(at, error)
            return value

    def _env_var(self, name: str, default: Any = None) -> Any:
        if name in self._environ:
            # Secrets are filled in after rendering, so that no filter can take one apart.
            return f"\x00secret:{name}\x00" if name.startswith(SECRET_PREFIX) else self._environ[name]
        if default is not None:
            return default
        raise RenderError(
            "env-var-missing",
            f"Environment variable `{name}` is not set",
            f"Set it, or give a default: env_var('{name}', '...')",
        )

    def _reveal(self, match: re.Match[str]) -> str:
        return self._environ[match.group(1)]

    def _var(self, name: str, default: Any = _MISSING) -> Any:
        if name in self._vars:
            return self._vars[name]
        if default is not _MISSING:
            return default
        raise RenderError(
            "var-missing",
            f"Variable `{name}` is not set",
            f"Pass it with --vars '{{{name}: ...}}'; as in profiles.yml, variables of dbt_project.yml are not known",
        )


class _Typed(str):
    """Text that one of the filters wants as a typed value."""

    __slots__ = ()
    expected: type | tuple[type, ...] = object
    word = "native value"


class _Bool(_Typed):
    __slots__ = ()
    expected = bool
    word = "boolean"


class _Number(_Typed):
    __slots__ = ()
    expected = (int, float)
    word = "number"


def _concat(parts: Iterable[Any]) -> Any:
    """One part keeps its type; several become text (as in dbt's profiles.yml: no guessing of types)."""
    nodes = list(parts)
    if len(nodes) != 1:
        return "".join(str(node) for node in nodes)
    node = nodes[0]
    if not isinstance(node, _Typed):
        return node
    try:
        value = literal_eval(str(node).strip())
    except (ValueError, SyntaxError, MemoryError):
        value = str(node)
    if not isinstance(value, node.expected) or (node.word == "number" and isinstance(value, bool)):
        raise RenderError("jinja-error", f"Cannot render the Jinja expression: its value is not a {node.word}")
    return value


@cache
def _environment() -> Environment:
    from jinja2 import StrictUndefined
    from jinja2.nativetypes import NativeCodeGenerator
    from jinja2.sandbox import SandboxedEnvironment

    def finalize(value: Any) -> Any:
        if isinstance(value, StrictUndefined):
            str(value)  # raises: a name that is not known has no native value
        return value

    class NativeSandbox(SandboxedEnvironment):
        code_generator_class = NativeCodeGenerator
        concat = staticmethod(_concat)

    environment = NativeSandbox(undefined=StrictUndefined, finalize=finalize)
    environment.filters.update(as_text=str, as_native=_Typed, as_bool=_Bool, as_number=_Number)
    return environment
