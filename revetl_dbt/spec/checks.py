"""What can be known to be wrong with a sync without a network or a warehouse, beyond the shape of its declaration."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from revetl_dbt.nearest import did_you_mean, listed
from revetl_dbt.project.yamlfile import Key
from revetl_dbt.spec.models import FieldMapping, Mode, OnRemoved, SyncSpec, Write
from revetl_dbt.spec.problem import Problem, secret_key, secret_value

SOURCES = ("column", "value", "sql", "lookup")
_REMOVALS = {
    Mode.UPSERT: tuple(OnRemoved),
    Mode.UPDATE: (OnRemoved.KEEP, OnRemoved.CLEAR),
    Mode.CREATE: (OnRemoved.KEEP, OnRemoved.DELETE, OnRemoved.ARCHIVE, OnRemoved.ERASE),
    Mode.APPEND: (OnRemoved.KEEP,),
    Mode.DELETE: (OnRemoved.KEEP,),
    Mode.ERASE: (OnRemoved.KEEP,),
}
_ELSEWHERE = re.compile(
    r"\b(select|now|today|sysdate|systimestamp|getdate|getutcdate|(?:current|local)_?(?:date|time|timestamp|datetime)"
    r"|(?:transaction|statement|clock)_timestamp|rand|random|uuid|gen_random_uuid|generate_uuid|nextval)\b",
    re.IGNORECASE,
)
"""What makes an expression more than a function of its row: the clock, chance, other tables."""
_ALL_COLUMNS = re.compile(r"(?:^|[(,]|(?<!\d)\.)\s*\*|\bcolumns\s*\(", re.IGNORECASE)
_NEEDS_MATCH = (Mode.UPSERT, Mode.UPDATE, Mode.DELETE, Mode.ERASE)


def check_spec(name: str, spec: SyncSpec) -> Iterator[Problem]:
    """The problems of one sync by itself: contradicting options, mappings that say nothing or two things."""
    subject = f"sync `{name}`"
    yield from _check_match(spec, subject)
    yield from _check_mode(spec, subject)
    yield from _check_guards(spec, subject)
    yield from _check_ledger(spec, subject)
    yield from _check_names(spec, subject)
    for field, mapping in spec.fields.items():
        yield from _check_mapping(field, mapping, spec, subject)
    yield from _check_expressions(spec, subject)
    yield from _check_economy(spec, subject)


def columns_used(spec: SyncSpec) -> Iterator[tuple[tuple[Key, ...], str]]:
    """Every column that a sync names, with the keys under which it does (columns inside SQL are not looked for)."""
    for position, column in enumerate(spec.key):
        yield ("key", position), column
    for field, column in spec.match.items():
        yield ("match", field), column
    if spec.changed_since is not None:
        yield ("changed_since", "column"), spec.changed_since.column
    for field, mapping in spec.fields.items():
        if mapping.column is not None:
            yield ("fields", field), mapping.column
        if mapping.lookup is not None:
            for other, column in mapping.lookup.match.items():
                yield ("fields", field, "lookup", "match", other), column


def unknown_columns(name: str, spec: SyncSpec, model: str, known: Collection[str]) -> Iterator[Problem]:
    """The columns that a sync names and the model lacks; names are compared without regard to letter case."""
    folded = {column.casefold() for column in known}
    seen: set[str] = set()
    for keys, column in columns_used(spec):
        if column.casefold() not in folded and column not in seen:
            seen.add(column)
            yield Problem(
                "unknown-column",
                f"Model `{model}` has no column `{column}` (sync `{name}`)",
                keys,
                listed(known),
                did_you_mean(column, known),
            )


def check_pii(name: str, spec: SyncSpec, pii: Collection[str], row: str | None) -> Iterator[Problem]:
    """The columns marked as personal data (`pii`) that a sync would send without leave.

    `row` is what SQL calls all columns of a row together: the name of the relation, unless a column has it too.
    """
    allowed = {column.casefold() for column in spec.allow_pii}
    marked = {column.casefold(): column for column in pii if column.casefold() not in allowed}
    for keys, column in _columns_sent(spec, marked, row):
        yield Problem(
            "pii-not-allowed",
            f"Column `{column}` is marked as personal data, and sync `{name}` would send it",
            keys,
            hint=f"List it under `allow_pii: [{column}]`, or send its hash: {{column: {column}, hash: sha256}}",
        )


def check_secrets(name: str, block: Any, keys: tuple[Key, ...] = ()) -> Iterator[Problem]:
    """Keys and values of a raw block that look like secrets; names of destination fields are nobody's secret."""
    if isinstance(block, Mapping):
        for key, value in block.items():
            is_field = keys in (("fields",), ("match",)) or keys[-1:] == ("match",)
            if secret_key(key) and not is_field:
                yield _secret(name, (*keys, key))
            else:
                yield from check_secrets(name, value, (*keys, key))
    elif isinstance(block, list):
        for position, value in enumerate(block):
            yield from check_secrets(name, value, (*keys, position))
    elif secret_value(block):
        yield _secret(name, keys)


