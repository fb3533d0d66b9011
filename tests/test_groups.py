"""Tests that share what is costly to set up, or tell one story, go to one worker of pytest-xdist."""

from __future__ import annotations

import pytest


@pytest.mark.xdist_group("told apart")
def test_groups_are_kept_together(request: pytest.FixtureRequest) -> None:
    """The plugin marks a test's name with its group; a pytest that it does not know would lose that without a word."""
    in_a_worker = hasattr(request.config, "workerinput")
    assert request.node.nodeid.endswith("@told apart") is in_a_worker
