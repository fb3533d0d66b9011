"""What Marketo's objects are made of: their fields, what tells their records apart, what they can be searched by.

Names, types and lengths: "Standard Fields", "Field Types" and the examples of the describe calls in
https://experienceleague.adobe.com/en/docs/marketo-developer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

TYPES = (
    "boolean",
    "currency",
    "date",
    "datetime",
    "email",
    "float",
    "integer",
    "percent",
    "phone",
    "score",
    "string",
    "text",
    "url",
)
_SEARCHABLE = frozenset({"string", "email", "integer"})  # types of custom fields that a query can be about


@dataclass(frozen=True)
class Field:
    """A field as the describe calls show it. `company`: it belongs to the lead's company."""

    name: str
    label: str
    type: str = "string"
    length: int | None = None
    updateable: bool = True
    custom: bool = False
    company: bool = False

    def described(self) -> dict[str, Any]:
        """As describe2 and the describe calls of other objects have it."""
        length = {} if self.length is None else {"length": self.length}
        return {
            "name": self.name,
            "displayName": self.label,
            "dataType": self.type,
            **length,
            "updateable": self.updateable,
            "crmManaged": False,
        }

    def schema(self) -> dict[str, Any]:
        """As the schema calls have it."""
        length = {} if self.length is None else {"length": self.length}
        return {
            "displayName": self.label,
            "name": self.name,
            "description": None,
            "dataType": self.type,
            **length,
            "isHidden": False,
            "isHtmlEncodingInEmail": self.type not in ("boolean", "date", "datetime"),
            "isSensitive": False,
            "isCustom": self.custom,
            "isApiCreated": self.custom,
        }


def custom_field(given: Mapping[str, Any]) -> Field:
    """A custom field from a definition that has been checked."""
    kind = str(given["dataType"])
    length = given.get("length", 255 if kind in ("string", "email", "phone", "url") else None)
    return Field(str(given["name"]), str(given.get("displayName", given["name"])), kind, length, custom=True)


@dataclass(frozen=True)
class Kind:
    """An object: `key` names it in the store, `path` in the API."""

    key: str
    path: str
    title: str
    singular: str
    id_field: str
    dedupe: tuple[str, ...]
    searchable: tuple[str, ...]
    fields: Mapping[str, Field]
    custom: bool = False
    required: tuple[str, ...] = ()

    def with_fields(self, fields: Iterable[Field]) -> Kind:
        """The same object with more fields; those of a type that allows it can be searched by."""
        added = {field.name: field for field in fields}
        more = tuple(field.name for field in added.values() if field.type in _SEARCHABLE)
        searchable = (*self.searchable, *more) if self.key == "leads" else self.searchable
        return replace(self, fields={**self.fields, **added}, searchable=searchable)

    def search_keys(self) -> list[list[str]]:
        """`searchableFields` of the describe calls."""
        compound = [list(self.dedupe)] if len(self.dedupe) > 1 else []
        return compound + [[name] for name in self.searchable]


def _fields(text: str) -> dict[str, Field]:
    """Fields from lines of `name: type label`; `!` marks read-only ones and `@` those of the company."""
    found = {}
    for line in text.strip().splitlines():
        name, _, rest = line.strip().partition(": ")
        kind, _, label = rest.partition(" ")
        kind, _, length = kind.partition("/")
        most = int(length) if length else 255 if kind in ("string", "email", "phone", "url") else None
        found[name.strip("!@")] = Field(
            name.strip("!@"), label, kind, most, updateable="!" not in name, company="@" in name
        )
    return found


