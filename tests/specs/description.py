"""Requests against a vendor's machine-readable description: OpenAPI 3, Swagger 2, or a Postman collection's paths.

A description is taken at its word and read strictly: a name that it does not list is a deviation, as is a value of
another type, and a value for what it calls read-only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast
from urllib.parse import parse_qsl, unquote

from jsonschema import Draft4Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry
from referencing.jsonschema import DRAFT4

METHODS = ("get", "put", "post", "delete", "patch", "head", "options")
_HERE = "urn:description"
_FORM = "application/x-www-form-urlencoded"
_OWN_HEADERS = frozenset({"accept", "content-type", "authorization"})  # OpenAPI leaves these to other places


@dataclass(frozen=True)
class Sent:
    """A request as it left: `path` is percent-encoded and starts after the vendor's host."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # lower-case names
    body: bytes = b""

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class Deviation:
    """How a request differs: `request` is method and path template, `what` names no value of the request."""

    request: str
    what: str

    def __str__(self) -> str:
        return f"{self.request}: {self.what}"


class Description:
    """One or several documents of a vendor, as one. Raises ValueError for a document of another kind."""

    def __init__(self, *documents: Mapping[str, Any]) -> None:
        self._operations = [operation for document in documents for operation in _operations(document)]
        if not self._operations:
            raise ValueError("these documents describe no request")

    def __len__(self) -> int:
        return len(self._operations)

    def check(self, sent: Sent) -> list[Deviation]:
        """All that the description does not allow in a request; empty when it is as described."""
        parts = _parts(sent.path)
        fitting = [operation for operation in self._operations if operation.fits(parts)]
        if not fitting:
            return [Deviation(f"{sent.method} {_anonymous(parts)}", "there is no such path")]
        with_method = [operation for operation in fitting if operation.method == sent.method.lower()]
        if not with_method:
            return [Deviation(f"{sent.method} {fitting[0].path}", "there is no such method")]
        # Of several paths that fit, the one with the most words of its own is meant, and one where all is as described.
        best = max(operation.literals for operation in with_method)
        results = [operation.check(sent, parts) for operation in with_method if operation.literals == best]
        return min(results, key=len)


@dataclass(frozen=True)
class Operation:
    """A method and a path, with what may be sent there. Without `parameters` only the path is described."""

    method: str
    path: str
    parts: tuple[re.Pattern[str], ...]
    literals: int
    parameters: Sequence[Mapping[str, Any]] | None = None
    bodies: Mapping[str, Any] | None = None  # schema by content type
    body_required: bool = False
    registry: Registry[Any] = field(default_factory=Registry)

    def fits(self, parts: Sequence[str]) -> bool:
        return len(parts) == len(self.parts) and all(
            form.fullmatch(part) for form, part in zip(self.parts, parts, strict=True)
        )

    def check(self, sent: Sent, parts: Sequence[str]) -> list[Deviation]:
        if self.parameters is None:
            return []
        name = f"{self.method.upper()} {self.path}"
        found = [*self._path(parts), *self._query(sent), *self._headers(sent), *self._body(sent)]
        return [Deviation(name, what) for what in dict.fromkeys(found)]

    def _of(self, place: str) -> dict[str, Mapping[str, Any]]:
        return {str(item["name"]): item for item in self.parameters or () if item.get("in") == place}

    def _path(self, parts: Sequence[str]) -> Iterator[str]:
        described = self._of("path")
        for form, part in zip(self.parts, parts, strict=True):
            match = form.fullmatch(part)
            for index, value in (match.groupdict() if match else {}).items():
                name = self._names[int(index[1:])]
                yield from self._texts(f"path parameter `{name}`", described.get(name), [value])

    @cached_property
    def _names(self) -> list[str]:
        return re.findall(r"\{([^}]+)\}", self.path)

    def _query(self, sent: Sent) -> Iterator[str]:
        described = self._of("query")
        plain = {name.removesuffix("[]"): item for name, item in described.items()}
        for name, values in sent.query.items():
            item = described.get(name) or plain.get(name.partition("[")[0])
            if item is None:
                yield f"query parameter `{name}` is not described"
            elif "[" not in name:
                yield from self._texts(f"query parameter `{name}`", item, values)
        for name, item in described.items():
            if item.get("required") and name not in sent.query:
                yield f"query parameter `{name}` is required"

    def _headers(self, sent: Sent) -> Iterator[str]:
        for name, item in self._of("header").items():
            if item.get("required") and name.lower() not in sent.headers and name.lower() not in _OWN_HEADERS:
                yield f"header `{name}` is required"
            elif name.lower() in sent.headers and name.lower() not in _OWN_HEADERS:
                yield from self._texts(f"header `{name}`", item, [sent.headers[name.lower()]])

    def _texts(self, where: str, item: Mapping[str, Any] | None, values: Sequence[str]) -> Iterator[str]:
        """Whether texts of a path, query or header can be values of a parameter."""
        if item is None:
            return
        schema = item.get("schema") or {key: item[key] for key in ("type", "enum", "items") if key in item}
        if schema.get("type") == "array":
            schema = schema.get("items") or {}
        if self._type(schema) in ("object", "file"):
            return
        for value in values:
            yield from self._against(schema, _typed(value, self._type(schema)), where)

    def _type(self, schema: Mapping[str, Any]) -> str | None:
        while "$ref" in schema:
            schema = self.registry.resolver().lookup(schema["$ref"]).contents
        kind = schema.get("type")
        return next((name for name in kind if name != "null"), None) if isinstance(kind, list) else kind

    def _body(self, sent: Sent) -> Iterator[str]:
        if not sent.body:
            if self.body_required:
                yield "a body is required"
            return
        if not self.bodies:
            yield "a body is not described"
            return
        schema = self.bodies.get(sent.content_type)
        if schema is None and sent.content_type not in self.bodies:
            yield f"content type `{sent.content_type}` is not described"
        elif sent.content_type == _FORM:
            yield from self._against(_loose(schema or {}), dict(parse_qsl(sent.body.decode())), "body")
        elif sent.content_type.endswith("json"):
            yield from self._json(schema or {}, sent.body)

    def _json(self, schema: Any, body: bytes) -> Iterator[str]:
        try:
            value = json.loads(body)
        except ValueError:
            yield "the body is not JSON"
            return
        yield from self._against(schema, value, "body")

    def _against(self, schema: Any, value: Any, where: str) -> Iterator[str]:
        for error in Draft4Validator(schema, registry=self.registry).iter_errors(value):
            yield from (f"{where}{what}" for what in _words(error))


