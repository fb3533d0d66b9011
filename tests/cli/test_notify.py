"""Who is told of what: channels in notifications.yml, GitHub's annotations and summary, plans as comments."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from shop import Shop

from .test_run import FAULT
from .tiny import Tiny

CRM = ("run", "--sync", "people_to_crm")


class Channels:
    """A server on loopback that keeps what is posted to it; `status` is its answer."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        self.credentials: list[str | None] = []
        self.answered = threading.Event()  # what it says beside its status comes after this
        self.answered.set()

    @contextmanager
    def serving(self) -> Iterator[str]:
        own = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                own.posts.append((self.path, json.loads(body)))
                own.credentials.append(self.headers["Authorization"])
                self.send_response(own.status)
                self.send_header("Content-Length", "0" if own.answered.is_set() else "1")
                self.end_headers()
                own.answered.wait()

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            self.answered.set()
            server.shutdown()
            server.server_close()

    def events(self, path: str = "/hook") -> list[str]:
        return [body["event"] for at, body in self.posts if at == path]


@pytest.fixture
def channels() -> Channels:
    return Channels()


@pytest.mark.usefixtures("booted_once")
def test_one_message_a_change_and_none_in_between(tiny: Tiny, channels: Channels) -> None:
    poison = {**FAULT, "kind": "poison", "field": "seats", "equals": "3", "message": "the value '3' of x@y.io"}
    with channels.serving() as url, tiny.sandbox() as sandbox:
        tiny.write(
            "notifications.yml",
            f"""\
everything: {{outputs: {{dev: {{type: webhook, url: "{url}/hook"}}}}}}
sales: {{outputs: {{dev: {{type: slack, url: "{url}/slack", events: [partial]}}}}}}
office: {{outputs: {{dev: {{type: teams, url: "{url}/teams", events: [recovery]}}}}}}
elsewhere: {{outputs: {{dev: {{type: webhook, url: "{url}/else", owners: [somebody@example.com]}}}}}}
production: {{outputs: {{prod: {{type: webhook, url: "{url}/prod"}}}}}}
""",
        )
        assert tiny.revetl(*CRM).exit_code == 0
        assert channels.posts == []  # what was fine and is fine is no change
        tiny.sql("update people set seats = 3 where id < 5")
        sandbox.set_faults([poison])
        assert tiny.revetl(*CRM).exit_code == 1
        assert tiny.revetl(*CRM).exit_code == 1
        sandbox.set_faults([])
        tiny.sql("delete from people where id > 2")
        assert tiny.revetl(*CRM).exit_code == 1  # a guard holds the removals
        assert tiny.revetl(*CRM, "--release", "people_to_crm").exit_code == 0
    assert channels.events() == ["partial", "held", "recovery"]
    assert channels.events("/else") == []
    assert channels.events("/prod") == []
    (slack,) = [body for path, body in channels.posts if path == "/slack"]
    assert "people_to_crm was a partial success (dev)" in slack["text"]
    assert "people -&gt; crm.contacts" in slack["text"]
    assert "x@y.io" not in json.dumps(channels.posts)
    (card,) = [body["attachments"][0]["content"] for path, body in channels.posts if path == "/teams"]
    assert card["body"][0]["text"] == "🟢 people_to_crm works again (dev)"


@pytest.mark.usefixtures("booted_once")
def test_what_does_not_arrive_is_told_and_fails_nothing(tiny: Tiny, channels: Channels) -> None:
    channels.status = 500
    tiny.sql("insert into people select 1, 'again@example.com', 'Again', 1")
    with channels.serving() as url:
        tiny.write("notifications.yml", f'all: {{outputs: {{dev: {{type: webhook, url: "{url}/secret-path"}}}}}}\n')
        tiny.sql("delete from people")
        held = tiny.revetl("run", "--sync", "people_to_api", "--vars", "{}")
        assert held.exit_code in (0, 1)
        tiny.sql("drop table people")
        failed = tiny.revetl("run", "--sync", "people_to_api")
    assert failed.exit_code == 1
    assert "Channel `all` could not be told that people_to_api failed (dev): it answered 500" in failed.stderr
    assert "secret-path" not in failed.stderr


