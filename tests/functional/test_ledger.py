"""The subscription ledger: what passes between the partner and the legacy gateway is known, unchanged, and survives."""

import subprocess
from datetime import datetime, timezone
from xml.etree import ElementTree

import pytest

from lab.bridge import DAEMON, SANITIZERS, config_text

EXTRA = "<status>ceci n&apos;est pas &lt;vide&gt;</status><nick xmlns='http://jabber.org/protocol/nick'>Ju &amp; Co</nick>" \
        "<unknown xmlns='urn:example:unknown' a='1'><inner/>text</unknown>"


@pytest.fixture(scope="module")
def lab(own_lab):
    return own_lab()


@pytest.fixture(scope="module")
def juliet(lab):
    return lab.partner_user("juliet@partner.test")


@pytest.fixture(scope="module")
def rosaline(lab):
    return lab.partner_user("rosaline@partner.test")


def known(lab, user, contact):
    """What the ledger has of the two: {direction: (state, evidence)}."""
    rows = [row for row in lab.bridge.json("subscription", "list", "--user", user.address)
            if row["contact"] == contact.address]
    assert all(row["via"] == "legacy" and row["local"] == user.address for row in rows)
    return {row["direction"]: (row["state"], row["evidence"]) for row in rows}


def request(watcher, watched):
    watcher.presence(watched.address, "subscribe")
    return watched.wait_presence(watcher.address, "subscribe")


def approve(watched, watcher):
    watched.presence(watcher.address, "subscribed")
    watcher.wait_presence(watched.address, "subscribed")
    watcher.wait_presence(watched.address)


def test_partner_subscribes(lab, juliet):
    """Each step is on disk when the stanza has come out at the other end."""
    romeo = lab.legacy_user("romeo@corp.test")
    start = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert known(lab, romeo, juliet) == {}
    request(juliet, romeo)
    assert known(lab, romeo, juliet) == {"to-local": ("pending", "handshake")}
    approve(romeo, juliet)
    assert known(lab, romeo, juliet) == {"to-local": ("active", "handshake")}
    row = lab.bridge.json("subscription", "list", "--user", "romeo@corp.test")[0]
    assert start <= row["since"] <= row["seen"]
    assert "juliet@partner.test watches romeo@corp.test" in lab.bridge.ctl("subscription", "list")
    assert lab.bridge.json("status")["state"]["subscriptions"] == len(lab.bridge.json("subscription", "list"))

    juliet.presence(romeo.address, "unsubscribe")
    romeo.wait_presence(juliet.address, "unsubscribe")
    assert known(lab, romeo, juliet) == {}


def test_legacy_user_subscribes(lab, juliet):
    nurse = lab.legacy_user("nurse@corp.test")
    request(nurse, juliet)
    assert known(lab, nurse, juliet) == {"to-contact": ("pending", "handshake")}
    approve(juliet, nurse)
    assert known(lab, nurse, juliet) == {"to-contact": ("active", "handshake")}
    juliet.presence(nurse.address, "unsubscribed")
    nurse.wait_presence(juliet.address, "unsubscribed")
    assert known(lab, nurse, juliet) == {}


def test_refused(lab, juliet):
    mercutio = lab.legacy_user("mercutio@corp.test")
    request(juliet, mercutio)
    mercutio.presence(juliet.address, "unsubscribed")
    juliet.wait_presence(mercutio.address, "unsubscribed")
    assert known(lab, mercutio, juliet) == {}


def test_stanzas_are_unchanged(lab, rosaline):
    """Everything in them arrives, whether the ledger understands it or not."""
    romeo = next(user for user in lab.users if user.address == "romeo@corp.test")
    rosaline.send_xml(f"<presence to='romeo@corp.test' type='subscribe' id='sub-1' xml:lang='fr'>{EXTRA}</presence>")
    seen = romeo.wait_presence(rosaline.address, "subscribe")
    sent = ElementTree.fromstring(f"<presence xmlns='jabber:client'>{EXTRA}</presence>")
    received = [child for child in seen.xml if child.tag in {c.tag for c in sent}]
    assert [ElementTree.tostring(child) for child in received] == [ElementTree.tostring(child) for child in sent]
    assert (seen.id, seen.lang, seen.to) == ("sub-1", "fr", "romeo@corp.test")
    approve(romeo, rosaline)
    romeo.send_xml(f"<presence to='{rosaline.full}'>{EXTRA}</presence>")
    shown = rosaline.inbox.wait(lambda s: s.kind == "presence" and s.bare == romeo.address and
                                s.xml.find("{urn:example:unknown}unknown") is not None)
    assert shown.xml.findtext("{jabber:client}status") == "ceci n'est pas <vide>"


def test_killed_in_between(lab, juliet):
    """The request before the power cut, the answer after it: one handshake."""
    benvolio = lab.legacy_user("benvolio@corp.test")
    request(juliet, benvolio)
    lab.bridge.kill()
    assert known(lab, benvolio, juliet) == {"to-local": ("pending", "handshake")}
    lab.bridge.start()
    assert known(lab, benvolio, juliet) == {"to-local": ("pending", "handshake")}
    benvolio.presence(juliet.address, "subscribed")
    juliet.wait_presence(benvolio.address, "subscribed", timeout=60)
    lab.bridge.kill()
    lab.bridge.start()
    assert known(lab, benvolio, juliet) == {"to-local": ("active", "handshake")}


def test_older_subscriptions(lab, juliet):
    """Made before there was a ledger; presence on the way shows them."""
    nurse = next(user for user in lab.users if user.address == "nurse@corp.test")
    request(nurse, juliet)
    approve(juliet, nurse)
    lab.bridge.stop()
    for suffix in ("", "-wal", "-shm"):
        subprocess.run(["rm", "-f", f"{lab.bridge.folder}/registry.db.state{suffix}"], check=True)
    lab.bridge.start()
    assert known(lab, nurse, juliet) == {}
    juliet.send_xml("<presence><status>here again</status></presence>")
    nurse.inbox.wait(lambda s: s.kind == "presence" and s.bare == juliet.address and "here again" in str(s), timeout=60)
    assert known(lab, nurse, juliet) == {"to-contact": ("active", "presence")}


def test_a_second_daemon_is_kept_out(lab):
    config = f"{lab.bridge.folder}/second.conf"
    with open(config, "w", encoding="utf-8") as f:
        f.write(config_text({"registry": "second.db", "state": "registry.db.state", "external.listen": []}))
    done = subprocess.run([DAEMON, "-c", config], capture_output=True, text=True, timeout=60, check=False,
                          env=SANITIZERS)
    assert done.returncode == 1
    assert "registry.db.state: another poolbridge is running on it: stop that one first" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr  # a sanitizer ends with status 1 as well
    assert lab.bridge.json("status")["running"] is True
