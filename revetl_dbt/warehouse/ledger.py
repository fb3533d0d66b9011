"""One sync in the warehouse: its ledger, its plan, and the fold of outcomes into the ledger."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec

from revetl_dbt.destinations.base import ColumnType
from revetl_dbt.errors import Diagnostic, InputError, WarehouseError
from revetl_dbt.spec.models import Mode, Sync
from revetl_dbt.warehouse.compact import compact
from revetl_dbt.warehouse.copy import copy_model, local_layout
from revetl_dbt.warehouse.integrity import check_plan, damaged, fits, inspect
from revetl_dbt.warehouse.layout import Layout, Tables, checksum, draft, recorded, restored, table_suffix, typed
from revetl_dbt.warehouse.reader import PAGE_ROWS, RESULT_ROWS
from revetl_dbt.warehouse.since import Mark, limited, view
from revetl_dbt.warehouse.store import REOPENED_AFTER, Store, SyncState
from revetl_dbt.warehouse.types import is_binary

RESULT_ROWS_PER_STATEMENT = 5_000
_LEAST_PORTION, _MOST_PORTION = 1_000, 20_000  # rows
# Rendering a macro costs milliseconds: a page's SQL is rendered once, with these in place of its numbers.
_SEQ_FROM, _SEQ_TO = "__seq_from__", "__seq_to__"


_UNPACKS_JSON = frozenset({"duckdb", "postgres", "bigquery", "spark", "databricks"})

REMOVALS = ("delete", "clear")
"""Operations of plan rows whose row is gone from the model."""


class Result(NamedTuple):
    """An outcome as the warehouse is told of it.

    `status` is accepted; rejected (tried again in the next run); unsure (may have arrived, and is sent again); unknown
    (may have arrived, and must not be sent again); not_attempted.
    """

    seq: int
    status: str
    id: str | None
    code: str | None
    message: str | None


class Range(NamedTuple):
    """Plan rows of one operation by their numbers, both ends included."""

    op: str
    seq_from: int
    seq_to: int


@dataclass(frozen=True, slots=True)
class Group:
    """Plan rows with the same operation and reason."""

    op: str
    reason: str | None
    rows: int
    seq_from: int
    seq_to: int


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """What a materialised plan holds, and the sizes of model, ledger and table of rejected rows."""

    groups: tuple[Group, ...]
    model_rows: int
    ledger_rows: int
    rejected_rows: int

    def count(self, *ops: str) -> int:
        """Rows with one of the operations."""
        return sum(group.rows for group in self.groups if group.op in ops)

    def unchanged(self, *, deletes_are_rows: bool) -> int:
        """Rows of the model that the destination has as they are.

        A row to delete or clear stands in the ledger only, unless the sync's mode is to delete (`deletes_are_rows`).
        """
        removals = () if deletes_are_rows else REMOVALS
        gone = [g for g in self.groups if g.op in removals or (g.op == "held" and g.reason in removals)]
        return self.model_rows - sum(group.rows for group in self.groups) + sum(group.rows for group in gone)


class Ledger:
    """The state of one sync and account.

    Opened by `open_ledger`; every method opens the calling thread's connection itself.
    """

    def __init__(
        self,
        store: Store,
        layout: Layout,
        account: str,
        *,
        begun: bool,
        settled: bool = False,
        mark: Mark | None = None,
    ) -> None:
        """`begun`: a run has planned the sync before; `settled`: one has come through; `mark`: how far this one looks,
        where that matters to the next."""
        self.mark = mark
        self.begun = begun
        self.settled = settled
        self.store = store
        self.layout = layout
        self.account = account
        self._argument = layout.as_argument()
        self._clean = False
        self._folded = False
        self._spread = 1.0  # rows of the ledger for each that is replaced

    def settled_rows(self, at_least: int = 0) -> int | None:
        """The number of the model's rows when they are `at_least` so many and every one is what was accepted, told by
        one query; None when a plan must tell."""
        rows, settled = self.store.query(self._sql("revetl_probe"))[0]
        if not settled or rows < at_least:
            return None
        self._drop_copy()
        return int(rows)

    def _drop_copy(self) -> None:
        if self.store.is_local:
            self.store.execute([f"drop table if exists {self.layout.tables.model}"])

    def forget_absent(self) -> None:
        """Drop the entries of rows that the model no longer has, so that they count as new when they come back."""
        self.store.execute(self._macro("revetl_forget_absent"))

    def write_plan(self) -> PlanSummary:
        """Materialise the plan and say what is in it.

        Raises InputError when ledger or refused rows hold a key twice, so that one change would be sent twice.
        """
        ((rows,),) = self.store.query(self._sql("revetl_count"))
        plan = [self._sql("revetl_drop_plan"), *self._macro("revetl_plan", rows=int(rows), begun=self.begun)]
        if self.store.session.adapter_type == "duckdb":
            # DuckDB 2.0.0 loses the many rows that a transaction puts into a table after it has put none into it.
            self.store.execute_apart(plan)
        else:
            self.store.execute(plan)
        if self.begun:
            self._check_repeated()
        return self.summary()

    def _check_repeated(self) -> None:
        ((keys,),) = self.store.query(self._sql("revetl_repeated"))
        if keys:
            stand = "key stands" if keys == 1 else "keys stand"
            raise damaged(self.layout.sync, [f"{keys} {stand} in it more than once"])

    def forget_rejected(self) -> None:
        """Drop what is known of rows that were refused or may have arrived."""
        self.store.execute([self._empty(self.layout.tables.rejected)])

    def release_held(self, *, unknown: bool) -> None:
        """Let held rows be sent again: those that were refused, and, with `unknown`, those that may have arrived."""
        self.store.execute(self._macro("revetl_release_held", unknown=unknown))

    def summary(self) -> PlanSummary:
        """What the plan that was last written holds."""
        groups: list[Group] = []
        sizes = {"model_rows": 0, "ledger_rows": 0, "rejected_rows": 0}
        for op, reason, rows, seq_from, seq_to in self.store.query(self._sql("revetl_plan_summary")):
            if op in sizes:
                sizes[op] = int(rows)
            else:
                groups.append(Group(op, reason, int(rows), int(seq_from), int(seq_to)))
        self._clean = sizes["rejected_rows"] == 0
        replacing = sum(group.rows for group in groups if group.op not in ("create", "invalid", "held"))
        self._spread = max(1.0, sizes["ledger_rows"] / max(replacing, 1))
        return PlanSummary(tuple(groups), **sizes)

    def pages(self, group: Group) -> Iterator[list[tuple[Any, ...]]]:
        """The group's plan rows, in order, as the driver delivers them.

        A row is (number, destination id, changed flags..., keys..., fields...).
        """
        return self._paged(group, "revetl_page")

    def json_pages(self, group: Group) -> Iterator[list[tuple[int, str | None, str | None]]]:
        """The same rows as (number, destination id, JSON text), the text None where JSON has no word for a value.

        Only where `writes_json`.
        """
        return self._paged(group, "revetl_json_page", names=[field.label for field in self.layout.fields])

    @property
    def writes_json(self) -> bool:
        """True when the engine can write the sync's records as JSON."""
        known = all(field.type is not ColumnType.TIME for field in self.layout.fields)
        return known and self.store.session.adapter_type == "duckdb"

    def _paged(self, group: Group, macro: str, **arguments: Any) -> Iterator[list[tuple[Any, ...]]]:
        template = self._sql(macro, op=group.op, seq_from=_SEQ_FROM, seq_to=_SEQ_TO, **arguments)
        step = RESULT_ROWS if self.store.session.pages_results else PAGE_ROWS
        for start in range(group.seq_from - 1, group.seq_to, step):
            end = min(start + step, group.seq_to)
            sql = template.replace(_SEQ_FROM, str(start)).replace(_SEQ_TO, str(end))
            pages = self.store.pages(sql, PAGE_ROWS) if step > PAGE_ROWS else iter([self.store.query(sql)])
            yield from filter(None, pages)

    def sample(self, limit_each: int, key: str | None = None) -> list[tuple[Any, ...]]:
        """Up to `limit_each` plan rows of each operation and reason: (op, reason, changed flags..., keys..., (new,
        old) of each field...); with `key`, only those whose key is that text."""
        rows = self.store.query(self._sql("revetl_plan_sample", limit_each=limit_each, key=key))
        return [row[:-1] for row in rows]

    def claim(self, plan_id: str, text: str | None) -> list[str]:
        """The statements that note which rows of the plan may have left (None: none), as long as it is the plan."""
        return self.store.claim(self.layout.sync.name, self.account, plan_id, text)

    def fold(
        self,
        ranges: Sequence[Range],
        results: Sequence[Result],
        run_id: str,
        *,
        replay: bool = False,
        sent: bool = True,
        also: Sequence[str] = (),
    ) -> None:
        """Record what became of plan rows: those in `ranges` without another result were accepted.

        Doing it again, with `replay`, changes nothing. What was not `sent` is no change at the destination. `also` are
        statements for the same transaction.
        """
        if not ranges:
            return
        self._folded = True
        plain = [[r.op, r.seq_from, r.seq_to] for r in ranges]
        self._clean = self._clean and all(result.status == "accepted" for result in results)
        fresh = not replay and all(r.op == "create" for r in ranges)
        results_table = str(self._macro("revetl_create_results"))
        statements = [results_table, self._empty(self.layout.tables.results, kept=False), *self._load(results)]
        if sent and self.layout.sync.spec.history == "all":
            statements += self._macro("revetl_record_changes", ranges=plain, run_id=run_id, **self._history("changes"))
        doubt = any(result.status == "unsure" for result in results)
        statements += self._macro(
            "revetl_fold", ranges=plain, run_id=run_id, fresh=fresh, clean=self._clean, doubt=doubt, replay=replay
        )
        if any(result.status != "accepted" for result in results):
            statements += self._macro("revetl_outcomes", ranges=plain, run_id=run_id, **self._history("outcomes"))
        self.store.execute([*statements, *also], among=0 if fresh and self._clean else self._among(ranges))

    @property
    def portion(self) -> int | None:
        """The plan rows that may take the place of others in one transaction, where the engine has little memory."""
        if self.store.session.adapter_type != "duckdb":
            return None
        return max(_LEAST_PORTION, min(_MOST_PORTION, int(REOPENED_AFTER / self._spread)))

    def _among(self, ranges: Sequence[Range]) -> int:
        """Among how many rows of the ledger those stand that plan rows replace: a plan goes through it in order."""
        return int(sum(r.seq_to - r.seq_from + 1 for r in ranges) * self._spread)

    def entry(self, key: str) -> tuple[Any, ...] | None:
        """(fields as text..., standing, destination id, run, when) of the ledger's row with this key as text."""
        columns = ("_standing", "_destination_id", "_run_id", "_accepted_at")
        return self._row_of(self.layout.tables.ledger, key, columns)

    def refusal(self, key: str) -> tuple[Any, ...] | None:
        """(fields as text..., operation, attempts, status, code, message, run, when) of the refused row with this key
        as text."""
        columns = ("_op", "_attempts", "_status", "_code", "_message", "_run_id", "_rejected_at")
        return self._row_of(self.layout.tables.rejected, key, columns)

    def _row_of(self, relation: str, key: str, columns: Sequence[str]) -> tuple[Any, ...] | None:
        sql = self._sql("revetl_row_of_key", relation=relation, key=key, columns=[f"l.{name}" for name in columns])
        return next(iter(self.store.query(sql)), None)

    def _history(self, table: str) -> dict[str, str]:
        relation = self.store.tables[f"revetl_{table}"]
        return {"sync": self.layout.sync.name, "account": self.account, "relation": relation}

    def numbers(self, batch: Range) -> list[int]:
        """The numbers of the plan rows in a range."""
        return [int(row[0]) for row in self.store.query(self._sql("revetl_numbers", batch=list(batch)))]

    def drop_plan(self) -> None:
        """Remove the plan when nothing of it is left to do."""
        self.store.execute([self._sql("revetl_drop_plan")])
        self._drop_copy()

    def compact(self, keep: Callable[[], None]) -> None:
        """Make its tables small again where this run has let them grow (warehouse/compact.py); `keep` keeps the lease.

        Raises WarehouseError when a table cannot be given the place of the old one.
        """
        if self._folded:
            key = [column.name for column in self.layout.keys]
            for relation in (self.layout.tables.ledger, self.layout.tables.rejected):
                compact(self.store, _identifier(relation), key, keep)

    def _load(self, results: Sequence[Result]) -> Iterator[str]:
        for start in range(0, len(results), RESULT_ROWS_PER_STATEMENT):
            part = results[start : start + RESULT_ROWS_PER_STATEMENT]
            packed = base64.b64encode(msgspec.json.encode([[str(r.seq), *r[1:]] for r in part])).decode()
            rows = [] if self.store.session.adapter_type in _UNPACKS_JSON else [list(r) for r in part]
            yield str(
                self.store.session.macro(
                    "revetl_load_results", relation=self.layout.tables.results, rows=rows, base64=packed
                )
            )

    def _empty(self, relation: str, *, kept: bool = True) -> str:
        return str(self.store.session.macro("revetl_empty", relation=relation, kept=kept))

    def _sql(self, macro: str, **arguments: Any) -> str:
        return str(self._macro(macro, **arguments))

    def _macro(self, macro: str, **arguments: Any) -> Any:
        return self.store.session.macro(macro, s=self._argument, **arguments)


