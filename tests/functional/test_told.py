"""A sender hears of a failure even if poolbridge is killed while the error is on its way to him."""

import contextlib
import re
import threading

import pytest

from lab.chaos import Chaos
from lab.federation import Federation, Partner
from lab.inbox import wait_polled
from lab.raw_peer import Ended, RawPeer

FAST = {"s2s.backoff_min": 0.1, "s2s.backoff_max": 0.3, "s2s.confirm_time": 1}
PLAIN = ("--tls", "optional", "--sasl", "optional")
RAW = Partner("raw.test", policy=("--tls", "none", "--sasl", "none"), services=(("xmpp-server", 0, "raw", 5269),))
ROMEO = "romeo@corp.test"
ERROR = "<message [^>]*type='error'[^>]*>"


def spool(lab):
    return lab.bridge.json("status")["spool"]


def wait_spooled(lab, count):
    wait_polled(lambda: spool(lab)["messages"] == count, lambda: spool(lab))


def wait_link(lab, remote, queued):
    """So much waits for the way back to the sender."""
    def links():
        return [link for link in lab.bridge.json("status")["links"] if link["remote"] == remote]

    wait_polled(lambda: any(link.get("queued", 0) == queued for link in links()), links)


def errors(user, number):
    return [item for item in user.inbox.history if item.type == "error" and item.id == number]


def wait_error(user, number, timeout=60):
    return user.inbox.wait(lambda item: item.type == "error" and item.id == number, timeout=timeout)


def spooled_and_failed(lab):
    return [row["id"] for row in lab.bridge.json("spool", "list", "--hop", "error")]


# ---- Prosody, with XEP-0198; the way back to it is broken

@pytest.fixture
def prosody(new_lab):
    """(lab, the proxy before the partner's server, juliet, romeo)"""
    partner = Partner("sm.test", policy=PLAIN, services=(("xmpp-server", 0, "front", 5269),))
    lab = new_lab(federation=Federation("either", [partner]), pool=False, modules=("smacks", "resend"), settings=FAST)
    address = lab.block.address
    proxy = Chaos(lab.loop, address("front"), 5269, (address("partner"), 5269), address("external"))
    juliet, romeo = lab.partner_user("juliet@sm.test"), lab.legacy_user(ROMEO)
    assert lab.deliver(juliet, ROMEO).by == "legacy"
    yield lab, proxy, juliet, romeo
    proxy.close()


def hold(lab, juliet, text):
    """(number of the row, the message's id)"""
    lab.bridge.ctl("partner", "set", "sm.test", "--gateway", "by-user")
    lab.bridge.ctl("user", "mark", "moving", ROMEO)
    number = juliet.send(ROMEO, text)
    wait_spooled(lab, 1)
    return lab.bridge.json("spool", "list")[0]["id"], number


def test_killed_with_an_error_of_the_spool(prosody):
    """Acknowledged long ago, and given back: the next process tells the sender, and delivers nothing."""
    lab, proxy, juliet, romeo = prosody
    row, number = hold(lab, juliet, "told-a")
    proxy.refuse()
    assert lab.bridge.json("spool", "bounce", str(row)) == {"messages": 1}
    wait_link(lab, "sm.test", 1)
    lab.bridge.kill()
    lab.bridge.start()
    assert spooled_and_failed(lab) == [row]
    proxy.forward()
    assert wait_error(juliet, number).error == "remote-server-timeout"
    wait_spooled(lab, 0)
    lab.bridge.ctl("user", "mark", "legacy", ROMEO)
    assert lab.deliver(juliet, ROMEO).by == "legacy"
    assert not romeo.inbox.all(lambda item: item.body == "told-a")


def test_stopped_with_an_error_of_the_spool(prosody):
    """SIGTERM, twice: he hears it of the third process."""
    lab, proxy, juliet, romeo = prosody
    row, number = hold(lab, juliet, "told-b")
    proxy.refuse()
    assert lab.bridge.json("spool", "bounce", str(row)) == {"messages": 1}
    for _ in range(2):
        lab.bridge.stop()
        lab.bridge.start()
        assert spooled_and_failed(lab) == [row]
    proxy.forward()
    assert wait_error(juliet, number).error == "remote-server-timeout"
    wait_spooled(lab, 0)
    assert len(errors(juliet, number)) == 1


