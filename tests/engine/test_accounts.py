"""Whose account it is, and which sync goes first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr

from revetl_dbt.destinations.base import DestinationConfig, Guards, ObjectType
from revetl_dbt.destinations.http import HttpConfig
from revetl_dbt.engine.link import Link, fingerprint
from revetl_dbt.engine.pacing import Pacer
from revetl_dbt.engine.run import in_order
from revetl_dbt.spec.destinations import Output
from revetl_dbt.spec.models import Source, Sync, SyncSpec

from .fake import Fake

SOURCE = Source("m", "m", "m", None, "s", "m", (), "m.sql")


class Config(DestinationConfig):
    token: SecretStr
    nested: dict[str, SecretStr] = Field(default_factory=dict)


def config(**given: Any) -> Config:
    return Config.model_validate({"type": "crm", "token": "s3cret-token"} | given)


def test_credentials_and_address_tell_accounts_apart() -> None:
    configs = [
        config(),
        config(token="other"),
        config(base_url="https://eu.example.com"),
        config(nested={"a": "x"}),
        config(nested={"a": "y"}),
        config(type="other"),
    ]
    marks = [fingerprint(one) for one in configs]
    assert len(set(marks)) == len(marks)
    assert fingerprint(config()) == marks[0]


def test_tuning_does_not() -> None:
    tuned = config(concurrency=9, requests_per_second=3, daily_requests=7, timeout=1, guards=Guards(max_deletes=1))
    assert fingerprint(tuned) == fingerprint(config())


def test_no_secret_can_be_read_from_a_fingerprint() -> None:
    for one in (config(), config(nested={"a": "s3cret-token"})):
        mark = fingerprint(one)
        assert "s3cret" not in mark
        assert len(mark) == 32
        assert mark.isalnum()


def test_http_credentials_are_told_apart() -> None:
    def marked(token: str) -> str:
        auth = {"type": "bearer", "token": token}
        objects = {"people": {"operations": {"upsert": {"path": "/people"}}}}
        given = {"type": "http", "base_url": "https://x.example.com", "auth": auth, "objects": objects}
        return fingerprint(HttpConfig.model_validate(given))

    assert marked("one") != marked("two")


def sync(name: str, item: str, *looks_up: str, destination: str = "crm") -> Sync:
    fields = {f"F{n}": {"lookup": {"object": other, "match": {"Id": "id"}}} for n, other in enumerate(looks_up)}
    spec = {"destination": destination, "object": item, "key": ("id",), "fields": fields}
    return Sync(name, SyncSpec.model_validate(spec), SOURCE, None, None)


def test_what_others_look_up_goes_first() -> None:
    syncs = [
        sync("deals", "deal", "contact", "account"),
        sync("events", "event"),
        sync("contacts", "contact", "account"),
        sync("more_contacts", "contact"),
        sync("accounts", "account"),
        sync("elsewhere", "account", destination="other"),
    ]
    names = [one.name for one in in_order(syncs, LINKS)]
    assert names == ["more_contacts", "accounts", "elsewhere", "contacts", "deals", "events"]


def test_a_sync_may_look_up_its_own_object() -> None:
    syncs = [sync("people", "person", "person"), sync("others", "other")]
    assert [one.name for one in in_order(syncs, LINKS)] == ["people", "others"]


class _Events(Fake):
    """Every object is known, and the events refer to records of others."""

    def object_type(self, name: str) -> ObjectType:
        return ObjectType(name, {}, refers=name == "event")


_OUTPUT = Output("crm", "dev", Fake, DestinationConfig(type="fake"), Path("destinations.yml"), 1)
LINKS = dict.fromkeys(("crm", "other"), Link(_OUTPUT, _Events(), Pacer()))
