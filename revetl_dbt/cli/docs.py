"""`revetl docs`: the syncs in dbt's lineage, and as a page of their own."""

from __future__ import annotations

from pathlib import Path

import click

from revetl_dbt.cli.messages import FAILED, show_diagnostics
from revetl_dbt.cli.options import Command, log_options, pass_options, project_options, selection_options
from revetl_dbt.errors import Diagnostic
from revetl_dbt.nearest import listed
from revetl_dbt.project.options import Options


@click.group()
def command() -> None:
    """Show syncs where people look for them: in dbt's lineage, and on a page of their own."""


@command.command(cls=Command, short_help="Write the syncs as dbt exposures")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Where to, `-` for stdout; by default revetl_exposures.yml in the project's first model path",
)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 when the file is not up to date")
@selection_options
@project_options
@log_options
@pass_options
def exposures(options: Options, file: Path | None, check: bool) -> int:
    """Write the syncs as dbt exposures.

    Then dbt's docs and `dbt ls --select +exposure:NAME` lead from the sources to the tools. The owner is that of the
    model's group, or `owner` in the model's meta.
    """
    from revetl_dbt.project.files import writing
    from revetl_dbt.report.exposures import as_yaml, ownerless
    from revetl_dbt.report.exposures import exposures as exposures_of
    from revetl_dbt.spec.load import load

    loaded = load(options)
    show_diagnostics([*loaded.warnings, *_without_owner(ownerless(loaded), loaded.project.file.name)], options)
    text = as_yaml(exposures_of(loaded))
    if file == Path("-"):
        click.echo(text, nl=False)
        return 0
    path = file or loaded.project.folder / loaded.project.file.model_path / "revetl_exposures.yml"
    if check:
        current = path.is_file() and path.read_text(encoding="utf-8") == text
        if not current:
            click.echo(f"{path} is not up to date: run `revetl docs exposures`", err=True)
        return 0 if current else FAILED
    with writing(path):
        path.write_text(text, encoding="utf-8")
    if not options.quiet:
        click.echo(f"Wrote {path}: {len(loaded.syncs)} exposures")
    return 0


@command.command(cls=Command, short_help="Write the page of syncs, lineage, runs and refusals")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to; by default target/revetl/index.html",
)
@selection_options
@project_options
@log_options
@pass_options
def generate(options: Options, file: Path | None) -> None:
    """Write the page of syncs, lineage, runs and refusals.

    One file of HTML that needs no other and no network. Values of rows are not in it.
    """
    _generate(options, file)


@command.command(cls=Command, short_help="Write the page, and show it in a browser")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Port on this machine")
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open a browser")
@selection_options
@project_options
@log_options
@pass_options
def serve(options: Options, port: int, browser: bool) -> None:
    """Write the page, and show it in a browser.

    On this machine only, until Ctrl-C.
    """
    from revetl_dbt.report.serve import serve as serve_page

    path = _generate(options, None)
    serve_page(path, port, browser=browser, tell=lambda text: click.echo(text, err=True))


def _generate(options: Options, file: Path | None) -> Path:
    import datetime as dt

    from revetl_dbt.cli.work import Work
    from revetl_dbt.project.files import writing
    from revetl_dbt.report import artifacts
    from revetl_dbt.report.site import as_html, in_words, site

    work = Work.begin(options, quietly=True)
    with work.store() as store:
        store.prepare()
        page = site(work.loaded, store, work.mask(), dt.datetime.now(dt.timezone.utc))
    artifacts.prepare_folder(work.folder)
    path = file or work.folder / "index.html"
    with writing(path):
        path.write_text(as_html(page), encoding="utf-8")
    if not options.quiet:
        click.echo(f"Wrote {path}: {in_words(page)}")
    return path


def _without_owner(names: list[str], project: str) -> list[Diagnostic]:
    if not names:
        return []
    return [
        Diagnostic(
            "owner-unknown",
            f"No owner is known of {listed(names)}: their exposures get the project's name, `{project}`",
            expected="the model in a group with an owner, or `owner:` in its meta",
            warning=True,
        )
    ]
