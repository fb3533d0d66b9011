"""The objects of an account: HubSpot's own with their default properties, and custom ones.

Names, type ids and required properties: https://developers.hubspot.com/docs/api-reference/latest/crm/using-object-apis
Default properties: the properties API's answers and https://knowledge.hubspot.com/properties
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from revetl_dbt.sandbox.hubspot.properties import YES_NO, Option, Property


@dataclass(frozen=True)
class ObjectType:
    """One kind of record. `required` are properties that a create must have, `one_of` those of which it needs at
    least one."""

    name: str
    type_id: str
    singular: str
    plural: str
    shown: tuple[str, ...]  # properties of an answer to a request that names none
    modified: str = "hs_lastmodifieddate"
    required: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    defaults: tuple[tuple[str, str], ...] = ()
    display: tuple[str, ...] = ()  # what a person knows a record by
    qualified: str = ""  # p{portal}_{name} of a custom object

    @property
    def custom(self) -> bool:
        """Whether a user defined it."""
        return self.type_id.startswith("2-")

    @property
    def key(self) -> str:
        """Its name in the store and in the paths of pages."""
        return self.type_id if self.custom else self.name

    @property
    def code(self) -> str:
        """Its name in error texts."""
        return self.qualified.upper() if self.custom else self.singular.upper()

    def scopes(self, access: str, schema: bool = False) -> tuple[str, ...]:
        """The scopes of which a token needs one; `access` is read or write."""
        if self.name == "tickets":
            return ("tickets",)
        return (f"crm.{'schemas' if schema else 'objects'}.{'custom' if self.custom else self.name}.{access}",)


STANDARD = (
    ObjectType(
        "contacts",
        "0-1",
        "contact",
        "Contacts",
        ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"),
        modified="lastmodifieddate",
        defaults=(("lifecyclestage", "lead"),),
        display=("firstname", "lastname"),
    ),
    ObjectType(
        "companies",
        "0-2",
        "company",
        "Companies",
        ("createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"),
        one_of=("domain", "name"),
        display=("name",),
    ),
    ObjectType(
        "deals",
        "0-3",
        "deal",
        "Deals",
        (
            "amount",
            "closedate",
            "createdate",
            "dealname",
            "dealstage",
            "hs_lastmodifieddate",
            "hs_object_id",
            "pipeline",
        ),
        required=("dealname", "dealstage"),
        defaults=(("pipeline", "default"),),
        display=("dealname",),
    ),
    ObjectType(
        "tickets",
        "0-5",
        "ticket",
        "Tickets",
        (
            "content",
            "createdate",
            "hs_lastmodifieddate",
            "hs_object_id",
            "hs_pipeline",
            "hs_pipeline_stage",
            "hs_ticket_category",
            "hs_ticket_priority",
            "subject",
        ),
        required=("hs_pipeline_stage",),
        defaults=(("hs_pipeline", "0"),),
        display=("subject",),
    ),
)
ALIASES: Mapping[str, str] = {
    alias: kind.name for kind in STANDARD for alias in (kind.name, kind.singular, kind.type_id)
}

_LIFECYCLE = (
    "subscriber=Subscriber,lead=Lead,marketingqualifiedlead=Marketing Qualified Lead,"
    "salesqualifiedlead=Sales Qualified Lead,opportunity=Opportunity,customer=Customer,evangelist=Evangelist,"
    "other=Other"
)
_LEAD_STATUS = (
    "NEW=New,OPEN=Open,IN_PROGRESS=In Progress,OPEN_DEAL=Open Deal,UNQUALIFIED=Unqualified,"
    "ATTEMPTED_TO_CONTACT=Attempted to Contact,CONNECTED=Connected,BAD_TIMING=Bad Timing"
)
_INDUSTRIES = (
    "ACCOUNTING=Accounting,BANKING=Banking,COMPUTER_SOFTWARE=Computer Software,CONSTRUCTION=Construction,"
    "CONSUMER_GOODS=Consumer Goods,EDUCATION_MANAGEMENT=Education Management,"
    "FINANCIAL_SERVICES=Financial Services,HOSPITAL_HEALTH_CARE=Hospital & Health Care,"
    "INFORMATION_TECHNOLOGY_AND_SERVICES=Information Technology and Services,INTERNET=Internet,"
    "LOGISTICS_AND_SUPPLY_CHAIN=Logistics and Supply Chain,MANAGEMENT_CONSULTING=Management Consulting,"
    "MARKETING_AND_ADVERTISING=Marketing and Advertising,RETAIL=Retail,TELECOMMUNICATIONS=Telecommunications"
)
_DEAL_STAGES = (
    "appointmentscheduled=Appointment Scheduled,qualifiedtobuy=Qualified To Buy,"
    "presentationscheduled=Presentation Scheduled,decisionmakerboughtin=Decision Maker Bought-In,"
    "contractsent=Contract Sent,closedwon=Closed Won,closedlost=Closed Lost"
)
_BUYING_ROLES = (
    "BLOCKER=Blocker,BUDGET_HOLDER=Budget Holder,CHAMPION=Champion,DECISION_MAKER=Decision Maker,"
    "END_USER=End User,EXECUTIVE_SPONSOR=Executive Sponsor,INFLUENCER=Influencer,"
    "LEGAL_AND_COMPLIANCE=Legal & Compliance,OTHER=Other"
)

# name | label | type fieldType | options or flags: unique, read-only, external, hidden
_TABLES: Mapping[str, tuple[str, str]] = {
    "contacts": (
        "contactinformation",
        f"""
        email | Email | string text | unique
        firstname | First Name | string text
        lastname | Last Name | string text
        phone | Phone Number | string phonenumber
        mobilephone | Mobile Phone Number | string phonenumber
        jobtitle | Job Title | string text
        company | Company Name | string text
        website | Website URL | string text
        address | Street Address | string text
        city | City | string text
        state | State/Region | string text
        zip | Postal Code | string text
        country | Country/Region | string text
        industry | Industry | string text
        annualrevenue | Annual Revenue | string text
        numemployees | Number of Employees | enumeration select | \
            1-5=1-5,5-25=5-25,25-50=25-50,50-100=50-100,100-500=100-500,500-1000=500-1000,\
            1000+=1000+
        salutation | Salutation | string text
        date_of_birth | Date of birth | string text
        hs_language | Preferred language | enumeration select | \
            de=German,en=English,es=Spanish,fr=French,it=Italian,\
            ja=Japanese,nl=Dutch,pt-br=Portuguese - Brazil
        hs_timezone | Time Zone | enumeration select | external
        lifecyclestage | Lifecycle Stage | enumeration radio | {_LIFECYCLE}
        hs_lead_status | Lead Status | enumeration radio | {_LEAD_STATUS}
        hs_buying_role | Buying Role | enumeration checkbox | {_BUYING_ROLES}
        hubspot_owner_id | Contact owner | enumeration select | external
        closedate | Close Date | datetime date
        message | Message | string textarea
        fax | Fax Number | string text
        hs_additional_emails | Additional email addresses | enumeration checkbox | external,read-only
        hs_email_domain | Email Domain | string text | read-only
        hs_full_name_or_email | Full name or email | string text | read-only,hidden
        notes_last_contacted | Last Contacted | datetime date | read-only
        """,
    ),
    "companies": (
        "companyinformation",
        f"""
        name | Company name | string text
        domain | Company Domain Name | string text
        website | Website URL | string text
        phone | Phone Number | string phonenumber
        address | Street Address | string text
        city | City | string text
        state | State/Region | string text
        zip | Postal Code | string text
        country | Country/Region | string text
        industry | Industry | enumeration select | {_INDUSTRIES}
        description | Description | string textarea
        numberofemployees | Number of Employees | number number
        annualrevenue | Annual Revenue | number number
        founded_year | Year Founded | string text
        timezone | Time Zone | string text
        type | Type | enumeration select | PROSPECT=Prospect,PARTNER=Partner,RESELLER=Reseller,VENDOR=Vendor,OTHER=Other
        is_public | Is Public | bool booleancheckbox
        lifecyclestage | Lifecycle Stage | enumeration radio | {_LIFECYCLE}
        hs_lead_status | Lead Status | enumeration radio | {_LEAD_STATUS}
        hubspot_owner_id | Company owner | enumeration select | external
        linkedin_company_page | LinkedIn Company Page | string text
        hs_additional_domains | Additional Domains | enumeration checkbox | external,read-only
        """,
    ),
    "deals": (
        "dealinformation",
        f"""
        dealname | Deal Name | string text
        amount | Amount | number number
        closedate | Close Date | datetime date
        pipeline | Pipeline | enumeration select | default=Sales Pipeline
        dealstage | Deal Stage | enumeration radio | {_DEAL_STAGES}
        dealtype | Deal Type | enumeration radio | newbusiness=New Business,existingbusiness=Existing Business
        description | Deal Description | string textarea
        hs_next_step | Next step | string text
        hs_priority | Priority | enumeration select | low=Low,medium=Medium,high=High
        hubspot_owner_id | Deal owner | enumeration select | external
        hs_deal_stage_probability | Deal probability | number number | read-only
        hs_is_closed | Is Deal Closed? | bool booleancheckbox | read-only
        """,
    ),
    "tickets": (
        "ticketinformation",
        """
        subject | Ticket name | string text
        content | Ticket description | string textarea
        hs_pipeline | Pipeline | enumeration select | 0=Support Pipeline
        hs_pipeline_stage | Ticket status | enumeration select | 1=New,2=Waiting on contact,3=Waiting on us,4=Closed
        hs_ticket_priority | Priority | enumeration select | LOW=Low,MEDIUM=Medium,HIGH=High,URGENT=Urgent
        hs_ticket_category | Category | enumeration checkbox | \
            PRODUCT_ISSUE=Product issue,BILLING_ISSUE=Billing issue,FEATURE_REQUEST=Feature request,\
            GENERAL_INQUIRY=General inquiry
        hs_resolution | Resolution | string textarea
        source_type | Source | enumeration select | CHAT=Chat,EMAIL=Email,FORM=Form,PHONE=Phone
        hubspot_owner_id | Ticket owner | enumeration select | external
        closed_date | Close date | datetime date | read-only
        """,
    ),
}
_SYSTEM = """
    hs_object_id | Record ID | number number | read-only
    createdate | Create Date | datetime date | read-only
    {modified} | Last Modified Date | datetime date | read-only
    hs_object_source | Record source | string text | read-only,hidden
    hs_object_source_label | Record source label | string text | read-only,hidden
