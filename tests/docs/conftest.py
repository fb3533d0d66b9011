from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the stand-in of tests/destinations
pytest.register_assert_rewrite("revetl_dbt.destinations.conformance")
