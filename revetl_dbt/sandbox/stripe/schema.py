"""The parameters of customers, products and prices, as Stripe publishes them for API version 2026-10-28:
https://docs.stripe.com/api/customers/create, .../update, and the same for products and prices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Param:
    """A parameter: its type, where it may be given, and whether the empty text clears it there."""

    kind: str = "string"  # string, email, url, integer, number, decimal, boolean, enum, object, map, list, id
    create: bool = True
    update: bool = True
    required: bool = False  # on create
    unset_create: bool = False
    unset: bool = False  # on update
    longest: int = 5000
    options: tuple[str, ...] = ()
    inner: Mapping[str, Param] = field(default_factory=dict)  # of an object, or of each item of a list of objects
    refers: str = ""  # the object whose id this is
    whole: bool = False  # an update replaces it, parts that it does not mention included
    default: Any = None


def _text(longest: int = 5000, **more: Any) -> Param:
    return Param(longest=longest, unset=True, **more)


def _enum(*options: str, **more: Any) -> Param:
    return Param("enum", options=options, **more)


def _object(inner: Mapping[str, Param], **more: Any) -> Param:
    return Param("object", inner=inner, **more)


_METADATA = Param("map", unset=True, unset_create=True, default={})
_ADDRESS = {name: _text() for name in ("city", "country", "line1", "line2", "postal_code", "state")}
_AMOUNTS: Mapping[str, Param] = {"unit_amount": Param("integer"), "unit_amount_decimal": Param("decimal")}
_BEHAVIOR = _enum("exclusive", "inclusive", "unspecified", default="unspecified")
_FEATURE = {"name": Param(longest=80, required=True)}
_SIZES = {name: Param("number", required=True) for name in ("height", "length", "weight", "width")}
_CUSTOM_AMOUNT = {
    "enabled": Param("boolean", required=True),
    **{name: Param("integer") for name in ("maximum", "minimum", "preset")},
}
_TIER = {
    "up_to": Param(required=True),
    "flat_amount": Param("integer"),
    "flat_amount_decimal": Param("decimal"),
    **_AMOUNTS,
}
_CURRENCY = {"tax_behavior": _BEHAVIOR, **_AMOUNTS}
_RECURRING = {
    "interval": _enum("day", "week", "month", "year", required=True),
    "interval_count": Param("integer", default=1),
    "meter": Param(),
    "trial_period_days": Param("integer"),
    "usage_type": _enum("licensed", "metered", default="licensed"),
}
_INVOICE_SETTINGS = {
    "custom_fields": Param(
        "list",
        unset=True,
        unset_create=True,
        inner={"name": Param(longest=40, required=True), "value": Param(longest=140, required=True)},
    ),
    "default_payment_method": _text(),
    "footer": _text(),
    "rendering_options": _object({"amount_tax_display": _text(), "template": _text()}, unset=True, unset_create=True),
}
_SHIPPING = {"name": Param(required=True), "phone": _text(), "address": _object(_ADDRESS, required=True, whole=True)}
_TAX = {"ip_address": _text(), "validate_location": _enum("deferred", "immediately")}

CUSTOMER: Mapping[str, Param] = {
    "address": _object(_ADDRESS, unset=True, unset_create=True, whole=True),
    "balance": Param("integer", default=0),
    "business_name": _text(150, unset_create=True),
    "description": _text(),
    "email": Param("email", longest=512, unset=True),
    "individual_name": _text(150, unset_create=True),
    "invoice_prefix": Param(longest=12),
    "invoice_settings": _object(
        _INVOICE_SETTINGS,
        default={"custom_fields": None, "default_payment_method": None, "footer": None, "rendering_options": None},
    ),
    "metadata": _METADATA,
    "name": _text(256),
    "next_invoice_sequence": Param("integer", default=1),
    "phone": _text(20),
    "preferred_locales": Param("list", unset=True, default=[]),
    "shipping": _object(_SHIPPING, unset=True, unset_create=True, whole=True),
    "tax": _object(_TAX),
    "tax_exempt": _enum("none", "exempt", "reverse", unset=True, unset_create=True, default="none"),
}
PRODUCT: Mapping[str, Param] = {
    "id": Param("id", update=False),
    "active": Param("boolean", default=True),
    "default_price": Param(create=False, refers="prices"),
    "description": _text(),
    "images": Param("list", unset=True, default=[]),
    "marketing_features": Param("list", unset=True, inner=_FEATURE, default=[]),
    "metadata": _METADATA,
    "name": Param(required=True),
    "package_dimensions": _object(_SIZES, unset=True),
    "shippable": Param("boolean"),
    "statement_descriptor": Param(longest=22),
    "tax_code": _text(),
    "unit_label": _text(),
    "url": Param("url", unset=True),
}
PRICE: Mapping[str, Param] = {
    "active": Param("boolean", default=True),
    "billing_scheme": _enum("per_unit", "tiered", update=False, default="per_unit"),
    "currency": Param("currency", update=False, required=True),
    "currency_options": Param("map", inner=_CURRENCY, unset=True),
    "custom_unit_amount": _object(_CUSTOM_AMOUNT, update=False),
    "lookup_key": _text(200),
    "metadata": _METADATA,
    "nickname": _text(),
    "product": Param(update=False, refers="products"),
    "recurring": _object(_RECURRING, update=False),
    "tax_behavior": _BEHAVIOR,
    "tiers": Param("list", update=False, inner=_TIER),
    "tiers_mode": _enum("graduated", "volume", update=False),
    "transfer_lookup_key": Param("boolean"),
    "transform_quantity": _object(
        {"divide_by": Param("integer", required=True), "round": _enum("down", "up", required=True)}, update=False
    ),
    **{name: Param(param.kind, update=False) for name, param in _AMOUNTS.items()},
}


@dataclass(frozen=True)
class Kind:
    """One of Stripe's objects: its word, its parameters, the beginning of its ids, how to list and search it."""

    name: str  # the part of the path
    word: str
    title: str
    params: Mapping[str, Param]
    prefix: str
    expanded: tuple[str, ...] = ()  # shown only on request
    searched: tuple[str, ...] = ()  # beside `metadata`


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("customers", "customer", "Customers", CUSTOMER, "cus_", (), ("email", "name", "phone")),
        Kind("products", "product", "Products", PRODUCT, "prod_", (), ("active", "description", "name", "url")),
        Kind(
            "prices",
            "price",
            "Prices",
            PRICE,
            "price_",
            ("currency_options", "tiers"),
            ("active", "currency", "lookup_key", "product", "type"),
        ),
    )
}
