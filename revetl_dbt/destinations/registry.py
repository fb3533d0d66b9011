"""Which destination types there are: the entry points of the group `revetl_dbt.destinations`.

The connectors that come with revetl_dbt are registered there like any other package's (`pyproject.toml`). Listing names
imports no connector.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from revetl_dbt.destinations.base import Destination
from revetl_dbt.errors import InputError
from revetl_dbt.nearest import did_you_mean, listed

GROUP = "revetl_dbt.destinations"


def names() -> list[str]:
    """The destination types that are installed, in alphabetical order; imports none of them."""
    return sorted(_installed())


@cache
def connector(type: str) -> type[Destination]:  # noqa: A002 - the word of destinations.yml
    """The class that serves a destination type.

    Raises InputError when no package, or more than one, provides it, and when it cannot be imported or is no connector.
    """
    found = _installed().get(type, ())
    if not found:
        raise _unknown(type)
    if len(found) > 1:
        raise InputError.single(
            "destination-type-ambiguous",
            f"Several installed packages provide the destination type `{type}`: {', '.join(map(_provider, found))}",
            hint="Uninstall all of them but one",
        )
    return _load(found[0])


def _installed() -> dict[str, tuple[EntryPoint, ...]]:
    found: dict[str, dict[str, EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        # A package may be on the path twice (an editable install beside its own tree): the same object is one provider.
        found.setdefault(entry.name, {}).setdefault(entry.value, entry)
    return {name: tuple(by_value.values()) for name, by_value in found.items()}


def _unknown(name: str) -> InputError:
    known = names()
    if not known:
        return InputError.single(
            "destination-type-unknown",
            f"No destination type is installed, so `{name}` is not either",
            hint="revetl_dbt runs from files that were never installed: install it, such as with `pip install -e .`",
        )
    return InputError.single(
        "destination-type-unknown",
        f"There is no destination type `{name}`",
        field="type",
        expected=f"one of {listed(known)}",
        hint=did_you_mean(name, known) or "Is the package that provides it installed?",
    )


def _load(entry: EntryPoint) -> type[Destination]:
    try:
        loaded = entry.load()
    except (ImportError, AttributeError) as error:
        raise InputError.single(
            "destination-type-broken",
            f"The destination type `{entry.name}` of {_provider(entry)} cannot be imported: {error}",
            hint="Reinstall or update that package",
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Destination)):
        raise InputError.single(
            "destination-type-broken",
            f"The destination type `{entry.name}` of {_provider(entry)} is no connector",
            expected=f"a subclass of `{Destination.__module__}.Destination` at `{entry.value}`",
        )
    return loaded


def _provider(entry: EntryPoint) -> str:
    return f"`{entry.dist.name}`" if entry.dist is not None else f"`{entry.value}`"
