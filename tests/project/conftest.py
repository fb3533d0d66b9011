from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from shop import DESTINATIONS, PROFILES, PROJECT, USERS, Shop

ORDERS = """
  - name: orders
    config:
      tags: [nightly]
"""
SQL = """\
{{ config(materialized="table", meta={"revetl": {
    "orders_to_api": {"destination": "api", "object": "companies", "key": "order_id", "match": {"id": "order_id"}}
}}) }}
select 1 as order_id, user_id from {{ ref("users") }}
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return Shop(tmp_path)


@pytest.fixture(scope="session")
def parsed_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the manifest that real dbt wrote for it."""
    folder = tmp_path_factory.mktemp("shop")
    files = {
        "dbt_project.yml": PROJECT,
        "profiles.yml": PROFILES,
        "destinations.yml": DESTINATIONS,
        "models/schema.yml": USERS + ORDERS,
        "models/users.sql": "select 1 as user_id, 'a@example.com' as email, 'A' as full_name",
        "models/orders.sql": SQL,
        "selectors.yml": "selectors:\n  - name: nightly\n    definition: tag:nightly\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    dbt = Path(sys.executable).with_name("dbt")
    subprocess.run([dbt, "parse", "--profiles-dir", folder], cwd=folder, check=True, capture_output=True)
    return folder
