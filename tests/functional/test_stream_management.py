"""XEP-0198 between servers: who has what, by the counters of either side, and what a broken stream leaves behind."""

import re
import signal

import pytest

from lab.federation import Federation, Partner
from lab.inbox import wait_polled
from lab.raw_peer import RawPeer

FAST = {"s2s.backoff_min": 0.1, "s2s.backoff_max": 0.3, "s2s.queue_time": 20}
RAW = Partner("raw.test", policy=("--tls", "none", "--sasl", "none"), services=(("xmpp-server", 0, "raw", 5269),))
PLAIN = ("--tls", "optional", "--sasl", "optional")


# ---- Prosody

@pytest.fixture(scope="module")
def prosody(own_lab):
    lab = own_lab(federation=Federation("either", [Partner("sm.test", policy=PLAIN)]), pool=False, modules=("smacks",),
                  log="debug", settings=FAST)
    return lab, lab.partner_user("juliet@sm.test"), lab.legacy_user("romeo@corp.test")


def counts(lab, pattern):
    return [int(match.group(1)) for match in (re.search(pattern, line) for line in lab.partner.process.lines) if match]


def test_prosody_counts_as_we_do(prosody):
    """Twenty messages each way: what either side has acknowledged is what the other has counted."""
    lab, juliet, romeo = prosody
    for number in range(20):
        assert lab.deliver(juliet, romeo.address).by == "legacy"
        assert lab.deliver(romeo, juliet.address).by == "partner"
    out, into = settled(lab, "out"), settled(lab, "in")
    assert (out["sm"], into["sm"], out["auth"], into["auth"]) == (True, True, "external", "external")
    assert out["acknowledged"] >= 20
    assert counts(lab, r"acking for (\d+)")[-1] == out["acknowledged"]
    # Prosody enables it behind what already waited for its stream, so it need not count the first.
    assert into["handled"] >= 19
    lab.partner.process.wait_line(r"#queue = 0 \(acked: ")
    assert sum(counts(lab, r"#queue = \d+ \(acked: (\d+)\)")) == into["handled"]


def settled(lab, direction):
    """The link when all is acknowledged."""
    def waiting():
        link = lab.bridge.link("sm.test", direction)
        return [link.get(name) for name in ("unconfirmed", "unacknowledged", "queued")]

    wait_polled(lambda: not any(waiting()), waiting)
    return lab.bridge.link("sm.test", direction)


def test_prosody_killed_before_it_read(prosody):
    """What it had in its socket and never acknowledged goes out again when it is back, once."""
    lab, juliet, romeo = prosody
    assert lab.deliver(romeo, juliet.address).by == "partner"
    settled(lab, "out")
    lab.partner.process.signal(signal.SIGSTOP)
    texts = [f"unread {number}" for number in range(5)]
    numbers = {romeo.send(juliet.address, text) for text in texts}
    wait_polled(lambda: lab.bridge.link("sm.test", "out")["unconfirmed"] >= 5)
    lab.partner.process.kill()
    lab.users.remove(juliet)
    lab.partner.start()
    again = lab.partner_user("juliet@sm.test")
    # Before its user is there, the server keeps them for her.
    for text in texts:
        assert any(item.body == text for item in again.inbox.history) or again.wait_message(text, timeout=40)
    assert lab.deliver(romeo, juliet.address, timeout=40).by == "partner"
    assert not romeo.inbox.all(lambda s: s.type == "error" and s.id in numbers)


def test_bidi_with_prosody(new_lab):
    """One stream carries both ways (XEP-0288), and both counters work on it."""
    lab = new_lab(federation=Federation("either", [Partner("sm.test", policy=PLAIN)]), pool=False, log="debug",
                  modules=("smacks", "s2s_bidi"), settings=FAST)
    juliet, romeo = lab.partner_user("juliet@sm.test"), lab.legacy_user("romeo@corp.test")
    for _ in range(10):
        assert lab.deliver(juliet, romeo.address).by == "legacy"
        assert lab.deliver(romeo, juliet.address).by == "partner"
    out, into = settled(lab, "out"), settled(lab, "in")
    assert out["id"] == into["id"] and out["bidi"] and into["bidi"]
    assert out["sm"] and into["sm"] and out["acknowledged"] >= 10
    assert counts(lab, r"acking for (\d+)")[-1] == out["acknowledged"]
    # And begun by us.
    lab.bridge.restart()
    for _ in range(10):
        assert lab.deliver(romeo, juliet.address, timeout=40).by == "partner"
        assert lab.deliver(juliet, romeo.address, timeout=40).by == "legacy"
    out, into = settled(lab, "out"), settled(lab, "in")
    assert out["id"] == into["id"] and out["id"].startswith("o")


# ---- a peer that says what it likes

@pytest.fixture
def raw(new_lab):
    lab = new_lab(federation=Federation("plain", [RAW]), pool=False, chaos=True, settings=dict(FAST, **{"s2s.queue_time": 8}))
    peer = RawPeer(lab, "raw.test")
    yield lab, peer, lab.legacy_user("romeo@corp.test")
    peer.close()


def send_three(romeo, stream=None):
    return [romeo.send("raw@raw.test", text) for text in ("one", "two", "three")]


