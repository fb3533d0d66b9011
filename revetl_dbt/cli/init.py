"""`revetl init`: what an existing dbt project needs for a first sync. Existing files are added to at most."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from revetl_dbt.cli.options import Command, log_options, pass_options, project_options
from revetl_dbt.errors import InputError
from revetl_dbt.project.options import Options

if TYPE_CHECKING:
    from revetl_dbt.project.manifest import Node
    from revetl_dbt.project.profile import Profile
    from revetl_dbt.project.project import Project

_DESTINATIONS = """\
# Where syncs go: one entry a destination, one output a dbt target, as in profiles.yml.
# Keep secrets out of this file: {{{{ env_var('DBT_ENV_SECRET_..') }}}} takes them from the environment.
hubspot:
  outputs:
    {target}:
      type: hubspot
      sandbox: true # a local stand-in: nothing leaves this machine
    # production:
    #   type: hubspot
    #   access_token: "{{{{ env_var('DBT_ENV_SECRET_HUBSPOT') }}}}"
"""


@click.command(cls=Command)
@click.option("--model", metavar="NAME", help="Model to sync; by default the likeliest one")
@project_options
@log_options
@pass_options
def command(options: Options, model: str | None) -> None:
    """Set up destinations.yml and a first sync in a dbt project.

    The sync goes to the local sandbox. What exists is kept: destinations.yml is not touched when there is one, and
    the declaration is added to the model's YAML, or printed where it cannot be added safely. Where the YAML names no
    column with e-mail addresses, the columns are looked up in the warehouse.
    """
    from revetl_dbt.project.profile import find_profile
    from revetl_dbt.project.project import Project
    from revetl_dbt.spec.starter import candidates, declare, example, has_email

    project = Project.open(options)
    profile = find_profile(options, project.file)
    nodes = candidates(project.manifest, project.name, model)
    node = nodes[0] if has_email(nodes[0]) or nodes[0].declares() else _from_warehouse(project, profile, nodes)
    if node is None and model is None:
        raise InputError.single(
            "no-model",
            "No model has a column that is named like an e-mail address",
            hint="Build the models first (`dbt build`), or choose one with --model",
        )
    node = node or nodes[0]
    lines = [*_write_new(project.folder / "destinations.yml", _DESTINATIONS.format(target=profile.target))]
    lines += _ignore(project.folder / ".gitignore", [f"{project.target_path.name}/", "logs/"])
    if node.declares():
        lines.append(f"Kept the syncs of `{node.name}`")
    else:
        lines += declare(project.folder, node, example(node, project.manifest))
        if not has_email(node):
            lines.append(f"No column of `{node.name}` is named like an e-mail address: name one under `match`")
    lines += [
        "",
        "Next:",
        "  dbt build        # or dbt parse, when the models are built",
        "  revetl validate",
        "  revetl plan",
        "  revetl run",
    ]
    click.echo("\n".join(lines))


def _from_warehouse(project: Project, profile: Profile, nodes: Sequence[Node]) -> Node | None:
    """The first with an e-mail column in its relation, if any, with all columns; a single one in any case."""
    from revetl_dbt.cli.work import open_store
    from revetl_dbt.report.log import Log
    from revetl_dbt.spec.starter import has_email, with_columns

    with open_store(project, profile, Log(project.options, str(uuid.uuid4()))) as store:
        for node in nodes:
            place = str(node.raw.get("schema") or ""), str(node.raw.get("alias") or node.name)
            columns = store.source.columns(node.raw.get("database"), *place)
            found = with_columns(node, [name for name, _ in columns])
            if has_email(found) or len(nodes) == 1:
                return found
    return None


def _write_new(path: Path, text: str) -> Iterator[str]:
    from revetl_dbt.project.files import writing
    from revetl_dbt.project.yamlfile import shown

    try:
        with writing(path), path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        yield f"Kept {shown(path)}"
    else:
        yield f"Wrote {shown(path)}: destination `hubspot`, in the sandbox"


def _ignore(path: Path, entries: list[str]) -> Iterator[str]:
    from revetl_dbt.project.files import writing
    from revetl_dbt.project.yamlfile import shown

    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    present = {line.strip().strip("/") for line in text.splitlines()}
    missing = [entry for entry in entries if entry.strip("/") not in present]
    if missing:
        gap = "" if not text or text.endswith("\n") else "\n"
        with writing(path):
            path.write_text(text + gap + "\n".join(missing) + "\n", encoding="utf-8")
        yield f"Added {', '.join(missing)} to {shown(path)}"
