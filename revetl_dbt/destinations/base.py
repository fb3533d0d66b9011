"""The contract of a connector.

A connector turns a batch of changes into requests, and responses into exactly one outcome a change. It never sleeps,
loops over retries, prints, logs records or reads the environment: batching, concurrency, pacing, retries, bisecting,
dry run and recording belong to the engine.

    Destination
        Config                     what destinations.yml may say (pydantic): types, secrets, help, JSON Schema
        objects()                  what can be written without asking the network
        object_type(name)          the same for one name, custom objects included
        check()                    the cheapest authenticated call; says whose account this is
        describe(object)           the fields there are
        encoder(column, field)     how a typed value is written
        write(batch)               one outcome a change, or a classified error for the whole batch
        submit(batch), poll(...)   the same through the vendor's asynchronous jobs, where it has them
        create_field(object, ...)  a custom field that is not there yet
        read(object, ...)          what the destination holds now
"""

from __future__ import annotations

import builtins
import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, ClassVar, NamedTuple, Protocol, overload

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, WithJsonSchema
from typing_extensions import Self

from revetl_dbt.errors import RevetlError


class Operation(str, Enum):
    """What a batch asks the vendor to do with each of its records."""

    UPSERT = "upsert"  # create it, or update the one that matches
    UPDATE = "update"  # update the one that matches; never create
    CREATE = "create"  # create it; there is none yet
    APPEND = "append"  # add an event, message or task; never touched again
    DELETE = "delete"  # remove as a user of the tool would
    ARCHIVE = "archive"  # put away so that the tool can bring it back
    ERASE = "erase"  # remove for good, beyond the tool's own bin


class Status(str, Enum):
    """What became of one change at the destination."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    UNCHANGED = "unchanged"  # accepted, and the vendor says that nothing differed
    ACCEPTED = "accepted"  # accepted, and the vendor does not say whether it was created or updated
    REJECTED = "rejected"  # the vendor refuses this record; `message` says why
    MISSING = "missing"  # no record matches an update or a delete; the engine decides what follows
    RETRY = "retry"  # refused for a passing reason (a row lock, say); the engine sends it again
    UNKNOWN = "unknown"  # the vendor may or may not have accepted it

    @property
    def accepted(self) -> bool:
        """True when the destination now holds what was sent."""
        return self in _ACCEPTED


_ACCEPTED = frozenset({Status.CREATED, Status.UPDATED, Status.DELETED, Status.UNCHANGED, Status.ACCEPTED})


class Change(NamedTuple):
    """One record to write.

    `seq` names the change within its plan and its outcome. `match` maps match fields, `fields` the other fields, to
    encoded values; `id` is the destination's id for the record where it is known. `key` holds the model's key values,
    unencoded.
    """

    seq: int
    key: tuple[Any, ...]
    match: Mapping[str, Any]
    fields: Mapping[str, Any]
    id: str | None = None


class Reference(NamedTuple):
    """A field value that names another record: the one of `object` whose field `match` holds `value` (encoded)."""

    object: str
    match: str
    value: Any


class Rendered(NamedTuple):
    """One record to write that the warehouse has written as JSON text, match fields included."""

    seq: int
    id: str | None
    record: str


Sendable = Change | Rendered


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes for one object and operation, within the limits; `namespace` is unique to sync and account."""

    object: str
    operation: Operation
    changes: Sequence[Change]
    namespace: uuid.UUID

    def idempotency_key(self, change: Change) -> str:
        """The same key whenever the same content is sent for the same record of this sync, and only then."""
        content = repr((self.operation.value, change.key, sorted(change.match.items()), sorted(change.fields.items())))
        return str(uuid.uuid5(self.namespace, content))

    def batch_key(self) -> str:
        """An idempotency key of the request as a whole."""
        return str(uuid.uuid5(self.namespace, "\n".join(self.idempotency_key(change) for change in self.changes)))


class Outcome(NamedTuple):
    """What became of one change: `code` and `message` are the vendor's, `id` is the destination's id of the record."""

    seq: int
    status: Status
    id: str | None = None
    code: str | None = None
    message: str | None = None


