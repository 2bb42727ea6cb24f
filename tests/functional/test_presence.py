"""Presence across the bridge, with real clients on both sides: asked for once, shown at once, and it survives kill -9."""

import os
import sqlite3

import pytest

from lab.inbox import wait_polled
from lab.sipe_user import BUILT

pytestmark = pytest.mark.skipif(not BUILT, reason="lab/sipe_user was not built: libpurple-dev")

# A SUBSCRIBE, or a NOTIFY, that is lost is noticed after half a minute, and asked for again within another.
RECOVERY = 150
JULIET, ROSALINE, TYBALT, PARIS = "juliet@partner.test", "rosaline@partner.test", "tybalt@corp.test", "paris@corp.test"
BOTH = {(TYBALT, JULIET, "to-local"), (TYBALT, JULIET, "to-contact")}


@pytest.fixture(scope="module")
def presence_lab(own_lab):
    return own_lab(presence="2005")


@pytest.fixture(scope="module")
def juliet(presence_lab):
    return presence_lab.partner_user(JULIET)


@pytest.fixture(scope="module")
def rosaline(presence_lab):
    return presence_lab.partner_user(ROSALINE)


@pytest.fixture(scope="module")
def tybalt(presence_lab):
    return presence_lab.sipe_user(TYBALT)


@pytest.fixture(autouse=True)
def empty_inboxes(request):
    yield
    if "presence_lab" in request.fixturenames:
        for user in request.getfixturevalue("presence_lab").users:
            user.inbox.clear()


def ledger(lab):
    """{(local, contact, direction): state} of what the daemon keeps alive."""
    return {(row["local"], row["contact"], row["direction"]): row["state"]
            for row in lab.bridge.json("subscription", "list") if row["via"] == "gateway"}


@pytest.fixture
def friends(presence_lab, juliet, tybalt):
    """Juliet and Tybalt see each other, whatever was before."""
    known = ledger(presence_lab)
    if known.get((TYBALT, JULIET, "to-local")) != "active":
        juliet.subscribe(TYBALT)
        juliet.wait_presence(TYBALT, "subscribed")
        juliet.wait_status(TYBALT)
    if known.get((TYBALT, JULIET, "to-contact")) != "active":
        tybalt.add(JULIET)
        juliet.wait_presence(TYBALT, "subscribe")
        juliet.approve(TYBALT)
        tybalt.wait_presence(JULIET, "available", online=True)
    wait_polled(lambda: BOTH <= dialogs(presence_lab))


def dialogs(lab):
    """Subscriptions with a SIP dialog, as the state file has them."""
    with sqlite3.connect(f"file:{os.path.join(lab.bridge.folder, 'registry.db.state')}?mode=ro", uri=True) as db:
        return {tuple(row) for row in db.execute("SELECT local, contact, direction FROM dialog")}


def asked(user, since):
    """What has been asked of somebody, or answered: nothing of it may come twice."""
    return [item.type for item in user.inbox.history[since:]
            if item.kind == "presence" and item.type in ("subscribe", "subscribed", "unsubscribe", "unsubscribed")]


def test_contact_adds_user(presence_lab, juliet, tybalt):
    juliet.subscribe(TYBALT)
    juliet.wait_presence(TYBALT, "subscribed")
    juliet.wait_status(TYBALT)
    for status, show, note in (("away", "away", "à table"), ("busy", "dnd", "en duel"), ("available", None, None)):
        tybalt.status(status, note or "")
        juliet.wait_status(TYBALT, show, note)
    assert juliet.roster()[TYBALT] == "to"
    assert ledger(presence_lab)[TYBALT, JULIET, "to-local"] == "active"


def test_user_adds_contact(presence_lab, juliet, tybalt):
    tybalt.add(JULIET)
    juliet.wait_presence(TYBALT, "subscribe")
    juliet.approve(TYBALT)
    tybalt.wait_presence(JULIET, "available", online=True)
    for show, status, note in (("away", "away", "gone fishing"), ("dnd", "busy", None), (None, "available", None)):
        juliet.status(show, note)
        tybalt.wait_presence(JULIET, status, online=True)
    juliet.unavailable()
    tybalt.wait_presence(JULIET, online=False)
    juliet.status()
    tybalt.wait_presence(JULIET, "available", online=True)
    assert juliet.roster()[TYBALT] == "both"
    assert ledger(presence_lab)[TYBALT, JULIET, "to-contact"] == "active"


