"""Stripe's search query language, the part that is needed to find records: clauses of `field:"value"`, joined by
AND or OR (https://docs.stripe.com/search#search-query-language).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from revetl_dbt.sandbox.stripe.errors import ApiError
from revetl_dbt.sandbox.stripe.values import flat

_TEXT = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_CLAUSE = re.compile(
    rf"\s*(?P<not>-)?(?P<field>metadata\[(?P<key>{_TEXT})\]|[a-z_.]+)(?P<op>[:~])(?P<value>{_TEXT}|[\w.]+)\s*",
    re.DOTALL,
)
_JOIN = re.compile(r"(and|or)\s+", re.IGNORECASE)


@dataclass(frozen=True)
class Clause:
    """A condition on one field; `value` None asks whether there is any."""

    field: str
    value: str | None
    part: bool = False  # any part of the text will do
    negated: bool = False

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether a record has it; letter case does not matter."""
        held = values.get(self.field)
        if self.value is None:
            return (held is None) != self.negated
        text, wanted = _text(held).casefold(), self.value.casefold()
        return (held is not None and (wanted in text if self.part else wanted == text)) != self.negated


@dataclass(frozen=True)
class Query:
    """Clauses, of which all must hold, or one."""

    clauses: Sequence[Clause]
    any: bool = False

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether a record is found."""
        flattened = flat(values)
        return (any if self.any else all)(clause.holds(flattened) for clause in self.clauses)


def parsed_query(text: str, fields: Sequence[str]) -> Query:
    """A query on some fields and on metadata. Raises ApiError 400."""
    clauses: list[Clause] = []
    joins: set[str] = set()
    at = 0
    while at < len(text) or not clauses:
        found = _CLAUSE.match(text, at)
        if found is None:
            raise ApiError(400, "We were unable to parse your search query", None, "query")
        name = "metadata." + _unquoted(found["key"]) if found["key"] else found["field"]
        if not found["key"] and name not in fields:
            raise ApiError(400, f"Field `{name}` is an unsupported search field for resource", None, "query")
        value = None if found["value"] == "null" else _unquoted(found["value"])
        clauses.append(Clause(name, value, found["op"] == "~", bool(found["not"])))
        at = found.end()
        joined = _JOIN.match(text, at)
        if joined:
            joins.add(joined[1].lower())
            at = joined.end()
    if len(joins) > 1:
        raise ApiError(400, "You cannot combine `AND` and `OR` in one query", None, "query")
    return Query(clauses, joins == {"or"})


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL) if text[0] in "\"'" else text


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