class AllAlike(Sequence[Outcome]):
    """The outcomes of a batch of which every change came to the same accepted status, none with an id.

    A connector may return it in place of a list: a vendor that takes whole batches costs nothing for each record then.
    """

    __slots__ = ("changes", "status")

    def __init__(self, changes: Sequence[Sendable], status: Status) -> None:
        self.changes = changes
        self.status = status

    def __len__(self) -> int:
        return len(self.changes)

    @overload
    def __getitem__(self, index: int) -> Outcome: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Outcome]: ...

    def __getitem__(self, index: int | slice) -> Outcome | Sequence[Outcome]:
        if isinstance(index, slice):
            return AllAlike(self.changes[index], self.status)
        return Outcome(self.changes[index].seq, self.status)


@dataclass(frozen=True, slots=True)
class Pending:
    """A vendor's job that is not finished: ask again after so many seconds."""

    seconds: float


class ColumnType(str, Enum):
    """Logical type of a column or expression, the same for all adapters, and the Python type of its values."""

    TEXT = "text"  # str
    INTEGER = "integer"  # int
    DECIMAL = "decimal"  # decimal.Decimal
    FLOAT = "float"  # float
    BOOLEAN = "boolean"  # bool
    DATE = "date"  # datetime.date
    TIMESTAMP = "timestamp"  # datetime.datetime without zone: UTC by convention
    TIMESTAMPTZ = "timestamptz"  # datetime.datetime with zone
    TIME = "time"  # datetime.time
    NESTED = "nested"  # list or dict: arrays, structs, maps, JSON


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A field as described: `type` is the vendor's word, `options` the values that it accepts (None: any).

    `unique`: records can be found by it. `conclusive`: more than that, the vendor refuses a second record with the same
    value, and read() finds a record by it from the moment that it is there, not through a search index that lags: a
    record whose answer was lost and that is not found can be sent again.
    """

    name: str
    type: str
    label: str | None = None
    required: bool = False
    writable: bool = True
    unique: bool = False
    conclusive: bool = False
    options: tuple[str, ...] | None = None
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one batch may hold: records, and bytes of its encoded values (None: no limit known)."""

    records: int
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Bulk:
    """The vendor's asynchronous jobs for one operation: what one job may hold, and from how many changes of a plan on
    they are used in place of `write` (0: always)."""

    limits: Limits
    threshold: int = 0


@dataclass(frozen=True, slots=True)
class ObjectType:
    """What can be done with one object of a destination.

    `operations` maps each operation that the vendor can do to its batch limits; `unsupported` says in words why another
    cannot be done and what to do instead. `idempotent` are those operations that may be sent twice without harm.
    `match_fields` are the fields that can find a record (None: the vendor's description tells, or any).
    `partial_updates`: an update may leave out fields. `reads`: read() works. `described`: describe() knows the fields,
    so that names can be checked. `bulk` are the operations that have asynchronous jobs: submit() and poll() work.
    `creates_fields`: create_field() works. `references`: a field may hold a `Reference`, which the vendor resolves.
    """

    name: str
    operations: Mapping[Operation, Limits]
    idempotent: frozenset[Operation] = frozenset()
    match_fields: tuple[str, ...] | None = None
    composite_match: bool = False
    match_ignores_case: bool = False
    partial_updates: bool = True
    reads: bool = False
    described: bool = False
    bulk: Mapping[Operation, Bulk] = field(default_factory=dict)
    creates_fields: bool = False
    references: bool = False
    refers: bool = False  # its records belong to those of other objects (memberships, events), whose syncs go first
    ordered: bool = False  # requests must arrive one after the other
    label: str | None = None
    unsupported: Mapping[Operation, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Account:
    """Whose account the credentials open: `id` identifies it for ever, `name` and `url` are for people."""

    id: str
    name: str | None = None
    url: str | None = None


class Found(NamedTuple):
    """A record of the destination: its id, the match value that found it, its fields as the vendor returns them."""

    id: str
    match: Any
    fields: Mapping[str, Any]


Encoder = Callable[[Any], Any]
"""Turns one value (None included) into the vendor's representation of it; raises ValueError when it has none."""


class DestinationError(RevetlError):
    """A request failed as a whole.

    `code` is the vendor's own word for it, `request_id` what its support asks for, `retry_after` the seconds that it
    asks to wait.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after


class RetryableError(DestinationError):
    """Certainly not accepted, and worth sending again."""


class RateLimitedError(RetryableError):
    """Refused because of too many requests: the whole destination slows down."""


class UnauthorizedError(DestinationError):
    """The credentials were refused. The engine renews them once (`Destination.renew`) and then gives up."""


class QuotaExhaustedError(DestinationError):
    """No request will be accepted for long (a daily quota): the destination stops, the rest waits for the next run."""


class FatalError(DestinationError):
    """Nothing of this sync can succeed until a person changes something (scope, object, permission)."""


class BatchRejectedError(DestinationError):
    """The whole batch was refused because of some of its records: the engine bisects it until each stands alone."""


class UnknownOutcomeError(DestinationError):
    """The request left, and nothing says whether it was accepted (time-out, reset, 5xx, unreadable or empty 2xx)."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What rate-limit headers say: requests still allowed in this window, and seconds until it starts anew."""

    remaining: int
    resets_after: float


class Gate(Protocol):
    """The engine's pacing, as a connector's transport sees it."""

    def acquire(self) -> None:
        """Wait until one more request may leave. Raises QuotaExhaustedError when the day's budget is used up."""

    def observe(self, budget: Budget) -> None:
        """Follow what the vendor said of its limits."""


def _limit(value: Any) -> Any:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    share = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value) if isinstance(value, str) else None
    if not is_count and (share is None or float(share[1]) > 100):
        raise ValueError("expected a number of rows, such as 100, or a share from 0% to 100%, such as 5%")
    return value


