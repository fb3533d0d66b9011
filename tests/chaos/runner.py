"""A process that has loaded all that is slow once, and forks for every command, so that each is a process of its own.

Started as `python -m chaos.runner FOLDER`. A line on stdin is a command, such as
`{"folder": ..., "arguments": ["run"], "death": {...}, "busy": true}`; it is answered with `{"pid": ...}` when its
process starts and `{"exit": ...}` when that has ended. The process does what the console script does, in the folder,
with its output in `stdout` and `stderr` there.
"""

from __future__ import annotations

import gc
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

from revetl_dbt.cli import main as cli
from revetl_dbt.destinations import registry
from revetl_dbt.engine import recorder, sending
from revetl_dbt.warehouse import dbt_api

from .death import arrange


def child(command: dict[str, Any]) -> None:
    folder = Path(command["folder"])
    os.chdir(folder)
    for stream, name in ((sys.stdout, "stdout"), (sys.stderr, "stderr")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream.fileno())
    if command.get("busy"):
        # The ledger is written and the lease renewed all the time, so that there is much to interrupt.
        recorder.FLUSH_SECONDS = sending.RENEW_SECONDS = 0.0
        recorder.FLUSH_SHARE = math.inf
    gc.unfreeze = lambda: None  # what was inherited stays out of the collector's way
    finish = arrange(command.get("death") or {})
    code: Any = None
    try:
        cli.main(command["arguments"])
    except SystemExit as end:
        code = end.code
    finish()
    sys.stdout.flush()
    os._exit(code or 0)  # tearing down what was inherited would take longer than the run


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def run(command: dict[str, Any]) -> None:
    pid = os.fork()
    if pid == 0:
        child(command)
    say({"pid": pid})
    _, status = os.waitpid(pid, 0)
    say({"exit": os.waitstatus_to_exitcode(status)})


def warm(folder: Path) -> None:
    """Open dbt once: every fork inherits the session, without a connection."""
    for name in ("http", "hubspot", "marketo"):
        registry.connector(name)
    os.chdir(folder)
    boot, opened = dbt_api._boot, list[Any]()

    def once(options: dbt_api.DbtOptions) -> Any:
        if not opened:
            opened.append(boot(options))
        return opened[0]

    dbt_api._boot = once
    try:
        cli.main(["run"])
    except SystemExit as end:
        if end.code:
            raise


if __name__ == "__main__":
    answers = os.dup(1)
    os.dup2(2, 1)
    warm(Path(sys.argv[1]))
    os.dup2(answers, 1)
    gc.collect()
    gc.freeze()
    say({"ready": True})
    for line in sys.stdin:
        run(json.loads(line))
    os._exit(0)
