from __future__ import annotations

from pathlib import Path

import pytest
from shop import Shop

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
def tiny(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A copy of the tiny project, as the current folder."""
    monkeypatch.chdir(tmp_path)
    return Tiny(built, tmp_path)
