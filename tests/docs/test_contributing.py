"""The connector that CONTRIBUTING.md shows is a whole one: it passes the conformance kit."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from destinations.test_conformance import VALUES, Stand

from revetl_dbt.destinations.conformance import Conformance, Subject
from revetl_dbt.sandbox import Sandbox

CONTRIBUTING = Path(__file__).resolve().parents[2] / "CONTRIBUTING.md"


@pytest.fixture(scope="module")
def beacon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The Python of CONTRIBUTING.md as the module that it says it is."""
    text = CONTRIBUTING.read_text(encoding="utf-8")
    path = tmp_path_factory.mktemp("beacon") / "beacon_connector.py"
    path.write_text("\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(path.parent)
        yield importlib.import_module(path.stem)
        sys.modules.pop(path.stem)


class TestBeacon(Conformance):
    @pytest.fixture
    def subject(self, beacon: ModuleType, tmp_path: Path) -> Iterator[Subject]:
        with Sandbox(tmp_path / "state") as sandbox:
            sandbox.configure("http", results="id", key="email", secret="Bearer t0ken")
            config = beacon.BeaconConfig(type="beacon", workspace="acme", token="t0ken", base_url=sandbox.url("http"))
            yield Subject(
                connect=lambda gate: beacon.Beacon(config, gate),
                server=Stand(sandbox, "http", "people", "email", "name"),
                object="people",
                match="email",
                values=VALUES,
                text="name",
                secret="t0ken",
            )


def test_it_is_short() -> None:
    text = CONTRIBUTING.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
