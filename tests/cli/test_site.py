"""`revetl docs generate` and `serve`: one page of HTML that a browser shows, on a phone too."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import urllib.request
from pathlib import Path

import pytest

from revetl_dbt.errors import InputError
from revetl_dbt.report.serve import server

from .test_run import FAULT
from .tiny import Tiny

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PHONE = 400
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def page(tiny: Tiny, booted_once: None) -> Path:
    """The page of a project with a sync that is fine, one that is refused rows, one that is paused and one held."""
    poison = {**FAULT, "kind": "poison", "field": "seats", "equals": "3", "message": "the value '3' of x@y.io"}
    with tiny.sandbox() as sandbox:
        sandbox.set_faults([poison])
        assert tiny.revetl("run", "--sync", "people_to_crm", "people_to_api").exit_code == 1
    written = tiny.revetl("docs", "generate")
    assert written.exit_code == 0, written.output
    assert written.stdout.endswith("index.html: 1 partial, 1 fine, 1 paused, 1 new\n")
    return tiny.state / "index.html"


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<(script|style).*?</\1>", " ", html)))


def test_it_tells_states_fields_runs_and_refusals_without_values(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    text = text_of(html)
    assert text.index("people_to_crm partial") < text.index("people_to_api fine")
    assert "full_name firstname" in text
    assert "cast(id as varchar) tiny_id" in text
    assert "16 created, 4 rejected" in text
    assert "4 0 " in text  # rows refused, and held
    assert "x@y.io" not in html
    assert "example.com" not in html
    assert not re.search(r"""(?:src|href)=["']?https?://""", html)  # nothing is fetched: no network is needed


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_shows_it_on_a_phone(page: Path, tmp_path: Path) -> None:
    html = page.read_text(encoding="utf-8")
    # What the page measures, and what its search leaves, written where --dump-dom shows it.
    probe = """<script>
    find.value = "firstname";
    find.dispatchEvent(new Event("input"));
    const shown = [...document.querySelectorAll(".sync")].filter(card => !card.hidden).map(card => card.id);
    document.title = `${document.documentElement.scrollWidth <= innerWidth} ${shown}`;
    </script></body>"""
    probed = tmp_path / "probed.html"
    probed.write_text(html.replace("</body>", probe), encoding="utf-8")
    browser = [str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={PHONE},800"]
    done = subprocess.run(
        [*browser, "--dump-dom", probed.as_uri()], capture_output=True, text=True, timeout=90, check=False
    )
    assert "<title>true people_to_crm</title>" in done.stdout, done.stdout[:300] + done.stderr[-500:]


def test_it_is_served_to_this_machine_only(tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text("<p>syncs</p>", encoding="utf-8")
    with server(file, 0) as listening:
        assert listening.server_address[0] == "127.0.0.1"
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        base = f"http://127.0.0.1:{listening.server_port}"
        with urllib.request.urlopen(f"{base}/") as answer:
            assert answer.read() == b"<p>syncs</p>"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{base}/../secret")
        with pytest.raises(InputError, match="port-taken"):
            server(file, listening.server_port)
        listening.shutdown()
