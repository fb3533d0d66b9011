"""What may be said aloud of texts that others wrote: no secret, no control character, no personal value unasked.

A vendor's message often quotes what it refuses ("a contact with the e-mail jane@example.com exists"). E-mail addresses,
what looks like a phone number, and quoted text are masked. Quoted text stays where each of its words is a name in the
declaration, where it is a vendor's code (`INVALID_EMAIL`), or the name of a JSON member.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from revetl_dbt.project.render import SECRET_PREFIX

SECRET = "*****"  # noqa: S105 - dbt's mask
HIDDEN = "(hidden)"

_AROUND = r"\s\"'`<>()\[\]{},;:=|\\/"
_EMAIL = re.compile(rf"[^{_AROUND}]+(?:@|%40)[^{_AROUND}&?]+", re.IGNORECASE)  # also what was meant to be one: a@@b
_NUMBERS = re.compile(
    r"(?<!\w)(?:"
    r"(?P<date>\d{4}-\d\d-\d\d(?!\d)|\d\d?:\d\d(?::\d\d)?(?!\d))|(?P<address>\d{1,3}(?:\.\d{1,3}){3}(?!\d))"
    r"|[+(]{0,2}\d(?:[ ()./-]{0,2}\d){6,})"
)
_SHORTEST_PATH = 8  # letters; shorter ones are words such as `api/v2`
_LONGEST_NUMBER = 7  # digits of a plain number, such as a count of bytes; phone numbers without any sign are longer
_QUOTED = re.compile(
    r"""(?P<open>\\*")(?P<json>(?:(?!(?P=open)).)*)(?:(?P=open)(?P<member>\s*:)?|$)"""
    r"""|(?<!\w)'.*?(?:'(?!\w)|$)|“[^”]*(?:”|$)|‘.*?(?:’(?!\w)|$)|«[^»]*(?:»|$)""",
    re.MULTILINE,
)
_UNQUOTED = re.compile(r"\b(Bad \w+ value|Value cannot be cast to [\w ]+): .*")
"""How BigQuery and Trino quote a value that a cast refuses."""
_CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+|true|false|null")
_WORD = re.compile(r"\w+")
_MEMBER = re.compile(r"[A-Za-z_]\w*")


class Redactor:
    """Masks texts. Used by several threads at once."""

    def __init__(self, secrets: Iterable[str] = (), known: Iterable[str] = (), *, show_values: bool = False) -> None:
        """`secrets` never get through, words of `known` may stand in quotes, `show_values` lets values through."""
        self._secrets = sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True)
        self._known = {word.casefold() for text in known for word in _WORD.findall(text)}
        self._show_values = show_values

    def __call__(self, text: str) -> str:
        """The text as it may be shown."""
        for secret in self._secrets:
            text = text.replace(secret, SECRET)
        if not self._show_values:
            text = _UNQUOTED.sub(rf"\1: {HIDDEN}", text)
            text = _QUOTED.sub(self._quoted, text)
            text = _EMAIL.sub(HIDDEN, text)
            text = _NUMBERS.sub(_number, text)
        return printable(text)

    def _quoted(self, match: re.Match[str]) -> str:
        if match["member"] is not None:
            return match[0] if _MEMBER.fullmatch(match["json"]) else HIDDEN + match["member"]
        body = match[0].strip("\\\"'“”‘’«»").strip()
        harmless = body in ("", HIDDEN, SECRET) or _CODE.fullmatch(body)
        return match[0] if harmless or self._names(body) else HIDDEN

    def _names(self, text: str) -> bool:
        words = _WORD.findall(text)
        return bool(words) and all(word.casefold() in self._known for word in words)


def _number(match: re.Match[str]) -> str:
    plain = match[0].isdigit() and len(match[0]) <= _LONGEST_NUMBER
    return match[0] if plain or match["date"] or match["address"] else HIDDEN


def printable(text: str) -> str:
    """The text with everything that could steer a terminal made visible; new lines stay."""
    return "".join(char if char.isprintable() or char == "\n" else _visible(char) for char in text)


def environment_secrets() -> list[str]:
    """The values of the environment variables that dbt calls secret."""
    return [value for name, value in os.environ.items() if name.startswith(SECRET_PREFIX) and value]


def _visible(char: str) -> str:
    return " " if char.isspace() else f"\\u{ord(char):04x}"


def _path(secret: str) -> str | None:
    """The path of a URL that is a secret as a whole, as those of webhooks are; None where there is none to speak of."""
    _, scheme, rest = secret.partition("://")
    path = rest.partition("/")[2].rstrip("/") if scheme else ""
    return path if len(path) >= _SHORTEST_PATH else None


def _forms(secret: str) -> set[str]:
    """The secret as it may stand in plain text, in a URL and in JSON; also without the line break at its end that many
    a file of a secret has.
    """
    if not secret.strip():
        return set()
    plain = {secret, secret.strip(), _path(secret.strip()) or secret}
    escaped = {json.dumps(text, ensure_ascii=ascii_only)[1:-1] for text in plain for ascii_only in (True, False)}
    # Python keeps the bytes of an environment variable that are no text as surrogates.
    in_urls = {form(text, safe="", errors="surrogateescape") for text in plain for form in (quote, quote_plus)}
    return {*plain, *in_urls, *escaped}