def open_ledger(
    store: Store,
    sync: Sync,
    account: str,
    state: SyncState | None,
    relation_columns: Sequence[tuple[str, str]],
    *,
    facts: dict[str, str],
    match_ignores_case: bool = False,
    full_refresh: bool = False,
    whole: bool = True,
    preview: bool = False,
) -> Ledger:
    """The ledger of a sync at an account, created or widened to what is declared now.

    `relation_columns` are the names and types of the model's columns, `facts` what the table of syncs is to say beside
    (destination, object, ...).
    Where not every row has to be looked at (`whole`), the sync's `changed_since` picks them. `preview` gives the plan a
    table of its own, so that a run that is under way keeps its plan. Raises InputError for columns that cannot be sent.
    """
    session = store.session
    columns = {name.lower(): name for name, _ in relation_columns}
    former = sync.spec.renamed_from if state is None else None
    tables = _tables(store, sync, account, preview)
    if preview and former and (former, account) in store.sync_states():
        # Looking at what would be done renames nothing.
        tables = replace(
            tables, ledger=_former(store, "ledger", sync, account), rejected=_former(store, "rejected", sync, account)
        )
    layout = draft(
        sync,
        tables,
        columns,
        store.source.session.macro,
        store.source.session.quote,
        match_ignores_case=match_ignores_case,
        full_refresh=full_refresh,
    )
    current = checksum(layout, relation_columns)
    begun = state is not None and state.plan_id is not None
    if state is not None:
        _check_object(sync, state)
        health = inspect(store, sync.name, account, state.layout)
        if health.damage:
            raise damaged(sync, health.damage)
        if state.checksum == current and not health.retyped:
            seen = view(store, layout, state, relation_columns, current, whole=whole or full_refresh)
            layout = limited(layout, seen)
            layout = _copied(store, layout, preview) if store.is_local else layout
            layout = restored(layout, state.layout)
            return Ledger(store, layout, account, begun=begun, settled=state.settled, mark=seen.mark)
        if state.checksum == current:
            for text in health.retyped:
                store.notice(f"{text}: it is changed back; what no longer fits is sent again")
    mark = view(store, layout, state, relation_columns, current, whole=True).mark
    layout = _copied(store, layout, preview) if store.is_local else _with_types(store, layout)
    if former and not preview:
        state = _take_over(store, former, sync, account)
        begun = state is not None
    with store.connection():
        _check_keys(store, layout)
        session.run(session.macro("revetl_create_ledger", s=layout.as_argument()))
        layout = _widened(store, layout)
        session.run(session.macro("revetl_index_ledger", s=layout.as_argument()))
    ledger = Ledger(store, layout, account, begun=begun, settled=state is not None and state.settled, mark=mark)
    if preview:
        # What is written down belongs to the plan of the last run, which may have to be recovered yet.
        return ledger
    store.save_sync(
        sync.name,
        account,
        {
            **facts,
            "ledger": tables.ledger,
            "plan_id": state.plan_id if state else None,
            "checksum": current,
            "layout": layout.columns_json(),
        },
        known=state is not None,
    )
    return ledger


