"""TLS: which versions, whose certificate, with what files it starts; and where it may listen."""

import os
import re
import socket
import ssl
import subprocess
import sys

from case_access import TOKENS, bearer, token_lines, write_private
from case_process import RAW, ProcessCase
from harness import (Daemon, clean_env, client_context, free_port, make_certificate, run_varved,
                     varved_path)

HAND_OVER = """
import os, sys
count = int(sys.argv[2])
for number in range(count):
    os.dup2(int(sys.argv[1]), 3 + number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count))
os.execv(sys.argv[3], sys.argv[3:])
"""


class TlsCase(ProcessCase):
    def setUp(self):
        self.daemon = Daemon(self.args, self.env)
        self.addCleanup(self.daemon.remove)
        if self.daemon.tls is None:
            self.daemon.use_tls()
        self.daemon.start()

    def path(self, name):
        return os.path.join(self.daemon.dir, name)


class Sessions(TlsCase):
    def test_versions(self):
        for version, good in ((ssl.TLSVersion.TLSv1, False), (ssl.TLSVersion.TLSv1_1, False),
                              (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)):
            context = client_context(self.path("server.pem"))
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = version
            with socket.create_connection(("127.0.0.1", self.daemon.port)) as plain:
                try:
                    with context.wrap_socket(plain, server_hostname="127.0.0.1") as conn:
                        self.assertTrue(good, version)
                        self.assertRegex(conn.cipher()[0], "ECDHE|^TLS_")
                except (ssl.SSLError, ConnectionResetError):
                    self.assertFalse(good, version)

    def test_ciphers_without_forward_secrecy_or_authentication(self):
        for ciphers in ("AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-SHA", "NULL", "aNULL"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(ciphers + ":@SECLEVEL=0")
            with socket.create_connection(("127.0.0.1", self.daemon.port)) as plain:
                with self.assertRaises((ssl.SSLError, ConnectionResetError), msg=ciphers):
                    context.wrap_socket(plain).close()

    def test_large_bodies_both_ways_and_keep_alive(self):
        with self.daemon.connect() as conn:
            for size in (0, 1, 16383, 16384, 16385, 100000, 16 << 20):
                value = os.urandom(size)
                answer = conn.request("PUT", "/kv/a", value, RAW)
                self.assertEqual(answer.status, 200, answer)
                self.assertTrue(conn.request("GET", "/kv/a?raw").body == value, size)

    def test_plain_text_is_not_served(self):
        with socket.create_connection(("127.0.0.1", self.daemon.port)) as plain:
            plain.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            data = b""
            try:
                while piece := plain.recv(4096):
                    data += piece
            except ConnectionResetError:
                pass
        self.assertNotIn(b"HTTP", data)
        self.assertEqual(self.daemon.request("GET", "/health").status, 200)

    def test_expiry_is_shown(self):
        text = self.daemon.request("GET", "/metrics").body.decode()
        expires = int(re.search(r"\nvarve_tls_certificate_expiry_timestamp_seconds (\d+)\n",
                                text)[1])
        shown = subprocess.run(["openssl", "x509", "-in", self.path("server.pem"), "-noout",
                                "-enddate"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(expires, ssl.cert_time_to_seconds(shown.strip().partition("=")[2]))
        self.assertIn(" is good until ", self.daemon.log())


class HandshakeDeadline(TlsCase):
    env = {"VARVE_HEADER_TIMEOUT_MS": "2s"}

    def test_handshake_that_does_not_come(self):
        for start in (b"", b"\x16\x03\x01\x02\x00\x01\x00"):
            with socket.create_connection(("127.0.0.1", self.daemon.port)) as plain:
                plain.sendall(start)
                plain.settimeout(60)
                try:
                    self.assertEqual(plain.recv(4096)[:5].count(b"HTTP"), 0)
                except ConnectionResetError:
                    pass
        self.assertEqual(self.daemon.request("GET", "/health").status, 200)


class Starting(TlsCase):
    def refuse(self, args, words, listen="127.0.0.1"):
        result = run_varved("--data-dir", self.path("none"), "--listen",
                            "%s:%d" % (listen, free_port()), *args)
        self.assertEqual(result.returncode, 2, result)
        for word in words:
            self.assertIn(word, result.stderr)
        self.assertFalse(os.path.exists(self.path("none")))

    def test_files_that_keep_it_from_starting(self):
        certificate, key = self.path("server.pem"), self.path("server.key")
        _, other_key = make_certificate(self.daemon.dir, "other")
        nonsense = self.path("nonsense")
        write_private(nonsense, "-----BEGIN CERTIFICATE-----\nnonsense\n")
        for files, word in (((certificate, other_key), "other.key"),
                            ((key, certificate), "server.key"), ((nonsense, key), "nonsense"),
                            ((certificate, nonsense), "nonsense"),
                            ((self.daemon.dir, key), "regular"),
                            ((self.path("absent"), key), "absent")):
            args = ("--tls-cert-file", files[0], "--tls-key-file", files[1])
            if word != "absent":
                self.refuse(args, [word])
            checked = run_varved("--check-config", *args)
            self.assertEqual(checked.returncode, 2, checked)
            self.assertIn(word, checked.stderr)
        for flag in ("--tls-cert-file", "--tls-key-file"):
            self.refuse((flag, certificate), ["tls_cert_file", "tls_key_file"])

    def test_addresses_that_others_reach_take_tokens_and_tls(self):
        tls = ("--tls-cert-file", self.path("server.pem"), "--tls-key-file",
               self.path("server.key"))
        write_private(self.path("tokens"), token_lines(TOKENS))
        tokens = ("--token-file", self.path("tokens"))
        for address in ("0.0.0.0", "[::]"):
            for args in ((), tls, tokens):
                self.refuse(args, ["insecure", "token_file", "tls_cert_file"], address)
            for args in (tls + tokens, ("--insecure",)):
                result = run_varved("--check-config", "--listen", address + ":80", *args)
                self.assertEqual(result.returncode, 0, result)
        self.daemon.stop()
        self.daemon.args += [*tokens, "--listen", "0.0.0.0:%d" % self.daemon.port]
        self.daemon.start()
        self.assertEqual(self.daemon.request("GET", "/stats").status, 401)
        self.assertEqual(self.daemon.request("GET", "/stats", headers=bearer("reader")).status,
                         200)
        self.assertNotIn("insecure", self.daemon.log())

    def start_with(self, peer, *args, count=1):
        """varved as systemd would start it, with that socket, or that many times."""
        return subprocess.Popen([sys.executable, "-c", HAND_OVER, str(peer.fileno()), str(count),
                                 varved_path(), "--data-dir", self.path("inherited"), *args],
                                env=clean_env(), pass_fds=[peer.fileno()],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)

    def test_one_socket_is_served_and_no_more(self):
        with socket.socket() as peer:
            peer.bind(("127.0.0.1", 0))
            peer.listen(8)
            process = self.start_with(peer, count=2)
            try:
                self.assertEqual(process.wait(60), 2)
                self.assertIn("2 inherited sockets", process.stderr.read())
            finally:
                process.kill()
                process.wait()
                process.stderr.close()

    def test_sockets_handed_over_are_judged_too(self):
        tls = ("--tls-cert-file", self.path("server.pem"), "--tls-key-file",
               self.path("server.key"))
        write_private(self.path("tokens"), token_lines(TOKENS))
        both = (*tls, "--token-file", self.path("tokens"))
        for family, address, args, good in (
                (socket.AF_INET, ("0.0.0.0", 0), (), False),
                (socket.AF_INET, ("0.0.0.0", 0), tls, False),
                (socket.AF_INET, ("0.0.0.0", 0), both, True),
                (socket.AF_INET, ("0.0.0.0", 0), ("--insecure",), True),
                (socket.AF_INET6, ("::", 0), (), False),
                (socket.AF_INET, ("127.0.0.1", 0), (), True),
                (socket.AF_INET6, ("::1", 0), (), True),
                (socket.AF_UNIX, self.path("socket"), (), True)):
            with self.subTest(address=address, args=args), socket.socket(family) as peer:
                peer.bind(address)
                peer.listen(8)
                process = self.start_with(peer, *args)
                try:
                    if good:
                        log = ""
                        while "the store is open" not in log:
                            line = process.stderr.readline()
                            self.assertTrue(line, log)
                            log += line
                        warned = "insecure: whoever reaches" in log
                        self.assertEqual(warned, "--insecure" in args, log)
                        process.terminate()
                        self.assertEqual(process.wait(60), 0)
                    else:
                        self.assertEqual(process.wait(60), 2)
                        self.assertIn("inherited socket is not on a loopback",
                                      process.stderr.read())
                finally:
                    process.kill()
                    process.wait()
                    process.stderr.close()
