from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revetl_dbt.report.redact import HIDDEN, SECRET, Redactor, environment_secrets, printable

redact = Redactor(["s3cr3t/key"], ["email firstname contacts"])

words = st.text(st.characters(categories=("L",)), min_size=1, max_size=12)
prose = st.lists(words, max_size=6).map(" ".join)
local = st.from_regex(r"[a-z0-9][a-z0-9.+_-]{0,15}", fullmatch=True)
emails = st.builds(
    "{}@{}.{}".format, local, st.from_regex(r"[a-z0-9-]{1,12}", fullmatch=True), st.sampled_from(["io", "de"])
)
digits = st.text("0123456789", min_size=8, max_size=15)
separated = st.builds(
    lambda number, separator: separator.join([number[:3], number[3:6], number[6:]]), digits, st.sampled_from(" -./")
)
phones = st.one_of(
    digits, digits.map("+{}".format), separated, separated.map("+{}".format), separated.map("({}".format)
)
quotes = st.sampled_from(['""', "''", "“”", "‘’", "«»", '\\"\\"'])


class TestPersonalValues:
    @given(prose, emails, prose)
    def test_no_email_gets_through(self, before: str, email: str, after: str) -> None:
        for text in (
            f"{before} {email} {after}",
            f"{before}<{email}>",
            f"{before} {email.replace('@', '@@')} {after}",
            f"{before}: {email.replace('@', '%40')}, {after}",
        ):
            assert email.partition("@")[2] not in redact(text).replace(before, "").replace(after, "")
            assert HIDDEN in redact(text)

    @given(prose, phones, prose)
    def test_no_phone_number_gets_through(self, before: str, phone: str, after: str) -> None:
        said = redact(f"{before} {phone} {after}")
        assert HIDDEN in said
        assert not any(char in "0123456789" for char in said.replace(before, "").replace(after, ""))

    @given(prose, words.map("Zz{}".format), quotes, prose)
    def test_no_quoted_value_gets_through(self, before: str, value: str, marks: str, after: str) -> None:
        half = len(marks) // 2
        said = redact(f"{before} {marks[:half]}{value}{marks[half:]} {after}")
        assert value not in said.replace(before, "").replace(after, "")

    @given(prose, words.map("Zz{}".format))
    def test_nor_one_whose_quote_was_cut_off(self, before: str, value: str) -> None:
        assert value not in redact(f'{before} "{value} and mo').replace(before, "")

    @given(prose)
    def test_prose_is_left_alone(self, text: str) -> None:
        assert redact(text) == text

    @given(st.text(max_size=60))
    def test_twice_is_once(self, text: str) -> None:
        assert redact(redact(text)) == redact(text)

    @given(prose, emails)
    def test_values_show_on_request(self, before: str, email: str) -> None:
        assert email in Redactor(show_values=True)(f"{before} {email}")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("Contact already exists. Existing ID: 151", "Contact already exists. Existing ID: 151"),
            ("'O'Brien' is no number", f"{HIDDEN} is no number"),
            ("the users' list isn't there", "the users' list isn't there"),
            ('Property "firstname" of "contacts" is odd', 'Property "firstname" of "contacts" is odd'),
            ("field `seats`: not a number", "field `seats`: not a number"),
            (
                '[{"isValid":false,"message":"jane is bad","error":"INVALID_EMAIL","name":"email"}]',
                f'[{{"isValid":false,"message":{HIDDEN},"error":"INVALID_EMAIL","name":"email"}}]',
            ),
            ("2026-11-22 10:00:00 127.0.0.1:8080", "2026-11-22 10:00:00 127.0.0.1:8080"),
            ("the record takes 1048576 bytes", "the record takes 1048576 bytes"),
        ],
    )
    def test_what_says_nothing_of_a_person_stays(self, text: str, said: str) -> None:
        assert redact(text) == said


class TestSecrets:
    @given(prose, st.text(min_size=8, max_size=20).filter(str.strip), prose, st.booleans())
    def test_no_secret_gets_through(self, before: str, secret: str, after: str, show: bool) -> None:
        redactor = Redactor([secret], show_values=show)
        forms = (secret, quote(secret, safe=""), json.dumps(secret)[1:-1])
        for form in forms:
            said = redactor(f"{before} {form} {after}")
            if form not in f"{before} ***** {after} {HIDDEN}":
                assert form not in said

    def test_the_longest_is_masked_first(self) -> None:
        assert Redactor(["abc", "abcdef"])("abcdef abc") == f"{SECRET} {SECRET}"

    def test_empty_secrets_mask_nothing(self) -> None:
        assert Redactor(["", " "])("a b") == "a b"

    def test_a_line_break_at_the_end_hides_no_secret(self) -> None:
        assert Redactor(["hush hush\n"])("hush hush; hush+hush; hush%20hush") == "; ".join([SECRET] * 3)

    def test_the_path_of_a_secret_url_is_one(self) -> None:
        mask = Redactor(["https://hooks.example.com/services/T0/s3cr3t"])
        assert (
            mask("no route /services/T0/s3cr3t/x on hooks.example.com") == f"no route /{SECRET}/x on hooks.example.com"
        )
        assert Redactor(["https://example.com/v2"])("/v2 is old") == "/v2 is old"

    def test_bytes_that_are_no_text_are_masked_too(self) -> None:
        assert Redactor(["hush\udcff"])("hush\udcff hush%FF") == f"{SECRET} {SECRET}"

    def test_the_environment_names_secrets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DBT_ENV_SECRET_X", "hush")
        monkeypatch.setenv("OTHER", "loud")
        assert "hush" in environment_secrets()
        assert "loud" not in environment_secrets()


@pytest.mark.parametrize("said", ["Bad int64 value", "Value cannot be cast to timestamp with time zone"])
def test_what_a_cast_refuses_is_masked_where_the_warehouse_does_not_quote_it(said: str) -> None:
    assert redact(f"400 {said}: Ann Lee; x\nJob 7") == f"400 {said}: {HIDDEN}\nJob 7"


@given(st.text())
def test_nothing_steers_the_terminal(text: str) -> None:
    said = printable(text)
    assert all(char.isprintable() or char == "\n" for char in said)
    assert said.count("\n") == text.count("\n")


def test_escape_sequences_are_made_visible() -> None:
    assert redact("\x1b[31mred\x1b[0m\tx\u202e") == "\\u001b[31mred\\u001b[0m x\\u202e"
