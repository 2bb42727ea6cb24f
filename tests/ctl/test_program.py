import json
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import threading

import pytest

from conftest import PROGRAM


# --- status

def test_status_without_a_daemon(reg):
    d = reg.json("status")
    assert d["running"] is False
    assert d["registry"] == {"path": reg.path, "schema": 2, "domains": 2, "partners": 1,
                             "users": {"legacy": 1, "moving": 1, "migrated": 1}}
    text = reg.text("status")
    assert text.startswith("the daemon is not running\n") and "moving: 1" in text


class Daemon:
    """Whatever listens on the control socket; answers once with these bytes."""

    def __init__(self, reg, answer):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(reg.path + ".sock")
        self.socket.listen()
        self.asked = []
        self.thread = threading.Thread(target=self.serve, args=(answer,), daemon=True)
        self.thread.start()

    def serve(self, answer):
        client, _ = self.socket.accept()
        self.asked.append(client.recv(4096))
        client.sendall(answer)
        client.close()

    def close(self):
        self.thread.join()
        self.socket.close()


def ask(reg, answer, check):
    daemon = Daemon(reg, answer)
    try:
        result = check()
    finally:
        daemon.close()
        os.unlink(reg.path + ".sock")
    assert json.loads(daemon.asked[0]) == {"command": "status"} and daemon.asked[0].endswith(b"\n")
    return result


def test_status_of_a_daemon(reg):
    said = {"listeners": ["127.0.0.1:5269"], "links": [{"local": "corp.test", "remote": "partner.test"}],
            "spool": {"messages": 0}}
    d = ask(reg, json.dumps(said).encode(), lambda: reg.json("status"))
    assert d["running"] is True and d["registry"]["domains"] == 2
    assert {k: d[k] for k in said} == said
    text = ask(reg, json.dumps(said).encode(), lambda: reg.text("status"))
    assert "running: yes" in text and "  local=corp.test remote=partner.test" in text


@pytest.mark.parametrize("answer", [b"", b"nonsense\n", b"[]\n", b'{"error": "no such command"}\n', b'{"a":'])
def test_status_of_what_is_no_daemon(reg, answer):
    r = ask(reg, answer, lambda: reg.run("--json", "status"))
    assert r.returncode == 1
    assert "does not answer as it should" in json.loads(r.stdout)["error"]


def test_status_of_a_stale_socket(reg):
    s = socket.socket(socket.AF_UNIX)
    s.bind(reg.path + ".sock")
    s.close()
    assert reg.json("status")["running"] is False


def test_socket_that_cannot_be_asked(reg):
    with open(reg.conf, "a", encoding="utf-8") as f:
        f.write(f'control_socket = "{"s" * 200}";\n')
    reg.fails("status", says="set a shorter control_socket")


# --- the command line

def test_help_and_version():
    for words in (["--help"], ["-h"], ["domain", "--help"], ["partner", "add", "--help"], ["status", "-h"]):
        r = subprocess.run([PROGRAM, *words], capture_output=True)
        assert r.returncode == 0 and r.stdout.startswith(b"usage: poolbridgectl") and r.stderr == b""
    r = subprocess.run([PROGRAM, "--version"], capture_output=True)
    assert r.returncode == 0 and r.stdout.startswith(b"poolbridge ")
    version = r.stdout.decode().split()[1]
    r = subprocess.run([PROGRAM, "--json", "--version"], capture_output=True)
    assert json.loads(r.stdout) == {"version": version}
    r = subprocess.run([PROGRAM, "--json", "--help"], capture_output=True)
    assert json.loads(r.stdout)["help"].startswith("usage: ")


@pytest.mark.parametrize("words, says", [
    ([], "a noun and a verb are missing"),
    (["domian"], "did you mean 'domain'?"),
    (["domain"], "a verb is missing"),
    (["domain", "lst"], "did you mean 'list'?"),
    (["domain", "add"], "DOMAIN is missing"),
    (["domain", "add", "a.test", "b.test"], "unexpected argument 'b.test'"),
    (["domain", "add", "a.test", "--phse", "legacy"], "did you mean '--phase'?"),
    (["--jsno", "status"], "did you mean '--json'?"),
    (["domain", "add", "a.test", "--phase", "gone"], "legacy|coexist|migrated"),
    (["user", "mark", "migratd", "bob@corp.test"], "did you mean 'migrated'?"),
    (["partner", "add", "p.test", "--tls", "maybe"], "required|optional|none"),
    (["partner", "add", "p.test", "--gateway"], "needs a value"),
])
def test_usage_errors(reg, words, says):
    reg.fails(*words, status=2, says=says)


def test_options_stand_anywhere(reg):
    for words in (["--json", "domain", "show", "corp.test"], ["domain", "--json", "show", "corp.test"],
                  ["domain", "show", "--json", "corp.test"], ["domain", "show", "corp.test", "--json"]):
        assert json.loads(reg.run(*words).stdout)["name"] == "corp.test"
    r = subprocess.run([PROGRAM, "domain", "show", "corp.test", f"--config={reg.conf}"], capture_output=True)
    assert r.returncode == 0


