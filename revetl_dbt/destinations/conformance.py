"""The conformance kit: what every connector must do, as tests to inherit.

    class TestMyConnector(Conformance):
        @pytest.fixture
        def subject(self) -> Iterator[Subject]:
            with my_fake_vendor() as server:
                yield Subject(
                    connect=lambda gate: MyConnector(MyConfig(type="mine", base_url=server.url, token="t0ken"), gate),
                    server=server,
                    object="people",
                    match="email",
                    values={"name": (ColumnType.TEXT, "Ada"), "vip": (ColumnType.BOOLEAN, True)},
                    text="name",
                    secret="t0ken",
                )

The server is a stand-in of the vendor that can be told to misbehave (`Server`). A connector that cannot do a thing
(read, describe, ...) is held to say so. For readable failures call
`pytest.register_assert_rewrite("revetl_dbt.destinations.conformance")` in a conftest.
"""

from __future__ import annotations

import contextlib
import io
import json
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any, Protocol, TypeVar
from unittest import mock

from revetl_dbt.destinations.base import (
    Batch,
    BatchRejectedError,
    Budget,
    Change,
    ColumnType,
    Destination,
    DestinationError,
    FatalError,
    FieldInfo,
    Gate,
    Limits,
    ObjectType,
    Operation,
    Outcome,
    Pending,
    RateLimitedError,
    RetryableError,
    Status,
    UnauthorizedError,
    UnknownOutcomeError,
)
from revetl_dbt.destinations.transport import to_json

POISON = "poison of the conformance kit"
"""A text value that the server refuses while POISON_ROW or POISON_BATCH is on."""
RETRY_AFTER = 7.0
NASTY = "../a/%2e%2e/ä?b=c&d#e;f\u2028"
"""An id that would lead to another URL if it were pasted into one."""

E = TypeVar("E", bound=BaseException)


class Trouble(str, Enum):
    """How the server misbehaves."""

    RATE_LIMITED = "rate_limited"  # 429, Retry-After: 7
    SERVER_ERROR = "server_error"  # 500, nothing was stored
    UNAVAILABLE = "unavailable"  # 503, nothing was stored
    UNAUTHORIZED = "unauthorized"  # 401
    NOT_JSON = "not_json"  # 2xx with an HTML page
    EMPTY = "empty"  # 2xx that says nothing about the records, none of which was stored
    RESET_BEFORE = "reset_before"  # the connection breaks, nothing was stored
    RESET_AFTER = "reset_after"  # the connection breaks, all was stored
    SHUFFLED = "shuffled"  # results come in another order than the records
    POISON_ROW = "poison_row"  # records with the value POISON are refused, the others stored
    POISON_BATCH = "poison_batch"  # a batch with the value POISON is refused as a whole


class Server(Protocol):
    """A stand-in of the vendor."""

    def provoke(self, trouble: Trouble | None) -> None:
        """Every request from now on meets this trouble; None ends it."""

    def paths(self) -> Sequence[str]:
        """The paths that were requested, as they stood in the request line (percent-encoded), oldest first."""

    def held(self, match: Any) -> Mapping[str, Any] | None:
        """The fields of the record with an (encoded) match value; None when there is none."""


@dataclass(frozen=True)
class Subject:
    """A connector and what the kit must know of it.

    `match` finds the records of `object`, and `new_match` makes its n-th value; `values` are fields with a typed value
    each, which must come back as they were sent; `text` is one of them that takes any text. An object without fields
    (places on a list, say) has no `values`, and `match` is its `text`. `also` is what else a match has, the same for
    every record. `reports` says whether a response tells what became of each record. `secret` must show nowhere.
    """

    connect: Callable[[Gate], Destination]
    server: Server
    object: str
    match: str
    values: Mapping[str, tuple[ColumnType, Any]]
    text: str
    secret: str | None = None
    reports: bool = True
    new_match: Callable[[int], Any] = lambda n: f"person{n}@example.com"
    also: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class OpenGate:
    """Pacing that lets every request through and counts them."""

    requests: int = 0
    budgets: list[Budget] = field(default_factory=list)

    def acquire(self) -> None:
        self.requests += 1

    def observe(self, budget: Budget) -> None:
        self.budgets.append(budget)