Limit = Annotated[
    int | str,
    BeforeValidator(_limit),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\d+(\.\d+)?\s*%$"}]}),
]
"""A number of rows, or a share of the ledger such as `5%`."""


class Guards(BaseModel):
    """Limits on a plan, checked before the first request: a number of rows, or a share of the ledger such as `5%`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    max_creates: Limit | None = Field(None, description="Hold the sync when more rows would be created")
    max_updates: Limit | None = Field(None, description="Hold the sync when more rows would be updated")
    max_deletes: Limit | None = Field(None, description="Hold the deletes when more rows would be deleted")
    max_changes: Limit | None = Field(None, description="Hold the sync when more rows would change")
    min_rows: int | None = Field(None, ge=0, description="Hold the sync when the model has fewer rows")


class DestinationConfig(BaseModel):
    """What every output in destinations.yml may say, whatever its type."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    type: str = Field(description="The destination type")
    sandbox: bool = Field(False, description="Send to the local sandbox instead of the vendor; no credentials needed")
    base_url: str | None = Field(None, description="Send to this URL instead of the vendor's own")
    concurrency: int = Field(
        4, ge=1, le=64, description="Requests in flight at once, shared by all syncs of the destination"
    )
    requests_per_second: float | None = Field(None, gt=0, description="Upper bound of requests a second")
    daily_requests: int | None = Field(None, ge=1, description="Upper bound of requests a day (UTC)")
    timeout: float = Field(
        60.0, gt=0, description="Seconds to wait for an answer, which must be whole after ten times as long"
    )
    ca_bundle: str | None = Field(None, description="File of CA certificates to trust instead of the system's")
    guards: Guards = Field(default_factory=Guards, description="Guards of all syncs that do not set their own")

    def secrets(self) -> list[str]:
        """Every secret value, for redaction."""
        found: list[str] = []
        _collect_secrets(self, found)
        return found

    def problems(self, target: str) -> Iterable[str]:  # noqa: ARG002
        """Why this output must not serve the dbt target, in sentences: live credentials in a target for development,
        say."""
        return ()

    def warnings(self) -> Iterable[str]:
        """What the user should know of these settings, in sentences: an authentication that the vendor will end,
        say."""
        return ()

    def in_sandbox(self, url: str, token: str | None) -> Self:  # noqa: ARG002
        """The same settings for the sandbox at `url`, which accepts `token` (None: it asks for none).

        Override where there are credentials: those of the vendor must not leave for the sandbox.
        """
        return self.model_copy(update={"base_url": url})


def _collect_secrets(value: Any, found: list[str]) -> None:
    if isinstance(value, SecretStr):
        found.append(value.get_secret_value())
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            _collect_secrets(getattr(value, name), found)
    elif isinstance(value, Mapping):
        for item in value.values():
            _collect_secrets(item, found)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _collect_secrets(item, found)


