"""The check of requests against a description, on a small description of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .description import Description, Sent

JSON = {"content-type": "application/json; charset=utf-8"}

PERSON: dict[str, Any] = {
    "type": "object",
    "required": ["email", "id"],
    "properties": {
        "id": {"type": "string", "readOnly": True},
        "email": {"type": "string", "maxLength": 20},
        "name": {"type": "string", "nullable": True},
        "plan": {"type": "string", "enum": ["free", "paid"], "nullable": True},
        "seats": {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
        "boss": {"$ref": "#/components/schemas/Ref", "nullable": True},
        "extra": {"type": "object", "additionalProperties": {"type": "string"}},
        "size": {
            "type": "object",
            "properties": {"kind": {"type": "string"}},
            "oneOf": [{"properties": {"wide": {"type": "integer"}}, "required": ["wide"]}, {"title": "other"}],
        },
    },
}
OPENAPI: dict[str, Any] = {
    "openapi": "3.0.3",
    "paths": {
        "/people": {
            "parameters": [{"name": "X-Version", "in": "header", "required": True, "schema": {"enum": ["1", "2"]}}],
            "post": {
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Person"}}},
                }
            },
            "get": {
                "parameters": [
                    {"name": "page", "in": "query", "schema": {"type": "integer"}},
                    {"name": "archived", "in": "query", "required": True, "schema": {"type": "boolean"}},
                    {"$ref": "#/components/parameters/Include"},
                ]
            },
        },
        "/people/{id}": {"parameters": [{"name": "id", "in": "path", "schema": {"type": "integer"}}], "put": {}},
        "/people/search": {"put": {"requestBody": {"$ref": "#/components/requestBodies/Search"}}},
    },
    "components": {
        "schemas": {
            "Person": PERSON,
            "Ref": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}},
            "One": {"type": "object", "properties": {"field": {"type": "string"}, "value": {"type": "string"}}},
            "Many": {"type": "object", "properties": {"all": {"type": "array", "items": {"type": "string"}}}},
        },
        "parameters": {
            "Include": {"name": "include", "in": "query", "schema": {"type": "array", "items": {"enum": ["a", "b"]}}}
        },
        "requestBodies": {
            "Search": {
                "content": {
                    "application/json": {
                        "schema": {
                            "oneOf": [{"$ref": "#/components/schemas/One"}, {"$ref": "#/components/schemas/Many"}]
                        }
                    }
                }
            }
        },
    },
}
SWAGGER: dict[str, Any] = {
    "swagger": "2.0",
    "basePath": "/rest",
    "paths": {
        "/leads.json": {
            "post": {
                "consumes": ["application/json"],
                "parameters": [
                    {"in": "body", "name": "b", "required": True, "schema": {"$ref": "#/definitions/Leads"}}
                ],
            }
        },
        "/token": {
            "post": {
                "consumes": ["application/x-www-form-urlencoded"],
                "parameters": [{"in": "formData", "name": "grant_type", "type": "string", "required": True}],
            }
        },
    },
    "definitions": {"Leads": {"type": "object", "properties": {"input": {"type": "array"}}}},
}
POSTMAN: dict[str, Any] = {
    "item": [
        {
            "item": [
                {
                    "request": {
                        "method": "PATCH",
                        "url": {"raw": "{{_endpoint}}/data/v{{version}}/sobjects/:NAME/{{id}}"},
                    }
                },
                {"request": {"method": "POST", "url": "{{url}}{{site}}/token?x=1"}},
            ]
        }
    ]
}


def deviations(document: dict[str, Any], sent: Sent) -> list[str]:
    return [found.what for found in Description(document).check(sent)]


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        ({"email": "a@b.example", "name": None, "plan": None, "boss": None, "seats": 1, "extra": {"a": "b"}}, []),
        ({"email": "a", "size": {"kind": "x"}}, []),
        ({"email": "a", "size": {"kind": 1}}, ["body.size.kind must be string, not integer"]),
        ({"name": "Ada"}, ["body: 'email' is required"]),
        ({"email": None}, ["body.email must be string, not null"]),
        ({"email": "a", "mail": "b"}, ["body.mail is not described"]),
        ({"email": "a", "id": "b"}, ["body.id is read-only"]),
        ({"email": "a", "plan": "gold"}, ["body.plan is not one of the values described"]),
        ({"email": "a" * 21}, ["body.email breaks `maxLength: 20`"]),
        ({"email": "a", "seats": 0}, ["body.seats breaks `minimum: 0`"]),
        ({"email": "a", "boss": {}}, ["body.boss: 'id' is required"]),
        ({"email": "a", "extra": {"a": 1}}, ["body.extra.a must be string, not integer"]),
    ],
)
def test_a_body_is_checked_against_its_schema(person: dict[str, Any], expected: list[str]) -> None:
    sent = Sent("POST", "/people", {}, {**JSON, "x-version": "1"}, json.dumps(person).encode())
    assert deviations(OPENAPI, sent) == expected


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (Sent("GET", "/peoples"), ["there is no such path"]),
        (Sent("DELETE", "/people"), ["there is no such method"]),
        (Sent("PUT", "/people/7"), []),
        (Sent("PUT", "/people/7%2F8"), ["path parameter `id` must be integer, not string"]),
        (Sent("PUT", "/people/search", {}, JSON, b'{"all": ["x"]}'), []),
        (Sent("PUT", "/people/search", {}, JSON, b'{"all": [1]}'), ["body.all[] must be string, not integer"]),
        (Sent("PUT", "/people/search", {}, JSON, b"{"), ["the body is not JSON"]),
        (
            Sent("PUT", "/people/search", {}, {"content-type": "text/csv"}, b"x"),
            ["content type `text/csv` is not described"],
        ),
        (Sent("PUT", "/people/7", {}, JSON, b"{}"), ["a body is not described"]),
        (Sent("POST", "/people"), ["header `X-Version` is required", "a body is required"]),
        (
            Sent("GET", "/people", {"page": ["x"], "pge": ["1"]}, {"x-version": "3"}),
            [
                "query parameter `page` must be integer, not string",
                "query parameter `pge` is not described",
                "query parameter `archived` is required",
                "header `X-Version` is not one of the values described",
            ],
        ),
        (Sent("GET", "/people", {"archived": ["true"], "include": ["a", "b"]}, {"x-version": "1"}), []),
        (
            Sent("GET", "/people", {"archived": ["yes"], "include": ["c"]}, {"x-version": "1"}),
            [
                "query parameter `archived` must be boolean, not string",
                "query parameter `include` is not one of the values described",
            ],
        ),
    ],
)
def test_paths_queries_and_headers(sent: Sent, expected: list[str]) -> None:
    assert deviations(OPENAPI, sent) == expected


def test_a_path_that_is_not_there_is_named_without_its_ids() -> None:
    (found,) = Description(OPENAPI).check(Sent("GET", "/people/ada%40example.com/photos"))
    assert str(found) == "GET /people/*/photos: there is no such path"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (Sent("POST", "/rest/leads.json", {}, JSON, b'{"input": []}'), []),
        (Sent("POST", "/rest/leads.json", {}, JSON, b'{"inputs": []}'), ["body.inputs is not described"]),
        (Sent("POST", "/leads.json", {}, JSON, b'{"input": []}'), ["there is no such path"]),
        (
            Sent("POST", "/rest/token", {}, {"content-type": "application/x-www-form-urlencoded"}, b"grant=x"),
            ["body: 'grant_type' is required", "body.grant is not described"],
        ),
    ],
)
def test_swagger(sent: Sent, expected: list[str]) -> None:
    assert sorted(deviations(SWAGGER, sent)) == sorted(expected)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (Sent("PATCH", "/data/v60.0/sobjects/Contact/1", {}, JSON, b"{}"), []),
        (Sent("POST", "/token", {}, {}, b"anything"), []),
        (Sent("POST", "/data/v60.0/sobjects/Contact/1"), ["there is no such method"]),
    ],
)
def test_the_paths_of_a_postman_collection(sent: Sent, expected: list[str]) -> None:
    assert deviations(POSTMAN, sent) == expected


def test_something_else_is_no_description() -> None:
    with pytest.raises(ValueError, match="neither OpenAPI 3 nor Swagger 2 nor a Postman collection"):
        Description({"swagger": "1.2"})
