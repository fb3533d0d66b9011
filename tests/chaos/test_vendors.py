"""Every connector, through the engine, against a stand-in that misbehaves: every row has a fate, the ledger holds what
the vendor holds, and when the faults stop one run sets everything right."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from engine.bounds import MORE

from revetl_dbt.destinations.conformance import Trouble as Fault

from .seeds import lanes, seed
from .vendors import QUOTA, VENDORS, WORKERS, Account, account, outcomes

ONCE, TWICE = {"times": 1}, {"times": 2}
SUCCESS, ERROR, ANY = {"success"}, {"error"}, {"success", "partial", "error"}


@dataclass(frozen=True)
class Trouble:
    """Fault rules, and how a run that meets them may end."""

    rules: tuple[Mapping[str, Any], ...]
    ends: set[str]
    waits: float | None = None  # at least so many seconds are waited at once


def one(kind: str, ends: set[str], waits: float | None = None, **rule: Any) -> Trouble:
    return Trouble(({"kind": kind, **rule},), ends, waits)


TROUBLES: Mapping[str, Trouble] = {
    "rate limit": one("status", SUCCESS, status=429, **ONCE),
    "rate limit, seconds": one("status", SUCCESS, 6.9, status=429, retry_after=7, **ONCE),
    "rate limit, date": one("status", SUCCESS, 5.9, status=429, retry_after=7, retry_after_date=True, **ONCE),
    "rate limit without end": one("status", ERROR, status=429),
    "burst of 500": one("status", SUCCESS, status=500, **TWICE),
    "burst of 502": one("status", SUCCESS, status=502, **TWICE),
    "burst of 503": one("status", SUCCESS, status=503, **TWICE),
    "500 without end": one("status", ERROR, status=500),
    "reset before": one("reset", SUCCESS, **ONCE),
    "reset after": one("reset", SUCCESS, accepted=True, **ONCE),
    "no answer": one("timeout", SUCCESS, seconds=0.01, **ONCE),
    "slow": one("slow", SUCCESS, seconds=0.01, **ONCE),
    "half an answer": one("truncated", SUCCESS, **ONCE),
    "HTML": one("garbage", SUCCESS, body="html", **ONCE),
    "HTML after acceptance": one("garbage", SUCCESS, body="html", accepted=True, **ONCE),
    "HTML page of a proxy": one("garbage", SUCCESS, body="html", status=502, **ONCE),
    "text": one("garbage", SUCCESS, body="text", **ONCE),
    "broken JSON": one("garbage", SUCCESS, body="broken", **ONCE),
    "blank": one("garbage", SUCCESS, body="blank", **ONCE),
    "wrong content type": one("content_type", ANY),
    "success without results": one("empty", SUCCESS | ERROR, **ONCE),
    "token expired": one("expired", SUCCESS | ERROR, **ONCE),
    "token refused": one("expired", ERROR),
    "results shuffled": one("results", ANY, how="shuffle", seed=3),
    "a result twice": one("results", ANY, how="duplicate"),
    "a result missing": one("results", ANY, how="missing"),
    "results untraced": one("results", ANY, how="untraced"),
}
TELLS_NOTHING = {"http-whole"}
"""Where no results are declared, any answer that is a success says that all were accepted: a lie is not found out."""
MISLEADING = {"HTML", "text", "broken JSON", "blank", "success without results"}
ROWS = 9


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in VENDORS])
def there(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """A vendor's account that all tests share, in the order in which they stand here."""
    with account(request.param, tmp_path_factory.mktemp(request.param)) as made:
        made.write({n: f"begin {n}" for n in range(ROWS)})
        assert made.run().status == "success", outcomes(made.results)
        yield made


def true(there: Account) -> None:
    """The ledger holds what the vendor holds, unless a job goes on of which the next run hears."""
    ledger = {} if any((there.folder / "journal").glob("*")) else there.ledger()
    assert {n: there.text(n) for n in ledger} == ledger, outcomes(there.results)


def right(there: Account, now: Mapping[int, str]) -> None:
    """A run without faults sets everything right."""
    there.fault()
    result = there.run()
    assert (result.totals.rejected, result.totals.unknown, result.not_attempted) == (0, 0, 0), outcomes([result])
    whole(there, now)


def whole(there: Account, now: Mapping[int, str]) -> None:
    """The vendor holds what the model says, once, and the ledger knows it."""
    assert {n: there.text(n) for n in now} == dict(now) == there.ledger(), outcomes(there.results)
    assert there.records() == len(now)


def rules_of(there: Account, name: str) -> tuple[Mapping[str, Any], ...]:
    """A trouble's rules. Some vendors promise the order of some results: those are not shuffled."""
    shuffled: Mapping[str, Any] = there.subject.server.FAULTS[Fault.SHUFFLED]  # type: ignore[attr-defined] # a Stand
    return (shuffled,) if name == "results shuffled" else TROUBLES[name].rules


def _some(vendor: str) -> list[str]:
    """A sixth of the troubles for each connector; all of them where more is tried."""
    number = list(VENDORS).index(vendor)
    names = [name for n, name in enumerate(TROUBLES) if MORE > 1 or n % 6 == number % 6]
    return [name for name in names if not (vendor in TELLS_NOTHING and name in MISLEADING)]