@pytest.mark.usefixtures("booted_once")
def test_a_channel_holds_up_no_run_and_gets_no_credentials(
    tiny: Tiny, channels: Channels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login eve password pw\n")
    monkeypatch.setenv("NETRC", str(netrc))
    channels.answered.clear()
    with channels.serving() as url:
        tiny.write("notifications.yml", f'all: {{outputs: {{dev: {{type: webhook, url: "{url}/hook"}}}}}}\n')
        tiny.sql("drop table people")
        failed = tiny.revetl("run", "--sync", "people_to_api")
    assert channels.events() == ["failure"]
    assert "could not be told" not in failed.stderr
    assert channels.credentials == [None]


class TestFile:
    @pytest.mark.parametrize(
        ("text", "code", "words"),
        [
            ("- a", "wrong-type", "not a mapping of channels"),
            ("a: {}", "wrong-type", "has no `outputs`"),
            ("a: {outputs: {dev: 1}}", "wrong-type", "not a mapping"),
            ("a: {outputs: {dev: {type: slak, url: 'https://x'}}}", "invalid-value", "slack"),
            ("a: {outputs: {dev: {type: slack, url: 'http://example.com/x'}}}", "invalid-value", "https://"),
            ("a: {outputs: {dev: {type: slack, url: \"{{ env_var('NOT_SET') }}\"}}}", "env-var-missing", "NOT_SET"),
            ("a: {outputs: {dev: {type: slack, url: 'https://x', owner: []}}}", "unknown-key", "owners"),
        ],
    )
    def test_what_is_wrong_is_told(self, shop: Shop, text: str, code: str, words: str) -> None:
        shop.write("notifications.yml", text)
        (problem,) = shop.problems()
        assert problem.code == code
        assert words in problem.render()
        assert str(problem.path) == "notifications.yml"

    @pytest.mark.parametrize("owner", ["sales", "Sales@Example.com"])
    def test_channels_follow_the_owner_of_the_group(self, shop: Shop, owner: str) -> None:
        shop.write(
            "notifications.yml", f"a: {{outputs: {{dev: {{type: slack, url: 'https://x', owners: ['{owner}']}}}}}}"
        )
        (channel,) = shop.load().channels
        source = shop.load().syncs[0].source
        from dataclasses import replace

        assert channel.concerns(replace(source, group="sales", owner="sales@example.com"), "failure")
        assert not channel.concerns(replace(source, group="support", owner=None), "failure")
        assert not channel.concerns(source, "failure")


@pytest.mark.usefixtures("booted_once")
def test_github_shows_what_failed_at_its_declaration(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tiny.folder.parent))
    done = tiny.revetl(
        "run", "--sync", "repeated_to_api", "--no-gate", GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary)
    )
    (line,) = done.stdout.splitlines()
    declared = f"{tiny.folder.name}/models/models.yml"
    assert line.startswith(f"::warning title=WARN sync repeated_to_api,file={declared},line=")
    assert line.endswith("::2 invalid%0Acannot be sent: 2 duplicate key")
    assert "| ⚠️ | `repeated_to_api` | api.people | 2 invalid |" in summary.read_text(encoding="utf-8")


@pytest.mark.usefixtures("booted_once")
def test_a_plan_is_a_comment_without_values(tiny: Tiny) -> None:
    tiny.revetl(*CRM)
    tiny.sql("update people set seats = 99, email = email where id = 3", "delete from people where id = 4")
    text = tiny.revetl("plan", "--format", "markdown", "--sync", "people_to_crm").stdout
    assert text.startswith("<!-- revetl plan -->\n### revetl plan for target `dev`\n")
    assert "| `people_to_crm` | crm.contacts |  | 1 | 1 |  |  | 18 |" in text
    assert "- Changed fields: `seats` (1)" in text
    assert "example.com" not in text
    nothing = tiny.revetl("plan", "--output", "markdown", "--sync", "paused_to_api").stdout
    assert "Nothing to send." in nothing
