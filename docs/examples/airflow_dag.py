"""Airflow 3: dbt builds, then revetl sends. Both are commands of one environment on the worker."""

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag

PROJECT = "/srv/analytics"


@dag(schedule="@hourly", start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), catchup=False, max_active_runs=1)
def analytics():
    build = BashOperator(task_id="build", cwd=PROJECT, bash_command="dbt build --target prod")
    send = BashOperator(task_id="send", cwd=PROJECT, bash_command="revetl run --target prod", trigger_rule="all_done")
    build >> send


analytics()
