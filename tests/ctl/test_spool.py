"""poolbridgectl spool and user erase, beside a daemon that is none and beside one that we play."""

import json
import os
import socket
import sqlite3
import threading

import pytest

EMPTY = "no messages wait\n"
SECRET = "meet me at the balcony"
ROWS = [
    # pair, user, hop, origin, received_at, expires_at, attempts, trouble, quarantined
    ("juliet@partner.test romeo@corp.test", "romeo@corp.test", "move", "partner", 1763712000, 1763798400, 0, "", 0),
    ("nurse@partner.test romeo@corp.test", "romeo@corp.test", "new-pool", "partner", 1763712001, 1763798401, 3, "503", 0),
    ("juliet@partner.test tybalt@corp.test", "tybalt@corp.test", "move", "partner", 1763712002, 1763798402, 0,
     "it cannot be read", 1),
    ("romeo@corp.test paris@corp.test", "paris@corp.test", "legacy-pool", "pool", 1763712003, 1763798403, 1, "480", 0),
]
KEYS = ["id", "from", "to", "waits_for", "origin", "received", "expires", "attempts", "bytes", "trouble", "quarantined",
        "failed"]
OPTIONS = [
    ([], [1, 2, 3, 4]),
    (["--user", "sip:Romeo@CORP.test"], [1, 2]),
    (["--user", "nobody@corp.test"], []),
    (["--hop", "move"], [1]),
    (["--hop", "quarantine"], [3]),
    (["--hop", "legacy-pool"], [4]),
    (["--hop", "legacy-gateway"], []),
    (["--hop", "new-pool", "--user", "romeo@corp.test"], [2]),
    (["--hop", "new-pool", "--user", "tybalt@corp.test"], []),
]