class Destination(ABC):
    """Base of every connector; one instance per configured destination and run, used by several threads at once."""

    type: ClassVar[str]
    Config: ClassVar[builtins.type[DestinationConfig]]

    def __init__(self, config: Any, gate: Gate) -> None:
        """`config` is a validated instance of `Config`; `gate` is asked before every request."""
        self.config = config
        self.gate = gate

    @abstractmethod
    def objects(self) -> Sequence[ObjectType]:
        """The objects that can be written, as far as they are known without a request."""

    def object_type(self, name: str) -> ObjectType | None:
        """The object with this name, or None. Override where names are open (custom objects); makes no request."""
        return next((item for item in self.objects() if item.name == name), None)

    @abstractmethod
    def check(self) -> Account:
        """The cheapest authenticated call. Raises a DestinationError when the credentials or the host are wrong."""

    def describe(self, object: str) -> Sequence[FieldInfo]:  # noqa: A002 - the field's own word
        """The fields of an object. Raises FatalError when there is no such object. Only where `described`."""
        raise NotImplementedError(f"{self.type} does not describe its objects")

    def describe_field(self, object: str, name: str) -> FieldInfo | None:  # noqa: A002, ARG002
        """A field that can be written though describe() does not list it (an association, say); None: there is none."""
        return None

    def create_field(self, object: str, name: str, column: ColumnType) -> FieldInfo:  # noqa: A002
        """Create the custom field `name` that fits a column's type. Only where `creates_fields`.

        Raises a DestinationError when the destination refuses it.
        """
        raise NotImplementedError(f"{self.type} cannot create fields")

    def encoder(self, column: ColumnType, info: FieldInfo | None) -> Encoder | None:  # noqa: ARG002
        """How values of a column are written into a field (`info`: as described, where it is). None: as they are."""
        return None

    @abstractmethod
    def write(self, batch: Batch) -> Iterable[Outcome]:
        """Send a batch; answer with exactly one outcome a change, in any order.

        Raises a DestinationError when the batch failed as a whole.
        """

    def submit(self, batch: Batch, started: Callable[[str], None]) -> None:
        """Hand a batch to the vendor's asynchronous jobs. Only for operations in `ObjectType.bulk`.

        Calls `started` exactly once, with all that poll() needs to find the job again in another process (its id: no
        secret, no personal data): as soon as that is known, and before the vendor begins to work on it where that is a
        request of its own. Raises a DestinationError as `write` does.
        """
        raise NotImplementedError(f"{self.type} has no asynchronous jobs")

    def poll(self, batch: Batch, job: str) -> Iterable[Outcome] | Pending:
        """One outcome a change of a batch whose job has ended, or how long to wait for that.

        `batch` holds the changes that were submitted, in that order, also when another process submitted them. A job
        that never began, or that no longer exists, makes its changes RETRY or UNKNOWN. Raises a DestinationError when
        the vendor cannot be asked now.
        """
        raise NotImplementedError(f"{self.type} has no asynchronous jobs")

    def takes_json(self, object: str, operation: Operation) -> bool:  # noqa: A002, ARG002
        """True when `write_json` writes the same as `write` would: records of typed values, without vendor encoding."""
        return False

    def write_json(self, object: str, operation: Operation, records: Sequence[Rendered]) -> Iterable[Outcome]:  # noqa: A002
        """As `write`, for records that are JSON text already. Only where `takes_json`."""
        raise NotImplementedError(f"{self.type} does not take records as JSON text")

    def read(self, object: str, match: str, values: Sequence[Any], fields: Sequence[str]) -> Iterable[Found]:  # noqa: A002
        """The records whose field `match` has one of `values` (encoded, at most 100). Only where `reads`.

        Raises a DestinationError: FatalError where the destination does not tell, whenever it is asked.
        """
        raise NotImplementedError(f"{self.type} cannot be read back")

    def renew(self) -> bool:
        """Renew the credentials after a 401, where they can be renewed; True when it is worth trying again."""
        return False

    def record_url(self, object: str, id: str) -> str | None:  # noqa: A002, ARG002
        """Where a person sees the record in the tool."""
        return None

    def app_url(self) -> str | None:
        """Where a person opens the tool, as far as the settings tell; makes no request."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Release connections."""
