"""The page of `revetl docs`: syncs, lineage from model to field, runs, refusals and budgets in one file of HTML."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from revetl_dbt import __version__
from revetl_dbt.engine.hearsay import Hearsay
from revetl_dbt.spec.capabilities import offline
from revetl_dbt.spec.load import Loaded
from revetl_dbt.spec.models import FieldMapping, Sync
from revetl_dbt.warehouse.entries import Entry, damage, entries, standings
from revetl_dbt.warehouse.history import PastRun, Reason, past_runs, reasons
from revetl_dbt.warehouse.store import Store

RUNS = 30  # of each sync, in its chart
DAYS = 14  # of requests, in the chart of a destination
_HEIGHT, _LETTER, _GAP, _BETWEEN = 26.0, 7.4, 14.0, 130.0  # of the drawing, in pixels

_URGENT = ("failing", "held", "partial")  # shown first

Mask = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart: its height in percent, what it stands for, and its kind, which gives the colour."""

    height: float
    title: str
    kind: str


@dataclass(frozen=True, slots=True)
class Mapped:
    """One field of a destination and where its value comes from."""

    field: str
    source: str
    note: str


@dataclass(slots=True)
class SyncPage:
    """Everything that the page says of one sync."""

    sync: Sync
    fields: list[Mapped]
    state: str
    runs: list[PastRun] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    rows: Counter[str] = field(default_factory=Counter)
    reasons: list[Reason] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)

    @property
    def latest(self) -> PastRun | None:
        """Its newest run."""
        return self.runs[0] if self.runs else None


@dataclass(frozen=True, slots=True)
class DestinationPage:
    """Everything that the page says of one destination: its budget, and what was used of it."""

    name: str
    type: str
    sandbox: bool
    url: str | None
    concurrency: int
    requests_per_second: float | None
    daily_requests: int | None
    today: int
    bars: list[Bar]


@dataclass(frozen=True, slots=True)
class Site:
    """The whole page."""

    project: str
    target: str
    generated_at: dt.datetime
    version: str
    syncs: list[SyncPage]
    destinations: list[DestinationPage]

    @property
    def models(self) -> list[str]:
        """The models that are sent, by name."""
        return list(dict.fromkeys(page.sync.source.name for page in self.syncs))

    @property
    def objects(self) -> list[str]:
        """The objects that are written."""
        return list(dict.fromkeys(_object(page.sync) for page in self.syncs))

    @property
    def states(self) -> Counter[str]:
        """Syncs by state."""
        return Counter(page.state for page in self.syncs)


def site(loaded: Loaded, store: Store, mask: Mask, now: dt.datetime) -> Site:
    """Read what the page shows. `mask` hides secrets and values in what others wrote about a sync.

    Raises WarehouseError.
    """
    runs = past_runs(store, [sync.name for sync in loaded.syncs], RUNS * max(1, len(loaded.syncs)))
    by_sync: dict[str, list[PastRun]] = defaultdict(list)
    for run in runs:
        by_sync[run.sync].append(run)
    known = {entry.sync: entry for entry in entries(store)}
    pages = [_sync_page(store, sync, by_sync[sync.name][:RUNS], known.get(sync.name), mask) for sync in loaded.syncs]
    pages.sort(key=lambda page: _URGENT.index(page.state) if page.state in _URGENT else len(_URGENT))
    destinations = [_destination_page(loaded, store, name, runs, now) for name in loaded.outputs]
    target = loaded.profile.target
    return Site(loaded.project.name, target, now, __version__, pages, destinations)


