"""Requests made from api/openapi.yaml: every answer is one that it documents, and each documented
answer is seen."""

import json
import os
import re
import shutil
import unittest

import jsonschema

import worlds
from documents import OpenApi
from generate import JSON, Generator, encode
from harness import Case, make_request

PROBLEM = "application/problem+json"
NDJSON = "application/x-ndjson"  # its schema tells by contentSchema what each line is
# Fields that mean something only where they are documented.
OWN_FIELDS = ("ETag", "X-Varve-Revision", "Retry-After", "WWW-Authenticate", "Allow",
              "X-Content-Type-Options")
GOOD = {200, 202, 204, 304, 412}  # of valid requests; conditions need not hold

# Documented answers that no request here brings about, and why.
NOT_PROVOKED = {
    ("flush", 500): "takes a disk that fails; tests/engine has such disks",
}


class Checker:
    """Checks answers of one operation against what is documented."""

    def __init__(self, case, api, operation):
        self.case, self.api, self.operation = case, api, operation

    def check(self, answer, method=None):
        self.case.assertIn(answer.status, self.operation.responses, answer)
        response = self.operation.responses[answer.status]
        self.check_fields(answer, response)
        if (method or self.operation.method) != "HEAD":
            self.check_body(answer, response.get("content", {}))
        return answer

    def check_fields(self, answer, response):
        documented = response.get("headers", {})
        for name, field in documented.items():
            field = self.api.resolve(field)
            text = answer.header(name)
            if text is None:
                self.case.assertFalse(field.get("required", False), (name, answer))
                continue
            schema = self.api.resolve(field["schema"])
            value = int(text) if schema.get("type") == "integer" else text
            jsonschema.validate(value, schema, jsonschema.Draft202012Validator)
        for name in OWN_FIELDS:
            if name not in documented:
                self.case.assertIsNone(answer.header(name), (name, answer))

    def check_body(self, answer, content):
        if not content:
            self.case.assertEqual(answer.body, b"", answer)
            return
        media_type = (answer.header("Content-Type") or "").split(";")[0]
        self.case.assertIn(media_type, content, answer)
        if media_type.endswith("json") and media_type != NDJSON:
            jsonschema.validate(answer.json(), self.api.schema(content[media_type]["schema"]),
                                jsonschema.Draft202012Validator)
        if media_type == NDJSON:
            lines = self.api.schema(content[media_type]["schema"]["contentSchema"])
            for line in answer.body.decode().splitlines():
                jsonschema.validate(json.loads(line), lines, jsonschema.Draft202012Validator)
        if media_type == PROBLEM:
            self.case.assertIn(answer.json()["code"], content[media_type]["examples"], answer)


class RequestCase(Case):
    @classmethod
    def setUpClass(cls):
        if not hasattr(Case.daemon, "backup_dir"):
            if Case.daemon is not None:
                Case.daemon.stop()
                Case.daemon.remove()
            Case.daemon = worlds.ordinary()
        super().setUpClass()
        cls.api = OpenApi()
        cls.generator = Generator(cls.api)
        cls.operations = list(cls.api.operations())

    def each_operation(self):
        for operation in self.operations:
            with self.subTest(operation=operation.id):
                yield operation, Checker(self, self.api, operation)

    def ready(self):
        """The keys of the examples are there, and expire some day; there are no backups."""
        for name in os.listdir(self.daemon.backup_dir):
            shutil.rmtree(os.path.join(self.daemon.backup_dir, name))
        for key in worlds.KEYS:
            answer = self.request("PUT", "/kv/" + key + "?ttl=3600", b"Ada", worlds.RAW)
            self.assertEqual(answer.status, 200, answer)

    def send(self, operation, request, daemon=None, headers=()):
        return (daemon or self.daemon).request(
            operation.method, request.target(operation.path), request.body,
            [*request.all_headers(), *headers])


