"""Companies, matched by the `company_id` that the caller gives them, and the contacts that belong to them.

A company that no contact belongs to is not listed, though it can be fetched; deleting one puts it away and detaches its
contacts (Intercom's OpenAPI description, companies).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from revetl_dbt.sandbox.intercom.attributes import STANDARD, VENDOR, custom_values, kept
from revetl_dbt.sandbox.intercom.contacts import Contacts
from revetl_dbt.sandbox.intercom.errors import ApiError, invalid, mismatch, no_company
from revetl_dbt.sandbox.intercom.shapes import body_of, page_number
from revetl_dbt.sandbox.intercom.workspace import COMPANIES, CONTACTS, TAGS, Workspace
from revetl_dbt.sandbox.messages import Request, Response, Router
from revetl_dbt.sandbox.store import Record

_UPDATED = ("name", "plan", "size", "website", "industry", "monthly_spend")
_CREATED = (*_UPDATED, "company_id", "remote_created_at")
_MOST_SPENT = 2**31 - 1
_MOST_COMPANIES = 1000


class Companies:
    """The company endpoints."""

    def __init__(self, workspace: Workspace, contacts: Contacts) -> None:
        self.workspace = workspace
        self._contacts = contacts

    def add_routes(self, router: Router) -> None:
        """`/companies`, and the companies of a contact."""
        router.add("POST", "/companies", self._upsert)
        router.add("GET", "/companies", self._get)
        router.add("POST", "/companies/list", lambda request: Response(data=self._page(request)))
        router.add(
            "GET", "/companies/{id}", lambda request: Response(data=self.shown(self.found(request.params["id"])))
        )
        router.add("PUT", "/companies/{id}", self._update)
        router.add("DELETE", "/companies/{id}", self._delete)
        router.add("POST", "/contacts/{contact}/companies", self._attach)
        router.add("GET", "/contacts/{contact}/companies", self._of_contact)
        router.add("DELETE", "/contacts/{contact}/companies/{id}", self._detach)

    # -- endpoints -------------------------------------------------------------------------------

    def _upsert(self, request: Request) -> Response:
        request.records = 1
        return Response(data=self.shown(self.upsert(request, body_of(request))))

    def upsert(self, request: Request, body: Mapping[str, Any]) -> Record:
        """Create a company, or update the one with its `company_id`."""
        values = self._values(request, body, (*_CREATED, "update_last_request_at"))
        values.pop("update_last_request_at", None)
        key = values.get("company_id")
        if key is None or key == "":
            raise ApiError(400, "parameter_not_found", "company_id must be specified", "company_id")
        with self.workspace.store.transaction():
            live = [record for record in self.workspace.holders(COMPANIES, "company_id", key) if not record.archived]
            if live:
                return self.workspace.update(COMPANIES, live[0], values)
            return self.workspace.create(COMPANIES, values, {"company_id": key}, **{"monthly_spend": 0, "$users": 0})

    def _update(self, request: Request) -> Response:
        request.records = 1
        return Response(data=self.shown(self.update(request, request.params["id"], body_of(request))))

    def update(self, request: Request, record_id: str, body: Mapping[str, Any]) -> Record:
        """Update a company by Intercom's id."""
        values = self._values(request, body, _UPDATED)
        return self.workspace.update(COMPANIES, self.found(record_id), values)

    def _get(self, request: Request) -> Response:
        key, name = request.first("company_id"), request.first("name")
        if key is None and name is None:
            return Response(data=self._page(request))
        if key is not None:
            return Response(data=self.shown(self.meant({"company_id": key})))
        named = [record for record in self.workspace.live(COMPANIES) if record.properties.get("name") == name]
        if not named:
            raise no_company()
        return Response(data=self.shown(named[0]))

    def _page(self, request: Request) -> dict[str, Any]:
        number, size = page_number(request, "page", 1), page_number(request, "per_page", 15)
        listed = [record for record in self.workspace.live(COMPANIES) if record.properties["$users"]]
        shown = listed[(number - 1) * size : number * size]
        pages = {
            "type": "pages",
            "next": None,
            "page": number,
            "per_page": size,
            "total_pages": -(-len(listed) // size),
        }
        return {
            "type": "list",
            "data": [self.shown(record) for record in shown],
            "pages": pages,
            "total_count": len(listed),
        }

    def _delete(self, request: Request) -> Response:
        record = self.found(request.params["id"])
        self.delete(record)
        return Response(data={"id": record.id, "object": "company", "deleted": True})

    def delete(self, record: Record) -> None:
        """Put a company away and detach its contacts."""
        with self.workspace.store.transaction():
            for contact in self.workspace.live(CONTACTS):
                if record.id in contact.properties["$companies"]:
                    self._belong(contact, record, attached=False)
            self.workspace.set_archived(COMPANIES, record, True)

    def found(self, record_id: str) -> Record:
        """A company; ApiError 404 when there is none."""
        record = self.workspace.one(COMPANIES, record_id)
        if record is None:
            raise no_company()
        return record

    def meant(self, named: Mapping[str, Any]) -> Record:
        """The company with this `id` or `company_id`; ApiError 404 when there is none."""
        if named.get("id"):
            return self.found(str(named["id"]))
        holders = self.workspace.holders(COMPANIES, "company_id", str(named.get("company_id")))
        live = [record for record in holders if record.archived is None]
        if not live:
            raise no_company()
        return live[0]

    # -- contacts --------------------------------------------------------------------------------

    def _attach(self, request: Request) -> Response:
        request.records = 1
        contact = self._contacts.found(request.params["contact"])
        wanted = body_of(request).get("id")
        if not wanted:
            raise ApiError(400, "parameter_not_found", "company not specified")
        company = self.found(str(wanted))
        if len(contact.properties["$companies"]) >= _MOST_COMPANIES:
            text = f"Contact has reached the maximum of {_MOST_COMPANIES} company associations"
            raise ApiError(400, "contact_company_limit_exceeded", text)
        with self.workspace.store.transaction():
            self._belong(contact, company, attached=True)
        return Response(data=self.shown(company))

    def _detach(self, request: Request) -> Response:
        request.records = 1
        contact, company = self._contacts.found(request.params["contact"]), self.found(request.params["id"])
        if company.id not in contact.properties["$companies"]:
            raise no_company()
        with self.workspace.store.transaction():
            self._belong(contact, company, attached=False)
        return Response(data=self.shown(company))

    def _of_contact(self, request: Request) -> Response:
        ids = self._contacts.found(request.params["contact"]).properties["$companies"]
        shown = [self.shown(self.found(known)) for known in ids]
        pages = {"type": "pages", "next": None, "page": 1, "per_page": 50, "total_pages": 1}
        return Response(data={"type": "list", "data": shown, "pages": pages, "total_count": len(shown)})

    def _belong(self, contact: Record, company: Record, *, attached: bool) -> None:
        held = contact.properties["$companies"]
        ids = [known for known in held if known != company.id] + ([company.id] if attached else [])
        more = len(ids) - len(held)
        if more:
            self.workspace.update(CONTACTS, contact, {"$companies": ids})
            self.workspace.update(COMPANIES, company, {"$users": company.properties["$users"] + more})

    # -- rules and answers -----------------------------------------------------------------------

    def _values(self, request: Request, body: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
        custom = body.get("custom_attributes")
        poison = request.poisoned({**body, **(custom if isinstance(custom, dict) else {})})
        if poison:
            raise invalid(poison.message)
        known = self.workspace.attributes.known("company")
        values: dict[str, Any] = {}
        for name, value in body.items():
            if name == "monthly_spend":
                values[name] = _spend(value)
            elif name in names:
                values[name] = kept(known[name], value) if name in known else value
            elif name != "custom_attributes":
                raise ApiError(400, "bad_request", f"bad '{name}' parameter")
        return {**values, **custom_values(known, custom)}

    def _tags_of(self, record: Record) -> list[dict[str, Any]]:
        tags = self.workspace.store.read(VENDOR, TAGS, record.properties.get("$tags", ()))
        return [{"type": "tag", "id": tag.id, "name": tag.properties["name"]} for tag in tags.values()]

    def shown(self, record: Record) -> dict[str, Any]:
        """A company as the API shows it."""
        values = record.properties
        custom = self.workspace.attributes.custom("company")
        standard = {name: values[name] for name in STANDARD["company"] if name in values}
        plan = values.get("plan")
        return {
            "type": "company",
            **standard,
            "id": record.id,
            "app_id": self.workspace.id,
            "created_at": record.created // 1000,
            "updated_at": record.updated // 1000,
            "session_count": 0,
            "user_count": values["$users"],
            "tags": {"type": "tag.list", "tags": self._tags_of(record)},
            "segments": {"type": "segment.list", "segments": []},
            "plan": {"type": "plan", "id": "1", "name": plan} if plan else {},
            "custom_attributes": {name: value for name, value in values.items() if name in custom},
        }


def _spend(value: Any) -> int | None:
    """Monthly spend loses its fraction and has an upper limit."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise mismatch("monthly_spend", "a number")
    if value > _MOST_SPENT:
        raise invalid(f"monthly_spend is greater than {_MOST_SPENT}", "monthly_spend")
    return int(value)
