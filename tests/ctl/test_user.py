import os
import pytest


def marks(reg):
    return {u["address"]: u["mark"] for u in reg.json("user", "list")}


def test_show(reg):
    assert reg.json("user", "show", "bob@corp.test") \
        == {"address": "bob@corp.test", "mark": "legacy", "domain": "corp.test", "xmpp_access": True}
    assert "mark: legacy" in reg.text("user", "show", "bob@corp.test")


@pytest.mark.parametrize("address", ["Bob@CORP.test", "sip:bob@corp.test", "SIP:BOB@corp.test.", "bob@Corp.Test"])
def test_one_user_however_written(reg, address):
    assert reg.json("user", "show", address)["address"] == "bob@corp.test"
    assert reg.json("user", "mark", "migrated", address) == {"mark": "migrated", "changed": 1, "unchanged": 0}
    assert len(marks(reg)) == 3


def test_mark_counts(reg):
    assert reg.json("user", "mark", "legacy", "bob@corp.test", "al@corp.test", "new@corp.test", "NEW@corp.test") \
        == {"mark": "legacy", "changed": 2, "unchanged": 2}
    assert reg.text("user", "mark", "legacy", "bob@corp.test") == "0 marked legacy, 1 were so already\n"
    assert marks(reg) == {"al@corp.test": "legacy", "bob@corp.test": "legacy", "eve@corp.test": "moving",
                          "new@corp.test": "legacy"}


FILE = ("\ufeff# wave 3\r\n\r\nbob@corp.test\r\n   sip:New@corp.test\t\r\n  # note\r\n"
        "müller@corp.test\r\nlast@corp.test")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_mark_from_a_file(reg, encoding):
    path = reg.write("wave.txt", FILE.encode(encoding))
    assert reg.json("user", "mark", "migrated", "--from", path) == {"mark": "migrated", "changed": 4, "unchanged": 0}
    assert marks(reg)["müller@corp.test"] == "migrated"
    with open(path, "rb") as f:
        assert reg.json("user", "mark", "migrated", "--from=-", stdin=f)["unchanged"] == 4


def test_a_wave_of_thousands(reg):
    """Listed and new ones, some of them twice, in no order."""
    names = [f"w{n * 7919 % 2500:04d}@corp.test" for n in range(2500)]
    half = reg.write("half.txt", "\n".join(names[:1250]))
    wave = reg.write("wave.txt", "\n".join(names + names[1200:1300] + ["bob@corp.test"]))
    assert reg.json("user", "mark", "legacy", "--from", half) == {"mark": "legacy", "changed": 1250, "unchanged": 0}
    assert reg.json("user", "mark", "moving", "--from", wave) == {"mark": "moving", "changed": 2501, "unchanged": 100}
    assert {name: mark for name, mark in marks(reg).items() if mark == "moving"} \
        == {name: "moving" for name in names + ["bob@corp.test", "eve@corp.test"]}
    audited = [entry["key"] for entry in reg.json("audit", "list") if "moving" in str(entry["after"])]
    assert sorted(audited) == sorted(names + ["bob@corp.test", "eve@corp.test"])
    before = marks(reg)
    bad = reg.write("bad.txt", "\n".join(names[:1500] + ["x@none.test"] + names[1500:]))
    assert "bad.txt:1501: there is no local domain" in str(reg.fails("user", "mark", "migrated", "--from", bad)["errors"])
    assert marks(reg) == before


def test_mark_all_or_nothing_with_every_bad_line(reg):
    before = marks(reg)
    path = reg.write("wave.txt", "new@corp.test\n\nnonsense\nx@corp.tset\n# fine\nbob@corp.test/phone\n@corp.test\n"
                                 "corp.test\nx@zzzzzzzzzzz.example\n")
    document = reg.fails("user", "mark", "migrated", "--from", path)
    for line in (3, 4, 6, 7, 8, 9):
        assert sum(f"wave.txt:{line}: " in e for e in document["errors"]) == 1, (line, document)
    assert any("did you mean 'corp.test'?" in e for e in document["errors"])
    assert document["errors"][-1] == "nothing was changed"
    assert len(document["errors"]) == 7
    assert marks(reg) == before
    assert len(reg.fails("user", "mark", "migrated", "new@corp.test", "x@y.test", "nonsense")["errors"]) == 3
    assert marks(reg) == before