@pytest.fixture
def partner_type(presence_lab):
    """partner_type(WORD): what the partner is from now on; federated again afterwards."""

    def change(word):
        presence_lab.bridge.ctl("partner", "set", "partner.test", "--type", word)

    yield change
    change("federated")


def test_public_partner_sees_no_notes(presence_lab, tybalt, partner_type):
    partner_type("public-verified")
    benedick = presence_lab.partner_user("benedick@partner.test")
    benedick.subscribe(TYBALT)
    benedick.wait_presence(TYBALT, "subscribed")
    tybalt.status("away", "among friends only")
    assert benedick.wait_status(TYBALT, "away")
    partner_type("federated")
    tybalt.status("busy", "for partners, too")
    benedick.wait_status(TYBALT, "dnd", "for partners, too")
    assert not [item for item in benedick.inbox.history if item.status == "among friends only"]
    tybalt.status("available", "")


def test_unverified_partner_must_be_added_first(presence_lab, tybalt, partner_type):
    partner_type("public-unverified")
    hero = presence_lab.partner_user("hero@partner.test")
    assert hero.wait_error(hero.send(TYBALT, "unasked")).error == "subscription-required"
    hero.subscribe(TYBALT)
    hero.wait_presence(TYBALT, "unsubscribed")
    assert not [key for key in ledger(presence_lab) if key[1] == hero.address]
    tybalt.add(hero.address)
    hero.wait_presence(TYBALT, "subscribe")
    hero.approve(TYBALT)
    wait_polled(lambda: ledger(presence_lab).get((TYBALT, hero.address, "to-contact")) == "active")
    hero.send(TYBALT, "asked for")
    tybalt.wait_message("asked for")
    hero.subscribe(TYBALT)
    hero.wait_presence(TYBALT, "subscribed")
    assert "unasked" not in [item.body for item in tybalt.inbox.history]


def test_contact_says_no(presence_lab, rosaline, tybalt):
    tybalt.add(ROSALINE)
    rosaline.wait_presence(TYBALT, "subscribe")
    rosaline.deny(TYBALT)
    wait_polled(lambda: (TYBALT, ROSALINE, "to-contact") not in ledger(presence_lab))
    rosaline.status("away")
    tybalt.show(ROSALINE)
    assert not tybalt.wait_presence(ROSALINE).online


def test_pool_says_no(presence_lab, rosaline):
    """The pool has no such user: no endless request."""
    presence_lab.bridge.mark("migrated", "nosuch@corp.test")
    rosaline.subscribe("nosuch@corp.test")
    rosaline.wait_presence("nosuch@corp.test", "unsubscribed")
    assert ledger(presence_lab).get(("nosuch@corp.test", ROSALINE, "to-local")) is None


def test_contact_removes_user(presence_lab, juliet, rosaline, tybalt, friends):
    rosaline.subscribe(TYBALT)
    rosaline.wait_presence(TYBALT, "subscribed")
    rosaline.wait_status(TYBALT)
    rosaline.unsubscribe(TYBALT)
    rosaline.wait_presence(TYBALT, "unavailable")
    wait_polled(lambda: (TYBALT, ROSALINE, "to-local") not in ledger(presence_lab))
    since = len(rosaline.inbox.history)
    tybalt.status("away")
    juliet.wait_status(TYBALT, "away")  # who is still subscribed
    assert [str(item) for item in rosaline.inbox.history[since:] if item.bare == TYBALT and item.show == "away"] == []
    tybalt.status("available")
    juliet.wait_status(TYBALT)


def test_user_removes_contact(presence_lab, juliet):
    """And adds her again: the approval stays, as if he had only logged out."""
    paris = presence_lab.sipe_user(PARIS)
    paris.add(JULIET)
    juliet.wait_presence(PARIS, "subscribe")
    juliet.approve(PARIS)
    paris.wait_presence(JULIET, "available", online=True)
    since = len(juliet.inbox.history)
    paris.remove(JULIET)
    paris.inbox.clear()
    paris.add(JULIET)
    paris.wait_presence(JULIET, "available", online=True)
    assert asked(juliet, since) == []
    assert ledger(presence_lab)[PARIS, JULIET, "to-contact"] == "active"
    paris.close()


