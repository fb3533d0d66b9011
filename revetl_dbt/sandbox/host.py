"""A running sandbox: mounts the vendors' stand-ins on one loopback server, applies faults and keeps the request log."""

from __future__ import annotations

import atexit
import json
import os
import secrets
import sqlite3
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote

from revetl_dbt.errors import SandboxError
from revetl_dbt.sandbox import faults as fault_rules
from revetl_dbt.sandbox.client import SandboxClient, address_file
from revetl_dbt.sandbox.control import Control
from revetl_dbt.sandbox.faults import Fault, Faults
from revetl_dbt.sandbox.messages import Abort, Reply, Request, Response
from revetl_dbt.sandbox.server import Listener
from revetl_dbt.sandbox.store import LoggedRequest, Store
from revetl_dbt.sandbox.vendor import Failure, Vendor

VENDORS: Mapping[str, str] = {
    "hubspot": "revetl_dbt.sandbox.hubspot:HubSpot",
    "http": "revetl_dbt.sandbox.http:Http",
    "zendesk": "revetl_dbt.sandbox.zendesk:Zendesk",
    "intercom": "revetl_dbt.sandbox.intercom:Intercom",
    "salesforce": "revetl_dbt.sandbox.salesforce:Salesforce",
    "marketo": "revetl_dbt.sandbox.marketo:Marketo",
    "stripe": "revetl_dbt.sandbox.stripe:Stripe",
}
"""Where the stand-in for each vendor is."""

_START_SECONDS = 10.0


class BusyError(SandboxError):
    """Another process serves this state directory, or is about to."""


Watcher = Callable[[str, Request, Response], None]
"""Told of a vendor's name, a request to it and the answer to it (which a fault may keep from arriving)."""

watchers: list[Watcher] = []
"""Who is told of every request that any sandbox of this process gets."""


