"""How much one address, strangers, and a busy partner may take: the others go on, and nothing is lost."""

import contextlib
import socket
from xml.etree import ElementTree

import pytest

from lab import inbox
from lab.federation import Federation, Partner
from lab.raw_peer import RawPeer

HEADER = ("<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
          "from='partner.test' to='corp.test' version='1.0'>")
RAW = Partner("raw.test", policy=("--tls", "none", "--sasl", "none"), services=(("xmpp-server", 0, "raw", 5269),))


def connect(lab, source):
    """A stream that says who it is and proves nothing. Returns what was answered; nothing when it was refused."""
    stream = socket.create_connection((lab.block.address("external"), 5269), timeout=20, source_address=(source, 0))
    stream.sendall(HEADER.encode())
    heard = b""
    with contextlib.suppress(ConnectionResetError):
        while b"</stream:features>" not in heard:
            more = stream.recv(4096)
            if not more:
                break
            heard += more
    return stream, heard


def test_streams_per_address(new_lab):
    """The sixth from one address is refused; another address is served, and so is the first when one has ended."""
    lab = new_lab(pool=False, settings={"s2s.streams_per_address": 5})
    one, other = lab.block.user_address(), lab.block.user_address()
    streams = [connect(lab, one) for _ in range(5)]
    assert all(b"features" in heard for _, heard in streams)
    refused, heard = connect(lab, one)
    assert heard == b""
    lab.bridge.process.wait_line(f"connection-refused .*{one}.*streams_per_address")
    served, heard = connect(lab, other)
    assert b"features" in heard
    mark = lab.bridge.process.mark()
    streams[0][0].close()
    lab.bridge.process.wait_line("stream-down", after=mark)
    again, heard = connect(lab, one)
    assert b"features" in heard
    for stream in [served, refused, again] + [stream for stream, _ in streams]:
        stream.close()


def test_strangers_keep_nobody_out(new_lab):
    """Streams that prove nothing give way to newer ones; an authenticated one stays, and new partners come in."""
    lab = new_lab(pool=False, settings={"s2s.streams_unauthenticated": 8})
    juliet, romeo = lab.partner_user(), lab.legacy_user()
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"
    before = lab.bridge.link("partner.test", "in")["id"]
    streams = [connect(lab, lab.block.user_address())[0] for _ in range(30)]
    lab.bridge.process.wait_line("stream-accepted .*peer={}:{}$".format(*streams[-1].getsockname()))
    assert len([line for line in lab.bridge.process.lines if "stream-displaced" in line]) >= 20
    assert lab.bridge.link("partner.test", "in")["id"] == before
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"
    lab.bridge.ctl("partner", "add", "stranger.test", "--tls", "optional")
    assert lab.deliver(lab.partner_user("juliet@stranger.test"), "romeo@corp.test").by == "legacy"
    for stream in streams:
        stream.close()


@pytest.mark.parametrize("sm", [True, False], ids=["counted", "uncounted"])
def test_rate(new_lab, sm):
    """A partner that sends faster than allowed is read more slowly: all arrives, in order; another is not slowed."""
    lab = new_lab(pool=False, federation=Federation("plain", [RAW]),
                  settings={"s2s.stanza_rate": 50, "s2s.stanza_burst": 10})
    romeo, peer = lab.legacy_user(), RawPeer(lab, "raw.test", sm)
    stream = peer.connect()
    if sm:
        stream.enable()
    for number in range(100):
        stream.message(f"fast-{number}", romeo.address)
    assert lab.deliver(lab.partner_user(), romeo.address).by == "legacy"
    inbox.wait_until(lambda: len(arrived(romeo)) == 100, timeout=40)
    assert arrived(romeo) == [f"fast-{number}" for number in range(100)]
    assert any("stream-slowed" in line and "raw.test" in line for line in lab.bridge.process.lines)
    assert not any("stream-slowed" in line and "partner.test" in line for line in lab.bridge.process.lines)
    peer.close()


def arrived(user):
    return [item.body for item in user.inbox.history if (item.body or "").startswith("fast-")]


QUESTIONS = {
    "ping": ("<ping xmlns='urn:xmpp:ping'/>", ()),
    "disco": ("<query xmlns='http://jabber.org/protocol/disco#info'/>",
              ("identity", "http://jabber.org/protocol/disco#info", "urn:xmpp:ping")),
}


@pytest.mark.parametrize("question, words", QUESTIONS.values(), ids=QUESTIONS.keys())
@pytest.mark.parametrize("phase", ["legacy", "coexist", "migrated"])
def test_domain_answers(lab, juliet, phase, question, words):
    """The local domain itself answers a partner's ping and disco#info, whoever stands behind it."""
    lab.bridge.ctl("domain", "set", "corp.test", "--phase", phase)
    answer = juliet.ask("corp.test", question)
    assert answer.type == "result", str(answer)
    for word in words:
        assert word in ElementTree.tostring(answer.xml, encoding="unicode")


def test_domain_does_not_answer_everything(lab, juliet):
    lab.bridge.ctl("domain", "set", "corp.test", "--phase", "migrated")
    assert juliet.ask("corp.test", "<query xmlns='urn:x:unknown'/>").error == "service-unavailable"
    assert juliet.ask("corp.test", "<ping xmlns='urn:xmpp:ping'/>", kind="set").type == "error"
