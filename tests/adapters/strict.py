"""The example project under dbt's checks of every key, for Snowflake: `python tests/adapters/strict.py FOLDER`.

Runs in the environment `.venv-adapters`. dbt knows which keys a project may have for some adapters only, and DuckDB's
is not among them. In a copy of the project in FOLDER, with the dbt package and with our exposures, a warning is an
error; that dbt does look is seen by a key that it must refuse. Nothing connects.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from click.testing import CliRunner
from dbt.cli.main import dbtRunner

from revetl_dbt.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = dict.fromkeys(("account", "user", "password", "warehouse", "database", "schema"), "none")
PROFILE = {"pinecairn": {"target": "dev", "outputs": {"dev": {"type": "snowflake", "threads": 1, **NOWHERE}}}}


def dbt(*words: str) -> bool:
    """Whether the command ended well; what dbt says goes to stdout."""
    return dbtRunner().invoke(["--no-use-colors", "--show-all-deprecations", "--warn-error", *words]).success


def main(folder: Path) -> None:
    """Ends with a message where dbt has something to say, or nothing to say of a key that nobody knows."""
    (folder / "profiles.yml").write_text(json.dumps(PROFILE))
    (folder / "packages.yml").write_text(json.dumps({"packages": [{"local": str(ROOT)}]}))
    if not (dbt("deps") and dbt("parse")):
        sys.exit("dbt has a warning about the example project, or the package")
    written = CliRunner().invoke(cli, ["docs", "exposures"], catch_exceptions=False)
    if written.exit_code != 0 or not dbt("parse"):
        sys.exit(f"dbt has a warning about the exposures\n{written.stderr}")
    (folder / "models/control.yml").write_text("models: [{name: sales_contacts_of_old, config: {revetl: {}}}]\n")
    (folder / "models/sales_contacts_of_old.sql").write_text("select 1 as id\n")
    if dbt("parse"):
        sys.exit("dbt takes a config key that it does not know: these checks were not made")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