class Conformance:
    """Inherit and give a fixture `subject`."""

    # -- what it can do ------------------------------------------------------------------------------

    def test_capabilities_are_consistent(self, subject: Subject) -> None:
        with _connected(subject) as (destination, kind, gate):
            assert kind in list(destination.objects()) or destination.object_type(kind.name) == kind
            assert kind.operations, "an object that nothing can be done with"
            assert kind.idempotent <= set(kind.operations)
            assert set(kind.bulk) <= set(kind.operations)
            for operation, limits in kind.operations.items():
                assert limits.records > 0, operation
                assert limits.bytes is None or limits.bytes > 0, operation
            for operation in Operation:
                assert (operation in kind.operations) != bool(kind.unsupported.get(operation)), (
                    f"`{operation.value}` must be supported, or `unsupported` must say why not and what to do instead"
                )
            assert destination.object_type("no such object / ?") is None
            assert gate.requests == 0, "capabilities must be known without a request"

    def test_settings_explain_themselves(self, subject: Subject) -> None:
        with _connected(subject) as (destination, _, _):
            schema = destination.Config.model_json_schema()
            bare = [name for name, item in schema["properties"].items() if not item.get("description")]
            assert not bare, f"settings without a description: {bare}"
            assert schema["additionalProperties"] is False, "unknown settings must be refused"

    def test_check_names_one_account(self, subject: Subject) -> None:
        with _connected(subject) as (destination, _, _):
            account = destination.check()
            assert account.id
            assert destination.check() == account
            subject.server.provoke(Trouble.UNAUTHORIZED)
            _refuses(UnauthorizedError, destination.check)

    def test_describe(self, subject: Subject) -> None:
        with _connected(subject) as (destination, kind, _):
            if not kind.described:
                _refuses(NotImplementedError, lambda: destination.describe(kind.name))
                return
            fields = _descriptions(subject, destination)
            assert {subject.match, *subject.values} <= set(fields)
            assert fields[subject.match].unique
            assert all(fields[name].writable for name in subject.values)

    # -- encoding ------------------------------------------------------------------------------------

    def test_null_can_be_written_in_every_type(self, subject: Subject) -> None:
        with _connected(subject) as (destination, _, _):
            for column in ColumnType:
                encode = destination.encoder(column, None)
                assert encode is None or encode(None) in (None, ""), column

    def test_values_come_back(self, subject: Subject) -> None:
        with _connected(subject) as (destination, kind, _):
            change = _change(subject, destination, 1)
            outcome = _accepted(_write(destination, kind, [change]))[1]
            held = subject.server.held(change.match[subject.match])
            assert held is not None
            for name, value in change.fields.items():
                assert _same(held.get(name), value), name
            if kind.reads:
                found = list(destination.read(kind.name, subject.match, [*change.match.values()], [*subject.values]))
                assert [item.match for item in found] == [*change.match.values()]
                assert outcome.id in (None, found[0].id)
                assert all(_same(found[0].fields[name], value) for name, value in change.fields.items())
            else:
                _refuses(NotImplementedError, lambda: destination.read(kind.name, subject.match, ["x"], []))

    def test_text_is_exact(self, subject: Subject) -> None:
        texts = [
            "naïve 漢字 🦆 עברית",
            "MiXeD İI ẞ e\u0301 two  spaces",
            'quote " back \\ slash',
            "a,b;c|d\te",
            "{{ jinja }} ${x} %s",
            "' or 1=1 --",
            "<b>&amp;",
        ]
        if subject.text == subject.match:
            return
        with _connected(subject) as (destination, kind, _):
            changes = [_change(subject, destination, n, **{subject.text: text}) for n, text in enumerate(texts)]
            _accepted(_written(destination, kind, changes))
            for change, text in zip(changes, texts, strict=True):
                held = subject.server.held(change.match[subject.match])
                assert held is not None
                assert held[subject.text] == text

    def test_a_null_clears(self, subject: Subject) -> None:
        with _connected(subject) as (destination, kind, _):
            if Operation.UPSERT not in kind.operations:
                return
            change = _change(subject, destination, 1)
            cleared = _change(subject, destination, 1, **dict.fromkeys(subject.values))
            for sent in (change, cleared):
                _accepted(_write(destination, kind, [sent]))
            held = subject.server.held(change.match[subject.match])
            assert held is not None
            assert not [name for name in subject.values if held.get(name) not in (None, "")]

    # -- outcomes ------------------------------------------------------------------------------------

    def test_an_empty_batch_is_no_request(self, subject: Subject) -> None:
        with _connected(subject) as (destination, kind, gate):
            for operation in kind.operations:
                if not _only_jobs(kind, operation):
                    assert list(destination.write(_batch(kind, operation, []))) == []
            assert gate.requests == 0

    def test_a_full_batch_has_one_outcome_a_change(self, subject: Subject) -> None:
        with _connected(subject) as (destination, kind, _):
            operation = _operation(kind)
            size = min(_limits(kind, operation).records, 1000)
            changes = [_change(subject, destination, n) for n in range(size)]
            _accepted(_write(destination, kind, changes))
            for change in (changes[0], changes[-1]):
                assert subject.server.held(change.match[subject.match]) is not None

    def test_results_belong_to_their_change_whatever_their_order(self, subject: Subject) -> None:
        with _connected(subject) as (destination, kind, _):
            size = min(_limits(kind, _operation(kind)).records, 20)
            changes = [_change(subject, destination, n) for n in range(size)]
            subject.server.provoke(Trouble.SHUFFLED)
            outcomes = _accepted(_write(destination, kind, changes))
            subject.server.provoke(None)
            if not kind.reads:
                return
            asked = {change.match[subject.match]: change.seq for change in changes}
            for found in destination.read(kind.name, subject.match, list(asked), []):
                told = outcomes[asked[found.match]].id
                assert told == found.id or (told is None and _only_jobs(kind, _operation(kind)))

    def test_a_poisoned_row_does_not_take_others_with_it(self, subject: Subject) -> None:
        with _connected(subject) as (destination, kind, _):
            changes = _poisoned(subject, destination, min(_limits(kind, _operation(kind)).records, 5))
            subject.server.provoke(Trouble.POISON_ROW)
            if not subject.reports:
                _refuses(BatchRejectedError, lambda: _write(destination, kind, changes))
                return
            outcomes = _by_seq(_write(destination, kind, changes), changes)
            refused = outcomes.pop(changes[0].seq)
            assert refused.status is Status.REJECTED
            assert refused.message, "the reason is missing"
            assert all(outcome.status.accepted for outcome in outcomes.values())

    def test_a_poisoned_batch_is_to_be_bisected(self, subject: Subject) -> None:
        if subject.text == subject.match:
            return  # a record that is not there takes no place, and is no fault of the batch
        with _connected(subject) as (destination, kind, _):
            changes = _poisoned(subject, destination, min(_limits(kind, _operation(kind)).records, 5))
            subject.server.provoke(Trouble.POISON_BATCH)
            if len(changes) == 1:
                # The refusal of a request with one record may be told as that record's.
                with contextlib.suppress(BatchRejectedError):
                    refused = _by_seq(_write(destination, kind, changes), changes)[changes[0].seq]
                    assert refused.status is Status.REJECTED
                    assert refused.message, "the reason is missing"
                return
            error = _refuses(BatchRejectedError, lambda: _write(destination, kind, changes))
            assert str(error)

    def test_sending_twice_does_no_harm_where_the_connector_says_so(self, subject: Subject) -> None:
        with _connected(subject) as (destination, kind, _):
            operation = _operation(kind)
            if operation not in kind.idempotent:
                return
            changes = [_change(subject, destination, n) for n in range(min(_limits(kind, operation).records, 3))]
            first = _accepted(_write(destination, kind, changes))
            again = _accepted(_write(destination, kind, changes))
            untold = {None} if _only_jobs(kind, operation) else set()  # a job may not repeat the id
            assert all(outcome.id in {first[seq].id, *untold} for seq, outcome in again.items())
            if subject.reports:
                assert Status.CREATED not in {outcome.status for outcome in again.values()}

    def test_a_conclusive_field_tells_what_became_of_a_record(self, subject: Subject) -> None:
        with _connected(subject) as (destination, kind, _):
            if not kind.described or not _descriptions(subject, destination)[subject.match].conclusive:
                return
            assert kind.reads, "what is conclusive is read"
            for n, operation in enumerate(o for o in _CREATING if o in kind.operations and o not in kind.idempotent):
                change = _change(subject, destination, n)
                ask = partial(destination.read, kind.name, subject.match, [change.match[subject.match]], [subject.text])
                assert list(ask()) == []
                _accepted(_sent(destination, kind, _batch(kind, operation, [change])))
                found = list(ask())
                assert len(found) == 1, "it must be found at once"
                assert _same(found[0].fields[subject.text], change.fields[subject.text])
                with contextlib.suppress(BatchRejectedError):
                    again = _by_seq(_sent(destination, kind, _batch(kind, operation, [change])), [change])[n]
                    assert again.status is Status.REJECTED, "a second record with the same value must be refused"
                assert list(ask()) == found

    def test_a_job_can_be_asked_by_another_process(self, subject: Subject) -> None:
        with _connected(subject) as (destination, kind, _), _connected(subject) as (other, _, _):
            for n, operation in enumerate(set(_CREATING) & set(kind.bulk)):
                changes = [_change(subject, destination, 5 * n + m) for m in range(3)]
                batch = _batch(kind, operation, changes)
                job = _begun(destination, batch)
                first = _accepted(_ended(destination, batch, job))
                again = _accepted(_ended(other, batch, job))
                assert first.keys() == {change.seq for change in changes}
                assert {seq: outcome.id for seq, outcome in again.items()} == {
                    seq: outcome.id for seq, outcome in first.items()
                }
                held = [subject.server.held(change.match[subject.match]) for change in changes]
                assert None not in held

    def test_threads_share_a_connector(self, subject: Subject) -> None:
        with _connected(subject) as (destination, kind, _), ThreadPoolExecutor(4) as pool:
            batches = [[_change(subject, destination, n)] for n in range(12)]
            for outcomes in pool.map(lambda changes: _write(destination, kind, changes), batches):
                assert outcomes[0].status.accepted

    # -- updates and removals ------------------------------------------------------------------------

    def test_an_update_changes_the_record(self, subject: Subject) -> None:
        with _connected(subject) as (destination, kind, _):
            if Operation.UPDATE not in kind.operations:
                return
            change = _change(subject, destination, 1)
            created = _accepted(_write(destination, kind, [change]))[1]
            fields = {subject.text: "changed"} if kind.partial_updates else {**change.fields, subject.text: "changed"}
            for known in {created.id, None}:
                update = change._replace(fields=fields, id=known)
                _accepted(_sent(destination, kind, _batch(kind, Operation.UPDATE, [update])))
                held = subject.server.held(change.match[subject.match])
                assert held is not None
                assert held[subject.text] == "changed"
                for name in set(subject.values) - {subject.text}:
                    assert _same(held.get(name), change.fields[name]), f"an update of another field lost `{name}`"

    def test_an_update_of_nothing_is_missing(self, subject: Subject) -> None:
        with _connected(subject) as (destination, kind, _):
            if Operation.UPDATE not in kind.operations or not subject.reports:
                return
            change = _change(subject, destination, 404)
            outcomes = _sent(destination, kind, _batch(kind, Operation.UPDATE, [change]))
            assert [outcome.status for outcome in outcomes] == [Status.MISSING]
            assert subject.server.held(change.match[subject.match]) is None

    def test_a_removed_record_is_gone(self, subject: Subject) -> None:
        with _connected(subject) as (destination, kind, _):
            for n, operation in enumerate(set(_REMOVING) & set(kind.operations)):
                for m, knows_id in enumerate((True, False)):
                    change = _change(subject, destination, 10 * n + m)
                    created = _accepted(_write(destination, kind, [change]))[change.seq]
                    gone = change._replace(fields={}, id=created.id if knows_id else None)
                    outcomes = _sent(destination, kind, _batch(kind, operation, [gone]))
                    assert [outcome.status for outcome in outcomes] == [Status.DELETED]
                    assert subject.server.held(change.match[subject.match]) is None
                    if kind.reads:
                        assert not list(destination.read(kind.name, subject.match, [*change.match.values()], []))

    # -- failures ------------------------------------------------------------------------------------

    def test_a_rate_limit_says_how_long(self, subject: Subject) -> None:
        error = self._fails(subject, Trouble.RATE_LIMITED, RateLimitedError)
        assert error.retry_after == RETRY_AFTER

    def test_a_server_error_may_have_been_accepted(self, subject: Subject) -> None:
        self._fails(subject, Trouble.SERVER_ERROR, UnknownOutcomeError, RetryableError)

    def test_an_unavailable_server_is_worth_another_try(self, subject: Subject) -> None:
        self._fails(subject, Trouble.UNAVAILABLE, UnknownOutcomeError, RetryableError)

    def test_refused_credentials(self, subject: Subject) -> None:
        self._fails(subject, Trouble.UNAUTHORIZED, UnauthorizedError)

    def test_broken_connections_are_unknown(self, subject: Subject) -> None:
        self._fails(subject, Trouble.RESET_BEFORE, UnknownOutcomeError)
        self._fails(subject, Trouble.RESET_AFTER, UnknownOutcomeError)

    def test_a_success_that_says_nothing_is_none(self, subject: Subject) -> None:
        if subject.reports:
            self._fails(subject, Trouble.EMPTY, UnknownOutcomeError)
            self._fails(subject, Trouble.NOT_JSON, UnknownOutcomeError)

    def test_an_unreachable_object_is_fatal(self, subject: Subject) -> None:
        with _connected(subject) as (destination, kind, _):
            if kind.described:
                _refuses(FatalError, lambda: destination.describe(NASTY))

    # -- manners -------------------------------------------------------------------------------------

    def test_ids_stay_out_of_the_url(self, subject: Subject) -> None:
        with _connected(subject) as (destination, kind, _):
            for operation in {Operation.UPDATE, *_REMOVING} & set(kind.operations):
                match = {subject.match: NASTY, **subject.also}
                change = _change(subject, destination, 1)._replace(id=NASTY, match=match)
                with contextlib.suppress(DestinationError):
                    _sent(destination, kind, _batch(kind, operation, [change]))
            if kind.reads:
                with contextlib.suppress(DestinationError):
                    list(destination.read(kind.name, subject.match, [NASTY], []))
            url = destination.record_url(kind.name, NASTY)
        for path in [*subject.server.paths(), *([url] if url else [])]:
            assert not {"..", "b=c", "#"} & set(path.replace("?", "/").replace("&", "/").split("/")), path
            assert "?b=c" not in path
            assert "../" not in path

    def test_secrets_do_not_show(self, subject: Subject) -> None:
        if subject.secret is None:
            return
        shown = []
        for trouble in (Trouble.UNAUTHORIZED, Trouble.SERVER_ERROR, Trouble.RESET_BEFORE, Trouble.NOT_JSON):
            with _connected(subject) as (destination, kind, _):
                shown += [repr(destination), str(destination), repr(destination.config), str(destination.config)]
                subject.server.provoke(trouble)
                try:
                    _write(destination, kind, [_change(subject, destination, 1)])
                except DestinationError as error:
                    shown += [str(error), repr(error), repr(vars(error)), "".join(traceback.format_exception(error))]
                finally:
                    subject.server.provoke(None)
        assert not [text for text in shown if subject.secret in text]
        with _connected(subject) as (destination, _, _):
            assert subject.secret in destination.config.secrets(), "the secret could not be redacted elsewhere"

    def test_a_closed_connector_can_be_closed_again(self, subject: Subject) -> None:
        destination = subject.connect(OpenGate())
        destination.close()
        destination.close()

    def _fails(self, subject: Subject, trouble: Trouble, *expected: type[DestinationError]) -> DestinationError:
        """The error of every operation that meets trouble, the last one returned.

        Of an expected class, after one request, without sleeping or printing.
        """
        errors: list[DestinationError] = []
        with _connected(subject) as (destination, kind, gate):
            for n, operation in enumerate(kind.operations):
                if trouble is Trouble.EMPTY and operation in _REMOVING:
                    continue  # 204 is a good answer to these
                change = _change(subject, destination, n)
                if operation not in _CREATING:
                    created = _accepted(_write(destination, kind, [change]))[n]
                    change = change._replace(id=created.id)
                batch = _batch(kind, operation, [change])
                before = gate.requests
                subject.server.provoke(trouble)
                error = _refuses(DestinationError, partial(_quietly, partial(_sent, destination, kind), batch))
                subject.server.provoke(None)
                where = f"`{operation.value}` with {trouble.value}: {type(error).__name__}: {error}"
                assert isinstance(error, expected), where
                # An answer that says nothing may be worth a question to the vendor.
                most = before + (2 if trouble is Trouble.EMPTY else 1)
                assert before < gate.requests <= most, f"{where}: retrying belongs to the engine"
                assert str(error), f"{where}: an error without words"
                errors.append(error)
        return errors[-1]


