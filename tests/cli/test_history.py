"""`revetl history` and `revetl show`: what runs did, and one row from the model to the tool."""

from __future__ import annotations

import json

import pytest

from .test_run import FAULT
from .tiny import FILES, Tiny

CRM, API = ("run", "--sync", "people_to_crm"), ("run", "--sync", "people_to_api")
pytestmark = pytest.mark.usefixtures("booted_once")


def keep_everything(tiny: Tiny) -> None:
    """`history: all` for the sync to the CRM, in the YAML and in the manifest that dbt made of it."""
    yml = FILES["models/models.yml"].replace("on_removed: archive", "on_removed: archive\n            history: all")
    path = tiny.folder / "target" / "manifest.json"
    manifest = json.loads(path.read_text())
    node = manifest["nodes"]["model.tiny.people"]
    for meta in (node["config"]["meta"], node.get("meta", {})):
        if "revetl" in meta:
            meta["revetl"]["people_to_crm"]["history"] = "all"
    tiny.write("models/models.yml", yml)
    path.write_text(json.dumps(manifest))


def test_runs_are_listed_and_every_change_of_a_row(tiny: Tiny) -> None:
    keep_everything(tiny)
    poison = {**FAULT, "kind": "poison", "field": "seats", "equals": "77", "message": "seats of x@y.io are refused"}
    assert "Nothing is written down yet" in tiny.revetl("history").stderr
    with tiny.sandbox() as sandbox:
        tiny.revetl(*CRM)
        tiny.sql("update people set seats = 99, full_name = 'Jane' where id = 3")
        tiny.revetl(*CRM)
        tiny.sql("update people set seats = 77 where id = 3")
        sandbox.set_faults([poison])
        tiny.revetl(*CRM)
        sandbox.set_faults([])
        tiny.sql("delete from people where id = 3")
        tiny.revetl(*CRM)

        runs = json.loads(tiny.revetl("history", "--output", "json").stdout)
        assert [(run["status"], run["created"], run["updated"], run["deleted"]) for run in runs] == [
            ("success", 0, 0, 1),
            ("partial", 0, 0, 0),
            ("success", 0, 1, 0),
            ("success", 20, 0, 0),
        ]
        text = tiny.revetl("history", "--limit", "1").stdout
        assert "success  people_to_crm: 1 deleted, 19 unchanged" in text
        one = json.loads(tiny.revetl("history", "--run", runs[2]["run_id"], "--output", "json").stdout)
        assert one == [runs[2]]

        events = json.loads(tiny.revetl("history", "--key", "3", "--output", "json", "--show-values").stdout)
        changed = {(item["action"], item["field"]): (item["old"], item["new"]) for item in events}
        assert changed[("delete", None)] == (None, None)
        assert changed[("update", "seats")] == ("3", "99")
        assert changed[("update", "firstname")] == ("Name 3", "Jane")
        assert ("update", "email") not in changed
        assert changed[("create", "email")] == (None, "person3@example.com")
        (refused,) = [item for item in events if item["status"] == "rejected"]
        assert refused["attempt"] == 1
        assert "x@y.io" in refused["message"]
    hidden = tiny.revetl("history", "--key", "3").stdout
    assert "Jane" not in hidden
    assert "x@y.io" not in hidden
    assert "are refused" not in hidden
    assert "    seats  (hidden) -> (hidden)" in hidden
    assert "people_to_crm: update rejected, attempt 1" in hidden
    assert "Nothing is written down of key `none`" in tiny.revetl("history", "--key", "none").stderr


def test_only_refusals_are_kept_unless_everything_is_asked_for(tiny: Tiny) -> None:
    with tiny.sandbox():
        tiny.revetl(*CRM)
    assert tiny.sql("select count(*) from main_revetl.revetl_changes") == [(0,)]


def test_a_row_is_shown_from_the_model_to_the_tool(tiny: Tiny) -> None:
    poison = {**FAULT, "kind": "poison", "field": "seats", "equals": "77", "message": "seats of x@y.io are refused"}
    with tiny.sandbox() as sandbox:
        before = tiny.revetl("show", "3", "--sync", "people_to_crm").stdout
        assert "  accepted   never\n  next run   create\n" in before
        tiny.revetl("run", "--sync", "people_to_crm", "people_to_api")
        tiny.sql("update people set seats = 77 where id = 3")
        sandbox.set_faults([poison])
        tiny.revetl(*CRM)
        shown = tiny.revetl("show", "3")
        looks = json.loads(tiny.revetl("show", "3", "--output", "json", "--show-values").stdout)
        crm, api, paused = looks
        unknown = tiny.revetl("show", "999")
    assert shown.exit_code == 0, shown.stderr
    assert "person3" not in shown.stdout
    assert "  refused    update rejected once, the last " in shown.stdout
    assert "    seats  (hidden) -> (hidden)" in shown.stdout
    assert "  next run   nothing to do" in shown.stdout  # of the other sync
    assert crm["accepted"]["standing"] == "sent"
    assert crm["accepted"]["values"]["email"] == "person3@example.com"
    assert crm["accepted"]["id"]
    assert crm["planned"] == [
        {"operation": "update", "reason": None, "fields": [{"name": "seats", "old": "3", "new": "77"}]}
    ]
    assert api["sync"] == "people_to_api"
    assert api["planned"] == []
    assert (paused["paused"], paused["accepted"], crm["paused"]) == (True, None, False)
    assert unknown.exit_code == 1
    assert "No sync knows a row with key `999`" in unknown.stderr