def test_killed_with_an_error_at_once(prosody):
    """
    Never in the spool: not acknowledged while the error is on its way, so that the sender's server still has it.
    That sends it again, or, when it does not reach us soon enough, tells the sender itself.
    """
    lab, proxy, juliet, romeo = prosody
    proxy.refuse()
    lab.bridge.ctl("partner", "set", "sm.test", "--gateway", "by-user")
    lab.bridge.ctl("domain", "set", "corp.test", "--unlisted", "reject")
    number = juliet.send("nobody@corp.test", "told-c")
    wait_link(lab, "sm.test", 1)
    lab.bridge.kill()
    lab.bridge.start()
    proxy.forward()
    assert wait_error(juliet, number).error in ("item-not-found", "remote-server-not-found", "remote-server-timeout")


# ---- a peer that says what it likes

@pytest.fixture
def raw(new_lab):
    """(lab, peer, its stream to us, the first of our streams to it)"""
    lab = new_lab(federation=Federation("plain", [RAW]), pool=False, settings=dict(FAST, **{"s2s.queue_time": 4}))
    peer = RawPeer(lab, "raw.test")
    lab.bridge.ctl("domain", "set", "corp.test", "--unlisted", "reject")
    lab.bridge.ctl("partner", "set", "raw.test", "--gateway", "by-user")
    yield lab, peer
    peer.close()


def connect(peer):
    stream = peer.connect()
    stream.enable()
    return stream


def fail(peer, number):
    """One that cannot be delivered, and our answer to it; (its stream, the answer's)"""
    stream = connect(peer)
    stream.message(number, "nobody@corp.test")
    back = peer.accept()
    assert f"id='{number}'" in back.wait(ERROR).group(0)
    assert stream.count() == 0
    return stream, back


def test_acknowledged_when_the_error_is(raw):
    """Ours comes behind the peer's, and what is behind the failed one waits for that."""
    lab, peer = raw
    stream, back = fail(peer, "no-1")
    back.acknowledge(1)
    assert stream.wait_h() == 1
    stream.send("<message from='raw@raw.test' to='@corp.test' id='malformed'/>")
    back.wait(ERROR)
    assert stream.count() == 1
    back.acknowledge(2)
    assert stream.wait_h() == 2


def test_killed_before_the_error_is_acknowledged(raw):
    """The sender's server has no acknowledgement, sends it again, and hears the error once more."""
    lab, peer = raw
    fail(peer, "no-2")
    lab.bridge.kill()
    lab.bridge.start()
    stream, back = fail(peer, "no-2")
    back.acknowledge(1)
    assert stream.wait_h() == 1


def test_undeliverable_in_the_end(raw):
    """A peer that cannot be reached: after queue_time the log has it, and the stream goes on."""
    lab, peer = raw
    stream = connect(peer)
    peer.refuse()
    mark = lab.bridge.process.mark()
    stream.message("no-3", "nobody@corp.test")
    assert stream.count() == 0
    lab.bridge.process.wait_line("error-undeliverable to=raw@raw.test", after=mark)
    assert stream.wait_h() == 1
    assert lab.bridge.json("status")["router"]["unanswerable"] == 1


def test_no_error_for_an_error(raw):
    """Nothing goes back, and it is acknowledged at once."""
    lab, peer = raw
    stream = connect(peer)
    stream.send("<message from='raw@raw.test' to='nobody@corp.test' type='error' id='no-4'><body>x</body></message>")
    stream.wait_count(1)
    assert peer.none_came()


def test_window_full_of_errors(raw):
    """
    The peer does not count what we send it: its answers to our pings come by the stream that is not read, since its
    window is full of messages that wait for the proof that their errors have arrived. It goes on all the same.
    """
    lab, peer = raw
    many, turn = 6000, threading.Lock()
    peer.offer(False)
    stream = connect(peer)
    stream.message("window", "nobody@corp.test")
    back = peer.accept()

    def write():
        with turn:
            stream.send("".join(f"<message from='raw@raw.test' to='nobody@corp.test' id='w{number}'><body>x</body></message>"
                                for number in range(many)))

    def read():
        """Pings are answered in their turn, behind what is being written."""
        with contextlib.suppress(Ended, OSError):
            while True:
                found = back.wait(f"{ERROR}|<iq [^>]*type='get'[^>]*>").group(0)
                heard.append(found)
                if found.startswith("<iq"):
                    number = re.search(" id='([^']*)'", found).group(1)
                    threading.Thread(target=answer, args=(number,), daemon=True).start()

    def answer(number):
        with turn:
            stream.send(f"<iq type='result' from='raw.test' to='corp.test' id='{number}'/>")

    heard = []
    threading.Thread(target=read, daemon=True).start()
    stream.wait_count(1)
    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    lab.bridge.process.wait_line("stream-held")
    writer.join()
    with turn:
        stream.request()
    while stream.wait_h() < many + 1:
        pass
    assert sum(found.startswith("<message") for found in heard) == many + 1
    assert lab.bridge.json("status")["router"]["unanswerable"] == 0