@pytest.mark.parametrize("address, says", [
    ("", "is not an address"), ("bob", "is a domain"), ("bob@", "is not an address"), ("@corp.test", "is not an address"),
    ("bob@corp@test", "is not an address"), ("bob@corp.test/phone", "names a device"), ("b ob@corp.test", "is not an address"),
    ("sip:sip:bob@corp.test", "is not an address"), ("bob@[::1]", "is not an address"), (b"\xff@corp.test", "is not an address"),
    ("b\x1bob@corp.test", "is not an address"), ("x" * 1024 + "@corp.test", "is not an address"),
    ("bob@corp.test;transport=tcp", "is not an address"), ("bob@nowhere.example", "no local domain"),
])
def test_what_is_no_user_of_ours(reg, address, says):
    before = marks(reg)
    for verb in (["mark", "legacy"], ["access", "off"], ["remove"], ["show"]):
        assert says in reg.fails("user", *verb, "--", address)["error"]
    assert marks(reg) == before


def test_an_apostrophe_is_shown_escaped(reg):
    error = reg.fails("user", "mark", "legacy", "sip:o'neil@corp.test", says=r"as in 'o\27neil@corp.test'")["error"]
    reg.text("user", "mark", "legacy", error.split("'")[-2])
    reg.fails("route", "explain", "x@partner.test", "o'neil@corp.test", says=r"as in 'o\27neil@corp.test'")
    reg.fails("user", "show", "bob@o'neil.test", says="expected local@domain")


def test_an_empty_list_says_so(reg):
    assert reg.text("user", "list", "--domain", "other.test") == "no such users\n"
    assert reg.text("user", "list", "--domain", "other.test", "--mark", "moving") == "no such users\n"
    reg.text("user", "remove", "al@corp.test", "bob@corp.test", "eve@corp.test")
    assert reg.text("user", "list").startswith("no users yet: poolbridgectl user mark ")
    assert reg.json("user", "list") == []


def test_usage(reg):
    reg.fails("user", "mark", "legacy", status=2, says="no address")
    reg.fails("user", "remove", status=2, says="no address")
    reg.fails("user", "mark", "legacy", "bob@corp.test", "--from", "x", status=2, says="exclude each other")
    reg.fails("user", "mark", "gone", "bob@corp.test", status=2, says="is not one of legacy|moving|migrated")
    reg.fails("user", "mark", "legacy", "--from", "/none", says=["/none", "No such file"])


def test_an_empty_file_changes_nothing(reg):
    before = marks(reg)
    for content in ("", "\n", "# nobody yet\r\n\r\n"):
        path = reg.write("none.txt", content)
        assert reg.json("user", "mark", "legacy", "--from", path) \
            == {"mark": "legacy", "changed": 0, "unchanged": 0, "warnings": [path + ": there is no address in it"]}
    assert marks(reg) == before


def test_access(reg):
    assert reg.json("user", "access", "off", "bob@corp.test", "al@corp.test") \
        == {"xmpp_access": False, "changed": 2, "unchanged": 0}
    assert reg.json("user", "access", "off", "bob@corp.test")["unchanged"] == 1
    assert reg.json("user", "show", "bob@corp.test")["xmpp_access"] is False
    assert reg.text("user", "access", "on", "bob@corp.test") == "XMPP access on for 1, 0 were so already\n"
    reg.fails("user", "access", "off", "unlisted@corp.test", says=["is not listed", "user mark"])


def test_remove(reg):
    assert reg.json("user", "remove", "bob@corp.test", "sip:AL@corp.test") == {"removed": 2}
    assert list(marks(reg)) == ["eve@corp.test"]
    reg.fails("user", "remove", "eve@corp.test", "bob@corp.test", says="'bob@corp.test' is not listed")
    assert list(marks(reg)) == ["eve@corp.test"]
    assert reg.json("user", "remove", "--from", reg.write("f", "eve@corp.test\n")) == {"removed": 1}


