"""A sandbox's life: state that lasts, the address file, attaching, the control API."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests

from revetl_dbt.errors import SandboxError
from revetl_dbt.sandbox import Sandbox, SandboxClient, attach

from .conftest import Hub, upsert_input


def _process(state_dir: Path, *arguments: str) -> subprocess.Popen[str]:
    """A sandbox in a process of its own, once it serves."""
    command = [sys.executable, "-m", "revetl_dbt.sandbox", "--state-dir", str(state_dir), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Sandbox at http://127.0.0.1:")
    return process


def test_records_account_token_and_properties_outlive_a_restart(tmp_path: Path) -> None:
    with Sandbox(tmp_path) as sandbox:
        hub = Hub(sandbox)
        hub.define(name="plan", hasUniqueValue=True)
        record_id = hub.create(email="ada@example.com", plan="p1")
        kept = (sandbox.account("hubspot"), sandbox.token("hubspot"))
        logged = len(sandbox.requests())
    with Sandbox(tmp_path) as sandbox:
        hub = Hub(sandbox)
        assert (sandbox.account("hubspot"), sandbox.token("hubspot")) == kept
        assert hub.values(record_id, "email", "plan") == {"email": "ada@example.com", "plan": "p1"}
        assert hub.post("/crm/v3/objects/contacts", {"properties": {"plan": "p1"}}).status_code == 400
        assert len(sandbox.requests()) == logged + 2


def test_accounts_of_two_state_directories_differ(tmp_path: Path) -> None:
    with Sandbox(tmp_path / "a") as one, Sandbox(tmp_path / "b") as two:
        assert one.account("hubspot") != two.account("hubspot")
        assert one.token("hubspot") != two.token("hubspot")


def test_a_kill_loses_nothing_that_was_answered_and_keeps_no_half_batch(tmp_path: Path) -> None:
    process = _process(tmp_path)
    client = SandboxClient.find(tmp_path)
    assert client is not None
    headers = {"Authorization": f"Bearer {client.token('hubspot')}"}
    url = client.url("hubspot") + "/crm/v3/objects/contacts/batch/upsert"
    answered = 0
    with requests.Session() as session:
        for batch in range(1000):
            body = {"inputs": [upsert_input(f"u{batch}-{n}@example.com", firstname=str(n)) for n in range(50)]}
            try:
                assert session.post(url, json=body, headers=headers, timeout=5).status_code == 200
            except requests.ConnectionError:
                break
            answered += 1
            if answered == 10:  # it dies while the next batches are under way
                threading.Timer(0.03, process.kill).start()
    assert process.wait(5) == -signal.SIGKILL
    assert (tmp_path / "server.json").exists()
    with attach(tmp_path) as again:  # the address that was left behind is recognised as stale
        assert isinstance(again, Sandbox)
        stored, _ = again.store.counts("hubspot")["contacts"]
        assert answered >= 10
        assert stored in (50 * answered, 50 * (answered + 1))


def test_another_process_is_found_used_and_left_alone(tmp_path: Path) -> None:
    process = _process(tmp_path, "--vendor", "hubspot")
    with attach(tmp_path) as sandbox:
        assert isinstance(sandbox, SandboxClient)
        sandbox.configure("hubspot", daily=7)
        sandbox.set_faults([{"kind": "status", "status": 503, "path": "*/details"}])
        url = sandbox.url("hubspot") + "/account-info/v3/details"
        headers = {"Authorization": f"Bearer {sandbox.token('hubspot')}"}
        assert requests.get(url, headers=headers, timeout=5).status_code == 503
        assert sandbox.fault_state()[0]["hits"] == 1
        sandbox.set_faults([])
        answer = requests.get(url, headers=headers, timeout=5)
        assert answer.headers["X-HubSpot-RateLimit-Daily"] == "7"
        assert sandbox.account("hubspot") == str(answer.json()["portalId"])
        assert [entry.status for entry in sandbox.requests()] == [503, 200]
        assert sandbox.tally() == [("GET", "/hubspot/account-info/v3/details", status, 1, 0) for status in (200, 503)]
        with pytest.raises(SandboxError, match=r"has no `http`, only hubspot"):
            sandbox.url("http")
        sandbox.reset()
        assert sandbox.requests() == []
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    assert not (tmp_path / "server.json").exists()


def test_attach_starts_one_and_stops_it(tmp_path: Path) -> None:
    with attach(tmp_path, vendors=("http",)) as sandbox:
        assert isinstance(sandbox, Sandbox)
        with attach(tmp_path) as second:
            assert isinstance(second, SandboxClient)
            assert second.url("http") == sandbox.url("http")
        assert requests.get(sandbox.base_url, timeout=5).status_code == 200
    assert SandboxClient.find(tmp_path) is None


def test_the_address_file_is_for_its_owner_only(sandbox: Sandbox) -> None:
    path = sandbox.state_dir / "server.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == sandbox.description()
    assert json.loads(path.read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("left", ["", "{", "[]", '{"url": "http://127.0.0.1:9", "identity": "x"}', '{"url": 3}'])
def test_a_broken_or_stale_address_file_is_no_sandbox(tmp_path: Path, left: str) -> None:
    (tmp_path / "server.json").write_text(left)
    assert SandboxClient.find(tmp_path) is None
    with attach(tmp_path, vendors=("http",)) as sandbox:
        assert isinstance(sandbox, Sandbox)


def test_an_address_that_now_belongs_to_another_is_no_sandbox(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text(json.dumps({**sandbox.description(), "identity": "an earlier run"}))
    assert SandboxClient.find(tmp_path) is None


def test_one_server_a_state_directory(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="Another process serves the sandbox"):
        Sandbox(sandbox.state_dir).start()
    assert requests.get(sandbox.base_url, timeout=5).status_code == 200


def test_starting_and_closing_twice_is_harmless(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, vendors=("http",))
    assert sandbox.start() is sandbox.start()
    sandbox.close()
    sandbox.close()
    with sandbox:
        assert requests.get(sandbox.base_url, timeout=5).status_code == 200


def test_closing_ends_open_connections_at_once(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, vendors=("http",)).start()
    session = requests.Session()
    assert session.get(sandbox.base_url, timeout=5).status_code == 200
    start = time.perf_counter()
    sandbox.close()
    assert time.perf_counter() - start < 2
    with pytest.raises(requests.ConnectionError):
        session.get(sandbox.base_url, timeout=5)


def test_unknown_vendor_option_and_value_are_named(tmp_path: Path, sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match=r"no sandbox for `pipedrive`, only for hubspot, http"):
        Sandbox(tmp_path / "x", vendors=("pipedrive",)).start()
    with pytest.raises(SandboxError, match=r"no option `search_lagg`. Did you mean `search_lag`"):
        sandbox.configure("hubspot", search_lagg=1.0)
    with pytest.raises(SandboxError, match=r"`enforce_limits` .* must be like `False`"):
        sandbox.configure("hubspot", enforce_limits="yes")
    with pytest.raises(SandboxError, match="no time zone `Mars/Olympus`"):
        sandbox.configure("hubspot", time_zone="Mars/Olympus")
    with pytest.raises(SandboxError, match="has no `x`, only hubspot, http"):
        sandbox.url("x")
    with pytest.raises(SandboxError, match="takes no setup file"):
        sandbox.load_setup("http", tmp_path / "x.yml")


def test_an_unwritable_state_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "sandbox.sqlite").mkdir()
    with pytest.raises(SandboxError, match=r"cannot use its state file .*sandbox.sqlite"):
        Sandbox(tmp_path).start()
    (tmp_path / "sandbox.sqlite").rmdir()
    with Sandbox(tmp_path, vendors=("http",)):  # the failed start left nothing held
        assert SandboxClient.find(tmp_path) is not None


def test_the_log_counts_requests_and_records(tmp_path: Path) -> None:
    with Sandbox(tmp_path, keep_bodies=True) as sandbox:
        hub = Hub(sandbox)
        hub.batch("upsert", [upsert_input("a@example.com"), upsert_input("b@example.com")])
        hub.batch("upsert", [upsert_input("c@example.com")])
        (path, *_), *_ = [entry[1:] for entry in sandbox.tally()]
        assert path == "/hubspot/crm/v3/objects/contacts/batch/upsert"
        assert sandbox.tally() == [("POST", path, 200, 2, 3)]
        first, second = sandbox.requests()
        assert (first.n, first.vendor, first.method, first.path, first.status, first.records) == (
            1,
            "hubspot",
            "POST",
            path,
            200,
            2,
        )
        assert json.loads(first.sent or b"")["inputs"][0]["id"] == "a@example.com"
        assert json.loads(second.answered or b"")["status"] == "COMPLETE"
        assert sandbox.requests(after=1) == [second]
        sandbox.reset(requests_only=True)
        assert sandbox.requests() == []
        assert sandbox.store.counts("hubspot") == {"contacts": (3, 0)}


def test_bodies_are_not_kept_unless_asked_for(hub: Hub) -> None:
    hub.create(email="ada@example.com")
    assert [(entry.sent, entry.answered) for entry in hub.sandbox.requests()] == [(None, None)]


def test_reset_forgets_records_and_faults_but_not_the_account(hub: Hub) -> None:
    sandbox = hub.sandbox
    account = sandbox.account("hubspot")
    hub.define(name="plan")
    hub.create(email="ada@example.com", plan="x")
    sandbox.set_faults([{"kind": "expired"}])
    sandbox.reset()
    assert (sandbox.fault_state(), sandbox.requests(), sandbox.store.counts("hubspot")) == ([], [], {})
    assert sandbox.account("hubspot") == account
    hub.create(email="ada@example.com", plan="x")


def test_orders_need_the_json_content_type(sandbox: Sandbox) -> None:
    url = sandbox.base_url + "/__sandbox__/reset"
    assert requests.post(url, data="{}", headers={"Content-Type": "text/plain"}, timeout=5).status_code == 415
    assert requests.post(url, json={}, timeout=5).json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "faults", "{", 400, "not JSON"),
        ("POST", "faults", "3", 400, "must be a list"),
        ("POST", "faults", '[{"kind": "statuss"}]', 400, "Did you mean `status`"),
        ("POST", "faults", '[{"kind": "status", "status": 500, "pathh": "x"}]', 400, "Did you mean `path`"),
        ("POST", "options/hubspot", '{"x": 1}', 400, "no option `x`"),
        ("POST", "options/nobody", "{}", 400, "has no `nobody`"),
        ("GET", "requests?limit=many", None, 400, "`limit` must be a number"),
        ("DELETE", "requests", None, 405, "no DELETE"),
        ("GET", "nothing", None, 404, "no GET"),
    ],
)
def test_mistaken_orders_are_explained(
    sandbox: Sandbox, method: str, path: str, body: str | None, status: int, message: str
) -> None:
    url = f"{sandbox.base_url}/__sandbox__/{path}"
    response = requests.request(method, url, data=body, headers={"Content-Type": "application/json"}, timeout=5)
    assert response.status_code == status
    assert message in response.json()["message"]


def test_the_process_explains_why_it_cannot_start(sandbox: Sandbox, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "revetl_dbt.sandbox", "--state-dir"]
    busy = subprocess.run([*command, str(sandbox.state_dir)], capture_output=True, text=True, timeout=20)
    assert (busy.returncode, busy.stdout) == (2, "")
    assert "Another process serves the sandbox" in busy.stderr
    missing = subprocess.run(
        [*command, str(tmp_path / "y"), "--setup", f"hubspot={tmp_path / 'no.yml'}"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert missing.returncode == 2
    assert "cannot read its setup file" in missing.stderr


def test_importing_the_package_loads_no_server() -> None:
    script = "import sys, revetl_dbt.sandbox; sys.exit('http.server' in sys.modules or 'yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=20).returncode == 0
