"""Bulk imports of leads and custom objects: files, a queue, and what became of their rows ("Bulk Import").

What the pages do not say is decided here so that a careless client shows: an empty cell leaves a value as it is, and a
column with an unknown name is ignored (as the example with ` vin` shows).
"""

from __future__ import annotations

import csv
import email
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from revetl_dbt.sandbox.marketo.account import VENDOR, Account
from revetl_dbt.sandbox.marketo.errors import ApiError, RowError, page, success
from revetl_dbt.sandbox.marketo.leads import Leads, refuse_whole
from revetl_dbt.sandbox.marketo.objects import Objects
from revetl_dbt.sandbox.marketo.schema import Kind
from revetl_dbt.sandbox.marketo.values import kept
from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.store import Record

MAX_FILE = 10_000_000
RUNNING, QUEUED = 2, 10
_KEPT = 7 * 86_400_000  # milliseconds for which a batch id is valid
_DELIMITERS = {"csv": ",", "tsv": "\t", "ssv": ";"}
_OPEN = ("Queued", "Importing")


@dataclass
class Tally:
    """What became of the rows of a file: the rows with a reason at their end, by what it is."""

    processed: int
    failures: list[list[str]]
    warnings: list[list[str]]


class Imports:
    """The endpoints of imports, and the queue behind them. `seconds` is how long an import takes."""

    def __init__(self, account: Account, leads: Leads, objects: Objects) -> None:
        self._account, self._leads, self._objects = account, leads, objects
        self.seconds = 0.0

    # -- endpoints -------------------------------------------------------------------------------

    def submit(self, request: Request) -> Response:
        """POST bulk/v1/leads.json, or bulk/v1/customobjects/{name}/import.json."""
        kind = self._kind(request)
        parameters, content = _upload(request)
        form = str(parameters.get("format", "csv")).lower()
        if form not in _DELIMITERS:
            raise ApiError("1003", f"Invalid value for 'format': {form}")
        course = None if kind.custom else self._leads.course({**parameters, **_action(parameters)})
        rows = list(csv.DictReader(io.StringIO(content, newline=""), delimiter=_DELIMITERS[form]))
        poisons = refuse_whole([request.poisoned(row) for row in rows])
        if len([job for job in self._jobs().values() if job["status"] in _OPEN]) >= QUEUED:
            raise ApiError("1016", "Too many imports queued")
        number = self._account.store.next_number("marketo:import", 1, 1_001)
        job = {
            "kind": kind.key,
            "format": form,
            "lookup": course.lookup if course else None,
            "partition": course.partition if course else None,
            "list": parameters.get("listId"),
            "status": "Queued",
            "created": self._account.store.now(),
            "poisons": {str(n): poison.message for n, poison in enumerate(poisons) if poison},
        }
        self._keep(number, job)
        self._account.store.define(VENDOR, "file", "rows", content, str(number))
        request.records = len(rows)
        own = {"objectApiName": kind.path.rpartition("/")[2]} if kind.custom else {"importId": str(number)}
        return success([{"batchId": number, **own, "status": "Queued"}])

    def status(self, request: Request) -> Response:
        """GET bulk/v1/leads/batch/{id}.json, or customobjects/{name}/import/{id}/status.json."""
        kind, job = self._kind(request), self._job(request)
        number = int(request.params["id"])
        counts = job.get("counts", {"processed": 0, "failed": 0, "warned": 0})
        shown: dict[str, Any] = {"batchId": number, "status": job["status"]}
        if kind.custom:
            shown |= {"operation": "import", "objectApiName": kind.path.rpartition("/")[2]}
            shown |= {"numOfObjectsProcessed": counts["processed"]}
        else:
            shown |= {"importId": str(number), "numOfLeadsProcessed": counts["processed"]}
        shown |= {"numOfRowsFailed": counts["failed"], "numOfRowsWithWarning": counts["warned"]}
        return success([{**shown, **({"message": job["message"]} if "message" in job else {})}])

    def reasons(self, request: Request) -> Response:
        """GET .../failures.json and .../warnings.json: a file, and 404 where there is none."""
        self._job(request)
        which = "failures" if request.path.endswith("failures.json") else "warnings"
        found = self._account.store.definitions(VENDOR, "file", request.params["id"]).get(which)
        if found is None:
            return page(404, "Not Found")
        return Response(200, body=found.encode(), content_type="text/csv;charset=utf-8")

    # -- the queue -------------------------------------------------------------------------------

    def advance(self) -> None:
        """Let the queue go on, as far as the clock allows: two imports at once, in the order of their arrival."""
        now = self._account.store.now()
        running = 0
        for number, job in self._jobs().items():
            if job["status"] == "Queued" and running < RUNNING:
                job |= {"status": "Importing", "started": now}
                self._keep(number, job)
            if job["status"] == "Importing" and now >= job["started"] + self.seconds * 1000:
                self._run(number, job)
            running += job["status"] == "Importing"

    def _run(self, number: int | str, job: dict[str, Any]) -> None:
        content = self._account.store.definitions(VENDOR, "file", str(number))["rows"]
        tally = self._import(job, content)
        header = next(csv.reader(io.StringIO(content, newline=""), delimiter=_DELIMITERS[job["format"]]), [])
        for which, reason, lines in (
            ("failures", "Import Failure Reason", tally.failures),
            ("warnings", "Import Warning Reason", tally.warnings),
        ):
            if lines:
                text = _written([[*header, reason], *lines], _DELIMITERS[job["format"]])
                self._account.store.define(VENDOR, "file", which, text, str(number))
        failed, warned = len(tally.failures), len(tally.warnings)
        words = f"{tally.processed} records imported ({tally.processed} members)"
        job["message"] = (
            f"Import completed with errors, {words}, {failed} failed" if failed else f"Import succeeded, {words}"
        )
        if warned:
            job["message"] += f", {warned} warning."
        job["counts"] = {"processed": tally.processed, "failed": failed, "warned": warned}
        job["status"] = "Complete"
        self._keep(number, job)

    def _import(self, job: Mapping[str, Any], content: str) -> Tally:
        kind = self._account.kind(str(job["kind"]))
        assert kind is not None
        tally = Tally(0, [], [])
        delimiter = _DELIMITERS[str(job["format"])]
        for number, row in enumerate(csv.DictReader(io.StringIO(content, newline=""), delimiter=delimiter)):
            cells = [str(value) for value in row.values() if value is not None]
            try:
                message = job["poisons"].get(str(number))
                if message:
                    raise RowError("1003", message)
                given = {name: value for name, value in row.items() if name in kind.fields and value}
                record = self._write(kind, job, given)
                tally.processed += 1
            except RowError as error:
                tally.failures.append([*cells, _words(kind, row, error)])
                continue
            if not kind.custom and _bad_address(kind, record):
                tally.warnings.append([*cells, "Invalid email address"])
        return tally

    def _write(self, kind: Kind, job: Mapping[str, Any], row: Mapping[str, Any]) -> Record:
        if kind.custom:
            if any(not row.get(name) for name in kind.dedupe):
                raise RowError("1002", "missing.dedupe.fields")
            record, _ = self._objects.write(kind, row, "createOrUpdate", kind.dedupe, source="List import")
            return record
        course = self._leads.course({"lookupField": job["lookup"], "partitionName": job["partition"]}, lenient=True)
        if course.lookup == "id":
            course = self._leads.course({"lookupField": "id", "action": "updateOnly"}, lenient=True)
        record, _ = self._leads.write(row, course)
        if job["list"]:
            now = self._account.store.now()
            key = f"lists/{self._account.defined('list', str(job['list']))['id']}"
            self._account.save(key, Record(record.id, {}, now, now), {"leadId": int(record.id)}, "List import")
        return record

    # -- parts -----------------------------------------------------------------------------------

    def _kind(self, request: Request) -> Kind:
        name = request.params.get("custom")
        found = self._account.kind(f"customObjects/{name}" if name else "leads")
        if found is None:
            raise ApiError("1013", f"Object '{name}' not found")
        return found

    def _jobs(self) -> dict[str, dict[str, Any]]:
        return self._account.store.definitions(VENDOR, "job")

    def _job(self, request: Request) -> dict[str, Any]:
        job = self._jobs().get(request.params["id"])
        if job is None or self._account.store.now() > job["created"] + _KEPT:
            raise ApiError("1013", f"Batch {request.params['id']} not found")
        return job

    def _keep(self, number: int | str, job: Mapping[str, Any]) -> None:
        self._account.store.define(VENDOR, "job", str(number), job)


