"""Tokens: who is let in, to what, what refusals look like, and what the log says about them."""

import hashlib
import os
import re
import time

from case_process import RAW, ProcessCase
from harness import Case, Daemon, make_request, run_varved

TOKENS = {
    "reader": ("read", "reader-secret-0123456789"),
    "writer": ("write", "writer-secret-0123456789"),
    "both": ("read,write", "both-secret-0123456789"),
    "ops": ("admin", "ops-secret-0123456789"),
    "root": ("read,write,admin", "root-secret-0123456789"),
}
REALM = 'Bearer realm="varve"'


def digest(token):
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()


def token_lines(tokens):
    return "# name scopes digest\n" + "".join(
        "%s %s %s\n" % (name, scopes, digest(token)) for name, (scopes, token) in tokens.items())


def write_private(path, text, mode=0o600):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
              encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def bearer(name):
    return [("Authorization", "Bearer " + TOKENS[name][1])]


class AccessCase(ProcessCase):
    """Its daemon asks for tokens."""

    tokens = TOKENS

    def setUp(self):
        self.daemon = Daemon(self.args, self.env)
        self.addCleanup(self.daemon.remove)
        self.token_path = os.path.join(self.daemon.dir, "tokens")
        write_private(self.token_path, token_lines(self.tokens))
        self.daemon.args += ["--token-file", self.token_path]
        self.daemon.start()

    def request(self, name, method, target, body=None, headers=()):
        return self.daemon.request(method, target, body,
                                   [*(bearer(name) if name else ()), *headers])

    def assert_refused(self, answer, status, code, challenge):
        Case.assert_problem(self, answer, status, code)
        self.assertEqual(answer.header("WWW-Authenticate"), challenge)

    def log_lines(self, pattern):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            lines = [line for line in self.daemon.log().splitlines() if re.search(pattern, line)]
            if lines:
                return lines
            time.sleep(0.01)
        self.fail("no line with %r in the log\n%s" % (pattern, self.daemon.log_tail()))


class Scopes(AccessCase):
    # what is asked, the scopes of which any will do
    requests = (
        ("GET", "/kv/a", None, {"read"}),
        ("HEAD", "/kv/a", None, {"read"}),
        ("GET", "/kv?key=a", None, {"read"}),
        ("GET", "/kv/range", None, {"read"}),
        ("GET", "/kv/range?cursor=x", None, {"read"}),
        ("GET", "/stats", None, {"read"}),
        ("GET", "/stats?format=prometheus", None, {"read"}),
        ("GET", "/metrics", None, {"read"}),
        ("PUT", "/kv/a", {"value": ""}, {"write"}),
        ("PUT", "/kv/range", {"value": ""}, {"write"}),
        ("DELETE", "/kv/a", None, {"write"}),
        ("POST", "/kv/batch", {"ops": [{"op": "put", "key": "a", "value": ""}]}, {"write"}),
        ("POST", "/kv/batch", {"ops": [{"op": "delete", "key": "b"}]}, {"write"}),
        ("POST", "/kv/batch", {"ops": [{"op": "get", "key": "a"}]}, {"read"}),
        ("POST", "/kv/batch", {"ops": [{"op": "check", "key": "b", "revision": 0}]}, {"read"}),
        ("POST", "/kv/batch", {"ops": [{"op": "check", "key": "b", "revision": 0},
                                       {"op": "delete", "key": "b"}]}, {"write"}),
        ("POST", "/admin/flush", None, {"admin"}),
        ("POST", "/admin/compact?wait=true", None, {"admin"}),
        ("GET", "/version", None, {"read", "write", "admin"}),
        ("GET", "/openapi.json", None, {"read", "write", "admin"}),
        ("GET", "/nowhere", None, {"read", "write", "admin"}),
        ("POST", "/kv/a", None, {"read", "write", "admin"}),
        ("GET", "/kv/", None, {"read", "write", "admin"}),
    )

    def test_each_scope_opens_what_it_should(self):
        self.request("root", "PUT", "/kv/a", {"value": ""})
        for method, target, body, scopes in self.requests:
            for name, (has, _) in self.tokens.items():
                with self.subTest(request=method + " " + target, token=name):
                    answer = self.request(name, method, target, body)
                    if scopes & set(has.split(",")):
                        self.assertNotIn(answer.status, (401, 403), answer)
                        self.assertIsNone(answer.header("WWW-Authenticate"), answer)
                    elif method == "HEAD":
                        self.assertEqual(answer.status, 403, answer)
                    else:
                        Case.assert_problem(self, answer, 403, "insufficient_scope")
                        self.assertIn('error="insufficient_scope"',
                                      answer.header("WWW-Authenticate"))

    def test_without_a_token_all_but_health_is_closed(self):
        for method, target, body, _ in self.requests:
            if method != "HEAD":
                with self.subTest(request=method + " " + target):
                    self.assert_refused(self.request(None, method, target, body), 401,
                                        "unauthorized", REALM)
        for target in ("/health", "/health/ready", "/health/live"):
            for headers in ((), [("Authorization", "Bearer nonsense")]):
                self.assertEqual(self.daemon.request("GET", target, headers=headers).status, 200)

    def test_batch_that_reads_and_writes_takes_both(self):
        ops = [{"op": "put", "key": "n", "value": "QQ=="}, {"op": "get", "key": "n"}]
        for name, status in (("reader", 403), ("writer", 403), ("ops", 403), ("both", 200)):
            answer = self.request(name, "POST", "/kv/batch", {"ops": ops})
            self.assertEqual(answer.status, status, (name, answer))
            found = self.request("root", "GET", "/kv/n").status
            self.assertEqual(found, 200 if status == 200 else 404, name)

    def test_large_batch_is_judged_too(self):
        """A worker takes it apart."""
        ops = [{"op": "put", "key": "big/%d" % n, "value": "QUFB" * 50} for n in range(1000)]
        self.assert_refused(self.request("reader", "POST", "/kv/batch", {"ops": ops}), 403,
                            "insufficient_scope",
                            REALM + ', error="insufficient_scope", scope="write"')
        self.assertEqual(self.request("root", "GET", "/kv/range?prefix=big").json()["count"], 0)
        self.assertEqual(self.request("writer", "POST", "/kv/batch", {"ops": ops}).status, 200)

    def test_scope_that_is_missing_is_named(self):
        for name, method, target, scope in (("ops", "GET", "/kv/a", "read"),
                                            ("ops", "DELETE", "/kv/a", "write"),
                                            ("both", "POST", "/admin/flush", "admin")):
            self.assert_refused(self.request(name, method, target), 403, "insufficient_scope",
                                REALM + ', error="insufficient_scope", scope="%s"' % scope)

    def test_mistakes_about_health_are_told_to_everybody(self):
        for method, target, status in (("GET", "/health?x=%zz", 400), ("POST", "/health/live", 405),
                                       ("GET", "/health/ready?a&a", 400), ("GET", "/health/", 401),
                                       ("GET", "/version?x=%zz", 401), ("POST", "/stats", 401)):
            for headers in ((), [("Authorization", "Bearer nonsense")]):
                answer = self.daemon.request(method, target, None, headers)
                self.assertEqual(answer.status, status, (target, answer))


