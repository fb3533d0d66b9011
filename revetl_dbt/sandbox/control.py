"""The sandbox's own paths: `/__sandbox__/...` for tests and other processes, `/` and `/pages/...` for people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from revetl_dbt.errors import SandboxError
from revetl_dbt.sandbox import page
from revetl_dbt.sandbox.messages import BadRequest, Request, Response, Router
from revetl_dbt.sandbox.store import as_json

if TYPE_CHECKING:
    from revetl_dbt.sandbox.host import Sandbox


class Control:
    """Answers what is addressed to the sandbox and not to a vendor. None of it is in the request log."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._router = Router()
        add = self._router.add
        add("GET", "/__sandbox__/health", lambda _: Response(data=sandbox.description()))
        add("GET", "/__sandbox__/faults", lambda _: Response(data={"faults": sandbox.fault_state()}))
        add("POST", "/__sandbox__/faults", self._order(lambda _, body: sandbox.set_faults(_rules(body))))
        add("GET", "/__sandbox__/requests", self._requests)
        add(
            "POST",
            "/__sandbox__/reset",
            self._order(lambda _, body: sandbox.reset(bool(body.get("requests_only")))),
        )
        add(
            "POST",
            "/__sandbox__/options/{vendor}",
            self._order(lambda request, body: sandbox.configure(request.params["vendor"], **body)),
        )
        add(
            "POST",
            "/__sandbox__/setup/{vendor}",
            self._order(lambda request, body: sandbox.load_setup(request.params["vendor"], Path(body.get("path", "")))),
        )
        add("GET", "/", lambda _: page.overview(sandbox))
        add("GET", "/pages/{vendor}{rest...}", self._vendor_page)

    def handle(self, request: Request) -> Response:
        """Answer a request; mistakes become answers that say what was wrong."""
        handler = self._router.find(request)
        if not callable(handler):
            return Response(
                405 if handler else 404, {"message": f"The sandbox has no {request.method} {request.full_path}"}
            )
        try:
            return handler(request)
        except SandboxError as error:
            return Response(400, {"message": str(error)})
        except BadRequest as error:
            return Response(400, {"message": f"The body is not JSON: {error.detail}"})

    def _order(self, act: Callable[[Request, Any], None]) -> Callable[[Request], Response]:
        """A handler for a JSON order. It insists on the content type, which a page of another origin cannot
        send unasked."""

        def handler(request: Request) -> Response:
            if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
                return Response(415, {"message": "Orders to the sandbox must have the content type `application/json`"})
            body = request.json() if request.body else {}
            if not isinstance(body, dict):
                body = {"faults": body}  # a bare list of rules
            act(request, body)
            return Response(data={"status": "ok"})

        return handler

    def _requests(self, request: Request) -> Response:
        limit, after = _number(request, "limit", 1000), _number(request, "after", 0)
        entries = self._sandbox.requests(limit, after)
        return Response(data={"requests": [as_json(entry) for entry in entries], "tally": self._sandbox.tally()})

    def _vendor_page(self, request: Request) -> Response:
        vendor = self._sandbox.vendor(request.params["vendor"])
        request.path = request.full_path.removeprefix("/pages/").partition("/")[2]
        return vendor.page(request)


def _number(request: Request, name: str, default: int) -> int:
    text = request.first(name) or str(default)
    if not text.isdigit():
        raise SandboxError(f"`{name}` must be a number, not `{text}`")
    return int(text)


def _rules(body: Any) -> list[Any]:
    """The fault rules of a body: a list, or an object that holds it under `faults`."""
    rules = body.get("faults")
    if not isinstance(rules, list):
        raise SandboxError("Fault rules must be a list of objects")
    return rules
