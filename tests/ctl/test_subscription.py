import os

import pytest

EMPTY = "no subscriptions yet\n"
ROWS = [
    ("romeo@corp.test", "juliet@partner.test", "to-contact", "active", "legacy", "handshake", 1763712000, 1763798400),
    ("romeo@corp.test", "juliet@partner.test", "to-local", "pending", "legacy", "handshake", 1763712000, 1763712000),
    ("tybalt@corp.test", "news.partner.test", "to-contact", "active", "gateway", "presence", 0, 0),
]
KEYS = ("local", "contact", "direction", "state", "via", "evidence", "since", "seen")


def make_state(reg, rows=ROWS):
    db = reg.make_state()
    db.executemany(f"INSERT INTO subscription ({', '.join(KEYS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    return db


def test_nothing_yet(reg):
    assert reg.text("subscription", "list") == EMPTY
    assert reg.json("subscription", "list") == []
    assert not os.path.exists(reg.path + ".state")
    open(reg.path + ".state", "wb").close()
    assert reg.text("subscription", "list") == EMPTY
    os.unlink(reg.path + ".state")
    make_state(reg, []).close()
    assert reg.text("subscription", "list") == EMPTY
    assert reg.json("subscription", "list") == []


@pytest.mark.parametrize("running", [True, False])
def test_list(reg, running):
    db = make_state(reg)
    if not running:
        db.close()
    document = reg.json("subscription", "list")
    assert [list(row) for row in document] == [list(KEYS)] * 3
    assert document[0] == {
        "local": "romeo@corp.test", "contact": "juliet@partner.test", "direction": "to-contact", "state": "active",
        "via": "legacy", "evidence": "handshake", "since": "2025-11-21T08:00:00Z", "seen": "2025-11-22T08:00:00Z"}
    assert document[2]["since"] == "1970-01-01T00:00:00Z"
    lines = reg.text("subscription", "list").splitlines()
    assert lines[0].split() == ["STATE", "VIA", "EVIDENCE", "SINCE", "WHO", "WATCHES", "WHOM"]
    assert [" ".join(line.split()) for line in lines[1:]] == [
        "active legacy handshake 2025-11-21T08:00:00Z romeo@corp.test watches juliet@partner.test",
        "pending legacy handshake 2025-11-21T08:00:00Z juliet@partner.test watches romeo@corp.test",
        "active gateway presence 1970-01-01T00:00:00Z tybalt@corp.test watches news.partner.test"]
    db.close()


def test_what_a_daemon_has_not_committed_is_not_there(reg):
    db = make_state(reg)
    db.execute("BEGIN IMMEDIATE")
    db.execute("DELETE FROM subscription")
    assert len(reg.json("subscription", "list")) == 3
    db.execute("COMMIT")
    assert reg.json("subscription", "list") == []
    db.close()


def test_of_a_user(reg):
    make_state(reg).close()
    assert [row["local"] for row in reg.json("subscription", "list", "--user", "sip:Romeo@CORP.test")] == ["romeo@corp.test"] * 2
    assert reg.json("subscription", "list", "--user", "nobody@corp.test") == []
    assert reg.text("subscription", "list", "--user", "nobody@corp.test") == "no subscriptions of this user\n"
    reg.fails("subscription", "list", "--user", "romeo@corb.test", says=["corb.test", "corp.test"])
    reg.fails("subscription", "list", "--user", "corp.test", says="corp.test")
    reg.fails("subscription", "list", "--user", "romeo@corp.test/home", says="romeo@corp.test/home")


def test_nothing_is_changed(reg):
    make_state(reg).close()
    with open(reg.path + ".state", "rb") as f:
        before = f.read()
    reg.text("subscription", "list")
    with open(reg.path + ".state", "rb") as f:
        assert f.read() == before


def test_state_elsewhere(reg):
    make_state(reg).close()
    os.rename(reg.path + ".state", os.path.join(reg.folder, "memory.db"))
    assert reg.json("subscription", "list") == []
    with open(reg.conf, "a", encoding="utf-8") as f:
        f.write('state = "memory.db";\n')
    assert len(reg.json("subscription", "list")) == 3


def test_what_is_no_state_file(reg):
    with open(reg.conf, "a", encoding="utf-8") as f:
        f.write('state = "registry.db";\n')
    reg.fails("subscription", "list", says=["is a poolbridge registry, not a state file", "correct 'state'"])


def test_newer_and_foreign_files(reg):
    db = make_state(reg)
    db.execute("PRAGMA user_version = 99")
    reg.fails("subscription", "list", says=["has schema 99", "newer poolbridge"])
    db.execute("PRAGMA application_id = 1")
    reg.fails("subscription", "list", says="database of another program")
    db.close()
    with open(reg.path + ".state", "wb") as f:
        f.write(b"no database at all" * 100)
    reg.fails("subscription", "list", says="not a database")


def test_hostile_rows_are_harmless(reg):
    make_state(reg, [("ro\x1b[2Jmeo@corp.test", "ju\nliet@partner.test") + ROWS[0][2:]]).close()
    assert "\x1b" not in reg.text("subscription", "list")
    assert reg.json("subscription", "list")[0]["local"] == "ro\x1b[2Jmeo@corp.test"


def test_many(reg):
    make_state(reg, [("romeo@corp.test", f"c{n}@partner.test") + ROWS[0][2:] for n in range(10000)]).close()
    assert len(reg.json("subscription", "list")) == 10000
