"""Runs of syncs as OpenLineage events: which table went to which object of which tool, column by column.

https://openlineage.io/docs/spec/run-cycle; where they go is the client's own configuration (OPENLINEAGE_URL,
openlineage.yml, ...). Needs the extra `openlineage`.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from revetl_dbt import __version__
from revetl_dbt.engine.result import SyncResult
from revetl_dbt.errors import InputError
from revetl_dbt.report.console import Redact
from revetl_dbt.spec.models import FieldMapping, Sync

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, RunEvent
    from openlineage.client.facet_v2 import column_lineage_dataset

VARIABLE = "REVETL_OPENLINEAGE"
PRODUCER = f"urn:revetl:{__version__}"
_WORD = re.compile(r"\w+")


def wanted() -> bool:
    """True when the environment asks for events: REVETL_OPENLINEAGE=1.

    Raises InputError `extra-missing` where OpenLineage's client is not installed.
    """
    if os.environ.get(VARIABLE, "").casefold() in ("", "0", "false", "no", "off"):
        return False
    if find_spec("openlineage") is None or find_spec("openlineage.client") is None:
        raise InputError.single(
            "extra-missing",
            "OpenLineage events need the client of OpenLineage, which is not installed",
            field=VARIABLE,
            hint='install it: pip install "revetl_dbt[openlineage]"',
        )
    return True


def emit(
    results: Sequence[SyncResult],
    timing: Mapping[str, tuple[dt.datetime, dt.datetime]],
    project: str,
    warehouse: str,
    run_id: str,
    redact: Redact,
) -> str | None:
    """Two events for each sync that ran: when it began, and how it ended. `warehouse` is the namespace of its tables.

    Events that cannot be delivered fail nothing: returns what went wrong with the first, else None.
    """
    from openlineage.client import OpenLineageClient

    client = OpenLineageClient()
    try:
        for result in results:
            for event in _events(result, timing, project, warehouse, run_id, redact):
                client.emit(event)
    except Exception as error:  # noqa: BLE001 - transports raise errors of their own libraries
        return type(error).__name__
    finally:
        client.close()
    return None


def _events(
    result: SyncResult,
    timing: Mapping[str, tuple[dt.datetime, dt.datetime]],
    project: str,
    warehouse: str,
    run_id: str,
    redact: Redact,
) -> Iterator[RunEvent]:
    from openlineage.client.event_v2 import Run, RunEvent, RunState
    from openlineage.client.facet_v2 import RunFacet, error_message_run

    sync = result.sync
    if result.status == "skipped" or sync.name not in timing:
        return
    begun, ended = timing[sync.name]
    job = _job(sync, project)
    inputs, outputs = [_input(sync, warehouse)], [_output(sync, result, warehouse)]
    # The same for the same run and sync, so that both events, and those that are sent again, are about one run.
    one = str(uuid.uuid5(uuid.UUID(run_id), sync.name))
    yield RunEvent(
        eventTime=begun.isoformat(),
        producer=PRODUCER,
        run=Run(one),
        job=job,
        eventType=RunState.START,
        inputs=inputs,
        outputs=outputs,
    )
    facets: dict[str, RunFacet] = {}
    if result.status == "error":
        message = redact(sync, result.message or "the sync failed")
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(message, "SQL", producer=PRODUCER)
    state = RunState.FAIL if result.status == "error" else RunState.COMPLETE
    yield RunEvent(
        eventTime=ended.isoformat(),
        producer=PRODUCER,
        run=Run(one, facets),
        job=job,
        eventType=state,
        inputs=inputs,
        outputs=outputs,
    )


def _job(sync: Sync, project: str) -> Job:
    from openlineage.client.event_v2 import Job
    from openlineage.client.facet_v2 import JobFacet, job_type_job, ownership_job

    facets: dict[str, JobFacet] = {
        "jobType": job_type_job.JobTypeJobFacet("BATCH", "REVETL", "SYNC", producer=PRODUCER)
    }
    if sync.source.owner:
        owners = [ownership_job.Owner(sync.source.owner)]
        facets["ownership"] = ownership_job.OwnershipJobFacet(owners, producer=PRODUCER)
    return Job(project, sync.name, facets)


def _input(sync: Sync, warehouse: str) -> InputDataset:
    from openlineage.client.event_v2 import InputDataset

    return InputDataset(warehouse, _table(sync))


def _output(sync: Sync, result: SyncResult, warehouse: str) -> OutputDataset:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import (
        DatasetFacet,
        OutputDatasetFacet,
        column_lineage_dataset,
        output_statistics_output_dataset,
    )

    account = result.account.id if result.account else sync.spec.destination
    lineage = column_lineage_dataset.ColumnLineageDatasetFacet(dict(_lineage(sync, warehouse)), producer=PRODUCER)
    facets: dict[str, DatasetFacet] = {"columnLineage": lineage}
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=result.totals.accepted, producer=PRODUCER
    )
    output_facets: dict[str, OutputDatasetFacet] = {"outputStatistics": statistics}
    namespace = f"{sync.spec.destination}://{account}"
    return OutputDataset(namespace, sync.spec.object, output_facets, facets=facets)


def _lineage(sync: Sync, warehouse: str) -> Iterator[tuple[str, column_lineage_dataset.Fields]]:
    from openlineage.client.facet_v2 import column_lineage_dataset

    origins = {name: ([column], "IDENTITY") for name, column in sync.spec.match.items()}
    origins |= {name: _origin(mapping, sync) for name, mapping in sync.spec.fields.items()}
    for name, (columns, kind) in origins.items():
        inputs = [
            column_lineage_dataset.InputField(
                warehouse,
                _table(sync),
                column,
                [column_lineage_dataset.Transformation("DIRECT", kind, masking=kind == "MASKED")],
            )
            for column in columns
        ]
        if inputs:
            yield name, column_lineage_dataset.Fields(inputs)


def _origin(mapping: FieldMapping, sync: Sync) -> tuple[list[str], str]:
    """The columns that a field comes from, and how; none for a constant."""
    if mapping.column is not None:
        return [mapping.column], "IDENTITY" if mapping.hash is None else "MASKED"
    if mapping.lookup is not None:
        return list(mapping.lookup.match.values()), "TRANSFORMATION"
    if mapping.sql is not None:
        words = {word.casefold() for word in _WORD.findall(mapping.sql)}
        return [column for column in sync.source.columns if column.casefold() in words], "TRANSFORMATION"
    return [], "IDENTITY"


def _table(sync: Sync) -> str:
    source = sync.source
    return ".".join(part for part in (source.database, source.schema, source.identifier) if part)
