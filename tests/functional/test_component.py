"""poolbridge as the component of a Prosody or an ejabberd that faces the partners (XEP-0114)."""

import hashlib
import itertools
import socket
import time

import pytest

from conftest import RESET_BEHIND
from lab import inbox
from lab.lab import COMPONENT_SECRET
from lab.raw_peer import RawStream

FRONTS = ["prosody", "ejabberd"]
FAST = {"s2s.backoff_min": 0.1, "s2s.backoff_max": 0.5}
HEADER = ("<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' "
          "xmlns:stream='http://etherx.jabber.org/streams' from='corp.test' id='{}'>")
ERROR = "<stream:error><{} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
PONG = "<iq type='result' id='{}' from='partner.test' to='corp.test'/>"
PING = r"<iq type='get' id='([^']*)' from='corp.test' to='partner.test'><ping "
_runs = itertools.count(1)


def attached(lab, after=0):
    lab.bridge.process.wait_line("component-attached", after=after)
    return lab


def recover(lab, sender, recipient):
    """After a fault, messages arrive again without anybody's help."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if lab.deliver(sender, recipient.address, timeout=60).by == recipient.where:
            return
    raise AssertionError("the fault is over, and messages still fail")


@pytest.mark.parametrize("front", FRONTS)
def test_main_path(new_lab, front):
    """The main path of test_wirings."""
    lab = attached(new_lab(front=front))
    juliet, romeo = lab.partner_user(), lab.legacy_user()
    tybalt, romeo_after = lab.sip_user("tybalt@corp.test", "udp"), lab.sip_user("romeo@corp.test", "tcp")

    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"
    assert lab.deliver(juliet, "tybalt@corp.test").by == "pool"
    assert lab.deliver(romeo, "juliet@partner.test").by == "partner"
    assert lab.deliver(tybalt, "juliet@partner.test").by == "partner"

    lab.bridge.mark("migrated", "romeo@corp.test")
    assert lab.deliver(juliet, "romeo@corp.test").by == "pool"
    assert lab.deliver(romeo_after, "juliet@partner.test").by == "partner"
    lab.bridge.mark("legacy", "romeo@corp.test")
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"

    assert lab.deliver(juliet, "nobody@corp.test").condition == "service-unavailable"
    assert juliet.ask(romeo.full, "<ping xmlns='urn:xmpp:ping'/>").type == "result"
    assert romeo.ask(juliet.full, "<ping xmlns='urn:xmpp:ping'/>").type == "result"
    assert juliet.ask("corp.test", "<query xmlns='http://jabber.org/protocol/disco#info'/>").type == "result"

    trunk = lab.bridge.link("*", "both")
    assert (trunk["auth"], trunk["state"], trunk["last_error"]) == ("component", "trusted", "")
    assert "component" in lab.bridge.ctl("streams")


@pytest.mark.parametrize("front", FRONTS)
def test_errors_of_the_partner_and_of_the_way_to_it(new_lab, front):
    """What the partner's server, or the one between, cannot deliver is told to the sender before anything is confirmed."""
    lab = attached(new_lab(front=front))
    lab.partner_user()
    romeo, tybalt = lab.legacy_user(), lab.sip_user("tybalt@corp.test", "udp")
    for address in ("nobody@partner.test", "juliet@down.test"):
        assert lab.deliver(tybalt, address, timeout=60).by == "error", address
        # ejabberd's anonymous users are there only while logged in, Prosody's keep messages; nobody is neither.
        assert lab.deliver(romeo, address, timeout=60).by == "error", address


@pytest.mark.parametrize("front", FRONTS)
def test_server_restarts(new_lab, front):
    """What is sent while it is away waits for it; afterwards everything works again by itself."""
    lab = attached(new_lab(front=front, settings=FAST | {"s2s.queue_time": 60}))
    juliet, romeo = lab.partner_user(), lab.legacy_user()
    tybalt = lab.sip_user("tybalt@corp.test", "tcp")
    assert lab.deliver(tybalt, "juliet@partner.test").by == "partner"
    lab.front.stop()
    lab.bridge.process.wait_line("link-down .*the component's server")
    romeo.send("juliet@partner.test", "for later")
    # A pool is answered in time: its sender must not think that the message is there.
    assert lab.deliver(tybalt, "juliet@partner.test").status >= 400
    mark = lab.bridge.process.mark()
    lab.front.start()
    attached(lab, after=mark)
    juliet.wait_message("for later", timeout=60)
    recover(lab, juliet, tybalt)
    recover(lab, juliet, romeo)
    recover(lab, tybalt, juliet)


