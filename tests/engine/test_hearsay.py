"""Values of a row are hidden in what is said of it, and nothing else is."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revetl_dbt.destinations.base import FatalError
from revetl_dbt.engine.hearsay import HIDDEN, LONGEST_MESSAGE, Hearsay, short


def hide(text: str, *cells: Any, names: tuple[str, ...] = ()) -> str:
    return Hearsay(names=names).hide(text, (7, "id-7", *cells))


@pytest.mark.parametrize(
    ("cells", "text", "expected"),
    [
        (("Ann Lee",), "Ann Lee is taken", "(hidden) is taken"),
        (("ann lee",), "ANN LEE is taken", "(hidden) is taken"),
        (("Ann", "Ann Lee"), "Ann Lee or Ann", "(hidden) or (hidden)"),
        (("Ann",), "Annual plan of Anna", "Annual plan of Anna"),
        (("Li",), "Li is too short for li", "(hidden) is too short for li"),
        (("IN",), "not in the list: IN", "not in the list: (hidden)"),
        ((422, True, None, 3), "422: 3 is not true", "422: 3 is not true"),
        ((5550199,), "phone 5550199", "phone (hidden)"),
        ((dt.date(1987, 3, 4),), "born 1987-03-04", "born (hidden)"),
        (('{"a": ["Ann Lee", 1], "b": null}',), "Ann Lee in a", "(hidden) in a"),
        (("{broken Ann",), "{broken Ann", "(hidden)"),
        (("[" * 100_000,), "[" * 300, f"{HIDDEN}{'[' * 100}"),
        (("(a+b)*",), "bad (a+b)* here", "bad (hidden) here"),
        (("x" * 300,), f"got {'x' * 300}", f"got {HIDDEN}{'x' * 100}"),
        (("email",), "email is wrong", "(hidden) is wrong"),
        ((), "nothing to hide", "nothing to hide"),
    ],
)
def test_values(cells: tuple[Any, ...], text: str, expected: str) -> None:
    assert hide(text, *cells) == expected


def test_names_of_fields_are_no_values() -> None:
    assert hide("Email of Ann Lee is wrong", "email", "Ann Lee", names=("Email",)) == "Email of (hidden) is wrong"


@given(st.text(min_size=4, max_size=60).map(str.strip).filter(lambda text: len(text) >= 4 and text[:1] not in "{["))
def test_no_value_gets_through(value: str) -> None:
    said = hide(f"the vendor says <{value}> is wrong", value)
    assert value not in said or value in f"the vendor says <{HIDDEN}> is wrong"


def test_what_stops_a_batch_is_told_without_the_values_of_any_of_its_rows() -> None:
    error = FatalError("Ann Lee and Bob Ray may not, with s3cret", code="403")
    Hearsay(lambda text: text.replace("s3cret", "*****")).hide_all(error, [(1, None, "Ann Lee"), (2, None, "Bob Ray")])
    assert (str(error), error.code) == ("(hidden) and (hidden) may not, with *****", "403")


def test_what_is_kept_for_each_row_is_no_longer_than_a_person_reads() -> None:
    error = FatalError("x " * (LONGEST_MESSAGE // 2 - 1) + "Ann Lee" + " y" * 1_000_000)
    Hearsay().hide_all(error, [(1, None, "Ann Lee")])
    assert str(error) == "x " * (LONGEST_MESSAGE // 2 - 1) + "(h…"
    assert short("y" * LONGEST_MESSAGE) == "y" * LONGEST_MESSAGE
