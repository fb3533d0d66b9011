"""Prefect: two tasks, the second whatever became of the first, since revetl skips what failed."""

import subprocess

from prefect import flow, task

PROJECT = "/srv/analytics"


@task
def build() -> None:
    subprocess.run(["dbt", "build", "--target", "prod"], cwd=PROJECT, check=True)


@task(retries=2, retry_delay_seconds=300)
def send() -> None:
    subprocess.run(["revetl", "run", "--target", "prod"], cwd=PROJECT, check=True)


@flow
def analytics() -> None:
    built = build(return_state=True)
    send(wait_for=[built])
    built.result()  # a failed build fails the flow


if __name__ == "__main__":
    analytics.serve(cron="5 * * * *")