def _check_object(sync: Sync, state: SyncState) -> None:
    """Raises InputError when the ledger is of another object: what that one accepted says nothing of this one."""
    if state.object not in (None, sync.spec.object):
        raise InputError.single(
            "object-changed",
            f"The ledger of sync `{sync.name}` is of object `{state.object}`, and the sync now writes"
            f" `{sync.spec.object}`",
            path=sync.path,
            line=sync.line,
            hint="give the sync another name, so that it begins anew and the old records stay with the old name, or"
            f" forget them: `revetl state reset {sync.name}`",
        )


def former_ledger(store: Store, sync: Sync, account: str, state: SyncState) -> Ledger:
    """The ledger as it was laid out for the plan that was last materialised, whatever is declared now.

    Raises InputError when its tables are damaged.
    """
    health = inspect(store, sync.name, account, state.layout)
    if health.damage:
        raise damaged(sync, health.damage)
    check_plan(store, sync, account)
    layout = recorded(sync, _tables(store, sync, account, preview=False), state.layout)
    return Ledger(store, layout, account, begun=True)


def _former(store: Store, table: str, sync: Sync, account: str) -> str:
    return store.relation(f"{table}__{table_suffix(sync.spec.renamed_from or sync.name, account)}")


def _take_over(store: Store, former: str, sync: Sync, account: str) -> SyncState | None:
    """Give a renamed sync the ledger of its former name; None when that has none."""
    state = store.sync_states().get((former, account))
    if state is None:
        return None
    old, new = table_suffix(former, account), table_suffix(sync.name, account)
    rename = [
        statement for name in ("ledger", "rejected") for statement in store.rename(f"{name}__{old}", f"{name}__{new}")
    ]
    left = [f"drop table if exists {store.relation(f'{name}__{old}')}" for name in ("plan", "results")]
    store.execute([*rename, *store.rename_sync(former, sync.name, account), *left])
    return state


