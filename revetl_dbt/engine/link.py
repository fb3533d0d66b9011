"""An open destination: its connector, its pace, whose account it is, what its objects look like."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from revetl_dbt.destinations.base import (
    Account,
    Destination,
    DestinationConfig,
    DestinationError,
    FieldInfo,
    ObjectType,
    QuotaExhaustedError,
    UnauthorizedError,
)
from revetl_dbt.engine.pacing import Pacer
from revetl_dbt.engine.patience import RetryPolicy, ask
from revetl_dbt.spec.destinations import Output
from revetl_dbt.warehouse.store import Store

if TYPE_CHECKING:
    from revetl_dbt.sandbox import Sandbox, SandboxClient


T = TypeVar("T")


@dataclass(slots=True)
class Link:
    """An open destination: connector, pacer and whose account it is."""

    output: Output
    destination: Destination
    pacer: Pacer
    stopped: str | None = None  # why nothing more is sent to it in this run
    _account: Account | None = None
    _described: dict[str, dict[str, FieldInfo]] = field(default_factory=dict)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    slots: threading.BoundedSemaphore = field(init=False)  # batches in flight, of all syncs together
    _asking: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.slots = threading.BoundedSemaphore(self.output.config.concurrency)

    def note(self, error: DestinationError) -> None:
        """Remember what ends the run for the whole destination: no quota left, credentials refused."""
        if isinstance(error, (QuotaExhaustedError, UnauthorizedError)):
            self.stopped = str(error)

    def ask(self, request: Callable[[], T]) -> T:
        """What a request that changes nothing is answered, with the patience of a run. Raises DestinationError."""
        return ask(request, self.destination, self.retry, self.pacer)

    def account(self, store: Store) -> Account:
        """Whose account it is: known from an earlier run with the credentials, else asked. Raises DestinationError."""
        with self._asking:
            if self._account is None:
                mark = fingerprint(self.output.config)
                self._account = store.known_account(mark)
            if self._account is None:
                self._account = self.ask(self.destination.check)
                store.save_account(mark, self._account)
            return self._account

    def described(self, kind: ObjectType) -> dict[str, FieldInfo]:
        """The object's fields by name, asked once a run. Raises DestinationError."""
        if not kind.described:
            return {}
        with self._asking:
            if kind.name not in self._described:
                infos = self.ask(lambda: self.destination.describe(kind.name))
                self._described[kind.name] = {info.name: info for info in infos}
            return self._described[kind.name]


def fingerprint(config: DestinationConfig) -> str:
    """A digest of what picks an account: type, address and credentials; nothing can be read from it."""
    tuning = {"concurrency", "requests_per_second", "daily_requests", "timeout", "guards"}
    parts = [config.type, repr(config.model_dump(exclude=tuning)), *config.secrets()]
    return hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()[:32]


@contextmanager
def open_links(
    outputs: Mapping[str, Output],
    store: Store,
    sandbox_dir: Path,
    stop: threading.Event,
    *,
    setup: Mapping[str, Path] | None = None,
) -> Iterator[dict[str, Link]]:
    """Connectors for the outputs, the local sandbox started where one is asked for; all closed at the end.

    `sandbox_dir` is where the sandbox keeps its state, `setup` names a file a vendor that a sandbox started here loads.
    """
    with ExitStack() as stack:

        @cache
        def sandbox() -> Sandbox | SandboxClient:
            from revetl_dbt.sandbox import attach

            found = attach(sandbox_dir, setup=setup)
            stack.callback(found.close)
            return found

        links: dict[str, Link] = {}
        for name, output in outputs.items():
            config, account = output.config, None
            if config.sandbox:
                # A sandbox may have been thrown away and begun anew: its account is never taken from memory.
                config = config.in_sandbox(sandbox().url(config.type), sandbox().token(config.type))
                account = Account(sandbox().account(config.type) or "sandbox", "sandbox", sandbox().base_url)
            daily = config.daily_requests
            left = None if daily is None else max(0, daily - store.requests_today(name))
            pacer = Pacer(config.requests_per_second, left, stop=stop)
            destination = output.connector(config, pacer)
            stack.callback(destination.close)
            links[name] = Link(output, destination, pacer, None, account)
        yield links