"""
_FLAGS = frozenset({"unique", "read-only", "external", "hidden"})


def default_properties(kind: ObjectType) -> dict[str, Property]:
    """The properties that an object has before a user defines any, by name."""
    group, table = _TABLES.get(kind.name, (f"{kind.name}_information", ""))
    rows = (line.strip() for line in (table + _SYSTEM.format(modified=kind.modified)).splitlines())
    return {prop.name: prop for order, row in enumerate(filter(None, rows)) for prop in [_parsed(row, group, order)]}


def group_of(kind: ObjectType) -> str:
    """The group of an object's default properties."""
    return _TABLES.get(kind.name, (f"{kind.name}_information", ""))[0]


def _parsed(row: str, group: str, order: int) -> Property:
    name, label, types, *rest = (part.strip() for part in row.split(" | "))
    type_, field_type = types.split()
    extra = [part.strip() for part in rest[0].split(",")] if rest else []
    flags = set(extra) if set(extra) <= _FLAGS else set()
    options = () if flags else tuple(_option(pair, n) for n, pair in enumerate(extra))
    return Property(
        name,
        label,
        type_,
        field_type,
        group,
        options=YES_NO if type_ == "bool" else options,
        unique="unique" in flags,
        read_only="read-only" in flags,
        external="external" in flags,
        hidden="hidden" in flags,
        order=order,
    )


def _option(pair: str, order: int) -> Option:
    value, _, label = pair.partition("=")
    return Option(value, label, order=order)
