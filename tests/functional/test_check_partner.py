"""poolbridgectl check partner and streams: what is wrong between two servers, in words, and on whose side."""

import json

import pytest
from matrix import FAST, person, policy

from lab.bridge import CommandError
from lab.federation import Federation, Partner
from lab.raw_peer import RawPeer

STRICT, LENIENT = policy("RR-no"), policy("RO-yes")
PARTNERS = [
    Partner("good.test", "good", STRICT),
    Partner("server-only.test", "server-only", STRICT),
    Partner("expired.test", "expired", STRICT),
    Partner("rogue.test", "rogue", STRICT),
    Partner("wrong-name.test", "wrong-name", STRICT),
    Partner("lenient.test", "expired", LENIENT),
    Partner("clear.test", "good", policy("NN-yes")),
    Partner("raw.test", policy=policy("NN-yes"), services=(("xmpp-server", 0, "raw", 5269),)),
]
WALK = ["dns", "tcp", "features", "tls", "certificate", "features", "authentication", "features", "ping", "limits"]


@pytest.fixture(scope="module")
def lab(own_lab):
    return own_lab(federation=Federation("either", PARTNERS, local={"branch.test": "rogue"}), pool=False, settings=FAST)


def check(lab, domain, local="corp.test"):
    """(the report, {step: its last row}); the exit status says what the report says."""
    done = lab.bridge.run("check", "partner", domain, "--as", local, json_output=True)
    report = json.loads(done.stdout)
    assert (report["local"], report["partner"], report["ok"]) == (local, domain, done.returncode == 0)
    return report, {row["step"]: row for row in report["steps"]}


@pytest.mark.parametrize("domain, step, words", [
    ("good.test", "certificate", "CN=good good.test (issued by CN=Lab root"),
    ("good.test", "authentication", "SASL EXTERNAL: our certificate was accepted"),
    ("good.test", "ping", "answered"),
    ("good.test", "limits", "240 s"),
    ("server-only.test", "certificate", "made for servers only"),
    ("lenient.test", "certificate", "expired on 2021-01-01"),
    ("lenient.test", "authentication", "dialback: valid"),
])
def test_nothing_wrong(lab, domain, step, words):
    report, rows = check(lab, domain)
    assert report["ok"] and [row["step"] for row in report["steps"]][:7] == WALK[:7], report
    assert [row["step"] for row in report["steps"]][-2:] == WALK[-2:]
    assert words in rows[step]["text"], rows[step]


# (the partner, in whose name, the first step that fails, its words, whose side, words of the mend)
WRONG = [
    ("without.test", "corp.test", "dns", "no such domain", "theirs", "_xmpp-server._tcp"),
    ("down.test", "corp.test", "tcp", "refused", "theirs", "nothing listens there"),
    ("expired.test", "corp.test", "certificate", "expired on 2021-01-01", "theirs", "renew"),
    ("rogue.test", "corp.test", "certificate", "Lab rogue", "theirs", "external.ca"),
    ("wrong-name.test", "corp.test", "certificate", "elsewhere.test", "theirs", "renew"),
    ("good.test", "branch.test", "authentication", "does not offer it", "either", "partner show"),
    ("clear.test", "corp.test", "authentication", "requires TLS, but the settings", "ours", "--tls required"),
]


SIDES = {"theirs": "their", "ours": "our", "either": "either"}


@pytest.mark.parametrize("domain, local, step, words, side, mend", WRONG, ids=[f"{row[0]}-{row[2]}" for row in WRONG])
def test_what_is_wrong(lab, domain, local, step, words, side, mend):
    report, rows = check(lab, domain, local)
    wrong = [row for row in report["steps"] if not row["ok"]]
    assert wrong and wrong[0]["step"] == step and words in wrong[0]["text"], report
    assert wrong[0]["side"] == side and mend in wrong[0]["mend"], wrong[0]
    told = lab.bridge.run("check", "partner", domain, "--as", local).stdout
    assert f"WRONG  {step}" in told and f"to mend ({SIDES[side]} side): " in told, told


