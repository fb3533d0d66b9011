"""Hashed fields are what vendors ask for, on the examples that they publish.

https://developers.facebook.com/docs/marketing-api/conversions-api/parameters/customer-information-parameters (e-mail,
names, `phone_digits`); https://developers.google.com/google-ads/api/docs/conversions/upload-online (`phone`: E.164).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from .harness import Flow, Warehouse

PUBLISHED = [
    ("text", " John_Smith@gmail.com\n", "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"),
    ("text", "Mary", "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"),
    ("text", "정", "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14"),
    ("text", "Valéry", "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
    ("phone_digits", "1(650)555-1212", "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"),
]
FORMS = [
    ("phone", "+1 (650) 555-1212", "+16505551212"),
    ("phone", "001-650-555.1212 ", "+16505551212"),
    ("phone", "+44 (0)20 7946 0018", "+442079460018"),
    ("phone_digits", "+44 (0)20 7946 0018", "442079460018"),
    ("text", "\tAnn Lee ", "ann lee"),
]
NOTHING = [("text", ""), ("text", " \n"), ("phone", "n/a"), ("phone_digits", "000")]


def test_values_are_brought_into_the_form_that_is_hashed(flow: Callable[..., Flow], warehouse: Warehouse) -> None:
    expected = [(kind, value, digest) for kind, value, digest in PUBLISHED]
    expected += [(kind, value, hashlib.sha256(form.encode()).hexdigest()) for kind, value, form in FORMS]
    rows = [(kind, value, digest) for kind, value, digest in expected] + [(*item, None) for item in NOTHING]
    rows.append(("text", None, None))
    kinds = ("text", "phone", "phone_digits")
    warehouse.table(
        "people",
        {"id": "integer", "v": "varchar"},
        [{"id": str(n), "v": "null" if value is None else f"'{value}'"} for n, (_, value, _) in enumerate(rows)],
    )
    fields = {kind: {"column": "v", "hash": "sha256", "normalise": kind} for kind in kinds}
    f = flow(match={"Id": "id"}, fields={**fields, "plain": {"column": "v", "hash": "sha256"}})
    f.run()
    held = f.ledger_rows()
    for n, (kind, value, digest) in enumerate(rows):
        assert held[(n,)][kind] == digest, (kind, value)
        assert held[(n,)]["plain"] == held[(n,)]["text"]
    assert f.run().status == "noop"
