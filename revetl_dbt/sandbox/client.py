"""A sandbox that runs elsewhere, driven through its control API."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from revetl_dbt.errors import SandboxError

if TYPE_CHECKING:
    from revetl_dbt.sandbox.faults import Fault
    from revetl_dbt.sandbox.store import LoggedRequest


def address_file(state_dir: Path) -> Path:
    """Where a running sandbox writes its address."""
    return state_dir / "server.json"


class SandboxClient:
    """The same questions and orders as Sandbox has, for one in another process or thread."""

    def __init__(self, description: Mapping[str, Any]) -> None:
        self._description = description
        self.base_url = str(description["url"])

    @classmethod
    def find(cls, state_dir: Path) -> SandboxClient | None:
        """The sandbox that serves a state directory; None when there is none, also where a dead one left its
        address behind."""
        try:
            description = json.loads(address_file(state_dir).read_text(encoding="utf-8"))
            client = cls(description)
            alive = client._call("GET", "health")
            same = bool(alive["identity"] == description["identity"])
        except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException, SandboxError):
            return None  # no file, half a file, nobody there, or somebody else
        return client if same else None

    def __enter__(self) -> SandboxClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing to release: the sandbox belongs to another."""

    def url(self, vendor: str) -> str:
        """Base URL of a vendor's API, without a trailing slash."""
        return str(self._of(vendor, "urls"))

    def token(self, vendor: str) -> str | None:
        """A secret that the vendor's stand-in accepts; None where it asks for none."""
        token = self._of(vendor, "tokens")
        return None if token is None else str(token)

    def account(self, vendor: str) -> str | None:
        """The account id of the vendor's stand-in; None where the vendor has no such thing."""
        account = self._of(vendor, "accounts")
        return None if account is None else str(account)

    def _of(self, vendor: str, what: str) -> Any:
        values = self._description[what]
        if vendor not in values:
            raise SandboxError(f"The sandbox at {self.base_url} has no `{vendor}`, only {', '.join(values)}")
        return values[vendor]

    def set_faults(self, rules: Sequence[Fault | Mapping[str, Any]]) -> None:
        """Replace the fault rules; an empty list ends all faults."""
        self._call("POST", "faults", [dict(rule) if isinstance(rule, Mapping) else rule.as_dict() for rule in rules])

    def fault_state(self) -> list[dict[str, Any]]:
        """The fault rules with `seen` and `hits`."""
        state: list[dict[str, Any]] = self._call("GET", "faults")["faults"]
        return state

    def configure(self, vendor: str, **options: Any) -> None:
        """Change options of a vendor."""
        self._call("POST", f"options/{quote(vendor, safe='')}", options)

    def load_setup(self, vendor: str, path: Path | str) -> None:
        """Load a vendor's setup file, which the other process must be able to read."""
        self._call("POST", f"setup/{quote(vendor, safe='')}", {"path": str(Path(path).absolute())})

    def requests(self, limit: int = 1000, after: int = 0) -> list[LoggedRequest]:
        """The request log, oldest first."""
        from revetl_dbt.sandbox.store import LoggedRequest

        lines = self._call("GET", f"requests?limit={limit}&after={after}")["requests"]
        return [
            LoggedRequest(**{k: v.encode() if k in ("sent", "answered") else v for k, v in line.items()})
            for line in lines
        ]

    def tally(self) -> list[tuple[str, str, int | None, int, int]]:
        """(method, path, status, requests, records) for each different combination."""
        return [tuple(row) for row in self._call("GET", "requests?limit=0")["tally"]]

    def reset(self, requests_only: bool = False) -> None:
        """Forget records, faults and the request log, or only the latter."""
        self._call("POST", "reset", {"requests_only": requests_only})

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        address = urlsplit(self.base_url)
        connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=10)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, f"/__sandbox__/{path}", data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            result = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise SandboxError(str(result.get("message", result)))
        return result