def _operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    if "item" in document:
        yield from _postman(document["item"])
        return
    if "openapi" not in document and document.get("swagger") != "2.0":
        raise ValueError("neither OpenAPI 3 nor Swagger 2 nor a Postman collection")
    strict = _strict(document)
    registry: Registry[Any] = Registry().with_resource(_HERE, DRAFT4.create_resource(strict))
    base = str(document.get("basePath", "")).rstrip("/")
    for path, item in strict["paths"].items():
        for method in METHODS:
            if method in item:
                own = item[method]
                given = [*item.get("parameters", ()), *own.get("parameters", ())]
                parameters = [_resolved(strict, parameter) for parameter in given]
                bodies, required = _bodies(strict, own, parameters, document)
                forms = tuple(_forms(base + path))
                yield Operation(
                    method, base + path, forms, _literals(base + path), parameters, bodies, required, registry
                )


def _bodies(
    document: Mapping[str, Any],
    own: Mapping[str, Any],
    parameters: Sequence[Mapping[str, Any]],
    root: Mapping[str, Any],
) -> tuple[dict[str, Any], bool]:
    """The schema of each content type, and whether there must be a body."""
    if "openapi" in root:
        body = _resolved(document, own.get("requestBody") or {})
        content = body.get("content") or {}
        return {kind.lower(): item.get("schema") for kind, item in content.items()}, bool(body.get("required"))
    kinds = own.get("consumes") or root.get("consumes") or ["application/json"]
    whole = next((item for item in parameters if item.get("in") == "body"), None)
    form = [item for item in parameters if item.get("in") == "formData"]
    if whole is not None:
        return dict.fromkeys(kinds, whole.get("schema")), bool(whole.get("required"))
    if not form:
        return {}, False
    names: dict[str, Any] = {item["name"]: {} for item in form}
    needed = [item["name"] for item in form if item.get("required")]
    schema = {"properties": names, "additionalProperties": False, **({"required": needed} if needed else {})}
    return dict.fromkeys(kinds, schema), bool(needed)


def _postman(items: Sequence[Mapping[str, Any]]) -> Iterator[Operation]:
    """Only methods and paths: a collection's bodies are examples."""
    for item in items:
        if "item" in item:
            yield from _postman(item["item"])
            continue
        url = item["request"]["url"]
        raw = (url if isinstance(url, str) else url["raw"]).partition("?")[0]
        path = re.sub(r"^(\{\{\w+\}\})+", "", raw)
        path = re.sub(r"\{\{(\w+)\}\}", r"{\1}", re.sub(r"/:(\w+)", r"/{\1}", path)).rstrip("/")
        yield Operation(item["request"]["method"].lower(), path, tuple(_forms(path)), _literals(path))


def _parts(path: str) -> list[str]:
    return [unquote(part) for part in path.strip("/").split("/")]


def _forms(path: str) -> Iterator[re.Pattern[str]]:
    """A pattern for each part of a path template; the n-th variable of the path is the group `pn`."""
    n = 0
    for part in path.strip("/").split("/"):
        pieces = re.split(r"(\{[^}]+\})", part)
        expression = ""
        for piece in pieces:
            expression += f"(?P<p{n}>.+)" if piece.startswith("{") else re.escape(piece)
            n += piece.startswith("{")
        yield re.compile(expression, re.DOTALL)