def _action(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {"action": "updateOnly" if parameters.get("lookupField") == "id" else "createOrUpdate"}


def _upload(request: Request) -> tuple[dict[str, str], str]:
    """The parameters, of the URL and of the form, and the text of the file. ApiError 613 and 1002."""
    content_type = request.headers.get("content-type", "")
    if not content_type.startswith("multipart/form-data"):
        raise ApiError("612", "Invalid Content Type")
    message = email.message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + request.body)
    if not message.is_multipart():
        raise ApiError("613", "Invalid Multipart Request")
    parameters = {name: values[0] for name, values in request.query.items()}
    content = None
    for name, text in _parts(message):
        if name == "file":
            content = text
        else:
            parameters[name] = text
    if content is None:
        raise ApiError("1002", "Missing value for the required parameter 'file'")
    return parameters, content


def _parts(message: Any) -> Iterator[tuple[str, str]]:
    for part in message.get_payload():
        name = part.get_param("name", header="content-disposition")
        yield str(name), (part.get_payload(decode=True) or b"").decode("utf-8-sig", "replace")


def _written(lines: Sequence[Sequence[str]], delimiter: str) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(lines)
    return text.getvalue()


def _words(kind: Kind, row: Mapping[str, Any], error: RowError) -> str:
    """Why a row failed, in the words of the failure files."""
    if error.code != "1001":
        return error.message
    for name, value in row.items():
        field = kind.fields.get(name)
        try:
            if field is not None:
                kept(field, value)
        except RowError as problem:
            if problem.code == "1001":
                return f"Invalid data type in field {field.label if field else name}"
    return error.message


def _bad_address(kind: Kind, record: Record) -> bool:
    try:
        kept(kind.fields["email"], record.properties.get("email"))
    except RowError:
        return True
    return False
