"""Real clients talk through poolbridge: pidgin-sipe, baresip and linphone at Kamailio, slixmpp at Prosody."""

import pytest

from lab.sipe_user import BUILT

pytestmark = pytest.mark.skipif(not BUILT, reason="lab/sipe_user was not built: libpurple-dev")

JULIET, TYBALT, PARIS = "juliet@partner.test", "tybalt@corp.test", "paris@corp.test"
TEXTS = ["Wherefore <art> & thou?", "äöü ß € 😀", "of two\nlines", "  blanks  about  ", "x" * 3000]


@pytest.fixture(scope="module")
def client_lab(own_lab):
    return own_lab(presence="2005")


@pytest.fixture(scope="module")
def juliet(client_lab):
    return client_lab.partner_user(JULIET)


@pytest.fixture(scope="module")
def tybalt(client_lab):
    return client_lab.sipe_user(TYBALT)


@pytest.fixture(autouse=True)
def empty_inboxes(request):
    yield
    if "client_lab" in request.fixturenames:
        for user in request.getfixturevalue("client_lab").users:
            user.inbox.clear()


def bodies(user):
    return [item.body for item in user.inbox.history if item.body and getattr(item, "kind", None) == "message"]


def test_microsoft_client_talks_with_xmpp_client(client_lab, juliet, tybalt):
    """Both directions, one after the other and mixed: each text once and in order."""
    for number, text in enumerate(TEXTS):
        juliet.send(TYBALT, f"J{number} {text}")
    for number, text in enumerate(TEXTS):
        tybalt.wait_message(f"J{number} {text}")
    for number, text in enumerate(TEXTS[:3]):
        tybalt.send(JULIET, f"T{number} {text}")
    for number, text in enumerate(TEXTS[:3]):
        juliet.wait_message(f"T{number} {text}")
    tybalt.close_chat(JULIET)
    tybalt.send(JULIET, "in a new session")
    juliet.wait_message("in a new session")
    juliet.send(TYBALT, "and back")
    tybalt.wait_message("and back")
    assert bodies(tybalt) == [f"J{number} {text}" for number, text in enumerate(TEXTS)] + ["and back"]
    assert bodies(juliet) == [f"T{number} {text}" for number, text in enumerate(TEXTS[:3])] + ["in a new session"]


def test_typing_shows_both_ways(juliet, tybalt):
    juliet.send(TYBALT, "I can show who types", extra="<active xmlns='http://jabber.org/protocol/chatstates'/>")
    sender = tybalt.wait_message("I can show who types").sender
    juliet.chat_state(TYBALT, "composing")
    tybalt.wait_typing(sender, "typing")
    juliet.chat_state(TYBALT, "paused")
    tybalt.wait_typing(sender, "stopped")
    tybalt.typing(sender)
    juliet.wait_chat_state(TYBALT, "composing")


def test_presence_shows_both_ways(juliet, tybalt):
    juliet.subscribe(TYBALT)
    juliet.wait_presence(TYBALT, "subscribed")
    juliet.wait_status(TYBALT)
    tybalt.status("away")
    juliet.wait_status(TYBALT, "away")
    tybalt.add(JULIET)
    juliet.wait_presence(TYBALT, "subscribe")
    juliet.approve(TYBALT)
    tybalt.wait_presence(JULIET, "available", online=True)
    juliet.status("away", "gone fishing")
    tybalt.wait_presence(JULIET, "away")
    juliet.status("dnd")
    tybalt.wait_presence(JULIET, "busy")
    juliet.unavailable()
    tybalt.wait_presence(JULIET, online=False)
    juliet.status()
    tybalt.wait_presence(JULIET, "available", online=True)


def test_standard_clients_talk_with_xmpp_client(client_lab, juliet):
    paris = client_lab.baresip_user(PARIS, contacts=[JULIET])
    juliet.send(PARIS, "to baresip äöü\nof two lines")
    paris.wait_message("to baresip äöü\nof two lines")
    paris.send(JULIET, "from baresip äöü\nof two lines")
    juliet.wait_message("from baresip äöü\nof two lines")
    juliet.approve(PARIS)
    paris.wait_presence(JULIET, online=True)
    paris.close()
    linda = client_lab.linphone_user(PARIS, contacts=[JULIET])
    juliet.send(PARIS, "to linphone äöü\nof two lines")
    linda.wait_message("to linphone äöü\nof two lines")
    linda.send(JULIET, "from linphone äöü")
    juliet.wait_message("from linphone äöü")
    linda.wait_presence(JULIET, "online")
    juliet.status("away")
    linda.wait_presence(JULIET, "away")


@pytest.mark.parametrize("options", [{"presence": "2007"}, {"presence": "2005", "sip_tls": True}], ids=["2007", "tls"])
def test_other_pools(new_lab, options):
    lab = new_lab(**options)
    juliet, tybalt = lab.partner_user(JULIET), lab.sipe_user(TYBALT)
    juliet.send(TYBALT, "one")
    tybalt.wait_message("one")
    tybalt.send(JULIET, "two")
    juliet.wait_message("two")
    juliet.subscribe(TYBALT)
    juliet.wait_presence(TYBALT, "subscribed")
    juliet.wait_status(TYBALT)
    tybalt.status("busy")
    juliet.wait_status(TYBALT, "dnd")
