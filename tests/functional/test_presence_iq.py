"""Presence and iq between the partner and users of the legacy gateway, both ways, as bytes that pass through."""

import pytest

VCARD = "<vCard xmlns='vcard-temp'/>"
DISCO = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
NODE = "<query xmlns='http://jabber.org/protocol/disco#info' node='urn:example:caps#1'/>"
PING = "<ping xmlns='urn:xmpp:ping'/>"
VERSION = "<query xmlns='jabber:iq:version'/>"
UNKNOWN = "<query xmlns='urn:example:nobody-knows-this'/>"


@pytest.fixture
def benvolio(lab):
    return keep(lab, "benvolio", lambda: lab.legacy_user("benvolio@corp.test"))


@pytest.fixture
def rosaline_here(lab):
    return keep(lab, "rosaline_here", lambda: lab.partner_user("rosaline@partner.test"))


def keep(lab, name, make):
    known = lab.__dict__.setdefault("people", {})
    if name not in known:
        known[name] = make()
    return known[name]


@pytest.mark.parametrize("asking", ["partner", "legacy"])
def test_subscription_and_presence(lab, benvolio, rosaline_here, asking):
    """The whole handshake, presence shown and withdrawn, and the end of the subscription."""
    first, second = (rosaline_here, benvolio) if asking == "partner" else (benvolio, rosaline_here)
    first.presence(second.address, "subscribe")
    second.wait_presence(first.address, "subscribe")
    second.presence(first.address, "subscribed")
    first.wait_presence(second.address, "subscribed")
    first.wait_presence(second.address)

    second.send_xml("<presence><show>away</show><status>à table</status></presence>")
    away = first.inbox.wait(lambda s: s.kind == "presence" and s.bare == second.address and b"away" in to_bytes(s))
    assert away.xml.findtext("{jabber:client}status") == "à table"
    second.send_xml("<presence type='unavailable'/>")
    first.wait_presence(second.address, "unavailable")
    second.send_xml("<presence/>")
    first.wait_presence(second.address)

    first.presence(second.address, "unsubscribe")
    second.wait_presence(first.address, "unsubscribe")
    first.wait_presence(second.address, "unavailable")


def to_bytes(stanza):
    return str(stanza).encode()


def test_subscription_refused(lab, benvolio, rosaline_here):
    rosaline_here.presence(benvolio.address, "subscribe")
    benvolio.wait_presence(rosaline_here.address, "subscribe")
    benvolio.presence(rosaline_here.address, "unsubscribed")
    rosaline_here.wait_presence(benvolio.address, "unsubscribed")


def test_subscription_to_nobody_is_answered(lab, juliet, tybalt):
    """The pool knows no such user: the subscriber is told, not left waiting."""
    tybalt.reply = 404
    juliet.presence("tybalt@corp.test", "subscribe")
    answer = juliet.inbox.wait(lambda s: s.kind == "presence" and s.bare == "tybalt@corp.test")
    assert answer.type == "unsubscribed"
    tybalt.inbox.clear()


@pytest.mark.parametrize("direction", ["to-legacy", "to-partner"])
def test_iq_with_users(lab, juliet, romeo, direction):
    asker, asked = (juliet, romeo) if direction == "to-legacy" else (romeo, juliet)
    assert asker.ask(asked.full, DISCO).type == "result"
    assert asker.ask(asked.full, PING).type == "result"
    assert asker.ask(asked.full, UNKNOWN).error in ("feature-not-implemented", "service-unavailable")
    vcard = asker.ask(asked.address, VCARD)
    assert vcard.type == "result" or vcard.error == "item-not-found"


def test_iq_with_the_legacy_domain(lab, juliet, romeo):
    assert juliet.ask("corp.test", DISCO).type == "result"
    assert juliet.ask("corp.test", VERSION).xml.findtext(".//{jabber:iq:version}name") == "Prosody"
    assert romeo.ask("partner.test", DISCO).type == "result"


def test_large_iq_passes(lab, juliet, romeo):
    """A vCard with a picture: 40 kB in one stanza, answered by the legacy gateway itself."""
    picture = "QUJD" * 10000
    romeo.ask("romeo@corp.test", f"<vCard xmlns='vcard-temp'><PHOTO><BINVAL>{picture}</BINVAL></PHOTO></vCard>", kind="set")
    vcard = juliet.ask("romeo@corp.test", VCARD)
    assert vcard.xml.findtext(".//{vcard-temp}BINVAL") == picture


@pytest.mark.parametrize("query", [DISCO, PING, VCARD, VERSION])
@pytest.mark.parametrize("address", ["tybalt@corp.test", "tybalt@corp.test/desk"])
def test_iq_to_a_migrated_user_is_answered(lab, juliet, tybalt, query, address):
    answer = juliet.ask(address, query)
    assert answer.type == "result"
    assert query == PING or len(answer.xml) == 1


def test_iq_that_is_not_served_for_a_migrated_user(lab, juliet, tybalt):
    assert juliet.ask("tybalt@corp.test", UNKNOWN).error == "service-unavailable"
    assert juliet.ask("tybalt@corp.test/desk", NODE).error == "item-not-found"
    assert juliet.ask("tybalt@corp.test", VCARD, kind="set").error == "service-unavailable"


def test_vcard_has_the_name_that_the_pool_gave(lab, juliet, tybalt):
    name = [("P-Asserted-Identity", '"Tybalt of the Capulets" <sip:tybalt@corp.test>')]
    assert lab.deliver(tybalt, "juliet@partner.test", headers=name).by == "partner"
    vcard = juliet.ask("tybalt@corp.test", VCARD).xml
    assert vcard.findtext(".//{vcard-temp}JABBERID") == "tybalt@corp.test"
    assert vcard.findtext(".//{vcard-temp}FN") == "Tybalt of the Capulets"


def test_iq_to_the_domain_when_it_is_migrated(lab, juliet):
    lab.bridge.ctl("domain", "set", "corp.test", "--phase", "migrated")
    assert juliet.ask("corp.test", DISCO).type == "result"
    assert juliet.ask("corp.test", PING).type == "result"
    assert juliet.ask("corp.test", VERSION).xml.findtext(".//{jabber:iq:version}name") == "poolbridge"
    assert juliet.ask("corp.test", NODE).error == "item-not-found"
    assert juliet.ask("corp.test", UNKNOWN).error == "service-unavailable"


def test_iq_that_cannot_be_routed_is_answered(lab, juliet):
    lab.bridge.ctl("domain", "set", "corp.test", "--unlisted", "reject")
    assert juliet.ask("unknown@corp.test", VCARD).error == "item-not-found"
