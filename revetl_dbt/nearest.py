"""Did you mean: the nearest valid name, and lists of valid names, for messages."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_SHOWN = 20


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like `name`, letter case aside, or None when none is like it."""
    by_folded = {item.casefold(): item for item in known}
    found = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The hint that names the nearest name, or None."""
    found = nearest(name, known)
    return f"Did you mean `{found}`?" if found else None


def listed(names: Iterable[str]) -> str | None:
    """Names in backticks, at most 20 of them; None when there are none."""
    items = [f"`{name}`" for name in names]
    if not items:
        return None
    more = len(items) - _SHOWN
    return ", ".join(items[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