def test_list_filters(reg):
    reg.text("user", "mark", "legacy", "z@other.test")
    def addresses(*words):
        return [u["address"] for u in reg.json("user", "list", *words)]
    assert addresses() == ["al@corp.test", "bob@corp.test", "eve@corp.test", "z@other.test"]
    assert addresses("--mark", "legacy") == ["bob@corp.test", "z@other.test"]
    assert addresses("--domain", "Other.test") == ["z@other.test"]
    assert addresses("--domain", "other.test", "--mark", "moving") == []
    line = reg.text("user", "list", "--mark", "moving").splitlines()[1].split()
    assert line[:4] == ["moving", "on", "eve@corp.test", "(until"] and len(line) == 5
    reg.fails("user", "list", "--domain", "corp.tset", says="did you mean 'corp.test'?")
    reg.fails("user", "list", "--mark", "x", status=2)


def test_hand_typed_rows_are_seen(reg):
    reg.sql("INSERT INTO user (address, mark, xmpp_access) VALUES ('hand@corp.test', 'moving', 'off')")
    user = reg.json("user", "show", "hand@corp.test")
    assert user.pop("moving_since") < user.pop("moving_until") and user.pop("moving_from") == "legacy"
    assert user == {"address": "hand@corp.test", "mark": "moving", "domain": "corp.test", "xmpp_access": False}


# --- export and import

def rows(users):
    """Without the times of their moves, which begin anew."""
    return [{key: value for key, value in user.items() if not key.startswith("moving_")} for user in users]


def test_export_and_import_round_trip(reg):
    reg.text("user", "access", "off", "eve@corp.test")
    reg.text("user", "mark", "legacy", "a,b@corp.test", "c;d@corp.test", "müller@corp.test")
    before = rows(reg.json("user", "list"))
    text = reg.text("user", "export")
    assert text.splitlines()[0] == "address,mark,xmpp_access"
    assert '"a,b@corp.test",legacy,on' in text.splitlines()
    path = os.path.join(reg.folder, "users.csv")
    assert reg.json("user", "export", path) == {"file": path, "exported": 6}
    assert rows(reg.json("user", "export")) == before
    assert reg.json("user", "import", path) == {"added": 0, "changed": 0, "unchanged": 6}
    reg.text("user", "remove", *[u["address"] for u in before])
    assert reg.json("user", "import", "-", input=text.encode()) == {"added": 6, "changed": 0, "unchanged": 0}
    assert rows(reg.json("user", "list")) == before
    assert reg.text("user", "export", "--mark", "moving") == "address,mark,xmpp_access\neve@corp.test,moving,off\n"


def test_import_changes_what_it_says(reg):
    reg.text("user", "access", "off", "eve@corp.test")
    path = reg.write("u.csv", "Mark;Address\nmigrated;sip:Bob@corp.test\nlegacy;eve@corp.test\nlegacy;new@corp.test\n")
    assert reg.json("user", "import", path) == {"added": 1, "changed": 2, "unchanged": 0}
    users = {u["address"]: (u["mark"], u["xmpp_access"]) for u in reg.json("user", "list")}
    assert users["bob@corp.test"] == ("migrated", True) and users["eve@corp.test"] == ("legacy", False)
    path = reg.write("u.csv", "address,mark,xmpp_access\neve@corp.test,legacy,yes\nnew2@corp.test,moving,off\n")
    assert reg.json("user", "import", path) == {"added": 1, "changed": 1, "unchanged": 0}
    assert reg.json("user", "show", "new2@corp.test")["xmpp_access"] is False


def test_import_all_or_nothing_with_every_bad_line(reg):
    before = marks(reg)
    path = reg.write("u.csv", "address,mark,xmpp_access\nnew@corp.test,legacy,on\nx,legacy,on\nx@corp.test,gone,on\n"
                              "x@corp.test,legacy,maybe\nx@no.example,legacy,on\nx@corp.test,legacy\n")
    document = reg.fails("user", "import", path)
    for line in (3, 4, 5, 6, 7):
        assert sum(f"u.csv:{line}: " in e for e in document["errors"]) == 1, (line, document)
    assert document["errors"][-1] == "nothing was imported"
    assert marks(reg) == before
    reg.fails("user", "import", reg.write("u.csv", "address\nx@corp.test\n"), says="no column 'mark'")
    reg.fails("user", "import", reg.write("u.csv", ""), says="u.csv:1: the file is empty")
    reg.fails("user", "import", "/none", says="No such file")
    reg.fails("user", "export", "/dev/full", says="No space left")
