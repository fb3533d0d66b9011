"""Airflow 3 with Cosmos: each model is a task, and each writes what it built into the queue by the package's hook."""

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag
from cosmos import DbtTaskGroup, ExecutionConfig, InvocationMode, ProfileConfig, ProjectConfig

PROJECT = "/srv/analytics"


@dag(schedule="@hourly", start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), catchup=False, max_active_runs=1)
def analytics():
    models = DbtTaskGroup(
        group_id="models",
        project_config=ProjectConfig(PROJECT),
        profile_config=ProfileConfig("analytics", "prod", profiles_yml_filepath=f"{PROJECT}/profiles.yml"),
        # dbt in a process of its own lets go of a DuckDB file when it ends.
        execution_config=ExecutionConfig(invocation_mode=InvocationMode.SUBPROCESS),
    )
    send = "dbt parse --target prod && revetl run --queued --target prod"
    models >> BashOperator(task_id="send", cwd=PROJECT, bash_command=send, trigger_rule="all_done")


analytics()
