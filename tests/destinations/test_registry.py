from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from revetl_dbt.destinations import registry
from revetl_dbt.destinations.http import Http
from revetl_dbt.destinations.hubspot import HubSpot
from revetl_dbt.errors import InputError


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """Entry points to add to; the registry sees these and no others."""
    entries: list[EntryPoint] = []
    monkeypatch.setattr(registry, "entry_points", lambda group: entries)
    registry.connector.cache_clear()
    yield entries
    registry.connector.cache_clear()


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, registry.GROUP)


def refused(name: str) -> InputError:
    with pytest.raises(InputError) as caught:
        registry.connector(name)
    return caught.value


def test_built_ins_use_the_same_door() -> None:
    assert {"http", "hubspot"} <= set(registry.names())
    assert registry.connector("http") is Http
    assert registry.connector("hubspot") is HubSpot


def test_listing_imports_no_connector() -> None:
    code = (
        "import sys; from revetl_dbt.destinations.registry import names; names();"
        "loaded = {'requests', 'revetl_dbt.destinations.http', 'revetl_dbt.destinations.hubspot'} & set(sys.modules);"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_type_names_the_nearest() -> None:
    error = refused("hubpost")
    assert [d.code for d in error.diagnostics] == ["destination-type-unknown"]
    assert "Did you mean `hubspot`?" in str(error)
    assert "`http`" in str(error)


def test_nothing_is_installed(installed: list[EntryPoint]) -> None:
    assert "pip install -e ." in str(refused("http"))


def test_two_packages_for_one_type(installed: list[EntryPoint]) -> None:
    installed += [entry("http", "revetl_dbt.destinations.http:Http"), entry("http", "other:Http")]
    error = refused("http")
    assert [d.code for d in error.diagnostics] == ["destination-type-ambiguous"]
    assert "other:Http" in str(error)


def test_the_same_package_twice_on_the_path(installed: list[EntryPoint]) -> None:
    installed += [entry("http", "revetl_dbt.destinations.http:Http")] * 2
    assert registry.connector("http") is Http


@pytest.mark.parametrize("value", ["no_such_module:X", "revetl_dbt.destinations.http:X", "json:JSONDecoder"])
def test_a_broken_provider(installed: list[EntryPoint], value: str) -> None:
    installed.append(entry("mine", value))
    assert [d.code for d in refused("mine").diagnostics] == ["destination-type-broken"]