def test_ping_that_is_not_answered(lab):
    """It takes what we send, and does not come back."""
    peer = RawPeer(lab, "raw.test", sm=False)
    _, rows = check(lab, "raw.test")
    assert not rows["ping"]["ok"] and "not answered" in rows["ping"]["text"] and rows["ping"]["side"] == "theirs"
    assert rows["authentication"]["ok"] and rows["authentication"]["text"] == "dialback: valid"
    peer.close()


def test_no_check(lab):
    """Nothing is tried with those whom the registry does not know, or has blocked."""
    for domain, words in ("nowhere.test", "there is no partner"), ("blocked.test", "is blocked here"):
        with pytest.raises(CommandError) as refused:
            lab.bridge.ctl("check", "partner", domain, "--as", "corp.test")
        assert words in refused.value.message


def test_check_leaves_links_alone(lab):
    """Messages go on by the stream that they had; afterwards the check is not seen in the list."""
    juliet, romeo = person(lab, "juliet@good.test"), person(lab, "romeo@corp.test", lab.legacy_user)
    assert lab.deliver(romeo, juliet.address).by == "partner"
    before = lab.bridge.link("good.test", "out")
    assert check(lab, "good.test")[0]["ok"]
    assert lab.deliver(romeo, juliet.address).by == "partner"
    assert lab.bridge.link("good.test", "out")["id"] == before["id"]
    links = [link for link in lab.bridge.json("streams") if (link["remote"], link["direction"]) == ("good.test", "out")]
    assert len([link for link in links if link["local"] == "corp.test"]) == 1, links


def test_streams(lab):
    """Each link with what an administrator asks about it."""
    juliet, romeo = person(lab, "juliet@good.test"), person(lab, "romeo@corp.test", lab.legacy_user)
    mark = lab.bridge.process.mark()
    assert lab.deliver(romeo, juliet.address).by == "partner"
    assert lab.deliver(juliet, romeo.address).by == "legacy"
    for sender in romeo, juliet:
        lab.bridge.process.wait_line(f"delivered from={sender.address}", after=mark)
    mark = lab.bridge.process.mark()
    number = romeo.send("juliet@down.test", "while it waits")
    lab.bridge.process.wait_line("link-down .*remote=down.test", after=mark)
    listed = {(link["direction"], link["local"], link["remote"]): link for link in lab.bridge.json("streams")}
    out, into = listed["out", "corp.test", "good.test"], listed["in", "corp.test", "good.test"]
    for link in out, into:
        assert (link["state"], link["auth"], link["edge"]) == ("trusted", "external", "external"), link
        assert link["tls"].startswith("TLSv1.3 TLS_") and ":" in link["address"] and link["age_seconds"] >= 0, link
        assert link["certificate"] == "trusted" and link["sm"] is False, link
    assert (out["queued"], out["unconfirmed"], out["last_error"], into["unacknowledged"]) == (0, 0, "", 0)
    down = listed["out", "corp.test", "down.test"]
    assert "refused" in down["last_error"] and (down["queued"], down["auth"]) == (1, "none"), down
    table = lab.bridge.ctl("streams")
    assert table.split("\n")[0].split()[:7] == ["LOCAL", "REMOTE", "EDGE", "STATE", "ADDRESS", "TLS", "AUTH"]
    assert "good.test" in table and "TLSv1.3" in table
    assert romeo.wait_error(number, timeout=40).error == "remote-server-timeout"


def test_partner_without_tls(new_lab):
    """Its server has none, and the settings want it."""
    lab = new_lab(federation=Federation("plain", [Partner("none.test", "good", STRICT)]), pool=False, settings=FAST)
    report, rows = check(lab, "none.test")
    assert [row["step"] for row in report["steps"] if not row["ok"]] == ["tls"], report
    assert "refused STARTTLS" in rows["tls"]["text"] and rows["tls"]["side"] == "theirs"
    assert "TLS switched on" in rows["tls"]["mend"] and "--tls optional" in rows["tls"]["mend"]
