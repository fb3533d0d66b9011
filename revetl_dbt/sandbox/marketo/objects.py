"""Companies, opportunities, their roles, sales persons, named accounts and custom objects: sync and delete ("Lead
Database", "Named Accounts")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from revetl_dbt.sandbox.marketo.account import Account
from revetl_dbt.sandbox.marketo.errors import ApiError, RowError, success
from revetl_dbt.sandbox.marketo.leads import refuse_whole
from revetl_dbt.sandbox.marketo.reading import body, choice, records
from revetl_dbt.sandbox.marketo.schema import Kind
from revetl_dbt.sandbox.marketo.values import kept
from revetl_dbt.sandbox.messages import Poisoned, Request, Response
from revetl_dbt.sandbox.store import Record

ACTIONS = ("createOrUpdate", "createOnly", "updateOnly")
KEYS = ("dedupeFields", "idField")


class Objects:
    """The endpoints that all objects but leads share. `crm`: a native CRM sync owns some of them."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.crm = False

    def kind(self, request: Request) -> Kind:
        """The object of a request's path. ApiError 1013 for a custom object that there is not, 1018 with a CRM."""
        name = request.params.get("custom")
        key = f"customObjects/{name}" if name else _KEYS[request.params["object"]]
        found = self._account.kind(key)
        if found is None:
            raise ApiError("1013", f"Object '{name}' not found")
        if self.crm and not found.custom and found.key != "namedAccounts":
            raise ApiError("1018", "CRM Enabled")
        return found

    def sync(self, request: Request) -> Response:
        """POST {object}.json."""
        kind, given = self.kind(request), body(request)
        action, key = choice(given, "action", ACTIONS), choice(given, "dedupeBy", KEYS)
        if key == "idField" and action != "updateOnly":
            raise ApiError("1003", f"dedupeBy 'idField' is not allowed with action '{action}'")
        if kind.key == "namedAccounts" and "dedupeBy" in given and action != "updateOnly":
            raise ApiError("1003", f"dedupeBy is not allowed with action '{action}'")
        rows = records(request, given)
        poisons = refuse_whole([request.poisoned(row) for row in rows])
        names = (kind.id_field,) if key == "idField" else kind.dedupe
        results: list[dict[str, Any]] = []
        seen: set[tuple[str, ...]] = set()
        for seq, (row, poison) in enumerate(zip(rows, poisons, strict=True)):
            try:
                once(row, names, seen)
                record, status = self.write(kind, row, action, names, poison)
                results.append({"seq": seq, "status": status, kind.id_field: shown_id(kind, record)})
            except RowError as error:
                results.append({"seq": seq, "status": "skipped", "reasons": error.reasons()})
        return success(results)

    def write(
        self,
        kind: Kind,
        row: Mapping[str, Any],
        action: str,
        names: Sequence[str],
        poison: Poisoned | None = None,
        source: str = "Web service API",
    ) -> tuple[Record, str]:
        """Create or update a record; `created` or `updated`. RowError for what is skipped."""
        if poison:
            raise RowError("1003", poison.message)
        values = self._values(kind, row, names)
        found = self._found(kind, row, names)
        if found and action == "createOnly":
            raise RowError("1017", "Object already exists")
        if not found and action == "updateOnly":
            raise RowError("1013", "Object not found")
        after = {**(found.properties if found else {}), **values}
        for name in kind.required:
            if after.get(name) is None:
                raise RowError("1002", f"Missing value for the required parameter '{name}'")
        if kind.key == "opportunityRoles":
            self._check_links(values)
        record = found or self._account.new(kind)
        self._account.save(kind.key, record, values, source)
        return record, "updated" if found else "created"

    def _check_links(self, values: Mapping[str, Any]) -> None:
        self._account.lead(values.get("leadId"))
        opportunity = values.get("externalOpportunityId")
        if not self._account.find("opportunities", ["externalOpportunityId"], [opportunity]):
            raise RowError("1013", f"Opportunity '{opportunity}' not found")

    def _found(self, kind: Kind, row: Mapping[str, Any], names: Sequence[str]) -> Record | None:
        lacking = [name for name in names if row.get(name) in (None, "")]
        if lacking:
            raise RowError("1002", f"Missing value for the required parameter '{lacking[0]}'")
        if names == (kind.id_field,):
            return self._account.read(kind.key, [row[kind.id_field]]).get(str(row[kind.id_field]))
        found = self._account.find(kind.key, names, [row[name] for name in names])
        return found[0] if found else None

    def _values(self, kind: Kind, row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        values = {}
        for name, value in row.items():
            field = kind.fields.get(name)
            if field is None:
                raise RowError("1006", f"Field '{name}' not found")
            if name == kind.id_field and name in names:
                continue
            if not field.updateable and name not in names:
                raise RowError("1003", f"Field '{name}' is not updateable")
            values[name] = kept(field, value)
        return values

    def delete(self, request: Request) -> Response:
        """POST {object}/delete.json."""
        kind, given = self.kind(request), body(request)
        names = kind.dedupe if choice(given, "deleteBy", KEYS) == "dedupeFields" else (kind.id_field,)
        results: list[dict[str, Any]] = []
        for seq, row in enumerate(records(request, given)):
            try:
                record = self._found(kind, row, names)
                if record is None:
                    raise RowError("1013", "Record not found")
                self._check_unused(kind, record)
                self._account.delete(kind.key, record, "Web service API")
                results.append({"seq": seq, kind.id_field: shown_id(kind, record), "status": "deleted"})
            except RowError as error:
                results.append({"seq": seq, "status": "skipped", "reasons": error.reasons()})
        return success(results)

    def _check_unused(self, kind: Kind, record: Record) -> None:
        """A company with leads, and an opportunity with roles, cannot be deleted."""
        user = {"companies": "leads", "opportunities": "opportunityRoles", "salesPersons": "leads"}.get(kind.key)
        if user and self._account.find(user, kind.dedupe, [record.properties.get(kind.dedupe[0])]):
            raise RowError("1022", "Object in use")


_KEYS: Mapping[str, str] = {
    "companies": "companies",
    "opportunities": "opportunities",
    "opportunities/roles": "opportunityRoles",
    "salespersons": "salesPersons",
    "namedaccounts": "namedAccounts",
}


def once(row: Mapping[str, Any], names: Sequence[str], seen: set[tuple[str, ...]]) -> None:
    """Refuse a key that this request had before. RowError 1036."""
    key = tuple(str(row.get(name)).casefold() for name in names)
    if key in seen:
        raise RowError("1036", "Duplicate object found in input")
    seen.add(key)


def shown_id(kind: Kind, record: Record) -> int | str:
    """A record's id as the API shows it."""
    return record.id if kind.id_field == "marketoGUID" else int(record.id)
