"""The endpoints that read and write associations; what they do is in `associations`.

Limits: the changelog "Batch Read Limit for HubSpot Associations API" (1,000 ids), and 2,000 pairs for a write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from revetl_dbt.sandbox.hubspot.associations import Associations, Link
from revetl_dbt.sandbox.hubspot.errors import ApiError
from revetl_dbt.sandbox.hubspot.objects import ObjectType
from revetl_dbt.sandbox.hubspot.shapes import mapping, mappings, require, text
from revetl_dbt.sandbox.hubspot.values import moment_text
from revetl_dbt.sandbox.messages import Request, Response

MAX_WRITTEN, MAX_READ = 2000, 1000


class AssociationEndpoints:
    """Handlers for `/crm/v4/associations/{from}/{to}/...`, the date-versioned paths, and those of one record."""

    def __init__(self, associations: Associations) -> None:
        self._links = associations
        self._store = associations.store

    def create(self, kind: ObjectType, other: ObjectType, request: Request) -> Response:
        """POST batch/create: with types, and one answer a pair."""
        return self._write(kind, other, request, self._labels_of, labelled=True)

    def associate(self, kind: ObjectType, other: ObjectType, request: Request) -> Response:
        """POST batch/associate/default: without a label, and one answer a pair and direction."""
        return self._write(kind, other, request, self._specs_of, labelled=False)

    def _write(
        self,
        kind: ObjectType,
        other: ObjectType,
        request: Request,
        shown: Callable[[ObjectType, ObjectType, Link], list[dict[str, Any]]],
        *,
        labelled: bool,
    ) -> Response:
        started = self._store.now()
        links = []
        for given in _inputs(request, MAX_WRITTEN):
            link = Link(_id(given, "from"), _id(given, "to"))
            if labelled:
                require(given, ["types"])
                link.types = [self._links.spec(kind, other, spec) for spec in mappings(given["types"], "types")]
            poison = request.poisoned({"from": link.first, "to": link.second})
            if poison:
                link.error = ApiError(
                    400, poison.message, context={"fromObjectId": [link.first], "toObjectId": [link.second]}
                )
                if poison.whole_batch:
                    raise link.error
            links.append(link)
        self._links.check(kind, other, links)
        fine = [link for link in links if link.error is None]
        self._links.add(kind, other, fine)
        results = [result for link in fine for result in shown(kind, other, link)]
        return self._answer(201 if labelled else 200, started, results, [link.error for link in links if link.error])

    def _labels_of(self, kind: ObjectType, other: ObjectType, link: Link) -> list[dict[str, Any]]:
        return [
            {
                "fromObjectTypeId": kind.type_id,
                "fromObjectId": link.first,
                "toObjectTypeId": other.type_id,
                "toObjectId": link.second,
                "labels": [made.label for made in link.types if made.label],
            }
        ]

    def _specs_of(self, kind: ObjectType, other: ObjectType, link: Link) -> list[dict[str, Any]]:
        plain = self._links.plain(kind, other)
        return [
            {
                "from": {"id": first},
                "to": {"id": second},
                "associationSpec": {"associationCategory": plain.category, "associationTypeId": typed},
            }
            for first, second, typed in (
                (link.first, link.second, plain.number),
                (link.second, link.first, plain.inverse),
            )
        ]

    def archive(self, kind: ObjectType, other: ObjectType, request: Request) -> Response:
        """POST batch/archive: everything between records; no error for what there is not."""
        pairs = [
            Link(_id(given, "from"), _text(one))
            for given in _inputs(request, MAX_WRITTEN)
            for one in mappings(given.get("to"), "to")
        ]
        self._links.remove(kind, other, pairs)
        return Response(204)

    def archive_labels(self, kind: ObjectType, other: ObjectType, request: Request) -> Response:
        """POST batch/labels/archive: single labels."""
        links = []
        for given in _inputs(request, MAX_WRITTEN):
            types = [self._links.spec(kind, other, spec) for spec in mappings(given.get("types"), "types")]
            links.append(Link(_id(given, "from"), _id(given, "to"), types))
        self._links.remove(kind, other, links)
        return Response(204)

    def read(self, kind: ObjectType, other: ObjectType, request: Request) -> Response:
        """POST batch/read: records without any are listed as errors."""
        started = self._store.now()
        asked = [_text(given) for given in _inputs(request, MAX_READ)]
        held = self._links.held(kind, other, asked)
        results = [
            {"from": {"id": known}, "to": self._to(kind, other, links)} for known, links in held.items() if links
        ]
        alone = [
            ApiError(
                404,
                f"No {other.singular} is associated with {kind.singular} {known}.",
                "OBJECT_NOT_FOUND",
                {"fromObjectId": [known], "fromObjectType": [kind.singular], "toObjectType": [other.singular]},
            )
            for known, links in held.items()
            if not links
        ]
        return self._answer(207 if alone else 200, started, results, alone)

    def _to(self, kind: ObjectType, other: ObjectType, links: Mapping[str, Sequence[int]]) -> list[dict[str, Any]]:
        types = {found.number: found.as_label() for found in self._links.types(kind, other)}
        return [
            {"toObjectId": one, "associationTypes": [types[found] for found in numbers]}
            for one, numbers in links.items()
        ]

    def labels(self, kind: ObjectType, other: ObjectType, _request: Request) -> Response:
        """GET labels."""
        return Response(data={"results": [found.as_label() for found in self._links.types(kind, other)]})

    def create_label(self, kind: ObjectType, other: ObjectType, request: Request) -> Response:
        """POST labels."""
        body = mapping(request.json())
        require(body, ("label", "name"))
        inverse = body.get("inverseLabel")
        made = self._links.create_label(
            kind, other, text(body["label"], "label"), None if inverse is None else text(inverse, "inverseLabel")
        )
        return Response(data={"results": [found.as_label() for found in made]})

    # -- one record ------------------------------------------------------------------------------

    def page(self, kind: ObjectType, other: ObjectType, request: Request) -> Response:
        """GET the associations of one record."""
        known = request.params["id"]
        return Response(data={"results": self._to(kind, other, self._links.held(kind, other, [known])[known])})

    def put(self, kind: ObjectType, other: ObjectType, request: Request) -> Response:
        """PUT one association with types."""
        link = Link(request.params["id"], request.params["other"])
        link.types = [self._links.spec(kind, other, spec) for spec in mappings(request.json(), "body")]
        self._put(kind, other, link)
        return Response(201, self._labels_of(kind, other, link)[0])

    def put_default(self, kind: ObjectType, other: ObjectType, request: Request) -> Response:
        """PUT one association without a label."""
        link = Link(request.params["id"], request.params["other"])
        self._put(kind, other, link)
        return self._answer(200, self._store.now(), self._specs_of(kind, other, link), [])

    def _put(self, kind: ObjectType, other: ObjectType, link: Link) -> None:
        self._links.check(kind, other, [link])
        if link.error:
            raise link.error
        self._links.add(kind, other, [link])

    def delete(self, kind: ObjectType, other: ObjectType, request: Request) -> Response:
        """DELETE all associations of two records."""
        self._links.remove(kind, other, [Link(request.params["id"], request.params["other"])])
        return Response(204)

    def _answer(self, status: int, started: int, results: list[dict[str, Any]], errors: Sequence[ApiError]) -> Response:
        body: dict[str, Any] = {"status": "COMPLETE", "results": results}
        if errors:
            body |= {"numErrors": len(errors), "errors": [error.standard_error({}) for error in errors]}
        body |= {"startedAt": moment_text(started), "completedAt": moment_text(self._store.now())}
        # The default associations have no 207 in the OpenAPI description: their 200 may have `errors`.
        return Response(207 if errors and status != 200 else status, body)


def _inputs(request: Request, most: int) -> list[Mapping[str, Any]]:
    body = mapping(request.json())
    require(body, ["inputs"])
    inputs = mappings(body["inputs"], "inputs")
    request.records = len(inputs)
    if not 1 <= len(inputs) <= most:
        raise ApiError(400, f"A batch of associations must have 1 to {most} inputs, this one has {len(inputs)}")
    return inputs


def _id(given: Mapping[str, Any], name: str) -> str:
    require(given, [name])
    return _text(mapping(given[name], name))


def _text(given: Mapping[str, Any]) -> str:
    require(given, ["id"])
    return text(given["id"], "id")