def test_unacknowledged_stanzas_go_out_again(raw):
    lab, peer, romeo = raw
    send_three(romeo)
    first = peer.accept()
    assert first.wait_bodies(3) == ["one", "two", "three"]
    first.wait("<r [^>]*/>")
    first.acknowledge(1)
    first.wait("<r [^>]*/>")
    first.break_off()
    second = peer.accept()
    assert second.wait_bodies(2) == ["two", "three"]
    second.wait("<r [^>]*/>")
    second.acknowledge(2)
    romeo.send("raw@raw.test", "four")
    assert second.wait_bodies(1) == ["four"]
    second.acknowledge(3)
    assert not romeo.inbox.all(lambda s: s.type == "error")


def test_unacknowledged_stanzas_are_bounced_in_the_end(raw):
    lab, peer, romeo = raw
    one, two, three = send_three(romeo)
    stream = peer.accept()
    stream.wait_bodies(3)
    stream.wait("<r [^>]*/>")
    stream.acknowledge(1)
    stream.wait("<r [^>]*/>")
    peer.refuse()
    stream.break_off()
    assert {romeo.wait_error(number, timeout=40).error for number in (two, three)} == {"remote-server-timeout"}
    assert not romeo.inbox.all(lambda s: s.type == "error" and s.id == one)


IMPOSSIBLE = {
    "too-high": ((4,), "handled-count-too-high xmlns='urn:xmpp:sm:3' h='4' send-count='3'"),
    "far-too-high": ((4294967295,), "handled-count-too-high"),
    "backwards": ((2, 1), "handled-count-too-high"),
    "negative": ((-1,), "policy-violation"),
    "no-number": (("x",), "policy-violation"),
    "too-long": ((4294967296,), "policy-violation"),
}


@pytest.mark.parametrize("counts_said, answer", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_impossible_acknowledgement(raw, counts_said, answer):
    """The stream ends with an error; what was not rightly acknowledged goes out again."""
    lab, peer, romeo = raw
    send_three(romeo)
    stream = peer.accept()
    stream.wait_bodies(3)
    stream.wait("<r [^>]*/>")
    for h in counts_said:
        stream.acknowledge(h)
    assert answer in stream.rest()
    left = ["three"] if counts_said[0] == 2 else ["one", "two", "three"]
    again = peer.accept()
    assert again.wait_bodies(len(left)) == left
    again.acknowledge(len(left))


def test_count_by_custody(raw):
    """We acknowledge what the next hop has, not what we have read."""
    lab, peer, romeo = raw
    stream = peer.connect()
    stream.enable()
    stream.message("m-1", romeo.address)
    romeo.wait_message("m-1")
    stream.wait_count(1)
    lab.legacy_proxy.stall()
    stream.message("m-2", romeo.address)
    # Answered with an error at once, but it is behind the second; and then it waits for the error's arrival.
    stream.send("<message from='raw@raw.test' to='@corp.test' id='m-3'/>")
    back = peer.accept()
    back.wait("<message [^>]*type='error'")
    assert stream.count() == 1
    lab.legacy_proxy.forward()
    romeo.wait_message("m-2", timeout=40)
    wait_polled(lambda: stream.count() > 1)
    assert stream.count() == 2
    back.acknowledge(1)
    assert stream.wait_h() == 3


ODD = {
    "request-before-enable": ("<r xmlns='urn:xmpp:sm:3'/>", "policy-violation"),
    "acknowledgement-before-enable": ("<a xmlns='urn:xmpp:sm:3' h='0'/>", "policy-violation"),
    "acknowledgement-of-nothing": ("<enable xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='1'/>", "too-high"),
    "resume": ("<resume xmlns='urn:xmpp:sm:3' h='0' previd='x'/>", "failed|unsupported-stanza-type"),
    "enabled-unasked": ("<enabled xmlns='urn:xmpp:sm:3'/>", "policy-violation"),
}


@pytest.mark.parametrize("sent, answer", ODD.values(), ids=ODD.keys())
def test_odd_requests(raw, sent, answer):
    lab, peer, romeo = raw
    stream = peer.connect()
    stream.send(sent)
    assert re.search(answer, stream.rest())


def test_harmless_requests(raw):
    """COMPAT: Prosody says <a h='0'/> when it closes. Enabled twice is refused, and the stream goes on."""
    lab, peer, romeo = raw
    stream = peer.connect()
    stream.send("<enable xmlns='urn:xmpp:sm:3'/><enable xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='0'/>")
    stream.wait("<enabled [^>]*/>")
    stream.wait("<failed [^>]*>")
    stream.message("after", romeo.address)
    romeo.wait_message("after")
    stream.wait_count(1)


def test_without_stream_management(raw):
    """A peer without it is asked by ping, and one that breaks off without an answer leaves an error, not silence."""
    lab, peer, romeo = raw
    peer.offer(sm=False)
    numbers = send_three(romeo)
    stream = peer.accept()
    assert stream.wait_bodies(3) == ["one", "two", "three"]
    stream.wait("urn:xmpp:ping")
    stream.break_off()
    for number in numbers:
        assert romeo.wait_error(number).error == "remote-server-timeout"
