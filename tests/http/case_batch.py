"""Batches: all or nothing, one revision, gets that see earlier writes, pointers to errors."""

import json

from harness import Case, b64, make_request, url64

OPS_MAX = 10000
VALUE_BYTES_MAX = 16 << 20
BODY_BYTES_MAX = 32 << 20


class BatchCase(Case):
    def op(self, kind, name, **members):
        return {"op": kind, "key": self.prefix + name, **members}

    def put_op(self, name, value):
        return self.op("put", name, value=b64(value))

    def refuse_batch(self, document, status=400, pointer=None, code=None):
        """The batch is refused, its connection goes on, and nothing of it was applied."""
        body = document if isinstance(document, (str, bytes)) else json.dumps(document)
        before = self.scan("limit=1&prefix=" + self.prefix)
        with self.connect() as conn:
            answer = conn.request("POST", "/kv/batch", body, [("Content-Type", "application/json")])
            problem = self.assert_problem(answer, status, code)
            if status == 400:
                self.assertFalse(answer.says_close(), answer)
                self.assertEqual(conn.request("GET", "/health/live").status, 200)
        if pointer is not None:
            pointers = [error["pointer"] for error in problem["errors"]]
            self.assertIn(pointer, pointers)
            for error in problem["errors"]:
                self.assertTrue(error["detail"])
        after = self.scan("limit=1&prefix=" + self.prefix)
        for member in ("items", "revision"):
            self.assertEqual(before[member], after[member])
        return problem


class Largest(BatchCase):
    def test_values_at_and_over_the_limit(self):
        self.batch([self.put_op("a", bytes(VALUE_BYTES_MAX))])
        self.assertEqual(len(self.get(self.key("a"))), VALUE_BYTES_MAX)
        self.refuse_batch({"ops": [self.put_op("b", b""),
                                   self.put_op("c", bytes(VALUE_BYTES_MAX + 1))]},
                          413)
        self.assertIsNone(self.get(self.key("b")))
        self.delete(self.key("a"))

    def test_answer_over_its_limit(self):
        self.put(self.key("big"), bytes(VALUE_BYTES_MAX))
        ops = [self.put_op("new", b""), self.op("get", "big"), self.op("get", "big")]
        problem = self.assert_problem(self.request("POST", "/kv/batch", {"ops": ops}), 413,
                                      "result_too_large")
        self.assertEqual(problem["limit"], 32 << 20)
        self.assertIsNone(self.get(self.key("new")))
        self.batch([self.op("get", "big")])
        self.delete(self.key("big"))