class Generated(RequestCase):
    def test_valid_requests(self):
        for operation, checker in self.each_operation():
            for request in self.generator.valid(operation):
                with self.subTest(request=request.what):
                    self.ready()
                    answer = checker.check(self.send(operation, request))
                    self.assertIn(answer.status, GOOD, answer)

    def test_cursors(self):
        scan = next(operation for operation in self.operations if operation.id == "scanRange")
        self.ready()
        plain = self.generator.plain(scan)
        query = [("prefix", "user/"), ("limit", "1")]
        page = self.send(scan, plain._replace(query=query)).json()
        self.assertTrue(page["truncated"])
        for operation in self.operations:
            if operation.path == scan.path:
                request = plain._replace(query=[("cursor", page["next_cursor"])])
                answer = Checker(self, self.api, operation).check(self.send(operation, request))
                self.assertEqual(answer.status, 200, answer)

    def test_bent_parameters(self):
        self.ready()
        for operation, checker in self.each_operation():
            for request in self.generator.bent_parameters(operation):
                with self.subTest(request=request.what):
                    answer = checker.check(self.send(operation, request))
                    self.assertEqual(answer.status, 400, answer)

    def test_bent_bodies(self):
        for operation, checker in self.each_operation():
            for request in self.generator.bent_bodies(operation):
                with self.subTest(request=request.what):
                    answer = checker.check(self.send(operation, request))
                    self.assertEqual(answer.status, 400, answer)

    def test_head_is_get_without_a_body(self):
        for operation, checker in self.each_operation():
            if operation.method != "GET":
                continue
            self.ready()
            target = self.generator.plain(operation).target(operation.path)
            got = self.request("GET", target)
            answer = checker.check(self.request("HEAD", target), method="HEAD")
            self.assertEqual((answer.status, answer.header("Content-Type"), answer.header("ETag")),
                             (got.status, got.header("Content-Type"), got.header("ETag")))

    def test_other_methods(self):
        allowed = {}
        for operation in self.operations:
            methods = allowed.setdefault(operation.path, set())
            methods |= {operation.method} | ({"HEAD"} if operation.method == "GET" else set())
        # As keys of these names.
        allowed["/kv/range"] |= {"PUT", "DELETE"}
        allowed["/kv/batch"] |= {"GET", "HEAD", "PUT", "DELETE"}
        for path, methods in allowed.items():
            for method in {"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"} - methods:
                with self.subTest(path=path, method=method):
                    answer = self.request(method, path.replace("{key}", "a"))
                    self.assertEqual(answer.status, 405, answer)
                    if method != "HEAD":
                        self.assert_problem(answer, 405, "method_not_allowed")
                    self.assertEqual(set(answer.header("Allow").split(", ")), methods)

    def test_paths_that_are_not_there(self):
        for path in ("/", "/nowhere", "/kv2", "/health/", "/admin", "/admin/flush/",
                     "/openapi.yaml"):
            with self.subTest(path=path):
                self.assert_problem(self.request("GET", path), 404, "no_such_path")


class HttpLayer(Case):
    """What is answered before a handler runs."""

    requests = {
        400: b"GET /health HTTP/1.1\r\nno colon\r\nHost: a\r\n\r\n",
        413: b"PUT /kv/a HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        414: b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        431: b"GET /health HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 60000 + b"\r\n\r\n",
        505: b"GET /health HTTP/2.0\r\nHost: a\r\n\r\n",
    }

    def test_answers_are_those_of_the_table(self):
        text = OpenApi().document["info"]["description"]
        self.assertEqual({int(status) for status in re.findall(r"^\| (\d{3}) \|", text, re.M)},
                         set(self.requests))
        for status, request in self.requests.items():
            with self.subTest(status=status), self.connect() as conn:
                conn.send(request)
                answer = conn.response()
                self.assertEqual(answer.status, status, answer)
                self.assertTrue(answer.says_close(), answer)
                self.assertIsNone(answer.header("Content-Type"), answer)
                self.assertIsNone(answer.header("X-Request-Id"), answer)


