"""Run pytest on Spark: `python tests/adapters/on_spark.py FOLDER PYTEST_ARGUMENTS...`.

Runs in the environment `.venv-spark` (`make .venv-spark/.ready`), with Java. Spark is in session mode, in this process;
tables are parquet files in FOLDER, the catalogue is in memory. The tests find it through REVETL_TEST_PROFILE (see
engine/harness.py).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

OUTPUT = {"type": "spark", "method": "session", "host": "localhost", "schema": "dbt", "threads": 2}


def settings(folder: Path) -> dict[str, str]:
    """Small, nothing outside the folder, and no code that is compiled for statements that are run once."""
    return {
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.sql.session.timeZone": "Pacific/Chatham",  # far from UTC, so that a zone that is lost is seen
    }


def start(folder: Path) -> SparkSession:
    """The session of this process, which dbt-spark finds."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[1]")
    for name, value in settings(folder).items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def main(folder: Path, arguments: list[str]) -> int:
    session = start(folder)
    try:
        os.environ["REVETL_TEST_PROFILE"] = json.dumps(OUTPUT)
        return int(pytest.main(arguments))
    finally:
        session.stop()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
