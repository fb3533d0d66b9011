"""A process that takes leases as it is told: `python -m engine.lease_process FOLDER`, with REVETL_TEST_PROFILE set.

A line on stdin is an order, `take RUN`, `renew RUN` or `release RUN`; it is answered with `done`, or with the reason
why not.
"""

from __future__ import annotations

import sys
from pathlib import Path

from revetl_dbt.errors import LeaseHeldError
from revetl_dbt.warehouse.dbt_api import DbtSession
from revetl_dbt.warehouse.store import Store

from .harness import profile, write_project


def main(folder: Path) -> None:
    store = Store(DbtSession(write_project(folder, profile(folder))), notice=lambda text: None)
    orders = {"take": store.take_lease, "renew": store.renew_lease, "release": store.release_lease}
    store.prepare()
    store.release()
    print("ready", flush=True)
    for line in sys.stdin:
        order, run = line.split()
        try:
            orders[order]("people", "acme", run)
            answer = "done"
        except LeaseHeldError as error:
            answer = str(error)
        store.release()  # where only one process can have the file
        print(answer, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