class Documented(RequestCase):
    """Brings about each documented answer of each operation, and tries to bring about others."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.made = {}

    @classmethod
    def tearDownClass(cls):
        for daemon in cls.made.values():
            if daemon is not None:
                daemon.remove()

    def world(self, make):
        if make not in self.made:
            self.made[make] = make()
        if self.made[make] is None:
            raise unittest.SkipTest("no file system can be mounted")
        return self.made[make]

    def plain(self, operation, **changes):
        return self.generator.plain(operation)._replace(**changes)

    def success(self, operation):
        self.ready()
        return self.send(operation, self.plain(operation))

    def done(self, operation):
        return self.send(operation, self.plain(operation, query=[("wait", "true")]))

    def batch(self, operation):
        """Its example checks that a key is absent."""
        self.ready()
        self.request("DELETE", "/kv/user/2")
        return self.send(operation, self.plain(operation))

    def not_modified(self, operation):
        self.ready()
        return self.send(operation, self.plain(operation, headers=[("If-None-Match", "*")]))

    def bad_request(self, operation):
        plain = self.plain(operation)
        return self.send(operation, plain._replace(query=plain.query + [("colour", "1")]))

    def unauthorized(self, operation):
        return self.send(operation, self.plain(operation), self.world(worlds.guarded))

    def forbidden(self, operation):
        who = worlds.READER if operation.method in ("PUT", "POST", "DELETE") else worlds.OPERATOR
        return self.send(operation, self.plain(operation), self.world(worlds.guarded), who)

    def not_found(self, operation):
        plain = self.plain(operation)
        path = {name: "absent" for name in plain.path}
        query = [(name, "absent" if name == "key" else value) for name, value in plain.query]
        return self.send(operation, plain._replace(path=path, query=query))

    def not_acceptable(self, operation):
        return self.send(operation, self.plain(operation, headers=[("Accept", "image/png")]))

    def conflict(self, operation):
        self.success(operation)
        return self.send(operation, self.plain(operation))

    def length_required(self, operation):
        plain = self.plain(operation)
        return self.send(operation, plain._replace(body=None))

    def precondition_failed(self, operation):
        if operation.id == "writeBatch":
            body = {"ops": [{"op": "check", "key": "absent", "revision": 1}]}
            return self.send(operation, self.plain(operation, body=encode(JSON, body)))
        return self.send(operation, self.plain(operation, headers=[("If-Match", '"1"')]))

    def too_large(self, operation):
        """Its body is announced and never sent."""
        plain = self.plain(operation)
        with self.connect() as conn:
            conn.send(make_request(operation.method, plain.target(operation.path), None,
                                   [*plain.all_headers(), ("Content-Length", 1 << 30)]))
            return conn.response(operation.method)

    def target_too_long(self, operation):
        plain = self.plain(operation)
        return self.send(operation, plain._replace(query=plain.query + [("q", "x" * 16000)]))

    def unsupported_media_type(self, operation):
        return self.send(operation, self.plain(operation, media_type="text/css"))

    def header_too_large(self, operation):
        return self.send(operation, self.plain(operation, headers=[("A", "a" * 17000)]))

    def failed(self, operation):
        daemon = self.world(worlds.damaged)
        if operation.id == "writeBatch":
            body = {"ops": [{"op": "get", "key": worlds.KEYS[0]}]}
            return self.send(operation, self.plain(operation, body=encode(JSON, body)), daemon)
        if operation.method in ("PUT", "DELETE"):  # a condition reads the key
            request = self.plain(operation, headers=[("If-Match", '"1"')])
            return self.send(operation, request, daemon)
        query = [("wait", "true")] if "wait" in names_of(operation) else []
        plain = self.plain(operation)
        return self.send(operation, plain._replace(query=plain.query + query), daemon)

    def unavailable(self, operation):
        return self.send(operation, self.plain(operation), self.world(worlds.Crowded))

    def no_space(self, operation):
        daemon = self.world(worlds.full)
        request = self.plain(operation)
        if 507 not in operation.responses:
            return self.send(operation, request, daemon)
        return daemon.ask_when_full(lambda: self.send(operation, request, daemon))

    by_status = {
        304: not_modified, 400: bad_request, 401: unauthorized, 403: forbidden, 404: not_found,
        406: not_acceptable, 409: conflict, 411: length_required, 412: precondition_failed,
        413: too_large, 414: target_too_long, 415: unsupported_media_type, 431: header_too_large,
        500: failed, 503: unavailable, 507: no_space,
    }
    by_operation = {("flush", 200): done, ("compact", 200): done, ("writeBatch", 200): batch}

    def provoke(self, operation, status):
        how = self.by_operation.get((operation.id, status))
        if how is None:
            how = self.by_status.get(status) or Documented.success
        return how(self, operation)

    def test_each_documented_answer(self):
        for operation, checker in self.each_operation():
            for status in sorted(set(operation.responses) | set(self.by_status)):
                with self.subTest(status=status):
                    answer = checker.check(self.provoke(operation, status))
                    if (operation.id, status) in NOT_PROVOKED:
                        self.assertNotEqual(answer.status, status, answer)
                    elif status in operation.responses:
                        self.assertEqual(answer.status, status, answer)

    def test_what_is_left_out_is_documented(self):
        documented = {(operation.id, status) for operation in self.operations
                      for status in operation.responses}
        self.assertEqual(set(NOT_PROVOKED) - documented, set())


def names_of(operation):
    return {parameter["name"] for parameter in operation.parameters}
