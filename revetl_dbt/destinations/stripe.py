"""Stripe: customers, products and prices, one form-encoded request a record.

Facts are from https://docs.stripe.com/api (customers, products, prices, errors, idempotent requests, metadata),
https://docs.stripe.com/search, /rate-limits, /error-low-level and /keys, and from the parameters in Stripe's own
description of API version 2026-10-28:

- There is no batch and no upsert: a record is looked for, then updated by its id or created.
- Lists by e-mail, product id and lookup key are up to date at once; search (by metadata) lags by a minute, in outages
  by an hour.
- The empty text clears, but for what Stripe calls "cannot be unset".
- An `Idempotency-Key` makes Stripe repeat its first answer, a refusal or a 500 included, for at least 24 hours: so a
  create keeps its key, and a repeated answer is followed up, while an update, which does no harm when it is repeated,
  has a key of its own each time (or changing a value there and back would be lost).
- Addresses, shipping and package sizes are replaced as a whole (github.com/stripe/stripe-python/issues/255,
  stripe-go/pull/179), so that what a partial update leaves out is read and sent along; metadata and invoice settings
  are merged.
- Most of a price never changes; prices cannot be deleted, products only without prices.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import requests
from pydantic import Field, SecretStr, model_validator
from requests.auth import AuthBase
from typing_extensions import Self

from revetl_dbt.destinations.base import (
    Account,
    Batch,
    Change,
    ColumnType,
    DestinationConfig,
    DestinationError,
    Encoder,
    FatalError,
    FieldInfo,
    Found,
    Limits,
    ObjectType,
    Operation,
    Outcome,
    RetryableError,
    Status,
    UnknownOutcomeError,
)
from revetl_dbt.destinations.encoding import number_text, utc_text
from revetl_dbt.destinations.transport import (
    BearerAuth,
    HttpDestination,
    decode_json,
    json_or_empty,
    retry_after,
    status_error,
    to_json,
)

API = "https://api.stripe.com"
DASHBOARD = "https://dashboard.stripe.com"
RECORD_ID = "id"
METADATA = "metadata"
_KEY_LENGTH, _VALUE_LENGTH = 40, 500  # characters of a metadata key and value
_EARLIER_ANSWERS = 10  # a create is refused at most so often before its row is held
_DEVELOPMENT = re.compile(r"(dev|development|test|testing|ci|local|qa|staging|stage|sandbox)([-_.]\w+)*", re.IGNORECASE)


class StripeConfig(DestinationConfig):
    """An output of `type: stripe` in destinations.yml."""

    api_key: SecretStr | None = Field(
        None, description="Restricted key (`rk_test_...`, `rk_live_...`) or secret key (`sk_...`)"
    )
    account: str | None = Field(
        None, pattern=r"^acct_\w+$", description="Refuse to run when the key opens another account than this"
    )
    connected_account: str | None = Field(
        None, pattern=r"^acct_\w+$", description="Platforms (Connect): write to this connected account"
    )
    api_version: str = Field(
        "2026-10-28.endive",
        pattern=r"^\d{4}-\d{2}-\d{2}(\.\w+)?$",
        description="Version of the API that requests are made for (`Stripe-Version`)",
    )
    requests_per_second: float | None = Field(
        20.0,
        gt=0,
        description="Upper bound of requests a second; Stripe allows 25 an endpoint, and 100 to a live account",
    )

    @model_validator(mode="after")
    def _key(self) -> StripeConfig:
        if self.api_key is None and not self.sandbox:
            raise ValueError("`api_key` is missing: a restricted key (`rk_...`) or a secret key (`sk_...`)")
        if self.api_key is not None and self.api_key.get_secret_value().startswith(("pk_", "whsec_")):
            raise ValueError("`api_key` is a publishable key or a webhook secret: take a restricted or a secret key")
        return self

    @property
    def live(self) -> bool:
        """True when the key moves real money: any key that does not say that it is a test key."""
        return self.api_key is not None and "_test_" not in self.api_key.get_secret_value()

    def problems(self, target: str) -> Iterator[str]:
        """Why this output must not serve a dbt target: a live key in one that is named for development."""
        if self.live and not self.sandbox and _DEVELOPMENT.fullmatch(target):
            yield (
                f"`api_key` is a live key, and target `{target}` is for development: use a test key (`rk_test_...`, "
                "`sk_test_...`) or `sandbox: true`"
            )

    def in_sandbox(self, url: str, token: str | None) -> Self:
        return self.model_copy(
            update={
                "base_url": url,
                "api_key": SecretStr(token or "sk_test_sandbox"),
                "account": None,
                "connected_account": None,
                "requests_per_second": None,
            }
        )


# -- what there is -----------------------------------------------------------------------------------

_ONE = Limits(1)
_NO_EVENTS = "Stripe keeps records here, not events: use `create` or `upsert`"
_NO_ERASE = (
    "Stripe removes personal data by redaction jobs (a public preview), which take a customer's payments and invoices "
    "along and cannot be undone: start them by hand. `delete` removes a customer, `archive` a product or price"
)
_OPERATIONS: Mapping[str, Sequence[Operation]] = {
    "customers": (Operation.UPSERT, Operation.UPDATE, Operation.CREATE, Operation.DELETE),
    "products": (Operation.UPSERT, Operation.UPDATE, Operation.CREATE, Operation.ARCHIVE, Operation.DELETE),
    "prices": (Operation.UPSERT, Operation.UPDATE, Operation.CREATE, Operation.ARCHIVE),
}
_UNSUPPORTED: Mapping[str, Mapping[Operation, str]] = {
    "customers": {
        Operation.ARCHIVE: (
            "Stripe cannot archive customers: use `on_removed: clear`, or map a metadata field that says so. `delete` "
            "is for ever, and cancels the customer's subscriptions"
        ),
        Operation.APPEND: _NO_EVENTS,
        Operation.ERASE: _NO_ERASE,
    },
    "products": {Operation.APPEND: _NO_EVENTS, Operation.ERASE: _NO_ERASE},
    "prices": {
        Operation.DELETE: "Stripe cannot delete prices: use `archive`, which makes them inactive",
        Operation.APPEND: _NO_EVENTS,
        Operation.ERASE: _NO_ERASE,
    },
}


def _object_type(name: str) -> ObjectType:
    return ObjectType(
        name=name,
        operations=dict.fromkeys(_OPERATIONS[name], _ONE),
        # A create with a key can be repeated for a day only.
        idempotent=frozenset(_OPERATIONS[name]) - {Operation.CREATE},
        reads=True,
        described=True,
        unsupported=_UNSUPPORTED[name],
    )


def _field(name: str, kind: str = "string", *options: str, **more: Any) -> FieldInfo:
    return FieldInfo(name, kind, options=options or None, **more)


_BEHAVIORS = ("exclusive", "inclusive", "unspecified")
_ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")
_FIELDS: Mapping[str, Sequence[FieldInfo]] = {
    "customers": (
        _field(RECORD_ID, unique=True, writable=False),
        _field("email", unique=True, max_length=512),
        _field("name", max_length=256),
        _field("phone", max_length=20),
        _field("description"),
        _field("business_name", max_length=150),
        _field("individual_name", max_length=150),
        _field("address", "object"),
        *(_field(f"address.{part}") for part in _ADDRESS),
        _field("shipping", "object"),
        _field("shipping.name"),
        _field("shipping.phone"),
        *(_field(f"shipping.address.{part}") for part in _ADDRESS),
        _field("balance", "integer"),
        _field("invoice_prefix", max_length=12),
        _field("next_invoice_sequence", "integer"),
        _field("invoice_settings.custom_fields", "array"),
        _field("invoice_settings.default_payment_method"),
        _field("invoice_settings.footer"),
        _field("invoice_settings.rendering_options", "object"),
        _field("preferred_locales", "array"),
        _field("tax.ip_address"),
        _field("tax.validate_location", "enum", "deferred", "immediately"),
        _field("tax_exempt", "enum", "none", "exempt", "reverse"),
        _field(METADATA, METADATA),
        *(_field(name, kind, writable=False) for name, kind in (("created", "integer"), ("currency", "string"))),
        *(_field(name, "boolean", writable=False) for name in ("delinquent", "livemode")),
    ),
    "products": (
        _field(RECORD_ID, unique=True),
        _field("name", required=True),
        _field("active", "boolean"),
        _field("description"),
        _field("images", "array"),
        _field("marketing_features", "array"),
        _field("package_dimensions", "object"),
        *(_field(f"package_dimensions.{part}", "number") for part in ("height", "length", "weight", "width")),
        _field("shippable", "boolean"),
        _field("statement_descriptor", max_length=22),
        _field("tax_code"),
        _field("unit_label"),
        _field("url"),
        _field(METADATA, METADATA),
        *(_field(name, "integer", writable=False) for name in ("created", "updated")),
        _field("default_price", writable=False),
        _field("livemode", "boolean", writable=False),
    ),
    "prices": (
        _field(RECORD_ID, unique=True, writable=False),
        _field("lookup_key", unique=True, max_length=200),
        _field("transfer_lookup_key", "boolean"),
        _field("product", required=True),
        _field("currency", required=True),
        _field("unit_amount", "integer"),
        _field("unit_amount_decimal", "decimal"),
        _field("active", "boolean"),
        _field("nickname"),
        _field("billing_scheme", "enum", "per_unit", "tiered"),
        _field("currency_options", "object"),
        _field("custom_unit_amount", "object"),
        _field("recurring", "object"),
        _field("recurring.interval", "enum", "day", "week", "month", "year"),
        _field("recurring.interval_count", "integer"),
        _field("recurring.meter"),
        _field("recurring.trial_period_days", "integer"),
        _field("recurring.usage_type", "enum", "licensed", "metered"),
        _field("tax_behavior", "enum", *_BEHAVIORS),
        _field("tiers", "array"),
        _field("tiers_mode", "enum", "graduated", "volume"),
        _field("transform_quantity", "object"),
        _field(METADATA, METADATA),
        _field("created", "integer", writable=False),
        _field("type", writable=False),
        _field("livemode", "boolean", writable=False),
    ),
}
_CHANGEABLE = frozenset(
    {"active", "currency_options", "lookup_key", METADATA, "nickname", "tax_behavior", "transfer_lookup_key"}
)
"""What can be changed of a price."""

_WHOLE: Mapping[str, frozenset[str]] = {
    "customers": frozenset({"address", "shipping"}),
    "products": frozenset({"package_dimensions"}),
}
"""What an update replaces, parts that it does not mention included."""

_EXPANDED: Mapping[str, Sequence[str]] = {"prices": ("currency_options", "tiers")}
"""What Stripe shows of a record only when it is asked for it."""

_LISTED: Mapping[tuple[str, str], tuple[str, int]] = {
    ("customers", "email"): ("email", 1),
    ("products", RECORD_ID): ("ids[]", 100),
    ("prices", "lookup_key"): ("lookup_keys[]", 10),
}
"""Fields that a list can be asked for, which is up to date at once: the parameter, and how many values it takes."""


# -- the connector -----------------------------------------------------------------------------------


class Stripe(HttpDestination):
    """Records of a Stripe account."""

    type: ClassVar[str] = "stripe"
    Config = StripeConfig

    def __init__(self, config: StripeConfig, gate: Any) -> None:
        super().__init__(config, gate)
        self._auth = BearerAuth(lambda: config.api_key.get_secret_value() if config.api_key else "sk_test_sandbox")

    def base_url(self) -> str:
        return self.config.base_url or API

    def auth(self) -> AuthBase:
        return self._auth

    def headers(self) -> Mapping[str, str]:
        connected = self.config.connected_account
        return {"Stripe-Version": self.config.api_version, **({"Stripe-Account": connected} if connected else {})}

    def objects(self) -> Sequence[ObjectType]:
        return [_object_type(name) for name in _FIELDS]

    def check(self) -> Account:
        body = decode_json(self.request("GET", "/v1/account"))
        known = str(body.get("id") or "") if isinstance(body, Mapping) else ""
        if not known:
            raise UnknownOutcomeError("Stripe's answer names no account")
        if self.config.account not in (None, known):
            raise FatalError(f"the key opens account `{known}`, not `{self.config.account}`", code="account")
        name = _at(body, "settings.dashboard.display_name") or _at(body, "business_profile.name")
        # Test mode holds other records than live mode does.
        mode = "" if self.config.live else "/test"
        return Account(known + mode, name, f"{DASHBOARD}/{quote(known, safe='')}{mode}")

    def describe(self, object: str) -> Sequence[FieldInfo]:  # noqa: A002 - the contract's word
        """Stripe publishes the parameters of each object, and does not describe them by its API: no request is made."""
        if object not in _FIELDS:
            raise FatalError(f"Stripe has no object `{object}` that can be written", code="object")
        return _FIELDS[object]

    def describe_field(self, object: str, name: str) -> FieldInfo | None:  # noqa: A002 - the contract's word
        """`metadata.<key>`: a key has at most 40 characters and no square brackets."""
        head, _, key = name.partition(".")
        if object not in _FIELDS or head != METADATA or not 0 < len(key) <= _KEY_LENGTH or set(key) & set("[]"):
            return None
        return FieldInfo(name, "string", unique=True, max_length=_VALUE_LENGTH)

    def encoder(self, column: ColumnType, info: FieldInfo | None) -> Encoder:  # noqa: ARG002 - values tell their type
        return _encoder(info or FieldInfo(METADATA, "string", max_length=_VALUE_LENGTH))

    def app_url(self) -> str | None:
        return DASHBOARD

    def record_url(self, object: str, id: str) -> str | None:  # noqa: A002 - the contract's words
        if self.config.sandbox:
            return None
        connected = f"/{self.config.connected_account}" if self.config.connected_account else ""
        return f"{DASHBOARD}{connected}{'' if self.config.live else '/test'}/{object}/{quote(id, safe='')}"

    def write(self, batch: Batch) -> Iterable[Outcome]:
        if not batch.changes:
            return []
        if len(batch.changes) > 1:
            raise ValueError(f"a batch of {len(batch.changes)} exceeds the limit of 1")
        (change,) = batch.changes
        if batch.operation is Operation.CREATE:
            return [self._create(batch, change)]
        if batch.operation is Operation.UPSERT:
            return [self._upsert(batch, change)]
        known = change.id or change.match.get(RECORD_ID)
        if not known:
            found = self._matching(batch.object, change)
            if len(found) != 1:
                return [_ambiguous(change, found) if found else _missing(change)]
            known = found[0][RECORD_ID]
        if batch.operation is Operation.DELETE:
            return [self._delete(batch.object, change, str(known))]
        if batch.operation is Operation.ARCHIVE:
            return [self._post(batch.object, change, str(known), {"active": False}, Status.DELETED)]
        return [self._update(batch.object, change, str(known))]

    def read(
        self,
        object: str,  # noqa: A002 - the contract's word
        match: str,
        values: Sequence[Any],
        fields: Sequence[str],
    ) -> Iterable[Found]:
        """As the contract says; what is archived is left out."""
        return [
            Found(str(item[RECORD_ID]), value, {name: _at(item, name) for name in fields})
            for value, item in self._found(object, match, values)
            if item.get("active") is not False
        ]

    def error(self, response: requests.Response) -> DestinationError:
        problem = _problem(response)
        status, code = response.status_code, problem.get("code")
        kind = status_error(status)
        if status in (409, 424) or code == "lock_timeout":
            kind = RetryableError  # another request works on the same record, or with the same key
        elif status == 402:
            kind = status_error(400)
        elif status == 400 and code in _SETUP_CODES:
            kind = FatalError
        return kind(
            str(problem.get("message") or f"{status} {response.reason}"),
            code=str(code or problem.get("type") or status),
            request_id=response.headers.get("Request-Id"),
            retry_after=retry_after(response),
        )

    # -- finding -------------------------------------------------------------------------------------

    def _matching(self, object_name: str, change: Change) -> list[Mapping[str, Any]]:
        """The records with the change's match value, archived ones included."""
        field, value = next(iter(change.match.items()), (RECORD_ID, None))
        return [item for _, item in self._found(object_name, field, [value])]

    def _found(self, object_name: str, field: str, values: Sequence[Any]) -> Iterator[tuple[Any, Mapping[str, Any]]]:
        """Each of the values that a record has, and the record."""
        wanted = {str(value): value for value in values if value not in (None, "")}
        texts = list(wanted)
        parameter, most = _LISTED.get((object_name, field), ("", 1))
        for start in range(0, len(texts), most):
            asked = texts[start : start + most]
            if parameter:
                items = self._list(object_name, [(parameter, text) for text in asked])
            elif field == RECORD_ID:
                items = self._one(object_name, asked[0])
            else:
                items = self._list(f"{object_name}/search", [("query", _query(object_name, field, asked[0]))])
            # Search ignores case, and finds what contains all the words of a text.
            yield from ((wanted[text], item) for item in items if (text := str(_at(item, field))) in wanted)

    def _list(self, path: str, parameters: Sequence[tuple[str, str]]) -> list[Mapping[str, Any]]:
        query = urlencode([*parameters, ("limit", "100")])
        body = decode_json(self.request("GET", f"/v1/{path}?{query}"))
        items = body.get("data") if isinstance(body, Mapping) else None
        if not isinstance(items, list) or not all(isinstance(item, Mapping) and item.get(RECORD_ID) for item in items):
            raise UnknownOutcomeError("Stripe's answer has no list of records", code="results")
        return items

    def _one(self, object_name: str, known: str) -> list[Mapping[str, Any]]:
        """The record with an id, if it is there."""
        query = urlencode([("expand[]", name) for name in _EXPANDED.get(object_name, ())])
        response = self.send("GET", f"{_path(object_name, known)}?{query}".rstrip("?"))
        if _is_missing(response):
            return []
        if response.status_code != 200:
            raise self.error(response)
        item = _record(response)
        return [] if item.get("deleted") else [item]

    # -- writing -------------------------------------------------------------------------------------

    def _upsert(self, batch: Batch, change: Change) -> Outcome:
        if change.id:
            outcome = self._update(batch.object, change, change.id)
            if outcome.status is not Status.MISSING:
                return outcome
        if not all(change.match.values()):
            return Outcome(change.seq, Status.REJECTED, None, "match_value", "the value to find the record by is empty")
        found = self._matching(batch.object, change)
        if len(found) > 1:
            return _ambiguous(change, found)
        if found:
            # What was archived is wanted again.
            revived = {"active": True} if found[0].get("active") is False and "active" not in change.fields else {}
            held = None if _searched(change) else found[0]  # search shows what was
            outcome = self._update(batch.object, change, str(found[0][RECORD_ID]), held, revived)
            if outcome.status is not Status.MISSING:  # search may find what is gone
                return outcome
        return self._create(batch, change)

    def _create(self, batch: Batch, change: Change) -> Outcome:
        """Create the record, once: an earlier answer to the same create is followed up, or passed over where it
        created nothing that is still there."""
        if batch.object != "products" and RECORD_ID in change.match:
            raise FatalError(
                f"Stripe assigns the `{RECORD_ID}` of {batch.object} itself: match on another field, or use "
                "`mode: update`",
                code="match",
            )
        form = urlencode(_form({**change.match, **change.fields}, creating=True))
        # Stripe refuses a key that comes with another form, so the form is part of it.
        key = uuid.uuid5(uuid.UUID(batch.idempotency_key(change)), form)
        for _ in range(_EARLIER_ANSWERS):
            response = self._submit(f"/v1/{batch.object}", form, key)
            if response.headers.get("Idempotent-Replayed") != "true":
                return self._outcome(change, response, Status.CREATED)
            if response.status_code == 200:
                outcome = self._update(batch.object, change, str(_record(response)[RECORD_ID]))
                if outcome.status is not Status.MISSING:
                    return outcome._replace(status=Status.CREATED) if outcome.status.accepted else outcome
            elif response.status_code >= 500 and (not change.match or _searched(change)):
                raise self.error(response)  # search may not find yet what a failed request created
            key = uuid.uuid5(key, response.headers.get("Original-Request", ""))
        raise UnknownOutcomeError("Stripe only repeats what it answered earlier", code="replayed")

    def _update(
        self,
        object_name: str,
        change: Change,
        known: str,
        held: Mapping[str, Any] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """Update the record, which is `held` now if somebody has just looked; `more` fields are written too."""
        fields = {name: value for name, value in {**change.match, **change.fields}.items() if name != RECORD_ID}
        fixed = [name for name in fields if object_name == "prices" and _root(name) not in _CHANGEABLE]
        parts = {_root(name) for name in fields if name != _root(name)} & _WHOLE.get(object_name, frozenset())
        if fixed or (parts and held is None):
            held = next(iter(self._one(object_name, known)), None)
            if held is None:
                return _missing(change)
        differing = [name for name in fixed if not _same(fields[name], _at(held, name))]
        if differing:
            return _never_changed(change, known, differing)
        kept = {name: value for part in parts for name, value in _leaves(part, _at(held, part)) if name not in fields}
        left = {name: value for name, value in fields.items() if name not in fixed}
        return self._post(object_name, change, known, {**kept, **left, **(more or {})}, Status.UPDATED)

    def _post(self, object_name: str, change: Change, known: str, fields: Mapping[str, Any], status: Status) -> Outcome:
        if not fields:
            return Outcome(change.seq, Status.UNCHANGED, known)
        form = urlencode(_form(fields, creating=False))
        return self._outcome(change, self._submit(_path(object_name, known), form, uuid.uuid4()), status)

    def _submit(self, path: str, form: str, key: uuid.UUID) -> requests.Response:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Idempotency-Key": str(key)}
        return self.send("POST", path, data=form, headers=headers)

    def _delete(self, object_name: str, change: Change, known: str) -> Outcome:
        response = self.send("DELETE", _path(object_name, known))
        return self._outcome(change, response, Status.DELETED)

    def _outcome(self, change: Change, response: requests.Response, status: Status) -> Outcome:
        """What an answer says of a record. Raises a DestinationError when it is not about the record."""
        if response.status_code == 200:
            return Outcome(change.seq, status, str(_record(response)[RECORD_ID]))
        if status is not Status.CREATED and _is_missing(response, change.fields):
            return _missing(change)
        problem = _problem(response)
        refused_record = response.status_code in (400, 402) or problem.get("code") == "resource_missing"
        if not problem or not refused_record or problem.get("code") in _SETUP_CODES:
            raise self.error(response)
        code = problem.get("code") or problem.get("type")
        # Another run may have created the product a moment ago.
        refused = Status.RETRY if code == "resource_already_exists" else Status.REJECTED
        return Outcome(change.seq, refused, change.id, str(code), _reason(problem, change))


_SETUP_CODES = frozenset(
    {
        "account_invalid",
        "livemode_mismatch",
        "parameter_unknown",
        "platform_account_required",
        "secret_key_required",
        "testmode_charges_only",
    }
)
"""Every record of a sync would be refused for these (https://docs.stripe.com/error-codes)."""


def _searched(change: Change) -> bool:
    """True when the record is found by a search, which lags, and not by a list."""
    return any(_root(field) == METADATA for field in change.match)


def _missing(change: Change) -> Outcome:
    return Outcome(change.seq, Status.MISSING, None, "resource_missing", "Stripe has no such record")


def _never_changed(change: Change, known: str, names: Sequence[str]) -> Outcome:
    named = ", ".join(f"`{name}`" for name in names)
    message = (
        f"Stripe never changes {named} of a price: archive it and create another one under a new `lookup_key`, or map "
        "these fields with `write: on_create`"
    )
    return Outcome(change.seq, Status.REJECTED, known, "fixed", message)


def _ambiguous(change: Change, found: Sequence[Mapping[str, Any]]) -> Outcome:
    field = next(iter(change.match))
    ids = ", ".join(str(item[RECORD_ID]) for item in found[:5])
    message = f"{len(found)} records have this `{field}` ({ids}): merge them, or match on a field that tells them apart"
    return Outcome(change.seq, Status.REJECTED, None, "ambiguous", message)


# -- answers -----------------------------------------------------------------------------------------


def _path(object_name: str, known: str) -> str:
    return f"/v1/{object_name}/{quote(known, safe='')}"


def _record(response: requests.Response) -> Mapping[str, Any]:
    """The record of a success. Raises UnknownOutcomeError when there is none."""
    body = decode_json(response)
    if not isinstance(body, Mapping) or not body.get(RECORD_ID):
        raise UnknownOutcomeError(
            f"{response.status_code} without a record: Stripe does not say what it did", code="empty"
        )
    return body


def _problem(response: requests.Response) -> Mapping[str, Any]:
    """Stripe's error object; empty where the answer has none, such as an HTML page from what stands before Stripe."""
    problem = json_or_empty(response).get("error")
    return problem if isinstance(problem, Mapping) else {}


def _is_missing(response: requests.Response, sent: Collection[str] = ()) -> bool:
    """True when the record of the path is not there (a deleted customer makes a 400), and not one that is referred to
    by what was sent."""
    problem = _problem(response)
    own = response.status_code == 404 or (response.status_code == 400 and problem.get("param") == RECORD_ID)
    return own and problem.get("code") == "resource_missing" and _named(problem) not in sent


def _reason(problem: Mapping[str, Any], change: Change) -> str:
    """Stripe's words, with the field's name; a value of the record stands in quotes, so that it can be hidden."""
    text, name = str(problem.get("message") or "refused without a reason"), _named(problem)
    value = {**change.match, **change.fields}.get(name)
    if value not in (None, "") and str(value) in text and f"'{value}'" not in text:
        text = text.replace(str(value), f"'{value}'")
    return f"`{name}`: {text}" if name and name not in text else text


def _named(problem: Mapping[str, Any]) -> str:
    """The field that an error is about, as it is called here: `address.city` for `address[city]`."""
    return ".".join(re.findall(r"[^\[\]]+", str(problem.get("param") or "")))


def _root(name: str) -> str:
    return name.partition(".")[0]


def _parts(name: str) -> list[str]:
    """The steps to a field; a metadata key may hold dots."""
    return name.split(".", 1) if _root(name) == METADATA else name.split(".")


def _at(item: Any, name: str) -> Any:
    for part in _parts(name):
        item = item.get(part) if isinstance(item, Mapping) else None
    return item


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The values within a nested one that are there, by their dotted names."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}", inner)
    elif value is not None:
        yield name, value


