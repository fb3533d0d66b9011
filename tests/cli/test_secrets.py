"""Secrets and personal values are planted wherever they could leak from, and looked for wherever they could leak to.

A vendor quotes the credentials and the whole record in every message. Neither may be in any line, error or artifact, at
any log level; secrets may not be in the warehouse either. What the history says of whole runs is without values too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from destinations.stub import Answer, Asked, Stub, serving

from revetl_dbt.destinations.http import Http

from .tiny import Tiny

pytestmark = pytest.mark.usefixtures("booted_once")

TOKEN = "tok-4f9a.PLANTED/secret+one="  # in an environment variable that dbt calls secret
HEADER = "hdr-77aa:PLANTED secret two"  # in clear in destinations.yml
SECRETS = [TOKEN, HEADER, "PLANTED"]
PERSON = {
    "full_name": "Zyxwin Quortle",
    "email": "zyx.quortle@example.net",
    "phone": "+49 171 5550199",
    "born": "1987-03-04",
    "note": "hiv-positiv",
    "ssn": "078051120",
}
VALUES = ["Zyxwin", "Quortle", "quortle", "5550199", "1987-03-04", "hiv", "078051120"]
DESTINATIONS = """\
api:
  outputs:
    dev:
      type: http
      base_url: %s
      error: error
      auth:
        type: headers
        headers: {Authorization: "Bearer {{ env_var('DBT_ENV_SECRET_API') }}", X-Key: "%s"}
      objects:
        batch:
          match: [id]
          operations:
            upsert: {path: /batch, body: array, response: {results: ., error: error.message, id: id}}
        single:
          match: [id]
          operations: {upsert: {path: "/single/{id}", method: PUT}}
        forbidden:
          match: [id]
          operations: {upsert: {path: /forbidden, body: array}}
"""
FIELDS = {name: {"column": name} for name in PERSON}
SYNCS: dict[str, dict[str, Any]] = {
    name: {
        "destination": "api",
        "object": name,
        "match": {"id": "id"},
        "fields": FIELDS,
        "rejected": {"max_attempts": 2},
    }
    for name in ("batch", "single", "forbidden")
} | {
    "broken": {
        "destination": "api",
        "object": "batch",
        "match": {"id": "id"},
        "fields": {"n": {"sql": "cast(full_name as integer)"}},
    }
}


def quoting(asked: Asked) -> Answer:
    """Refuses everything, and quotes all that it knows."""
    if not asked.body:
        return Answer(200, {})
    record = asked.json[0] if isinstance(asked.json, list) else asked.json
    person = (
        f"{record.get('full_name')} <{record.get('email')}> {record.get('phone')}, born {record.get('born')},"
        f" {record.get('note')}, number {record.get('ssn')}"
    )
    headers = f"{asked.headers['Authorization']} and {asked.headers['X-Key']}"
    message = f"Record of {person} was refused; you sent {headers}"
    if asked.path == "/batch":
        return Answer(200, [{"id": item["id"], "error": {"message": message}} for item in asked.json])
    body = {"error": message, "record": record}
    return Answer(403 if asked.path == "/forbidden" else 422, body, {"Content-Type": "application/json"})


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving() as running:
        running.answer(quoting)
        yield running


@pytest.fixture
def leaky(tiny: Tiny, stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A project with one person, whose rows go to a vendor that quotes them."""
    monkeypatch.setenv("DBT_ENV_SECRET_API", TOKEN)
    tiny.write("destinations.yml", DESTINATIONS % (stub.url, HEADER))
    columns = ", ".join(f"'{value}' as {name}" for name, value in PERSON.items())
    tiny.sql("drop table people", f"create table people as select 1 as id, {columns}")
    path = tiny.folder / "target" / "manifest.json"
    manifest = json.loads(path.read_text())
    for name, node in manifest["nodes"].items():
        if node["resource_type"] == "model":
            node["config"]["meta"]["revetl"] = node["meta"]["revetl"] = SYNCS if name == "model.tiny.people" else {}
    path.write_text(json.dumps(manifest))
    return tiny


def leaks(text: str, words: list[str]) -> list[str]:
    return [word for word in words if word.casefold() in text.casefold()]


def files(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.name, path.read_bytes().decode("utf-8", "replace")


def warehouse(tiny: Tiny) -> dict[str, str]:
    """Our own tables, each as one text."""
    tables = tiny.sql("select table_name from information_schema.tables where table_schema = 'main_revetl'")
    return {name: str(tiny.sql(f"select * from main_revetl.{name}")) for (name,) in tables}


def test_nothing_leaks(leaky: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    said: dict[str, str] = {}

    def revetl(*arguments: str) -> None:
        result = leaky.revetl(*arguments)
        said[" ".join(arguments)] = result.stdout + result.stderr
        for name, text in files(leaky.state):
            assert leaks(text, SECRETS + VALUES) == [], (arguments, name)

    once = ("--retry-attempts", "1", "--no-gate")
    revetl("plan", "--log-level", "debug")
    revetl("run", *once, "--log-level", "debug")
    revetl("run", *once, "--log-format", "json", "--debug")
    revetl("run", *once, "--log-level", "warn")  # rows are held now
    revetl("retry", *once, "--debug", "--log-format", "json")
    revetl("state", "show", "--output", "json")
    revetl("debug", "--debug")
    for status in ("422 Unprocessable Entity: Record of (hidden)", "403 Forbidden: Record of (hidden)"):
        assert status in said[" ".join(("run", *once, "--log-level", "debug"))]

    for command, text in said.items():
        assert leaks(text, SECRETS + VALUES) == [], f"{command}: {text}"
    tables = warehouse(leaky)
    for name, text in tables.items():
        assert leaks(text, SECRETS) == [], name
        if not name.startswith(("ledger__", "rejected__", "plan__", "results__")) and name != "revetl_outcomes":
            assert leaks(text, VALUES) == [], name
    # The history keeps what the vendor said of a row, beside the row itself.
    assert leaks(tables["revetl_outcomes"], ["Zyxwin Quortle", "was refused"])

    shown = leaky.revetl("run", *once, "--show-values", "--full-refresh")
    assert leaks(shown.stderr, ["Zyxwin Quortle"])
    assert leaks(shown.stderr, SECRETS) == []


@pytest.mark.parametrize("flags", [(), ("--debug",), ("--debug", "--log-format", "json")], ids=" ".join)
def test_nor_does_a_bug(leaky: Tiny, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]) -> None:
    def write(self: Http, batch: object) -> None:
        try:
            raise KeyError(f"no '{PERSON['full_name']}' for {TOKEN}")
        except KeyError as error:
            raise RuntimeError(f"cannot send {PERSON['email']} with {HEADER}") from error

    monkeypatch.setattr(Http, "write", write)
    result = leaky.revetl("run", "--sync", "single", "--no-gate", *flags)
    assert result.exit_code == 2, result.stderr
    assert "Unexpected RuntimeError" in result.stderr
    assert leaks(result.stdout + result.stderr, SECRETS + VALUES) == []
    assert ("in write" in result.stderr) == ("--debug" in flags)
    assert ("KeyError" in result.stderr) == ("--debug" in flags)
