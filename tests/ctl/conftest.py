"""poolbridgectl as a black box: a registry of its own for each test; results as TAP for `make check`."""

import glob
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile

import pytest

SHM = "/dev/shm"
PROGRAM = os.path.join(os.environ.get("top_builddir", "."), "poolbridgectl")


class Registry:
    """A configuration file with a registry, and the commands on it."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.path = os.path.join(self.folder, "registry.db")
        self.conf = os.path.join(self.folder, "poolbridge.conf")
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write('registry = "registry.db";\n')

    def run(self, *words, **options):
        return subprocess.run([PROGRAM, "-c", self.conf, *words], capture_output=True, timeout=60,
                              cwd=self.folder, **options)

    def text(self, *words, **options):
        """Standard output of a command that must be done without a word on standard error."""
        r = self.run(*words, **options)
        assert (r.returncode, r.stderr) == (0, b""), r
        return r.stdout.decode()

    def json(self, *words, **options):
        """The document of a command that must be done."""
        r = self.run("--json", *words, **options)
        assert (r.returncode, r.stderr) == (0, b""), r
        return json.loads(r.stdout)

    def fails(self, *words, status=1, says=(), **options):
        """A command that must fail, with these words on standard error and as a document; the error."""
        r = self.run(*words, **options)
        assert (r.returncode, r.stdout) == (status, b""), r
        error = r.stderr.decode()
        assert error.startswith("poolbridgectl: "), error
        for word in [says] if isinstance(says, str) else says:
            assert word in error, (word, error)
        r = self.run("--json", *words, **options)
        assert r.returncode == status, r
        document = json.loads(r.stdout)
        assert error.splitlines()[0] == "poolbridgectl: " + document["error"]
        return document

    def sql(self, statement, *values):
        """What an administrator types into the sqlite3 shell; the rows."""
        db = sqlite3.connect(self.path)
        with db:
            rows = db.execute(statement, values).fetchall()
        db.close()
        return rows

    def make_state(self):
        """A state file as the daemon leaves it, empty; the open connection, as of a daemon that runs."""
        files = sorted(glob.glob(os.path.join(os.environ.get("top_srcdir", "."), "schema", "state-*.sql")))
        db = sqlite3.connect(self.path + ".state", isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        for name in files:
            with open(name, encoding="utf-8") as schema:
                db.executescript(schema.read())
        db.executescript(f"PRAGMA application_id = {0x70627374}; PRAGMA user_version = {len(files)}")
        return db

    def write(self, name, content):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        return path


def folder():
    # In memory where there is such a folder: it is the commands that are tested, not the disk.
    return tempfile.TemporaryDirectory(prefix="poolbridge-ctl-", dir=SHM if os.path.isdir(SHM) else None)


@pytest.fixture
def empty():
    with folder() as path:
        yield Registry(path)


@pytest.fixture(scope="session")
def filled():
    with folder() as path:
        made = Registry(path)
        made.text("domain", "add", "corp.test")
        made.text("domain", "add", "other.test", "--phase", "migrated", "--unlisted", "reject", "--xmpp-access", "off")
        made.text("partner", "add", "partner.test", "--alias", "chat.partner.test")
        made.text("user", "mark", "legacy", "bob@corp.test")
        made.text("user", "mark", "moving", "eve@corp.test")
        made.text("user", "mark", "migrated", "al@corp.test")
        yield made


@pytest.fixture
def reg(empty, filled):
    """Two local domains, a partner with an alias, and three users; the audit has 7 entries."""
    shutil.copy(filled.path, empty.path)
    return empty


# --- TAP, when make check asks for it

class Tap:
    def __init__(self):
        self.count = 0

    def pytest_runtest_logreport(self, report):
        if report.when != "call" and not report.failed:
            return
        self.count += 1
        for line in str(report.longrepr or "").splitlines():
            print("#", line)
        print("ok" if report.passed else "not ok", self.count, "-", report.nodeid.split("::", 1)[1])
        sys.stdout.flush()

    def pytest_collectreport(self, report):
        if report.failed:
            print("Bail out!", report.longrepr)

    def pytest_sessionfinish(self):
        print(f"1..{self.count}")


def pytest_configure(config):
    if os.environ.get("CTL_TAP"):
        config.pluginmanager.register(Tap())