@contextlib.contextmanager
def _connected(subject: Subject) -> Iterator[tuple[Destination, ObjectType, OpenGate]]:
    gate = OpenGate()
    destination = subject.connect(gate)
    kind = destination.object_type(subject.object)
    assert kind is not None, f"the connector does not know `{subject.object}`"
    try:
        yield destination, kind, gate
    finally:
        subject.server.provoke(None)
        destination.close()


_CREATING = (Operation.UPSERT, Operation.CREATE, Operation.APPEND)
_REMOVING = (Operation.DELETE, Operation.ARCHIVE, Operation.ERASE)
_POLLS = 1000


def _operation(kind: ObjectType) -> Operation:
    """How the kit writes new records."""
    return next(operation for operation in _CREATING if operation in kind.operations)


def _limits(kind: ObjectType, operation: Operation) -> Limits:
    return kind.bulk[operation].limits if _only_jobs(kind, operation) else kind.operations[operation]


def _change(subject: Subject, destination: Destination, n: int, **values: Any) -> Change:
    """The n-th record, encoded; `values` replace those of the subject."""
    kind = destination.object_type(subject.object)
    described: dict[str, FieldInfo] = {}
    if kind is not None and kind.described:
        described = _descriptions(subject, destination)
    fields = {}
    for name, (column, value) in subject.values.items():
        encode = destination.encoder(column, described.get(name))
        given = values.get(name, value)
        fields[name] = given if encode is None else encode(given)
    return Change(n, (n,), {subject.match: subject.new_match(n), **subject.also}, fields)