class Authorization(AccessCase):
    def test_forms_of_the_field(self):
        token = TOKENS["root"][1]
        for value, status, code in (
                ("Bearer " + token, 200, None), ("bearer " + token, 200, None),
                ("BEARER  " + token, 200, None),
                ("Bearer " + token[:-1], 401, "invalid_token"),
                ("Bearer " + token + "x", 401, "invalid_token"),
                ("Bearer " + token.upper(), 401, "invalid_token"),
                ("Bearer " + digest(token), 401, "invalid_token"),
                ("Bearer " + digest(token)[7:], 401, "invalid_token"),
                ("Bearer root", 401, "invalid_token"), ("Bearer", 401, "unauthorized"),
                ("Bearer  ", 401, "unauthorized"),
                ("Bearer " + "x" * 8000, 401, "invalid_token"),
                (b"Bearer \xff\xfe", 401, "invalid_token"),
                ("Basic " + token, 401, "unauthorized"), (token, 401, "unauthorized"),
                ("", 401, "unauthorized")):
            answer = self.daemon.request("GET", "/version", headers=[("Authorization", value)])
            self.assertEqual(answer.status, status, (value, answer))
            if code is not None:
                error = ', error="invalid_token"' if code == "invalid_token" else ""
                self.assert_refused(answer, 401, code, REALM + error)

    def test_repeated_field_is_bad_framing(self):
        with self.daemon.connect() as conn:
            answer = conn.request("GET", "/version", headers=bearer("root") * 2)
            Case.assert_problem(self, answer, 400, "bad_framing")
            self.assertTrue(conn.closed())

    def test_refused_before_the_body(self):
        for headers, status in (((), 401), (bearer("reader"), 403)):
            with self.daemon.connect() as conn:
                conn.send(make_request("PUT", "/kv/a", None,
                                       [*RAW, ("Content-Length", 1000000), *headers]))
                answer = conn.response()
                self.assertEqual(answer.status, status, answer)
                self.assertTrue(answer.says_close())
                self.assertTrue(conn.closed())
        self.assertEqual(self.request("root", "GET", "/kv/a").status, 404)

    def test_refused_without_a_body_keeps_the_connection(self):
        with self.daemon.connect() as conn:
            for headers, status in (((), 401), (bearer("ops"), 403), (bearer("reader"), 404)):
                for _ in range(3):
                    answer = conn.request("GET", "/kv/a", headers=headers)
                    self.assertEqual((answer.status, answer.says_close()), (status, False), answer)

    def test_targets_are_not_judged_for_strangers(self):
        for target in ("/kv/%zz", "/kv/?key=a", "/kv/a?colour=1", "/kv/%s" % ("a" * 5000), "/x"):
            self.assert_refused(self.request(None, "GET", target), 401, "unauthorized", REALM)
            self.assertIn(self.request("root", "GET", target).status, (400, 404))


