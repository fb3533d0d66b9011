"""Tags, and the contacts and companies that carry them. The names of tags are told apart without regard to case."""

from __future__ import annotations

from typing import Any

from revetl_dbt.sandbox.intercom.companies import Companies
from revetl_dbt.sandbox.intercom.contacts import Contacts
from revetl_dbt.sandbox.intercom.errors import ApiError, no_resource
from revetl_dbt.sandbox.intercom.shapes import body_of, mappings
from revetl_dbt.sandbox.intercom.workspace import COMPANIES, CONTACTS, TAGS, Workspace
from revetl_dbt.sandbox.messages import Request, Response, Router
from revetl_dbt.sandbox.store import Record


class Tags:
    """`/tags`, and the tags of a contact."""

    def __init__(self, workspace: Workspace, contacts: Contacts, companies: Companies) -> None:
        self.workspace = workspace
        self._contacts = contacts
        self._companies = companies

    def add_routes(self, router: Router) -> None:
        """Tags of the workspace and of a contact."""
        router.add("GET", "/tags", self._list)
        router.add("POST", "/tags", self._create)
        router.add("GET", "/tags/{id}", lambda request: Response(data=shown(self.found(request.params["id"]))))
        router.add("GET", "/contacts/{contact}/tags", self._of_contact)
        router.add("POST", "/contacts/{contact}/tags", self._tag)
        router.add("DELETE", "/contacts/{contact}/tags/{id}", self._untag)

    def found(self, record_id: str) -> Record:
        """A tag; ApiError 404 when there is none."""
        record = self.workspace.one(TAGS, record_id)
        if record is None:
            raise no_resource()
        return record

    def carry(self, kind: str, record: Record, tag: Record, *, carried: bool) -> None:
        """Give a contact or company a tag, or take it away."""
        ids = [known for known in record.properties.get("$tags", ()) if known != tag.id] + ([tag.id] if carried else [])
        self.workspace.update(kind, record, {"$tags": ids})

    def _list(self, _request: Request) -> Response:
        return Response(data={"type": "list", "data": [shown(record) for record in self.workspace.live(TAGS)]})

    def _create(self, request: Request) -> Response:
        body = body_of(request)
        name = body.get("name")
        if not isinstance(name, str) or not name or set(body) - {"name", "id", "users", "companies"}:
            raise ApiError(400, "parameter_invalid", "invalid tag parameters")
        contacts = [self._contacts.found(str(user.get("id"))) for user in mappings(body.get("users"), "users")]
        given = mappings(body.get("companies"), "companies")
        companies = [(self._companies.meant(item), item.get("untag") is not True) for item in given]
        request.records = len(contacts) + len(companies)
        with self.workspace.store.transaction():
            held = self.workspace.holders(TAGS, "name", name.lower())
            tag = held[0] if held else self.workspace.create(TAGS, {"name": name}, {"name": name.lower()})
            for contact in contacts:
                self.carry(CONTACTS, contact, tag, carried=True)
            for company, carried in companies:
                self.carry(COMPANIES, company, tag, carried=carried)
        users = [{"id": contact.id, "tagged": True} for contact in contacts]
        told = [{"id": company.id, "tagged": carried} for company, carried in companies]
        return Response(data={**shown(tag), "users": users, "companies": told})

    def _of_contact(self, request: Request) -> Response:
        ids = self._contacts.found(request.params["contact"]).properties["$tags"]
        return Response(data={"type": "list", "data": [shown(self.found(known)) for known in ids]})

    def _tag(self, request: Request) -> Response:
        request.records = 1
        contact, tag = self._contacts.found(request.params["contact"]), self.found(str(body_of(request).get("id")))
        self.carry(CONTACTS, contact, tag, carried=True)
        return Response(data=self._applied(tag))

    def _untag(self, request: Request) -> Response:
        request.records = 1
        contact, tag = self._contacts.found(request.params["contact"]), self.found(request.params["id"])
        if tag.id not in contact.properties["$tags"]:
            raise no_resource()
        self.carry(CONTACTS, contact, tag, carried=False)
        return Response(data=self._applied(tag))

    def _applied(self, tag: Record) -> dict[str, Any]:
        by = {"type": "admin", "id": "1295"}
        return {**shown(tag), "applied_at": self.workspace.store.now() // 1000, "applied_by": by}


def shown(tag: Record) -> dict[str, Any]:
    """A tag as the API shows it."""
    return {"type": "tag", "id": tag.id, "name": tag.properties["name"]}