class Sandbox:
    """Stand-ins for several vendors in a daemon thread of this process, on one loopback port.

    `state_dir` holds everything that it remembers; one server at a time may use it. `port` 0 takes a free one.
    `setup` names a file a
    vendor to load at start, `options` sets what a vendor's Options has, `keep_bodies` keeps request and answer
    bodies in the log, `now`
    is the clock in seconds since 1970.

    Raises SandboxError for a host that is not loopback, a port in use, an unknown vendor or option, or a state
    directory in use.
    """

    def __init__(
        self,
        state_dir: Path | str,
        vendors: Sequence[str] = tuple(VENDORS),
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        setup: Mapping[str, Path] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        keep_bodies: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.state_dir = Path(state_dir)
        self.faults = Faults()
        self.vendors: dict[str, Vendor] = {}
        self._names = tuple(vendors)
        self._address = (host, port)
        self._setup = dict(setup or {})
        self._options = dict(options or {})
        self._keep_bodies = keep_bodies
        self._now = now
        self._closing: ExitStack | None = None

    # -- life ------------------------------------------------------------------------------------

    def start(self) -> Sandbox:
        """Start serving; does nothing when it already serves."""
        if self._closing is not None:
            return self
        classes = {name: _vendor_class(name) for name in self._names}
        with ExitStack() as stack:
            self.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            stack.callback(_lock(self.state_dir).close)
            self.store = Store(self.state_dir / "sandbox.sqlite", self._now)
            stack.callback(self.store.close)
            self._listener = Listener(*self._address, self._answer, self._now)
            stack.callback(self._listener.server_close)
            self.base_url = self._listener.url()
            self.vendors = {name: vendor(self.store, self.base_url) for name, vendor in classes.items()}
            for name, changes in self._options.items():
                self.configure(name, **changes)
            for name, path in self._setup.items():
                self.load_setup(name, path)
            self.identity = secrets.token_hex(8)
            self._control = Control(self)
            threading.Thread(target=self._listener.serve, name="revetl-sandbox", daemon=True).start()
            stack.callback(self._listener.stop)
            stack.callback(self.faults.set, [])
            stack.callback(self._write_address())
            self._closing = stack.pop_all()
        atexit.register(self.close)
        return self

    def close(self) -> None:
        """Stop serving and release the state directory. May be called twice."""
        if self._closing is not None:
            closing, self._closing = self._closing, None
            atexit.unregister(self.close)
            closing.close()

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def description(self) -> dict[str, Any]:
        """What the address file says: pid, identity of this run; per vendor the URL, the token and the account."""
        return {
            "pid": os.getpid(),
            "identity": self.identity,
            "url": self.base_url,
            "urls": {name: self.url(name) for name in self.vendors},
            "tokens": {name: vendor.token() for name, vendor in self.vendors.items()},
            "accounts": {name: vendor.account() for name, vendor in self.vendors.items()},
        }

    def _write_address(self) -> Callable[[], None]:
        path = address_file(self.state_dir)
        draft = path.with_suffix(".tmp")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(self.description(), file, indent=2)
        draft.replace(path)
        return partial(path.unlink, missing_ok=True)

    # -- what a test or a command asks for -------------------------------------------------------------

    def vendor(self, name: str) -> Vendor:
        """The stand-in for a vendor; SandboxError when it is not mounted."""
        if name not in self.vendors:
            raise SandboxError(f"This sandbox has no `{name}`, only {', '.join(self.vendors)}")
        return self.vendors[name]

    def url(self, vendor: str) -> str:
        """Base URL of a vendor's API, without a trailing slash."""
        return f"{self.base_url}/{quote(self.vendor(vendor).name)}"

    def token(self, vendor: str) -> str | None:
        """A secret that the vendor's stand-in accepts; None where it asks for none."""
        return self.vendor(vendor).token()

    def account(self, vendor: str) -> str | None:
        """The account id of the vendor's stand-in; None where the vendor has no such thing."""
        return self.vendor(vendor).account()

    def set_faults(self, rules: Sequence[Fault | Mapping[str, Any]]) -> None:
        """Replace the fault rules; an empty list ends all faults."""
        self.faults.set([rule if isinstance(rule, Fault) else Fault.from_dict(rule) for rule in rules])

    def fault_state(self) -> list[dict[str, Any]]:
        """The fault rules with `seen` and `hits`."""
        return self.faults.state()

    def configure(self, vendor: str, **options: Any) -> None:
        """Change options of a vendor."""
        self.vendor(vendor).configure(options)

    def load_setup(self, vendor: str, path: Path | str) -> None:
        """Load a vendor's setup file."""
        self.vendor(vendor).load_setup(Path(path))

    def requests(self, limit: int = 1000, after: int = 0) -> list[LoggedRequest]:
        """The request log, oldest first."""
        return self.store.requests(limit, after)

    def tally(self) -> list[tuple[str, str, int | None, int, int]]:
        """(method, path, status, requests, records) for each different combination."""
        return self.store.tally()

    def reset(self, requests_only: bool = False) -> None:
        """Forget records, faults and the request log, or only the latter. Account, tokens and properties stay."""
        self.store.reset(requests_only)
        if not requests_only:
            self.faults.set([])
            for vendor in self.vendors.values():
                vendor.reset()

    # -- serving ---------------------------------------------------------------------------------

    def _answer(self, request: Request) -> Reply:
        prefix, _, rest = request.full_path.lstrip("/").partition("/")
        if prefix in ("", "pages", "__sandbox__"):
            return Reply(self._control.handle(request))
        vendor = self.vendors.get(prefix)
        request.path = "/" + rest
        start, at = time.perf_counter(), self.store.now()
        hits = self.faults.take(prefix, request)
        reply, dropped = self._carry_out(vendor, request, hits)
        for watcher in watchers:
            watcher(prefix, request, reply.response)
        self.store.log(
            LoggedRequest(
                n=0,
                at=at,
                vendor=prefix if vendor else None,
                method=request.method,
                path=request.full_path,
                status=None if dropped else reply.response.status,
                ms=(time.perf_counter() - start) * 1000,
                records=request.records,
                fault=", ".join(hit.kind for hit in hits if hit.kind != "poison") or None,
                sent=request.body if self._keep_bodies else None,
                answered=reply.response.encoded() if self._keep_bodies else None,
            )
        )
        if dropped:
            self.faults.hold(dropped)
            raise Abort
        return reply

    def _carry_out(self, vendor: Vendor | None, request: Request, hits: list[Fault]) -> tuple[Reply, Fault | None]:
        """The reply, and the fault that keeps it from being sent."""
        if vendor is None:
            known = ", ".join(f"/{name}" for name in self.vendors)
            return Reply(
                Response(404, {"status": "error", "message": f"The sandbox has nothing here, only {known}"})
            ), None
        for hit in hits:
            if hit.kind == "delay":
                self.faults.hold(hit)
        dropped = next((hit for hit in hits if hit.kind in ("timeout", "reset")), None)
        refused = next(
            (
                hit
                for hit in hits
                if hit.kind in ("status", "expired", "garbage", "timeout", "reset") and not hit.carried_out
            ),
            None,
        )
        if refused:
            return Reply(self._refusal(vendor, refused)), dropped
        request.poisoned = partial(fault_rules.poison, [hit for hit in hits if hit.kind == "poison"])
        undone = any(hit.kind == "empty" and not hit.carried_out for hit in hits)
        reply = Reply(self._handled(vendor, request, undone))
        for hit in hits:
            fault_rules.damage(hit, reply)
        return reply, dropped

    def _refusal(self, vendor: Vendor, fault: Fault) -> Response:
        if fault.kind == "garbage":
            return fault_rules.garbage(fault)
        response = vendor.failure(Failure(fault.status or 401, fault.policy, fault.kind == "expired"))
        response.headers.update(fault.retry_after_header(self._now()))
        return response

    def _handled(self, vendor: Vendor, request: Request, undone: bool) -> Response:
        """The vendor's answer; with `undone` what it stored is taken back."""
        try:
            if not undone:
                return vendor.handle(request)
            with suppress(_Undone), self.store.transaction():
                response = vendor.handle(request)
                raise _Undone
            vendor.reload()
            return response
        except Exception:  # noqa: BLE001 - a bug of ours must reach the test that met it, as an answer
            return Response(
                500, {"status": "error", "message": "The sandbox itself failed", "traceback": traceback.format_exc()}
            )


class _Undone(Exception):  # noqa: N818 - rolls a transaction back
    pass


def _vendor_class(name: str) -> type[Vendor]:
    if name not in VENDORS:
        raise SandboxError(f"There is no sandbox for `{name}`, only for {', '.join(VENDORS)}")
    module, _, attribute = VENDORS[name].partition(":")
    vendor: type[Vendor] = getattr(import_module(module), attribute)
    return vendor


def _lock(state_dir: Path) -> sqlite3.Connection:
    """Hold the state directory until the connection is closed or the process dies, on every platform."""
    connection = sqlite3.connect(state_dir / "server.lock", timeout=0, check_same_thread=False, isolation_level=None)
    try:
        connection.execute("begin exclusive")
    except sqlite3.OperationalError:
        connection.close()
        raise BusyError(
            f"Another process serves the sandbox in {state_dir}. "
            f"Use its address in {address_file(state_dir)}, or stop it"
        ) from None
    return connection


def attach(state_dir: Path | str, **kwargs: Any) -> Sandbox | SandboxClient:
    """The sandbox of a state directory: the one that is running, in whatever process, or else a new one in this
    process.

    `kwargs` are those of Sandbox and used only when one is started. Close what is returned: this stops a sandbox
    that was started here
    and leaves a running one alone.
    """
    deadline = time.monotonic() + _START_SECONDS
    while True:
        client = SandboxClient.find(Path(state_dir))
        if client is not None:
            return client
        try:
            return Sandbox(state_dir, **kwargs).start()
        except BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
