"""The descriptions that requests are checked against, and what is known to differ."""

from __future__ import annotations

import pytest

from revetl_dbt.sandbox.messages import Request, Response

from . import watch
from .description import Sent
from .vendors import FOLDER, VENDORS, check, description, folder, known

needs_descriptions = pytest.mark.skipif(
    folder() is None, reason=f"the vendors' descriptions are not here: no folder shared/specs, and no {FOLDER}"
)


@needs_descriptions
@pytest.mark.parametrize("vendor", VENDORS)
def test_requests_of_the_suite_are_checked_against_a_description(vendor: str) -> None:
    for name in VENDORS[vendor].files:
        described = description(vendor, name)
        assert described is not None
        assert len(described) > 100
    found = check(vendor, Sent("POST", "/no/such/thing"))
    assert [str(deviation) for deviation in found or ()] == ["POST /no/such/thing: there is no such path"]


def test_other_vendors_are_not_checked() -> None:
    assert check("http", Sent("POST", "/no/such/thing")) is None


def test_every_known_deviation_has_a_reason() -> None:
    assert set(known()) == set(VENDORS)
    entries = [entry for listed in known().values() for entry in listed]
    assert not [entry for entry in entries if len(entry.reason.split()) < 4]
    assert len(entries) == len({(entry.request, entry.deviation) for entry in entries})


INTERCOM = {"content-type": "application/json"}


@needs_descriptions
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (
            Sent("POST", "/contacts", {}, INTERCOM, b'{"email": "a@b.example", "nom": "x"}'),
            ["body.nom is not described"],
        ),
        (Sent("POST", "/contacts", {}, INTERCOM, b'{"external_id": "1", "name": null}'), []),
        (
            Sent("GET", "/data_attributes", {"model": ["cat"]}),
            ["query parameter `model` is not one of the values described"],
        ),
    ],
)
def test_intercom(sent: Sent, expected: list[str]) -> None:
    assert [deviation.what for deviation in check("intercom", sent) or ()] == expected


@needs_descriptions
def test_the_version_of_intercom_picks_the_description() -> None:
    body = b'{"contacts": [{"email": "a@b.example"}]}'
    stable = check("intercom", Sent("POST", "/contacts/bulk", {}, INTERCOM, body))
    preview = check("intercom", Sent("POST", "/contacts/bulk", {}, {**INTERCOM, "intercom-version": "Preview"}, body))
    assert [deviation.what for deviation in stable or ()] == ["there is no such method"]
    assert preview == []


@needs_descriptions
@pytest.mark.off_spec("shows what happens to such a request")
@pytest.mark.parametrize(("status", "problems"), [(200, 1), (503, 1), (400, 0)])
def test_what_is_not_described_fails_the_test_unless_it_is_refused(status: int, problems: int) -> None:
    watch.record("intercom", Request("GET", "/contact", {}, {}, b""), Response(status))
    assert watch.problems == ["intercom: GET /contact: there is no such path"] * problems
