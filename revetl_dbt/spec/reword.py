"""What pydantic says of a declaration, in our own words: with the nearest valid name, and without the values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from revetl_dbt.nearest import did_you_mean, listed, nearest
from revetl_dbt.project.yamlfile import Key
from revetl_dbt.spec.problem import Problem, secret_value

_KINDS = {
    str: "text",
    SecretStr: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    dict: "a mapping",
    list: "a list",
    tuple: "a list",
}


def reword(error: ValidationError, model: type[BaseModel], data: Mapping[str, Any], subject: str) -> Iterator[Problem]:
    """The problems in `data`, which `model` refused; `subject` names what it belongs to, such as "sync `contacts`"."""
    problems: dict[tuple[Key, ...], Problem] = {}
    misspelt: set[tuple[Key, ...]] = set()
    for detail in error.errors(include_url=False, include_input=False):
        keys = _keys(detail, data)
        if keys not in problems:  # each member of a union has its say about the same value
            problems[keys] = _problem(detail, keys, model, data, subject)
        if detail["type"] == "extra_forbidden":
            misspelt.add((*keys[:-1], nearest(str(keys[-1]), known_keys(model, keys[:-1])) or ""))
    for keys, problem in problems.items():
        if problem.code != "missing-key" or keys not in misspelt:
            yield problem


def _problem(
    detail: ErrorDetails, keys: tuple[Key, ...], model: type[BaseModel], data: Mapping[str, Any], subject: str
) -> Problem:
    kind, name = detail["type"], f"`{keys[-1] if keys else ''}`"
    inside = f"{subject}, under `{'.'.join(str(key) for key in keys[:-1])}`" if len(keys) > 1 else subject
    if kind == "extra_forbidden":
        return unknown_key(keys, known_keys(model, keys[:-1]), inside)
    if kind == "missing":
        wanted = annotation_at(model, keys)
        return Problem("missing-key", f"{name} is missing in {inside}", keys, _meaning(model, keys) or expected(wanted))
    if kind in ("value_error", "assertion_error"):
        reason = str(detail.get("ctx", {}).get("error") or "not a valid value")
        return Problem("invalid-value", f"{name} in {inside}: {reason}" if keys else f"{subject}: {reason}", keys)
    found = value_at(data, keys)
    choices = _choices(annotation_at(model, keys))
    if choices and isinstance(found, str):
        echoed = "" if secret_value(found) else f"`{found}` "
        return Problem(
            "invalid-value",
            f"{echoed}is not a value of {name} in {inside}".strip(),
            keys,
            listed(choices),
            did_you_mean(found, choices),
        )
    wanted = expected(annotation_at(model, keys))
    if kind in _RANGE:
        return Problem("invalid-value", f"{name} is out of range in {inside}", keys, wanted)
    return Problem("wrong-type", f"{name} is {describe(found)} in {inside}", keys, wanted)


_RANGE = frozenset(
    {"greater_than", "greater_than_equal", "less_than", "less_than_equal", "too_short", "too_long", "string_too_short"}
)


def unknown_key(keys: tuple[Key, ...], known: Sequence[str], inside: str) -> Problem:
    """The problem of a key that nothing knows; one named like a secret gets its own words."""
    name = str(keys[-1])
    return Problem("unknown-key", f"Unknown key `{name}` in {inside}", keys, listed(known), did_you_mean(name, known))


def known_keys(model: type[BaseModel], keys: Sequence[Key]) -> list[str]:
    """The keys that a model accepts below a path."""
    models = _models(annotation_at(model, keys)) if keys else [model]
    return list(dict.fromkeys(name for item in models for name in item.model_fields))


def annotation_at(model: type[BaseModel], keys: Sequence[Key]) -> Any:
    """The type of the value at a path; Any where it cannot be told."""
    current: Any = model
    for key in keys:
        current = _step(current, key)
    return current


def expected(annotation: Any) -> str | None:
    """A type in words, such as "a whole number, at least 1"; None when it says nothing."""
    choices = _choices(annotation)
    if choices:
        return listed(choices)
    words = [_word(item) for item in _members(annotation) if item is not type(None)]
    return " or ".join(dict.fromkeys(word for word in words if word)) or None


def describe(value: Any) -> str:
    """What kind of value this is, in words, without the value."""
    if value is None:
        return "empty"
    for kind, word in (
        (bool, "a boolean"),
        (int, "a number"),
        (float, "a number"),
        (str, "text"),
        (Mapping, "a mapping"),
        (list, "a list"),
    ):
        if isinstance(value, kind):
            return word
    return "of another type"


def value_at(data: Any, keys: Sequence[Key]) -> Any:
    """The value under nested keys; None where there is none."""
    for key in keys:
        if not _has(data, key):
            return None
        data = data[key]
    return data


def _has(data: Any, key: Key) -> bool:
    if isinstance(data, list):
        return isinstance(key, int) and key < len(data)
    return isinstance(data, Mapping) and key in data


def _keys(detail: ErrorDetails, data: Any) -> tuple[Key, ...]:
    """The path of an error without the names of union members, which are no keys of the data."""
    keys: list[Key] = []
    location = detail["loc"]
    for position, key in enumerate(location):
        if _has(data, key):
            keys.append(key)
            data = data[key]
        elif position == len(location) - 1 and detail["type"] == "missing":
            keys.append(key)
    return tuple(keys)


def _step(annotation: Any, key: Key) -> Any:
    for item in _members(annotation):
        item = _bare(item)
        if isinstance(item, type) and issubclass(item, BaseModel) and key in item.model_fields:
            field = item.model_fields[str(key)]
            return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        origin, arguments = get_origin(item), get_args(item)
        if origin in (dict, Mapping) and arguments:
            return arguments[1]
        if origin in (list, tuple, Sequence) and arguments:
            return arguments[0]
    return Any


def _members(annotation: Any) -> list[Any]:
    bare = _bare(annotation)
    if get_origin(bare) in (Union, UnionType):
        return [member for item in get_args(bare) for member in _members(item)]
    return [annotation]


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _models(annotation: Any) -> list[type[BaseModel]]:
    bare = [_bare(item) for item in _members(annotation)]
    return [item for item in bare if isinstance(item, type) and issubclass(item, BaseModel)]


def _choices(annotation: Any) -> list[str]:
    found: list[str] = []
    for item in _members(annotation):
        bare = _bare(item)
        if get_origin(bare) is Literal:
            found += [str(value) for value in get_args(bare)]
        elif isinstance(bare, type) and issubclass(bare, Enum):
            found += [str(member.value) for member in bare]
    return found


def _word(annotation: Any) -> str | None:
    bare = _bare(annotation)
    kind = get_origin(bare) or bare
    if not isinstance(kind, type):
        return None
    word = "a mapping" if issubclass(kind, (BaseModel, Mapping)) else _KINDS.get(kind)
    bounds = [_bound(item) for item in (get_args(annotation)[1:] if get_origin(annotation) is Annotated else ())]
    return ", ".join([word, *(bound for bound in bounds if bound)]) if word else None


def _bound(constraint: Any) -> str | None:
    words: list[tuple[type, str, str]] = [
        (Ge, "ge", "at least {}"),
        (Gt, "gt", "more than {}"),
        (Le, "le", "at most {}"),
        (Lt, "lt", "less than {}"),
        (MinLen, "min_length", "with at least {} entry"),
        (MaxLen, "max_length", "with at most {} entry"),
    ]
    return next(
        (text.format(getattr(constraint, name)) for kind, name, text in words if isinstance(constraint, kind)), None
    )


def _meaning(model: type[BaseModel], keys: Sequence[Key]) -> str | None:
    for item in _models(annotation_at(model, keys[:-1])) if len(keys) > 1 else [model]:
        field = item.model_fields.get(str(keys[-1]))
        if field is not None and field.description:
            return field.description
    return None
