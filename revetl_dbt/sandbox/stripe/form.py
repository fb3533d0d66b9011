"""Forms as Stripe reads them: `address[city]=Berlin`, `images[0]=...` and `images[]=...`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from revetl_dbt.sandbox.messages import BadRequest

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_STEP = re.compile(r"\[([^\[\]]*)\]")

Params = dict[str, Any]


def parsed_form(body: bytes) -> Params:
    """The parameters of a body, nested; texts everywhere. BadRequest for what is no form."""
    try:
        return nested(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body)))
    except ValueError as error:
        raise BadRequest(str(error)) from None


def nested(pairs: Iterable[tuple[str, str]]) -> Params:
    """Pairs of a form or a query as nested objects and lists. BadRequest for brackets without partner."""
    root: Params = {}
    for name, value in pairs:
        found = _NAME.fullmatch(name)
        if found is None:
            raise BadRequest(f"`{name}` is not the name of a parameter")
        _put(root, [found[1], *_STEP.findall(found[2])], value)
    return {name: _lists(value) for name, value in root.items()}


def _put(node: Params, steps: list[str], value: str) -> None:
    for step in steps[:-1]:
        inner = node.setdefault(step or str(len(node)), {})
        if not isinstance(inner, dict):
            raise BadRequest(f"`{step}` is both a value and an object")
        node = inner
    last = steps[-1] or str(len(node))
    if isinstance(node.get(last), dict):
        raise BadRequest(f"`{last}` is both a value and an object")
    node[last] = value


def _lists(value: Any) -> Any:
    """Objects whose names count from zero are lists."""
    if not isinstance(value, dict):
        return value
    items = {name: _lists(inner) for name, inner in value.items()}
    return list(items.values()) if list(items) == [str(n) for n in range(len(items))] else items