def _query(object_name: str, field: str, value: str) -> str:
    """A search for one metadata value. Raises FatalError for another field, which cannot find records."""
    head, _, key = field.partition(".")
    if head != METADATA or not key:
        listed = [name for kind, name in _LISTED if kind == object_name]
        known = ", ".join(f"`{name}`" for name in dict.fromkeys([*listed, f"{METADATA}.<key>", RECORD_ID]))
        raise FatalError(f"{object_name} cannot be found by `{field}`: match on one of {known}", code="match")
    return f"{METADATA}[{_quoted(key)}]:{_quoted(value)}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _same(sent: Any, held: Any) -> bool:
    """True when Stripe holds what is sent, though it may write numbers another way and say more of nested values."""
    if isinstance(sent, Mapping):
        return isinstance(held, Mapping) and all(_same(value, held.get(name)) for name, value in sent.items())
    if isinstance(sent, list):
        return isinstance(held, list) and len(sent) == len(held) and all(map(_same, sent, held))
    if sent in (None, "") or held in (None, ""):
        return sent in (None, "") and held in (None, "")
    if isinstance(sent, bool) or isinstance(held, bool):
        return _plain(sent) == _plain(held)
    try:
        return Decimal(str(sent)) == Decimal(str(held))
    except InvalidOperation:
        return str(sent) == str(held)