class Batch(BatchCase):
    def test_puts_and_deletes(self):
        self.put(self.key("old"), b"x")
        answer = self.batch([self.put_op("a", b"1"), self.put_op("b", b"\0\xff"),
                             self.op("delete", "old")])
        self.assertEqual(answer["results"], [{"op": "put"}, {"op": "put"}, {"op": "delete"}])
        self.assertEqual(self.get(self.key("a")), b"1")
        self.assertEqual(self.get(self.key("b")), b"\0\xff")
        self.assertIsNone(self.get(self.key("old")))

    def test_one_revision_for_all(self):
        before = self.put(self.key("z"), b"")
        revision = self.batch([self.put_op("a", b"1"), self.put_op("b", b"2"),
                               self.op("delete", "c")])["revision"]
        self.assertGreater(revision, before)
        for name in "ab":
            document = self.request("GET", "/kv/" + self.prefix + name).json()
            self.assertEqual(document["revision"], revision)
        self.assertGreater(self.put(self.key("z"), b""), revision)

    def test_get_results(self):
        revision = self.put(self.key("a"), b"1")
        results = self.batch([self.op("get", "a"), self.op("get", "absent")])["results"]
        self.assertEqual(results,
                         [{"op": "get", "found": True, "value": b64(b"1"), "encoding": "base64",
                                    "revision": revision}, {"op": "get", "found": False}])

    def test_gets_see_earlier_writes(self):
        self.put(self.key("a"), b"old")
        answer = self.batch([self.op("get", "a"), self.put_op("a", b"1"), self.op("get", "a"),
                             self.op("delete", "a"), self.op("get", "a"), self.put_op("a", b"2"),
                             self.op("get", "a"), self.op("get", "b"), self.put_op("b", b"3")])
        gets = [r for r in answer["results"] if r["op"] == "get"]
        self.assertEqual([r.get("value") for r in gets],
                         [b64(b"old"), b64(b"1"), None, b64(b"2"), None])
        self.assertEqual([r["found"] for r in gets], [True, True, False, True, False])
        self.assertEqual(gets[1]["revision"], answer["revision"])
        self.assertLess(gets[0]["revision"], answer["revision"])
        self.assertEqual(self.get(self.key("a")), b"2")

    def test_last_write_of_a_key_stays(self):
        self.batch([self.put_op("a", b"1"), self.put_op("a", b"2"), self.put_op("b", b"1"),
                    self.op("delete", "b"), self.op("delete", "c"), self.put_op("c", b"9")])
        self.assertEqual(self.get(self.key("a")), b"2")
        self.assertIsNone(self.get(self.key("b")))
        self.assertEqual(self.get(self.key("c")), b"9")

    def test_reading_batch_commits_nothing(self):
        self.put(self.key("a"), b"1")
        first = self.batch([self.op("get", "a")])["revision"]
        second = self.batch([self.op("get", "a"), self.op("get", "b")])["revision"]
        self.assertEqual(first, second)
        self.assertEqual(first, self.scan("limit=1")["revision"])

    def test_put_encodings(self):
        self.batch([self.op("put", "a", value="é", encoding="utf8"),
                    self.op("put", "b", value="aGk=", encoding="base64")])
        self.assertEqual(self.get(self.key("a")), "é".encode())
        self.assertEqual(self.get(self.key("b")), b"hi")

    def test_binary_keys(self):
        key = self.key() + b"\0\xff"
        answer = self.batch([{"op": "put", "key64": url64(key), "value": b64(b"v")},
                             {"op": "get", "key64": url64(key)}])
        self.assertEqual(answer["results"][1]["value"], b64(b"v"))
        self.assertEqual(self.get(key), b"v")
        self.batch([{"op": "delete", "key64": url64(key)}])
        self.assertIsNone(self.get(key))

    def test_key64_of_a_text_key(self):
        self.batch([{"op": "put", "key64": url64(self.key("t")), "value": ""}])
        self.assertEqual(self.get(self.key("t")), b"")

    def test_keys_that_need_json_escapes(self):
        for name in ('"', "\\", "\n", "\x01", "é", "😀", "/"):
            self.batch([self.put_op(name, name.encode())])
            self.assertEqual(self.get(self.key(name)), name.encode())

    def test_empty_value(self):
        self.batch([self.put_op("a", b"")])
        self.assertEqual(self.get(self.key("a")), b"")

    def test_longest_key(self):
        key = self.prefix + "x" * (4096 - len(self.prefix))
        self.batch([{"op": "put", "key": key, "value": ""}])
        self.assertEqual(self.get(key.encode()), b"")
        self.refuse_batch({"ops": [{"op": "put", "key": key + "x", "value": ""}]},
                          pointer="/ops/0/key")

    def test_greatest_number_of_ops(self):
        ops = [self.put_op("%05d" % number, b"%d" % number) for number in range(OPS_MAX)]
        answer = self.batch(ops)
        self.assertEqual(answer["results"], [{"op": "put"}] * OPS_MAX)
        page = self.scan("limit=1000&reverse=true&prefix=" + self.prefix)
        self.assertEqual(page["items"][0]["value"], b64(b"%d" % (OPS_MAX - 1)))
        self.assertEqual({item["revision"] for item in page["items"]}, {answer["revision"]})

    def test_one_op_too_many(self):
        ops = [self.put_op("a", b"")] * (OPS_MAX + 1)
        problem = self.refuse_batch({"ops": ops}, 413)
        self.assertEqual((problem["limit"], problem["actual"]), (OPS_MAX, OPS_MAX + 1))

    def test_no_ops(self):
        for document in ({"ops": []}, {}, {"ops": {}}, {"ops": None}, {"ops": "put"}, [], "1",
                         "null"):
            self.refuse_batch(document)

    def test_ops_that_are_no_objects(self):
        for op in (None, 1, "put", [], True):
            self.refuse_batch({"ops": [self.put_op("a", b""), op]}, pointer="/ops/1")

    def test_unknown_op(self):
        for kind in ("PUT", "set", "", None, 1, "range"):
            self.refuse_batch({"ops": [self.put_op("a", b""),
                                       {**self.put_op("b", b""), "op": kind}]},
                              pointer="/ops/1/op")

    def test_bad_value_is_pointed_at(self):
        good = [self.put_op("a", b"1"), self.put_op("b", b"2"), self.op("delete", "c")]
        for value in ("YQ", "YR==", "Y Q=", None, 1, [], "é"):
            self.refuse_batch({"ops": good + [self.op("put", "d", value=value)]},
                              pointer="/ops/3/value")

    def test_bad_key_is_pointed_at(self):
        for key in ("", None, 1, [], "x" * 4097):
            self.refuse_batch({"ops": [self.put_op("a", b""),
                                       {"op": "put", "key": key, "value": ""}]},
                              pointer="/ops/1/key")

    def test_nul_in_a_text_key(self):
        self.refuse_batch('{"ops":[{"op":"put","key":"%sa\\u0000b","value":""}]}' % self.prefix)

    def test_bad_key64_is_pointed_at(self):
        for key in ("", "Y", "YQ==", "YR", "a+b/", "a b", None, 1, url64(b"x" * 4097)):
            self.refuse_batch({"ops": [{"op": "delete", "key64": key}]}, pointer="/ops/0/key64")

    def test_key_and_key64(self):
        for op in ({"op": "delete", "key": "a", "key64": "YQ"}, {"op": "delete"},
                   {"op": "put", "value": ""}, {"op": "get"}):
            problem = self.refuse_batch({"ops": [self.put_op("a", b""), op]})
            self.assertTrue(any(e["pointer"].startswith("/ops/1") for e in problem["errors"]),
                            problem)

    def test_missing_value(self):
        problem = self.refuse_batch({"ops": [self.op("put", "a")]})
        self.assertTrue(problem["errors"][0]["pointer"].startswith("/ops/0"), problem)

    def test_bad_encoding_is_pointed_at(self):
        for text in ("hex", "", None, 1, "UTF8"):
            self.refuse_batch({"ops": [self.op("put", "a", value="", encoding=text)]},
                              pointer="/ops/0/encoding")

    def test_unknown_members(self):
        for op in (self.op("put", "a", value="", colour=1), self.op("delete", "a", value=""),
                   self.op("get", "a", value=""), self.op("delete", "a", colour=None)):
            problem = self.refuse_batch({"ops": [op]})
            self.assertTrue(problem["errors"][0]["pointer"].startswith("/ops/0"), problem)
        self.refuse_batch({"ops": [self.put_op("a", b"")], "colour": 1})

    def test_repeated_members(self):
        put = json.dumps(self.put_op("a", b""))
        for body in ('{"ops":[%s],"ops":[%s]}' % (put, put), '{"ops":[%s,"op":"put"}]}' % put[:-1]):
            self.refuse_batch(body)

    def test_text_behind_the_document(self):
        body = json.dumps({"ops": [self.put_op("a", b"")]})
        for tail in ("x", "{}", ",", "\0", body):
            self.refuse_batch(body + tail)

    def test_malformed_documents(self):
        for body in ("", " ", "{", '{"ops":[', '{"ops":[{"op":"put"', "[" * 100000,
                     '{"ops":' * 1000,
                     b'{"ops":[{"op":"put","key":"\xff","value":""}]}',
                     '{"ops":[{"op":"put","key":"\\ud800","value":""}]}'):
            self.refuse_batch(body)

    def test_first_middle_or_last_op_is_bad(self):
        for at in (0, 50, 99):
            ops = [self.put_op("%02d" % number, b"") for number in range(100)]
            ops[at]["value"] = "?"
            self.refuse_batch({"ops": ops}, pointer="/ops/%d/value" % at)
        self.assertEqual(self.scan("prefix=" + self.prefix)["items"], [])

    def test_body_over_its_limit(self):
        with self.connect() as conn:
            conn.send(make_request("POST", "/kv/batch", None,
                                   [("Content-Length", BODY_BYTES_MAX + 1)]))
            answer = conn.response()
            problem = self.assert_problem(answer, 413)
            self.assertEqual((problem["limit"], problem["actual"]),
                             (BODY_BYTES_MAX, BODY_BYTES_MAX + 1))
            self.assertTrue(answer.says_close(), answer)
            self.assertTrue(conn.closed())

    def test_small_value_read_very_often(self):
        """The answer's limit holds for many small results as for a few big ones."""
        self.put(self.key("a"), bytes(8000))
        ops = [self.put_op("new", b"")] + [self.op("get", "a")] * (OPS_MAX - 1)
        self.assert_problem(self.request("POST", "/kv/batch", {"ops": ops}), 413,
                            "result_too_large")
        self.assertIsNone(self.get(self.key("new")))

    def post_lines(self, body, query=""):
        return self.request("POST", "/kv/batch" + query, body,
                            [("Content-Type", "application/x-ndjson")])

    def test_lines(self):
        ops = [self.put_op("a", b"1"), self.op("get", "a"), self.op("delete", "b"),
               self.op("check", "c", revision=0)]
        lines = [json.dumps(op) for op in ops]
        for body in ("\n".join(lines), "\n".join(lines) + "\n", "\r\n".join(lines)):
            answer = self.post_lines(body)
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(answer.header("Content-Type"), "application/json")
            document = answer.json()
            self.assertEqual([result["op"] for result in document["results"]],
                             ["put", "get", "delete", "check"])
            self.assertEqual(document["results"][1]["revision"], document["revision"])

    def test_lines_that_are_refused(self):
        good = json.dumps(self.put_op("a", b"1"))
        for body in ("", "\n", good + "\n\n", "\n" + good, good + "\n  \n" + good, good + good,
                     good + "\nx", json.dumps(self.put_op("a", b"1"), indent=1)):
            self.assert_problem(self.post_lines(body), 400, "invalid_json")
        problem = self.assert_problem(self.post_lines(good + '\n{"op":"get"}\n{"op":"x"}\n'), 400,
                                      "invalid_body")
        self.assertEqual([error["pointer"] for error in problem["errors"]],
                         ["/ops/1", "/ops/2/op"])
        self.assert_problem(self.post_lines((good + "\n") * (OPS_MAX + 1)), 413, "batch_too_large")
        self.assertIsNone(self.get(self.key("a")))

    def test_lines_with_a_failed_check(self):
        answer = self.post_lines("\n".join([json.dumps(self.put_op("a", b"")),
                                              json.dumps(self.op("check", "b", revision=7))]))
        problem = self.assert_problem(answer, 412, "precondition_failed")
        self.assertEqual(problem["failed_ops"], [{"index": 1, "current_revision": 0}])
        self.assertIsNone(self.get(self.key("a")))

    def test_lines_are_of_batches_only(self):
        self.refused("PUT", "/kv/" + self.key("a").decode(), 415, b'{"value":""}',
                     [("Content-Type", "application/x-ndjson")])

    def test_content_types(self):
        body = json.dumps({"ops": [self.put_op("a", b"")]})
        for headers in ([], [("Content-Type", "application/x-www-form-urlencoded")],
                        [("Content-Type", "application/json; charset=utf-8")]):
            self.assertEqual(self.request("POST", "/kv/batch", body, headers).status, 200)
        for kind in ("text/plain", "application/octet-stream", "application/xml"):
            self.refused("POST", "/kv/batch", 415, body, [("Content-Type", kind)])

    def test_accept(self):
        body = json.dumps({"ops": [self.put_op("a", b"")]})
        self.assertEqual(self.request("POST", "/kv/batch", body, [("Accept", "*/*")]).status, 200)
        for accept in ("application/octet-stream", "text/html"):
            self.refused("POST", "/kv/batch", 406, body, [("Accept", accept)])

    def test_parameters(self):
        for query in ("?sync=true", "?sync=false"):
            self.batch([self.put_op("a", b"")], query)
        body = json.dumps({"ops": [self.put_op("a", b"")]})
        for query, name in (("?sync=maybe", "sync"), ("?colour=1", "colour"), ("?raw", "raw"),
                            ("?key=a", "key"), ("?sync=true&sync=true", "sync")):
            self.refused("POST", "/kv/batch" + query, 400, body, names=name)

    def test_durable_reading_batch(self):
        self.assertEqual(self.batch([self.op("get", "a")], "?sync=true")["results"][0]["found"],
                         False)