def _secret(name: str, keys: tuple[Key, ...]) -> Problem:
    return Problem(
        "secret-in-meta",
        f"What looks like a secret stands in sync `{name}`; dbt writes it in clear into manifest.json",
        keys,
        hint="Put it into destinations.yml as {{ env_var('DBT_ENV_SECRET_..') }}, and change it where it was issued",
    )


def _check_match(spec: SyncSpec, subject: str) -> Iterator[Problem]:
    if spec.mode in _NEEDS_MATCH and not spec.match:
        yield Problem(
            "match-missing",
            f"Mode `{spec.mode.value}` needs `match` in {subject}: the field that finds a record",
            ("match",),
            "match: {email: email}",
        )
    if not spec.key:
        yield Problem(
            "missing-key",
            f"`key` is empty in {subject}",
            ("key",),
            "the column that identifies a row for ever, such as user_id",
        )
    folded = [column.casefold() for column in spec.key]
    if len(set(folded)) < len(folded):
        yield Problem("key-twice", f"A column stands twice in the `key` of {subject}", ("key",))


def _check_mode(spec: SyncSpec, subject: str) -> Iterator[Problem]:
    mode = spec.mode.value
    allowed = _REMOVALS[spec.mode]
    if spec.on_removed not in allowed:
        yield Problem(
            "mode-conflict",
            f"`on_removed: {spec.on_removed.value}` does not go with mode `{mode}` in {subject}",
            ("on_removed",),
            listed(item.value for item in allowed),
        )
    if spec.backfill != "send" and spec.mode is not Mode.APPEND:
        yield Problem(
            "mode-conflict", f"`backfill` goes with mode `append` only, not with `{mode}`, in {subject}", ("backfill",)
        )
    if spec.mode.removes and spec.fields:
        yield Problem(
            "mode-conflict", f"Mode `{mode}` writes no fields: `fields` has no meaning in {subject}", ("fields",)
        )
    if spec.mode is Mode.UPDATE and not spec.fields:
        yield Problem(
            "fields-missing", f"Mode `update` has nothing to write in {subject}: `fields` is empty", ("fields",)
        )
    if spec.mode in (Mode.CREATE, Mode.APPEND) and not spec.fields and not spec.match:
        yield Problem(
            "fields-missing", f"Mode `{mode}` has nothing to write in {subject}: `fields` is empty", ("fields",)
        )


def _check_guards(spec: SyncSpec, subject: str) -> Iterator[Problem]:
    """In these modes the model says which records go, and the ledger holds none that are there."""
    for guard in ("max_deletes", "max_changes"):
        if spec.mode.removes and isinstance(getattr(spec.guards, guard), str):
            yield Problem(
                "mode-conflict",
                f"`{guard}` is a share of the ledger, which means nothing in mode `{spec.mode.value}` of {subject}",
                ("guards", guard),
                "a number of rows, such as 100",
            )


def _check_ledger(spec: SyncSpec, subject: str) -> Iterator[Problem]:
    if spec.ledger == "fingerprint":
        yield Problem(
            "not-available",
            f"`ledger: fingerprint` of {subject} is not available yet",
            ("ledger",),
            "`values`",
            hint="Send a hash of what must not be stored twice: {column: ..., hash: sha256}",
        )


def _check_economy(spec: SyncSpec, subject: str) -> Iterator[Problem]:
    if spec.changed_since is not None and spec.mode.removes:
        summary = f"`changed_since` does not go with mode `{spec.mode.value}` in {subject}"
        yield Problem(
            "mode-conflict",
            summary,
            ("changed_since",),
            hint="Records are removed once for each time that a row comes, and that it has gone would stay unseen",
        )
    if not spec.skip_unchanged:
        return
    for keys, sql in _expressions(spec):
        found = _ELSEWHERE.search(_without_literals(sql or ""))
        if found:
            yield Problem(
                "not-repeatable",
                f"`{keys[-1]}` of {subject} looks at more than its row (`{found[0]}`): it can change while the model"
                " does not",
                keys,
                hint="Leave out `skip_unchanged`, or put the expression into the model",
            )


