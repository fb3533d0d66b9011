"""Record ids: 15 characters that tell letter case apart, and 3 more from which they can be told without it."""

from __future__ import annotations

import string

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_CHECK = string.ascii_uppercase + "012345"


def record_id(prefix: str, number: int) -> str:
    """The 18 characters of an org's n-th record with a prefix."""
    text = ""
    while number:
        number, digit = divmod(number, 62)
        text = _DIGITS[digit] + text
    return whole(f"{prefix}Kq{text.rjust(10, '0')}")


def whole(text: str) -> str:
    """An id with its 3 check characters; a text that is no id is given back."""
    if len(text) != 15 or not text.isalnum() or not text.isascii():
        return text
    check = ""
    for start in (0, 5, 10):
        bits = sum(1 << n for n, letter in enumerate(text[start : start + 5]) if letter.isupper())
        check += _CHECK[bits]
    return text + check


def is_id(text: str) -> bool:
    """Whether a text has the form of an id, check characters included."""
    if len(text) == 18:
        return whole(text[:15]) == text
    return len(text) == 15 and text.isalnum() and text.isascii()
