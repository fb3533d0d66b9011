"""`revetl sandbox`: the project's stand-ins of the vendors' APIs, in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

from revetl_dbt.cli.options import Command, log_options, pass_options, project_options
from revetl_dbt.errors import InputError
from revetl_dbt.project.options import Options


@click.command(cls=Command)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port; by default a free one")
@click.option("--setup", multiple=True, metavar="VENDOR=FILE", help="A file that a vendor loads, beside sandbox/*.yml")
@click.option("--reset", is_flag=True, help="Forget records, faults and the request log first")
@click.option("--keep-bodies", is_flag=True, help="Keep the bodies of requests and answers in the request log")
@project_options
@log_options
@pass_options
def command(options: Options, port: int, setup: tuple[str, ...], reset: bool, keep_bodies: bool) -> None:
    """Run local stand-ins of the destinations.

    They run until they are interrupted, listen on the loopback interface only, and keep what they receive in
    target/revetl/sandbox. An output with `sandbox: true` goes there, and starts them by itself where none is running.
    """
    from revetl_dbt.cli.interrupt import stopping
    from revetl_dbt.cli.work import sandbox_dir, sandbox_setup
    from revetl_dbt.project.paths import ProjectFile, find_project_dir
    from revetl_dbt.project.project import find_target_path
    from revetl_dbt.sandbox import Sandbox, SandboxClient

    file = ProjectFile.read(find_project_dir(options))
    state = sandbox_dir(find_target_path(options, file))
    files = sandbox_setup(file.folder) | dict(_pair(text) for text in setup)
    running = SandboxClient.find(state)
    if running is not None:
        if reset:
            running.reset()
        click.echo(f"Sandbox at {running.base_url}, already running" + (", emptied" if reset else ""))
        return
    with stopping(lambda _: None) as stop, Sandbox(state, port=port, setup=files, keep_bodies=keep_bodies) as sandbox:
        if reset:
            sandbox.reset()
        click.echo(f"Sandbox at {sandbox.base_url}")
        for vendor in sandbox.vendors:
            click.echo(f"  {vendor}: {sandbox.url(vendor)}")
        if not options.quiet:
            click.echo("Ctrl-C stops it", err=True)
        stop.wait()


def _pair(text: str) -> tuple[str, Path]:
    vendor, found, path = text.partition("=")
    if not found:
        raise InputError.single(
            "setup-invalid", f"`{text}` names no vendor", field="--setup", expected="VENDOR=FILE, such as hubspot=a.yml"
        )
    return vendor, Path(path)
