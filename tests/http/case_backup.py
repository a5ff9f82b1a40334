"""POST /admin/backup, and what comes out of a backup."""

import json
import os
import subprocess
import tempfile
import unittest

from harness import Case, Daemon, b64

JSON = [("Content-Type", "application/json")]
BAD_NAMES = ("", ".", "..", ".hidden", "a/b", "../a", "a b", "a\n", "ä", "a\0", "x" * 65,
             "a.partial", ".partial")


def tool(*args):
    path = os.environ.get("VARVE_TOOL")
    if not path:
        raise unittest.SkipTest("the environment variable VARVE_TOOL names no program")
    return subprocess.run([path, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=120, check=False)


class Backup(Case):
    """The tests share a daemon with a folder for backups."""

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory(prefix="varve-backup-")
        cls.addClassCleanup(cls.dir.cleanup)
        cls.backups = os.path.join(cls.dir.name, "backups")
        os.mkdir(cls.backups)
        if Case.daemon is not None:
            Case.daemon.stop()
            Case.daemon.remove()
        Case.daemon = Daemon(env={"VARVE_BACKUP_DIR": cls.backups}).start()

    def backup(self, name):
        return self.request("POST", "/admin/backup", {"name": name})

    def items(self, daemon):
        answer = daemon.request("GET", "/kv/range?limit=1000")
        self.assertEqual(answer.status, 200)
        return answer.json()["items"]

    def test_restored_it_is_the_store_of_its_revision(self):
        self.batch([{"op": "put", "key": "%s%d" % (self.prefix, n), "value": b64(b"%d" % n)}
                    for n in range(100)])
        self.assertEqual(self.request("POST", "/admin/flush?wait=true").status, 200)
        self.put(self.key("raw"), bytes(range(256)))
        revision = self.delete(self.key("7"))
        before = self.items(self.daemon)
        answer = self.backup("whole-1.0_A")
        self.assertEqual(answer.status, 200, answer)
        self.put(self.key("later"), b"v")
        document = answer.json()
        self.assertEqual(sorted(document), ["bytes", "files", "name", "revision"])
        self.assertEqual((document["name"], document["revision"]), ("whole-1.0_A", revision))
        path = os.path.join(self.backups, "whole-1.0_A")
        verified = tool("verify", path)
        self.assertEqual(verified.returncode, 0, verified)

        restored = Daemon()
        try:
            result = tool("restore", path, restored.data_dir)
            self.assertEqual(result.returncode, 0, result)
            restored.start()
            self.assertEqual(self.items(restored), before)
            restored.stop()
        finally:
            restored.remove()

    def test_files_and_bytes_are_those_on_disk(self):
        self.put(self.key(), b"v" * 100000)
        document = self.backup("counted").json()
        path = os.path.join(self.backups, "counted")
        files = [os.path.join(path, name) for name in os.listdir(path)]
        listed = [file for file in files if os.path.getsize(file) > 0]
        self.assertEqual(document["files"], len(listed) - 1, listed)  # the list is not in the list
        self.assertGreaterEqual(document["bytes"], 100000)
        self.assertLessEqual(document["bytes"], sum(map(os.path.getsize, listed)))

    def test_existing_name_is_a_conflict(self):
        self.assertEqual(self.backup("twice").status, 200)
        inside = sorted(os.listdir(os.path.join(self.backups, "twice")))
        problem = self.refused_and_kept("POST", "/admin/backup", 409, {"name": "twice"},
                                        code="conflict")
        self.assertIn("name", problem["detail"])
        self.assertEqual(sorted(os.listdir(os.path.join(self.backups, "twice"))), inside)
        self.assertEqual(self.backup("twice-more").status, 200)

    def test_names_that_are_none(self):
        before = sorted(os.listdir(self.backups))
        for name in BAD_NAMES:
            problem = self.refused_and_kept("POST", "/admin/backup", 400, {"name": name},
                                            code="invalid_body", names="name")
            self.assertEqual([error["pointer"] for error in problem["errors"]], ["/name"])
        self.assertEqual(sorted(os.listdir(self.backups)), before)
        self.assertEqual(os.listdir(self.dir.name), ["backups"])

    def test_names_at_the_limits(self):
        for name in ("x" * 64, "-", "_", "9", "a..", "partial", "a.partial.b"):
            self.assertEqual(self.backup(name).status, 200, name)

    def test_bodies_that_are_none(self):
        for body, code in (("", "invalid_json"), ("[]", "invalid_json"), ("{", "invalid_json"),
                           ('{"name":"a","name":"b"}', "invalid_json"), ("{}", "invalid_body"),
                           ('{"name":1}', "invalid_body"), ('{"name":null}', "invalid_body"),
                           ('{"name":"a","colour":"blue"}', "invalid_body"),
                           ('{"name":"a"} x', "invalid_json")):
            self.refused_and_kept("POST", "/admin/backup", 400, body, JSON, code=code)

    def test_requests_that_are_none(self):
        body = json.dumps({"name": "never"})
        self.refused("POST", "/admin/backup", 415, body, [("Content-Type", "text/plain")])
        self.refused("POST", "/admin/backup?colour=1", 400, body, JSON, names="colour")
        self.refused("POST", "/admin/backup", 411)
        problem = self.refused("GET", "/admin/backup", 405)
        self.assertEqual(problem["code"], "method_not_allowed")
        self.assertFalse(os.path.exists(os.path.join(self.backups, "never")))

    def test_unfinished_one_is_cleared_away(self):
        """As a crash leaves it; and its name cannot be taken by a finished one."""
        self.assertEqual(self.backup("model").status, 200)
        os.rename(os.path.join(self.backups, "model"), os.path.join(self.backups, "left.partial"))
        self.assertEqual(self.backup("left").status, 200)
        self.assertFalse(os.path.exists(os.path.join(self.backups, "left.partial")))


class NoFolder(unittest.TestCase):
    def answer(self, env):
        daemon = Daemon(env=env)
        try:
            daemon.start()
            answer = daemon.request("POST", "/admin/backup", {"name": "a"})
            daemon.stop()
            return answer, daemon.log()
        finally:
            daemon.remove()

    def test_none_is_configured(self):
        answer, _ = self.answer({})
        self.assertEqual((answer.status, answer.json()["code"]), (409, "no_backup_dir"))
        self.assertIn("backup_dir", answer.json()["detail"])

    def test_it_is_not_there(self):
        """The log says which folder, the answer does not."""
        with tempfile.TemporaryDirectory() as folder:
            missing = os.path.join(folder, "missing")
            answer, log = self.answer({"VARVE_BACKUP_DIR": missing})
            self.assertEqual((answer.status, answer.json()["code"]), (500, "io_error"))
            self.assertNotIn(folder, answer.body.decode())
            self.assertIn(missing, log)
            self.assertFalse(os.path.exists(missing))
