"""Flags and configuration: what is taken, from where, and what is refused by name."""

import os
import re
import tempfile
import unittest

from harness import free_port, run_varved, varved_path

SETTING = re.compile(r"^([a-z][a-z0-9_]*)\s*=\s*(.*?)\s*$", re.MULTILINE)


class Flags(unittest.TestCase):
    def setUp(self):
        varved_path()
        self.dir = tempfile.TemporaryDirectory(prefix="varve-http-")
        self.addCleanup(self.dir.cleanup)

    def file(self, text):
        path = os.path.join(self.dir.name, "varved.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def printed(self, *args, env=None):
        result = run_varved("--print-config", *args, env=env)
        self.assertEqual(result.returncode, 0, result)
        return result.stdout

    def settings(self, *args, env=None):
        return dict(SETTING.findall(self.printed(*args, env=env)))

    def assert_refused(self, *args, names, env=None):
        result = run_varved(*args, env=env)
        self.assertNotEqual(result.returncode, 0, (args, result))
        self.assertGreater(result.returncode, 0, (args, result))
        self.assertIn(names, result.stderr, args)

    def test_help(self):
        result = run_varved("--help")
        self.assertEqual(result.returncode, 0)
        for flag in ("--config", "--listen", "--data-dir", "--log-level", "--version", "--help",
                     "--print-config", "--check-config"):
            self.assertIn(flag, result.stdout)

    def test_version(self):
        result = run_varved("--version")
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout, r"varved? .*[0-9]+\.[0-9]+\.[0-9]+")

    def test_unknown_flag_is_named(self):
        self.assert_refused("--colour", names="colour")
        self.assert_refused("--listen", names="listen")
        self.assert_refused("--check-config", "stray", names="stray")

    def test_printed_configuration_is_accepted(self):
        text = self.printed()
        self.assertTrue(SETTING.findall(text))
        path = self.file(text)
        self.assertEqual(run_varved("--check-config", "--config", path).returncode, 0)
        self.assertEqual(self.printed("--config", path), text)

    def test_shipped_configuration_is_accepted(self):
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        path = os.path.join(root, "config", "varved.conf")
        result = run_varved("--check-config", "--config", path)
        self.assertEqual(result.returncode, 0, result)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for name in self.settings():
            self.assertRegex(text, r"(?m)^[#; ]*%s\s*=" % re.escape(name))

    def test_unknown_key_is_named(self):
        path = self.file(self.printed() + "\ncolour = blue\n")
        self.assert_refused("--check-config", "--config", path, names="colour")
        self.assert_refused("--config", path, "--data-dir", self.dir.name + "/data", "--listen",
                            "127.0.0.1:%d" % free_port(), names="colour")
        self.assertFalse(os.path.exists(self.dir.name + "/data"))

    def test_bad_values_are_named(self):
        text = self.printed()
        for name, value in (("http_threads", "many"), ("http_threads", "-1"), ("http_threads", "0"),
                            ("http_threads", "2x"), ("http_threads", "99999999999999999999"),
                            ("listen", "nowhere"), ("listen", "127.0.0.1:99999"),
                            ("log_level", "loud"), ("max_connections", "x"),
                            ("recovery_mode", "hope")):
            changed, count = re.subn(r"(?m)^%s\s*=.*$" % name, "%s = %s" % (name, value), text)
            self.assertEqual(count, 1, "%s is no setting" % name)
            self.assert_refused("--check-config", "--config", self.file(changed), names=name)

    def test_bad_flag_values_are_named(self):
        for flag, value in (("--listen", "x"), ("--listen", "127.0.0.1:0x50"), ("--listen", ":"),
                            ("--listen", "127.0.0.1:65536"), ("--log-level", "loud")):
            self.assert_refused("--check-config", flag, value, names=flag.lstrip("-").split("-")[0])

    def test_missing_configuration_file_is_named(self):
        self.assert_refused("--check-config", "--config", self.dir.name + "/absent.conf",
                            names="absent.conf")

    def test_malformed_configuration_line(self):
        path = self.file(self.printed() + "\nthis is no setting\n")
        self.assert_refused("--check-config", "--config", path, names="varved.conf")

    def test_precedence(self):
        """Flags before environment before file before defaults."""
        text = re.sub(r"(?m)^listen\s*=.*$", "listen = 127.0.0.1:1001", self.printed())
        config = ("--config", self.file(text))
        env = {"VARVE_LISTEN": "127.0.0.1:1002"}
        self.assertEqual(self.settings(*config)["listen"], "127.0.0.1:1001")
        self.assertEqual(self.settings(*config, env=env)["listen"], "127.0.0.1:1002")
        self.assertEqual(self.settings(*config, "--listen", "127.0.0.1:1003", env=env)["listen"],
                         "127.0.0.1:1003")
        self.assertEqual(self.settings()["listen"], "127.0.0.1:7070")

    def test_bad_environment_value_is_named(self):
        self.assert_refused("--check-config", env={"VARVE_LISTEN": "nowhere"}, names="LISTEN")

    def test_check_config_serves_nothing(self):
        data = self.dir.name + "/data"
        result = run_varved("--check-config", "--data-dir", data)
        self.assertEqual(result.returncode, 0, result)
        self.assertFalse(os.path.exists(data))
