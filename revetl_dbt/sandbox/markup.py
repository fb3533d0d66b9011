"""HTML that cannot be built unescaped: every text becomes text, only elements become markup."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_VOID = frozenset({"input", "link", "meta", "br", "wbr"})


class Markup(str):
    """Text that is already HTML. Only `element` makes it."""

    __slots__ = ()


Child = str | int | None | Iterable["Child"]


def element(name: str, /, *children: Child, **attributes: str | int | bool | None) -> Markup:
    """An element. Children that are not Markup are escaped, lists are flattened and None is left out.

    Attribute names lose a trailing underscore and have hyphens for inner ones (`class_`, `aria_label`); None and False
    leave the attribute out.
    """
    opened = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    return Markup(opened) if name in _VOID else Markup(f"{opened}{joined(children)}</{name}>")


def joined(child: Child) -> Markup:
    """A child, or a list of them, as HTML."""
    if child is None:
        return Markup()
    if isinstance(child, Markup):
        return child
    if isinstance(child, str | int):
        return Markup(escape(str(child)))
    return Markup("".join(joined(inner) for inner in child))


def _attribute(key: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
