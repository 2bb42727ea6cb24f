import subprocess
import pytest


def everything(reg):
    """All that can be undone: not since when somebody is being moved."""
    users = [{key: value for key, value in user.items() if not key.startswith("moving_")}
             for user in reg.json("user", "list")]
    return reg.json("domain", "list"), reg.json("partner", "list"), users


def test_list(reg):
    entries = reg.json("audit", "list")
    assert [e["id"] for e in entries] == list(range(1, 8))
    assert all(list(e) == ["id", "at", "actor", "object", "key", "before", "after"] for e in entries)
    assert [(e["object"], e["key"]) for e in entries] == [
        ("domain", "corp.test"), ("domain", "other.test"), ("partner", "partner.test"), ("alias", "chat.partner.test"),
        ("user", "bob@corp.test"), ("user", "eve@corp.test"), ("user", "al@corp.test")]
    assert entries[4]["before"] is None
    assert entries[4]["after"] == {"address": "bob@corp.test", "domain": "corp.test", "mark": "legacy", "xmpp_access": 1}
    assert entries[0]["actor"].endswith(" via poolbridgectl")
    reg.text("user", "mark", "migrated", "bob@corp.test")
    reg.text("user", "remove", "bob@corp.test")
    lines = reg.text("audit", "list").splitlines()
    assert lines[-2].endswith("user bob@corp.test: mark legacy -> migrated")
    assert lines[-1].endswith("user bob@corp.test: removed: domain corp.test, mark migrated, xmpp_access 1")


def test_what_is_so_already_leaves_no_entry(reg):
    reg.text("user", "mark", "legacy", "bob@corp.test")
    reg.text("domain", "set", "corp.test", "--phase", "coexist")
    reg.text("partner", "set", "partner.test", "--alias", "chat.partner.test")
    assert len(reg.json("audit", "list")) == 7


def test_actors(reg):
    reg.sql("UPDATE user SET mark = 'migrated' WHERE address = 'bob@corp.test'")
    subprocess.run(["sqlite3", reg.path, "UPDATE domain SET phase = 'legacy' WHERE name = 'corp.test'"], check=True)
    assert [e["actor"] for e in reg.json("audit", "list")[-2:]] == ["sql", "sql"]
    reg.run("user", "mark", "legacy", "bob@corp.test", env={"SUDO_USER": "alice"})
    assert reg.json("audit", "list")[-1]["actor"].endswith(" via poolbridgectl")


def test_since(reg):
    reg.sql("UPDATE audit SET at = '2020-02-03T04:05:06.789Z' WHERE id <= 3")
    def ids(since):
        return [e["id"] for e in reg.json("audit", "list", "--since", since)]
    for since in ("2020", "2020-02", "2020-02-03", "2020-02-03T04", "2020-02-03T04:05", "2020-02-03T04:05Z",
                  "2020-02-03T04:05:06", "2020-02-03T04:05:06Z", "2020-02-03T04:05:06.789Z", "2020-02-03T04:05:06.7"):
        assert ids(since) == [1, 2, 3, 4, 5, 6, 7], since
    for since in ("2020-02-03T04:05:06.79", "2020-02-03T04:05:07Z", "2020-02-04", "2021"):
        assert ids(since) == [4, 5, 6, 7], since
    assert ids("2999") == []
    assert reg.text("audit", "list", "--since", "2999") == "no changes since then\n"


def test_an_empty_list_says_so(empty):
    assert empty.text("audit", "list") == "no changes yet\n"
    assert empty.json("audit", "list") == []


@pytest.mark.parametrize("since", ["", "yesterday", "20", "2020-2-3", "2020-02-03 04:05", "2020-02-03T04:05:06+01:00",
                                   "2020-13", "2020-00-01", "2020-02-32", "2020-02-03T24", "2020-02-03T04:60", "2020-0", "2020-02-", "2020-02-03T04:05:06.7890", "2020-02-03T4", "' OR 1=1"])
def test_since_what(reg, since):
    reg.fails("audit", "list", "--since", since, status=2, says="is no time")


@pytest.mark.parametrize("command", [
    "domain add new.test --phase legacy", "domain set other.test --phase legacy --unlisted legacy --xmpp-access on",
    "domain remove other.test", "partner add p.test --gateway blocked --description x",
    "partner set partner.test --gateway bridge --keepalive no --connections 3 --proxy h:1",
    "partner set partner.test --alias b.test", "partner set partner.test --no-alias chat.partner.test",
    "partner remove partner.test", "user mark legacy new@corp.test", "user mark migrated bob@corp.test eve@corp.test",
    "user access off bob@corp.test", "user remove bob@corp.test al@corp.test",
])
def test_undo(reg, command):
    before = everything(reg)
    last = reg.json("audit", "list")[-1]["id"]
    reg.text(*command.split())
    assert everything(reg) != before
    for entry in reversed(reg.json("audit", "list")):
        if entry["id"] > last:
            document = reg.json("audit", "undo", str(entry["id"]))
            assert document["undone"] == entry["id"]
            assert [(e["before"], e["after"]) for e in document["entries"]] == [(entry["after"], entry["before"])]
    assert everything(reg) == before


def test_undo_of_an_undo(reg):
    reg.text("user", "mark", "migrated", "bob@corp.test")
    assert reg.text("audit", "undo", "8").splitlines()[1].endswith("user bob@corp.test: mark migrated -> legacy")
    reg.text("audit", "undo", "9")
    assert reg.json("user", "show", "bob@corp.test")["mark"] == "migrated"


def test_undo_of_a_hand_typed_change(reg):
    reg.sql("INSERT OR REPLACE INTO user (address, mark) VALUES ('bob@corp.test', 'moving')")
    reg.text("audit", "undo", "8")
    assert reg.json("user", "show", "bob@corp.test")["mark"] == "legacy"


def test_undo_refuses_what_was_changed_since(reg):
    reg.text("user", "mark", "migrated", "bob@corp.test")
    reg.text("user", "mark", "moving", "bob@corp.test")
    reg.fails("audit", "undo", "8", says=["'bob@corp.test' was changed after entry 8", '"mark":"migrated"',
                                          '"mark":"moving"'])
    assert reg.json("user", "show", "bob@corp.test")["mark"] == "moving"
    assert len(reg.json("audit", "list")) == 9


def test_undo_refuses_what_the_rules_forbid(reg):
    reg.fails("audit", "undo", "1", says=["entry 1 cannot be undone", "users of the domain"])
    assert len(reg.json("audit", "list")) == 7


def test_undo_what(reg):
    reg.fails("audit", "undo", "99", says=["no audit entry 99", "audit list"])
    reg.fails("audit", "undo", "0", says="no audit entry 0")
    for word in ("", "x", "-1", "1x", "99999999999999999999", "1 OR 1=1"):
        reg.fails("audit", "undo", "--", word, status=2, says="is no number")
    reg.fails("audit", "undo", status=2, says="ID is missing")
