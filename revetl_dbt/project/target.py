"""Whether the manifest was written for the target in force.

dbt does not record the target in manifest.json, and a manifest of another target names the relations of another
environment: rows of development would go to the production account, or the other way round.
"""

from __future__ import annotations

from revetl_dbt.errors import Diagnostic
from revetl_dbt.nearest import listed
from revetl_dbt.project.manifest import RELATIONS, Manifest
from revetl_dbt.project.run_results import RunResults
from revetl_dbt.project.yamlfile import shown


def known_target(manifest: Manifest, run_results: RunResults | None) -> str | None:
    """The target that dbt was given when it wrote the manifest, where its run results tell; else None."""
    if run_results is None or run_results.invocation_id != manifest.invocation_id:
        return None
    return run_results.target


def check_known_target(manifest: Manifest, run_results: RunResults | None, target: str) -> Diagnostic | None:
    """An error when the manifest was certainly written for another target."""
    written = known_target(manifest, run_results)
    if written is None or written == target:
        return None
    return Diagnostic(
        "manifest-of-another-target",
        f"dbt wrote the manifest for target `{written}`, and this is target `{target}`",
        shown(manifest.path),
        hint=f"Run dbt with `--target {target}`, or use `--target {written}` here; --target-path keeps them apart",
    )


def check_connection(manifest: Manifest, adapter_type: str, database: str | None, schema: str) -> Diagnostic | None:
    """A problem when manifest and open connection do not fit: an error for another adapter, else a warning.

    `database` and `schema` are those of the target. dbt puts models into the target's schema, or one whose name
    begins with it, unless the project has its own `generate_schema_name`: when no node is there, the manifest is
    probably of another target.
    """
    if manifest.adapter_type is not None and manifest.adapter_type != adapter_type:
        return Diagnostic(
            "manifest-of-another-target",
            f"dbt wrote the manifest for a {manifest.adapter_type} warehouse, and the target's is {adapter_type}",
            shown(manifest.path),
            hint="Run `dbt parse` with this --target and --profile",
        )
    places = {
        (str(raw.get("database") or ""), str(raw.get("schema") or ""))
        for raw in manifest.raw["nodes"].values()
        if raw.get("resource_type") in RELATIONS and raw.get("relation_name")
    }
    if not places or any(_fits(place, database, schema) for place in places):
        return None
    found = listed(sorted(".".join(place) for place in places))
    return Diagnostic(
        "manifest-of-another-target",
        f"No model of the manifest is in schema `{schema}`" + (f" of database `{database}`" if database else ""),
        shown(manifest.path),
        expected=f"a manifest written for this target; its models are in {found}",
        hint="Run `dbt parse` with this --target and --profile",
        warning=True,
    )


def _fits(place: tuple[str, str], database: str | None, schema: str) -> bool:
    same_database = not database or not place[0] or place[0].casefold() == database.casefold()
    return same_database and place[1].casefold().startswith(schema.casefold())
