"""What a sync asks of its object, against what the object's connector says that it can do. No request is made."""

from __future__ import annotations

from collections.abc import Iterator

from revetl_dbt.destinations.base import Budget, Destination, ObjectType, Operation
from revetl_dbt.nearest import did_you_mean, listed
from revetl_dbt.spec.destinations import Output
from revetl_dbt.spec.models import FieldMapping, Mode, OnRemoved, Sync, SyncSpec, Write
from revetl_dbt.spec.problem import Problem

_MODES = {
    Mode.UPSERT: (Operation.UPSERT,),
    Mode.UPDATE: (Operation.UPDATE,),
    Mode.CREATE: (Operation.CREATE,),
    Mode.APPEND: (Operation.APPEND,),
    Mode.DELETE: (Operation.DELETE, Operation.ARCHIVE),
    Mode.ERASE: (Operation.ERASE,),
}
_REMOVALS = {
    OnRemoved.DELETE: (Operation.DELETE,),
    OnRemoved.ARCHIVE: (Operation.ARCHIVE,),
    OnRemoved.ERASE: (Operation.ERASE,),
    OnRemoved.CLEAR: (Operation.UPDATE, Operation.UPSERT),
}


class _NoRequests:
    """The gate of a connector that is only asked what it can do."""

    def acquire(self) -> None:
        raise RuntimeError("a connector made a request where it was only asked for its objects")

    def observe(self, budget: Budget) -> None:  # noqa: ARG002 - the gate's signature
        raise RuntimeError("a connector made a request where it was only asked for its objects")


def offline(output: Output) -> Destination:
    """The connector of an output, able to describe its objects and unable to send a request."""
    config = output.config
    if config.sandbox and config.base_url is None:
        # The sandbox is not running yet; nothing is sent to this address.
        config = config.model_copy(update={"base_url": "http://sandbox.invalid"})
    return output.connector(config, _NoRequests())


def check_capabilities(sync: Sync, destination: Destination) -> Iterator[Problem]:
    """What a sync asks of its destination and that cannot do: object, mode, removals, match fields, lookups."""
    spec, subject = sync.spec, f"sync `{sync.name}`"
    item = destination.object_type(spec.object)
    if item is None:
        yield _unknown_object(spec.object, destination, ("object",), subject)
        return
    yield from _check_operation(item, _MODES[spec.mode], ("mode",), f"mode `{spec.mode.value}` of {subject}")
    if spec.on_removed in _REMOVALS:
        words = f"`on_removed: {spec.on_removed.value}` of {subject}"
        yield from _check_operation(item, _REMOVALS[spec.on_removed], ("on_removed",), words)
    if spec.create_fields and not item.creates_fields:
        reason = f"Create the fields of `{item.name}` in the tool first"
        summary = f"`create_fields`: the fields of object `{item.name}` cannot be created through its API ({subject})"
        yield Problem("not-supported", summary, ("create_fields",), hint=reason)
    yield from _check_match(spec, item, subject)
    yield from _check_fields(spec, item, destination, subject)


def _check_operation(
    item: ObjectType, operations: tuple[Operation, ...], keys: tuple[str, ...], words: str
) -> Iterator[Problem]:
    if not any(operation in item.operations for operation in operations):
        reason = next((item.unsupported[operation] for operation in operations if operation in item.unsupported), None)
        can = listed(operation.value for operation in item.operations)
        yield Problem(
            "not-supported", f"Object `{item.name}` cannot do {words}", keys, f"one of what it can do: {can}", reason
        )


def _check_match(spec: SyncSpec, item: ObjectType, subject: str) -> Iterator[Problem]:
    if len(spec.match) > 1 and not item.composite_match:
        yield Problem(
            "not-supported",
            f"Object `{item.name}` finds records by one field only, not by {len(spec.match)} ({subject})",
            ("match",),
        )
    for field in spec.match:
        if item.match_fields is not None and field not in item.match_fields:
            yield Problem(
                "match-field-unknown",
                f"Object `{item.name}` cannot find records by `{field}` ({subject})",
                ("match", field),
                listed(item.match_fields),
                did_you_mean(field, item.match_fields),
            )


def _check_fields(spec: SyncSpec, item: ObjectType, destination: Destination, subject: str) -> Iterator[Problem]:
    for field, mapping in spec.fields.items():
        if _asks(spec, mapping) and not item.reads:
            yield Problem(
                "not-supported",
                f"Object `{item.name}` cannot be read, as `{mapping.write.value}` of field `{field}` needs ({subject})",
                ("fields", field, "write"),
            )
        if _asks(spec, mapping) and len(spec.match) > 1:
            yield Problem(
                "not-supported",
                f"`write: {mapping.write.value}` of field `{field}` needs a `match` of one field ({subject})",
                ("fields", field, "write"),
            )
        if mapping.lookup is None:
            continue
        keys = ("fields", field, "lookup", "object")
        other = destination.object_type(mapping.lookup.object)
        if other is None:
            yield _unknown_object(mapping.lookup.object, destination, keys, subject)
        elif not other.reads:
            yield Problem(
                "not-supported", f"Object `{other.name}` cannot be read, so it cannot be looked up ({subject})", keys
            )


def _asks(spec: SyncSpec, mapping: FieldMapping) -> bool:
    """True when the record has to be read before the field is written."""
    asking = {Mode.UPSERT: (Write.IF_EMPTY, Write.ON_CREATE), Mode.UPDATE: (Write.IF_EMPTY,)}
    return mapping.write in asking.get(spec.mode, ())


def _unknown_object(name: str, destination: Destination, keys: tuple[str, ...], subject: str) -> Problem:
    known = [item.name for item in destination.objects()]
    return Problem(
        "unknown-object",
        f"`{destination.type}` has no object `{name}` ({subject})",
        keys,
        listed(known),
        did_you_mean(name, known),
    )