def _tables(store: Store, sync: Sync, account: str, preview: bool) -> Tables:
    suffix = table_suffix(sync.name, account)
    names = ("ledger", "rejected", "preview" if preview else "plan", "results")
    return Tables(sync.source.relation_name, *(store.relation(f"{name}__{suffix}") for name in names))


def _copied(store: Store, layout: Layout, preview: bool) -> Layout:
    """The layout over a copy of the model's rows, where the state is not in the warehouse."""
    there = _with_types(store, layout)
    here = local_layout(there, store.relation(f"{'seen' if preview else 'model'}__{_suffix(layout)}"))
    copy_model(store, there, here)
    return here


def _suffix(layout: Layout) -> str:
    return _identifier(layout.tables.ledger).split("__", 1)[1]


def _with_types(store: Store, layout: Layout) -> Layout:
    """Ask the engine what types the keys and fields have."""
    session = store.source.session
    try:
        shape = _described(store.source, layout) if store.is_local else _shape(store, layout)
    except WarehouseError as error:
        raise InputError.single(
            "sql-error",
            f"The warehouse refuses the expressions of sync `{layout.sync.name}`: {_first_lines(str(error))}",
            path=layout.sync.path,
            line=layout.sync.line,
            hint="check `where`, the `sql` of the fields and the column names; `revetl debug` shows the connection",
        ) from error
    binary = [column for column in (*layout.keys, *layout.fields) if is_binary(shape[column.name])]
    if binary:
        raise InputError(
            [
                Diagnostic(
                    "binary-column",
                    f"`{column.label}` of sync `{layout.sync.name}` is {shape[column.name]}: bytes cannot be sent",
                    layout.sync.path,
                    layout.sync.line,
                    hint="encode it in the model, for example as base64 or hexadecimal text",
                )
                for column in binary
            ]
        )
    return typed(layout, shape, session.adapter_type, str(session.macro("revetl_text_type")), session.macro)