def _check_names(spec: SyncSpec, subject: str) -> Iterator[Problem]:
    for field in spec.fields:
        if field.casefold() in {other.casefold() for other in spec.match}:
            yield Problem(
                "field-twice",
                f"Field `{field}` stands in `match` and in `fields` of {subject}",
                ("fields", field),
                hint="Keep it in `match`",
            )
    for section, names in (("fields", spec.fields), ("match", spec.match)):
        first: dict[str, str] = {}
        for field in names:
            other = first.setdefault(field.casefold(), field)
            if other != field:
                yield Problem(
                    "field-twice",
                    f"Fields `{other}` and `{field}` differ in letter case only in {subject}",
                    (section, field),
                    hint="Keep one",
                )


def _check_mapping(field: str, mapping: FieldMapping, spec: SyncSpec, subject: str) -> Iterator[Problem]:
    keys = ("fields", field)
    given = [source for source in SOURCES if source in mapping.model_fields_set]
    if len(given) != 1:
        what = "both " + " and ".join(f"`{source}`" for source in given) if given else "no value"
        yield Problem(
            "mapping-ambiguous", f"Field `{field}` has {what} in {subject}", keys, "one of " + str(listed(SOURCES))
        )
        return
    if getattr(mapping, given[0]) is None:
        hint = "To clear the field, write {sql: 'null'}" if given == ["value"] else None
        yield Problem(
            "wrong-type", f"`{given[0]}` of field `{field}` is empty in {subject}", (*keys, given[0]), hint=hint
        )
    if mapping.hash and given[0] not in ("column", "sql"):
        yield Problem(
            "mapping-conflict", f"`hash` of field `{field}` needs `column` or `sql` in {subject}", (*keys, "hash")
        )
    if mapping.normalise and not mapping.hash:
        yield Problem(
            "mapping-conflict",
            f"`normalise` of field `{field}` says what is hashed, and there is no `hash` in {subject}",
            (*keys, "normalise"),
            "hash: sha256",
        )
    if mapping.write is Write.ON_CREATE and spec.mode is Mode.UPDATE:
        summary = f"Field `{field}` would never be written: `write: on_create` in mode `update` of {subject}"
        yield Problem("mode-conflict", summary, (*keys, "write"))


def _check_expressions(spec: SyncSpec, subject: str) -> Iterator[Problem]:
    for keys, sql in _expressions(spec):
        if sql is None:
            continue
        if "{{" in sql or "{%" in sql:
            yield Problem(
                "jinja-in-expression",
                f"`{keys[-1]}` holds Jinja in {subject}; it is plain SQL over the columns of the model",
                keys,
                hint="dbt renders Jinja in YAML when it parses: without {% raw %} it works as in any dbt property",
            )
        elif not sql.strip():
            yield Problem("wrong-type", f"`{keys[-1]}` is empty in {subject}", keys, "an SQL expression")
        elif ";" in _without_literals(sql):
            yield Problem("sql-invalid", f"`{keys[-1]}` holds a `;` in {subject}", keys, "one SQL expression")


def _expressions(spec: SyncSpec) -> Iterator[tuple[tuple[Key, ...], str | None]]:
    """Each SQL expression of a declaration, and the keys under which it stands."""
    yield ("where",), spec.where
    yield from ((("fields", field, "sql"), mapping.sql) for field, mapping in spec.fields.items())


def _columns_sent(spec: SyncSpec, marked: Mapping[str, str], row: str | None) -> Iterator[tuple[tuple[Key, ...], str]]:
    """The marked columns whose values would leave in clear, each under the keys where it does."""
    for keys, column in columns_used(spec):
        hashed = keys[0] == "fields" and len(keys) == 2 and spec.fields[str(keys[1])].hash
        if keys[0] not in ("key", "changed_since") and not hashed and column.casefold() in marked:
            yield keys, marked[column.casefold()]
    for field, mapping in spec.fields.items():
        if mapping.sql is not None and not mapping.hash:
            sql = _without_literals(mapping.sql)
            words = marked if _takes_whole_row(sql, row) else {word.casefold() for word in re.findall(r"\w+", sql)}
            yield from ((("fields", field, "sql"), marked[word]) for word in marked if word in words)


def _takes_whole_row(sql: str, row: str | None) -> bool:
    """True for SQL that means all columns without naming them: `to_json(people)`, `object_construct(*)`."""
    named = row is not None and re.search(rf"(?<![\w.]){re.escape(row)}(?![\w\"`\]]*\s*[.(\w])", sql, re.IGNORECASE)
    return bool(named or _ALL_COLUMNS.search(sql))


def _without_literals(sql: str) -> str:
    return re.sub(r"'(?:[^']|'')*'", "''", sql)
