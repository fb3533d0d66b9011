"""`revetl watch`: send what dbt builds elsewhere, as its hook writes it into the queue."""

from __future__ import annotations

import os
import queue
from contextlib import ExitStack, suppress

import click

from revetl_dbt.cli.options import Command, log_options, pass_options, project_options, run_options
from revetl_dbt.cli.run import Sending
from revetl_dbt.errors import InputError
from revetl_dbt.project.options import Options

INTERVAL = 60.0
SOON_SECONDS = 10.0  # after a look that failed
SECRET = "REVETL_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable


@click.command(cls=Command)
@click.option(
    "--interval",
    type=click.FloatRange(min=0.05),
    default=INTERVAL,
    show_default=True,
    metavar="SECONDS",
    help="Pause between two looks into the queue",
)
@click.option(
    "--webhook", is_flag=True, help=f"Also look when dbt's webhook calls; its secret is in the variable {SECRET}"
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that the webhook listens at")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8580, show_default=True, help="Port that the webhook listens at"
)
@click.option(
    "--retry-attempts",
    type=click.IntRange(min=1),
    default=6,
    show_default=True,
    help="Times that a batch is sent when the destination fails, with growing pauses",
)
@click.option("--show-values", is_flag=True, help="Show values of rows in messages; they may be personal data")
@run_options
@project_options
@log_options
@pass_options
def command(
    options: Options, interval: float, webhook: bool, host: str, port: int, retry_attempts: int, show_values: bool
) -> int:
    """Send what dbt builds elsewhere, as it is built.

    Takes from the queue that the dbt package's hook writes in the warehouse, and runs the syncs of what was built,
    under the same gate as `revetl run`. Works until it is interrupted: the first SIGINT or SIGTERM lets the batches in
    flight finish. `revetl run --queued` does the same once.
    """
    return watch(options, Sending("run", (), retry_attempts, show_values), interval, (host, port) if webhook else None)


def watch(options: Options, how: Sending, interval: float, webhook: tuple[str, int] | None) -> int:
    """Work off the queue every `interval` seconds, and whenever the webhook at that host and port is called; sooner
    again when the warehouse could not be reached.

    Ends when it is interrupted.
    """
    from revetl_dbt.cli.worker import Worker

    wake: queue.SimpleQueue[None] = queue.SimpleQueue()  # a signal handler may fill it, other than set an Event

    def look_now() -> None:
        wake.put(None)

    with ExitStack() as stack:
        worker = stack.enter_context(Worker.open(options, how, told=look_now))
        worker.tell(f"Watching the queue of target '{worker.target}' every {interval:g} s")
        if webhook:
            from revetl_dbt.engine.webhook import Receiver

            receiver = Receiver(_secret(), look_now, worker.tell)
            worker.tell(f"dbt's webhook may call {stack.enter_context(receiver.listening(*webhook))}")
        while not worker.stop.is_set():
            reached = worker.look()
            _pause(wake, interval if reached else min(interval, SOON_SECONDS))
    return 0


def _pause(wake: queue.SimpleQueue[None], seconds: float) -> None:
    """Until the time is over or somebody asks to look; whoever asks more than once is answered once."""
    with suppress(queue.Empty):
        wake.get(timeout=seconds)
        while True:
            wake.get_nowait()


def _secret() -> str:
    secret = os.environ.get(SECRET, "")
    if not secret:
        raise InputError.single(
            "webhook-secret-missing",
            f"The environment variable `{SECRET}` is not set",
            field="--webhook",
            expected="the secret token that dbt shows when the webhook is created",
        )
    return secret