def _descriptions(subject: Subject, destination: Destination) -> dict[str, FieldInfo]:
    known: dict[str, FieldInfo] | None = vars(destination).get("_conformance")
    if known is None:
        known = vars(destination)["_conformance"] = {i.name: i for i in destination.describe(subject.object)}
        for name in (subject.match, *subject.values):
            found = None if name in known else destination.describe_field(subject.object, name)
            if found is not None:
                known[name] = found
    return known


def _poisoned(subject: Subject, destination: Destination, size: int) -> list[Change]:
    """Changes of which the first has the poison."""
    if subject.text == subject.match:
        changes = [_change(subject, destination, n) for n in range(size)]
        return [changes[0]._replace(match={subject.match: POISON, **subject.also}), *changes[1:]]
    return [_change(subject, destination, n, **({subject.text: POISON} if n == 0 else {})) for n in range(size)]


def _batch(kind: ObjectType, operation: Operation, changes: Sequence[Change]) -> Batch:
    return Batch(kind.name, operation, changes, uuid.UUID(int=0))


def _write(destination: Destination, kind: ObjectType, changes: Sequence[Change]) -> list[Outcome]:
    return _sent(destination, kind, _batch(kind, _operation(kind), changes))


def _only_jobs(kind: ObjectType, operation: Operation) -> bool:
    return operation in kind.bulk and kind.bulk[operation].threshold == 0


