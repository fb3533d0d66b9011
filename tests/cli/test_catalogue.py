"""Errors that no other test provokes, and the shape of messages; tests/docs/test_errors.py wants one for each."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner
from shop import Shop

from revetl_dbt.cli.main import cli

from .tiny import Tiny

SHAPE = re.compile(r"(error|warning)\[([a-z-]+)\]: \S.*(\n  (?!expected|hint)\S+.*)?(\n  expected: .+)?(\n  hint: .+)?")


def revetl(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stderr


class TestWithoutAWarehouse:
    """Mistakes that no other test makes."""

    def test_live_credentials_for_development(self, shop: Shop) -> None:
        shop.write("destinations.yml", "api: {outputs: {dev: {type: stripe, api_key: rk_live_x, account: acct_1}}}\n")
        code, stderr = revetl("validate")
        assert (code, "error[not-for-target]: `api_key` is a live key" in stderr) == (2, True), stderr

    def test_an_exposure_without_an_owner(self, shop: Shop) -> None:
        code, stderr = revetl("docs", "exposures", "--file", "-")
        assert (code, "warning[owner-unknown]" in stderr) == (0, True), stderr

    def test_a_file_for_a_vendor_without_the_vendor(self, shop: Shop) -> None:
        code, stderr = revetl("sandbox", "--setup", "hubspot.yml")
        assert (code, "error[setup-invalid]: `hubspot.yml` names no vendor" in stderr) == (2, True), stderr

    def test_packages_that_are_not_installed(self, shop: Shop) -> None:
        shop.write("packages.yml", "packages: [{package: dbt-labs/dbt_utils, version: 1.3.0}]\n")
        code, stderr = revetl("plan")
        assert (code, "error[packages-missing]" in stderr, "dbt deps" in stderr) == (2, True, True), stderr

    def test_a_profile_that_dbt_refuses(self, shop: Shop) -> None:
        shop.write("profiles.yml", "shop: {target: dev, outputs: {dev: {type: no_such_adapter}}}\n")
        code, stderr = revetl("plan")
        assert (code, "error[dbt-config]: dbt cannot read the project" in stderr) == (2, True), stderr

    def test_everything_at_once_in_one_shape(self, shop: Shop) -> None:
        shop.write_sync(
            "destination: apy\nobject: user\nmode: upsrt\nkey: user_id\nmatch: {email: emial}\nfields: {a: {}}"
        )
        shop.write("destinations.yml", "api: {outputs: {dev: {type: htp}}}\n")
        code, stderr = revetl("validate")
        found = re.split(r"\n+(?=error\[)", stderr.strip())
        assert code == 2
        assert len(found) >= 3, stderr
        assert [text for text in found if not SHAPE.fullmatch(text)] == []
        assert all(re.search(r"\n  \S+\.yml:\d+  \S", text) for text in found), stderr
        assert sum("hint: Did you mean `" in text for text in found) >= 2, stderr


@pytest.mark.usefixtures("booted_once")
def test_what_the_state_says(tiny: Tiny) -> None:
    with tiny.sandbox():
        assert tiny.revetl("run", "--sync", "people_to_api", "--quiet").exit_code == 0
        syncs = "main_revetl.revetl_syncs"
        tiny.sql(f"update {syncs} set object = 'companies' where sync = 'people_to_api'")
        changed = tiny.revetl("run", "--sync", "people_to_api")
        assert changed.exit_code == 1
        assert "error[object-changed]: The ledger of sync `people_to_api` is of object `companies`" in changed.stderr
        tiny.sql(
            f"create table twice as select * replace ('other' as account) from {syncs}",
            f"insert into {syncs} from twice",
        )
        several = tiny.revetl("state", "reset", "people_to_api", "--yes")
        assert several.exit_code == 2
        assert "error[account-ambiguous]: Sync `people_to_api` has written to several accounts" in several.stderr
        assert "hint: Say which with --account" in several.stderr