def fill(reg):
    db = reg.make_state()
    for number, row in enumerate(ROWS):
        stanza = f"<message from='{row[0].split()[0]}' to='{row[1]}'><body>{SECRET} {number}</body></message>"
        db.execute("INSERT INTO message (pair, user, hop, origin, received_at, expires_at, attempts, trouble, quarantined, "
                   "position, stanza) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row + (number, stanza.encode()))
    return db


class Daemon:
    """The daemon's side of the control socket: answers what it is told to, and keeps the requests."""

    def __init__(self, reg, *answers):
        self.requests = []
        self.answers = list(answers)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(reg.path + ".sock")
        self.socket.listen()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        for answer in self.answers:
            client, _ = self.socket.accept()
            with client, client.makefile("rw") as f:
                line = f.readline()
                assert len(line) <= 4096
                self.requests.append(json.loads(line))
                f.write(json.dumps(answer))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.thread.join(10)
        self.socket.close()
        assert not self.thread.is_alive()


def test_nothing_yet(reg):
    assert reg.text("spool", "list") == EMPTY
    assert reg.json("spool", "list") == []
    reg.fails("spool", "show", "1", says="no message 1 waits")
    reg.make_state().close()
    assert reg.text("spool", "list") == EMPTY


@pytest.mark.parametrize("running", [True, False])
def test_list(reg, running):
    db = fill(reg)
    db.execute("UPDATE message SET failed = 'service-unavailable' WHERE id = 4")
    if not running:
        db.close()
    rows = reg.json("spool", "list")
    assert [list(row) for row in rows] == [KEYS] * 4
    assert rows[1] == {
        "id": 2, "from": "nurse@partner.test", "to": "romeo@corp.test", "waits_for": "new-pool", "origin": "partner",
        "received": "2025-11-21T08:00:01Z", "expires": "2025-11-22T08:00:01Z", "attempts": 3,
        "bytes": len(f"<message from='nurse@partner.test' to='romeo@corp.test'><body>{SECRET} 1</body></message>"),
        "trouble": "503", "quarantined": False, "failed": ""}
    assert rows[3]["origin"] == "pool" and rows[2]["quarantined"] is True and rows[3]["failed"] == "service-unavailable"
    lines = reg.text("spool", "list").splitlines()
    assert lines[0].split() == ["ID", "RECEIVED", "WAITS", "FOR", "ATTEMPTS", "FROM", "AND", "TO"]
    assert lines[1].split() == ["1", "2025-11-21T08:00:00Z", "move", "0", "juliet@partner.test", "romeo@corp.test"]
    assert "nothing (quarantine)" in lines[3]
    db.close()


@pytest.mark.parametrize("options,ids", OPTIONS)
def test_which(reg, options, ids):
    fill(reg).close()
    assert [row["id"] for row in reg.json("spool", "list", *options)] == ids
    if not ids:
        assert reg.text("spool", "list", *options) == "no such messages wait\n"


def test_bodies_are_shown_to_who_asks_only(reg):
    fill(reg).close()
    for words in [["spool", "list"], ["spool", "show", "1"]]:
        assert SECRET not in reg.text(*words)
        assert SECRET not in json.dumps(reg.json(*words))
    assert list(reg.json("spool", "show", "1")) == KEYS
    assert f"{SECRET} 0" in reg.text("spool", "show", "1", "--body")
    assert reg.json("spool", "show", "--body", "1")["stanza"].endswith(f"<body>{SECRET} 0</body></message>")
    assert "waits_for" in reg.text("spool", "show", "3")
    reg.fails("spool", "show", "9", says="no message 9 waits")
    for bad in ["0", "-1", "x", "1x", "", "99999999999999999999"]:
        reg.fails("spool", "show", "--", bad, status=2, says=[f"'{bad}' is no number of a message", "spool list"])


def test_hostile_rows_are_harmless(reg):
    db = fill(reg)
    db.execute("UPDATE message SET stanza = ?, trouble = ? WHERE id = 1", (b"\x1b[2J\xff\x00x", "\x1b[2J"))
    db.close()
    assert "\x1b" not in reg.text("spool", "show", "1", "--body") + reg.text("spool", "list")
    assert reg.json("spool", "show", "1", "--body")["trouble"] == "\x1b[2J"


def test_without_a_daemon(reg):
    fill(reg).close()
    for words in [["spool", "retry"], ["spool", "retry", "1"], ["spool", "bounce", "1"], ["spool", "bounce", "--hop", "move"],
                  ["user", "erase", "romeo@corp.test"]]:
        reg.fails(*words, says=["poolbridge is not running", reg.path + ".sock", "start it"])
    assert len(reg.json("spool", "list")) == 4


def test_user_of_no_domain(reg):
    """A slip is no message to give back, and no success."""
    fill(reg).close()
    for words in (["list"], ["retry"], ["bounce"]):
        reg.fails("spool", *words, "--user", "romeo@corp.tset", says="did you mean 'corp.test'?")
    reg.fails("spool", "list", "--user", "juliet@partner.test", says="there is no local domain 'partner.test'")


def test_usage(reg):
    fill(reg).close()
    reg.fails("spool", "bounce", status=2, says="which messages?")
    reg.fails("spool", "bounce", "1", "--hop", "move", status=2, says="not both")
    reg.fails("spool", "retry", "1", "--user", "romeo@corp.test", status=2, says="not both")
    reg.fails("spool", "retry", "one", status=2, says="'one' is no number")
    reg.fails("spool", "retry", "--user", "corp.test", says="corp.test")


@pytest.mark.parametrize("words,request_line", [
    (["retry"], {"command": "spool-retry"}),
    (["retry", "--user", "Romeo@corp.test"], {"command": "spool-retry", "user": "romeo@corp.test"}),
    (["retry", "3", "1"], {"command": "spool-retry", "ids": [3, 1]}),
    (["retry", "--hop", "quarantine"], {"command": "spool-retry", "ids": [3]}),
    (["bounce", "2"], {"command": "spool-bounce", "ids": [2]}),
    (["bounce", "--user", "romeo@corp.test"], {"command": "spool-bounce", "ids": [1, 2]}),
])
def test_what_the_daemon_is_asked(reg, words, request_line):
    db = fill(reg)
    with Daemon(reg, {"messages": 2, "refused": []}) as daemon:
        assert reg.json("spool", *words) == {"messages": 2}
    assert daemon.requests == [request_line]
    db.close()


def test_what_the_daemon_refuses(reg):
    answer = {"messages": 1, "refused": [{"id": 2, "why": "it is on its way now: ask again in a minute"}]}
    with Daemon(reg, answer, answer, {"failed": "the disk is full"}):
        r = reg.run("spool", "bounce", "1", "2")
        assert (r.returncode, r.stdout) == (1, b"messages given back to their senders: 1\n")
        assert r.stderr == b"poolbridgectl: message 2: it is on its way now: ask again in a minute\n"
        r = reg.run("--json", "spool", "bounce", "1", "2")
        assert r.returncode == 1 and "message 2" in json.loads(r.stdout)["error"]
        assert reg.run("spool", "bounce", "1").stderr == b"poolbridgectl: the disk is full\n"


def test_nothing_to_do(reg):
    fill(reg).close()
    assert reg.text("spool", "bounce", "--hop", "legacy-gateway") == "messages given back to their senders: 0\n"
    assert reg.json("spool", "retry", "--hop", "legacy-gateway") == {"messages": 0}


def test_many_are_asked_for_in_parts(reg):
    db = fill(reg)
    db.execute("UPDATE sqlite_sequence SET seq = 9000000000000000000 WHERE name = 'message'")
    with db:
        db.executemany("INSERT INTO message (pair, user, hop, origin, received_at, expires_at, position, stanza) "
                       "VALUES ('a@b c@corp.test', 'c@corp.test', 'legacy-gateway', 'partner', 1, 2, ?, 'x')",
                       [(n,) for n in range(500)])
    with Daemon(reg, *[{"messages": 1, "refused": []}] * 3) as daemon:
        assert reg.json("spool", "bounce", "--hop", "legacy-gateway") == {"messages": 3}
    assert sum(len(request["ids"]) for request in daemon.requests) == 500
    db.close()


def test_daemon_that_ends_in_between(reg):
    """What was done before is said."""
    db = fill(reg)
    with db:
        db.executemany("INSERT INTO message (pair, user, hop, origin, received_at, expires_at, position, stanza) "
                       "VALUES ('a@b c@corp.test', 'c@corp.test', 'legacy-gateway', 'partner', 1, 2, ?, 'x')",
                       [(n,) for n in range(500)])
    with Daemon(reg, {"messages": 180, "refused": []}, {"failed": "the disk is full"}):
        r = reg.run("spool", "bounce", "--hop", "legacy-gateway")
    assert (r.returncode, r.stdout) == (1, b"")
    assert r.stderr == (b"poolbridgectl: the disk is full\n"
                        b"poolbridgectl: messages given back to their senders before that: 180\n")
    db.close()


# --- erasing

def files_of(reg):
    """All that is in the registry's and the state's files, and the logs beside them."""
    content = b""
    for name in os.listdir(reg.folder):
        if name.startswith("registry.db") and not name.endswith((".sock", "-shm")):
            with open(os.path.join(reg.folder, name), "rb") as f:
                content += f.read()
    return content


def test_erase_from_the_registry(reg):
    reg.text("user", "mark", "migrated", "bob@corp.test")
    reg.text("user", "mark", "legacy", "bobby@corp.test")
    others = [entry for entry in reg.json("audit", "list") if entry["key"] != "bob@corp.test"]
    assert b"bob@corp.test" in files_of(reg)
    assert reg.json("user", "erase", "sip:Bob@CORP.test") == {
        "address": "bob@corp.test", "messages": 0, "subscriptions": 0, "mark": True, "audit": 3}
    assert b"bob@corp.test" not in files_of(reg)
    assert reg.json("audit", "list") == others
    reg.fails("user", "show", "bob@corp.test", says="bob@corp.test")
    assert reg.json("user", "show", "bobby@corp.test")["mark"] == "legacy"
    assert reg.text("user", "erase", "bob@corp.test") == (
        "bob@corp.test: erased 0 messages, 0 halves of subscriptions, no mark, 0 entries of the audit\n")


def test_erase_asks_the_daemon_first(reg):
    fill(reg).close()
    with Daemon(reg, {"failed": "the disk is full"}, {"messages": 7, "subscriptions": 2}) as daemon:
        r = reg.run("user", "erase", "bob@corp.test")
        assert (r.returncode, r.stderr) == (1, b"poolbridgectl: the disk is full\n")
        assert reg.json("user", "show", "bob@corp.test")["mark"] == "legacy"
        erased = reg.json("user", "erase", "bob@corp.test")
        assert (erased["messages"], erased["subscriptions"]) == (7, 2)
    assert daemon.requests == [{"command": "erase", "address": "bob@corp.test"}] * 2


def test_erase_that_the_registry_refuses(reg):
    """What the daemon has erased by then is said."""
    fill(reg).close()
    reg.sql("CREATE TRIGGER refuse BEFORE DELETE ON user BEGIN SELECT RAISE(ABORT, 'not today'); END")
    with Daemon(reg, {"messages": 7, "subscriptions": 2}):
        r = reg.run("user", "erase", "bob@corp.test")
    assert (r.returncode, r.stdout) == (1, b"") and b"not today" in r.stderr, r
    assert b"7 messages and 2 halves of subscriptions are erased already" in r.stderr and b"ask again" in r.stderr
    assert reg.json("user", "show", "bob@corp.test")["mark"] == "legacy"


def test_erase_while_another_program_reads(reg):
    """What is in the log beside the file cannot be emptied then; it says so, and the next call does it."""
    db = sqlite3.connect(reg.path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN")
    assert db.execute("SELECT count(*) FROM user").fetchone() == (3,)
    reg.fails("user", "erase", "bob@corp.test", says=["traces are left", "ask again"])
    db.execute("COMMIT")
    reg.text("user", "erase", "bob@corp.test")
    assert b"bob@corp.test" not in files_of(reg)
    db.close()


def test_erase_of_what_is_no_address(reg):
    reg.fails("user", "erase", "corp.test", says="corp.test")
    reg.fails("user", "erase", "bob@corp.test/home", says="bob@corp.test/home")
    reg.fails("user", "erase", status=2, says="ADDRESS is missing")