# -- forms and values --------------------------------------------------------------------------------


def _form(fields: Mapping[str, Any], *, creating: bool) -> list[tuple[str, str]]:
    """The pairs of a form: `address[city]`, `images[0]`. What is to be cleared is left out of a new record, where there
    is nothing to clear and Stripe refuses the empty text."""
    pairs: list[tuple[str, str]] = []
    for name, value in fields.items():
        head, *rest = _parts(name)
        _spread(head + "".join(f"[{part}]" for part in rest), value, pairs)
    return [pair for pair in pairs if pair[1] != ""] if creating else pairs


def _spread(name: str, value: Any, pairs: list[tuple[str, str]]) -> None:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            _spread(f"{name}[{key}]", inner, pairs)
    elif isinstance(value, (list, tuple)) and value:
        for position, inner in enumerate(value):
            _spread(f"{name}[{position}]", inner, pairs)
    else:
        pairs.append((name, "" if value in ([], (), {}) else _plain(value)))


def _encoder(info: FieldInfo) -> Encoder:
    write: Callable[[Any], Any] = _WRITERS.get(info.type, _plain)
    longest = info.max_length

    def encode(value: Any) -> Any:
        if value is None or value in ([], {}):
            return ""
        written = write(value)
        if longest is not None and isinstance(written, str) and len(written) > longest:
            raise ValueError(f"Stripe takes {longest} characters here, and this value has {len(written)}")
        return written

    return encode


