"""Dagster: an asset that sends, below the dbt models that it sends."""

import subprocess

from dagster import AssetExecutionContext, Definitions, asset
from dagster_dbt import DbtCliResource, DbtProject, dbt_assets

PROJECT = DbtProject("/srv/analytics", target="prod")


@dbt_assets(manifest=PROJECT.manifest_path)
def models(context: AssetExecutionContext, dbt: DbtCliResource):
    yield from dbt.cli(["build"], context=context).stream()


@asset(deps=[models])
def tools() -> None:
    # dagster-dbt gives each build a target folder of its own: what was built is in the queue.
    command = ["revetl", "run", "--queued", "--target", "prod"]
    subprocess.run(command, cwd=PROJECT.project_dir, check=True)


defs = Definitions(assets=[models, tools], resources={"dbt": DbtCliResource(PROJECT)})
