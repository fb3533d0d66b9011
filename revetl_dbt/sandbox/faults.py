"""Faults as data: which requests go wrong, and how.

A rule says which requests it means (`vendor`, `method`, `path` as a glob), which of those it hits (`nth` from 1,
`probability` with `seed`, `times` at most) and what happens to them (`kind`). Several rules may hit one request: they
are applied in their order. `accepted` means that the request was carried out before things went wrong.

kind          what happens, and what it uses
status        the vendor's own error, nothing done: `status`, `policy`, `retry_after`, `retry_after_date`
expired       the vendor's answer to an expired token, nothing done
delay         answered `seconds` later, or when the rules are replaced
timeout       no answer for `seconds`, then the connection closes: `accepted` (default true)
reset         TCP reset: `accepted` (default false)
truncated     done; the body stops in the middle, after a pause of `seconds`
slow          done; the second half of the body comes `seconds` later
garbage       an answer that is not JSON: `body` (html, text, broken, blank), `status`, `accepted` (default false)
content_type  done; the right body called text/html
empty         2xx with no results: `accepted` (default false: nothing was stored)
poison        rows with a certain value are refused: `field` with `equals`, `contains` or `matches`, `message`,
              `whole_batch`
results       done; the per-record results are damaged: `how` (shuffle, duplicate, missing, untraced)
"""

from __future__ import annotations

import csv
import email.utils
import fnmatch
import io
import json
import random
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from revetl_dbt.errors import SandboxError
from revetl_dbt.nearest import did_you_mean, listed
from revetl_dbt.sandbox.messages import HTML_TYPE, Poisoned, Reply, Request, Response

Kind = Literal[
    "status",
    "expired",
    "delay",
    "timeout",
    "reset",
    "truncated",
    "slow",
    "garbage",
    "content_type",
    "empty",
    "poison",
    "results",
]
_ACCEPTED_BY_DEFAULT = frozenset({"timeout", "truncated", "slow", "content_type", "results"})
_BODIES = {
    "html": "<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>",
    "text": "upstream connect error or disconnect/reset before headers",
    "broken": '{"status":"COMPLETE","results":[{"id":"1","prop',
    "blank": "",
}
_RESULTS = ("results", "result")  # under which vendors list what became of each record
_HOWS = ("shuffle", "duplicate", "missing", "untraced")


