"""What a user declares, as pydantic models: the `config.meta.revetl` block of a dbt model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from revetl_dbt.destinations.base import Guards
from revetl_dbt.errors import Diagnostic
from revetl_dbt.project.yamlfile import Key
from revetl_dbt.spec.problem import Place, Problem

STRICT = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)


class Mode(str, Enum):
    """What a sync does with the rows of its model."""

    UPSERT = "upsert"
    UPDATE = "update"
    CREATE = "create"
    APPEND = "append"
    DELETE = "delete"
    ERASE = "erase"

    @property
    def removes(self) -> bool:
        """True when the rows of the model are the records to remove."""
        return self in (Mode.DELETE, Mode.ERASE)


class OnRemoved(str, Enum):
    """What happens to a record whose row is gone from the model."""

    KEEP = "keep"
    DELETE = "delete"
    ARCHIVE = "archive"
    ERASE = "erase"
    CLEAR = "clear"


class Write(str, Enum):
    """When a field is written."""

    ALWAYS = "always"
    ON_CREATE = "on_create"
    IF_EMPTY = "if_empty"


class Lookup(BaseModel):
    """A reference to another object's record, found by one of its fields."""

    model_config = STRICT

    object: str = Field(description="The object that is referred to")
    match: dict[str, str] = Field(
        min_length=1, max_length=1, description="Its field that finds the record: the column that holds the value"
    )
    if_missing: Literal["reject", "skip", "clear"] = Field("reject", description="What to do when no record is found")


class FieldMapping(BaseModel):
    """Where the value of one destination field comes from: exactly one of `column`, `value`, `sql` and `lookup`."""

    model_config = STRICT

    column: str | None = Field(None, description="A column of the model")
    value: Any = Field(None, description="A constant: text, number, boolean or list")
    sql: str | None = Field(None, description="An SQL expression over the model's columns, evaluated by the warehouse")
    lookup: Lookup | None = Field(None, description="A reference to another object's record")
    if_null: Any = Field(
        "clear", description="For a null value: `clear` the field, `skip` it, or send this value instead"
    )
    write: Write = Field(Write.ALWAYS, description="When the field is written")
    hash: Literal["sha256"] | None = Field(
        None, description="Send the SHA-256 of the value, in hexadecimal, instead of the value; null for what is empty"
    )
    normalise: Literal["text", "phone", "phone_digits"] | None = Field(
        None,
        description="What is hashed: `text` (the default) without space around it and in lower case, `phone` as a plus"
        " sign and digits, `phone_digits` as digits; a phone number needs its country code",
    )


class Rejected(BaseModel):
    """How long a rejected row comes back."""

    model_config = STRICT

    max_attempts: int = Field(10, ge=1, description="Runs after which a rejected row is held until it changes")


class ChangedSince(BaseModel):
    """Which rows of the model a plan looks at: those that are new since the last run that came through."""

    model_config = STRICT

    column: str = Field(description="A column that only grows when a row changes: a date, a timestamp or a number")
    all_every: int = Field(24, ge=1, description="Every so many runs all rows are looked at")


class SyncSpec(BaseModel):
    """One sync, as it stands in a model's `config.meta.revetl.<name>`, defaults filled in."""

    model_config = STRICT

    destination: str = Field(description="A name in destinations.yml")
    object: str = Field(description="What is written there, such as `contacts`")
    mode: Mode = Field(Mode.UPSERT, description="What the sync does with the rows")
    key: tuple[str, ...] = Field(
        description="The columns that identify a row for ever; default: the columns in `match`"
    )
    match: dict[str, str] = Field(
        default_factory=dict, description="The destination field that finds a record: the column that fills it"
    )
    fields: dict[str, FieldMapping] = Field(
        default_factory=dict, description="Destination field: where its value comes from"
    )
    create_fields: bool = Field(False, description="Create custom fields that the destination does not have yet")
    where: str | None = Field(None, description="SQL condition; a row that stops matching counts as removed")
    changed_since: ChangedSince | None = Field(
        None, description="A column that tells which rows are new: most plans then look at those alone"
    )
    skip_unchanged: bool = Field(
        False, description="Do not look at a model that dbt has not rebuilt since everything of it was sent"
    )
    on_removed: OnRemoved = Field(OnRemoved.KEEP, description="What happens to the record of a removed row")
    backfill: Literal["send", "skip"] = Field(
        "send", description="`append` only: send the rows there are, or start from now"
    )
    guards: Guards = Field(default_factory=Guards, description="Limits on the plan")
    rejected: Rejected = Field(default_factory=Rejected, description="How long a rejected row comes back")
    history: Literal["refused", "all"] = Field(
        "refused", description="Rows that the history keeps: those that were refused, or every change with its values"
    )
    renamed_from: str | None = Field(None, description="The sync's former name: its ledger is carried over")
    enabled: bool = Field(True, description="False pauses the sync")
    allow_pii: tuple[str, ...] = Field((), description="Columns marked as personal data that this sync may send")
    ledger: Literal["values", "fingerprint"] = Field(
        "values", description="Keep the values last accepted, or only a fingerprint of each"
    )


@dataclass(frozen=True, slots=True)
class Source:
    """The dbt node that a sync reads: a model, snapshot or seed with a relation."""

    unique_id: str
    name: str
    relation_name: str  # rendered by dbt, quoted as the adapter wants it
    database: str | None
    schema: str
    identifier: str
    columns: tuple[str, ...]  # as far as the YAML names them
    original_file_path: str
    owner: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Sync:
    """A declared sync with the node that it reads and the place of its declaration.

    `places` holds the place of each of its keys, as far as they are known.
    """

    name: str
    spec: SyncSpec
    source: Source
    path: Path | str | None
    line: int | None
    places: Mapping[tuple[Key, ...], Place] = field(default_factory=dict, repr=False, compare=False)

    def place(self, *keys: Key) -> Place:
        """The place of the deepest known of these nested keys of the declaration."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.places:
                return self.places[keys[:length]]
        return Place(self.path, self.line)

    def diagnostic(self, problem: Problem) -> Diagnostic:
        """A problem of this sync, with its file and line."""
        return problem.diagnostic(self.place(*problem.keys), "config", "meta", "revetl", self.name)