class Audit(AccessCase):
    args = ("--log-level", "error")

    def test_admin_actions_are_logged_whatever_the_level(self):
        for name, status, outcome in (("ops", 202, "ok"), ("reader", 403, "insufficient_scope"),
                                      (None, 401, "unauthorized")):
            request_id = "audit-%s" % name
            answer = self.request(name, "POST", "/admin/flush",
                                  headers=[("X-Request-Id", request_id)])
            self.assertEqual(answer.status, status)
            lines = self.log_lines("request_id=" + request_id)
            self.assertEqual(len(lines), 1)
            self.assertRegex(
                lines[0], r" audit method=POST target=/admin/flush token=%s peer=127\.0\.0\.1:\d+ "
                r"outcome=%s status=%d request_id=" % (name or "-", outcome, status))

    def test_refused_tokens_are_logged_without_their_text(self):
        self.daemon.request("GET", "/kv/a", headers=[("Authorization", "Bearer SECRET-GUESS"),
                                                     ("X-Request-Id", "guess")])
        line = self.log_lines("request_id=guess")[0]
        self.assertIn(" warning audit method=GET target=/kv/a token=- ", line)
        self.assertIn("outcome=invalid_token status=401", line)
        self.request("ops", "GET", "/kv/a", headers=[("X-Request-Id", "lacks")])
        self.assertIn("token=ops", self.log_lines("request_id=lacks")[0])
        self.request("reader", "GET", "/kv/a", headers=[("X-Request-Id", "quiet")])
        self.request("ops", "POST", "/admin/flush", headers=[("X-Request-Id", "last")])
        self.log_lines("request_id=last")
        log = self.daemon.log()
        self.assertNotIn("quiet", log)
        for secret in ["SECRET"] + [token for _, token in TOKENS.values()]:
            self.assertNotIn(secret, log)

    def test_refusals_are_counted(self):
        for name, target in ((None, "/stats"), (None, "/kv/a"), ("ops", "/kv/a")):
            self.request(name, "GET", target)
        self.daemon.request("GET", "/kv/a", headers=[("Authorization", "Bearer x")])
        text = self.request("reader", "GET", "/metrics").body.decode()
        for reason, count in (("missing_token", 2), ("invalid_token", 1),
                              ("insufficient_scope", 1)):
            self.assertIn('\nvarve_http_auth_failures_total{reason="%s"} %d\n' % (reason, count),
                          text)
        self.assertRegex(text, r'\nvarve_http_requests_total\{method="GET",route="/kv/:key",'
                               r'code="401"\} 2\n')
        stats = self.request("reader", "GET", "/stats").json()["server"]["auth_failures"]
        self.assertEqual(stats, {"missing_token": 2, "invalid_token": 1, "insufficient_scope": 1})


class TokenFile(AccessCase):
    def run_with(self, path):
        return run_varved("--data-dir", self.daemon.dir + "/none", "--token-file", path, "--listen",
                          "127.0.0.1:%d" % self.daemon.port, timeout=30)

    def test_files_that_keep_it_from_starting(self):
        path = os.path.join(self.daemon.dir, "bad")
        good = token_lines(TOKENS)
        for text, mode, words in ((good, 0o644, "0600"), (good, 0o660, "0600"),
                                  ("", 0o600, "no token"), (good + "x\n", 0o600, "line 7"),
                                  ("a read plain-text\n", 0o600, "line 1")):
            write_private(path, text, mode)
            result = self.run_with(path)
            self.assertEqual(result.returncode, 2, result)
            self.assertIn(words, result.stderr)
            self.assertIn(path, result.stderr)
            self.assertNotIn("plain-text", result.stderr)
            checked = run_varved("--check-config", "--token-file", path)
            self.assertEqual(checked.returncode, 2, checked)
            self.assertIn(words, checked.stderr)
        result = self.run_with(path + "-absent")
        self.assertGreater(result.returncode, 0)
        self.assertIn(path + "-absent", result.stderr)
        self.assertFalse(os.path.exists(self.daemon.dir + "/none"))