@dataclass(frozen=True)
class Fault:
    """One rule; see the module's table. Raises SandboxError where it makes no sense."""

    kind: Kind
    vendor: str | None = None
    method: str | None = None
    path: str = "*"
    nth: tuple[int, ...] = ()
    probability: float = 1.0
    seed: int = 0
    times: int | None = None
    status: int | None = None
    policy: str | None = None
    retry_after: float | None = None
    retry_after_date: bool = False
    seconds: float = 0.0
    accepted: bool | None = None
    body: str = "html"
    field: str | None = None
    equals: str | None = None
    contains: str | None = None
    matches: str | None = None
    message: str = "This value is refused by a fault rule of the sandbox"
    whole_batch: bool = False
    how: str = "shuffle"

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise SandboxError(f"The fault rule {self.as_dict()} {problem}")

    def _problem(self) -> str | None:
        checks = (
            (self.kind in get_args(Kind), f"has no known `kind`{_nearest(str(self.kind), get_args(Kind))}"),
            (self.kind != "status" or self.status is not None, "needs a `status`"),
            (self.body in _BODIES, f"has no known `body`{_nearest(self.body, _BODIES)}"),
            (self.how in _HOWS, f"has no known `how`{_nearest(self.how, _HOWS)}"),
            (self.kind != "poison" or self.field is not None, "needs a `field`"),
            (
                self.kind != "poison" or sum(x is not None for x in (self.equals, self.contains, self.matches)) == 1,
                "needs exactly one of `equals`, `contains` and `matches`",
            ),
            (0.0 <= self.probability <= 1.0, "needs a `probability` from 0 to 1"),
            (_is_pattern(self.matches), "has a `matches` that is not a regular expression"),
        )
        return next((problem for fine, problem in checks if not fine), None)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Fault:
        """A rule from JSON; unknown keys are errors that name the nearest key. `nth` may be a number or a list."""
        if not isinstance(data, Mapping):
            raise SandboxError(f"A fault rule must be an object, not {data!r}")
        known = {f.name for f in fields(cls)}
        for key in data:
            if key not in known:
                raise SandboxError(
                    f"The fault rule {dict(data)} has an unknown key `{key}`{_nearest(key, sorted(known))}"
                )
        if "kind" not in data:
            raise SandboxError(f"The fault rule {dict(data)} needs a `kind`: {', '.join(get_args(Kind))}")
        values = dict(data)
        nth = values.get("nth", ())
        values["nth"] = (nth,) if isinstance(nth, int) else tuple(nth)
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """The rule as JSON, without what is left at its default."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}

    @property
    def carried_out(self) -> bool:
        """Whether the request is handled in spite of the fault."""
        return self.kind in _ACCEPTED_BY_DEFAULT if self.accepted is None else self.accepted

    def selects(self, vendor: str | None, request: Request) -> bool:
        """Whether this rule means such a request."""
        return (
            self.vendor in (None, vendor)
            and self.method in (None, request.method)
            and fnmatch.fnmatchcase(request.full_path, self.path)
        )

    def refuses(self, values: Mapping[str, Any]) -> bool:
        """Whether a poison rule refuses a row with these values."""
        value = values.get(self.field or "")
        if value is None:
            return False
        if self.equals is not None:
            return str(value) == self.equals
        if self.contains is not None:
            return self.contains in str(value)
        return re.search(self.matches or "", str(value)) is not None

    def retry_after_header(self, now: float) -> dict[str, str]:
        """The `Retry-After` header, in seconds or as an HTTP date (RFC 9110, 10.2.3)."""
        if self.retry_after is None:
            return {}
        if self.retry_after_date:
            return {"Retry-After": email.utils.formatdate(now + self.retry_after, usegmt=True)}
        return {"Retry-After": f"{self.retry_after:g}"}


def garbage(fault: Fault) -> Response:
    """An answer that no JSON parser takes."""
    content_type = HTML_TYPE if fault.body == "html" else "application/json" if fault.body == "broken" else "text/plain"
    return Response(fault.status or 200, body=_BODIES[fault.body].encode(), content_type=content_type)


def poison(rules: Sequence[Fault], values: Mapping[str, Any]) -> Poisoned | None:
    """The first poison rule that refuses a row, if any."""
    for rule in rules:
        if rule.refuses(values):
            return Poisoned(rule.message, rule.whole_batch)
    return None


def damage(fault: Fault, reply: Reply) -> None:
    """Change an answer on its way out, in place."""
    response = reply.response
    if fault.kind == "truncated":
        whole = response.encoded()
        reply.response = Response(
            response.status, body=whole[: len(whole) // 2], content_type=response.content_type, headers=response.headers
        )
        reply.content_length, reply.pause = len(whole), fault.seconds
    elif fault.kind == "slow":
        reply.pause = fault.seconds
    elif fault.kind == "content_type":
        response.content_type = HTML_TYPE
    elif fault.kind == "garbage":
        reply.response = garbage(fault)
    elif fault.kind == "empty" and response.status < 300:
        response.data = _emptied(response.data)
    elif fault.kind == "results" and response.status < 300:
        response.data = _with_results(response.data, lambda rows: _rearranged(rows, fault.how, fault.seed))
        if response.content_type.startswith("text/csv"):
            response.body = _with_rows(response.encoded(), lambda rows: _rearranged(rows, fault.how, fault.seed))


def _emptied(data: Any) -> Any:
    """`data` without its results; an answer that is itself the result of one record says nothing."""
    without = _with_results(data, lambda _: [])
    return {} if isinstance(data, dict) and without == data else without


def _with_results(data: Any, change: Callable[[list[Any]], list[Any]]) -> Any:
    """`data` with its list of results changed, whether the list is the body or stands under one of their names."""
    if isinstance(data, list):
        return change(data)
    if isinstance(data, dict):
        lists = {name: change(data[name]) for name in _RESULTS if isinstance(data.get(name), list)}
        return {**data, **lists}
    return data


def _with_rows(body: bytes, change: Callable[[list[Any]], list[Any]]) -> bytes:
    """A file of results with its rows changed, the first of which is the header."""
    table = list(csv.reader(io.StringIO(body.decode(), newline="")))
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([*table[:1], *change(table[1:])])
    return text.getvalue().encode()


def _rearranged(rows: list[Any], how: str, seed: int) -> list[Any]:
    if how == "shuffle":
        rows = list(rows)
        random.Random(seed).shuffle(rows)  # noqa: S311 - not for secrets
        return rows
    if how == "duplicate":
        return [*rows, *rows[:1]]
    if how == "missing":
        return rows[:-1]
    return [
        {k: v for k, v in row.items() if k != "objectWriteTraceId"} if isinstance(row, dict) else row for row in rows
    ]


class Faults:
    """The rules in force and how often each was met. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []
        self._replaced = threading.Event()

    def set(self, rules: Sequence[Fault]) -> None:
        """Replace all rules; their counts start from zero, and requests that were held go on."""
        with self._lock:
            self._rules = [_Rule(rule) for rule in rules]
            self._replaced.set()
            self._replaced = threading.Event()

    def hold(self, fault: Fault) -> None:
        """Wait as long as a rule says, or until it is replaced."""
        with self._lock:
            in_force = any(rule.fault is fault for rule in self._rules)
            replaced = self._replaced
        if in_force:
            replaced.wait(fault.seconds)

    def take(self, vendor: str | None, request: Request) -> list[Fault]:
        """The rules that hit this request; it is counted by every rule that means it."""
        with self._lock:
            return [rule.fault for rule in self._rules if rule.fault.selects(vendor, request) and rule.hit()]

    def state(self) -> list[dict[str, Any]]:
        """The rules with `seen` (requests that they mean) and `hits`."""
        with self._lock:
            return [
                {**json.loads(json.dumps(rule.fault.as_dict())), "seen": rule.seen, "hits": rule.hits}
                for rule in self._rules
            ]


class _Rule:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.seen = 0
        self.hits = 0
        self._chance = random.Random(fault.seed)  # noqa: S311 - reproducible on purpose

    def hit(self) -> bool:
        self.seen += 1
        fault = self.fault
        due = (
            (not fault.nth or self.seen in fault.nth)
            and (fault.probability >= 1.0 or self._chance.random() < fault.probability)
            and (fault.times is None or self.hits < fault.times)
        )
        self.hits += due
        return due


def _is_pattern(text: str | None) -> bool:
    try:
        re.compile(text or "")
    except re.error:
        return False
    return True


def _nearest(word: str, known: Iterable[str]) -> str:
    return f". {did_you_mean(word, known) or f'There are {listed(known)}'}"
