import subprocess
import pytest

# The rows of the decision: what is set up, FROM, TO, and route, row, pool.
ROWS = [
    ([], "x@partner.test", "y@nowhere.test", "reject", 1, None),
    ([], "x@unknown.test", "bob@corp.test", "reject", 2, None),
    (["partner set partner.test --gateway blocked"], "x@partner.test", "bob@corp.test", "reject", 2, None),
    (["user access off bob@corp.test"], "x@partner.test", "bob@corp.test", "reject", 3, None),
    (["domain set corp.test --xmpp-access off"], "x@partner.test", "new@corp.test", "reject", 3, None),
    (["partner set partner.test --gateway legacy"], "x@partner.test", "al@corp.test", "legacy", 4, None),
    (["domain set corp.test --phase legacy"], "x@partner.test", "al@corp.test", "legacy", 5, None),
    ([], "x@partner.test", "eve@corp.test", "hold", 6, None),
    (["partner set partner.test --gateway bridge"], "x@partner.test", "al@corp.test", "gateway", 7, "new"),
    (["partner set partner.test --gateway bridge"], "x@partner.test", "bob@corp.test", "gateway", 7, "legacy"),
    (["domain set corp.test --phase migrated"], "x@partner.test", "bob@corp.test", "gateway", 8, "new"),
    ([], "x@partner.test", "al@corp.test", "gateway", 9, "new"),
    ([], "x@partner.test", "bob@corp.test", "legacy", 10, None),
    ([], "x@partner.test", "new@corp.test", "legacy", 11, None),
    (["domain set corp.test --unlisted migrated"], "x@partner.test", "new@corp.test", "gateway", 11, "new"),
    (["domain set corp.test --unlisted reject"], "x@partner.test", "new@corp.test", "reject", 11, None),
]


@pytest.mark.parametrize("setup, remote, local, route, row, pool", ROWS)
def test_rows_in_both_directions(reg, setup, remote, local, route, row, pool):
    for command in setup:
        reg.text(*command.split())
    for direction, sides in (("inbound", (remote, local)), ("outbound", (local, remote))):
        d = reg.json("route", "explain", *sides)
        assert (d["route"], d["row"], d.get("pool")) == (route, row, pool)
        if row != 1:
            assert (d["direction"], d["local"], d["partner"]) == (direction, local, remote.split("@")[1])
        assert d["reason"]
        text = reg.text("route", "explain", *sides)
        assert f"because of row {row}: {d['reason']}" in text and f"  {route}:" in text


@pytest.mark.parametrize("setup, remote, local, route, row, pool", ROWS)
def test_each_change_does_what_it_says(reg, setup, remote, local, route, row, pool):
    """Every command of "changes", typed as printed, leads where it says; undone, back again."""
    for command in setup:
        reg.text(*command.split())
    before = reg.json("route", "explain", remote, local)
    assert before["changes"], before
    for change in before["changes"]:
        words = change["command"].split()
        assert words.pop(0) == "poolbridgectl"
        reg.json(*words)
        after = reg.json("route", "explain", remote, local)
        for key in ("route", "row", "reason", "pool"):
            assert after.get(key) == change.get(key), change
        if row != 1:
            assert (after["route"], after.get("pool")) != (before["route"], before.get("pool"))
        reg.text("audit", "undo", str(reg.json("audit", "list")[-1]["id"]))
        assert reg.json("route", "explain", remote, local) == before


def test_the_words_fit_the_direction(reg):
    def words(sender, to):
        return reg.text("route", "explain", sender, to).splitlines()[1].strip()
    assert words("x@partner.test", "bob@corp.test") == "legacy: to the legacy gateway, unchanged"
    assert words("bob@corp.test", "x@partner.test").endswith("the new pool's SIP goes to the legacy pool")
    assert words("x@partner.test", "al@corp.test").endswith("to the new pool")
    assert words("al@corp.test", "x@partner.test").endswith("to the partner")
    assert words("x@partner.test", "eve@corp.test").endswith("kept on disk until the move ends")
    assert words("eve@corp.test", "x@partner.test").endswith("goes to the partner")


def test_a_change_that_only_leads_to_another_row(reg):
    reg.text("user", "access", "off", "bob@corp.test")
    text = reg.text("route", "explain", "x@nowhere.test", "bob@corp.test")
    assert "  reject, by row 3      poolbridgectl partner add nowhere.test --gateway by-user\n" in text
    text = reg.text("route", "explain", "x@partner.test", "y@nowhere.test")
    assert "  domain nowhere.test: not in the registry\n" in text


def test_changes_name_what_can_be_typed(reg):
    text = reg.text("route", "explain", "x@partner.test", "bob@corp.test")
    assert "  gateway, new pool     poolbridgectl user mark migrated bob@corp.test\n" in text
    assert "  hold                  poolbridgectl user mark moving bob@corp.test\n" in text


@pytest.mark.parametrize("to, route, pool", [
    ("bob@corp.test", "relay", "legacy"), ("al@corp.test", "relay", "new"), ("eve@corp.test", "hold", None),
    ("new@corp.test", "relay", "legacy"),
])
def test_local_to_local(reg, to, route, pool):
    d = reg.json("route", "explain", "x@corp.test", to)
    assert (d["route"], d.get("pool"), d["direction"]) == (route, pool, "local")
    assert "both addresses are local" in reg.text("route", "explain", "x@corp.test", to)


def test_aliases_and_everybody(reg):
    assert reg.json("route", "explain", "x@chat.partner.test", "al@corp.test")["row"] == 9
    d = reg.json("route", "explain", "x@sub.partner.test", "al@corp.test")
    assert d["row"] == 2
    assert {"command": "poolbridgectl partner add sub.partner.test --gateway by-user", "route": "gateway",
            "row": 9, "reason": "by mark", "pool": "new"} in d["changes"]
    reg.text("partner", "add", "*", "--gateway", "legacy")
    d = reg.json("route", "explain", "x@sub.partner.test", "al@corp.test")
    assert (d["route"], d["row"]) == ("legacy", 4)
    assert "partner *: gateway legacy" in reg.text("route", "explain", "x@sub.partner.test", "al@corp.test")


def test_addresses_as_people_write_them(reg):
    d = reg.json("route", "explain", "sip:Bob@CORP.test", "Juliet@Partner.test/balcony")
    assert (d["local"], d["partner"], d["row"]) == ("bob@corp.test", "partner.test", 10)
    d = reg.json("route", "explain", "partner.test", "corp.test")
    assert (d["local"], d["row"]) == ("corp.test", 11)
    reg.fails("route", "explain", "a b", "bob@corp.test", says="'a b' is not an address")
    reg.fails("route", "explain", "bob@corp.test", status=2, says="TO is missing")


def test_a_change_by_hand_is_effective(reg):
    subprocess.run(["sqlite3", reg.path, "UPDATE user SET mark = 'migrated' WHERE address = 'bob@corp.test'"], check=True)
    assert reg.json("route", "explain", "x@partner.test", "bob@corp.test")["row"] == 9