def _sent(destination: Destination, kind: ObjectType, batch: Batch) -> list[Outcome]:
    """The outcomes of a batch as the engine gets them: by a job where the vendor knows no other way."""
    if not _only_jobs(kind, batch.operation):
        return list(destination.write(batch))
    return _ended(destination, batch, _begun(destination, batch))


def _begun(destination: Destination, batch: Batch) -> str:
    """The job that a batch was handed to."""
    jobs: list[str] = []
    destination.submit(batch, jobs.append)
    assert len(jobs) == 1, "`started` must be called exactly once"
    return jobs[0]


def _ended(destination: Destination, batch: Batch, job: str) -> list[Outcome]:
    for _ in range(_POLLS):
        answer = destination.poll(batch, job)
        if not isinstance(answer, Pending):
            return list(answer)
        assert answer.seconds >= 0
    raise AssertionError(f"the job did not end after {_POLLS} questions")


def _written(destination: Destination, kind: ObjectType, changes: Sequence[Change]) -> list[Outcome]:
    """As many batches as the limit asks for."""
    size = _limits(kind, _operation(kind)).records
    parts = [changes[start : start + size] for start in range(0, len(changes), size)]
    return [outcome for part in parts for outcome in _write(destination, kind, part)]


def _by_seq(outcomes: Sequence[Outcome], changes: Sequence[Change]) -> dict[int, Outcome]:
    by_seq = {outcome.seq: outcome for outcome in outcomes}
    assert len(outcomes) == len(by_seq) == len(changes), "exactly one outcome a change"
    assert set(by_seq) == {change.seq for change in changes}
    return by_seq