def test_nothing_is_said_to_be_delivered_while_the_server_is_away(new_lab):
    lab = attached(new_lab(front="prosody", settings=FAST | {"sip.answer_time": 2}))
    lab.partner_user()
    tybalt = lab.sip_user("tybalt@corp.test", "tcp")
    lab.front.stop()
    sent = [tybalt.start_send("juliet@partner.test", f"into the void {number}") for number in range(20)]
    assert all(one.result(30).status >= 400 for one in sent)


@pytest.mark.parametrize("direction", ["in", "out"])
def test_flow_through_a_bad_line(new_lab, direction):
    """
    While the connection is reset again and again: what leaves arrives, or is answered with an error. XEP-0114 has no
    acknowledgement: what Prosody wrote to a connection that is reset is lost to it and to us.
    """
    lab = attached(new_lab(front="prosody", settings=FAST))
    juliet, romeo = lab.partner_user(), lab.legacy_user()
    sender, recipient = (juliet, romeo) if direction == "in" else (romeo, juliet)
    mark = lab.bridge.process.mark()
    assert lab.deliver(sender, recipient.address).by == recipient.where
    # Read, but not confirmed, it could come again after a reset as any of those below.
    lab.bridge.process.wait_line(f"delivered from={sender.address}", after=mark)
    numbers = {}
    for number in range(100):
        text = f"{RESET_BEHIND} {number}"
        numbers[sender.send(recipient.address, text)] = text
        if number % 10 == 5:
            lab.front_proxy.reset()
    missing = dict(numbers) if direction == "out" else {}
    while missing:
        _, item = inbox.first([
            (sender.inbox, lambda s: s.type == "error" and s.id in missing),
            (recipient.inbox, lambda s: s.body in missing.values())])
        if item.body in missing.values() and getattr(item, "type", None) != "error":
            missing = {key: text for key, text in missing.items() if text != item.body}
        else:
            missing.pop(item.id)
    recover(lab, sender, recipient)


@pytest.mark.parametrize("front", FRONTS)
def test_wrong_secret(new_lab, front):
    lab = new_lab(front=front, settings=FAST | {"component.secret": "another", "s2s.queue_time": 2})
    words = f"the component secret was refused by {lab.block.address('front-proxy')}"
    lab.bridge.process.wait_line(f"error component-refused .*{words}")
    assert lab.bridge.link("*", "both")["last_error"].startswith(words)
    assert words in lab.bridge.ctl("streams")
    romeo = lab.legacy_user()
    lab.partner_user()
    assert lab.deliver(romeo, "juliet@partner.test").by == "error"
    report = lab.bridge.run("check", "partner", "partner.test", "--as", "corp.test", json_output=True)
    assert report.returncode == 1 and words in report.stdout
    lab.bridge.stop()
    lab.bridge.write_config(component__secret=COMPONENT_SECRET)
    lab.bridge.start()
    attached(lab)
    assert lab.deliver(romeo, "juliet@partner.test").by == "partner"


@pytest.mark.parametrize("front, words", [
    ("prosody", "component.domain is no component of"),
    ("ejabberd", "the component secret was refused by .*, or there is no component of that name"),
])
def test_no_such_component(new_lab, front, words):
    lab = new_lab(front=front, settings=FAST | {"component.domain": "branch.test"})
    lab.bridge.process.wait_line(f"error component-refused .*{words}")


def test_check_partner(new_lab):
    lab = attached(new_lab(front="prosody"))
    report = lab.bridge.json("check", "partner", "partner.test", "--as", "corp.test")
    assert report["ok"]
    assert [step["step"] for step in report["steps"]] == ["component", "ping"]
    lab.partner_user()
    # The connection is still there for the others.
    assert lab.deliver(lab.sip_user("tybalt@corp.test"), "juliet@partner.test").by == "partner"


