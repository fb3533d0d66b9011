"""The objects that every org has, as far as a sync of customers meets them; fields as the Object Reference has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from revetl_dbt.sandbox.salesforce.fields import Field, field, reference


@dataclass(frozen=True)
class ObjectType:
    """An object: its API name, labels, the prefix of its record ids, and the fields that name a record to people."""

    name: str
    label: str
    plural: str
    prefix: str
    display: tuple[str, ...] = ("Name",)
    about: tuple[str, ...] = ()  # what its page shows first
    auto_number: bool = False  # Salesforce numbers the records: nobody writes `Name`

    @property
    def custom(self) -> bool:
        """Whether a user added it."""
        return self.name.endswith("__c")


STANDARD: Sequence[ObjectType] = (
    ObjectType(
        "Account",
        "Account",
        "Accounts",
        "001",
        about=("Type", "Industry", "Phone", "Website", "AnnualRevenue", "NumberOfEmployees"),
    ),
    ObjectType(
        "Contact",
        "Contact",
        "Contacts",
        "003",
        ("FirstName", "LastName"),
        ("AccountId", "Title", "Email", "Phone", "LeadSource"),
    ),
    ObjectType(
        "Lead",
        "Lead",
        "Leads",
        "00Q",
        ("FirstName", "LastName"),
        ("Company", "Title", "Email", "Phone", "Status", "LeadSource"),
    ),
    ObjectType(
        "Opportunity",
        "Opportunity",
        "Opportunities",
        "006",
        about=("AccountId", "StageName", "Amount", "CloseDate", "Probability"),
    ),
    ObjectType(
        "Case", "Case", "Cases", "500", ("Subject",), ("ContactId", "AccountId", "Status", "Priority", "Origin")
    ),
    ObjectType(
        "Campaign", "Campaign", "Campaigns", "701", about=("Status", "Type", "StartDate", "EndDate", "IsActive")
    ),
    ObjectType(
        "CampaignMember",
        "Campaign Member",
        "Campaign Members",
        "00v",
        ("CampaignId",),
        ("ContactId", "LeadId", "Status"),
    ),
    ObjectType("Task", "Task", "Tasks", "00T", ("Subject",), ("WhoId", "WhatId", "ActivityDate", "Status", "Priority")),
    ObjectType("Product2", "Product", "Products", "01t", about=("ProductCode", "IsActive")),
)

_INDUSTRIES = (
    "Agriculture",
    "Banking",
    "Education",
    "Energy",
    "Finance",
    "Healthcare",
    "Media",
    "Retail",
    "Technology",
)
_SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")
_RATINGS = ("Hot", "Warm", "Cold")


def _read_only(name: str, kind: str, **more: Any) -> Field:
    return field(name, kind, createable=False, updateable=False, **more)


def _picklist(name: str, *options: str, **more: Any) -> Field:
    """Standard picklists are not restricted: other values are taken too."""
    return field(name, "picklist", options=options, **more)


SYSTEM: Sequence[Field] = (
    _read_only("Id", "id", label="Record ID", id_lookup=True),
    _read_only("IsDeleted", "boolean", label="Deleted"),
    _read_only("CreatedDate", "datetime"),
    _read_only("LastModifiedDate", "datetime"),
    _read_only("SystemModstamp", "datetime"),
)
OWNER = reference("OwnerId", "User", default="owner")


def _address(prefix: str) -> tuple[Field, ...]:
    sizes = {"Street": 255, "City": 40, "State": 80, "PostalCode": 20, "Country": 80}
    return tuple(
        field(f"{prefix}{part}", "textarea" if part == "Street" else "string", size) for part, size in sizes.items()
    )


_PERSON = (
    field("FirstName", length=40),
    field("LastName", length=80, required=True),
    _read_only("Name", "string", label="Full Name"),
    field("Email", "email", id_lookup=True),
    field("Phone", "phone"),
    field("MobilePhone", "phone"),
    field("Title", length=128),
    _picklist("LeadSource", *_SOURCES),
    field("Description", "textarea"),
    field("HasOptedOutOfEmail", "boolean", label="Email Opt Out"),
)
_COMPANY = (
    field("Website", "url"),
    _picklist("Industry", *_INDUSTRIES),
    _picklist("Rating", *_RATINGS),
    field("AnnualRevenue", "currency"),
    field("NumberOfEmployees", "int", label="Employees"),
)

FIELDS: dict[str, Sequence[Field]] = {
    "Account": (
        field("Name", required=True, label="Account Name"),
        field("AccountNumber", length=40),
        _picklist("Type", "Prospect", "Customer", "Partner", "Other"),
        field("Phone", "phone"),
        *_COMPANY,
        field("Description", "textarea"),
        *_address("Billing"),
        *_address("Shipping"),
        reference("ParentId", "Account", label="Parent Account"),
        OWNER,
    ),
    "Contact": (
        *_PERSON,
        field("Department", length=80),
        field("Birthdate", "date"),
        field("DoNotCall", "boolean"),
        *_address("Mailing"),
        reference("AccountId", "Account", label="Account Name"),
        reference("ReportsToId", "Contact", label="Reports To"),
        OWNER,
    ),
    "Lead": (
        *_PERSON,
        field("Company", required=True),
        *_COMPANY,
        *_address(""),
        _picklist("Status", "Open - Not Contacted", "Working - Contacted", "Closed", default="Open - Not Contacted"),
        _read_only("IsConverted", "boolean", label="Converted"),
        OWNER,
    ),
    "Opportunity": (
        field("Name", length=120, required=True, label="Opportunity Name"),
        _picklist(
            "StageName",
            "Prospecting",
            "Qualification",
            "Proposal",
            "Closed Won",
            "Closed Lost",
            required=True,
            label="Stage",
        ),
        field("CloseDate", "date", required=True),
        field("Amount", "currency"),
        field("Probability", "percent"),
        _picklist("Type", "New Customer", "Existing Customer"),
        _picklist("LeadSource", *_SOURCES),
        field("NextStep"),
        field("Description", "textarea"),
        reference("AccountId", "Account", label="Account Name"),
        OWNER,
    ),
    "Case": (
        field("Subject"),
        _picklist("Status", "New", "Working", "Escalated", "Closed", default="New"),
        _picklist("Priority", "High", "Medium", "Low", default="Medium"),
        _picklist("Origin", "Phone", "Email", "Web"),
        field("SuppliedEmail", "email", label="Web Email"),
        field("Description", "textarea"),
        reference("AccountId", "Account", label="Account Name"),
        reference("ContactId", "Contact", label="Contact Name"),
        OWNER,
    ),
    "Campaign": (
        field("Name", length=80, required=True, label="Campaign Name"),
        _picklist("Status", "Planned", "In Progress", "Completed"),
        _picklist("Type", "Conference", "Webinar", "Email", "Other"),
        field("StartDate", "date"),
        field("EndDate", "date"),
        field("IsActive", "boolean", label="Active"),
        field("BudgetedCost", "currency"),
        field("Description", "textarea"),
        OWNER,
    ),
    "CampaignMember": (
        reference("CampaignId", "Campaign", required=True, updateable=False),
        reference("ContactId", "Contact", updateable=False),
        reference("LeadId", "Lead", updateable=False),
        _picklist("Status", "Sent", "Responded", default="Sent"),
    ),
    "Task": (
        field("Subject", "combobox"),
        _picklist("Status", "Not Started", "In Progress", "Completed", default="Not Started"),
        _picklist("Priority", "High", "Normal", "Low", default="Normal"),
        field("ActivityDate", "date", label="Due Date"),
        field("Description", "textarea", label="Comments"),
        reference("WhoId", "Contact", "Lead", label="Name"),
        reference("WhatId", "Account", "Opportunity", "Campaign", "Case", label="Related To"),
        OWNER,
    ),
    "Product2": (
        field("Name", required=True, label="Product Name"),
        field("ProductCode"),
        field("IsActive", "boolean", label="Active"),
        field("Description", "textarea", 4000),
    ),
}