# --- configuration and registry

def test_the_registry_is_made_at_first_use(empty):
    assert not os.path.exists(empty.path)
    assert empty.json("domain", "list") == []
    assert os.stat(empty.path).st_mode & 0o777 == 0o600


def test_configuration_errors(empty):
    r = subprocess.run([PROGRAM, "-c", "/none.conf", "status"], capture_output=True)
    assert r.returncode == 1 and r.stderr.startswith(b"poolbridgectl: /none.conf")
    with open(empty.conf, "w") as f:
        f.write('registri = "x";\n')
    empty.fails("status", says=["poolbridge.conf:1", "registry"])


def config_for(reg, registry):
    with open(reg.conf, "w") as f:
        f.write(f'registry = "{registry}";\n')


def test_registry_errors(empty):
    config_for(empty, "/none/registry.db")
    empty.fails("status", says=["/none/registry.db", "make the folder /none"])
    config_for(empty, empty.folder)
    empty.fails("status", says=[empty.folder, "must name a file"])
    config_for(empty, empty.write("text.db", "this is a text file, and a long enough one\n" * 50))
    empty.fails("status", says=["text.db", "not a database", "restore"])


def test_a_newer_registry(reg):
    reg.sql("PRAGMA user_version = 99")
    reg.fails("domain", "list", says=["has schema 99", "newer poolbridge"])


def test_another_programs_database(empty):
    empty.sql("CREATE TABLE mail (x)")
    empty.fails("domain", "list", says="another program")


def test_a_damaged_registry(reg):
    reg.sql("PRAGMA journal_mode = DELETE")
    with open(reg.path, "r+b") as f:
        f.seek(100)
        f.write(b"\xa5" * 3000)
    reg.fails("domain", "list", says=["registry.db", "restore it from a copy"])


def test_a_locked_registry(reg):
    other = sqlite3.connect(reg.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert reg.json("user", "show", "bob@corp.test")["mark"] == "legacy"  # reading goes on
    r = reg.run("--json", "user", "mark", "migrated", "bob@corp.test")
    assert r.returncode == 1 and "another program is writing" in json.loads(r.stdout)["error"]
    other.execute("ROLLBACK")
    other.close()
    assert reg.json("user", "mark", "migrated", "bob@corp.test")["changed"] == 1


def limit_files(size):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_lost_output_is_an_error(reg):
    with open("/dev/full", "w") as full:
        r = subprocess.run([PROGRAM, "-c", reg.conf, "user", "list"], stdout=full, stderr=subprocess.PIPE)
        assert r.returncode == 1 and b"standard output: No space left" in r.stderr and b"is done" not in r.stderr
        r = subprocess.run([PROGRAM, "-c", reg.conf, "user", "mark", "moving", "bob@corp.test"], stdout=full,
                           stderr=subprocess.PIPE)
    assert r.returncode == 1 and b"what was asked for is done; only this report is lost" in r.stderr
    assert reg.json("user", "show", "bob@corp.test")["mark"] == "moving"


def test_a_full_disk_changes_nothing(reg):
    before = reg.json("user", "list")
    # What a file may grow to stands for the disk: SQLite is told so when it writes.
    limit = os.path.getsize(reg.path) + 65536
    text = "".join(f"user{i}@corp.test\n" for i in range(20000))
    r = reg.run("--json", "user", "mark", "legacy", "--from", "-", input=text.encode(),
                preexec_fn=lambda: limit_files(limit))
    assert r.returncode == 1, r
    errors = json.loads(r.stdout)["errors"]
    assert errors[0].startswith(reg.path + ": ") and errors[0].endswith("see to the disk, then try again")
    assert errors[-1] == "nothing was changed"
    assert reg.json("user", "list") == before


def test_commands_at_the_same_time(empty):
    empty.text("domain", "add", "corp.test")
    running = [subprocess.Popen([PROGRAM, "-c", empty.conf, "user", "mark", "legacy", f"u{i}@corp.test"],
                                stdout=subprocess.DEVNULL) for i in range(12)]
    assert [p.wait() for p in running] == [0] * 12
    assert len(empty.json("user", "list")) == 12
    assert [e["id"] for e in empty.json("audit", "list")] == list(range(1, 14))


def test_many_users(empty):
    """A list longer than any buffer, there and back."""
    empty.text("domain", "add", "corp.test")
    text = "".join(f"user{i}@corp.test\n" for i in range(20000))
    assert empty.json("user", "mark", "legacy", "--from", "-", input=text.encode())["changed"] == 20000
    assert len(empty.json("user", "list")) == 20000
    assert len(empty.json("audit", "list")) == 20001
