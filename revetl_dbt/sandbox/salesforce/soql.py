"""The part of SOQL that a sync needs: fields of one object and of its parents, conditions joined by AND, a limit.

https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl (SELECT syntax, quoted string escapes).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from revetl_dbt.sandbox.salesforce.errors import ApiError
from revetl_dbt.sandbox.salesforce.fields import NUMBERS, Field
from revetl_dbt.sandbox.salesforce.objects import ObjectType
from revetl_dbt.sandbox.salesforce.org import VENDOR, Org
from revetl_dbt.sandbox.salesforce.records import Records
from revetl_dbt.sandbox.salesforce.render import all_values, attributes
from revetl_dbt.sandbox.store import Record

_SHAPE = re.compile(
    r"\s*select\s+(?P<fields>.+?)\s+from\s+(?P<object>\w+)(?:\s+where\s+(?P<where>.+?))?"
    r"(?:\s+order\s+by\s+(?P<order>\w+)(?:\s+(?P<way>asc|desc))?)?(?:\s+limit\s+(?P<limit>\d+))?\s*",
    re.IGNORECASE | re.DOTALL,
)
_TOKEN = re.compile(r"\s*(?:('(?:[^'\\]|\\.)*')|(!=|<=|>=|[=<>(),])|([^\s'=<>!(),]+))", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "'": "'", '"': '"', "\\": "\\"}
_SYSTEM = ("Organization", "PermissionSet", "User", "AssignmentRule")


@dataclass(frozen=True)
class Condition:
    """`field operator value`; the values of IN are a list."""

    field: str
    operator: str
    value: Any
    quoted: bool = False


class Query:
    """One query over an org."""

    def __init__(self, records: Records, text: str, deleted: bool, version: str) -> None:
        self._records = records
        self._org: Org = records.org
        self._deleted = deleted
        self._version = version
        literals: list[str] = []

        def hide(match: re.Match[str]) -> str:
            literals.append(match[0])
            return f"'{len(literals) - 1}'"

        match = _SHAPE.fullmatch(re.sub(r"'(?:[^'\\]|\\.)*'", hide, text))
        if match is None:
            raise _malformed(f"unexpected token: {text.split()[0] if text.split() else '<EOF>'}")
        where = re.sub(r"'(\d+)'", lambda found: literals[int(found[1])], match["where"] or "")
        self.names = [name.strip() for name in match["fields"].split(",")]
        self.object = match["object"]
        self.conditions = _conditions(where)
        self._order, self._descending = match["order"], (match["way"] or "").lower() == "desc"
        self._limit = int(match["limit"]) if match["limit"] else None

    @property
    def counts(self) -> bool:
        """Whether it asks for a number of records only."""
        return [name.lower().replace(" ", "") for name in self.names] == ["count()"]

    def rows(self) -> list[dict[str, Any]]:
        """The rows, all of them. ApiError for an object, a field or a condition that there is not."""
        if self.object in _SYSTEM:
            return self._system()
        kind = self._org.kind(self.object)
        if kind is None:
            text = f"sObject type '{self.object}' is not supported."
            raise ApiError(400, "INVALID_TYPE", text)
        fields = self._org.fields(kind)
        for condition in self.conditions:
            _check_condition(_known(fields, condition.field, kind), condition)
        found = [all_values(fields, record) for record in self._candidates(kind, fields)]
        found = [values for values in found if all(_holds(fields, condition, values) for condition in self.conditions)]
        if self._order:
            name = _known(fields, self._order, kind).name
            found.sort(key=lambda values: (values[name] is not None, values[name] or ""), reverse=self._descending)
        found = found[: self._limit] if self._limit is not None else found
        if self.counts:
            return [{} for _ in found]
        return [self._shown(kind, fields, values) for values in found]

    def _candidates(self, kind: ObjectType, fields: Mapping[str, Field]) -> Sequence[Record]:
        """Records that may fit: by the index where a condition allows it."""
        for condition in self.conditions:
            item = _known(fields, condition.field, kind)
            if condition.operator in ("=", "in") and (item.indexed or item.name == "Id") and not self._deleted:
                values = condition.value if condition.operator == "in" else [condition.value]
                if item.name == "Id":
                    return list(self._records.read(kind, [str(value) for value in values]).values())
                ids = [
                    holder
                    for value in values
                    if value is not None
                    for holder in self._records.holders(kind, item, value)
                ]
                return list(self._records.read(kind, ids).values())
        found = self._org.store.scan(VENDOR, kind.name, archived=None if self._deleted else False)
        return [record for record in found if not record.properties.get("$erased")]

    def _shown(self, kind: ObjectType, fields: Mapping[str, Field], values: Mapping[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = {"attributes": attributes(kind, values["Id"], self._version)}
        for name in self.names:
            relation, dot, rest = name.partition(".")
            if dot:
                item, parent, parent_fields = self._parent(fields, relation, values)
                known = _known(parent_fields, rest, parent)
                record = (
                    self._records.read(parent, [values[item.name]]).get(values[item.name])
                    if values[item.name]
                    else None
                )
                inner = None if record is None else {known.name: all_values(parent_fields, record)[known.name]}
                shown[item.relationship or relation] = (
                    {**(shown.get(item.relationship or relation) or {}), **inner} if inner else None
                )
            else:
                known = _known(fields, name, kind)
                shown[known.name] = values[known.name]
        return shown

    def _parent(
        self, fields: Mapping[str, Field], relation: str, values: Mapping[str, Any]
    ) -> tuple[Field, ObjectType, Mapping[str, Field]]:
        for item in fields.values():
            if item.relationship and item.relationship.lower() == relation.lower():
                parent = self._org.of_prefix(values.get(item.name) or "") or self._org.kind(item.reference_to[0])
                if parent is not None:
                    return item, parent, self._org.fields(parent)
        text = f"Didn't understand relationship '{relation}' in field path."
        raise ApiError(400, "INVALID_FIELD", text)

    def _system(self) -> list[dict[str, Any]]:
        """Objects of the org itself, which nobody writes here."""
        org = self._org
        if self.object == "Organization":
            rows = [
                {"Id": org.id, "Name": "revetl sandbox", "IsSandbox": True, "OrganizationType": "Developer Edition"}
            ]
        elif self.object == "PermissionSet":
            rows = [{"Id": org.id.replace("00D", "0PS", 1), "Name": "revetl", "Label": "revetl"}]
        elif self.object == "User":
            rows = [{"Id": org.user, "Name": "Integration User", "Username": "integration@revetl.example"}]
        else:
            rows = [{"Id": org.queue.replace("00G", "01Q", 1), "Name": "Standard", "Active": True}]
        kept = [row for row in rows if all(_equal(row.get(c.field), c) for c in self.conditions)]
        kept = kept[: self._limit] if self._limit is not None else kept
        unknown = [name for name in self.names if name not in rows[0] and not self.counts]
        if unknown:
            raise ApiError(400, "INVALID_FIELD", f"No such column '{unknown[0]}' on entity '{self.object}'.")
        return [{"attributes": {"type": self.object}, **{name: row.get(name) for name in self.names}} for row in kept]


def _conditions(text: str) -> list[Condition]:
    tokens = _tokens(text)
    found: list[Condition] = []
    while tokens:
        if len(tokens) < 3:
            raise _malformed(f"unexpected token: {tokens[0]}")
        name, operator = tokens[0], tokens[1].lower()
        if operator == "in":
            if tokens[2] != "(" or ")" not in tokens:
                raise _malformed("expecting a left parentheses")
            end = tokens.index(")")
            parts = [part for part in tokens[3:end] if part != ","]
            found.append(Condition(name, "in", [_value(part) for part in parts], any(p[0] == "'" for p in parts)))
            tokens = tokens[end + 1 :]
        elif operator in ("=", "!=", "<", ">", "<=", ">=", "like"):
            found.append(Condition(name, operator, _value(tokens[2]), tokens[2][0] == "'"))
            tokens = tokens[3:]
        else:
            raise _malformed(f"unexpected token: {tokens[1]}")
        if tokens:
            if tokens[0].lower() != "and":
                raise _malformed(f"unexpected token: {tokens[0]}")
            tokens = tokens[1:]
    return found


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _malformed(f"line 1:{at} no viable alternative at character '{text[at]}'")
        tokens.append(match[1] or match[2] or match[3])
        at = match.end()
    return tokens


def _value(token: str) -> Any:
    if token.startswith("'"):
        return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), token[1:-1], flags=re.DOTALL)
    known = {"null": None, "true": True, "false": False}
    if token.lower() in known:
        return known[token.lower()]
    try:
        return int(token) if token.lstrip("+-").isdigit() else float(token)
    except ValueError:
        return token  # a date or a moment


def _known(fields: Mapping[str, Field], name: str, kind: ObjectType) -> Field:
    item = fields.get(name.lower())
    if item is None:
        text = (
            f"No such column '{name}' on entity '{kind.name}'. If you are attempting to use a custom field, be sure to "
            "append the '__c' after the custom field name."
        )
        raise ApiError(400, "INVALID_FIELD", text)
    return item


def _check_condition(item: Field, condition: Condition) -> None:
    """Texts are quoted, and nothing else is."""
    wants_quotes = item.type not in NUMBERS | {"boolean", "date", "datetime", "time"}
    empty = condition.value is None or condition.value == []
    if condition.quoted != wants_quotes and not empty:
        word = "should be enclosed in quotes" if wants_quotes else "should not be enclosed in quotes"
        text = f"value of filter criterion for field '{item.name}' must be of type {item.type} and {word}"
        raise ApiError(400, "INVALID_FIELD", text)


def _holds(fields: Mapping[str, Field], condition: Condition, values: Mapping[str, Any]) -> bool:
    item = fields[condition.field.lower()]
    held = values[item.name]
    if condition.operator in ("=", "in", "!="):
        wanted = condition.value if condition.operator == "in" else [condition.value]
        same = any(_same(item, held, value) for value in wanted)
        return same if condition.operator != "!=" else not same
    if held is None or condition.value is None:
        return False
    if condition.operator == "like":
        pattern = re.escape(str(condition.value)).replace("%", ".*").replace("_", ".")
        return re.fullmatch(pattern, str(held), re.IGNORECASE | re.DOTALL) is not None
    left, right = (held, condition.value) if item.type in NUMBERS else (str(held), str(condition.value))
    return bool({"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[condition.operator])


def _same(item: Field, held: Any, value: Any) -> bool:
    if held is None or value is None:
        return held is value
    if item.type in ("id", "reference"):
        return str(held)[:15] == str(value)[:15]
    return item.comparable(held) == item.comparable(value)


def _equal(held: Any, condition: Condition) -> bool:
    values = condition.value if condition.operator == "in" else [condition.value]
    return any(str(held).lower() == str(value).lower() for value in values)


def _malformed(text: str) -> ApiError:
    return ApiError(400, "MALFORMED_QUERY", text)
