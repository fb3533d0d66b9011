"""Who is associated with whom, and the types and labels of associations.

https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide and the schema guide
beside it: types have a number for each direction; a labelled association is an unlabelled one too, and taking the
unlabelled one away takes the labels with it. Recorded answers: HubSpot/hubspot-api-nodejs issue 646 (ids that are not
valid), amp-labs/connectors pull request 1271 (types as batch/read shows them).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from revetl_dbt.sandbox.hubspot.account import VENDOR, Account
from revetl_dbt.sandbox.hubspot.errors import ApiError
from revetl_dbt.sandbox.hubspot.objects import ObjectType
from revetl_dbt.sandbox.hubspot.shapes import number, require
from revetl_dbt.sandbox.store import Record

_FIRST_NUMBER = 1001

# from, to: number, number of the other direction, label, label of the other direction
_STANDARD: tuple[tuple[str, str, int, int, str | None, str | None], ...] = (
    ("contacts", "companies", 279, 280, None, None),
    ("contacts", "companies", 1, 2, "Primary", "Contact with Primary Company"),
    ("contacts", "deals", 4, 3, None, None),
    ("contacts", "tickets", 15, 16, None, None),
    ("companies", "deals", 342, 341, None, None),
    ("companies", "deals", 6, 5, "Deal with Primary Company", "Primary"),
    ("companies", "tickets", 340, 339, None, None),
    ("companies", "tickets", 25, 26, "Ticket with Primary Company", "Primary"),
    ("deals", "tickets", 27, 28, None, None),
    ("contacts", "contacts", 449, 449, None, None),
    ("companies", "companies", 450, 450, None, None),
    ("deals", "deals", 451, 451, None, None),
    ("tickets", "tickets", 452, 452, None, None),
)


@dataclass(frozen=True)
class Type:
    """One type of association in one direction; `inverse` is the number of the other."""

    number: int
    inverse: int
    label: str | None
    category: str = "HUBSPOT_DEFINED"

    def as_label(self) -> dict[str, Any]:
        """As the labels endpoint shows it."""
        return {"category": self.category, "typeId": self.number, "label": self.label}


@dataclass
class Link:
    """One pair of a request: the ids as they came, the types that are asked for, and why it was refused."""

    first: str
    second: str
    types: list[Type] = field(default_factory=list)
    error: ApiError | None = None


class Associations:
    """The associations of an account. Each record's are kept in one entry: other object -> other id -> numbers."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.store = account.store

    # -- types -----------------------------------------------------------------------------------

    def types(self, kind: ObjectType, other: ObjectType) -> list[Type]:
        """The types from one object to another, HubSpot's own first."""
        known = [
            Type(inverse, there, back) if swapped else Type(there, inverse, label)
            for first, second, there, inverse, label, back in _STANDARD
            for swapped in ((False, True) if first != second else (False,))
            if (kind.key, other.key) == ((second, first) if swapped else (first, second))
        ]
        if not known:
            self._define_plain(kind, other)
        return known + [Type(**body) for body in self._defined(kind, other)]

    def plain(self, kind: ObjectType, other: ObjectType) -> Type:
        """The unlabelled type."""
        return next(found for found in self.types(kind, other) if found.label is None)

    def spec(self, kind: ObjectType, other: ObjectType, given: Mapping[str, Any]) -> Type:
        """The type that an AssociationSpec names; ApiError 400 if there is none."""
        require(given, ("associationCategory", "associationTypeId"))
        wanted = number(given["associationTypeId"], "associationTypeId", 0)
        for found in self.types(kind, other):
            if (found.number, found.category) == (wanted, given["associationCategory"]):
                return found
        name = f"{given['associationCategory']} {wanted}"
        raise ApiError(400, f"The association type {name} does not exist from {kind.code} to {other.code}")

    def create_label(self, kind: ObjectType, other: ObjectType, label: str, inverse: str | None = None) -> list[Type]:
        """Define a label, in both directions; ApiError 400 for one that there is."""
        if label.casefold() in {(known.label or "").casefold() for known in self.types(kind, other)}:
            raise ApiError(400, f"The label `{label}` exists already from {kind.code} to {other.code}")
        return self._define(kind, other, label, inverse or label)

    def _define_plain(self, kind: ObjectType, other: ObjectType) -> None:
        if not self._defined(kind, other):
            self._define(kind, other, None, None)

    def _define(self, kind: ObjectType, other: ObjectType, label: str | None, inverse: str | None) -> list[Type]:
        same = kind is other
        first = self.store.next_number("hubspot:association", 2, _FIRST_NUMBER)
        there = Type(first, first if same else first + 1, label, "USER_DEFINED")
        back = Type(there.inverse, first, inverse, "USER_DEFINED")
        for one, two, made in ((kind, other, there), *(() if same else ((other, kind, back),))):
            bodies = [*self._defined(one, two), asdict(made)]
            self.store.define(VENDOR, "association", two.key, bodies, one.key)
        return [there] if same else [there, back]

    def _defined(self, kind: ObjectType, other: ObjectType) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.store.definitions(VENDOR, "association", kind.key).get(other.key, [])
        return found

    # -- links -----------------------------------------------------------------------------------

    def of(self, kind: ObjectType, ids: Iterable[str]) -> dict[str, dict[str, dict[str, list[int]]]]:
        """For each record that has any: other object -> other id -> numbers."""
        return {known: entry.properties for known, entry in self.store.read(VENDOR, _shelf(kind), ids).items()}

    def held(self, kind: ObjectType, other: ObjectType, ids: Sequence[str]) -> dict[str, dict[str, list[int]]]:
        """For each record the others that it goes with, archived ones left out."""
        found = {known: entry.get(other.key, {}) for known, entry in self.of(kind, ids).items()}
        there = self._live(other, {one for links in found.values() for one in links})
        return {
            known: {one: found.get(known, {})[one] for one in found.get(known, {}) if one in there} for known in ids
        }

    def check(self, kind: ObjectType, other: ObjectType, links: Sequence[Link]) -> None:
        """Mark the links of records that there are not."""
        first = self._live(kind, {link.first for link in links})
        second = self._live(other, {link.second for link in links})
        for link in links:
            bad = [(kind, link.first)] if link.first not in first else []
            bad += [(other, link.second)] if link.second not in second else []
            if bad and link.error is None:
                context = {
                    "INVALID_OBJECT_IDS": [f"{one.code}={known} is not valid" for one, known in bad],
                    "objectId": [known for _, known in bad],
                    "objectType": [one.code for one, _ in bad],
                }
                link.error = ApiError(400, "One or more associations are invalid", context=context)

    def add(self, kind: ObjectType, other: ObjectType, links: Iterable[Link]) -> None:
        """Associate in both directions; each link is unlabelled too."""
        plain = self.plain(kind, other)

        def change(numbers: set[int], link: Link, back: bool) -> set[int]:
            return numbers | {made.inverse if back else made.number for made in (*link.types, plain)}

        self._change(kind, other, links, change)

    def remove(self, kind: ObjectType, other: ObjectType, links: Iterable[Link]) -> None:
        """Take types away, or everything between two records where a link has none or has the unlabelled one."""
        plain = self.plain(kind, other)

        def change(numbers: set[int], link: Link, back: bool) -> set[int]:
            if not link.types or plain in link.types:
                return set()
            return numbers - {gone.inverse if back else gone.number for gone in link.types}

        self._change(kind, other, links, change)

    def forget(self, kind: ObjectType, record_id: str) -> None:
        """Take all associations of a record away."""
        for other in self.account.kinds():
            links = [Link(record_id, one) for one in self.of(kind, [record_id]).get(record_id, {}).get(other.key, {})]
            if links:
                self.remove(kind, other, links)

    def _change(
        self,
        kind: ObjectType,
        other: ObjectType,
        links: Iterable[Link],
        change: Callable[[set[int], Link, bool], set[int]],
    ) -> None:
        links = list(links)
        with self.store.transaction():
            for one, two, back in ((kind, other, False), (other, kind, True)):
                ids = {link.second if back else link.first for link in links}
                entries = self.store.read(VENDOR, _shelf(one), ids)
                for link in links:
                    mine, yours = (link.second, link.first) if back else (link.first, link.second)
                    now = self.store.now()
                    entry = entries.setdefault(mine, Record(mine, {}, now, now))
                    found = entry.properties.setdefault(two.key, {})
                    numbers = change(set(found.get(yours, ())), link, back)
                    if numbers:
                        found[yours] = sorted(numbers)
                    else:
                        found.pop(yours, None)
                self.store.write(VENDOR, _shelf(one), entries.values(), [])

    def _live(self, kind: ObjectType, ids: Iterable[str]) -> set[str]:
        return {known for known, record in self.store.read(VENDOR, kind.key, ids).items() if record.archived is None}


def _shelf(kind: ObjectType) -> str:
    """Where the store keeps the associations of an object's records."""
    return f"associations:{kind.key}"
