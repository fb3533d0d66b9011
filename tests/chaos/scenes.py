"""What a run has to do when it is killed, for each kind of write, and what it must have come to in the end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .world import BATCH, WORKERS, World

UPSERTS, ONCE, KEYED = ("people", "contacts", "leads"), ("events", "orders"), ("keyed",)
_ROWS = {"contacts": 240}  # the vendor's batches are larger


@dataclass(frozen=True)
class Scene:
    """A kept state in which a run has much to do; what it comes to when it is left alone; how many lines that takes."""

    sync: str
    end: list[dict[str, Any]]
    sent: int
    lines: Mapping[str, int]

    @property
    def batch(self) -> int:
        return {"contacts": 100, "leads": len(self.end)}.get(self.sync, BATCH)


def staged(world: World, sync: str) -> Scene:
    """Rows that were sent long ago, then changes of every kind that the sync knows."""
    rows = _ROWS.get(sync, 30)
    world.clear()
    world.declare(sync)
    world.edit(
        "create table people as select n::integer as id, 'p' || n || '@example.com' as email, 'Ann ' || n as name"
        f" from range({rows // 3}, {rows}) as r(n)"
    )
    world.run()
    world.edit(
        f"insert into people select n, 'p' || n || '@example.com', 'new' from range({rows}, {2 * rows}) as r(n)",
        "insert into people select n, 'p' || n || '@example.com', 'early' from range(0, 4) as r(n)",
    )
    if sync in UPSERTS:
        world.edit(
            f"update people set name = 'Bea' where id % 3 = 0 and id < {rows}", "delete from people where id % 7 = 5"
        )
    world.keep(sync)
    count = world.folder.parent / "lines.json"
    world.back(sync)
    world.start(death={"count": str(count)}, busy=True)
    assert world.ended() == 0, world.said()
    return Scene(sync, world.held(), world.records_sent(), json.loads(count.read_text()))


def settled(world: World, scene: Scene, kills: int) -> None:
    """Runs until one is left alone: the end is that of a run that nobody killed, and then nothing is left to do."""
    if scene.sync in ONCE:
        _once(world, scene, kills)
    else:
        world.run()
        assert world.held() == scene.end
        assert world.records_sent() <= scene.sent + kills * WORKERS * scene.batch, (
            "more than a batch a worker was sent again"
        )
    last = world.run()
    assert (last["requests"], last["counts"]["planned"]) == (0, last["counts"]["held"])
    assert not world.journals()
    assert world.query("select * from main_revetl.revetl_leases") == []


def _once(world: World, scene: Scene, kills: int) -> None:
    """What can be told neither by a key nor by reading is there at most once; what is not there is reported."""
    world.start()
    code = world.ended()
    there = Counter(json.dumps(record) for record in world.held())
    assert max(there.values()) == 1, "a row was sent twice"
    told = world.query("select row_key from main_revetl.revetl_outcomes where status = 'unknown'")
    reported = {int(key) for (key,) in told}
    missing = {record["number"] for record in scene.end} - {record["number"] for record in world.held()}
    assert missing <= reported, "a row was dropped"
    # A run that was killed too may have been the one that told.
    assert code == (1 if reported else 0) or (kills > 1 and code == 0), world.said()
