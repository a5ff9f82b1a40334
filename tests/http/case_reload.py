"""SIGHUP: what changes while it runs, what is named because it cannot, what a mistake leaves."""

import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

from case_access import TOKENS, bearer, digest, token_lines, write_private
from case_process import RAW, ProcessCase
from harness import (Connection, Daemon, ProtocolError, client_context, make_certificate,
                     make_request)

CA_CONFIG = """
[ca]
default_ca = own
[own]
database = index
new_certs_dir = .
default_md = sha256
serial = serial
rand_serial = yes
policy = any
[any]
commonName = supplied
"""
END = re.compile(r"reload: (?:done|nothing was changed)")


class ReloadCase(ProcessCase):
    """Its daemon has a configuration file."""

    env = {"VARVE_DRAIN_DELAY_MS": None}  # the file's counts
    settings = {}

    def setUp(self):
        self.daemon = Daemon(self.args, self.env)
        self.addCleanup(self.daemon.remove)
        self.config_path = self.path("varved.conf")
        self.daemon.args += ["--config", self.config_path]
        self.configure()
        self.prepare()
        self.daemon.start()

    def prepare(self):
        """What must be there before the daemon starts."""

    def path(self, name):
        return os.path.join(self.daemon.dir, name)

    def configure(self, **settings):
        self.write_config("".join("%s = %s\n" % pair
                                  for pair in {**self.settings, **settings}.items()))

    def write_config(self, text):
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(text)

    def reload(self, good=True):
        """What the log says about it."""
        before = len(self.daemon.log())
        self.daemon.signal(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while not END.search(self.daemon.log()[before:]):
            self.assertTrue(self.daemon.alive(), self.daemon.log_tail())
            self.assertLess(time.monotonic(), deadline, self.daemon.log_tail())
            time.sleep(0.01)
        said = self.daemon.log()[before:]
        self.assertEqual("reload: done" in said, good, said)
        return said

    def until(self, holds, what):
        """Event loops take new settings up at their next turn."""
        deadline = time.monotonic() + 60
        while not holds():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.01)

    def stats(self):
        return self.daemon.request("GET", "/stats").json()


