"""Conditions: If-Match and If-None-Match of writes, checks and validated gets of batches."""

import threading

from harness import Case, b64, percent, url64

RAW = [("Content-Type", "application/octet-stream")]
MALFORMED = ("", "42", '"42', "w/\"42\"", '"42" "43"', '*, "42"', '"42", *', "* *", '"4 2"')


def in_threads(count, work):
    """Runs work(number) on so many threads; gives what they returned."""
    results, failures = [None] * count, []

    def run(number):
        try:
            results[number] = work(number)
        except BaseException as error:  # pylint: disable=broad-except
            failures.append(error)
    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results


class ConditionalWrites(Case):
    def write(self, method, name, *fields):
        headers = RAW + [(field, value) for field, value in fields]
        body = b"new" if method == "PUT" else None
        return self.request(method, "/kv/" + percent(self.key(name)), body, headers)

    def holds(self, name, *fields):
        """The write happens: by PUT, then by DELETE of what stood there before."""
        before = self.get(self.key(name))
        for method, status in (("PUT", 200), ("DELETE", 204)):
            if method == "DELETE":
                self.assertEqual(self.get(self.key(name)), b"new")
                if before is None:
                    self.delete(self.key(name))
                elif any(value != "*" for _, value in fields):
                    return  # the revision is another one now
            self.assertEqual(self.write(method, name, *fields).status, status, fields)
        self.assertIsNone(self.get(self.key(name)))

    def fails(self, name, current, *fields):
        before = self.get(self.key(name))
        for method in ("PUT", "DELETE"):
            answer = self.write(method, name, *fields)
            problem = self.assert_problem(answer, 412, "precondition_failed")
            self.assertEqual(problem["current_revision"], current, fields)
            self.assertFalse(answer.says_close())
        self.assertEqual(self.get(self.key(name)), before)

    def test_if_match(self):
        for form in ('"%d"', '"%d-json"', '"%d-utf8"', '"7", "%d"', '"%d-json","x"', ' , "%d" ,'):
            revision = self.put(self.key("a"), b"old")
            self.fails("a", revision, ("If-Match", form % (revision - 1)))
            self.fails("a", revision, ("If-Match", form % (revision + 1)))
            self.holds("a", ("If-Match", form % revision))
            revision = self.put(self.key("a"), b"old")
            answer = self.write("DELETE", "a", ("If-Match", form % revision))
            self.assertEqual(answer.status, 204)
            self.fails("a", 0, ("If-Match", form % revision))

    def test_if_match_any(self):
        self.fails("a", 0, ("If-Match", "*"))
        self.put(self.key("a"), b"old")
        self.holds("a", ("If-Match", "*"))
        self.fails("a", 0, ("If-Match", "*"))

    def test_if_none_match_any(self):
        self.holds("a", ("If-None-Match", "*"))
        revision = self.put(self.key("a"), b"old")
        self.fails("a", revision, ("If-None-Match", "*"))

    def test_if_none_match(self):
        for form in ('"%d"', '"%d-json"', '"%d-utf8"', '"7", "%d"'):
            revision = self.put(self.key("a"), b"old")
            self.fails("a", revision, ("If-None-Match", form % revision))
            self.holds("a", ("If-None-Match", form % (revision + 1)))
            self.holds("a", ("If-None-Match", form % revision))  # absent

    def test_tags_that_never_match(self):
        revision = self.put(self.key("a"), b"old")
        for form in ('W/"%d"', 'W/"%d-json"', '"%d-raw"', '"0%d"', '"+%d"', '"%dx"', '"-%d"',
                     '"99999999999999999999%d"', '"0"', '""', '"-json"', '"18446744073709551615"'):
            tag = form % revision if "%d" in form else form
            self.fails("a", revision, ("If-Match", tag))
            self.fails("absent", 0, ("If-Match", tag))
            answer = self.write("PUT", "a", ("If-None-Match", tag))
            self.assertEqual(answer.status, 200, tag)
            revision = answer.json()["revision"]
            self.holds("absent", ("If-None-Match", tag))

    def test_several_fields_are_one_list(self):
        revision = self.put(self.key("a"), b"old")
        self.fails("a", revision, ("If-Match", '"1"'), ("If-Match", '"2"'))
        self.holds("a", ("If-Match", '"1"'), ("If-Match", '"%d"' % revision))
        for fields in ((("If-Match", "*"), ("If-Match", '"1"')),
                       (("If-Match", '"1"'), ("If-Match", "*"))):
            self.assert_problem(self.write("PUT", "a", *fields), 400)

    def test_both(self):
        revision = self.put(self.key("a"), b"old")
        tag = '"%d"' % revision
        self.fails("a", revision, ("If-Match", tag), ("If-None-Match", tag))
        self.fails("a", revision, ("If-Match", '"1"'), ("If-None-Match", '"1"'))
        self.holds("a", ("If-Match", tag), ("If-None-Match", '"1"'))

    def test_malformed(self):
        self.put(self.key("a"), b"old")
        for name in ("If-Match", "If-None-Match"):
            for value in MALFORMED:
                for method in ("PUT", "DELETE"):
                    answer = self.write(method, "a", (name, value))
                    self.assert_problem(answer, 400, names=name)
        self.assertEqual(self.get(self.key("a")), b"old")

    def test_json_body_and_key_in_the_query(self):
        target = "/kv?key64=" + url64(self.key("a"))
        for condition, status in ((("If-None-Match", "*"), 200), (("If-None-Match", "*"), 412),
                                  (("If-Match", "*"), 200), (("If-Match", '"1"'), 412)):
            answer = self.request("PUT", target, {"value": "aGk="}, [condition])
            self.assertEqual(answer.status, status, condition)

    def test_one_of_many_creates(self):
        for turn in range(5):
            answers = in_threads(8, lambda number, turn=turn: self.write(
                "PUT", "new%d" % turn, ("If-None-Match", "*")))
            self.assertEqual(sorted(answer.status for answer in answers), [200] + [412] * 7)
            won = [a.json()["revision"] for a in answers if a.status == 200]
            for answer in answers:
                if answer.status == 412:
                    self.assertEqual(answer.json()["current_revision"], won[0])

    def test_counter(self):
        key = self.key("counter")
        self.put(key, b"0")

        def count(_):
            with self.connect() as conn:
                for _ in range(10):
                    while True:
                        now = conn.request("GET", "/kv/" + percent(key) + "?raw")
                        answer = conn.request("PUT", "/kv/" + percent(key),
                                              b"%d" % (int(now.body) + 1),
                                              RAW + [("If-Match", now.header("ETag"))])
                        if answer.status == 200:
                            break
                        self.assertEqual(answer.status, 412)
        in_threads(8, count)
        self.assertEqual(self.get(key), b"80")