def as_html(page: Site) -> str:
    """The page; it needs no other file and no network."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(number=lambda value: f"{int(value or 0):,}", moment=_moment, seconds=_seconds)
    environment.globals.update(object_of=_object, drawing=_drawing(page), rows_of=_rows_of)
    text = files("revetl_dbt.report").joinpath("templates/site.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text).render(site=page)


def _sync_page(store: Store, sync: Sync, runs: list[PastRun], entry: Entry | None, mask: Mask) -> SyncPage:
    masked = [run._replace(message=run.message and mask(sync.name, run.message)) for run in runs]
    page = SyncPage(sync, list(_mapped(sync)), _state(sync, runs), masked, list(_bars(runs)))
    if entry is None:
        return page
    page.damage = damage(store, entry)
    if not page.damage:
        page.rows = standings(store, entry, sync.spec.rejected.max_attempts)
        found = reasons(store, entry, sync.spec.rejected.max_attempts)
        names = Hearsay(names=[*sync.spec.match, *sync.spec.fields])
        page.reasons = [item._replace(message=_said(item, sync, names, mask)) for item in found]
    return page


def _said(reason: Reason, sync: Sync, hearsay: Hearsay, mask: Mask) -> str | None:
    return reason.message and mask(sync.name, hearsay.hide_values(reason.message, reason.values))


def _destination_page(
    loaded: Loaded, store: Store, name: str, runs: Sequence[PastRun], now: dt.datetime
) -> DestinationPage:
    config = loaded.outputs[name].config
    connector = offline(loaded.outputs[name])
    try:
        url = None if config.sandbox else connector.app_url()
    finally:
        connector.close()
    requests: Counter[dt.date] = Counter()
    for run in runs:
        if run.destination == name:
            requests[run.finished_at.date()] += run.requests or 0
    days = [now.date() - dt.timedelta(days=back) for back in reversed(range(DAYS))]
    most = max([requests[day] for day in days] + [1])
    bars = [Bar(100 * requests[day] / most, f"{day}: {requests[day]:,} requests", "requests") for day in days]
    return DestinationPage(
        name,
        config.type,
        config.sandbox,
        url,
        config.concurrency,
        config.requests_per_second,
        config.daily_requests,
        store.requests_today(name),
        bars,
    )


def _state(sync: Sync, runs: Sequence[PastRun]) -> str:
    if not sync.spec.enabled:
        return "paused"
    latest = next((run for run in runs if not run.command.startswith("state ")), None)
    if latest is None:
        return "new"
    if latest.skipped:
        return "held"
    return {"error": "failing", "partial": "partial", "skipped": "skipped"}.get(latest.status, "fine")


def _mapped(sync: Sync) -> Iterator[Mapped]:
    for name, column in sync.spec.match.items():
        yield Mapped(name, column, "match")
    for name, mapping in sync.spec.fields.items():
        yield Mapped(name, _origin(mapping), _notes(mapping))


def _origin(mapping: FieldMapping) -> str:
    if mapping.column is not None:
        return mapping.column
    if mapping.sql is not None:
        return mapping.sql
    if mapping.lookup is not None:
        (found_by, column), *_ = mapping.lookup.match.items()
        return f"{mapping.lookup.object} whose {found_by} is {column}"
    return f"constant {mapping.value!r}"


def _notes(mapping: FieldMapping) -> str:
    notes = [] if mapping.write.value == "always" else [mapping.write.value.replace("_", " ")]
    if mapping.hash is not None:
        notes.append(mapping.hash)
    if mapping.if_null != "clear":
        notes.append("null: skip" if mapping.if_null == "skip" else f"null: {mapping.if_null!r}")
    return ", ".join(notes)


def _bars(runs: Sequence[PastRun]) -> Iterator[Bar]:
    """The oldest first; what is small beside the most changes that a run had is still seen."""
    most = max([_changes(run) for run in runs] + [1])
    for run in reversed(runs):
        changes = _changes(run)
        told = f"{_moment(run.finished_at)}: {run.status}, {changes:,} changes"
        yield Bar(max(6.0, 100 * math.sqrt(changes / most)), told, run.status)


def _changes(run: PastRun) -> int:
    return sum(int(count or 0) for count in (run.created, run.updated, run.deleted, run.rejected))


def _object(sync: Sync) -> str:
    return f"{sync.spec.destination}.{sync.spec.object}"


@dataclass(frozen=True, slots=True)
class Drawing:
    """Models on the left, objects on the right, and a line a sync: (path, state, tooltip); lengths in pixels."""

    left: float
    right: float
    width: float
    height: float
    models: Mapping[str, float]
    objects: Mapping[str, float]
    lines: Sequence[tuple[str, str, str]]


def _drawing(page: Site) -> Drawing:
    models, objects = _places(page.models), _places(page.objects)
    left, right = (_LETTER * max(map(len, names), default=0) + _GAP for names in (models, objects))
    end, bend = left + _BETWEEN, _BETWEEN / 2
    lines = []
    for item in page.syncs:
        y1, y2 = models[item.sync.source.name], objects[_object(item.sync)]
        path = f"M {left:.0f} {y1:.0f} C {left + bend:.0f} {y1:.0f}, {end - bend:.0f} {y2:.0f}, {end:.0f} {y2:.0f}"
        lines.append((path, item.state, f"{item.sync.name}: {item.state}"))
    height = _HEIGHT * max(len(models), len(objects))
    return Drawing(left, end, end + right, height, models, objects, lines)


def _places(names: Sequence[str]) -> Mapping[str, float]:
    return {name: _HEIGHT * (index + 0.5) for index, name in enumerate(names)}


def _rows_of(run: PastRun) -> str:
    counts = {"created": run.created, "updated": run.updated, "deleted": run.deleted, "rejected": run.rejected}
    return ", ".join(f"{int(count):,} {word}" for word, count in counts.items() if count) or "no changes"


def _moment(value: dt.datetime | None) -> str:
    return "" if value is None else f"{value:%Y-%m-%d %H:%M}"


def _seconds(run: PastRun) -> str:
    return "" if run.started_at is None else f"{(run.finished_at - run.started_at).total_seconds():.1f} s"


def in_words(page: Site) -> str:
    """What was found, in a line."""
    return ", ".join(f"{count} {state}" for state, count in page.states.most_common()) or "no sync"