# ---- a server that says what the test tells it to


class RawFront:
    def __init__(self, lab):
        self.lab = lab
        self._listener = socket.create_server((lab.block.address("front"), 5347))
        self._listener.settimeout(20)

    def accept(self, number="id-1", handshake=True):
        stream = RawStream(self._listener.accept()[0], "partner.test", "corp.test")
        stream.wait(r"<stream:stream xmlns='jabber:component:accept' [^>]*to='corp.test'>")
        stream.send(HEADER.format(number))
        proof = stream.wait("<handshake>([0-9a-f]*)</handshake>").group(1)
        assert proof == hashlib.sha1((number + COMPONENT_SECRET).encode()).hexdigest()
        if handshake:
            stream.send("<handshake/>")
            # The bridge asks whether we live; its own question comes back to it.
            number = stream.wait("<iq type='get' id='([^']*)' from='corp.test' to='corp.test'>").group(1)
            stream.send(f"<iq type='get' id='{number}' from='corp.test' to='corp.test'>"
                        "<ping xmlns='urn:xmpp:ping'/></iq>")
        return stream

    def close(self):
        self._listener.close()


@pytest.fixture
def raw(new_lab):
    """raw(**settings): a lab whose component server is the test."""
    fronts = []

    def make(**settings):
        lab = new_lab(front="raw", settings=FAST | {name.replace("__", "."): value for name, value in settings.items()})
        fronts.append(RawFront(lab))
        return lab, fronts[-1]

    yield make
    for front in fronts:
        front.close()


def test_nothing_leaves_before_the_handshake_is_accepted(raw):
    lab, front = raw()
    romeo = lab.legacy_user()
    stream = front.accept(handshake=False)
    number = romeo.send("juliet@partner.test", "patience")
    lab.bridge.process.wait_line(f"route .*{romeo.address}")
    stream.send("</stream:stream>")
    assert "patience" not in stream.rest()
    stream = front.accept("id-2")
    assert stream.wait_bodies(1) == ["patience"]
    assert romeo.inbox.history == [] or all(item.id != number for item in romeo.inbox.history)


def test_namespaces_by_name(raw):
    """What names its namespace says the same on the other stream; what is smuggled ends the connection."""
    lab, front = raw()
    romeo = lab.legacy_user()
    stream = front.accept()
    stream.send("<message xmlns='jabber:component:accept' from='juliet@partner.test' to='romeo@corp.test' type='chat'>"
                "<body xmlns='jabber:component:accept'>by name</body></message>")
    romeo.wait_message("by name")
    assert "jabber:component:accept" not in open(lab.legacy.process.log_path, encoding="utf-8").read()
    # Prosody writes xmlns='jabber:server' on every stanza for other servers.
    romeo.send("juliet@partner.test", "and back")
    stanza = stream.wait("<message[^>]*>").group(0)
    assert "jabber:server" not in stanza
    assert stream.wait_bodies(1) == ["and back"]
    stream.send("<message xmlns='jabber:server' from='juliet@partner.test' to='romeo@corp.test'><body>x</body></message>")
    assert "invalid-namespace" in stream.rest()


@pytest.mark.parametrize("stanza, condition", [
    ("<message from='juliet@partner.test'><body>x</body></message>", "improper-addressing"),
    ("<message to='romeo@corp.test'><body>x</body></message>", "improper-addressing"),
    ("<message from='juliet@partner.test' to='nurse@branch.test'><body>x</body></message>", "host-unknown"),
    ("<message from='juliet@partner.test' to='x@elsewhere.test'><body>x</body></message>", "host-unknown"),
    ("<message from='juliet@partner.test' to='romeo@corp.test'><!-- --></message>", "restricted-xml"),
    ("<stream:features/>", "policy-violation"),
    ("<handshake/>", "unsupported-stanza-type"),
    ("<db:result xmlns:db='jabber:server:dialback' from='partner.test' to='corp.test'>k</db:result>",
     "policy-violation"),
])
def test_what_a_server_may_not_send(raw, stanza, condition):
    lab, front = raw()
    stream = front.accept()
    stream.send(stanza)
    assert f"<stream:error><{condition} " in stream.rest()
    front.accept("id-2")


