"""What the conformance kit needs to run against a vendor's stand-in in the sandbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

from revetl_dbt.destinations.base import ColumnType, DestinationConfig
from revetl_dbt.destinations.conformance import POISON, RETRY_AFTER, Trouble
from revetl_dbt.sandbox import Sandbox

TEXT = ColumnType.TEXT, "Ada"
VALUES: Mapping[str, tuple[ColumnType, Any]] = {
    "name": TEXT,
    "seats": (ColumnType.INTEGER, 2**53 + 1),
    "revenue": (ColumnType.DECIMAL, Decimal("1234567.89")),
    "score": (ColumnType.FLOAT, 0.1),
    "vip": (ColumnType.BOOLEAN, True),
    "born": (ColumnType.DATE, date(1815, 12, 10)),
    "seen": (ColumnType.TIMESTAMPTZ, datetime(2024, 2, 29, 23, 59, 59, 123000, tzinfo=timezone.utc)),
    "signed": (ColumnType.TIMESTAMP, datetime(2024, 2, 29, 23, 59, 59)),
    "tags": (ColumnType.NESTED, ["a", "b"]),
}


class Stand:
    """One vendor's stand-in in a sandbox, as the kit wants it."""

    FAULTS: Mapping[Trouble, Mapping[str, Any]] = {
        Trouble.RATE_LIMITED: {
            "kind": "status",
            "status": 429,
            "policy": "TEN_SECONDLY_ROLLING",
            "retry_after": RETRY_AFTER,
        },
        Trouble.SERVER_ERROR: {"kind": "status", "status": 500},
        Trouble.UNAVAILABLE: {"kind": "status", "status": 503},
        Trouble.UNAUTHORIZED: {"kind": "expired"},
        Trouble.NOT_JSON: {"kind": "garbage"},
        Trouble.EMPTY: {"kind": "empty"},
        Trouble.RESET_BEFORE: {"kind": "reset"},
        Trouble.RESET_AFTER: {"kind": "reset", "accepted": True},
        Trouble.SHUFFLED: {"kind": "results", "how": "shuffle"},
        Trouble.POISON_ROW: {"kind": "poison", "equals": POISON},
        Trouble.POISON_BATCH: {"kind": "poison", "equals": POISON, "whole_batch": True},
    }

    def __init__(self, sandbox: Sandbox, vendor: str, collection: str, match: str, text: str) -> None:
        self._sandbox, self._vendor, self._collection, self._match, self._text = (
            sandbox,
            vendor,
            collection,
            match,
            text,
        )

    def provoke(self, trouble: Trouble | None) -> None:
        rule = {} if trouble is None else dict(self.FAULTS[trouble])
        if rule.get("kind") == "poison":
            rule["field"] = self._text
        self._sandbox.set_faults([rule] if rule else [])

    def paths(self) -> Sequence[str]:
        return [request.path for request in self._sandbox.requests()]

    def held(self, match: Any) -> Mapping[str, Any] | None:
        for record in self._sandbox.store.scan(self._vendor, self._collection):
            if record.archived is None and str(record.properties.get(self._match)).casefold() == str(match).casefold():
                return record.properties
        return None

    def settings(self, config: DestinationConfig) -> Any:
        return config.in_sandbox(self._sandbox.url(self._vendor), self._sandbox.token(self._vendor))