def _literals(path: str) -> int:
    return sum("{" not in part for part in path.split("/"))


def _anonymous(parts: Sequence[str]) -> str:
    """A path without what looks like an id."""
    return "/" + "/".join(part if re.fullmatch(r"[a-z_]+(\.json)?|v\d+", part) else "*" for part in parts)


def _typed(text: str, kind: str | None) -> Any:
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    if kind in ("integer", "number"):
        try:
            return int(text) if kind == "integer" else float(text)
        except ValueError:
            return text
    return text


def _resolved(document: Mapping[str, Any], item: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a `$ref` stands for."""
    while "$ref" in item:
        found: Any = document
        for part in item["$ref"].partition("#/")[2].split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        item = found
    return item


def _loose(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema of names alone, for forms: all of their values are texts."""
    kept = {key: schema[key] for key in ("required", "additionalProperties") if key in schema}
    return {**kept, "properties": {name: {} for name in schema.get("properties", ())}}


_READ_ONLY = {"description": "read-only", "not": {}}


def _strict(value: Any, parent: str = "") -> Any:
    """A copy of a document whose schemas are JSON Schema: `nullable` becomes a type, `readOnly` a refusal.

    An object with properties takes no others, unless it says so or is a part of `allOf`.
    """
    if isinstance(value, list):
        return [_strict(item, parent) for item in value]
    if not isinstance(value, Mapping):
        return value
    if parent in ("example", "examples", "responses", "x-", "default", "enum"):
        return value
    if isinstance(value.get("$ref"), str):
        ref = {"$ref": _HERE + value["$ref"]} if value["$ref"].startswith("#") else value
        return {"anyOf": [{"type": "null"}, ref]} if value.get("nullable") is True else ref
    made = {key: _strict(item, _role(key, value, parent)) for key, item in value.items()}
    if parent == "properties" or not isinstance(made.get("properties", {}), Mapping):
        return made
    if made.pop("nullable", False) is True:
        made = _or_null(made)
    return _closed(made, parent) if "properties" in made else made


def _role(key: str, value: Mapping[str, Any], parent: str) -> str:
    """What a part of a document is there for; alternatives beside `properties` only add to them, as `allOf` does."""
    if parent == "properties":
        return ""
    return "allOf" if key in ("oneOf", "anyOf") and "properties" in value else key


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    if any(key in schema for key in ("oneOf", "anyOf", "allOf")):
        return {"anyOf": [{"type": "null"}, schema]}
    if "type" in schema:
        schema["type"] = [schema["type"], "null"]
    if isinstance(schema.get("enum"), list):
        schema["enum"] = [*schema["enum"], None]
    return schema


def _closed(schema: dict[str, Any], parent: str) -> dict[str, Any]:
    properties = schema["properties"]
    unwritable = [name for name, item in properties.items() if isinstance(item, Mapping) and item.get("readOnly")]
    schema["properties"] = {**properties, **dict.fromkeys(unwritable, _READ_ONLY)}
    required = [name for name in schema.pop("required", None) or () if name not in unwritable]
    if required:
        schema["required"] = required
    branches = [part for key in ("allOf", "anyOf", "oneOf") for part in schema.get(key, ())]
    if parent != "allOf" and not any("properties" in part or "$ref" in part for part in branches):
        schema.setdefault("additionalProperties", False)
    return schema


def _words(error: ValidationError, path: str = "") -> Iterator[str]:
    """A validation error without the values of the request, and the nearest branch of alternatives."""
    where = path + "".join("[]" if isinstance(part, int) else f".{part}" for part in error.relative_path)
    if error.validator in ("oneOf", "anyOf") and error.context:
        branches: dict[int, list[ValidationError]] = {}
        for inner in error.context:
            branches.setdefault(int(inner.relative_schema_path[0]), []).append(inner)
        fewest = min(branches.values(), key=lambda errors: (max(map(_distance, errors)), len(errors)))
        for inner in fewest:
            yield from _words(inner, where)
    elif error.validator == "additionalProperties":
        schema: Any = error.schema
        for name in sorted({*cast("Mapping[str, Any]", error.instance)} - {*schema.get("properties", ())}):
            yield f"{where}.{name} is not described"
    elif error.validator == "required":
        yield f"{where}: {error.message.partition(' ')[0]} is required"
    elif error.validator == "not":
        yield f"{where} is read-only"
    elif error.validator == "type":
        yield f"{where} must be {_listed(error.validator_value)}, not {_kind(error.instance)}"
    elif error.validator == "enum":
        yield f"{where} is not one of the values described"
    else:
        yield f"{where} breaks `{error.validator}: {error.validator_value}`"


def _distance(error: ValidationError) -> int:
    """How far off a branch is: another type, other names, or only other values."""
    if error.relative_path:
        return 0
    return 2 if error.validator == "type" else 1


def _listed(kinds: Any) -> str:
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)


def _kind(value: Any) -> str:
    names = {type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return names.get(type(value), "object")
