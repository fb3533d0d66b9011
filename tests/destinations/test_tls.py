"""Certificates are always checked: nothing but a bundle that somebody names changes which are trusted."""

from __future__ import annotations

import ast
import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import revetl_dbt
from revetl_dbt.destinations.base import FatalError
from revetl_dbt.destinations.http import Http, HttpConfig

from .stub import OpenGate

PACKAGE = Path(revetl_dbt.__file__).parent


class Secure(NamedTuple):
    """An HTTPS server with a certificate that nobody has signed."""

    url: str
    bundle: Path
    asked: list[str]


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    bundle, private = folder / "bundle.pem", folder / "key.pem"
    bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle, private)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Secure(f"https://127.0.0.1:{server.server_address[1]}", bundle, asked)
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, secure: Secure) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    secure.asked.clear()


def post(secure: Secure, **more: object) -> None:
    objects = {"x": {"operations": {"append": {"path": "/x"}}}}
    config = HttpConfig.model_validate({"type": "http", "base_url": secure.url, "objects": objects, **more})
    Http(config, OpenGate()).request("POST", "/x", json={})


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""},
        {"PYTHONHTTPSVERIFY": "0"},
        {"GIT_SSL_NO_VERIFY": "1", "NODE_TLS_REJECT_UNAUTHORIZED": "0"},
    ],
)
def test_a_certificate_that_nobody_vouches_for_is_refused(
    secure: Secure, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(FatalError, match="the certificate is not trusted") as caught:
        post(secure)
    assert caught.value.code == "tls"
    assert secure.asked == []


def test_a_bundle_that_is_named_is_trusted(secure: Secure, monkeypatch: pytest.MonkeyPatch) -> None:
    post(secure, ca_bundle=str(secure.bundle))
    for name in ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(secure.bundle))
        post(secure)
        monkeypatch.delenv(name)
    assert len(secure.asked) == 3


def test_the_output_s_bundle_goes_before_that_of_the_environment(
    secure: Secure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import certifi

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(secure.bundle))
    with pytest.raises(FatalError, match="not trusted"):
        post(secure, ca_bundle=certifi.where())


def test_a_bundle_that_is_not_there_is_named(secure: Secure, tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    with pytest.raises(FatalError, match=f"there is no CA bundle `{missing}`") as caught:
        post(secure, ca_bundle=str(missing))
    assert caught.value.code == "tls"
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    with pytest.raises(FatalError, match="not trusted"):
        post(secure, ca_bundle=str(broken))


@pytest.mark.parametrize("value", [False, 0, "", None])
def test_no_value_of_the_output_switches_the_check_off(secure: Secure, value: object) -> None:
    with pytest.raises((FatalError, ValueError)):
        post(secure, ca_bundle=value)
    assert secure.asked == []


def test_no_code_of_ours_can() -> None:
    """One place makes sessions, and no argument or attribute that would end the check is anywhere."""
    found: list[str] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "verify":
                found.append(f"{name}: verify=")
            if isinstance(node, ast.Attribute):
                called = f"{getattr(node.value, 'id', '')}.{node.attr}"
                if node.attr in {"CERT_NONE", "check_hostname", "verify_mode"} or "unverified" in node.attr:
                    found.append(f"{name}: {called}")
                if called in {
                    "requests.Session",
                    "requests.get",
                    "requests.post",
                    "requests.request",
                    "request.urlopen",
                }:
                    found.append(f"{name}: {called}")
    assert set(found) == {"destinations/transport.py: requests.Session"}
