"""`revetl schema`: JSON Schemas for editors."""

from __future__ import annotations

import json
from pathlib import Path

import click

from revetl_dbt.cli.options import Command, log_options, pass_options
from revetl_dbt.project.options import Options

NAMES = ("models", "meta", "destinations")


@click.command(cls=Command)
@click.argument("name", type=click.Choice(NAMES), required=False)
@click.option(
    "--output-dir", type=click.Path(file_okay=False, path_type=Path), help="Write all three files into this folder"
)
@log_options
@pass_options
def command(options: Options, name: str | None, output_dir: Path | None) -> None:
    """Print the JSON Schemas for editors.

    `models` is of a dbt properties file (models/*.yml), `meta` of the `revetl` block alone, `destinations` of
    destinations.yml with all installed destination types. In a YAML file, `# yaml-language-server: $schema=FILE` on
    the first line turns completion on.
    """
    from revetl_dbt.project.files import writing
    from revetl_dbt.spec.schema import schema

    if output_dir is not None:
        for each in (name,) if name else NAMES:
            path = output_dir / f"{each}.json"
            with writing(path):
                output_dir.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(schema(each), indent=2) + "\n", encoding="utf-8")
            if not options.quiet:
                click.echo(f"Wrote {path}")
    elif name is None:
        raise click.UsageError(f"Name one of {', '.join(NAMES)}, or give --output-dir")
    else:
        click.echo(json.dumps(schema(name), indent=2))