class Settings(ReloadCase):
    settings = {"max_body_bytes": "1MiB", "max_connections": "8", "header_timeout_ms": "60m"}

    def test_limits_change_for_connections_that_are_open(self):
        with self.daemon.connect() as conn:
            self.assertEqual(conn.request("PUT", "/kv/a", bytes(5000), RAW).status, 200)
            self.configure(max_body_bytes="4KiB", idle_timeout_ms="90s")
            said = self.reload()
            self.assertIn("reload: max_body_bytes = 4KiB, which was 1MiB\n", said)
            self.assertIn("reload: idle_timeout_ms = 90s, which was 1m\n", said)
            self.assertNotIn("restart", said)

            def is_refused():
                with self.daemon.connect() as other:
                    other.send(make_request("PUT", "/kv/a", None,
                                            RAW + [("Content-Length", 5000)]))
                    return other.response().status in (100, 413)
            self.until(is_refused, "the limit does not change")
            answer = conn.request("PUT", "/kv/a", bytes(5000), RAW)
            self.assertEqual((answer.status, answer.json()["limit"]), (413, 4096), answer)
        self.assertEqual(self.stats()["config"]["max_body_bytes"], "4KiB")

    def test_log_level_changes(self):
        self.daemon.request("GET", "/kv/before", headers=[("X-Request-Id", "id-before")])
        self.configure(log_level="debug")
        self.reload()
        self.daemon.request("GET", "/kv/after", headers=[("X-Request-Id", "id-after")])
        self.until(lambda: "id-after" in self.daemon.log(), "no debug line")
        self.assertNotIn("id-before", self.daemon.log())

    def test_more_connections_than_at_the_start(self):
        held = []
        try:
            self.configure(max_connections="100")
            self.reload()
            for _ in range(90):
                conn = self.daemon.connect()
                held.append(conn)
                self.assertEqual(conn.request("GET", "/health").status, 200)
            self.configure(max_connections="8")
            self.reload()
            self.until(lambda: self.status_over_limit() == 503, "the limit does not change")
            for conn in held:
                self.assertEqual(conn.request("GET", "/health").status, 200)
        finally:
            for conn in held:
                conn.close()

    def status_over_limit(self):
        try:
            return self.daemon.request("GET", "/health").status
        except (OSError, ProtocolError):
            return 503  # far over the limit: closed at once

    def test_flood_over_the_limit_is_closed(self):
        """So many are told so, the others are closed at once."""
        held = [self.daemon.connect() for _ in range(8)]
        try:
            for conn in held:
                self.assertEqual(conn.request("GET", "/health").status, 200)
            flood = [socket.create_connection(("127.0.0.1", self.daemon.port))
                     for _ in range(200)]
            self.until(lambda: held[0].request("GET", "/stats").json()["server"]["connections"]
                       <= 8 + 64, "they are kept")
            for conn in held:
                self.assertEqual(conn.request("GET", "/health").status, 200)
            for peer in flood:
                peer.close()
        finally:
            for conn in held:
                conn.close()

    def test_what_takes_a_restart_is_named(self):
        threads = self.stats()["server"]["http_threads"]
        self.configure(http_threads="7", memtable_bytes="1MiB", max_value_bytes="1KiB",
                       data_dir="elsewhere", token_file="/nowhere", log_format="json",
                       drain_delay_ms="10ms")
        said = self.reload()
        for name, new, old in (("http_threads", "7", "auto"), ("memtable_bytes", "1MiB", "64MiB"),
                               ("max_value_bytes", "1KiB", "16MiB"),
                               ("token_file", "/nowhere", "none"), ("log_format", "json", "text")):
            self.assertIn(" warning reload: %s = %s takes a restart; until then it is %s\n"
                          % (name, new, old), said)
        self.assertNotIn("data_dir", said)  # a flag beats the file
        self.assertIn("reload: drain_delay_ms = 10ms, which was 1s", said)
        self.assertEqual(self.stats()["server"]["http_threads"], threads)
        self.assertEqual(self.stats()["config"]["max_value_bytes"], "16MiB")
        self.put("a", bytes(5000))
        self.assertIn("takes a restart", self.reload())  # as long as it is so

    def test_mistakes_change_nothing_and_are_placed(self):
        good = "max_body_bytes = 4KiB\n"
        for text, words in ((good + "colour = blue\n", "varved.conf: line 2: colour"),
                            (good + "log_level = loud\n", "line 2: log_level"),
                            (good + "nonsense\n", "varved.conf: line 2"),
                            (good + "listen = 0.0.0.0:80\nbodies_in_flight_bytes = 1KiB\n",
                             "bodies_in_flight_bytes")):
            self.write_config(text)
            said = self.reload(good=False)
            self.assertIn(" error reload: nothing was changed: ", said)
            self.assertIn(words, said)
        os.unlink(self.config_path)
        self.assertIn("varved.conf", self.reload(good=False))
        self.put("a", bytes(5000))
        self.assertEqual(self.stats()["config"]["max_body_bytes"], "1MiB")
        self.assertEqual(self.stats()["server"]["reloads_failed"], 5)
        self.configure()
        self.reload()
        text = self.daemon.request("GET", "/metrics").body.decode()
        for result, count in (("ok", 1), ("failed", 5)):
            self.assertIn('\nvarve_config_reloads_total{result="%s"} %d\n' % (result, count), text)

    def test_during_the_drain_it_does_nothing(self):
        self.configure(drain_delay_ms="60m")
        self.reload()
        before = len(self.daemon.log())
        self.daemon.signal(signal.SIGTERM)
        self.until(lambda: "shutting down" in self.daemon.log(), "SIGTERM is not seen")
        for _ in range(10):
            self.daemon.signal(signal.SIGHUP)
            time.sleep(0.05)
            self.assertEqual(self.daemon.request("GET", "/health").status, 503)
        self.daemon.signal(signal.SIGTERM)  # cuts the delay short
        self.assertEqual(self.daemon.wait_end(), 0, self.daemon.log_tail())
        self.assertNotIn("reload:", self.daemon.log()[before:])


class Notifications(ReloadCase):
    def prepare(self):
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notified.close)
        self.notified.bind(self.path("notify"))
        self.notified.settimeout(60)
        self.daemon.env = {"NOTIFY_SOCKET": self.path("notify")}

    def wait_for(self, *starts):
        """Messages up to one for each of `starts`, in their order."""
        left = list(starts)
        while left:
            message = self.notified.recv(4096).decode()
            if message.startswith(left[0]):
                left.pop(0)

    def test_the_service_manager_is_told(self):
        self.wait_for("READY=1")
        self.reload()
        self.wait_for("RELOADING=1\nMONOTONIC_USEC=", "READY=1")
        self.write_config("nonsense\n")
        self.reload(good=False)
        self.wait_for("RELOADING=1\nMONOTONIC_USEC=", "READY=1")


class Tokens(ReloadCase):
    def prepare(self):
        write_private(self.path("tokens"), token_lines(TOKENS))
        self.daemon.args += ["--token-file", self.path("tokens")]

    def status(self, conn, token):
        return conn.request("GET", "/kv/a", headers=[("Authorization", "Bearer " + token)]).status

    def test_rotation(self):
        old = TOKENS["reader"][1]
        with self.daemon.connect() as conn:
            self.assertEqual((self.status(conn, old), self.status(conn, "new")), (404, 401))
            write_private(self.path("tokens"), "reader read %s\nnext read %s\n"
                          % (digest(old), digest("new")))
            self.assertIn(" 2 tokens in ", self.reload())
            self.until(lambda: self.status(conn, "new") == 404, "the new token is not taken")
            self.assertEqual(self.status(conn, old), 404)
            write_private(self.path("tokens"), "next read %s\n" % digest("new"))
            self.reload()
            self.until(lambda: self.status(conn, old) == 401, "the old token is still taken")
            self.assertEqual(self.status(conn, "new"), 404)

    def test_bad_files_leave_the_old_tokens(self):
        for text, mode, words in (("x", 0o600, "tokens: line 1"), ("", 0o600, "no token"),
                                  (token_lines(TOKENS), 0o644, "0600")):
            write_private(self.path("tokens"), text, mode)
            self.configure(max_body_bytes="2MiB")
            self.assertIn(words, self.reload(good=False))
            answer = self.daemon.request("GET", "/stats", headers=bearer("reader"))
            self.assertEqual(answer.json()["config"]["max_body_bytes"], "32MiB")