def test_each_trouble(there: Account) -> None:
    problems = []
    for name in _some(there.vendor):
        trouble = TROUBLES[name]
        now = {n: f"{name} {n}" for n in range(ROWS)}
        there.write(now)
        there.fault(*rules_of(there, name))
        result = there.run()
        if result.status not in trouble.ends:
            problems.append(f"{name}: {outcomes([result])}")
        if trouble.waits is not None and max(there.waits, default=0) < trouble.waits:
            problems.append(f"{name}: waited {there.waits}")
        try:
            if result.status == "success":
                whole(there, now)
            else:
                true(there)
                right(there, now)
        except AssertionError as error:
            problems.append(f"{name}: {str(error)[:600]}")
            right(there, now)
    assert not problems, "\n".join(problems)
    there.fault()
    last = there.run()
    assert (last.status, last.requests) == ("noop", 0)


def test_quota_and_poison(there: Account) -> None:
    """Nothing more today: the destination stops, and nothing is lost. Poison: only those rows are refused."""
    now = {n: f"quota {n}" for n in range(ROWS)}
    there.write(now)
    there.fault({"kind": "status", "status": 429, "retry_after": 86_400, **QUOTA.get(there.vendor, {})})
    result = there.run()
    assert (result.status, result.not_attempted, result.totals.done) == ("error", ROWS, 0), outcomes([result])
    assert there.stopped, "the destination goes on"
    assert result.requests <= 2 * WORKERS, "it was asked again and again"
    right(there, now)
    # A job has a result for each of its rows, whatever they are.
    kinds = [(False, {2, 5})] if there.vendor.endswith("-jobs") else [(False, {2, 5}), (True, {4})]
    for whole_batch, poisoned in kinds:
        now = {n: f"{'poison' if n in poisoned else 'food'} {whole_batch} {n}" for n in range(ROWS)}
        there.write(now)
        poison = {"field": there.subject.text, "contains": "poison", "whole_batch": whole_batch}
        there.fault({"kind": "poison", **poison})
        result = there.run()
        assert (result.status, result.totals.rejected) == ("partial", len(poisoned)), outcomes([result])
        assert there.ledger().items() >= {n: text for n, text in now.items() if n not in poisoned}.items()
        true(there)
    right(there, now)


@pytest.mark.parametrize("lane", lanes(1))
def test_anything_at_any_time(there: Account, lane: int) -> None:
    """Faults of all kinds at once, again and again, while the model is edited; then they stop."""
    dice = random.Random(seed(lane) * 100 + list(VENDORS).index(there.vendor))
    now = {n: f"begin {n}" for n in range(ROWS)}
    refused = TELLS_NOTHING & {there.vendor} and MISLEADING
    names = [name for name in TROUBLES if "without end" not in name and name not in (refused or ())]
    for step in range(dice.randint(2, 3)):
        now |= {n: f"step {step} {dice.randrange(9)}" for n in range(ROWS + 4) if dice.random() < 0.4}
        ours = sorted({*range(ROWS)} & now.keys() & (there.ledger().keys() if step else now.keys()))
        for n in dice.sample(ours, min(2, len(ours))):  # what may never have arrived may not be ours, and stays
            del now[n]
        there.write(now)
        chosen = [rule for name in dice.sample(names, 2) for rule in rules_of(there, name)]
        there.fault(*({**rule, "probability": 0.3, "times": None, "seed": dice.randrange(99)} for rule in chosen))
        result = there.run()
        note = f"{chosen}: {outcomes([result])}"
        assert result.status in ("success", "partial", "error", "noop"), note
        true(there)
    there.fault()
    result = there.run()
    assert (result.totals.rejected, result.totals.unknown, result.not_attempted) == (0, 0, 0), outcomes(there.results)
    known = there.ledger()
    assert {n: there.text(n) for n in now} == now == {n: known[n] for n in now}, outcomes(there.results)
    if there.removes:
        assert not [n for n in set(range(ROWS)) - now.keys() if there.text(n) is not None], outcomes(there.results)
    last = there.run()
    assert (last.status, last.requests) == ("noop", 0)


@pytest.mark.parametrize("vendor", ["http", "hubspot", "stripe"])
def test_clocks_that_differ(vendor: str, tmp_path: Path) -> None:
    """A date to come back at is read by the vendor's clock, not by ours."""
    with account(vendor, tmp_path, now=lambda: time.time() + 3600) as there:
        now = {n: f"skewed {n}" for n in range(3)}
        there.write(now)
        there.fault({"kind": "status", "status": 429, "retry_after": 7, "retry_after_date": True, **ONCE})
        assert there.run().status == "success", outcomes(there.results)
        assert 5.9 <= max(there.waits) <= 7.0
        whole(there, now)


def test_sizes(tmp_path: Path) -> None:
    """A batch over the byte limit is cut; a row over the limit by itself is refused, and stops no other."""
    with account("http", tmp_path) as there:
        there.sandbox.configure("http", max_bytes=100_002)
        now = {n: "x" * 40_000 + str(n) for n in range(ROWS)} | {3: "y" * 100_000}
        there.write(now)
        result = there.run()
        assert (result.status, result.totals.reasons) == ("partial", {"record_too_large": 1}), outcomes([result])
        assert there.ledger() == {n: text for n, text in now.items() if n != 3}
        true(there)
        assert result.requests == 6  # two rows a request, in batches of four