def _shape(store: Store, layout: Layout) -> dict[str, str]:
    """The types, by the lower-case names of the columns, that an empty table of the model's expressions gets."""
    session = store.session
    identifier = f"shape__{table_suffix(layout.sync.name, layout.tables.ledger)}"
    relation = store.relation(identifier)
    with store.connection():
        session.run(session.macro("revetl_shape", s=layout.as_argument(), relation=relation))
        shape = {name.lower(): kind for name, kind in session.columns(session.database, store.schema, identifier)}
        session.run([f"drop table if exists {relation}"])
    return shape


def _described(source: Store, layout: Layout) -> dict[str, str]:
    """The same, asked of a warehouse in which nothing may be made."""
    with source.connection():
        sql = str(source.session.macro("revetl_source", s=layout.as_argument()))
        return {name.lower(): kind for name, kind in source.session.described(sql)}


def _check_keys(store: Store, layout: Layout) -> None:
    """Raises InputError when existing tables tell rows apart by other columns than the declared key."""
    own = {column.name: column.label for column in layout.keys}
    present = store.session.tables(store.schema)
    for identifier in map(_identifier, (layout.tables.rejected, layout.tables.ledger)):
        if identifier not in present:
            continue
        columns = store.session.columns(store.session.database, store.schema, identifier)
        former = {name.lower() for name, _ in columns if name.lower().startswith("k_")}
        if columns and former != own.keys():
            odd = [f"no key `{own[name]}`" for name in own if name not in former]
            odd += [f"a key `{name[2:]}`" for name in sorted(former - own.keys())]
            raise InputError.single(
                "key-changed",
                f"The ledger of sync `{layout.sync.name}` has {odd[0]}: its key was another when it began",
                path=layout.sync.path,
                line=layout.sync.line,
                hint="go back to the former key, or give the sync another name, so that it begins anew",
            )


