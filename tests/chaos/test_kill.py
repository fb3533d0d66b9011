"""kill -9 at chosen and at random moments of `revetl run`, then runs that are left alone: nothing is missing, nothing
is there twice, nothing is silent.

Each run is a process forked from one that has loaded dbt, so that hundreds can be killed; test_process.py kills some
that were started from nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from engine.bounds import MORE

from .scenes import KEYED, ONCE, UPSERTS, Scene, settled, staged
from .seeds import lanes, seed
from .world import BATCH, WORKERS, World, world

pytestmark = pytest.mark.xdist_group("kill")

SYNCS = [*UPSERTS, *ONCE, *KEYED]
JOURNAL = "revetl_dbt.engine.journal:Journal"
LEDGER = "revetl_dbt.warehouse.ledger:Ledger"
STORE = "revetl_dbt.warehouse.store:Store"
SESSION = "requests:Session"
MARKETO = "revetl_dbt.destinations.marketo:Marketo"
# The first batch is not a job's: updates go one way, creates another.
JOBS = [
    (MARKETO, "submit", 1, "before"),
    (MARKETO, "submit", 1, "after"),
    (JOURNAL, "job", 1, "before"),
    (JOURNAL, "job", 1, "after"),
    (MARKETO, "poll", 1, "before"),
    (MARKETO, "poll", 1, "after"),
    (JOURNAL, "done", 2, "before"),
    (JOURNAL, "done", 2, "after"),
]
POINTS = [
    (STORE, "take_lease", 1, "after"),
    (STORE, "renew_lease", 2, "before"),
    (STORE, "renew_lease", 3, "after"),
    (LEDGER, "write_plan", 1, "before"),
    (LEDGER, "write_plan", 1, "after"),
    (STORE, "set_plan", 1, "after"),
    (JOURNAL, "start", 1, "after"),
    (JOURNAL, "sent", 1, "before"),
    (JOURNAL, "sent", 3, "after"),
    (SESSION, "send", 1, "before"),
    (SESSION, "send", 3, "after"),
    (JOURNAL, "done", 1, "before"),
    (JOURNAL, "done", 2, "after"),
    (LEDGER, "fold", 1, "before"),
    (LEDGER, "fold", 1, "after"),
    (LEDGER, "fold", 2, "after"),
    (JOURNAL, "forget", 1, "after"),
    (JOURNAL, "forget", 2, "before"),
    (JOURNAL, "finish", 1, "before"),
    (JOURNAL, "finish", 1, "after"),
    (LEDGER, "drop_plan", 1, "after"),
    (STORE, "release_lease", 1, "before"),
    (STORE, "record_run", 1, "before"),
]
PLACES = [
    ["engine/", "warehouse/", "destinations/"],
    ["engine/journal.py", "engine/sending.py", "engine/delivery.py"],
    ["engine/journal.py"],
    ["warehouse/ledger.py", "warehouse/dbt_api.py", "warehouse/store.py"],
    ["destinations/"],
]


class Stage:
    """A world, and the scenes that were staged in it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._scenes: dict[str, Scene] = {}

    def set(self, sync: str) -> tuple[World, Scene]:
        if sync not in self._scenes:
            self._scenes[sync] = staged(self.world, sync)
        self.world.declare(sync)
        self.world.back(sync)
        return self.world, self._scenes[sync]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with world(tmp_path_factory.mktemp("kill") / "shop") as made:
        yield Stage(made)


def _name(value: Any) -> str | None:
    return "-".join(str(part).rpartition(":")[2] for part in value) if isinstance(value, tuple) else None


def _some(points: list[Any]) -> list[Any]:
    """Every second point with one sync, the syncs in turn; each point with every sync where more is tried."""
    if MORE > 1:
        return [(point, sync) for point in points for sync in SYNCS]
    return [(point, SYNCS[n % len(SYNCS)]) for n, point in enumerate(points[::2])]


@pytest.mark.parametrize(("point", "sync"), _some(POINTS), ids=_name)
def test_at_a_point(stage: Stage, point: tuple[str, str, int, str], sync: str) -> None:
    world, scene = stage.set(sync)
    place, method, nth, when = point
    world.killed({"call": f"{place}.{method}", "nth": nth, "when": when})
    settled(world, scene, kills=1)


@pytest.mark.parametrize("point", JOBS, ids=_name)
def test_around_a_job(stage: Stage, point: tuple[str, str, int, str]) -> None:
    """The next run asks the vendor what became of a job that was begun, and begins no other for its rows."""
    world, scene = stage.set("leads")
    place, method, nth, when = point
    assert world.killed({"call": f"{place}.{method}", "nth": nth, "when": when})
    begun = (method, when) in {("submit", "after"), ("poll", "before"), ("poll", "after"), ("done", "before")}
    world.run()
    if begun or method == "done":
        assert world.records_sent() == scene.sent
    settled(world, scene, kills=1)


