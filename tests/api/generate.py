"""Makes requests from api/openapi.yaml: valid ones, and such as break one thing each."""

import copy
import json
from typing import NamedTuple
from urllib.parse import quote

import jsonschema

from documents import examples_of
from harness import percent

JSON = "application/json"
RAW = "application/octet-stream"

# An operation that takes its key from the query has to have one.
QUERY_KEYS = {"key": "user/1"}
# What a value is put beside, which it means nothing without.
COMPANIONS = {"ttl": {"body": RAW}}
# What is bent in such a parameter is no error: another id is made.
NEVER_REFUSED = {"X-Request-Id"}

BENT_TEXTS = ("", "x", "!", "-1", "0", "1.5", "1001", "99999999999999999999", "yes", "TRUE",
              "x" * 200, "\u20ac")


class Request(NamedTuple):
    what: str  # for people
    path: dict
    query: list    # (name, value or None)
    headers: list  # (name, value)
    body: bytes = None
    media_type: str = None

    def target(self, template):
        for name, value in self.path.items():
            template = template.replace("{%s}" % name, percent(value.encode()))
        pairs = [quote(name) + ("" if value is None else "=" + quote(value, safe=""))
                 for name, value in self.query]
        return template + ("?" + "&".join(pairs) if pairs else "")

    def all_headers(self):
        own = [("Content-Type", self.media_type)] if self.media_type else []
        return own + [(name, value.encode()) for name, value in self.headers]


def value_of_text(schema, text):
    """What a parameter's text stands for, as its schema sees it."""
    if schema.get("type") == "integer":
        return int(text) if text.lstrip("-").isdigit() else text
    if schema.get("type") == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text


def texts_of(schema):
    """Valid texts of a parameter, the extremes among them."""
    if "enum" in schema:
        return list(schema["enum"])
    if schema.get("type") == "boolean":
        return ["true", "false"]
    if schema.get("type") == "integer":
        return [str(schema[name]) for name in ("minimum", "maximum", "default") if name in schema]
    return list(schema.get("examples", []))


class Generator:
    def __init__(self, api):
        self.api = api

    def schema_of(self, parameter):
        return self.api.resolve(parameter["schema"])

    def takes(self, schema, value):
        return jsonschema.Draft202012Validator(self.api.schema(schema)).is_valid(value)

    def plain(self, operation):
        """A request with what it must have and no more."""
        names = {parameter["name"] for parameter in operation.parameters}
        query = [(name, value) for name, value in QUERY_KEYS.items()
                 if name in names and operation.path == "/kv"]
        path = {parameter["name"]: parameter["example"] for parameter in operation.parameters
                if parameter["in"] == "path"}
        request = Request("plain", path, query, [])
        return self.with_body(operation, request, next(iter(operation.bodies), None))

    def with_body(self, operation, request, media_type):
        if media_type is None:
            return request
        example = next(iter(examples_of(operation.bodies[media_type]).values()))
        return request._replace(body=encode(media_type, example), media_type=media_type)

    def with_parameter(self, operation, parameter, text):
        """The plain request with this parameter too, instead of one that it excludes."""
        request = self.plain(operation)
        media_type = COMPANIONS.get(parameter["name"], {}).get("body")
        if media_type in operation.bodies:
            request = self.with_body(operation, request, media_type)
        request = request._replace(what="%s=%r" % (parameter["name"], text))
        if parameter["in"] == "header":
            return request._replace(headers=[(parameter["name"], text)])
        if parameter["in"] == "path":
            return request._replace(path={**request.path, parameter["name"]: text})
        query = [] if parameter["name"] in ("key", "key64") else list(request.query)
        flag = parameter.get("allowEmptyValue") and text == ""
        return request._replace(query=query + [(parameter["name"], None if flag else text)])

    def valid(self, operation):
        yield self.plain(operation)
        for parameter in operation.parameters:
            schema = self.schema_of(parameter)
            texts = texts_of(schema) or [parameter.get("example")]
            if parameter.get("allowEmptyValue"):
                texts = [""]
            for text in texts:
                if text is not None:
                    yield self.with_parameter(operation, parameter, text)
        for media_type, body in operation.bodies.items():
            for name, example in examples_of(body).items():
                yield self.plain(operation)._replace(
                    what="%s, example %s" % (media_type, name), body=encode(media_type, example),
                    media_type=media_type)
        for response in operation.responses.values():
            for media_type in response.get("content", {}):
                yield self.plain(operation)._replace(
                    what="accepts " + media_type,
                    headers=[("Accept", media_type + ", */*;q=0.1")])

    def bent_parameters(self, operation):
        for parameter in operation.parameters:
            if parameter["name"] in NEVER_REFUSED:
                continue
            schema = self.schema_of(parameter)
            for text in BENT_TEXTS:
                if not self.takes(schema, value_of_text(schema, text)):
                    yield self.with_parameter(operation, parameter, text)
        plain = self.plain(operation)
        yield plain._replace(what="unknown parameter", query=plain.query + [("colour", "1")])
        yield plain._replace(what="repeated parameter",
                             query=plain.query + [("colour", "1"), ("colour", "1")])

    def bent_bodies(self, operation):
        if JSON not in operation.bodies:
            return
        media_type = operation.bodies[JSON]
        schema = self.api.resolve(media_type["schema"])
        for name, example in examples_of(media_type).items():
            for what, bent in bend(example):
                if self.takes(schema, bent):
                    raise AssertionError("%s: %s of example %s is still valid"
                                         % (operation.id, what, name))
                yield self.plain(operation)._replace(what=what, media_type=JSON,
                                                     body=encode(JSON, bent))
            text = encode(JSON, example)
            for what, body in (("empty", b""), ("cut", text[:-1]), ("more behind", text + b"{}"),
                               ("bad UTF-8", text.replace(b'":"', b'":"\xff', 1)),
                               ("repeated member", b'{"ops":[],' + text[1:].replace(
                                   b'"value"', b'"value":"","value"', 1))):
                yield self.plain(operation)._replace(what=what, media_type=JSON, body=body)


def encode(media_type, example):
    if isinstance(example, str):
        return example.encode()
    return json.dumps(example, separators=(",", ":")).encode()


def bend(document):
    """(what, document) with one thing wrong somewhere in it."""
    for where in places(document):
        node = look(document, where)
        yield "%s: null" % (where,), changed(document, where, None)
        yield "%s: a list in a list" % (where,), changed(document, where, [[]])
        if isinstance(node, dict):
            yield "%s: unknown member" % (where,), changed(document, where, {**node, "colour": 1})
            for name in sorted({"value", "op", "ops", "revision"} & set(node)):
                rest = {key: value for key, value in node.items() if key != name}
                yield "%s: no %s" % (where, name), changed(document, where, rest)
        if isinstance(node, int):
            yield "%s: negative" % (where,), changed(document, where, -1)
            yield "%s: a fraction" % (where,), changed(document, where, 1.5)
        if isinstance(node, list):
            yield "%s: empty" % (where,), changed(document, where, [])


def places(node, where=()):
    yield where
    pairs = (node.items() if isinstance(node, dict)
             else enumerate(node) if isinstance(node, list) else ())
    for name, child in pairs:
        yield from places(child, where + (name,))


def look(document, where):
    for name in where:
        document = document[name]
    return document


def changed(document, where, value):
    if not where:
        return value
    document = copy.deepcopy(document)
    look(document, where[:-1])[where[-1]] = value
    return document