def _widened(store: Store, layout: Layout) -> Layout:
    """Give existing tables the columns of fields that were mapped since they were made, and the types that fields have
    now; the layout knows then of columns whose fields are mapped no more."""
    session = store.session
    argument = layout.as_argument()
    carried: set[str] = set()
    key = [column.name for column in layout.keys]
    for relation in (layout.tables.rejected, layout.tables.ledger):
        identifier = _identifier(relation)
        columns = session.columns(session.database, store.schema, identifier)
        present = {name.lower(): kind for name, kind in columns}
        missing = [column for column in argument["fields"] if column["name"] not in present]
        if missing:
            session.run(session.macro("revetl_add_columns", relation=relation, columns=missing, key=key))
        doubt = relation == layout.tables.ledger and layout.sync.spec.mode in (Mode.UPSERT, Mode.UPDATE)
        _retype_keys(store, layout, relation, present)
        retyped = [
            c for c in argument["fields"] if not fits(c["engine_type"], present.get(c["name"], c["engine_type"]))
        ]
        arguments = {"names": [*present, *(column["name"] for column in missing)], "key": key}
        for statement in session.macro(
            "revetl_change_types", relation=relation, columns=retyped, doubt=doubt, **arguments
        ):
            session.run([statement])
        carried = {name for name in present if name.startswith("f_")} - {column.name for column in layout.fields}
    return replace(layout, carried=tuple(sorted(carried)))


def _retype_keys(store: Store, layout: Layout, relation: str, present: Mapping[str, str]) -> None:
    """Give a table the types that the keys have now; raises InputError when its values do not fit them."""
    types = {
        column.name: column.engine_type for column in layout.keys if not fits(column.engine_type, present[column.name])
    }
    if not types:
        return
    session = store.session
    arguments = {"identifier": _identifier(relation), "key": [column.name for column in layout.keys]}
    try:
        session.run(session.macro("revetl_retype", relation=relation, columns=list(present), types=types, **arguments))
    except WarehouseError as error:
        column = next(column for column in layout.keys if column.name in types)
        raise InputError.single(
            "key-changed",
            f"Key `{column.label}` of sync `{layout.sync.name}` is {column.engine_type} now and was"
            f" {present[column.name]}; what the ledger holds does not fit",
            path=layout.sync.path,
            line=layout.sync.line,
            hint="give the column its former type in the model, or give the sync another name, so that it begins anew",
        ) from error


def _identifier(relation: str) -> str:
    return relation.rsplit(".", 1)[-1].strip('"`[]')


def _first_lines(text: str) -> str:
    lines = [
        line.strip()
        for line in text.splitlines()
        if line.strip() and not line.startswith(("Runtime Error", "Database Error"))
    ]
    return " ".join(lines[:3])
