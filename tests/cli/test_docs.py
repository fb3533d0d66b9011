"""`revetl docs`: the syncs in dbt's lineage."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version

import pytest
import yaml
from shop import Shop

from .test_cli import revetl
from .tiny import Tiny

# dbt checks YAML strictly only for the warehouses of this list: see tests/test_example_project.py.
STRICT = """\
import os, sys
os.environ["DBT_ENV_PRIVATE_RUN_JSONSCHEMA_VALIDATIONS"] = "true"  # what dbt 1.10 wants, and newer ones do anyway
from dbt.jsonschemas import jsonschemas
jsonschemas._JSONSCHEMA_SUPPORTED_ADAPTERS = {"duckdb"}
from dbt.cli.main import cli
sys.exit(cli())
"""
DBT = tuple(map(int, version("dbt-core").split(".")[:2]))
ENV = {"CRM_URL": "https://crm.example.com", "DBT_ENV_SECRET_CRM": "s", "API_URL": "https://api.example.com"}


@pytest.mark.skipif(DBT < (1, 10), reason="dbt reports deprecated YAML since 1.10")
def test_dbt_takes_them_without_a_warning_and_lineage_ends_at_the_tool(tiny: Tiny) -> None:
    written = tiny.revetl("docs", "exposures", "--target", "prod", **ENV)
    assert written.exit_code == 0, written.output
    strictly = [sys.executable, "-c", STRICT, "--warn-error", "ls", "--select", "+exposure:people_to_crm"]
    done = subprocess.run(
        [*strictly, "--output", "name", "--quiet"], cwd=tiny.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert {"people", "people_to_crm"} <= set(done.stdout.split())
    manifest = json.loads((tiny.folder / "target" / "manifest.json").read_text())
    exposure = manifest["exposures"]["exposure.tiny.people_to_crm"]
    assert exposure["url"] == "https://app.hubspot.com"
    assert exposure["owner"]["name"] == "tiny"
    fields = exposure["config"]["meta"]["revetl_sync"]["fields"]
    assert fields["firstname"] == {"column": "full_name"}
    assert fields["tiny_id"] == {"sql": "cast(id as varchar)"}
    assert tiny.revetl("ls").exit_code == 0  # the exposures declare no syncs of their own


class TestFile:
    def test_stdout_and_check(self, shop: Shop) -> None:
        first = yaml.safe_load(revetl("docs", "exposures", "--file", "-").stdout)["exposures"]
        assert [item["name"] for item in first] == [sync.name for sync in shop.load().syncs]
        assert revetl("docs", "exposures", "--check").exit_code == 1
        assert revetl("docs", "exposures").exit_code == 0
        assert revetl("docs", "exposures", "--check").exit_code == 0

    @pytest.mark.parametrize(
        ("owner", "expected"),
        [("sales@example.com", {"email": "sales@example.com"}), ("{name: Sales}", {"name": "Sales"})],
    )
    def test_the_owner_in_meta(self, shop: Shop, owner: str, expected: dict[str, str]) -> None:
        shop.write_models(
            f"""\
models:
  - name: users
    config:
      meta:
        owner: {owner}
        revetl:
          users_to_api: {{destination: api, object: users, match: {{email: email}}, fields: {{name: full_name}}}}
"""
        )
        (exposure,) = yaml.safe_load(revetl("docs", "exposures", "--file", "-").stdout)["exposures"]
        assert exposure["owner"] == expected

    def test_braces_in_an_expression_stay_as_they_are(self, shop: Shop) -> None:
        shop.write_sync("{destination: api, object: users, match: {email: email}, fields: {name: {value: 'a {# b'}}}")
        printed = revetl("docs", "exposures", "--file", "-")
        assert "{{ '{#' }}" in printed.stdout, printed.output
