from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from shop import Shop

from revetl_dbt.warehouse import dbt_api

from .tiny import Tiny, build


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return Shop(tmp_path)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny project, built by dbt."""
    return build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def booted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of one test share what dbt loads, which takes a second each time."""
    boot, known = dbt_api._boot, {}

    def cached(options: dbt_api.DbtOptions) -> Any:
        key = repr(options)
        if key not in known:
            known[key] = boot(options)
        return known[key]

    monkeypatch.setattr(dbt_api, "_boot", cached)


@pytest.fixture
def tiny(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A copy of the tiny project, as the current folder."""
    monkeypatch.chdir(tmp_path)
    return Tiny(built, tmp_path)