class Certificates(ReloadCase):
    def prepare(self):
        if self.daemon.tls is None:
            self.daemon.use_tls()

    def replace(self, name):
        for ending in (".pem", ".key"):
            os.replace(self.path(name + ending), self.path("server" + ending))

    def shown(self):
        """The certificate that a new connection is shown."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with Connection(self.daemon.port, context) as conn:
            return conn.socket.getpeercert(binary_form=True)

    def test_new_connections_see_the_new_certificate(self):
        old = self.shown()
        with self.daemon.connect() as conn:
            self.assertEqual(conn.request("GET", "/health").status, 200)
            for turn in range(3):
                make_certificate(self.daemon.dir, "next%d" % turn)
                new = ssl.PEM_cert_to_DER_cert(open(self.path("next%d.pem" % turn),
                                                    encoding="ascii").read())
                self.replace("next%d" % turn)
                self.assertIn("is good until", self.reload())
                self.until(lambda: self.shown() == new, "the old certificate is shown")
                self.assertNotEqual(new, old)
                value = os.urandom(200000)
                self.assertEqual(conn.request("PUT", "/kv/a", value, RAW).status, 200)
                self.assertTrue(conn.request("GET", "/kv/a?raw").body == value)
            self.daemon.tls = client_context(self.path("server.pem"))
            self.assertEqual(self.daemon.request("GET", "/health").status, 200)

    def test_bad_certificates_leave_the_old_one(self):
        old = self.shown()
        make_certificate(self.daemon.dir, "other")
        os.replace(self.path("other.pem"), self.path("server.pem"))  # the key is not its own
        self.assertIn("server.key", self.reload(good=False))
        self.assertEqual(self.shown(), old)
        write_private(self.path("server.pem"), "nonsense")
        self.assertIn("server.pem", self.reload(good=False))
        os.unlink(self.path("server.pem"))
        self.assertIn("server.pem", self.reload(good=False))
        self.assertEqual(self.shown(), old)
        with self.daemon.connect() as conn:
            self.assertEqual(conn.request("GET", "/health").status, 200)

    def test_expired_certificate_is_told(self):
        make_certificate(self.daemon.dir, "old")
        write_private(self.path("ca.conf"), CA_CONFIG)
        write_private(self.path("index"), "")
        for command in (("req", "-new", "-key", "old.key", "-subj", "/CN=old", "-out", "old.csr"),
                        ("ca", "-batch", "-selfsign", "-config", "ca.conf", "-keyfile", "old.key",
                         "-in", "old.csr", "-startdate", "20200101000000Z",
                         "-enddate", "20200102000000Z", "-notext", "-out", "old.pem")):
            subprocess.run(["openssl", *command], cwd=self.daemon.dir, check=True,
                           capture_output=True)
        self.replace("old")
        said = self.reload()
        self.assertRegex(said, " warning the certificate in .* has expired at "
                               "2020-01-02T00:00:00Z\n")


class UnderLoad(ReloadCase):
    def prepare(self):
        write_private(self.path("tokens"), token_lines(TOKENS))
        self.daemon.args += ["--token-file", self.path("tokens")]
        if self.daemon.tls is None:
            self.daemon.use_tls()

    def reloads(self):
        answer = self.daemon.request("GET", "/stats", headers=bearer("reader"))
        return answer.json()["server"]["reloads"]

    def test_reloads_end_no_request(self):
        errors, stop = [], threading.Event()

        def work(number):
            try:
                while not stop.is_set():
                    with self.daemon.connect() as conn:
                        for turn in range(20):
                            put = conn.request("PUT", "/kv/w%d" % number, b"%d" % turn,
                                               RAW + bearer("both"))
                            got = conn.request("GET", "/kv/w%d?raw" % number,
                                               headers=bearer("reader"))
                            if (put.status, got.body) != (200, b"%d" % turn):
                                errors.append((put, got))
            except Exception as error:  # a thread's error must reach the test
                errors.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        try:
            for turn in range(20):
                self.configure(max_connections=str(100 + turn),
                               log_level=("info", "warning", "debug")[turn % 3])
                self.daemon.signal(signal.SIGHUP)
                self.until(lambda: self.reloads() > turn, "no reload")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(errors, [])
        self.daemon.stop()
        self.daemon.start()
