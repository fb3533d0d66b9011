"""Fields as the describe call shows them, and how a setup file or the Tooling API defines one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from revetl_dbt.errors import SandboxError
from revetl_dbt.nearest import did_you_mean, listed

TEXTS = frozenset(
    {"string", "textarea", "phone", "url", "email", "picklist", "multipicklist", "combobox", "reference", "id"}
)
NUMBERS = frozenset({"int", "double", "currency", "percent"})
TYPES = TEXTS | NUMBERS | {"boolean", "date", "datetime", "time"}
_LENGTHS = {"string": 255, "textarea": 32_000, "phone": 40, "url": 255, "email": 80, "reference": 18, "id": 18}
_LENGTHS |= {"picklist": 255, "multipicklist": 4099, "combobox": 255}


@dataclass(frozen=True)
class Field:
    """One field of an object; `default` is what a new record gets when it is not given."""

    name: str
    type: str = "string"
    label: str = ""
    length: int = 0
    required: bool = False
    default: Any = None
    createable: bool = True
    updateable: bool = True
    external_id: bool = False
    id_lookup: bool = False
    unique: bool = False
    case_sensitive: bool = False
    options: tuple[str, ...] = ()
    restricted: bool = False
    reference_to: tuple[str, ...] = ()
    relationship: str | None = None
    hidden: bool = False  # nobody has been given access to it yet

    @property
    def custom(self) -> bool:
        """Whether a user added it."""
        return self.name.endswith("__c")

    @property
    def indexed(self) -> bool:
        """Whether a record can be found by it."""
        return self.external_id or self.id_lookup or self.unique

    @property
    def nillable(self) -> bool:
        """Whether it can be empty."""
        return not self.required and self.type != "boolean" and self.default is None

    def comparable(self, value: Any) -> str:
        """A value as the index has it: letter case counts only where the field says so."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return f"{value:.15g}"
        return str(value) if self.case_sensitive else str(value).lower()

    def describe(self) -> dict[str, Any]:
        """As the describe call shows it; what no client of ours asks for is left out."""
        return {
            "name": self.name,
            "type": self.type,
            "label": self.label,
            "length": self.length,
            "nillable": self.nillable,
            "createable": self.createable,
            "updateable": self.updateable,
            "defaultedOnCreate": self.default is not None or self.type == "boolean",
            "externalId": self.external_id,
            "idLookup": self.id_lookup or self.external_id,
            "unique": self.unique,
            "caseSensitive": self.case_sensitive,
            "custom": self.custom,
            "calculated": False,
            "autoNumber": False,
            "restrictedPicklist": self.restricted,
            "picklistValues": [
                {"active": True, "defaultValue": False, "label": option, "value": option} for option in self.options
            ],
            "referenceTo": list(self.reference_to),
            "relationshipName": self.relationship,
            "precision": 18 if self.type in NUMBERS else 0,
            "scale": 2 if self.type in NUMBERS else 0,
            "soapType": _SOAP.get(self.type, "xsd:string"),
        }


_SOAP = {"boolean": "xsd:boolean", "int": "xsd:int", "date": "xsd:date", "datetime": "xsd:dateTime", "id": "tns:ID"}
_SOAP |= {"reference": "tns:ID", "time": "xsd:time", **dict.fromkeys(("double", "currency", "percent"), "xsd:double")}


def field(name: str, kind: str = "string", length: int = 0, **more: Any) -> Field:
    """A field with the usual length and label of its type."""
    label = more.pop("label", None) or _label(name)
    return Field(name, kind, label, length or _LENGTHS.get(kind, 0), **more)


def reference(name: str, *objects: str, **more: Any) -> Field:
    """A field that holds the id of another record."""
    relation = name.removesuffix("__c") + "__r" if name.endswith("__c") else name.removesuffix("Id")
    return field(name, "reference", reference_to=objects, relationship=relation, **more)


def _label(name: str) -> str:
    plain = name.removesuffix("__c").replace("_", " ")
    words = "".join(
        f" {letter}" if letter.isupper() and plain[n - 1].islower() else letter for n, letter in enumerate(plain)
    )
    return words.removesuffix(" Id").strip()


_DEFINED: Mapping[str, str] = {
    "name": "name",
    "type": "type",
    "label": "label",
    "length": "length",
    "required": "required",
    "externalId": "external_id",
    "unique": "unique",
    "caseSensitive": "case_sensitive",
    "options": "options",
    "restricted": "restricted",
    "referenceTo": "reference_to",
}


def defined(given: Mapping[str, Any]) -> Field:
    """A custom field as a setup file describes it. SandboxError where it makes no sense."""
    for key in given:
        if key not in _DEFINED:
            raise SandboxError(
                f"A field of a Salesforce setup file has no `{key}`. {did_you_mean(key, _DEFINED) or listed(_DEFINED)}"
            )
    values = {_DEFINED[key]: value for key, value in given.items()}
    name, kind = str(values.pop("name", "")), str(values.pop("type", "string"))
    if not name.endswith("__c"):
        raise SandboxError(f"The custom field `{name}` of a Salesforce setup file must have a name that ends in `__c`")
    if kind not in TYPES:
        raise SandboxError(f"The field `{name}` has no type `{kind}`. {did_you_mean(kind, TYPES) or listed(TYPES)}")
    options = tuple(str(option) for option in values.pop("options", ()))
    if options:
        values["restricted"] = bool(values.get("restricted", True))
    objects = _names(values.pop("reference_to", ()))
    if kind == "reference":
        return reference(name, *objects, **values)
    return field(name, kind, options=options, **values)


def _names(value: Any) -> Sequence[str]:
    return [value] if isinstance(value, str) else [str(item) for item in value]


_METADATA = {"Text": "string", "Number": "double", "Checkbox": "boolean", "Date": "date", "DateTime": "datetime"}
_METADATA |= {"Time": "time", "LongTextArea": "textarea", "Email": "email", "Url": "url", "Phone": "phone"}
_METADATA |= {"Currency": "currency", "Percent": "percent", "TextArea": "textarea"}


def from_metadata(name: str, metadata: Mapping[str, Any]) -> Field | str:
    """A field as the Tooling API's CustomField describes it, or what is wrong with it in words."""
    kind = _METADATA.get(str(metadata.get("type")))
    if kind is None:
        return f"Cannot deserialize instance of FieldType from VALUE_STRING value {metadata.get('type')}"
    needed = {"Text": ("length",), "LongTextArea": ("length", "visibleLines"), "Number": ("precision", "scale")}
    for part in ("label", *needed.get(str(metadata["type"]), ())):
        if part not in metadata:
            return f"Required fields are missing: [{part}]"
    external, unique = bool(metadata.get("externalId")), bool(metadata.get("unique"))
    return field(
        name,
        kind,
        int(metadata.get("length", 0)),
        label=str(metadata["label"]),
        external_id=external,
        unique=unique,
        hidden=True,
    )