def test_what_is_ours_does_not_come_from_outside(raw):
    lab, front = raw()
    romeo = lab.legacy_user()
    stream = front.accept()
    for sender in ("tybalt@corp.test", "nurse@branch.test", "corp.test"):
        stream.send(f"<message from='{sender}' to='romeo@corp.test'><body>forged</body></message>")
        lab.bridge.process.wait_line(f"component-stanza-dropped .*from={sender}")
    stream.send("<message from='juliet@partner.test' to='romeo@corp.test'><body>genuine</body></message>")
    romeo.wait_message("genuine")
    assert all(item.body != "forged" for item in romeo.inbox.history)


def test_not_confirmed_is_not_delivered(raw):
    """Read by the server, perhaps, but not proved when the connection breaks: the sender is told."""
    lab, front = raw()
    romeo = lab.legacy_user()
    stream = front.accept()
    number = romeo.send("juliet@partner.test", "lost?")
    assert stream.wait_bodies(1) == ["lost?"]
    stream.wait(PING)
    stream.break_off()
    assert romeo.wait_error(number).error == "remote-server-timeout"
    stream = front.accept("id-2")
    number = romeo.send("juliet@partner.test", "there")
    assert stream.wait_bodies(1) == ["there"]
    stream.send(PONG.format(stream.wait(PING).group(1)))
    lab.bridge.process.wait_line(f"delivered from={romeo.address}")
    stream.break_off()
    front.accept("id-3")
    assert all(item.id != number for item in romeo.inbox.history)


def test_a_silent_way_behind_the_server(raw):
    """The question is asked again; when nobody answers, the sender is told, and the connection stays."""
    lab, front = raw(s2s__queue_time=4, s2s__confirm_time=0.3)
    romeo = lab.legacy_user()
    stream = front.accept()
    number = romeo.send("juliet@partner.test", "hello?")
    first, second = stream.wait(PING).group(1), stream.wait(PING).group(1)
    assert first != second
    assert romeo.wait_error(number).error == "remote-server-timeout"
    assert lab.bridge.link("*", "both")["state"] == "trusted"


def test_a_dead_server_is_noticed(raw):
    """It has stopped answering the bridge's own pings: a new connection is made."""
    lab, front = raw(s2s__keepalive_time=0.5, s2s__confirm_time=0.2)
    stream = front.accept()
    assert "connection-timeout" in stream.rest()
    front.accept("id-2")


def test_another_component_takes_the_place(raw):
    lab, front = raw()
    stream = front.accept()
    stream.send(ERROR.format("conflict"))
    lab.bridge.process.wait_line("error component-refused .*another component is attached")


def test_clean_stop(raw):
    """Something is still under way: it is settled, and the stream is closed in words."""
    lab, front = raw()
    romeo = lab.legacy_user()
    stream = front.accept()
    romeo.send("juliet@partner.test", "the last")
    assert stream.wait_bodies(1) == ["the last"]
    number = stream.wait(PING).group(1)
    lab.bridge.process.signal(15)
    lab.bridge.process.wait_line("stopping")
    stream.send(PONG.format(number))
    stream.wait("</stream:stream>")
    stream.send("</stream:stream>")
    stream.rest()
    lab.bridge.stop()
    assert all(item.type != "error" for item in romeo.inbox.history)


def test_control_characters_do_not_end_the_connection(raw):
    lab, front = raw()
    tybalt = lab.sip_user("tybalt@corp.test", "tcp")
    stream = front.accept()
    assert tybalt.start_send("juliet@partner.test", "bell \x07").result(20).status >= 400
    tybalt.start_send("juliet@partner.test", "clean")
    assert stream.wait_bodies(1) == ["clean"]
    assert "</stream:stream>" not in stream.heard and lab.bridge.link("*", "both")["state"] == "trusted"