_LEAD = _fields("""
    !id: integer Id
    email: email Email Address
    firstName: string First Name
    middleName: string Middle Name
    lastName: string Last Name
    salutation: string Salutation
    title: string Job Title
    department: string Department
    phone: phone Phone Number
    mobilePhone: phone Mobile Phone Number
    fax: phone Fax Number
    address: text Address
    city: string City
    state: string State
    postalCode: string Postal Code
    country: string Country
    dateOfBirth: date Date of Birth
    leadScore: score Lead Score
    leadSource: string Lead Source
    leadStatus: string Lead Status
    leadRole: string/50 Role
    rating: string Lead Rating
    unsubscribed: boolean Unsubscribed
    unsubscribedReason: text Unsubscribed Reason
    doNotCall: boolean Do Not Call
    doNotCallReason: text Do Not Call Reason
    emailInvalid: boolean Email Invalid
    emailInvalidCause: string Email Invalid Cause
    externalCompanyId: string/100 External Company Id
    externalSalesPersonId: string/100 External Sales Person Id
    @company: string Company Name
    @website: url Website
    @industry: string Industry
    @mainPhone: phone Main Phone
    @numberOfEmployees: integer Num Employees
    @annualRevenue: currency Annual Revenue
    @sicCode: string/40 SIC Code
    @site: string Site
    @billingCity: string Billing City
    @billingCountry: string Billing Country
    !leadPartitionId: integer Lead Partition Id
    !isAnonymous: boolean Is Anonymous
    !createdAt: datetime Created At
    !updatedAt: datetime Updated At
""")
_COMPANY = _fields("""
    !id: integer Id
    !externalCompanyId: string/100 External Company Id
    company: string Company Name
    website: url Website
    industry: string Industry
    mainPhone: phone Main Phone
    numberOfEmployees: integer Num Employees
    annualRevenue: currency Annual Revenue
    sicCode: string/40 SIC Code
    site: string Site
    billingStreet: text Billing Address
    billingCity: string Billing City
    billingState: string Billing State
    billingCountry: string Billing Country
    billingPostalCode: string Billing Postal Code
    companyNotes: text Company Notes
    !createdAt: datetime Created At
    !updatedAt: datetime Updated At
""")
_OPPORTUNITY = _fields("""
    !marketoGUID: string/36 Marketo GUID
    !externalOpportunityId: string/50 External Opportunity Id
    name: string Name
    description: string/2000 Description
    type: string Type
    stage: string Stage
    amount: currency Amount
    probability: integer Probability
    closeDate: date Close Date
    isClosed: boolean Is Closed
    isWon: boolean Is Won
    source: string Source
    externalCreatedDate: datetime External Created Date
    !createdAt: datetime Created At
    !updatedAt: datetime Updated At
""")
_ROLE = _fields("""
    !marketoGUID: string/36 Marketo GUID
    !externalOpportunityId: string/50 External Opportunity Id
    !leadId: integer Lead Id
    !role: string/50 Role
    isPrimary: boolean Is Primary
    externalCreatedDate: datetime External Created Date
    !createdAt: datetime Created At
    !updatedAt: datetime Updated At
""")
_SALES_PERSON = _fields("""
    !id: integer Id
    !externalSalesPersonId: string/100 External Sales Person Id
    email: email Email Address
    firstName: string First Name
    lastName: string Last Name
    title: string Job Title
    phone: phone Phone
    !createdAt: datetime Created At
    !updatedAt: datetime Updated At
""")
_NAMED_ACCOUNT = _fields("""
    !marketoGUID: string/36 Marketo GUID
    !name: string Named Account Name
    domainName: string Domain Name
    industry: string Industry
    sicCode: string/40 SIC Code
    numberOfEmployees: integer Number of Employees
    annualRevenue: currency Annual Revenue
    city: string City
    state: string State
    country: string Country
    logoUrl: url Logo URL
    !membershipCount: integer Membership Count
    !opptyCount: integer Opportunity Count
    !opptyAmount: currency Opportunity Amount
    !createdAt: datetime Created At
    !updatedAt: datetime Updated At
""")
_MEMBER = _fields("""
    !leadId: integer leadId
    !programId: integer programId
    !program: string program
    !statusName: string statusName
    !statusReason: string statusReason
    !acquiredBy: boolean acquiredBy
    !reachedSuccess: boolean reachedSuccess
    !reachedSuccessDate: datetime reachedSuccessDate
    !membershipDate: datetime membershipDate
    !isExhausted: boolean isExhausted
    !nurtureCadence: string/4 nurtureCadence
    registrationCode: string/100 registrationCode
    webinarUrl: string/2000 webinarUrl
    !createdAt: datetime createdAt
    !updatedAt: datetime updatedAt
""")

_LEAD_SEARCH = ("id", "email", "externalCompanyId", "externalSalesPersonId")
STANDARD: Mapping[str, Kind] = {
    kind.key: kind
    for kind in (
        Kind("leads", "leads", "People", "Person", "id", (), _LEAD_SEARCH, _LEAD),
        Kind(
            "companies",
            "companies",
            "Companies",
            "Company",
            "id",
            ("externalCompanyId",),
            ("externalCompanyId", "id", "company"),
            _COMPANY,
        ),
        Kind(
            "opportunities",
            "opportunities",
            "Opportunities",
            "Opportunity",
            "marketoGUID",
            ("externalOpportunityId",),
            ("externalOpportunityId", "marketoGUID"),
            _OPPORTUNITY,
            required=("name",),
        ),
        Kind(
            "opportunityRoles",
            "opportunities/roles",
            "Opportunity roles",
            "Opportunity role",
            "marketoGUID",
            ("externalOpportunityId", "leadId", "role"),
            ("marketoGUID", "leadId", "externalOpportunityId"),
            _ROLE,
        ),
        Kind(
            "salesPersons",
            "salespersons",
            "Sales persons",
            "Sales person",
            "id",
            ("externalSalesPersonId",),
            ("externalSalesPersonId", "id", "email"),
            _SALES_PERSON,
        ),
        Kind(
            "namedAccounts",
            "namedaccounts",
            "Named accounts",
            "Named account",
            "marketoGUID",
            ("name",),
            ("marketoGUID", "name", "domainName", "industry", "city", "country", "numberOfEmployees", "annualRevenue"),
            _NAMED_ACCOUNT,
        ),
    )
}
MEMBERS = Kind(
    "members",
    "programs",
    "Program members",
    "Program member",
    "leadId",
    ("leadId", "programId"),
    ("leadId", "reachedSuccess", "statusName"),
    _MEMBER,
)


def custom_kind(given: Mapping[str, Any]) -> Kind:
    """A custom object from a definition that has been checked."""
    name = str(given["apiName"])
    fields = {
        **_fields("""
            !marketoGUID: string/36 Marketo GUID
            !createdAt: datetime Created At
            !updatedAt: datetime Updated At
        """),
        **{field.name: field for field in map(custom_field, given["fields"])},
    }
    dedupe = tuple(str(field) for field in given["dedupeFields"])
    links = tuple(str(link["field"]) for link in given.get("relationships", ()))
    return Kind(
        f"customObjects/{name}",
        f"customobjects/{name}",
        str(given.get("displayName", name)),
        str(given.get("displayName", name)),
        "marketoGUID",
        dedupe,
        tuple(dict.fromkeys([*(dedupe if len(dedupe) == 1 else ()), "marketoGUID", *links])),
        fields,
        custom=True,
    )
