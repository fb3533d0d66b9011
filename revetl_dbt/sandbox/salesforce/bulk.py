"""Bulk API 2.0 ingest: jobs whose data is a CSV file and whose results are three.

"Bulk API 2.0 and Bulk API Developer Guide": "Create a Job", "Upload Job Data", "Get Job ... Record Results", "Prepare
CSV Files", "Limits". Salesforce works on a job in batches of 10,000 rows; those beyond the daily allocation of batches
are in no result.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, cast

from revetl_dbt.sandbox.messages import Request, Response
from revetl_dbt.sandbox.salesforce import shapes
from revetl_dbt.sandbox.salesforce.collections import external_id, manner
from revetl_dbt.sandbox.salesforce.errors import ApiError, not_found
from revetl_dbt.sandbox.salesforce.fields import Field
from revetl_dbt.sandbox.salesforce.ids import record_id
from revetl_dbt.sandbox.salesforce.objects import ObjectType
from revetl_dbt.sandbox.salesforce.org import VENDOR, Org
from revetl_dbt.sandbox.salesforce.records import Mode, Poison, Records, Row, WholeBatchError
from revetl_dbt.sandbox.salesforce.values import moment_text

Operation = Literal["insert", "update", "upsert", "delete", "hardDelete"]
OPERATIONS = ("insert", "update", "upsert", "delete", "hardDelete")
DELIMITERS = {"COMMA": ",", "TAB": "\t", "PIPE": "|", "SEMICOLON": ";", "CARET": "^", "BACKQUOTE": "`"}
BATCH_ROWS = 10_000
MAX_BYTES = 150 * 1024 * 1024 * 3 // 4  # of a file, which is encoded in base64 on arrival
_AT_ONCE = 2_000
_CSV = "text/csv; charset=UTF-8"
RESULTS = ("successfulResults", "failedResults", "unprocessedrecords")


class _InvalidBatch(Exception):  # noqa: N818 - fails a job
    pass


class Jobs:
    """Handlers for `/jobs/ingest`."""

    def __init__(self, org: Org, records: Records) -> None:
        self._org = org
        self._records = records
        self._store = org.store
        self.seconds = 0.0  # that a job takes
        self.daily_batches = 15_000
        self.may_erase = True
        self.shuffle = True

    # -- life of a job ---------------------------------------------------------------------------

    def create(self, request: Request) -> Response:
        """POST /jobs/ingest."""
        given = shapes.body(request)
        operation, name = given.get("operation"), given.get("object")
        if operation not in OPERATIONS:
            raise ApiError(400, "INVALIDJOB", f"InvalidJob : Unknown operation {operation}")
        kind = self._org.kind(str(name))
        if kind is None:
            raise ApiError(400, "INVALIDENTITY", f"InvalidEntity : Entity '{name}' is not supported by the Bulk API.")
        if operation == "hardDelete" and not self.may_erase:
            text = "FeatureNotEnabled : hardDelete operation requires special user profile permission"
            raise ApiError(400, "FEATURENOTENABLED", text)
        by = given.get("externalIdFieldName")
        if operation == "upsert":
            if not by:
                raise ApiError(400, "INVALIDJOB", "InvalidJob : External ID was blank for an upsert job")
            external_id(self._org, kind.name, str(by))
        job_id = record_id("750", self._store.next_number("salesforce:750", 1, 1))
        version = request.params["version"]
        job = {
            "id": job_id,
            "operation": operation,
            "object": kind.name,
            "createdById": self._org.user,
            "createdDate": moment_text(self._store.now()),
            "systemModstamp": moment_text(self._store.now()),
            "state": "Open",
            "concurrencyMode": "Parallel",
            "contentType": _chosen(given, "contentType", ("CSV",)),
            "apiVersion": float(version.removeprefix("v")),
            "contentUrl": f"services/data/{version}/jobs/ingest/{job_id}/batches",
            "lineEnding": _chosen(given, "lineEnding", ("LF", "CRLF")),
            "columnDelimiter": _chosen(given, "columnDelimiter", tuple(DELIMITERS)),
        }
        if by:
            job["externalIdFieldName"] = str(by)
        if given.get("assignmentRuleId"):
            job["assignmentRuleId"] = str(given["assignmentRuleId"])
        self._save(job)
        return Response(data=job)

    def upload(self, request: Request) -> Response:
        """PUT /jobs/ingest/{id}/batches: once, while the job is open."""
        job = self._job(request)
        if job["state"] != "Open":
            raise ApiError(400, "INVALIDJOBSTATE", f"Invalid job state : {job['state']}; the job must be Open")
        if self._blob(job, "data") is not None:
            raise ApiError(400, "INVALIDJOBSTATE", "Found multiple contents for job: a job takes one upload")
        if not request.headers.get("content-type", "").startswith("text/csv"):
            raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", "The content type must be text/csv")
        if len(request.body) > MAX_BYTES:
            raise ApiError(413, "REQUEST_TOO_LARGE", "The maximum file size of 150 MB (base64) is exceeded")
        self._keep(job, "data", request.body)
        return Response(201)

    def change(self, request: Request) -> Response:
        """PATCH /jobs/ingest/{id}: `UploadComplete` sets Salesforce to work, `Aborted` ends the job."""
        job, state = self._job(request), shapes.body(request).get("state")
        if state not in ("UploadComplete", "Aborted"):
            raise ApiError(400, "INVALIDJOBSTATE", f"Invalid job state : {state}")
        if job["state"] in ("JobComplete", "Failed", "Aborted"):
            raise ApiError(400, "INVALIDJOBSTATE", f"Aborting already Completed Job not allowed : {job['state']}")
        job["state"] = state
        if state == "UploadComplete":
            job["due"] = self._store.now() + int(self.seconds * 1000)
            with self._store.transaction():
                self._work(job, request)
        else:
            header, lines = self._table(job)
            for name in RESULTS:
                self._write(job, name, header, lines if name == RESULTS[2] else [])
        self._save(job)
        return Response(data=_shown(job, self._store.now()))

    def info(self, request: Request) -> Response:
        """GET /jobs/ingest/{id}."""
        return Response(data=_shown(self._job(request), self._store.now()))

    def all(self, _: Request) -> Response:
        """GET /jobs/ingest."""
        jobs = self._store.definitions(VENDOR, "job").values()
        shown = [_shown(job, self._store.now()) for job in jobs if not job.get("deleted")]
        return Response(data={"done": True, "records": shown, "nextRecordsUrl": None})

    def delete(self, request: Request) -> Response:
        """DELETE /jobs/ingest/{id}: a job that has ended."""
        job = self._job(request)
        if _shown(job, self._store.now())["state"] not in ("JobComplete", "Failed", "Aborted"):
            raise ApiError(400, "INVALIDJOBSTATE", "Only jobs that have ended can be deleted")
        self._save({**job, "deleted": True})
        return Response(204)

    def results(self, request: Request) -> Response:
        """GET /jobs/ingest/{id}/successfulResults and the other two."""
        job, asked = self._job(request), request.params["results"].lower()
        kind = next(name for name in RESULTS if name.lower() == asked)
        if _shown(job, self._store.now())["state"] not in ("JobComplete", "Failed", "Aborted"):
            raise ApiError(400, "INVALIDJOBSTATE", "The results are there when the job has ended")
        return Response(200, body=self._blob(job, kind) or b"", content_type=_CSV)

    # -- working on it ---------------------------------------------------------------------------

    def _work(self, job: dict[str, Any], request: Request) -> None:
        header, lines = self._table(job)
        request.records = len(lines)
        job["numberRecordsProcessed"], job["numberRecordsFailed"] = 0, 0
        allowed = self._allowed(len(lines))
        worker = _Worker(self._org, self._records, job, header, request)
        try:
            worker.check()
            worker.run(lines[:allowed], request.poisoned)
        except (_InvalidBatch, WholeBatchError, ApiError) as error:
            job["failed"], job["errorMessage"] = True, f"InvalidBatch : {error}"
            worker.good, worker.bad = [], []
            self._write(job, RESULTS[2], header, lines)
        else:
            self._write(job, RESULTS[2], header, [])
        if self.shuffle:
            random.Random(job["id"]).shuffle(worker.good)  # noqa: S311 - only to disturb the order
            random.Random(job["id"]).shuffle(worker.bad)  # noqa: S311
        self._write(job, RESULTS[0], ["sf__Id", "sf__Created", *header], worker.good)
        self._write(job, RESULTS[1], ["sf__Id", "sf__Error", *header], worker.bad)
        job["numberRecordsProcessed"] = len(worker.good) + len(worker.bad)
        job["numberRecordsFailed"] = len(worker.bad)

    def _table(self, job: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
        """Header and rows of what was uploaded."""
        data = (self._blob(job, "data") or b"").decode("utf-8-sig")
        delimiter = DELIMITERS[job["columnDelimiter"]]
        table = [line for line in csv.reader(io.StringIO(data, newline=""), delimiter=delimiter) if line]
        return (table[0], table[1:]) if table else ([], [])

    def _allowed(self, rows: int) -> int:
        """How many of a job's rows are within the day's allocation of batches."""
        day = f"salesforce:batches:{moment_text(self._store.now())[:10]}"
        batches = -(-rows // BATCH_ROWS)
        used = self._store.next_number(day, batches, 0)
        return max(0, min(batches, self.daily_batches - used)) * BATCH_ROWS

    # -- keeping ---------------------------------------------------------------------------------

    def _job(self, request: Request) -> dict[str, Any]:
        job = self._store.definitions(VENDOR, "job").get(request.params["job"])
        if job is None or job.get("deleted"):
            raise not_found()
        return cast("dict[str, Any]", job)

    def _save(self, job: Mapping[str, Any]) -> None:
        self._store.define(VENDOR, "job", str(job["id"]), dict(job))

    def _blob(self, job: Mapping[str, Any], name: str) -> bytes | None:
        kept = self._store.answer(VENDOR, f"{job['id']}:{name}")
        return None if kept is None else kept[2]

    def _keep(self, job: Mapping[str, Any], name: str, content: bytes) -> None:
        self._store.keep_answer(VENDOR, f"{job['id']}:{name}", "", 200, content)

    def _write(self, job: Mapping[str, Any], name: str, header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(
            text, delimiter=DELIMITERS[job["columnDelimiter"]], quoting=csv.QUOTE_ALL, lineterminator="\n"
        )
        writer.writerow(header)
        writer.writerows(lines)
        self._keep(job, name, text.getvalue().encode())


class _Worker:
    """Works on the rows of one job; `good` and `bad` are the lines of its results."""

    def __init__(
        self, org: Org, records: Records, job: Mapping[str, Any], header: Sequence[str], request: Request
    ) -> None:
        self._org, self._records, self._header = org, records, header
        self._operation = cast("Operation", job["operation"])
        kind = org.kind(job["object"])
        assert kind is not None, "a job is created for an object that there is"
        self._kind: ObjectType = kind
        self._fields = org.fields(kind)
        by = job.get("externalIdFieldName")
        self._by = self._fields[by.lower()] if by and self._operation == "upsert" else None
        self._manner = manner(request, from_json=False)
        self.good: list[list[str]] = []
        self.bad: list[list[str]] = []

    def check(self) -> None:
        """Raises _InvalidBatch for a header that cannot be."""
        if self._operation in ("delete", "hardDelete") and [name.lower() for name in self._header] != ["id"]:
            raise _InvalidBatch("The 'delete/hardDelete' batch must contain only ids")
        names = [name.lower() for name in self._header]
        for name in self._header:
            if "." not in name and name.lower() not in self._fields:
                raise _InvalidBatch(f"Field name not found : {name}")
            if "." in name:
                self._relation(name)
            if names.count(name.lower()) > 1:
                raise _InvalidBatch(f"Field name duplicated : {name}")
        if self._operation == "update" and "id" not in names:
            raise _InvalidBatch("The 'update' batch must contain Id")

    def _relation(self, column: str) -> tuple[Field, str, str]:
        """The field, parent object and parent field of `Relation.Field` or `Object:Relation.Field`."""
        told, colon, rest = column.rpartition(":")
        relation, _, match = rest.partition(".")
        related = (item for item in self._fields.values() if item.relationship)
        item = next((item for item in related if str(item.relationship).lower() == relation.lower()), None)
        if item is None:
            raise _InvalidBatch(f"Field name not found : {column}")
        if bool(colon) != (len(item.reference_to) > 1) or (colon and told not in item.reference_to):
            raise _InvalidBatch(f"Field name not found : {column}")
        return item, told or item.reference_to[0], match

    def run(self, lines: Sequence[Sequence[str]], poisoned: Poison) -> None:
        """Carry the rows out."""
        for start in range(0, len(lines), _AT_ONCE):
            part = [[*line, *[""] * (len(self._header) - len(line))] for line in lines[start : start + _AT_ONCE]]
            if self._operation in ("delete", "hardDelete"):
                self._delete(part)
            else:
                self._write(part, poisoned)

    def _delete(self, lines: Sequence[Sequence[str]]) -> None:
        ids = [line[0] for line in lines]
        results = self._records.delete(ids, self._operation == "hardDelete", self._kind)
        for line, error in zip(lines, results, strict=True):
            if error is None:
                self.good.append([line[0], "false", *line])
            else:
                self.bad.append([line[0], error.as_text(), *line])

    def _write(self, lines: Sequence[Sequence[str]], poisoned: Poison) -> None:
        rows = [self._row(line) for line in lines]
        self._records.write(self._kind, rows, cast("Mode", self._operation), self._by, poisoned, self._manner)
        for line, row in zip(lines, rows, strict=True):
            if row.error is None and row.record is not None:
                self.good.append([row.record.id, "true" if row.created else "false", *line])
            elif row.error is not None:
                self.bad.append([row.id or "", row.error.as_text(), *line])

    def _row(self, line: Sequence[str]) -> Row:
        values: dict[str, Any] = {}
        parents: dict[str, tuple[str, str, Any]] = {}
        row_id = None
        for name, cell in self._cells(line):
            if name.lower() == "id":
                row_id = cell
            elif "." in name:
                item, parent, match = self._relation(name)
                if cell is not None:
                    parents[item.name] = (parent, match, cell)
            else:
                values[name] = cell
        return Row(values, parents, row_id)

    def _cells(self, line: Sequence[str]) -> Iterator[tuple[str, str | None]]:
        """An empty cell leaves its field alone, `#N/A` clears it."""
        for name, cell in zip(self._header, line, strict=False):
            if cell != "":
                yield name, None if cell == "#N/A" else cell


def _shown(job: Mapping[str, Any], now: int) -> dict[str, Any]:
    shown = {name: value for name, value in job.items() if name not in ("due", "failed", "deleted")}
    if job["state"] == "UploadComplete":
        over = now >= job["due"]
        shown["state"] = ("Failed" if job.get("failed") else "JobComplete") if over else "InProgress"
        if not over:
            shown = {name: value for name, value in shown.items() if not name.startswith(("number", "error"))}
    return {**shown, "jobType": "V2Ingest", "retries": 0, "totalProcessingTime": 0, "apexProcessingTime": 0}


def _chosen(given: Mapping[str, Any], name: str, allowed: Sequence[str]) -> str:
    value = given.get(name) or allowed[0]
    if value not in allowed:
        raise ApiError(400, "INVALIDJOB", f"InvalidJob : {name} must be one of {', '.join(allowed)}")
    return str(value)
