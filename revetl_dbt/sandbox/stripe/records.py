"""The records of an account: creating, changing, deleting, finding, and how the API shows them."""

from __future__ import annotations

import copy
import secrets
import string
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from revetl_dbt.sandbox.store import Change, Record, Store
from revetl_dbt.sandbox.stripe import errors
from revetl_dbt.sandbox.stripe.errors import ApiError
from revetl_dbt.sandbox.stripe.query import Query
from revetl_dbt.sandbox.stripe.schema import KINDS, Kind
from revetl_dbt.sandbox.stripe.values import checked, flat, merged

VENDOR = "stripe"
_LETTERS = string.ascii_letters + string.digits
_INDEXED = ("email", "lookup_key", "product")
_HIDDEN = ("tax", "transfer_lookup_key")  # parameters that are no property of the record


class Records:
    """Everything that is kept, and an index in memory of what is looked for. Safe to use from several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.RLock()
        self.reload()

    def reload(self) -> None:
        """Build the index anew from the store."""
        with self._store.transaction(), self._lock:  # in this order everywhere
            self._ids: dict[tuple[str, str, str], dict[str, None]] = defaultdict(dict)
            for kind in KINDS.values():
                for record in self._store.scan(VENDOR, kind.name):
                    self._index(kind, record.id, {}, record.properties)

    # -- reading -------------------------------------------------------------------------------------

    def get(self, kind: Kind, record_id: str, param: str = "id", status: int = 404) -> Record:
        """The record with an id, a deleted one too. ApiError when there is none, or it is a deleted product."""
        record = self._store.read(VENDOR, kind.name, [record_id]).get(record_id)
        if record is None or (record.archived is not None and (kind.name != "customers" or param != "id")):
            raise errors.missing(kind.word, record_id, param, status)
        return record

    def living(self, kind: Kind, record_id: str, deleted: int = 404) -> Record:
        """The record with an id. ApiError when there is none, with the status `deleted` when there was one."""
        record = self.get(kind, record_id)
        if record.archived is not None:
            raise errors.missing(kind.word, record_id, "id", deleted)
        return record

    def having(self, kind: Kind, field: str, values: Iterable[str]) -> list[Record]:
        """The records with one of the values in an indexed field, or with one of these ids; the newest first."""
        wanted = list(values)
        with self._lock:
            ids = [known for value in wanted for known in self._ids.get((kind.name, field, value), ())]
        found = self._store.read(VENDOR, kind.name, wanted if field == "id" else ids).values()
        return sorted((record for record in found if record.archived is None), key=lambda record: -record.seq)

    def all(self, kind: Kind) -> list[Record]:
        """All records, the newest first."""
        return self._store.scan(VENDOR, kind.name)[::-1]

    def search(self, kind: Kind, query: Query, until: int) -> list[Record]:
        """What a query finds among the records that have not changed since `until` (milliseconds); the newest first."""
        exact = [clause for clause in query.clauses if clause.value is not None and not (clause.negated or clause.part)]
        if query.any or not exact:
            candidates = self.all(kind)
        else:
            with self._lock:
                text = str(exact[0].value).casefold()
                ids = list(self._ids.get((kind.name, "search:" + exact[0].field, text), ()))
            candidates = sorted(self._store.read(VENDOR, kind.name, ids).values(), key=lambda record: -record.seq)
        return [
            record
            for record in candidates
            if record.archived is None and record.updated <= until and query.holds(record.properties)
        ]

    def shown(self, kind: Kind, record: Record, expand: Sequence[str] = ()) -> dict[str, Any]:
        """A record as the API shows it."""
        if record.archived is not None:
            return {"id": record.id, "object": kind.word, "deleted": True}
        values = {
            name: value for name, value in record.properties.items() if name not in kind.expanded or name in expand
        }
        return {"id": record.id, "object": kind.word, **values, "created": record.created // 1000, "livemode": False}

    # -- writing -------------------------------------------------------------------------------------

    def create(self, kind: Kind, given: Mapping[str, Any]) -> Record:
        """Create a record. Raises ApiError."""
        new = checked(kind.params, dict(given), creating=True)
        record_id = str(new.pop("id", None) or kind.prefix + "".join(secrets.choice(_LETTERS) for _ in range(14)))
        with self._store.transaction(), self._lock:
            known = self._store.read(VENDOR, kind.name, [record_id]).get(record_id)
            if known is not None and known.archived is None:
                raise ApiError(
                    400, f"{kind.word.capitalize()} already exists.", "resource_already_exists", "id", executed=True
                )
            blank = {
                name: copy.deepcopy(param.default)
                for name, param in kind.params.items()
                if name != "id" and name not in _HIDDEN
            }
            self._check_references(kind, new)
            transfer = bool(new.pop("transfer_lookup_key", False))
            values = self._finished(kind, merged(kind.params, blank, new), new)
            self._claim_lookup_key(kind, record_id, values, transfer)
            now = self._store.now()
            record = Record(record_id, values, now, now)
            self._keep(kind, record, {}, "API", new)
            return record

    def update(self, kind: Kind, record_id: str, given: Mapping[str, Any]) -> Record:
        """Change a record. Raises ApiError."""
        with self._store.transaction(), self._lock:
            record = self.living(kind, record_id, deleted=400)
            new = checked(kind.params, dict(given), creating=False)
            self._check_references(kind, new)
            transfer = bool(new.pop("transfer_lookup_key", False))
            before = record.properties
            record.properties = self._finished(kind, merged(kind.params, before, new), new)
            self._claim_lookup_key(kind, record_id, record.properties, transfer)
            record.updated = self._store.now()
            self._keep(kind, record, before, "API", new)
            return record

    def delete(self, kind: Kind, record_id: str) -> Record:
        """Delete a customer, or a product that never had a price. Raises ApiError."""
        with self._store.transaction(), self._lock:
            record = self.living(kind, record_id)
            if kind.name == "products" and self.having(KINDS["prices"], "product", [record_id]):
                raise ApiError(
                    400,
                    "This product cannot be deleted because it has one or more user-created prices.",
                    executed=True,
                )
            before = record.properties
            record.archived = record.updated = self._store.now()
            self._index(kind, record_id, before, {})
            self._store.write(VENDOR, kind.name, [record], [Change(record_id, record.updated, "API: deleted", {})])
            return record

    def _keep(
        self, kind: Kind, record: Record, before: Mapping[str, Any], source: str, written: Collection[str]
    ) -> None:
        """Store a record, and in its history what was `written` and differs; not what Stripe fills in by itself."""
        was, now = flat(before), flat(record.properties)
        differing = [name for name in {**was, **now} if was.get(name) != now.get(name)]
        fields = {name: (was.get(name), now.get(name)) for name in differing if name.partition(".")[0] in written}
        self._index(kind, record.id, before, record.properties)
        self._store.write(VENDOR, kind.name, [record], [Change(record.id, record.updated, source, fields)])

    def _index(self, kind: Kind, record_id: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        old, new = set(_entries(kind, before)), set(_entries(kind, after))
        for entry in old - new:
            self._ids[entry].pop(record_id, None)
        for entry in new - old:
            self._ids[entry][record_id] = None

    def _check_references(self, kind: Kind, new: Mapping[str, Any]) -> None:
        for name, param in kind.params.items():
            if param.refers and new.get(name) is not None:
                self.get(KINDS[param.refers], new[name], name, 400)

    def _claim_lookup_key(self, kind: Kind, record_id: str, values: Mapping[str, Any], transfer: bool) -> None:
        """A lookup key belongs to one price, active or not, unless it is transferred."""
        key = values.get("lookup_key")
        others = self.having(kind, "lookup_key", [key]) if kind.name == "prices" and key else []
        for other in others:
            if other.id == record_id:
                continue
            if not transfer:
                raise ApiError(
                    400, f"A price (`{other.id}`) already uses that lookup key.", None, "lookup_key", executed=True
                )
            before = dict(other.properties)
            other.properties["lookup_key"] = None
            other.updated = self._store.now()
            self._keep(kind, other, before, "API: transferred", ["lookup_key"])

    def _finished(self, kind: Kind, values: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
        """The values with those that follow from others."""
        for name in _HIDDEN:
            values.pop(name, None)
        if kind.name == "customers":
            values = {"currency": None, "delinquent": False, "default_source": None, **values}
            values["invoice_prefix"] = values.get("invoice_prefix") or secrets.token_hex(4).upper()
        elif kind.name == "products":
            values["updated"] = self._store.now() // 1000
        else:
            values = _price(values, new)
        return values


def _entries(kind: Kind, values: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    for name in _INDEXED:
        if values.get(name) is not None:
            yield kind.name, name, str(values[name])
    for name, value in flat(values).items():
        if value is not None and (name.startswith("metadata.") or name in kind.searched):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            yield kind.name, "search:" + name, text.casefold()


def _price(values: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    if "product" in new or "currency" in new:  # a new one
        given = [name for name in ("unit_amount", "unit_amount_decimal", "custom_unit_amount") if name in new]
        if values["product"] is None:
            raise ApiError(400, "You must specify either `product` or `product_data` when creating a price.")
        if values["billing_scheme"] == "per_unit" and not given:
            raise errors.missing_parameter("unit_amount")
        if "unit_amount" in given and "unit_amount_decimal" in given:
            raise ApiError(
                400,
                "You may only specify one of these parameters: unit_amount, unit_amount_decimal.",
                None,
                "unit_amount",
            )
        if values["unit_amount"] is not None:
            values["unit_amount_decimal"] = str(values["unit_amount"])
        elif values["unit_amount_decimal"] is not None:
            exact = Decimal(values["unit_amount_decimal"])
            values["unit_amount"] = int(exact) if exact == int(exact) else None
        if (values["unit_amount"] or 0) < 0:
            raise ApiError(400, "Invalid non-negative integer", "parameter_invalid_integer", "unit_amount")
        values["type"] = "one_time" if values["recurring"] is None else "recurring"
        if values["recurring"] is not None:
            defaults = {"interval_count": 1, "meter": None, "trial_period_days": None, "usage_type": "licensed"}
            values["recurring"] = {**defaults, **values["recurring"]}
    return values