def _plain(value: Any) -> str:
    """A value as text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Decimal | float):
        return number_text(value)
    if isinstance(value, datetime):
        return utc_text(value, "auto") + "Z"
    if isinstance(value, date | time):
        return value.isoformat()
    return to_json(value).decode() if isinstance(value, (list, Mapping)) else str(value)


def _integer(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or value != int(value):
        raise ValueError("Stripe takes whole numbers here, such as an amount in cents")
    return int(value)


def _decimal(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        raise ValueError("Stripe takes numbers here")
    return _plain(value)


def _boolean(value: Any) -> Any:
    if not isinstance(value, bool) and value not in ("true", "false"):
        raise ValueError("Stripe takes true or false here")
    return value


def _array(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        raise ValueError("Stripe takes a list here")
    return value if isinstance(value, list) else [_plain(value)]


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("Stripe takes an object here: a struct, a map or JSON")
    return value


def _metadata(value: Any) -> Mapping[str, str]:
    encode = _encoder(FieldInfo(METADATA, "string", max_length=_VALUE_LENGTH))
    return {str(name): encode(inner) for name, inner in _object(value).items()}


_WRITERS: Mapping[str, Callable[[Any], Any]] = {
    "string": _plain,
    "enum": _plain,
    "integer": _integer,
    "decimal": _decimal,
    "number": _decimal,
    "boolean": _boolean,
    "array": _array,
    "object": _object,
    METADATA: _metadata,
}
