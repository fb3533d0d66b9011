from __future__ import annotations

from collections.abc import Iterator

import pytest

from .stub import Stub, serving

pytest.register_assert_rewrite("revetl_dbt.destinations.conformance")


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving() as running:
        yield running
