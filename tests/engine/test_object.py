"""A ledger is of one object: what one object accepted is never taken for accepted by another."""

from __future__ import annotations

from collections.abc import Callable

from .fake import Fake, people
from .harness import Flow, Warehouse


def test_another_object_under_the_same_name_is_refused(flow: Callable[..., Flow], warehouse: Warehouse) -> None:
    class Two(Fake):
        def object_type(self, name: str):  # type: ignore[no-untyped-def] # as the base has it
            return self.kind

    f = flow(Two(people()), key=("id",), match={"Email": "email"})
    warehouse.table("people", {"id": "integer", "email": "varchar"}, [{"id": "1", "email": "'a'"}])
    assert f.run().status == "success"
    f.remap(object="companies")
    refused = f.run()
    assert refused.status == "error"
    assert "is of object `people`, and the sync now writes `companies`" in (refused.message or "")
    assert "revetl state reset people" in (refused.message or "")
    assert len(f.destination.written) == 1
    f.remap(object="people")
    assert f.run().status == "noop"
