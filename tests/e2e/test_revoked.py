"""Credentials that are refused in the middle of a run: they are renewed where OAuth can, and stop the destination where
not; what was sent is recorded, the rest goes with the next run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chaos.vendors import account, outcomes

ROWS = 8
REFUSED: dict[str, Any] = {"kind": "expired", "nth": list(range(7, 100))}


@pytest.mark.parametrize("vendor", ["intercom", "zendesk", "stripe"])
def test_revoked_for_good(vendor: str, tmp_path: Path) -> None:
    with account(vendor, tmp_path) as there:
        now = {n: f"text {n}" for n in range(ROWS)}
        there.write(now)
        there.fault(REFUSED)
        result = there.run()
        assert result.status == "error", outcomes([result])
        assert there.stopped, "the destination goes on"
        assert 0 < result.totals.done < ROWS
        assert (result.totals.rejected, result.totals.unknown) == (0, 0)
        assert result.totals.done + result.not_attempted == ROWS, "every row has a fate"
        sent = there.ledger()
        assert {n: there.text(n) for n in sent} == sent
        assert len(sent) == there.records()
        there.fault()
        assert there.run().status == "success"
        assert there.ledger() == now
        assert there.records() == ROWS


def test_expired_and_renewed(tmp_path: Path) -> None:
    with account("zendesk", tmp_path) as there:
        now = {n: f"text {n}" for n in range(ROWS)}
        there.write(now)
        there.fault({"kind": "expired", "nth": [4], "path": "*/api/*"})
        result = there.run()
        assert (result.status, result.totals.created) == ("success", ROWS), outcomes([result])
        tokens = [line.status for line in there.sandbox.requests() if line.path == "/zendesk/oauth/tokens"]
        assert tokens == [200, 200], "one when it began, one when the first had expired"