@pytest.mark.parametrize(
    ("kill", "sync"), _some([(n, when) for n in (2, 4) for when in ("before", "after")]), ids=_name
)
def test_by_a_request(stage: Stage, kill: tuple[int, str], sync: str) -> None:
    """The process dies while its request is on the way, `before` or `after` the vendor has carried it out."""
    world, scene = stage.set(sync)
    world.sandbox.kill = kill
    world.killed()
    settled(world, scene, kills=1)


@pytest.mark.parametrize(("torn", "sync"), _some([(2, 0.5), (3, 0.0), (4, 0.99), (5, 0.3), (6, 0.9)]), ids=_name)
def test_in_a_journal_line(stage: Stage, torn: tuple[int, float], sync: str) -> None:
    world, scene = stage.set(sync)
    world.killed({"torn": torn[0], "share": torn[1]})
    settled(world, scene, kills=1)


@pytest.mark.parametrize("lane", lanes(8))
def test_again_and_again_at_any_line(stage: Stage, lane: int) -> None:
    """A run is killed at a random line, or after a random time, and so are the next ones; the last is left alone."""
    number = seed(lane)
    dice = random.Random(number)
    world, scene = stage.set(SYNCS[number % len(SYNCS)])
    kills = 0
    for _ in range(dice.randint(1, 3)):
        if dice.random() < 0.2:
            kills += world.killed(after=dice.uniform(0.02, 0.5))
        else:
            places = dice.choice(PLACES)
            lines = sum(n for file, n in scene.lines.items() if file.startswith(tuple(places)))
            kills += world.killed({"line": dice.randint(1, lines), "in": places})
    settled(world, scene, kills)


@pytest.mark.parametrize(
    ("point", "sync"),
    [((SESSION, "send", 3, "after"), "events"), ((LEDGER, "fold", 2, "after"), "orders")]
    if MORE <= 1
    else [(point, sync) for point in POINTS for sync in ONCE],
    ids=_name,
)
def test_the_journal_is_lost_too(stage: Stage, point: tuple[str, str, int, str], sync: str) -> None:
    """Another machine goes on: what must not be sent twice is not, and what nobody can tell of is reported."""
    world, scene = stage.set(sync)
    place, method, nth, when = point
    world.killed({"call": f"{place}.{method}", "nth": nth, "when": when})
    for journal in world.journals():
        journal.unlink()
    settled(world, scene, kills=1)


@pytest.mark.parametrize("nth", [2, 8])
def test_what_is_taken_back_while_a_journal_waits(stage: Stage, nth: int) -> None:
    """Creates, updates and deletes are on their way when the run dies; then the model is what it was before."""
    world, scene = stage.set("people")
    before = world.held()
    world.edit("create table later as select * from people")
    world.sandbox.kill = (nth, "after")
    world.killed()
    world.edit("delete from people", *(f"insert into people values ({r['id']}, null, '{r['name']}')" for r in before))
    world.run()
    orphans = [record for record in world.held() if record not in before]
    # Created without our being told, and then never wanted: not ours to delete.
    assert len(orphans) <= WORKERS * BATCH
    assert not {record["id"] for record in orphans} & {record["id"] for record in before}
    assert [record for record in world.held() if record not in orphans] == before
    world.edit("delete from people", "insert into people select * from later")
    world.run()
    assert world.held() == scene.end
    assert world.run()["requests"] == 0


_NAME, _LETTER = {"column": "name"}, {"sql": "left(name, 1)"}


@pytest.mark.parametrize(
    "fields",
    [{"name": _NAME, "firstname": _LETTER}, {"firstname": _LETTER}, {"name": {"sql": "upper(name)"}}],
    ids=["added", "replaced", "redefined"],
)
def test_the_mapping_changes_while_a_journal_waits(stage: Stage, fields: dict[str, Any]) -> None:
    world, _ = stage.set("people")
    world.killed({"call": f"{JOURNAL}.done", "nth": 3, "when": "after"})
    world.declare("people", fields=fields)
    assert world.run()["status"] == "success"
    assert "Recovered" in world.said()
    held = {record["id"]: record for record in world.held()}
    rows = world.query("select id, name, left(name, 1), upper(name) from people")
    assert held.keys() == {row[0] for row in rows}
    for number, name, letter, upper in rows:
        expected = {"name": upper if fields.get("name", _NAME) != _NAME else name, "firstname": letter}
        assert {field: held[number][field] for field in fields} == {field: expected[field] for field in fields}
    assert world.run()["requests"] == 0
