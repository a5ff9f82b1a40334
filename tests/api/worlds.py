"""Daemons in the states that documented answers need: with tokens, crowded, damaged, full."""

import glob
import hashlib
import os
import subprocess
import time

from harness import START_TIMEOUT_S, Daemon

RAW = [("Content-Type", "application/octet-stream")]
# As the examples of the document name them.
KEYS = ("user/1", "user/2")

NOBODY = ()
READER = [("Authorization", "Bearer reader-0123456789abcdef")]
OPERATOR = [("Authorization", "Bearer operator-0123456789abcdef")]

FULL_BYTES = 12 << 20
FILL_SIZES = (20000, 2000, 200, 20, 0)


def give_backup_dir(daemon):
    """Before it is started."""
    daemon.backup_dir = os.path.join(daemon.dir, "backups")
    os.mkdir(daemon.backup_dir)
    daemon.args += ["--backup-dir", daemon.backup_dir]
    return daemon


def ordinary():
    return give_backup_dir(Daemon()).start()


def guarded():
    """Knows a READER and an OPERATOR, who may not even read."""
    daemon = Daemon()
    path = os.path.join(daemon.dir, "tokens")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w",
              encoding="ascii") as file:
        for name, scope, headers in (("reader", "read", READER), ("operator", "admin", OPERATOR)):
            token = headers[0][1].removeprefix("Bearer ")
            file.write("%s %s sha256:%s\n" % (name, scope,
                                              hashlib.sha256(token.encode()).hexdigest()))
    daemon.args += ["--token-file", path]
    return daemon.start()


class Crowded(Daemon):
    """Serves one connection, and has it."""

    def __init__(self):
        super().__init__(env={"VARVE_MAX_CONNECTIONS": "1", "VARVE_IDLE_TIMEOUT_MS": "60m"})
        self.start()
        self.held = self.take_place()

    def take_place(self):
        """What asked whether it is ready may be counted for a moment yet."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            conn = self.connect()
            if conn.request("GET", "/health/live").status == 200:
                return conn
            conn.close()
        raise AssertionError("the one connection is never free")

    def remove(self):
        self.held.close()
        super().remove()


def damaged():
    """Has two tables, in which the blocks of the KEYS are damaged."""
    daemon = give_backup_dir(Daemon(env={"VARVE_COMPRESSION_BOTTOM": "none"})).start()
    for _ in range(2):
        for key in KEYS:
            daemon.request("PUT", "/kv/" + key, b"v" * 3000, RAW)
        daemon.request("POST", "/admin/flush?wait=true")
    daemon.stop()
    tables = glob.glob(os.path.join(daemon.data_dir, "*.sst"))
    for table in tables:
        with open(table, "r+b") as file:
            file.seek(200)
            file.write(b"\xff" * 16)
    if len(tables) < 2:
        raise AssertionError("two tables were to be damaged, there are %r" % tables)
    return daemon.start()


class Full(Daemon):
    """Its file system takes nothing more."""

    def __init__(self):
        super().__init__(env={"VARVE_MEMTABLE_BYTES": "1MiB", "VARVE_COMPRESSION_BOTTOM": "none"})
        os.mkdir(self.data_dir)
        give_backup_dir(self)
        self.mounted = False

    def start(self, wait=True):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d" % FULL_BYTES, "tmpfs",
                        self.data_dir], check=True)
        self.mounted = True
        super().start(wait)
        self.fill_up()
        return self

    def fill_up(self):
        for size in FILL_SIZES:
            self.fill(os.urandom(size))

    def ask_when_full(self, ask):
        """The answer to `ask`, which is tried again where merging has just made room."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            answer = ask()
            if answer.status == 507 or time.monotonic() > deadline:
                return answer
            self.fill_up()

    def fill(self, value):
        for number in range(2 * FULL_BYTES // (len(value) + 100)):
            if self.request("PUT", "/kv/k%d" % number, value, RAW).status == 507:
                return
        raise AssertionError("values of %d bytes find room for ever" % len(value))

    def remove(self):
        self.kill()
        if self.mounted:
            subprocess.run(["umount", self.data_dir], check=True)
        super().remove()


def full():
    """None where this user may not mount."""
    daemon = Full()
    try:
        return daemon.start()
    except (OSError, subprocess.CalledProcessError):
        daemon.remove()
        return None