def _accepted(outcomes: Sequence[Outcome]) -> dict[int, Outcome]:
    by_seq = {outcome.seq: outcome for outcome in outcomes}
    assert len(by_seq) == len(outcomes), "exactly one outcome a change"
    assert not [outcome for outcome in outcomes if not outcome.status.accepted]
    return by_seq


def _same(held: Any, sent: Any) -> bool:
    """Equal as JSON, or both nothing: vendors return what was cleared as null."""
    return held in (None, "") if sent in (None, "") else bool(held == json.loads(to_json(sent)))


def _refuses(expected: type[E], call: Callable[[], Any]) -> E:
    try:
        result = call()
    except expected as error:
        return error
    raise AssertionError(f"expected {expected.__name__}, but it came back with {result!r}")


def _quietly(write: Callable[[Batch], Iterable[Outcome]], batch: Batch) -> list[Outcome]:
    """The outcomes of a batch; writing it must neither sleep nor print."""
    here, real = threading.get_ident(), time.sleep

    def sleep(seconds: float) -> None:
        assert threading.get_ident() != here, "waiting belongs to the engine"
        real(seconds)

    out, err = io.StringIO(), io.StringIO()
    with mock.patch("time.sleep", sleep), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            return list(write(batch))
        finally:
            assert not out.getvalue() + err.getvalue(), "printing belongs to the engine"