def test_kill_and_restart(presence_lab, juliet, tybalt, friends):
    """What changed meanwhile is right on both sides soon; nobody is asked anything again."""
    bridge = presence_lab.bridge
    before = ledger(presence_lab)
    for number in range(2):
        since, since_tybalt = len(juliet.inbox.history), len(tybalt.inbox.history)
        bridge.kill()
        tybalt.status(("away", "busy")[number], f"changed {number}")
        juliet.status(("dnd", "away")[number])
        bridge.start()
        juliet.wait_status(TYBALT, ("away", "dnd")[number], f"changed {number}", timeout=RECOVERY)
        tybalt.wait_presence(JULIET, ("busy", "away")[number], timeout=RECOVERY)
        assert asked(juliet, since) == []
        assert [event.kind for event in tybalt.inbox.history[since_tybalt:] if event.kind not in ("presence", "status")] == []
        assert ledger(presence_lab) == before
        wait_polled(lambda: BOTH <= dialogs(presence_lab))
        # And they are alive. What was so before the change may have been told, too: that is not meant.
        juliet.inbox.clear()
        tybalt.inbox.clear()
        tybalt.status("available")
        juliet.wait_status(TYBALT)
        juliet.status()
        tybalt.wait_presence(JULIET, "available", online=True)


def test_user_has_no_access_any_more(presence_lab, juliet, tybalt, friends):
    """
    Neither is left with what was true before; nobody is asked when he comes back.
    COMPAT: what comes and goes faster is tests/unit/test_presence_look.c's: Kamailio 5.6.3's presence server, which is
    sent the end of one watcher's subscription and a change at once, may lose those of the others.
    """
    bridge = presence_lab.bridge
    since = len(juliet.inbox.history)
    bridge.kill()
    bridge.sql("UPDATE user SET xmpp_access = 0 WHERE address = ?", TYBALT)
    bridge.start()
    juliet.wait_presence(TYBALT, "unavailable", timeout=RECOVERY)
    tybalt.wait_presence(JULIET, online=False, timeout=RECOVERY)
    assert ledger(presence_lab)[TYBALT, JULIET, "to-local"] == "active"
    bridge.reset_registry()
    juliet.wait_status(TYBALT, timeout=RECOVERY)
    tybalt.wait_presence(JULIET, "available", online=True, timeout=RECOVERY)
    assert asked(juliet, since) == []


def test_gone_meanwhile(presence_lab, juliet, tybalt, friends):
    """Nobody is shown who logged out while poolbridge was dead."""
    bridge = presence_lab.bridge
    bridge.kill()
    juliet.unavailable()
    bridge.start()
    tybalt.wait_presence(JULIET, online=False, timeout=RECOVERY)
    juliet.status()
    tybalt.wait_presence(JULIET, "available", online=True)
    bridge.kill()
    tybalt.close()
    bridge.start()
    juliet.wait_presence(TYBALT, "unavailable", timeout=RECOVERY)


def test_standard_client(presence_lab, juliet):
    """linphone, which speaks PIDF with RPID and no more, over an end and a start, and when it goes and comes back."""
    paris = presence_lab.linphone_user(PARIS, contacts=[JULIET])
    juliet.subscribe(PARIS)
    juliet.approve(PARIS)
    juliet.wait_presence(PARIS, "subscribed")
    juliet.wait_status(PARIS)
    paris.wait_presence(JULIET, "online")
    since = len(juliet.inbox.history)
    presence_lab.bridge.kill()
    juliet.status("away")
    presence_lab.bridge.start()
    paris.wait_presence(JULIET, "away", timeout=RECOVERY)
    paris.close()
    juliet.wait_presence(PARIS, "unavailable")
    wait_polled(lambda: (PARIS, JULIET, "to-contact") not in dialogs(presence_lab))
    assert ledger(presence_lab)[PARIS, JULIET, "to-contact"] == "active"
    paris = presence_lab.linphone_user(PARIS, contacts=[JULIET])
    paris.wait_presence(JULIET, "away")
    juliet.wait_status(PARIS)
    assert asked(juliet, since) == []


def test_forgotten(presence_lab, juliet, tybalt):
    """Somebody asks to be forgotten: the contacts are told, and nothing is kept of him."""
    bridge = presence_lab.bridge
    if (TYBALT, JULIET, "to-local") not in ledger(presence_lab):
        juliet.subscribe(TYBALT)
        juliet.wait_presence(TYBALT, "subscribed")
    bridge.mark("migrated", TYBALT)
    juliet.inbox.clear()
    erased = bridge.json("user", "erase", TYBALT)
    assert erased["subscriptions"] > 0 and erased["mark"]
    juliet.wait_presence(TYBALT, "unsubscribed")
    assert not [key for key in ledger(presence_lab) if TYBALT in key] and not [key for key in dialogs(presence_lab) if TYBALT in key]