class BatchChecks(Case):
    def op(self, kind, name, **members):
        return {"op": kind, "key": self.prefix + name, **members}

    def put_op(self, name, value):
        return self.op("put", name, value=b64(value))

    def failed(self, ops):
        """The failed checks of a batch of which nothing may happen."""
        before = self.scan("prefix=" + self.prefix)
        answer = self.request("POST", "/kv/batch", {"ops": ops})
        problem = self.assert_problem(answer, 412, "precondition_failed")
        self.assertFalse(answer.says_close())
        after = self.scan("prefix=" + self.prefix)
        for member in ("items", "revision"):
            self.assertEqual(before[member], after[member])
        return [(op["index"], op["current_revision"]) for op in problem["failed_ops"]]

    def test_checks_that_hold(self):
        revision = self.put(self.key("a"), b"1")
        answer = self.batch([self.op("check", "a", revision=revision),
                             self.op("check", "none", revision=0),
                             {"op": "check", "key64": url64(self.key("a")), "revision": revision},
                             self.put_op("a", b"2")])
        self.assertEqual(answer["results"], [{"op": "check"}] * 3 + [{"op": "put"}])
        self.assertGreater(answer["revision"], revision)
        self.assertEqual(self.get(self.key("a")), b"2")

    def test_checks_that_fail(self):
        first, second = self.put(self.key("a"), b"1"), self.put(self.key("b"), b"2")
        self.assertEqual(self.failed([self.put_op("c", b"3"),
                                      self.op("check", "a", revision=first + 1),
                                      self.op("check", "b", revision=second),
                                      self.op("check", "b", revision=0), self.op("delete", "a"),
                                      self.op("check", "none", revision=first)]),
                         [(1, first), (3, second), (5, 0)])

    def test_checks_see_the_state_before_the_batch(self):
        revision = self.put(self.key("a"), b"1")
        self.batch([self.put_op("a", b"2"), self.op("check", "a", revision=revision),
                    self.put_op("new", b""), self.op("check", "new", revision=0)])
        self.batch([self.op("delete", "a"), self.op("check", "new", revision=self.batch(
            [self.op("get", "new")])["results"][0]["revision"])])

    def test_checks_without_a_write(self):
        revision = self.put(self.key("a"), b"1")
        before = self.scan("limit=1")["revision"]
        answer = self.batch([self.op("check", "a", revision=revision), self.op("get", "a"),
                             self.op("check", "none", revision=0)])
        self.assertEqual([r["op"] for r in answer["results"]], ["check", "get", "check"])
        self.assertEqual(answer["revision"], before)
        self.assertEqual(self.failed([self.op("check", "a", revision=0), self.op("get", "a"),
                                      self.op("check", "none", revision=1)]),
                         [(0, revision), (2, 0)])

    def test_checks_beside_gets(self):
        revision = self.put(self.key("a"), b"1")
        ops = [self.op("get", "a"), self.op("check", "b", revision=0), self.put_op("a", b"2"),
               self.op("get", "a"), self.op("check", "a", revision=revision)]
        self.assertEqual([r.get("value") for r in self.batch(ops)["results"]],
                         [b64(b"1"), None, None, b64(b"2"), None])
        self.assertEqual([index for index, _ in self.failed(ops)], [4])

    def test_very_many_checks(self):
        revision = self.put(self.key("a"), b"1")
        ops = [self.op("check", "a", revision=revision)] * 5000
        self.batch(ops + [self.put_op("b", b"")])
        ops[17] = self.op("check", "a", revision=0)
        ops[4711] = self.op("check", "a", revision=1)
        self.assertEqual(self.failed(ops + [self.put_op("c", b"")]),
                         [(17, revision), (4711, revision)])

    def test_malformed_checks(self):
        good = self.put_op("a", b"")
        for members, pointer in (({}, "/ops/1"), ({"revision": -1}, "/ops/1/revision"),
                                 ({"revision": "1"}, "/ops/1/revision"),
                                 ({"revision": 1.0}, "/ops/1/revision"),
                                 ({"revision": None}, "/ops/1/revision"),
                                 ({"revision": 1, "value": ""}, "/ops/1/value"),
                                 ({"revision": 1, "ttl": 1}, "/ops/1/ttl"),
                                 ({"revision": 1, "encoding": "utf8"}, "/ops/1/encoding")):
            answer = self.request("POST", "/kv/batch",
                                  {"ops": [good, self.op("check", "a", **members)]})
            problem = self.assert_problem(answer, 400)
            self.assertEqual(problem["errors"][0]["pointer"], pointer)
        for kind in ("put", "get", "delete"):
            op = self.op(kind, "a", revision=1, **({"value": ""} if kind == "put" else {}))
            problem = self.assert_problem(
                self.request("POST", "/kv/batch", {"ops": [good, op]}), 400)
            self.assertEqual(problem["errors"][0]["pointer"], "/ops/1/revision")
        self.assertIsNone(self.get(self.key("a")))

    def exchange_in_threads(self, filler):
        """Each batch reads a key and replaces its value: each value is read exactly once."""
        first = self.put(self.key("a"), b"first")
        self.put(self.key("unchanged"), b"x")

        def swap(number):
            done = []
            with self.connect() as conn:
                while len(done) < 20:
                    value = b"%d/%d" % (number, len(done))
                    answer = conn.request("POST", "/kv/batch", {"ops": filler + [
                        self.op("get", "a"), self.op("get", "unchanged"),
                        self.put_op("a", value), self.op("get", "a")]})
                    if answer.status == 503:  # too many others were faster
                        self.assertTrue(answer.header("Retry-After"), answer)
                        continue
                    self.assertEqual(answer.status, 200, answer)
                    read, _, _, own = answer.json()["results"][len(filler):]
                    self.assertEqual(own["value"], b64(value))
                    done.append((answer.json()["revision"], read, b64(value)))
            return done
        swaps = sorted((swap for done in in_threads(6, swap) for swap in done),
                       key=lambda swap: swap[0])
        last_revision, last_value = first, b64(b"first")
        for revision, read, written in swaps:
            self.assertEqual((read["revision"], read["value"]), (last_revision, last_value))
            last_revision, last_value = revision, written

    def test_gets_are_true_at_the_commit(self):
        self.exchange_in_threads([])

    def test_gets_of_a_large_batch_are_true_at_the_commit(self):
        self.exchange_in_threads([self.put_op("filler", bytes(60000))])

    def test_absent_key_that_is_read_and_created(self):
        def create(number):
            with self.connect() as conn:
                while True:
                    answer = conn.request("POST", "/kv/batch", {"ops": [
                        self.op("get", "new"), self.put_op("new", b"%d" % number)]})
                    if answer.status != 503:
                        self.assertEqual(answer.status, 200, answer)
                        return answer.json()["results"][0]["found"]
        self.assertEqual(sorted(in_threads(8, create)), [False] + [True] * 7)
