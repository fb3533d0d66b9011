"""What a stand-in for one vendor is, for the host that mounts it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

from revetl_dbt.errors import SandboxError
from revetl_dbt.nearest import did_you_mean, listed
from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.store import Store


@dataclass(frozen=True)
class ObjectCount:
    """A line of the overview page: `name` is the part of the path, `title` for people."""

    name: str
    title: str
    records: int
    archived: int


@dataclass(frozen=True)
class Failure:
    """A failure that a fault rule asks for, for the vendor to put in its own words.

    `policy` is the limit that is exhausted, in the vendor's terms; `expired` asks for the answer to an expired token.
    """

    status: int
    policy: str | None = None
    expired: bool = False


class Vendor(ABC):
    """A stand-in: answers requests under its prefix and shows what it holds as pages."""

    name: ClassVar[str]
    title: ClassVar[str]
    Options: ClassVar[type[Any]]
    """A frozen dataclass of what can be set; every field has a default."""

    def __init__(self, store: Store, base_url: str) -> None:
        self.store = store
        self.base_url = base_url  # of the whole server, without a trailing slash
        self.options = replace(self.Options(), **(store.setting(f"options:{self.name}") or {}))

    def configure(self, changes: dict[str, Any]) -> None:
        """Change options; they are kept in the store. Unknown names are errors that name the nearest one."""
        known = {f.name: f for f in fields(self.Options)}
        for key in changes:
            if key not in known:
                hint = did_you_mean(key, known) or f"There are {listed(known)}"
                raise SandboxError(f"The sandbox for {self.title} has no option `{key}`. {hint}")
            default = getattr(self.Options(), key)
            if default is not None and not isinstance(
                changes[key], (int, float) if type(default) is float else type(default)
            ):
                raise SandboxError(f"The option `{key}` of the sandbox for {self.title} must be like `{default!r}`")
        self.options = replace(self.options, **changes)
        self.store.set_setting(f"options:{self.name}", asdict(self.options))

    def load_setup(self, path: Path) -> None:
        """Load what the account holds beyond its defaults; SandboxError where the vendor has no such file."""
        raise SandboxError(f"The sandbox for {self.title} takes no setup file (`{path}`)")

    @abstractmethod
    def token(self) -> str | None:
        """A secret that this stand-in accepts; None where it asks for none."""

    def account(self) -> str | None:
        """The id of the account, the same for a state directory for ever; None where the vendor has none."""
        return None

    @abstractmethod
    def handle(self, request: Request) -> Response:
        """Answer a request under this vendor's prefix."""

    @abstractmethod
    def failure(self, failure: Failure) -> Response:
        """The vendor's own error answer."""

    @abstractmethod
    def objects(self) -> list[ObjectCount]:
        """What it holds, for the overview page."""

    @abstractmethod
    def page(self, request: Request) -> Response:
        """A page under `/pages/{vendor}`; `request.path` is the rest of the path."""

    def reload(self) -> None:  # noqa: B027 - a vendor without a cache has nothing to do
        """Read from the store again what is kept in memory, after a request was taken back."""

    def reset(self) -> None:  # noqa: B027 - nothing to forget is a fine default
        """Forget what is kept in memory, such as rate limit windows; the store is cleared by the host."""
