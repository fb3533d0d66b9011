"""The fields of a sync against those of its object at the destination: what is missing, cannot be written or does not
take what is declared; and custom fields that are created on request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from revetl_dbt.destinations.base import ColumnType, FieldInfo, ObjectType, UnknownOutcomeError
from revetl_dbt.engine.link import Link
from revetl_dbt.errors import InputError
from revetl_dbt.nearest import did_you_mean, listed
from revetl_dbt.spec.models import Mode, Sync
from revetl_dbt.spec.problem import Problem
from revetl_dbt.warehouse.layout import Layout

_OPTIONS_SHOWN = 12


def checked_fields(sync: Sync, kind: ObjectType, link: Link) -> dict[str, FieldInfo]:
    """The object's fields by name, with those that only the sync names; empty where nothing is described.

    Raises InputError, with all problems, and DestinationError when the destination cannot be asked.
    """
    fields = dict(link.described(kind))
    if not kind.described:
        return fields
    for name in _named(sync):
        if name not in fields:
            found = link.ask(partial(link.destination.describe_field, kind.name, name))
            if found is not None:
                fields[name] = found
    problems = list(_problems(sync, kind, fields))
    if problems:
        raise InputError([sync.diagnostic(problem) for problem in problems])
    return fields


def fields_to_create(sync: Sync, fields: Mapping[str, FieldInfo], layout: Layout) -> dict[str, ColumnType]:
    """The custom fields that a run would create first, with the type of their column."""
    if not sync.spec.create_fields or not fields:
        return {}
    return {column.label: column.type for column in layout.fields if column.label not in fields}


def create_fields(kind: ObjectType, link: Link, missing: Mapping[str, ColumnType]) -> dict[str, FieldInfo]:
    """Create custom fields; they count as described from then on. Raises DestinationError."""
    created = {name: _created(kind, link, name, column) for name, column in missing.items()}
    link.described(kind).update(created)
    return created


def _created(kind: ObjectType, link: Link, name: str, column: ColumnType) -> FieldInfo:
    """A custom field, made with the patience of a run: where an answer was lost, it is looked for first."""
    in_doubt = False

    def create() -> FieldInfo:
        nonlocal in_doubt
        found = _described(kind, link, name) if in_doubt else None
        try:
            return found or link.destination.create_field(kind.name, name, column)
        except UnknownOutcomeError:
            in_doubt = True
            raise

    return link.ask(create)


def _described(kind: ObjectType, link: Link, name: str) -> FieldInfo | None:
    """A field as the destination describes it now."""
    listed_there = {info.name: info for info in link.destination.describe(kind.name)}
    return listed_there.get(name) or link.destination.describe_field(kind.name, name)


def _named(sync: Sync) -> tuple[str, ...]:
    return (*sync.spec.match, *sync.spec.fields)


def _problems(sync: Sync, kind: ObjectType, fields: Mapping[str, FieldInfo]) -> Iterator[Problem]:
    where = f"`{sync.spec.destination}.{kind.name}`"
    for name in _named(sync):
        place = ("match" if name in sync.spec.match else "fields", name)
        info = fields.get(name)
        if info is None:
            if not sync.spec.create_fields or name in sync.spec.match:
                hint = did_you_mean(name, list(fields))
                if hint is None and kind.creates_fields:
                    hint = "`create_fields: true` creates it"
                yield Problem("unknown-field", f"{where} has no field `{name}` (sync `{sync.name}`)", place, hint=hint)
        elif not info.writable and name not in sync.spec.match:
            hint = did_you_mean(name, [other for other, found in fields.items() if found.writable])
            yield Problem("read-only-field", f"Field `{name}` of {where} cannot be written", place, hint=hint)
        elif name in sync.spec.fields:
            yield from _constant_problems(sync, name, info, where)
    if sync.spec.mode in (Mode.UPSERT, Mode.CREATE):
        for info in fields.values():
            if info.required and info.writable and info.name not in _named(sync):
                summary = f"{where} creates no record without field `{info.name}` (sync `{sync.name}`)"
                yield Problem("required-field", summary, ("fields",), hint=f"Map `{info.name}`, or use `mode: update`")


def _constant_problems(sync: Sync, name: str, info: FieldInfo, where: str) -> Iterator[Problem]:
    """What is known beforehand of values that stand in the declaration."""
    mapping = sync.spec.fields[name]
    for keyword in ("value", "if_null"):
        value = getattr(mapping, keyword)
        if not isinstance(value, str) or (keyword == "if_null" and value in ("clear", "skip")):
            continue
        place = ("fields", name, keyword)
        if info.options is not None and value not in info.options:
            yield Problem(
                "unknown-option",
                f"Field `{name}` of {where} does not take `{value}`",
                place,
                listed(info.options[:_OPTIONS_SHOWN]),
                did_you_mean(value, info.options),
            )
        elif info.max_length is not None and len(value) > info.max_length:
            summary = f"Field `{name}` of {where} takes {info.max_length} characters, and `{keyword}` has {len(value)}"
            yield Problem("value-too-long", summary, place)
